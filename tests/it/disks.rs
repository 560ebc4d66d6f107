//! Real nodes on disks that fail under them: loss of power, errors of single syncs, a file system that
//! turns read-only. Needs root on Linux, with loop mounts and `strace` (for errors of single calls).
//!
//! `LIAISON_NODE_POWER_CUTS=N` cuts N times, `LIAISON_SYNC_ERRORS=N` fails the first to N-th sync.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use liaison::proto::v1;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::mounted::{Mounted, run};
use crate::nodes::{LEFT, Node, RIGHT, letter, pair};
use crate::traffic::{Traffic, number_from};

/// The two disks of two nodes, and the tool that cuts their power.
struct Machines {
    dir: tempfile::TempDir,
    tool: PathBuf,
}

impl Machines {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("power_cut");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/power_cut.c");
        run(Command::new("cc").arg("-o").arg(&tool).arg(source));
        Self { dir, tool }
    }

    fn mount(&self, name: &str, fresh: bool) -> Mounted {
        let (image, disk) = (format!("{name}.image"), format!("{name}.disk"));
        let path = self.dir.path();
        Mounted::ext4(&path.join(image), &path.join(disk), 1024, fresh)
    }

    fn cut(&self, disk: &Path) {
        run(Command::new(&self.tool).arg(disk));
    }
}

/// A node that lies on a disk of its own.
fn node_on(disk: &Mounted, name: &str) -> Node {
    let node = Node::init(&disk.dir, name);
    run(Command::new("sync").arg("-f").arg(&disk.dir));
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_told_is_lost_when_the_power_of_a_node_fails() {
    let cuts = number_from("LIAISON_NODE_POWER_CUTS", 50);
    let seed = number_from("LIAISON_SEED", 20_260_102);
    println!("power cuts {cuts}, seed {seed}");
    let machines = Machines::new();
    let mut disks = [
        Some(machines.mount("left", true)),
        Some(machines.mount("right", true)),
    ];
    let mut left = node_on(disks[0].as_ref().unwrap(), LEFT);
    let mut right = node_on(disks[1].as_ref().unwrap(), RIGHT);
    left.add_peer(&right.card());
    right.add_peer(&left.card());
    for disk in disks.iter().flatten() {
        run(Command::new("sync").arg("-f").arg(&disk.dir));
    }
    left.start();
    right.start();
    let mut traffic = Traffic::new(left, right, seed);
    for _ in 0..cuts {
        let cut = |victim: &Node| {
            machines.cut(victim.dir.parent().unwrap());
            let pid = victim.pid().to_string();
            run(Command::new("kill").args(["-9", &pid]));
        };
        let is_left = traffic.storm(cut).await;
        let fallen = traffic.node(is_left);
        fallen.kill();
        let (place, name) = if is_left { (0, "left") } else { (1, "right") };
        disks[place].take().unwrap().unmount();
        disks[place] = Some(machines.mount(name, false));
        fallen.start();
    }
    let found = traffic.judge(machines.dir.path()).await;
    println!(
        "power: {cuts} cuts, seed {seed}, {} notifications, {} files: 0 lost, 0 doubled, \
         0 unopenable, 0 forked heads",
        found.notifications, found.files
    );
}

/// Submits until the node says that it cannot; what it took until then, and that it stops for good.
async fn until_it_stops(desk: &mut DeskServiceClient<Channel>, most: usize) -> Vec<v1::Draft> {
    let mut told = Vec::new();
    for number in 0..most {
        let draft = letter(RIGHT, number);
        let request = v1::SubmitRequest {
            draft: Some(draft.clone()),
        };
        match desk.submit(request).await {
            Ok(_) => told.push(draft),
            Err(status) => {
                let known = [
                    Code::Internal,
                    Code::Unavailable,
                    Code::DataLoss,
                    Code::Unknown,
                ];
                assert!(known.contains(&status.code()), "{status:?}");
                let again = letter(RIGHT, number);
                let again = v1::SubmitRequest { draft: Some(again) };
                assert!(
                    desk.submit(again).await.is_err(),
                    "it goes on after an error"
                );
                return told;
            }
        }
    }
    panic!("{most} letters were taken, and no error came");
}

/// Everything told is there after a restart, once, and reaches the other side.
async fn all_is_there(left: &mut Node, right: &mut Node, told: &[v1::Draft]) {
    let mut desk = left.desk().await;
    for draft in told {
        let request = v1::SubmitRequest {
            draft: Some(draft.clone()),
        };
        let answer = desk.submit(request).await.unwrap().into_inner();
        assert!(answer.already_recorded, "{} was told and is lost", draft.id);
    }
    let delivered = |link: &v1::LinkStatus| link.delivered_size == link.own_size;
    left.until(RIGHT, "delivered", delivered).await;
    let mut desk = right.desk().await;
    for draft in told {
        let request = v1::GetRequest {
            id: draft.id.clone(),
            ..v1::GetRequest::default()
        };
        assert!(
            desk.get(request).await.is_ok(),
            "{} did not arrive",
            draft.id
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_error_of_any_one_sync_nothing_is_acknowledged_and_nothing_told_is_lost() {
    let errors = number_from("LIAISON_SYNC_ERRORS", 12);
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    right.start();
    let mut told = Vec::new();
    let mut at_start = 0;
    for nth in 1..=errors {
        let inject = format!("inject=fdatasync,fsync:error=EIO:when={nth}");
        left.start_under("strace", &["-f", "-qq", "-o", "/dev/null", "-e", &inject]);
        // A sync that fails while the node opens its store: it does not serve, and says why.
        if let Some(mut desk) = left.desk_or_end().await {
            told.extend(until_it_stops(&mut desk, 200).await);
            left.kill_under();
        } else {
            at_start += 1;
        }
        assert!(!left.log().contains("panicked"), "{}", left.log());
        left.start();
        all_is_there(&mut left, &mut right, &told).await;
        left.stop();
    }
    right.stop();
    println!(
        "sync errors: {errors} placed, {at_start} of them at start, {} told: 0 lost, 0 acknowledged after",
        told.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_file_system_that_turns_read_only_nothing_is_acknowledged() {
    let machines = Machines::new();
    let disk = machines.mount("left", true);
    let right_dir = tempfile::tempdir().unwrap();
    let mut left = node_on(&disk, LEFT);
    let mut right = Node::init(right_dir.path(), RIGHT);
    left.add_peer(&right.card());
    right.add_peer(&left.card());
    left.start();
    right.start();
    let mut desk = left.desk().await;
    let mut told = Vec::new();
    for number in 0..20 {
        let draft = letter(RIGHT, number);
        let request = v1::SubmitRequest {
            draft: Some(draft.clone()),
        };
        desk.submit(request).await.unwrap();
        told.push(draft);
    }
    // What ext4 does by itself when its own records are damaged.
    run(Command::new("mount")
        .args(["-o", "remount,abort"])
        .arg(&disk.dir));
    told.extend(until_it_stops(&mut desk, 20).await);
    let status = desk
        .status(v1::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!status.serving);
    assert!(!status.trouble.is_empty());
    let first = v1::GetRequest {
        id: told[0].id.clone(),
        ..v1::GetRequest::default()
    };
    // What is there can be seen, unless the store's engine would have to split a page for it; then it is
    // said what to do, and not that something is damaged. A body is shown to nobody who cannot be written
    // down.
    let is_told = |refused: &tonic::Status| refused.message().contains("restart the node");
    match desk.list(v1::ListRequest::default()).await {
        Ok(listed) => assert!(!listed.into_inner().messages.is_empty()),
        Err(refused) => assert!(is_told(&refused), "{refused:?}"),
    }
    let refused = desk.get(first).await.unwrap_err();
    assert!(
        refused.message().contains("journal") || is_told(&refused),
        "{refused:?}"
    );
    left.kill();
    disk.unmount();
    let disk = machines.mount("left", false);
    left.start();
    all_is_there(&mut left, &mut right, &told).await;
    left.stop();
    right.stop();
    disk.unmount();
}
