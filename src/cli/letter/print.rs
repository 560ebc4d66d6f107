//! `liaison letter print`: a letter as a page.

use std::path::PathBuf;

use clap::Args;
use jiff::tz::TimeZone;
use serde_json::json;
use tonic::Code;

use super::followers;
use crate::cli::connect::{Desk, Target};
use crate::cli::exit::{Done, Exit, Failure};
use crate::cli::print::{Screen, write_private};
use crate::cli::show::get_for;
use crate::cli::{refused, when};
use crate::document::letter::{Letter, LetterError};
use crate::model::MessageId;
use crate::proto::v1;

/// Writes an official letter as one HTML page in A4, to be printed or saved as PDF by a browser.
///
/// The page loads nothing and holds a code that liaison letter check understands.
#[derive(Debug, Args)]
pub(crate) struct Print {
    /// The letter.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    /// Write the page to this file instead of standard output. Nothing is overwritten.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show times in this zone; may be given several times.
    #[arg(
        long = "zone",
        value_name = "ZONE",
        value_parser = parse_zone,
        default_values = ["Asia/Ho_Chi_Minh", "Asia/Shanghai"]
    )]
    zones: Vec<TimeZone>,
    /// Why it may be printed although its handling code restricts that; it is recorded.
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,
}

impl Print {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let id = self.id.to_string();
        let reason = self.reason.as_deref().unwrap_or_default();
        let message = get_for(&desk, &id, v1::Purpose::Print, reason).await?;
        let proof = proof(&desk, &message).await?;
        let followers = followers(&desk, &message).await?;
        let letter = Letter::of(&message, proof.as_ref(), &followers).map_err(failure)?;
        let page = letter.page(&self.zones, when::now());
        let code = letter.qr_text().to_string();

        if let Some(file) = &self.out {
            write_private(file, page.as_bytes())?;
            if screen.json {
                let file = file.display().to_string();
                screen.json(&json!({
                    "file": file, "code": code, "receipted": letter.receipt.is_some(),
                }))?;
            } else {
                screen.line(file.display().to_string())?;
            }
        } else if screen.json {
            screen.json(&json!({
                "html": page, "code": code, "receipted": letter.receipt.is_some(),
            }))?;
        } else {
            screen.raw(page.as_bytes())?;
        }
        if letter.receipt.is_none() {
            screen.note("there is no receipt yet, and the page says so; print it again when the letter shows as delivered");
        }
        Ok(Exit::Ok)
    }
}

/// The receipt; nothing if there is none yet.
async fn proof(desk: &Desk, message: &v1::Message) -> Result<Option<v1::ProofResponse>, Failure> {
    let request = v1::ProofRequest {
        id: message.id.clone(),
        root_at: 0,
    };
    match desk.audit().proof(request).await {
        Ok(proof) => Ok(Some(proof.into_inner())),
        Err(status) if status.code() == Code::FailedPrecondition => Ok(None),
        Err(status) => Err(refused::failure(&status)),
    }
}

fn failure(error: LetterError) -> Failure {
    let exit = match error {
        LetterError::Kind { .. } | LetterError::NoBody | LetterError::Newer => Exit::Negative,
        LetterError::NoDigest
        | LetterError::Origin { .. }
        | LetterError::Receipt { .. }
        | LetterError::OtherReceipt => Exit::Internal,
    };
    Failure::of(exit, error.into()).while_doing("there is no page")
}

fn parse_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| "write a zone such as Asia/Ho_Chi_Minh, Asia/Shanghai or UTC".to_owned())
}
