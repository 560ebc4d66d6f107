//! How long a body is kept: pure rules, no clock and no disk.
//!
//! The **first rule that fits** a message decides, as they stand in the configuration, so that an
//! exception stands before what it is an exception to; a rule that can never decide is refused. The time
//! counts from when the **case was closed**: from the day its last message was recorded here. As long as
//! something is still to be done in a case, its bodies serve the purpose they were taken for, and nothing
//! of it is erased. Months and years are those of the calendar, in UTC. A case on legal hold is left alone.

use jiff::{Span, Timestamp, tz::TimeZone};

use crate::proto::v1::{HandlingCode, Kind};

/// Rules of a policy.
pub const RULES_MAX: usize = 64;
/// Years that a period may have.
const YEARS_MAX: i64 = 100;

/// A length of time of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    number: u16,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Days,
    Months,
    Years,
}

/// Why a text is no period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a number of days, months or years, at least one and at most {YEARS_MAX} years")]
pub struct PeriodError;

impl Period {
    /// Reads `24 months`, `90 days`, `1 year`.
    ///
    /// # Errors
    /// [`PeriodError`].
    pub fn parse(text: &str) -> Result<Self, PeriodError> {
        let (number, unit) = text.trim().split_once(' ').ok_or(PeriodError)?;
        let number: u16 = number.parse().map_err(|_| PeriodError)?;
        let (unit, most) = match unit {
            "day" | "days" => (Unit::Days, YEARS_MAX * 365),
            "month" | "months" => (Unit::Months, YEARS_MAX * 12),
            "year" | "years" => (Unit::Years, YEARS_MAX),
            _ => return Err(PeriodError),
        };
        if number == 0 || i64::from(number) > most {
            return Err(PeriodError);
        }
        Ok(Self { number, unit })
    }

    /// When it is over that began at `from_ms`, in milliseconds since 1970: the same time of day, on the
    /// same day of the month or the last one before it. What cannot be reckoned is never over.
    #[must_use]
    pub fn end_ms(self, from_ms: u64) -> u64 {
        let number = i64::from(self.number);
        let span = match self.unit {
            Unit::Days => Span::new().days(number),
            Unit::Months => Span::new().months(number),
            Unit::Years => Span::new().years(number),
        };
        let end = || {
            let from = Timestamp::from_millisecond(i64::try_from(from_ms).ok()?).ok()?;
            let end = from.to_zoned(TimeZone::UTC).checked_add(span).ok()?;
            u64::try_from(end.timestamp().as_millisecond()).ok()
        };
        end().unwrap_or(u64::MAX)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.unit {
            Unit::Days => "day",
            Unit::Months => "month",
            Unit::Years => "year",
        };
        let plural = if self.number == 1 { "" } else { "s" };
        write!(f, "{} {unit}{plural}", self.number)
    }
}

/// A rule: bodies of this kind and handling code are erased after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Which kind; `None`: every one.
    pub kind: Option<Kind>,
    /// Which handling code; `None`: every one.
    pub handling: Option<HandlingCode>,
    /// After how long; `None`: never.
    pub erase_body_after: Option<Period>,
}

impl Rule {
    fn fits(&self, kind: i32, handling: i32) -> bool {
        self.kind.is_none_or(|wanted| wanted as i32 == kind)
            && self.handling.is_none_or(|wanted| wanted as i32 == handling)
    }

    /// Whether everything that fits the other one fits this one.
    fn covers(&self, other: &Self) -> bool {
        (self.kind.is_none() || self.kind == other.kind)
            && (self.handling.is_none() || self.handling == other.handling)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Some(kind) => f.write_str(plain(kind.as_str_name(), "KIND_"))?,
            None => f.write_str("every kind")?,
        }
        if let Some(handling) = self.handling {
            write!(f, ", {}", plain(handling.as_str_name(), "HANDLING_CODE_"))?;
        }
        match self.erase_body_after {
            Some(period) => write!(f, ": {period}"),
            None => f.write_str(": never"),
        }
    }
}

fn plain<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// Kinds whose bodies are never erased by a rule: what a node says by itself, and what later deadlines
/// and duties are reckoned with.
#[must_use]
pub fn is_kept_always(kind: Kind) -> bool {
    super::body::is_system_kind(kind)
        || matches!(
            kind,
            Kind::Unspecified | Kind::Calendar | Kind::Roster | Kind::GateNotice
        )
}

/// What is known of a body when it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Number of its [`Kind`].
    pub kind: i32,
    /// Number of its [`HandlingCode`].
    pub handling: i32,
    /// When the last message of its case was recorded here, milliseconds since 1970; its own time if it is
    /// in no case.
    pub last_ms: u64,
    /// Something is still to be done in its case.
    pub is_open: bool,
    /// Its case is on legal hold.
    pub is_on_hold: bool,
}

/// What is to become of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No rule fits, or one that says never.
    Kept,
    /// Its case is open.
    Open,
    /// It would be due, but for the hold; since when, in milliseconds since 1970.
    OnHold(u64),
    /// Not before this time.
    Later(u64),
    /// It is to be erased, by the rule with this number, since that time.
    Due(usize, u64),
}

/// The rules of a node, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy(Vec<Rule>);

impl Policy {
    /// A policy; or the numbers of a rule that never decides and of the one before it that always does.
    ///
    /// # Errors
    /// Both numbers.
    pub fn new(rules: Vec<Rule>) -> Result<Self, (usize, usize)> {
        for (number, rule) in rules.iter().enumerate() {
            if let Some(before) = rules[..number].iter().position(|other| other.covers(rule)) {
                return Err((number, before));
            }
        }
        Ok(Self(rules))
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Whether nothing is ever erased by it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.iter().all(|rule| rule.erase_body_after.is_none())
    }

    /// Whether a rule may ever decide that such a body is erased.
    #[must_use]
    pub fn concerns(&self, kind: i32, handling: i32) -> bool {
        self.period(kind, handling).is_some()
    }

    fn period(&self, kind: i32, handling: i32) -> Option<(usize, Period)> {
        // A kind of a newer version is not known to be anything that may go.
        let known = Kind::try_from(kind).ok()?;
        if is_kept_always(known) {
            return None;
        }
        let number = self.0.iter().position(|rule| rule.fits(kind, handling))?;
        Some((number, self.0[number].erase_body_after?))
    }

    /// What is to become of a body at `now_ms`, milliseconds since 1970.
    #[must_use]
    pub fn judge(&self, held: &Held, now_ms: u64) -> Fate {
        let Some((number, period)) = self.period(held.kind, held.handling) else {
            return Fate::Kept;
        };
        if held.is_open {
            return Fate::Open;
        }
        let end_ms = period.end_ms(held.last_ms);
        if now_ms < end_ms {
            Fate::Later(end_ms)
        } else if held.is_on_hold {
            Fate::OnHold(end_ms)
        } else {
            Fate::Due(number, end_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600_000;

    fn ms(text: &str) -> u64 {
        let at: Timestamp = text.parse().unwrap();
        u64::try_from(at.as_millisecond()).unwrap()
    }

    fn rule(kind: Option<Kind>, handling: Option<HandlingCode>, after: &str) -> Rule {
        Rule {
            kind,
            handling,
            erase_body_after: (after != "never").then(|| Period::parse(after).unwrap()),
        }
    }

    fn held(kind: Kind, handling: HandlingCode, last_ms: u64) -> Held {
        Held {
            kind: kind as i32,
            handling: handling as i32,
            last_ms,
            is_open: false,
            is_on_hold: false,
        }
    }

    #[test]
    fn periods_are_of_the_calendar() {
        let end = |from: &str, period: &str| Period::parse(period).unwrap().end_ms(ms(from));
        let cases = [
            ("2026-01-31T10:00:00Z", "1 month", "2026-02-28T10:00:00Z"),
            ("2028-01-31T10:00:00Z", "1 month", "2028-02-29T10:00:00Z"),
            ("2028-02-29T00:00:00Z", "1 year", "2029-02-28T00:00:00Z"),
            (
                "2026-11-22T12:00:00.007Z",
                "24 months",
                "2028-11-22T12:00:00.007Z",
            ),
            ("2026-11-22T12:00:00Z", "90 days", "2027-02-20T12:00:00Z"),
        ];
        for (from, period, expected) in cases {
            assert_eq!(end(from, period), ms(expected), "{from} {period}");
        }
        assert_eq!(
            Period::parse("100 years").unwrap().end_ms(u64::MAX),
            u64::MAX
        );
        for text in [
            "1 day",
            "2 days",
            "1 month",
            "1200 months",
            "1 year",
            "100 years",
        ] {
            assert_eq!(Period::parse(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "24",
            "months",
            "0 days",
            "-1 days",
            "1 week",
            "24months",
            "101 years",
            "1201 months",
            "36501 days",
            "99999 days",
            "1.5 years",
        ] {
            assert_eq!(Period::parse(wrong), Err(PeriodError), "{wrong}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_none_is_idle() {
        let policy = Policy::new(vec![
            rule(
                Some(Kind::HandoverRequest),
                Some(HandlingCode::H2),
                "6 months",
            ),
            rule(Some(Kind::HandoverRequest), None, "24 months"),
            rule(Some(Kind::CaseNotice), None, "never"),
            rule(None, Some(HandlingCode::H1), "1 month"),
        ])
        .unwrap();
        let from = ms("2026-11-22T12:00:00Z");
        let end = |kind, code| match policy.judge(&held(kind, code, from), from) {
            Fate::Later(end) => Some(end),
            Fate::Kept => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            end(Kind::HandoverRequest, HandlingCode::H2),
            Some(ms("2027-05-22T12:00:00Z"))
        );
        assert_eq!(
            end(Kind::HandoverRequest, HandlingCode::H1),
            Some(ms("2028-11-22T12:00:00Z"))
        );
        assert_eq!(
            end(Kind::CaseNotice, HandlingCode::H1),
            None,
            "never stands before"
        );
        assert_eq!(
            end(Kind::OfficialLetter, HandlingCode::H1),
            Some(ms("2026-12-22T12:00:00Z"))
        );
        assert_eq!(
            end(Kind::OfficialLetter, HandlingCode::H2),
            None,
            "no rule fits"
        );
        let shadowed = Policy::new(vec![
            rule(None, Some(HandlingCode::H1), "1 year"),
            rule(None, None, "2 years"),
            rule(Some(Kind::OfficialLetter), None, "3 years"),
        ]);
        assert_eq!(shadowed, Err((2, 1)));
        assert!(Policy::default().is_idle() && !policy.is_idle());
    }

    #[test]
    fn what_the_log_is_judged_by_stays() {
        let policy = Policy::new(vec![rule(None, None, "1 day")]).unwrap();
        for kind in [
            Kind::Unspecified,
            Kind::Calendar,
            Kind::Roster,
            Kind::GateNotice,
            Kind::KeyChange,
        ] {
            let fate = policy.judge(&held(kind, HandlingCode::Unspecified, 0), u64::MAX / 2);
            assert_eq!(fate, Fate::Kept, "{kind:?}");
        }
        let mut unknown = held(Kind::OfficialLetter, HandlingCode::Unspecified, 0);
        unknown.kind = 9_999;
        assert_eq!(policy.judge(&unknown, u64::MAX / 2), Fate::Kept);
    }

    /// Day by day over two years and a bit: a case is erased on one day, not before, and never while it
    /// is open or on hold.
    #[test]
    fn over_two_years_each_body_is_due_on_its_day() {
        let policy = Policy::new(vec![
            rule(Some(Kind::HandoverRequest), None, "24 months"),
            rule(None, None, "90 days"),
        ])
        .unwrap();
        let start = ms("2026-11-22T12:00:00Z");
        // Closed on its 10th day; on hold from its 100th to its 200th day.
        let closed = start + 10 * DAY;
        let seen_at = |day: u64, kind| {
            let mut body = held(kind, HandlingCode::H2, closed);
            body.is_open = day < 10;
            if body.is_open {
                body.last_ms = start;
            }
            body.is_on_hold = (80..200).contains(&day);
            policy.judge(&body, start + day * DAY)
        };
        let first_due = |kind| (0..900).find(|day| matches!(seen_at(*day, kind), Fate::Due(..)));
        assert_eq!(
            first_due(Kind::HandoverRequest),
            Some(10 + 731),
            "2028 has a leap day"
        );
        assert_eq!(
            first_due(Kind::OfficialLetter),
            Some(200),
            "when the hold is lifted"
        );
        assert_eq!(seen_at(5, Kind::OfficialLetter), Fate::Open);
        assert_eq!(
            seen_at(99, Kind::OfficialLetter),
            Fate::Later(closed + 90 * DAY)
        );
        assert_eq!(
            seen_at(100, Kind::OfficialLetter),
            Fate::OnHold(closed + 90 * DAY)
        );
        assert_eq!(
            seen_at(200, Kind::OfficialLetter),
            Fate::Due(1, closed + 90 * DAY)
        );
        // Once due, due on every later day: a node that was down for a month skips nothing.
        assert!(
            (200..900).all(|day| matches!(seen_at(day, Kind::OfficialLetter), Fate::Due(1, _)))
        );
    }
}
