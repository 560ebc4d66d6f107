//! Lines over a measured quantity, as an SVG file that stands by itself.
//!
//! The same plot is the same bytes: no time, no random names, lengths with one digit behind the
//! point. Every point tells its numbers when it is pointed at, and stands in a table elsewhere.

use super::chart::drawn;
use super::html::Html;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// The field of the lines: its left, right, upper and lower edge.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 322.0;
/// The first name of a series, and the lines between names.
const NAMES_TOP: f64 = 46.0;
const NAMES_STEP: f64 = 18.0;
/// Columns of names above the field; more would run into each other.
const NAMES_COLUMNS: usize = 2;
/// Lines across on a linear scale, besides the base, at most.
const LINES: f64 = 6.0;
/// Series that are told apart by their colour; those beyond begin again.
const COLOURS: usize = 5;

/// Text and lines follow the reader's light or dark; the colours are told apart by those who see
/// red and green alike (Okabe and Ito, 2008).
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.head{font-size:15px;font-weight:600}\
    .small{font-size:11px;fill:#57606a}.rule{stroke:#d0d7de;stroke-width:1}.line{fill:none;stroke-width:2}\
    .bound{stroke-dasharray:6 4}.c0{stroke:#0072b2}.c1{stroke:#d55e00}.c2{stroke:#009e73}.c3{stroke:#cc79a7}\
    .c4{stroke:#8a6d00}.d0{fill:#0072b2}.d1{fill:#d55e00}.d2{fill:#009e73}.d3{fill:#cc79a7}.d4{fill:#8a6d00}\
    @media (prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.rule{stroke:#3d444d}\
    .c0{stroke:#56b4e9}.d0{fill:#56b4e9}.c4{stroke:#f0e442}.d4{fill:#f0e442}}";

const LINE_CLASSES: [&str; COLOURS] = ["line c0", "line c1", "line c2", "line c3", "line c4"];
const BOUND_CLASSES: [&str; COLOURS] = [
    "line bound c0",
    "line bound c1",
    "line bound c2",
    "line bound c3",
    "line bound c4",
];
const DOT_CLASSES: [&str; COLOURS] = ["d0", "d1", "d2", "d3", "d4"];

/// How numbers become lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From 0.
    Linear,
    /// Each factor is as long as any other. A 0 stands a tenth below the smallest other number;
    /// what is below 0 is not drawn.
    Logarithmic,
}

/// What one direction of a plot measures.
#[derive(Debug, Clone, Copy)]
pub struct Axis<'a> {
    /// With its unit.
    pub label: &'a str,
    /// How far apart its numbers are.
    pub scale: Scale,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// As it stands above the plot.
    pub name: String,
    /// Computed, not measured: drawn dashed and without dots.
    pub is_bound: bool,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// Some lines over one quantity.
#[derive(Debug, Clone, Copy)]
pub struct Plot<'a> {
    /// What it shows, at the top.
    pub title: &'a str,
    /// What it was measured on, at the bottom.
    pub source: &'a str,
    /// To the right; each number that was measured is named below.
    pub x: Axis<'a>,
    /// Upwards.
    pub y: Axis<'a>,
    /// The lines.
    pub series: &'a [Series],
}

/// The lengths of one direction.
struct Ruler {
    scale: Scale,
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Ruler {
    /// Where a number lies; `None` if it cannot be drawn.
    fn at(&self, value: f64) -> Option<f64> {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic if value == 0.0 => self.from,
            Scale::Logarithmic => value.log10(),
        };
        let span = self.to - self.from;
        let part = if span > 0.0 {
            (value - self.from) / span
        } else {
            0.5
        };
        let at = self.start + part * (self.end - self.start);
        (at.is_finite() && (-1e-9..=1.0 + 1e-9).contains(&part)).then_some(at)
    }
}

/// Draws a plot as a whole file.
#[must_use]
pub fn svg(plot: &Plot<'_>) -> String {
    let drawable = |value: f64| value.is_finite() && value >= 0.0;
    let points = || {
        let all = plot.series.iter().flat_map(|series| &series.points);
        all.copied().filter(|(x, y)| drawable(*x) && drawable(*y))
    };
    let mut columns: Vec<f64> = points().map(|(x, _)| x).collect();
    columns.sort_unstable_by(f64::total_cmp);
    columns.dedup();
    let heights: Vec<f64> = points().map(|(_, y)| y).collect();
    let lines = ticks(plot.y.scale, &heights);
    let x = across(plot.x.scale, &columns);
    let y = upwards(plot.y.scale, &lines);

    let mut html = Html::new();
    let view = format!("0 0 {WIDTH} {HEIGHT}");
    let root = [
        ("xmlns", "http://www.w3.org/2000/svg"),
        ("viewBox", view.as_str()),
        ("role", "img"),
        ("aria-label", plot.title),
    ];
    html.with("svg", &root, |html| {
        html.element("style", |html| html.text(STYLE));
        written(html, "head", "start", 16.0, 24.0, plot.title);
        names(html, plot.series);
        for line in &lines {
            let Some(at) = y.at(*line) else { continue };
            let rule = [
                ("class", "rule".to_owned()),
                ("x1", length(LEFT)),
                ("x2", length(RIGHT)),
                ("y1", length(at)),
                ("y2", length(at)),
            ];
            drawn(html, "line", &rule, |_| {});
            written(html, "tick", "end", LEFT - 8.0, at + 4.5, &number(*line));
        }
        let mut free_from = f64::MIN;
        for column in &columns {
            let Some(at) = x.at(*column) else { continue };
            let name = number(*column);
            // A name that would lie on the one before it is left out.
            let half = 4.0 * wide(&name);
            if at - half >= free_from {
                written(html, "tick", "middle", at, BOTTOM + 20.0, &name);
                free_from = at + half + 8.0;
            }
        }
        written(
            html,
            "axis",
            "middle",
            f64::midpoint(LEFT, RIGHT),
            BOTTOM + 42.0,
            plot.x.label,
        );
        written(html, "axis", "start", 16.0, TOP - 10.0, plot.y.label);
        written(html, "small", "start", 16.0, HEIGHT - 8.0, plot.source);
        for (position, series) in plot.series.iter().enumerate() {
            line(html, position % COLOURS, series, &x, &y);
        }
    });
    format!("{}\n", html.as_str())
}

fn across(scale: Scale, columns: &[f64]) -> Ruler {
    let (from, to) = match scale {
        Scale::Linear => (0.0, columns.last().copied().unwrap_or(1.0)),
        Scale::Logarithmic => decades(columns),
    };
    Ruler {
        scale,
        from,
        to,
        start: LEFT + 20.0,
        end: RIGHT - 20.0,
    }
}

fn upwards(scale: Scale, lines: &[f64]) -> Ruler {
    let (first, last) = (lines.first().copied(), lines.last().copied());
    let (from, to) = match (scale, first.zip(last)) {
        (_, None) => (0.0, 1.0),
        (Scale::Linear, Some((_, last))) => (0.0, last),
        (Scale::Logarithmic, Some((first, last))) => (first.log10(), last.log10()),
    };
    Ruler {
        scale,
        from,
        to,
        start: BOTTOM,
        end: TOP,
    }
}

/// The exponents between which all numbers lie, and 0 a tenth below the smallest of the others.
fn decades(values: &[f64]) -> (f64, f64) {
    let positive = || values.iter().copied().filter(|value| *value > 0.0);
    let (least, most) = (
        positive().fold(f64::MAX, f64::min),
        positive().fold(0.0, f64::max),
    );
    if most <= 0.0 {
        return (0.0, 0.0);
    }
    let has_zero = values.contains(&0.0);
    (least.log10() - f64::from(u8::from(has_zero)), most.log10())
}

/// The numbers at the lines across: round, and around all that is drawn.
fn ticks(scale: Scale, heights: &[f64]) -> Vec<f64> {
    let most = heights.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return Vec::new();
    }
    match scale {
        Scale::Linear => {
            let power = 10_f64.powf((most / LINES).log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
            let step = step
                .into_iter()
                .find(|step| step * LINES >= most)
                .unwrap_or(most);
            let mut lines = vec![0.0];
            let mut count = 0.0;
            while count * step < most && count < LINES {
                count += 1.0;
                lines.push(count * step);
            }
            lines
        }
        Scale::Logarithmic => {
            let (from, to) = decades(heights);
            let factors: &[f64] = if to - from <= 3.0 {
                &[1.0, 2.0, 5.0]
            } else {
                &[1.0]
            };
            let mut lines: Vec<f64> = Vec::new();
            let mut exponent = from.floor();
            // Past 1e300 nothing is a measurement.
            while exponent <= to.ceil().min(300.0) {
                lines.extend(factors.iter().map(|factor| factor * 10_f64.powf(exponent)));
                exponent += 1.0;
            }
            let (least, most) = (10_f64.powf(from), 10_f64.powf(to));
            let below = lines.iter().rposition(|line| *line <= least * (1.0 + 1e-9));
            let above = lines.iter().position(|line| *line >= most * (1.0 - 1e-9));
            match (below, above) {
                (Some(below), Some(above)) if below <= above => lines[below..=above].to_vec(),
                _ => lines,
            }
        }
    }
}

fn names(html: &mut Html, series: &[Series]) {
    // Two rows stand above the field; further ones would stand in it.
    for (position, one) in series.iter().enumerate().take(2 * NAMES_COLUMNS) {
        let (row, column) = (position / NAMES_COLUMNS, position % NAMES_COLUMNS);
        let left = LEFT + 90.0 + float(column) * 290.0;
        let at = NAMES_TOP + float(row) * NAMES_STEP - 4.5;
        let mark = [
            ("class", class_of(one, position).to_owned()),
            ("d", format!("M{} {}h24", length(left), length(at))),
        ];
        drawn(html, "path", &mark, |_| {});
        written(html, "name", "start", left + 32.0, at + 4.5, &one.name);
    }
}

fn class_of(series: &Series, position: usize) -> &'static str {
    let classes = if series.is_bound {
        BOUND_CLASSES
    } else {
        LINE_CLASSES
    };
    classes[position % COLOURS]
}

fn line(html: &mut Html, colour: usize, series: &Series, x: &Ruler, y: &Ruler) {
    let placed: Vec<_> = series
        .points
        .iter()
        .filter(|(right, up)| right.is_finite() && up.is_finite() && *right >= 0.0 && *up >= 0.0)
        .filter_map(|(right, up)| Some((x.at(*right)?, y.at(*up)?, *right, *up)))
        .collect();
    let path: Vec<String> = placed
        .iter()
        .map(|(x, y, ..)| format!("{} {}", length(*x), length(*y)))
        .collect();
    if path.len() > 1 {
        let path = [
            ("class", class_of(series, colour).to_owned()),
            ("d", format!("M{}", path.join("L"))),
        ];
        drawn(html, "path", &path, |_| {});
    }
    if series.is_bound {
        return;
    }
    for (at_x, at_y, right, up) in placed {
        let dot = [
            ("class", DOT_CLASSES[colour].to_owned()),
            ("cx", length(at_x)),
            ("cy", length(at_y)),
            ("r", "4".to_owned()),
        ];
        drawn(html, "circle", &dot, |html| {
            let told = format!("{}: {} at {}", series.name, number(up), number(right));
            html.element("title", |html| html.text(&told));
        });
    }
}

fn written(html: &mut Html, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
    let place = [
        ("class", class.to_owned()),
        ("x", length(x)),
        ("y", length(y)),
        ("text-anchor", anchor.to_owned()),
    ];
    drawn(html, "text", &place, |html| html.text(text));
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

fn wide(text: &str) -> f64 {
    float(text.chars().count())
}

fn length(value: f64) -> String {
    format!("{value:.1}")
}

/// A number as people read it: at most three digits behind the point, thousands apart, millions
/// as `M`.
fn number(value: f64) -> String {
    if value >= 1e6 {
        let millions = format!("{:.2}", value / 1e6);
        return format!("{} M", trimmed(&millions));
    }
    if value < 100.0 {
        let digits = format!("{value:.3}");
        return trimmed(&digits).to_owned();
    }
    let whole = format!("{value:.0}");
    match whole.len().checked_sub(3) {
        Some(at) if at > 0 => format!("{},{}", &whole[..at], &whole[at..]),
        _ => whole,
    }
}

fn trimmed(digits: &str) -> &str {
    digits.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, series: &[Series]) -> String {
        svg(&Plot {
            title: "a <plot>",
            source: "a machine",
            x: Axis {
                label: "window",
                scale: Scale::Logarithmic,
            },
            y: Axis {
                label: "per second",
                scale,
            },
            series,
        })
    }

    fn series(points: &[(f64, f64)]) -> Series {
        Series {
            name: "letters".to_owned(),
            is_bound: false,
            points: points.to_vec(),
        }
    }

    #[test]
    fn points_lie_where_their_numbers_say() {
        let drawn = plot(
            Scale::Linear,
            &[series(&[(1.0, 0.0), (10.0, 3_000.0), (100.0, 6_000.0)])],
        );
        // The field begins 20 from its edges; 6,000 is a round number, and so the upper edge.
        assert!(
            drawn.contains("d=\"M98.0 322.0L389.0 203.0L680.0 84.0\""),
            "{drawn}"
        );
        assert!(drawn.contains("<title>letters: 6,000 at 100</title>"));
        assert!(drawn.contains("aria-label=\"a &lt;plot&gt;\""));
        assert_eq!(drawn.matches("<circle").count(), 3);
    }

    #[test]
    fn nothing_is_drawn_of_what_is_no_length() {
        let odd = [
            (f64::NAN, 1.0),
            (1.0, f64::INFINITY),
            (-1.0, 5.0),
            (2.0, -1.0),
            (4.0, 7.0),
        ];
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let drawn = plot(scale, &[series(&odd)]);
            assert_eq!(drawn.matches("<circle").count(), 1, "{drawn}");
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
            let nothing = plot(scale, &[]);
            assert!(!nothing.contains("NaN") && !nothing.contains("<circle"));
        }
    }

    #[test]
    fn an_empty_log_has_its_place_left_of_the_others() {
        let drawn = plot(
            Scale::Linear,
            &[series(&[(0.0, 1.0), (1_000.0, 1.0), (10_000.0, 1.0)])],
        );
        assert!(
            drawn.contains("M98.0 84.0L389.0 84.0L680.0 84.0"),
            "{drawn}"
        );
    }

    #[test]
    fn lines_across_are_round_and_around_everything() {
        assert_eq!(
            ticks(Scale::Linear, &[7_100.0]),
            [0.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0]
        );
        assert_eq!(
            ticks(Scale::Logarithmic, &[0.3, 45.0]),
            [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
        );
        assert_eq!(
            ticks(Scale::Logarithmic, &[3.0, 99_000.0]),
            [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0]
        );
        assert!(ticks(Scale::Linear, &[]).is_empty());
    }

    #[test]
    fn numbers_are_written_as_people_read_them() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (4_096.0, "4,096"),
            (120.4, "120"),
            (250_000.0, "250,000"),
            (1e6, "1 M"),
            (2.5e6, "2.5 M"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
