//! How much of a stream of drafts is read before its answers are: on a clock that stands still while anything
//! is still to be done, so that what was not read by then never would be.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::Frame;
use liaison::exchange::clock::Entropy;
use liaison::exchange::{Foundations, LinkTerms, RecorderMode};
use liaison::limits::{
    CALLER_SUBMIT_STREAMS_MAX, HANDOVER_PERSONS_MAX, READER_TIME_MAX, SUBMIT_MANY_BYTES_MAX,
    SUBMIT_MANY_HEAVY_MAX, SUBMIT_MANY_IDLE_TIME_MAX, SUBMIT_MANY_MAX, SUBMIT_MANY_REFUSALS_MAX,
    SUBMITS_BY_STREAMS_MAX, SUBMITS_MAX, TEXT_BYTES_MAX,
};
use liaison::link::codec::BoundedCodec;
use liaison::proto::v1::desk_service_server::DeskService as _;
use liaison::store::{Batch, Direction, Marks, Record, Share, Store, StoreError};
use prost::Message as _;
use tokio_stream::StreamExt as _;
use tonic::codec::{Codec as _, Streaming};
use tonic::transport::server::Connected as _;

use super::submitting_many::{numbered, outcome};
use super::*;

/// A store whose log waits while it is shut.
#[derive(Debug, Clone)]
struct Gate {
    store: MemoryStore,
    shut: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn shut(&self, is_shut: bool) {
        *self.shut.0.lock().unwrap() = is_shut;
        self.shut.1.notify_all();
    }
}

impl Store for Gate {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Record>, StoreError> {
        self.store.scan(start, end, limit, direction)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.writes().any(|(key, _)| key[0] == b'E') {
            let shut = self.shut.0.lock().unwrap();
            drop(self.shut.1.wait_while(shut, |shut| *shut).unwrap());
        }
        self.store.commit(batch)
    }

    fn make_room(&self, share: Share, bytes: u64) -> Result<(), StoreError> {
        self.store.make_room(share, bytes)
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        self.store.free_bytes()
    }
}

/// A desk whose log waits behind a gate, and a clock that stands still.
async fn gated() -> (Counter, Gate, ConnectInfo) {
    let (side, peer) = sides();
    let gate = Gate {
        store: side.store.clone(),
        shut: Arc::default(),
    };
    let foundations = Foundations {
        node: side.name.clone(),
        keys: side.keys(),
        store: Arc::new(gate.clone()),
        blobs: side.blobs(side.dir.path()),
        marks: Marks::open(side.dir.path()).unwrap(),
        clock: side.clock.clone(),
        entropy: Entropy::seeded(1),
    };
    let terms = LinkTerms {
        peer: peer.name.clone(),
        keys: peer.card_for(&side),
        own_start: side.card_for(&peer).start(),
        classification_max: v1::Classification::Confidential,
    };
    let exchange = Exchange::open(foundations, vec![terms], RecorderMode::Thread).unwrap();
    let everyone = desk::quota::DeskQuota {
        in_flight: SUBMIT_MANY_MAX,
        ..Default::default()
    };
    let quotas = DeskQuotas {
        everyone,
        ..DeskQuotas::default()
    };
    let counter = Counter::limited(side, peer, exchange, quotas, FLOOR_BYTES).await;
    let info = info(&counter).await;
    tokio::time::pause();
    (counter, gate, info)
}

/// What the node knows of a connection of its own user.
async fn info(counter: &Counter) -> ConnectInfo {
    let path = counter.side.dir.path().join("run/other.sock");
    let listener = LocalListener::bind(&path).unwrap();
    let mut incoming = accept_local(listener, AcceptLimits::desk());
    let (client, accepted) = tokio::join!(tokio::net::UnixStream::connect(&path), incoming.next());
    drop(client.unwrap());
    accepted.unwrap().unwrap().connect_info()
}

/// A request's stream: each part one message, counted as it is read; it never ends.
struct Fed {
    drafts: Box<dyn Iterator<Item = v1::SubmitManyRequest> + Send>,
    read: Arc<AtomicUsize>,
    /// What comes behind them, once.
    behind: Option<Bytes>,
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(request) = this.drafts.next() else {
            let behind = this.behind.take().map(|bytes| Ok(Frame::data(bytes)));
            return behind.map_or(Poll::Pending, |behind| Poll::Ready(Some(behind)));
        };
        this.read.fetch_add(1, Ordering::Relaxed);
        let message = request.encode_to_vec();
        let mut part = BytesMut::new();
        part.put_u8(0);
        part.put_u32(u32::try_from(message.len()).unwrap());
        part.put_slice(&message);
        Poll::Ready(Some(Ok(Frame::data(part.freeze()))))
    }
}

type Answers = <Arc<Desk> as v1::desk_service_server::DeskService>::SubmitManyStream;

/// Submits on one stream, and counts what is read of it.
async fn submit_many(
    counter: &Counter,
    info: &ConnectInfo,
    drafts: impl Iterator<Item = v1::Draft> + Send + 'static,
) -> (Answers, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let fed = Fed {
        drafts: Box::new((0..).zip(drafts).map(|(at, draft)| numbered(at, draft))),
        read: Arc::clone(&read),
        behind: None,
    };
    (feed(counter, info, fed).await.unwrap(), read)
}

async fn feed(counter: &Counter, info: &ConnectInfo, fed: Fed) -> Result<Answers, Status> {
    let decoder = BoundedCodec::<(), v1::SubmitManyRequest>::default().decoder();
    let requests = Streaming::new_request(decoder, tonic::body::Body::new(fed), None, None);
    let mut request = Request::new(requests);
    request.extensions_mut().insert(info.clone());
    let answers = counter.desk.submit_many(request).await;
    answers.map(tonic::Response::into_inner)
}

/// A stream on which nothing comes but this.
async fn quiet(
    counter: &Counter,
    info: &ConnectInfo,
    behind: Option<Bytes>,
) -> Result<Answers, Status> {
    let fed = Fed {
        drafts: Box::new(std::iter::empty()),
        read: Arc::default(),
        behind,
    };
    feed(counter, info, fed).await
}

/// One call of its own.
async fn submit(
    counter: &Counter,
    info: &ConnectInfo,
    draft: v1::Draft,
) -> Result<v1::SubmitResponse, Status> {
    let mut request = Request::new(submission(draft));
    request.extensions_mut().insert(info.clone());
    let answer = counter.desk.submit(request).await;
    answer.map(tonic::Response::into_inner)
}

/// Until so many were read, without letting the clock go on.
async fn until_read(read: &AtomicUsize, count: usize) {
    while read.load(Ordering::Relaxed) < count {
        tokio::task::yield_now().await;
    }
}

/// Until nothing more can happen by itself: the clock that stands goes on only then.
async fn idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn no_more_is_read_than_may_be_unanswered() {
    let (counter, _, info) = gated().await;
    let letter = v1::Draft {
        id: id_of(1),
        ..counter.letter(1)
    };
    let drafts = std::iter::repeat_n(letter, SUBMIT_MANY_MAX + 2);
    let (mut answers, read) = submit_many(&counter, &info, drafts).await;
    until_read(&read, SUBMIT_MANY_MAX).await;
    idle().await;
    assert_eq!(read.load(Ordering::Relaxed), SUBMIT_MANY_MAX);
    // An answer that is read makes room for one.
    for more in 1..=2 {
        outcome(answers.next().await.unwrap().unwrap()).unwrap();
        until_read(&read, SUBMIT_MANY_MAX + more).await;
        idle().await;
        assert_eq!(read.load(Ordering::Relaxed), SUBMIT_MANY_MAX + more);
    }
}

#[tokio::test]
async fn no_more_bytes_are_read_than_may_be_under_way() {
    let (counter, gate, info) = gated().await;
    gate.shut(true);
    let mut long = counter.letter(1);
    let content = long.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::OfficialLetter(letter) = content else {
        panic!("a letter");
    };
    letter.text = Some(v1::LocalizedText {
        texts: [("vi".to_owned(), "x".repeat(TEXT_BYTES_MAX))].into(),
    });
    let fit = SUBMIT_MANY_BYTES_MAX / long.encoded_len();
    let drafts = std::iter::repeat_n(long, fit + 2);
    let (mut answers, read) = submit_many(&counter, &info, drafts).await;
    idle().await;
    // How long one is, is known when it was read.
    assert_eq!(read.load(Ordering::Relaxed), fit + 1);
    gate.shut(false);
    for _ in 0..fit + 2 {
        outcome(answers.next().await.unwrap().unwrap()).unwrap();
    }
    assert_eq!(counter.own_size(), fit as u64 + 2);
}

#[tokio::test]
async fn those_that_take_much_memory_go_one_by_one() {
    let (counter, gate, info) = gated().await;
    gate.shut(true);
    let people = sample::People::Chinese;
    let mut batch =
        sample::handover_batch(counter.peer.name.as_str(), people, HANDOVER_PERSONS_MAX);
    let content = batch.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::HandoverRequest(request) = content else {
        panic!("a handover request");
    };
    for person in &mut request.persons {
        let parent = v1::PersonName {
            native: "示例".to_owned(),
            ..v1::PersonName::default()
        };
        person.parents = vec![parent; 20];
    }
    // Their bytes alone would let all of them be read.
    assert!(batch.encoded_len() * 4 < SUBMIT_MANY_BYTES_MAX);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let drafts = std::iter::repeat_n(batch.clone(), 3);
        streams.push(submit_many(&counter, &info, drafts).await);
    }
    idle().await;
    // How much one takes, is known when it was read: one more of each stream that has one at work.
    let mut read: Vec<_> = streams
        .iter()
        .map(|(_, read)| read.load(Ordering::Relaxed))
        .collect();
    read.sort_unstable();
    assert_eq!((read, SUBMIT_MANY_HEAVY_MAX), (vec![1, 2, 2], 2));
    gate.shut(false);
    for (answers, _) in &mut streams {
        for _ in 0..3 {
            outcome(answers.next().await.unwrap().unwrap()).unwrap();
        }
    }
    assert_eq!(counter.own_size(), 9);
}

#[tokio::test]
async fn streams_leave_places_to_those_who_call_submit() {
    let (counter, gate, info) = gated().await;
    gate.shut(true);
    // One is being recorded, the others wait for what becomes of it.
    let letter = v1::Draft {
        id: id_of(1),
        ..counter.letter(1)
    };
    let mut streams = Vec::new();
    for _ in 0..CALLER_SUBMIT_STREAMS_MAX {
        let drafts = std::iter::repeat_n(letter.clone(), SUBMITS_BY_STREAMS_MAX);
        streams.push(submit_many(&counter, &info, drafts).await);
    }
    idle().await;
    // Of each stream, one was read and waits.
    let read = streams.iter().map(|(_, read)| read.load(Ordering::Relaxed));
    assert_eq!(
        read.sum::<usize>(),
        SUBMITS_BY_STREAMS_MAX + CALLER_SUBMIT_STREAMS_MAX
    );
    let counter = Arc::new(counter);
    let calls: Vec<_> = (SUBMITS_BY_STREAMS_MAX..SUBMITS_MAX)
        .map(|_| {
            let (counter, info, letter) = (Arc::clone(&counter), info.clone(), letter.clone());
            tokio::spawn(async move { submit(&counter, &info, letter).await })
        })
        .collect();
    idle().await;
    let one_more = submit(&counter, &info, letter).await;
    assert_refused(one_more, Code::ResourceExhausted, "QUOTA_IN_FLIGHT");
    gate.shut(false);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(counter.own_size(), 1);
}

#[tokio::test]
async fn who_goes_away_has_his_places_until_what_was_read_is_recorded() {
    let (counter, gate, info) = gated().await;
    gate.shut(true);
    for number in 0..CALLER_SUBMIT_STREAMS_MAX {
        let letter = std::iter::once(counter.letter(number));
        let (answers, read) = submit_many(&counter, &info, letter).await;
        idle().await;
        assert_eq!(read.load(Ordering::Relaxed), 1);
        drop(answers);
        idle().await;
    }
    let refused = quiet(&counter, &info, None).await.map(drop);
    assert_refused(refused, Code::ResourceExhausted, "TOO_MANY_OPEN");
    gate.shut(false);
    let mut again = Vec::new();
    while again.len() < CALLER_SUBMIT_STREAMS_MAX {
        again.extend(quiet(&counter, &info, None).await);
        tokio::task::yield_now().await;
    }
    assert_eq!(counter.own_size(), CALLER_SUBMIT_STREAMS_MAX as u64);
}

#[tokio::test]
async fn so_many_are_refused_in_a_row_and_after_one_more_the_stream_ends() {
    let (counter, _, info) = gated().await;
    let drafts = std::iter::repeat_n(v1::Draft::default(), SUBMIT_MANY_REFUSALS_MAX);
    let (mut answers, _) = submit_many(&counter, &info, drafts).await;
    for _ in 0..SUBMIT_MANY_REFUSALS_MAX {
        outcome(answers.next().await.unwrap().unwrap()).unwrap_err();
    }
    let end = tokio::time::timeout(READER_TIME_MAX, answers.next()).await;
    assert!(end.is_err(), "{end:?}");

    let drafts = std::iter::repeat_n(v1::Draft::default(), SUBMIT_MANY_REFUSALS_MAX + 1);
    let (answers, _) = submit_many(&counter, &info, drafts).await;
    let mut told: Vec<_> = answers.collect().await;
    let end = told.pop().unwrap();
    assert_refused(end, Code::FailedPrecondition, "TOO_MANY_REFUSED");
    assert_eq!(told.len(), SUBMIT_MANY_REFUSALS_MAX + 1);
    assert!(told.into_iter().all(|answer| answer.is_ok()));
}

#[tokio::test]
async fn who_goes_away_in_the_middle_and_sends_all_again_finds_nothing_twice() {
    let (counter, gate, info) = gated().await;
    let drafts: Vec<_> = (0..40)
        .map(|number| v1::Draft {
            id: id_of(number),
            ..counter.letter(usize::try_from(number).unwrap())
        })
        .collect();
    // Ten are recorded and told, ten more are read and not recorded yet.
    let part = |from: usize| drafts.clone().into_iter().skip(from).take(10);
    let (mut answers, _) = submit_many(&counter, &info, part(0)).await;
    let mut told = BTreeMap::new();
    while told.len() < 10 {
        let answer = answers.next().await.unwrap().unwrap();
        told.insert(answer.sequence, outcome(answer).unwrap());
    }
    gate.shut(true);
    let (waiting, read) = submit_many(&counter, &info, part(10)).await;
    idle().await;
    assert_eq!(read.load(Ordering::Relaxed), 10);
    drop((answers, waiting));
    let (mut answers, read) = submit_many(&counter, &info, drafts.into_iter()).await;
    idle().await;
    assert_eq!(read.load(Ordering::Relaxed), 40);
    gate.shut(false);
    let mut places = BTreeSet::new();
    for _ in 0..40 {
        let answer = answers.next().await.unwrap().unwrap();
        let at = answer.sequence;
        let recorded = outcome(answer).unwrap();
        assert_eq!(recorded.id, id_of(at));
        assert!(places.insert(recorded.index));
        if let Some(before) = told.get(&at) {
            assert!(recorded.already_recorded);
            assert_eq!(recorded.index, before.index);
        }
    }
    assert_eq!(places, (0..40).collect());
    assert_eq!(counter.own_size(), 40);
}

#[tokio::test]
async fn who_reads_no_answer_is_not_waited_for_for_ever() {
    let (counter, _, info) = gated().await;
    let drafts = std::iter::repeat_n(v1::Draft::default(), 3);
    let (answers, _) = submit_many(&counter, &info, drafts).await;
    tokio::time::sleep(READER_TIME_MAX * 2 + Duration::from_secs(1)).await;
    let mut told: Vec<_> = answers.collect::<Vec<_>>().await;
    let end = told.pop().unwrap();
    assert_refused(end, Code::DeadlineExceeded, "NOT_READ");
    assert_eq!(told.len(), 3);
    assert!(told.into_iter().all(|answer| answer.is_ok()));
}

#[tokio::test]
async fn who_sends_nothing_whole_is_waited_for_and_not_for_ever() {
    let (counter, _, info) = gated().await;
    // Of 100 bytes that are announced, one.
    let half = Bytes::from_static(&[0, 0, 0, 0, 100, 0x08]);
    for behind in [None, Some(half)] {
        let mut answers = quiet(&counter, &info, behind).await.unwrap();
        let almost = SUBMIT_MANY_IDLE_TIME_MAX.mul_f64(0.99);
        let nothing = tokio::time::timeout(almost, answers.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        let end = answers.next().await.unwrap();
        assert_refused(end, Code::DeadlineExceeded, "STREAM_IDLE");
        assert!(answers.next().await.is_none());
    }
}
