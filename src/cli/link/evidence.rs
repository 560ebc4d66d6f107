//! `liaison link evidence`: the file that proves that one key signed two logs.

use std::path::PathBuf;

use clap::Args;

use crate::cli::connect::{Target, quoted};
use crate::cli::exit::{Done, Exit, OrExit as _};
use crate::cli::print::Screen;
use crate::cli::{refused, when};
use crate::link::pki::write_public;
use crate::model::text::escape;
use crate::proto::v1;

/// Writes the file that proves to anybody that the holder of one log key signed two different logs.
#[derive(Debug, Args)]
pub(crate) struct WriteEvidence {
    /// The peer's node name.
    peer: String,
    /// The file to write; it must not be there yet.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Of which past hold, by its number in `link show`. Without it, of the present one, or of the
    /// latest that has such a file.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    hold: Option<u64>,
}

impl WriteEvidence {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let request = v1::LinkEvidenceRequest {
            peer: self.peer,
            number: self.hold.unwrap_or_default(),
        };
        let evidence = refused::answer(desk.links().link_evidence(request).await)?;
        write_public(&self.out, &evidence.equivocation).or_exit(Exit::CannotCreate)?;
        let hold = evidence.hold.unwrap_or_default();
        if screen.json {
            screen.json(&serde_json::json!({
                "file": self.out, "origin": hold.origin, "bytes": evidence.equivocation.len(),
            }))?;
            return Ok(Exit::Ok);
        }
        screen.line(format!(
            "{}: two signed notes of the log {}, found {}",
            self.out.display(),
            escape(&hold.origin),
            when::full_wire(hold.at.as_ref())
        ))?;
        screen.note(format!(
            "check it, on any machine: liaison audit verify {} --trust CARD --trust CARD",
            quoted(&self.out)
        ));
        Ok(Exit::Ok)
    }
}
