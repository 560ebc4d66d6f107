//! A session's place on its link: one at a time, and how the link shows while it stands.

use std::sync::PoisonError;

use tokio_util::sync::CancellationToken;

use super::super::Link;
use super::super::book::Occupant;
use super::super::hold::Hold;
use crate::model::NodeName;

/// A session's place on its link; free again when dropped, however the session ends.
pub(super) struct Seat<'a> {
    link: &'a Link,
    serial: u64,
    pub(super) stop: CancellationToken,
}

impl<'a> Seat<'a> {
    pub(super) fn take(link: &'a Link, dialled_by: &NodeName) -> Option<Self> {
        let mut slot = link.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(occupant) = &slot.occupant {
            if occupant.dialled_by < *dialled_by {
                return None;
            }
            occupant.stop.cancel();
        }
        slot.last_serial += 1;
        let (serial, stop) = (slot.last_serial, CancellationToken::new());
        slot.occupant = Some(Occupant {
            serial,
            dialled_by: dialled_by.clone(),
            stop: stop.clone(),
        });
        Some(Self { link, serial, stop })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut slot = self
            .link
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Another session may have taken the place over.
        if slot
            .occupant
            .as_ref()
            .is_some_and(|occupant| occupant.serial == self.serial)
        {
            slot.occupant = None;
        }
    }
}

/// Shows the link as down when dropped.
pub(super) struct Standing<'a> {
    pub(super) link: &'a Link,
    pub(super) down_reason: String,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let reason = std::mem::take(&mut self.down_reason);
        self.link.presence.send_modify(|presence| {
            presence.up = false;
            presence.down_reason = Some(reason);
        });
    }
}

/// Waits until the link is held, by whomever; at once if it is.
pub(super) async fn held(link: &Link) -> Hold {
    let mut heads = link.watch_head();
    let held = heads
        .wait_for(|head| head.held.is_some())
        .await
        .ok()
        .and_then(|head| head.held.clone());
    match held {
        Some(hold) => (*hold).clone(),
        // The sender lives in the link, so this is never reached.
        None => std::future::pending().await,
    }
}
