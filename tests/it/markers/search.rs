//! Looks for needles in every file below a directory, in the forms that bytes are usually written in.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// How much of a form decides whether the rest is compared.
const HEAD: usize = 5;

/// What to look for, in every form.
pub(super) struct Needles {
    /// Forms by their first bytes: the form, and what it is of.
    by_head: HashMap<[u8; HEAD], Vec<(Vec<u8>, String)>>,
}

impl Needles {
    pub(super) fn new<'a>(needles: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let mut by_head: HashMap<[u8; HEAD], Vec<(Vec<u8>, String)>> = HashMap::new();
        for (place, needle) in needles {
            for (form, bytes) in forms(needle.as_bytes(), needle) {
                let head = *bytes.first_chunk().unwrap();
                let entry = by_head.entry(head).or_default();
                entry.push((bytes, format!("{place} as {form}")));
            }
        }
        Self { by_head }
    }

    /// What is found in some bytes.
    pub(super) fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(HEAD - 1) {
            let head: &[u8; HEAD] = bytes[at..].first_chunk().unwrap();
            let candidates = self.by_head.get(head).into_iter().flatten();
            for (form, what) in candidates {
                if bytes[at..].starts_with(form) {
                    found.push(what.as_str());
                }
            }
        }
        found
    }

    /// Every file below a directory in which something is found, its name included.
    pub(super) fn found_below(&self, dir: &Path) -> Vec<(PathBuf, Vec<String>)> {
        let mut hits = Vec::new();
        for path in files(dir) {
            let mut bytes = fs::read(&path).unwrap_or_default();
            bytes.push(b'\n');
            bytes.extend(path.as_os_str().as_encoded_bytes());
            let mut found: Vec<String> = self
                .found_in(&bytes)
                .into_iter()
                .map(String::from)
                .collect();
            found.sort();
            found.dedup();
            if !found.is_empty() {
                hits.push((path, found));
            }
        }
        hits
    }
}

/// Every regular file below a directory.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut open = vec![dir.to_owned()];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// The forms of a needle.
fn forms(bytes: &[u8], text: &str) -> Vec<(String, Vec<u8>)> {
    let wide: Vec<u16> = text.encode_utf16().collect();
    let mut forms = vec![
        ("UTF-8".to_owned(), bytes.to_vec()),
        (
            "UTF-16LE".to_owned(),
            wide.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        ),
        (
            "UTF-16BE".to_owned(),
            wide.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
        ),
        ("hex".to_owned(), hex::encode(bytes).into_bytes()),
        ("HEX".to_owned(), hex::encode_upper(bytes).into_bytes()),
    ];
    for (alphabet, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
        for shift in 0..3 {
            // What comes before and after shares letters with the ends: those are left out.
            let shifted = [&vec![0; shift][..], bytes].concat();
            let encoded = engine.encode(&shifted);
            let from = [0, 2, 3][shift];
            let to = shifted.len() / 3 * 4;
            let form = encoded.as_bytes()[from..to].to_vec();
            forms.push((format!("{alphabet} shifted by {shift}"), form));
        }
    }
    forms
}

#[test]
fn every_form_of_a_needle_is_found_wherever_it_begins() {
    let needle = "Mk0123456789abcd".to_owned();
    let place = "somewhere".to_owned();
    let needles = Needles::new([(&place, &needle)]);
    assert!(needles.found_in(b"Mk0123456789abce").is_empty());
    for before in 0..7 {
        let text = format!("{}{needle}{}", "x".repeat(before), "y".repeat(5));
        let wide: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = wide.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = wide.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            little,
            big,
            hex::encode(&text).into_bytes(),
            hex::encode_upper(&text).into_bytes(),
            STANDARD_NO_PAD.encode(&text).into_bytes(),
            URL_SAFE_NO_PAD.encode(&text).into_bytes(),
        ] {
            assert!(!needles.found_in(&bytes).is_empty(), "{before}: {bytes:?}");
        }
    }
}
