//! Full tables: in each state, what each side can do and what follows. Whatever a table does not
//! list is tried as well, and is impossible.

use std::collections::{BTreeMap, BTreeSet};

use liaison::model::workflow::{Facts, Impossible, Party, Said, Standing, may_begin, states_of};
use liaison::proto::v1::{
    CountersignatureStance, HandoverOutcome, Kind, ProtectionOutcome, Stance, VerificationOutcome,
};

use super::language::{
    About, DAY, World, claimant, decision, handed_over, kind_of, person, record, reply, response,
    schedule, signature,
};

/// Everything that somebody might do, in a word.
const ACTIONS: [&str; 45] = [
    "acknowledges",
    "accepts",
    "refuses",
    "asks",
    "looks into it",
    "tells more",
    "claims",
    "lets go on",
    "protects",
    "schedules",
    "reschedules",
    "agrees",
    "declines",
    "differs",
    "records",
    "records the return",
    "corrects the record",
    "signs",
    "does not sign",
    "closes",
    "withdraws it",
    "withdraws the reply",
    "withdraws the schedule",
    "withdraws the response",
    "withdraws the record",
    "withdraws the supplement",
    "supersedes it",
    "accepts after all",
    "refuses after all",
    "agrees after all",
    "declines after all",
    "answers",
    "answers in part",
    "corrects the answer",
    "extends",
    "writes",
    "alerts",
    "warns",
    "proposes",
    "minutes",
    "corrects the minutes",
    "plans",
    "reports",
    "corrects the report",
    "says something unknown",
];

/// A row: how the state is reached, which it is, and what is possible in it.
pub(super) type Row = (&'static str, &'static str, &'static str);

/// A case in which `H` has opened something; `O` is the other side.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) world: World,
    holder: Party,
}

impl Case {
    pub(super) fn open(holder: Party, said: Said) -> Self {
        let mut world = World::new();
        let opened = world.says(holder, "it", said, &About::default());
        opened.unwrap();
        Self { world, holder }
    }

    fn party(&self, who: &str) -> Party {
        match who {
            "H" => self.holder,
            "O" => self.holder.other(),
            other => panic!("who is {other}?"),
        }
    }

    /// What somebody would say, under which name, and about what; `None` if what it needs was not
    /// said yet.
    #[expect(clippy::too_many_lines, reason = "one arm for each action")]
    fn saying(&self, by: Party, action: &str) -> Option<(&'static str, Facts)> {
        let world = &self.world;
        let now = world.now;
        let until = Some(now + 30 * DAY);
        // The latest of these that was said.
        let latest = |names: &[&'static str]| names.iter().copied().find(|name| world.knows(name));
        let offer = latest(&["response", "schedule", "proposal", "plan"]).unwrap_or("it");
        let offer = if offer == "response" {
            latest(&["schedule", "proposal", "plan"]).unwrap_or("it")
        } else {
            offer
        };
        let record_name = latest(&["return", "record", "minutes"]).unwrap_or("it");
        let own_report = if by == self.holder {
            "report"
        } else {
            "their report"
        };
        let plain = |name, said, to| {
            let about = About {
                to: Some(to),
                ..About::default()
            };
            Some((name, world.facts(by, said, &about)))
        };
        let instead = |name: &'static str, said, of: &'static str| {
            if !world.knows(of) {
                return None;
            }
            let about = About {
                supersedes: Some(of),
                ..About::default()
            };
            Some((name, world.facts(by, said, &about)))
        };
        let results = |numbers: &[u32]| Said::VerificationReply {
            results: numbers
                .iter()
                .map(|n| (*n, VerificationOutcome::Confirmed as i32))
                .collect(),
            decided_by_person: true,
        };
        match action {
            "acknowledges" => plain("acknowledgement", Said::Acknowledgement, "it"),
            "accepts" => plain("reply", reply(&[1], HandoverOutcome::Accepted, until), "it"),
            "refuses" => plain("reply", reply(&[1], HandoverOutcome::Refused, None), "it"),
            "asks" => {
                let said = reply(&[1], HandoverOutcome::InformationNeeded, None);
                plain("reply", said, "it")
            }
            "looks into it" => plain("reply", reply(&[1], HandoverOutcome::Verifying, None), "it"),
            "tells more" => {
                // Of somebody who claims protection no more than before.
                let claims = world.knows("claim") && !world.knows("decision");
                let told = if claims { claimant(1) } else { person(1) };
                plain("supplement", Said::HandoverSupplement(vec![told]), "it")
            }
            "claims" => plain("claim", Said::HandoverSupplement(vec![claimant(1)]), "it"),
            "lets go on" => {
                let said = decision(&[1], ProtectionOutcome::HandoverMayProceed);
                plain("decision", said, "it")
            }
            "protects" => {
                let said = decision(&[1], ProtectionOutcome::Protected);
                plain("decision", said, "it")
            }
            "schedules" => plain("schedule", schedule(&[1], now + 5 * DAY), "it"),
            "reschedules" => instead("schedule", schedule(&[1], now + 6 * DAY), "schedule"),
            "agrees" => plain("response", response(Stance::Agreed), offer),
            "declines" => plain("response", response(Stance::Declined), offer),
            "differs" => plain("response", response(Stance::Differs), offer),
            "records" => plain("record", record(&[1], now), "it"),
            "records the return" => {
                let said = Said::HandoverRecord {
                    persons: vec![handed_over(1)],
                    at: now,
                    is_return: true,
                };
                plain("return", said, "it")
            }
            "corrects the record" if world.knows("return") => {
                let said = Said::HandoverRecord {
                    persons: vec![handed_over(1)],
                    at: now,
                    is_return: true,
                };
                instead("return", said, "return")
            }
            "corrects the record" => instead("record", record(&[1], now), "record"),
            "signs" | "does not sign" => {
                let stance = if action == "signs" {
                    CountersignatureStance::Signed
                } else {
                    CountersignatureStance::NotSigned
                };
                let said = signature(world.the(record_name), stance);
                plain("signature", said, record_name)
            }
            "closes" => {
                let said = Said::Closure {
                    outcome: 1,
                    numbers: Vec::new(),
                };
                plain("closure", said, "it")
            }
            "withdraws it" => instead("withdrawal", Said::Withdrawal, "it"),
            "withdraws the reply" => instead("withdrawal", Said::Withdrawal, "reply"),
            "withdraws the schedule" => instead(
                "withdrawal",
                Said::Withdrawal,
                latest(&["schedule", "proposal", "plan"])?,
            ),
            "withdraws the response" => instead("withdrawal", Said::Withdrawal, "response"),
            "withdraws the record" => {
                let name = latest(&["return", "record", "minutes", "signature", "report"])?;
                instead("withdrawal", Said::Withdrawal, name)
            }
            "withdraws the supplement" => {
                let name = latest(&["claim", "supplement", "answer"])?;
                instead("withdrawal", Said::Withdrawal, name)
            }
            "supersedes it" => instead("another", world.the("it").said.clone(), "it"),
            "accepts after all" => {
                let said = reply(&[1], HandoverOutcome::Accepted, until);
                instead("reply", said, "reply")
            }
            "refuses after all" => instead(
                "reply",
                reply(&[1], HandoverOutcome::Refused, None),
                "reply",
            ),
            "agrees after all" | "declines after all" => {
                let stance = if action == "agrees after all" {
                    Stance::Agreed
                } else {
                    Stance::Declined
                };
                world.knows("response").then_some(())?;
                let about = About {
                    to: Some(offer),
                    supersedes: Some("response"),
                    ..About::default()
                };
                Some(("response", world.facts(by, response(stance), &about)))
            }
            "answers" => plain("answer", results(&[1, 2]), "it"),
            "answers in part" => plain("answer", results(&[1]), "it"),
            "corrects the answer" => instead("answer", results(&[1, 2]), "answer"),
            "extends" => plain("extension", Said::Extension, "it"),
            "writes" => plain("letter", Said::Letter { reply_by: None }, "it"),
            "alerts" => {
                let said = Said::Alert {
                    incident: 6,
                    persons: 2,
                };
                plain("alert", said, "it")
            }
            "warns" => plain("warning", Said::Hazard, "it"),
            "proposes" => {
                let at = now + 9 * DAY;
                plain("proposal", Said::MeetingProposal { level: 2, at }, "it")
            }
            "minutes" => plain("minutes", Said::MeetingMinutes { level: 2, at: now }, "it"),
            "corrects the minutes" => {
                let of = latest(&["minutes"]).unwrap_or("it");
                instead("minutes", Said::MeetingMinutes { level: 2, at: now }, of)
            }
            "plans" => plain("plan", Said::PatrolPlan { at: now + 9 * DAY }, "it"),
            "reports" => {
                let said = Said::PatrolReport {
                    at: now,
                    officers: 9,
                };
                plain(own_report, said, "it")
            }
            "corrects the report" => {
                let said = Said::PatrolReport {
                    at: now,
                    officers: 8,
                };
                instead(own_report, said, latest(&[own_report]).unwrap_or("it"))
            }
            "says something unknown" => {
                let (name, mut facts) = plain("unknown", Said::Unknown, "it")?;
                facts.kind = 9_999;
                Some((name, facts))
            }
            other => panic!("nobody {other}"),
        }
    }

    /// Somebody does something. `None`: what it needs was not said yet.
    pub(super) fn act(&mut self, who: &str, action: &str) -> Option<Result<(), Impossible>> {
        if action == "waits" {
            self.world.now += 31 * DAY;
            return Some(Ok(()));
        }
        let by = self.party(who);
        let (name, facts) = self.saying(by, action)?;
        Some(self.world.records(by, name, facts))
    }

    /// `H accepts, O schedules, …`
    pub(super) fn follow(&mut self, path: &str) {
        for step in path.split(", ").filter(|step| !step.is_empty()) {
            let (who, action) = step.split_once(' ').unwrap();
            match self.act(who, action) {
                Some(Ok(())) => {}
                other => panic!("{step} of {path}: {other:?}"),
            }
        }
    }

    /// The state of what was opened first.
    pub(super) fn state(&mut self) -> String {
        self.world.state("it")
    }

    fn matters(&mut self) -> usize {
        self.world.view("it").matters.len()
    }
}

/// Tries everything in every state, and compares with the table.
///
/// In a row, `H does → state` lists what is possible; `=` is the same state, and `+` says that it
/// opens something of its own. `always` is possible in every row.
pub(super) fn holds(opening: &Said, table: &[Row], always: &str) {
    let reached = holds_besides(opening, table, always);
    let words: BTreeSet<&str> = states_of(kind_of(opening)).iter().copied().collect();
    let unknown: Vec<_> = reached.difference(&words).collect();
    assert!(unknown.is_empty(), "not among the states: {unknown:?}");
}

/// The same where a state has numbers in its words. Gives the states of the table.
pub(super) fn holds_besides(opening: &Said, table: &[Row], always: &str) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    for holder in [Party::A, Party::B] {
        for (path, state, possible) in table {
            let mut case = Case::open(holder, opening.clone());
            case.follow(path);
            assert_eq!(case.state(), *state, "after: {path}");
            reached.insert(*state);

            let mut expected: BTreeMap<String, String> = BTreeMap::new();
            let rules = possible.split('\n').chain(always.split('\n'));
            for rule in rules.map(str::trim).filter(|rule| !rule.is_empty()) {
                let (does, follows) = rule.split_once(" → ").unwrap_or((rule, "="));
                let (who, action) = does.split_once(' ').unwrap();
                let follows = follows.trim().replace('=', state);
                let both = ["H", "O"];
                for who in both.iter().filter(|one| who == **one || who == "both") {
                    expected
                        .entry(format!("{who} {action}"))
                        .or_insert_with(|| follows.clone());
                }
            }
            let found = possible_in(&case);
            let words = |found: &BTreeMap<String, String>| -> String {
                let lines = found
                    .iter()
                    .map(|(does, follows)| format!("{does} → {follows}\n"));
                lines.collect()
            };
            assert_eq!(
                words(&found),
                words(&expected),
                "left: what is possible when it is {state} (after: {path}); right: the table"
            );
        }
    }
    reached
}

/// What can be done, and what follows.
fn possible_in(case: &Case) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut done: BTreeSet<(Party, &'static str)> = BTreeSet::new();
    let mut listed: BTreeSet<(Party, &'static str)> = BTreeSet::new();
    for who in ["H", "O"] {
        for action in ACTIONS {
            let mut tried = case.clone();
            let by = tried.party(who);
            let matters = tried.matters();
            listed.extend(steps(&mut tried));
            let Some((name, facts)) = tried.saying(by, action) else {
                continue;
            };
            let (before, kind) = (tried.state(), facts.kind());
            match tried.world.records(by, name, facts.clone()) {
                Ok(()) => {
                    done.insert((by, kind.as_str_name()));
                    let opens = if tried.matters() > matters { "+" } else { "" };
                    found.insert(format!("{who} {action}"), tried.state() + opens);
                }
                Err(impossible) => {
                    assert!(!impossible.reason.is_empty());
                    // Said all the same it is a breach, and changes nothing.
                    let standing = tried.world.insists(by, name, facts);
                    assert_eq!(standing, Standing::Breach(impossible), "{who} {action}");
                    assert_eq!(tried.state(), before, "{who} {action}");
                }
            }
        }
    }
    // The steps that are shown are those that there are. What begins something, or may be said of
    // anything, need not be listed.
    let is_expired = case.clone().state() == "expired";
    for step in &listed {
        // Steps leave the time of day aside.
        let is_possible = is_expired || done.contains(step);
        assert!(is_possible, "{step:?} is listed and not possible");
    }
    for (by, kind) in done {
        let may_be_silent = Kind::from_str_name(kind).is_none_or(may_begin)
            || kind == Kind::Acknowledgement.as_str_name();
        assert!(
            may_be_silent || listed.contains(&(by, kind)),
            "{by:?} {kind} is possible and not listed"
        );
    }
    found
}

fn steps(case: &mut Case) -> Vec<(Party, &'static str)> {
    let id = case.world.the("it").id.to_string();
    let view = case.world.view("it");
    let matter = view.matters.into_iter().find(|m| m.opening == id).unwrap();
    matter.steps.iter().map(|s| (s.by, s.kind)).collect()
}
