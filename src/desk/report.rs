//! The figures of a period, from both logs as far as both sides hold them.

use std::sync::Arc;

use super::Desk;
use super::errors::DeskError;
use super::read::parse_id;
use crate::exchange::period::{Judged, PeriodError};
use crate::exchange::view::PageError;
use crate::exchange::{Link, LogSide};
use crate::limits::{LINE_BYTES_MAX, REPORT_ENTRIES_MAX};
use crate::model::report::compare::Difference;
use crate::model::report::{Entry, Figure, Period, Report, Unit, Value, parse_zone};
use crate::model::text;
use crate::model::time::in_range;
use crate::model::workflow::Millis;
use crate::model::workflow::facts::millis;
use crate::proto::v1;
use jiff::tz::TimeZone;

impl Desk {
    pub(super) fn report(
        &self,
        request: &v1::ReportRequest,
    ) -> Result<v1::ReportResponse, DeskError> {
        let zone = zone_of(&request.time_zone)?;
        let mut answer = if request.period_report.is_empty() {
            self.report_of_period(request, zone.as_ref())?
        } else {
            self.report_again(request, zone.as_ref())?
        };
        self.exchange.node().as_str().clone_into(&mut answer.node);
        answer.time_zone.clone_from(&request.time_zone);
        Ok(answer)
    }

    fn report_of_period(
        &self,
        request: &v1::ReportRequest,
        zone: Option<&TimeZone>,
    ) -> Result<v1::ReportResponse, DeskError> {
        let link = self.link_of(&request.peer)?;
        let period = period_of(request)?;
        let logs = self.exchange.countable(&link)?;
        let sizes = [0, 1].map(|at: usize| logs.get(at).map_or(0, |log| log.size));
        let report = self.exchange.report(&link, period, sizes)?;
        Ok(v1::ReportResponse {
            peer: link.peer.to_string(),
            from: request.from,
            to: request.to,
            not_delivered: link.head().own_size.saturating_sub(sizes[0]),
            figures: figures(&report, request.entries, zone),
            logs,
            ..v1::ReportResponse::default()
        })
    }

    /// A period report, computed again from the entries that it names.
    fn report_again(
        &self,
        request: &v1::ReportRequest,
        zone: Option<&TimeZone>,
    ) -> Result<v1::ReportResponse, DeskError> {
        if request.from.is_some() || request.to.is_some() {
            return Err(DeskError::field(
                "from",
                "a period report names its own period",
                "give periodReport, or from and to",
            ));
        }
        let id = parse_id("periodReport", &request.period_report)?;
        let (link, _) = self.exchange.find(id)?.ok_or(DeskError::NotFound { id })?;
        let judged = self
            .exchange
            .judge_period_report(&link, id)
            .map_err(|error| match error {
                PeriodError::Read(error) => DeskError::Read(error),
                error @ (PeriodError::NotAReport { .. } | PeriodError::NotHere { .. }) => {
                    DeskError::field(
                        "periodReport",
                        error.to_string(),
                        "give the id of a PERIOD_REPORT, as `list` shows it",
                    )
                }
            })?;
        let counted = judged.counted.as_ref();
        Ok(v1::ReportResponse {
            peer: link.peer.to_string(),
            from: judged.stated.from,
            to: judged.stated.to,
            figures: counted.map_or_else(Vec::new, |report| figures(report, request.entries, zone)),
            logs: judged.stated.logs.clone(),
            verdict: Some(verdict(&judged, id.to_string())),
            ..v1::ReportResponse::default()
        })
    }

    /// The link meant; with a single one it need not be named.
    fn link_of(&self, peer: &str) -> Result<Arc<Link>, DeskError> {
        if !peer.is_empty() {
            let peer = peer.to_owned();
            let link = self.exchange.link(&peer).cloned();
            return link.ok_or_else(|| PageError::Peer { peer }.into());
        }
        let mut links = self.exchange.links();
        match (links.next(), links.next()) {
            (Some(link), None) => Ok(Arc::clone(link)),
            _ => Err(DeskError::field(
                "peer",
                "this node has not exactly one link",
                "name the peer whose link is meant",
            )),
        }
    }
}

fn zone_of(text: &str) -> Result<Option<TimeZone>, DeskError> {
    if text.is_empty() {
        return Ok(None);
    }
    let zone = (text.len() <= LINE_BYTES_MAX).then(|| parse_zone(text));
    zone.flatten().map(Some).ok_or_else(|| {
        DeskError::field(
            "timeZone",
            format!("there is no zone {}", text::excerpt(text, 40)),
            "write a zone such as Asia/Ho_Chi_Minh, +07:00 or UTC",
        )
    })
}

fn period_of(request: &v1::ReportRequest) -> Result<Period, DeskError> {
    let instant = |field: &str, time: Option<&prost_types::Timestamp>| {
        let at = time.filter(|at| in_range(at));
        millis(at).ok_or_else(|| {
            DeskError::field(
                field,
                "no time within the years 2000 to 2200 is given",
                "give an instant, such as 2025-01-01T00:00:00+07:00",
            )
        })
    };
    let from = instant("from", request.from.as_ref())?;
    let to = instant("to", request.to.as_ref())?;
    if from < to {
        Ok(Period { from, to })
    } else {
        Err(DeskError::field(
            "to",
            "the period ends before it has begun",
            "give an instant after from",
        ))
    }
}

fn figures(report: &Report, entries: bool, zone: Option<&TimeZone>) -> Vec<v1::ReportFigure> {
    let figures = report.figures.iter();
    figures
        .map(|figure| v1::ReportFigure {
            name: figure.definition.name.clone(),
            side: report.side_name(figure.whose).to_owned(),
            unit: figure.definition.unit.as_str().to_owned(),
            value: figure.value.known(),
            not_computable: match &figure.value {
                Value::NotComputable(why) => why.clone(),
                Value::Known(_) | Value::None => String::new(),
            },
            entries_total: figure.made_of.len() as u64,
            entries: if entries {
                named(report, &figure.made_of)
            } else {
                Vec::new()
            },
            months: zone.map_or_else(Vec::new, |zone| months(report, figure, zone)),
        })
        .collect()
}

/// Months of figures that count something, unless they are all zero.
fn months(report: &Report, figure: &Figure, zone: &TimeZone) -> Vec<v1::ReportMonth> {
    if figure.definition.unit != Unit::Count || figure.made_of.is_empty() {
        return Vec::new();
    }
    let months = figure.by_month(report.period, zone).into_iter();
    months
        .map(|(month, value)| v1::ReportMonth {
            month: month.strftime("%Y-%m").to_string(),
            value,
        })
        .collect()
}

fn named(report: &Report, entries: &[Entry]) -> Vec<v1::ReportEntry> {
    let first = entries.iter().take(REPORT_ENTRIES_MAX);
    first
        .map(|entry| v1::ReportEntry {
            id: entry.id.to_string(),
            side: report.node_of(entry.by).to_string(),
            index: entry.index,
            at: Some(instant(entry.at)),
            amount: entry.amount,
        })
        .collect()
}

fn instant(at: Millis) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    prost_types::Timestamp {
        seconds: at.div_euclid(1_000),
        nanos,
    }
}

fn verdict(judged: &Judged, id: String) -> v1::PeriodVerdict {
    let told = |difference: &Difference, reason: &str| {
        let (total, entries) = match &judged.counted {
            Some(report) => (
                difference.made_of.len() as u64,
                named(report, &difference.made_of),
            ),
            None => (0, Vec::new()),
        };
        v1::PeriodDifference {
            name: difference.name.clone(),
            side: difference.side.clone(),
            stated: difference.stated,
            counted: difference.counted.known(),
            reason: reason.to_owned(),
            entries_total: total,
            entries,
        }
    };
    let why = |difference: &Difference| match (difference.reason, &difference.counted) {
        (Some(reason), _) => reason.to_owned(),
        (None, Value::NotComputable(why)) => format!("not computable here: {why}"),
        (None, Value::None) => "nothing to measure it by".to_owned(),
        (None, Value::Known(_)) => String::new(),
    };
    let differences = judged.differences.iter().map(|d| told(d, &why(d)));
    let left_out = judged
        .left_out
        .iter()
        .map(|d| told(d, "the report counts too few entries"));
    v1::PeriodVerdict {
        id,
        side: match judged.side {
            LogSide::Own => v1::Side::Own as i32,
            LogSide::Mirror => v1::Side::Peer as i32,
        },
        equal: judged.is_equal(),
        differences: differences.chain(left_out).collect(),
        grounds: judged
            .ground
            .iter()
            .map(|fault| format!("{}: {}; {}", fault.field, fault.reason, fault.remedy))
            .collect(),
    }
}
