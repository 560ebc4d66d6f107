//! Charts as SVG within a page: bars and nothing else. Every number that a chart shows stands in
//! text as well.

use super::html::Html;

/// Units of a drawing across its width.
const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 170.0;
/// Room for numbers at the left, and for names below.
const LEFT: f64 = 44.0;
const BELOW: f64 = 20.0;
const ABOVE: f64 = 12.0;
/// Lines across, besides the base.
const LINES: i64 = 4;
/// Names below that fit beside each other.
const NAMES_MAX: usize = 24;

/// Classes of the series, in order; colours and shades stand in the page's style.
const SERIES: [&str; 3] = ["series0", "series1", "series2"];

/// One row of bars for each name, and in it one for each series.
#[derive(Debug, Clone, Copy)]
pub struct Bars<'a> {
    /// What stands below.
    pub names: &'a [String],
    /// For each series, a value for each name; at most three series.
    pub series: &'a [Vec<i64>],
    /// What the drawing is, for those who do not see it.
    pub description: &'a str,
}

/// Bars that stand side by side.
pub fn upright(html: &mut Html, bars: &Bars<'_>) {
    let most = bars.series.iter().flatten().copied().max().unwrap_or(0);
    let step = step_of(most);
    let top = step.saturating_mul(LINES);
    let plot = HEIGHT - BELOW - ABOVE;
    let y = |value: i64| ABOVE + plot - plot * ratio(value, top);
    let view = format!("0 0 {WIDTH} {HEIGHT}");
    let svg = [
        ("class", "chart"),
        ("viewBox", view.as_str()),
        ("role", "img"),
        ("aria-label", bars.description),
    ];
    html.with("svg", &svg, |html| {
        for line in 0..=LINES {
            let value = step.saturating_mul(line);
            let at = number(y(value));
            rule(html, &at);
            let label = [
                ("x", number(LEFT - 5.0)),
                ("y", number(y(value) + 3.5)),
                ("text-anchor", "end".to_owned()),
            ];
            drawn(html, "text", &label, |html| html.text(&value.to_string()));
        }
        let count = bars.names.len().max(1);
        let slot = (WIDTH - LEFT) / float(count);
        let gap = (slot * 0.15).min(8.0);
        let width = (slot - 2.0 * gap) / float(bars.series.len().max(1));
        for (position, name) in bars.names.iter().enumerate() {
            let start = LEFT + slot * float(position);
            for (series, values) in bars.series.iter().enumerate().take(SERIES.len()) {
                let value = values.get(position).copied().unwrap_or_default();
                if value > 0 {
                    let x = start + gap + width * float(series);
                    let rect = [
                        ("class", SERIES[series].to_owned()),
                        ("x", number(x)),
                        ("y", number(y(value))),
                        ("width", number((width - 0.6).max(0.5))),
                        ("height", number(y(0) - y(value))),
                    ];
                    drawn(html, "rect", &rect, |html| {
                        html.element("title", |html| html.text(&format!("{name}: {value}")));
                    });
                }
            }
            if count <= NAMES_MAX || position % count.div_ceil(NAMES_MAX) == 0 {
                let label = [
                    ("x", number(start + slot / 2.0)),
                    ("y", number(HEIGHT - 6.0)),
                    ("text-anchor", "middle".to_owned()),
                ];
                drawn(html, "text", &label, |html| html.text(name));
            }
        }
    });
}

fn rule(html: &mut Html, at: &str) {
    let line = [
        ("class", "rule".to_owned()),
        ("x1", number(LEFT)),
        ("x2", number(WIDTH)),
        ("y1", at.to_owned()),
        ("y2", at.to_owned()),
    ];
    drawn(html, "line", &line, |_| {});
}

/// A bar of one part for each series, as long as `most` allows.
pub fn lying(html: &mut Html, parts: &[i64], most: i64, description: &str) {
    let svg = [
        ("class", "bar"),
        ("viewBox", "0 0 200 10"),
        ("preserveAspectRatio", "none"),
        ("role", "img"),
        ("aria-label", description),
    ];
    html.with("svg", &svg, |html| {
        let mut x = 0.0;
        for (part, class) in parts.iter().zip(SERIES) {
            let width = 200.0 * ratio(*part, most);
            let rect = [
                ("class", class.to_owned()),
                ("x", number(x)),
                ("y", "0".to_owned()),
                ("width", number(width)),
                ("height", "10".to_owned()),
            ];
            drawn(html, "rect", &rect, |_| {});
            x += width;
        }
    });
}

/// An element of a drawing, with attributes that were calculated.
pub(super) fn drawn(
    html: &mut Html,
    name: &'static str,
    attributes: &[(&'static str, String)],
    within: impl FnOnce(&mut Html),
) {
    let attributes: Vec<(&'static str, &str)> = attributes
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    html.with(name, &attributes, within);
}

/// The distance of the lines: 1, 2 or 5 times a power of ten, at which `most` fits.
fn step_of(most: i64) -> i64 {
    let mut power: i64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = power.saturating_mul(factor);
            if step.saturating_mul(LINES) >= most {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

fn ratio(value: i64, of: i64) -> f64 {
    if of <= 0 {
        return 0.0;
    }
    (precise(value.max(0)) / precise(of)).min(1.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a drawing is as exact as its paper"
)]
fn precise(value: i64) -> f64 {
    value as f64
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// A length with one digit behind the point.
fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_round_numbers_that_hold_everything() {
        for (most, step) in [
            (0, 1),
            (4, 1),
            (5, 2),
            (8, 2),
            (9, 5),
            (20, 5),
            (21, 10),
            (679, 200),
        ] {
            assert_eq!(step_of(most), step, "{most}");
        }
        assert!(step_of(i64::MAX) > 0);
    }

    #[test]
    fn bars_have_the_lengths_of_their_numbers() {
        let mut html = Html::new();
        lying(&mut html, &[25, 50], 100, "a <chart>");
        let drawn = html.as_str();
        assert!(
            drawn.contains("x=\"0.0\" y=\"0\" width=\"50.0\""),
            "{drawn}"
        );
        assert!(
            drawn.contains("x=\"50.0\" y=\"0\" width=\"100.0\""),
            "{drawn}"
        );
        assert!(drawn.contains("aria-label=\"a &lt;chart&gt;\""));
    }

    #[test]
    fn hostile_names_stay_names_and_odd_numbers_draw_nothing_odd() {
        let names = ["</svg><script>".to_owned(), "b".to_owned()];
        let series = [vec![3, i64::MAX], vec![-7]];
        let bars = Bars {
            names: &names,
            series: &series,
            description: "\"><script>",
        };
        let mut html = Html::new();
        upright(&mut html, &bars);
        let drawn = html.as_str();
        assert!(!drawn.contains("<script") && !drawn.contains("NaN") && !drawn.contains("inf"));
        assert_eq!(drawn.matches("<rect").count(), 2);
        let nothing = Bars {
            names: &[],
            series: &[],
            description: "",
        };
        upright(&mut html, &nothing);
    }
}
