//! Every way round the safeguards of handovers that we could think of, and that it is closed. `A`
//! holds the persons, `B` was asked.

use liaison::model::workflow::facts::{HandedOver, Person};
use liaison::model::workflow::{Impossible, Party, Said, Standing};
use liaison::proto::v1::{
    CountersignatureStance, HandoverOutcome, HandoverRoute, ProtectionOutcome, Stance,
};

use super::language::{
    About, DAY, HOUR, MINUTE, START, World, claimant, decision, handed_over, instead_of, person,
    record, reply, response, schedule, signature, to,
};

const A: Party = Party::A;
const B: Party = Party::B;

/// A request for these persons.
fn request(persons: Vec<Person>) -> World {
    let mut world = World::new();
    let said = Said::HandoverRequest(persons);
    world.says(A, "request", said, &About::default()).unwrap();
    world
}

fn accepted(world: &mut World, numbers: &[u32]) {
    let said = reply(
        numbers,
        HandoverOutcome::Accepted,
        Some(world.now + 30 * DAY),
    );
    world.says(B, "reply", said, &to("request")).unwrap();
}

fn scheduled(world: &mut World, numbers: &[u32]) {
    let at = world.now + 3 * DAY;
    let said = schedule(numbers, at);
    world.says(A, "schedule", said, &to("reply")).unwrap();
    let agreed = response(Stance::Agreed);
    world.says(B, "agreed", agreed, &to("schedule")).unwrap();
}

fn supplement(world: &mut World, told: Person) -> Result<(), Impossible> {
    let said = Said::HandoverSupplement(vec![told]);
    world.says(A, "supplement", said, &to("request"))
}

/// It is refused before it is recorded, and if it is recorded all the same it is a breach and
/// changes nothing.
#[track_caller]
fn refused(world: &mut World, by: Party, said: Said, about: &About<'_>, why: &str) {
    let facts = world.facts(by, said, about);
    let impossible = world.book.judge(by, &facts).unwrap_err();
    assert!(impossible.reason.contains(why), "{}", impossible.reason);
    let mut hostile = world.clone();
    let before = hostile.persons("request");
    let standing = hostile.insists(by, "attempt", facts);
    assert!(matches!(standing, Standing::Breach(_)), "{standing:?}");
    assert_eq!(hostile.persons("request"), before);
}

#[test]
fn a_claim_suspends_at_any_state_before_the_person_has_left() {
    let stages: [fn(&mut World); 5] = [
        |_| {},
        |world| {
            let said = reply(&[1, 2], HandoverOutcome::InformationNeeded, None);
            world.says(B, "reply", said, &to("request")).unwrap();
        },
        |world| accepted(world, &[1, 2]),
        |world| {
            accepted(world, &[1, 2]);
            let said = schedule(&[1, 2], world.now + 3 * DAY);
            world.says(B, "schedule", said, &to("request")).unwrap();
        },
        |world| {
            accepted(world, &[1, 2]);
            scheduled(world, &[1, 2]);
        },
    ];
    for stage in stages {
        let mut world = request(vec![person(1), person(2)]);
        stage(&mut world);
        let other = world.persons("request")[1].clone();
        supplement(&mut world, claimant(1)).unwrap();
        assert_eq!(world.persons("request"), ["suspended".to_owned(), other]);
        let at = world.now + 9 * DAY;
        let why = "claim for protection is not decided";
        refused(&mut world, B, schedule(&[1], at), &to("request"), why);
        refused(&mut world, A, schedule(&[2, 1], at), &to("request"), "");
        let said = reply(&[1], HandoverOutcome::Accepted, None);
        refused(&mut world, B, said, &to("request"), "suspended");
        refused(&mut world, A, record(&[1], at), &to("request"), why);
        refused(&mut world, A, record(&[2, 1], at), &to("request"), "");
    }
}

#[test]
fn particulars_of_a_claimant_are_never_sent() {
    let told = Person {
        has_particulars: true,
        ..claimant(1)
    };
    // In a request.
    let mut world = World::new();
    let said = Said::HandoverRequest(vec![person(2), told]);
    let refusal = world.says(A, "request", said.clone(), &About::default());
    assert!(refusal.unwrap_err().reason.contains("withheld"));
    // The peer does it all the same: a breach, and the claim counts.
    let facts = world.facts(A, said, &About::default());
    let standing = world.insists(A, "request", facts);
    assert!(matches!(standing, Standing::Breach(_)));
    assert_eq!(world.persons("request"), ["suspended", "requested"]);

    // In a supplement that makes the claim, and in one after it that is silent about it.
    let mut world = request(vec![person(1)]);
    let said = Said::HandoverSupplement(vec![told]);
    refused(&mut world, A, said, &to("request"), "withheld");
    supplement(&mut world, claimant(1)).unwrap();
    for told in [told, person(1)] {
        let said = Said::HandoverSupplement(vec![told]);
        refused(&mut world, A, said, &to("request"), "withheld");
    }
    // When an authority has let the handover go on, they may be told.
    let said = decision(&[1], ProtectionOutcome::HandoverMayProceed);
    world.says(A, "decision", said, &to("request")).unwrap();
    supplement(&mut world, person(1)).unwrap();
}

#[test]
fn a_claim_is_not_taken_back_by_silence() {
    let mut world = request(vec![claimant(1)]);
    let silent = Person {
        has_particulars: false,
        ..person(1)
    };
    supplement(&mut world, silent).unwrap();
    assert_eq!(world.persons("request"), ["suspended"]);
    refused(
        &mut world,
        A,
        Said::Withdrawal,
        &instead_of("supplement"),
        "not taken back",
    );
}

#[test]
fn only_a_named_authority_decides_and_only_the_holder_records_it() {
    let mut world = request(vec![person(1), claimant(2)]);
    let go_on = ProtectionOutcome::HandoverMayProceed;
    let named = "only the side that holds the persons";
    refused(&mut world, B, decision(&[2], go_on), &to("request"), named);
    let nameless = Said::ProtectionDecision {
        numbers: vec![2],
        by_named_authority: false,
        outcome: go_on as i32,
    };
    refused(&mut world, A, nameless, &to("request"), "authority");
    // For somebody who has made no claim, alone or with others; for nobody; with no outcome.
    for numbers in [&[1][..], &[2, 1], &[3], &[], &[2, 2]] {
        refused(&mut world, A, decision(numbers, go_on), &to("request"), "");
    }
    let nothing = decision(&[2], ProtectionOutcome::Unspecified);
    refused(&mut world, A, nothing, &to("request"), "outcome");
    let said = decision(&[2], ProtectionOutcome::Protected);
    world.says(A, "decision", said, &to("request")).unwrap();
    assert_eq!(world.persons("request"), ["requested", "protected"]);
    // That is for good.
    refused(&mut world, A, decision(&[2], go_on), &to("request"), "");
    let said = Said::Withdrawal;
    refused(
        &mut world,
        A,
        said,
        &instead_of("decision"),
        "not taken back",
    );
}

#[test]
fn who_claims_again_after_a_decision_is_suspended_again() {
    let mut world = request(vec![claimant(1)]);
    let go_on = decision(&[1], ProtectionOutcome::HandoverMayProceed);
    world
        .says(A, "decision", go_on.clone(), &to("request"))
        .unwrap();
    assert_eq!(world.persons("request"), ["requested"]);
    supplement(&mut world, claimant(1)).unwrap();
    assert_eq!(world.persons("request"), ["suspended"]);
    let why = "claim for protection is not decided";
    let at = world.now + 9 * DAY;
    refused(&mut world, A, schedule(&[1], at), &to("request"), why);
    world.says(A, "again", go_on, &to("request")).unwrap();
    assert_eq!(world.persons("request"), ["requested"]);
}

#[test]
fn another_request_of_the_case_does_not_launder_a_claim() {
    let clean = || Said::HandoverRequest(vec![person(1)]);
    let why = "has claimed protection";
    // By superseding, by a request beside it, after withdrawing it, after it was protected.
    let mut world = request(vec![claimant(1), person(2)]);
    refused(&mut world, A, clean(), &instead_of("request"), why);
    refused(&mut world, A, clean(), &to("request"), why);
    world
        .says(A, "gone", Said::Withdrawal, &instead_of("request"))
        .unwrap();
    assert_eq!(world.persons("request"), ["withdrawn", "withdrawn"]);
    refused(&mut world, A, clean(), &to("request"), why);
    refused(&mut world, A, clean(), &to("gone"), why);

    let mut world = request(vec![claimant(1)]);
    let said = decision(&[1], ProtectionOutcome::Protected);
    world.says(A, "decision", said, &to("request")).unwrap();
    refused(&mut world, A, clean(), &instead_of("request"), why);
    refused(&mut world, A, clean(), &to("request"), why);

    // When an authority has let it go on, another request is possible.
    let mut world = request(vec![claimant(1)]);
    let said = decision(&[1], ProtectionOutcome::HandoverMayProceed);
    world.says(A, "decision", said, &to("request")).unwrap();
    world
        .says(A, "second", clean(), &instead_of("request"))
        .unwrap();
    assert_eq!(world.persons("request"), ["superseded"]);
    assert_eq!(world.persons("second"), ["requested"]);
    // It is answered like any other.
    let said = reply(&[1], HandoverOutcome::Accepted, None);
    world.says(B, "reply", said, &to("second")).unwrap();
    assert_eq!(world.persons("second"), ["accepted"]);
    let said = reply(&[1], HandoverOutcome::Accepted, None);
    refused(&mut world, B, said, &to("request"), "superseded");
}

#[test]
fn one_request_of_a_side_is_under_way_in_a_case() {
    let mut world = request(vec![person(1)]);
    let again = || Said::HandoverRequest(vec![person(1)]);
    refused(&mut world, A, again(), &to("request"), "under way");
    // The other side may hold persons as well.
    world.says(B, "theirs", again(), &to("request")).unwrap();
    assert_eq!(world.persons("theirs"), ["requested"]);
    // And when all were refused, another request is another request.
    let said = reply(&[1], HandoverOutcome::Refused, None);
    world.says(B, "reply", said, &to("request")).unwrap();
    world.says(A, "second", again(), &to("reply")).unwrap();
    assert_eq!(world.persons("request"), ["refused"]);
    assert_eq!(world.persons("second"), ["requested"]);
}

#[test]
fn a_number_given_twice_hides_nothing() {
    for persons in [vec![claimant(1), person(1)], vec![person(1), claimant(1)]] {
        let mut world = World::new();
        let facts = world.facts(A, Said::HandoverRequest(persons), &About::default());
        let impossible = world.book.judge(A, &facts).unwrap_err();
        assert!(impossible.reason.contains("named twice"));
        world.insists(A, "request", facts);
        assert_eq!(world.persons("request"), ["suspended"]);
    }
    // Nor in any other message.
    let mut world = request(vec![person(1)]);
    let twice = Said::HandoverSupplement(vec![claimant(1), person(1)]);
    refused(&mut world, A, twice, &to("request"), "");
    let said = reply(&[1, 1], HandoverOutcome::Accepted, None);
    refused(&mut world, B, said, &to("request"), "named twice");
    accepted(&mut world, &[1]);
    let at = world.now + 3 * DAY;
    refused(
        &mut world,
        A,
        schedule(&[1, 1], at),
        &to("reply"),
        "named twice",
    );
    scheduled(&mut world, &[1]);
    refused(
        &mut world,
        A,
        record(&[1, 1], at),
        &to("schedule"),
        "named twice",
    );
}

fn child(has_guardian: bool) -> Person {
    Person {
        is_minor_alone: true,
        has_guardian,
        ..person(1)
    }
}

#[test]
fn an_unaccompanied_minor_has_a_guardian_at_every_step() {
    let mut world = World::new();
    let said = Said::HandoverRequest(vec![child(false)]);
    let refusal = world.says(A, "request", said.clone(), &About::default());
    assert!(refusal.unwrap_err().reason.contains("guardian"));
    // The peer sends it all the same: it is neither scheduled nor recorded.
    let facts = world.facts(A, said, &About::default());
    assert!(matches!(
        world.insists(A, "request", facts),
        Standing::Breach(_)
    ));
    accepted(&mut world, &[1]);
    let at = world.now + 3 * DAY;
    for by in [A, B] {
        refused(&mut world, by, schedule(&[1], at), &to("reply"), "guardian");
    }
    // Named by a supplement, it goes on; and is not unnamed again, nor made an adult.
    supplement(&mut world, child(true)).unwrap();
    for told in [child(false), person(1)] {
        let said = Said::HandoverSupplement(vec![told]);
        refused(&mut world, A, said, &to("request"), "guardian");
    }
    scheduled(&mut world, &[1]);
    refused(
        &mut world,
        A,
        record(&[1], at),
        &to("schedule"),
        "is not named",
    );
    let received = |has_guardian, is_return| Said::HandoverRecord {
        persons: vec![HandedOver {
            has_guardian,
            ..handed_over(1)
        }],
        at,
        is_return,
    };
    world
        .says(A, "record", received(true, false), &to("schedule"))
        .unwrap();
    // Nor does a child go back to nobody.
    let said = signature(world.the("record"), CountersignatureStance::NotSigned);
    world.says(B, "dispute", said, &to("record")).unwrap();
    refused(
        &mut world,
        B,
        received(false, true),
        &to("record"),
        "is not named",
    );
    world
        .says(B, "return", received(true, true), &to("record"))
        .unwrap();
    assert_eq!(world.persons("request"), ["going back"]);
}

fn victim(route: HandoverRoute) -> Person {
    Person {
        is_trafficking_victim: true,
        route: route as i32,
        ..person(1)
    }
}

#[test]
fn a_victim_goes_the_victims_route_to_an_authority_for_victims() {
    for route in [
        HandoverRoute::Offender,
        HandoverRoute::Return,
        HandoverRoute::Unspecified,
    ] {
        let mut world = World::new();
        let said = Said::HandoverRequest(vec![victim(route)]);
        let refusal = world.says(A, "request", said.clone(), &About::default());
        assert!(refusal.unwrap_err().reason.contains("never as an offender"));
        let facts = world.facts(A, said, &About::default());
        assert!(matches!(
            world.insists(A, "request", facts),
            Standing::Breach(_)
        ));
        accepted(&mut world, &[1]);
        let at = world.now + 3 * DAY;
        let why = "victim's route";
        refused(&mut world, B, schedule(&[1], at), &to("reply"), why);
        // Signs of trafficking are not unlearnt.
        for told in [
            victim(route),
            person(1),
            Person {
                route: HandoverRoute::Offender as i32,
                ..person(1)
            },
        ] {
            let said = Said::HandoverSupplement(vec![told]);
            refused(&mut world, A, said, &to("request"), "never as an offender");
        }
        supplement(&mut world, victim(HandoverRoute::Victim)).unwrap();
        scheduled(&mut world, &[1]);
        let why = "authority for victims";
        refused(&mut world, A, record(&[1], at), &to("schedule"), why);
        let received = Said::HandoverRecord {
            persons: vec![HandedOver {
                has_victim_authority: true,
                ..handed_over(1)
            }],
            at,
            is_return: false,
        };
        world.says(A, "record", received, &to("schedule")).unwrap();
    }
}

#[test]
fn no_program_accepts_and_nobody_agrees_for_the_other_side() {
    let mut world = request(vec![person(1)]);
    let mut said = reply(&[1], HandoverOutcome::Accepted, None);
    if let Said::HandoverReply {
        decided_by_person, ..
    } = &mut said
    {
        *decided_by_person = false;
    }
    refused(&mut world, B, said, &to("request"), "never a program");
    let said = reply(&[1], HandoverOutcome::Accepted, None);
    refused(
        &mut world,
        A,
        said,
        &to("request"),
        "only the side that was asked",
    );
    accepted(&mut world, &[1]);
    // Nothing was agreed: no record.
    let at = world.now + 3 * DAY;
    refused(
        &mut world,
        A,
        record(&[1], at),
        &to("reply"),
        "cannot be handed over",
    );
    let said = schedule(&[1], at);
    world.says(A, "schedule", said, &to("reply")).unwrap();
    refused(
        &mut world,
        A,
        record(&[1], at),
        &to("schedule"),
        "cannot be handed over",
    );
    let yes = response(Stance::Agreed);
    refused(
        &mut world,
        A,
        yes,
        &to("schedule"),
        "does not agree with itself",
    );
    // An officer without a name is none.
    let nobody = response(Stance::Unspecified);
    refused(&mut world, B, nobody, &to("schedule"), "a named officer");
    // Silence: time passes, and nothing is agreed.
    world.now += 4 * DAY;
    assert_eq!(world.persons("request"), ["schedule proposed"]);
    refused(
        &mut world,
        A,
        record(&[1], at),
        &to("schedule"),
        "cannot be handed over",
    );
    let yes = response(Stance::Agreed);
    refused(
        &mut world,
        B,
        yes,
        &to("schedule"),
        "the hour proposed has passed",
    );
}

#[test]
fn an_agreement_is_to_the_schedule_on_the_table() {
    let mut world = request(vec![person(1), person(2)]);
    accepted(&mut world, &[1, 2]);
    let at = world.now + 5 * DAY;
    world
        .says(A, "first", schedule(&[1, 2], at), &to("reply"))
        .unwrap();
    world
        .says(A, "second", schedule(&[1], at + DAY), &to("first"))
        .unwrap();
    // The first is still on the table for the second person, and for that one only.
    let yes = response(Stance::Agreed);
    world.says(B, "yes", yes.clone(), &to("first")).unwrap();
    assert_eq!(world.persons("request"), ["schedule proposed", "scheduled"]);
    let why = "no longer proposed";
    refused(&mut world, B, yes.clone(), &to("first"), why);
    // A letter about it is no schedule.
    let letter = Said::Letter { reply_by: None };
    world.says(A, "letter", letter, &to("second")).unwrap();
    refused(&mut world, B, yes, &to("letter"), "");
}

#[test]
fn what_is_taken_back_is_ones_own_whatever_else_is_named() {
    let mut world = request(vec![person(1)]);
    let letter = Said::Letter { reply_by: None };
    world
        .says(A, "letter", letter.clone(), &to("request"))
        .unwrap();
    world.says(B, "theirs", letter, &to("request")).unwrap();
    accepted(&mut world, &[1]);
    scheduled(&mut world, &[1]);
    // Takes back a letter of its own, in reply to the other's acceptance, agreement or schedule.
    for (by, own, others) in [
        (A, "letter", "reply"),
        (A, "letter", "agreed"),
        (B, "theirs", "schedule"),
        (B, "theirs", "request"),
    ] {
        let mut tried = world.clone();
        let about = About {
            to: Some(others),
            supersedes: Some(own),
            seen: None,
        };
        tried.says(by, "back", Said::Withdrawal, &about).unwrap();
        assert_eq!(tried.persons("request"), ["scheduled"]);
        assert_eq!(tried.state(own), "withdrawn");
        let about = instead_of(others);
        refused(&mut world, by, Said::Withdrawal, &about, "only its author");
    }
    // A withdrawal of nothing takes nothing back.
    refused(
        &mut world,
        A,
        Said::Withdrawal,
        &to("reply"),
        "names the message",
    );
    // A schedule is not corrected by a letter, nor a letter by a schedule.
    let at = world.now + 9 * DAY;
    let why = "another of its kind";
    refused(
        &mut world,
        A,
        schedule(&[1], at),
        &instead_of("letter"),
        why,
    );
}

#[test]
fn a_signature_is_under_the_record_it_names() {
    let mut world = request(vec![person(1), person(2)]);
    accepted(&mut world, &[1, 2]);
    scheduled(&mut world, &[1, 2]);
    let at = world.now;
    world
        .says(A, "record", record(&[1, 2], at), &to("schedule"))
        .unwrap();
    let yes = CountersignatureStance::Signed;
    // Another text, no digest, a digest that is too long.
    let other = signature(world.the("schedule"), yes);
    refused(&mut world, B, other, &to("record"), "digest");
    let mut long = world.the("record").body_digest.to_vec();
    long.push(0);
    for body_digest in [Vec::new(), long] {
        let said = Said::Countersignature {
            body_digest,
            stance: yes as i32,
            disputed: Vec::new(),
        };
        refused(&mut world, B, said, &to("record"), "digest");
    }
    let right = signature(world.the("record"), yes);
    refused(
        &mut world,
        A,
        right.clone(),
        &to("record"),
        "the other side",
    );
    refused(&mut world, B, right.clone(), &to("schedule"), "");
    let nobody = signature(world.the("record"), CountersignatureStance::Unspecified);
    refused(&mut world, B, nobody, &to("record"), "a named officer");
    let stranger = Said::Countersignature {
        body_digest: world.the("record").body_digest.to_vec(),
        stance: yes as i32,
        disputed: vec![3],
    };
    refused(&mut world, B, stranger, &to("record"), "not in that record");
    // A dispute about one leaves the other handed over.
    let dispute = Said::Countersignature {
        body_digest: world.the("record").body_digest.to_vec(),
        stance: yes as i32,
        disputed: vec![2],
    };
    world.says(B, "dispute", dispute, &to("record")).unwrap();
    assert_eq!(world.persons("request"), ["confirmed", "disputed"]);
    // The record was corrected meanwhile: the old text is not signed any more.
    let said = record(&[2], at);
    world
        .says(A, "corrected", said, &instead_of("record"))
        .unwrap();
    assert_eq!(world.persons("request"), ["confirmed", "handed over"]);
    refused(&mut world, B, right, &to("record"), "no record");
    let right = signature(world.the("corrected"), yes);
    world.says(B, "signed", right, &to("corrected")).unwrap();
    assert_eq!(world.persons("request"), ["confirmed", "confirmed"]);
}

#[test]
fn whom_a_corrected_record_leaves_out_was_not_handed_over() {
    let mut world = request(vec![person(1), person(2)]);
    accepted(&mut world, &[1, 2]);
    scheduled(&mut world, &[1, 2]);
    let at = world.now;
    world
        .says(A, "record", record(&[1, 2], at), &to("schedule"))
        .unwrap();
    world
        .says(A, "corrected", record(&[1], at), &instead_of("record"))
        .unwrap();
    assert_eq!(world.persons("request"), ["handed over", "scheduled"]);
}

#[test]
fn an_acceptance_that_has_run_out_is_not_scheduled_on() {
    let mut world = request(vec![person(1)]);
    let until = START + 10 * DAY;
    let said = reply(&[1], HandoverOutcome::Accepted, Some(until));
    world.says(B, "reply", said, &to("request")).unwrap();
    // Nor on a day after it.
    let why = "will have run out by then";
    refused(&mut world, A, schedule(&[1], until), &to("reply"), why);
    world
        .says(A, "schedule", schedule(&[1], until - 1), &to("reply"))
        .unwrap();
    world.now = until;
    assert_eq!(world.persons("request"), ["expired"]);
    let why = "has run out";
    let said = response(Stance::Agreed);
    refused(&mut world, B, said, &to("schedule"), why);
    let at = until + 9 * DAY;
    refused(&mut world, A, schedule(&[1], at), &to("reply"), why);
    // An acceptance that names no time holds for 30 days, and none begins in the past.
    let said = reply(&[1], HandoverOutcome::Accepted, Some(until));
    refused(&mut world, B, said, &to("request"), "run out already");
    let said = reply(&[1], HandoverOutcome::Accepted, None);
    world.says(B, "renewed", said, &to("request")).unwrap();
    let renewed = until;
    world.now = renewed + 30 * DAY - 1;
    assert_eq!(world.persons("request"), ["schedule proposed"]);
    world.now = renewed + 30 * DAY;
    assert_eq!(world.persons("request"), ["expired"]);
}

#[test]
fn a_schedule_is_told_two_days_before_or_says_why_not() {
    let mut world = request(vec![person(1)]);
    accepted(&mut world, &[1]);
    let early = world.now + 48 * HOUR;
    refused(
        &mut world,
        A,
        schedule(&[1], early - 1),
        &to("reply"),
        "48 hours",
    );
    let mut exactly = world.clone();
    exactly
        .says(A, "schedule", schedule(&[1], early), &to("reply"))
        .unwrap();
    let with_reason = |at| Said::HandoverSchedule {
        numbers: vec![1],
        at,
        short_notice: true,
    };
    let now = world.now;
    refused(&mut world, A, with_reason(now), &to("reply"), "has passed");
    let said = with_reason(now + MINUTE);
    world.says(A, "schedule", said, &to("reply")).unwrap();
}

#[test]
fn a_person_who_has_left_is_not_told_more_of_nor_withdrawn() {
    let mut world = request(vec![person(1), person(2)]);
    accepted(&mut world, &[1, 2]);
    scheduled(&mut world, &[1]);
    let at = world.now;
    world
        .says(A, "record", record(&[1], at), &to("schedule"))
        .unwrap();
    let said = Said::HandoverSupplement(vec![claimant(1)]);
    refused(
        &mut world,
        A,
        said,
        &to("request"),
        "cannot be told more of",
    );
    // The rest of the batch can still be withdrawn, or its acceptance taken back.
    let mut other = world.clone();
    other
        .says(B, "back", Said::Withdrawal, &instead_of("reply"))
        .unwrap();
    assert_eq!(other.persons("request"), ["handed over", "verifying"]);
    let about = instead_of("request");
    world.says(A, "rest", Said::Withdrawal, &about).unwrap();
    assert_eq!(world.persons("request"), ["handed over", "withdrawn"]);
}

/// The state after the claim does not depend on which of the two came first.
#[test]
fn a_claim_that_crosses_an_agreement_wins() {
    for holder in [A, B] {
        let mut world = World::new();
        let asked = holder.other();
        let said = Said::HandoverRequest(vec![person(1)]);
        world
            .says(holder, "request", said, &About::default())
            .unwrap();
        let said = reply(&[1], HandoverOutcome::Accepted, None);
        world.says(asked, "reply", said, &to("request")).unwrap();
        let at = world.now + 9 * DAY;
        world
            .says(holder, "schedule", schedule(&[1], at), &to("reply"))
            .unwrap();
        let seen = world.book.size(holder);
        let said = Said::HandoverSupplement(vec![claimant(1)]);
        world.says(holder, "claim", said, &to("request")).unwrap();
        // The other side has not seen the claim.
        let about = About {
            seen: Some(seen),
            ..to("schedule")
        };
        let facts = world.facts(asked, response(Stance::Agreed), &about);
        let standing = world.insists(asked, "yes", facts);
        assert!(!matches!(standing, Standing::Breach(_)), "{standing:?}");
        assert_eq!(world.persons("request"), ["suspended"]);
        let why = "claim for protection is not decided";
        let facts = world.facts(holder, record(&[1], at), &to("schedule"));
        let impossible = world.book.judge(holder, &facts).unwrap_err();
        assert!(impossible.reason.contains(why));
    }
}

#[test]
fn a_real_case_takes_no_exercise_and_begins_with_what_begins_cases() {
    let mut world = request(vec![person(1)]);
    let mut facts = world.facts(B, Said::Acknowledgement, &to("request"));
    facts.status = 2;
    let impossible = world.book.judge(B, &facts).unwrap_err();
    assert!(impossible.reason.contains("exercise"));
    for said in [
        Said::Acknowledgement,
        Said::Withdrawal,
        response(Stance::Agreed),
        reply(&[1], HandoverOutcome::Accepted, None),
        Said::Closure {
            outcome: 1,
            numbers: Vec::new(),
        },
    ] {
        let facts = world.facts(B, said, &About::default());
        let impossible = world.book.judge(B, &facts).unwrap_err();
        assert!(impossible.reason.contains("begins none"), "{impossible}");
    }
}

/// Who names a case has seen its first message: nobody gets in front of it.
#[test]
fn nobody_speaks_in_a_case_before_it_began() {
    let mut world = World::new();
    let mut facts = world.facts(B, Said::Letter { reply_by: None }, &About::default());
    facts.status = 2;
    world.insists(B, "first", facts);
    let junk = world.facts(A, Said::Letter { reply_by: None }, &About::default());
    // `A` comes first where nobody has seen the other; and says to have seen nothing.
    let mut junk = junk;
    junk.thread = world.the("first").thread;
    junk.seen_size = 0;
    let standing = world.insists(A, "junk", junk);
    assert!(matches!(standing, Standing::Breach(_)));
    assert_eq!(world.standing("first"), Standing::Applied);
    assert_eq!(world.state("first"), "sent");
}
