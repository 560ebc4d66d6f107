//! The files beside the engine: marks and blobs.

use std::fs;

use liaison::limits;
use liaison::store::{Blobs, Held, Mark, Marks, StoreError};
use sha2::{Digest as _, Sha256};

use crate::store::temp;

const LOG: &str = "a.example/b.example";

fn mark(origin: &str, size: u64) -> Mark {
    Mark {
        origin: origin.to_owned(),
        size,
        root: Sha256::digest(size.to_be_bytes()).into(),
    }
}

#[test]
fn marks_only_go_forward() {
    let dir = temp();
    let mut marks = Marks::create(dir.path()).unwrap();
    assert_eq!(marks.get(LOG), None);
    marks
        .record(&[mark(LOG, 5), mark("b.example/a.example", 0)])
        .unwrap();
    marks.record(&[mark(LOG, 5)]).unwrap();
    marks.record(&[mark(LOG, 9)]).unwrap();
    let mut other_tree = mark(LOG, 9);
    other_tree.root = [1; 32];
    for refused in [
        mark(LOG, 8),
        other_tree,
        mark("", 1),
        mark(&"x".repeat(508), 1),
    ] {
        let error = marks
            .record(&[mark("c.example/d.example", 1), refused])
            .unwrap_err();
        assert!(
            matches!(error, StoreError::MarkRefused { .. }) && !error.is_fatal(),
            "{error}"
        );
    }
    assert_eq!(
        marks.get("c.example/d.example"),
        None,
        "all of them or none"
    );
    drop(marks);
    let marks = Marks::open(dir.path()).unwrap();
    assert_eq!(marks.get(LOG).unwrap().0, 9);
    let all: Vec<Mark> = marks.iter().collect();
    assert_eq!(all, [mark(LOG, 9), mark("b.example/a.example", 0)]);
    let none = |_: &Mark| {
        Ok::<_, StoreError>(Held {
            size: 0,
            root_at_mark: Some(mark("", 0).root),
        })
    };
    let shortfalls = marks.compare(none).unwrap();
    assert_eq!(shortfalls.len(), 1);
    assert_eq!(
        shortfalls[0].to_string(),
        format!("{LOG} had 9 entries, 0 are there")
    );
}

/// A crash can leave any part of a slot's write on the disk.
#[test]
fn a_torn_mark_leaves_the_state_before_it() {
    for rounds in 1..4 {
        let dir = temp();
        let path = dir.path().join("marks");
        let mut marks = Marks::create(dir.path()).unwrap();
        for round in 1..=rounds {
            marks
                .record(&[mark(LOG, round), mark("b.example/a.example", 7 * round)])
                .unwrap();
        }
        let before = fs::read(&path).unwrap();
        marks.record(&[mark(LOG, rounds + 1)]).unwrap();
        drop(marks);
        let after = fs::read(&path).unwrap();
        let differing: Vec<usize> = (0..after.len())
            .filter(|&at| before[at] != after[at])
            .collect();
        let (first, last) = (differing[0], differing[differing.len() - 1]);
        for cut in first..=last + 1 {
            for torn in [
                [&after[..cut], &before[cut..]].concat(),
                [&before[..cut], &after[cut..]].concat(),
            ] {
                fs::write(&path, &torn).unwrap();
                let mut marks = Marks::open(dir.path()).unwrap();
                let size = marks.get(LOG).unwrap().0;
                let whole = if torn == after { rounds + 1 } else { rounds };
                assert_eq!(size, whole, "cut at {cut}");
                marks.record(&[mark(LOG, rounds + 9)]).unwrap();
                assert_eq!(
                    Marks::open(dir.path()).unwrap().get(LOG).unwrap().0,
                    rounds + 9
                );
            }
        }
    }
}

#[test]
fn marks_grow_and_refuse_what_they_do_not_know() {
    let dir = temp();
    let path = dir.path().join("marks");
    let mut marks = Marks::create(dir.path()).unwrap();
    let small = fs::metadata(&path).unwrap().len();
    let origin = |n: u64| format!("{}{n}.example/b.example", "long".repeat(60));
    for n in 0..256 {
        marks.record(&[mark(&origin(n), n)]).unwrap();
    }
    marks.record(&[mark(&origin(0), 500)]).unwrap();
    drop(marks);
    assert!(fs::metadata(&path).unwrap().len() > small);
    let marks = Marks::open(dir.path()).unwrap();
    assert_eq!(marks.iter().count(), 256);
    assert_eq!(marks.get(&origin(0)).unwrap().0, 500);
    drop(marks);

    let whole = fs::read(&path).unwrap();
    let mut newer = whole.clone();
    newer[15] = 2;
    fs::write(&path, &newer).unwrap();
    assert!(matches!(
        Marks::open(dir.path()),
        Err(StoreError::Version { .. })
    ));
    for bytes in [0, 1, 51, 4096] {
        fs::write(&path, &whole[..bytes]).unwrap();
        let error = Marks::open(dir.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{bytes}: {error}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        Marks::open(dir.path()),
        Err(StoreError::Vanished { .. })
    ));
}

fn content(seed: u8, bytes: usize) -> (Vec<u8>, [u8; 32]) {
    let content: Vec<u8> = (0..=250)
        .cycle()
        .take(bytes)
        .map(|at: u8| at.wrapping_add(seed))
        .collect();
    let digest = Sha256::digest(&content).into();
    (content, digest)
}

#[test]
fn a_blob_is_whole_or_not_there() {
    let dir = temp();
    let blobs = Blobs::open(dir.path(), 0).unwrap();
    let (one, one_digest) = content(1, 20_000);
    let (two, two_digest) = content(2, 0);
    assert_eq!(blobs.get(&one_digest).unwrap(), None);
    assert!(matches!(
        blobs.put(&two_digest, &one),
        Err(StoreError::BlobDigest { .. })
    ));
    blobs
        .put_all(&[(one_digest, &one), (two_digest, &two)])
        .unwrap();
    blobs.put(&one_digest, &one).unwrap();
    assert_eq!(blobs.get(&one_digest).unwrap().unwrap(), one);
    assert_eq!(blobs.size(&one_digest).unwrap(), Some(20_000));
    assert!(blobs.has(&two_digest).unwrap());
    assert_eq!(
        blobs.read_at(&one_digest, 19_990, 100).unwrap().unwrap(),
        one[19_990..]
    );
    let past_the_end = blobs.read_at(&one_digest, 30_000, 100).unwrap();
    assert_eq!(past_the_end, Some(Vec::new()));
    assert_eq!(blobs.read_at(&[0; 32], 0, 100).unwrap(), None);

    // Leftovers of a crash are removed, published blobs stay.
    fs::write(dir.path().join("blobs/tmp/leftover"), "half").unwrap();
    let blobs = Blobs::open(dir.path(), 0).unwrap();
    assert_eq!(
        fs::read_dir(dir.path().join("blobs/tmp")).unwrap().count(),
        0
    );
    assert!(blobs.has(&one_digest).unwrap());

    // Rot is noticed when it is read.
    let path = dir.path().join("blobs").join(hex::encode(one_digest));
    fs::write(&path, &one[1..]).unwrap();
    let error = blobs.get(&one_digest).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    blobs.remove(&one_digest).unwrap();
    blobs.remove(&one_digest).unwrap();
    assert!(!blobs.has(&one_digest).unwrap());
}

#[test]
fn an_upload_goes_on_where_it_stopped() {
    let dir = temp();
    let (whole, digest) = content(3, 700_000);
    let size = whole.len() as u64;
    let blobs = Blobs::open(dir.path(), 0).unwrap();
    assert_eq!(blobs.partial(&digest).unwrap(), 0);
    assert_eq!(
        blobs.write_at(&digest, 0, &whole[..300_000]).unwrap(),
        300_000
    );
    drop(blobs);

    let blobs = Blobs::open(dir.path(), 0).unwrap();
    assert_eq!(blobs.partial(&digest).unwrap(), 300_000);
    assert_eq!(blobs.partials().unwrap().len(), 1);
    for offset in [0, 299_999, 300_001] {
        let error = blobs.write_at(&digest, offset, &whole[..9]).unwrap_err();
        assert!(
            matches!(error, StoreError::BlobOffset { held: 300_000, .. }),
            "{error}"
        );
    }
    assert!(matches!(
        blobs.finish(&digest, size),
        Err(StoreError::BlobOffset { .. })
    ));
    blobs.write_at(&digest, 300_000, &whole[300_000..]).unwrap();
    assert!(!blobs.has(&digest).unwrap(), "not before it was checked");
    blobs.finish(&digest, size).unwrap();
    blobs.finish(&digest, size).unwrap();
    assert_eq!(blobs.get(&digest).unwrap().unwrap(), whole);
    assert!(blobs.partials().unwrap().is_empty());

    // Wrong content is dropped, and the upload begins again.
    let (_, other) = content(4, 700_000);
    blobs.write_at(&other, 0, &whole).unwrap();
    assert!(matches!(
        blobs.finish(&other, size),
        Err(StoreError::BlobDigest { .. })
    ));
    assert_eq!(blobs.partial(&other).unwrap(), 0);
    blobs.write_at(&other, 0, &whole).unwrap();
    blobs.discard(&other).unwrap();
    assert_eq!(blobs.partial(&other).unwrap(), 0);
    let (nothing, empty) = content(0, 0);
    blobs.finish(&empty, 0).unwrap();
    assert_eq!(blobs.get(&empty).unwrap().unwrap(), nothing);

    // One byte over the largest attachment.
    let path = dir.path().join("blobs/partial").join(hex::encode(other));
    fs::File::create(path)
        .unwrap()
        .set_len(limits::ATTACHMENT_BYTES_MAX - 1)
        .unwrap();
    blobs
        .write_at(&other, limits::ATTACHMENT_BYTES_MAX - 1, b"x")
        .unwrap();
    let error = blobs
        .write_at(&other, limits::ATTACHMENT_BYTES_MAX, b"x")
        .unwrap_err();
    assert!(matches!(error, StoreError::BlobTooLarge { .. }), "{error}");
}
