//! Submitting many on one stream: each draft a task of its own, admitted, charged and refused exactly as
//! Submit would.
//!
//! Messages of one stream share work that both ends do for every call; what comes together is signed on every
//! core and flushed together.
//!
//! What is read is bounded three times: by answers that the caller has not read, by bytes that are being
//! recorded, and by what the caller may have in flight. Beyond that the stream is not read, and HTTP/2 lets the
//! caller wait; so nothing is refused here for being too much at a time.
//!
//! Whatever was read is worked off, whether or not the caller is still there: it is recorded and durable, or
//! nothing of it was kept. Ids make it safe to send again.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Status, Streaming};

use super::Desk;
use super::caller::{Caller, Method};
use super::errors::{DeskError, failure_of};
use super::quota::class_of;
use super::seats::Seat;
use super::service::refused;
use crate::limits::{READER_TIME_MAX, SUBMIT_MANY_BYTES_MAX, SUBMIT_MANY_MAX};
use crate::proto::v1;
use crate::proto::v1::submit_many_response::Outcome;

/// The answer to `SubmitMany`.
pub(super) type Answers =
    Pin<Box<dyn Stream<Item = Result<v1::SubmitManyResponse, Status>> + Send>>;

/// The name of the call, as the journal tells it.
const CALL: &str = "SubmitMany";

/// An answer on its way out, with its place among those that may be; the last one needs none.
type Queued = (
    Result<v1::SubmitManyResponse, Status>,
    Option<OwnedSemaphorePermit>,
);

impl Desk {
    pub(super) fn submit_many(
        self: &Arc<Self>,
        caller: &Caller,
        requests: Streaming<v1::SubmitManyRequest>,
    ) -> Result<Answers, DeskError> {
        let seat = self.submit_streams.take(caller);
        let seat = seat.ok_or(DeskError::Crowded {
            what: "streams of messages",
        })?;
        // Every place, and how it ended: to queue never waits.
        let (answers, queue) = mpsc::channel(SUBMIT_MANY_MAX + 1);
        let taken = Arc::new(AtomicU64::new(0));
        let intake = Intake {
            desk: Arc::clone(self),
            caller: Arc::new(caller.clone()),
            places: Arc::new(Semaphore::new(SUBMIT_MANY_MAX)),
            bytes: Arc::new(Semaphore::new(SUBMIT_MANY_BYTES_MAX)),
            answers,
            taken: Arc::clone(&taken),
        };
        tokio::spawn(async move {
            intake.run(requests).await;
            drop(seat);
        });
        let sent = ReceiverStream::new(queue).map(move |(answer, _place): Queued| {
            taken.fetch_add(1, Ordering::Relaxed);
            answer
        });
        Ok(Box::pin(sent))
    }
}

/// One stream of drafts.
struct Intake {
    desk: Arc<Desk>,
    caller: Arc<Caller>,
    /// For drafts whose answers have not gone out.
    places: Arc<Semaphore>,
    /// For drafts that are being recorded.
    bytes: Arc<Semaphore>,
    answers: mpsc::Sender<Queued>,
    /// Answers that have gone out.
    taken: Arc<AtomicU64>,
}

impl Intake {
    async fn run(self, requests: Streaming<v1::SubmitManyRequest>) {
        let ended = tokio::select! {
            ended = self.read(requests) => ended,
            () = self.answers.closed() => return,
            () = self.desk.stop.cancelled() => Err(DeskError::Stopping),
            error = self.unread() => Err(error),
        };
        // What was read is answered before it is said how the stream ended, if anybody listens.
        if !matches!(ended, Err(DeskError::NotRead)) {
            tokio::select! {
                _all = self.places.acquire_many(PLACES) => {}
                () = self.answers.closed() => return,
                _error = self.unread() => {}
            }
        }
        if let Err(error) = ended {
            let (caller, reason) = (&self.caller, error.reason());
            tracing::info!(%caller, reason, "a stream of messages has ended");
            // A caller who has stalled need not hear why.
            drop(self.answers.try_send((Err(error.into()), None)));
        }
    }

    /// Reads as far as there is room, until the caller has sent everything.
    async fn read(&self, mut requests: Streaming<v1::SubmitManyRequest>) -> Result<(), DeskError> {
        let closed = |_| DeskError::Stopping;
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.map_err(closed)?;
            let request = requests.message().await;
            let request = request.map_err(|status| DeskError::Transport(Box::new(status)))?;
            let Some(request) = request else {
                return Ok(());
            };
            // Without a draft, the check names everything that is missing.
            let draft = request.draft.unwrap_or_default();
            let bytes = u32::try_from(draft.encoded_len().min(SUBMIT_MANY_BYTES_MAX));
            let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes.unwrap_or(u32::MAX));
            let bytes = bytes.await.map_err(closed)?;
            let seat = self.desk.seat_in_turn(&self.caller, class_of(&draft)).await;
            let unanswered = Unanswered {
                sequence: request.sequence,
                answers: self.answers.clone(),
                place: Some(place),
            };
            let (desk, caller) = (Arc::clone(&self.desk), Arc::clone(&self.caller));
            tokio::spawn(async move {
                let outcome = desk.outcome_of(&caller, draft, seat).await;
                drop(bytes);
                unanswered.answer(outcome);
            });
        }
    }

    /// Ends when answers lie there and for so long not one was read.
    async fn unread(&self) -> DeskError {
        let mut before = None;
        loop {
            tokio::time::sleep(READER_TIME_MAX).await;
            let waits = self.answers.capacity() < self.answers.max_capacity();
            let now = waits.then(|| self.taken.load(Ordering::Relaxed));
            if now.is_some() && now == before {
                return DeskError::NotRead;
            }
            before = now;
        }
    }
}

/// Every place of a stream.
#[expect(clippy::cast_possible_truncation, reason = "4,096")]
const PLACES: u32 = SUBMIT_MANY_MAX as u32;

impl Desk {
    /// Submits one, and tells of it as a call of its own would: to the caller, the log and the journal.
    async fn outcome_of(
        &self,
        caller: &Caller,
        draft: v1::Draft,
        seat: Result<Seat, DeskError>,
    ) -> Outcome {
        let recorded = async { self.submit_seated(caller, draft, seat?).await };
        let error = match recorded.await {
            Ok(recorded) => return Outcome::Recorded(recorded),
            Err(error) => error,
        };
        let reason = error.reason();
        let status = refused(caller, Method::Submit, error);
        if status.code() == Code::PermissionDenied {
            self.note_refusal(caller, CALL).await;
        }
        Outcome::Failure(failure_of(reason, &status))
    }
}

/// A draft that was read: its caller hears of it in any case, also if the task that has it breaks.
struct Unanswered {
    sequence: u64,
    answers: mpsc::Sender<Queued>,
    place: Option<OwnedSemaphorePermit>,
}

impl Unanswered {
    fn answer(mut self, outcome: Outcome) {
        self.send(outcome);
    }

    fn send(&mut self, outcome: Outcome) {
        let Some(place) = self.place.take() else {
            return;
        };
        let answer = v1::SubmitManyResponse {
            sequence: self.sequence,
            outcome: Some(outcome),
        };
        // There is room for every place; who has gone away is told nothing.
        drop(self.answers.try_send((Ok(answer), Some(place))));
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.place.is_some() {
            let reason = DeskError::Stopping.reason();
            let failure = failure_of(reason, &DeskError::Stopping.into());
            self.send(Outcome::Failure(failure));
        }
    }
}
