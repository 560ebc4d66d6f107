//! The disk fills up under a store, on file systems of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write as _;
use std::path::Path;

use liaison::store::{Batch, Blobs, OpenOptions, Share, SledStore, Store, StoreError};
use sha2::{Digest as _, Sha256};

use crate::mounted::Mounted;
use crate::store::temp;
use crate::store_damage::record_value;

const MIB: u64 = 1 << 20;

fn on_a_small_disk(dir: &Path) -> OpenOptions {
    let mut options = OpenOptions::new(dir.join("store")).create();
    options.ballast_bytes = 8 * MIB;
    options.free_bytes_min = 4 * MIB;
    options
}

/// Fills the disk until `left` bytes are free.
fn fill(dir: &Path, left: u64) {
    let path = dir.join("filler");
    let file = fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    loop {
        let stat = rustix::fs::statvfs(dir).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let bytes = usize::try_from(free.saturating_sub(left).min(MIB)).unwrap();
        if bytes == 0 || (&file).write_all(&vec![0; bytes]).is_err() {
            return;
        }
    }
}

/// Gives the space back now: a process that another test starts may hold the file open for a moment.
fn free(filler: &Path) {
    let file = fs::File::options().write(true).open(filler).unwrap();
    file.set_len(0).unwrap();
    fs::remove_file(filler).unwrap();
}

fn commit_numbered(store: &SledStore, from: u64, to: u64) -> Result<u64, StoreError> {
    for index in from..to {
        let mut batch = Batch::new();
        for part in 0..8 {
            batch.put(format!("n/{index:06}/{part}"), record_value(index));
        }
        store.commit(batch)?;
    }
    Ok(to)
}

fn assert_numbered(store: &SledStore, count: u64) {
    for index in 0..count {
        for part in 0..8 {
            let value = store
                .get(format!("n/{index:06}/{part}").as_bytes())
                .unwrap();
            assert_eq!(value, Some(record_value(index)), "{index}");
        }
    }
}

fn full_disk(disk: &Mounted) {
    let options = on_a_small_disk(&disk.dir);
    let (filler, ballast) = (disk.dir.join("filler"), options.dir.join("ballast"));
    let store = SledStore::open(&options).unwrap();
    let mut count = commit_numbered(&store, 0, 50).unwrap();

    // Below the floor: the ballast is given up first, for what is urgent.
    fill(&disk.dir, 3 * MIB);
    assert!(ballast.exists());
    count = commit_numbered(&store, count, count + 1).unwrap();
    assert!(!ballast.exists());

    // Below it again: refused in words, nothing written, and it goes on when there is space.
    fill(&disk.dir, 3 * MIB);
    for _ in 0..3 {
        let error = commit_numbered(&store, count, count + 1).unwrap_err();
        assert!(
            matches!(error, StoreError::Full { .. }) && !error.is_fatal(),
            "{error}"
        );
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
    assert_numbered(&store, count);
    assert_eq!(
        store.get(format!("n/{count:06}/0").as_bytes()).unwrap(),
        None
    );
    let blobs = Blobs::open(&options.dir, options.free_bytes_min).unwrap();
    let content = vec![1; 100_000];
    let digest = Sha256::digest(&content).into();
    assert!(matches!(
        blobs.put(&digest, &content),
        Err(StoreError::Full { .. })
    ));
    assert!(matches!(
        blobs.write_at(&digest, 0, &content),
        Err(StoreError::Full { .. })
    ));
    free(&filler);
    count = commit_numbered(&store, count, count + 50).unwrap();
    assert!(ballast.exists(), "the reserve is taken again");
    blobs.put(&digest, &content).unwrap();
    drop(store);

    // Not a byte left: it opens on its ballast, reads, and refuses to write.
    fill(&disk.dir, 0);
    let store = SledStore::open(&options).unwrap();
    assert!(!ballast.exists());
    assert_numbered(&store, count);
    fill(&disk.dir, 0);
    let error = commit_numbered(&store, count, count + 1).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    free(&filler);
    count = commit_numbered(&store, count, count + 1).unwrap();
    assert!(ballast.exists(), "the reserve is taken again");
    drop(store);

    // Not a byte and no ballast left: refused in words, and nothing is damaged by trying.
    fs::remove_file(&ballast).unwrap();
    fill(&disk.dir, 0);
    for _ in 0..3 {
        let error = SledStore::open(&options).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
    free(&filler);
    let store = SledStore::open(&options).unwrap();
    assert!(ballast.exists(), "the reserve is taken again");
    assert_numbered(&store, count);
    count = commit_numbered(&store, count, count + 50).unwrap();
    drop(store);

    // Without a floor the disk fills in the middle of a commit: the outcome is unknown, the store
    // stops, and what was acknowledged is there when it is opened anew.
    let reckless = OpenOptions {
        free_bytes_min: 0,
        ..options.clone()
    };
    let store = SledStore::open(&reckless).unwrap();
    fill(&disk.dir, MIB);
    let error = loop {
        match commit_numbered(&store, count, count + 1) {
            Ok(next) => count = next,
            Err(error) => break error,
        }
    };
    if matches!(error, StoreError::OutcomeUnknown { .. }) {
        free(&filler);
        let error = commit_numbered(&store, count, count + 1).unwrap_err();
        assert!(
            matches!(error, StoreError::OutcomeUnknown { .. }),
            "it stays stopped: {error}"
        );
        assert!(store.is_poisoned());
    } else {
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        free(&filler);
    }
    drop(store);
    let store = SledStore::open(&options).unwrap();
    assert_numbered(&store, count);
    commit_numbered(&store, count + 1, count + 50).unwrap();
}

#[test]
fn what_is_reserved_has_a_floor_and_the_ballast_more_than_what_is_not() {
    let dir = temp();
    let disk = Mounted::tmpfs(&dir.path().join("tmpfs"), 48);
    let options = on_a_small_disk(&disk.dir);
    let (floor, ballast) = (options.free_bytes_min, options.dir.join("ballast"));
    let store = SledStore::open(&options).unwrap();
    let blobs = Blobs::open(&options.dir, floor).unwrap();
    let content = vec![1; 300_000];
    let bytes = content.len() as u64;
    let full = |outcome: Result<(), StoreError>| matches!(outcome, Err(StoreError::Full { .. }));

    // What is free is of whole pages, and so is what is asked for.
    let free = || {
        let stat = rustix::fs::statvfs(&disk.dir).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    fill(&disk.dir, 2 * floor + MIB);
    let most = free() - 2 * floor;
    store.make_room(Share::Ordinary, most).unwrap();
    assert!(full(store.make_room(Share::Ordinary, most + 1)));
    assert!(ballast.exists());

    // Less than floor and body: the ballast is given up for it, and stays given up while what it was
    // given up for is being written.
    fill(&disk.dir, floor + bytes / 2);
    assert!(full(store.make_room(Share::Ordinary, 1)));
    assert!(ballast.exists());
    store.make_room(Share::Reserved, bytes).unwrap();
    assert!(!ballast.exists());
    commit_numbered(&store, 0, 1).unwrap();
    assert!(!ballast.exists());
    blobs
        .put(&Sha256::digest(&content).into(), &content)
        .unwrap();
    let most = free() - floor;
    assert!(full(store.make_room(Share::Reserved, most + 1)));
    store.make_room(Share::Reserved, most).unwrap();
    drop((store, blobs));
    disk.unmount();
}

#[test]
fn a_full_disk_is_refused_in_words_and_nothing_is_lost() {
    let dir = temp();
    let disk = Mounted::tmpfs(&dir.path().join("tmpfs"), 48);
    full_disk(&disk);
    disk.unmount();
}

#[test]
fn a_full_ext4_disk_is_refused_in_words_and_nothing_is_lost() {
    let dir = temp();
    let disk = Mounted::ext4(
        &dir.path().join("image"),
        &dir.path().join("ext4"),
        64,
        true,
    );
    full_disk(&disk);
    disk.unmount();
}
