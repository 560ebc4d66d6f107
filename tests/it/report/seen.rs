//! Reports as people get them: from two running nodes, as tables, values and pages.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use liaison::document::report::Report;
use liaison::model::calendar::YearCalendar;
use liaison::model::report::parse_zone;
use liaison::proto::v1;

use crate::nodes::{LEFT, Node, RIGHT, letter, liaison, pair, succeed};

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

pub(crate) fn calendar_file(path: &str) -> YearCalendar {
    liaison::model::calendar::read_toml(&read(path)).unwrap()
}

/// A report in which every text is hostile.
fn hostile() -> v1::ReportResponse {
    let text = "=cmd|'/C calc'!A0\"</td><script>alert(1)</script>\u{202E}\r\n@x";
    let month = |value| v1::ReportMonth {
        month: text.to_owned(),
        value,
    };
    v1::ReportResponse {
        node: text.to_owned(),
        peer: format!("-{text}"),
        from: Some(prost_types::Timestamp {
            seconds: 1_735_664_400,
            nanos: 0,
        }),
        to: Some(prost_types::Timestamp {
            seconds: 1_767_200_400,
            nanos: 0,
        }),
        time_zone: format!("+{text}"),
        logs: vec![v1::CountedLog {
            origin: text.to_owned(),
            size: 7,
            root: vec![1; 32].into(),
        }],
        figures: vec![
            v1::ReportFigure {
                name: "letters".to_owned(),
                side: text.to_owned(),
                unit: "count".to_owned(),
                value: Some(-5),
                months: vec![month(1), month(i64::MAX)],
                ..v1::ReportFigure::default()
            },
            v1::ReportFigure {
                name: text.to_owned(),
                side: format!("\t{text}"),
                unit: format!("@{text}"),
                not_computable: text.to_owned(),
                ..v1::ReportFigure::default()
            },
        ],
        ..v1::ReportResponse::default()
    }
}

/// What Python's csv module reads of a file.
fn rows(csv: &str) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.csv");
    std::fs::write(&file, csv).unwrap();
    let script = "import csv,json,sys\n\
                  print(json.dumps(list(csv.reader(open(sys.argv[1],newline='',encoding='utf-8-sig'),strict=True))))";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_spreadsheet_evaluates_nothing_of_a_hostile_report() {
    let answer = hostile();
    let zone = parse_zone("+07:00").unwrap();
    let report = Report {
        answer: &answer,
        zone: &zone,
    };
    let csv = report.csv();
    assert!(csv.starts_with('\u{FEFF}') && csv.ends_with("\r\n"));
    let rows = rows(&csv);
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!(row.len(), rows[0].len());
        for cell in row {
            let is_number = cell.parse::<i64>().is_ok();
            let begins = cell.trim_start().chars().next();
            let risky = matches!(begins, Some('=' | '+' | '-' | '@' | '\t' | '\r'));
            assert!(is_number || !risky, "{cell:?}");
        }
    }
    let value = rows[0].iter().position(|name| name == "value").unwrap();
    assert_eq!(rows[1][value], "-5");
}

#[test]
fn a_page_holds_hostile_texts_as_texts() {
    let answer = hostile();
    let zone = parse_zone("+07:00").unwrap();
    let page = Report {
        answer: &answer,
        zone: &zone,
    }
    .page();
    for markup in [
        "<script",
        "http://",
        "https://",
        "javascript:",
        "onload",
        "\u{202E}",
    ] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert!(page.contains("default-src &#39;none&#39;"));
    assert!(!page.contains("NaN"));
    assert!(page.contains("2025-01-01 – 2025-12-31"));
}

fn at(node: &Node, arguments: &[&str]) -> std::process::Output {
    let config = node.config();
    let mut all = vec!["--config", config.as_str()];
    all.extend(arguments);
    liaison(&all)
}

fn report(node: &Node, arguments: &[&str]) -> String {
    let (config, dir) = (node.config(), tempfile::tempdir().unwrap());
    let file = dir.path().join("report");
    let period = ["--from", "2020-01-01", "--to", "2199-12-31"];
    let mut all = vec!["--config", config.as_str(), "report"];
    all.extend(period);
    all.extend(arguments);
    // More than a pipe holds.
    all.extend(["--out", file.to_str().unwrap()]);
    succeed(&all);
    read(file.to_str().unwrap())
}

const SIGNATORY: [&str; 6] = [
    "--officer-name",
    "陈示例",
    "--rank",
    "二级警督",
    "--office",
    "示例办公室",
];

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_report_propose_verify_and_sign() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    let (mut ours, mut theirs) = (left.desk().await, right.desk().await);
    for number in 0..3 {
        let draft = Some(letter(RIGHT, number));
        ours.submit(v1::SubmitRequest { draft }).await.unwrap();
    }
    let draft = Some(letter(LEFT, 7));
    theirs.submit(v1::SubmitRequest { draft }).await.unwrap();
    left.until(RIGHT, "delivered and mirrored", |link| {
        link.delivered_size == 3 && link.mirrored_size == 1
    })
    .await;
    right
        .until(LEFT, "delivered and mirrored", |link| {
            link.delivered_size == 1 && link.mirrored_size == 3
        })
        .await;

    // The same figures on both sides.
    let figures = |text: String| -> serde_json::Value {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["figures"].clone()
    };
    let zone = ["--zone", "+07:00", "--format", "json"];
    let found = figures(report(&left, &zone));
    assert_eq!(found, figures(report(&right, &zone)));
    let letters: Vec<&serde_json::Value> = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|figure| figure["name"] == "letters")
        .map(|figure| &figure["value"])
        .collect();
    assert_eq!(letters, ["1", "3", "4"]);

    let table = report(&left, &["--zone", "Asia/Ho_Chi_Minh"]);
    for line in table.lines() {
        assert!(unicode_width::UnicodeWidthStr::width(line) <= 80, "{line}");
    }
    assert!(table.contains("zone          Asia/Ho_Chi_Minh"), "{table}");
    assert!(table.contains("Official letters sent"), "{table}");
    let csv = report(&left, &["--format", "csv"]);
    assert!(rows(&csv).len() > 100);
    let page = report(&left, &["--format", "html"]);
    assert!(page.contains("Báo cáo thống kê"));
    let file = left.config();
    let again = at(
        &left,
        &[
            "report",
            "--from",
            "2025-01-01",
            "--to",
            "2025-12-31",
            "--out",
            &file,
        ],
    );
    assert_eq!(again.status.code(), Some(73), "nothing is overwritten");
    let backwards = at(
        &left,
        &["report", "--from", "2025-12-31", "--to", "2025-01-01"],
    );
    assert_eq!(backwards.status.code(), Some(2));

    let propose = [
        "report",
        "propose",
        "--from",
        "2020-01-01",
        "--to",
        "2199-12-31",
        "--zone",
        "UTC",
        "--from-office",
        "Phòng mẫu",
        "--to-office",
        "示例办公室",
        "--json",
    ];
    let proposed = at(&left, &propose);
    assert!(proposed.status.success(), "{proposed:?}");
    let proposed: serde_json::Value = serde_json::from_slice(&proposed.stdout).unwrap();
    let id = proposed["id"].as_str().unwrap();
    right
        .until(LEFT, "mirrored", |link| link.mirrored_size == 4)
        .await;

    let verified = at(&right, &["report", "verify", id]);
    assert!(verified.status.success(), "{verified:?}");
    assert!(String::from_utf8_lossy(&verified.stdout).starts_with("equal"));
    // Its author does not sign it.
    let mut sign = vec!["report", "countersign", id];
    sign.extend(SIGNATORY);
    assert_eq!(at(&left, &sign).status.code(), Some(65));
    let signed = at(&right, &sign);
    assert!(signed.status.success(), "{signed:?}");
    let twice = at(&right, &sign);
    assert_eq!(twice.status.code(), Some(1), "{twice:?}");
    let verified = at(&left, &["report", "verify", id]);
    assert!(verified.status.success(), "{verified:?}");

    // A report with a figure that is not so: named, and not signed.
    let mut desk = left.desk().await;
    let request = v1::GetRequest {
        id: id.to_owned(),
        ..v1::GetRequest::default()
    };
    let message = desk
        .get(request)
        .await
        .unwrap()
        .into_inner()
        .message
        .unwrap();
    let mut body = message.body.unwrap();
    if let Some(v1::body::Body::PeriodReport(report)) = &mut body.body {
        report.figures.last_mut().unwrap().value += 5;
    }
    let draft = v1::Draft {
        recipient: RIGHT.to_owned(),
        body: Some(body),
        ..v1::Draft::default()
    };
    let answer = desk
        .submit(v1::SubmitRequest { draft: Some(draft) })
        .await
        .unwrap();
    let id = answer.into_inner().id;
    right
        .until(LEFT, "mirrored", |link| link.mirrored_size == 5)
        .await;
    let verified = at(&right, &["report", "verify", &id]);
    assert_eq!(verified.status.code(), Some(1));
    let told = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        told.contains("differs       letters") && told.contains("made up of"),
        "{told}"
    );
    for command in [&["report", "countersign"][..], &["countersign"][..]] {
        let mut sign = command.to_vec();
        sign.push(&id);
        sign.extend(SIGNATORY);
        let refused = at(&right, &sign);
        assert!(!refused.status.success(), "{refused:?}");
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("differs")
                || String::from_utf8_lossy(&refused.stderr).contains("figures.letters")
        );
    }
    let mut refuse = vec![
        "countersign",
        &id,
        "--not-signed",
        "--reason",
        "zh-Hans=数字有误",
    ];
    refuse.extend(SIGNATORY);
    let refused = at(&right, &refuse);
    assert!(refused.status.success(), "{refused:?}");
}
