//! Rules for times that belong together.

use prost_types::Timestamp;

use super::Faults;

/// A time with the name of its field, as JSON has it.
pub(super) type Named<'a> = (&'a str, Option<&'a Timestamp>);

/// What has a beginning and an end ends after it began. A time that is missing is the form's
/// affair.
pub(super) fn in_order(begin: Named<'_>, end: Named<'_>, at: &str, faults: &mut Faults) {
    let ((begin_name, Some(begin)), (end_name, Some(end))) = (begin, end) else {
        return;
    };
    if (end.seconds, end.nanos) <= (begin.seconds, begin.nanos) {
        faults.add(
            format!("{at}.{end_name}"),
            format!("{end} is not after {begin_name}, {begin}"),
            "compare both times with their zones, and correct the wrong one",
        );
    }
}
