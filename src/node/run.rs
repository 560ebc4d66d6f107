//! The running node: open, bind, spawn, wait, drain.
//!
//! Nothing is bound before everything has been read and opened; nothing is served from a store
//! that is not what it was.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use super::config::Config;
use super::document::Fault;
use super::journal;
use super::key_files::KeyFiles;
use super::keyring::Keyring;
use super::links::LinkConfig;
use super::material;
use super::passphrase::PassphraseError;
use super::peer_card::KeyRole;
use super::public_keys::{self, PUBLIC_FILE};
use super::storage_source::StorageError;
use super::token::TokenError;
use crate::crypto::history::StartKeys;
use crate::crypto::keys::KeyError;
use crate::desk::quota::DeskQuotas;
use crate::desk::{self, Desk, DeskRules, NodeFacts};
use crate::exchange::clock::{Clock, Entropy, SystemClock, timestamp_of_seconds};
use crate::exchange::{
    Exchange, Foundations, LinkTerms, NodeKeys, OpenError, PeerKeys, PeerMessageKey, RecorderMode,
};
use crate::journal::{Journal, JournalError};
use crate::limits::{DRAIN_PUSH_TIME_MAX, DRAIN_TIME_MAX};
use crate::link::accept::{AcceptLimits, accept};
use crate::link::bodies::BoundBodies;
use crate::link::calls::CountCalls;
use crate::link::expiry::{ExpiryLog, expiry_status};
use crate::link::files::MaterialError;
use crate::link::keeper::Keeper;
use crate::link::local::{LocalError, LocalListener, accept_local};
use crate::link::reload::{POLL_INTERVAL, Reloader};
use crate::link::serve::server_builder;
use crate::link::service::ExchangeDoor;
use crate::link::tls::{DeskTls, ExchangeTls, TlsOptions};
use crate::model::NodeName;
use crate::proto::v1;
use crate::store::{Blobs, Marks, OpenOptions, SledStore, StoreError, Vault, VaultError};

/// How often certificates are looked at for their end.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(3_600);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No passphrase.
    #[error("the passphrase of the keys is not to be had")]
    Passphrase(#[from] PassphraseError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file of public keys.
    #[error(transparent)]
    PublicKeys(#[from] Fault),
    /// A file of public keys cannot be written.
    #[error("the public keys cannot be written to {}", .file.display())]
    SaveKeys {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The token with the message key.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A key file without encryption, which the configuration does not allow.
    #[error(
        "{} is not encrypted. Encrypt it, or set allow_unencrypted_keys = true under [keys] if \
         this is a trial",
        .file.display()
    )]
    Unencrypted {
        /// The key file.
        file: PathBuf,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys of what lies on the disk.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The storage key.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Bodies lie sealed, and the configuration says that they do not.
    #[error(
        "what lies here is sealed under the keys in {}, and [at_rest] says encrypt = false. Remove that \
         line: what was sealed is opened with these keys only",
        .dir.display()
    )]
    LiesSealed {
        /// The key files.
        dir: PathBuf,
    },
    /// What the store holds.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A peer card's key.
    #[error("the card of {peer} has no usable log key")]
    Card {
        /// The peer.
        peer: NodeName,
    },
    /// Certificates.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A listener.
    #[error(
        "cannot listen on {address}; is another node running, or the address not this machine's?"
    )]
    Bind {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The Unix socket.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Signals.
    #[error("the system does not deliver signals")]
    Signal(#[source] std::io::Error),
}

/// Makes the store of a new node. A node never makes one by itself: a store that has vanished
/// must not be replaced by an empty one.
///
/// # Errors
/// When it cannot be made.
pub fn create_store(data_dir: &Path) -> Result<(), StoreError> {
    SledStore::open(&OpenOptions::new(data_dir).create()).map(drop)
}

/// What a node takes from the world around it.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Dates all that the node records, signs and measures. Certificates are judged by the
    /// machine's own clock, whatever this one says.
    pub clock: Arc<dyn Clock>,
}

impl Surroundings {
    /// This machine.
    #[must_use]
    pub fn of_machine() -> Self {
        Self {
            clock: Arc::new(SystemClock),
        }
    }
}

/// How a node went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything ended in order.
    Whole,
    /// Something did not end in time and was cut. Nothing that was acknowledged is lost by it.
    Cut,
}

/// Runs a node until `shutdown`, then drains it within
/// [`DRAIN_TIME_MAX`].
///
/// # Errors
/// [`NodeError`] when it cannot start.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<Drained, NodeError> {
    run_in(config, Surroundings::of_machine(), shutdown).await
}

/// As [`run()`], in surroundings of the caller's choice: to replay what took place at other times.
///
/// # Errors
/// [`NodeError`] when it cannot start.
pub async fn run_in(
    config: Config,
    surroundings: Surroundings,
    shutdown: impl Future<Output = ()>,
) -> Result<Drained, NodeError> {
    // Before anything that takes time: until it is listened to, SIGHUP ends the process.
    let hangup = signal(SignalKind::hangup()).map_err(NodeError::Signal)?;
    let files = key_files(&config)?;
    let public_file = config.keys.message.with_file_name(PUBLIC_FILE);
    let public = public_keys::load(&public_file, &config.node)?.unwrap_or_default();
    let vault = files.vault(&config.at_rest, &config.data_dir)?;
    let clock = Arc::clone(&surroundings.clock);
    let exchange = open_exchange(&config, files.current()?, vault, surroundings)?;
    let journal = journal::open(&config, &clock)?;
    journal::begin(&journal, &config).await?;
    let links = config.links.iter().filter(|link| !link.witness_journal);
    let without = links.map(|link| link.peer.clone()).collect();
    exchange.keep_journal(journal.clone(), without);
    let authority = config.exchange.authority.clone();
    let keyring = Keyring::open(Arc::clone(&exchange), files, public_file, authority, public)?;
    // Before anything is shown: what was to be gone is gone.
    if let Err(error) = exchange.begin_erasures().await {
        tracing::error!(%error, "an erasure is not complete; it is tried again every hour");
    }
    fold_cases(&exchange).await?;
    let options = TlsOptions::new(config.allow_example_ca);
    let exchange_tls = material::exchange(&config, options.clone())?;
    let desk_tls = material::desk(&config, options)?;
    let running = Running {
        no_more_work: CancellationToken::new(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        exchange,
        journal: Some(journal.clone()),
        desk: OnceLock::new(),
        keyring: Some(keyring),
        exchange_tls,
        desk_tls,
    };
    running.serve_peers(&config).await?;
    running.serve_desk(&config, journal.clone()).await?;
    running.keep_retention(&config, journal);
    running.keep_links(&config);
    running.keep_deadlines();
    running.keep_space(&config);
    running.watch_material(hangup);
    tracing::info!(
        node = %config.node, links = config.links.len(), version = env!("CARGO_PKG_VERSION"),
        "node running"
    );
    shutdown.await;
    Ok(running.drain().await)
}

pub(super) fn key_files(config: &Config) -> Result<KeyFiles, NodeError> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let passphrase = config.keys.passphrase.get(credentials.as_deref(), || {
        rpassword::prompt_password(format!("Passphrase of {}'s keys: ", config.node))
            .map(Zeroizing::new)
    })?;
    Ok(KeyFiles {
        node: config.node.clone(),
        token: config.keys.token.clone(),
        credentials,
        message: config.keys.message.clone(),
        log: config.keys.log.clone(),
        storage: config.keys.storage.clone(),
        passphrase,
        allow_unencrypted: config.keys.allow_unencrypted,
    })
}

/// The keys with which a log of this node begins today.
pub(super) fn own_start(config: &Config, keys: &NodeKeys) -> Result<StartKeys, NodeError> {
    let file = config.keys.message.with_file_name(PUBLIC_FILE);
    let public = public_keys::load(&file, &config.node)?.unwrap_or_default();
    Ok(StartKeys {
        officers: public.officers,
        recovery: public.recovery,
        ..keys.start(&config.node)
    })
}

/// How the store of a node is opened.
pub(super) fn store_options(config: &Config) -> OpenOptions {
    let mut options = OpenOptions::new(&config.data_dir);
    options.cache_bytes = config.limits.cache_bytes;
    options.free_bytes_min = config.limits.disk_free_bytes_min;
    options
}

pub(super) fn open_exchange(
    config: &Config,
    keys: NodeKeys,
    vault: Option<Arc<Vault>>,
    surroundings: Surroundings,
) -> Result<Arc<Exchange>, NodeError> {
    let options = store_options(config);
    let store = Arc::new(SledStore::open(&options)?);
    let mut blobs = Blobs::open(&config.data_dir, config.limits.disk_free_bytes_min)?;
    if let Some(vault) = vault {
        vault.keep_marks(&config.data_dir)?;
        blobs = blobs.sealed(vault);
    }
    let marks = Marks::open(&config.data_dir)?;
    let own_start = own_start(config, &keys)?;
    let terms = config
        .links
        .iter()
        .map(|link| link_terms(&config.node, link, &own_start))
        .collect::<Result<Vec<_>, _>>()?;
    let foundations = Foundations {
        node: config.node.clone(),
        keys,
        store,
        blobs: Arc::new(blobs),
        marks,
        clock: surroundings.clock,
        entropy: Entropy::system(),
    };
    let exchange = Exchange::open(foundations, terms, RecorderMode::Thread)?;
    exchange.limit_peers(config.limits.peer, config.limits.disk_free_bytes_min);
    Ok(exchange)
}

/// Folds what is new in both logs of every link before anyone is served: whoever comes first would
/// else wait for it on a thread that others need.
async fn fold_cases(exchange: &Arc<Exchange>) -> Result<(), NodeError> {
    // What is not whole is folded when it is.
    let whole = exchange
        .links()
        .filter(|link| exchange.restoring(link).is_none());
    for link in whole {
        let (folding, link) = (Arc::clone(exchange), Arc::clone(link));
        let runtime = tokio::runtime::Handle::current();
        let fold = move || runtime.block_on(folding.fold(&link));
        match tokio::task::spawn_blocking(fold).await {
            Ok(folded) => folded.map_err(|error| NodeError::Open(error.into()))?,
            // The runtime is going down, and the node with it.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

pub(super) fn link_terms(
    node: &NodeName,
    link: &LinkConfig,
    own_start: &StartKeys,
) -> Result<LinkTerms, NodeError> {
    // The only one, and without bounds: see `PeerCard::check_known_use`.
    let no_key = || NodeError::Card {
        peer: link.peer.clone(),
    };
    let log_key = link.card.log_keys().next().ok_or_else(no_key)?;
    let of_role = |role| {
        let keys = link.card.of_role(role);
        keys.map(|key| key.vkey.clone()).collect::<Vec<_>>()
    };
    let message_keys = link.card.message_keys().map(|key| PeerMessageKey {
        vkey: key.vkey.clone(),
        first_index: key.valid_from_index,
        last_index: key.valid_until_index,
    });
    Ok(LinkTerms {
        peer: link.peer.clone(),
        keys: PeerKeys {
            message_keys: message_keys.collect(),
            cosigner_key: log_key.vkey.clone(),
            officers: of_role(KeyRole::Officer),
            recovery: of_role(KeyRole::Recovery).into_iter().next(),
        },
        own_start: own_start_of(node, link, own_start)?,
        classification_max: link.classification_max,
    })
}

/// The keys with which the own log on a link began. What they were is written down when the link is
/// first run: from then on they are what the peer was given.
fn own_start_of(
    node: &NodeName,
    link: &LinkConfig,
    today: &StartKeys,
) -> Result<StartKeys, NodeError> {
    let file = link.start_file();
    if let Some(keys) = public_keys::load(&file, node)? {
        return Ok(keys);
    }
    let head = format!(
        "# The keys with which the log of {node} to {} began: those of the card that the peer was\n\
         # given. Every later key follows from them by the log itself. Never change this file.",
        link.peer
    );
    match public_keys::save(&file, &head, today) {
        Ok(()) => Ok(today.clone()),
        Err(source) => Err(NodeError::SaveKeys { file, source }),
    }
}

/// A node with everything it runs.
pub(super) struct Running {
    /// The desk takes nothing more.
    pub(super) no_more_work: CancellationToken,
    /// Everything else ends.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) exchange: Arc<Exchange>,
    /// Who did what; not while records are only fetched back.
    pub(super) journal: Option<Journal>,
    /// The desk, once it is served.
    pub(super) desk: OnceLock<Arc<Desk>>,
    /// Changes the keys; not while records are only fetched back.
    pub(super) keyring: Option<Arc<Keyring>>,
    pub(super) exchange_tls: Arc<Reloader<ExchangeTls>>,
    pub(super) desk_tls: Option<Arc<Reloader<DeskTls>>>,
}

impl Running {
    pub(super) async fn serve_peers(&self, config: &Config) -> Result<(), NodeError> {
        let Some(address) = config.exchange.listen else {
            return Ok(());
        };
        let listener = bind(address).await?;
        let incoming = accept(
            listener,
            Arc::clone(&self.exchange_tls),
            AcceptLimits::exchange(),
        )
        .cut_idle_after(self.stop.clone());
        let service = ExchangeDoor::service(
            Arc::clone(&self.exchange),
            self.stop.clone(),
            self.tasks.clone(),
        );
        let stop = self.stop.clone();
        self.spawn("exchange listener", async move {
            server_builder()
                .layer(CountCalls)
                .layer(BoundBodies::new())
                .add_service(service)
                .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
                .await
        });
        Ok(())
    }

    /// The desk, on its Unix socket and, if so configured, over TCP.
    async fn serve_desk(&self, config: &Config, journal: Journal) -> Result<(), NodeError> {
        let rules = || config.desk.integrations.iter();
        let rules = DeskRules {
            integrations: rules()
                .map(|rule| (rule.name.clone(), rule.kinds.clone()))
                .collect(),
            quotas: DeskQuotas {
                everyone: config.limits.desk,
                programs: rules()
                    .map(|rule| (rule.name.clone(), rule.quota))
                    .collect(),
            },
        };
        let desk = Desk::new(
            Arc::clone(&self.exchange),
            journal,
            rules,
            self.facts(config),
            self.no_more_work.clone(),
        );
        desk.keep_to(Arc::new(config.retention.clone()));
        if let Some(keyring) = &self.keyring {
            desk.keep_keys(Arc::clone(keyring) as Arc<_>);
        }
        drop(self.desk.set(Arc::clone(&desk)));
        let routes = desk::services(&desk).await;
        if let (Some(tcp), Some(tls)) = (&config.desk.tcp, &self.desk_tls) {
            let listener = bind(tcp.listen).await?;
            let incoming = accept(listener, Arc::clone(tls), AcceptLimits::desk_tcp())
                .cut_idle_after(self.no_more_work.clone());
            let server = server_builder()
                .layer(CountCalls)
                .layer(BoundBodies::new())
                .add_routes(routes.clone());
            let stop = self.no_more_work.clone().cancelled_owned();
            self.spawn("desk listener", async move {
                server.serve_with_incoming_shutdown(incoming, stop).await
            });
        }
        let listener = LocalListener::bind(&config.desk.socket)?;
        let incoming =
            accept_local(listener, AcceptLimits::desk()).cut_idle_after(self.no_more_work.clone());
        let stop = self.no_more_work.clone().cancelled_owned();
        self.spawn("desk socket", async move {
            server_builder()
                .layer(CountCalls)
                .layer(BoundBodies::new())
                .add_routes(routes)
                .serve_with_incoming_shutdown(incoming, stop)
                .await
        });
        Ok(())
    }

    fn facts(&self, config: &Config) -> NodeFacts {
        let (exchange_tls, desk_tls) = (Arc::clone(&self.exchange_tls), self.desk_tls.clone());
        let certificates = move |now: u64| {
            let mut expires = exchange_tls.current().value.expires().to_vec();
            if let Some(desk_tls) = &desk_tls {
                expires.extend_from_slice(desk_tls.current().value.expires());
            }
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            expiry_status(&expires, now)
                .into_iter()
                .map(|info| v1::CertificateStatus {
                    r#use: info.of.to_string(),
                    not_after: u64::try_from(info.not_after_unix)
                        .ok()
                        .map(timestamp_of_seconds),
                    days_left: info.days_left,
                    warning: info.warning.unwrap_or_default(),
                })
                .collect()
        };
        let links = config.links.iter();
        let zones = links
            .map(|link| (link.peer.to_string(), link.card.time_zone.clone()))
            .chain([(config.node.to_string(), config.time_zone.clone())]);
        NodeFacts {
            disk_free_bytes_min: config.limits.disk_free_bytes_min,
            certificates: Arc::new(certificates),
            zones: zones.collect(),
        }
    }

    /// Dials where this side dials, and confirms files as they come.
    fn keep_links(&self, config: &Config) {
        for link_config in &config.links {
            let Some(link) = self.exchange.link(link_config.peer.as_str()) else {
                continue;
            };
            if link_config.dial {
                let keeper = Keeper {
                    exchange: Arc::clone(&self.exchange),
                    link: Arc::clone(link),
                    endpoints: link_config.endpoints.clone(),
                    tls: Arc::clone(&self.exchange_tls),
                    shutdown: self.stop.clone(),
                };
                self.tasks.spawn(keeper.run());
            }
            if let Some(keyring) = &self.keyring {
                let keeping = Arc::clone(keyring).keep(Arc::clone(link), self.stop.clone());
                self.tasks.spawn(keeping);
            }
            let (exchange, link) = (Arc::clone(&self.exchange), Arc::clone(link));
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                let mut files = exchange.watch_files(&link);
                loop {
                    files.mark_unchanged();
                    if let Err(error) = exchange.confirm_files(&link).await {
                        tracing::warn!(peer = %link.peer, %error, "files not confirmed yet");
                    }
                    if let Err(error) = exchange.note_files_back(&link).await {
                        tracing::warn!(peer = %link.peer, %error, "lost files not looked at yet");
                    }
                    tokio::select! {
                        changed = files.changed() => if changed.is_err() { return },
                        () = stop.cancelled() => return,
                    }
                }
            });
        }
    }

    /// Says what is due, whether or not anyone is logged in.
    fn keep_deadlines(&self) {
        let exchange = Arc::clone(&self.exchange);
        self.tasks.spawn(exchange.keep_deadlines(self.stop.clone()));
    }

    /// Erases bodies whose time is over.
    fn keep_retention(&self, config: &Config, journal: Journal) {
        let policy = Arc::new(config.retention.clone());
        let exchange = Arc::clone(&self.exchange);
        self.tasks
            .spawn(exchange.keep_retention(policy, journal, self.stop.clone()));
    }

    /// Watches the disk, and removes uploads that nobody named.
    fn keep_space(&self, config: &Config) {
        let floor = config.limits.disk_free_bytes_min;
        let exchange = Arc::clone(&self.exchange);
        self.tasks
            .spawn(exchange.keep_space(floor, self.stop.clone()));
    }

    /// Reloads certificates at SIGHUP and when their files change; warns before they end.
    fn watch_material(&self, mut hangup: Signal) {
        let (exchange_tls, desk_tls) = (Arc::clone(&self.exchange_tls), self.desk_tls.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let expiry = ExpiryLog::new();
            let mut hourly = tokio::time::interval(EXPIRY_INTERVAL);
            loop {
                tokio::select! {
                    _ = hangup.recv() => {
                        // Each logs by itself why it keeps the old material.
                        drop(exchange_tls.reload());
                        if let Some(desk_tls) = &desk_tls {
                            drop(desk_tls.reload());
                        }
                    }
                    _ = hourly.tick() => {}
                    () = stop.cancelled() => return,
                }
                let now = i64::try_from(SystemClock.unix_seconds()).unwrap_or(i64::MAX);
                expiry.check(exchange_tls.current().value.expires(), now);
                if let Some(desk_tls) = &desk_tls {
                    expiry.check(desk_tls.current().value.expires(), now);
                }
            }
        });
        let stop = self.stop.clone();
        let watching = Arc::clone(&self.exchange_tls).watch_files(POLL_INTERVAL);
        self.tasks
            .spawn(async move { stop.run_until_cancelled(watching).await });
        if let Some(desk_tls) = &self.desk_tls {
            let stop = self.stop.clone();
            let watching = Arc::clone(desk_tls).watch_files(POLL_INTERVAL);
            self.tasks
                .spawn(async move { stop.run_until_cancelled(watching).await });
        }
    }

    fn spawn(
        &self,
        what: &'static str,
        serving: impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the {what} has ended");
            }
        });
    }

    /// Takes no more work, pushes what is recorded as far as it goes, then ends sessions and calls in
    /// order; what does not end in time is cut. Whatever was acknowledged is durable already.
    pub(super) async fn drain(self) -> Drained {
        tracing::info!("going down");
        let ended = tokio::time::timeout(DRAIN_TIME_MAX, async {
            self.no_more_work.cancel();
            let pushed = self.exchange.pushed_out();
            let _ = tokio::time::timeout(DRAIN_PUSH_TIME_MAX, pushed).await;
            self.stop.cancel();
            self.tasks.close();
            self.tasks.wait().await;
        });
        let drained = if ended.await.is_ok() {
            Drained::Whole
        } else {
            tracing::warn!("some work did not end in time and was cut");
            Drained::Cut
        };
        if let Some(desk) = self.desk.get() {
            desk.note_counts(true).await;
        }
        let (exchange, journal) = (self.exchange, self.journal);
        let finish = move || {
            exchange.finish();
            if let Some(journal) = journal {
                journal.close();
            }
        };
        drop(tokio::task::spawn_blocking(finish).await);
        tracing::info!("down");
        drained
    }
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| NodeError::Bind {
            address: address.to_string(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::document::Document;

    #[test]
    fn the_remedy_for_an_open_key_names_a_key_of_the_configuration() {
        let told = NodeError::Unencrypted {
            file: PathBuf::from("keys/log.pem"),
        };
        let told = told.to_string();
        let (_, rest) = told.split_once("set ").unwrap();
        let (setting, _) = rest.split_once(" under [keys]").unwrap();
        let (key, value) = setting.split_once(" = ").unwrap();
        let text = format!(
            "node = \"laocai.bg.vn.example\"\n\
             [keys]\nmessage = \"m\"\nlog = \"l\"\npassphrase = \"none\"\n{key} = {value}\n\
             [exchange]\ncertificate = \"c\"\nkey = \"k\"\nauthority = \"a\"\n"
        );
        let document = Document::from_text(Path::new("/etc/liaison/liaison.toml"), &text);
        assert!(Config::parse(&document).unwrap().keys.allow_unencrypted);
    }
}
