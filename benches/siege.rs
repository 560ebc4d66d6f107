//! What a well-behaved caller notices of others: 100 peers that opened a session and read nothing,
//! and a program that asks for ten times its quota. `cargo bench --bench siege`.
//!
//! ```text
//! submit → durable, p99, besieged      limit: twice the p99 at peace, in the same run
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and it reports"
)]

#[path = "../tests/it/nodes.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod nodes;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use liaison::exchange::clock::{Clock as _, SystemClock};
use liaison::link::dial::{DialLimits, Dialled, Endpoint, dial_desk, dial_peer};
use liaison::link::identity::{DeskIdentity, Role};
use liaison::link::pki::{Authority, Leaf, Validity, write_public, write_secret};
use liaison::link::tls::{ClientTls, OwnFiles, TlsOptions};
use liaison::model::NodeName;
use liaison::node::config::Config;
use liaison::node::material;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use liaison::proto::v1::exchange_service_client::ExchangeServiceClient;
use liaison::proto::v1::{self, Frame, SessionRequest, SessionResponse, frame};
use nodes::{LEFT, Node, RIGHT, free_port, letter, pair};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

const STALLED: usize = 100;
const ROUNDS: usize = 1_000;
/// Messages a second that the program may send; it tries ten times as many.
const QUOTA: u32 = 50;
/// Between two messages of the program: ten times as many as it may send.
const PACE: Duration = Duration::from_millis(2);
/// Letters that wait for each stalled peer.
const BACKLOG: usize = 20;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let smoke = std::env::args().any(|arg| arg == "--test");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (stalled, rounds) = if smoke { (3, 20) } else { (STALLED, ROUNDS) };
    runtime.block_on(siege(stalled, rounds));
}

async fn siege(stalled: usize, rounds: usize) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut left, mut right) = pair(dir.path());
    let others: Vec<_> = (0..stalled)
        .map(|number| Node::init(dir.path(), &format!("p{number}.stalled.example")))
        .collect();
    let card = left.card();
    for other in &others {
        left.add_peer(&other.card());
        left.set_link(&other.name, "dial = false");
        other.add_peer(&card);
    }
    let desk = DeskOverTcp::set_up(dir.path(), &left);
    left.start();
    right.start();
    left.until(RIGHT, "up", |link| link.state() == v1::LinkState::Up)
        .await;

    let peace = p99(&mut left, rounds).await;
    let mut sessions = Vec::new();
    for other in &others {
        sessions.push(Stalled::open(&mut left, other).await);
    }
    let (stop, refused) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let greedy = tokio::spawn(desk.greedy(Arc::clone(&stop), Arc::clone(&refused)));
    let besieged = p99(&mut left, rounds).await;
    stop.store(true, Ordering::Relaxed);
    let recorded = greedy.await.unwrap();
    println!(
        "submit p99 {besieged:?} besieged = {:.2} × {peace:?} at peace (wanted: at most 2); \
         {stalled} stalled peers; a program at ten times its quota: {recorded} recorded, {} refused",
        besieged.as_secs_f64() / peace.as_secs_f64(),
        refused.load(Ordering::Relaxed)
    );
    drop(sessions);
    left.kill();
    right.kill();
}

/// The well-behaved one: a letter, its answer, a pause.
async fn p99(left: &mut Node, rounds: usize) -> Duration {
    let mut desk = left.desk().await;
    let mut samples = Vec::with_capacity(rounds);
    for number in 0..rounds {
        let draft = Some(letter(RIGHT, number));
        tokio::time::sleep(Duration::from_millis(2)).await;
        let start = Instant::now();
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
        samples.push(start.elapsed());
    }
    samples.sort_unstable();
    samples[samples.len() * 99 / 100]
}

/// A peer that has opened a session, answers pings, and reads nothing.
struct Stalled {
    _dialled: Dialled,
    _to: mpsc::Sender<SessionRequest>,
    _unread: Streaming<SessionResponse>,
}

impl Stalled {
    async fn open(left: &mut Node, peer: &Node) -> Self {
        let mut desk = left.desk().await;
        for number in 0..BACKLOG {
            let draft = Some(letter(&peer.name, number));
            desk.submit(v1::SubmitRequest { draft }).await.unwrap();
        }
        let config = Config::load(Path::new(&peer.config())).unwrap();
        let tls = material::exchange(&config, TlsOptions::new(true)).unwrap();
        let node = NodeName::parse(LEFT).unwrap();
        let endpoints = [Endpoint::parse(&format!("127.0.0.1:{}", left.port)).unwrap()];
        let limits = DialLimits::default();
        let dialled = dial_peer(&tls, &node, &endpoints, &limits).await.unwrap();
        let hello = v1::Hello {
            version_min: 1,
            version_max: 1,
            node: peer.name.clone(),
            sent_at: Some(SystemClock.timestamp()),
            ..v1::Hello::default()
        };
        let (to, queue) = mpsc::channel(1);
        let frame = Some(frame::Frame::Hello(hello));
        let first = SessionRequest {
            frame: Some(Frame { frame }),
        };
        to.send(first).await.unwrap();
        let mut client = ExchangeServiceClient::new(dialled.channel.clone());
        let answer = client.session(ReceiverStream::new(queue)).await.unwrap();
        Self {
            _dialled: dialled,
            _to: to,
            _unread: answer.into_inner(),
        }
    }
}

/// The desk over the network, and a program with a certificate for it.
struct DeskOverTcp {
    tls: ClientTls,
    endpoint: Endpoint,
}

impl DeskOverTcp {
    /// Issues everything and adds it to the node's configuration.
    fn set_up(dir: &Path, left: &Node) -> Self {
        let node = NodeName::parse(LEFT).unwrap();
        let valid = Validity::days(SystemClock.unix_seconds(), 30);
        let mut authority = Authority::new("Border Office", "desk authority", valid).unwrap();
        let ca = dir.join("desk-ca.pem");
        write_public(&ca, &authority.certificate_pem()).unwrap();
        let radar = DeskIdentity::new(Role::Integration, "radar").unwrap();
        let mut issue = |label: &str, leaf: &Leaf| {
            let issued = authority.issue(leaf, valid).unwrap();
            let files = OwnFiles {
                certificate: dir.join(format!("{label}.pem")),
                key: dir.join(format!("{label}.key")),
            };
            write_public(&files.certificate, &issued.certificate_pem).unwrap();
            write_secret(&files.key, &issued.key_pem).unwrap();
            files
        };
        let server = issue("desk", &Leaf::desk_server(&node));
        let client = issue("radar", &Leaf::desk_client(&node, &radar));
        let port = free_port();
        let mut config = std::fs::read_to_string(left.config()).unwrap();
        let added = format!(
            "\n[desk.tcp]\nlisten = \"127.0.0.1:{port}\"\ncertificate = \"{}\"\nkey = \"{}\"\n\
             client_ca = \"{}\"\n\n[[desk.integration]]\nname = \"radar\"\n\
             kinds = [\"OFFICIAL_LETTER\"]\nmessages_per_second = {QUOTA}\n\
             burst_messages = {QUOTA}\n",
            server.certificate.display(),
            server.key.display(),
            ca.display()
        );
        config.push_str(&added);
        std::fs::write(left.config(), config).unwrap();
        Self {
            tls: ClientTls::desk(&node, &client, &ca, &TlsOptions::new(true)).unwrap(),
            endpoint: Endpoint::parse(&format!("127.0.0.1:{port}")).unwrap(),
        }
    }

    /// Sends ten times as much as it may until told to stop; returns how much was recorded.
    async fn greedy(self, stop: Arc<AtomicBool>, refused: Arc<AtomicU64>) -> u64 {
        let node = NodeName::parse(LEFT).unwrap();
        let limits = DialLimits::default();
        let dialled = dial_desk(&self.tls, &node, &[self.endpoint], &limits).await;
        let mut desk = DeskServiceClient::new(dialled.unwrap().channel);
        let mut recorded = 0;
        let mut ticks = tokio::time::interval(PACE);
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            let draft = Some(letter(RIGHT, 1));
            match desk.submit(v1::SubmitRequest { draft }).await {
                Ok(_) => recorded += 1,
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        recorded
    }
}
