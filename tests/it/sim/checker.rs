//! Everything that was promised, looked at where all is quiet.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashSet};

use liaison::crypto::checkpoint::Checkpoint;
use liaison::crypto::dsse;
use liaison::crypto::note::Note;
use liaison::exchange::layout::Place;
use liaison::exchange::{Exchange, LogSide};
use liaison::model::{Header, body};
use liaison::proto::v1;
use prost::Message as _;

use super::faults::Special;
use super::machine::Machine;
use super::world::World;
use crate::sides::{Side, assert_same_logs, link_of};

impl World {
    /// Both nodes stand and nothing is under way. `last`: looks at everything again.
    pub(crate) fn check(&mut self, last: bool) {
        let [a, b] = &self.machines;
        let (x, y) = (a.process.as_ref().unwrap(), b.process.as_ref().unwrap());
        assert_same_logs(x, y);
        assert_eq!(cases(x), cases(y), "the cases differ");
        for (who, machine, peer) in [(0, a, b), (1, b, a)] {
            let (mine, theirs) = (
                machine.process.as_ref().unwrap(),
                peer.process.as_ref().unwrap(),
            );
            let link = link_of(mine);
            assert_eq!(mine.held(&link), None);
            assert!(link.presence().up);
            self.notary.assert_of(who, mine, last);
            self.check_own_log(machine, mine, theirs);
            check_mirror(&peer.side, mine, &mut self.verified);
            let durable = peer.disk.held().mirror;
            let may_hold = if self.special == Special::LyingDisk(1 - who) {
                u64::MAX
            } else {
                durable
            };
            check_receipts(machine, &peer.side, mine, may_hold, &mut self.verified);
        }
        self.figures.notes = self.notary.count();
    }

    /// What callers were told is there, once, where they were told; and nothing else is.
    fn check_own_log(&self, machine: &Machine, mine: &Exchange, theirs: &Exchange) {
        let link = link_of(mine);
        let reader = mine.reader(&link, LogSide::Own);
        let mut ids = BTreeMap::new();
        for stored in reader.entries(0, u64::MAX, usize::MAX).unwrap() {
            let entry = v1::Entry::decode(stored.entry.clone()).unwrap();
            let id = Header::parse(&entry.payload).unwrap().id;
            let before = ids.insert(id, stored.index);
            assert!(before.is_none(), "recorded twice: {id}");
            let Some(told) = machine.told.get(&id) else {
                let asked = machine.unanswered.iter().any(|d| d.id == id.to_string());
                assert!(asked || self.forgiven.contains(&id), "of nobody: {id}");
                continue;
            };
            assert_eq!(
                told.index, stored.index,
                "not where it was said to be: {id}"
            );
            let content = told.draft.body.as_ref().unwrap().body.as_ref().unwrap();
            let (_, bytes) = reader.body(&stored).unwrap().expect("its body");
            assert_eq!(bytes, body::encode(content), "another content: {id}");
        }
        for id in machine.told.keys() {
            let index = ids.get(id);
            let index = *index.unwrap_or_else(|| panic!("told as recorded and not there: {id}"));
            let (_, place) = theirs.find(*id).unwrap().expect("shown at the peer");
            assert_eq!(place, Place::Log(LogSide::Mirror, index));
        }
        let there = link_of(theirs);
        let waiting = theirs.reader(&there, LogSide::Mirror).all_expressed();
        assert_eq!(waiting.unwrap().len(), 0, "expressed and never mirrored");
    }
}

/// What was verified once, by its bytes.
#[derive(Debug, Default)]
pub(crate) struct Known(HashSet<Vec<u8>>);

impl Known {
    fn once(&mut self, bytes: &[u8], verify: impl FnOnce() -> bool) -> bool {
        if self.0.contains(bytes) {
            return true;
        }
        let holds = verify();
        if holds {
            self.0.insert(bytes.to_vec());
        }
        holds
    }
}

/// Every receipt kept verifies, is of the own log, and covers what the peer durably holds.
fn check_receipts(
    machine: &Machine,
    peer: &Side,
    mine: &Exchange,
    peer_holds: u64,
    known: &mut Known,
) {
    let link = link_of(mine);
    let tree = link.tree(LogSide::Own);
    let reader = mine.reader(&link, LogSide::Own);
    let receipts = mine.receipts(&link, LogSide::Own, 0, usize::MAX).unwrap();
    let newest = receipts.last().map_or(0, |(size, _)| *size);
    let verifier = LazyCell::new(|| machine.side.verifier(peer));
    assert_eq!(newest, tree.size(), "not all is under a receipt");
    for (size, note) in &receipts {
        let holds = known.once(note.as_bytes(), || verifier.receipt(note).is_ok());
        assert!(holds, "a receipt that does not hold");
        let text = Note::parse(note).unwrap();
        let checkpoint = Checkpoint::parse(text.text()).unwrap();
        assert_eq!(checkpoint.size, *size);
        assert_eq!(checkpoint.root, reader.root_at(&tree, *size).unwrap());
        assert!(
            *size <= peer_holds,
            "a receipt for {size}, {peer_holds} are durable"
        );
    }
}

/// Nothing was admitted but what its author signed; and of honest peers all of it.
fn check_mirror(author: &Side, exchange: &Exchange, known: &mut Known) {
    let link = link_of(exchange);
    let reader = exchange.reader(&link, LogSide::Mirror);
    let keys = LazyCell::new(|| [author.keys().message.verifier(&author.name)]);
    for stored in reader.entries(0, u64::MAX, usize::MAX).unwrap() {
        assert!(!stored.record.refused, "an honest entry was refused");
        let holds = known.once(&stored.entry, || {
            dsse::verify(stored.entry.clone(), &*keys).is_ok()
        });
        assert!(holds, "admitted without a signature that holds");
    }
}

/// Every case as a node folds it.
fn cases(exchange: &Exchange) -> String {
    let link = link_of(exchange);
    let now = 1_795_000_000_000;
    let snapshot = exchange.with_cases(&link, |cases| cases.snapshot(now).unwrap());
    serde_json::to_string(&snapshot.unwrap()).unwrap()
}
