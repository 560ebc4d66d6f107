//! A small language for cases: who says what in reply to what, having seen what.

use std::collections::BTreeMap;

use liaison::model::MessageId;
use liaison::model::workflow::facts::{Decision, HandedOver, Person};
use liaison::model::workflow::{
    Casebook, Facts, Impossible, Millis, Party, Said, Standing, ThreadView,
};
use liaison::proto::v1::{self, Kind};

pub(super) const MINUTE: Millis = 60_000;
pub(super) const HOUR: Millis = 60 * MINUTE;
pub(super) const DAY: Millis = 24 * HOUR;
/// When cases begin.
pub(super) const START: Millis = 1_767_225_600_000;

/// An id that is unique for its number.
pub(super) fn id(number: u64) -> MessageId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    MessageId::from_parts(START.unsigned_abs() + number, random)
}

/// The kind that says this.
pub(super) fn kind_of(said: &Said) -> Kind {
    match said {
        Said::Alert { .. } => Kind::CrossingAlert,
        Said::Cases { .. } => Kind::CaseNotice,
        Said::VerificationRequest(_) => Kind::VerificationRequest,
        Said::VerificationReply { .. } => Kind::VerificationReply,
        Said::Extension => Kind::DeadlineExtension,
        Said::HandoverRequest(_) => Kind::HandoverRequest,
        Said::HandoverReply { .. } => Kind::HandoverReply,
        Said::HandoverSupplement(_) => Kind::HandoverSupplement,
        Said::HandoverSchedule { .. } => Kind::HandoverSchedule,
        Said::HandoverRecord { .. } => Kind::HandoverRecord,
        Said::ProtectionDecision { .. } => Kind::ProtectionDecision,
        Said::Letter { .. } => Kind::OfficialLetter,
        Said::Call { .. } => Kind::HotlineCall,
        Said::MeetingProposal { .. } => Kind::MeetingProposal,
        Said::MeetingMinutes { .. } => Kind::MeetingMinutes,
        Said::PatrolPlan { .. } => Kind::PatrolPlan,
        Said::PatrolReport { .. } => Kind::PatrolReport,
        Said::Gate { .. } => Kind::GateNotice,
        Said::Works { .. } => Kind::WorksNotice,
        Said::Marker { .. } => Kind::MarkerReport,
        Said::Hazard => Kind::HazardNotice,
        Said::Activity { .. } => Kind::ActivityReport,
        Said::Exercise => Kind::ExerciseNotice,
        Said::Period => Kind::PeriodReport,
        Said::Calendar { .. } => Kind::Calendar,
        Said::Roster { .. } => Kind::Roster,
        Said::Acknowledgement => Kind::Acknowledgement,
        Said::Response { .. } => Kind::Response,
        Said::Countersignature { .. } => Kind::Countersignature,
        Said::Closure { .. } => Kind::Closure,
        Said::Withdrawal => Kind::Withdrawal,
        Said::Refusal { .. } => Kind::Refusal,
        Said::System => Kind::AttachmentsReceived,
        _ => Kind::Unspecified,
    }
}

/// A real message that begins a case, having seen nothing.
pub(super) fn facts(number: u64, said: Said) -> Facts {
    let id = id(number);
    let mut body_digest = [7; 32];
    body_digest[..8].copy_from_slice(&number.to_be_bytes());
    Facts {
        id,
        thread: id,
        in_reply_to: None,
        supersedes: None,
        created_at: START,
        seen_size: 0,
        kind: kind_of(&said) as i32,
        precedence: v1::Precedence::Routine as i32,
        status: v1::Status::Actual as i32,
        acknowledge_by: None,
        respond_by: None,
        body_digest,
        said,
    }
}

/// A person without any need.
pub(super) fn person(number: u32) -> Person {
    Person {
        number,
        claims_protection: false,
        has_particulars: true,
        is_minor_alone: false,
        has_guardian: false,
        is_trafficking_victim: false,
        route: v1::HandoverRoute::Return as i32,
    }
}

/// A person who claims protection, and of whom nothing is told.
pub(super) fn claimant(number: u32) -> Person {
    Person {
        claims_protection: true,
        has_particulars: false,
        ..person(number)
    }
}

pub(super) fn handed_over(number: u32) -> HandedOver {
    HandedOver {
        number,
        has_guardian: false,
        has_victim_authority: false,
    }
}

pub(super) fn reply(numbers: &[u32], outcome: v1::HandoverOutcome, until: Option<Millis>) -> Said {
    let decision = |number: &u32| Decision {
        number: *number,
        outcome: outcome as i32,
        valid_until: until,
    };
    Said::HandoverReply {
        decisions: numbers.iter().map(decision).collect(),
        decided_by_person: true,
    }
}

pub(super) fn schedule(numbers: &[u32], at: Millis) -> Said {
    Said::HandoverSchedule {
        numbers: numbers.to_vec(),
        at,
        short_notice: false,
    }
}

pub(super) fn record(numbers: &[u32], at: Millis) -> Said {
    Said::HandoverRecord {
        persons: numbers.iter().map(|n| handed_over(*n)).collect(),
        at,
        is_return: false,
    }
}

pub(super) fn decision(numbers: &[u32], outcome: v1::ProtectionOutcome) -> Said {
    Said::ProtectionDecision {
        numbers: numbers.to_vec(),
        by_named_authority: true,
        outcome: outcome as i32,
    }
}

pub(super) fn response(stance: v1::Stance) -> Said {
    Said::Response {
        stance: stance as i32,
    }
}

pub(super) fn signature(of: &Facts, stance: v1::CountersignatureStance) -> Said {
    Said::Countersignature {
        body_digest: of.body_digest.to_vec(),
        stance: stance as i32,
        disputed: Vec::new(),
    }
}

/// What is said about a message: with which other messages it is connected.
#[derive(Debug, Clone, Default)]
pub(super) struct About<'a> {
    /// The message answered.
    pub(super) to: Option<&'a str>,
    /// The message corrected or taken back.
    pub(super) supersedes: Option<&'a str>,
    /// How much of the other log was seen; all of it if not given.
    pub(super) seen: Option<u64>,
}

pub(super) fn to(name: &str) -> About<'_> {
    About {
        to: Some(name),
        ..About::default()
    }
}

pub(super) fn instead_of(name: &str) -> About<'_> {
    About {
        supersedes: Some(name),
        ..About::default()
    }
}

/// Both logs, known to both sides at once unless somebody says to have seen less.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) book: Casebook,
    pub(super) now: Millis,
    named: BTreeMap<String, (Party, Facts)>,
    next: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            book: Casebook::default(),
            now: START,
            named: BTreeMap::new(),
            next: 1,
        }
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    pub(super) fn the(&self, name: &str) -> &Facts {
        let named = self.named.get(name);
        &named
            .unwrap_or_else(|| panic!("nothing is called {name}"))
            .1
    }

    /// What would be said; the case is that of what it names, or its own.
    pub(super) fn facts(&self, by: Party, said: Said, about: &About<'_>) -> Facts {
        let mut facts = facts(self.next, said);
        let named = about.to.or(about.supersedes).map(|name| self.the(name));
        facts.thread = named.map_or(facts.id, |named| named.thread);
        facts.in_reply_to = about.to.map(|name| self.the(name).id);
        facts.supersedes = about.supersedes.map(|name| self.the(name).id);
        facts.seen_size = about.seen.unwrap_or_else(|| self.book.size(by.other()));
        facts.created_at = self.now;
        if let Some(named) = named {
            facts.status = named.status;
        }
        facts
    }

    /// An honest side says something: it is judged before it is recorded.
    pub(super) fn says(
        &mut self,
        by: Party,
        name: &str,
        said: Said,
        about: &About<'_>,
    ) -> Result<(), Impossible> {
        let facts = self.facts(by, said, about);
        self.records(by, name, facts)
    }

    pub(super) fn records(
        &mut self,
        by: Party,
        name: &str,
        facts: Facts,
    ) -> Result<(), Impossible> {
        self.book.judge(by, &facts)?;
        let standing = self.insists(by, name, facts);
        assert_eq!(standing, Standing::Applied, "{name}");
        Ok(())
    }

    /// Somebody records something without asking whether it is possible: what becomes of it.
    pub(super) fn insists(&mut self, by: Party, name: &str, facts: Facts) -> Standing {
        self.next += 1;
        self.now += MINUTE;
        self.named.insert(name.to_owned(), (by, facts.clone()));
        let (id, thread) = (facts.id, facts.thread);
        self.book.take(by, Some(facts));
        let folded = self.book.folded(thread).unwrap();
        folded.message(id).unwrap().standing.clone()
    }

    /// The standing of a message now.
    pub(super) fn standing(&mut self, name: &str) -> Standing {
        let (id, thread) = (self.the(name).id, self.the(name).thread);
        let folded = self.book.folded(thread).unwrap();
        folded.message(id).unwrap().standing.clone()
    }

    pub(super) fn view(&mut self, name: &str) -> ThreadView {
        let thread = self.the(name).thread;
        self.book.view(thread, self.now).unwrap()
    }

    /// The state of the matter that a message opened.
    pub(super) fn state(&mut self, name: &str) -> String {
        let id = self.the(name).id.to_string();
        let view = self.view(name);
        let matter = view.matters.into_iter().find(|m| m.opening == id);
        matter.map_or_else(|| "no matter".to_owned(), |matter| matter.state)
    }

    /// The states of the persons of a request.
    pub(super) fn persons(&mut self, name: &str) -> Vec<String> {
        let id = self.the(name).id.to_string();
        let view = self.view(name);
        let matter = view.matters.into_iter().find(|m| m.opening == id).unwrap();
        matter.persons.into_iter().map(|p| p.state).collect()
    }
}
