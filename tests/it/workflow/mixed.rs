//! Several things in one case.

use std::sync::Arc;

use liaison::model::workflow::{Party, Said, Standing, Thread};
use liaison::proto::v1::{CountersignatureStance, HandoverOutcome};

use super::language::{About, World, facts, instead_of, person, reply, schedule, signature, to};

const A: Party = Party::A;
const B: Party = Party::B;

#[test]
fn a_step_may_answer_a_letter_about_it() {
    let mut world = World::new();
    let said = Said::HandoverRequest(vec![person(1)]);
    world.says(A, "request", said, &About::default()).unwrap();
    let letter = Said::Letter { reply_by: None };
    world
        .says(B, "question", letter.clone(), &to("request"))
        .unwrap();
    let said = Said::HandoverSupplement(vec![person(1)]);
    world.says(A, "more", said, &to("question")).unwrap();
    world.says(A, "urging", letter, &to("question")).unwrap();
    assert_eq!(world.state("question"), "replied");
    let said = reply(&[1], HandoverOutcome::Accepted, None);
    world.says(B, "reply", said, &to("urging")).unwrap();
    assert_eq!(world.persons("request"), ["accepted"]);
    let at = world.now + 9 * super::language::DAY;
    world
        .says(A, "schedule", schedule(&[1], at), &to("question"))
        .unwrap();
}

#[test]
fn a_damaged_marker_is_reported_and_then_minuted_in_the_same_case() {
    let marker = |is_minutes| Said::Marker {
        marker: 112,
        is_minutes,
    };
    let mut world = World::new();
    world
        .says(A, "report", marker(false), &About::default())
        .unwrap();
    world
        .says(B, "minutes", marker(true), &to("report"))
        .unwrap();
    assert_eq!(world.state("report"), "replied");
    assert_eq!(world.state("minutes"), "minutes proposed");
    let said = signature(world.the("minutes"), CountersignatureStance::Signed);
    let theirs = world.facts(B, said.clone(), &to("minutes"));
    assert!(world.book.judge(B, &theirs).is_err());
    world.says(A, "signed", said, &to("minutes")).unwrap();
    assert_eq!(world.state("minutes"), "countersigned");
}

#[test]
fn nobody_answers_one_thing_and_corrects_another() {
    let mut world = World::new();
    let verify = |numbers: &[u32]| Said::VerificationReply {
        results: numbers.iter().map(|n| (*n, 1)).collect(),
        decided_by_person: true,
    };
    let ask = || Said::VerificationRequest(vec![1, 2]);
    world.says(A, "one", ask(), &About::default()).unwrap();
    world.says(A, "other", ask(), &to("one")).unwrap();
    world.says(B, "answer", verify(&[1]), &to("one")).unwrap();
    assert_eq!(world.state("other"), "requested");
    let about = About {
        to: Some("other"),
        supersedes: Some("answer"),
        seen: None,
    };
    let refused = world.says(B, "both", verify(&[1]), &about).unwrap_err();
    assert!(refused.reason.contains("corrects another"));
    world
        .says(B, "better", verify(&[1, 2]), &instead_of("answer"))
        .unwrap();
    assert_eq!(world.state("one"), "answered");
    assert_eq!(world.state("other"), "requested");
}

/// What the node says by itself moves nothing, and is nobody's breach.
#[test]
fn what_a_node_says_moves_nothing() {
    let mut world = World::new();
    let said = Said::HandoverRequest(vec![person(1)]);
    world.says(A, "request", said, &About::default()).unwrap();
    let before = world.view("request");
    let mut system = world.facts(B, Said::System, &to("request"));
    system.seen_size = 0;
    assert_eq!(world.insists(B, "system", system), Standing::Applied);
    let after = world.view("request");
    assert_eq!(before.matters, after.matters);
    // Where it alone speaks there is no case.
    let mut alone = facts(901, Said::System);
    alone.in_reply_to = Some(world.the("request").id);
    world.book.take(B, Some(alone));
    assert_eq!(world.book.threads(), [world.the("request").thread]);
}

#[test]
fn what_is_named_may_come_later() {
    let mut first = facts(1, Said::Hazard);
    first.seen_size = 0;
    let mut note = facts(2, Said::Acknowledgement);
    note.thread = first.id;
    note.in_reply_to = Some(first.id);
    note.seen_size = 1;
    let mut thread = Thread::default();
    thread.take(B, 0, Arc::new(note));
    let early = thread.view(first.id, 0);
    assert_eq!(early.messages[0].standing, Standing::Waiting);
    thread.take(A, 0, Arc::new(first.clone()));
    let view = thread.view(first.id, 0);
    assert_eq!(view.messages[1].standing, Standing::Applied);
    assert_eq!(view.matters[0].state, "acknowledged");
}
