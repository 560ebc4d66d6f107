//! Runs seeds: one after the other, or many on every core.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use liaison::exchange::OpenError;

use super::disk::Defect;
use super::faults::Special;
use super::hostile_world;
use super::traffic;
use super::wire::Arrival;
use super::world::{Figures, Noticed, World};

/// What a run ends with when nothing is wrong: what happened, and all that was said.
pub(crate) type Outcome = (Figures, Vec<Arrival>);

/// One in so many seeds has a hostile peer.
const HOSTILE: u64 = 8;

/// Runs a seed on nodes that may lack a line; says what is wrong if something is.
pub(crate) fn run(seed: u64, defect: Option<Defect>) -> Result<Outcome, String> {
    run_as(seed, defect, true)
}

/// As [`run`]; nobody compares with the disks what leaves the nodes.
pub(crate) fn run_unread(seed: u64, defect: Option<Defect>) -> Result<Outcome, String> {
    run_as(seed, defect, false)
}

fn run_as(seed: u64, defect: Option<Defect>, is_read: bool) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let run = || {
        runtime.block_on(async {
            if seed % HOSTILE == HOSTILE - 1 && defect.is_none() {
                return Ok(hostile_world::run(seed).await);
            }
            let world = World::new(seed).with_defect(defect);
            for who in [0, 1] {
                world.notary.set_believes(who, is_read);
            }
            storm(world).await
        })
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome,
        Err(panic) => Err(text_of(&*panic)),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

async fn storm(mut world: World) -> Result<Outcome, String> {
    match storms(&mut world).await {
        Ok(()) => {}
        Err(Noticed::Open(error)) => {
            let Special::LyingDisk(_) = world.special else {
                return Err(error.to_string());
            };
            // A disk that lied is found out when its node is opened; nothing is served from it.
            let OpenError::BehindMark { .. } = error else {
                return Err(error.to_string());
            };
            world.figures.liars += 1;
        }
    }
    world.hang_up().await;
    Ok((world.figures, world.net.trace()))
}

async fn storms(world: &mut World) -> Result<(), Noticed> {
    world.start(0).await?;
    world.start(1).await?;
    world.calm().await?;
    for _ in 0..2 {
        for _ in 0..20 + world.dice.below(35) {
            world.step().await?;
        }
        world.calm().await?;
    }
    // The last word: after a power cut on both sides everything is still there.
    world.kill(0, true).await;
    world.kill(1, true).await;
    world.calm().await?;
    world.check(true);
    Ok(())
}

/// Runs seeds on every core, each on a runtime of its own. The first that fails ends it.
pub(crate) fn run_all(seeds: &[u64]) -> Figures {
    traffic::prepare();
    let next = AtomicU64::new(0);
    let all = Mutex::new(Figures::default());
    let failed = Mutex::new(None);
    let work = || {
        loop {
            let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
            let Some(seed) = seeds.get(at) else { return };
            if failed.lock().unwrap().is_some() {
                return;
            }
            match run(*seed, None) {
                Ok((figures, _)) => all.lock().unwrap().add(&figures),
                Err(error) => {
                    failed.lock().unwrap().get_or_insert((*seed, error));
                }
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(seeds.len()) {
            scope.spawn(work);
        }
    });
    if let Some((seed, error)) = failed.into_inner().unwrap() {
        panic!(
            "seed {seed}: {error}\nrun it again: LIAISON_SIM_FIRST={seed} LIAISON_SIM_SEEDS=1 \
             cargo test --locked --test tests sim::no_storm\nand put it into tests/it/sim/seeds.txt"
        );
    }
    all.into_inner().unwrap()
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.numbers_mut().into_iter().zip(other.numbers()) {
            *mine.1 += theirs.1;
        }
        self.ends.merge(&other.ends);
    }

    /// One line of figures.
    pub(crate) fn line(&self) -> String {
        let numbers = self.numbers();
        let parts: Vec<_> = numbers
            .iter()
            .map(|(name, n)| format!("{n} {name}"))
            .collect();
        format!("{}, at {} points", parts.join(", "), self.ends.0.len())
    }

    fn numbers(&self) -> Vec<(&'static str, u64)> {
        let mut copy = self.clone();
        copy.numbers_mut()
            .into_iter()
            .map(|(name, n)| (name, *n))
            .collect()
    }

    fn numbers_mut(&mut self) -> [(&'static str, &mut u64); 16] {
        [
            ("crashes", &mut self.crashes),
            ("messages", &mut self.told),
            ("sessions", &mut self.sessions),
            ("notes signed", &mut self.notes),
            ("asked again", &mut self.asked_again),
            ("not possible", &mut self.refused),
            ("stores failed", &mut self.failures),
            ("refused by a full disk", &mut self.full),
            ("partitions", &mut self.partitions),
            ("shown ahead", &mut self.expressed),
            ("links held and released", &mut self.holds),
            ("machines set back", &mut self.rollbacks),
            ("set back unnoticeably", &mut self.unnoticeable),
            ("lying disks found out", &mut self.liars),
            ("hostile frames", &mut self.hostile),
            ("refusals", &mut self.refusals),
        ]
    }
}
