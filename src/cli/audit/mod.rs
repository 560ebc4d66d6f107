//! `liaison audit`: evidence, and judging it without a node.

mod check_proof;
mod equivocation;
mod export;
mod lateness;
mod proof;
mod trust;
mod verdict;
mod verify;

use clap::Subcommand;

use super::connect::Target;
use super::exit::Done;
use super::in_turn;
use super::print::Screen;

pub(crate) use self::export::{Folder, export_to, refuse_full};
pub(crate) use self::trust::read as read_trusted;
pub(crate) use self::verdict::render as render_verdict;

/// Evidence: exporting it, and judging it offline.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    Export(export::Export),
    Lateness(lateness::Lateness),
    Verify(verify::Verify),
    Reconcile(verify::Reconcile),
    Proof(proof::Proof),
    CheckProof(check_proof::CheckProof),
}

impl Audit {
    pub(crate) fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::Export(export) => in_turn(export.run(target, screen)),
            Self::Lateness(lateness) => in_turn(lateness.run(target, screen)),
            Self::Proof(proof) => in_turn(proof.run(target, screen)),
            Self::Verify(verify) => verify.run(screen),
            Self::Reconcile(reconcile) => reconcile.run(screen),
            Self::CheckProof(check) => check.run(screen),
        }
    }
}
