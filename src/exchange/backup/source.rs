//! What a running node gives to a backup: everything as of one moment, each record judged before it
//! is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::super::command::{Command, RecordError};
use super::super::layout::{self, LinkNumber, LogSide, Record, Region, StoredBody, StoredEntry};
use super::super::read::{LogReader, ReadError, Stored};
use super::super::submit::header_of;
use super::super::{Exchange, HeadRecord, link_numbers};
use super::regions::{Fate, fate, unknown_region};
use crate::crypto::at_rest;
use crate::crypto::vkey::VerifierKey;
use crate::limits::{BACKUP_ITEMS_MAX, BACKUP_NAMES_MAX, BACKUP_SEGMENT_ENTRIES};
use crate::model::header::body_digest;
use crate::model::{NodeName, Origin};
use crate::proto::v1::{self, backup_response::Piece};
use crate::store::{Direction, Record as Row, StoreError};
use crate::tlog::{Tree, leaf_hash};

/// Bytes of entries after which a piece is given.
const PIECE_BYTES: usize = 1 << 20;

/// Why a node cannot give what it holds.
#[derive(Debug, thiserror::Error)]
pub enum SourceError<E> {
    /// The store's own words.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is missing or damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record is not what its log says.
    #[error(
        "entry {index} of {origin} is damaged in the node's store: {what}. Nothing of it was stored; \
         the former backup is whole. docs/operations.md, \"Records that are damaged or lost\", says \
         how to proceed"
    )]
    Damaged {
        /// The log.
        origin: String,
        /// The entry.
        index: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The store holds a region that this program does not know.
    #[error(
        "the store holds records of a kind that this program does not know (region {region:#04x}); a \
         backup would leave them out. Use the version of liaison that wrote them"
    )]
    UnknownRegion {
        /// First byte of their keys.
        region: u8,
    },
    /// Whoever asked takes no more.
    #[error("{0}")]
    Sink(E),
}

/// A moment of the node: both logs of every link, at the end of one commit each.
#[derive(Debug)]
pub struct Moment {
    at_ms: u64,
    links: Vec<LinkMoment>,
}

/// A link at that moment.
#[derive(Debug)]
struct LinkMoment {
    number: LinkNumber,
    own: LogMoment,
    mirror: LogMoment,
    /// Stages that what is owed had reached.
    stages: u64,
}

/// A log at that moment.
#[derive(Debug)]
struct LogMoment {
    origin: Origin,
    side: LogSide,
    reader: LogReader,
    tree: Arc<Tree>,
}

/// Takes pieces, one after the other.
pub type Sink<'a, E> = &'a mut dyn FnMut(v1::BackupResponse) -> Result<(), E>;

impl Exchange {
    /// The moment that a backup is of: everything asked of the recorder before is in it.
    ///
    /// # Errors
    /// When the recorder has stopped.
    pub async fn moment(&self) -> Result<Moment, RecordError> {
        self.ask(Command::Barrier).await?;
        self.read_moment().map_err(|error| RecordError::Stopped {
            reason: error.to_string(),
        })
    }

    /// The same, of what the recorder has done so far.
    ///
    /// # Errors
    /// When the store cannot be read, or what it says of a link is damaged.
    pub(in super::super) fn read_moment(&self) -> Result<Moment, ReadError> {
        let mut links = BTreeMap::new();
        for (peer, number) in link_numbers(&*self.store)? {
            let configured = self.links.values().find(|link| link.number == number);
            let (own, mirror, stages) = match configured {
                Some(link) => {
                    let stages = link.head().stages_count;
                    let trees = link.both_trees();
                    (trees.own, trees.mirror, stages)
                }
                None => self.resting(number, &peer)?,
            };
            let damaged = |_| ReadError::Damaged {
                what: "name of a peer",
                origin: format!("link {}", number.0),
                index: 0,
            };
            let peer = NodeName::parse(&peer).map_err(damaged)?;
            let origin = Origin::new(self.node.clone(), peer);
            let log = |side, origin, tree| LogMoment {
                reader: LogReader::new(&self.store, &self.blobs, number, side),
                origin,
                side,
                tree,
            };
            let moment = LinkMoment {
                number,
                own: log(LogSide::Own, origin.clone(), own),
                mirror: log(LogSide::Mirror, origin.reversed(), mirror),
                stages,
            };
            links.insert(number, moment);
        }
        Ok(Moment {
            at_ms: self.clock.unix_ms(),
            links: links.into_values().collect(),
        })
    }

    /// Both trees of a link that is configured no longer: nothing changes on it.
    fn resting(
        &self,
        number: LinkNumber,
        peer: &str,
    ) -> Result<(Arc<Tree>, Arc<Tree>, u64), ReadError> {
        let damaged = || ReadError::Damaged {
            what: "head",
            origin: format!("the link with {peer}"),
            index: 0,
        };
        let head = match self.store.get(&layout::head(number))? {
            Some(value) => HeadRecord::decode(&value).ok_or_else(damaged)?,
            None => HeadRecord::default(),
        };
        let tree = |side, size, root: [u8; 32]| {
            let reader = LogReader::new(&self.store, &self.blobs, number, side);
            let tree = Tree::restore(size, &reader).map_err(|error| reader.tree_error(error))?;
            if size > 0 && tree.root().0 != root {
                return Err(damaged());
            }
            Ok(Arc::new(tree))
        };
        Ok((
            tree(LogSide::Own, head.own_size, head.own_root)?,
            tree(LogSide::Mirror, head.mirror_size, head.mirror_root)?,
            u64::MAX,
        ))
    }

    /// Gives everything of a moment that the caller does not hold, piece by piece; blocks on the
    /// disk. Each entry is hashed again and compared with its log, each body with its header.
    ///
    /// # Errors
    /// [`SourceError`]: no end is given then.
    pub fn give_backup<E>(
        &self,
        moment: &Moment,
        held: &[v1::BackupHeld],
        sink: Sink<'_, E>,
    ) -> Result<(), SourceError<E>> {
        if let Some(region) = unknown_region(&*self.store)? {
            return Err(SourceError::UnknownRegion { region });
        }
        let mut give =
            |piece| sink(v1::BackupResponse { piece: Some(piece) }).map_err(SourceError::Sink);
        give(Piece::Start(self.start(moment)))?;
        for log in moment.logs() {
            let origin = log.origin.to_string();
            let held = held.iter().find(|held| held.origin == origin);
            let (entries, notes) = held.map_or((0, 0), |held| (held.entries, held.notes));
            self.give_entries(log, entries - entries % BACKUP_SEGMENT_ENTRIES, &mut give)?;
            give_notes(log, notes, &mut give)?;
        }
        self.give_rows(moment, &mut give)?;
        self.give_names(&mut give)?;
        give(Piece::End(v1::BackupEnd {}))
    }

    fn start(&self, moment: &Moment) -> v1::BackupStart {
        let logs = moment.links.iter().flat_map(|link| {
            [&link.own, &link.mirror].map(|log| v1::BackupLog {
                origin: log.origin.to_string(),
                link: u32::from(link.number.0),
                is_own: log.side == LogSide::Own,
                size: log.tree.size(),
                root: log.tree.root().0.to_vec().into(),
            })
        });
        // The newest of those at hand; which of them holds where is in the logs.
        let (message, log) = (self.ring.message(), self.ring.log());
        let named = |key: Option<VerifierKey>| key.map(|key| key.to_string()).unwrap_or_default();
        v1::BackupStart {
            node: self.node.to_string(),
            at_ms: moment.at_ms,
            store_format: layout::FORMAT_VERSION,
            message_key: named(message.last().map(|key| key.verifier(&self.node))),
            log_key: named(log.last().map(|key| key.cosigner_verifier(&self.node))),
            logs: logs.collect(),
        }
    }

    fn give_entries<E>(
        &self,
        log: &LogMoment,
        from: u64,
        give: &mut dyn FnMut(Piece) -> Result<(), SourceError<E>>,
    ) -> Result<(), SourceError<E>> {
        let size = log.tree.size();
        let mut at = from;
        while at < size {
            let count = BACKUP_ITEMS_MAX.min(usize::try_from(size - at).unwrap_or(usize::MAX));
            let end = at + count as u64;
            let page = log.reader.entries(at, end, count)?;
            let hashes = log.reader.leaf_hashes(&log.tree, at, end)?;
            if page.len() != count || hashes.len() != count {
                return Err(log.damaged(at + page.len() as u64, "it is missing"));
            }
            let mut piece = EntriesPiece::new(log, at);
            for (stored, hash) in page.iter().zip(hashes) {
                if leaf_hash(&stored.entry) != hash {
                    let what = "it does not hash to its place in the log's tree";
                    return Err(log.damaged(stored.index, what));
                }
                let body_bytes = log.check_body(stored)?;
                let author = match log.side {
                    LogSide::Own => self.author_at(log, stored.index)?,
                    LogSide::Mirror => String::new(),
                };
                let entry = match stored.record.entry {
                    StoredEntry::Inline(_) => Bytes::new(),
                    StoredEntry::File(_) => stored.entry.clone(),
                };
                piece.push(v1::BackupEntry {
                    record: stored.record.encode().into(),
                    author,
                    entry,
                    body_bytes,
                });
                if piece.bytes >= PIECE_BYTES {
                    give(piece.give())?;
                    piece = EntriesPiece::new(log, stored.index + 1);
                }
            }
            if !piece.entries.is_empty() {
                give(piece.give())?;
            }
            at = end;
        }
        Ok(())
    }

    fn author_at(&self, log: &LogMoment, index: u64) -> Result<String, StoreError> {
        let value = self
            .store
            .get(&layout::author(log.reader.number(), index))?;
        Ok(value.map_or_else(String::new, |text| {
            String::from_utf8_lossy(&text).into_owned()
        }))
    }

    /// Rows of the regions that no log tells. What speaks of what came after the moment is left out.
    fn give_rows<E>(
        &self,
        moment: &Moment,
        give: &mut dyn FnMut(Piece) -> Result<(), SourceError<E>>,
    ) -> Result<(), SourceError<E>> {
        for region in Region::ALL {
            if fate(region) != Fate::Carried && region != Region::Dated {
                continue;
            }
            let (mut start, end) = layout::region(region);
            loop {
                let rows = self
                    .store
                    .scan(&start, &end, BACKUP_ITEMS_MAX, Direction::Forward)?;
                let Some((last, _)) = rows.last() else { break };
                start.clone_from(last);
                start.push(0);
                let rows: Vec<_> = rows
                    .into_iter()
                    .filter(|(key, value)| moment.is_row_of(region, key, value))
                    .collect();
                let records = rows.iter().filter(|(key, _)| layout::is_record_row(key));
                let records: Vec<_> = records.cloned().collect();
                if !records.is_empty() {
                    let files = self.files_of_records(&records)?;
                    give(Piece::Files(v1::BackupFiles { files }))?;
                }
                let rows: Vec<_> = rows
                    .into_iter()
                    .map(|(key, value)| v1::BackupRow {
                        key: key.into(),
                        value: value.into(),
                    })
                    .collect();
                if !rows.is_empty() {
                    give(Piece::Rows(v1::BackupRows { rows }))?;
                }
            }
        }
        Ok(())
    }

    /// The files that the records of entries lie in which wait for their turn or are set aside.
    ///
    /// What is set aside may stay so just because its file is gone or spoiled: nobody misses that
    /// one any more. So it is carried as an attachment is, where it is here, and not required.
    fn files_of_records<E>(&self, rows: &[Row]) -> Result<Vec<v1::BackupNamed>, SourceError<E>> {
        let mut files = Vec::new();
        for (key, value) in rows {
            let index = layout::index_of(key).unwrap_or_default();
            let damaged = |what| {
                let link = layout::link_of(key).unwrap_or(LinkNumber(0));
                ReadError::Damaged {
                    what,
                    origin: format!("link {}", link.0),
                    index,
                }
            };
            let record = Record::decode(value).ok_or_else(|| damaged("waiting entry"))?;
            let entry = match record.entry {
                StoredEntry::File(digest) => Some(digest),
                StoredEntry::Inline(_) => None,
            };
            let body = record.body.file().copied();
            let is_record = Region::of(key) == Some(Region::Expressed);
            for digest in entry.into_iter().chain(body) {
                let Some(size) = self.blobs.size(&digest)? else {
                    if is_record {
                        return Err(damaged("file of the waiting entry").into());
                    }
                    continue;
                };
                files.push(v1::BackupNamed {
                    sha256: digest.to_vec().into(),
                    size,
                    is_here: true,
                    is_record,
                    content_sha256: Bytes::new(),
                });
            }
        }
        Ok(files)
    }

    /// Every file that a message names, and whether it is here.
    fn give_names<E>(
        &self,
        give: &mut dyn FnMut(Piece) -> Result<(), SourceError<E>>,
    ) -> Result<(), SourceError<E>> {
        let (mut start, end) = layout::region(Region::Wanted);
        loop {
            let rows = self
                .store
                .scan(&start, &end, BACKUP_NAMES_MAX, Direction::Forward)?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            start.clone_from(last);
            start.push(0);
            let mut files = Vec::with_capacity(rows.len());
            for (key, value) in &rows {
                let Some(sha256) = layout::wanted_digest(key) else {
                    continue;
                };
                let named = <[u8; 8]>::try_from(&value[..]).map_or(0, u64::from_be_bytes);
                let held = match self.blobs.sealed_as(&sha256) {
                    // What is in it is nobody's any more: nothing of it is kept.
                    Err(StoreError::Erased { .. }) => continue,
                    sealed => sealed?,
                };
                if let Some((sealed, size)) = held {
                    files.push(v1::BackupNamed {
                        sha256: sealed.to_vec().into(),
                        size,
                        is_here: true,
                        is_record: false,
                        content_sha256: sha256.to_vec().into(),
                    });
                    continue;
                }
                let held = self.blobs.size(&sha256)?;
                files.push(v1::BackupNamed {
                    sha256: sha256.to_vec().into(),
                    size: held.unwrap_or(named),
                    is_here: held.is_some(),
                    is_record: false,
                    content_sha256: Bytes::new(),
                });
            }
            give(Piece::Files(v1::BackupFiles { files }))?;
        }
    }
}

impl Moment {
    fn logs(&self) -> impl Iterator<Item = &LogMoment> {
        self.links.iter().flat_map(|link| [&link.own, &link.mirror])
    }

    /// Whether a row speaks of this moment, not of a later one.
    fn is_row_of(&self, region: Region, key: &[u8], value: &[u8]) -> bool {
        let link = || {
            let number = layout::link_of(key)?;
            self.links.iter().find(|link| link.number == number)
        };
        let sequence = || <[u8; 8]>::try_from(value).map_or(0, u64::from_be_bytes);
        match region {
            Region::Incident => true,
            Region::Dated => link().is_some_and(|link| {
                layout::index_of(key).is_some_and(|size| size > link.mirror.tree.size())
            }),
            Region::Breach => link().is_some_and(|link| {
                layout::index_of(key).is_some_and(|index| index < link.mirror.tree.size())
            }),
            Region::Stage => link().is_some_and(|link| {
                layout::index_of(key).is_some_and(|sequence| sequence < link.stages)
            }),
            Region::StageOf => link().is_some_and(|link| sequence() < link.stages),
            _ => link().is_some(),
        }
    }
}

impl LogMoment {
    fn damaged<E>(&self, index: u64, what: &'static str) -> SourceError<E> {
        SourceError::Damaged {
            origin: self.origin.to_string(),
            index,
            what,
        }
    }

    /// A body must be what its header says; one that is in a file is read whole. Answers how many
    /// bytes lie in the file.
    fn check_body<E>(&self, stored: &Stored) -> Result<u64, SourceError<E>> {
        if stored.record.body == StoredBody::Absent {
            return Ok(0);
        }
        let wrong = || self.damaged(stored.index, "its body is missing or is not what it was");
        let header = header_of(stored, &self.origin.to_string())
            .map_err(|_| self.damaged(stored.index, "its header cannot be read"))?;
        let body = match self.reader.body(stored) {
            Ok(body) => body,
            Err(
                ReadError::Missing { .. }
                | ReadError::Damaged { .. }
                | ReadError::Store(StoreError::Corrupt { .. }),
            ) => return Err(wrong()),
            Err(error) => return Err(error.into()),
        };
        match body {
            Some((salt, body)) if body_digest(&salt, &body) == header.body_digest => {
                Ok(match stored.record.body {
                    StoredBody::File { .. } => (salt.len() + body.len()) as u64,
                    StoredBody::SealedFile { .. } => {
                        (salt.len() + body.len() + at_rest::OVERHEAD_BYTES) as u64
                    }
                    _ => 0,
                })
            }
            // Its key was destroyed: what lies there is nobody's any more.
            None if matches!(stored.record.body, StoredBody::Sealed { .. }) => Ok(0),
            None if let StoredBody::SealedFile { digest, .. } = &stored.record.body => {
                Ok(self.reader.file_bytes(digest)?)
            }
            _ => Err(wrong()),
        }
    }
}

/// Entries that are given together.
struct EntriesPiece {
    origin: String,
    start_index: u64,
    entries: Vec<v1::BackupEntry>,
    bytes: usize,
}

impl EntriesPiece {
    fn new(log: &LogMoment, start_index: u64) -> Self {
        Self {
            origin: log.origin.to_string(),
            start_index,
            entries: Vec::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, entry: v1::BackupEntry) {
        self.bytes += entry.record.len() + entry.entry.len();
        self.entries.push(entry);
    }

    fn give(self) -> Piece {
        Piece::Entries(v1::BackupEntries {
            origin: self.origin,
            start_index: self.start_index,
            entries: self.entries,
        })
    }
}

/// Gives the checkpoints of sizes beyond `from`: those of each piece of the log together, receipts
/// before dated ones.
fn give_notes<E>(
    log: &LogMoment,
    from: u64,
    give: &mut dyn FnMut(Piece) -> Result<(), SourceError<E>>,
) -> Result<(), SourceError<E>> {
    let size = log.tree.size();
    let mut start = from;
    while start < size {
        let end = (start - start % BACKUP_SEGMENT_ENTRIES + BACKUP_SEGMENT_ENTRIES).min(size);
        for is_dated in [false, true] {
            if is_dated && log.side == LogSide::Own {
                continue;
            }
            let mut at = start + 1;
            while at <= end {
                let (count, forward) = (BACKUP_ITEMS_MAX, Direction::Forward);
                let page = if is_dated {
                    log.reader.dated(at, end + 1, count, forward)?
                } else {
                    log.reader.checkpoints(at, end + 1, count, forward)?
                };
                let Some((last, _)) = page.last() else { break };
                at = last + 1;
                let notes = page.into_iter().map(|(size, note)| v1::BackupNote {
                    is_dated,
                    size,
                    note: Bytes::from(note),
                });
                give(Piece::Notes(v1::BackupNotes {
                    origin: log.origin.to_string(),
                    notes: notes.collect(),
                }))?;
            }
        }
        start = end;
    }
    Ok(())
}
