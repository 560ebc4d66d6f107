//! A running node measured with its real peer.

use serde_json::Value;

use super::{bench, in_order, nothing_is_left, number, ok, refused};
use crate::nodes::{LEFT, RIGHT, pair, succeed};
use liaison::proto::v1::LinkState;

#[tokio::test]
async fn a_running_pair_is_measured_with_tests_that_stay() {
    let homes = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(homes.path());
    let run = |arguments: &str| {
        let mut command = bench(dir.path());
        command
            .args(arguments.split(' '))
            .args(["--config", &left.config()]);
        command.output().unwrap()
    };
    let told = refused(&run("--peer hekou.ni.cn.example --yes"), 69);
    assert!(told.contains("does not answer"), "{told}");

    let (config, peer_config) = (left.config(), right.config());
    left.start();
    let run = |arguments: &str| {
        let mut command = bench(dir.path());
        command
            .args(arguments.split(' '))
            .args(["--config", &config]);
        command.output().unwrap()
    };
    left.desk().await;
    let told = refused(&run("--peer hekou.ni.cn.example --yes"), 69);
    assert!(told.contains("is not up"), "{told}");

    right.start();
    left.until(RIGHT, "up", |link| link.state == LinkState::Up as i32)
        .await;
    let told = refused(&run("--peer nobody.example --yes"), 2);
    assert!(told.contains("choose from hekou.ni.cn.example"), "{told}");
    // Nobody is there to be asked.
    let told = refused(&run("--peer hekou.ni.cn.example --count 30"), 2);
    assert!(
        told.contains("250 notifications marked as a TEST")
            && told.contains("official letters, ROUTINE, of 512 bytes each"),
        "{told}"
    );
    let before = left.until(RIGHT, "there", |_| true).await;
    assert_eq!(before.own_size, 0, "nothing was sent");

    let output = run("--peer hekou.ni.cn.example --yes --count 30 --rounds 2 --json");
    let report: Value = serde_json::from_str(&ok(&output)).unwrap();
    let run = &report["runs"][0];
    assert_eq!(run["peer"], RIGHT);
    assert_eq!(run["receipts"], 60);
    in_order(run, "recorded");
    in_order(run, "receiptVerified");
    for known in [
        "/cpuMicros/sender",
        "/syncs/sender",
        "/wireBytesPerPayloadByte",
    ] {
        assert!(number(run, known) > 0.0, "{known}");
    }
    // What the other side alone knows is not made up.
    for unknown in [
        "/delivered",
        "/watch",
        "/cpuMicros/receiver",
        "/syncs/receiver",
        "/commits/receiver",
        "/diskWrittenPerPayloadByte",
        "/diskKeptPerPayloadByte",
        "/bounds",
        "/ratios",
    ] {
        assert_eq!(run.pointer(unknown), None, "{unknown}");
    }
    nothing_is_left(dir.path());

    let after = left.until(RIGHT, "there", |_| true).await;
    // A hundred to warm up.
    assert_eq!((after.own_size, after.delivered_size), (160, 160));
    right
        .until(LEFT, "mirrored", |link| link.mirrored_size == 160)
        .await;
    let shown = succeed(&["--config", &peer_config, "list", "--json", "--limit", "160"]);
    assert_eq!(shown.matches("STATUS_TEST").count(), 160, "{shown}");
    left.stop();
    right.stop();
}
