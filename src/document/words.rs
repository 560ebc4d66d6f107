//! Labels in three languages, and times and places as a printed page says them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use prost_types::Timestamp as Wire;

use super::html::Html;
use crate::model::text::escape;
use crate::proto::v1;

/// A label in Vietnamese, Chinese and English.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Vietnamese.
    pub vi: &'static str,
    /// Chinese, simplified.
    pub zh: &'static str,
    /// English.
    pub en: &'static str,
}

impl Label {
    /// All three, one after the other.
    pub fn write(self, html: &mut Html) {
        for (number, (language, text)) in self.texts().into_iter().enumerate() {
            if number > 0 {
                html.text(" · ");
            }
            html.with("span", &[("lang", language)], |html| html.text(text));
        }
    }

    /// The three with their languages.
    #[must_use]
    pub fn texts(self) -> [(&'static str, &'static str); 3] {
        [("vi", self.vi), ("zh-Hans", self.zh), ("en", self.en)]
    }

    /// `CÔNG VĂN · 公函 · Official letter`.
    #[must_use]
    pub fn line(self) -> String {
        format!("{} · {} · {}", self.vi, self.zh, self.en)
    }
}

/// The name of a language in that language; its tag for those that are not known here.
#[must_use]
pub fn language(tag: &str) -> &str {
    match tag.split('-').next() {
        Some("vi") => "Tiếng Việt",
        Some("zh") => "中文",
        Some("en") => "English",
        Some("lo") => "ພາສາລາວ",
        _ => tag,
    }
}

/// A moment in each zone, to the minute: `2026-03-20 17:00 (UTC+07:00) · 18:00 (UTC+08:00)`.
///
/// A zone with the offset of one before it says nothing new. Without zones it is UTC.
#[must_use]
pub fn moment(time: Timestamp, zones: &[TimeZone]) -> String {
    in_zones(time, zones, "%H:%M")
}

/// The same to the second.
#[must_use]
pub fn exact_moment(time: Timestamp, zones: &[TimeZone]) -> String {
    in_zones(time, zones, "%H:%M:%S")
}

fn in_zones(time: Timestamp, zones: &[TimeZone], clock: &str) -> String {
    let utc = [TimeZone::UTC];
    let zones = if zones.is_empty() { &utc[..] } else { zones };
    let mut shown: Vec<jiff::Zoned> = Vec::new();
    let mut text = String::new();
    for zone in zones {
        let zoned = time.to_zoned(zone.clone());
        if shown.iter().any(|other| other.offset() == zoned.offset()) {
            continue;
        }
        let same_day = shown
            .first()
            .is_some_and(|first| first.date() == zoned.date());
        let day = if same_day { "" } else { "%Y-%m-%d " };
        let offset = if zoned.offset().is_zero() {
            "(UTC)"
        } else {
            "(UTC%:z)"
        };
        if !shown.is_empty() {
            text.push_str(" · ");
        }
        text.push_str(
            &zoned
                .strftime(&format!("{day}{clock} {offset}"))
                .to_string(),
        );
        shown.push(zoned);
    }
    text
}

/// A time of the wire; nothing if it lies outside what a calendar can say.
#[must_use]
pub fn of_wire(time: &Wire) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// A moment in Unix seconds.
#[must_use]
pub fn of_seconds(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

/// Where something is, without the words that a place may carry; empty if there is nothing else.
#[must_use]
pub fn place(place: &v1::Place) -> String {
    use v1::place::Where;
    match &place.r#where {
        Some(Where::Gate(gate)) => escape(gate).into_owned(),
        Some(Where::Markers(range)) if range.first == range.last => {
            format!("mốc · 界碑 · marker {}", range.first)
        }
        Some(Where::Markers(range)) => {
            format!("mốc · 界碑 · markers {}–{}", range.first, range.last)
        }
        Some(Where::Section(section)) => {
            format!("đoạn · 地段 · section {}", escape(section))
        }
        Some(Where::Point(point)) => format!("WGS 84: {}", degrees(point)),
        Some(Where::Polygon(polygon)) => {
            let points: Vec<_> = polygon.points.iter().map(degrees).collect();
            format!("WGS 84: {}", points.join("; "))
        }
        None => String::new(),
    }
}

fn degrees(point: &v1::GeoPoint) -> String {
    format!("{:.5}, {:.5}", point.latitude, point.longitude)
}

/// A size of a file: `903 B`, `1.2 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1_024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// An enum value's own word: `PRECEDENCE_FLASH` is `FLASH`.
#[must_use]
pub fn value(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::offset;

    #[test]
    fn moments_are_said_in_every_zone_once() {
        let fixed = |hours| TimeZone::fixed(offset(hours));
        let time = "2026-03-20T16:30:05Z".parse().unwrap();
        let zones = [fixed(7), fixed(8), fixed(7)];
        assert_eq!(
            moment(time, &zones),
            "2026-03-20 23:30 (UTC+07:00) · 2026-03-21 00:30 (UTC+08:00)"
        );
        let time = "2026-03-20T10:00:05Z".parse().unwrap();
        assert_eq!(
            exact_moment(time, &zones),
            "2026-03-20 17:00:05 (UTC+07:00) · 18:00:05 (UTC+08:00)"
        );
        assert_eq!(moment(time, &[]), "2026-03-20 10:00 (UTC)");
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes(903), "903 B");
        assert_eq!(bytes(1_024), "1.0 KiB");
        assert_eq!(bytes(1 << 30), "1.0 GiB");
        assert_eq!(bytes(5 << 40), "5120.0 GiB");
        assert_eq!(bytes(1_300_000), "1.2 MiB");
    }

    #[test]
    fn places_are_said() {
        let place_of = |place| {
            super::place(&v1::Place {
                r#where: Some(place),
                description: None,
            })
        };
        let markers = |first, last| v1::place::Where::Markers(v1::MarkerRange { first, last });
        assert_eq!(place_of(markers(101, 104)), "mốc · 界碑 · markers 101–104");
        assert_eq!(place_of(markers(101, 101)), "mốc · 界碑 · marker 101");
        let gate = v1::place::Where::Gate("a\u{202E}b".to_owned());
        assert_eq!(place_of(gate), "a\\u{202E}b");
    }
}
