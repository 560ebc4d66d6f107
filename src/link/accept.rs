//! Taking connections over TCP: handshakes apart from each other, everything counted.
//!
//! A stranger can open as many sockets as he likes. So handshakes run in tasks of their own with a
//! time limit; when too many are under way, the oldest one is ended and not the newest refused:
//! an honest handshake takes a few round trips, a stalled one takes as long as it may.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;

use super::connection::{ConnectInfo, Connection, Ending, Remote, retire_when_replaced};
use super::flood::FloodLimits;
use super::hall::{Hall, Waiting};
use super::identity::Identity;
use super::leaf::Refusal;
use super::reload::{Generation, Reloader};
use super::tls::{ALPN, ServerTls, reason};
use super::wire::Wire;
use crate::limits::{CONNECTIONS_MAX, DRAIN_CUT_TIME, DRAIN_TIME_MAX, HANDSHAKE_TIME_MAX};

/// A connection of [`accept`].
pub type TlsConnection = Connection<TlsStream<Wire>>;

/// What to do with one connection too many of one identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// End its oldest. For nodes: the oldest is most likely dead and not yet known to be.
    CloseOldest,
    /// Refuse the new one. For programs: one that leaks connections does not break its own.
    RefuseNewest,
}

/// The bounds of one listener.
#[derive(Debug, Clone)]
pub struct AcceptLimits {
    /// Open connections of everyone together.
    pub connections_max: usize,
    /// Open connections of one identity.
    pub identity_connections_max: usize,
    /// What happens to one more.
    pub when_full: WhenFull,
    /// Handshakes under way.
    pub handshakes_max: usize,
    /// Handshakes under way from one address (IPv6: one /64).
    pub address_handshakes_max: usize,
    /// Time for a handshake.
    pub handshake_time_max: Duration,
    /// Time for the first HTTP/2 frame after it.
    pub opening_time_max: Duration,
    /// Time to end by itself when the TLS material was replaced.
    pub retire_grace: Duration,
    /// Frames that carry nothing.
    pub flood: FloodLimits,
}

impl AcceptLimits {
    /// For nodes: two sessions that cross, one being replaced, one to spare.
    #[must_use]
    pub fn exchange() -> Self {
        Self {
            identity_connections_max: 4,
            when_full: WhenFull::CloseOldest,
            ..Self::desk()
        }
    }

    /// For own people and programs over the network: some connections each, with 4 MiB in flight on
    /// each at most.
    #[must_use]
    pub fn desk_tcp() -> Self {
        Self {
            identity_connections_max: 16,
            ..Self::desk()
        }
    }

    /// For own people and programs on this machine.
    #[must_use]
    pub fn desk() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            identity_connections_max: 64,
            when_full: WhenFull::RefuseNewest,
            // Every link of a site that comes back at once, twice over; some 30 KiB each.
            handshakes_max: 256,
            address_handshakes_max: 128,
            handshake_time_max: HANDSHAKE_TIME_MAX,
            opening_time_max: HANDSHAKE_TIME_MAX,
            retire_grace: DRAIN_TIME_MAX,
            flood: FloodLimits::default(),
        }
    }
}

/// Accepted, identified and counted connections, for tonic's `serve_with_incoming_shutdown`.
/// Dropping it stops the listener and ends handshakes; connections handed out live on.
pub struct Incoming<C> {
    ready: mpsc::Receiver<C>,
    local: Option<SocketAddr>,
    accepting: AbortHandle,
    hall: Arc<Hall>,
}

impl<C> Incoming<C> {
    pub(super) fn new(
        ready: mpsc::Receiver<C>,
        local: Option<SocketAddr>,
        accepting: AbortHandle,
        hall: Arc<Hall>,
    ) -> Self {
        Self {
            ready,
            local,
            accepting,
            hall,
        }
    }

    /// Cuts connections on which no call runs, from [`IDLE_GRACE`] after `stop` on: until then
    /// they may close by themselves, as HTTP/2 asks them to. From [`DRAIN_CUT_TIME`] after it on
    /// all are cut: a client that does not read its answer holds nobody up. Calls are counted only
    /// behind [`CountCalls`](super::calls::CountCalls). Must be called in a tokio runtime.
    #[must_use]
    pub fn cut_idle_after(self, stop: CancellationToken) -> Self {
        let hall = Arc::clone(&self.hall);
        tokio::spawn(async move {
            stop.cancelled().await;
            let stopped_at = tokio::time::Instant::now();
            tokio::time::sleep(IDLE_GRACE).await;
            while hall.cut(stopped_at.elapsed() >= DRAIN_CUT_TIME) {
                tokio::time::sleep(IDLE_GRACE / 20).await;
            }
        });
        self
    }

    /// The address listened on; `None` for a Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }
}

impl<C> Drop for Incoming<C> {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl<C> fmt::Debug for Incoming<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl<C> Stream for Incoming<C> {
    type Item = io::Result<C>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut()
            .ready
            .poll_recv(cx)
            .map(|ready| ready.map(Ok))
    }
}

/// Time for an idle connection to close by itself when the node goes down. One whose client does not
/// answer would otherwise cost all of [`DRAIN_TIME_MAX`].
pub const IDLE_GRACE: Duration = Duration::from_secs(2);

/// Connections that wait for the server to take them up; it does so at once.
pub(super) const READY_MAX: usize = 16;

/// Accepts on `listener` with the material in use at each moment. Must run in a tokio runtime.
#[must_use]
pub fn accept<T: ServerTls>(
    listener: TcpListener,
    tls: Arc<Reloader<T>>,
    limits: AcceptLimits,
) -> Incoming<TlsConnection> {
    let local = listener.local_addr().ok();
    let (sender, ready) = mpsc::channel(READY_MAX);
    let hall = Arc::new(Hall::new(limits));
    let accepting = tokio::spawn(accept_loop(listener, tls, Arc::clone(&hall), sender));
    Incoming::new(ready, local, accepting.abort_handle(), hall)
}

async fn accept_loop<T: ServerTls>(
    listener: TcpListener,
    tls: Arc<Reloader<T>>,
    hall: Arc<Hall>,
    ready: mpsc::Sender<TlsConnection>,
) {
    // Ends with this task, and with it every handshake.
    let mut handshakes = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = handshakes.join_next() => continue,
        };
        let (tcp, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error, &hall).await;
                continue;
            }
        };
        let Some(waiting) = hall.let_wait(address.ip()) else {
            hall.log(
                || tracing::warn!(peer = %address, "a connection was refused: too many are open"),
            );
            continue;
        };
        let id = waiting.id;
        let (tls, hall_of_task, ready) = (tls.clone(), hall.clone(), ready.clone());
        let task = handshakes.spawn(async move {
            let generation = tls.current();
            match greet(tcp, address, &generation, &hall_of_task, waiting).await {
                Ok((connection, chain)) => {
                    watch_over(&tls, connection.info().clone(), chain, hall_of_task.limits());
                    // Fails only when the server is gone, which is no news here.
                    let _ = ready.send(connection).await;
                }
                Err(refused) => hall_of_task.log(
                    || tracing::warn!(peer = %address, reason = %refused, "a connection was refused"),
                ),
            }
        });
        hall.can_end(id, task);
    }
}

/// An error of one connection must not end the listener, and a lasting one must not spin.
pub(super) async fn pause_after(error: &io::Error, hall: &Hall) {
    let of_that_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    );
    hall.log(|| tracing::warn!("accepting a connection failed: {error}"));
    if !of_that_connection {
        // EMFILE, ENFILE, ENOBUFS, ENOMEM: others must give something back first.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// From a TCP connection to an identified one.
async fn greet<T: ServerTls>(
    tcp: TcpStream,
    address: SocketAddr,
    generation: &Generation<T>,
    hall: &Arc<Hall>,
    waiting: Waiting,
) -> Result<(TlsConnection, Vec<CertificateDer<'static>>), GreetError> {
    // Without it every small frame waits for the last one's acknowledgement.
    tcp.set_nodelay(true).map_err(GreetError::Io)?;
    let acceptor = TlsAcceptor::from(generation.value.server_config());
    let accepting = acceptor.accept(Wire::new(tcp));
    let mut io = tokio::time::timeout(hall.limits().handshake_time_max, accepting)
        .await
        .map_err(|_| GreetError::Stalled)?
        .map_err(|error| tls_error(&error))?;

    let (_, session) = io.get_ref();
    if session.alpn_protocol() != Some(ALPN) {
        return Err(GreetError::Alpn);
    }
    let chain: Vec<_> = session
        .peer_certificates()
        .ok_or(GreetError::Tls(Refusal::Missing.to_string()))?
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    let (Some((end_entity, intermediates)), Some(now)) =
        (chain.split_first(), generation.value.time().current_time())
    else {
        return Err(GreetError::Tls(Refusal::Missing.to_string()));
    };
    // The handshake asked the same judge; asking again is how its answer gets here.
    let identity = generation
        .value
        .judge()
        .judge(end_entity, intermediates, now)
        .map_err(|error| GreetError::Tls(reason(&error)))?;
    if matches!(identity, Identity::Peer(_)) {
        io.get_mut().0.is_of_peer();
    }

    let info = ConnectInfo {
        identity,
        remote: Remote::Tcp(address),
        generation: generation.number,
        ending: Ending::new(),
    };
    let place = hall.seat(waiting, &info).ok_or(GreetError::IdentityFull)?;
    let connection = Connection::accepted(
        io,
        info,
        hall.limits().flood,
        hall.limits().opening_time_max,
        Box::new(place),
    );
    Ok((connection, chain))
}

fn watch_over<T: ServerTls>(
    tls: &Reloader<T>,
    info: ConnectInfo,
    chain: Vec<CertificateDer<'static>>,
    limits: &AcceptLimits,
) {
    tokio::spawn(retire_when_replaced(
        tls.subscribe(),
        info,
        chain,
        limits.retire_grace,
        |tls: &T| Some((tls.judge(), tls.time())),
    ));
}

fn tls_error(error: &io::Error) -> GreetError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(inner) => GreetError::Tls(reason(inner)),
        None => GreetError::Io(io::Error::from(error.kind())),
    }
}

/// Why a TCP connection came no further. Only for the log.
#[derive(Debug, thiserror::Error)]
enum GreetError {
    #[error("the TLS handshake took too long")]
    Stalled,
    #[error("{0}")]
    Tls(String),
    #[error("HTTP/2 was not agreed on (ALPN h2)")]
    Alpn,
    #[error("this identity has too many connections open")]
    IdentityFull,
    #[error("the connection failed: {0}")]
    Io(io::Error),
}
