//! Going down under load: no new work, what is recorded is pushed, every caller is answered, and
//! nobody who does not read holds it up. The exit status says whether anything had to be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use liaison::proto::v1::upload_attachment_request::Part;
use liaison::proto::v1::{self, LinkState};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::nodes::{LEFT, Node, RIGHT, letter, pair};
use crate::sides::{join, link_of, patiently, sides, submit};

type Desk = DeskServiceClient<Channel>;

/// Goes on submitting until it is refused; says what was answered last.
async fn load(mut desk: Desk, recorded: Arc<AtomicU64>) -> (Vec<v1::Draft>, v1::Draft, Status) {
    let mut sent = Vec::new();
    loop {
        let draft = letter(RIGHT, 1);
        let request = v1::SubmitRequest {
            draft: Some(draft.clone()),
        };
        match desk.submit(request).await {
            Ok(_) => {
                recorded.fetch_add(1, Ordering::Relaxed);
                sent.push(draft);
            }
            Err(status) => return (sent, draft, status),
        }
    }
}

/// Whether a caller was told that the node goes down, or its call never left: the connection had
/// closed in order before the call was handed to it.
fn is_told_or_never_sent(status: &Status) -> bool {
    let of_transport = || {
        let source = std::error::Error::source(status);
        source.is_some_and(<dyn std::error::Error>::is::<tonic::transport::Error>)
    };
    match status.code() {
        Code::Unavailable => true,
        Code::Cancelled => of_transport(),
        _ => false,
    }
}

fn part(part: Part) -> v1::UploadAttachmentRequest {
    v1::UploadAttachmentRequest { part: Some(part) }
}

async fn up(left: &mut Node, right: &mut Node) {
    left.start();
    right.start();
    left.until(RIGHT, "up", |link| link.state() == LinkState::Up)
        .await;
    right
        .until(LEFT, "up", |link| link.state() == LinkState::Up)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_with_a_stalled_peer_and_open_calls_every_caller_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    up(&mut left, &mut right).await;

    // A file, of which one client asks for all and reads nothing.
    let mut desk = left.desk().await;
    let content = vec![7; 8 << 20];
    let sha256 = Bytes::copy_from_slice(&Sha256::digest(&content));
    let start = Part::Start(v1::UploadStart {
        sha256: sha256.clone(),
        size: content.len() as u64,
    });
    let chunks = content
        .chunks(256 << 10)
        .map(|c| Part::Chunk(Bytes::copy_from_slice(c)));
    let parts: Vec<_> = std::iter::once(start.clone())
        .chain(chunks)
        .map(part)
        .collect();
    desk.upload_attachment(tokio_stream::iter(parts))
        .await
        .unwrap();
    let mut draft = letter(RIGHT, 1);
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::OfficialLetter(body) = body else {
        panic!("a letter")
    };
    body.common.as_mut().unwrap().attachments = vec![v1::Attachment {
        name: "scan.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size: content.len() as u64,
        sha256: sha256.clone(),
        ..v1::Attachment::default()
    }];
    let named = desk
        .submit(v1::SubmitRequest { draft: Some(draft) })
        .await
        .unwrap()
        .into_inner();
    let mut reader = left.desk().await;
    let download = v1::DownloadAttachmentRequest {
        message_id: named.id,
        sha256,
        ..v1::DownloadAttachmentRequest::default()
    };
    let unread = reader.download_attachment(download).await.unwrap();

    // The peer stops in the middle of everything, and an upload stays open.
    right.signal("STOP");
    let (sender, receiver) = mpsc::channel(2);
    let other = Part::Start(v1::UploadStart {
        sha256: Bytes::from(vec![3; 32]),
        size: 1_000,
    });
    sender.send(part(other)).await.unwrap();
    let mut uploader = left.desk().await;
    let uploading = tokio::spawn(async move {
        uploader
            .upload_attachment(ReceiverStream::new(receiver))
            .await
    });
    let mut watcher = left.desk().await;
    let mut events = watcher
        .watch(v1::WatchRequest::default())
        .await
        .unwrap()
        .into_inner();

    let recorded = Arc::new(AtomicU64::new(0));
    let mut callers = Vec::new();
    for _ in 0..8 {
        callers.push(tokio::spawn(load(left.desk().await, Arc::clone(&recorded))));
    }
    let under_load = async {
        while recorded.load(Ordering::Relaxed) < 200 {
            tokio::task::yield_now().await;
        }
    };
    patiently(under_load).await;
    left.signal("TERM");
    let ended = tokio::task::spawn_blocking(move || {
        let status = left.ended();
        (left, status)
    });
    let (mut left, status) = patiently(ended).await.unwrap();
    // On a machine that has no time for it, work is cut, and the node says so by its status.
    let was_cut = left.log().contains("did not end in time");
    assert_eq!(status.code(), Some(i32::from(was_cut)), "{}", left.log());

    let refused = patiently(uploading).await.unwrap().unwrap_err();
    assert!(was_cut || is_told_or_never_sent(&refused), "{refused:?}");
    while let Ok(Some(_)) = patiently(events.message()).await {}
    drop((unread, sender));
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(patiently(caller).await.unwrap());
    }
    for (_, _, refused) in &answers {
        assert!(was_cut || is_told_or_never_sent(refused), "{refused:?}");
    }

    // What was answered is there, and what was not is sent again with the same id.
    right.signal("CONT");
    left.start();
    let mut desk = left.desk().await;
    for (sent, last, _) in answers {
        for draft in sent {
            let draft = Some(draft);
            let again = desk.submit(v1::SubmitRequest { draft }).await.unwrap();
            assert!(again.into_inner().already_recorded);
        }
        let draft = Some(last);
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
    }
    left.until(RIGHT, "delivered", |link| {
        link.delivered_size == link.own_size
    })
    .await;
    left.stop();
    right.stop();
}

#[tokio::test]
async fn told_a_second_time_it_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::init(dir.path(), LEFT);
    node.start();
    node.desk().await;
    // Both are there before it can begin to drain.
    node.signal("STOP");
    node.signal("TERM");
    node.signal("INT");
    node.signal("CONT");
    let status = node.ended();
    assert_eq!(status.code(), Some(1), "{status} {}", node.log());
    assert!(node.log().contains("told a second time"), "{}", node.log());
    // As after SIGKILL, it starts again.
    node.start();
    node.desk().await;
    node.stop();
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_is_pushed_before_the_sessions_end() {
    let (a, b) = sides();
    let (sender, node) = (a.open(&b), b.open(&a));
    // Nothing to wait for where no session is up.
    submit(&sender, crate::sides::letter(&b, 0)).await.unwrap();
    sender.pushed_out().await;
    let running = join(&sender, &node);
    let mut presence = link_of(&sender).watch_presence();
    patiently(presence.wait_for(|presence| presence.up))
        .await
        .unwrap();
    for number in 1..600 {
        submit(&sender, crate::sides::letter(&b, number))
            .await
            .unwrap();
    }
    patiently(sender.pushed_out()).await;
    assert_eq!(link_of(&sender).head().delivered_size, 600);
    assert_eq!(link_of(&node).head().mirror_size, 600);
    running.end().await;
}
