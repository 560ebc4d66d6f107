//! What a run reports.

use serde_json::Value;

use super::{bench, in_order, nothing_is_left, number, ok, refused};

const LIMITS: [&str; 17] = [
    "fdatasyncAppendMicros",
    "fdatasyncPrewrittenMicros",
    "signMicros",
    "strictVerifyMicros",
    "sha256MicrosPerKib",
    "sha256MicrosOf512Bytes",
    "signMicrosAlone",
    "strictVerifyMicrosAlone",
    "sha256MicrosPerKibAlone",
    "sha256MicrosOf512BytesAlone",
    "tlsMibPerSecond",
    "tlsCpuMicrosPerMib",
    "tlsRoundTripMicros",
    "singleRestedMicros",
    "storeMicrosPerRecord",
    "storeMicrosPerRecordOf128",
    "storeMicrosPerRecordOf512",
];

/// What each run has of both sides, in any case above nothing.
const OF_BOTH_SIDES: [&str; 13] = [
    "/perSecond",
    "/cpuMicros/sender",
    "/cpuMicros/receiver",
    "/cpuMicros/generator",
    "/syncs/sender",
    "/syncs/receiver",
    "/commits/sender",
    "/commits/receiver",
    "/wireBytesPerPayloadByte",
    "/diskWrittenPerPayloadByte",
    "/bounds/storeFreePerSecond",
    "/bounds/thisStorePerSecond",
    "/bounds/singleMicros",
];

#[test]
fn a_short_run_reports_everything_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("result.json");
    let mut command = bench(dir.path());
    command.args("throughput --count 100 --rounds 2 --window 70 --mix mixed --size 600".split(' '));
    let told = ok(&command
        .args(["--json", "--save"])
        .arg(&file)
        .output()
        .unwrap());
    nothing_is_left(dir.path());

    let report: Value = serde_json::from_str(&told).unwrap();
    let saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(report, saved);
    assert_eq!(report["format"], "liaison-bench/1");
    assert_eq!(report["program"], env!("CARGO_PKG_VERSION"));
    assert!(number(&report, "/machine/cores") >= 1.0);
    assert!(
        report["machine"]["kernel"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    for limit in LIMITS {
        assert!(
            number(&report, &format!("/limits/{limit}")) > 0.0,
            "{limit}"
        );
    }

    let runs = report["runs"].as_array().unwrap();
    let [run] = runs.as_slice() else {
        panic!("{runs:?}");
    };
    for (name, value) in [
        ("scenario", Value::from("throughput")),
        ("window", 70.into()),
        ("windowUntil", "receipt".into()),
        ("payloadBytes", 600.into()),
        ("mix", "mixed".into()),
        ("watch", "outline".into()),
        ("links", 1.into()),
        ("by", "stream".into()),
        // The warm-up is in no figure.
        ("warmUp", 100.into()),
        ("entriesBefore", 100.into()),
        ("count", 100.into()),
        ("rounds", 2.into()),
        // Each notification has one receipt, and it was told once.
        ("receipts", 200.into()),
    ] {
        assert_eq!(run[name], value, "{name}");
    }
    assert_eq!(run["perSecondOfRounds"].as_array().unwrap().len(), 2);
    for figure in OF_BOTH_SIDES {
        assert!(number(run, figure) > 0.0, "{figure}");
    }
    for times in ["recorded", "delivered", "receiptVerified"] {
        in_order(run, times);
    }
    // What is sent passes the wire, and its signature with it.
    assert!(number(run, "/wireBytesPerPayloadByte") > 1.0);
    assert!(number(run, "/diskWrittenPerPayloadByte") > 2.0);
    assert!(number(run, "/diskKeptPerPayloadByte") >= 0.0);
    // Whoever reads it can compute the bounds again.
    let limit = |name: &str| number(&report, &format!("/limits/{name}"));
    let kib = 600.0 / 1_024.0;
    let work = limit("signMicros")
        + limit("strictVerifyMicros")
        + 2.0 * limit("sha256MicrosPerKib") * kib
        + limit("tlsCpuMicrosPerMib") * kib / 1_024.0;
    let record = limit("storeMicrosPerRecordOf128").min(limit("storeMicrosPerRecordOf512"));
    let sync = limit("fdatasyncAppendMicros").min(limit("fdatasyncPrewrittenMicros"));
    let cores = number(&report, "/machine/cores");
    for (bound, wanted) in [
        ("storeMicrosPerRecord", record),
        ("storeFreePerSecond", cores * 1e6 / work),
        ("thisStorePerSecond", cores * 1e6 / (work + 2.0 * record)),
        (
            "singleMicros",
            2.0 * sync
                + limit("signMicrosAlone")
                + limit("strictVerifyMicrosAlone")
                + limit("tlsRoundTripMicros"),
        ),
    ] {
        let found = number(run, &format!("/bounds/{bound}"));
        assert!(
            (found / wanted - 1.0).abs() < 1e-9,
            "{bound}: {found}, {wanted}"
        );
    }
    let ratios = &run["ratios"];
    let of_bound = number(run, "/perSecond") / number(run, "/bounds/thisStorePerSecond");
    assert!((number(ratios, "/thisStore") - of_bound).abs() < 1e-9);
    assert!(number(ratios, "/storeFree") <= number(ratios, "/thisStore"));
    assert!(number(ratios, "/cpuToCryptography") > 0.0);
    // Many on their way at a time say nothing of a single one.
    assert_eq!(ratios.get("single"), None);
    assert_eq!(run.get("peer"), None);
}

#[test]
fn single_ones_are_held_against_the_bound_of_a_single_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = bench(dir.path());
    let arguments = "single --count 10 --rounds 1 --mix alerts --size 700 --bodies --json";
    let told = ok(&command.args(arguments.split(' ')).output().unwrap());
    nothing_is_left(dir.path());
    let report: Value = serde_json::from_str(&told).unwrap();
    let run = &report["runs"][0];
    assert_eq!(run["scenario"], "single");
    assert_eq!(run["window"], 1);
    assert_eq!(run["by"], "calls");
    assert_eq!(run["watch"], "bodies");
    assert_eq!(run["receipts"], 10);
    let of_bound = number(run, "/receiptVerified/p50") / number(run, "/bounds/singleMicros");
    assert!((number(run, "/ratios/single") - of_bound).abs() < 1e-9);
    let rested = number(&report, "/limits/singleRestedMicros");
    let of_rested = number(run, "/receiptVerified/p50") / rested;
    assert!((number(run, "/ratios/singleRested") - of_rested).abs() < 1e-9);
    assert!(number(run, "/ratios/singleP99ToP50") >= 1.0);
    assert_eq!(run["ratios"].get("storeFree"), None);
}

#[test]
fn people_read_figures_limits_and_formulas() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = bench(dir.path());
    let arguments = "--count 50 --rounds 1 --until recorded --keep";
    let output = command.args(arguments.split(' ')).output().unwrap();
    let told = ok(&output);
    for words in [
        "What this machine can do",
        "fdatasync, appended page",
        "Ed25519 strict verify",
        "throughput: 50 notifications of 512 bytes (letters) by stream, 256 on their way until recorded",
        "100 were sent before to warm up, and are in no figure",
        "store, a record of a group of 512",
        "ALONE, µs",
        "each signed, durable on both sides, its receipt verified and durable",
        "receipt verified",
        "p99.9",
        "processor time, µs",
        "fdatasync and fsync",
        "on the wire",
        "store-free",
        "cores ÷ (the same + 2 × a record in the store, the cheaper group)",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    // It was to be kept, and the command says where it is.
    let kept: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    let [kept] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    assert!(
        kept.path()
            .join("1-throughput/laocai/liaison.toml")
            .is_file()
    );
    let name = kept.file_name().into_string().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains(&name));
}

#[test]
fn what_makes_no_sense_is_named_with_what_does() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, code, words) in [
        (
            "--size 10",
            2,
            "--size 10: a body of letters cannot have this size",
        ),
        ("--size 70000", 2, "65536 bytes"),
        (
            "--size 100 --mix alerts",
            2,
            "a body of alerts cannot have this size",
        ),
        ("--window 0", 2, "choose from 1 to 4096"),
        ("--window 4097", 2, "choose from 1 to 4096"),
        ("--count 0", 2, "0 is not in 1..="),
        ("--rounds 0", 2, "0 is not in 1..="),
        ("--mix parcels", 2, "letters, alerts, mixed"),
        ("quickly", 2, "throughput, single"),
        ("--yes", 2, "--peer <NAME>"),
        ("--bodies --peer x", 2, "cannot be used with"),
        ("--dir /proc/no", 73, "/proc/no"),
        (
            "--save /proc/no/result.json",
            73,
            "--save: the file /proc/no/result.json",
        ),
        (
            "suite --save /proc/no/result.json",
            73,
            "--save: the file /proc/no/result.json",
        ),
    ] {
        let output = bench(dir.path())
            .args(arguments.split(' '))
            .output()
            .unwrap();
        let told = refused(&output, code);
        assert!(told.contains(words), "{arguments}: {told}");
    }
    nothing_is_left(dir.path());
}
