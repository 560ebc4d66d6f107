//! Making a bundle: the speaking half of a session, into a file.
//!
//! It needs no place on the link: it reads what is durable, and signs only what a session could sign
//! at the same moment. Nothing is kept of it but, in memory, that it was made.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_types::Timestamp;
use tokio::sync::mpsc;

use super::format::{Preamble, Writer};
use super::{BundleError, Standing, blocking, refuse_stopped};
use crate::exchange::command::Command;
use crate::exchange::layout::FileRef;
use crate::exchange::push::item;
use crate::exchange::read::ReadError;
use crate::exchange::session::{PROTOCOL_VERSION, framed};
use crate::exchange::{Exchange, Link, LogSide};
use crate::limits::{
    BUNDLE_BYTES_MAX, CHUNK_BYTES_MAX, EXPRESSED_BYTES_MAX, EXPRESSED_ENTRIES_MAX, ITEM_BYTES_MAX,
    PUSH_ENTRIES_MAX,
};
use crate::model::MessageId;
use crate::proto::v1::{self, bundle_piece::Piece, frame};
use crate::store::StoreError;

/// Which own entries a bundle holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From the first one without a receipt.
    Receipt,
    /// From this index.
    Index(u64),
}

/// A part of the file on its way out.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The next bytes of the file; the pieces that were made are sealed as segments fill.
    pub bytes: Vec<u8>,
    /// Entries and chunks of attachments done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// What writes a bundle and hands it on.
struct Out<'a> {
    writer: Writer,
    parts: &'a mpsc::Sender<Part>,
    part: Part,
}

impl Out<'_> {
    async fn piece(&mut self, piece: Piece, done: u64) -> Result<(), BundleError> {
        let piece = v1::BundlePiece { piece: Some(piece) };
        self.writer.piece(&piece, &mut self.part.bytes)?;
        self.part.done += done;
        self.flush().await
    }

    async fn frame(&mut self, frame: frame::Frame, done: u64) -> Result<(), BundleError> {
        self.piece(Piece::Frame(framed(frame)), done).await
    }

    async fn flush(&mut self) -> Result<(), BundleError> {
        // What comes after the content has at most 64 KiB, and a segment.
        if self.writer.bytes() + ITEM_BYTES_MAX as u64 > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge);
        }
        let bytes = std::mem::take(&mut self.part.bytes);
        if bytes.is_empty() {
            return Ok(());
        }
        let part = Part { bytes, ..self.part };
        self.parts.send(part).await.map_err(|_| BundleError::Gone)
    }
}

impl Exchange {
    /// Makes a bundle for the peer of a link, part by part; returns its statement when the last part
    /// has been taken.
    ///
    /// # Errors
    /// [`BundleError`]; what was handed on until then is no bundle.
    pub async fn export_bundle(
        self: &Arc<Self>,
        link: &Arc<Link>,
        since: Since,
        parts: mpsc::Sender<Part>,
    ) -> Result<v1::BundleStatement, BundleError> {
        refuse_stopped(link)?;
        // Before the Hello is made: it says at least what was known when these had been taken in.
        let answers = self.bundles_taken(link)?;
        // What is being recorded is counted in the Hello, as in a session's.
        self.ask(Command::Barrier).await?;
        let may_sign = link.carriage.may_sign();
        let head = link.head();
        let start = match since {
            Since::Receipt => head.delivered_size,
            Since::Index(start_index) if start_index > head.signable_size => {
                return Err(BundleError::Beyond {
                    peer: link.peer.to_string(),
                    start_index,
                    own_size: head.signable_size,
                });
            }
            Since::Index(start_index) => start_index,
        };
        let id = MessageId::from_parts(self.clock().unix_ms(), self.entropy().bytes()?);
        // Before it can come back. Its answer shows at least this much of what is signed here.
        let standing = Standing {
            mirror_size: head.mirror_size,
            delivered_size: head.delivered_size,
        };
        link.carriage.issue(id, standing);
        let hello = self.bundle_hello(link).await?;
        let mirrored_size = hello.mirrored_size;
        let end = if may_sign {
            head.signable_size
        } else {
            self.end_ahead(link, start, head.signable_size)?
        };
        let files = self.files_to_carry(link, if may_sign { end } else { head.delivered_size })?;

        let preamble = Preamble {
            from: self.node().clone(),
            to: link.peer.clone(),
            made_at: self.clock().unix_seconds(),
            id,
        };
        let mut part = Part {
            total: end - start + files.iter().map(|file| 1 + chunks_of(file)).sum::<u64>(),
            ..Part::default()
        };
        let recipient = link.sealing_key().ok_or(BundleError::NoKey)?;
        let writer = Writer::new(preamble, &recipient, &mut part.bytes)?;
        let mut out = Out {
            writer,
            parts: &parts,
            part,
        };
        out.frame(frame::Frame::Hello(hello), 0).await?;
        if may_sign {
            self.pushes(link, start, end, &mut out).await?;
        } else {
            self.expresses(link, start, end, &mut out).await?;
        }
        for file in &files {
            self.file(file, &mut out).await?;
        }
        let statement = v1::BundleStatement {
            own_size: head.signable_size,
            start_index: start,
            end_index: end,
            under_checkpoints: may_sign,
            mirrored_size,
            files: files.len() as u64,
            file_bytes: files.iter().map(|file| file.size).sum(),
            answers: answers
                .iter()
                .map(|id| id.as_bytes().to_vec().into())
                .collect(),
            ..v1::BundleStatement::default()
        };
        let Out {
            writer, mut part, ..
        } = out;
        let key = self.known_message_key(link).ok_or(BundleError::NoKey)?;
        let statement = writer.finish(statement, &key, &mut part.bytes)?;
        part.done = part.total;
        parts.send(part).await.map_err(|_| BundleError::Gone)?;
        tracing::info!(
            peer = %link.peer, %id, start, end, under_checkpoints = may_sign, "bundle made"
        );
        Ok(statement)
    }

    /// The Hello of a bundle: as a session's, with what is durable at this moment.
    async fn bundle_hello(&self, link: &Link) -> Result<v1::Hello, BundleError> {
        let head = link.head();
        let own = self.reader(link, LogSide::Own);
        let (mirrored_size, mirrored_checkpoint) = self
            .mirror_shown(link)
            .await
            .map_err(BundleError::of_stop)?;
        Ok(v1::Hello {
            witnesses_journals: false,
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            node: self.node().to_string(),
            own_checkpoint: own.latest_checkpoint()?.map(|(_, n)| n).unwrap_or_default(),
            own_size: head.own_size,
            mirrored_size,
            mirrored_checkpoint,
            sent_at: Some(Timestamp {
                seconds: i64::try_from(self.clock().unix_seconds()).unwrap_or(i64::MAX),
                nanos: 0,
            }),
            restoring: v1::Restoring::Unspecified as i32,
        })
    }

    /// The entries in runs, each under a checkpoint of its end; last a checkpoint of now.
    async fn pushes(
        &self,
        link: &Link,
        start: u64,
        end: u64,
        out: &mut Out<'_>,
    ) -> Result<(), BundleError> {
        let mut next = start;
        while next < end {
            let (mut items, _) = self.gather(link, next, end, PUSH_ENTRIES_MAX)?;
            let gathered = next + items.len() as u64;
            let (until, checkpoint) = self.checkpoint_of_push(link, next, gathered)?;
            // Whoever takes a bundle in refuses a run without one: so does whoever makes it.
            let checkpoint = if checkpoint.is_empty() {
                self.sign_own_checkpoint(link, until)?.note.clone()
            } else {
                checkpoint
            };
            let count = until - next;
            items.truncate(usize::try_from(count).unwrap_or(usize::MAX));
            let push = v1::Push {
                start_index: next,
                items,
                checkpoint,
            };
            out.frame(frame::Frame::Push(push), count).await?;
            next += count;
        }
        let beat = v1::Heartbeat {
            checkpoint: self.sign_own_checkpoint(link, end)?.note.clone(),
            sent_at: Some(self.clock().timestamp()),
        };
        out.frame(frame::Frame::Heartbeat(beat), 0).await
    }

    /// The entries one by one, ahead of their turn: nothing is signed.
    async fn expresses(
        &self,
        link: &Link,
        start: u64,
        end: u64,
        out: &mut Out<'_>,
    ) -> Result<(), BundleError> {
        let reader = self.reader(link, LogSide::Own);
        for index in start..end {
            let express = v1::Express {
                index,
                item: Some(item(&reader, &reader.entry(index)?)?),
            };
            out.frame(frame::Frame::Express(express), 1).await?;
        }
        Ok(())
    }

    /// Where a bundle without checkpoints ends: the other side lets so many wait for their turn.
    fn end_ahead(&self, link: &Link, start: u64, own_size: u64) -> Result<u64, BundleError> {
        let reader = self.reader(link, LogSide::Own);
        let most = start.saturating_add(EXPRESSED_ENTRIES_MAX as u64);
        let mut bytes = 0;
        for index in start..own_size.min(most) {
            bytes += reader.kept_bytes(&reader.entry(index)?.record)?;
            if bytes > EXPRESSED_BYTES_MAX {
                return Ok(index);
            }
        }
        Ok(own_size.min(most))
    }

    /// Files that the peer lacks, of messages below an index that are whole here.
    fn files_to_carry(&self, link: &Link, end: u64) -> Result<Vec<FileRef>, StoreError> {
        let mut files = BTreeMap::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let page = self.unconfirmed_files_below(link, at, end)?;
            from = page.next;
            for file in page.files {
                if self.blobs().size(&file.sha256)? == Some(file.size) {
                    files.insert(file.sha256, file);
                }
            }
        }
        Ok(files.into_values().collect())
    }

    async fn file(&self, file: &FileRef, out: &mut Out<'_>) -> Result<(), BundleError> {
        let begin = v1::BundleFile {
            sha256: file.sha256.to_vec().into(),
            size: file.size,
        };
        out.piece(Piece::File(begin), 1).await?;
        let mut offset = 0;
        while offset < file.size {
            let (blobs, digest) = (Arc::clone(self.blobs()), file.sha256);
            let read = move || blobs.read_at(&digest, offset, CHUNK_BYTES_MAX);
            let chunk = blocking(read).await?.unwrap_or_default();
            if chunk.is_empty() {
                return Err(BundleError::Read(ReadError::Missing {
                    what: "attachment",
                    origin: hex::encode(file.sha256),
                    index: offset,
                }));
            }
            offset += chunk.len() as u64;
            out.piece(Piece::Chunk(chunk.into()), 1).await?;
        }
        Ok(())
    }
}

fn chunks_of(file: &FileRef) -> u64 {
    file.size.div_ceil(CHUNK_BYTES_MAX as u64)
}
