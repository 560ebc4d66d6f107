//! The store: what its seam promises, and what it refuses to open.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use liaison::limits;
use liaison::store::{
    Batch, Direction, Failure, MemoryStore, OpenOptions, SledStore, Store, StoreError,
};
use proptest::prelude::*;
use tempfile::TempDir;

pub(crate) fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn create(dir: &Path) -> SledStore {
    SledStore::open(&OpenOptions::new(dir).create()).unwrap()
}

pub(crate) fn open(dir: &Path) -> Result<SledStore, StoreError> {
    SledStore::open(&OpenOptions::new(dir))
}

fn put(key: &str, value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value);
    batch
}

fn keys(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    records
        .iter()
        .map(|(key, _)| String::from_utf8(key.clone()).unwrap())
        .collect()
}

/// Every promise of the seam that does not need a broken machine.
fn keeps_the_promises(store: &dyn Store) {
    let mut batch = Batch::new();
    for key in ["a1", "a2", "a3", "b1"] {
        batch.put(key, key.to_uppercase());
    }
    batch.delete("never there");
    batch.put("a2", "twice");
    store.commit(batch).unwrap();
    store.commit(Batch::new()).unwrap();

    assert_eq!(store.get(b"a1").unwrap().unwrap(), b"A1");
    assert_eq!(store.get(b"a2").unwrap().unwrap(), b"twice");
    assert_eq!(store.get(b"never there").unwrap(), None);
    let scan = |start: &[u8], end: &[u8], limit, direction| {
        keys(&store.scan(start, end, limit, direction).unwrap())
    };
    assert_eq!(scan(b"a", b"b", 9, Direction::Forward), ["a1", "a2", "a3"]);
    assert_eq!(
        scan(b"a2", b"b1", 9, Direction::Forward),
        ["a2", "a3"],
        "the end is exclusive"
    );
    assert_eq!(scan(b"a", b"b", 2, Direction::Forward), ["a1", "a2"]);
    assert_eq!(scan(b"a", b"z", 2, Direction::Backward), ["b1", "a3"]);
    assert_eq!(scan(b"a", b"z", 0, Direction::Backward).len(), 0);
    assert_eq!(
        scan(b"z", b"a", 9, Direction::Forward).len(),
        0,
        "an empty range is no error"
    );
    assert_eq!(scan(b"a", b"a", 9, Direction::Forward).len(), 0);
    let all = scan(b"", &[0xFF; 8], 99, Direction::Forward);
    assert_eq!(
        all,
        ["a1", "a2", "a3", "b1"],
        "the engine's own keys are not seen"
    );
    assert_eq!(store.get(&[0xFF, 0x01]).unwrap(), None);

    // One byte over each limit: refused, and nothing of the batch is written.
    let largest = vec![7; limits::VALUE_BYTES_MAX];
    store.commit(put("largest", &largest)).unwrap();
    assert_eq!(store.get(b"largest").unwrap().unwrap(), largest);
    let long_key = "k".repeat(limits::KEY_BYTES_MAX);
    store.commit(put(&long_key, b"v")).unwrap();
    let over = |key: Vec<u8>, bytes| {
        let mut batch = put("rides along", b"x");
        batch.put(key, vec![7; bytes]);
        batch
    };
    let error = store
        .commit(over(b"x".to_vec(), limits::VALUE_BYTES_MAX + 1))
        .unwrap_err();
    assert!(matches!(
        error,
        StoreError::ValueTooLarge {
            bytes: 8193,
            bytes_max: 8192
        }
    ));
    assert!(!error.is_fatal());
    for key in [
        vec![b'k'; limits::KEY_BYTES_MAX + 1],
        vec![],
        vec![0xFF, 0x01],
    ] {
        let error = store.commit(over(key, 1)).unwrap_err();
        assert!(matches!(error, StoreError::KeyRefused { .. }), "{error}");
    }
    let mut batch = Batch::new();
    while batch.bytes() <= limits::BATCH_BYTES_MAX {
        batch.put(format!("many {}", batch.len()), largest.clone());
    }
    let error = store.commit(batch).unwrap_err();
    assert!(matches!(error, StoreError::BatchTooLarge { .. }), "{error}");
    assert_eq!(store.get(b"rides along").unwrap(), None);

    let mut batch = Batch::new();
    batch.delete("a1");
    batch.delete(long_key);
    batch.delete("largest");
    store.commit(batch).unwrap();
    assert_eq!(
        scan(b"", b"\xff", 99, Direction::Forward),
        ["a2", "a3", "b1"]
    );
    assert!(store.free_bytes().unwrap() > 0);
}

#[test]
fn both_engines_keep_the_promises() {
    keeps_the_promises(&MemoryStore::new());
    let dir = temp();
    let store = create(dir.path());
    keeps_the_promises(&store);
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(
        store.get(b"a2").unwrap().unwrap(),
        b"twice",
        "it is there after opening anew"
    );
    let blob_dir = dir.path().join("sled/blobs");
    assert_eq!(
        fs::read_dir(blob_dir).unwrap().count(),
        0,
        "no page is moved to an unsynced file"
    );
}

#[test]
fn memory_fails_in_each_of_the_worlds() {
    for (failure, seen, durable) in [
        (Failure::Before, false, false),
        (Failure::Volatile, true, false),
        (Failure::After, true, true),
    ] {
        let store = MemoryStore::new();
        store.commit(put("first", b"1")).unwrap();
        store.fail_commit(1, failure);
        store.commit(put("second", b"2")).unwrap();
        let error = store.commit(put("second", b"3")).unwrap_err();
        assert!(matches!(error, StoreError::OutcomeUnknown { .. }) && error.is_fatal());
        let error = store.commit(put("later", b"4")).unwrap_err();
        assert!(
            matches!(error, StoreError::OutcomeUnknown { .. }),
            "it stays stopped"
        );
        let value = |new| if new { b"3" } else { b"2" };
        assert_eq!(
            store.get(b"second").unwrap().unwrap(),
            value(seen),
            "{failure:?}"
        );
        store.clone().crash();
        assert_eq!(
            store.get(b"second").unwrap().unwrap(),
            value(durable),
            "{failure:?}"
        );
        store.commit(put("later", b"4")).unwrap();
    }
    let store = MemoryStore::new();
    store.set_loses_syncs(true);
    store.commit(put("lost", b"1")).unwrap();
    store.crash();
    assert_eq!(store.get(b"lost").unwrap(), None);
    store.set_full(true);
    assert!(matches!(
        store.commit(put("full", b"1")),
        Err(StoreError::Full { .. })
    ));
    store.set_full(false);
    store.commit(put("full", b"1")).unwrap();
}

#[test]
fn a_store_in_use_is_refused() {
    let dir = temp();
    let store = create(dir.path());
    let error = open(dir.path()).unwrap_err();
    assert!(
        matches!(error, StoreError::InUse { .. }) && !error.is_fatal(),
        "{error}"
    );
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn where_there_is_no_store_none_is_made_unasked() {
    let dir = temp();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(matches!(
        open(&dir.path().join("no/where")),
        Err(StoreError::Missing { .. })
    ));
}

#[test]
fn a_newer_version_is_refused() {
    let dir = temp();
    drop(create(dir.path()));
    fs::write(dir.path().join("FORMAT"), "liaison store\nversion 2\n").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Version { found, .. } if found == "2"),
        "{error}"
    );
    fs::write(dir.path().join("FORMAT"), "something else").unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::Corrupt { .. })));
}

/// A store whose files vanished must never be served as an empty one, whoever asks.
#[test]
fn a_vanished_store_is_never_an_empty_one() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 7] = [
        ("database removed", |dir| {
            fs::remove_file(dir.join("sled/db")).unwrap();
        }),
        ("database emptied", |dir| {
            fs::write(dir.join("sled/db"), "").unwrap();
        }),
        ("engine removed", |dir| {
            fs::remove_dir_all(dir.join("sled")).unwrap();
        }),
        ("format removed", |dir| {
            fs::remove_file(dir.join("FORMAT")).unwrap();
        }),
        ("marks removed", |dir| {
            fs::remove_file(dir.join("marks")).unwrap();
        }),
        ("blobs removed", |dir| {
            fs::remove_dir_all(dir.join("blobs")).unwrap();
        }),
        ("database replaced by a new one", |dir| {
            fs::remove_dir_all(dir.join("sled")).unwrap();
            drop(sled::open(dir.join("sled")).unwrap());
        }),
    ];
    for (name, damage) in damages {
        let dir = temp();
        let store = create(dir.path());
        store.commit(put("k", b"v")).unwrap();
        drop(store);
        damage(dir.path());
        for options in [
            OpenOptions::new(dir.path()),
            OpenOptions::new(dir.path()).create(),
        ] {
            let error = SledStore::open(&options).unwrap_err();
            assert!(
                matches!(error, StoreError::Vanished { .. }),
                "{name}: {error}"
            );
            let text = error.to_string();
            assert!(text.contains(liaison::store::DO_NOW), "{name}: {text}");
        }
    }
}

#[test]
fn an_interrupted_making_is_finished() {
    let dir = temp();
    drop(create(dir.path()));
    fs::remove_file(dir.path().join("FORMAT")).unwrap();
    fs::write(dir.path().join("FORMAT.tmp"), "half").unwrap();
    let store = create(dir.path());
    store.commit(put("k", b"v")).unwrap();
    drop(store);
    open(dir.path()).unwrap();
    assert!(!dir.path().join("FORMAT.tmp").exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The two engines hold the same after the same batches, and sled also after opening anew.
    #[test]
    fn both_engines_agree(batches in proptest::collection::vec(
        proptest::collection::vec((0..200u8, proptest::option::of(0..2_000usize)), 0..60),
        0..20,
    )) {
        let dir = temp();
        let (memory, store) = (MemoryStore::new(), create(dir.path()));
        for writes in batches {
            let mut batch = Batch::new();
            for (key, bytes) in writes {
                match bytes {
                    Some(bytes) => batch.put([key], vec![key; bytes]),
                    None => batch.delete([key]),
                }
            }
            memory.commit(batch.clone()).unwrap();
            store.commit(batch).unwrap();
        }
        drop(store);
        let store = open(dir.path()).unwrap();
        for direction in [Direction::Forward, Direction::Backward] {
            for (start, end, limit) in [(0, 255, 999), (7, 90, 999), (30, 180, 20)] {
                let scan = |store: &dyn Store| store.scan(&[start], &[end], limit, direction).unwrap();
                prop_assert_eq!(scan(&memory), scan(&store));
            }
        }
        let all: BTreeMap<_, _> =
            store.scan(&[], &[255], 999, Direction::Forward).unwrap().into_iter().collect();
        prop_assert_eq!(all, memory.records());
    }
}
