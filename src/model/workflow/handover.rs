//! Handover of persons: one state for each person of the batch, and the safeguards, which cannot
//! be switched off.
//!
//! ```text
//! requested → acknowledged → verifying ⇄ information asked → accepted | refused
//!   → schedule proposed ⇄ countered → scheduled → handed over → confirmed → closed
//!                                                            ↘ disputed → going back → returned
//! ```
//! Side exits: withdrawn, superseded, suspended (a claim for protection), protected, expired.
//!
//! A message acts on all persons it names, or on none. Safeguards:
//! - a claim for protection suspends everything until a named authority's decision is recorded, and
//!   the claimant's particulars are withheld from the other side;
//! - an unaccompanied minor is neither scheduled nor handed over without a named guardian or
//!   authority who receives the child;
//! - whoever shows signs of being trafficked goes the victim's route and is received by an authority
//!   for victims;
//! - a named person accepts, never a program, and silence is never consent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::{Decision, HandedOver, Person};
use super::matter::{Act, Duty, Flow, Opening, Owed, PersonView, Term, acknowledgement_term};
use super::{Facts, Millis, Party, Said, Step};
use crate::model::MessageId;
use crate::model::deadline::HANDOVER_NOTICE_TIME;
use crate::proto::v1::{
    CountersignatureStance, HandoverOutcome, HandoverRoute, Kind, ProtectionOutcome, Stance,
};

/// A handover request and what became of each person.
#[derive(Debug, Clone)]
pub(super) struct Handover {
    persons: BTreeMap<u32, Case>,
}

#[derive(Debug, Clone)]
struct Case {
    person: Person,
    /// A decision by a named authority lets the handover of a claimant go on.
    cleared: bool,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Requested,
    Acknowledged,
    Verifying,
    InformationAsked,
    Accepted(Accepted),
    Refused,
    Proposed {
        accepted: Accepted,
        by: Party,
        message: MessageId,
        countered: bool,
    },
    Scheduled {
        accepted: Accepted,
        message: MessageId,
    },
    HandedOver {
        record: MessageId,
        digest: [u8; 32],
    },
    Confirmed,
    Disputed {
        record: MessageId,
        digest: [u8; 32],
    },
    GoingBack {
        record: MessageId,
        digest: [u8; 32],
    },
    Returned,
    Closed,
    Withdrawn,
    Superseded,
    /// By a claim for protection; with the state to go on from.
    Suspended(Box<State>),
    Protected,
}

/// An acceptance: in which reply, and how long it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accepted {
    reply: MessageId,
    until: Option<Millis>,
}

impl Accepted {
    fn has_run_out(self, at: Millis) -> bool {
        self.until.is_some_and(|until| at > until)
    }
}

impl State {
    fn word(&self, now: Option<Millis>) -> &'static str {
        if let Some(now) = now
            && self
                .acceptance()
                .is_some_and(|accepted| accepted.has_run_out(now))
        {
            return "expired";
        }
        match self {
            Self::Requested => "requested",
            Self::Acknowledged => "acknowledged",
            Self::Verifying => "verifying",
            Self::InformationAsked => "information asked",
            Self::Accepted(_) => "accepted",
            Self::Refused => "refused",
            Self::Proposed {
                countered: false, ..
            } => "schedule proposed",
            Self::Proposed {
                countered: true, ..
            } => "countered",
            Self::Scheduled { .. } => "scheduled",
            Self::HandedOver { .. } => "handed over",
            Self::Confirmed => "confirmed",
            Self::Disputed { .. } => "disputed",
            Self::GoingBack { .. } => "going back",
            Self::Returned => "returned",
            Self::Closed => "closed",
            Self::Withdrawn => "withdrawn",
            Self::Superseded => "superseded",
            Self::Suspended(_) => "suspended",
            Self::Protected => "protected",
        }
    }

    /// The acceptance that may run out: until a time is agreed on.
    fn acceptance(&self) -> Option<Accepted> {
        match self {
            Self::Accepted(accepted) | Self::Proposed { accepted, .. } => Some(*accepted),
            _ => None,
        }
    }

    /// Nothing more is to be done about the person.
    fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Closed | Self::Withdrawn | Self::Superseded | Self::Protected
        )
    }

    /// The person is, or was, with the other side.
    fn has_left(&self) -> bool {
        matches!(
            self,
            Self::HandedOver { .. }
                | Self::Confirmed
                | Self::Disputed { .. }
                | Self::GoingBack { .. }
                | Self::Returned
        )
    }

    fn may_be_closed(&self) -> bool {
        matches!(self, Self::Confirmed | Self::Refused | Self::Returned)
    }
}

impl Case {
    /// Which safeguard stands against scheduling and handing over, if any.
    fn blocked(&self) -> Option<&'static str> {
        let person = &self.person;
        if person.claims_protection && !self.cleared {
            Some("a claim for protection is not decided by a named authority")
        } else if person.is_minor_alone && !person.has_guardian {
            Some("no guardian or authority is named who receives the unaccompanied minor")
        } else if person.is_trafficking_victim && person.route != HandoverRoute::Victim as i32 {
            Some("signs of trafficking: the person goes the victim's route, never as an offender")
        } else {
            None
        }
    }
}

impl Handover {
    pub(super) fn open(persons: &[Person]) -> Self {
        let case = |person: &Person| {
            let state = if person.claims_protection {
                State::Suspended(Box::new(State::Requested))
            } else {
                State::Requested
            };
            let case = Case {
                person: *person,
                cleared: false,
                state,
            };
            (person.number, case)
        };
        Self {
            persons: persons.iter().map(case).collect(),
        }
    }

    /// What is wrong with the request itself, by the safeguards.
    pub(super) fn fault_of_request(&self, _facts: &Facts) -> Option<String> {
        self.persons
            .values()
            .find_map(|case| fault_of(&case.person))
    }

    /// Changes the persons of these numbers, all or none.
    fn change(
        &mut self,
        numbers: impl IntoIterator<Item = u32>,
        mut to: impl FnMut(u32, &Case) -> Result<State, String>,
    ) -> Result<(), String> {
        let mut changed = BTreeMap::new();
        for number in numbers {
            let case = self
                .persons
                .get(&number)
                .ok_or_else(|| format!("the request has no person {number}"))?;
            let state = to(number, case)?;
            if changed.insert(number, state).is_some() {
                return Err(format!("person {number} is named twice"));
            }
        }
        if changed.is_empty() {
            return Err("it names no person".to_owned());
        }
        for (number, state) in changed {
            if let Some(case) = self.persons.get_mut(&number) {
                case.state = state;
            }
        }
        Ok(())
    }

    /// The numbers of persons for whom something holds.
    fn numbers(&self, holds: impl Fn(&Case) -> bool) -> Vec<u32> {
        let persons = self.persons.iter().filter(|(_, case)| holds(case));
        persons.map(|(number, _)| *number).collect()
    }

    fn any(&self, holds: impl Fn(&Case) -> bool) -> bool {
        self.persons.values().any(holds)
    }

    fn acknowledge(&mut self) {
        for case in self.persons.values_mut() {
            match &mut case.state {
                state @ State::Requested => *state = State::Acknowledged,
                State::Suspended(before) if **before == State::Requested => {
                    **before = State::Acknowledged;
                }
                _ => {}
            }
        }
    }

    fn reply(&mut self, act: &Act<'_>, decisions: &[Decision]) -> Result<(), String> {
        let by_number: BTreeMap<u32, &Decision> = decisions.iter().map(|d| (d.number, d)).collect();
        let (reply, now) = (act.facts.id, act.facts.created_at);
        let numbers: Vec<u32> = decisions.iter().map(|d| d.number).collect();
        self.change(numbers, |number, case| {
            let decision = by_number[&number];
            let may = match &case.state {
                State::Requested
                | State::Acknowledged
                | State::Verifying
                | State::InformationAsked => true,
                // An acceptance may be renewed, before and after it has run out.
                State::Accepted(_) => decision.outcome == HandoverOutcome::Accepted as i32,
                state => state.acceptance().is_some_and(|a| a.has_run_out(now)),
            };
            if !may {
                return Err(not_now(number, case, "decided on"));
            }
            Ok(match HandoverOutcome::try_from(decision.outcome) {
                Ok(HandoverOutcome::Accepted) => State::Accepted(Accepted {
                    reply,
                    until: decision.valid_until,
                }),
                Ok(HandoverOutcome::Refused) => State::Refused,
                Ok(HandoverOutcome::InformationNeeded) => State::InformationAsked,
                Ok(HandoverOutcome::Verifying) => State::Verifying,
                // Of a newer version: it is being looked into, as far as this one can tell.
                Ok(HandoverOutcome::Unspecified) | Err(_) => State::Verifying,
            })
        })
    }

    fn supplement(&mut self, persons: &[Person]) -> Result<(), String> {
        let told: BTreeMap<u32, &Person> = persons.iter().map(|p| (p.number, p)).collect();
        for person in persons {
            if let Some(fault) = fault_of(person) {
                return Err(fault);
            }
            let known = self.persons.get(&person.number);
            if let Some(case) = known
                && case.person.claims_protection
                && !case.cleared
                && person.has_particulars
            {
                return Err(withheld(person.number));
            }
        }
        let numbers: Vec<u32> = persons.iter().map(|p| p.number).collect();
        self.change(numbers, |number, case| {
            let claims = told[&number].claims_protection && !case.cleared;
            if case.state.is_final() || case.state.has_left() {
                return Err(not_now(number, case, "told more of"));
            }
            Ok(match &case.state {
                State::Suspended(before) => State::Suspended(before.clone()),
                state if claims => State::Suspended(Box::new(state.clone())),
                State::InformationAsked => State::Verifying,
                state => state.clone(),
            })
        })?;
        for person in persons {
            if let Some(case) = self.persons.get_mut(&person.number) {
                // A claim is not taken back by leaving it out: an authority decides.
                let claims = case.person.claims_protection || person.claims_protection;
                case.person = Person {
                    claims_protection: claims,
                    ..*person
                };
            }
        }
        Ok(())
    }

    fn schedule(
        &mut self,
        act: &Act<'_>,
        numbers: &[u32],
        at: Millis,
        short_notice: bool,
    ) -> Result<(), String> {
        let (message, now, by) = (act.facts.id, act.facts.created_at, act.by);
        if !short_notice && at.saturating_sub(now) < millis(HANDOVER_NOTICE_TIME) {
            return Err("the notice is shorter than 48 hours, and no reason is given".to_owned());
        }
        self.change(numbers.iter().copied(), |number, case| {
            may_move(number, case)?;
            let (accepted, countered) = match &case.state {
                State::Accepted(accepted) | State::Scheduled { accepted, .. } => (*accepted, false),
                State::Proposed {
                    accepted,
                    by: before,
                    countered,
                    ..
                } => (*accepted, *countered || *before != by),
                _ => return Err(not_now(number, case, "scheduled")),
            };
            if accepted.has_run_out(now) {
                return Err(format!("the acceptance of person {number} has run out"));
            }
            Ok(State::Proposed {
                accepted,
                by,
                message,
                countered,
            })
        })
    }

    /// Agrees to a schedule, or declines it.
    fn respond(&mut self, act: &Act<'_>, stance: i32) -> Result<(), String> {
        let stance = Stance::try_from(stance).unwrap_or_default();
        if !matches!(stance, Stance::Agreed | Stance::Declined) {
            return Err("a schedule is agreed to, countered or declined".to_owned());
        }
        let Said::HandoverSchedule { .. } = act.target.1.said else {
            return Err("only a proposed schedule is answered like this".to_owned());
        };
        let schedule = act.target.1.id;
        let (by, now) = (act.by, act.facts.created_at);
        let meant = self.numbers(
            |case| matches!(&case.state, State::Proposed { message, .. } if *message == schedule),
        );
        if meant.is_empty() {
            return Err("that schedule is no longer proposed for any person".to_owned());
        }
        self.change(meant, |number, case| {
            let State::Proposed {
                accepted,
                by: proposer,
                message,
                ..
            } = &case.state
            else {
                return Err(not_now(number, case, "scheduled"));
            };
            if *proposer == by {
                return Err(
                    "the side that proposed does not agree with itself; silence is no consent \
                     either"
                        .to_owned(),
                );
            }
            if stance == Stance::Declined {
                return Ok(State::Accepted(*accepted));
            }
            may_move(number, case)?;
            if accepted.has_run_out(now) {
                return Err(format!("the acceptance of person {number} has run out"));
            }
            Ok(State::Scheduled {
                accepted: *accepted,
                message: *message,
            })
        })
    }

    fn record(&mut self, act: &Act<'_>, persons: &[HandedOver]) -> Result<(), String> {
        let (record, digest) = (act.facts.id, act.facts.body_digest);
        let told: BTreeMap<u32, &HandedOver> = persons.iter().map(|p| (p.number, p)).collect();
        self.change(persons.iter().map(|p| p.number), |number, case| {
            may_move(number, case)?;
            let told = told[&number];
            if case.person.is_minor_alone && !told.has_guardian {
                return Err(format!(
                    "who received the unaccompanied minor, person {number}, is not named"
                ));
            }
            if case.person.is_trafficking_victim && !told.has_victim_authority {
                return Err(format!(
                    "the authority for victims that received person {number} is not named"
                ));
            }
            match &case.state {
                State::Scheduled { .. } => Ok(State::HandedOver { record, digest }),
                _ => Err(not_now(number, case, "handed over")),
            }
        })
    }

    fn record_return(&mut self, act: &Act<'_>, persons: &[HandedOver]) -> Result<(), String> {
        let (record, digest) = (act.facts.id, act.facts.body_digest);
        self.change(
            persons.iter().map(|p| p.number),
            |number, case| match &case.state {
                State::Disputed { .. } => Ok(State::GoingBack { record, digest }),
                _ => Err(not_now(number, case, "given back")),
            },
        )
    }

    fn countersign(
        &mut self,
        act: &Act<'_>,
        digest: &[u8],
        stance: i32,
        disputed: &[u32],
    ) -> Result<(), String> {
        let signed = act.target.1.id;
        let of = |case: &Case| match &case.state {
            State::HandedOver { record, digest }
            | State::Disputed { record, digest }
            | State::GoingBack { record, digest } => (*record == signed).then_some(*digest),
            _ => None,
        };
        let meant = self.numbers(|case| of(case).is_some());
        if meant.is_empty() {
            return Err("there is no record in it that waits for a signature".to_owned());
        }
        if act.target.0 == act.by {
            return Err("the other side countersigns".to_owned());
        }
        if let Some(number) = disputed.iter().find(|number| !meant.contains(number)) {
            return Err(format!("person {number} is not in that record"));
        }
        let is_signed = stance == CountersignatureStance::Signed as i32;
        self.change(meant, |number, case| {
            let own = of(case).unwrap_or_default();
            if digest != own {
                return Err("the digest is not that of the record".to_owned());
            }
            let agrees = is_signed && !disputed.contains(&number);
            Ok(match &case.state {
                State::GoingBack { .. } if agrees => State::Returned,
                State::GoingBack { record, digest } => State::GoingBack {
                    record: *record,
                    digest: *digest,
                },
                _ if agrees => State::Confirmed,
                _ => State::Disputed {
                    record: signed,
                    digest: own,
                },
            })
        })
    }

    fn decide_claims(&mut self, numbers: &[u32], outcome: i32) -> Result<(), String> {
        let outcome = ProtectionOutcome::try_from(outcome).unwrap_or_default();
        self.change(numbers.iter().copied(), |number, case| {
            let State::Suspended(before) = &case.state else {
                return Err(not_now(number, case, "decided on by an authority"));
            };
            match outcome {
                ProtectionOutcome::HandoverMayProceed => Ok((**before).clone()),
                ProtectionOutcome::Protected => Ok(State::Protected),
                ProtectionOutcome::Unspecified => {
                    Err("the outcome of the decision is not known here".to_owned())
                }
            }
        })?;
        if outcome == ProtectionOutcome::HandoverMayProceed {
            for number in numbers {
                if let Some(case) = self.persons.get_mut(number) {
                    case.cleared = true;
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, numbers: &[u32]) -> Result<(), String> {
        let meant = if numbers.is_empty() {
            self.numbers(|case| !case.state.is_final())
        } else {
            numbers.to_vec()
        };
        self.change(meant, |number, case| {
            if case.state.may_be_closed() {
                Ok(State::Closed)
            } else {
                Err(not_now(number, case, "closed"))
            }
        })
    }

    /// Takes back the request, a schedule proposed, or an acceptance.
    fn withdraw(&mut self, opened_by: Party, act: &Act<'_>) -> Result<(), String> {
        let (by, target) = (act.by, act.target.1);
        match &target.said {
            Said::HandoverRequest(_) if by == opened_by => self.end(State::Withdrawn),
            Said::HandoverSchedule { .. } => {
                let meant = self.numbers(
                    |case| matches!(&case.state, State::Proposed { message, .. } | State::Scheduled { message, .. } if *message == target.id),
                );
                self.change(meant, |number, case| match &case.state {
                    State::Proposed { accepted, .. } | State::Scheduled { accepted, .. } => {
                        Ok(State::Accepted(*accepted))
                    }
                    _ => Err(not_now(number, case, "taken off the schedule")),
                })
            }
            Said::HandoverReply { .. } => {
                let of_this = |case: &Case| match &case.state {
                    State::Accepted(accepted) | State::Proposed { accepted, .. } => {
                        accepted.reply == target.id
                    }
                    _ => false,
                };
                let meant = self.numbers(of_this);
                self.change(meant, |_, _| Ok(State::Verifying))
            }
            _ => Err("this is not withdrawn".to_owned()),
        }
    }

    /// Ends the request for all persons, as long as none has left.
    fn end(&mut self, state: State) -> Result<(), String> {
        if let Some((number, case)) = self.persons.iter().find(|(_, case)| case.state.has_left()) {
            return Err(not_now(*number, case, "withdrawn"));
        }
        let meant = self.numbers(|case| !case.state.is_final());
        self.change(meant, |_, _| Ok(state.clone()))
    }
}

/// What is wrong with what is told of a person, by the safeguards.
fn fault_of(person: &Person) -> Option<String> {
    let number = person.number;
    if person.claims_protection && person.has_particulars {
        Some(withheld(number))
    } else if person.is_minor_alone && !person.has_guardian {
        Some(format!(
            "person {number} is an unaccompanied minor, and no guardian or authority is named who \
             receives the child"
        ))
    } else if person.is_trafficking_victim && person.route != HandoverRoute::Victim as i32 {
        Some(format!(
            "person {number} shows signs of being trafficked and goes the victim's route, never as \
             an offender"
        ))
    } else {
        None
    }
}

fn withheld(number: u32) -> String {
    format!(
        "person {number} claims protection: the particulars are withheld from the other side until \
         an authority has decided"
    )
}

fn may_move(number: u32, case: &Case) -> Result<(), String> {
    match case.blocked() {
        Some(reason) => Err(format!("person {number}: {reason}")),
        None => Ok(()),
    }
}

fn not_now(number: u32, case: &Case, what: &str) -> String {
    format!(
        "person {number} is {} and cannot be {what} now",
        case.state.word(None)
    )
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

impl Flow for Handover {
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<(), String> {
        let by_holder = act.by == opened_by;
        let only = |may: bool, who: &str| if may { Ok(()) } else { Err(who.to_owned()) };
        let holder = "only the side that holds the persons says this";
        let asked = "only the side that was asked to take them over says this";
        match &act.facts.said {
            Said::Acknowledgement => {
                if !by_holder && matches!(act.target.1.said, Said::HandoverRequest(_)) {
                    self.acknowledge();
                }
                Ok(())
            }
            Said::HandoverReply {
                decisions,
                decided_by_person,
            } => {
                only(!by_holder, asked)?;
                only(
                    *decided_by_person,
                    "a named person decides, never a program",
                )?;
                self.reply(act, decisions)
            }
            Said::HandoverSupplement(persons) => {
                only(by_holder, holder)?;
                self.supplement(persons)
            }
            Said::HandoverSchedule {
                numbers,
                at,
                short_notice,
            } => self.schedule(act, numbers, *at, *short_notice),
            Said::Response { stance } => self.respond(act, *stance),
            Said::HandoverRecord {
                persons, is_return, ..
            } => {
                if *is_return {
                    only(!by_holder, "the side that took them over gives them back")?;
                    self.record_return(act, persons)
                } else {
                    only(by_holder, holder)?;
                    self.record(act, persons)
                }
            }
            Said::Countersignature {
                body_digest,
                stance,
                disputed,
            } => self.countersign(act, body_digest, *stance, disputed),
            Said::ProtectionDecision {
                numbers,
                by_named_authority,
                outcome,
            } => {
                only(by_holder, holder)?;
                let named = "the authority and the number of its decision are not named";
                only(*by_named_authority, named)?;
                self.decide_claims(numbers, *outcome)
            }
            Said::Closure { numbers, .. } => self.close(numbers),
            Said::Withdrawal => self.withdraw(opened_by, act),
            Said::HandoverRequest(_) if act.superseded.is_some() => {
                only(by_holder, holder)?;
                self.end(State::Superseded)
            }
            Said::VerificationReply { .. } | Said::Extension => {
                Err("this answers no handover request".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn state(&self, now: Option<Millis>) -> String {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for case in self.persons.values() {
            *counts.entry(case.state.word(now)).or_default() += 1;
        }
        match counts.len() {
            0 => "no persons".to_owned(),
            1 => counts.into_keys().next().unwrap_or_default().to_owned(),
            _ => {
                let parts = counts
                    .into_iter()
                    .map(|(word, count)| format!("{count} {word}"));
                parts.collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn steps(&self, opened_by: Party) -> Vec<Step> {
        let (holder, asked) = (opened_by, opened_by.other());
        let mut steps = Vec::new();
        let any = |holds: fn(&State) -> bool| self.any(|case| holds(&case.state));
        if any(|s| matches!(s, State::Requested)) {
            steps.push(Step::new(asked, Kind::Acknowledgement, "take note of it"));
        }
        if any(|s| {
            matches!(
                s,
                State::Requested
                    | State::Acknowledged
                    | State::Verifying
                    | State::InformationAsked
                    | State::Accepted(_)
            )
        }) {
            steps.push(Step::new(asked, Kind::HandoverReply, "decide on persons"));
        }
        if any(|s| !s.is_final() && !s.has_left()) {
            let does = "tell more, or of a claim for protection";
            steps.push(Step::new(holder, Kind::HandoverSupplement, does));
            if !any(State::has_left) {
                steps.push(Step::new(holder, Kind::Withdrawal, "withdraw the request"));
            }
        }
        if any(|s| matches!(s, State::Suspended(_))) {
            let does = "record what a named authority decided on the claim";
            steps.push(Step::new(holder, Kind::ProtectionDecision, does));
        }
        if self.any(|case| {
            case.blocked().is_none()
                && matches!(
                    case.state,
                    State::Accepted(_) | State::Proposed { .. } | State::Scheduled { .. }
                )
        }) {
            for by in [holder, asked] {
                steps.push(Step::new(
                    by,
                    Kind::HandoverSchedule,
                    "propose when and where",
                ));
            }
        }
        for by in [Party::A, Party::B] {
            let is_for = |case: &Case| matches!(&case.state, State::Proposed { by: proposer, .. } if *proposer != by);
            if self.any(is_for) {
                steps.push(Step::new(
                    by,
                    Kind::Response,
                    "agree to the schedule, or decline",
                ));
            }
        }
        if any(|s| matches!(s, State::Scheduled { .. })) {
            steps.push(Step::new(
                holder,
                Kind::HandoverRecord,
                "record the handover",
            ));
        }
        if any(|s| matches!(s, State::HandedOver { .. } | State::Disputed { .. })) {
            let does = "countersign the record, or dispute it";
            steps.push(Step::new(asked, Kind::Countersignature, does));
        }
        if any(|s| matches!(s, State::Disputed { .. })) {
            let does = "record that disputed persons were given back";
            steps.push(Step::new(asked, Kind::HandoverRecord, does));
        }
        if any(|s| matches!(s, State::GoingBack { .. })) {
            let does = "countersign the record of the return";
            steps.push(Step::new(holder, Kind::Countersignature, does));
        }
        if any(State::may_be_closed) {
            for by in [holder, asked] {
                steps.push(Step::new(by, Kind::Closure, "close what is done"));
            }
        }
        steps
    }

    fn duties(&self, opened_by: Party, opening: &Opening) -> Vec<Duty> {
        let (holder, asked) = (opened_by, opened_by.other());
        let any = |holds: fn(&State) -> bool| self.any(|case| holds(&case.state));
        let duty = |owed_by, owed, message, term| Duty {
            owed_by,
            owed,
            message,
            term,
        };
        let mut duties = Vec::new();
        if any(|s| matches!(s, State::Requested)) {
            let term = acknowledgement_term(opening);
            duties.push(duty(asked, Owed::Acknowledgement, opening.id, term));
        }
        if any(|s| matches!(s, State::Requested | State::Acknowledged | State::Verifying)) {
            let term = opening.respond_by.map(Term::At);
            duties.push(duty(asked, Owed::Decision, opening.id, term));
        }
        if any(|s| matches!(s, State::InformationAsked)) {
            duties.push(duty(holder, Owed::Information, opening.id, None));
        }
        for by in [Party::A, Party::B] {
            let message = self.persons.values().find_map(|case| match &case.state {
                State::Proposed {
                    by: proposer,
                    message,
                    ..
                } if *proposer != by => Some(*message),
                _ => None,
            });
            if let Some(message) = message {
                duties.push(duty(by, Owed::Agreement, message, None));
            }
        }
        if any(|s| matches!(s, State::Scheduled { .. })) {
            duties.push(duty(holder, Owed::Record, opening.id, None));
        }
        let signature = |by, holds: fn(&State) -> Option<MessageId>| {
            let record = self.persons.values().find_map(|case| holds(&case.state))?;
            Some(duty(by, Owed::Countersignature, record, None))
        };
        duties.extend(signature(asked, |s| match s {
            State::HandedOver { record, .. } => Some(*record),
            _ => None,
        }));
        duties.extend(signature(holder, |s| match s {
            State::GoingBack { record, .. } => Some(*record),
            _ => None,
        }));
        duties
    }

    fn is_open(&self, _now: Option<Millis>) -> bool {
        self.any(|case| !case.state.is_final() && !matches!(case.state, State::Refused))
    }

    fn persons(&self, now: Option<Millis>) -> Vec<PersonView> {
        let person = |(number, case): (&u32, &Case)| PersonView {
            number: *number,
            state: case.state.word(now).to_owned(),
            blocked: case
                .blocked()
                .filter(|_| !case.state.is_final())
                .map(str::to_owned),
        };
        self.persons.iter().map(person).collect()
    }
}
