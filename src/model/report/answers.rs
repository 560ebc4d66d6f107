//! How long answers took, and how many of those that were due came in time.
//!
//! An answer counts for the side that gives it, in the period in which it was asked for. What was
//! due by the end of the period and did not come in time is late, answered or not: silence makes
//! no share better.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;

use super::tally::{Entry, Measure, Measured, Tally};
use super::{Case, Period};
use crate::model::calendar::{CalendarError, CalendarSet};
use crate::model::deadline::{
    Due, EXTENSION_WORKING_DAYS, VERIFICATION_REPLY_WORKING_DAYS, due_instant,
};
use crate::model::workflow::matter::{Term, acknowledgement_term_of};
use crate::model::workflow::{Judged, Published, calendars_in_force};
use crate::model::workflow::{Millis, Said};

const SECOND_MS: i64 = 1_000;

pub(super) fn measure(
    case: &Case<'_>,
    period: Period,
    calendars: &[Vec<Published>; 2],
    tally: &mut Tally,
) {
    for judged in case.live() {
        if !period.has(judged.facts.created_at) {
            continue;
        }
        measure_acknowledgement(case, judged, period, tally);
        match judged.facts.said {
            Said::Letter { .. } => measure_letter(case, judged, period, tally),
            Said::VerificationRequest(_) => {
                measure_verification(case, judged, period, calendars, tally);
            }
            _ => {}
        }
    }
}

fn asked(judged: &Judged) -> Entry {
    Entry::of(judged, judged.facts.created_at, 1)
}

/// Seconds from a message to its answer, by what both have signed. Clocks differ: an answer that
/// is dated before the question took no time.
fn seconds(judged: &Judged, answer: &Judged) -> i64 {
    let ms = answer
        .facts
        .created_at
        .saturating_sub(judged.facts.created_at);
    ms.max(0) / SECOND_MS
}

/// Whether an answer that is due at an instant came in time; `None` if it is not over yet.
fn in_time(due: Option<Millis>, answered: Option<&Judged>, period: Period) -> Option<bool> {
    let due = due?;
    match answered {
        Some(answer) => Some(answer.facts.created_at < due),
        None => (due <= period.to).then_some(false),
    }
}

/// The first answer in substance: whoever has answered has taken note.
fn first_answer<'a>(case: &Case<'a>, judged: &Judged) -> Option<&'a Judged> {
    case.answers(judged).find(|answer| {
        !matches!(
            answer.facts.said,
            Said::Acknowledgement | Said::Withdrawal | Said::Unknown | Said::Erased
        )
    })
}

fn measure_acknowledgement(case: &Case<'_>, judged: &Judged, period: Period, tally: &mut Tally) {
    let given = case
        .answers(judged)
        .find(|answer| answer.facts.said == Said::Acknowledgement);
    let due = acknowledgement_term_of(&judged.facts)
        .filter(|_| case.opened_by(judged).is_some())
        .and_then(|term| match term {
            Term::At(at) => Some(at),
            Term::AfterReceipt(ms) => Some(judged.facts.created_at.saturating_add(ms)),
            Term::WorkingDays { .. } => None,
        });
    let noted = [given, first_answer(case, judged)];
    let noted = noted.into_iter().flatten();
    let noted = noted.min_by_key(|answer| answer.facts.created_at);
    let measured = Measured {
        asked: asked(judged),
        took: given.map(|answer| seconds(judged, answer)),
        in_time: in_time(due, noted, period),
    };
    if measured.took.is_some() || measured.in_time.is_some() {
        tally.measure(Measure::Acknowledgement, judged.by.other(), measured);
    }
}

fn measure_letter(case: &Case<'_>, judged: &Judged, period: Period, tally: &mut Tally) {
    let Said::Letter { reply_by } = judged.facts.said else {
        return;
    };
    let due = reply_by.or(judged.facts.respond_by);
    let reply = first_answer(case, judged);
    let measured = Measured {
        asked: asked(judged),
        took: reply.map(|reply| seconds(judged, reply)),
        in_time: in_time(due, reply, period),
    };
    if measured.took.is_some() || measured.in_time.is_some() {
        tally.measure(Measure::LetterReply, judged.by.other(), measured);
    }
}

fn measure_verification(
    case: &Case<'_>,
    judged: &Judged,
    period: Period,
    calendars: &[Vec<Published>; 2],
    tally: &mut Tally,
) {
    let answering = judged.by.other();
    let calendars = calendars_in_force(&calendars[answering.slot()], judged.facts.seen_size);
    let reply = last_reply(case, judged);
    let counted = due_of(case, judged, &calendars).and_then(|due| {
        let days = reply.map(|reply| days_taken(&due, reply, &calendars));
        Ok((due, days.transpose()?))
    });
    let measured = match counted {
        Ok((due, took)) => Measured {
            asked: asked(judged),
            took,
            in_time: in_time(Some(due.at.as_millisecond()), reply, period),
        },
        Err(error) => {
            tally.fail(Measure::VerificationReply, answering, missing(&error));
            Measured {
                asked: asked(judged),
                took: reply.map(|_| 0),
                in_time: None,
            }
        }
    };
    tally.measure(Measure::VerificationReply, answering, measured);
}

fn missing(error: &CalendarError) -> String {
    match error {
        CalendarError::MissingYear { country, year } => {
            format!("calendar {country} {year} missing")
        }
        CalendarError::NoCalendar => "the answering side has published no calendar".to_owned(),
    }
}

/// The reply with which every person of a request was answered.
fn last_reply<'a>(case: &Case<'a>, request: &Judged) -> Option<&'a Judged> {
    let Said::VerificationRequest(numbers) = &request.facts.said else {
        return None;
    };
    let matter = case.opened_by(request)?;
    let mut open: BTreeSet<u32> = numbers.iter().copied().collect();
    let replies = case.live().filter(|judged| judged.by != request.by);
    for judged in replies.filter(|judged| case.is_of(judged, matter)) {
        if let Said::VerificationReply { results, .. } = &judged.facts.said {
            for (number, _) in results {
                open.remove(number);
            }
            if open.is_empty() {
                return Some(judged);
            }
        }
    }
    None
}

/// When the reply to a request is due: counted from its signed time, with its extension.
fn due_of(
    case: &Case<'_>,
    request: &Judged,
    calendars: &CalendarSet,
) -> Result<Due, CalendarError> {
    let due = due_instant(
        timestamp(request.facts.created_at),
        VERIFICATION_REPLY_WORKING_DAYS,
        calendars,
    )?;
    let is_extended = case.opened_by(request).is_some_and(|matter| {
        let mut live = case.live();
        live.any(|judged| judged.facts.said == Said::Extension && case.is_of(judged, matter))
    });
    if is_extended {
        due.extended(EXTENSION_WORKING_DAYS, calendars)
    } else {
        Ok(due)
    }
}

/// Working days from the day after the request up to the day of the reply, that day included.
fn days_taken(due: &Due, reply: &Judged, calendars: &CalendarSet) -> Result<i64, CalendarError> {
    let replied = timestamp(reply.facts.created_at).to_zoned(due.zone.clone());
    let mut date: Date = due.received_on;
    let mut days = 0;
    // It ends: the day of the reply is fixed, and a year without calendar is an error.
    while date < replied.date() {
        date = date
            .tomorrow()
            .map_err(|_| calendars.missing(date.year().saturating_add(1)))?;
        days += i64::from(calendars.is_working_day(date)?);
    }
    Ok(days)
}

fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}
