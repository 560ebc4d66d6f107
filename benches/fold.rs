//! What it costs to follow up cases: both logs folded into all that follows from them.
//! `cargo bench --bench fold`.
//!
//! ```text
//! fold        100,000 messages of both sides into every case and board      limit: 1 s
//! one more    a message more, and its case read again, at 10,000 and at 100,000 messages
//! hostile     one side puts 100,000 messages into one case, which is read after each
//! ```
//!
//! The mix is a year of two provinces many times over: alerts, letters, calls, meetings, patrols,
//! verification, and handovers of 1 to 110 persons up to the record.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and it reports"
)]

use std::time::{Duration, Instant};

use liaison::model::MessageId;
use liaison::model::workflow::facts::{Decision, HandedOver, Person};
use liaison::model::workflow::{Casebook, Facts, Party, Said};
use liaison::proto::v1::{
    CountersignatureStance, HandoverOutcome, HandoverRoute, Kind, Precedence, Stance, Status,
};

const START: i64 = 1_767_225_600_000;
const DAY: i64 = 86_400_000;
const MESSAGES: usize = 100_000;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let smoke = std::env::args().any(|arg| arg == "--test");
    let messages = if smoke { 2_000 } else { MESSAGES };
    fold(messages);
    for at in [messages / 10, messages] {
        one_more(at);
    }
    hostile(messages);
}

fn fold(messages: usize) {
    let year = Year::of(messages);
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let entries = year.entries.clone();
        let begun = Instant::now();
        let mut book = Casebook::default();
        for (by, facts) in entries {
            book.take(by, Some(facts));
        }
        let threads = book.threads();
        for thread in &threads {
            book.folded(*thread).unwrap();
        }
        best = best.min(begun.elapsed());
    }
    println!(
        "fold      {messages} messages ({} persons named) in {best:?} (limit 1 s), {:?} each",
        year.persons,
        best / u32::try_from(messages).unwrap()
    );
}

/// A message more in the newest cases, when so many are there.
fn one_more(messages: usize) {
    let more = messages / 10;
    let year = Year::of(messages + more);
    let mut book = Casebook::default();
    let (before, after) = year.entries.split_at(messages);
    for (by, facts) in before {
        book.take(*by, Some(facts.clone()));
    }
    for thread in book.threads() {
        book.folded(thread).unwrap();
    }
    let after = after.to_vec();
    let begun = Instant::now();
    for (by, facts) in after {
        let thread = facts.thread;
        book.take(by, Some(facts));
        book.folded(thread);
    }
    let each = begun.elapsed() / u32::try_from(more).unwrap();
    println!("one more  {each:?} with {messages} messages there");
}

fn hostile(messages: usize) {
    let first = facts(1, 1, Said::Letter { reply_by: None }, 0);
    let mut book = Casebook::default();
    let thread = first.thread;
    book.take(Party::B, Some(first.clone()));
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    for number in 0..messages as u64 {
        // Not possible, and it says to have seen nothing: always another place, always looked back.
        let said = Said::Response {
            stance: Stance::Agreed as i32,
        };
        let mut message = facts(10 + number, 1, said, 0);
        message.in_reply_to = Some(first.id);
        let one = Instant::now();
        book.take(Party::A, Some(message));
        if number % 2 == 0 {
            let own = facts(1_000_000 + number, 1, Said::Acknowledgement, number);
            book.take(Party::B, Some(own));
        }
        book.folded(thread).unwrap();
        longest = longest.max(one.elapsed());
    }
    println!(
        "hostile   {messages} messages into one case in {:?}, the longest {longest:?}",
        begun.elapsed()
    );
}

fn id(number: u64) -> MessageId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    MessageId::from_parts(START.unsigned_abs() + number, random)
}

fn facts(number: u64, thread: u64, said: Said, seen_size: u64) -> Facts {
    let kind = match &said {
        Said::Alert { .. } => Kind::CrossingAlert,
        Said::Acknowledgement => Kind::Acknowledgement,
        Said::Closure { .. } => Kind::Closure,
        Said::Letter { .. } => Kind::OfficialLetter,
        Said::Call { .. } => Kind::HotlineCall,
        Said::Response { .. } => Kind::Response,
        Said::VerificationRequest(_) => Kind::VerificationRequest,
        Said::VerificationReply { .. } => Kind::VerificationReply,
        Said::HandoverRequest(_) => Kind::HandoverRequest,
        Said::HandoverReply { .. } => Kind::HandoverReply,
        Said::HandoverSchedule { .. } => Kind::HandoverSchedule,
        Said::HandoverRecord { .. } => Kind::HandoverRecord,
        Said::Countersignature { .. } => Kind::Countersignature,
        Said::MeetingProposal { .. } => Kind::MeetingProposal,
        Said::MeetingMinutes { .. } => Kind::MeetingMinutes,
        Said::Gate { .. } => Kind::GateNotice,
        _ => Kind::Unspecified,
    };
    Facts {
        id: id(number),
        thread: id(thread),
        in_reply_to: None,
        supersedes: None,
        created_at: START,
        seen_size,
        kind: kind as i32,
        precedence: Precedence::Routine as i32,
        status: Status::Actual as i32,
        acknowledge_by: None,
        respond_by: None,
        body_digest: [3; 32],
        said,
    }
}

/// Messages of both sides, in an order in which they might come.
struct Year {
    entries: Vec<(Party, Facts)>,
    sizes: [u64; 2],
    persons: usize,
    number: u64,
}

impl Year {
    fn of(messages: usize) -> Self {
        let mut year = Self {
            entries: Vec::with_capacity(messages + 16),
            sizes: [0; 2],
            persons: 0,
            number: 0,
        };
        let mut turn = 0_u32;
        while year.entries.len() < messages {
            let (by, other) = if turn.is_multiple_of(2) {
                (Party::A, Party::B)
            } else {
                (Party::B, Party::A)
            };
            year.case(turn, by, other);
            turn += 1;
        }
        year.entries.truncate(messages);
        year
    }

    fn say(&mut self, by: Party, case: Option<u64>, to: Option<u64>, said: Said) -> u64 {
        self.number += 1;
        let seen = self.sizes[usize::from(by == Party::A)];
        let mut message = facts(self.number, case.unwrap_or(self.number), said, seen);
        message.in_reply_to = to.map(id);
        self.sizes[usize::from(by == Party::B)] += 1;
        self.entries.push((by, message));
        self.number
    }

    fn case(&mut self, turn: u32, by: Party, other: Party) {
        let letter = || Said::Letter { reply_by: None };
        let agreed = || Said::Response {
            stance: Stance::Agreed as i32,
        };
        let signed = || Said::Countersignature {
            body_digest: vec![3; 32],
            stance: CountersignatureStance::Signed as i32,
            disputed: Vec::new(),
        };
        let at = START + 4 * DAY;
        match turn % 12 {
            0..=3 => {
                let said = Said::Alert {
                    incident: 6,
                    persons: 4,
                };
                let case = self.say(by, None, None, said);
                self.say(other, Some(case), Some(case), Said::Acknowledgement);
                let said = Said::Closure {
                    outcome: 1,
                    numbers: Vec::new(),
                };
                self.say(by, Some(case), Some(case), said);
            }
            4..=7 => {
                let case = self.say(by, None, None, letter());
                self.say(other, Some(case), Some(case), Said::Acknowledgement);
                let answer = self.say(other, Some(case), Some(case), letter());
                self.say(by, Some(case), Some(answer), Said::Acknowledgement);
            }
            8 => {
                let case = self.say(by, None, None, Said::Call { at });
                self.say(other, Some(case), Some(case), agreed());
            }
            9 => {
                let said = Said::MeetingProposal { level: 2, at };
                let case = self.say(by, None, None, said);
                self.say(other, Some(case), Some(case), agreed());
                let said = Said::MeetingMinutes { level: 2, at };
                let minutes = self.say(by, Some(case), Some(case), said);
                self.say(other, Some(case), Some(minutes), signed());
            }
            10 => {
                let numbers: Vec<u32> = (1..=1 + turn % 9).collect();
                self.persons += numbers.len();
                let said = Said::VerificationRequest(numbers.clone());
                let case = self.say(by, None, None, said);
                let said = Said::VerificationReply {
                    results: numbers.iter().map(|number| (*number, 1)).collect(),
                    decided_by_person: true,
                };
                self.say(other, Some(case), Some(case), said);
            }
            _ => self.handover(turn, by, other, at),
        }
    }

    fn handover(&mut self, turn: u32, by: Party, other: Party, at: i64) {
        // Now and then as many as were handed over at once in September 2022.
        let size = if turn.is_multiple_of(40) {
            110
        } else {
            1 + turn % 14
        };
        let numbers: Vec<u32> = (1..=size).collect();
        self.persons += numbers.len() * 4;
        let person = |number: &u32| Person {
            number: *number,
            claims_protection: false,
            has_particulars: true,
            is_minor_alone: false,
            has_guardian: false,
            is_trafficking_victim: false,
            route: HandoverRoute::Return as i32,
        };
        let request = Said::HandoverRequest(numbers.iter().map(person).collect());
        let case = self.say(by, None, None, request);
        self.say(other, Some(case), Some(case), Said::Acknowledgement);
        let decision = |number: &u32| Decision {
            number: *number,
            outcome: HandoverOutcome::Accepted as i32,
            valid_until: Some(START + 30 * DAY),
        };
        let reply = Said::HandoverReply {
            decisions: numbers.iter().map(decision).collect(),
            decided_by_person: true,
        };
        let reply = self.say(other, Some(case), Some(case), reply);
        let schedule = Said::HandoverSchedule {
            numbers: numbers.clone(),
            at,
            short_notice: false,
        };
        let schedule = self.say(by, Some(case), Some(reply), schedule);
        let agreed = Said::Response {
            stance: Stance::Agreed as i32,
        };
        self.say(other, Some(case), Some(schedule), agreed);
        let told = |number: &u32| HandedOver {
            number: *number,
            has_guardian: false,
            has_victim_authority: false,
        };
        let record = Said::HandoverRecord {
            persons: numbers.iter().map(told).collect(),
            at,
            is_return: false,
        };
        let record = self.say(by, Some(case), Some(schedule), record);
        let signed = Said::Countersignature {
            body_digest: vec![3; 32],
            stance: CountersignatureStance::Signed as i32,
            disputed: Vec::new(),
        };
        self.say(other, Some(case), Some(record), signed);
        let closure = Said::Closure {
            outcome: 1,
            numbers: Vec::new(),
        };
        self.say(by, Some(case), Some(case), closure);
    }
}
