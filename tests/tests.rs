//! Every integration test, in one binary.

#[path = "it/audit.rs"]
mod audit;
#[path = "it/crypto.rs"]
mod crypto;
#[path = "it/doors.rs"]
mod doors;
#[path = "it/evidence.rs"]
mod evidence;
#[path = "it/exchange.rs"]
mod exchange;
#[path = "it/model.rs"]
mod model;
#[path = "it/mounted.rs"]
mod mounted;
#[path = "it/power_cut.rs"]
mod power_cut;
#[path = "it/store.rs"]
mod store;
#[path = "it/tlog.rs"]
mod tlog;
