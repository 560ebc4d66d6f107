//! Seeded storms: sessions, and bundles both ways that come late, twice, out of order or never, with
//! crashes in between and in the middle. Afterwards both sides hold the same, every message told as
//! recorded is there once, and of each log one tree of each size was ever signed.
//!
//! `LIAISON_BUNDLE_SEEDS=N` runs N seeds.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use liaison::exchange::bundle::format::{Pieces, Reader};
use liaison::exchange::submit::SubmitError;
use liaison::exchange::{LogSide, OpenError, RecordError, RecorderMode};
use liaison::model::{Header, MessageId};
use liaison::proto::v1::{self, bundle_piece::Piece, frame};
use liaison::store::Failure;
use prost::Message as _;

use super::*;
use crate::sides::{
    Notary, Side, Step, assert_same_logs, flash, letter, quiet, run_end, sides, submit, up, wire,
};

const SEEDS: u64 = 60;

/// `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    told: u64,
    made: u64,
    runs: u64,
    taken: u64,
    gaps: u64,
    broken_off: u64,
    crashes: u64,
    sessions: u64,
}

struct Node {
    side: Side,
    process: Option<Arc<Exchange>>,
    told: BTreeMap<MessageId, u64>,
}

struct World {
    dice: Dice,
    nodes: [Node; 2],
    /// Files on the road: to whom, and what. One may be delivered often.
    road: Vec<(usize, Vec<u8>)>,
    notary: Notary,
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
        };
        Self {
            dice: Dice(seed),
            nodes: [node(a), node(b)],
            road: Vec::new(),
            notary,
            figures: Figures::default(),
            submitted: 0,
        }
    }

    fn running(&mut self, who: usize) -> Arc<Exchange> {
        if let Some(process) = &self.nodes[who].process {
            if process.trouble().is_none() {
                return Arc::clone(process);
            }
            self.kill(who);
        }
        for _ in 0..10 {
            let (node, peer) = (&self.nodes[who], &self.nodes[1 - who]);
            let card = peer.side.card_for(&node.side);
            match node.side.try_open(&peer.side, card, RecorderMode::Inline) {
                Ok(process) => {
                    self.nodes[who].process = Some(Arc::clone(&process));
                    return process;
                }
                Err(OpenError::Store(_)) => node.side.store.crash(),
                Err(error) => panic!("{error}"),
            }
        }
        panic!("it never opens");
    }

    fn kill(&mut self, who: usize) {
        self.figures.crashes += 1;
        let power_lost = self.dice.below(2) == 0;
        let node = &mut self.nodes[who];
        if let Some(process) = node.process.take() {
            assert_eq!(Arc::strong_count(&process), 1, "someone still runs");
        }
        if power_lost {
            node.side.store.crash();
        } else {
            node.side.store.reopen();
        }
    }

    async fn say(&mut self, who: usize) {
        self.submitted += 1;
        let process = self.running(who);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.dice.below(u64::MAX).to_be_bytes());
        let peer = &self.nodes[1 - who].side;
        let mut draft = match self.dice.below(5) {
            0 => flash(peer, self.submitted),
            _ => letter(peer, self.submitted),
        };
        let unix_ms = process.clock().unix_ms();
        let id = MessageId::from_parts(unix_ms, random);
        draft.id = id.to_string();
        match submit(&process, draft).await {
            Ok(recorded) => {
                self.nodes[who].told.insert(id, recorded.index);
                self.figures.told += 1;
            }
            Err(SubmitError::Record(RecordError::Stopped { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn make(&mut self, who: usize) {
        let process = self.running(who);
        let size = link_of(&process).head().signable_size;
        let since = match self.dice.below(4) {
            0 => Since::Index(self.dice.below(size + 1)),
            // With a gap, if what lies before has not come.
            1 => Since::Index(size.saturating_sub(1 + self.dice.below(2))),
            _ => Since::Receipt,
        };
        match try_export(&process, since).await {
            Ok(file) => {
                self.read_along(who, &file);
                self.figures.made += 1;
                self.road.push((1 - who, file));
            }
            Err(BundleError::Record(RecordError::Stopped { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What is in a bundle is compared with all that was ever signed.
    fn read_along(&mut self, from: usize, file: &[u8]) {
        let key = self.nodes[1 - from].side.keys().log;
        let mut pieces = Pieces::new(Reader::new(file).unwrap(), &key).unwrap();
        while let Some(piece) = pieces.piece().unwrap() {
            if let Some(Piece::Frame(frame)) = piece.piece {
                self.notary.see(&frame);
                let pushed = matches!(frame.frame, Some(frame::Frame::Push(_)));
                self.figures.runs += u64::from(pushed);
            }
        }
    }

    /// Delivers one of those on the road; some are delivered again later.
    async fn deliver(&mut self) {
        if self.road.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.below(self.road.len() as u64)).unwrap();
        let (to, file) = self.road[at].clone();
        if self.dice.below(3) > 0 {
            self.road.swap_remove(at);
        }
        let process = self.running(to);
        if self.dice.below(4) == 0 {
            let steps = self.dice.below(12);
            if !broken_off(&process, &file, steps).await {
                self.figures.broken_off += 1;
                // What runs where it may block goes on to its end; a node that falls ends it.
                while Arc::strong_count(&process) > 2 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                drop(process);
                if self.dice.below(2) == 0 {
                    self.kill(to);
                }
            }
            return;
        }
        match try_import(&process, &file).await {
            Ok(_) => self.figures.taken += 1,
            Err(BundleError::Gap { .. }) => self.figures.gaps += 1,
            Err(BundleError::Record(RecordError::Stopped { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// A session that ends after a while, however far it has come.
    async fn meet(&mut self) {
        self.figures.sessions += 1;
        let (a, b) = (self.running(0), self.running(1));
        let mut frames_left = self.dice.below(25);
        let (to_b, to_a) = (self.notary.clone(), self.notary.clone());
        let (left, right) = wire(
            move |frame| {
                to_b.see(&frame);
                frames_left = frames_left.saturating_sub(1);
                if frames_left == 0 {
                    Step::Cut
                } else {
                    Step::Pass(frame)
                }
            },
            move |frame| {
                to_a.see(&frame);
                Step::Pass(frame)
            },
        );
        let stop = tokio_util::sync::CancellationToken::new();
        let ends = [
            run_end(&a, a.node(), left, &stop),
            run_end(&b, a.node(), right, &stop),
        ];
        tokio::time::sleep(Duration::from_millis(self.dice.below(2_000))).await;
        for end in ends {
            end.abort();
            drop(end.await);
        }
        // The relays of the wire end by themselves.
        drop((a, b));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn step(&mut self) {
        let who = usize::try_from(self.dice.below(2)).unwrap();
        match self.dice.below(60) {
            0..=20 => self.say(who).await,
            21..=34 => self.make(who).await,
            35..=49 => self.deliver().await,
            50..=51 => {
                let at = usize::try_from(self.dice.below(8)).unwrap();
                if at < self.road.len() {
                    self.road.remove(at); // lost
                }
            }
            52..=57 => self.meet().await,
            58 => self.kill(who),
            _ => {
                let failure = match self.dice.below(3) {
                    0 => Failure::Before,
                    1 => Failure::Volatile,
                    _ => Failure::After,
                };
                let commits = self.dice.below(5);
                self.nodes[who].side.store.fail_commit(commits, failure);
            }
        }
        let ms = self.dice.below(3_000);
        self.nodes[who].side.clock.advance(ms);
    }

    /// Carries bundles to and fro until nothing is left to say, and looks at everything.
    async fn calm(&mut self, by_session: bool) {
        for round in 0..40 {
            let (a, b) = (self.running(0), self.running(1));
            let heads = [link_of(&a).head(), link_of(&b).head()];
            let settled = |mine: usize| {
                let (own, other) = (&heads[mine], &heads[1 - mine]);
                own.own_size == own.delivered_size && own.own_size == other.mirror_size
            };
            if settled(0) && settled(1) {
                self.check(&a, &b);
                return;
            }
            if by_session && a.trouble().is_none() && b.trouble().is_none() && round < 2 {
                let running = join(&a, &b);
                let both = async {
                    up(&a, &b).await;
                    quiet(&a, &b).await;
                };
                let mut troubles = [a.watch_trouble(), b.watch_trouble()];
                let [first, second] = &mut troubles;
                tokio::select! {
                    biased;
                    _ = first.wait_for(Option::is_some) => {}
                    _ = second.wait_for(Option::is_some) => {}
                    () = both => {}
                }
                running.end().await;
                continue;
            }
            drop((a, b));
            for who in [0, 1] {
                let process = self.running(who);
                let Ok(file) = try_export(&process, Since::Receipt).await else {
                    continue;
                };
                self.read_along(who, &file);
                drop(process);
                let peer = self.running(1 - who);
                match try_import(&peer, &file).await {
                    Ok(_) | Err(BundleError::Record(RecordError::Stopped { .. })) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        panic!("never settled");
    }

    fn check(&self, a: &Exchange, b: &Exchange) {
        assert_same_logs(a, b);
        self.notary.assert_consistent_with(a, b);
        for (node, mine, theirs) in [(&self.nodes[0], a, b), (&self.nodes[1], b, a)] {
            let (own, mirror) = (link_of(mine), link_of(theirs));
            assert_eq!(mine.held(&own), None);
            let mut ids = BTreeMap::new();
            let reader = mine.reader(&own, LogSide::Own);
            for stored in reader.entries(0, u64::MAX, usize::MAX).unwrap() {
                let entry = v1::Entry::decode(stored.entry.clone()).unwrap();
                let id = Header::parse(&entry.payload).unwrap().id;
                assert!(
                    ids.insert(id, stored.index).is_none(),
                    "recorded twice: {id}"
                );
            }
            for (id, index) in &node.told {
                assert_eq!(ids.get(id), Some(index), "told as recorded");
                assert!(theirs.find(*id).unwrap().is_some(), "not shown at the peer");
            }
            let waiting = theirs.reader(&mirror, LogSide::Mirror).all_expressed();
            assert!(waiting.unwrap().is_empty(), "expressed and never mirrored");
            let incidents = mine.incidents(1_000).unwrap();
            assert!(incidents.is_empty(), "{incidents:?}");
        }
    }
}

/// Takes a bundle as far as a node gets that falls after so many steps; `true` if it got to the end.
async fn broken_off(exchange: &Arc<Exchange>, bytes: &[u8], steps: u64) -> bool {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut taking = pin!(exchange.import_bundle(file));
    let mut polled = 0;
    std::future::poll_fn(|context| {
        polled += 1;
        match taking.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polled > steps => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn simulate(seed: u64) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed);
        for _ in 0..=world.dice.below(3) {
            for _ in 0..10 + world.dice.below(50) {
                world.step().await;
            }
            let by_session = world.dice.below(2) == 0;
            world.calm(by_session).await;
        }
        world.kill(0);
        world.kill(1);
        world.calm(false).await;
        world.figures
    })
}

#[test]
fn whatever_is_carried_and_however_both_sides_come_to_the_same() {
    let seeds = std::env::var("LIAISON_BUNDLE_SEEDS")
        .ok()
        .map_or(SEEDS, |n| {
            n.parse().expect("LIAISON_BUNDLE_SEEDS is a number")
        });
    let mut all = Figures::default();
    for seed in 0..seeds {
        let ran = std::panic::catch_unwind(|| simulate(seed));
        let figures = ran.unwrap_or_else(|panic| {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic)
        });
        all.told += figures.told;
        all.made += figures.made;
        all.runs += figures.runs;
        all.taken += figures.taken;
        all.gaps += figures.gaps;
        all.broken_off += figures.broken_off;
        all.crashes += figures.crashes;
        all.sessions += figures.sessions;
    }
    println!("{seeds} seeds: {all:?}");
    assert!(all.told > 5 * seeds && all.made > 3 * seeds && all.taken > 2 * seeds);
    assert!(all.crashes > seeds && all.sessions > seeds / 2);
    assert!(all.broken_off > 0 && all.gaps > 0 && all.runs > seeds);
}
