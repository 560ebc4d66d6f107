//! Calendars, rosters and gates: which version counts, and which notice is in force.

use liaison::limits::{CALENDARS_MAX, ROSTERS_MAX};
use liaison::model::workflow::facts::Said;
use liaison::model::workflow::{Party, Standing};
use liaison::proto::v1::GateStatus;

use super::language::{About, DAY, START, World, facts, instead_of, to};

const A: Party = Party::A;
const B: Party = Party::B;

fn calendar(year: i32, version: u32) -> Said {
    Said::Calendar { year, version }
}

fn versions(world: &World, by: Party) -> Vec<u32> {
    let calendars = world.book.boards().calendars(by, 2026);
    calendars.iter().map(|posted| posted.version).collect()
}

#[test]
fn a_calendar_is_replaced_by_a_higher_version_only() {
    let mut world = World::new();
    let about = About::default();
    world.says(A, "first", calendar(2026, 1), &about).unwrap();
    for version in [0, 1] {
        let facts = world.facts(A, calendar(2026, version), &about);
        let impossible = world.book.judge(A, &facts).unwrap_err();
        assert!(impossible.reason.contains("give it version 2"));
        let mut hostile = world.clone();
        let standing = hostile.insists(A, "again", facts);
        assert_eq!(standing, Standing::Breach(impossible));
        assert_eq!(versions(&hostile, A), [1]);
    }
    // Another year, and the other side, count by themselves.
    world.says(A, "next", calendar(2027, 1), &about).unwrap();
    world.says(B, "theirs", calendar(2026, 1), &about).unwrap();
    world.says(A, "second", calendar(2026, 5), &about).unwrap();
    assert_eq!(versions(&world, A), [1, 5]);
    // Taken back, the one before counts again, and its number is free.
    let about = instead_of("second");
    world.says(A, "back", Said::Withdrawal, &about).unwrap();
    assert_eq!(versions(&world, A), [1]);
    world
        .says(A, "third", calendar(2026, 2), &About::default())
        .unwrap();
    assert_eq!(versions(&world, A), [1, 2]);
    assert_eq!(world.standing("second"), Standing::Applied);
    // The other side takes note; nobody answers it otherwise.
    world
        .says(B, "ack", Said::Acknowledgement, &to("third"))
        .unwrap();
}

#[test]
fn a_roster_is_replaced_by_a_higher_version_only() {
    let mut world = World::new();
    let about = About::default();
    let roster = |version| Said::Roster { version };
    world.says(B, "first", roster(3), &about).unwrap();
    let refused = world.says(B, "again", roster(3), &about).unwrap_err();
    assert!(refused.reason.contains("give it version 4"));
    world.says(B, "second", roster(4), &about).unwrap();
    let rosters = world.book.boards().rosters(B);
    let versions: Vec<u32> = rosters.iter().map(|posted| posted.version).collect();
    assert_eq!(versions, [3, 4]);
}

/// A version that was refused is none; its author is not to blame for one that follows it.
#[test]
fn a_calendar_that_was_refused_does_not_count() {
    let mut world = World::new();
    let about = About::default();
    world.says(A, "first", calendar(2026, 1), &about).unwrap();
    world.says(A, "second", calendar(2026, 2), &about).unwrap();
    let mut refusal = facts(900, Said::Refusal { index: 1 });
    refusal.seen_size = 1;
    world.book.take(B, Some(refusal));
    assert_eq!(versions(&world, A), [1]);
    world.says(A, "again", calendar(2026, 2), &about).unwrap();
    assert_eq!(versions(&world, A), [1, 2]);
}

fn gate(status: GateStatus, from: i64, until: Option<i64>) -> Said {
    Said::Gate {
        gate: "huu-nghi/youyi-guan".to_owned(),
        status: status as i32,
        from,
        until,
    }
}

#[test]
fn the_latest_notice_that_has_begun_is_in_force() {
    let mut world = World::new();
    let about = About::default();
    let day = |number: i64| START + number * DAY;
    let open = gate(GateStatus::Open, day(0), None);
    world.says(A, "open", open, &about).unwrap();
    let closed = gate(GateStatus::Closed, day(10), Some(day(20)));
    world.says(A, "closed", closed, &about).unwrap();
    let status = |world: &World, by, at| {
        let notice = world.book.boards().gate_at("huu-nghi/youyi-guan", by, at);
        notice.map(|notice| notice.status)
    };
    let (open, closed) = (GateStatus::Open as i32, GateStatus::Closed as i32);
    for (at, expected) in [
        (day(0) - 1, None),
        (day(0), Some(open)),
        (day(10) - 1, Some(open)),
        (day(10), Some(closed)),
        (day(20) - 1, Some(closed)),
        (day(20), Some(open)),
    ] {
        assert_eq!(status(&world, A, at), expected);
    }
    // Each side speaks for its own half.
    assert_eq!(status(&world, B, day(12)), None);
    // A correction takes the place of what it corrects, also where it says less.
    let shorter = gate(GateStatus::Closed, day(15), Some(day(16)));
    world
        .says(A, "shorter", shorter, &instead_of("closed"))
        .unwrap();
    assert_eq!(status(&world, A, day(12)), Some(open));
    assert_eq!(status(&world, A, day(15)), Some(closed));
    assert_eq!(world.state("closed"), "superseded");
    // So does a withdrawal; and the other side withdraws nothing.
    let theirs = world.facts(B, Said::Withdrawal, &instead_of("shorter"));
    assert!(world.book.judge(B, &theirs).is_err());
    world
        .says(A, "back", Said::Withdrawal, &instead_of("shorter"))
        .unwrap();
    assert_eq!(status(&world, A, day(15)), Some(open));
}

/// However many a hostile side publishes, so many are looked at.
#[test]
fn so_many_calendars_and_rosters_of_a_side_count_and_not_one_more() {
    let mut world = World::new();
    let about = About::default();
    for version in 1..=u32::try_from(CALENDARS_MAX).unwrap() {
        // Of any years: it is the number that is looked at.
        let year = 2026 + i32::try_from(version % 7).unwrap();
        world
            .says(A, "calendar", calendar(year, version), &about)
            .unwrap();
    }
    let more = world.facts(A, calendar(2026, 1_000_000), &about);
    let impossible = world.book.judge(A, &more).unwrap_err();
    assert!(impossible.reason.contains("no more than 512 calendars"));
    let before = world.book.boards().all_calendars(A);
    let standing = world.insists(A, "more", more);
    assert_eq!(standing, Standing::Breach(impossible));
    assert_eq!(world.book.boards().all_calendars(A), before);
    assert_eq!(before.len(), CALENDARS_MAX);
    // The other side, and rosters, count by themselves.
    world.says(B, "theirs", calendar(2026, 1), &about).unwrap();
    for version in 1..=u32::try_from(ROSTERS_MAX).unwrap() {
        let facts = world.facts(A, Said::Roster { version }, &about);
        world.now += 1;
        world.book.take(A, Some(facts));
    }
    let version = 1_000_000;
    let more = world.facts(A, Said::Roster { version }, &about);
    assert!(world.book.judge(A, &more).is_err());
    world.book.take(A, Some(more));
    assert_eq!(world.book.boards().rosters(A).len(), ROSTERS_MAX);
}
