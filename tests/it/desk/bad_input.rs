//! What own people and programs may get wrong: refused before anything is recorded, with field,
//! reason and remedy.

use liaison::limits::{BODY_BYTES_MAX, DESK_MESSAGE_BYTES_MAX, LINE_BYTES_MAX};
use liaison::proto::v1::body::Body;

use super::*;

fn letter_of(draft: &mut v1::Draft) -> &mut v1::OfficialLetter {
    let content = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let Body::OfficialLetter(letter) = content else {
        panic!("no letter");
    };
    letter
}

fn text(text: String) -> v1::LocalizedText {
    v1::LocalizedText {
        texts: [("vi".to_owned(), text)].into(),
    }
}

fn attachment(name: &str) -> v1::Attachment {
    v1::Attachment {
        name: name.to_owned(),
        media_type: "application/pdf".to_owned(),
        size: 3,
        sha256: vec![7; 32].into(),
        ..v1::Attachment::default()
    }
}

type Spoil = fn(&mut v1::Draft);

#[tokio::test]
async fn each_fault_of_a_draft_is_named_and_nothing_is_recorded() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let cases: [(&str, Spoil); 18] = [
        // missing
        ("recipient", |d| d.recipient.clear()),
        ("body", |d| d.body = None),
        ("body.officialLetter.letterNumber", |d| {
            letter_of(d).letter_number.clear();
        }),
        ("body.officialLetter.common", |d| letter_of(d).common = None),
        // over-long
        ("body.officialLetter.letterNumber", |d| {
            letter_of(d).letter_number = "x".repeat(LINE_BYTES_MAX + 1);
        }),
        ("body.officialLetter", |d| {
            letter_of(d).text = Some(text("x".repeat(BODY_BYTES_MAX)));
        }),
        // control and bidi characters
        ("body.officialLetter.letterNumber", |d| {
            letter_of(d).letter_number = "1\u{1b}[2J".to_owned();
        }),
        ("body.officialLetter.subject.texts[\"vi\"]", |d| {
            letter_of(d).subject = Some(text("fdp.\u{202E}exe".to_owned()));
        }),
        // attachments
        ("body.officialLetter.common.attachments[0].name", |d| {
            let common = letter_of(d).common.as_mut().unwrap();
            common.attachments = vec![attachment("../../etc/passwd")];
        }),
        ("body.officialLetter.common.attachments[0].name", |d| {
            let common = letter_of(d).common.as_mut().unwrap();
            common.attachments = vec![attachment("C:\\mẫu.pdf")];
        }),
        ("body.officialLetter.common.attachments[0].size", |d| {
            let common = letter_of(d).common.as_mut().unwrap();
            common.attachments = vec![attachment("mẫu.pdf")];
            common.attachments[0].size = liaison::limits::ATTACHMENT_BYTES_MAX + 1;
        }),
        ("body.common.attachments[0].sha256", |d| {
            // Well-formed, but nobody has uploaded it.
            let common = letter_of(d).common.as_mut().unwrap();
            common.attachments = vec![attachment("mẫu.pdf")];
        }),
        // ids and names
        ("recipient", |d| {
            d.recipient = "nowhere.ni.cn.example".to_owned();
        }),
        ("recipient", |d| d.recipient = "no name".to_owned()),
        ("id", |d| d.id = "17".to_owned()),
        ("inReplyTo", |d| d.in_reply_to = id_of(99)),
        ("supersedes", |d| d.supersedes = id_of(99)),
        // what only a node says
        ("body.refusal", |d| {
            d.body = Some(v1::Body {
                body: Some(Body::Refusal(v1::Refusal::default())),
            });
        }),
    ];
    for (field, spoil) in cases {
        let mut draft = counter.letter(1);
        spoil(&mut draft);
        assert_field(desk.submit(submission(draft)).await, field);
        assert_eq!(counter.own_size(), 0, "{field}");
    }
    // And as it was, it is taken.
    desk.submit(submission(counter.letter(1))).await.unwrap();
    assert_eq!(counter.own_size(), 1);
}

#[tokio::test]
async fn a_wrong_check_digit_is_named_to_the_line() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let mut draft = counter.sample("handover-request");
    let content = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let Body::HandoverRequest(request) = content else {
        panic!("no request");
    };
    let mrz = &mut request.persons[0].document.as_mut().unwrap().mrz;
    let line = mrz[1].clone();
    mrz[1] = line[..9].to_owned() + "9" + &line[10..];
    assert_ne!(mrz[1], line);
    let answer = desk.submit(submission(draft)).await;
    assert_field(answer, "body.handoverRequest.persons[0].document.mrz[1]");
    assert_eq!(counter.own_size(), 0);
}

#[tokio::test]
async fn several_faults_come_back_at_once() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let mut draft = counter.letter(1);
    letter_of(&mut draft).letter_number.clear();
    letter_of(&mut draft).signatory = None;
    draft.supersedes = "17".to_owned();
    let status = assert_field(desk.submit(submission(draft)).await, "supersedes");
    assert!(violations(&status).len() >= 3, "{:?}", violations(&status));
    let nothing = desk.submit(v1::SubmitRequest { draft: None }).await;
    assert_field(nothing, "body");
    assert_eq!(counter.own_size(), 0);
}

#[tokio::test]
async fn what_is_no_protobuf_or_too_large_is_refused_at_the_door() {
    let counter = Counter::open().await;
    let path =
        tonic::codegen::http::uri::PathAndQuery::from_static("/liaison.v1.DeskService/Submit");
    let mut raw = tonic::client::Grpc::new(counter.channel().await);
    raw.ready().await.unwrap();
    // A field 1 of the right kind whose content is no draft.
    let garbage = v1::UploadStart {
        sha256: vec![0xff; 32].into(),
        size: 0,
    };
    let codec: tonic_prost::ProstCodec<v1::UploadStart, v1::SubmitResponse> =
        tonic_prost::ProstCodec::default();
    let answer = raw.unary(Request::new(garbage), path.clone(), codec).await;
    let status = answer.unwrap_err();
    assert!(
        matches!(status.code(), Code::Internal | Code::InvalidArgument),
        "{status:?}"
    );

    let mut desk = counter.operator().await;
    let mut draft = counter.letter(1);
    letter_of(&mut draft).letter_number = "x".repeat(DESK_MESSAGE_BYTES_MAX);
    let status = desk.submit(submission(draft)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    assert_eq!(counter.own_size(), 0);
    desk.submit(submission(counter.letter(1))).await.unwrap();
}
