//! A peer with valid keys that writes what no bundle holds, or what contradicts the logs.

use liaison::crypto::checkpoint::sign_checkpoint;
use liaison::exchange::LogSide;
use liaison::exchange::bundle::format::{FormatError, Pieces, Preamble, Reader, Writer};
use liaison::limits::{
    ATTACHMENT_BYTES_MAX, CHUNK_BYTES_MAX, ENTRY_BYTES_MAX, EXPRESSED_ENTRIES_MAX,
    KEPT_NOTE_BYTES_MAX, PUSH_ENTRIES_MAX,
};
use liaison::model::MessageId;
use liaison::proto::v1::{self, FaultCode, bundle_piece::Piece, frame};
use liaison::tlog::Hash;

use super::*;
use crate::sides::assert_same_logs;

fn framed(frame: frame::Frame) -> Piece {
    Piece::Frame(v1::Frame { frame: Some(frame) })
}

/// What a bundle holds, and its statement.
fn taken_apart(file: &[u8], from: &Side, to: &Side) -> (Vec<Piece>, v1::BundleStatement) {
    let keys = |_: &v1::BundleStatement| vec![from.keys().message.verifier(&from.name)];
    let statement = Reader::new(file).unwrap().statement(keys).unwrap();
    let mut pieces = Pieces::new(Reader::new(file).unwrap(), &to.keys().log).unwrap();
    let mut all = Vec::new();
    while let Some(piece) = pieces.piece().unwrap() {
        all.push(piece.piece.unwrap());
    }
    (all, statement)
}

/// A bundle as its sender would sign it.
fn put_together(
    from: &Side,
    to: &Side,
    pieces: Vec<Piece>,
    statement: v1::BundleStatement,
) -> Vec<u8> {
    let preamble = Preamble {
        from: from.name.clone(),
        to: to.name.clone(),
        made_at: 1_795_000_000,
        id: MessageId::from_parts(1_795_000_000_000, [7; 10]),
    };
    let mut out = Vec::new();
    let key = to.keys().log.cosigner_verifier(&to.name);
    let mut writer = Writer::new(preamble, &key, &mut out).unwrap();
    for piece in pieces {
        let piece = v1::BundlePiece { piece: Some(piece) };
        writer.piece(&piece, &mut out).unwrap();
    }
    writer
        .finish(statement, &from.keys().message, &mut out)
        .unwrap();
    out
}

fn push_of(pieces: &mut [Piece]) -> &mut v1::Push {
    pieces
        .iter_mut()
        .find_map(|piece| match piece {
            Piece::Frame(v1::Frame {
                frame: Some(frame::Frame::Push(push)),
            }) => Some(push),
            _ => None,
        })
        .unwrap()
}

fn hello_of(pieces: &mut [Piece]) -> &mut v1::Hello {
    match &mut pieces[0] {
        Piece::Frame(v1::Frame {
            frame: Some(frame::Frame::Hello(hello)),
        }) => hello,
        _ => panic!("no Hello"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_bundle_holds_is_refused_whole() {
    type Change = fn(&mut Vec<Piece>, &mut v1::BundleStatement);
    let (left, right, a, b, file) = three_letters().await;
    let (pieces, statement) = taken_apart(&file, &left, &right);
    let whole = put_together(&left, &right, pieces.clone(), statement.clone());
    let changes: &[(&str, Change)] = &[
        ("no hello", |p, _| drop(p.remove(0))),
        ("two hellos", |p, _| p.insert(1, p[0].clone())),
        ("another node", |p, _| {
            hello_of(p).node = "x.example".to_owned();
        }),
        ("another version", |p, _| hello_of(p).version_min = 2),
        ("hello of less", |p, _| hello_of(p).own_size = 2),
        ("hello of more", |p, _| hello_of(p).mirrored_size = 9),
        ("a long note", |p, _| {
            hello_of(p).own_checkpoint = "x".repeat(KEPT_NOTE_BYTES_MAX + 1);
        }),
        ("a fault", |p, _| {
            p.push(framed(frame::Frame::Fault(v1::Fault::default())));
        }),
        ("a cosigned", |p, _| {
            p.push(framed(frame::Frame::Cosigned(v1::Cosigned::default())));
        }),
        ("no frame", |p, _| {
            p.push(Piece::Frame(v1::Frame { frame: None }));
        }),
        ("fewer entries", |_, s| s.end_index = 2),
        ("a later start", |_, s| s.start_index = 1),
        ("a gap", |p, _| push_of(p).start_index = 1),
        ("an empty run", |p, _| push_of(p).items.clear()),
        ("no checkpoint", |p, _| push_of(p).checkpoint.clear()),
        ("a long checkpoint", |p, _| {
            push_of(p).checkpoint = "x".repeat(KEPT_NOTE_BYTES_MAX + 1);
        }),
        ("513 entries", |p, s| {
            push_of(p).items = vec![v1::Item::default(); PUSH_ENTRIES_MAX + 1];
            s.end_index = PUSH_ENTRIES_MAX as u64 + 1;
            s.own_size = s.end_index;
            hello_of(p).own_size = s.end_index;
        }),
        ("a large entry", |p, _| {
            push_of(p).items[1].entry = vec![0; ENTRY_BYTES_MAX + 1].into();
        }),
        ("runs without a word of it", |_, s| {
            s.under_checkpoints = false;
        }),
        ("express under checkpoints", |p, _| {
            let item = push_of(p).items[0].clone();
            let express = |index| {
                framed(frame::Frame::Express(v1::Express {
                    index,
                    item: Some(item.clone()),
                }))
            };
            p.splice(1..2, (0..3).map(express));
        }),
        ("an express without an entry", |p, s| {
            s.under_checkpoints = false;
            let express = |index| framed(frame::Frame::Express(v1::Express { index, item: None }));
            p.splice(1.., (0..3).map(express));
        }),
        ("two heartbeats", |p, _| p.push(p[p.len() - 1].clone())),
        ("a chunk of nothing", |p, _| {
            p.push(Piece::Chunk(vec![1].into()));
        }),
        ("an unannounced file", |p, _| p.push(of_size(0))),
        ("half a file", |p, s| {
            p.push(of_size(2));
            p.push(Piece::Chunk(vec![1].into()));
            (s.files, s.file_bytes) = (1, 2);
        }),
        ("half a file and another", |p, s| {
            p.extend([of_size(2), of_size(0)]);
            (s.files, s.file_bytes) = (2, 2);
        }),
        ("more than the file", |p, s| {
            p.push(of_size(1));
            p.push(Piece::Chunk(vec![1; 2].into()));
            (s.files, s.file_bytes) = (1, 1);
        }),
        ("a large chunk", |p, s| {
            let size = CHUNK_BYTES_MAX as u64 + 1;
            p.push(of_size(size));
            p.push(Piece::Chunk(vec![1; CHUNK_BYTES_MAX + 1].into()));
            (s.files, s.file_bytes) = (1, size);
        }),
        ("an empty chunk", |p, s| {
            p.push(of_size(1));
            p.push(Piece::Chunk(Vec::new().into()));
            p.push(Piece::Chunk(vec![1].into()));
            (s.files, s.file_bytes) = (1, 1);
        }),
        ("a large file", |p, s| {
            p.push(of_size(ATTACHMENT_BYTES_MAX + 1));
            (s.files, s.file_bytes) = (1, ATTACHMENT_BYTES_MAX + 1);
        }),
        ("a short digest", |p, s| {
            p.push(Piece::File(v1::BundleFile {
                sha256: vec![1; 31].into(),
                size: 0,
            }));
            s.files = 1;
        }),
        ("a frame after a file", |p, s| {
            let beat = p.pop().unwrap();
            p.extend([of_size(0), beat]);
            s.files = 1;
        }),
    ];
    let head = link_of(&b).head();
    for (name, change) in changes {
        let (mut pieces, mut statement) = (pieces.clone(), statement.clone());
        change(&mut pieces, &mut statement);
        let changed = put_together(&left, &right, pieces, statement);
        let refused = try_import(&b, &changed).await.expect_err(name);
        let is_form = matches!(refused, BundleError::Format(FormatError::Malformed(_)));
        assert!(is_form, "{name}: {refused}");
        assert_eq!(link_of(&b).head(), head, "{name}");
    }
    assert!(b.incidents(10).unwrap().is_empty());
    // Put together again without a change, it is taken.
    assert_eq!(import(&b, &whole).await.recorded, 3);
    assert_same_logs(&a, &b);
}

fn of_size(size: u64) -> Piece {
    Piece::File(v1::BundleFile {
        sha256: vec![1; 32].into(),
        size,
    })
}

/// Limits of the parts themselves are those of a session: one entry of each largest size passes.
#[tokio::test(start_paused = true)]
async fn what_is_just_within_its_limits_is_taken() {
    let (left, right, _, b, file) = three_letters().await;
    let (mut pieces, mut statement) = taken_apart(&file, &left, &right);
    pieces.push(of_size(CHUNK_BYTES_MAX as u64));
    pieces.push(Piece::Chunk(vec![1; CHUNK_BYTES_MAX].into()));
    (statement.files, statement.file_bytes) = (1, CHUNK_BYTES_MAX as u64);
    let taken = import(&b, &put_together(&left, &right, pieces, statement)).await;
    // Nobody named it: it is read and dropped.
    assert_eq!(
        (taken.recorded, taken.files_taken, taken.files_unwanted),
        (3, 0, 1)
    );
    assert!(!b.blobs().has(&[1; 32]).unwrap());
    assert_eq!(b.blobs().partials().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_logs_holds_the_link_with_its_evidence() {
    type Change = fn(&mut Vec<Piece>, &Side, &Side);
    let changes: &[(&str, Change, FaultCode)] = &[
        (
            "an entry that is not in the tree",
            |p, _, _| push_of(p).items[1].entry = vec![1, 2, 3].into(),
            FaultCode::RootMismatch,
        ),
        (
            "a checkpoint by nobody",
            |p, _, _| push_of(p).checkpoint = "x".to_owned(),
            FaultCode::BadCheckpoint,
        ),
        (
            "a checkpoint of another size",
            |p, from, to| {
                let origin = from.origin_to(to);
                let note = sign_checkpoint(&from.keys().log, &origin, 2, Hash([3; 32]), 1);
                push_of(p).checkpoint = note.note.clone();
            },
            FaultCode::BadCheckpoint,
        ),
        (
            "a receipt for what was never said",
            |p, _, _| {
                hello_of(p).mirrored_checkpoint = "x".to_owned();
                hello_of(p).mirrored_size = 1;
            },
            FaultCode::BadCosignature,
        ),
    ];
    for (name, change, code) in changes {
        let (left, right, _, b, file) = three_letters().await;
        let (mut pieces, mut statement) = taken_apart(&file, &left, &right);
        change(&mut pieces, &left, &right);
        statement.mirrored_size = hello_of(&mut pieces).mirrored_size;
        let bad = put_together(&left, &right, pieces, statement);
        let refused = try_import(&b, &bad).await.expect_err(name);
        assert!(
            matches!(refused, BundleError::NowHeld { .. }),
            "{name}: {refused}"
        );
        let link = link_of(&b);
        assert_eq!(b.held(&link).unwrap().code, *code as i32, "{name}");
        assert_eq!(link.head().mirror_size, 0, "{name}");
        assert!(!b.incidents(10).unwrap().is_empty());
    }
}

/// Two trees, one by a session and one by a bundle: both notes are kept.
#[tokio::test(start_paused = true)]
async fn a_second_tree_in_an_overlapping_bundle_is_found() {
    let (left, right, _, b, file) = three_letters().await;
    import(&b, &file).await;
    let (mut pieces, statement) = taken_apart(&file, &left, &right);
    let origin = left.origin_to(&right);
    let other = sign_checkpoint(&left.keys().log, &origin, 3, Hash([9; 32]), 1_795_000_100);
    push_of(&mut pieces).checkpoint = other.note.clone();
    let refused = try_import(&b, &put_together(&left, &right, pieces, statement)).await;
    assert!(matches!(refused, Err(BundleError::NowHeld { .. })));
    let hold = b.held(&link_of(&b)).unwrap();
    assert_eq!(hold.code, FaultCode::Equivocation as i32);
    assert_eq!(hold.evidence.len(), 2, "{hold:?}");
    assert_eq!(
        b.reader(&link_of(&b), LogSide::Mirror)
            .entries(0, 9, 9)
            .unwrap()
            .len(),
        3
    );
}

/// Without checkpoints as many go as may wait for their turn, and the rest is told.
#[tokio::test(start_paused = true)]
async fn no_more_is_shown_ahead_than_may_wait() {
    let (left, right) = sides();
    let (a, b) = (left.open(&right), right.open(&left));
    for number in 0..=EXPRESSED_ENTRIES_MAX {
        submit(&a, letter(&right, number)).await.unwrap();
    }
    let file = export(&a).await;
    let (_, statement) = taken_apart(&file, &left, &right);
    let most = EXPRESSED_ENTRIES_MAX as u64;
    assert_eq!((statement.end_index, statement.own_size), (most, most + 1));
    let taken = import(&b, &file).await;
    assert_eq!((taken.ahead, taken.left), (most, 0));
    // One more, made by hand: it is left for its turn.
    let rest = try_export(&a, Since::Index(most)).await.unwrap();
    let taken = import(&b, &rest).await;
    assert_eq!((taken.ahead, taken.left), (0, 1));
    import(&a, &export(&b).await).await;
    let taken = import(&b, &export(&a).await).await;
    assert_eq!(taken.recorded, most + 1);
    import(&a, &export(&b).await).await;
    assert_same_logs(&a, &b);
}
