//! Role, action and handling code: the tables of `docs/handling.md` against a running desk; ceilings,
//! sending on, and what an export leaves out.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use liaison::audit::format::Manifest;
use liaison::audit::verify::verify_export;
use liaison::exchange::Author;
use liaison::exchange::clock::Entropy;
use liaison::exchange::erase::ErasureOrder;
use liaison::exchange::{Foundations, LinkTerms, RecorderMode};
use liaison::journal::{Act, Query};
use liaison::limits::OVERRIDE_REASON_BYTES_MAX;
use liaison::model::handling::{Permit, Use, permits};
use liaison::proto::v1::backup_response::Piece;
use liaison::proto::v1::backup_service_client::BackupServiceClient;
use liaison::proto::v1::body::Body;
use liaison::proto::v1::erasure_service_client::ErasureServiceClient;
use liaison::proto::v1::handling_service_client::HandlingServiceClient;
use liaison::proto::v1::upload_attachment_request::Part;
use liaison::proto::v1::{Classification, HandlingCode, Purpose};
use liaison::store::Marks;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::sides::{Running, join, quiet};

const CODES: [HandlingCode; 5] = [
    HandlingCode::Unspecified,
    HandlingCode::H0,
    HandlingCode::H1,
    HandlingCode::H2,
    HandlingCode::H3,
];
const ACTIONS: [&str; 9] = [
    "read",
    "list",
    "search",
    "print",
    "export",
    "forward",
    "download",
    "acknowledge",
    "erase",
];
const FILE: &[u8] = b"%PDF-1.4 sample";
const MARKER: &str = "CHỈ-TRONG-THÂN";
const REASON: &str = "permission of the other side, letter 31/2026";

/// A desk before two links, one of which is up.
struct Two {
    counter: Counter,
    third: Side,
    theirs: Arc<Exchange>,
    running: Option<Running>,
}

impl Two {
    /// With these ceilings towards the peer and towards the third.
    async fn open(ceilings: [Classification; 2]) -> Self {
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
        let terms = [(&peer, ceilings[0]), (&third, ceilings[1])];
        let terms = terms.map(|(peer, classification_max)| LinkTerms {
            peer: peer.name.clone(),
            keys: peer.card_for(&side),
            own_start: side.card_for(peer).start(),
            classification_max,
        });
        let exchange = Exchange::open(foundations, terms.into(), RecorderMode::Inline).unwrap();
        let theirs = peer.open(&side);
        let counter = Counter::before(side, peer, exchange).await;
        let running = join(&counter.exchange, &theirs);
        Self {
            counter,
            third,
            theirs,
            running: Some(running),
        }
    }

    async fn quiet(&self) {
        quiet(&self.counter.exchange, &self.theirs).await;
    }

    async fn handling(
        &self,
        role: &'static str,
    ) -> HandlingServiceClient<InterceptedService<Channel, As>> {
        HandlingServiceClient::with_interceptor(self.counter.channel().await, As(role))
    }

    /// A forward to the third side.
    fn forward(&self, id: &str) -> v1::ForwardRequest {
        v1::ForwardRequest {
            message_id: id.to_owned(),
            recipient: self.third.name.to_string(),
            ..v1::ForwardRequest::default()
        }
    }

    async fn submit(&self, role: &'static str, draft: v1::Draft) -> String {
        let mut desk = self.counter.caller(role).await;
        desk.submit(submission(draft))
            .await
            .unwrap()
            .into_inner()
            .id
    }

    /// Says something on the peer's side, and waits until it is here.
    async fn said_by_peer(&self, draft: v1::Draft) -> String {
        let recorded = crate::sides::submit(&self.theirs, draft).await.unwrap();
        self.quiet().await;
        recorded.id.to_string()
    }

    fn third_size(&self) -> u64 {
        let link = self.counter.exchange.link(self.third.name.as_str());
        link.unwrap().head().own_size
    }

    async fn end(mut self) {
        drop(self.running.take().unwrap().end().await);
    }
}

fn handled(mut draft: v1::Draft, classification: Classification, code: HandlingCode) -> v1::Draft {
    draft.handling = Some(v1::Handling {
        classification: classification.into(),
        code: code.into(),
    });
    draft
}

fn with_file(mut draft: v1::Draft) -> v1::Draft {
    let Some(Body::OfficialLetter(letter)) = &mut draft.body.as_mut().unwrap().body else {
        panic!("no letter");
    };
    letter.common.as_mut().unwrap().attachments = vec![v1::Attachment {
        name: "mẫu.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size: FILE.len() as u64,
        sha256: Sha256::digest(FILE).to_vec().into(),
        description: None,
    }];
    let text = letter.text.as_mut().unwrap();
    text.texts.insert("vi".to_owned(), MARKER.to_owned());
    draft
}

async fn upload(desk: &mut Caller) {
    upload_file(desk, FILE).await;
}

async fn upload_file(desk: &mut Caller, file: &[u8]) {
    let start = v1::UploadStart {
        sha256: Sha256::digest(file).to_vec().into(),
        size: file.len() as u64,
    };
    let parts = [Part::Start(start), Part::Chunk(file.to_vec().into())];
    let parts = parts.map(|part| v1::UploadAttachmentRequest { part: Some(part) });
    desk.upload_attachment(tokio_stream::iter(parts))
        .await
        .unwrap();
}

/// What came of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    Whole,
    Outline,
    NeedsReason,
    Denied,
}

fn got<T>(answer: Result<T, Status>, of: impl FnOnce(T) -> Got) -> Got {
    let status = match answer {
        Ok(answer) => return of(answer),
        Err(status) => status,
    };
    let info = status.get_details_error_info().unwrap();
    match info.reason.as_str() {
        "HANDLING_RESTRICTED" => {
            assert_eq!(status.code(), Code::FailedPrecondition);
            assert!(
                status.message().contains("--override"),
                "{}",
                status.message()
            );
            Got::NeedsReason
        }
        // An operator erases as the node's own user at its socket, and else not.
        "ROLE_DENIED" | "NOT_AT_SOCKET" => Got::Denied,
        other => panic!("{other}: {status:?}"),
    }
}

fn seen(message: Option<v1::Message>) -> Got {
    let message = message.unwrap();
    if message.body.is_some() {
        Got::Whole
    } else {
        assert!(!format!("{message:?}").contains(MARKER));
        Got::Outline
    }
}

/// Files of an export, by path.
async fn export(
    counter: &Counter,
    role: &'static str,
    request: v1::ExportRequest,
) -> Result<Vec<(String, Vec<u8>)>, Status> {
    let mut audit = AuditServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut parts = audit.export(request).await?.into_inner();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    while let Some(part) = parts.message().await? {
        match files.last_mut() {
            Some((path, bytes)) if *path == part.path => bytes.extend_from_slice(&part.chunk),
            _ => files.push((part.path, part.chunk.to_vec())),
        }
    }
    Ok(files)
}

/// One try of an action, with a reason or without.
async fn act(two: &Two, role: &'static str, action: &str, at: &At, reason: &str) -> Got {
    let counter = &two.counter;
    let mut desk = counter.caller(role).await;
    let override_reason = reason.to_owned();
    let fetch = |purpose: Purpose| v1::GetRequest {
        id: at.own.clone(),
        purpose: purpose.into(),
        override_reason: reason.to_owned(),
    };
    match action {
        "read" => {
            let answer = desk.get(fetch(Purpose::Read)).await;
            got(answer, |answer| seen(answer.into_inner().message))
        }
        "print" => {
            let answer = desk.get(fetch(Purpose::Print)).await;
            got(answer, |answer| seen(answer.into_inner().message))
        }
        "list" => got(desk.list(v1::ListRequest::default()).await, |page| {
            let mut messages = page.into_inner().messages.into_iter();
            seen(messages.find(|message| message.id == at.own))
        }),
        "search" => {
            let request = v1::ListRequest {
                text: MARKER.to_owned(),
                ..v1::ListRequest::default()
            };
            got(desk.list(request).await, |page| {
                let messages = page.into_inner().messages;
                assert!(messages.iter().any(|message| message.id == at.own));
                Got::Whole
            })
        }
        "export" => {
            let request = v1::ExportRequest {
                peer: counter.peer.name.to_string(),
                override_reason,
                ..v1::ExportRequest::default()
            };
            got(export(counter, role, request).await, |files| {
                let body = format!("/bodies/{}.bin", at.index);
                let own = format!("{}_", counter.side.name);
                let held = files
                    .iter()
                    .any(|(path, _)| path.starts_with(&own) && path.ends_with(&body));
                if held { Got::Whole } else { Got::NeedsReason }
            })
        }
        "forward" => {
            let request = v1::ForwardRequest {
                override_reason,
                ..two.forward(&at.own)
            };
            let before = two.third_size();
            let answer = two.handling(role).await.forward(request).await;
            let got = got(answer, |_| Got::Whole);
            assert_eq!(two.third_size() - before, u64::from(got == Got::Whole));
            got
        }
        "download" => {
            let request = v1::DownloadAttachmentRequest {
                message_id: at.own.clone(),
                sha256: Sha256::digest(FILE).to_vec().into(),
                override_reason,
                ..v1::DownloadAttachmentRequest::default()
            };
            match desk.download_attachment(request).await {
                Ok(parts) => {
                    let part = parts.into_inner().message().await.unwrap().unwrap();
                    assert_eq!(part.chunk, FILE);
                    Got::Whole
                }
                Err(status) => got(Err::<(), _>(status), |()| Got::Whole),
            }
        }
        "acknowledge" => {
            let request = v1::AcknowledgeRequest {
                id: at.peers.clone(),
                officer: Some(v1::Officer {
                    name: "Nguyễn Văn Mẫu".to_owned(),
                    rank: "Đại úy".to_owned(),
                    office: "Phòng mẫu".to_owned(),
                    phone: String::new(),
                }),
                ..v1::AcknowledgeRequest::default()
            };
            got(desk.acknowledge(request).await, |_| Got::Whole)
        }
        "erase" => {
            // What it would destroy: the next cell wants it whole. The own one's file is never fetched.
            let request = v1::EraseRequest {
                id: at.peers.clone(),
                preview: true,
                ..v1::EraseRequest::default()
            };
            let channel = counter.channel().await;
            let mut erasure = ErasureServiceClient::with_interceptor(channel, As(role));
            got(erasure.erase(request).await, |_| Got::Whole)
        }
        other => panic!("no action {other}"),
    }
}

/// A message of either side with one code.
struct At {
    own: String,
    index: u64,
    peers: String,
}

/// The rows of the table of the page that has these columns.
fn rows(header: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/handling.md"));
    let page = page.unwrap();
    let lines = page.lines().skip_while(|line| *line != header).skip(2);
    lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

#[test]
fn the_page_has_the_rule() {
    let rows = rows("| code | read | export | print | forward |");
    let codes = [0, 1, 2, 3, 4, 5];
    assert_eq!(rows.len(), codes.len());
    for (row, code) in rows.iter().zip(codes) {
        let cells = Use::ALL.map(|wanted| match permits(code, wanted) {
            Permit::Allowed => "yes",
            Permit::NeedsOverride { .. } => "reason",
        });
        assert_eq!(row[1..], cells, "{}", row[0]);
    }
}

#[tokio::test]
async fn every_cell_is_as_documented() {
    let two = Two::open([Classification::Confidential; 2]).await;
    let counter = &two.counter;
    let mut registry = counter.caller("integration/registry").await;
    upload(&mut registry).await;
    let mut messages = Vec::new();
    for (number, code) in CODES.into_iter().enumerate() {
        let draft = handled(counter.letter(number), Classification::Restricted, code);
        let sent = registry.submit(submission(with_file(draft))).await.unwrap();
        let sent = sent.into_inner();
        let letter = crate::sides::letter(&counter.side, number);
        let peers = two
            .said_by_peer(handled(letter, Classification::Restricted, code))
            .await;
        messages.push(At {
            own: sent.id,
            index: sent.index,
            peers,
        });
    }
    let callers = [
        "operator/truc-1",
        "integration/registry",
        "auditor/kt-1",
        "admin/qt-1",
    ];
    let mut wrong = String::new();
    let mut tried = BTreeSet::new();
    for row in rows("| role | action | none | H0 | H1 | H2 | H3 |") {
        let caller = callers.into_iter().find(|name| name.starts_with(&row[0]));
        let (caller, action) = (caller.unwrap(), row[1].as_str());
        for (at, written) in messages.iter().zip(&row[2..]) {
            let without = act(&two, caller, action, at, "").await;
            let with = act(&two, caller, action, at, REASON).await;
            let cell = match (without, with) {
                (Got::Whole, Got::Whole) => "yes",
                (Got::NeedsReason, Got::Whole) => "reason",
                (Got::Outline, Got::Outline) => "outline",
                (Got::Denied, Got::Denied) => "no",
                _ => "neither",
            };
            if cell != written {
                writeln!(wrong, "{row:?} is {cell}: {without:?}, {with:?}").unwrap();
            }
        }
        assert_eq!(row.len(), 2 + CODES.len());
        tried.insert((row[0].clone(), row[1].clone()));
    }
    assert_eq!(wrong, "");
    let all = Role::ALL
        .iter()
        .flat_map(|role| ACTIONS.map(|action| (role.as_str().to_owned(), action.to_owned())));
    assert_eq!(tried, all.collect());
    two.end().await;
}

#[tokio::test]
async fn nothing_above_the_ceiling_is_signed_and_what_came_from_above_it_is_kept() {
    let two = Two::open([Classification::Restricted, Classification::Internal]).await;
    let counter = &two.counter;
    let mut desk = counter.operator().await;
    let none = HandlingCode::Unspecified;
    let above = handled(counter.letter(1), Classification::Confidential, none);
    let status = assert_field(
        desk.submit(submission(above)).await,
        "handling.classification",
    );
    let told = violations(&status);
    for word in ["CONFIDENTIAL", "RESTRICTED", "classification_max"] {
        assert!(told[0].1.contains(word), "{told:?}");
    }
    // What states none counts as RESTRICTED.
    let unstated = v1::Draft {
        recipient: two.third.name.to_string(),
        handling: None,
        ..counter.letter(2)
    };
    let answer = desk.submit(submission(unstated)).await;
    assert_field(answer, "handling.classification");
    let letter = two.submit("", counter.letter(3)).await;
    let answer = two.handling("").await.forward(two.forward(&letter)).await;
    assert_field(answer, "handling.classification");
    assert_eq!((counter.own_size(), two.third_size()), (1, 0));
    let low = handled(counter.letter(4), Classification::Internal, none);
    let low = two.submit("", low).await;
    let answer = two.handling("").await.forward(two.forward(&low)).await;
    answer.unwrap();

    // The peer says more than was agreed: it is on record, marked, and can be acknowledged.
    let draft = crate::sides::letter(&counter.side, 1);
    let said = two
        .said_by_peer(handled(draft, Classification::Confidential, none))
        .await;
    let message = desk.get(get(&said)).await.unwrap().into_inner().message;
    let message = message.unwrap();
    assert!(message.above_ceiling && message.body.is_some());
    let own = desk.get(get(&letter)).await.unwrap().into_inner().message;
    assert!(!own.unwrap().above_ceiling);
    let at = At {
        own: letter,
        index: 0,
        peers: said,
    };
    let size = counter.own_size();
    assert_eq!(act(&two, "", "acknowledge", &at, "").await, Got::Whole);
    assert_eq!(counter.own_size(), size + 1);
    two.end().await;
}

/// A backup is for those who see no body: whatever they ask it for, nothing that is sealed is opened.
#[tokio::test]
async fn no_digest_of_a_backup_leads_an_administrator_to_a_file() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    upload(&mut desk).await;
    let draft = with_file(counter.letter(1));
    desk.submit(submission(draft)).await.unwrap();
    let channel = counter.channel().await;
    let mut backup = BackupServiceClient::with_interceptor(channel, As("admin/qt-1"));
    let pieces = backup.backup(v1::BackupRequest::default()).await.unwrap();
    let (mut pieces, mut named) = (pieces.into_inner(), Vec::new());
    while let Some(piece) = pieces.message().await.unwrap() {
        if let Some(Piece::Files(files)) = piece.piece {
            named.extend(files.files);
        }
    }
    let sealed = named.iter().find(|file| !file.content_sha256.is_empty());
    let sealed = sealed.unwrap();
    assert_eq!(sealed.content_sha256[..], Sha256::digest(FILE)[..]);
    let as_it_lies = v1::BackupFileRequest {
        sha256: sealed.sha256.clone(),
        content_sha256: sealed.content_sha256.clone(),
    };
    let mut requests = vec![as_it_lies.clone()];
    for digest in [&sealed.sha256, &sealed.content_sha256] {
        requests.push(v1::BackupFileRequest {
            sha256: digest.clone(),
            ..v1::BackupFileRequest::default()
        });
    }
    for request in requests {
        let mut parts = match backup.backup_file(request.clone()).await {
            Ok(parts) => parts.into_inner(),
            Err(status) => {
                assert_ne!(request, as_it_lies);
                assert_refused::<()>(Err(status), Code::NotFound, "NO_SUCH_FILE");
                continue;
            }
        };
        assert_eq!(request, as_it_lies);
        let mut bytes = Vec::new();
        while let Some(part) = parts.message().await.unwrap() {
            bytes.extend_from_slice(&part.chunk);
        }
        assert_eq!(bytes.len() as u64, sealed.size);
        assert!(!bytes.windows(FILE.len()).any(|window| window == FILE));
    }
    let deeds = counter.journal.list(&crate::journal::all()).unwrap().deeds;
    let whats = deeds.iter().filter(|(_, deed)| deed.act() == Act::BackedUp);
    let whats: Vec<_> = whats.map(|(_, deed)| deed.what.as_str()).collect();
    assert_eq!(whats, ["files", ""]);
}

#[tokio::test]
async fn a_file_is_a_copy_whatever_it_is_said_to_be_for() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    upload(&mut desk).await;
    let draft = with_file(counter.letter(1));
    let draft = handled(draft, Classification::Internal, HandlingCode::H0);
    let sent = desk.submit(submission(draft)).await.unwrap().into_inner();
    let request = |purpose: Purpose, reason: &str| v1::DownloadAttachmentRequest {
        message_id: sent.id.clone(),
        sha256: Sha256::digest(FILE).to_vec().into(),
        purpose: purpose.into(),
        override_reason: reason.to_owned(),
    };
    for purpose in [Purpose::Print, Purpose::Export, Purpose::Forward] {
        let answer = desk.download_attachment(request(purpose, "")).await;
        let answer = answer.map(drop);
        assert_refused(answer, Code::FailedPrecondition, "HANDLING_RESTRICTED");
        let answer = desk.download_attachment(request(purpose, REASON)).await;
        answer.unwrap();
    }
    let deeds = counter.journal.list(&crate::journal::all()).unwrap().deeds;
    let whats = deeds
        .iter()
        .filter(|(_, deed)| deed.act() == Act::Downloaded);
    let whats: Vec<_> = whats.map(|(_, deed)| deed.what.as_str()).collect();
    assert_eq!(whats, ["forward", "export", "print"]);
}

#[tokio::test]
async fn a_reason_has_its_limit() {
    let two = Two::open([Classification::Confidential; 2]).await;
    let mut desk = two.counter.operator().await;
    let draft = handled(
        two.counter.letter(1),
        Classification::Internal,
        HandlingCode::H3,
    );
    let id = two.submit("", draft).await;
    let print = |reason: String| v1::GetRequest {
        id: id.clone(),
        purpose: Purpose::Print.into(),
        override_reason: reason,
    };
    let longest = "x".repeat(OVERRIDE_REASON_BYTES_MAX);
    desk.get(print(longest.clone())).await.unwrap();
    for wrong in [format!("{longest}x"), "a\nb".to_owned(), "  ".to_owned()] {
        assert_field(desk.get(print(wrong)).await, "overrideReason");
    }
    let unknown = v1::GetRequest {
        purpose: 9,
        ..print(longest)
    };
    assert_field(desk.get(unknown).await, "purpose");
    let read = v1::DownloadAttachmentRequest {
        message_id: id.clone(),
        sha256: vec![0; 32].into(),
        purpose: Purpose::Read.into(),
        ..v1::DownloadAttachmentRequest::default()
    };
    assert_field(desk.download_attachment(read).await, "purpose");
    two.end().await;
}

#[tokio::test]
async fn what_is_sent_on_says_the_same_and_names_nothing_of_the_other_link() {
    let two = Two::open([Classification::Confidential; 2]).await;
    let counter = &two.counter;
    let mut desk = counter.operator().await;
    upload(&mut desk).await;
    let first = two.submit("", counter.letter(1)).await;
    let draft = v1::Draft {
        in_reply_to: first.clone(),
        ..with_file(counter.letter(2))
    };
    let original = handled(draft, Classification::Internal, HandlingCode::H1);
    let id = two.submit("", original).await;
    let request = v1::ForwardRequest {
        id: id_of(7),
        override_reason: REASON.to_owned(),
        ..two.forward(&id)
    };
    let mut handling = two.handling("").await;
    let sent = handling
        .forward(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(!sent.already_recorded);
    let again = handling.forward(request).await.unwrap().into_inner();
    assert!(again.already_recorded && again.index == sent.index);
    assert_eq!(two.third_size(), 1);

    let original = desk.get(get(&id)).await.unwrap().into_inner().message;
    let original = original.unwrap();
    let sent = desk.get(get(&sent.id)).await.unwrap().into_inner().message;
    let sent = sent.unwrap();
    assert_eq!(sent.peer, two.third.name.to_string());
    assert_eq!(sent.body, original.body);
    assert_eq!(sent.attachments, original.attachments);
    assert_eq!(sent.handling, original.handling);
    assert_eq!(sent.status, original.status);
    assert_ne!(sent.body_digest, original.body_digest, "another salt");
    assert_eq!(
        (sent.in_reply_to.as_str(), sent.supersedes.as_str()),
        ("", "")
    );
    assert_eq!(sent.thread_id, sent.id, "a case of its own");
    assert!(!format!("{sent:?}").contains(&first));

    // What is refused, and why.
    let back = v1::ForwardRequest {
        recipient: counter.peer.name.to_string(),
        ..two.forward(&first)
    };
    assert_field(handling.forward(back).await, "recipient");
    let nowhere = v1::ForwardRequest {
        recipient: "nowhere.example".to_owned(),
        ..two.forward(&first)
    };
    assert_field(handling.forward(nowhere).await, "recipient");
    let step = two.submit("", counter.sample("gate-notice")).await;
    let status = assert_field(handling.forward(two.forward(&step)).await, "messageId");
    assert!(status.message().contains("step in a case"), "{status:?}");
    let mut withdrawal = counter.sample("withdrawal");
    withdrawal.supersedes.clone_from(&first);
    two.submit("", withdrawal).await;
    assert_field(handling.forward(two.forward(&first)).await, "messageId");
    let answer = handling.forward(two.forward(&id_of(99))).await;
    assert_refused(answer, Code::NotFound, "NO_SUCH_MESSAGE");

    // A program forwards its own messages, of kinds that it may send.
    let mut radar = two.handling("integration/radar").await;
    let answer = radar.forward(two.forward(&id)).await;
    assert_refused(answer, Code::NotFound, "NO_SUCH_MESSAGE");
    assert_eq!(two.third_size(), 1);
    two.end().await;
}

fn write(dir: &Path, files: &[(String, Vec<u8>)]) {
    for (path, bytes) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Says the manifest again with a change.
fn with_manifest(dir: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = dir.join("MANIFEST.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(path, manifest.encode().unwrap()).unwrap();
}

#[tokio::test]
async fn an_export_leaves_out_what_is_asked_for_and_says_so() {
    let two = Two::open([Classification::Confidential; 2]).await;
    let counter = &two.counter;
    for (number, code) in CODES.into_iter().enumerate() {
        let draft = handled(counter.letter(number), Classification::Internal, code);
        two.submit("", draft).await;
    }
    two.submit(
        "",
        handled(
            counter.alert(),
            Classification::Internal,
            HandlingCode::Unspecified,
        ),
    )
    .await;
    two.quiet().await;
    let request = |override_reason: &str| v1::ExportRequest {
        peer: counter.peer.name.to_string(),
        override_reason: override_reason.to_owned(),
        ..v1::ExportRequest::default()
    };
    let by_code = v1::ExportRequest {
        withhold_codes: vec![HandlingCode::H2.into(), HandlingCode::H3.into()],
        ..request(REASON)
    };
    let by_kind = v1::ExportRequest {
        withhold_kinds: vec![v1::Kind::OfficialLetter.into()],
        ..request(REASON)
    };
    let both = v1::ExportRequest {
        withhold_kinds: vec![v1::Kind::CrossingAlert.into()],
        ..request("")
    };
    let all = v1::ExportRequest {
        withhold_bodies: true,
        ..request(REASON)
    };
    for (request, left_out, whys) in [
        (request(REASON), 0, vec![]),
        (
            request(""),
            4,
            vec!["handling code H0: for preventing and combating crime only"],
        ),
        (
            by_code,
            2,
            vec![
                "handling code H2, as asked for",
                "handling code H3, as asked for",
            ],
        ),
        (by_kind, 5, vec!["kind OFFICIAL_LETTER, as asked for"]),
        (both, 5, vec!["kind CROSSING_ALERT, as asked for"]),
        (all, 6, vec!["every body, as asked for"]),
    ] {
        let files = export(counter, "auditor/kt-1", request).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files);
        let verdict = verify_export(dir.path(), None, &mut |_| ());
        assert!(verdict.clean, "{:#?}", verdict.findings);
        assert_eq!(verdict.counts.bodies_withheld, left_out);
        assert_eq!(verdict.counts.bodies, 6 - left_out);
        assert_eq!(verdict.counts.signatures, 6);
        let (_, manifest) = files.last().unwrap();
        let manifest: Manifest = serde_json::from_slice(manifest).unwrap();
        let absent: Vec<_> = manifest.logs.iter().flat_map(|log| &log.absent).collect();
        assert_eq!(absent.len() as u64, left_out);
        for why in whys {
            assert!(absent.iter().any(|body| body.why == why), "{absent:#?}");
        }
        if left_out == 4 {
            // The list is checked against what is.
            with_manifest(dir.path(), |manifest| {
                manifest.logs[0].absent[0].absence = liaison::audit::Absence::Erased;
            });
            assert_eq!(verify_export(dir.path(), None, &mut |_| ()).errors, 1);
            with_manifest(dir.path(), |manifest| {
                manifest.logs[0].absent[0].absence = liaison::audit::Absence::Withheld;
                manifest.logs[0].absent[0].index = 0; // its body is there
            });
            assert_eq!(verify_export(dir.path(), None, &mut |_| ()).errors, 1);
            with_manifest(dir.path(), |manifest| {
                manifest.logs[0].absent[3].index = 6;
            });
            assert!(verify_export(dir.path(), None, &mut |_| ()).errors > 0);
        }
    }
    for (field, request) in [
        (
            "withholdKinds",
            v1::ExportRequest {
                withhold_kinds: vec![v1::Kind::KeyChange.into()],
                ..request("")
            },
        ),
        (
            "withholdKinds",
            v1::ExportRequest {
                withhold_kinds: vec![0],
                ..request("")
            },
        ),
        (
            "withholdCodes",
            v1::ExportRequest {
                withhold_codes: vec![9],
                ..request("")
            },
        ),
        ("overrideReason", request(" ")),
    ] {
        assert_field(export(counter, "auditor/kt-1", request).await, field);
    }
    two.end().await;
}

/// What one caller can learn of everything there is, as text.
async fn everything(counter: &Counter, role: &'static str, ids: &[String]) -> String {
    let mut desk = counter.caller(role).await;
    let mut all = String::new();
    let page = desk.list(v1::ListRequest::default()).await.unwrap();
    write!(all, "{:?}", page.into_inner()).unwrap();
    let cases = desk.list_cases(v1::ListCasesRequest::default()).await;
    write!(all, "{:?}", cases.unwrap().into_inner()).unwrap();
    let dues = desk.list_due(v1::ListDueRequest {
        all: true,
        ..v1::ListDueRequest::default()
    });
    write!(all, "{:?}", dues.await.unwrap().into_inner()).unwrap();
    let calendars = desk.list_calendars(v1::ListCalendarsRequest::default());
    write!(all, "{:?}", calendars.await.unwrap().into_inner()).unwrap();
    let status = desk.status(v1::StatusRequest {}).await;
    write!(all, "{:?}", status.unwrap().into_inner()).unwrap();
    for id in ids {
        for purpose in [
            Purpose::Read,
            Purpose::Export,
            Purpose::Print,
            Purpose::Forward,
        ] {
            let request = v1::GetRequest {
                id: id.clone(),
                purpose: purpose.into(),
                override_reason: REASON.to_owned(),
            };
            let message = desk.get(request).await.unwrap().into_inner();
            write!(all, "{message:?}").unwrap();
        }
        let case = desk.get_case(v1::GetCaseRequest { id: id.clone() }).await;
        write!(all, "{:?}", case.unwrap().into_inner()).unwrap();
    }
    all
}

#[tokio::test]
async fn an_administrator_learns_nothing_that_is_taken_from_a_body() {
    let two = Two::open([Classification::Confidential; 2]).await;
    let counter = &two.counter;
    upload(&mut counter.operator().await).await;
    let mut calendar = counter.sample("calendar");
    let Some(Body::Calendar(said)) = &mut calendar.body.as_mut().unwrap().body else {
        panic!("no calendar");
    };
    said.source = MARKER.to_owned();
    said.authority = MARKER.to_owned();
    let mut ids = vec![two.submit("", with_file(counter.letter(1))).await];
    ids.push(two.submit("", calendar).await);
    let request = counter.sample("handover-request");
    let said = request.body.as_ref().unwrap().body.as_ref().unwrap();
    for file in liaison::model::body::attachments(said) {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        let file = std::fs::read(samples.join(&file.name)).unwrap();
        upload_file(&mut counter.operator().await, &file).await;
    }
    ids.push(two.submit("", request).await);
    two.quiet().await;

    let seen = everything(counter, "operator/truc-1", &ids).await;
    // What an operator reads there; else nothing would be shown by its absence.
    let told = ["persons: [", "mẫu.pdf", MARKER, "days_off: ["];
    let from_bodies = told.map(|text| seen.matches(text).count());
    assert!(
        from_bodies.iter().all(|count| *count > 0),
        "{from_bodies:?}"
    );
    assert!(seen.contains("MatterPerson") && seen.contains("NextStep"));

    let seen = everything(counter, "admin/qt-1", &ids).await;
    for word in [
        "mẫu.pdf",
        MARKER,
        "MatterPerson",
        "NextStep",
        "OpenDuty",
        "CalendarDay",
    ] {
        assert!(!seen.contains(word), "{word}");
    }
    assert!(!seen.contains("body: Some"));
    two.end().await;
}

#[tokio::test]
async fn each_override_and_each_refusal_is_journalled_with_the_message_and_the_reason() {
    let two = Two::open([Classification::Confidential; 2]).await;
    let counter = &two.counter;
    let mut desk = counter.operator().await;
    upload(&mut desk).await;
    let draft = handled(
        with_file(counter.letter(1)),
        Classification::Internal,
        HandlingCode::H2,
    );
    let id = two.submit("", draft).await;
    let at = At {
        own: id.clone(),
        index: 0,
        peers: String::new(),
    };
    two.quiet().await;
    let actions = ["print", "forward", "download"];
    for action in actions {
        for reason in ["", REASON] {
            act(&two, "operator/truc-1", action, &at, reason).await;
        }
    }
    act(&two, "auditor/kt-1", "export", &at, REASON).await;
    let deeds = |act: Act| {
        let query = Query {
            act: Some(act),
            limit: 100,
            ..Query::default()
        };
        let mut deeds = counter.journal.list(&query).unwrap().deeds;
        deeds.reverse();
        let told =
            |(_, deed): (u64, v1::JournalEntry)| (deed.who, deed.message_id, deed.what, deed.why);
        deeds.into_iter().map(told).collect::<Vec<_>>()
    };
    let by = |what: &str, why: &str| {
        let who = "operator/truc-1".to_owned();
        (who, id.clone(), what.to_owned(), why.to_owned())
    };
    let uses = ["print H2", "forward H2", "export H2"];
    assert_eq!(deeds(Act::Refused), uses.map(|what| by(what, "")));
    let mut overridden = uses.map(|what| by(what, REASON)).to_vec();
    let auditor = "auditor/kt-1".to_owned();
    let export = "export of logs H2".to_owned();
    overridden.push((auditor, String::new(), export, REASON.to_owned()));
    assert_eq!(deeds(Act::Overrode), overridden);
    for act in [Act::Printed, Act::Forwarded, Act::Downloaded] {
        assert_eq!(deeds(act).len(), 1, "{act:?}");
    }
    two.end().await;
}

#[tokio::test]
async fn an_export_says_by_whom_and_under_what_a_body_was_erased() {
    let two = Two::open([Classification::Confidential; 2]).await;
    let counter = &two.counter;
    let id = two.submit("", counter.letter(1)).await;
    two.submit("", counter.letter(2)).await;
    two.quiet().await;
    let link = Arc::clone(counter.exchange.link(counter.peer.name.as_str()).unwrap());
    let order = ErasureOrder {
        by: Author::new("admin/qt-1"),
        reason: "kept to ourselves".to_owned(),
        authority: "order 7/2026".to_owned(),
    };
    let erased = liaison::model::MessageId::parse(&id).unwrap();
    counter.exchange.erase(&link, erased, &order).await.unwrap();
    two.quiet().await;
    let files = export(counter, "auditor/kt-1", v1::ExportRequest::default())
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &files);
    let verdict = verify_export(dir.path(), None, &mut |_| ());
    assert!(verdict.clean, "{:#?}", verdict.findings);
    assert_eq!(verdict.counts.bodies_erased, 1);
    assert_eq!(verdict.counts.bodies_withheld, 0);
    let (_, manifest) = files.last().unwrap();
    let manifest: Manifest = serde_json::from_slice(manifest).unwrap();
    let absent: Vec<_> = manifest.logs.iter().flat_map(|log| &log.absent).collect();
    assert_eq!(absent.len(), 1);
    assert_eq!(absent[0].id, id);
    let why = &absent[0].why;
    assert!(why.starts_with("erased on 20"), "{why}");
    assert!(why.ends_with("by admin/qt-1 under order 7/2026"), "{why}");
    // There is nothing left to forward.
    let answer = two.handling("").await.forward(two.forward(&id)).await;
    assert_field(answer, "messageId");
    two.end().await;
}
