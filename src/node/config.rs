//! What the node was told: `liaison.toml`, read in two steps.
//!
//! First the shape (no unknown key), then every value, so that what the rest of the
//! node sees cannot be wrong. Relative paths are taken from the directory of the file.
//! [`super::template`] writes a file that explains every key.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use tracing::level_filters::LevelFilter;

use super::document::{Document, Fault, nearest};
use super::links::{self, LinkConfig};
pub use super::passphrase::{PassphraseError, PassphraseSource};
use super::storage_source::StorageSource;
use super::template::paths;
use super::token::TokenConfig;
use crate::crypto::token_uri::{self, TokenUri};
use crate::crypto::vkey::VerifierKey;
use crate::desk::quota::DeskQuota;
use crate::exchange::quota::Quota;
use crate::limits::{CALLER_SUBMITS_MAX, DISK_FREE_BYTES_MIN, QUOTA_DAY_BYTES_MIN, SUBMITS_MAX};
use crate::link::dial::Endpoint;
use crate::link::identity::{DeskIdentity, Role};
use crate::link::tls::{DeskFiles, OwnFiles};
use crate::model::NodeName;
use crate::model::retention::{Period, Policy, RULES_MAX, Rule, is_kept_always};
use crate::proto::v1;

/// Store cache, in MiB: sled's own use comes on top (see docs/storage.md).
const CACHE_MIB_MIN: u64 = 16;
const CACHE_MIB_MAX: u64 = 4_096;
const CACHE_MIB_DEFAULT: u64 = 16;
/// Free space, in MiB, below which nothing is recorded.
const DISK_FLOOR_MIB_MAX: u64 = 1 << 20;
/// Messages a second that a quota may allow: more than any machine signs.
const MESSAGES_PER_SECOND_MAX: u32 = 1_000_000;
/// Messages at once that a quota may allow.
const BURST_MESSAGES_MAX: u32 = 100_000_000;
/// MiB a day that a quota may allow: a petabyte.
const MIB_PER_DAY_MAX: u64 = 1 << 30;
/// Messages in flight that a quota may allow: all places.
#[expect(clippy::cast_possible_truncation, reason = "it is 4,096")]
const IN_FLIGHT_MAX: u32 = SUBMITS_MAX as u32;
/// Programs of one desk.
const INTEGRATIONS_MAX: usize = 256;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it came from.
    pub file: PathBuf,
    /// This node's name.
    pub node: NodeName,
    /// IANA name, for the own card.
    pub time_zone: String,
    /// Store, bodies and attachments.
    pub data_dir: PathBuf,
    /// The journal's own directory.
    pub journal_dir: PathBuf,
    /// Take authorities that the example generator made.
    pub allow_example_ca: bool,
    /// Signing keys.
    pub keys: KeysConfig,
    /// What lies on the disk.
    pub at_rest: AtRestConfig,
    /// Towards peers.
    pub exchange: ExchangeConfig,
    /// Towards own people and programs.
    pub desk: DeskConfig,
    /// Where link files and cards are.
    pub links_dir: PathBuf,
    /// One per peer, by name.
    pub links: Vec<LinkConfig>,
    /// How long bodies are kept.
    pub retention: Policy,
    /// Bounds that depend on the machine.
    pub limits: LimitsConfig,
    /// What is logged and how.
    pub log: LogConfig,
}

/// Signing keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysConfig {
    /// Signs entries; of no use if `token` is given.
    pub message: PathBuf,
    /// Where the message key lies, if that is a token.
    pub token: Option<TokenConfig>,
    /// Signs checkpoints and cosignatures.
    pub log: PathBuf,
    /// Opens the keys of what lies on the disk.
    pub storage: StorageSource,
    /// How the key files are opened.
    pub passphrase: PassphraseSource,
    /// Key files may be unencrypted.
    pub allow_unencrypted: bool,
}

/// What lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtRestConfig {
    /// Bodies and attachments are sealed.
    pub encrypt: bool,
    /// Where their keys are.
    pub body_keys: PathBuf,
}

/// Towards peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeConfig {
    /// Where peers are awaited; `None` if this node only dials.
    pub listen: Option<SocketAddr>,
    /// The node's TLS certificate and key, for both directions.
    pub own: OwnFiles,
    /// PEM, the authority that peers are to pin; goes into the own card.
    pub authority: PathBuf,
    /// How peers reach [`Self::listen`]; goes into the own card.
    pub endpoints: Vec<Endpoint>,
}

/// Towards own people and programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskConfig {
    /// The Unix socket of operators on this machine.
    pub socket: PathBuf,
    /// The TCP listener, if any.
    pub tcp: Option<DeskTcpConfig>,
    /// What programs may send.
    pub integrations: Vec<IntegrationRule>,
}

impl DeskConfig {
    /// The rule of a program; none means that it may send nothing.
    #[must_use]
    pub fn integration(&self, name: &str) -> Option<&IntegrationRule> {
        self.integrations.iter().find(|rule| rule.name == name)
    }
}

/// The desk over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskTcpConfig {
    /// Where.
    pub listen: SocketAddr,
    /// With what.
    pub files: DeskFiles,
}

/// What one program may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationRule {
    /// The name in its SPIFFE URI.
    pub name: String,
    /// As numbers of [`v1::Kind`].
    pub kinds: BTreeSet<i32>,
    /// How much it may take.
    pub quota: DeskQuota,
}

/// Bounds that depend on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// The store's cache.
    pub cache_bytes: u64,
    /// Free space below which nothing is recorded.
    pub disk_free_bytes_min: u64,
    /// What each peer may take.
    pub peer: Quota,
    /// What each person and program of the desk may take, unless a rule of its own says otherwise.
    pub desk: DeskQuota,
}

/// What is logged and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// From which level on.
    pub level: LevelFilter,
    /// As lines or as JSON.
    pub format: LogFormat,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What to do when there is no configuration.
const MISSING: &str =
    "check the path (--config or LIAISON_CONFIG), or make one: liaison init DIR --name NODE";

impl Config {
    /// Reads the configuration with its link files and cards.
    ///
    /// # Errors
    ///
    /// The first [`Fault`].
    pub fn load(file: &Path) -> Result<Self, Fault> {
        let mut config = Self::parse(&Document::read(file, MISSING)?)?;
        config.links = links::load_all(&config.links_dir, &config.node)?;
        Ok(config)
    }

    /// Checks a configuration without its links.
    ///
    /// # Errors
    ///
    /// The first [`Fault`].
    pub fn parse(document: &Document) -> Result<Self, Fault> {
        let raw: RawConfig = document.parse()?;
        let node = NodeName::parse(raw.node.get_ref()).map_err(|error| {
            let remedy =
                "write a lower-case host name of two labels or more, such as laocai.bg.vn.example";
            document.fault(&raw.node, error, remedy)
        })?;
        let time_zone = match &raw.time_zone {
            Some(zone) if jiff::tz::TimeZone::get(zone.get_ref()).is_err() => {
                let remedy = "use an IANA name such as Asia/Ho_Chi_Minh";
                return Err(document.fault(zone, "no such time zone", remedy));
            }
            Some(zone) => zone.get_ref().clone(),
            None => "UTC".to_owned(),
        };
        let at =
            |path: Option<String>, default: &str| document.path(path.as_deref().unwrap_or(default));
        let limits = raw.limits.unwrap_or_default().check(document)?;
        Ok(Self {
            file: document.file().to_owned(),
            node,
            time_zone,
            data_dir: at(raw.data_dir, "data"),
            journal_dir: at(raw.journal_dir, paths::JOURNAL),
            allow_example_ca: raw.allow_example_ca.unwrap_or(false),
            keys: raw.keys.check(document)?,
            at_rest: raw.at_rest.unwrap_or_default().check(document),
            exchange: raw.exchange.check(document)?,
            desk: raw.desk.unwrap_or_default().check(document, limits.desk)?,
            links_dir: at(raw.links_dir, "links"),
            links: Vec::new(),
            retention: retention(document, raw.retention.as_deref().unwrap_or_default())?,
            limits,
            log: raw.log.unwrap_or_default().check(document)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    node: Spanned<String>,
    time_zone: Option<Spanned<String>>,
    data_dir: Option<String>,
    journal_dir: Option<String>,
    links_dir: Option<String>,
    allow_example_ca: Option<bool>,
    keys: RawKeys,
    at_rest: Option<RawAtRest>,
    exchange: RawExchange,
    desk: Option<RawDesk>,
    retention: Option<Vec<RawRetention>>,
    limits: Option<RawLimits>,
    log: Option<RawLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeys {
    message: Spanned<String>,
    message_vkey: Option<Spanned<String>>,
    pin: Option<Spanned<String>>,
    log: String,
    storage: Option<Spanned<String>>,
    storage_pin: Option<Spanned<String>>,
    passphrase: Spanned<String>,
    allow_unencrypted_keys: Option<bool>,
}

impl RawKeys {
    fn check(self, document: &Document) -> Result<KeysConfig, Fault> {
        let allow_unencrypted = self.allow_unencrypted_keys.unwrap_or(false);
        let passphrase = match self.passphrase.get_ref().as_str() {
            "none" if allow_unencrypted => PassphraseSource::None,
            "none" => {
                return Err(document.fault(
                    &self.passphrase,
                    "keys without a passphrase are for trials only",
                    "use prompt, file:PATH or credential:NAME, or set allow_unencrypted_keys = true",
                ));
            }
            _ => secret_source(document, &self.passphrase)?,
        };
        let token = self.token(document)?;
        let storage = self.storage(document)?;
        Ok(KeysConfig {
            message: document.path(self.message.get_ref()),
            token,
            log: document.path(self.log),
            storage,
            passphrase,
            allow_unencrypted,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAtRest {
    encrypt: Option<bool>,
    body_keys: Option<String>,
}

impl RawAtRest {
    fn check(self, document: &Document) -> AtRestConfig {
        AtRestConfig {
            encrypt: self.encrypt.unwrap_or(true),
            body_keys: document.path(self.body_keys.as_deref().unwrap_or(paths::BODY_KEYS)),
        }
    }
}

impl RawKeys {
    /// Where the storage key is.
    fn storage(&self, document: &Document) -> Result<StorageSource, Fault> {
        let source = match &self.storage {
            Some(written) => storage_source(document, written, self.storage_pin.as_ref())?,
            None => StorageSource::File(document.path(paths::STORAGE_KEY)),
        };
        match (&source, &self.storage_pin) {
            (StorageSource::Token { .. }, _) | (_, None) => Ok(source),
            (_, Some(pin)) => Err(document.fault(
                pin,
                "it goes with a storage key that a token wraps only",
                "remove it, or write storage = \"pkcs11:…\"",
            )),
        }
    }

    /// The token that the message key lies in, if it is written so.
    fn token(&self, document: &Document) -> Result<Option<TokenConfig>, Fault> {
        if !self.message.get_ref().starts_with(token_uri::SCHEME) {
            return match self.message_vkey.as_ref().or(self.pin.as_ref()) {
                Some(of_tokens) => Err(document.fault(
                    of_tokens,
                    "it goes with a message key in a token only",
                    "remove it, or write message = \"pkcs11:…\"",
                )),
                None => Ok(None),
            };
        }
        let uri = TokenUri::parse(self.message.get_ref()).map_err(|error| {
            let remedy = "docs/operations.md, The message key in a token, has an example";
            document.fault(&self.message, error, remedy)
        })?;
        let vkey = self.message_vkey.as_ref().map(|written| {
            VerifierKey::parse(written.get_ref()).map_err(|error| {
                document.fault(
                    written,
                    error,
                    "write the message key as the own card has it: liaison peer card",
                )
            })
        });
        let pin = self.pin.as_ref();
        Ok(Some(TokenConfig {
            uri,
            vkey: vkey.transpose()?,
            pin: pin.map(|pin| secret_source(document, pin)).transpose()?,
        }))
    }
}

/// A storage key that a command names as it stood in the configuration.
pub(super) fn storage_source_of(config: &Config, written: &str) -> Result<StorageSource, Fault> {
    let document = Document::from_text(&config.file, "");
    let source = storage_source(&document, &Spanned::new(0..0, written.to_owned()), None)?;
    Ok(match (source, &config.keys.storage) {
        (StorageSource::Token { uri, wrapped, .. }, StorageSource::Token { pin, .. }) => {
            let pin = pin.clone();
            StorageSource::Token { uri, pin, wrapped }
        }
        (source, _) => source,
    })
}

/// A storage key as it is written: `credential:NAME`, `pkcs11:…`, or a path.
fn storage_source(
    document: &Document,
    written: &Spanned<String>,
    pin: Option<&Spanned<String>>,
) -> Result<StorageSource, Fault> {
    let text = written.get_ref();
    if text.starts_with(token_uri::SCHEME) {
        let uri = TokenUri::parse(text).map_err(|error| {
            let remedy = "docs/operations.md, The storage key in a token, has an example";
            document.fault(written, error, remedy)
        })?;
        return Ok(StorageSource::Token {
            uri,
            pin: pin.map(|pin| secret_source(document, pin)).transpose()?,
            wrapped: document.path(paths::STORAGE_WRAPPED),
        });
    }
    match text.strip_prefix("credential:") {
        Some(name) if is_credential_name(name) => Ok(StorageSource::Credential(name.to_owned())),
        Some(_) => Err(document.fault(
            written,
            "no such credential",
            "write credential:NAME, with letters, digits, - _ .",
        )),
        None => Ok(StorageSource::File(document.path(text))),
    }
}

fn secret_source(
    document: &Document,
    written: &Spanned<String>,
) -> Result<PassphraseSource, Fault> {
    let text = written.get_ref().as_str();
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(PassphraseSource::File(document.path(path))),
        Some(("credential", name)) if is_credential_name(name) => {
            Ok(PassphraseSource::Credential(name.to_owned()))
        }
        None if text == "prompt" => Ok(PassphraseSource::Prompt),
        _ => Err(document.fault(
            written,
            "no such source",
            "write prompt, file:PATH or credential:NAME",
        )),
    }
}

/// A name, never a path.
fn is_credential_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.len() <= 255 && name.bytes().all(plain)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExchange {
    listen: Option<Spanned<String>>,
    certificate: String,
    key: String,
    authority: String,
    endpoints: Option<Vec<Spanned<String>>>,
}

impl RawExchange {
    fn check(self, document: &Document) -> Result<ExchangeConfig, Fault> {
        Ok(ExchangeConfig {
            listen: self
                .listen
                .map(|text| address(document, &text))
                .transpose()?,
            own: OwnFiles {
                certificate: document.path(self.certificate),
                key: document.path(self.key),
            },
            authority: document.path(self.authority),
            endpoints: endpoints(document, self.endpoints.as_deref().unwrap_or_default())?,
        })
    }
}

/// Checks each `host:port`.
pub(super) fn endpoints(
    document: &Document,
    texts: &[Spanned<String>],
) -> Result<Vec<Endpoint>, Fault> {
    texts
        .iter()
        .map(|text| {
            Endpoint::parse(text.get_ref())
                .map_err(|error| document.fault(text, "not an endpoint", error))
        })
        .collect()
}

fn address(document: &Document, text: &Spanned<String>) -> Result<SocketAddr, Fault> {
    text.get_ref().parse().map_err(|_| {
        let remedy =
            "write address:port, such as 0.0.0.0:7443 or [::]:7443; names are not resolved here";
        document.fault(text, "not an address with a port", remedy)
    })
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDesk {
    socket: Option<String>,
    tcp: Option<RawDeskTcp>,
    integration: Option<Vec<RawIntegration>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeskTcp {
    listen: Spanned<String>,
    certificate: String,
    key: String,
    client_ca: String,
    crls: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIntegration {
    name: Spanned<String>,
    kinds: Option<Vec<Spanned<String>>>,
    // Those of `RawQuota`, which serde cannot take in here and still refuse unknown keys.
    messages_per_second: Option<Spanned<u64>>,
    burst_messages: Option<Spanned<u64>>,
    mib_per_day: Option<Spanned<u64>>,
    disk_percent: Option<Spanned<u64>>,
    in_flight: Option<Spanned<u64>>,
}

impl RawDesk {
    fn check(self, document: &Document, quota: DeskQuota) -> Result<DeskConfig, Fault> {
        let tcp = match self.tcp {
            None => None,
            Some(tcp) => Some(DeskTcpConfig {
                listen: address(document, &tcp.listen)?,
                files: DeskFiles {
                    own: OwnFiles {
                        certificate: document.path(tcp.certificate),
                        key: document.path(tcp.key),
                    },
                    client_ca: document.path(tcp.client_ca),
                    crls: tcp
                        .crls
                        .iter()
                        .flatten()
                        .map(|path| document.path(path))
                        .collect(),
                },
            }),
        };
        let mut integrations: Vec<IntegrationRule> = Vec::new();
        for raw in self.integration.iter().flatten() {
            let rule = raw.check(document, quota)?;
            if integrations.iter().any(|other| other.name == rule.name) {
                let remedy = "give each program one [[desk.integration]]";
                return Err(document.fault(&raw.name, "named twice", remedy));
            }
            if integrations.len() == INTEGRATIONS_MAX {
                return Err(document.fault(&raw.name, "more than 256 programs", "leave some out"));
            }
            integrations.push(rule);
        }
        Ok(DeskConfig {
            socket: document.path(self.socket.as_deref().unwrap_or("run/desk.sock")),
            tcp,
            integrations,
        })
    }
}

/// What a program may be allowed to send: what is neither a person's word nor the node's own. Above
/// all it decides nothing: whether somebody is taken over is answered by a person.
const INTEGRATION_KINDS: [v1::Kind; 9] = [
    v1::Kind::CrossingAlert,
    v1::Kind::CaseNotice,
    v1::Kind::VerificationRequest,
    v1::Kind::HandoverRequest,
    v1::Kind::OfficialLetter,
    v1::Kind::GateNotice,
    v1::Kind::HazardNotice,
    v1::Kind::ActivityReport,
    v1::Kind::Withdrawal,
];

impl RawIntegration {
    fn check(&self, document: &Document, quota: DeskQuota) -> Result<IntegrationRule, Fault> {
        let identity = DeskIdentity::new(Role::Integration, self.name.get_ref()).map_err(|_| {
            let reason = "not 1 to 64 of a-z 0-9 - _ . beginning with a letter or digit";
            document.fault(
                &self.name,
                reason,
                "use the name in its certificate's SPIFFE URI",
            )
        })?;
        let known = INTEGRATION_KINDS.map(short_name);
        let mut kinds = BTreeSet::new();
        for text in self.kinds.iter().flatten() {
            let position = known.iter().position(|name| name == text.get_ref());
            let Some(position) = position else {
                let exists = v1::Kind::from_str_name(&format!("KIND_{}", text.get_ref())).is_some();
                let (reason, remedy) = match nearest(text.get_ref(), &known) {
                    _ if exists => (
                        "only a person or the node itself says this",
                        format!("a program may send: {}", known.join(", ")),
                    ),
                    Some(nearest) => ("no such kind", format!("did you mean {nearest}?")),
                    None => ("no such kind", format!("known: {}", known.join(", "))),
                };
                return Err(document.fault(text, reason, remedy));
            };
            kinds.insert(INTEGRATION_KINDS[position] as i32);
        }
        if self.kinds.is_none() {
            kinds.insert(v1::Kind::CrossingAlert as i32);
        }
        let own = RawQuota {
            messages_per_second: self.messages_per_second.clone(),
            burst_messages: self.burst_messages.clone(),
            mib_per_day: self.mib_per_day.clone(),
            disk_percent: self.disk_percent.clone(),
            in_flight: self.in_flight.clone(),
        };
        Ok(IntegrationRule {
            name: identity.name,
            kinds,
            quota: own.check(document, quota)?,
        })
    }
}

fn short_name(kind: v1::Kind) -> &'static str {
    let name = kind.as_str_name();
    name.strip_prefix("KIND_").unwrap_or(name)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRetention {
    kind: Option<Spanned<String>>,
    handling: Option<Spanned<String>>,
    erase_body_after: Spanned<String>,
}

impl RawRetention {
    fn check(&self, document: &Document) -> Result<Rule, Fault> {
        let kind = self.kind.as_ref().map(|written| {
            let kind = v1::Kind::from_str_name(&format!("KIND_{}", written.get_ref()));
            match kind {
                None | Some(v1::Kind::Unspecified) => {
                    let remedy = "write it as in `liaison new`, such as HANDOVER_REQUEST";
                    Err(document.fault(written, "no such kind", remedy))
                }
                Some(kind) if is_kept_always(kind) => Err(document.fault(
                    written,
                    "no rule erases this kind: a node says it by itself, or deadlines are reckoned by it",
                    "remove the rule",
                )),
                Some(kind) => Ok(kind),
            }
        });
        let handling = self.handling.as_ref().map(|written| {
            let name = format!("HANDLING_CODE_{}", written.get_ref());
            v1::HandlingCode::from_str_name(&name)
                .ok_or_else(|| document.fault(written, "no such handling code", "such as H2"))
        });
        let written = &self.erase_body_after;
        let erase_body_after = match written.get_ref().as_str() {
            "never" => None,
            text => Some(Period::parse(text).map_err(|error| {
                let remedy = "write \"24 months\", \"90 days\", \"2 years\" or \"never\"";
                document.fault(written, error, remedy)
            })?),
        };
        Ok(Rule {
            kind: kind.transpose()?,
            handling: handling.transpose()?,
            erase_body_after,
        })
    }
}

fn retention(document: &Document, raw: &[RawRetention]) -> Result<Policy, Fault> {
    if let Some(first_over) = raw.get(RULES_MAX) {
        let written = &first_over.erase_body_after;
        return Err(document.fault(written, "more than 64 rules", "leave some out"));
    }
    let rules = raw.iter().map(|rule| rule.check(document));
    Policy::new(rules.collect::<Result<_, _>>()?).map_err(|(number, before)| {
        let reason = format!(
            "rule {} never decides: whatever fits it fits rule {} before it",
            number + 1,
            before + 1
        );
        let remedy = "put the narrower rule first, or remove it";
        document.fault(&raw[number].erase_body_after, reason, remedy)
    })
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    cache_mib: Option<Spanned<u64>>,
    disk_floor_mib: Option<Spanned<u64>>,
    peer: Option<RawQuota>,
    desk: Option<RawQuota>,
}

impl RawLimits {
    fn check(&self, document: &Document) -> Result<LimitsConfig, Fault> {
        let floor_min = DISK_FREE_BYTES_MIN >> 20;
        let cache_mib = within(
            document,
            self.cache_mib.as_ref(),
            CACHE_MIB_DEFAULT,
            CACHE_MIB_MIN..=CACHE_MIB_MAX,
        )?;
        let floor_mib = within(
            document,
            self.disk_floor_mib.as_ref(),
            floor_min,
            floor_min..=DISK_FLOOR_MIB_MAX,
        )?;
        let none = RawQuota::default();
        let peer = self.peer.as_ref().unwrap_or(&none);
        if let Some(in_flight) = &peer.in_flight {
            let reason = "what a peer may have in flight is the window of the protocol";
            return Err(document.fault(in_flight, reason, "leave it out"));
        }
        let peer_default = DeskQuota {
            quota: Quota::PEER,
            ..DeskQuota::default()
        };
        let desk = self.desk.as_ref().unwrap_or(&none);
        Ok(LimitsConfig {
            cache_bytes: cache_mib << 20,
            disk_free_bytes_min: floor_mib << 20,
            peer: peer.check(document, peer_default)?.quota,
            desk: desk.check(document, DeskQuota::default())?,
        })
    }
}

/// A number within its range, or the default.
fn within(
    document: &Document,
    value: Option<&Spanned<u64>>,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Fault> {
    let Some(value) = value else {
        return Ok(default);
    };
    if range.contains(value.get_ref()) {
        return Ok(*value.get_ref());
    }
    let reason = format!("{} is out of range", value.get_ref());
    let remedy = format!("choose from {} to {}", range.start(), range.end());
    Err(document.fault(value, reason, remedy))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuota {
    messages_per_second: Option<Spanned<u64>>,
    burst_messages: Option<Spanned<u64>>,
    mib_per_day: Option<Spanned<u64>>,
    disk_percent: Option<Spanned<u64>>,
    in_flight: Option<Spanned<u64>>,
}

impl RawQuota {
    fn check(&self, document: &Document, default: DeskQuota) -> Result<DeskQuota, Fault> {
        let small = |value: &Option<Spanned<u64>>, default: u32, max: u32| {
            let number = within(
                document,
                value.as_ref(),
                u64::from(default),
                1..=u64::from(max),
            )?;
            Ok(u32::try_from(number).unwrap_or(max))
        };
        let quota = default.quota;
        let mib = within(
            document,
            self.mib_per_day.as_ref(),
            quota.bytes_per_day >> 20,
            QUOTA_DAY_BYTES_MIN >> 20..=MIB_PER_DAY_MAX,
        )?;
        let percent = small(&self.disk_percent, u32::from(quota.disk_percent), 100)?;
        let in_flight = u32::try_from(default.in_flight).unwrap_or(IN_FLIGHT_MAX);
        let in_flight = small(&self.in_flight, in_flight, IN_FLIGHT_MAX)?;
        Ok(DeskQuota {
            quota: Quota {
                messages_per_second: small(
                    &self.messages_per_second,
                    quota.messages_per_second,
                    MESSAGES_PER_SECOND_MAX,
                )?,
                burst_messages: small(
                    &self.burst_messages,
                    quota.burst_messages,
                    BURST_MESSAGES_MAX,
                )?,
                bytes_per_day: mib << 20,
                disk_percent: u8::try_from(percent).unwrap_or(100),
            },
            in_flight: usize::try_from(in_flight).unwrap_or(CALLER_SUBMITS_MAX),
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    level: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
}

impl RawLog {
    fn check(&self, document: &Document) -> Result<LogConfig, Fault> {
        let level = match &self.level {
            None => LevelFilter::INFO,
            Some(text) => match text.get_ref().as_str() {
                "error" => LevelFilter::ERROR,
                "warn" => LevelFilter::WARN,
                "info" => LevelFilter::INFO,
                "debug" => LevelFilter::DEBUG,
                "trace" => LevelFilter::TRACE,
                _ => {
                    let remedy = "it is error, warn, info, debug or trace";
                    return Err(document.fault(text, "no such level", remedy));
                }
            },
        };
        let format = match &self.format {
            None => LogFormat::Text,
            Some(text) => match text.get_ref().as_str() {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err(document.fault(text, "no such format", "it is text or json")),
            },
        };
        Ok(LogConfig { level, format })
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests;
