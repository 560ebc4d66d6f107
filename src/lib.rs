//! Signed notifications between two border authorities: two mirrored logs, receipts that verify
//! offline.
//!
//! # Layout
//!
//! Each module may use only those above it.
//!
//! - [`proto`]: the generated message types, pure data.
//! - [`limits`]: every bound, with its arithmetic.
//! - [`model`]: what is said: names, ids, bodies and their rules. No I/O, no clock.
//! - [`tlog`]: what was said in order: Merkle tree, tiles, proofs.
//! - [`crypto`]: who says it: keys, DSSE, signed notes, checkpoints, cosignatures.
//! - [`audit`]: judging from outside: exports, verdicts. No store, no network.
//! - [`document`]: what is printed on paper: a message in, a page out. No I/O, no clock.
//! - [`store`]: durable memory.
//! - [`journal`]: who did what on this node, in a log of its own.
//! - [`exchange`]: the path: submit → push → mirror → settle. Start reading here.
//! - [`link`]: node to peer over mutual TLS.
//! - [`desk`]: own people and programs to their node.
//! - [`node`]: configuration to running node.
//! - [`cli`]: what was typed to printed answer.

pub mod audit;
pub mod cli;
pub mod crypto;
pub mod desk;
pub mod document;
pub mod exchange;
pub mod journal;
pub mod limits;
pub mod link;
pub mod model;
pub mod node;
pub mod proto;
pub mod store;
pub mod tlog;
