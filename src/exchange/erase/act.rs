//! Destroying what an erasure has decided, and saying so.

use std::sync::Arc;

use super::super::command::{Command, Holds, RecordError};
use super::super::layout::{self, StoredBody};
use super::super::overlay::Write;
use super::super::read::{LogReader, ReadError};
use super::super::submit::header_of;
use super::super::{Exchange, Link, LogSide};
use super::EraseError;
use super::row::{Place, Row, Step};
use crate::model::MessageId;
use crate::model::workflow::Facts;
use crate::proto::v1::{self, Kind};
use crate::store::{Direction, StoreError};

/// Times that a notice is signed anew because its key ended meanwhile.
const SIGN_AGAIN_MAX: usize = 8;

/// The cases that erased messages belong to.
fn cases_of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<MessageId> {
    let cases = rows.into_iter().map(|row| MessageId::parse(&row.case));
    cases.filter_map(Result::ok).collect()
}

impl Exchange {
    /// Goes on with erasures that are decided: from where each of them stands. Gives them back done.
    pub(super) async fn go_on_erasing(
        &self,
        link: &Link,
        targets: Vec<(Place, Row)>,
    ) -> Result<Vec<(Place, Row)>, EraseError> {
        let (decided, gone): (Vec<_>, Vec<_>) = targets
            .into_iter()
            .partition(|(_, row)| row.step == Step::Decided);
        let mut targets = gone;
        if !decided.is_empty() {
            targets.extend(self.destroy(link, decided).await?);
        }
        for case in cases_of(targets.iter().map(|(_, row)| row)) {
            Self::let_case_go(link, case);
        }
        for (_, row) in &targets {
            // The record names it no more. Again after a crash: it may be no ciphertext.
            if let Some(file) = row.body_digest() {
                self.blobs.remove(&file)?;
            }
        }
        for (place, row) in &mut targets {
            self.say_erased(link, *place, row).await?;
            row.step = Step::Said;
            let mut writes = row.writes(*place);
            writes.push((layout::erasing(place.0, place.1, place.2), None));
            self.ask(|reply| Command::Erase(writes, reply)).await?;
        }
        Ok(targets)
    }

    /// Destroys keys, files and bodies.
    async fn destroy(
        &self,
        link: &Link,
        mut targets: Vec<(Place, Row)>,
    ) -> Result<Vec<(Place, Row)>, EraseError> {
        let all: Vec<Place> = targets.iter().map(|(place, _)| *place).collect();
        for (place, row) in &mut targets {
            self.keep_what_is_named_since(*place, row, &all)?;
        }
        let blobs = Arc::clone(&self.blobs);
        let rows: Vec<Row> = targets.iter().map(|(_, row)| row.clone()).collect();
        let cases: Vec<MessageId> = cases_of(&rows);
        let (gone, fresh) = (cases.clone(), Arc::clone(&link.cases.fresh));
        let work = move || {
            let keys: Vec<_> = rows.iter().flat_map(Row::key_addresses).collect();
            if !keys.is_empty() {
                let vault = blobs
                    .vault()
                    .ok_or_else(|| ReadError::NoVault.to_string())?;
                let destroyed = vault.destroy(&keys).map_err(|error| error.to_string());
                // Also if the disk refused, and whoever asked has gone: the keys are out of memory, and
                // so is what they sealed.
                for case in &gone {
                    fresh.let_go(*case);
                }
                destroyed?;
            }
            for row in &rows {
                for file in row.digests() {
                    blobs.remove_attachment(&file).map_err(|e| e.to_string())?;
                }
            }
            Ok(())
        };
        let destroyed = self.off_thread(work).await;
        for case in &cases {
            Self::let_case_go(link, *case);
        }
        let destroyed = destroyed.unwrap_or_else(|| Err("the node is going down".to_owned()));
        destroyed.map_err(EraseError::Keys)?;
        let mut writes = Vec::new();
        for (place, row) in &mut targets {
            row.step = Step::Gone;
            row.gone_at_ms = Some(self.clock.unix_ms());
            self.stage_gone(link, *place, row, &mut writes)?;
        }
        self.ask(|reply| Command::Erase(writes, reply)).await?;
        Ok(targets)
    }

    /// A message that was recorded since it was decided may name a file: then the file stays.
    fn keep_what_is_named_since(
        &self,
        place: Place,
        row: &mut Row,
        all: &[Place],
    ) -> Result<(), StoreError> {
        let mut files = Vec::new();
        for file in std::mem::take(&mut row.files) {
            let digest = file.digest();
            let kept = match &digest {
                Some(digest) => self.is_named_elsewhere(digest, place, all)?,
                None => true,
            };
            if kept {
                row.kept_files.push(file.sha256);
            } else {
                files.push(file);
            }
        }
        row.files = files;
        Ok(())
    }

    /// The rows of a message of which the body is gone.
    fn stage_gone(
        &self,
        link: &Link,
        place: Place,
        row: &Row,
        writes: &mut Vec<Write>,
    ) -> Result<(), EraseError> {
        let (number, side, index) = place;
        let reader = LogReader::new(&self.store, &self.blobs, number, side);
        let stored = reader.entry(index)?;
        let header = header_of(&stored, &link.origin(side).to_string())?;
        let mut record = stored.record;
        record.body = StoredBody::Absent;
        writes.push((layout::entry(number, side, index), Some(record.encode())));
        // Of what it said, the cases keep what its header says.
        let facts = layout::facts(number, header.thread_id, side, index);
        let (start, end) = layout::parts_range(&facts);
        let parts = self
            .store
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        writes.extend(parts.into_iter().map(|(key, _)| (key, None)));
        writes.push((facts, Some(Facts::erased(&header).pack())));
        if side == LogSide::Mirror {
            // What has not come of its files is wanted no more.
            writes.push((layout::pending(number, index), None));
        }
        for file in row.digests() {
            writes.push((layout::naming(&file, number, side, index), None));
            for link in self.links() {
                for side in [LogSide::Own, LogSide::Mirror] {
                    writes.push((layout::wanted(link.number, side, &file), None));
                }
            }
        }
        for file in row.kept_digests() {
            writes.push((layout::naming(&file, number, side, index), None));
        }
        writes.extend(row.writes(place));
        Ok(())
    }

    /// Says to the peer that a body is gone, unless it was said.
    async fn say_erased(&self, link: &Link, place: Place, row: &Row) -> Result<(), EraseError> {
        let stored = self.reader(link, place.1).entry(place.2)?;
        let header = header_of(&stored, &link.origin(place.1).to_string())?;
        if self.notice_of(link, header.id, LogSide::Own)?.is_some() {
            return Ok(());
        }
        for _ in 0..SIGN_AGAIN_MAX {
            let notice = self.erasure_notice(link, &header, &row.erasure);
            let own = notice.map_err(|error| EraseError::Notice(Box::new(error)))?;
            let said = self
                .ask(|reply| Command::Append(link.number, Box::new(own), Holds::default(), reply))
                .await;
            match said {
                Ok(_) => return Ok(()),
                Err(RecordError::KeyEnded) => {}
                Err(error) => return Err(EraseError::Notice(Box::new(error.into()))),
            }
        }
        Err(EraseError::Notice(Box::new(RecordError::KeyEnded.into())))
    }

    /// Index of the notice by which a side says that it has erased a message.
    fn notice_of(
        &self,
        link: &Link,
        id: MessageId,
        by: LogSide,
    ) -> Result<Option<u64>, StoreError> {
        let (start, end) = layout::answers_of(link.number, id);
        let rows = self
            .store
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows.iter().find_map(|(key, value)| {
            let (side, index) = layout::answer_place(key)?;
            let kind = i32::from_be_bytes(value[..].try_into().ok()?);
            (side == by && kind == Kind::ErasureNotice as i32).then_some(index)
        }))
    }

    /// What a side has said of having erased its copy of a message: when, and under what authority.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn erasure_said(
        &self,
        link: &Link,
        id: MessageId,
        by: LogSide,
    ) -> Result<Option<v1::ErasureNotice>, ReadError> {
        let Some(index) = self.notice_of(link, id, by)? else {
            return Ok(None);
        };
        let reader = self.reader(link, by);
        let stored = reader.entry(index)?;
        let Some((_, bytes)) = reader.body(&stored)? else {
            return Ok(None);
        };
        Ok(prost::Message::decode(bytes).ok())
    }
}
