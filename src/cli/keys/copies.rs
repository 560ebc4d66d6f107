//! The files of keys: copies apart from the data, bringing one in, and another storage key.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::connect::{Desk, Target};
use crate::cli::exit::{Done, Exit, Failure};
use crate::cli::print::Screen;
use crate::cli::table::{Cell, Fit, Style, Table};
use crate::cli::{node, refused, when};
use crate::node::config::Config;
use crate::node::storage::{change_storage, open_keys, restore_keys};
use crate::proto::v1;
use crate::store::{CopiedKeys, KEY_COPY_MANIFEST, KeyCopyError, StoreError, Vault, VaultError};

/// Who notes something while the node does not run.
const OFFLINE: &str = "operator/offline";

/// Copies the keys of what lies on the disk into a directory of its own within TO.
///
/// Keep it apart from every backup of the data, and the storage key apart from both: who has all three
/// reads everything, also what was erased since. The node writes down that the copy exists, and an
/// erasure names the copies to destroy. No other copy of these files may be made.
#[derive(Debug, Args)]
pub(crate) struct BackupKeys {
    /// A directory, best on a medium that leaves the machine.
    #[arg(required_unless_present_any = ["list", "destroyed"])]
    to: Option<PathBuf>,
    /// What the list shall say where the copy is; else the directory.
    #[arg(long, value_name = "TEXT", requires = "to")]
    label: Option<String>,
    /// Lists the copies that were made.
    #[arg(long, conflicts_with_all = ["to", "destroyed"])]
    list: bool,
    /// Notes that a copy was destroyed: the medium, or the file overwritten.
    #[arg(long, value_name = "ID", conflicts_with = "to")]
    destroyed: Option<String>,
}

/// Brings in a copy of the keys, while the node does not run.
///
/// Only what is missing is taken from it: a key that is here stays, and one that was destroyed here does
/// not come back.
#[derive(Debug, Args)]
pub(crate) struct RestoreKeys {
    /// The directory keys-DATE-ID of a copy.
    #[arg(required_unless_present = "lost")]
    copy: Option<PathBuf>,
    /// There is no copy: what was sealed under the missing keys stays unreadable, and the node starts.
    #[arg(long, conflicts_with = "copy")]
    lost: bool,
}

/// Makes a new storage key and seals the key files anew, while the node does not run.
#[derive(Debug, Args)]
pub(crate) struct ChangeStorage {
    /// Where the old one is, as it stood under keys.storage, if the configuration names another place
    /// now: a path, credential:NAME or pkcs11:…
    #[arg(long, value_name = "OLD")]
    from: Option<String>,
}

/// The node, or its files while it does not run.
enum Keeper {
    Node(Box<Desk>),
    Files(Arc<Vault>),
}

impl Keeper {
    async fn find(target: &Target) -> Result<Self, Failure> {
        if target.is_local() {
            let config = target.load_config()?;
            if UnixStream::connect(&config.desk.socket).is_err() {
                let vault = open_keys(&config).map_err(node_failure)?;
                return vault.map(Self::Files).ok_or_else(|| {
                    let what = "nothing lies sealed here ([at_rest] encrypt = false), so there are no \
                                key files to copy";
                    Failure::new(Exit::Negative, what)
                });
            }
        }
        Ok(Self::Node(Box::new(target.connect().await?)))
    }

    async fn copy(&self, label: &str) -> Result<CopiedKeys, Failure> {
        let desk = match self {
            Self::Files(vault) => return vault.copy(label).map_err(vault_failure),
            Self::Node(desk) => desk,
        };
        let request = v1::CopyKeysRequest {
            label: label.to_owned(),
        };
        let mut parts = refused::answer(desk.key_copies().copy_keys(request).await)?;
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut ended = false;
        loop {
            let part = parts.message().await;
            let Some(part) = part.map_err(|status| refused::failure(&status))? else {
                break;
            };
            ended = part.end;
            if !part.end {
                files.entry(part.name).or_default().extend(part.part);
            }
        }
        if !ended {
            return Err(Failure::new(
                Exit::Unavailable,
                "the node stopped in the midst; nothing was written",
            ));
        }
        let manifest = files.remove(KEY_COPY_MANIFEST).unwrap_or_default();
        CopiedKeys::of_parts(manifest, files).map_err(|error| vault_failure(error.into()))
    }

    async fn finish(&self, id: &str) -> Result<(), Failure> {
        match self {
            Self::Files(vault) => vault.finish_copy(id).map_err(|e| vault_failure(e.into())),
            Self::Node(desk) => {
                let request = v1::FinishKeyCopyRequest { id: id.to_owned() };
                refused::answer(desk.key_copies().finish_key_copy(request).await).map(drop)
            }
        }
    }

    async fn destroyed(&self, id: &str) -> Result<(), Failure> {
        match self {
            Self::Files(vault) => {
                let noted = vault.note_destroyed_copy(id, OFFLINE);
                noted.map_err(|error| vault_failure(error.into()))
            }
            Self::Node(desk) => {
                let request = v1::NoteKeyCopyDestroyedRequest { id: id.to_owned() };
                let noted = desk.key_copies().note_key_copy_destroyed(request).await;
                refused::answer(noted).map(drop)
            }
        }
    }

    async fn known(&self) -> Result<v1::ListKeyCopiesResponse, Failure> {
        match self {
            Self::Files(vault) => {
                let uncopied = vault.uncopied();
                Ok(v1::ListKeyCopiesResponse {
                    copies: vault.known_copies().into_iter().map(told).collect(),
                    sealed: true,
                    storage_key: vault.storage_key_id(),
                    copied_at_ms: uncopied.copied_at_ms,
                    uncopied: uncopied.keys,
                    lost: vault.lost(),
                })
            }
            Self::Node(desk) => known_to(desk).await,
        }
    }
}

fn told(copy: crate::store::KeyCopy) -> v1::KeyCopy {
    v1::KeyCopy {
        id: copy.id,
        at_ms: copy.at_ms,
        label: copy.label,
        sha256: copy.sha256,
        storage_key: copy.storage_key,
        finished: copy.finished,
        destroyed_at_ms: copy.destroyed_at_ms,
        destroyed_by: copy.destroyed_by.unwrap_or_default(),
    }
}

/// What a running node knows of copies.
pub(super) async fn known_to(desk: &Desk) -> Result<v1::ListKeyCopiesResponse, Failure> {
    let request = v1::ListKeyCopiesRequest {};
    refused::answer(desk.key_copies().list_key_copies(request).await)
}

/// What would be lost with the files of keys, in a sentence or two.
pub(super) fn standing(known: &v1::ListKeyCopiesResponse) -> (String, Style) {
    if !known.sealed {
        let text = "bodies lie unsealed here ([at_rest] encrypt = false)";
        return (text.to_owned(), Style::Plain);
    }
    let mut text = match known.copied_at_ms {
        Some(at_ms) => format!("key files: last copied {}", moment(at_ms)),
        None => "key files: never copied".to_owned(),
    };
    let style = if known.uncopied > 0 {
        text = format!(
            "{text}. If they were lost now, up to {} bodies and files could not be read: liaison keys backup TO",
            known.uncopied
        );
        Style::Bad
    } else {
        Style::Plain
    };
    if known.lost > 0 {
        text = format!(
            "{text}. Up to {} keys are LOST; a copy that has them brings them back: liaison keys restore COPY",
            known.lost
        );
    }
    (text, style)
}

fn moment(at_ms: u64) -> String {
    let ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
    when::full(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX))
}

fn vault_failure(error: VaultError) -> Failure {
    let exit = match &error {
        VaultError::Copy(KeyCopyError::Label(_)) => Exit::Usage,
        VaultError::Copy(KeyCopyError::Unknown(_) | KeyCopyError::TooMany) => Exit::Negative,
        VaultError::Copy(KeyCopyError::NotWhole { .. }) | VaultError::OtherCopy { .. } => {
            Exit::Data
        }
        VaultError::Store(StoreError::InUse { .. } | StoreError::Full { .. })
        | VaultError::Copy(KeyCopyError::Store(StoreError::Full { .. })) => Exit::TryLater,
        VaultError::Copy(KeyCopyError::Store(_)) => Exit::CannotCreate,
        _ => Exit::Config,
    };
    Failure::of(exit, anyhow::Error::new(error))
}

fn node_failure(error: crate::node::NodeError) -> Failure {
    match error {
        crate::node::NodeError::Vault(error) => vault_failure(error),
        error => node::failure_of(error),
    }
}

impl BackupKeys {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        let keeper = Keeper::find(target).await?;
        if let Some(id) = &self.destroyed {
            keeper.destroyed(id).await?;
            screen.note("noted; an erasure names this copy no longer");
            return Ok(Exit::Ok);
        }
        let Some(to) = &self.to else {
            return list(&keeper.known().await?, screen);
        };
        let label = match self.label {
            Some(label) => label,
            None => std::path::absolute(to)
                .unwrap_or_else(|_| to.clone())
                .display()
                .to_string(),
        };
        let copied = keeper.copy(&label).await?;
        let dir = copied.write(to).map_err(|error| {
            vault_failure(error.into())
                .while_doing("the keys were not copied, or not wholly; destroy what there is")
        })?;
        keeper.finish(&copied.copy.id).await?;
        made(&dir, &copied, screen)
    }
}

fn made(dir: &Path, copied: &CopiedKeys, screen: Screen) -> Done {
    let copy = &copied.copy;
    if screen.json {
        screen.json(&json!({
            "id": copy.id,
            "directory": dir,
            "months": copy.months.keys().collect::<Vec<_>>(),
            "storageKey": copy.storage_key,
            "sha256": copy.sha256,
        }))?;
        return Ok(Exit::Ok);
    }
    screen.line(format!(
        "copied the keys of {} months, and read them back: {}",
        copy.months.len(),
        dir.display()
    ))?;
    screen.line(format!(
        "  id {}, opened by the storage key {}",
        copy.id, copy.storage_key
    ))?;
    screen.note(
        "take it off this machine, apart from every backup of the data. The storage key is not in it: \
         keep that a third way. When you destroy this copy, say so: liaison keys backup --destroyed ID",
    );
    Ok(Exit::Ok)
}

fn list(known: &v1::ListKeyCopiesResponse, screen: Screen) -> Done {
    if screen.json {
        let copies = known.copies.iter().map(|copy| {
            json!({
                "id": copy.id,
                "at": moment(copy.at_ms),
                "label": copy.label,
                "sha256": copy.sha256,
                "storageKey": copy.storage_key,
                "whole": copy.finished,
                "destroyed": copy.destroyed_at_ms.map(moment),
                "destroyedBy": copy.destroyed_by,
            })
        });
        screen.json(&json!({
            "storageKey": known.storage_key,
            "lastCopied": known.copied_at_ms.map(moment),
            "uncopied": known.uncopied,
            "lost": known.lost,
            "copies": copies.collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        ("ID", Fit::Whole),
        ("COPIED", Fit::Whole),
        ("WHERE", Fit::Down(12)),
        ("STANDING", Fit::Whole),
    ]);
    for copy in &known.copies {
        let (standing, style) = if let Some(at_ms) = copy.destroyed_at_ms {
            (format!("destroyed {}", moment(at_ms)), Style::Dim)
        } else if !copy.finished {
            ("not whole; destroy it".to_owned(), Style::Bad)
        } else if copy.storage_key != known.storage_key {
            (
                format!(
                    "opens with the former storage key {} only",
                    copy.storage_key
                ),
                Style::Dim,
            )
        } else {
            ("whole".to_owned(), Style::Good)
        };
        table.row([
            copy.id.as_str().into(),
            moment(copy.at_ms).into(),
            copy.label.as_str().into(),
            Cell::styled(standing, style),
        ]);
    }
    if !known.copies.is_empty() {
        screen.table(&table)?;
    }
    let (text, style) = standing(known);
    screen.styled(&text, style)?;
    Ok(Exit::Ok)
}

/// The node must not run: it would go on with what it has in memory.
fn check_stopped(config: &Config) -> Result<(), Failure> {
    if UnixStream::connect(&config.desk.socket).is_ok() {
        let what = format!("the node {} runs; nothing was changed", config.node);
        return Err(Failure::new(Exit::TryLater, what).remedy("stop it first"));
    }
    Ok(())
}

impl RestoreKeys {
    pub(super) fn run(&self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        check_stopped(&config)?;
        let keys = restore_keys(&config, self.copy.as_deref()).map_err(node_failure)?;
        if screen.json {
            screen.json(&json!({ "back": keys.back, "lost": keys.lost }))?;
            return Ok(Exit::Ok);
        }
        screen.line(format!("{} keys came back, used or not", keys.back))?;
        if keys.lost > 0 {
            screen.line(format!(
                "up to {} keys are in no file here: what they sealed cannot be read. A copy that has \
                 them still brings them back",
                keys.lost
            ))?;
        }
        screen.note("the node can be started; it destroys again what was erased since the copy");
        Ok(Exit::Ok)
    }
}

impl ChangeStorage {
    pub(super) fn run(&self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        check_stopped(&config)?;
        let changed = change_storage(&config, self.from.as_deref()).map_err(node_failure)?;
        if screen.json {
            screen.json(&json!({ "storageKey": changed.id, "files": changed.files }))?;
            return Ok(Exit::Ok);
        }
        screen.line(format!(
            "{} key files are sealed under the storage key {}",
            changed.files, changed.id
        ))?;
        if let Some(old) = &changed.removed {
            screen.line(format!("{} was overwritten and removed", old.display()))?;
        }
        screen.note(
            "copies of the key files that were made before open with the old storage key only: make a new \
             one (liaison keys backup TO), keep a copy of the new storage key apart, and destroy the \
             copies of the old one",
        );
        Ok(Exit::Ok)
    }
}
