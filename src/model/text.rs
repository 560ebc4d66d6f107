//! Text that comes from elsewhere, made safe to show.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Says whether a character steers how text is shown instead of being shown itself.
///
/// These are control characters, line and paragraph separators, the bidirectional controls (with
/// which `fdp.exe` reads as `exe.pdf`) and characters without width (with which two different
/// names look the same). The joiners U+200C and U+200D are spared: scripts need them.
///
/// Source: Unicode `Bidi_Control`, UAX #9; UTR #36.
#[must_use]
pub fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061C}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2066}'..='\u{2069}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{200B}'
                | '\u{2060}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

/// The first steering character of a text that is not among those spared.
///
/// Looks at bytes, and makes characters only of those that begin as a steering one does: of most
/// texts, none.
#[must_use]
pub fn first_steering(text: &str, spared: &[char]) -> Option<char> {
    text.bytes()
        .enumerate()
        .filter(|(_, byte)| BEGINS_STEERING[usize::from(*byte)])
        .filter_map(|(at, _)| text.get(at..)?.chars().next())
        .find(|c| is_steering(*c) && !spared.contains(c))
}

/// By byte: whether the UTF-8 of a steering character begins with it.
const BEGINS_STEERING: [bool; 256] = {
    let mut begins = [false; 256];
    let mut byte: u8 = 0;
    while byte < 255 {
        begins[byte as usize] = matches!(byte, 0..=0x1f | 0x7f | 0xc2 | 0xd8 | 0xe2 | 0xef | 0xf3);
        byte += 1;
    }
    begins
};

/// The beginning of a text, at most so many bytes of it, cut between characters.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Why a text is not one line that a person typed to be put on record; `None` if it is one.
#[must_use]
pub fn line_fault(text: &str, bytes_max: usize) -> Option<String> {
    let bytes = text.len();
    if text.trim().is_empty() {
        Some("it is empty".to_owned())
    } else if bytes > bytes_max {
        Some(format!("{bytes} bytes, over the limit of {bytes_max}"))
    } else if text.chars().any(is_steering) {
        Some("it holds control or direction characters".to_owned())
    } else {
        None
    }
}

/// Shows every steering character as `\u{202E}`, for one line on a terminal or in a log.
///
/// Line feeds and tabs are shown so too; the text of a letter wants [`escape_lines`].
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, is_steering)
}

/// Shows every steering character as `\u{202E}`, but keeps line feeds and tabs.
#[must_use]
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| is_steering(c) && c != '\n' && c != '\t')
}

/// A text cut to `chars_max` characters and escaped, to be quoted in an error.
pub(crate) fn excerpt(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", escape(&text[..end])),
        None => escape(text).into_owned(),
    }
}

fn escape_where(text: &str, steers: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{{{:X}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_characters_become_visible() {
        assert_eq!(escape("a\u{202E}fdp.exe"), "a\\u{202E}fdp.exe");
        assert_eq!(escape("\u{1b}[2J\n"), "\\u{1B}[2J\\u{A}");
        assert_eq!(escape_lines("a\n\tb\r"), "a\n\tb\\u{D}");
        assert_eq!(
            escape("\u{200B}\u{2066}\u{E0041}"),
            "\\u{200B}\\u{2066}\\u{E0041}"
        );
    }

    #[test]
    fn steering_characters_are_found_by_their_first_byte() {
        let mut begin = [false; 256];
        for c in '\0'..=char::MAX {
            let text = format!("ề友{c}.");
            let first = is_steering(c).then_some(c);
            assert_eq!(first_steering(&text, &[]), first, "{c:?}");
            begin[usize::from(text.as_bytes()["ề友".len()])] |= is_steering(c);
        }
        assert_eq!(begin, BEGINS_STEERING);
        assert_eq!(first_steering("a\n\tb\r", &['\n', '\t']), Some('\r'));
    }

    #[test]
    fn national_texts_are_left_as_they_are() {
        for text in [
            "Cửa khẩu Hữu Nghị",
            "友谊关口岸",
            "e\u{301}",
            "👩\u{200D}🚒",
        ] {
            assert!(matches!(escape(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn excerpts_end_at_characters() {
        assert_eq!(excerpt("友谊关", 3), "友谊关");
        assert_eq!(excerpt("友谊关口", 3), "友谊关…");
    }
}
