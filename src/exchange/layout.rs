//! Where everything lies in the store: keys by region, and the record of a message.
//!
//! One ordered key space; the first byte is the region. Numbers are big-endian, so that keys of a
//! log sort by index and every region grows at its right edge. Documented in docs/storage.md;
//! [`FORMAT_VERSION`] changes with every change here.

use bytes::Bytes;

use super::remind::Stage;
use crate::limits::{SALT_BYTES, VALUE_BYTES_MAX};
use crate::model::MessageId;
use crate::model::workflow::Owed;
use crate::proto::v1::Kind;
use crate::store::KeyAddress;

/// Version of keys and records.
pub const FORMAT_VERSION: u32 = 1;

/// Number of a link in this store, given when the link is first opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkNumber(pub u16);

/// Whose log: the one this node writes or the peer's, mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogSide {
    /// What this node sent.
    Own,
    /// What the peer sent.
    Mirror,
}

impl LogSide {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Own => 0,
            Self::Mirror => 1,
        }
    }

    /// The other log of the link.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Own => Self::Mirror,
            Self::Mirror => Self::Own,
        }
    }

    pub(crate) fn of(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Own),
            1 => Some(Self::Mirror),
            _ => None,
        }
    }
}

/// Regions of the key space. What a backup does with each is decided in
/// [`super::backup::regions::fate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Region {
    Answers = b'A',
    Author = b'B',
    Checkpoint = b'C',
    Dated = b'D',
    Entry = b'E',
    Fault = b'F',
    BundlesTaken = b'G',
    Head = b'H',
    Id = b'I',
    /// What is derived from both logs and may be made again from them: see [`super::shelf`].
    Derived = b'J',
    Facts = b'K',
    Link = b'L',
    Meta = b'M',
    Incident = b'N',
    Outgoing = b'O',
    Pending = b'P',
    StageOf = b'Q',
    Refused = b'R',
    Stage = b'S',
    Tile = b'T',
    Urgent = b'U',
    KeyChange = b'V',
    Wanted = b'W',
    Expressed = b'X',
    Breach = b'Y',
    Quota = b'q',
    Restore = b'Z',
    PastHold = b'f',
    PeerHold = b'h',
    Erased = b'e',
    Erasing = b'g',
    LegalHold = b'l',
    Naming = b'w',
}

impl Region {
    /// Every region.
    pub(crate) const ALL: [Self; 33] = [
        Self::Answers,
        Self::Author,
        Self::Checkpoint,
        Self::Dated,
        Self::Derived,
        Self::Entry,
        Self::Facts,
        Self::Fault,
        Self::BundlesTaken,
        Self::Head,
        Self::Id,
        Self::Link,
        Self::Meta,
        Self::Incident,
        Self::Outgoing,
        Self::Pending,
        Self::StageOf,
        Self::Refused,
        Self::Stage,
        Self::Tile,
        Self::Urgent,
        Self::KeyChange,
        Self::Wanted,
        Self::Expressed,
        Self::Breach,
        Self::Quota,
        Self::Restore,
        Self::PastHold,
        Self::PeerHold,
        Self::Erased,
        Self::Erasing,
        Self::LegalHold,
        Self::Naming,
    ];

    /// The region of a key.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        let first = *key.first()?;
        Self::ALL.into_iter().find(|region| *region as u8 == first)
    }
}

fn key(region: Region, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + parts.iter().map(|p| p.len()).sum::<usize>());
    out.push(region as u8);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// `q name` → what the identity of that name, such as `integration/radar`, has taken of its day.
pub(crate) fn quota(name: &str) -> Vec<u8> {
    key(Region::Quota, &[name.as_bytes()])
}

/// `M`: the format version, u32.
pub(crate) fn meta() -> Vec<u8> {
    key(Region::Meta, &[])
}

/// `L link` → the peer's node name.
pub(crate) fn link(number: LinkNumber) -> Vec<u8> {
    key(Region::Link, &[&number.0.to_be_bytes()])
}

/// `H link` → [`HeadRecord`].
pub(crate) fn head(number: LinkNumber) -> Vec<u8> {
    key(Region::Head, &[&number.0.to_be_bytes()])
}

/// `F link` → why the link is held (JSON of [`super::hold::Hold`], in parts); absent when it is
/// not.
pub(crate) fn fault(number: LinkNumber) -> Vec<u8> {
    key(Region::Fault, &[&number.0.to_be_bytes()])
}

/// `G link` → ids of the latest bundles of the peer that were taken in, latest first.
pub(crate) fn bundles_taken(number: LinkNumber) -> Vec<u8> {
    key(Region::BundlesTaken, &[&number.0.to_be_bytes()])
}

/// A list of ids as a value: 16 bytes each.
pub(crate) fn encode_ids(ids: &[MessageId]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

/// Reads [`encode_ids`] back; what is no id is passed over.
pub(crate) fn decode_ids(value: &[u8]) -> Vec<MessageId> {
    let ids = value.chunks_exact(16);
    ids.filter_map(|id| MessageId::from_slice(id).ok())
        .collect()
}

/// `h link` → why the peer holds the link, as it said (JSON of [`super::hold::Hold`], in parts);
/// absent when it does not, or has not said so.
pub(crate) fn peer_hold(number: LinkNumber) -> Vec<u8> {
    key(Region::PeerHold, &[&number.0.to_be_bytes()])
}

/// `f link sequence` → a hold that is over (JSON of [`super::PastHold`], in parts). The sequence
/// counts from 0.
pub(crate) fn past_hold(number: LinkNumber, sequence: u64) -> Vec<u8> {
    indexed(Region::PastHold, number, None, sequence)
}

/// Reads the sequence back from any part of a [`past_hold`].
pub(crate) fn past_hold_sequence(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(3..11)?.try_into().ok()?))
}

/// `E link side index` → [`Record`].
pub(crate) fn entry(number: LinkNumber, side: LogSide, index: u64) -> Vec<u8> {
    indexed(Region::Entry, number, Some(side), index)
}

/// `T link side level index` → 256 hashes.
pub(crate) fn tile(number: LinkNumber, side: LogSide, level: u8, index: u64) -> Vec<u8> {
    key(
        Region::Tile,
        &[
            &number.0.to_be_bytes(),
            &[side.byte(), level],
            &index.to_be_bytes(),
        ],
    )
}

/// `B link own-index` → who submitted it, as text; absent for what the node itself says.
pub(crate) fn author(number: LinkNumber, own_index: u64) -> Vec<u8> {
    indexed(Region::Author, number, None, own_index)
}

/// `C link side size` → the checkpoint of that size. Own side: a receipt. Mirror side: as its author
/// signed it, and a moment later with our cosignature.
pub(crate) fn checkpoint(number: LinkNumber, side: LogSide, size: u64) -> Vec<u8> {
    indexed(Region::Checkpoint, number, Some(side), size)
}

/// `D link size` → the peer's latest dated checkpoint of that size.
pub(crate) fn dated(number: LinkNumber, size: u64) -> Vec<u8> {
    indexed(Region::Dated, number, None, size)
}

/// `I link id` → [`Place`].
pub(crate) fn id(number: LinkNumber, id: MessageId) -> Vec<u8> {
    key(Region::Id, &[&number.0.to_be_bytes(), id.as_bytes()])
}

/// `A link answered-id side index` → kind, i32: the message at that place answers, supersedes or
/// withdraws the one named.
pub(crate) fn answer(
    number: LinkNumber,
    answered: MessageId,
    side: LogSide,
    index: u64,
) -> Vec<u8> {
    key(
        Region::Answers,
        &[
            &number.0.to_be_bytes(),
            answered.as_bytes(),
            &[side.byte()],
            &index.to_be_bytes(),
        ],
    )
}

/// Reads side and index back from an [`answer`] key.
pub(crate) fn answer_place(key: &[u8]) -> Option<(LogSide, u64)> {
    let tail = key.get(19..)?;
    let side = LogSide::of(*tail.first()?)?;
    Some((side, u64::from_be_bytes(tail.get(1..)?.try_into().ok()?)))
}

/// Every [`answer`] of one message: first key and the key after the last.
pub(crate) fn answers_of(number: LinkNumber, answered: MessageId) -> (Vec<u8>, Vec<u8>) {
    let start = key(
        Region::Answers,
        &[&number.0.to_be_bytes(), answered.as_bytes()],
    );
    let mut end = start.clone();
    end.push(0xff);
    (start, end)
}

/// Every [`answer`] of a link: first key and the key after the last.
pub(crate) fn all_answers(number: LinkNumber) -> (Vec<u8>, Vec<u8>) {
    let start = key(Region::Answers, &[&number.0.to_be_bytes()]);
    let mut end = start.clone();
    end.extend_from_slice(&[0xff; 26]);
    (start, end)
}

/// Reads the answered id back from an [`answer`] key.
pub(crate) fn answered(key: &[u8]) -> Option<MessageId> {
    MessageId::from_slice(key.get(3..19)?).ok()
}

/// `R link own-index` → index of the REFUSAL in the peer's log, u64.
pub(crate) fn refused(number: LinkNumber, own_index: u64) -> Vec<u8> {
    indexed(Region::Refused, number, None, own_index)
}

/// `X link index` → [`Record`] of an entry of the peer that came ahead of its turn.
pub(crate) fn expressed(number: LinkNumber, index: u64) -> Vec<u8> {
    indexed(Region::Expressed, number, None, index)
}

/// `U link own-index` → nothing: an own FLASH or IMMEDIATE message.
pub(crate) fn urgent(number: LinkNumber, own_index: u64) -> Vec<u8> {
    indexed(Region::Urgent, number, None, own_index)
}

/// `P link mirror-index` → files still to come for that message ([`FileRefs`]).
pub(crate) fn pending(number: LinkNumber, index: u64) -> Vec<u8> {
    indexed(Region::Pending, number, None, index)
}

/// `O link own-index` → files the peer has not confirmed yet ([`FileRefs`]).
pub(crate) fn outgoing(number: LinkNumber, index: u64) -> Vec<u8> {
    indexed(Region::Outgoing, number, None, index)
}

/// `S link sequence` → a stage that something owed has reached (JSON of
/// [`super::remind::Reached`]). The sequence counts from 0 without gaps: it is what a cursor holds.
pub(crate) fn stage(number: LinkNumber, sequence: u64) -> Vec<u8> {
    indexed(Region::Stage, number, None, sequence)
}

/// What is owed, in keys.
pub(crate) fn owed_byte(owed: Owed) -> u8 {
    match owed {
        Owed::Acknowledgement => 1,
        Owed::Reply => 2,
        Owed::Decision => 3,
        Owed::Information => 4,
        Owed::Agreement => 5,
        Owed::Countersignature => 6,
        Owed::Record => 7,
        Owed::Closure => 8,
    }
}

/// `Q link id owed owed-by extended-by stage` → sequence of its [`stage`], u64: it was reached, and
/// is not reached again.
pub(crate) fn stage_of(
    number: LinkNumber,
    message: MessageId,
    owed: Owed,
    owed_by: LogSide,
    extended_by: u8,
    stage: Stage,
) -> Vec<u8> {
    key(
        Region::StageOf,
        &[
            &number.0.to_be_bytes(),
            message.as_bytes(),
            &[owed_byte(owed), owed_by.byte(), extended_by, stage.byte()],
        ],
    )
}

/// `Y link mirror-index` → nothing: that the message breaks the rules of its case was noted.
pub(crate) fn breach(number: LinkNumber, mirror_index: u64) -> Vec<u8> {
    indexed(Region::Breach, number, None, mirror_index)
}

/// `V link side index` → nothing: a `KEY_CHANGE` that counts stands there.
pub(crate) fn key_change(number: LinkNumber, side: LogSide, index: u64) -> Vec<u8> {
    indexed(Region::KeyChange, number, Some(side), index)
}

/// What region `Z` holds while a link gets its records back; see [`restore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestorePart {
    /// Why, since when and up to which receipts (JSON, in parts); absent when nothing is restored.
    Record,
    /// By own index: a [`Record`] that was set aside until the log is what was signed.
    Aside,
    /// By own index: who submitted the one set aside.
    AsideAuthor,
    /// By mirror index: leaf hash of what a restored own REFUSAL refuses.
    Refused,
    /// By mirror index: a REFUSAL that is still to be said (JSON).
    OwedRefusal,
    /// Files of earlier messages may be missing: nothing.
    Files,
    /// By own index: a [`Record`] that stays set aside, since its id was used for another message.
    Kept,
    /// A hold that takes effect once the records are back (JSON, in parts).
    Hold,
    /// By own index: who submitted the one that stays set aside.
    KeptAuthor,
}

/// `Z link part`: what stands once a link.
pub(crate) fn restore(number: LinkNumber, part: RestorePart) -> Vec<u8> {
    key(Region::Restore, &[&number.0.to_be_bytes(), &[part as u8]])
}

/// `Z link part index`: what stands once an index.
pub(crate) fn restore_at(number: LinkNumber, part: RestorePart, index: u64) -> Vec<u8> {
    key(
        Region::Restore,
        &[&number.0.to_be_bytes(), &[part as u8], &index.to_be_bytes()],
    )
}

/// Whether a row outside the logs holds a [`Record`]: one that waits for its turn or is set aside.
pub(crate) fn is_record_row(key: &[u8]) -> bool {
    let part = |part| key.get(3) == Some(&(part as u8));
    match Region::of(key) {
        Some(Region::Expressed) => true,
        Some(Region::Restore) => part(RestorePart::Aside) || part(RestorePart::Kept),
        _ => false,
    }
}

/// Every [`restore_at`] of one part from an index on: first key and the key after the last.
pub(crate) fn restore_from(number: LinkNumber, part: RestorePart, from: u64) -> (Vec<u8>, Vec<u8>) {
    let mut end = restore(number, part);
    end.extend_from_slice(&[0xff; 9]);
    (restore_at(number, part, from), end)
}

/// `e link side index` → by whom and why the body was erased, and what was destroyed (JSON of
/// [`super::erase::Row`], in parts).
pub(crate) fn erased(number: LinkNumber, side: LogSide, index: u64) -> Vec<u8> {
    indexed(Region::Erased, number, Some(side), index)
}

/// `g link side index` → nothing: an erasure has begun and is not done, or not said to the peer.
pub(crate) fn erasing(number: LinkNumber, side: LogSide, index: u64) -> Vec<u8> {
    indexed(Region::Erasing, number, Some(side), index)
}

/// `l link case` → why the case is on legal hold (JSON of [`super::retention::LegalHold`]).
pub(crate) fn legal_hold(number: LinkNumber, case: MessageId) -> Vec<u8> {
    key(
        Region::LegalHold,
        &[&number.0.to_be_bytes(), case.as_bytes()],
    )
}

/// Every [`legal_hold`] of a link: first key and the key after the last.
pub(crate) fn legal_holds(number: LinkNumber) -> (Vec<u8>, Vec<u8>) {
    let start = key(Region::LegalHold, &[&number.0.to_be_bytes()]);
    let mut end = start.clone();
    end.extend_from_slice(&[0xff; 17]);
    (start, end)
}

/// The case of a [`legal_hold`].
pub(crate) fn held_case(key: &[u8]) -> Option<MessageId> {
    MessageId::from_slice(key.get(3..)?).ok()
}

/// `w sha256 link side index` → nothing: the message at that place names the file.
pub(crate) fn naming(sha256: &[u8; 32], number: LinkNumber, side: LogSide, index: u64) -> Vec<u8> {
    let place = indexed(Region::Naming, number, Some(side), index);
    key(Region::Naming, &[sha256, &place[1..]])
}

/// Every [`naming`] of one file: first key and the key after the last.
pub(crate) fn naming_of(sha256: &[u8; 32]) -> (Vec<u8>, Vec<u8>) {
    let start = key(Region::Naming, &[sha256]);
    let mut end = start.clone();
    end.extend_from_slice(&[0xff; 12]);
    (start, end)
}

/// Reads link, side and index back from the key of an [`erased`] or [`erasing`] row; `None` of a later
/// part.
pub(crate) fn erased_place(key: &[u8]) -> Option<(LinkNumber, LogSide, u64)> {
    let index = u64::from_be_bytes(key.get(4..)?.try_into().ok()?);
    Some((link_of(key)?, LogSide::of(*key.get(3)?)?, index))
}

/// `W link side sha256` → size, u64: a message of that side names the file.
pub(crate) fn wanted(number: LinkNumber, side: LogSide, sha256: &[u8; 32]) -> Vec<u8> {
    key(
        Region::Wanted,
        &[&number.0.to_be_bytes(), &[side.byte()], sha256],
    )
}

/// `K link case side index` → what the message says, packed and in [`parts`].
pub(crate) fn facts(number: LinkNumber, case: MessageId, side: LogSide, index: u64) -> Vec<u8> {
    key(
        Region::Facts,
        &[
            &number.0.to_be_bytes(),
            case.as_bytes(),
            &[side.byte()],
            &index.to_be_bytes(),
        ],
    )
}

/// Reads case, side and index back from a [`facts`] key, and whether it is that of a first part.
pub(crate) fn facts_place(key: &[u8]) -> Option<(MessageId, LogSide, u64, bool)> {
    let case = MessageId::from_slice(key.get(3..19)?).ok()?;
    let side = LogSide::of(*key.get(19)?)?;
    let index = u64::from_be_bytes(key.get(20..28)?.try_into().ok()?);
    Some((case, side, index, key.len() == 28))
}

/// Every [`facts`] of one case: first key and the key after the last.
pub(crate) fn facts_of(number: LinkNumber, case: MessageId) -> (Vec<u8>, Vec<u8>) {
    let start = key(Region::Facts, &[&number.0.to_be_bytes(), case.as_bytes()]);
    let mut end = start.clone();
    end.push(0xff);
    (start, end)
}

/// Every [`facts`] of a link.
pub(crate) fn all_facts(number: LinkNumber) -> (Vec<u8>, Vec<u8>) {
    let start = key(Region::Facts, &[&number.0.to_be_bytes()]);
    let mut end = start.clone();
    end.extend([0xff; 18]);
    (start, end)
}

/// `J link kind rest`: a row of what is derived of a link.
pub(crate) fn derived(number: LinkNumber, kind: u8, rest: &[&[u8]]) -> Vec<u8> {
    let mut out = key(Region::Derived, &[&number.0.to_be_bytes(), &[kind]]);
    for part in rest {
        out.extend_from_slice(part);
    }
    out
}

/// Bytes of a [`derived`] key in front of its rest.
pub(crate) const DERIVED_KEY_BYTES: usize = 1 + 2 + 1;

/// Whether a key is that of a [`derived`] row of one of some kinds.
pub(crate) fn is_derived_of(key: &[u8], kinds: &[u8]) -> bool {
    let kind = key.get(DERIVED_KEY_BYTES - 1);
    key.first() == Some(&(Region::Derived as u8)) && kind.is_some_and(|kind| kinds.contains(kind))
}

/// Every [`derived`] row of a kind.
pub(crate) fn derived_of(number: LinkNumber, kind: u8) -> (Vec<u8>, Vec<u8>) {
    (
        derived(number, kind, &[]),
        derived(number, kind.saturating_add(1), &[]),
    )
}

/// Every [`wanted`] of one side from a file on: first key and the key after the last.
pub(crate) fn wanted_from(
    number: LinkNumber,
    side: LogSide,
    sha256: &[u8; 32],
) -> (Vec<u8>, Vec<u8>) {
    let mut end = key(Region::Wanted, &[&number.0.to_be_bytes(), &[side.byte()]]);
    end.extend_from_slice(&[0xff; 33]);
    (wanted(number, side, sha256), end)
}

/// Reads the digest back from a [`wanted`] key.
pub(crate) fn wanted_digest(key: &[u8]) -> Option<[u8; 32]> {
    key.get(4..)?.try_into().ok()
}

/// `N unix-ms sequence` → an incident (JSON of [`super::hold::Incident`], in parts).
pub(crate) fn incident(unix_ms: u64, sequence: u32) -> Vec<u8> {
    key(
        Region::Incident,
        &[&unix_ms.to_be_bytes(), &sequence.to_be_bytes()],
    )
}

/// Bytes of an [`incident`] key without a part number.
const INCIDENT_KEY_BYTES: usize = 1 + 8 + 4;

/// What does not fit one value lies in parts: the first under the key itself, the others under
/// the key followed by their number, one byte.
pub(crate) fn parts<'a>(key: &'a [u8], value: &'a [u8]) -> impl Iterator<Item = Row<'a>> {
    value
        .chunks(VALUE_BYTES_MAX)
        .zip(0_u8..=u8::MAX)
        .map(move |(part, number)| {
            let mut key = key.to_vec();
            if number > 0 {
                key.push(number);
            }
            (key, part)
        })
}

type Row<'a> = (Vec<u8>, &'a [u8]);

/// First key of a value in [`parts`] and the key after its last.
pub(crate) fn parts_range(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = key.to_vec();
    end.extend_from_slice(&[0xff, 0xff]);
    (key.to_vec(), end)
}

/// Whether a key of the incidents is that of a first part.
pub(crate) fn is_first_part_of_incident(key: &[u8]) -> bool {
    key.len() == INCIDENT_KEY_BYTES
}

/// First key of a region and the key after its last.
pub(crate) fn region(region: Region) -> (Vec<u8>, Vec<u8>) {
    (vec![region as u8], vec![region as u8 + 1])
}

/// First key of one link's numbered region from an index on, and the key after its last.
pub(crate) fn indexed_from(region: Region, number: LinkNumber, from: u64) -> (Vec<u8>, Vec<u8>) {
    let start = indexed(region, number, None, from);
    let mut end = key(region, &[&number.0.to_be_bytes()]);
    end.extend_from_slice(&[0xff; 9]);
    (start, end)
}

/// Keys of a log region of one side between two indices, the second excluded.
pub(crate) fn side_range(
    region: Region,
    number: LinkNumber,
    side: LogSide,
    from: u64,
    to: u64,
) -> (Vec<u8>, Vec<u8>) {
    (
        indexed(region, number, Some(side), from),
        indexed(region, number, Some(side), to),
    )
}

/// The link that a key of a link's region belongs to.
pub(crate) fn link_of(key: &[u8]) -> Option<LinkNumber> {
    let number = key.get(1..3)?;
    Some(LinkNumber(u16::from_be_bytes(number.try_into().ok()?)))
}

/// The index at the end of a numbered key.
pub(crate) fn index_of(key: &[u8]) -> Option<u64> {
    let start = key.len().checked_sub(8)?;
    Some(u64::from_be_bytes(key[start..].try_into().ok()?))
}

fn indexed(region: Region, number: LinkNumber, side: Option<LogSide>, index: u64) -> Vec<u8> {
    let side = side.map(LogSide::byte);
    key(
        region,
        &[
            &number.0.to_be_bytes(),
            side.as_slice(),
            &index.to_be_bytes(),
        ],
    )
}

/// Why an own entry goes ahead of a backlog: the value of its row in region `U`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// FLASH or IMMEDIATE.
    Alert,
    /// An acknowledgement.
    Acknowledgement,
}

impl Urgency {
    pub(crate) fn of(kind: i32) -> Self {
        if kind == Kind::Acknowledgement as i32 {
            Self::Acknowledgement
        } else {
            Self::Alert
        }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Self::Alert => Vec::new(),
            Self::Acknowledgement => vec![1],
        }
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        match value {
            [] => Some(Self::Alert),
            [1] => Some(Self::Acknowledgement),
            _ => None,
        }
    }
}

/// Where a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a log, at this index.
    Log(LogSide, u64),
    /// Expressed by the peer, waiting for its turn at this index of the mirror.
    Expressed(u64),
}

impl Place {
    pub(crate) fn encode(self) -> Vec<u8> {
        let (tag, index) = match self {
            Self::Log(side, index) => (side.byte(), index),
            Self::Expressed(index) => (2, index),
        };
        let mut out = vec![tag];
        out.extend_from_slice(&index.to_be_bytes());
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (tag, index) = value.split_first()?;
        let index = u64::from_be_bytes(index.try_into().ok()?);
        match *tag {
            2 => Some(Self::Expressed(index)),
            side => Some(Self::Log(LogSide::of(side)?, index)),
        }
    }
}

/// Sizes and roots of a link's two logs, as of the commit that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HeadRecord {
    pub(crate) own_size: u64,
    pub(crate) own_root: [u8; 32],
    pub(crate) mirror_size: u64,
    pub(crate) mirror_root: [u8; 32],
    pub(crate) delivered_size: u64,
}

impl HeadRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(88);
        out.extend_from_slice(&self.own_size.to_be_bytes());
        out.extend_from_slice(&self.own_root);
        out.extend_from_slice(&self.mirror_size.to_be_bytes());
        out.extend_from_slice(&self.mirror_root);
        out.extend_from_slice(&self.delivered_size.to_be_bytes());
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        let head = Self {
            own_size: reader.u64()?,
            own_root: reader.array()?,
            mirror_size: reader.u64()?,
            mirror_root: reader.array()?,
            delivered_size: reader.u64()?,
        };
        reader.end(head)
    }
}

/// A file named by a message: SHA-256 and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRef {
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// Length in bytes.
    pub size: u64,
}

/// The files of a message, 40 bytes each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FileRefs(pub(crate) Vec<FileRef>);

impl FileRefs {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() * 40);
        for file in &self.0 {
            out.extend_from_slice(&file.sha256);
            out.extend_from_slice(&file.size.to_be_bytes());
        }
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        let mut files = Vec::new();
        while !reader.0.is_empty() {
            files.push(FileRef {
                sha256: reader.array()?,
                size: reader.u64()?,
            });
        }
        Some(Self(files))
    }
}

/// The body as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredBody {
    /// In the record itself.
    Inline {
        /// The 32 random bytes in front of it.
        salt: [u8; SALT_BYTES],
        /// The serialized body.
        body: Bytes,
    },
    /// In a file named by the header's body digest: salt, then body.
    File {
        /// SHA-256(salt ‖ body).
        digest: [u8; 32],
    },
    /// In the record itself, sealed with its salt.
    Sealed {
        /// Where its key is.
        key: KeyAddress,
        /// What [`at_rest::seal`](crate::crypto::at_rest::seal) made of salt and body.
        bytes: Bytes,
    },
    /// Sealed with its salt, in a file named by what lies in it.
    SealedFile {
        /// Where its key is.
        key: KeyAddress,
        /// SHA-256 of the sealed bytes.
        digest: [u8; 32],
    },
    /// Not kept: the message was refused.
    Absent,
}

impl StoredBody {
    /// The file that it lies in.
    pub(crate) fn file(&self) -> Option<&[u8; 32]> {
        match self {
            Self::File { digest } | Self::SealedFile { digest, .. } => Some(digest),
            Self::Inline { .. } | Self::Sealed { .. } | Self::Absent => None,
        }
    }

    /// Where its key is, if it lies sealed.
    pub(crate) fn key(&self) -> Option<KeyAddress> {
        match self {
            Self::Sealed { key, .. } | Self::SealedFile { key, .. } => Some(*key),
            Self::Inline { .. } | Self::File { .. } | Self::Absent => None,
        }
    }
}

/// One entry of a log with its body: version, flags, time, entry, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When this node recorded it, milliseconds since 1970.
    pub recorded_at_ms: u64,
    /// The entry's bytes, or the SHA-256 of them when they are in a file.
    pub entry: StoredEntry,
    /// The body.
    pub body: StoredBody,
    /// Mirrored but not admitted.
    pub refused: bool,
    /// It came by express before its turn.
    pub expressed: bool,
}

/// The entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredEntry {
    /// In the record itself.
    Inline(Bytes),
    /// In a file named by its SHA-256.
    File([u8; 32]),
}

const RECORD_VERSION: u8 = 1;
const ENTRY_IN_FILE: u8 = 1;
const BODY_IN_FILE: u8 = 2;
const BODY_ABSENT: u8 = 4;
const REFUSED: u8 = 8;
const EXPRESSED: u8 = 16;
const BODY_SEALED: u8 = 32;
const FLAGS: u8 = ENTRY_IN_FILE | BODY_IN_FILE | BODY_ABSENT | REFUSED | EXPRESSED | BODY_SEALED;
/// Version, flags, time, and the lengths of entry and body.
const RECORD_OVERHEAD_BYTES: usize = 1 + 1 + 8 + 4 + 4;

/// Whether an entry of this length stays in its record.
pub(crate) fn entry_fits(entry_bytes: usize) -> bool {
    entry_bytes + RECORD_OVERHEAD_BYTES + SALT_BYTES <= VALUE_BYTES_MAX
}

/// Whether a sealed body stays in its record beside its entry.
pub(crate) fn sealed_fits(entry_bytes: usize, sealed_bytes: usize) -> bool {
    entry_fits(entry_bytes)
        && entry_bytes + sealed_bytes + RECORD_OVERHEAD_BYTES + KeyAddress::BYTES <= VALUE_BYTES_MAX
}

/// Whether a body stays in its record beside its entry.
pub(crate) fn body_fits(entry_bytes: usize, body_bytes: usize) -> bool {
    entry_fits(entry_bytes)
        && entry_bytes + body_bytes + RECORD_OVERHEAD_BYTES + SALT_BYTES <= VALUE_BYTES_MAX
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut flags = 0;
        let entry: &[u8] = match &self.entry {
            StoredEntry::Inline(bytes) => bytes,
            StoredEntry::File(digest) => {
                flags |= ENTRY_IN_FILE;
                digest
            }
        };
        let address;
        let (salt, body): (&[u8], &[u8]) = match &self.body {
            StoredBody::Inline { salt, body } => (salt, body),
            StoredBody::File { digest } => {
                flags |= BODY_IN_FILE;
                (&[], digest)
            }
            StoredBody::Sealed { key, bytes } => {
                flags |= BODY_SEALED;
                address = key.encode();
                (&address, bytes)
            }
            StoredBody::SealedFile { key, digest } => {
                flags |= BODY_SEALED | BODY_IN_FILE;
                address = key.encode();
                (&address, digest)
            }
            StoredBody::Absent => {
                flags |= BODY_ABSENT;
                (&[], &[])
            }
        };
        if self.refused {
            flags |= REFUSED;
        }
        if self.expressed {
            flags |= EXPRESSED;
        }
        let mut out =
            Vec::with_capacity(RECORD_OVERHEAD_BYTES + entry.len() + salt.len() + body.len());
        out.extend_from_slice(&[RECORD_VERSION, flags]);
        out.extend_from_slice(&self.recorded_at_ms.to_be_bytes());
        for part in [entry, body] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
        }
        out.extend_from_slice(entry);
        out.extend_from_slice(salt);
        out.extend_from_slice(body);
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        if reader.take(1)? != [RECORD_VERSION] {
            return None;
        }
        let flags = reader.take(1)?[0];
        // A flag of a version that is not this one changes what the rest means.
        if flags & !FLAGS != 0 || flags & (BODY_IN_FILE | BODY_ABSENT) == BODY_IN_FILE | BODY_ABSENT
        {
            return None;
        }
        let recorded_at_ms = reader.u64()?;
        let entry_bytes = reader.u32()? as usize;
        let body_bytes = reader.u32()? as usize;
        let entry = if flags & ENTRY_IN_FILE == 0 {
            StoredEntry::Inline(Bytes::copy_from_slice(reader.take(entry_bytes)?))
        } else {
            StoredEntry::File(reader.array()?)
        };
        let body = if flags & BODY_ABSENT != 0 {
            if flags & BODY_SEALED != 0 {
                return None;
            }
            StoredBody::Absent
        } else if flags & BODY_SEALED != 0 {
            let key = KeyAddress::decode(reader.array()?);
            if flags & BODY_IN_FILE != 0 {
                let digest = reader.array()?;
                StoredBody::SealedFile { key, digest }
            } else {
                let bytes = Bytes::copy_from_slice(reader.take(body_bytes)?);
                StoredBody::Sealed { key, bytes }
            }
        } else if flags & BODY_IN_FILE != 0 {
            StoredBody::File {
                digest: reader.array()?,
            }
        } else {
            StoredBody::Inline {
                salt: reader.array()?,
                body: Bytes::copy_from_slice(reader.take(body_bytes)?),
            }
        };
        reader.end(Self {
            recorded_at_ms,
            entry,
            body,
            refused: flags & REFUSED != 0,
            expressed: flags & EXPRESSED != 0,
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.array()?))
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_bytes_in_every_shape() {
        let entries = [
            StoredEntry::Inline(Bytes::from_static(b"entry")),
            StoredEntry::File([7; 32]),
        ];
        let bodies = [
            StoredBody::Inline {
                salt: [9; 32],
                body: Bytes::from_static(b"body"),
            },
            StoredBody::File { digest: [8; 32] },
            StoredBody::Sealed {
                key: KeyAddress::decode([1, 2, 3, 4, 5, 6]),
                bytes: Bytes::from_static(b"sealed"),
            },
            StoredBody::SealedFile {
                key: KeyAddress::decode([1, 2, 3, 4, 5, 6]),
                digest: [8; 32],
            },
            StoredBody::Absent,
        ];
        for entry in &entries {
            for body in &bodies {
                for (refused, expressed) in [(false, false), (true, false), (false, true)] {
                    let record = Record {
                        recorded_at_ms: 1_774_000_000_123,
                        entry: entry.clone(),
                        body: body.clone(),
                        refused,
                        expressed,
                    };
                    let bytes = record.encode();
                    assert_eq!(Record::decode(&bytes), Some(record));
                    assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), None);
                    let longer = [bytes.as_slice(), b"x"].concat();
                    assert_eq!(Record::decode(&longer), None);
                }
            }
        }
    }

    #[test]
    fn flags_that_this_version_does_not_know_are_damage() {
        let record = Record {
            recorded_at_ms: 7,
            entry: StoredEntry::Inline(Bytes::from_static(b"entry")),
            body: StoredBody::Absent,
            refused: true,
            expressed: false,
        };
        let bytes = record.encode();
        for flag in [64, 128, BODY_IN_FILE, BODY_SEALED] {
            let mut changed = bytes.clone();
            changed[1] |= flag;
            assert_eq!(Record::decode(&changed), None, "flag {flag}");
        }
    }

    #[test]
    fn the_largest_inline_record_is_exactly_a_value() {
        let entry_bytes = 500;
        let body_bytes = VALUE_BYTES_MAX - RECORD_OVERHEAD_BYTES - SALT_BYTES - entry_bytes;
        assert!(body_fits(entry_bytes, body_bytes));
        assert!(!body_fits(entry_bytes, body_bytes + 1));
        let record = Record {
            recorded_at_ms: 0,
            entry: StoredEntry::Inline(vec![0; entry_bytes].into()),
            body: StoredBody::Inline {
                salt: [0; 32],
                body: vec![0; body_bytes].into(),
            },
            refused: false,
            expressed: false,
        };
        assert_eq!(record.encode().len(), VALUE_BYTES_MAX);
    }

    #[test]
    fn keys_of_a_log_sort_by_index_and_stay_in_their_range() {
        let (start, end) = side_range(Region::Entry, LinkNumber(3), LogSide::Own, 5, 300);
        for index in [5, 6, 255, 256, 299] {
            let key = entry(LinkNumber(3), LogSide::Own, index);
            assert!(start <= key && key < end);
            assert_eq!(index_of(&key), Some(index));
        }
        assert!(entry(LinkNumber(3), LogSide::Own, 300) >= end);
        assert!(entry(LinkNumber(3), LogSide::Mirror, 6) >= end);
    }

    /// Keys and records of each region, as `tests/vectors/store/layout.txt` has them. A line there
    /// is never changed: stores out there are made of these bytes.
    #[test]
    fn keys_and_records_are_what_they_were() {
        let number = LinkNumber(0x0102);
        let id = MessageId::from_parts(0x0190_0000_0001, [0xab; 10]);
        let record = Record {
            recorded_at_ms: 1_774_000_000_123,
            entry: StoredEntry::Inline(Bytes::from_static(b"entry")),
            body: StoredBody::Inline {
                salt: [9; 32],
                body: Bytes::from_static(b"body"),
            },
            refused: false,
            expressed: true,
        };
        let filed = Record {
            entry: StoredEntry::File([7; 32]),
            body: StoredBody::File { digest: [8; 32] },
            expressed: false,
            ..record.clone()
        };
        let refused_record = Record {
            body: StoredBody::Absent,
            refused: true,
            expressed: false,
            ..record.clone()
        };
        let head_record = HeadRecord {
            own_size: 1,
            own_root: [2; 32],
            mirror_size: 3,
            mirror_root: [4; 32],
            delivered_size: 5,
        };
        let files = FileRefs(vec![FileRef {
            sha256: [6; 32],
            size: 7,
        }]);
        let made = [
            ("meta", meta()),
            ("link", link(number)),
            ("head", head(number)),
            ("fault", fault(number)),
            ("bundles taken", bundles_taken(number)),
            ("ids", encode_ids(&[id, id])),
            ("entry own", entry(number, LogSide::Own, 5)),
            ("entry mirror", entry(number, LogSide::Mirror, 5)),
            ("tile", tile(number, LogSide::Mirror, 1, 5)),
            ("author", author(number, 5)),
            ("checkpoint", checkpoint(number, LogSide::Own, 5)),
            ("dated", dated(number, 5)),
            ("id", super::id(number, id)),
            ("answer", answer(number, id, LogSide::Mirror, 5)),
            ("refused", refused(number, 5)),
            ("expressed", expressed(number, 5)),
            ("urgent", urgent(number, 5)),
            ("pending", pending(number, 5)),
            ("outgoing", outgoing(number, 5)),
            ("wanted", wanted(number, LogSide::Own, &[6; 32])),
            ("incident", incident(1_774_000_000_123, 5)),
            ("stage", stage(number, 5)),
            (
                "stage of",
                stage_of(number, id, Owed::Reply, LogSide::Mirror, 5, Stage::Overdue),
            ),
            ("breach", breach(number, 5)),
            ("place log", Place::Log(LogSide::Mirror, 5).encode()),
            ("place expressed", Place::Expressed(5).encode()),
            ("head record", head_record.encode()),
            ("file refs", files.encode()),
            ("record inline", record.encode()),
            ("record in files", filed.encode()),
            ("record refused", refused_record.encode()),
        ];
        let golden = include_str!("../../tests/vectors/store/layout.txt");
        let lines = made
            .iter()
            .map(|(name, bytes)| format!("{name}: {}", hex::encode(bytes)));
        let other: Vec<_> = lines
            .filter(|line| !golden.lines().any(|known| known == line))
            .collect();
        assert!(other.is_empty(), "new or changed:\n{}", other.join("\n"));
        assert_eq!(golden.lines().count(), made.len());
    }
}
