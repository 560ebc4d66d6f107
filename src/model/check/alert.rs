//! Rules for crossing alerts.

use super::{Faults, identity, place};
use crate::proto::v1;

/// A sensor grades what it saw and says how sure it is; a person has no percentage.
///
/// A sensor's alert never says who somebody is. Grades are required of
/// everyone, since X says that nothing is known of the source.
pub(super) fn check(alert: &v1::CrossingAlert, at: &str, faults: &mut Faults) {
    place::check(alert.place.as_ref(), &format!("{at}.place"), faults);

    if !alert.sensor_id.trim().is_empty() {
        identity::check(alert, at, faults);
    }
    let field = format!("{at}.sensorConfidencePercent");
    let confidence = alert.sensor_confidence_percent;
    if alert.sensor_id.trim().is_empty() {
        if confidence != 0 {
            faults.add(
                field,
                "a confidence is given, but no sensor",
                format!("name the sensor in {at}.sensorId, or remove the confidence"),
            );
        }
    } else if !(1..=100).contains(&confidence) {
        faults.add(
            field,
            format!("a sensor's confidence of {confidence} percent is not possible"),
            "give 1 to 100",
        );
    }
}
