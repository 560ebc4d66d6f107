//! `liaison bench`: how fast it is on this machine, beside what this machine can do at best.
//!
//! Nothing here is a mock-up: the nodes are two processes of this program, made as administrators make
//! them, with real TLS between them and real disks; the load goes through their desks.
//!
//! - [`pair`]: the two nodes; [`scratch`]: the directory that they are in.
//! - [`remote`]: the running node and its real peer instead.
//! - [`drafts`]: what is sent; [`load`]: sending it and following each one to its receipt.
//! - [`scenes`]: what is measured beyond one load; [`suite`]: all of it.
//! - [`mod@rounds`]: what each round came to, and the medians.
//! - [`limits`]: what the machine can do; [`bounds`]: what follows from it.
//! - [`mod@report`]: the result as JSON; [`saved`]: in a file; [`shown`]: as people read it; [`plot`]: as
//!   drawings.
//! - [`ends`]: what ends a run from outside.

mod bounds;
mod drafts;
mod ends;
mod limits;
mod load;
mod pair;
mod plot;
mod remote;
mod report;
mod rounds;
mod saved;
mod scenes;
mod scratch;
mod shown;
mod suite;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use self::drafts::{Drafts, Mix};
use self::ends::Ends;
use self::limits::Taker;
use self::load::{By, Plan, Until, Ways};
use self::pair::Pair;
use self::report::{FORMAT, Machine, Measured, Report};
use self::rounds::{Around, all, rounds, run, warm_up};
use self::saved::Saved;
use self::scenes::Step;
use self::scratch::Scratch;
use super::connect::Target;
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::{Bar, Screen};
use super::status;
use crate::limits::SUBMITS_MAX;
use crate::proto::v1::Status;

/// Measures how fast this program is on this machine, and how close to what the machine can do.
///
/// Starts two nodes of its own on the loopback interface, with disks, TLS and settings as they always
/// are, and sends notifications from one to the other until each has its verified, durable receipt.
/// Other work on the machine makes the figures worthless.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    other: Option<Other>,
    /// What is measured.
    #[arg(value_enum, default_value_t = Scenario::Throughput)]
    scenario: Scenario,
    /// Notifications of each round, or entries of the log that is looked at; by default 20,000, or 500
    /// single ones, 5,000 for growth, 100,000 for flash and verify, 1,000,000 for proof, 1,000 with --peer.
    /// A tenth as many, at least 100, are sent before the first round and are in no figure.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
    count: Option<u64>,
    /// Bytes of each body, serialized; by default 512, or 4,096 for disk.
    #[arg(long, value_name = "BYTES")]
    size: Option<usize>,
    /// For growth: how many entries the log has before the first round of each measurement.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(0..=COUNT_MAX))]
    entries: Vec<u64>,
    /// For links: how many the sender has at a time.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = links)]
    links: Vec<usize>,
    /// Notifications on their way at a time.
    #[arg(long, default_value_t = WINDOW, value_parser = window)]
    window: usize,
    /// Until when a notification counts as on its way.
    #[arg(long, value_enum, default_value_t = Until::Receipt)]
    until: Until,
    /// How drafts go to the node; single ones are calls.
    #[arg(long, value_enum, default_value_t = By::Stream)]
    by: By,
    /// What kinds are sent.
    #[arg(long, value_enum, default_value_t = Mix::Letters)]
    mix: Mix,
    /// How often it is measured; the result is the median.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=ROUNDS_MAX))]
    rounds: u16,
    /// Have the peer's Watch show whole messages, as officers see them: each reading is noted in its
    /// journal first. Else it shows levels only.
    #[arg(long, conflicts_with = "peer")]
    bodies: bool,
    /// Start no nodes: have the running node of --config send to this peer of its, marked as a TEST.
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Do not ask before sending to --peer.
    #[arg(long, requires = "peer")]
    yes: bool,
    /// Where the nodes are made, on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Leave the nodes' directories and logs behind.
    #[arg(long)]
    keep: bool,
    /// Also write the result as JSON to a file, whose former content it replaces; --json prints it instead
    /// of the table.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Other {
    Plot(plot::Plot),
    Suite(suite::Suite),
}

/// The most notifications of a round: what is on its way is kept in memory, and histograms count in it.
const COUNT_MAX: u64 = 100_000_000;
/// The most rounds.
const ROUNDS_MAX: i64 = 1_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// As many as possible a second.
    Throughput,
    /// One at a time on an idle link, with a rest before each.
    Single,
    /// A FLASH alert while letters drain: how long until the peer shows it, beside an idle link.
    Flash,
    /// As many as possible a second, as the log grows.
    Growth,
    /// As many as possible a second in all, over several links at once.
    Links,
    /// Bytes on the disks for each byte of larger letters.
    Disk,
    /// Inclusion proofs of a large log.
    Proof,
    /// Verification of an export, entries a second.
    Verify,
}

impl Scenario {
    fn as_str(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Single => "single",
            Self::Flash => "flash",
            Self::Growth => "growth",
            Self::Links => "links",
            Self::Disk => "disk",
            Self::Proof => "proof",
            Self::Verify => "verify",
        }
    }

    fn count(self) -> u64 {
        match self {
            Self::Throughput | Self::Links | Self::Disk => 20_000,
            Self::Single => 500,
            // All rounds together are few beside the entries that they are measured at.
            Self::Growth => 5_000,
            Self::Flash | Self::Verify => 100_000,
            Self::Proof => 1_000_000,
        }
    }

    /// Entries before each measurement: so far apart that its rounds do not reach the next.
    fn entries(self) -> &'static [u64] {
        match self {
            Self::Growth => &[0, 100_000, 1_000_000],
            _ => &[0],
        }
    }

    /// Links of each measurement.
    fn links(self) -> &'static [usize] {
        match self {
            Self::Links => &[1, 4, 16, LINKS_MAX],
            _ => &[1],
        }
    }

    fn pause(self) -> Duration {
        match self {
            Self::Single => REST,
            _ => Duration::ZERO,
        }
    }
}

/// Bytes of a body, unless said otherwise.
const SIZE: usize = 512;
/// Bytes of a body whose bytes on the disk are counted, unless said otherwise.
const DISK_SIZE: usize = 4_096;
/// Notifications on their way, unless said otherwise.
const WINDOW: usize = 256;
/// The most links: each is a node of its own, with some 50 MiB of memory and 24 MiB of reserve on the disk.
const LINKS_MAX: usize = 64;
/// Notifications sent to a real peer, unless said otherwise: as many as one user may by default at once,
/// several times over.
const PEER_COUNT: u64 = 1_000;
/// For everything to come to rest between two single notifications.
const REST: Duration = Duration::from_millis(10);

fn links(typed: &str) -> Result<usize, String> {
    match typed.parse() {
        Ok(links) if (1..=LINKS_MAX).contains(&links) => Ok(links),
        _ => Err(format!(
            "each link is a node of its own on this machine; choose from 1 to {LINKS_MAX}"
        )),
    }
}

fn window(typed: &str) -> Result<usize, String> {
    match typed.parse() {
        Ok(window) if (1..=SUBMITS_MAX).contains(&window) => Ok(window),
        _ => Err(format!(
            "a node records at most {SUBMITS_MAX} messages at a time; choose from 1 to {SUBMITS_MAX}"
        )),
    }
}

/// The median, of an even number the mean of the two in the middle; 0 of nothing.
fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable_by(f64::total_cmp);
    let middle = samples.len() / 2;
    let Some(upper) = samples.get(middle).copied() else {
        return 0.0;
    };
    if samples.len().is_multiple_of(2) {
        f64::midpoint(samples[middle - 1], upper)
    } else {
        upper
    }
}

impl Bench {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        if let Some(other) = &self.other {
            return match other {
                Other::Plot(plot) => plot.run(screen),
                Other::Suite(suite) => suite.run(screen).await,
            };
        }
        match (self.step()?, &self.peer) {
            (Some(step), _) => {
                series(&[step], &self.dir, self.keep, self.save.as_deref(), screen).await
            }
            (None, None) => Err(Failure::new(Exit::Internal, "there is nothing to measure")),
            (None, Some(peer)) => self.with_peer(target, peer, screen).await,
        }
    }

    /// Has the running node send to its real peer, if whoever asked for it consents.
    async fn with_peer(&self, target: &Target, peer: &str, screen: Screen) -> Done {
        let plan = self.plan(peer)?;
        let ways = remote::ways(target, peer, &plan).await?;
        let asked = remote::Asked {
            peer,
            mix: self.mix,
            payload_bytes: self.size(),
            count: plan.count,
            rounds: self.rounds.into(),
        };
        remote::consent(&asked, self.yes, screen)?;
        // Until here, Ctrl-C ends it at once.
        let mut ends = Ends::new()?;
        let saved = self.save.as_deref().map(Saved::open).transpose()?;
        let scratch = Scratch::make(&self.dir, self.keep, screen)?;
        scratch.warn();
        let outcome = tokio::select! {
            outcome = self.measure(&plan, &ways, peer, &scratch) => outcome,
            failure = ends.come() => Err(failure),
        };
        drop(scratch);
        tell(&outcome?, saved, screen)
    }

    fn size(&self) -> usize {
        let usual = match self.scenario {
            Scenario::Disk => DISK_SIZE,
            _ => SIZE,
        };
        self.size.unwrap_or(usual)
    }

    /// The step of a series that this is; none if it goes to a real peer.
    fn step(&self) -> Result<Option<Step>, Failure> {
        let name = self.scenario.as_str();
        let usage =
            |what: String, remedy: &str| Err(Failure::new(Exit::Usage, what).remedy(remedy));
        for (given, of, flag) in [
            (!self.entries.is_empty(), Scenario::Growth, "--entries"),
            (!self.links.is_empty(), Scenario::Links, "--links"),
        ] {
            if given && self.scenario != of {
                let remedy = format!("leave it out, or measure {}", of.as_str());
                return usage(format!("{flag} does not go with {name}"), &remedy);
            }
        }
        if self.peer.is_some() {
            if matches!(self.scenario, Scenario::Throughput | Scenario::Single) {
                return Ok(None);
            }
            let remedy = "with a real peer, measure throughput or single";
            return usage(format!("--peer does not go with {name}"), remedy);
        }
        let or_usual = |given: &[u64]| match given {
            [] => self.scenario.entries().to_vec(),
            given => given.to_vec(),
        };
        let mut entries = or_usual(&self.entries);
        entries.sort_unstable();
        Ok(Some(Step {
            scenario: self.scenario,
            by: self.by,
            count: self.count.unwrap_or(self.scenario.count()),
            size: self.size(),
            window: self.window,
            until: self.until,
            mix: self.mix,
            rounds: self.rounds.into(),
            bodies: self.bodies,
            entries,
            links: match &self.links[..] {
                [] => self.scenario.links().to_vec(),
                given => given.to_vec(),
            },
        }))
    }

    /// The load for a real peer.
    fn plan(&self, peer: &str) -> Result<Plan, Failure> {
        Ok(Plan {
            by: match self.scenario {
                Scenario::Single => By::Calls,
                _ => self.by,
            },
            count: self.count.unwrap_or(PEER_COUNT.min(self.scenario.count())),
            window: match self.scenario {
                Scenario::Single => 1,
                _ => self.window,
            },
            until: self.until,
            pause: self.scenario.pause(),
            bodies: self.bodies,
            drafts: Drafts::new(peer, self.mix, self.size(), Status::Test)?,
        })
    }

    /// Measures through the running node. The certificates of a pair that is not started serve for the
    /// limits of TLS.
    async fn measure(
        &self,
        plan: &Plan,
        ways: &Ways,
        peer: &str,
        scratch: &Scratch,
    ) -> Result<Report, Failure> {
        let pair = Pair::make(scratch.path())?;
        let mut taker = Taker::default();
        take_limits(&mut taker, scratch.path(), &pair, self.size())?;
        let count = usize::from(self.rounds);
        let bar = Bar::items(self.scenario.as_str(), all(plan, count));
        warm_up(plan, ways, &bar).await?;
        let entries_before = entries(ways, peer).await?;
        let measured = rounds(plan, ways, count, &bar).await?;
        drop(bar);
        take_limits(&mut taker, scratch.path(), &pair, self.size())?;
        let machine = Machine::here();
        let around = Around {
            scenario: self.scenario.as_str(),
            for_throughput: self.scenario == Scenario::Throughput,
            mix: self.mix.as_str(),
            payload_bytes: self.size(),
            peer: Some(peer.to_owned()),
            links: 1,
            entries_before,
            kept_bytes: None,
            cores: machine.cores,
        };
        let limits = taker.limits(self.size());
        let run = run(plan, &around, &measured, &limits);
        Ok(report(machine, limits, vec![Measured::Load(Box::new(run))]))
    }
}

/// Measures steps with nodes of their own, and tells what was finished of them, whatever keeps the
/// others from it.
async fn series(
    steps: &[Step],
    dir: &Path,
    keep: bool,
    save: Option<&Path>,
    screen: Screen,
) -> Done {
    let saved = save.map(Saved::open).transpose()?;
    let (made, outcome) = scenes::run(steps, dir, keep, screen).await;
    let told = match made {
        Some(made) => tell(&made, saved, screen),
        None => Ok(Exit::Ok),
    };
    // Why it was not finished says more than why that could not be told.
    outcome.and(told)
}

/// Takes samples of what the machine can do, with the certificates of a pair.
fn take_limits(taker: &mut Taker, dir: &Path, pair: &Pair, size: usize) -> Result<(), Failure> {
    let _waiting = Bar::waiting("what this machine can do");
    taker.take(dir, &pair.0, size)
}

/// Writes the result to a file if wanted, and prints it in any case.
fn tell(report: &Report, saved: Option<Saved>, screen: Screen) -> Done {
    let value = serde_json::to_value(report).or_fail(Exit::Internal, || "the result".to_owned())?;
    let written = saved.map_or(Ok(()), |saved| saved.write(&format!("{value:#}\n")));
    if screen.json {
        screen.json(&value)?;
    } else {
        shown::tell(report, screen)?;
    }
    written.map(|()| Exit::Ok)
}

/// What was measured on this machine by this program.
fn report(machine: Machine, limits: limits::Limits, runs: Vec<Measured>) -> Report {
    Report {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION"),
        machine,
        limits,
        runs,
        failed: None,
    }
}

/// Entries of the sender's log for a peer.
async fn entries(ways: &Ways, peer: &str) -> Result<u64, Failure> {
    let status = status::get(&ways.own).await?;
    let link = status.links.iter().find(|link| link.peer == peer);
    Ok(link.map_or(0, |link| link.own_size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        for (samples, wanted) in [
            (&[][..], 0.0),
            (&[7.0], 7.0),
            (&[4.0, 1.0], 2.5),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[9.0, 1.0, 2.0, 4.0], 3.0),
        ] {
            assert!((median(samples) - wanted).abs() < 1e-12, "{samples:?}");
        }
    }
}
