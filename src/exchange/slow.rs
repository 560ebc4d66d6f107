//! A peer over its quota is slowed: what it pushes waits, uncosigned, until there is room again.
//!
//! Its frames are still read. An honest peer pushes no more than its window beyond what was
//! cosigned, so it stops by itself; its alerts ahead of their turn, its receipts and its heartbeats
//! come behind no backlog. A peer that pushes on all the same is held for it. So a quota never ends
//! a session, and loses nothing.

use std::time::Duration;

use tokio::sync::mpsc;

use super::clock::timestamp_of_ms;
use super::hold::{self, Incident};
use super::noted::Cause;
use super::quota::{Charge, Class, OverQuota, QuotaPart};
use super::session::{Stop, send};
use super::{Exchange, Link};
use crate::limits::FAULT_TEXT_BYTES_MAX;
use crate::model::text::escape;
use crate::proto::v1::{self, frame};

/// What an entry costs beside its bytes: record, indices, and a REFUSAL of it at worst.
const AROUND_BYTES: usize = 1 << 10;
/// Longest wait before the quota is asked again: it may have been raised, the clock set.
const WAIT_MAX: Duration = Duration::from_secs(60);

impl Exchange {
    /// Takes a run of the peer from its quota; waits until there is room for it.
    pub(super) async fn charge_run(
        &self,
        link: &Link,
        outgoing: &mpsc::Sender<v1::Frame>,
        entries: usize,
        bytes: usize,
    ) -> Result<Charge, Stop> {
        let meter = self.peer_meter(link)?;
        let bytes = (bytes + entries * AROUND_BYTES) as u64;
        let mut told = false;
        loop {
            let over = match self.take(&meter, Class::Bulk, entries as u64, bytes) {
                Ok(charge) => {
                    if told {
                        link.presence.send_modify(|presence| presence.slows = None);
                    }
                    return Ok(charge);
                }
                Err(over) => over,
            };
            // A rate is over in a moment; the rest of a day is worth a word.
            if over.part != QuotaPart::Messages && !told {
                told = true;
                self.say_slowed(link, outgoing, &over).await?;
                let who = format!("the peer {}", link.peer);
                self.tell_used_up(&meter, &link.peer, &who, &over).await;
            }
            tokio::time::sleep(over.retry_after.min(WAIT_MAX)).await;
        }
    }

    async fn say_slowed(
        &self,
        link: &Link,
        outgoing: &mpsc::Sender<v1::Frame>,
        over: &OverQuota,
    ) -> Result<(), Stop> {
        let wait_ms = u64::try_from(over.retry_after.as_millis()).unwrap_or(u64::MAX);
        let until_ms = self.clock.unix_ms().saturating_add(wait_ms);
        let text = format!(
            "your quota here is used up: {over}. Ordinary messages wait in your outbox and go on \
             by themselves; alerts and receipts pass"
        );
        tracing::warn!(peer = %link.peer, part = ?over.part, "the peer is slowed");
        let shown = format!("its quota here is used up: {over}; its ordinary messages wait");
        link.presence
            .send_modify(|presence| presence.slows = Some(shown));
        let slowed = v1::Slowed {
            text,
            until: Some(timestamp_of_ms(until_ms)),
        };
        send(outgoing, frame::Frame::Slowed(slowed)).await
    }

    /// The peer takes ordinary messages no further for now.
    pub(super) async fn slowed_by_peer(&self, link: &Link, slowed: &v1::Slowed) {
        let text = escape(hold::cut(&slowed.text, FAULT_TEXT_BYTES_MAX)).into_owned();
        let said = format!("the peer takes no ordinary messages for now: {text}");
        let news = link.presence.send_if_modified(|presence| {
            let news = presence.slowed.as_ref() != Some(&said);
            presence.slowed = Some(said.clone());
            news
        });
        if news {
            let incident = Incident {
                at_ms: self.clock.unix_ms(),
                peer: link.peer.to_string(),
                what: said,
                evidence: Vec::new(),
            };
            self.note_caused(Cause::Slowed, incident).await;
        }
    }
}
