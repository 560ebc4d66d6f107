//! Inclusion proofs of a log of so many entries: asked over the desk, one at a time, and made in this
//! process from the same store once its node has stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::{Nodes, Step, Taken, fill, latency, nanos_since, one};
use crate::cli::bench::limits::Taker;
use crate::cli::bench::load::{Plan, times};
use crate::cli::bench::report::{Measured, ProofRun};
use crate::cli::bench::take_limits;
use crate::cli::bench::{entries, pair};
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::Bar;
use crate::cli::refused;
use crate::exchange::layout::{LinkNumber, LogSide};
use crate::exchange::read::LogReader;
use crate::proto::v1::ProofRequest;
use crate::store::{Blobs, OpenOptions, SledStore, Store};
use crate::tlog::{Snapshot, Tree};

/// Proofs that are asked for, each of another entry while there are so many.
const PROOFS: u64 = 20_000;
/// From one entry to the next that is proven: a prime, so that they come from everywhere.
const STRIDE: u64 = 611_953;
/// A new node's first link.
const FIRST_LINK: LinkNumber = LinkNumber(1);

/// Fills the log, then measures both.
pub(super) async fn measure(
    step: &Step,
    dir: &Path,
    nodes: &mut Nodes,
    taker: &mut Taker,
) -> Result<Vec<Taken>, Failure> {
    let plan = step.filling(step.count)?;
    let (drafts, ids) = plan.drafts.noting(step.count.div_ceil(PROOFS));
    let plan = Plan { drafts, ..plan };
    let pair = nodes.pair(dir)?;
    take_limits(taker, dir, pair, step.size)?;
    let ways = pair.start(&plan).await?;
    fill(&plan, &ways, pair).await?;
    let size = entries(&ways, pair::RECEIVER).await?;
    let ids = ids.take();
    let asked = over_desk(&ways.own, &ids).await?;
    let data_dir = pair.sender().load()?.data_dir;
    pair.0.stop().await;
    take_limits(taker, dir, pair, step.size)?;
    let made = within(data_dir, size).await?;
    let proofs = asked.len();
    let none = || Failure::new(Exit::Internal, "no proof was asked for");
    Ok(one(Measured::Proof(ProofRun {
        scenario: step.scenario.as_str(),
        payload_bytes: step.size,
        entries: size,
        proofs,
        over_desk: latency(&asked).ok_or_else(none)?,
        in_process: latency(&made).ok_or_else(none)?,
    })))
}

async fn over_desk(
    desk: &crate::cli::connect::Desk,
    ids: &[String],
) -> Result<Histogram<u64>, Failure> {
    let mut asked = times()?;
    let bar = Bar::items("proofs", ids.len() as u64);
    let mut audit = desk.audit();
    for number in 0..ids.len() {
        let place = number.wrapping_mul(7_919) % ids.len();
        let request = ProofRequest {
            id: ids[place].clone(),
            root_at: 0,
        };
        let begun = Instant::now();
        refused::answer(audit.proof(request).await)?;
        asked.saturating_record(nanos_since(begun, Instant::now()));
        bar.advance(1);
    }
    Ok(asked)
}

/// The store of a node that has stopped, read as the node reads it.
async fn within(data_dir: PathBuf, size: u64) -> Result<Histogram<u64>, Failure> {
    let work = move || -> Result<Histogram<u64>, Failure> {
        let failed = || format!("the store in {}", data_dir.display());
        let store = SledStore::open(&OpenOptions::new(&data_dir));
        let store: Arc<dyn Store> = Arc::new(store.or_fail(Exit::Internal, failed)?);
        let blobs = Arc::new(Blobs::open(&data_dir, 0).or_fail(Exit::Internal, failed)?);
        let reader = LogReader::new(&store, &blobs, FIRST_LINK, LogSide::Own);
        let tree = Tree::restore(size, &reader).or_fail(Exit::Internal, failed)?;
        let snapshot = Snapshot::new(&tree, &reader);
        let mut made = times()?;
        for number in 0..PROOFS.min(size) {
            let index = number.wrapping_mul(STRIDE) % size;
            let begun = Instant::now();
            let proof = snapshot.inclusion_proof(index, size);
            std::hint::black_box(proof.or_fail(Exit::Internal, failed)?);
            made.saturating_record(nanos_since(begun, Instant::now()));
        }
        Ok(made)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.or_fail(Exit::Internal, || "proofs in this process".to_owned())?
}
