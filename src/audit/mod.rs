//! Judging from outside: exports, verdicts. No store, no network.
//!
//! - [`export`]: writes the folder that needs none of our software to be read.
//! - [`verify`]: re-checks such a folder from the keys alone.
//! - [`lookup`]: what a verified export says of one message.
//! - [`reconcile`]: compares the folders of both sides.
//! - [`proof`]: verifies one receipt.
//! - [`equivocation`]: whether two notes prove that one key signed two logs.
//! - [`lateness`]: whether a side was late with an answer, by what it signed itself.
//!
//! Architecture invariant: `audit` reaches the same verdict as the node with no access to the node.
//! Whatever it reads was handed over by somebody: nothing is believed that is not recomputed from
//! entries, bodies and signatures. What an exporter can say without being contradicted is its own
//! word: the time of the export, what is recorded beyond it, and that a body was erased or withheld.

mod entry;
pub mod equivocation;
pub mod export;
mod finding;
mod folder;
pub mod format;
mod history;
mod keyring;
pub mod lateness;
mod lateness_folder;
mod log;
pub mod lookup;
mod opened;
pub mod proof;
pub mod reconcile;
mod render;
pub mod verify;

pub use finding::{Code, Counts, Finding, KeyUse, LogSummary, Severity, Verdict};
pub use render::Absence;
pub use verify::Progress;
