//! The load: notifications submitted over the desk, so many on their way at a time, until each has its
//! receipt.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hdrhistogram::Histogram;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use super::drafts::Drafts;
use crate::cli::connect::Desk;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::Bar;
use crate::cli::refused;
use crate::desk::errors::status_of;
use crate::limits::CALLER_SUBMIT_STREAMS_MAX;
use crate::link::serve::STREAMS_MAX;
use crate::proto::v1::submit_many_response::Outcome;
use crate::proto::v1::{self, Draft, WatchEvent};

/// When nothing has happened for so long, it will not.
pub(super) const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// The longest time that is told from longer ones.
const TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Drafts on their way that one stream is opened for.
const STREAM_DRAFTS: usize = 128;
/// Significant digits of a time.
const DIGITS: u8 = 3;

/// Until when a notification counts as on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Until {
    /// Its receipt is verified and durable: the sender knows that the peer has it.
    Receipt,
    /// It is recorded: Submit was answered.
    Recorded,
}

impl Until {
    /// As it is typed.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Recorded => "recorded",
        }
    }
}

/// How drafts go to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// `SubmitMany`: a few streams, as a program sends that has much to send.
    Stream,
    /// `Submit`: a call for each, as officers do.
    Calls,
}

impl By {
    /// As it is typed.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Calls => "calls",
        }
    }
}

/// How a load is driven.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// How drafts go to the node.
    pub(super) by: By,
    /// How many notifications.
    pub(super) count: u64,
    /// How many on their way at a time.
    pub(super) window: usize,
    /// Until when one is.
    pub(super) until: Until,
    /// Rest before each, for everything to become idle.
    pub(super) pause: Duration,
    /// Whether the peer's Watch shows whole bodies, each noted in its journal first, or levels only.
    pub(super) bodies: bool,
    /// What they say.
    pub(super) drafts: Drafts,
}

impl Plan {
    /// Connections that the window asks for, at most `most`: as many calls as one may have on each, or one
    /// stream of drafts.
    pub(super) fn connections(&self, most: usize) -> usize {
        if self.by == By::Stream {
            let streams = self.window.div_ceil(STREAM_DRAFTS);
            return streams.clamp(1, CALLER_SUBMIT_STREAMS_MAX.min(most));
        }
        let streams = usize::try_from(STREAMS_MAX).unwrap_or(usize::MAX);
        self.window.div_ceil(streams).clamp(1, most)
    }
}

/// Whom the load goes through.
#[derive(Debug)]
pub(super) struct Ways {
    /// Connections to the sender's desk, over which it is submitted.
    pub(super) submit: Vec<Desk>,
    /// The sender's desk, at which receipts are watched.
    pub(super) own: Desk,
    /// The receiver's desk, if it can be watched.
    pub(super) peer: Option<Desk>,
}

/// What came of a load. Times are in nanoseconds since Submit was called.
#[derive(Debug)]
pub(super) struct Driven {
    /// From the first Submit to the last receipt.
    pub(super) took: Duration,
    /// Submit was answered: durable here.
    pub(super) recorded: Histogram<u64>,
    /// Shown in the peer's Watch: durable there; nothing where it cannot be watched.
    pub(super) delivered: Option<Histogram<u64>>,
    /// The sender's Watch says that the receipt is there, verified and durable.
    pub(super) receipted: Histogram<u64>,
}

/// Times from 1 ns up to [`TIME_MAX`]; longer ones count as that.
pub(super) fn times() -> Result<Histogram<u64>, Failure> {
    let most = u64::try_from(TIME_MAX.as_nanos()).unwrap_or(u64::MAX);
    Histogram::new_with_max(most, DIGITS).or_fail(Exit::Internal, || "a histogram".to_owned())
}

/// What is still expected of a notification.
#[derive(Debug)]
struct Awaited {
    begun: Instant,
    recorded: bool,
    delivered: bool,
    receipted: bool,
}

#[derive(Debug)]
struct Tally {
    awaited: HashMap<String, Awaited>,
    recorded: Histogram<u64>,
    delivered: Histogram<u64>,
    receipted: Histogram<u64>,
    last: Option<Instant>,
}

/// What happens to a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Recorded,
    Delivered,
    Receipted,
}

/// Shared by all tasks of one load.
#[derive(Debug)]
struct Course {
    tally: Mutex<Tally>,
    /// Places on the way.
    places: Semaphore,
    until: Until,
    /// Steps taken, for whoever waits for the end.
    steps: watch::Sender<u64>,
}

impl Course {
    fn new(plan: &Plan) -> Result<Self, Failure> {
        Ok(Self {
            tally: Mutex::new(Tally {
                awaited: HashMap::new(),
                recorded: times()?,
                delivered: times()?,
                receipted: times()?,
                last: None,
            }),
            places: Semaphore::new(plan.window),
            until: plan.until,
            steps: watch::Sender::new(0),
        })
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A notification is about to be submitted; `watched` says whether the peer shows it.
    fn begin(&self, id: &str, watched: bool) {
        let awaited = Awaited {
            begun: Instant::now(),
            recorded: false,
            delivered: !watched,
            receipted: false,
        };
        self.tally().awaited.insert(id.to_owned(), awaited);
    }

    /// A step of one of ours; of others nothing is known, and what is told twice counts once.
    fn step(&self, id: &str, step: Step) {
        let now = Instant::now();
        let mut tally = self.tally();
        let Tally {
            awaited,
            recorded,
            delivered,
            receipted,
            last,
        } = &mut *tally;
        let Some(one) = awaited.get_mut(id) else {
            return;
        };
        let (done, times) = match step {
            Step::Recorded => (&mut one.recorded, recorded),
            Step::Delivered => (&mut one.delivered, delivered),
            Step::Receipted => (&mut one.receipted, receipted),
        };
        if std::mem::replace(done, true) {
            return;
        }
        let took = now.duration_since(one.begun).as_nanos();
        times.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
        if step == Step::Receipted {
            *last = Some(now);
        }
        if one.recorded && one.delivered && one.receipted {
            awaited.remove(id);
        }
        drop(tally);
        let frees = match self.until {
            Until::Receipt => Step::Receipted,
            Until::Recorded => Step::Recorded,
        };
        if step == frees {
            self.places.add_permits(1);
        }
        self.steps.send_modify(|steps| *steps += 1);
    }
}

/// Drives a load to its end.
///
/// # Errors
/// The first refusal of a node; a subscription that ended, or a stream that ended early; a load that
/// stands still.
pub(super) async fn drive(
    plan: &Plan,
    ways: &Ways,
    first: u64,
    bar: &Bar,
) -> Result<Driven, Failure> {
    let watched = ways.peer.is_some();
    let course = Arc::new(Course::new(plan)?);
    let (failed, mut failures) = mpsc::channel::<Failure>(1);
    // Everything here ends with the load.
    let mut tasks = JoinSet::new();
    let receipts = (WatchEvent::Delivered, Step::Receipted);
    follow(&mut tasks, (&ways.own, true), receipts, &course, &failed).await?;
    if let Some(peer) = &ways.peer {
        let shown = (WatchEvent::Received, Step::Delivered);
        follow(&mut tasks, (peer, !plan.bodies), shown, &course, &failed).await?;
    }
    let begun = Instant::now();
    let submitting = submit_all(plan, ways, first, &course, &failed);
    let steps_each = if watched { 3 } else { 2 };
    let waiting = until_done(&course, plan.count * steps_each, steps_each, bar);
    tokio::select! {
        outcome = async { tokio::try_join!(submitting, waiting) } => drop(outcome?),
        Some(failure) = failures.recv() => return Err(failure),
    }
    let mut tally = course.tally();
    let last = tally.last.unwrap_or(begun);
    Ok(Driven {
        took: last.duration_since(begun),
        recorded: std::mem::replace(&mut tally.recorded, times()?),
        delivered: match std::mem::replace(&mut tally.delivered, times()?) {
            times if watched => Some(times),
            _ => None,
        },
        receipted: std::mem::replace(&mut tally.receipted, times()?),
    })
}

/// Submits a load as fast as the window allows, and is done when all of it is recorded.
///
/// # Errors
/// The first refusal of the node; a stream that ended early; a load that stands still.
pub(super) async fn record(plan: &Plan, ways: &Ways, bar: &Bar) -> Result<(), Failure> {
    let plan = Plan {
        until: Until::Recorded,
        ..plan.clone()
    };
    let course = Arc::new(Course::new(&plan)?);
    let (failed, mut failures) = mpsc::channel::<Failure>(1);
    let submitting = submit_all(&plan, ways, 0, &course, &failed);
    // Each is recorded once; nobody watches for more.
    let waiting = until_done(&course, plan.count, 1, bar);
    tokio::select! {
        outcome = async { tokio::try_join!(submitting, waiting) } => outcome.map(drop),
        Some(failure) = failures.recv() => Err(failure),
    }
}

/// Subscribes, in outline or with bodies, and from then on takes note of the events of one kind.
async fn follow(
    tasks: &mut JoinSet<()>,
    (desk, outline): (&Desk, bool),
    (event, step): (WatchEvent, Step),
    course: &Arc<Course>,
    failed: &mpsc::Sender<Failure>,
) -> Result<(), Failure> {
    let request = v1::WatchRequest {
        outline,
        only: vec![event.into()],
        ..v1::WatchRequest::default()
    };
    let answer = desk.desk().watch(request).await;
    let mut events = refused::answer(answer)?;
    let (course, failed) = (Arc::clone(course), failed.clone());
    tasks.spawn(async move {
        let failure = loop {
            match events.message().await {
                Ok(Some(told)) => {
                    if told.event() == event
                        && let Some(message) = &told.message
                    {
                        course.step(&message.id, step);
                    }
                }
                Ok(None) => {
                    break Failure::new(Exit::Unavailable, "a node has ended its subscription");
                }
                Err(status) => break refused::failure(&status),
            }
        };
        // The first one is told.
        let _ = failed.try_send(failure);
    });
    Ok(())
}

/// Where drafts go, one after the other.
enum Lanes<'a> {
    Calls(std::iter::Cycle<std::slice::Iter<'a, Desk>>),
    Streams(std::iter::Cycle<std::vec::IntoIter<Lane>>),
}

/// A stream of drafts.
#[derive(Clone)]
struct Lane {
    drafts: mpsc::Sender<v1::SubmitManyRequest>,
    unanswered: Arc<AtomicU64>,
}

impl Lane {
    /// Sends a draft as soon as the stream takes it. A stream that has ended tells why itself.
    async fn send(&self, request: v1::SubmitManyRequest) {
        self.unanswered.fetch_add(1, Ordering::SeqCst);
        drop(self.drafts.send(request).await);
    }
}

/// Submits them one after the other as places become free, by calls or by streams.
async fn submit_all(
    plan: &Plan,
    ways: &Ways,
    first: u64,
    course: &Arc<Course>,
    failed: &mpsc::Sender<Failure>,
) -> Result<(), Failure> {
    let mut submitting = JoinSet::new();
    let mut lanes = match plan.by {
        By::Calls => Lanes::Calls(ways.submit.iter().cycle()),
        By::Stream => {
            let mut senders = Vec::with_capacity(ways.submit.len());
            for desk in &ways.submit {
                senders.push(open_stream(&mut submitting, desk, course, failed).await?);
            }
            Lanes::Streams(senders.into_iter().cycle())
        }
    };
    let no_way = || Failure::new(Exit::Internal, "there is no way to the node");
    for number in first..first + plan.count {
        let place = course.places.acquire().await;
        place
            .or_fail(Exit::Internal, || "a place in the window".to_owned())?
            .forget();
        if !plan.pause.is_zero() {
            tokio::time::sleep(plan.pause).await;
        }
        let draft = plan.drafts.make(number)?;
        course.begin(&draft.id, ways.peer.is_some());
        match &mut lanes {
            Lanes::Calls(desks) => {
                let desk = desks.next().ok_or_else(no_way)?.clone();
                submitting.spawn(submit(desk, draft, Arc::clone(course), failed.clone()));
                while submitting.try_join_next().is_some() {}
            }
            Lanes::Streams(streams) => {
                let request = v1::SubmitManyRequest {
                    sequence: number,
                    draft: Some(draft),
                };
                let lane = streams.next().ok_or_else(no_way)?;
                lane.send(request).await;
            }
        }
    }
    // Every stream ends when its drafts do, and has answered them then.
    drop(lanes);
    while submitting.join_next().await.is_some() {}
    Ok(())
}

/// Opens a stream of drafts, whose answers are taken in by a task.
async fn open_stream(
    tasks: &mut JoinSet<()>,
    desk: &Desk,
    course: &Arc<Course>,
    failed: &mpsc::Sender<Failure>,
) -> Result<Lane, Failure> {
    let (sender, drafts) = mpsc::channel(STREAM_DRAFTS);
    let lane = Lane {
        drafts: sender,
        unanswered: Arc::default(),
    };
    // This task is not to keep the stream open.
    let (open, unanswered) = (lane.drafts.downgrade(), Arc::clone(&lane.unanswered));
    let answer = desk.desk().submit_many(ReceiverStream::new(drafts)).await;
    let mut answers = refused::answer(answer)?;
    let (course, failed) = (Arc::clone(course), failed.clone());
    tasks.spawn(async move {
        let failure = loop {
            match answers.message().await {
                Ok(Some(answer)) => match answer.outcome {
                    Some(Outcome::Recorded(recorded)) => {
                        unanswered.fetch_sub(1, Ordering::SeqCst);
                        course.step(&recorded.id, Step::Recorded);
                    }
                    Some(Outcome::Failure(told)) => break refused::failure(&status_of(&told)),
                    None => break Failure::new(Exit::Internal, "an answer says nothing"),
                },
                Ok(None) if ended_in_order(open.upgrade().is_some(), &unanswered) => return,
                Ok(None) => {
                    let what = "the node has ended a stream before it had answered all of it";
                    break Failure::new(Exit::Unavailable, what);
                }
                Err(status) => break refused::failure(&status),
            }
        };
        // The first one is told.
        drop(failed.try_send(failure));
    });
    Ok(lane)
}

/// Whether a stream of answers may end now: no more drafts will come, and all are answered.
fn ended_in_order(is_open: bool, unanswered: &AtomicU64) -> bool {
    !is_open && unanswered.load(Ordering::SeqCst) == 0
}

async fn submit(desk: Desk, draft: Draft, course: Arc<Course>, failed: mpsc::Sender<Failure>) {
    let id = draft.id.clone();
    let request = v1::SubmitRequest { draft: Some(draft) };
    match desk.desk().submit(request).await {
        Ok(_) => course.step(&id, Step::Recorded),
        // The first one is told.
        Err(status) => drop(failed.try_send(refused::failure(&status))),
    }
}

/// Waits until all steps are taken, as long as there are any.
async fn until_done(course: &Course, all: u64, each: u64, bar: &Bar) -> Result<(), Failure> {
    let mut steps = course.steps.subscribe();
    let mut before = 0;
    loop {
        let done = *steps.borrow_and_update();
        bar.advance(done / each - before);
        before = done / each;
        if done >= all {
            return Ok(());
        }
        let next = tokio::time::timeout(STALL_TIME_MAX, steps.changed()).await;
        if !matches!(next, Ok(Ok(()))) {
            let what = format!(
                "it stands still: {} of {} are through, and nothing more came for {} s",
                done / each,
                all / each,
                STALL_TIME_MAX.as_secs()
            );
            return Err(Failure::new(Exit::Negative, what)
                .remedy("look at the link: liaison status; and at the logs of the nodes"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_in_order_only_behind_its_last_draft_and_answer() {
        let (none, one) = (AtomicU64::new(0), AtomicU64::new(1));
        assert!(ended_in_order(false, &none));
        assert!(!ended_in_order(true, &none), "more was to come");
        assert!(!ended_in_order(false, &one), "one has no answer");
    }
}
