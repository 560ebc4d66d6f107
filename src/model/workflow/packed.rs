//! A message's facts in few bytes, for whoever keeps them: some 60 of a letter.
//!
//! ```text
//! version  1 byte, 1
//! present  1 byte: 1 its id follows (else it is that of its case), 2 in reply to, 4 supersedes,
//!          8 acknowledge by, 16 respond by
//! id, in reply to, supersedes   16 bytes each, as far as present
//! created at, seen size, kind, precedence, status, acknowledge by, respond by   numbers
//! body digest   32 bytes
//! what is said  a number of its own for each variant of `Said`, and its fields in their order
//! ```
//!
//! A number is written seven bits at a time, the least first; one that may be negative is folded
//! first (0, −1, 1, −2 …). A list is its length and its elements. The case is not in it: it stands in
//! the key. Every change here changes [`VERSION`]; what has another version is made again.

use super::facts::{Decision, HandedOver, Person};
use super::{Facts, Millis, Said};
use crate::model::MessageId;

/// Version of this form.
pub const VERSION: u8 = 1;

/// Elements of a list for which space is taken before they are read.
const AHEAD_MAX: usize = 512;

impl Facts {
    /// Writes them down, but for the case.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(96));
        let own_id = (self.id != self.thread).then_some(self.id);
        let present = u8::from(own_id.is_some())
            | u8::from(self.in_reply_to.is_some()) << 1
            | u8::from(self.supersedes.is_some()) << 2
            | u8::from(self.acknowledge_by.is_some()) << 3
            | u8::from(self.respond_by.is_some()) << 4;
        out.0.extend([VERSION, present]);
        for id in [own_id, self.in_reply_to, self.supersedes]
            .into_iter()
            .flatten()
        {
            out.0.extend(id.as_bytes());
        }
        out.signed(self.created_at);
        out.number(self.seen_size);
        for number in [self.kind, self.precedence, self.status] {
            out.signed(number.into());
        }
        for at in [self.acknowledge_by, self.respond_by].into_iter().flatten() {
            out.signed(at);
        }
        out.0.extend(self.body_digest);
        out.said(&self.said);
        out.0
    }

    /// Reads what [`Facts::pack`] wrote of a message of a case. `None`: another version, or damage.
    #[must_use]
    pub fn unpack(thread: MessageId, packed: &[u8]) -> Option<Self> {
        let mut from = Reader(packed);
        let [version, present] = from.array()?;
        if version != VERSION || present > 31 {
            return None;
        }
        let is_present = |bit: u8| present & 1 << bit != 0;
        let ids = |from: &mut Reader<'_>, bit| from.present(is_present(bit), Reader::id);
        let own_id = ids(&mut from, 0)?.0;
        let (in_reply_to, supersedes) = (ids(&mut from, 1)?.0, ids(&mut from, 2)?.0);
        let (created_at, seen_size) = (from.signed()?, from.number()?);
        let (kind, precedence, status) = (from.small()?, from.small()?, from.small()?);
        let times = |from: &mut Reader<'_>, bit| from.present(is_present(bit), Reader::signed);
        let (acknowledge_by, respond_by) = (times(&mut from, 3)?.0, times(&mut from, 4)?.0);
        let facts = Self {
            id: own_id.unwrap_or(thread),
            thread,
            in_reply_to,
            supersedes,
            created_at,
            seen_size,
            kind,
            precedence,
            status,
            acknowledge_by,
            respond_by,
            body_digest: from.array()?,
            said: from.said()?,
        };
        from.0.is_empty().then_some(facts)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                self.0.push(low & 0x7f);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63).cast_unsigned());
    }

    fn numbers<N: Copy + Into<u64>>(&mut self, numbers: &[N]) {
        self.number(numbers.len() as u64);
        for number in numbers {
            self.number((*number).into());
        }
    }

    fn flags(&mut self, flags: &[bool]) {
        let bits = flags.iter().rev();
        self.0
            .push(bits.fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn optional(&mut self, at: Option<Millis>) {
        self.flags(&[at.is_some()]);
        if let Some(at) = at {
            self.signed(at);
        }
    }

    fn persons(&mut self, persons: &[Person]) {
        self.number(persons.len() as u64);
        for person in persons {
            self.number(person.number.into());
            self.flags(&[
                person.claims_protection,
                person.has_particulars,
                person.is_minor_alone,
                person.has_guardian,
                person.is_trafficking_victim,
            ]);
            self.signed(person.route.into());
        }
    }

    fn tagged(&mut self, tag: u8, signed: &[i64]) {
        self.0.push(tag);
        for number in signed {
            self.signed(*number);
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each variant")]
    fn said(&mut self, said: &Said) {
        match said {
            Said::Alert { incident, persons } => {
                self.tagged(1, &[(*incident).into(), (*persons).into()]);
            }
            Said::Cases {
                category,
                to,
                cases,
                persons,
                suspects,
                prosecutions,
            } => self.tagged(
                2,
                &[
                    (*category).into(),
                    *to,
                    (*cases).into(),
                    (*persons).into(),
                    (*suspects).into(),
                    (*prosecutions).into(),
                ],
            ),
            Said::VerificationRequest(numbers) => {
                self.tagged(3, &[]);
                self.numbers(numbers);
            }
            Said::VerificationReply {
                results,
                decided_by_person,
            } => {
                self.tagged(4, &[]);
                self.flags(&[*decided_by_person]);
                self.number(results.len() as u64);
                for (number, outcome) in results {
                    self.number((*number).into());
                    self.signed((*outcome).into());
                }
            }
            Said::Extension => self.tagged(5, &[]),
            Said::HandoverRequest(persons) => {
                self.tagged(6, &[]);
                self.persons(persons);
            }
            Said::HandoverReply {
                decisions,
                decided_by_person,
            } => {
                self.tagged(7, &[]);
                self.flags(&[*decided_by_person]);
                self.number(decisions.len() as u64);
                for decision in decisions {
                    self.number(decision.number.into());
                    self.signed(decision.outcome.into());
                    self.optional(decision.valid_until);
                }
            }
            Said::HandoverSupplement(persons) => {
                self.tagged(8, &[]);
                self.persons(persons);
            }
            Said::HandoverSchedule {
                numbers,
                at,
                short_notice,
            } => {
                self.tagged(9, &[*at]);
                self.flags(&[*short_notice]);
                self.numbers(numbers);
            }
            Said::HandoverRecord {
                persons,
                at,
                is_return,
            } => {
                self.tagged(10, &[*at]);
                self.flags(&[*is_return]);
                self.number(persons.len() as u64);
                for person in persons {
                    self.number(person.number.into());
                    self.flags(&[person.has_guardian, person.has_victim_authority]);
                }
            }
            Said::ProtectionDecision {
                numbers,
                by_named_authority,
                outcome,
            } => {
                self.tagged(11, &[(*outcome).into()]);
                self.flags(&[*by_named_authority]);
                self.numbers(numbers);
            }
            Said::Letter { reply_by } => {
                self.tagged(12, &[]);
                self.optional(*reply_by);
            }
            Said::Call { at } => self.tagged(13, &[*at]),
            Said::MeetingProposal { level, at } => self.tagged(14, &[(*level).into(), *at]),
            Said::MeetingMinutes { level, at } => self.tagged(15, &[(*level).into(), *at]),
            Said::PatrolPlan { at } => self.tagged(16, &[*at]),
            Said::PatrolReport { at, officers } => self.tagged(17, &[*at, (*officers).into()]),
            Said::Gate {
                gate,
                status,
                from,
                until,
            } => {
                self.tagged(18, &[(*status).into(), *from]);
                self.optional(*until);
                self.bytes(gate.as_bytes());
            }
            Said::Works { consent_asked } => {
                self.tagged(19, &[]);
                self.flags(&[*consent_asked]);
            }
            Said::Marker { marker, is_minutes } => {
                self.tagged(20, &[(*marker).into()]);
                self.flags(&[*is_minutes]);
            }
            Said::Hazard => self.tagged(21, &[]),
            Said::Activity {
                activity,
                to,
                events,
                participants,
            } => self.tagged(
                22,
                &[
                    (*activity).into(),
                    *to,
                    (*events).into(),
                    (*participants).into(),
                ],
            ),
            Said::Exercise => self.tagged(23, &[]),
            Said::Period => self.tagged(24, &[]),
            Said::Calendar { year, version } => {
                self.tagged(25, &[(*year).into(), (*version).into()]);
            }
            Said::Roster { version } => self.tagged(26, &[(*version).into()]),
            Said::Acknowledgement => self.tagged(27, &[]),
            Said::Response { stance } => self.tagged(28, &[(*stance).into()]),
            Said::Countersignature {
                body_digest,
                stance,
                disputed,
            } => {
                self.tagged(29, &[(*stance).into()]);
                self.bytes(body_digest);
                self.numbers(disputed);
            }
            Said::Closure { outcome, numbers } => {
                self.tagged(30, &[(*outcome).into()]);
                self.numbers(numbers);
            }
            Said::Withdrawal => self.tagged(31, &[]),
            Said::Refusal { index } => {
                self.tagged(32, &[]);
                self.number(*index);
            }
            Said::System => self.tagged(33, &[]),
            Said::Unknown => self.tagged(34, &[]),
            Said::Erased => self.tagged(35, &[]),
        }
    }
}

/// What may be there and may not, and was read.
struct There<T>(Option<T>);

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn id(&mut self) -> Option<MessageId> {
        MessageId::from_slice(&self.array::<16>()?).ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for at in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if at == 63 && byte > 1 {
                return None;
            }
            number |= bits << at;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn small<N: TryFrom<i64>>(&mut self) -> Option<N> {
        N::try_from(self.signed()?).ok()
    }

    fn plain<N: TryFrom<u64>>(&mut self) -> Option<N> {
        N::try_from(self.number()?).ok()
    }

    fn flags<const N: usize>(&mut self) -> Option<[bool; N]> {
        let [byte] = self.array()?;
        (byte >> N == 0).then(|| std::array::from_fn(|at| byte & 1 << at != 0))
    }

    fn flag(&mut self) -> Option<bool> {
        let [flag] = self.flags()?;
        Some(flag)
    }

    /// What follows if it is there.
    fn present<T>(
        &mut self,
        is_there: bool,
        read: impl Fn(&mut Self) -> Option<T>,
    ) -> Option<There<T>> {
        if is_there {
            Some(There(Some(read(self)?)))
        } else {
            Some(There(None))
        }
    }

    fn optional(&mut self) -> Option<There<Millis>> {
        let is_there = self.flag()?;
        self.present(is_there, Self::signed)
    }

    /// Each element takes a byte at least: a length beyond what is left is damage.
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length: usize = self.plain()?;
        if length > self.0.len() {
            return None;
        }
        let mut list = Vec::with_capacity(length.min(AHEAD_MAX));
        for _ in 0..length {
            list.push(read(self)?);
        }
        Some(list)
    }

    fn numbers(&mut self) -> Option<Vec<u32>> {
        self.list(Self::plain)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length: usize = self.plain()?;
        let bytes = self.0.get(..length)?;
        self.0 = &self.0[length..];
        Some(bytes.to_vec())
    }

    fn persons(&mut self) -> Option<Vec<Person>> {
        self.list(|from| {
            let number = from.plain()?;
            let [
                claims_protection,
                has_particulars,
                is_minor_alone,
                has_guardian,
                is_trafficking_victim,
            ] = from.flags()?;
            Some(Person {
                number,
                claims_protection,
                has_particulars,
                is_minor_alone,
                has_guardian,
                is_trafficking_victim,
                route: from.small()?,
            })
        })
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each variant")]
    fn said(&mut self) -> Option<Said> {
        let [tag] = self.array()?;
        Some(match tag {
            1 => Said::Alert {
                incident: self.small()?,
                persons: self.small()?,
            },
            2 => Said::Cases {
                category: self.small()?,
                to: self.signed()?,
                cases: self.small()?,
                persons: self.small()?,
                suspects: self.small()?,
                prosecutions: self.small()?,
            },
            3 => Said::VerificationRequest(self.numbers()?),
            4 => Said::VerificationReply {
                decided_by_person: self.flag()?,
                results: self.list(|from| Some((from.plain()?, from.small()?)))?,
            },
            5 => Said::Extension,
            6 => Said::HandoverRequest(self.persons()?),
            7 => Said::HandoverReply {
                decided_by_person: self.flag()?,
                decisions: self.list(|from| {
                    Some(Decision {
                        number: from.plain()?,
                        outcome: from.small()?,
                        valid_until: from.optional()?.0,
                    })
                })?,
            },
            8 => Said::HandoverSupplement(self.persons()?),
            9 => Said::HandoverSchedule {
                at: self.signed()?,
                short_notice: self.flag()?,
                numbers: self.numbers()?,
            },
            10 => Said::HandoverRecord {
                at: self.signed()?,
                is_return: self.flag()?,
                persons: self.list(|from| {
                    let number = from.plain()?;
                    let [has_guardian, has_victim_authority] = from.flags()?;
                    Some(HandedOver {
                        number,
                        has_guardian,
                        has_victim_authority,
                    })
                })?,
            },
            11 => Said::ProtectionDecision {
                outcome: self.small()?,
                by_named_authority: self.flag()?,
                numbers: self.numbers()?,
            },
            12 => Said::Letter {
                reply_by: self.optional()?.0,
            },
            13 => Said::Call { at: self.signed()? },
            14 => Said::MeetingProposal {
                level: self.small()?,
                at: self.signed()?,
            },
            15 => Said::MeetingMinutes {
                level: self.small()?,
                at: self.signed()?,
            },
            16 => Said::PatrolPlan { at: self.signed()? },
            17 => Said::PatrolReport {
                at: self.signed()?,
                officers: self.small()?,
            },
            18 => Said::Gate {
                status: self.small()?,
                from: self.signed()?,
                until: self.optional()?.0,
                gate: String::from_utf8(self.bytes()?).ok()?,
            },
            19 => Said::Works {
                consent_asked: self.flag()?,
            },
            20 => Said::Marker {
                marker: self.small()?,
                is_minutes: self.flag()?,
            },
            21 => Said::Hazard,
            22 => Said::Activity {
                activity: self.small()?,
                to: self.signed()?,
                events: self.small()?,
                participants: self.small()?,
            },
            23 => Said::Exercise,
            24 => Said::Period,
            25 => Said::Calendar {
                year: self.small()?,
                version: self.small()?,
            },
            26 => Said::Roster {
                version: self.small()?,
            },
            27 => Said::Acknowledgement,
            28 => Said::Response {
                stance: self.small()?,
            },
            29 => Said::Countersignature {
                stance: self.small()?,
                body_digest: self.bytes()?,
                disputed: self.numbers()?,
            },
            30 => Said::Closure {
                outcome: self.small()?,
                numbers: self.numbers()?,
            },
            31 => Said::Withdrawal,
            32 => Said::Refusal {
                index: self.number()?,
            },
            33 => Said::System,
            34 => Said::Unknown,
            35 => Said::Erased,
            _ => return None,
        })
    }
}
