//! Verification: asked → answered person by person, in 7 working days, once extended by 5.

use std::collections::BTreeMap;

use super::matter::{Act, Duty, Flow, Opening, Owed, PersonView, Term, acknowledgement_term};
use super::{Millis, Party, Said, Step};
use crate::model::MessageId;
use crate::model::deadline;
use crate::proto::v1::{Kind, VerificationOutcome};

/// A verification request and its answers.
#[derive(Debug, Clone)]
pub(super) struct Verification {
    /// Outcome by number; `None` until answered. With the reply it was answered in.
    persons: BTreeMap<u32, Option<(i32, MessageId)>>,
    acknowledged: bool,
    extended: bool,
    ended: Option<&'static str>,
}

impl Verification {
    pub(super) fn open(numbers: &[u32]) -> Self {
        Self {
            persons: numbers.iter().map(|number| (*number, None)).collect(),
            acknowledged: false,
            extended: false,
            ended: None,
        }
    }

    fn is_answered(&self) -> bool {
        self.persons.values().all(Option::is_some)
    }

    fn reply(&mut self, act: &Act<'_>, results: &[(u32, i32)]) -> Result<(), String> {
        let corrected = act.superseded.map(|facts| facts.id);
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
}

impl Flow for Verification {
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<(), String> {
        let by_asker = act.by == opened_by;
        if let Some(ended) = self.ended
            && !matches!(act.facts.said, Said::Acknowledgement | Said::Letter { .. })
        {
            return Err(format!("the request is {ended}"));
        }
        match &act.facts.said {
            Said::VerificationReply { .. } if by_asker => {
                Err("only the side that was asked answers".to_owned())
            }
            Said::VerificationReply {
                decided_by_person: false,
                ..
            } => Err("a named person answers for the results".to_owned()),
            Said::VerificationReply { results, .. } => self.reply(act, results),
            Said::Extension if by_asker => {
                Err("only the side that must answer takes an extension".to_owned())
            }
            Said::Extension if self.extended => {
                Err("the one extension has been taken already".to_owned())
            }
            Said::Extension if self.is_answered() => {
                Err("every person has been answered".to_owned())
            }
            Said::Extension => {
                self.extended = true;
                Ok(())
            }
            Said::Closure { .. } if !self.is_answered() => {
                Err("a person has not been answered yet".to_owned())
            }
            Said::Closure { .. } => {
                self.ended = Some("closed");
                Ok(())
            }
            Said::Acknowledgement => {
                self.acknowledged |= !by_asker;
                Ok(())
            }
            Said::Withdrawal if by_asker && act.target.1.kind() == Kind::VerificationRequest => {
                self.ended = Some("withdrawn");
                Ok(())
            }
            Said::VerificationRequest(_)
                if by_asker && act.superseded.is_some_and(|of| of.id == act.target.1.id) =>
            {
                self.ended = Some("superseded");
                Ok(())
            }
            Said::Withdrawal => Err("an answer is corrected by another, not withdrawn".to_owned()),
            Said::Response { .. }
            | Said::Countersignature { .. }
            | Said::HandoverReply { .. }
            | Said::HandoverSchedule { .. }
            | Said::HandoverRecord { .. }
            | Said::HandoverSupplement(_)
            | Said::ProtectionDecision { .. } => {
                Err("this answers no verification request".to_owned())
            }
            _ => Ok(()),
        }
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
        if self.is_answered() {
            steps.push(Step::new(opened_by, Kind::Closure, "close the case"));
            steps.push(Step::new(asked, Kind::Closure, "close the case"));
        } else {
            let does = "answer for the persons still open";
            steps.push(Step::new(asked, Kind::VerificationReply, does));
            if !self.extended {
                let does = "take the one extension of 5 working days";
                steps.push(Step::new(asked, Kind::DeadlineExtension, does));
            }
            steps.push(Step::new(
                opened_by,
                Kind::Withdrawal,
                "withdraw the request",
            ));
        }
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
            extended_by: if self.extended {
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
