//! Two nodes' exchanges within one process, over a pair of queues: the path without a network.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use liaison::exchange::channel::{self, FrameChannel};
use liaison::exchange::session::{self, End};
use liaison::exchange::view::Detail;
use liaison::exchange::{Exchange, LogSide, RecorderMode};
use liaison::model::NodeName;
use liaison::proto::v1::{self, Frame, Level};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sides::{
    Notary, Running, Side, Step, assert_same_logs, flash, join, join_over, letter, link_of,
    patiently, quiet, run_end, sides, submit, up, wire,
};

fn threaded(side: &Side, peer: &Side) -> Arc<Exchange> {
    side.try_open(peer, peer.card_for(side), RecorderMode::Thread)
        .unwrap()
}

#[tokio::test]
async fn letters_go_both_ways_and_are_receipted() {
    let (a, b) = sides();
    let (left, right) = (threaded(&a, &b), threaded(&b, &a));
    let running = join(&left, &right);
    for number in 0..20 {
        submit(&left, letter(&b, number)).await.unwrap();
        submit(&right, letter(&a, number)).await.unwrap();
    }
    quiet(&left, &right).await;
    let ends = running.end().await;
    assert!(
        matches!(ends.0, End::ShuttingDown | End::PeerFault(_)),
        "{ends:?}"
    );
    assert_same_logs(&left, &right);

    let page = right.list(&v1::ListRequest::default(), |_| true).unwrap();
    assert_eq!(page.messages.len(), 40);
    let first = page.messages.first().unwrap();
    assert_eq!(first.level, Level::Delivered as i32);
    let id = liaison::model::MessageId::parse(&first.id).unwrap();
    let (link, place) = right.find(id).unwrap().unwrap();
    let whole = right.message(&link, place, Detail::Full).unwrap();
    assert!(whole.body.is_some());
}

#[tokio::test]
async fn what_was_recorded_survives_a_crash_and_goes_on() {
    let (a, b) = sides();
    {
        let left = a.open(&b);
        for number in 0..600 {
            submit(&left, letter(&b, number)).await.unwrap();
        }
    }
    a.store.crash();
    let left = a.open(&b);
    let right = b.open(&a);
    assert_eq!(link_of(&left).head().own_size, 600);
    let running = join(&left, &right);
    quiet(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
}

/// Says something both ways, with something urgent among it.
async fn talk(left: &Exchange, a: &Side, right: &Exchange, b: &Side) {
    for number in 0..5 {
        submit(left, letter(b, number)).await.unwrap();
    }
    submit(left, flash(b, 5)).await.unwrap();
    for number in 0..3 {
        submit(right, letter(a, number)).await.unwrap();
    }
}

#[tokio::test]
async fn cut_at_every_frame_it_goes_on_without_gap_or_double() {
    for frames in 0.. {
        let (a, b) = sides();
        let (left, right) = (a.open(&b), b.open(&a));
        talk(&left, &a, &right, &b).await;
        let notary = Notary::of(&a, &b);
        let carried = Arc::new(AtomicU64::new(0));
        let direction = || {
            let (carried, notary) = (Arc::clone(&carried), notary.clone());
            move |frame: Frame| {
                notary.see(&frame);
                if carried.fetch_add(1, Ordering::Relaxed) < frames {
                    Step::Pass(frame)
                } else {
                    Step::Cut
                }
            }
        };
        let running = join_over(&left, &right, wire(direction(), direction()));
        let all_said = tokio::select! {
            ends = running.ended() => {
                assert!(matches!(ends.0, End::Closed | End::Lost(_)), "{ends:?}");
                false
            }
            () = quiet(&left, &right) => true,
        };
        let again = join_over(&left, &right, {
            let (to_b, to_a) = (notary.clone(), notary.clone());
            let see = |notary: Notary| {
                move |frame: Frame| {
                    notary.see(&frame);
                    Step::Pass(frame)
                }
            };
            wire(see(to_b), see(to_a))
        });
        submit(&left, letter(&b, 9)).await.unwrap();
        quiet(&left, &right).await;
        again.end().await;
        assert_same_logs(&left, &right);
        notary.assert_consistent_with(&left, &right);
        assert_eq!(link_of(&right).head().mirror_size, 7);
        assert_eq!(link_of(&left).head().mirror_size, 3);
        let reader = right.reader(&link_of(&right), LogSide::Mirror);
        assert!(reader.all_expressed().unwrap().is_empty());
        if all_said {
            assert!(frames > 4, "the wire was never cut in mid-conversation");
            return;
        }
    }
}

#[tokio::test]
async fn a_peer_that_lost_its_mirror_gets_everything_back() {
    let (a, mut b) = sides();
    let left = a.open(&b);
    let mut right = b.open(&a);
    let empty = b.snapshot();
    let mut running = join(&left, &right);
    for number in 0..600 {
        submit(&left, letter(&b, number)).await.unwrap();
    }
    quiet(&left, &right).await;
    let partial = b.snapshot();
    for number in 600..5_000 {
        submit(&left, letter(&b, number)).await.unwrap();
    }
    quiet(&left, &right).await;
    running.end().await;
    let receipt = message(&left, 10).delivered_at;
    let given = |right: &Exchange| {
        let receipts = right.receipts(&link_of(right), LogSide::Mirror, 0, usize::MAX);
        receipts.unwrap()
    };
    let before = given(&right);
    for (old, kept) in [(partial, 600), (empty, 0)] {
        drop(right);
        b.restore(old);
        right = b.open(&a);
        assert_eq!(link_of(&right).head().mirror_size, kept);
        let ends = join(&left, &right).ended().await;
        assert!(matches!(ends.1, End::Restoring(_)), "{ends:?}");
        let ends = join(&left, &right).ended().await;
        assert!(matches!(ends.1, End::Restored), "{ends:?}");
        // With the dates of receipt that it gave then.
        assert_eq!(given(&right), before);
        running = join(&left, &right);
        quiet(&left, &right).await;
        assert_eq!(link_of(&left).head().delivered_size, 5_000);
        let ends = running.end().await;
        assert!(!matches!(ends.0, End::Held(_)), "{ends:?}");
        assert_same_logs(&left, &right);
    }
    assert_eq!(message(&left, 10).delivered_at, receipt);
}

fn message(exchange: &Exchange, own_index: u64) -> v1::Message {
    let place = liaison::exchange::layout::Place::Log(LogSide::Own, own_index);
    exchange
        .message(&link_of(exchange), place, Detail::Full)
        .unwrap()
}

#[tokio::test]
async fn of_two_sessions_the_one_dialled_by_the_smaller_name_stays() {
    let (a, b) = sides();
    assert!(b.name < a.name);
    for order in 0..4 {
        let (left, right) = (threaded(&a, &b), threaded(&b, &a));
        let by = |dialler: &Arc<Exchange>| {
            let (x, y) = channel::pair();
            let stop = CancellationToken::new();
            Running {
                a: run_end(&left, dialler.node(), x, &stop),
                b: run_end(&right, dialler.node(), y, &stop),
                stop,
            }
        };
        let (by_a, by_b) = if order % 2 == 0 {
            let by_a = by(&left);
            if order == 2 {
                up(&left, &right).await;
            }
            (by_a, by(&right))
        } else {
            let by_b = by(&right);
            if order == 3 {
                up(&left, &right).await;
            }
            (by(&left), by_b)
        };
        let (a_end, b_end) = by_a.ended().await;
        assert!(
            matches!(a_end, End::Replaced) || matches!(b_end, End::Replaced),
            "{a_end} {b_end}"
        );
        talk(&left, &a, &right, &b).await;
        quiet(&left, &right).await;
        assert!(!by_b.a.is_finished() && !by_b.b.is_finished());
        assert!(link_of(&left).presence().up && link_of(&right).presence().up);
        by_b.end().await;
        assert_same_logs(&left, &right);
        assert!(!link_of(&left).presence().up);
        // The disks stay for the next order: the logs grow on.
        Arc::clone(&left).finish();
    }
}

/// Runs one end of a session, which has taken its place on its link when this returns: it is taken
/// where the session is polled first. The task polls it again at once.
fn begin_end(
    exchange: &Arc<Exchange>,
    dialler: &NodeName,
    channel: FrameChannel,
    stop: &CancellationToken,
) -> JoinHandle<End> {
    let (exchange, dialler, stop) = (Arc::clone(exchange), dialler.clone(), stop.clone());
    let mut end = Box::pin(async move {
        let link = link_of(&exchange);
        session::run(&exchange, &link, &dialler, channel, &stop).await
    });
    let first = end.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(first.is_pending());
    tokio::spawn(end)
}

/// Of two sessions by one dialler the one that comes later stays. If they come in another order on
/// each side, one side keeps the first and the other the second: both end, and who dials again gets
/// through.
#[tokio::test]
async fn sessions_that_come_in_another_order_on_each_side_end_and_the_next_one_stands() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let stop = CancellationToken::new();
    let ((x1, y1), (x2, y2)) = (channel::pair(), channel::pair());
    let begin = |exchange, channel| begin_end(exchange, left.node(), channel, &stop);
    let ends = [
        begin(&right, y1),
        begin(&right, y2),
        begin(&left, x2),
        begin(&left, x1),
    ];
    for end in ends {
        let end = patiently(end).await.unwrap();
        assert!(
            matches!(end, End::Replaced | End::Closed | End::Lost(_)),
            "{end}"
        );
    }
    let running = join(&left, &right);
    up(&left, &right).await;
    running.end().await;
}

/// The story: a session that was replaced had left a run with the recorder. The next one said the
/// smaller size in its Hello, and took what was sent again for a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialler_that_dials_again_and_again_does_no_harm() {
    let (a, b) = sides();
    let (left, right) = (threaded(&a, &b), threaded(&b, &a));
    let mut sessions = Vec::new();
    for number in 0..60 {
        for _ in 0..8 {
            submit(&left, letter(&b, number)).await.unwrap();
            submit(&right, letter(&a, number)).await.unwrap();
        }
        // In one order on both sides: nobody dials again here if both end.
        let (x, y) = channel::pair();
        let stop = CancellationToken::new();
        sessions.push(Running {
            a: begin_end(&left, left.node(), x, &stop),
            b: begin_end(&right, left.node(), y, &stop),
            stop,
        });
        if number % 3 == 0 {
            tokio::task::yield_now().await;
        } else {
            up(&left, &right).await;
        }
    }
    quiet(&left, &right).await;
    let last = sessions.pop().unwrap();
    for session in sessions {
        let ends = session.ended().await;
        for end in [ends.0, ends.1] {
            assert!(
                matches!(end, End::Replaced | End::Closed | End::Lost(_)),
                "{end}"
            );
        }
    }
    last.end().await;
    assert_same_logs(&left, &right);
    assert_eq!(left.held(&link_of(&left)), None);
}

#[tokio::test]
async fn a_session_that_is_dropped_leaves_the_link_free_and_shown_as_down() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    // Dialled by the smaller name: nothing but its end makes room for the other.
    let (x, y) = channel::pair();
    let stop = CancellationToken::new();
    let ends = [
        run_end(&left, right.node(), x, &stop),
        run_end(&right, right.node(), y, &stop),
    ];
    up(&left, &right).await;
    for end in ends {
        end.abort();
        drop(patiently(end).await);
    }
    assert!(!link_of(&left).presence().up);
    let running = join(&left, &right);
    up(&left, &right).await;
    running.end().await;
}

#[tokio::test]
async fn a_full_disk_ends_the_session_and_nothing_is_lost() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    talk(&left, &a, &right, &b).await;
    b.store.set_full(true);
    let running = join(&left, &right);
    let (_, b_end) = running.ended().await;
    assert!(matches!(b_end, End::Unable(_)), "{b_end}");
    assert!(b_end.to_string().contains("disk is full"), "{b_end}");
    assert_eq!(right.trouble(), None);
    b.store.set_full(false);
    let running = join(&left, &right);
    quiet(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
}
