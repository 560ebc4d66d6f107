//! What the node has counted of its own work: for whoever measures it.

use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use tonic::{Request, Response, Status};

use super::Desk;
use super::backup::admit_keeper;
use super::caller::Method;
use super::service::answer;
use crate::link::wire;
use crate::proto::v1;
use crate::proto::v1::figures_service_server::FiguresService;
use crate::store::counters;

#[tonic::async_trait]
impl FiguresService for Arc<Desk> {
    async fn get_figures(
        &self,
        request: Request<v1::GetFiguresRequest>,
    ) -> Result<Response<v1::GetFiguresResponse>, Status> {
        let caller = admit_keeper(&request, Method::GetFigures)?;
        answer(&caller, Method::GetFigures, Ok(figures()))
    }
}

fn figures() -> v1::GetFiguresResponse {
    let stored = counters::counted();
    let carried = wire::counted();
    v1::GetFiguresResponse {
        cpu_micros: cpu_micros(),
        syncs: stored.syncs,
        commits: stored.commits,
        peer_bytes_in: carried.bytes_in,
        peer_bytes_out: carried.bytes_out,
        written_bytes: counters::written_bytes(),
    }
}

/// Processor time of this process.
fn cpu_micros() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
    // It counts up from 0.
    u64::try_from(micros).unwrap_or_default()
}
