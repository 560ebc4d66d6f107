//! A group in which each command is judged by itself.

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::crypto::change;
use crate::crypto::history::StartKeys;
use crate::crypto::keys::{LogKey, MessageKey, RecoveryKey};
use crate::exchange::channel;
use crate::exchange::clock::{Entropy, SystemClock};
use crate::exchange::command::Holds;
use crate::exchange::keys::NextKey;
use crate::exchange::session;
use crate::exchange::{
    Author, Exchange, Foundations, Link, LinkTerms, NodeKeys, PeerKeys, PeerMessageKey,
    RecorderMode,
};
use crate::limits::BULK_FLOORS;
use crate::model::{MessageId, NodeName, check};
use crate::proto::v1;
use crate::store::{Blobs, MemoryStore, Space};

const OWN: &str = "laocai.bg.vn.example";
const PEER: &str = "hekou.ni.cn.example";
const FLOOR_BYTES: u64 = 1 << 20;
const BALLAST_BYTES: u64 = 1 << 20;

type Answer = oneshot::Receiver<Result<Recorded, RecordError>>;

fn keys(seed: u8) -> NodeKeys {
    NodeKeys {
        message: MessageKey::from_seed(&[seed; 32]),
        log: LogKey::from_seed(&[seed + 100; 32]),
    }
}

fn recovery(seed: u8) -> RecoveryKey {
    RecoveryKey::from_seed(&[seed + 50; 32])
}

struct Node {
    store: MemoryStore,
    exchange: Arc<Exchange>,
    _dir: tempfile::TempDir,
}

impl Node {
    fn open() -> Self {
        Self::of((OWN, 1), (PEER, 2))
    }

    fn of((name, seed): (&str, u8), (peer, peer_seed): (&str, u8)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Marks::create(dir.path()).unwrap();
        let name = NodeName::parse(name).unwrap();
        let peer = NodeName::parse(peer).unwrap();
        let (own, theirs) = (keys(seed), keys(peer_seed));
        let terms = LinkTerms {
            own_start: StartKeys {
                recovery: Some(recovery(seed).verifier(&name)),
                ..own.start(&name)
            },
            keys: PeerKeys {
                message_keys: vec![PeerMessageKey::unbounded(theirs.message.verifier(&peer))],
                cosigner_key: theirs.log.cosigner_verifier(&peer),
                officers: Vec::new(),
                recovery: Some(recovery(peer_seed).verifier(&peer)),
            },
            peer,
            classification_max: v1::Classification::Confidential,
        };
        let store = MemoryStore::new();
        let foundations = Foundations {
            node: name,
            keys: own,
            store: Arc::new(store.clone()),
            blobs: Arc::new(Blobs::open(dir.path(), 0).unwrap()),
            marks: Marks::open(dir.path()).unwrap(),
            clock: Arc::new(SystemClock),
            entropy: Entropy::seeded(u64::from(seed)),
        };
        let exchange = Exchange::open(foundations, vec![terms], RecorderMode::Inline).unwrap();
        Self {
            store,
            exchange,
            _dir: dir,
        }
    }

    fn link(&self) -> Arc<Link> {
        Arc::clone(self.exchange.links().next().unwrap())
    }

    fn append(&self, precedence: v1::Precedence) -> (Command, Answer) {
        let link = self.link();
        let content = v1::body::Body::OfficialLetter(v1::OfficialLetter {
            letter_number: "1".repeat(5_000),
            ..v1::OfficialLetter::default()
        });
        let draft = check::with_defaults(v1::Draft {
            recipient: link.peer.to_string(),
            precedence: precedence as i32,
            body: Some(v1::Body {
                body: Some(content.clone()),
            }),
            ..v1::Draft::default()
        });
        let id = MessageId::from_parts(1, self.exchange.entropy.bytes().unwrap());
        let mut own = self
            .exchange
            .sign_entry(&link, &draft, id, id, &content)
            .unwrap();
        own.author = Some(Author::new("integration/radar"));
        let (reply, answer) = oneshot::channel();
        let holds = Holds::default();
        let command = Command::Append(link.number, Box::new(own), holds, reply);
        (command, answer)
    }

    fn group(&self, commands: Vec<Command>) {
        let Mode::Inline(recorder) = &self.exchange.recorder.0 else {
            panic!("inline")
        };
        recorder.lock().unwrap().group(commands);
    }
}

#[test]
fn a_command_does_not_wait_for_one_that_never_comes() {
    let dir = tempfile::tempdir().unwrap();
    Marks::create(dir.path()).unwrap();
    let recorder = Recorder::new(
        Arc::new(MemoryStore::new()),
        Marks::open(dir.path()).unwrap(),
        Arc::new(SystemClock),
        Vec::new(),
        Box::new(|_| {}),
    );
    let (handle, thread) = recorder.spawn().unwrap();
    let never = handle.coming();
    let (reply, answer) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(handle.send(Command::Barrier(reply)));
    answer.blocking_recv().unwrap().unwrap();
    drop((never, handle));
    thread.join().unwrap();
}

#[test]
fn an_alert_does_not_fail_for_the_bulk_that_it_came_with() {
    let node = Node::open();
    let mut bulk = Vec::new();
    let mut commands = Vec::new();
    for _ in 0..8 {
        let (command, answer) = node.append(v1::Precedence::Routine);
        commands.push(command);
        bulk.push(answer);
    }
    let (flash, mut told) = node.append(v1::Precedence::Flash);
    commands.insert(4, flash);
    // Room for the alert beside the floor, and not for the bulk as well.
    node.store.set_space(Space {
        free_bytes: FLOOR_BYTES + 10_000,
        floor_bytes: FLOOR_BYTES,
        ballast_bytes: BALLAST_BYTES,
    });
    node.group(commands);
    assert_eq!(told.try_recv().unwrap().unwrap().index, 0);
    for mut answer in bulk {
        let refused = answer.try_recv().unwrap().unwrap_err();
        assert!(matches!(refused, RecordError::Full { .. }), "{refused}");
    }
    // Nobody's bulk has cost the ballast.
    assert_eq!(node.store.space().ballast_bytes, BALLAST_BYTES);
}

#[test]
fn of_a_group_of_bulk_as_much_is_recorded_as_there_is_room_for() {
    let node = Node::open();
    let (commands, answers): (Vec<_>, Vec<_>) =
        (0..8).map(|_| node.append(v1::Precedence::Routine)).unzip();
    let cost = commands[0].cost_bytes() as u64;
    node.store.set_space(Space {
        free_bytes: BULK_FLOORS * FLOOR_BYTES + 3 * cost + cost / 2,
        floor_bytes: FLOOR_BYTES,
        ballast_bytes: BALLAST_BYTES,
    });
    node.group(commands);
    let recorded = answers
        .into_iter()
        .map(|mut answer| answer.try_recv().unwrap().is_ok());
    let recorded: Vec<bool> = recorded.collect();
    assert_eq!(
        recorded,
        [true, true, true, false, false, false, false, false]
    );
    assert_eq!(node.store.space().ballast_bytes, BALLAST_BYTES);
}

/// The revocation of the node's log keys by another one, as it would be appended now.
fn revocation(node: &Node, next: &NextKey) -> (Command, Answer) {
    let link = node.link();
    let prepared = node.exchange.prepare_revocation(&link, next, "stolen");
    let mut said = prepared.unwrap().unwrap();
    let signature = change::sign(&recovery(1), &link.own, &said).unwrap();
    said.recovery_signature = signature.to_vec().into();
    let content = v1::body::Body::KeyChange(said);
    let own = node.exchange.change_entry(&link, &content, None).unwrap();
    let (reply, answer) = oneshot::channel();
    let holds = Holds::default();
    let command = Command::Append(link.number, Box::new(own), holds, reply);
    (command, answer)
}

#[tokio::test]
async fn a_log_key_ends_where_its_last_cosignature_may_stand() {
    let (left, right) = (Node::of((OWN, 1), (PEER, 2)), Node::of((PEER, 2), (OWN, 1)));
    let next = NextKey::Log(Arc::new(LogKey::from_seed(&[77; 32])));
    let (early, mut refused) = revocation(&left, &next);
    // Signed, and in the queue; before its turn the peer's entries are mirrored, and cosigned.
    let (letter, _) = right.append(v1::Precedence::Routine);
    right.group(vec![letter]);
    let stop = CancellationToken::new();
    let (near, far) = channel::pair();
    let name = NodeName::parse(OWN).unwrap();
    let (here, there) = (left.link(), right.link());
    let delivered = async {
        let mut heads = there.watch_head();
        heads
            .wait_for(|head| head.delivered_size == 1)
            .await
            .unwrap();
        stop.cancel();
    };
    tokio::join!(
        session::run(&left.exchange, &here, &name, near, &stop),
        session::run(&right.exchange, &there, &name, far, &stop),
        delivered
    );
    assert_eq!(here.head().mirror_size, 1);
    left.group(vec![early]);
    let refusal = refused.try_recv().unwrap().unwrap_err();
    assert!(matches!(refusal, RecordError::KeyEnded), "{refusal}");
    // Signed again, it ends the key behind what that key has cosigned.
    let (late, mut told) = revocation(&left, &next);
    left.group(vec![late]);
    told.try_recv().unwrap().unwrap();
    let history = here.key_history(LogSide::Own);
    let ended = history.keys().iter().find(|key| key.ended.is_some());
    assert_eq!(ended.unwrap().cosigned_until, Some(1));
}
