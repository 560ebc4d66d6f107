//! Two logs as their facts, without nodes: who says what, in answer to what, when.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use liaison::model::calendar::YearCalendar;
use liaison::model::report::{Figure, Period, Report, Value, Whose};
use liaison::model::workflow::{Casebook, Facts, Millis, Party, Published, Said};
use liaison::model::{MessageId, NodeName};
use liaison::proto::v1::{self, Kind, Precedence, Status};

/// Node names of A and B.
pub(crate) const SIDES: [&str; 2] = ["a.vn.example", "b.cn.example"];

/// An instant by its text.
pub(crate) fn at(text: &str) -> Millis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Both logs.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) logs: [Vec<Facts>; 2],
    count: u64,
    calendars: [Vec<Published>; 2],
}

/// A message about to be said.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    pub(crate) facts: Facts,
}

/// A message that was said: its id and that of its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SaidId {
    pub(crate) id: MessageId,
    thread: MessageId,
}

fn slot(party: Party) -> usize {
    usize::from(party == Party::B)
}

fn kind_of(said: &Said) -> Kind {
    match said {
        Said::Alert { .. } => Kind::CrossingAlert,
        Said::Cases { .. } => Kind::CaseNotice,
        Said::VerificationRequest(_) => Kind::VerificationRequest,
        Said::VerificationReply { .. } => Kind::VerificationReply,
        Said::Extension => Kind::DeadlineExtension,
        Said::HandoverRequest(_) => Kind::HandoverRequest,
        Said::HandoverReply { .. } => Kind::HandoverReply,
        Said::HandoverSchedule { .. } => Kind::HandoverSchedule,
        Said::HandoverRecord { .. } => Kind::HandoverRecord,
        Said::Letter { .. } => Kind::OfficialLetter,
        Said::Call { .. } => Kind::HotlineCall,
        Said::MeetingProposal { .. } => Kind::MeetingProposal,
        Said::MeetingMinutes { .. } => Kind::MeetingMinutes,
        Said::PatrolReport { .. } => Kind::PatrolReport,
        Said::Hazard => Kind::HazardNotice,
        Said::Activity { .. } => Kind::ActivityReport,
        Said::Calendar { .. } => Kind::Calendar,
        Said::Acknowledgement => Kind::Acknowledgement,
        Said::Response { .. } => Kind::Response,
        Said::Countersignature { .. } => Kind::Countersignature,
        Said::Closure { .. } => Kind::Closure,
        Said::Withdrawal => Kind::Withdrawal,
        Said::Refusal { .. } => Kind::Refusal,
        other => panic!("no kind is known here for {other:?}"),
    }
}

impl World {
    /// A new message of a side, which has seen everything that is there.
    pub(crate) fn words(&mut self, by: Party, time: Millis, said: Said) -> Words {
        self.count += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.count.to_be_bytes());
        let id = MessageId::from_parts(u64::try_from(time).unwrap(), random);
        let mut body_digest = [0; 32];
        body_digest[..8].copy_from_slice(&self.count.to_be_bytes());
        let kind = kind_of(&said);
        Words {
            facts: Facts {
                id,
                thread: id,
                in_reply_to: None,
                supersedes: None,
                created_at: time,
                seen_size: self.logs[slot(by.other())].len() as u64,
                kind: kind as i32,
                precedence: Precedence::Routine as i32,
                status: Status::Actual as i32,
                acknowledge_by: None,
                respond_by: None,
                body_digest,
                said,
            },
        }
    }

    /// Says it.
    pub(crate) fn put(&mut self, by: Party, words: Words) -> SaidId {
        let said = SaidId {
            id: words.facts.id,
            thread: words.facts.thread,
        };
        self.logs[slot(by)].push(words.facts);
        said
    }

    /// Says something new.
    pub(crate) fn say(&mut self, by: Party, time: &str, said: Said) -> SaidId {
        let words = self.words(by, at(time), said);
        self.put(by, words)
    }

    /// Answers a message.
    pub(crate) fn answer(&mut self, by: Party, to: SaidId, time: &str, said: Said) -> SaidId {
        let words = self.words(by, at(time), said).answering(to);
        self.put(by, words)
    }

    /// Takes back or replaces a message.
    pub(crate) fn instead(&mut self, by: Party, of: SaidId, time: &str, said: Said) -> SaidId {
        let mut words = self.words(by, at(time), said);
        words.facts.thread = of.thread;
        words.facts.supersedes = Some(of.id);
        self.put(by, words)
    }

    /// Signs a message, but for some persons.
    pub(crate) fn sign(&mut self, by: Party, of: SaidId, time: &str, disputed: &[u32]) -> SaidId {
        let log = &self.logs[slot(by.other())];
        let digest = log
            .iter()
            .find(|facts| facts.id == of.id)
            .unwrap()
            .body_digest;
        let said = Said::Countersignature {
            body_digest: digest.to_vec(),
            stance: v1::CountersignatureStance::Signed as i32,
            disputed: disputed.to_vec(),
        };
        self.answer(by, of, time, said)
    }

    /// Publishes a calendar.
    pub(crate) fn publish(&mut self, by: Party, calendar: &YearCalendar, time: &str) {
        let index = self.logs[slot(by)].len() as u64;
        let said = Said::Calendar {
            year: i32::from(calendar.year()),
            version: calendar.version(),
        };
        self.say(by, time, said);
        self.calendars[slot(by)].push(Published {
            index,
            withdrawn_at: None,
            calendar: calendar.clone(),
        });
    }

    /// Both logs folded, in one of the orders in which they may come.
    pub(crate) fn book(&self, interleaved: bool) -> Casebook {
        let mut book = Casebook::default();
        let [a, b] = &self.logs;
        if interleaved {
            for position in 0..a.len().max(b.len()) {
                for (party, log) in [(Party::B, b), (Party::A, a)] {
                    if let Some(facts) = log.get(position) {
                        book.take(party, Some(facts.clone()));
                    }
                }
            }
        } else {
            for (party, log) in [(Party::A, a), (Party::B, b)] {
                for facts in log {
                    book.take(party, Some(facts.clone()));
                }
            }
        }
        book
    }

    /// The figures of a period; the same whatever the order in which the logs came.
    pub(crate) fn report(&self, from: &str, to: &str) -> Report {
        let period = Period {
            from: at(from),
            to: at(to),
        };
        let sides = SIDES.map(|name| NodeName::parse(name).unwrap());
        let compute = |interleaved| {
            let mut book = self.book(interleaved);
            Report::compute(&mut book, sides.clone(), period, &self.calendars)
        };
        let report = compute(false);
        assert_eq!(report, compute(true));
        report
    }

    /// The figures of 2025 by the clock of Hanoi.
    pub(crate) fn year(&self) -> Report {
        self.report("2025-01-01T00:00:00+07:00", "2026-01-01T00:00:00+07:00")
    }
}

impl Words {
    pub(crate) fn answering(mut self, to: SaidId) -> Self {
        self.facts.thread = to.thread;
        self.facts.in_reply_to = Some(to.id);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.facts);
        self
    }
}

pub(crate) fn figure<'a>(report: &'a Report, name: &str, whose: Whose) -> &'a Figure {
    let found = report.figure(name, whose);
    found.unwrap_or_else(|| panic!("no figure {name} of {whose:?}"))
}

/// A figure of A, of B and of both; `None` where it is told by no number.
pub(crate) fn three(report: &Report, name: &str) -> [Option<i64>; 3] {
    [Whose::Side(Party::A), Whose::Side(Party::B), Whose::Both]
        .map(|whose| report.figure(name, whose)?.value.known())
}

/// Asserts a figure of A, of B and of both.
#[track_caller]
pub(crate) fn is(report: &Report, name: &str, values: [i64; 3]) {
    assert_eq!(three(report, name), values.map(Some), "{name}");
    // What is counted is the sum of what makes it up.
    for whose in [Whose::Side(Party::A), Whose::Side(Party::B), Whose::Both] {
        let figure = figure(report, name, whose);
        let sum: i64 = figure.made_of.iter().map(|entry| entry.amount).sum();
        assert_eq!(figure.value, Value::Known(sum), "{name}");
    }
}

/// Asserts a figure of both sides.
#[track_caller]
pub(crate) fn is_both(report: &Report, name: &str, value: i64) {
    assert_eq!(three(report, name), [None, None, Some(value)], "{name}");
}
