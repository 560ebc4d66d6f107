//! Which keys hold where: the fold over changes of keys, and the changes that do not count.

use bytes::Bytes;
use liaison::crypto::change;
use liaison::crypto::dsse;
use liaison::crypto::history::{ChangeFault, KeyHistory, StartKeys};
use liaison::crypto::keys::{LogKey, MessageKey, OfficerKey, RecoveryKey};
use liaison::limits::{KEY_CHANGES_MAX, LINE_BYTES_MAX, OFFICER_KEYS_MAX, OPEN_KEYS_MAX};
use liaison::model::header::HeaderParts;
use liaison::model::{Header, MessageId, NodeName, Origin, body};
use liaison::proto::v1::{self, KeyAction, KeyChange, KeyRole};
use proptest::prelude::*;
use prost::Message as _;

use super::{RECIPIENT, SENDER, name};

const SALT: [u8; 32] = [9; 32];

fn message(seed: u8) -> MessageKey {
    MessageKey::from_seed(&[seed; 32])
}

fn log(seed: u8) -> LogKey {
    LogKey::from_seed(&[seed; 32])
}

fn recovery() -> RecoveryKey {
    RecoveryKey::from_seed(&[99; 32])
}

fn node() -> NodeName {
    name(SENDER)
}

fn own() -> Origin {
    Origin::new(node(), name(RECIPIENT))
}

/// Message key 1, log key 51, recovery key 99.
fn start() -> KeyHistory {
    let start = StartKeys {
        message: vec![(message(1).verifier(&node()), 0, None)],
        log: vec![log(51).cosigner_verifier(&node())],
        officers: Vec::new(),
        recovery: Some(recovery().verifier(&node())),
    };
    KeyHistory::start(own(), &start).unwrap()
}

/// An entry that says a change: its bytes and its body.
fn entry(by: &MessageKey, seen_size: u64, change: &KeyChange) -> (Bytes, Bytes) {
    entry_from(by, seen_size, change, (&node(), &name(RECIPIENT)))
}

fn entry_from(
    by: &MessageKey,
    seen_size: u64,
    change: &KeyChange,
    (sender, recipient): (&NodeName, &NodeName),
) -> (Bytes, Bytes) {
    let content = v1::body::Body::KeyChange(change.clone());
    let bytes = body::encode(&content);
    let draft = v1::Draft {
        precedence: v1::Precedence::Routine as i32,
        status: v1::Status::Actual as i32,
        body: Some(v1::Body {
            body: Some(content),
        }),
        ..v1::Draft::default()
    };
    let id = MessageId::from_parts(1_795_000_000_000, [seen_size.to_le_bytes()[0]; 10]);
    let header = Header::build(&HeaderParts {
        draft: &draft,
        id,
        sender,
        recipient,
        created_at: prost_types::Timestamp {
            seconds: 1_795_000_000,
            nanos: 0,
        },
        thread_id: id,
        seen_size,
        salt: &SALT,
        body: &bytes,
    })
    .unwrap();
    let signed = dsse::sign(by, header.wire.encode_to_vec().into()).unwrap();
    (signed.bytes.clone(), bytes)
}

/// Takes a change in, signed by a message key; ten entries of the other log are seen for each index.
trait Say {
    fn say(&mut self, index: u64, by: &MessageKey, change: &KeyChange)
    -> Result<bool, ChangeFault>;
}

impl Say for KeyHistory {
    fn say(
        &mut self,
        index: u64,
        by: &MessageKey,
        change: &KeyChange,
    ) -> Result<bool, ChangeFault> {
        let (entry, body) = entry(by, index * 10, change);
        self.take(index, &entry, &SALT, &body)
    }
}

fn add_message(number: u64, old: &MessageKey, new: &MessageKey) -> KeyChange {
    let mut change = KeyChange {
        role: KeyRole::Message as i32,
        action: KeyAction::Add as i32,
        number,
        old_vkey: old.verifier(&node()).to_string(),
        new_vkey: new.verifier(&node()).to_string(),
        ..KeyChange::default()
    };
    change.old_key_signature = change::sign(old, &own(), &change).unwrap().to_vec().into();
    change.new_key_signature = change::sign(new, &own(), &change).unwrap().to_vec().into();
    change
}

fn retire_message(number: u64, old: &MessageKey, stays: &MessageKey) -> KeyChange {
    let mut change = KeyChange {
        role: KeyRole::Message as i32,
        action: KeyAction::Retire as i32,
        number,
        old_vkey: old.verifier(&node()).to_string(),
        new_vkey: stays.verifier(&node()).to_string(),
        ..KeyChange::default()
    };
    change.new_key_signature = change::sign(stays, &own(), &change)
        .unwrap()
        .to_vec()
        .into();
    change
}

fn revoke_message(number: u64, new: &MessageKey) -> KeyChange {
    let mut change = KeyChange {
        role: KeyRole::Message as i32,
        action: KeyAction::Revoke as i32,
        number,
        new_vkey: new.verifier(&node()).to_string(),
        ..KeyChange::default()
    };
    change.new_key_signature = change::sign(new, &own(), &change).unwrap().to_vec().into();
    change.recovery_signature = change::sign(&recovery(), &own(), &change)
        .unwrap()
        .to_vec()
        .into();
    change
}

fn add_officer(number: u64, seed: u8, person: &str) -> KeyChange {
    let key = OfficerKey::from_seed(&[seed; 32]);
    let mut change = KeyChange {
        role: KeyRole::Officer as i32,
        action: KeyAction::Add as i32,
        number,
        new_vkey: key.verifier(&node(), person).unwrap().to_string(),
        ..KeyChange::default()
    };
    change.new_key_signature = change::sign(&key, &own(), &change).unwrap().to_vec().into();
    change
}

fn holding(history: &KeyHistory, index: u64) -> Vec<u8> {
    let keys = history.message_keys_at(index);
    let seeds = (0..=255_u8).filter(|seed| {
        let public = message(*seed).public();
        keys.iter().any(|key| *key.public() == public)
    });
    seeds.collect()
}

#[test]
fn a_key_holds_behind_its_announcement_and_to_its_end() {
    let mut history = start();
    assert_eq!(
        history.say(5, &message(1), &add_message(0, &message(1), &message(2))),
        Ok(true)
    );
    assert_eq!(
        history.say(8, &message(2), &retire_message(1, &message(1), &message(2))),
        Ok(true)
    );
    let at: Vec<_> = [0, 5, 6, 8, 9].map(|index| holding(&history, index)).into();
    assert_eq!(at, [vec![1], vec![1], vec![1, 2], vec![1, 2], vec![2]]);
    assert_eq!(history.changes().len(), 2);
    assert_eq!(
        (history.next_number(false), history.next_number(true)),
        (2, 0)
    );
}

#[test]
fn a_log_key_signs_sizes_that_hold_its_announcement_and_cosigns_what_was_seen() {
    let mut history = start();
    let (old, new) = (log(51), log(52));
    let mut change = KeyChange {
        role: KeyRole::Log as i32,
        action: KeyAction::Add as i32,
        old_vkey: old.cosigner_verifier(&node()).to_string(),
        new_vkey: new.cosigner_verifier(&node()).to_string(),
        ..KeyChange::default()
    };
    change.old_key_signature = change::sign(&old, &own(), &change).unwrap().to_vec().into();
    change.new_key_signature = change::sign(&new, &own(), &change).unwrap().to_vec().into();
    assert_eq!(history.say(4, &message(1), &change), Ok(true));
    let mut retire = KeyChange {
        role: KeyRole::Log as i32,
        action: KeyAction::Retire as i32,
        number: 1,
        old_vkey: change.old_vkey,
        new_vkey: change.new_vkey,
        ..KeyChange::default()
    };
    retire.new_key_signature = change::sign(&new, &own(), &retire).unwrap().to_vec().into();
    assert_eq!(history.say(7, &message(1), &retire), Ok(true));
    let spans: Vec<_> = history
        .author_keys()
        .iter()
        .map(|k| (k.first_size, k.last_size))
        .collect();
    assert_eq!(spans, [(0, Some(7)), (5, None)]);
    let spans: Vec<_> = history
        .mirror_keys()
        .iter()
        .map(|k| (k.first_size, k.last_size))
        .collect();
    assert_eq!(spans, [(0, Some(70)), (40, None)]);
}

/// Each change, said at index 9 of a log in which key 2 followed key 1 at 5 and 8, and what is told.
#[test]
fn a_statement_beside_the_log_may_be_by_a_key_that_was_retired_since_and_not_by_one_revoked() {
    let keyids = |history: &KeyHistory, size| -> Vec<String> {
        let keys = history.message_keys_beside(size);
        keys.iter().map(|key| key.keyid().to_owned()).collect()
    };
    let of = |seed| message(seed).verifier(&node()).keyid().to_owned();
    let mut history = start();
    history
        .say(4, &message(1), &add_message(0, &message(1), &message(2)))
        .unwrap();
    history
        .say(5, &message(2), &retire_message(1, &message(1), &message(2)))
        .unwrap();
    assert_eq!(
        keyids(&history, 4),
        [of(1)],
        "the second begins behind its announcement"
    );
    assert_eq!(keyids(&history, 9), [of(1), of(2)]);
    history
        .say(9, &message(3), &revoke_message(0, &message(3)))
        .unwrap();
    assert_eq!(keyids(&history, 9), [of(1), of(2), of(3)]);
    assert_eq!(keyids(&history, 10), [of(1), of(3)], "revoked before");
}

#[test]
fn what_does_not_count_changes_nothing() {
    let before = {
        let mut history = start();
        let add = add_message(0, &message(1), &message(2));
        history.say(5, &message(1), &add).unwrap();
        let retire = retire_message(1, &message(1), &message(2));
        history.say(8, &message(2), &retire).unwrap();
        history
    };
    let current = || message(2);
    let good = || add_message(2, &current(), &message(3));
    let changed = |alter: fn(&mut KeyChange)| {
        let mut change = good();
        alter(&mut change);
        change
    };
    let elsewhere = {
        let other = Origin::new(node(), NodeName::parse("mohan.ni.cn.example").unwrap());
        let mut change = good();
        change.old_key_signature = change::sign(&current(), &other, &change)
            .unwrap()
            .to_vec()
            .into();
        change.new_key_signature = change::sign(&message(3), &other, &change)
            .unwrap()
            .to_vec()
            .into();
        change
    };
    let by_stranger = {
        let mut change = revoke_message(0, &message(3));
        let stranger = RecoveryKey::from_seed(&[98; 32]);
        change.recovery_signature = change::sign(&stranger, &own(), &change)
            .unwrap()
            .to_vec()
            .into();
        change
    };
    let other_node = {
        let name = NodeName::parse("mohan.ni.cn.example").unwrap();
        let mut change = good();
        change.new_vkey = message(3).verifier(&name).to_string();
        change
    };
    let shared = add_message(2, &current(), &MessageKey::from_seed(&[51; 32]));
    let long = changed(|change| change.reason = "a".repeat(LINE_BYTES_MAX + 1));
    let cases: Vec<(&str, MessageKey, KeyChange)> = vec![
        (
            "said again",
            current(),
            add_message(0, &message(1), &message(2)),
        ),
        (
            "out of order",
            current(),
            add_message(3, &current(), &message(3)),
        ),
        ("by a key that has ended", message(1), good()),
        ("by a stranger", message(7), good()),
        (
            "after a key that has ended",
            current(),
            add_message(2, &message(1), &message(3)),
        ),
        (
            "after a stranger's key",
            current(),
            add_message(2, &message(7), &message(3)),
        ),
        (
            "a key that was there",
            current(),
            add_message(2, &current(), &message(1)),
        ),
        ("itself", current(), add_message(2, &current(), &current())),
        ("the public key of the log key", current(), shared),
        ("for another log", current(), elsewhere),
        ("a key of another node", current(), other_node),
        (
            "no proof of possession",
            current(),
            changed(|c| c.new_key_signature = vec![1; 64].into()),
        ),
        (
            "no word of the old key",
            current(),
            changed(|c| c.old_key_signature = vec![1; 64].into()),
        ),
        (
            "without a signature",
            current(),
            changed(|c| c.new_key_signature = Bytes::new()),
        ),
        ("a number changed", current(), changed(|c| c.number = 1)),
        (
            "a reason put in later",
            current(),
            changed(|c| c.reason = "x".to_owned()),
        ),
        ("a reason too long", current(), long),
        ("no role", current(), changed(|c| c.role = 0)),
        ("a role to come", current(), changed(|c| c.role = 99)),
        ("no action", current(), changed(|c| c.action = 0)),
        (
            "no vkey",
            current(),
            changed(|c| c.new_vkey = "x".to_owned()),
        ),
        (
            "a certificate where none belongs",
            current(),
            changed(|c| c.certificate = vec![1].into()),
        ),
        (
            "the only key retired",
            current(),
            retire_message(2, &current(), &current()),
        ),
        (
            "retired for a stranger's key",
            current(),
            retire_message(2, &current(), &message(7)),
        ),
        ("revoked by a stranger", current(), by_stranger),
        (
            "revoked out of order",
            message(3),
            revoke_message(1, &message(3)),
        ),
        ("an officer named like the recovery key", current(), {
            let mut change = add_officer(2, 60, "linh");
            change.new_vkey = recovery().verifier(&node()).to_string();
            change
        }),
    ];
    for (what, by, change) in cases {
        let mut history = before.clone();
        let told = history.say(9, &by, &change);
        assert!(told.is_err(), "{what}: {told:?}");
        assert_eq!(history, before, "{what}");
    }
    let mut history = before.clone();
    assert_eq!(history.say(9, &current(), &good()), Ok(true));
}

#[test]
fn an_entry_of_another_log_or_with_another_body_counts_for_nothing() {
    let mut history = start();
    let change = add_message(0, &message(1), &message(2));
    let (foreign, body) = entry_from(&message(1), 0, &change, (&name(RECIPIENT), &node()));
    assert_eq!(
        history.take(0, &foreign, &SALT, &body),
        Err(ChangeFault::Names)
    );
    let (said, _) = entry(&message(1), 0, &change);
    let other = add_message(0, &message(1), &message(3));
    let other = body::encode(&v1::body::Body::KeyChange(other));
    assert_eq!(
        history.take(0, &said, &SALT, &other),
        Err(ChangeFault::Body)
    );
    assert_eq!(
        history.take(0, &said, &[8; 32], &body),
        Err(ChangeFault::Body)
    );
    assert_eq!(history.take(0, &said, &[], &[]), Err(ChangeFault::Body));
    assert_eq!(history, start());
}

#[test]
fn the_recovery_key_wins_over_any_number_of_changes_by_a_thief() {
    let mut history = start();
    // The thief changes the message key and lets the true one end.
    let theirs = message(2);
    history
        .say(5, &message(1), &add_message(0, &message(1), &theirs))
        .unwrap();
    history
        .say(6, &theirs, &retire_message(1, &message(1), &theirs))
        .unwrap();
    let mut shut_out = KeyChange {
        role: KeyRole::Recovery as i32,
        action: KeyAction::Add as i32,
        number: 2,
        old_vkey: recovery().verifier(&node()).to_string(),
        new_vkey: RecoveryKey::from_seed(&[98; 32])
            .verifier(&node())
            .to_string(),
        ..KeyChange::default()
    };
    shut_out.old_key_signature = vec![1; 64].into();
    let own_recovery = RecoveryKey::from_seed(&[98; 32]);
    let signature = change::sign(&own_recovery, &own(), &shut_out).unwrap();
    shut_out.new_key_signature = signature.to_vec().into();
    assert_eq!(
        history.say(7, &theirs, &shut_out),
        Err(ChangeFault::Signature { which: "old" })
    );
    // The owner's new key signs the entry itself: no other is left.
    assert_eq!(
        history.say(8, &message(3), &revoke_message(0, &message(3))),
        Ok(true)
    );
    assert_eq!(holding(&history, 8), [2, 3]);
    assert_eq!(holding(&history, 9), [3]);
    // Neither an earlier word of the recovery key nor the thief's keys bring anything back.
    let again = revoke_message(0, &message(3));
    assert!(history.say(9, &message(3), &again).is_err());
    assert!(
        history
            .say(9, &theirs, &add_message(2, &theirs, &message(4)))
            .is_err()
    );
    assert_eq!(
        history.say(9, &message(3), &add_message(2, &message(3), &message(4))),
        Ok(true)
    );
}

#[test]
fn no_more_keys_hold_at_once_than_are_taken() {
    let mut history = start();
    let seeds = 2..=u8::try_from(OPEN_KEYS_MAX).unwrap();
    for (seed, number) in seeds.zip(0..) {
        let change = add_message(number, &message(1), &message(seed));
        assert_eq!(
            history.say(number, &message(1), &change),
            Ok(true),
            "{seed}"
        );
    }
    let number = history.next_number(false);
    let one_more = add_message(number, &message(1), &message(200));
    let max = OPEN_KEYS_MAX;
    assert_eq!(
        history.say(50, &message(1), &one_more),
        Err(ChangeFault::TooManyOpen { max })
    );
    let officers = u8::try_from(OFFICER_KEYS_MAX).unwrap();
    for (seed, number) in (100..100 + officers).zip(number..) {
        let change = add_officer(number, seed, &format!("o{seed}"));
        assert_eq!(
            history.say(number + 100, &message(1), &change),
            Ok(true),
            "{seed}"
        );
    }
    let change = add_officer(history.next_number(false), 250, "linh");
    let max = OFFICER_KEYS_MAX;
    assert_eq!(
        history.say(900, &message(1), &change),
        Err(ChangeFault::TooManyOpen { max })
    );
}

#[test]
fn a_log_takes_so_many_changes_and_the_recovery_key_has_its_own_count() {
    let mut history = start();
    for number in 0..KEY_CHANGES_MAX {
        let mut change = add_officer(number, 60, "linh");
        if number % 2 == 1 {
            change = KeyChange {
                role: KeyRole::Officer as i32,
                action: KeyAction::Retire as i32,
                number,
                old_vkey: OfficerKey::from_seed(&seed_of(number - 1))
                    .verifier(&node(), "linh")
                    .unwrap()
                    .to_string(),
                ..KeyChange::default()
            };
        } else {
            let key = OfficerKey::from_seed(&seed_of(number));
            change.new_vkey = key.verifier(&node(), "linh").unwrap().to_string();
            change.new_key_signature = change::sign(&key, &own(), &change).unwrap().to_vec().into();
        }
        assert_eq!(
            history.say(number, &message(1), &change),
            Ok(true),
            "{number}"
        );
    }
    let one_more = add_message(KEY_CHANGES_MAX, &message(1), &message(2));
    let index = KEY_CHANGES_MAX;
    assert_eq!(
        history.say(index, &message(1), &one_more),
        Err(ChangeFault::TooMany)
    );
    assert_eq!(
        history.say(index, &message(2), &revoke_message(0, &message(2))),
        Ok(true)
    );
}

fn seed_of(number: u64) -> [u8; 32] {
    let mut seed = [77; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

#[test]
fn an_officer_releases_while_the_key_holds_and_never_alone() {
    let mut history = start();
    let linh = OfficerKey::from_seed(&[60; 32]);
    let vkey = linh.verifier(&node(), "linh").unwrap();
    history
        .say(3, &message(1), &add_officer(0, 60, "linh"))
        .unwrap();
    let retire = KeyChange {
        role: KeyRole::Officer as i32,
        action: KeyAction::Retire as i32,
        number: 1,
        old_vkey: vkey.to_string(),
        ..KeyChange::default()
    };
    history.say(6, &message(1), &retire).unwrap();
    let released = |by: &[[u8; 32]]| {
        // An officer signs what a message key would: the same pre-authentication encoding.
        let signed = |seed: &[u8; 32]| {
            let key = MessageKey::from_seed(seed);
            let one = dsse::sign(&key, Bytes::from_static(b"payload")).unwrap();
            v1::Entry::decode(one.bytes.clone()).unwrap()
        };
        let mut entry = signed(&by[0]);
        let rest = by[1..].iter().flat_map(|seed| signed(seed).signatures);
        entry.signatures.extend(rest);
        Bytes::from(entry.encode_to_vec())
    };
    let whole = released(&[[1; 32], [60; 32]]);
    for (index, holds) in [(3, false), (4, true), (6, true), (7, false)] {
        let told = history.verify_entry(index, whole.clone());
        assert_eq!(told.is_ok(), holds, "{index}: {told:?}");
        if let Ok((_, officers)) = told {
            assert_eq!(officers, std::slice::from_ref(&vkey));
        }
    }
    let alone = released(&[[60; 32]]);
    assert!(history.verify_entry(5, alone).is_err());
    let unknown = released(&[[1; 32], [61; 32]]);
    assert_eq!(history.verify_entry(5, unknown).unwrap().1, []);
    let mut forged = v1::Entry::decode(whole).unwrap();
    forged.signatures[1].sig = forged.signatures[0].sig.clone();
    assert!(
        history
            .verify_entry(5, forged.encode_to_vec().into())
            .is_err()
    );
}

proptest! {
    /// Whatever is said, in whatever order: a change that does not count leaves no trace, and some
    /// message key holds at every index.
    #[test]
    fn some_key_always_holds(steps in prop::collection::vec((0_u8..4, 1_u8..6, 1_u8..6, 0_u64..4), 0..24)) {
        let mut history = start();
        for (index, (what, by, other, number)) in (0..).zip(steps) {
            let (by, other) = (message(by), message(other));
            let change = match what {
                0 => add_message(history.next_number(false), &by, &other),
                1 => retire_message(history.next_number(false), &other, &by),
                2 => revoke_message(history.next_number(true), &other),
                _ => add_message(number, &by, &other),
            };
            let before = history.clone();
            if let Ok(counts) = history.say(index, &by, &change) {
                prop_assert!(counts);
            } else {
                prop_assert_eq!(&history, &before);
            }
            prop_assert!(!history.message_keys_at(index + 1).is_empty());
        }
    }
}
