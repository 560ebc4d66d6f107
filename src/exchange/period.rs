//! Period reports: the figures of both logs at sizes that both sides hold, and the judgement of a
//! report that one side has proposed.
//!
//! The figures themselves are pure ([`crate::model::report`]). Here they get both logs up to given
//! sizes, and with these the roots that say which entries were counted.

use std::fmt::Write as _;

use super::layout::{LogSide, Place};
use super::read::ReadError;
use super::submit::header_of;
use super::{Exchange, Link};
use crate::model::check::FieldFault;
use crate::model::report::compare::Difference;
use crate::model::report::{Count, Entry, Period, Report, Value};
use crate::model::workflow::board::Boards;
use crate::model::workflow::facts::millis;
use crate::model::workflow::{Party, Published};
use crate::model::{Header, MessageId, body, text};
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, Kind};
use crate::tlog::Hash;

/// Entries that a fault names of those that make a figure up; their number is told in any case.
const ENTRIES_TOLD_MAX: usize = 20;

/// Cases read at once while figures are counted.
const CASES_AT_ONCE: usize = 256;

/// Why a report cannot be judged at all.
#[derive(Debug, thiserror::Error)]
pub enum PeriodError {
    /// No such message on the link.
    #[error("no message {id} is on the link with {peer}")]
    NotHere {
        /// Which.
        id: MessageId,
        /// The peer.
        peer: String,
    },
    /// Another kind, or a body that is not held.
    #[error("the message {id} is no period report that can be read here")]
    NotAReport {
        /// Which.
        id: MessageId,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A period report, and what the logs say to it here.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its author's side.
    pub side: LogSide,
    /// What it says.
    pub stated: v1::PeriodReport,
    /// What is counted here, if its logs and period are such that it can be.
    pub counted: Option<Report>,
    /// What is wrong with the logs that it names, or with its period.
    pub ground: Vec<FieldFault>,
    /// Figures that differ.
    pub differences: Vec<Difference>,
    /// Figures that would be others if everything were counted that its author had here when it
    /// proposed the report.
    pub left_out: Vec<Difference>,
}

impl Judged {
    /// Whether both sides find the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.ground.is_empty() && self.differences.is_empty() && self.left_out.is_empty()
    }

    /// Everything that stands against signing it; empty if nothing does.
    #[must_use]
    pub fn faults(&self) -> Vec<FieldFault> {
        let mut faults = self.ground.clone();
        let Some(report) = &self.counted else {
            return faults;
        };
        let says = |difference: &Difference| {
            let counted = match (&difference.counted, difference.reason) {
                (_, Some(reason)) => reason.to_owned(),
                (Value::Known(value), None) => format!("the logs give {value} here"),
                (Value::None, None) => "the logs give nothing to measure it by".to_owned(),
                (Value::NotComputable(why), None) => format!("it is not computable here: {why}"),
            };
            format!("the report says {}, {counted}", difference.stated)
        };
        for difference in &self.differences {
            faults.push(FieldFault {
                field: field_of(difference),
                reason: says(difference),
                remedy: format!(
                    "do not sign; tell the other side. {}",
                    entries_told(report, &difference.made_of)
                ),
            });
        }
        for difference in &self.left_out {
            faults.push(FieldFault {
                field: field_of(difference),
                reason: format!(
                    "the report counts too few entries: {}, with all that its author had then",
                    says(difference)
                ),
                remedy: format!(
                    "ask for a report on all entries. {}",
                    entries_told(report, &difference.made_of)
                ),
            });
        }
        faults
    }
}

/// `figures.handover.persons of laocai.bg.vn.example`, as faults name it.
fn field_of(difference: &Difference) -> String {
    let name = text::excerpt(&difference.name, 80);
    if difference.side.is_empty() {
        format!("figures.{name}")
    } else {
        format!("figures.{name} of {}", text::excerpt(&difference.side, 80))
    }
}

/// `It is made up here of: laocai.bg.vn.example 17 (0190…), …`.
fn entries_told(report: &Report, entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "No entry makes it up here".to_owned();
    }
    let mut told = format!("It is made up here of {} entries:", entries.len());
    for entry in entries.iter().take(ENTRIES_TOLD_MAX) {
        // Writing to a String cannot fail.
        let _ = write!(
            told,
            " {} index {} ({}) {},",
            report.node_of(entry.by),
            entry.index,
            entry.id,
            entry.amount
        );
    }
    if told.ends_with(',') {
        told.pop();
    }
    if entries.len() > ENTRIES_TOLD_MAX {
        let _ = write!(told, " and {} more", entries.len() - ENTRIES_TOLD_MAX);
    }
    told
}

impl Exchange {
    /// How far both logs of a link can be counted: what both sides hold, by the latest receipts,
    /// with the roots. The own log first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn countable(&self, link: &Link) -> Result<Vec<v1::CountedLog>, ReadError> {
        let mut logs = Vec::new();
        for side in [LogSide::Own, LogSide::Mirror] {
            let size = self.latest_receipt(link, side)?.map_or(0, |(size, _)| size);
            let root = self.root_of(link, side, size)?;
            logs.push(v1::CountedLog {
                origin: link.origin(side).to_string(),
                size,
                root: root.0.to_vec().into(),
            });
        }
        Ok(logs)
    }

    fn root_of(&self, link: &Link, side: LogSide, size: u64) -> Result<Hash, ReadError> {
        self.reader(link, side).root_at(&link.tree(side), size)
    }

    /// The figures of a period, from the first `sizes` entries of the own log and of the mirror.
    /// Sizes beyond what is here count what is here.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn report(
        &self,
        link: &Link,
        period: Period,
        sizes: [u64; 2],
    ) -> Result<Report, ReadError> {
        let [own, mirror] = sizes;
        let of_parties = match link.party() {
            Party::A => [own, mirror],
            Party::B => [mirror, own],
        };
        let ledger = self.with_cases(link, |cases| cases.ledger_as_of(of_parties))??;
        let calendars = [
            self.published(link, ledger.boards(), Party::A)?,
            self.published(link, ledger.boards(), Party::B)?,
        ];
        let sides = [Party::A, Party::B].map(|party| link.node_of(party).clone());
        let mut count = Count::new(period, &calendars);
        let mut last = None;
        loop {
            // Some cases at a time, so that nobody waits for all of them.
            let some = self.with_cases(link, |cases| {
                let mut some = Vec::with_capacity(CASES_AT_ONCE);
                while some.len() < CASES_AT_ONCE
                    && let Some(case) = cases.case_after(last)?
                {
                    last = Some(case);
                    some.push(cases.case_as_of(&ledger, case)?);
                }
                Ok::<_, ReadError>(some)
            })??;
            if some.is_empty() {
                break;
            }
            for mut case in some {
                if case.has_word_of_a_person() {
                    count.add(ledger.fold(&mut case));
                }
            }
        }
        let sizes = [Party::A, Party::B].map(|party| ledger.size(party));
        Ok(count.finish(sides, sizes))
    }

    /// The calendars of a side that are up, as far as they are ones, in the order of its log.
    fn published(
        &self,
        link: &Link,
        boards: &Boards,
        party: Party,
    ) -> Result<Vec<Published>, ReadError> {
        let mut published = Vec::new();
        for posted in boards.all_calendars(party) {
            if let Some(calendar) = self.calendar_at(link, party, posted.index)? {
                published.push(Published {
                    index: posted.index,
                    withdrawn_at: None,
                    calendar,
                });
            }
        }
        published.sort_by_key(|published| published.index);
        Ok(published)
    }

    /// Header and body of an entry; `None` if its body is not held or cannot be read.
    pub(super) fn said(
        &self,
        link: &Link,
        side: LogSide,
        index: u64,
    ) -> Result<Option<(Header, Body)>, ReadError> {
        let reader = self.reader(link, side);
        let stored = reader.entry(index)?;
        let Ok(header) = header_of(&stored, &link.origin(side).to_string()) else {
            return Ok(None);
        };
        let content = reader.body(&stored)?;
        let content =
            content.and_then(|(_, bytes)| body::read(header.kind, &header.schema, &bytes));
        Ok(content.map(|content| (header, content)))
    }

    /// Computes a period report again, from exactly the entries that it names.
    ///
    /// # Errors
    /// [`PeriodError`] if there is no such report, or a log cannot be read.
    pub fn judge_period_report(&self, link: &Link, id: MessageId) -> Result<Judged, PeriodError> {
        let place = self.place(link, id).map_err(ReadError::from)?;
        let Some(Place::Log(side, index)) = place else {
            return Err(PeriodError::NotHere {
                id,
                peer: link.peer.to_string(),
            });
        };
        let Some((header, Body::PeriodReport(stated))) = self.said(link, side, index)? else {
            return Err(PeriodError::NotAReport { id });
        };
        let mut judged = Judged {
            side,
            counted: None,
            ground: Vec::new(),
            differences: Vec::new(),
            left_out: Vec::new(),
            stated,
        };
        let period = period_of(&judged.stated, &mut judged.ground);
        let sizes = self.sizes_of(link, &judged.stated, &mut judged.ground)?;
        let (Some(period), Some(sizes)) = (period, sizes) else {
            return Ok(judged);
        };
        let report = self.report(link, period, sizes)?;
        judged.differences = report.differences(&judged.stated.figures);

        // What its author had: its own log before the report, and what it had seen of the other.
        let head = link.head();
        let had = match side {
            LogSide::Own => [index, header.wire.seen_size.min(head.mirror_size)],
            LogSide::Mirror => [header.wire.seen_size.min(head.own_size), index],
        };
        let had = [had[0].max(sizes[0]), had[1].max(sizes[1])];
        if had != sizes {
            let full = self.report(link, period, had)?;
            judged.left_out = full.differences(&report.to_proposal());
        }
        judged.counted = Some(report);
        Ok(judged)
    }

    /// The sizes of own log and mirror that a report names, if they are those of both logs as they
    /// are here.
    fn sizes_of(
        &self,
        link: &Link,
        stated: &v1::PeriodReport,
        faults: &mut Vec<FieldFault>,
    ) -> Result<Option<[u64; 2]>, ReadError> {
        let head = link.head();
        let mut sizes = [None, None];
        for (at, side, here) in [
            (0, LogSide::Own, head.own_size),
            (1, LogSide::Mirror, head.mirror_size),
        ] {
            let origin = link.origin(side).to_string();
            let mut named = stated.logs.iter().filter(|log| log.origin == origin);
            let (Some(log), None) = (named.next(), named.next()) else {
                faults.push(FieldFault {
                    field: "logs".to_owned(),
                    reason: format!("the report does not name the log {origin} once"),
                    remedy: "ask for a report on both logs of this link".to_owned(),
                });
                continue;
            };
            let field = format!("logs {origin}");
            if log.size > here {
                faults.push(FieldFault {
                    field,
                    reason: format!("it counts {} entries, and {here} are here", log.size),
                    remedy: "wait until they are here, then look again".to_owned(),
                });
            } else if log.root.as_ref() != self.root_of(link, side, log.size)?.0 {
                faults.push(FieldFault {
                    field,
                    reason: format!(
                        "its root is not that of the first {} entries here: other entries were \
                         counted",
                        log.size
                    ),
                    remedy: "do not sign; both sides compare their exports: liaison audit \
                             reconcile"
                        .to_owned(),
                });
            } else {
                sizes[at] = Some(log.size);
            }
        }
        let [own, mirror] = sizes;
        Ok(own.zip(mirror).map(|(own, mirror)| [own, mirror]))
    }

    /// What stands against this side's countersignature of a message, beyond what its workflow
    /// allows: a period report is signed only if the logs give the same figures here.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub(crate) fn faults_of_signing(
        &self,
        link: &Link,
        content: &Body,
        signed: &Header,
    ) -> Result<Vec<FieldFault>, ReadError> {
        let Body::Countersignature(countersignature) = content else {
            return Ok(Vec::new());
        };
        let signs = countersignature.stance() == v1::CountersignatureStance::Signed;
        if !signs || signed.kind != Kind::PeriodReport as i32 {
            return Ok(Vec::new());
        }
        match self.judge_period_report(link, signed.id) {
            Ok(judged) => Ok(judged.faults()),
            Err(PeriodError::Read(error)) => Err(error),
            Err(error @ (PeriodError::NotHere { .. } | PeriodError::NotAReport { .. })) => {
                Ok(vec![FieldFault {
                    field: "inReplyTo".to_owned(),
                    reason: error.to_string(),
                    remedy: "sign a report that this node holds and can compute again".to_owned(),
                }])
            }
        }
    }
}

fn period_of(stated: &v1::PeriodReport, faults: &mut Vec<FieldFault>) -> Option<Period> {
    let (from, to) = (millis(stated.from.as_ref()), millis(stated.to.as_ref()));
    match from.zip(to) {
        Some((from, to)) if from < to => Some(Period { from, to }),
        _ => {
            faults.push(FieldFault {
                field: "to".to_owned(),
                reason: "the period has no length".to_owned(),
                remedy: "ask for a report with from before to".to_owned(),
            });
            None
        }
    }
}
