//! JSON with comments, as people keep it: made plain without moving anything.
//!
//! A line comment begins with `//` outside a string and ends with its line. One comma too many
//! before a closing bracket is let pass: it is what remains when the last line of a list is taken
//! out. Both become blanks of the same length, so that every line and column stays what it was.
//!
//! Deliberately absent: `/* */`, single quotes, names without quotes. A draft is to stay readable by
//! whatever strips `//`.

use std::borrow::Cow;

use super::json::JsonError;

/// The text as plain JSON of the same length. A byte order mark at its start becomes blanks too.
///
/// It need not be JSON: what is no JSON stays as it is, for the parser to refuse.
///
/// # Errors
/// Where a `/*` stands outside a string.
pub fn strip(text: &str) -> Result<Cow<'_, str>, JsonError> {
    let has_mark = text.starts_with('\u{FEFF}');
    if !has_mark && !text.contains(['/', ',']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = text.as_bytes().to_vec();
    if has_mark {
        bytes[..'\u{FEFF}'.len_utf8()].fill(b' ');
    }
    // The last two bytes that mean something: a comma may go only if a value stands before it.
    let mut last = (0, b'{');
    let mut before = b'{';
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                let end = line_end(&bytes, at);
                // Whole characters: a comment ends at an ASCII byte or with the text.
                bytes[at..end].fill(b' ');
                at = end;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => return Err(block_comment(text, at)),
            byte => {
                let is_close = matches!(byte, b'}' | b']');
                let follows_value = !matches!(before, b'{' | b'[' | b',' | b':');
                if is_close && last.1 == b',' && follows_value {
                    bytes[last.0] = b' ';
                }
                before = last.1;
                last = (at, byte);
                at = if byte == b'"' {
                    string_end(&bytes, at)
                } else {
                    at + 1
                };
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(plain) => Ok(Cow::Owned(plain)),
        // Only whole characters were replaced.
        Err(_) => Ok(Cow::Borrowed(text)),
    }
}

fn line_end(bytes: &[u8], start: usize) -> usize {
    bytes[start..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |length| start + length)
}

/// One past the closing quote, or the end of the line: no string goes over it, and the parser says
/// so there.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            b'\n' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn block_comment(text: &str, at: usize) -> JsonError {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    JsonError::Syntax {
        line: before.matches('\n').count() + 1,
        column: at - line_start + 1,
        reason: "/* begins no comment here: write // before each line of it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(text: &str, plain: &str) {
        let stripped = strip(text).unwrap();
        assert_eq!(stripped.len(), text.len());
        assert_eq!(stripped, plain);
    }

    #[test]
    fn comments_become_blanks_of_their_length() {
        becomes("{} // 1", "{}     ");
        becomes("// é\r\n{}", "      \n{}");
        becomes("\u{FEFF}{\"a\":1}", "   {\"a\":1}");
        becomes("{\"a\": \"http://x\"}//", "{\"a\": \"http://x\"}  ");
        becomes(
            r#"{"a": "\"//", "b": "\\"}//"#,
            r#"{"a": "\"//", "b": "\\"}  "#,
        );
        becomes("\"open //\n// x", "\"open //\n    ");
        becomes("/ /", "/ /");
    }

    #[test]
    fn one_comma_too_many_may_stand_before_a_bracket() {
        becomes("[1, 2, ]", "[1, 2  ]");
        becomes("{\"a\": 1, // x,\n}", "{\"a\": 1       \n}");
        for wrong in ["[,]", "{,}", "[1,,]", "{\"a\":,}", ",]"] {
            becomes(wrong, wrong);
        }
    }

    #[test]
    fn block_comments_are_refused_with_their_place() {
        let Err(JsonError::Syntax { line, column, .. }) = strip("{\n \"a/*\": /* x */ 1}") else {
            panic!("it has a block comment")
        };
        assert_eq!((line, column), (2, 9));
    }
}
