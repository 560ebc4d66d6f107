//! Loads of one pair: at once, or at several sizes of its log.

use std::path::Path;

use super::{Nodes, Step, fill};
use crate::cli::bench::limits::Taker;
use crate::cli::bench::report::{Machine, Measured};
use crate::cli::bench::rounds::{Around, rounds, run};
use crate::cli::bench::take_limits;
use crate::cli::bench::{Scenario, entries, pair};
use crate::cli::exit::Failure;
use crate::cli::print::Bar;

/// Measures the load before each filling of the log and after the last.
pub(super) async fn measure(
    step: &Step,
    dir: &Path,
    nodes: &mut Nodes,
    taker: &mut Taker,
) -> Result<Vec<Measured>, Failure> {
    let plan = step.plan()?;
    let pair = nodes.pair(dir)?;
    let ways = pair.start(&plan).await?;
    take_limits(taker, dir, pair, step.size)?;
    let mut measured = Vec::new();
    for wanted in &step.entries {
        let found = entries(&ways, pair::RECEIVER).await?;
        if found < *wanted {
            fill(&step.filling(wanted - found)?, &ways, pair).await?;
        }
        let entries_before = entries(&ways, pair::RECEIVER).await?;
        let kept_before = pair.disk_bytes();
        let all = plan.count * step.rounds as u64;
        let bar = Bar::items(step.scenario.as_str(), all);
        let taken = tokio::select! {
            taken = rounds(&plan, &ways, step.rounds, &bar) => taken?,
            failure = pair.ended() => return Err(failure),
        };
        let around = Around {
            scenario: step.scenario.as_str(),
            for_throughput: step.scenario != Scenario::Single,
            mix: step.mix.as_str(),
            payload_bytes: step.size,
            peer: None,
            links: 1,
            entries_before,
            kept_bytes: Some(pair.disk_bytes().saturating_sub(kept_before)),
            cores: Machine::here().cores,
        };
        measured.push((around, taken));
    }
    take_limits(taker, dir, pair, step.size)?;
    let limits = taker.limits();
    let runs = measured
        .iter()
        .map(|(around, taken)| Measured::Load(Box::new(run(&plan, around, taken, &limits))));
    Ok(runs.collect())
}
