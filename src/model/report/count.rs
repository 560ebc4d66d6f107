//! What is counted: letters, calls, meetings, patrols, cases, alerts, activities, requests.

use std::collections::BTreeMap;

use super::catalogue::{activity_name, category_name};
use super::tally::{Entry, Tally};
use super::{Case, Period, is_actual, is_applied};
use crate::model::MessageId;
use crate::model::workflow::Judged;
use crate::model::workflow::{Matter, Millis, Said};
use crate::proto::v1::{CountersignatureStance, MeetingLevel, Stance};

pub(super) fn count(case: &Case<'_>, period: Period, tally: &mut Tally) {
    for judged in case.live() {
        count_message(case, judged, period, tally);
    }
    count_meetings(case, period, tally);
    count_patrols(case, period, tally);
    for judged in &case.folded.messages {
        if is_applied(judged) && !is_actual(judged) {
            let entry = Entry::of(judged, judged.facts.created_at, 1);
            tally.add(period, "not-counted.exercise-and-test", judged.by, entry);
        }
    }
}

fn count_message(case: &Case<'_>, judged: &Judged, period: Period, tally: &mut Tally) {
    let by = judged.by;
    let at = |at: Millis, amount: u32| Entry::of(judged, at, i64::from(amount));
    let said_at = judged.facts.created_at;
    match &judged.facts.said {
        Said::Letter { .. } => tally.add(period, "letters", by, at(said_at, 1)),
        Said::Call { at: began } => {
            tally.add(period, "calls", by, at(*began, 1));
            for answer in case.answers(judged) {
                if let Said::Response { stance } = answer.facts.said {
                    if stance == Stance::Agreed as i32 {
                        tally.add(period, "calls.confirmed", by, at(*began, 1));
                    } else if stance == Stance::Differs as i32 {
                        tally.add(period, "calls.differing", by, at(*began, 1));
                    }
                }
            }
        }
        // What follows up an alert or hazard is no further one.
        Said::Alert { .. } if case.opened_by(judged).is_some() => {
            tally.add(period, "alerts", by, at(said_at, 1));
        }
        Said::Hazard if case.opened_by(judged).is_some() => {
            tally.add(period, "hazards", by, at(said_at, 1));
        }
        Said::Cases {
            category,
            to,
            cases,
            persons,
            suspects,
            prosecutions,
        } => {
            let measures = [
                ("cases", *cases),
                ("persons", *persons),
                ("suspects", *suspects),
                ("prosecutions", *prosecutions),
            ];
            let subjects = ["all", category_name(*category)];
            add_products(judged, period, "cases", subjects, &measures, *to, tally);
        }
        Said::Activity {
            activity,
            to,
            events,
            participants,
        } => {
            let measures = [("events", *events), ("participants", *participants)];
            let subjects = ["all", activity_name(*activity)];
            add_products(
                judged,
                period,
                "activities",
                subjects,
                &measures,
                *to,
                tally,
            );
        }
        Said::VerificationRequest(numbers) => {
            let persons = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            tally.add(period, "verification.requests", by, at(said_at, 1));
            tally.add(period, "verification.persons", by, at(said_at, persons));
        }
        _ => {}
    }
}

/// What lasted up to `end` counts where its last moment lies.
fn add_products(
    judged: &Judged,
    period: Period,
    prefix: &str,
    subjects: [&str; 2],
    measures: &[(&str, u32)],
    end: Millis,
    tally: &mut Tally,
) {
    for subject in subjects {
        for (measure, amount) in measures {
            if *amount > 0 {
                let entry = Entry::of(judged, end.saturating_sub(1), i64::from(*amount));
                let name = format!("{prefix}.{subject}.{measure}");
                tally.add(period, &name, judged.by, entry);
            }
        }
    }
}

/// The message that opened the matter which this one belongs to.
fn matter_of(case: &Case<'_>, judged: &Judged) -> MessageId {
    let mut matters = case.folded.matters_of(judged.facts.id);
    matters.next().map_or(judged.facts.id, Matter::opening)
}

/// Each meeting once, by the minutes that stand last.
fn count_meetings(case: &Case<'_>, period: Period, tally: &mut Tally) {
    let mut minutes: BTreeMap<MessageId, &Judged> = BTreeMap::new();
    for judged in case.live() {
        if let Said::MeetingMinutes { .. } = judged.facts.said {
            minutes.insert(matter_of(case, judged), judged);
        }
    }
    for judged in minutes.into_values() {
        let Said::MeetingMinutes { level, at } = judged.facts.said else {
            continue;
        };
        let names = match MeetingLevel::try_from(level) {
            Ok(MeetingLevel::Talks) => ("meetings.talks", "meetings.talks.cosigned"),
            Ok(MeetingLevel::FaceToFace) => {
                ("meetings.face-to-face", "meetings.face-to-face.cosigned")
            }
            Ok(MeetingLevel::Liaison) => ("meetings.liaison", "meetings.liaison.cosigned"),
            Ok(MeetingLevel::Unspecified) | Err(_) => ("meetings.unknown", ""),
        };
        let entry = Entry::of(judged, at, 1);
        tally.add_both(period, names.0, entry);
        if !names.1.is_empty() && is_cosigned(case, judged) {
            tally.add_both(period, names.1, entry);
        }
    }
}

fn is_cosigned(case: &Case<'_>, judged: &Judged) -> bool {
    case.answers(judged).any(|answer| {
        matches!(
            answer.facts.said,
            Said::Countersignature { stance, .. }
                if stance == CountersignatureStance::Signed as i32
        )
    })
}

/// Each patrol once, when the earlier of its reports says that it began.
fn count_patrols(case: &Case<'_>, period: Period, tally: &mut Tally) {
    let mut patrols: BTreeMap<MessageId, Vec<(&Judged, Millis, u32)>> = BTreeMap::new();
    for judged in case.live() {
        if let Said::PatrolReport { at, officers } = judged.facts.said {
            let reports = patrols.entry(matter_of(case, judged)).or_default();
            reports.push((judged, at, officers));
        }
    }
    for mut reports in patrols.into_values() {
        reports.sort_by_key(|(judged, at, _)| (*at, judged.by));
        let Some((first, began, _)) = reports.first().copied() else {
            continue;
        };
        let entry = Entry::of(first, began, 1);
        tally.add_both(period, "patrols", entry);
        if reports.iter().any(|(judged, ..)| judged.by != first.by) {
            tally.add_both(period, "patrols.reported-by-both", entry);
        }
        for (judged, _, officers) in reports {
            let entry = Entry::of(judged, began, i64::from(officers));
            tally.add(period, "patrols.officers", judged.by, entry);
        }
    }
}
