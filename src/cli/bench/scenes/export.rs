//! Verification of an export: entries a second, beside what the signatures alone would allow.

use std::path::Path;
use std::time::Instant;

use super::{Nodes, Step, Taken, fill, number};
use crate::audit::verify::verify_export;
use crate::cli::audit::export_to;
use crate::cli::bench::limits::Taker;
use crate::cli::bench::take_limits;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::Bar;
use crate::proto::v1::ExportRequest;

/// Why bodies go into the export whatever their handling code is: it is recorded.
const REASON: &str = "liaison bench measures the verification of an export";

/// Fills the log, exports it, and verifies the export so many times.
pub(super) async fn measure(
    step: &Step,
    dir: &Path,
    nodes: &mut Nodes,
    taker: &mut Taker,
) -> Result<Vec<Taken>, Failure> {
    let plan = step.filling(step.count)?;
    let pair = nodes.pair(dir)?;
    take_limits(taker, dir, pair, step.size)?;
    let ways = pair.start(&plan).await?;
    fill(&plan, &ways, pair).await?;
    let folder = dir.join("export");
    let request = ExportRequest {
        override_reason: REASON.to_owned(),
        ..ExportRequest::default()
    };
    export_to(pair.sender().desk()?, request, &folder).await?;
    // It is verified without them, as auditors do.
    pair.0.stop().await;
    let bar = Bar::items("verifying the export", step.rounds as u64);
    let (mut rates, mut entries) = (Vec::new(), 0);
    for _ in 0..step.rounds {
        let folder = folder.clone();
        let work = move || {
            let begun = Instant::now();
            let verdict = verify_export(&folder, None, &mut |_| {});
            (verdict, begun.elapsed())
        };
        let done = tokio::task::spawn_blocking(work).await;
        let (verdict, took) = done.or_fail(Exit::Internal, || "the verification".to_owned())?;
        if !verdict.clean {
            let what = "the export of the sender does not verify";
            return Err(Failure::new(Exit::Negative, what)
                .remedy("run it with --keep; then: liaison audit verify on the folder export"));
        }
        entries = verdict.counts.entries;
        rates.push(number(entries) / took.as_secs_f64().max(f64::MIN_POSITIVE));
        bar.advance(1);
    }
    take_limits(taker, dir, pair, step.size)?;
    Ok(vec![Taken::Verify {
        payload_bytes: step.size,
        entries,
        rates,
    }])
}
