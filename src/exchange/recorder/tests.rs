//! A group in which each command is judged by itself.

use tokio::sync::oneshot;

use super::*;
use crate::crypto::keys::{LogKey, MessageKey};
use crate::exchange::clock::{Entropy, SystemClock};
use crate::exchange::command::Holds;
use crate::exchange::{
    Author, Exchange, Foundations, LinkTerms, NodeKeys, PeerKeys, PeerMessageKey, RecorderMode,
};
use crate::limits::BULK_FLOORS;
use crate::model::{MessageId, NodeName, check};
use crate::proto::v1;
use crate::store::{Blobs, MemoryStore, Space};

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

struct Node {
    store: MemoryStore,
    exchange: Arc<Exchange>,
    _dir: tempfile::TempDir,
}

impl Node {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Marks::create(dir.path()).unwrap();
        let name = NodeName::parse("laocai.bg.vn.example").unwrap();
        let peer = NodeName::parse(PEER).unwrap();
        let (own, theirs) = (keys(1), keys(2));
        let terms = LinkTerms {
            own_start: own.start(&name),
            keys: PeerKeys {
                message_keys: vec![PeerMessageKey::unbounded(theirs.message.verifier(&peer))],
                cosigner_key: theirs.log.cosigner_verifier(&peer),
                officers: Vec::new(),
                recovery: None,
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
            entropy: Entropy::seeded(7),
        };
        let exchange = Exchange::open(foundations, vec![terms], RecorderMode::Inline).unwrap();
        Self {
            store,
            exchange,
            _dir: dir,
        }
    }

    fn append(&self, precedence: v1::Precedence) -> (Command, Answer) {
        let link = self.exchange.link(PEER).unwrap();
        let content = v1::body::Body::OfficialLetter(v1::OfficialLetter {
            letter_number: "1".repeat(5_000),
            ..v1::OfficialLetter::default()
        });
        let draft = check::with_defaults(v1::Draft {
            recipient: PEER.to_owned(),
            precedence: precedence as i32,
            body: Some(v1::Body {
                body: Some(content.clone()),
            }),
            ..v1::Draft::default()
        });
        let id = MessageId::from_parts(1, self.exchange.entropy.bytes().unwrap());
        let mut own = self
            .exchange
            .sign_entry(link, &draft, id, id, &content)
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
