//! The file, to the byte: an old one is still read, and no changed one is.

use std::path::PathBuf;

use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::exchange::bundle::format::{FormatError, Pieces, Preamble, Reader, Writer};
use liaison::limits::{BUNDLE_PIECE_BYTES_MAX, BUNDLE_PREAMBLE_BYTES_MAX, BUNDLE_SEGMENT_BYTES};
use liaison::model::{MessageId, NodeName};
use liaison::proto::v1::{self, bundle_piece::Piece, frame};
use prost::Message as _;

/// Where the sealed part begins in a bundle of these two nodes.
fn preamble() -> Preamble {
    Preamble {
        from: NodeName::parse("laocai.bg.vn.example").unwrap(),
        to: NodeName::parse("hekou.ni.cn.example").unwrap(),
        made_at: 1_795_000_000,
        id: MessageId::parse("01994f1e-1b80-7123-8123-0123456789ab").unwrap(),
    }
}

fn message_key() -> MessageKey {
    MessageKey::from_seed(&[1; 32])
}

fn recipient_key() -> LogKey {
    LogKey::from_seed(&[102; 32])
}

fn pieces() -> Vec<v1::BundlePiece> {
    let frame = |frame| Piece::Frame(v1::Frame { frame: Some(frame) });
    let hello = v1::Hello {
        version_min: 1,
        version_max: 1,
        node: preamble().from.to_string(),
        ..v1::Hello::default()
    };
    let item = v1::Item {
        entry: vec![1, 2, 3].into(),
        salt: vec![4; 32].into(),
        body: vec![5; 1_000].into(),
        erased: false,
    };
    let express = v1::Express {
        index: 0,
        item: Some(item),
    };
    let file = v1::BundleFile {
        sha256: vec![6; 32].into(),
        size: 70_000,
    };
    [
        frame(frame::Frame::Hello(hello)),
        frame(frame::Frame::Express(express)),
        Piece::File(file),
        Piece::Chunk(vec![7; 70_000].into()),
    ]
    .map(|piece| v1::BundlePiece { piece: Some(piece) })
    .to_vec()
}

fn statement() -> v1::BundleStatement {
    v1::BundleStatement {
        own_size: 1,
        end_index: 1,
        files: 1,
        file_bytes: 70_000,
        answers: vec![preamble().id.as_bytes().to_vec().into()],
        ..v1::BundleStatement::default()
    }
}

fn written(pieces: &[v1::BundlePiece], statement: v1::BundleStatement) -> Vec<u8> {
    let mut out = Vec::new();
    let recipient = recipient_key().cosigner_verifier(&preamble().to);
    let mut writer = Writer::new(preamble(), &recipient, &mut out).unwrap();
    for piece in pieces {
        writer.piece(piece, &mut out).unwrap();
    }
    writer.finish(statement, &message_key(), &mut out).unwrap();
    out
}

/// The statement, if the file is whole and signed.
fn judged(bytes: &[u8]) -> Result<v1::BundleStatement, FormatError> {
    let keys = |_: &v1::BundleStatement| vec![message_key().verifier(&preamble().from)];
    Reader::new(bytes)?.statement(keys)
}

fn opened(bytes: &[u8], key: &LogKey) -> Result<Vec<v1::BundlePiece>, FormatError> {
    let mut pieces = Pieces::new(Reader::new(bytes)?, key)?;
    let mut all = Vec::new();
    while let Some(piece) = pieces.piece()? {
        all.push(piece);
    }
    Ok(all)
}

fn golden() -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/bundle/v1.bundle");
    if std::env::var_os("LIAISON_WRITE_VECTORS").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, written(&pieces(), statement())).unwrap();
    }
    std::fs::read(path).unwrap()
}

#[test]
fn a_bundle_of_this_version_is_read_for_ever() {
    let golden = golden();
    assert_eq!(opened(&golden, &recipient_key()).unwrap(), pieces());
    let found = judged(&golden).unwrap();
    // All but the digest, which the sealing draws anew, is what is written today.
    let again = written(&pieces(), statement());
    let today = judged(&again).unwrap();
    assert_eq!(found.content_bytes, today.content_bytes);
    assert_eq!(
        v1::BundleStatement {
            content_sha256: today.content_sha256.clone(),
            ..found
        },
        today
    );
    let text = preamble().text();
    assert_eq!(&golden[..text.len()], text.as_bytes());
    assert_eq!(&again[..text.len()], text.as_bytes());
    let ends = golden.len() - golden[text.len()..].len();
    assert_eq!(ends, text.len());
}

#[test]
fn a_person_can_read_what_it_is() {
    let text = preamble().text();
    let first: Vec<_> = text.lines().take(5).collect();
    assert_eq!(
        first,
        [
            "liaison bundle 1",
            "from: laocai.bg.vn.example",
            "to: hekou.ni.cn.example",
            "made: 2026-11-18T11:06:40Z",
            "id: 01994f1e-1b80-7123-8123-0123456789ab",
        ]
    );
    assert!(text.contains("liaison bundle import FILE"));
}

#[test]
fn nothing_of_the_content_can_be_read_in_it() {
    let file = written(&pieces(), statement());
    for run in [&[5_u8; 24][..], &[7; 24], &[4; 24]] {
        assert!(!file.windows(run.len()).any(|window| window == run));
    }
    let other = LogKey::from_seed(&[103; 32]);
    assert!(matches!(opened(&file, &other), Err(FormatError::Sealed(_))));
}

#[test]
fn every_changed_byte_is_noticed() {
    let file = golden();
    let begin = preamble().text().len() + 32;
    let sealed = begin..begin + 2 * (4 + BUNDLE_SEGMENT_BYTES + 16);
    let mut changed = file.clone();
    for at in 0..file.len() {
        // Within a segment one byte is as good as another.
        if sealed.contains(&at) && at % 997 != 0 && !(sealed.start..sealed.start + 8).contains(&at)
        {
            continue;
        }
        for flip in [0x01, 0x80] {
            changed[at] ^= flip;
            assert!(judged(&changed).is_err(), "byte {at} with {flip:#x}");
            changed[at] ^= flip;
        }
    }
    assert_eq!(changed, file);
}

#[test]
fn a_file_that_is_cut_or_goes_on_is_refused() {
    let file = golden();
    let text = preamble().text().len();
    let lengths = (0..text + 64)
        .chain((text + 64..file.len()).step_by(4_099))
        .chain(file.len() - 600..file.len());
    for length in lengths {
        let refused = judged(&file[..length]).unwrap_err();
        assert!(
            matches!(refused, FormatError::Cut | FormatError::NotABundle),
            "{length}: {refused}"
        );
    }
    let longer = [&file[..], b"\n"].concat();
    assert!(matches!(judged(&longer), Err(FormatError::Appended)));
}

#[test]
fn another_version_says_which() {
    let mut file = golden();
    file[15] = b'2';
    let refused = judged(&file).unwrap_err();
    assert!(
        matches!(&refused, FormatError::Version { found } if found == "2"),
        "{refused}"
    );
    for not in [
        &b""[..],
        b"PK\x03\x04",
        b"liaison bundl",
        &[0; 5_000],
        b"\n\n\n",
    ] {
        assert!(
            matches!(judged(not), Err(FormatError::NotABundle)),
            "{not:?}"
        );
    }
}

#[test]
fn the_first_lines_have_a_limit() {
    let line = |bytes: usize| {
        let text = format!("liaison bundle 1\nfrom: {}\n", "x".repeat(bytes));
        judged(text.as_bytes()).unwrap_err()
    };
    // As long as it may be, it is at least read; then it is no name.
    let most = BUNDLE_PREAMBLE_BYTES_MAX - "liaison bundle 1\nfrom: \n".len();
    for bytes in [most, most + 1, 1 << 20] {
        let refused = line(bytes);
        assert!(
            matches!(refused, FormatError::Preamble("from")),
            "{refused}"
        );
    }
    let longest = NodeName::parse(&format!("{}.b", vec!["a".repeat(50); 4].join("."))).unwrap();
    let (from, to) = (longest.clone(), longest);
    assert!(
        Preamble {
            from,
            to,
            ..preamble()
        }
        .text()
        .len()
            < BUNDLE_PREAMBLE_BYTES_MAX
    );
}

#[test]
fn an_entry_is_no_statement_and_a_statement_no_entry() {
    use liaison::crypto::dsse;
    let keys = [message_key().verifier(&preamble().from)];
    let payload = statement().encode_to_vec();
    let entry = dsse::sign(&message_key(), payload.clone().into()).unwrap();
    let signed = dsse::sign_statement(&message_key(), payload.into()).unwrap();
    assert!(dsse::verify_statement(entry.bytes.clone(), &keys).is_err());
    assert!(dsse::verify(signed.bytes.clone(), &keys).is_err());
    assert!(dsse::verify_statement(signed.bytes.clone(), &keys).is_ok());
    // Nor by changing the type: it is signed with the rest.
    let mut relabelled = v1::Entry::decode(signed.bytes.clone()).unwrap();
    relabelled.payload_type = dsse::PAYLOAD_TYPE.to_owned();
    assert!(dsse::verify(relabelled.encode_to_vec().into(), &keys).is_err());
}

#[test]
fn a_piece_over_its_limit_is_refused() {
    let around = {
        let chunk = |length| v1::BundlePiece {
            piece: Some(Piece::Chunk(vec![1; length].into())),
        };
        chunk(BUNDLE_PIECE_BYTES_MAX).encoded_len() - BUNDLE_PIECE_BYTES_MAX
    };
    for (over, taken) in [(0, true), (1, false)] {
        let length = BUNDLE_PIECE_BYTES_MAX - around + over;
        let piece = v1::BundlePiece {
            piece: Some(Piece::Chunk(vec![1; length].into())),
        };
        let file = written(&[piece], statement());
        let read = opened(&file, &recipient_key());
        assert_eq!(read.is_ok(), taken, "{over}");
    }
}

#[test]
fn a_statement_that_contradicts_itself_is_refused() {
    type Change = fn(&mut v1::BundleStatement);
    let changes: [Change; 4] = [
        |s| s.start_index = 2,
        |s| s.end_index = 2,
        |s| s.own_size = 1 << 63,
        |s| s.answers = vec![preamble().id.as_bytes().to_vec().into(); 9],
    ];
    for change in changes {
        let mut other = statement();
        change(&mut other);
        let refused = judged(&written(&pieces(), other)).unwrap_err();
        assert!(matches!(refused, FormatError::Malformed(_)), "{refused}");
    }
    let mut eight = statement();
    eight.answers = vec![preamble().id.as_bytes().to_vec().into(); 8];
    assert!(judged(&written(&pieces(), eight)).is_ok());
}

#[test]
fn the_size_of_what_is_in_it_shows_only_in_whole_segments() {
    let of = |length: usize| {
        let piece = v1::BundlePiece {
            piece: Some(Piece::Chunk(vec![1; length].into())),
        };
        written(&[piece], statement()).len()
    };
    assert_eq!(of(1), of(60_000));
    assert_eq!(of(70_000) - of(1), 4 + BUNDLE_SEGMENT_BYTES + 16);
}
