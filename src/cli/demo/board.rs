//! What happens, told as the two nodes tell it, each message on one line when its receipt is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::sides::Side;
use crate::cli::exit::{Exit, Failure};
use crate::cli::print::Screen;
use crate::cli::table::{Style, cut, pad};
use crate::cli::{levels, refused, summary, when, words};
use crate::proto::v1::{self, WatchEvent};

/// How long a message may take to be receipted, on one machine.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(10);

/// A message that has its receipt.
#[derive(Debug, Clone)]
pub(super) struct Delivered {
    /// Kind, as recorded.
    pub(super) kind: i32,
    /// Whether the Vietnamese side said it.
    pub(super) from_vn: bool,
    /// From the author's record to the receipt.
    pub(super) took: Option<Duration>,
}

/// By side and id: an id that both sides have used is two messages.
type Known = HashMap<(bool, String), Delivered>;

/// Listens to both nodes.
#[derive(Debug)]
pub(super) struct Board {
    screen: Screen,
    known: watch::Sender<Known>,
    cursors: Mutex<HashMap<&'static str, String>>,
    recorded: Mutex<HashMap<(bool, String), tokio::time::Instant>>,
}

/// Columns in front of what belongs to the line above.
pub(super) const INDENT: usize = 14;
/// Columns below which the content of a message gets a line of its own.
const SAID_WIDTH_MIN: usize = 30;
/// Columns of a place's name.
const PLACE_WIDTH: usize = 7;

impl Board {
    pub(super) fn new(screen: Screen) -> Arc<Self> {
        Arc::new(Self {
            screen,
            known: watch::Sender::new(HashMap::new()),
            cursors: Mutex::default(),
            recorded: Mutex::default(),
        })
    }

    /// Begins to listen to a node, behind what it has told before.
    pub(super) async fn listen(
        self: &Arc<Self>,
        side: &Side,
        other: &'static str,
        from_vn: bool,
    ) -> Result<(), Failure> {
        let cursor = lock(&self.cursors).get(side.place).cloned();
        let request = v1::WatchRequest {
            from_start: cursor.is_none(),
            cursor: cursor.unwrap_or_default(),
            ..v1::WatchRequest::default()
        };
        let mut events = refused::answer(side.desk()?.desk().watch(request).await)?;
        let (board, place) = (Arc::clone(self), side.place);
        // It ends with the node's stream, or with the demo's runtime.
        tokio::spawn(async move {
            while let Ok(Some(event)) = events.message().await {
                board.hear(&event, (place, other), from_vn);
                if !event.cursor.is_empty() {
                    lock(&board.cursors).insert(place, event.cursor);
                }
            }
        });
        Ok(())
    }

    fn hear(
        &self,
        event: &v1::WatchResponse,
        (place, other): (&'static str, &'static str),
        from_vn: bool,
    ) {
        let Some(message) = &event.message else {
            return;
        };
        let now = tokio::time::Instant::now();
        let key = (from_vn, message.id.clone());
        if event.event() == WatchEvent::Recorded {
            lock(&self.recorded).insert(key.clone(), now);
        }
        // Told again after a reconnect, it is known already.
        if event.event() != WatchEvent::Delivered || self.known.borrow().contains_key(&key) {
            return;
        }
        let took = lock(&self.recorded)
            .get(&key)
            .map(|since| now.duration_since(*since));
        let language = if from_vn { "vi" } else { "zh-Hans" };
        self.line((place, other), language, message, took);
        let kind = message.kind_number;
        self.known.send_modify(|known| {
            known.insert(
                key,
                Delivered {
                    kind,
                    from_vn,
                    took,
                },
            );
        });
    }

    /// `08:15:02.113  Lào Cai → Hekou    FLASH     crossing alert  ●●○○ delivered   9 ms  7 persons`
    fn line(
        &self,
        (place, other): (&str, &str),
        language: &str,
        message: &v1::Message,
        took: Option<Duration>,
    ) {
        let colour = self.screen.colour;
        let (precedence, style) = words::precedence(message.precedence);
        let kind = words::kind(message.kind_number);
        let is_routine = message.precedence() == v1::Precedence::Routine;
        let kind = if is_routine {
            kind
        } else {
            format!("{precedence} {kind}")
        };
        let kind_style = if is_routine { Style::Plain } else { style };
        let (dots, level_style) = levels::dots(message);
        let took = took.map_or_else(String::new, |took| format!("{} ms", took.as_millis()));
        let places = format!("{} → {other}", pad(place, PLACE_WIDTH));
        // With one space between them, 80 columns.
        let columns = [
            (when::clock(when::now()), 12, Style::Dim),
            (places, 2 * PLACE_WIDTH + 4, Style::Plain),
            (kind, 26, kind_style),
            (dots, 14, level_style),
            (format!("{took:>6}"), 6, Style::Dim),
        ];
        let mut line = String::new();
        let mut used = 0;
        for (text, width, style) in columns {
            line.push_str(&style.paint(&pad(&text, width), colour));
            line.push(' ');
            used += width + 1;
        }
        line.push(' ');
        used += 1;
        let body = message.body.as_ref().and_then(|body| body.body.as_ref());
        let said = body
            .map(|body| summary::of_in(body, language))
            .unwrap_or_default();
        match self.screen.width {
            Some(width) if width < used + SAID_WIDTH_MIN => {
                let said = cut(&said, width.saturating_sub(INDENT).max(SAID_WIDTH_MIN));
                line = format!("{}\n{}{said}", line.trim_end(), " ".repeat(INDENT));
            }
            Some(width) => line.push_str(&cut(&said, width - used)),
            None => line.push_str(&said),
        }
        // A closed standard output ends the story by itself, at its next line.
        let _ = self.screen.line(line);
    }

    /// Waits until a message has its receipt, and its line was printed.
    pub(super) async fn delivered(&self, id: &str) -> Result<(), Failure> {
        self.wait(|known| known.keys().any(|(_, known)| known == id))
            .await
    }

    /// Waits until the receipts fulfil a condition.
    pub(super) async fn wait(&self, enough: impl FnMut(&Known) -> bool) -> Result<(), Failure> {
        let mut known = self.known.subscribe();
        let mut enough = enough;
        let waiting = known.wait_for(|known| enough(known));
        match tokio::time::timeout(DELIVERY_TIME_MAX, waiting).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(
                Failure::new(Exit::Negative, "a message was not delivered in time").remedy(
                    "the logs of the nodes say why: node.log in the directory of each side",
                ),
            ),
        }
    }

    /// All that was delivered.
    pub(super) fn all(&self) -> Vec<Delivered> {
        self.known.borrow().values().cloned().collect()
    }
}

/// What a panic elsewhere left in a map is whole: each change is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
