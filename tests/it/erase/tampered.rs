//! Whatever is changed of what lies sealed, nothing else comes out of it: it is told as damaged, or as
//! not held here; and the peer gives it back.

use liaison::exchange::read::ReadError;
use liaison::store::{Batch, Store as _};

use super::*;

/// The row of the entry at an index of the first link.
fn row(side: u8, index: u64) -> Vec<u8> {
    [&[b'E', 0, 1, side], &index.to_be_bytes()[..]].concat()
}

/// Where the sealed part of a record begins: behind version, flags, time, both lengths and the entry.
fn body_at(record: &[u8]) -> usize {
    let entry = u32::from_be_bytes(record[10..14].try_into().unwrap());
    18 + usize::try_from(entry).unwrap()
}

#[tokio::test]
async fn no_changed_byte_of_a_sealed_body_gives_another_body() {
    let (a, _b, left, _right, _) = talked().await;
    for (side, byte) in [(LogSide::Own, 0), (LogSide::Mirror, 1)] {
        let key = row(byte, 1);
        let honest = a.store.records()[&key].clone();
        let reader = left.reader(&link_of(&left), side);
        let before = reader.body(&reader.entry(1).unwrap()).unwrap().unwrap();
        assert!(
            !honest
                .windows(20)
                .any(|w| before.1.windows(20).any(|b| b == w)),
            "it lies open"
        );
        for at in body_at(&honest)..honest.len() {
            let mut record = honest.clone();
            record[at] ^= 1 << (at % 8);
            let mut batch = Batch::new();
            batch.put(key.clone(), record);
            a.store.commit(batch).unwrap();
            let is_address = at < body_at(&honest) + 6;
            match reader.entry(1).and_then(|stored| reader.body(&stored)) {
                // Its key is that of another, which does not open it, or there is none of that number.
                Err(ReadError::Store(error)) => {
                    assert!(is_address, "{at}: {error}");
                    assert!(error.to_string().contains("key"), "{error}");
                }
                Err(error @ ReadError::Damaged { .. }) => {
                    assert!(error.to_string().contains("liaison recover"), "{error}");
                }
                found => panic!("{at}: {found:?}"),
            }
        }
        let mut batch = Batch::new();
        batch.put(key, honest);
        a.store.commit(batch).unwrap();
        assert_eq!(
            reader.body(&reader.entry(1).unwrap()).unwrap().unwrap(),
            before
        );
    }
}

/// One record moved to the place of another: it is sealed for its own entry.
#[tokio::test]
async fn a_body_that_was_moved_does_not_open() {
    let (a, _b, left, _right, _) = talked().await;
    let records = a.store.records();
    let (one, two) = (&records[&row(0, 0)], &records[&row(0, 1)]);
    let moved = [&two[..body_at(two)], &one[body_at(one)..]].concat();
    let mut batch = Batch::new();
    batch.put(row(0, 1), moved);
    a.store.commit(batch).unwrap();
    let reader = left.reader(&link_of(&left), LogSide::Own);
    let error = reader.entry(1).and_then(|stored| reader.body(&stored));
    assert!(matches!(error, Err(ReadError::Damaged { .. })), "{error:?}");
}

/// A record without its body, and nobody who erased it: it is not shown as erased.
#[tokio::test]
async fn what_nobody_erased_is_not_shown_as_erased() {
    let (a, _b, left, _right, _) = talked().await;
    let mut record = a.store.records()[&row(1, 1)].clone();
    record.truncate(body_at(&record));
    record[1] = 4;
    record[14..18].fill(0);
    let mut batch = Batch::new();
    batch.put(row(1, 1), record);
    a.store.commit(batch).unwrap();
    let message = shown(&left, LogSide::Mirror, 1);
    assert!(message.body.is_none() && message.body_withheld);
    assert!(message.erasure.is_none(), "{message:?}");
}

/// What was damaged comes back from the peer, sealed anew.
#[tokio::test]
async fn the_peer_gives_back_what_was_damaged() {
    let (mut a, b, left, right, _) = talked().await;
    let body = |exchange: &Exchange| {
        let reader = exchange.reader(&link_of(exchange), LogSide::Own);
        reader.entry(1).and_then(|stored| reader.body(&stored))
    };
    let before = body(&left).unwrap().unwrap();
    let mut record = a.store.records()[&row(0, 1)].clone();
    let last = record.len() - 1;
    record[last] ^= 1;
    let mut batch = Batch::new();
    batch.put(row(0, 1), record);
    a.store.commit(batch).unwrap();
    assert!(body(&left).is_err());
    drop(left);
    // As `liaison recover` does: a new store, filled by the peer.
    lose_disk(&mut a);
    let left = a.open(&b);
    flag_as_lost(&left).await;
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert_eq!(body(&left).unwrap().unwrap(), before);
    assert_eq!(readable(&left, LogSide::Mirror), [0, 1, 2].into());
}

#[tokio::test]
async fn no_changed_byte_of_a_sealed_file_gives_another_file() {
    let (a, b) = sides();
    let left = a.open(&b);
    let content: Vec<u8> = (0..70_000_u32).map(|n| n.to_be_bytes()[3]).collect();
    let digest = bring(&left, &content);
    let path = a.dir.path().join("blobs");
    let path = path.join(format!("{}.s", hex::encode(digest)));
    let honest = std::fs::read(&path).unwrap();
    let read = || left.blobs().read_at(&digest, 0, usize::MAX);
    assert_eq!(read().unwrap().unwrap(), content);
    // Head, commitment, both segments with their tags; the digest at the end is a name and no protection.
    let ends = honest.len() - 32;
    let places = (0..200)
        .chain((200..ends).step_by(997))
        .chain(ends - 40..ends);
    for at in places {
        let mut bytes = honest.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, bytes).unwrap();
        assert!(read().is_err(), "byte {at}");
    }
    for cut in [1, 32, 33, 5_000, 66_000, honest.len() - 5] {
        std::fs::write(&path, &honest[..honest.len() - cut]).unwrap();
        assert!(
            !read().is_ok_and(|read| read.is_some_and(|read| read == content) && cut > 32),
            "{cut}"
        );
    }
    std::fs::write(&path, &honest).unwrap();
    assert_eq!(read().unwrap().unwrap(), content);
}
