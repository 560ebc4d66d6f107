//! Cases between two nodes: what is possible is recorded, what is not is refused before, and both
//! sides find the same state.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Exchange, RecorderMode};
use liaison::model::{MessageId, sample};
use liaison::proto::v1::body::Body;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use liaison::proto::v1::{self, HandoverOutcome, Side as Of, Standing};
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::hostile::Hostile;
use crate::nodes::{LEFT, Node, RIGHT, new_id, pair, succeed};
use crate::sides::{Side, join, link_of, quiet, sides, submit};

/// A sample to send, in answer to a message.
fn draft(name: &str, recipient: &str, answers: &str) -> v1::Draft {
    let mut draft = sample::find(name).unwrap().draft().unwrap();
    draft.id = new_id();
    recipient.clone_into(&mut draft.recipient);
    draft.thread_id.clear();
    draft.supersedes.clear();
    answers.clone_into(&mut draft.in_reply_to);
    // The sample's files are not uploaded here.
    if let Some(Body::HandoverRequest(request)) = body_mut(&mut draft) {
        request.common.as_mut().unwrap().attachments.clear();
        for (at, person) in request.persons.iter_mut().enumerate() {
            person.photo_sha256.clear();
            let path = format!("persons[{at}].photoSha256");
            let listed = &mut request.common.as_mut().unwrap().not_applicable;
            if !listed.contains(&path) {
                listed.push(path);
            }
        }
    }
    draft
}

fn body_mut(draft: &mut v1::Draft) -> Option<&mut Body> {
    draft.body.as_mut()?.body.as_mut()
}

/// Accepts persons 1 and 2 of a request.
fn acceptance(recipient: &str, request: &str) -> v1::Draft {
    let mut reply = draft("handover-reply", recipient, request);
    if let Some(Body::HandoverReply(reply)) = body_mut(&mut reply) {
        for decision in &mut reply.decisions {
            decision.outcome = HandoverOutcome::Accepted.into();
            decision.reason = None;
            decision.valid_until = Some(in_days(30));
        }
    }
    reply
}

fn in_days(days: i64) -> prost_types::Timestamp {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: 0,
    }
}

fn schedule(recipient: &str, answers: &str) -> v1::Draft {
    let mut draft = draft("handover-schedule", recipient, answers);
    if let Some(Body::HandoverSchedule(schedule)) = body_mut(&mut draft) {
        schedule.numbers = vec![1, 2];
        schedule.scheduled_at = Some(in_days(5));
    }
    draft
}

fn record(recipient: &str, answers: &str) -> v1::Draft {
    let mut draft = draft("handover-record", recipient, answers);
    if let Some(Body::HandoverRecord(record)) = body_mut(&mut draft) {
        let first = record.persons[0].clone();
        record.persons = [1, 2]
            .map(|number| v1::HandedOverPerson {
                number,
                receiving_guardian: "Trung tâm bảo trợ trẻ em (MẪU)".to_owned(),
                ..first.clone()
            })
            .to_vec();
        record.is_return = false;
    }
    draft
}

fn countersignature(recipient: &str, answers: &str, body_digest: &[u8]) -> v1::Draft {
    let mut draft = draft("countersignature", recipient, answers);
    if let Some(Body::Countersignature(signature)) = body_mut(&mut draft) {
        signature.body_digest = body_digest.to_vec().into();
        signature.stance = v1::CountersignatureStance::Signed.into();
        signature.disputed.clear();
        signature.reason = None;
        // No text is left.
        signature.common.as_mut().unwrap().languages.clear();
    }
    draft
}

fn agreement(recipient: &str, answers: &str) -> v1::Draft {
    let mut draft = draft("response", recipient, answers);
    if let Some(Body::Response(response)) = body_mut(&mut draft) {
        response.stance = v1::Stance::Agreed.into();
    }
    draft
}

fn closure(recipient: &str, answers: &str) -> v1::Draft {
    let mut draft = draft("closure", recipient, answers);
    if let Some(Body::Closure(closure)) = body_mut(&mut draft) {
        closure.numbers.clear();
    }
    draft
}

/// One node and the way to its desk.
struct Desk<'a> {
    node: &'a mut Node,
    peer: &'static str,
    client: DeskServiceClient<Channel>,
}

impl Desk<'_> {
    /// Sends, and waits until the other side holds it.
    async fn say(&mut self, draft: v1::Draft) -> String {
        let id = draft.id.clone();
        let draft = Some(draft);
        self.client
            .submit(v1::SubmitRequest { draft })
            .await
            .unwrap();
        self.node
            .until(self.peer, "delivered", |link| {
                link.delivered_size == link.own_size
            })
            .await;
        id
    }

    /// Tries to send what is not possible now; gives the node's words.
    async fn cannot(&mut self, draft: v1::Draft) -> String {
        let before = self.own_size().await;
        let draft = Some(draft);
        let answer = self.client.submit(v1::SubmitRequest { draft }).await;
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "IMPOSSIBLE_NOW");
        assert_eq!(self.own_size().await, before, "nothing was recorded");
        status.message().to_owned()
    }

    async fn own_size(&mut self) -> u64 {
        let status = self.client.status(v1::StatusRequest {}).await.unwrap();
        status.into_inner().links[0].own_size
    }

    async fn digest_of(&mut self, id: &str) -> Vec<u8> {
        let request = v1::GetRequest {
            id: id.to_owned(),
            ..v1::GetRequest::default()
        };
        let answer = self.client.get(request).await.unwrap().into_inner();
        answer.message.unwrap().body_digest.to_vec()
    }

    async fn case(&mut self, id: &str) -> v1::GetCaseResponse {
        let request = v1::GetCaseRequest { id: id.to_owned() };
        self.client.get_case(request).await.unwrap().into_inner()
    }

    async fn state(&mut self, id: &str) -> String {
        let case = self.case(id).await.case.unwrap();
        case.matters[0].state.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn persons_are_handed_over_step_by_step_and_nothing_else_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    let (left_desk, right_desk) = (left.desk().await, right.desk().await);
    let mut us = Desk {
        node: &mut left,
        peer: RIGHT,
        client: left_desk,
    };
    let mut them = Desk {
        node: &mut right,
        peer: LEFT,
        client: right_desk,
    };

    let request = us.say(draft("handover-request", RIGHT, "")).await;
    let told = us.cannot(record(RIGHT, &request)).await;
    assert!(told.contains("requested"), "{told}");
    assert!(told.contains("possible now by the other side"), "{told}");
    assert!(told.contains("KIND_HANDOVER_REPLY"), "{told}");
    us.cannot(acceptance(RIGHT, &request)).await;

    let take_note = v1::AcknowledgeRequest {
        id: request.clone(),
        officer: Some(v1::Officer {
            name: "陈示例".to_owned(),
            rank: "二级警督".to_owned(),
            office: "河口（示例）".to_owned(),
            phone: String::new(),
        }),
        ..v1::AcknowledgeRequest::default()
    };
    them.client.acknowledge(take_note).await.unwrap();
    assert_eq!(them.state(&request).await, "acknowledged");
    them.say(acceptance(LEFT, &request)).await;
    assert_eq!(us.state(&request).await, "accepted");

    let proposed = us.say(schedule(RIGHT, &request)).await;
    // Silence is no consent, and nobody agrees with himself.
    us.cannot(agreement(RIGHT, &proposed)).await;
    us.cannot(record(RIGHT, &request)).await;
    let countered = them.say(schedule(LEFT, &proposed)).await;
    assert_eq!(us.state(&request).await, "countered");
    them.cannot(agreement(LEFT, &proposed)).await;
    us.say(agreement(RIGHT, &countered)).await;
    assert_eq!(them.state(&request).await, "scheduled");

    let handed = us.say(record(RIGHT, &request)).await;
    let digest = them.digest_of(&handed).await;
    let mut other = digest.clone();
    other[31] ^= 1;
    let told = them.cannot(countersignature(LEFT, &handed, &other)).await;
    assert!(told.contains("digest"), "{told}");
    us.cannot(closure(RIGHT, &request)).await;
    them.say(countersignature(LEFT, &handed, &digest)).await;
    assert_eq!(us.state(&request).await, "confirmed");
    us.say(closure(RIGHT, &request)).await;

    let (ours, theirs) = (us.case(&request).await, them.case(&handed).await);
    let order = |case: &v1::GetCaseResponse| -> Vec<String> {
        case.messages.iter().map(|m| m.id.clone()).collect()
    };
    assert_eq!(order(&ours), order(&theirs));
    assert!(
        ours.messages
            .iter()
            .all(|m| m.standing() == Standing::Applied)
    );
    for case in [ours.case.unwrap(), theirs.case.unwrap()] {
        assert_eq!(case.thread_id, request);
        assert_eq!(case.matters[0].state, "closed");
        assert!(!case.open && case.matters[0].duties.is_empty());
    }
    let open = v1::ListCasesRequest {
        open_only: true,
        ..v1::ListCasesRequest::default()
    };
    let listed = us.client.list_cases(open).await.unwrap().into_inner();
    assert_eq!(listed.cases, Vec::new());

    // What people see of it.
    let config = us.node.config();
    let shown = succeed(&["--config", &config, "case", "show", &request]);
    assert!(
        shown.contains("closed") && shown.contains("handover record"),
        "{shown}"
    );
    let listed = succeed(&["--config", &config, "case", "list", "--all"]);
    assert!(
        listed.contains(&request) && listed.contains("closed"),
        "{listed}"
    );
    left.stop();
    right.stop();
}

fn snapshot(exchange: &Exchange) -> String {
    let link = link_of(exchange);
    let now = 1_800_000_000_000;
    let snapshot = exchange.with_cases(&link, |cases| cases.snapshot(now).unwrap());
    serde_json::to_string(&snapshot.unwrap()).unwrap()
}

#[tokio::test]
async fn both_sides_find_the_same_whatever_crossed_and_again_after_a_restart() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    let request = draft("handover-request", b.name.as_str(), "");
    let id = request.id.clone();
    submit(&left, request).await.unwrap();
    quiet(&left, &right).await;
    let (end_left, end_right) = running.end().await;
    drop((end_left, end_right));

    // The link is down: one side withdraws, the other accepts, and each may.
    let mut withdrawal = draft("withdrawal", b.name.as_str(), "");
    withdrawal.supersedes.clone_from(&id);
    submit(&left, withdrawal).await.unwrap();
    submit(&right, acceptance(a.name.as_str(), &id))
        .await
        .unwrap();
    assert_ne!(snapshot(&left), snapshot(&right));
    let running = join(&left, &right);
    quiet(&left, &right).await;
    assert_eq!(snapshot(&left), snapshot(&right));
    assert!(!snapshot(&left).contains("breach"), "{}", snapshot(&left));
    drop(running.end().await);

    let before = snapshot(&left);
    drop((left, right));
    assert_eq!(snapshot(&a.open(&b)), before);
    assert_eq!(snapshot(&b.open(&a)), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_exclude_each_other_one_is_recorded() {
    let (a, b) = sides();
    let left = a.open(&b);
    let right = b
        .try_open(&a, a.card_for(&b), RecorderMode::Thread)
        .unwrap();
    let running = join(&left, &right);
    for _ in 0..20 {
        let request = draft("verification-request", b.name.as_str(), "");
        let id = request.id.clone();
        submit(&left, request).await.unwrap();
        quiet(&left, &right).await;
        let answer = || draft("verification-reply", a.name.as_str(), &id);
        let (one, two) = tokio::join!(submit(&right, answer()), submit(&right, answer()));
        let refused = match (one, two) {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            other => panic!("{other:?}"),
        };
        assert!(
            matches!(refused, SubmitError::Impossible { .. }),
            "{refused}"
        );
    }
    drop(running.end().await);
}

/// A message of the peer in answer to another.
fn forged(
    peer: &mut Hostile<'_>,
    me: &Side,
    body: &Body,
    answers: MessageId,
    thread: MessageId,
) -> v1::Item {
    let mut forge = peer.forge();
    forge.header.kind = liaison::model::body::kind_of(body) as i32;
    liaison::model::body::schema_of(body).clone_into(&mut forge.header.schema);
    forge.header.in_reply_to = answers.as_bytes().to_vec().into();
    forge.header.thread_id = thread.as_bytes().to_vec().into();
    forge.body = liaison::model::body::encode(body).to_vec();
    forge.state_body().sign(me)
}

#[tokio::test]
async fn what_the_peer_does_against_the_rules_is_recorded_and_shown_as_a_breach() {
    let (a, b) = sides();
    let node = a.open(&b);
    let mut peer = Hostile::meet(&b, &a, &node).await;
    let request = submit(&node, draft("handover-request", b.name.as_str(), ""))
        .await
        .unwrap();
    peer.hear(1).await;
    // It records a handover that nobody agreed to, and says a program accepted another.
    let mut handed = record(a.name.as_str(), &request.id.to_string());
    let mut accepted = acceptance(a.name.as_str(), &request.id.to_string());
    if let Some(Body::HandoverReply(reply)) = body_mut(&mut accepted) {
        reply.decided_by = None;
    }
    let items = [&mut handed, &mut accepted].map(|draft| {
        let body = body_mut(draft).unwrap().clone();
        forged(&mut peer, &b, &body, request.id, request.id)
    });
    peer.push(items.to_vec()).await;

    let link = link_of(&node);
    let messages: Vec<v1::Message> = node
        .list(&v1::ListRequest::default(), |_| true)
        .unwrap()
        .messages;
    let from_peer: Vec<&v1::Message> = messages.iter().filter(|m| m.side() == Of::Peer).collect();
    assert_eq!(from_peer.len(), 2, "they are on record");
    for message in from_peer {
        let id = MessageId::parse(&message.id).unwrap();
        let (_, place) = node.find(id).unwrap().unwrap();
        let detail = liaison::exchange::view::Detail::Full;
        let shown = node.message(&link, place, detail).unwrap();
        assert_eq!(shown.standing(), Standing::Breach, "{shown:?}");
        assert!(!shown.standing_reason.is_empty());
    }
    let state = node
        .with_cases(&link, |cases| {
            cases.folded(request.id).unwrap().unwrap().matters[0].state()
        })
        .unwrap();
    assert_eq!(state, "requested", "neither had an effect");
    let header = v1::Header::decode(
        v1::Entry::decode(peer.heard[0].entry.clone())
            .unwrap()
            .payload,
    )
    .unwrap();
    assert_eq!(header.seen_size, 0);
}
