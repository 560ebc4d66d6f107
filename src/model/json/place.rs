//! Where in a JSON text something is.
//!
//! The scanner below runs only over text that a parser has already found to be JSON, so it knows
//! strings, brackets and commas and need not know more. It does not recurse.

use std::collections::HashSet;
use std::fmt;

use super::JsonError;
use crate::model::text;

/// A step down into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// The steps from the top of a JSON text to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(Vec<Segment>);

impl Place {
    /// The innermost value or key that a reader had begun at `line` and `column` (in bytes,
    /// both from 1, as serde counts them).
    pub(super) fn at(json: &str, line: usize, column: usize) -> Self {
        let line_start = match line {
            0 | 1 => 0,
            _ => json
                .match_indices('\n')
                .nth(line - 2)
                .map_or(json.len(), |(at, _)| at + 1),
        };
        let end = json.len().min(line_start + column);
        let mut scanner = Scanner::default();
        scanner.scan(&json.as_bytes()[..end], |_, _| true);
        Self(scanner.path())
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    pub(super) fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(top)");
        }
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if depth == 0 => write!(f, "{}", text::excerpt(key, 80))?,
                Segment::Key(key) => write!(f, ".{}", text::excerpt(key, 80))?,
            }
        }
        Ok(())
    }
}

/// Refuses an object that has the same key twice: one of the two values would be lost.
pub(super) fn refuse_duplicates(json: &str) -> Result<(), JsonError> {
    let mut scanner = Scanner::default();
    let mut found = None;
    scanner.scan(json.as_bytes(), |end, is_new| {
        if !is_new {
            found = Some(end);
        }
        is_new
    });
    let Some(end) = found else { return Ok(()) };
    let before = &json[..end];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Err(JsonError::Field {
        field: Place(scanner.path()).to_string(),
        line: before.matches('\n').count() + 1,
        column: end - line_start,
        reason: "the field is given twice".to_owned(),
        remedy: "keep one of the two".to_owned(),
    })
}

enum Frame {
    Object {
        key: Option<String>,
        seen: HashSet<String>,
        expects_key: bool,
    },
    Array {
        index: usize,
        is_empty: bool,
    },
}

#[derive(Default)]
struct Scanner {
    stack: Vec<Frame>,
}

impl Scanner {
    /// Follows `json` to its end, or until `on_key` says no. `on_key` is told where a key ends
    /// and whether it is new in its object.
    fn scan(&mut self, json: &[u8], mut on_key: impl FnMut(usize, bool) -> bool) {
        let mut at = 0;
        while at < json.len() {
            match json[at] {
                b'{' => {
                    self.begin_value();
                    self.stack.push(Frame::Object {
                        key: None,
                        seen: HashSet::new(),
                        expects_key: true,
                    });
                }
                b'[' => {
                    self.begin_value();
                    self.stack.push(Frame::Array {
                        index: 0,
                        is_empty: true,
                    });
                }
                b'}' | b']' => {
                    self.stack.pop();
                }
                b',' => match self.stack.last_mut() {
                    Some(Frame::Object { expects_key, .. }) => *expects_key = true,
                    Some(Frame::Array { index, .. }) => *index += 1,
                    None => {}
                },
                b'"' => {
                    let end = string_end(json, at);
                    self.begin_value();
                    if let Some(Frame::Object {
                        key,
                        seen,
                        expects_key: expects_key @ true,
                    }) = self.stack.last_mut()
                    {
                        *expects_key = false;
                        let name: String = serde_json::from_slice(&json[at..end])
                            .unwrap_or_else(|_| String::from_utf8_lossy(&json[at..end]).into());
                        let is_new = seen.insert(name.clone());
                        *key = Some(name);
                        if !on_key(end, is_new) {
                            return;
                        }
                    }
                    at = end;
                    continue;
                }
                b' ' | b'\t' | b'\n' | b'\r' | b':' => {}
                _ => self.begin_value(),
            }
            at += 1;
        }
    }

    fn begin_value(&mut self) {
        if let Some(Frame::Array { is_empty, .. }) = self.stack.last_mut() {
            *is_empty = false;
        }
    }

    fn path(&self) -> Vec<Segment> {
        self.stack
            .iter()
            .filter_map(|frame| match frame {
                Frame::Object { key, .. } => key.clone().map(Segment::Key),
                Frame::Array { is_empty: true, .. } => None,
                Frame::Array { index, .. } => Some(Segment::Index(*index)),
            })
            .collect()
    }
}

/// One past the closing quote of the string that opens at `start`, or the end of the text.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < json.len() {
        match json[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_by_path() {
        let json = "{\"a\": [1, {\"b\\\"c\": \"x]}\", \"d\": [true,\n  null]}]}";
        for (line, column, path) in [
            (1, 1, "(top)"),
            (1, 4, "a"),
            (1, 7, "a"),
            (1, 8, "a[0]"),
            (1, 19, "a[1].b\"c"),
            (1, 36, "a[1].d[0]"),
            (2, 6, "a[1].d[1]"),
            (2, 7, "a[1].d"),
            (2, 8, "a[1]"),
            (9, 9, "(top)"),
        ] {
            assert_eq!(Place::at(json, line, column).to_string(), path);
        }
    }

    #[test]
    fn duplicates_are_refused_per_object() {
        assert_eq!(refuse_duplicates(r#"[{"a":1},{"a":{"a":2}}]"#), Ok(()));
        let error = refuse_duplicates("{\"a\":\n [{\"b\":1, \"\\u0062\":2}]}").unwrap_err();
        let JsonError::Field {
            field,
            line,
            column,
            ..
        } = error
        else {
            unreachable!("duplicates are field errors")
        };
        assert_eq!((field.as_str(), line, column), ("a[0].b", 2, 18));
    }
}
