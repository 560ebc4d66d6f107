//! Who gets in: real TLS over real sockets on loopback, with every kind of wrong certificate, and
//! what one connection can do to a node.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod abuse;
mod certificates;
mod desk;
mod example;
mod house;
mod reload;
