//! How a running node behaves where something beside it does not: a client that does not answer,
//! a file that cannot be had.

use std::time::{Duration, Instant};

use liaison::limits::DRAIN_TIME_MAX;
use liaison::link::dial::{DialLimits, dial_local};
use liaison::proto::v1;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use liaison::proto::v1::upload_attachment_request::Part;
use sha2::{Digest as _, Sha256};

use crate::nodes::{Node, PATIENCE, RIGHT, letter, pair};

#[tokio::test]
async fn a_client_that_does_not_answer_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::init(dir.path(), "laocai.bg.vn.example");
    node.start();
    drop(node.desk().await);
    let socket = node.dir.join("run/desk.sock");
    // Has made a call, keeps its connection, and its runtime never runs again.
    let (connected, is_connected) = std::sync::mpsc::channel();
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let client = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let dialled = dial_local(&socket, &DialLimits::default()).await.unwrap();
            let mut client = DeskServiceClient::new(dialled.channel);
            client.status(v1::StatusRequest {}).await.unwrap();
            client
        });
        connected.send(()).unwrap();
        // Ends when the test drops the sender.
        is_over.recv().unwrap_err();
        drop(client);
    });
    is_connected.recv().unwrap();
    let began = Instant::now();
    node.stop();
    let took = began.elapsed();
    assert!(took < DRAIN_TIME_MAX / 2, "{took:?}\n{}", node.log());
    assert!(
        !node.log().contains("did not end in time"),
        "{}",
        node.log()
    );
    drop(over);
    client.join().unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_had_does_not_keep_the_others_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    // The right side dials: it fetches.
    left.set_link(RIGHT, "dial = false");
    left.start();
    let mut desk = left.desk().await;
    let mut files: Vec<_> = [&b"one file"[..], b"another file", b"a third file"]
        .map(|content| (<[u8; 32]>::from(Sha256::digest(content)), content))
        .into();
    files.sort();
    for (sha256, content) in &files {
        let start = v1::UploadStart {
            sha256: sha256.to_vec().into(),
            size: content.len() as u64,
        };
        let parts = [Part::Start(start), Part::Chunk(content.to_vec().into())];
        let parts = parts.map(|part| v1::UploadAttachmentRequest { part: Some(part) });
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
            sha256: sha256.to_vec().into(),
            ..v1::Attachment::default()
        }];
        let draft = Some(draft);
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
    }
    // The first in order is lost at its owner's.
    let blob = |node: &Node, sha256: &[u8; 32]| {
        let name = format!("{}.s", hex::encode(sha256));
        node.dir.join("data/blobs").join(name)
    };
    let apart = dir.path().join("apart");
    std::fs::rename(blob(&left, &files[0].0), &apart).unwrap();
    right.start();
    let deadline = Instant::now() + PATIENCE;
    for (sha256, _) in &files[1..] {
        while !blob(&right, sha256).exists() {
            assert!(Instant::now() < deadline, "{}", right.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    left.until(RIGHT, "confirmed but for one", |link| {
        link.attachments_outgoing == 1
    })
    .await;
    // It comes when it is there again, without anything else happening.
    std::fs::rename(&apart, blob(&left, &files[0].0)).unwrap();
    left.until(RIGHT, "confirmed", |link| link.attachments_outgoing == 0)
        .await;
}

/// Built without tokens, the program says so and which feature has them.
#[cfg(not(feature = "pkcs11"))]
#[test]
fn a_key_in_a_token_needs_the_feature() {
    let dir = tempfile::tempdir().unwrap();
    let (left, _) = pair(dir.path());
    let config = std::fs::read_to_string(left.config()).unwrap();
    let text = config.replacen(
        "message = \"keys/message.pem\"",
        "message = \"pkcs11:token=t;object=o?module-path=/none.so\"\npin = \"file:pin\"",
        1,
    );
    assert_ne!(text, config);
    std::fs::write(left.config(), text).unwrap();
    std::fs::write(left.dir.join("pin"), "1234\n").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(left.dir.join("pin"), private).unwrap();
    let output = crate::nodes::liaison(&["--config", &left.config(), "node", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("without the feature pkcs11"), "{said}");
}
