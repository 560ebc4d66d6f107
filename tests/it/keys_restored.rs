//! Records that come back across changes of keys, of either side: from the peer, from an old copy, and
//! out of an old store; and how much a peer may make of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use liaison::crypto::keys::LogKey;
use liaison::exchange::channel::{self, FrameChannel};
use liaison::exchange::keys::NextKey;
use liaison::exchange::restore::salvage::{Salvage, SalvageLink};
use liaison::exchange::restore::{Claim, Restoring};
use liaison::exchange::session::End;
use liaison::exchange::{Author, Exchange, LogSide};
use liaison::proto::v1::{self, FaultCode, Frame, KeyRole, LogOf, frame};
use liaison::store::{Marks, MemoryStore};
use prost::Message as _;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::keys::{assert_same_histories, next_log, next_message, public, rotate};
use crate::recover::{
    Heads, derived, flag_as_lost, flip, heads, heal, lose_disk, restores, traffic,
};
use crate::sides::{
    Side, Snapshot, Step, assert_same_logs, join, join_over, letter, link_of, patiently, quiet,
    run_end, sides, submit, temp_dir, up, wire,
};

/// A process of a side that holds these keys, the last of each role alone.
fn open_with(side: &Side, peer: &Side, keys: &[NextKey]) -> Arc<Exchange> {
    let node = side.open(peer);
    for key in keys {
        node.ring().add(key.clone());
        node.ring().keep_only(key.role(), &public(key));
    }
    node
}

/// Whose keys have changed since the old copy was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Peers,
    Both,
}

/// Two sides whose keys changed under traffic, and the first one's disk from before.
struct Changed {
    a: Side,
    b: Side,
    keys: [Vec<NextKey>; 2],
    left: Arc<Exchange>,
    right: Arc<Exchange>,
    early: Snapshot,
    heads: Heads,
}

async fn changed(whose: Whose) -> Changed {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    up(&left, &right).await;
    traffic(&left, &right, (&a, &b), 5).await;
    let early = a.snapshot();
    let mut keys = [Vec::new(), Vec::new()];
    for round in 0..2 {
        let of = |seed: u8| [next_message(seed + round), next_log(seed + 4 + round)];
        if whose != Whose::Peers {
            for key in of(200) {
                rotate(&left, &key).await;
                keys[0].push(key);
            }
        }
        traffic(&left, &right, (&a, &b), 12).await;
        if whose != Whose::Own {
            for key in of(220) {
                rotate(&right, &key).await;
                keys[1].push(key);
            }
        }
        traffic(&left, &right, (&a, &b), 12).await;
    }
    // More than one answer holds.
    traffic(&left, &right, (&a, &b), 560).await;
    running.end().await;
    let heads = heads(&left);
    Changed {
        a,
        b,
        keys,
        left,
        right,
        early,
        heads,
    }
}

#[tokio::test]
async fn a_lost_store_comes_back_across_changes_of_keys() {
    for whose in [Whose::Own, Whose::Peers, Whose::Both] {
        let mut of = changed(whose).await;
        let (before, rows) = (of.heads, derived(&of.a));
        drop((of.left, of.right));
        lose_disk(&mut of.a);
        let left = open_with(&of.a, &of.b, &of.keys[0]);
        let right = open_with(&of.b, &of.a, &of.keys[1]);
        flag_as_lost(&left).await;
        let (ends, running) = heal(&left, &right).await;
        running.end().await;
        assert_eq!(heads(&left), before, "{whose:?} {ends:?}");
        assert_eq!(derived(&of.a), rows, "{whose:?}");
        assert_same_histories(&left, &right);
        drop(left);
        // Read from the disk again, it is the same; and it goes on.
        let left = open_with(&of.a, &of.b, &of.keys[0]);
        assert_eq!(heads(&left), before);
        let running = join(&left, &right);
        traffic(&left, &right, (&of.a, &of.b), 5).await;
        running.end().await;
        assert_same_logs(&left, &right);
    }
}

#[tokio::test]
async fn a_mirror_cosigned_by_a_key_between_comes_back_with_that_key() {
    let (mut a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    up(&left, &right).await;
    traffic(&left, &right, (&a, &b), 5).await;
    rotate(&left, &next_log(210)).await;
    traffic(&left, &right, (&a, &b), 5).await;
    // The peer says nothing since: its newest checkpoint bears no cosignature by this one.
    let newest = next_log(211);
    rotate(&left, &newest).await;
    quiet(&left, &right).await;
    running.end().await;
    let before = heads(&left);
    let head = link_of(&left).head();
    let sizes = (head.own_size, head.mirror_size);
    drop(left);
    lose_disk(&mut a);
    let left = open_with(&a, &b, std::slice::from_ref(&newest));
    // As the marks of the lost store say.
    let lost = Restoring {
        why: "the store was lost".to_owned(),
        own_claimed: sizes.0,
        mirror_claimed: sizes.1,
        ..Restoring::default()
    };
    left.begin_restoring(&link_of(&left), lost).await.unwrap();
    let (ends, running) = heal(&left, &right).await;
    running.end().await;
    assert_eq!(heads(&left), before, "{ends:?}");
    assert_same_histories(&left, &right);
}

#[tokio::test]
async fn an_old_copy_from_before_changes_of_keys_is_filled_up() {
    for whose in [Whose::Own, Whose::Peers, Whose::Both] {
        let mut of = changed(whose).await;
        let (before, rows) = (of.heads, derived(&of.a));
        drop((of.left, of.right));
        of.a.restore(of.early);
        let left = open_with(&of.a, &of.b, &of.keys[0]);
        let right = open_with(&of.b, &of.a, &of.keys[1]);
        let (left_end, right_end) = join(&left, &right).ended().await;
        assert!(
            matches!(left_end, End::Restoring(_)),
            "{whose:?} {left_end}"
        );
        assert!(
            matches!(&right_end, End::PeerFault(fault) if fault.code() == FaultCode::Restoring),
            "{whose:?} {right_end}"
        );
        let (ends, running) = heal(&left, &right).await;
        running.end().await;
        assert_eq!(heads(&left), before, "{whose:?} {ends:?}");
        assert_eq!(derived(&of.a), rows, "{whose:?}");
        assert_same_histories(&left, &right);
    }
}

/// The first session notes what is missing; in the next ones the peer bends what it gives.
async fn bent(bend: impl Fn(&mut Frame) + Clone + Send + 'static) -> (End, Arc<Exchange>) {
    let mut of = changed(Whose::Peers).await;
    drop((of.left, of.right));
    of.a.restore(of.early);
    let left = open_with(&of.a, &of.b, &[]);
    let right = open_with(&of.b, &of.a, &of.keys[1]);
    join(&left, &right).ended().await;
    assert!(restores(&left));
    let before = heads(&left);
    let bending = move |mut frame: Frame| {
        bend(&mut frame);
        Step::Pass(frame)
    };
    let running = join_over(&left, &right, wire(Step::Pass, bending));
    let end = running.ended().await.0;
    assert_eq!(heads(&left), before, "something was kept");
    (end, left)
}

fn given(frame: &mut Frame) -> Option<&mut v1::Fetched> {
    match &mut frame.frame {
        Some(frame::Frame::Fetched(given)) => Some(given),
        _ => None,
    }
}

/// Where the change of keys stands in an answer.
fn change_in(given: &v1::Fetched) -> Option<usize> {
    let mut items = given.items.iter();
    items.position(|item| liaison::crypto::history::may_be_change(&item.entry))
}

#[tokio::test]
async fn keys_are_learned_only_from_what_this_node_cosigned() {
    type Bend = fn(&mut Frame);
    let bends: [(&str, Bend); 5] = [
        ("another entry", |frame| {
            if let Some(given) = given(frame) {
                flip(&mut given.items[0].entry);
            }
        }),
        ("one less", |frame| {
            if let Some(given) = given(frame) {
                drop(given.items.remove(1));
            }
        }),
        ("no body of a change", |frame| {
            if let Some(given) = given(frame)
                && let Some(at) = change_in(given)
            {
                given.items[at].erased = true;
                given.items[at].body = Vec::new().into();
                given.items[at].salt = Vec::new().into();
            }
        }),
        ("another body of a change", |frame| {
            if let Some(given) = given(frame)
                && let Some(at) = change_in(given)
            {
                flip(&mut given.items[at].body);
            }
        }),
        ("a proof", |frame| {
            if let Some(given) = given(frame) {
                given.consistency.push(vec![7; 32].into());
            }
        }),
    ];
    for (name, bend) in bends {
        let (end, _) = bent(bend).await;
        assert!(matches!(end, End::Refused(_)), "{name}: {end}");
    }
    // Nothing that this node cosigned is shown: nothing can be learned, and a person must look.
    let (end, left) = bent(|frame| {
        if let Some(frame::Frame::Hello(hello)) = &mut frame.frame {
            hello.own_checkpoint = String::new();
        }
    })
    .await;
    let End::Held(hold) = &end else {
        panic!("{end}")
    };
    assert_eq!(hold.code, FaultCode::RolledBack as i32);
    assert!(hold.text.contains("does not show"), "{}", hold.text);
    assert!(restores(&left));
}

#[tokio::test]
async fn a_change_of_keys_never_comes_back_without_its_body() {
    // Of the own log as of the peer's: else the keys would be others than they were.
    for side in [LogSide::Own, LogSide::Mirror] {
        let of = changed(Whose::Both).await;
        let (mut a, b, keys) = (of.a, of.b, of.keys);
        drop((of.left, of.right));
        lose_disk(&mut a);
        let left = open_with(&a, &b, &keys[0]);
        let right = open_with(&b, &a, &keys[1]);
        flag_as_lost(&left).await;
        let author = match side {
            LogSide::Own => a.name.to_string(),
            LogSide::Mirror => b.name.to_string(),
        };
        let without = move |mut frame: Frame| {
            let items = given(&mut frame).map(|given| given.items.iter_mut());
            for item in items.into_iter().flatten() {
                let entry = v1::Entry::decode(item.entry.clone()).unwrap();
                let header = v1::Header::decode(entry.payload).unwrap();
                if header.sender == author && header.kind == v1::Kind::KeyChange as i32 {
                    item.erased = true;
                    item.body = Vec::new().into();
                    item.salt = Vec::new().into();
                }
            }
            Step::Pass(frame)
        };
        let running = join_over(&left, &right, wire(Step::Pass, without));
        let end = running.ended().await.0;
        let refused = matches!(&end, End::Refused(text) if text.contains("change of keys"));
        assert!(refused, "{end}");
        assert_eq!(link_of(&left).key_history(side).changes().len(), 0);
    }
}

/// A new store of a side, filled from what its old one still gives.
pub(crate) fn salvage(side: &mut Side, peer: &Side, at_hand: &[NextKey], with_store: bool) -> u64 {
    let marks = Marks::open(side.dir.path()).unwrap();
    let new = MemoryStore::new();
    let at_hand = at_hand.iter().filter_map(|key| match key {
        NextKey::Message(key) => Some(key.verifier(&side.name)),
        NextKey::Log(_) => None,
    });
    let vault = side.vault();
    let salvage = Salvage {
        old: with_store.then_some(&side.store),
        marks: Some(&marks),
        new: &new,
        vault: Some(&vault),
        node: &side.name,
        at_hand: at_hand.collect(),
        why: "the store was lost",
        at_ms: 1,
    };
    let link = SalvageLink {
        peer: peer.name.clone(),
        own_start: side.card_for(peer).start(),
    };
    let found = salvage.run(&[link]).unwrap();
    assert_eq!((found.spoiled, found.trouble), (0, None));
    side.store = new;
    side.dir = temp_dir();
    Marks::create(side.dir.path()).unwrap();
    found.own_entries
}

#[tokio::test]
async fn entries_signed_by_an_older_key_are_salvaged_with_the_change_between_them() {
    let (mut a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    up(&left, &right).await;
    let first = next_message(201);
    traffic(&left, &right, (&a, &b), 5).await;
    rotate(&left, &first).await;
    quiet(&left, &right).await;
    running.end().await;
    let delivered = link_of(&left).head().own_size;
    // The peer is away: by the first key, by the second one, and by the one after that.
    submit(&left, letter(&b, 10)).await.unwrap();
    let (next, last) = (next_message(202), next_log(203));
    for key in [&next, &last] {
        left.announce_key(&link_of(&left), key, "").await.unwrap();
        left.retire_keys(&link_of(&left)).await.unwrap();
    }
    submit(&left, letter(&b, 11)).await.unwrap();
    let own = link_of(&left).tree(LogSide::Own);
    let history = link_of(&left).key_history(LogSide::Own);
    drop(left);
    let keys = [next, last];
    let found = salvage(&mut a, &b, &keys, true);
    assert_eq!(found, own.size() - delivered);
    let left = a.open(&b);
    for key in &keys {
        left.ring().add(key.clone());
    }
    let (_, running) = heal(&left, &right).await;
    let link = link_of(&left);
    assert_eq!(left.kept_aside(&link).unwrap(), 0);
    let is = link.tree(LogSide::Own);
    assert_eq!((is.size(), is.root()), (own.size(), own.root()));
    assert_eq!(link.key_history(LogSide::Own), history);
    running.end().await;
    assert_same_logs(&left, &right);
    assert_same_histories(&left, &right);
}

#[tokio::test]
async fn what_stays_aside_keeps_who_wrote_it() {
    let (mut a, b) = sides();
    let right = b.open(&a);
    let mut left = a.open(&b);
    let running = join(&left, &right);
    up(&left, &right).await;
    traffic(&left, &right, (&a, &b), 5).await;
    let old = a.snapshot();
    let next = next_message(201);
    rotate(&left, &next).await;
    quiet(&left, &right).await;
    running.end().await;
    drop(left);
    // The old copy, where the key holds that has ended since; it is still at hand.
    a.restore(old);
    left = a.open(&b);
    left.ring().add(next);
    submit(&left, letter(&b, 50)).await.unwrap();
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    let link = link_of(&left);
    assert_eq!(left.kept_aside(&link).unwrap(), 1);
    let restored = link.presence().restored.unwrap();
    assert_eq!(
        (restored.key_ended, restored.appended, restored.aside),
        (1, 0, 0)
    );
    let told = left.incidents(3).unwrap();
    let told = told.iter().find(|i| i.what.contains("STAY SET ASIDE"));
    assert!(told.unwrap().what.contains("had ended"));
    // Region Z, link 1, part 8: who submitted the one kept in part 6.
    let rows = a.store.records();
    let author = rows.iter().find(|(key, _)| key.starts_with(b"Z\0\x01\x08"));
    assert_eq!(author.unwrap().1, "operator/mẫu".as_bytes());
}

/// Entries of the first side that the second has mirrored and cosigned; the cosignature never came.
async fn cosigned_and_never_sent() -> (Side, Side, Arc<Exchange>, u64) {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    up(&left, &right).await;
    traffic(&left, &right, (&a, &b), 5).await;
    running.end().await;
    for number in 0..4 {
        submit(&left, letter(&b, 10 + number)).await.unwrap();
    }
    let cut = |frame: Frame| match frame.frame {
        Some(frame::Frame::Cosigned(_)) => Step::Cut,
        _ => Step::Pass(frame),
    };
    join_over(&left, &right, wire(Step::Pass, cut))
        .ended()
        .await;
    // What was kept is flushed when the process ends.
    let mirror_size = link_of(&right).head().mirror_size;
    assert_eq!(mirror_size, link_of(&left).head().own_size);
    assert!(link_of(&left).head().delivered_size < mirror_size);
    drop(right);
    (a, b, left, mirror_size)
}

#[tokio::test]
async fn a_cosignature_that_never_left_blames_no_peer() {
    let (a, mut b, left, mirror_size) = cosigned_and_never_sent().await;
    salvage(&mut b, &a, &[], true);
    let right = b.open(&a);
    assert!(restores(&right));
    let (ends, running) = heal(&left, &right).await;
    running.end().await;
    assert!(
        ends.iter().all(|(_, right)| !matches!(right, End::Held(_))),
        "{ends:?}"
    );
    assert_same_logs(&left, &right);
    assert_eq!(link_of(&right).head().mirror_size, mirror_size);
    assert_eq!(link_of(&left).head().delivered_size, mirror_size);
    for node in [&left, &right] {
        assert_eq!(link_of(node).presence().rolled_back_to, None);
        let told = node.incidents(20).unwrap();
        let blames = told.iter().find(|i| i.what.contains("rolled back"));
        assert!(blames.is_none(), "{blames:?}");
    }
}

#[tokio::test]
async fn a_mirror_that_stays_shorter_than_its_mark_holds_the_link() {
    let (a, mut b, left, mirror_size) = cosigned_and_never_sent().await;
    // Of the old store there is nothing but the marks.
    salvage(&mut b, &a, &[], false);
    let right = b.open(&a);
    let end = loop {
        let (_, right_end) = join(&left, &right).ended().await;
        if !matches!(right_end, End::Restoring(_)) {
            break right_end;
        }
    };
    let held = right
        .held(&link_of(&right))
        .unwrap_or_else(|| panic!("{end}"));
    assert_eq!(held.code, FaultCode::RolledBack as i32);
    assert_eq!(held.origin, link_of(&right).mirror.to_string());
    let text = format!("{mirror_size} entries of");
    assert!(held.text.contains(&text), "{}", held.text);
    assert!(held.text.contains("nobody's fault"), "{}", held.text);
    right
        .release(
            &link_of(&right),
            "they have all of it",
            &Author::new("operator/mai"),
        )
        .await
        .unwrap();
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);

    // One as long as its mark is like any other.
    let (a, mut b, left, _) = cosigned_and_never_sent().await;
    let right = b.open(&a);
    let running = join(&left, &right);
    quiet(&left, &right).await;
    running.end().await;
    drop(right);
    salvage(&mut b, &a, &[], false);
    let right = b.open(&a);
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert!(right.held(&link_of(&right)).is_none());
}

#[tokio::test]
async fn a_mirror_of_another_tree_than_its_mark_holds_as_well() {
    let (a, mut b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    traffic(&left, &right, (&a, &b), 5).await;
    running.end().await;
    drop(right);
    lose_disk(&mut b);
    let right = b.open(&a);
    let restoring = Restoring {
        why: "the store was lost".to_owned(),
        mirror_claimed: 3,
        mirror_mark: Some(Claim {
            size: 3,
            root: [7; 32],
        }),
        ..Restoring::default()
    };
    right
        .begin_restoring(&link_of(&right), restoring)
        .await
        .unwrap();
    while restores(&right) {
        join(&left, &right).ended().await;
    }
    let held = right.held(&link_of(&right)).unwrap();
    assert!(held.text.contains("another tree"), "{}", held.text);
}

#[tokio::test]
async fn a_peer_can_keep_nobody_busy_while_records_come_back() {
    // Small pieces, one entry at a time.
    let mut of = changed(Whose::Own).await;
    drop((of.left, of.right));
    of.a.restore(of.early);
    let left = open_with(&of.a, &of.b, &of.keys[0]);
    let right = open_with(&of.b, &of.a, &[]);
    join(&left, &right).ended().await;
    let crumbs = |mut frame: Frame| {
        if let Some(given) = given(&mut frame) {
            given.items.truncate(1);
            given.receipts.truncate(1);
        }
        Step::Pass(frame)
    };
    let before = heads(&left);
    let running = join_over(&left, &right, wire(Step::Pass, crumbs));
    let end = running.ended().await.0;
    assert!(matches!(end, End::Refused(_)), "{end}");
    assert!(heads(&left).own.0 <= before.own.0 + 1);

    // The same again and again: the one who gives has had enough.
    let ask = v1::Fetch {
        log: LogOf::Listener as i32,
        target_size: 2,
        ..v1::Fetch::default()
    };
    let (near, far) = channel::pair();
    let running = run_end(&right, left.node(), far, &CancellationToken::new());
    let FrameChannel {
        outgoing,
        mut incoming,
    } = near;
    let hello = frame::Frame::Hello(hello_that_restores(&left));
    outgoing.send(framed(hello)).await.unwrap();
    let mut answers = 0;
    let talk = async {
        while let Some(Ok(_)) = incoming.next().await {
            answers += 1;
            let ask = framed(frame::Frame::Fetch(ask));
            if outgoing.send(ask).await.is_err() {
                break;
            }
        }
        running.await.unwrap()
    };
    let end = patiently(talk).await;
    let enough = matches!(&end, End::Refused(text) if text.contains("again and again"));
    assert!(enough, "{end}");
    assert!(answers < 12, "{answers}");
}

fn framed(frame: frame::Frame) -> Frame {
    Frame { frame: Some(frame) }
}

fn hello_that_restores(node: &Exchange) -> v1::Hello {
    v1::Hello {
        version_min: 1,
        version_max: 1,
        node: node.node().to_string(),
        sent_at: Some(node.clock().timestamp()),
        restoring: v1::Restoring::Records as i32,
        ..v1::Hello::default()
    }
}

#[tokio::test]
async fn a_retired_log_key_signs_nothing_and_opens_what_was_sealed_to_it() {
    let (a, b) = sides();
    let left = a.open(&b);
    let old = left.ring().log()[0].public();
    let key = NextKey::Log(Arc::new(LogKey::from_seed(&[77; 32])));
    left.ring().add(key.clone());
    left.ring().keep_only(KeyRole::Log, &public(&key));
    assert!(left.ring().log().iter().all(|key| key.public() != old));
    assert!(
        left.ring()
            .retired_log()
            .iter()
            .any(|key| key.public() == old)
    );
}
