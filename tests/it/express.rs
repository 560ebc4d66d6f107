//! Express: what is urgent does not wait behind a backlog.

use liaison::exchange::LogSide;
use liaison::exchange::layout::{Place, StoredBody};
use liaison::exchange::view::Detail;
use liaison::limits::{ACKNOWLEDGEMENTS_AHEAD_MAX, WINDOW_ENTRIES_MAX};
use liaison::proto::v1::{WatchEvent, frame};
use tokio::sync::watch;

use crate::sides::{
    Step, acknowledgement, assert_same_logs, flash, join_over, letter, link_of, patiently, quiet,
    sides, submit, wire,
};

#[tokio::test]
async fn a_flash_behind_ten_thousand_letters_is_shown_before_them() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    for number in 0..10_000 {
        submit(&left, letter(&b, number)).await.unwrap();
    }
    // Receipts do not pass: so the window closes behind the first letters, wherever the flush of
    // the mirror stands.
    let (gate, is_open) = watch::channel(false);
    let ends = wire(Step::Pass, move |frame| match frame.frame {
        Some(frame::Frame::Cosigned(_)) => Step::Behind(is_open.clone(), frame),
        _ => Step::Pass(frame),
    });
    let mut watcher = right.watch("", true).unwrap();
    let running = join_over(&left, &right, ends);
    let recorded = submit(&left, flash(&b, 10_000)).await.unwrap();
    assert_eq!(recorded.index, 10_000);

    let mut received = 0;
    let shown = patiently(async {
        loop {
            let event = watcher.next().await.unwrap().unwrap();
            if event.what == WatchEvent::Received {
                received += 1;
                let message = event.message.unwrap();
                if message.id == recorded.id.to_string() {
                    return message;
                }
            }
        }
    })
    .await;
    assert!(shown.expressed && shown.body.is_some());
    assert_eq!(shown.index, 10_000);
    let mirrored = link_of(&right).head().mirror_size;
    assert!(mirrored < 10_000, "{mirrored} came before");
    let (link, place) = right.find(recorded.id).unwrap().unwrap();
    assert_eq!(place, Place::Expressed(10_000));
    let message = right.message(&link, place, Detail::Full).unwrap();
    assert!(message.expressed && message.body.is_some());
    let ahead = right.reader(&link, LogSide::Mirror);
    let ahead = ahead.expressed(10_000).unwrap().record.body;
    assert!(matches!(ahead, StoredBody::Sealed { .. }));
    // Shown is not receipted: that follows in its turn.
    assert!(link_of(&left).head().delivered_size <= 10_000);

    gate.send_replace(true);
    quiet(&left, &right).await;
    let (_, place) = right.find(recorded.id).unwrap().unwrap();
    assert_eq!(place, Place::Log(LogSide::Mirror, 10_000));
    let reader = right.reader(&link, LogSide::Mirror);
    assert!(reader.all_expressed().unwrap().is_empty());
    // It stays sealed as it was: an erasure destroys the one key that it ever had.
    assert_eq!(reader.entry(10_000).unwrap().record.body, ahead);
    // Each message once, the urgent one not again.
    patiently(async {
        while received < 10_001 {
            let event = watcher.next().await.unwrap().unwrap();
            if event.what == WatchEvent::Received {
                received += 1;
                assert_ne!(event.message.unwrap().id, recorded.id.to_string());
            }
        }
    })
    .await;
    running.end().await;
    assert_same_logs(&left, &right);
}

#[tokio::test]
async fn an_alert_passes_what_is_ready_to_be_told() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    for number in 0..100 {
        submit(&left, letter(&b, number)).await.unwrap();
    }
    // Nothing is receipted, so that the alert goes ahead; and its own turn does not come.
    let (gate, is_open) = watch::channel(false);
    let closed = is_open.clone();
    let ends = wire(
        move |frame| match &frame.frame {
            Some(frame::Frame::Push(push)) if push.start_index > 0 => {
                Step::Behind(closed.clone(), frame)
            }
            _ => Step::Pass(frame),
        },
        move |frame| match frame.frame {
            Some(frame::Frame::Cosigned(_)) => Step::Behind(is_open.clone(), frame),
            _ => Step::Pass(frame),
        },
    );
    let running = join_over(&left, &right, ends);
    let link = link_of(&right);
    let mut heads = link.watch_head();
    patiently(heads.wait_for(|head| head.mirror_size >= 64))
        .await
        .unwrap();
    // Some dozens are read, and one of them told.
    let mut watcher = right.watch("", true).unwrap();
    let first = patiently(watcher.next()).await.unwrap().unwrap();
    assert_eq!(first.message.unwrap().index, 0);
    let recorded = submit(&left, flash(&b, 1)).await.unwrap();
    patiently(heads.wait_for(|head| head.expressed_count == 1))
        .await
        .unwrap();
    let second = patiently(watcher.next()).await.unwrap().unwrap();
    let alert = second.message.unwrap();
    assert_eq!(alert.id, recorded.id.to_string());
    assert!(alert.expressed);
    // It moves no cursor: whoever goes on from there misses nothing.
    assert_eq!(second.cursor, first.cursor);
    let third = patiently(watcher.next()).await.unwrap().unwrap();
    assert_eq!(third.message.unwrap().index, 1);
    gate.send_replace(true);
    quiet(&left, &right).await;
    running.end().await;
}

#[tokio::test]
async fn acknowledgements_pass_a_backlog_and_leave_room_for_alerts() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = crate::sides::join(&left, &right);
    let mut asked = Vec::new();
    for number in 0..=ACKNOWLEDGEMENTS_AHEAD_MAX {
        let sent = submit(&right, letter(&a, number)).await.unwrap();
        asked.push(sent.id);
    }
    quiet(&left, &right).await;
    running.end().await;
    // More than a window, before the first word of acknowledgement.
    let window = usize::try_from(WINDOW_ENTRIES_MAX).unwrap();
    for number in 0..window + 600 {
        submit(&left, letter(&b, number)).await.unwrap();
    }
    let mut acknowledged = Vec::new();
    for id in asked {
        let sent = submit(&left, acknowledgement(&b, &id.to_string()));
        acknowledged.push(sent.await.unwrap());
    }
    let (gate, is_open) = watch::channel(false);
    let ends = wire(Step::Pass, move |frame| match frame.frame {
        Some(frame::Frame::Cosigned(_)) => Step::Behind(is_open.clone(), frame),
        _ => Step::Pass(frame),
    });
    let running = join_over(&left, &right, ends);
    let waiting = |entries: usize| {
        let mut heads = link_of(&right).watch_head();
        async move {
            let seen = heads.wait_for(|head| head.express_waiting.entries == entries);
            patiently(seen).await.unwrap();
        }
    };
    waiting(ACKNOWLEDGEMENTS_AHEAD_MAX).await;
    let (_, place) = right.find(acknowledged[0].id).unwrap().unwrap();
    assert_eq!(place, Place::Expressed(acknowledged[0].index));
    // The one too many is left for its turn, and an alert is not.
    submit(&left, flash(&b, 1)).await.unwrap();
    waiting(ACKNOWLEDGEMENTS_AHEAD_MAX + 1).await;
    let last = acknowledged.last().unwrap();
    assert!(right.find(last.id).unwrap().is_none());

    gate.send_replace(true);
    quiet(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
}

#[tokio::test]
async fn an_acknowledgement_that_waits_for_nothing_is_sent_once() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = crate::sides::join(&left, &right);
    let sent = submit(&right, letter(&a, 1)).await.unwrap();
    quiet(&left, &right).await;
    submit(&left, letter(&b, 1)).await.unwrap();
    submit(&left, acknowledgement(&b, &sent.id.to_string()))
        .await
        .unwrap();
    quiet(&left, &right).await;
    assert_eq!(link_of(&right).head().expressed_count, 0);
    running.end().await;
}
