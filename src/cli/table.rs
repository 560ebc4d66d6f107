//! Tables that fit the terminal, whatever the script: a Chinese character is two columns wide.
//!
//! Only what the lists here need: no borders, one line a row, the last flexible columns give way
//! first, and a row that still does not fit is cut with an ellipsis, never wrapped.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How a cell looks on a terminal that has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Style {
    /// As is.
    #[default]
    Plain,
    /// Less important.
    Dim,
    /// More important.
    Bold,
    /// As it should be.
    Good,
    /// Wants attention.
    Warn,
    /// Wrong.
    Bad,
}

impl Style {
    /// The text as the terminal shows it in this style.
    pub(crate) fn paint(self, text: &str, colour: bool) -> Cow<'_, str> {
        let code = match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "1;31",
        };
        if !colour || code.is_empty() || text.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(format!("\u{1b}[{code}m{text}\u{1b}[0m"))
        }
    }
}

/// One field of a table; its text is already escaped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a style.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::Plain)
    }
}

/// How a column takes part in fitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Shown in full, such as ids that people copy.
    Whole,
    /// May be cut to so many columns.
    Down(usize),
    /// Numbers, to the right.
    Right,
}

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Fit)>,
    rows: Vec<Vec<Cell>>,
}

const GAP: &str = "  ";

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &[(&'static str, Fit)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each at most `width_max` columns wide if that is possible without cutting what
    /// is to be shown whole. Columns that are empty in every row are left out.
    pub(crate) fn render(&self, width_max: Option<usize>, colour: bool) -> String {
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|&column| self.rows.iter().any(|row| !text(row, column).is_empty()))
            .collect();
        let mut widths: Vec<usize> = shown
            .iter()
            .map(|&column| {
                let cells = self.rows.iter().map(|row| text(row, column).width());
                cells
                    .chain([self.columns[column].0.width()])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        if let Some(width_max) = width_max {
            self.shrink(&shown, &mut widths, width_max);
        }

        let mut out = String::new();
        let heading: Vec<Cell> = self
            .columns
            .iter()
            .map(|(name, _)| Cell::styled(*name, Style::Dim))
            .collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            for (position, (&column, &width)) in shown.iter().zip(&widths).enumerate() {
                let Some(cell) = row.get(column) else {
                    continue;
                };
                let cut = cut(&cell.text, width);
                let blank = " ".repeat(width.saturating_sub(cut.width()));
                let painted = cell.style.paint(&cut, colour);
                if position > 0 {
                    line.push_str(GAP);
                }
                if self.columns[column].1 == Fit::Right {
                    line.push_str(&blank);
                    line.push_str(&painted);
                } else {
                    line.push_str(&painted);
                    line.push_str(&blank);
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// Takes from the flexible columns, the last one first.
    fn shrink(&self, shown: &[usize], widths: &mut [usize], width_max: usize) {
        let gaps = GAP.len() * shown.len().saturating_sub(1);
        let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(width_max);
        for (&column, width) in shown.iter().zip(widths.iter_mut()).rev() {
            if let Fit::Down(least) = self.columns[column].1 {
                let taken = over.min(width.saturating_sub(least));
                *width -= taken;
                over -= taken;
            }
        }
    }
}

fn text(row: &[Cell], column: usize) -> &str {
    row.get(column).map_or("", |cell| &cell.text)
}

/// The text in at most `width` columns, with an ellipsis if that cuts it.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut used = 1; // the ellipsis
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(char);
    }
    out.push('…');
    Cow::Owned(out)
}

/// The text padded on the right to `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The text broken into lines of at most `width` columns: at spaces, or between characters where a
/// script writes without spaces.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let visible = word.trim_end_matches(' ').width();
            if used > 0 && used + visible > width {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            for char in word.chars() {
                let wide = char.width().unwrap_or(0);
                if used + wide > width && used > 0 && char != ' ' {
                    lines.push(std::mem::take(&mut line).trim_end().to_owned());
                    used = 0;
                }
                line.push(char);
                used += wide;
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[
            ("KIND", Fit::Down(8)),
            ("EMPTY", Fit::Down(1)),
            ("SUBJECT", Fit::Down(6)),
            ("SIZE", Fit::Right),
            ("ID", Fit::Whole),
        ]);
        table.row([
            "letter".into(),
            "".into(),
            "关于联合巡逻101至104号界碑段事宜".into(),
            "5".into(),
            "019caffb".into(),
        ]);
        table.row([
            "alert".into(),
            "".into(),
            "Về việc tuần tra chung".into(),
            "1234".into(),
            "019cb3d0".into(),
        ]);
        table
    }

    #[test]
    fn columns_line_up_in_every_script() {
        let text = sample().render(None, false);
        let at: Vec<usize> = text
            .lines()
            .map(|line| line.width() - line.split_whitespace().last().unwrap().width())
            .collect();
        assert_eq!(at[1], at[2], "{text}");
        assert!(!text.contains("EMPTY"));
    }

    #[test]
    fn a_table_fits_and_ids_stay_whole() {
        for width in [30, 36, 40, 60, 100] {
            let text = sample().render(Some(width), false);
            for line in text.lines() {
                assert!(line.width() <= width.max(34), "{width}: {line}");
            }
            assert!(text.contains("019caffb") && text.contains("019cb3d0"));
        }
        assert!(sample().render(Some(40), false).contains('…'));
        assert!(sample().render(Some(40), true).contains("\u{1b}[2m"));
    }

    #[test]
    fn text_is_cut_and_wrapped_by_columns() {
        assert_eq!(cut("友谊关口岸", 6), "友谊…");
        assert_eq!(cut("Hữu Nghị", 8), "Hữu Nghị");
        assert_eq!(
            wrap("Kính gửi quý cơ quan", 9),
            ["Kính gửi", "quý cơ", "quan"]
        );
        assert_eq!(wrap("关于联合巡逻", 4), ["关于", "联合", "巡逻"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
    }
}
