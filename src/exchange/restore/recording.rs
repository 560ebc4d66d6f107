//! The recorder's part in restoring: which step becomes what, and the order against the marks.

use super::super::book::Book;
use super::super::command::RecordError;
use super::super::stage::Stage;
use super::{RestoreStep, Restoring};
use crate::store::{Mark, Marks, Store, StoreError};

/// Adds a step to a group. An incident that goes with it is returned.
///
/// The mark is lowered *before* the cut is committed: a crash in between leaves a mark that is
/// smaller than the log, which opening raises again, and the cut is done anew. The other way round, a
/// crash would leave a log behind its mark, and the store would be refused.
pub(in super::super) fn stage_step(
    stage: &mut Stage,
    store: &dyn Store,
    marks: &mut Marks,
    book: &Book,
    step: RestoreStep,
) -> Result<Result<Option<super::Incident>, RecordError>, StoreError> {
    match step {
        RestoreStep::Begin(restoring) => {
            let restoring: Restoring = *restoring;
            stage.begin_restoring(book, restoring);
        }
        RestoreStep::SetAside(entries) => stage.set_aside(book, entries),
        RestoreStep::CutBack(cut) => {
            // Nothing that a receipt of this node's log covers is ever cut off.
            let is_proven = cut.receipt.signed.checkpoint.origin == book.link.own.to_string();
            if book.restoring.is_none() || !is_proven || cut.tree.size() < book.delivered_size {
                return Ok(Err(RecordError::WrongTree {
                    size: cut.tree.size(),
                }));
            }
            marks.restate(&Mark {
                origin: book.link.own.to_string(),
                size: cut.tree.size(),
                root: cut.tree.root().0,
            })?;
            stage.cut_back(book, *cut);
        }
        RestoreStep::Take(run) => {
            if let Err(error) = stage.take_back(store, book, *run)? {
                return Ok(Err(error));
            }
        }
        RestoreStep::AppendAgain(again) => stage.append_again(store, book, again)?,
        RestoreStep::Finish(incident) => {
            stage.finish_restoring(store, book)?;
            return Ok(Ok(Some(*incident)));
        }
        RestoreStep::FilesAreHere => stage.files_are_here(book),
    }
    Ok(Ok(None))
}
