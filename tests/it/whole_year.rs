//! The year 2025 of both pairs through four real nodes, as anybody starts it.
//!
//! It takes a minute or two in a debug build, so `scripts/test --quick` leaves it out; six weeks of
//! it are part of every run (`cli::demo::year`), and the whole year without nodes
//! (`model::sample::year`).

use std::process::{Command, Stdio};

#[test]
fn both_sides_count_what_was_published_and_sign_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(["demo", "--scenario", "year-2025", "--once"])
        .env_remove("COLUMNS")
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}\n{err}");

    // Each published figure, found by both sides.
    assert!(!told.contains('✗'), "{told}");
    for line in [
        ["talks", "20", "20 ✓", "20 ✓"],
        ["face-to-face meetings", "74", "74 ✓", "74 ✓"],
        ["official letters", "679", "679 ✓", "679 ✓"],
        ["hotline calls", "113", "113 ✓", "113 ✓"],
        ["persons in them", "1182", "1182 ✓", "1182 ✓"],
        ["joint patrols", "12", "12 ✓", "12 ✓"],
        ["officers of Honghe", "1200", "1200 ✓", "1200 ✓"],
        ["persons handed over to Honghe", "61", "61 ✓", "61 ✓"],
        ["persons handed over to Lào Cai", "286", "286 ✓", "286 ✓"],
        [
            "residents given legal education",
            "9860",
            "9860 ✓",
            "9860 ✓",
        ],
    ] {
        let [words, counts @ ..] = line;
        let found = told.lines().find(|told| told.trim().starts_with(words));
        let columns: Vec<&str> = found.unwrap().split("  ").map(str::trim).collect();
        let columns: Vec<&str> = columns.into_iter().filter(|c| !c.is_empty()).collect();
        assert_eq!(columns[1..], counts, "{told}");
    }
    // Each of four exports, and each pair of them.
    assert_eq!(told.matches("nothing is wrong").count(), 6, "{told}");
    assert_eq!(told.matches("is signed by both").count(), 2, "{told}");
}
