//! One honest node and a peer that holds valid keys and keeps to nothing. Whatever it says, what
//! the honest side promises holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liaison::crypto::checkpoint::cosign;
use liaison::crypto::dsse;
use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Exchange, LogSide, RecordError};
use liaison::model::{Header, MessageId, body};
use liaison::proto::v1::{self, FaultCode, Frame, RefusalReason, frame};
use liaison::tlog::{Hash, Tree, leaf_hash};
use prost::Message as _;

use super::dice::Dice;
use super::life::{Kind, Point};
use super::machine::{Machine, Told};
use super::notary::Notary;
use super::run::Outcome;
use super::traffic;
use super::world::{Figures, judge_end};
use crate::hostile::{Forge, Hostile};
use crate::sides::{Side, link_of, sides, submit};

/// The peer's memory from session to session.
#[derive(Default)]
struct Memory {
    /// Checkpoints that the node signed.
    notes: Vec<String>,
    /// What was said before, to be said again.
    past: Vec<frame::Frame>,
    /// Items that were made, to be used again.
    items: Vec<v1::Item>,
    forged: u64,
}

struct World {
    dice: Dice,
    node: Machine,
    peer: Side,
    notary: Notary,
    memory: Memory,
    figures: Figures,
    submitted: usize,
}

pub(crate) async fn run(seed: u64) -> Outcome {
    let (a, b) = sides();
    let mut world = World {
        dice: Dice::new(seed),
        notary: Notary::of(&a, &b),
        node: Machine::new(a),
        peer: b,
        memory: Memory::default(),
        figures: Figures::default(),
        submitted: 0,
    };
    for _ in 0..10 + world.dice.below(10) {
        world.session().await;
        world.look().await;
    }
    world.crash(true);
    world.open();
    world.check();
    world.figures.notes = world.notary.count();
    (world.figures, Vec::new())
}

impl World {
    /// Opens the node unless it runs. Orders of failure end with the process.
    fn open(&mut self) -> Arc<Exchange> {
        while self.node.process.is_none() {
            let fuse = self.dice.one_in(8).then(|| self.dice.below(6));
            let opened = self.node.open(&self.peer, fuse);
            self.node.life.light(u64::MAX);
            if let Err(error) = opened {
                assert!(self.node.life.is_over(), "{error}");
                self.crash(true);
            }
        }
        Arc::clone(self.node.process.as_ref().unwrap())
    }

    fn crash(&mut self, power_lost: bool) {
        self.figures.crashes += 1;
        self.node.life.kill();
        self.figures.ends.note(self.node.life.ended_at());
        self.node.bury(power_lost);
    }

    async fn submit(&mut self) {
        let exchange = self.open();
        for draft in std::mem::take(&mut self.node.unanswered) {
            self.submit_one(&exchange, draft).await;
        }
        self.submitted += 1;
        let unix_ms = liaison::exchange::clock::Clock::unix_ms(&*self.node.clock);
        let ids: Vec<_> = self.node.told.keys().copied().collect();
        let draft = traffic::draft(
            &mut self.dice,
            &self.peer,
            self.submitted,
            unix_ms,
            &ids,
            &[],
        );
        self.submit_one(&exchange, Arc::new(draft)).await;
    }

    async fn submit_one(&mut self, exchange: &Exchange, draft: Arc<v1::Draft>) {
        let id = MessageId::parse(&draft.id).unwrap();
        match submit(exchange, (*draft).clone()).await {
            Ok(recorded) => {
                let index = recorded.index;
                let told = Told { index, draft };
                let before = self.node.told.insert(id, told.clone());
                assert!(before.is_none_or(|before| before == told));
                self.figures.told += 1;
            }
            Err(SubmitError::Record(RecordError::Stopped { .. })) => {
                self.node.unanswered.push(draft);
            }
            Err(_) if self.node.life.is_over() => self.node.unanswered.push(draft),
            Err(error) => {
                assert!(!traffic::is_always_possible(&draft), "{error}");
                self.figures.refused += 1;
            }
        }
    }

    /// One connection, until either side has had enough.
    async fn session(&mut self) {
        self.submit().await;
        let exchange = self.open();
        self.figures.sessions += 1;
        if !self.dice.one_in(3) {
            let points = self.dice.below(40);
            self.node.life.light(points);
        }
        let (me, them) = (self.copy_of_peer(), self.copy_of_node());
        let mut hostile = Hostile::stranger(&me, &them, &exchange);
        hostile.forged = self.memory.forged;
        hostile.tree = mirrored(&exchange);
        let first = self.first(&hostile);
        self.say(&hostile, first).await;
        self.listen(&mut hostile).await;
        for _ in 0..self.dice.below(14) {
            if self.node.life.is_over() || hostile.running.as_ref().unwrap().is_finished() {
                break;
            }
            for frame in self.next(&mut hostile) {
                self.say(&hostile, frame).await;
            }
            if self.dice.one_in(3) {
                self.submit().await;
            }
            self.listen(&mut hostile).await;
        }
        self.memory.forged = hostile.forged;
        let running = hostile.running.take().unwrap();
        drop(hostile);
        running.abort();
        judge_end(running.await);
        drop(exchange);
        self.notary.assert_clean();
        self.node.life.light(u64::MAX);
        if self.node.life.is_over() {
            let power_lost = self.dice.one_in(2);
            self.crash(power_lost);
        }
    }

    fn copy_of_peer(&self) -> Side {
        Side::new(self.peer.name.as_str(), self.peer.seed)
    }

    fn copy_of_node(&self) -> Side {
        Side::new(self.node.side.name.as_str(), self.node.side.seed)
    }

    async fn say(&mut self, hostile: &Hostile<'_>, frame: frame::Frame) {
        self.figures.hostile += 1;
        if self.memory.past.len() < 100 {
            self.memory.past.push(frame.clone());
        }
        // A node that is full of it takes nothing more for a while.
        let sent = hostile.send(frame);
        drop(tokio::time::timeout(Duration::from_millis(10), sent).await);
    }

    /// Takes what the node says until it is silent.
    async fn listen(&mut self, hostile: &mut Hostile<'_>) {
        while let Ok(Some(said)) =
            tokio::time::timeout(Duration::from_millis(10), hostile.next()).await
        {
            let frame = Frame { frame: Some(said) };
            if !self.node.life.pass(Point::Sent(Kind::Other)) {
                return;
            }
            self.notary.see(0, &self.node.disk, &frame);
            match frame.frame.unwrap() {
                frame::Frame::Push(push) => self.memory.notes.push(push.checkpoint),
                frame::Frame::Heartbeat(beat) => self.memory.notes.push(beat.checkpoint),
                _ => {}
            }
        }
    }

    /// The first frame: mostly a Hello, mostly a true one.
    fn first(&mut self, hostile: &Hostile<'_>) -> frame::Frame {
        let mut hello = v1::Hello {
            own_size: hostile.tree.size(),
            ..hostile.hello()
        };
        if let Some((size, note)) = self.receipt(hostile) {
            hello.mirrored_size = size;
            hello.mirrored_checkpoint = note;
        }
        match self.dice.below(16) {
            0 => hello.mirrored_size += 1,
            1 => hello.mirrored_checkpoint.push('x'),
            2 => hello.own_size = 0,
            3 => hello.own_checkpoint = self.forked(hostile),
            4 => {
                hello.own_checkpoint = newest(hostile);
            }
            5 => hello.version_min = 9,
            6 => "mengla.bg.cn.example".clone_into(&mut hello.node),
            7 => return self.replayed(),
            8 => hello.sent_at = None,
            _ => {}
        }
        frame::Frame::Hello(hello)
    }

    /// A cosignature of the newest, or of any, of the node's checkpoints.
    fn receipt(&mut self, hostile: &Hostile<'_>) -> Option<(u64, String)> {
        let notes = &self.memory.notes;
        let at = if notes.is_empty() {
            return None;
        } else if self.dice.one_in(4) {
            self.dice.index(notes.len())
        } else {
            notes.len() - 1
        };
        let verifier = hostile.node.verifier(hostile.me);
        let signed = verifier.checkpoint(&notes[at]).unwrap();
        let receipt = cosign(&hostile.me.keys().log, &hostile.me.name, &signed, 7);
        Some((signed.checkpoint.size, receipt.note.clone()))
    }

    /// A checkpoint of another tree than the node was told of.
    fn forked(&mut self, hostile: &Hostile<'_>) -> String {
        let size = 1 + self.dice.below(hostile.tree.size() + 3);
        hostile.checkpoint(size, Hash([u8::from(self.dice.one_in(2)); 32]))
    }

    fn replayed(&mut self) -> frame::Frame {
        let past = &self.memory.past;
        match past.get(self.dice.index(past.len().max(1))) {
            Some(frame) => frame.clone(),
            None => frame::Frame::Fault(v1::Fault::default()),
        }
    }

    /// What it says next; the true tree follows what an honest node would have taken.
    fn next(&mut self, hostile: &mut Hostile<'_>) -> Vec<frame::Frame> {
        let push = frame::Frame::Push;
        match self.dice.below(22) {
            0..=3 => {
                let count = 1 + self.dice.index(5);
                let items = hostile.letters(count);
                self.memory.items.extend(items.iter().cloned());
                vec![push(hostile.append(items))]
            }
            4..=6 => {
                let bad = self.bad(hostile);
                let next = hostile.letter();
                vec![push(hostile.append(vec![bad, next]))]
            }
            7 => {
                let mut bent = unkept(hostile);
                match self.dice.below(6) {
                    0 => bent.start_index += 1,
                    1 => bent.start_index = bent.start_index.saturating_sub(1),
                    2 => bent.checkpoint = self.forked(hostile),
                    3 => bent.items.clear(),
                    4 => bent.checkpoint.push('x'),
                    _ => bent.items.reverse(),
                }
                vec![push(bent)]
            }
            8 | 9 => self.ahead(hostile),
            10..=12 => {
                let receipt = self.receipt(hostile);
                let cosigned = receipt.map(|(_, checkpoint)| {
                    let checkpoint = if self.dice.one_in(6) {
                        checkpoint.replace("\n1", "\n2")
                    } else {
                        checkpoint
                    };
                    frame::Frame::Cosigned(v1::Cosigned { checkpoint })
                });
                cosigned.into_iter().collect()
            }
            13 | 14 => {
                vec![beat(newest(hostile))]
            }
            15 => {
                let forked = self.forked(hostile);
                vec![beat(forked)]
            }
            16 => vec![self.replayed()],
            17 => vec![self.first(hostile)],
            18 => (0..12).map(|_| beat(String::new())).collect(),
            19 => vec![frame::Frame::Fault(v1::Fault {
                code: [0, 1, 4, 7, 9, 11, 99][self.dice.index(7)],
                text: "\u{202e}".repeat(self.dice.index(40)),
                ..v1::Fault::default()
            })],
            20 => {
                let refusal = self.refusal(hostile);
                vec![push(hostile.append(vec![refusal]))]
            }
            _ => {
                // Two pushes under the checkpoint of the second.
                let letters = hostile.letters(2);
                let mut first = hostile.append(letters);
                first.checkpoint.clear();
                let letters = hostile.letters(1);
                vec![push(first), push(hostile.append(letters))]
            }
        }
    }

    /// An urgent entry ahead of its turn, and what comes in its place.
    fn ahead(&mut self, hostile: &mut Hostile<'_>) -> Vec<frame::Frame> {
        let mut forge = hostile.forge();
        forge.header.precedence = v1::Precedence::Flash as i32;
        let item = forge.sign(hostile.me);
        let end = hostile.tree.size();
        let index = match self.dice.below(4) {
            0 => self.dice.below(end + 1),
            1 => end + 1_000_000,
            _ => end,
        };
        let express = v1::Express {
            index,
            item: Some(item.clone()),
        };
        let comes = if self.dice.one_in(6) {
            hostile.letter()
        } else {
            item
        };
        let express = frame::Frame::Express(express);
        if self.dice.one_in(3) {
            return vec![express];
        }
        vec![express, frame::Frame::Push(hostile.append(vec![comes]))]
    }

    /// A refusal of something that the node said, or never said.
    fn refusal(&mut self, hostile: &mut Hostile<'_>) -> v1::Item {
        let mut forge = hostile.forge();
        forge.header.kind = v1::Kind::Refusal as i32;
        "liaison.v1.Refusal".clone_into(&mut forge.header.schema);
        forge.body = v1::Refusal {
            index: self.dice.below(6),
            entry_digest: vec![7; 32].into(),
            reason: RefusalReason::BadSignature as i32,
            ..v1::Refusal::default()
        }
        .encode_to_vec();
        forge.state_body().sign(hostile.me)
    }

    /// An entry that must not become a message.
    fn bad(&mut self, hostile: &mut Hostile<'_>) -> v1::Item {
        let items = &self.memory.items;
        if !items.is_empty() && self.dice.one_in(4) {
            return items[self.dice.index(items.len())].clone();
        }
        let good = hostile.letter();
        let flip = |bytes: &Bytes, at: usize| {
            let mut bytes = bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1;
            Bytes::from(bytes)
        };
        let at = self.dice.index(4_096);
        match self.dice.below(6) {
            0 | 1 => v1::Item {
                entry: flip(&good.entry, at),
                ..good
            },
            2 => v1::Item {
                body: flip(&good.body, at),
                ..good
            },
            3 => v1::Item {
                salt: Bytes::new(),
                ..good
            },
            4 => {
                let mut forge = hostile.forge();
                forge.header.seen_size = u64::MAX;
                forge.sign(hostile.me)
            }
            _ => {
                // By a key that is none of this link's.
                let stranger = Side::new("lao.bg.vn.example", 9);
                let forge: Forge = hostile.forge();
                forge.sign(&stranger)
            }
        }
    }

    /// What the operator sees after a session; a link that is held is let go on.
    async fn look(&mut self) {
        let exchange = self.open();
        self.check();
        let link = link_of(&exchange);
        if let Some(held) = exchange.held(&link) {
            self.figures.holds += 1;
            let code = FaultCode::try_from(held.code).unwrap();
            // That the node itself was rolled back, no peer can make it believe.
            assert!(
                matches!(
                    code,
                    FaultCode::Equivocation
                        | FaultCode::BadCheckpoint
                        | FaultCode::RootMismatch
                        | FaultCode::IndexGap
                        | FaultCode::ExpressMismatch
                        | FaultCode::BadCosignature
                        | FaultCode::Protocol
                ),
                "{held:?}"
            );
            drop(
                exchange
                    .release(&link, "looked at", &liaison::exchange::Author::new("sim"))
                    .await,
            );
        }
    }

    fn check(&mut self) {
        let exchange = self.open();
        let link = link_of(&exchange);
        self.notary.assert_of(0, &exchange, true);
        let reader = exchange.reader(&link, LogSide::Own);
        let mut ids = BTreeSet::new();
        let mut of_the_node = 0;
        for stored in reader.entries(0, u64::MAX, usize::MAX).unwrap() {
            let entry = v1::Entry::decode(stored.entry.clone()).unwrap();
            let header = Header::parse(&entry.payload).unwrap();
            let id = header.id;
            assert!(ids.insert(id), "recorded twice: {id}");
            match self.node.told.get(&id) {
                Some(told) => {
                    assert_eq!(told.index, stored.index, "not where it was said to be");
                    let content = told.draft.body.as_ref().unwrap().body.as_ref().unwrap();
                    let (_, bytes) = reader.body(&stored).unwrap().expect("its body");
                    assert_eq!(bytes, body::encode(content));
                }
                None if header.kind == v1::Kind::Refusal as i32 => of_the_node += 1,
                None => {
                    let waits = |draft: &Arc<v1::Draft>| draft.id == id.to_string();
                    assert!(self.node.unanswered.iter().any(waits), "of nobody: {id}");
                }
            }
        }
        assert!(
            self.node.told.keys().all(|id| ids.contains(id)),
            "told and lost"
        );
        let tree = link.tree(LogSide::Own);
        let verifier = self.node.side.verifier(&self.peer);
        for (size, note) in exchange
            .receipts(&link, LogSide::Own, 0, usize::MAX)
            .unwrap()
        {
            let receipt = verifier.receipt(&note).expect("a receipt that holds");
            let root = reader.root_at(&tree, size).unwrap();
            assert_eq!(receipt.signed.checkpoint.root, root);
        }
        let keys = [self.peer.keys().message.verifier(&self.peer.name)];
        let reader = exchange.reader(&link, LogSide::Mirror);
        let mirror = reader.entries(0, u64::MAX, usize::MAX).unwrap();
        let mut refused = 0;
        let mut theirs = BTreeSet::new();
        for stored in mirror.iter().chain(&reader.all_expressed().unwrap()) {
            if stored.record.refused {
                refused += 1;
                continue;
            }
            let envelope = dsse::verify(stored.entry.clone(), &keys);
            let envelope = envelope.expect("admitted without a signature that holds");
            let id = Header::parse(&envelope.payload).unwrap().id;
            assert!(theirs.insert(id), "admitted twice: {id}");
        }
        assert!(of_the_node <= refused, "refused what never came");
        self.figures.refusals = refused;
    }
}

/// What the node holds of the peer's log.
fn mirrored(exchange: &Exchange) -> Tree {
    let link = link_of(exchange);
    let mut tree = Tree::new();
    let reader = exchange.reader(&link, LogSide::Mirror);
    for stored in reader.entries(0, u64::MAX, usize::MAX).unwrap() {
        tree.append(leaf_hash(&stored.entry), &mut Vec::new());
    }
    tree
}

/// Its true checkpoint.
fn newest(hostile: &Hostile<'_>) -> String {
    hostile.checkpoint(hostile.tree.size(), hostile.tree.root())
}

/// A push of which it forgets that it made it.
fn unkept(hostile: &mut Hostile<'_>) -> v1::Push {
    let before = hostile.tree.clone();
    let letters = hostile.letters(2);
    let push = hostile.append(letters);
    hostile.tree = before;
    push
}

fn beat(checkpoint: String) -> frame::Frame {
    frame::Frame::Heartbeat(v1::Heartbeat {
        checkpoint,
        sent_at: None,
    })
}
