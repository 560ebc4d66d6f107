//! Bodies erased by rule over two years of an injected clock: each on its day, none of an open case or of
//! one on hold, across restarts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use liaison::exchange::clock::Clock as _;
use liaison::exchange::retention::{LegalHold, RETENTION, Retained};
use liaison::exchange::{Exchange, LogSide};
use liaison::journal::{Act, Journal};
use liaison::model::MessageId;
use liaison::model::retention::{Fate, Period, Policy, Rule};
use liaison::proto::v1::{self, Kind};
use liaison::store::{Batch, Direction, Store as _};
use prost::Message as _;

use crate::journal::of_side;
use crate::sides::{
    Side, acknowledgement, assert_same_logs, join, letter, link_of, quiet, sides, submit, up,
};

const DAY: u64 = 24 * 3_600_000;

fn policy(after: &str) -> Arc<Policy> {
    let rule = Rule {
        kind: Some(Kind::OfficialLetter),
        handling: None,
        erase_body_after: Some(Period::parse(after).unwrap()),
    };
    Arc::new(Policy::new(vec![rule]).unwrap())
}

fn fates(exchange: &Exchange, policy: &Policy, now_ms: u64) -> Vec<(MessageId, Fate)> {
    let mut fates = Vec::new();
    exchange
        .judge_retention(&link_of(exchange), policy, now_ms, |body| {
            fates.push((body.id, body.fate));
        })
        .unwrap();
    fates
}

fn is_readable(exchange: &Exchange, index: u64) -> bool {
    let reader = exchange.reader(&link_of(exchange), LogSide::Own);
    let stored = reader.entry(index).unwrap();
    reader.body(&stored).unwrap().is_some()
}

fn set(a: &Side, b: &Side, now_ms: u64) {
    for side in [a, b] {
        side.clock.advance(now_ms - side.clock.unix_ms());
    }
}

/// A letter and its acknowledgement, which closes the case.
async fn say(
    (left, right): (&Arc<Exchange>, &Arc<Exchange>),
    (from, to): (&Side, &Side),
    number: usize,
) -> MessageId {
    let running = join(left, right);
    up(left, right).await;
    let id = submit(left, letter(to, number)).await.unwrap().id;
    quiet(left, right).await;
    let taken_note = acknowledgement(from, &id.to_string());
    submit(right, taken_note).await.unwrap();
    quiet(left, right).await;
    running.end().await;
    id
}

async fn run(node: &Arc<Exchange>, policy: &Arc<Policy>, journal: &Journal) -> Retained {
    node.apply_retention(policy, journal).await.unwrap()
}

#[tokio::test]
async fn a_damaged_entry_keeps_no_other_from_its_day() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let (journal, _) = of_side(&a);
    let start = a.clock.unix_ms();
    for number in 0..3 {
        say((&left, &right), (&a, &b), number).await;
    }
    // The cases are known; then the first letter's record goes bad.
    assert_eq!(fates(&left, &policy("6 months"), start).len(), 3);
    let rows = a.store.scan(b"E", b"F", 1, Direction::Forward).unwrap();
    let mut batch = Batch::new();
    batch.put(rows[0].0.clone(), b"no record".to_vec());
    a.store.commit(batch).unwrap();
    set(&a, &b, start + 400 * DAY);
    let done = run(&left, &policy("6 months"), &journal).await;
    assert_eq!((done.erased, done.failed), (2, 1));
}

#[tokio::test]
async fn letters_of_two_years_go_on_their_days() {
    let (a, b) = sides();
    let (mut left, right) = (a.open(&b), b.open(&a));
    let (journal, _) = of_side(&a);
    let policy = policy("6 months");
    let start = a.clock.unix_ms();
    // A letter a month for a year; the third one's case is put on hold in its fourth month.
    let mut said = Vec::new();
    let (mut erased, mut held) = (0, None);
    for day in (0..730).step_by(10) {
        set(&a, &b, start + day * DAY);
        if day % 30 == 0 && day < 360 {
            said.push((day, say((&left, &right), (&a, &b), said.len()).await));
        }
        if day == 180 {
            let case = left.case_of(&link_of(&left), said[2].1).unwrap().unwrap();
            let hold = LegalHold {
                at_ms: start,
                by: "operator/mai".to_owned(),
                reason: "court order".to_owned(),
            };
            assert!(left.hold_case(&link_of(&left), case, &hold).await.unwrap());
            assert!(
                !left.hold_case(&link_of(&left), case, &hold).await.unwrap(),
                "once"
            );
            assert_eq!(left.holds(&link_of(&left)).unwrap(), [(case, hold)]);
            held = Some(case);
        }
        if day == 500 {
            left.lift_hold(&link_of(&left), held.unwrap())
                .await
                .unwrap();
        }
        // The node was down for two months: what came due meanwhile is due still.
        if (240..300).contains(&day) {
            continue;
        }
        if day % 70 == 0 {
            // Another process on the same disk.
            drop(left);
            left = a.open(&b);
        }
        let before = fates(&left, &policy, a.clock.unix_ms());
        let due = before
            .iter()
            .filter(|(_, fate)| matches!(fate, Fate::Due(..)));
        let due = due.count() as u64;
        let done = run(&left, &policy, &journal).await;
        assert_eq!((done.erased, done.failed), (due, 0), "day {day}");
        erased += done.erased;
        assert_eq!(
            run(&left, &policy, &journal).await,
            Retained::default(),
            "once"
        );
        for (number, (from, id)) in said.iter().enumerate() {
            let end = Period::parse("6 months")
                .unwrap()
                .end_ms(start + from * DAY);
            let on_hold = number == 2 && (180..500).contains(&day);
            let gone = start + day * DAY >= end && !on_hold;
            assert_eq!(
                is_readable(&left, place(&left, *id)),
                !gone,
                "day {day} letter {number}"
            );
        }
    }
    assert_eq!(erased, 12);
    // Each was journalled, as the node's own doing.
    let noted = journal.entries(0, journal.size()).unwrap();
    let noted = noted
        .iter()
        .map(|bytes| v1::JournalEntry::decode(&bytes[..]).unwrap());
    let noted: Vec<_> = noted.filter(|entry| entry.act() == Act::Erased).collect();
    assert!(noted.len() == 12 && noted.iter().all(|entry| entry.who == RETENTION));
    let running = join(&left, &right);
    up(&left, &right).await;
    quiet(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
}

fn place(exchange: &Exchange, id: MessageId) -> u64 {
    match exchange.find(id).unwrap().unwrap().1 {
        liaison::exchange::layout::Place::Log(LogSide::Own, index) => index,
        other => panic!("{other:?}"),
    }
}

/// Asking is not doing; and asking about a later day neither.
#[tokio::test]
async fn a_list_of_a_later_day_erases_nothing() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let id = say((&left, &right), (&a, &b), 1).await;
    let policy = policy("1 year");
    let now = a.clock.unix_ms();
    assert!(matches!(
        fates(&left, &policy, now)[..],
        [(_, Fate::Later(_))]
    ));
    let later = fates(&left, &policy, now + 400 * DAY);
    assert!(
        matches!(later[..], [(due, Fate::Due(0, _))] if due == id),
        "{later:?}"
    );
    assert!(is_readable(&left, place(&left, id)));
    let idle = Arc::new(Policy::default());
    assert!(fates(&left, &idle, now + 4_000 * DAY).is_empty());
}
