//! Node to peer: gRPC over mutual TLS 1.3.
//!
//! # Layout
//!
//! - [`identity`]: who is at the other end, once the handshake has shown it.
//! - [`leaf`]: what a certificate says, read strictly.
//! - [`door`]: who may come in: each link's own roots speak for that link's name only.
//! - [`files`], [`tls`]: from files to rustls configurations.
//! - [`reload`]: new files without a restart; [`expiry`]: warning before they run out.
//! - [`flood`], [`connection`]: one connection, bounded, that can be told to end.
//! - [`accept`], [`local`], [`serve`], [`calls`] (counted in `hall`), [`bodies`]: taking connections
//!   and requests; [`dial`], [`backoff`]: making them.
//! - [`codec`]: a bound on what a message becomes in memory.
//! - [`service`], [`stream`], [`transfer`]: sessions and attachments over such a connection;
//!   [`keeper`] keeps a link up.
//! - [`wire`]: how many bytes pass to and from peers.
//! - [`pki`]: keys, requests and throw-away authorities.
//!
//! TLS authenticates the link, Ed25519 the statement: nothing here signs or verifies an entry.

pub mod accept;
pub mod backoff;
pub mod bodies;
pub mod calls;
pub mod codec;
pub mod connection;
pub mod dial;
pub mod door;
pub mod expiry;
pub mod files;
pub mod flood;
mod hall;
pub mod identity;
pub mod keeper;
pub mod leaf;
pub mod local;
pub mod pki;
pub mod reload;
pub mod serve;
pub mod service;
pub mod stream;
pub mod tls;
pub mod transfer;
pub mod wire;
