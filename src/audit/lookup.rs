//! What an export says of one message, gathered while the whole export is verified.
//!
//! Nothing here is taken from the readable files beside the log: the header is the one that its
//! author signed, the root is recomputed from the entries, and the body has the header's digest.

use std::path::Path;

use super::Progress;
use super::entry::Judged;
use super::finding::Verdict;
use super::format::LogFile;
use super::opened::{Opened, OpenedLog};
use super::verify::examine;
use crate::crypto::vkey::VerifierKey;
use crate::limits::{BODY_BYTES_MAX, SALT_BYTES};
use crate::model::body::{Decoded, decode};
use crate::model::header::body_digest;
use crate::model::{Header, MessageId, Origin};
use crate::proto::v1;
use crate::tlog::{Hash, Tree};

/// Which message, and the size at which the root of its log is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The message.
    pub id: MessageId,
    /// The log in which it is looked for first; if it is not there, it is looked for in the others.
    pub origin: Origin,
    /// Size of that log at which its root is wanted.
    pub size: Option<u64>,
}

/// A message of an export. It counts only if the verdict given with it is clean.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The log that it is in.
    pub origin: Origin,
    /// Its index there.
    pub index: u64,
    /// Its header, as signed by its author.
    pub header: Header,
    /// What it says; nothing if the export does not hold it, or this version cannot read it.
    pub body: Option<v1::Body>,
    /// Whether the recipient has refused it, in a signed REFUSAL.
    pub refused: bool,
    /// The message with which its author took it back.
    pub withdrawn_by: Option<MessageId>,
    /// The message with which its author corrected it.
    pub superseded_by: Option<MessageId>,
    /// Entries of its log in the export.
    pub log_size: u64,
    /// Root of its log at the size wanted; nothing if the log is shorter.
    pub root: Option<Hash>,
}

/// Verifies the export in `dir`, as [`super::verify::verify_export`] does, and finds a message in it.
pub fn look_up(
    dir: &Path,
    trusted: Option<&[VerifierKey]>,
    wanted: &Wanted,
    progress: &mut dyn FnMut(Progress<'_>),
) -> (Verdict, Option<Found>) {
    let mut witness = Witness {
        wanted,
        tree: Tree::new(),
        seen: None,
        refusals: Vec::new(),
        answers: Vec::new(),
    };
    let mut look = |log: &OpenedLog, index, judged: &Judged| witness.look(log, index, judged);
    let (verdict, export) = examine(dir, trusted, &mut look, progress);
    let found = export.and_then(|export| witness.tell(&export));
    (verdict, found)
}

struct Witness<'a> {
    wanted: &'a Wanted,
    /// Of the log wanted, no larger than the size wanted.
    tree: Tree,
    seen: Option<Seen>,
    /// By log that refuses: index and leaf hash of what it refuses.
    refusals: Vec<(Origin, u64, Hash)>,
    /// By log: what supersedes the message, and whether that takes it back.
    answers: Vec<(Origin, MessageId, bool)>,
}

struct Seen {
    origin: Origin,
    index: u64,
    leaf: Hash,
    header: Header,
    log_size: u64,
}

impl Witness<'_> {
    fn look(&mut self, log: &OpenedLog, index: u64, judged: &Judged) {
        let of_wanted = log.origin == self.wanted.origin;
        let within = self.wanted.size.is_some_and(|size| index < size);
        // After a gap, which is an error of the export, there is no root.
        if of_wanted && within && index == self.tree.size() {
            self.tree.append(judged.leaf, &mut Vec::new());
        }
        if let Some(refusal) = &judged.refusal
            && let Ok(leaf) = Hash::from_slice(&refusal.entry_digest)
        {
            let refused = (log.origin.clone(), refusal.index, leaf);
            self.refusals.push(refused);
        }
        let Some(header) = &judged.message else {
            return;
        };
        if header.supersedes == Some(self.wanted.id) {
            let withdrawn = header.kind == v1::Kind::Withdrawal as i32;
            let answer = (log.origin.clone(), header.id, withdrawn);
            self.answers.push(answer);
        }
        // The first with an id is the message: any later one is refused, or an error.
        let better = match &self.seen {
            None => true,
            Some(seen) => of_wanted && seen.origin != self.wanted.origin,
        };
        if header.id == self.wanted.id && better {
            self.seen = Some(Seen {
                origin: log.origin.clone(),
                index,
                leaf: judged.leaf,
                header: header.clone(),
                log_size: log.size,
            });
        }
    }

    fn tell(self, export: &Opened) -> Option<Found> {
        let seen = self.seen?;
        let log = export.logs.iter().find(|log| log.origin == seen.origin)?;
        let refuser = seen.origin.reversed();
        let refused = (refuser, seen.index, seen.leaf);
        let answered = |withdrawn: bool| {
            let mut answers = self.answers.iter().rev();
            let last = answers.find(|(log, _, how)| *log == seen.origin && *how == withdrawn);
            last.map(|(_, id, _)| *id)
        };
        let at = self.wanted.size.filter(|size| *size == self.tree.size());
        let same_log = seen.origin == self.wanted.origin;
        Some(Found {
            body: body(export, log, &seen),
            refused: self.refusals.contains(&refused),
            withdrawn_by: answered(true),
            superseded_by: answered(false),
            root: at.filter(|_| same_log).map(|_| self.tree.root()),
            origin: seen.origin,
            index: seen.index,
            header: seen.header,
            log_size: seen.log_size,
        })
    }
}

/// The body, if it is there and is the one that the header commits to.
fn body(export: &Opened, log: &OpenedLog, seen: &Seen) -> Option<v1::Body> {
    let path = LogFile::Body(seen.index).within(&log.folder);
    if !export.has(&path) {
        return None;
    }
    let salted = export.read(&path, SALT_BYTES + BODY_BYTES_MAX, &mut Vec::new())?;
    let (salt, body) = salted.split_first_chunk::<SALT_BYTES>()?;
    if body_digest(salt, body) != seen.header.body_digest {
        return None;
    }
    match decode(seen.header.kind, &seen.header.schema, body) {
        Ok(Decoded::Known(body)) => Some(body),
        Ok(Decoded::Newer) | Err(_) => None,
    }
}
