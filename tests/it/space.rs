//! A disk that fills: ordinary messages stop with room to spare, the peers' as the own ones; what is
//! urgent goes on to the last byte of the reserve.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Exchange, RecordError};
use liaison::limits::BULK_FLOORS;
use liaison::proto::v1;
use liaison::store::Space;

use crate::sides::{Side, flash, join, letter, link_of, patiently, quiet, sides, submit};

const FLOOR_BYTES: u64 = 1 << 20;
const BALLAST_BYTES: u64 = 1 << 20;

fn disk(side: &Side, free_bytes: u64) {
    side.store.set_space(Space {
        free_bytes,
        floor_bytes: FLOOR_BYTES,
        ballast_bytes: BALLAST_BYTES,
    });
}

async fn until(exchange: &Arc<Exchange>, what: impl Fn(&Exchange) -> bool) {
    let wait = async {
        while !what(exchange) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    patiently(wait).await;
}

fn is_full<T>(outcome: &Result<T, SubmitError>) -> bool {
    let error = outcome.as_ref().err();
    error.is_some_and(|error| {
        matches!(error, SubmitError::Record(RecordError::Full { .. }))
            || error.to_string().contains("the disk is full")
    })
}

#[tokio::test(start_paused = true)]
async fn a_peers_ordinary_messages_wait_where_the_own_ones_stop() {
    let (a, b) = sides();
    let (sender, node) = (a.open(&b), b.open(&a));
    let running = join(&sender, &node);
    submit(&sender, letter(&b, 0)).await.unwrap();
    quiet(&sender, &node).await;

    disk(&b, BULK_FLOORS * FLOOR_BYTES);
    assert!(is_full(&submit(&node, letter(&a, 0)).await));
    submit(&sender, letter(&b, 1)).await.unwrap();
    let slowed = |exchange: &Exchange| link_of(exchange).presence().slowed;
    until(&sender, |sender| slowed(sender).is_some()).await;
    let told = slowed(&sender).unwrap();
    assert!(told.contains("the disk here is nearly full"), "{told}");
    let shown = link_of(&node).presence().slows.unwrap();
    assert!(shown.contains("until there is room"), "{shown}");

    // What is urgent is shown, both ways receipts go, and nobody is held.
    submit(&sender, flash(&b, 2)).await.unwrap();
    until(&node, |node| {
        link_of(node).head().express_waiting.entries == 1
    })
    .await;
    submit(&node, flash(&a, 1)).await.unwrap();
    until(&node, |node| link_of(node).head().delivered_size == 1).await;
    assert_eq!(link_of(&node).head().mirror_size, 1);
    assert!(link_of(&node).presence().up);
    assert_eq!(b.store.space().ballast_bytes, BALLAST_BYTES);

    // There is room again: it goes on by itself.
    disk(&b, 1 << 30);
    quiet(&sender, &node).await;
    assert_eq!(link_of(&node).head().mirror_size, 3);
    assert_eq!(slowed(&sender), None);
    assert_eq!(link_of(&node).presence().slows, None);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_peers_alerts_with_nothing_before_them_are_recorded_and_receipted() {
    let (a, b) = sides();
    let (sender, node) = (a.open(&b), b.open(&a));
    disk(&b, FLOOR_BYTES);
    let running = join(&sender, &node);
    submit(&sender, flash(&b, 0)).await.unwrap();
    quiet(&sender, &node).await;
    assert_eq!(link_of(&sender).head().delivered_size, 1);
    // Below the floor: for that the ballast is there.
    assert_eq!(b.store.space().ballast_bytes, 0);
    running.end().await;
}

#[tokio::test]
async fn one_byte_below_what_ordinary_messages_need() {
    let (a, b) = sides();
    let node = a.open(&b);
    // The first is refused with what it would have needed.
    disk(&a, 0);
    let refused = submit(&node, letter(&b, 0)).await.unwrap_err();
    let SubmitError::Record(RecordError::Full { needed_bytes, .. }) = refused else {
        panic!("{refused}")
    };
    assert!(needed_bytes > BULK_FLOORS * FLOOR_BYTES);
    disk(&a, needed_bytes - 1);
    assert!(is_full(&submit(&node, letter(&b, 0)).await));
    disk(&a, needed_bytes);
    submit(&node, letter(&b, 0)).await.unwrap();
    assert_eq!(a.store.space().ballast_bytes, BALLAST_BYTES);
}

/// A letter whose body lies in a file.
fn long(mut draft: v1::Draft) -> v1::Draft {
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::OfficialLetter(body) = body else {
        panic!("a letter")
    };
    let texts = &mut body.text.as_mut().unwrap().texts;
    texts.insert("vi".to_owned(), "a".repeat(40_000));
    draft
}

#[tokio::test]
async fn an_urgent_body_in_a_file_has_the_reserve_and_an_ordinary_one_has_not() {
    let (a, b) = sides();
    let node = a.open(&b);
    disk(&a, BULK_FLOORS * FLOOR_BYTES);
    assert!(is_full(&submit(&node, long(letter(&b, 0))).await));
    assert_eq!(a.store.space().ballast_bytes, BALLAST_BYTES);
    disk(&a, FLOOR_BYTES + 1);
    submit(&node, long(flash(&b, 0))).await.unwrap();
    assert_eq!(a.store.space().ballast_bytes, 0);
    let blobs = std::fs::read_dir(a.dir.path().join("blobs")).unwrap();
    let files = blobs.filter(|entry| entry.as_ref().unwrap().file_name().len() == 64);
    assert_eq!(files.count(), 1);
}
