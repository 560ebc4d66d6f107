//! What people and programs submit: letters, alerts, answers that continue cases, large bodies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::sync::LazyLock;

use liaison::model::{MessageId, sample};
use liaison::proto::v1;
use liaison::proto::v1::body::Body;

use super::dice::Dice;
use crate::sides::{Side, flash, letter};

/// Kinds that open something to be answered.
const OPENINGS: [&str; 3] = [
    "verification-request",
    "meeting-proposal",
    "handover-request",
];
/// Kinds that answer. Most are impossible at most moments: then nothing is recorded.
const ANSWERS: [&str; 6] = [
    "acknowledgement",
    "verification-reply",
    "response",
    "handover-reply",
    "closure",
    "countersignature",
];

static SAMPLES: LazyLock<HashMap<&str, v1::Draft>> = LazyLock::new(|| {
    let names = OPENINGS.iter().chain(&ANSWERS).chain(&["withdrawal"]);
    names.map(|name| (*name, read(name))).collect()
});

fn read(name: &str) -> v1::Draft {
    let mut draft = sample::find(name).unwrap().draft().unwrap();
    draft.thread_id.clear();
    draft.supersedes.clear();
    draft.in_reply_to.clear();
    // The sample's files are not uploaded here.
    if let Some(Body::HandoverRequest(request)) = &mut draft.body.as_mut().unwrap().body {
        request.common.as_mut().unwrap().attachments.clear();
        for (at, person) in request.persons.iter_mut().enumerate() {
            person.photo_sha256.clear();
            let path = format!("persons[{at}].photoSha256");
            let listed = &mut request.common.as_mut().unwrap().not_applicable;
            if !listed.contains(&path) {
                listed.push(path);
            }
        }
    }
    draft
}

fn sampled(name: &str, recipient: &Side) -> v1::Draft {
    v1::Draft {
        recipient: recipient.name.to_string(),
        ..SAMPLES[name].clone()
    }
}

/// A letter whose body lies in a file.
fn long_letter(recipient: &Side, number: usize, bytes: usize) -> v1::Draft {
    let mut draft = letter(recipient, number);
    if let Some(Body::OfficialLetter(letter)) = &mut draft.body.as_mut().unwrap().body {
        let text = letter.text.as_mut().unwrap();
        text.texts.insert("vi".to_owned(), "dài ".repeat(bytes / 5));
    }
    draft
}

/// A draft with an id. `mine` and `theirs` are messages that it may take up.
pub(crate) fn draft(
    dice: &mut Dice,
    recipient: &Side,
    number: usize,
    unix_ms: u64,
    mine: &[MessageId],
    theirs: &[MessageId],
) -> v1::Draft {
    let one_of = |dice: &mut Dice, ids: &[MessageId]| {
        (!ids.is_empty()).then(|| ids[dice.index(ids.len())].to_string())
    };
    let mut draft = match dice.below(20) {
        0..=8 => letter(recipient, number),
        9..=11 => flash(recipient, number),
        12 => v1::Draft {
            precedence: v1::Precedence::Immediate as i32,
            ..flash(recipient, number)
        },
        13 => {
            let bytes = 9_000 + dice.index(40_000);
            long_letter(recipient, number, bytes)
        }
        14 => sampled(OPENINGS[dice.index(OPENINGS.len())], recipient),
        15 => v1::Draft {
            supersedes: one_of(dice, mine).unwrap_or_default(),
            ..sampled("withdrawal", recipient)
        },
        16 | 17 => v1::Draft {
            in_reply_to: one_of(dice, theirs).unwrap_or_default(),
            ..letter(recipient, number)
        },
        _ => v1::Draft {
            in_reply_to: one_of(dice, theirs).unwrap_or_default(),
            ..sampled(ANSWERS[dice.index(ANSWERS.len())], recipient)
        },
    };
    let mut random = [0; 10];
    random[..8].copy_from_slice(&dice.next().to_be_bytes());
    draft.id = MessageId::from_parts(unix_ms, random).to_string();
    draft
}

/// Whether a draft must be taken whenever there is a disk to take it.
pub(crate) fn is_always_possible(draft: &v1::Draft) -> bool {
    draft.in_reply_to.is_empty()
        && matches!(
            draft.body.as_ref().and_then(|body| body.body.as_ref()),
            Some(Body::OfficialLetter(_))
        )
}

/// Reads the samples now, so that no run pays for it.
pub(crate) fn prepare() {
    assert!(SAMPLES.len() > 9);
}
