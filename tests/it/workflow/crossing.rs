//! Both sides act at once. Two authors who each record only what is possible by what they know are
//! never in breach, however long their messages take; and whatever a hostile one records, both
//! sides find the same.

use std::sync::Arc;

use liaison::model::MessageId;
use liaison::model::workflow::facts::Person;
use liaison::model::workflow::{Casebook, Facts, Folded, Party, Said, Standing, Thread};
use liaison::proto::v1::{HandoverOutcome, HandoverRoute, Kind};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::language::{
    DAY, START, decision, facts, handed_over, id, kind_of, person, reply, response, schedule,
};
use super::shelf::Resting;

/// `SplitMix64`: as good as needed, and the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.below(from.len())])
    }
}

/// A node: its own log, and how much of the other's it has mirrored.
struct Node {
    party: Party,
    log: Vec<Facts>,
    /// The other's entries that were refused here.
    refused: Vec<u64>,
    mirrored: usize,
    book: Casebook,
    is_honest: bool,
}

impl Node {
    fn new(party: Party, is_honest: bool) -> Self {
        Self {
            party,
            log: Vec::new(),
            refused: Vec::new(),
            mirrored: 0,
            book: Casebook::default(),
            is_honest,
        }
    }

    fn append(&mut self, facts: Facts) {
        self.book.take(self.party, Some(facts.clone()));
        self.log.push(facts);
    }

    /// Mirrors the next entries. One of them may be refused: in the same moment.
    fn mirror(&mut self, other: &[Facts], count: usize, dice: &mut Dice, number: &mut u64) {
        let until = other.len().min(self.mirrored + count);
        let mut refusals = Vec::new();
        for (index, facts) in (0_u64..).zip(other).take(until).skip(self.mirrored) {
            let may_be = !matches!(facts.said, Said::Refusal { .. });
            let earlier = other.iter().take(usize::try_from(index).unwrap());
            let is_used = self.log.iter().chain(earlier).any(|of| of.id == facts.id);
            if may_be && (dice.one_in(25) || self.is_honest && is_used) {
                refusals.push(index);
                self.refused.push(index);
                // Its body is not kept.
                let unread = dice.one_in(2) && self.is_honest;
                let facts = if unread {
                    without_body(facts)
                } else {
                    facts.clone()
                };
                self.book.take(self.party.other(), Some(facts));
            } else {
                self.book.take(self.party.other(), Some(facts.clone()));
            }
        }
        self.mirrored = until;
        for index in refusals {
            *number += 1;
            let mut refusal = facts(*number, Said::Refusal { index });
            refusal.seen_size = self.mirrored as u64;
            self.append(refusal);
        }
    }
}

/// What brings a matter forward, the last step first.
const FURTHEST: [Kind; 10] = [
    Kind::Countersignature,
    Kind::HandoverRecord,
    Kind::Response,
    Kind::ProtectionDecision,
    Kind::HandoverSchedule,
    Kind::MeetingMinutes,
    Kind::PatrolReport,
    Kind::HandoverReply,
    Kind::VerificationReply,
    Kind::Closure,
];

/// What can still be read of a message that was not admitted.
fn without_body(facts: &Facts) -> Facts {
    Facts {
        said: Said::Unknown,
        ..facts.clone()
    }
}

/// A node, and the other.
fn sides(nodes: &mut [Node; 2], slot: usize) -> (&mut Node, &Node) {
    let [first, second] = nodes;
    if slot == 0 {
        (first, second)
    } else {
        (second, first)
    }
}

/// Two nodes and all that is said between them.
struct Link {
    nodes: [Node; 2],
    dice: Dice,
    number: u64,
    now: i64,
}

/// The third person is the one who gets furthest: of that one nothing is told later.
const NUMBERS: [&[u32]; 8] = [&[3], &[3], &[3], &[3], &[3], &[1], &[1, 2], &[1, 2, 3]];

impl Link {
    fn new(seed: u64, hostile: Option<Party>) -> Self {
        let node = |party| Node::new(party, hostile != Some(party));
        Self {
            nodes: [node(Party::A), node(Party::B)],
            dice: Dice(seed),
            number: 0,
            now: START,
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.now += 1 + i64::try_from(self.dice.below(3_600_000)).unwrap();
            if self.dice.one_in(120) {
                self.now += 11 * DAY;
            }
            let slot = self.dice.below(2);
            if self.dice.one_in(3) {
                let count = 1 + self.dice.below(4);
                let (node, other) = sides(&mut self.nodes, slot);
                node.mirror(&other.log, count, &mut self.dice, &mut self.number);
            } else {
                self.speak(slot);
            }
            // What is read in between is kept up, and must make no difference.
            if self.dice.one_in(2) {
                let now = self.now;
                drop(self.nodes[slot].book.snapshot(now));
            }
        }
        for slot in [0, 1, 0, 1] {
            let (node, other) = sides(&mut self.nodes, slot);
            node.mirror(&other.log, usize::MAX / 2, &mut self.dice, &mut self.number);
        }
        // The last refusals cross as well, and are not refused.
        for slot in [0, 1] {
            let (node, other) = sides(&mut self.nodes, slot);
            for entry in &other.log[node.mirrored..] {
                node.book.take(node.party.other(), Some(entry.clone()));
            }
            node.mirrored = other.log.len();
        }
    }

    /// What the node knows: its own messages, and those of the other side.
    fn known(&self, slot: usize) -> Vec<(bool, Facts)> {
        let node = &self.nodes[slot];
        let own = node.log.iter().map(|facts| (true, facts.clone()));
        let others = self.nodes[1 - slot].log[..node.mirrored].iter();
        let others = others.map(|facts| (false, facts.clone()));
        let known = own.chain(others);
        known.filter(|(_, facts)| !facts.is_of_the_node()).collect()
    }

    fn speak(&mut self, slot: usize) {
        let known = self.known(slot);
        let is_honest = self.nodes[slot].is_honest;
        let tries = if is_honest { 12 } else { 1 };
        for _ in 0..tries {
            self.number += 1;
            let begins = known.len() < 3 || self.dice.one_in(40);
            let mut facts = if begins {
                let said = self.opening();
                facts(self.number, said)
            } else {
                self.step(slot, &known)
            };
            facts.created_at = self.now;
            let node = &mut self.nodes[slot];
            facts.seen_size = node.mirrored as u64;
            if !is_honest {
                self.distort(slot, &mut facts, &known);
                self.nodes[slot].append(facts);
                return;
            }
            // By express something is known before its turn; it may be talked of.
            let other = &self.nodes[1 - slot];
            let ahead = &other.log[self.nodes[slot].mirrored..];
            if self.dice.one_in(10)
                && let Some(ahead) = self.dice.pick(ahead)
                && !ahead.is_of_the_node()
                && known.iter().all(|(_, of)| of.id != ahead.id)
            {
                facts.said = Said::Acknowledgement;
                facts.kind = Kind::Acknowledgement as i32;
                facts.in_reply_to = Some(ahead.id);
                facts.thread = ahead.thread;
                facts.supersedes = None;
                facts.status = ahead.status;
                self.nodes[slot].append(facts);
                return;
            }
            let node = &mut self.nodes[slot];
            if node.book.judge(node.party, &facts).is_ok() {
                node.append(facts);
                return;
            }
        }
        // The node itself says something beside.
        if self.dice.one_in(3)
            && let Some((_, of)) = self.dice.pick(&known)
        {
            let mut system = facts(self.number, Said::System);
            system.thread = of.id;
            system.in_reply_to = Some(of.id);
            system.seen_size = self.nodes[slot].mirrored as u64;
            self.nodes[slot].append(system);
        }
    }

    fn opening(&mut self) -> Said {
        let at = self.now;
        match self.dice.below(11) {
            0..=3 => Said::HandoverRequest(vec![self.person(1), self.person(2), person(3)]),
            4 => Said::VerificationRequest(vec![1, 2]),
            5 => Said::MeetingProposal { level: 1, at },
            6 => Said::PatrolPlan { at },
            7 => Said::Alert {
                incident: 6,
                persons: 2,
            },
            8 => Said::Works {
                consent_asked: true,
            },
            9 => {
                let version = u32::try_from(self.dice.below(4)).unwrap();
                Said::Calendar {
                    year: 2026,
                    version,
                }
            }
            _ => Said::Gate {
                gate: "chi-ma/ai-dian".to_owned(),
                status: 3,
                from: at,
                until: None,
            },
        }
    }

    fn person(&mut self, number: u32) -> Person {
        let claims_protection = self.dice.one_in(6);
        Person {
            claims_protection,
            has_particulars: !claims_protection,
            is_minor_alone: self.dice.one_in(8),
            has_guardian: self.dice.one_in(2),
            is_trafficking_victim: self.dice.one_in(8),
            route: HandoverRoute::Victim as i32,
            ..person(number)
        }
    }

    /// A step somewhere, as somebody might take it.
    fn step(&mut self, slot: usize, known: &[(bool, Facts)]) -> Facts {
        let at = self.now + 3 * DAY;
        // The newer the likelier.
        let near = known.len().saturating_sub(6 + self.dice.below(30));
        let (_, target) = self.dice.pick(&known[near..]).unwrap().clone();
        let numbers = *self.dice.pick(&NUMBERS).unwrap();
        let in_thread: Vec<&(bool, Facts)> = known
            .iter()
            .filter(|(_, facts)| facts.thread == target.thread)
            .collect();
        let signed = in_thread.iter().rev().find(|(own, facts)| {
            !own && matches!(
                facts.kind(),
                Kind::HandoverRecord | Kind::MeetingMinutes | Kind::MarkerReport
            )
        });
        let digest = signed.map_or([0; 32], |(_, facts)| facts.body_digest);
        let listed = {
            let node = &mut self.nodes[slot];
            let party = node.party;
            let steps = node.book.folded(target.thread).map(Folded::steps);
            let steps = steps.unwrap_or_default().into_iter();
            let kinds = steps.filter(|step| step.by == party);
            let kinds: Vec<Kind> = kinds
                .filter_map(|step| Kind::from_str_name(step.kind))
                .collect();
            kinds
        };
        // Whatever brings it furthest, as often as not.
        let furthest = FURTHEST.iter().find(|kind| listed.contains(kind));
        let kind = if let Some(kind) = furthest
            && self.dice.one_in(2)
        {
            *kind
        } else if self.dice.one_in(4) {
            Kind::try_from(i32::try_from(1 + self.dice.below(36)).unwrap()).unwrap()
        } else {
            self.dice
                .pick(&listed)
                .copied()
                .unwrap_or(Kind::OfficialLetter)
        };
        // What only ends things is said less often.
        let ends = matches!(
            kind,
            Kind::Withdrawal | Kind::HandoverRequest | Kind::Closure
        );
        let kind = match furthest {
            Some(furthest) if ends && !self.dice.one_in(4) => *furthest,
            _ => kind,
        };
        let outcome = |dice: &mut Dice| match dice.below(6) {
            0 => HandoverOutcome::Refused,
            1 => HandoverOutcome::InformationNeeded,
            2 => HandoverOutcome::Verifying,
            _ => HandoverOutcome::Accepted,
        };
        let said = match kind {
            Kind::Acknowledgement => Said::Acknowledgement,
            Kind::HandoverReply => {
                let outcome = outcome(&mut self.dice);
                reply(numbers, outcome, Some(self.now + 10 * DAY))
            }
            Kind::HandoverSupplement => {
                let number = 1 + u32::try_from(self.dice.below(2)).unwrap();
                Said::HandoverSupplement(vec![self.person(number)])
            }
            Kind::HandoverSchedule => schedule(numbers, at),
            Kind::HandoverRecord => Said::HandoverRecord {
                persons: numbers
                    .iter()
                    .map(|number| {
                        let mut told = handed_over(*number);
                        told.has_guardian = true;
                        told.has_victim_authority = true;
                        told
                    })
                    .collect(),
                at,
                is_return: self.dice.one_in(3),
            },
            Kind::HandoverRequest => Said::HandoverRequest(vec![person(1), person(2)]),
            Kind::ProtectionDecision => {
                let outcome = match self.dice.below(4) {
                    0 => liaison::proto::v1::ProtectionOutcome::Protected,
                    _ => liaison::proto::v1::ProtectionOutcome::HandoverMayProceed,
                };
                decision(numbers, outcome)
            }
            Kind::Response => match self.dice.below(4) {
                0 => response(liaison::proto::v1::Stance::Declined),
                1 => response(liaison::proto::v1::Stance::Differs),
                _ => response(liaison::proto::v1::Stance::Agreed),
            },
            Kind::Countersignature => Said::Countersignature {
                body_digest: digest.to_vec(),
                stance: i32::try_from(1 + self.dice.below(2)).unwrap(),
                disputed: Vec::new(),
            },
            Kind::Closure => Said::Closure {
                outcome: 1,
                numbers: if self.dice.one_in(2) {
                    Vec::new()
                } else {
                    numbers.to_vec()
                },
            },
            Kind::Withdrawal => Said::Withdrawal,
            Kind::VerificationReply => Said::VerificationReply {
                results: numbers.iter().map(|n| (*n, 1)).collect(),
                decided_by_person: true,
            },
            Kind::DeadlineExtension => Said::Extension,
            Kind::MeetingProposal => Said::MeetingProposal { level: 1, at },
            Kind::MeetingMinutes => Said::MeetingMinutes { level: 1, at },
            Kind::PatrolPlan => Said::PatrolPlan { at },
            Kind::PatrolReport => Said::PatrolReport { at, officers: 3 },
            Kind::CrossingAlert => Said::Alert {
                incident: 1,
                persons: 1,
            },
            Kind::MarkerReport => Said::Marker {
                marker: 5,
                is_minutes: true,
            },
            Kind::Calendar | Kind::Roster => Said::Roster {
                version: u32::try_from(self.dice.below(5)).unwrap(),
            },
            _ => Said::Letter { reply_by: None },
        };
        let mut facts = facts(self.number, said);
        facts.thread = target.thread;
        facts.status = target.status;
        let supersedes = kind == Kind::Withdrawal || self.dice.one_in(6);
        if supersedes {
            let own: Vec<&&(bool, Facts)> = in_thread
                .iter()
                .filter(|(own, of)| *own && (kind == Kind::Withdrawal || of.kind == facts.kind))
                .collect();
            facts.supersedes = self.dice.pick(&own).map(|(_, facts)| facts.id);
        }
        // What is answered fits what is said, as often as not.
        let asked: Vec<MessageId> = in_thread
            .iter()
            .filter(|(own, of)| !own && fits(kind, of.kind()))
            .map(|(_, of)| of.id)
            .collect();
        let newest = asked.last().copied();
        let newest = newest.filter(|_| self.dice.one_in(2));
        facts.in_reply_to = match newest.as_ref().or_else(|| self.dice.pick(&asked)) {
            Some(of) if !self.dice.one_in(5) => Some(*of),
            _ => Some(target.id),
        };
        if facts.supersedes.is_some() && self.dice.one_in(2) {
            facts.in_reply_to = None;
        }
        facts
    }

    /// What a hostile side says: anything.
    fn distort(&mut self, slot: usize, facts: &mut Facts, known: &[(bool, Facts)]) {
        let other = self.nodes[1 - slot].log.len();
        match self.dice.below(14) {
            0 => facts.seen_size = 0,
            1 => facts.seen_size = u64::MAX,
            2 => facts.seen_size = self.dice.below(other + 3) as u64,
            3 => {
                let index = self.dice.below(other + 5) as u64;
                *facts = super::language::facts(self.number, Said::Refusal { index });
                facts.seen_size = self.dice.below(other + 1) as u64;
            }
            4 => facts.thread = id(self.dice.next() % (self.number + 2)),
            5 => {
                if let Some((_, of)) = self.dice.pick(known) {
                    facts.id = of.id;
                }
            }
            6 => facts.in_reply_to = Some(id(self.dice.next() % (self.number + 2))),
            7 => facts.supersedes = Some(id(self.dice.next() % (self.number + 2))),
            8 => facts.created_at = i64::MAX - 5,
            9 => facts.created_at = i64::MIN + 5,
            10 => facts.status = 2,
            11 => facts.kind = 77,
            _ => {}
        }
        debug_assert!(facts.kind == 77 || facts.kind == kind_of(&facts.said) as i32);
    }

    /// A new casebook, fed with both logs in some order; what was refused may not be readable.
    fn fed(&mut self, from: usize) -> Casebook {
        let mut book = Casebook::default();
        let mut at = [0; 2];
        loop {
            let left: Vec<usize> = (0..2)
                .filter(|slot| at[*slot] < self.nodes[*slot].log.len())
                .collect();
            // From 0: in turns; from 1 or 2: one log before the other.
            let slot = match (from, left.as_slice()) {
                (_, []) => return book,
                (1, [first, ..]) => *first,
                (2, [.., last]) => *last,
                (_, left) => *self.dice.pick(left).unwrap(),
            };
            let node = &self.nodes[slot];
            let facts = node.log[at[slot]].clone();
            let index = at[slot] as u64;
            let other = &self.nodes[1 - slot];
            let is_refused = other.is_honest && other.refused.contains(&index);
            let unread = is_refused && self.dice.one_in(2);
            let facts = if unread { without_body(&facts) } else { facts };
            book.take(node.party, Some(facts));
            at[slot] += 1;
            if self.dice.one_in(9) {
                drop(book.snapshot(self.now));
            }
        }
    }

    /// All that follows, as both sides and others find it: the same everywhere.
    fn agreed(&mut self) -> String {
        let now = self.now;
        let shown = |book: &mut Casebook| serde_json::to_string(&book.snapshot(now)).unwrap();
        let first = shown(&mut self.nodes[0].book);
        same(&first, &shown(&mut self.nodes[1].book), "the two nodes");
        for from in [0, 0, 1, 2] {
            let mut book = self.fed(from);
            same(&first, &shown(&mut book), &format!("fed anew ({from})"));
        }
        first
    }

    /// What rests in a store, and is read again in parts, is the same to the byte: at the end, and as
    /// of any earlier sizes.
    fn rests_and_is_read_again(&mut self, all: &str) {
        for slot in [0, 1] {
            let logs = [slot, 1 - slot].map(|of| {
                let other = &self.nodes[1 - of];
                let refused: &[u64] = if other.is_honest { &other.refused } else { &[] };
                let mut log = self.nodes[of].log.clone();
                for index in refused {
                    if self.dice.one_in(2) {
                        let facts = &mut log[usize::try_from(*index).unwrap()];
                        *facts = without_body(facts);
                    }
                }
                log
            });
            let own = self.nodes[slot].party;
            let mut resting = Resting::new(own, logs, self.dice.next());
            same(all, &resting.snapshot_at_the_end(self.now), "what rested");
            let [a, b] = [0, 1].map(|slot| self.nodes[slot].log.len());
            let sizes = [self.dice.below(a + 1), self.dice.below(b + 1)].map(|size| size as u64);
            let (plain, rested) = resting.as_of(sizes, self.now);
            same(&plain, &rested, "an earlier time");
        }
    }

    fn breaches(&mut self) -> Vec<(Party, String)> {
        let book = &mut self.nodes[0].book;
        let mut found = Vec::new();
        for thread in book.threads() {
            let folded = book.folded(thread).unwrap();
            for judged in folded.all_messages() {
                if let Standing::Breach(why) = &judged.standing {
                    let kind = judged.facts.kind().as_str_name();
                    found.push((judged.by, format!("{kind}: {why}")));
                }
            }
        }
        found
    }

    /// Each case by itself: late arrivals and repetitions make no difference.
    fn cases_bear_any_order(&mut self) {
        let mut cases: Vec<MessageId> = self.nodes[0].book.threads();
        cases.truncate(12);
        for case in cases {
            let mut items: Vec<(Party, u64, Arc<Facts>)> = Vec::new();
            for node in &self.nodes {
                let entries = (0_u64..).zip(&node.log);
                let of_case = entries.filter(|(_, facts)| {
                    facts.thread == case && !matches!(facts.said, Said::Refusal { .. })
                });
                items.extend(
                    of_case.map(|(index, facts)| (node.party, index, Arc::new(facts.clone()))),
                );
            }
            let voids: Vec<(Party, u64)> = items
                .iter()
                .filter(|_| self.dice.one_in(9))
                .map(|(party, index, _)| (*party, *index))
                .collect();
            let mut straight = Thread::default();
            for (party, index, facts) in &items {
                straight.take(*party, *index, Arc::clone(facts));
            }
            for (party, index) in &voids {
                straight.void(*party, *index);
            }
            let mut late = Thread::default();
            let mut left = items.clone();
            while !left.is_empty() {
                let at = self.dice.below(left.len());
                let (party, index, facts) = left.swap_remove(at);
                late.take(party, index, Arc::clone(&facts));
                if self.dice.one_in(4) {
                    late.take(party, index, facts);
                }
                if self.dice.one_in(3) {
                    drop(late.view(case, self.now));
                }
                if voids.contains(&(party, index)) {
                    late.void(party, index);
                }
            }
            let (straight, late) = (straight.view(case, self.now), late.view(case, self.now));
            assert_eq!(straight, late);
        }
    }
}

/// Compares byte by byte, and shows what differs.
fn same(one: &str, other: &str, what: &str) {
    if one == other {
        return;
    }
    let lines = |text: &str| -> Vec<String> {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let text = serde_json::to_string_pretty(&value).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    let (one, other) = (lines(one), lines(other));
    let at = one.iter().zip(&other).position(|(a, b)| a != b).unwrap();
    let around =
        |lines: &[String]| lines[at.saturating_sub(12)..(at + 9).min(lines.len())].join(" ");
    panic!("{what}:\n{}\n{}", around(&one), around(&other));
}

/// What a kind usually answers.
fn fits(kind: Kind, of: Kind) -> bool {
    match kind {
        Kind::Response => matches!(
            of,
            Kind::HandoverSchedule
                | Kind::MeetingProposal
                | Kind::PatrolPlan
                | Kind::WorksNotice
                | Kind::HotlineCall
        ),
        Kind::Countersignature => matches!(
            of,
            Kind::HandoverRecord | Kind::MeetingMinutes | Kind::MarkerReport
        ),
        _ => matches!(
            of,
            Kind::HandoverRequest
                | Kind::VerificationRequest
                | Kind::MeetingProposal
                | Kind::PatrolPlan
                | Kind::CrossingAlert
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        // The same storms every time.
        rng_seed: RngSeed::Fixed(20_260_101),
        ..ProptestConfig::default()
    })]

    #[test]
    fn two_honest_sides_agree_and_nobody_is_in_breach(seed: u64, steps in 1..260_usize) {
        let mut link = Link::new(seed, None);
        link.run(steps);
        let all = link.agreed();
        link.rests_and_is_read_again(&all);
        let breaches = link.breaches();
        prop_assert!(breaches.is_empty(), "{:?}", breaches);
        link.cases_bear_any_order();
    }

    #[test]
    fn a_hostile_side_confuses_nobody_and_blames_only_itself(
        seed: u64,
        steps in 1..260_usize,
        is_a: bool,
    ) {
        let hostile = if is_a { Party::A } else { Party::B };
        let mut link = Link::new(seed, Some(hostile));
        link.run(steps);
        let all = link.agreed();
        link.rests_and_is_read_again(&all);
        for (by, why) in link.breaches() {
            prop_assert_eq!(by, hostile, "{}", why);
        }
        link.cases_bear_any_order();
    }
}

/// The dice are worth throwing: what the properties speak of does happen.
#[test]
fn the_storm_reaches_what_it_is_about() {
    let mut seen = std::collections::BTreeSet::new();
    let (mut crossed, mut applied) = (0, 0);
    for seed in 0..60 {
        let mut link = Link::new(seed, None);
        link.run(260);
        let book = &mut link.nodes[0].book;
        for thread in book.threads() {
            let view = book.view(thread, link.now).unwrap();
            let persons = view.matters.iter().flat_map(|matter| &matter.persons);
            seen.extend(persons.map(|person| person.state.clone()));
            seen.extend(view.matters.iter().map(|matter| matter.state.clone()));
            for message in &view.messages {
                match message.standing {
                    Standing::Crossed(_) => crossed += 1,
                    Standing::Applied => applied += 1,
                    _ => {}
                }
            }
        }
    }
    for state in [
        "scheduled",
        "handed over",
        "confirmed",
        "disputed",
        "suspended",
        "protected",
        "superseded",
        "withdrawn",
        "expired",
        "countered",
        "co-signed",
        "reported by both",
    ] {
        assert!(seen.contains(state), "{state} was not reached");
    }
    assert!(crossed > 60, "{crossed} of {applied} crossed");
}
