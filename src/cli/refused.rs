//! What a node's refusal means here: gRPC status with rich details to failure.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::exit::{Exit, Failure};
use crate::model::check::FieldFault;
use crate::model::text::{escape, escape_lines};

/// The failure that a status is.
pub(crate) fn failure(status: &Status) -> Failure {
    let exit = exit_of(status.code());
    let message = match status.message() {
        "" => status.code().description().to_owned(),
        text => escape_lines(text).into_owned(),
    };
    let what = match status.code() {
        Code::Unavailable => format!("the node cannot do this now: {message}"),
        Code::PermissionDenied | Code::Unauthenticated => format!("not allowed: {message}"),
        Code::Internal | Code::Unknown | Code::DataLoss => format!("the node failed: {message}"),
        Code::Unimplemented => {
            "this node does not know what was asked; bring node and command to one version"
                .to_owned()
        }
        _ => message,
    };
    Failure::new(exit, what).faults(faults(status))
}

fn exit_of(code: Code) -> Exit {
    match code {
        Code::Ok => Exit::Ok,
        Code::InvalidArgument | Code::AlreadyExists | Code::OutOfRange => Exit::Data,
        Code::NotFound | Code::FailedPrecondition => Exit::Negative,
        Code::PermissionDenied | Code::Unauthenticated => Exit::NoPermission,
        Code::Unavailable => Exit::Unavailable,
        Code::ResourceExhausted | Code::Aborted | Code::DeadlineExceeded | Code::Cancelled => {
            Exit::TryLater
        }
        Code::Unknown | Code::Internal | Code::DataLoss | Code::Unimplemented => Exit::Internal,
    }
}

/// The fields at fault. The desk writes a description as `reason; remedy`.
fn faults(status: &Status) -> Vec<FieldFault> {
    let Some(details) = status.get_details_bad_request() else {
        return Vec::new();
    };
    let fault = |violation: &tonic_types::FieldViolation| {
        let (reason, remedy) = match violation.description.split_once("; ") {
            Some((reason, remedy)) => (reason, remedy),
            None => (violation.description.as_str(), ""),
        };
        FieldFault {
            field: escape(&violation.field).into_owned(),
            reason: escape(reason).into_owned(),
            remedy: escape(remedy).into_owned(),
        }
    };
    details.field_violations.iter().map(fault).collect()
}

/// Turns a call's outcome into its answer.
pub(crate) fn answer<T>(outcome: Result<tonic::Response<T>, Status>) -> Result<T, Failure> {
    outcome
        .map(tonic::Response::into_inner)
        .map_err(|status| failure(&status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, FieldViolation};

    #[test]
    fn field_violations_are_told_field_by_field() {
        let details = ErrorDetails::with_bad_request(vec![
            FieldViolation::new(
                "body.officialLetter.subject",
                "missing; give it in a language",
            ),
            FieldViolation::new("id", "\u{202E}odd"),
        ]);
        let status = Status::with_error_details(Code::InvalidArgument, "2 faults", details);
        let Failure::Told(told) = failure(&status) else {
            unreachable!("it was told")
        };
        assert_eq!(told.exit, Exit::Data);
        assert_eq!(told.faults[0].reason, "missing");
        assert_eq!(told.faults[0].remedy, "give it in a language");
        assert_eq!(told.faults[1].reason, "\\u{202E}odd");
    }

    #[test]
    fn codes_have_exits() {
        for (code, exit) in [
            (Code::Unavailable, Exit::Unavailable),
            (Code::NotFound, Exit::Negative),
            (Code::PermissionDenied, Exit::NoPermission),
            (Code::ResourceExhausted, Exit::TryLater),
            (Code::DataLoss, Exit::Internal),
            (Code::AlreadyExists, Exit::Data),
        ] {
            assert_eq!(failure(&Status::new(code, "x")).exit(), exit);
        }
    }
}
