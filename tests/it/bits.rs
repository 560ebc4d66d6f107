//! Single bits flipped in what a node keeps on disk: its store, its files, its marks. Each is either
//! noticed, or lies where nothing is; nothing wrong is ever given out, and nothing is signed over it.
//!
//! Each flip is made in a copy of one node's disk. The node is opened on it, everything is read and
//! compared with what it was, and a session is held with the other side, where a notary reads along:
//! no checkpoint may be of another tree than those signed before. `LIAISON_BIT_FLIPS=N` flips N.
//!
//! Of every twentieth, the records are got back as `liaison recover` does it: the store is set aside
//! unless it is sound from end to end, a new one made, and all is fetched from the other side.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use liaison::exchange::clock::Entropy;
use liaison::exchange::restore::salvage::SalvageLink;
use liaison::exchange::session::End;
use liaison::exchange::{Exchange, Foundations, LinkTerms, LogSide, OpenError, RecorderMode};
use liaison::node::recover::Replacement;
use liaison::proto::v1;
use liaison::store::{Aside, Blobs, Direction, Marks, OpenOptions, SledStore, Store as _};

use crate::sides::{
    Notary, Side, Step, assert_same_logs, join_over, letter, link_of, quiet, sides, submit,
    temp_dir, wire,
};
use crate::traffic::number_from;

/// Tells the child process which flips are its own: first and end.
const CHILD: &str = "LIAISON_TEST_BIT_FLIPS";
/// Processes that share the flips.
const CHILDREN: u64 = 2;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mixed = self.0 ^ (self.0 >> 29);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) % bound
    }
}

fn options(dir: &Path) -> OpenOptions {
    let mut options = OpenOptions::new(dir);
    options.free_bytes_min = 0;
    options.ballast_bytes = 0;
    options
}

/// A node on a real store in a directory.
fn open(
    side: &Side,
    peer: &Side,
    dir: &Path,
    seed: u64,
) -> Result<(Arc<Exchange>, Arc<SledStore>), OpenError> {
    let store = Arc::new(SledStore::open(&options(dir))?);
    let foundations = Foundations {
        node: side.name.clone(),
        keys: side.keys(),
        store: Arc::<SledStore>::clone(&store),
        blobs: Arc::new(Blobs::open(dir, 0)?),
        marks: Marks::open(dir)?,
        clock: side.clock.clone(),
        entropy: Entropy::seeded(seed),
    };
    let terms = LinkTerms {
        peer: peer.name.clone(),
        keys: peer.card_for(side),
        own_start: side.card_for(peer).start(),
        classification_max: v1::Classification::Confidential,
    };
    let exchange = Exchange::open(foundations, vec![terms], RecorderMode::Inline)?;
    Ok((exchange, store))
}

/// A key with its value.
type Row = (Vec<u8>, Vec<u8>);

/// Every row of a store.
fn rows(store: &SledStore) -> Result<Vec<Row>, String> {
    let rows = store.scan(&[], &[0xfe], usize::MAX, Direction::Forward);
    rows.map_err(|error| error.to_string())
}

/// A letter; every tenth has a body that is kept in a file.
fn sized(recipient: &Side, number: usize) -> v1::Draft {
    let mut draft = letter(recipient, number);
    if number.is_multiple_of(10)
        && let Some(v1::body::Body::OfficialLetter(letter)) =
            draft.body.as_mut().and_then(|body| body.body.as_mut())
    {
        let long = "Nội dung mẫu. ".repeat(900 + number);
        letter.text = Some(v1::LocalizedText {
            texts: [("vi".to_owned(), long)].into(),
        });
    }
    draft
}

/// An entry with its salt and body.
type Whole = (Bytes, Option<([u8; 32], Bytes)>);

/// Both logs.
type Truth = [Vec<Whole>; 2];

fn read_all(exchange: &Exchange) -> Result<Truth, String> {
    let link = link_of(exchange);
    let head = link.head();
    let read = |side, size| {
        let reader = exchange.reader(&link, side);
        let stored = reader
            .entries(0, size, usize::MAX)
            .map_err(|e| e.to_string())?;
        let with_body = |stored: liaison::exchange::read::Stored| {
            let body = reader.body(&stored).map_err(|e| e.to_string())?;
            Ok((stored.entry, body))
        };
        stored
            .into_iter()
            .map(with_body)
            .collect::<Result<Vec<_>, String>>()
    };
    Ok([
        read(LogSide::Own, head.own_size)?,
        read(LogSide::Mirror, head.mirror_size)?,
    ])
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files_of(dir: &Path, files: &mut Vec<(PathBuf, u64)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        if meta.is_dir() {
            files_of(&path, files);
        } else if meta.len() > 0 {
            files.push((path, meta.len()));
        }
    }
}

/// What a node leaves on disk after some traffic, and what it says.
struct Model {
    a: Side,
    b: Side,
    disk: tempfile::TempDir,
    truth: Truth,
    /// Every row of the store.
    rows: Vec<Row>,
    notary: Notary,
    files: Vec<(PathBuf, u64)>,
}

impl Model {
    /// With so many letters that the peer does not have yet.
    async fn new(undelivered: usize) -> Self {
        let (a, b) = sides();
        let disk = temp_dir();
        drop(SledStore::open(&options(disk.path()).create()).unwrap());
        let notary = Notary::of(&a, &b);
        let (left, store) = open(&a, &b, disk.path(), 1).unwrap();
        let right = b.open(&a);
        for number in 0..60 {
            submit(&left, sized(&b, number)).await.unwrap();
            submit(&right, sized(&a, number + 1_000)).await.unwrap();
        }
        let running = join_over(&left, &right, watched(&notary));
        quiet(&left, &right).await;
        // Some that the peer does not have yet.
        running.end().await;
        for number in 60..60 + undelivered {
            submit(&left, sized(&b, number)).await.unwrap();
        }
        let truth = read_all(&left).unwrap();
        let rows = rows(&store).unwrap();
        drop((right, store));
        Arc::try_unwrap(left).unwrap();
        let mut files = Vec::new();
        files_of(disk.path(), &mut files);
        files.sort();
        let files = files
            .into_iter()
            .map(|(path, bytes)| (path.strip_prefix(disk.path()).unwrap().to_owned(), bytes));
        let files = files.collect();
        Self {
            a,
            b,
            disk,
            truth,
            rows,
            notary,
            files,
        }
    }

    /// The file and the bit of a flip. Small files are hit as often as large ones.
    fn place(&self, flip: u64) -> (&Path, u64, u32) {
        let mut numbers = Numbers(flip + 7);
        for _ in 0..4 {
            numbers.below(1);
        }
        let (path, bytes) =
            &self.files[usize::try_from(numbers.below(self.files.len() as u64)).unwrap()];
        let (path, bytes) = if numbers.below(2) == 0 {
            (path, bytes)
        } else {
            let largest = self.files.iter().max_by_key(|(_, bytes)| *bytes).unwrap();
            (&largest.0, &largest.1)
        };
        (
            path,
            numbers.below(*bytes),
            u32::try_from(numbers.below(8)).unwrap(),
        )
    }

    /// A copy of the disk with one bit flipped, and where.
    fn flipped(&self, flip: u64) -> (tempfile::TempDir, &Path, u64, u32) {
        let (path, at, bit) = self.place(flip);
        let copy = temp_dir();
        copy_dir(self.disk.path(), copy.path());
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(copy.path().join(path))
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
        (copy, path, at, bit)
    }

    /// The other side, as it was when the disk was copied.
    fn peer(&self) -> Side {
        let peer = self.b.on_another_disk();
        for (key, value) in self.b.store.records() {
            let mut batch = liaison::store::Batch::new();
            batch.put(key, value);
            liaison::store::Store::commit(&peer.store, batch).unwrap();
        }
        copy_dir(self.b.dir.path(), peer.dir.path());
        peer
    }

    /// Flips one bit of a copy, and gets everything back as `liaison recover` does.
    async fn repair(&self, flip: u64) -> Verdict {
        let (copy, path, at, bit) = self.flipped(flip);
        let dir = copy.path();
        let place = format!("{} at {at}.{bit}", path.display());
        let mut verdict = Verdict::Repaired;
        let why = match open(&self.a, &self.b, dir, flip + 10) {
            Ok((node, store)) => {
                node.restore_only();
                drop(store);
                node.find_damage(|_| ()).await.unwrap()
            }
            // By `--lost`, and so for a file that says of which version the store is.
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = &why {
            let aside = Aside::begin(dir, "lost-1").unwrap();
            aside.move_away().unwrap();
            let replacement = Replacement {
                options: options(dir),
                vault: Some(&self.a.vault()),
                links: &[SalvageLink {
                    peer: self.b.name.clone(),
                    own_start: self.a.card_for(&self.b).start(),
                }],
                node: &self.a.name,
                at_hand: vec![self.a.keys().message.verifier(&self.a.name)],
                why,
                at_ms: 1_795_000_000_000,
            };
            replacement.make(&aside, |_| ()).unwrap();
            aside.end().unwrap();
        } else {
            verdict = Verdict::Harmless;
        }
        let (node, _store) = open(&self.a, &self.b, dir, flip + 11).unwrap();
        let peer = self.peer();
        let right = peer.open(&self.a);
        // A session ends when the records are whole; the next one is an ordinary one.
        let mut ends = Vec::new();
        for _ in 0..8 {
            if why.is_none() || ends.iter().any(|end| matches!(end, End::Restored)) {
                break;
            }
            let running = join_over(&node, &right, watched(&self.notary));
            let (a, _) = running.ended().await;
            ends.push(a);
        }
        if node.restoring(&link_of(&node)).is_some() {
            return Verdict::Wrong(format!("{place}: never whole: {ends:?}"));
        }
        let running = join_over(&node, &right, watched(&self.notary));
        quiet(&node, &right).await;
        running.end().await;
        self.notary.assert_consistent_with(&node, &right);
        assert_same_logs(&node, &right);
        match read_all(&node) {
            Ok(read) if read == self.truth => verdict,
            Ok(_) => Verdict::Wrong(format!("{place}: came back as something else")),
            Err(error) => Verdict::Wrong(format!("{place}: not repaired: {error}")),
        }
    }

    /// Flips one bit of a copy and looks.
    async fn judge(&self, flip: u64) -> Verdict {
        let (copy, path, at, bit) = self.flipped(flip);
        let (node, store) = match open(&self.a, &self.b, copy.path(), flip + 10) {
            Ok(opened) => opened,
            Err(error) => {
                let _: String = error.to_string();
                return Verdict::Refused;
            }
        };
        let read = read_all(&node);
        if read.is_ok()
            && let Ok(rows) = rows(&store)
            && rows != self.rows
        {
            let lost = self.rows.iter().filter(|row| !rows.contains(row));
            let lost: String = lost.map(|(key, _)| char::from(key[0])).collect();
            return Verdict::Wrong(format!("rows of {lost} went without a word"));
        }
        let is_right = match &read {
            Ok(read) if *read == self.truth => true,
            // A shorter log would have been held against the mark.
            Ok(_) => {
                return Verdict::Wrong(format!(
                    "{} at {at}.{bit}: read other than written",
                    path.display()
                ));
            }
            Err(_) => false,
        };
        // A session: what can be read may be said, and no other tree is signed.
        let peer = self.peer();
        let right = peer.open(&self.a);
        let notary = self.notary.clone();
        let running = join_over(&node, &right, watched(&notary));
        let both = link_of(&node);
        let mut heads = both.watch_head();
        let all = u64::try_from(self.truth[0].len()).unwrap();
        let mut left_end = running.a;
        let delivered = tokio::select! {
            biased;
            end = &mut left_end => { Some(end.unwrap()) }
            _ = heads.wait_for(|head| head.delivered_size == all) => None,
        };
        running.stop.cancel();
        drop(running.b.await.unwrap());
        let ended = match delivered {
            Some(end) => end,
            None => left_end.await.unwrap(),
        };
        let mirrored = right.reader(&link_of(&right), LogSide::Mirror);
        let size = link_of(&right).head().mirror_size;
        let arrived = mirrored.entries(0, size, usize::MAX).unwrap();
        for (stored, (entry, _)) in arrived.iter().zip(&self.truth[0]) {
            if stored.entry != *entry {
                return Verdict::Wrong(format!(
                    "{} at {at}.{bit}: another entry was sent",
                    path.display()
                ));
            }
        }
        match (is_right, ended) {
            (true, End::ShuttingDown) if size == all => Verdict::Harmless,
            (true, end)
                if node.trouble().is_none()
                    && !matches!(end, End::Unreadable(_) | End::Unable(_)) =>
            {
                Verdict::Wrong(format!(
                    "{} at {at}.{bit}: reads well, yet {end}",
                    path.display()
                ))
            }
            _ => Verdict::Noticed,
        }
    }
}

fn watched(
    notary: &Notary,
) -> (
    liaison::exchange::channel::FrameChannel,
    liaison::exchange::channel::FrameChannel,
) {
    let (there, back) = (notary.clone(), notary.clone());
    wire(
        move |frame| {
            there.see(&frame);
            Step::Pass(frame)
        },
        move |frame| {
            back.see(&frame);
            Step::Pass(frame)
        },
    )
}

#[derive(Debug)]
enum Verdict {
    /// The node did not start, and said why.
    Refused,
    /// It started, and said that something cannot be read.
    Noticed,
    /// Nothing lies there.
    Harmless,
    /// The store was set aside, and everything came back.
    Repaired,
    /// It gave out something wrong.
    Wrong(String),
}

/// Not a test of its own: [`in_children`] runs this binary again to get here, since the engine panics
/// in threads of its own on damaged files.
#[test]
fn bit_flips_child() {
    let Some(share) = std::env::var_os(CHILD) else {
        return;
    };
    let share = share.into_string().unwrap();
    let mut words = share.split(' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (first, end, repair) = (number(), number(), number() == 1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let undelivered = if repair { 0 } else { 6 };
    let model = runtime.block_on(Model::new(undelivered));
    for flip in first..end {
        let verdict = if repair {
            runtime.block_on(model.repair(flip))
        } else {
            runtime.block_on(model.judge(flip))
        };
        let line = match verdict {
            Verdict::Refused => "refused".to_owned(),
            Verdict::Noticed => "noticed".to_owned(),
            Verdict::Harmless => "harmless".to_owned(),
            Verdict::Repaired => "repaired".to_owned(),
            Verdict::Wrong(what) => format!("WRONG flip {flip}: {what}"),
        };
        writeln!(std::io::stdout().lock(), "\nverdict {line}").unwrap();
    }
}

/// Flips so many bits, shared among processes; what came of them.
fn in_children(flips: u64, repair: bool) -> BTreeMap<String, u64> {
    let share = flips.div_ceil(CHILDREN);
    let children: Vec<_> = (0..CHILDREN)
        .map(|child| {
            let (first, end) = (child * share, ((child + 1) * share).min(flips));
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "bits::bit_flips_child",
                    "--exact",
                    "--nocapture",
                    "--test-threads=1",
                ])
                .env(CHILD, format!("{first} {end} {}", u8::from(repair)))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut verdicts: BTreeMap<String, u64> = BTreeMap::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let screen = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{screen}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for line in screen
            .lines()
            .filter_map(|line| line.strip_prefix("verdict "))
        {
            assert!(!line.starts_with("WRONG"), "{line}");
            *verdicts.entry(line.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(verdicts.values().sum::<u64>(), flips);
    verdicts
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let flips = number_from("LIAISON_BIT_FLIPS", 1_000);
    let verdicts = in_children(flips, false);
    println!("bits: {flips} flipped, {verdicts:?}, 0 signed over, 0 given out wrong");
}

#[test]
fn what_a_flipped_bit_has_spoiled_comes_back_from_the_peer() {
    let flips = (number_from("LIAISON_BIT_FLIPS", 1_000) / 20).max(2);
    let verdicts = in_children(flips, true);
    let repaired = verdicts.get("repaired").copied().unwrap_or_default();
    assert!(repaired > 0, "{verdicts:?}");
    println!("bits: {flips} flipped and recovered, {verdicts:?}, 0 lost");
}
