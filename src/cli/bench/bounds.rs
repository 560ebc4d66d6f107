//! The bounds that follow from the limits of a machine, to set figures beside: what signing, verifying,
//! hashing, encrypting and making durable as this program does takes at least, by those limits.
//!
//! ```text
//! work        = sign + strict verification + 2 × SHA-256 of the payload + TLS of the payload
//! store-free  = cores ÷ work
//! this store  = cores ÷ (work + 2 × a record in the store)
//! single      = 2 × fdatasync + sign + strict verification + 1 TLS round trip
//! ```
//!
//! Signing, verifying and hashing are, for throughput, what they take while every core is busy with
//! them, for a single notification what they take alone. TLS of the payload is the processor time of
//! both ends. A record in the store is what it takes by the clock, sync included, in groups of 128 or of
//! 512, whichever is cheaper; each side stores it once. The fdatasync is that of an appended or of a
//! prewritten page, whichever is cheaper.
//!
//! A single notification finds a machine that has rested; so it is also set beside these steps measured in one
//! piece after such a rest ([`super::limits::Limits::single_rested_micros`]).

use serde::Serialize;

use super::limits::Limits;

/// How it is said to people.
pub(super) const FORMULAS: [(&str, &str); 4] = [
    (
        "store-free",
        "cores ÷ (sign + strict verify + SHA-256 and TLS of the payload, both sides)",
    ),
    (
        "this store",
        "cores ÷ (the same + 2 × a record in the store, the cheaper group)",
    ),
    (
        "single",
        "2 × fdatasync, the cheaper + sign + strict verify, alone + 1 TLS round trip",
    ),
    (
        "rested",
        "these steps one after the other, each time after the rest that the notifications have",
    ),
];

/// Bounds for notifications of one size.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bounds {
    /// What a record of this size takes in the store, in the cheaper group: the one limit that depends
    /// on the size.
    pub(super) store_micros_per_record: f64,
    /// Notifications a second, if the store cost nothing.
    pub(super) store_free_per_second: f64,
    /// Notifications a second with the store that this program has.
    pub(super) this_store_per_second: f64,
    /// Microseconds from submitting to the verified receipt, for one on an idle link.
    pub(super) single_micros: f64,
}

/// What was reached of them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ratios {
    /// Notifications a second ÷ the bound; of throughput only.
    #[serde(rename = "storeFree", skip_serializing_if = "Option::is_none")]
    pub(super) store_free: Option<f64>,
    /// The same.
    #[serde(rename = "thisStore", skip_serializing_if = "Option::is_none")]
    pub(super) this_store: Option<f64>,
    /// p50 of *receipt verified* ÷ the bound: of single notifications only, more is worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) single: Option<f64>,
    /// The same ÷ what its steps take on this machine when it has rested.
    #[serde(rename = "singleRested", skip_serializing_if = "Option::is_none")]
    pub(super) single_rested: Option<f64>,
    /// p99 of the same ÷ its p50.
    #[serde(rename = "singleP99ToP50", skip_serializing_if = "Option::is_none")]
    pub(super) single_p99_to_p50: Option<f64>,
    /// Processor time of both sides ÷ that of signing, verifying, hashing and TLS alone; of throughput
    /// only, more is worse.
    #[serde(rename = "cpuToCryptography", skip_serializing_if = "Option::is_none")]
    pub(super) cpu_to_cryptography: Option<f64>,
}

/// Microseconds of processor time that the cryptography of one notification takes on a busy machine, both
/// sides together.
pub(super) fn work_micros(limits: &Limits, payload_bytes: usize) -> f64 {
    let bytes = f64::from(u32::try_from(payload_bytes).unwrap_or(u32::MAX));
    let kib = bytes / 1_024.0;
    let hashing = 2.0 * limits.sha256_micros_per_kib * kib;
    let tls = limits.tls_cpu_micros_per_mib * kib / 1_024.0;
    limits.sign_micros + limits.strict_verify_micros + hashing + tls
}

impl Bounds {
    /// From limits of this machine, taken with records of this size.
    pub(super) fn of(limits: &Limits, cores: usize, payload_bytes: usize) -> Self {
        let cores = f64::from(u32::try_from(cores).unwrap_or(u32::MAX));
        let work = work_micros(limits, payload_bytes);
        let stored = work + 2.0 * limits.store_micros_per_record;
        let sync = limits
            .fdatasync_append_micros
            .min(limits.fdatasync_prewritten_micros);
        Self {
            store_micros_per_record: limits.store_micros_per_record,
            store_free_per_second: cores * 1e6 / work,
            this_store_per_second: cores * 1e6 / stored,
            single_micros: 2.0 * sync
                + limits.sign_micros_alone
                + limits.strict_verify_micros_alone
                + limits.tls_round_trip_micros,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_what_their_formulas_say() {
        let limits = Limits {
            fdatasync_append_micros: 100.0,
            fdatasync_prewritten_micros: 50.0,
            sign_micros: 10.0,
            strict_verify_micros: 30.0,
            sha256_micros_per_kib: 1.0,
            sha256_micros_of_512_bytes: 0.6,
            sign_micros_alone: 7.0,
            strict_verify_micros_alone: 20.0,
            sha256_micros_per_kib_alone: 0.7,
            sha256_micros_of_512_bytes_alone: 0.4,
            tls_mib_per_second: 1_000.0,
            tls_cpu_micros_per_mib: 2_048.0,
            tls_round_trip_micros: 20.0,
            single_rested_micros: 500.0,
            store_micros_per_record: 4.0,
            store_micros_per_record_of_128: 5.0,
            store_micros_per_record_of_512: 4.0,
        };
        // Half a KiB: 10 + 30 + 2 × 0.5 + 1 = 42.
        let bounds = Bounds::of(&limits, 2, 512);
        let close = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-6, "{value}");
        close(work_micros(&limits, 512), 42.0);
        close(bounds.store_free_per_second, 2e6 / 42.0);
        close(bounds.this_store_per_second, 2e6 / 50.0);
        close(bounds.store_micros_per_record, 4.0);
        // The cheaper sync, and the processor to itself: 2 × 50 + 7 + 20 + 20.
        close(bounds.single_micros, 147.0);
        let other_disk = Limits {
            fdatasync_append_micros: 40.0,
            ..limits
        };
        close(Bounds::of(&other_disk, 2, 512).single_micros, 127.0);
    }
}
