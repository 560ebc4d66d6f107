//! A report on a terminal.

use crate::cli::print::Screen;
use crate::cli::table::{Cell, Fit, Style, Table, pad, wrap};
use crate::document::report::{Report, value};
use crate::model::report::Group;
use crate::model::text::escape;
use crate::proto::v1;

/// Every figure with something to say, under the headings of their groups.
pub(super) fn table(report: &Report<'_>, screen: Screen) -> String {
    let mut out = String::new();
    let answer = report.answer;
    line(&mut out, "period", &report.period(), screen);
    line(&mut out, "zone", &escape(&answer.time_zone), screen);
    line(&mut out, "own side", &escape(&answer.node), screen);
    line(&mut out, "peer", &escape(&answer.peer), screen);
    let sizes: Vec<String> = answer.logs.iter().map(|log| log.size.to_string()).collect();
    let counted = format!("{} entries, those that both sides hold", sizes.join(" + "));
    line(&mut out, "counted", &counted, screen);
    if answer.not_delivered > 0 {
        let waiting = format!(
            "{} own entries that the peer does not hold yet",
            answer.not_delivered
        );
        line(&mut out, "not counted", &waiting, screen);
    }
    out.push('\n');
    let mut table = Table::new(&[
        ("FIGURE", Fit::Down(24)),
        ("OWN", Fit::Right),
        ("PEER", Fit::Right),
        ("BOTH", Fit::Right),
    ]);
    for group in Group::ALL {
        let rows = report.rows(group);
        if rows.is_empty() {
            continue;
        }
        table.row([Cell::styled(group.label().en, Style::Bold)]);
        for row in rows {
            let mut cells = vec![Cell::from(format!("  {}", row.definition.label.en))];
            cells.extend(
                row.figures
                    .map(|figure| figure.map_or_else(Cell::default, cell)),
            );
            table.row(cells);
        }
    }
    out.push_str(&table.render(screen.width.or(Some(80)), screen.colour));
    for note in notes(answer) {
        for part in wrap(&note, screen.text_width().min(80)) {
            out.push_str(&part);
            out.push('\n');
        }
    }
    out
}

fn line(out: &mut String, name: &str, text: &str, screen: Screen) {
    out.push_str(&Style::Dim.paint(&pad(name, 14), screen.colour));
    out.push_str(text);
    out.push('\n');
}

fn cell(figure: &v1::ReportFigure) -> Cell {
    let style = if figure.not_computable.is_empty() {
        Style::Plain
    } else {
        Style::Warn
    };
    Cell::styled(value(figure), style)
}

/// Why a figure shows as `?`, each reason once.
fn notes(answer: &v1::ReportResponse) -> Vec<String> {
    let mut notes = Vec::new();
    for figure in &answer.figures {
        if !figure.not_computable.is_empty() {
            let side = escape(&figure.side);
            let note = format!(
                "? not computable: {} ({side})",
                escape(&figure.not_computable)
            );
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}
