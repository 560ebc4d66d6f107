//! What each caller may take, and what nobody's bulk stands before.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use liaison::desk::quota::{DeskQuota, DeskQuotas};
use liaison::exchange::quota::Quota;
use liaison::limits::BULK_FLOORS;
use liaison::proto::v1::upload_attachment_request::Part;
use sha2::{Digest as _, Sha256};
use tonic::Code;

use super::*;
use crate::sides::{Side, flash, join, link_of, quiet, submit};

/// Practically no second message within a test, whatever the machine.
fn slow(burst_messages: u32) -> DeskQuota {
    DeskQuota {
        quota: Quota {
            messages_per_second: 1,
            burst_messages,
            ..Quota::DESK
        },
        ..DeskQuota::default()
    }
}

/// Takes a day's bytes up to nothing.
fn bytes_a_day(bytes_per_day: u64) -> DeskQuota {
    DeskQuota {
        quota: Quota {
            bytes_per_day,
            ..Quota::DESK
        },
        ..DeskQuota::default()
    }
}

async fn with(quotas: DeskQuotas) -> Counter {
    let (side, peer) = sides();
    let exchange = side.open(&peer);
    Counter::limited(side, peer, exchange, quotas, FLOOR_BYTES).await
}

fn everyone(everyone: DeskQuota) -> DeskQuotas {
    DeskQuotas {
        everyone,
        ..DeskQuotas::default()
    }
}

/// A routine alert, which the program `radar` may send.
fn routine(counter: &Counter) -> v1::Draft {
    v1::Draft {
        precedence: v1::Precedence::Routine as i32,
        ..counter.alert()
    }
}

#[tokio::test]
async fn over_its_rate_a_program_is_told_which_quota_and_when_and_others_are_not_touched() {
    let counter = with(DeskQuotas {
        programs: [("radar".to_owned(), slow(1_000))].into(),
        ..DeskQuotas::default()
    })
    .await;
    let mut radar = counter.caller("integration/radar").await;
    let mut recorded = 0;
    // A thousand at once; each second that passes meanwhile gives one more.
    let refused = loop {
        match radar.submit(submission(routine(&counter))).await {
            Ok(_) => recorded += 1,
            Err(status) => break status,
        }
    };
    assert!(recorded >= 1_000, "{recorded}");
    let status = assert_refused(
        Err::<(), _>(refused),
        Code::ResourceExhausted,
        "QUOTA_MESSAGES",
    );
    assert!(
        status
            .message()
            .contains("integration/radar is used up: 1 messages a second, 1000 at once"),
        "{status:?}"
    );
    let retry = status
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert!(
        retry > Duration::ZERO && retry <= Duration::from_secs(1),
        "{retry:?}"
    );
    let failure = status.get_details_quota_failure().unwrap();
    assert_eq!(failure.violations[0].subject, "integration/radar");
    assert_eq!(counter.own_size(), recorded);

    // A reserve of its own for what is urgent.
    radar.submit(submission(counter.alert())).await.unwrap();
    // And everybody else has a quota of their own.
    let mut operator = counter.operator().await;
    operator
        .submit(submission(counter.letter(1)))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_reserve_for_what_is_urgent_has_an_end_as_well() {
    let counter = with(everyone(slow(4))).await;
    let mut desk = counter.operator().await;
    let mut sent = 0;
    while desk
        .submit(submission(flash(&counter.peer, 1)))
        .await
        .is_ok()
    {
        sent += 1;
        // Four and one, and what the seconds give back.
        assert!(sent < 1_000, "no end");
    }
    assert!(sent >= 5, "{sent}");
}

#[tokio::test]
async fn a_day_used_up_survives_a_restart_and_ends_with_the_day() {
    let quotas = || everyone(bytes_a_day(20_000));
    let counter = with(quotas()).await;
    let mut desk = counter.operator().await;
    let mut recorded = 0;
    let refused = loop {
        match desk.submit(submission(counter.letter(1))).await {
            Ok(_) => recorded += 1,
            Err(status) => break status,
        }
    };
    assert!(recorded > 5, "{recorded}");
    let status = assert_refused(
        Err::<(), _>(refused),
        Code::ResourceExhausted,
        "QUOTA_BYTES",
    );
    let retry = status
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert!(retry > Duration::from_secs(60), "{retry:?}");
    // Noted once, however often it is tried; the person is not named.
    for _ in 0..5 {
        desk.submit(submission(counter.letter(1)))
            .await
            .unwrap_err();
    }
    let incidents = counter.exchange.incidents(10).unwrap();
    let [incident] = &incidents[..] else {
        panic!("{incidents:?}")
    };
    assert!(
        incident.what.contains("the quota of operator is used up"),
        "{incident:?}"
    );

    // The process ends and comes back on the same disk.
    let Side { name, seed, .. } = &counter.side;
    let mut side = Side::new(name.as_str(), *seed);
    side.entropy_seed.fetch_add(1_000, Ordering::Relaxed);
    std::fs::remove_dir_all(counter.side.dir.path().join("run")).unwrap();
    side.restore(counter.side.snapshot());
    let peer = Side::new(counter.peer.name.as_str(), counter.peer.seed);
    drop(counter);
    let exchange = side.open(&peer);
    let counter = Counter::limited(side, peer, exchange, quotas(), FLOOR_BYTES).await;
    let mut desk = counter.operator().await;
    let answer = desk.submit(submission(counter.letter(1))).await;
    assert_refused(answer, Code::ResourceExhausted, "QUOTA_BYTES");
    assert_eq!(counter.exchange.incidents(10).unwrap().len(), 1);
    desk.submit(submission(flash(&counter.peer, 1)))
        .await
        .unwrap();

    counter.side.clock.advance(24 * 60 * 60 * 1_000);
    desk.submit(submission(counter.letter(1))).await.unwrap();
}

#[tokio::test]
async fn what_was_not_recorded_costs_nothing_of_the_day() {
    let counter = with(everyone(bytes_a_day(20_000))).await;
    let mut desk = counter.operator().await;
    let bad = v1::Draft {
        recipient: "nobody.example".to_owned(),
        ..counter.letter(1)
    };
    for _ in 0..100 {
        let answer = desk.submit(submission(bad.clone())).await;
        assert_refused(answer, Code::InvalidArgument, "BAD_FIELDS");
    }
    let draft = v1::Draft {
        id: id_of(1),
        ..counter.letter(1)
    };
    for _ in 0..100 {
        desk.submit(submission(draft.clone())).await.unwrap();
    }
    assert_eq!(counter.own_size(), 1);
}

#[tokio::test]
async fn files_count_for_the_day() {
    let counter = with(everyone(bytes_a_day(100_000))).await;
    let mut desk = counter.operator().await;
    let upload = |seed: u8| {
        let content = vec![seed; 60_000];
        let start = v1::UploadStart {
            sha256: Bytes::copy_from_slice(&Sha256::digest(&content)),
            size: content.len() as u64,
        };
        let parts = [Part::Start(start), Part::Chunk(content.into())];
        tokio_stream::iter(parts.map(|part| v1::UploadAttachmentRequest { part: Some(part) }))
    };
    desk.upload_attachment(upload(1)).await.unwrap();
    // The same again is here already.
    desk.upload_attachment(upload(1)).await.unwrap();
    let answer = desk.upload_attachment(upload(2)).await;
    assert_refused(answer, Code::ResourceExhausted, "QUOTA_BYTES");
    desk.submit(submission(counter.letter(1))).await.unwrap();
}

#[tokio::test]
async fn a_person_takes_note_though_nothing_else_may_be_sent() {
    let counter = with(everyone(bytes_a_day(40_000))).await;
    let theirs = counter.peer.open(&counter.side);
    let sent = submit(&theirs, crate::sides::letter(&counter.side, 1))
        .await
        .unwrap();
    let running = join(&theirs, &counter.exchange);
    quiet(&theirs, &counter.exchange).await;
    running.end().await;
    assert_eq!(link_of(&counter.exchange).head().mirror_size, 1);
    let mut desk = counter.operator().await;
    while desk.submit(submission(counter.letter(1))).await.is_ok() {}
    let request = v1::AcknowledgeRequest {
        id: sent.id.to_string(),
        officer: Some(v1::Officer {
            name: "Nguyễn Văn Mẫu".to_owned(),
            rank: "Đại úy".to_owned(),
            office: "Phòng mẫu".to_owned(),
            phone: String::new(),
        }),
        ..v1::AcknowledgeRequest::default()
    };
    desk.acknowledge(request).await.unwrap();
}

#[tokio::test]
async fn on_a_disk_that_is_nearly_full_only_what_is_urgent_is_recorded() {
    let (side, peer) = sides();
    let exchange = side.open(&peer);
    let free = exchange.free_bytes().unwrap();
    // One byte short of what ordinary messages need.
    let floor = free / BULK_FLOORS + 1;
    let counter = Counter::limited(side, peer, exchange, DeskQuotas::default(), floor).await;
    let mut desk = counter.operator().await;
    let answer = desk.submit(submission(counter.letter(1))).await;
    let status = assert_refused(answer, Code::ResourceExhausted, "DISK_RESERVED");
    assert!(status.get_details_retry_info().is_some());
    desk.submit(submission(flash(&counter.peer, 1)))
        .await
        .unwrap();
}

#[tokio::test]
async fn so_many_of_one_caller_are_recorded_at_a_time() {
    let in_flight = |in_flight| {
        everyone(DeskQuota {
            in_flight,
            ..DeskQuota::default()
        })
    };
    let counter = with(in_flight(0)).await;
    let mut desk = counter.operator().await;
    let answer = desk.submit(submission(counter.letter(1))).await;
    let status = assert_refused(answer, Code::ResourceExhausted, "QUOTA_IN_FLIGHT");
    assert!(status.get_details_quota_failure().is_some());
    assert!(status.get_details_retry_info().is_some());
    // One after the other, with a place for one: each gives it back, also when it is refused.
    let counter = with(in_flight(1)).await;
    let mut desk = counter.operator().await;
    for _ in 0..3 {
        let bad = v1::Draft::default();
        desk.submit(submission(bad)).await.unwrap_err();
        desk.submit(submission(counter.letter(1))).await.unwrap();
    }
}
