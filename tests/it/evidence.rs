//! Two sides with real keys and their logs, in memory, for whoever judges them from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use liaison::audit::Absence;
use liaison::audit::export::{
    Annex, ExportHead, ExportKey, FileSink, LogSource, SourceBody, SourceReceipt, export,
};
use liaison::crypto::checkpoint::{cosign, sign_checkpoint};
use liaison::crypto::dsse;
use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::crypto::vkey::VerifierKey;
use liaison::model::header::body_digest;
use liaison::model::{MessageId, NodeName, Origin, body};
use liaison::proto::v1;
use liaison::proto::v1::body::Body;
use liaison::tlog::{Hash, TileReader, Tree, leaf_hash};
use prost::Message as _;

/// 2026-11-21 12:00:00 UTC: when the two sides begin to talk.
pub(crate) const START: u64 = 1_795_262_400;

/// A node with its keys.
pub(crate) struct Side {
    pub(crate) node: NodeName,
    pub(crate) message: MessageKey,
    pub(crate) log: LogKey,
}

impl Side {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        Self {
            node: NodeName::parse(name).unwrap(),
            message: MessageKey::from_seed(&[seed; 32]),
            log: LogKey::from_seed(&[seed + 1; 32]),
        }
    }

    /// Message, log and cosigner key.
    pub(crate) fn keys(&self, peer: &NodeName) -> [VerifierKey; 3] {
        let origin = Origin::new(self.node.clone(), peer.clone());
        [
            self.message.verifier(&self.node),
            self.log.log_verifier(&origin),
            self.log.cosigner_verifier(&self.node),
        ]
    }
}

/// A log as both sides hold it: the sender's own, and the recipient's mirror.
pub(crate) struct Log {
    pub(crate) origin: Origin,
    pub(crate) tree: Tree,
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
    pub(crate) entries: Vec<Bytes>,
    /// As the sender holds them.
    pub(crate) bodies: Vec<SourceBody>,
    pub(crate) refused: Vec<u64>,
    pub(crate) receipts: BTreeMap<u64, String>,
}

impl Log {
    fn new(sender: &Side, recipient: &Side) -> Self {
        Self {
            origin: Origin::new(sender.node.clone(), recipient.node.clone()),
            tree: Tree::new(),
            tiles: BTreeMap::new(),
            entries: Vec::new(),
            bodies: Vec::new(),
            refused: Vec::new(),
            receipts: BTreeMap::new(),
        }
    }

    /// Puts any bytes on record.
    pub(crate) fn append(&mut self, entry: Bytes, body: SourceBody) -> u64 {
        let mut full = Vec::new();
        self.tree.append(leaf_hash(&entry), &mut full);
        self.tiles.extend(
            full.into_iter()
                .map(|tile| ((tile.level, tile.index), tile.hashes)),
        );
        self.entries.push(entry);
        self.bodies.push(body);
        self.tree.size() - 1
    }
}

/// Sends from A to B, or from B to A.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    AToB,
    BToA,
}

/// Both sides and both logs.
pub(crate) struct World {
    pub(crate) a: Side,
    pub(crate) b: Side,
    pub(crate) ab: Log,
    pub(crate) ba: Log,
    clock: u64,
}

/// What a message is made of, for those who want it odd.
pub(crate) struct Parts {
    pub(crate) id: MessageId,
    pub(crate) kind: i32,
    pub(crate) schema: String,
    pub(crate) body: Bytes,
    pub(crate) names: Option<(String, String)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let a = Side::new("laocai.bg.vn.example", 10);
        let b = Side::new("hekou.ni.cn.example", 20);
        let (ab, ba) = (Log::new(&a, &b), Log::new(&b, &a));
        Self {
            a,
            b,
            ab,
            ba,
            clock: START,
        }
    }

    fn way(&mut self, way: Way) -> (&Side, &Side, &mut Log) {
        match way {
            Way::AToB => (&self.a, &self.b, &mut self.ab),
            Way::BToA => (&self.b, &self.a, &mut self.ba),
        }
    }

    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 7;
        self.clock
    }

    pub(crate) fn parts(&mut self, body: &Body) -> Parts {
        let clock = self.tick();
        Parts {
            id: id(clock),
            kind: body::kind_of(body) as i32,
            schema: body::schema_of(body).to_owned(),
            body: body::encode(body),
            names: None,
        }
    }

    /// Puts a message on record; `key` other than the sender's for a forgery.
    pub(crate) fn send_parts(&mut self, way: Way, parts: &Parts, key: Option<&MessageKey>) -> u64 {
        let clock = self.clock;
        let (sender, recipient, log) = self.way(way);
        let salt = [u8::try_from(clock % 251).unwrap(); 32];
        let names = parts.names.clone();
        let (from, to) = names.unwrap_or((sender.node.to_string(), recipient.node.to_string()));
        let header = v1::Header {
            id: parts.id.as_bytes().to_vec().into(),
            sender: from,
            recipient: to,
            created_at: Some(prost_types::Timestamp {
                seconds: i64::try_from(clock).unwrap(),
                nanos: 123_000_000,
            }),
            kind: parts.kind,
            precedence: v1::Precedence::Routine as i32,
            status: v1::Status::Test as i32,
            handling: Some(v1::Handling {
                classification: v1::Classification::Internal as i32,
                code: v1::HandlingCode::H1 as i32,
            }),
            thread_id: parts.id.as_bytes().to_vec().into(),
            body_digest: body_digest(&salt, &parts.body).to_vec().into(),
            body_size: u32::try_from(parts.body.len()).unwrap(),
            schema: parts.schema.clone(),
            ..v1::Header::default()
        };
        let key = key.unwrap_or(&sender.message);
        let envelope = dsse::sign(key, header.encode_to_vec().into()).unwrap();
        let salted = [salt.as_slice(), &parts.body].concat();
        log.append(envelope.bytes.clone(), SourceBody::Held(salted.into()))
    }

    pub(crate) fn send(&mut self, way: Way, body: &Body) -> u64 {
        let parts = self.parts(body);
        self.send_parts(way, &parts, None)
    }

    pub(crate) fn letter(&mut self, way: Way, text: &str) -> u64 {
        self.send(way, &letter(text))
    }

    /// The recipient refuses an entry: it keeps no body and says so in its own log.
    pub(crate) fn refuse(&mut self, way: Way, index: u64, reason: v1::RefusalReason) -> u64 {
        let (_, _, log) = self.way(way);
        log.refused.push(index);
        let leaf = leaf_hash(&log.entries[usize::try_from(index).unwrap()]);
        let refusal = v1::Refusal {
            index,
            entry_digest: leaf.0.to_vec().into(),
            reason: reason as i32,
            detail: "as the test wants it".into(),
        };
        let back = if way == Way::AToB {
            Way::BToA
        } else {
            Way::AToB
        };
        self.send(back, &Body::Refusal(refusal))
    }

    /// Signs, dates and cosigns what is recorded.
    pub(crate) fn settle(&mut self, way: Way) -> u64 {
        let clock = self.tick();
        let (sender, recipient, log) = self.way(way);
        let (size, root) = (log.tree.size(), log.tree.root());
        let signed = sign_checkpoint(&sender.log, &log.origin, size, root, clock);
        let receipt = cosign(&recipient.log, &recipient.node, &signed, clock + 1);
        log.receipts.insert(size, receipt.note.clone());
        size
    }

    pub(crate) fn keys(&self) -> Vec<VerifierKey> {
        self.a
            .keys(&self.b.node)
            .into_iter()
            .chain(self.b.keys(&self.a.node))
            .collect()
    }

    /// Exports A's side, or B's.
    pub(crate) fn export(&self, side: &Side, dir: &Path) {
        let head = ExportHead {
            node: side.node.clone(),
            exported_at: jiff::Timestamp::from_second(i64::try_from(self.clock + 60).unwrap())
                .unwrap(),
            keys: self
                .keys()
                .into_iter()
                .map(|key| ExportKey {
                    key,
                    valid_from: None,
                    valid_until: None,
                })
                .collect(),
            proofs: true,
            annex: Annex::default(),
        };
        let view = |log| View::new(log, &side.node);
        let mut logs = vec![view(&self.ab), view(&self.ba)];
        if side.node == self.b.node {
            logs.reverse();
        }
        let exported = export(&head, &logs, &mut Disk(dir.to_owned())).unwrap();
        assert_eq!(exported.logs.len(), 2);
    }
}

/// A version 7 UUID of a moment.
pub(crate) fn id(unix_seconds: u64) -> MessageId {
    let mut random = [0x5a; 10];
    random[..8].copy_from_slice(
        &unix_seconds
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_be_bytes(),
    );
    MessageId::from_parts(unix_seconds * 1000, random)
}

pub(crate) fn localized(text: &str) -> v1::LocalizedText {
    let texts = [
        ("vi", format!("Công văn: {text}")),
        ("zh-Hans", format!("公函：{text}")),
    ];
    let texts = texts
        .into_iter()
        .map(|(tag, text)| (tag.to_owned(), text))
        .collect();
    v1::LocalizedText { texts }
}

pub(crate) fn letter(text: &str) -> Body {
    Body::OfficialLetter(v1::OfficialLetter {
        common: Some(v1::Common {
            from_office: "Đồn Biên phòng".into(),
            to_office: "河口边防".into(),
            languages: vec!["vi".into(), "zh-Hans".into()],
            ..v1::Common::default()
        }),
        letter_number: text.into(),
        subject: Some(localized(text)),
        text: Some(localized(text)),
        ..v1::OfficialLetter::default()
    })
}

/// One side's view of a log.
struct View<'a> {
    log: &'a Log,
    mirror: bool,
}

impl<'a> View<'a> {
    fn new(log: &'a Log, node: &NodeName) -> Self {
        Self {
            log,
            mirror: log.origin.recipient() == node,
        }
    }
}

impl TileReader for View<'_> {
    type Error = Infallible;

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, Infallible> {
        Ok(self.log.tiles[&(level, index)].clone())
    }

    fn leaf(&self, index: u64) -> Result<Hash, Infallible> {
        Ok(leaf_hash(
            &self.log.entries[usize::try_from(index).unwrap()],
        ))
    }
}

impl LogSource for View<'_> {
    fn origin(&self) -> &Origin {
        &self.log.origin
    }

    fn tree(&self) -> &Tree {
        &self.log.tree
    }

    fn entry(&self, index: u64) -> Result<Bytes, Infallible> {
        Ok(self.log.entries[usize::try_from(index).unwrap()].clone())
    }

    fn body(&self, index: u64) -> Result<SourceBody, Infallible> {
        if self.mirror && self.log.refused.contains(&index) {
            return Ok(SourceBody::Absent(Absence::Refused));
        }
        Ok(self.log.bodies[usize::try_from(index).unwrap()].clone())
    }

    fn latest_receipt(&self) -> Result<Option<SourceReceipt>, Infallible> {
        let last = self.log.receipts.last_key_value();
        Ok(last.map(|(size, note)| SourceReceipt {
            size: *size,
            note: note.clone(),
        }))
    }

    fn receipts(&self, size_min: u64, limit: usize) -> Result<Vec<SourceReceipt>, Infallible> {
        let receipts = self.log.receipts.range(size_min..).take(limit);
        Ok(receipts
            .map(|(size, note)| SourceReceipt {
                size: *size,
                note: note.clone(),
            })
            .collect())
    }
}

/// Writes to a folder.
struct Disk(PathBuf);

impl FileSink for Disk {
    type Error = std::io::Error;

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), std::io::Error> {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap())?;
        assert!(!path.exists(), "{} is written once", path.display());
        std::fs::write(path, bytes)
    }
}

/// A world with everything in it that an export can hold: `letters` messages from A, some of them
/// erased, newer, forged, doubled or no messages at all, refusals of those, several checkpoints,
/// and more on record than is receipted.
pub(crate) fn busy_world(letters: u64) -> World {
    let mut world = World::new();
    world.settle(Way::BToA);
    for number in 0..letters {
        match number {
            3 => {
                let mut parts = world.parts(&letter("from the future"));
                parts.kind = 9_999;
                parts.schema = "liaison.v1.FutureThing".into();
                world.send_parts(Way::AToB, &parts, None);
            }
            5 => {
                let parts = world.parts(&letter("forged"));
                let stranger = MessageKey::from_seed(&[99; 32]);
                let index = world.send_parts(Way::AToB, &parts, Some(&stranger));
                world.refuse(Way::AToB, index, v1::RefusalReason::BadSignature);
            }
            7 => {
                let parts = world.parts(&letter("the first"));
                world.send_parts(Way::AToB, &parts, None);
            }
            8 => {
                let mut parts = world.parts(&letter("the second of one id"));
                parts.id = dsse_id(&world.ab.entries[7]);
                let index = world.send_parts(Way::AToB, &parts, None);
                world.refuse(Way::AToB, index, v1::RefusalReason::DuplicateId);
            }
            9 => {
                world.tick();
                let nothing = SourceBody::Absent(Absence::Erased);
                let index = world
                    .ab
                    .append(Bytes::from_static(b"\xffno entry"), nothing);
                world.refuse(Way::AToB, index, v1::RefusalReason::MalformedEntry);
            }
            _ => {
                world.letter(Way::AToB, &format!("{number}/CV"));
            }
        }
        if number == 2 {
            world.ab.bodies[1] = SourceBody::Absent(Absence::Erased);
        }
        if [0, 4, 11, 12, 99, 255, 256, 300, 511, 598].contains(&number) {
            world.settle(Way::AToB);
        }
        if number % 50 == 6 {
            world.letter(Way::BToA, &format!("回复 {number}"));
            world.settle(Way::BToA);
        }
    }
    world.settle(Way::AToB);
    world.letter(Way::BToA, "last");
    world.settle(Way::BToA);
    for number in 0..3 {
        world.letter(Way::AToB, &format!("beyond {number}"));
    }
    world
}

fn dsse_id(entry: &[u8]) -> MessageId {
    let entry = v1::Entry::decode(entry).unwrap();
    MessageId::from_slice(&v1::Header::decode(entry.payload).unwrap().id).unwrap()
}

/// Every file below a folder, by path.
pub(crate) fn read_all(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let below = read_all(&entry.path()).into_iter();
            files.extend(below.map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    files
}
