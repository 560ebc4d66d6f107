//! Workflows: the full tables, the ways round the safeguards that are closed, and two sides that
//! cross each other's messages.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod boards;
mod crossing;
mod diagrams;
mod handover;
mod language;
mod limits;
mod mixed;
mod notices;
mod packed;
mod proposals;
mod safeguards;
mod shelf;
mod table;
mod verification;
