//! `liaison forward`: the same again, to another peer.

use clap::Args;
use jiff::Timestamp;

use super::connect::Target;
use super::draft;
use super::exit::{Done, Exit};
use super::print::Screen;
use super::{refused, when, words};
use crate::model::{MessageId, json};
use crate::proto::v1;

/// Sends a message on to another peer, as a new message of this side.
///
/// It says the same: kind, text, files, status, classification and handling code are those of the original,
/// and this side answers for it. It names no message of the other link, and no receipt of it goes with it.
/// Only alerts, notices, letters and reports can be forwarded; a step of a case cannot.
#[derive(Debug, Args)]
pub(crate) struct Forward {
    /// The message, own or a peer's.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    /// The peer it is sent on to.
    #[arg(long, value_name = "PEER")]
    to: String,
    /// Another precedence than the original's: routine, priority, immediate, flash.
    #[arg(long, value_parser = words::parse_precedence)]
    precedence: Option<v1::Precedence>,
    /// Ask for a person's acknowledgement by then: "2026-03-02 08:30" or RFC 3339.
    #[arg(long, value_name = "WHEN", value_parser = when::parse_moment)]
    acknowledge_by: Option<Timestamp>,
    /// Why it may be sent on although its handling code restricts that; it is recorded.
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,
    /// Id of the new message, to send again what may have been sent.
    #[arg(long = "new-id", value_name = "ID", value_parser = MessageId::parse)]
    new_id: Option<MessageId>,
}

impl Forward {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let id = self.new_id.map_or_else(draft::new_id, Ok)?.to_string();
        let request = v1::ForwardRequest {
            message_id: self.id.to_string(),
            recipient: self.to.clone(),
            id: id.clone(),
            precedence: self.precedence.map_or(0, Into::into),
            acknowledge_by: self.acknowledge_by.map(when::to_wire),
            override_reason: self.reason.unwrap_or_default(),
        };
        let desk = target.connect().await?;
        let outcome = desk.handling().forward(request).await;
        let answer = refused::answer(outcome).map_err(|failure| match failure.exit() {
            Exit::Unavailable | Exit::TryLater | Exit::Internal => failure.remedy(format!(
                "it may or may not be recorded; repeat with --new-id {id}, which never sends it twice"
            )),
            _ => failure,
        })?;
        if screen.json {
            screen.json(&json::to_json_whole(&answer))?;
        } else {
            let again = if answer.already_recorded {
                " (it was before)"
            } else {
                ""
            };
            screen.line(format!(
                "recorded      {}  index {}{again}, to {}",
                answer.id, answer.index, self.to
            ))?;
        }
        Ok(Exit::Ok)
    }
}
