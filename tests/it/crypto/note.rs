//! Signed notes.

use ed25519_dalek::{Signature, Verifier as _};
use liaison::crypto::note::{self, Note, NoteError, SignatureLine};
use liaison::crypto::vkey::{Algorithm, VerifierKey};
use liaison::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};
use serde::Deserialize;

use super::{bytes, message_key, vectors, vkey};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    source: String,
    keys: Vec<String>,
    text: String,
    note: String,
    signers: Vec<String>,
    times: Vec<Option<u64>>,
}

#[derive(Deserialize)]
struct Torsion {
    message: String,
    good_signature: String,
    bad_signatures: Vec<BadSignature>,
}

#[derive(Deserialize)]
struct BadSignature {
    what: String,
    signature: String,
}

const PETER_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH_KEY: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const PETER: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn peter() -> VerifierKey {
    vkey(PETER_KEY)
}

#[test]
fn vectors_hold() {
    for case in vectors::<Vectors>("note.json").cases {
        let note = Note::parse(&case.note).expect(&case.source);
        assert_eq!(note.text(), case.text, "{}", case.source);
        assert_eq!(note.as_str(), case.note);
        assert_eq!(note.to_string(), case.note);
        assert_eq!(Note::new(note.text(), note.signatures()).unwrap(), note);
        let keys: Vec<_> = case.keys.iter().map(|key| vkey(key)).collect();
        let signers = note::verify(&note, &keys.iter().collect::<Vec<_>>()).expect(&case.source);
        let names: Vec<_> = signers.iter().map(|signer| signer.key.name()).collect();
        let times: Vec<_> = signers.iter().map(|signer| signer.unix_seconds).collect();
        assert_eq!(
            (names, times),
            (
                case.signers.iter().map(String::as_str).collect(),
                case.times
            )
        );
    }
}

#[test]
fn malformed_notes_are_refused() {
    let line = |line, reason| NoteError::SignatureLine { line, reason };
    let dash = "it does not start with an em dash and a space";
    let space = "it has no space after the key name";
    let name = "the key name is empty or holds a space or a plus";
    let base64 = "the signature is not strict base64";
    let blob = &PETER["— PeterNeumann ".len()..PETER.len() - 1];
    let cases = [
        (String::new(), NoteError::NoBlankLine),
        (TEXT.to_owned(), NoteError::NoBlankLine),
        (PETER.to_owned(), NoteError::NoBlankLine),
        (format!("{TEXT}{PETER}"), NoteError::NoBlankLine),
        (format!("\n{PETER}"), NoteError::NoBlankLine),
        (format!("{TEXT}\n"), NoteError::NoSignatureLines),
        (format!("{TEXT}\n{PETER}\n"), NoteError::NoSignatureLines),
        (
            format!("{TEXT}\n{}", PETER.trim_end()),
            NoteError::NoFinalNewline,
        ),
        (
            format!("\u{1}{TEXT}\n{PETER}"),
            NoteError::ControlCharacter { code: 1 },
        ),
        (
            format!("\0{TEXT}\n{PETER}"),
            NoteError::ControlCharacter { code: 0 },
        ),
        (
            format!("{TEXT}\t\n\n{PETER}"),
            NoteError::ControlCharacter { code: 9 },
        ),
        (
            format!("{TEXT}\n{PETER}").replace('\n', "\r\n"),
            NoteError::ControlCharacter { code: 13 },
        ),
        (format!("{TEXT}\n{PETER}Unexpected line.\n"), line(2, dash)),
        (
            format!("{TEXT}\n{PETER}{TEXT}\n{ENOCH}").replace("\n\n— E", "\n— E"),
            line(2, dash),
        ),
        (format!("{TEXT}\n- PeterNeumann {blob}\n"), line(1, dash)),
        (
            format!("{TEXT}\n\u{2013} PeterNeumann {blob}\n"),
            line(1, dash),
        ),
        (format!("{TEXT}\n—PeterNeumann {blob}\n"), line(1, dash)),
        (format!("{TEXT}\n — PeterNeumann {blob}\n"), line(1, dash)),
        (format!("{TEXT}\n—  PeterNeumann {blob}\n"), line(1, name)),
        (format!("{TEXT}\n—  {blob}\n"), line(1, name)),
        (format!("{TEXT}\n— {blob}\n"), line(1, space)),
        (format!("{TEXT}\n— Peter+Neumann {blob}\n"), line(1, name)),
        (
            format!("{TEXT}\n— Peter\u{3000}Neumann {blob}\n"),
            line(1, name),
        ),
        (format!("{TEXT}\n— Peter Neumann {blob}\n"), line(1, base64)),
        (format!("{TEXT}\n— PeterNeumann  {blob}\n"), line(1, base64)),
        (format!("{TEXT}\n— PeterNeumann {blob} \n"), line(1, base64)),
        (
            format!("{TEXT}\n— PeterNeumann {}\n", &blob[..blob.len() - 1]),
            line(1, base64),
        ),
        (format!("{TEXT}\n— PeterNeumann {blob}=\n"), line(1, base64)),
        (
            format!(
                "{TEXT}\n— PeterNeumann {}\n",
                blob.replace('/', "_").replace('+', "-")
            ),
            line(1, base64),
        ),
        (
            format!("{TEXT}\n— PeterNeumann {}\n", blob.replace("nAM=", "nAN=")),
            line(1, base64),
        ),
        (
            format!("{TEXT}\n— PeterNeumann \n"),
            line(1, "the signature is too short"),
        ),
        (
            format!("{TEXT}\n— PeterNeumann x08g\n"),
            line(1, "the signature is too short"),
        ),
        (
            format!("{TEXT}\n— PeterNeumann x08gow==\n"),
            line(1, "the signature is too short"),
        ),
        (
            format!("{TEXT}\n{}", PETER.repeat(NOTE_SIGNATURES_MAX + 1)),
            NoteError::TooManySignatures,
        ),
        (
            format!("{}\n{PETER}", "a\n".repeat(NOTE_BYTES_MAX / 2)),
            NoteError::TooLarge {
                bytes: NOTE_BYTES_MAX + 1 + PETER.len(),
            },
        ),
    ];
    for (text, error) in cases {
        assert_eq!(Note::parse(&text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn no_note_is_made_of_what_would_read_back_as_another() {
    let line = Note::parse(&format!("{TEXT}\n{PETER}"))
        .unwrap()
        .signatures()[0]
        .clone();
    let with_name = |name: &str| SignatureLine {
        name: name.to_owned(),
        ..line.clone()
    };
    for (text, lines) in [
        ("no newline", vec![line.clone()]),
        ("", vec![line.clone()]),
        (TEXT, vec![]),
        (TEXT, vec![with_name("two words")]),
        (TEXT, vec![with_name("new\nline")]),
        (TEXT, vec![with_name("")]),
        (
            TEXT,
            vec![SignatureLine {
                bytes: vec![],
                ..line.clone()
            }],
        ),
        (TEXT, vec![line.clone(); NOTE_SIGNATURES_MAX + 1]),
        ("tab\t\n", vec![line.clone()]),
    ] {
        assert!(Note::new(text, &lines).is_err(), "{text:?} {lines:?}");
    }
}

#[test]
fn unknown_keys_are_passed_over_and_known_ones_must_hold() {
    let (peter, enoch) = (peter(), vkey(ENOCH_KEY));
    let verify = |note: &str, keys: &[&VerifierKey]| {
        let note = Note::parse(note).unwrap();
        note::verify(&note, keys).map(|signers| {
            signers
                .iter()
                .map(|s| s.key.name().to_owned())
                .collect::<Vec<_>>()
        })
    };
    let bad = |key: &VerifierKey| NoteError::BadSignature {
        name: key.name().to_owned(),
        key_id: key.key_id(),
    };
    let twice = |key: &VerifierKey| NoteError::DuplicateSignature {
        name: key.name().to_owned(),
        key_id: key.key_id(),
    };
    let p = || Ok(vec!["PeterNeumann".to_owned()]);

    // A line of Enoch's key that does not hold; of a stranger with Peter's name; with Peter's id.
    let enoch_bad = ENOCH.replace("UZb", "AAA").replace("BzmZa0S", "BzmZa0T");
    let namesake = PETER.replace("x08go", "x08gp");
    let same_id = PETER.replace("PeterNeumann", "CarmenSandiego");
    let too_long = PETER.replace("x08go/ZJ", "x08go/ZJABCD");
    let one_byte = "— PeterNeumann x08gowA=\n".to_owned();
    let many = (0..15)
        .map(|i| ENOCH.replace("EnochRoot", &format!("witness{i}")))
        .collect::<String>();
    let other_text = TEXT.replace("cryptography", "Cryptography");

    let cases = [
        (format!("{TEXT}\n{PETER}"), vec![&peter], p()),
        (format!("{TEXT}\n{ENOCH}{PETER}"), vec![&peter], p()),
        (format!("{TEXT}\n{enoch_bad}{PETER}"), vec![&peter], p()),
        (
            format!("{TEXT}\n{enoch_bad}{enoch_bad}{PETER}"),
            vec![&peter],
            p(),
        ),
        (
            format!("{TEXT}\n{enoch_bad}{PETER}"),
            vec![&peter, &enoch],
            Err(bad(&enoch)),
        ),
        (
            format!("{TEXT}\n{PETER}{enoch_bad}"),
            vec![&peter, &enoch],
            Err(bad(&enoch)),
        ),
        (format!("{TEXT}\n{namesake}{PETER}"), vec![&peter], p()),
        (format!("{TEXT}\n{same_id}{PETER}"), vec![&peter], p()),
        (
            format!("{TEXT}\n{namesake}{same_id}"),
            vec![&peter],
            Err(NoteError::NoKnownKey),
        ),
        (
            format!("{TEXT}\n{too_long}"),
            vec![&peter],
            Err(bad(&peter)),
        ),
        (
            format!("{TEXT}\n{one_byte}"),
            vec![&peter],
            Err(bad(&peter)),
        ),
        (
            format!("{other_text}\n{PETER}"),
            vec![&peter],
            Err(bad(&peter)),
        ),
        (format!("{TEXT}\n\n{PETER}"), vec![&peter], Err(bad(&peter))),
        (
            format!("{TEXT}\n{PETER}{PETER}"),
            vec![&peter],
            Err(twice(&peter)),
        ),
        (
            format!("{TEXT}\n{PETER}{too_long}"),
            vec![&peter],
            Err(twice(&peter)),
        ),
        (
            format!("{TEXT}\n{PETER}"),
            vec![&enoch],
            Err(NoteError::NoKnownKey),
        ),
        (
            format!("{TEXT}\n{PETER}"),
            vec![],
            Err(NoteError::NoKnownKey),
        ),
        (format!("{TEXT}\n{many}{PETER}"), vec![&peter], p()),
        (
            format!("{TEXT}\n{PETER}"),
            vec![&peter, &enoch, &peter],
            Err(NoteError::AmbiguousKey {
                name: "PeterNeumann".to_owned(),
                key_id: peter.key_id(),
            }),
        ),
        (
            format!("{TEXT}\n{PETER}"),
            vec![&peter, &enoch, &enoch],
            p(),
        ),
    ];
    for (note, keys, expected) in cases {
        assert_eq!(verify(&note, &keys), expected, "{note}{keys:?}");
    }
}

#[test]
fn the_last_blank_line_separates() {
    let note = Note::parse(&format!("{TEXT}\n{ENOCH}\n\n\n{PETER}")).unwrap();
    assert_eq!(note.text(), format!("{TEXT}\n{ENOCH}\n\n"));
    assert_eq!(note.signatures().len(), 1);
    let empty = Note::parse(&format!("\n\n{PETER}")).unwrap();
    assert_eq!(empty.text(), "\n");
}

#[test]
fn a_signature_is_appended_as_the_last_line() {
    let both = Note::parse(&format!("{TEXT}\n{PETER}{ENOCH}")).unwrap();
    let one = Note::parse(&format!("{TEXT}\n{PETER}")).unwrap();
    assert_eq!(
        one.with_signature(both.signatures()[1].clone()).unwrap(),
        both
    );
}

/// Signatures that hold for a lax verifier, or under the cofactored equation only.
#[test]
fn torsion_and_malleated_signatures_are_refused() {
    let torsion: Torsion = vectors("torsion.json");
    let text = String::from_utf8(bytes(&torsion.message)).unwrap();
    let key = VerifierKey::new("a.example", Algorithm::Ed25519, message_key().public()).unwrap();
    let verify = |signature: &[u8]| {
        let line = SignatureLine {
            name: key.name().to_owned(),
            key_id: key.key_id(),
            bytes: signature.to_vec(),
        };
        note::verify(&Note::new(&text, &[line]).unwrap(), &[&key]).map(|_| ())
    };
    assert_eq!(verify(&bytes(&torsion.good_signature)), Ok(()));

    let mut lax = 0;
    for case in torsion.bad_signatures {
        let signature = bytes(&case.signature);
        let error = verify(&signature).unwrap_err();
        assert!(
            matches!(error, NoteError::BadSignature { .. }),
            "{}",
            case.what
        );
        let signature = Signature::from_slice(&signature).unwrap();
        lax += usize::from(key.public().verify(text.as_bytes(), &signature).is_ok());
    }
    assert!(
        lax > 0,
        "the vectors have no teeth: nothing that a lax verification would accept"
    );
}
