//! Cryptography on this machine's processors: by one thread alone, and by one on each core at once.
//!
//! A loaded node keeps every core busy. One thread alone has turbo frequency and the execution units of
//! both hyperthreads to itself, and is up to 1.7 times as fast as each of many.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::micros;

/// Samples of each operation by each thread, and how often a sample does it.
const SAMPLES: usize = 50;
const REPEATS: u32 = 10;
/// What is signed: an entry is about as long.
const SIGNED_BYTES: usize = 300;
/// What is hashed to tell the time for a KiB.
const HASHED_KIB: u32 = 64;

/// Microseconds of each operation, sample by sample.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) sign: Vec<f64>,
    pub(super) verify: Vec<f64>,
    pub(super) kib: Vec<f64>,
    pub(super) half_kib: Vec<f64>,
}

impl Samples {
    /// Adds those of others.
    pub(super) fn extend(&mut self, others: Self) {
        self.sign.extend(others.sign);
        self.verify.extend(others.verify);
        self.kib.extend(others.kib);
        self.half_kib.extend(others.half_kib);
    }
}

/// What all threads work on.
struct Work {
    key: SigningKey,
    verifying: VerifyingKey,
    text: [u8; SIGNED_BYTES],
    signature: Signature,
    long: Vec<u8>,
}

/// Samples of so many threads at once, of all of them together; nothing if an own signature does not
/// verify.
pub(super) fn samples(threads: usize) -> Option<Samples> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let text = [9; SIGNED_BYTES];
    let (verifying, signature) = (key.verifying_key(), key.sign(&text));
    verifying.verify_strict(&text, &signature).ok()?;
    let work = Work {
        key,
        verifying,
        text,
        signature,
        long: vec![3; usize::try_from(HASHED_KIB).ok()? << 10],
    };
    let together = Together::new(threads);
    thread::scope(|scope| {
        let one = || scope.spawn(|| of_thread(&work, &together));
        let all: Vec<_> = std::iter::repeat_with(one).take(threads).collect();
        let mut samples = Samples::default();
        for thread in all {
            samples.extend(thread.join().ok()?);
        }
        Some(samples)
    })
}

fn of_thread(work: &Work, together: &Together) -> Samples {
    let sign = together.at_once(0, || {
        black_box(work.key.sign(black_box(&work.text)));
    });
    let verify = together.at_once(1, || {
        let text = black_box(&work.text);
        let _ = black_box(work.verifying.verify_strict(text, &work.signature));
    });
    let of_long = together.at_once(2, || {
        black_box(Sha256::digest(black_box(&work.long)));
    });
    let half_kib = together.at_once(3, || {
        black_box(Sha256::digest(black_box(&work.long[..512])));
    });
    let kib = of_long.iter().map(|micros| micros / f64::from(HASHED_KIB));
    Samples {
        sign,
        verify,
        kib: kib.collect(),
        half_kib,
    }
}

/// Keeps threads at one operation until all have their samples of it.
struct Together {
    threads: usize,
    start: Barrier,
    /// How many have their samples, of each operation.
    done: [AtomicUsize; 4],
}

impl Together {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            start: Barrier::new(threads),
            done: Default::default(),
        }
    }

    /// Microseconds of an operation, each sample the mean of some in a row, while all others do it too.
    fn at_once(&self, operation: usize, mut work: impl FnMut()) -> Vec<f64> {
        self.start.wait();
        let mut samples = Vec::with_capacity(SAMPLES);
        while samples.len() < SAMPLES {
            let begun = Instant::now();
            for _ in 0..REPEATS {
                work();
            }
            samples.push(micros(begun.elapsed()) / f64::from(REPEATS));
        }
        self.done[operation].fetch_add(1, Ordering::Relaxed);
        // Others still measure: their core is to have company.
        while self.done[operation].load(Ordering::Relaxed) < self.threads {
            work();
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_all_its_samples() {
        for threads in [1, 3] {
            let samples = samples(threads).unwrap();
            for of_one in [samples.sign, samples.verify, samples.kib, samples.half_kib] {
                assert_eq!(of_one.len(), threads * SAMPLES);
                assert!(of_one.iter().all(|micros| *micros > 0.0));
            }
        }
    }
}
