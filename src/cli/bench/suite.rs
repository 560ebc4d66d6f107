//! `liaison bench suite`: everything behind docs/performance.md, into one result.

use std::path::PathBuf;

use clap::Args;

use super::drafts::Mix;
use super::load::{By, Until};
use super::scenes::Step;
use super::{DISK_SIZE, ROUNDS_MAX, SIZE, Scenario, WINDOW, series};
use crate::cli::exit::Done;
use crate::cli::print::Screen;
use crate::limits::SUBMITS_MAX;

/// Measures everything behind docs/performance.md, one after the other.
///
/// It takes long: logs of a million entries are filled. Nothing else should run on the machine meanwhile.
/// If a step fails, or it is interrupted, what was finished before is told all the same.
#[derive(Debug, Args)]
pub(crate) struct Suite {
    /// Only so small a part of each count: 100 for a hundredth, to see that it runs.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=PART_MAX))]
    part: u64,
    /// How often each is measured; the result is the median.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=ROUNDS_MAX))]
    rounds: u16,
    /// Where the nodes are made, on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Leave the nodes' directories and logs behind.
    #[arg(long)]
    keep: bool,
    /// Also write the result as JSON to a file, whose former content it replaces; --json prints it instead
    /// of the tables.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// The smallest part: a count of a million becomes one of ten.
const PART_MAX: u64 = 100_000;
/// Windows of the throughput.
const WINDOWS: [usize; 4] = [16, 256, 1_024, SUBMITS_MAX];

impl Suite {
    pub(super) async fn run(&self, screen: Screen) -> Done {
        let save = self.save.as_deref();
        series(&self.steps(), &self.dir, self.keep, save, screen).await
    }

    /// Counts of this part, each once.
    fn parts_of(&self, counts: &[u64]) -> Vec<u64> {
        let mut counts: Vec<u64> = counts.iter().map(|count| count / self.part).collect();
        counts.dedup();
        counts
    }

    fn steps(&self) -> Vec<Step> {
        let of = |scenario: Scenario| Step {
            scenario,
            by: By::Stream,
            count: (scenario.count() / self.part).max(1),
            size: match scenario {
                Scenario::Disk => DISK_SIZE,
                _ => SIZE,
            },
            window: WINDOW,
            until: Until::Receipt,
            mix: Mix::Letters,
            rounds: self.rounds.into(),
            bodies: false,
            entries: self.parts_of(scenario.entries()),
            links: scenario
                .links()
                .iter()
                // A hundredth of 64 nodes is one.
                .filter(|links| self.part == 1 || **links <= 4)
                .copied()
                .collect(),
        };
        let throughput = WINDOWS.map(|window| Step {
            window,
            ..of(Scenario::Throughput)
        });
        let rest = [
            Scenario::Flash,
            Scenario::Growth,
            Scenario::Links,
            Scenario::Disk,
            Scenario::Proof,
            Scenario::Verify,
        ];
        std::iter::once(of(Scenario::Single))
            .chain(throughput)
            .chain(rest.map(of))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_in_it() {
        use clap::ValueEnum as _;
        let suite = Suite {
            part: 1,
            rounds: 5,
            dir: PathBuf::from("."),
            keep: false,
            save: None,
        };
        let steps = suite.steps();
        for scenario in Scenario::value_variants() {
            assert!(
                steps.iter().any(|step| step.scenario == *scenario),
                "{scenario:?}"
            );
        }
        let smallest = Suite {
            part: PART_MAX,
            ..suite
        };
        for step in smallest.steps() {
            assert!(step.count > 0 && !step.entries.is_empty() && !step.links.is_empty());
        }
    }
}
