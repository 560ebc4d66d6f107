//! What is said: names, ids, headers, bodies and their rules. No I/O, no clock.

mod name;

pub use name::{NameError, NodeName, Origin};
