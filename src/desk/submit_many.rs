//! Submitting many on one stream: each draft a task of its own, admitted, charged and refused exactly as
//! Submit would.
//!
//! Messages of one stream share work that both ends do for every call; what comes together is signed on every
//! core and flushed together.
//!
//! What is read is bounded three times: by answers that the caller has not read, by what is being recorded
//! takes in memory, and by what may be in flight. Beyond that the stream is not read, and HTTP/2 lets the
//! caller wait; so nothing is refused here for being too much at a time.
//!
//! Each draft that has its place in flight is worked off, whether or not the caller is still there: it is
//! recorded and durable, or nothing of it was kept. Until all of them are, the stream keeps its place, so
//! that nobody comes round the bounds by going away and coming back. The one draft that was read and waits for
//! its place is let go with its stream. Ids make it safe to send again.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message as _;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::Desk;
use super::caller::{Caller, Method};
use super::errors::{DeskError, failure_of};
use super::quota::class_of;
use super::seats::Seat;
use crate::exchange::quota::Class;
use crate::limits::{
    READER_TIME_MAX, SUBMIT_MANY_BYTES_MAX, SUBMIT_MANY_IDLE_TIME_MAX, SUBMIT_MANY_LIGHT_BYTES_MAX,
    SUBMIT_MANY_MAX, SUBMIT_MANY_PART_BYTES, SUBMIT_MANY_REFUSALS_MAX,
};
use crate::model::parts;
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
        let caller = Arc::new(caller.clone());
        let intake = Intake {
            seat: Arc::new(seat),
            desk: Arc::clone(self),
            refusals: Arc::new(Refusals::of(&caller)),
            caller,
            places: Arc::new(Semaphore::new(SUBMIT_MANY_MAX)),
            bytes: Arc::new(Semaphore::new(SUBMIT_MANY_BYTES_MAX)),
            answers,
            taken: Arc::clone(&taken),
        };
        tokio::spawn(intake.run(requests));
        let sent = ReceiverStream::new(queue).map(move |(answer, _place): Queued| {
            taken.fetch_add(1, Ordering::Relaxed);
            answer
        });
        Ok(Box::pin(sent))
    }
}

/// One stream of drafts.
struct Intake {
    /// The stream's own: until everything that has its place in flight is worked off. It stands first, to be
    /// given back before the caller sees the end.
    seat: Arc<Seat>,
    desk: Arc<Desk>,
    caller: Arc<Caller>,
    /// For drafts whose answers have not gone out.
    places: Arc<Semaphore>,
    /// For drafts that are being recorded: what they take in memory.
    bytes: Arc<Semaphore>,
    refusals: Arc<Refusals>,
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
            () = self.refusals.too_many.cancelled() => Err(DeskError::AllRefused),
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
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.map_err(closed)?;
            let request = tokio::time::timeout(SUBMIT_MANY_IDLE_TIME_MAX, requests.message()).await;
            let request = request.map_err(|_| DeskError::StreamIdle)?;
            let request = request.map_err(|status| DeskError::Transport(Box::new(status)))?;
            let Some(request) = request else {
                return Ok(());
            };
            // Without a draft, the check names everything that is missing.
            let draft = request.draft.unwrap_or_default();
            let (draft, room) = self.room_for(draft).await?;
            let unanswered = Unanswered {
                sequence: request.sequence,
                answers: self.answers.clone(),
                place: Some(place),
            };
            let (desk, caller) = (Arc::clone(&self.desk), Arc::clone(&self.caller));
            let (stream, refusals) = (Arc::clone(&self.seat), Arc::clone(&self.refusals));
            tokio::spawn(async move {
                let Room { seat, memory } = room;
                let outcome = desk.outcome_of(&caller, draft, seat, &refusals).await;
                drop((memory, stream, refusals));
                unanswered.answer(outcome);
            });
        }
    }

    /// Waits until there is room for a draft. One that is large in memory waits as the bytes that it came in.
    async fn room_for(&self, draft: v1::Draft) -> Result<(v1::Draft, Room), DeskError> {
        let encoded = draft.encode_to_vec();
        let weight = weight_of(&encoded);
        let class = class_of(&draft);
        let light = (weight <= SUBMIT_MANY_LIGHT_BYTES_MAX).then_some(draft);
        let room = self.room(class, weight).await?;
        let draft = match light {
            Some(draft) => draft,
            None => v1::Draft::decode(encoded.as_slice()).map_err(|error| {
                let status = Status::internal(error.to_string());
                DeskError::Transport(Box::new(status))
            })?,
        };
        Ok((draft, room))
    }

    async fn room(&self, class: Class, weight: usize) -> Result<Room, DeskError> {
        let bytes = u32::try_from(weight.min(SUBMIT_MANY_BYTES_MAX)).unwrap_or(u32::MAX);
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes);
        let bytes = bytes.await.map_err(closed)?;
        let seat = self.desk.seat_in_turn(&self.caller, class).await;
        // Last, since there are fewest: whoever has it waits for nothing else.
        let heavy = if weight > SUBMIT_MANY_BYTES_MAX {
            let heavy = Arc::clone(&self.desk.heavy_submits).acquire_owned();
            Some(heavy.await.map_err(closed)?)
        } else {
            None
        };
        let memory = (bytes, heavy);
        Ok(Room { seat, memory })
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

/// What a draft needs to be recorded.
struct Room {
    /// In flight.
    seat: Result<Seat, DeskError>,
    memory: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

/// No such semaphore is ever closed.
fn closed(_: AcquireError) -> DeskError {
    DeskError::Stopping
}

/// What a draft takes in memory at most, about.
fn weight_of(encoded: &[u8]) -> usize {
    let parts = parts::count_in::<v1::Draft>(encoded);
    encoded.len().max(parts * SUBMIT_MANY_PART_BYTES)
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
        refusals: &Refusals,
    ) -> Outcome {
        let recorded = async { self.submit_seated(caller, draft, seat?).await };
        let error = match recorded.await {
            Ok(recorded) => {
                refusals.recorded();
                return Outcome::Recorded(recorded);
            }
            Err(error) => error,
        };
        let reason = error.reason();
        refusals.refused(reason);
        let status = Status::from(error);
        if status.code() == Code::PermissionDenied {
            self.note_refusal(caller, CALL).await;
        }
        Outcome::Failure(failure_of(reason, &status))
    }
}

/// What was refused on one stream. The log is told of each reason at its first time, then each time the number
/// has doubled, and the number at the stream's end: a caller who sends nonsense does not fill it.
#[derive(Debug)]
struct Refusals {
    caller: Arc<Caller>,
    by_reason: Mutex<BTreeMap<&'static str, u64>>,
    /// Since one was recorded.
    in_a_row: AtomicUsize,
    /// One more in a row than may be.
    too_many: CancellationToken,
}

impl Refusals {
    fn of(caller: &Arc<Caller>) -> Self {
        Self {
            caller: Arc::clone(caller),
            by_reason: Mutex::default(),
            in_a_row: AtomicUsize::new(0),
            too_many: CancellationToken::new(),
        }
    }

    fn recorded(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    fn refused(&self, reason: &'static str) {
        if let Some(times) = self.count(reason) {
            self.tell(reason, times, "a message of a stream was refused");
        }
        if self.in_a_row.fetch_add(1, Ordering::Relaxed) >= SUBMIT_MANY_REFUSALS_MAX {
            self.too_many.cancel();
        }
    }

    /// Counts one; how many there are of its reason, if that is to be told.
    fn count(&self, reason: &'static str) -> Option<u64> {
        let mut by_reason = self
            .by_reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let times = by_reason.entry(reason).or_default();
        *times += 1;
        times.is_power_of_two().then_some(*times)
    }

    /// What the log has not been told.
    fn untold(&self) -> Vec<(&'static str, u64)> {
        let by_reason = self
            .by_reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let all = by_reason.iter().map(|(reason, times)| (*reason, *times));
        all.filter(|(_, times)| !times.is_power_of_two()).collect()
    }

    fn tell(&self, reason: &str, times: u64, what: &str) {
        let (caller, method) = (&self.caller, Method::Submit.as_str());
        tracing::warn!(%caller, method, reason, times, "{what}");
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        for (reason, times) in self.untold() {
            self.tell(
                reason,
                times,
                "a stream has ended on which messages were refused",
            );
        }
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

#[cfg(test)]
mod tests {
    use super::super::caller::Role;
    use super::*;

    fn refusals() -> Refusals {
        Refusals::of(&Arc::new(Caller {
            role: Role::Integration,
            name: "bulk".to_owned(),
        }))
    }

    #[test]
    fn the_log_is_told_of_refusals_when_their_number_has_doubled_and_at_the_end() {
        let refusals = refusals();
        let told: Vec<_> = (0..1_000)
            .filter_map(|_| refusals.count("BAD_FIELDS"))
            .collect();
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(refusals.count("ID_USED"), Some(1));
        assert_eq!(refusals.untold(), [("BAD_FIELDS", 1_000)]);
    }

    #[test]
    fn so_many_are_refused_in_a_row_and_one_that_is_recorded_begins_anew() {
        let refusals = refusals();
        for _ in 0..2 {
            refusals.recorded();
            for _ in 0..SUBMIT_MANY_REFUSALS_MAX {
                refusals.refused("BAD_FIELDS");
            }
            assert!(!refusals.too_many.is_cancelled());
        }
        refusals.refused("BAD_FIELDS");
        assert!(refusals.too_many.is_cancelled());
    }

    #[test]
    fn a_draft_weighs_what_it_takes_in_memory() {
        assert_eq!(weight_of(&[]), 0);
        let common = v1::Common {
            attachments: vec![v1::Attachment::default(); 10],
            ..v1::Common::default()
        };
        let letter = v1::OfficialLetter {
            common: Some(common),
            ..v1::OfficialLetter::default()
        };
        let draft = v1::Draft {
            body: Some(v1::Body {
                body: Some(v1::body::Body::OfficialLetter(letter)),
            }),
            ..v1::Draft::default()
        };
        // The body, its letter, what all have in common, and ten.
        assert_eq!(weight_of(&draft.encode_to_vec()), 13 << 10);
        let long = v1::Draft {
            recipient: "x".repeat(100 << 10),
            ..v1::Draft::default()
        };
        let encoded = long.encode_to_vec();
        assert_eq!(weight_of(&encoded), encoded.len());
    }
}
