//! An alert that a sensor raised says that somebody is there, and never who.
//!
//! Its form has no field for that. What could be brought in all the same is refused: files, for a picture
//! shows faces; lines of a passport; and the personal numbers of both countries, which say who somebody is
//! wherever they stand. A name in a text nobody can tell from other words: that a sensor's program writes
//! none is for whoever sets it up.

use prost::Message as _;

use super::Faults;
use super::walk::{Found, Path, in_language, walk};
use crate::model::shape::Message;
use crate::proto::v1;

/// Characters of a machine-readable zone that stand together: the shortest line has 30.
const ZONE_CHARS: usize = 28;

/// Checks an alert that names a sensor.
pub(super) fn check(alert: &v1::CrossingAlert, at: &str, faults: &mut Faults) {
    let common = alert.common.as_ref();
    if common.is_some_and(|common| !common.attachments.is_empty()) {
        faults.add(
            format!("{at}.common.attachments"),
            "a sensor's alert carries no files: a picture may show who somebody is",
            "send the alert without; a person who has looked at the file may send it in answer",
        );
    }
    let mut texts = Vec::new();
    let bytes = alert.encode_to_vec();
    walk(
        &Message::read::<v1::CrossingAlert>(&bytes),
        &mut Path::default(),
        &mut |path, found| match found {
            Found::Line(line) | Found::Document(line) => {
                texts.push((path.as_str().to_owned(), line.to_owned()));
            }
            Found::Localized(languages) => {
                for (tag, text) in languages {
                    texts.push((in_language(path, tag), (*text).to_owned()));
                }
            }
            Found::List(..) | Found::Choice(..) | Found::Time(_) => {}
        },
    );
    for (path, text) in texts {
        if let Some(what) = identifies(&text) {
            faults.add(
                format!("{at}.{path}"),
                format!("it contains {what}: a sensor's alert never says who somebody is"),
                "remove it; a person asks who somebody is with a verification request",
            );
        }
    }
}

/// What in a text says who somebody is.
fn identifies(text: &str) -> Option<&'static str> {
    if words(text, |c| {
        c.is_ascii_uppercase() || c.is_ascii_digit() || c == '<'
    })
    .any(|word| word.len() >= ZONE_CHARS && word.contains("<<"))
    {
        return Some("a line of a passport");
    }
    let mut numbers = words(text, |c| c.is_ascii_alphanumeric());
    numbers.find_map(|word| {
        if is_number_of_china(word) {
            Some("a personal number of China")
        } else if is_number_of_viet_nam(word) {
            Some("a personal number of Viet Nam")
        } else {
            None
        }
    })
}

fn words(text: &str, is_part: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !is_part(c))
        .filter(|word| !word.is_empty())
}

/// GB 11643-1999: 17 digits and a check character (ISO 7064 MOD 11-2), the birth date from the seventh on.
fn is_number_of_china(word: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECK: &[u8; 11] = b"10X98765432";
    let Some((digits, check)) = word.split_at_checked(17) else {
        return false;
    };
    let digits: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(10)).collect();
    if digits.len() != 17 || check.len() != 1 {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .zip(WEIGHTS)
        .map(|(d, weight)| d * weight)
        .sum();
    let expected = CHECK[(sum % 11) as usize];
    check.as_bytes()[0].to_ascii_uppercase() == expected
}

/// Decree 137/2015/ND-CP: 12 digits, of which the first three are the province, 001 to 096, and the fourth
/// century and sex.
fn is_number_of_viet_nam(word: &str) -> bool {
    word.len() == 12
        && word.bytes().all(|byte| byte.is_ascii_digit())
        && word[..3]
            .parse()
            .is_ok_and(|province: u8| (1..=96).contains(&province))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_who_somebody_is_is_seen() {
        for (text, what) in [
            ("P<CHNWANG<<SHILI<<<<<<<<<<<<<<<<<<<<<<<<<<<<", "passport"),
            ("seen: I<VNMNGUYEN<<VAN<MAU<<<<<<<<, at 4", "passport"),
            // Made up, with right check characters: the standard's own example, and one more.
            ("身份证11010519491231002X", "China"),
            ("id 440524188001010014.", "China"),
            ("CCCD 001090000001", "Viet Nam"),
        ] {
            assert!(
                identifies(text).is_some_and(|told| told.contains(what)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_sensors_write_passes() {
        for text in [
            "",
            "LC-TH-0102-3",
            "2026-11-16T19:14:05.123456789Z",
            "202611161914",
            "1795000000000",
            "7 persons << 2 boats",
            "22.506312345, 103.971234567",
            "440524188001010015",
            "0012345678901",
            "SHA-256 97861d9d5a47dab91e5d1b4c21b76bc96d227d62d47abe462196",
        ] {
            assert_eq!(identifies(text), None, "{text}");
        }
    }
}
