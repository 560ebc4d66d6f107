//! The node's state: status, health, held links, reflection.

use std::time::Duration;

use liaison::exchange::hold::Hold;
use liaison::exchange::session::End;
use liaison::store::Failure;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::sides::{join, link_of, patiently};

async fn status(desk: &mut Caller) -> v1::StatusResponse {
    desk.status(v1::StatusRequest {})
        .await
        .unwrap()
        .into_inner()
}

async fn health(counter: &Counter, service: &str) -> ServingStatus {
    let mut client = HealthClient::new(counter.channel().await);
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    client.check(request).await.unwrap().into_inner().status()
}

#[tokio::test]
async fn status_tells_what_there_is() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    desk.submit(submission(counter.letter(1))).await.unwrap();
    let told = status(&mut desk).await;
    assert_eq!(told.node, "laocai.bg.vn.example");
    assert_eq!(told.version, env!("CARGO_PKG_VERSION"));
    assert!(told.serving && told.trouble.is_empty());
    assert!(told.free_disk_bytes > FLOOR_BYTES);
    assert_eq!(told.certificates[0].days_left, 1_795_000_000);
    let link = &told.links[0];
    assert_eq!(link.peer, "hekou.ni.cn.example");
    assert_eq!(
        (link.own_size, link.delivered_size, link.mirrored_size),
        (1, 0, 0)
    );
    assert_eq!(link.state(), v1::LinkState::Down);

    let theirs = counter.peer.open(&counter.side);
    let running = join(&counter.exchange, &theirs);
    crate::sides::quiet(&counter.exchange, &theirs).await;
    let link = status(&mut desk).await.links.remove(0);
    assert_eq!(link.state(), v1::LinkState::Up);
    assert_eq!((link.own_size, link.delivered_size), (1, 1));
    assert!(link.heard_at.is_some() && !link.clock_skewed);
    drop(running.end().await);
}

#[tokio::test]
async fn a_store_that_fails_ends_serving_at_once() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    for service in ["", "liaison.v1.DeskService", "liaison.v1.AuditService"] {
        assert_eq!(health(&counter, service).await, ServingStatus::Serving);
    }
    counter.side.store.fail_commit(0, Failure::Before);
    let answer = desk.submit(submission(counter.letter(1))).await;
    assert_refused(answer, Code::Unavailable, "STORE_STOPPED");
    let changed = async {
        while health(&counter, "").await == ServingStatus::Serving {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    patiently(changed).await;
    let told = status(&mut desk).await;
    assert!(
        !told.serving && told.trouble.contains("restart"),
        "{}",
        told.trouble
    );
    let answer = desk.submit(submission(counter.letter(1))).await;
    assert_refused(answer, Code::Unavailable, "STORE_STOPPED");
}

#[tokio::test]
async fn a_full_disk_is_said_and_passes() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let draft = v1::Draft {
        id: id_of(1),
        ..counter.letter(1)
    };
    counter.side.store.set_full(true);
    let answer = desk.submit(submission(draft.clone())).await;
    let refusal = assert_refused(answer, Code::ResourceExhausted, "DISK_RESERVED");
    assert!(refusal.get_details_retry_info().is_some());
    let told = status(&mut desk).await;
    assert!(
        !told.serving && told.trouble.contains("disk"),
        "{}",
        told.trouble
    );
    assert_eq!(counter.own_size(), 0);
    counter.side.store.set_full(false);
    let answer = desk.submit(submission(draft)).await.unwrap().into_inner();
    assert!(!answer.already_recorded);
    assert!(status(&mut desk).await.serving);
}

#[tokio::test]
async fn a_held_link_is_shown_and_released_with_a_reason() {
    let counter = Counter::open().await;
    let mut admin = counter.caller("admin/qt-1").await;
    let peer = counter.peer.name.to_string();
    let release = |reason: &str| v1::ReleaseLinkRequest {
        peer: peer.clone(),
        reason: reason.to_owned(),
    };
    let answer = admin.release_link(release("không có gì")).await;
    assert_refused(answer, Code::FailedPrecondition, "LINK_NOT_HELD");

    let link = link_of(&counter.exchange);
    let hold = Hold {
        code: v1::FaultCode::RootMismatch as i32,
        origin: link.mirror.to_string(),
        index: 7,
        text: "the roots\u{202E} differ".to_owned(),
        evidence: Vec::new(),
        equivocation: None,
        at_ms: 1_795_000_000_000,
    };
    counter.exchange.hold(&link, hold).await.unwrap();
    let told = status(&mut admin).await;
    assert_eq!(told.links[0].state(), v1::LinkState::Held);
    assert!(
        told.links[0].detail.contains("\\u{202E}"),
        "{}",
        told.links[0].detail
    );
    assert_eq!(told.incidents.len(), 1);
    let theirs = counter.peer.open(&counter.side);
    let (end, _) = join(&counter.exchange, &theirs).ended().await;
    assert!(!matches!(end, End::Closed), "a held link has no session");

    for reason in ["", "  ", "a\nb", &"x".repeat(10_000)] {
        assert_field(admin.release_link(release(reason)).await, "reason");
    }
    let unknown = v1::ReleaseLinkRequest {
        peer: "nowhere.example".to_owned(),
        reason: "x".to_owned(),
    };
    assert_field(admin.release_link(unknown).await, "peer");
    admin
        .release_link(release("đã đối chiếu qua điện thoại"))
        .await
        .unwrap();
    let told = status(&mut admin).await;
    assert_eq!(told.links[0].state(), v1::LinkState::Down);
    assert!(told.incidents[0].what.contains("đối chiếu"));
}

#[tokio::test]
async fn generic_clients_find_the_services() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let counter = Counter::open().await;
    let mut client = ServerReflectionClient::new(counter.channel().await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answer = client
        .server_reflection_info(tokio_stream::iter([ask]))
        .await;
    let answer = answer
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list");
    };
    let names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    assert!(
        names.contains(&"liaison.v1.DeskService".to_owned()),
        "{names:?}"
    );
    assert!(
        !names.contains(&"liaison.v1.ExchangeService".to_owned()),
        "{names:?}"
    );
}
