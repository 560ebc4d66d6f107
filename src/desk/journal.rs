//! What of the desk's calls is journalled: who comes, who is refused, and what is noted before it is done.
//!
//! Coming and being refused are seen around all calls ([`Journalled`]), so that no call can forget them. What
//! a call does is noted by the call itself, with [`Desk::note`], before it does it; it does not do what
//! cannot be noted. An entry says that somebody set about something and was let; whether it came about is
//! told by the logs.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::Code;
use tonic::codegen::{Service, http};
use tower::Layer;

use super::Desk;
use super::caller::{Caller, Role};
use super::errors::DeskError;
use crate::journal::{Act, Deed};
use crate::limits::{
    JOURNAL_COUNTED_MAX, JOURNAL_LOGIN_INTERVAL, JOURNAL_REFUSAL_INTERVAL, JOURNAL_WHAT_BYTES_MAX,
};
use crate::link::connection::ConnectInfo;
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
        self.journal.note(deed).await?;
        Ok(())
    }

    /// A deed of a caller.
    pub(super) fn deed(caller: &Caller, act: Act) -> Deed {
        Deed::new(caller.author().as_str(), act)
    }

    /// Notes what comes again and again: the first at once, then once a minute with how often.
    ///
    /// # Errors
    /// As [`Desk::note`].
    pub(super) async fn note_counted(&self, deed: Deed, caller: &Caller) -> Result<(), DeskError> {
        let now_ms = self.exchange.clock().unix_ms();
        let counted = self
            .repeats
            .count(caller, deed, JOURNAL_REFUSAL_INTERVAL, now_ms);
        match counted {
            Some(deed) => self.note(deed).await,
            None => Ok(()),
        }
    }

    /// Notes that somebody is about to search the bodies: never for what. Page after page of one search is
    /// noted once a minute.
    pub(super) async fn note_search(
        &self,
        caller: &Caller,
        request: &ListRequest,
    ) -> Result<(), DeskError> {
        let mut times = 1;
        if !request.page_token.is_empty() {
            let now_ms = self.exchange.clock().unix_ms();
            let interval = JOURNAL_REFUSAL_INTERVAL;
            let what = "search".to_owned();
            let Some(counted) = self.repeats.count(caller, what, interval, now_ms) else {
                return Ok(());
            };
            times = counted;
        }
        let deed = Self::deed(caller, Act::Searched)
            .peer(shown_peer(&request.peer))
            .times(times);
        self.note(deed).await
    }

    /// Notes that somebody is here. If that fails, what must be journalled will be refused by itself; the
    /// state of the node and urgent alerts are not, and it is tried again with the next call.
    async fn note_login(&self, caller: &Caller, info: &ConnectInfo) {
        let noted = info.ending.once(async {
            if caller.role == Role::Integration {
                let now_ms = self.exchange.clock().unix_ms();
                let what = "login".to_owned();
                let times = self
                    .repeats
                    .count(caller, what, JOURNAL_LOGIN_INTERVAL, now_ms);
                if times.is_none() {
                    return Ok(());
                }
            }
            let deed = Self::deed(caller, Act::LoggedIn).what(info.remote.kind());
            self.note(deed).await
        });
        if let Err(error) = noted.await {
            tracing::error!(%caller, reason = error.reason(), "a login could not be journalled");
        }
    }

    /// Notes that somebody was refused: at once, and then once a minute with how often.
    async fn note_refusal(&self, caller: &Caller, call: &str) {
        let now_ms = self.exchange.clock().unix_ms();
        let mut end = call.len().min(JOURNAL_WHAT_BYTES_MAX);
        while !call.is_char_boundary(end) {
            end -= 1;
        }
        let what = call[..end].to_owned();
        let interval = JOURNAL_REFUSAL_INTERVAL;
        let Some(times) = self.repeats.count(caller, what.clone(), interval, now_ms) else {
            return;
        };
        let deed = Self::deed(caller, Act::Refused).what(what).times(times);
        if let Err(error) = self.note(deed).await {
            tracing::error!(%caller, reason = error.reason(), "a refusal could not be journalled");
        }
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
pub(super) struct Repeats(Mutex<BTreeMap<(Caller, String), Repeat>>);

#[derive(Debug)]
struct Repeat {
    noted_at_ms: u64,
    since: u32,
}

impl Repeats {
    /// Counts one more: how many there were since the last that was noted, if it is time to note them.
    fn count(&self, caller: &Caller, what: String, interval: Duration, now_ms: u64) -> Option<u32> {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (caller.clone(), what);
        if let Some(repeat) = counted.get_mut(&key) {
            repeat.since = repeat.since.saturating_add(1);
            // A clock that was set back does not silence it.
            if repeat.noted_at_ms.abs_diff(now_ms) < interval_ms {
                return None;
            }
            repeat.noted_at_ms = now_ms;
            return Some(std::mem::take(&mut repeat.since));
        }
        if counted.len() >= JOURNAL_COUNTED_MAX {
            let oldest = counted.iter().min_by_key(|(_, repeat)| repeat.noted_at_ms);
            if let Some((oldest, _)) = oldest {
                let oldest = oldest.clone();
                counted.remove(&oldest);
            }
        }
        counted.insert(
            key,
            Repeat {
                noted_at_ms: now_ms,
                since: 0,
            },
        );
        Some(1)
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

    fn caller(name: &str) -> Caller {
        Caller {
            role: Role::Auditor,
            name: name.to_owned(),
        }
    }

    #[test]
    fn what_comes_again_and_again_is_told_once_an_interval_with_its_number() {
        let repeats = Repeats::default();
        let minute = Duration::from_secs(60);
        let count = |what: &str, now| repeats.count(&caller("kt-1"), what.to_owned(), minute, now);
        assert_eq!(count("Submit", 1_000), Some(1));
        assert_eq!(count("Submit", 2_000), None);
        assert_eq!(count("Watch", 2_000), Some(1));
        assert_eq!(count("Submit", 60_999), None);
        assert_eq!(count("Submit", 61_000), Some(3));
        assert_eq!(count("Submit", 61_001), None);
    }

    #[test]
    fn no_more_is_counted_than_there_is_room_for() {
        let repeats = Repeats::default();
        let minute = Duration::from_secs(60);
        for number in 0..=JOURNAL_COUNTED_MAX as u64 {
            let told = repeats.count(&caller(&number.to_string()), String::new(), minute, number);
            assert_eq!(told, Some(1));
        }
        assert_eq!(repeats.0.lock().unwrap().len(), JOURNAL_COUNTED_MAX);
    }
}
