//! A peer over its quota is slowed, told why, and loses nothing; its alerts and receipts pass.

use std::sync::Arc;
use std::time::Duration;

use liaison::exchange::quota::Quota;
use liaison::exchange::{Exchange, LogSide};
use liaison::limits::INCIDENTS_BURST_MAX;
use liaison::proto::v1::{self, FaultCode, frame};

use crate::hostile::Hostile;
use crate::sides::{
    Side, acknowledgement, flash, join, letter, link_of, patiently, quiet, sides, submit,
};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn bytes_a_day(bytes_per_day: u64) -> Quota {
    Quota {
        bytes_per_day,
        ..Quota::PEER
    }
}

async fn until(exchange: &Arc<Exchange>, what: impl Fn(&Exchange) -> bool) {
    let wait = async {
        while !what(exchange) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    patiently(wait).await;
}

fn slowed(exchange: &Exchange) -> Option<String> {
    link_of(exchange).presence().slowed
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_day_is_used_up_waits_and_loses_nothing() {
    let (a, b) = sides();
    let (sender, node) = (a.open(&b), b.open(&a));
    node.limit_peers(bytes_a_day(60_000), 0);
    let running = join(&sender, &node);
    // One by one: each is a run of its own.
    let mut sent = 0;
    while slowed(&sender).is_none() {
        submit(&sender, letter(&b, 1)).await.unwrap();
        sent += 1;
        let (link, size) = (link_of(&sender), sent);
        until(&sender, |sender| {
            link.head().delivered_size == size || slowed(sender).is_some()
        })
        .await;
        assert!(sent < 1_000, "never slowed");
    }
    let told = slowed(&sender).unwrap();
    assert!(told.contains("0 MiB a day (UTC)"), "{told}");
    assert_eq!(link_of(&node).head().mirror_size, sent - 1);

    // A backlog behind it, an alert behind that, and the other way.
    for number in 0..500 {
        submit(&sender, letter(&b, number)).await.unwrap();
    }
    submit(&sender, flash(&b, 1)).await.unwrap();
    submit(&node, letter(&a, 1)).await.unwrap();
    until(&node, |node| {
        link_of(node).head().express_waiting.entries == 1
    })
    .await;
    until(&node, |node| link_of(node).head().delivered_size == 1).await;
    assert_eq!(link_of(&node).head().mirror_size, sent - 1);
    for exchange in [&sender, &node] {
        assert!(link_of(exchange).presence().up);
        assert!(exchange.held(&link_of(exchange)).is_none());
    }
    // Hours later still: heartbeats keep the session, and nothing more is noted.
    tokio::time::sleep(Duration::from_secs(3 * 60 * 60)).await;
    assert!(link_of(&node).presence().up);
    for (exchange, words) in [
        (&node, "the quota of the peer"),
        (&sender, "takes no ordinary"),
    ] {
        let incidents = exchange.incidents(10).unwrap();
        assert_eq!(incidents.len(), 1, "{incidents:?}");
        assert!(incidents[0].what.contains(words), "{incidents:?}");
    }

    // The next day it goes on by itself, until that is used up.
    node.limit_peers(bytes_a_day(60_000_000), 0);
    b.clock.advance(DAY_MS);
    quiet(&sender, &node).await;
    assert_eq!(link_of(&node).head().mirror_size, sent + 501);
    assert_eq!(slowed(&sender), None);
    assert_eq!(link_of(&node).presence().slows, None);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_passes_what_waits_also_what_was_pushed_before_it() {
    let (a, b) = sides();
    let (sender, node) = (a.open(&b), b.open(&a));
    let running = join(&sender, &node);
    let mut asked = Vec::new();
    for number in 0..2 {
        asked.push(submit(&node, letter(&a, number)).await.unwrap().id);
    }
    quiet(&sender, &node).await;
    // Nothing of the day is left for a letter; the acknowledgement behind it is pushed with it.
    node.limit_peers(bytes_a_day(10), 0);
    running.end().await;
    submit(&sender, letter(&b, 0)).await.unwrap();
    let mut acknowledge = asked.iter().map(|id| acknowledgement(&b, &id.to_string()));
    submit(&sender, acknowledge.next().unwrap()).await.unwrap();
    let running = join(&sender, &node);
    let shown =
        |count: usize| move |node: &Exchange| link_of(node).head().express_waiting.entries == count;
    until(&node, shown(1)).await;
    submit(&sender, acknowledge.next().unwrap()).await.unwrap();
    until(&node, shown(2)).await;
    assert_eq!(link_of(&node).head().mirror_size, 0);
    assert!(slowed(&sender).is_some());
    running.end().await;
}

/// How many messages made by `draft`, one by one, are taken before the day is used up.
async fn taken_in_a_day(draft: fn(&Side, usize) -> v1::Draft) -> (u64, usize) {
    let (a, b) = sides();
    let (sender, node) = (a.open(&b), b.open(&a));
    node.limit_peers(bytes_a_day(60_000), 0);
    let running = join(&sender, &node);
    for sent in 1..1_000 {
        submit(&sender, draft(&b, 1))
            .await
            .expect("the sender's own log takes it");
        let link = link_of(&sender);
        until(&sender, |sender| {
            link.head().delivered_size == sent || slowed(sender).is_some()
        })
        .await;
        if slowed(&sender).is_some() {
            break;
        }
    }
    assert!(link_of(&node).presence().up);
    // What is shown is shown within the same moment; what is not, not in hours.
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    let head = link_of(&node).head();
    assert!(node.held(&link_of(&node)).is_none());
    running.end().await;
    (head.mirror_size, head.express_waiting.entries)
}

#[tokio::test(start_paused = true)]
async fn an_alert_with_nothing_before_it_is_shown_when_the_day_is_used_up() {
    let (letters, shown) = taken_in_a_day(letter).await;
    assert_eq!(shown, 0);
    // The reserve is theirs; and the first that is over that as well is seen all the same.
    let (alerts, shown) = taken_in_a_day(flash).await;
    assert!(
        alerts * 10 >= letters * 11,
        "{alerts} alerts, {letters} letters"
    );
    assert_eq!(shown, 1);
}

#[tokio::test(start_paused = true)]
async fn a_day_used_up_is_so_after_a_restart_and_told_only_once() {
    let (a, b) = sides();
    let sender = a.open(&b);
    let node = b.open(&a);
    let running = join(&sender, &node);
    submit(&sender, letter(&b, 1)).await.unwrap();
    quiet(&sender, &node).await;
    running.end().await;
    drop(node);
    for number in 0..100 {
        submit(&sender, letter(&b, number)).await.unwrap();
    }
    for _ in 0..5 {
        let node = b.open(&a);
        // Room for some letters, and not for a hundred.
        node.limit_peers(bytes_a_day(60_000), 0);
        let running = join(&sender, &node);
        until(&sender, |_| link_of(&node).presence().slows.is_some()).await;
        assert_eq!(link_of(&node).head().mirror_size, 1);
        running.end().await;
        assert_eq!(node.incidents(10).unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_slows_and_says_nothing() {
    let (a, b) = sides();
    let (sender, node) = (a.open(&b), b.open(&a));
    let quota = Quota {
        messages_per_second: 10,
        burst_messages: 20,
        ..Quota::PEER
    };
    node.limit_peers(quota, 0);
    for number in 0..600 {
        submit(&sender, letter(&b, number)).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    let running = join(&sender, &node);
    // Each run is taken at once, and owed by the next.
    until(&node, |node| link_of(node).head().mirror_size == 600).await;
    submit(&sender, letter(&b, 601)).await.unwrap();
    let patient = until(&node, |node| link_of(node).head().mirror_size == 601);
    patient.await;
    // Paused, the clock goes on only where something waits for it: 581 messages at 10 a second.
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(50), "{waited:?}");
    assert_eq!(slowed(&sender), None);
    assert_eq!(node.incidents(10).unwrap(), []);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn alerts_without_end_are_left_for_their_turn() {
    let (a, b) = sides();
    let node = a.open(&b);
    let quota = Quota {
        messages_per_second: 1,
        burst_messages: 8,
        ..Quota::PEER
    };
    node.limit_peers(quota, 0);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    for index in 1..=100 {
        let express = v1::Express {
            index,
            item: Some(peer.letter()),
        };
        peer.send(frame::Frame::Express(express)).await;
    }
    peer.send(frame::Frame::Hello(peer.hello())).await;
    assert_eq!(peer.expect_fault().await.code(), FaultCode::Protocol);
    // Eight, and a quarter of that for what is urgent.
    assert_eq!(link_of(&node).head().express_waiting.entries, 10);
}

#[tokio::test]
async fn a_peer_that_dials_and_hangs_up_fills_no_disk_with_incidents() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::stranger(&b, &a, &node);
    for round in 0..u64::from(INCIDENTS_BURST_MAX) * 3 {
        peer.connect();
        let mut hello = peer.hello();
        // Its clock is wrong every other time, and its log of another length.
        let seconds = &mut hello.sent_at.as_mut().unwrap().seconds;
        *seconds += i64::from(round % 2 == 0) * 10_000;
        peer.send(frame::Frame::Hello(hello)).await;
        assert!(matches!(peer.next().await, Some(frame::Frame::Hello(_))));
        let fault = v1::Fault {
            code: FaultCode::RootMismatch as i32,
            text: format!("round {round}"),
            ..v1::Fault::default()
        };
        peer.send(frame::Frame::Fault(fault)).await;
        peer.end().await;
    }
    let incidents = node.incidents(1_000).unwrap();
    let told = |words: &str| incidents.iter().filter(|i| i.what.contains(words)).count();
    let most = INCIDENTS_BURST_MAX as usize;
    // That it holds the link, and that it no longer does.
    let holds = told("the peer holds the link");
    assert_eq!(holds + told("the peer no longer holds the link"), most);
    assert!(holds >= most / 2, "{holds}");
    assert!(incidents.len() <= 2 * most, "{}", incidents.len());
}

#[tokio::test]
async fn entries_that_are_not_admitted_are_all_refused_and_not_all_noted() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let items: Vec<_> = (0..100)
        .map(|_| {
            let mut forge = peer.forge();
            forge.header.recipient = "somebody.else.example".to_owned();
            forge.sign(&b)
        })
        .collect();
    peer.push(items).await;
    peer.hear(100).await;
    assert_eq!(peer.refusals().len(), 100);
    let incidents = node.incidents(1_000).unwrap();
    assert_eq!(incidents.len(), INCIDENTS_BURST_MAX as usize);
    let refused = node.reader(&link_of(&node), LogSide::Mirror);
    assert!(refused.entry(99).unwrap().record.refused);
}
