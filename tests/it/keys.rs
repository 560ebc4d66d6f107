//! Keys that change while two nodes speak: rotation under traffic, over crashes, cuts and disks put
//! back; revocation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use bytes::Bytes;
use liaison::crypto::history::KeyHistory;
use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::crypto::{change, dsse};
use liaison::exchange::bundle::Since;
use liaison::exchange::clock::Entropy;
use liaison::exchange::keys::{NextKey, RetiredKeys};
use liaison::exchange::rotate::Stage;
use liaison::exchange::session::End;
use liaison::exchange::view::Detail;
use liaison::exchange::{Exchange, LogSide};
use liaison::limits::{RUN_ENTRIES_READY, WINDOW_BYTES_MAX};
use liaison::proto::v1::{self, KeyAction, KeyChange, KeyRole, RefusalReason};
use prost::Message as _;

use crate::hostile::Hostile;
use crate::recover::heal;
use crate::sides::{
    Running, Side, assert_same_logs, join, letter, link_of, patiently, quiet, sides, submit, up,
};

pub(crate) fn next_message(seed: u8) -> NextKey {
    NextKey::Message(Arc::new(MessageKey::from_seed(&[seed; 32])))
}

pub(crate) fn next_log(seed: u8) -> NextKey {
    NextKey::Log(Arc::new(LogKey::from_seed(&[seed; 32])))
}

pub(crate) fn public(key: &NextKey) -> [u8; 32] {
    match key {
        NextKey::Message(key) => key.public().to_bytes(),
        NextKey::Log(key) => key.public().to_bytes(),
    }
}

/// Announces a key, and waits until it is the only one.
pub(crate) async fn rotate(node: &Arc<Exchange>, next: &NextKey) {
    let link = link_of(node);
    node.announce_key(&link, next, "").await.unwrap();
    let mut heads = link.watch_head();
    let alone = async {
        loop {
            node.retire_keys(&link).await.unwrap();
            if node.stage_of_key(&link, &public(next), next.role()) == Stage::Alone {
                return;
            }
            heads.changed().await.unwrap();
        }
    };
    patiently(alone).await;
}

/// Both sides find the same history of each log.
pub(crate) fn assert_same_histories(a: &Exchange, b: &Exchange) {
    for (mine, theirs) in [(a, b), (b, a)] {
        let own = link_of(mine).key_history(LogSide::Own);
        assert_eq!(own, link_of(theirs).key_history(LogSide::Mirror));
    }
}

fn open_of(history: &KeyHistory, role: KeyRole) -> Vec<[u8; 32]> {
    let open = history.keys().iter();
    open.filter(|key| key.role == role && key.is_open())
        .map(|key| key.vkey.public().to_bytes())
        .collect()
}

pub(crate) async fn say(from: &Arc<Exchange>, to: &Side, numbers: std::ops::Range<usize>) {
    for number in numbers {
        submit(from, letter(to, number)).await.unwrap();
    }
}

#[tokio::test]
async fn keys_change_under_traffic_and_the_old_ones_are_needed_no_more() {
    let (x, y) = sides();
    let (a, b) = (x.open(&y), y.open(&x));
    let running = join(&a, &b);
    up(&a, &b).await;
    say(&a, &y, 0..3).await;
    say(&b, &x, 0..3).await;
    let next = [next_message(201), next_log(202)];
    for key in &next {
        let talk = async {
            say(&a, &y, 10..40).await;
            say(&b, &x, 10..40).await;
        };
        tokio::join!(rotate(&a, key), talk);
    }
    let theirs = [next_message(203), next_log(204)];
    tokio::join!(
        async {
            for key in &theirs {
                rotate(&b, key).await;
            }
        },
        say(&a, &y, 50..90)
    );
    quiet(&a, &b).await;
    assert_same_logs(&a, &b);
    assert_same_histories(&a, &b);
    let history = link_of(&a).key_history(LogSide::Own);
    assert_eq!(history.changes().len(), 4);
    assert_eq!(open_of(&history, KeyRole::Message), [public(&next[0])]);
    assert_eq!(open_of(&history, KeyRole::Log), [public(&next[1])]);
    let (left, right) = running.end().await;
    assert!(matches!(left, End::ShuttingDown), "{left}");
    assert!(matches!(right, End::ShuttingDown), "{right}");
    drop((a, b));

    // A restart with the new keys alone.
    let (a, b) = (x.open(&y), y.open(&x));
    assert_same_histories(&a, &b);
    for (node, next) in [(&a, &next), (&b, &theirs)] {
        for key in next {
            node.ring().add(key.clone());
            node.ring().keep_only(key.role(), &public(key));
        }
    }
    let running = join(&a, &b);
    up(&a, &b).await;
    say(&a, &y, 100..110).await;
    say(&b, &x, 100..110).await;
    quiet(&a, &b).await;
    assert_same_logs(&a, &b);
    running.end().await;
}

#[tokio::test]
async fn a_peer_that_was_away_or_lost_its_mirror_verifies_everything_in_order() {
    let (x, mut y) = sides();
    let (a, b) = (x.open(&y), y.open(&x));
    let running = join(&a, &b);
    up(&a, &b).await;
    say(&a, &y, 0..5).await;
    quiet(&a, &b).await;
    running.end().await;
    drop(b);
    let early = y.snapshot();

    // Offline meanwhile: what is said, and the changes, wait.
    say(&a, &y, 10..20).await;
    let next = [next_message(201), next_log(202)];
    for key in &next {
        a.announce_key(&link_of(&a), key, "").await.unwrap();
        a.retire_keys(&link_of(&a)).await.unwrap();
    }
    say(&a, &y, 20..30).await;
    let b = y.open(&x);
    let running = join(&a, &b);
    up(&a, &b).await;
    for key in &next {
        rotate(&a, key).await;
    }
    say(&a, &y, 30..40).await;
    quiet(&a, &b).await;
    assert_same_histories(&a, &b);
    running.end().await;
    drop((a, b));

    // The mirror goes back behind every change, and the old keys are gone: it gets back what it cosigned.
    y.restore(early);
    let (a, b) = (x.open(&y), y.open(&x));
    for key in &next {
        a.ring().add(key.clone());
        a.ring().keep_only(key.role(), &public(key));
    }
    let (ends, running) = heal(&a, &b).await;
    let restored = ends.iter().any(|(_, b)| matches!(b, End::Restored));
    assert!(restored, "{ends:?}");
    assert_same_logs(&a, &b);
    assert_same_histories(&a, &b);
    running.end().await;
}

#[tokio::test]
async fn the_recovery_key_wins_over_whoever_holds_the_others() {
    let (x, y) = sides();
    let (a, b) = (x.open(&y), y.open(&x));
    let running = join(&a, &b);
    up(&a, &b).await;
    say(&a, &y, 0..3).await;
    // A thief changes the keys as the owner would, and would shut him out.
    let stolen = [next_message(231), next_log(232)];
    for key in &stolen {
        rotate(&a, key).await;
    }
    quiet(&a, &b).await;
    let owner = [next_message(201), next_log(202)];
    for key in &owner {
        let link = link_of(&a);
        let mut change = a.prepare_revocation(&link, key, "stolen").unwrap().unwrap();
        let signature = change::sign(&x.recovery(), &link.own, &change).unwrap();
        change.recovery_signature = signature.to_vec().into();
        a.revoke_key(&link, key, change).await.unwrap();
        a.ring().keep_only(key.role(), &public(key));
    }
    say(&a, &y, 10..20).await;
    say(&b, &x, 10..20).await;
    quiet(&a, &b).await;
    assert_same_logs(&a, &b);
    assert_same_histories(&a, &b);
    let history = link_of(&b).key_history(LogSide::Mirror);
    assert_eq!(open_of(&history, KeyRole::Message), [public(&owner[0])]);
    assert_eq!(open_of(&history, KeyRole::Log), [public(&owner[1])]);
    assert_eq!(b.incidents(10).unwrap().len(), 0);
    running.end().await;
}

/// Where the log key of before lies after a revocation.
#[derive(Debug)]
struct Shelf(Arc<LogKey>);

impl RetiredKeys for Shelf {
    fn log_keys(&self) -> Vec<Arc<LogKey>> {
        vec![Arc::clone(&self.0)]
    }
}

/// A letter of 60 kB.
fn long_letter(to: &Side, number: usize) -> v1::Draft {
    let mut letter = letter(to, number);
    let body = letter.body.as_mut().and_then(|body| body.body.as_mut());
    let Some(v1::body::Body::OfficialLetter(body)) = body else {
        unreachable!("it is one")
    };
    let text = body.text.as_mut().unwrap();
    text.texts.insert("en".to_owned(), "m".repeat(60_000));
    body.common
        .as_mut()
        .unwrap()
        .languages
        .push("en".to_owned());
    body.subject
        .as_mut()
        .unwrap()
        .texts
        .insert("en".to_owned(), "sample".to_owned());
    letter
}

/// A new log key in the place of the old one, by the word of the recovery key.
async fn revoke_as_stolen(side: &Side, node: &Arc<Exchange>, next: &NextKey) {
    let link = link_of(node);
    let mut change = node
        .prepare_revocation(&link, next, "stolen")
        .unwrap()
        .unwrap();
    let signature = change::sign(&side.recovery(), &link.own, &change).unwrap();
    change.recovery_signature = signature.to_vec().into();
    node.revoke_key(&link, next, change).await.unwrap();
}

#[tokio::test]
async fn what_waits_behind_a_revocation_goes_under_the_key_that_held() {
    let (x, y) = sides();
    let (a, b) = (x.open(&y), y.open(&x));
    let running = join(&a, &b);
    up(&a, &b).await;
    say(&a, &y, 0..3).await;
    quiet(&a, &b).await;
    running.end().await;
    // More than a window holds; then the log key is revoked.
    let waiting = WINDOW_BYTES_MAX / 60_000 + 20;
    for number in 0..waiting {
        submit(&a, long_letter(&y, number)).await.unwrap();
    }
    let old = Arc::clone(&a.ring().log()[0]);
    let next = next_log(202);
    revoke_as_stolen(&x, &a, &next).await;
    let link = link_of(&a);
    a.let_go_of_keys(KeyRole::Log, &public(&next));
    assert_eq!(a.entries_without_log_key(&link), 0);
    // A bundle carries it.
    let (parts, mut taken) = tokio::sync::mpsc::channel(4);
    let (made, ()) = tokio::join!(a.export_bundle(&link, Since::Receipt, parts), async {
        while taken.recv().await.is_some() {}
    });
    let made = made.unwrap();
    assert_eq!(made.end_index - made.start_index, waiting as u64 + 1);
    drop((a, link));

    // After a restart the key in use is another one; the one of before lies beside it.
    let a = x.open(&y);
    a.ring().add(next.clone());
    a.ring().keep_only(KeyRole::Log, &public(&next));
    assert_eq!(a.entries_without_log_key(&link_of(&a)), waiting as u64);
    a.ring().shelve(Arc::new(Shelf(old)));
    a.take_back_log_keys();
    assert_eq!(a.entries_without_log_key(&link_of(&a)), 0);
    let running = join(&a, &b);
    up(&a, &b).await;
    quiet(&a, &b).await;
    assert_same_logs(&a, &b);
    assert_same_histories(&a, &b);
    running.end().await;
    // Once the peer has it all, the old key signs nothing, after another restart either.
    a.let_go_of_ended_log_keys();
    a.take_back_log_keys();
    let at_hand: Vec<_> = a.ring().log().iter().map(|key| key.public()).collect();
    assert_eq!(at_hand.len(), 1);
    assert_eq!(at_hand[0].as_bytes(), &public(&next));
}

/// What the ended key would have to sign goes without a checkpoint, and what follows does not wait for it to be
/// cosigned.
#[tokio::test]
async fn few_entries_do_not_wait_behind_a_push_that_nobody_can_sign() {
    let (x, y) = sides();
    let (a, b) = (x.open(&y), y.open(&x));
    let running = join(&a, &b);
    up(&a, &b).await;
    quiet(&a, &b).await;
    running.end().await;
    // More than one push.
    say(&a, &y, 0..RUN_ENTRIES_READY + 10).await;
    let next = next_log(203);
    revoke_as_stolen(&x, &a, &next).await;
    drop(a);
    let a = x.open(&y);
    a.ring().add(next.clone());
    a.ring().keep_only(KeyRole::Log, &public(&next));
    say(&a, &y, 1_000..1_003).await;
    assert!(a.entries_without_log_key(&link_of(&a)) > 0);
    let running = join(&a, &b);
    up(&a, &b).await;
    quiet(&a, &b).await;
    assert_same_logs(&a, &b);
    running.end().await;
}

/// An item that says a change of the hostile side's keys, signed by one of its message keys.
fn change_item(peer: &mut Hostile<'_>, by: &MessageKey, change: &KeyChange) -> v1::Item {
    let mut forge = peer.forge();
    forge.header.kind = v1::Kind::KeyChange as i32;
    "liaison.v1.KeyChange".clone_into(&mut forge.header.schema);
    forge.body = change.encode_to_vec();
    let forge = forge.state_body();
    let payload = Bytes::from(forge.header.encode_to_vec());
    forge.item(dsse::sign(by, payload).unwrap().bytes.clone())
}

fn signed_by(peer: &mut Hostile<'_>, keys: &[MessageKey]) -> v1::Item {
    let forge = peer.forge();
    let payload = Bytes::from(forge.header.encode_to_vec());
    let mut signed = keys.iter().map(|key| {
        let one = dsse::sign(key, payload.clone()).unwrap();
        v1::Entry::decode(one.bytes.clone()).unwrap()
    });
    let mut entry = signed.next().unwrap();
    let further: Vec<_> = signed.flat_map(|entry| entry.signatures).collect();
    entry.signatures.extend(further);
    forge.item(entry.encode_to_vec().into())
}

#[tokio::test]
async fn a_hostile_peers_changes_are_refused_and_those_that_count_do_whatever_they_came_in() {
    let (x, y) = sides();
    let node = x.open(&y);
    let mut peer = Hostile::meet(&y, &x, &node).await;
    let old = y.keys().message;
    let next = MessageKey::from_seed(&[201; 32]);
    let mut change = KeyChange {
        role: KeyRole::Message as i32,
        action: KeyAction::Add as i32,
        old_vkey: old.verifier(&y.name).to_string(),
        new_vkey: next.verifier(&y.name).to_string(),
        ..KeyChange::default()
    };
    let origin = y.origin_to(&x);
    change.old_key_signature = change::sign(&old, &origin, &change)
        .unwrap()
        .to_vec()
        .into();
    // Without proof of possession; then an entry by the key that it would have brought.
    change.new_key_signature = vec![7; 64].into();
    let bad = change_item(&mut peer, &old, &change);
    let by_next = signed_by(&mut peer, std::slice::from_ref(&next));
    peer.push(vec![bad, by_next]).await;
    peer.hear(2).await;
    let reasons = |peer: &Hostile<'_>| -> Vec<_> {
        let refusals = peer.refusals().into_iter();
        refusals.map(|(_, refusal)| refusal.reason()).collect()
    };
    let told = [RefusalReason::KeyChange, RefusalReason::BadSignature];
    assert_eq!(reasons(&peer), told);
    assert_eq!(
        link_of(&node).key_history(LogSide::Mirror).changes().len(),
        0
    );

    // With it, but under an id that was used: no message, and yet the change counts, at once for
    // what stands behind it in the same run.
    change.new_key_signature = change::sign(&next, &origin, &change)
        .unwrap()
        .to_vec()
        .into();
    let letter = peer.letter();
    let mut twice = change_item(&mut peer, &old, &change);
    let used = v1::Entry::decode(letter.entry.clone()).unwrap();
    let used = v1::Header::decode(used.payload).unwrap();
    let mut header = v1::Entry::decode(twice.entry.clone()).unwrap();
    let mut inner = v1::Header::decode(header.payload.clone()).unwrap();
    inner.id = used.id;
    header.payload = inner.encode_to_vec().into();
    twice.entry = dsse::sign(&old, header.payload.clone())
        .unwrap()
        .bytes
        .clone();
    let by_next = signed_by(&mut peer, std::slice::from_ref(&next));
    peer.push(vec![letter, twice, by_next]).await;
    peer.hear(3).await;
    assert_eq!(reasons(&peer)[2..], [RefusalReason::DuplicateId]);
    let history = link_of(&node).key_history(LogSide::Mirror);
    assert_eq!(history.changes().len(), 1);
    assert_eq!(link_of(&node).head().mirror_size, 5);
    drop(peer);
    drop(node);
    // And again after a restart, from what was kept of it.
    let node = x.open(&y);
    assert_eq!(link_of(&node).key_history(LogSide::Mirror), history);
}

#[tokio::test]
async fn an_officers_signature_is_shown_and_a_bad_one_refused() {
    let (x, y) = sides();
    let node = x.open(&y);
    let mut peer = Hostile::meet(&y, &x, &node).await;
    // The officer's key is named by the card; a person signs what a message key would.
    let linh = || MessageKey::from_seed(&[y.seed + 60; 32]);
    let good = signed_by(&mut peer, &[y.keys().message, linh()]);
    let mut bad = signed_by(&mut peer, &[y.keys().message, linh()]);
    let mut entry = v1::Entry::decode(bad.entry.clone()).unwrap();
    entry.signatures[1].sig = entry.signatures[0].sig.clone();
    bad.entry = entry.encode_to_vec().into();
    let alone = signed_by(&mut peer, &[linh()]);
    peer.push(vec![good, bad, alone]).await;
    peer.hear(2).await;
    let told = [RefusalReason::BadSignature, RefusalReason::BadSignature];
    let reasons: Vec<_> = peer.refusals().iter().map(|(_, r)| r.reason()).collect();
    assert_eq!(reasons, told);
    let link = link_of(&node);
    let stored = node.reader(&link, LogSide::Mirror).entry(0).unwrap();
    let shown = node
        .message_of(&link, LogSide::Mirror, &stored, Detail::Full)
        .unwrap();
    assert_eq!(shown.released_by, ["linh"]);
}

/// A side with its key files: what outlives its process.
struct Files {
    keys: Vec<NextKey>,
    made: u8,
}

impl Files {
    fn make(&mut self) -> NextKey {
        self.made += 1;
        let key = if self.made.is_multiple_of(2) {
            next_message(100 + self.made)
        } else {
            next_log(100 + self.made)
        };
        self.keys.push(key.clone());
        key
    }

    fn open(&self, side: &Side, peer: &Side) -> Arc<Exchange> {
        let node = side.open(peer);
        for key in &self.keys {
            node.ring().add(key.clone());
        }
        node
    }
}

async fn part(running: &mut Option<Running>) {
    if let Some(running) = running.take() {
        let (left, right) = running.end().await;
        for end in [left, right] {
            assert!(!matches!(end, End::Held(_) | End::PeerFault(_)), "{end}");
        }
    }
}

/// Seeded storms: both sides talk and change keys, sessions are cut and processes fall between any
/// two steps. In the end both find the same histories and logs, and nobody was refused anything.
#[tokio::test]
async fn no_storm_of_cuts_and_crashes_parts_the_histories() {
    for seed in 0..24 {
        let entropy = Entropy::seeded(seed);
        let below = |bound: u8| entropy.bytes::<1>().unwrap()[0] % bound;
        let (x, y) = sides();
        let mut files = [(); 2].map(|()| Files {
            keys: Vec::new(),
            made: 0,
        });
        files[1].made = 50;
        let mut nodes = [x.open(&y), y.open(&x)];
        let mut running = None;
        for step in 0..30 {
            let who = usize::from(below(2));
            let (side, other) = if who == 0 { (&x, &y) } else { (&y, &x) };
            match below(6) {
                0 | 1 => say(&nodes[who], other, step * 10..step * 10 + 3).await,
                2 => {
                    let next = files[who].make();
                    let link = link_of(&nodes[who]);
                    // Too many at once are refused before anything is recorded.
                    drop(nodes[who].announce_key(&link, &next, "").await);
                    if below(2) == 0 {
                        nodes[who].retire_keys(&link).await.unwrap();
                    }
                }
                3 => nodes[who].retire_keys(&link_of(&nodes[who])).await.unwrap(),
                4 => {
                    part(&mut running).await;
                    let fresh = files[who].open(side, other);
                    nodes[who] = fresh;
                }
                _ if running.is_some() => part(&mut running).await,
                _ => {
                    running = Some(join(&nodes[0], &nodes[1]));
                    if below(2) == 0 {
                        up(&nodes[0], &nodes[1]).await;
                    }
                }
            }
        }
        part(&mut running).await;
        let [a, b] = &nodes;
        let last = join(a, b);
        up(a, b).await;
        for _ in 0..4 {
            quiet(a, b).await;
            a.retire_keys(&link_of(a)).await.unwrap();
            b.retire_keys(&link_of(b)).await.unwrap();
        }
        quiet(a, b).await;
        assert_same_logs(a, b);
        assert_same_histories(a, b);
        for node in [a, b] {
            assert_eq!(node.incidents(10).unwrap().len(), 0, "seed {seed}");
            let history = link_of(node).key_history(LogSide::Own);
            for role in [KeyRole::Message, KeyRole::Log] {
                assert_eq!(open_of(&history, role).len(), 1, "seed {seed}");
            }
        }
        last.end().await;
    }
}
