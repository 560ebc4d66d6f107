//! Files of public keys beside the node's configuration: TOML, one `[[key]]` with role and vkey each.
//!
//! Two kinds: the keys with which the own log on a link began (`<peer>.start.toml` in the links
//! directory, written once), and the officers' and recovery keys that go into the own card
//! (`public.toml` beside the message key).

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Fault};
use crate::crypto::change::is_of_role;
use crate::crypto::history::StartKeys;
use crate::crypto::vkey::VerifierKey;
use crate::model::NodeName;
use crate::proto::v1::KeyRole;

/// The end of the name of a link's start keys.
pub const START_SUFFIX: &str = ".start.toml";
/// Officers' and recovery keys of this node, beside its message key.
pub const PUBLIC_FILE: &str = "public.toml";

const REMEDY: &str =
    "put the file back as it was; a copy of the own card given to the peer says the same";

/// Reads a file of public keys; nothing if there is none.
///
/// # Errors
/// The first [`Fault`].
pub fn load(file: &Path, node: &NodeName) -> Result<Option<StartKeys>, Fault> {
    if !file.exists() {
        return Ok(None);
    }
    let document = Document::read(file, REMEDY)?;
    let raw: RawFile = document.parse()?;
    let mut keys = StartKeys::default();
    for key in raw.key.iter().flatten() {
        let vkey = VerifierKey::parse(key.vkey.get_ref())
            .map_err(|error| document.fault(&key.vkey, error, REMEDY))?;
        let role = match key.role.get_ref().as_str() {
            "message" => KeyRole::Message,
            "log" => KeyRole::Log,
            "officer" => KeyRole::Officer,
            "recovery" => KeyRole::Recovery,
            _ => return Err(document.fault(&key.role, "no such role", REMEDY)),
        };
        if !is_of_role(&vkey, role, node) {
            let reason = format!("no {} key of {node}", key.role.get_ref());
            return Err(document.fault(&key.vkey, reason, REMEDY));
        }
        match role {
            KeyRole::Message => keys.message.push((vkey, 0, None)),
            KeyRole::Log => keys.log.push(vkey),
            KeyRole::Officer => keys.officers.push(vkey),
            _ => keys.recovery = Some(vkey),
        }
    }
    Ok(Some(keys))
}

/// Writes a file of public keys in the place of one that is there, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn save(file: &Path, head: &str, keys: &StartKeys) -> io::Result<()> {
    let mut text = format!("{head}\n");
    let message = keys.message.iter().map(|(key, ..)| ("message", key));
    let log = keys.log.iter().map(|key| ("log", key));
    let officers = keys.officers.iter().map(|key| ("officer", key));
    let recovery = keys.recovery.iter().map(|key| ("recovery", key));
    for (role, vkey) in message.chain(log).chain(officers).chain(recovery) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n[[key]]\nrole = \"{role}\"\nvkey = \"{vkey}\"\n");
    }
    let directory = file.parent().unwrap_or(Path::new("."));
    let temporary = file.with_extension("toml.new");
    let mut out = File::create(&temporary)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)?;
    File::open(directory)?.sync_all()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    key: Option<Vec<RawKey>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    role: Spanned<String>,
    vkey: Spanned<String>,
}
