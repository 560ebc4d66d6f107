//! What is said lies nowhere in the clear: every field of text of every kind gets a marker of its own,
//! two real nodes carry it all, and then each byte that they left is searched.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod facts;
mod fill;
mod header;
mod process;
mod search;

use std::fs;
use std::path::{Path, PathBuf};

use liaison::model::sample;
use liaison::proto::v1::body::Body;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use liaison::proto::v1::upload_attachment_request::Part;
use liaison::proto::v1::{self, HandoverOutcome};
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;

use self::fill::Markers;
use self::search::Needles;
use crate::nodes::{LEFT, Node, RIGHT, new_id, pair, succeed};

fn body_mut(draft: &mut v1::Draft) -> &mut Body {
    draft.body.as_mut().unwrap().body.as_mut().unwrap()
}

fn in_days(days: i64) -> prost_types::Timestamp {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: 0,
    }
}

/// A sample to a node, in answer to a message, without the files that it names.
fn draft(name: &str, recipient: &str, answers: &str) -> v1::Draft {
    let mut draft = sample::find(name).unwrap().draft().unwrap();
    draft.id = new_id();
    recipient.clone_into(&mut draft.recipient);
    draft.thread_id.clear();
    draft.supersedes.clear();
    answers.clone_into(&mut draft.in_reply_to);
    let body = body_mut(&mut draft);
    let common = liaison::model::body::common_mut(body).unwrap();
    common.attachments.clear();
    match body {
        Body::HandoverRequest(request) => {
            request
                .persons
                .iter_mut()
                .for_each(|person| person.photo_sha256.clear());
        }
        Body::HandoverSupplement(supplement) => {
            supplement
                .persons
                .iter_mut()
                .for_each(|person| person.photo_sha256.clear());
        }
        Body::VerificationRequest(request) => {
            request
                .persons
                .iter_mut()
                .for_each(|person| person.photo_sha256.clear());
        }
        Body::HazardNotice(hazard) => hazard.cap_sha256.clear(),
        Body::HandoverReply(reply) => {
            for decision in &mut reply.decisions {
                if decision.outcome() == HandoverOutcome::Accepted {
                    decision.valid_until = Some(in_days(30));
                }
            }
        }
        Body::HandoverSchedule(schedule) => schedule.scheduled_at = Some(in_days(5)),
        _ => {}
    }
    draft
}

/// One node, the way to its desk, and what was said there.
struct Speaker<'a> {
    node: &'a mut Node,
    peer: &'static str,
    client: DeskServiceClient<Channel>,
    markers: &'a std::cell::RefCell<Markers>,
}

impl Speaker<'_> {
    /// Fills a draft, sends it and waits until the other side holds it.
    async fn say(&mut self, draft: v1::Draft) -> String {
        let draft = self.markers.borrow_mut().fill(&draft);
        self.say_as_is(draft).await
    }

    async fn say_as_is(&mut self, draft: v1::Draft) -> String {
        let id = draft.id.clone();
        let kind =
            liaison::model::body::kind_of(draft.body.as_ref().unwrap().body.as_ref().unwrap());
        let draft = Some(draft);
        let answer = self.client.submit(v1::SubmitRequest { draft }).await;
        answer.unwrap_or_else(|status| panic!("{kind:?}: {}", status.message()));
        self.node.delivered(self.peer).await;
        id
    }

    /// The sample of a kind, filled.
    async fn tell(&mut self, name: &str, answers: &str) -> String {
        self.say(draft(name, self.peer, answers)).await
    }

    async fn digest_of(&mut self, id: &str) -> Vec<u8> {
        let request = v1::GetRequest {
            id: id.to_owned(),
            ..v1::GetRequest::default()
        };
        let answer = self.client.get(request).await.unwrap().into_inner();
        answer.message.unwrap().body_digest.to_vec()
    }

    /// Uploads a file.
    async fn upload(&mut self, content: &[u8]) -> [u8; 32] {
        let parts = tokio_stream::iter(parts(content));
        self.client.upload_attachment(parts).await.unwrap();
        Sha256::digest(content).into()
    }

    /// Uploads the first half of a file, and lets the line stand as long as what is returned.
    async fn upload_half(&mut self, content: &[u8]) -> Line {
        let mut parts = parts(content);
        parts.truncate(parts.len() / 2 + 1);
        let sent: u64 = 200_000 * (parts.len() as u64 - 1);
        let (line, stream) = tokio::sync::mpsc::channel(parts.len());
        for part in parts {
            line.send(part).await.unwrap();
        }
        let mut client = self.client.clone();
        let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
        tokio::spawn(async move { client.upload_attachment(stream).await.is_ok() });
        let name = hex::encode(Sha256::digest(content));
        loop {
            let files = search::files(&self.node.dir);
            let mut partial = files.iter().filter(|path| {
                let path = path.to_str().unwrap();
                path.contains("/partial/") && path.contains(&name)
            });
            let lies = |path: &PathBuf| fs::metadata(path).is_ok_and(|meta| meta.len() >= sent / 2);
            if partial.any(lies) {
                return Line { _open: line };
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// An upload that goes on for as long as this is there.
struct Line {
    _open: tokio::sync::mpsc::Sender<v1::UploadAttachmentRequest>,
}

/// A file as it is uploaded.
fn parts(content: &[u8]) -> Vec<v1::UploadAttachmentRequest> {
    let part = |part| v1::UploadAttachmentRequest { part: Some(part) };
    let start = v1::UploadStart {
        sha256: Sha256::digest(content).to_vec().into(),
        size: content.len() as u64,
    };
    let mut parts = vec![part(Part::Start(start))];
    let chunks = content.chunks(200_000);
    parts.extend(chunks.map(|chunk| part(Part::Chunk(chunk.to_vec().into()))));
    parts
}

/// Content with a marker at its beginning, in its middle and at its end.
fn content(markers: &mut Markers, name: &str, bytes: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for part in ["begin", "middle", "end"] {
        content.extend(markers.new_one(&format!("{name} {part}")).as_bytes());
        if part != "end" {
            content.extend((0..bytes / 2).map(|at| u8::try_from(at % 251).unwrap()));
        }
    }
    content
}

fn set(node: &Node, from: &str, to: &str) {
    let path = PathBuf::from(node.config());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Carries every kind both ways between two nodes, and gives the directory of all that is left.
async fn carried(dir: &Path, is_sealed: bool) -> Markers {
    let (mut left, mut right) = pair(dir);
    let temp = dir.join("temp");
    fs::create_dir(&temp).unwrap();
    for node in [&left, &right] {
        set(node, "#level = \"info\"", "level = \"trace\"");
        if !is_sealed {
            set(node, "#encrypt = true", "encrypt = false");
        }
    }
    let variable = format!("TMPDIR={}", temp.display());
    for node in [&mut left, &mut right] {
        node.start_under("env", &[&variable]);
    }
    let markers = std::cell::RefCell::new(Markers::default());
    let (left_desk, right_desk) = (left.desk().await, right.desk().await);
    let mut us = Speaker {
        node: &mut left,
        peer: RIGHT,
        client: left_desk,
        markers: &markers,
    };
    let mut them = Speaker {
        node: &mut right,
        peer: LEFT,
        client: right_desk,
        markers: &markers,
    };

    let alert = us.tell("crossing-alert-sensor", "").await;
    them.tell("acknowledgement", &alert).await;
    them.tell("closure", &alert).await;
    them.tell("crossing-alert-patrol", "").await;
    us.tell("case-notice", "").await;

    let asked = them.tell("verification-request", "").await;
    us.tell("deadline-extension", &asked).await;
    us.tell("verification-reply", &asked).await;

    let request = us.tell("handover-request", "").await;
    them.tell("handover-reply", &request).await;
    let mut accepted = draft("handover-reply", LEFT, &request);
    if let Body::HandoverReply(reply) = body_mut(&mut accepted) {
        for decision in &mut reply.decisions {
            decision.outcome = HandoverOutcome::Accepted.into();
            decision.reason = None;
            decision.valid_until = Some(in_days(30));
        }
    }
    them.say_as_is(accepted).await;
    us.tell("handover-supplement", &request).await;
    us.tell("protection-decision", &request).await;
    let mut schedule = draft("handover-schedule", RIGHT, &request);
    if let Body::HandoverSchedule(schedule) = body_mut(&mut schedule) {
        schedule.numbers = vec![2];
    }
    let scheduled = us.say(schedule).await;
    let mut agreed = draft("response", LEFT, &scheduled);
    if let Body::Response(response) = body_mut(&mut agreed) {
        response.stance = v1::Stance::Agreed.into();
    }
    them.say(agreed).await;
    let mut record = draft("handover-record", RIGHT, &request);
    if let Body::HandoverRecord(record) = body_mut(&mut record) {
        record.persons.truncate(1);
        record.persons[0].number = 2;
        record.is_return = false;
    }
    let handed = us.say(record).await;
    let digest = them.digest_of(&handed).await;
    let mut signature = draft("countersignature", LEFT, &handed);
    if let Body::Countersignature(signature) = body_mut(&mut signature) {
        signature.body_digest = digest.into();
        for disputed in &mut signature.disputed {
            disputed.number = 2;
        }
    }
    them.say(signature).await;

    let letter = us.tell("official-letter", "").await;
    let mut withdrawal = draft("withdrawal", RIGHT, "");
    withdrawal.supersedes = letter;
    us.say(withdrawal).await;
    let minutes = us.tell("meeting-minutes", "").await;
    let mut refused = draft("countersignature", LEFT, &minutes);
    let digest = them.digest_of(&minutes).await;
    if let Body::Countersignature(signature) = body_mut(&mut refused) {
        signature.body_digest = digest.into();
        signature.disputed.clear();
        signature.stance = v1::CountersignatureStance::NotSigned.into();
    }
    them.say(refused).await;
    for name in [
        "hotline-call",
        "meeting-proposal",
        "gate-notice",
        "works-notice",
        "marker-report",
        "hazard-notice",
        "activity-report",
        "exercise-notice",
        "calendar",
        "roster",
    ] {
        us.tell(name, "").await;
    }
    let plan = them.tell("patrol-plan", "").await;
    let mut agreed = draft("response", RIGHT, &plan);
    if let Body::Response(response) = body_mut(&mut agreed) {
        response.stance = v1::Stance::Agreed.into();
    }
    us.say(agreed).await;
    them.tell("patrol-report", &plan).await;

    // Files, small and in many segments; and one of which half is there when the node ends.
    for bytes in [3_000, 700_000] {
        let content = content(&mut markers.borrow_mut(), "a file", bytes);
        let sha256 = us.upload(&content).await;
        let mut with_file = draft("official-letter", RIGHT, "");
        let common = liaison::model::body::common_mut(body_mut(&mut with_file)).unwrap();
        common.attachments = vec![v1::Attachment {
            name: "a.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            size: content.len() as u64,
            sha256: sha256.to_vec().into(),
            description: Some(v1::LocalizedText::default()),
        }];
        us.say(with_file).await;
        let has_come = |link: &v1::LinkStatus| {
            link.attachments_incoming == 0 && link.attachments_outgoing == 0
        };
        them.node.until(LEFT, "has the file", has_come).await;
        us.node.until(RIGHT, "has it confirmed", has_come).await;
    }
    let unnamed = content(&mut markers.borrow_mut(), "a file nobody names", 300_000);
    us.upload(&unnamed).await;
    let half = content(&mut markers.borrow_mut(), "half a file", 800_000);
    let line = us.upload_half(&half).await;

    // A letter as long as a body may be: it lies in a file.
    let mut long = markers
        .borrow_mut()
        .fill(&draft("official-letter", RIGHT, ""));
    if let Body::OfficialLetter(letter) = body_mut(&mut long) {
        let text = letter.text.as_mut().unwrap();
        for said in text.texts.values_mut() {
            *said = format!("{said} ").repeat(600);
        }
    }
    us.say_as_is(long).await;

    // What is refused is quoted to whoever sent it, and to nobody else.
    let mut wrong = draft("gate-notice", RIGHT, "");
    if let Body::GateNotice(gate) = body_mut(&mut wrong) {
        gate.gate = markers.borrow_mut().new_one("a gate that is none");
    }
    let refused = us
        .client
        .submit(v1::SubmitRequest { draft: Some(wrong) })
        .await;
    assert!(refused.is_err());

    let forgotten = markers.borrow().forgotten();
    assert_eq!(forgotten, Vec::<String>::new(), "fields without a marker");

    for (node, name) in [(&*us.node, "left"), (&*them.node, "right")] {
        let config = node.config();
        let backup = dir.join(format!("backup-{name}"));
        succeed(&["--config", &config, "backup", backup.to_str().unwrap()]);
        for (file, args) in [
            ("status.txt", &["status"][..]),
            ("status.json", &["status", "--json"]),
            ("due.txt", &["due"]),
        ] {
            let told = succeed(&[&["--config", &config], args].concat());
            fs::write(dir.join(format!("{name}-{file}")), told).unwrap();
        }
    }
    drop((us, them));
    // One ends as it should, one as it should not, in the middle of an upload.
    left.kill();
    right.stop();
    drop(line);
    markers.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_said_lies_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let markers = Box::pin(carried(dir.path(), true)).await;
    assert!(markers.needles.len() > 300, "{}", markers.needles.len());
    let needles = Needles::new(&markers.needles);
    let hits = needles.found_below(dir.path());
    assert!(hits.is_empty(), "{hits:#?}");
}

/// The same without sealing: what the search looks at is where content would be.
#[tokio::test(flavor = "multi_thread")]
async fn without_sealing_the_search_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let markers = Box::pin(carried(dir.path(), false)).await;
    let needles = Needles::new(&markers.needles);
    let hits = needles.found_below(dir.path());
    let found = |part: &str| {
        let path = |path: &PathBuf| path.to_str().unwrap().contains(part);
        hits.iter().any(|(hit, _)| path(hit))
    };
    for part in [
        "/sled/",
        "/blobs/",
        "/uploads/",
        "/partial/",
        "backup-left/",
    ] {
        assert!(found(part), "nothing in {part}: {hits:#?}");
    }
    let missed: Vec<&String> = markers
        .needles
        .keys()
        .filter(|place| {
            let of = format!("{place} as ");
            !hits
                .iter()
                .any(|(_, what)| what.iter().any(|what| what.starts_with(&of)))
        })
        // What was refused, and what was never sent.
        .filter(|place| !place.starts_with("a gate that is none"))
        .filter(|place| !place.starts_with("half a file end"))
        .collect();
    assert_eq!(missed, Vec::<&String>::new(), "it is nowhere");
}

#[test]
fn every_sample_takes_markers() {
    let mut markers = Markers::default();
    let faults: Vec<String> = sample::SAMPLES
        .iter()
        .filter_map(|sample| {
            let mut draft = draft(sample.name, RIGHT, &new_id());
            if let Body::Countersignature(signature) = body_mut(&mut draft) {
                // Of one that is not signed it says why: another form.
                signature.stance = v1::CountersignatureStance::NotSigned.into();
            }
            if sample.name == "withdrawal" {
                draft.in_reply_to.clear();
                draft.supersedes = new_id();
            }
            let filled = markers.try_fill(&draft);
            filled
                .err()
                .map(|fault| format!("{}: {fault}", sample.name))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let forgotten = markers.forgotten();
    let files = [
        "Attachment.name",
        "Attachment.media_type",
        "Attachment.description",
    ];
    let forgotten: Vec<_> = forgotten
        .iter()
        .filter(|f| !files.contains(&f.as_str()))
        .collect();
    assert_eq!(forgotten, Vec::<&String>::new());
}
