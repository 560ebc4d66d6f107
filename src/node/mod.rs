//! Configuration to running node.
//!
//! - [`document`]: reading a TOML file so that a fault names file, line, key, reason and remedy.
//! - [`config`], [`passphrase`], [`links`]: what the node was told; [`template`]: the text that
//!   `init` writes.
//! - [`peer_card`]: what a side gives the other at link set-up.
//! - [`run()`]: open, bind, spawn, wait, drain.
//! - [`restore`]: a store from a backup, in place of one that is lost.
//! - [`token`]: a message key that lies in a PKCS#11 token.
//! - [`storage_source`], [`storage`]: the storage key, and what is done with the files that it opens.
//! - [`material`]: from the configuration to TLS material that reloads.

pub mod config;
pub mod document;
mod journal;
mod key_files;
pub(crate) mod keyring;
pub mod links;
pub mod material;
pub mod passphrase;
pub mod peer_card;
pub mod public_keys;
pub mod recover;
pub mod restore;
mod run;
pub mod storage;
pub mod storage_source;
pub mod template;
pub mod token;

pub use journal::begin_journal;
pub use run::{Drained, NodeError, Surroundings, create_store, run, run_in};
