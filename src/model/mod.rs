//! What is said: names, ids, headers, bodies and their rules. No I/O, no clock.
//!
//! - [`name`], [`id`]: who and which.
//! - [`header`]: what is signed and logged for ever.
//! - [`body`]: the content, one message per kind.
//! - [`check`]: what a draft must fulfil before it is recorded; every fault at once.
//! - [`calendar`]: which days a side works, by year and version.
//! - [`deadline`]: when an answer is due.
//! - [`gate`]: gate pairs by name.
//! - [`handling`]: what a handling code allows, and what a link's ceiling does.
//! - [`mrz`]: machine-readable zones of travel documents.
//! - [`language`]: language tags.
//! - [`json`]: canonical proto3 JSON, in and out.
//! - [`jsonc`]: comments in JSON; [`typed`]: a draft as a person typed it, with every fault's place.
//! - [`template`]: forms to fill in, and a page about each kind, from the proto's own comments.
//! - [`text`]: text from elsewhere, made safe to show.
//! - [`workflow`]: what follows from what both sides have said.
//! - [`report`]: the figures of a period.
//! - [`sample`]: drafts to learn from and to test with.
//!
//! Own drafts are judged by [`check`] and refused if they break a rule. What a peer says is only
//! judged for form ([`header::Header::parse`], [`body::decode`]): it is on record as it is.

pub mod body;
pub mod calendar;
pub mod check;
pub mod deadline;
pub mod gate;
pub mod handling;
pub mod header;
pub mod id;
pub mod json;
pub mod jsonc;
pub mod language;
pub mod mrz;
pub mod name;
pub(crate) mod parts;
pub mod report;
pub mod retention;
pub mod sample;
pub mod search;
pub(crate) mod shape;
pub mod template;
pub mod text;
pub mod time;
pub mod typed;
mod wire;
pub mod workflow;

pub use header::Header;
pub use id::MessageId;
pub use name::{NodeName, Origin};
