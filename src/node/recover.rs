//! Recovery, with no node running: a store that must not be served is set aside, a new one made, and
//! the logs of its links fetched back from their peers. Nothing is signed but TLS.
//!
//! Killed at any line, it is run again and goes on: `store::Aside` says that it was begun, region `Z`
//! of the new store which links are not whole yet. A node that is started meanwhile goes on with it as
//! well.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::key_files::KeyFiles;
use super::material;
use super::run::{
    NodeError, Running, Surroundings, key_files, link_terms, open_exchange, own_start,
    store_options,
};
use crate::crypto::vkey::VerifierKey;
use crate::exchange::keys::NextKey;
use crate::exchange::restore::salvage::{Salvage, SalvageLink, Salvaged};
use crate::exchange::restore::{Progress, Restored};
use crate::exchange::{Exchange, Link, LogSide, NodeKeys, OpenError};
use crate::link::keeper::Keeper;
use crate::link::tls::TlsOptions;
use crate::model::NodeName;
use crate::store::{Aside, Marks, OpenOptions, SledStore, Store, StoreError, Vault};
use crate::tlog::Hash;

/// How often what is going on is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Lost files that are counted; beyond, it is "at least".
const FILES_COUNTED_MAX: usize = 10_000;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only these links; all if empty.
    pub links: Vec<NodeName>,
    /// There is no store at all, and that is no mistake.
    pub lost: bool,
    /// A link on which nothing moves for so long is given up.
    pub wait: Duration,
}

/// Why recovery did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// As a node that does not start.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// There is nothing where the store should be.
    #[error("there is no store in {}", .0.display())]
    NoStore(std::path::PathBuf),
    /// A name that is no link's.
    #[error("there is no link with {0}")]
    NoLink(NodeName),
}

impl From<StoreError> for RecoverError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// What is going on, for whoever watches.
#[derive(Debug, Clone)]
pub enum Step {
    /// The store that is there is not served.
    SetAside {
        /// Why.
        why: String,
        /// Where it lies now.
        old: std::path::PathBuf,
    },
    /// The store opens; so many rows and files of it were read, to see whether it is sound.
    Looked(u64),
    /// Files are compared with their names.
    Blobs(u64),
    /// What the old store still gave.
    Salvaged(Salvaged),
    /// The links, in their order.
    Links(Vec<LinkStep>),
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStep {
    /// The peer.
    pub peer: NodeName,
    /// Entries.
    pub progress: Progress,
    /// Lost files of its messages.
    pub files: usize,
    /// Where it stands.
    pub state: State,
}

/// Where the recovery of a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No session; why, if that is known.
    Waiting(String),
    /// Entries come.
    Records,
    /// Entries are whole, files come.
    Files,
    /// All is here.
    Whole,
    /// The logs contradict each other: a person must look.
    Held(String),
}

/// What came of a link.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The peer.
    pub peer: NodeName,
    /// Where it stands.
    pub state: State,
    /// The own log: origin, size, root.
    pub own: (String, u64, Hash),
    /// The mirror.
    pub mirror: (String, u64, Hash),
    /// What was done; `None` if the entries are not whole.
    pub restored: Option<Restored>,
    /// Files that are not here.
    pub files: usize,
}

/// What came of it all.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Where the old store lies, if one was set aside.
    pub old: Option<std::path::PathBuf>,
    /// What it still gave.
    pub salvaged: Option<Salvaged>,
    /// Every link that was wanted.
    pub links: Vec<Outcome>,
}

/// Recovers the store of a node, and tells each step.
///
/// # Errors
/// [`RecoverError`]. What of it was done stays, and is gone on with the next time.
pub async fn recover(
    config: Config,
    wanted: Wanted,
    shutdown: impl Future<Output = ()>,
    mut tell: impl FnMut(&Step),
) -> Result<Recovered, RecoverError> {
    for peer in &wanted.links {
        if !config.links.iter().any(|link| link.peer == *peer) {
            return Err(RecoverError::NoLink(peer.clone()));
        }
    }
    let files = key_files(&config)?;
    let vault = files.vault(&config.at_rest, &config.data_dir)?;
    let mut came = Recovered {
        old: None,
        salvaged: None,
        links: Vec::new(),
    };
    let exchange = match Aside::begun(&config.data_dir)? {
        None => match open_sound(&config, files.current()?, vault.clone(), &mut tell).await? {
            Ok(exchange) => exchange,
            Err(error) => {
                let why = error.why(&config, wanted.lost)?;
                let name = format!("lost-{}", unix_seconds());
                let aside = Aside::begin(&config.data_dir, &name)?;
                replace(&config, aside, &why, &files, vault, &mut tell, &mut came)?
            }
        },
        Some(aside) => {
            let why = "the store was lost or damaged";
            replace(&config, aside, why, &files, vault, &mut tell, &mut came)?
        }
    };
    // A key that was to follow may have signed already.
    for key in files.all_pending()? {
        exchange.ring().add(key);
    }
    exchange.restore_only();
    let running = Running {
        no_more_work: CancellationToken::new(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        exchange_tls: material::exchange(&config, TlsOptions::new(config.allow_example_ca))
            .map_err(NodeError::from)?,
        desk_tls: None,
        journal: None,
        desk: OnceLock::new(),
        keyring: None,
        exchange,
    };
    running.serve_peers(&config).await?;
    tokio::select! {
        outcomes = fetch(&config, &wanted, &running, &mut tell) => came.links = outcomes,
        () = shutdown => came.links = outcomes(&config, &wanted, &running.exchange),
    }
    running.drain().await;
    Ok(came)
}

fn unix_seconds() -> u64 {
    use crate::exchange::clock::{Clock as _, SystemClock};
    SystemClock.unix_seconds()
}

/// Why a store is not served.
enum Unfit {
    /// It does not open.
    Closed(NodeError),
    /// It opens, and does not give all that it holds.
    Damaged(String),
}

impl Unfit {
    fn why(self, config: &Config, lost: bool) -> Result<String, RecoverError> {
        match self {
            Self::Closed(error) => why_lost(error, config, lost),
            Self::Damaged(what) => Ok(without_remedy(&what)),
        }
    }
}

/// Opens the store and reads all of it.
async fn open_sound(
    config: &Config,
    keys: NodeKeys,
    vault: Option<Arc<Vault>>,
    tell: &mut impl FnMut(&Step),
) -> Result<Result<Arc<Exchange>, Unfit>, StoreError> {
    let exchange = match open_exchange(config, keys, vault, Surroundings::of_machine()) {
        Ok(exchange) => exchange,
        Err(error) => return Ok(Err(Unfit::Closed(error))),
    };
    exchange.restore_only();
    let looked = |count| tell(&Step::Looked(count));
    let Some(what) = exchange.find_damage(looked).await? else {
        return Ok(Ok(exchange));
    };
    // Closed before it is moved.
    drop(tokio::task::spawn_blocking(move || exchange.finish()).await);
    Ok(Err(Unfit::Damaged(what)))
}

/// Why a store that does not open is lost; an error if it may not be, or is in use.
fn why_lost(error: NodeError, config: &Config, lost: bool) -> Result<String, RecoverError> {
    let is_lost = match &error {
        NodeError::Store(error) | NodeError::Open(OpenError::Store(error)) => match error {
            StoreError::Missing { .. } if !lost => {
                return Err(RecoverError::NoStore(config.data_dir.clone()));
            }
            StoreError::Version { .. } => lost,
            StoreError::Missing { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Vanished { .. }
            | StoreError::Shortened { .. } => true,
            _ => false,
        },
        NodeError::Open(error) => matches!(
            error,
            OpenError::Read(_) | OpenError::BehindMark { .. } | OpenError::RootMismatch { .. }
        ),
        _ => false,
    };
    if !is_lost {
        return Err(error.into());
    }
    Ok(without_remedy(&error.to_string()))
}

/// The remedy is being carried out.
fn without_remedy(text: &str) -> String {
    let what = text.split(crate::store::DO_NOW).next().unwrap_or_default();
    what.trim_end_matches(['.', ';', ' ']).to_owned()
}

/// Sets the old store aside, makes a new one, and puts into it what the old one still gives.
fn replace(
    config: &Config,
    aside: Aside,
    why: &str,
    files: &KeyFiles,
    vault: Option<Arc<Vault>>,
    tell: &mut impl FnMut(&Step),
    came: &mut Recovered,
) -> Result<Arc<Exchange>, RecoverError> {
    aside.move_away()?;
    came.old = Some(aside.old.clone());
    tell(&Step::SetAside {
        why: why.to_owned(),
        old: aside.old.clone(),
    });
    let keys = files.current()?;
    let start = own_start(config, &keys)?;
    let links = config
        .links
        .iter()
        .map(|link| {
            let terms = link_terms(&config.node, link, &start)?;
            Ok(SalvageLink {
                peer: terms.peer,
                own_start: terms.own_start,
            })
        })
        .collect::<Result<Vec<_>, NodeError>>()?;
    let mut at_hand = vec![keys.message.verifier(&config.node)];
    for key in files.all_pending()? {
        if let NextKey::Message(key) = key {
            at_hand.push(key.verifier(&config.node));
        }
    }
    let replacement = Replacement {
        options: store_options(config),
        vault: vault.as_deref(),
        links: &links,
        node: &config.node,
        at_hand,
        why,
        at_ms: unix_seconds().saturating_mul(1_000),
    };
    let salvaged = replacement.make(&aside, |count| tell(&Step::Blobs(count)))?;
    tell(&Step::Salvaged(salvaged.clone()));
    came.salvaged = Some(salvaged);
    aside.end()?;
    Ok(open_exchange(
        config,
        keys,
        vault,
        Surroundings::of_machine(),
    )?)
}

/// A new store in the place of one that was moved away.
#[derive(Debug)]
pub struct Replacement<'a> {
    /// How the store is opened.
    pub options: OpenOptions,
    /// What bodies are sealed with.
    pub vault: Option<&'a Vault>,
    /// Its links.
    pub links: &'a [SalvageLink],
    /// This node.
    pub node: &'a NodeName,
    /// Its message keys at hand, as [`Salvage::at_hand`].
    pub at_hand: Vec<VerifierKey>,
    /// Why the old one is not served.
    pub why: &'a str,
    /// Now, milliseconds since 1970.
    pub at_ms: u64,
}

impl Replacement<'_> {
    /// Makes it, with what the old one still gives; every link is to be restored. `looked` is told how
    /// many files were compared with their names.
    ///
    /// # Errors
    /// When the new store cannot be written. Done again, it goes on.
    pub fn make(self, aside: &Aside, looked: impl FnMut(u64)) -> Result<Salvaged, StoreError> {
        aside.check_blobs(self.vault, looked)?;
        let mut options = self.options.create();
        options.recovering = true;
        let new = SledStore::open(&options)?;
        let old = SledStore::open(&OpenOptions::new(&aside.old));
        let marks = Marks::open(&aside.old);
        let salvage = Salvage {
            old: old.as_ref().ok().map(|store| store as &dyn Store),
            marks: marks.as_ref().ok(),
            new: &new,
            vault: self.vault,
            node: self.node,
            at_hand: self.at_hand,
            why: self.why,
            at_ms: self.at_ms,
        };
        let mut salvaged = salvage.run(self.links)?;
        if let Err(error) = &old {
            salvaged.trouble = Some(without_remedy(&error.to_string()));
        }
        Ok(salvaged)
    }
}

/// Runs the links until each is whole, or nothing moves on it any more.
async fn fetch(
    config: &Config,
    wanted: &Wanted,
    running: &Running,
    tell: &mut impl FnMut(&Step),
) -> Vec<Outcome> {
    let exchange = &running.exchange;
    let mut open = Vec::new();
    for link_config in &config.links {
        let Some(link) = selected(exchange, wanted, &link_config.peer) else {
            continue;
        };
        let stop = running.stop.child_token();
        if link_config.dial {
            let keeper = Keeper {
                exchange: Arc::clone(exchange),
                link: Arc::clone(link),
                endpoints: link_config.endpoints.clone(),
                tls: Arc::clone(&running.exchange_tls),
                shutdown: stop.clone(),
            };
            running.tasks.spawn(keeper.run());
        }
        open.push((Arc::clone(link), stop));
    }
    let mut last = Vec::new();
    let mut moved = vec![Instant::now(); open.len()];
    let mut over = BTreeSet::new();
    loop {
        let steps: Vec<LinkStep> = open.iter().map(|(link, _)| look(exchange, link)).collect();
        for (at, step) in steps.iter().enumerate() {
            if last.get(at) != Some(step) {
                moved[at] = Instant::now();
            }
            let ended = matches!(step.state, State::Whole | State::Held(_));
            if ended || moved[at].elapsed() >= wanted.wait {
                open[at].1.cancel();
                over.insert(at);
            }
        }
        tell(&Step::Links(steps.clone()));
        last = steps;
        if over.len() == open.len() {
            return outcomes(config, wanted, exchange);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn selected<'a>(exchange: &'a Exchange, wanted: &Wanted, peer: &NodeName) -> Option<&'a Arc<Link>> {
    let is_wanted = wanted.links.is_empty() || wanted.links.contains(peer);
    exchange.link(peer.as_str()).filter(|_| is_wanted)
}

fn look(exchange: &Exchange, link: &Link) -> LinkStep {
    let head = link.head();
    let presence = link.presence();
    let is_whole = head.restoring.is_none() && presence.restored.is_some();
    let files = if is_whole && head.files_lost {
        let lost = exchange.lost_files(link, FILES_COUNTED_MAX);
        lost.map_or(0, |files| files.len())
    } else {
        0
    };
    let state = if let Some(hold) = &head.held {
        State::Held(format!("{}: {}", hold.code_name(), hold.text))
    } else if is_whole && files == 0 {
        State::Whole
    } else if is_whole {
        State::Files
    } else if presence.up {
        State::Records
    } else {
        State::Waiting(presence.down_reason.unwrap_or_default())
    };
    LinkStep {
        peer: link.peer.clone(),
        progress: exchange.restore_progress(link),
        files,
        state,
    }
}

fn outcomes(config: &Config, wanted: &Wanted, exchange: &Exchange) -> Vec<Outcome> {
    let links = config
        .links
        .iter()
        .filter_map(|link| selected(exchange, wanted, &link.peer));
    links
        .map(|link| {
            let step = look(exchange, link);
            let log = |side| {
                let tree = link.tree(side);
                (link.origin(side).to_string(), tree.size(), tree.root())
            };
            Outcome {
                peer: link.peer.clone(),
                own: log(LogSide::Own),
                mirror: log(LogSide::Mirror),
                restored: link
                    .head()
                    .restoring
                    .is_none()
                    .then(|| link.presence().restored)
                    .flatten()
                    .map(|restored| (*restored).clone()),
                files: step.files,
                state: step.state,
            }
        })
        .collect()
}
