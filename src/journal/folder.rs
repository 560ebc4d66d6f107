//! A journal as files, and the verdict on them: with no node, and no other knowledge than the keys.
//!
//! | path | is |
//! |---|---|
//! | `journal.txt` | name, size, and the keys that the node says are its own and the witnesses' |
//! | `checkpoint` | the whole, signed when it was exported |
//! | `cosigned/<peer>/<size>` | the checkpoint of that size as the peer cosigned it |
//! | `witnessed/<peer>` | what this node cosigned last of that peer's journal |
//! | `witnessed-before/<peer>/<unix seconds>` | what it cosigned before: of each day the last, and what an accepted one replaced |
//! | `tile/entries/…` | the deeds, as C2SP entry bundles of 256 |
//!
//! Files come in this order, the bundles last and in theirs: so a journal is judged in constant memory while
//! it is being read, wherever it comes from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost::Message as _;

use super::{Journal, JournalError};
use crate::crypto::Verified;
use crate::crypto::journal::{self as notes, JournalCheckpoint};
use crate::crypto::vkey::VerifierKey;
use crate::model::NodeName;
use crate::proto::v1::JournalEntry;
use crate::tlog::path::entries_path;
use crate::tlog::{Hash, TILE_WIDTH, Tree, bundle, leaf_hash};

/// First line of `journal.txt`.
pub const HEADER: &str = "liaison/journal@v1";
/// The file that says what the folder is.
pub const HEAD_FILE: &str = "journal.txt";
/// The file with the checkpoint of the whole.
pub const CHECKPOINT_FILE: &str = "checkpoint";
/// Seconds by which the clocks of two nodes may differ before it is worth a word.
const CLOCKS_APART: u64 = 300;
/// Findings that are told one by one.
const FINDINGS_MAX: usize = 100;
/// Keys that a head may name: of 128 links, 8 each.
const KEYS_MAX: usize = 2_048;

/// Keys as they stand on cards: named by their node, of type 0x04.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Of the node whose journal it is.
    pub own: Vec<VerifierKey>,
    /// Of its peers.
    pub witnesses: Vec<VerifierKey>,
    /// Those of both that have ended, retired or revoked: whoever has one of them may sign with it today, and
    /// date that as they like.
    pub ended: Vec<VerifierKey>,
}

/// Takes a file of an export: its path and all of it.
pub type Give<'a, E> = &'a mut dyn FnMut(&str, Vec<u8>) -> Result<(), E>;

/// What an export begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose journal it is.
    pub node: NodeName,
    /// Deeds in it.
    pub size: u64,
    /// The keys, by the node's own word.
    pub keys: Keys,
}

impl Head {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\nnode {}\nsize {}\n", self.node, self.size);
        for (role, keys) in [
            ("own", &self.keys.own),
            ("witness", &self.keys.witnesses),
            ("ended", &self.keys.ended),
        ] {
            for key in keys {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{role} {key}");
            }
        }
        text
    }

    /// Reads the file, strictly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != HEADER {
            return None;
        }
        let node = lines.next()?.strip_prefix("node ")?;
        let size = lines.next()?.strip_prefix("size ")?;
        let mut keys = Keys::default();
        for line in lines {
            let (role, key) = line.split_once(' ')?;
            let key = VerifierKey::parse(key).ok()?;
            match role {
                "own" => keys.own.push(key),
                "witness" => keys.witnesses.push(key),
                "ended" => keys.ended.push(key),
                _ => return None,
            }
            if keys.own.len() + keys.witnesses.len() + keys.ended.len() > KEYS_MAX {
                return None;
            }
        }
        Some(Self {
            node: NodeName::parse(node).ok()?,
            size: crate::tlog::decimal(size)?,
            keys,
        })
    }
}

impl Journal {
    /// Gives the whole journal as files, in their order. What is noted meanwhile is not in it.
    ///
    /// # Errors
    /// [`JournalError`], or that of whoever takes the files.
    pub fn export<E: From<JournalError>>(
        &self,
        signed: &Verified<JournalCheckpoint>,
        keys: Keys,
        give: Give<'_, E>,
    ) -> Result<(), E> {
        self.store()?;
        let size = signed.checkpoint.size;
        let head = Head {
            node: self.node().clone(),
            size,
            keys,
        };
        give(HEAD_FILE, head.encode().into_bytes())?;
        give(CHECKPOINT_FILE, signed.note.clone().into_bytes())?;
        for (peer, at, note) in self.cosigned()? {
            give(&format!("cosigned/{peer}/{at}"), note.into_bytes())?;
        }
        for (peer, kept) in self.witnessed()? {
            give(&format!("witnessed/{peer}"), kept.note.into_bytes())?;
        }
        for (peer, at, kept) in self.witnessed_before()? {
            give(
                &format!("witnessed-before/{peer}/{at}"),
                kept.note.into_bytes(),
            )?;
        }
        for start in (0..size).step_by(256) {
            let end = size.min(start + TILE_WIDTH);
            let entries = self.entries(start, end)?;
            let bundle = bundle::encode(&entries).map_err(|error| {
                E::from(JournalError::Damaged {
                    what: error.to_string(),
                })
            })?;
            give(&entries_path(start / TILE_WIDTH, end - start), bundle)?;
        }
        Ok(())
    }
}

/// What came of judging a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whose journal.
    pub node: String,
    /// Deeds in it.
    pub size: u64,
    /// Root of them all, as recomputed.
    pub root: Option<Hash>,
    /// The newest checkpoint of each witness whose key holds and whose tree is the one found here: peer,
    /// size, Unix seconds.
    pub witnessed: BTreeMap<String, (u64, u64)>,
    /// Whether the keys were named by whoever judges, and not by the journal itself.
    pub keys_were_given: bool,
    /// What is wrong; empty if nothing is.
    pub findings: Vec<String>,
    /// What somebody should know and that may have a good reason: times that contradict each other, keys
    /// that have ended.
    pub notes: Vec<String>,
}

impl Verdict {
    fn note(&mut self, what: impl Into<String>) {
        if self.notes.len() < FINDINGS_MAX {
            self.notes.push(what.into());
        }
    }

    /// Deeds that no witness has cosigned yet.
    #[must_use]
    pub fn unwitnessed(&self) -> u64 {
        let most = self.witnessed.values().map(|(size, _)| *size).max();
        self.size - most.unwrap_or(0).min(self.size)
    }

    fn find(&mut self, what: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what.into());
        }
    }
}

/// What a note says.
#[derive(Debug)]
struct Claim {
    root: Hash,
    /// Whose note it is, for people.
    what: String,
    /// Who vouches for it, and when they signed, Unix seconds.
    witness: Option<(String, u64)>,
}

/// Judges a journal file by file, in the order of an export.
#[derive(Debug)]
pub struct Verifier {
    given: Option<Keys>,
    head: Option<Head>,
    /// Notes of trees that the deeds must make, by size.
    claims: BTreeMap<u64, Vec<Claim>>,
    /// The latest date of an entry so far, Unix milliseconds, and of which.
    latest: (u64, u64),
    /// Entries that are dated before one that they follow, and the first of them.
    backwards: Option<(u64, u64)>,
    has_checkpoint: bool,
    against: Vec<String>,
    tree: Tree,
    verdict: Verdict,
}

impl Verifier {
    /// Begins. With keys, these alone are believed; without, those that the journal names. `against`: notes
    /// of this journal that were got elsewhere, as from a peer that witnesses it.
    #[must_use]
    pub fn new(given: Option<Keys>, against: Vec<String>) -> Self {
        Self {
            verdict: Verdict {
                keys_were_given: given.is_some(),
                ..Verdict::default()
            },
            given,
            head: None,
            claims: BTreeMap::new(),
            latest: (0, 0),
            backwards: None,
            has_checkpoint: false,
            against,
            tree: Tree::new(),
        }
    }

    /// What the folder says it is, once that was read.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Takes the next file.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        if path == HEAD_FILE {
            self.take_head(content);
        } else if path == CHECKPOINT_FILE {
            self.has_checkpoint = true;
            self.take_note("the node's checkpoint", content, None);
        } else if let Some(rest) = path.strip_prefix("cosigned/") {
            let peer = rest.split('/').next().unwrap_or_default().to_owned();
            self.take_note(&format!("what {peer} has cosigned"), content, Some(&peer));
        } else if path.starts_with("witnessed/") || path.starts_with("witnessed-before/") {
            // Of the peers' journals: nothing that this one could contradict.
        } else if path.starts_with("tile/entries/") {
            self.take_bundle(path, content);
        } else {
            self.verdict.find(format!("{path} is no file of a journal"));
        }
    }

    fn take_head(&mut self, content: &[u8]) {
        let head = std::str::from_utf8(content).ok().and_then(Head::parse);
        let Some(head) = head else {
            self.verdict.find(format!("{HEAD_FILE} cannot be read"));
            return;
        };
        self.verdict.node = head.node.to_string();
        self.verdict.size = head.size;
        self.head = Some(head);
        for note in std::mem::take(&mut self.against) {
            self.take_note("the note from elsewhere", note.as_bytes(), Some(""));
        }
    }

    /// A note whose tree the deeds must make. `witness`: who must have cosigned it; empty for anybody.
    fn take_note(&mut self, what: &str, content: &[u8], witness: Option<&str>) {
        let Some(head) = &self.head else {
            self.verdict
                .find(format!("{what} comes before {HEAD_FILE}"));
            return;
        };
        let keys = self.given.as_ref().unwrap_or(&head.keys);
        // The journal cannot make a key hold that has ended, but it may say that one has.
        let has_ended = |key: &VerifierKey| {
            let mut ended = keys.ended.iter().chain(&head.keys.ended);
            ended.any(|ended| ended == key)
        };
        let note = String::from_utf8_lossy(content);
        let judged = match notes::verify(&head.node, &note, &keys.own, &keys.witnesses) {
            Ok(judged) => judged,
            Err(error) => {
                self.verdict.find(format!("{what} does not hold: {error}"));
                return;
            }
        };
        let size = judged.checkpoint.size;
        let mut claim = Claim {
            root: judged.checkpoint.root,
            what: what.to_owned(),
            witness: None,
        };
        if let Some(witness) = witness {
            let by: Vec<_> = judged
                .witnessed
                .iter()
                .filter(|(key, _)| witness.is_empty() || key.name() == witness)
                .collect();
            if by.is_empty() {
                let why = "bears no cosignature by a key that was named";
                self.verdict.find(format!("{what} at {size} {why}"));
                return;
            }
            let holding = by.iter().find(|(key, _)| !has_ended(key));
            claim.witness = holding.map(|(key, at)| (key.name().to_owned(), *at));
            if claim.witness.is_none() {
                self.verdict.note(format!(
                    "{what} at {size} is cosigned with a key that has ended since: it is not counted"
                ));
            }
        } else {
            // No witness says when it was signed: the key must hold now.
            let open: Vec<_> = keys
                .own
                .iter()
                .filter(|key| !has_ended(key))
                .cloned()
                .collect();
            if notes::verify(&head.node, &note, &open, &[]).is_err() {
                self.verdict.find(format!(
                    "{what} is signed with a key that has ended: whoever has that key may have written all \
                     this"
                ));
                return;
            }
            if size != head.size {
                let said = head.size;
                self.verdict.find(format!(
                    "{what} is of {size} entries, {said} are said to be there"
                ));
            }
        }
        self.claims.entry(size).or_default().push(claim);
    }

    fn take_bundle(&mut self, path: &str, content: &[u8]) {
        let start = self.tree.size();
        let size = self.verdict.size;
        let width = TILE_WIDTH.min(size.saturating_sub(start));
        if !start.is_multiple_of(TILE_WIDTH)
            || width == 0
            || path != entries_path(start / TILE_WIDTH, width)
        {
            self.verdict.find(format!(
                "{path} is not the file that follows {start} entries"
            ));
            return;
        }
        let entries = match bundle::decode(content) {
            Ok(entries) => entries,
            Err(error) => {
                self.verdict.find(format!("{path}: {error}"));
                return;
            }
        };
        if entries.len() as u64 != width {
            let found = entries.len();
            self.verdict.find(format!(
                "{path} has {found} entries, {width} belong into it"
            ));
        }
        for bytes in entries {
            let index = self.tree.size();
            match JournalEntry::decode(bytes) {
                Ok(entry) => self.take_date(index, super::read::ms_of(&entry)),
                Err(_) => self.verdict.find(format!("entry {index} cannot be read")),
            }
            self.tree.append(leaf_hash(bytes), &mut Vec::new());
            self.check_claims();
        }
    }

    fn take_date(&mut self, index: u64, ms: u64) {
        if ms < self.latest.0 {
            let (_, count) = self.backwards.get_or_insert((index, 0));
            *count += 1;
        } else {
            self.latest = (ms, index);
        }
    }

    fn check_claims(&mut self) {
        let size = self.tree.size();
        for claim in self.claims.remove(&size).unwrap_or_default() {
            let Claim {
                root,
                what,
                witness,
            } = claim;
            if root != self.tree.root() {
                self.verdict.find(format!(
                    "{what} is of another journal: the first {size} entries here are not those that were \
                     signed. One of them was altered, added or taken away"
                ));
                continue;
            }
            let Some((peer, at)) = witness else { continue };
            let (latest_ms, latest) = self.latest;
            if size > 0 && latest_ms / 1_000 > at.saturating_add(CLOCKS_APART) {
                self.verdict.note(format!(
                    "{what} at {size} is dated before entry {latest}, which it covers: the clock of one of \
                     the two was wrong, or that entry was dated on purpose"
                ));
            }
            let newest = self.verdict.witnessed.entry(peer).or_insert((size, at));
            *newest = (*newest).max((size, at));
        }
    }

    /// The verdict on all files.
    #[must_use]
    pub fn finish(mut self) -> Verdict {
        if self.head.is_none() {
            self.verdict.find(format!("there is no {HEAD_FILE}"));
            return self.verdict;
        }
        if !self.has_checkpoint {
            self.verdict.find("there is no checkpoint of the node");
        }
        let (found, said) = (self.tree.size(), self.verdict.size);
        if found != said {
            self.verdict
                .find(format!("{found} entries are there, {said} should be"));
        }
        for Claim { root, what, .. } in self.claims.remove(&0).unwrap_or_default() {
            if root != Hash::EMPTY_ROOT {
                self.verdict
                    .find(format!("{what} is of an empty journal and has a root"));
            }
        }
        if let Some((index, count)) = self.backwards {
            self.verdict.note(format!(
                "{count} entries are dated before one that they follow, the first of them entry {index}: \
                 the node's clock was set back"
            ));
        }
        let beyond = std::mem::take(&mut self.claims);
        for (size, claims) in beyond {
            for Claim { what, .. } in claims {
                self.verdict.find(format!(
                    "{what} is of {size} entries, {found} are there: entries were taken away, or the \
                     journal was set back"
                ));
            }
        }
        self.verdict.root = Some(self.tree.root());
        self.verdict
    }
}
