//! What is known of one link: its two logs, as last committed, and who may sign what on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::admitting::Admitting;
use super::bundle::Carriage;
use super::cases::Cases;
use super::due::DueBook;
use super::hold::{self, Hold};
use super::keys::{self, Judge, LinkKeys};
use super::layout::{self, HeadRecord, LinkNumber, LogSide, Record, Region, Urgency};
use super::read::{LogReader, ReadError};
use super::restore::{self, Restored, Restoring};
use super::session::OwnCheckpoint;
use crate::crypto::Verified;
use crate::crypto::checkpoint::{LogVerifierError, Receipt};
use crate::crypto::history::{ChangeFault, KeyHistory, StartError, StartKeys};
use crate::crypto::vkey::VerifierKey;
use crate::model::{NodeName, Origin};
use crate::proto::v1;
use crate::store::{Blobs, DO_NOW, Direction, Mark, Marks, Store};
use crate::tlog::{Hash, Tree};

/// A key that signs a peer's entries, and at which indices of its log.
#[derive(Debug, Clone)]
pub struct PeerMessageKey {
    /// The key, type 0x01, whose name is the peer's node name.
    pub vkey: VerifierKey,
    /// First index it may sign.
    pub first_index: u64,
    /// Last index it may sign; open if `None`.
    pub last_index: Option<u64>,
}

impl PeerMessageKey {
    /// A key that is valid at every index.
    #[must_use]
    pub fn unbounded(vkey: VerifierKey) -> Self {
        Self {
            vkey,
            first_index: 0,
            last_index: None,
        }
    }
}

/// The keys a peer card gives.
#[derive(Debug, Clone)]
pub struct PeerKeys {
    /// Keys that sign the peer's entries.
    pub message_keys: Vec<PeerMessageKey>,
    /// The peer's log key as a cosigner: type 0x04, whose name is the peer's node name. The type 0x01
    /// key of its log follows from it.
    pub cosigner_key: VerifierKey,
    /// Persons who release messages, `<node>/<person>`.
    pub officers: Vec<VerifierKey>,
    /// Kept offline at the peer's, `<node>/recovery`.
    pub recovery: Option<VerifierKey>,
}

impl PeerKeys {
    /// The keys with which the peer's log begins.
    #[must_use]
    pub fn start(&self) -> StartKeys {
        let message = self.message_keys.iter();
        let message = message.map(|key| (key.vkey.clone(), key.first_index, key.last_index));
        StartKeys {
            message: message.collect(),
            log: vec![self.cosigner_key.clone()],
            officers: self.officers.clone(),
            recovery: self.recovery.clone(),
        }
    }
}

/// A link as it is to be opened.
#[derive(Debug, Clone)]
pub struct LinkTerms {
    /// The peer.
    pub peer: NodeName,
    /// Its keys.
    pub keys: PeerKeys,
    /// The keys of this node with which its log on this link began: those of the card that the peer
    /// was given.
    pub own_start: StartKeys,
    /// The highest classification that may be sent to it.
    pub classification_max: v1::Classification,
}

/// How far a link's logs have come, as others may see it. Every number speaks of what is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Entries recorded in the own log.
    pub own_size: u64,
    /// Entries of the own log that the high-water mark covers: a checkpoint may be signed up to
    /// here.
    pub signable_size: u64,
    /// Entries of the own log under a verified, stored receipt.
    pub delivered_size: u64,
    /// Entries of the peer's log mirrored here.
    pub mirror_size: u64,
    /// Grows with every entry that comes by express.
    pub expressed_count: u64,
    /// Those that wait for their turn.
    pub express_waiting: Waiting,
    /// Grows with everything else that changes how a message stands.
    pub changes_count: u64,
    /// Stages that what is owed on the link has reached.
    pub stages_count: u64,
    /// The link is stopped until someone looks.
    pub held: Option<Arc<Hold>>,
    /// The peer has stopped it, as it said.
    pub peer_hold: Option<Arc<Hold>>,
    /// The link gets its records back: nothing is appended or signed on it until they are whole.
    pub restoring: Option<Arc<Restoring>>,
    /// Files of earlier messages may be missing here.
    pub files_lost: bool,
}

/// The state of a link's session as `status` shows it.
#[derive(Debug, Clone, Default)]
pub struct Presence {
    /// A session is up: both `Hello`s were accepted.
    pub up: bool,
    /// When the peer was last heard, milliseconds since 1970.
    pub heard_at_ms: Option<u64>,
    /// The peer's clock minus ours.
    pub skew_ms: Option<i64>,
    /// Entries that the peer's log has by its last Hello, when that is less than is mirrored here.
    pub rolled_back_to: Option<u64>,
    /// Why there is no session.
    pub down_reason: Option<String>,
    /// The peer takes ordinary messages no further for now: its own words, and until when.
    pub slowed: Option<String>,
    /// This node takes the peer's ordinary messages no further for now.
    pub slows: Option<String>,
    /// What the peer was getting back from here by its last Hello.
    pub peer_restoring: v1::Restoring,
    /// What came of getting records back, the last time in this process.
    pub restored: Option<Arc<Restored>>,
    /// What was last wrong with records given back: each is told once.
    pub restore_trouble: Option<String>,
    /// Answers in a row that did not go on from what is here.
    pub restore_failures: u32,
}

/// A link of this node.
#[derive(Debug)]
pub struct Link {
    /// Its number in the store.
    pub number: LinkNumber,
    /// The peer.
    pub peer: NodeName,
    /// Origin of the own log.
    pub own: Origin,
    /// Origin of the peer's log.
    pub mirror: Origin,
    /// Both sides' keys over the whole of their logs.
    pub(crate) keys: LinkKeys,
    /// The highest classification that may be sent.
    pub classification_max: v1::Classification,
    /// Judges receipts for the own log.
    pub own_verifier: Judge,
    /// Judges checkpoints of the peer's log.
    pub mirror_verifier: Judge,
    /// What is durable; published by the recorder after each commit.
    pub(crate) head: watch::Sender<Head>,
    /// The trees behind `head`; replaced as a whole by the recorder after each commit.
    trees: RwLock<Trees>,
    /// Own entries that go ahead of a backlog and may not have been delivered yet.
    pub(crate) urgent: std::sync::Mutex<UrgentOutbox>,
    /// Whether a session is up.
    pub(crate) presence: watch::Sender<Presence>,
    /// The session that owns the link now; see `session::Seat`.
    pub(crate) slot: std::sync::Mutex<Slot>,
    /// Held by the running session from first frame to last.
    pub(crate) running: Mutex<()>,
    /// The own checkpoint signed last: its receipt needs only the mirror's line verified.
    pub(crate) last_signed: std::sync::Mutex<Option<OwnCheckpoint>>,
    /// The receipt verified last.
    pub(crate) last_receipt: std::sync::Mutex<Option<Verified<Receipt>>>,
    /// Grows when files of this link may have become complete, or new ones are wanted.
    pub(crate) files: watch::Sender<u64>,
    /// Held while files are confirmed, so that none is confirmed twice.
    pub(crate) confirming: Mutex<()>,
    /// What came back with its records was looked through for what had been erased.
    pub(crate) erased_again: AtomicBool,
    /// Which entries of the peer are being sealed and recorded.
    pub(crate) admitting: Admitting,
    /// What is carried by hand.
    pub(crate) carriage: Carriage,
    /// What follows from both logs.
    pub(crate) cases: Cases,
    /// What is owed; `None` until it was first looked at.
    pub(crate) dues: std::sync::Mutex<Option<DueBook>>,
    /// Asks the session for a heartbeat out of turn.
    pub(crate) pulse: Pulse,
}

/// Heartbeats that are wanted out of turn, counted; and how many of these a session has answered.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) wanted: watch::Sender<u64>,
    pub(crate) sent: std::sync::atomic::AtomicU64,
}

impl Pulse {
    fn starting(wanted: bool) -> Self {
        Self {
            wanted: watch::Sender::new(u64::from(wanted)),
            sent: std::sync::atomic::AtomicU64::new(0),
        }
    }
}

/// A link's one place for a session.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Grows with every session that takes the place: no two have the same.
    pub(crate) last_serial: u64,
    pub(crate) occupant: Option<Occupant>,
}

/// Who occupies a link's one session.
#[derive(Debug, Clone)]
pub(crate) struct Occupant {
    pub(crate) serial: u64,
    pub(crate) dialled_by: NodeName,
    pub(crate) stop: CancellationToken,
}

/// Both trees of a link as of one commit.
#[derive(Debug, Clone)]
pub(crate) struct Trees {
    pub(crate) own: Arc<Tree>,
    pub(crate) mirror: Arc<Tree>,
}

/// A link as the recorder owns it: the truth between commits.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) link: Arc<Link>,
    pub(crate) own: Arc<Tree>,
    pub(crate) mirror: Arc<Tree>,
    pub(crate) delivered_size: u64,
    /// Entries that came ahead of their turn, by index.
    pub(crate) expressed: BTreeMap<u64, Ahead>,
    /// The link gets its records back.
    pub(crate) restoring: Option<Arc<Restoring>>,
    /// Stages that what is owed has reached, over all time.
    pub(crate) stages_reached: u64,
}

/// An entry that came ahead of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) hash: Hash,
    /// What it occupies until its turn comes, in the store or in files.
    pub(crate) bytes: u64,
}

/// Entries of the peer that wait for their turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub entries: usize,
    /// Bytes of entries, salts and bodies.
    pub bytes: u64,
}

/// Why a link's state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store's own words.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// A record is damaged or missing.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The peer's keys do not belong to its name, or are this node's own.
    #[error(transparent)]
    Keys(#[from] LogVerifierError),
    /// A side's keys do not begin a history.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A change of keys that counted does not count any more: the start keys are not those with
    /// which the log began.
    #[error(
        "log {origin}: the change of keys at index {index} does not follow from the keys with which \
         the link began: {fault}. The card or the own start keys of this link were replaced; put \
         back those that were exchanged when it was made"
    )]
    History {
        /// The log.
        origin: String,
        /// Index of the change.
        index: u64,
        /// Why it does not count.
        fault: Box<ChangeFault>,
    },
    /// The store holds less, or something else, than this node once vouched for.
    #[error(
        "log {origin}: the store holds {found_size} entries, but the high-water mark says that \
         {marked_size} were durable here; the store was lost, shortened or replaced by an older \
         copy. Nothing is served from it; {DO_NOW}"
    )]
    BehindMark {
        /// The log.
        origin: String,
        /// Entries found.
        found_size: u64,
        /// Entries once durable.
        marked_size: u64,
    },
    /// The tree re-hashed from the entries is not the recorded one.
    #[error(
        "log {origin}: entries on disk do not hash to the recorded root at size {size}; the store \
         is damaged; {DO_NOW}"
    )]
    RootMismatch {
        /// The log.
        origin: String,
        /// At this size.
        size: u64,
    },
    /// The system gives no thread to the recorder.
    #[error("the system gives no thread")]
    Thread(#[source] std::io::Error),
    /// More links than a node takes.
    #[error("more than {} links", crate::limits::LINKS_MAX)]
    TooManyLinks,
    /// The store was written by another version.
    #[error("the store has format {found}, this program reads {known}; use the matching version")]
    Format {
        /// Found on disk.
        found: u32,
        /// Known here.
        known: u32,
    },
}

impl Link {
    /// What is durable now.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    /// Follows [`Link::head`].
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Whether a session is up, and what is known of the peer.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.presence.borrow().clone()
    }

    /// Follows [`Link::presence`].
    #[must_use]
    pub fn watch_presence(&self) -> watch::Receiver<Presence> {
        self.presence.subscribe()
    }

    /// Notes why there is no session, while there is none.
    pub fn note_down(&self, reason: &str) {
        self.presence.send_if_modified(|presence| {
            let down = !presence.up;
            if down {
                presence.down_reason = Some(reason.to_owned());
            }
            down
        });
    }

    /// The peer takes messages again.
    pub(crate) fn no_longer_slowed(&self) {
        self.presence
            .send_if_modified(|presence| presence.slowed.take().is_some());
    }

    /// The tree of one log as of the last commit.
    #[must_use]
    pub fn tree(&self, side: LogSide) -> Arc<Tree> {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        match side {
            LogSide::Own => Arc::clone(&trees.own),
            LogSide::Mirror => Arc::clone(&trees.mirror),
        }
    }

    /// Both trees as of one and the same commit.
    pub(crate) fn both_trees(&self) -> Trees {
        self.trees
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The origin of one log.
    #[must_use]
    pub fn origin(&self, side: LogSide) -> &Origin {
        match side {
            LogSide::Own => &self.own,
            LogSide::Mirror => &self.mirror,
        }
    }

    pub(crate) fn publish_trees(&self, trees: Trees) {
        *self.trees.write().unwrap_or_else(PoisonError::into_inner) = trees;
    }
}

impl Book {
    /// Reads a link's state back and judges it against the high-water mark.
    ///
    /// The right edge of both trees is hashed again from the entries on disk, so a changed or
    /// missing tail shows here and not in a signature.
    ///
    /// # Errors
    /// [`OpenError`], with the remedy.
    pub(crate) fn open(
        store: &Arc<dyn Store>,
        blobs: &Arc<Blobs>,
        marks: &Marks,
        node: &NodeName,
        number: LinkNumber,
        terms: LinkTerms,
    ) -> Result<Self, OpenError> {
        let LinkTerms {
            peer,
            keys,
            own_start,
            classification_max,
        } = terms;
        let own_origin = Origin::new(node.clone(), peer.clone());
        let mirror_origin = own_origin.reversed();
        let record = match store.get(&layout::head(number))? {
            Some(value) => HeadRecord::decode(&value).ok_or(ReadError::Damaged {
                what: "head",
                origin: own_origin.to_string(),
                index: 0,
            })?,
            None => HeadRecord::default(),
        };
        let open_log = |side, size, root| {
            let reader = LogReader::new(store, blobs, number, side);
            let origin = match side {
                LogSide::Own => own_origin.clone(),
                LogSide::Mirror => mirror_origin.clone(),
            };
            open_log(&reader, marks, &origin, size, Hash(root))
        };
        let own = open_log(LogSide::Own, record.own_size, record.own_root)?;
        let mirror = open_log(LogSide::Mirror, record.mirror_size, record.mirror_root)?;

        let (start, end) = layout::indexed_from(Region::Expressed, number, 0);
        let mut expressed = BTreeMap::new();
        let reader = LogReader::new(store, blobs, number, LogSide::Mirror);
        for (key, value) in store.scan(&start, &end, usize::MAX, Direction::Forward)? {
            let damaged = || ReadError::Damaged {
                what: "expressed entry",
                origin: mirror_origin.to_string(),
                index: layout::index_of(&key).unwrap_or_default(),
            };
            let index = layout::index_of(&key).ok_or_else(damaged)?;
            let record = Record::decode(&value).ok_or_else(damaged)?;
            let ahead = Ahead {
                hash: reader.leaf_of(&record)?,
                bytes: reader.kept_bytes(&record)?,
            };
            expressed.insert(index, ahead);
        }
        let (start, end) = layout::indexed_from(Region::Urgent, number, record.delivered_size);
        let mut urgent = UrgentOutbox::default();
        for (key, value) in store.scan(&start, &end, usize::MAX, Direction::Forward)? {
            if let (Some(index), Some(urgency)) = (layout::index_of(&key), Urgency::decode(&value))
            {
                urgent.insert(index, urgency);
            }
        }
        // A hold that cannot be read must not turn into none.
        let read_hold = |value: Option<Vec<u8>>| {
            let damaged = |_| ReadError::Damaged {
                what: "hold",
                origin: own_origin.to_string(),
                index: 0,
            };
            value
                .map(|value| {
                    serde_json::from_slice(&value)
                        .map(Arc::new)
                        .map_err(damaged)
                })
                .transpose()
        };
        let held = read_hold(hold::recorded_hold(&**store, number)?)?;
        let peer_hold = read_hold(hold::recorded_peer_hold(&**store, number)?)?;
        let restoring = restore::recorded(&**store, number)?
            .map_err(|()| ReadError::Damaged {
                what: "restoring",
                origin: own_origin.to_string(),
                index: 0,
            })?
            .map(Arc::new);
        let files_lost = restore::files_may_miss(&**store, number)?;
        let (start, end) = layout::indexed_from(Region::Stage, number, 0);
        let last_stage = store.scan(&start, &end, 1, Direction::Backward)?;
        let stages_reached = last_stage
            .first()
            .and_then(|(key, _)| layout::index_of(key))
            .map_or(0, |sequence| sequence + 1);
        let (own, mirror) = (Arc::new(own), Arc::new(mirror));
        let history = |side, origin: &Origin, start, size| {
            let reader = LogReader::new(store, blobs, number, side);
            let start = KeyHistory::start(origin.clone(), start)?;
            keys::fold(&**store, &reader, number, side, size, start)
        };
        let own_keys = history(LogSide::Own, &own_origin, &own_start, own.size())?;
        let peer_keys = history(
            LogSide::Mirror,
            &mirror_origin,
            &keys.start(),
            mirror.size(),
        )?;
        let [own_verifier, mirror_verifier] = keys::judges(&own_keys, &peer_keys)?;
        let head = Head {
            own_size: record.own_size,
            signable_size: record.own_size,
            delivered_size: record.delivered_size,
            mirror_size: record.mirror_size,
            expressed_count: expressed.len() as u64,
            express_waiting: waiting(&expressed),
            changes_count: 0,
            stages_count: stages_reached,
            held,
            peer_hold,
            restoring: restoring.clone(),
            files_lost,
        };
        let link = Link {
            number,
            peer,
            classification_max,
            own_verifier,
            mirror_verifier,
            own: own_origin,
            mirror: mirror_origin,
            keys: LinkKeys::new(own_keys, peer_keys),
            head: watch::Sender::new(head),
            trees: RwLock::new(Trees {
                own: Arc::clone(&own),
                mirror: Arc::clone(&mirror),
            }),
            urgent: std::sync::Mutex::new(urgent),
            presence: watch::Sender::default(),
            slot: std::sync::Mutex::default(),
            running: Mutex::default(),
            last_signed: std::sync::Mutex::default(),
            last_receipt: std::sync::Mutex::default(),
            files: watch::Sender::new(1),
            confirming: Mutex::default(),
            erased_again: AtomicBool::new(false),
            admitting: Admitting::default(),
            carriage: Carriage::default(),
            cases: Cases::default(),
            dues: std::sync::Mutex::default(),
            // After a restart it is not known whether the last one was sent.
            pulse: Pulse::starting(stages_reached > 0),
        };
        Ok(Self {
            link: Arc::new(link),
            own,
            mirror,
            delivered_size: record.delivered_size,
            expressed,
            restoring,
            stages_reached,
        })
    }

    /// Both logs, as the high-water mark wants them.
    pub(crate) fn marks(&self) -> [Mark; 2] {
        let mark = |origin: &Origin, tree: &Tree| Mark {
            origin: origin.to_string(),
            size: tree.size(),
            root: tree.root().0,
        };
        [
            mark(&self.link.own, &self.own),
            mark(&self.link.mirror, &self.mirror),
        ]
    }

    /// The entries that wait for their turn.
    pub(crate) fn express_waiting(&self) -> Waiting {
        waiting(&self.expressed)
    }

    pub(crate) fn head_record(&self) -> HeadRecord {
        HeadRecord {
            own_size: self.own.size(),
            own_root: self.own.root().0,
            mirror_size: self.mirror.size(),
            mirror_root: self.mirror.root().0,
            delivered_size: self.delivered_size,
        }
    }
}

/// Indices of own entries that go ahead of a backlog, each sort by itself.
#[derive(Debug, Default)]
pub(crate) struct UrgentOutbox {
    /// FLASH and IMMEDIATE.
    pub(crate) alerts: BTreeSet<u64>,
    /// Acknowledgements, whatever their precedence.
    pub(crate) acknowledgements: BTreeSet<u64>,
}

impl UrgentOutbox {
    pub(crate) fn insert(&mut self, index: u64, urgency: Urgency) {
        match urgency {
            Urgency::Alert => self.alerts.insert(index),
            Urgency::Acknowledgement => self.acknowledgements.insert(index),
        };
    }

    /// Forgets those from `size` on.
    pub(crate) fn cut(&mut self, size: u64) {
        drop(self.alerts.split_off(&size));
        drop(self.acknowledgements.split_off(&size));
    }

    /// Forgets those below `size`.
    pub(crate) fn delivered(&mut self, size: u64) {
        self.alerts = self.alerts.split_off(&size);
        self.acknowledgements = self.acknowledgements.split_off(&size);
    }
}

fn waiting(expressed: &BTreeMap<u64, Ahead>) -> Waiting {
    Waiting {
        entries: expressed.len(),
        bytes: expressed.values().map(|ahead| ahead.bytes).sum(),
    }
}

fn open_log(
    reader: &LogReader,
    marks: &Marks,
    origin: &Origin,
    size: u64,
    root: Hash,
) -> Result<Tree, OpenError> {
    let marked = marks.get(&origin.to_string());
    if let Some((marked_size, _)) = marked
        && marked_size > size
    {
        return Err(OpenError::BehindMark {
            origin: origin.to_string(),
            found_size: size,
            marked_size,
        });
    }
    if size == 0 {
        return Ok(Tree::new());
    }
    let tree = Tree::restore(size, reader).map_err(|error| reader.tree_error(error))?;
    let mismatch = |size| OpenError::RootMismatch {
        origin: origin.to_string(),
        size,
    };
    if tree.root() != root {
        return Err(mismatch(size));
    }
    if let Some((marked_size, marked_root)) = marked
        && reader.root_at(&tree, marked_size)?.0 != marked_root
    {
        return Err(mismatch(marked_size));
    }
    Ok(tree)
}
