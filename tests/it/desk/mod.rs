//! The desk as its callers meet it: gRPC over a real Unix socket, before an exchange in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod deadlines;
mod evidence;
mod files;
mod following;
mod handling;
mod journal;
mod quotas;
mod reading;
mod roles;
mod searching;
mod state;
mod submitting;
mod submitting_many;
mod submitting_many_bounds;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use liaison::desk::quota::DeskQuotas;
use liaison::desk::{self, Desk, DeskRules, NodeFacts};
use liaison::exchange::Exchange;
use liaison::journal::Journal;
use liaison::link::accept::AcceptLimits;
use liaison::link::connection::ConnectInfo;
use liaison::link::dial::{DialLimits, dial_local};
use liaison::link::identity::{DeskIdentity, Identity, Role};
use liaison::link::local::{LocalListener, accept_local};
use liaison::link::serve::server_builder;
use liaison::model::sample;
use liaison::proto::v1;
use liaison::proto::v1::audit_service_client::AuditServiceClient;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use liaison::proto::v1::link_service_client::LinkServiceClient;
use liaison::store::MemoryStore;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Interceptor, InterceptorLayer};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::sides::{Side, sides};

/// How a test says in which role it calls; a listener with certificates would know by itself.
const ROLE: &str = "test-role";

/// A free disk that the tests never fall below by themselves.
const FLOOR_BYTES: u64 = 1 << 20;

/// A desk with everything behind it.
struct Counter {
    side: Side,
    peer: Side,
    exchange: Arc<Exchange>,
    desk: Arc<Desk>,
    journal: Journal,
    journal_store: MemoryStore,
    socket: PathBuf,
    stop: CancellationToken,
}

impl Counter {
    async fn open() -> Self {
        let (side, peer) = sides();
        let exchange = side.open(&peer);
        Self::before(side, peer, exchange).await
    }

    /// Puts a desk before an exchange.
    async fn before(side: Side, peer: Side, exchange: Arc<Exchange>) -> Self {
        Self::limited(side, peer, exchange, DeskQuotas::default(), FLOOR_BYTES).await
    }

    /// The same, with quotas, and a floor of free disk space.
    async fn limited(
        side: Side,
        peer: Side,
        exchange: Arc<Exchange>,
        quotas: DeskQuotas,
        floor_bytes: u64,
    ) -> Self {
        let stop = CancellationToken::new();
        let kinds = |kinds: &[v1::Kind]| kinds.iter().map(|kind| *kind as i32).collect();
        let integrations: [(&str, BTreeSet<i32>); 2] = [
            ("radar", kinds(&[v1::Kind::CrossingAlert])),
            (
                "registry",
                kinds(&[
                    v1::Kind::OfficialLetter,
                    v1::Kind::HandoverRequest,
                    v1::Kind::Withdrawal,
                ]),
            ),
        ];
        let rules = DeskRules {
            integrations: integrations
                .map(|(name, kinds)| (name.to_owned(), kinds))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            quotas,
        };
        let facts = NodeFacts {
            disk_free_bytes_min: floor_bytes,
            certificates: Arc::new(|now| {
                vec![v1::CertificateStatus {
                    days_left: i64::try_from(now).unwrap(),
                    ..v1::CertificateStatus::default()
                }]
            }),
            zones: BTreeMap::new(),
        };
        let (journal, journal_store) = crate::journal::of_side(&side);
        let desk = Desk::new(
            Arc::clone(&exchange),
            journal.clone(),
            rules,
            facts,
            stop.clone(),
        );
        let socket = side.dir.path().join("run/desk.sock");
        let listener = LocalListener::bind(&socket).unwrap();
        let incoming = accept_local(listener, AcceptLimits::desk());
        let routes = desk::services(&desk).await;
        let serving = server_builder()
            .layer(InterceptorLayer::new(|request| Ok(in_role(request))))
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        tokio::spawn(serving);
        Self {
            side,
            peer,
            exchange,
            desk,
            journal,
            journal_store,
            socket,
            stop,
        }
    }

    async fn channel(&self) -> Channel {
        let dialled = dial_local(&self.socket, &DialLimits::default()).await;
        dialled.unwrap().channel
    }

    /// A caller in a role, such as `integration/radar`; empty for the user of the socket.
    async fn caller(&self, role: &'static str) -> Caller {
        DeskServiceClient::with_interceptor(self.channel().await, As(role))
    }

    async fn operator(&self) -> Caller {
        self.caller("").await
    }

    async fn auditor(&self) -> AuditServiceClient<InterceptedService<Channel, As>> {
        AuditServiceClient::with_interceptor(self.channel().await, As("auditor/kt-1"))
    }

    fn letter(&self, number: usize) -> v1::Draft {
        crate::sides::letter(&self.peer, number)
    }

    /// A sample to the peer, without the files and ids that it speaks of.
    fn sample(&self, name: &str) -> v1::Draft {
        let mut draft = sample::find(name).unwrap().draft().unwrap();
        draft.id.clear();
        draft.recipient = self.peer.name.to_string();
        draft
    }

    fn alert(&self) -> v1::Draft {
        self.sample("crossing-alert-sensor")
    }

    fn own_size(&self) -> u64 {
        crate::sides::link_of(&self.exchange).head().own_size
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

type Caller = DeskServiceClient<InterceptedService<Channel, As>>;

/// Sends the role along.
#[derive(Clone)]
struct As(&'static str);

impl Interceptor for As {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if !self.0.is_empty() {
            let role = MetadataValue::from_static(self.0);
            request.metadata_mut().insert(ROLE, role);
        }
        Ok(request)
    }
}

/// Makes the caller the one it says it is, in the place where the connection says so.
fn in_role(mut request: Request<()>) -> Request<()> {
    let Some(role) = request.metadata().get(ROLE) else {
        return request;
    };
    let (role, name) = role.to_str().unwrap().split_once('/').unwrap();
    let role = Role::ALL.into_iter().find(|known| known.as_str() == role);
    let identity = DeskIdentity::new(role.unwrap(), name).unwrap();
    let info = request.extensions().get::<ConnectInfo>().unwrap().clone();
    request.extensions_mut().insert(ConnectInfo {
        identity: Identity::Desk(identity),
        ..info
    });
    request
}

fn submission(draft: v1::Draft) -> v1::SubmitRequest {
    v1::SubmitRequest { draft: Some(draft) }
}

fn get(id: &str) -> v1::GetRequest {
    v1::GetRequest {
        id: id.to_owned(),
        ..v1::GetRequest::default()
    }
}

fn id_of(number: u64) -> String {
    let mut random = [7; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    liaison::model::MessageId::from_parts(1_795_000_000_000, random).to_string()
}

/// The fields at fault and the text of each.
fn violations(status: &Status) -> Vec<(String, String)> {
    let bad = status.get_details_bad_request();
    bad.into_iter()
        .flat_map(|bad| bad.field_violations)
        .map(|violation| (violation.field, violation.description))
        .collect()
}

/// The refusal has this code and reason.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(
    answer: Result<T, Status>,
    code: Code,
    reason: &str,
) -> Status {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        (reason, "liaison")
    );
    status
}

/// The refusal names this field among those at fault.
#[track_caller]
fn assert_field<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str) -> Status {
    let status = assert_refused(answer, Code::InvalidArgument, "BAD_FIELDS");
    let told = violations(&status);
    let named = told.iter().find(|(at, _)| at == field);
    let (_, text) = named.unwrap_or_else(|| panic!("{field} is not among {told:#?}"));
    // What is wrong; what to do.
    assert!(text.contains("; "), "{text}");
    status
}
