//! Receipts as files: C2SP tlog-proof.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Hash, decimal};
use crate::limits::NOTE_BYTES_MAX;

/// First line of the format.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Hashes of an inclusion proof in a tree of 2^64 leaves.
pub const HASHES_MAX: usize = 64;
/// Opaque extra data, before base64. This project writes none.
pub const EXTRA_BYTES_MAX: usize = 64 << 10;
/// A whole file: extra data in base64 (4/3), 64 hash lines of 45 bytes, the note, and 4 KiB over.
pub const PROOF_BYTES_MAX: usize = EXTRA_BYTES_MAX / 3 * 4 + 64 * 45 + NOTE_BYTES_MAX + 4096;

/// A receipt that is verified offline: index, inclusion proof and checkpoint.
///
/// Nothing in it is verified yet; that takes the leaf, the keys and `audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque and never trusted; `None` when the line is absent.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry in the log.
    pub index: u64,
    /// From the leaf's sibling up to the root's child.
    pub hashes: Vec<Hash>,
    /// The signed note, verbatim.
    pub checkpoint: String,
}

impl TlogProof {
    /// The file's text.
    #[must_use]
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Parses a file strictly: the text that [`encode`](Self::encode) writes and no other.
    ///
    /// # Errors
    /// Names the line at fault.
    pub fn parse(text: &str) -> Result<Self, ProofFileError> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofFileError::TooLarge { bytes: text.len() });
        }
        // The proof lines hold no blank line, so the first one ends them.
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofFileError::Checkpoint)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(ProofFileError::Header);
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(parse_extra(line)?),
            None => None,
        };
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(decimal)
            .ok_or(ProofFileError::Index)?;
        let mut hashes = Vec::new();
        for (position, line) in lines.enumerate() {
            if position == HASHES_MAX {
                return Err(ProofFileError::TooManyHashes);
            }
            hashes.push(Hash::parse(line).map_err(|_| ProofFileError::Hash { position })?);
        }
        if checkpoint.is_empty() || !checkpoint.ends_with('\n') || checkpoint.starts_with('\n') {
            return Err(ProofFileError::Checkpoint);
        }
        Ok(Self {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.to_owned(),
        })
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        writeln!(f)?;
        f.write_str(&self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = ProofFileError;

    fn from_str(text: &str) -> Result<Self, ProofFileError> {
        Self::parse(text)
    }
}

/// Why a text is no tlog-proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileError {
    /// Over the limit.
    #[error("the proof has {bytes} bytes, more than {PROOF_BYTES_MAX}")]
    TooLarge {
        /// What was found.
        bytes: usize,
    },
    /// The first line is another one.
    #[error("the first line is not {HEADER:?}")]
    Header,
    /// The extra line does not hold base64, or too much.
    #[error("the extra line is not `extra` and standard base64 of at most {EXTRA_BYTES_MAX} bytes")]
    Extra,
    /// The index line is missing or not canonical.
    #[error("the index line is not `index` and a decimal number without leading zeros")]
    Index,
    /// A hash line is no hash.
    #[error("hash {position} of the proof is not 32 bytes in standard base64")]
    Hash {
        /// Position, from 0.
        position: usize,
    },
    /// More hashes than any tree asks for.
    #[error("the proof has more than {HASHES_MAX} hashes")]
    TooManyHashes,
    /// No checkpoint behind a blank line.
    #[error("the proof ends without a blank line and a checkpoint")]
    Checkpoint,
}

fn parse_extra(line: &str) -> Result<Vec<u8>, ProofFileError> {
    let text = line.strip_prefix("extra ").ok_or(ProofFileError::Extra)?;
    let extra = STANDARD.decode(text).map_err(|_| ProofFileError::Extra)?;
    if extra.len() > EXTRA_BYTES_MAX {
        Err(ProofFileError::Extra)
    } else {
        Ok(extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKPOINT: &str = "a.example/b.example\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— a.example/b.example AAAA\n";

    fn example() -> TlogProof {
        TlogProof {
            extra: Some(b"x".to_vec()),
            index: 2,
            hashes: vec![Hash::EMPTY_ROOT],
            checkpoint: CHECKPOINT.into(),
        }
    }

    #[test]
    fn files_come_back() {
        let mut proof = example();
        assert_eq!(TlogProof::parse(&proof.encode()), Ok(proof.clone()));
        proof.extra = None;
        proof.hashes.clear();
        let text = format!("c2sp.org/tlog-proof@v1\nindex 2\n\n{CHECKPOINT}");
        assert_eq!(proof.encode(), text);
        assert_eq!(TlogProof::parse(&text), Ok(proof));
    }

    #[test]
    fn bad_files_are_refused_by_line() {
        let good = example().encode();
        for (from, to, error) in [
            ("@v1", "@v2", ProofFileError::Header),
            ("c2sp", " c2sp", ProofFileError::Header),
            ("@v1\n", "@v1\r\n", ProofFileError::Header),
            ("extra eA==", "extra eA=", ProofFileError::Extra),
            ("extra eA==", "extra eB==", ProofFileError::Extra),
            ("extra eA==", "extra  eA==", ProofFileError::Extra),
            (
                "extra eA==\n",
                "extra eA==\nextra eA==\n",
                ProofFileError::Index,
            ),
            ("index 2", "index 02", ProofFileError::Index),
            ("index 2", "index -2", ProofFileError::Index),
            ("index 2", "index 2 ", ProofFileError::Index),
            ("index 2\n", "", ProofFileError::Index),
            (
                "index 2\n47DE",
                "index 2\n47DF ",
                ProofFileError::Hash { position: 0 },
            ),
            (
                "index 2\n",
                "index 2\nindex 2\n",
                ProofFileError::Hash { position: 0 },
            ),
            ("\n\na.ex", "\na.ex", ProofFileError::Hash { position: 1 }),
            ("\n\na.ex", "\n\n\na.ex", ProofFileError::Checkpoint),
            ("AAAA\n", "AAAA", ProofFileError::Checkpoint),
        ] {
            assert!(good.contains(from), "{from:?}");
            let bad = good.replacen(from, to, 1);
            assert_eq!(TlogProof::parse(&bad), Err(error), "{from:?} → {to:?}");
        }
        let many = format!(
            "{HEADER}\nindex 0\n{}\n{CHECKPOINT}",
            format!("{}\n", Hash::EMPTY_ROOT).repeat(65)
        );
        assert_eq!(TlogProof::parse(&many), Err(ProofFileError::TooManyHashes));
        assert_eq!(TlogProof::parse(""), Err(ProofFileError::Checkpoint));
    }
}
