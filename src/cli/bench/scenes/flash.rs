//! A FLASH alert while letters drain: how long until the peer shows it, beside an idle link.
//!
//! Each round: the receiver is stopped, the letters are recorded, the receiver is started, and from then
//! on one alert after the other is said until the last letter has its receipt. An alert counts if letters
//! were still to be delivered right before it was submitted, however late it was shown: one that had to
//! wait behind all of them is what is looked for.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{Nodes, Step, Taken, latency, nanos_since, one};
use crate::cli::bench::REST;
use crate::cli::bench::drafts::alert;
use crate::cli::bench::limits::Taker;
use crate::cli::bench::load::{STALL_TIME_MAX, Ways, record, times};
use crate::cli::bench::pair::{self, Pair};
use crate::cli::bench::report::{FlashRun, Measured};
use crate::cli::bench::take_limits;
use crate::cli::connect::Desk;
use crate::cli::draft::new_id;
use crate::cli::exit::{Exit, Failure};
use crate::cli::print::Bar;
use crate::cli::{refused, status};
use crate::proto::v1::{self, Draft, Precedence, Status, WatchEvent};

/// Alerts on an idle link in each round.
const IDLE_ALERTS: u64 = 200;
/// How often it is looked whether all is delivered.
const POLL: Duration = Duration::from_millis(20);

/// Measures rounds of both.
pub(super) async fn measure(
    step: &Step,
    dir: &Path,
    nodes: &mut Nodes,
    taker: &mut Taker,
) -> Result<Vec<Taken>, Failure> {
    let letters = step.plan()?;
    let said = alert(pair::RECEIVER, Status::Actual, Precedence::Flash)?;
    let pair = nodes.pair(dir)?;
    take_limits(taker, dir, pair, step.size)?;
    let mut ways = pair.start(&letters).await?;
    let (mut idle, mut draining) = (times()?, times()?);
    let mut drained = Duration::ZERO;
    for _ in 0..step.rounds {
        let alerts = Alerts::follow(pair, &ways, &said).await?;
        for _ in 0..IDLE_ALERTS {
            tokio::time::sleep(REST).await;
            idle.saturating_record(alerts.one().await?);
        }
        drop(alerts);
        until_delivered(&ways, pair).await?;

        pair.0.cn.stop().await;
        let bar = Bar::items("recording letters", letters.count);
        tokio::select! {
            recorded = record(&letters, &ways, &bar) => recorded?,
            () = pair.0.vn.ended() => return Err(pair.ended().await),
        }
        drop(bar);
        let letters_end = own_link(&ways).await?.own_size;
        let begun = Instant::now();
        pair.0.cn.start()?;
        pair.0.cn.wait_until(true).await?;
        ways.peer = Some(pair.receiver().desk()?.clone());
        let alerts = Alerts::follow(pair, &ways, &said).await?;
        let bar = Bar::items("letters drain", letters.count);
        loop {
            tokio::time::sleep(REST).await;
            let delivered = own_link(&ways).await?.delivered_size;
            bar.at(letters
                .count
                .saturating_sub(letters_end.saturating_sub(delivered)));
            if delivered >= letters_end {
                break;
            }
            draining.saturating_record(alerts.one().await?);
        }
        drained += begun.elapsed();
        drop(alerts);
        until_delivered(&ways, pair).await?;
    }
    pair.0.stop().await;
    take_limits(taker, dir, pair, step.size)?;
    Ok(one(Measured::Flash(flash_run(
        step, &idle, &draining, drained,
    ))))
}

fn flash_run(
    step: &Step,
    idle: &Histogram<u64>,
    draining: &Histogram<u64>,
    drained: Duration,
) -> FlashRun {
    let (shown_idle, shown_draining) = (latency(idle), latency(draining));
    let ratio = shown_draining
        .as_ref()
        .zip(shown_idle.as_ref())
        .map(|(draining, idle)| draining.p99 / idle.p99);
    FlashRun {
        scenario: step.scenario.as_str(),
        payload_bytes: step.size,
        count: step.count,
        rounds: step.rounds,
        drained_per_second: super::number(step.count * step.rounds as u64) / drained.as_secs_f64(),
        alerts_idle: idle.len(),
        alerts_draining: draining.len(),
        shown_idle,
        shown_draining,
        p99_to_idle: ratio,
    }
}

/// What is waited for, and who is told when it is shown.
type Awaited = Mutex<Option<(String, oneshot::Sender<Instant>)>>;

/// Says one alert after the other, and sees it come.
struct Alerts {
    own: Desk,
    said: Draft,
    awaited: Arc<Awaited>,
    /// Ends with this.
    _reader: JoinSet<()>,
}

impl Alerts {
    async fn follow(pair: &Pair, ways: &Ways, said: &Draft) -> Result<Self, Failure> {
        let request = v1::WatchRequest {
            outline: true,
            ..v1::WatchRequest::default()
        };
        let events = pair.receiver().desk()?.desk().watch(request).await;
        let mut events = refused::answer(events)?;
        let awaited: Arc<Awaited> = Arc::default();
        let mut reader = JoinSet::new();
        let shared = Arc::clone(&awaited);
        reader.spawn(async move {
            while let Ok(Some(told)) = events.message().await {
                let Some(message) = told.message.as_ref() else {
                    continue;
                };
                if told.event() != WatchEvent::Received {
                    continue;
                }
                let mut awaited = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((_, shown)) = awaited.take_if(|(id, _)| *id == message.id) {
                    // Whoever waited may have given up.
                    let _ = shown.send(Instant::now());
                }
            }
            // Whoever waits sees that nobody will answer.
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        });
        Ok(Self {
            own: ways.own.clone(),
            said: said.clone(),
            awaited,
            _reader: reader,
        })
    }

    /// Nanoseconds from Submit until it is shown at the peer.
    async fn one(&self) -> Result<u64, Failure> {
        let mut draft = self.said.clone();
        draft.id = new_id()?.to_string();
        let (shown, seen) = oneshot::channel();
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((draft.id.clone(), shown));
        let begun = Instant::now();
        let request = v1::SubmitRequest { draft: Some(draft) };
        refused::answer(self.own.desk().submit(request).await)?;
        match tokio::time::timeout(STALL_TIME_MAX, seen).await {
            Ok(Ok(at)) => Ok(nanos_since(begun, at)),
            _ => Err(
                Failure::new(Exit::Negative, "an alert was not shown at the peer")
                    .remedy("run it with --keep, and look at the logs of the nodes"),
            ),
        }
    }
}

/// The sender's end of the link.
async fn own_link(ways: &Ways) -> Result<v1::LinkStatus, Failure> {
    let links = status::get(&ways.own).await?.links;
    let link = links.into_iter().find(|link| link.peer == pair::RECEIVER);
    link.ok_or_else(|| Failure::new(Exit::Internal, "the sender has no link"))
}

/// Waits until the receiver has everything, as long as something comes.
async fn until_delivered(ways: &Ways, pair: &mut Pair) -> Result<(), Failure> {
    let (mut before, mut since) = (0, Instant::now());
    loop {
        let link = own_link(ways).await?;
        if link.delivered_size == link.own_size {
            return Ok(());
        }
        if link.delivered_size != before {
            (before, since) = (link.delivered_size, Instant::now());
        }
        if since.elapsed() > STALL_TIME_MAX {
            let what = "the link stands still: something has no receipt";
            return Err(Failure::new(Exit::Negative, what)
                .remedy("run it with --keep, and look at the logs of the nodes"));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            failure = pair.ended() => return Err(failure),
        }
    }
}
