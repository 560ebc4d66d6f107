//! What is fuzzed: one function for each thing that reads bytes of somebody else.
//!
//! Each takes any bytes. It may not panic, and what it accepts must keep what this file says of it:
//! mostly that reading and writing are each other's inverse, so that nobody can say one thing in two
//! ways. The fuzzer (`fuzz_targets/`) feeds them; the test suite runs them over the kept corpus.

mod backup;
mod bundle_file;
mod export;
mod session;

use std::path::Path;

use bytes::Bytes;
use liaison::crypto::checkpoint::{Checkpoint, LogVerifier, cosign, sign_checkpoint};
use liaison::crypto::dsse;
use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::crypto::note::Note;
use liaison::crypto::vkey::VerifierKey;
use liaison::model::{Header, NodeName, Origin, body, json, mrz, typed};
use liaison::node::config::Config;
use liaison::node::document::Document;
use liaison::node::links::LinkConfig;
use liaison::node::peer_card::PeerCard;
use liaison::proto::v1;
use liaison::tlog::{Hash, bundle, path::TilePath, proof::TlogProof};
use prost::Message as _;

pub use backup::backup;
pub use bundle_file::bundle_file;
pub use export::export;
pub use session::session;

/// A target: any bytes in, nothing out.
pub type Target = fn(&[u8]);

/// Every target, by name.
pub const TARGETS: [(&str, Target); 20] = [
    ("note", note),
    ("checkpoint", checkpoint),
    ("receipt", receipt),
    ("tlog_proof", tlog_proof),
    ("vkey", vkey),
    ("tiles", tiles),
    ("entry", entry),
    ("header", header),
    ("body", body),
    ("draft", draft),
    ("json", json),
    ("config", config),
    ("peer_card", peer_card),
    ("mrz", mrz),
    ("calendar", calendar),
    ("frame", frame),
    ("session", session),
    ("export", export),
    ("backup", backup),
    ("bundle_file", bundle_file),
];

/// The sender of what is fuzzed.
pub(crate) const SENDER: &str = "laocai.bg.vn.example";
/// Who reads it.
pub(crate) const RECIPIENT: &str = "hekou.ni.cn.example";

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::parse(text).expect("a node name")
}

pub(crate) fn origin() -> Origin {
    Origin::new(name(SENDER), name(RECIPIENT))
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// C2SP signed note: what is taken is kept to the byte, and taken apart and put together again gives
/// the same.
pub fn note(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    let Ok(note) = Note::parse(whole) else { return };
    assert_eq!(note.as_str(), whole);
    let again = Note::new(note.text(), note.signatures()).expect("what was read can be written");
    assert_eq!(again.as_str(), whole);
}

/// C2SP checkpoint: one text for one tree.
pub fn checkpoint(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    let Ok(checkpoint) = Checkpoint::parse(whole) else {
        return;
    };
    let written = checkpoint.encode();
    assert!(whole.starts_with(&written), "{written:?}");
    let again = Checkpoint::parse(&written).expect("what was read can be written");
    assert_eq!(again, checkpoint);
}

/// Receipts and cosignatures: none verifies but one with all three lines of the keys, whatever the
/// bytes; one made by the keys does. The data is laid over a genuine receipt: position, then bytes.
pub fn receipt(data: &[u8]) {
    let (sender, mirror) = (LogKey::from_seed(&[1; 32]), LogKey::from_seed(&[2; 32]));
    let origin = origin();
    let verifier = LogVerifier::new(
        origin.clone(),
        sender.log_verifier(&origin),
        sender.cosigner_verifier(origin.sender()),
        mirror.cosigner_verifier(origin.recipient()),
    )
    .expect("the keys belong to the names");
    if let Some(whole) = text(data) {
        assert!(verifier.receipt(whole).is_err(), "a receipt out of nothing");
        assert!(
            verifier.checkpoint(whole).is_err(),
            "a checkpoint out of nothing"
        );
    }
    let signed = sign_checkpoint(&sender, &origin, 7, Hash([3; 32]), 1_795_000_000);
    let genuine = cosign(&mirror, origin.recipient(), &signed, 1_795_000_001);
    assert!(verifier.receipt(&genuine.note).is_ok());
    let [high, low, laid @ ..] = data else { return };
    let mut bent = genuine.note.clone().into_bytes();
    let at = usize::from(u16::from_be_bytes([*high, *low])) % bent.len();
    let end = (at + laid.len()).min(bent.len());
    bent[at..end].copy_from_slice(&laid[..end - at]);
    let Ok(bent) = String::from_utf8(bent) else {
        return;
    };
    if let Ok(receipt) = verifier.receipt(&bent) {
        // Lines by unknown keys may stand there; what the known ones say may not change.
        assert_eq!(receipt.signed.checkpoint, genuine.signed.checkpoint);
        let known = |note: &str| {
            let note = Note::parse(note).expect("it verified");
            let mut lines: Vec<_> = note.signatures().iter().map(|l| format!("{l:?}")).collect();
            lines.sort();
            lines
        };
        assert_eq!(
            known(&bent),
            known(&genuine.note),
            "a line changed and holds"
        );
    }
}

/// C2SP tlog-proof.
pub fn tlog_proof(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    let Ok(proof) = TlogProof::parse(whole) else {
        return;
    };
    assert_eq!(proof.encode(), whole);
}

/// C2SP verifier key.
pub fn vkey(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    if let Ok(key) = VerifierKey::parse(whole) {
        assert_eq!(key.to_string(), whole);
    }
}

/// C2SP tlog-tiles: bundles of entries, and the paths of tiles.
pub fn tiles(data: &[u8]) {
    if let Ok(entries) = bundle::decode(data) {
        let again = bundle::encode(&entries).expect("what was read can be written");
        assert_eq!(again, data);
    }
    if let Some(whole) = text(data)
        && let Ok(path) = TilePath::parse(whole)
    {
        assert_eq!(path.to_string(), whole);
    }
}

/// An entry as a peer sends it: signature first, and none holds that the key did not make.
pub fn entry(data: &[u8]) {
    let key = MessageKey::from_seed(&[4; 32]);
    let keys = [key.verifier(&name(SENDER))];
    assert!(
        dsse::verify(Bytes::copy_from_slice(data), &keys).is_err(),
        "a signature out of nothing"
    );
    if let Ok(json) = dsse::to_json(data) {
        assert!(json.is_object());
    }
    // What is signed verifies, and its header is read from exactly what was signed.
    if let Ok(signed) = dsse::sign(&key, Bytes::copy_from_slice(data)) {
        let verified = dsse::verify(signed.bytes.clone(), &keys).expect("just signed");
        assert_eq!(verified.payload, data);
        drop(Header::parse(&verified.payload));
    }
}

/// A header: what is taken is taken again in the same words.
pub fn header(data: &[u8]) {
    let Ok(header) = Header::parse(data) else {
        return;
    };
    let written = header.wire.encode_to_vec();
    let again = Header::parse(&written).expect("what was read can be written");
    assert_eq!(again.id, header.id);
    assert_eq!(again.wire, header.wire);
}

/// A body: the first byte is the kind.
pub fn body(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let kind = i32::from(*kind);
    let schema = body::one_of_each()
        .iter()
        .find(|one| body::kind_of(one) as i32 == kind)
        .map_or("liaison.v9.Newer", body::schema_of);
    let Ok(body::Decoded::Known(known)) = body::decode(kind, schema, bytes) else {
        return;
    };
    let content = known.body.as_ref().expect("a known body has a kind");
    assert_eq!(body::kind_of(content) as i32, kind);
    let written = body::encode(content);
    let again = body::read(kind, schema, &written).expect("what was read can be written");
    assert_eq!(body::encode(&again), written);
    // It can be shown and exported.
    let shown = json::to_json(&known);
    let back: v1::Body = json::from_json(&shown.to_string()).expect("our own JSON is read");
    assert_eq!(json::to_json(&back), shown);
    assert!(body::attachments(content).len() <= data.len());
}

/// A draft as a person or a program types it.
pub fn draft(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    let Ok(read) = typed::read(whole) else { return };
    match read.judge() {
        // What may be sent may be sent once more.
        Ok(draft) => {
            let written = json::to_json(&draft).to_string();
            let again = typed::read(&written).expect("our own JSON is read").judge();
            assert_eq!(
                json::to_json(&again.expect("it was in order")),
                json::to_json(&draft)
            );
        }
        Err(faults) => assert!(!faults.is_empty(), "refused without a reason"),
    }
}

/// Canonical proto3 JSON.
pub fn json(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    if let Ok(draft) = json::from_json::<v1::Draft>(whole) {
        let written = json::to_json(&draft);
        let again: v1::Draft = json::from_json(&written.to_string()).expect("our own JSON is read");
        assert_eq!(json::to_json(&again), written);
    }
}

/// A configuration, and the file of a link.
pub fn config(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    let document = Document::from_text(Path::new("/nowhere/liaison.toml"), whole);
    if let Err(fault) = Config::parse(&document) {
        assert!(!fault.to_string().is_empty());
    }
    drop(LinkConfig::parse(&document, &name(SENDER)));
}

/// A card that the other side handed over.
pub fn peer_card(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    let document = Document::from_text(Path::new("/nowhere/card.toml"), whole);
    let Ok(card) = PeerCard::parse(&document) else {
        return;
    };
    let written = card.to_text();
    let document = Document::from_text(Path::new("/nowhere/card.toml"), &written);
    let again = PeerCard::parse(&document).expect("what was read can be written");
    assert_eq!(again.to_text(), written);
    assert_eq!(
        again.fingerprint().to_string(),
        card.fingerprint().to_string()
    );
}

/// A machine-readable zone.
pub fn mrz(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    match mrz::parse(&lines) {
        Ok(zone) => assert!(zone.number.len() <= 64),
        Err(faults) => assert!(!faults.is_empty(), "refused without a reason"),
    }
}

/// Calendars, lists of gates, and the code on a printed letter.
pub fn calendar(data: &[u8]) {
    let Some(whole) = text(data) else { return };
    if let Ok(calendar) = liaison::model::calendar::read_toml(whole) {
        assert!(calendar.year() > 0);
    }
    drop(liaison::model::gate::GateList::read_toml(whole));
    drop(liaison::document::qr::QrText::parse(whole));
}

/// A frame: read and written, and read again, it is the same.
pub fn frame(data: &[u8]) {
    let Ok(frame) = v1::Frame::decode(data) else {
        return;
    };
    let again = v1::Frame::decode(frame.encode_to_vec().as_slice()).expect("just written");
    assert_eq!(again, frame);
}
