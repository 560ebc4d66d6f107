//! The parts of the path, each by itself. `cargo bench --bench parts`, or with a part of a name
//! behind `--`: `cargo bench --bench parts -- store`.
//!
//! ```text
//! sign, verify        an entry of a letter; what a recipient judges of it
//! log                 append, proofs in a tree of a million leaves
//! checkpoint          sign, verify, cosign, verify the receipt
//! store               a commit of so many records, durable when it answers
//! rest                a body sealed and opened; its key taken and found
//! exchange            1,000 letters recorded; carried to the other side without a network
//! ```
//!
//! `tests/tools/parts.py` keeps the figures as a baseline and compares others with one
//! (docs/performance.md). Disks and key files are in the target directory: on the disk that
//! the build is on.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

#[path = "parts/exchange.rs"]
mod exchange;
#[path = "parts/log.rs"]
mod log;
#[path = "../tests/it/nodes.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod nodes;
#[path = "../tests/it/sides.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod sides;
#[path = "parts/signed.rs"]
mod signed;
#[path = "parts/stored.rs"]
mod stored;

use criterion::Criterion;

/// Bytes of the body of the letter that is measured.
const BODY_BYTES: usize = 512;

/// Whether this only shows that it runs, as with `cargo test --benches`.
fn is_smoke() -> bool {
    let is_given = |wanted: &str| std::env::args().any(|arg| arg == wanted);
    is_given("--test") || !is_given("--bench")
}

/// A directory of its own on the disk that the build is on.
fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    signed::measure(&mut criterion);
    log::measure(&mut criterion);
    stored::measure(&mut criterion);
    exchange::measure(&mut criterion);
    criterion.final_summary();
}
