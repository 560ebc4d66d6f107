//! Changing this node's own keys while it runs.
//!
//! Each link has its own log, so each change is said on each link. The steps of a rotation:
//!
//! ```text
//! announce   ADD, signed by the old key and the new one. A message key signs from the next entry
//!            on; a log key once the peer has cosigned the announcement
//! retire     RETIRE of the older ones, as soon as the new one signs
//! ```
//!
//! A revocation is one step: the new key follows at once, whatever others there are, by the word of
//! the recovery key.
//!
//! Where a change stands is asked of the log, never remembered: after a crash at any line the next
//! call goes on from there.

use std::sync::Arc;

use super::command::{Command, Holds, RecordError, Recorded};
use super::keys::NextKey;
use super::submit::SubmitError;
use super::{Exchange, Link, LogSide};
use crate::crypto::change;
use crate::crypto::history::{ChangeFault, HeldKey};
use crate::crypto::keys::SignError;
use crate::crypto::vkey::VerifierKey;
use crate::proto::v1::{self, KeyAction, KeyRole};

/// Times that an entry is signed anew because its key ended meanwhile.
const SIGN_AGAIN_MAX: usize = 8;

/// Why keys were not changed. On this link nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The change would not count.
    #[error("{0}")]
    Change(#[from] ChangeFault),
    /// It cannot be recorded.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// None of the keys at hand holds at the end of the own log.
    #[error(
        "none of the keys at hand holds at the end of the log to {peer}: the log is older than the \
         keys. Let it catch up with the peer first, or put the right key files back"
    )]
    NoKey {
        /// The peer.
        peer: String,
    },
    /// The key lies in a token that does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No recovery key was exchanged.
    #[error(
        "no recovery key was exchanged with {peer}; a key lost or stolen on that link can only be \
         replaced by a new link"
    )]
    NoRecovery {
        /// The peer.
        peer: String,
    },
}

impl From<RecordError> for RotateError {
    fn from(error: RecordError) -> Self {
        Self::Submit(error.into())
    }
}

/// How far a key has come on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The log does not know it.
    Unknown,
    /// Announced; older ones hold beside it.
    Announced,
    /// The only one of its role that holds.
    Alone,
    /// It has ended.
    Ended,
}

impl Exchange {
    /// How far a key of this node has come on a link.
    #[must_use]
    pub fn stage_of_key(&self, link: &Link, public: &[u8; 32], role: KeyRole) -> Stage {
        let history = link.key_history(LogSide::Own);
        let of_role = |key: &&HeldKey| key.role == role;
        let is_this = |key: &&HeldKey| key.vkey.public().as_bytes() == public;
        let mut keys = history.keys().iter().filter(of_role);
        match keys.find(is_this) {
            None => Stage::Unknown,
            Some(key) if !key.is_open() => Stage::Ended,
            Some(_) => {
                let mut others = history.keys().iter().filter(of_role);
                if others.any(|key| key.is_open() && !is_this(&key)) {
                    Stage::Announced
                } else {
                    Stage::Alone
                }
            }
        }
    }

    /// Announces a key on a link, unless its log knows it already; durable when it returns.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn announce_key(
        &self,
        link: &Arc<Link>,
        next: &NextKey,
        reason: &str,
    ) -> Result<(), RotateError> {
        let _one_at_a_time = self.changing.lock().await;
        self.ring.add(next.clone());
        if self.stage_of_key(link, &next.public(), next.role()) != Stage::Unknown {
            return Ok(());
        }
        let history = link.key_history(LogSide::Own);
        let no_key = || RotateError::NoKey {
            peer: link.peer.to_string(),
        };
        let mut change = v1::KeyChange {
            role: next.role() as i32,
            action: KeyAction::Add as i32,
            number: history.next_number(false),
            reason: reason.to_owned(),
            ..v1::KeyChange::default()
        };
        let node = &self.node;
        let (old, new) = match next {
            NextKey::Message(key) => {
                let old = self.message_key(link).ok_or_else(no_key)?;
                change.old_vkey = old.verifier(node).to_string();
                change.new_vkey = key.verifier(node).to_string();
                (
                    change::sign(&*old, &link.own, &change)?,
                    change::sign(&**key, &link.own, &change)?,
                )
            }
            NextKey::Log(key) => {
                let size = link.head().own_size;
                let old = self.log_key(link, size).ok_or_else(no_key)?;
                change.old_vkey = old.cosigner_verifier(node).to_string();
                change.new_vkey = key.cosigner_verifier(node).to_string();
                (
                    change::sign(&*old, &link.own, &change)?,
                    change::sign(&**key, &link.own, &change)?,
                )
            }
        };
        change.old_key_signature = old.to_vec().into();
        change.new_key_signature = new.to_vec().into();
        self.say_change(link, change).await.map(drop)
    }

    /// Retires the older keys of a link for which a newer one signs; durable when it returns. Does
    /// nothing when there is nothing to retire yet.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn retire_keys(&self, link: &Arc<Link>) -> Result<(), RotateError> {
        let _one_at_a_time = self.changing.lock().await;
        while let Some(change) = self.next_retirement(link)? {
            self.say_change(link, change).await?;
        }
        Ok(())
    }

    /// The retirement that is due on a link, signed by the key that stays.
    fn next_retirement(&self, link: &Link) -> Result<Option<v1::KeyChange>, SignError> {
        let history = link.key_history(LogSide::Own);
        let message = self.message_key(link);
        let size = link.head().own_size;
        let log = self.log_key(link, size);
        let (Some(message), Some(log)) = (message, log) else {
            return Ok(None);
        };
        for role in [KeyRole::Message, KeyRole::Log] {
            let open = || {
                let keys = history.keys().iter();
                keys.filter(|key| key.role == role && key.is_open() && key.holds_at(size))
            };
            let stays = match role {
                KeyRole::Message => message.public(),
                _ => log.public(),
            };
            let Some(stays) = open().find(|key| *key.vkey.public() == stays) else {
                continue;
            };
            // Not a younger one, which the peer has not seen yet; nor one of several with which the
            // link began.
            let Some(old) = open().find(|key| key.since < stays.since) else {
                continue;
            };
            let mut change = v1::KeyChange {
                role: role as i32,
                action: KeyAction::Retire as i32,
                number: history.next_number(false),
                old_vkey: old.vkey.to_string(),
                new_vkey: stays.vkey.to_string(),
                ..v1::KeyChange::default()
            };
            let signature = match role {
                KeyRole::Message => change::sign(&*message, &link.own, &change)?,
                _ => change::sign(&*log, &link.own, &change)?,
            };
            change.new_key_signature = signature.to_vec().into();
            return Ok(Some(change));
        }
        Ok(None)
    }

    /// A revocation on a link, to be signed by the recovery key; nothing if the new key is alone
    /// there already.
    ///
    /// # Errors
    /// [`RotateError::NoRecovery`].
    pub fn prepare_revocation(
        &self,
        link: &Link,
        next: &NextKey,
        reason: &str,
    ) -> Result<Option<v1::KeyChange>, RotateError> {
        let history = link.key_history(LogSide::Own);
        let node = &self.node;
        let (public, vkey) = match next {
            NextKey::Message(key) => (key.public(), key.verifier(node)),
            NextKey::Log(key) => (key.public(), key.cosigner_verifier(node)),
        };
        if self.stage_of_key(link, public.as_bytes(), next.role()) == Stage::Alone {
            return Ok(None);
        }
        if history.recovery().is_none() {
            let peer = link.peer.to_string();
            return Err(RotateError::NoRecovery { peer });
        }
        let mut change = v1::KeyChange {
            role: next.role() as i32,
            action: KeyAction::Revoke as i32,
            number: history.next_number(true),
            new_vkey: vkey.to_string(),
            reason: reason.to_owned(),
            ..v1::KeyChange::default()
        };
        let signature = match next {
            NextKey::Message(key) => change::sign(&**key, &link.own, &change)?,
            NextKey::Log(key) => change::sign(&**key, &link.own, &change)?,
        };
        change.new_key_signature = signature.to_vec().into();
        Ok(Some(change))
    }

    /// Says a revocation that the recovery key has signed; durable when it returns.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn revoke_key(
        &self,
        link: &Arc<Link>,
        next: &NextKey,
        change: v1::KeyChange,
    ) -> Result<(), RotateError> {
        let _one_at_a_time = self.changing.lock().await;
        self.ring.add(next.clone());
        self.say_change(link, change).await.map(drop)
    }

    /// Says that an officer's key begins, with the officer's signature in it, or ends.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn change_officer(
        &self,
        link: &Arc<Link>,
        change: v1::KeyChange,
    ) -> Result<(), RotateError> {
        let _one_at_a_time = self.changing.lock().await;
        self.say_change(link, change).await.map(drop)
    }

    /// Announces an authority for TLS certificates, unless it was announced before.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn announce_authority(
        &self,
        link: &Arc<Link>,
        certificate: bytes::Bytes,
        reason: &str,
    ) -> Result<(), RotateError> {
        let _one_at_a_time = self.changing.lock().await;
        let history = link.key_history(LogSide::Own);
        let mut known = history.authorities().iter();
        if known.any(|known| known.certificate == certificate) {
            return Ok(());
        }
        let change = v1::KeyChange {
            role: KeyRole::Authority as i32,
            action: KeyAction::Add as i32,
            number: history.next_number(false),
            certificate,
            reason: reason.to_owned(),
            ..v1::KeyChange::default()
        };
        self.say_change(link, change).await.map(drop)
    }

    /// Signs and records a change on a link. What would not count is not recorded.
    async fn say_change(
        &self,
        link: &Arc<Link>,
        change: v1::KeyChange,
    ) -> Result<Recorded, RotateError> {
        let history = link.key_history(LogSide::Own);
        history.would_count(link.head().own_size, &change)?;
        // Only the key that a revocation brings may sign it if no other is left; it may in any case.
        let brought = (change.role() == KeyRole::Message && change::is_by_recovery(&change))
            .then(|| VerifierKey::parse(&change.new_vkey).ok())
            .flatten();
        let content = v1::body::Body::KeyChange(change);
        for _ in 0..SIGN_AGAIN_MAX {
            let own = self.change_entry(link, &content, brought.as_ref())?;
            let asked = self
                .ask(|reply| Command::Append(link.number, Box::new(own), Holds::default(), reply))
                .await;
            match asked {
                Err(RecordError::KeyEnded) => {}
                other => return Ok(other?),
            }
        }
        Err(RecordError::KeyEnded.into())
    }
}
