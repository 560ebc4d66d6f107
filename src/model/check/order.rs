//! Rules for times that follow one another.

use prost_types::Timestamp;

use super::Faults;

/// A time with the name of its field, as JSON has it.
type Named<'a> = (&'a str, Option<&'a Timestamp>);

/// The first is not after the second. A time that is missing is the form's affair.
pub(super) fn check(first: Named<'_>, second: Named<'_>, at: &str, faults: &mut Faults) {
    let key = |time: &Timestamp| (time.seconds, time.nanos);
    if let (Some(earlier), Some(later)) = (first.1, second.1)
        && key(earlier) > key(later)
    {
        faults.add(
            format!("{at}.{}", second.0),
            format!("lies before {at}.{}", first.0),
            "compare the two times and their zones, and correct the one that is wrong",
        );
    }
}
