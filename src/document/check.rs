//! Compares the text of a printed letter's code with what is on record.

use serde::Serialize;

use super::qr::QrText;
use crate::model::Origin;
use crate::tlog::Hash;

/// A message as it is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnRecord {
    /// The log that it is in.
    pub origin: Origin,
    /// Its index there.
    pub index: u64,
    /// Body digest of its signed header.
    pub body_digest: Hash,
    /// Root of that log at the size that the code names.
    pub root: RootThen,
}

/// The root of a log at a certain size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootThen {
    /// This.
    Root(Hash),
    /// Whoever is asked holds the whole log, and it has fewer entries.
    NoSuchSize,
    /// Whoever is asked cannot tell.
    Unknown,
}

/// The word that people and programs are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Everything the code says is on record so.
    Matches,
    /// Something is on record otherwise.
    DoesNotMatch,
    /// Nothing is on record otherwise, but not all of it is known.
    NotKnownHere,
}

/// What a code says of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Which log it is in.
    Origin,
    /// Its place there.
    Index,
    /// What it says.
    BodyDigest,
    /// What its receipt rests on.
    Checkpoint,
}

/// How one part compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Which.
    pub part: Part,
    /// How: for this part alone.
    pub verdict: Word,
    /// As the code has it.
    pub printed: String,
    /// As it is on record; nothing if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_record: Option<String>,
}

/// Compares part by part.
#[must_use]
pub fn compare(code: &QrText, record: &OnRecord) -> Vec<Compared> {
    let mut parts = vec![
        part(
            Part::Origin,
            code.origin.to_string(),
            record.origin.to_string(),
        ),
        part(
            Part::Index,
            code.index.to_string(),
            record.index.to_string(),
        ),
        part(
            Part::BodyDigest,
            code.body_digest.to_string(),
            record.body_digest.to_string(),
        ),
    ];
    if let Some(checkpoint) = code.checkpoint {
        let (size, root) = (checkpoint.size, checkpoint.root);
        let printed = format!("{size} {root}");
        parts.push(match record.root {
            RootThen::Root(root) => part(Part::Checkpoint, printed, format!("{size} {root}")),
            RootThen::NoSuchSize | RootThen::Unknown => Compared {
                part: Part::Checkpoint,
                verdict: match record.root {
                    RootThen::NoSuchSize => Word::DoesNotMatch,
                    _ => Word::NotKnownHere,
                },
                printed,
                on_record: None,
            },
        });
    }
    parts
}

fn part(part: Part, printed: String, on_record: String) -> Compared {
    let verdict = if printed == on_record {
        Word::Matches
    } else {
        Word::DoesNotMatch
    };
    Compared {
        part,
        verdict,
        printed,
        on_record: Some(on_record),
    }
}

/// The verdict over all parts: the worst of them.
#[must_use]
pub fn overall(parts: &[Compared]) -> Word {
    let any = |word| parts.iter().any(|part| part.verdict == word);
    if any(Word::DoesNotMatch) {
        Word::DoesNotMatch
    } else if parts.is_empty() || any(Word::NotKnownHere) {
        Word::NotKnownHere
    } else {
        Word::Matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::qr::QrCheckpoint;
    use crate::model::MessageId;

    #[test]
    fn each_part_is_named_that_differs() {
        let origin = Origin::parse("a.example/b.example").unwrap();
        let code = QrText {
            id: MessageId::from_parts(1, [7; 10]),
            body_digest: Hash([1; 32]),
            origin: origin.clone(),
            index: 4,
            checkpoint: Some(QrCheckpoint {
                size: 5,
                root: Hash([2; 32]),
            }),
        };
        let record = OnRecord {
            origin: origin.clone(),
            index: 4,
            body_digest: Hash([1; 32]),
            root: RootThen::Root(Hash([2; 32])),
        };
        let judge = |record: &OnRecord| {
            let parts = compare(&code, record);
            let wrong = parts.iter().find(|part| part.verdict != Word::Matches);
            (overall(&parts), wrong.map(|part| part.part))
        };
        assert_eq!(judge(&record), (Word::Matches, None));
        let differs = |part| (Word::DoesNotMatch, Some(part));
        let other = OnRecord {
            origin: origin.reversed(),
            ..record.clone()
        };
        assert_eq!(judge(&other), differs(Part::Origin));
        let other = OnRecord {
            index: 3,
            ..record.clone()
        };
        assert_eq!(judge(&other), differs(Part::Index));
        let other = OnRecord {
            body_digest: Hash([9; 32]),
            ..record.clone()
        };
        assert_eq!(judge(&other), differs(Part::BodyDigest));
        for (root, word) in [
            (RootThen::Root(Hash([9; 32])), Word::DoesNotMatch),
            (RootThen::NoSuchSize, Word::DoesNotMatch),
            (RootThen::Unknown, Word::NotKnownHere),
        ] {
            let other = OnRecord {
                root,
                ..record.clone()
            };
            assert_eq!(judge(&other), (word, Some(Part::Checkpoint)));
        }
        assert_eq!(overall(&[]), Word::NotKnownHere);
    }
}
