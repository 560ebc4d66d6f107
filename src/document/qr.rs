//! The text of the code on a printed letter, and the code as a picture.
//!
//! ```text
//! LIAISON1 <id> <body digest> <origin> <index> [<size> <root>]
//! ```
//!
//! Words of ASCII with one space between: the message's id, the body digest of its signed header
//! in standard base64, the log's origin, the index of the entry, and, once there is a receipt, size
//! and root of the cosigned checkpoint as its note writes them. One text for one content; at most
//! 685 bytes.

use std::fmt::{self, Write as _};

use qrcodegen::{QrCode, QrCodeEcc};

use super::html::Html;
use crate::model::name::NameError;
use crate::model::text::excerpt;
use crate::model::{MessageId, Origin};
use crate::tlog::{Hash, decimal};

/// The first word: format and version.
const MARK: &str = "LIAISON1";
/// The longest: 9 for the mark, 37 id, 45 digest, 508 origin, 21 index, 21 size, 44 root.
const TEXT_BYTES_MAX: usize = 685;
/// Empty modules around a code (ISO/IEC 18004 §9.1).
const QUIET_MODULES: i32 = 4;

/// What the code on a printed letter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrText {
    /// The message.
    pub id: MessageId,
    /// SHA-256 of salt and body, as in the signed header.
    pub body_digest: Hash,
    /// The log that it is in.
    pub origin: Origin,
    /// Its index there.
    pub index: u64,
    /// What the receipt rests on; nothing if there was none when it was printed.
    pub checkpoint: Option<QrCheckpoint>,
}

/// Size and root of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QrCheckpoint {
    /// Entries that it covers; more than the index.
    pub size: u64,
    /// The root that it signs.
    pub root: Hash,
}

impl QrText {
    /// Reads a text, to the byte as [`fmt::Display`] writes it.
    ///
    /// # Errors
    /// [`QrTextError`].
    pub fn parse(text: &str) -> Result<Self, QrTextError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(QrTextError::TooLong { bytes: text.len() });
        }
        let words: Vec<&str> = text.split(' ').collect();
        if words[0] != MARK {
            return Err(QrTextError::Mark {
                found: excerpt(words[0], 20),
            });
        }
        let (&[_, id, digest, origin, index], checkpoint) = words
            .split_first_chunk::<5>()
            .filter(|(_, rest)| rest.is_empty() || rest.len() == 2)
            .ok_or(QrTextError::Words { words: words.len() })?;
        let word = |name, text: &str| QrTextError::Word {
            name,
            found: excerpt(text, 50),
        };
        let parsed = Self {
            id: MessageId::parse(id).map_err(|_| word("message id", id))?,
            body_digest: Hash::parse(digest).map_err(|_| word("body digest", digest))?,
            origin: Origin::parse(origin).map_err(|source| QrTextError::Origin { source })?,
            index: decimal(index).ok_or_else(|| word("index", index))?,
            checkpoint: match checkpoint {
                [size, root] => Some(QrCheckpoint {
                    size: decimal(size).ok_or_else(|| word("size", size))?,
                    root: Hash::parse(root).map_err(|_| word("root", root))?,
                }),
                _ => None,
            },
        };
        if let Some(checkpoint) = parsed.checkpoint
            && checkpoint.size <= parsed.index
        {
            return Err(QrTextError::NotCovered {
                index: parsed.index,
                size: checkpoint.size,
            });
        }
        if parsed.to_string() != text {
            return Err(word("message id", id)); // in capitals
        }
        Ok(parsed)
    }

    /// The code as an SVG picture of black squares, with the quiet zone around.
    ///
    /// # Panics
    /// Never: the longest text there can be fits a code.
    pub fn picture(&self, html: &mut Html) {
        // Version 40 at level M holds 2,331 bytes (ISO/IEC 18004 table 7).
        let code = QrCode::encode_text(&self.to_string(), QrCodeEcc::Medium)
            .expect("a text of at most 685 bytes fits a code");
        let mut path = String::new();
        for y in 0..code.size() {
            let mut x = 0;
            while x < code.size() {
                let dark = (x..code.size()).take_while(|x| code.get_module(*x, y));
                let run = i32::try_from(dark.count()).unwrap_or(1);
                if run > 0 {
                    let (left, top) = (x + QUIET_MODULES, y + QUIET_MODULES);
                    // Writing to a String cannot fail.
                    let _ = write!(path, "M{left} {top}h{run}v1h-{run}z");
                }
                x += run.max(1);
            }
        }
        let side = (code.size() + 2 * QUIET_MODULES).to_string();
        let view = format!("0 0 {side} {side}");
        let svg = [
            ("class", "qr"),
            ("viewBox", &*view),
            ("role", "img"),
            ("shape-rendering", "crispEdges"),
            ("aria-label", "QR code"),
        ];
        html.with("svg", &svg, |html| {
            let paper = [("width", &*side), ("height", &*side), ("fill", "#fff")];
            html.with("rect", &paper, |_| {});
            html.with("path", &[("d", &*path), ("fill", "#000")], |_| {});
        });
    }
}

impl fmt::Display for QrText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, digest) = (self.id, self.body_digest);
        write!(f, "{MARK} {id} {digest} {} {}", self.origin, self.index)?;
        match self.checkpoint {
            Some(checkpoint) => write!(f, " {} {}", checkpoint.size, checkpoint.root),
            None => Ok(()),
        }
    }
}

/// Why a text is none of a printed letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QrTextError {
    /// More than any has.
    #[error("the text has {bytes} bytes; that of a letter has at most {TEXT_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Another code, or a newer version.
    #[error(
        "the text begins with \"{found}\", not with {MARK}: it is of another code, of a newer \
         version, or was not read from its beginning"
    )]
    Mark {
        /// The first word, escaped and shortened.
        found: String,
    },
    /// Too few or too many words.
    #[error(
        "the text has {words} words; that of a letter has 5, or 7 with a receipt, with one space \
         between: give it whole, as the code says it"
    )]
    Words {
        /// How many.
        words: usize,
    },
    /// A word that is not as written.
    #[error("its {name} is not as a code says it: \"{found}\"; read the code again")]
    Word {
        /// Which.
        name: &'static str,
        /// The word, escaped and shortened.
        found: String,
    },
    /// The origin.
    #[error("its origin is not as a code says it ({source}); read the code again")]
    Origin {
        /// What is wrong with it.
        source: NameError,
    },
    /// A checkpoint without the entry.
    #[error("its checkpoint of {size} entries does not cover index {index}; no letter says so")]
    NotCovered {
        /// The entry.
        index: u64,
        /// The checkpoint.
        size: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> QrText {
        QrText {
            id: MessageId::from_parts(1_774_000_000_000, [7; 10]),
            body_digest: Hash([1; 32]),
            origin: Origin::parse("laocai.bg.vn.example/hekou.ni.cn.example").unwrap(),
            index: 41,
            checkpoint: Some(QrCheckpoint {
                size: 42,
                root: Hash([2; 32]),
            }),
        }
    }

    #[test]
    fn the_text_is_what_it_was() {
        let text = sample();
        let written = "LIAISON1 019d0aa3-cc00-7707-8707-070707070707 \
                       AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE= \
                       laocai.bg.vn.example/hekou.ni.cn.example 41 42 \
                       AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
        assert_eq!(text.to_string(), written);
        assert_eq!(QrText::parse(written), Ok(text));
        let early = QrText {
            checkpoint: None,
            ..sample()
        };
        assert_eq!(QrText::parse(&early.to_string()), Ok(early));
    }

    #[test]
    fn the_longest_fits_and_one_more_does_not() {
        let label = "a".repeat(63);
        let name = |end: &str| format!("{label}.{label}.{label}.{}", end.repeat(61));
        let text = QrText {
            origin: Origin::parse(&format!("{}/{}", name("b"), name("c"))).unwrap(),
            index: u64::MAX - 1,
            checkpoint: Some(QrCheckpoint {
                size: u64::MAX,
                root: Hash([2; 32]),
            }),
            ..sample()
        };
        let written = text.to_string();
        assert_eq!(written.len(), TEXT_BYTES_MAX);
        assert_eq!(QrText::parse(&written).as_ref(), Ok(&text));
        let mut html = Html::new();
        text.picture(&mut html);
        let longer = format!("{written} ");
        let refused = QrText::parse(&longer);
        assert_eq!(refused, Err(QrTextError::TooLong { bytes: 686 }));
    }

    #[test]
    fn other_texts_are_refused_and_said_why() {
        let good = sample().to_string();
        for (from, to, why) in [
            ("LIAISON1", "LIAISON2", "begins with"),
            ("LIAISON1", "https://x", "begins with"),
            (" 41 ", " 41  ", "words"),
            (" 41 42", " 41", "words"),
            (" 41 ", " 041 ", "index"),
            (" 41 ", " -1 ", "index"),
            (" 42 ", " 41 ", "does not cover"),
            ("019d0aa3", "019D0AA3", "message id"),
            ("-7707-", "-4707-", "message id"),
            ("AQE=", "AQE", "body digest"),
            ("AQE=", "AQF=", "body digest"),
            ("AgI=", "AgI=\n", "root"),
            ("/hekou", "hekou", "origin"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = QrText::parse(&good.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(QrText::parse("").is_err());
        assert!(
            !QrText::parse("\u{202E}x")
                .unwrap_err()
                .to_string()
                .contains('\u{202E}')
        );
    }
}
