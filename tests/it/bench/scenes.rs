//! Everything that is measured beyond one load: each result adds up, is drawn, and leaves nothing behind.

use std::fs;

use serde_json::Value;

use super::{bench, in_order, nothing_is_left, number, ok, refused};

/// A two-thousandth of all counts.
const PART: u64 = 2_000;

fn runs<'a>(result: &'a Value, scenario: &str) -> Vec<&'a Value> {
    let runs = result["runs"].as_array().unwrap().iter();
    runs.filter(|run| run["scenario"] == scenario).collect()
}

/// Figures of a load: all receipts are there, and the rates of what they rest on.
#[track_caller]
fn adds_up(run: &Value) {
    let count = run["count"].as_u64().unwrap();
    assert_eq!(run["receipts"].as_u64(), Some(count), "one round of {run}");
    assert!(number(run, "/perSecond") > 0.0);
    assert!(number(run, "/ratios/thisStore") > 0.0);
    in_order(run, "receiptVerified");
}

#[test]
fn a_part_of_the_suite_measures_everything_and_is_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = dir.path().join("nodes");
    fs::create_dir(&nodes).unwrap();
    let saved = dir.path().join("suite.json");
    let output = bench(dir.path())
        .args(["suite", "--rounds", "1", "--part", &PART.to_string()])
        .arg("--dir")
        .arg(&nodes)
        .arg("--save")
        .arg(&saved)
        .output()
        .unwrap();
    let shown = ok(&output);
    for title in [
        "single",
        "throughput",
        "flash",
        "growth",
        "links",
        "disk",
        "proof",
        "verify",
    ] {
        assert!(
            shown.lines().any(|line| line.starts_with(title)),
            "{title}: {shown}"
        );
    }
    nothing_is_left(&nodes);
    let result: Value = serde_json::from_slice(&fs::read(&saved).unwrap()).unwrap();
    assert_eq!(result["format"], "liaison-bench/1");

    let windows = runs(&result, "throughput");
    assert!(windows.len() > 2 && windows.is_sorted_by_key(|run| run["window"].as_u64()));
    let growth = runs(&result, "growth");
    let before: Vec<_> = growth
        .iter()
        .map(|run| run["entriesBefore"].as_u64().unwrap())
        .collect();
    // Nothing but the warm-up.
    assert_eq!(before.first(), Some(&100));
    assert_eq!(before.last(), Some(&(1_000_000 / PART)));
    assert!(before.is_sorted_by(|a, b| a < b), "{before:?}");
    let links = runs(&result, "links");
    let of_links: Vec<_> = links
        .iter()
        .map(|run| run["links"].as_u64().unwrap())
        .collect();
    assert_eq!(of_links, [1, 4]);
    assert!(
        links.iter().all(|run| run.get("delivered").is_none()),
        "nobody watched"
    );
    let disk = runs(&result, "disk");
    assert_eq!(disk[0]["payloadBytes"], 4_096);
    assert!(number(disk[0], "/diskWrittenPerPayloadByte") > 1.0);
    assert!(number(disk[0], "/diskKeptPerPayloadByte") >= 0.0);
    for run in [windows, growth, links, disk].concat() {
        adds_up(run);
    }

    let flash = runs(&result, "flash")[0];
    assert!(flash["alertsIdle"].as_u64().unwrap() > 0);
    in_order(flash, "shownIdle");
    let proof = runs(&result, "proof")[0];
    assert_eq!(proof["entries"], 1_000_000 / PART);
    assert_eq!(proof["proofs"], 1_000_000 / PART);
    in_order(proof, "overDesk");
    in_order(proof, "inProcess");
    let verify = runs(&result, "verify")[0];
    assert_eq!(verify["entries"], 100_000 / PART);
    assert!(number(verify, "/ofBound") > 0.0);

    let drawings = dir.path().join("drawings");
    let output = bench(dir.path())
        .arg("plot")
        .arg(&saved)
        .arg("--out")
        .arg(&drawings)
        .output()
        .unwrap();
    assert_eq!(ok(&output).lines().count(), 4);
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for (args, says) in [
        (
            &["flash", "--entries", "10"][..],
            "--entries does not go with flash",
        ),
        (
            &["throughput", "--links", "2"],
            "--links does not go with throughput",
        ),
        (
            &["proof", "--peer", "hekou.ni.cn.example"],
            "--peer does not go with proof",
        ),
        (&["links", "--links", "65"], "choose from 1 to 64"),
        (&["links", "--links", "0"], "choose from 1 to 64"),
        (&["disk", "--size", "10"], "--size 10"),
        (&["suite", "--part", "0"], "--part"),
    ] {
        let output = bench(dir.path()).args(args).output().unwrap();
        let text = refused(&output, 2);
        assert!(text.contains(says), "{args:?}: {text}");
        nothing_is_left(dir.path());
    }
}
