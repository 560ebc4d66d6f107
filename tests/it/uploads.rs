//! Files on their way: apart by whom they come from, and gone after a while if nobody names them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use liaison::exchange::clock::{Clock as _, SystemClock};
use liaison::store::{Blobs, Marks, StoreError};
use sha2::{Digest as _, Sha256};

use crate::store::temp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(SystemClock.unix_ms())
}

fn open(dir: &Path) -> Blobs {
    Marks::create(dir).unwrap();
    Blobs::open(dir, 0).unwrap()
}

fn upload(blobs: &Blobs, content: &[u8]) -> [u8; 32] {
    let digest = Sha256::digest(content).into();
    let desk = blobs.of("desk").unwrap();
    desk.write_at(&digest, 0, content).unwrap();
    desk.finish_upload(&digest, content.len() as u64).unwrap();
    digest
}

#[test]
fn an_upload_that_no_message_names_is_removed_after_its_time_and_one_that_is_named_never() {
    let dir = temp();
    let blobs = open(dir.path());
    let now = now();
    let (named, forgotten) = (upload(&blobs, b"named"), upload(&blobs, b"forgotten"));
    assert_eq!(
        blobs.size(&named).unwrap(),
        None,
        "not a blob until it is named"
    );
    assert!(blobs.is_here(&named, 5).unwrap());
    assert!(!blobs.is_here(&named, 6).unwrap());
    assert!(!blobs.adopt(&named, 6).unwrap());
    assert!(blobs.adopt(&named, 5).unwrap());
    assert!(blobs.adopt(&named, 5).unwrap());
    assert_eq!(blobs.sweep(now - DAY, now - DAY).unwrap(), 0);
    let later = now + DAY;
    assert_eq!(blobs.sweep(later, later).unwrap(), 2);
    assert_eq!(blobs.get(&named).unwrap().unwrap(), b"named");
    assert!(!blobs.is_here(&forgotten, 9).unwrap());
    assert!(!blobs.adopt(&forgotten, 9).unwrap());
    // Uploaded again, it is there again; asked for again, it waits anew.
    upload(&blobs, b"forgotten");
    assert_eq!(blobs.uploaded(&forgotten, later + DAY).unwrap(), Some(9));
    assert_eq!(blobs.sweep(later + DAY, later).unwrap(), 0);
    assert!(blobs.adopt(&forgotten, 9).unwrap());
    // What was never uploaded but came with a message is not looked at.
    let body = Sha256::digest(b"a body").into();
    blobs.put(&body, b"a body").unwrap();
    let much_later = now + DAY * 10_000;
    blobs.sweep(much_later, much_later).unwrap();
    for digest in [named, forgotten, body] {
        assert!(blobs.has(&digest).unwrap());
    }
}

#[test]
fn the_parts_of_one_peer_are_not_those_of_another() {
    let dir = temp();
    let blobs = open(dir.path());
    let content = b"what both peers name";
    let digest = Sha256::digest(content).into();
    let (honest, hostile) = (blobs.of("link-1").unwrap(), blobs.of("link-2").unwrap());
    honest.write_at(&digest, 0, &content[..4]).unwrap();
    // Neither told how far the other has come, nor able to spoil it.
    assert_eq!(hostile.partial(&digest).unwrap(), 0);
    hostile.write_at(&digest, 0, &[0; 20]).unwrap();
    let spoilt = hostile.finish(&digest, content.len() as u64);
    assert!(matches!(spoilt, Err(StoreError::BlobDigest { .. })));
    hostile.write_at(&digest, 0, b"again").unwrap();
    hostile.discard(&digest).unwrap();
    assert_eq!(honest.partial(&digest).unwrap(), 4);
    honest.write_at(&digest, 4, &content[4..]).unwrap();
    honest.finish(&digest, content.len() as u64).unwrap();
    assert_eq!(hostile.get(&digest).unwrap().unwrap(), content);
}

#[test]
fn parts_that_nobody_goes_on_with_are_removed() {
    let dir = temp();
    let blobs = open(dir.path());
    let digest = [7; 32];
    let part = blobs.of("link-1").unwrap();
    part.write_at(&digest, 0, b"half").unwrap();
    // From a version that kept all parts in one place.
    let old = dir.path().join("blobs/partial").join(hex::encode(digest));
    fs::write(&old, b"half").unwrap();
    let now = now();
    assert_eq!(blobs.sweep(now + DAY, now - DAY).unwrap(), 0);
    assert_eq!(blobs.sweep(now - DAY, now + DAY).unwrap(), 2);
    assert_eq!(part.partial(&digest).unwrap(), 0);
    assert!(!old.exists());
}
