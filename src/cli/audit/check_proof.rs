//! `liaison audit check-proof`: a receipt, judged with nothing but files.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{trust, verdict};
use crate::audit::proof::{ProofVerdict, verify_proof};
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::Screen;
use crate::cli::when;
use crate::limits::ENTRY_BYTES_MAX;
use crate::model::text::escape;
use crate::tlog::proof::PROOF_BYTES_MAX;

/// Checks a receipt offline. Needs no node and no configuration.
#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// The .tlog-proof file.
    proof: PathBuf,
    /// The signed entry that it is about.
    #[arg(long, value_name = "FILE")]
    entry: PathBuf,
    /// The keys that are believed: the card of a side, or a file with one vkey a line; may be given
    /// several times. Both sides' keys are needed.
    #[arg(long, value_name = "FILE", required = true)]
    vkeys: Vec<PathBuf>,
}

impl CheckProof {
    pub(crate) fn run(self, screen: Screen) -> Done {
        let keys = trust::read(&self.vkeys)?;
        let entry = read(&self.entry, ENTRY_BYTES_MAX)?;
        let proof = String::from_utf8(read(&self.proof, PROOF_BYTES_MAX)?)
            .or_fail(Exit::Data, || {
                format!("{} is no text", self.proof.display())
            })?;
        let judged = verify_proof(&proof, &entry, &keys);
        if screen.json {
            let value = serde_json::to_value(&judged)
                .map_err(|error| Failure::of(Exit::Internal, anyhow::Error::new(error)))?;
            screen.json(&value)?;
            return Ok(if judged.verdict.clean {
                Exit::Ok
            } else {
                Exit::Negative
            });
        }
        tell(&judged, screen)
    }
}

fn tell(judged: &ProofVerdict, screen: Screen) -> Done {
    if let Some(proven) = &judged.proven {
        let at = |seconds: u64| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            jiff::Timestamp::from_second(seconds)
                .map(when::full)
                .unwrap_or_default()
        };
        screen.line(format!("log         {}", escape(&proven.origin)))?;
        if let Some(id) = &proven.id {
            screen.line(format!("message     {}", escape(id)))?;
        }
        screen.line(format!(
            "index       {} of {} entries",
            proven.index, proven.size
        ))?;
        screen.line(format!("authored    {}", at(proven.authored_at)))?;
        screen.line(format!("receipted   {}", at(proven.cosigned_at)))?;
    }
    let clean = "The receipt holds: the other side has held this entry durably since then.";
    verdict::tell(&judged.verdict, clean, screen)
}

pub(super) fn read(file: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let reading = || format!("the file {}", file.display());
    let mut bytes = Vec::new();
    let limit = bytes_max as u64 + 1;
    std::fs::File::open(file)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .or_fail(Exit::Data, reading)?;
    if bytes.len() > bytes_max {
        let what = format!("{} is longer than {bytes_max} bytes", file.display());
        return Err(Failure::new(Exit::Data, what));
    }
    Ok(bytes)
}
