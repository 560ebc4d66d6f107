//! What an erasure destroys, and whether it may.

use super::super::layout::{self, FileRef};
use super::super::read::{LogReader, ReadError, Stored};
use super::super::submit::{files_of, header_of};
use super::super::{Exchange, Link, LogSide};
use super::row::{FileRow, Place, Row, Step};
use super::{ERASE_AT_ONCE, EraseError, Erasure, read};
use crate::model::body::{self, Decoded};
use crate::model::{Header, MessageId};
use crate::proto::v1::{self, Kind};
use crate::store::{Direction, StoreError};

/// A message that is to be erased, looked at.
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) row: Row,
    /// It was decided before, and is not done.
    pub(super) is_begun: bool,
}

/// What there is to erase.
pub(super) enum Found {
    Target(Box<Target>),
    /// It was erased before.
    Gone(Box<Row>),
}

impl Exchange {
    /// Looks at a message that is to be erased together with `others`.
    pub(super) fn erasable(
        &self,
        link: &Link,
        id: MessageId,
        erasure: &Erasure,
        others: &[Place],
    ) -> Result<Found, EraseError> {
        let (side, index) = match self.place(link, id)? {
            None => return Err(EraseError::NotFound { id }),
            Some(layout::Place::Expressed(_)) => return Err(EraseError::Expressed { id }),
            Some(layout::Place::Log(side, index)) => (side, index),
        };
        let place = (link.number, side, index);
        if let Some(row) = read(&*self.store, place)? {
            if row.step == Step::Said {
                return Ok(Found::Gone(Box::new(row)));
            }
            let is_begun = true;
            let target = Target {
                place,
                row,
                is_begun,
            };
            return Ok(Found::Target(Box::new(target)));
        }
        let stored = self.reader(link, side).entry(index)?;
        let header = header_of(&stored, &link.origin(side).to_string())?;
        let kind = Kind::try_from(header.kind).unwrap_or(Kind::Unspecified);
        if body::is_system_kind(kind) {
            let kind = kind.as_str_name();
            return Err(EraseError::System { id, kind });
        }
        // Asked here, where whoever puts a case on hold waits for this to be over.
        if self.hold_of(link, header.thread_id)?.is_some() {
            return Err(EraseError::Held { id });
        }
        if side == LogSide::Own && index >= link.head().delivered_size {
            return Err(EraseError::NotDelivered { id });
        }
        let is_outgoing = layout::outgoing(link.number, index);
        if side == LogSide::Own && self.store.get(&is_outgoing)?.is_some() {
            return Err(EraseError::FilesUnderWay { id });
        }
        let row = self.row_of(link, place, &stored, &header, erasure, others)?;
        Ok(Found::Target(Box::new(Target {
            place,
            row,
            is_begun: false,
        })))
    }

    /// The record of an erasure of a message as it lies now.
    pub(super) fn row_of(
        &self,
        link: &Link,
        place: Place,
        stored: &Stored,
        header: &Header,
        erasure: &Erasure,
        others: &[Place],
    ) -> Result<Row, EraseError> {
        let (mut files, mut kept_files) = (Vec::new(), Vec::new());
        for file in named_in(&self.reader(link, place.1), stored, header)? {
            let sha256 = hex::encode(file.sha256);
            if self.is_named_elsewhere(&file.sha256, place, others)? {
                kept_files.push(sha256);
                continue;
            }
            let keys = self.blobs.keys_of(&file.sha256)?;
            let keys = keys.iter().map(|key| hex::encode(key.encode())).collect();
            files.push(FileRow { sha256, keys });
        }
        let key = stored.record.body.key();
        Ok(Row {
            erasure: erasure.clone(),
            id: header.id.to_string(),
            case: header.thread_id.to_string(),
            keys: key.iter().map(|key| hex::encode(key.encode())).collect(),
            body_file: stored.record.body.file().map(hex::encode),
            files,
            kept_files,
            gone_at_ms: None,
            step: Step::Decided,
        })
    }

    /// Whether another message names a file, that is not among those which are erased now. A store that
    /// does not know by whom it is named at all, keeps it.
    pub(super) fn is_named_elsewhere(
        &self,
        sha256: &[u8; 32],
        place: Place,
        others: &[Place],
    ) -> Result<bool, StoreError> {
        let (start, end) = layout::naming_of(sha256);
        let rows = self
            .store
            .scan(&start, &end, ERASE_AT_ONCE + 1, Direction::Forward)?;
        let own = |(number, side, index)| layout::naming(sha256, number, side, index);
        let here = own(place);
        let others: Vec<_> = others.iter().map(|other| own(*other)).collect();
        let mut is_known = false;
        for (key, _) in &rows {
            is_known |= *key == here;
            if *key != here && !others.contains(key) {
                return Ok(true);
            }
        }
        Ok(!is_known)
    }
}

/// The files that a message names, as far as its body can be read.
fn named_in(
    reader: &LogReader,
    stored: &Stored,
    header: &Header,
) -> Result<Vec<FileRef>, EraseError> {
    let read = match reader.body(stored) {
        Ok(Some((_, bytes))) => body::decode(header.kind, &header.schema, &bytes),
        // What does not open, nobody reads; that it is erased shall not hang on it.
        Ok(None) | Err(ReadError::Damaged { .. } | ReadError::Missing { .. }) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match read {
        Ok(Decoded::Known(v1::Body {
            body: Some(content),
        })) => files_of(&content),
        _ => Vec::new(),
    })
}
