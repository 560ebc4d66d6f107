//! Notices, letters, calls and reports: told, acknowledged, answered, signed, closed.
//!
//! One machine for all of them; [`rules`] says for each kind which steps it has.

use super::matter::{Act, Duty, Effect, Flow, Opening, Owed, Term, acknowledgement_term};
use super::{Facts, Millis, Party, Said, Step, is_talk};
use crate::model::MessageId;
use crate::proto::v1::{CountersignatureStance, Kind, Stance};

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

/// Every state of the matters that a kind opens, in words; none if it opens none.
pub(super) fn states(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::CrossingAlert => &[
            "new",
            "acknowledged",
            "followed up",
            "closed",
            "withdrawn",
            "superseded",
        ],
        Kind::CaseNotice | Kind::ActivityReport => {
            &["told", "acknowledged", "replied", "withdrawn", "superseded"]
        }
        Kind::OfficialLetter => &["sent", "acknowledged", "replied", "withdrawn", "superseded"],
        Kind::HotlineCall => &[
            "noted",
            "acknowledged",
            "replied",
            "confirmed",
            "differs",
            "withdrawn",
            "superseded",
        ],
        Kind::GateNotice => &[
            "announced",
            "in force",
            "acknowledged",
            "replied",
            "expired",
            "withdrawn",
            "superseded",
        ],
        Kind::WorksNotice => &[
            "consent asked",
            "told",
            "acknowledged",
            "replied",
            "agreed",
            "declined",
            "withdrawn",
            "superseded",
        ],
        Kind::MarkerReport => &[
            "reported",
            "minutes proposed",
            "acknowledged",
            "replied",
            "countersigned",
            "not signed",
            "withdrawn",
            "superseded",
        ],
        Kind::HazardNotice => &[
            "new",
            "acknowledged",
            "followed up",
            "withdrawn",
            "superseded",
        ],
        Kind::ExerciseNotice => &[
            "proposed",
            "acknowledged",
            "replied",
            "agreed",
            "declined",
            "withdrawn",
            "superseded",
        ],
        Kind::PeriodReport => &[
            "proposed",
            "acknowledged",
            "replied",
            "countersigned",
            "not signed",
            "withdrawn",
            "superseded",
        ],
        _ => &[],
    }
}

/// One notice and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    rules: Rules,
    said: Said,
    id: MessageId,
    kind: Kind,
    digest: [u8; 32],
    acknowledged: bool,
    /// A person of the other side has said something on it.
    replied: bool,
    /// Either side has told more.
    followed_up: bool,
    /// And the response that says so.
    stance: Option<(Stance, MessageId)>,
    signed: Option<bool>,
    ended: Option<&'static str>,
}

impl Notice {
    pub(super) fn open(facts: &Facts) -> Option<Self> {
        Some(Self {
            rules: rules(&facts.said)?,
            said: facts.said.clone(),
            id: facts.id,
            kind: facts.kind(),
            digest: facts.body_digest,
            acknowledged: false,
            replied: false,
            followed_up: false,
            stance: None,
            signed: None,
            ended: None,
        })
    }

    /// An alert or a hazard: what is said on it follows it up.
    fn is_followed_up(&self) -> bool {
        matches!(self.said, Said::Alert { .. } | Said::Hazard)
    }

    fn wants_reply(&self, opening: &Opening) -> Option<Term> {
        let asked = match &self.said {
            Said::Letter { reply_by } => reply_by.or(opening.respond_by),
            _ => opening.respond_by,
        };
        (!self.replied).then_some(asked).flatten().map(Term::At)
    }

    fn respond(&mut self, act: &Act<'_>, stance: i32) -> Result<Effect, String> {
        let stance = Stance::try_from(stance).unwrap_or_default();
        let takes = match self.rules.responses {
            Responses::None => return Ok(Effect::Foreign("this is not answered by a response")),
            Responses::Consent => matches!(stance, Stance::Agreed | Stance::Declined),
            Responses::Confirm => matches!(stance, Stance::Agreed | Stance::Differs),
        };
        if !takes {
            return Err(format!(
                "{} by a named officer is no answer to this",
                stance.as_str_name()
            ));
        }
        if let Some((before, response)) = self.stance {
            if !act.supersedes(response) {
                return Err(
                    "it was answered already; who thinks otherwise now supersedes the answer"
                        .to_owned(),
                );
            }
            self.may_think_again(before)?;
        }
        self.stance = Some((stance, act.facts.id));
        Ok(Effect::Took)
    }

    fn may_think_again(&self, before: Stance) -> Result<(), String> {
        if before == Stance::Agreed && self.rules.responses == Responses::Confirm {
            return Err("both sides have confirmed it".to_owned());
        }
        Ok(())
    }

    fn countersign(&mut self, act: &Act<'_>, digest: &[u8], stance: i32) -> Result<Effect, String> {
        if self.rules.open_until != OpenUntil::Signed {
            return Ok(Effect::Foreign("this is not countersigned"));
        }
        if self.signed == Some(true) {
            return Err("it was countersigned already".to_owned());
        }
        if !act.answers(self.id) {
            return Err("a signature answers the text that it signs".to_owned());
        }
        if digest != self.digest {
            return Err("the digest is not that of the text to be signed".to_owned());
        }
        self.signed = match CountersignatureStance::try_from(stance).unwrap_or_default() {
            CountersignatureStance::Signed => Some(true),
            CountersignatureStance::NotSigned => Some(false),
            CountersignatureStance::Unspecified => {
                return Err("a named officer signs, or does not".to_owned());
            }
        };
        Ok(Effect::Took)
    }

    /// The state in words; at an instant, if given, with what ran out by then.
    fn word(&self, now: Option<Millis>) -> &'static str {
        if let Some(ended) = self.ended {
            return ended;
        }
        if let (Said::Gate { from, until, .. }, Some(now)) = (&self.said, now) {
            if until.is_some_and(|until| now >= until) {
                return "expired";
            }
            if now < *from {
                return "announced";
            }
        }
        match self.signed {
            Some(true) => return "countersigned",
            Some(false) => return "not signed",
            None => {}
        }
        match (self.stance.map(|(stance, _)| stance), self.rules.responses) {
            (Some(Stance::Agreed), Responses::Confirm) => return "confirmed",
            (Some(Stance::Agreed), _) => return "agreed",
            (Some(Stance::Declined), _) => return "declined",
            (Some(Stance::Differs), _) => return "differs",
            _ => {}
        }
        let noted = self.acknowledged || self.replied;
        if self.is_followed_up() {
            match (noted, self.followed_up) {
                (false, _) => self.rules.told,
                (true, false) => "acknowledged",
                (true, true) => "followed up",
            }
        } else if self.replied {
            "replied"
        } else if self.acknowledged {
            "acknowledged"
        } else {
            self.rules.told
        }
    }

    /// Its author corrects it or takes it back.
    fn supersede(&mut self, act: &Act<'_>) -> Result<Effect, String> {
        if self.signed == Some(true) {
            return Err("both sides have signed it".to_owned());
        }
        if let Some((stance, _)) = self.stance {
            self.may_think_again(stance)?;
        }
        self.ended = Some(if act.facts.said == Said::Withdrawal {
            "withdrawn"
        } else {
            "superseded"
        });
        Ok(Effect::Took)
    }

    /// Something that was said on it is taken back.
    fn withdraw(&mut self, act: &Act<'_>) -> Result<Effect, String> {
        match (self.stance, &act.target.1.said) {
            (Some((stance, response)), Said::Response { .. }) if act.supersedes(response) => {
                self.may_think_again(stance)?;
                self.stance = None;
                Ok(Effect::Took)
            }
            (_, Said::Acknowledgement | Said::Countersignature { .. } | Said::Response { .. }) => {
                Err("this is not taken back".to_owned())
            }
            _ => Ok(Effect::Passed),
        }
    }
}

impl Flow for Notice {
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<Effect, String> {
        let by_author = act.by == opened_by;
        let said = &act.facts.said;
        if let Some(ended) = self.ended {
            let only_talk = is_talk(act.facts.kind()) && !act.supersedes(self.id)
                || matches!(said, Said::Unknown | Said::Erased);
            return if only_talk {
                Ok(Effect::Passed)
            } else {
                Err(format!("it is {ended}; begin another"))
            };
        }
        if act.supersedes(self.id) {
            return self.supersede(act);
        }
        match said {
            Said::Acknowledgement => {
                self.acknowledged |= !by_author && act.target.1.id == self.id;
                Ok(Effect::Took)
            }
            Said::Response { .. } if by_author && self.rules.responses != Responses::None => {
                Err("a side does not answer itself; silence is no consent either".to_owned())
            }
            Said::Response { stance } => self.respond(act, *stance),
            Said::Countersignature { .. }
                if by_author && self.rules.open_until == OpenUntil::Signed =>
            {
                Err("the other side countersigns".to_owned())
            }
            Said::Countersignature {
                body_digest,
                stance,
                ..
            } => self.countersign(act, body_digest, *stance),
            Said::Closure { .. } if self.rules.open_until != OpenUntil::Closed => Ok(
                Effect::Foreign("this is not closed by a message of its own"),
            ),
            Said::Closure { .. } => {
                self.ended = Some("closed");
                Ok(Effect::Took)
            }
            Said::VerificationReply { .. }
            | Said::Extension
            | Said::HandoverReply { .. }
            | Said::HandoverSupplement(_)
            | Said::HandoverSchedule { .. }
            | Said::HandoverRecord { .. }
            | Said::ProtectionDecision { .. } => Ok(Effect::Foreign("this is no answer to it")),
            Said::Withdrawal => self.withdraw(act),
            Said::Unknown | Said::Erased => Ok(Effect::Passed),
            // A sensor may have said it: that follows the alert up, and nobody has taken note.
            Said::Alert { .. } => {
                self.followed_up = true;
                Ok(Effect::Took)
            }
            _ => {
                self.replied |= !by_author;
                self.followed_up = true;
                Ok(Effect::Took)
            }
        }
    }

    fn state(&self, now: Option<Millis>) -> String {
        self.word(now).to_owned()
    }

    fn steps(&self, opened_by: Party) -> Vec<Step> {
        let other = opened_by.other();
        let mut steps = Vec::new();
        if self.ended.is_some() {
            return steps;
        }
        let mut step = |by, kind, does| steps.push(Step::new(by, kind, does));
        if !self.acknowledged {
            step(other, Kind::Acknowledgement, "take note of it");
        }
        let stance = self.stance.map(|(stance, _)| stance);
        match (self.rules.responses, stance) {
            (Responses::None, _) => {}
            (Responses::Confirm, None) => {
                let does = "confirm it, or say how its own notes differ";
                step(other, Kind::Response, does);
            }
            (Responses::Consent, None) => step(other, Kind::Response, "agree or decline"),
            (_, Some(stance)) => {
                if self.may_think_again(stance).is_ok() {
                    step(other, Kind::Response, "supersede its answer");
                    step(other, Kind::Withdrawal, "take back its answer");
                }
            }
        }
        if self.rules.open_until == OpenUntil::Signed && self.signed != Some(true) {
            step(other, Kind::Countersignature, "sign it, or not");
        }
        if self.rules.open_until == OpenUntil::Closed {
            step(opened_by, Kind::Closure, "close it");
            step(other, Kind::Closure, "close it");
        }
        if self.is_followed_up() {
            step(opened_by, self.kind, "tell more");
            step(other, self.kind, "tell more");
        }
        if matches!(self.said, Said::Letter { .. }) && !self.replied {
            step(other, Kind::OfficialLetter, "reply");
        }
        let may = stance.is_none_or(|stance| self.may_think_again(stance).is_ok());
        if self.signed != Some(true) && may {
            step(opened_by, Kind::Withdrawal, "withdraw it");
            step(opened_by, self.kind, "supersede it");
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
        let is_answered = self.replied || self.stance.is_some() || self.signed.is_some();
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
