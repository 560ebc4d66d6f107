//! Which drawings the figures give.

use std::collections::BTreeMap;

use super::LoadRun;
use crate::document::plot::{Axis, Plot, Scale, Series, svg};

/// Loads of more kinds than this get no bounds beside them: nobody could tell the lines apart.
const BOUNDED_LOADS_MAX: usize = 1;
/// Loads in one drawing.
const LOADS_MAX: usize = 4;

/// Where a run stands.
type Place = fn(&LoadRun) -> f64;
/// One number of a run, if it has it.
type Figure = fn(&LoadRun) -> Option<f64>;

/// One drawing.
struct Wanted {
    file: &'static str,
    title: &'static str,
    scenario: &'static str,
    x: (&'static str, Place),
    y: (&'static str, Scale),
    /// What the lines are, behind the name of the load, and their numbers.
    lines: &'static [(&'static str, Figure)],
    /// Whether the bounds of throughput stand beside them.
    bounded: bool,
}

const A_SECOND: &str = "notifications a second";
const THROUGHPUT: &[(&str, Figure)] = &[("", |run| Some(run.per_second))];
const BOUNDS: [(&str, Figure); 2] = [
    ("bound of this store", |run| {
        Some(run.bounds.as_ref()?.this_store_per_second)
    }),
    ("store-free bound", |run| {
        Some(run.bounds.as_ref()?.store_free_per_second)
    }),
];

const WANTED: [Wanted; 4] = [
    Wanted {
        file: "throughput-over-window.svg",
        title: "Throughput, receipt verified and durable, over the window",
        scenario: "throughput",
        x: ("notifications on their way at a time", |run| {
            number(run.window)
        }),
        y: (A_SECOND, Scale::Linear),
        lines: THROUGHPUT,
        bounded: true,
    },
    Wanted {
        file: "latency-over-window.svg",
        title: "From Submit to the verified receipt, over the window",
        scenario: "throughput",
        x: ("notifications on their way at a time", |run| {
            number(run.window)
        }),
        y: ("ms", Scale::Logarithmic),
        lines: &[
            ("p50", |run| Some(run.receipt_verified.p50 / 1e3)),
            ("p99", |run| Some(run.receipt_verified.p99 / 1e3)),
        ],
        bounded: false,
    },
    Wanted {
        file: "throughput-over-entries.svg",
        title: "Throughput as the log grows",
        scenario: "growth",
        x: ("entries in the log before", |run| {
            number(run.entries_before)
        }),
        y: (A_SECOND, Scale::Linear),
        lines: THROUGHPUT,
        bounded: true,
    },
    Wanted {
        file: "throughput-over-links.svg",
        title: "Total throughput of one node, over its links",
        scenario: "links",
        x: ("links in use at once", |run| number(run.links)),
        y: (A_SECOND, Scale::Linear),
        lines: THROUGHPUT,
        bounded: true,
    },
];

/// Name and content of each drawing for which there are at least two places.
pub(super) fn drawings(runs: &[LoadRun], source: &str) -> Vec<(&'static str, String)> {
    WANTED
        .iter()
        .filter_map(|wanted| Some((wanted.file, drawing(wanted, runs, source)?)))
        .collect()
}

fn drawing(wanted: &Wanted, runs: &[LoadRun], source: &str) -> Option<String> {
    let mut loads: BTreeMap<(u64, &str), Vec<&LoadRun>> = BTreeMap::new();
    for run in runs
        .iter()
        .filter(|run| run.scenario == wanted.scenario && run.peer.is_none())
    {
        loads
            .entry((run.payload_bytes, &run.mix))
            .or_default()
            .push(run);
    }
    let is_bounded = wanted.bounded && loads.len() <= BOUNDED_LOADS_MAX;
    let mut series = Vec::new();
    for ((bytes, mix), runs) in loads.iter().take(LOADS_MAX / wanted.lines.len()) {
        let load = format!("{bytes} bytes, {}", super::shown(mix));
        for (what, figure) in wanted.lines {
            let name = if what.is_empty() {
                load.clone()
            } else {
                format!("{what}, {load}")
            };
            series.push(line(name, false, wanted.x.1, *figure, runs));
        }
        for (name, bound) in BOUNDS.iter().filter(|_| is_bounded) {
            series.push(line((*name).to_owned(), true, wanted.x.1, *bound, runs));
        }
    }
    let measured = series.iter().filter(|series| !series.is_bound);
    let places = measured.map(|series| series.points.len()).max()?;
    (places > 1).then(|| {
        svg(&Plot {
            title: wanted.title,
            source,
            x: Axis {
                label: wanted.x.0,
                scale: Scale::Logarithmic,
            },
            y: Axis {
                label: wanted.y.0,
                scale: wanted.y.1,
            },
            series: &series,
        })
    })
}

/// From left to right, the median of what was measured at each place.
fn line(name: String, is_bound: bool, x: Place, y: Figure, runs: &[&LoadRun]) -> Series {
    let mut places: Vec<(f64, Vec<f64>)> = Vec::new();
    for run in runs {
        let (at, Some(value)) = (x(run), y(run)) else {
            continue;
        };
        match places
            .iter_mut()
            .find(|(place, _)| place.total_cmp(&at).is_eq())
        {
            Some((_, values)) => values.push(value),
            None => places.push((at, vec![value])),
        }
    }
    places.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let median = |(at, values): (f64, Vec<f64>)| (at, super::super::median(&values));
    Series {
        name,
        is_bound,
        points: places.into_iter().map(median).collect(),
    }
}

/// A count, as exactly as paper shows it.
#[expect(
    clippy::cast_precision_loss,
    reason = "a drawing is as exact as its paper"
)]
fn number(count: u64) -> f64 {
    count as f64
}
