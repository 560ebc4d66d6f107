//! Watch: a program that reconnects with its last cursor misses nothing.

use liaison::limits::CALLER_WATCHERS_MAX;
use liaison::proto::v1::WatchEvent;
use tonic::Streaming;

use super::*;
use crate::sides::{join, patiently, quiet};

pub(super) async fn follow(
    desk: &mut Caller,
    cursor: &str,
    from_start: bool,
) -> Streaming<v1::WatchResponse> {
    let request = v1::WatchRequest {
        cursor: cursor.to_owned(),
        from_start,
        ..v1::WatchRequest::default()
    };
    desk.watch(request).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<v1::WatchResponse>) -> v1::WatchResponse {
    patiently(stream.message()).await.unwrap().unwrap()
}

/// What is told until everything there is has been.
pub(super) async fn until_caught_up(
    stream: &mut Streaming<v1::WatchResponse>,
) -> Vec<v1::WatchResponse> {
    let mut told = Vec::new();
    loop {
        let event = next(stream).await;
        if event.event() == WatchEvent::CaughtUp {
            return told;
        }
        told.push(event);
    }
}

fn ids(told: &[v1::WatchResponse]) -> Vec<String> {
    let messages = told.iter().map(|event| event.message.as_ref().unwrap());
    messages.map(|message| message.id.clone()).collect()
}

async fn send(counter: &Counter, desk: &mut Caller, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let draft = v1::Draft {
            id: id_of(number),
            ..counter.letter(1)
        };
        desk.submit(submission(draft)).await.unwrap();
    }
}

#[tokio::test]
async fn every_cursor_resumes_exactly_behind_its_event() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    send(&counter, &mut desk, 0..5).await;
    let mut stream = follow(&mut desk, "", true).await;
    let told = until_caught_up(&mut stream).await;
    let all: Vec<_> = (0..5).map(id_of).collect();
    assert_eq!(ids(&told), all);
    for (number, event) in told.iter().enumerate() {
        assert_eq!(event.event(), WatchEvent::Recorded);
        assert!(event.message.as_ref().unwrap().body.is_some());
        let mut resumed = follow(&mut desk, &event.cursor, false).await;
        assert_eq!(ids(&until_caught_up(&mut resumed).await), all[number + 1..]);
    }
}

#[tokio::test]
async fn what_happens_meanwhile_is_told_after_a_reconnect() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    // From now on: what was before is not told.
    send(&counter, &mut desk, 0..3).await;
    let mut stream = follow(&mut desk, "", false).await;
    assert_eq!(next(&mut stream).await.event(), WatchEvent::CaughtUp);
    send(&counter, &mut desk, 3..4).await;
    let live = next(&mut stream).await;
    assert_eq!(ids(std::slice::from_ref(&live)), [id_of(3)]);
    drop(stream);

    let theirs = counter.peer.open(&counter.side);
    let running = join(&counter.exchange, &theirs);
    send(&counter, &mut desk, 4..150).await;
    let letter = crate::sides::letter(&counter.side, 1);
    let from_peer = crate::sides::submit(&theirs, letter).await.unwrap();
    quiet(&counter.exchange, &theirs).await;
    drop(running.end().await);

    let mut stream = follow(&mut desk, &live.cursor, false).await;
    let told = until_caught_up(&mut stream).await;
    let of = |event: WatchEvent| {
        let of = told.iter().filter(|told| told.event() == event);
        ids(&of.cloned().collect::<Vec<_>>())
    };
    assert_eq!(
        of(WatchEvent::Recorded),
        (4..150).map(id_of).collect::<Vec<_>>()
    );
    assert_eq!(
        of(WatchEvent::Delivered),
        (0..150).map(id_of).collect::<Vec<_>>()
    );
    assert_eq!(of(WatchEvent::Received), [from_peer.id.to_string()]);
}

#[tokio::test]
async fn only_the_events_that_are_asked_for_are_told() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let only = |events: &[WatchEvent], cursor: &str| v1::WatchRequest {
        cursor: cursor.to_owned(),
        from_start: cursor.is_empty(),
        only: events.iter().map(|event| i32::from(*event)).collect(),
        ..v1::WatchRequest::default()
    };
    send(&counter, &mut desk, 0..3).await;
    let request = only(&[WatchEvent::Delivered, WatchEvent::Received], "");
    let mut stream = desk.watch(request).await.unwrap().into_inner();
    assert_eq!(until_caught_up(&mut stream).await, []);

    let theirs = counter.peer.open(&counter.side);
    let running = join(&counter.exchange, &theirs);
    send(&counter, &mut desk, 3..5).await;
    let letter = crate::sides::letter(&counter.side, 1);
    let from_peer = crate::sides::submit(&theirs, letter).await.unwrap();
    quiet(&counter.exchange, &theirs).await;
    let mut told = Vec::new();
    while told.len() < 6 {
        told.push(next(&mut stream).await);
    }
    let (received, delivered): (Vec<_>, Vec<_>) = told
        .iter()
        .cloned()
        .partition(|told| told.event() == WatchEvent::Received);
    assert_eq!(ids(&received), [from_peer.id.to_string()]);
    assert!(
        delivered
            .iter()
            .all(|told| told.event() == WatchEvent::Delivered)
    );
    assert_eq!(ids(&delivered), (0..5).map(id_of).collect::<Vec<_>>());
    drop(running.end().await);

    // What was left out is behind the cursor too.
    let cursor = &told.last().unwrap().cursor;
    let mut resumed = follow(&mut desk, cursor, false).await;
    assert_eq!(until_caught_up(&mut resumed).await, []);
    let request = only(&[WatchEvent::Recorded], "");
    let mut stream = desk.watch(request).await.unwrap().into_inner();
    let recorded = until_caught_up(&mut stream).await;
    assert_eq!(ids(&recorded), (0..5).map(id_of).collect::<Vec<_>>());

    for number in [
        0,
        WatchEvent::CaughtUp.into(),
        WatchEvent::LinkHeld.into(),
        99,
    ] {
        let request = v1::WatchRequest {
            only: vec![WatchEvent::Received.into(), number],
            ..v1::WatchRequest::default()
        };
        let answer = desk.watch(request).await;
        let status = assert_refused(answer, Code::InvalidArgument, "BAD_FIELDS");
        assert_eq!(violations(&status)[0].0, "only[1]");
    }
}

#[tokio::test]
async fn a_program_is_told_of_its_own_messages_only() {
    let counter = Counter::open().await;
    let mut operator = counter.operator().await;
    let mut radar = counter.caller("integration/radar").await;
    send(&counter, &mut operator, 0..3).await;
    let alert = radar.submit(submission(counter.alert())).await.unwrap();
    send(&counter, &mut operator, 3..6).await;
    let mut stream = follow(&mut radar, "", true).await;
    let told = until_caught_up(&mut stream).await;
    assert_eq!(ids(&told), [alert.into_inner().id]);
}

#[tokio::test]
async fn bad_cursors_crowds_and_the_end_of_the_node() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let request = v1::WatchRequest {
        cursor: "beef".to_owned(),
        from_start: false,
        ..v1::WatchRequest::default()
    };
    let answer = desk.watch(request).await;
    let status = assert_refused(answer, Code::InvalidArgument, "BAD_CURSOR");
    assert_eq!(violations(&status)[0].0, "cursor");

    let mut streams = Vec::new();
    for _ in 0..CALLER_WATCHERS_MAX {
        streams.push(follow(&mut desk, "", false).await);
    }
    let one_more = desk.watch(v1::WatchRequest::default()).await;
    assert_refused(one_more, Code::ResourceExhausted, "TOO_MANY_OPEN");
    // Others have their own places, and a place that is left is free again.
    let mut radar = counter.caller("integration/radar").await;
    follow(&mut radar, "", false).await;
    streams.truncate(1);
    let again = async {
        while desk.watch(v1::WatchRequest::default()).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    patiently(again).await;

    let mut stream = streams.remove(0);
    assert_eq!(next(&mut stream).await.event(), WatchEvent::CaughtUp);
    counter.stop.cancel();
    let answer = patiently(stream.message()).await;
    assert_refused(answer, Code::Unavailable, "STOPPING");
}
