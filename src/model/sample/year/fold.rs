//! The year folded without any node: as if each side knew at once what the other says.

use std::collections::HashMap;

use super::{Event, Side, Year};
use crate::limits::SALT_BYTES;
use crate::model::calendar::YearCalendar;
use crate::model::header::{HeaderError, HeaderParts};
use crate::model::report::{Period, Report};
use crate::model::workflow::{Casebook, Facts, Impossible, Party, Published};
use crate::model::{Header, MessageId, NodeName, body};
use crate::proto::v1::body::Body;

/// Both logs of a pair as they grow.
#[derive(Debug)]
pub struct Fold<'a> {
    year: &'a Year,
    /// Everything said so far.
    pub book: Casebook,
    /// The case of each message.
    cases: HashMap<MessageId, MessageId>,
    /// The digest of each body, by its place in the year.
    digests: Vec<[u8; 32]>,
    /// The calendars of A and of B, with their places in its log.
    calendars: [Vec<Published>; 2],
}

impl<'a> Fold<'a> {
    /// Before anything is said.
    #[must_use]
    pub fn new(year: &'a Year) -> Self {
        Self {
            year,
            book: Casebook::default(),
            cases: HashMap::new(),
            digests: Vec::new(),
            calendars: [Vec::new(), Vec::new()],
        }
    }

    /// The whole year.
    ///
    /// # Errors
    /// As [`Self::say`].
    pub fn of(year: &'a Year) -> Result<Self, Refused> {
        let mut fold = Self::new(year);
        for event in &year.events {
            fold.say(event)?;
        }
        Ok(fold)
    }

    /// Which party of the workflows a side is.
    #[must_use]
    pub fn party(&self, side: Side) -> Party {
        Party::of(self.year.node(side), self.year.node(side.other()))
    }

    /// Takes in the next event of the year, judged as its author's node judges it.
    ///
    /// # Errors
    /// None for the year as it is made here; a test folds it.
    pub fn say(&mut self, event: &Event) -> Result<(), Refused> {
        let party = self.party(event.by);
        let signed = event.signs.map(|place| self.digests[place]);
        let draft = event.draft_signing(signed.as_ref().map(<[u8; 32]>::as_slice));
        let id = MessageId::parse(&draft.id).map_err(|_| Refused::Id)?;
        let named = [&draft.in_reply_to, &draft.supersedes];
        let named = named.into_iter().find(|id| !id.is_empty());
        let thread_id = match named {
            None => id,
            Some(named) => {
                let named = MessageId::parse(named).map_err(|_| Refused::Id)?;
                *self.cases.get(&named).ok_or(Refused::Id)?
            }
        };
        let content = draft.body.as_ref().and_then(|body| body.body.as_ref());
        let content = content.ok_or(Refused::Body)?;
        let unix_ms = u64::try_from(event.at).unwrap_or_default();
        let header = Header::build(&HeaderParts {
            draft: &draft,
            id,
            sender: self.year.node(event.by),
            recipient: self.year.node(event.by.other()),
            created_at: prost_types::Timestamp {
                seconds: i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX),
                nanos: i32::try_from(unix_ms % 1_000).unwrap_or_default() * 1_000_000,
            },
            thread_id,
            seen_size: self.book.size(party.other()),
            // A salt of its own for each, as in truth, but always the same.
            salt: &[self.digests.len().to_le_bytes()[0]; SALT_BYTES],
            body: &body::encode(content),
        })?;
        let facts = Facts::of(&header, Some(content));
        self.book.judge(party, &facts)?;
        if let Body::Calendar(calendar) = content
            && let Ok(calendar) = YearCalendar::from_message(calendar, "")
        {
            let published = &mut self.calendars[usize::from(party == Party::B)];
            published.push(Published {
                index: self.book.size(party),
                withdrawn_at: None,
                calendar,
            });
        }
        self.cases.insert(id, thread_id);
        self.digests.push(header.body_digest);
        self.book.take(party, Some(facts));
        Ok(())
    }

    /// The figures of a period, of what was said so far.
    #[must_use]
    pub fn report(&mut self, period: Period) -> Report {
        let mut sides: [NodeName; 2] = self.year.nodes.clone();
        sides.sort();
        Report::compute(&mut self.book, sides, period, &self.calendars)
    }
}

/// Why an event of the year cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It names no message of the year.
    #[error("an event names no message of the year")]
    Id,
    /// It has no body.
    #[error("an event has no body")]
    Body,
    /// It has no header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The workflow does not allow it.
    #[error("the workflow does not allow it: {0:?}")]
    Impossible(Impossible),
}

impl From<Impossible> for Refused {
    fn from(impossible: Impossible) -> Self {
        Self::Impossible(impossible)
    }
}
