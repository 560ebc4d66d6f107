//! Rules for information on cases and for hotline calls: figures that can be true.

use super::{Faults, place, times};
use crate::limits;
use crate::proto::v1;

/// Suspects are among the persons, and prosecutions among the cases.
pub(super) fn check_notice(notice: &v1::CaseNotice, at: &str, faults: &mut Faults) {
    place::check(notice.place.as_ref(), &format!("{at}.place"), faults);
    // A single case may have a single moment.
    if notice.from != notice.to {
        times::in_order(
            ("from", notice.from.as_ref()),
            ("to", notice.to.as_ref()),
            at,
            faults,
        );
    }
    // Zero persons: only the suspects were counted.
    if notice.persons > 0 && notice.suspects > notice.persons {
        faults.add(
            format!("{at}.suspects"),
            format!(
                "{} suspects are more than the {} persons concerned",
                notice.suspects, notice.persons
            ),
            "count the suspects among the persons as well",
        );
    }
    if notice.prosecutions > notice.cases {
        faults.add(
            format!("{at}.prosecutions"),
            format!(
                "{} prosecutions are more than the {} cases",
                notice.prosecutions, notice.cases
            ),
            "count the cases that were brought to court among the cases as well",
        );
    }
}

pub(super) fn check_call(call: &v1::HotlineCall, at: &str, faults: &mut Faults) {
    if !(1..=limits::CALL_SECONDS_MAX).contains(&call.duration_seconds) {
        faults.add(
            format!("{at}.durationSeconds"),
            format!(
                "a call of {} seconds is not possible",
                call.duration_seconds
            ),
            format!("give 1 to {}, a whole day", limits::CALL_SECONDS_MAX),
        );
    }
}
