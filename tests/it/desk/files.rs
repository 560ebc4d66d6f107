//! Attachments: taken to the byte or not at all.

use liaison::limits::{ATTACHMENT_BYTES_MAX, CALLER_UPLOADS_MAX, CHUNK_BYTES_MAX};
use liaison::proto::v1::body::Body;
use liaison::proto::v1::upload_attachment_request::Part;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::sides::patiently;

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn part(part: Part) -> v1::UploadAttachmentRequest {
    v1::UploadAttachmentRequest { part: Some(part) }
}

fn start(sha256: [u8; 32], size: u64) -> v1::UploadAttachmentRequest {
    part(Part::Start(v1::UploadStart {
        sha256: sha256.to_vec().into(),
        size,
    }))
}

fn chunk(bytes: &[u8]) -> v1::UploadAttachmentRequest {
    part(Part::Chunk(bytes.to_vec().into()))
}

fn parts(content: &[u8]) -> Vec<v1::UploadAttachmentRequest> {
    let mut parts = vec![start(digest(content), content.len() as u64)];
    parts.extend(content.chunks(CHUNK_BYTES_MAX).map(chunk));
    parts
}

async fn upload(
    desk: &mut Caller,
    parts: Vec<v1::UploadAttachmentRequest>,
) -> Result<v1::UploadAttachmentResponse, Status> {
    let answer = desk.upload_attachment(tokio_stream::iter(parts)).await;
    answer.map(tonic::Response::into_inner)
}

fn letter_with(counter: &Counter, content: &[u8]) -> v1::Draft {
    let mut draft = counter.letter(1);
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let Body::OfficialLetter(letter) = body else {
        panic!("no letter");
    };
    letter.common.as_mut().unwrap().attachments = vec![v1::Attachment {
        name: "mẫu.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size: content.len() as u64,
        sha256: digest(content).to_vec().into(),
        description: None,
    }];
    draft
}

async fn download(desk: &mut Caller, id: &str, sha256: [u8; 32]) -> Result<Vec<u8>, Status> {
    let request = v1::DownloadAttachmentRequest {
        message_id: id.to_owned(),
        sha256: sha256.to_vec().into(),
        ..v1::DownloadAttachmentRequest::default()
    };
    let mut stream = desk.download_attachment(request).await?.into_inner();
    let mut content = Vec::new();
    while let Some(part) = stream.message().await? {
        assert!(part.chunk.len() <= CHUNK_BYTES_MAX);
        content.extend_from_slice(&part.chunk);
    }
    Ok(content)
}

#[tokio::test]
async fn a_file_goes_in_and_out() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    for bytes in [1, CHUNK_BYTES_MAX, 3 * CHUNK_BYTES_MAX + 17] {
        let content = content(bytes);
        let stored = upload(&mut desk, parts(&content)).await.unwrap();
        assert_eq!(stored.size, bytes as u64);
        // Once more is no harm.
        upload(&mut desk, parts(&content)).await.unwrap();
        let sent = desk
            .submit(submission(letter_with(&counter, &content)))
            .await;
        let id = sent.unwrap().into_inner().id;
        let message = desk.get(get(&id)).await.unwrap().into_inner().message;
        let state = &message.unwrap().attachments[0];
        assert!(state.complete);
        assert_eq!(state.held_bytes, bytes as u64);
        let back = download(&mut desk, &id, digest(&content)).await.unwrap();
        assert_eq!(back, content);
        let mut auditor = counter.caller("auditor/kt-1").await;
        download(&mut auditor, &id, digest(&content)).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_is_given_only_through_a_message_that_names_it() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let (named, other) = (content(1_000), content(2_000));
    upload(&mut desk, parts(&named)).await.unwrap();
    upload(&mut desk, parts(&other)).await.unwrap();
    let sent = desk.submit(submission(letter_with(&counter, &named))).await;
    let id = sent.unwrap().into_inner().id;
    let answer = download(&mut desk, &id, digest(&other)).await;
    assert_refused(answer, Code::NotFound, "NO_SUCH_FILE");
    let answer = download(&mut desk, &id_of(99), digest(&named)).await;
    assert_refused(answer, Code::NotFound, "NO_SUCH_MESSAGE");
}

#[tokio::test]
async fn nothing_stays_of_an_upload_that_is_refused() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let content = content(1_000);
    let size = content.len() as u64;
    let sha256 = digest(&content);
    let longer = [&content[..], b"x"].concat();
    let cases = [
        ("start.size", vec![start(sha256, ATTACHMENT_BYTES_MAX + 1)]),
        // One byte over, in the same chunk and in one of its own.
        ("start.size", vec![start(sha256, size), chunk(&longer)]),
        (
            "start.size",
            vec![start(sha256, size), chunk(&content), chunk(b"x")],
        ),
        ("start.size", vec![start(sha256, size + 1), chunk(&content)]),
        (
            "start.sha256",
            vec![start(sha256, size), chunk(&vec![0; content.len()])],
        ),
        (
            "start.sha256",
            vec![part(Part::Start(v1::UploadStart {
                sha256: vec![0; 31].into(),
                size,
            }))],
        ),
        ("start", vec![chunk(&content)]),
        ("start", vec![]),
        ("start", vec![start(sha256, size), start(sha256, size)]),
        (
            "chunk",
            vec![
                start(sha256, ATTACHMENT_BYTES_MAX),
                chunk(&vec![0; CHUNK_BYTES_MAX + 1]),
            ],
        ),
        (
            "part",
            vec![
                start(sha256, size),
                v1::UploadAttachmentRequest { part: None },
            ],
        ),
    ];
    for (number, (field, parts)) in cases.into_iter().enumerate() {
        assert_field(upload(&mut desk, parts).await, field);
        let blobs = counter.exchange.blobs();
        assert!(blobs.partials().unwrap().is_empty(), "case {number}");
        assert!(!blobs.has(&sha256).unwrap(), "case {number}");
    }
    upload(&mut desk, parts(&content)).await.unwrap();
}

#[tokio::test]
async fn one_who_leaves_in_the_middle_leaves_nothing_behind() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let content = content(3 * CHUNK_BYTES_MAX);
    let sha256 = digest(&content);
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let calling = {
        let mut desk = desk.clone();
        tokio::spawn(async move {
            let parts = tokio_stream::wrappers::ReceiverStream::new(receiver);
            drop(desk.upload_attachment(parts).await);
        })
    };
    let blobs = counter.exchange.blobs().of("desk").unwrap();
    sender
        .send(start(sha256, content.len() as u64))
        .await
        .unwrap();
    sender
        .send(chunk(&content[..CHUNK_BYTES_MAX]))
        .await
        .unwrap();
    let until = async |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    patiently(until(&|| blobs.partial(&sha256).unwrap() > 0)).await;
    // Nobody else writes the same file meanwhile, and nobody's mistake harms the one under way.
    let answer = upload(&mut desk, parts(&content)).await;
    let status = assert_refused(answer, Code::Aborted, "FILE_BUSY");
    assert!(status.get_details_retry_info().is_some());
    assert!(blobs.partial(&sha256).unwrap() > 0);
    calling.abort();
    patiently(until(&|| blobs.partials().unwrap().is_empty())).await;
    let again = async { while upload(&mut desk, parts(&content)).await.is_err() {} };
    patiently(again).await;
    let size = content.len() as u64;
    assert!(blobs.is_here(&sha256, size).unwrap());
}

#[tokio::test]
async fn one_program_cannot_take_every_upload() {
    let counter = Counter::open().await;
    let mut radar = counter.caller("integration/radar").await;
    let mut open = Vec::new();
    for number in 0..CALLER_UPLOADS_MAX {
        let (parts, queue) = tokio::sync::mpsc::channel(1);
        let sha256 = digest(&content(number + 1));
        parts.send(start(sha256, 10)).await.unwrap();
        let mut radar = radar.clone();
        let stream = tokio_stream::wrappers::ReceiverStream::new(queue);
        tokio::spawn(async move { radar.upload_attachment(stream).await });
        open.push(parts);
    }
    let late = content(100);
    let refused = async {
        loop {
            // Until all of the others have begun.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            if let Err(status) = upload(&mut radar, parts(&late)).await {
                return status;
            }
            std::fs::remove_file(
                counter
                    .side
                    .dir
                    .path()
                    .join("blobs")
                    .join(hex::encode(digest(&late))),
            )
            .unwrap();
        }
    };
    assert_eq!(patiently(refused).await.code(), Code::ResourceExhausted);
    let mut operator = counter.operator().await;
    upload(&mut operator, parts(&late)).await.unwrap();
}
