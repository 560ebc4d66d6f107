//! The cases of a link: both logs folded into workflows, kept up as the logs grow.
//!
//! The fold itself is pure ([`crate::model::workflow`]); this file feeds it. Nothing of it is
//! stored: after a restart both logs are read again. A message that continues a case is judged,
//! signed and recorded under that case's lock, so that one side never says two things at once
//! that exclude each other.

use std::sync::{Arc, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::layout::LogSide;
use super::read::{LogReader, ReadError, Stored};
use super::submit::header_of;
use super::{Exchange, Link};
use crate::model::workflow::{Casebook, Facts, Party, Said, Standing};
use crate::model::{MessageId, NodeName, body};
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, Kind};
use crate::tlog::leaf_hash;

/// The lock under which a message of a case is judged and recorded.
pub(crate) type CaseLock = OwnedMutexGuard<()>;

/// Locks of a link's cases: a case has the one its id falls on.
const CASE_LOCKS: usize = 64;
/// Entries read at once.
const ENTRIES_AT_ONCE: usize = 256;

/// A link's cases and their locks.
#[derive(Debug)]
pub(crate) struct Cases {
    book: std::sync::Mutex<Casebook>,
    locks: Vec<Arc<tokio::sync::Mutex<()>>>,
}

impl Default for Cases {
    fn default() -> Self {
        Self {
            book: std::sync::Mutex::default(),
            locks: (0..CASE_LOCKS).map(|_| Arc::default()).collect(),
        }
    }
}

impl Link {
    /// Which of the two sides this node is on this link.
    #[must_use]
    pub fn party(&self) -> Party {
        Party::of(self.own.sender(), &self.peer)
    }

    /// Whose log it is.
    #[must_use]
    pub fn party_of(&self, side: LogSide) -> Party {
        match side {
            LogSide::Own => self.party(),
            LogSide::Mirror => self.party().other(),
        }
    }

    /// Which log of this link a side writes.
    #[must_use]
    pub fn side_of(&self, party: Party) -> LogSide {
        if party == self.party() {
            LogSide::Own
        } else {
            LogSide::Mirror
        }
    }

    /// The node name of a side.
    #[must_use]
    pub fn node_of(&self, party: Party) -> &NodeName {
        if party == self.party() {
            self.own.sender()
        } else {
            &self.peer
        }
    }

    /// Waits for the lock under which a message is judged and recorded.
    ///
    /// Calendars and rosters are numbered across cases, so all of them share one.
    pub(crate) async fn lock_case(&self, thread: MessageId, kind: Kind) -> CaseLock {
        let at = match kind {
            Kind::Calendar | Kind::Roster => 0,
            // The last bytes of a UUIDv7 are random.
            _ => usize::from(thread.as_bytes()[15]) % CASE_LOCKS,
        };
        Arc::clone(&self.cases.locks[at]).lock_owned().await
    }
}

impl Exchange {
    /// Works with a link's cases as of all that is durable now.
    ///
    /// The cases are locked meanwhile: keep it short, and do not wait in it.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn with_cases<T>(
        &self,
        link: &Link,
        work: impl FnOnce(&mut Casebook) -> T,
    ) -> Result<T, ReadError> {
        let mut book = link
            .cases
            .book
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let head = link.head();
        for (side, size) in [
            (LogSide::Own, head.own_size),
            (LogSide::Mirror, head.mirror_size),
        ] {
            let reader = self.reader(link, side);
            let party = link.party_of(side);
            while book.size(party) < size {
                for stored in reader.entries(book.size(party), size, ENTRIES_AT_ONCE)? {
                    let facts = facts_at(&reader, &stored)?;
                    book.take(party, self.of_its_leaf(link, side, facts)?);
                }
            }
        }
        Ok(work(&mut book))
    }

    /// Forgets what is folded of a link. Call it when entries of a log were replaced: what follows
    /// from both logs is found anew when it is next asked for.
    pub fn forget_folded(&self, link: &Link) {
        // The order of locks is that of `with_dues`.
        let mut dues = link.dues.lock().unwrap_or_else(PoisonError::into_inner);
        let mut book = link
            .cases
            .book
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *dues = None;
        *book = Casebook::default();
    }
}

/// A standing as the proto has it, with the reason.
#[must_use]
pub fn told(standing: &Standing) -> (v1::Standing, String) {
    match standing {
        Standing::Applied => (v1::Standing::Applied, String::new()),
        Standing::Waiting => (v1::Standing::Waiting, String::new()),
        Standing::Crossed(why) => (v1::Standing::Crossed, why.to_string()),
        Standing::Breach(why) => (v1::Standing::Breach, why.to_string()),
    }
}

impl Exchange {
    /// Leaves a REFUSAL in force only if it names an entry of the other log by its leaf: nobody
    /// refuses what is not said, or not like that.
    fn of_its_leaf(
        &self,
        link: &Link,
        side: LogSide,
        said: Option<(Facts, Option<v1::Refusal>)>,
    ) -> Result<Option<Facts>, ReadError> {
        let Some((mut facts, refusal)) = said else {
            return Ok(None);
        };
        if let Some(refusal) = refusal {
            let other = match side {
                LogSide::Own => LogSide::Mirror,
                LogSide::Mirror => LogSide::Own,
            };
            let named = match self.reader(link, other).entry(refusal.index) {
                Ok(stored) => leaf_hash(&stored.entry).0 == *refusal.entry_digest,
                Err(ReadError::Missing { .. }) => false,
                Err(error) => return Err(error),
            };
            if !named {
                facts.said = Said::System;
            }
        }
        Ok(Some(facts))
    }
}

/// What an entry says, and the refusal if it is one; `None` for one that was refused for its form.
fn facts_at(
    reader: &LogReader,
    stored: &Stored,
) -> Result<Option<(Facts, Option<v1::Refusal>)>, ReadError> {
    let header = match header_of(stored, "") {
        Ok(header) => header,
        Err(_) if stored.record.refused => return Ok(None),
        Err(error) => return Err(error),
    };
    let content = reader
        .body(stored)?
        .and_then(|(_, bytes)| body::read(header.kind, &header.schema, &bytes));
    let facts = Facts::of(&header, content.as_ref());
    let refusal = match content {
        Some(Body::Refusal(refusal)) => Some(refusal),
        _ => None,
    };
    Ok(Some((facts, refusal)))
}
