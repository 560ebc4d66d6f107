//! Kinds of the sides' work together in one line: meetings, patrols, gates, the line itself,
//! hazards, activities, figures, calendars and rosters.

use super::{count, localized_in, place};
use crate::cli::{when, words};
use crate::model::text::escape;
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// What the body says; empty for every other kind.
pub(super) fn of(body: &Body, language: &str) -> String {
    let at = |time: Option<&prost_types::Timestamp>| when::minute_wire(time);
    let parts = match body {
        Body::MeetingProposal(proposal) => vec![
            words::of_enum("MeetingLevel", proposal.level().as_str_name()),
            where_is(proposal.place.as_ref()),
            at(proposal.starts_at.as_ref()),
        ],
        Body::MeetingMinutes(minutes) => vec![
            words::of_enum("MeetingLevel", minutes.level().as_str_name()),
            where_is(minutes.place.as_ref()),
            at(minutes.started_at.as_ref()),
            count(minutes.decisions.len(), "decision"),
        ],
        Body::PatrolPlan(plan) => vec![
            words::of_enum("PatrolType", plan.r#type().as_str_name()),
            plan.markers.map(markers).unwrap_or_default(),
            at(plan.starts_at.as_ref()),
            count(plan.teams as usize, "team"),
            count(plan.officers as usize, "officer"),
        ],
        Body::PatrolReport(report) => vec![
            report.markers.map(markers).unwrap_or_default(),
            at(report.started_at.as_ref()),
            count(report.teams as usize, "team"),
            count(report.officers as usize, "officer"),
        ],
        Body::GateNotice(notice) => vec![
            format!(
                "gate {} {}",
                escape(&notice.gate),
                words::of_enum("GateStatus", notice.status().as_str_name())
            ),
            format!("from {}", at(notice.valid_from.as_ref())),
            match &notice.valid_until {
                None => "until further notice".to_owned(),
                until => format!("until {}", at(until.as_ref())),
            },
        ],
        Body::WorksNotice(works) => vec![
            words::of_enum("WorksType", works.r#type().as_str_name()),
            where_is(works.place.as_ref()),
            format!("from {}", at(works.starts_at.as_ref())),
            format!("until {}", at(works.ends_at.as_ref())),
            said_if(works.consent_asked, "consent asked"),
        ],
        Body::MarkerReport(report) => vec![
            format!(
                "marker {} {}",
                report.marker,
                words::of_enum("MarkerCondition", report.condition().as_str_name())
            ),
            said_if(report.is_minutes, "minutes of both sides"),
        ],
        Body::HazardNotice(notice) => vec![
            words::of_enum("HazardType", notice.r#type().as_str_name()),
            where_is(notice.place.as_ref()),
            format!("since {}", at(notice.onset_at.as_ref())),
            said_if(notice.help_asked.is_some(), "help asked"),
        ],
        Body::ActivityReport(report) => vec![
            words::of_enum("ActivityType", report.r#type().as_str_name()),
            count(report.events as usize, "event"),
            count(report.participants as usize, "participant"),
        ],
        Body::ExerciseNotice(exercise) => vec![
            localized_in(exercise.subject.as_ref(), language),
            where_is(exercise.place.as_ref()),
            at(exercise.starts_at.as_ref()),
        ],
        Body::PeriodReport(report) => vec![
            format!("from {}", at(report.from.as_ref())),
            format!("until {}", at(report.to.as_ref())),
            count(report.figures.len(), "figure"),
        ],
        Body::Calendar(calendar) => vec![
            format!("{} {}", escape(&calendar.country), calendar.year),
            format!("version {}", calendar.version),
            format!("{} off", count(calendar.days_off.len(), "weekday")),
            format!(
                "{} worked",
                count(calendar.working_days.len(), "weekend day")
            ),
            said_if(calendar.sample, "SAMPLE"),
        ],
        Body::Roster(roster) => vec![
            format!("version {}", roster.version),
            count(roster.entries.len(), "officer"),
            format!("from {}", at(roster.valid_from.as_ref())),
            format!("until {}", at(roster.valid_until.as_ref())),
        ],
        _ => Vec::new(),
    };
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

fn said_if(said: bool, words: &str) -> String {
    if said {
        words.to_owned()
    } else {
        String::new()
    }
}

fn where_is(at: Option<&v1::Place>) -> String {
    at.map(place).unwrap_or_default()
}

/// A range of markers: `marker 106`, `markers 87–167`.
pub(super) fn markers(range: v1::MarkerRange) -> String {
    if range.first == range.last {
        format!("marker {}", range.first)
    } else {
        format!("markers {}–{}", range.first, range.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample;

    /// The sample's body in one line.
    fn of_sample(name: &str) -> String {
        let draft = sample::find(name).unwrap().draft().unwrap();
        of(&draft.body.unwrap().body.unwrap(), "vi")
    }

    #[test]
    fn each_kind_says_what_matters_first() {
        for (name, begin, end) in [
            (
                "meeting-proposal",
                "face to face, gate lao-cai/hekou, 2026-12-03",
                "",
            ),
            (
                "meeting-minutes",
                "face to face, gate lao-cai/hekou, 2026-12-03",
                "2 decisions",
            ),
            (
                "patrol-plan",
                "regular, markers 87–167, 2026-12-10",
                "4 teams, 100 officers",
            ),
            (
                "patrol-report",
                "markers 87–167, 2026-12-10",
                "4 teams, 98 officers",
            ),
            (
                "gate-notice",
                "gate lao-cai/hekou restricted, from 2026-12-1",
                "",
            ),
            (
                "works-notice",
                "sightline clearing, markers 111–113, from",
                "consent asked",
            ),
            ("marker-report", "marker 106 damaged", ""),
            (
                "hazard-notice",
                "forest fire, markers 118–120, since 2026-12-01",
                "help asked",
            ),
            (
                "activity-report",
                "legal education, 14 events, 860 participants",
                "",
            ),
            ("exercise-notice", "Diễn tập chung cứu hộ", ""),
            ("period-report", "from 2026-1", "9 figures"),
            (
                "calendar",
                "VN 2026, version 1, 14 weekdays off, 2 weekend days worked",
                "SAMPLE",
            ),
            ("roster", "version 3, 3 officers, from ", ""),
        ] {
            let line = of_sample(name);
            assert!(
                line.starts_with(begin) && line.ends_with(end),
                "{name}: {line}"
            );
        }
    }
}
