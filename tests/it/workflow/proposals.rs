//! Meetings with their minutes, and patrols: the full tables. `H` proposes first.

use liaison::model::workflow::Said;

use super::table::{Row, holds};

const ALWAYS: &str = "
    O acknowledges
    both writes → =+
    both alerts → =+
    both warns → =+
    both says something unknown
";

const MEETING: &[Row] = &[
    (
        "",
        "proposed",
        "O agrees → agreed
         O declines → declined
         O proposes → countered
         H proposes
         H supersedes it
         H withdraws it → withdrawn
         both plans → =+
         both reports → =+",
    ),
    (
        "O proposes",
        "countered",
        "H agrees → agreed
         H declines → declined
         both proposes
         H supersedes it
         O withdraws the schedule → withdrawn
         both plans → =+
         both reports → =+",
    ),
    (
        "O agrees",
        "agreed",
        "both minutes → held, minutes to be signed
         H withdraws it → withdrawn
         O withdraws the response → withdrawn
         both plans → =+
         both reports → =+",
    ),
    (
        "O declines",
        "declined",
        "both proposes → =+
         both plans → =+
         both reports → =+",
    ),
    (
        "H withdraws it",
        "withdrawn",
        "both proposes → =+
         both plans → =+
         both reports → =+",
    ),
    (
        "O agrees, H minutes",
        "held, minutes to be signed",
        "O signs → co-signed
         O does not sign → minutes not signed
         H corrects the minutes
         both plans → =+
         both reports → =+",
    ),
    (
        "O agrees, H minutes, O does not sign",
        "minutes not signed",
        "O signs → co-signed
         O does not sign
         H corrects the minutes → held, minutes to be signed
         both minutes → held, minutes to be signed
         both plans → =+
         both reports → =+",
    ),
    (
        "O agrees, O minutes, H signs",
        "co-signed",
        "both proposes → =+
         both plans → =+
         both reports → =+",
    ),
];

#[test]
fn every_step_of_a_meeting() {
    holds(&Said::MeetingProposal { level: 2, at: 0 }, MEETING, ALWAYS);
}

#[test]
fn minutes_of_a_meeting_that_was_not_proposed_here() {
    let table: &[Row] = &[
        (
            "",
            "held, minutes to be signed",
            "O signs → co-signed
             O does not sign → minutes not signed
             H supersedes it
             H corrects the minutes
             both plans → =+
             both reports → =+",
        ),
        (
            "O signs",
            "co-signed",
            "both proposes → =+
             both plans → =+
             both reports → =+",
        ),
    ];
    holds(&Said::MeetingMinutes { level: 2, at: 0 }, table, ALWAYS);
}

const PATROL: &[Row] = &[
    (
        "",
        "proposed",
        "O agrees → agreed
         O declines → declined
         O plans → countered
         H plans
         H supersedes it
         H withdraws it → withdrawn
         both proposes → =+
         both minutes → =+",
    ),
    (
        "O plans",
        "countered",
        "H agrees → agreed
         H declines → declined
         both plans
         H supersedes it
         O withdraws the schedule → withdrawn
         both proposes → =+
         both minutes → =+",
    ),
    (
        "O agrees",
        "agreed",
        "both reports → reported by one side
         H withdraws it → withdrawn
         O withdraws the response → withdrawn
         both proposes → =+
         both minutes → =+",
    ),
    (
        "O declines",
        "declined",
        "both plans → =+
         both proposes → =+
         both minutes → =+",
    ),
    (
        "H withdraws it",
        "withdrawn",
        "both plans → =+
         both proposes → =+
         both minutes → =+",
    ),
    (
        "O agrees, H reports",
        "reported by one side",
        "O reports → reported by both
         H corrects the report
         both proposes → =+
         both minutes → =+",
    ),
    (
        "O agrees, O reports, H reports",
        "reported by both",
        "both corrects the report
         both plans → =+
         both proposes → =+
         both minutes → =+",
    ),
];

#[test]
fn every_step_of_a_patrol() {
    holds(&Said::PatrolPlan { at: 0 }, PATROL, ALWAYS);
}

#[test]
fn a_report_of_a_patrol_that_was_not_planned_here() {
    let table: &[Row] = &[(
        "",
        "reported by one side",
        "O reports → reported by both
         H supersedes it
         H corrects the report
         both proposes → =+
         both minutes → =+",
    )];
    let said = Said::PatrolReport {
        at: 0,
        officers: 12,
    };
    holds(&said, table, ALWAYS);
}
