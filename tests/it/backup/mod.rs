//! Backups: everything comes back, only what is new is sent, and nothing wrong is taken for whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod nodes;
mod steps;
mod tampering;
mod whole;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use liaison::exchange::backup::check::{Checked, check};
use liaison::exchange::backup::folder::{Folder, FolderError};
use liaison::exchange::backup::pack::FileUse;
use liaison::exchange::backup::restore::{Ground, RestoreError, Restored, restore};
use liaison::exchange::backup::source::SourceError;
use liaison::exchange::backup::take::{TakeError, Taken, Taking};
use liaison::exchange::clock::Clock as _;
use liaison::exchange::hold::{Hold, Incident};
use liaison::exchange::{Exchange, LinkTerms, PeerKeys, PeerMessageKey, RecorderMode};
use liaison::proto::v1::{self, FaultCode, frame};
use liaison::store::{Marks, MemoryStore};
use sha2::{Digest as _, Sha256};

use crate::sides::{
    Side, Step, flash, join, join_over, letter, link_of, patiently, quiet, sides, submit, wire,
};

/// What a backup of an exchange comes to.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Source(SourceError<TakeError>),
    #[error(transparent)]
    Take(#[from] TakeError),
}

/// Begins a backup, changes it with `prepare`, and goes through with it as the command does.
async fn back_up_with(
    exchange: &Exchange,
    dir: &Path,
    prepare: impl FnOnce(&mut Taking),
) -> Result<Taken, Failed> {
    let mut taking = Taking::open(dir)?;
    prepare(&mut taking);
    let moment = exchange.moment().await.unwrap();
    let held = taking.held();
    exchange
        .give_backup(&moment, &held, &mut |piece| taking.take(piece))
        .map_err(Failed::Source)?;
    for file in taking.missing()? {
        let blobs = exchange.blobs();
        let held = match &file.used {
            FileUse::Sealed(content) => blobs.read_sealed_at(content, 0, usize::MAX),
            _ => blobs.read_at(&file.sha256, 0, usize::MAX),
        };
        match held.unwrap() {
            None => taking.leave_out(&file)?,
            Some(bytes) => {
                let mut content = taking.begin_file()?;
                content.write(&bytes).map_err(TakeError::from)?;
                taking.end_file(&file, content)?;
            }
        }
    }
    let config = [("liaison.toml".to_owned(), b"node = \"x\"\n".to_vec())];
    Ok(taking.finish(&config)?)
}

pub(crate) async fn back_up(exchange: &Exchange, dir: &Path) -> Taken {
    back_up_with(exchange, dir, |_| ()).await.unwrap()
}

fn check_dir(dir: &Path) -> Result<Checked, FolderError> {
    check(&Folder::new(dir), &mut |_| ())
}

/// Checks a backup that must be whole.
pub(crate) fn assert_whole(dir: &Path) -> Checked {
    let checked = check_dir(dir).unwrap();
    assert_eq!(checked.findings, [], "{}", dir.display());
    checked
}

pub(crate) fn terms(side: &Side, peer: &Side) -> LinkTerms {
    LinkTerms {
        peer: peer.name.clone(),
        keys: peer.card_for(side),
        own_start: side.card_for(peer).start(),
        classification_max: v1::Classification::Confidential,
    }
}

/// Restores a backup onto another disk of the same node.
pub(crate) fn restore_to(
    side: &Side,
    dir: &Path,
    terms: Vec<LinkTerms>,
) -> Result<(Side, Restored), RestoreError> {
    let place = side.on_another_disk();
    let folder = Folder::new(dir);
    let manifest = folder.manifest()?;
    let mut ground = Ground {
        node: place.name.clone(),
        keys: place.keys(),
        succession: Vec::new(),
        store: Arc::new(place.store.clone()),
        blobs: place.blobs(place.dir.path()),
        marks: Marks::open(place.dir.path()).unwrap(),
        now_ms: side.clock.unix_ms(),
    };
    let restored = restore(&folder, &manifest, &mut ground, terms, &mut |_| ())?;
    Ok((place, restored))
}

/// The records of a store, but for what is swept up late, what was taken of the day's quotas, and what
/// a restore notes of itself.
fn records(store: &MemoryStore, delivered: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut records = store.records();
    records.retain(|key, value| {
        let is_swept = key[0] == b'U' && key[3..] < delivered.to_be_bytes()[..];
        let is_note =
            key[0] == b'N' && String::from_utf8_lossy(value).contains("was restored from");
        !is_swept && !is_note && key[0] != b'q'
    });
    // Each sealing is another.
    for (key, value) in &mut records {
        if key[0] == b'K' && value[0] == 0xff {
            value.truncate(1);
        }
    }
    records
}

fn by_region(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> BTreeMap<char, usize> {
    let mut counts = BTreeMap::new();
    for key in records.keys() {
        *counts.entry(char::from(key[0])).or_default() += 1;
    }
    counts
}

/// A letter with a file, which is stored at its sender.
fn letter_with(sender: &Exchange, to: &Side, seed: u8, bytes: usize) -> (v1::Draft, Vec<u8>) {
    let content: Vec<u8> = (seed..=u8::MAX)
        .chain(0..seed)
        .cycle()
        .take(bytes)
        .collect();
    let digest: [u8; 32] = Sha256::digest(&content).into();
    sender.blobs().put(&digest, &content).unwrap();
    let mut draft = letter(to, usize::from(seed));
    body_of(&mut draft).common.as_mut().unwrap().attachments = vec![v1::Attachment {
        name: "mẫu.bin".to_owned(),
        media_type: "application/octet-stream".to_owned(),
        size: content.len() as u64,
        sha256: digest.to_vec().into(),
        description: None,
    }];
    (draft, content)
}

fn body_of(draft: &mut v1::Draft) -> &mut v1::OfficialLetter {
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::OfficialLetter(letter) = body else {
        panic!("no letter");
    };
    letter
}

/// A letter whose body lies in a file.
fn large_letter(to: &Side, number: usize) -> v1::Draft {
    let mut draft = letter(to, number);
    let text = format!("Nội dung mẫu {number}. ").repeat(1_000);
    body_of(&mut draft).text = Some(v1::LocalizedText {
        texts: [("vi".to_owned(), text)].into(),
    });
    draft
}

/// The peer's card as of which the entry at `index` has no key: it is refused.
fn card_without(peer: &Side, side: &Side, index: u64) -> PeerKeys {
    let mut card = peer.card_for(side);
    let vkey = card.message_keys[0].vkey.clone();
    card.message_keys = vec![
        PeerMessageKey {
            vkey: vkey.clone(),
            first_index: 0,
            last_index: index.checked_sub(1),
        },
        PeerMessageKey {
            vkey,
            first_index: index + 1,
            last_index: None,
        },
    ];
    card
}

/// Two nodes whose stores hold something of every kind. The first is backed up.
struct World {
    a: Side,
    b: Side,
    left: Arc<Exchange>,
}

impl World {
    async fn furnished() -> Self {
        let (a, b) = sides();
        let (left, right) = (a.open(&b), b.open(&a));
        for number in 0..3 {
            submit(&left, letter(&b, number)).await.unwrap();
            submit(&right, letter(&a, number)).await.unwrap();
        }
        submit(&left, flash(&b, 4)).await.unwrap();
        submit(&left, large_letter(&b, 5)).await.unwrap();
        submit(&right, large_letter(&a, 6)).await.unwrap();
        // Files each way: one confirmed, one not.
        let mut files = Vec::new();
        for seed in [1, 2] {
            let (draft, content) = letter_with(&left, &b, seed, 1_000 + usize::from(seed));
            submit(&left, draft).await.unwrap();
            files.push(content);
            let (draft, content) = letter_with(&right, &a, 10 + seed, 300_000);
            submit(&right, draft).await.unwrap();
            files.push(content);
        }
        let running = join(&left, &right);
        quiet(&left, &right).await;
        right.blobs().put(&sha(&files[0]), &files[0]).unwrap();
        left.blobs().put(&sha(&files[1]), &files[1]).unwrap();
        assert_eq!(right.confirm_files(&link_of(&right)).await.unwrap(), 1);
        assert_eq!(left.confirm_files(&link_of(&left)).await.unwrap(), 1);
        quiet(&left, &right).await;
        running.end().await;

        // One refused each way.
        let (at_left, at_right) = (link_of(&left).head(), link_of(&right).head());
        drop((left, right));
        let card = card_without(&b, &a, at_right.own_size);
        let left = a.try_open(&b, card, RecorderMode::Inline).unwrap();
        let card = card_without(&a, &b, at_left.own_size);
        let right = b.try_open(&a, card, RecorderMode::Inline).unwrap();
        submit(&left, letter(&b, 7)).await.unwrap();
        submit(&right, letter(&a, 8)).await.unwrap();
        let running = join(&left, &right);
        quiet(&left, &right).await;
        running.end().await;
        drop((left, right));
        let (left, right) = (a.open(&b), b.open(&a));

        // What is owed reaches its stages.
        a.clock.advance(3 * 24 * 60 * 60 * 1_000);
        b.clock.advance(3 * 24 * 60 * 60 * 1_000);
        left.turn(&link_of(&left)).await.unwrap();

        // A tail that nobody has confirmed, with an urgent message; and an entry of the peer that
        // came ahead of its turn.
        submit(&left, letter(&b, 9)).await.unwrap();
        submit(&left, flash(&b, 10)).await.unwrap();
        submit(&right, letter(&a, 11)).await.unwrap();
        let mut urgent = flash(&a, 12);
        body_of(&mut urgent)
            .text
            .clone_from(&body_of(&mut large_letter(&a, 12)).text);
        submit(&right, urgent).await.unwrap();
        let no_push = |frame: v1::Frame| match frame.frame {
            Some(frame::Frame::Push(_)) => Step::Pass(v1::Frame {
                frame: Some(frame::Frame::Heartbeat(v1::Heartbeat::default())),
            }),
            _ => Step::Pass(frame),
        };
        let running = join_over(&left, &right, wire(no_push, no_push));
        let mut heads = link_of(&left).watch_head();
        patiently(heads.wait_for(|head| head.expressed_count > 0))
            .await
            .unwrap();
        running.end().await;

        left.note_incident(Incident {
            at_ms: a.clock.unix_ms(),
            peer: b.name.to_string(),
            what: "x".repeat(20_000),
            evidence: vec!["note".to_owned()],
        })
        .await;
        let hold = Hold {
            code: FaultCode::BadCheckpoint as i32,
            origin: link_of(&left).mirror.to_string(),
            index: 3,
            text: "mẫu".repeat(4_000),
            evidence: vec!["one".to_owned(), "two".to_owned()],
            equivocation: None,
            at_ms: a.clock.unix_ms(),
        };
        left.hold(&link_of(&left), hold).await.unwrap();
        // A breach that was noted: only its key lies in the store.
        let mut batch = liaison::store::Batch::new();
        batch.put([&b"Y\0\x01"[..], &2_u64.to_be_bytes()].concat(), Vec::new());
        liaison::store::Store::commit(&a.store, batch).unwrap();
        Self { a, b, left }
    }

    fn terms(&self) -> Vec<LinkTerms> {
        vec![terms(&self.a, &self.b)]
    }
}

fn sha(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}
