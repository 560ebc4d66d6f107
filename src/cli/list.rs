//! `liaison list`: messages, newest first.

use clap::Args;
use jiff::Timestamp;

use super::connect::Target;
use super::exit::{Done, Exit};
use super::print::Screen;
use super::table::{Cell, Fit, Style, Table};
use super::{levels, refused, when, words};
use crate::limits::PAGE_MESSAGES_MAX;
use crate::model::{MessageId, json, text};
use crate::proto::v1;

/// Lists messages, newest first, with how far each has come and what is due.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of the link with this node.
    #[arg(long, value_name = "NODE")]
    peer: Option<String>,
    /// Only what the peer said.
    #[arg(long, conflicts_with = "own")]
    from_peer: bool,
    /// Only what this side said.
    #[arg(long)]
    own: bool,
    /// Only this kind, such as crossing-alert; may be given several times.
    #[arg(long, value_parser = words::parse_kind)]
    kind: Vec<v1::Kind>,
    /// Only this precedence: routine, priority, immediate, flash.
    #[arg(long, value_parser = words::parse_precedence)]
    precedence: Vec<v1::Precedence>,
    /// Only this status: actual, exercise, test.
    #[arg(long, value_parser = words::parse_status)]
    status: Vec<v1::Status>,
    /// Only this level: recorded, delivered, acknowledged, replied, refused, withdrawn.
    #[arg(long, value_parser = words::parse_level)]
    level: Vec<v1::Level>,
    /// Only of this case.
    #[arg(long, value_name = "ID", value_parser = MessageId::parse)]
    thread: Option<MessageId>,
    /// Not older than this: 2026-03-02, "2026-03-02 08:30", RFC 3339, or an age such as 2h or 3d.
    #[arg(long, value_name = "WHEN", value_parser = when::parse_moment)]
    since: Option<Timestamp>,
    /// Not newer than this.
    #[arg(long, value_name = "WHEN", value_parser = when::parse_moment)]
    until: Option<Timestamp>,
    /// Only those whose body says this: words, each of which must be in it. Case and diacritics make no
    /// difference, and each may be a part of a longer word. The newest are searched first; Ctrl-C ends it.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on where an earlier list ended.
    #[arg(long, value_name = "TOKEN")]
    page: Option<String>,
}

impl List {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let limit = self.limit;
        let mut request = self.request();
        let desk = target.connect().await?;

        let mut found = v1::ListResponse::default();
        loop {
            let left = limit
                - u32::try_from(found.messages.len())
                    .unwrap_or(limit)
                    .min(limit);
            request.page_size = left.min(PAGE_MESSAGES_MAX);
            let page = refused::answer(desk.desk().list(request.clone()).await)?;
            found.messages.extend(page.messages);
            found.next_page_token = page.next_page_token;
            if found.next_page_token.is_empty() || found.messages.len() >= limit as usize {
                break;
            }
            request.page_token.clone_from(&found.next_page_token);
        }

        if screen.json {
            screen.json(&json::to_json_whole(&found))?;
        } else if found.messages.is_empty() {
            screen.note("no such message");
        } else {
            screen.table(&table(&found.messages, when::now()))?;
        }
        if !screen.json && !found.next_page_token.is_empty() {
            screen.note(format!(
                "there are more: the same command with --page {}",
                found.next_page_token
            ));
        }
        Ok(Exit::Ok)
    }

    fn request(&self) -> v1::ListRequest {
        let side = match (self.own, self.from_peer) {
            (true, _) => v1::Side::Own,
            (_, true) => v1::Side::Peer,
            _ => v1::Side::Unspecified,
        };
        v1::ListRequest {
            peer: self.peer.clone().unwrap_or_default(),
            side: side.into(),
            kinds: self.kind.iter().map(|kind| (*kind).into()).collect(),
            precedences: self
                .precedence
                .iter()
                .map(|precedence| (*precedence).into())
                .collect(),
            statuses: self.status.iter().map(|status| (*status).into()).collect(),
            levels: self.level.iter().map(|level| (*level).into()).collect(),
            thread_id: self.thread.map(|id| id.to_string()).unwrap_or_default(),
            from: self.since.map(when::to_wire),
            to: self.until.map(when::to_wire),
            page_size: 0,
            page_token: self.page.clone().unwrap_or_default(),
            text: self.text.clone().unwrap_or_default(),
        }
    }
}

/// The messages as a table.
fn table(messages: &[v1::Message], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        ("RECORDED", Fit::Whole),
        ("", Fit::Whole),
        ("PEER", Fit::Down(6)),
        ("KIND", Fit::Down(8)),
        ("PRECEDENCE", Fit::Down(5)),
        ("LEVEL", Fit::Down(6)),
        ("DUE", Fit::Down(8)),
        ("ID", Fit::Whole),
    ]);
    let first_peer = messages.first().map(|message| message.peer.as_str());
    let several = messages
        .iter()
        .any(|message| Some(message.peer.as_str()) != first_peer);
    for message in messages {
        let recorded = message.recorded_at.as_ref().and_then(when::from_wire);
        let (precedence, style) = words::precedence(message.precedence);
        let status = words::status(message.status);
        let kind = words::kind(message.kind_number);
        let kind = if status.is_empty() {
            kind
        } else {
            format!("{status} {kind}")
        };
        table.row([
            recorded.map(when::short).unwrap_or_default().into(),
            words::arrow(message.side()).into(),
            if several {
                text::escape(&message.peer).into()
            } else {
                Cell::default()
            },
            Cell::styled(
                kind,
                if status.is_empty() {
                    Style::Plain
                } else {
                    Style::Warn
                },
            ),
            Cell::styled(precedence, style),
            levels::cell(message),
            levels::due_cell(message, now),
            text::escape(&message.id).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: v1::Kind, level: v1::Level) -> v1::Message {
        v1::Message {
            id: "019caffb-5c48-7d02-9c31-1a2b3c4d5e6f".to_owned(),
            peer: "hekou.ni.cn.example".to_owned(),
            side: v1::Side::Peer.into(),
            kind_number: kind.into(),
            precedence: v1::Precedence::Flash.into(),
            status: v1::Status::Exercise.into(),
            level: level.into(),
            recorded_at: Some(when::to_wire("2026-03-02T08:30:00Z".parse().unwrap())),
            ..v1::Message::default()
        }
    }

    #[test]
    fn a_list_fits_eighty_columns_with_whole_ids() {
        use unicode_width::UnicodeWidthStr as _;
        let now = "2026-03-02T12:00:00Z".parse().unwrap();
        let messages = [
            message(v1::Kind::CrossingAlert, v1::Level::Delivered),
            message(v1::Kind::AttachmentsReceived, v1::Level::Refused),
        ];
        let text = table(&messages, now).render(Some(100), false);
        for line in text.lines() {
            assert!(line.width() <= 100, "{line}");
        }
        assert!(
            text.contains("EXERCISE crossing alert") || text.contains('…'),
            "{text}"
        );
        assert_eq!(
            text.matches("019caffb-5c48-7d02-9c31-1a2b3c4d5e6f").count(),
            2
        );
        assert!(!text.contains("hekou"), "one peer needs no column");
    }
}
