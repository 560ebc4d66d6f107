//! Making connections: to peers, to a desk over TCP, to a desk over its Unix socket.
//!
//! A [`Channel`] from here is **one** connection: when it breaks, calls fail with `UNAVAILABLE`
//! and the owner dials again, with its own backoff, new addresses and new TLS material.
//!
//! With TLS 1.3 the client is done before the server has looked at its certificate. A refused
//! certificate therefore shows only in the first call, as a broken connection; the reason stands
//! in the other side's log. So: make one call before calling a connection healthy.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Channel;

use super::connection::{ConnectInfo, Connection, Ending, Remote, retire_when_replaced};
use super::door::Judge;
use super::flood::FloodLimits;
use super::identity::{Identity, PeerIdentity, UnixPeer};
use super::reload::Reloader;
use super::serve::{
    CONNECTION_WINDOW_BYTES, HEADER_BYTES_MAX, HTTP2_FRAME_BYTES_MAX, RESETS_MAX,
    STREAM_WINDOW_BYTES,
};
use super::tls::{ALPN, ClientTls, ExchangeTls, reason};
use super::wire::Wire;
use crate::limits::{DRAIN_TIME_MAX, HANDSHAKE_TIME_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIME_MAX};
use crate::model::NodeName;

/// Addresses of one host name that are tried.
const ADDRESSES_MAX: usize = 8;

/// `host:port`, where host is a DNS name, an IPv4 address or an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// Reads `host:port`.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError::NoPort)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port
            .parse()
            .ok()
            .filter(|port| digits && *port != 0)
            .ok_or(EndpointError::Port)?;
        let bracketed = host.starts_with('[');
        let host = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(v6) => v6
                .parse::<Ipv6Addr>()
                .map_err(|_| EndpointError::Host)?
                .to_string(),
            None => host.to_owned(),
        };
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host.split('.').all(|label| {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
            });
        let is_v6 = bracketed && host.parse::<Ipv6Addr>().is_ok();
        if !(is_name || is_v6) {
            return Err(EndpointError::Host);
        }
        Ok(Self { host, port })
    }

    /// DNS name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text)
    }
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No colon.
    #[error("the port is missing; write host:port, such as border.example:7443")]
    NoPort,
    /// Not 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Not a host.
    #[error("the host is neither a DNS name nor an address; IPv6 stands in brackets: [::1]:7443")]
    Host,
}

/// The bounds of dialling.
#[derive(Debug, Clone)]
pub struct DialLimits {
    /// For one address: TCP and TLS together.
    pub connect_time_max: Duration,
    /// Time to end by itself when the TLS material was replaced.
    pub retire_grace: Duration,
    /// Frames that carry nothing.
    pub flood: FloodLimits,
}

impl Default for DialLimits {
    fn default() -> Self {
        Self {
            connect_time_max: HANDSHAKE_TIME_MAX,
            retire_grace: DRAIN_TIME_MAX,
            flood: FloodLimits::default(),
        }
    }
}

/// One connection, made.
#[derive(Debug, Clone)]
pub struct Dialled {
    /// For generated clients.
    pub channel: Channel,
    /// Who is there, where, and how the connection is told to end.
    pub info: ConnectInfo,
    /// The key exchange that was negotiated; `None` on the Unix socket.
    pub key_exchange: Option<rustls::NamedGroup>,
}

/// Dials a peer at each endpoint in turn until one answers as that peer.
///
/// # Errors
///
/// [`DialError::NoLink`], or what the last endpoint came to.
pub async fn dial_peer(
    tls: &Reloader<ExchangeTls>,
    peer: &NodeName,
    endpoints: &[Endpoint],
    limits: &DialLimits,
) -> Result<Dialled, DialError> {
    let generation = tls.current();
    let no_link = || DialError::NoLink { peer: peer.clone() };
    let client = generation.value.client(peer).ok_or_else(no_link)?;
    // A TLS session is large; boxed, it does not make every caller's future large.
    let (mut io, remote) = Box::pin(connect_any(client, endpoints, limits)).await?;
    io.get_mut().0.is_of_peer();

    let info = ConnectInfo {
        identity: Identity::Peer(PeerIdentity { node: peer.clone() }),
        remote: Remote::Tcp(remote),
        generation: generation.number,
        ending: Ending::new(),
    };
    let of_peer = peer.clone();
    tokio::spawn(retire_when_replaced(
        tls.subscribe(),
        info.clone(),
        chain_of(&io),
        limits.retire_grace,
        move |tls: &ExchangeTls| {
            let client = tls.client(&of_peer)?;
            Some((
                client.judge().clone() as Arc<dyn Judge>,
                client.time().clone(),
            ))
        },
    ));
    Box::pin(over_tls(io, info, peer, limits)).await
}

/// Dials the desk of `node` over TCP, as a person or program with a certificate.
///
/// # Errors
///
/// What the last endpoint came to.
pub async fn dial_desk(
    tls: &ClientTls,
    node: &NodeName,
    endpoints: &[Endpoint],
    limits: &DialLimits,
) -> Result<Dialled, DialError> {
    let (io, remote) = Box::pin(connect_any(tls, endpoints, limits)).await?;
    let info = ConnectInfo {
        identity: Identity::Peer(PeerIdentity { node: node.clone() }),
        remote: Remote::Tcp(remote),
        generation: 0,
        ending: Ending::new(),
    };
    Box::pin(over_tls(io, info, node, limits)).await
}

/// Dials the desk over its Unix socket.
///
/// # Errors
///
/// [`DialError::Socket`] if nobody answers there.
pub async fn dial_local(path: &Path, limits: &DialLimits) -> Result<Dialled, DialError> {
    let fault = |source| DialError::Socket {
        path: path.to_owned(),
        source,
    };
    let io = UnixStream::connect(path).await.map_err(fault)?;
    let uid = io.peer_cred().map_err(fault)?.uid();
    let info = ConnectInfo {
        identity: Identity::Unix(UnixPeer { uid }),
        remote: Remote::Unix,
        generation: 0,
        ending: Ending::new(),
    };
    let connection = Connection::dialled(io, info.clone(), limits.flood);
    let channel = channel_over(connection, "http://desk.localhost").await?;
    Ok(Dialled {
        channel,
        info,
        key_exchange: None,
    })
}

async fn over_tls(
    io: TlsStream<Wire>,
    info: ConnectInfo,
    node: &NodeName,
    limits: &DialLimits,
) -> Result<Dialled, DialError> {
    let group = io.get_ref().1.negotiated_key_exchange_group();
    let connection = Connection::dialled(io, info.clone(), limits.flood);
    let channel = channel_over(connection, &format!("http://{node}")).await?;
    Ok(Dialled {
        channel,
        info,
        key_exchange: group.map(rustls::crypto::SupportedKxGroup::name),
    })
}

/// Tries every address of every endpoint, in order.
async fn connect_any(
    client: &ClientTls,
    endpoints: &[Endpoint],
    limits: &DialLimits,
) -> Result<(TlsStream<Wire>, SocketAddr), DialError> {
    let mut last = DialError::NoEndpoint;
    for endpoint in endpoints {
        let fault = |reason| DialError::Connect {
            endpoint: endpoint.clone(),
            reason,
        };
        let resolving = tokio::net::lookup_host((endpoint.host(), endpoint.port()));
        let addresses = match tokio::time::timeout(limits.connect_time_max, resolving).await {
            Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX),
            Ok(Err(error)) => {
                last = fault(ConnectFault::Resolve(error));
                continue;
            }
            Err(_) => {
                last = fault(ConnectFault::Late);
                continue;
            }
        };
        for address in addresses {
            let connecting = connect_one(client, address);
            match tokio::time::timeout(limits.connect_time_max, connecting).await {
                Ok(Ok(io)) => return Ok((io, address)),
                Ok(Err(reason)) => last = fault(reason),
                Err(_) => last = fault(ConnectFault::Late),
            }
        }
    }
    Err(last)
}

async fn connect_one(
    client: &ClientTls,
    address: SocketAddr,
) -> Result<TlsStream<Wire>, ConnectFault> {
    let tcp = TcpStream::connect(address)
        .await
        .map_err(ConnectFault::Tcp)?;
    // Without it every small frame waits for the last one's acknowledgement.
    tcp.set_nodelay(true).map_err(ConnectFault::Tcp)?;
    let connector = TlsConnector::from(client.config().clone());
    let name = client.judge().server_name().clone();
    let io = connector
        .connect(name, Wire::new(tcp))
        .await
        .map_err(|error| {
            match error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            {
                Some(inner) => ConnectFault::Tls(reason(inner)),
                None => ConnectFault::Tcp(error),
            }
        })?;
    if io.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(ConnectFault::Alpn);
    }
    Ok(io)
}

fn chain_of(io: &TlsStream<Wire>) -> Vec<CertificateDer<'static>> {
    let shown = io.get_ref().1.peer_certificates().unwrap_or_default();
    shown
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect()
}

/// HTTP/2 over a connection that is already made.
async fn channel_over<S>(io: Connection<S>, origin: &str) -> Result<Channel, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // tonic refuses https without its own TLS, so it is told http; TLS is beneath.
    let endpoint = tonic::transport::Endpoint::from_shared(origin.to_owned())
        .map_err(DialError::Http2)?
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIME_MAX)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_local_error_reset_streams(RESETS_MAX);
    let once = Arc::new(Mutex::new(Some(TokioIo::new(io))));
    let connector = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let io = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { io.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    endpoint
        .connect_with_connector(connector)
        .await
        .map_err(DialError::Http2)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The node knows no such peer.
    #[error("there is no link with {peer}")]
    NoLink {
        /// Whom.
        peer: NodeName,
    },
    /// The link names no address.
    #[error("the link names no endpoint to dial")]
    NoEndpoint,
    /// An endpoint did not answer as the peer.
    #[error("{endpoint}: {reason}")]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// Why.
        reason: ConnectFault,
    },
    /// Nobody answers on the socket.
    #[error("{}: {source}; is the node running? (liaison node run)", path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// HTTP/2 did not begin.
    #[error("HTTP/2 could not begin: {0}")]
    Http2(tonic::transport::Error),
}

/// What one address came to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFault {
    /// The name has no address.
    #[error("the name cannot be resolved: {0}")]
    Resolve(io::Error),
    /// TCP failed.
    #[error("cannot be reached: {0}")]
    Tcp(io::Error),
    /// The other side is not who it should be, or refuses.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// No HTTP/2.
    #[error("HTTP/2 was not agreed on (ALPN h2)")]
    Alpn,
    /// No answer in time.
    #[error("no answer in time")]
    Late,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        for text in [
            "border.example:7443",
            "192.0.2.1:1",
            "[2001:db8::1]:65535",
            "host:80",
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        for (text, error) in [
            ("border.example", EndpointError::NoPort),
            ("border.example:", EndpointError::Port),
            ("border.example:0", EndpointError::Port),
            ("border.example:65536", EndpointError::Port),
            ("border.example:+1", EndpointError::Port),
            (":1", EndpointError::Host),
            ("a b:1", EndpointError::Host),
            ("https://a:1", EndpointError::Host),
            ("::1:7443", EndpointError::Host),
            ("[nonsense]:1", EndpointError::Host),
        ] {
            assert_eq!(Endpoint::parse(text), Err(error), "{text}");
        }
    }
}
