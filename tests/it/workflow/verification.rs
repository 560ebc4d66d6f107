//! Verification of two persons: the full table. `H` asks, `O` answers.

use liaison::model::workflow::{Owed, Party, Said, Term};

use super::language::{About, World, to};
use super::table::{Case, Row, holds};

const ALWAYS: &str = "
    O acknowledges
    both writes → =+
    both alerts → =+
    both warns → =+
    both proposes → =+
    both minutes → =+
    both plans → =+
    both reports → =+
    both says something unknown
";

const TABLE: &[Row] = &[
    (
        "",
        "requested",
        "O acknowledges → acknowledged
         O answers → answered
         O answers in part → answered for 1 of 2
         O extends
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O acknowledges, O extends",
        "acknowledged",
        "O answers → answered
         O answers in part → answered for 1 of 2
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O answers in part",
        "answered for 1 of 2",
        "O corrects the answer → answered
         O extends
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O answers",
        "answered",
        "O corrects the answer
         both closes → closed
         H supersedes it → superseded+",
    ),
    ("O answers, H closes", "closed", ""),
    ("H withdraws it", "withdrawn", ""),
    ("H supersedes it", "superseded", ""),
];

#[test]
fn every_step_of_every_state() {
    let table: Vec<Row> = TABLE.to_vec();
    // The numbers stand in the words for "answered in part".
    let (in_part, others): (Vec<Row>, Vec<Row>) =
        table.into_iter().partition(|row| row.1.contains(" of "));
    let request = Said::VerificationRequest(vec![1, 2]);
    holds(&request, &others, ALWAYS);
    assert_eq!(in_part.len(), 1);
    super::table::holds_besides(&request, &in_part, ALWAYS);
}

/// The terms of the replies that are owed.
fn days(case: &mut Case) -> Vec<Option<Term>> {
    let view = case.world.view("it");
    let duties = &view.matters[0].duties;
    let replies = duties.iter().filter(|duty| duty.owed == Owed::Reply);
    let owed = replies.map(|duty| {
        assert_eq!(duty.owed_by, Party::B);
        duty.term
    });
    owed.collect()
}

#[test]
fn seven_working_days_and_one_extension_of_five() {
    let days_of = |days, extended_by| [Some(Term::WorkingDays { days, extended_by })];
    let mut case = Case::open(Party::A, Said::VerificationRequest(vec![1, 2]));
    assert_eq!(days(&mut case), days_of(7, 0));
    case.follow("O acknowledges, O extends, O answers in part");
    assert_eq!(days(&mut case), days_of(7, 5));
    assert!(case.act("O", "extends").unwrap().is_err());
    let extension = case.world.the("extension").id;
    let thread = case.world.the("it").thread;
    let folded = case.world.book.folded(thread).unwrap();
    assert_eq!(folded.matters[0].extension(), Some(extension));
    case.follow("O corrects the answer");
    assert_eq!(days(&mut case), []);
}

#[test]
fn answers_name_each_person_asked_about_once_and_a_person_answers_for_them() {
    let mut world = World::new();
    let request = Said::VerificationRequest(vec![1, 2]);
    world
        .says(Party::A, "it", request, &About::default())
        .unwrap();
    let answer = |numbers: &[u32], decided_by_person| Said::VerificationReply {
        results: numbers.iter().map(|n| (*n, 1)).collect(),
        decided_by_person,
    };
    for (said, why) in [
        (answer(&[3], true), "the request has no person 3"),
        (answer(&[1, 1], true), "person 1 is named twice"),
        (answer(&[], true), "it names no person"),
        (
            answer(&[1], false),
            "a named person answers for the results",
        ),
    ] {
        let refused = world.says(Party::B, "answer", said, &to("it")).unwrap_err();
        assert_eq!(refused.reason, why);
    }
    let empty = Said::VerificationRequest(vec![]);
    let refused = world.says(Party::A, "other", empty, &About::default());
    assert_eq!(refused.unwrap_err().reason, "it asks about no person");
}
