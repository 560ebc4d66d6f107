//! `liaison bench plot`: results as drawings, the same ones each time, and nothing of what is no result.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use liaison::limits::BENCH_FILE_BYTES_MAX;
use serde_json::{Value, json};

use crate::nodes::{liaison, succeed};

fn run(scenario: &str, (window, entries, links): (u64, u64, u64), per_second: f64) -> Value {
    json!({
        "scenario": scenario, "by": "stream", "window": window, "windowUntil": "receipt",
        "payloadBytes": 512, "mix": "letters", "watch": "outline",
        "links": links, "entriesBefore": entries, "perSecond": per_second,
        "receiptVerified": {"p50": 900.0, "p90": 1.0, "p99": 4_000.0, "p999": 1.0, "max": 1.0},
        "bounds": {"storeFreePerSecond": 20_000.0, "thisStorePerSecond": 12_000.0, "singleMicros": 1.0},
    })
}

fn result(cores: u64, runs: &[Value]) -> Value {
    json!({
        "format": "liaison-bench/1", "program": "0.1.0",
        "machine": {"cores": cores, "model": "</text><script>", "kernel": "6.1"},
        "limits": {}, "runs": runs,
    })
}

fn write(dir: &Path, name: &str, value: &Value) -> String {
    let path = dir.join(name);
    fs::write(&path, value.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn drawn(files: &[&str], out: &Path) -> BTreeMap<String, String> {
    drawn_and_left_out(files, out).0
}

/// The drawings by their names, and what they leave out.
fn drawn_and_left_out(files: &[&str], out: &Path) -> (BTreeMap<String, String>, Vec<String>) {
    let given = ["bench", "plot", "--out", out.to_str().unwrap(), "--json"];
    let told = succeed(&[&given[..], files].concat());
    let told: Value = serde_json::from_str(&told).unwrap();
    let paths = told["files"].as_array().unwrap().iter();
    let paths = paths.map(|path| PathBuf::from(path.as_str().unwrap()));
    let drawings = paths.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    let left_out = told["leftOut"].as_array().unwrap().iter();
    let left_out = left_out.map(|what| what.as_str().unwrap().to_owned());
    (drawings.collect(), left_out.collect())
}

/// What stands in the way, and what to do; nothing is written.
fn refused(files: &[&str], out: &Path) -> String {
    let given = ["bench", "plot", "--out", out.to_str().unwrap()];
    let output = liaison(&[&given[..], files].concat());
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert!(!out.exists());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn results_of_several_files_are_drawn_alike_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let windows = result(
        2,
        &[
            run("throughput", (1, 0, 1), 500.0),
            run("throughput", (256, 0, 1), 6_000.0),
            run("growth", (256, 0, 1), 6_000.0),
            json!({"scenario": "proof", "somethingElse": true}),
        ],
    );
    let rest = result(
        2,
        &[
            run("throughput", (4_096, 0, 1), 8_000.0),
            run("growth", (256, 1_000_000, 1), 5_500.0),
            run("links", (256, 0, 1), 6_000.0),
            run("links", (256, 0, 64), 5_800.0),
        ],
    );
    let (first, second) = (
        write(dir.path(), "1.json", &windows),
        write(dir.path(), "2.json", &rest),
    );
    let drawings = drawn(&[&first, &second], &dir.path().join("a"));
    let names: Vec<_> = drawings.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "latency-over-window.svg",
            "throughput-over-entries.svg",
            "throughput-over-links.svg",
            "throughput-over-window.svg"
        ]
    );
    assert_eq!(
        drawn(&[&second, &first], &dir.path().join("b")),
        drawings,
        "the order of the files"
    );
    // Once more over what is there.
    assert_eq!(drawn(&[&first, &second], &dir.path().join("a")), drawings);

    let windows = &drawings["throughput-over-window.svg"];
    assert!(windows.contains("8,000 at 4,096</title>"), "{windows}");
    assert!(windows.contains("bound of this store"));
    assert_eq!(windows.matches("<circle").count(), 3);
    assert!(drawings["throughput-over-entries.svg"].contains("5,500 at 1 M</title>"));
    for drawing in drawings.values() {
        assert!(drawing.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(!drawing.contains("<script"), "text is data");
    }
}

#[test]
fn only_what_was_measured_alike_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let with = |mut run: Value, name: &str, value: Value| {
        run[name] = value;
        run
    };
    let of = |window: u64| run("throughput", (window, 0, 1), 500.0);
    let mut runs = vec![of(1), of(256)];
    for (name, value) in [
        ("by", "calls".into()),
        ("windowUntil", "recorded".into()),
        ("watch", "bodies".into()),
    ] {
        runs.push(with(of(1), name, Value::clone(&value)));
        runs.push(with(of(256), name, value));
    }
    // The same window is one load as the log grows, another one is another.
    runs.push(run("growth", (256, 0, 1), 1.0));
    runs.push(run("growth", (256, 100_000, 1), 1.0));
    runs.push(run("growth", (16, 100_000, 1), 2.0));
    let file = write(dir.path(), "result.json", &result(2, &runs));
    let (drawings, left_out) = drawn_and_left_out(&[&file], &dir.path().join("a"));
    let windows = &drawings["throughput-over-window.svg"];
    assert_eq!(windows.matches("<circle").count(), 8, "{windows}");
    for name in [
        "512 bytes, letters, stream, until receipt, outline<",
        "512 bytes, letters, calls, until receipt, outline<",
        "512 bytes, letters, stream, until recorded, outline<",
        "512 bytes, letters, stream, until receipt, bodies<",
    ] {
        assert!(windows.contains(name), "{name}: {windows}");
    }
    let entries = &drawings["throughput-over-entries.svg"];
    assert!(
        entries.contains("512 bytes, letters, window 256<"),
        "{entries}"
    );
    assert!(
        entries.contains("512 bytes, letters, window 16<"),
        "{entries}"
    );
    assert_eq!(
        left_out,
        [
            "throughput-over-window.svg is without bounds: it shows several loads, each of which has its \
             own",
            "latency-over-window.svg is without these loads, and their runs: 512 bytes, letters, stream, \
             until receipt, outline (2); 512 bytes, letters, stream, until recorded, outline (2)",
            "throughput-over-entries.svg is without bounds: it shows several loads, each of which has its \
             own",
        ]
    );
}

#[test]
fn what_is_left_out_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut with_peer = run("throughput", (1, 0, 1), 1.0);
    with_peer["peer"] = "hekou.ni.cn.example".into();
    let runs = [
        run("throughput", (1, 0, 1), 500.0),
        run("throughput", (256, 0, 1), 6_000.0),
        run("links", (256, 0, 4), 6_000.0),
        with_peer,
        json!({"scenario": "single"}),
        json!({"scenario": "proof"}),
        json!({"scenario": "single"}),
    ];
    let file = write(dir.path(), "result.json", &result(2, &runs));
    let (drawings, left_out) = drawn_and_left_out(&[&file], &dir.path().join("a"));
    assert_eq!(drawings.len(), 2);
    assert_eq!(
        left_out,
        [
            "of runs with a real peer nothing is drawn: left out 1",
            "throughput-over-links.svg is not drawn: no two figures of one load lie beside each other",
            "of proof nothing is drawn: left out 1",
            "of single nothing is drawn: left out 2",
        ]
    );
    let out = dir.path().join("b");
    let output = liaison(&["bench", "plot", "--out", out.to_str().unwrap(), &file]);
    let told = String::from_utf8(output.stderr).unwrap();
    for what in left_out {
        assert!(told.contains(&what), "{what}: {told}");
    }
}

#[test]
fn what_is_no_result_or_of_two_machines_is_named_and_draws_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let runs = [
        run("throughput", (1, 0, 1), 500.0),
        run("throughput", (256, 0, 1), 6_000.0),
    ];
    let good = write(dir.path(), "good.json", &result(2, &runs));
    let other = write(dir.path(), "other.json", &result(4, &runs));
    let text = refused(&[&good, &other], &out);
    assert!(text.contains("different machines"), "{text}");

    let mut older = result(2, &runs);
    older["program"] = "0.0.9".into();
    let older = write(dir.path(), "older.json", &older);
    let text = refused(&[&good, &older], &out);
    assert!(
        text.contains("different versions of this program"),
        "{text}"
    );

    let mut newer = result(2, &runs);
    newer["format"] = "liaison-bench/2".into();
    let newer = write(dir.path(), "newer.json", &newer);
    let text = refused(&[&newer], &out);
    assert!(
        text.contains("format in") && text.contains("liaison-bench/2"),
        "{text}"
    );

    let mut broken = result(2, &runs);
    broken["runs"][1]["perSecond"] = "fast".into();
    let broken = write(dir.path(), "broken.json", &broken);
    let text = refused(&[&broken], &out);
    assert!(text.contains("a run in") && text.contains("fast"), "{text}");

    let single = write(dir.path(), "single.json", &result(2, &runs[..1]));
    let text = refused(&[&single], &out);
    assert!(text.contains("nothing to draw"), "{text}");

    let text = refused(&[dir.path().join("missing.json").to_str().unwrap()], &out);
    assert!(text.contains("missing.json"), "{text}");
}

#[test]
fn a_result_of_the_largest_size_is_read_and_one_byte_more_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let runs = [
        run("throughput", (1, 0, 1), 500.0),
        run("throughput", (256, 0, 1), 6_000.0),
    ];
    let mut text = result(2, &runs).to_string();
    text.push_str(&" ".repeat(BENCH_FILE_BYTES_MAX - text.len()));
    let path = dir.path().join("large.json");
    fs::write(&path, &text).unwrap();
    let file = path.to_str().unwrap();
    assert_eq!(drawn(&[file], &dir.path().join("a")).len(), 2);
    fs::write(&path, text + " ").unwrap();
    let told = refused(&[file], &dir.path().join("b"));
    assert!(told.contains(&BENCH_FILE_BYTES_MAX.to_string()), "{told}");
}
