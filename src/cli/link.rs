//! `liaison link`: what people do about a link.

mod evidence;
mod show;
mod words;

use clap::{Args, Subcommand};

use super::connect::Target;
use super::exit::{Done, Exit};
use super::print::Screen;
use super::refused;
use crate::proto::v1;

/// What to do about a link.
#[derive(Debug, Subcommand)]
pub(crate) enum Link {
    Show(show::Show),
    Evidence(evidence::WriteEvidence),
    Release(Release),
}

/// Releases a held link, after someone has looked at why it is held.
///
/// Who releases, when and why is recorded. What was found stays on record; if it is found again,
/// the link is held again.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The peer's node name.
    peer: String,
    /// Why it is safe to go on; it is recorded. Name no person in it.
    #[arg(long)]
    reason: String,
}

impl Link {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::Show(show) => show.run(target, screen).await,
            Self::Evidence(evidence) => evidence.run(target, screen).await,
            Self::Release(release) => release.run(target, screen).await,
        }
    }
}

impl Release {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let request = v1::ReleaseLinkRequest {
            peer: self.peer.clone(),
            reason: self.reason,
        };
        refused::answer(desk.desk().release_link(request).await)?;
        screen.note(format!(
            "the link with {} is released; that is recorded (liaison link show {})",
            self.peer, self.peer
        ));
        Ok(Exit::Ok)
    }
}
