//! Measurements beyond the load of one pair: each step of a series has nodes of its own, made for it and
//! removed with it.
//!
//! - [`loads`]: loads of one pair, also as its log grows. [`links`]: the same over many links.
//! - [`flash`]: an alert while letters drain.
//! - [`proofs`]: inclusion proofs of a large log. [`export`]: verification of an export.

mod export;
mod flash;
mod hub;
mod links;
mod loads;
mod proofs;

use std::collections::BTreeMap;
use std::path::Path;

use hdrhistogram::Histogram;
use tokio::signal::unix::{SignalKind, signal};

use self::hub::Hub;
use super::drafts::{Drafts, Mix};
use super::limits::Taker;
use super::load::{By, Plan, Until, Ways, drive};
use super::pair::{self, Pair};
use super::report::{Latency, Machine, Measured, Report};
use super::scratch::Scratch;
use super::{Scenario, interrupted, report};
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::{Bar, Screen};
use crate::limits::SUBMITS_MAX;
use crate::proto::v1::Status;

/// One measurement of a series.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Which.
    pub(super) scenario: Scenario,
    /// Notifications of each round, or entries of the log that is looked at.
    pub(super) count: u64,
    /// Bytes of each body.
    pub(super) size: usize,
    /// Notifications on their way at a time.
    pub(super) window: usize,
    /// Until when one is.
    pub(super) until: Until,
    /// What kinds.
    pub(super) mix: Mix,
    /// How often.
    pub(super) rounds: usize,
    /// Whether the receiver's Watch shows bodies.
    pub(super) bodies: bool,
    /// Entries that the log is filled to before a measurement, ascending.
    pub(super) entries: Vec<u64>,
    /// Links of the sender, one number after the other.
    pub(super) links: Vec<usize>,
}

impl Step {
    /// The load of this step, to the receiver of a pair.
    fn plan(&self) -> Result<Plan, Failure> {
        Ok(Plan {
            by: match self.scenario {
                Scenario::Single => By::Calls,
                _ => By::Stream,
            },
            count: self.count,
            window: match self.scenario {
                Scenario::Single => 1,
                _ => self.window,
            },
            until: self.until,
            pause: self.scenario.pause(),
            bodies: self.bodies,
            drafts: Drafts::new(pair::RECEIVER, self.mix, self.size, Status::Actual)?,
        })
    }

    /// As many at a time as a node takes, for filling a log.
    fn filling(&self, count: u64) -> Result<Plan, Failure> {
        Ok(Plan {
            by: By::Stream,
            count,
            window: SUBMITS_MAX,
            until: Until::Receipt,
            pause: std::time::Duration::ZERO,
            bodies: false,
            drafts: Drafts::new(pair::RECEIVER, self.mix, self.size, Status::Actual)?,
        })
    }
}

/// What runs, so that it can be stopped whatever ends the work.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pair: Option<Pair>,
    hub: Option<Hub>,
}

impl Nodes {
    /// A new pair below a directory; it does not run yet.
    fn pair(&mut self, dir: &Path) -> Result<&mut Pair, Failure> {
        Ok(self.pair.insert(Pair::make(dir)?))
    }

    async fn stop(&mut self) {
        if let Some(mut pair) = self.pair.take() {
            pair.0.stop().await;
        }
        if let Some(hub) = self.hub.take() {
            hub.stop().await;
        }
    }
}

/// Runs a series.
///
/// # Errors
/// Whatever keeps a step from being measured; nothing is told of the others then. Interrupted, the
/// nodes are stopped and their directories removed.
pub(super) async fn run(
    steps: &[Step],
    dir: &Path,
    keep: bool,
    screen: Screen,
) -> Result<Report, Failure> {
    let failed = || "the system does not deliver signals".to_owned();
    let mut terminate = signal(SignalKind::terminate()).or_fail(Exit::Internal, failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).or_fail(Exit::Internal, failed)?;
    let scratch = Scratch::make(dir, keep)?;
    scratch.warn(screen);
    let mut nodes = Nodes::default();
    let outcome = tokio::select! {
        outcome = measure_all(steps, scratch.path(), keep, &mut nodes, screen) => outcome,
        _ = interrupt.recv() => Err(interrupted()),
        _ = terminate.recv() => Err(interrupted()),
    };
    nodes.stop().await;
    if keep {
        screen.note(format!("the nodes are in {}", scratch.path().display()));
    }
    outcome
}

async fn measure_all(
    steps: &[Step],
    scratch: &Path,
    keep: bool,
    nodes: &mut Nodes,
    screen: Screen,
) -> Result<Report, Failure> {
    let mut runs = Vec::new();
    // What a record costs in the store depends on its size.
    let mut takers: BTreeMap<usize, Taker> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        let name = format!("{}-{}", number + 1, step.scenario.as_str());
        if steps.len() > 1 && !screen.json {
            screen.note(format!(
                "{} of {}: {}",
                number + 1,
                steps.len(),
                step.scenario.as_str()
            ));
        }
        let dir = scratch.join(name);
        let failed = || format!("the directory {}", dir.display());
        std::fs::create_dir(&dir).or_fail(Exit::CannotCreate, failed)?;
        let taker = takers.entry(step.size).or_default();
        let measured = match step.scenario {
            Scenario::Throughput | Scenario::Single | Scenario::Growth | Scenario::Disk => {
                loads::measure(step, &dir, nodes, taker).await
            }
            Scenario::Links => links::measure(step, &dir, nodes, taker).await,
            Scenario::Flash => flash::measure(step, &dir, nodes, taker).await,
            Scenario::Proof => proofs::measure(step, &dir, nodes, taker).await,
            Scenario::Verify => export::measure(step, &dir, nodes, taker).await,
        };
        runs.extend(measured?);
        nodes.stop().await;
        if !keep {
            std::fs::remove_dir_all(&dir).or_fail(Exit::CannotCreate, failed)?;
        }
    }
    let first = steps.first().and_then(|step| takers.get(&step.size));
    let limits =
        first.ok_or_else(|| Failure::new(Exit::Internal, "there is nothing to measure"))?;
    Ok(report(Machine::here(), limits.limits(), runs))
}

/// Fills a log by so many, through to their receipts.
async fn fill(plan: &Plan, ways: &Ways, pair: &mut Pair) -> Result<(), Failure> {
    let bar = Bar::items("filling the log", plan.count);
    tokio::select! {
        filled = drive(plan, ways, 0, &bar) => filled.map(drop),
        failure = pair.ended() => Err(failure),
    }
}

/// Percentiles of times in nanoseconds; nothing of none.
fn latency(times: &Histogram<u64>) -> Option<Latency> {
    let micros = |nanos: u64| number(nanos) / 1e3;
    let at = |quantile| micros(times.value_at_quantile(quantile));
    (!times.is_empty()).then(|| Latency {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: micros(times.max()),
    })
}

/// A count as a number to calculate with.
fn number(count: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and times of a run are far below 2⁵³"
    )]
    let number = count as f64;
    number
}

/// Nanoseconds since a moment.
fn nanos_since(begun: std::time::Instant, at: std::time::Instant) -> u64 {
    u64::try_from(at.duration_since(begun).as_nanos()).unwrap_or(u64::MAX)
}

fn one(measured: Measured) -> Vec<Measured> {
    vec![measured]
}
