//! What happens, told as the two nodes tell it, each message on one line when its receipt is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::sides::Side;
use crate::cli::connect::Desk;
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

type Known = HashMap<String, Delivered>;

/// Listens to both nodes.
#[derive(Debug)]
pub(super) struct Board {
    screen: Screen,
    known: watch::Sender<Known>,
    cursors: Mutex<HashMap<&'static str, String>>,
    recorded: Mutex<HashMap<String, tokio::time::Instant>>,
}

/// Columns of a place's name.
const PLACE_WIDTH: usize = 7;
/// Columns of a kind.
const KIND_WIDTH: usize = 20;

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
        };
        let desk = side.desk()?.clone();
        let mut events = refused::answer(desk.desk().watch(request).await)?;
        let (board, place) = (Arc::clone(self), side.place);
        // It ends with the node's stream, or with the demo's runtime.
        tokio::spawn(async move {
            while let Ok(Some(event)) = events.message().await {
                board.hear(&desk, &event, (place, other), from_vn).await;
                if !event.cursor.is_empty() {
                    lock(&board.cursors).insert(place, event.cursor);
                }
            }
        });
        Ok(())
    }

    async fn hear(
        &self,
        desk: &Desk,
        event: &v1::WatchResponse,
        (place, other): (&'static str, &'static str),
        from_vn: bool,
    ) {
        let Some(message) = &event.message else {
            return;
        };
        let now = tokio::time::Instant::now();
        if event.event() == WatchEvent::Recorded {
            lock(&self.recorded).insert(message.id.clone(), now);
        }
        if event.event() != WatchEvent::Delivered || self.known.borrow().contains_key(&message.id) {
            return;
        }
        let took = lock(&self.recorded)
            .get(&message.id)
            .map(|since| now.duration_since(*since));
        let told = match &message.body {
            Some(_) => message.clone(),
            None => crate::cli::show::get(desk, &message.id)
                .await
                .unwrap_or_else(|_| message.clone()),
        };
        let language = if from_vn { "vi" } else { "zh-Hans" };
        self.line((place, other), language, &told, took);
        let delivered = Delivered {
            kind: message.kind_number,
            from_vn,
            took,
        };
        self.known.send_modify(|known| {
            known.insert(message.id.clone(), delivered);
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
        let precedence = style.paint(&pad(&precedence, 8), colour).into_owned();
        let body = message.body.as_ref().and_then(|body| body.body.as_ref());
        let said = body.map(|body| summary::of_in(body, language));
        let took = took.map_or_else(String::new, |took| format!("{} ms", took.as_millis()));
        let (dots, level_style) = levels::dots(message);
        let plain = format!(
            "{}  {} → {}  ",
            when::clock(when::now()),
            pad(place, PLACE_WIDTH),
            pad(other, PLACE_WIDTH),
        );
        let kind = pad(&words::kind(message.kind_number), KIND_WIDTH);
        let fixed = 14 + 2 * PLACE_WIDTH + 5 + 10 + KIND_WIDTH + 17 + 9;
        let said = said.unwrap_or_default();
        let said = match self.screen.width {
            Some(width) => cut(&said, width.saturating_sub(fixed).max(8)).into_owned(),
            None => said,
        };
        let _ = self.screen.line(format!(
            "{plain}{precedence}  {}{}  {took:>6}  {said}",
            Style::Bold.paint(&kind, colour),
            level_style.paint(&pad(&dots, 15), colour),
        ));
    }

    /// Waits until a message has its receipt, and its line was printed.
    pub(super) async fn delivered(&self, id: &str) -> Result<(), Failure> {
        self.wait(|known| known.contains_key(id)).await
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
