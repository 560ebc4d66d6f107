//! `liaison keys prune`: destroys the keys that nothing here uses.

use clap::Args;
use serde_json::json;

use crate::cli::connect::Target;
use crate::cli::exit::{Done, Exit};
use crate::cli::print::Screen;
use crate::cli::refused;
use crate::proto::v1;

/// Destroys every key of bodies and files that nothing here uses, while the node runs.
///
/// After `liaison recover` or `liaison restore` every body lies under a new key. The old store that was
/// moved aside, and older backups, open with the old keys until these are destroyed: also what is erased
/// here later. There is no way back: do it when nothing of the old store is needed any more.
#[derive(Debug, Args)]
pub(crate) struct PruneKeys {
    /// Only say how many there are.
    #[arg(long)]
    preview: bool,
}

impl PruneKeys {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let request = v1::PruneKeysRequest {
            preview: self.preview,
        };
        let pruned = refused::answer(desk.key_copies().prune_keys(request).await)?;
        if screen.json {
            screen.json(&json!({ "keys": pruned.keys, "destroyed": !self.preview }))?;
            return Ok(Exit::Ok);
        }
        if self.preview {
            screen.line(format!(
                "{} keys are used by nothing here, given or not; nothing was destroyed",
                pruned.keys
            ))?;
            return Ok(Exit::Ok);
        }
        screen.line(format!(
            "{} keys that nothing here uses are destroyed",
            pruned.keys
        ))?;
        screen.note(
            "copies of the key files still hold them: make a new one (liaison keys backup TO), destroy \
             those made before, and say so (liaison keys backup --destroyed ID)",
        );
        Ok(Exit::Ok)
    }
}
