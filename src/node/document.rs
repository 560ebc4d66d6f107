//! Reading a TOML file so that a fault names file, line, key, reason and remedy.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;

/// A configuration or card beyond this is refused unread.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What is wrong with a file, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which file.
    pub file: PathBuf,
    /// Counted from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// With its sections, such as `desk.tcp.listen`; empty if the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}; {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Fault {}

/// A file's text with its name.
#[derive(Debug, Clone)]
pub struct Document {
    file: PathBuf,
    text: String,
}

impl Document {
    /// Reads a file; `missing` says what to do if it cannot be read.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of the file as a whole.
    pub fn read(file: &Path, missing: &str) -> Result<Self, Fault> {
        let fault = |reason: String, remedy: &str| whole(file, reason, remedy);
        let meta = std::fs::metadata(file)
            .map_err(|error| fault(format!("cannot be read: {error}"), missing))?;
        if meta.len() > FILE_BYTES_MAX {
            return Err(fault(
                "longer than 1 MiB".to_owned(),
                "is it the right file?",
            ));
        }
        let bytes = std::fs::read(file).map_err(|error| {
            fault(
                format!("cannot be read: {error}"),
                "check its owner and mode",
            )
        })?;
        Self::from_bytes(file, bytes)
    }

    /// Takes what was read elsewhere.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if it is not UTF-8.
    pub fn from_bytes(file: &Path, bytes: Vec<u8>) -> Result<Self, Fault> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            whole(
                file,
                format!("byte {good} is not UTF-8"),
                "save it as UTF-8",
            )
        })?;
        Ok(Self {
            file: file.to_owned(),
            text,
        })
    }

    /// Takes a text as the content of `file`.
    #[must_use]
    pub fn from_text(file: &Path, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The file's name.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The whole text, comments too.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A path as the file means it: from the directory that the file is in.
    #[must_use]
    pub fn path(&self, written: impl AsRef<Path>) -> PathBuf {
        match self.file.parent() {
            Some(directory) => directory.join(written),
            None => written.as_ref().to_owned(),
        }
    }

    /// Reads the shape; values are judged afterwards.
    ///
    /// # Errors
    ///
    /// A [`Fault`] for anything that is not as `T` says; an unknown key suggests the nearest.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        toml::from_str(&self.text).map_err(|error| self.explain(&error))
    }

    /// A fault of one value.
    #[must_use]
    pub fn fault<T>(
        &self,
        value: &Spanned<T>,
        reason: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Fault {
        let (line, key) = self.place(&value.span());
        Fault {
            file: self.file.clone(),
            line,
            key,
            reason: reason.to_string(),
            remedy: remedy.to_string(),
        }
    }

    /// A fault of the file as a whole.
    #[must_use]
    pub fn fault_whole(&self, reason: impl fmt::Display, remedy: impl fmt::Display) -> Fault {
        whole(&self.file, reason.to_string(), &remedy.to_string())
    }

    fn explain(&self, error: &toml::de::Error) -> Fault {
        let message = error.message();
        let (line, place) = error
            .span()
            .map_or((0, String::new()), |span| self.place(&span));
        let (key, reason, remedy) = if let Some(unknown) = quoted_after(message, "unknown field `")
        {
            let known = alternatives(message);
            let remedy = match nearest(unknown, &known) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            let section = place.rsplit_once('.').map_or("", |(section, _)| section);
            (join(section, unknown), "unknown key".to_owned(), remedy)
        } else if let Some(missing) = quoted_after(message, "missing field `") {
            // The span is the table's, so the place names the table or its first key.
            let section = error
                .span()
                .map_or(String::new(), |span| self.section_at(span.start));
            let key = join(&section, missing);
            (
                key,
                "missing".to_owned(),
                "liaison init writes a file that explains every key".to_owned(),
            )
        } else {
            let remedy = "liaison init writes a file that explains every key".to_owned();
            (place, message.trim().replace('\n', " "), remedy)
        };
        Fault {
            file: self.file.clone(),
            line,
            key,
            reason,
            remedy,
        }
    }

    /// Line and full key of what is at `span`.
    fn place(&self, span: &Range<usize>) -> (usize, String) {
        let start = self
            .text
            .get(..span.start)
            .map_or(self.text.len(), str::len);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_text = self.text[line_start..].lines().next().unwrap_or_default();
        let line = self.text[..line_start].matches('\n').count() + 1;
        let section = self.section_at(span.start);
        let key = match line_text.split_once('=') {
            Some((key, _)) if !line_text.trim_start().starts_with(['[', '#', '"']) => {
                join(&section, key.trim())
            }
            _ => section,
        };
        (line, key)
    }

    /// The section that a byte is in, from the last `[header]` line at or before it.
    fn section_at(&self, at: usize) -> String {
        let at = self.text.get(..at).map_or(self.text.len(), str::len);
        let end = self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |to| at + to);
        self.text[..end]
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| line.starts_with('[') && line.contains(']'))
            .and_then(|line| line.split(']').next())
            .map_or(String::new(), |line| {
                line.trim_matches(['[', ' ']).to_owned()
            })
    }
}

fn whole(file: &Path, reason: String, remedy: &str) -> Fault {
    Fault {
        file: file.to_owned(),
        line: 0,
        key: String::new(),
        reason,
        remedy: remedy.to_owned(),
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// The text between `before` and the next backtick.
fn quoted_after<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(before)?;
    rest.split_once('`').map(|(quoted, _)| quoted)
}

/// The names that serde lists after "expected".
fn alternatives(message: &str) -> Vec<&str> {
    message
        .split_once("expected")
        .map_or("", |(_, rest)| rest)
        .split('`')
        .skip(1)
        .step_by(2)
        .collect()
}

/// The known name with the fewest changed letters, if few enough to be a slip.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance of two short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_close() {
        let known = ["listen", "certificate", "key", "crls"];
        assert_eq!(nearest("listn", &known), Some("listen"));
        assert_eq!(nearest("certifcate", &known), Some("certificate"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
