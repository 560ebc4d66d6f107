//! Words that are looked for in what a body says: whatever their case, with diacritics or without, and in
//! Chinese as parts of what is written without spaces.
//!
//! `nguyen van` finds `Nguyễn Văn Mẫu`, `示例` finds `河口（示例）`. Each word must be in some text of the
//! body, at any place within a word of it. Names of fields, of languages and of files' forms are no text
//! of anybody's.

use prost_reflect::{Kind, MessageDescriptor};
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

use super::json;
use crate::limits::{SEARCH_TEXT_BYTES_MAX, SEARCH_WORDS_MAX};

/// Messages within messages; no body has so many.
const DEPTH_MAX: usize = 16;

/// Words, all of which must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

/// Why something cannot be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// There is nothing to look for.
    #[error("there is no word in it; give one at least")]
    None,
    /// It is too long.
    #[error(
        "it has {bytes} bytes, over the limit of {SEARCH_TEXT_BYTES_MAX}; give fewer or shorter words"
    )]
    Long {
        /// Bytes given.
        bytes: usize,
    },
    /// They are too many.
    #[error("there are {words} words in it, over the limit of {SEARCH_WORDS_MAX}; give fewer")]
    Many {
        /// Words given.
        words: usize,
    },
}

impl Words {
    /// Words as somebody typed them, with spaces between.
    ///
    /// # Errors
    /// [`WordsError`].
    pub fn parse(typed: &str) -> Result<Self, WordsError> {
        let bytes = typed.len();
        if bytes > SEARCH_TEXT_BYTES_MAX {
            return Err(WordsError::Long { bytes });
        }
        let words: Vec<String> = typed.split_whitespace().map(fold).collect();
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        match words.len() {
            0 => Err(WordsError::None),
            words if words > SEARCH_WORDS_MAX => Err(WordsError::Many { words }),
            _ => Ok(Self(words)),
        }
    }

    /// Whether all of them are in a body, given as its bytes and the full name of its message. Of a form
    /// that this version does not know, in anything that it holds.
    #[must_use]
    pub fn are_in(&self, schema: &str, body: &[u8]) -> bool {
        let mut looked = Looked {
            missing: self.0.iter().map(String::as_str).collect(),
            folded: String::new(),
        };
        match json::POOL.get_message_by_name(schema) {
            Some(form) => looked.message(&form, body, DEPTH_MAX),
            None => looked.text(&String::from_utf8_lossy(body)),
        }
        looked.missing.is_empty()
    }
}

/// A text as it is compared: without case, diacritics and differences of form.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

fn fold_into(text: &str, folded: &mut String) {
    for letter in text.chars() {
        if letter.is_ascii() {
            folded.push(letter.to_ascii_lowercase());
            continue;
        }
        decompose_compatible(letter, |part| {
            if !is_combining_mark(part) {
                // A letter of its own in Unicode, and one that is typed as d where there is none.
                let plain = part.to_lowercase().map(|c| if c == 'đ' { 'd' } else { c });
                folded.extend(plain);
            }
        });
    }
}

/// A body while it is looked through.
struct Looked<'a> {
    missing: Vec<&'a str>,
    folded: String,
}

impl Looked<'_> {
    fn text(&mut self, text: &str) {
        self.folded.clear();
        fold_into(text, &mut self.folded);
        let folded = &self.folded;
        self.missing.retain(|word| !folded.contains(word));
    }

    /// The texts of a message, off the wire: nothing is built of what is only looked at.
    fn message(&mut self, form: &MessageDescriptor, mut bytes: &[u8], depth: usize) {
        while !self.missing.is_empty()
            && let Some((field, content)) = next_field(&mut bytes)
        {
            let Some(content) = content else { continue };
            let Some(field) = form.get_field(field) else {
                continue;
            };
            // Of a text by language, the language is no word.
            if form.is_map_entry() && field.number() == 1 {
                continue;
            }
            match field.kind() {
                Kind::String if is_text(field.full_name()) => {
                    self.text(&String::from_utf8_lossy(content));
                }
                Kind::Message(inner) if depth > 0 => self.message(&inner, content, depth - 1),
                _ => {}
            }
        }
    }
}

/// Whether a field holds what somebody wrote.
fn is_text(field: &str) -> bool {
    !matches!(
        field,
        "liaison.v1.Common.languages"
            | "liaison.v1.Common.not_applicable"
            | "liaison.v1.Attachment.media_type"
            | "liaison.v1.RosterEntry.languages"
    )
}

/// The next field off the wire, and its content if it has a length. `None` at the end, or where the bytes
/// are no message.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let tag = number(bytes)?;
    let field = u32::try_from(tag >> 3).ok()?;
    let content = match tag & 7 {
        0 => {
            number(bytes)?;
            None
        }
        1 => {
            *bytes = bytes.get(8..)?;
            None
        }
        2 => {
            let length = usize::try_from(number(bytes)?).ok()?;
            let content = bytes.get(..length)?;
            *bytes = &bytes[length..];
            Some(content)
        }
        5 => {
            *bytes = bytes.get(4..)?;
            None
        }
        _ => return None,
    };
    Some((field, content))
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(7 * at)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{body, sample};
    use crate::proto::v1::body::Body;

    fn of_sample(name: &str) -> Body {
        let draft = sample::find(name).unwrap().draft().unwrap();
        draft.body.unwrap().body.unwrap()
    }

    fn finds(typed: &str, content: &Body) -> bool {
        let words = Words::parse(typed).unwrap();
        words.are_in(body::schema_of(content), &body::encode(content))
    }

    #[test]
    fn vietnamese_is_found_with_diacritics_and_without_and_chinese_by_its_parts() {
        let request = of_sample("handover-request");
        for typed in [
            "Đồn Biên phòng",
            "don bien phong",
            "DON BIEN PHONG",
            "đon biên",
            "phòng lào cai",
            // The same letters, each mark by itself.
            "Đo\u{302}\u{300}n Bie\u{302}n",
            "示例",
            "河口出入境",
            "王示例 mẫu",
            "shili",
            // Letters of double width.
            "ＳＨＩＬＩ",
            "EX0000001",
            "anh-mau-1",
        ] {
            assert!(finds(typed, &request), "{typed}");
        }
        for typed in [
            "Hà Giang",
            "王示例 hagiang",
            // In two texts of the body, but in none together.
            "shiliex0000001",
            // What the form says, and nobody wrote.
            "zh-Hans",
            "image/png",
            "earlierNames",
            "handover_request",
        ] {
            assert!(!finds(typed, &request), "{typed}");
        }
    }

    #[test]
    fn every_sample_is_found_by_each_of_its_texts() {
        for sample in sample::SAMPLES {
            let content = of_sample(sample.name);
            let common = body::common(&content).unwrap();
            for typed in [&common.from_office, &common.to_office] {
                assert!(finds(typed, &content), "{}: {typed}", sample.name);
            }
        }
    }

    #[test]
    fn a_form_of_a_newer_version_is_looked_through_as_it_is() {
        let letter = of_sample("official-letter");
        let words = Words::parse("don bien phong").unwrap();
        assert!(words.are_in("liaison.v2.Newer", &body::encode(&letter)));
    }

    #[test]
    fn bytes_that_are_no_message_hold_no_words_and_do_no_harm() {
        let words = Words::parse("a").unwrap();
        let letter = body::encode(&of_sample("official-letter"));
        for at in 0..letter.len().min(400) {
            let _ = words.are_in("liaison.v1.OfficialLetter", &letter[..at]);
            let mut other = letter.to_vec();
            other[at] ^= 0xff;
            let _ = words.are_in("liaison.v1.OfficialLetter", &other);
        }
        // A message within itself, without an end.
        let mut deep = Vec::new();
        for _ in 0..60 {
            let length = u8::try_from(deep.len()).unwrap();
            deep = [&[0x0a, length][..], &deep].concat();
        }
        assert!(!words.are_in("liaison.v1.OfficialLetter", &deep));
    }

    #[test]
    fn each_limit_holds_to_the_byte() {
        let long = "a".repeat(SEARCH_TEXT_BYTES_MAX);
        assert!(Words::parse(&long).is_ok());
        let bytes = SEARCH_TEXT_BYTES_MAX + 1;
        assert_eq!(
            Words::parse(&format!("{long}a")),
            Err(WordsError::Long { bytes })
        );
        let many = vec!["a"; SEARCH_WORDS_MAX].join(" ");
        assert!(Words::parse(&many).is_ok());
        let words = SEARCH_WORDS_MAX + 1;
        assert_eq!(
            Words::parse(&format!("{many} a")),
            Err(WordsError::Many { words })
        );
        for nothing in ["", "  ", "\u{301}"] {
            assert_eq!(Words::parse(nothing), Err(WordsError::None));
        }
    }
}
