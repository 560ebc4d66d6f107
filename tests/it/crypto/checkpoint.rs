//! Checkpoints, cosignatures, receipts.

use liaison::crypto::Verified;
use liaison::crypto::checkpoint::{
    Checkpoint, CheckpointError, LogVerifier, LogVerifierError, SignedCheckpoint, cosign,
    sign_checkpoint,
};
use liaison::crypto::keys::LogKey;
use liaison::crypto::note::{Note, NoteError, SignatureLine};
use liaison::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};
use liaison::model::Origin;
use liaison::tlog::Hash;
use serde::Deserialize;

use super::{RECIPIENT, SENDER, counting, log_key, mirror_key, name, origin, seed, vectors, vkey};

#[derive(Deserialize)]
struct Vectors {
    sender: String,
    recipient: String,
    log_seed: String,
    mirror_seed: String,
    log: String,
    author: String,
    mirror: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    size: u64,
    root: String,
    authored_at: u64,
    cosigned_at: u64,
    text: String,
    note: String,
    receipt: String,
}

const ROOT: Hash = Hash([7; 32]);

pub(super) fn verifier() -> LogVerifier {
    LogVerifier::new(
        origin(),
        log_key().log_verifier(&origin()),
        log_key().cosigner_verifier(&name(SENDER)),
        mirror_key().cosigner_verifier(&name(RECIPIENT)),
    )
    .unwrap()
}

fn signed() -> Verified<SignedCheckpoint> {
    sign_checkpoint(&log_key(), &origin(), 300, ROOT, 1_766_000_000)
}

fn receipt() -> String {
    cosign(&mirror_key(), &name(RECIPIENT), &signed(), 1_766_000_009)
        .note
        .clone()
}

/// Keeps the lines of a note that the mask names.
fn lines(note: &str, kept: &[usize]) -> String {
    let note = Note::parse(note).unwrap();
    let lines: Vec<_> = kept.iter().map(|&i| note.signatures()[i].clone()).collect();
    Note::new(note.text(), &lines).unwrap().to_string()
}

/// The note with the bytes of one signature line changed.
fn changed(note: &str, index: usize, change: impl Fn(&mut SignatureLine)) -> String {
    let note = Note::parse(note).unwrap();
    let mut lines = note.signatures().to_vec();
    change(&mut lines[index]);
    Note::new(note.text(), &lines).unwrap().to_string()
}

fn strangers(count: usize, bytes: usize) -> String {
    let mut lines = String::new();
    for i in 0..count {
        let line = SignatureLine {
            name: format!("witness{i}.example"),
            key_id: 1,
            bytes: vec![1; bytes],
        };
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines
}

#[test]
fn vectors_hold() {
    let vectors: Vectors = vectors("checkpoint.json");
    let origin = Origin::new(name(&vectors.sender), name(&vectors.recipient));
    let log = LogKey::from_seed(&seed(&vectors.log_seed));
    let mirror = LogKey::from_seed(&seed(&vectors.mirror_seed));
    let verifier = LogVerifier::new(
        origin.clone(),
        vkey(&vectors.log),
        vkey(&vectors.author),
        vkey(&vectors.mirror),
    )
    .unwrap();
    for case in vectors.cases {
        let root = Hash(seed(&case.root));
        let checkpoint = Checkpoint {
            origin: origin.to_string(),
            size: case.size,
            root,
        };
        assert_eq!(checkpoint.encode(), case.text);
        assert_eq!(Checkpoint::parse(&case.text).unwrap(), checkpoint);

        let signed = sign_checkpoint(&log, &origin, case.size, root, case.authored_at);
        assert_eq!(signed.note, case.note);
        assert_eq!(signed.checkpoint, checkpoint);
        assert_eq!(verifier.checkpoint(&case.note).unwrap(), signed);

        let receipt = cosign(&mirror, origin.recipient(), &signed, case.cosigned_at);
        assert_eq!(receipt.note, case.receipt);
        assert_eq!(receipt.cosigned_at, case.cosigned_at);
        assert_eq!(receipt.signed, *signed);
        assert_eq!(verifier.receipt(&case.receipt).unwrap(), receipt);
    }
}

/// The example of c2sp.org/tlog-checkpoint and c2sp.org/tlog-cosignature, whose keys are not given.
#[test]
fn the_example_of_the_specification_parses() {
    let note = Note::parse(concat!(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n",
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n",
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n",
    ))
    .unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size, 20_852_163);
    assert_eq!(
        checkpoint.root.to_string(),
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    );
    assert_eq!(
        note.signatures()[1].bytes[..8],
        1_679_315_147_u64.to_be_bytes()
    );
}

#[test]
fn malformed_checkpoints_are_refused() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let good = format!("a.example/b.example\n5\n{root}\n");
    assert_eq!(Checkpoint::parse(&good).unwrap().size, 5);
    assert_eq!(
        Checkpoint::parse(&format!("{good}extension\nanother one\n")),
        Checkpoint::parse(&good)
    );
    assert!(Checkpoint::parse("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n").is_ok());

    let (newline, origin, size, hash, extension) = (
        "it does not end with a newline",
        "no origin",
        "not a strict decimal size",
        "not strict base64 of 32 bytes",
        "an empty extension line",
    );
    let sized = |size: &str| format!("o\n{size}\n{root}\n");
    let rooted = |root: &str| format!("o\n5\n{root}\n");
    let cases = [
        (String::new(), 1, newline),
        ("\n".to_owned(), 1, origin),
        (format!("\n5\n{root}\n"), 1, origin),
        ("o\n".to_owned(), 2, size),
        ("o\n5\n".to_owned(), 3, hash),
        (good.trim_end().to_owned(), 3, newline),
        (sized(""), 2, size),
        (sized("05"), 2, size),
        (sized("00"), 2, size),
        (sized("+5"), 2, size),
        (sized("-5"), 2, size),
        (sized(" 5"), 2, size),
        (sized("5 "), 2, size),
        (sized("0x5"), 2, size),
        (sized("5_000"), 2, size),
        (sized("5e3"), 2, size),
        (sized("٥"), 2, size),
        (sized("9223372036854775808"), 2, size),
        (sized("18446744073709551616"), 2, size),
        (rooted(""), 3, hash),
        (rooted(&root[..43]), 3, hash),
        (rooted(&format!("{root}=")), 3, hash),
        (rooted(&format!("{root} ")), 3, hash),
        (rooted(&root.replace('/', "_")), 3, hash),
        (rooted(&root.replace("I=", "J=")), 3, hash),
        (
            rooted("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw=="),
            3,
            hash,
        ),
        (
            rooted("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2IA"),
            3,
            hash,
        ),
        (sized("0"), 3, "not the root of an empty tree"),
        (format!("{good}\n"), 4, extension),
        (format!("{good}one\n\nthree\n"), 5, extension),
    ];
    for (text, line, reason) in cases {
        assert_eq!(
            Checkpoint::parse(&text).unwrap_err(),
            CheckpointError::Line { line, reason },
            "{text:?}"
        );
    }
}

#[test]
fn a_checkpoint_needs_the_log_and_the_author_and_a_receipt_the_mirror() {
    let verifier = verifier();
    let receipt = receipt();
    let missing = |error: CheckpointError| match error {
        CheckpointError::MissingSignature { role, .. } => role,
        other => panic!("{other}"),
    };
    assert!(verifier.receipt(&receipt).is_ok());
    assert!(verifier.checkpoint(&receipt).is_ok());
    assert!(verifier.receipt(&lines(&receipt, &[2, 1, 0])).is_ok());
    assert_eq!(
        missing(verifier.checkpoint(&lines(&receipt, &[1])).unwrap_err()),
        "the log"
    );
    assert_eq!(
        missing(verifier.checkpoint(&lines(&receipt, &[0])).unwrap_err()),
        "the author"
    );
    assert_eq!(
        missing(verifier.receipt(&lines(&receipt, &[0, 1])).unwrap_err()),
        "the mirror"
    );
    assert_eq!(
        missing(verifier.receipt(&lines(&receipt, &[1, 2])).unwrap_err()),
        "the log"
    );
    assert_eq!(
        missing(verifier.receipt(&lines(&receipt, &[0, 2])).unwrap_err()),
        "the author"
    );
}

#[test]
fn a_known_line_that_does_not_hold_spoils_the_note() {
    let verifier = verifier();
    let receipt = receipt();
    for index in 0..3 {
        for byte in 0..Note::parse(&receipt).unwrap().signatures()[index]
            .bytes
            .len()
        {
            let tampered = changed(&receipt, index, |line| line.bytes[byte] ^= 1);
            for error in [
                verifier.checkpoint(&tampered).unwrap_err(),
                verifier.receipt(&tampered).unwrap_err(),
            ] {
                assert!(
                    matches!(error, CheckpointError::Note(NoteError::BadSignature { .. })),
                    "{index} {byte}"
                );
            }
        }
        let short = changed(&receipt, index, |line| {
            line.bytes.truncate(line.bytes.len() - 1);
        });
        assert!(verifier.receipt(&short).is_err());
        let long = changed(&receipt, index, |line| line.bytes.push(0));
        assert!(verifier.receipt(&long).is_err());
        let twice = lines(&receipt, &[0, 1, 2, index]);
        let error = verifier.receipt(&twice).unwrap_err();
        assert!(matches!(
            error,
            CheckpointError::Note(NoteError::DuplicateSignature { .. })
        ));
    }
    for (from, to) in [
        ("\n300\n", "\n301\n"),
        ("laocai", "laocaj"),
        ("BwcH", "BwcI"),
        ("\n300\n", "\n0300\n"),
    ] {
        let tampered = receipt.replacen(from, to, 1);
        assert!(verifier.checkpoint(&tampered).is_err(), "{to}");
    }
    let extended = receipt.replacen("=\n\n", "=\nextension\n\n", 1);
    assert!(verifier.checkpoint(&extended).is_err());
}

#[test]
fn a_cosignature_dated_beyond_the_limit_is_refused() {
    let verifier = verifier();
    let late = sign_checkpoint(&log_key(), &origin(), 300, ROOT, u64::MAX);
    assert_eq!(late.authored_at, i64::MAX.unsigned_abs());
    assert!(verifier.checkpoint(&late.note).is_ok());
    let later = changed(&late.note, 1, |line| {
        line.bytes[..8].copy_from_slice(&(1_u64 << 63).to_be_bytes());
    });
    assert!(verifier.checkpoint(&later).is_err());
}

#[test]
fn a_signature_of_one_kind_is_none_of_another() {
    let verifier = verifier();
    let note = Note::parse(&signed().note).unwrap();
    let [log, author] = note.signatures() else {
        panic!()
    };
    // The author's signature under the log's name, and the other way round, key ids adjusted.
    let as_log = SignatureLine {
        bytes: author.bytes[8..].to_vec(),
        ..log.clone()
    };
    let as_author = SignatureLine {
        bytes: [&1_766_000_000_u64.to_be_bytes(), &log.bytes[..]].concat(),
        ..author.clone()
    };
    for lines in [[as_log, author.clone()], [log.clone(), as_author]] {
        let note = Note::new(note.text(), &lines).unwrap();
        assert!(verifier.checkpoint(note.as_str()).is_err());
    }
}

#[test]
fn the_checkpoint_of_another_log_is_refused() {
    let verifier = verifier();
    // The same keys, the other direction: other names, so none of the keys is known.
    let other = sign_checkpoint(
        &log_key(),
        &Origin::new(name(RECIPIENT), name(SENDER)),
        300,
        ROOT,
        1,
    );
    assert_eq!(
        verifier.checkpoint(&other.note).unwrap_err(),
        CheckpointError::Note(NoteError::NoKnownKey)
    );
    // A third recipient: the author is known, the log is not.
    let third = sign_checkpoint(
        &log_key(),
        &Origin::new(name(SENDER), name("third.example")),
        300,
        ROOT,
        1,
    );
    let error = verifier.checkpoint(&third.note).unwrap_err();
    assert!(matches!(
        error,
        CheckpointError::MissingSignature {
            role: "the log",
            ..
        }
    ));
}

/// The log's key signs, under this log's name, a text with another origin.
#[test]
fn a_text_with_another_origin_is_refused() {
    use ed25519_dalek::{Signer as _, SigningKey};
    let key = SigningKey::from_bytes(&counting(32));
    let text = Checkpoint {
        origin: "other.example/\u{202e}x".to_owned(),
        size: 300,
        root: ROOT,
    }
    .encode();
    let honest = Note::parse(&signed().note).unwrap();
    let [log, author] = honest.signatures() else {
        panic!()
    };
    let dated = key
        .sign(format!("cosignature/v1\ntime 5\n{text}").as_bytes())
        .to_bytes();
    let lines = [
        SignatureLine {
            bytes: key.sign(text.as_bytes()).to_bytes().to_vec(),
            ..log.clone()
        },
        SignatureLine {
            bytes: [&5_u64.to_be_bytes()[..], &dated].concat(),
            ..author.clone()
        },
    ];
    let note = Note::new(&text, &lines).unwrap();
    let error = verifier().checkpoint(note.as_str()).unwrap_err();
    let found = "other.example/\\u{202e}x".to_owned();
    assert_eq!(
        error,
        CheckpointError::Origin {
            expected: origin().to_string(),
            found
        }
    );
}

#[test]
fn unknown_lines_are_kept_and_room_for_a_cosignature_is_demanded() {
    let verifier = verifier();
    let note = signed().note.clone();

    let full = format!("{note}{}", strangers(NOTE_SIGNATURES_MAX - 3, 72));
    let checkpoint = verifier.checkpoint(&full).unwrap();
    assert_eq!(checkpoint.note, full);
    let receipt = cosign(&mirror_key(), &name(RECIPIENT), &checkpoint, 7);
    assert!(receipt.note.starts_with(&full));
    assert_eq!(verifier.receipt(&receipt.note).unwrap(), receipt);

    let over = format!("{note}{}", strangers(NOTE_SIGNATURES_MAX - 2, 72));
    assert_eq!(
        verifier.checkpoint(&over).unwrap_err(),
        CheckpointError::NoRoom
    );
    let big = format!(
        "{note}{}",
        strangers(1, (NOTE_BYTES_MAX - note.len() - 100) / 4 * 3)
    );
    assert_eq!(
        verifier.checkpoint(&big).unwrap_err(),
        CheckpointError::NoRoom
    );
}

#[test]
fn cosigning_again_replaces_the_own_line() {
    let verifier = verifier();
    let first = verifier.checkpoint(&receipt()).unwrap();
    let again = cosign(&mirror_key(), &name(RECIPIENT), &first, 1_766_000_099);
    assert_eq!(again.cosigned_at, 1_766_000_099);
    assert_eq!(again.signed, *signed());
    assert_eq!(verifier.receipt(&again.note).unwrap(), again);
}

#[test]
fn keys_that_do_not_fit_make_no_verifier() {
    let log = || log_key().log_verifier(&origin());
    let author = || log_key().cosigner_verifier(&name(SENDER));
    let mirror = || mirror_key().cosigner_verifier(&name(RECIPIENT));
    let role = |result: Result<LogVerifier, LogVerifierError>| match result.unwrap_err() {
        LogVerifierError::Key { role, .. } => role,
        LogVerifierError::SameKey { .. } => "same",
    };
    assert_eq!(
        role(LogVerifier::new(origin(), author(), author(), mirror())),
        "log"
    );
    assert_eq!(
        role(LogVerifier::new(origin(), log(), mirror(), mirror())),
        "author"
    );
    assert_eq!(
        role(LogVerifier::new(origin(), log(), author(), author())),
        "mirror"
    );
    assert_eq!(
        role(LogVerifier::new(origin(), log(), log(), mirror())),
        "author"
    );
    let same = log_key().cosigner_verifier(&name(RECIPIENT));
    assert_eq!(
        role(LogVerifier::new(origin(), log(), author(), same)),
        "same"
    );
}

#[test]
fn a_receipt_for_a_known_checkpoint_needs_the_mirror_s_line_alone() {
    let verifier = verifier();
    let (signed, receipt) = (signed(), receipt());
    let judged = verifier.receipt_for(&signed, &receipt).unwrap().unwrap();
    assert_eq!(judged, verifier.receipt(&receipt).unwrap());

    // Every byte of the mirror's line counts.
    for byte in 0..Note::parse(&receipt).unwrap().signatures()[2].bytes.len() {
        let tampered = changed(&receipt, 2, |line| line.bytes[byte] ^= 1);
        assert!(verifier.receipt_for(&signed, &tampered).is_err(), "{byte}");
    }
    assert!(
        verifier
            .receipt_for(&signed, &lines(&receipt, &[0, 1]))
            .is_err()
    );
    // What is not that very checkpoint is left to the whole judgement.
    let elsewhere = [
        changed(&receipt, 0, |line| line.bytes[20] ^= 1),
        changed(&receipt, 1, |line| line.bytes[20] ^= 1),
        lines(&receipt, &[0, 2]),
        lines(&receipt, &[2, 1, 0]),
        receipt.replacen("\n300\n", "\n301\n", 1),
    ];
    for note in elsewhere {
        assert_eq!(verifier.receipt_for(&signed, &note).unwrap(), None);
    }
    let later = sign_checkpoint(&log_key(), &origin(), 300, ROOT, 1_766_000_001);
    assert_eq!(verifier.receipt_for(&later, &receipt).unwrap(), None);
    let back = origin().reversed();
    let other = sign_checkpoint(&log_key(), &back, 300, ROOT, 1_766_000_000);
    assert_eq!(verifier.receipt_for(&other, &other.note).unwrap(), None);
}
