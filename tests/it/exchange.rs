//! Two nodes' exchanges within one process, over a pair of queues: the path without a network.

use liaison::exchange::RecorderMode;
use liaison::exchange::session::End;
use liaison::exchange::view::Detail;
use liaison::proto::v1::{self, Level};

use crate::sides::{assert_same_logs, join, letter, link_of, quiet, sides, submit};

#[tokio::test]
async fn letters_go_both_ways_and_are_receipted() {
    let (a, b) = sides();
    let open = |x: &crate::sides::Side, y: &crate::sides::Side| {
        x.try_open(y, y.card_for(x), RecorderMode::Thread).unwrap()
    };
    let (left, right) = (open(&a, &b), open(&b, &a));
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
