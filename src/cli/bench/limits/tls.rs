//! Mutual TLS over the loopback interface with the certificates and settings of two nodes, and nothing
//! else: two threads, blocking.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use super::micros;
use crate::cli::demo::sides::Sides;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::link::tls::{ServerTls as _, TlsOptions};
use crate::node::material;

/// Bytes there and back in a round trip.
const PING_BYTES: usize = 64;
/// Round trips in one taking.
const PINGS: usize = 200;
/// What is written at a time, and how often: 32 MiB.
const PART_BYTES: usize = 64 << 10;
const PARTS: u32 = 512;
const MIB: f64 = 32.0;

/// How the two ends speak.
pub(super) struct Ends {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
    pub(super) name: ServerName<'static>,
}

/// What was measured.
pub(super) struct Taken {
    pub(super) mib_per_second: f64,
    /// Of both ends together.
    pub(super) cpu_micros_per_mib: f64,
    pub(super) round_trip_micros: Vec<f64>,
}

impl Ends {
    /// One side dials the other.
    pub(super) fn of(sides: &Sides) -> Result<Self, Failure> {
        let material = |side: &crate::cli::demo::sides::Side| {
            let config = side.load()?;
            let options = TlsOptions::new(config.allow_example_ca);
            material::exchange(&config, options).or_exit(Exit::Config)
        };
        let (dialling, listening) = (
            material(&sides.vn)?.current(),
            material(&sides.cn)?.current(),
        );
        let no_link = || Failure::new(Exit::Internal, "the two sides do not know each other");
        let client = dialling.value.client(&sides.cn.node).ok_or_else(no_link)?;
        Ok(Self {
            client: Arc::clone(client.config()),
            name: client.judge().server_name().clone(),
            server: listening.value.server_config(),
        })
    }

    /// Round trips, then one long stream.
    pub(super) fn measure(self) -> io::Result<Taken> {
        let (near, far) = connected()?;
        let (server, client, name) = (self.server, self.client, self.name);
        thread::scope(|scope| {
            let answering = scope.spawn(|| answer(far, server));
            // When this end fails it closes, and the other sees the end.
            let taken = ask(near, client, name);
            let answered = answering.join();
            answered.map_err(|_| io::Error::other("a thread has ended"))??;
            taken
        })
    }
}

/// The two ends of a connection over the loopback interface, the dialling one first.
pub(super) fn connected() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    Ok((near, far))
}

/// Sends back what comes, then only reads; says when it has all of it.
fn answer(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut io = StreamOwned::new(session, tcp);
    let mut ping = [0; PING_BYTES];
    for _ in 0..PINGS {
        io.read_exact(&mut ping)?;
        io.write_all(&ping)?;
        io.flush()?;
    }
    let mut part = vec![0; PART_BYTES];
    for _ in 0..PARTS {
        io.read_exact(&mut part)?;
    }
    io.write_all(&ping)?;
    io.flush()
}

fn ask(tcp: TcpStream, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Taken> {
    tcp.set_nodelay(true)?;
    let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut io = StreamOwned::new(session, tcp);
    let mut ping = [1; PING_BYTES];
    let mut round_trip_micros = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let begun = Instant::now();
        io.write_all(&ping)?;
        io.flush()?;
        io.read_exact(&mut ping)?;
        round_trip_micros.push(micros(begun.elapsed()));
    }
    // The first one is the handshake.
    round_trip_micros.swap_remove(0);

    let part = vec![2; PART_BYTES];
    let (begun, cpu) = (Instant::now(), cpu_micros());
    for _ in 0..PARTS {
        io.write_all(&part)?;
    }
    io.flush()?;
    io.read_exact(&mut ping)?;
    let taken = Taken {
        mib_per_second: MIB / begun.elapsed().as_secs_f64(),
        cpu_micros_per_mib: (cpu_micros() - cpu) / MIB,
        round_trip_micros,
    };
    io.conn.send_close_notify();
    Ok(taken)
}

/// Processor time of this process, in microseconds.
pub(in crate::cli::bench) fn cpu_micros() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // Exact up to 2⁵³ ns of a process's time.
    #[expect(
        clippy::cast_precision_loss,
        reason = "three months of processor time are exact"
    )]
    let micros = time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3;
    micros
}
