//! Rounds of one load, what each came to, and the medians.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::bounds::{Bounds, Ratios, work_micros};
use super::limits::{Limits, cpu_micros};
use super::load::{Driven, Plan, Ways, drive};
use super::median;
use super::pair::figures;
use super::report::{Cpu, Latency, Run, Sides};
use crate::cli::exit::Failure;
use crate::cli::print::Bar;

use crate::proto::v1::GetFiguresResponse as Figures;

/// Rest before figures are taken, so that what still runs is counted with what caused it.
const SETTLE_TIME: Duration = Duration::from_millis(200);

/// What one round came to; figures of a node are what it counted meanwhile.
#[derive(Debug)]
pub(super) struct Round {
    driven: Driven,
    generator_micros: f64,
    sender: Option<Figures>,
    receiver: Option<Figures>,
}

/// Of a round's notifications, one in so many is sent to warm up; and at least so many.
const WARM_UP_PART: u64 = 10;
const WARM_UP_MIN: u64 = 100;

/// Notifications that are sent before the first round.
pub(super) fn warm_up_count(count: u64) -> u64 {
    (count / WARM_UP_PART).max(WARM_UP_MIN)
}

/// Notifications of the rounds, and of what is sent to warm up.
pub(super) fn all(plan: &Plan, rounds: usize) -> u64 {
    warm_up_count(plan.count) + plan.count * rounds as u64
}

/// Drives a part of the load that nobody measures: caches fill, buffers grow to their size.
pub(super) async fn warm_up(plan: &Plan, ways: &Ways, bar: &Bar) -> Result<(), Failure> {
    let part = Plan {
        count: warm_up_count(plan.count),
        ..plan.clone()
    };
    drive(&part, ways, 0, bar).await.map(drop)
}

/// Drives the load so many times, behind the warm-up.
pub(super) async fn rounds(
    plan: &Plan,
    ways: &Ways,
    count: usize,
    bar: &Bar,
) -> Result<Vec<Round>, Failure> {
    let mut rounds = Vec::with_capacity(count);
    let mut first = warm_up_count(plan.count);
    for _ in 0..count {
        tokio::time::sleep(SETTLE_TIME).await;
        let before = (both(ways).await?, cpu_micros());
        let driven = drive(plan, ways, first, bar).await?;
        first += plan.count;
        let generator_micros = cpu_micros() - before.1;
        tokio::time::sleep(SETTLE_TIME).await;
        let after = both(ways).await?;
        rounds.push(Round {
            driven,
            generator_micros,
            sender: less(after.0, before.0.0),
            receiver: less(after.1, before.0.1),
        });
    }
    Ok(rounds)
}

async fn both(ways: &Ways) -> Result<(Option<Figures>, Option<Figures>), Failure> {
    let sender = figures(&ways.own).await?;
    let receiver = match &ways.peer {
        Some(peer) => figures(peer).await?,
        None => None,
    };
    Ok((sender, receiver))
}

/// What was counted between two takings.
fn less(after: Option<Figures>, before: Option<Figures>) -> Option<Figures> {
    let (after, before) = (after?, before?);
    let written = after.written_bytes.zip(before.written_bytes);
    Some(Figures {
        cpu_micros: after.cpu_micros.saturating_sub(before.cpu_micros),
        syncs: after.syncs.saturating_sub(before.syncs),
        commits: after.commits.saturating_sub(before.commits),
        peer_bytes_in: after.peer_bytes_in.saturating_sub(before.peer_bytes_in),
        peer_bytes_out: after.peer_bytes_out.saturating_sub(before.peer_bytes_out),
        written_bytes: written.map(|(after, before)| after.saturating_sub(before)),
    })
}

/// What is known of a run beside its rounds.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) scenario: &'static str,
    /// Whether ratios of throughput make sense; else those of single notifications.
    pub(super) for_throughput: bool,
    pub(super) mix: &'static str,
    pub(super) payload_bytes: usize,
    /// The real peer, if it is one.
    pub(super) peer: Option<String>,
    /// Links of the sender that are used.
    pub(super) links: usize,
    /// Behind the warm-up.
    pub(super) entries_before: u64,
    /// By how much the files of both sides grew.
    pub(super) kept_bytes: Option<u64>,
    pub(super) cores: usize,
}

/// A count as a number to calculate with.
fn number(count: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and bytes of a run are far below 2⁵³"
    )]
    let number = count as f64;
    number
}

/// The median over the rounds of what is known in all of them.
fn of_rounds(rounds: &[Round], figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    let all: Option<Vec<f64>> = rounds.iter().map(figure).collect();
    all.map(|all| median(&all))
}

fn latency(rounds: &[Round], times: impl Fn(&Round) -> Option<&Histogram<u64>>) -> Option<Latency> {
    let quantile = |quantile: f64| {
        of_rounds(rounds, |round| {
            let nanos = times(round)?.value_at_quantile(quantile);
            Some(number(nanos) / 1e3)
        })
    };
    Some(Latency {
        p50: quantile(0.5)?,
        p90: quantile(0.9)?,
        p99: quantile(0.99)?,
        p999: quantile(0.999)?,
        max: of_rounds(rounds, |round| Some(number(times(round)?.max()) / 1e3))?,
    })
}

/// All figures of a run.
pub(super) fn run(plan: &Plan, around: &Around, rounds: &[Round], limits: &Limits) -> Run {
    let count = number(plan.count);
    let payload = count * number(around.payload_bytes as u64);
    let of_sender = |figure: fn(&Figures) -> u64| {
        of_rounds(rounds, |round| {
            Some(number(figure(round.sender.as_ref()?)) / count)
        })
    };
    let of_receiver = |figure: fn(&Figures) -> u64| {
        of_rounds(rounds, |round| {
            Some(number(figure(round.receiver.as_ref()?)) / count)
        })
    };
    let both_sides = |figure: fn(&Figures) -> u64| Sides {
        sender: of_sender(figure),
        receiver: of_receiver(figure),
    };
    let per_second: Vec<f64> = rounds
        .iter()
        .map(|round| count / round.driven.took.as_secs_f64().max(f64::MIN_POSITIVE))
        .collect();
    let cpu_micros = Cpu {
        sender: of_sender(|figures| figures.cpu_micros),
        receiver: of_receiver(|figures| figures.cpu_micros),
        generator: of_rounds(rounds, |round| Some(round.generator_micros / count)).unwrap_or(0.0),
    };
    let written = of_rounds(rounds, |round| {
        let (sender, receiver) = (round.sender.as_ref()?, round.receiver.as_ref()?);
        Some(number(sender.written_bytes? + receiver.written_bytes?) / payload)
    });
    let wire = of_rounds(rounds, |round| {
        let sender = round.sender.as_ref()?;
        Some(number(sender.peer_bytes_in + sender.peer_bytes_out) / payload)
    });
    let nothing = || Latency {
        p50: 0.0,
        p90: 0.0,
        p99: 0.0,
        p999: 0.0,
        max: 0.0,
    };
    let recorded = latency(rounds, |round| Some(&round.driven.recorded));
    let receipted = latency(rounds, |round| Some(&round.driven.receipted)).unwrap_or_else(nothing);
    let bounds = Bounds::of(limits, around.cores, around.payload_bytes);
    let per_second_median = median(&per_second);
    // They hold for both sides on one machine.
    let is_here = around.peer.is_none();
    let is_watched = rounds.iter().all(|round| round.driven.delivered.is_some());
    let of_throughput = |bound: f64| around.for_throughput.then_some(per_second_median / bound);
    let of_single = |bound: f64| (!around.for_throughput).then_some(receipted.p50 / bound);
    let work = work_micros(limits, around.payload_bytes);
    let ratios = Ratios {
        store_free: of_throughput(bounds.store_free_per_second),
        this_store: of_throughput(bounds.this_store_per_second),
        single: of_single(bounds.single_micros),
        single_rested: of_single(limits.single_rested_micros),
        single_p99_to_p50: (!around.for_throughput).then_some(receipted.p99 / receipted.p50),
        cpu_to_cryptography: cpu_micros
            .sender
            .zip(cpu_micros.receiver)
            .filter(|_| around.for_throughput)
            .map(|(sender, receiver)| (sender + receiver) / work),
    };
    Run {
        scenario: around.scenario,
        by: plan.by.as_str(),
        window: plan.window,
        window_until: plan.until.as_str(),
        payload_bytes: around.payload_bytes,
        mix: around.mix,
        links: around.links,
        peer: around.peer.clone(),
        watch: match (is_watched, plan.bodies) {
            (false, _) => None,
            (true, true) => Some("bodies"),
            (true, false) => Some("outline"),
        },
        entries_before: around.entries_before,
        warm_up: warm_up_count(plan.count),
        count: plan.count,
        receipts: rounds
            .iter()
            .map(|round| round.driven.receipted.len())
            .sum(),
        rounds: rounds.len(),
        per_second: per_second_median,
        per_second_of_rounds: per_second,
        recorded: recorded.unwrap_or_else(nothing),
        delivered: latency(rounds, |round| round.driven.delivered.as_ref()),
        receipt_verified: receipted,
        cpu_micros,
        syncs: both_sides(|figures| figures.syncs),
        commits: both_sides(|figures| figures.commits),
        wire_bytes_per_payload_byte: wire,
        disk_written_per_payload_byte: written,
        disk_kept_per_payload_byte: around
            .kept_bytes
            .map(|kept| number(kept) / (payload * number(rounds.len() as u64))),
        bounds: is_here.then_some(bounds),
        ratios: is_here.then_some(ratios),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_warms_up_and_never_less_than_a_hundred() {
        assert_eq!(warm_up_count(1), 100);
        assert_eq!(warm_up_count(1_009), 100);
        assert_eq!(warm_up_count(20_000), 2_000);
    }
}
