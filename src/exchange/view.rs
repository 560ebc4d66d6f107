//! Reading it back as people see it: messages with their level, pages of them.
//!
//! How far a message has come is never stored as truth: it is told from the receipts and from
//! what answers it.

use std::sync::{Arc, PoisonError};

use prost::Message as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::cases::told;
use super::clock::{timestamp_of_ms, timestamp_of_seconds};
use super::layout::{self, Place};
use super::read::{ReadError, Stored};
use super::submit::{files_of, header_of};
use super::{Exchange, Link, LogSide};
use crate::limits::{PAGE_MESSAGES_MAX, PAGE_SCAN_MAX, SEARCH_BODIES_MAX, SEARCH_BYTES_MAX};
use crate::model::body::{self, Decoded};
use crate::model::search::{Words, WordsError};
use crate::model::{Header, MessageId, handling};
use crate::proto::v1::{self, Classification, HandlingCode, Kind, Level, Precedence, Status};
use crate::store::Direction;

/// How much of a message is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Everything but body, files and the receipt's date.
    Line,
    /// All of it.
    Full,
}

/// Messages answering one that are looked at; more do not change its level.
const ANSWERS_MAX: usize = 256;

impl Exchange {
    /// The link and place of a message. If messages of several links have the id, it is that of the
    /// one recorded first: a peer that learns an id cannot put its own message before another's.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find(&self, id: MessageId) -> Result<Option<(Arc<Link>, Place)>, ReadError> {
        let mut found = Vec::new();
        for link in self.links() {
            if let Some(place) = self.place(link, id)? {
                found.push((Arc::clone(link), place));
            }
        }
        if found.len() < 2 {
            return Ok(found.pop());
        }
        let mut first: Option<(u64, (Arc<Link>, Place))> = None;
        for (link, place) in found {
            let (_, stored) = self.stored_at(&link, place)?;
            let at_ms = stored.record.recorded_at_ms;
            if first.as_ref().is_none_or(|(first_ms, _)| at_ms < *first_ms) {
                first = Some((at_ms, (link, place)));
            }
        }
        Ok(first.map(|(_, found)| found))
    }

    /// The record at a message's place, and the side whose log that is.
    pub(super) fn stored_at(
        &self,
        link: &Link,
        place: Place,
    ) -> Result<(LogSide, Stored), ReadError> {
        Ok(match place {
            Place::Log(side, index) => (side, self.reader(link, side).entry(index)?),
            Place::Expressed(index) => {
                let reader = self.reader(link, LogSide::Mirror);
                match reader.expressed(index) {
                    // Its turn has come meanwhile.
                    Err(ReadError::Missing { .. }) => (LogSide::Mirror, reader.entry(index)?),
                    other => (LogSide::Mirror, other?),
                }
            }
        })
    }

    /// A message by its place.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn message(
        &self,
        link: &Link,
        place: Place,
        detail: Detail,
    ) -> Result<v1::Message, ReadError> {
        let (side, stored) = self.stored_at(link, place)?;
        self.message_of(link, side, &stored, detail)
    }

    /// A message from its record. An entry that was refused for its form may have no readable
    /// header: then only place and level are told.
    ///
    /// # Errors
    /// When body or answers cannot be read.
    pub fn message_of(
        &self,
        link: &Link,
        side: LogSide,
        stored: &Stored,
        detail: Detail,
    ) -> Result<v1::Message, ReadError> {
        let mut message = v1::Message {
            peer: link.peer.to_string(),
            side: match side {
                LogSide::Own => v1::Side::Own as i32,
                LogSide::Mirror => v1::Side::Peer as i32,
            },
            index: stored.index,
            recorded_at: Some(timestamp_of_ms(stored.record.recorded_at_ms)),
            expressed: stored.record.expressed,
            origin: link.origin(side).to_string(),
            ..v1::Message::default()
        };
        let header = match header_of(stored, &link.origin(side).to_string()) {
            Ok(header) => header,
            Err(_) if stored.record.refused => {
                message.level = Level::Refused as i32;
                message.body_withheld = true;
                return Ok(message);
            }
            Err(error) => return Err(error),
        };
        fill_header(&mut message, &header);
        let classification = header
            .wire
            .handling
            .map_or(0, |stated| stated.classification);
        message.above_ceiling =
            side == LogSide::Mirror && handling::is_above(classification, link.classification_max);
        if !stored.record.refused {
            message.released_by = link.released_by(side, stored.index, &stored.entry);
        }
        // Asked for once: what is told of one message is of one moment.
        let delivered = side == LogSide::Mirror || stored.index < link.head().delivered_size;
        self.fill_standing(link, side, stored, delivered, &header, &mut message)?;
        if detail == Detail::Line
            && let Some(refusal) = &mut message.refusal
        {
            // It quotes what was wrong with the body.
            refusal.detail.clear();
        }
        if detail == Detail::Full {
            self.fill_body(link, side, stored, &header, &mut message)?;
            self.fill_erasure(link, side, stored, &header, &mut message)?;
            self.fill_receipt(link, side, stored, delivered, &mut message)?;
        }
        Ok(message)
    }

    fn fill_standing(
        &self,
        link: &Link,
        side: LogSide,
        stored: &Stored,
        delivered: bool,
        header: &Header,
        message: &mut v1::Message,
    ) -> Result<(), ReadError> {
        let mut level = if delivered {
            Level::Delivered
        } else {
            Level::Recorded
        };
        let (start, end) = layout::answers_of(link.number, header.id);
        let answers = self
            .store
            .scan(&start, &end, ANSWERS_MAX, Direction::Forward)?;
        let mut withdrawn = false;
        for (key, value) in &answers {
            let Some((from, index)) = layout::answer_place(key) else {
                continue;
            };
            let number = i32::from_be_bytes(value[..].try_into().unwrap_or_default());
            let kind = Kind::try_from(number).unwrap_or(Kind::Unspecified);
            match kind {
                Kind::Withdrawal => withdrawn |= from == side,
                kind if body::is_system_kind(kind) => continue,
                // Asks for more time; the substance is still to come.
                Kind::DeadlineExtension => {}
                Kind::Acknowledgement if from != side => level = level.max(Level::Acknowledged),
                _ if from != side => level = level.max(Level::Replied),
                _ => {}
            }
            let answer = self.reader(link, from).entry(index)?;
            if let Ok(answer) = header_of(&answer, "") {
                message.answers.push(answer.id.to_string());
            }
        }
        if withdrawn {
            level = Level::Withdrawn;
        }
        if stored.record.refused {
            level = Level::Refused;
        }
        if side == LogSide::Own
            && let Some(refusal) = self.refusal_of(link, stored.index)?
        {
            level = Level::Refused;
            message.refusal = Some(refusal);
        }
        message.level = level as i32;
        Ok(())
    }

    /// The peer's REFUSAL of an own entry, if there is one.
    fn refusal_of(&self, link: &Link, own_index: u64) -> Result<Option<v1::Refusal>, ReadError> {
        let value = self.store.get(&layout::refused(link.number, own_index))?;
        let Some(index) = value.and_then(|v| Some(u64::from_be_bytes(v.try_into().ok()?))) else {
            return Ok(None);
        };
        let reader = self.reader(link, LogSide::Mirror);
        let body = reader.body(&reader.entry(index)?)?;
        Ok(body.and_then(|(_, bytes)| v1::Refusal::decode(bytes).ok()))
    }

    fn fill_body(
        &self,
        link: &Link,
        side: LogSide,
        stored: &Stored,
        header: &Header,
        message: &mut v1::Message,
    ) -> Result<(), ReadError> {
        let reader = self.reader(link, side);
        match reader.body(stored)? {
            None => message.body_withheld = true,
            Some((_, bytes)) => match body::decode(header.kind, &header.schema, &bytes) {
                Ok(Decoded::Known(known)) => {
                    message.attachments = self.attachment_states(&known)?;
                    message.body = Some(known);
                }
                Ok(Decoded::Newer) | Err(_) => message.needs_newer_version = true,
            },
        }
        let standing = self.with_cases(link, |cases| {
            let folded = cases.folded(header.thread_id)?;
            let judged = folded.and_then(|folded| folded.message(header.id));
            Ok::<_, ReadError>(judged.map(|judged| told(&judged.standing)))
        })??;
        if let Some((standing, reason)) = standing {
            message.standing = standing.into();
            message.standing_reason = reason;
        }
        Ok(())
    }

    /// Who has erased it: here, and over there.
    fn fill_erasure(
        &self,
        link: &Link,
        side: LogSide,
        stored: &Stored,
        header: &Header,
        message: &mut v1::Message,
    ) -> Result<(), ReadError> {
        let said = |notice: v1::ErasureNotice| v1::Erasure {
            at: notice.erased_at,
            authority: notice.authority,
            ..v1::Erasure::default()
        };
        let erasure = self.erasure_of(link, side, stored.index)?;
        message.erasure = match erasure.as_ref().map(v1::Erasure::from) {
            None if message.body_withheld && !stored.record.refused => {
                self.erasure_said(link, header.id, LogSide::Own)?.map(said)
            }
            erasure => erasure,
        };
        let notice = self.erasure_said(link, header.id, LogSide::Mirror)?;
        message.peer_erasure = notice.map(said);
        Ok(())
    }

    /// When the other side's receipt says that it has it.
    fn fill_receipt(
        &self,
        link: &Link,
        side: LogSide,
        stored: &Stored,
        delivered: bool,
        message: &mut v1::Message,
    ) -> Result<(), ReadError> {
        if side == LogSide::Own
            && delivered
            && let Some((_, note)) = self.reader(link, side).checkpoint_covering(stored.index)?
            && let Some(cosigned_at) = cosigned_at(link, &note)
        {
            message.delivered_at = Some(timestamp_of_seconds(cosigned_at));
        }
        Ok(())
    }

    fn attachment_states(&self, body: &v1::Body) -> Result<Vec<v1::AttachmentState>, ReadError> {
        let Some(content) = &body.body else {
            return Ok(Vec::new());
        };
        let files = files_of(content);
        let attachments = body::attachments(content);
        let mut states = Vec::with_capacity(files.len());
        for (file, attachment) in files.iter().zip(attachments) {
            let complete = self.blobs.size(&file.sha256)? == Some(file.size);
            states.push(v1::AttachmentState {
                attachment: Some(attachment.clone()),
                held_bytes: if complete {
                    file.size
                } else {
                    self.blobs.partial(&file.sha256)?
                },
                complete,
            });
        }
        Ok(states)
    }

    /// One page of messages, newest first as recorded here, over all links and both sides.
    /// `may_see` leaves out what the reader must not know of.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn list(
        &self,
        request: &v1::ListRequest,
        may_see: impl Fn(&v1::Message) -> bool,
    ) -> Result<v1::ListResponse, PageError> {
        let filter = Filter::of(request)?;
        let mut streams = self.streams(request)?;
        let mut page = v1::ListResponse::default();
        let mut scanned = 0;
        let mut searched = Searched::default();
        while page.messages.len() < filter.page_size
            && scanned < PAGE_SCAN_MAX
            && !searched.is_enough()
        {
            for stream in &mut streams {
                self.fill(stream)?;
            }
            // The newest of the streams' heads.
            let newest = streams
                .iter_mut()
                .filter_map(|s| Some((s.ahead.last()?.record.recorded_at_ms, s)))
                .max_by_key(|(at, _)| *at);
            let Some((_, stream)) = newest else {
                return Ok(page);
            };
            let Some(stored) = stream.ahead.pop() else {
                return Ok(page);
            };
            stream.position.before = stored.index;
            scanned += 1;
            let side = stream.position.side();
            let link = Arc::clone(&stream.link);
            if let Some(message) = self.matching(&link, side, &stored, &filter, &mut searched)?
                && may_see(&message)
            {
                page.messages.push(message);
            }
        }
        let positions: Vec<Position> = streams.iter().map(|stream| stream.position).collect();
        page.next_page_token = token_of(&positions, request);
        Ok(page)
    }

    fn matching(
        &self,
        link: &Link,
        side: LogSide,
        stored: &Stored,
        filter: &Filter,
        searched: &mut Searched,
    ) -> Result<Option<v1::Message>, ReadError> {
        // The header is cheap, the standing is not: filter by the header first.
        if let Ok(header) = header_of(stored, "")
            && !filter.takes_header(&header, stored)
        {
            return Ok(None);
        }
        if let Some(words) = &filter.words
            && !self.says(link, side, stored, words, searched)?
        {
            return Ok(None);
        }
        let message = self.message_of(link, side, stored, Detail::Line)?;
        let takes = filter.levels.is_empty() || filter.levels.contains(&message.level);
        Ok(takes.then_some(message))
    }

    /// Whether words are in the body of an entry. They are not in one that was erased, or refused; one
    /// that is damaged is passed over, so that others are found.
    fn says(
        &self,
        link: &Link,
        side: LogSide,
        stored: &Stored,
        words: &Words,
        searched: &mut Searched,
    ) -> Result<bool, ReadError> {
        let Ok(header) = header_of(stored, "") else {
            return Ok(false);
        };
        searched.bodies += 1;
        let body = match self.reader(link, side).body(stored) {
            Ok(body) => body,
            Err(ReadError::Damaged { .. } | ReadError::Missing { .. }) => {
                let (peer, index) = (&link.peer, stored.index);
                tracing::warn!(%peer, ?side, index, "a body cannot be searched: it is damaged");
                None
            }
            Err(error) => return Err(error),
        };
        let Some((_, bytes)) = body else {
            return Ok(false);
        };
        searched.bytes += bytes.len();
        Ok(words.are_in(&header.schema, &bytes))
    }

    fn streams(&self, request: &v1::ListRequest) -> Result<Vec<Stream>, PageError> {
        let resumed: Option<Vec<Position>> = match request.page_token.as_str() {
            "" => None,
            token => Some(positions_of(token, request).ok_or(PageError::Token)?),
        };
        if !request.peer.is_empty() && self.link(&request.peer).is_none() {
            return Err(PageError::Peer {
                peer: request.peer.clone(),
            });
        }
        let mut streams = Vec::new();
        for link in self.links() {
            if !request.peer.is_empty() && request.peer != link.peer.as_str() {
                continue;
            }
            let head = link.head();
            for (source, before) in [
                (Source::Own, head.own_size),
                (Source::Mirror, head.mirror_size),
                (Source::Expressed, u64::MAX),
            ] {
                let wanted = match v1::Side::try_from(request.side) {
                    Ok(v1::Side::Own) => source == Source::Own,
                    Ok(v1::Side::Peer) => source != Source::Own,
                    _ => true,
                };
                if !wanted {
                    continue;
                }
                let mut position = Position {
                    link: link.number.0,
                    source,
                    before,
                };
                if let Some(resumed) = &resumed {
                    let at = resumed
                        .iter()
                        .find(|p| p.link == position.link && p.source == source);
                    position.before = at.map_or(0, |p| p.before.min(before));
                }
                streams.push(Stream {
                    link: Arc::clone(link),
                    position,
                    ahead: Vec::new(),
                });
            }
        }
        Ok(streams)
    }

    /// Reads the next entries of a stream, oldest first, so that the newest is popped.
    fn fill(&self, stream: &mut Stream) -> Result<(), ReadError> {
        const AHEAD: usize = 64;
        if !stream.ahead.is_empty() || stream.position.before == 0 {
            return Ok(());
        }
        let reader = self.reader(&stream.link, stream.position.side());
        stream.ahead = match stream.position.source {
            Source::Own | Source::Mirror => reader.entries_before(stream.position.before, AHEAD)?,
            Source::Expressed => {
                let mut all = reader.all_expressed()?;
                all.retain(|stored| stored.index < stream.position.before);
                all.reverse();
                all
            }
        };
        if stream.ahead.is_empty() {
            stream.position.before = 0;
        }
        stream.ahead.reverse();
        Ok(())
    }
}

/// The date of a receipt for the own log. The one verified last is not verified again.
pub(super) fn cosigned_at(link: &Link, note: &str) -> Option<u64> {
    let last = link
        .last_receipt
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .filter(|receipt| receipt.note == note)
        .map(|receipt| receipt.cosigned_at);
    last.or_else(|| Some(link.own_verifier.receipt(note).ok()?.cosigned_at))
}

/// Why a page cannot be given: the caller's mistake, or the store's.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The page token is none of ours.
    #[error(
        "pageToken: it is not one that List gave for these filters and words; leave it empty to start \
         again"
    )]
    Token,
    /// Too large a page.
    #[error("pageSize: {asked} is more than {PAGE_MESSAGES_MAX}; ask for fewer")]
    Size {
        /// Asked for.
        asked: u32,
    },
    /// No such peer.
    #[error("peer: {peer} is no peer of this node; `peer list` shows them")]
    Peer {
        /// The name given.
        peer: String,
    },
    /// An id that is none.
    #[error("threadId: it is no UUIDv7; use the thread id that `show` prints")]
    Thread,
    /// Words that cannot be searched for.
    #[error("text: {0}")]
    Words(#[from] WordsError),
    /// The store's own words.
    #[error(transparent)]
    Read(#[from] ReadError),
}

struct Stream {
    link: Arc<Link>,
    position: Position,
    ahead: Vec<Stored>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    #[serde(rename = "o")]
    Own,
    #[serde(rename = "m")]
    Mirror,
    #[serde(rename = "x")]
    Expressed,
}

/// How far one stream has been read: everything from `before` on has been.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Position {
    link: u16,
    source: Source,
    before: u64,
}

impl Position {
    fn side(&self) -> LogSide {
        match self.source {
            Source::Own => LogSide::Own,
            Source::Mirror | Source::Expressed => LogSide::Mirror,
        }
    }
}

/// What a page token says.
#[derive(Serialize, Deserialize)]
struct Token {
    /// [`query_digest`].
    query: String,
    at: Vec<Position>,
}

fn token_of(positions: &[Position], request: &v1::ListRequest) -> String {
    let open = positions.iter().filter(|p| p.before > 0).copied();
    let open: Vec<_> = open.collect();
    if open.is_empty() {
        return String::new();
    }
    let token = Token {
        query: hex::encode(query_digest(request)),
        at: open,
    };
    hex::encode(serde_json::to_vec(&token).unwrap_or_default())
}

/// The positions of a token that was given for the same query.
fn positions_of(token: &str, request: &v1::ListRequest) -> Option<Vec<Position>> {
    let token: Token = serde_json::from_slice(&hex::decode(token).ok()?).ok()?;
    (token.query == hex::encode(query_digest(request))).then_some(token.at)
}

/// SHA-256 over what is asked for: filters and words, not which page of it and how large.
#[must_use]
pub fn query_digest(request: &v1::ListRequest) -> [u8; 32] {
    let query = v1::ListRequest {
        page_token: String::new(),
        page_size: 0,
        ..request.clone()
    };
    Sha256::digest(query.encode_to_vec()).into()
}

/// What was opened for one page.
#[derive(Debug, Default)]
struct Searched {
    bodies: usize,
    bytes: usize,
}

impl Searched {
    fn is_enough(&self) -> bool {
        self.bodies >= SEARCH_BODIES_MAX || self.bytes >= SEARCH_BYTES_MAX
    }
}

struct Filter {
    words: Option<Words>,
    kinds: Vec<i32>,
    precedences: Vec<i32>,
    statuses: Vec<i32>,
    levels: Vec<i32>,
    thread: Option<MessageId>,
    from_ms: u64,
    to_ms: u64,
    page_size: usize,
}

impl Filter {
    fn of(request: &v1::ListRequest) -> Result<Self, PageError> {
        if request.page_size > PAGE_MESSAGES_MAX {
            return Err(PageError::Size {
                asked: request.page_size,
            });
        }
        let thread = match request.thread_id.as_str() {
            "" => None,
            text => Some(MessageId::parse(text).map_err(|_| PageError::Thread)?),
        };
        let ms = |at: &prost_types::Timestamp| {
            u64::try_from(at.seconds)
                .unwrap_or_default()
                .saturating_mul(1_000)
                .saturating_add(u64::try_from(at.nanos).unwrap_or_default() / 1_000_000)
        };
        let words = match request.text.as_str() {
            "" => None,
            typed => Some(Words::parse(typed)?),
        };
        Ok(Self {
            words,
            kinds: request.kinds.clone(),
            precedences: request.precedences.clone(),
            statuses: request.statuses.clone(),
            levels: request.levels.clone(),
            thread,
            from_ms: request.from.as_ref().map_or(0, ms),
            to_ms: request.to.as_ref().map_or(u64::MAX, ms),
            page_size: match request.page_size {
                0 => 50,
                size => size as usize,
            },
        })
    }

    fn takes_header(&self, header: &Header, stored: &Stored) -> bool {
        let takes = |wanted: &[i32], number: i32| wanted.is_empty() || wanted.contains(&number);
        takes(&self.kinds, header.kind)
            && takes(&self.precedences, header.precedence)
            && takes(&self.statuses, header.status)
            && self.thread.is_none_or(|thread| thread == header.thread_id)
            && (self.from_ms..self.to_ms).contains(&stored.record.recorded_at_ms)
    }
}

fn fill_header(message: &mut v1::Message, header: &Header) {
    let wire = &header.wire;
    let kind = Kind::try_from(header.kind).unwrap_or(Kind::Unspecified);
    message.id = header.id.to_string();
    message.kind_number = header.kind;
    message.kind = kind as i32;
    message.precedence = header.precedence;
    message.status = header.status;
    message.handling = wire.handling;
    message.thread_id = header.thread_id.to_string();
    message.in_reply_to = header
        .in_reply_to
        .map(|id| id.to_string())
        .unwrap_or_default();
    message.supersedes = header
        .supersedes
        .map(|id| id.to_string())
        .unwrap_or_default();
    message.created_at = wire.created_at;
    message.acknowledge_by = wire.acknowledge_by;
    message.respond_by = wire.respond_by;
    message.schema.clone_from(&header.schema);
    message.body_size = header.body_size;
    message.body_digest = header.body_digest.to_vec().into();
    message.needs_newer_version = kind == Kind::Unspecified
        || Precedence::try_from(header.precedence).is_err()
        || Status::try_from(header.status).is_err()
        || wire.handling.is_some_and(|handling| {
            Classification::try_from(handling.classification).is_err()
                || HandlingCode::try_from(handling.code).is_err()
        });
}
