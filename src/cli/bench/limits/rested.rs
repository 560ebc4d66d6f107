//! What one notification takes at least on a machine that has rested: the very steps of the bound of a
//! single one, one after the other, each time after the rest that single notifications have.
//!
//! ```text
//! rest │ sign, page, fdatasync ──TLS──▶ verify strictly, page, fdatasync
//!      │                       ◀──TLS── answer
//! ```
//!
//! Processors that have slept wake up, and their caches are cold: the same steps take several times as long
//! as in a loop.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use super::tls::{Ends, connected};
use super::{PAGE, micros};
use crate::cli::bench::REST;

/// Samples in one taking.
const SAMPLES: u64 = 50;
/// What is signed, sent and verified: an entry is about as long.
const TEXT: [u8; 300] = [9; 300];
const SIGNATURE_BYTES: usize = 64;

impl Ends {
    /// Microseconds of each sample. The files in `dir` stay.
    pub(super) fn rested(&self, dir: &Path) -> io::Result<Vec<f64>> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let verifying = key.verifying_key();
        let (here, there) = (pages(dir, "here")?, pages(dir, "there")?);
        let (near, far) = connected()?;
        let server = Arc::clone(&self.server);
        let session = ClientConnection::new(Arc::clone(&self.client), self.name.clone());
        let session = session.map_err(io::Error::other)?;
        thread::scope(|scope| {
            let receiving = scope.spawn(|| receive(far, server, &verifying, &there));
            // When this end fails it closes, and the other sees the end.
            let taken = send(near, session, &key, &here);
            let received = receiving.join();
            received.map_err(|_| io::Error::other("a thread has ended"))??;
            taken
        })
    }
}

/// A file whose pages are there, to be written over.
fn pages(dir: &Path, name: &str) -> io::Result<File> {
    let file = File::create(dir.join(name))?;
    for page in 0..=SAMPLES {
        file.write_all_at(&PAGE, page * PAGE.len() as u64)?;
    }
    file.sync_data()?;
    Ok(file)
}

fn keep(file: &File, page: u64) -> io::Result<()> {
    file.write_all_at(&PAGE, page * PAGE.len() as u64)?;
    file.sync_data()
}

fn send(
    tcp: TcpStream,
    session: ClientConnection,
    key: &SigningKey,
    file: &File,
) -> io::Result<Vec<f64>> {
    tcp.set_nodelay(true)?;
    let mut io = StreamOwned::new(session, tcp);
    let mut taken = Vec::new();
    for page in 0..=SAMPLES {
        thread::sleep(REST);
        let begun = Instant::now();
        let signature = key.sign(&TEXT);
        keep(file, page)?;
        io.write_all(&signature.to_bytes())?;
        io.flush()?;
        io.read_exact(&mut [0])?;
        taken.push(micros(begun.elapsed()));
    }
    io.conn.send_close_notify();
    // The first one is the handshake.
    taken.swap_remove(0);
    Ok(taken)
}

fn receive(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    key: &VerifyingKey,
    file: &File,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut io = StreamOwned::new(session, tcp);
    let mut signature = [0; SIGNATURE_BYTES];
    for page in 0..=SAMPLES {
        io.read_exact(&mut signature)?;
        key.verify_strict(&TEXT, &Signature::from_bytes(&signature))
            .map_err(io::Error::other)?;
        keep(file, page)?;
        io.write_all(&[1])?;
        io.flush()?;
    }
    Ok(())
}
