//! Two nodes' exchanges within one process, over a pair of queues: the path without a network.

use std::sync::Arc;

use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::exchange::channel::{self, FrameChannel};
use liaison::exchange::clock::{Clock, Entropy};
use liaison::exchange::session::{self, End};
use liaison::exchange::view::Detail;
use liaison::exchange::{
    Author, Exchange, Foundations, LinkTerms, LogSide, NodeKeys, OpenError, PeerKeys,
    PeerMessageKey, RecorderMode,
};
use liaison::model::{NodeName, Origin};
use liaison::proto::v1::{self, Level};
use liaison::store::{Blobs, Marks, MemoryStore};
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn unix_ms(&self) -> u64 {
        1_795_000_000_000
    }
}

struct Side {
    name: NodeName,
    seed: u8,
    store: Arc<MemoryStore>,
    dir: tempfile::TempDir,
}

impl Side {
    fn new(name: &str, seed: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Marks::create(dir.path()).unwrap();
        Self {
            name: NodeName::parse(name).unwrap(),
            seed,
            store: Arc::new(MemoryStore::new()),
            dir,
        }
    }

    fn keys(&self) -> NodeKeys {
        NodeKeys {
            message: MessageKey::from_seed(&[self.seed; 32]),
            log: LogKey::from_seed(&[self.seed + 100; 32]),
        }
    }

    fn card_for(&self, peer: &Side) -> PeerKeys {
        let keys = self.keys();
        PeerKeys {
            message_keys: vec![PeerMessageKey::unbounded(keys.message.verifier(&self.name))],
            log_key: keys
                .log
                .log_verifier(&Origin::new(self.name.clone(), peer.name.clone())),
            cosigner_key: keys.log.cosigner_verifier(&self.name),
        }
    }

    fn open(&self, peer: &Side, mode: RecorderMode) -> Result<Arc<Exchange>, OpenError> {
        let foundations = Foundations {
            node: self.name.clone(),
            keys: self.keys(),
            store: self.store.clone(),
            blobs: Arc::new(Blobs::open(self.dir.path(), 0).unwrap()),
            marks: Marks::open(self.dir.path()).unwrap(),
            clock: Arc::new(FixedClock),
            entropy: Entropy::seeded(u64::from(self.seed)),
        };
        Exchange::open(
            foundations,
            vec![LinkTerms {
                peer: peer.name.clone(),
                keys: peer.card_for(self),
                classification_max: v1::Classification::Confidential,
            }],
            mode,
        )
    }
}

fn sides() -> (Side, Side) {
    (
        Side::new("laocai.bg.vn.example", 1),
        Side::new("hekou.ni.cn.example", 2),
    )
}

fn operator() -> Author {
    Author::new("operator/mẫu")
}

fn letter(recipient: &NodeName, number: usize) -> v1::Draft {
    let text = |vi: &str| v1::LocalizedText {
        texts: [("vi".to_owned(), vi.to_owned())].into(),
    };
    v1::Draft {
        recipient: recipient.to_string(),
        body: Some(v1::Body {
            body: Some(v1::body::Body::OfficialLetter(v1::OfficialLetter {
                common: Some(v1::Common {
                    from_office: "Phòng mẫu".to_owned(),
                    to_office: "示例办公室".to_owned(),
                    legal_basis: vec!["Điều 1".to_owned()],
                    languages: vec!["vi".to_owned()],
                    not_applicable: vec!["place".to_owned(), "replyBy".to_owned()],
                    ..v1::Common::default()
                }),
                letter_number: format!("{number}/MẪU"),
                subject: Some(text("Về việc mẫu")),
                text: Some(text("Nội dung mẫu.")),
                signatory: Some(v1::Officer {
                    name: "Nguyễn Văn Mẫu".to_owned(),
                    rank: "Đại úy".to_owned(),
                    office: "Phòng mẫu".to_owned(),
                    phone: String::new(),
                }),
                ..v1::OfficialLetter::default()
            })),
        }),
        ..v1::Draft::default()
    }
}

struct Running {
    stop: CancellationToken,
    a: tokio::task::JoinHandle<End>,
    b: tokio::task::JoinHandle<End>,
}

fn join(a: &Arc<Exchange>, b: &Arc<Exchange>) -> Running {
    let (left, right) = channel::pair();
    let stop = CancellationToken::new();
    let run = |mine: &Arc<Exchange>, theirs: &Arc<Exchange>, channel: FrameChannel| {
        let (mine, peer) = (Arc::clone(mine), theirs.node().clone());
        let (dialler, stop) = (a.node().clone(), stop.clone());
        tokio::spawn(async move {
            let link = Arc::clone(mine.link(peer.as_str()).unwrap());
            session::run(&mine, &link, &dialler, channel, &stop).await
        })
    };
    let (a_task, b_task) = (run(a, b, left), run(b, a, right));
    Running {
        stop,
        a: a_task,
        b: b_task,
    }
}

impl Running {
    async fn end(self) -> (End, End) {
        self.stop.cancel();
        (self.a.await.unwrap(), self.b.await.unwrap())
    }
}

async fn delivered(exchange: &Exchange, peer: &Side, size: u64) {
    let mut heads = exchange.link(peer.name.as_str()).unwrap().watch_head();
    heads
        .wait_for(|head| head.delivered_size >= size)
        .await
        .unwrap();
}

fn assert_same_logs(a: &Exchange, b: &Exchange, pair: (&Side, &Side)) {
    for (mine, theirs, peer, me) in [(a, b, pair.1, pair.0), (b, a, pair.0, pair.1)] {
        let own = mine.link(peer.name.as_str()).unwrap();
        let mirror = theirs.link(me.name.as_str()).unwrap();
        assert_eq!(
            own.tree(LogSide::Own).root(),
            mirror.tree(LogSide::Mirror).root()
        );
    }
}

#[tokio::test]
async fn letters_go_both_ways_and_are_receipted() {
    let (a, b) = sides();
    let left = a.open(&b, RecorderMode::Thread).unwrap();
    let right = b.open(&a, RecorderMode::Thread).unwrap();
    let running = join(&left, &right);
    for number in 0..20 {
        left.submit(letter(&b.name, number), &operator())
            .await
            .unwrap();
        right
            .submit(letter(&a.name, number), &operator())
            .await
            .unwrap();
    }
    delivered(&left, &b, 20).await;
    delivered(&right, &a, 20).await;
    let ends = running.end().await;
    assert!(
        matches!(ends.0, End::ShuttingDown | End::PeerFault(_)),
        "{ends:?}"
    );
    assert_same_logs(&left, &right, (&a, &b));

    let page = right.list(&v1::ListRequest::default(), |_| true).unwrap();
    assert_eq!(page.messages.len(), 40);
    let first = page.messages.first().unwrap();
    assert_eq!(first.level, Level::Delivered as i32);
    let id = liaison::model::MessageId::parse(&first.id).unwrap();
    let (link, place) = right.find(id).unwrap().unwrap();
    let whole = right.message(&link, place, Detail::Full).unwrap();
    assert!(whole.body.is_some());
}

#[tokio::test]
async fn what_was_recorded_survives_a_crash_and_goes_on() {
    let (a, b) = sides();
    {
        let left = a.open(&b, RecorderMode::Inline).unwrap();
        for number in 0..600 {
            left.submit(letter(&b.name, number), &operator())
                .await
                .unwrap();
        }
    }
    a.store.crash();
    a.store.reopen();
    let left = a.open(&b, RecorderMode::Inline).unwrap();
    let right = b.open(&a, RecorderMode::Thread).unwrap();
    assert_eq!(left.link(b.name.as_str()).unwrap().head().own_size, 600);
    let running = join(&left, &right);
    delivered(&left, &b, 600).await;
    running.end().await;
    assert_same_logs(&left, &right, (&a, &b));
}
