//! What this machine can do at best, measured in the run that is compared with it.
//!
//! Each limit is a median of samples taken before and after the rounds, while the nodes rest.

mod tls;

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use self::tls::Ends;
pub(super) use self::tls::cpu_micros;
use super::median;
use crate::cli::demo::sides::Sides;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::store::{Batch, OpenOptions, SledStore, Store as _};

/// What a log appends at best: one page.
const PAGE: [u8; 4_096] = [7; 4_096];
/// Syncs of each kind in one taking.
const SYNCS: u64 = 200;
/// Samples of what the processor does, and how often each does it.
const SAMPLES: usize = 50;
const REPEATS: u32 = 10;
/// What is signed: an entry is about as long.
const SIGNED_BYTES: usize = 300;
/// What is hashed to tell the time for a KiB.
const HASHED_KIB: usize = 64;
/// Records of a group, and groups in one taking.
const GROUP: u32 = 128;
const GROUPS: u64 = 16;

/// Limits of this machine. Times are in microseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limits {
    /// Appending a page to a growing file and making it durable.
    pub(super) fdatasync_append_micros: f64,
    /// Writing a page over one of a file that was written before, and making it durable.
    pub(super) fdatasync_prewritten_micros: f64,
    /// An Ed25519 signature.
    pub(super) sign_micros: f64,
    /// Its verification by the strict rules.
    pub(super) strict_verify_micros: f64,
    /// SHA-256 of a KiB of a long text.
    pub(super) sha256_micros_per_kib: f64,
    /// SHA-256 of 512 bytes.
    pub(super) sha256_micros_of_512_bytes: f64,
    /// MiB a second over mutual TLS between two threads, with the node's own settings.
    pub(super) tls_mib_per_second: f64,
    /// Processor time of both ends together for a MiB of it.
    pub(super) tls_cpu_micros_per_mib: f64,
    /// A few bytes there and back over such a connection.
    pub(super) tls_round_trip_micros: f64,
    /// A record of the run's size in a real store, committed in groups of 128.
    pub(super) store_micros_per_record: f64,
}

/// Takes samples, as often as asked.
#[derive(Debug, Default)]
pub(super) struct Taker {
    append: Vec<f64>,
    prewritten: Vec<f64>,
    sign: Vec<f64>,
    verify: Vec<f64>,
    kib: Vec<f64>,
    half_kib: Vec<f64>,
    mib_per_second: Vec<f64>,
    cpu_per_mib: Vec<f64>,
    round_trip: Vec<f64>,
    record: Vec<f64>,
    takings: usize,
}

impl Taker {
    /// Takes samples once, in a directory on the disk that the nodes use; `sides` have the
    /// certificates. Blocks for a second or two.
    ///
    /// # Errors
    /// When the disk, the store or the loopback interface fails.
    pub(super) fn take(
        &mut self,
        dir: &Path,
        sides: &Sides,
        record_bytes: usize,
    ) -> Result<(), Failure> {
        self.takings += 1;
        let dir = dir.join(format!("limits-{}", self.takings));
        let failed = || format!("the limits of this machine, in {}", dir.display());
        std::fs::create_dir(&dir).or_fail(Exit::CannotCreate, failed)?;
        self.take_syncs(&dir).or_fail(Exit::CannotCreate, failed)?;
        self.take_cryptography()?;
        self.take_tls(sides)?;
        self.take_store(&dir.join("store"), record_bytes)
            .or_fail(Exit::CannotCreate, failed)?;
        std::fs::remove_dir_all(&dir).or_fail(Exit::CannotCreate, failed)
    }

    fn take_syncs(&mut self, dir: &Path) -> std::io::Result<()> {
        let growing = File::create(dir.join("growing"))?;
        for page in 0..SYNCS {
            let begun = Instant::now();
            growing.write_all_at(&PAGE, page * PAGE.len() as u64)?;
            growing.sync_data()?;
            self.append.push(micros(begun.elapsed()));
        }
        // The same file again, every page of which now is there.
        for page in 0..SYNCS {
            let begun = Instant::now();
            growing.write_all_at(&PAGE, page * PAGE.len() as u64)?;
            growing.sync_data()?;
            self.prewritten.push(micros(begun.elapsed()));
        }
        Ok(())
    }

    fn take_cryptography(&mut self) -> Result<(), Failure> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let verifying = key.verifying_key();
        let text = [9; SIGNED_BYTES];
        let signature = key.sign(&text);
        let long = vec![3; HASHED_KIB << 10];
        for _ in 0..SAMPLES {
            self.sign.push(each(|| {
                black_box(key.sign(black_box(&text)));
            }));
            let mut good = true;
            self.verify.push(each(|| {
                good &= verifying
                    .verify_strict(black_box(&text), &signature)
                    .is_ok();
            }));
            if !good {
                return Err(Failure::new(
                    Exit::Internal,
                    "an own signature did not verify",
                ));
            }
            let of_long = each(|| {
                black_box(Sha256::digest(black_box(&long)));
            });
            self.kib
                .push(of_long / f64::from(u32::try_from(HASHED_KIB).unwrap_or(u32::MAX)));
            self.half_kib.push(each(|| {
                black_box(Sha256::digest(black_box(&long[..512])));
            }));
        }
        Ok(())
    }

    fn take_tls(&mut self, sides: &Sides) -> Result<(), Failure> {
        let taken = Ends::of(sides)?.measure().or_fail(Exit::Unavailable, || {
            "TLS over the loopback interface".to_owned()
        })?;
        self.mib_per_second.push(taken.mib_per_second);
        self.cpu_per_mib.push(taken.cpu_micros_per_mib);
        self.round_trip.extend(taken.round_trip_micros);
        Ok(())
    }

    /// One tree, small keys in order, values of the size of the run: what the store asks at least.
    fn take_store(
        &mut self,
        dir: &Path,
        record_bytes: usize,
    ) -> Result<(), crate::store::StoreError> {
        let store = SledStore::open(&OpenOptions::new(dir).create())?;
        let mut number: u64 = 0;
        for _ in 0..GROUPS {
            let mut batch = Batch::new();
            for _ in 0..GROUP {
                batch.put(number.to_be_bytes(), noise(number, record_bytes));
                number += 1;
            }
            let begun = Instant::now();
            store.commit(batch)?;
            self.record.push(micros(begun.elapsed()) / f64::from(GROUP));
        }
        Ok(())
    }

    /// The medians of all that was taken.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            fdatasync_append_micros: median(&self.append),
            fdatasync_prewritten_micros: median(&self.prewritten),
            sign_micros: median(&self.sign),
            strict_verify_micros: median(&self.verify),
            sha256_micros_per_kib: median(&self.kib),
            sha256_micros_of_512_bytes: median(&self.half_kib),
            tls_mib_per_second: median(&self.mib_per_second),
            tls_cpu_micros_per_mib: median(&self.cpu_per_mib),
            tls_round_trip_micros: median(&self.round_trip),
            store_micros_per_record: median(&self.record),
        }
    }
}

/// Microseconds that something takes, the mean of some in a row.
fn each(mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..REPEATS {
        work();
    }
    micros(begun.elapsed()) / f64::from(REPEATS)
}

/// A length of time in microseconds.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Bytes that do not compress, others for each number: xorshift (Marsaglia 2003).
fn noise(number: u64, bytes: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}
