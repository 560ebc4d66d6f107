//! `liaison audit proof`: the receipt of one message, for a stranger.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::connect::{Target, quoted};
use crate::cli::exit::{Done, Exit, OrExit as _};
use crate::cli::print::Screen;
use crate::cli::refused;
use crate::link::pki::write_public;
use crate::model::MessageId;
use crate::proto::v1;

/// Prints the receipt of a message, a C2SP .tlog-proof file.
///
/// With --out BASE it writes BASE.tlog-proof, BASE.vkeys and BASE.entry, all that check-proof needs.
#[derive(Debug, Args)]
pub(crate) struct Proof {
    /// The message.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    /// Write three files whose names begin with this.
    #[arg(long, value_name = "BASE")]
    out: Option<PathBuf>,
}

impl Proof {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let request = v1::ProofRequest {
            id: self.id.to_string(),
            root_at: 0,
        };
        let proof = refused::answer(desk.audit().proof(request).await)?;
        let Some(base) = &self.out else {
            if screen.json {
                use base64::Engine as _;
                let entry = base64::engine::general_purpose::STANDARD.encode(&proof.entry);
                screen.json(&json!({
                    "tlogProof": proof.tlog_proof, "vkeys": proof.vkeys, "entry": entry,
                }))?;
            } else {
                screen.raw(proof.tlog_proof.as_bytes())?;
                screen.note("\nthe keys that check it:");
                for vkey in &proof.vkeys {
                    screen.note(format!("  {vkey}"));
                }
            }
            return Ok(Exit::Ok);
        };
        let name = |end: &str| {
            let mut name = base.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let files = [name(".tlog-proof"), name(".vkeys"), name(".entry")];
        let keys = proof.vkeys.join("\n") + "\n";
        write_public(&files[0], &proof.tlog_proof).or_exit(Exit::CannotCreate)?;
        write_public(&files[1], &keys).or_exit(Exit::CannotCreate)?;
        write_bytes(&files[2], &proof.entry).or_fail(Exit::CannotCreate, || {
            format!("the file {}", files[2].display())
        })?;
        if screen.json {
            let files: Vec<_> = files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            screen.json(&json!({ "files": files }))?;
            return Ok(Exit::Ok);
        }
        for file in &files {
            screen.line(file.display().to_string())?;
        }
        screen.note(format!(
            "check it, on any machine: liaison audit check-proof {} --entry {} --vkeys {}",
            quoted(&files[0]),
            quoted(&files[2]),
            quoted(&files[1])
        ));
        Ok(Exit::Ok)
    }
}

fn write_bytes(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
