//! A commit fails at every number, in every way, on either side of a conversation.
//!
//! Two worlds behind the same answer: it failed and nothing was written, it failed and was written;
//! and a third, in which it can be read until the power goes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Exchange, LogSide, OpenError, RecordError, RecorderMode};
use liaison::model::{Header, MessageId};
use liaison::proto::v1::{self, Frame};
use liaison::store::{Failure, StoreError};
use prost::Message as _;

use crate::sides::{
    Notary, Running, Side, Step, assert_same_logs, flash, join_over, letter, link_of, quiet, sides,
    submit, up, wire,
};

/// How a node comes back after its store failed.
#[derive(Debug, Clone, Copy)]
enum Return {
    PowerCut,
    Restart,
}

fn come_back(side: &Side, how: Return) {
    match how {
        Return::PowerCut => side.store.crash(),
        Return::Restart => side.store.reopen(),
    }
}

fn open(side: &Side, peer: &Side, how: Return) -> Arc<Exchange> {
    for _ in 0..4 {
        match side.try_open(peer, peer.card_for(side), RecorderMode::Inline) {
            Ok(exchange) => return exchange,
            Err(OpenError::Store(StoreError::OutcomeUnknown { .. })) => come_back(side, how),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it never opens");
}

fn watched(notary: &Notary, left: &Arc<Exchange>, right: &Arc<Exchange>) -> Running {
    let see = || {
        let notary = notary.clone();
        move |frame: Frame| {
            notary.see(&frame);
            Step::Pass(frame)
        }
    };
    join_over(left, right, wire(see(), see()))
}

/// What each side says, with ids, so that it may be said again.
fn drafts(to: &Side, count: u8) -> Vec<v1::Draft> {
    (0..count)
        .map(|number| {
            let draft = match number {
                3 => flash(to, 3),
                number => letter(to, usize::from(number)),
            };
            let random = [number + 1, to.seed, 0, 0, 0, 0, 0, 0, 0, 0];
            v1::Draft {
                id: MessageId::from_parts(1_795_000_000_000, random).to_string(),
                ..draft
            }
        })
        .collect()
}

/// Says it all; returns what it was told: id and index.
async fn say(exchange: &Exchange, drafts: &[v1::Draft]) -> Vec<(MessageId, u64)> {
    let mut told = Vec::new();
    for draft in drafts {
        match submit(exchange, draft.clone()).await {
            Ok(recorded) => told.push((recorded.id, recorded.index)),
            Err(SubmitError::Record(RecordError::Stopped { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
    told
}

fn ids(exchange: &Exchange) -> Vec<MessageId> {
    let link = link_of(exchange);
    let reader = exchange.reader(&link, LogSide::Own);
    let stored = reader.entries(0, u64::MAX, usize::MAX).unwrap();
    let id_of = |entry: &bytes::Bytes| {
        let entry = v1::Entry::decode(entry.clone()).unwrap();
        Header::parse(&entry.payload).unwrap().id
    };
    stored.iter().map(|s| id_of(&s.entry)).collect()
}

/// The conversation; a commit of one side fails on the way. Returns the commits of both sides.
async fn converse(failing: Option<(bool, u64, Failure, Return)>) -> (u64, u64) {
    let (a, b) = sides();
    let how = failing.map_or(Return::Restart, |(.., how)| how);
    if let Some((is_a, number, failure, _)) = failing {
        let side = if is_a { &a } else { &b };
        side.store.fail_commit(number, failure);
    }
    let notary = Notary::of(&a, &b);
    let (to_b, to_a) = (drafts(&b, 6), drafts(&a, 4));
    let (mut left, mut right) = (open(&a, &b, how), open(&b, &a, how));
    let mut told = (Vec::new(), Vec::new());
    // Three chances to be through: before, during and after the failure.
    for (of_a, of_b) in [(0..4, 0..2), (0..6, 0..4), (0..6, 0..4)] {
        let running = watched(&notary, &left, &right);
        told.0.extend(say(&left, &to_b[of_a]).await);
        told.1.extend(say(&right, &to_a[of_b]).await);
        let (mut x, mut y) = (left.watch_trouble(), right.watch_trouble());
        tokio::select! {
            biased;
            _ = x.wait_for(Option::is_some) => {}
            _ = y.wait_for(Option::is_some) => {}
            () = async { up(&left, &right).await; quiet(&left, &right).await } => {}
        }
        running.end().await;
        if left.trouble().is_some() {
            drop(left);
            come_back(&a, how);
            left = open(&a, &b, how);
        }
        if right.trouble().is_some() {
            drop(right);
            come_back(&b, how);
            right = open(&b, &a, how);
        }
    }
    let running = watched(&notary, &left, &right);
    up(&left, &right).await;
    quiet(&left, &right).await;
    running.end().await;
    let commits = (a.store.commits(), b.store.commits());

    // And once more after a power cut on both sides.
    drop((left, right));
    a.store.crash();
    b.store.crash();
    let (left, right) = (open(&a, &b, how), open(&b, &a, how));
    assert_same_logs(&left, &right);
    notary.assert_consistent_with(&left, &right);
    for (exchange, told, said) in [(&left, told.0, to_b), (&right, told.1, to_a)] {
        assert_eq!(exchange.held(&link_of(exchange)), None);
        let recorded = ids(exchange);
        assert_eq!(recorded.len(), said.len(), "something is missing or double");
        for (id, index) in told {
            assert_eq!(recorded[usize::try_from(index).unwrap()], id);
        }
    }
    commits
}

#[tokio::test]
async fn a_commit_may_fail_anywhere() {
    let (of_a, of_b) = converse(None).await;
    assert!(of_a > 10 && of_b > 10, "{of_a} {of_b}");
    let mut runs = 0;
    for (is_a, commits) in [(true, of_a), (false, of_b)] {
        for number in 0..commits {
            for failure in [Failure::Before, Failure::Volatile, Failure::After] {
                for how in [Return::PowerCut, Return::Restart] {
                    converse(Some((is_a, number, failure, how))).await;
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} conversations with a failing commit");
}
