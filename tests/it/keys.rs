//! Keys that change while two nodes speak: rotation under traffic, over crashes, cuts and disks put
//! back; revocation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use liaison::crypto::change;
use liaison::crypto::history::KeyHistory;
use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::exchange::keys::NextKey;
use liaison::exchange::rotate::Stage;
use liaison::exchange::session::End;
use liaison::exchange::{Exchange, LogSide};
use liaison::proto::v1::KeyRole;

use crate::sides::{
    Side, assert_same_logs, join, letter, link_of, patiently, quiet, sides, submit, up,
};

fn next_message(seed: u8) -> NextKey {
    NextKey::Message(Arc::new(MessageKey::from_seed(&[seed; 32])))
}

fn next_log(seed: u8) -> NextKey {
    NextKey::Log(Arc::new(LogKey::from_seed(&[seed; 32])))
}

fn public(key: &NextKey) -> [u8; 32] {
    match key {
        NextKey::Message(key) => key.public().to_bytes(),
        NextKey::Log(key) => key.public().to_bytes(),
    }
}

/// Announces a key, and waits until it is the only one.
async fn rotate(node: &Arc<Exchange>, next: &NextKey) {
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
fn assert_same_histories(a: &Exchange, b: &Exchange) {
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

async fn say(from: &Arc<Exchange>, to: &Side, numbers: std::ops::Range<usize>) {
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

    // The mirror goes back behind every change, and the old keys are gone.
    y.restore(early);
    let (a, b) = (x.open(&y), y.open(&x));
    for key in &next {
        a.ring().add(key.clone());
        a.ring().keep_only(key.role(), &public(key));
    }
    let size = link_of(&a).head().own_size;
    let running = join(&a, &b);
    let mut heads = link_of(&b).watch_head();
    let caught_up = heads.wait_for(|head| head.mirror_size == size);
    let head = tokio::time::timeout(crate::sides::PATIENCE, caught_up).await;
    if head.is_err() {
        let (left, right) = running.end().await;
        panic!("{left} | {right}");
    }
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
        let signature = change::sign(&x.recovery(), &link.own, &change);
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

#[tokio::test]
async fn a_store_put_back_behind_the_changes_is_noticed_though_it_knows_none_of_the_keys() {
    let (x, mut y) = sides();
    let (a, b) = (x.open(&y), y.open(&x));
    let running = join(&a, &b);
    up(&a, &b).await;
    say(&a, &y, 0..2).await;
    say(&b, &x, 0..2).await;
    quiet(&a, &b).await;
    running.end().await;
    drop(b);
    let early = y.snapshot();
    let b = y.open(&x);
    let running = join(&a, &b);
    up(&a, &b).await;
    let next = [next_message(201), next_log(202)];
    let theirs = [next_message(203), next_log(204)];
    for number in 0..2 {
        rotate(&a, &next[number]).await;
        rotate(&b, &theirs[number]).await;
    }
    say(&a, &y, 10..20).await;
    say(&b, &x, 10..20).await;
    quiet(&a, &b).await;
    running.end().await;
    drop((a, b));
    y.restore(early);
    let (a, b) = (x.open(&y), y.open(&x));
    for (node, keys) in [(&a, &next), (&b, &theirs)] {
        for key in keys {
            node.ring().add(key.clone());
            node.ring().keep_only(key.role(), &public(key));
        }
    }
    // Nothing can be signed by keys that the log does not know, and nothing is.
    assert!(submit(&b, letter(&x, 99)).await.is_err());
    let (left, right) = join(&a, &b).ended().await;
    assert!(
        matches!(&right, End::Held(hold) if hold.code == 6),
        "{right}"
    );
    assert!(left.to_string().starts_with("held by the peer"), "{left}");
}
