//! Submitting and acknowledging, with every retry.

use tonic::Code;

use super::*;
use crate::sides::{join, link_of, quiet};

#[tokio::test]
async fn a_retry_with_the_same_id_and_content_gives_the_first_answer() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let draft = v1::Draft {
        id: id_of(1),
        ..counter.letter(1)
    };
    let first = desk.submit(submission(draft.clone())).await.unwrap();
    let first = first.into_inner();
    assert_eq!((first.id.as_str(), first.index), (draft.id.as_str(), 0));
    assert_eq!(first.origin, "laocai.bg.vn.example/hekou.ni.cn.example");
    assert!(!first.already_recorded);

    let again = desk.submit(submission(draft.clone())).await.unwrap();
    let again = again.into_inner();
    assert!(again.already_recorded);
    assert_eq!(
        (again.id, again.index, again.origin),
        (first.id, first.index, first.origin)
    );

    let other = v1::Draft {
        id: draft.id,
        ..counter.letter(2)
    };
    let answer = desk.submit(submission(other)).await;
    let status = assert_refused(answer, Code::AlreadyExists, "ID_USED");
    assert_eq!(violations(&status)[0].0, "id");
    assert_eq!(counter.own_size(), 1);
}

#[tokio::test]
async fn many_retries_at_once_make_one_record() {
    let counter = Counter::open().await;
    let draft = v1::Draft {
        id: id_of(1),
        ..counter.letter(1)
    };
    let mut calls = Vec::new();
    for _ in 0..16 {
        let (mut desk, draft) = (counter.operator().await, draft.clone());
        calls.push(tokio::spawn(async move {
            desk.submit(submission(draft)).await.unwrap().into_inner()
        }));
    }
    let mut first = 0;
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!(answer.index, 0);
        first += usize::from(!answer.already_recorded);
    }
    assert_eq!((first, counter.own_size()), (1, 1));
}

#[tokio::test]
async fn without_an_id_the_node_makes_one() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let first = desk.submit(submission(counter.letter(1))).await.unwrap();
    let second = desk.submit(submission(counter.letter(1))).await.unwrap();
    assert_ne!(first.into_inner().id, second.into_inner().id);
    assert_eq!(counter.own_size(), 2);
}

/// The peer's letter, mirrored here, and a client of this side.
async fn with_a_letter_of_the_peer(counter: &Counter) -> (String, Arc<Exchange>, Caller) {
    let theirs = counter.peer.open(&counter.side);
    let running = join(&counter.exchange, &theirs);
    let letter = crate::sides::letter(&counter.side, 1);
    let recorded = crate::sides::submit(&theirs, letter).await.unwrap();
    quiet(&counter.exchange, &theirs).await;
    drop(running.end().await);
    (recorded.id.to_string(), theirs, counter.operator().await)
}

#[tokio::test]
async fn of_what_programs_send_only_a_letter_answers_the_peer() {
    let counter = Counter::open().await;
    let (id, ..) = with_a_letter_of_the_peer(&counter).await;
    let mut registry = counter.caller("integration/registry").await;
    let mut request = counter.sample("handover-request");
    let Some(v1::body::Body::HandoverRequest(content)) =
        request.body.as_mut().and_then(|body| body.body.as_mut())
    else {
        panic!("the sample is a handover request");
    };
    content.common.as_mut().unwrap().attachments.clear();
    content.persons.truncate(1);
    content.persons[0].photo_sha256.clear();
    content.common.as_mut().unwrap().not_applicable =
        ["earlierNames", "careNeeds", "medicalNeeds", "photoSha256"]
            .map(|field| format!("persons[0].{field}"))
            .to_vec();
    request.in_reply_to.clone_from(&id);
    let answer = registry.submit(submission(request.clone())).await;
    assert_field(answer, "inReplyTo");
    // It opens a matter of its own, which it may.
    request.in_reply_to.clear();
    registry.submit(submission(request)).await.unwrap();
    let letter = v1::Draft {
        in_reply_to: id,
        ..counter.letter(1)
    };
    registry.submit(submission(letter)).await.unwrap();
    assert_eq!(counter.own_size(), 2);
}

fn officer() -> v1::Officer {
    v1::Officer {
        name: "Trần Thị Mẫu".to_owned(),
        rank: "Thượng úy".to_owned(),
        office: "Trực ban mẫu".to_owned(),
        phone: String::new(),
    }
}

#[tokio::test]
async fn an_acknowledgement_is_recorded_once_however_often_it_is_sent() {
    let counter = Counter::open().await;
    let (id, theirs, mut desk) = with_a_letter_of_the_peer(&counter).await;
    let request = v1::AcknowledgeRequest {
        id: id.clone(),
        officer: Some(officer()),
        remark: Some(v1::LocalizedText {
            texts: [("vi".to_owned(), "Đã nhận.".to_owned())].into(),
        }),
        acknowledgement_id: id_of(5),
    };
    let first = desk
        .acknowledge(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((first.id, first.index), (id_of(5), 0));
    // Later, because the answer was lost.
    counter.side.clock.advance(90_000);
    let again = desk
        .acknowledge(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((again.id, again.index), (id_of(5), 0));
    // The same id with another remark is another acknowledgement.
    let other = v1::AcknowledgeRequest {
        remark: None,
        ..request
    };
    assert_refused(
        desk.acknowledge(other).await,
        Code::AlreadyExists,
        "ID_USED",
    );
    assert_eq!(counter.own_size(), 1);

    let message = desk.get(get(&id)).await.unwrap().into_inner().message;
    let message = message.unwrap();
    assert_eq!(message.level(), v1::Level::Acknowledged);
    assert_eq!(message.answers, [id_of(5)]);
    let running = join(&counter.exchange, &theirs);
    quiet(&counter.exchange, &theirs).await;
    drop(running.end().await);
    let page = theirs.list(&v1::ListRequest::default(), |_| true).unwrap();
    let own = page.messages.iter().find(|message| message.id == id);
    assert_eq!(own.unwrap().level(), v1::Level::Acknowledged);
    let told = page.messages.iter().find(|m| m.id == id_of(5)).unwrap();
    assert_eq!(
        (told.in_reply_to.as_str(), told.kind()),
        (&*id, v1::Kind::Acknowledgement)
    );
}

#[tokio::test]
async fn only_a_message_of_the_peer_is_acknowledged_and_only_by_a_person() {
    let counter = Counter::open().await;
    let (id, _, mut desk) = with_a_letter_of_the_peer(&counter).await;
    let own = desk.submit(submission(counter.letter(1))).await.unwrap();
    let own = own.into_inner().id;
    let request = |id: &str, officer| v1::AcknowledgeRequest {
        id: id.to_owned(),
        officer,
        ..v1::AcknowledgeRequest::default()
    };
    let answer = desk.acknowledge(request(&own, Some(officer()))).await;
    assert_field(answer, "id");
    let answer = desk.acknowledge(request(&id_of(99), Some(officer()))).await;
    assert_refused(answer, Code::NotFound, "NO_SUCH_MESSAGE");
    let answer = desk.acknowledge(request("17", Some(officer()))).await;
    assert_field(answer, "id");
    let answer = desk.acknowledge(request(&id, None)).await;
    let status = assert_field(answer, "officer");
    assert_eq!(
        violations(&status).len(),
        1,
        "once, though it stands in two places of the body"
    );
    let nameless = v1::Officer {
        office: String::new(),
        ..officer()
    };
    let answer = desk.acknowledge(request(&id, Some(nameless))).await;
    assert_field(answer, "officer.office");
    assert_eq!(counter.own_size(), 1);
}

#[tokio::test]
async fn an_id_used_on_one_link_is_used_on_all() {
    use liaison::exchange::clock::Entropy;
    use liaison::exchange::{Foundations, LinkTerms, RecorderMode};
    use liaison::store::Marks;

    let (side, peer) = sides();
    let third = Side::new("malipo.ni.cn.example", 3);
    let foundations = Foundations {
        node: side.name.clone(),
        keys: side.keys(),
        store: Arc::new(side.store.clone()),
        blobs: side.blobs(side.dir.path()),
        marks: Marks::open(side.dir.path()).unwrap(),
        clock: side.clock.clone(),
        entropy: Entropy::seeded(1),
    };
    let terms = [&peer, &third].map(|peer| LinkTerms {
        peer: peer.name.clone(),
        keys: peer.card_for(&side),
        own_start: side.card_for(peer).start(),
        classification_max: v1::Classification::Confidential,
    });
    let exchange = Exchange::open(foundations, terms.into(), RecorderMode::Inline).unwrap();
    let counter = Counter::before(side, peer, exchange).await;
    let mut desk = counter.operator().await;
    let draft = v1::Draft {
        id: id_of(1),
        ..counter.letter(1)
    };
    desk.submit(submission(draft.clone())).await.unwrap();
    let elsewhere = v1::Draft {
        recipient: third.name.to_string(),
        ..draft
    };
    let answer = desk.submit(submission(elsewhere)).await;
    assert_refused(answer, Code::AlreadyExists, "ID_USED");
    let sizes = counter.exchange.links().map(|link| link.head().own_size);
    assert_eq!(sizes.sum::<u64>(), 1);
    drop(link_of(&counter.exchange));
}
