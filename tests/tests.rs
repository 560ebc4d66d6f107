//! Every integration test, in one binary.

#[path = "it/audit.rs"]
mod audit;
#[path = "it/crypto.rs"]
mod crypto;
#[path = "it/doors.rs"]
mod doors;
#[path = "it/evidence.rs"]
mod evidence;
#[path = "it/foreign.rs"]
mod foreign;
#[path = "it/model.rs"]
mod model;
#[path = "it/store.rs"]
mod store;
#[path = "it/tampering.rs"]
mod tampering;
#[path = "it/tlog.rs"]
mod tlog;
