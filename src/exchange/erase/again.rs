//! Erasures that were cut off, and what brings back what was erased: an older copy of the key files, or
//! the peer, who gives back what was lost here.

use std::sync::Arc;

use super::super::command::Command;
use super::super::layout::{self, LinkNumber, Region, StoredBody};
use super::super::read::ReadError;
use super::super::submit::header_of;
use super::super::{Exchange, Link, LogSide};
use super::look::Found;
use super::row::{Place, Row, Step};
use super::{ERASE_AT_ONCE, EraseError, Erasure, places, read};
use crate::model::{Header, MessageId};
use crate::proto::v1::{self, Kind};
use crate::store::Direction;

impl Exchange {
    /// At each start, before anything is shown: destroys again what an older copy of the key files has
    /// brought back, and goes on with what was cut off.
    ///
    /// # Errors
    /// The first one's; the others are tried.
    pub async fn begin_erasures(self: &Arc<Self>) -> Result<(), EraseError> {
        let exchange = Arc::clone(self);
        let again = tokio::task::spawn_blocking(move || exchange.destroy_again()).await;
        let again = again.unwrap_or(Ok(()));
        self.complete_erasures().await.and(again)
    }

    /// Goes on with erasures that a crash or a full disk has cut off; also every hour.
    ///
    /// # Errors
    /// The first one's; the others are tried.
    pub async fn complete_erasures(&self) -> Result<(), EraseError> {
        let _alone = self.erasing.lock().await;
        let mut first = Ok(());
        let mut behind = None;
        loop {
            let open = places(&*self.store, Region::Erasing, behind, ERASE_AT_ONCE)?;
            let Some(last) = open.last() else {
                return first;
            };
            behind = Some(*last);
            for place in open {
                let Some(link) = self.link_numbered(place.0) else {
                    continue;
                };
                let (None, Some(row)) = (link.head().restoring, read(&*self.store, place)?) else {
                    continue;
                };
                let done = self.go_on_erasing(&link, vec![(place, row)]).await;
                first = first.and(done.map(drop));
            }
        }
    }

    /// Destroys the keys of everything that was erased and that opens all the same.
    fn destroy_again(&self) -> Result<(), EraseError> {
        let Some(vault) = self.blobs.vault() else {
            return Ok(());
        };
        let mut behind = None;
        let mut destroyed = 0;
        loop {
            let page = places(&*self.store, Region::Erased, behind, ERASE_AT_ONCE)?;
            let Some(last) = page.last() else { break };
            behind = Some(*last);
            let mut keys = Vec::new();
            for place in &page {
                let row = read(&*self.store, *place)?;
                let row = row.filter(|row| row.step != Step::Decided);
                keys.extend(row.iter().flat_map(Row::key_addresses));
            }
            keys.retain(|key| vault.key(*key).is_ok());
            if !keys.is_empty() {
                let done = vault.destroy(&keys);
                destroyed += done.map_err(|error| EraseError::Keys(error.to_string()))?;
            }
        }
        if destroyed > 0 {
            tracing::warn!(
                destroyed,
                "an older copy of the key files was put back: keys of erased bodies are destroyed again"
            );
        }
        Ok(())
    }

    fn link_numbered(&self, number: LinkNumber) -> Option<Arc<Link>> {
        self.links().find(|link| link.number == number).cloned()
    }

    /// Erases again what came back with the records of a link: what was erased here, and what the own log
    /// says to be. Once for each restoring.
    ///
    /// # Errors
    /// The first one's; the others are tried.
    pub async fn erase_what_came_back(&self, link: &Link) -> Result<(), EraseError> {
        let _alone = self.erasing.lock().await;
        let mut first = self.erase_rows_again(link).await;
        let (mut start, end) = layout::all_answers(link.number);
        loop {
            let rows = self
                .store
                .scan(&start, &end, ERASE_AT_ONCE, Direction::Forward)?;
            let Some((last, _)) = rows.last() else {
                return first;
            };
            start.clone_from(last);
            start.push(0);
            for (key, value) in &rows {
                let is_notice = value[..] == (Kind::ErasureNotice as i32).to_be_bytes();
                let place = layout::answer_place(key).filter(|_| is_notice);
                let (Some((LogSide::Own, index)), Some(id)) = (place, layout::answered(key)) else {
                    continue;
                };
                first = first.and(self.erase_as_said(link, id, index).await);
            }
        }
    }

    /// Of what is on record here as erased, the bodies that are here all the same.
    async fn erase_rows_again(&self, link: &Link) -> Result<(), EraseError> {
        let mut first = Ok(());
        let before = link.number.0.checked_sub(1).map(LinkNumber);
        let mut behind = before.map(|before| (before, LogSide::Mirror, u64::MAX));
        loop {
            let page = places(&*self.store, Region::Erased, behind, ERASE_AT_ONCE)?;
            let here = page.iter().filter(|place| place.0 == link.number);
            let here: Vec<Place> = here.copied().collect();
            for place in &here {
                first = first.and(self.erase_row_again(link, *place).await);
            }
            match page.last() {
                Some(last) if here.len() == page.len() => behind = Some(*last),
                _ => return first,
            }
        }
    }

    async fn erase_row_again(&self, link: &Link, place: Place) -> Result<(), EraseError> {
        let stored = match self.reader(link, place.1).entry(place.2) {
            Ok(stored) if stored.record.body != StoredBody::Absent => stored,
            Ok(_) | Err(ReadError::Missing { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let Some(earlier) = read(&*self.store, place)? else {
            return Ok(());
        };
        let header = header_of(&stored, &link.origin(place.1).to_string())?;
        let mut row = self.row_of(link, place, &stored, &header, &earlier.erasure, &[])?;
        row.keys.extend(earlier.keys);
        self.begin_again(link, place, row).await
    }

    async fn begin_again(&self, link: &Link, place: Place, row: Row) -> Result<(), EraseError> {
        let mut writes = row.writes(place);
        writes.push((layout::erasing(place.0, place.1, place.2), Some(Vec::new())));
        self.ask(|reply| Command::Erase(writes, reply)).await?;
        self.go_on_erasing(link, vec![(place, row)]).await.map(drop)
    }

    /// Erases what a notice of the own log says to be erased.
    async fn erase_as_said(
        &self,
        link: &Link,
        id: MessageId,
        notice: u64,
    ) -> Result<(), EraseError> {
        let reader = self.reader(link, LogSide::Own);
        let stored = reader.entry(notice)?;
        let header = header_of(&stored, &link.own.to_string())?;
        // The header alone says it; the body may not have come back.
        let said = reader.body(&stored).ok().flatten();
        let said = said.and_then(|(_, body)| prost::Message::decode(body).ok());
        let erasure = as_said(&header, said, notice);
        match self.erasable(link, id, &erasure, &[]) {
            Ok(Found::Target(target)) => self.begin_again(link, target.place, target.row).await,
            Ok(Found::Gone(_))
            | Err(
                EraseError::NotFound { .. } | EraseError::System { .. } | EraseError::Held { .. },
            ) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn as_said(header: &Header, said: Option<v1::ErasureNotice>, notice: u64) -> Erasure {
    let said = said.unwrap_or_default();
    let at = said
        .erased_at
        .or(header.wire.created_at)
        .unwrap_or_default();
    let at_ms = u64::try_from(at.seconds).unwrap_or(0) * 1_000;
    Erasure {
        at_ms: at_ms + u64::try_from(at.nanos / 1_000_000).unwrap_or(0),
        by: "node".to_owned(),
        reason: "this side had said so before its records were restored".to_owned(),
        authority: if said.authority.is_empty() {
            format!("as said in entry {notice} of the own log")
        } else {
            said.authority
        },
    }
}
