//! Evidence of equivocation as a file: two signed notes of one log that contradict each other.

use std::fmt;
use std::str::FromStr;

use super::{Hash, TileReader, Tree, TreeError};
use crate::limits::NOTE_BYTES_MAX;

/// First line of the format.
pub const HEADER: &str = "liaison/equivocation@v1";
/// Hashes of a consistency proof between trees of up to 2^64 leaves: one a level, and one more.
pub const HASHES_MAX: usize = 65;
/// A whole file: two notes, the prefix line and 65 hash lines of 45 bytes, and 4 KiB over.
pub const EQUIVOCATION_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX + 66 * 45 + 4096;

/// Two signed notes of one log, and what shows that they contradict each other.
///
/// Nothing in it is verified yet; that takes the keys and `audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// What joins notes of different sizes; `None` for notes of one size, which contradict each
    /// other by themselves.
    pub prefix: Option<Prefix>,
    /// The signed note of the smaller size, verbatim; of one size, either.
    pub smaller: String,
    /// The other signed note, verbatim.
    pub larger: String,
}

/// What the larger tree holds at the smaller size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// The root that the larger tree has at the smaller size.
    pub root: Hash,
    /// The consistency proof from that root to the larger note's (RFC 6962 §2.1.2).
    pub hashes: Vec<Hash>,
}

impl Prefix {
    /// What a kept tree holds at `size`, for one who has signed it at `larger_size`.
    ///
    /// # Errors
    /// Sizes that the tree does not have; the reader's.
    pub fn of_tree<R: TileReader>(
        tree: &Tree,
        reader: &R,
        size: u64,
        larger_size: u64,
    ) -> Result<Self, TreeError<R::Error>> {
        let snapshot = tree.snapshot(reader);
        Ok(Self {
            root: snapshot.root_at(size)?,
            hashes: snapshot.consistency_proof(size, larger_size)?,
        })
    }
}

impl Equivocation {
    /// The file's text.
    #[must_use]
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Parses a file strictly: the text that [`encode`](Self::encode) writes and no other.
    ///
    /// # Errors
    /// Names the part at fault.
    pub fn parse(text: &str) -> Result<Self, EquivocationFileError> {
        use EquivocationFileError as E;
        if text.len() > EQUIVOCATION_BYTES_MAX {
            return Err(E::TooLarge { bytes: text.len() });
        }
        // Neither the head nor the text of a checkpoint nor signature lines hold a blank line.
        let parts: Vec<&str> = text.split("\n\n").take(6).collect();
        let [head, first, first_lines, second, second_lines] = parts[..] else {
            return Err(if text.lines().next() == Some(HEADER) {
                E::Parts { found: parts.len() }
            } else {
                E::Header
            });
        };
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(E::Header);
        }
        let prefix = match lines.next() {
            None => None,
            Some(line) => {
                let root = line.strip_prefix("prefix ").ok_or(E::Prefix)?;
                let root = Hash::parse(root).map_err(|_| E::Prefix)?;
                let mut hashes = Vec::new();
                for (position, line) in lines.enumerate() {
                    if position == HASHES_MAX {
                        return Err(E::TooManyHashes);
                    }
                    hashes.push(Hash::parse(line).map_err(|_| E::Hash { position })?);
                }
                Some(Prefix { root, hashes })
            }
        };
        let file = Self {
            prefix,
            smaller: format!("{first}\n\n{first_lines}\n"),
            larger: format!("{second}\n\n{second_lines}"),
        };
        // What was not taken up above would be said twice, or not be said.
        let parts = [first, first_lines, second, second_lines];
        let whole = parts
            .iter()
            .all(|part| !part.is_empty() && !part.starts_with('\n'));
        if !whole || !file.larger.ends_with('\n') || file.encode() != text {
            return Err(E::Notes);
        }
        Ok(file)
    }
}

impl fmt::Display for Equivocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(prefix) = &self.prefix {
            writeln!(f, "prefix {}", prefix.root)?;
            for hash in &prefix.hashes {
                writeln!(f, "{hash}")?;
            }
        }
        write!(f, "\n{}\n{}", self.smaller, self.larger)
    }
}

impl FromStr for Equivocation {
    type Err = EquivocationFileError;

    fn from_str(text: &str) -> Result<Self, EquivocationFileError> {
        Self::parse(text)
    }
}

/// Why a text is no evidence of equivocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EquivocationFileError {
    /// Over the limit.
    #[error("the file has {bytes} bytes, more than {EQUIVOCATION_BYTES_MAX}")]
    TooLarge {
        /// What was found.
        bytes: usize,
    },
    /// The first line is another one.
    #[error("the first line is not {HEADER:?}")]
    Header,
    /// Not head, and text and signature lines of two notes, with one blank line between each.
    #[error("blank lines make {found} parts of it; a head and two notes make 5")]
    Parts {
        /// How many, counted to 6.
        found: usize,
    },
    /// The prefix line does not hold a root.
    #[error("the second line is not `prefix` and 32 bytes in standard base64")]
    Prefix,
    /// A hash line is no hash.
    #[error("hash {position} of the consistency proof is not 32 bytes in standard base64")]
    Hash {
        /// Position, from 0.
        position: usize,
    },
    /// More hashes than any two trees ask for.
    #[error("the consistency proof has more than {HASHES_MAX} hashes")]
    TooManyHashes,
    /// The notes do not stand behind one blank line each, or do not end.
    #[error(
        "the two notes do not stand as they must: one blank line before each, one newline at the end"
    )]
    Notes,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "a.example/b.example\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— a.example/b.example AAAA\n";

    fn example() -> Equivocation {
        Equivocation {
            prefix: Some(Prefix {
                root: Hash::EMPTY_ROOT,
                hashes: vec![Hash([1; 32])],
            }),
            smaller: NOTE.into(),
            larger: NOTE.replace("\n3\n", "\n4\n"),
        }
    }

    #[test]
    fn files_come_back() {
        let mut file = example();
        assert_eq!(Equivocation::parse(&file.encode()), Ok(file.clone()));
        file.prefix = None;
        let text = format!("{HEADER}\n\n{}\n{}", file.smaller, file.larger);
        assert_eq!(file.encode(), text);
        assert_eq!(Equivocation::parse(&text), Ok(file));
    }

    #[test]
    fn bad_files_are_refused_by_part() {
        use EquivocationFileError as E;
        let good = example().encode();
        for (from, to, error) in [
            ("@v1", "@v2", E::Header),
            ("liaison/", " liaison/", E::Header),
            ("@v1\n", "@v1\r\n", E::Header),
            ("prefix ", "prefix  ", E::Prefix),
            ("prefix ", "", E::Prefix),
            ("47DEQ", "47DE", E::Prefix),
            ("AQEBAQ", "AQEBA", E::Hash { position: 0 }),
            ("\n\na.ex", "\na.ex", E::Parts { found: 4 }),
            ("\n\na.ex", "\n\nx\n\na.ex", E::Parts { found: 6 }),
            ("\n\na.ex", "\n\n\na.ex", E::Notes),
            ("\n\n—", "\n\n\n—", E::Notes),
        ] {
            assert!(good.contains(from), "{from:?}");
            let bad = good.replacen(from, to, 1);
            assert_eq!(Equivocation::parse(&bad), Err(error), "{from:?} → {to:?}");
        }
        for end in ["\n", "\n\n", "x", "x\n\n"] {
            let bad = format!("{good}{end}");
            let judged = Equivocation::parse(&bad);
            // A line more is the signature lines' to refuse.
            assert!(judged.is_err() || end == "x\n", "{end:?}: {judged:?}");
        }
        assert_eq!(
            Equivocation::parse(good.trim_end_matches('\n')),
            Err(E::Notes)
        );
        let many = |count| {
            let mut file = example();
            file.prefix.as_mut().unwrap().hashes = vec![Hash([1; 32]); count];
            Equivocation::parse(&file.encode())
        };
        assert!(many(HASHES_MAX).is_ok());
        assert_eq!(many(HASHES_MAX + 1), Err(E::TooManyHashes));
        assert_eq!(Equivocation::parse(""), Err(E::Header));
        let long = |bytes: usize| format!("{good}{}", "x".repeat(bytes - good.len()));
        let bytes = EQUIVOCATION_BYTES_MAX + 1;
        assert_eq!(
            Equivocation::parse(&long(bytes)),
            Err(E::TooLarge { bytes })
        );
        assert_eq!(
            Equivocation::parse(&long(EQUIVOCATION_BYTES_MAX)),
            Err(E::Notes)
        );
    }
}
