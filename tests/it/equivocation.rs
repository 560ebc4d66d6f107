//! One log key, two logs: each way to be caught at it leaves a file that proves it offline, and no
//! file that was changed, or shows something else, proves anything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;

use liaison::audit::Code;
use liaison::audit::equivocation::{EquivocationVerdict, TwoLogs, verify_equivocation};
use liaison::crypto::checkpoint::{cosign, sign_checkpoint};
use liaison::crypto::vkey::VerifierKey;
use liaison::exchange::session::End;
use liaison::exchange::{Author, Exchange, RecorderMode};
use liaison::proto::v1::{self, FaultCode, frame};
use liaison::tlog::equivocation::{Equivocation, Prefix};
use liaison::tlog::{Hash, TileReader, Tree, leaf_hash};

use crate::hostile::Hostile;
use crate::sides::{Side, letter, link_of, sides, submit};

/// The cosigner keys of both sides: what stands on their cards.
fn cards(a: &Side, b: &Side) -> Vec<VerifierKey> {
    [a, b]
        .map(|side| side.keys().log.cosigner_verifier(&side.name))
        .to_vec()
}

fn beat(checkpoint: String) -> frame::Frame {
    frame::Frame::Heartbeat(v1::Heartbeat {
        checkpoint,
        sent_at: None,
    })
}

const OTHER: Hash = Hash([5; 32]);

/// Meets a node that has said one letter and mirrored three and then five, misbehaves, and returns
/// what the node holds the link for, as a restart after a loss of power finds it.
async fn caught<F>(misbehave: F) -> (Option<String>, FaultCode, Vec<VerifierKey>)
where
    F: AsyncFnOnce(&mut Hostile<'_>),
{
    let (a, b) = sides();
    let node = a.open(&b);
    submit(&node, letter(&b, 1)).await.unwrap();
    let mut peer = Hostile::meet(&b, &a, &node).await;
    peer.hear(1).await;
    for count in [3, 2] {
        let letters = peer.letters(count);
        peer.push(letters).await;
    }
    misbehave(&mut peer).await;
    peer.expect_fault().await;
    assert!(matches!(peer.hang_up().await, End::Held(_)));
    drop((peer, node));
    a.store.crash();
    let node = a.open(&b);
    let hold = node.held(&link_of(&node)).expect("held");
    let code = FaultCode::try_from(hold.code).unwrap();
    assert_eq!(hold.equivocation.is_some(), code == FaultCode::Equivocation);
    (hold.equivocation.clone(), code, cards(&a, &b))
}

fn proven(file: &str, keys: &[VerifierKey]) -> TwoLogs {
    let judged = verify_equivocation(file, keys);
    judged
        .proven
        .unwrap_or_else(|| panic!("{file}\n{:?}", judged.verdict))
}

/// Caught, and the file verifies under the cards of both, and under that of the accused alone.
async fn caught_and_proven<F>(sizes: [u64; 2], own_key: bool, misbehave: F)
where
    F: AsyncFnOnce(&mut Hostile<'_>),
{
    let (file, code, keys) = caught(misbehave).await;
    assert_eq!(code, FaultCode::Equivocation);
    let file = file.unwrap();
    let two = proven(&file, &keys);
    assert_eq!(two.notes.each_ref().map(|note| note.size), sizes);
    assert_eq!(two.prefix_root.is_some(), sizes[0] != sizes[1]);
    assert!(two.notes.iter().all(|note| note.authored_at.is_some()));
    let (accused, other) = if own_key { (0, 1) } else { (1, 0) };
    assert!(
        two.origin.starts_with(keys[accused].name()),
        "{}",
        two.origin
    );
    assert!(
        two.statement()
            .starts_with("EQUIVOCATION PROVEN: the holder of key ")
    );
    assert_eq!(two.fingerprint, keys[accused].keyid());
    let alone = proven(&file, &keys[accused..=accused]);
    assert_eq!(alone.key, two.key);
    let stranger = verify_equivocation(&file, &keys[other..=other]);
    assert_eq!(only(&stranger), Code::Key);
}

/// The code of the one error there is.
fn only(judged: &EquivocationVerdict) -> Code {
    assert!(judged.proven.is_none(), "{:?}", judged.proven);
    assert!(!judged.verdict.clean);
    judged.verdict.findings[0].code
}

#[tokio::test]
async fn two_notes_of_one_size_are_proof() {
    caught_and_proven([9, 9], false, async |peer| {
        peer.send(beat(peer.checkpoint(9, OTHER))).await;
        peer.send(beat(peer.checkpoint(9, Hash([6; 32])))).await;
    })
    .await;
}

#[tokio::test]
async fn a_smaller_note_after_a_larger_one_is_proof_with_the_prefix() {
    // Notes were mirrored at 3 and at 5.
    for (size, covering) in [(1, 3), (2, 3), (3, 3), (4, 5), (5, 5)] {
        caught_and_proven([size, covering], false, async |peer| {
            peer.send(beat(peer.checkpoint(size, OTHER))).await;
        })
        .await;
    }
}

#[tokio::test]
async fn an_old_tree_in_a_hello_is_proof() {
    caught_and_proven([2, 3], false, async |peer| {
        let hello = v1::Hello {
            own_checkpoint: peer.checkpoint(2, OTHER),
            ..peer.hello()
        };
        peer.connect();
        peer.send(frame::Frame::Hello(hello)).await;
    })
    .await;
}

#[tokio::test]
async fn a_push_that_extends_another_prefix_than_was_dated_is_proof() {
    for ahead in [6, 7, 8] {
        caught_and_proven([ahead, 8], false, async |peer| {
            peer.send(beat(peer.checkpoint(ahead, OTHER))).await;
            let letters = peer.letters(3);
            let push = peer.append(letters);
            peer.send(frame::Frame::Push(push)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_push_under_another_note_than_the_dated_one_is_proof_whatever_it_carries() {
    caught_and_proven([8, 8], false, async |peer| {
        peer.send(beat(peer.checkpoint(8, OTHER))).await;
        let letters = peer.letters(3);
        let mut push = peer.append(letters);
        push.checkpoint = peer.checkpoint(8, Hash([6; 32]));
        peer.send(frame::Frame::Push(push)).await;
    })
    .await;
}

#[tokio::test]
async fn two_sessions_that_say_different_things_are_proof() {
    caught_and_proven([7, 7], false, async |peer| {
        peer.send(beat(peer.checkpoint(7, OTHER))).await;
        // Until it is kept: the letter behind it is receipted after it.
        let first = peer.letters(1);
        peer.push(first).await;
        peer.connect();
        peer.greet().await;
        let letters = peer.letters(1);
        let push = peer.append(letters);
        peer.send(frame::Frame::Push(push)).await;
    })
    .await;
}

/// A receipt of the node's own log, as if another instance of the node had signed it.
fn of_the_other_instance(peer: &Hostile<'_>, size: u64, root: Hash) -> String {
    let origin = peer.node.origin_to(peer.me);
    let signed = sign_checkpoint(&peer.node.keys().log, &origin, size, root, 1);
    let receipt = cosign(&peer.me.keys().log, &peer.me.name, &signed, 2);
    receipt.note.clone()
}

#[tokio::test]
async fn evidence_against_ourselves_is_as_good() {
    caught_and_proven([1, 1], true, async |peer| {
        let checkpoint = of_the_other_instance(peer, 1, OTHER);
        peer.send(frame::Frame::Cosigned(v1::Cosigned { checkpoint }))
            .await;
    })
    .await;
    caught_and_proven([1, 1], true, async |peer| {
        let hello = v1::Hello {
            mirrored_checkpoint: of_the_other_instance(peer, 1, OTHER),
            ..peer.hello()
        };
        peer.connect();
        peer.send(frame::Frame::Hello(hello)).await;
    })
    .await;
    // The receipts reach to 4 here: what was signed at 2 is shown not to lie under them.
    caught_and_proven([2, 4], true, async |peer| {
        for (number, heard) in [(2, 4)] {
            for letter_number in number..=heard {
                let draft = letter(peer.me, letter_number);
                submit(&peer.exchange, draft).await.unwrap();
            }
        }
        peer.hear(4).await;
        until_delivered(&peer.exchange, 4).await;
        let checkpoint = of_the_other_instance(peer, 2, OTHER);
        peer.send(frame::Frame::Cosigned(v1::Cosigned { checkpoint }))
            .await;
    })
    .await;
}

async fn until_delivered(node: &Exchange, size: u64) {
    let link = link_of(node);
    let mut heads = link.watch_head();
    crate::sides::patiently(heads.wait_for(|head| head.delivered_size >= size))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_signatures_alone_do_not_prove_is_held_without_a_file() {
    let (file, code, _) = caught(async |peer| {
        let letters = peer.letters(2);
        let mut push = peer.append(letters);
        push.checkpoint = peer.checkpoint(7, OTHER);
        peer.send(frame::Frame::Push(push)).await;
    })
    .await;
    assert_eq!((file, code), (None, FaultCode::RootMismatch));
    let (file, code, _) = caught(async |peer| {
        let item = peer.letter();
        let index = 9;
        for item in [item, peer.letter()] {
            let item = Some(item);
            peer.send(frame::Frame::Express(v1::Express { index, item }))
                .await;
        }
    })
    .await;
    assert_eq!((file, code), (None, FaultCode::ExpressMismatch));
    let (file, code, _) = caught(async |peer| {
        let checkpoint = of_the_other_instance(peer, 9, OTHER);
        peer.send(frame::Frame::Cosigned(v1::Cosigned { checkpoint }))
            .await;
    })
    .await;
    assert_eq!((file, code), (None, FaultCode::BadCosignature));
}

/// A released fork is no forgiven fork: found again, it holds the link again, with evidence of its
/// own, and what was found before stays.
#[tokio::test]
async fn after_a_release_the_same_contradiction_holds_the_link_again() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let letters = peer.letters(5);
    peer.push(letters).await;
    let by = Author::new("operator/mai");
    let link = link_of(&node);
    for round in 1..=3 {
        peer.send(beat(peer.checkpoint(2, OTHER))).await;
        assert_eq!(peer.expect_fault().await.code(), FaultCode::Equivocation);
        assert!(matches!(peer.hang_up().await, End::Held(_)));
        // The log is what it was: nothing of the fork was taken.
        assert_eq!(link.head().mirror_size, 5);
        a.clock.advance(1_000);
        node.release(&link, &format!("reason {round}"), &by)
            .await
            .unwrap();
        assert_eq!(node.held(&link), None);
        peer.connect();
        peer.greet().await;
    }
    // Entries that extend what is mirrored are taken; those of the other tree are not.
    let letters = peer.letters(1);
    peer.push(letters).await;
    let mut forked = Tree::new();
    for byte in 0..7 {
        forked.append(Hash([byte; 32]), &mut Vec::new());
    }
    let letters = peer.letters(1);
    let mut push = peer.append(letters);
    push.checkpoint = peer.checkpoint(7, forked.root());
    peer.send(frame::Frame::Push(push)).await;
    assert_eq!(peer.expect_fault().await.code(), FaultCode::RootMismatch);
    peer.hang_up().await;
    assert_eq!(link.head().mirror_size, 6);
    drop((peer, node));

    a.store.crash();
    let node = a.open(&b);
    let link = link_of(&node);
    assert!(node.held(&link).is_some());
    let past = node.past_holds(&link).unwrap();
    let told: Vec<_> = past
        .iter()
        .map(|(number, past)| (*number, past.release.reason.as_str()))
        .collect();
    assert_eq!(told, [(3, "reason 3"), (2, "reason 2"), (1, "reason 1")]);
    let keys = cards(&a, &b);
    for (number, past) in &past {
        assert_eq!(past.release.by, "operator/mai");
        assert_eq!(past.release.at_ms, 1_795_000_000_000 + number * 1_000);
        proven(past.hold.equivocation.as_deref().unwrap(), &keys);
    }
}

/// The operator lets the link go on with one of two trees of which neither was mirrored; when the
/// other one comes up again, the link is held again.
#[tokio::test]
async fn a_released_fork_ahead_of_the_mirror_is_caught_by_what_was_chosen() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let letters = peer.letters(3);
    peer.push(letters).await;
    peer.send(beat(peer.checkpoint(4, OTHER))).await;
    peer.send(beat(peer.checkpoint(4, Hash([6; 32])))).await;
    peer.expect_fault().await;
    peer.hang_up().await;
    let link = link_of(&node);
    let by = Author::new("admin/qt-1");
    node.release(&link, "they say what comes now is the truth", &by)
        .await
        .unwrap();
    peer.connect();
    peer.greet().await;
    let letters = peer.letters(1);
    peer.push(letters).await;
    peer.send(beat(peer.checkpoint(4, OTHER))).await;
    assert_eq!(peer.expect_fault().await.code(), FaultCode::Equivocation);
    peer.hang_up().await;
    let hold = node.held(&link).unwrap();
    let two = proven(hold.equivocation.as_deref().unwrap(), &cards(&a, &b));
    assert_eq!(two.notes[0].size, 4);
    assert_eq!(node.past_holds(&link).unwrap().len(), 1);
}

/// The store fails at each commit, in every way, while a contradiction is found, told and released.
/// Who was told is told the truth after any restart; a hold has its incident and its proof; and a
/// hold is either still there or among those that are over.
#[tokio::test]
async fn killed_at_every_commit_the_link_is_held_if_the_peer_was_told() {
    use liaison::store::Failure;
    let mut told_count = 0;
    // The earlier note, the hold, the release.
    for number in 0..3 {
        for failure in [Failure::Before, Failure::Volatile, Failure::After] {
            for power_cut in [true, false] {
                let (a, b) = sides();
                let node = a.open(&b);
                let mut peer = Hostile::meet(&b, &a, &node).await;
                let letters = peer.letters(3);
                peer.push(letters).await;
                a.store.fail_commit(number, failure);
                peer.send(beat(peer.checkpoint(9, OTHER))).await;
                peer.send(beat(peer.checkpoint(2, OTHER))).await;
                let told = matches!(peer.hang_up().await, End::Held(_));
                let link = link_of(&node);
                let by = Author::new("operator/mai");
                let released = told && node.release(&link, "explained", &by).await.is_ok();
                drop((peer, link, node));
                let come_back = || {
                    if power_cut {
                        a.store.crash();
                    } else {
                        a.store.reopen();
                    }
                };
                come_back();
                let opened = a.try_open(&b, b.card_for(&a), RecorderMode::Inline);
                let node = opened.unwrap_or_else(|_| {
                    come_back();
                    a.open(&b)
                });
                let link = link_of(&node);
                let held = node.held(&link);
                let past = node.past_holds(&link).unwrap();
                let context = format!("{number} {failure:?} {power_cut}: {held:?} {past:?}");
                if told {
                    told_count += 1;
                    let over = past.first().map(|(_, past)| &past.hold);
                    let hold = held.as_deref().or(over).expect(&context);
                    proven(hold.equivocation.as_deref().unwrap(), &cards(&a, &b));
                }
                if released {
                    assert!(held.is_none(), "{context}");
                }
                assert!(held.is_none() || past.is_empty(), "{context}");
                assert!(past.len() <= 1, "{context}");
                let incidents = node.incidents(10).unwrap();
                let tell = |word: &str| {
                    incidents
                        .iter()
                        .filter(|i| i.what.starts_with(word))
                        .count()
                };
                let holds = usize::from(held.is_some()) + past.len();
                assert_eq!(tell("link held"), holds, "{context}");
                assert_eq!(
                    tell("link released by operator/mai: "),
                    past.len(),
                    "{context}"
                );
                // Found again.
                if held.is_none() {
                    let mut peer = Hostile::stranger(&b, &a, &node);
                    for byte in 0..3 {
                        peer.tree.append(Hash([byte; 32]), &mut Vec::new());
                    }
                    peer.greet().await;
                    peer.send(beat(peer.checkpoint(2, OTHER))).await;
                    assert!(matches!(peer.hang_up().await, End::Held(_)), "{context}");
                }
            }
        }
    }
    assert!(told_count >= 6, "{told_count}");
}

/// The peer hangs up before it can be told: it is held all the same.
#[tokio::test]
async fn a_peer_that_does_not_listen_is_held_all_the_same() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let letters = peer.letters(3);
    peer.push(letters).await;
    peer.send(beat(peer.checkpoint(2, OTHER))).await;
    peer.hang_up().await;
    drop((peer, node));
    a.store.crash();
    let node = a.open(&b);
    assert!(node.held(&link_of(&node)).unwrap().equivocation.is_some());
}

/// The accused side keeps what it was told, over restarts, until a session is up again.
#[tokio::test]
async fn the_accused_side_keeps_why_the_peer_holds_the_link() {
    let (a, b) = sides();
    let node = a.open(&b);
    let fault = |code: FaultCode, text: &str| {
        frame::Frame::Fault(v1::Fault {
            code: code as i32,
            origin: "laocai.bg.vn.example/hekou.ni.cn.example".to_owned(),
            index: 4,
            text: text.to_owned(),
            ..v1::Fault::default()
        })
    };
    let mut peer = Hostile::meet(&b, &a, &node).await;
    peer.send(fault(FaultCode::Equivocation, "it signed two"))
        .await;
    peer.hang_up().await;
    let what = |node: &Exchange| {
        let incidents = node.incidents(10).unwrap();
        incidents.into_iter().map(|i| i.what).collect::<Vec<_>>()
    };
    assert_eq!(what(&node).len(), 1);
    // Each attempt is answered anew: recorded once.
    for _ in 0..3 {
        peer.connect();
        peer.send(fault(FaultCode::Held, "held here: it signed two"))
            .await;
        peer.hang_up().await;
    }
    assert_eq!(what(&node).len(), 1);
    drop((peer, node));
    a.store.crash();
    let node = a.open(&b);
    let hold = node.held_by_peer(&link_of(&node)).unwrap();
    assert_eq!((hold.text.as_str(), hold.index), ("it signed two", 4));
    assert_eq!(node.held(&link_of(&node)), None);
    // Its going down says nothing of it.
    let mut peer = Hostile::stranger(&b, &a, &node);
    peer.send(fault(FaultCode::ShuttingDown, "bye")).await;
    peer.hang_up().await;
    assert!(node.held_by_peer(&link_of(&node)).is_some());
    peer.connect();
    peer.greet().await;
    let letters = peer.letters(1);
    peer.push(letters).await;
    assert_eq!(node.held_by_peer(&link_of(&node)), None);
    // What was missed when it was first said is recorded when it is said again.
    peer.send(fault(FaultCode::Held, "held here")).await;
    peer.hang_up().await;
    assert_eq!(what(&node).len(), 2);
    assert!(node.held_by_peer(&link_of(&node)).is_some());
    // With what it is held for, where the peer says so.
    peer.connect();
    peer.greet().await;
    let letters = peer.letters(1);
    peer.push(letters).await;
    let held_for = frame::Frame::Fault(v1::Fault {
        code: FaultCode::Held as i32,
        held_for: FaultCode::Equivocation as i32,
        ..v1::Fault::default()
    });
    peer.send(held_for).await;
    peer.hang_up().await;
    let hold = node.held_by_peer(&link_of(&node)).unwrap();
    assert_eq!(hold.code, FaultCode::Equivocation as i32);
}

// --- The file. ---

/// Two logs that share their first entries and then part.
struct Forked {
    sender: Side,
    mirror: Side,
    leaves: [Vec<Hash>; 2],
}

struct Leaves<'a>(&'a [Hash]);

impl TileReader for Leaves<'_> {
    type Error = std::convert::Infallible;

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, Self::Error> {
        assert_eq!(level, 0, "these logs have fewer than 65,536 entries");
        let start = usize::try_from(index).unwrap() * 256;
        Ok(self.0[start..start + 256]
            .iter()
            .flat_map(|leaf| leaf.0)
            .collect())
    }

    fn leaf(&self, index: u64) -> Result<Hash, Self::Error> {
        Ok(self.0[usize::try_from(index).unwrap()])
    }
}

impl Forked {
    fn new() -> Self {
        let (mirror, sender) = sides();
        let leaf = |log: usize, index: usize| {
            let log = if index < 2 { 0 } else { log };
            leaf_hash(format!("entry {index} of log {log}").as_bytes())
        };
        Self {
            leaves: [0, 1].map(|log| (0..600).map(|index| leaf(log, index)).collect()),
            sender,
            mirror,
        }
    }

    fn tree(&self, log: usize, size: usize) -> Tree {
        let mut tree = Tree::new();
        for leaf in &self.leaves[log][..size] {
            tree.append(*leaf, &mut Vec::new());
        }
        tree
    }

    /// A note of one of the logs, dated and cosigned.
    fn note(&self, log: usize, size: usize) -> String {
        let origin = self.sender.origin_to(&self.mirror);
        let root = self.tree(log, size).root();
        let at = 1_766_000_000 + size as u64;
        let signed = sign_checkpoint(&self.sender.keys().log, &origin, size as u64, root, at);
        let receipt = cosign(&self.mirror.keys().log, &self.mirror.name, &signed, at + 3);
        receipt.note.clone()
    }

    fn prefix(&self, log: usize, size: usize, larger: usize) -> Prefix {
        let tree = self.tree(log, larger);
        let leaves = Leaves(&self.leaves[log]);
        Prefix::of_tree(&tree, &leaves, size as u64, larger as u64).unwrap()
    }

    fn two_sizes(&self, size: usize, larger: usize) -> Equivocation {
        Equivocation {
            prefix: Some(self.prefix(1, size, larger)),
            smaller: self.note(0, size),
            larger: self.note(1, larger),
        }
    }

    fn one_size(&self, size: usize) -> Equivocation {
        Equivocation {
            prefix: None,
            smaller: self.note(0, size),
            larger: self.note(1, size),
        }
    }

    fn keys(&self) -> Vec<VerifierKey> {
        cards(&self.mirror, &self.sender)
    }
}

#[test]
fn files_of_every_pair_of_sizes_verify() {
    let forked = Forked::new();
    let keys = forked.keys();
    for size in 3..12 {
        proven(&forked.one_size(size).encode(), &keys);
        for larger in size + 1..20 {
            proven(&forked.two_sizes(size, larger).encode(), &keys);
        }
    }
    // Over tiles.
    for (size, larger) in [(255, 256), (256, 257), (257, 511), (300, 600), (512, 600)] {
        proven(&forked.two_sizes(size, larger).encode(), &keys);
    }
    // Up to where they part, both logs are one.
    for size in 1..=2 {
        let judged = verify_equivocation(&forked.two_sizes(size, 9).encode(), &keys);
        assert_eq!(only(&judged), Code::NoContradiction);
        let judged = verify_equivocation(&forked.one_size(size).encode(), &keys);
        assert_eq!(only(&judged), Code::NoContradiction);
    }
}

fn vector(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors/equivocation")
        .join(name)
}

/// The bytes of the format, as docs/protocol.md prints them. `LIAISON_BLESS=1` writes them.
#[test]
fn the_vectors_are_what_is_written() {
    let forked = Forked::new();
    let keys: Vec<String> = forked.keys().iter().map(ToString::to_string).collect();
    let keys = keys.join("\n") + "\n";
    for (name, text) in [
        ("one-size", forked.one_size(3).encode()),
        ("two-sizes", forked.two_sizes(3, 5).encode()),
        ("keys.vkeys", keys),
    ] {
        if std::env::var_os("LIAISON_BLESS").is_some() {
            std::fs::write(vector(name), &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(vector(name)).unwrap(),
            text,
            "{name}"
        );
    }
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let page = std::fs::read_to_string(page).unwrap();
    let printed = std::fs::read_to_string(vector("two-sizes")).unwrap();
    assert!(
        page.contains(&printed),
        "docs/protocol.md prints another file"
    );
}

/// The log key's lines are the proof; the others only date it.
fn only_dates(line: &str) -> bool {
    line.starts_with("\u{2014} ") && !line.split(' ').nth(1).unwrap().contains('/')
}

#[test]
fn no_changed_byte_leaves_a_proof() {
    let forked = Forked::new();
    let keys = forked.keys();
    for good in [forked.one_size(3).encode(), forked.two_sizes(3, 5).encode()] {
        let whole = verify_equivocation(&good, &keys);
        assert!(whole.proven.is_some());
        let mut line_start = 0;
        for line in good.split_inclusive('\n') {
            for at in line_start..line_start + line.len() {
                for bit in [0, 1, 5] {
                    let mut bytes = good.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    let Ok(bad) = String::from_utf8(bytes) else {
                        continue;
                    };
                    let judged = verify_equivocation(&bad, &keys);
                    // A line that dates it, now of a key that nobody named: said so, and not used.
                    let undated = judged.proven.as_ref().is_some_and(|two| {
                        let dates = two
                            .notes
                            .iter()
                            .flat_map(|note| [note.authored_at, note.cosigned_at]);
                        dates.flatten().count() == 3
                    });
                    let findings = &judged.verdict.findings;
                    let is_told = findings.iter().any(|f| f.code == Code::SignatureLines);
                    assert!(
                        judged.proven.is_none() || (only_dates(line) && undated && is_told),
                        "byte {at}, bit {bit}:\n{bad}"
                    );
                }
            }
            line_start += line.len();
        }
        // Every line taken away or doubled.
        let lines: Vec<&str> = good.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            let (mut without, mut twice) = (lines.clone(), lines.clone());
            let line = without.remove(at);
            twice.insert(at, line);
            let judged = verify_equivocation(&without.concat(), &keys);
            assert!(
                judged.proven.is_none() || only_dates(line),
                "without: {line}"
            );
            let judged = verify_equivocation(&twice.concat(), &keys);
            assert!(judged.proven.is_none(), "twice: {line}");
        }
    }
}

/// Each thing that proves nothing, and what is found about it.
#[test]
fn what_proves_nothing_is_found_by_its_reason() {
    let forked = Forked::new();
    let keys = forked.keys();
    let good = forked.two_sizes(3, 5);
    let one = forked.one_size(3);
    let (smaller, larger) = (good.smaller.clone(), good.larger.clone());
    let prefix = good.prefix.clone().unwrap();
    let with = |prefix: Option<Prefix>, smaller: &str, larger: &str| {
        let (smaller, larger) = (smaller.to_owned(), larger.to_owned());
        Equivocation {
            prefix,
            smaller,
            larger,
        }
        .encode()
    };
    let elsewhere = {
        let third = Side::new("mengla.bg.cn.example", 9);
        let origin = forked.sender.origin_to(&third);
        let root = forked.tree(0, 3).root();
        let signed = sign_checkpoint(&forked.sender.keys().log, &origin, 3, root, 1);
        signed.note.clone()
    };
    let stranger = {
        let origin = forked.sender.origin_to(&forked.mirror);
        let keys = Side::new(forked.sender.name.as_str(), 77).keys();
        let root = forked.tree(0, 3).root();
        sign_checkpoint(&keys.log, &origin, 3, root, 1).note.clone()
    };
    let lines_of = |note: &str, wanted: fn(&str) -> bool| -> String {
        note.split_inclusive('\n')
            .filter(|line| !line.starts_with("— ") || wanted(line))
            .collect()
    };
    let is_log = |line: &str| line.split(' ').nth(1).unwrap().contains('/');
    let log_only: fn(&str) -> bool = is_log;
    let no_log: fn(&str) -> bool = |line| !line.split(' ').nth(1).unwrap().contains('/');
    let bent = |change: fn(&mut Prefix)| {
        let mut prefix = prefix.clone();
        change(&mut prefix);
        with(Some(prefix), &smaller, &larger)
    };
    let mut cases: Vec<(&str, Code, String)> = vec![
        ("nothing", Code::NotOfTheFormat, String::new()),
        ("a note alone", Code::NotOfTheFormat, smaller.clone()),
        (
            "another version",
            Code::NotOfTheFormat,
            good.encode().replace("@v1", "@v2"),
        ),
        (
            "carriage returns",
            Code::NotOfTheFormat,
            good.encode().replace('\n', "\r\n"),
        ),
        (
            "a remark above",
            Code::NotOfTheFormat,
            format!("# see\n{}", good.encode()),
        ),
        (
            "a third note",
            Code::NotOfTheFormat,
            format!("{}\n{smaller}", good.encode()),
        ),
        (
            "no last newline",
            Code::NotOfTheFormat,
            good.encode().trim_end().to_owned(),
        ),
        (
            "one note twice",
            Code::NoContradiction,
            with(None, &smaller, &smaller),
        ),
        (
            "one log, dated twice",
            Code::NoContradiction,
            with(None, &one.smaller, &lines_of(&one.smaller, log_only)),
        ),
        (
            "a log that grew",
            Code::NoContradiction,
            with(Some(forked.prefix(0, 3, 5)), &smaller, &forked.note(0, 5)),
        ),
        (
            "two sizes without a proof",
            Code::Proof,
            with(None, &smaller, &larger),
        ),
        (
            "the larger one first",
            Code::Proof,
            with(Some(prefix.clone()), &larger, &smaller),
        ),
        (
            "a prefix for one size",
            Code::Proof,
            with(Some(prefix.clone()), &one.smaller, &one.larger),
        ),
        (
            "the smaller note's root as prefix",
            Code::Proof,
            bent(|p| p.root = Forked::new().tree(0, 3).root()),
        ),
        ("an invented prefix", Code::Proof, bent(|p| p.root = OTHER)),
        (
            "a hash changed",
            Code::Proof,
            bent(|p| p.hashes[1].0[0] ^= 1),
        ),
        ("hashes swapped", Code::Proof, bent(|p| p.hashes.swap(0, 1))),
        (
            "a hash missing",
            Code::Proof,
            bent(|p| p.hashes.truncate(3)),
        ),
        ("no hashes", Code::Proof, bent(|p| p.hashes.clear())),
        (
            "a hash too many",
            Code::Proof,
            bent(|p| p.hashes.push(OTHER)),
        ),
        (
            "the proof of other sizes",
            Code::Proof,
            with(Some(forked.prefix(1, 3, 6)), &smaller, &larger),
        ),
        (
            "the proof of the other log",
            Code::Proof,
            with(Some(forked.prefix(0, 3, 5)), &smaller, &larger),
        ),
        (
            "another root under the signatures",
            Code::Signature,
            with(
                None,
                &one.smaller,
                &one.smaller
                    .replace(&forked.tree(0, 3).root().to_string(), &OTHER.to_string()),
            ),
        ),
        (
            "another size under the signatures",
            Code::Signature,
            with(
                Some(prefix.clone()),
                &smaller,
                &larger.replace("\n5\n", "\n6\n"),
            ),
        ),
        (
            "no line of the log key",
            Code::Key,
            with(Some(prefix.clone()), &smaller, &lines_of(&larger, no_log)),
        ),
        (
            "signed by a key of nobody",
            Code::Key,
            with(None, &stranger, &lines_of(&one.larger, log_only)),
        ),
        (
            "logs of two links",
            Code::Names,
            with(None, &elsewhere, &one.larger),
        ),
        (
            "an extension line that was not signed",
            Code::Signature,
            with(
                Some(prefix.clone()),
                &smaller,
                &larger.replacen("\n\n", "\nextra\n\n", 1),
            ),
        ),
        (
            "no checkpoint",
            Code::Checkpoint,
            with(None, "x\n\n— a AAAAAAA=\n", &larger),
        ),
        (
            "a size with a zero in front",
            Code::Checkpoint,
            with(
                Some(prefix.clone()),
                &smaller,
                &larger.replace("\n5\n", "\n05\n"),
            ),
        ),
        (
            "an origin that is none",
            Code::Checkpoint,
            with(None, &smaller.replace("/laocai", "+laocai"), &larger),
        ),
        (
            "a cosignature that does not hold",
            Code::Signature,
            with(
                Some(prefix.clone()),
                &smaller,
                &larger.replace(
                    larger.split(' ').next_back().unwrap().trim_end(),
                    smaller.split(' ').next_back().unwrap().trim_end(),
                ),
            ),
        ),
    ];
    // Cut anywhere between lines.
    let whole = good.encode();
    for (at, _) in whole.match_indices('\n').take(6) {
        cases.push(("cut", Code::NotOfTheFormat, whole[..=at].to_owned()));
    }
    for (name, code, file) in &cases {
        let judged = verify_equivocation(file, &keys);
        assert!(judged.proven.is_none(), "{name}");
        assert_eq!(
            only(&judged),
            *code,
            "{name}: {:?}",
            judged.verdict.findings
        );
    }
    assert!(cases.len() >= 30);
    let mut more = keys.clone();
    // Two keys of one log, both trusted: neither holder said both.
    let second = Side::new(forked.sender.name.as_str(), 77).keys();
    more.push(second.log.cosigner_verifier(&forked.sender.name));
    let judged = verify_equivocation(&with(None, &stranger, &one.larger), &more);
    assert_eq!(only(&judged), Code::Key);
    // Keys of nobody at all.
    assert_eq!(only(&verify_equivocation(&whole, &[])), Code::Key);
    // What dates it is not needed to prove it.
    let bare = with(
        Some(prefix),
        &lines_of(&smaller, log_only),
        &lines_of(&larger, log_only),
    );
    let judged = verify_equivocation(&bare, &keys);
    assert!(judged.proven.is_some());
    assert!(judged.verdict.findings.iter().all(|f| f.code == Code::Date));
    assert_eq!(judged.verdict.findings.len(), 2);
}
