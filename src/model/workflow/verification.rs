//! Verification: asked → answered person by person, in 7 working days, once extended by 5.

use std::collections::{BTreeMap, BTreeSet};

use super::matter::{
    Act, Duty, Effect, Flow, Opening, Owed, PersonView, Term, acknowledgement_term,
};
use super::{Millis, Party, Said, Step};
use crate::model::MessageId;
use crate::model::deadline;
use crate::proto::v1::{Kind, VerificationOutcome};

/// Every state, in words; while it is answered in part, the numbers stand in it.
pub(super) const STATES: &[&str] = &[
    "requested",
    "acknowledged",
    "answered in part",
    "answered",
    "closed",
    "withdrawn",
    "superseded",
];

/// A verification request and its answers.
#[derive(Debug, Clone)]
pub(super) struct Verification {
    /// The request.
    id: MessageId,
    /// Outcome by number; `None` until answered. With the reply it was answered in.
    persons: BTreeMap<u32, Option<(i32, MessageId)>>,
    acknowledged: bool,
    extension: Option<MessageId>,
    ended: Option<&'static str>,
}

impl Verification {
    pub(super) fn open(id: MessageId, numbers: &[u32]) -> Self {
        Self {
            id,
            persons: numbers.iter().map(|number| (*number, None)).collect(),
            acknowledged: false,
            extension: None,
            ended: None,
        }
    }

    pub(super) fn extension(&self) -> Option<MessageId> {
        self.extension
    }

    fn is_answered(&self) -> bool {
        self.persons.values().all(Option::is_some)
    }

    /// Answers, in part or in whole. A correction takes the place of the reply it supersedes.
    fn reply(&mut self, act: &Act<'_>, results: &[(u32, i32)]) -> Result<(), String> {
        let corrected = act.superseded.map(|facts| facts.id);
        let mut numbers = BTreeSet::new();
        for (number, _) in results {
            match self.persons.get(number) {
                None => return Err(format!("the request has no person {number}")),
                Some(Some((_, reply))) if Some(*reply) != corrected => {
                    return Err(format!(
                        "person {number} has been answered; a correction supersedes that reply"
                    ));
                }
                Some(_) => {}
            }
            if !numbers.insert(*number) {
                return Err(format!("person {number} is named twice"));
            }
        }
        if numbers.is_empty() {
            return Err("it names no person".to_owned());
        }
        for answer in self.persons.values_mut() {
            if answer.is_some_and(|(_, reply)| Some(reply) == corrected) {
                *answer = None;
            }
        }
        for (number, outcome) in results {
            self.persons.insert(*number, Some((*outcome, act.facts.id)));
        }
        Ok(())
    }

    /// Takes back the request, an answer, or nothing that could be.
    fn withdraw(&mut self, act: &Act<'_>) -> Result<Effect, String> {
        let target = act.target.1;
        match &target.said {
            Said::VerificationRequest(_) if target.id == self.id && self.is_answered() => {
                Err("every person has been answered; close the case".to_owned())
            }
            Said::VerificationRequest(_) if target.id == self.id => {
                self.ended = Some("withdrawn");
                Ok(Effect::Took)
            }
            Said::VerificationReply { .. } => {
                Err("an answer is corrected by another, not taken back".to_owned())
            }
            Said::Extension | Said::Acknowledgement => Err("this is not taken back".to_owned()),
            _ => Ok(Effect::Passed),
        }
    }
}

impl Flow for Verification {
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<Effect, String> {
        let by_asker = act.by == opened_by;
        let said = &act.facts.said;
        let is_step = matches!(
            said,
            Said::VerificationReply { .. }
                | Said::Extension
                | Said::Closure { .. }
                | Said::Withdrawal
        ) || act.supersedes(self.id);
        if let Some(ended) = self.ended
            && is_step
        {
            return Err(format!("the request is {ended}"));
        }
        match said {
            Said::VerificationReply { .. } if by_asker => {
                return Err("only the side that was asked answers".to_owned());
            }
            Said::VerificationReply {
                decided_by_person: false,
                ..
            } => return Err("a named person answers for the results".to_owned()),
            Said::VerificationReply { results, .. } => self.reply(act, results)?,
            Said::Extension if by_asker => {
                return Err("only the side that must answer takes an extension".to_owned());
            }
            Said::Extension if self.extension.is_some() => {
                return Err("the one extension has been taken already".to_owned());
            }
            Said::Extension if self.is_answered() => {
                return Err("every person has been answered".to_owned());
            }
            Said::Extension => self.extension = Some(act.facts.id),
            Said::Closure { .. } if !self.is_answered() => {
                return Err("a person has not been answered yet".to_owned());
            }
            Said::Closure { .. } => self.ended = Some("closed"),
            Said::Acknowledgement => {
                if by_asker || act.target.1.id != self.id {
                    return Ok(Effect::Passed);
                }
                self.acknowledged = true;
            }
            Said::Withdrawal => return self.withdraw(act),
            Said::VerificationRequest(_) if act.supersedes(self.id) => {
                self.ended = Some("superseded");
            }
            Said::Response { .. }
            | Said::Countersignature { .. }
            | Said::HandoverReply { .. }
            | Said::HandoverSchedule { .. }
            | Said::HandoverRecord { .. }
            | Said::HandoverSupplement(_)
            | Said::ProtectionDecision { .. } => {
                return Ok(Effect::Foreign("this answers no verification request"));
            }
            _ => return Ok(Effect::Passed),
        }
        Ok(Effect::Took)
    }

    fn state(&self, _now: Option<Millis>) -> String {
        if let Some(ended) = self.ended {
            return ended.to_owned();
        }
        let answered = self.persons.values().filter(|a| a.is_some()).count();
        match (answered, self.acknowledged) {
            (0, false) => "requested".to_owned(),
            (0, true) => "acknowledged".to_owned(),
            _ if self.is_answered() => "answered".to_owned(),
            _ => format!("answered for {answered} of {}", self.persons.len()),
        }
    }

    fn steps(&self, opened_by: Party) -> Vec<Step> {
        let asked = opened_by.other();
        let mut steps = Vec::new();
        if self.ended.is_some() {
            return steps;
        }
        let mut step = |by, kind, does| steps.push(Step::new(by, kind, does));
        if !self.acknowledged && !self.is_answered() {
            step(asked, Kind::Acknowledgement, "take note of it");
        }
        if self.persons.values().any(Option::is_some) {
            step(asked, Kind::VerificationReply, "correct its answer");
        }
        if self.is_answered() {
            step(opened_by, Kind::Closure, "close the case");
            step(asked, Kind::Closure, "close the case");
        } else {
            let does = "answer for the persons still open";
            step(asked, Kind::VerificationReply, does);
            if self.extension.is_none() {
                let does = "take the one extension of 5 working days";
                step(asked, Kind::DeadlineExtension, does);
            }
            step(opened_by, Kind::Withdrawal, "withdraw the request");
        }
        let does = "supersede the request";
        step(opened_by, Kind::VerificationRequest, does);
        steps
    }

    fn duties(&self, opened_by: Party, opening: &Opening) -> Vec<Duty> {
        let mut duties = Vec::new();
        if self.ended.is_some() || self.is_answered() {
            return duties;
        }
        let duty = |owed, term| Duty {
            owed_by: opened_by.other(),
            owed,
            message: opening.id,
            term,
        };
        if !self.acknowledged
            && let Some(term) = acknowledgement_term(opening)
        {
            duties.push(duty(Owed::Acknowledgement, Some(term)));
        }
        let term = Term::WorkingDays {
            days: deadline::VERIFICATION_REPLY_WORKING_DAYS,
            extended_by: if self.extension.is_some() {
                deadline::EXTENSION_WORKING_DAYS
            } else {
                0
            },
        };
        duties.push(duty(Owed::Reply, Some(term)));
        duties
    }

    fn is_open(&self, _now: Option<Millis>) -> bool {
        self.ended.is_none() && !self.is_answered()
    }

    fn persons(&self, _now: Option<Millis>) -> Vec<PersonView> {
        let person = |(number, answer): (&u32, &Option<(i32, MessageId)>)| PersonView {
            number: *number,
            state: match answer.map(|(outcome, _)| VerificationOutcome::try_from(outcome)) {
                None => "asked",
                Some(Ok(VerificationOutcome::Confirmed)) => "confirmed",
                Some(Ok(VerificationOutcome::ConfirmedOtherwise)) => "confirmed otherwise",
                Some(Ok(VerificationOutcome::NotANational)) => "not a national",
                Some(Ok(VerificationOutcome::NotFound)) => "not found",
                Some(_) => "answered",
            }
            .to_owned(),
            blocked: None,
        };
        self.persons.iter().map(person).collect()
    }
}
