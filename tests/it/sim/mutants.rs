//! Nodes with a line removed: the same simulation must catch each of them, or it has no teeth.
//!
//! The lines are removed at the seams: a disk that answers too early is a node without its sync, a
//! store that hides ids is one that does not look for them. No line of the node knows of it.

use super::disk::Defect;
use super::{run, traffic};

/// Within so many seeds each is caught.
const SEEDS: u64 = 1_000;

/// Runs seeds until one notices; says after how many, and by what.
fn caught(defect: Defect, by: &[&str]) {
    traffic::prepare();
    for seed in 0..SEEDS {
        let Err(error) = run::run(seed, Some(defect)) else {
            continue;
        };
        say(defect, seed, &error);
        assert!(
            by.iter().any(|text| error.contains(text)),
            "caught, but not for what it is: {error}"
        );
        return;
    }
    panic!("{defect:?}: {SEEDS} seeds did not notice");
}

#[expect(clippy::print_stdout, reason = "the figures of a harness")]
fn say(defect: Defect, seed: u64, error: &str) {
    println!("{defect:?}: caught after {} seeds: {error}", seed + 1);
}

#[test]
fn a_node_that_does_not_sync_is_caught() {
    caught(
        Defect::NoSync,
        &["before it was durable", "high-water mark", "not there"],
    );
}

#[test]
fn a_node_that_forgets_ids_is_caught() {
    caught(
        Defect::NoIds,
        &["recorded twice", "told two things", "shown"],
    );
}

#[test]
fn a_node_that_persists_the_head_after_signing_is_caught() {
    caught(Defect::MarkAfterSigning, &["beyond the high-water mark"]);
}

#[test]
fn a_node_that_cosigns_before_its_flush_is_caught() {
    caught(
        Defect::CosignBeforeFlush,
        &["before it was durable", "high-water mark", "are durable"],
    );
}

/// What a fault costs does not depend on somebody reading along: without the notary's look at the
/// disk, these are caught by what follows from them.
#[test]
fn what_is_not_durable_shows_without_a_look_at_the_disk() {
    traffic::prepare();
    for defect in [Defect::NoSync, Defect::CosignBeforeFlush] {
        let found = (0..SEEDS).find_map(|seed| {
            let error = run::run_unread(seed, Some(defect)).err()?;
            Some((seed, error))
        });
        let (seed, error) = found.unwrap_or_else(|| panic!("{defect:?} shows nowhere"));
        say(defect, seed, &error);
    }
}
