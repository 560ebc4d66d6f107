//! One connection as the server and the session see it: who is there, bounded, and endable.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::door::Judge;
use super::flood::{FloodLimits, FrameMeter};
use super::identity::Identity;
use super::reload::Generation;

/// Where a connection comes from or goes to. For logs and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over the Unix socket.
    Unix,
}

impl Remote {
    /// How it comes, without its address.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Unix => "unix socket",
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix socket"),
        }
    }
}

/// What a request handler learns of its connection, from the request's extensions.
#[derive(Debug, Clone)]
pub struct ConnectInfo {
    /// Who is there.
    pub identity: Identity,
    /// From where.
    pub remote: Remote,
    /// The generation of the TLS material it was made with; 0 on the Unix socket.
    pub generation: u64,
    /// Told to end.
    pub ending: Ending,
}

/// How a connection is told to end: first asked, then cut.
#[derive(Debug, Clone)]
pub struct Ending {
    retiring: CancellationToken,
    closed: CancellationToken,
    calls: Arc<AtomicUsize>,
    done_once: Arc<OnceCell<()>>,
}

/// A call that runs on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Call(Arc<AtomicUsize>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ending {
    pub(super) fn new() -> Self {
        Self {
            retiring: CancellationToken::new(),
            closed: CancellationToken::new(),
            calls: Arc::default(),
            done_once: Arc::default(),
        }
    }

    /// Does something with the first call on the connection; others wait for it. What has failed is done
    /// again with the next call.
    ///
    /// # Errors
    /// Those of what is done.
    pub async fn once<E>(&self, work: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        self.done_once.get_or_try_init(|| work).await.copied()
    }

    /// Counts a call that begins.
    pub(super) fn call(&self) -> Call {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Call(Arc::clone(&self.calls))
    }

    /// Whether no call runs that [`CountCalls`](super::calls::CountCalls) has counted.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.load(Ordering::Relaxed) == 0
    }

    /// Completes when the connection should finish what it does and end: its TLS material was
    /// replaced, or it was asked to. After a grace it is cut.
    pub async fn retiring(&self) {
        self.retiring.cancelled().await;
    }

    /// Whether [`Self::retiring`] has completed.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        self.retiring.is_cancelled()
    }

    /// Completes when the connection is cut or gone.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Asks the connection to end.
    pub fn retire(&self) {
        self.retiring.cancel();
    }

    /// Cuts the connection: reading gives the end of the stream, writing fails.
    pub fn close(&self) {
        self.retiring.cancel();
        self.closed.cancel();
    }
}

/// A byte stream with an identity, a meter and an end.
pub struct Connection<S> {
    io: S,
    info: ConnectInfo,
    meter: FrameMeter,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until the first frame has arrived; from then on HTTP/2 keepalive watches.
    opening: Option<Pin<Box<Sleep>>>,
    /// Tells everyone who waits that the connection is gone.
    _gone: DropGuard,
    /// Gives back its place in the count.
    _place: Option<Box<dyn Send + Sync>>,
}

impl<S> Connection<S> {
    /// A connection that a client opened here; it must show a first frame within `opening_time`.
    pub(super) fn accepted(
        io: S,
        info: ConnectInfo,
        flood: FloodLimits,
        opening_time: Duration,
        place: Box<dyn Send + Sync>,
    ) -> Self {
        Self {
            meter: FrameMeter::of_client(flood, Instant::now()),
            opening: Some(Box::pin(tokio::time::sleep(opening_time))),
            ..Self::new(io, info, flood, Some(place))
        }
    }

    /// A connection that was dialled from here.
    pub(super) fn dialled(io: S, info: ConnectInfo, flood: FloodLimits) -> Self {
        Self::new(io, info, flood, None)
    }

    fn new(
        io: S,
        info: ConnectInfo,
        flood: FloodLimits,
        place: Option<Box<dyn Send + Sync>>,
    ) -> Self {
        let closed = info.ending.closed.clone();
        Self {
            io,
            meter: FrameMeter::of_server(flood, Instant::now()),
            closed: Box::pin(closed.clone().cancelled_owned()),
            opening: None,
            _gone: closed.drop_guard(),
            _place: place,
            info,
        }
    }

    /// Who is there, and how it is told to end.
    #[must_use]
    pub fn info(&self) -> &ConnectInfo {
        &self.info
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = ConnectInfo;

    fn connect_info(&self) -> ConnectInfo {
        self.info.clone()
    }
}

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(())); // the end of the stream
        }
        let before = buffer.filled().len();
        if Pin::new(&mut this.io).poll_read(cx, buffer)?.is_pending() {
            // Nothing came. Is it still allowed to say nothing?
            let late = this
                .opening
                .as_mut()
                .is_some_and(|time| time.as_mut().poll(cx).is_ready());
            if late {
                tracing::warn!(remote = %this.info.remote, "a connection was opened and not used; it is cut");
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            return Poll::Pending;
        }
        let arrived = buffer.filled().get(before..).unwrap_or_default();
        if let Err(flood) = this.meter.received(arrived, Instant::now()) {
            tracing::warn!(
                remote = %this.info.remote,
                identity = this.info.identity.label(),
                "{flood}; it is cut"
            );
            this.info.ending.close();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, flood)));
        }
        if this.meter.is_open() {
            this.opening = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    fn count_written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.meter.sent(bytes);
        }
        written
    }

    fn cut(&self) -> Option<io::Error> {
        (self.info.ending.closed.is_cancelled()).then(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(error) = this.cut() {
            return Poll::Ready(Err(error));
        }
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.count_written(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(error) = this.cut() {
            return Poll::Ready(Err(error));
        }
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.count_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.cut() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(cx);
        // A cut connection says goodbye if it can, and never waits for one that does not read.
        if this.cut().is_some() {
            return Poll::Ready(Ok(()));
        }
        shut
    }
}

/// Watches one open connection for new TLS material until it is gone.
///
/// At a swap the chain that the other side showed is judged again by the new roots and revocation
/// lists: refused, the connection is cut at once; else it is asked to end and cut after `grace`,
/// because the session's keys stem from the old certificate.
pub(super) async fn retire_when_replaced<T, F>(
    mut swaps: watch::Receiver<Arc<Generation<T>>>,
    info: ConnectInfo,
    chain: Vec<CertificateDer<'static>>,
    grace: Duration,
    judge_of: F,
) where
    T: Send + Sync + 'static,
    F: Fn(&T) -> Option<(Arc<dyn Judge>, Arc<dyn TimeProvider>)> + Send,
{
    let newer = swaps.wait_for(|generation| generation.number > info.generation);
    let newer = tokio::select! {
        () = info.ending.closed() => return,
        newer = newer => match newer {
            Ok(newer) => newer.clone(),
            Err(_) => return, // the reloader is gone, and the node with it
        },
    };
    let refused = refused_now(judge_of(&newer.value), &info.identity, &chain);
    if let Some(reason) = refused {
        tracing::warn!(
            remote = %info.remote,
            identity = info.identity.label(),
            "the new TLS material no longer lets this connection in, it is cut: {reason}"
        );
        info.ending.close();
        return;
    }
    info.ending.retire();
    tokio::select! {
        () = info.ending.closed() => {}
        () = tokio::time::sleep(grace) => info.ending.close(),
    }
}

fn refused_now(
    judge: Option<(Arc<dyn Judge>, Arc<dyn TimeProvider>)>,
    identity: &Identity,
    chain: &[CertificateDer<'static>],
) -> Option<String> {
    let Some((judge, time)) = judge else {
        return Some("there is no such link any more".to_owned());
    };
    let (Some((end_entity, intermediates)), Some(now)) = (chain.split_first(), time.current_time())
    else {
        return Some("no certificate or no clock".to_owned());
    };
    judge_chain(judge.as_ref(), end_entity, intermediates, now)
        .and_then(|found| {
            if found == *identity {
                Ok(())
            } else {
                Err("another identity".to_owned())
            }
        })
        .err()
}

fn judge_chain(
    judge: &dyn Judge,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Identity, String> {
    judge
        .judge(end_entity, intermediates, now)
        .map_err(|error| super::tls::reason(&error))
}
