//! Reading a draft from a file or standard input.

use std::io::Read as _;
use std::path::Path;

use crate::exchange::clock::{Clock as _, Entropy, SystemClock};
use crate::limits::DESK_MESSAGE_BYTES_MAX;
use crate::model::MessageId;
use crate::model::check::{FieldFault, check_draft, with_defaults};
use crate::model::json::{self, JsonError};
use crate::proto::v1::Draft;

use super::exit::{Exit, Failure, OrExit as _};

/// Standard input, as a file name.
pub(crate) const STDIN: &str = "-";

/// Reads the JSON of a draft.
pub(crate) fn read(file: &Path) -> Result<Draft, Failure> {
    let name = if file == Path::new(STDIN) {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    };
    let text =
        read_text(file).or_fail(Exit::Data, || format!("the draft in {name} cannot be read"))?;
    json::from_json(&text).map_err(|error| not_right(&name, error))
}

/// What is wrong with a draft, and where.
fn not_right(name: &str, error: JsonError) -> Failure {
    let what = format!("the draft in {name} is not right; nothing was sent");
    match error {
        JsonError::Field {
            field,
            line,
            column,
            reason,
            remedy,
        } => {
            let field = format!("{field} (line {line}, column {column})");
            Failure::new(Exit::Data, what).faults(vec![FieldFault {
                field,
                reason,
                remedy,
            }])
        }
        other => Failure::of(Exit::Data, anyhow::Error::new(other)).while_doing(what),
    }
    .remedy("compare with samples/*.json")
}

/// One byte over the limit is enough to refuse it for its length.
fn read_text(file: &Path) -> std::io::Result<String> {
    let limit = DESK_MESSAGE_BYTES_MAX as u64 + 1;
    let mut text = String::new();
    if file == Path::new(STDIN) {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?
            .take(limit)
            .read_to_string(&mut text)?;
    }
    Ok(text)
}

/// A new message id, made here so that sending again with it cannot send twice.
pub(crate) fn new_id() -> Result<MessageId, Failure> {
    let random = Entropy::system()
        .bytes::<10>()
        .or_fail(Exit::Internal, || "no randomness for an id".to_owned())?;
    Ok(MessageId::from_parts(SystemClock.unix_ms(), random))
}

/// Checks a draft as the node will, so that a slip is told without asking it.
pub(crate) fn check(draft: Draft) -> Result<Draft, Failure> {
    let draft = with_defaults(draft);
    match check_draft(&draft) {
        Ok(()) => Ok(draft),
        Err(faults) => {
            let count = faults.len();
            let what = if count == 1 {
                "1 fault".to_owned()
            } else {
                format!("{count} faults")
            };
            Err(Failure::new(
                Exit::Data,
                format!("the draft has {what}; nothing was sent"),
            )
            .faults(faults))
        }
    }
}
