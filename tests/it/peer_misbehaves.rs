//! A peer with valid keys that does not keep to the protocol. What concerns one entry is refused,
//! signed, and the link goes on; what breaks the logs holds the link with the evidence.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use liaison::crypto::checkpoint::{cosign, sign_checkpoint};
use liaison::exchange::layout::Place;
use liaison::exchange::session::{End, is_skewed};
use liaison::exchange::view::Detail;
use liaison::exchange::{Author, Exchange, LogSide, PeerMessageKey, RecorderMode};
use liaison::model::{Header, MessageId};
use liaison::proto::v1::{self, FaultCode, Frame, Level, RefusalReason, frame};
use liaison::tlog::{Hash, leaf_hash};
use prost::Message as _;

use crate::hostile::Hostile;
use crate::sides::{
    Side, Step, assert_same_logs, join, join_over, letter, link_of, patiently, quiet, sides,
    submit, wire,
};

fn id_of(item: &v1::Item) -> MessageId {
    let entry = v1::Entry::decode(item.entry.clone()).unwrap();
    Header::parse(&entry.payload).unwrap().id
}

fn message_at(exchange: &Exchange, side: LogSide, index: u64) -> v1::Message {
    let link = link_of(exchange);
    exchange
        .message(&link, Place::Log(side, index), Detail::Full)
        .unwrap()
}

fn resigned(item: &v1::Item, bend: impl FnOnce(&mut v1::Entry)) -> v1::Item {
    let mut entry = v1::Entry::decode(item.entry.clone()).unwrap();
    bend(&mut entry);
    v1::Item {
        entry: entry.encode_to_vec().into(),
        ..item.clone()
    }
}

fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes.into()
}

type Bad = (&'static str, RefusalReason, v1::Item);

/// One of each that admission refuses. The first honest letter's id and content come again.
fn every_bad_item(peer: &mut Hostile<'_>, first: &v1::Item) -> Vec<Bad> {
    use RefusalReason as R;
    let me = peer.me;
    let mut bad: Vec<Bad> = Vec::new();
    let good = peer.letter();
    let bent = resigned(&good, |e| {
        e.signatures[0].sig = flipped(&e.signatures[0].sig);
    });
    bad.push(("signature", R::BadSignature, bent));
    let bent = resigned(&good, |e| e.signatures[0].keyid = "00".repeat(32));
    bad.push(("unknown key", R::BadSignature, bent));
    let bent = resigned(&good, |e| {
        let mut header = v1::Header::decode(e.payload.clone()).unwrap();
        header.precedence = v1::Precedence::Priority as i32;
        e.payload = header.encode_to_vec().into();
    });
    bad.push(("header after signing", R::BadSignature, bent));
    let bent = v1::Item {
        body: flipped(&good.body),
        ..good.clone()
    };
    bad.push(("body", R::BodyMismatch, bent));
    let bent = v1::Item {
        salt: flipped(&good.salt),
        ..good.clone()
    };
    bad.push(("salt", R::BodyMismatch, bent));
    let bent = v1::Item {
        salt: Bytes::new(),
        ..good.clone()
    };
    bad.push(("no salt", R::BodyMismatch, bent));
    let bent = v1::Item {
        erased: true,
        ..good.clone()
    };
    bad.push(("erased", R::BodyMismatch, bent));

    let mut forge = peer.forge();
    forge.header.recipient = "mengla.bg.cn.example".into();
    bad.push(("another link's", R::WrongNames, forge.sign(me)));
    let mut forge = peer.forge();
    forge.header.sender = "mengla.bg.cn.example".into();
    bad.push(("another's name", R::WrongNames, forge.sign(me)));

    bad.push(("the same again", R::DuplicateId, first.clone()));
    let mut forge = peer.forge();
    forge.header.id = id_of(first).as_bytes().to_vec().into();
    bad.push(("the id with other content", R::DuplicateId, forge.sign(me)));

    let junk = v1::Item {
        entry: Bytes::from_static(b"\xff\xff"),
        ..good.clone()
    };
    bad.push(("no entry", R::MalformedEntry, junk));
    let empty = v1::Item {
        entry: Bytes::new(),
        ..good.clone()
    };
    bad.push(("an empty entry", R::MalformedEntry, empty));
    let bent = resigned(&good, |e| e.payload_type = "text/plain".into());
    bad.push(("payload type", R::MalformedEntry, bent));
    let bent = resigned(&good, |e| e.signatures.clear());
    bad.push(("no signature", R::MalformedEntry, bent));

    let mut forge = peer.forge();
    forge.header.id = Bytes::from_static(b"short");
    bad.push(("no id", R::MalformedHeader, forge.sign(me)));
    let mut forge = peer.forge();
    forge.header.created_at = None;
    bad.push(("no date", R::MalformedHeader, forge.sign(me)));

    let mut forge = peer.forge();
    forge.body = vec![0xff; 9];
    bad.push(("no letter", R::MalformedBody, forge.state_body().sign(me)));
    let mut forge = peer.forge();
    forge.header.schema = "liaison.v1.CrossingAlert".into();
    bad.push(("another kind's body", R::MalformedBody, forge.sign(me)));

    let attachment = |size: u64, digest_bytes: usize| v1::Attachment {
        name: "mẫu.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size,
        sha256: vec![7; digest_bytes].into(),
        description: None,
    };
    for (name, reason, attachments) in [
        ("65 attachments", R::OverLimit, vec![attachment(1, 32); 65]),
        (
            "too large",
            R::OverLimit,
            vec![attachment((1 << 30) + 1, 32)],
        ),
        ("no digest", R::MalformedBody, vec![attachment(1, 31)]),
    ] {
        let mut forge = peer.forge();
        let mut body = v1::OfficialLetter::decode(&forge.body[..]).unwrap();
        body.common.as_mut().unwrap().attachments = attachments;
        forge.body = body.encode_to_vec();
        bad.push((name, reason, forge.state_body().sign(me)));
    }
    let mut forge = peer.forge();
    forge.body.resize((1 << 20) + 1, 0);
    bad.push(("a body too large", R::OverLimit, forge.sign(me)));
    bad
}

#[tokio::test]
async fn what_is_wrong_with_one_entry_is_refused_and_the_link_goes_on() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let first = peer.letter();
    peer.push(vec![first.clone()]).await;
    let bad = every_bad_item(&mut peer, &first);
    for (number, (name, reason, item)) in bad.into_iter().enumerate() {
        let index = peer.tree.size();
        let leaf = leaf_hash(&item.entry);
        let next = peer.letter();
        let next_id = id_of(&next);
        peer.push(vec![item, next]).await;
        peer.hear(number + 1).await;

        let refusals = peer.refusals();
        let (header, refusal) = refusals.last().unwrap();
        assert_eq!(refusals.len(), number + 1, "{name}");
        assert_eq!(refusal.index, index, "{name}");
        assert_eq!(refusal.entry_digest[..], leaf.0[..], "{name}");
        assert_eq!(refusal.reason(), reason, "{name}: {}", refusal.detail);
        assert_eq!(header.kind, v1::Kind::Refusal as i32);

        let shown = message_at(&node, LogSide::Mirror, index);
        assert_eq!(shown.level(), Level::Refused, "{name}");
        assert!(shown.body.is_none() && shown.body_withheld, "{name}");
        let (_, place) = node.find(next_id).unwrap().unwrap();
        assert_eq!(place, Place::Log(LogSide::Mirror, index + 1), "{name}");
    }
    let (_, place) = node.find(id_of(&first)).unwrap().unwrap();
    assert_eq!(place, Place::Log(LogSide::Mirror, 0));
    assert_eq!(node.held(&link_of(&node)), None);
    let incidents = node.incidents(100).unwrap();
    assert_eq!(incidents.len(), peer.refusals().len());
}

#[tokio::test]
async fn many_bad_entries_of_one_run_are_each_refused() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let first = peer.letter();
    peer.push(vec![first.clone()]).await;
    let bad = every_bad_item(&mut peer, &first);
    let count = bad.len();
    let (mut reasons, mut items) = (Vec::new(), Vec::new());
    for (_, reason, item) in bad {
        // Frames have a limit: the largest goes in the test above.
        if item.body.len() < 1 << 20 {
            reasons.push(reason);
            items.push(item);
        }
    }
    assert_eq!(reasons.len() + 1, count);
    peer.push(items).await;
    peer.hear(reasons.len()).await;
    let told: Vec<_> = peer.refusals().iter().map(|(_, r)| r.reason()).collect();
    assert_eq!(told, reasons);
    // All incidents of one millisecond are there.
    assert_eq!(node.incidents(100).unwrap().len(), reasons.len());
}

#[tokio::test]
async fn a_refused_refusal_is_not_answered_with_another() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let mut forge = peer.forge();
    forge.header.kind = v1::Kind::Refusal as i32;
    forge.header.schema = "liaison.v1.Refusal".to_owned();
    forge.body = v1::Refusal::default().encode_to_vec();
    let item = forge.state_body().sign(&b);
    let bent = resigned(&item, |e| {
        e.signatures[0].sig = flipped(&e.signatures[0].sig);
    });
    peer.push(vec![bent]).await;
    // Taken once, refused the second time as a duplicate: neither is answered.
    peer.push(vec![item.clone()]).await;
    peer.push(vec![item]).await;
    assert_eq!(link_of(&node).head().own_size, 0);
    assert_eq!(node.incidents(10).unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_newer_is_admitted_and_shown_as_such() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let mut kind = peer.forge();
    kind.header.kind = 77;
    kind.header.schema = "liaison.v1.KindOfTomorrow".to_owned();
    kind.body = b"\xff anything".to_vec();
    let mut schema = peer.forge();
    schema.header.schema = "liaison.v2.OfficialLetter".to_owned();
    let mut precedence = peer.forge();
    precedence.header.precedence = 9;
    let mut status = peer.forge();
    status.header.status = 9;
    let mut handling = peer.forge();
    handling.header.handling.as_mut().unwrap().code = 9;
    let forged = [kind.state_body(), schema, precedence, status, handling];
    let items: Vec<_> = forged.iter().map(|forge| forge.sign(&b)).collect();
    peer.push(items.clone()).await;
    for (item, index) in items.iter().zip(0..) {
        let message = message_at(&node, LogSide::Mirror, index);
        assert!(message.needs_newer_version, "{index}");
        assert_eq!(message.level(), Level::Delivered);
        assert_eq!(message.id, id_of(item).to_string());
    }
    assert_eq!(message_at(&node, LogSide::Mirror, 0).kind_number, 77);
    assert_eq!(link_of(&node).head().own_size, 0);
}

#[tokio::test]
async fn a_body_changed_on_the_way_shows_at_the_sender_as_refused() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let bend = |mut frame: Frame| {
        if let Some(frame::Frame::Push(push)) = &mut frame.frame {
            for (item, index) in push.items.iter_mut().zip(push.start_index..) {
                match index {
                    0 => item.body = flipped(&item.body),
                    1 => item.salt = flipped(&item.salt),
                    2 => item.erased = true,
                    _ => {}
                }
            }
        }
        Step::Pass(frame)
    };
    for number in 0..4 {
        submit(&left, letter(&b, number)).await.unwrap();
    }
    let running = join_over(&left, &right, wire(bend, Step::Pass));
    quiet(&left, &right).await;
    for index in 0..3 {
        let message = message_at(&left, LogSide::Own, index);
        assert_eq!(message.level(), Level::Refused);
        let refusal = message.refusal.unwrap();
        assert_eq!(refusal.reason(), RefusalReason::BodyMismatch);
    }
    assert_eq!(message_at(&left, LogSide::Own, 3).level(), Level::Delivered);
    running.end().await;
    assert_same_logs(&left, &right);
}

#[tokio::test]
async fn two_nodes_that_do_not_know_each_others_keys_come_to_rest() {
    let (a, b) = sides();
    let stranger = Side::new("lao.bg.vn.example", 7);
    let open = |x: &Side, y: &Side| {
        let mut card = y.card_for(x);
        let wrong = stranger.keys().message.verifier(&y.name);
        card.message_keys = vec![PeerMessageKey::unbounded(wrong)];
        x.try_open(y, card, RecorderMode::Inline).unwrap()
    };
    let (left, right) = (open(&a, &b), open(&b, &a));
    let running = join(&left, &right);
    submit(&left, letter(&b, 1)).await.unwrap();
    submit(&right, letter(&a, 1)).await.unwrap();
    quiet(&left, &right).await;
    // A letter and the refusal of the other's; the refusals themselves are refused in silence.
    assert_eq!(link_of(&left).head().own_size, 2);
    assert_eq!(link_of(&right).head().own_size, 2);
    running.end().await;
    assert_same_logs(&left, &right);
}

#[tokio::test]
async fn a_refusal_of_what_is_not_there_yet_refuses_nothing() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let mut items = Vec::new();
    for index in [0, u64::MAX] {
        let mut forge = peer.forge();
        forge.header.kind = v1::Kind::Refusal as i32;
        forge.header.schema = "liaison.v1.Refusal".to_owned();
        forge.body = v1::Refusal {
            index,
            entry_digest: vec![1; 32].into(),
            reason: RefusalReason::OverLimit as i32,
            detail: "ahead of time".to_owned(),
        }
        .encode_to_vec();
        items.push(forge.state_body().sign(&b));
    }
    peer.push(items).await;
    submit(&node, letter(&b, 1)).await.unwrap();
    peer.hear(1).await;
    assert_ne!(message_at(&node, LogSide::Own, 0).level(), Level::Refused);
}

/// Meets a node, misbehaves, and sees the link held, with `evidence` notes kept: told to the peer,
/// durable, and over when an operator releases it.
async fn held<F>(code: FaultCode, evidence: usize, misbehave: F)
where
    F: AsyncFnOnce(&mut Hostile<'_>),
{
    let (a, b) = sides();
    let node = a.open(&b);
    // The node has something to say too.
    submit(&node, letter(&b, 1)).await.unwrap();
    let mut peer = Hostile::meet(&b, &a, &node).await;
    peer.hear(1).await;
    let letters = peer.letters(3);
    peer.push(letters).await;
    let honest = peer.tree.clone();

    misbehave(&mut peer).await;
    let fault = peer.expect_fault().await;
    assert_eq!(fault.code(), code, "{fault:?}");
    let end = peer.end().await;
    assert!(
        matches!(&end, End::Held(hold) if hold.code == code as i32),
        "{end}"
    );
    let (tree, mirrored) = (honest, peer.mirrored.clone());
    drop(peer);

    // It survives the power cut, with the evidence.
    drop(node);
    a.store.crash();
    let node = a.open(&b);
    let link = link_of(&node);
    let hold = node.held(&link).expect("held");
    assert_eq!(hold.code, code as i32);
    assert_eq!(hold.evidence.len(), evidence);
    let incidents = node.incidents(1).unwrap();
    assert_eq!(incidents[0].evidence, hold.evidence);
    // Nobody gets in meanwhile.
    let mut peer = Hostile::stranger(&b, &a, &node);
    (peer.tree, peer.mirrored) = (tree, mirrored);
    peer.send(frame::Frame::Hello(peer.hello())).await;
    assert_eq!(peer.expect_fault().await.code(), FaultCode::Held);
    assert!(matches!(peer.end().await, End::Held(_)));
    assert_eq!(link.head().mirror_size, peer.tree.size());

    node.release(&link, "looked at it", &Author::new("operator/mai"))
        .await
        .unwrap();
    assert_eq!(node.held(&link), None);
    // The evidence stays.
    let incidents = node.incidents(2).unwrap();
    assert_eq!(incidents[1].evidence, hold.evidence);
    peer.connect();
    peer.greet().await;
    let letters = peer.letters(5);
    peer.push(letters).await;
    assert_eq!(link.head().mirror_size, peer.tree.size());
}

fn push(push: v1::Push) -> frame::Frame {
    frame::Frame::Push(push)
}

fn beat(checkpoint: String) -> frame::Frame {
    frame::Frame::Heartbeat(v1::Heartbeat {
        checkpoint,
        sent_at: None,
    })
}

const OTHER_ROOT: Hash = Hash([5; 32]);

#[tokio::test]
async fn a_root_that_does_not_match_holds_the_link() {
    held(FaultCode::RootMismatch, 1, async |peer| {
        let letters = peer.letters(2);
        let mut bad = peer.append(letters);
        bad.checkpoint = peer.checkpoint(peer.tree.size(), OTHER_ROOT);
        peer.send(push(bad)).await;
    })
    .await;
}

#[tokio::test]
async fn a_skipped_index_holds_the_link() {
    for start_index in [4, 2, 0, u64::MAX] {
        held(FaultCode::IndexGap, 0, async |peer| {
            let letters = peer.letters(1);
            let mut bad = peer.append(letters);
            bad.start_index = start_index;
            peer.send(push(bad)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_checkpoint_that_contradicts_what_is_mirrored_holds_the_link() {
    for size in [1, 2, 3] {
        held(FaultCode::Equivocation, 2, async |peer| {
            peer.send(beat(peer.checkpoint(size, OTHER_ROOT))).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_push_that_contradicts_an_earlier_checkpoint_holds_the_link() {
    for ahead in [4, 5, 6] {
        held(FaultCode::Equivocation, 2, async |peer| {
            peer.send(beat(peer.checkpoint(ahead, OTHER_ROOT))).await;
            let letters = peer.letters(3);
            let bad = peer.append(letters);
            peer.send(push(bad)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn two_checkpoints_of_one_size_ahead_hold_the_link() {
    held(FaultCode::Equivocation, 2, async |peer| {
        peer.send(beat(peer.checkpoint(9, OTHER_ROOT))).await;
        peer.send(beat(peer.checkpoint(9, Hash([6; 32])))).await;
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_that_does_not_verify_holds_the_link() {
    held(FaultCode::BadCheckpoint, 1, async |peer| {
        peer.send(beat("no note".to_owned())).await;
    })
    .await;
    held(FaultCode::BadCheckpoint, 1, async |peer| {
        let letters = peer.letters(1);
        let mut bad = peer.append(letters);
        bad.checkpoint = bad.checkpoint.replace("\n4\n", "\n5\n");
        peer.send(push(bad)).await;
    })
    .await;
    // Longer than a value of the store: held all the same.
    held(FaultCode::BadCheckpoint, 1, async |peer| {
        let letters = peer.letters(1);
        let mut bad = peer.append(letters);
        bad.checkpoint = format!("{}{}", bad.checkpoint, "x\u{1}".repeat(500_000));
        peer.send(push(bad)).await;
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_of_another_size_holds_the_link() {
    held(FaultCode::BadCheckpoint, 1, async |peer| {
        let letters = peer.letters(2);
        let mut bad = peer.append(letters);
        bad.items.pop();
        peer.send(push(bad)).await;
    })
    .await;
}

fn cosigned(peer: &Hostile<'_>, size: u64, root: Hash) -> frame::Frame {
    let origin = peer.node.origin_to(peer.me);
    let signed = sign_checkpoint(&peer.node.keys().log, &origin, size, root, 1);
    let receipt = cosign(&peer.me.keys().log, &peer.me.name, &signed, 2);
    frame::Frame::Cosigned(v1::Cosigned {
        checkpoint: receipt.note.clone(),
    })
}

#[tokio::test]
async fn a_bad_cosignature_holds_the_link() {
    held(FaultCode::BadCosignature, 1, async |peer| {
        // Signed by the node, cosigned by nobody.
        let checkpoint = peer
            .checkpoint(1, peer.mirrored.root())
            .replace(&peer.me.name.to_string(), peer.node.name.as_str());
        peer.send(frame::Frame::Cosigned(v1::Cosigned { checkpoint }))
            .await;
    })
    .await;
    // This node has a receipt for what it signed at that size: its own key contradicts itself.
    held(FaultCode::Equivocation, 2, async |peer| {
        peer.send(cosigned(peer, 1, OTHER_ROOT)).await;
    })
    .await;
    held(FaultCode::BadCosignature, 1, async |peer| {
        peer.send(cosigned(peer, 9, OTHER_ROOT)).await;
    })
    .await;
    held(FaultCode::BadCosignature, 1, async |peer| {
        let checkpoint = "x".repeat(1 << 20);
        peer.send(frame::Frame::Cosigned(v1::Cosigned { checkpoint }))
            .await;
    })
    .await;
}

fn express(index: u64, item: Option<v1::Item>) -> frame::Frame {
    frame::Frame::Express(v1::Express { index, item })
}

#[tokio::test]
async fn an_expressed_entry_that_is_not_at_its_index_holds_the_link() {
    // Another one comes in its turn.
    held(FaultCode::ExpressMismatch, 2, async |peer| {
        let item = peer.letter();
        peer.send(express(4, Some(item))).await;
        let letters = peer.letters(2);
        let bad = peer.append(letters);
        peer.send(push(bad)).await;
    })
    .await;
}

#[tokio::test]
async fn two_entries_expressed_for_one_index_hold_the_link() {
    held(FaultCode::ExpressMismatch, 2, async |peer| {
        for item in peer.letters(2) {
            peer.send(express(9, Some(item))).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_entry_expressed_for_an_index_no_log_reaches_holds_the_link() {
    held(FaultCode::Protocol, 0, async |peer| {
        let item = peer.letter();
        let index = liaison::limits::CHECKPOINT_SIZE_MAX;
        peer.send(express(index, Some(item))).await;
    })
    .await;
}

#[tokio::test]
async fn an_entry_expressed_late_must_be_what_was_mirrored() {
    held(FaultCode::ExpressMismatch, 2, async |peer| {
        let item = peer.letter();
        peer.send(express(1, Some(item))).await;
    })
    .await;
}

#[tokio::test]
async fn an_entry_expressed_late_or_twice_is_nothing_new() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let letters = peer.letters(3);
    peer.send(express(1, Some(letters[1].clone()))).await;
    peer.send(express(1, Some(letters[1].clone()))).await;
    peer.push(letters.clone()).await;
    peer.send(express(1, Some(letters[1].clone()))).await;
    let letters = peer.letters(1);
    peer.push(letters).await;
    let head = link_of(&node).head();
    assert_eq!((head.mirror_size, head.expressed_count), (4, 1));
    assert_eq!(head.own_size, 0, "something was refused");
    assert!(message_at(&node, LogSide::Mirror, 1).expressed);
}

#[tokio::test]
async fn one_id_expressed_for_two_indices_is_shown_once() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let item = peer.letter();
    peer.send(express(2, Some(item.clone()))).await;
    peer.send(express(1, Some(item.clone()))).await;
    let first = peer.letter();
    // The second place is refused when its turn comes; the first one stands.
    peer.push(vec![first, item.clone(), item.clone()]).await;
    peer.hear(1).await;
    let refusals = peer.refusals();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].1.index, 1);
    let (_, place) = node.find(id_of(&item)).unwrap().unwrap();
    assert_eq!(place, Place::Log(LogSide::Mirror, 2));
}

#[tokio::test]
async fn frames_outside_the_protocol_hold_the_link() {
    held(FaultCode::Protocol, 0, async |peer| {
        peer.send(frame::Frame::Hello(peer.hello())).await;
    })
    .await;
    held(FaultCode::Protocol, 0, async |peer| {
        peer.send_raw(Frame { frame: None }).await;
    })
    .await;
    held(FaultCode::Protocol, 0, async |peer| {
        let empty = peer.append(Vec::new());
        peer.send(push(empty)).await;
    })
    .await;
    held(FaultCode::Protocol, 0, async |peer| {
        peer.send(express(9, None)).await;
    })
    .await;
    held(FaultCode::Protocol, 0, async |peer| {
        let letter = peer.letter();
        let many = peer.append(vec![letter; 513]);
        peer.send(push(many)).await;
    })
    .await;
    held(FaultCode::Protocol, 0, async |peer| {
        let mut item = peer.letter();
        item.entry = vec![0; 65_536].into();
        let large = peer.append(vec![item]);
        peer.send(push(large)).await;
    })
    .await;
}

#[tokio::test]
async fn more_than_the_window_holds_the_link() {
    // In entries: without a checkpoint nothing is cosigned.
    held(FaultCode::Protocol, 0, async |peer| {
        let letter = peer.letter();
        for _ in 0..9 {
            let mut bad = peer.append(vec![letter.clone(); 512]);
            bad.checkpoint.clear();
            peer.send(push(bad)).await;
        }
    })
    .await;
    // In bytes.
    held(FaultCode::Protocol, 0, async |peer| {
        let mut item = peer.letter();
        item.body = vec![0; 1 << 20].into();
        for _ in 0..17 {
            let mut bad = peer.append(vec![item.clone()]);
            bad.checkpoint.clear();
            peer.send(push(bad)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_run_may_lie_in_several_pushes_under_one_checkpoint() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    for _ in 0..4 {
        let letters = peer.letters(2);
        let mut part = peer.append(letters);
        part.checkpoint.clear();
        peer.send(push(part)).await;
    }
    let letters = peer.letters(1);
    peer.push(letters).await;
    assert_eq!(link_of(&node).head().mirror_size, 9);
}

#[tokio::test]
async fn a_bad_checkpoint_in_a_hello_holds_the_link() {
    for bend in [
        (|hello: &mut v1::Hello| hello.own_checkpoint = "junk".to_owned()) as fn(&mut v1::Hello),
        |hello| hello.mirrored_checkpoint = "junk".to_owned(),
        |hello| hello.mirrored_checkpoint.clear(),
        |hello| hello.mirrored_size += 1,
    ] {
        let (a, b) = sides();
        let node = a.open(&b);
        submit(&node, letter(&b, 1)).await.unwrap();
        let mut peer = Hostile::meet(&b, &a, &node).await;
        peer.hear(1).await;
        peer.connect();
        let mut hello = peer.hello();
        bend(&mut hello);
        peer.send(frame::Frame::Hello(hello)).await;
        let code = peer.expect_fault().await.code();
        assert!(
            matches!(code, FaultCode::BadCheckpoint | FaultCode::BadCosignature),
            "{code:?}"
        );
        assert!(matches!(peer.end().await, End::Held(_)));
    }
}

#[tokio::test]
async fn a_hello_of_another_version_or_name_is_refused_and_holds_nothing() {
    let (a, b) = sides();
    let node = a.open(&b);
    for (bend, is_told) in [
        (
            (|hello: &mut v1::Hello| hello.version_min = 2) as fn(&mut v1::Hello),
            true,
        ),
        (|hello| hello.version_max = 0, true),
        (
            |hello| hello.node = "mengla.bg.cn.example".to_owned(),
            false,
        ),
    ] {
        let mut peer = Hostile::stranger(&b, &a, &node);
        let mut hello = peer.hello();
        hello.version_max = 9;
        bend(&mut hello);
        peer.send(frame::Frame::Hello(hello)).await;
        if is_told {
            assert_eq!(peer.expect_fault().await.code(), FaultCode::Version);
        }
        assert!(matches!(peer.end().await, End::Refused(_)));
    }
    let mut peer = Hostile::stranger(&b, &a, &node);
    peer.send(beat(String::new())).await;
    assert!(matches!(peer.end().await, End::Refused(_)));
    assert_eq!(node.held(&link_of(&node)), None);
    assert!(!link_of(&node).presence().up);
    // A newer peer that still speaks our version is welcome.
    let mut peer = Hostile::stranger(&b, &a, &node);
    let mut hello = peer.hello();
    hello.version_max = 9;
    peer.send(frame::Frame::Hello(hello)).await;
    assert!(matches!(peer.next().await, Some(frame::Frame::Hello(_))));
    let letters = peer.letters(1);
    peer.push(letters).await;
}

#[tokio::test]
async fn a_skewed_clock_is_flagged_and_stops_nothing() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    b.clock.advance(121_000);
    let running = join(&left, &right);
    submit(&left, letter(&b, 1)).await.unwrap();
    submit(&right, letter(&a, 1)).await.unwrap();
    quiet(&left, &right).await;
    for (exchange, skew_ms) in [(&left, 121_000), (&right, -121_000)] {
        assert_eq!(link_of(exchange).presence().skew_ms, Some(skew_ms));
        assert!(is_skewed(skew_ms));
        let incidents = exchange.incidents(10).unwrap();
        assert_eq!(incidents.len(), 1, "{incidents:?}");
        assert!(incidents[0].what.contains("clock"));
    }
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let (a, b) = sides();
    let node = a.open(&b);
    // Not even a Hello.
    let mut peer = Hostile::stranger(&b, &a, &node);
    let started = tokio::time::Instant::now();
    assert!(matches!(peer.end().await, End::Refused(_)));
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    // A Hello, and then nothing.
    peer.connect();
    peer.greet().await;
    let end = tokio::time::timeout(Duration::from_secs(600), peer.running.take().unwrap());
    let end = end.await.unwrap().unwrap();
    assert!(matches!(end, End::Lost(_)), "{end}");
    assert!(!link_of(&node).presence().up);
}

#[tokio::test]
async fn a_peer_that_never_reads_stops_neither_its_own_letters_nor_the_end() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    for number in 0..2_000 {
        submit(&node, letter(&b, number)).await.unwrap();
    }
    // From here on nothing is read: the way out is full at once.
    for _ in 0..5 {
        let letters = peer.letters(3);
        let part = peer.append(letters);
        peer.send(push(part)).await;
    }
    let link = link_of(&node);
    let mut heads = link.watch_head();
    patiently(heads.wait_for(|head| head.mirror_size >= 3))
        .await
        .unwrap();
    // Frames are still taken in and judged.
    let item = peer.letter();
    peer.send(express(40, Some(item))).await;
    patiently(heads.wait_for(|head| head.expressed_count == 1))
        .await
        .unwrap();
    liaison::exchange::session::stop(&link);
    let started = std::time::Instant::now();
    assert!(matches!(peer.end().await, End::Replaced));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_hold_by_someone_else_ends_the_session() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    submit(&left, letter(&b, 1)).await.unwrap();
    quiet(&left, &right).await;
    let link = link_of(&left);
    let hold = liaison::exchange::hold::Hold {
        code: FaultCode::Held as i32,
        origin: link.own.to_string(),
        index: 0,
        text: "by an operator".to_owned(),
        evidence: Vec::new(),
        equivocation: None,
        at_ms: 1,
    };
    left.hold(&link, hold).await.unwrap();
    let (a_end, b_end) = running.ended().await;
    assert!(matches!(a_end, End::Held(_)), "{a_end}");
    assert!(
        matches!(&b_end, End::PeerFault(fault) if fault.code() == FaultCode::Held),
        "{b_end}"
    );
    assert!(!link.presence().up);
}

#[tokio::test]
async fn a_fault_of_the_peer_is_recorded_here_too() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let fault = v1::Fault {
        code: FaultCode::RolledBack as i32,
        origin: "x".repeat(1 << 20),
        index: 7,
        text: "\u{202e}".repeat(1 << 18),
        ..v1::Fault::default()
    };
    peer.send(frame::Frame::Fault(fault)).await;
    let end = peer.end().await;
    assert!(matches!(end, End::PeerFault(_)));
    assert!(end.to_string().len() < 20_000);
    let incidents = node.incidents(10).unwrap();
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0].what.contains("ROLLED_BACK"));
    assert!(!incidents[0].what.contains('\u{202e}'));
    assert_eq!(node.held(&link_of(&node)), None);
}
