//! Requests that stall, or pile up: what comes of a call before it is looked at.
//!
//! A call of one message is buffered until all of it is there, before anyone asks what it wants. So a
//! client could open every stream that it may and send each message but for its last byte, or a byte
//! a minute. Here each such request has a time to come whole, longer the more has come, and all of
//! one identity together a number of bytes: beyond it they wait, unread, as HTTP/2 lets them.
//!
//! Calls whose requests are streams are not bounded here. How long each waits for the next message, of
//! which all must have come, is its own affair: a session, the parts of a file, a stream of drafts end by
//! themselves when none comes (`limits`).

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::Frame;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, http};
use tower::Layer;

use super::connection::ConnectInfo;
use super::identity::Identity;
use crate::limits::{REQUEST_BYTES_PER_SECOND_MIN, REQUEST_TIME_MAX, REQUESTS_KIB_MAX};
use crate::proto;

/// Bounds the requests of each identity, but for calls whose requests are streams.
#[derive(Debug, Clone)]
pub struct BoundBodies {
    /// Paths, such as `/liaison.v1.DeskService/UploadAttachment`.
    streams: Arc<BTreeSet<String>>,
    places: Arc<Mutex<BTreeMap<Identity, Weak<Semaphore>>>>,
}

impl BoundBodies {
    /// Leaves out the calls whose requests are streams, by the descriptors of every service.
    #[must_use]
    pub fn new() -> Self {
        let mut streams = client_streams(proto::DESCRIPTORS);
        streams.insert(REFLECTION.to_owned());
        Self {
            streams: Arc::new(streams),
            places: Arc::default(),
        }
    }

    fn places_of(&self, identity: &Identity) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = places.get(identity).and_then(Weak::upgrade) {
            return known;
        }
        places.retain(|_, places| places.strong_count() > 0);
        let new = Arc::new(Semaphore::new(REQUESTS_KIB_MAX));
        places.insert(identity.clone(), Arc::downgrade(&new));
        new
    }
}

impl Default for BoundBodies {
    fn default() -> Self {
        Self::new()
    }
}

/// The one such call of a service that is not this program's own.
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// Paths of the calls whose requests are streams.
fn client_streams(descriptors: &[u8]) -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(descriptors).unwrap_or_default();
    let mut paths = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            let streams = service.method.iter().filter(|m| m.client_streaming());
            paths.extend(streams.map(|method| {
                let (service, method) = (service.name(), method.name());
                format!("/{}.{service}/{method}", file.package())
            }));
        }
    }
    paths
}

impl<S> Layer<S> for BoundBodies {
    type Service = Bounding<S>;

    fn layer(&self, inner: S) -> Bounding<S> {
        Bounding {
            inner,
            bounds: self.clone(),
        }
    }
}

/// What [`BoundBodies`] makes of a service.
#[derive(Debug, Clone)]
pub struct Bounding<S> {
    inner: S,
    bounds: BoundBodies,
}

type Answer<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;
/// Held until the call is answered.
type Held = Arc<Mutex<Vec<OwnedSemaphorePermit>>>;

impl<S> Service<http::Request<Body>> for Bounding<S>
where
    S: Service<http::Request<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let info = request.extensions().get::<ConnectInfo>();
        let is_stream = self.bounds.streams.contains(request.uri().path());
        let Some(identity) = info.map(|info| &info.identity).filter(|_| !is_stream) else {
            return Box::pin(self.inner.call(request));
        };
        let places = self.bounds.places_of(identity);
        let held = Held::default();
        let until_answered = Arc::clone(&held);
        let request = request.map(|body| Body::new(BoundBody::new(body, places, held)));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(until_answered);
            answer
        })
    }
}

type Place = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// A request that must come whole in time.
struct BoundBody {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    places: Arc<Semaphore>,
    held: Held,
    /// A part that has come and waits for its place.
    waiting: Option<(Frame<Bytes>, Place)>,
}

impl BoundBody {
    fn new(body: Body, places: Arc<Semaphore>, held: Held) -> Self {
        Self {
            body,
            deadline: Box::pin(tokio::time::sleep(REQUEST_TIME_MAX)),
            places,
            held,
            waiting: None,
        }
    }

    fn take_in(&mut self, frame: Frame<Bytes>) {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let more = bytes as u64 * 1_000 / REQUEST_BYTES_PER_SECOND_MIN;
        let later = self.deadline.deadline() + Duration::from_millis(more);
        self.deadline.as_mut().reset(later.max(Instant::now()));
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let places = Arc::clone(&self.places);
        let place = async move { places.acquire_many_owned(kib).await.ok() };
        self.waiting = Some((frame, Box::pin(place)));
    }
}

impl http_body::Body for BoundBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => this.take_in(frame),
                Poll::Ready(end) => return Poll::Ready(end),
                Poll::Pending => {}
            }
        }
        if let Some((frame, mut place)) = this.waiting.take() {
            match place.as_mut().poll(cx) {
                Poll::Ready(permit) => {
                    let mut held = this.held.lock().unwrap_or_else(PoisonError::into_inner);
                    held.extend(permit);
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Pending => this.waiting = Some((frame, place)),
            }
        }
        match this.deadline.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                tracing::warn!("a request did not come whole in time; it is refused");
                Poll::Ready(Some(Err(Status::deadline_exceeded(
                    "the request did not come whole in time, or too many of this caller are under \
                     way; send it again",
                ))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use tokio::sync::mpsc;
    use tokio_stream::StreamExt as _;
    use tokio_stream::wrappers::ReceiverStream;

    /// A body that is sent by hand, and what bounds it.
    fn body(places: &Arc<Semaphore>) -> (mpsc::Sender<Bytes>, BoundBody, Held) {
        let (sender, receiver) = mpsc::channel(8);
        let frames = ReceiverStream::new(receiver);
        let frames = frames.map(|bytes| Ok::<_, Status>(Frame::data(bytes)));
        let held = Held::default();
        let body = Body::new(Frames(Box::pin(frames)));
        let bound = BoundBody::new(body, Arc::clone(places), Arc::clone(&held));
        (sender, bound, held)
    }

    struct Frames(Pin<Box<dyn tokio_stream::Stream<Item = Result<Frame<Bytes>, Status>> + Send>>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.get_mut().0.as_mut().poll_next(cx)
        }
    }

    async fn next(body: &mut BoundBody) -> Option<Result<Bytes, tonic::Code>> {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.into_data().unwrap()),
            Err(status) => Err(status.code()),
        })
    }

    #[test]
    fn calls_whose_requests_are_streams_are_known() {
        let streams = client_streams(proto::DESCRIPTORS);
        for path in [
            "/liaison.v1.ExchangeService/Session",
            "/liaison.v1.ExchangeService/PutAttachment",
            "/liaison.v1.DeskService/SubmitMany",
            "/liaison.v1.DeskService/UploadAttachment",
        ] {
            assert!(streams.contains(path), "{path}: {streams:?}");
        }
        assert!(!streams.contains("/liaison.v1.DeskService/Submit"));
        assert!(!streams.contains("/liaison.v1.DeskService/Watch"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_minute_is_refused_and_a_slow_line_is_not() {
        let places = Arc::new(Semaphore::new(REQUESTS_KIB_MAX));
        let (sender, mut dripping, _held) = body(&places);
        let drip = tokio::spawn(async move {
            while sender.send(Bytes::from_static(b"x")).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
        });
        let mut came = 0;
        let end = loop {
            match next(&mut dripping).await.unwrap() {
                Ok(_) => came += 1,
                Err(code) => break code,
            }
        };
        assert_eq!((came, end), (2, tonic::Code::DeadlineExceeded));
        drop(dripping);
        drip.await.unwrap();

        // 4 MiB at twice the slowest rate, in a minute and more.
        let (sender, mut slow, _held) = body(&places);
        let rate = usize::try_from(REQUEST_BYTES_PER_SECOND_MIN).unwrap() * 2;
        tokio::spawn(async move {
            for _ in 0..(4 << 20) / rate {
                sender.send(Bytes::from(vec![0; rate])).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut bytes = 0;
        while let Some(part) = next(&mut slow).await {
            bytes += part.unwrap().len();
        }
        assert_eq!(bytes, (4 << 20) / rate * rate);
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_identity_has_under_way_is_bounded_until_it_is_answered() {
        let places = Arc::new(Semaphore::new(8));
        let (first, mut one, one_held) = body(&places);
        first.send(Bytes::from(vec![0; 8 << 10])).await.unwrap();
        assert_eq!(next(&mut one).await.unwrap().unwrap().len(), 8 << 10);
        // A byte more has no place, until the first call is answered.
        let (second, mut two, _held) = body(&places);
        second.send(Bytes::from_static(b"x")).await.unwrap();
        assert!(
            tokio::time::timeout(REQUEST_TIME_MAX / 2, next(&mut two))
                .await
                .is_err()
        );
        drop((one, one_held));
        assert_eq!(next(&mut two).await.unwrap().unwrap().len(), 1);
        // Nor for ever.
        let (third, mut three, _held) = body(&places);
        third.send(Bytes::from(vec![0; 8 << 10])).await.unwrap();
        let end = next(&mut three).await.unwrap();
        assert_eq!(end, Err(tonic::Code::DeadlineExceeded));
    }
}
