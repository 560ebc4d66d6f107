//! Which faults a seed has, and which holds of a link they excuse.

use liaison::exchange::RecordError;
use liaison::proto::v1::FaultCode;

use super::dice::Dice;
use super::notary::Who;

/// What happens to a machine that is set back to an earlier state, and to its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterRollback {
    /// The link is held, and nothing signed, until the operator puts the current disk back.
    HeldUntilPutBack,
    /// What the peer has is fetched; what was recorded since is recorded again behind it.
    Refilled,
}

impl AfterRollback {
    /// Whether a submission is refused only because records are coming back.
    pub(crate) fn is_busy(self, error: &RecordError) -> bool {
        self == Self::Refilled && error.to_string().contains("being restored")
    }
}

/// The one switch: what this version does.
pub(crate) const AFTER_ROLLBACK: AfterRollback = AfterRollback::HeldUntilPutBack;

/// What a seed draws once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// Only what every seed has: crashes, partitions, breaks, delays, full and failing disks, clocks.
    None,
    /// A man in the middle repeats, drops, swaps and plays back frames.
    Meddling,
    /// A machine is set back to an earlier state.
    Rollback(Who),
    /// The disk of one says that it is done when it is not.
    LyingDisk(Who),
}

impl Special {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        match dice.below(16) {
            0..=2 => Self::Meddling,
            3..=5 => Self::Rollback(dice.index(2)),
            6 => Self::LyingDisk(dice.index(2)),
            _ => Self::None,
        }
    }

    /// Whether a link may be held for this reason, as docs/protocol.md has it.
    pub(crate) fn excuses(self, code: i32) -> bool {
        let Ok(code) = FaultCode::try_from(code) else {
            return false;
        };
        match self {
            // Frames twice, missing or out of order are frames outside the protocol.
            Self::Meddling => matches!(code, FaultCode::Protocol | FaultCode::IndexGap),
            // Of the machine that was set back only: see `World::set_back`.
            Self::Rollback(_) => {
                AFTER_ROLLBACK == AfterRollback::HeldUntilPutBack && code == FaultCode::RolledBack
            }
            Self::None | Self::LyingDisk(_) => false,
        }
    }
}
