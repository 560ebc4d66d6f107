//! Which faults a seed has, and which holds of a link they excuse.

use liaison::proto::v1::FaultCode;

use super::dice::Dice;
use super::notary::Who;

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
            // A machine that was set back gets its records back by itself: no link is held.
            Self::Rollback(_) | Self::None | Self::LyingDisk(_) => false,
        }
    }
}
