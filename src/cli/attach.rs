//! Files sent with a message: described in its body, uploaded before it is submitted.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::connect::Desk;
use super::exit::{Exit, Failure, OrExit as _};
use super::print::Bar;
use super::refused;
use crate::limits::{ATTACHMENT_BYTES_MAX, CHUNK_BYTES_MAX};
use crate::model::body;
use crate::proto::v1;
use crate::proto::v1::upload_attachment_request::Part;

/// Media types by the end of a file's name. What is not here is sent as plain bytes.
const MEDIA_TYPES: &[(&str, &str)] = &[
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("gpx", "application/gpx+xml"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("kml", "application/vnd.google-earth.kml+xml"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webp", "image/webp"),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// A file with what the body says of it.
#[derive(Debug)]
pub(crate) struct Attached {
    file: PathBuf,
    attachment: v1::Attachment,
}

/// Looks at a file: its name, length, digest and media type.
pub(crate) async fn describe(file: &Path, media_type: Option<&str>) -> Result<Attached, Failure> {
    let reading = || format!("the attachment {}", file.display());
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| {
            Failure::new(
                Exit::Data,
                format!("{} has no readable file name", file.display()),
            )
        })?;
    let mut reader = tokio::fs::File::open(file)
        .await
        .or_fail(Exit::Data, reading)?;
    let meta = reader.metadata().await.or_fail(Exit::Data, reading)?;
    if !meta.is_file() {
        return Err(Failure::new(
            Exit::Data,
            format!("{} is not a file", file.display()),
        ));
    }
    if meta.len() > ATTACHMENT_BYTES_MAX {
        let what = format!(
            "{} has {} bytes, an attachment at most {ATTACHMENT_BYTES_MAX}",
            file.display(),
            meta.len()
        );
        return Err(
            Failure::new(Exit::Data, what).remedy("split it, or reduce the scan's resolution")
        );
    }
    let bar = Bar::bytes(&format!("reading {name}"), meta.len());
    let mut digest = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    loop {
        let count = reader
            .read(&mut buffer)
            .await
            .or_fail(Exit::Data, reading)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
        size += count as u64;
        bar.at(size);
    }
    Ok(Attached {
        file: file.to_owned(),
        attachment: v1::Attachment {
            name: name.to_owned(),
            media_type: media_type.unwrap_or_else(|| guess(name)).to_owned(),
            size,
            sha256: Bytes::copy_from_slice(&digest.finalize()),
            description: None,
        },
    })
}

fn guess(name: &str) -> &'static str {
    let end = name
        .rsplit_once('.')
        .map_or("", |(_, end)| end)
        .to_ascii_lowercase();
    MEDIA_TYPES
        .iter()
        .find(|(known, _)| *known == end)
        .map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// Names the files in the draft's body. One that the body names already, by digest, stays as it is
/// described there.
pub(crate) fn add(draft: &mut v1::Draft, files: &[Attached]) -> Result<(), Failure> {
    if files.is_empty() {
        return Ok(());
    }
    let content = draft.body.as_mut().and_then(|body| body.body.as_mut());
    let common = content.and_then(body::common_mut).ok_or_else(|| {
        Failure::new(Exit::Data, "this kind of message takes no attachments")
            .remedy("send the file with an official letter")
    })?;
    let attachments = &mut common.attachments;
    for file in files {
        if !attachments
            .iter()
            .any(|known| known.sha256 == file.attachment.sha256)
        {
            attachments.push(file.attachment.clone());
        }
    }
    Ok(())
}

/// Stores a file at the node, so that a draft may name it.
pub(crate) async fn upload(desk: &Desk, attached: &Attached) -> Result<(), Failure> {
    let Attached { file, attachment } = attached;
    let failed = || format!("the attachment {} was not uploaded", file.display());
    let reader = tokio::fs::File::open(file)
        .await
        .or_fail(Exit::Data, failed)?;
    let bar = Bar::bytes(&format!("uploading {}", attachment.name), attachment.size);
    let start = v1::UploadStart {
        sha256: attachment.sha256.clone(),
        size: attachment.size,
    };

    // Two chunks wait at most: the node takes them at its own pace.
    let (parts, stream) = tokio::sync::mpsc::channel(2);
    let reading = tokio::spawn(read_parts(reader, start, parts, bar));
    let outcome = desk
        .desk()
        .upload_attachment(ReceiverStream::new(stream))
        .await;
    let read = reading.await.or_fail(Exit::Internal, failed)?;
    // What the node says comes first: it ends the stream when it refuses.
    refused::answer(outcome).map_err(|failure| failure.while_doing(failed()))?;
    read.or_fail(Exit::Data, failed)
}

async fn read_parts(
    mut reader: tokio::fs::File,
    start: v1::UploadStart,
    parts: tokio::sync::mpsc::Sender<v1::UploadAttachmentRequest>,
    bar: Bar,
) -> std::io::Result<()> {
    let mut next = Part::Start(start);
    loop {
        if let Part::Chunk(chunk) = &next {
            bar.advance(chunk.len() as u64);
        }
        let request = v1::UploadAttachmentRequest { part: Some(next) };
        if parts.send(request).await.is_err() {
            return Ok(()); // the node has ended the call, and says why
        }
        let mut chunk = vec![0; CHUNK_BYTES_MAX];
        let count = reader.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        chunk.truncate(count);
        next = Part::Chunk(chunk.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_guessed_from_the_name() {
        assert_eq!(guess("CÔNG VĂN.PDF"), "application/pdf");
        assert_eq!(guess("scan.jpeg"), "image/jpeg");
        assert_eq!(guess("README"), "application/octet-stream");
        assert_eq!(guess("x.unheard-of"), "application/octet-stream");
    }

    #[tokio::test]
    async fn files_are_named_once_in_the_body() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("phụ lục.pdf");
        std::fs::write(&path, b"%PDF-1.4").unwrap();
        let file = describe(&path, None).await.unwrap();
        assert_eq!(file.attachment.size, 8);

        let letter = v1::body::Body::OfficialLetter(v1::OfficialLetter::default());
        let mut draft = v1::Draft {
            body: Some(v1::Body { body: Some(letter) }),
            ..v1::Draft::default()
        };
        add(&mut draft, std::slice::from_ref(&file)).unwrap();
        add(&mut draft, &[file]).unwrap();
        let content = draft.body.unwrap().body.unwrap();
        assert_eq!(body::attachments(&content).len(), 1);

        let missing = describe(&dir.path().join("none.pdf"), None).await;
        assert_eq!(missing.unwrap_err().exit(), Exit::Data);
    }
}
