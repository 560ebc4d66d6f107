//! SIGKILL at random moments of traffic: what a caller was told stays, once, in order, on both
//! sides.
//!
//! The moment of each kill is drawn from a printed seed, so that a run can be repeated as far as two
//! racing processes can be. `LIAISON_KILLS=N` kills N times.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use crate::nodes::{Node, pair};
use crate::traffic::{Traffic, number_from};

fn kill_at_once(victim: &Node) {
    let pid = victim.pid().to_string();
    let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_told_is_lost_or_doubled_when_either_side_is_killed() {
    let kills = number_from("LIAISON_KILLS", 100);
    let seed = number_from("LIAISON_SEED", 20_260_101);
    println!("kills {kills}, seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    let mut traffic = Traffic::new(left, right, seed);
    for _ in 0..kills {
        let is_left = traffic.storm(kill_at_once).await;
        let fallen = traffic.node(is_left);
        fallen.kill();
        fallen.start();
    }
    let found = traffic.judge(dir.path()).await;
    println!(
        "kill -9: {kills} kills, seed {seed}, {} notifications, {} files: 0 lost, 0 doubled, 0 unopenable",
        found.notifications, found.files
    );
}
