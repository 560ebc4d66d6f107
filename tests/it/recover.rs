//! Records that were lost come back from the other side: rolled back, emptied, on one side or both,
//! with what was appended since, and whatever crashes or lies meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use liaison::crypto::checkpoint::{cosign, sign_checkpoint};
use liaison::exchange::layout::Place;
use liaison::exchange::restore::Restoring;
use liaison::exchange::session::End;
use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Exchange, LogSide, PeerMessageKey, RecordError, RecorderMode};
use liaison::model::header::body_digest;
use liaison::proto::v1::{self, FaultCode, Frame, frame};
use liaison::store::{Failure, Marks, MemoryStore, StoreError};
use liaison::tlog::Hash;

use crate::backup::{assert_whole, back_up, restore_to, terms};
use crate::bundle::export;
use crate::keys_restored::salvage;
use crate::sides::{
    Notary, Running, Side, Step, assert_same_logs, join, join_over, letter, link_of, quiet, sides,
    submit, temp_dir, wire,
};

/// Sizes and roots of both logs of a node, with its receipts by size.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Heads {
    pub(crate) own: (u64, Hash),
    pub(crate) mirror: (u64, Hash),
    pub(crate) delivered_size: u64,
    pub(crate) receipts: BTreeMap<u64, String>,
    pub(crate) given: BTreeMap<u64, String>,
}

pub(crate) fn heads(exchange: &Exchange) -> Heads {
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
pub(crate) fn derived(side: &Side) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = side.store.records();
    // Times of recording, incidents, authors and what came ahead are this node's own.
    rows.retain(|key, _| b"ACHIOPRTUW".contains(&key[0]));
    rows
}

/// What each message says, as the cases need it: written with its entry.
fn said(side: &Side) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = side.store.records();
    rows.retain(|key, _| key[0] == b'K');
    // Each sealing is another.
    for value in rows.values_mut().filter(|value| value[0] == 0xff) {
        value.truncate(1);
    }
    rows
}

/// The entries themselves: bytes, bodies and whether they were refused.
pub(crate) fn entries(exchange: &Exchange, side: LogSide) -> Vec<(Vec<u8>, bool, bool)> {
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

pub(crate) fn restores(exchange: &Exchange) -> bool {
    exchange.restoring(&link_of(exchange)).is_some()
}

/// Dials again and again until both sides are whole and quiet; returns how the sessions ended.
pub(crate) async fn heal(a: &Arc<Exchange>, b: &Arc<Exchange>) -> (Vec<(End, End)>, Running) {
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

pub(crate) async fn traffic(a: &Exchange, b: &Exchange, (sa, sb): (&Side, &Side), count: usize) {
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

/// The first side on an old copy of its disk: since it was made, so much traffic went both ways.
async fn set_back_behind(count: usize) -> (Side, Side, Arc<Exchange>, Arc<Exchange>) {
    let (mut a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    traffic(&left, &right, (&a, &b), 4).await;
    let old = a.snapshot();
    traffic(&left, &right, (&a, &b), count).await;
    running.end().await;
    drop(left);
    a.restore(old);
    let left = a.open(&b);
    (a, b, left, right)
}

/// An empty disk in place of the old one.
pub(crate) fn lose_disk(side: &mut Side) {
    side.store = MemoryStore::new();
    side.dir = temp_dir();
    Marks::create(side.dir.path()).unwrap();
}

pub(crate) async fn flag_as_lost(exchange: &Exchange) {
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
    let (before, rows, facts) = (heads(&left), derived(&a), said(&a));
    drop(left);
    lose_disk(&mut a);
    left = a.open(&b);
    flag_as_lost(&left).await;
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_eq!(heads(&left), before);
    assert_eq!(derived(&a), rows);
    // Nobody has to make anew what the messages say, all of them at once.
    assert_eq!(said(&a), facts);
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

/// A pair of which the first was rolled back and has recorded three entries since; both disks can be
/// had again and again.
struct RolledBack {
    a: Side,
    b: Side,
}

async fn rolled_back() -> RolledBack {
    let (a, b, left, _right) = set_back_behind(20).await;
    for number in 0..3 {
        submit(&left, letter(&b, 100 + number)).await.unwrap();
    }
    drop(left);
    RolledBack { a, b }
}

impl RolledBack {
    fn again(&self) -> (Side, Side) {
        let (mut a, mut b) = (self.a.on_another_disk(), self.b.on_another_disk());
        a.restore(self.a.snapshot());
        b.restore(self.b.snapshot());
        (a, b)
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_commit_while_records_come_back_changes_nothing() {
    let prepared = rolled_back().await;
    let (a, b) = prepared.again();
    let (mut left, right) = (a.open(&b), b.open(&a));
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    let expected = heads(&left);
    assert_eq!(expected.own.0, 4 + 20 + 3);
    let commits = a.store.commits();
    drop((left, right));
    let mut crashes = 0;
    for failure in [Failure::Before, Failure::Volatile, Failure::After] {
        for at in 0..commits {
            let (a, b) = prepared.again();
            a.store.fail_commit(at, failure);
            let right = b.open(&a);
            left = if let Ok(left) = a.try_open(&b, b.card_for(&a), RecorderMode::Inline) {
                left
            } else {
                a.store.crash();
                a.open(&b)
            };
            for _ in 0..20 {
                let running = join(&left, &right);
                let mut trouble = left.watch_trouble();
                let whole = async {
                    while restores(&left) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    quiet(&left, &right).await;
                };
                tokio::select! {
                    biased;
                    _ = trouble.wait_for(Option::is_some) => {}
                    () = whole => {}
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
                running.end().await;
                if left.trouble().is_some() {
                    crashes += 1;
                    drop(left);
                    if failure == Failure::After {
                        a.store.reopen();
                    } else {
                        a.store.crash();
                    }
                    left = a.open(&b);
                } else if !restores(&left) && heads(&left).own.0 == expected.own.0 {
                    break;
                }
            }
            let seen = heads(&left);
            assert_eq!(
                (seen.own, seen.mirror),
                (expected.own, expected.mirror),
                "{failure:?} at commit {at}"
            );
            assert!(!restores(&left));
            assert_eq!(left.kept_aside(&link_of(&left)).unwrap(), 0);
            assert_eq!(left.waiting_aside(&link_of(&left)).unwrap(), 0);
            drop(right);
        }
    }
    assert!(crashes > 20, "{crashes}");
}

/// Runs restoring sessions over a peer that bends what it gives back, and looks that nothing of it
/// was kept; returns how the last session ended here.
async fn lied_to(bend: impl Fn(&mut v1::Fetched) + Clone + Send + 'static) -> End {
    let prepared = rolled_back().await;
    let (a, b) = prepared.again();
    let (left, right) = (a.open(&b), b.open(&a));
    join(&left, &right).ended().await;
    // The three recorded since are set aside by the first honest answer; the lies come then.
    join(&left, &right).ended().await;
    let before = heads(&left);
    let mut last = None;
    for _ in 0..2 {
        let bend = bend.clone();
        let bending = move |mut frame: Frame| {
            if let Some(frame::Frame::Fetched(given)) = &mut frame.frame {
                bend(given);
            }
            Step::Pass(frame)
        };
        let running = join_over(&left, &right, wire(Step::Pass, bending));
        last = Some(running.ended().await.0);
    }
    assert_eq!(heads(&left), before, "something was kept");
    assert!(restores(&left));
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
    let incidents = left.incidents(20).unwrap();
    let told = incidents
        .iter()
        .filter(|i| i.what.contains("cannot be restored from the peer"));
    assert!(told.count() <= 1, "told once: {incidents:?}");
    last.unwrap()
}

type Bend = Arc<dyn Fn(&mut v1::Fetched) + Send + Sync>;

pub(crate) fn flip(bytes: &mut bytes::Bytes) {
    let mut bent = bytes.to_vec();
    *bent.last_mut().unwrap() ^= 1;
    *bytes = bent.into();
}

#[tokio::test]
async fn a_peer_that_gives_back_something_else_gains_nothing() {
    let bends: Vec<(&str, Bend)> = vec![
        ("an entry", Arc::new(|g| flip(&mut g.items[0].entry))),
        ("a body", Arc::new(|g| flip(&mut g.items[0].body))),
        ("a salt", Arc::new(|g| flip(&mut g.items[0].salt))),
        ("order", Arc::new(|g| g.items.swap(0, 1))),
        ("one less", Arc::new(|g| drop(g.items.remove(0)))),
        ("one twice", Arc::new(|g| g.items.push(g.items[0].clone()))),
        ("nothing", Arc::new(|g| g.items.clear())),
        ("elsewhere", Arc::new(|g| g.start_index += 1)),
        (
            "a proof",
            Arc::new(|g| g.consistency.push(vec![7; 32].into())),
        ),
        (
            "no proof",
            Arc::new(|g| g.consistency = vec![vec![1; 31].into()]),
        ),
        (
            "a receipt",
            Arc::new(|g| g.receipts[0] = g.receipts[0].replace('A', "B")),
        ),
        (
            "a receipt twice",
            Arc::new(|g| g.receipts.push(g.receipts[0].clone())),
        ),
    ];
    for (name, bend) in bends {
        let end = lied_to(move |given| bend(given)).await;
        assert!(matches!(end, End::Refused(_)), "{name}: {end}");
    }
}

#[tokio::test]
async fn a_receipt_of_another_tree_under_the_own_key_holds_or_gives_nothing() {
    for (size, holds) in [(3, true), (60, false)] {
        let prepared = rolled_back().await;
        let (a, b) = prepared.again();
        let (left, right) = (a.open(&b), b.open(&a));
        let before = heads(&left);
        // Signed by both keys, over a log that never was.
        let (me, peer) = (a.keys(), b.keys());
        let origin = a.origin_to(&b);
        let signed = sign_checkpoint(&me.log, &origin, size, Hash([9; 32]), 1);
        let receipt = cosign(&peer.log, &b.name, &signed, 2).note.clone();
        let bending = move |mut frame: Frame| {
            if let Some(frame::Frame::Hello(hello)) = &mut frame.frame {
                hello.mirrored_size = size;
                hello.mirrored_checkpoint.clone_from(&receipt);
            }
            Step::Pass(frame)
        };
        let mut ends = Vec::new();
        for _ in 0..3 {
            let running = join_over(&left, &right, wire(Step::Pass, bending.clone()));
            ends.push(running.ended().await.0);
        }
        let seen = heads(&left);
        if holds {
            let End::Held(hold) = &ends[0] else {
                panic!("{ends:?}")
            };
            assert_eq!(hold.code, FaultCode::Equivocation as i32);
            assert_eq!(hold.evidence.len(), 2, "both notes");
            assert_eq!(seen, before);
        } else {
            assert!(restores(&left), "{ends:?}");
            assert_eq!(left.held(&link_of(&left)), None);
            assert!(seen.own.0 <= before.own.0 && seen.mirror == before.mirror);
        }
    }
}

#[tokio::test]
async fn a_peer_that_shows_less_than_before_holds_the_link_until_someone_has_called() {
    let prepared = rolled_back().await;
    let (a, mut b) = prepared.again();
    let left = a.open(&b);
    let mut right = b.open(&a);
    join(&left, &right).ended().await;
    assert!(restores(&left));
    drop(right);
    lose_disk(&mut b);
    right = b.open(&a);
    let (end, _) = join(&left, &right).ended().await;
    let End::Held(hold) = end else {
        panic!("{end}")
    };
    assert_eq!(hold.code, FaultCode::RolledBack as i32);
    assert!(hold.text.contains("shows fewer now"), "{}", hold.text);
    // Whoever releases goes on with what there is; what was recorded since is not lost.
    left.release(
        &link_of(&left),
        "they have lost it for good",
        &liaison::exchange::Author::new("operator/mai"),
    )
    .await
    .unwrap();
    flag_as_lost(&right).await;
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
    assert_eq!(heads(&left).own.0, 4 + 3);
}

/// Opens `b`, to which the key that signs for `a` is known for the first three entries only.
fn open_refusing(a: &Side, b: &Side) -> Arc<Exchange> {
    let mut card = a.card_for(b);
    let key = card.message_keys.remove(0);
    card.message_keys.push(PeerMessageKey {
        last_index: Some(2),
        ..key
    });
    b.try_open(a, card, RecorderMode::Inline).unwrap()
}

#[tokio::test]
async fn what_was_refused_is_refused_again_and_not_said_twice() {
    let (mut a, mut b) = sides();
    let open = open_refusing;
    let mut right = open(&a, &b);
    let mut left = a.open(&b);
    let running = join(&left, &right);
    for number in 0..6 {
        submit(&left, letter(&b, number)).await.unwrap();
        quiet(&left, &right).await;
    }
    running.end().await;
    let (before_a, before_b) = (heads(&left), heads(&right));
    let (rows_a, rows_b) = (derived(&a), derived(&b));
    let mirror = entries(&right, LogSide::Mirror);
    assert_eq!(before_b.own.0, 3, "three REFUSALs");
    assert_eq!(mirror.iter().filter(|(_, refused, _)| *refused).count(), 3);

    drop(right);
    lose_disk(&mut b);
    right = open(&a, &b);
    flag_as_lost(&right).await;
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_eq!(heads(&right), before_b);
    assert_eq!(derived(&b), rows_b);
    assert_eq!(entries(&right, LogSide::Mirror), mirror);
    assert_eq!(heads(&left), before_a);

    // The other way, the peer does not keep the bodies that it refused.
    drop(left);
    lose_disk(&mut a);
    left = a.open(&b);
    flag_as_lost(&left).await;
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_eq!(heads(&left), before_a);
    assert_eq!(derived(&a), rows_a);
    let restored = link_of(&left).presence().restored.unwrap();
    assert_eq!(restored.bodies_absent, 3);
    assert_eq!((restored.own_fetched, restored.mirror_fetched), (6, 3));
}

#[tokio::test]
async fn entries_set_aside_outlast_a_peer_that_gives_some_back_without_receipts_and_then_lies() {
    let (_a, b, left, right) = set_back_behind(700).await;
    let mut told = Vec::new();
    for number in 0..3 {
        told.push(submit(&left, letter(&b, 900 + number)).await.unwrap().id);
    }
    let link = link_of(&left);
    // Noticed, then cut back.
    join(&left, &right).ended().await;
    join(&left, &right).ended().await;
    assert_eq!(left.waiting_aside(&link).unwrap(), 3);
    let bending = |mut frame: Frame| {
        if let Some(frame::Frame::Fetched(given)) = &mut frame.frame {
            if given.start_index < 100 {
                given.receipts.clear();
            } else {
                flip(&mut given.items[0].entry);
            }
        }
        Step::Pass(frame)
    };
    for _ in 0..3 {
        let running = join_over(&left, &right, wire(Step::Pass, bending));
        let end = running.ended().await.0;
        assert!(matches!(end, End::Refused(_)), "{end}");
        let head = link.head();
        assert!(head.own_size > 100, "what was proven stays");
        assert_eq!(head.delivered_size, 4);
        assert_eq!(left.waiting_aside(&link).unwrap(), 3);
    }
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
    assert_eq!(link.head().own_size, 704 + 3);
    for id in told {
        let (_, place) = left.find(id).unwrap().unwrap();
        assert!(
            matches!(place, Place::Log(LogSide::Own, 704..)),
            "{place:?}"
        );
    }
}

/// A node that lost what it had received, and a message of its own whose text lies in a file; `spoil`
/// does that file harm before the records are back.
async fn with_one_body_file(spoil: impl FnOnce(&std::path::Path)) -> (Side, Side, Arc<Exchange>) {
    let (a, b, left, right) = set_back_behind(10).await;
    let mut long = letter(&b, 50);
    let Some(v1::body::Body::OfficialLetter(body)) = long.body.as_mut().unwrap().body.as_mut()
    else {
        panic!("a letter")
    };
    let text = body.text.as_mut().unwrap();
    text.texts.insert("vi".to_owned(), "mẫu ".repeat(2_000));
    let blobs = a.dir.path().join("blobs");
    let files = || -> std::collections::BTreeSet<_> {
        let all = std::fs::read_dir(&blobs).unwrap();
        all.map(|file| file.unwrap().path())
            .filter(|path| path.is_file())
            .collect()
    };
    let before = files();
    submit(&left, long).await.unwrap();
    submit(&left, letter(&b, 51)).await.unwrap();
    let new: Vec<_> = files().difference(&before).cloned().collect();
    assert_eq!(new.len(), 1, "the body is in a file");
    spoil(&new[0]);
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
    let link = link_of(&left);
    assert_eq!(left.kept_aside(&link).unwrap(), 1);
    assert_eq!(link.head().own_size, 14 + 1);
    (a, b, left)
}

#[tokio::test]
async fn one_spoiled_body_file_does_not_keep_the_link_restoring() {
    let spoil = |file: &std::path::Path| std::fs::write(file, b"spoiled").unwrap();
    let (_a, _b, left) = with_one_body_file(spoil).await;
    let told = left.incidents(5).unwrap();
    let told = told
        .iter()
        .find(|i| i.what.contains("STAY SET ASIDE"))
        .unwrap();
    assert!(told.what.contains("gone or spoiled"), "{}", told.what);
}

#[tokio::test]
async fn a_file_that_is_gone_or_spoiled_with_what_is_set_aside_keeps_nobody_from_a_backup() {
    let gone = |file: &std::path::Path| std::fs::remove_file(file).unwrap();
    let (a, b, left) = with_one_body_file(gone).await;
    assert_eq!(left.find_damage(|_| ()).await.unwrap(), None);
    let dir = tempfile::tempdir().unwrap();
    let taken = back_up(&left, dir.path()).await;
    assert_eq!((taken.damaged.len(), taken.awaited), (0, 0));
    assert_whole(dir.path());
    // What is set aside comes back with the rest.
    drop(left);
    let (place, _) = restore_to(&a, dir.path(), vec![terms(&a, &b)]).unwrap();
    let left = place.open(&b);
    assert_eq!(left.kept_aside(&link_of(&left)).unwrap(), 1);
    assert_eq!(left.find_damage(|_| ()).await.unwrap(), None);

    // One that is spoiled is told, and missing from the backup.
    let spoil = |file: &std::path::Path| std::fs::write(file, b"spoiled").unwrap();
    let (_a, _b, left) = with_one_body_file(spoil).await;
    let dir = tempfile::tempdir().unwrap();
    let taken = back_up(&left, dir.path()).await;
    assert_eq!((taken.damaged.len(), taken.awaited), (1, 0));
    assert_whole(dir.path());
}

#[tokio::test]
async fn a_refusal_that_was_not_receipted_is_said_once_and_holds_whatever_the_entry_looks_like_now()
{
    for is_known_now in [false, true] {
        let (a, mut b) = sides();
        let left = a.open(&b);
        let mut right = open_refusing(&a, &b);
        for number in 0..6 {
            submit(&left, letter(&b, number)).await.unwrap();
        }
        // What the right side says itself never arrives.
        let cutting = |frame: Frame| match &frame.frame {
            Some(frame::Frame::Push(_)) => Step::Cut,
            _ => Step::Pass(frame),
        };
        join_over(&left, &right, wire(Step::Pass, cutting))
            .ended()
            .await;
        let mirror = entries(&right, LogSide::Mirror);
        assert_eq!(mirror.iter().filter(|(_, refused, _)| *refused).count(), 3);
        let said = entries(&right, LogSide::Own);
        assert_eq!((said.len(), heads(&right).delivered_size), (3, 0));
        drop(right);

        assert_eq!(salvage(&mut b, &a, &[], true), 3);
        right = if is_known_now {
            b.open(&a)
        } else {
            open_refusing(&a, &b)
        };
        let (_, running) = heal(&left, &right).await;
        running.end().await;
        assert_eq!(entries(&right, LogSide::Mirror), mirror);
        assert_eq!(entries(&right, LogSide::Own), said);
        assert_same_logs(&left, &right);
    }
}

#[tokio::test]
async fn a_mirror_given_up_midway_goes_on_from_its_latest_receipt() {
    let (mut a, mut b) = sides();
    let (mut left, mut right) = (a.open(&b), b.open(&a));
    let say = |right: Arc<Exchange>, to: std::ops::Range<usize>| {
        let letters: Vec<_> = to.map(|number| letter(&a, number)).collect();
        async move {
            for letter in letters {
                submit(&right, letter).await.unwrap();
            }
        }
    };
    let running = join(&left, &right);
    say(Arc::clone(&right), 0..4).await;
    quiet(&left, &right).await;
    running.end().await;
    say(Arc::clone(&right), 4..600).await;
    // 600 entries, of which four are receipted.
    let old_b = b.snapshot();
    let old_a = a.snapshot();
    let running = join(&left, &right);
    say(Arc::clone(&right), 600..700).await;
    quiet(&left, &right).await;
    running.end().await;
    drop(left);
    a.restore(old_a);
    left = a.open(&b);
    let link = link_of(&left);
    assert_eq!(link.head().mirror_size, 4);
    // Noticed. Then one piece comes back, without receipts, and the line breaks.
    join(&left, &right).ended().await;
    let mut pieces = 0;
    let cutting = move |mut frame: Frame| {
        if let Some(frame::Frame::Fetched(given)) = &mut frame.frame {
            pieces += 1;
            if pieces > 1 {
                return Step::Cut;
            }
            given.receipts.clear();
        }
        Step::Pass(frame)
    };
    join_over(&left, &right, wire(Step::Pass, cutting))
        .ended()
        .await;
    assert_eq!(link.head().mirror_size, 4 + 512);

    // The other side loses what it would have given back, and somebody gives that up.
    drop(right);
    b.restore(old_b);
    right = b.open(&a);
    let (end, _) = join(&left, &right).ended().await;
    assert!(matches!(end, End::Held(_)), "{end}");
    let officer = liaison::exchange::Author::new("operator/mai");
    left.release(&link, "they have lost it", &officer)
        .await
        .unwrap();
    let (end, _) = join(&left, &right).ended().await;
    assert!(matches!(end, End::Restored), "{end}");
    assert!(!restores(&left));
    // A bundle's Hello is made as a session's.
    export(&left).await;
    let (ends, running) = heal(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
    assert_eq!(heads(&left).mirror.0, 600, "{ends:?}");
    assert_eq!(heads(&right).delivered_size, 600);
}

/// Gives back entries that go on from nothing that was signed.
async fn join_with_lies(left: &Arc<Exchange>, right: &Arc<Exchange>) -> End {
    let lie = |mut frame: Frame| {
        if let Some(frame::Frame::Fetched(given)) = &mut frame.frame {
            let item = &mut given.items[0];
            let mut entry = <v1::Entry as prost::Message>::decode(&item.entry[..]).unwrap();
            let mut header = <v1::Header as prost::Message>::decode(&entry.payload[..]).unwrap();
            let (salt, body) = ([7; 32], vec![7; 60_000]);
            header.body_size = 60_000;
            header.body_digest = body_digest(&salt, &body).to_vec().into();
            entry.payload = prost::Message::encode_to_vec(&header).into();
            item.entry = prost::Message::encode_to_vec(&entry).into();
            (item.salt, item.body) = (salt.to_vec().into(), body.into());
        }
        Step::Pass(frame)
    };
    let running = join_over(left, right, wire(Step::Pass, lie));
    running.ended().await.0
}

#[tokio::test]
async fn what_does_not_fit_is_written_to_no_file_and_a_release_tries_as_often_again() {
    let (a, b) = rolled_back().await.again();
    let (left, right) = (a.open(&b), b.open(&a));
    let files = || {
        std::fs::read_dir(a.dir.path().join("blobs"))
            .unwrap()
            .count()
    };
    let before = files();
    // Noticed; what was recorded since is set aside.
    join(&left, &right).ended().await;
    join(&left, &right).ended().await;
    let mut lies = 0;
    let hold = loop {
        lies += 1;
        match join_with_lies(&left, &right).await {
            End::Held(hold) => break hold,
            End::Refused(_) if lies < 20 => {}
            end => panic!("{end}"),
        }
    };
    assert_eq!(files(), before, "a file that no entry names");
    assert_eq!(hold.code, FaultCode::RolledBack as i32);
    assert!(
        hold.text.contains("releasing only tries again"),
        "{}",
        hold.text
    );
    let officer = liaison::exchange::Author::new("operator/mai");
    left.release(&link_of(&left), "again", &officer)
        .await
        .unwrap();
    let end = join_with_lies(&left, &right).await;
    assert!(matches!(end, End::Refused(_)), "{end}");
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_no_damage() {
    let (a, b) = sides();
    let left = a.open(&b);
    let mut long = letter(&b, 50);
    let Some(v1::body::Body::OfficialLetter(body)) = long.body.as_mut().unwrap().body.as_mut()
    else {
        panic!("a letter")
    };
    let text = body.text.as_mut().unwrap();
    text.texts.insert("vi".to_owned(), "mẫu ".repeat(2_000));
    submit(&left, long).await.unwrap();
    assert_eq!(left.find_damage(|_| ()).await.unwrap(), None);
    let all = std::fs::read_dir(a.dir.path().join("blobs")).unwrap();
    let file = all
        .map(|file| file.unwrap().path())
        .find(|path| path.is_file())
        .unwrap();
    let elsewhere = a.dir.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    let is_unread = |found: Result<Option<String>, StoreError>| {
        assert!(matches!(found, Err(StoreError::Io { .. })), "{found:?}");
    };
    // Opens and cannot be read from; and what does not even open as a file.
    std::os::unix::fs::symlink("/proc/self/mem", &file).unwrap();
    is_unread(left.find_damage(|_| ()).await);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    is_unread(left.find_damage(|_| ()).await);
    std::fs::remove_dir(&file).unwrap();
    assert!(
        left.find_damage(|_| ()).await.unwrap().is_some(),
        "it is gone"
    );
    std::fs::rename(&elsewhere, &file).unwrap();
    assert_eq!(left.find_damage(|_| ()).await.unwrap(), None);
}
