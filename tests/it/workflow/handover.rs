//! Handover of one person: the full table. `H` holds the person, `O` was asked.

use liaison::model::workflow::Said;

use super::language::{claimant, person};
use super::table::{Row, holds};

/// Possible whatever the state: to take note, to write, and to begin something beside it.
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
         O accepts → accepted
         O refuses → refused
         O asks → information asked
         O looks into it → verifying
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O acknowledges",
        "acknowledged",
        "O accepts → accepted
         O refuses → refused
         O asks → information asked
         O looks into it → verifying
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O looks into it",
        "verifying",
        "O accepts → accepted
         O refuses → refused
         O asks → information asked
         O looks into it → verifying
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O asks",
        "information asked",
        "O accepts → accepted
         O refuses → refused
         O asks → information asked
         O looks into it → verifying
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more → verifying
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O accepts",
        "accepted",
        "O accepts
         O withdraws the reply → verifying
         O accepts after all
         O refuses after all → refused
         both schedules → schedule proposed
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O accepts, H waits",
        "expired",
        "O accepts → accepted
         O refuses → refused
         O asks → information asked
         O looks into it → verifying
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O refuses",
        "refused",
        "O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more
         H claims → suspended
         both closes → closed",
    ),
    (
        "O accepts, H schedules",
        "schedule proposed",
        "O agrees → scheduled
         O declines → accepted
         O schedules → countered
         H schedules → schedule proposed
         H reschedules → schedule proposed
         H withdraws the schedule → accepted
         O accepts
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O accepts, O schedules",
        "schedule proposed",
        "H agrees → scheduled
         H declines → accepted
         H schedules → countered
         O schedules → schedule proposed
         O reschedules → schedule proposed
         O withdraws the schedule → accepted
         O accepts
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O accepts, H schedules, O schedules",
        "countered",
        "H agrees → scheduled
         H declines → accepted
         H schedules → countered
         O schedules → countered
         O reschedules → schedule proposed
         O withdraws the schedule → accepted
         O accepts
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O accepts, H schedules, H waits",
        "expired",
        "O accepts → schedule proposed
         O refuses → refused
         O asks → information asked
         O looks into it → verifying
         O declines → expired
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H withdraws the schedule → expired
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O accepts, H schedules, O agrees",
        "scheduled",
        "H records → handed over
         both schedules
         H reschedules → schedule proposed
         H withdraws the schedule → accepted
         O withdraws the response → schedule proposed
         O accepts
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    // Another time is proposed: what was agreed on stands until that is.
    (
        "O accepts, H schedules, O agrees, O schedules",
        "scheduled",
        "H records → handed over
         H agrees
         H declines
         both schedules
         O reschedules
         O withdraws the schedule
         O withdraws the response → countered
         O accepts
         O withdraws the reply → verifying
         O accepts after all → accepted
         O refuses after all → refused
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    (
        "O accepts, H schedules, O agrees, H records",
        "handed over",
        "O signs → confirmed
         O does not sign → disputed
         H corrects the record",
    ),
    (
        "O accepts, H schedules, O agrees, H records, O signs",
        "confirmed",
        "both closes → closed",
    ),
    (
        "O accepts, H schedules, O agrees, H records, O does not sign",
        "disputed",
        "O signs → confirmed
         O does not sign
         H corrects the record → handed over
         O records the return → going back",
    ),
    (
        "O accepts, H schedules, O agrees, H records, O does not sign, O records the return",
        "going back",
        "H signs → returned
         H does not sign
         O corrects the record",
    ),
    (
        "O accepts, H schedules, O agrees, H records, O does not sign, O records the return, H signs",
        "returned",
        "both closes → closed",
    ),
    ("O refuses, H closes", "closed", ""),
    (
        "O accepts, H schedules, O agrees, H records, O signs, O closes",
        "closed",
        "",
    ),
    ("O accepts, H withdraws it", "withdrawn", ""),
    ("H supersedes it", "superseded", ""),
    (
        "H claims",
        "suspended",
        "H tells more
         H claims
         H lets go on → requested
         H protects → protected
         H withdraws it → withdrawn",
    ),
    // An acceptance outlives a claim that was refused, an appointment does not.
    (
        "O accepts, H schedules, O agrees, H claims",
        "suspended",
        "H tells more
         H claims
         H lets go on → accepted
         H protects → protected
         H withdraws it → withdrawn
         O withdraws the reply",
    ),
    // Who claims again after a decision is suspended again.
    (
        "H claims, H lets go on",
        "requested",
        "O acknowledges → acknowledged
         O accepts → accepted
         O refuses → refused
         O asks → information asked
         O looks into it → verifying
         H tells more
         H claims → suspended
         H withdraws it → withdrawn
         H supersedes it → superseded+",
    ),
    ("H claims, H protects", "protected", ""),
];

#[test]
fn every_step_of_every_state() {
    holds(&Said::HandoverRequest(vec![person(1)]), TABLE, ALWAYS);
}

#[test]
fn a_claim_in_the_request_suspends_from_the_start() {
    let table: &[Row] = &[(
        "",
        "suspended",
        "H claims
         H lets go on → requested
         H protects → protected
         H withdraws it → withdrawn",
    )];
    holds(&Said::HandoverRequest(vec![claimant(1)]), table, ALWAYS);
}

#[test]
fn the_table_reaches_every_state_of_a_person() {
    let reached: std::collections::BTreeSet<&str> =
        TABLE.iter().map(|(_, state, _)| *state).collect();
    let words = liaison::model::workflow::states_of(liaison::proto::v1::Kind::HandoverRequest);
    let words: std::collections::BTreeSet<&str> = words.iter().copied().collect();
    assert_eq!(reached, words);
}
