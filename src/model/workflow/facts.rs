//! What of a message matters to its workflow, its deadlines and the statistics. No personal data.
//!
//! Extracted once from header and body; everything above works on this alone. When a body is erased,
//! what it said is forgotten here as well ([`Said::Erased`]): what followed from the header still follows.

use super::Millis;
use crate::model::{Header, MessageId};
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, Kind};

/// One message of one log, as the workflows see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its id.
    pub id: MessageId,
    /// The case it says it belongs to: the id of the case's first message.
    pub thread: MessageId,
    /// The message answered.
    pub in_reply_to: Option<MessageId>,
    /// The message of the same author that is corrected or withdrawn.
    pub supersedes: Option<MessageId>,
    /// The author's clock.
    pub created_at: Millis,
    /// How many entries of the other log the author had mirrored when it signed this.
    pub seen_size: u64,
    /// [`Kind`], or the number of a newer one.
    pub kind: i32,
    /// [`v1::Precedence`], or the number of a newer one.
    pub precedence: i32,
    /// [`v1::Status`], or the number of a newer one.
    pub status: i32,
    /// When an acknowledgement is asked for.
    pub acknowledge_by: Option<Millis>,
    /// When the answer is asked for.
    pub respond_by: Option<Millis>,
    /// SHA-256 of salt and body, as signed: what a countersignature names.
    pub body_digest: [u8; 32],
    /// What the body says.
    pub said: Said,
}

/// What a body says, as far as workflows, deadlines and statistics go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// `CROSSING_ALERT`.
    Alert {
        /// [`v1::IncidentType`].
        incident: i32,
        /// Persons seen.
        persons: u32,
    },
    /// `CASE_NOTICE`.
    Cases {
        /// [`v1::CaseCategory`].
        category: i32,
        /// End of the time the cases lie in.
        to: Millis,
        /// Cases.
        cases: u32,
        /// Persons concerned.
        persons: u32,
        /// Suspects among them.
        suspects: u32,
        /// Cases brought to court.
        prosecutions: u32,
    },
    /// `VERIFICATION_REQUEST` about persons of these numbers.
    VerificationRequest(Vec<u32>),
    /// `VERIFICATION_REPLY`.
    VerificationReply {
        /// Number of each person and [`v1::VerificationOutcome`].
        results: Vec<(u32, i32)>,
        /// A person answers for it.
        decided_by_person: bool,
    },
    /// `DEADLINE_EXTENSION`.
    Extension,
    /// `HANDOVER_REQUEST`.
    HandoverRequest(Vec<Person>),
    /// `HANDOVER_REPLY`.
    HandoverReply {
        /// One for each person decided on.
        decisions: Vec<Decision>,
        /// A person has decided.
        decided_by_person: bool,
    },
    /// `HANDOVER_SUPPLEMENT`.
    HandoverSupplement(Vec<Person>),
    /// `HANDOVER_SCHEDULE`.
    HandoverSchedule {
        /// Persons meant.
        numbers: Vec<u32>,
        /// When.
        at: Millis,
        /// It says why it cannot wait 48 hours.
        short_notice: bool,
    },
    /// `HANDOVER_RECORD`.
    HandoverRecord {
        /// Who was handed over.
        persons: Vec<HandedOver>,
        /// When.
        at: Millis,
        /// They went back.
        is_return: bool,
    },
    /// `PROTECTION_DECISION`.
    ProtectionDecision {
        /// Claimants.
        numbers: Vec<u32>,
        /// The authority is named, with the number of its decision.
        by_named_authority: bool,
        /// [`v1::ProtectionOutcome`].
        outcome: i32,
    },
    /// `OFFICIAL_LETTER`.
    Letter {
        /// When an answer is asked for.
        reply_by: Option<Millis>,
    },
    /// `HOTLINE_CALL`.
    Call {
        /// When it began.
        at: Millis,
    },
    /// `MEETING_PROPOSAL`.
    MeetingProposal {
        /// [`v1::MeetingLevel`].
        level: i32,
        /// When it is to begin.
        at: Millis,
    },
    /// `MEETING_MINUTES`.
    MeetingMinutes {
        /// [`v1::MeetingLevel`].
        level: i32,
        /// When it began.
        at: Millis,
    },
    /// `PATROL_PLAN`.
    PatrolPlan {
        /// When it is to begin.
        at: Millis,
    },
    /// `PATROL_REPORT`.
    PatrolReport {
        /// When it began.
        at: Millis,
        /// Officers of the reporting side.
        officers: u32,
    },
    /// `GATE_NOTICE`.
    Gate {
        /// Gate pair.
        gate: String,
        /// [`v1::GateStatus`].
        status: i32,
        /// In force from.
        from: Millis,
        /// In force until; open if `None`.
        until: Option<Millis>,
    },
    /// `WORKS_NOTICE`.
    Works {
        /// Consent is asked for.
        consent_asked: bool,
    },
    /// `MARKER_REPORT`.
    Marker {
        /// Its number.
        marker: u32,
        /// To be countersigned.
        is_minutes: bool,
    },
    /// `HAZARD_NOTICE`.
    Hazard,
    /// `ACTIVITY_REPORT`.
    Activity {
        /// [`v1::ActivityType`].
        activity: i32,
        /// End of the time it was in.
        to: Millis,
        /// How often.
        events: u32,
        /// Who took part.
        participants: u32,
    },
    /// `EXERCISE_NOTICE`.
    Exercise,
    /// `PERIOD_REPORT`.
    Period,
    /// `CALENDAR`.
    Calendar {
        /// Of this year.
        year: i32,
        /// Its version.
        version: u32,
    },
    /// `ROSTER`.
    Roster {
        /// Its version.
        version: u32,
    },
    /// `ACKNOWLEDGEMENT` by a named officer; without one it is [`Said::Unknown`].
    Acknowledgement,
    /// `RESPONSE`.
    Response {
        /// [`v1::Stance`]; unspecified if no officer is named: no program agrees to anything.
        stance: i32,
    },
    /// `COUNTERSIGNATURE`.
    Countersignature {
        /// The digest of the body that is signed.
        body_digest: Vec<u8>,
        /// [`v1::CountersignatureStance`]; unspecified if no officer is named.
        stance: i32,
        /// Persons the receiver disagrees on.
        disputed: Vec<u32>,
    },
    /// `CLOSURE`.
    Closure {
        /// [`v1::ClosureOutcome`].
        outcome: i32,
        /// Persons meant; none: all.
        numbers: Vec<u32>,
    },
    /// `WITHDRAWAL`.
    Withdrawal,
    /// `REFUSAL` of the entry at this index of the other log.
    Refusal {
        /// The index.
        index: u64,
    },
    /// Another message of a node.
    System,
    /// A kind of a newer version, or a body that cannot be read.
    Unknown,
    /// The body is not here any more: it was erased, or came back without it. What follows from the
    /// header still follows; what depends on the body nobody can tell.
    Erased,
}

/// A person of a handover, as the safeguards see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Person {
    /// In the manifest.
    pub number: u32,
    /// Claims asylum or fears to return.
    pub claims_protection: bool,
    /// Anything that identifies the person is told.
    pub has_particulars: bool,
    /// An unaccompanied minor.
    pub is_minor_alone: bool,
    /// A receiving guardian or authority is named.
    pub has_guardian: bool,
    /// There are signs of trafficking.
    pub is_trafficking_victim: bool,
    /// [`v1::HandoverRoute`].
    pub route: i32,
}

/// The answer about one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// In the manifest.
    pub number: u32,
    /// [`v1::HandoverOutcome`].
    pub outcome: i32,
    /// How long an acceptance holds.
    pub valid_until: Option<Millis>,
}

/// One person who was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandedOver {
    /// In the manifest.
    pub number: u32,
    /// Who received a minor is named.
    pub has_guardian: bool,
    /// The authority that received a victim is named.
    pub has_victim_authority: bool,
}

impl Facts {
    /// What a message says, from its header and its body; without the body, only what the header
    /// says.
    #[must_use]
    pub fn of(header: &Header, body: Option<&Body>) -> Self {
        let wire = &header.wire;
        Self {
            id: header.id,
            thread: header.thread_id,
            in_reply_to: header.in_reply_to,
            supersedes: header.supersedes,
            created_at: millis(wire.created_at.as_ref()).unwrap_or_default(),
            seen_size: wire.seen_size,
            kind: header.kind,
            precedence: header.precedence,
            status: header.status,
            acknowledge_by: millis(wire.acknowledge_by.as_ref()),
            respond_by: millis(wire.respond_by.as_ref()),
            body_digest: header.body_digest,
            said: body.map_or(Said::Unknown, said),
        }
    }

    /// What a message says of which the body is not here any more.
    #[must_use]
    pub fn erased(header: &Header) -> Self {
        Self {
            said: Said::Erased,
            ..Self::of(header, None)
        }
    }

    /// The same; of a REFUSAL that names no entry of the other log by its leaf, one that refuses
    /// nothing: nobody refuses what is not said, or not like that.
    #[must_use]
    pub fn refusing(mut self, names_its_leaf: bool) -> Self {
        if matches!(self.said, Said::Refusal { .. }) && !names_its_leaf {
            self.said = Said::System;
        }
        self
    }

    /// The kind, if this version knows it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::try_from(self.kind).unwrap_or_default()
    }

    /// Whether the node said it by itself, and no person.
    #[must_use]
    pub fn is_of_the_node(&self) -> bool {
        matches!(
            self.kind(),
            Kind::Refusal
                | Kind::KeyChange
                | Kind::Maintenance
                | Kind::AttachmentsReceived
                | Kind::ErasureNotice
        )
    }

    /// Whether it begins the case it belongs to.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.thread == self.id
    }
}

/// A time of the wire, in milliseconds since 1970.
#[must_use]
pub fn millis(time: Option<&prost_types::Timestamp>) -> Option<Millis> {
    time.map(|time| {
        time.seconds
            .saturating_mul(1_000)
            .saturating_add(i64::from(time.nanos) / 1_000_000)
    })
}

fn at(time: Option<&prost_types::Timestamp>) -> Millis {
    millis(time).unwrap_or_default()
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
fn said(body: &Body) -> Said {
    match body {
        Body::CrossingAlert(m) => Said::Alert {
            incident: m.incident_type,
            persons: m.persons,
        },
        Body::CaseNotice(m) => Said::Cases {
            category: m.category,
            to: at(m.to.as_ref()),
            cases: m.cases,
            persons: m.persons,
            suspects: m.suspects,
            prosecutions: m.prosecutions,
        },
        Body::VerificationRequest(m) => {
            Said::VerificationRequest(m.persons.iter().map(|person| person.number).collect())
        }
        Body::VerificationReply(m) => Said::VerificationReply {
            results: m.results.iter().map(|r| (r.number, r.outcome)).collect(),
            decided_by_person: is_named(m.decided_by.as_ref()),
        },
        Body::DeadlineExtension(_) => Said::Extension,
        Body::HandoverRequest(m) => Said::HandoverRequest(m.persons.iter().map(person).collect()),
        Body::HandoverReply(m) => Said::HandoverReply {
            decisions: m
                .decisions
                .iter()
                .map(|decision| Decision {
                    number: decision.number,
                    outcome: decision.outcome,
                    valid_until: millis(decision.valid_until.as_ref()),
                })
                .collect(),
            decided_by_person: is_named(m.decided_by.as_ref()),
        },
        Body::HandoverSupplement(m) => {
            Said::HandoverSupplement(m.persons.iter().map(person).collect())
        }
        Body::HandoverSchedule(m) => Said::HandoverSchedule {
            numbers: m.numbers.clone(),
            at: at(m.scheduled_at.as_ref()),
            short_notice: m
                .short_notice_reason
                .as_ref()
                .is_some_and(|text| text.texts.values().any(|text| !text.trim().is_empty())),
        },
        Body::HandoverRecord(m) => Said::HandoverRecord {
            persons: m
                .persons
                .iter()
                .map(|person| HandedOver {
                    number: person.number,
                    has_guardian: is_filled(&person.receiving_guardian),
                    has_victim_authority: is_filled(&person.victim_authority),
                })
                .collect(),
            at: at(m.handed_over_at.as_ref()),
            is_return: m.is_return,
        },
        Body::ProtectionDecision(m) => Said::ProtectionDecision {
            numbers: m.numbers.clone(),
            by_named_authority: is_filled(&m.authority) && is_filled(&m.decision_number),
            outcome: m.outcome,
        },
        Body::OfficialLetter(m) => Said::Letter {
            reply_by: millis(m.reply_by.as_ref()),
        },
        Body::HotlineCall(m) => Said::Call {
            at: at(m.started_at.as_ref()),
        },
        Body::MeetingProposal(m) => Said::MeetingProposal {
            level: m.level,
            at: at(m.starts_at.as_ref()),
        },
        Body::MeetingMinutes(m) => Said::MeetingMinutes {
            level: m.level,
            at: at(m.started_at.as_ref()),
        },
        Body::PatrolPlan(m) => Said::PatrolPlan {
            at: at(m.starts_at.as_ref()),
        },
        Body::PatrolReport(m) => Said::PatrolReport {
            at: at(m.started_at.as_ref()),
            officers: m.officers,
        },
        Body::GateNotice(m) => Said::Gate {
            gate: m.gate.clone(),
            status: m.status,
            from: at(m.valid_from.as_ref()),
            until: millis(m.valid_until.as_ref()),
        },
        Body::WorksNotice(m) => Said::Works {
            consent_asked: m.consent_asked,
        },
        Body::MarkerReport(m) => Said::Marker {
            marker: m.marker,
            is_minutes: m.is_minutes,
        },
        Body::HazardNotice(_) => Said::Hazard,
        Body::ActivityReport(m) => Said::Activity {
            activity: m.r#type,
            to: at(m.to.as_ref()),
            events: m.events,
            participants: m.participants,
        },
        Body::ExerciseNotice(_) => Said::Exercise,
        Body::PeriodReport(_) => Said::Period,
        Body::Calendar(m) => Said::Calendar {
            year: m.year,
            version: m.version,
        },
        Body::Roster(m) => Said::Roster { version: m.version },
        // A person takes note, or nobody does.
        Body::Acknowledgement(m) if !is_named(m.officer.as_ref()) => Said::Unknown,
        Body::Acknowledgement(_) => Said::Acknowledgement,
        Body::Response(m) => Said::Response {
            stance: by_person(m.stance, m.officer.as_ref()),
        },
        Body::Countersignature(m) => Said::Countersignature {
            body_digest: m.body_digest.to_vec(),
            stance: by_person(m.stance, m.officer.as_ref()),
            disputed: m.disputed.iter().map(|person| person.number).collect(),
        },
        Body::Closure(m) => Said::Closure {
            outcome: m.outcome,
            numbers: m.numbers.clone(),
        },
        Body::Withdrawal(_) => Said::Withdrawal,
        Body::Refusal(m) => Said::Refusal { index: m.index },
        Body::KeyChange(_)
        | Body::Maintenance(_)
        | Body::AttachmentsReceived(_)
        | Body::ErasureNotice(_) => Said::System,
    }
}

fn is_filled(line: &str) -> bool {
    !line.trim().is_empty()
}

fn is_named(officer: Option<&v1::Officer>) -> bool {
    officer.is_some_and(|officer| is_filled(&officer.name))
}

/// A stance that a person takes; none of a program.
fn by_person(stance: i32, officer: Option<&v1::Officer>) -> i32 {
    if is_named(officer) { stance } else { 0 }
}

fn person(person: &v1::HandoverPerson) -> Person {
    let screening = person.screening.clone().unwrap_or_default();
    let name = |name: &v1::PersonName| is_filled(&name.native) || is_filled(&name.transliteration);
    let has_particulars = person.name.as_ref().is_some_and(name)
        || person.earlier_names.iter().any(name)
        || person.parents.iter().any(name)
        || [
            &person.birth_date,
            &person.birth_place,
            &person.nationality,
            &person.last_address,
        ]
        .into_iter()
        .any(|line| is_filled(line))
        || person.document.is_some()
        || !person.photo_sha256.is_empty();
    Person {
        number: person.number,
        claims_protection: screening.protection_claim,
        has_particulars,
        is_minor_alone: screening.minor && screening.unaccompanied,
        has_guardian: is_filled(&screening.receiving_guardian),
        is_trafficking_victim: screening.trafficking_indicator,
        route: person.route,
    }
}
