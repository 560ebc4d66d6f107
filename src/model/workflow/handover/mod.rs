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
//!
//! What is once known of a person's need is not unlearnt: a supplement that leaves out a claim, a
//! child's being alone or signs of trafficking does not take them back.
//!
//! ```text
//! person.rs    a person: state, safeguards
//! deciding.rs  acknowledgement, reply, supplement, claim
//! moving.rs    schedule, agreement, record, signature, return, end
//! view.rs      state in words, steps, duties
//! ```

mod deciding;
mod moving;
mod person;
mod view;

use std::collections::BTreeMap;

use super::facts::Person;
use super::matter::{Act, Duty, Effect, Flow, Opening, PersonView};
use super::{Millis, Party, Said, Step};
use crate::model::MessageId;

use person::{Case, State};

pub(super) use person::STATES;

/// A handover request and what became of each person.
#[derive(Debug, Clone)]
pub(super) struct Handover {
    /// The request.
    id: MessageId,
    persons: BTreeMap<u32, Case>,
}

/// What is wrong with a request, by the safeguards.
pub(super) fn fault_of_request(persons: &[Person]) -> Option<String> {
    let mut numbers: Vec<u32> = persons.iter().map(|person| person.number).collect();
    numbers.sort_unstable();
    if persons.is_empty() {
        return Some("it names no person".to_owned());
    }
    if let Some([twice, ..]) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(format!("person {twice} is named twice"));
    }
    persons.iter().find_map(person::fault_of)
}

impl Handover {
    pub(super) fn open(id: MessageId, persons: &[Person]) -> Self {
        let mut known: BTreeMap<u32, Person> = BTreeMap::new();
        for person in persons {
            let entry = known.entry(person.number).or_insert(*person);
            // Nobody hides a need behind a number that is given twice.
            *entry = Person {
                has_particulars: entry.has_particulars || person.has_particulars,
                has_guardian: entry.has_guardian && person.has_guardian,
                ..entry.and(person)
            };
        }
        let persons = known.into_iter();
        Self {
            id,
            persons: persons.map(|(n, person)| (n, Case::new(person))).collect(),
        }
    }

    /// Whether somebody has claimed protection, and no authority has let the handover go on.
    pub(super) fn holds_claim(&self) -> bool {
        self.any(Case::holds_claim)
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

    /// Works on a copy, and keeps it if that went well.
    fn all_or_none(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut copy = self.clone();
        work(&mut copy)?;
        *self = copy;
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
}

fn not_now(number: u32, case: &Case, what: &str) -> String {
    format!(
        "person {number} is {} and cannot be {what} now",
        case.state.word(None)
    )
}

impl Flow for Handover {
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<Effect, String> {
        let by_holder = act.by == opened_by;
        let only = |may: bool, who: &str| if may { Ok(()) } else { Err(who.to_owned()) };
        let holder = "only the side that holds the persons says this";
        let asked = "only the side that was asked to take them over says this";
        match &act.facts.said {
            Said::Acknowledgement => {
                if by_holder || act.target.1.id != self.id {
                    return Ok(Effect::Passed);
                }
                self.acknowledge();
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
            Said::Response { stance } => {
                let Said::HandoverSchedule { .. } = act.target.1.said else {
                    return Ok(Effect::Foreign(
                        "only a proposed schedule is answered like this",
                    ));
                };
                self.respond(act, *stance)
            }
            Said::HandoverRecord {
                persons,
                is_return: true,
                ..
            } => {
                only(!by_holder, "the side that took them over gives them back")?;
                self.record_return(act, persons)
            }
            Said::HandoverRecord { persons, .. } => {
                only(by_holder, holder)?;
                self.record(act, persons)
            }
            Said::Countersignature {
                body_digest,
                stance,
                disputed,
            } => {
                let Said::HandoverRecord { .. } = act.target.1.said else {
                    return Ok(Effect::Foreign("only a record is signed like this"));
                };
                self.countersign(act, body_digest, *stance, disputed)
            }
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
            Said::Withdrawal => return self.withdraw(act),
            Said::HandoverRequest(_) if act.supersedes(self.id) => self.end(&State::Superseded),
            Said::VerificationReply { .. } | Said::Extension => {
                return Ok(Effect::Foreign("this answers no handover request"));
            }
            _ => return Ok(Effect::Passed),
        }
        .map(|()| Effect::Took)
    }

    fn state(&self, now: Option<Millis>) -> String {
        view::state(self, now)
    }

    fn steps(&self, opened_by: Party) -> Vec<Step> {
        view::steps(self, opened_by)
    }

    fn duties(&self, opened_by: Party, opening: &Opening) -> Vec<Duty> {
        view::duties(self, opened_by, opening)
    }

    fn is_open(&self, _now: Option<Millis>) -> bool {
        self.any(|case| !case.state.is_final() && case.state != State::Refused)
    }

    fn persons(&self, now: Option<Millis>) -> Vec<PersonView> {
        view::persons(self, now)
    }
}
