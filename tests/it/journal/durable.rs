//! What a journal keeps: everything that was answered, once, in order.

use liaison::journal::{Act, Deed, Journal, JournalError, Mode, Query};
use liaison::store::Failure;
use liaison::tlog::{Tree, leaf_hash};

use super::{Disk, all, read};

/// The root of what is kept, made again from the bytes of every deed.
fn recomputed(journal: &Journal) -> liaison::tlog::Hash {
    let mut tree = Tree::new();
    let size = journal.size();
    for start in (0..size).step_by(256) {
        for entry in journal.entries(start, size.min(start + 256)).unwrap() {
            tree.append(leaf_hash(&entry), &mut Vec::new());
        }
    }
    tree.root()
}

#[tokio::test]
async fn deeds_come_back_in_their_order_across_full_tiles_and_restarts() {
    let disk = Disk::new("a.example");
    let mut journal = disk.open(Mode::Inline).unwrap();
    for number in 0..700 {
        assert_eq!(journal.note(read(number)).await.unwrap(), number);
        if [0, 1, 254, 255, 256, 511, 699].contains(&number) {
            let root = journal.root();
            journal = disk.open(Mode::Inline).unwrap();
            assert_eq!((journal.size(), journal.root()), (number + 1, root));
            assert_eq!(recomputed(&journal), root);
        }
    }
    let found = journal.list(&all()).unwrap();
    let ids = found.deeds.iter().map(|(_, deed)| deed.message_id.clone());
    let expected = (0..700).rev().map(|number| format!("message-{number}"));
    assert!(ids.eq(expected));
    assert_eq!(found.next_below, None);
    // Two full tiles: their rows are packed.
    let rows = disk.store.records();
    assert_eq!(rows.keys().filter(|key| key[0] == b'E').count(), 188);
    assert!(rows.keys().filter(|key| key[0] == b'P').count() < 20);
}

#[tokio::test]
async fn many_at_once_are_each_there_once() {
    let disk = Disk::new("a.example");
    let journal = disk.open(Mode::Thread).unwrap();
    let noting = (0..600).map(|number| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.note(read(number)).await.unwrap() })
    });
    let mut indices = Vec::new();
    for task in noting.collect::<Vec<_>>() {
        indices.push(task.await.unwrap());
    }
    indices.sort_unstable();
    assert!(indices.iter().copied().eq(0..600));
    journal.close();
    assert!(matches!(
        journal.note(read(0)).await,
        Err(JournalError::Stopped { .. })
    ));
    let journal = disk.open(Mode::Inline).unwrap();
    assert_eq!(recomputed(&journal), journal.root());
    let found = journal.list(&all()).unwrap();
    let mut ids: Vec<_> = found.deeds.iter().map(|(_, d)| &d.message_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 600);
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let disk = Disk::new("a.example");
    let journal = disk.open(Mode::Inline).unwrap();
    journal.note(read(0)).await.unwrap();
    disk.store.set_full(true);
    let refused = journal.note(read(1)).await;
    assert!(matches!(refused, Err(JournalError::Full { .. })));
    assert_eq!(journal.size(), 1);
    assert!(journal.trouble().unwrap().contains("the disk is full"));
    disk.store.set_full(false);
    assert_eq!(journal.note(read(2)).await.unwrap(), 1);
    assert_eq!(journal.trouble(), None);
    assert_eq!(recomputed(&journal), journal.root());
}

#[tokio::test]
async fn on_a_full_disk_it_refuses_until_there_is_space_and_then_says_first_that_the_node_started()
{
    let disk = Disk::new("a.example");
    let journal = disk.open(Mode::Inline).unwrap();
    journal.start("version 1", [7; 32]).await.unwrap();
    drop(journal);
    // Opened on a full disk, and one where nothing can even be reached.
    for is_reached in [true, false] {
        let before = disk.open(Mode::Inline).unwrap().size();
        let reached = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(is_reached));
        let (now, ground) = (std::sync::Arc::clone(&reached), disk.ground());
        let mut ground = Some(ground);
        let reach = Box::new(move || {
            if now.load(std::sync::atomic::Ordering::Relaxed) {
                Ok(ground.take().unwrap())
            } else {
                Err(JournalError::Full { free: 1, needed: 2 })
            }
        });
        disk.store.set_full(true);
        let unix_ms = std::sync::Arc::new(|| 1_795_000_000_000);
        let journal =
            Journal::open_when_possible(disk.node.clone(), unix_ms, reach, Mode::Inline).unwrap();
        let refused = journal.start("version 2", [7; 32]).await;
        assert!(matches!(refused, Err(JournalError::Full { .. })));
        let refused = journal.note(read(1)).await;
        assert!(matches!(refused, Err(JournalError::Full { .. })));
        assert!(journal.trouble().is_some());
        assert_eq!(journal.list(&all()).is_ok(), is_reached);
        disk.store.set_full(false);
        reached.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(journal.note(read(2)).await.unwrap(), before + 1);
        assert_eq!(journal.trouble(), None);
        let found = journal.list(&all()).unwrap();
        let (index, started) = &found.deeds[1];
        assert_eq!((*index, started.act()), (before, Act::Started));
        assert_eq!(
            started.why,
            "at 2026-11-18T11:06:40Z; nothing could be noted until now"
        );
        assert_eq!(recomputed(&journal), journal.root());
    }
    // After any other failure it is not tried again.
    let mut tries = 0;
    let reach = Box::new(move || {
        tries += 1;
        assert_eq!(tries, 1);
        let reason = "it failed".to_owned();
        Err(JournalError::Stopped { reason })
    });
    let unix_ms = std::sync::Arc::new(|| 0);
    let failed = Journal::open_when_possible(disk.node.clone(), unix_ms, reach, Mode::Inline);
    let refused = failed.unwrap().note(read(1)).await;
    assert!(matches!(refused, Err(JournalError::Stopped { .. })));
    // One that was set back is no such case.
    let reach = Box::new(|| {
        let what = "it was".to_owned();
        Err(JournalError::SetBack { what })
    });
    let unix_ms = std::sync::Arc::new(|| 0);
    let opened = Journal::open_when_possible(disk.node.clone(), unix_ms, reach, Mode::Inline);
    assert!(matches!(opened, Err(JournalError::SetBack { .. })));
}

#[tokio::test]
async fn a_failed_disk_refuses_until_a_restart_which_finds_a_whole_tree() {
    for failure in [Failure::Before, Failure::Volatile, Failure::After] {
        let disk = Disk::new("a.example");
        let journal = disk.open(Mode::Inline).unwrap();
        for number in 0..300 {
            journal.note(read(number)).await.unwrap();
        }
        disk.store.fail_commit(0, failure);
        let refused = journal.note(read(300)).await;
        assert!(matches!(refused, Err(JournalError::Stopped { .. })));
        let refused = journal.note(read(301)).await;
        assert!(matches!(refused, Err(JournalError::Stopped { .. })));
        assert!(journal.trouble().unwrap().contains("started again"));
        disk.store.crash();
        disk.store.reopen();
        let journal = disk.open(Mode::Inline).unwrap();
        // Nobody was told; it may be there or not, and never by half.
        assert!([300, 301].contains(&journal.size()));
        assert_eq!(recomputed(&journal), journal.root());
    }
}

#[tokio::test]
async fn a_journal_that_was_set_back_does_not_open() {
    let disk = Disk::new("a.example");
    let journal = disk.open(Mode::Inline).unwrap();
    for number in 0..10 {
        journal.note(read(number)).await.unwrap();
    }
    let (older, mut other) = (disk.store.records(), Disk::new("a.example"));
    journal.note(read(10)).await.unwrap();
    // The older copy of the store beside the newer mark.
    let mut batch = liaison::store::Batch::new();
    for (key, value) in older {
        batch.put(key, value);
    }
    liaison::store::Store::commit(&other.store, batch).unwrap();
    other.dir = disk.dir;
    let refused = other.open(Mode::Inline);
    assert!(
        matches!(&refused, Err(JournalError::SetBack { what }) if what.contains("11")),
        "{refused:?}"
    );
    // Another entry in the last one's place.
    let mut batch = liaison::store::Batch::new();
    let root = journal.root();
    batch.put(
        b"H".to_vec(),
        [&11_u64.to_be_bytes()[..], root.as_bytes()].concat(),
    );
    batch.put(
        [&b"E"[..], &10_u64.to_be_bytes()].concat(),
        b"other".to_vec(),
    );
    liaison::store::Store::commit(&other.store, batch).unwrap();
    let refused = other.open(Mode::Inline);
    assert!(matches!(refused, Err(JournalError::Damaged { .. })));
}

#[tokio::test]
async fn what_is_asked_for_is_found_and_page_by_page() {
    let disk = Disk::new("a.example");
    let journal = disk.open(Mode::Inline).unwrap();
    for number in 0..520 {
        let who = if number % 2 == 0 {
            "operator/mai"
        } else {
            "auditor/kt-1"
        };
        let act = if number % 5 == 0 {
            Act::Exported
        } else {
            Act::Read
        };
        journal
            .note(Deed::new(who, act).message(number))
            .await
            .unwrap();
    }
    let query = Query {
        who: Some("auditor".to_owned()),
        act: Some(Act::Exported),
        limit: 20,
        ..Query::default()
    };
    let first = journal.list(&query).unwrap();
    assert_eq!(first.deeds.len(), 20);
    assert!(first.deeds.iter().all(|(index, _)| index % 10 == 5));
    let mut seen: Vec<_> = first.deeds.iter().map(|(index, _)| *index).collect();
    let mut below = first.next_below;
    while below.is_some() {
        let page = journal
            .list(&Query {
                below,
                ..query.clone()
            })
            .unwrap();
        seen.extend(page.deeds.iter().map(|(index, _)| *index));
        below = page.next_below;
    }
    assert!(seen.iter().copied().eq((0..52).rev().map(|n| n * 10 + 5)));
    let none = Query {
        since_ms: Some(1_795_000_000_001),
        ..all()
    };
    assert_eq!(journal.list(&none).unwrap().deeds.len(), 0);
}
