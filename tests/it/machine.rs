//! What the machine does to a node: a store in use, a full disk, a damaged store.

use std::os::unix::fs::FileExt as _;
use std::process::Command;

use liaison::proto::v1;
use tonic::Code;

use crate::mounted::Mounted;
use crate::nodes::{RIGHT, letter, liaison, pair};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, _right) = pair(dir.path());
    left.start();
    let mut desk = left.desk().await;
    let second = liaison(&["--config", &left.config(), "node", "run"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success());
    assert!(said.contains("in use"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    // The first one goes on.
    let draft = Some(letter(RIGHT, 1));
    desk.submit(v1::SubmitRequest { draft }).await.unwrap();
    left.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_recording_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Mounted::tmpfs(&dir.path().join("disk"), 256);
    let (mut left, mut right) = pair(&disk.dir);
    left.start();
    right.start();
    let mut desk = left.desk().await;
    let first = letter(RIGHT, 1);
    desk.submit(v1::SubmitRequest {
        draft: Some(first.clone()),
    })
    .await
    .unwrap();
    left.until(RIGHT, "delivered", |link| link.delivered_size == 1)
        .await;

    let filler = disk.dir.join("filler");
    drop(
        Command::new("dd")
            .args(["if=/dev/zero", "bs=1M", "count=256", "status=none"])
            .arg(format!("of={}", filler.display()))
            .output(),
    );
    let second = letter(RIGHT, 2);
    let refused = desk
        .submit(v1::SubmitRequest {
            draft: Some(second.clone()),
        })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().contains("disk"), "{refused:?}");
    let status = desk
        .status(v1::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!status.serving);
    assert!(status.trouble.contains("disk"), "{}", status.trouble);
    // It still reads.
    let got = desk
        .get(v1::GetRequest {
            id: first.id.clone(),
            ..v1::GetRequest::default()
        })
        .await
        .unwrap();
    assert_eq!(got.into_inner().message.unwrap().id, first.id);

    // A process that another test starts may hold the file open for a moment: this frees it now.
    let open = std::fs::File::options().write(true).open(&filler);
    open.unwrap().set_len(0).unwrap();
    let answer = desk
        .submit(v1::SubmitRequest {
            draft: Some(second),
        })
        .await
        .unwrap()
        .into_inner();
    assert!(
        !answer.already_recorded,
        "the refused one was not half-written"
    );
    left.until(RIGHT, "delivered", |link| {
        link.delivered_size == link.own_size
    })
    .await;
    left.stop();
    right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, _right) = pair(dir.path());
    left.start();
    let mut desk = left.desk().await;
    for number in 0..50 {
        let draft = Some(letter(RIGHT, number));
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
    }
    left.stop();
    let db = left.dir.join("data/sled/db");
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&db)
        .unwrap();
    let bytes = std::fs::read(&db).unwrap();
    let length = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    // The middle of what is written: whatever sled makes of it, it is not what was there.
    for offset in (length / 4..length / 4 * 3).step_by(64) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 0x55], offset).unwrap();
    }
    let run = liaison(&["--config", &left.config(), "node", "run"]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success(), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.contains("liaison recover"), "{said}");

    std::fs::remove_file(&db).unwrap();
    let run = liaison(&["--config", &left.config(), "node", "run"]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        !run.status.success(),
        "a vanished store is not an empty one: {said}"
    );
    assert!(said.contains("liaison recover"), "{said}");

    std::fs::remove_dir_all(left.dir.join("data")).unwrap();
    let run = liaison(&["--config", &left.config(), "node", "run"]);
    assert!(
        !run.status.success(),
        "a node never makes its store by itself"
    );
}
