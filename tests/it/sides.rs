//! Two sides of a link within one process, the wire between them, and a notary who reads along.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use liaison::crypto::checkpoint::LogVerifier;
use liaison::crypto::keys::{LogKey, MessageKey, OfficerKey, RecoveryKey};
use liaison::crypto::storage_key::StorageKey;
use liaison::exchange::channel::{self, FrameChannel};
use liaison::exchange::clock::{Clock, Entropy};
use liaison::exchange::session::{self, End};
use liaison::exchange::submit::SubmitError;
use liaison::exchange::{
    Author, Exchange, Foundations, Link, LinkTerms, LogSide, NodeKeys, OpenError, PeerKeys,
    PeerMessageKey, Recorded, RecorderMode,
};
use liaison::model::{NodeName, Origin};
use liaison::proto::v1::{self, Frame, frame};
use liaison::store::{Batch, Blobs, Marks, MemoryStore, Store as _, Vault};
use liaison::tlog::Hash;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::nodes::letter_body;

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that stands until it is set.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn unix_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One side: its name, its keys, and the disk that outlives its process.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: NodeName,
    pub(crate) seed: u8,
    pub(crate) store: MemoryStore,
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<TestClock>,
    /// Seeds what the process draws; another for each process, or ids would come twice.
    pub(crate) entropy_seed: AtomicU64,
    /// Beside the disk: what lies there sealed is opened with it.
    body_keys: Arc<BodyKeys>,
    /// Made once: every key of it is a multiplication on the curve.
    card: OnceLock<PeerKeys>,
}

/// The key files of a side, which lie beside its disk.
#[derive(Debug, Default)]
struct BodyKeys {
    dir: OnceLock<TempDir>,
    open: OnceLock<Arc<Vault>>,
}

impl BodyKeys {
    fn dir(&self) -> &Path {
        self.dir.get_or_init(temp_dir).path()
    }
}

impl Side {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        let dir = temp_dir();
        Marks::create(dir.path()).unwrap();
        Self {
            name: NodeName::parse(name).unwrap(),
            seed,
            store: MemoryStore::new(),
            dir,
            clock: Arc::new(TestClock(AtomicU64::new(1_795_000_000_000))),
            entropy_seed: AtomicU64::new(u64::from(seed) << 48),
            body_keys: Arc::default(),
            card: OnceLock::new(),
        }
    }

    /// The keys of what lies on the disk: opened once, for two at a time would not know of each other.
    pub(crate) fn vault(&self) -> Arc<Vault> {
        let open = || {
            let now = Arc::clone(&self.clock);
            let dir = self.body_keys.dir();
            let key = StorageKey::from_bytes(&[self.seed; 32]);
            let vault = Vault::open(dir, key, self.name.as_str(), move || now.unix_ms());
            Arc::new(vault.unwrap())
        };
        Arc::clone(self.body_keys.open.get_or_init(open))
    }

    /// Where the key files lie.
    pub(crate) fn body_keys_dir(&self) -> std::path::PathBuf {
        self.body_keys.dir().to_owned()
    }

    /// The keys as they lie on the disk, and not as they are in memory.
    pub(crate) fn vault_on_disk(&self) -> Vault {
        let copy = temp_dir();
        copy_files(self.body_keys.dir(), copy.path());
        let key = StorageKey::from_bytes(&[self.seed; 32]);
        Vault::open(copy.path(), key, self.name.as_str(), || 0).unwrap()
    }

    /// The files on a disk of this side, sealed as a node has them.
    pub(crate) fn blobs(&self, disk: &Path) -> Arc<Blobs> {
        Arc::new(Blobs::open(disk, 0).unwrap().sealed(self.vault()))
    }

    /// The same node on another disk, with the same keys.
    pub(crate) fn on_another_disk(&self) -> Self {
        Self {
            body_keys: Arc::clone(&self.body_keys),
            ..Self::new(self.name.as_str(), self.seed)
        }
    }

    /// The same side after its process ended: its key files are opened anew.
    pub(crate) fn restarted(self) -> Self {
        let keys = Arc::try_unwrap(self.body_keys).unwrap();
        Self {
            body_keys: Arc::new(BodyKeys {
                dir: keys.dir,
                open: OnceLock::new(),
            }),
            ..self
        }
    }

    pub(crate) fn keys(&self) -> NodeKeys {
        NodeKeys {
            message: MessageKey::from_seed(&[self.seed; 32]),
            log: LogKey::from_seed(&[self.seed + 100; 32]),
        }
    }

    /// Kept offline.
    pub(crate) fn recovery(&self) -> RecoveryKey {
        RecoveryKey::from_seed(&[self.seed + 50; 32])
    }

    /// Of the person named `linh`.
    pub(crate) fn officer(&self) -> OfficerKey {
        OfficerKey::from_seed(&[self.seed + 60; 32])
    }

    pub(crate) fn card_for(&self, _peer: &Side) -> PeerKeys {
        let made = || {
            let keys = self.keys();
            PeerKeys {
                message_keys: vec![PeerMessageKey::unbounded(keys.message.verifier(&self.name))],
                cosigner_key: keys.log.cosigner_verifier(&self.name),
                officers: vec![self.officer().verifier(&self.name, "linh").unwrap()],
                recovery: Some(self.recovery().verifier(&self.name)),
            }
        };
        self.card.get_or_init(made).clone()
    }

    pub(crate) fn origin_to(&self, peer: &Side) -> Origin {
        Origin::new(self.name.clone(), peer.name.clone())
    }

    /// Opens the node; ends with it, as a process does, when the exchange is dropped.
    pub(crate) fn try_open(
        &self,
        peer: &Side,
        card: PeerKeys,
        mode: RecorderMode,
    ) -> Result<Arc<Exchange>, OpenError> {
        let seed = self.entropy_seed.fetch_add(1, Ordering::Relaxed);
        let foundations = Foundations {
            node: self.name.clone(),
            keys: self.keys(),
            store: Arc::new(self.store.clone()),
            blobs: self.blobs(self.dir.path()),
            marks: Marks::open(self.dir.path()).unwrap(),
            clock: self.clock.clone(),
            entropy: Entropy::seeded(seed),
        };
        let terms = LinkTerms {
            peer: peer.name.clone(),
            keys: card,
            own_start: self.card_for(peer).start(),
            classification_max: v1::Classification::Confidential,
        };
        Exchange::open(foundations, vec![terms], mode)
    }

    pub(crate) fn open(&self, peer: &Side) -> Arc<Exchange> {
        self.try_open(peer, peer.card_for(self), RecorderMode::Inline)
            .unwrap()
    }

    /// Judges the logs of this side, sent to `peer`.
    pub(crate) fn verifier(&self, peer: &Side) -> LogVerifier {
        let (mine, theirs) = (self.keys(), peer.keys());
        let origin = self.origin_to(peer);
        LogVerifier::new(
            origin.clone(),
            mine.log.log_verifier(&origin),
            mine.log.cosigner_verifier(&self.name),
            theirs.log.cosigner_verifier(&peer.name),
        )
        .unwrap()
    }

    /// The disk as it is now: store and marks.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let dir = temp_dir();
        copy_files(self.dir.path(), dir.path());
        Snapshot {
            store: copy_of(&self.store),
            dir,
        }
    }

    /// Puts an old disk back: a VM snapshot, or a backup.
    pub(crate) fn restore(&mut self, snapshot: Snapshot) {
        self.store = snapshot.store;
        self.dir = snapshot.dir;
    }
}

/// A copy of a side's disk.
pub(crate) struct Snapshot {
    store: MemoryStore,
    dir: TempDir,
}

/// In memory where there is such a place: marks are synced with every commit.
pub(crate) fn temp_dir() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() {
        tempfile::tempdir_in(in_memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn copy_of(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::new();
    let mut batch = Batch::new();
    for (key, value) in store.records() {
        batch.put(key, value);
    }
    copy.commit(batch).unwrap();
    copy
}

pub(crate) fn sides() -> (Side, Side) {
    (
        Side::new("laocai.bg.vn.example", 1),
        Side::new("hekou.ni.cn.example", 2),
    )
}

fn text(vi: &str) -> v1::LocalizedText {
    v1::LocalizedText {
        texts: [("vi".to_owned(), vi.to_owned())].into(),
    }
}

pub(crate) fn letter(recipient: &Side, number: usize) -> v1::Draft {
    v1::Draft {
        recipient: recipient.name.to_string(),
        body: Some(v1::Body {
            body: Some(v1::body::Body::OfficialLetter(letter_body(number))),
        }),
        ..v1::Draft::default()
    }
}

/// A letter that jumps the backlog.
pub(crate) fn flash(recipient: &Side, number: usize) -> v1::Draft {
    let mut body = letter_body(number);
    let common = body.common.as_mut().unwrap();
    common.precedence_reason = Some(text("Khẩn cấp mẫu"));
    v1::Draft {
        precedence: v1::Precedence::Flash as i32,
        body: Some(v1::Body {
            body: Some(v1::body::Body::OfficialLetter(body)),
        }),
        ..letter(recipient, number)
    }
}

/// A person takes note of a message of the peer's.
pub(crate) fn acknowledgement(recipient: &Side, of: &str) -> v1::Draft {
    let officer = v1::Officer {
        name: "Nguyễn Văn Mẫu".to_owned(),
        rank: "Đại úy".to_owned(),
        office: "Phòng mẫu".to_owned(),
        phone: String::new(),
    };
    let at = prost_types::Timestamp {
        seconds: 1_795_000_000,
        nanos: 0,
    };
    let body = liaison::model::body::acknowledgement(officer, None, at);
    v1::Draft {
        recipient: recipient.name.to_string(),
        in_reply_to: of.to_owned(),
        body: Some(v1::Body { body: Some(body) }),
        ..v1::Draft::default()
    }
}

pub(crate) async fn submit(exchange: &Exchange, draft: v1::Draft) -> Result<Recorded, SubmitError> {
    exchange.submit(draft, &Author::new("operator/mẫu")).await
}

/// The one link of a node in these tests.
pub(crate) fn link_of(exchange: &Exchange) -> Arc<Link> {
    Arc::clone(exchange.links().next().unwrap())
}

/// A session of two nodes.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) a: JoinHandle<End>,
    pub(crate) b: JoinHandle<End>,
}

impl Running {
    /// Ends both in order.
    pub(crate) async fn end(self) -> (End, End) {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until both have ended by themselves.
    pub(crate) async fn ended(self) -> (End, End) {
        let both = async { (self.a.await.unwrap(), self.b.await.unwrap()) };
        patiently(both).await
    }
}

pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

/// Runs one end of a session.
pub(crate) fn run_end(
    exchange: &Arc<Exchange>,
    dialler: &NodeName,
    channel: FrameChannel,
    stop: &CancellationToken,
) -> JoinHandle<End> {
    let (exchange, dialler, stop) = (Arc::clone(exchange), dialler.clone(), stop.clone());
    tokio::spawn(async move {
        let link = link_of(&exchange);
        session::run(&exchange, &link, &dialler, channel, &stop).await
    })
}

/// Joins two nodes over two ends of a wire; the first one dials.
pub(crate) fn join_over(
    a: &Arc<Exchange>,
    b: &Arc<Exchange>,
    (left, right): (FrameChannel, FrameChannel),
) -> Running {
    let stop = CancellationToken::new();
    Running {
        a: run_end(a, a.node(), left, &stop),
        b: run_end(b, a.node(), right, &stop),
        stop,
    }
}

pub(crate) fn join(a: &Arc<Exchange>, b: &Arc<Exchange>) -> Running {
    join_over(a, b, channel::pair())
}

/// What a wire does with a frame.
pub(crate) enum Step {
    Pass(Frame),
    /// Passes it once the gate is open; what comes after it waits behind it.
    Behind(watch::Receiver<bool>, Frame),
    /// Breaks the wire in both directions.
    Cut,
}

/// Two ends of a wire on which every frame is looked at.
pub(crate) fn wire(
    a_to_b: impl FnMut(Frame) -> Step + Send + 'static,
    b_to_a: impl FnMut(Frame) -> Step + Send + 'static,
) -> (FrameChannel, FrameChannel) {
    let (left, left_far) = channel::pair();
    let (right, right_far) = channel::pair();
    let cut = CancellationToken::new();
    let FrameChannel {
        outgoing: to_left,
        incoming: from_left,
    } = left_far;
    let FrameChannel {
        outgoing: to_right,
        incoming: from_right,
    } = right_far;
    tokio::spawn(relay(from_left, to_right, a_to_b, cut.clone()));
    tokio::spawn(relay(from_right, to_left, b_to_a, cut));
    (left, right)
}

async fn relay(
    mut from: channel::Incoming,
    to: mpsc::Sender<Frame>,
    mut step: impl FnMut(Frame) -> Step,
    cut: CancellationToken,
) {
    let carry = async {
        while let Some(Ok(frame)) = from.next().await {
            let frame = match step(frame) {
                Step::Pass(frame) => frame,
                Step::Behind(mut gate, frame) => {
                    drop(gate.wait_for(|open| *open).await);
                    frame
                }
                Step::Cut => {
                    cut.cancel();
                    return;
                }
            };
            if to.send(frame).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = carry => {}
    }
}

/// Waits until a session stands on both sides.
pub(crate) async fn up(a: &Exchange, b: &Exchange) {
    for exchange in [a, b] {
        let mut presence = link_of(exchange).watch_presence();
        patiently(presence.wait_for(|presence| presence.up))
            .await
            .unwrap();
    }
}

/// Waits until everything recorded on both sides is mirrored and receipted.
pub(crate) async fn quiet(a: &Exchange, b: &Exchange) {
    let (a, b) = (link_of(a), link_of(b));
    let (mut a_heads, mut b_heads) = (a.watch_head(), b.watch_head());
    let quiet = async {
        loop {
            let (x, y) = (
                a_heads.borrow_and_update().clone(),
                b_heads.borrow_and_update().clone(),
            );
            if x.own_size == x.delivered_size
                && y.own_size == y.delivered_size
                && x.own_size == y.mirror_size
                && y.own_size == x.mirror_size
            {
                return;
            }
            tokio::select! {
                biased;
                _ = a_heads.changed() => {}
                _ = b_heads.changed() => {}
            }
        }
    };
    let seen = tokio::time::timeout(PATIENCE, quiet).await;
    assert!(
        seen.is_ok(),
        "never quiet: {:?} {:?} {:?} {:?}",
        a.head(),
        a.presence(),
        b.head(),
        b.presence()
    );
}

/// Each log is what the other side mirrors, to the byte.
pub(crate) fn assert_same_logs(a: &Exchange, b: &Exchange) {
    for (mine, theirs) in [(a, b), (b, a)] {
        let (own, mirror) = (link_of(mine), link_of(theirs));
        let (own_tree, mirror_tree) = (own.tree(LogSide::Own), mirror.tree(LogSide::Mirror));
        assert_eq!(own_tree.size(), mirror_tree.size());
        assert_eq!(own_tree.root(), mirror_tree.root());
        let size = own_tree.size();
        let read = |exchange: &Exchange, link: &Link, side| {
            let reader = exchange.reader(link, side);
            let stored = reader.entries(0, size, usize::MAX).unwrap();
            assert_eq!(stored.len() as u64, size, "a gap");
            stored.into_iter().map(|s| s.entry).collect::<Vec<_>>()
        };
        assert_eq!(
            read(mine, &own, LogSide::Own),
            read(theirs, &mirror, LogSide::Mirror)
        );
    }
}

/// Reads along on the wire: every checkpoint verifies, and of each log there is one tree of each
/// size, for ever.
#[derive(Debug, Clone)]
pub(crate) struct Notary(Arc<Mutex<Seen>>);

#[derive(Debug)]
struct Seen {
    verifiers: Vec<LogVerifier>,
    roots: BTreeMap<(String, u64), Hash>,
}

impl Notary {
    pub(crate) fn of(a: &Side, b: &Side) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            verifiers: vec![a.verifier(b), b.verifier(a)],
            roots: BTreeMap::new(),
        })))
    }

    pub(crate) fn see(&self, frame: &Frame) {
        let notes = match frame.frame.as_ref().unwrap() {
            frame::Frame::Hello(hello) => vec![&hello.own_checkpoint, &hello.mirrored_checkpoint],
            frame::Frame::Push(push) => vec![&push.checkpoint],
            frame::Frame::Cosigned(cosigned) => vec![&cosigned.checkpoint],
            frame::Frame::Heartbeat(beat) => vec![&beat.checkpoint],
            frame::Frame::Fetched(given) => given.receipts.iter().collect(),
            frame::Frame::Express(_)
            | frame::Frame::Fault(_)
            | frame::Frame::Fetch(_)
            | frame::Frame::JournalOffer(_)
            | frame::Frame::JournalAnswer(_)
            | frame::Frame::Slowed(_) => vec![],
        };
        let mut seen = self.0.lock().unwrap();
        for note in notes.into_iter().filter(|note| !note.is_empty()) {
            let signed = seen
                .verifiers
                .iter()
                .find_map(|verifier| verifier.checkpoint(note).ok())
                .expect("a checkpoint on the wire does not verify");
            let checkpoint = &signed.checkpoint;
            let key = (checkpoint.origin.clone(), checkpoint.size);
            let before = seen.roots.insert(key, checkpoint.root);
            assert!(
                before.is_none_or(|root| root == checkpoint.root),
                "two trees of size {} were signed for {}",
                checkpoint.size,
                checkpoint.origin
            );
        }
    }

    /// Every checkpoint ever seen is one of the logs as they are now.
    pub(crate) fn assert_consistent_with(&self, a: &Exchange, b: &Exchange) {
        let seen = self.0.lock().unwrap();
        for exchange in [a, b] {
            let link = link_of(exchange);
            let tree = link.tree(LogSide::Own);
            let reader = exchange.reader(&link, LogSide::Own);
            for ((origin, size), root) in &seen.roots {
                if *origin == link.own.to_string() {
                    assert_eq!(reader.root_at(&tree, *size).unwrap(), *root);
                }
            }
        }
    }
}
