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
    /// Whether that is the window; else runs with different windows are different loads.
    over_window: bool,
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
        over_window: true,
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
        over_window: true,
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
        x: ("entries in the log before the first round", |run| {
            number(run.entries_before)
        }),
        over_window: false,
        y: (A_SECOND, Scale::Linear),
        lines: THROUGHPUT,
        bounded: true,
    },
    Wanted {
        file: "throughput-over-links.svg",
        title: "Total throughput of one node, over its links",
        scenario: "links",
        x: ("links in use at once", |run| number(run.links)),
        over_window: false,
        y: (A_SECOND, Scale::Linear),
        lines: THROUGHPUT,
        bounded: true,
    },
];

/// What makes figures comparable: loads that differ in any of it are different lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Load<'a> {
    payload_bytes: u64,
    mix: &'a str,
    by: &'a str,
    until: &'a str,
    watch: Option<&'a str>,
    /// Nothing in a drawing over the window.
    window: Option<u64>,
}

impl<'a> Load<'a> {
    fn of(run: &'a LoadRun, wanted: &Wanted) -> Self {
        Self {
            payload_bytes: run.payload_bytes,
            mix: &run.mix,
            by: &run.by,
            until: &run.window_until,
            watch: run.watch.as_deref(),
            window: (!wanted.over_window).then_some(run.window),
        }
    }

    /// Its name: size and kinds, and what else is not alike in all of them.
    fn name(&self, all: &[&Self]) -> String {
        let mut name = format!("{} bytes, {}", self.payload_bytes, super::shown(self.mix));
        let mut add = |differs: bool, what: String| {
            if differs {
                name.push_str(", ");
                name.push_str(&super::shown(&what));
            }
        };
        let differs = |is_other: &dyn Fn(&Self) -> bool| all.iter().any(|load| is_other(load));
        add(differs(&|load| load.by != self.by), self.by.to_owned());
        add(
            differs(&|load| load.until != self.until),
            format!("until {}", self.until),
        );
        add(
            differs(&|load| load.watch != self.watch),
            self.watch.unwrap_or("not watched").to_owned(),
        );
        if let Some(window) = self.window {
            add(
                differs(&|load| load.window != self.window),
                format!("window {window}"),
            );
        }
        name
    }
}

/// Name and content of each drawing for which there are at least two places, and what they leave out.
pub(super) fn drawings(
    runs: &[LoadRun],
    source: &str,
) -> (Vec<(&'static str, String)>, Vec<String>) {
    let mut left_out = Vec::new();
    let with_peer = runs.iter().filter(|run| run.peer.is_some()).count();
    if with_peer > 0 {
        left_out.push(format!(
            "of runs with a real peer nothing is drawn: left out {with_peer}"
        ));
    }
    let drawings = WANTED
        .iter()
        .filter_map(|wanted| Some((wanted.file, drawing(wanted, runs, source, &mut left_out)?)))
        .collect();
    (drawings, left_out)
}

fn drawing(
    wanted: &Wanted,
    runs: &[LoadRun],
    source: &str,
    left_out: &mut Vec<String>,
) -> Option<String> {
    let mut loads: BTreeMap<Load<'_>, Vec<&LoadRun>> = BTreeMap::new();
    for run in runs
        .iter()
        .filter(|run| run.scenario == wanted.scenario && run.peer.is_none())
    {
        loads.entry(Load::of(run, wanted)).or_default().push(run);
    }
    if loads.is_empty() {
        return None;
    }
    let is_bounded = wanted.bounded && loads.len() <= BOUNDED_LOADS_MAX;
    let all: Vec<&Load<'_>> = loads.keys().collect();
    let mut series = Vec::new();
    let mut without: Vec<String> = Vec::new();
    for (position, (load, runs)) in loads.iter().enumerate() {
        let load = load.name(&all);
        if position >= LOADS_MAX / wanted.lines.len() {
            without.push(format!("{load} ({})", runs.len()));
            continue;
        }
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
    if places < 2 {
        left_out.push(format!(
            "{} is not drawn: no two figures of one load lie beside each other",
            wanted.file
        ));
        return None;
    }
    if !without.is_empty() {
        left_out.push(format!(
            "{} is without these loads, and their runs: {}",
            wanted.file,
            without.join("; ")
        ));
    }
    if wanted.bounded && !is_bounded {
        left_out.push(format!(
            "{} is without bounds: it shows several loads, each of which has its own",
            wanted.file
        ));
    }
    Some(svg(&Plot {
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
    }))
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
