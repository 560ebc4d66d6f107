//! The node's state, as people on duty and administrators want it.

use super::Desk;
use super::errors::DeskError;
use crate::exchange::book::{Head, Presence};
use crate::exchange::clock::timestamp_of_ms;
use crate::exchange::{Link, LogSide};
use crate::limits::CLOCK_SKEW_MAX;
use crate::model::text::escape;
use crate::proto::v1;

/// Incidents that Status shows.
const INCIDENTS_SHOWN: usize = 20;

/// What is said of a link whose session stands.
fn peer_restores(presence: &Presence) -> &'static str {
    match presence.peer_restoring {
        v1::Restoring::Unspecified => "",
        v1::Restoring::Records => "the peer is restoring its records from here",
        v1::Restoring::Files => "the peer gets files of earlier messages back from here",
    }
}

impl Desk {
    /// Why this node can neither sign nor append, or shows no body; `None` when it can all that.
    pub(super) fn trouble(&self) -> Option<String> {
        if let Some(reason) = self.exchange.trouble() {
            return Some(format!(
                "the store failed, nothing more is recorded or signed; restart the node: {reason}"
            ));
        }
        let floor = self.facts.disk_free_bytes_min;
        match self.exchange.free_bytes() {
            Ok(free) if free >= floor => self.journal_trouble(),
            Ok(free) => Some(format!(
                "the disk is full: {free} bytes are free, {floor} must stay so; free some space, \
                 the node goes on by itself"
            )),
            Err(error) => Some(error.to_string()),
        }
    }

    pub(super) fn status(&self) -> Result<v1::StatusResponse, DeskError> {
        let exchange = &self.exchange;
        let trouble = self.trouble();
        let links = exchange.links().map(|link| self.link_status(link));
        // A store that cannot be read is told of by `trouble`; the rest is still of use.
        let incidents = exchange.incidents(INCIDENTS_SHOWN).unwrap_or_default();
        Ok(v1::StatusResponse {
            node: exchange.node().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            serving: trouble.is_none(),
            trouble: trouble.unwrap_or_default(),
            links: links.collect::<Result<_, _>>()?,
            certificates: (self.facts.certificates)(exchange.clock().unix_seconds()),
            free_disk_bytes: exchange.free_bytes().unwrap_or_default(),
            incidents: incidents
                .into_iter()
                .map(|incident| v1::Incident {
                    at: Some(timestamp_of_ms(incident.at_ms)),
                    peer: incident.peer,
                    what: escape(&incident.what).into_owned(),
                })
                .collect(),
            time_zone: self.zone_of(exchange.node().as_str()),
        })
    }

    /// The zone of this node or a peer by its IANA name; empty if it is not known.
    fn zone_of(&self, node: &str) -> String {
        self.facts.zones.get(node).cloned().unwrap_or_default()
    }

    fn link_status(&self, link: &Link) -> Result<v1::LinkStatus, DeskError> {
        let head = link.head();
        let presence = link.presence();
        let (state, detail) = match &head.held {
            Some(hold) => (
                v1::LinkState::Held,
                format!("{}: {}", hold.code_name(), hold.text),
            ),
            None if head.restoring.is_some() => (v1::LinkState::Restoring, self.restoring(link)),
            None if presence.up => {
                let restores = peer_restores(&presence).to_owned();
                let words = [Some(restores), presence.slowed, presence.slows];
                let words: Vec<_> = words.into_iter().flatten().collect();
                let words: Vec<_> = words.into_iter().filter(|text| !text.is_empty()).collect();
                (v1::LinkState::Up, words.join("; "))
            }
            None if let Some(hold) = &head.peer_hold => (
                v1::LinkState::HeldByPeer,
                format!("held by the peer: {}: {}", hold.code_name(), hold.text),
            ),
            None => (
                v1::LinkState::Down,
                presence.down_reason.unwrap_or_default(),
            ),
        };
        let skew_ms = presence.skew_ms.unwrap_or_default();
        let (incoming, outgoing) = self.exchange.files_under_way(link)?;
        // A log that cannot be read is told of when it is read; the rest is still of use.
        let overdue = self.overdue(link).unwrap_or_default();
        Ok(v1::LinkStatus {
            peer: link.peer.to_string(),
            state: state as i32,
            detail: escape(&detail).into_owned(),
            own_size: head.own_size,
            delivered_size: head.delivered_size,
            mirrored_size: head.mirror_size,
            heard_at: presence.heard_at_ms.map(timestamp_of_ms),
            clock_skew_ms: skew_ms,
            clock_skewed: u128::from(skew_ms.unsigned_abs()) > CLOCK_SKEW_MAX.as_millis(),
            attachments_incoming: incoming,
            attachments_outgoing: outgoing,
            overdue_own: overdue.own,
            overdue_theirs: overdue.theirs,
            overdue_exercises: overdue.exercises,
            time_zone: self.zone_of(link.peer.as_str()),
            waiting_since: self.waiting_since(link, &head),
        })
    }

    /// When the first own entry without a receipt was recorded. A log that cannot be read is told of
    /// when it is read.
    fn waiting_since(&self, link: &Link, head: &Head) -> Option<prost_types::Timestamp> {
        if head.delivered_size == head.own_size {
            return None;
        }
        let reader = self.exchange.reader(link, LogSide::Own);
        let first = reader.entry(head.delivered_size).ok()?;
        Some(timestamp_of_ms(first.record.recorded_at_ms))
    }

    /// How far the records are back, and what it waits for.
    fn restoring(&self, link: &Link) -> String {
        let progress = self.exchange.restore_progress(link);
        let of = |(here, wanted): (u64, u64)| match wanted {
            0 => here.to_string(),
            wanted => format!("{here} of {wanted}"),
        };
        let aside = match self.exchange.waiting_aside(link).unwrap_or_default() {
            0 => String::new(),
            count => format!("; {count} recorded since wait to be appended again"),
        };
        let presence = link.presence();
        let waits = match (presence.up, presence.down_reason) {
            (false, Some(reason)) => format!("; no session: {reason}"),
            _ => String::new(),
        };
        let why = link.head().restoring.map(|r| r.why.clone());
        format!(
            "{}: {} own entries are back, {} of the peer's{aside}{waits}",
            why.unwrap_or_default(),
            of(progress.own),
            of(progress.mirror)
        )
    }
}
