//! Rules for gate notices.

use std::collections::HashSet;

use jiff::tz::TimeZoneDatabase;

use super::{Faults, place, times};
use crate::model::text;
use crate::proto::v1;
use crate::proto::v1::GateStatus;

/// Minutes of a day: the end of its last hour, `24:00`.
const DAY_MINUTES: u16 = 24 * 60;

/// A gate that is not fully open says why; one that is closed has no hours. That an open one has
/// hours, or says that they are not applicable, is in the table of blanks.
pub(super) fn check(notice: &v1::GateNotice, at: &str, faults: &mut Faults) {
    place::check_gate(&notice.gate, &format!("{at}.gate"), faults);
    let status = notice.status();
    let has_reason = notice.reason.as_ref().is_some_and(|r| !r.texts.is_empty());
    if matches!(status, GateStatus::Restricted | GateStatus::Closed) && !has_reason {
        faults.add(
            format!("{at}.reason"),
            format!("{} needs a reason", status.as_str_name()),
            "say why, in few words",
        );
    }
    if status == GateStatus::Closed && !notice.hours.is_empty() {
        faults.add(
            format!("{at}.hours"),
            "a closed gate has no hours",
            format!(
                "remove them and add \"hours\" to {at}.common.notApplicable, or choose \
                 GATE_STATUS_RESTRICTED"
            ),
        );
    }
    for (index, hours) in notice.hours.iter().enumerate() {
        check_hours(hours, &format!("{at}.hours[{index}]"), faults);
    }
    times::in_order(
        ("validFrom", notice.valid_from.as_ref()),
        ("validUntil", notice.valid_until.as_ref()),
        at,
        faults,
    );
}

/// Hours that end before they begin run over midnight.
fn check_hours(hours: &v1::GateHours, at: &str, faults: &mut Faults) {
    for (field, time, latest) in [
        ("opens", &hours.opens, DAY_MINUTES - 1),
        ("closes", &hours.closes, DAY_MINUTES),
    ] {
        if !time.is_empty() && minutes(time).is_none_or(|minutes| minutes > latest) {
            faults.add(
                format!("{at}.{field}"),
                format!("\"{}\" is no such time of day", text::excerpt(time, 20)),
                "give hours and minutes with two digits each, 07:00; 24:00 is the end of the day",
            );
        }
    }
    if !hours.opens.is_empty() && hours.opens == hours.closes {
        faults.add(
            format!("{at}.closes"),
            format!("the gate closes when it opens, at {}", hours.opens),
            "give the time it closes; the whole day is 00:00 to 24:00",
        );
    }
    check_zone(&hours.time_zone, &format!("{at}.timeZone"), faults);
    let mut seen = HashSet::new();
    for (index, day) in hours.weekdays.iter().enumerate() {
        let field = format!("{at}.weekdays[{index}]");
        if !(1..=7).contains(day) {
            faults.add(
                field,
                format!("{day} is no day of the week"),
                "give 1 for Monday to 7 for Sunday, or none for every day",
            );
        } else if !seen.insert(day) {
            faults.add(
                field,
                format!("day {day} is listed twice"),
                "remove one of the two",
            );
        }
    }
}

/// Minutes since midnight of `HH:MM`, up to `24:00`.
fn minutes(time: &str) -> Option<u16> {
    let (hours, minutes) = time.split_once(':')?;
    let two_digits = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY_MINUTES).then_some(all)
}

/// Looked up in the database that is built in: what may be said must not depend on how recent the
/// machine's own is.
fn check_zone(name: &str, at: &str, faults: &mut Faults) {
    if name.is_empty() {
        return; // blank, which the form tells
    }
    let zone = TimeZoneDatabase::bundled()
        .get(name)
        .ok()
        .filter(|zone| !zone.is_unknown());
    let exact = zone.as_ref().and_then(jiff::tz::TimeZone::iana_name);
    match exact {
        Some(exact) if exact == name => {}
        Some(exact) => faults.add(
            at,
            format!("\"{}\" is not its exact name", text::excerpt(name, 40)),
            format!("write {exact}"),
        ),
        None => faults.add(
            at,
            format!("\"{}\" is no time zone", text::excerpt(name, 40)),
            "give an IANA name such as Asia/Ho_Chi_Minh or Asia/Shanghai",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_have_two_digits_twice() {
        for (time, expected) in [
            ("00:00", 0),
            ("07:05", 425),
            ("23:59", 1_439),
            ("24:00", 1_440),
        ] {
            assert_eq!(minutes(time), Some(expected), "{time}");
        }
        for time in [
            "", "7:00", "07:5", "07:60", "24:01", "25:00", "07.00", "+7:00", "07:00:00", "0７:00",
        ] {
            assert_eq!(minutes(time), None, "{time}");
        }
    }
}
