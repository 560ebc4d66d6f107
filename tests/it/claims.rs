//! Many submissions of one id at once: one record, one file, one answer for all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Author, Exchange, RecordError, Recorded, RecorderMode};
use liaison::proto::v1;

use crate::nodes::new_id;
use crate::sides::{Side, letter, link_of, patiently, sides};

const CALLERS: usize = 32;

fn threaded(side: &Side, peer: &Side) -> Arc<Exchange> {
    side.try_open(peer, peer.card_for(side), RecorderMode::Thread)
        .unwrap()
}

/// A letter whose body lies in a file.
fn long(peer: &Side, id: &str, fill: &str) -> v1::Draft {
    let mut draft = letter(peer, 1);
    id.clone_into(&mut draft.id);
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::OfficialLetter(body) = body else {
        panic!("a letter")
    };
    let texts = &mut body.text.as_mut().unwrap().texts;
    texts.insert("vi".to_owned(), fill.repeat(40_000));
    draft
}

fn files(side: &Side) -> usize {
    let names = std::fs::read_dir(side.dir.path().join("blobs")).unwrap();
    names
        .filter(|entry| entry.as_ref().unwrap().file_name().len() == 64)
        .count()
}

async fn all_at_once(
    exchange: &Arc<Exchange>,
    draft: impl Fn(usize) -> v1::Draft,
) -> Vec<Result<Recorded, SubmitError>> {
    let author = Author::new("operator/mẫu");
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let (exchange, draft, author) = (Arc::clone(exchange), draft(number), author.clone());
            tokio::spawn(async move { exchange.submit(draft, &author).await })
        })
        .collect();
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(patiently(caller).await.unwrap());
    }
    answers
}

fn count(
    answers: &[Result<Recorded, SubmitError>],
    what: impl Fn(&Result<Recorded, SubmitError>) -> bool,
) -> usize {
    answers.iter().filter(|answer| what(answer)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_is_recorded_and_all_are_answered_with_it() {
    let (a, b) = sides();
    let exchange = threaded(&a, &b);
    let id = new_id();
    let answers = all_at_once(&exchange, |_| long(&b, &id, "a")).await;
    let is = |already: bool| {
        move |answer: &Result<Recorded, SubmitError>| {
            let recorded = answer.as_ref().unwrap();
            recorded.index == 0 && recorded.already_recorded == already
        }
    };
    assert_eq!(count(&answers, is(false)), 1);
    assert_eq!(count(&answers, is(true)), CALLERS - 1);
    assert_eq!(link_of(&exchange).head().own_size, 1);
    assert_eq!(files(&a), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_contents_under_one_id_one_is_recorded_and_the_other_told_so() {
    let (a, b) = sides();
    let exchange = threaded(&a, &b);
    let id = new_id();
    let fill = |number: usize| if number.is_multiple_of(2) { "a" } else { "b" };
    let answers = all_at_once(&exchange, |number| long(&b, &id, fill(number))).await;
    let used = |answer: &Result<_, SubmitError>| matches!(answer, Err(SubmitError::IdUsed { .. }));
    assert_eq!(count(&answers, used), CALLERS / 2);
    assert_eq!(count(&answers, Result::is_ok), CALLERS / 2);
    assert_eq!(files(&a), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_fails_leaves_no_file_and_the_next_is_recorded() {
    let (a, b) = sides();
    let exchange = threaded(&a, &b);
    a.store.refuse_commits(3);
    let id = new_id();
    let answers = all_at_once(&exchange, |_| long(&b, &id, "a")).await;
    let full = |answer: &Result<_, SubmitError>| {
        matches!(answer, Err(SubmitError::Record(RecordError::Full { .. })))
    };
    assert_eq!(count(&answers, full), 3);
    assert_eq!(count(&answers, Result::is_ok), CALLERS - 3);
    assert_eq!(link_of(&exchange).head().own_size, 1);
    assert_eq!(files(&a), 1);
    // Where nothing is recorded at all, nothing is left.
    a.store.set_full(true);
    let other = new_id();
    let answers = all_at_once(&exchange, |_| long(&b, &other, "a")).await;
    assert_eq!(count(&answers, Result::is_err), CALLERS);
    assert_eq!(files(&a), 1);
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_one_file_or_none() {
    let (a, b) = sides();
    let exchange = a.open(&b);
    let id = new_id();
    let author = Author::new("operator/mẫu");
    // Polled once, the submission is with the recorder, which answers at once; dropped, nobody hears.
    let mut submission = Box::pin(exchange.submit(long(&b, &id, "a"), &author));
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    drop(submission.as_mut().poll(&mut context));
    drop(submission);
    let again = exchange.submit(long(&b, &id, "a"), &author).await.unwrap();
    assert_eq!(again.index, 0);
    assert_eq!(files(&a), 1);
}
