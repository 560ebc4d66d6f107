//! Verifier keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use liaison::crypto::vkey::{Algorithm, VerifierKey, VkeyError};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{SENDER, bytes, log_key, message_key, name, origin, seed, vectors};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    source: String,
    name: String,
    r#type: u8,
    public: String,
    key_id: u32,
    keyid: String,
    vkey: String,
}

#[derive(Deserialize)]
struct Points {
    small_order: Vec<String>,
    small_order_not_canonical: Vec<String>,
    not_canonical: Vec<String>,
    mixed_order: Vec<String>,
    not_on_the_curve: Vec<String>,
}

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// A vkey whose key id fits, whatever the bytes are.
fn forged(name: &str, algorithm: u8, public: &[u8]) -> String {
    let key = [&[algorithm], public].concat();
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update("\n")
        .chain_update(&key)
        .finalize();
    format!(
        "{name}+{}+{}",
        hex::encode(&digest[..4]),
        STANDARD.encode(key)
    )
}

#[test]
fn vectors_hold() {
    for case in vectors::<Vectors>("vkey.json").cases {
        let key = VerifierKey::parse(&case.vkey).expect(&case.source);
        assert_eq!(key.to_string(), case.vkey, "{}", case.source);
        assert_eq!(key.name(), case.name);
        assert_eq!(key.algorithm().byte(), case.r#type);
        assert_eq!(hex::encode(key.public().as_bytes()), case.public);
        assert_eq!(key.key_id(), case.key_id);
        assert_eq!(key.keyid(), case.keyid);
        assert_eq!(case.vkey.parse::<VerifierKey>().unwrap(), key);
        let public = VerifyingKey::from_bytes(&seed(&case.public)).unwrap();
        assert_eq!(
            VerifierKey::new(&case.name, key.algorithm(), public).unwrap(),
            key
        );
    }
}

#[test]
fn own_keys_name_themselves() {
    let vectors: Vec<_> = vectors::<Vectors>("vkey.json")
        .cases
        .into_iter()
        .map(|case| case.vkey)
        .collect();
    for key in [
        message_key().verifier(&name(SENDER)),
        log_key().log_verifier(&origin()),
        log_key().cosigner_verifier(&name(SENDER)),
    ] {
        assert!(vectors.contains(&key.to_string()), "{key}");
    }
}

/// Go's own test: every proper substring of a vkey, and every byte one higher, is refused.
#[test]
fn every_mangling_is_refused() {
    for from in 0..=PETER.len() {
        for to in from + 1..=PETER.len() {
            let part = &PETER[from..to];
            assert!(part == PETER || VerifierKey::parse(part).is_err(), "{part}");
        }
    }
    for i in 0..PETER.len() {
        let mut mangled = PETER.to_owned().into_bytes();
        mangled[i] += 1;
        let mangled = String::from_utf8(mangled).unwrap();
        assert!(VerifierKey::parse(&mangled).is_err(), "{mangled}");
    }
}

#[test]
fn malformed_vkeys_are_refused() {
    let key = &PETER[22..];
    let good: [u8; 32] = STANDARD.decode(key).unwrap()[1..].try_into().unwrap();
    let long = "a".repeat(1100);
    let short = |name: &str| VkeyError::Name {
        name: name.to_owned(),
    };
    let cases = [
        (String::new(), VkeyError::Form),
        ("PeterNeumann".to_owned(), VkeyError::Form),
        ("PeterNeumann+c74f20a3".to_owned(), VkeyError::Form),
        (
            PETER.replace("+c74f20a3+", "+c74f20a3++"),
            VkeyError::Base64,
        ),
        (PETER.replace("c74f20a3", "C74F20A3"), VkeyError::KeyId),
        (PETER.replace("c74f20a3", "c74f20a"), VkeyError::KeyId),
        (PETER.replace("c74f20a3", "0c74f20a3"), VkeyError::KeyId),
        (PETER.replace("c74f20a3", "+74f20a3"), VkeyError::KeyId),
        (
            PETER.replace("c74f20a3", "c74f20a4"),
            VkeyError::Mismatch {
                stated: 0xc74f_20a4,
                computed: 0xc74f_20a3,
            },
        ),
        (format!("{PETER}="), VkeyError::Base64),
        (format!("{PETER}\n"), VkeyError::Base64),
        (format!("{PETER} "), VkeyError::Base64),
        (PETER.replace('/', "_"), VkeyError::Base64),
        (format!("+c74f20a3+{key}"), short("")),
        (forged("Peter Neumann", 1, &good), short("Peter Neumann")),
        (
            forged("Peter\u{a0}Neumann", 1, &good),
            short("Peter\\u{a0}Neumann"),
        ),
        (
            forged("Peter\u{1}Neumann", 1, &good),
            short("Peter\\u{1}Neumann"),
        ),
        (
            forged("PeterNeumann", 0, &good),
            VkeyError::Algorithm { byte: 0 },
        ),
        (
            forged("PeterNeumann", 2, &good),
            VkeyError::Algorithm { byte: 2 },
        ),
        (
            forged("PeterNeumann", 6, &good),
            VkeyError::Algorithm { byte: 6 },
        ),
        (
            forged("PeterNeumann", 0xff, &good),
            VkeyError::Algorithm { byte: 0xff },
        ),
        (
            forged("PeterNeumann", 1, &good[..31]),
            VkeyError::Length { bytes: 31 },
        ),
        (
            forged("PeterNeumann", 4, &[good.as_slice(), &[0]].concat()),
            VkeyError::Length { bytes: 33 },
        ),
        (
            forged("PeterNeumann", 1, &[]),
            VkeyError::Length { bytes: 0 },
        ),
        ("PeterNeumann+c74f20a3+".to_owned(), VkeyError::Form),
        (
            forged(&long, 1, &good),
            VkeyError::TooLong { bytes: 1100 + 54 },
        ),
    ];
    for (text, error) in cases {
        assert_eq!(VerifierKey::parse(&text).unwrap_err(), error, "{text}");
    }
    // Stray bits behind the last byte: 33 bytes fill 44 characters, so another length is wanted.
    assert_eq!(
        VerifierKey::parse(&forged("a", 1, &[7; 31]).replace("Bwc=", "Bwd=")).unwrap_err(),
        VkeyError::Base64
    );
}

#[test]
fn weak_and_non_canonical_keys_are_refused() {
    let points: Points = vectors("torsion.json");
    assert_eq!(points.small_order.len(), 8);
    assert_eq!(points.small_order_not_canonical.len(), 6);
    let cases = [
        (points.small_order, VkeyError::Weak),
        (points.mixed_order, VkeyError::Weak),
        (points.small_order_not_canonical, VkeyError::NotCanonical),
        (points.not_canonical, VkeyError::NotCanonical),
        (points.not_on_the_curve, VkeyError::NotCanonical),
    ];
    for (keys, error) in cases {
        assert!(!keys.is_empty());
        for key in keys {
            for algorithm in [Algorithm::Ed25519, Algorithm::Cosignature] {
                let text = forged("weak.example", algorithm.byte(), &bytes(&key));
                assert_eq!(VerifierKey::parse(&text).unwrap_err(), error, "{key}");
                if let Ok(public) = VerifyingKey::from_bytes(&seed(&key)) {
                    assert_eq!(
                        VerifierKey::new("weak.example", algorithm, public).unwrap_err(),
                        error,
                        "{key}"
                    );
                }
            }
        }
    }
}
