//! The load: notifications submitted over the desk, so many on their way at a time, until each has its
//! receipt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hdrhistogram::Histogram;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::drafts::Drafts;
use crate::cli::connect::Desk;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::Bar;
use crate::cli::refused;
use crate::link::serve::STREAMS_MAX;
use crate::proto::v1::{self, Draft, WatchEvent};

/// When nothing has happened for so long, it will not.
const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// The longest time that is told from longer ones.
const TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
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

/// How a load is driven.
#[derive(Debug, Clone)]
pub(super) struct Plan {
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
    /// Connections that the window asks for, by the streams that one may have, at most `most`.
    pub(super) fn connections(&self, most: usize) -> usize {
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
fn times() -> Result<Histogram<u64>, Failure> {
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
/// The first refusal of a node; a subscription that ended; a load that stands still.
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

/// Submits them one after the other as places become free; each is answered in a task of its own.
async fn submit_all(
    plan: &Plan,
    ways: &Ways,
    first: u64,
    course: &Arc<Course>,
    failed: &mpsc::Sender<Failure>,
) -> Result<(), Failure> {
    let mut submitting = JoinSet::new();
    let mut desks = ways.submit.iter().cycle();
    for number in first..first + plan.count {
        let place = course.places.acquire().await;
        place
            .or_fail(Exit::Internal, || "a place in the window".to_owned())?
            .forget();
        if !plan.pause.is_zero() {
            tokio::time::sleep(plan.pause).await;
        }
        let Some(desk) = desks.next() else {
            return Err(Failure::new(Exit::Internal, "there is no way to the node"));
        };
        let draft = plan.drafts.make(number)?;
        course.begin(&draft.id, ways.peer.is_some());
        submitting.spawn(submit(
            desk.clone(),
            draft,
            Arc::clone(course),
            failed.clone(),
        ));
        while submitting.try_join_next().is_some() {}
    }
    while submitting.join_next().await.is_some() {}
    Ok(())
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
                "it stands still: {} of {} are delivered and receipted, and nothing more came for {} s",
                done / each,
                all / each,
                STALL_TIME_MAX.as_secs()
            );
            return Err(Failure::new(Exit::Negative, what)
                .remedy("look at the link: liaison status; and at the logs of the nodes"));
        }
    }
}
