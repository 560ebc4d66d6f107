//! Everything comes back as it was; only what is new is sent.

use liaison::exchange::LogSide;
use liaison::exchange::backup::manifest::Manifest;
use liaison::exchange::layout::StoredEntry;
use liaison::limits::BACKUP_SEGMENT_ENTRIES;
use liaison::store::{Batch, Store as _};

use super::*;
use crate::hostile::Hostile;

#[tokio::test]
async fn every_region_comes_back_as_it_was() {
    let world = World::furnished().await;
    let dir = tempfile::tempdir().unwrap();
    let taken = back_up(&world.left, dir.path()).await;
    assert_eq!((taken.generation, taken.awaited), (1, 1));
    let checked = assert_whole(dir.path());
    assert_eq!(checked.entries, taken.entries);

    let delivered = link_of(&world.left).head().delivered_size;
    let was = records(&world.a.store, delivered);
    let counts = by_region(&was);
    for region in "ABCDEFHIKLMNOPQRSUWXY".chars() {
        let count = counts.get(&region).copied().unwrap_or_default();
        assert!(count > 0, "nothing of region {region}: {counts:?}");
    }
    let (place, restored) = restore_to(&world.a, dir.path(), world.terms()).unwrap();
    assert_eq!((restored.entries, restored.dropped), (taken.entries, 0));
    let is = records(&place.store, delivered);
    assert_eq!(by_region(&was), by_region(&is));
    for (key, value) in &was {
        let found = is.get(key);
        assert_eq!(found, Some(value), "{}", String::from_utf8_lossy(key));
    }
    // Every file, and the marks.
    for file in std::fs::read_dir(world.a.dir.path().join("blobs")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let mut digest = [0; 32];
            let name = path.file_stem().unwrap().to_str().unwrap();
            hex::decode_to_slice(name, &mut digest).unwrap();
            let read = |side: &Side| {
                let blobs = side.blobs(side.dir.path());
                blobs.read_at(&digest, 0, usize::MAX).unwrap().unwrap()
            };
            assert_eq!(read(&place), read(&world.a));
        }
    }
    let marks = |side: &Side| {
        Marks::open(side.dir.path())
            .unwrap()
            .iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(marks(&world.a), marks(&place));
    // It opens as a node's store does, and says what happened.
    let again = place.open(&world.b);
    assert_eq!(link_of(&again).head(), {
        let mut head = link_of(&world.left).head();
        head.changes_count = 0;
        head.expressed_count = 1;
        head
    });
    let told = |incident: &Incident| incident.what.contains("was restored from its backup");
    assert!(again.incidents(10).unwrap().iter().any(told));
}

#[tokio::test]
async fn a_large_log_comes_back_with_its_tiles_and_is_backed_up_piece_by_piece() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    let dir = tempfile::tempdir().unwrap();
    let total = BACKUP_SEGMENT_ENTRIES + 300;
    for number in 0..total {
        submit(&left, letter(&b, usize::try_from(number).unwrap()))
            .await
            .unwrap();
    }
    quiet(&left, &right).await;
    let first = back_up(&left, dir.path()).await;
    assert_eq!(first.entries_sent, total);
    assert_whole(dir.path());

    // The full piece is not sent again; the open one is.
    submit(&left, letter(&b, 0)).await.unwrap();
    submit(&right, letter(&a, 0)).await.unwrap();
    quiet(&left, &right).await;
    let second = back_up(&left, dir.path()).await;
    assert_eq!(second.entries_sent, 301 + 1);
    assert_eq!(second.entries, total + 2);
    assert!(
        second.bytes_written * 2 < first.bytes_written,
        "{second:?} after {first:?}"
    );
    // Nothing is new: the open pieces alone come.
    let third = back_up(&left, dir.path()).await;
    assert_eq!((third.generation, third.entries_sent), (3, 302));
    let checked = assert_whole(dir.path());
    assert_eq!(
        checked.unnamed, 0,
        "what belongs to no generation is removed"
    );
    running.end().await;

    let (place, _) = restore_to(&a, dir.path(), vec![terms(&a, &b)]).unwrap();
    let delivered = link_of(&left).head().delivered_size;
    assert_eq!(
        records(&a.store, delivered),
        records(&place.store, delivered)
    );
    assert!(by_region(&place.store.records())[&'T'] >= 5);
}

#[tokio::test]
async fn whatever_a_peer_says_is_backed_up_and_comes_back() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    // What no version knows, with an entry too large for its record; what is no entry at all.
    let mut newer = peer.forge();
    newer.header.kind = 77;
    newer.header.schema = "liaison.v9.Tomorrow".to_owned();
    newer.body = b"\xff anything".to_vec();
    let mut newer = newer.state_body().sign(&b);
    // Field 100 of the entry, 9,000 bytes: of a version to come.
    let field = [&[0xa2, 0x06, 0xa8, 0x46][..], &[0; 9_000]].concat();
    newer.entry = [&newer.entry[..], &field].concat().into();
    let junk = v1::Item {
        entry: vec![0xff; 20_000].into(),
        ..newer.clone()
    };
    let empty = v1::Item {
        entry: Vec::new().into(),
        ..newer.clone()
    };
    let honest = peer.letter();
    peer.push(vec![newer, junk, empty, honest]).await;
    let link = link_of(&node);
    assert_eq!(link.head().mirror_size, 4);
    let reader = node.reader(&link, LogSide::Mirror);
    for index in [0, 1] {
        let stored = reader.entry(index).unwrap();
        assert!(matches!(stored.record.entry, StoredEntry::File(_)));
    }
    peer.hear(2).await;
    let mut heads = link.watch_head();
    let settled = heads.wait_for(|head| head.own_size == head.delivered_size);
    patiently(settled).await.unwrap();
    assert_eq!(peer.refusals().len(), 2, "{:?}", peer.refusals());
    drop(peer);
    let dir = tempfile::tempdir().unwrap();
    let taken = back_up(&node, dir.path()).await;
    assert_eq!(taken.files, 3);
    let again = back_up(&node, dir.path()).await;
    assert_eq!((again.files, again.files_sent), (3, 0));
    assert_whole(dir.path());
    let (place, _) = restore_to(&a, dir.path(), vec![terms(&a, &b)]).unwrap();
    assert_eq!(records(&a.store, 0), records(&place.store, 0));
    // The file of an entry that is gone from the node is damage of that entry.
    let digest = match reader.entry(1).unwrap().record.entry {
        StoredEntry::File(digest) => digest,
        StoredEntry::Inline(_) => unreachable!("it is in a file"),
    };
    node.blobs().remove(&digest).unwrap();
    let error = back_up_with(&node, dir.path(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("entry 1 of"), "{error}");
    assert_whole(dir.path());
}

#[tokio::test]
async fn files_are_sent_once_and_those_that_come_later_later() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let (draft, content) = letter_with(&right, &a, 1, 5_000);
    submit(&right, draft).await.unwrap();
    let (draft, _) = letter_with(&left, &b, 2, 6_000);
    submit(&left, draft).await.unwrap();
    // The same content again, as another message's file.
    let (draft, _) = letter_with(&left, &b, 2, 6_000);
    submit(&left, draft).await.unwrap();
    let running = join(&left, &right);
    quiet(&left, &right).await;
    let dir = tempfile::tempdir().unwrap();
    let first = back_up(&left, dir.path()).await;
    assert_eq!((first.files, first.files_sent, first.awaited), (1, 1, 1));
    left.blobs().put(&sha(&content), &content).unwrap();
    let second = back_up(&left, dir.path()).await;
    assert_eq!((second.files, second.files_sent, second.awaited), (2, 1, 0));
    let third = back_up(&left, dir.path()).await;
    assert_eq!((third.files, third.files_sent, third.awaited), (2, 0, 0));
    assert_eq!(assert_whole(dir.path()).files, 2);
    running.end().await;
}

#[tokio::test]
async fn a_damaged_record_is_found_and_named_and_the_former_backup_stays() {
    let world = World::furnished().await;
    let dir = tempfile::tempdir().unwrap();
    back_up(&world.left, dir.path()).await;
    let before = Folder::new(dir.path()).manifest().unwrap();
    let records = world.a.store.records();
    let key = |side: u8, index: u64| [&[b'E', 0, 1, side], &index.to_be_bytes()[..]].concat();
    let own = link_of(&world.left).own.to_string();
    let mirror = link_of(&world.left).mirror.to_string();
    for (side, index, origin) in [(0, 2, &own), (1, 0, &mirror)] {
        let key = key(side, index);
        let record = records[&key].clone();
        // A byte of the entry, of the body, and none at all.
        let last = record.len() - 1;
        let damages = [
            Some((30, record[30] ^ 1)),
            Some((last, record[last] ^ 1)),
            None,
        ];
        for damage in damages {
            let mut batch = Batch::new();
            match damage {
                None => batch.delete(key.clone()),
                Some((at, byte)) => {
                    let mut damaged = record.clone();
                    damaged[at] = byte;
                    batch.put(key.clone(), damaged);
                }
            }
            world.a.store.commit(batch).unwrap();
            let error = back_up_with(&world.left, dir.path(), |_| ()).await;
            let told = error.unwrap_err().to_string();
            let place = if damage.is_none() {
                format!("entry {index} of")
            } else {
                format!("entry {index} of {origin} is damaged")
            };
            assert!(told.contains(&place), "{told}");
            assert_eq!(Folder::new(dir.path()).manifest().unwrap(), before);
            assert_whole(dir.path());
        }
        let mut batch = Batch::new();
        batch.put(key, record);
        world.a.store.commit(batch).unwrap();
    }
    back_up(&world.left, dir.path()).await;
}

#[tokio::test]
async fn a_damaged_attachment_is_left_out_and_told() {
    let (a, b) = sides();
    let left = a.open(&b);
    let (draft, content) = letter_with(&left, &b, 1, 5_000);
    submit(&left, draft).await.unwrap();
    let digest = sha(&content);
    let path = a.dir.path().join("blobs").join(hex::encode(digest));
    let mut bytes = content.clone();
    bytes[77] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let taken = back_up(&left, dir.path()).await;
    assert_eq!(taken.damaged, [digest]);
    assert_eq!((taken.files, taken.awaited), (0, 0));
    assert_whole(dir.path());
    std::fs::write(&path, content).unwrap();
    let taken = back_up(&left, dir.path()).await;
    assert_eq!((taken.files, taken.damaged.len()), (1, 0));
}

#[tokio::test]
async fn a_region_that_this_program_does_not_know_stops_the_backup() {
    let (a, b) = sides();
    let left = a.open(&b);
    let mut batch = Batch::new();
    batch.put(b"z-future".to_vec(), Vec::new());
    a.store.commit(batch).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = back_up_with(&left, dir.path(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("region 0x7a"), "{error}");
}

#[tokio::test]
async fn the_backup_of_another_node_or_another_history_is_not_continued() {
    let world = World::furnished().await;
    let dir = tempfile::tempdir().unwrap();
    back_up(&world.left, dir.path()).await;
    let right = world.b.open(&world.a);
    let error = back_up_with(&right, dir.path(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("holds the backup of"), "{error}");
    // The node forgot: what the backup holds is more.
    let young = Side::new(world.a.name.as_str(), world.a.seed);
    let error = back_up_with(&young.open(&world.b), dir.path(), |_| ()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("does not continue"), "{error}");
    assert_whole(dir.path());
}

#[tokio::test]
async fn what_a_backup_was_not_made_for_is_not_restored() {
    let world = World::furnished().await;
    let dir = tempfile::tempdir().unwrap();
    back_up(&world.left, dir.path()).await;
    let refused = |side: &Side, terms| match restore_to(side, dir.path(), terms) {
        Ok(_) => panic!("it was restored"),
        Err(error) => error.to_string(),
    };
    let told = refused(&world.b, world.terms());
    assert!(told.contains("the configuration is of"), "{told}");
    let mut other_keys = world.a.on_another_disk();
    other_keys.seed = 9;
    let told = refused(&other_keys, world.terms());
    assert!(told.contains("message key"), "{told}");
    let told = refused(&world.a, Vec::new());
    assert!(told.contains("not configured here"), "{told}");
    // The peer's card has another log key: what its log says is not believed.
    let stranger = Side::new(world.b.name.as_str(), 7);
    let told = refused(&world.a, vec![terms(&world.a, &stranger)]);
    assert!(told.contains("does not verify"), "{told}");
}

#[tokio::test]
async fn a_link_that_is_configured_no_longer_is_backed_up_all_the_same() {
    let world = World::furnished().await;
    let World { a, b, left } = world;
    let sizes = link_of(&left).head();
    drop(left);
    let other = Side::new("mengkhang.bg.vn.example", 5);
    let left = a.open(&other);
    let dir = tempfile::tempdir().unwrap();
    let taken = back_up(&left, dir.path()).await;
    assert_eq!(taken.logs.len(), 4);
    assert_eq!(taken.entries, sizes.own_size + sizes.mirror_size);
    assert_whole(dir.path());
    let both = vec![terms(&a, &b), terms(&a, &other)];
    let (place, _) = restore_to(&a, dir.path(), both).unwrap();
    let delivered = sizes.delivered_size;
    assert_eq!(
        records(&a.store, delivered),
        records(&place.store, delivered)
    );
}

#[tokio::test]
async fn a_restored_node_signs_nothing_before_the_peer_has_said_what_it_holds() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    for number in 0..3 {
        submit(&left, letter(&b, number)).await.unwrap();
    }
    let running = join(&left, &right);
    quiet(&left, &right).await;
    let dir = tempfile::tempdir().unwrap();
    back_up(&left, dir.path()).await;
    for number in 3..6 {
        submit(&left, letter(&b, number)).await.unwrap();
    }
    quiet(&left, &right).await;
    running.end().await;
    drop(left);

    let (place, _) = restore_to(&a, dir.path(), vec![terms(&a, &b)]).unwrap();
    let again = place.open(&b);
    assert_eq!(link_of(&again).head().own_size, 3);
    // Every frame that the restored node sends before it has compared is read along.
    let (seen, mut frames) = tokio::sync::mpsc::unbounded_channel();
    let watch = move |frame: v1::Frame| {
        seen.send(frame.clone()).unwrap();
        Step::Pass(frame)
    };
    let running = join_over(&again, &right, wire(watch, Step::Pass));
    running.ended().await;
    while let Ok(frame) = frames.try_recv() {
        assert!(
            !matches!(
                frame.frame,
                Some(frame::Frame::Push(_) | frame::Frame::Express(_))
            ),
            "{frame:?}"
        );
    }
    assert_eq!(link_of(&right).tree(LogSide::Mirror).size(), 6);
}

#[test]
fn a_manifest_is_refused_with_any_byte_changed() {
    let manifest = Manifest {
        format: "liaison backup".to_owned(),
        version: 1,
        generation: 1,
        node: "laocai.bg.vn.example".to_owned(),
        taken_at_ms: 1,
        taken_at: "1970-01-01T00:00:00.001Z".to_owned(),
        store_format: 1,
        message_key: "m".to_owned(),
        log_key: "l".to_owned(),
        links: Vec::new(),
        rows: content(),
        files: content(),
        config: Vec::new(),
        sha256: String::new(),
    };
    let bytes = manifest.encode().unwrap();
    assert!(Manifest::decode(&bytes).is_ok());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(Manifest::decode(&changed).is_err(), "byte {at} bit {bit}");
        }
    }
    assert!(Manifest::decode(&bytes[..bytes.len() - 1]).is_err());
    assert!(Manifest::decode(&[&bytes[..], b"\n"].concat()).is_err());
}

fn content() -> liaison::exchange::backup::manifest::Content {
    serde_json::from_value(serde_json::json!({
        "sha256": hex::encode(sha(b"")), "bytes": 0, "count": 0
    }))
    .unwrap()
}

/// The flag of a record without its body.
const BODY_ABSENT: u8 = 4;
/// And of one whose body lies sealed.
const BODY_SEALED: u8 = 32;

#[tokio::test]
async fn entries_whose_bodies_are_absent_come_back_without_them() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    for number in 0..3 {
        submit(&left, letter(&b, number)).await.unwrap();
        submit(&right, letter(&a, number)).await.unwrap();
    }
    let running = join(&left, &right);
    quiet(&left, &right).await;
    running.end().await;
    // As what was fetched back from the other side without its body, or erased.
    let mut batch = Batch::new();
    for side in [0, 1] {
        let key = [&[b'E', 0, 1, side], &1_u64.to_be_bytes()[..]].concat();
        // Version, flags, time, lengths of entry and body; entry, salt, body.
        let mut record = a.store.records()[&key].clone();
        let entry_bytes = u32::from_be_bytes(record[10..14].try_into().unwrap());
        record[1] = (record[1] & !BODY_SEALED) | BODY_ABSENT;
        record[14..18].fill(0);
        record.truncate(18 + usize::try_from(entry_bytes).unwrap());
        batch.put(key, record);
    }
    a.store.commit(batch).unwrap();
    let dir = tempfile::tempdir().unwrap();
    back_up(&left, dir.path()).await;
    assert_whole(dir.path());
    let (place, restored) = restore_to(&a, dir.path(), vec![terms(&a, &b)]).unwrap();
    assert_eq!(restored.entries, 6);
    // What was derived while the bodies were there is more than what follows without them.
    let kept = |store| {
        let mut records = records(store, 3);
        records.retain(|key, _| !b"JK".contains(&key[0]));
        records
    };
    assert_eq!(kept(&place.store), kept(&a.store));
}
