//! DSSE: encodings, entries, JSON envelopes.

use bytes::Bytes;
use liaison::crypto::dsse::{self, DsseError, PAYLOAD_TYPE};
use liaison::crypto::keys::MessageKey;
use liaison::limits::{ENTRY_BYTES_MAX, ENTRY_SIGNATURES_MAX};
use liaison::proto::v1;
use prost::Message as _;
use serde::Deserialize;

use super::{SENDER, bytes, counting, log_key, message_key, name, seed, vectors, vkey};

#[derive(Deserialize)]
struct Vectors {
    seed: String,
    vkey: String,
    pae: Vec<Pae>,
    envelopes: Vec<Envelope>,
}

#[derive(Deserialize)]
struct Pae {
    source: String,
    payload_type: String,
    payload: String,
    encoded: String,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
    entry: String,
    json: serde_json::Value,
}

type Change<'a> = Box<dyn Fn(&mut v1::Entry) + 'a>;

fn signature(keyid: &str) -> v1::Signature {
    v1::Signature {
        sig: vec![1; 64].into(),
        keyid: keyid.to_owned(),
    }
}

fn entry() -> v1::Entry {
    let signed = dsse::sign(&message_key(), Bytes::from_static(b"a header")).unwrap();
    v1::Entry::decode(signed.bytes.clone()).unwrap()
}

fn verify(entry: &[u8]) -> Result<Bytes, DsseError> {
    let keys = [message_key().verifier(&name(SENDER))];
    dsse::verify(Bytes::copy_from_slice(entry), &keys).map(|envelope| {
        assert_eq!(envelope.bytes, entry, "the bytes are not kept verbatim");
        envelope.payload.clone()
    })
}

#[test]
fn vectors_hold() {
    let vectors: Vectors = vectors("dsse.json");
    for case in vectors.pae {
        let pae = dsse::pae(&case.payload_type, &bytes(&case.payload));
        assert_eq!(hex::encode(pae), case.encoded, "{}", case.source);
    }
    let key = MessageKey::from_seed(&seed(&vectors.seed));
    for case in vectors.envelopes {
        let signed = dsse::sign(&key, bytes(&case.payload).into()).unwrap();
        assert_eq!(hex::encode(&signed.bytes), case.entry);
        let verified = dsse::verify(bytes(&case.entry).into(), &[vkey(&vectors.vkey)]).unwrap();
        assert_eq!(verified, signed);
        assert_eq!(dsse::to_json(&verified.bytes).unwrap(), case.json);
    }
}

#[test]
fn an_entry_of_the_largest_size_is_signed_and_one_byte_more_is_not() {
    let overhead = dsse::sign(&message_key(), vec![0; 60_000].into())
        .unwrap()
        .bytes
        .len()
        - 60_000;
    let largest = ENTRY_BYTES_MAX - overhead;
    let signed = dsse::sign(&message_key(), vec![0; largest].into()).unwrap();
    assert_eq!(signed.bytes.len(), ENTRY_BYTES_MAX);
    assert!(verify(&signed.bytes).is_ok());
    let error = dsse::sign(&message_key(), vec![0; largest + 1].into()).unwrap_err();
    assert_eq!(
        error,
        DsseError::EntryTooLarge {
            bytes: ENTRY_BYTES_MAX + 1
        }
    );

    let mut longer = signed.bytes.to_vec();
    longer.push(0);
    assert_eq!(
        verify(&longer).unwrap_err(),
        DsseError::TooLarge {
            bytes: ENTRY_BYTES_MAX + 1
        }
    );
    assert_eq!(
        dsse::to_json(&longer).unwrap_err(),
        DsseError::TooLarge {
            bytes: ENTRY_BYTES_MAX + 1
        }
    );
}

#[test]
fn altered_envelopes_are_refused() {
    let keyid = entry().signatures[0].keyid.clone();
    let bad = || DsseError::BadSignature {
        keyid: keyid.clone(),
    };
    let unknown = |keyid: &str| DsseError::UnknownKey {
        keyid: keyid.to_owned(),
    };
    let payload_type = |found: &str| DsseError::PayloadType {
        found: found.to_owned(),
        wanted: PAYLOAD_TYPE,
    };
    let other = MessageKey::from_seed(&counting(99)).verifier(&name(SENDER));
    let long = "x".repeat(100);

    let cases: Vec<(Change<'_>, DsseError)> = vec![
        (
            Box::new(|e| e.payload = Bytes::from_static(b"a headex")),
            bad(),
        ),
        (Box::new(|e| e.payload = Bytes::new()), bad()),
        (Box::new(|e| e.payload_type.clear()), payload_type("")),
        (
            Box::new(|e| e.payload_type.push('2')),
            payload_type(&format!("{PAYLOAD_TYPE}2")),
        ),
        (
            Box::new(|e| e.payload_type = PAYLOAD_TYPE.to_uppercase()),
            payload_type(&PAYLOAD_TYPE.to_uppercase()),
        ),
        (
            Box::new(|e| e.payload_type = "\u{202e}\n".to_owned()),
            payload_type("\\u{202e}\\n"),
        ),
        (
            Box::new(|e| e.signatures.clear()),
            DsseError::SignatureCount { count: 0 },
        ),
        (
            Box::new(|e| e.signatures = vec![e.signatures[0].clone(); ENTRY_SIGNATURES_MAX + 1]),
            DsseError::SignatureCount {
                count: ENTRY_SIGNATURES_MAX + 1,
            },
        ),
        (
            Box::new(|e| e.signatures[0].sig.truncate(63)),
            DsseError::SignatureLength {
                index: 0,
                bytes: 63,
            },
        ),
        (
            Box::new(|e| e.signatures[0].sig = vec![0; 65].into()),
            DsseError::SignatureLength {
                index: 0,
                bytes: 65,
            },
        ),
        (
            Box::new(|e| e.signatures[0].sig = Bytes::new()),
            DsseError::SignatureLength { index: 0, bytes: 0 },
        ),
        (
            Box::new(|e| e.signatures[0].sig = vec![0; 64].into()),
            bad(),
        ),
        (Box::new(|e| e.signatures[0].keyid.clear()), unknown("")),
        (
            Box::new(|e| e.signatures[0].keyid.make_ascii_uppercase()),
            unknown(&keyid.to_uppercase()),
        ),
        (
            Box::new(|e| e.signatures[0].keyid = other.keyid().to_owned()),
            unknown(other.keyid()),
        ),
        (
            Box::new(|e| e.signatures[0].keyid = long.clone()),
            unknown(&format!("{}…", "x".repeat(80))),
        ),
        (
            Box::new(|e| e.signatures.push(v1::Signature::default())),
            DsseError::SignatureLength { index: 1, bytes: 0 },
        ),
        // The node's signature must come first, even if it is there.
        (
            Box::new(|e| e.signatures.insert(0, signature("officer"))),
            unknown("officer"),
        ),
        // A further line by a known key must hold.
        (Box::new(|e| e.signatures.push(signature(&keyid))), bad()),
    ];
    for (change, error) in cases {
        let mut entry = entry();
        change(&mut entry);
        assert_eq!(verify(&entry.encode_to_vec()).unwrap_err(), error);
    }
}

#[test]
fn every_flipped_bit_of_payload_type_and_signature_is_refused() {
    let honest = entry().encode_to_vec();
    for byte in 0..honest.len() {
        for bit in 0..8 {
            let mut tampered = honest.clone();
            tampered[byte] ^= 1 << bit;
            assert!(verify(&tampered).is_err(), "byte {byte} bit {bit}");
        }
    }
}

#[test]
fn malformed_bytes_are_refused() {
    let honest = entry().encode_to_vec();
    for bytes in [
        &[0xff][..],
        &[0x0a, 0xff],
        &[0x0b],
        &honest[..honest.len() - 1],
        &[0x12, 1, 0xff],
        &[0x08, 1],
    ] {
        assert!(
            matches!(verify(bytes).unwrap_err(), DsseError::Malformed(_)),
            "{bytes:02x?}"
        );
        assert!(
            matches!(dsse::to_json(bytes).unwrap_err(), DsseError::Malformed(_)),
            "{bytes:02x?}"
        );
    }
    assert_eq!(
        verify(&[]).unwrap_err(),
        DsseError::PayloadType {
            found: String::new(),
            wanted: PAYLOAD_TYPE,
        }
    );
}

#[test]
fn officers_signatures_and_unknown_fields_are_kept() {
    let mut entry = entry();
    let officer = signature("an officer's");
    entry.signatures.resize(ENTRY_SIGNATURES_MAX, officer);
    let mut bytes = entry.encode_to_vec();
    assert_eq!(verify(&bytes).unwrap(), "a header");
    // Field 15, length-delimited, of a newer version.
    bytes.extend([0x7a, 3, 1, 2, 3]);
    assert_eq!(verify(&bytes).unwrap(), "a header");
}

#[test]
fn a_cosigner_key_verifies_no_entry() {
    // The very key, but as a cosigner.
    let key =
        liaison::crypto::keys::LogKey::from_seed(&counting(0)).cosigner_verifier(&name(SENDER));
    assert_eq!(key.keyid(), message_key().verifier(&name(SENDER)).keyid());
    let bytes = Bytes::from(entry().encode_to_vec());
    assert!(matches!(
        dsse::verify(bytes.clone(), &[key]).unwrap_err(),
        DsseError::UnknownKey { .. }
    ));
    assert!(matches!(
        dsse::verify(bytes, &[]).unwrap_err(),
        DsseError::UnknownKey { .. }
    ));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?} {:?}", message_key(), log_key());
    assert!(shown.contains("MessageKey(public: "), "{shown}");
    assert!(shown.contains("LogKey(public: "), "{shown}");
    assert!(
        !shown.contains(&hex::encode(counting(0))) && !shown.contains(&hex::encode(counting(32)))
    );
}
