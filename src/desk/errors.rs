//! Every way in which the desk refuses a call, and the one table from there to gRPC.
//!
//! The domain's errors know no status code; nothing but this file makes a [`Status`]. Each carries
//! `google.rpc.ErrorInfo` with a reason that programs can rely on, and where a field is at fault
//! `google.rpc.BadRequest` with what is wrong and what to do; where trying again helps,
//! `google.rpc.RetryInfo`.

use std::time::Duration;

use bytes::Bytes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::caller::{Method, Role};
use super::keys::KeysError;
use crate::crypto::dsse::DsseError;
use crate::exchange::RecordError;
use crate::exchange::bundle::BundleError;
use crate::exchange::erase::EraseError;
use crate::exchange::prune::PruneError;
use crate::exchange::quota::{OverQuota, QuotaPart};
use crate::exchange::read::ReadError;
use crate::exchange::rotate::RotateError;
use crate::exchange::submit::SubmitError;
use crate::exchange::view::PageError;
use crate::exchange::watch::CursorError;
use crate::journal::JournalError;
use crate::limits::{
    PAGE_MESSAGES_MAX, REFUSAL_DETAILS_BYTES_MAX, REFUSAL_MESSAGE_BYTES_MAX,
    SUBMIT_MANY_IDLE_TIME_MAX, SUBMIT_MANY_REFUSALS_MAX,
};
use crate::model::MessageId;
use crate::model::check::FieldFault;
use crate::model::handling::Use;
use crate::model::text::{cut, escape};
use crate::proto::v1;
use crate::store::{KeyCopyError, StoreError, VaultError};

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "liaison";

/// When to ask again after the disk was full.
const DISK_FULL_RETRY: Duration = Duration::from_secs(30);
/// When to ask again after somebody else was at it.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// While records are restored: some hundred thousand entries a minute.
const RESTORING_RETRY: Duration = Duration::from_secs(60);

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    // --- The caller may not. ---
    /// The connection does not show who calls.
    #[error("this connection does not show who calls; use the Unix socket or a client certificate")]
    Unidentified,
    /// The role does not have this call.
    #[error("the role {role} may not call {}", .method.as_str())]
    Denied {
        /// The caller's.
        role: Role,
        /// The call.
        method: Method,
    },
    /// A program may not send this kind.
    #[error(
        "this program may not send {}; it may send: {allowed}. An administrator of the node sets \
         this under [[desk.integration]]",
        .kind.as_str_name()
    )]
    Kind {
        /// What it tried.
        kind: v1::Kind,
        /// What it may.
        allowed: String,
    },
    /// A backup and the journal are for those whose office they are, or for the node's own user on its own
    /// machine.
    #[error(
        "a backup holds everything that was ever said, the journal what everybody did: they are for the \
         role admin, the journal for auditors too, or for the node's own user at its socket"
    )]
    NotAtSocket,
    /// The caller has too much under way.
    #[error("too many {what} are open; close some, or try again later")]
    Crowded {
        /// Of what.
        what: &'static str,
    },

    /// The caller has too many messages under way.
    #[error(
        "{in_flight} messages of this caller are being recorded, as many as may be; wait for an \
         answer before sending the next"
    )]
    InFlight {
        /// How many may be.
        in_flight: usize,
    },
    /// A quota is used up.
    #[error(
        "the quota of {whose} is used up: {over}; try again in {}. Alerts that are FLASH or \
         IMMEDIATE, and acknowledgements, have a reserve of their own. An administrator of the \
         node sets the quota under [limits.desk]",
        words_of(.over.retry_after)
    )]
    OverQuota {
        /// Role and name.
        whose: String,
        /// Which part of it.
        over: OverQuota,
    },
    /// The disk is nearly full.
    #[error(
        "the disk is nearly full: {free} bytes are free, and of what is below {needed} nothing is \
         left for ordinary messages. Alerts that are FLASH or IMMEDIATE and acknowledgements are \
         still recorded. Free some space; the node goes on by itself"
    )]
    Reserved {
        /// Free now.
        free: u64,
        /// What must be free.
        needed: u64,
    },

    /// The handling code restricts this use.
    #[error(
        "message {id} carries {code} ({why}): it is not {} without a reason. Give one: --override \
         \"REASON\"; it is recorded",
        .wanted.done()
    )]
    Restricted {
        /// The message.
        id: String,
        /// Its code: `H1`.
        code: String,
        /// What it restricts.
        why: &'static str,
        /// The use that was refused.
        wanted: Use,
    },

    // --- The caller's mistake. ---
    /// Fields of the request.
    #[error("{}", summary(.0))]
    Fields(Vec<FieldFault>),
    /// No such message, or none that this caller may see.
    #[error("no message {id} here; `list` shows those there are")]
    NotFound {
        /// Which.
        id: MessageId,
    },
    /// No such file in that message.
    #[error("the message {id} names no file of this digest; `show` lists its files")]
    NoSuchFile {
        /// The message.
        id: MessageId,
    },
    /// A page.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A cursor.
    #[error(transparent)]
    Cursor(#[from] CursorError),

    // --- Not in this state. ---
    /// The file has not all arrived.
    #[error(
        "the file has not all arrived: {held} of {size} bytes are here; the rest follows while the \
         link is up"
    )]
    FileIncomplete {
        /// Bytes here.
        held: u64,
        /// Bytes in all.
        size: u64,
    },
    /// There is no receipt yet.
    #[error(
        "there is no receipt for {id} yet: {why}. Ask again when the message shows as delivered"
    )]
    NoReceipt {
        /// The message.
        id: MessageId,
        /// Why not.
        why: &'static str,
    },
    /// Lateness is not proven.
    #[error("there is no evidence that the answer to {id} is late: {why}")]
    NotLate {
        /// The message.
        id: MessageId,
        /// Why not, and what to do.
        why: String,
    },
    /// A link that goes on already.
    #[error("the link with {peer} is not held; nothing to release")]
    NotHeld {
        /// The peer.
        peer: String,
    },

    /// Nothing that is held there is proven by signatures alone.
    #[error(
        "there is no file of evidence for the link with {peer}: it is not, and was not, held for two \
         signed trees that contradict each other. `link show` tells what it was held for"
    )]
    NoEvidence {
        /// The peer.
        peer: String,
    },

    // --- The path's own words. ---
    /// Changing keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The files of keys.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Nothing lies sealed here, so there are no files of keys.
    #[error(
        "nothing lies sealed here ([at_rest] encrypt = false), so there are no key files to copy"
    )]
    NotSealed,
    /// Keys that nothing uses were not destroyed.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// The case is on legal hold.
    #[error(
        "{id} belongs to a case on legal hold, ordered by {by}: nothing of it is erased. If the hold has \
         ended, lift it first: liaison hold lift {id} --reason TEXT"
    )]
    OnHold {
        /// The message.
        id: MessageId,
        /// Who ordered the hold.
        by: String,
    },
    /// Nothing to lift.
    #[error("the case of {id} is not on hold; see: liaison hold list")]
    NotOnHold {
        /// The message.
        id: MessageId,
    },
    /// Submitting.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Recording.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A body that is not erased.
    #[error(transparent)]
    Erase(Box<EraseError>),
    /// It could not be journalled, so it was not done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// An export stopped.
    #[error("the export stopped: {0}")]
    Export(String),
    /// A backup stopped: what is in the store is not what it was.
    #[error("{0}")]
    Damaged(String),
    /// A file that the node does not hold whole.
    #[error("no file of this digest is here, whole")]
    NoFile,

    // --- Not now. ---
    /// The upload stalled.
    #[error("the upload stalled: no part came for 30 seconds; start again")]
    Stalled,
    /// Nobody reads the answer.
    #[error("the answer was not read for three minutes; ask again, from the last cursor or offset")]
    NotRead,
    /// Nothing came on a stream of messages.
    #[error(
        "no whole message came on this stream for {} minutes; open another when there is something to send",
        SUBMIT_MANY_IDLE_TIME_MAX.as_secs() / 60
    )]
    StreamIdle,
    /// Nothing of what came on a stream of messages could be recorded.
    #[error(
        "more than {SUBMIT_MANY_REFUSALS_MAX} messages of this stream were refused one after the other; \
         each answer says why: mend that, then open another stream"
    )]
    AllRefused,
    /// The upload broke off.
    #[error("the upload broke off before its end; nothing of it was kept")]
    BrokenOff,
    /// The node is going down.
    #[error("the node is going down; try again when it is back, with the same id or cursor")]
    Stopping,
    /// What the transport said while the caller sent.
    #[error("{0}")]
    Transport(Box<Status>),
}

impl DeskError {
    /// One field at fault.
    pub(super) fn field(
        field: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Fields(vec![FieldFault {
            field: field.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        }])
    }

    /// The `ErrorInfo` reason; what a log may show of a refusal.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        row(self).1
    }
}

/// The table: code and reason of each refusal.
fn row(error: &DeskError) -> (Code, &'static str) {
    match error {
        DeskError::Unidentified => (Code::Unauthenticated, "UNIDENTIFIED"),
        DeskError::Denied { .. } => (Code::PermissionDenied, "ROLE_DENIED"),
        DeskError::Kind { .. } => (Code::PermissionDenied, "KIND_DENIED"),
        DeskError::NotAtSocket => (Code::PermissionDenied, "NOT_AT_SOCKET"),
        // It may be asked again with a reason; what a role may not have, may not.
        DeskError::Restricted { .. } => (Code::FailedPrecondition, "HANDLING_RESTRICTED"),
        DeskError::Crowded { .. } => (Code::ResourceExhausted, "TOO_MANY_OPEN"),

        DeskError::InFlight { .. } => (Code::ResourceExhausted, "QUOTA_IN_FLIGHT"),
        DeskError::OverQuota { over, .. } => match over.part {
            QuotaPart::Messages => (Code::ResourceExhausted, "QUOTA_MESSAGES"),
            QuotaPart::Bytes => (Code::ResourceExhausted, "QUOTA_BYTES"),
            QuotaPart::Disk => (Code::ResourceExhausted, "QUOTA_DISK"),
        },
        DeskError::Reserved { .. } => (Code::ResourceExhausted, "DISK_RESERVED"),

        DeskError::NotFound { .. } => (Code::NotFound, "NO_SUCH_MESSAGE"),
        DeskError::NoSuchFile { .. } | DeskError::NoFile => (Code::NotFound, "NO_SUCH_FILE"),
        DeskError::Page(PageError::Read(error)) | DeskError::Read(error) => read_row(error),
        DeskError::Fields(_) | DeskError::Page(_) => (Code::InvalidArgument, "BAD_FIELDS"),
        DeskError::Cursor(_) => (Code::InvalidArgument, "BAD_CURSOR"),

        DeskError::FileIncomplete { .. } => (Code::FailedPrecondition, "FILE_INCOMPLETE"),
        DeskError::NoReceipt { .. } => (Code::FailedPrecondition, "NOT_DELIVERED"),
        DeskError::NotLate { .. } => (Code::FailedPrecondition, "NOT_LATE"),
        DeskError::NotHeld { .. } => (Code::FailedPrecondition, "LINK_NOT_HELD"),
        DeskError::NoEvidence { .. } => (Code::NotFound, "NO_EVIDENCE"),

        DeskError::Submit(error) => match error {
            SubmitError::Faults(_) => (Code::InvalidArgument, "BAD_FIELDS"),
            SubmitError::IdUsed { .. } => (Code::AlreadyExists, "ID_USED"),
            SubmitError::Impossible { .. } => (Code::FailedPrecondition, "IMPOSSIBLE_NOW"),
            SubmitError::Record(error) => record_row(error),
            SubmitError::Read(error) => read_row(error),
            SubmitError::Sign(DsseError::Unsigned(_)) => (Code::Unavailable, "TOKEN_AWAY"),
            SubmitError::Header(_) | SubmitError::Sign(_) => (Code::Internal, "CANNOT_SIGN"),
            SubmitError::NoKey => (Code::Unavailable, "NO_KEY"),
            SubmitError::Entropy(_) => (Code::Unavailable, "NO_RANDOMNESS"),
        },
        DeskError::Keys(error) => keys_row(error),
        DeskError::OnHold { .. } => (Code::FailedPrecondition, "ON_HOLD"),
        DeskError::NotOnHold { .. } => (Code::NotFound, "NOT_ON_HOLD"),
        DeskError::NotSealed => (Code::FailedPrecondition, "NOT_SEALED"),
        DeskError::Vault(error) => vault_row(error),
        DeskError::Prune(error) => prune_row(error),
        DeskError::Record(error) => record_row(error),
        DeskError::Store(error) => store_row(error),
        DeskError::Erase(error) => erase_row(error),
        DeskError::Journal(error) => journal_row(error),
        DeskError::Bundle(error) => bundle_row(error),
        DeskError::Export(_) => (Code::Internal, "EXPORT_STOPPED"),
        DeskError::Damaged(_) => (Code::DataLoss, "STORE_DAMAGED"),

        DeskError::Stalled => (Code::DeadlineExceeded, "UPLOAD_STALLED"),
        DeskError::NotRead => (Code::DeadlineExceeded, "NOT_READ"),
        DeskError::StreamIdle => (Code::DeadlineExceeded, "STREAM_IDLE"),
        DeskError::AllRefused => (Code::FailedPrecondition, "TOO_MANY_REFUSED"),
        DeskError::BrokenOff => (Code::Aborted, "UPLOAD_BROKEN_OFF"),
        DeskError::Stopping => (Code::Unavailable, "STOPPING"),
        DeskError::Transport(status) => (status.code(), "TRANSPORT"),
    }
}

fn vault_row(error: &VaultError) -> (Code, &'static str) {
    match error {
        VaultError::Store(error) | VaultError::Copy(KeyCopyError::Store(error)) => store_row(error),
        VaultError::Copy(KeyCopyError::Label(_)) => (Code::InvalidArgument, "LABEL"),
        VaultError::Copy(KeyCopyError::TooMany) => (Code::FailedPrecondition, "TOO_MANY_COPIES"),
        VaultError::Copy(KeyCopyError::Unknown(_)) => (Code::NotFound, "NO_SUCH_COPY"),
        VaultError::Copy(KeyCopyError::NotWhole { .. }) => (Code::DataLoss, "COPY_NOT_WHOLE"),
        VaultError::Destroyed => (Code::FailedPrecondition, "ERASED"),
        VaultError::Missing { .. }
        | VaultError::Behind { .. }
        | VaultError::OtherCopy { .. }
        | VaultError::Sealed { .. }
        | VaultError::Format { .. } => (Code::FailedPrecondition, "KEYS_MISSING"),
        VaultError::Broken { .. } => (Code::Unavailable, "KEY_FILES_FAILED"),
        VaultError::Block(_) | VaultError::Seal => (Code::Unavailable, "NO_RANDOMNESS"),
    }
}

fn prune_row(error: &PruneError) -> (Code, &'static str) {
    match error {
        PruneError::NotSealed => (Code::FailedPrecondition, "NOT_SEALED"),
        PruneError::NotWhole { .. } => (Code::FailedPrecondition, "NOT_WHOLE"),
        PruneError::Store(error) => store_row(error),
        PruneError::Vault(error) => vault_row(error),
        PruneError::Record(error) => record_row(error),
        PruneError::Stopping => (Code::Unavailable, "STOPPING"),
    }
}

fn keys_row(error: &KeysError) -> (Code, &'static str) {
    match error {
        KeysError::Rotate(RotateError::Submit(SubmitError::Record(error))) => record_row(error),
        KeysError::Rotate(RotateError::Change(_)) => (Code::FailedPrecondition, "KEY_CHANGE"),
        KeysError::Rotate(RotateError::NoRecovery { .. }) => {
            (Code::FailedPrecondition, "NO_RECOVERY_KEY")
        }
        KeysError::Rotate(_) => (Code::Unavailable, "NO_KEY"),
        KeysError::Files(_) => (Code::Internal, "KEY_FILES"),
        KeysError::Revoking => (Code::FailedPrecondition, "REVOKING"),
        KeysError::NotPrepared => (Code::FailedPrecondition, "NOT_PREPARED"),
        KeysError::NoLink { .. } => (Code::NotFound, "NO_SUCH_LINK"),
        KeysError::NoKeeper => (Code::Unimplemented, "NO_KEYS_HERE"),
    }
}

fn erase_row(error: &EraseError) -> (Code, &'static str) {
    match error {
        EraseError::Text { .. } => (Code::InvalidArgument, "INVALID"),
        EraseError::NotFound { .. } => (Code::NotFound, "NOT_FOUND"),
        EraseError::NotDelivered { .. } => (Code::FailedPrecondition, "NOT_DELIVERED"),
        EraseError::FilesUnderWay { .. } => (Code::FailedPrecondition, "FILES_UNDER_WAY"),
        EraseError::Expressed { .. } => (Code::FailedPrecondition, "AHEAD_OF_ITS_TURN"),
        EraseError::Held { .. } => (Code::FailedPrecondition, "ON_HOLD"),
        EraseError::System { .. } => (Code::FailedPrecondition, "SYSTEM_MESSAGE"),
        EraseError::Restoring => (Code::Unavailable, "RESTORING"),
        EraseError::Keys(_) => (Code::Unavailable, "NOT_ERASED_YET"),
        EraseError::Notice(_) => (Code::Unavailable, "NOT_SAID_YET"),
        EraseError::Read(_) => (Code::DataLoss, "STORE_DAMAGED"),
        EraseError::Record(error) => record_row(error),
    }
}

fn journal_row(error: &JournalError) -> (Code, &'static str) {
    let code = match error {
        JournalError::TooLong { .. } => Code::InvalidArgument,
        JournalError::Full { .. } => Code::ResourceExhausted,
        JournalError::Damaged { .. } => Code::DataLoss,
        _ => Code::Unavailable,
    };
    (code, error.reason())
}

fn record_row(error: &RecordError) -> (Code, &'static str) {
    match error {
        RecordError::Full { .. } => (Code::ResourceExhausted, "DISK_FULL"),
        RecordError::Stopped { .. } => (Code::Unavailable, "STORE_STOPPED"),
        RecordError::Busy { .. } => (Code::Aborted, "FILE_BUSY"),
        RecordError::IdUsed => (Code::AlreadyExists, "ID_USED"),
        RecordError::KeyEnded => (Code::Aborted, "KEY_CHANGING"),
        RecordError::KeyChange { .. } => (Code::FailedPrecondition, "KEY_CHANGE"),
        RecordError::Restoring => (Code::Unavailable, "RESTORING"),
        // Between nodes only; here it would be a mistake of this program.
        RecordError::NotNext { .. }
        | RecordError::RootMismatch { .. }
        | RecordError::ExpressMismatch { .. }
        | RecordError::Contradicts { .. }
        | RecordError::ExpressFull
        | RecordError::NotTaken { .. }
        | RecordError::NotOfTree { .. }
        | RecordError::WrongTree { .. } => (Code::Internal, "UNEXPECTED"),
    }
}

fn bundle_row(error: &BundleError) -> (Code, &'static str) {
    match error {
        BundleError::Format(_) => (Code::InvalidArgument, "BAD_BUNDLE"),
        BundleError::OtherRecipient { .. } => (Code::InvalidArgument, "BUNDLE_FOR_ANOTHER"),
        BundleError::UnknownSender { .. } => (Code::InvalidArgument, "BUNDLE_OF_UNKNOWN"),
        BundleError::Beyond { .. } | BundleError::TooLarge => {
            (Code::InvalidArgument, "BUNDLE_RANGE")
        }
        BundleError::Gap { .. } => (Code::FailedPrecondition, "BUNDLE_GAP"),
        BundleError::NoKey => (Code::Unavailable, "NO_KEY"),
        BundleError::Held { .. } => (Code::FailedPrecondition, "LINK_HELD"),
        BundleError::Restoring { .. } => (Code::FailedPrecondition, "LINK_RESTORING"),
        BundleError::NowHeld { .. } => (Code::FailedPrecondition, "LINK_HELD_NOW"),
        BundleError::Gone | BundleError::Ended(_) => (Code::Unavailable, "BUNDLE_ENDED"),
        BundleError::Seal(_) => (Code::Internal, "CANNOT_SEAL"),
        BundleError::Record(error) => record_row(error),
        BundleError::Read(error) => read_row(error),
        BundleError::Store(error) => store_row(error),
        BundleError::Entropy(_) => (Code::Unavailable, "NO_RANDOMNESS"),
    }
}

fn read_row(error: &ReadError) -> (Code, &'static str) {
    match error {
        ReadError::Store(error) => store_row(error),
        ReadError::NoVault => (Code::FailedPrecondition, "KEYS_MISSING"),
        ReadError::Missing { .. } | ReadError::Damaged { .. } => (Code::DataLoss, "STORE_DAMAGED"),
    }
}

fn store_row(error: &StoreError) -> (Code, &'static str) {
    match error {
        StoreError::Full { .. } => (Code::ResourceExhausted, "DISK_FULL"),
        StoreError::BlobDigest { .. } | StoreError::BlobTooLarge { .. } => {
            (Code::InvalidArgument, "BAD_FIELDS")
        }
        StoreError::BlobBusy { .. } | StoreError::BlobOffset { .. } => (Code::Aborted, "FILE_BUSY"),
        StoreError::Corrupt { .. } | StoreError::Vanished { .. } | StoreError::Shortened { .. } => {
            (Code::DataLoss, "STORE_DAMAGED")
        }
        StoreError::Erased { .. } => (Code::FailedPrecondition, "ERASED"),
        StoreError::Keys(error) => vault_row(error),
        StoreError::OutcomeUnknown { .. } => (Code::Unavailable, "STORE_STOPPED"),
        StoreError::Io { .. } | StoreError::InUse { .. } => (Code::Unavailable, "STORE_UNREADABLE"),
        StoreError::ValueTooLarge { .. }
        | StoreError::KeyRefused { .. }
        | StoreError::BatchTooLarge { .. }
        | StoreError::MarkRefused { .. }
        | StoreError::Missing { .. }
        | StoreError::Recovering { .. }
        | StoreError::Version { .. } => (Code::Internal, "UNEXPECTED"),
    }
}

/// The fields at fault, if that is what it is.
fn fields_of(error: &DeskError) -> Vec<FieldFault> {
    let one = |field: &str, reason: String, remedy: &str| {
        vec![FieldFault {
            field: field.to_owned(),
            reason,
            remedy: remedy.to_owned(),
        }]
    };
    match error {
        DeskError::Fields(faults) | DeskError::Submit(SubmitError::Faults(faults)) => {
            faults.clone()
        }
        DeskError::Submit(
            SubmitError::IdUsed { .. } | SubmitError::Record(RecordError::IdUsed),
        )
        | DeskError::Record(RecordError::IdUsed) => one(
            "id",
            "this id is already used by a message with other content".to_owned(),
            "give this message a new id",
        ),
        DeskError::Kind { kind, allowed } => one(
            "body",
            format!("this program may not send {}", kind.as_str_name()),
            &format!("it may send: {allowed}"),
        ),
        DeskError::Page(PageError::Token) => one(
            "pageToken",
            "it is not one that List gave".to_owned(),
            "leave it empty to start again",
        ),
        DeskError::Page(PageError::Size { asked }) => one(
            "pageSize",
            format!("{asked} is more than {PAGE_MESSAGES_MAX}"),
            "ask for fewer",
        ),
        DeskError::Page(PageError::Peer { peer }) => one(
            "peer",
            format!("{} is no peer of this node", clip(&escape(peer), 300)),
            "`status` shows the peers",
        ),
        DeskError::Page(PageError::Words(error)) => {
            let told = error.to_string();
            let (reason, remedy) = told.split_once("; ").unwrap_or((&told, ""));
            one("text", reason.to_owned(), remedy)
        }
        DeskError::Page(PageError::Thread) => one(
            "threadId",
            "it is no UUIDv7".to_owned(),
            "use the thread id that `show` prints",
        ),
        DeskError::Cursor(_) => one(
            "cursor",
            "it is not one that Watch gave".to_owned(),
            "leave it empty to start from now",
        ),
        DeskError::Store(StoreError::BlobDigest { .. }) => one(
            "start.sha256",
            "the content has another digest than announced".to_owned(),
            "compute the SHA-256 of the file again and send it again",
        ),
        DeskError::Store(StoreError::BlobTooLarge { bytes, bytes_max }) => one(
            "start.size",
            format!("{bytes} bytes, over the limit of {bytes_max}"),
            "send the file in several parts, each an attachment",
        ),
        _ => Vec::new(),
    }
}

fn retry_of(error: &DeskError, reason: &str) -> Option<Duration> {
    if let DeskError::OverQuota { over, .. } = error {
        return Some(over.retry_after);
    }
    match reason {
        "DISK_FULL" | "DISK_RESERVED" => Some(DISK_FULL_RETRY),
        "FILE_BUSY" | "TOO_MANY_OPEN" | "QUOTA_IN_FLIGHT" => Some(BUSY_RETRY),
        "RESTORING" => Some(RESTORING_RETRY),
        _ => None,
    }
}

/// What programs may want of a refusal as values.
fn metadata_of(error: &DeskError) -> Vec<(&'static str, String)> {
    match error {
        DeskError::Denied { role, method } => vec![
            ("role", role.to_string()),
            ("method", method.as_str().to_owned()),
        ],
        DeskError::Kind { kind, .. } => vec![("kind", kind.as_str_name().to_owned())],
        DeskError::Restricted {
            id, code, wanted, ..
        } => vec![
            ("message", id.clone()),
            ("code", code.clone()),
            ("use", wanted.to_string()),
        ],
        DeskError::OverQuota { over, .. } => vec![
            ("limit", over.limit.to_string()),
            ("of", over.of.to_string()),
            ("retry_ms", over.retry_after.as_millis().to_string()),
        ],
        DeskError::Reserved { free, needed } => vec![
            ("free_bytes", free.to_string()),
            ("needed_bytes", needed.to_string()),
        ],
        DeskError::Submit(SubmitError::Record(RecordError::Full {
            free_bytes,
            needed_bytes,
        }))
        | DeskError::Record(RecordError::Full {
            free_bytes,
            needed_bytes,
        }) => vec![
            ("free_bytes", free_bytes.to_string()),
            ("needed_bytes", needed_bytes.to_string()),
        ],
        _ => Vec::new(),
    }
}

impl From<DeskError> for Status {
    fn from(error: DeskError) -> Self {
        let (code, reason) = row(&error);
        if let DeskError::Transport(status) = error {
            return *status;
        }
        let faults = fields_of(&error);
        let message = if faults.len() > 1 {
            summary(&faults)
        } else {
            // Names and digests in it are checked; what a peer or caller wrote is not.
            escape(&error.to_string()).into_owned()
        };
        let message = clip(&message, REFUSAL_MESSAGE_BYTES_MAX);
        let mut details = ErrorDetails::new();
        let metadata = metadata_of(&error)
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        details.set_error_info(
            reason,
            DOMAIN,
            metadata.collect::<std::collections::HashMap<_, _>>(),
        );
        if let Some(after) = retry_of(&error, reason) {
            details.set_retry_info(Some(after));
        }
        match &error {
            DeskError::OverQuota { whose, over } => {
                details.add_quota_failure_violation(whose.clone(), over.to_string());
            }
            DeskError::InFlight { in_flight } => {
                let allowed = format!("{in_flight} messages at a time");
                details.add_quota_failure_violation("", allowed);
            }
            _ => {}
        }
        add_violations(&mut details, &faults, message.len());
        Status::with_error_details(code, message, details)
    }
}

/// A refusal as it is told of one of many: the parts of its status, and its reason beside them.
pub(super) fn failure_of(reason: &'static str, status: &Status) -> v1::SubmitFailure {
    v1::SubmitFailure {
        code: status.code() as i32,
        reason: reason.to_owned(),
        message: status.message().to_owned(),
        details: Bytes::copy_from_slice(status.details()),
    }
}

/// The status that a call for one message would have had, from what was told of one of many: for
/// clients that handle both alike.
#[must_use]
pub fn status_of(failure: &v1::SubmitFailure) -> Status {
    let code = Code::from_i32(failure.code);
    Status::with_details(code, &failure.message, failure.details.clone())
}

/// As many faults as fit the trailers, and how many there are more.
fn add_violations(details: &mut ErrorDetails, faults: &[FieldFault], message_bytes: usize) {
    /// Protobuf tags, lengths and type URLs of everything around, and of one violation.
    const AROUND_BYTES: usize = 512;
    const ONE_BYTES: usize = 16;
    let mut left = REFUSAL_DETAILS_BYTES_MAX.saturating_sub(AROUND_BYTES + message_bytes);
    for (number, fault) in faults.iter().enumerate() {
        let field = clip(&fault.field, 256);
        let description = clip(&format!("{}; {}", fault.reason, fault.remedy), 512);
        let cost = field.len() + description.len() + ONE_BYTES;
        if cost > left {
            let more = faults.len() - number;
            details.add_bad_request_violation(
                "",
                format!("and {more} more faults; correct these first"),
            );
            return;
        }
        left -= cost;
        details.add_bad_request_violation(field, description);
    }
}

fn summary(faults: &[FieldFault]) -> String {
    match faults {
        [] => "the request is not complete".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more faults)", rest.len()),
    }
}

/// A time as people say it, rounded up: what is over then is over.
fn words_of(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let minutes = seconds.div_ceil(60);
    match (seconds, minutes) {
        (0..=1, _) => "a second".to_owned(),
        (2..=99, _) => format!("{seconds} seconds"),
        (_, 2..=99) => format!("{minutes} minutes"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// Cut to so many bytes, at a character.
fn clip(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", cut(text, bytes_max.saturating_sub('…'.len_utf8())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(count: usize) -> Vec<FieldFault> {
        (0..count)
            .map(|number| FieldFault {
                field: format!("body.handoverRequest.persons[{number}].birthDate"),
                reason: "thiếu ngày sinh".to_owned(),
                remedy: "điền vào, hoặc nói rằng không áp dụng".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_thousand_faults_fit_the_trailers_of_any_client() {
        let status = Status::from(DeskError::Fields(faults(1_000)));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.details().len() <= REFUSAL_DETAILS_BYTES_MAX);
        assert!(status.message().len() <= REFUSAL_MESSAGE_BYTES_MAX);
        let told = status.get_details_bad_request().unwrap().field_violations;
        assert!(told.len() > 20, "{}", told.len());
        let last = &told[told.len() - 1].description;
        assert!(
            last.contains(&(1_000 - (told.len() - 1)).to_string()),
            "{last}"
        );
        let mut longest = faults(1);
        longest[0].field = "x".repeat(10_000);
        longest[0].reason = "ề".repeat(10_000);
        let status = Status::from(DeskError::Fields(longest));
        assert!(status.details().len() <= REFUSAL_DETAILS_BYTES_MAX);
    }

    #[test]
    fn every_refusal_has_a_reason_and_a_domain() {
        let full = || RecordError::Full {
            free_bytes: 1,
            needed_bytes: 2,
        };
        let stopped = RecordError::Stopped {
            reason: "fdatasync: EIO".to_owned(),
        };
        let table = [
            (
                DeskError::Unidentified,
                Code::Unauthenticated,
                "UNIDENTIFIED",
            ),
            (
                DeskError::Record(full()),
                Code::ResourceExhausted,
                "DISK_FULL",
            ),
            (
                DeskError::Submit(SubmitError::Record(full())),
                Code::ResourceExhausted,
                "DISK_FULL",
            ),
            (
                DeskError::Submit(SubmitError::Record(stopped)),
                Code::Unavailable,
                "STORE_STOPPED",
            ),
            (
                DeskError::Page(PageError::Token),
                Code::InvalidArgument,
                "BAD_FIELDS",
            ),
            (
                DeskError::Cursor(CursorError),
                Code::InvalidArgument,
                "BAD_CURSOR",
            ),
            (DeskError::Stopping, Code::Unavailable, "STOPPING"),
        ];
        for (error, code, reason) in table {
            assert_eq!(error.reason(), reason);
            let status = Status::from(error);
            assert_eq!(status.code(), code, "{reason}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(
                (info.reason.as_str(), info.domain.as_str()),
                (reason, DOMAIN)
            );
            let retry = status.get_details_retry_info().is_some();
            assert_eq!(retry, reason == "DISK_FULL");
        }
    }

    #[test]
    fn what_a_caller_wrote_comes_back_without_its_steering() {
        let peer = "a\u{202E}b\u{1b}[2J".to_owned();
        let status = Status::from(DeskError::Page(PageError::Peer { peer }));
        assert!(!status.message().contains('\u{202E}'));
        let told = status.get_details_bad_request().unwrap().field_violations;
        assert!(told[0].description.contains("\\u{202E}"));
        assert!(!told[0].description.contains('\u{1b}'));
    }
}
