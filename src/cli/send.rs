//! `liaison send`: a draft to a recorded, delivered, acknowledged message.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::connect::{Desk, Target};
use super::draft::{self, Additions, Prepared};
use super::exit::{Done, Exit, Failure};
use super::print::{Bar, Screen};
use super::{attach, levels, refused, when, words};
use crate::model::{MessageId, json, text};
use crate::proto::v1::{self, Level};

/// Sends a notification.
///
/// The draft is JSON, with comments if you like: `liaison new KIND` writes one to fill in. It is checked here first, and every fault is told
/// at once. Its id is made here if it has none, so that sending it again with that id sends nothing
/// twice.
#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The draft; - reads standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    #[command(flatten)]
    additions: Additions,
    /// The message's id, to send again what may have been sent.
    #[arg(long, value_parser = MessageId::parse)]
    id: Option<MessageId>,
    /// Return when the message has come this far.
    #[arg(long, value_enum, default_value_t = Wait::Recorded)]
    wait: Wait,
    /// Wait no longer than this: 30s, 5m, 1h.
    #[arg(long, value_name = "LENGTH", default_value = "60s", value_parser = when::parse_length)]
    timeout: Duration,
    /// Only check the draft; `liaison check` does so too, and for many.
    #[arg(long)]
    check: bool,
}

/// How far a message is to have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// Durable in the own log.
    Recorded,
    /// Receipted: the other node holds it durably.
    Delivered,
    /// A person of the other side has taken note.
    Acknowledged,
}

impl Wait {
    fn is_reached(self, message: &v1::Message) -> bool {
        match self {
            Self::Recorded => true,
            Self::Delivered => {
                message.delivered_at.is_some()
                    || matches!(
                        message.level(),
                        Level::Delivered | Level::Acknowledged | Level::Replied
                    )
            }
            Self::Acknowledged => {
                matches!(message.level(), Level::Acknowledged | Level::Replied)
            }
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Delivered => "delivered",
            Self::Acknowledged => "acknowledged",
        }
    }
}

impl Send {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let prepared = draft::prepare(&self.file, &self.additions).await?;
        let Prepared { mut draft, files } =
            prepared.map_err(|refused| refused.into_failure(&self.file))?;
        if let Some(id) = self.id {
            draft.id = id.to_string();
        } else if draft.id.is_empty() {
            draft.id = draft::new_id()?.to_string();
        }
        if self.check {
            if screen.json {
                screen.json(&serde_json::json!({ "faults": [], "id": draft.id }))?;
            } else {
                screen.line("nothing is wrong with the draft; nothing was sent")?;
            }
            return Ok(Exit::Ok);
        }

        let desk = target.connect().await?;
        for file in &files {
            attach::upload(&desk, file).await?;
        }
        let submitted = submit(&desk, draft).await?;
        if !screen.json {
            let again = if submitted.already_recorded {
                " (it was before)"
            } else {
                ""
            };
            let words = format!(
                "recorded      {}  index {}{again}",
                submitted.id, submitted.index
            );
            screen.line(words)?;
        }
        if self.wait == Wait::Recorded {
            if screen.json {
                screen.json(&json::to_json_whole(&submitted))?;
            }
            return Ok(Exit::Ok);
        }

        let waited = wait_for(&desk, &submitted.id, self.wait, self.timeout).await?;
        told(screen, &submitted, &waited, self.wait, self.timeout)
    }
}

/// Says how far the message has come.
fn told(
    screen: Screen,
    submitted: &v1::SubmitResponse,
    message: &v1::Message,
    wait: Wait,
    timeout: Duration,
) -> Done {
    if screen.json {
        let mut value = json::to_json_whole(submitted);
        value["message"] = json::to_json_whole(message);
        screen.json(&value)?;
    } else {
        if message.delivered_at.is_some() {
            let at = when::full_wire(message.delivered_at.as_ref());
            screen.line(format!("delivered     {at} (receipt)"))?;
        }
        if Wait::Acknowledged.is_reached(message) {
            let (word, style) = words::level(message.level());
            screen.styled(word, style)?;
        }
    }
    if wait.is_reached(message) {
        return Ok(Exit::Ok);
    }
    if message.level() == Level::Refused {
        let detail = message
            .refusal
            .as_ref()
            .map_or_else(String::new, |refusal| {
                let reason = refusal
                    .reason()
                    .as_str_name()
                    .trim_start_matches("REFUSAL_REASON_");
                format!(": {reason}: {}", text::escape(&refusal.detail))
            });
        return Err(
            Failure::new(Exit::Negative, format!("the other node refused it{detail}")).remedy(
                "the refusal is signed and on record; correct what it names and send a new message",
            ),
        );
    }
    if message.level() == Level::Withdrawn {
        return Err(Failure::new(Exit::Negative, "it was withdrawn meanwhile"));
    }
    let waited = when::rough(timeout);
    screen.note(levels::line(message, when::now()));
    Err(Failure::new(
        Exit::Negative,
        format!(
            "not {} within {waited}; it is recorded and will go out by itself",
            wait.word()
        ),
    )
    .remedy(format!("look again: liaison show {}", submitted.id)))
}

/// Submits a draft that has an id.
pub(crate) async fn submit(desk: &Desk, draft: v1::Draft) -> Result<v1::SubmitResponse, Failure> {
    let id = draft.id.clone();
    let outcome = desk
        .desk()
        .submit(v1::SubmitRequest { draft: Some(draft) })
        .await;
    refused::answer(outcome).map_err(|failure| match failure.exit() {
        // The answer may have been lost behind the record.
        Exit::Unavailable | Exit::TryLater | Exit::Internal => failure.remedy(format!(
            "it may or may not be recorded; send it again with --id {id}, which never sends it twice"
        )),
        _ => failure,
    })
}

/// Waits until a message has come so far, or cannot any more, or the time is over; returns it as it
/// is then.
///
/// Events wake the waiting; the state itself is always asked for, so nothing hangs on an event.
pub(crate) async fn wait_for(
    desk: &Desk,
    id: &str,
    wait: Wait,
    timeout: Duration,
) -> Result<v1::Message, Failure> {
    let bar = Bar::waiting(&format!("waiting until it is {}", wait.word()));
    let deadline = tokio::time::Instant::now() + timeout;
    let mut events = refused::answer(desk.desk().watch(v1::WatchRequest::default()).await)?;
    loop {
        let request = v1::GetRequest {
            id: id.to_owned(),
            ..v1::GetRequest::default()
        };
        let message = refused::answer(desk.desk().get(request).await)?
            .message
            .unwrap_or_default();
        let settled = matches!(message.level(), Level::Refused | Level::Withdrawn);
        if wait.is_reached(&message) || settled || tokio::time::Instant::now() >= deadline {
            drop(bar);
            return Ok(message);
        }
        // Once in a while without an event, in case this reader fell behind and was cut off.
        let pause = tokio::time::Instant::now() + Duration::from_secs(2);
        tokio::select! {
            event = events.message() => {
                if !matches!(event, Ok(Some(_))) {
                    tokio::time::sleep_until(pause.min(deadline)).await;
                    events = refused::answer(desk.desk().watch(v1::WatchRequest::default()).await)?;
                }
            }
            () = tokio::time::sleep_until(pause.min(deadline)) => {}
        }
    }
}
