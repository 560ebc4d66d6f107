//! A peer over its quota is slowed: what it pushes waits, uncosigned, until there is room again. So is
//! every peer while the disk here is so full that ordinary messages of the desk are refused.
//!
//! Its frames are still read. An honest peer pushes no more than its window beyond what was
//! cosigned, so it stops by itself; its alerts ahead of their turn, its receipts and its heartbeats
//! come behind no backlog. A peer that pushes on all the same is held for it. So a quota never ends
//! a session, and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::mpsc;

use super::clock::timestamp_of_ms;
use super::hold::Incident;
use super::layout::Urgency;
use super::noted::Cause;
use super::quota::{Charge, Class, OverQuota, QuotaPart};
use super::session::{Stop, item_bytes, send};
use super::submit::goes_ahead;
use super::{Exchange, Link, LogSide};
use crate::limits::{ACKNOWLEDGEMENTS_AHEAD_MAX, FAULT_TEXT_BYTES_MAX, SPACE_INTERVAL};
use crate::model::Header;
use crate::model::text::{cut, escape};
use crate::proto::v1::{self, frame};
use crate::store::{Share, StoreError};

/// What an entry costs beside its bytes: record, indices, and a REFUSAL of it at worst.
const AROUND_BYTES: usize = 1 << 10;
/// Longest wait before the quota is asked again: it may have been raised, the clock set.
const WAIT_MAX: Duration = Duration::from_secs(60);

impl Exchange {
    /// Takes a run of the peer from its quota; waits until there is room for it. What is urgent in
    /// it is shown meanwhile, as if it had been sent ahead of its turn: nothing stood before it when
    /// the peer pushed it, so nobody else did.
    pub(super) async fn charge_run(
        &self,
        link: &Arc<Link>,
        outgoing: &mpsc::Sender<v1::Frame>,
        start_index: u64,
        items: &[v1::Item],
    ) -> Result<Charge, Stop> {
        let meter = self.peer_meter(link)?;
        let entries = items.len() as u64;
        let bytes: usize = items
            .iter()
            .map(|item| item_bytes(item) + AROUND_BYTES)
            .sum();
        let bytes = bytes as u64;
        let mut told = false;
        let mut urgent = None;
        loop {
            // A disk that cannot be asked refuses the commit, in its own words.
            let room = self.store.make_room(Share::Ordinary, bytes);
            let taken = if matches!(room, Err(StoreError::Full { .. })) {
                Err(Over::Disk)
            } else {
                let taken = self.take(&meter, Class::Bulk, entries, bytes);
                taken.map_err(Over::Quota)
            };
            let taken = taken.or_else(|over| {
                let urgent = urgent.get_or_insert_with(|| Urgent::of(start_index, items));
                if urgent.is_all {
                    let taken = self.take(&meter, Class::Urgent, entries, bytes);
                    taken.map_err(Over::Quota)
                } else {
                    Err(over)
                }
            });
            let over = match taken {
                Ok(charge) => {
                    if told {
                        link.presence.send_modify(|presence| presence.slows = None);
                    }
                    return Ok(charge);
                }
                Err(over) => over,
            };
            // A rate is over in a moment; the rest of a day is worth a word.
            if over.lasts() && !told {
                told = true;
                self.say_slowed(link, outgoing, &over).await?;
                // That the disk fills is told by who watches it.
                if let Over::Quota(over) = &over {
                    let who = format!("the peer {}", link.peer);
                    self.tell_used_up(&meter, &link.peer, &who, over).await;
                }
            }
            if let Some(urgent) = &urgent {
                self.show_urgent(link, &urgent.shown).await?;
            }
            tokio::time::sleep(over.wait()).await;
        }
    }

    /// Shows what is urgent of a run that waits, within the bounds of what comes by Express.
    async fn show_urgent(&self, link: &Arc<Link>, urgent: &[(u64, &v1::Item)]) -> Result<(), Stop> {
        for (index, item) in urgent {
            // Shown already: it costs no more.
            if self.reader(link, LogSide::Mirror).expressed(*index).is_ok() {
                continue;
            }
            let express = v1::Express {
                index: *index,
                item: Some((*item).clone()),
            };
            self.take_express(link, express).await?;
        }
        Ok(())
    }

    async fn say_slowed(
        &self,
        link: &Link,
        outgoing: &mpsc::Sender<v1::Frame>,
        over: &Over,
    ) -> Result<(), Stop> {
        let (said, shown, until) = match over {
            Over::Quota(over) => {
                let wait_ms = u64::try_from(over.retry_after.as_millis()).unwrap_or(u64::MAX);
                let until_ms = self.clock.unix_ms().saturating_add(wait_ms);
                (
                    format!("your quota here is used up: {over}"),
                    format!("its quota here is used up: {over}; its ordinary messages wait"),
                    Some(timestamp_of_ms(until_ms)),
                )
            }
            Over::Disk => (
                "the disk here is nearly full".to_owned(),
                "the disk here is nearly full; its ordinary messages wait until there is room"
                    .to_owned(),
                None,
            ),
        };
        let text = format!(
            "{said}. Ordinary messages wait in your outbox and go on by themselves; alerts, \
             acknowledgements and receipts pass"
        );
        tracing::warn!(peer = %link.peer, ?over, "the peer is slowed");
        link.presence
            .send_modify(|presence| presence.slows = Some(shown));
        let slowed = v1::Slowed { text, until };
        send(outgoing, frame::Frame::Slowed(slowed)).await
    }

    /// The peer takes ordinary messages no further for now.
    pub(super) async fn slowed_by_peer(&self, link: &Link, slowed: &v1::Slowed) {
        let text = escape(cut(&slowed.text, FAULT_TEXT_BYTES_MAX)).into_owned();
        let said = format!("the peer takes no ordinary messages for now: {text}");
        let news = link.presence.send_if_modified(|presence| {
            let news = presence.slowed.as_ref() != Some(&said);
            presence.slowed = Some(said.clone());
            news
        });
        if news {
            // The pusher looks again: what must not wait, and was pushed with what does, goes ahead.
            link.head.send_modify(|_| {});
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

/// Why a run is not taken now.
#[derive(Debug)]
enum Over {
    /// The peer has used up its quota.
    Quota(OverQuota),
    /// Nobody's ordinary messages are recorded any more.
    Disk,
}

impl Over {
    /// Whether it is worth a word. A rate is over in a moment; the rest of a day, and a disk, are not.
    fn lasts(&self) -> bool {
        !matches!(self, Self::Quota(over) if over.part == QuotaPart::Messages)
    }

    fn wait(&self) -> Duration {
        match self {
            Self::Quota(over) => over.retry_after.min(WAIT_MAX),
            Self::Disk => SPACE_INTERVAL,
        }
    }
}

/// What of a run says that it is urgent. Nothing of it is verified yet.
struct Urgent<'a> {
    /// Alerts and acknowledgements, with their indices: they are shown while the run waits.
    shown: Vec<(u64, &'a v1::Item)>,
    /// Whether there is nothing else in it.
    is_all: bool,
}

impl<'a> Urgent<'a> {
    fn of(start_index: u64, items: &'a [v1::Item]) -> Self {
        let (mut alerts, mut acknowledgements) = (Vec::new(), Vec::new());
        let mut is_all = true;
        for (index, item) in (start_index..).zip(items) {
            let entry = v1::Entry::decode(item.entry.clone()).ok();
            let header = entry.and_then(|entry| Header::parse(&entry.payload).ok());
            match header {
                Some(header) if goes_ahead(header.kind, header.precedence) => {
                    match Urgency::of(header.kind) {
                        Urgency::Alert => alerts.push((index, item)),
                        Urgency::Acknowledgement => acknowledgements.push((index, item)),
                    }
                }
                _ => is_all = false,
            }
        }
        // Room for alerts stays, as where a node sends them ahead by itself.
        acknowledgements.truncate(ACKNOWLEDGEMENTS_AHEAD_MAX);
        alerts.append(&mut acknowledgements);
        Self {
            shown: alerts,
            is_all,
        }
    }
}
