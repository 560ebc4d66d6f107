//! Whether a side was late with an answer, by what it signed itself.
//!
//! The claim: at a time later than the deadline, the side that owed an answer dated a checkpoint of its
//! own log under which no entry answers. The deadline counts from that side's own cosignature on the
//! request, on the calendars it published itself. So each piece is signed by the side that is
//! late, and nobody else need be believed.
//!
//! One judge for both ends: a node asks it before it writes evidence, and whoever checks evidence asks
//! it again, with what the folder holds. Where headers alone leave it open whether an entry answers,
//! they are taken to answer: what is claimed here holds all the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::limits::CALENDARS_MAX;
use crate::model::calendar::{CalendarError, YearCalendar};
use crate::model::deadline::EXTENSION_WORKING_DAYS;
use crate::model::workflow::{
    Facts, Millis, Owed, Published, Reckoned, Term, asked_by, calendars_in_force, reckon,
};
use crate::model::{Header, MessageId, Origin};
use crate::proto::v1::body::Body;
use crate::proto::v1::{Kind, Status};
use crate::tlog::Hash;

/// What of an entry matters here.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its id.
    pub id: MessageId,
    /// [`Kind`], or the number of a newer one.
    pub kind: i32,
    /// [`Status`].
    pub status: i32,
    /// The messages it names: answered, corrected or withdrawn.
    pub names: [Option<MessageId>; 2],
    /// How many entries of the other log its author had seen.
    pub seen_size: u64,
}

impl Line {
    /// Of a header.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self {
            id: header.id,
            kind: header.kind,
            status: header.status,
            names: [header.in_reply_to, header.supersedes],
            seen_size: header.wire.seen_size,
        }
    }

    fn supersedes(&self, id: MessageId) -> bool {
        self.names[1] == Some(id)
    }
}

/// What there is to judge by.
pub trait Exhibit {
    /// Origin of the log with the request.
    fn own(&self) -> &Origin;
    /// Its entries as far as the other side has receipted them; `None`: one without a header.
    fn own_lines(&self) -> &[Option<Line>];
    /// The entries of the side that owes the answer.
    fn peer_lines(&self) -> &[Option<Line>];
    /// Size and cosigning time, Unix seconds, of the first receipt that covers an own entry.
    fn receipt(&self, index: u64) -> Option<(u64, u64)>;
    /// Header of the request, and its body if it is held.
    fn request(&self, index: u64) -> Option<(Header, Option<Body>)>;
    /// The body of an entry of the peer, if it is held.
    fn peer_body(&self, index: u64) -> Option<Body>;
    /// Leaf hash of an own entry.
    fn leaf(&self, index: u64) -> Option<Hash>;
    /// The own side's REFUSALs: index of each, and of the peer's entry that it refuses.
    fn refusals(&self) -> &BTreeMap<u64, u64>;
    /// Size of the smallest receipt of the own log that was cosigned later than that second.
    fn receipted_after(&self, second: u64) -> Option<u64>;
}

/// A checkpoint of the side that owes the answer, dated by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    /// Entries under it.
    pub size: u64,
    /// Unix seconds.
    pub at: u64,
}

/// That a side was late, with all that it takes to count it again: `claims/lateness.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// `lateness`.
    pub claim: &'static str,
    /// In words.
    pub statement: String,
    /// Origin of the log with the request.
    pub log: String,
    /// Its index.
    pub index: u64,
    /// Its id.
    pub id: String,
    /// Node that owes the answer.
    pub owed_by: String,
    /// What it owes.
    pub owed: Owed,
    /// Entries of the log with the request that are here.
    pub log_size: u64,
    /// The node that owes has cosigned that log later than the deadline, so that a request taken
    /// back in time would show. Else it may have been, behind what is here.
    pub shows_taken_back: bool,
    /// By when.
    pub term: Term,
    /// Size of the receipt that dates the request's arrival.
    pub receipt_size: u64,
    /// When the request arrived, by the cosignature of the node that owes, RFC 3339.
    pub received_at: String,
    /// Calendars counted on.
    pub calendars: Vec<ClaimedCalendar>,
    /// Index of the extension in the log of the node that owes, if it took one.
    pub extension: Option<u64>,
    /// The first instant that is late, RFC 3339.
    pub due_at: String,
    /// Entries of that log that hold no answer.
    pub checkpoint_size: u64,
    /// When that node dated its checkpoint over them, RFC 3339.
    pub checkpoint_at: String,
}

/// A calendar that was counted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimedCalendar {
    /// Index of the CALENDAR entry in the log of the node that owes.
    pub index: u64,
    /// Whose days.
    pub country: String,
    /// Of which year.
    pub year: i16,
    /// Which version.
    pub version: u32,
    /// Nobody has confirmed it.
    pub sample: bool,
}

/// Why lateness is not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLate {
    /// The request cannot be read.
    #[error("index {index} of {log} holds no message that can be read")]
    NoRequest {
        /// The log.
        log: String,
        /// Where.
        index: u64,
    },
    /// Its body would be needed.
    #[error("the body of the letter is not held, and it may say by when a reply is asked for")]
    RequestWithheld,
    /// It asks for nothing by a time.
    #[error("it asks for no answer by a time")]
    NothingAsked,
    /// No receipt.
    #[error(
        "no receipt covers it: the peer has not confirmed that it holds the message, so no time runs"
    )]
    NotReceived,
    /// The peer did not admit it.
    #[error("the peer did not admit it, and said so at index {index} of its log")]
    RefusedByPeer {
        /// Where.
        index: u64,
    },
    /// Its author took it back, and nothing shows that it was too late for that.
    #[error(
        "its author withdrew, replaced or closed it at index {index}, and no receipt of the log \
         without that entry shows that the answer was due by then"
    )]
    TakenBack {
        /// Where.
        index: u64,
    },
    /// There is an answer.
    #[error("index {index} of the peer's log answers it ({kind}, {id})")]
    Answered {
        /// Where.
        index: u64,
        /// Its kind.
        kind: String,
        /// Its id.
        id: String,
    },
    /// The checkpoint is not later than the deadline.
    #[error("the answer is due {due_at}; the peer's checkpoint of size {size} is dated {dated_at}")]
    NotDue {
        /// When it is due.
        due_at: String,
        /// Size of the checkpoint.
        size: u64,
        /// When it was dated.
        dated_at: String,
    },
    /// Nobody can answer before he is asked.
    #[error("it was due {due_at}, and the peer had the message only at {received_at}")]
    PassedBefore {
        /// When it was due.
        due_at: String,
        /// When the request arrived.
        received_at: String,
    },
    /// A calendar is missing.
    #[error("the time cannot be counted: {0}")]
    Calendar(#[from] CalendarError),
    /// A calendar is there, its content is not.
    #[error(
        "the calendar at index {index} of the peer's log is withheld, so the time cannot be counted"
    )]
    CalendarWithheld {
        /// Where.
        index: u64,
    },
    /// Entries are missing.
    #[error("{there} entries of {log} are here, {needed} are needed")]
    Cut {
        /// The log.
        log: String,
        /// Entries there.
        there: u64,
        /// Entries needed.
        needed: u64,
    },
}

/// Judges whether the answer to the message at `index` was late under a dated checkpoint of the peer.
///
/// # Errors
/// [`NotLate`] says why that is not proven.
pub fn judge(exhibit: &dyn Exhibit, index: u64, dated: Dated) -> Result<Claim, NotLate> {
    let log = exhibit.own().to_string();
    let (header, body) = exhibit
        .request(index)
        .ok_or(NotLate::NoRequest { log, index })?;
    if header.kind == Kind::OfficialLetter as i32 && body.is_none() {
        return Err(NotLate::RequestWithheld);
    }
    let asked = asked_by(&Facts::of(&header, body.as_ref()));
    let case = Case::of(exhibit, index, header, dated)?;
    let mut fault = NotLate::NothingAsked;
    for (number, (owed, term)) in asked.into_iter().enumerate() {
        match case.judge(owed, term) {
            Ok(claim) => return Ok(claim),
            Err(error) if number == 0 => fault = error,
            Err(_) => {}
        }
    }
    Err(fault)
}

/// A request and the peer's entries under one checkpoint.
struct Case<'a> {
    exhibit: &'a dyn Exhibit,
    index: u64,
    request: Header,
    dated: Dated,
    peer_lines: &'a [Option<Line>],
    /// Every message that answers the request, or answers what does.
    follows: HashSet<MessageId>,
}

impl<'a> Case<'a> {
    fn of(
        exhibit: &'a dyn Exhibit,
        index: u64,
        request: Header,
        dated: Dated,
    ) -> Result<Self, NotLate> {
        let cut = |log: String, there: usize, needed| NotLate::Cut {
            log,
            there: there as u64,
            needed,
        };
        let all = exhibit.peer_lines();
        let size = usize::try_from(dated.size).unwrap_or(usize::MAX);
        let peer_lines = all.get(..size).ok_or_else(|| {
            let log = exhibit.own().reversed().to_string();
            cut(log, all.len(), dated.size)
        })?;
        // What the peer has seen of the own log must be here: a withdrawal could be among it.
        let seen = peer_lines.iter().flatten().map(|line| line.seen_size).max();
        let own_lines = exhibit.own_lines();
        if seen.is_some_and(|seen| seen > own_lines.len() as u64) {
            let (log, seen) = (exhibit.own().to_string(), seen.unwrap_or_default());
            return Err(cut(log, own_lines.len(), seen));
        }
        let follows = follows(request.id, own_lines, peer_lines);
        Ok(Self {
            exhibit,
            index,
            request,
            dated,
            peer_lines,
            follows,
        })
    }

    fn judge(&self, owed: Owed, term: Term) -> Result<Claim, NotLate> {
        let (receipt_size, received) = self
            .exhibit
            .receipt(self.index)
            .ok_or(NotLate::NotReceived)?;
        self.check_refused()?;
        let (term, extension) = self.extended(term);
        let received_ms = Millis::try_from(received.saturating_mul(1_000)).unwrap_or(Millis::MAX);
        let counts_days = matches!(term, Term::WorkingDays { .. });
        let published = if counts_days {
            self.calendars()?
        } else {
            Vec::new()
        };
        let in_force = calendars_in_force(&published, self.request.wire.seen_size);
        let reckoned = reckon(&term, Some(received_ms), &in_force)?.ok_or(NotLate::NotReceived)?;
        let due_at = reckoned.at();
        if received_ms >= due_at {
            return Err(NotLate::PassedBefore {
                due_at: instant(due_at),
                received_at: instant(received_ms),
            });
        }
        let whole = self.check_taken_back(due_at)?;
        self.check_answered(owed)?;
        let dated_ms = Millis::try_from(self.dated.at.saturating_mul(1_000)).unwrap_or(Millis::MAX);
        if dated_ms < due_at {
            return Err(NotLate::NotDue {
                due_at: instant(due_at),
                size: self.dated.size,
                dated_at: instant(dated_ms),
            });
        }
        let mut claim = Claim {
            claim: "lateness",
            statement: String::new(),
            log: self.exhibit.own().to_string(),
            index: self.index,
            id: self.request.id.to_string(),
            owed_by: self.exhibit.own().recipient().to_string(),
            owed,
            log_size: self.exhibit.own_lines().len() as u64,
            shows_taken_back: whole,
            term,
            receipt_size,
            received_at: instant(received_ms),
            calendars: used(&reckoned, &published),
            extension,
            due_at: instant(due_at),
            checkpoint_size: self.dated.size,
            checkpoint_at: instant(dated_ms),
        };
        claim.statement = statement(&claim);
        Ok(claim)
    }

    /// The peer did not take the request as a message: then it owes nothing for it.
    fn check_refused(&self) -> Result<(), NotLate> {
        let leaf = self.exhibit.leaf(self.index);
        for (at, line) in self.lines() {
            if line.kind != Kind::Refusal as i32 {
                continue;
            }
            let is_of_it = match self.exhibit.peer_body(at) {
                Some(Body::Refusal(refusal)) => {
                    refusal.index == self.index
                        && leaf.is_some_and(|leaf| leaf.0[..] == refusal.entry_digest[..])
                }
                // Without a body it refuses nothing, unless the header names the request, as that of
                // an honest node does: then the body may only have been left out here.
                _ => line.names.contains(&Some(self.request.id)),
            };
            if is_of_it {
                return Err(NotLate::RefusedByPeer { index: at });
            }
        }
        Ok(())
    }

    /// The term with the one extension, if the peer took it.
    fn extended(&self, term: Term) -> (Term, Option<u64>) {
        let Term::WorkingDays { days, .. } = term else {
            return (term, None);
        };
        let extension = self.lines().find(|(_, line)| {
            line.kind == Kind::DeadlineExtension as i32 && self.follows.contains(&line.id)
        });
        match extension {
            None => (term, None),
            Some((at, _)) => {
                let extended_by = EXTENSION_WORKING_DAYS;
                (Term::WorkingDays { days, extended_by }, Some(at))
            }
        }
    }

    /// The peer's calendars under the checkpoint, exercises and refused ones left out.
    fn calendars(&self) -> Result<Vec<Published>, NotLate> {
        let mut published = Vec::new();
        let refused = refused_in_time(self.exhibit.own_lines(), self.exhibit.refusals());
        let mut withdrawals = HashMap::new();
        for (index, line) in self.lines() {
            if line.kind == Kind::Withdrawal as i32
                && let Some(withdrawn) = line.names[1]
            {
                withdrawals.entry(withdrawn).or_insert(index);
            }
        }
        // Those that count, as on the boards of both nodes.
        let all = self.lines();
        let calendars = all.filter(|(_, line)| line.kind == Kind::Calendar as i32);
        for (index, line) in calendars.take(CALENDARS_MAX) {
            if line.status != Status::Actual as i32 || refused.contains(&index) {
                continue;
            }
            let body = self.exhibit.peer_body(index);
            let Some(Body::Calendar(calendar)) = body else {
                return Err(NotLate::CalendarWithheld { index });
            };
            // One that is not well made counts for nobody.
            let Ok(calendar) = YearCalendar::from_message(&calendar, "") else {
                continue;
            };
            published.push(Published {
                index,
                withdrawn_at: withdrawals.get(&line.id).copied(),
                calendar,
            });
        }
        Ok(published)
    }

    /// Whether the request had been taken back when the answer was due: then none was owed. It was
    /// taken back too late only if the peer has cosigned, later than that, a log without it.
    ///
    /// Comes back with whether the peer has cosigned the own log at all since then.
    fn check_taken_back(&self, due_at: Millis) -> Result<bool, NotLate> {
        // In doubt within the second it was in time.
        let due_second = u64::try_from(due_at.div_euclid(1_000)).unwrap_or(0);
        let after = self.exhibit.receipted_after(due_second);
        let own = (0..).zip(self.exhibit.own_lines());
        for (index, line) in own.filter_map(|(at, line)| Some((at, line.as_ref()?))) {
            let ends = line.supersedes(self.request.id)
                || line.kind == Kind::Closure as i32 && self.follows.contains(&line.id);
            let is_later = after.is_some_and(|size| size <= index);
            if ends && !is_later {
                return Err(NotLate::TakenBack { index });
            }
        }
        Ok(after.is_some())
    }

    fn check_answered(&self, owed: Owed) -> Result<(), NotLate> {
        let answer = self
            .lines()
            .find(|(_, line)| answers(line.kind, owed) && self.follows.contains(&line.id));
        match answer {
            None => Ok(()),
            Some((index, line)) => Err(NotLate::Answered {
                index,
                kind: Kind::try_from(line.kind).map_or_else(
                    |_| format!("kind {}", line.kind),
                    |kind| kind.as_str_name().to_owned(),
                ),
                id: line.id.to_string(),
            }),
        }
    }

    fn lines(&self) -> impl Iterator<Item = (u64, &Line)> {
        let lines = (0..).zip(self.peer_lines);
        lines.filter_map(|(at, line)| Some((at, line.as_ref()?)))
    }
}

/// The peer's entries that the own side did not admit. What a person there had seen before was not
/// refused when it came, and is not taken away later; and no entry is refused after a later one.
fn refused_in_time(own: &[Option<Line>], refusals: &BTreeMap<u64, u64>) -> BTreeSet<u64> {
    let mut refused = BTreeSet::new();
    let (mut seen, mut passed) = (0, 0);
    for (&at, &index) in refusals {
        let until = usize::try_from(at).unwrap_or(usize::MAX).min(own.len());
        for line in own.get(passed..until).into_iter().flatten().flatten() {
            if !is_of_the_node(line.kind) {
                seen = seen.max(line.seen_size);
            }
        }
        passed = until.max(passed);
        if index >= seen && refused.last().is_none_or(|last| *last < index) {
            refused.insert(index);
        }
    }
    refused
}

/// What a node says by itself.
fn is_of_the_node(kind: i32) -> bool {
    matches!(
        Kind::try_from(kind).unwrap_or_default(),
        Kind::Refusal
            | Kind::KeyChange
            | Kind::Maintenance
            | Kind::AttachmentsReceived
            | Kind::ErasureNotice
    )
}

/// Where the peer took the extension of a message, if it did.
#[must_use]
pub fn extension_of(exhibit: &dyn Exhibit, request: MessageId) -> Option<u64> {
    let follows = follows(request, exhibit.own_lines(), exhibit.peer_lines());
    let mut lines = (0..).zip(exhibit.peer_lines());
    let found = lines.find(|(_, line)| {
        line.as_ref().is_some_and(|line| {
            line.kind == Kind::DeadlineExtension as i32 && follows.contains(&line.id)
        })
    });
    found.map(|(at, _)| at)
}

/// Every message that names the request, or names one that does; the request left out.
fn follows(request: MessageId, own: &[Option<Line>], peer: &[Option<Line>]) -> HashSet<MessageId> {
    let mut named_by: HashMap<MessageId, Vec<MessageId>> = HashMap::new();
    for line in own.iter().chain(peer).flatten() {
        for named in line.names.into_iter().flatten() {
            named_by.entry(named).or_default().push(line.id);
        }
    }
    let mut follows = HashSet::new();
    let mut next = vec![request];
    while let Some(id) = next.pop() {
        for follower in named_by.remove(&id).unwrap_or_default() {
            if follower != request && follows.insert(follower) {
                next.push(follower);
            }
        }
    }
    follows
}

/// Whether a message of this kind may be the answer that is owed. What a node says by itself is
/// none; of a kind that is not known here, it may be.
fn answers(kind: i32, owed: Owed) -> bool {
    match Kind::try_from(kind).unwrap_or_default() {
        _ if is_of_the_node(kind) => false,
        Kind::Acknowledgement | Kind::DeadlineExtension => owed == Owed::Acknowledgement,
        _ => true,
    }
}

fn used(reckoned: &Reckoned, published: &[Published]) -> Vec<ClaimedCalendar> {
    let versions = reckoned.counted().map(|due| &due.calendar_versions);
    let of = |(year, version): &(i16, u32)| {
        let found = published
            .iter()
            .find(|p| p.calendar.year() == *year && p.calendar.version() == *version)?;
        Some(ClaimedCalendar {
            index: found.index,
            country: found.calendar.country().to_string(),
            year: *year,
            version: *version,
            sample: found.calendar.is_sample(),
        })
    };
    versions.into_iter().flatten().filter_map(of).collect()
}

fn statement(claim: &Claim) -> String {
    let counted = match claim.term {
        Term::At(_) => "the time asked for".to_owned(),
        Term::AfterReceipt(after) => format!("{} s after receipt", after / 1_000),
        Term::WorkingDays { days, extended_by } => {
            let calendars: Vec<_> = claim
                .calendars
                .iter()
                .map(|calendar| {
                    let sample = if calendar.sample { " SAMPLE" } else { "" };
                    let (country, year) = (&calendar.country, calendar.year);
                    format!("{country} {year} v{}{sample}", calendar.version)
                })
                .collect();
            let extended = if extended_by == 0 {
                String::new()
            } else {
                format!(" and {extended_by} of the extension")
            };
            format!(
                "{days} working days{extended} on calendar {}",
                calendars.join(", ")
            )
        }
    };
    let entries = match claim.checkpoint_size {
        1 => "the one entry".to_owned(),
        size => format!("the {size} entries"),
    };
    // A cosignature is only renewed when there is more to cosign: often there is no later one.
    let unless = if claim.shows_taken_back {
        String::new()
    } else {
        format!(
            "; unless it was taken back at index {} or later of the log it is in, which is not here: {} \
             holds that log and can show it",
            claim.log_size, claim.owed_by
        )
    };
    format!(
        "late: no {} to {} among {entries} that {} had signed by {}; due was {} ({counted}, received {}){unless}",
        claim.owed, claim.id, claim.owed_by, claim.checkpoint_at, claim.due_at, claim.received_at
    )
}

fn instant(ms: Millis) -> String {
    Timestamp::from_millisecond(ms)
        .unwrap_or(Timestamp::MAX)
        .to_string()
}

impl Claim {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Every key is a string: this cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
