//! Every integration test, in one binary.

#[path = "it/audit.rs"]
mod audit;
#[path = "it/crypto.rs"]
mod crypto;
#[path = "it/doors/mod.rs"]
mod doors;
#[path = "it/model.rs"]
mod model;
#[path = "it/mounted.rs"]
mod mounted;
#[path = "it/store.rs"]
mod store;
#[path = "it/tlog.rs"]
mod tlog;
