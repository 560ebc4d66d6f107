//! Each figure: what counts in it, and what does not.

use liaison::model::calendar::YearCalendar;
use liaison::model::report::{Value, Whose, parse_zone};
use liaison::model::workflow::Party::{A, B};
use liaison::model::workflow::Said;
use liaison::model::workflow::facts::{Decision, HandedOver, Person};
use liaison::proto::v1::{
    self, ActivityType, CaseCategory, HandoverOutcome, HandoverRoute, MeetingLevel, Precedence,
    Stance, Status,
};

use super::world::{SIDES, SaidId, World, at, figure, is, is_both, three};

const LETTER: Said = Said::Letter { reply_by: None };

fn letter_due(time: &str) -> Said {
    Said::Letter {
        reply_by: Some(at(time)),
    }
}

#[test]
fn letters_count_when_they_were_signed_half_open() {
    let mut world = World::default();
    for time in [
        "2024-12-31T23:59:59.999+07:00",
        "2025-01-01T00:00:00+07:00",
        "2025-12-31T23:59:59.999+07:00",
        "2026-01-01T00:00:00+07:00",
    ] {
        world.say(A, time, LETTER);
    }
    world.say(B, "2025-06-01T00:00:00Z", LETTER);
    let report = world.year();
    is(&report, "letters", [2, 1, 3]);
    let letters = figure(&report, "letters", Whose::Side(A));
    let indices: Vec<u64> = letters.made_of.iter().map(|entry| entry.index).collect();
    assert_eq!(indices, [1, 2]);
}

#[test]
fn what_is_not_real_or_no_longer_stands_does_not_count() {
    let mut world = World::default();
    for status in [Status::Exercise, Status::Test] {
        let words = world.words(A, at("2025-03-01T00:00:00Z"), LETTER);
        let words = words.with(|facts| facts.status = status as i32);
        world.put(A, words);
    }
    let withdrawn = world.say(A, "2025-03-02T00:00:00Z", LETTER);
    world.instead(A, withdrawn, "2025-03-03T00:00:00Z", Said::Withdrawal);
    let replaced = world.say(A, "2025-03-04T00:00:00Z", LETTER);
    world.instead(A, replaced, "2025-03-05T00:00:00Z", LETTER);
    // Refused by the other node: index 6 of A.
    world.say(A, "2025-03-06T00:00:00Z", LETTER);
    world.say(B, "2025-03-06T00:00:01Z", Said::Refusal { index: 6 });
    // A withdrawal by the other side is none.
    let kept = world.say(A, "2025-03-07T00:00:00Z", LETTER);
    world.instead(B, kept, "2025-03-08T00:00:00Z", Said::Withdrawal);
    let report = world.year();
    is(&report, "letters", [2, 0, 2]);
    is(&report, "not-counted.exercise-and-test", [2, 0, 2]);
}

#[test]
fn calls_count_when_they_began_by_the_side_that_noted_them() {
    let mut world = World::default();
    let call = |time: &str| Said::Call { at: at(time) };
    let answer = |stance: Stance| Said::Response {
        stance: stance as i32,
    };
    let first = world.say(A, "2025-02-01T10:00:00Z", call("2025-02-01T09:00:00Z"));
    world.answer(B, first, "2025-02-01T11:00:00Z", answer(Stance::Agreed));
    let second = world.say(B, "2025-02-02T10:00:00Z", call("2025-02-02T09:00:00Z"));
    world.answer(A, second, "2025-02-02T11:00:00Z", answer(Stance::Differs));
    // Noted in the year, made before it.
    world.say(A, "2025-01-01T10:00:00Z", call("2024-12-31T16:00:00Z"));
    let report = world.year();
    is(&report, "calls", [1, 1, 2]);
    is(&report, "calls.confirmed", [1, 0, 1]);
    is(&report, "calls.differing", [0, 1, 1]);
}

#[test]
fn a_meeting_counts_once_however_often_its_minutes_were_written() {
    let mut world = World::default();
    let minutes = |level: MeetingLevel, time: &str| Said::MeetingMinutes {
        level: level as i32,
        at: at(time),
    };
    let talks = minutes(MeetingLevel::Talks, "2025-04-01T02:00:00Z");
    let proposal = Said::MeetingProposal {
        level: MeetingLevel::Talks as i32,
        at: at("2025-04-01T02:00:00Z"),
    };
    let agreed = Said::Response {
        stance: Stance::Agreed as i32,
    };
    let proposed = world.say(A, "2025-03-20T00:00:00Z", proposal);
    world.answer(B, proposed, "2025-03-21T00:00:00Z", agreed);
    let first = world.answer(A, proposed, "2025-04-01T05:00:00Z", talks.clone());
    let second = {
        let words = world.words(A, at("2025-04-01T06:00:00Z"), talks);
        let words = words
            .answering(proposed)
            .with(|facts| facts.supersedes = Some(first.id));
        world.put(A, words)
    };
    world.sign(B, second, "2025-04-02T00:00:00Z", &[]);
    // Not proposed before, not signed.
    let face = minutes(MeetingLevel::FaceToFace, "2025-05-01T02:00:00Z");
    world.say(B, "2025-05-01T05:00:00Z", face);
    let liaison = minutes(MeetingLevel::Liaison, "2026-05-01T02:00:00Z");
    world.say(B, "2025-05-02T05:00:00Z", liaison);
    world.say(
        B,
        "2025-05-03T05:00:00Z",
        Said::MeetingMinutes {
            level: 9,
            at: at("2025-05-03T00:00:00Z"),
        },
    );
    let report = world.year();
    is_both(&report, "meetings.talks", 1);
    is_both(&report, "meetings.talks.cosigned", 1);
    is_both(&report, "meetings.face-to-face", 1);
    is_both(&report, "meetings.face-to-face.cosigned", 0);
    is_both(&report, "meetings.liaison", 0);
    is_both(&report, "meetings.unknown", 1);
}

#[test]
fn a_patrol_counts_once_with_the_officers_of_each_side() {
    let mut world = World::default();
    let report_of = |time: &str, officers: u32| Said::PatrolReport {
        at: at(time),
        officers,
    };
    // At the turn of the year, by the clocks of two sides: it counts when the first one began.
    let first = world.say(
        A,
        "2025-12-31T20:00:00Z",
        report_of("2025-12-31T16:59:00Z", 100),
    );
    world.answer(
        B,
        first,
        "2025-12-31T21:00:00Z",
        report_of("2025-12-31T17:01:00Z", 90),
    );
    world.say(
        B,
        "2025-06-01T00:00:00Z",
        report_of("2025-05-31T23:00:00Z", 12),
    );
    let report = world.year();
    is_both(&report, "patrols", 2);
    is_both(&report, "patrols.reported-by-both", 1);
    is(&report, "patrols.officers", [100, 102, 202]);
}

#[test]
fn cases_count_by_the_end_of_their_time_and_corrections_replace() {
    let mut world = World::default();
    let notice = |category: CaseCategory, to: &str, counts: [u32; 4]| Said::Cases {
        category: category as i32,
        to: at(to),
        cases: counts[0],
        persons: counts[1],
        suspects: counts[2],
        prosecutions: counts[3],
    };
    // The whole year ends as the period does.
    let fireworks = notice(
        CaseCategory::Fireworks,
        "2026-01-01T00:00:00+07:00",
        [30, 40, 35, 2],
    );
    world.say(A, "2026-01-05T00:00:00Z", fireworks);
    let wrong = notice(
        CaseCategory::Smuggling,
        "2025-07-01T00:00:00Z",
        [99, 99, 99, 9],
    );
    let wrong = world.say(A, "2025-07-02T00:00:00Z", wrong);
    let right = notice(
        CaseCategory::Smuggling,
        "2025-07-01T00:00:00Z",
        [65, 70, 70, 0],
    );
    world.instead(A, wrong, "2025-07-03T00:00:00Z", right);
    let drugs = notice(CaseCategory::Drugs, "2025-08-01T00:00:00Z", [4, 5, 5, 3]);
    world.say(B, "2025-08-02T00:00:00Z", drugs);
    let before = notice(
        CaseCategory::Drugs,
        "2025-01-01T00:00:00+07:00",
        [7, 7, 7, 7],
    );
    world.say(B, "2025-01-02T00:00:00Z", before);
    let newer = Said::Cases {
        category: 77,
        to: at("2025-08-01T00:00:00Z"),
        cases: 1,
        persons: 2,
        suspects: 0,
        prosecutions: 0,
    };
    world.say(B, "2025-08-02T00:00:00Z", newer);
    let report = world.year();
    is(&report, "cases.fireworks.cases", [30, 0, 30]);
    is(&report, "cases.fireworks.suspects", [35, 0, 35]);
    is(&report, "cases.smuggling.cases", [65, 0, 65]);
    is(&report, "cases.drugs.prosecutions", [0, 3, 3]);
    is(&report, "cases.unknown.persons", [0, 2, 2]);
    is(&report, "cases.all.cases", [95, 5, 100]);
    is(&report, "cases.all.persons", [110, 7, 117]);
    is(&report, "cases.all.prosecutions", [2, 3, 5]);
}

#[test]
fn alerts_hazards_and_activities_count_and_follow_ups_do_not() {
    let mut world = World::default();
    let alert = || Said::Alert {
        incident: 6,
        persons: 3,
    };
    let first = world.say(A, "2025-02-01T00:00:00Z", alert());
    world.answer(A, first, "2025-02-01T00:10:00Z", alert());
    let hazard = world.say(B, "2025-02-02T00:00:00Z", Said::Hazard);
    world.answer(B, hazard, "2025-02-02T01:00:00Z", Said::Hazard);
    let activity = |activity: ActivityType, events, participants| Said::Activity {
        activity: activity as i32,
        to: at("2025-11-01T00:00:00Z"),
        events,
        participants,
    };
    world.say(
        A,
        "2025-11-02T00:00:00Z",
        activity(ActivityType::LegalEducation, 40, 9_900),
    );
    world.say(
        B,
        "2025-11-02T00:00:00Z",
        activity(ActivityType::Twinning, 2, 60),
    );
    let report = world.year();
    is(&report, "alerts", [1, 0, 1]);
    is(&report, "hazards", [0, 1, 1]);
    is(
        &report,
        "activities.legal-education.participants",
        [9_900, 0, 9_900],
    );
    is(&report, "activities.twinning.events", [0, 2, 2]);
    is(&report, "activities.all.participants", [9_900, 60, 9_960]);
}

fn person(number: u32) -> Person {
    Person {
        number,
        claims_protection: false,
        has_particulars: true,
        is_minor_alone: false,
        has_guardian: false,
        is_trafficking_victim: false,
        route: HandoverRoute::Return as i32,
    }
}

fn decided(outcomes: &[(u32, HandoverOutcome)]) -> Said {
    let decision = |(number, outcome): &(u32, HandoverOutcome)| Decision {
        number: *number,
        outcome: *outcome as i32,
        valid_until: None,
    };
    Said::HandoverReply {
        decisions: outcomes.iter().map(decision).collect(),
        decided_by_person: true,
    }
}

fn recorded(numbers: &[u32], time: &str) -> Said {
    let person = |number: &u32| HandedOver {
        number: *number,
        has_guardian: false,
        has_victim_authority: false,
    };
    Said::HandoverRecord {
        persons: numbers.iter().map(person).collect(),
        at: at(time),
        is_return: false,
    }
}

/// A asks B to take persons 1 to `count`; those in `accepted` are, and are scheduled.
fn scheduled(world: &mut World, count: u32, accepted: &[u32]) -> SaidId {
    let persons = (1..=count).map(person).collect();
    let request = world.say(A, "2025-09-01T00:00:00Z", Said::HandoverRequest(persons));
    let outcomes: Vec<_> = (1..=count)
        .filter(|number| *number != count)
        .map(|number| {
            let is = accepted.contains(&number);
            let outcome = if is {
                HandoverOutcome::Accepted
            } else {
                HandoverOutcome::Refused
            };
            (number, outcome)
        })
        .collect();
    world.answer(B, request, "2025-09-02T00:00:00Z", decided(&outcomes));
    let schedule = Said::HandoverSchedule {
        numbers: accepted.to_vec(),
        at: at("2025-09-10T00:00:00Z"),
        short_notice: false,
    };
    let proposed = world.answer(A, request, "2025-09-03T00:00:00Z", schedule);
    let agreed = Said::Response {
        stance: Stance::Agreed as i32,
    };
    world.answer(B, proposed, "2025-09-04T00:00:00Z", agreed);
    request
}

#[test]
fn persons_are_handed_over_when_the_receiver_has_signed() {
    let mut world = World::default();
    // Six persons: 1 to 4 accepted, 5 refused, 6 not decided on.
    let request = scheduled(&mut world, 6, &[1, 2, 3, 4]);
    let record = recorded(&[1, 2, 3], "2025-09-10T01:00:00Z");
    let record = world.answer(A, request, "2025-09-10T02:00:00Z", record);
    is(&world.year(), "handover.persons", [0, 0, 0]);
    // The receiver disagrees on person 3.
    world.sign(B, record, "2025-09-10T03:00:00Z", &[3]);
    let report = world.year();
    is(&report, "handover.persons", [2, 0, 2]);
    is(&report, "handover.cases", [1, 0, 1]);
    // Later it agrees after all, and the fourth comes in a record of its own: the case is one.
    world.sign(B, record, "2025-09-11T03:00:00Z", &[]);
    let later = recorded(&[4], "2026-01-10T01:00:00Z");
    let later = world.answer(A, request, "2026-01-10T02:00:00Z", later);
    world.sign(B, later, "2026-01-10T03:00:00Z", &[]);
    let report = world.year();
    is(&report, "handover.persons", [3, 0, 3]);
    is(&report, "handover.cases", [1, 0, 1]);
    let next = world.report("2026-01-01T00:00:00+07:00", "2027-01-01T00:00:00+07:00");
    is(&next, "handover.persons", [1, 0, 1]);
    is(&next, "handover.requests", [0, 0, 0]);
    for (name, count) in [
        ("handover.requests", 1),
        ("handover.requested", 6),
        ("handover.accepted", 4),
        ("handover.refused", 1),
        ("handover.pending", 1),
        ("handover.protected", 0),
    ] {
        is(&report, name, [count, 0, count]);
    }
    // The refused one is closed, and stays refused.
    let closure = Said::Closure {
        outcome: 3,
        numbers: vec![1, 5],
    };
    world.answer(A, request, "2025-09-20T00:00:00Z", closure);
    let closed = world.year();
    is(&closed, "handover.refused", [1, 0, 1]);
    is(&closed, "handover.accepted", [4, 0, 4]);
    is(&closed, "handover.persons", [3, 0, 3]);
}

#[test]
fn a_digest_of_another_text_is_no_signature() {
    let mut world = World::default();
    let request = scheduled(&mut world, 2, &[1]);
    let record = recorded(&[1], "2025-09-10T01:00:00Z");
    let record = world.answer(A, request, "2025-09-10T02:00:00Z", record);
    let other = Said::Countersignature {
        body_digest: vec![7; 32],
        stance: v1::CountersignatureStance::Signed as i32,
        disputed: Vec::new(),
    };
    world.answer(B, record, "2025-09-10T03:00:00Z", other);
    is(&world.year(), "handover.persons", [0, 0, 0]);
}

#[test]
fn acknowledgements_count_for_the_side_that_gives_them() {
    let mut world = World::default();
    // Nine letters, acknowledged after 1 to 9 minutes; the tenth after an hour.
    for minute in 1..=10 {
        let letter = world.say(A, "2025-02-01T00:00:00Z", LETTER);
        let taken = if minute == 10 { 60 } else { minute };
        let time = jiff::Timestamp::from_second(at("2025-02-01T00:00:00Z") / 1_000 + taken * 60);
        world.answer(B, letter, &time.unwrap().to_string(), Said::Acknowledgement);
    }
    let report = world.year();
    is(&report, "acknowledgement.given", [0, 10, 10]);
    assert_eq!(
        three(&report, "acknowledgement.time.median")[1],
        Some(5 * 60)
    );
    assert_eq!(three(&report, "acknowledgement.time.p90")[1], Some(9 * 60));
    // No term was set.
    is(&report, "acknowledgement.due", [0, 0, 0]);
    let share = figure(&report, "acknowledgement.on-time.share", Whose::Side(B));
    assert_eq!(share.value, Value::None);
}

#[test]
fn silence_is_late_and_terms_are_those_of_urgency() {
    let mut world = World::default();
    let alert = || Said::Alert {
        incident: 6,
        persons: 1,
    };
    // An alert: one hour, the hour itself is late.
    for (time, _) in [
        ("2025-02-01T00:59:59Z", true),
        ("2025-02-01T01:00:00Z", false),
    ] {
        let said = world.say(A, "2025-02-01T00:00:00Z", alert());
        world.answer(B, said, time, Said::Acknowledgement);
    }
    // FLASH: 60 seconds.
    for time in ["2025-02-02T00:00:59Z", "2025-02-02T00:01:01Z"] {
        let words = world.words(A, at("2025-02-02T00:00:00Z"), LETTER);
        let words = words.with(|facts| facts.precedence = Precedence::Flash as i32);
        let said = world.put(A, words);
        world.answer(B, said, time, Said::Acknowledgement);
    }
    // Never answered; and one whose time is not over when the period is.
    world.say(A, "2025-02-03T00:00:00Z", alert());
    world.say(A, "2025-12-31T16:30:00Z", alert());
    // Answered in substance instead, in time.
    let words = world.words(A, at("2025-02-04T00:00:00Z"), LETTER);
    let words = words.with(|facts| facts.acknowledge_by = Some(at("2025-02-05T00:00:00Z")));
    let said = world.put(A, words);
    world.answer(B, said, "2025-02-04T10:00:00Z", LETTER);
    let report = world.year();
    is(&report, "acknowledgement.due", [0, 6, 6]);
    is(&report, "acknowledgement.on-time", [0, 3, 3]);
    let share = figure(&report, "acknowledgement.on-time.share", Whose::Side(B));
    assert_eq!(share.value, Value::Known(500));
    // What was late is named.
    let late: Vec<u64> = share.made_of.iter().map(|entry| entry.index).collect();
    assert_eq!(late, [1, 3, 4]);
}

#[test]
fn letters_are_answered_by_letters_and_a_clock_that_runs_behind_takes_no_time() {
    let mut world = World::default();
    let first = world.say(
        A,
        "2025-02-01T00:00:00Z",
        letter_due("2025-02-10T00:00:00Z"),
    );
    world.answer(B, first, "2025-02-01T00:30:00Z", Said::Acknowledgement);
    world.answer(B, first, "2025-02-03T00:00:00Z", LETTER);
    let late = world.say(
        A,
        "2025-03-01T00:00:00Z",
        letter_due("2025-03-10T00:00:00Z"),
    );
    world.answer(B, late, "2025-03-10T00:00:00Z", LETTER);
    let early = world.say(
        A,
        "2025-04-01T00:00:00Z",
        letter_due("2025-04-10T00:00:00Z"),
    );
    world.answer(B, early, "2025-03-31T23:59:00Z", LETTER);
    world.say(
        A,
        "2025-05-01T00:00:00Z",
        letter_due("2025-05-10T00:00:00Z"),
    );
    let report = world.year();
    is(&report, "letters.replied", [0, 3, 3]);
    is(&report, "letters.reply-due", [0, 4, 4]);
    is(&report, "letters.on-time", [0, 2, 2]);
    let day = 86_400;
    assert_eq!(
        three(&report, "letters.reply-time.median")[1],
        Some(2 * day)
    );
    assert_eq!(three(&report, "letters.reply-time.p90")[1], Some(9 * day));
    assert_eq!(three(&report, "letters.on-time.share")[1], Some(500));
    // Answers are not letters of the side that asked.
    is(&report, "letters", [4, 3, 7]);
}

fn calendar(name: &str) -> YearCalendar {
    let path = format!("{}/calendars/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    super::seen::calendar_file(&path)
}

fn replied(numbers: &[u32]) -> Said {
    Said::VerificationReply {
        results: numbers.iter().map(|number| (*number, 1)).collect(),
        decided_by_person: true,
    }
}

#[test]
fn verification_is_measured_in_working_days_of_the_side_that_answers() {
    let mut world = World::default();
    world.publish(B, &calendar("cn-2025"), "2024-12-01T00:00:00Z");
    world.publish(B, &calendar("cn-2026"), "2025-11-20T00:00:00Z");
    // Wednesday 24 September 2025. Sunday 28 is worked, 1 to 8 October is Golden Week: 25, 26, 28,
    // 29, 30 September, 9 and 10 October are the seven days. Saturday 11 October is worked.
    let ask = |world: &mut World, numbers: &[u32]| {
        world.say(
            A,
            "2025-09-24T03:00:00Z",
            Said::VerificationRequest(numbers.to_vec()),
        )
    };
    let first = ask(&mut world, &[1, 2]);
    world.answer(B, first, "2025-09-26T03:00:00Z", replied(&[1]));
    // The last second of 10 October in Beijing.
    world.answer(B, first, "2025-10-10T15:59:59Z", replied(&[2]));
    let second = ask(&mut world, &[1]);
    world.answer(B, second, "2025-10-10T16:00:00Z", replied(&[1]));
    // Once extended by 5 days: 11, 13, 14, 15, 16 October.
    let third = ask(&mut world, &[1, 2, 3]);
    world.answer(B, third, "2025-10-10T03:00:00Z", Said::Extension);
    world.answer(B, third, "2025-10-16T15:59:59Z", replied(&[1, 2, 3]));
    // Never answered in full.
    let fourth = ask(&mut world, &[1, 2]);
    world.answer(B, fourth, "2025-09-26T03:00:00Z", replied(&[2]));
    let report = world.year();
    is(&report, "verification.requests", [4, 0, 4]);
    is(&report, "verification.persons", [8, 0, 8]);
    is(&report, "verification.replied", [0, 3, 3]);
    is(&report, "verification.reply-due", [0, 4, 4]);
    is(&report, "verification.on-time", [0, 2, 2]);
    assert_eq!(three(&report, "verification.on-time.share")[1], Some(500));
    // 7, 8 and 12 working days.
    assert_eq!(three(&report, "verification.reply-days.median")[1], Some(8));
    assert_eq!(three(&report, "verification.reply-days.p90")[1], Some(12));
}

#[test]
fn without_a_calendar_nothing_is_guessed() {
    let mut world = World::default();
    let ask =
        |world: &mut World, by, time: &str| world.say(by, time, Said::VerificationRequest(vec![1]));
    world.publish(B, &calendar("cn-2025"), "2024-12-01T00:00:00Z");
    let first = ask(&mut world, A, "2025-03-03T03:00:00Z");
    world.answer(B, first, "2025-03-04T03:00:00Z", replied(&[1]));
    // Seven working days from here need 2026.
    ask(&mut world, A, "2025-12-29T03:00:00Z");
    ask(&mut world, B, "2025-03-03T03:00:00Z");
    let report = world.year();
    let value = |name: &str, party| figure(&report, name, Whose::Side(party)).value.clone();
    let missing = Value::NotComputable("calendar CN 2026 missing".to_owned());
    for name in [
        "verification.reply-days.median",
        "verification.reply-days.p90",
        "verification.reply-due",
        "verification.on-time",
        "verification.on-time.share",
    ] {
        assert_eq!(value(name, B), missing, "{name}");
        assert!(matches!(value(name, A), Value::NotComputable(_)), "{name}");
    }
    assert_eq!(value("verification.replied", B), Value::Known(1));
    let both = figure(&report, "verification.reply-due", Whose::Both);
    assert!(matches!(both.value, Value::NotComputable(_)));
    // A report carries nothing that cannot be told, and agrees with itself.
    let proposal = report.to_proposal();
    assert!(
        proposal
            .iter()
            .all(|figure| figure.name != "verification.on-time")
    );
    assert_eq!(report.differences(&proposal), []);
}

#[test]
fn months_are_those_of_a_zone() {
    let mut world = World::default();
    world.say(A, "2025-01-31T16:30:00Z", LETTER); // 23:30 in Hanoi, 00:30 on 1 February in Beijing
    world.say(A, "2025-12-31T16:30:00Z", LETTER);
    let report = world.year();
    let letters = figure(&report, "letters", Whose::Side(A));
    let of = |zone: &str| -> Vec<(String, i64)> {
        let zone = parse_zone(zone).into_iter();
        let months = zone.flat_map(|zone| letters.by_month(report.period, &zone));
        months
            .map(|(month, sum)| (month.to_string(), sum))
            .collect()
    };
    let hanoi = of("Asia/Ho_Chi_Minh");
    assert_eq!(hanoi.len(), 12);
    assert_eq!(hanoi[0], ("2025-01-01".to_owned(), 1));
    assert_eq!(hanoi[11], ("2025-12-01".to_owned(), 1));
    let beijing = of("+08:00");
    assert_eq!(
        beijing.len(),
        13,
        "the period ends at 01:00 on 1 January there"
    );
    assert_eq!(beijing[1].1, 1);
    let long = world.report("2001-01-01T00:00:00Z", "2199-01-01T00:00:00Z");
    let letters = figure(&long, "letters", Whose::Side(A));
    let months = parse_zone("UTC").map(|zone| letters.by_month(long.period, &zone));
    assert_eq!(months, Some(Vec::new()));
}

#[test]
fn a_report_carries_what_is_not_zero_and_names_what_differs() {
    let mut world = World::default();
    let letter = world.say(A, "2025-02-01T00:00:00Z", LETTER);
    world.say(B, "2025-02-02T00:00:00Z", LETTER);
    let report = world.year();
    let mut proposal = report.to_proposal();
    let names: Vec<(&str, &str, i64)> = proposal
        .iter()
        .map(|figure| (figure.name.as_str(), figure.side.as_str(), figure.value))
        .collect();
    let [a, b] = SIDES;
    assert_eq!(
        names,
        [("letters", "", 2), ("letters", a, 1), ("letters", b, 1)]
    );
    assert_eq!(report.differences(&proposal), []);

    proposal[1].value = 5;
    proposal.remove(2);
    proposal.push(v1::Figure {
        name: "letters.of.tomorrow".to_owned(),
        side: String::new(),
        value: 1,
    });
    let differences = report.differences(&proposal);
    let told: Vec<(&str, &str, i64, Option<i64>)> = differences
        .iter()
        .map(|d| {
            (
                d.name.as_str(),
                d.side.as_str(),
                d.stated,
                d.counted.known(),
            )
        })
        .collect();
    let expected = [
        ("letters", a, 5, Some(1)),
        ("letters", b, 0, Some(1)),
        ("letters.of.tomorrow", "", 1, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(differences[0].made_of[0].id, letter.id);
    // Stated twice, of no side, and a figure that cannot be told.
    let twice = vec![proposal[0].clone(), proposal[0].clone()];
    assert!(report.differences(&twice)[0].reason.is_some());
    let stranger = v1::Figure {
        name: "letters".to_owned(),
        side: "c.la.example".to_owned(),
        value: 0,
    };
    let mut with_stranger = report.to_proposal();
    with_stranger.push(stranger);
    assert_eq!(report.differences(&with_stranger).len(), 1);
}

#[test]
fn every_figure_is_defined_in_the_documentation() {
    let path = format!("{}/docs/statistics.md", env!("CARGO_MANIFEST_DIR"));
    let page = super::seen::read(&path);
    for definition in liaison::model::report::catalogue::all() {
        let name = &definition.name;
        let parts: Vec<&str> = name.split('.').collect();
        let wanted = match parts[..] {
            ["cases", _, measure] => format!("`cases.CATEGORY.{measure}`"),
            ["activities", _, measure] => format!("`activities.TYPE.{measure}`"),
            _ => format!("`{name}`"),
        };
        assert!(page.contains(&wanted), "{wanted}");
        if let ["cases" | "activities", subject, _] = parts[..] {
            assert!(page.contains(&format!("`{subject}`")), "{subject}");
        }
    }
}
