//! What one connection, or a crowd of them, can do to a node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use liaison::limits::FRAME_BYTES_MAX;
use liaison::link::accept::{AcceptLimits, WhenFull};
use liaison::link::files::parse_certificates;
use liaison::link::pki::{Issued, Leaf};
use liaison::link::serve::server_builder_with;
use liaison::link::tls::{ALPN, provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::house::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A TLS connection that trusts Lao Cai and shows whatever it is given.
async fn raw(house: &House, issued: Option<&Issued>) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for der in parse_certificates(house.laocai_ca.certificate_pem().as_bytes()).unwrap() {
        roots.add(der).unwrap();
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match issued {
        None => config.with_no_client_auth(),
        Some(issued) => config
            .with_client_auth_cert(
                parse_certificates(issued.certificate_pem.as_bytes()).unwrap(),
                PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    let tcp = TcpStream::connect(house.laocai.address).await?;
    let name = ServerName::try_from(LAOCAI).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

/// Begins HTTP/2 and waits for the server's first frame.
pub(super) async fn raw_client(house: &House, issued: Option<&Issued>) -> io::Result<u64> {
    let mut io = within(raw(house, issued)).await?;
    begin(&mut io).await?;
    Ok(32)
}

async fn begin(io: &mut TlsStream<TcpStream>) -> io::Result<()> {
    io.write_all(PREFACE).await?;
    io.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    io.flush().await?;
    let (kind, _) = within(read_frame(io)).await?;
    assert_eq!(kind, SETTINGS);
    Ok(())
}

async fn read_frame(io: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 9];
    io.read_exact(&mut header).await?;
    let [a, b, c, kind, ..] = header;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    io.read_exact(&mut payload).await?;
    Ok((kind, payload))
}

/// Reads until the end and returns how many frames of a kind came.
async fn count_until_end(io: &mut (impl tokio::io::AsyncRead + Unpin), wanted: u8) -> usize {
    let mut count = 0;
    while let Ok((kind, _)) = read_frame(io).await {
        count += usize::from(kind == wanted);
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_is_cut() {
    let mut house = House::new().await;
    let issued = house.hekou();
    let mut io = raw(&house, Some(&issued)).await.unwrap();
    begin(&mut io).await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(io);
    let flood = tokio::spawn(async move {
        let hundred = frame(PING, 0, 0, b"pingpong").repeat(100);
        let mut sent = 0;
        while sent < 50_000 && writing.write_all(&hundred).await.is_ok() {
            sent += 100;
        }
        sent
    });
    let answered = within(count_until_end(&mut reading, PING)).await;
    within(flood).await.unwrap();
    assert!(answered < 20_000, "{answered} answers");
    // Everyone else is served.
    assert_eq!(house.knock(HEKOU, &issued).await.unwrap(), 32);
}

#[tokio::test]
async fn a_few_pings_are_answered() {
    let mut house = House::new().await;
    let issued = house.hekou();
    let mut io = raw(&house, Some(&issued)).await.unwrap();
    begin(&mut io).await.unwrap();
    io.write_all(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
    let (mut answered, mut sent) = (0, 0);
    while answered < 500 {
        if sent < 500 {
            io.write_all(&frame(PING, 0, 0, b"pingpong")).await.unwrap();
            sent += 1;
        }
        let (kind, _) = within(read_frame(&mut io)).await.unwrap();
        answered += i32::from(kind == PING);
    }
}

#[tokio::test]
async fn an_oversize_frame_ends_the_connection() {
    let mut house = House::new().await;
    let issued = house.hekou();
    let mut io = raw(&house, Some(&issued)).await.unwrap();
    begin(&mut io).await.unwrap();
    // One byte more than the limit that the server has told.
    let [_, a, b, c] = ((1_u32 << 20) + 1).to_be_bytes();
    io.write_all(&[a, b, c, 0, 0, 0, 0, 0, 1]).await.unwrap();
    io.flush().await.unwrap();
    assert_eq!(within(count_until_end(&mut io, GOAWAY)).await, 1);
    assert_eq!(house.knock(HEKOU, &issued).await.unwrap(), 32);
}

#[tokio::test]
async fn an_oversize_message_is_refused_and_the_connection_lives() {
    let mut house = House::new().await;
    let issued = house.hekou();
    let tls = house.caller(HEKOU, &issued);
    let dialled = house.dial(&tls).await;
    // Tag and length of the field take four bytes.
    assert_eq!(
        ask(&dialled, FRAME_BYTES_MAX - 4).await.unwrap(),
        FRAME_BYTES_MAX as u64 - 4
    );
    let status = ask(&dialled, FRAME_BYTES_MAX - 3).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status:?}");
    assert_eq!(ask(&dialled, 1).await.unwrap(), 1);
}

#[tokio::test]
async fn a_stalled_handshake_is_ended() {
    let limits = AcceptLimits {
        handshake_time_max: Duration::from_millis(100),
        ..AcceptLimits::exchange()
    };
    let house = House::with(limits).await;
    let mut silent = TcpStream::connect(house.laocai.address).await.unwrap();
    assert_ended(&mut silent).await;
    // Half a ClientHello is no better.
    let mut half = TcpStream::connect(house.laocai.address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    assert_ended(&mut half).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_after_the_handshake_is_ended() {
    let limits = AcceptLimits {
        opening_time_max: Duration::from_millis(100),
        ..AcceptLimits::exchange()
    };
    let mut house = House::with(limits).await;
    let issued = house.hekou();
    let mut silent = raw(&house, Some(&issued)).await.unwrap();
    assert_ended(&mut silent).await;
    let mut half = raw(&house, Some(&issued)).await.unwrap();
    half.write_all(&PREFACE[..20]).await.unwrap();
    half.flush().await.unwrap();
    assert_ended(&mut half).await;
}

#[tokio::test]
async fn a_connection_that_stalls_in_a_frame_is_ended() {
    let soon = Duration::from_millis(100);
    let mut house = House::serve(AcceptLimits::exchange(), server_builder_with(soon, soon)).await;
    let issued = house.hekou();
    let mut io = raw(&house, Some(&issued)).await.unwrap();
    begin(&mut io).await.unwrap();
    // A frame of 1,000 bytes of which ten come, then one now and then: alive, and no answer to PING.
    io.write_all(&[0, 3, 232, 0, 0, 0, 0, 0, 1]).await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(io);
    let dripping = tokio::spawn(async move {
        while writing.write_all(&[0]).await.is_ok() {
            let _ = writing.flush().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    within(count_until_end(&mut reading, PING)).await;
    dripping.abort();
}

async fn assert_ended(io: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(4), io.read_to_end(&mut rest));
    // An end and a reset are both an end.
    let _ = reading.await.expect("the other side ends it");
}

#[tokio::test]
async fn half_open_connections_do_not_keep_others_out() {
    let limits = AcceptLimits {
        handshakes_max: 8,
        address_handshakes_max: 4,
        handshake_time_max: Duration::from_secs(60),
        ..AcceptLimits::exchange()
    };
    let mut house = House::with(limits).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(house.laocai.address).await.unwrap());
    }
    let issued = house.hekou();
    assert_eq!(house.knock(HEKOU, &issued).await.unwrap(), 32);
    assert_ended(&mut silent[0]).await;
}

#[tokio::test]
async fn connections_are_capped_in_all() {
    let limits = AcceptLimits {
        connections_max: 2,
        ..AcceptLimits::exchange()
    };
    let mut house = House::with(limits).await;
    let hekou = house.hekou();
    let mohan = house
        .mohan_ca
        .issue(&Leaf::node(&name(MOHAN)), valid())
        .unwrap();
    let (hekou, mohan) = (house.caller(HEKOU, &hekou), house.caller(MOHAN, &mohan));
    let one = house.dial(&hekou).await;
    let two = house.dial(&mohan).await;
    ask(&one, 1).await.unwrap();
    ask(&two, 1).await.unwrap();
    let mut three = TcpStream::connect(house.laocai.address).await.unwrap();
    assert_ended(&mut three).await;
    // A place is given back when a connection ends.
    let info = house.laocai.next_seen().await;
    assert_eq!(peer_of(&info), HEKOU);
    drop(one);
    within(info.ending.closed()).await;
    let again = house.dial(&hekou).await;
    ask(&again, 1).await.unwrap();
    ask(&two, 1).await.unwrap();
}

#[tokio::test]
async fn a_node_with_too_many_connections_loses_its_oldest() {
    let limits = AcceptLimits {
        identity_connections_max: 2,
        ..AcceptLimits::exchange()
    };
    let mut house = House::with(limits).await;
    let issued = house.hekou();
    let tls = house.caller(HEKOU, &issued);
    let mut open = Vec::new();
    for _ in 0..3 {
        let dialled = house.dial(&tls).await;
        ask(&dialled, 1).await.unwrap();
        open.push((dialled, house.laocai.next_seen().await));
    }
    within(open[0].1.ending.closed()).await;
    ask(&open[0].0, 1).await.unwrap_err();
    ask(&open[1].0, 1).await.unwrap();
    ask(&open[2].0, 1).await.unwrap();
}

#[tokio::test]
async fn a_program_with_too_many_connections_gets_no_more() {
    let limits = AcceptLimits {
        identity_connections_max: 2,
        when_full: WhenFull::RefuseNewest,
        ..AcceptLimits::exchange()
    };
    let mut house = House::with(limits).await;
    let issued = house.hekou();
    let tls = house.caller(HEKOU, &issued);
    let (one, two) = (house.dial(&tls).await, house.dial(&tls).await);
    ask(&one, 1).await.unwrap();
    ask(&two, 1).await.unwrap();
    assert_refused(house.knock(HEKOU, &issued).await);
    ask(&one, 1).await.unwrap();
}
