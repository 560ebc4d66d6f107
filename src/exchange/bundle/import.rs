//! Taking a bundle: the listening half of a session, from a file.
//!
//! First the whole file is judged: signature, every byte, every piece. Only then, with the link for
//! itself, is it taken as a session's frames are. Each run is one commit; so a crash in between leaves
//! what a cut session leaves, and the same bundle may be taken again.
//!
//! ```text
//! judged to the last byte      nothing is durable
//! Hello judged                 receipt of the own entries; a hold, if it contradicts
//! each Push: mirrored ─ flush ─ mark ─ cosigned, kept
//! each file: whole, under its digest
//! confirmed, noted as taken    from now on bundles from here answer it
//! ```

use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::format::{FormatError, Pieces, Reader};
use super::{BundleError, blocking, refuse_stopped};
use crate::crypto::keys::LogKey;
use crate::exchange::command::Command;
use crate::exchange::hold::{Hold, Incident};
use crate::exchange::mirror::{peer_checkpoint, without_known};
use crate::exchange::noted::Cause;
use crate::exchange::session::{self, PROTOCOL_VERSION, Stop};
use crate::exchange::{Exchange, Link, LogSide};
use crate::limits::{
    ATTACHMENT_BYTES_MAX, BUNDLE_ANSWERS_MAX, BUNDLE_READ_BYTES, CHUNK_BYTES_MAX, ENTRY_BYTES_MAX,
    KEPT_NOTE_BYTES_MAX, PUSH_ENTRIES_MAX,
};
use crate::model::{MessageId, NodeName};
use crate::proto::v1::{self, bundle_piece::Piece, frame};
use crate::store::StoreError;
use crate::tlog::leaf_hash;

/// How often a session that takes the link again and again is told to leave it.
const STOP_AGAIN: Duration = Duration::from_millis(50);

/// What came of a bundle.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// Its statement.
    pub statement: v1::BundleStatement,
    /// Entries that are recorded now and were not before.
    pub recorded: u64,
    /// Entries that were here already.
    pub known: u64,
    /// Entries shown ahead of their turn.
    pub ahead: u64,
    /// Entries for which there was no room to wait for their turn.
    pub left: u64,
    /// Own entries that have a receipt now and had none before.
    pub delivered: u64,
    /// Attachments that are whole now and were not before.
    pub files_taken: u64,
    /// Attachments that no message admitted here names.
    pub files_unwanted: u64,
    /// Attachments that could not be kept; the same bundle may be taken again.
    pub files_failed: u64,
    /// Checkpoints of the own log may be signed: the next bundle carries entries under them.
    pub may_sign: bool,
    /// Own entries without a receipt.
    pub waiting: u64,
}

/// A bundle that was judged to its last byte.
struct Judged {
    link: Arc<Link>,
    statement: v1::BundleStatement,
    hello: v1::Hello,
    /// The log key that opens it.
    key: Arc<LogKey>,
}

/// An attachment on its way from the file into the store.
struct Taking {
    digest: [u8; 32],
    size: u64,
    /// Bytes of it read.
    at: u64,
    /// It is kept; else it is read and dropped.
    kept: bool,
}

impl Exchange {
    /// Takes a bundle that lies in a file of this node's own. A session that runs on its link is
    /// stopped first, and may go on afterwards.
    ///
    /// May be dropped at any point: what was recorded until then stays.
    ///
    /// # Errors
    /// [`BundleError`]; it says whether anything of the bundle was recorded.
    pub async fn import_bundle(self: &Arc<Self>, file: File) -> Result<Imported, BundleError> {
        let file = Arc::new(file);
        let (exchange, spool) = (Arc::clone(self), Arc::clone(&file));
        let judged = blocking(move || exchange.judge_bundle(&spool)).await?;
        let link = Arc::clone(&judged.link);
        let alone = own_link(&link).await;
        refuse_stopped(&link)?;
        // A session that was stopped may have left a run with the recorder.
        self.ask(Command::Barrier).await?;
        let (start_index, mirror_size) = (judged.statement.start_index, link.head().mirror_size);
        if judged.statement.under_checkpoints
            && start_index < judged.statement.end_index
            && start_index > mirror_size
        {
            return Err(BundleError::Gap {
                peer: link.peer.to_string(),
                node: self.node().to_string(),
                start_index,
                mirror_size,
            });
        }
        let delivered_before = link.head().delivered_size;
        let mut imported = Imported {
            statement: judged.statement.clone(),
            ..Imported::default()
        };
        let taken = match self.take_bundle(&judged, &file, &mut imported).await {
            Ok(()) => Ok(()),
            Err(Failed::Bundle(error)) => Err(error),
            Err(Failed::Stop(Stop::End(end))) => Err(BundleError::of_end(end)),
            Err(Failed::Stop(Stop::Breach(breach))) => {
                let hold = Hold {
                    code: breach.code as i32,
                    origin: breach.origin,
                    index: breach.index,
                    text: breach.text,
                    evidence: breach.evidence.pieces,
                    equivocation: breach.evidence.equivocation,
                    at_ms: self.clock().unix_ms(),
                };
                let why = super::worded(&hold);
                self.hold(&link, hold).await?;
                let peer = link.peer.to_string();
                Err(BundleError::NowHeld { peer, why })
            }
        };
        drop(alone);
        taken?;
        let head = link.head();
        imported.delivered = head.delivered_size - delivered_before;
        imported.may_sign = link.carriage.may_sign();
        imported.waiting = head.own_size - head.delivered_size;
        tracing::info!(
            peer = %link.peer, recorded = imported.recorded, ahead = imported.ahead,
            delivered = imported.delivered, files = imported.files_taken, "bundle taken"
        );
        Ok(imported)
    }

    /// Reads the whole file twice: whether it is as it was signed, and whether it holds what a bundle
    /// holds. Records nothing.
    fn judge_bundle(&self, file: &File) -> Result<Judged, BundleError> {
        let reader = open(file)?;
        let (from, to) = (reader.preamble().from.clone(), reader.preamble().to.clone());
        if to != *self.node() {
            return Err(BundleError::OtherRecipient {
                to: to.to_string(),
                node: self.node().to_string(),
            });
        }
        let Some(link) = self.link(from.as_str()).cloned() else {
            let from = from.to_string();
            return Err(BundleError::UnknownSender { from });
        };
        // The key by which the sender spoke when it made the bundle; what came since may have ended it.
        let history = link.key_history(LogSide::Mirror);
        let keys = |claimed: &v1::BundleStatement| history.message_keys_beside(claimed.own_size);
        let statement = reader.statement(keys)?;
        // Sealed to the key that the sender knew: one of those at hand, the newest first; or one that
        // was in use when the bundle was made.
        let mut why = None;
        let at_hand = self.ring().log().into_iter().rev();
        let retired = std::iter::once_with(|| self.ring().retired_log()).flatten();
        for key in at_hand.chain(retired) {
            let mut pieces = Pieces::new(open(file)?, &key)?;
            match check_pieces(&mut pieces, &statement, &from) {
                Ok(hello) => {
                    return Ok(Judged {
                        link,
                        statement,
                        hello,
                        key,
                    });
                }
                // What the keys at hand say of it counts, not what those that have ended do.
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.map_or(BundleError::NoKey, BundleError::from))
    }

    async fn take_bundle(
        self: &Arc<Self>,
        judged: &Judged,
        file: &File,
        imported: &mut Imported,
    ) -> Result<(), Failed> {
        let link = &judged.link;
        self.judge_bundle_hello(judged).await?;
        let mut pieces = Pieces::new(open(file)?, &judged.key)?;
        let mut taking: Option<Taking> = None;
        while let Some(piece) = pieces.piece()? {
            refuse_stopped(link)?;
            match piece.piece {
                Some(Piece::Frame(v1::Frame { frame: Some(frame) })) => {
                    let is_of_lost_log = self.is_of_lost_log(judged, &frame, imported).await?;
                    if is_of_lost_log {
                        continue;
                    }
                    self.take_frame(link, frame, imported).await?;
                }
                Some(Piece::File(begin)) => taking = Some(self.begin_file(link, &begin, imported)?),
                Some(Piece::Chunk(chunk)) => {
                    if let Some(taking) = &mut taking {
                        self.take_chunk(taking, chunk, imported).await?;
                    }
                }
                _ => {}
            }
            if let Some(done) = taking.take_if(|taking| taking.at == taking.size) {
                self.end_file(link, &done, imported).await?;
            }
            // Long stretches of it wait for nothing.
            tokio::task::yield_now().await;
        }
        if let Err(error) = self.confirm_files(link).await {
            // The node's own confirmer tries again.
            tracing::warn!(peer = %link.peer, %error, "files not confirmed yet");
        }
        let id = MessageId::from_slice(&judged.statement.bundle_id);
        let mut ids: Vec<MessageId> = id.into_iter().collect();
        let before = self.bundles_taken(link)?;
        ids.extend(
            before
                .into_iter()
                .filter(|id| !ids.contains(id))
                .collect::<Vec<_>>(),
        );
        ids.truncate(BUNDLE_ANSWERS_MAX);
        self.ask(|reply| Command::BundlesTaken(link.number, ids, reply))
            .await?;
        Ok(())
    }

    /// Judges the Hello as a session does, but that an old one is only old.
    async fn judge_bundle_hello(self: &Arc<Self>, judged: &Judged) -> Result<(), Failed> {
        let Judged {
            link,
            statement,
            hello,
            key: _,
        } = judged;
        let answers: Vec<_> = statement
            .answers
            .iter()
            .filter_map(|id| MessageId::from_slice(id).ok())
            .collect();
        // However old: what carries this node's own signature and is not here is missing here.
        let shown = self.behind(link, hello)?;
        if shown.is_behind() {
            let why = self.notice_behind(link, &shown).await?;
            let peer = link.peer.to_string();
            return Err(BundleError::Restoring { peer, why }.into());
        }
        let answered = link.carriage.answered(&answers);
        let head = link.head();
        let rolled_back = answered.is_some_and(|then| hello.own_size < then.mirror_size);
        if rolled_back || hello.own_size >= head.mirror_size {
            self.judge_peer_log(link, hello).await?;
        } else {
            self.take_heartbeat(link, &hello.own_checkpoint).await?;
        }
        let lost = answered.is_some_and(|then| hello.mirrored_size < then.delivered_size);
        if lost || hello.mirrored_size >= head.delivered_size {
            self.judge_own_log(link, hello).await?;
        } else if hello.mirrored_size > 0 {
            // An old receipt: it must hold all the same, and says nothing new.
            self.verify_receipt(link, &hello.mirrored_checkpoint)?;
        }
        if answered.is_some() {
            link.carriage.judged();
        }
        Ok(())
    }

    /// An entry ahead of its turn of a sender whose log was put back: it has signed nothing since,
    /// and does not know yet what stands here at that index. That is no breach; a session settles it.
    async fn is_of_lost_log(
        &self,
        judged: &Judged,
        frame: &frame::Frame,
        imported: &mut Imported,
    ) -> Result<bool, Failed> {
        let link = &judged.link;
        let size = link.head().mirror_size;
        let frame::Frame::Express(express) = frame else {
            return Ok(false);
        };
        if judged.statement.under_checkpoints
            || judged.hello.own_size >= size
            || express.index >= size
        {
            return Ok(false);
        }
        let Some(item) = &express.item else {
            return Ok(false);
        };
        let mirrored = self.reader(link, LogSide::Mirror).entry(express.index);
        let mirrored = mirrored.map_err(Stop::from)?;
        if leaf_hash(&mirrored.entry) == leaf_hash(&item.entry) {
            return Ok(false);
        }
        if imported.left == 0 {
            let incident = Incident {
                at_ms: self.clock.unix_ms(),
                peer: link.peer.to_string(),
                what: format!(
                    "a bundle of {} carries other entries than are mirrored at their indices, such \
                     as {}: its log was put back. They are not taken; let it connect, and it gets \
                     back what it lost",
                    link.peer, express.index
                ),
                evidence: Vec::new(),
            };
            self.note_caused(Cause::Lost, incident).await;
        }
        imported.left += 1;
        Ok(true)
    }

    async fn take_frame(
        self: &Arc<Self>,
        link: &Arc<Link>,
        frame: frame::Frame,
        imported: &mut Imported,
    ) -> Result<(), Failed> {
        match frame {
            frame::Frame::Push(push) => self.take_push(link, push, imported).await,
            frame::Frame::Express(express) => {
                let before = link.head();
                let index = express.index;
                self.take_express(link, express).await?;
                let after = link.head();
                if index < before.mirror_size {
                    imported.known += 1;
                } else if after.expressed_count > before.expressed_count {
                    imported.ahead += 1;
                } else if self.reader(link, LogSide::Mirror).expressed(index).is_ok() {
                    imported.known += 1;
                } else {
                    imported.left += 1;
                }
                Ok(())
            }
            frame::Frame::Heartbeat(beat) => {
                Ok(self.take_heartbeat(link, &beat.checkpoint).await?)
            }
            // Judged before; others are in no bundle that was checked.
            _ => Ok(()),
        }
    }

    /// A run: what of it is new is mirrored; what is not must be what is mirrored.
    async fn take_push(
        self: &Arc<Self>,
        link: &Arc<Link>,
        push: v1::Push,
        imported: &mut Imported,
    ) -> Result<(), Failed> {
        let mirror_size = link.head().mirror_size;
        let count = push.items.len() as u64;
        let end = push.start_index + count;
        let known = mirror_size.saturating_sub(push.start_index).min(count);
        imported.known += known;
        if known == count {
            let verifier = link.mirror_verifier.current();
            let signed = peer_checkpoint(link, &verifier, &push.checkpoint, end)?;
            self.compare_with_mirror(link, &signed)?;
            let kept = self.reader(link, LogSide::Mirror).checkpoint(end);
            // All that is mirrored had none: it is shown from now on.
            if end == mirror_size && kept.map_err(Stop::from)?.is_none() {
                let receipt = self.cosign_known(link, &push.checkpoint, end)?;
                self.recorder
                    .send(Command::KeepCosigned(link.number, Box::new(receipt)))
                    .await;
            }
            return Ok(());
        }
        let (start_index, items) = without_known(link, push.start_index, push.items);
        let receipt = self
            // Carried in by an own operator: nobody's quota bounds it but the disk's floor.
            .mirror_run(link, start_index, items, &push.checkpoint, None)
            .await?;
        imported.recorded += count - known;
        self.recorder
            .send(Command::KeepCosigned(link.number, Box::new(receipt)))
            .await;
        Ok(())
    }

    fn begin_file(
        &self,
        link: &Link,
        begin: &v1::BundleFile,
        imported: &mut Imported,
    ) -> Result<Taking, Failed> {
        let digest = digest_of(begin)?;
        let wanted = self.named_file(link, LogSide::Mirror, &digest)? == Some(begin.size);
        let here = self.blobs().size(&digest)? == Some(begin.size);
        imported.files_unwanted += u64::from(!wanted && !here);
        Ok(Taking {
            digest,
            size: begin.size,
            at: 0,
            kept: wanted && !here,
        })
    }

    /// Writes what is not held yet: a transfer that was cut goes on from the file.
    async fn take_chunk(
        &self,
        taking: &mut Taking,
        chunk: Bytes,
        imported: &mut Imported,
    ) -> Result<(), Failed> {
        let at = taking.at;
        taking.at += chunk.len() as u64;
        if !taking.kept {
            return Ok(());
        }
        let (blobs, digest, end) = (Arc::clone(self.blobs()), taking.digest, taking.at);
        let write = move || {
            let held = blobs.partial(&digest)?;
            if held >= end {
                return Ok(());
            }
            let skipped = usize::try_from(held.saturating_sub(at)).unwrap_or(usize::MAX);
            let offset = held.max(at);
            blobs.write_at(&digest, offset, &chunk[skipped..]).map(drop)
        };
        match blocking(write).await {
            Ok(()) => Ok(()),
            Err(BundleError::Store(
                StoreError::BlobBusy { .. } | StoreError::BlobOffset { .. },
            )) => {
                // Somebody else is writing this very file.
                taking.kept = false;
                imported.files_failed += 1;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn end_file(
        &self,
        link: &Link,
        done: &Taking,
        imported: &mut Imported,
    ) -> Result<(), Failed> {
        if !done.kept {
            return Ok(());
        }
        let (blobs, digest, size) = (Arc::clone(self.blobs()), done.digest, done.size);
        match blocking(move || blobs.finish(&digest, size)).await {
            Ok(()) => {
                imported.files_taken += 1;
                self.file_arrived(link);
                Ok(())
            }
            Err(BundleError::Store(
                StoreError::BlobDigest { .. }
                | StoreError::BlobBusy { .. }
                | StoreError::BlobOffset { .. },
            )) => {
                imported.files_failed += 1;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Why a bundle was not taken to its end.
enum Failed {
    Bundle(BundleError),
    Stop(Stop),
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl<E: Into<BundleError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Bundle(error.into())
    }
}

/// Waits until no session is on the link, and keeps others from it: those that come wait their turn.
async fn own_link(link: &Link) -> tokio::sync::MutexGuard<'_, ()> {
    let mut alone = std::pin::pin!(link.running.lock());
    loop {
        session::stop(link);
        tokio::select! {
            biased;
            alone = &mut alone => return alone,
            // One may have come between the two, and stand before us.
            () = tokio::time::sleep(STOP_AGAIN) => {}
        }
    }
}

fn open(file: &File) -> Result<Reader<BufReader<&File>>, FormatError> {
    let mut file = file;
    file.seek(SeekFrom::Start(0)).map_err(FormatError::Io)?;
    Reader::new(BufReader::with_capacity(BUNDLE_READ_BYTES, file))
}

fn digest_of(file: &v1::BundleFile) -> Result<[u8; 32], FormatError> {
    file.sha256[..]
        .try_into()
        .map_err(|_| FormatError::Malformed("the digest of an attachment has not 32 bytes"))
}

/// What the pieces come to, to be compared with the statement.
#[derive(Default)]
struct Tally {
    next_index: u64,
    pushed: bool,
    expressed: bool,
    beats: u64,
    files: u64,
    file_bytes: u64,
    /// Bytes of the current file that are still to come.
    file_left: u64,
}

/// Reads every piece: they must come in order, within their limits, and be what the statement says.
fn check_pieces<R: std::io::Read>(
    pieces: &mut Pieces<R>,
    statement: &v1::BundleStatement,
    from: &NodeName,
) -> Result<v1::Hello, FormatError> {
    let malformed = |what| Err(FormatError::Malformed(what));
    let first = pieces.piece()?.and_then(|piece| piece.piece);
    let Some(Piece::Frame(v1::Frame {
        frame: Some(frame::Frame::Hello(hello)),
    })) = first
    else {
        return malformed("its first piece is no Hello");
    };
    if hello.version_min > PROTOCOL_VERSION || hello.version_max < PROTOCOL_VERSION {
        return malformed("its sender speaks no version of the protocol that this node does");
    }
    if hello.node != from.as_str() {
        return malformed("its Hello names another node than its first lines");
    }
    if hello.restoring() != v1::Restoring::Unspecified {
        return malformed("its sender fetches its records back, and makes no bundles meanwhile");
    }
    if hello.mirrored_size != statement.mirrored_size
        || hello.own_size < statement.own_size
        || hello.own_checkpoint.len() > KEPT_NOTE_BYTES_MAX
    {
        return malformed("its Hello and its statement say different things");
    }
    let mut tally = Tally {
        next_index: statement.start_index,
        ..Tally::default()
    };
    while let Some(piece) = pieces.piece()? {
        match piece.piece {
            Some(Piece::Frame(v1::Frame { frame: Some(frame) })) => tally.frame(&frame)?,
            Some(Piece::File(file)) => tally.file(&file)?,
            Some(Piece::Chunk(chunk)) => tally.chunk(&chunk)?,
            Some(Piece::Frame(v1::Frame { frame: None })) | None => {
                return malformed("a piece of no kind known to this version");
            }
        }
    }
    if tally.file_left > 0 {
        return malformed("its last attachment is not whole");
    }
    if tally.next_index != statement.end_index
        || (tally.pushed && !statement.under_checkpoints)
        || (tally.expressed && statement.under_checkpoints)
        || tally.files != statement.files
        || tally.file_bytes != statement.file_bytes
    {
        return malformed("it does not hold what its statement says");
    }
    Ok(hello)
}

impl Tally {
    fn frame(&mut self, frame: &frame::Frame) -> Result<(), FormatError> {
        let malformed = |what| Err(FormatError::Malformed(what));
        if self.files > 0 || self.beats > 0 {
            return malformed("its pieces are out of order");
        }
        match frame {
            frame::Frame::Push(push) => {
                if push.start_index != self.next_index {
                    return malformed("its entries do not follow each other");
                }
                if !(1..=PUSH_ENTRIES_MAX).contains(&push.items.len()) {
                    return malformed("a run has no entry, or more than 512");
                }
                if push
                    .items
                    .iter()
                    .any(|item| item.entry.len() > ENTRY_BYTES_MAX)
                {
                    return malformed("an entry has more than 65,535 bytes");
                }
                if push.checkpoint.is_empty() || push.checkpoint.len() > KEPT_NOTE_BYTES_MAX {
                    return malformed("a run has no checkpoint, or one that is too long");
                }
                self.next_index += push.items.len() as u64;
                self.pushed = true;
            }
            frame::Frame::Express(express) => {
                if express.index != self.next_index || express.item.is_none() {
                    return malformed("its entries do not follow each other");
                }
                self.next_index += 1;
                self.expressed = true;
            }
            frame::Frame::Heartbeat(_) => self.beats += 1,
            _ => return malformed("a frame that is in no bundle"),
        }
        Ok(())
    }

    fn file(&mut self, file: &v1::BundleFile) -> Result<(), FormatError> {
        digest_of(file)?;
        if self.file_left > 0 {
            return Err(FormatError::Malformed("an attachment is not whole"));
        }
        if file.size > ATTACHMENT_BYTES_MAX {
            return Err(FormatError::Malformed("an attachment has more than 1 GiB"));
        }
        self.files += 1;
        self.file_bytes = self.file_bytes.saturating_add(file.size);
        self.file_left = file.size;
        Ok(())
    }

    fn chunk(&mut self, chunk: &Bytes) -> Result<(), FormatError> {
        if chunk.is_empty() || chunk.len() > CHUNK_BYTES_MAX {
            let what = "a part of an attachment is empty or has more than 256 KiB";
            return Err(FormatError::Malformed(what));
        }
        self.file_left =
            self.file_left
                .checked_sub(chunk.len() as u64)
                .ok_or(FormatError::Malformed(
                    "an attachment is longer than stated",
                ))?;
        Ok(())
    }
}
