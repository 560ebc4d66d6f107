//! Loads of one pair: at once, or at several sizes of its log.

use std::path::Path;

use super::{Nodes, Step, Taken, fill};
use crate::cli::bench::limits::Taker;
use crate::cli::bench::report::Machine;
use crate::cli::bench::rounds::{Around, all, rounds, warm_up, warm_up_count};
use crate::cli::bench::take_limits;
use crate::cli::bench::{Scenario, entries, pair};
use crate::cli::exit::Failure;
use crate::cli::print::Bar;

/// Measures the load before each filling of the log and after the last.
///
/// The log is filled so far that the first round begins at the number wanted, behind the warm-up. Where
/// the log has more by then, it begins at what it has; the result says where.
pub(super) async fn measure(
    step: &Step,
    dir: &Path,
    nodes: &mut Nodes,
    taker: &mut Taker,
) -> Result<Vec<Taken>, Failure> {
    let plan = step.plan()?;
    let pair = nodes.pair(dir)?;
    take_limits(taker, dir, pair, step.size)?;
    let ways = pair.start(&plan).await?;
    let mut measured = Vec::new();
    for wanted in &step.entries {
        let wanted = wanted.saturating_sub(warm_up_count(plan.count));
        let found = entries(&ways, pair::RECEIVER).await?;
        if found < wanted {
            fill(&step.filling(wanted - found)?, &ways, pair).await?;
        }
        let bar = Bar::items(step.scenario.as_str(), all(&plan, step.rounds));
        tokio::select! {
            warm = warm_up(&plan, &ways, &bar) => warm?,
            failure = pair.ended() => return Err(failure),
        }
        let entries_before = entries(&ways, pair::RECEIVER).await?;
        let kept_before = pair.disk_bytes();
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
        measured.push(Taken::Load(Box::new((plan.clone(), around, taken))));
    }
    // What they still do in the background is not to be in the limits.
    pair.0.stop().await;
    take_limits(taker, dir, pair, step.size)?;
    Ok(measured)
}
