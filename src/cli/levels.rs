//! The three levels of answer, and what is due: receipt, acknowledgement, reply.

use jiff::Timestamp;

use super::table::{Cell, Style};
use super::{when, words};
use crate::proto::v1::{Level, Message};

/// The levels in their order, with the words people use.
const STEPS: [(Level, &str); 4] = [
    (Level::Recorded, "recorded"),
    (Level::Delivered, "delivered"),
    (Level::Acknowledged, "acknowledged"),
    (Level::Replied, "replied"),
];

/// How many of the four steps a message has come; all that can be said of one that was refused or
/// withdrawn is whether there is a receipt.
fn reached(message: &Message) -> usize {
    match message.level() {
        Level::Unspecified => 0,
        Level::Recorded => 1,
        Level::Delivered => 2,
        Level::Acknowledged => 3,
        Level::Replied => 4,
        Level::Refused | Level::Withdrawn => 1 + usize::from(message.delivered_at.is_some()),
    }
}

/// One answer that is awaited until a certain time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    what: &'static str,
    at: Timestamp,
}

impl Due {
    /// Whether the time is over.
    pub(crate) fn is_overdue(&self, now: Timestamp) -> bool {
        self.at < now
    }

    /// `acknowledge in 3 h`, `reply OVERDUE 2 d`.
    pub(crate) fn text(&self, now: Timestamp) -> String {
        if self.is_overdue(now) {
            let late = when::rough(now.duration_since(self.at).unsigned_abs());
            format!("{} OVERDUE {late}", self.what)
        } else {
            format!("{} {}", self.what, when::distance(self.at, now))
        }
    }
}

/// What is still awaited, the soonest first.
pub(crate) fn due(message: &Message) -> Vec<Due> {
    let mut due = Vec::new();
    let level = message.level();
    let open = |until: Level| {
        matches!(
            level,
            Level::Unspecified | Level::Recorded | Level::Delivered
        ) || (level == Level::Acknowledged && until == Level::Replied)
    };
    let mut add = |until, what, at: &Option<prost_types::Timestamp>| {
        if let Some(at) = at
            .as_ref()
            .and_then(when::from_wire)
            .filter(|_| open(until))
        {
            due.push(Due { what, at });
        }
    };
    add(Level::Acknowledged, "acknowledge", &message.acknowledge_by);
    add(Level::Replied, "reply", &message.respond_by);
    due.sort_by_key(|due| due.at);
    due
}

/// For tables: `●●○○ delivered`.
pub(crate) fn cell(message: &Message) -> Cell {
    let (text, style) = dots(message);
    Cell::styled(text, style)
}

/// `●●○○ delivered`.
pub(crate) fn dots(message: &Message) -> (String, Style) {
    let reached = reached(message);
    let dots: String = (0..STEPS.len())
        .map(|step| if step < reached { '●' } else { '○' })
        .collect();
    let (word, style) = words::level(message.level());
    (format!("{dots} {word}"), style)
}

/// For tables: what is due next.
pub(crate) fn due_cell(message: &Message, now: Timestamp) -> Cell {
    match due(message).first() {
        None => Cell::default(),
        Some(due) => {
            let style = if due.is_overdue(now) {
                Style::Bad
            } else {
                Style::Warn
            };
            Cell::styled(due.text(now), style)
        }
    }
}

/// All steps on one line: `● recorded → ● delivered (receipt) → ○ acknowledged, due … → ○ replied`.
pub(crate) fn line(message: &Message, now: Timestamp) -> String {
    let reached = reached(message);
    let due = due(message);
    let mut parts: Vec<String> = Vec::new();
    for (position, (level, word)) in STEPS.into_iter().enumerate() {
        let dot = if position < reached { '●' } else { '○' };
        let awaited = match level {
            Level::Acknowledged => due.iter().find(|due| due.what == "acknowledge"),
            Level::Replied => due.iter().find(|due| due.what == "reply"),
            _ => None,
        };
        let note = match awaited {
            Some(due) if due.is_overdue(now) => {
                format!(
                    " (OVERDUE since {}, {})",
                    when::full(due.at),
                    when::distance(due.at, now)
                )
            }
            Some(due) => format!(
                " (due {}, {})",
                when::full(due.at),
                when::distance(due.at, now)
            ),
            None if level == Level::Delivered => " (receipt)".to_owned(),
            None => String::new(),
        };
        parts.push(format!("{dot} {word}{note}"));
    }
    let mut line = parts.join(" → ");
    match message.level() {
        Level::Refused => line.push_str("   REFUSED by the other node"),
        Level::Withdrawn => line.push_str("   WITHDRAWN by its author"),
        _ => {}
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: Level) -> Message {
        let at = |text: &str| Some(when::to_wire(text.parse().unwrap()));
        Message {
            level: level.into(),
            acknowledge_by: at("2026-03-02T10:00:00Z"),
            respond_by: at("2026-03-05T10:00:00Z"),
            ..Message::default()
        }
    }

    #[test]
    fn what_is_due_follows_the_level() {
        let now = "2026-03-02T12:00:00Z".parse().unwrap();
        let texts = |level| -> Vec<String> {
            due(&message(level))
                .iter()
                .map(|due| due.text(now))
                .collect()
        };
        assert_eq!(
            texts(Level::Delivered),
            ["acknowledge OVERDUE 2 h", "reply in 2 d"]
        );
        assert_eq!(texts(Level::Acknowledged), ["reply in 2 d"]);
        assert!(texts(Level::Replied).is_empty() && texts(Level::Withdrawn).is_empty());
    }

    #[test]
    fn all_levels_are_always_shown() {
        let now = "2026-03-02T09:00:00Z".parse().unwrap();
        for level in [Level::Recorded, Level::Refused, Level::Replied] {
            let line = line(&message(level), now);
            for (_, word) in STEPS {
                assert!(line.contains(word), "{line}");
            }
        }
        assert!(line(&message(Level::Delivered), now).contains("○ acknowledged (due 2026-03-02"));
    }
}
