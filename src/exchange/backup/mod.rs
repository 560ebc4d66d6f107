//! A copy of everything that a node keeps, and a store made from it again.
//!
//! ```text
//!  running node                         any machine                      node, not running
//!  source.rs   snapshot → verify  ───▶  take.rs   verify → new content   restore.rs  check all →
//!              each record      desk              → BACKUP.json          record again → compare
//!                                       check.rs  verify without a node
//! ```
//!
//! A backup is logical: records, checkpoints and rows, never the engine's files. [`manifest`] says
//! what belongs to it, [`folder`] reads content by its digest and [`shelf`] writes it, [`pack`] is the form of that content.
//! [`regions`] decides what becomes of each region of the store. Described to the byte in
//! docs/storage.md.

pub mod check;
pub mod folder;
pub mod manifest;
pub mod pack;
pub(crate) mod regions;
pub mod restore;
pub mod shelf;
pub mod source;
pub mod take;

/// A time for people to read, RFC 3339 in UTC.
fn time_text(unix_ms: u64) -> String {
    let milliseconds = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(milliseconds)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_string()
}
