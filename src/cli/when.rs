//! Times as people read and type them.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use prost_types::Timestamp as Wire;

use crate::exchange::clock::{Clock as _, SystemClock};

/// Now.
pub(crate) fn now() -> Timestamp {
    i64::try_from(SystemClock.unix_ms())
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A time of the wire.
pub(crate) fn from_wire(time: &Wire) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// A time for the wire.
pub(crate) fn to_wire(time: Timestamp) -> Wire {
    Wire {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

/// The zones of both sides of a link, once a command has learnt them: this side's first.
static BOTH_SIDES: OnceLock<[TimeZone; 2]> = OnceLock::new();

/// From now on this command shows times in both sides' zones, given by their IANA names. Names that
/// are not known leave it at the machine's zone.
pub(crate) fn show_in_both(own: &str, peer: &str) {
    if let (Ok(own), Ok(peer)) = (TimeZone::get(own), TimeZone::get(peer)) {
        // A command shows one link's messages; the first has told which.
        drop(BOTH_SIDES.set([own, peer]));
    }
}

/// Time with its offset from UTC, in both sides' zones where they are known and differ, else in the
/// machine's: `2026-03-02 15:30:00 +07:00 (16:30:00 +08:00)`.
pub(crate) fn full(time: Timestamp) -> String {
    match BOTH_SIDES.get() {
        Some([own, peer]) => full_in_both(time, own, peer),
        None => full_in(time, TimeZone::system()),
    }
}

fn full_in_both(time: Timestamp, own: &TimeZone, peer: &TimeZone) -> String {
    let here = full_in(time, own.clone());
    if own.to_offset(time) == peer.to_offset(time) {
        return here;
    }
    let there = full_in(time, peer.clone());
    // The date again only where it is another one.
    let there = match (here.split_once(' '), there.split_once(' ')) {
        (Some((day, _)), Some((other, rest))) if day == other => rest.to_owned(),
        _ => there,
    };
    format!("{here} ({there})")
}

fn full_in(time: Timestamp, zone: TimeZone) -> String {
    time.to_zoned(zone)
        .strftime("%Y-%m-%d %H:%M:%S %:z")
        .to_string()
}

/// The same for a time of the wire; a dash if there is none.
pub(crate) fn full_wire(time: Option<&Wire>) -> String {
    time.and_then(from_wire)
        .map_or_else(|| "—".to_owned(), full)
}

/// Local time of the wire to the minute, with its offset from UTC: `2026-03-02 15:30 +07:00`; a
/// dash if there is none.
pub(crate) fn minute_wire(time: Option<&Wire>) -> String {
    time.and_then(from_wire).map_or_else(
        || "—".to_owned(),
        |time| {
            let zoned = time.to_zoned(TimeZone::system());
            zoned.strftime("%Y-%m-%d %H:%M %:z").to_string()
        },
    )
}

/// Local time to the minute with its offset, for tables: `2026-03-02 15:30 +07`.
pub(crate) fn short(time: Timestamp) -> String {
    let own = BOTH_SIDES.get().map(|[own, _]| own.clone());
    let zoned = time.to_zoned(own.unwrap_or_else(TimeZone::system));
    let seconds = zoned.offset().seconds();
    let pattern = if seconds % 3_600 == 0 {
        "%m-%d %H:%M:%S"
    } else {
        "%m-%d %H:%M:%S %:z"
    };
    let text = zoned.strftime(pattern).to_string();
    if seconds % 3_600 == 0 {
        format!("{text} {:+03}", seconds / 3_600)
    } else {
        text
    }
}

/// The time of day, for running reports: `15:30:00.123`.
pub(crate) fn clock(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system())
        .strftime("%H:%M:%S%.3f")
        .to_string()
}

/// How far away a moment is: `in 3 h`, `2 d ago`.
pub(crate) fn distance(time: Timestamp, now: Timestamp) -> String {
    let away = time.duration_since(now);
    let text = rough(away.unsigned_abs());
    if away.is_negative() {
        format!("{text} ago")
    } else {
        format!("in {text}")
    }
}

/// A length of time in its largest sensible unit.
pub(crate) fn rough(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Reads a length of time: `30s`, `5m`, `1h 30m`, or plain seconds.
pub(crate) fn parse_length(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let length: SignedDuration = text
        .parse()
        .map_err(|_| "write a length such as 30s, 5m or 1h 30m".to_owned())?;
    Duration::try_from(length).map_err(|_| "a length cannot be negative".to_owned())
}

/// Reads a moment: RFC 3339 with its zone, a local date or date and time, or an age such as `2h`.
pub(crate) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    parse_moment_in(text, now(), &TimeZone::system())
}

fn parse_moment_in(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let help = || {
        "write a moment such as 2026-03-02, \"2026-03-02 08:30\", 2026-03-02T08:30:00+07:00, or an \
         age such as 2h or 3d"
            .to_owned()
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil = match text.parse::<DateTime>() {
        Ok(civil) => Some(civil),
        Err(_) => text.parse::<Date>().ok().map(DateTime::from),
    };
    if let Some(civil) = civil {
        let zoned = civil.to_zoned(zone.clone()).map_err(|_| help())?;
        return Ok(zoned.timestamp());
    }
    // jiff's durations end at hours, since days differ in length; an age of days means 24 hours.
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.trim().parse::<u32>().ok());
    let age = match days {
        Some(days) => Duration::from_secs(u64::from(days) * 86_400),
        None => text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|age| Duration::try_from(age).ok())
            .ok_or_else(help)?,
    };
    now.checked_sub(age).map_err(|_| help())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_both_sides_have_them() {
        let [hanoi, beijing] =
            ["Asia/Ho_Chi_Minh", "Asia/Shanghai"].map(|name| TimeZone::get(name).unwrap());
        let day: Timestamp = "2026-03-02T08:30:00Z".parse().unwrap();
        let both = full_in_both(day, &hanoi, &beijing);
        assert_eq!(both, "2026-03-02 15:30:00 +07:00 (16:30:00 +08:00)");
        let midnight: Timestamp = "2026-03-02T16:30:00Z".parse().unwrap();
        let both = full_in_both(midnight, &hanoi, &beijing);
        assert_eq!(
            both,
            "2026-03-02 23:30:00 +07:00 (2026-03-03 00:30:00 +08:00)"
        );
        let same = full_in_both(day, &hanoi, &hanoi);
        assert_eq!(same, "2026-03-02 15:30:00 +07:00");
    }

    fn hanoi() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(7))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn local_times_say_their_offset() {
        assert_eq!(
            full_in(at("2026-03-02T08:30:00Z"), hanoi()),
            "2026-03-02 15:30:00 +07:00"
        );
        assert_eq!(full_wire(None), "—");
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now = at("2026-03-02T12:00:00Z");
        for (text, expected) in [
            ("2026-03-02T08:30:00+07:00", "2026-03-02T01:30:00Z"),
            ("2026-03-02T08:30:00Z", "2026-03-02T08:30:00Z"),
            ("2026-03-02", "2026-03-01T17:00:00Z"),
            ("2026-03-02 08:30", "2026-03-02T01:30:00Z"),
            ("2h", "2026-03-02T10:00:00Z"),
            ("3d", "2026-02-27T12:00:00Z"),
            ("1h 30m", "2026-03-02T10:30:00Z"),
        ] {
            assert_eq!(
                parse_moment_in(text, now, &hanoi()),
                Ok(at(expected)),
                "{text}"
            );
        }
        for text in ["", "yesterday", "2026-13-01", "-2h", "d", "99999999999d"] {
            assert!(parse_moment_in(text, now, &hanoi()).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_read_and_shown() {
        assert_eq!(parse_length("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_length("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert!(parse_length("-5s").is_err() && parse_length("soon").is_err());
        let now = at("2026-03-02T12:00:00Z");
        assert_eq!(distance(at("2026-03-02T15:00:00Z"), now), "in 3 h");
        assert_eq!(distance(at("2026-02-27T12:00:00Z"), now), "3 d ago");
    }
}
