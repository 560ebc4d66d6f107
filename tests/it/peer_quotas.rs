//! A peer with valid keys leaves no more behind than there is room for, and what it says of files
//! counts only as far as it can be true.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use liaison::exchange::clock::Clock as _;
use liaison::exchange::layout::FileRef;
use liaison::exchange::{Exchange, LogSide};
use liaison::limits::{BODY_BYTES_MAX, EXPRESSED_BYTES_MAX, HEARTBEATS_BURST_MAX};
use liaison::proto::v1::{self, frame};
use liaison::tlog::Hash;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::hostile::Hostile;
use crate::sides::{Side, flash, letter, letter_body, link_of, patiently, sides, submit};

fn blobs_of(side: &Side) -> usize {
    let entries = std::fs::read_dir(side.dir.path().join("blobs")).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().file_name().len() == 64)
        .count()
}

/// Keys of a region of the store.
fn rows(side: &Side, region: u8) -> Vec<Vec<u8>> {
    let keys = side.store.records().into_keys();
    keys.filter(|key| key[0] == region).collect()
}

/// Waits until everything sent so far was taken in: a second Hello ends the session.
async fn end(peer: &mut Hostile<'_>) {
    peer.send(frame::Frame::Hello(peer.hello())).await;
    peer.expect_fault().await;
    peer.end().await;
}

fn naming(peer: &mut Hostile<'_>, file: FileRef) -> v1::Item {
    let mut forge = peer.forge();
    let mut body = letter_body(1);
    body.common.as_mut().unwrap().attachments = vec![attachment(file)];
    forge.body = body.encode_to_vec();
    forge.state_body().sign(peer.me)
}

fn attachment(file: FileRef) -> v1::Attachment {
    v1::Attachment {
        name: "scan.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size: file.size,
        sha256: file.sha256.to_vec().into(),
        ..v1::Attachment::default()
    }
}

fn file(number: u64, size: u64) -> FileRef {
    FileRef {
        sha256: Sha256::digest(number.to_be_bytes()).into(),
        size,
    }
}

#[tokio::test]
async fn entries_ahead_of_their_turn_leave_no_more_files_than_there_is_room_for() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let room = usize::try_from(EXPRESSED_BYTES_MAX).unwrap() / BODY_BYTES_MAX;
    for index in 1..=room + 10 {
        let mut forge = peer.forge();
        forge.header.kind = 9_999;
        forge.header.schema = "liaison.v1.FutureThing".to_owned();
        forge.body = vec![u8::try_from(index).unwrap(); BODY_BYTES_MAX];
        let item = forge.state_body().sign(&b);
        let express = v1::Express {
            index: index as u64,
            item: Some(item),
        };
        peer.send(frame::Frame::Express(express)).await;
    }
    // A small one finds a place all the same.
    let item = peer.letter();
    let express = v1::Express {
        index: 5_000,
        item: Some(item),
    };
    peer.send(frame::Frame::Express(express)).await;
    end(&mut peer).await;
    let waiting = link_of(&node).head().express_waiting;
    assert!(waiting.bytes <= EXPRESSED_BYTES_MAX, "{waiting:?}");
    assert_eq!(waiting.entries, room);
    assert_eq!(blobs_of(&a), room - 1, "files that no record names");
    assert_eq!(rows(&a, b'X').len(), room);
    drop(peer);
    drop(node);
    let node = a.open(&b);
    assert_eq!(link_of(&node).head().express_waiting, waiting);
}

#[tokio::test]
async fn another_entry_for_an_expressed_index_leaves_no_file() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    for fill in [1, 2] {
        let mut forge = peer.forge();
        forge.header.kind = 9_999;
        forge.header.schema = "liaison.v1.FutureThing".to_owned();
        forge.body = vec![fill; 100_000];
        let item = Some(forge.state_body().sign(&b));
        let express = v1::Express { index: 7, item };
        peer.send(frame::Frame::Express(express)).await;
    }
    let fault = peer.expect_fault().await;
    assert_eq!(fault.code(), v1::FaultCode::ExpressMismatch);
    assert_eq!(blobs_of(&a), 1);
}

#[tokio::test]
async fn heartbeats_of_invented_sizes_leave_one_record() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let letters = peer.letters(3);
    peer.push(letters).await;
    for number in 0..100 {
        b.clock.advance(1_000);
        let checkpoint = peer.checkpoint(1_000 + number, Hash([7; 32]));
        let beat = v1::Heartbeat {
            checkpoint,
            sent_at: None,
        };
        peer.send(frame::Frame::Heartbeat(beat)).await;
    }
    end(&mut peer).await;
    let kept = rows(&a, b'D');
    let [kept] = &kept[..] else {
        panic!("{} records", kept.len())
    };
    let size = u64::from_be_bytes(kept[3..].try_into().unwrap());
    // The others came too fast and were not looked at.
    assert!(
        size < 1_000 + u64::from(HEARTBEATS_BURST_MAX) + 50,
        "{size}"
    );
}

#[tokio::test]
async fn heartbeats_that_come_too_fast_are_not_looked_at() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let mut sent = 0_u32;
    let began = std::time::Instant::now();
    for _ in 0..HEARTBEATS_BURST_MAX * 4 {
        b.clock.advance(1_000);
        let checkpoint = peer.checkpoint(0, peer.tree.root());
        let beat = v1::Heartbeat {
            checkpoint,
            sent_at: None,
        };
        peer.send(frame::Frame::Heartbeat(beat)).await;
        sent += 1;
    }
    let first = peer.me.clock.unix_seconds() - u64::from(sent) + 1;
    end(&mut peer).await;
    let seconds = began.elapsed().as_secs() + 1;
    let kept = a
        .store
        .records()
        .into_iter()
        .find(|(key, _)| key[0] == b'D');
    let note = String::from_utf8(kept.unwrap().1).unwrap();
    let signed = b.verifier(&a).checkpoint(&note).unwrap();
    let taken = signed.authored_at - first + 1;
    assert!(
        taken <= u64::from(HEARTBEATS_BURST_MAX) + seconds,
        "{taken} of {sent}"
    );
    // Within the bound each is kept.
    assert!(taken >= u64::from(HEARTBEATS_BURST_MAX), "{taken}");
}

#[tokio::test]
async fn a_file_named_with_another_size_does_not_break_the_first() {
    let (a, b) = sides();
    let node = a.open(&b);
    let link = link_of(&node);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let content = b"what the first message names";
    let right = FileRef {
        sha256: Sha256::digest(content).into(),
        size: content.len() as u64,
    };
    let wrong = FileRef { size: 5, ..right };
    let items = vec![naming(&mut peer, right), naming(&mut peer, wrong)];
    peer.push(items).await;
    let later = vec![naming(&mut peer, FileRef { size: 6, ..right })];
    peer.push(later).await;
    let named = node.named_file(&link, LogSide::Mirror, &right.sha256);
    assert_eq!(named.unwrap(), Some(right.size));
    assert_eq!(node.missing_files(&link, 0).unwrap().files, [right]);
    let incidents = node.incidents(10).unwrap();
    let told = incidents
        .iter()
        .filter(|i| i.what.contains("cannot arrive"));
    assert_eq!(told.count(), 2, "{incidents:?}");

    node.blobs().put(&right.sha256, content).unwrap();
    assert_eq!(node.confirm_files(&link).await.unwrap(), 1);
    assert_eq!(node.files_under_way(&link).unwrap(), (2, 0));
    assert_eq!(node.missing_files(&link, 0).unwrap().files, []);
}

#[tokio::test]
async fn files_that_never_come_do_not_hide_the_others() {
    let (a, b) = sides();
    let node = a.open(&b);
    let link = link_of(&node);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let content = b"the last file";
    let last = FileRef {
        sha256: Sha256::digest(content).into(),
        size: content.len() as u64,
    };
    for run in 0..11 {
        let items = (0..100).map(|number| naming(&mut peer, file(run * 100 + number, 9)));
        let items = items.collect();
        peer.push(items).await;
    }
    let item = naming(&mut peer, last);
    peer.push(vec![item]).await;

    let (mut missing, mut from) = (0, Some(0));
    while let Some(at) = from {
        let page = node.missing_files(&link, at).unwrap();
        missing += page.files.len();
        from = page.next;
    }
    assert_eq!(missing, 1_101);
    assert_eq!(node.files_under_way(&link).unwrap(), (1_101, 0));
    node.blobs().put(&last.sha256, content).unwrap();
    assert_eq!(node.confirm_files(&link).await.unwrap(), 1);
}

/// The node's message with a file, and the peer that heard it.
async fn sent_with_file<'a>(
    sides: &'a (Side, Side),
    node: &std::sync::Arc<Exchange>,
) -> (Hostile<'a>, Bytes) {
    let (a, b) = sides;
    let content = b"a file of our own";
    let sha256 = Sha256::digest(content).into();
    node.blobs().put(&sha256, content).unwrap();
    let mut draft = letter(b, 1);
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::OfficialLetter(body) = body else {
        panic!("a letter")
    };
    body.common.as_mut().unwrap().attachments = vec![attachment(FileRef {
        sha256,
        size: content.len() as u64,
    })];
    let recorded = submit(node, draft).await.unwrap();
    let mut peer = Hostile::meet(b, a, node).await;
    peer.hear(1).await;
    let id = Bytes::from(recorded.id.as_bytes().to_vec());
    (peer, id)
}

#[tokio::test]
async fn files_are_confirmed_only_by_their_digests() {
    let both = sides();
    let node = both.0.open(&both.1);
    let link = link_of(&node);
    let (mut peer, id) = sent_with_file(&both, &node).await;
    let right: Bytes = Sha256::digest(b"a file of our own").to_vec().into();
    let wrong: Bytes = Sha256::digest(b"something else").to_vec().into();
    for (sha256, open) in [(vec![], 1), (vec![wrong], 1), (vec![right], 0)] {
        let mut forge = peer.forge();
        forge.header.kind = v1::Kind::AttachmentsReceived as i32;
        forge.header.schema = "liaison.v1.AttachmentsReceived".to_owned();
        forge.header.in_reply_to = id.clone();
        forge.body = v1::AttachmentsReceived { sha256 }.encode_to_vec();
        let item = forge.state_body().sign(&both.1);
        peer.push(vec![item]).await;
        assert_eq!(node.files_under_way(&link).unwrap(), (0, open));
    }
}

#[tokio::test]
async fn only_files_of_receipted_messages_are_brought() {
    let both = sides();
    let node = both.0.open(&both.1);
    let link = link_of(&node);
    let (peer, _) = sent_with_file(&both, &node).await;
    let mut heads = link.watch_head();
    patiently(heads.wait_for(|head| head.delivered_size == 1))
        .await
        .unwrap();
    assert_eq!(node.unconfirmed_files(&link, 0).unwrap().files.len(), 1);
    drop(peer);
    // The same file again, in a message that the peer has not receipted.
    let draft = letter(&both.1, 2);
    submit(&node, draft).await.unwrap();
    assert_eq!(node.unconfirmed_files(&link, 0).unwrap().files.len(), 1);
}

#[tokio::test]
async fn urgent_messages_leave_the_outbox_with_their_receipt() {
    let (a, b) = sides();
    let node = a.open(&b);
    for number in 0..5 {
        submit(&node, flash(&b, number)).await.unwrap();
    }
    assert_eq!(rows(&a, b'U').len(), 5);
    let mut peer = Hostile::stranger(&b, &a, &node);
    peer.send(frame::Frame::Hello(peer.hello())).await;
    while peer.heard.len() < 5 {
        if let Some(frame::Frame::Push(push)) = peer.next().await {
            peer.mirror(push).await;
        }
    }
    let mut heads = link_of(&node).watch_head();
    patiently(heads.wait_for(|head| head.delivered_size == 5))
        .await
        .unwrap();
    assert_eq!(rows(&a, b'U').len(), 0);
}

#[tokio::test]
async fn a_peer_that_was_rolled_back_is_an_incident_once() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let letters = peer.letters(3);
    peer.push(letters).await;
    for _ in 0..3 {
        peer.connect();
        let mut hello = peer.hello();
        hello.own_size = 1;
        peer.send(frame::Frame::Hello(hello)).await;
        assert!(matches!(peer.next().await, Some(frame::Frame::Hello(_))));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let incidents = node.incidents(10).unwrap();
    let told: Vec<_> = incidents
        .iter()
        .filter(|incident| incident.what.contains("rolled back"))
        .collect();
    assert_eq!(told.len(), 1, "{incidents:?}");
    assert_eq!(told[0].evidence.len(), 1, "the checkpoint that it signed");
}
