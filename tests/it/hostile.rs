//! A peer that holds valid keys and speaks frames by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use bytes::Bytes;
use liaison::crypto::checkpoint::{cosign, sign_checkpoint};
use liaison::crypto::dsse;
use liaison::exchange::Exchange;
use liaison::exchange::channel::{self, FrameChannel, Incoming};
use liaison::exchange::clock::Clock as _;
use liaison::exchange::session::{End, PROTOCOL_VERSION};
use liaison::model::header::body_digest;
use liaison::model::{Header, MessageId};
use liaison::proto::v1::{self, Frame, frame};
use liaison::tlog::{Hash, Tree, leaf_hash};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::sides::{Side, letter_body, patiently, run_end};

/// An entry in the making: every part can be bent before it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Forge {
    pub(crate) header: v1::Header,
    pub(crate) body: Vec<u8>,
    pub(crate) salt: [u8; 32],
}

impl Forge {
    /// States the digest and size of the body as it is now.
    pub(crate) fn state_body(mut self) -> Self {
        self.header.body_digest = body_digest(&self.salt, &self.body).to_vec().into();
        self.header.body_size = u32::try_from(self.body.len()).unwrap();
        self
    }

    pub(crate) fn sign(&self, by: &Side) -> v1::Item {
        let payload = Bytes::from(self.header.encode_to_vec());
        self.item(
            dsse::sign(&by.keys().message, payload)
                .unwrap()
                .bytes
                .clone(),
        )
    }

    pub(crate) fn item(&self, entry: Bytes) -> v1::Item {
        v1::Item {
            entry,
            salt: self.salt.to_vec().into(),
            body: self.body.clone().into(),
            erased: false,
        }
    }
}

/// The peer, its log and its mirror of the node's log.
pub(crate) struct Hostile<'a> {
    pub(crate) me: &'a Side,
    pub(crate) node: &'a Side,
    pub(crate) exchange: Arc<Exchange>,
    /// The log as the node was told it.
    pub(crate) tree: Tree,
    /// The node's log, honestly mirrored.
    pub(crate) mirrored: Tree,
    pub(crate) heard: Vec<v1::Item>,
    pub(crate) forged: u64,
    to: mpsc::Sender<Frame>,
    from: Incoming,
    pub(crate) running: Option<JoinHandle<End>>,
}

impl<'a> Hostile<'a> {
    /// Greets the node as an honest peer would.
    pub(crate) async fn meet(me: &'a Side, node: &'a Side, exchange: &Arc<Exchange>) -> Self {
        let mut hostile = Self::stranger(me, node, exchange);
        hostile.greet().await;
        hostile
    }

    /// Is connected and has said nothing.
    pub(crate) fn stranger(me: &'a Side, node: &'a Side, exchange: &Arc<Exchange>) -> Self {
        let (to, _) = mpsc::channel(1);
        let mut hostile = Self {
            me,
            node,
            exchange: Arc::clone(exchange),
            tree: Tree::new(),
            mirrored: Tree::new(),
            heard: Vec::new(),
            forged: 0,
            to,
            from: Box::pin(tokio_stream::empty()),
            running: None,
        };
        hostile.connect();
        hostile
    }

    /// Opens a new connection.
    pub(crate) fn connect(&mut self) {
        let (near, far) = channel::pair();
        let stop = CancellationToken::new();
        self.running = Some(run_end(&self.exchange, &self.me.name, far, &stop));
        let FrameChannel { outgoing, incoming } = near;
        (self.to, self.from) = (outgoing, incoming);
    }

    pub(crate) fn hello(&self) -> v1::Hello {
        let mirrored_checkpoint = if self.mirrored.size() == 0 {
            String::new()
        } else {
            let origin = self.node.origin_to(self.me);
            let (size, root) = (self.mirrored.size(), self.mirrored.root());
            let signed = sign_checkpoint(&self.node.keys().log, &origin, size, root, 1);
            cosign(&self.me.keys().log, &self.me.name, &signed, 2)
                .note
                .clone()
        };
        v1::Hello {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            node: self.me.name.to_string(),
            own_checkpoint: String::new(),
            own_size: self.tree.size(),
            mirrored_size: self.mirrored.size(),
            mirrored_checkpoint,
            sent_at: Some(self.me.clock.timestamp()),
            restoring: 0,
            witnesses_journals: false,
        }
    }

    pub(crate) async fn greet(&mut self) {
        self.send(frame::Frame::Hello(self.hello())).await;
        let hello = self.next().await;
        assert!(matches!(hello, Some(frame::Frame::Hello(_))), "{hello:?}");
    }

    pub(crate) async fn send(&self, frame: frame::Frame) {
        self.send_raw(Frame { frame: Some(frame) }).await;
    }

    /// The node may have hung up: then nobody hears it.
    pub(crate) async fn send_raw(&self, frame: Frame) {
        drop(patiently(self.to.send(frame)).await);
    }

    pub(crate) async fn next(&mut self) -> Option<frame::Frame> {
        patiently(self.from.next()).await?.unwrap().frame
    }

    /// A letter, not yet signed.
    pub(crate) fn forge(&mut self) -> Forge {
        self.forged += 1;
        let mut random = [self.me.seed; 10];
        random[..8].copy_from_slice(&self.forged.to_be_bytes());
        let id = MessageId::from_parts(self.me.clock.unix_ms(), random);
        let id = Bytes::from(id.as_bytes().to_vec());
        let body = letter_body(usize::try_from(self.forged).unwrap()).encode_to_vec();
        Forge {
            header: v1::Header {
                id: id.clone(),
                sender: self.me.name.to_string(),
                recipient: self.node.name.to_string(),
                created_at: Some(self.me.clock.timestamp()),
                kind: v1::Kind::OfficialLetter as i32,
                precedence: v1::Precedence::Routine as i32,
                status: v1::Status::Actual as i32,
                handling: Some(v1::Handling {
                    classification: v1::Classification::Restricted as i32,
                    code: 0,
                }),
                thread_id: id,
                schema: "liaison.v1.OfficialLetter".to_owned(),
                ..v1::Header::default()
            },
            body,
            salt: [9; 32],
        }
        .state_body()
    }

    pub(crate) fn letter(&mut self) -> v1::Item {
        self.forge().sign(self.me)
    }

    pub(crate) fn letters(&mut self, count: usize) -> Vec<v1::Item> {
        (0..count).map(|_| self.letter()).collect()
    }

    /// Signs a checkpoint of the own log, true or not.
    pub(crate) fn checkpoint(&self, size: u64, root: Hash) -> String {
        let origin = self.me.origin_to(self.node);
        let now = self.me.clock.unix_seconds();
        sign_checkpoint(&self.me.keys().log, &origin, size, root, now)
            .note
            .clone()
    }

    /// Puts items at the end of the log and signs it.
    pub(crate) fn append(&mut self, items: Vec<v1::Item>) -> v1::Push {
        let start_index = self.tree.size();
        for item in &items {
            self.tree.append(leaf_hash(&item.entry), &mut Vec::new());
        }
        v1::Push {
            start_index,
            items,
            checkpoint: self.checkpoint(self.tree.size(), self.tree.root()),
        }
    }

    /// Pushes items as an honest peer would, and takes the receipt.
    pub(crate) async fn push(&mut self, items: Vec<v1::Item>) {
        let push = self.append(items);
        self.send(frame::Frame::Push(push)).await;
        self.expect_cosigned().await;
    }

    /// Reads until the node has cosigned all of the log; receipts its own entries meanwhile.
    pub(crate) async fn expect_cosigned(&mut self) {
        let size = self.tree.size();
        loop {
            match self.next().await {
                Some(frame::Frame::Cosigned(cosigned)) => {
                    let verifier = self.me.verifier(self.node);
                    let receipt = verifier.receipt(&cosigned.checkpoint).unwrap();
                    if receipt.signed.checkpoint.size == size {
                        assert_eq!(receipt.signed.checkpoint.root, self.tree.root());
                        return;
                    }
                }
                Some(frame::Frame::Push(push)) => self.mirror(push).await,
                Some(frame::Frame::JournalAnswer(_) | frame::Frame::JournalOffer(_)) => {}
                other => panic!("no receipt: {other:?}"),
            }
        }
    }

    /// Takes the node's entries in and receipts them.
    pub(crate) async fn mirror(&mut self, push: v1::Push) {
        assert_eq!(push.start_index, self.mirrored.size());
        for item in &push.items {
            self.mirrored
                .append(leaf_hash(&item.entry), &mut Vec::new());
        }
        let verifier = self.node.verifier(self.me);
        let signed = verifier.checkpoint(&push.checkpoint).unwrap();
        assert_eq!(signed.checkpoint.root, self.mirrored.root());
        self.heard.extend(push.items);
        let receipt = cosign(&self.me.keys().log, &self.me.name, &signed, 1);
        let checkpoint = receipt.note.clone();
        self.send(frame::Frame::Cosigned(v1::Cosigned { checkpoint }))
            .await;
    }

    /// Reads until the node has said so many entries.
    pub(crate) async fn hear(&mut self, count: usize) {
        while self.heard.len() < count {
            match self.next().await {
                Some(frame::Frame::Push(push)) => self.mirror(push).await,
                Some(frame::Frame::Cosigned(_)) => {}
                other => panic!("not what was waited for: {other:?}"),
            }
        }
    }

    /// The REFUSALs heard so far, each signed by the node's message key.
    pub(crate) fn refusals(&self) -> Vec<(Header, v1::Refusal)> {
        let key = [self.node.keys().message.verifier(&self.node.name)];
        let refusal = |item: &v1::Item| {
            let envelope = dsse::verify(item.entry.clone(), &key).unwrap();
            let header = Header::parse(&envelope.payload).unwrap();
            (header.kind == v1::Kind::Refusal as i32)
                .then(|| (header, v1::Refusal::decode(item.body.clone()).unwrap()))
        };
        self.heard.iter().filter_map(refusal).collect()
    }

    /// Reads until the node says why it stops.
    pub(crate) async fn expect_fault(&mut self) -> v1::Fault {
        loop {
            match self.next().await {
                Some(frame::Frame::Fault(fault)) => return fault,
                Some(_) => {}
                None => panic!("it hung up without a word"),
            }
        }
    }

    /// Hangs up at once, whatever is still to be read, and says how the node's session ended.
    pub(crate) async fn hang_up(&mut self) -> End {
        self.to = mpsc::channel(1).0;
        self.from = Box::pin(tokio_stream::empty());
        self.end().await
    }

    /// How the node's session ended.
    pub(crate) async fn end(&mut self) -> End {
        patiently(self.running.take().unwrap()).await.unwrap()
    }
}
