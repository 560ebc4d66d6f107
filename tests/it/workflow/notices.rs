//! Letters, alerts, calls, gates, works, markers, hazards, exercises, period reports and what only
//! informs: the full tables. `H` has said it.

use liaison::model::workflow::{Millis, Owed, Party, Said, Term};
use liaison::proto::v1::{GateStatus, Precedence};

use super::language::{About, DAY, START, World, to};
use super::table::{Row, holds};

/// What begins something of its own can be said of anything.
const BESIDE: &str = "
    O acknowledges
    both proposes → =+
    both minutes → =+
    both plans → =+
    both reports → =+
    both writes → =+
    both alerts → =+
    both warns → =+
    both says something unknown
";

/// When something is over, it is talked of, and no more.
const OVER: &str = "
    O acknowledges
    both writes → =+
    both says something unknown
";

/// Said by the other side, it is a reply.
const REPLIES: &str = "O proposes → replied+
    O minutes → replied+
    O plans → replied+
    O reports → replied+
    O writes → replied+
    O warns → replied+";

fn rows(table: &[Row], replies_in: &[&str]) -> Vec<Row> {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    table
        .iter()
        .map(|&(path, state, possible)| {
            let possible = if replies_in.contains(&state) {
                leak(format!("{possible}\n{REPLIES}"))
            } else {
                possible
            };
            (path, state, possible)
        })
        .collect()
}

/// Checks the rows in which it goes on, and those in which it is over.
fn both_hold(
    said: &Said,
    open: &[Row],
    replies_in: &[&str],
    over: &[(&'static str, &'static str)],
) {
    holds(said, &rows(open, replies_in), BESIDE);
    let over: Vec<Row> = over
        .iter()
        .map(|&(path, state)| (path, state, ""))
        .collect();
    holds(said, &over, OVER);
}

#[test]
fn every_step_of_a_letter() {
    let open: &[Row] = &[
        (
            "",
            "sent",
            "O acknowledges → acknowledged
             H withdraws it → withdrawn
             H supersedes it → superseded+",
        ),
        (
            "O acknowledges",
            "acknowledged",
            "H withdraws it → withdrawn
             H supersedes it → superseded+",
        ),
        (
            "O writes",
            "replied",
            "H withdraws it → withdrawn
             H supersedes it → superseded+",
        ),
    ];
    let over = [
        ("H withdraws it", "withdrawn"),
        ("H supersedes it", "superseded"),
    ];
    let replied = ["sent", "acknowledged"];
    let letter = |reply_by| Said::Letter { reply_by };
    both_hold(&letter(None), open, &replied, &over);
    both_hold(&letter(Some(START + DAY)), open, &replied, &over);
}

/// An alert goes on until it is closed. A person acknowledges it, or says something on it; a
/// follow-up may be a sensor's.
#[test]
fn every_step_of_an_alert() {
    let said = Said::Alert {
        incident: 6,
        persons: 3,
    };
    let ends = "H withdraws it → withdrawn
        H supersedes it → superseded+
        both closes → closed
        both alerts → =";
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let by_person = "O proposes → followed up+
        O minutes → followed up+
        O plans → followed up+
        O reports → followed up+
        O writes → followed up+
        O warns → followed up+";
    let on_its_own = "H proposes → followed up+
        H minutes → followed up+
        H plans → followed up+
        H reports → followed up+
        H writes → followed up+
        H warns → followed up+
        both alerts → followed up";
    let open: &[Row] = &[
        (
            "",
            "new",
            leak(format!(
                "O acknowledges → acknowledged\n{by_person}\n{ends}"
            )),
        ),
        // Told more of, and still nobody there has taken note.
        (
            "H alerts, O alerts",
            "new",
            leak(format!("O acknowledges → followed up\n{by_person}\n{ends}")),
        ),
        (
            "O acknowledges",
            "acknowledged",
            leak(format!("{on_its_own}\n{by_person}\n{ends}")),
        ),
        ("O acknowledges, H alerts", "followed up", ends),
        ("O writes", "followed up", ends),
    ];
    let over = [
        ("O acknowledges, O closes", "closed"),
        ("H closes", "closed"),
        ("H withdraws it", "withdrawn"),
        ("H supersedes it", "superseded"),
    ];
    both_hold(&said, open, &[], &over);
}

#[test]
fn every_step_of_a_hazard() {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let ends = "H withdraws it → withdrawn
        H supersedes it → superseded+
        both warns → =";
    let by_person = "O proposes → followed up+
        O minutes → followed up+
        O plans → followed up+
        O reports → followed up+
        O writes → followed up+
        O warns → followed up";
    let on_its_own = "both alerts → followed up+
        H proposes → followed up+
        H minutes → followed up+
        H plans → followed up+
        H reports → followed up+
        H writes → followed up+
        H warns → followed up";
    let open: &[Row] = &[
        (
            "",
            "new",
            leak(format!(
                "O acknowledges → acknowledged\n{by_person}\n{ends}"
            )),
        ),
        (
            "O acknowledges",
            "acknowledged",
            leak(format!("{by_person}\n{on_its_own}\n{ends}")),
        ),
        ("O warns", "followed up", ends),
    ];
    let over = [
        ("H withdraws it", "withdrawn"),
        ("H supersedes it", "superseded"),
    ];
    both_hold(&Said::Hazard, open, &[], &over);
}

#[test]
fn every_step_of_a_call() {
    let ends = "H withdraws it → withdrawn
         H supersedes it → superseded+";
    let leak = |text: &str| -> &'static str {
        Box::leak(format!("O agrees → confirmed\nO differs → differs\n{text}").into_boxed_str())
    };
    let acknowledged = leak(ends);
    let noted = leak(leak("O acknowledges → acknowledged"));
    let noted: &'static str = Box::leak(format!("{noted}\n{ends}").into_boxed_str());
    let open: &[Row] = &[
        ("", "noted", noted),
        ("O acknowledges", "acknowledged", acknowledged),
        ("O writes", "replied", acknowledged),
        (
            "O differs",
            "differs",
            "O agrees after all → confirmed
             O withdraws the response → noted
             H withdraws it → withdrawn
             H supersedes it → superseded+",
        ),
        ("O agrees", "confirmed", ""),
        ("O differs, O agrees after all", "confirmed", ""),
    ];
    let over = [
        ("H withdraws it", "withdrawn"),
        ("H supersedes it", "superseded"),
    ];
    both_hold(
        &Said::Call { at: START },
        open,
        &["noted", "acknowledged"],
        &over,
    );
}

/// Works, with consent asked or not, and exercises: consent and objection.
fn consent(said: &Said, told: &'static str) {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let ends = "H withdraws it → withdrawn
         H supersedes it → superseded+";
    let asked = format!("O agrees → agreed\nO declines → declined\n{ends}");
    let open: &[Row] = &[
        (
            "",
            told,
            leak(format!("O acknowledges → acknowledged\n{asked}")),
        ),
        ("O acknowledges", "acknowledged", leak(asked.clone())),
        ("O writes", "replied", leak(asked.clone())),
        (
            "O agrees",
            "agreed",
            "O agrees after all
             O declines after all → declined
             O withdraws the response → =!
             H withdraws it → withdrawn
             H supersedes it → superseded+",
        ),
        (
            "O declines",
            "declined",
            "O agrees after all → agreed
             O declines after all
             O withdraws the response → =!
             H withdraws it → withdrawn
             H supersedes it → superseded+",
        ),
    ];
    let open: Vec<Row> = open
        .iter()
        .map(|&(path, state, possible)| (path, state, leak(possible.replace("=!", told))))
        .collect();
    let over = [
        ("H withdraws it", "withdrawn"),
        ("H supersedes it", "superseded"),
    ];
    both_hold(said, &open, &[told, "acknowledged"], &over);
}

#[test]
fn every_step_of_works_and_exercises() {
    consent(
        &Said::Works {
            consent_asked: true,
        },
        "consent asked",
    );
    consent(
        &Said::Works {
            consent_asked: false,
        },
        "told",
    );
    consent(&Said::Exercise, "proposed");
}

/// Minutes on a marker and period reports: one text, two signatures.
fn signed(said: &Said, told: &'static str) {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let ends = "H withdraws it → withdrawn
         H supersedes it → superseded+";
    let asked = format!("O signs → countersigned\nO does not sign → not signed\n{ends}");
    let open: &[Row] = &[
        (
            "",
            told,
            leak(format!("O acknowledges → acknowledged\n{asked}")),
        ),
        ("O acknowledges", "acknowledged", leak(asked.clone())),
        ("O writes", "replied", leak(asked.clone())),
        ("O does not sign", "not signed", leak(asked.clone())),
        ("O signs", "countersigned", ""),
        ("O does not sign, O signs", "countersigned", ""),
    ];
    let over = [
        ("H withdraws it", "withdrawn"),
        ("H supersedes it", "superseded"),
    ];
    both_hold(said, open, &[told, "acknowledged"], &over);
}

#[test]
fn every_step_of_marker_minutes_and_period_reports() {
    let minutes = Said::Marker {
        marker: 112,
        is_minutes: true,
    };
    signed(&minutes, "minutes proposed");
    signed(&Said::Period, "proposed");
}

/// What only informs.
fn told(said: &Said, told: &'static str) {
    let ends = "H withdraws it → withdrawn
         H supersedes it → superseded+";
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let open: &[Row] = &[
        (
            "",
            told,
            leak(format!("O acknowledges → acknowledged\n{ends}")),
        ),
        ("O acknowledges", "acknowledged", ends),
        ("O writes", "replied", ends),
    ];
    let over = [
        ("H withdraws it", "withdrawn"),
        ("H supersedes it", "superseded"),
    ];
    both_hold(said, open, &[told, "acknowledged"], &over);
}

fn gate(from: Millis, until: Option<Millis>) -> Said {
    Said::Gate {
        gate: "huu-nghi/youyi-guan".to_owned(),
        status: GateStatus::Closed as i32,
        from,
        until,
    }
}

#[test]
fn every_step_of_what_informs() {
    let report = Said::Marker {
        marker: 112,
        is_minutes: false,
    };
    told(&report, "reported");
    let cases = Said::Cases {
        category: 5,
        to: START,
        cases: 1,
        persons: 2,
        suspects: 1,
        prosecutions: 0,
    };
    told(&cases, "told");
    let activity = Said::Activity {
        activity: 1,
        to: START,
        events: 2,
        participants: 300,
    };
    told(&activity, "told");
    told(&gate(START, None), "in force");
}

#[test]
fn a_gate_notice_is_announced_in_force_and_expires() {
    let mut world = World::new();
    let notice = gate(START + DAY, Some(START + 2 * DAY));
    world
        .says(Party::A, "it", notice, &About::default())
        .unwrap();
    assert_eq!(world.state("it"), "announced");
    for (now, state) in [
        (START + DAY - 1, "announced"),
        (START + DAY, "in force"),
        (START + 2 * DAY - 1, "in force"),
        (START + 2 * DAY, "expired"),
    ] {
        world.now = now;
        assert_eq!(world.state("it"), state);
    }
    world
        .says(Party::B, "ack", Said::Acknowledgement, &to("it"))
        .unwrap();
    world.now = START + 2 * DAY;
    assert_eq!(world.state("it"), "expired");
}

#[test]
fn a_person_is_owed_to_take_note_within_a_minute_or_an_hour() {
    let alert = Said::Alert {
        incident: 6,
        persons: 3,
    };
    for (precedence, said, after) in [
        (Precedence::Flash, &alert, Some(60_000)),
        (Precedence::Immediate, &alert, Some(3_600_000)),
        (Precedence::Routine, &alert, Some(3_600_000)),
        (Precedence::Flash, &Said::Hazard, Some(60_000)),
        (Precedence::Routine, &Said::Hazard, None),
    ] {
        let mut world = World::new();
        let mut facts = world.facts(Party::B, said.clone(), &About::default());
        facts.precedence = precedence as i32;
        world.records(Party::B, "it", facts).unwrap();
        let duties = world.view("it").matters[0].duties.clone();
        assert_eq!(duties.len(), 1);
        assert_eq!(duties[0].owed, Owed::Acknowledgement);
        assert_eq!(duties[0].owed_by, Party::A);
        assert_eq!(duties[0].term, after.map(Term::AfterReceipt));
        // Another sensor's word is no person's.
        world
            .says(Party::A, "more", alert.clone(), &to("it"))
            .unwrap();
        assert_eq!(
            world.view("it").matters[0].duties[0].owed,
            Owed::Acknowledgement
        );
        world
            .says(Party::A, "ack", Said::Acknowledgement, &to("it"))
            .unwrap();
        let owed = world.view("it").matters[0].duties.clone();
        assert!(owed.iter().all(|duty| duty.owed != Owed::Acknowledgement));
    }
}

#[test]
fn a_letter_owes_note_and_then_the_reply_that_it_asks_for() {
    let owed = |world: &mut World| -> Vec<(Owed, Option<Term>)> {
        let view = world.view("it");
        view.matters[0]
            .duties
            .iter()
            .map(|d| (d.owed, d.term))
            .collect()
    };
    let by = START + 9 * DAY;
    let mut world = World::new();
    let letter = Said::Letter { reply_by: Some(by) };
    world
        .says(Party::A, "it", letter, &About::default())
        .unwrap();
    let reply = (Owed::Reply, Some(Term::At(by)));
    assert_eq!(owed(&mut world), [(Owed::Acknowledgement, None), reply]);
    world
        .says(Party::B, "ack", Said::Acknowledgement, &to("it"))
        .unwrap();
    assert_eq!(owed(&mut world), [reply]);
    let answer = Said::Letter { reply_by: None };
    world.says(Party::B, "answer", answer, &to("it")).unwrap();
    assert_eq!(owed(&mut world), []);
    // The reply is a letter that wants to be read itself.
    assert_eq!(world.state("answer"), "sent");
}
