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

use std::path::Path;

use hdrhistogram::Histogram;

use self::hub::Hub;
use super::drafts::{Drafts, Mix};
use super::ends::Ends;
use super::limits::Taker;
use super::load::{By, Plan, Until, Ways, drive};
use super::pair::{self, Pair};
use super::report::{Latency, Machine, Measured, Report, VerifyRun};
use super::rounds::{Around, Round, run as load_run};
use super::scratch::Scratch;
use super::{Scenario, median, report};
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::{Bar, Screen};
use crate::limits::SUBMITS_MAX;
use crate::proto::v1::Status;

/// One measurement of a series.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Which.
    pub(super) scenario: Scenario,
    /// How drafts go to the node; single ones are calls.
    pub(super) by: By,
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
    /// Entries that the log has before the first round of each measurement, ascending.
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
                _ => self.by,
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

/// What a step came to, before it is set beside the bounds: those are made of the limits of the whole
/// series, when it has ended.
#[derive(Debug)]
pub(super) enum Taken {
    /// Rounds of a load.
    Load(Box<(Plan, Around, Vec<Round>)>),
    /// Verifications of an export: entries a second of each.
    Verify {
        payload_bytes: usize,
        entries: u64,
        rates: Vec<f64>,
    },
    /// What has no bound.
    Whole(Measured),
}

impl Taken {
    /// Beside its bounds.
    pub(super) fn measured(self, taker: &Taker) -> Measured {
        match self {
            Self::Load(load) => {
                let (plan, around, rounds) = *load;
                let limits = taker.limits(around.payload_bytes);
                Measured::Load(Box::new(load_run(&plan, &around, &rounds, &limits)))
            }
            Self::Verify {
                payload_bytes,
                entries,
                rates,
            } => {
                let limits = taker.limits(payload_bytes);
                let cores = number(Machine::here().cores as u64);
                let bound_per_second = cores * 1e6 / limits.strict_verify_micros;
                let per_second = median(&rates);
                Measured::Verify(VerifyRun {
                    scenario: Scenario::Verify.as_str(),
                    payload_bytes,
                    entries,
                    rounds: rates.len(),
                    per_second,
                    bound_per_second,
                    of_bound: per_second / bound_per_second,
                })
            }
            Self::Whole(measured) => measured,
        }
    }
}

/// What a series has come to so far.
#[derive(Debug, Default)]
struct Series {
    taker: Taker,
    taken: Vec<Taken>,
    /// The size of the first step that was finished.
    size: Option<usize>,
    /// The step that is being measured.
    current: Option<Scenario>,
}

/// Runs a series: what was finished of it, if anything, and whether that is all.
///
/// # Errors
/// Whatever keeps a step from being measured. Interrupted, the nodes are stopped and their directories
/// removed.
pub(super) async fn run(
    steps: &[Step],
    dir: &Path,
    keep: bool,
    screen: Screen,
) -> (Option<Report>, Result<(), Failure>) {
    let mut series = Series::default();
    let outcome = run_into(&mut series, steps, dir, keep, screen).await;
    let Series {
        taker, taken, size, ..
    } = series;
    let made = size.map(|size| {
        let runs = taken.into_iter().map(|taken| taken.measured(&taker));
        let made = report(Machine::here(), taker.limits(size), runs.collect());
        Report {
            failed: series.current.map(Scenario::as_str),
            ..made
        }
    });
    (made, outcome)
}

async fn run_into(
    series: &mut Series,
    steps: &[Step],
    dir: &Path,
    keep: bool,
    screen: Screen,
) -> Result<(), Failure> {
    let mut ends = Ends::new()?;
    let scratch = Scratch::make(dir, keep, screen)?;
    scratch.warn();
    let mut nodes = Nodes::default();
    let outcome = tokio::select! {
        outcome = measure_all(steps, &scratch, series, &mut nodes, screen) => outcome,
        failure = ends.come() => Err(failure),
    };
    nodes.stop().await;
    outcome
}

async fn measure_all(
    steps: &[Step],
    scratch: &Scratch,
    series: &mut Series,
    nodes: &mut Nodes,
    screen: Screen,
) -> Result<(), Failure> {
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
        series.current = Some(step.scenario);
        let dir = scratch.path().join(name);
        let failed = || format!("the directory {}", dir.display());
        std::fs::create_dir(&dir).or_fail(Exit::CannotCreate, failed)?;
        let taker = &mut series.taker;
        let taken = match step.scenario {
            Scenario::Throughput | Scenario::Single | Scenario::Growth | Scenario::Disk => {
                loads::measure(step, &dir, nodes, taker).await
            }
            Scenario::Links => links::measure(step, &dir, nodes, taker).await,
            Scenario::Flash => flash::measure(step, &dir, nodes, taker).await,
            Scenario::Proof => proofs::measure(step, &dir, nodes, taker).await,
            Scenario::Verify => export::measure(step, &dir, nodes, taker).await,
        };
        series.taken.extend(taken?);
        series.size.get_or_insert(step.size);
        nodes.stop().await;
        if !scratch.is_kept() {
            std::fs::remove_dir_all(&dir).or_fail(Exit::CannotCreate, failed)?;
        }
    }
    series.current = None;
    Ok(())
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

fn one(measured: Measured) -> Vec<Taken> {
    vec![Taken::Whole(measured)]
}
