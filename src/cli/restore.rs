//! `liaison restore`: the node's store from a backup, when the store is lost.

use std::path::PathBuf;

use clap::Args;

use super::backup::{checked, folder_failure, tell_findings};
use super::connect::{Target, quoted};
use super::exit::{Done, Exit, Failure};
use super::print::{Bar, Screen};
use crate::exchange::backup::folder::Folder;
use crate::exchange::backup::manifest::Manifest;
use crate::exchange::backup::restore::{RestoreError, Restored};
use crate::node::config::Config;
use crate::node::restore::{PlaceError, check_place, restore_store};
use crate::store::StoreError;

/// Makes the node's store again from a backup, while the node does not run.
///
/// The whole backup is checked first. Nothing is restored over another store: move what is left of
/// it away and keep it. The backup is as old as it is: what came after it is shown by the other side
/// when the node is started, before anything is signed.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The directory of the backup.
    dir: PathBuf,
    /// The storage key and the key files are lost: restore what can be read without them.
    #[arg(long)]
    without_body_keys: bool,
}

impl Restore {
    pub(crate) fn run(self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        check_place(&config).map_err(failure)?;
        let folder = Folder::new(&self.dir);
        let checked = checked(&folder)?;
        tell_findings(&checked, screen)?;
        if checked.findings.iter().any(|finding| !finding.is_aside) {
            return Err(Failure::new(
                Exit::Negative,
                format!(
                    "the backup in {} is not whole; nothing was restored",
                    self.dir.display()
                ),
            )
            .remedy("use another backup, or recover from the other side"));
        }
        let manifest = &checked.manifest;
        let bar = Bar::items("recording again", checked.entries);
        let progress = &mut |done| bar.at(done);
        let without = self.without_body_keys;
        let restored = restore_store(&config, &folder, manifest, without, progress);
        drop(bar);
        let restored = restored.map_err(failure)?;
        report(&config, manifest, &restored, screen)
    }
}

fn report(config: &Config, manifest: &Manifest, restored: &Restored, screen: Screen) -> Done {
    let logs = || manifest.logs().map(|(_, _, log)| (&log.origin, log.size));
    if screen.json {
        let logs =
            logs().map(|(origin, size)| serde_json::json!({ "origin": origin, "size": size }));
        screen.json(&serde_json::json!({
            "node": manifest.node,
            "dataDirectory": config.data_dir,
            "takenAt": manifest.taken_at,
            "generation": manifest.generation,
            "entries": restored.entries,
            "files": restored.files,
            "keysLost": restored.keys_lost,
            "logs": logs.collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Ok);
    }
    screen.line(format!(
        "restored {} into {}: {} entries and {} files, as of {}",
        manifest.node,
        config.data_dir.display(),
        restored.entries,
        restored.files,
        manifest.taken_at
    ))?;
    for (origin, size) in logs() {
        screen.line(format!("  {origin}: {size} entries"))?;
    }
    if restored.dropped > 0 {
        screen.line(format!(
            "  {} messages that the other side had sent ahead come again with their turn",
            restored.dropped
        ))?;
    }
    if restored.keys_lost > 0 {
        screen.line(
            "  bodies in it are sealed under keys that are not here. Bring in a copy of the key files before \
             the node is started: liaison keys restore COPY",
        )?;
    }
    screen.note(
        "what came after that moment is not in it. When the node is started it asks the other side \
         what that holds, and signs nothing before it has compared",
    );
    screen.note(format!(
        "start it: liaison --config {} node run",
        quoted(&config.file)
    ));
    Ok(Exit::Ok)
}

fn failure(error: PlaceError) -> Failure {
    let exit = match &error {
        PlaceError::Occupied(_) | PlaceError::InTheWay(_) | PlaceError::Io { .. } => {
            Exit::CannotCreate
        }
        PlaceError::InUse(_)
        | PlaceError::Running(_)
        | PlaceError::Store(StoreError::InUse { .. } | StoreError::Full { .. })
        | PlaceError::Restore(RestoreError::Store(StoreError::Full { .. })) => Exit::TryLater,
        PlaceError::Node(_)
        | PlaceError::NoStorageKey(_)
        | PlaceError::Restore(
            RestoreError::OtherNode { .. }
            | RestoreError::OtherKey { .. }
            | RestoreError::NoLink { .. },
        ) => Exit::Config,
        PlaceError::Restore(RestoreError::NotAuthentic { .. } | RestoreError::Row { .. }) => {
            Exit::Negative
        }
        PlaceError::Restore(RestoreError::Folder(_)) => {
            return match error {
                PlaceError::Restore(RestoreError::Folder(error)) => folder_failure(error),
                other => Failure::of(Exit::Internal, anyhow::Error::new(other)),
            };
        }
        PlaceError::Restore(_) | PlaceError::Store(_) => Exit::Internal,
    };
    Failure::of(exit, anyhow::Error::new(error)).while_doing("nothing was restored")
}
