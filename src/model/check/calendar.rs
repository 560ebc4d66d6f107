//! Rules for working-day calendars: those by which deadlines are counted on them.

use super::Faults;
use crate::model::calendar::YearCalendar;
use crate::proto::v1;

/// What cannot be counted on is not published. A field of which a fault is known already, such as
/// a blank one, is told once.
pub(super) fn check(calendar: &v1::Calendar, at: &str, faults: &mut Faults) {
    let found = YearCalendar::from_message(calendar, at).err();
    for fault in found.into_iter().flatten() {
        if !faults.list.iter().any(|known| known.field == fault.field) {
            faults.add(fault.field, fault.reason, fault.remedy);
        }
    }
}
