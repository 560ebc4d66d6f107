//! Receipts, checkpoints and proofs, changed in every way that a seeded forger thinks of: what still
//! verifies says exactly what the real one said.
//!
//! `LIAISON_FORGERIES` (how many, 20,000 unless given; the long form is 1,000,000) and
//! `LIAISON_SEED` choose the run; it prints its figures in one line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use liaison::audit::proof::{Proven, verify_proof};
use liaison::crypto::checkpoint::LogVerifier;
use liaison::crypto::vkey::{Algorithm, VerifierKey};
use liaison::model::{NodeName, Origin};

const SENDER: &str = "laocai.bg.vn.example";
const RECIPIENT: &str = "hekou.ni.cn.example";

/// A receipt that was really given, with what it says.
struct Real {
    proof: String,
    note: String,
    entry: Vec<u8>,
    proven: Proven,
}

/// splitmix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

fn vectors() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/export"))
}

fn keys() -> Vec<VerifierKey> {
    let manifest = fs::read(vectors().join("MANIFEST.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let keys = manifest["keys"].as_array().unwrap().iter();
    keys.map(|key| VerifierKey::parse(key["vkey"].as_str().unwrap()).unwrap())
        .collect()
}

/// The entries of a bundle: each behind its length as u16.
fn entries(mut bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        bundle = rest;
    }
    entries
}

fn reals(keys: &[VerifierKey]) -> Vec<Real> {
    let log = vectors().join(format!("{SENDER}_{RECIPIENT}"));
    let bundle = fs::read(log.join("tile/entries/000.p/10")).unwrap();
    let entries = entries(&bundle).into_iter().enumerate();
    let real = |(index, entry): (usize, Vec<u8>)| {
        let proof = fs::read_to_string(log.join(format!("proofs/{index}.tlog-proof"))).unwrap();
        let proven = verify_proof(&proof, &entry, keys).proven.unwrap();
        assert_eq!(proven.index, index as u64);
        let note = proof.split_once("\n\n").unwrap().1.to_owned();
        Real {
            proof,
            note,
            entry,
            proven,
        }
    };
    entries.map(real).collect()
}

fn verifier(keys: &[VerifierKey]) -> LogVerifier {
    let origin = Origin::new(
        NodeName::parse(SENDER).unwrap(),
        NodeName::parse(RECIPIENT).unwrap(),
    );
    let key = |name: &str, algorithm| {
        let found = keys
            .iter()
            .find(|key| key.name() == name && key.algorithm() == algorithm);
        found.unwrap().clone()
    };
    LogVerifier::new(
        origin.clone(),
        key(&origin.to_string(), Algorithm::Ed25519),
        key(SENDER, Algorithm::Cosignature),
        key(RECIPIENT, Algorithm::Cosignature),
    )
    .unwrap()
}

/// Changes a text in one of many ways; others are there to be borrowed from.
fn forge(dice: &mut Dice, text: &str, others: &[&str]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(11) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, b" \n+/=09Az\r\0\xe2"[dice.below(12)]),
            4 => bytes.truncate(at),
            5 => {
                let end = (at + dice.below(80)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, part);
            }
            // A digit or a letter of base64 for another.
            6 => {
                let wanted = if dice.below(2) == 0 { b'0' } else { b'A' };
                let from = bytes[at..].iter().position(|byte| *byte >= wanted);
                if let Some(found) = from {
                    bytes[at + found] = wanted + u8::try_from(dice.below(10)).unwrap();
                }
            }
            // Whole lines: dropped, doubled, swapped, or another's in their place.
            kind => {
                let mut lines: Vec<Vec<u8>> = bytes
                    .split(|byte| *byte == b'\n')
                    .map(<[u8]>::to_vec)
                    .collect();
                let line = dice.below(lines.len());
                match kind {
                    7 => drop(lines.remove(line)),
                    8 => lines.insert(line, lines[line].clone()),
                    9 => {
                        let other = dice.below(lines.len());
                        lines.swap(line, other);
                    }
                    _ => {
                        let other = others[dice.below(others.len())];
                        let theirs: Vec<&str> = other.split('\n').collect();
                        let their = theirs[dice.below(theirs.len())];
                        lines[line] = their.as_bytes().to_vec();
                    }
                }
                bytes = lines.join(&b'\n');
            }
        }
        if bytes.is_empty() {
            return bytes;
        }
    }
    bytes
}

#[test]
fn whatever_still_verifies_says_what_the_real_one_said() {
    let count: u64 = std::env::var("LIAISON_FORGERIES").map_or(20_000, |n| n.parse().unwrap());
    let seed: u64 = std::env::var("LIAISON_SEED").map_or(20_260_101, |n| n.parse().unwrap());
    let keys = keys();
    let reals = reals(&keys);
    let verifier = verifier(&keys);
    let proofs: Vec<&str> = reals.iter().map(|real| real.proof.as_str()).collect();
    let notes: Vec<&str> = reals.iter().map(|real| real.note.as_str()).collect();
    let mut dice = Dice(seed);
    let (mut refused, mut same, mut not_text) = (0_u64, 0_u64, 0_u64);
    for number in 0..count {
        let real = &reals[dice.below(reals.len())];
        let is_proof = dice.below(2) == 0;
        let (text, others) = if is_proof {
            (&real.proof, &proofs)
        } else {
            (&real.note, &notes)
        };
        let Ok(forged) = String::from_utf8(forge(&mut dice, text, others)) else {
            not_text += 1;
            continue;
        };
        let told = format!("seed {seed}, forgery {number}:\n{forged}");
        let holds = if is_proof {
            // For its own entry, or for another.
            let entry = &reals[dice.below(reals.len())].entry;
            let proven = verify_proof(&forged, entry, &keys).proven;
            if let Some(found) = &proven {
                let same = |real: &Real| Proven {
                    id: None,
                    ..real.proven.clone()
                };
                let found = Proven {
                    id: None,
                    ..found.clone()
                };
                let real = reals.iter().find(|real| same(real) == found);
                let real = real.unwrap_or_else(|| panic!("{told}\nproves {found:?}"));
                assert_eq!(&real.entry, entry, "{told}");
            }
            proven.is_some()
        } else {
            let receipt = verifier.receipt(&forged).ok();
            if let Some(receipt) = &receipt {
                let checkpoint = &receipt.signed.checkpoint;
                let is_real = reals.iter().any(|real| {
                    let said = &real.proven;
                    (
                        checkpoint.size,
                        receipt.signed.authored_at,
                        receipt.cosigned_at,
                    ) == (said.size, said.authored_at, said.cosigned_at)
                        && (checkpoint.root.to_string(), &checkpoint.origin)
                            == (said.root.clone(), &said.origin)
                });
                assert!(is_real, "{told}\nis a receipt of {receipt:?}");
            }
            // Without the mirror's line it may still be the author's checkpoint: its own.
            if let Ok(signed) = verifier.checkpoint(&forged) {
                let found = (signed.checkpoint.size, signed.checkpoint.root.to_string());
                let is_real = reals.iter().any(|real| {
                    (real.proven.size, real.proven.root.clone()) == found
                        && real.proven.authored_at == signed.authored_at
                });
                assert!(is_real, "{told}\nis a checkpoint of {found:?}");
            }
            receipt.is_some()
        };
        if holds {
            same += 1;
        } else {
            refused += 1;
        }
    }
    assert!(
        refused > count / 2,
        "the forger has no teeth: {refused} of {count}"
    );
    println!(
        "forgeries {count} (seed {seed}): refused {refused}, no text {not_text}, the real one's \
         words {same}, accepted 0"
    );
}
