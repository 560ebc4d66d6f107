//! How long a lost store takes to come back, and in how much memory.
//! `cargo bench --bench recover`, or with `-- --entries 1000000`.
//!
//! ```text
//! build      both sides say N letters each, pushed, mirrored and receipted, on real disks
//! recover    one side begins with an empty store and fetches both logs from the other, over a
//!            channel within this process: everything but TLS
//! fold       what both logs say is read for the cases, in one go
//! ```
//!
//! The memory is that of the whole process, so of both sides: the peak while it recovers.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and it reports"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::exchange::channel;
use liaison::exchange::clock::{Entropy, SystemClock};
use liaison::exchange::restore::Restoring;
use liaison::exchange::session;
use liaison::exchange::{
    Author, Exchange, Foundations, Link, LinkTerms, LogSide, NodeKeys, PeerKeys, PeerMessageKey,
    RecorderMode,
};
use liaison::model::NodeName;
use liaison::proto::v1;
use liaison::store::{Blobs, Marks, OpenOptions, SledStore};
use tokio_util::sync::CancellationToken;

const ENTRIES: usize = 100_000;
const NAMES: [&str; 2] = ["laocai.bg.vn.example", "hekou.ni.cn.example"];
/// Submissions at a time.
const AT_ONCE: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` only wants to know that it runs.
    let smoke = arguments.iter().any(|arg| arg == "--test");
    let asked = arguments.iter().position(|arg| arg == "--entries");
    let asked = asked.and_then(|at| arguments.get(at + 1)?.parse().ok());
    let entries = asked.unwrap_or(if smoke { 600 } else { ENTRIES });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(entries));
}

async fn measure(entries: usize) {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (built, before) = {
        let begun = Instant::now();
        let nodes = [open(dirs[0].path(), 0), open(dirs[1].path(), 1)];
        let running = join(&nodes);
        let say = |at: usize| {
            let node = Arc::clone(&nodes[at]);
            async move {
                let said = (0..entries).map(|number| {
                    let node = Arc::clone(&node);
                    async move {
                        node.submit(letter(at, number), &Author::new("operator/mẫu"))
                            .await
                    }
                });
                let mut waiting = tokio::task::JoinSet::new();
                for one in said {
                    waiting.spawn(one);
                    while waiting.len() >= AT_ONCE {
                        waiting.join_next().await.unwrap().unwrap().unwrap();
                    }
                }
                while let Some(one) = waiting.join_next().await {
                    one.unwrap().unwrap();
                }
            }
        };
        tokio::join!(say(0), say(1));
        for node in &nodes {
            let mut heads = link_of(node).watch_head();
            let all = entries as u64;
            heads
                .wait_for(|head| head.delivered_size == all && head.mirror_size == all)
                .await
                .unwrap();
        }
        running.end().await;
        let heads = heads(&nodes[0]);
        for node in nodes {
            node.finish();
        }
        (begun.elapsed(), heads)
    };
    println!("build     {entries} entries a side in {built:.1?}");

    let lost = tempfile::tempdir().unwrap();
    let nodes = [open(lost.path(), 0), open(dirs[1].path(), 1)];
    let restoring = Restoring {
        why: "the store was lost".to_owned(),
        ..Restoring::default()
    };
    let link = link_of(&nodes[0]);
    nodes[0].begin_restoring(&link, restoring).await.unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let started_kib = kib("VmRSS");
    let begun = Instant::now();
    while nodes[0].restoring(&link).is_some() {
        let running = join(&nodes);
        let mut heads = link.watch_head();
        heads
            .wait_for(|head| head.restoring.is_none())
            .await
            .unwrap();
        running.end().await;
    }
    let took = begun.elapsed();
    assert_eq!(heads(&nodes[0]), before, "the heads are not what they were");
    let rate = 2_000 * entries as u128 / took.as_millis().max(1);
    println!(
        "recover   both logs of {entries} entries in {took:.1?} ({rate} entries/s; limit for \
         1,000,000: 10 min), peak {} MiB resident for both sides, {} MiB before",
        kib("VmHWM") >> 10,
        started_kib >> 10
    );
    // Whoever asks first for a case has both logs folded, all at once.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (started_kib, begun) = (kib("VmRSS"), Instant::now());
    let read = nodes[0].with_cases(&link, |_| ());
    read.unwrap();
    println!(
        "fold      both logs, by the first who asks for a case, in {:.1?}; peak {} MiB, {} MiB before",
        begun.elapsed(),
        kib("VmHWM") >> 10,
        started_kib >> 10
    );
    for node in nodes {
        node.finish();
    }
}

fn heads(node: &Exchange) -> [(u64, String); 2] {
    let link = link_of(node);
    [LogSide::Own, LogSide::Mirror].map(|side| {
        let tree = link.tree(side);
        (tree.size(), tree.root().to_string())
    })
}

fn link_of(node: &Exchange) -> Arc<Link> {
    Arc::clone(node.links().next().unwrap())
}

fn keys(of: usize) -> NodeKeys {
    let seed = u8::try_from(of).unwrap();
    NodeKeys {
        message: MessageKey::from_seed(&[seed + 1; 32]),
        log: LogKey::from_seed(&[seed + 101; 32]),
    }
}

fn open(dir: &Path, of: usize) -> Arc<Exchange> {
    let [own, peer] = [of, 1 - of].map(|at| NodeName::parse(NAMES[at]).unwrap());
    let theirs = keys(1 - of);
    let terms = LinkTerms {
        peer: peer.clone(),
        keys: PeerKeys {
            message_keys: vec![PeerMessageKey::unbounded(theirs.message.verifier(&peer))],
            cosigner_key: theirs.log.cosigner_verifier(&peer),
            officers: Vec::new(),
            recovery: None,
        },
        own_start: keys(of).start(&own),
        classification_max: v1::Classification::Confidential,
    };
    let store = SledStore::open(&OpenOptions::new(dir).create()).unwrap();
    let foundations = Foundations {
        node: own,
        keys: keys(of),
        store: Arc::new(store),
        blobs: Arc::new(Blobs::open(dir, 0).unwrap()),
        marks: Marks::open(dir).unwrap(),
        clock: Arc::new(SystemClock),
        entropy: Entropy::system(),
    };
    Exchange::open(foundations, vec![terms], RecorderMode::Thread).unwrap()
}

struct Running {
    stop: CancellationToken,
    ends: Vec<tokio::task::JoinHandle<session::End>>,
}

impl Running {
    async fn end(self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.stop.cancel();
        for end in self.ends {
            end.await.unwrap();
        }
    }
}

fn join(nodes: &[Arc<Exchange>; 2]) -> Running {
    let stop = CancellationToken::new();
    let dialler = nodes[0].node().clone();
    let (left, right) = channel::pair();
    let ends = nodes.iter().zip([left, right]).map(|(node, channel)| {
        let (node, dialler, stop) = (Arc::clone(node), dialler.clone(), stop.clone());
        tokio::spawn(async move {
            let link = link_of(&node);
            session::run(&node, &link, &dialler, channel, &stop).await
        })
    });
    Running {
        ends: ends.collect(),
        stop,
    }
}

fn letter(from: usize, number: usize) -> v1::Draft {
    let text = |vi: &str| v1::LocalizedText {
        texts: [("vi".to_owned(), vi.to_owned())].into(),
    };
    let letter = v1::OfficialLetter {
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
    };
    v1::Draft {
        recipient: NAMES[1 - from].to_owned(),
        body: Some(v1::Body {
            body: Some(v1::body::Body::OfficialLetter(letter)),
        }),
        ..v1::Draft::default()
    }
}

fn kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
