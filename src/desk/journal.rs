//! What of the desk's calls is journalled: who comes, who is refused, and what is noted before it is done.
//!
//! Coming and being refused are seen around all calls ([`Journalled`]), so that no call can forget them. What
//! a call does is noted by the call itself, with [`Desk::note`], before it does it; it does not do what
//! cannot be noted. An entry says that somebody set about something and was let; whether it came about is
//! told by the logs.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::Code;
use tonic::codegen::{Service, http};
use tower::Layer;

use super::Desk;
use super::caller::{Caller, Role};
use super::errors::DeskError;
use crate::exchange::hold::Incident;
use crate::exchange::view::query_digest;
use crate::journal::{Act, Deed, JournalError, word_of};
use crate::limits::{
    JOURNAL_COUNTED_MAX, JOURNAL_HUNG_TIME_MAX, JOURNAL_HURRY_TIME_MAX, JOURNAL_LOGIN_INTERVAL,
    JOURNAL_NOTE_TIME_MAX, JOURNAL_REFUSAL_INTERVAL, JOURNAL_WHAT_BYTES_MAX,
};
use crate::link::connection::ConnectInfo;
use crate::model::text::cut;
use crate::model::{MessageId, NodeName};
use crate::proto::v1::ListRequest;

/// What the paths of this node's own calls begin with; health and reflection do not.
const OWN_CALLS: &str = "/liaison.";

impl Desk {
    /// Writes down what a caller is about to do, durably. Who gets an error here does not do it.
    ///
    /// # Errors
    /// [`DeskError::Journal`].
    pub(super) async fn note(&self, deed: Deed) -> Result<(), DeskError> {
        self.note_within(deed, JOURNAL_NOTE_TIME_MAX).await
    }

    /// As [`Desk::note`], where a person in a hurry waits and nothing is shown that must not be: whether
    /// it was written down. That it was not is logged, and told by the state of the node.
    pub(super) async fn try_note(&self, deed: Deed) -> bool {
        let act = word_of(deed.act());
        // Of a disk that has just hung, it is soon known whether it still does.
        let time = if self.journal_health.hangs() {
            JOURNAL_HUNG_TIME_MAX
        } else {
            JOURNAL_HURRY_TIME_MAX
        };
        let noted = self.note_within(deed, time).await;
        if let Err(error) = &noted {
            tracing::error!(act, reason = error.reason(), "it could not be journalled");
        }
        noted.is_ok()
    }

    async fn note_within(&self, deed: Deed, time: Duration) -> Result<(), DeskError> {
        let noted = match tokio::time::timeout(time, self.journal.note(deed)).await {
            Ok(noted) => noted.map(drop),
            Err(_) => Err(JournalError::Hangs),
        };
        let now_ms = self.exchange.clock().unix_ms();
        let is_to_be_told = self.journal_health.learn(&noted, now_ms);
        if let Err(error) = &noted
            && is_to_be_told
        {
            let incident = Incident {
                at_ms: now_ms,
                peer: self.exchange.node().to_string(),
                what: journal_trouble(&error.to_string()),
                evidence: Vec::new(),
            };
            self.exchange.note_incident(incident).await;
        }
        Ok(noted?)
    }

    /// Why nothing can be journalled; `None` while it works.
    pub(super) fn journal_trouble(&self) -> Option<String> {
        let hangs = || {
            let hangs = self.journal_health.hangs();
            hangs.then(|| JournalError::Hangs.to_string())
        };
        let reason = self.journal.trouble().or_else(hangs)?;
        Some(journal_trouble(&reason))
    }

    /// A deed of a caller.
    pub(super) fn deed(caller: &Caller, act: Act) -> Deed {
        Deed::new(caller.author().as_str(), act)
    }

    /// Notes what comes again and again: the first at once, then once a minute with how often.
    ///
    /// # Errors
    /// As [`Desk::note`].
    pub(super) async fn note_counted(&self, deed: Deed) -> Result<(), DeskError> {
        let key = deed.encoded();
        self.note_repeat(key, deed, JOURNAL_REFUSAL_INTERVAL).await
    }

    /// Whether [`Desk::note_counted`] would write it down now.
    pub(super) fn is_due(&self, deed: &Deed) -> bool {
        let now_ms = self.exchange.clock().unix_ms();
        self.repeats.is_due(&deed.encoded(), now_ms)
    }

    async fn note_repeat(
        &self,
        key: Vec<u8>,
        deed: Deed,
        interval: Duration,
    ) -> Result<(), DeskError> {
        let now_ms = self.exchange.clock().unix_ms();
        let (gone, due) = self.repeats.count(key, deed, interval, now_ms);
        // What made room was done and let; that it is not written down concerns nobody who calls now.
        if let Some(gone) = gone {
            self.try_note(gone).await;
        }
        self.note_due(due).await
    }

    async fn note_due(&self, due: Option<Due<'_>>) -> Result<(), DeskError> {
        let Some(due) = due else {
            return Ok(());
        };
        self.note(due.deed.clone()).await?;
        due.done();
        Ok(())
    }

    /// Writes down what was counted and not yet noted: what its time has come for, or all of it, before
    /// the journal is closed.
    pub async fn note_counts(&self, all: bool) {
        let now_ms = self.exchange.clock().unix_ms();
        for due in self.repeats.pending(all, now_ms) {
            if let Err(error) = self.note_due(Some(due)).await {
                tracing::error!(reason = error.reason(), "counts could not be journalled");
                return;
            }
        }
    }

    /// Writes down what was counted, again and again, until the desk is gone or stops.
    pub(super) fn keep_counts(self: &Arc<Self>) {
        let (weak, stop) = (Arc::downgrade(self), self.stop.clone());
        let counting = async move {
            loop {
                tokio::time::sleep(JOURNAL_REFUSAL_INTERVAL).await;
                let Some(desk) = weak.upgrade() else { return };
                desk.note_counts(false).await;
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(counting).await });
    }

    /// Notes that somebody is about to search the bodies: never for what. Each search is noted; page
    /// after page of one, once a minute. Which search a page is of is told by the request, not by its
    /// token: that is the caller's word.
    pub(super) async fn note_search(
        &self,
        caller: &Caller,
        request: &ListRequest,
    ) -> Result<(), DeskError> {
        let deed = Self::deed(caller, Act::Searched).peer(shown_peer(&request.peer));
        if request.page_token.is_empty() {
            return self.note(deed).await;
        }
        let mut key = deed.encoded();
        key.extend_from_slice(&query_digest(request));
        self.note_repeat(key, deed, JOURNAL_REFUSAL_INTERVAL).await
    }

    /// Notes that somebody is here. If that fails, what must be journalled will be refused by itself; the
    /// state of the node and urgent alerts are not, and it is tried again with the next call.
    async fn note_login(&self, caller: &Caller, info: &ConnectInfo) {
        let deed = Self::deed(caller, Act::LoggedIn).what(info.remote.kind());
        let noted = info.ending.once(async {
            if caller.role != Role::Integration {
                return if self.try_note(deed).await {
                    Ok(())
                } else {
                    Err(())
                };
            }
            let now_ms = self.exchange.clock().unix_ms();
            let key = deed.encoded();
            let (gone, due) = self
                .repeats
                .count(key, deed, JOURNAL_LOGIN_INTERVAL, now_ms);
            if let Some(gone) = gone {
                self.try_note(gone).await;
            }
            if let Some(due) = due {
                if !self.try_note(due.deed.clone()).await {
                    return Err(());
                }
                due.done();
            }
            Ok(())
        });
        // Logged where it failed.
        noted.await.ok();
    }

    /// Notes that somebody was refused: at once, and then once a minute with how often.
    pub(super) async fn note_refusal(&self, caller: &Caller, call: &str) {
        let deed = Self::deed(caller, Act::Refused).what(cut(call, JOURNAL_WHAT_BYTES_MAX));
        if let Err(error) = self.note_counted(deed).await {
            tracing::error!(%caller, reason = error.reason(), "a refusal could not be journalled");
        }
    }
}

fn journal_trouble(reason: &str) -> String {
    format!(
        "the journal does not work: no body is shown and nothing is done that must be journalled; \
         messages come and go as ever: {reason}"
    )
}

/// How the journal did when it was asked last.
#[derive(Debug, Default)]
pub(super) struct JournalHealth {
    hangs: AtomicBool,
    /// When an incident was made of it last; zero if never.
    told_at_ms: AtomicU64,
}

impl JournalHealth {
    fn hangs(&self) -> bool {
        self.hangs.load(Ordering::Relaxed)
    }

    /// Whether an incident is to be made of it: of what fails, once an hour.
    fn learn(&self, noted: &Result<(), JournalError>, now_ms: u64) -> bool {
        let hangs = matches!(noted, Err(JournalError::Hangs));
        self.hangs.store(hangs, Ordering::Relaxed);
        if matches!(noted, Ok(()) | Err(JournalError::TooLong { .. })) {
            return false; // or the deed's own fault
        }
        let interval_ms = u64::try_from(JOURNAL_LOGIN_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        let told = self.told_at_ms.load(Ordering::Relaxed);
        let is_due = told == 0 || told.abs_diff(now_ms) >= interval_ms;
        // Of two at once, one.
        is_due
            && (self.told_at_ms)
                .compare_exchange(told, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// A message as a request names it, if it is an id at all: nothing else is kept of what was sent.
pub(super) fn shown_id(text: &str) -> String {
    MessageId::parse(text).map_or_else(|_| String::new(), |id| id.to_string())
}

/// A peer as a request names it, if it is a node's name at all.
pub(super) fn shown_peer(text: &str) -> String {
    NodeName::parse(text).map_or_else(|_| String::new(), |name| name.to_string())
}

/// Things that happen again and again, each counted between two times that it is noted.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<BTreeMap<Vec<u8>, Repeat>>);

#[derive(Debug)]
struct Repeat {
    deed: Deed,
    interval_ms: u64,
    /// Nothing when it could not be: the next is due at once.
    noted_at_ms: Option<u64>,
    since: u32,
}

impl Repeat {
    fn is_due(&self, now_ms: u64) -> bool {
        // A clock that was set back does not silence it.
        let noted_at = self.noted_at_ms;
        noted_at.is_none_or(|noted_at_ms| noted_at_ms.abs_diff(now_ms) >= self.interval_ms)
    }

    fn note(&mut self, now_ms: u64) -> (Deed, u32) {
        self.noted_at_ms = Some(now_ms);
        let times = std::mem::take(&mut self.since);
        (self.deed.clone().times(times), times)
    }
}

/// What is to be noted now. It is counted again if it comes to nothing.
#[derive(Debug)]
struct Due<'a> {
    repeats: &'a Repeats,
    key: Vec<u8>,
    deed: Deed,
    times: u32,
}

impl Due<'_> {
    fn done(mut self) {
        self.times = 0;
    }
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        if self.times == 0 {
            return;
        }
        if let Some(repeat) = self.repeats.lock().get_mut(&self.key) {
            repeat.since = repeat.since.saturating_add(self.times);
            repeat.noted_at_ms = None;
        }
    }
}

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Repeat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, key: &[u8], now_ms: u64) -> bool {
        let counted = self.lock();
        counted.get(key).is_none_or(|repeat| repeat.is_due(now_ms))
    }

    /// Counts one more: what had to make room and was not noted yet, and what to note now, with how
    /// many there were since the last that was.
    fn count(
        &self,
        key: Vec<u8>,
        deed: Deed,
        interval: Duration,
        now_ms: u64,
    ) -> (Option<Deed>, Option<Due<'_>>) {
        let mut counted = self.lock();
        let mut gone = None;
        if !counted.contains_key(&key) && counted.len() >= JOURNAL_COUNTED_MAX {
            let oldest = counted.iter().min_by_key(|(_, repeat)| repeat.noted_at_ms);
            let oldest = oldest.map(|(oldest, _)| oldest.clone());
            let repeat = oldest.and_then(|oldest| counted.remove(&oldest));
            let repeat = repeat.filter(|repeat| repeat.since > 0);
            gone = repeat.map(|mut repeat| repeat.note(now_ms).0);
        }
        let repeat = counted.entry(key.clone()).or_insert_with(|| Repeat {
            deed,
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            noted_at_ms: None,
            since: 0,
        });
        repeat.since = repeat.since.saturating_add(1);
        if !repeat.is_due(now_ms) {
            return (gone, None);
        }
        let (deed, times) = repeat.note(now_ms);
        let repeats = self;
        let due = Due {
            repeats,
            key,
            deed,
            times,
        };
        (gone, Some(due))
    }

    /// What was counted and not noted: what is due, or all. What is long over makes room.
    fn pending(&self, all: bool, now_ms: u64) -> Vec<Due<'_>> {
        let mut counted = self.lock();
        counted.retain(|_, repeat| repeat.since > 0 || !repeat.is_due(now_ms));
        let pending = counted.iter_mut();
        pending
            .filter(|(_, repeat)| repeat.since > 0 && (all || repeat.is_due(now_ms)))
            .map(|(key, repeat)| {
                let (deed, times) = repeat.note(now_ms);
                Due {
                    repeats: self,
                    key: key.clone(),
                    deed,
                    times,
                }
            })
            .collect()
    }
}

/// Notes who comes and who is refused, around every call.
#[derive(Debug, Clone)]
pub(super) struct Journalled(pub(super) Arc<Desk>);

impl<S> Layer<S> for Journalled {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting {
            inner,
            desk: Arc::clone(&self.0),
        }
    }
}

/// What [`Journalled`] makes of a service.
#[derive(Debug, Clone)]
pub(super) struct Noting<S> {
    inner: S,
    desk: Arc<Desk>,
}

type Answer<B, E> = Pin<Box<dyn Future<Output = Result<http::Response<B>, E>> + Send>>;

impl<S, A, B> Service<http::Request<A>> for Noting<S>
where
    S: Service<http::Request<A>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    A: Send + 'static,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<B, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<A>) -> Self::Future {
        // The one that is ready is used, its clone is not.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let path = request.uri().path();
        let call = path.rsplit('/').next().unwrap_or_default().to_owned();
        let info = request.extensions().get::<ConnectInfo>().cloned();
        let caller = Caller::of(request.extensions());
        let known = info.zip(caller).filter(|_| path.starts_with(OWN_CALLS));
        let desk = Arc::clone(&self.desk);
        Box::pin(async move {
            let Some((info, caller)) = known else {
                return inner.call(request).await;
            };
            desk.note_login(&caller, &info).await;
            let answer = inner.call(request).await?;
            let status = answer.headers().get("grpc-status");
            if status
                .is_some_and(|status| Code::from_bytes(status.as_bytes()) == Code::PermissionDenied)
            {
                desk.note_refusal(&caller, &call).await;
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Counts one, and says what was noted.
    fn told(repeats: &Repeats, what: &str, now: u64) -> Option<u32> {
        let deed = Deed::new("auditor/kt-1", Act::Refused).what(what);
        let (_, due) = repeats.count(deed.encoded(), deed, MINUTE, now);
        due.map(|due| {
            let times = due.times;
            due.done();
            times
        })
    }

    #[test]
    fn what_comes_again_and_again_is_told_once_an_interval_with_its_number() {
        let repeats = Repeats::default();
        let count = |what: &str, now| told(&repeats, what, now);
        assert_eq!(count("Submit", 1_000), Some(1));
        assert_eq!(count("Submit", 2_000), None);
        assert_eq!(count("Watch", 2_000), Some(1));
        assert_eq!(count("Submit", 60_999), None);
        assert_eq!(count("Submit", 61_000), Some(3));
        assert_eq!(count("Submit", 61_001), None);
    }

    #[test]
    fn the_last_count_is_not_lost() {
        let repeats = Repeats::default();
        told(&repeats, "Submit", 1_000);
        for now in 2_000..2_005 {
            assert_eq!(told(&repeats, "Submit", now), None);
        }
        assert!(repeats.pending(false, 3_000).is_empty());
        // It could not be written down: it is still owed.
        assert_eq!(repeats.pending(true, 3_000)[0].times, 5);
        for due in repeats.pending(false, 61_000) {
            assert_eq!(due.times, 5);
            due.done();
        }
        assert!(repeats.pending(true, 61_001).is_empty());
    }

    #[test]
    fn what_could_not_be_noted_is_due_at_once_again() {
        let repeats = Repeats::default();
        let deed = Deed::new("integration/radar", Act::Printed);
        drop(repeats.count(deed.encoded(), deed.clone(), MINUTE, 1));
        let (_, due) = repeats.count(deed.encoded(), deed, MINUTE, 2);
        assert_eq!(due.unwrap().times, 2);
    }

    #[test]
    fn no_more_is_counted_than_there_is_room_for_and_what_makes_room_is_told() {
        let repeats = Repeats::default();
        told(&repeats, "first", 0);
        assert_eq!(told(&repeats, "first", 0), None);
        for number in 1..JOURNAL_COUNTED_MAX as u64 {
            assert_eq!(told(&repeats, &number.to_string(), number), Some(1));
        }
        let deed = Deed::new("auditor/kt-1", Act::Refused).what("one more");
        let (gone, due) = repeats.count(deed.encoded(), deed, MINUTE, 2_000);
        due.unwrap().done();
        let first = Deed::new("auditor/kt-1", Act::Refused).what("first");
        assert_eq!(gone, Some(first.times(1)));
        assert_eq!(repeats.lock().len(), JOURNAL_COUNTED_MAX);
    }
}
