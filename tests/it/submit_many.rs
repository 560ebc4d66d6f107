//! Thousands of letters on one stream, between two real nodes: each recorded once, and at the peer once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use liaison::proto::v1;
use liaison::proto::v1::submit_many_response::Outcome;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::nodes::{LEFT, Node, RIGHT, letter, pair};
use crate::sides::{patiently, temp_dir};

const LETTERS: u64 = 3_000;

fn numbered(drafts: &BTreeMap<u64, v1::Draft>) -> Vec<v1::SubmitManyRequest> {
    let request = |(sequence, draft): (&u64, &v1::Draft)| v1::SubmitManyRequest {
        sequence: *sequence,
        draft: Some(draft.clone()),
    };
    drafts.iter().map(request).collect()
}

fn recorded(answer: v1::SubmitManyResponse) -> (u64, v1::SubmitResponse) {
    match answer.outcome.unwrap() {
        Outcome::Recorded(recorded) => (answer.sequence, recorded),
        Outcome::Failure(failure) => panic!("{failure:?}"),
    }
}

/// Every letter that a node has of the peer's log, by id.
async fn received(node: &mut Node) -> BTreeSet<String> {
    let mut desk = node.desk().await;
    let mut request = v1::ListRequest {
        page_size: 500,
        ..v1::ListRequest::default()
    };
    let mut ids = BTreeSet::new();
    loop {
        let page = desk.list(request.clone()).await.unwrap().into_inner();
        for message in page.messages {
            assert!(ids.insert(message.id));
        }
        if page.next_page_token.is_empty() {
            return ids;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_letters_on_a_stream_that_broke_off_are_recorded_and_delivered_once_each() {
    let dir = temp_dir();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    let drafts: BTreeMap<u64, v1::Draft> = (0..LETTERS)
        .map(|number| {
            // Numbers are the caller's own.
            let sequence = number * 7 + 3;
            (sequence, letter(RIGHT, usize::try_from(number).unwrap()))
        })
        .collect();

    // The first stream breaks off when a hundred answers were read, a thousand sent at least.
    let mut desk = left.desk().await;
    let (sender, requests) = mpsc::channel(64);
    let answers = desk.submit_many(ReceiverStream::new(requests));
    let mut answers = answers.await.unwrap().into_inner();
    let all = numbered(&drafts);
    let sending = tokio::spawn(async move {
        for request in all.into_iter().take(1_000) {
            if sender.send(request).await.is_err() {
                return;
            }
        }
        // Held open: what ends it is that its caller goes away.
        sender.closed().await;
    });
    let mut told = BTreeMap::new();
    while told.len() < 100 {
        let answer = patiently(answers.message()).await.unwrap().unwrap();
        let (sequence, recorded) = recorded(answer);
        assert!(!recorded.already_recorded);
        told.insert(sequence, recorded);
    }
    drop((answers, desk));
    sending.abort();

    // All of it again, on another.
    let mut desk = left.desk().await;
    let requests = tokio_stream::iter(numbered(&drafts));
    let mut answers = desk.submit_many(requests).await.unwrap().into_inner();
    let mut places = BTreeMap::new();
    while let Some(answer) = patiently(answers.message()).await.unwrap() {
        let (sequence, recorded) = recorded(answer);
        assert_eq!(recorded.id, drafts[&sequence].id);
        if let Some(before) = told.get(&sequence) {
            assert!(recorded.already_recorded);
            assert_eq!(recorded.index, before.index);
        }
        assert!(places.insert(recorded.index, sequence).is_none());
    }
    let indices: Vec<u64> = places.keys().copied().collect();
    assert_eq!(indices, (0..LETTERS).collect::<Vec<_>>());
    let numbers: BTreeSet<u64> = places.into_values().collect();
    assert!(numbers.iter().eq(drafts.keys()));

    let link = left
        .until(RIGHT, "delivered", |link| link.delivered_size == LETTERS)
        .await;
    assert_eq!(link.own_size, LETTERS);
    let link = right
        .until(LEFT, "mirrored", |link| link.mirrored_size == LETTERS)
        .await;
    assert_eq!(link.own_size, 0);
    let sent: BTreeSet<String> = drafts.into_values().map(|draft| draft.id).collect();
    assert_eq!(received(&mut right).await, sent);
    left.stop();
    right.stop();
}
