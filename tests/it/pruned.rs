//! Keys that nothing uses any more: destroyed when somebody says so, and none that is used.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use liaison::exchange::key_ends::key_ends;
use liaison::exchange::layout::StoredBody;
use liaison::exchange::prune::PruneError;
use liaison::exchange::{Exchange, LogSide};
use liaison::store::{Batch, Direction, Store as _, StoreError};

use crate::recover::{flag_as_lost, heal, lose_disk, traffic};
use crate::sides::{join, link_of, quiet, sides, submit};

/// Bodies that lie sealed, and how many of them can be read.
fn bodies(node: &Exchange) -> (usize, usize) {
    let link = link_of(node);
    let (mut sealed, mut readable) = (0, 0);
    for (side, size) in [
        (LogSide::Own, link.head().own_size),
        (LogSide::Mirror, link.head().mirror_size),
    ] {
        let reader = node.reader(&link, side);
        for index in 0..size {
            let stored = reader.entry(index).unwrap();
            if !matches!(stored.record.body, StoredBody::Sealed { .. }) {
                continue;
            }
            sealed += 1;
            readable += usize::from(reader.body(&stored).unwrap().is_some());
        }
    }
    (sealed, readable)
}

#[tokio::test]
async fn after_a_recovery_the_old_store_opens_until_its_keys_are_pruned() {
    let (mut a, b) = sides();
    let (mut left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    traffic(&left, &right, (&a, &b), 20).await;
    running.end().await;
    let all = bodies(&left);
    assert_eq!(all.0, all.1);
    drop(left);
    let old = a.snapshot();
    lose_disk(&mut a);
    left = a.open(&b);
    flag_as_lost(&left).await;
    let refused = left.prune_keys(false).await;
    assert!(matches!(refused, Err(PruneError::NotWhole { .. })));
    let (_, running) = heal(&left, &right).await;
    running.end().await;
    assert!(left.note_files_back(&link_of(&left)).await.unwrap());
    // Keys that this process gave, or took over a moment ago, stay whatever becomes of them.
    assert_eq!(left.prune_keys(false).await.unwrap(), 0);
    drop(left);

    let mut a = a.restarted();
    left = a.open(&b);
    let unused = left.prune_keys(true).await.unwrap();
    assert!(unused >= all.0 as u64);
    assert_eq!(bodies(&left), all);
    assert_eq!(left.prune_keys(false).await.unwrap(), unused);
    assert_eq!(left.prune_keys(false).await.unwrap(), 0);
    assert_eq!(bodies(&left), all, "what is used stays");
    // It goes on, and the key files are read again as they are.
    let running = join(&left, &right);
    submit(&left, crate::sides::letter(&b, 99)).await.unwrap();
    quiet(&left, &right).await;
    running.end().await;
    drop(left);
    let new = a.snapshot();
    a.restore(old);
    let mut a = a.restarted();
    let old = a.open(&b);
    assert_eq!(bodies(&old), (all.0, 0), "the old store opens nothing");
    drop(old);
    a.restore(new);
    assert_eq!(bodies(&a.open(&b)), (all.0 + 1, all.1 + 1));
}

/// A backup carries what waits for its turn and what was set aside; their keys count too.
#[tokio::test]
async fn keys_of_what_waits_and_of_what_was_set_aside_are_in_use() {
    let (a, b) = sides();
    let left = a.open(&b);
    submit(&left, crate::sides::letter(&b, 1)).await.unwrap();
    drop(left);
    let blobs = a.blobs(a.dir.path());
    let ends = key_ends(&a.store, &blobs).unwrap();
    assert_eq!(ends.values().copied().collect::<Vec<_>>(), [1]);
    let rows = a.store.scan(b"E", b"F", 9, Direction::Forward).unwrap();
    let (_, record) = rows.into_iter().next().unwrap();
    // Regions X, and Z with the parts of what is set aside for a while and of what stays so.
    for key in [&b"X\0\0"[..], b"Z\0\0\x01", b"Z\0\0\x06"] {
        let row = [key, &7_u64.to_be_bytes()].concat();
        let store = liaison::store::MemoryStore::new();
        let mut batch = Batch::new();
        batch.put(row, record.clone());
        store.commit(batch).unwrap();
        assert_eq!(key_ends(&store, &blobs).unwrap(), ends, "{key:?}");
    }
}

/// What was erased while it came is not published under a key that nobody destroys.
#[tokio::test]
async fn an_attachment_that_comes_while_it_is_erased_goes_with_its_keys() {
    use sha2::Digest as _;

    let (a, b) = sides();
    let node = a.open(&b);
    let content = vec![7; 70_000];
    let digest: [u8; 32] = sha2::Sha256::digest(&content).into();
    let blobs = a.blobs(a.dir.path());
    let part = blobs.of("link-1").unwrap();
    for holder in [&blobs, &part] {
        holder.write_at(&digest, 0, &content[..100]).unwrap();
    }
    let keys = blobs.keys_of(&digest).unwrap();
    assert_eq!(keys.len(), 2);
    // A damaged one has an address all the same.
    let name = format!("blobs/partial/link-1/{}.s", hex::encode(digest));
    let path = a.dir.path().join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(part.keys_of(&digest).unwrap(), keys);
    blobs.remove_attachment(&digest).unwrap();
    assert_eq!(blobs.keys_of(&digest).unwrap(), []);
    for holder in [&blobs, &part] {
        let next = holder.write_at(&digest, 100, &content[100..]);
        assert!(matches!(next, Err(StoreError::BlobOffset { held: 0, .. })));
    }
    // One that was begun again, and came whole.
    let part = node.blobs_of(&link_of(&node)).unwrap();
    part.write_at(&digest, 0, &content).unwrap();
    let key = part.partial_key(&digest).unwrap().unwrap();
    assert!(!node.is_file_named(&link_of(&node), &digest).unwrap());
    let alone = node.no_erasure().await;
    node.drop_unfinished(part, digest).await.unwrap();
    drop(alone);
    assert_eq!(blobs.keys_of(&digest).unwrap(), []);
    assert!(a.vault().key(key).is_err());
}

/// A crash between the end of a file and its name, at every length where that cannot be seen.
#[test]
fn a_file_that_was_ended_and_not_named_is_begun_again() {
    use sha2::Digest as _;

    let (a, _) = sides();
    let blobs = a.blobs(a.dir.path());
    for size in [
        0, 100, 65_504, 65_505, 65_520, 65_535, 65_536, 65_537, 131_072,
    ] {
        let content = vec![3; size];
        let digest: [u8; 32] = sha2::Sha256::digest(&content).into();
        let size = size as u64;
        if size > 0 {
            blobs.write_at(&digest, 0, &content).unwrap();
        }
        blobs.finish(&digest, size).unwrap();
        let dir = a.dir.path().join("blobs");
        let name = format!("{}.s", hex::encode(digest));
        std::fs::rename(dir.join(&name), dir.join("partial").join(&name)).unwrap();
        let mut failures = 0;
        while let Err(error) = blobs.finish(&digest, size) {
            failures += 1;
            assert!(failures < 3, "{size}: {error}");
            let held = match error {
                StoreError::BlobOffset { held, .. } => held,
                StoreError::BlobDigest { .. } => 0,
                other => panic!("{size}: {other}"),
            };
            let rest = &content[usize::try_from(held).unwrap()..];
            if !rest.is_empty() {
                blobs.write_at(&digest, held, rest).unwrap();
            }
        }
        assert_eq!(blobs.size(&digest).unwrap(), Some(size));
    }
}
