//! Each role has what the table gives it, and nothing else.

use liaison::desk::caller::{Access, Method, access};
use liaison::proto::v1::backup_service_client::BackupServiceClient;
use liaison::proto::v1::bundle_service_client::BundleServiceClient;
use liaison::proto::v1::erasure_service_client::ErasureServiceClient;
use liaison::proto::v1::figures_service_client::FiguresServiceClient;
use liaison::proto::v1::handling_service_client::HandlingServiceClient;
use liaison::proto::v1::journal_service_client::JournalServiceClient;
use liaison::proto::v1::key_copies_service_client::KeyCopiesServiceClient;
use liaison::proto::v1::keys_service_client::KeysServiceClient;
use liaison::proto::v1::retention_service_client::RetentionServiceClient;

use super::*;

const CALLERS: [(&str, Role); 4] = [
    ("operator/truc-1", Role::Operator),
    ("integration/radar", Role::Integration),
    ("auditor/kt-1", Role::Auditor),
    ("admin/qt-1", Role::Admin),
];

/// Calls a method with nothing in the request, as far as the first answer.
async fn call(counter: &Counter, role: &'static str, method: Method) -> Result<(), Status> {
    let mut desk = counter.caller(role).await;
    let mut audit = AuditServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut keys = KeysServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut retention = RetentionServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut links = LinkServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut backup = BackupServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut bundle = BundleServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut journal = JournalServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut copies = KeyCopiesServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut erasure = ErasureServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut handling = HandlingServiceClient::with_interceptor(counter.channel().await, As(role));
    let mut figures = FiguresServiceClient::with_interceptor(counter.channel().await, As(role));
    match method {
        Method::Submit => desk.submit(v1::SubmitRequest::default()).await.map(drop),
        Method::Get => desk.get(v1::GetRequest::default()).await.map(drop),
        Method::List => desk.list(v1::ListRequest::default()).await.map(drop),
        Method::Search => {
            let request = v1::ListRequest {
                text: "mẫu".to_owned(),
                ..v1::ListRequest::default()
            };
            desk.list(request).await.map(drop)
        }
        Method::Watch => desk.watch(v1::WatchRequest::default()).await.map(drop),
        Method::Acknowledge => {
            let request = v1::AcknowledgeRequest::default();
            desk.acknowledge(request).await.map(drop)
        }
        Method::Status => desk.status(v1::StatusRequest::default()).await.map(drop),
        Method::UploadAttachment => {
            let nothing = tokio_stream::empty::<v1::UploadAttachmentRequest>();
            desk.upload_attachment(nothing).await.map(drop)
        }
        Method::DownloadAttachment => {
            let request = v1::DownloadAttachmentRequest::default();
            desk.download_attachment(request).await.map(drop)
        }
        Method::ReleaseLink => {
            let request = v1::ReleaseLinkRequest::default();
            desk.release_link(request).await.map(drop)
        }
        Method::ListCases => {
            let request = v1::ListCasesRequest::default();
            desk.list_cases(request).await.map(drop)
        }
        Method::GetCase => desk.get_case(v1::GetCaseRequest::default()).await.map(drop),
        Method::Report => desk.report(v1::ReportRequest::default()).await.map(drop),
        Method::Proof => audit.proof(v1::ProofRequest::default()).await.map(drop),
        Method::Export => audit.export(v1::ExportRequest::default()).await.map(drop),
        Method::ListDue => desk.list_due(v1::ListDueRequest::default()).await.map(drop),
        Method::ListCalendars => {
            let request = v1::ListCalendarsRequest::default();
            desk.list_calendars(request).await.map(drop)
        }
        Method::ExportBundle => bundle
            .export_bundle(v1::ExportBundleRequest::default())
            .await
            .map(drop),
        Method::ImportBundle => {
            let nothing = tokio_stream::empty::<v1::ImportBundleRequest>();
            bundle.import_bundle(nothing).await.map(drop)
        }
        Method::Lateness => audit
            .lateness(v1::LatenessRequest::default())
            .await
            .map(drop),
        Method::ListKeys => keys.list_keys(v1::ListKeysRequest {}).await.map(drop),
        Method::ChangeKeys => keys
            .rotate_key(v1::RotateKeyRequest::default())
            .await
            .map(drop),
        Method::CopyKeys => {
            let request = v1::CopyKeysRequest::default();
            copies.copy_keys(request).await.map(drop)
        }
        Method::PruneKeys => {
            let request = v1::PruneKeysRequest::default();
            copies.prune_keys(request).await.map(drop)
        }
        Method::Hold => {
            let lifted = retention.lift_hold(v1::LiftHoldRequest::default()).await;
            let first = retention.hold_case(v1::HoldCaseRequest::default()).await;
            let code = |outcome: &Status| outcome.code() == Code::PermissionDenied;
            assert_eq!(
                lifted.as_ref().is_err_and(code),
                first.as_ref().is_err_and(code)
            );
            first.map(drop)
        }
        Method::ListRetention => {
            let holds = retention.list_holds(v1::ListHoldsRequest {}).await;
            let request = v1::ListRetentionRequest::default();
            let listed = retention.list_retention(request).await.map(drop);
            assert_eq!(holds.is_err(), listed.is_err());
            listed
        }
        Method::ShowLink => {
            let request = v1::ShowLinkRequest::default();
            links.show_link(request).await.map(drop)
        }
        Method::LinkEvidence => {
            let request = v1::LinkEvidenceRequest::default();
            links.link_evidence(request).await.map(drop)
        }
        Method::ListJournal => {
            let request = v1::ListJournalRequest::default();
            journal.list_journal(request).await.map(drop)
        }
        Method::ExportJournal => {
            let request = v1::ExportJournalRequest::default();
            journal.export_journal(request).await.map(drop)
        }
        Method::AcceptJournal => {
            let request = v1::AcceptJournalRequest::default();
            journal.accept_journal(request).await.map(drop)
        }
        Method::Erase => {
            let request = v1::EraseRequest::default();
            erasure.erase(request).await.map(drop)
        }
        Method::GetFigures => {
            let request = v1::GetFiguresRequest {};
            figures.get_figures(request).await.map(drop)
        }
        Method::Forward => {
            let request = v1::ForwardRequest::default();
            handling.forward(request).await.map(drop)
        }
        Method::Backup => {
            let both = backup.backup_file(v1::BackupFileRequest::default()).await;
            let first = backup.backup(v1::BackupRequest::default()).await.map(drop);
            assert_eq!(
                both.unwrap_err().code() == Code::PermissionDenied,
                first.is_err()
            );
            first
        }
    }
}

#[tokio::test]
async fn the_table_is_kept_at_the_door() {
    let counter = Counter::open().await;
    for (name, role) in CALLERS {
        for method in Method::ALL {
            let answer = call(&counter, name, method).await;
            let is_denied = answer.as_ref().is_err_and(|status| {
                let info = status.get_details_error_info();
                status.code() == Code::PermissionDenied
                    && info.is_some_and(|info| info.reason == "ROLE_DENIED")
            });
            let is_meant = access(role, method) == Access::Denied;
            assert_eq!(is_denied, is_meant, "{name} {method:?}: {answer:?}");
        }
    }
    assert_eq!(counter.own_size(), 0);
}

#[tokio::test]
async fn a_program_sends_only_the_kinds_its_configuration_names() {
    let counter = Counter::open().await;
    let mut radar = counter.caller("integration/radar").await;
    let mut registry = counter.caller("integration/registry").await;
    let mut stranger = counter.caller("integration/stranger").await;
    for answer in [
        radar.submit(submission(counter.letter(1))).await,
        registry.submit(submission(counter.alert())).await,
        stranger.submit(submission(counter.alert())).await,
    ] {
        let status = assert_refused(answer, Code::PermissionDenied, "KIND_DENIED");
        assert_eq!(violations(&status)[0].0, "body");
    }
    assert_eq!(counter.own_size(), 0);
    // One that may send nothing has nothing to attach either, and cannot fill the disk.
    let nothing = tokio_stream::empty::<v1::UploadAttachmentRequest>();
    let answer = stranger.upload_attachment(nothing).await;
    assert_refused(answer, Code::PermissionDenied, "ROLE_DENIED");
    radar.submit(submission(counter.alert())).await.unwrap();
    registry
        .submit(submission(counter.letter(1)))
        .await
        .unwrap();
    assert_eq!(counter.own_size(), 2);
}

#[tokio::test]
async fn a_program_sees_and_names_its_own_messages_only() {
    let counter = Counter::open().await;
    let mut operator = counter.operator().await;
    let mut radar = counter.caller("integration/radar").await;
    let mut registry = counter.caller("integration/registry").await;
    let letter = operator
        .submit(submission(counter.letter(1)))
        .await
        .unwrap();
    let letter = letter.into_inner().id;
    let alert = radar.submit(submission(counter.alert())).await.unwrap();
    let alert = alert.into_inner().id;

    radar.get(get(&alert)).await.unwrap();
    for (caller, id) in [(&mut radar, &letter), (&mut registry, &alert)] {
        let answer = caller.get(get(id)).await;
        assert_refused(answer, Code::NotFound, "NO_SUCH_MESSAGE");
    }
    let everything = v1::ListRequest::default();
    for (caller, ids) in [(&mut radar, vec![alert.clone()]), (&mut registry, vec![])] {
        let page = caller.list(everything.clone()).await.unwrap().into_inner();
        let seen: Vec<_> = page.messages.into_iter().map(|m| m.id).collect();
        assert_eq!(seen, ids);
    }

    // Nor may it speak of what it does not see: a broken-into sensor settles nothing.
    let answering = v1::Draft {
        in_reply_to: letter.clone(),
        ..counter.alert()
    };
    assert_field(radar.submit(submission(answering)).await, "inReplyTo");
    let mut withdrawal = counter.sample("withdrawal");
    withdrawal.supersedes = letter;
    let answer = registry.submit(submission(withdrawal)).await;
    assert_field(answer, "supersedes");
    let follow_up = v1::Draft {
        in_reply_to: alert,
        ..counter.alert()
    };
    radar.submit(submission(follow_up)).await.unwrap();
    assert_eq!(counter.own_size(), 3);
}

#[tokio::test]
async fn who_submitted_is_still_known_after_a_restart() {
    let counter = Counter::open().await;
    let mut radar = counter.caller("integration/radar").await;
    let alert = radar.submit(submission(counter.alert())).await.unwrap();
    let link = crate::sides::link_of(&counter.exchange);
    let again = counter.side.open(&counter.peer);
    let author = again.author(&link, alert.into_inner().index).unwrap();
    assert_eq!(author.unwrap().as_str(), "integration/radar");
}

#[tokio::test]
async fn an_administrator_sees_no_body() {
    let counter = Counter::open().await;
    let mut operator = counter.operator().await;
    let mut admin = counter.caller("admin/qt-1").await;
    let sent = operator
        .submit(submission(counter.letter(1)))
        .await
        .unwrap();
    let id = sent.into_inner().id;
    let whole = operator.get(get(&id)).await.unwrap().into_inner();
    assert!(whole.message.unwrap().body.is_some());
    let outline = admin.get(get(&id)).await.unwrap().into_inner();
    let outline = outline.message.unwrap();
    assert!(outline.body.is_none() && outline.body_withheld);
    assert_eq!(outline.id, id);
    assert_eq!(outline.kind(), v1::Kind::OfficialLetter);
}
