//! A crash at every step of a backup leaves the former one whole, or the new one.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Fails at the step of this number, and counts steps.
fn failing_at(at: usize, kind: io::ErrorKind) -> (Arc<AtomicUsize>, impl FnOnce(&mut Taking)) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let prepare = move |taking: &mut Taking| {
        taking.set_failpoint(Box::new(move |_| {
            if counter.fetch_add(1, Ordering::Relaxed) == at {
                Err(io::Error::from(kind))
            } else {
                Ok(())
            }
        }));
    };
    (count, prepare)
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_a_whole_generation() {
    let world = World::furnished().await;
    let dir = tempfile::tempdir().unwrap();
    back_up(&world.left, dir.path()).await;
    let mut at = 0;
    let mut seen = [0, 0];
    loop {
        let before = assert_whole(dir.path()).manifest;
        // Something is new each time: an entry, a row, a file.
        let (draft, _) = letter_with(
            &world.left,
            &world.b,
            100 + u8::try_from(at % 100).unwrap(),
            900 + at,
        );
        submit(&world.left, draft).await.unwrap();
        let (_, prepare) = failing_at(at, io::ErrorKind::Interrupted);
        let outcome = back_up_with(&world.left, dir.path(), prepare).await;
        let after = assert_whole(dir.path()).manifest;
        let is_new = after.generation != before.generation;
        seen[usize::from(is_new)] += 1;
        if !is_new {
            assert_eq!(after, before);
        }
        if outcome.is_ok() {
            break;
        }
        at += 1;
    }
    assert!(at > 20, "only {at} steps");
    assert!(seen[0] > 10 && seen[1] > 1, "{seen:?}");
    // What was left lying about is gone with the next one that ends well.
    back_up(&world.left, dir.path()).await;
    assert_eq!(assert_whole(dir.path()).unnamed, 0);
    let (place, _) = restore_to(&world.a, dir.path(), world.terms()).unwrap();
    let delivered = link_of(&world.left).head().delivered_size;
    assert_eq!(
        records(&world.a.store, delivered),
        records(&place.store, delivered)
    );
}

#[tokio::test]
async fn the_first_backup_that_breaks_off_is_none_and_is_made_again() {
    let world = World::furnished().await;
    let (steps, prepare) = failing_at(usize::MAX, io::ErrorKind::Interrupted);
    let dir = tempfile::tempdir().unwrap();
    back_up_with(&world.left, dir.path(), prepare)
        .await
        .unwrap();
    let steps = steps.load(Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    for at in 0..steps {
        let (_, prepare) = failing_at(at, io::ErrorKind::Interrupted);
        let outcome = back_up_with(&world.left, dir.path(), prepare).await;
        match check_dir(dir.path()) {
            Err(FolderError::Missing { .. }) => assert!(outcome.is_err()),
            Ok(checked) => assert_eq!(checked.findings, []),
            Err(error) => panic!("{error}"),
        }
    }
    back_up(&world.left, dir.path()).await;
    assert_eq!(assert_whole(dir.path()).unnamed, 0);
}

#[tokio::test]
async fn a_full_disk_at_the_target_is_told_and_harms_nothing() {
    let world = World::furnished().await;
    let dir = tempfile::tempdir().unwrap();
    back_up(&world.left, dir.path()).await;
    let before = assert_whole(dir.path()).manifest;
    submit(&world.left, letter(&world.b, 1)).await.unwrap();
    for at in [0, 1, 2, 3, 5, 8] {
        let (_, prepare) = failing_at(at, io::ErrorKind::StorageFull);
        let error = back_up_with(&world.left, dir.path(), prepare).await;
        let told = error.unwrap_err().to_string();
        assert!(
            told.contains("is full; the former backup is whole"),
            "{told}"
        );
        assert_eq!(assert_whole(dir.path()).manifest, before);
    }
    back_up(&world.left, dir.path()).await;
}

#[tokio::test]
async fn two_backups_into_one_folder_do_not_meet() {
    let world = World::furnished().await;
    let dir = tempfile::tempdir().unwrap();
    let first = Taking::open(dir.path()).unwrap();
    let error = Taking::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("being written by another backup"), "{error}");
    drop(first);
    back_up(&world.left, dir.path()).await;
    // Nor does a backup begin among other people's files.
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("letter.odt"), b"x").unwrap();
    let error = Taking::open(other.path()).unwrap_err().to_string();
    assert!(error.contains("holds other files and no backup"), "{error}");
}
