//! `liaison audit lateness`: evidence that the peer did not answer in time.

use std::path::PathBuf;

use clap::Args;

use super::export::{self, Folder};
use super::verdict;
use crate::audit::format::MANIFEST;
use crate::audit::verify::verify_export;
use crate::cli::connect::{Target, quoted};
use crate::cli::exit::{Done, Exit, Failure};
use crate::cli::print::{Bar, Screen};
use crate::cli::{refused, words};
use crate::proto::v1;

/// Writes evidence that the peer did not answer an own message in time.
///
/// The folder holds the message and its receipt, the calendars, a checkpoint that the peer itself dated
/// later than the deadline, and every entry under it; bodies are left out, but for calendars and what
/// the counting needs. It is checked before the command ends, and by anyone: liaison audit verify DIR.
#[derive(Debug, Args)]
pub(crate) struct Lateness {
    /// The own message that the peer owes an answer to.
    id: String,
    /// An empty or new directory.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Why bodies that it needs may be exported although their handling code restricts that; it is
    /// recorded.
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,
}

impl Lateness {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        export::refuse_full(&self.out)?;
        let desk = target.connect().await?;
        let request = v1::LatenessRequest {
            id: self.id,
            override_reason: self.reason.unwrap_or_default(),
        };
        let mut parts = refused::answer(desk.audit().lateness(request).await)?;
        let mut folder = Folder::new(&self.out)?;
        let bar = Bar::items("writing evidence", 0);
        while let Some(piece) = parts.message().await.map_err(|status| {
            refused::failure(&status).while_doing("the evidence is incomplete and not to be used")
        })? {
            if let Some(part) = &piece.part {
                bar.total(part.files_total);
                folder.take(part)?;
            }
        }
        drop(bar);
        let written = folder.finish()?;
        let checked = verify_export(&self.out, None, &mut |_| {});
        let Some(claim) = &checked.claim else {
            screen.raw(verdict::render(&checked, "", screen).as_bytes())?;
            let what = "what was written does not prove it; the findings say why";
            return Err(Failure::new(Exit::Internal, what)
                .remedy(format!("do not use the folder; begin with its {MANIFEST}")));
        };
        if screen.json {
            screen.json(&serde_json::json!({
                "directory": self.out, "files": written.files, "bytes": written.bytes,
                "claim": claim,
            }))?;
        } else {
            screen.line(&claim.statement)?;
            screen.line(format!(
                "{} files, {} in {}",
                written.files,
                words::bytes(written.bytes),
                self.out.display()
            ))?;
            screen.note(format!(
                "check it, on any machine: liaison audit verify {}",
                quoted(&self.out)
            ));
        }
        Ok(Exit::Ok)
    }
}
