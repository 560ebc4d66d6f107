//! Parsers against whatever comes: no panic, and what is accepted reads back as itself.

use liaison::crypto::checkpoint::Checkpoint;
use liaison::crypto::dsse;
use liaison::crypto::note::{Note, SignatureLine};
use liaison::crypto::vkey::VerifierKey;
use liaison::tlog::Hash;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{RECIPIENT, log_key, message_key, mirror_key, name, origin};

const PIECES: &str = "(\n|\n\n|— |\u{2014}| |a|AAAABQ==|AAAAAAA=|\\+|0|5|=|\t|é|o\n5\n|x\n){0,24}";

/// A receipt with one stretch of it replaced.
fn mangled() -> impl Strategy<Value = Vec<u8>> {
    let signed =
        liaison::crypto::checkpoint::sign_checkpoint(&log_key(), &origin(), 300, Hash([7; 32]), 9);
    let receipt = liaison::crypto::checkpoint::cosign(&mirror_key(), &name(RECIPIENT), &signed, 10)
        .note
        .clone();
    (
        any::<prop::sample::Index>(),
        0_usize..4,
        vec(any::<u8>(), 0..4),
    )
        .prop_map(move |(at, removed, inserted)| {
            let mut bytes = receipt.clone().into_bytes();
            let at = at.index(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, inserted);
            bytes
        })
}

proptest! {
    #[test]
    fn a_note_that_parses_is_made_of_its_parts(text in PIECES) {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(note.as_str(), text);
            prop_assert_eq!(Note::new(note.text(), note.signatures()).unwrap(), note);
        }
    }

    #[test]
    fn a_note_that_is_made_parses_as_its_parts(
        text in "(\n|a|— |é| ){0,8}",
        names in vec("[a-z/.é]{0,3}[ +\n]{0,1}", 0..4),
        bytes in vec(any::<u8>(), 0..9),
    ) {
        let lines: Vec<_> = names
            .into_iter()
            .map(|name| SignatureLine { name, key_id: 7, bytes: bytes.clone() })
            .collect();
        if let Ok(note) = Note::new(&text, &lines) {
            prop_assert_eq!(note.text(), text);
            prop_assert_eq!(note.signatures(), lines);
        }
    }

    #[test]
    fn a_checkpoint_reads_back(origin in "[^\n]{1,40}", size in 1..=i64::MAX.unsigned_abs(), root: [u8; 32]) {
        let checkpoint = Checkpoint { origin, size, root: Hash(root) };
        prop_assert_eq!(Checkpoint::parse(&checkpoint.encode()).unwrap(), checkpoint);
    }

    #[test]
    fn a_checkpoint_text_without_extensions_has_one_form(text in "(o|\n|5|0|00|\n47DEQpj8HBSa\\+/TImW\\+5JCeuQeRkm5NMpJWZG3hSuFU=\n| ){0,6}") {
        if let Ok(checkpoint) = Checkpoint::parse(&text) {
            prop_assert!(text.starts_with(&checkpoint.encode()));
        }
    }

    #[test]
    fn a_vkey_that_parses_has_one_form(text in "[a+0-9=/]{0,80}") {
        if let Ok(key) = VerifierKey::parse(&text) {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn an_entry_of_arbitrary_bytes_never_verifies(bytes in vec(any::<u8>(), 0..200)) {
        let keys = [message_key().verifier(&name(super::SENDER))];
        prop_assert!(dsse::verify(bytes.clone().into(), &keys).is_err());
        let _ = dsse::to_json(&bytes);
    }

    #[test]
    fn a_mangled_receipt_verifies_only_with_its_three_lines_whole(bytes in mangled()) {
        let verifier = super::checkpoint::verifier();
        if let Some(receipt) = String::from_utf8(bytes).ok().and_then(|text| verifier.receipt(&text).ok()) {
            prop_assert_eq!(receipt.signed.checkpoint.size, 300);
            prop_assert_eq!((receipt.signed.authored_at, receipt.cosigned_at), (9, 10));
        }
    }
}
