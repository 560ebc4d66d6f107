//! The peer card: what a side gives the other at link set-up, and its fingerprint.
//!
//! A card holds public keys only and can be sent by any way; what makes it trustworthy is that
//! two officers compare its fingerprint by voice.
//!
//! # Form
//!
//! TOML, version 1. `node`, `time_zone`, `endpoints`, one `[[key]]` per vkey with its `role`
//! (`message`, `log`, `officer` or `recovery`) and validity (`valid_from_index` .. `valid_until_index`, both
//! included, of the node's log on the link; `valid_from` .. `valid_until`, RFC 3339), and one
//! `[[authority]]` per certificate in PEM.
//!
//! The message key is a vkey of type 0x01 named like the node. The log key is given as the node's
//! cosigner key, type 0x04 named like the node; the type 0x01 key of an origin has the same public
//! key and is derived by [`PeerCard::log_verifier`].
//!
//! A card as [`PeerCard::to_text`] writes it names its fingerprint in a comment at its head. Where that
//! line stands, the card must have that fingerprint: so a damaged card is noticed, whichever bit it is.
//!
//! # Fingerprint
//!
//! SHA-256 over everything that the card says, in the canonical form of [`PeerCard::fingerprint`];
//! the 32 bytes are taken four by four as big-endian numbers modulo 10,000: eight groups of four
//! digits, 106 bits. To make another card with the same fingerprint takes 2^106 tries. (Someone who
//! makes *both* cards finds two that agree in 2^53, which gains him nothing: he is the peer.)

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml::Spanned;

use super::document::{Document, Fault};
use crate::crypto::change::is_of_role;
use crate::crypto::vkey::{Algorithm, VerifierKey, VkeyError};
use crate::link::dial::Endpoint;
use crate::link::files::parse_certificates;
use crate::link::leaf::Facts;
use crate::link::pki::{PkiError, write_public};
use crate::model::{NodeName, Origin};
use crate::proto::v1;

/// The version that is written and read.
pub const CARD_VERSION: u32 = 1;
/// Begins the line of [`PeerCard::to_text`] that names the fingerprint.
const FINGERPRINT_LINE: &str = "# Fingerprint:";
/// Keys of one card: a handful of officers and every key of a long life.
const KEYS_MAX: usize = 64;
/// Authorities of one card.
const AUTHORITIES_MAX: usize = 8;
/// Endpoints of one card.
const ENDPOINTS_MAX: usize = 8;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyRole {
    /// Signs entries.
    Message,
    /// Signs checkpoints and cosignatures.
    Log,
    /// A person's, who releases messages.
    Officer,
    /// Kept offline; revokes the others.
    Recovery,
}

impl KeyRole {
    /// The word in a card.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Log => "log",
            Self::Officer => "officer",
            Self::Recovery => "recovery",
        }
    }
}

/// A public key with its role and validity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardKey {
    /// What it is for.
    pub role: KeyRole,
    /// The key.
    pub vkey: VerifierKey,
    /// First log index that it may sign.
    pub valid_from_index: u64,
    /// Last log index that it may sign; open if `None`.
    pub valid_until_index: Option<u64>,
    /// Not before; open if `None`.
    pub valid_from: Option<Timestamp>,
    /// Not after; open if `None`.
    pub valid_until: Option<Timestamp>,
}

impl CardKey {
    /// A key that is valid without bounds.
    #[must_use]
    pub fn unbounded(role: KeyRole, vkey: VerifierKey) -> Self {
        Self {
            role,
            vkey,
            valid_from_index: 0,
            valid_until_index: None,
            valid_from: None,
            valid_until: None,
        }
    }

    /// Whether the key may sign the entry at `index`. Times are for people: an index decides.
    #[must_use]
    pub fn is_valid_at(&self, index: u64) -> bool {
        index >= self.valid_from_index && self.valid_until_index.is_none_or(|last| index <= last)
    }
}

/// A checked card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCard {
    /// Whose.
    pub node: NodeName,
    /// IANA name, for showing the peer's local time.
    pub time_zone: String,
    /// Where it can be dialled; empty if it only dials itself.
    pub endpoints: Vec<Endpoint>,
    /// At least one message key and one log key.
    pub keys: Vec<CardKey>,
    /// At least one: the roots of the node's TLS certificate.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl PeerCard {
    /// Reads a card file.
    ///
    /// # Errors
    ///
    /// A [`Fault`] with line, key, reason and remedy.
    pub fn load(file: &Path) -> Result<Self, Fault> {
        Self::parse(&Document::read(
            file,
            "check the path; the other side makes its card with liaison peer card --out FILE",
        )?)
    }

    /// Reads a card, strictly: an unknown key or version is refused, because a card that is half
    /// understood must not be trusted.
    ///
    /// # Errors
    ///
    /// A [`Fault`] with line, key, reason and remedy.
    pub fn parse(document: &Document) -> Result<Self, Fault> {
        let raw: RawCard = document.parse()?;
        let ask = "ask the peer for a correct card (liaison peer card)";

        if *raw.version.get_ref() != CARD_VERSION {
            let reason = format!("version {} is not known", raw.version.get_ref());
            let remedy =
                format!("this node reads version {CARD_VERSION}; bring both sides up to date");
            return Err(document.fault(&raw.version, reason, remedy));
        }
        let node = NodeName::parse(raw.node.get_ref())
            .map_err(|error| document.fault(&raw.node, error, ask))?;
        if jiff::tz::TimeZone::get(raw.time_zone.get_ref()).is_err() {
            return Err(document.fault(
                &raw.time_zone,
                "no such time zone",
                "use an IANA name such as Asia/Ho_Chi_Minh",
            ));
        }
        let mut endpoints = Vec::new();
        for text in &raw.endpoints {
            let endpoint = Endpoint::parse(text.get_ref());
            endpoints.push(endpoint.map_err(|error| document.fault(text, error, ask))?);
        }
        let mut keys = Vec::new();
        for key in &raw.key {
            keys.push(key.check(document, &node)?);
        }
        let mut authorities = Vec::new();
        for authority in &raw.authority {
            let pem = &authority.certificate;
            let found = parse_certificates(pem.get_ref().as_bytes())
                .map_err(|reason| document.fault(pem, reason, ask))?;
            let [der] = &found[..] else {
                return Err(document.fault(
                    pem,
                    "more than one certificate",
                    "give each its own [[authority]]",
                ));
            };
            let facts = Facts::read(der).map_err(|error| document.fault(pem, error, ask))?;
            if !facts.is_authority {
                return Err(document.fault(pem, "this is not an authority's certificate", ask));
            }
            authorities.push(der.clone());
        }

        let card = Self {
            node,
            time_zone: raw.time_zone.into_inner(),
            endpoints,
            keys,
            authorities,
        };
        card.check_whole()
            .map_err(|reason| document.fault_whole(reason, ask))?;
        let mut lines = document.text().lines();
        let written = lines.find_map(|line| line.strip_prefix(FINGERPRINT_LINE));
        if written.is_some_and(|written| !card.fingerprint().matches(written)) {
            return Err(document.fault_whole(
                "the card does not say what the fingerprint at its head was made of: it is damaged, \
                 or was changed by hand",
                "put it back as the peer gave it, or ask the peer for it again (liaison peer card); \
                 endpoints are overridden in the link's settings, not in the card",
            ));
        }
        Ok(card)
    }

    fn check_whole(&self) -> Result<(), &'static str> {
        let has = |role| self.keys.iter().any(|key| key.role == role);
        if self.keys.len() > KEYS_MAX {
            return Err("more than 64 keys");
        }
        if self.authorities.len() > AUTHORITIES_MAX {
            return Err("more than 8 authorities");
        }
        if self.endpoints.len() > ENDPOINTS_MAX {
            return Err("more than 8 endpoints");
        }
        if !has(KeyRole::Message) {
            return Err("no message key");
        }
        if !has(KeyRole::Log) {
            return Err("no log key");
        }
        if self.authorities.is_empty() {
            return Err("no authority");
        }
        for (position, key) in self.keys.iter().enumerate() {
            let public = key.vkey.public();
            let again = |other: &&CardKey| other.vkey.public() == public;
            if self.keys[..position]
                .iter()
                .any(|other| again(&other) && other.role != key.role)
            {
                return Err(
                    "one public key has two roles; message, log and officer keys must differ",
                );
            }
        }
        Ok(())
    }

    /// Whether this version can keep to everything that the card says of keys. A card that is only
    /// half kept to must not make a link.
    ///
    /// # Errors
    ///
    /// What this version does not do yet, with the remedy.
    pub fn check_known_use(&self) -> Result<(), &'static str> {
        let mut log_keys = self.log_keys();
        let first = log_keys.next();
        if log_keys.next().is_some() {
            return Err(
                "it has more than one log key, and this version follows one only; ask the \
                        peer for a card with the log key in use",
            );
        }
        if first.is_some_and(|key| key.valid_from_index > 0 || key.valid_until_index.is_some()) {
            return Err(
                "its log key is bound to indices, which this version does not follow; ask \
                        the peer for a card without bounds on the log key",
            );
        }
        if self.of_role(KeyRole::Recovery).nth(1).is_some() {
            return Err("it has more than one recovery key; ask the peer for a card with one");
        }
        Ok(())
    }

    /// The card as a file, with comments. [`Self::parse`] reads it back to an equal card.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let fingerprint = self.fingerprint();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# Liaison peer card of {node}. It holds no secrets.\n\
             #\n\
             {FINGERPRINT_LINE} {fingerprint}\n\
             #\n\
             # Give it to the other side, which runs: liaison peer add FILE\n\
             # Then compare the fingerprint by voice, over a line that you trust.\n\n\
             version = {CARD_VERSION}\n\
             node = {node_quoted}\n\
             time_zone = {zone}\n\
             endpoints = [{endpoints}]\n",
            node = self.node,
            node_quoted = quoted(self.node.as_str()),
            zone = quoted(&self.time_zone),
            endpoints = self
                .endpoints
                .iter()
                .map(|endpoint| quoted(&endpoint.to_string()))
                .collect::<Vec<_>>()
                .join(", "),
        );
        for key in &self.keys {
            let _ = write!(
                text,
                "\n[[key]]\nrole = {}\nvkey = {}\n",
                quoted(key.role.as_str()),
                quoted(&key.vkey.to_string())
            );
            if key.valid_from_index > 0 {
                let _ = writeln!(text, "valid_from_index = {}", key.valid_from_index);
            }
            if let Some(index) = key.valid_until_index {
                let _ = writeln!(text, "valid_until_index = {index}");
            }
            if let Some(time) = key.valid_from {
                let _ = writeln!(text, "valid_from = {}", quoted(&time.to_string()));
            }
            if let Some(time) = key.valid_until {
                let _ = writeln!(text, "valid_until = {}", quoted(&time.to_string()));
            }
        }
        for authority in &self.authorities {
            let pem = pem_of(authority);
            let _ = write!(text, "\n[[authority]]\ncertificate = \"\"\"\n{pem}\"\"\"\n");
        }
        text
    }

    /// Writes a new card file, mode 0644; a file that is there already is never replaced.
    ///
    /// # Errors
    ///
    /// [`PkiError::Write`].
    pub fn write(&self, file: &Path) -> Result<(), PkiError> {
        write_public(file, &self.to_text())
    }

    /// Eight groups of four digits that two officers compare by voice.
    ///
    /// The canonical form is a list of byte strings, each behind its length as eight big-endian
    /// bytes: `liaison peer card 1`, node, time zone; then `endpoint` and the endpoint for each in
    /// order; then `key`, role, vkey, first index, last index, from and until (decimal numbers, RFC
    /// 3339 times, empty where open) for each in order; then `authority` and the DER certificate for
    /// each in order.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut say = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        let time = |time: Option<Timestamp>| time.map_or(String::new(), |time| time.to_string());
        say(b"liaison peer card 1");
        say(self.node.as_str().as_bytes());
        say(self.time_zone.as_bytes());
        for endpoint in &self.endpoints {
            say(b"endpoint");
            say(endpoint.to_string().as_bytes());
        }
        for key in &self.keys {
            say(b"key");
            say(key.role.as_str().as_bytes());
            say(key.vkey.to_string().as_bytes());
            say(key.valid_from_index.to_string().as_bytes());
            say(key
                .valid_until_index
                .map_or(String::new(), |index| index.to_string())
                .as_bytes());
            say(time(key.valid_from).as_bytes());
            say(time(key.valid_until).as_bytes());
        }
        for authority in &self.authorities {
            say(b"authority");
            say(authority);
        }
        Fingerprint(hash.finalize().into())
    }

    /// The keys of a role.
    pub fn of_role(&self, role: KeyRole) -> impl Iterator<Item = &CardKey> {
        self.keys.iter().filter(move |key| key.role == role)
    }

    /// The keys that verify the node's entries.
    pub fn message_keys(&self) -> impl Iterator<Item = &CardKey> {
        self.keys.iter().filter(|key| key.role == KeyRole::Message)
    }

    /// The keys that verify the node's checkpoints and cosignatures, type 0x04.
    pub fn log_keys(&self) -> impl Iterator<Item = &CardKey> {
        self.keys.iter().filter(|key| key.role == KeyRole::Log)
    }

    /// The type 0x01 key of a log that this node writes, from one of its [`Self::log_keys`].
    ///
    /// # Errors
    ///
    /// Never for a key of a checked card: a node name and an origin are both key names.
    pub fn log_verifier(key: &CardKey, origin: &Origin) -> Result<VerifierKey, VkeyError> {
        VerifierKey::new(&origin.to_string(), Algorithm::Ed25519, *key.vkey.public())
    }
}

/// What two officers compare. Equal only if the cards say exactly the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Whether a person typed this fingerprint; spaces and hyphens do not matter.
    #[must_use]
    pub fn matches(&self, typed: &str) -> bool {
        let digits: String = typed
            .chars()
            .filter(|char| !char.is_whitespace() && *char != '-')
            .collect();
        digits == self.to_string().replace(' ', "")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, four) in self.0.chunks_exact(4).enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            let number = four
                .iter()
                .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
            write!(f, "{:04}", number % 10_000)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn pem_of(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCard {
    version: Spanned<u32>,
    node: Spanned<String>,
    time_zone: Spanned<String>,
    endpoints: Vec<Spanned<String>>,
    key: Vec<RawKey>,
    authority: Vec<RawAuthority>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    role: Spanned<String>,
    vkey: Spanned<String>,
    valid_from_index: Option<Spanned<u64>>,
    valid_until_index: Option<Spanned<u64>>,
    valid_from: Option<Spanned<String>>,
    valid_until: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuthority {
    certificate: Spanned<String>,
}

impl RawKey {
    fn check(&self, document: &Document, node: &NodeName) -> Result<CardKey, Fault> {
        let ask = "ask the peer for a correct card (liaison peer card)";
        let roles = [
            KeyRole::Message,
            KeyRole::Log,
            KeyRole::Officer,
            KeyRole::Recovery,
        ];
        let role = roles
            .into_iter()
            .find(|role| role.as_str() == self.role.get_ref())
            .ok_or_else(|| {
                let remedy = "it is message, log, officer or recovery";
                document.fault(&self.role, "no such role", remedy)
            })?;
        let vkey = VerifierKey::parse(self.vkey.get_ref())
            .map_err(|error| document.fault(&self.vkey, error, ask))?;
        // The node's own keys are named like the node; an officer's begins with it.
        let named_well = match role {
            KeyRole::Message | KeyRole::Log => vkey.name() == node.as_str(),
            KeyRole::Officer => is_of_role(&vkey, v1::KeyRole::Officer, node),
            KeyRole::Recovery => is_of_role(&vkey, v1::KeyRole::Recovery, node),
        };
        if !named_well {
            let reason = format!("the key is named {}, not for {node}", vkey.name());
            return Err(document.fault(&self.vkey, reason, ask));
        }
        let wanted = match role {
            KeyRole::Message | KeyRole::Officer | KeyRole::Recovery => Algorithm::Ed25519,
            KeyRole::Log => Algorithm::Cosignature,
        };
        if vkey.algorithm() != wanted {
            let reason = format!("a {} key is of type {:#04x}", role.as_str(), wanted.byte());
            return Err(document.fault(&self.vkey, reason, ask));
        }

        let time = |value: &Option<Spanned<String>>| -> Result<Option<Timestamp>, Fault> {
            let Some(value) = value else { return Ok(None) };
            let time = value.get_ref().parse().map_err(|_| {
                document.fault(value, "not a time", "write it like 2027-01-31T00:00:00Z")
            })?;
            Ok(Some(time))
        };
        let valid_from_index = self
            .valid_from_index
            .as_ref()
            .map_or(0, |index| *index.get_ref());
        if let Some(last) = &self.valid_until_index
            && *last.get_ref() < valid_from_index
        {
            return Err(document.fault(last, "it ends before it begins", ask));
        }
        let (valid_from, valid_until) = (time(&self.valid_from)?, time(&self.valid_until)?);
        if let (Some(from), Some(until), Some(place)) = (valid_from, valid_until, &self.valid_until)
            && until < from
        {
            return Err(document.fault(place, "it ends before it begins", ask));
        }
        Ok(CardKey {
            role,
            vkey,
            valid_from_index,
            valid_until_index: self
                .valid_until_index
                .as_ref()
                .map(|index| *index.get_ref()),
            valid_from,
            valid_until,
        })
    }
}

#[cfg(test)]
mod tests;
