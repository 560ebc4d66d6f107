//! `liaison backup`: a copy of everything the node keeps, made while it runs; and whether such a copy
//! is whole.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tonic::Code;

use super::connect::{Desk, Target, quoted};
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::{Bar, Screen};
use super::{refused, words};
use crate::exchange::backup::check::{self, Checked};
use crate::exchange::backup::folder::{Folder, FolderError};
use crate::exchange::backup::manifest::is_plain_name;
use crate::exchange::backup::pack::{FileUse, PackedFile};
use crate::exchange::backup::take::{TakeError, Taken, Taking};
use crate::limits::{BACKUP_CONFIG_BYTES_MAX, BACKUP_CONFIG_FILES_MAX};
use crate::model::text::escape;
use crate::node::config::Config;
use crate::node::links::{CARD_SUFFIX, LINK_SUFFIX, LinkConfig};
use crate::node::public_keys::{PUBLIC_FILE, START_SUFFIX};
use crate::proto::v1;

/// Copies everything the running node keeps into a folder: only what is new since the last time.
///
/// What the messages say lies sealed in the folder, as on the node's disk; headers and logs are plain. It
/// holds no keys and no passphrases: keep copies of those elsewhere (liaison keys backup).
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Backup {
    #[command(subcommand)]
    command: Option<Command>,
    /// A new or empty directory, or one that holds a backup of this node.
    #[arg(required = true)]
    dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads a whole backup and says whether it is as it was written; needs no node and no key.
    Check {
        /// The directory of the backup.
        dir: PathBuf,
    },
}

impl Backup {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        match (self.command, self.dir) {
            (Some(Command::Check { dir }), _) => check_only(&dir, screen),
            (None, Some(dir)) => take(&dir, target, screen).await,
            (None, None) => Err(Failure::new(Exit::Usage, "name a directory")),
        }
    }
}

async fn take(dir: &Path, target: &Target, screen: Screen) -> Done {
    let desk = target.connect().await?;
    let config = configuration(target)?;
    let mut taking = Taking::open(dir).map_err(take_failure)?;
    stream(&desk, &mut taking).await?;
    fetch_files(&desk, &mut taking).await?;
    let taken = taking.finish(&config).map_err(take_failure)?;
    let journal = super::journal::export_beside(&desk, dir).await?;
    screen.note(format!("the journal is in {}", journal.display()));
    report(dir, &taken, screen)
}

async fn stream(desk: &Desk, taking: &mut Taking) -> Result<(), Failure> {
    let request = v1::BackupRequest {
        held: taking.held(),
    };
    let mut pieces = refused::answer(desk.backup().backup(request).await)?;
    let bar = Bar::items("entries", 0);
    let mut total = 0;
    loop {
        let piece = pieces.message().await.map_err(|status| {
            refused::failure(&status)
                .while_doing("no backup was made; the former one, if there is one, is whole")
        })?;
        let Some(piece) = piece else { return Ok(()) };
        taking.take(piece).map_err(take_failure)?;
        let to_come = taking.entries_to_come();
        if to_come > total {
            total = to_come;
            bar.total(total);
        }
        bar.at(total - to_come);
    }
}

async fn fetch_files(desk: &Desk, taking: &mut Taking) -> Result<(), Failure> {
    let missing = taking.missing().map_err(take_failure)?;
    let bar = Bar::bytes("files", missing.iter().map(|file| file.size).sum());
    for file in &missing {
        fetch(desk, taking, file, &bar).await?;
    }
    Ok(())
}

async fn fetch(
    desk: &Desk,
    taking: &mut Taking,
    file: &PackedFile,
    bar: &Bar,
) -> Result<(), Failure> {
    let request = v1::BackupFileRequest {
        sha256: file.sha256.to_vec().into(),
        content_sha256: match file.used {
            FileUse::Sealed(content) => content.to_vec().into(),
            _ => Vec::new().into(),
        },
    };
    let mut parts = match desk.backup().backup_file(request).await {
        Ok(parts) => parts.into_inner(),
        Err(status) if status.code() == Code::NotFound => {
            return taking.leave_out(file).map_err(take_failure);
        }
        Err(status) => return Err(refused::failure(&status)),
    };
    let mut content = taking.begin_file().map_err(take_failure)?;
    while let Some(part) = parts.message().await.map_err(|s| refused::failure(&s))? {
        // More than was said is as wrong as less; none of it fills the disk.
        if content.bytes() + part.chunk.len() as u64 > file.size {
            break;
        }
        content.write(&part.chunk).map_err(folder_failure)?;
        bar.advance(part.chunk.len() as u64);
    }
    taking.end_file(file, content).map_err(take_failure)
}

/// The configuration, its links and cards, and the public keys with which the logs began: no private
/// keys. Nothing where the desk is reached over the
/// network.
fn configuration(target: &Target) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    if !target.is_local() {
        return Ok(Vec::new());
    }
    let config = target.load_config()?;
    let mut files = vec![config.file.clone()];
    files.extend(link_files(&config)?);
    let mut copies: Vec<(String, Vec<u8>)> = Vec::new();
    for path in files {
        let reading = || format!("the configuration file {}", path.display());
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| is_plain_name(name)) else {
            continue;
        };
        let length = std::fs::metadata(&path)
            .or_fail(Exit::Config, reading)?
            .len();
        let known = copies.iter().any(|(known, _)| known == name);
        if known || length > BACKUP_CONFIG_BYTES_MAX || copies.len() == BACKUP_CONFIG_FILES_MAX {
            continue;
        }
        let bytes = std::fs::read(&path).or_fail(Exit::Config, reading)?;
        // Nobody should have put a key there; if somebody did, it stays there.
        if !contains(&bytes, b"PRIVATE KEY") {
            copies.push((name.to_owned(), bytes));
        }
    }
    Ok(copies)
}

fn link_files(config: &Config) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(&config.links_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error).or_exit(Exit::Config),
    };
    for entry in entries {
        let path = entry.or_exit(Exit::Config)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let wanted = [LINK_SUFFIX, CARD_SUFFIX, START_SUFFIX];
        if wanted.iter().any(|suffix| name.ends_with(suffix)) {
            files.push(path);
        }
    }
    files.extend(config.links.iter().map(|link| link.card_file.clone()));
    files.extend(config.links.iter().map(LinkConfig::start_file));
    files.push(config.keys.message.with_file_name(PUBLIC_FILE));
    files.retain(|file| file.exists());
    files.sort();
    files.dedup();
    Ok(files)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn report(dir: &Path, taken: &Taken, screen: Screen) -> Done {
    let exit = if taken.damaged.is_empty() {
        Exit::Ok
    } else {
        Exit::Negative
    };
    if screen.json {
        let logs = taken
            .logs
            .iter()
            .map(|(origin, size)| serde_json::json!({ "origin": origin, "size": size }));
        screen.json(&serde_json::json!({
            "directory": dir,
            "generation": taken.generation,
            "takenAtMs": taken.taken_at_ms,
            "logs": logs.collect::<Vec<_>>(),
            "entries": taken.entries,
            "entriesSent": taken.entries_sent,
            "files": taken.files,
            "filesSent": taken.files_sent,
            "filesAwaited": taken.awaited,
            "filesDamaged": taken.damaged.iter().map(hex::encode).collect::<Vec<_>>(),
            "bytesWritten": taken.bytes_written,
        }))?;
        return Ok(exit);
    }
    screen.line(format!(
        "backup {} in {}: {} entries and {} files; {} entries and {} files were sent, {} written",
        taken.generation,
        dir.display(),
        taken.entries,
        taken.files,
        taken.entries_sent,
        taken.files_sent,
        words::bytes(taken.bytes_written)
    ))?;
    for (origin, size) in &taken.logs {
        screen.line(format!("  {origin}: {size} entries"))?;
    }
    if taken.awaited > 0 {
        screen.line(format!(
            "  {} attachments have not come from the other side yet; a later backup holds them",
            taken.awaited
        ))?;
    }
    for sha256 in &taken.damaged {
        screen.line(format!(
            "  the attachment {} is damaged or gone in the node's store and NOT in this backup; \
             docs/operations.md, \"Records that are damaged or lost\"",
            hex::encode(sha256)
        ))?;
    }
    screen.note(
        "it holds what the messages say, and no keys: keep the key files and the passphrase in \
         another place",
    );
    screen.note(format!(
        "check it, on any machine: liaison backup check {}",
        quoted(dir)
    ));
    Ok(exit)
}

fn check_only(dir: &Path, screen: Screen) -> Done {
    let folder = Folder::new(dir);
    let checked = checked(&folder)?;
    let is_whole = checked.findings.is_empty();
    let manifest = &checked.manifest;
    if screen.json {
        let findings = checked.findings.iter();
        let findings = findings.map(|f| serde_json::json!({ "place": f.place, "what": f.what }));
        screen.json(&serde_json::json!({
            "whole": is_whole,
            "node": manifest.node,
            "generation": manifest.generation,
            "takenAt": manifest.taken_at,
            "entries": checked.entries,
            "files": checked.files,
            "filesAwaited": checked.awaited,
            "bytes": checked.bytes,
            "leftOver": checked.unnamed,
            "findings": findings.collect::<Vec<_>>(),
        }))?;
    } else {
        tell_findings(&checked, screen)?;
        screen.line(format!(
            "backup {} of {}, taken {}: {} entries and {} files read, {}",
            manifest.generation,
            manifest.node,
            manifest.taken_at,
            checked.entries,
            checked.files,
            words::bytes(checked.bytes)
        ))?;
        if is_whole {
            screen
                .line("whole: every byte is as it was written, every entry is in its log's root")?;
        } else {
            screen.line(format!(
                "NOT as it was written: {} findings. Keep it for what is whole, and make the next \
                 backup into another directory",
                checked.findings.len()
            ))?;
        }
    }
    Ok(if is_whole { Exit::Ok } else { Exit::Negative })
}

/// Reads a whole backup.
pub(super) fn checked(folder: &Folder) -> Result<Checked, Failure> {
    let bar = Bar::waiting("reading the backup");
    check::check(folder, &mut |bytes| bar.at(bytes)).map_err(folder_failure)
}

/// Tells what is wrong, place by place.
pub(super) fn tell_findings(checked: &Checked, screen: Screen) -> Result<(), Failure> {
    for finding in &checked.findings {
        // Names of files may be anybody's.
        screen.line(format!(
            "{}: {}",
            escape(&finding.place),
            escape(&finding.what)
        ))?;
    }
    if checked.unnamed > 0 {
        screen.note(format!(
            "{} files are left of an interrupted backup; the next one removes them",
            checked.unnamed
        ));
    }
    Ok(())
}

/// What a folder's error means for whoever typed the command.
pub(super) fn folder_failure(error: FolderError) -> Failure {
    let exit = match &error {
        FolderError::Full { .. } | FolderError::InUse { .. } => Exit::TryLater,
        FolderError::Missing { .. } => Exit::Data,
        FolderError::Foreign { .. } | FolderError::Io { .. } => Exit::CannotCreate,
        FolderError::Manifest { .. }
        | FolderError::NoContent { .. }
        | FolderError::Damaged { .. } => Exit::Negative,
    };
    Failure::of(exit, anyhow::Error::new(error))
}

fn take_failure(error: TakeError) -> Failure {
    match error {
        TakeError::Folder(error) if error.is_finding() => folder_failure(error)
            .while_doing("the backup in this directory is damaged")
            .remedy("make the next one into a new directory, and keep this one until that is done"),
        TakeError::Folder(error) => folder_failure(error),
        TakeError::OtherNode { .. } => Failure::of(Exit::Data, anyhow::Error::new(error)),
        TakeError::NotContinued { .. } | TakeError::Wrong { .. } => {
            Failure::of(Exit::Negative, anyhow::Error::new(error))
        }
        TakeError::Version(_) | TakeError::Manifest(_) => {
            Failure::of(Exit::Internal, anyhow::Error::new(error))
        }
    }
}
