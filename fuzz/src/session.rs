//! A session with a peer that holds valid keys and says anything.
//!
//! The bytes are a script: each step says something a peer may say, true or bent. Whatever it was,
//! the node does not panic; it cosigns only trees that its peer signed, each extending the one before;
//! it admits only entries that the peer's key signed; its own log is what its own people said; and
//! after an honest start the link is held only for what breaks the logs.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use liaison::crypto::checkpoint::{LogVerifier, cosign, sign_checkpoint};
use liaison::crypto::dsse;
use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::exchange::channel::{self, FrameChannel};
use liaison::exchange::clock::{Clock, Entropy};
use liaison::exchange::session::{self, PROTOCOL_VERSION};
use liaison::exchange::{
    Author, Exchange, Foundations, Link, LinkTerms, LogSide, NodeKeys, PeerKeys, PeerMessageKey,
    RecorderMode,
};
use liaison::model::header::body_digest;
use liaison::model::{MessageId, Origin, body};
use liaison::proto::v1::{self, Frame, frame};
use liaison::store::{Blobs, Marks, MemoryStore};
use liaison::tlog::{Hash, Tree, leaf_hash};
use prost::Message as _;
use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{RECIPIENT, SENDER, name};

/// Steps of one script; more find nothing new.
const STEPS_MAX: usize = 64;
/// A clock that stands.
const NOW_MS: u64 = 1_795_000_000_000;

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn unix_ms(&self) -> u64 {
        NOW_MS
    }
}

fn keys(seed: u8) -> NodeKeys {
    NodeKeys {
        message: MessageKey::from_seed(&[seed; 32]),
        log: LogKey::from_seed(&[seed + 100; 32]),
    }
}

/// The bytes, taken from the front.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn or_zero(&mut self) -> u8 {
        self.byte().unwrap_or(0)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.or_zero());
        let (taken, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// The peer: its log as it told it, and what it signed.
struct Peer {
    keys: NodeKeys,
    tree: Tree,
    /// Roots signed, by size.
    signed: Vec<(u64, Hash)>,
    items: Vec<v1::Item>,
    forged: u64,
}

impl Peer {
    fn origin() -> Origin {
        Origin::new(name(RECIPIENT), name(SENDER))
    }

    fn sign(&mut self, size: u64, root: Hash, at: u64) -> String {
        self.signed.push((size, root));
        let signed = sign_checkpoint(&self.keys.log, &Self::origin(), size, root, at);
        signed.note.clone()
    }

    fn letter(&mut self, urgent: bool) -> v1::Item {
        self.forged += 1;
        let mut random = [7; 10];
        random[..8].copy_from_slice(&self.forged.to_be_bytes());
        let id = MessageId::from_parts(NOW_MS, random);
        let id = Bytes::copy_from_slice(id.as_bytes());
        let letter = v1::body::Body::OfficialLetter(v1::OfficialLetter::default());
        let (content, salt) = (body::encode(&letter), [9; 32]);
        let header = v1::Header {
            id: id.clone(),
            sender: RECIPIENT.to_owned(),
            recipient: SENDER.to_owned(),
            created_at: Some(Standing.timestamp()),
            kind: v1::Kind::OfficialLetter as i32,
            precedence: if urgent {
                v1::Precedence::Flash
            } else {
                v1::Precedence::Routine
            } as i32,
            status: v1::Status::Actual as i32,
            handling: Some(v1::Handling::default()),
            thread_id: id,
            schema: body::schema_of(&letter).to_owned(),
            body_digest: body_digest(&salt, &content).to_vec().into(),
            body_size: u32::try_from(content.len()).unwrap_or(u32::MAX),
            ..v1::Header::default()
        };
        let payload = Bytes::from(header.encode_to_vec());
        let entry = dsse::sign(&self.keys.message, payload).expect("it fits");
        v1::Item {
            entry: entry.bytes.clone(),
            salt: salt.to_vec().into(),
            body: content,
            erased: false,
        }
    }

    /// The next items of the log, with the checkpoint that covers them.
    fn push(&mut self, items: Vec<v1::Item>) -> v1::Push {
        let start_index = self.tree.size();
        for item in &items {
            self.tree.append(leaf_hash(&item.entry), &mut Vec::new());
        }
        self.items.extend(items.iter().cloned());
        let (size, root) = (self.tree.size(), self.tree.root());
        v1::Push {
            start_index,
            items,
            checkpoint: self.sign(size, root, NOW_MS / 1_000),
        }
    }

    fn hello(&self, mirrored: &str, mirrored_size: u64) -> v1::Hello {
        v1::Hello {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            node: RECIPIENT.to_owned(),
            own_size: self.tree.size(),
            mirrored_size,
            mirrored_checkpoint: mirrored.to_owned(),
            sent_at: Some(Standing.timestamp()),
            ..v1::Hello::default()
        }
    }
}

fn bend(bytes: &Bytes, at: u8, with: u8) -> Bytes {
    let mut bent = bytes.to_vec();
    if !bent.is_empty() {
        let at = usize::from(at) % bent.len();
        bent[at] ^= with;
    }
    bent.into()
}

/// What the next step says; `None` to hang up.
fn step(peer: &mut Peer, script: &mut Script<'_>, last_note: &str) -> Option<Frame> {
    let kind = match script.or_zero() % 16 {
        0..=3 => {
            let count = 1 + script.or_zero() % 4;
            let items = (0..count).map(|_| peer.letter(false)).collect();
            frame::Frame::Push(peer.push(items))
        }
        4 => {
            let mut item = peer.letter(false);
            match script.or_zero() % 4 {
                0 => item.entry = bend(&item.entry, script.or_zero(), script.or_zero()),
                1 => item.body = bend(&item.body, script.or_zero(), script.or_zero()),
                2 => item.salt = bend(&item.salt, script.or_zero(), script.or_zero()),
                _ => item.entry = Bytes::copy_from_slice(script.bytes()),
            }
            frame::Frame::Push(peer.push(vec![item]))
        }
        5 => {
            // Said again, or an earlier one.
            let again = peer.items.get(usize::from(script.or_zero())).cloned();
            let again = again.unwrap_or_else(|| peer.letter(false));
            frame::Frame::Push(peer.push(vec![again]))
        }
        6 => {
            let mut push = {
                let letter = peer.letter(false);
                peer.push(vec![letter])
            };
            push.start_index = u64::from(script.or_zero());
            frame::Frame::Push(push)
        }
        7 => {
            let index = peer.tree.size() + u64::from(script.or_zero() % 4);
            let item = Some(peer.letter(true));
            frame::Frame::Express(v1::Express { index, item })
        }
        8 => {
            // Express, then in its place.
            let item = peer.letter(true);
            let index = peer.tree.size();
            let express = v1::Express {
                index,
                item: Some(item.clone()),
            };
            peer.items.push(item);
            frame::Frame::Express(express)
        }
        9 => {
            let (size, root) = (peer.tree.size(), peer.tree.root());
            let checkpoint = peer.sign(size, root, NOW_MS / 1_000 + u64::from(script.or_zero()));
            frame::Frame::Heartbeat(v1::Heartbeat {
                checkpoint,
                sent_at: None,
            })
        }
        10 => {
            let size = u64::from(script.or_zero());
            let checkpoint = peer.sign(size, Hash([script.or_zero(); 32]), NOW_MS / 1_000);
            frame::Frame::Heartbeat(v1::Heartbeat {
                checkpoint,
                sent_at: None,
            })
        }
        11 => frame::Frame::Cosigned(v1::Cosigned {
            checkpoint: last_note.to_owned(),
        }),
        12 => {
            let text = String::from_utf8_lossy(script.bytes()).into_owned();
            frame::Frame::Cosigned(v1::Cosigned { checkpoint: text })
        }
        13 => return Frame::decode(script.bytes()).ok(),
        14 => frame::Frame::Hello(peer.hello(last_note, u64::from(script.or_zero()))),
        _ => return None,
    };
    Some(Frame { frame: Some(kind) })
}

/// Runs a script against a node that has said three letters of its own.
pub fn session(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(run(data));
}

/// Read once: reading JSON by reflection takes longer than a session.
fn draft() -> v1::Draft {
    static DRAFT: LazyLock<v1::Draft> = LazyLock::new(|| {
        let sample = liaison::model::sample::find("official-letter").expect("a sample");
        let draft = sample.draft().expect("a sample can be read");
        v1::Draft {
            recipient: RECIPIENT.to_owned(),
            ..draft
        }
    });
    DRAFT.clone()
}

async fn run(data: &[u8]) {
    let dir = temp_dir();
    Marks::create(dir.path()).expect("marks");
    let exchange = open(dir.path());
    let author = Author::new("operator/test");
    for _ in 0..3 {
        drop(exchange.submit(draft(), &author).await);
    }
    let link = Arc::clone(exchange.links().next().expect("one link"));
    let own_size = link.head().own_size;
    let mut peer = Peer {
        keys: keys(2),
        tree: Tree::new(),
        signed: Vec::new(),
        items: Vec::new(),
        forged: 0,
    };
    let mut script = Script(data);
    let mut receipts = Vec::new();
    let mut steps = 0;
    let mut last_note = String::new();
    let mut last_size = 0;
    while !script.0.is_empty() && steps < STEPS_MAX {
        let (near, far) = channel::pair();
        let stop = CancellationToken::new();
        let running = {
            let (exchange, link, stop) = (Arc::clone(&exchange), Arc::clone(&link), stop.clone());
            let dialler = name(RECIPIENT);
            tokio::spawn(async move { session::run(&exchange, &link, &dialler, far, &stop).await })
        };
        let FrameChannel {
            outgoing,
            mut incoming,
        } = near;
        let hello = peer.hello(&last_note, last_size);
        let first = Frame {
            frame: Some(frame::Frame::Hello(hello)),
        };
        let mut open = outgoing.send(first).await.is_ok();
        while open && steps < STEPS_MAX {
            steps += 1;
            // What the node says meanwhile; it has nothing to wait for but its own work.
            while let Ok(next) =
                tokio::time::timeout(Duration::from_millis(1), incoming.next()).await
            {
                match next {
                    Some(Ok(Frame {
                        frame: Some(frame::Frame::Cosigned(note)),
                    })) => {
                        receipts.push(note.checkpoint);
                    }
                    Some(Ok(Frame {
                        frame: Some(frame::Frame::Push(push)),
                    })) => {
                        if let Some((note, size)) = receipted(&push.checkpoint, &peer.keys.log) {
                            last_note.clone_from(&note);
                            last_size = size;
                        }
                    }
                    Some(Ok(_)) => {}
                    None | Some(Err(_)) => {
                        open = false;
                        break;
                    }
                }
            }
            if !open || script.0.is_empty() {
                break;
            }
            match step(&mut peer, &mut script, &last_note) {
                Some(frame) => open = outgoing.send(frame).await.is_ok(),
                None => break,
            }
        }
        drop(outgoing);
        stop.cancel();
        drop(incoming);
        drop(running.await.expect("a session does not panic"));
        if link.head().held.is_some() {
            break;
        }
    }
    judge(&exchange, &link, &peer, own_size, &receipts);
}

/// The node's checkpoint with the peer's cosignature.
fn receipted(note: &str, by: &LogKey) -> Option<(String, u64)> {
    let signed = verifier(SENDER, 1, RECIPIENT, 2).checkpoint(note).ok()?;
    let receipt = cosign(by, &name(RECIPIENT), &signed, NOW_MS / 1_000);
    Some((receipt.note.clone(), signed.checkpoint.size))
}

fn verifier(sender: &str, of: u8, mirror: &str, by: u8) -> LogVerifier {
    let origin = Origin::new(name(sender), name(mirror));
    let (sender_keys, mirror_keys) = (keys(of), keys(by));
    LogVerifier::new(
        origin.clone(),
        sender_keys.log.log_verifier(&origin),
        sender_keys.log.cosigner_verifier(&name(sender)),
        mirror_keys.log.cosigner_verifier(&name(mirror)),
    )
    .expect("the keys belong to the names")
}

fn judge(exchange: &Exchange, link: &Link, peer: &Peer, own_size: u64, receipts: &[String]) {
    assert!(exchange.trouble().is_none(), "{:?}", exchange.trouble());
    let reader = exchange.reader(link, LogSide::Mirror);
    let tree = link.tree(LogSide::Mirror);
    let peers = verifier(RECIPIENT, 2, SENDER, 1);
    let mut last_size = 0;
    for note in receipts {
        let receipt = peers.receipt(note).expect("what the node cosigns verifies");
        let checkpoint = &receipt.signed.checkpoint;
        assert!(checkpoint.size >= last_size, "cosigned backwards");
        last_size = checkpoint.size;
        assert!(
            peer.signed.contains(&(checkpoint.size, checkpoint.root)),
            "cosigned what nobody signed"
        );
        let root = reader
            .root_at(&tree, checkpoint.size)
            .expect("the mirror is whole");
        assert_eq!(root, checkpoint.root, "cosigned another tree than it holds");
    }
    let key = [peer.keys.message.verifier(&name(RECIPIENT))];
    for stored in reader
        .entries(0, tree.size(), usize::MAX)
        .expect("the mirror is readable")
    {
        if !stored.record.refused {
            assert!(
                dsse::verify(stored.entry.clone(), &key).is_ok(),
                "admitted without a signature"
            );
        }
    }
    // Beyond what its people said stands only what the node itself answers.
    let own = exchange.reader(link, LogSide::Own);
    let own_key = [keys(1).message.verifier(&name(SENDER))];
    let entries = own
        .entries(0, link.head().own_size, usize::MAX)
        .expect("the log is readable");
    for stored in entries
        .iter()
        .skip(usize::try_from(own_size).unwrap_or(usize::MAX))
    {
        let envelope = dsse::verify(stored.entry.clone(), &own_key).expect("signed by the node");
        let header = liaison::model::Header::parse(&envelope.payload).expect("its own header");
        assert!(header.kind == v1::Kind::Refusal as i32, "said by nobody");
    }
}

fn temp_dir() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() {
        tempfile::tempdir_in(in_memory)
    } else {
        tempfile::tempdir()
    }
    .expect("a place for the marks")
}

fn open(dir: &Path) -> Arc<Exchange> {
    let peer = keys(2);
    let foundations = Foundations {
        node: name(SENDER),
        keys: keys(1),
        store: Arc::new(MemoryStore::new()),
        blobs: Arc::new(Blobs::open(dir, 0).expect("blobs")),
        marks: Marks::open(dir).expect("marks"),
        clock: Arc::new(Standing),
        entropy: Entropy::seeded(1),
    };
    let terms = LinkTerms {
        peer: name(RECIPIENT),
        keys: PeerKeys {
            message_keys: vec![PeerMessageKey::unbounded(
                peer.message.verifier(&name(RECIPIENT)),
            )],
            cosigner_key: peer.log.cosigner_verifier(&name(RECIPIENT)),
            officers: Vec::new(),
            recovery: None,
        },
        own_start: keys(1).start(&name(SENDER)),
        classification_max: v1::Classification::Confidential,
    };
    Exchange::open(foundations, vec![terms], RecorderMode::Inline).expect("an empty store opens")
}
