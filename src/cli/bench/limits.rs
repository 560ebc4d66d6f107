//! What this machine can do at best, measured in the run that is compared with it.
//!
//! Each limit is a median of samples taken before the nodes of a step are started, and after they have
//! stopped (with a real peer: before and after the rounds).

mod busy;
mod rested;
mod tls;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use self::busy::Samples;
use self::tls::Ends;
pub(super) use self::tls::cpu_micros;
use super::median;
use crate::cli::demo::sides::Sides;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::limits::{GROUP_BYTES_MAX, GROUP_COMMANDS_MAX};
use crate::store::{Batch, OpenOptions, SledStore, Store as _};

/// What a log appends at best: one page.
const PAGE: [u8; 4_096] = [7; 4_096];
/// Syncs of each kind in one taking.
const SYNCS: u64 = 200;
/// Records of a group: what a busy node commits at a time, and the most that its recorder does.
const GROUPS: [usize; 2] = [128, GROUP_COMMANDS_MAX];
/// Records of each kind of group in one taking.
const RECORDS: usize = 2_048;

/// Limits of this machine. Times are in microseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limits {
    /// Appending a page to a growing file and making it durable.
    pub(super) fdatasync_append_micros: f64,
    /// Writing a page over one of a file that was written before, and making it durable.
    pub(super) fdatasync_prewritten_micros: f64,
    /// An Ed25519 signature, while every core makes them.
    pub(super) sign_micros: f64,
    /// Its verification by the strict rules, while every core does that.
    pub(super) strict_verify_micros: f64,
    /// SHA-256 of a KiB of a long text, while every core hashes.
    pub(super) sha256_micros_per_kib: f64,
    /// SHA-256 of 512 bytes, while every core hashes.
    pub(super) sha256_micros_of_512_bytes: f64,
    /// The same four by one thread, while the other cores rest.
    pub(super) sign_micros_alone: f64,
    /// Strict verification.
    pub(super) strict_verify_micros_alone: f64,
    /// SHA-256 of a KiB of a long text.
    pub(super) sha256_micros_per_kib_alone: f64,
    /// SHA-256 of 512 bytes.
    pub(super) sha256_micros_of_512_bytes_alone: f64,
    /// MiB a second over mutual TLS between two threads, with the node's own settings.
    pub(super) tls_mib_per_second: f64,
    /// Processor time of both ends together for a MiB of it.
    pub(super) tls_cpu_micros_per_mib: f64,
    /// A few bytes there and back over such a connection.
    pub(super) tls_round_trip_micros: f64,
    /// The steps of a single notification, one after the other, after the rest that single ones have.
    pub(super) single_rested_micros: f64,
    /// A record of the run's size in a real store: the cheaper of the next two.
    pub(super) store_micros_per_record: f64,
    /// Committed in groups of 128.
    pub(super) store_micros_per_record_of_128: f64,
    /// Committed in groups of 512, or as many as have 16 MiB.
    pub(super) store_micros_per_record_of_512: f64,
}

/// Takes samples, as often as asked.
#[derive(Debug, Default)]
pub(super) struct Taker {
    append: Vec<f64>,
    prewritten: Vec<f64>,
    busy: Samples,
    alone: Samples,
    mib_per_second: Vec<f64>,
    cpu_per_mib: Vec<f64>,
    round_trip: Vec<f64>,
    rested: Vec<f64>,
    /// By the size of a record, for each kind of group.
    record: BTreeMap<usize, [Vec<f64>; GROUPS.len()]>,
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
        self.take_tls(&dir, sides)?;
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
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let failed = || Failure::new(Exit::Internal, "an own signature did not verify");
        self.busy.extend(busy::samples(cores).ok_or_else(failed)?);
        self.alone.extend(busy::samples(1).ok_or_else(failed)?);
        Ok(())
    }

    fn take_tls(&mut self, dir: &Path, sides: &Sides) -> Result<(), Failure> {
        let failed = || "TLS over the loopback interface".to_owned();
        let ends = Ends::of(sides)?;
        let rested = ends.rested(dir).or_fail(Exit::Unavailable, failed)?;
        let taken = ends.measure().or_fail(Exit::Unavailable, failed)?;
        self.rested.extend(rested);
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
        let taken = self.record.entry(record_bytes).or_default();
        let mut number: u64 = 0;
        for (records, taken) in GROUPS.into_iter().zip(taken) {
            let records = records.min(GROUP_BYTES_MAX / record_bytes.max(1)).max(1);
            for _ in 0..RECORDS.div_ceil(records) {
                let mut batch = Batch::new();
                for _ in 0..records {
                    batch.put(number.to_be_bytes(), noise(number, record_bytes));
                    number += 1;
                }
                let begun = Instant::now();
                store.commit(batch)?;
                let records = u32::try_from(records).unwrap_or(u32::MAX);
                taken.push(micros(begun.elapsed()) / f64::from(records));
            }
        }
        Ok(())
    }

    /// The medians of all that was taken, with what the store asks for records of a size that was.
    pub(super) fn limits(&self, record_bytes: usize) -> Limits {
        let record = self.record.get(&record_bytes);
        let [of_128, of_512] =
            [0, 1].map(|group| record.map_or(0.0, |record| median(&record[group])));
        let (busy, alone) = (&self.busy, &self.alone);
        Limits {
            fdatasync_append_micros: median(&self.append),
            fdatasync_prewritten_micros: median(&self.prewritten),
            sign_micros: median(&busy.sign),
            strict_verify_micros: median(&busy.verify),
            sha256_micros_per_kib: median(&busy.kib),
            sha256_micros_of_512_bytes: median(&busy.half_kib),
            sign_micros_alone: median(&alone.sign),
            strict_verify_micros_alone: median(&alone.verify),
            sha256_micros_per_kib_alone: median(&alone.kib),
            sha256_micros_of_512_bytes_alone: median(&alone.half_kib),
            tls_mib_per_second: median(&self.mib_per_second),
            tls_cpu_micros_per_mib: median(&self.cpu_per_mib),
            tls_round_trip_micros: median(&self.round_trip),
            single_rested_micros: median(&self.rested),
            store_micros_per_record: of_128.min(of_512),
            store_micros_per_record_of_128: of_128,
            store_micros_per_record_of_512: of_512,
        }
    }
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
