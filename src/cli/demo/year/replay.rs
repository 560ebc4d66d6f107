//! Each message sent when it was said, and when what it answers is known to who says it.
//!
//! The clock is set to the time of a message, the message is submitted, and the clock goes on when
//! it is recorded: so every message is dated to the millisecond. The other side's mirror follows
//! meanwhile; it is waited for only where a message hangs on one of the other side.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::hands::Hands;
use crate::cli::connect::Desk;
use crate::cli::demo::sides::{Side as Member, Sides};
use crate::cli::exit::{Exit, Failure};
use crate::cli::print::Bar;
use crate::cli::{attach, refused, send};
use crate::model::sample::year::{Event, Side, Year};
use crate::model::{body, sample};
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, WatchEvent};

/// How long a message may take to the other side.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(60);

/// The digest of each message's body that has come from the other side, by its id.
type Received = HashMap<String, Vec<u8>>;

/// Sends the whole year through the desks of both sides.
pub(super) async fn replay(
    year: &Year,
    sides: &Sides,
    hands: &Hands,
    bar: &Bar,
) -> Result<(), Failure> {
    let members = [&sides.vn, &sides.cn];
    let mut ears = Vec::new();
    for member in members {
        upload_samples(sides, member).await?;
        ears.push(Ear::open(member.desk()?.clone()).await?);
    }
    for event in &year.events {
        if let Some(before) = event.after {
            let before = &year.events[before];
            if before.by != event.by {
                ears[event.by.slot()].wait_for(before).await?;
            }
        }
        let signed = event.signs.map(|place| &year.events[place].draft.id);
        let digest = signed.and_then(|id| ears[event.by.slot()].digest_of(id));
        let draft = event.draft_signing(digest.as_deref());
        hands.set(event.at);
        let sent = send::submit(members[event.by.slot()].desk()?, draft).await;
        sent.map_err(|failure| failure.while_doing(what_of(event)))?;
        // Deadlines are counted on the calendars that are known: everything waits for them.
        if is_calendar(event) {
            ears[event.by.other().slot()].wait_for(event).await?;
        }
        bar.advance(1);
    }
    // What is still on its way is on its way at the hour at which it was said.
    for side in Side::BOTH {
        let of_other = year.events.iter().rev().find(|event| event.by != side);
        if let Some(event) = of_other {
            ears[side.slot()].wait_for(event).await?;
        }
    }
    Ok(())
}

fn what_of(event: &Event) -> String {
    let content = event
        .draft
        .body
        .as_ref()
        .and_then(|body| body.body.as_ref());
    let kind = content.map_or_else(String::new, body::json_name_of);
    format!("the {kind} {} was not sent", event.draft.id)
}

fn is_calendar(event: &Event) -> bool {
    let content = event
        .draft
        .body
        .as_ref()
        .and_then(|body| body.body.as_ref());
    matches!(content, Some(Body::Calendar(_)))
}

/// The files that letters name are there before them.
async fn upload_samples(sides: &Sides, member: &Member) -> Result<(), Failure> {
    for (name, _) in sample::FILES {
        let file = sides.dir.join("../samples").join(name);
        let file = attach::describe(&file, None).await?;
        attach::upload(member.desk()?, &file).await?;
    }
    Ok(())
}

/// Listens to what comes to a side.
#[derive(Debug)]
struct Ear {
    received: watch::Receiver<Received>,
    _listening: AbortOnDropHandle<()>,
}

impl Ear {
    async fn open(desk: Desk) -> Result<Self, Failure> {
        let (sender, received) = watch::channel(Received::new());
        let mut cursor = String::new();
        let mut events = watch(&desk, &cursor).await?;
        let listening = tokio::spawn(async move {
            loop {
                match events.message().await {
                    Ok(Some(event)) => {
                        cursor.clone_from(&event.cursor);
                        hear(event, &sender);
                    }
                    // Cut off, or the node goes down: then there is nothing more to be heard.
                    Ok(None) | Err(_) => match watch(&desk, &cursor).await {
                        Ok(again) => events = again,
                        Err(_) => return,
                    },
                }
            }
        });
        Ok(Self {
            received,
            _listening: AbortOnDropHandle::new(listening),
        })
    }

    fn digest_of(&self, id: &str) -> Option<Vec<u8>> {
        self.received.borrow().get(id).cloned()
    }

    /// Waits until a message of the other side is here.
    async fn wait_for(&mut self, event: &Event) -> Result<(), Failure> {
        let id = &event.draft.id;
        let waiting = self.received.wait_for(|received| received.contains_key(id));
        match tokio::time::timeout(ARRIVAL_TIME_MAX, waiting).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Failure::new(
                Exit::Negative,
                format!("message {id} has not come to the other side in time"),
            )),
        }
    }
}

async fn watch(desk: &Desk, cursor: &str) -> Result<tonic::Streaming<v1::WatchResponse>, Failure> {
    let request = v1::WatchRequest {
        cursor: cursor.to_owned(),
        from_start: false,
        ..v1::WatchRequest::default()
    };
    refused::answer(desk.desk().watch(request).await)
}

fn hear(event: v1::WatchResponse, received: &watch::Sender<Received>) {
    if event.event() == WatchEvent::Received
        && let Some(message) = event.message
    {
        received.send_modify(|received| {
            received.insert(message.id, message.body_digest.to_vec());
        });
    }
}
