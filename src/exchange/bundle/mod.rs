//! Offline carriage: what a session would say one way, in one file that a person carries.
//!
//! ```text
//! export   entries, checkpoints, receipts, files ─▶ sealed, signed ─▶ FILE
//! FILE     ─▶ checked to its last byte ─▶ judged, mirrored, settled as in a session ─▶ export in return
//! ```
//!
//! [`mod@format`] is the file, pure; [`export`](Exchange::export_bundle) and
//! [`import`](Exchange::import_bundle) are one half of a session each, made of the same steps: nothing
//! is admitted, cosigned or kept otherwise than online.
//!
//! What differs from a session is that a file may be old. Two things follow:
//!
//! - **A checkpoint is signed only after the peer's view of the own log was judged since this process
//!   opened its store** ([`Link`] keeps that): by a session's Hello, or by a bundle that
//!   *answers* one made by this process. Another bundle may be older than a copy of the store that was
//!   put back since, and would not show what this node signed in between. Until then a bundle carries
//!   the entries without checkpoints; they are shown at once and receipted later.
//! - **An old Hello is no rollback.** That the peer's log or mirror was larger before is an incident
//!   only if the Hello answers a bundle that was made when it was.

mod export;
pub mod format;
mod import;

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

pub use export::{Part, Since};
pub use import::Imported;

use self::format::FormatError;
use super::hold::Hold;
use super::layout;
use super::read::ReadError;
use super::session::{End, Stop};
use super::{Exchange, Link, RecordError};
use crate::crypto::seal::SealError;
use crate::limits::BUNDLES_ISSUED_MAX;
use crate::model::MessageId;
use crate::store::StoreError;

/// Why a bundle was not made or not taken.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file is not what it should be. Nothing of it was recorded.
    #[error("{0}; nothing of it was recorded")]
    Format(#[from] FormatError),
    /// It is for another node.
    #[error("the bundle is for {to}, this node is {node}; nothing of it was recorded")]
    OtherRecipient {
        /// For whom it is.
        to: String,
        /// Who this is.
        node: String,
    },
    /// Nobody of that name is a peer here.
    #[error(
        "the bundle is from {from}, with whom this node has no link; nothing of it was recorded"
    )]
    UnknownSender {
        /// Its sender.
        from: String,
    },
    /// Entries before those in the bundle are missing here.
    #[error(
        "the bundle begins with entry {start_index} of {peer}, but entries from {mirror_size} on \
         are missing here: another bundle was lost on its way. Nothing of this one was recorded. \
         The sender must export from {mirror_size} on: liaison bundle export {node} \
         --from {mirror_size} -o FILE"
    )]
    Gap {
        /// The sender.
        peer: String,
        /// This node.
        node: String,
        /// Where the bundle begins.
        start_index: u64,
        /// What is here.
        mirror_size: u64,
    },
    /// The link is held.
    #[error(
        "the link with {peer} is held: {why}. Nothing is carried either way until an operator has \
         looked: liaison link release {peer} --reason TEXT"
    )]
    Held {
        /// The peer.
        peer: String,
        /// Why.
        why: String,
    },
    /// What the bundle says contradicts the logs; the link is held now.
    #[error(
        "what the bundle says breaks the logs, and the link with {peer} is held now: {why}. The \
         evidence is recorded: liaison status"
    )]
    NowHeld {
        /// The peer.
        peer: String,
        /// Why.
        why: String,
    },
    /// Records of the link come back from the peer: nothing may be signed until they are here.
    #[error(
        "this node lacks records of the link with {peer} and fetches them back from it: {why}. That \
         needs the network; nothing is carried by hand until it is done: liaison status"
    )]
    Restoring {
        /// The peer.
        peer: String,
        /// What was noticed.
        why: String,
    },
    /// The range that was asked for.
    #[error("the own log for {peer} has {own_size} entries; --from {start_index} is beyond them")]
    Beyond {
        /// The peer.
        peer: String,
        /// Where to begin.
        start_index: u64,
        /// What there is.
        own_size: u64,
    },
    /// The bundle would be larger than any may be.
    #[error(
        "the bundle would have more than {} bytes; export less at a time: --from INDEX",
        crate::limits::BUNDLE_BYTES_MAX
    )]
    TooLarge,
    /// Whoever asked for it has gone.
    #[error("nobody takes the bundle any more")]
    Gone,
    /// It was not carried to its end for another reason.
    #[error("{0}; what was recorded stays, and the same bundle may be taken again")]
    Ended(String),
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Recording.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store or a file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Randomness.
    #[error("the system gives no random bytes")]
    Entropy(#[from] getrandom::Error),
}

/// What a link knows of carriage by hand since this process opened its store.
#[derive(Debug, Default)]
pub(crate) struct Carriage {
    /// The peer's view of the own log was judged: checkpoints may be signed.
    may_sign: AtomicBool,
    /// Bundles made, oldest first.
    issued: std::sync::Mutex<VecDeque<(MessageId, Standing)>>,
}

/// How a link stood when a bundle was made.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    mirror_size: u64,
    delivered_size: u64,
}

impl Carriage {
    /// Whether the peer's view of the own log was judged since the store was opened.
    pub(crate) fn may_sign(&self) -> bool {
        self.may_sign.load(Ordering::Acquire)
    }

    /// Notes that it was: by a session, or by an answer to a bundle of this process.
    pub(crate) fn judged(&self) {
        self.may_sign.store(true, Ordering::Release);
    }

    fn issue(&self, id: MessageId, standing: Standing) {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if issued.len() == BUNDLES_ISSUED_MAX {
            issued.pop_front();
        }
        issued.push_back((id, standing));
    }

    /// How the link stood, at least, when those bundles were made that are among the ones answered;
    /// `None` if none of them was made by this process, so that nothing shows how old the answer is.
    fn answered(&self, answers: &[MessageId]) -> Option<Standing> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let known = issued.iter().filter(|(id, _)| answers.contains(id));
        known
            .map(|(_, standing)| *standing)
            .reduce(|one, other| Standing {
                mirror_size: one.mirror_size.max(other.mirror_size),
                delivered_size: one.delivered_size.max(other.delivered_size),
            })
    }
}

impl Exchange {
    /// The latest bundles of the peer that were taken in, latest first.
    fn bundles_taken(&self, link: &Link) -> Result<Vec<MessageId>, StoreError> {
        let value = self.store.get(&layout::bundles_taken(link.number))?;
        Ok(value.map(|v| layout::decode_ids(&v)).unwrap_or_default())
    }
}

fn refuse_stopped(link: &Link) -> Result<(), BundleError> {
    let head = link.head();
    if let Some(restoring) = head.restoring {
        return Err(BundleError::Restoring {
            peer: link.peer.to_string(),
            why: restoring.why.clone(),
        });
    }
    match head.held {
        None => Ok(()),
        Some(hold) => Err(BundleError::Held {
            peer: link.peer.to_string(),
            why: worded(&hold),
        }),
    }
}

fn worded(hold: &Hold) -> String {
    format!("{}: {}", hold.code_name(), hold.text)
}

impl BundleError {
    /// What the end of a step of a session is here. A breach is handled before.
    fn of_end(end: End) -> Self {
        match end {
            End::Unable(error) => Self::Record(error),
            End::Unreadable(error) => Self::Read(error),
            other => Self::Ended(other.to_string()),
        }
    }

    fn of_stop(stop: Stop) -> Self {
        match stop {
            Stop::End(end) => Self::of_end(end),
            Stop::Breach(breach) => Self::Ended(breach.text),
        }
    }
}

/// Runs what blocks on the disk where it may block.
async fn blocking<T, E, F>(work: F) -> Result<T, BundleError>
where
    T: Send + 'static,
    E: Send + 'static,
    BundleError: From<E>,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(BundleError::Ended("the node is going down".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> MessageId {
        MessageId::from_parts(1_795_000_000_000, [number; 10])
    }

    #[test]
    fn only_an_answer_to_a_bundle_of_this_process_is_known_as_one() {
        let carriage = Carriage::default();
        let standing = |mirror_size, delivered_size| Standing {
            mirror_size,
            delivered_size,
        };
        assert!(carriage.answered(&[id(1)]).is_none());
        carriage.issue(id(1), standing(1, 5));
        carriage.issue(id(2), standing(2, 4));
        assert!(carriage.answered(&[]).is_none());
        assert!(carriage.answered(&[id(3)]).is_none());
        let both = carriage.answered(&[id(3), id(2), id(1)]).unwrap();
        assert_eq!((both.mirror_size, both.delivered_size), (2, 5));
        assert!(!carriage.may_sign(), "only judging lets it");
        carriage.judged();
        assert!(carriage.may_sign());
    }

    #[test]
    fn of_very_many_bundles_the_oldest_is_forgotten() {
        let carriage = Carriage::default();
        carriage.issue(id(1), Standing::default());
        for _ in 1..BUNDLES_ISSUED_MAX {
            carriage.issue(id(2), Standing::default());
        }
        assert!(carriage.answered(&[id(1)]).is_some());
        carriage.issue(id(2), Standing::default());
        assert!(carriage.answered(&[id(1)]).is_none());
    }
}
