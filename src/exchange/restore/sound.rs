//! Whether a store that opens still gives all that it holds. Opening reads the edges of the logs only;
//! damage in their midst shows when somebody reads there. Before a person is told that the records are
//! sound, everything is read.

use std::convert::Infallible;

use super::super::Exchange;
use super::super::backup::source::SourceError;
use super::super::command::Command;
use super::super::read::ReadError;
use crate::store::{Direction, StoreError};

/// Rows read at once; memory stays constant.
const ROWS_AT_ONCE: usize = 256;

impl Exchange {
    /// Reads every row, hashes every entry again and compares it with its log, every body with its
    /// header and every file with its name. Tells how many rows and files were looked at. What is
    /// wrong, in words, or nothing. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk, or one file on it, cannot be read; that is no answer: it may be a permission, or
    /// a limit on open files.
    pub async fn find_damage(
        &self,
        mut looked: impl FnMut(u64),
    ) -> Result<Option<String>, StoreError> {
        let is_damage = |error: &StoreError| {
            matches!(
                error,
                StoreError::Corrupt { .. }
                    | StoreError::Vanished { .. }
                    | StoreError::Shortened { .. }
            )
        };
        let judged = |error: StoreError| {
            if is_damage(&error) {
                Ok(Some(error.to_string()))
            } else {
                Err(error)
            }
        };
        let mut count = 0;
        let mut start = Vec::new();
        loop {
            let rows = match self
                .store
                .scan(&start, &[0xff], ROWS_AT_ONCE, Direction::Forward)
            {
                Ok(rows) => rows,
                Err(error) => return judged(error),
            };
            count += rows.len() as u64;
            looked(count);
            let Some((last, _)) = rows.into_iter().next_back() else {
                break;
            };
            start = last;
            start.push(0);
        }
        let files = self.blobs.first_spoiled(|number| looked(count + number))?;
        if let Some(file) = files {
            let what = format!(
                "{} is damaged: its content does not match its name",
                file.display()
            );
            return Ok(Some(what));
        }
        // The recorder stops when the engine is damaged.
        if let Err(stopped) = self.ask(Command::Barrier).await {
            return Ok(Some(stopped.to_string()));
        }
        let moment = match self.read_moment() {
            Ok(moment) => moment,
            Err(ReadError::Store(error)) => return judged(error),
            Err(error) => return Ok(Some(error.to_string())),
        };
        match self.give_backup(&moment, &[], &mut |_| Ok::<(), Infallible>(())) {
            // Of a newer program: what this one knows of it is sound.
            Ok(()) | Err(SourceError::UnknownRegion { .. }) => Ok(None),
            Err(SourceError::Store(error) | SourceError::Read(ReadError::Store(error))) => {
                judged(error)
            }
            Err(SourceError::Read(error)) => Ok(Some(error.to_string())),
            Err(SourceError::Damaged {
                origin,
                index,
                what,
            }) => Ok(Some(format!(
                "entry {index} of {origin} is damaged: {what}"
            ))),
            Err(SourceError::Sink(never)) => match never {},
        }
    }
}
