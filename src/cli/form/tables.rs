//! Lists within a body that are read better as a table.

use crate::cli::summary;
use crate::cli::table::{Fit, Table};
use crate::model::text::escape;
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// Days of the week, from 1 for Monday (ISO 8601).
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The heading and table of a body's field, if it has one.
pub(super) fn of(field: &str, body: &Body) -> Option<(String, Table)> {
    match (field, body) {
        ("hours", Body::GateNotice(notice)) => Some(("hours".to_owned(), hours(&notice.hours))),
        ("logs", Body::PeriodReport(report)) => {
            Some(("computed from".to_owned(), logs(&report.logs)))
        }
        ("figures", Body::PeriodReport(report)) => Some((
            summary::count(report.figures.len(), "figure"),
            figures(&report.figures),
        )),
        ("days_off", Body::Calendar(calendar)) => Some((
            format!("{} off", summary::count(calendar.days_off.len(), "weekday")),
            days(&calendar.days_off),
        )),
        ("working_days", Body::Calendar(calendar)) => {
            let count = summary::count(calendar.working_days.len(), "weekend day");
            Some((format!("{count} worked"), days(&calendar.working_days)))
        }
        _ => None,
    }
}

fn hours(hours: &[v1::GateHours]) -> Table {
    let mut table = Table::new(&[
        ("OPENS", Fit::Whole),
        ("CLOSES", Fit::Whole),
        ("ZONE", Fit::Whole),
        ("DAYS", Fit::Whole),
    ]);
    for hours in hours {
        let weekday = |day: &u32| {
            let index = usize::try_from(*day).ok()?.checked_sub(1)?;
            WEEKDAYS.get(index).copied()
        };
        let days: Vec<_> = hours.weekdays.iter().filter_map(weekday).collect();
        let days = if days.is_empty() {
            "every day".to_owned()
        } else {
            days.join(" ")
        };
        table.row([
            escape(&hours.opens).into(),
            escape(&hours.closes).into(),
            escape(&hours.time_zone).into(),
            days.into(),
        ]);
    }
    table
}

fn logs(logs: &[v1::CountedLog]) -> Table {
    let mut table = Table::new(&[
        ("LOG", Fit::Whole),
        ("SIZE", Fit::Right),
        ("ROOT", Fit::Down(12)),
    ]);
    for log in logs {
        table.row([
            escape(&log.origin).into(),
            log.size.to_string().into(),
            hex::encode(&log.root).into(),
        ]);
    }
    table
}

fn figures(figures: &[v1::Figure]) -> Table {
    let mut table = Table::new(&[
        ("FIGURE", Fit::Whole),
        ("VALUE", Fit::Right),
        ("OF", Fit::Whole),
    ]);
    for figure in figures {
        let side = match figure.side.as_str() {
            "" => "both".into(),
            side => escape(side),
        };
        table.row([
            escape(&figure.name).into(),
            figure.value.to_string().into(),
            side.into(),
        ]);
    }
    table
}

fn days(days: &[v1::CalendarDay]) -> Table {
    let mut table = Table::new(&[
        ("DATE", Fit::Whole),
        ("DAY", Fit::Whole),
        ("NAME", Fit::Down(20)),
    ]);
    for day in days {
        let date: Option<jiff::civil::Date> = day.date.parse().ok();
        let weekday = date.map(|date| date.strftime("%a").to_string());
        let names = day.name.iter().flat_map(|name| name.texts.values());
        let names: Vec<_> = names.map(|name| escape(name)).collect();
        table.row([
            escape(&day.date).into(),
            weekday.unwrap_or_default().into(),
            names.join(" · ").into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample;

    fn shown(sample: &str, field: &str) -> String {
        let draft = sample::find(sample).unwrap().draft().unwrap();
        let (heading, table) = of(field, &draft.body.unwrap().body.unwrap()).unwrap();
        format!("{heading}\n{}", table.render(Some(100), false))
    }

    #[test]
    fn hours_figures_and_days_are_read_at_a_glance() {
        for (sample, field, part) in [
            (
                "gate-notice",
                "hours",
                "07:00  17:00   Asia/Ho_Chi_Minh  Mon Tue Wed Thu Fri",
            ),
            (
                "period-report",
                "logs",
                "laocai.bg.vn.example/hekou.ni.cn.example   214  3ab1f813",
            ),
            (
                "period-report",
                "figures",
                "handover.persons          24  hekou.ni.cn.example",
            ),
            (
                "period-report",
                "figures",
                "calls                      9  both",
            ),
            ("calendar", "days_off", "14 weekdays off\n"),
            (
                "calendar",
                "days_off",
                "2026-02-16  Mon  Tết Nguyên đán · 春节",
            ),
            ("calendar", "working_days", "2 weekend days worked\n"),
        ] {
            let shown = shown(sample, field);
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }
}
