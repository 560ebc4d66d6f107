//! Comma-separated values that spreadsheets read as what they are, and evaluate nothing of.
//!
//! RFC 4180 with CRLF, in UTF-8 with a byte order mark, by which spreadsheets know the encoding.
//! Every text is quoted. A text that a spreadsheet might take for a formula gets an apostrophe
//! before it, which spreadsheets show or hide, and never calculate with.

/// By which spreadsheets know that it is UTF-8.
const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// A table being written.
#[derive(Debug, Clone)]
pub struct Csv(String);

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// A text, quoted and guarded.
    Text(&'a str),
    /// A number, as it is.
    Number(i64),
    /// Nothing.
    Empty,
}

impl Default for Csv {
    fn default() -> Self {
        Self(BYTE_ORDER_MARK.to_string())
    }
}

impl Csv {
    /// Adds a row.
    pub fn row(&mut self, cells: &[Cell<'_>]) {
        for (number, cell) in cells.iter().enumerate() {
            if number > 0 {
                self.0.push(',');
            }
            match cell {
                Cell::Text(text) => self.push_text(text),
                Cell::Number(value) => self.0.push_str(&value.to_string()),
                Cell::Empty => {}
            }
        }
        self.0.push_str("\r\n");
    }

    fn push_text(&mut self, text: &str) {
        self.0.push('"');
        if is_risky(text) {
            self.0.push('\'');
        }
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\"\""),
                // It ends text in some readers.
                '\0' => self.0.push('\u{FFFD}'),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }

    /// The whole file.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Whether a spreadsheet might evaluate a text: it begins like a formula, in half or full width,
/// or with what some readers take away before they look.
///
/// Source: OWASP, CSV Injection.
fn is_risky(text: &str) -> bool {
    let first = text.chars().next();
    let is_stripped = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
    let shown = text.chars().find(|c| !is_stripped(*c));
    matches!(first, Some('\t' | '\r' | '\n' | '\0'))
        || matches!(
            shown,
            Some(
                '=' | '+'
                    | '-'
                    | '@'
                    | '\u{FF1D}'
                    | '\u{FF0B}'
                    | '\u{FF0D}'
                    | '\u{FF20}'
                    | '\u{2212}'
                    | '\u{FE62}'
                    | '\u{FE63}'
                    | '\u{FE66}'
                    | '\u{FE6B}'
                    | '|'
                    | '%'
            )
        )
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{FEFF}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}' | '\u{AD}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cell: &str) -> String {
        let mut csv = Csv::default();
        csv.row(&[Cell::Text(cell)]);
        let whole = csv.into_string();
        let row = whole.strip_prefix('\u{FEFF}').unwrap();
        row.strip_suffix("\r\n").unwrap().to_owned()
    }

    #[test]
    fn rows_are_those_of_rfc_4180() {
        let mut csv = Csv::default();
        csv.row(&[Cell::Text("a,\"b\"\r\nc"), Cell::Number(-5), Cell::Empty]);
        csv.row(&[Cell::Text(""), Cell::Number(i64::MAX)]);
        assert_eq!(
            csv.into_string(),
            "\u{FEFF}\"a,\"\"b\"\"\r\nc\",-5,\r\n\"\",9223372036854775807\r\n"
        );
    }

    #[test]
    fn what_begins_like_a_formula_is_a_text() {
        for start in [
            '=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠', '−',
        ] {
            let cell = format!("{start}1+1");
            assert!(text(&cell).starts_with("\"'"), "{cell:?}");
        }
        for hidden in [
            " ", "\u{FEFF}", "\u{A0}", "\u{3000}", "\u{200B}", "\u{202E}", "\0",
        ] {
            let cell = format!("{hidden}=HYPERLINK(\"x\")");
            assert!(text(&cell).starts_with("\"'"), "{cell:?}");
        }
        // A quote ends no field: what follows stays in it.
        assert_eq!(text("a\",=1+1"), "\"a\"\",=1+1\"");
        for plain in [
            "",
            "a",
            "公函",
            "7 ngày",
            "2026-03-02",
            "'=1",
            "a=b",
            "(=1)",
        ] {
            assert_eq!(text(plain), format!("\"{plain}\""));
        }
    }
}
