//! Many drafts on one stream: each answered by its number, exactly as Submit answers.

use liaison::desk::errors::status_of;
use liaison::desk::quota::DeskQuota;
use liaison::exchange::quota::Quota;
use liaison::journal::{Act, Query};
use liaison::limits::CALLER_SUBMIT_STREAMS_MAX;
use liaison::proto::v1::submit_many_response::Outcome;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::*;
use crate::sides::flash;

pub(super) fn numbered(sequence: u64, draft: v1::Draft) -> v1::SubmitManyRequest {
    v1::SubmitManyRequest {
        sequence,
        draft: Some(draft),
    }
}

/// What became of each, by its number.
pub(super) type Outcomes = BTreeMap<u64, Result<v1::SubmitResponse, Status>>;

/// One answer, as a call of its own would have it.
pub(super) fn outcome(answer: v1::SubmitManyResponse) -> Result<v1::SubmitResponse, Status> {
    match answer.outcome.unwrap() {
        Outcome::Recorded(recorded) => Ok(recorded),
        Outcome::Failure(failure) => {
            let status = status_of(&failure);
            let info = status.get_details_error_info().unwrap();
            assert_eq!(
                (info.reason, info.domain.as_str()),
                (failure.reason, "liaison")
            );
            Err(status)
        }
    }
}

/// Sends these on one stream, each with its place as its number, and reads every answer.
async fn all_of(desk: &mut Caller, drafts: Vec<v1::Draft>) -> Result<Outcomes, Status> {
    let numbered: Vec<_> = (0..)
        .zip(drafts)
        .map(|(at, draft)| numbered(at, draft))
        .collect();
    let count = numbered.len();
    let mut answers = desk
        .submit_many(tokio_stream::iter(numbered))
        .await?
        .into_inner();
    let mut outcomes = Outcomes::new();
    while let Some(answer) = answers.message().await? {
        let sequence = answer.sequence;
        assert!(outcomes.insert(sequence, outcome(answer)).is_none());
    }
    assert_eq!(outcomes.len(), count);
    Ok(outcomes)
}

async fn with(quota: DeskQuota) -> Counter {
    let (side, peer) = sides();
    let exchange = side.open(&peer);
    let quotas = DeskQuotas {
        everyone: quota,
        ..DeskQuotas::default()
    };
    Counter::limited(side, peer, exchange, quotas, FLOOR_BYTES).await
}

#[tokio::test]
async fn each_is_answered_by_its_number_and_faults_are_told_beside_as_submit_tells_them() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let used = v1::Draft {
        id: id_of(1),
        ..counter.letter(1)
    };
    desk.submit(submission(used.clone())).await.unwrap();
    let mut answered = counter.letter(2);
    answered.in_reply_to = id_of(77);
    let drafts = vec![
        counter.letter(10),
        v1::Draft::default(),
        used.clone(),
        v1::Draft {
            id: used.id,
            ..counter.letter(3)
        },
        answered,
        counter.letter(11),
        v1::Draft {
            recipient: "nobody.example".to_owned(),
            ..counter.letter(4)
        },
        flash(&counter.peer, 5),
    ];
    let outcomes = all_of(&mut desk, drafts.clone()).await.unwrap();
    for (at, draft) in (0..).zip(drafts) {
        match &outcomes[&at] {
            Ok(recorded) => {
                assert_eq!(recorded.already_recorded, at == 2);
                assert_eq!(recorded.origin, "laocai.bg.vn.example/hekou.ni.cn.example");
                let message = desk.get(get(&recorded.id)).await.unwrap().into_inner();
                assert_eq!(message.message.unwrap().index, recorded.index);
            }
            Err(told) => {
                let alone = desk.submit(submission(draft)).await.unwrap_err();
                assert_eq!(
                    (told.code(), told.message()),
                    (alone.code(), alone.message())
                );
                assert_eq!(violations(told), violations(&alone));
                assert!(!violations(told).is_empty());
                assert_eq!(told.details(), alone.details());
            }
        }
    }
    let recorded: Vec<_> = outcomes
        .iter()
        .filter(|(_, o)| o.is_ok())
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(recorded, [0, 2, 5, 7]);
    assert_eq!(counter.own_size(), 4);
}

#[tokio::test]
async fn the_same_id_many_times_on_two_streams_makes_one_record() {
    let counter = Counter::open().await;
    let drafts: Vec<_> = (0..60)
        .map(|number| v1::Draft {
            id: id_of(number % 20),
            ..counter.letter(usize::try_from(number % 20).unwrap())
        })
        .collect();
    let (mut one, mut two) = (counter.operator().await, counter.operator().await);
    let (one, two) = tokio::join!(
        all_of(&mut one, drafts.clone()),
        all_of(&mut two, drafts.clone())
    );
    let mut first = 0;
    for (at, outcome) in one.unwrap().into_iter().chain(two.unwrap()) {
        let recorded = outcome.unwrap();
        assert_eq!(recorded.id, id_of(at % 20));
        first += usize::from(!recorded.already_recorded);
    }
    assert_eq!((first, counter.own_size()), (20, 20));
}

#[tokio::test]
async fn a_role_that_may_not_submit_may_not_so_either_and_each_denied_kind_is_journalled() {
    let counter = Counter::open().await;
    let mut auditor = counter.caller("auditor/kt-1").await;
    let denied = all_of(&mut auditor, vec![counter.letter(1)]).await;
    assert_refused(denied, Code::PermissionDenied, "ROLE_DENIED");

    let mut radar = counter.caller("integration/radar").await;
    let drafts = vec![counter.letter(1), counter.alert(), counter.letter(2)];
    let mut outcomes = all_of(&mut radar, drafts).await.unwrap();
    outcomes.remove(&1).unwrap().unwrap();
    for (_, outcome) in outcomes {
        let status = assert_refused(outcome, Code::PermissionDenied, "KIND_DENIED");
        assert_eq!(violations(&status)[0].0, "body");
    }
    assert_eq!(counter.own_size(), 1);

    let query = Query {
        act: Some(Act::Refused),
        limit: usize::MAX,
        ..Query::default()
    };
    let found = counter.journal.list(&query).unwrap().deeds;
    let noted: BTreeSet<_> = found
        .into_iter()
        .map(|(_, deed)| (deed.who, deed.what))
        .collect();
    let refusal = |who: &str| (who.to_owned(), "SubmitMany".to_owned());
    let both = [refusal("auditor/kt-1"), refusal("integration/radar")];
    assert_eq!(noted, both.into());
}

#[tokio::test]
async fn each_is_charged_to_the_quota_and_those_over_it_are_told_when_to_try_again() {
    let counter = with(DeskQuota {
        quota: Quota {
            messages_per_second: 1,
            burst_messages: 20,
            ..Quota::DESK
        },
        ..DeskQuota::default()
    })
    .await;
    let mut desk = counter.operator().await;
    // Each second that passes meanwhile gives one more.
    let drafts = (0..500).map(|number| counter.letter(number)).collect();
    let outcomes = all_of(&mut desk, drafts).await.unwrap();
    let mut recorded = 0;
    for (_, outcome) in outcomes {
        let Err(status) = outcome else {
            recorded += 1;
            continue;
        };
        let status = assert_refused(
            Err::<(), _>(status),
            Code::ResourceExhausted,
            "QUOTA_MESSAGES",
        );
        assert!(status.get_details_retry_info().is_some());
        assert!(status.get_details_quota_failure().is_some());
    }
    assert!((20..500).contains(&recorded), "{recorded}");
    assert_eq!(counter.own_size(), recorded);
}

#[tokio::test]
async fn what_may_not_be_in_flight_at_once_waits_and_is_not_refused() {
    let in_flight = |in_flight| DeskQuota {
        in_flight,
        ..DeskQuota::default()
    };
    let counter = with(in_flight(1)).await;
    let (mut one, mut two) = (counter.operator().await, counter.operator().await);
    let drafts: Vec<_> = (0..50).map(|number| counter.letter(number)).collect();
    let (one, two) = tokio::join!(all_of(&mut one, drafts.clone()), all_of(&mut two, drafts));
    for (_, outcome) in one.unwrap().into_iter().chain(two.unwrap()) {
        outcome.unwrap();
    }
    assert_eq!(counter.own_size(), 100);
    // Who may have none at all would wait for ever.
    let counter = with(in_flight(0)).await;
    let mut desk = counter.operator().await;
    let mut outcomes = all_of(&mut desk, vec![counter.letter(1)]).await.unwrap();
    let outcome = outcomes.remove(&0).unwrap();
    assert_refused(outcome, Code::ResourceExhausted, "QUOTA_IN_FLIGHT");
}

/// A stream that is held open by its sender.
async fn open(
    desk: &mut Caller,
) -> Result<
    (
        mpsc::Sender<v1::SubmitManyRequest>,
        Streaming<v1::SubmitManyResponse>,
    ),
    Status,
> {
    let (sender, requests) = mpsc::channel(8);
    let answers = desk.submit_many(ReceiverStream::new(requests)).await?;
    Ok((sender, answers.into_inner()))
}

#[tokio::test]
async fn so_many_streams_of_one_caller_are_open_at_a_time() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let mut streams = Vec::new();
    for _ in 0..CALLER_SUBMIT_STREAMS_MAX {
        streams.push(open(&mut desk).await.unwrap());
    }
    let refused = open(&mut desk).await;
    let status = assert_refused(refused, Code::ResourceExhausted, "TOO_MANY_OPEN");
    assert!(status.get_details_retry_info().is_some());
    // Others have their own.
    let mut radar = counter.caller("integration/radar").await;
    let other = open(&mut radar).await.unwrap();
    // One that has ended makes room.
    let (sender, mut answers) = streams.pop().unwrap();
    drop(sender);
    assert!(answers.message().await.unwrap().is_none());
    streams.push(open(&mut desk).await.unwrap());
    drop((streams, other));
}

#[tokio::test]
async fn when_the_node_goes_down_what_was_read_is_answered_and_then_it_is_said() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let (sender, mut answers) = open(&mut desk).await.unwrap();
    sender.send(numbered(7, counter.letter(1))).await.unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.sequence, 7);
    outcome(answer).unwrap();
    counter.stop.cancel();
    assert_refused(answers.message().await, Code::Unavailable, "STOPPING");
}

#[tokio::test]
async fn what_cannot_be_read_as_a_message_ends_the_stream_behind_the_answers() {
    use tonic::codegen::http::uri::PathAndQuery;

    let counter = Counter::open().await;
    let mut client = tonic::client::Grpc::new(counter.channel().await);
    let mut good = Vec::new();
    prost::Message::encode(&numbered(1, counter.letter(1)), &mut good).unwrap();
    // Field 2, 5 bytes, and not one of them.
    let bad = vec![0x12, 5];
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/liaison.v1.DeskService/SubmitMany");
    let requests = Request::new(tokio_stream::iter([good, bad].map(Raw)));
    let answers = client.streaming(requests, path, RawCodec::default()).await;
    let mut answers: Streaming<v1::SubmitManyResponse> = answers.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.sequence, 1);
    let end = answers.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Internal, "{end:?}");
    assert_eq!(counter.own_size(), 1);
}

/// Bytes that claim to be a request.
struct Raw(Vec<u8>);

#[derive(Default)]
struct RawCodec(tonic_prost::ProstCodec<(), v1::SubmitManyResponse>);

impl tonic::codec::Codec for RawCodec {
    type Encode = Raw;
    type Decode = v1::SubmitManyResponse;
    type Encoder = RawEncoder;
    type Decoder =
        <tonic_prost::ProstCodec<(), v1::SubmitManyResponse> as tonic::codec::Codec>::Decoder;

    fn encoder(&mut self) -> RawEncoder {
        RawEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        self.0.decoder()
    }
}

struct RawEncoder;

impl tonic::codec::Encoder for RawEncoder {
    type Item = Raw;
    type Error = Status;

    fn encode(&mut self, item: Raw, to: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item.0);
        Ok(())
    }
}
