//! Holds over time: this side stops a link, or hears that the peer has; what is released, by whom
//! and why; and what stays on record of it.
//!
//! A hold and the incident that tells of it are one commit, made before the peer is told. So is a
//! release with the record of what it ended: a hold and its evidence leave the list of what is
//! held only for the list of what was.

use serde::{Deserialize, Serialize};

use super::command::{Command, RecordError};
use super::hold::{self, Hold, Incident};
use super::layout::{self, StoredBody};
use super::noted::Cause;
use super::prune::PruneError;
use super::read::ReadError;
use super::submit::{self, Author};
use super::{Exchange, Link, LogSide, session};
use crate::limits::HOLDS_SHOWN_MAX;
use crate::model::{MessageId, text};
use crate::proto::v1::{self, FaultCode};
use crate::store::{Direction, StoreError};
use std::sync::Arc;

/// A hold that an operator has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastHold {
    /// What it was, with its evidence.
    pub hold: Hold,
    /// How it ended.
    pub release: Release,
}

/// An operator's word that a link may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Who, as the desk knows callers: `operator/mai`.
    pub by: String,
    /// Why it was safe to go on.
    pub reason: String,
}

impl Exchange {
    /// Stops a link until someone has looked; durable when it returns.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn hold(&self, link: &Link, hold: Hold) -> Result<(), RecordError> {
        tracing::error!(
            peer = %link.peer, code = hold.code_name(), origin = %hold.origin,
            index = hold.index, proven = hold.equivocation.is_some(),
            "link held: an operator must look"
        );
        let incident = Box::new(Incident {
            at_ms: hold.at_ms,
            peer: link.peer.to_string(),
            what: format!("link held: {}: {}", hold.code_name(), hold.text),
            evidence: hold.evidence.clone(),
        });
        self.ask(|reply| Command::Hold(link.number, Box::new(hold), incident, reply))
            .await
    }

    /// Lets a held link go on; durable when it returns. An expressed message that never came at its
    /// index is shown no more; the incident keeps it.
    ///
    /// What was wrong is not forgiven by it: the same contradiction, found again, holds the link
    /// again, with evidence of its own.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn release(&self, link: &Link, reason: &str, by: &Author) -> Result<(), RecordError> {
        let release = Release {
            at_ms: self.clock().unix_ms(),
            by: by.as_str().to_owned(),
            reason: reason.to_owned(),
        };
        let incident = Box::new(Incident {
            at_ms: release.at_ms,
            peer: link.peer.to_string(),
            what: format!("link released by {}: {reason}", release.by),
            evidence: Vec::new(),
        });
        let forgotten = self.expressed_in_vain(link).map_err(|error| {
            let reason = error.to_string();
            RecordError::Stopped { reason }
        })?;
        let body = forgotten.as_ref().map(|(_, _, body)| body.clone());
        let forgotten = forgotten.map(|(index, id, _)| (index, id));
        let release = Box::new(release);
        // What is restored is tried as often again before it holds.
        link.presence.send_if_modified(|presence| {
            presence.restore_failures = 0;
            false
        });
        self.ask(|reply| Command::Release(link.number, release, forgotten, incident, reply))
            .await?;
        if let (Some((index, _)), Some(body)) = (forgotten, body) {
            self.destroy_forgotten(link, index, &body).await;
        }
        Ok(())
    }

    /// Destroys the body of an expressed entry that was forgotten: nothing names it, so no erasure would.
    async fn destroy_forgotten(&self, link: &Link, index: u64, body: &StoredBody) {
        let reader = self.reader(link, LogSide::Mirror);
        if !matches!(reader.expressed(index), Err(ReadError::Missing { .. })) {
            return;
        }
        let keys: Vec<_> = body.key().into_iter().collect();
        let destroyed = self.destroy_unnamed(keys).await.map(drop);
        let removed = match (body, destroyed) {
            (StoredBody::SealedFile { digest, .. }, Ok(())) => {
                self.blobs.remove(digest).map_err(PruneError::from)
            }
            (_, destroyed) => destroyed,
        };
        if let Err(error) = removed {
            // What is left of it nothing names: `liaison keys prune` destroys its key.
            tracing::warn!(peer = %link.peer, index, %error, "a forgotten body was not destroyed");
        }
    }

    /// The expressed entry because of which a link is held.
    fn expressed_in_vain(
        &self,
        link: &Link,
    ) -> Result<Option<(u64, MessageId, StoredBody)>, ReadError> {
        let Some(hold) = link.head().held else {
            return Ok(None);
        };
        if hold.code != FaultCode::ExpressMismatch as i32 {
            return Ok(None);
        }
        match self.reader(link, LogSide::Mirror).expressed(hold.index) {
            Ok(stored) => {
                let header = submit::header_of(&stored, &link.mirror.to_string())?;
                Ok(Some((hold.index, header.id, stored.record.body)))
            }
            Err(ReadError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Why a link is held, if it is.
    #[must_use]
    pub fn held(&self, link: &Link) -> Option<Arc<Hold>> {
        link.head().held
    }

    /// Why the peer holds the link, as it said, if it does.
    #[must_use]
    pub fn held_by_peer(&self, link: &Link) -> Option<Arc<Hold>> {
        link.head().peer_hold
    }

    /// Keeps what the peer said why it holds the link, until a session is up again, with an
    /// incident. Each attempt is answered with it anew; it is recorded once. The peer's version and
    /// its going down hold nothing.
    pub(super) async fn note_fault(&self, link: &Link, fault: &v1::Fault) {
        let code = FaultCode::try_from(fault.code).unwrap_or(FaultCode::Unspecified);
        if !session::holds_the_speaker(code) {
            return;
        }
        let known = link.head().peer_hold;
        let said_before = known.is_some_and(|known| {
            code == FaultCode::Held
                || (known.code == fault.code
                    && known.index == fault.index
                    && known.origin == fault.origin
                    && known.text == fault.text)
        });
        if said_before {
            return;
        }
        let held_for = match code {
            // What it is held for was said when nobody here listened.
            FaultCode::Held if fault.held_for != 0 => fault.held_for,
            _ => fault.code,
        };
        let hold = Hold {
            code: held_for,
            origin: fault.origin.clone(),
            index: fault.index,
            text: fault.text.clone(),
            evidence: Vec::new(),
            equivocation: None,
            at_ms: self.clock().unix_ms(),
        };
        let what = format!(
            "the peer holds the link: {} at index {} of {}: {}",
            code.as_str_name(),
            fault.index,
            text::escape(&fault.origin),
            text::escape(&fault.text)
        );
        tracing::warn!(peer = %link.peer, %what, "incident");
        let incident = Incident {
            at_ms: hold.at_ms,
            peer: link.peer.to_string(),
            what,
            evidence: Vec::new(),
        };
        // A peer may say so and take it back as often as it likes.
        let incident = self.may_note(Cause::Fault, incident);
        self.keep_peer_hold(link, Some(hold), incident).await;
    }

    /// A session is up: whatever the peer held the link for, it has let go of.
    pub(super) async fn peer_goes_on(&self, link: &Link) {
        if link.head().peer_hold.is_some() {
            tracing::info!(peer = %link.peer, "the peer no longer holds the link");
            self.keep_peer_hold(link, None, None).await;
        }
    }

    async fn keep_peer_hold(&self, link: &Link, hold: Option<Hold>, incident: Option<Incident>) {
        let (hold, incident) = (hold.map(Box::new), incident.map(Box::new));
        let kept = self
            .ask(|reply| Command::PeerHold(link.number, hold, incident, reply))
            .await;
        if let Err(error) = kept {
            // The next attempt is answered with it again.
            tracing::warn!(peer = %link.peer, %error, "what the peer says was not recorded");
        }
    }

    /// The holds of a link that are over, the latest first, at most [`HOLDS_SHOWN_MAX`]. Each has a
    /// number, which counts from 1 on a link.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn past_holds(&self, link: &Link) -> Result<Vec<(u64, PastHold)>, ReadError> {
        let rows = hold::past_holds(&*self.store, link.number, HOLDS_SHOWN_MAX)?;
        rows.into_iter()
            .map(|(sequence, value)| {
                let past = serde_json::from_slice(&value).map_err(|_| ReadError::Damaged {
                    what: "hold",
                    origin: link.mirror.to_string(),
                    index: sequence,
                })?;
                Ok((sequence + 1, past))
            })
            .collect()
    }
}

impl PastHold {
    /// Number that the next one of a link has, from 0.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn next_sequence(
        store: &dyn crate::store::Store,
        number: layout::LinkNumber,
    ) -> Result<u64, StoreError> {
        let (start, end) = layout::indexed_from(layout::Region::PastHold, number, 0);
        let last = store.scan(&start, &end, 1, Direction::Backward)?;
        let last = last
            .first()
            .and_then(|(key, _)| layout::past_hold_sequence(key));
        Ok(last.map_or(0, |sequence| sequence + 1))
    }
}
