//! Files that are carried by hand.

use std::sync::OnceLock;

use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::exchange::bundle::format::{FormatError, Pieces, Preamble, Reader, Writer};
use liaison::model::MessageId;
use liaison::proto::v1::{self, bundle_piece::Piece};
use prost::Message as _;

use super::{RECIPIENT, SENDER, name};

fn genuine() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let preamble = Preamble {
            from: name(SENDER),
            to: name(RECIPIENT),
            made_at: 1_795_000_000,
            id: MessageId::from_parts(1_795_000_000_000, [1; 10]),
        };
        let mut out = Vec::new();
        let recipient = LogKey::from_seed(&[2; 32]).cosigner_verifier(&preamble.to);
        let mut writer = Writer::new(preamble, &recipient, &mut out).expect("there is randomness");
        let piece = v1::BundlePiece {
            piece: Some(Piece::Chunk(vec![7; 1_000].into())),
        };
        writer.piece(&piece, &mut out).expect("it is sealed");
        let key = MessageKey::from_seed(&[3; 32]);
        let statement = v1::BundleStatement::default();
        writer
            .finish(statement, &key, &mut out)
            .expect("it is signed");
        out
    })
}

fn judged(file: &[u8]) -> Result<v1::BundleStatement, FormatError> {
    let keys = |_: &v1::BundleStatement| {
        let key = MessageKey::from_seed(&[3; 32]);
        vec![key.verifier(&name(SENDER))]
    };
    Reader::new(file)?.statement(keys)
}

/// Bundles: none is taken but the very one that was signed, whatever the bytes. The data is a file of
/// its own, and is laid over a genuine one: position (u32), then bytes.
pub fn bundle_file(data: &[u8]) {
    let genuine = genuine();
    assert!(judged(genuine).is_ok(), "the genuine one is refused");
    assert!(
        judged(data).is_err() || data == genuine,
        "a bundle out of nothing"
    );
    // What the sender signs may still be no piece.
    drop(v1::BundlePiece::decode(data));
    let Some((position, bytes)) = data.split_first_chunk::<4>() else {
        return;
    };
    let at = u32::from_be_bytes(*position) as usize % genuine.len();
    let mut file = genuine.to_vec();
    let end = (at + bytes.len()).min(file.len());
    file[at..end].copy_from_slice(&bytes[..end - at]);
    file.extend_from_slice(&bytes[end - at..]);
    assert!(
        judged(&file).is_err() || file == genuine,
        "changed, and taken"
    );
    let key = LogKey::from_seed(&[2; 32]);
    if let Ok(reader) = Reader::new(&file[..])
        && let Ok(mut pieces) = Pieces::new(reader, &key)
    {
        while let Ok(Some(_)) = pieces.piece() {}
    }
}
