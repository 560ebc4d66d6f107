//! What a peer with valid keys, or a program let in at the desk, cannot take from the others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liaison::exchange::clock::Entropy;
use liaison::exchange::layout::Place;
use liaison::exchange::session;
use liaison::exchange::{Exchange, Foundations, Link, LinkTerms, LogSide, RecorderMode, channel};
use liaison::limits::{ATTACHMENT_FLOORS, BODY_PARTS_MAX, LINK_TRANSFERS_MAX};
use liaison::link::accept::AcceptLimits;
use liaison::link::connection::ConnectInfo;
use liaison::link::dial::{DialLimits, dial_local};
use liaison::link::identity::{Identity, PeerIdentity};
use liaison::link::local::{LocalListener, accept_local};
use liaison::link::serve::server_builder;
use liaison::link::service::ExchangeDoor;
use liaison::link::transfer;
use liaison::model::MessageId;
use liaison::proto::v1::exchange_service_client::ExchangeServiceClient;
use liaison::proto::v1::put_attachment_request::Part;
use liaison::proto::v1::{self, FaultCode, RefusalReason, frame};
use liaison::store::{Blobs, Marks, StoreError};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::InterceptorLayer;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::hostile::Hostile;
use crate::sides::{Side, join, letter, link_of, patiently, quiet, sides, submit};

#[tokio::test]
async fn a_body_of_very_many_parts_is_refused_before_it_is_parsed() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let mut forge = peer.forge();
    // Two bytes each on the wire: `common`, given again and again.
    forge.body = [0x0a, 0].repeat(BODY_PARTS_MAX + 1);
    let item = forge.state_body().sign(&b);
    peer.push(vec![item]).await;
    peer.hear(1).await;
    let (_, refusal) = peer.refusals().pop().unwrap();
    assert_eq!(refusal.reason(), RefusalReason::OverLimit, "{refusal:?}");
}

#[tokio::test]
async fn notes_too_long_to_be_kept_do_not_wait_with_the_window() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    // The second would make up for the first; until it comes, thousands such could wait.
    let letters = peer.letters(1);
    let mut first = peer.append(letters);
    first.checkpoint = "x".repeat(1 << 20);
    let letters = peer.letters(1);
    let second = peer.append(letters);
    peer.send(frame::Frame::Push(first)).await;
    peer.send(frame::Frame::Push(second)).await;
    assert_eq!(peer.expect_fault().await.code(), FaultCode::BadCheckpoint);
}

/// An id is one message, whichever of two comes first, and however close the other one is behind it.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_comes_ahead_and_in_the_log_at_once_is_told_once() {
    let (a, b) = sides();
    let card = b.card_for(&a);
    let node = a.try_open(&b, card, RecorderMode::Thread).unwrap();
    let mut watcher = node.watch("", true).unwrap();
    let mut peer = Hostile::meet(&b, &a, &node).await;
    // Its own messages keep the recorder busy.
    let (own, to) = (Arc::clone(&node), letter(&b, 1));
    let busy = tokio::spawn(async move {
        loop {
            submit(&own, to.clone()).await.unwrap();
        }
    });
    let mut ids = Vec::new();
    for round in 0..300_u64 {
        let forge = peer.forge();
        ids.push(MessageId::from_slice(&forge.header.id).unwrap().to_string());
        let first = forge.sign(&b);
        let mut other = forge.clone();
        other.header.precedence = v1::Precedence::Flash as i32;
        let express = v1::Express {
            index: 1_000_000 + round,
            item: Some(other.sign(&b)),
        };
        let push = peer.append(vec![first]);
        // In one breath: the run is admitted while the other waits for its commit.
        peer.send(frame::Frame::Push(push)).await;
        peer.send(frame::Frame::Express(express)).await;
        peer.expect_cosigned().await;
    }
    busy.abort();
    // The last is behind all of them.
    let forge = peer.forge();
    let last = MessageId::from_slice(&forge.header.id).unwrap().to_string();
    peer.push(vec![forge.sign(&b)]).await;
    let mut told = Vec::new();
    patiently(async {
        while told.last() != Some(&last) {
            let event = watcher.next().await.unwrap().unwrap();
            if event.what == v1::WatchEvent::Received {
                told.push(event.message.unwrap().id);
            }
        }
    })
    .await;
    for id in &ids {
        assert_eq!(told.iter().filter(|told| *told == id).count(), 1, "{id}");
    }
}

/// An id goes to the log when its message is mirrored, and no Express takes it from there.
#[tokio::test(flavor = "multi_thread")]
async fn an_express_never_takes_the_id_of_a_mirrored_message() {
    let (a, b) = sides();
    let card = b.card_for(&a);
    let node = a.try_open(&b, card, RecorderMode::Thread).unwrap();
    let mut peer = Hostile::meet(&b, &a, &node).await;
    for round in 0..300_u64 {
        let forge = peer.forge();
        let id = MessageId::from_slice(&forge.header.id).unwrap();
        let first = forge.sign(&b);
        let mut other = forge.clone();
        other.header.precedence = v1::Precedence::Flash as i32;
        let index = peer.tree.size();
        let push = peer.append(vec![first]);
        peer.send(frame::Frame::Push(push)).await;
        tokio::time::sleep(Duration::from_micros(round % 30 * 10)).await;
        let express = v1::Express {
            index: 1_000_000 + round,
            item: Some(other.sign(&b)),
        };
        peer.send(frame::Frame::Express(express)).await;
        peer.expect_cosigned().await;
        // The Express has been dealt with when the next push is cosigned.
        let next = peer.letter();
        peer.push(vec![next]).await;
        // Whichever came first has the id: the mirrored one, unless it was refused for it.
        let link = link_of(&node);
        let mirrored = node.reader(&link, LogSide::Mirror).entry(index).unwrap();
        if !mirrored.record.refused {
            let (_, place) = node.find(id).unwrap().unwrap();
            assert_eq!(place, Place::Log(LogSide::Mirror, index), "round {round}");
        }
    }
}

/// A node with two links.
fn hub(side: &Side, peers: [&Side; 2]) -> Arc<Exchange> {
    let foundations = Foundations {
        node: side.name.clone(),
        keys: side.keys(),
        store: Arc::new(side.store.clone()),
        blobs: side.blobs(side.dir.path()),
        marks: Marks::open(side.dir.path()).unwrap(),
        clock: side.clock.clone(),
        entropy: Entropy::seeded(77),
    };
    let terms = peers.map(|peer| LinkTerms {
        peer: peer.name.clone(),
        keys: peer.card_for(side),
        own_start: side.card_for(peer).start(),
        classification_max: v1::Classification::Confidential,
    });
    Exchange::open(foundations, terms.to_vec(), RecorderMode::Inline).unwrap()
}

/// Runs a session until the hub has mirrored so much of the peer's log.
async fn exchange_until(hub: &Arc<Exchange>, link: &Arc<Link>, peer: &Arc<Exchange>, size: u64) {
    let (near, far) = channel::pair();
    let stop = CancellationToken::new();
    let here = {
        let (hub, link, stop) = (Arc::clone(hub), Arc::clone(link), stop.clone());
        tokio::spawn(async move {
            let dialler = hub.node().clone();
            session::run(&hub, &link, &dialler, near, &stop).await
        })
    };
    let there = crate::sides::run_end(peer, hub.node(), far, &stop);
    let mut heads = link.watch_head();
    patiently(heads.wait_for(|head| head.mirror_size >= size))
        .await
        .unwrap();
    stop.cancel();
    patiently(async { (here.await.unwrap(), there.await.unwrap()) }).await;
}

#[tokio::test]
async fn a_peer_cannot_put_its_message_before_anothers_of_the_same_id() {
    let us = Side::new("laocai.bg.vn.example", 1);
    let honest = Side::new("mengla.bg.cn.example", 2);
    let hostile = Side::new("hekou.ni.cn.example", 3);
    let hub = hub(&us, [&hostile, &honest]);
    let id = MessageId::from_parts(1_795_000_000_000, [5; 10]);
    for (peer, number) in [(&honest, 1), (&hostile, 2)] {
        let exchange = peer.open(&us);
        let draft = v1::Draft {
            id: id.to_string(),
            ..letter(&us, number)
        };
        submit(&exchange, draft).await.unwrap();
        let link = Arc::clone(hub.link(peer.name.as_str()).unwrap());
        exchange_until(&hub, &link, &exchange, 1).await;
        us.clock.advance(5);
    }
    // By name, the hostile peer's link comes first.
    assert_eq!(hub.links().next().unwrap().peer, hostile.name);
    let (link, _) = hub.find(id).unwrap().unwrap();
    assert_eq!(
        link.peer, honest.name,
        "whoever acknowledges by id means this one"
    );
}

#[test]
fn files_stop_coming_before_messages_do() {
    let dir = tempfile::tempdir().unwrap();
    let free = rustix::fs::statvfs(dir.path()).unwrap();
    let free = free.f_bavail * free.f_frsize;
    Marks::create(dir.path()).unwrap();
    let blobs = Blobs::open(dir.path(), free / (ATTACHMENT_FLOORS - 1)).unwrap();
    let content = b"a body that is too large for a record";
    let digest: [u8; 32] = Sha256::digest(content).into();
    assert!(matches!(
        blobs.write_at(&digest, 0, content),
        Err(StoreError::Full { .. })
    ));
    blobs.put(&digest, content).unwrap();
}

/// A node's door for its peer, over a socket that takes everyone for the peer.
async fn door(side: &Side, exchange: &Arc<Exchange>, peer: &Side) -> Channel {
    let socket: PathBuf = side.dir.path().join("run/peer.sock");
    let listener = LocalListener::bind(&socket).unwrap();
    let incoming = accept_local(listener, AcceptLimits::exchange());
    let stop = CancellationToken::new();
    let service = ExchangeDoor::service(Arc::clone(exchange), stop, TaskTracker::new());
    let node = peer.name.clone();
    let as_peer = move |mut request: Request<()>| {
        let info = request.extensions().get::<ConnectInfo>().unwrap().clone();
        let identity = Identity::Peer(PeerIdentity { node: node.clone() });
        request
            .extensions_mut()
            .insert(ConnectInfo { identity, ..info });
        Ok(request)
    };
    let serving = server_builder()
        .layer(InterceptorLayer::new(as_peer))
        .add_service(service)
        .serve_with_incoming(incoming);
    tokio::spawn(serving);
    let dialled = dial_local(&socket, &DialLimits::default()).await;
    dialled.unwrap().channel
}

fn file(seed: u8, bytes: usize) -> (Vec<u8>, [u8; 32]) {
    let content = vec![seed; bytes];
    let digest = Sha256::digest(&content).into();
    (content, digest)
}

/// A letter that names a file, which is stored at its sender.
fn letter_with(sender: &Exchange, to: &Side, (content, digest): &(Vec<u8>, [u8; 32])) -> v1::Draft {
    sender.blobs().put(digest, content).unwrap();
    let mut draft = letter(to, usize::from(content[0]));
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::OfficialLetter(letter) = body else {
        panic!("no letter");
    };
    letter.common.as_mut().unwrap().attachments = vec![v1::Attachment {
        name: "mẫu.bin".to_owned(),
        media_type: "application/octet-stream".to_owned(),
        size: content.len() as u64,
        sha256: digest.to_vec().into(),
        description: None,
    }];
    draft
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_a_few_files_under_way_and_no_more() {
    let (a, b) = sides();
    let (sender, recipient) = (a.open(&b), b.open(&a));
    let large = file(1, 8 << 20);
    submit(&sender, letter_with(&sender, &b, &large))
        .await
        .unwrap();
    let running = join(&sender, &recipient);
    quiet(&sender, &recipient).await;
    running.end().await;

    let mut client = ExchangeServiceClient::new(door(&a, &sender, &b).await);
    let request = || v1::GetAttachmentRequest {
        sha256: Bytes::copy_from_slice(&large.1),
        offset: 0,
    };
    // A peer that asks and does not read.
    let mut held = Vec::new();
    for _ in 0..LINK_TRANSFERS_MAX {
        held.push(client.get_attachment(request()).await.unwrap());
    }
    let refused = client.get_attachment(request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(held);
    let again = async {
        while client.get_attachment(request()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    patiently(again).await;

    // An offset from which no sum can be made.
    let mut client = ExchangeServiceClient::new(door(&b, &recipient, &a).await);
    let start = v1::AttachmentStart {
        sha256: Bytes::copy_from_slice(&large.1),
        size: 8 << 20,
        offset: u64::MAX,
    };
    let parts = [Part::Start(start), Part::Chunk(Bytes::from_static(b"12"))];
    let parts = parts.map(|part| v1::PutAttachmentRequest { part: Some(part) });
    let refused = client.put_attachment(tokio_stream::iter(parts)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_carried_does_not_stop_the_others() {
    let (a, b) = sides();
    let (sender, recipient) = (a.open(&b), b.open(&a));
    let mut files = [file(1, 1_000), file(2, 1_000)];
    files.sort_by_key(|(_, digest)| *digest);
    for file in &files {
        submit(&sender, letter_with(&sender, &b, file))
            .await
            .unwrap();
    }
    // The one that comes first is lost.
    sender.blobs().remove(&files[0].1).unwrap();
    let running = join(&sender, &recipient);
    quiet(&sender, &recipient).await;

    let client = ExchangeServiceClient::new(door(&a, &sender, &b).await);
    let link = link_of(&recipient);
    let carrying = tokio::spawn(transfer::run(Arc::clone(&recipient), link, client));
    let second = async {
        while recipient.blobs().size(&files[1].1).unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), second)
        .await
        .expect("it waits behind the one that is lost");
    carrying.abort();
    running.end().await;
}
