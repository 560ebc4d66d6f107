//! What was found, beside what was published; and how to look at it.

use std::time::Duration;

use super::{Lived, Pair, seconds};
use crate::cli::connect::quoted;
use crate::cli::demo::program;
use crate::cli::demo::sides::Side as Member;
use crate::cli::exit::Failure;
use crate::cli::print::Screen;
use crate::cli::table::{Cell, Fit, Style, Table, pad};
use crate::model::sample::year::Published;
use crate::proto::v1;

pub(super) fn introduce(pairs: &[Pair], screen: Screen) -> Result<(), Failure> {
    screen.styled(
        "The year 2025 of two pairs, through four nodes and two links",
        Style::Bold,
    )?;
    for pair in pairs {
        for side in [&pair.sides.vn, &pair.sides.cn] {
            screen.line(format!("  {}  {}", pad(side.place, 8), side.node))?;
        }
    }
    screen.line(
        "  The volumes are those that both pairs have published; every person, office, letter\n  \
         and case is invented. The nodes go by a clock that is set to the hour of each message.\n",
    )
}

/// Sets what both sides count beside what was published; says whether all of it is right.
pub(super) fn tell(pair: &Pair, lived: &Lived, screen: Screen) -> Result<bool, Failure> {
    let [vn, cn] = pair.year.places;
    screen.line("")?;
    screen.styled(
        &format!("{}: the figures of 2025", pair.year.pair),
        Style::Bold,
    )?;
    let mut table = Table::new(&[
        ("", Fit::Whole),
        ("", Fit::Whole),
        ("PUBLISHED", Fit::Right),
        (vn, Fit::Right),
        (cn, Fit::Right),
    ]);
    let mut is_right = true;
    for published in pair.year.published {
        let counted = lived.joint.reports.each_ref();
        let counted = counted.map(|report| value(report, published, pair));
        let mut cells = vec![
            Cell::from("  "),
            Cell::from(published.words),
            Cell::from(published.value.to_string()),
        ];
        for value in counted {
            let is_equal = value == Some(published.value);
            is_right &= is_equal;
            let (mark, style) = if is_equal {
                ("✓", Style::Good)
            } else {
                ("✗", Style::Bad)
            };
            let value = value.map_or_else(|| "–".to_owned(), |value| value.to_string());
            cells.push(Cell::styled(format!("{value} {mark}"), style));
        }
        table.row(cells);
    }
    screen.table(&table)?;
    let sizes: Vec<String> = lived.joint.reports[0]
        .logs
        .iter()
        .map(|log| log.size.to_string())
        .collect();
    screen.line(format!(
        "    Counted from {} entries. The joint report of the year is signed by both:\n      {}",
        sizes.join(" + "),
        lived.joint.id
    ))?;
    lived.judged.tell(screen)?;
    Ok(is_right && lived.judged.is_clean())
}

fn value(report: &v1::ReportResponse, published: &Published, pair: &Pair) -> Option<i64> {
    let side = published
        .side
        .map_or("", |side| pair.year.node(side).as_str());
    let mut figures = report.figures.iter();
    let figure = figures.find(|figure| figure.name == published.figure && figure.side == side)?;
    figure.value
}

pub(super) fn end(
    pairs: &[Pair],
    (replayed, all): (Duration, Duration),
    screen: Screen,
) -> Result<(), Failure> {
    let events: usize = pairs.iter().map(|pair| pair.year.events.len()).sum();
    screen.line(format!(
        "\nThe year took {} for {events} messages; with its figures and exports, {}.",
        seconds(replayed),
        seconds(all)
    ))
}

/// How to go on when the nodes are stopped.
pub(super) fn suggest_starting(pairs: &[Pair], screen: Screen) -> Result<(), Failure> {
    screen.line("")?;
    screen.styled(
        "The nodes are stopped; start those that you want to look at:",
        Style::Bold,
    )?;
    screen.line("")?;
    let program = program();
    for side in members(pairs) {
        screen.line(format!(
            "  {program} --config {} node run",
            quoted(&side.config)
        ))?;
    }
    screen.line("")?;
    commands(pairs, screen)
}

/// What to try while the nodes run.
pub(super) fn suggest_looking(pairs: &[Pair], screen: Screen) -> Result<(), Failure> {
    screen.line("")?;
    screen.styled(
        "All four nodes keep running until Ctrl-C, by this machine's clock. In another terminal, here:",
        Style::Bold,
    )?;
    screen.line("")?;
    commands(pairs, screen)
}

fn commands(pairs: &[Pair], screen: Screen) -> Result<(), Failure> {
    let program = program();
    for side in members(pairs) {
        let alias = side.node.as_str().split('.').next().unwrap_or_default();
        let config = quoted(&side.config);
        screen.line(format!("  alias {alias}='{program} --config {config}'"))?;
    }
    let Some(Pair { sides, .. }) = pairs.first() else {
        return Ok(());
    };
    screen.line(format!(
        "
  langson report --from 2025-01-01 --to 2025-12-31
  langson report --from 2025-01-01 --to 2025-12-31 --format html --out year.html
  guangxi due
  honghe case list --all --kind handover-request
  {program} audit verify {} --trust {}",
        quoted(&sides.export_of(&sides.vn)),
        quoted(&sides.trusted_keys_file()),
    ))
}

fn members(pairs: &[Pair]) -> impl Iterator<Item = &Member> {
    let sides = pairs.iter().map(|pair| &pair.sides);
    sides.flat_map(|sides| [&sides.vn, &sides.cn])
}
