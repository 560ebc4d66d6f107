//! The same load over one link and over many at once: what the sender carries in all.

use std::path::Path;

use super::{Nodes, Step, Taken};
use crate::cli::bench::limits::Taker;
use crate::cli::bench::load::Plan;
use crate::cli::bench::pair::Pair;
use crate::cli::bench::report::Machine;
use crate::cli::bench::rounds::{Around, all, rounds, warm_up, warm_up_count};
use crate::cli::bench::take_limits;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::Bar;

use super::hub::Hub;

/// Measures with each number of links, nodes made anew each time.
pub(super) async fn measure(
    step: &Step,
    dir: &Path,
    nodes: &mut Nodes,
    taker: &mut Taker,
) -> Result<Vec<Taken>, Failure> {
    // Its certificates serve for the limit of TLS; it does not run.
    let still = dir.join("pair");
    let failed = || format!("the directory {}", still.display());
    std::fs::create_dir(&still).or_fail(Exit::CannotCreate, failed)?;
    let still = Pair::make(&still)?;
    take_limits(taker, dir, &still, step.size)?;
    let mut measured = Vec::new();
    for links in &step.links {
        measured.push(with(*links, step, dir, nodes).await?);
        nodes.stop().await;
    }
    take_limits(taker, dir, &still, step.size)?;
    Ok(measured)
}

async fn with(links: usize, step: &Step, dir: &Path, nodes: &mut Nodes) -> Result<Taken, Failure> {
    let dir = dir.join(format!("links-{links}"));
    let failed = || format!("the directory {}", dir.display());
    std::fs::create_dir(&dir).or_fail(Exit::CannotCreate, failed)?;
    let hub = nodes.hub.insert(Hub::make(&dir, links)?);
    let plan = step.plan()?;
    let plan = Plan {
        drafts: plan.drafts.among(hub.names()),
        ..plan
    };
    let ways = hub.start(&plan).await?;
    let bar = Bar::items(&format!("{links} links"), all(&plan, step.rounds));
    tokio::select! {
        warm = warm_up(&plan, &ways, &bar) => warm?,
        failure = hub.ended() => return Err(failure),
    }
    let kept_before = hub.disk_bytes();
    let taken = tokio::select! {
        taken = rounds(&plan, &ways, step.rounds, &bar) => taken?,
        failure = hub.ended() => return Err(failure),
    };
    let around = Around {
        scenario: step.scenario.as_str(),
        for_throughput: true,
        mix: step.mix.as_str(),
        payload_bytes: step.size,
        peer: None,
        links,
        // They went to all of them in turn.
        entries_before: warm_up_count(plan.count) / links as u64,
        kept_bytes: Some(hub.disk_bytes().saturating_sub(kept_before)),
        cores: Machine::here().cores,
    };
    Ok(Taken::Load(Box::new((plan, around, taken))))
}
