//! Which period is meant: days of a zone, or instants.

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::cli::connect::Target;
use crate::cli::exit::{Exit, Failure};
use crate::cli::when;
use crate::model::report::parse_zone;
use crate::proto::v1;

/// Where no configuration names a zone.
const ZONE: &str = "UTC";

#[derive(Debug, Args)]
pub(super) struct PeriodArgs {
    /// First day, or an instant with its zone.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Last day, which is part of it; or an instant with its zone, which is not.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// The link with this node; may be left out where there is only one.
    #[arg(long, value_name = "NODE", default_value = "")]
    peer: String,
    /// Zone of the days and months, by its IANA name or as +07:00. Without it, the node's own.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

/// A zone and how it was named.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) zone: TimeZone,
}

impl PeriodArgs {
    /// The zone given, else that of the configuration.
    pub(super) fn zone(&self, target: &Target) -> Result<Zone, Failure> {
        let name = match &self.zone {
            Some(name) => name.clone(),
            None => own_zone(target),
        };
        let zone = parse_zone(&name).ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no such zone")
                .remedy("write a zone such as Asia/Ho_Chi_Minh, +07:00 or UTC")
        })?;
        Ok(Zone { name, zone })
    }

    /// The request for the figures of the period.
    pub(super) fn request(&self, zone: &Zone) -> Result<v1::ReportRequest, Failure> {
        let (Some(from), Some(to)) = (&self.from, &self.to) else {
            return Err(Failure::new(Exit::Usage, "which period?")
                .remedy("write --from 2025-01-01 --to 2025-12-31"));
        };
        let (from, to) = (first(from, &zone.zone)?, end(to, &zone.zone)?);
        if to <= from {
            return Err(
                Failure::new(Exit::Usage, "the period ends before it has begun")
                    .remedy("give a --to after --from; the last day is part of the period"),
            );
        }
        Ok(v1::ReportRequest {
            peer: self.peer.clone(),
            from: Some(when::to_wire(from)),
            to: Some(when::to_wire(to)),
            time_zone: zone.name.clone(),
            ..v1::ReportRequest::default()
        })
    }
}

/// The zone of the node's configuration, if there is one.
pub(super) fn own_zone(target: &Target) -> String {
    let config = target.load_config();
    config.map_or_else(|_| ZONE.to_owned(), |config| config.time_zone)
}

fn first(text: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    instant(text, zone, Ok)
}

/// The beginning of the day after the last one.
fn end(text: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    instant(text, zone, Date::tomorrow)
}

fn instant(
    text: &str,
    zone: &TimeZone,
    day: impl FnOnce(Date) -> Result<Date, jiff::Error>,
) -> Result<Timestamp, Failure> {
    let fault = || {
        Failure::new(Exit::Usage, "that is no day").remedy(
            "write a day such as 2025-12-31, or an instant such as 2025-12-31T00:00:00+07:00",
        )
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    // Only what is a date and nothing more: a time without zone says too little here.
    let date = (text.len() == 10)
        .then(|| text.parse::<Date>().ok())
        .flatten();
    let date = day(date.ok_or_else(fault)?).map_err(|_| fault())?;
    let zoned = date.to_zoned(zone.clone()).map_err(|_| fault())?;
    Ok(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_day_is_part_of_the_period() {
        let hanoi = parse_zone("+07:00").unwrap();
        assert_eq!(
            first("2025-01-01", &hanoi).unwrap(),
            at("2024-12-31T17:00:00Z")
        );
        assert_eq!(
            end("2025-12-31", &hanoi).unwrap(),
            at("2025-12-31T17:00:00Z")
        );
        assert_eq!(
            end("2024-02-28", &hanoi).unwrap(),
            at("2024-02-28T17:00:00Z")
        );
        let exact = "2025-12-31T00:00:00+07:00";
        assert_eq!(end(exact, &hanoi).unwrap(), at(exact));
        for wrong in [
            "2025-13-01",
            "2025-02-29",
            "2025-01-01T00:00",
            "gestern",
            "",
        ] {
            assert!(first(wrong, &hanoi).is_err(), "{wrong}");
        }
    }

    #[test]
    fn zones_are_names_or_offsets() {
        for zone in [
            "Asia/Ho_Chi_Minh",
            "Asia/Shanghai",
            "UTC",
            "+07:00",
            "-03:30",
            "+14:00",
        ] {
            assert!(parse_zone(zone).is_some(), "{zone}");
        }
        for zone in [
            "",
            "+7",
            "+07",
            "+07:60",
            "+15:00",
            "+0a:00",
            "Asia/Nowhere",
            "+-7:00",
        ] {
            assert!(parse_zone(zone).is_none(), "{zone}");
        }
    }
}
