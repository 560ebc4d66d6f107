//! Notices, letters, calls and reports: told, acknowledged, answered, signed, closed.
//!
//! One machine for all of them; [`rules`] says for each kind which steps it has.

use super::matter::{Act, Duty, Flow, Opening, Owed, Term, acknowledgement_term};
use super::{Facts, Millis, Party, Said, Step};
use crate::model::MessageId;
use crate::proto::v1::{CountersignatureStance, GateStatus, Kind, Stance};

/// What responses a kind takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Responses {
    None,
    /// Consents or objects, agrees or declines.
    Consent,
    /// Confirms, or differs.
    Confirm,
}

/// Until when something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenUntil {
    /// Nothing is: it informs.
    Told,
    Acknowledged,
    /// Acknowledged, and replied to where a reply is asked.
    Replied,
    Answered,
    Signed,
    Closed,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    responses: Responses,
    open_until: OpenUntil,
    /// The author's first word for it.
    told: &'static str,
}

/// The steps of what a message opens; `None` if it opens nothing.
fn rules(said: &Said) -> Option<Rules> {
    use OpenUntil::{Acknowledged, Answered, Closed, Replied, Signed, Told};
    let rules = |told, responses, open_until| {
        Some(Rules {
            responses,
            open_until,
            told,
        })
    };
    match said {
        Said::Alert { .. } => rules("new", Responses::None, Closed),
        Said::Cases { .. } | Said::Activity { .. } => rules("told", Responses::None, Told),
        Said::Letter { .. } => rules("sent", Responses::None, Replied),
        Said::Call { .. } => rules("noted", Responses::Confirm, Answered),
        Said::Gate { .. } => rules("in force", Responses::None, Told),
        Said::Works {
            consent_asked: true,
        } => rules("consent asked", Responses::Consent, Answered),
        Said::Works {
            consent_asked: false,
        } => rules("told", Responses::Consent, Acknowledged),
        Said::Marker {
            is_minutes: true, ..
        } => rules("minutes proposed", Responses::None, Signed),
        Said::Marker {
            is_minutes: false, ..
        } => rules("reported", Responses::None, Acknowledged),
        Said::Hazard => rules("new", Responses::None, Acknowledged),
        Said::Exercise => rules("proposed", Responses::Consent, Answered),
        Said::Period => rules("proposed", Responses::None, Signed),
        _ => None,
    }
}

/// One notice and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    rules: Rules,
    said: Said,
    id: MessageId,
    digest: [u8; 32],
    acknowledged: bool,
    replied: bool,
    followed_up: bool,
    stance: Option<Stance>,
    signed: Option<bool>,
    ended: Option<&'static str>,
}

impl Notice {
    pub(super) fn open(facts: &Facts) -> Option<Self> {
        Some(Self {
            rules: rules(&facts.said)?,
            said: facts.said.clone(),
            id: facts.id,
            digest: facts.body_digest,
            acknowledged: false,
            replied: false,
            followed_up: false,
            stance: None,
            signed: None,
            ended: None,
        })
    }

    fn wants_reply(&self, opening: &Opening) -> Option<Term> {
        let asked = match &self.said {
            Said::Letter { reply_by } => reply_by.or(opening.respond_by),
            _ => opening.respond_by,
        };
        (!self.replied).then_some(asked).flatten().map(Term::At)
    }

    fn respond(&mut self, stance: i32) -> Result<(), String> {
        let stance = Stance::try_from(stance).unwrap_or_default();
        let takes = match self.rules.responses {
            Responses::None => false,
            Responses::Consent => matches!(stance, Stance::Agreed | Stance::Declined),
            Responses::Confirm => matches!(stance, Stance::Agreed | Stance::Differs),
        };
        if !takes {
            return Err(format!("{} is no answer to this", stance.as_str_name()));
        }
        if self.stance.is_some() {
            return Err("it was answered already".to_owned());
        }
        self.stance = Some(stance);
        Ok(())
    }

    fn countersign(&mut self, digest: &[u8], stance: i32) -> Result<(), String> {
        if self.rules.open_until != OpenUntil::Signed {
            return Err("this is not countersigned".to_owned());
        }
        if self.signed == Some(true) {
            return Err("it was countersigned already".to_owned());
        }
        if digest != self.digest {
            return Err("the digest is not that of the text to be signed".to_owned());
        }
        self.signed = Some(stance == CountersignatureStance::Signed as i32);
        Ok(())
    }

    fn supersede(&mut self, act: &Act<'_>) -> Result<(), String> {
        let same = std::mem::discriminant(&act.facts.said) == std::mem::discriminant(&self.said);
        let is_withdrawal = act.facts.said == Said::Withdrawal;
        if self.signed == Some(true) {
            return Err("both sides have signed it".to_owned());
        }
        if self.stance == Some(Stance::Agreed) && matches!(self.said, Said::Call { .. }) {
            return Err("both sides have confirmed it".to_owned());
        }
        if !same && !is_withdrawal {
            return Err("it is corrected by a message of its own kind, or withdrawn".to_owned());
        }
        self.ended = Some(if is_withdrawal {
            "withdrawn"
        } else {
            "superseded"
        });
        Ok(())
    }
}

impl Flow for Notice {
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<(), String> {
        let by_author = act.by == opened_by;
        if let Some(ended) = self.ended {
            let only_talk = matches!(
                act.facts.said,
                Said::Acknowledgement | Said::Letter { .. } | Said::Unknown
            );
            return if only_talk && act.facts.supersedes != Some(self.id) {
                Ok(())
            } else {
                Err(format!("it is {ended}; begin another"))
            };
        }
        if act.facts.supersedes == Some(self.id) {
            return self.supersede(act);
        }
        match &act.facts.said {
            Said::Acknowledgement => {
                self.acknowledged |= !by_author;
                Ok(())
            }
            Said::Response { .. } if by_author => {
                Err("a side does not answer itself; silence is no consent either".to_owned())
            }
            Said::Response { stance } => self.respond(*stance),
            Said::Countersignature { .. } if by_author => {
                Err("the other side countersigns".to_owned())
            }
            Said::Countersignature {
                body_digest,
                stance,
                ..
            } => self.countersign(body_digest, *stance),
            Said::Closure { .. } if self.rules.open_until != OpenUntil::Closed => {
                Err("this is not closed by a message of its own".to_owned())
            }
            Said::Closure { .. } => {
                self.ended = Some("closed");
                Ok(())
            }
            Said::VerificationReply { .. }
            | Said::Extension
            | Said::HandoverReply { .. }
            | Said::HandoverSupplement(_)
            | Said::HandoverSchedule { .. }
            | Said::HandoverRecord { .. }
            | Said::ProtectionDecision { .. } => Err("this is no answer to it".to_owned()),
            Said::Withdrawal => Ok(()),
            _ if by_author => {
                self.followed_up = true;
                Ok(())
            }
            _ => {
                self.replied = true;
                Ok(())
            }
        }
    }

    fn state(&self, now: Option<Millis>) -> String {
        if let Some(ended) = self.ended {
            return ended.to_owned();
        }
        if let Said::Gate {
            status,
            until: Some(until),
            ..
        } = &self.said
            && now.is_some_and(|now| now >= *until)
        {
            let status = GateStatus::try_from(*status).unwrap_or_default();
            return format!("expired ({})", status.as_str_name());
        }
        match self.signed {
            Some(true) => return "countersigned".to_owned(),
            Some(false) => return "not signed".to_owned(),
            None => {}
        }
        match (self.stance, self.rules.responses) {
            (Some(Stance::Agreed), Responses::Confirm) => return "confirmed".to_owned(),
            (Some(Stance::Agreed), _) => return "agreed".to_owned(),
            (Some(Stance::Declined), _) => return "declined".to_owned(),
            (Some(Stance::Differs), _) => return "differs".to_owned(),
            _ => {}
        }
        if self.replied {
            "replied".to_owned()
        } else if self.acknowledged {
            "acknowledged".to_owned()
        } else {
            self.rules.told.to_owned()
        }
    }

    fn steps(&self, opened_by: Party) -> Vec<Step> {
        let other = opened_by.other();
        let mut steps = Vec::new();
        if self.ended.is_some() {
            return steps;
        }
        if !self.acknowledged {
            steps.push(Step::new(other, Kind::Acknowledgement, "take note of it"));
        }
        if self.rules.responses != Responses::None && self.stance.is_none() {
            let does = match self.rules.responses {
                Responses::Confirm => "confirm it, or say how its own notes differ",
                _ => "agree or decline",
            };
            steps.push(Step::new(other, Kind::Response, does));
        }
        if self.rules.open_until == OpenUntil::Signed && self.signed != Some(true) {
            steps.push(Step::new(other, Kind::Countersignature, "sign it, or not"));
        }
        if self.rules.open_until == OpenUntil::Closed {
            steps.push(Step::new(opened_by, Kind::Closure, "close it"));
            steps.push(Step::new(other, Kind::Closure, "close it"));
        }
        if matches!(self.said, Said::Letter { .. }) && !self.replied {
            steps.push(Step::new(other, Kind::OfficialLetter, "reply"));
        }
        if self.signed != Some(true) {
            steps.push(Step::new(opened_by, Kind::Withdrawal, "withdraw it"));
        }
        steps
    }

    fn duties(&self, opened_by: Party, opening: &Opening) -> Vec<Duty> {
        let other = opened_by.other();
        let mut duties = Vec::new();
        if self.ended.is_some() {
            return duties;
        }
        let duty = |owed, term| Duty {
            owed_by: other,
            owed,
            message: self.id,
            term,
        };
        let is_answered = self.replied || self.stance.is_some() || self.signed == Some(true);
        let asked = acknowledgement_term(opening);
        let wants_note = asked.is_some()
            || matches!(
                self.rules.open_until,
                OpenUntil::Acknowledged | OpenUntil::Replied | OpenUntil::Closed
            );
        // Who has answered in substance has taken note.
        if !self.acknowledged && !is_answered && wants_note {
            duties.push(duty(Owed::Acknowledgement, asked));
        }
        if let Some(term) = self.wants_reply(opening)
            && !is_answered
        {
            duties.push(duty(Owed::Reply, Some(term)));
        } else if self.rules.open_until == OpenUntil::Answered && self.stance.is_none() {
            duties.push(duty(Owed::Agreement, None));
        } else if self.rules.open_until == OpenUntil::Signed && self.signed.is_none() {
            duties.push(duty(Owed::Countersignature, None));
        }
        if self.rules.open_until == OpenUntil::Closed && (self.acknowledged || self.replied) {
            duties.push(Duty {
                owed_by: opened_by,
                owed: Owed::Closure,
                message: self.id,
                term: None,
            });
        }
        duties
    }

    fn is_open(&self, _now: Option<Millis>) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let noted = self.acknowledged || self.replied || self.stance.is_some();
        match self.rules.open_until {
            OpenUntil::Told => false,
            OpenUntil::Acknowledged => !noted,
            OpenUntil::Replied => match &self.said {
                Said::Letter { reply_by: Some(_) } => !self.replied,
                _ => !noted,
            },
            OpenUntil::Answered => self.stance.is_none(),
            OpenUntil::Signed => self.signed.is_none(),
            OpenUntil::Closed => true,
        }
    }
}
