//! Seeded simulation of two nodes: traffic both ways, cut and slow wires, crashes, failing commits
//! and full disks, and after every storm a look at everything that was promised.
//!
//! One thread and paused time: a seed replays. `LIAISON_SIM_SEEDS=N` runs N of them; a failure
//! prints its seed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use liaison::exchange::session::End;
use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Exchange, LogSide, OpenError, RecordError, RecorderMode};
use liaison::model::{Header, MessageId};
use liaison::proto::v1::{self, Frame};
use liaison::store::Failure;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sides::{
    Notary, Side, Step, assert_same_logs, flash, letter, link_of, quiet, run_end, sides, submit,
    up, wire,
};

/// Seeds of a normal run.
const SEEDS: u64 = 300;

/// `SplitMix64`: small, and good enough to be unpredictable to the code under test.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What a run did, so that a run in which nothing happened is noticed.
#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    told: u64,
    sessions: u64,
    crashes: u64,
    failures: u64,
    refused_full: u64,
    checkpoints: u64,
}

/// A node and what its callers were told.
struct Node {
    side: Side,
    process: Option<Arc<Exchange>>,
    told: BTreeMap<MessageId, u64>,
    /// Submitted without an answer: asked again with the same id after the restart.
    unanswered: Vec<v1::Draft>,
}

struct World {
    dice: Dice,
    a: Node,
    b: Node,
    notary: Notary,
    /// Hash over every frame on any wire: two runs of one seed have the same.
    trace: Arc<Mutex<Sha256>>,
    ends: Vec<(CancellationToken, JoinHandle<End>)>,
    figures: Figures,
    submitted: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let (a, b) = sides();
        let notary = Notary::of(&a, &b);
        let node = |side| Node {
            side,
            process: None,
            told: BTreeMap::new(),
            unanswered: Vec::new(),
        };
        Self {
            dice: Dice(seed),
            a: node(a),
            b: node(b),
            notary,
            trace: Arc::default(),
            ends: Vec::new(),
            figures: Figures::default(),
            submitted: 0,
        }
    }

    fn both(&mut self, first: bool) -> (&mut Node, &Node) {
        if first {
            (&mut self.a, &self.b)
        } else {
            (&mut self.b, &self.a)
        }
    }

    /// Starts a node if it is down; a node whose store failed is restarted.
    async fn start(&mut self, first: bool) -> Result<(), OpenError> {
        let failed = self
            .both(first)
            .0
            .process
            .as_ref()
            .is_some_and(|p| p.trouble().is_some());
        if failed {
            self.figures.failures += 1;
            let power_lost = self.dice.one_in(2);
            self.kill(first, power_lost).await;
        }
        let (node, peer) = self.both(first);
        if node.process.is_some() {
            return Ok(());
        }
        let card = peer.side.card_for(&node.side);
        let opened = node.side.try_open(&peer.side, card, RecorderMode::Inline);
        match opened {
            Ok(exchange) => node.process = Some(exchange),
            // A disk that is full may not let a node start; it is tried again later.
            Err(OpenError::Store(liaison::store::StoreError::Full { .. })) => return Ok(()),
            // The failure that was ordered hit while opening: start once more.
            Err(OpenError::Store(liaison::store::StoreError::OutcomeUnknown { .. })) => {
                node.side.store.crash();
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        for draft in std::mem::take(&mut self.both(first).0.unanswered) {
            self.submit(first, draft).await;
        }
        Ok(())
    }

    /// Ends a node's process as SIGKILL does; with `power_lost` the machine under it.
    async fn kill(&mut self, first: bool, power_lost: bool) {
        self.figures.crashes += 1;
        // The peer's ends notice by themselves, but here both are simply gone.
        self.hang_up().await;
        let (node, _) = self.both(first);
        if let Some(process) = node.process.take() {
            assert_eq!(Arc::strong_count(&process), 1, "someone still runs");
        }
        if power_lost {
            node.side.store.crash();
        } else {
            node.side.store.reopen();
        }
    }

    async fn hang_up(&mut self) {
        for (_, end) in self.ends.drain(..) {
            end.abort();
            drop(end.await);
        }
    }

    async fn submit(&mut self, first: bool, draft: v1::Draft) {
        let (node, _) = self.both(first);
        let Some(process) = node.process.clone() else {
            return;
        };
        let id = MessageId::parse(&draft.id).unwrap();
        match submit(&process, draft.clone()).await {
            Ok(recorded) => {
                assert_eq!(recorded.id, id);
                let before = node.told.insert(id, recorded.index);
                assert!(before.is_none_or(|index| index == recorded.index));
                self.figures.told += 1;
            }
            Err(SubmitError::Record(RecordError::Full { .. })) => self.figures.refused_full += 1,
            Err(SubmitError::Record(RecordError::Stopped { .. })) => node.unanswered.push(draft),
            Err(error) => panic!("{error}"),
        }
    }

    async fn submit_new(&mut self, first: bool) {
        self.submitted += 1;
        let number = self.submitted;
        let urgent = self.dice.one_in(6);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.dice.next().to_be_bytes());
        let (node, peer) = self.both(first);
        let unix_ms = liaison::exchange::clock::Clock::unix_ms(&*node.side.clock);
        let mut draft = if urgent {
            flash(&peer.side, number)
        } else {
            letter(&peer.side, number)
        };
        draft.id = MessageId::from_parts(unix_ms, random).to_string();
        self.submit(first, draft).await;
    }

    /// Connects both nodes, dialled by either, over a wire that may be slow and may break.
    fn connect(&mut self, reliable: bool) {
        let (Some(a), Some(b)) = (self.a.process.clone(), self.b.process.clone()) else {
            return;
        };
        self.figures.sessions += 1;
        let dialler = if self.dice.one_in(2) { &a } else { &b };
        let lifetime = if reliable {
            u64::MAX
        } else {
            self.dice.below(30)
        };
        let carried = Arc::new(Mutex::new(0_u64));
        let mut direction = |tag: u8| {
            let (notary, trace, carried) = (
                self.notary.clone(),
                Arc::clone(&self.trace),
                Arc::clone(&carried),
            );
            let mut dice = Dice(self.dice.next());
            move |frame: Frame| {
                notary.see(&frame);
                let mut hash = trace.lock().unwrap();
                hash.update([tag]);
                hash.update(frame.encode_to_vec());
                let mut carried = carried.lock().unwrap();
                *carried += 1;
                if *carried > lifetime {
                    return Step::Cut;
                }
                if !reliable && dice.one_in(4) {
                    return Step::Later(Duration::from_millis(dice.below(2_000)), frame);
                }
                Step::Pass(frame)
            }
        };
        let (to_b, to_a) = (direction(0), direction(1));
        let (left, right) = wire(to_b, to_a);
        let stop = CancellationToken::new();
        let left = run_end(&a, dialler.node(), left, &stop);
        let right = run_end(&b, dialler.node(), right, &stop);
        self.ends.push((stop.clone(), left));
        self.ends.push((stop, right));
    }

    async fn step(&mut self) -> Result<(), OpenError> {
        let first = self.dice.one_in(2);
        match self.dice.below(20) {
            0..=8 => self.submit_new(first).await,
            9..=12 => self.connect(false),
            13..=15 => {
                let wait = Duration::from_millis(self.dice.below(5_000));
                tokio::time::sleep(wait).await;
                let ms = self.dice.below(5_000);
                self.both(first).0.side.clock.advance(ms);
            }
            16 => {
                let power_lost = self.dice.one_in(2);
                self.kill(first, power_lost).await;
                self.start(first).await?;
            }
            17 => {
                let failure = match self.dice.below(3) {
                    0 => Failure::Before,
                    1 => Failure::Volatile,
                    _ => Failure::After,
                };
                let in_commits = self.dice.below(6);
                self.both(first)
                    .0
                    .side
                    .store
                    .fail_commit(in_commits, failure);
            }
            18 => {
                let full = self.dice.one_in(2);
                self.both(first).0.side.store.set_full(full);
            }
            _ => {
                // A peer whose session hangs dials again.
                self.start(true).await?;
                self.start(false).await?;
                self.connect(false);
            }
        }
        Ok(())
    }

    /// Ends the storm: disks have space, both nodes run, the wire holds.
    async fn calm(&mut self) -> Result<(), OpenError> {
        for side in [&self.a.side, &self.b.side] {
            side.store.set_full(false);
        }
        // Failures may still be ordered: until both stand, start them again.
        for _ in 0..20 {
            self.hang_up().await;
            self.start(true).await?;
            self.start(false).await?;
            self.connect(true);
            let (Some(a), Some(b)) = (self.a.process.clone(), self.b.process.clone()) else {
                continue;
            };
            let troubled = async {
                let (mut x, mut y) = (a.watch_trouble(), b.watch_trouble());
                tokio::select! {
                    biased;
                    _ = x.wait_for(Option::is_some) => {}
                    _ = y.wait_for(Option::is_some) => {}
                }
            };
            tokio::select! {
                biased;
                () = troubled => {}
                () = async { up(&a, &b).await; quiet(&a, &b).await } => {
                    self.check(&a, &b);
                    return Ok(());
                }
            }
        }
        panic!("the nodes never stand");
    }

    /// Everything that was promised.
    fn check(&mut self, a: &Exchange, b: &Exchange) {
        assert_same_logs(a, b);
        self.notary.assert_consistent_with(a, b);
        self.figures.checkpoints = self.notary.count() as u64;
        for (node, mine, theirs) in [(&self.a, a, b), (&self.b, b, a)] {
            let (own, mirror) = (link_of(mine), link_of(theirs));
            assert_eq!(mine.held(&own), None);
            assert!(own.presence().up);
            let reader = mine.reader(&own, LogSide::Own);
            let mut ids = BTreeSet::new();
            for stored in reader.entries(0, u64::MAX, usize::MAX).unwrap() {
                let entry = v1::Entry::decode(stored.entry.clone()).unwrap();
                let id = Header::parse(&entry.payload).unwrap().id;
                assert!(ids.insert(id), "recorded twice: {id}");
                assert!(
                    node.told
                        .get(&id)
                        .is_none_or(|index| *index == stored.index),
                    "not where it was said to be: {id}"
                );
                let unanswered = node.unanswered.iter().any(|d| d.id == id.to_string());
                assert!(node.told.contains_key(&id) || unanswered, "of nobody: {id}");
            }
            for id in node.told.keys() {
                assert!(ids.contains(id), "told as recorded and not there: {id}");
                let (_, place) = theirs.find(*id).unwrap().expect("shown at the peer");
                let index = node.told[id];
                assert_eq!(
                    place,
                    liaison::exchange::layout::Place::Log(LogSide::Mirror, index)
                );
            }
            let waiting = theirs.reader(&mirror, LogSide::Mirror).all_expressed();
            assert_eq!(waiting.unwrap().len(), 0, "expressed and never mirrored");
        }
    }
}

/// What a run ends with when nothing is wrong: what happened, and the hash of all that was said.
type Outcome = Result<(Figures, Vec<u8>), OpenError>;

fn simulate(seed: u64, a_loses_syncs: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed);
        world.start(true).await?;
        world.start(false).await?;
        world.calm().await?;
        world.a.side.store.set_loses_syncs(a_loses_syncs);
        let storms = 1 + world.dice.below(3);
        for _ in 0..storms {
            for _ in 0..10 + world.dice.below(40) {
                world.step().await?;
            }
            world.calm().await?;
        }
        // The last word: after a power cut on both sides everything is still there.
        world.kill(true, true).await;
        world.kill(false, true).await;
        world.calm().await?;
        world.hang_up().await;
        let trace = world.trace.lock().unwrap().clone().finalize().to_vec();
        Ok((world.figures, trace))
    })
}

/// Runs a seed; says what was noticed if something was.
fn noticed(seed: u64, a_loses_syncs: bool) -> Result<(Figures, Vec<u8>), String> {
    match catch_unwind(AssertUnwindSafe(|| simulate(seed, a_loses_syncs))) {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default()),
    }
}

#[test]
fn no_storm_loses_doubles_or_forks_anything() {
    let seeds = std::env::var("LIAISON_SIM_SEEDS")
        .ok()
        .map_or(SEEDS, |n| n.parse().expect("LIAISON_SIM_SEEDS is a number"));
    let first = std::env::var("LIAISON_SIM_FIRST")
        .ok()
        .map_or(0, |n| n.parse().expect("LIAISON_SIM_FIRST is a number"));
    let started = std::time::Instant::now();
    let mut all = Figures::default();
    for seed in first..first + seeds {
        let figures = match noticed(seed, false) {
            Ok((figures, _)) => figures,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        all.told += figures.told;
        all.sessions += figures.sessions;
        all.crashes += figures.crashes;
        all.failures += figures.failures;
        all.refused_full += figures.refused_full;
        all.checkpoints += figures.checkpoints;
    }
    println!("{seeds} seeds in {:?}: {all:?}", started.elapsed());
    if seeds >= 100 {
        assert!(all.told > 10 * seeds && all.sessions > 5 * seeds && all.crashes > seeds);
        assert!(all.failures > 0 && all.refused_full > 0 && all.checkpoints > seeds);
    }
}

#[test]
fn a_seed_replays_to_the_byte() {
    for seed in 90..100 {
        let (first, second) = (noticed(seed, false).unwrap(), noticed(seed, false).unwrap());
        assert_eq!(first.1, second.1, "seed {seed}");
    }
}

/// A test that a disk without syncs passes would prove nothing.
#[test]
fn a_disk_that_loses_syncs_is_noticed() {
    for seed in 0..5 {
        let error = noticed(seed, true).expect_err("the disk lied and nobody noticed");
        assert!(error.contains("high-water mark"), "seed {seed}: {error}");
    }
}
