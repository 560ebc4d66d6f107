//! Own people and programs to their node: gRPC, by role.
//!
//! # Layout
//!
//! - [`caller`]: who calls, and the one table of what each role may do. Default deny.
//! - [`errors`]: every way to refuse, and the one table from there to gRPC.
//! - `service`, `audit_service`: the generated traits; identify, admit, call, log what was refused.
//! - `submit`, `submit_many`, `acknowledge`, `read`, `watch`, `files`, `status`, `due`, `report`, `audit`,
//!   `lateness`, `link`: the calls.
//! - `key_copies`: copies of the files of keys.
//! - [`keys`]: which keys hold, and changes of this node's own.
//! - `retention`: what the rules will erase, and cases on hold.
//! - `bundle`: what is carried by hand, out and in.
//! - `backup`: everything, for administrators.
//! - `figures`: what the node counts of its own work.
//! - `handling`: what handling codes restrict, asked at each use; sending on to another peer.
//! - `journal`: who comes and who is refused, around every call; what calls do is noted by them.
//! - `health`: serving means: can sign, can append, can journal.
//!
//! Nothing here decides what a message may say (`model`) or how it is recorded
//! ([`exchange`](crate::exchange)); the desk decides who may ask.

mod acknowledge;
mod audit;
mod audit_service;
mod backup;
mod bundle;
pub mod caller;
mod cases;
mod due;
mod erase;
pub mod errors;
mod figures;
mod files;
mod handling;
mod health;
mod journal;
mod journal_service;
mod key_copies;
pub mod keys;
mod lateness;
mod link;
pub mod quota;
mod read;
mod report;
mod retention;
mod seats;
mod service;
mod status;
mod submit;
mod submit_many;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::exchange::Exchange;
use crate::journal::Journal;
use crate::limits::{
    BUNDLES_MAX, CALLER_DOWNLOADS_MAX, CALLER_READS_MAX, CALLER_SUBMIT_STREAMS_MAX,
    CALLER_SUBMITS_MAX, CALLER_UPLOADS_MAX, CALLER_WATCHERS_MAX, DESK_MESSAGE_BYTES_MAX,
    DOWNLOADS_MAX, EXPORTS_MAX, READS_MAX, SUBMIT_MANY_HEAVY_MAX, SUBMIT_STREAMS_MAX, SUBMITS_MAX,
    UPLOADS_MAX, WATCHERS_MAX,
};
use crate::model::retention::Policy;
use crate::proto::v1;
use crate::proto::v1::audit_service_server::AuditServiceServer;
use crate::proto::v1::backup_service_server::BackupServiceServer;
use crate::proto::v1::bundle_service_server::BundleServiceServer;
use crate::proto::v1::desk_service_server::DeskServiceServer;
use crate::proto::v1::erasure_service_server::ErasureServiceServer;
use crate::proto::v1::figures_service_server::FiguresServiceServer;
use crate::proto::v1::handling_service_server::HandlingServiceServer;
use crate::proto::v1::journal_service_server::JournalServiceServer;
use crate::proto::v1::key_copies_service_server::KeyCopiesServiceServer;
use crate::proto::v1::keys_service_server::KeysServiceServer;
use crate::proto::v1::link_service_server::LinkServiceServer;
use crate::proto::v1::retention_service_server::RetentionServiceServer;
use errors::DeskError;
use quota::DeskQuotas;
use seats::Seats;

/// What programs may send.
#[derive(Debug, Clone, Default)]
pub struct DeskRules {
    /// By the name in a program's certificate, the numbers of the [`v1::Kind`]s it may submit. A
    /// program that is not named may submit nothing.
    pub integrations: BTreeMap<String, BTreeSet<i32>>,
    /// How much everyone may take.
    pub quotas: DeskQuotas,
}

/// What only the running node knows.
#[derive(Clone)]
pub struct NodeFacts {
    /// Free disk space below which nothing is recorded.
    pub disk_free_bytes_min: u64,
    /// The certificates in use, as they stand at a Unix time in seconds.
    pub certificates: Arc<dyn Fn(u64) -> Vec<v1::CertificateStatus> + Send + Sync>,
    /// The time zones of this node and its peers by their IANA names, by node name: in which times
    /// are shown where a side has published no calendar.
    pub zones: BTreeMap<String, String>,
}

impl fmt::Debug for NodeFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeFacts")
            .field("disk_free_bytes_min", &self.disk_free_bytes_min)
            .finish_non_exhaustive()
    }
}

/// The desk of one node; both listeners serve the same one.
#[derive(Debug)]
pub struct Desk {
    exchange: Arc<Exchange>,
    /// Who did what. What is to be noted there is noted before it is done.
    journal: Journal,
    repeats: journal::Repeats,
    journal_health: journal::JournalHealth,
    rules: DeskRules,
    facts: NodeFacts,
    /// The node is going down: streams end.
    stop: CancellationToken,
    watchers: Seats,
    reads: Seats,
    submits: Seats,
    submit_streams: Seats,
    /// For drafts of streams that take much memory.
    heavy_submits: Arc<Semaphore>,
    uploads: files::Uploads,
    downloads: Seats,
    exports: Arc<Semaphore>,
    /// Changes this node's keys; set by the node that runs it.
    keeper: OnceLock<Arc<dyn keys::KeyKeeper>>,
    bundles: Arc<Semaphore>,
    backups: Arc<Semaphore>,
    /// The rules of retention; set by the node that runs it.
    retention: OnceLock<Arc<Policy>>,
}

impl Desk {
    /// A desk. Its streams end when `stop` is cancelled, so that the node can drain.
    #[must_use]
    pub fn new(
        exchange: Arc<Exchange>,
        journal: Journal,
        rules: DeskRules,
        facts: NodeFacts,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            exchange,
            journal,
            repeats: journal::Repeats::default(),
            journal_health: journal::JournalHealth::default(),
            rules,
            facts,
            stop,
            watchers: Seats::new(WATCHERS_MAX, CALLER_WATCHERS_MAX),
            reads: Seats::new(READS_MAX, CALLER_READS_MAX),
            submits: Seats::new(SUBMITS_MAX, CALLER_SUBMITS_MAX),
            submit_streams: Seats::new(SUBMIT_STREAMS_MAX, CALLER_SUBMIT_STREAMS_MAX),
            heavy_submits: Arc::new(Semaphore::new(SUBMIT_MANY_HEAVY_MAX)),
            uploads: files::Uploads::new(Seats::new(UPLOADS_MAX, CALLER_UPLOADS_MAX)),
            downloads: Seats::new(DOWNLOADS_MAX, CALLER_DOWNLOADS_MAX),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            keeper: OnceLock::new(),
            bundles: Arc::new(Semaphore::new(BUNDLES_MAX)),
            backups: Arc::new(Semaphore::new(1)),
            retention: OnceLock::new(),
        })
    }

    /// Gives the desk the rules of retention, to tell what they would erase. Without, there are none.
    pub fn keep_to(&self, policy: Arc<Policy>) {
        // A second one would be a mistake of the caller; the first stays.
        drop(self.retention.set(policy));
    }

    /// Gives the desk who changes this node's keys. Without, keys can only be listed.
    pub fn keep_keys(&self, keeper: Arc<dyn keys::KeyKeeper>) {
        // A second one would be a mistake of the caller; the first stays.
        drop(self.keeper.set(keeper));
    }
}

/// Every service of the desk: notifications, audit, backup, bundles, health, reflection. Call it once and give
/// clones to the listeners, whose connections must tell who calls
/// ([`ConnectInfo`](crate::link::connection::ConnectInfo)); without that, every call is refused.
///
/// Starts the tasks that keep the health up to date and write down what was counted; they end with the
/// node.
pub async fn services(desk: &Arc<Desk>) -> Routes {
    let calls =
        DeskServiceServer::new(Arc::clone(desk)).max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let evidence =
        AuditServiceServer::new(Arc::clone(desk)).max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let keys =
        KeysServiceServer::new(Arc::clone(desk)).max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let retention = RetentionServiceServer::new(Arc::clone(desk))
        .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let key_copies = KeyCopiesServiceServer::new(Arc::clone(desk))
        .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let links =
        LinkServiceServer::new(Arc::clone(desk)).max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let backup = BackupServiceServer::new(Arc::clone(desk))
        .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let journal = JournalServiceServer::new(Arc::clone(desk))
        .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let carriage = BundleServiceServer::new(Arc::clone(desk))
        .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let erasure = ErasureServiceServer::new(Arc::clone(desk))
        .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let handling = HandlingServiceServer::new(Arc::clone(desk))
        .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let figures = FiguresServiceServer::new(Arc::clone(desk))
        .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX);
    let routes = Routes::new(calls)
        .add_service(figures)
        .add_service(erasure)
        .add_service(evidence)
        .add_service(handling)
        .add_service(keys)
        .add_service(key_copies)
        .add_service(retention)
        .add_service(links)
        .add_service(backup)
        .add_service(carriage)
        .add_service(journal)
        .add_service(health::serve(desk).await)
        .add_service(health::reflection());
    desk.keep_counts();
    let noted = routes
        .into_axum_router()
        .layer(journal::Journalled(Arc::clone(desk)));
    Routes::from(noted)
}

impl Desk {
    /// Reads for a caller where it may block; one caller cannot take every thread.
    async fn reading<T, F>(&self, caller: &caller::Caller, work: F) -> Result<T, DeskError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, DeskError> + Send + 'static,
    {
        let seat = self.reads.take(caller);
        let seat = seat.ok_or(DeskError::Crowded { what: "calls" })?;
        // Within the work: a caller who goes away does not end what runs.
        blocking(move || {
            let done = work();
            drop(seat);
            done
        })
        .await
    }
}

/// Runs what blocks on the disk where it may block.
async fn blocking<T, F>(work: F) -> Result<T, DeskError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, DeskError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(DeskError::Stopping),
    }
}
