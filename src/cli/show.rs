//! `liaison show`: one message, with its body and all that answers it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::connect::{Desk, Target};
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::{Bar, Screen};
use super::table::{Cell, Fit, Style, Table, pad};
use super::{erase, form, levels, refused, summary, when, words};
use crate::model::text::{escape, is_steering};
use crate::model::{MessageId, handling, json};
use crate::proto::v1::{self, Side};

/// Answers that are fetched to be named.
const ANSWERS_MAX: usize = 20;

/// Shows a message: how far it has come, what it says, its attachments and answers.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The message.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    /// Save its attachments in this directory, which is made if it is missing. Nothing is overwritten.
    #[arg(long, value_name = "DIR")]
    save_attachments: Option<PathBuf>,
    /// Why attachments may be saved although the handling code restricts that; it is recorded.
    #[arg(
        long = "override",
        value_name = "REASON",
        requires = "save_attachments"
    )]
    reason: Option<String>,
}

impl Show {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let message = get(&desk, &self.id.to_string()).await?;
        if screen.json {
            screen.json(&json::to_json_whole(&message))?;
        } else {
            settle_zones(&desk, &message.peer).await;
            let mut answers = Vec::new();
            for id in message.answers.iter().take(ANSWERS_MAX) {
                answers.push(get(&desk, id).await?);
            }
            screen.raw(render(&message, &answers, screen).as_bytes())?;
        }
        if let Some(directory) = &self.save_attachments {
            for state in &message.attachments {
                let request = v1::DownloadAttachmentRequest {
                    message_id: message.id.clone(),
                    purpose: v1::Purpose::Export.into(),
                    override_reason: self.reason.clone().unwrap_or_default(),
                    ..v1::DownloadAttachmentRequest::default()
                };
                save(&desk, request, state, directory, screen).await?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// Learns the zones of both sides of a link, to show times in both. Whoever may not ask for them
/// sees the machine's.
pub(crate) async fn settle_zones(desk: &Desk, peer: &str) {
    let Ok(status) = desk.desk().status(v1::StatusRequest {}).await else {
        return;
    };
    let status = status.into_inner();
    if let Some(link) = status.links.iter().find(|link| link.peer == peer) {
        when::show_in_both(&status.time_zone, &link.time_zone);
    }
}

/// Asks for one message.
pub(crate) async fn get(desk: &Desk, id: &str) -> Result<v1::Message, Failure> {
    get_for(desk, id, v1::Purpose::Read, "").await
}

/// Asks for one message for a purpose, with the reason for overriding its handling code.
pub(crate) async fn get_for(
    desk: &Desk,
    id: &str,
    purpose: v1::Purpose,
    override_reason: &str,
) -> Result<v1::Message, Failure> {
    let request = v1::GetRequest {
        id: id.to_owned(),
        purpose: purpose.into(),
        override_reason: override_reason.to_owned(),
    };
    let answer = refused::answer(desk.desk().get(request).await)?;
    answer
        .message
        .ok_or_else(|| Failure::new(Exit::Internal, "the node answered without a message"))
}

fn render(message: &v1::Message, answers: &[v1::Message], screen: Screen) -> String {
    let now = when::now();
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&Style::Dim.paint(&pad(name, 14), screen.colour));
            out.push_str(text);
            out.push('\n');
        }
    };
    let kind = words::kind(message.kind_number);
    let (precedence, style) = words::precedence(message.precedence);
    let status = words::status(message.status);
    line("message", &escape(&message.id));
    let mut kind = Style::Bold.paint(&kind, screen.colour).into_owned();
    for (word, style) in [(precedence, style), (status, Style::Warn)] {
        if !word.is_empty() {
            let _ = write!(kind, "  {}", style.paint(&word, screen.colour));
        }
    }
    line("kind", &kind);
    let peer = escape(&message.peer);
    match message.side() {
        Side::Own => line("from, to", &format!("this node → {peer}")),
        _ => line("from, to", &format!("{peer} → this node")),
    }
    if !message.released_by.is_empty() {
        let officers: Vec<_> = message
            .released_by
            .iter()
            .map(|name| escape(name))
            .collect();
        line("released by", &format!("officer {}", officers.join(", ")));
    }
    line("level", &levels::line(message, now));
    if let Some(refusal) = &message.refusal {
        let reason = words::of_enum("RefusalReason", refusal.reason().as_str_name());
        line("refused", &format!("{reason}: {}", escape(&refusal.detail)));
    }
    let reason = escape(&message.standing_reason);
    match message.standing() {
        v1::Standing::Breach => {
            let breach = format!("BREACH of protocol, without effect: {reason}");
            line("standing", &Style::Bad.paint(&breach, screen.colour));
        }
        v1::Standing::Crossed => {
            let crossed = format!("crossed another message, without effect: {reason}");
            line("standing", &Style::Warn.paint(&crossed, screen.colour));
        }
        v1::Standing::Waiting => line("standing", "answers a message that is not here yet"),
        v1::Standing::Applied | v1::Standing::Unspecified => {}
    }
    line("created", &when::full_wire(message.created_at.as_ref()));
    let express = if message.expressed {
        " (by express, ahead of its turn)"
    } else {
        ""
    };
    line(
        "recorded",
        &format!("{}{express}", when::full_wire(message.recorded_at.as_ref())),
    );
    if message.delivered_at.is_some() {
        line("receipt", &when::full_wire(message.delivered_at.as_ref()));
    }
    if let Some(stated) = message.handling {
        let mut text = words::handling(stated);
        if stated.code != 0 {
            let _ = write!(text, " ({})", handling::meaning_of(stated.code));
        }
        line("handling", &text);
    }
    if message.above_ceiling {
        let warning = "classified above what was agreed for this link; it is on record all the \
                       same, tell the other side";
        line("ceiling", &Style::Warn.paint(warning, screen.colour));
    }
    line("thread", &escape(&message.thread_id));
    line("in reply to", &escape(&message.in_reply_to));
    line("supersedes", &escape(&message.supersedes));
    line("log index", &message.index.to_string());
    if message.needs_newer_version {
        line(
            "note",
            "this version does not know the kind; bring the node up to date to read it",
        );
    } else if let Some(erasure) = &message.erasure {
        line(
            "body",
            &Style::Warn.paint(&erase::line(erasure), screen.colour),
        );
    } else if message.body_withheld {
        line("note", "the body is withheld or not held");
    }
    if let Some(erasure) = &message.peer_erasure {
        line("the peer's", &erase::line(erasure));
    }
    if let Some(body) = &message.body {
        out.push('\n');
        out.push_str(&form::render(body, screen.text_width(), screen.colour));
    }
    if !message.attachments.is_empty() {
        out.push('\n');
        out.push_str(&attachments(&message.attachments).render(screen.width, screen.colour));
    }
    if !answers.is_empty() {
        out.push('\n');
        out.push_str(&answered(answers, message.answers.len()).render(screen.width, screen.colour));
    }
    out
}

fn attachments(states: &[v1::AttachmentState]) -> Table {
    let mut table = Table::new(&[
        ("ATTACHMENT", Fit::Down(12)),
        ("TYPE", Fit::Down(8)),
        ("SIZE", Fit::Right),
        ("HERE", Fit::Whole),
        ("SHA-256", Fit::Down(8)),
    ]);
    for state in states {
        let attachment = state.attachment.clone().unwrap_or_default();
        let here = if state.complete {
            Cell::styled("yes", Style::Good)
        } else {
            Cell::styled(
                format!("{} so far", words::bytes(state.held_bytes)),
                Style::Warn,
            )
        };
        table.row([
            escape(&attachment.name).into(),
            escape(&attachment.media_type).into(),
            words::bytes(attachment.size).into(),
            here,
            hex::encode(&attachment.sha256).into(),
        ]);
    }
    table
}

fn answered(answers: &[v1::Message], all: usize) -> Table {
    let mut table = Table::new(&[
        ("ANSWERED", Fit::Whole),
        ("BY", Fit::Down(12)),
        ("WITH", Fit::Down(10)),
        ("ID", Fit::Whole),
    ]);
    for answer in answers {
        let at = answer
            .recorded_at
            .as_ref()
            .and_then(when::from_wire)
            .map(when::short);
        let said = answer
            .body
            .as_ref()
            .and_then(|body| body.body.as_ref())
            .map(summary::of);
        table.row([
            at.unwrap_or_default().into(),
            words::kind(answer.kind_number).into(),
            said.unwrap_or_default().into(),
            escape(&answer.id).into(),
        ]);
    }
    if all > answers.len() {
        table.row([format!("and {} more", all - answers.len()).into()]);
    }
    table
}

/// Saves one attachment under its own name if that is a mere file name, else under its digest.
async fn save(
    desk: &Desk,
    request: v1::DownloadAttachmentRequest,
    state: &v1::AttachmentState,
    directory: &Path,
    screen: Screen,
) -> Result<(), Failure> {
    let attachment = state.attachment.clone().unwrap_or_default();
    let shown = escape(&attachment.name).into_owned();
    if !state.complete {
        let here = words::bytes(state.held_bytes);
        screen.note(format!(
            "{shown} has not all arrived yet ({here} so far); try later"
        ));
        return Ok(());
    }
    let digest = hex::encode(&attachment.sha256);
    let name = if is_file_name(&attachment.name) {
        attachment.name.clone()
    } else {
        format!("{digest}.bin")
    };
    let path = directory.join(&name);
    let failed = || format!("{shown} was not saved as {}", path.display());

    tokio::fs::create_dir_all(directory)
        .await
        .or_fail(Exit::CannotCreate, failed)?;
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .await
        .or_fail(Exit::CannotCreate, failed)?;
    let request = v1::DownloadAttachmentRequest {
        sha256: attachment.sha256.clone(),
        ..request
    };
    let outcome = async {
        let bar = Bar::bytes(&shown, attachment.size);
        let mut chunks = refused::answer(desk.desk().download_attachment(request).await)?;
        let mut sum = Sha256::new();
        while let Some(part) = chunks
            .message()
            .await
            .map_err(|status| refused::failure(&status))?
        {
            sum.update(&part.chunk);
            bar.advance(part.chunk.len() as u64);
            file.write_all(&part.chunk)
                .await
                .or_fail(Exit::CannotCreate, failed)?;
        }
        file.sync_all().await.or_fail(Exit::CannotCreate, failed)?;
        if sum.finalize().as_slice() == attachment.sha256.as_ref() {
            Ok(())
        } else {
            Err(Failure::new(
                Exit::Internal,
                "what came is not what the message names (SHA-256)",
            ))
        }
    }
    .await;
    match outcome {
        Ok(()) => {
            screen.note(format!("saved {}", path.display()));
            Ok(())
        }
        Err(failure) => {
            // It was made here a moment ago; half of it would be taken for the whole.
            let _ = tokio::fs::remove_file(&path).await;
            Err(failure.while_doing(failed()))
        }
    }
}

/// Whether a name that a peer chose may become a file's name here.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['.', '-'])
        && !name
            .chars()
            .any(|c| matches!(c, '/' | '\\' | ':') || is_steering(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mere_names_become_files() {
        for name in ["Công văn 27.pdf", "公函.pdf", "a"] {
            assert!(is_file_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "c:x",
            ".bashrc",
            "-rf",
            "a\u{202E}fdp.exe",
            "a\nb",
        ] {
            assert!(!is_file_name(name), "{name:?}");
        }
    }

    #[test]
    fn hostile_text_is_shown_harmless() {
        let message = v1::Message {
            peer: "evil\u{1b}[2J".to_owned(),
            thread_id: "\u{202E}x".to_owned(),
            attachments: vec![v1::AttachmentState {
                attachment: Some(v1::Attachment {
                    name: "a\u{202E}fdp.exe".to_owned(),
                    ..v1::Attachment::default()
                }),
                ..v1::AttachmentState::default()
            }],
            ..v1::Message::default()
        };
        let screen = Screen {
            json: false,
            width: Some(80),
            colour: false,
        };
        let text = render(&message, &[], screen);
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{202E}'),
            "{text}"
        );
        assert!(text.contains("\\u{1B}"));
    }
}
