//! From a file to a draft that may be sent: the one path of `send` and `check`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::attach::{self, Attached};
use super::exit::{Exit, Failure, OrExit as _};
use crate::exchange::clock::{Clock as _, Entropy, SystemClock};
use crate::limits::DESK_MESSAGE_BYTES_MAX;
use crate::model::MessageId;
use crate::model::check::{FieldFault, check_draft, with_defaults};
use crate::model::json::JsonError;
use crate::model::typed::{self, Located};
use crate::proto::v1::Draft;

/// Standard input, as a file name.
pub(crate) const STDIN: &str = "-";

/// What the command line adds to a draft.
#[derive(Debug, Args)]
pub(crate) struct Additions {
    /// Attach this file; may be given several times.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Media type of the files attached; else it follows from their names.
    #[arg(long, value_name = "TYPE/SUBTYPE", requires = "attach")]
    media_type: Option<String>,
    /// Send to this node, whatever the draft says.
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
}

/// A draft in which nothing is wrong.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The draft, with its defaults.
    pub(crate) draft: Draft,
    /// The files that it names and that are to be uploaded first.
    pub(crate) files: Vec<Attached>,
}

/// Why a draft may not be sent.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Everything that is wrong, in the order of the text.
    pub(crate) faults: Vec<Located>,
}

/// Reads and judges a draft with what the command line adds.
///
/// The failure is of the command: a file that cannot be read or attached. What is wrong with the draft
/// is the answer.
pub(crate) async fn prepare(
    file: &Path,
    additions: &Additions,
) -> Result<Result<Prepared, Refused>, Failure> {
    let bytes = read(file).or_fail(Exit::Data, || {
        format!("the draft in {} cannot be read", name_of(file))
    })?;
    let mut typed = match text(bytes).and_then(|text| typed::read(&text)) {
        Ok(typed) => typed,
        Err(error) => return Ok(Err(unreadable(error))),
    };
    if let Some(to) = &additions.to {
        to.clone_into(&mut typed.draft.recipient);
    }
    let mut files = Vec::new();
    for file in &additions.attach {
        files.push(attach::describe(file, additions.media_type.as_deref()).await?);
    }
    // Without a body there is nowhere to name them, and the judgement says that.
    if typed
        .draft
        .body
        .as_ref()
        .is_some_and(|body| body.body.is_some())
    {
        attach::add(&mut typed.draft, &files)?;
    }
    Ok(match typed.judge() {
        Ok(draft) => Ok(Prepared { draft, files }),
        Err(faults) => Err(Refused { faults }),
    })
}

impl Refused {
    /// The failure of a command that would have sent it.
    pub(crate) fn into_failure(self, file: &Path) -> Failure {
        let what = format!(
            "the draft in {} has {}; nothing was sent",
            name_of(file),
            count(self.faults.len())
        );
        let faults = self.faults.into_iter().map(|located| {
            let field = located.fault.field;
            FieldFault {
                field: match located.place {
                    Some((line, column)) => format!("{field} (line {line}, column {column})"),
                    None => field,
                },
                ..located.fault
            }
        });
        Failure::new(Exit::Data, what).faults(faults.collect())
    }
}

/// Checks a draft made here as the node will, so that a slip is told without asking it.
pub(crate) fn check(draft: Draft) -> Result<Draft, Failure> {
    let draft = with_defaults(draft);
    match check_draft(&draft) {
        Ok(()) => Ok(draft),
        Err(faults) => {
            let what = format!("the draft has {}; nothing was sent", count(faults.len()));
            Err(Failure::new(Exit::Data, what).faults(faults))
        }
    }
}

/// How people know the file.
pub(crate) fn name_of(file: &Path) -> String {
    if file == Path::new(STDIN) {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

/// `1 fault`, `7 faults`.
pub(crate) fn count(faults: usize) -> String {
    match faults {
        1 => "1 fault".to_owned(),
        many => format!("{many} faults"),
    }
}

/// A new message id, made here so that sending again with it cannot send twice.
pub(crate) fn new_id() -> Result<MessageId, Failure> {
    let random = Entropy::system()
        .bytes::<10>()
        .or_fail(Exit::Internal, || "no randomness for an id".to_owned())?;
    Ok(MessageId::from_parts(SystemClock.unix_ms(), random))
}

/// One byte over the limit is enough to refuse it for its length.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let limit = DESK_MESSAGE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if file == Path::new(STDIN) {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?
            .take(limit)
            .read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String, JsonError> {
    if bytes.len() > DESK_MESSAGE_BYTES_MAX {
        return Err(JsonError::TooLarge { bytes: bytes.len() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line_start = good.rfind('\n').map_or(0, |newline| newline + 1);
        JsonError::Syntax {
            line: good.matches('\n').count() + 1,
            column: good.len() - line_start + 1,
            reason: "the text is not UTF-8; save the file as UTF-8".to_owned(),
        }
    })
}

/// Text that is no draft at all: one fault, and nothing more can be said.
fn unreadable(error: JsonError) -> Refused {
    let fault = |reason: String, remedy: &str| FieldFault {
        field: "(file)".to_owned(),
        reason,
        remedy: remedy.to_owned(),
    };
    let located = match error {
        JsonError::Syntax {
            line,
            column,
            reason,
        } => Located {
            fault: fault(
                format!("this is no JSON: {reason}"),
                "check quotes, commas and brackets there; liaison new KIND writes a form to begin with",
            ),
            place: Some((line, column)),
        },
        other => Located {
            fault: fault(
                other.to_string(),
                "liaison new KIND writes a form to begin with",
            ),
            place: None,
        },
    };
    Refused {
        faults: vec![located],
    }
}
