//! Following what happens: one task for each subscription, at the pace of its reader.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Desk;
use super::caller::{Access, Caller};
use super::due::reached_stage;
use super::errors::DeskError;
use super::read::withhold;
use crate::exchange::watch::{Event, Watcher};
use crate::limits::READER_TIME_MAX;
use crate::proto::v1;

/// Events put together ahead of a slow reader: with one being sent, two bodies of 1 MiB at worst,
/// for each of 256 subscribers.
const AHEAD_EVENTS: usize = 1;
/// The same in outline, some 1 KiB each and 20 KiB at worst: what is ready goes out in one piece.
const AHEAD_OUTLINES: usize = 32;

/// The answer to Watch.
pub(super) type Events = ReceiverStream<Result<v1::WatchResponse, Status>>;

impl Desk {
    pub(super) fn watch(
        self: &Arc<Self>,
        caller: &Caller,
        access: Access,
        request: &v1::WatchRequest,
    ) -> Result<Events, DeskError> {
        let seat = self.watchers.take(caller).ok_or(DeskError::Crowded {
            what: "subscriptions",
        })?;
        let watcher = self.exchange.watch(&request.cursor, request.from_start)?;
        let watcher = watcher.only(wanted_events(&request.only)?);
        let (watcher, ahead) = if request.outline {
            (watcher.in_outline(), AHEAD_OUTLINES)
        } else {
            (watcher, AHEAD_EVENTS)
        };
        let (events, stream) = mpsc::channel(ahead);
        let (desk, caller) = (Arc::clone(self), caller.clone());
        tokio::spawn(async move {
            let told = tokio::select! {
                told = desk.tell(watcher, &caller, access, &events) => told,
                () = events.closed() => return,
                () = desk.stop.cancelled() => Err(DeskError::Stopping),
            };
            if let Err(error) = told {
                tracing::info!(%caller, reason = error.reason(), "a subscription has ended");
                // A reader that has stalled need not hear why.
                drop(events.try_send(Err(error.into())));
            }
            drop(seat);
        });
        Ok(ReceiverStream::new(stream))
    }

    async fn tell(
        &self,
        mut watcher: Watcher,
        caller: &Caller,
        access: Access,
        events: &mpsc::Sender<Result<v1::WatchResponse, Status>>,
    ) -> Result<(), DeskError> {
        while let Some(event) = watcher.next().await {
            let mut event = event?;
            // Programs are told of their messages.
            if access == Access::Own && event.link.is_some() {
                continue;
            }
            if access == Access::Own
                && let Some(message) = &event.message
                && !self.may_see_own(caller, message)
            {
                // Whole logs may be passed over: others want to run meanwhile.
                tokio::task::yield_now().await;
                continue;
            }
            if let Some(message) = &mut event.message
                && let Some(deed) = Self::reading_of(caller, access, message)
                && !self.try_note(deed).await
            {
                // That something has come must be told in any case.
                withhold(message);
            }
            let sent = events.send(Ok(response(event)));
            match tokio::time::timeout(READER_TIME_MAX, sent).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(DeskError::NotRead),
            }
        }
        // Nothing can happen at a node without links; a reader that is sent away would be back at
        // once.
        std::future::pending().await
    }
}

/// The events that a caller wants, each one that can happen to a message.
fn wanted_events(only: &[i32]) -> Result<Vec<v1::WatchEvent>, DeskError> {
    let of_messages = |number: &i32| match v1::WatchEvent::try_from(*number) {
        Ok(
            event @ (v1::WatchEvent::Recorded
            | v1::WatchEvent::Delivered
            | v1::WatchEvent::Received
            | v1::WatchEvent::Reminded
            | v1::WatchEvent::Overdue
            | v1::WatchEvent::Escalated),
        ) => Some(event),
        _ => None,
    };
    let mut wanted = Vec::new();
    for (place, number) in only.iter().enumerate() {
        let event = of_messages(number).ok_or_else(|| {
            DeskError::field(
                format!("only[{place}]"),
                format!("{number} is no event that happens to a message"),
                "use RECORDED, DELIVERED, RECEIVED, REMINDED, OVERDUE or ESCALATED; the others are told in \
                 any case",
            )
        })?;
        if !wanted.contains(&event) {
            wanted.push(event);
        }
    }
    Ok(wanted)
}

fn response(event: Event) -> v1::WatchResponse {
    v1::WatchResponse {
        event: event.what as i32,
        message: event.message,
        cursor: event.cursor,
        stage: event.reached.as_ref().map(reached_stage),
        link: event.link,
    }
}
