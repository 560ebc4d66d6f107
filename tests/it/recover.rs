//! Records that were lost come back from the other side: rolled back, emptied, on one side or both,
//! with what was appended since, and whatever crashes or lies meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use liaison::exchange::layout::Place;
use liaison::exchange::restore::Restoring;
use liaison::exchange::session::End;
use liaison::exchange::submit::SubmitError;
use liaison::exchange::view::Detail;
use liaison::exchange::{Exchange, LogSide, RecordError};
use liaison::proto::v1::{self, FaultCode, Frame, frame};
use liaison::store::{Marks, MemoryStore};
use liaison::tlog::Hash;

use crate::hostile::Hostile;
use crate::sides::{
    Notary, Running, Side, Step, assert_same_logs, join, join_over, letter, link_of, quiet, sides,
    submit, temp_dir, wire,
};

/// Sizes and roots of both logs of a node, with its receipts by size.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Heads {
    own: (u64, Hash),
    mirror: (u64, Hash),
    delivered_size: u64,
    receipts: BTreeMap<u64, String>,
    given: BTreeMap<u64, String>,
}

fn heads(exchange: &Exchange) -> Heads {
    let link = link_of(exchange);
    let root = |side| {
        let tree = link.tree(side);
        (tree.size(), tree.root())
    };
    let receipts = |side| {
        let all = exchange.receipts(&link, side, 0, usize::MAX).unwrap();
        all.into_iter().collect()
    };
    Heads {
        own: root(LogSide::Own),
        mirror: root(LogSide::Mirror),
        delivered_size: link.head().delivered_size,
        receipts: receipts(LogSide::Own),
        given: receipts(LogSide::Mirror),
    }
}

/// The rows of a store that follow from its logs: what a node that lost nothing has.
fn derived(side: &Side) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = side.store.records();
    // Times of recording, incidents, authors and what came ahead are this node's own.
    rows.retain(|key, _| b"ACHIOPRTUW".contains(&key[0]));
    rows
}

/// The entries themselves: bytes, bodies and whether they were refused.
fn entries(exchange: &Exchange, side: LogSide) -> Vec<(Vec<u8>, bool, bool)> {
    let link = link_of(exchange);
    let reader = exchange.reader(&link, side);
    let all = reader.entries(0, u64::MAX, usize::MAX).unwrap();
    all.iter()
        .map(|stored| {
            let has_body = reader.body(stored).unwrap().is_some();
            (stored.entry.to_vec(), stored.record.refused, has_body)
        })
        .collect()
}

/// No frame that carries a signature made now: nothing is signed while records come back.
fn nothing_new_is_signed(frame: Frame) -> Step {
    let ok = matches!(
        frame.frame,
        Some(
            frame::Frame::Hello(_)
                | frame::Frame::Fault(_)
                | frame::Frame::Fetch(_)
                | frame::Frame::Fetched(_)
        )
    );
    assert!(ok, "{frame:?}");
    Step::Pass(frame)
}

fn restores(exchange: &Exchange) -> bool {
    exchange.restoring(&link_of(exchange)).is_some()
}

/// Dials again and again until both sides are whole and quiet; returns how the sessions ended.
async fn heal(a: &Arc<Exchange>, b: &Arc<Exchange>) -> (Vec<(End, End)>, Running) {
    let mut ends = Vec::new();
    for _ in 0..20 {
        let mut running = join(a, b);
        tokio::select! {
            biased;
            ended = async { ((&mut running.a).await.unwrap(), (&mut running.b).await.unwrap()) } => {
                ends.push(ended);
            }
            () = async {
                quiet(a, b).await;
                while restores(a) || restores(b) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                quiet(a, b).await;
            } => return (ends, running),
        }
    }
    panic!("never whole: {ends:?}");
}

async fn traffic(a: &Exchange, b: &Exchange, (sa, sb): (&Side, &Side), count: usize) {
    for number in 0..count {
        submit(a, letter(sb, number)).await.unwrap();
        if number % 3 == 0 {
            submit(b, letter(sa, number)).await.unwrap();
        }
        if number % 7 == 0 {
            quiet(a, b).await;
        }
    }
    quiet(a, b).await;
}

/// An empty disk in place of the old one.
fn lose_disk(side: &mut Side) {
    side.store = MemoryStore::new();
    side.dir = temp_dir();
    Marks::create(side.dir.path()).unwrap();
}

async fn flag_as_lost(exchange: &Exchange) {
    let restoring = Restoring {
        why: "the store was lost".to_owned(),
        ..Restoring::default()
    };
    exchange
        .begin_restoring(&link_of(exchange), restoring)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_that_was_rolled_back_signs_nothing_until_all_is_back() {
    let (mut a, b) = sides();
    let notary = Notary::of(&a, &b);
    let right = b.open(&a);
    let mut left = a.open(&b);
    let running = join(&left, &right);
    traffic(&left, &right, (&a, &b), 10).await;
    let old = a.snapshot();
    traffic(&left, &right, (&a, &b), 700).await;
    running.end().await;
    let before = heads(&left);
    let (rows, own) = (derived(&a), entries(&left, LogSide::Own));
    let mirror = entries(&left, LogSide::Mirror);
    drop(left);

    a.restore(old);
    left = a.open(&b);
    let running = join_over(&left, &right, wire(nothing_new_is_signed, Step::Pass));
    let (a_end, b_end) = running.ended().await;
    assert!(matches!(a_end, End::Restoring(_)), "{a_end}");
    assert!(
        matches!(&b_end, End::PeerFault(fault) if fault.code() == FaultCode::Restoring),
        "{b_end}"
    );
    assert!(restores(&left));
    assert_eq!(left.held(&link_of(&left)), None);
    let refused = submit(&left, letter(&b, 1)).await;
    assert!(matches!(
        refused,
        Err(SubmitError::Record(RecordError::Restoring))
    ));

    let running = join_over(
        &left,
        &right,
        wire(nothing_new_is_signed, nothing_new_is_signed),
    );
    let (a_end, b_end) = running.ended().await;
    assert!(matches!(a_end, End::Restored), "{a_end}");
    assert!(matches!(b_end, End::Restored), "{b_end}");
    assert!(!restores(&left));
    assert_eq!(heads(&left), before);
    assert_eq!(derived(&a), rows);
    assert_eq!(entries(&left, LogSide::Own), own);
    assert_eq!(entries(&left, LogSide::Mirror), mirror);
    let told = &left.incidents(1).unwrap()[0].what;
    assert!(told.contains("the records are back: "), "{told}");

    // And life goes on.
    let see = notary.clone();
    let running = join_over(
        &left,
        &right,
        wire(
            move |frame| {
                see.see(&frame);
                Step::Pass(frame)
            },
            Step::Pass,
        ),
    );
    traffic(&left, &right, (&a, &b), 10).await;
    running.end().await;
    assert_same_logs(&left, &right);
    notary.assert_consistent_with(&left, &right);
}

#[tokio::test]
async fn what_was_appended_after_the_rollback_is_appended_again_as_it_is() {
    let (mut a, b) = sides();
    let right = b.open(&a);
    let mut left = a.open(&b);
    let running = join(&left, &right);
    traffic(&left, &right, (&a, &b), 5).await;
    let old = a.snapshot();
    let same = v1::Draft {
        id: crate::nodes::new_id(),
        ..letter(&b, 50)
    };
    let other = crate::nodes::new_id();
    submit(&left, same.clone()).await.unwrap();
    let was = v1::Draft {
        id: other.clone(),
        ..letter(&b, 51)
    };
    submit(&left, was).await.unwrap();
    traffic(&left, &right, (&a, &b), 300).await;
    running.end().await;
    let before = heads(&left);
    drop(left);

    a.restore(old);
    left = a.open(&b);
    let mut tail = Vec::new();
    for number in 0..600 {
        tail.push(submit(&left, letter(&b, 1_000 + number)).await.unwrap());
    }
    let taken = v1::Draft {
        id: other.clone(),
        ..letter(&b, 52)
    };
    submit(&left, taken).await.unwrap();
    let signed: BTreeMap<_, _> = {
        let link = link_of(&left);
        let reader = left.reader(&link, LogSide::Own);
        let read = |r: &liaison::exchange::Recorded| reader.entry(r.index).unwrap().entry;
        tail.iter().map(|r| (r.id, read(r))).collect()
    };
    let (ends, running) = heal(&left, &right).await;
    assert!(
        ends.iter().any(|(a, _)| matches!(a, End::Restored)),
        "{ends:?}"
    );
    running.end().await;
    assert_same_logs(&left, &right);
    let link = link_of(&left);
    let own = link.tree(LogSide::Own);
    assert_eq!(own.size(), before.own.0 + 600);
    let reader = left.reader(&link, LogSide::Own);
    assert_eq!(reader.root_at(&own, before.own.0).unwrap(), before.own.1);
    for (id, entry) in signed {
        let (_, place) = left.find(id).unwrap().unwrap();
        let Place::Log(LogSide::Own, index) = place else {
            panic!("{place:?}")
        };
        assert!(index >= before.own.0);
        assert_eq!(reader.entry(index).unwrap().entry, entry);
        let author = left.author(&link, index).unwrap().unwrap();
        assert_eq!(author.as_str(), "operator/mẫu");
    }
    assert_eq!(left.kept_aside(&link).unwrap(), 1);
    let told = left.incidents(5).unwrap();
    assert!(
        told.iter().any(|i| i.what.contains("1 STAY SET ASIDE")),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_lost_store_comes_back_whole() {
    let (mut a, b) = sides();
    let right = b.open(&a);
    let mut left = a.open(&b);
    let running = join(&left, &right);
    traffic(&left, &right, (&a, &b), 700).await;
    running.end().await;
    let (before, rows) = (heads(&left), derived(&a));
    drop(left);
    lose_disk(&mut a);
    left = a.open(&b);
    flag_as_lost(&left).await;
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_eq!(heads(&left), before);
    assert_eq!(derived(&a), rows);
    // Read from the disk again, it is the same.
    drop(left);
    left = a.open(&b);
    assert_eq!(heads(&left), before);
}

#[tokio::test]
async fn both_sides_rolled_back_get_from_each_other_what_there_is() {
    let (mut a, mut b) = sides();
    let mut right = b.open(&a);
    let mut left = a.open(&b);
    let running = join(&left, &right);
    traffic(&left, &right, (&a, &b), 20).await;
    let old_a = a.snapshot();
    traffic(&left, &right, (&a, &b), 20).await;
    let old_b = b.snapshot();
    let known = heads(&right);
    traffic(&left, &right, (&a, &b), 20).await;
    running.end().await;
    drop((left, right));
    a.restore(old_a);
    b.restore(old_b);
    left = a.open(&b);
    right = b.open(&a);
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
    assert_eq!(heads(&left).own, known.mirror);
    assert_eq!(heads(&left).mirror, known.own);
}

#[tokio::test]
async fn both_sides_restore_in_one_session() {
    let (mut a, mut b) = sides();
    let mut right = b.open(&a);
    let mut left = a.open(&b);
    let running = join(&left, &right);
    traffic(&left, &right, (&a, &b), 30).await;
    running.end().await;
    let before = (heads(&left), heads(&right));
    drop((left, right));
    // Each lost what the other has: a its disk, b nothing, but it asks as well.
    lose_disk(&mut a);
    left = a.open(&b);
    right = b.open(&a);
    flag_as_lost(&left).await;
    flag_as_lost(&right).await;
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_eq!((heads(&left), heads(&right)), before);
    drop(right);
    lose_disk(&mut b);
    right = b.open(&a);
    flag_as_lost(&right).await;
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_eq!((heads(&left), heads(&right)), before);
}
