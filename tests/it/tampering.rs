//! Systematic tampering: every way of changing an export that this file can think of, once as it
//! is and once with the manifest's hashes made to fit. Each must be found and its place named.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use base64::Engine as _;
use liaison::audit::format::Manifest;
use liaison::audit::verify::verify_export;
use liaison::audit::{Code, Finding, Severity, Verdict};
use liaison::crypto::keys::LogKey;
use liaison::tlog::bundle;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::evidence::{Side, World, busy_world, read_all};

const MANIFEST: &str = "MANIFEST.json";
const OWN: &str = "laocai.bg.vn.example_hekou.ni.cn.example";
const MIRROR: &str = "hekou.ni.cn.example_laocai.bg.vn.example";

/// An export on disk that is tampered with and restored, again and again.
struct Victim {
    _temp: TempDir,
    dir: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
    cases: usize,
    missed: Vec<String>,
}

/// New contents of files; `None` deletes.
type Edits = Vec<(String, Option<Vec<u8>>)>;

impl Victim {
    fn new(world: &World, side: &Side) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("export");
        world.export(side, &dir);
        let files = read_all(&dir);
        let victim = Self {
            _temp: temp,
            dir,
            files,
            cases: 0,
            missed: Vec::new(),
        };
        assert!(victim.verify().clean);
        victim
    }

    fn verify(&self) -> Verdict {
        verify_export(&self.dir, None, &mut |_| ())
    }

    fn manifest(&self) -> Manifest {
        serde_json::from_slice(&self.files[MANIFEST]).unwrap()
    }

    fn paths(&self) -> Vec<String> {
        self.files
            .keys()
            .filter(|path| *path != MANIFEST)
            .cloned()
            .collect()
    }

    /// Tampers both ways; the finding must name one of `places`.
    fn attempt(&mut self, name: &str, edits: &Edits, places: &[&str]) {
        if edits
            .iter()
            .all(|(path, bytes)| self.files.get(path) == bytes.as_ref())
        {
            return;
        }
        let has_manifest = edits.iter().any(|(path, _)| path == MANIFEST);
        self.attempt_once(&format!("{name}, hash as it was"), edits, places);
        if !has_manifest {
            let mut manifest = self.manifest();
            for (path, bytes) in edits {
                match bytes {
                    Some(bytes) => manifest
                        .files
                        .insert(path.clone(), hex::encode(Sha256::digest(bytes))),
                    None => manifest.files.remove(path),
                };
            }
            let mut edits = edits.clone();
            edits.push((MANIFEST.to_owned(), Some(manifest.encode().unwrap())));
            self.attempt_once(&format!("{name}, hash made to fit"), &edits, places);
        }
    }

    fn attempt_once(&mut self, name: &str, edits: &Edits, places: &[&str]) {
        self.cases += 1;
        for (path, bytes) in edits {
            self.put(path, bytes.as_deref());
        }
        let verdict = self.verify();
        for (path, _) in edits {
            let pristine = self.files.get(path).cloned();
            self.put(path, pristine.as_deref());
        }
        if !places.iter().any(|place| names(&verdict, place)) {
            self.missed
                .push(format!("{name}: {places:?}: {:#?}", verdict.findings));
        }
    }

    fn put(&self, path: &str, bytes: Option<&[u8]>) {
        let path = self.dir.join(path);
        match bytes {
            Some(bytes) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            None if path.exists() => fs::remove_file(path).unwrap(),
            None => {}
        }
    }

    /// Every case must have been found, and there must have been enough of them.
    fn done(self, cases_min: usize) {
        let (cases, missed) = (self.cases, self.missed);
        assert!(
            missed.is_empty(),
            "{} of {cases} missed, first {}",
            missed.len(),
            missed[0]
        );
        assert!(cases >= cases_min, "only {cases} cases");
        let verdict = verify_export(&self.dir, None, &mut |_| ());
        assert!(
            verdict.clean,
            "the victim was not restored: {:#?}",
            verdict.findings
        );
    }
}

/// Whether an error names the file: as its place, by index and log, or in words.
fn names(verdict: &Verdict, path: &str) -> bool {
    assert_eq!(verdict.clean, verdict.errors == 0);
    let (folder, file) = path.split_once('/').unwrap_or(("", path));
    let index: Option<u64> = file
        .strip_prefix("bodies/")
        .and_then(|name| name.strip_suffix(".bin"))
        .and_then(|index| index.parse().ok());
    let named = |finding: &Finding| {
        finding.place == path
            || finding.place.starts_with(folder) && index.is_some() && finding.index == index
            || finding.place.starts_with(folder)
                && file.starts_with("checkpoints/")
                && finding.what.contains(&format!(
                    "checkpoint of size {} is not",
                    file.trim_start_matches("checkpoints/")
                ))
    };
    let mut errors = verdict
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error);
    errors.any(named)
}

fn flipped(bytes: &[u8], at: usize, bit: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << bit;
    bytes
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

/// JSON pointers of every value in a document, the whole included.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(value, &format!("{at}/{name}"), all);
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{number}"), all);
            }
        }
        _ => {}
    }
}

/// Every document that differs from `value` in one field: changed, left out, added.
fn variants(value: &Value, pointers: &[String]) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for pointer in pointers {
        let mut changed = value.clone();
        let field = changed.pointer_mut(pointer).unwrap();
        match field {
            Value::Null => *field = json!("something"),
            Value::Bool(bool) => *bool = !*bool,
            Value::Number(number) => *field = json!(number.as_u64().unwrap() + 1),
            Value::String(text) => text.push('x'),
            Value::Array(items) => items.push(json!("more")),
            Value::Object(fields) => {
                fields.insert("added".into(), json!(1));
            }
        }
        all.push((format!("{pointer} changed"), changed));
        let Some((parent, name)) = pointer.rsplit_once('/') else {
            continue;
        };
        let name = name.replace("~1", "/").replace("~0", "~");
        let mut removed = value.clone();
        match removed.pointer_mut(parent).unwrap() {
            Value::Object(fields) => {
                fields.remove(&name);
            }
            Value::Array(items) => {
                items.remove(name.parse().unwrap());
            }
            _ => unreachable!("only these have children"),
        }
        all.push((format!("{pointer} left out"), removed));
    }
    all
}

#[test]
fn every_file_changed_cut_lengthened_or_deleted() {
    let world = busy_world(10);
    let mut victim = Victim::new(&world, &world.b);
    for path in victim.paths() {
        let bytes = victim.files[&path].clone();
        // Of a leaf that is no signed entry, only its hash in the tile says that it was changed.
        let leaves = path.replace("/tile/entries/", "/tile/0/");
        let places = [path.as_str(), &leaves];
        let edit = |bytes: Option<Vec<u8>>| vec![(path.clone(), bytes)];
        for (at, bit) in [(0, 0), (bytes.len() / 2, 5), (bytes.len() - 1, 0)] {
            let name = format!("{path}: bit {bit} of byte {at}");
            victim.attempt(&name, &edit(Some(flipped(&bytes, at, bit))), &places);
        }
        let cut = bytes[..bytes.len() - 1].to_vec();
        victim.attempt(&format!("{path}: cut"), &edit(Some(cut)), &places);
        victim.attempt(
            &format!("{path}: emptied"),
            &edit(Some(Vec::new())),
            &places,
        );
        let longer = [&bytes[..], b"\n"].concat();
        victim.attempt(&format!("{path}: lengthened"), &edit(Some(longer)), &places);
        // That a checkpoint which no receipt rests on was kept at all is the exporter's own word.
        if path != format!("{OWN}/checkpoints/0") && path != format!("{MIRROR}/checkpoints/0") {
            victim.attempt(&format!("{path}: deleted"), &edit(None), &places);
        } else {
            victim.attempt_once(&format!("{path}: deleted"), &edit(None), &places);
        }
    }
    victim.done(800);
}

#[test]
fn every_field_of_every_kind_of_json() {
    let world = busy_world(14);
    let mut victim = Victim::new(&world, &world.b);
    let folder = OWN;
    // A letter, an erased one, a newer kind, a forged, a doubled and no entry at all; a refusal.
    let mut paths: Vec<String> = [0, 1, 3, 5, 8, 9]
        .iter()
        .map(|n| format!("{folder}/notifications/{n}.json"))
        .collect();
    paths.push(format!("{MIRROR}/notifications/0.json"));
    paths.push(format!("{folder}/dsse/0.json"));
    paths.push(format!("{folder}/dsse/5.json"));
    for path in paths {
        let value: Value = serde_json::from_slice(&victim.files[&path]).unwrap();
        assert_eq!(pretty(&value), victim.files[&path]);
        let mut all = Vec::new();
        pointers(&value, "", &mut all);
        for (name, changed) in variants(&value, &all) {
            let edits = vec![(path.clone(), Some(pretty(&changed)))];
            victim.attempt(&format!("{path}: {name}"), &edits, &[&path]);
        }
        // The same content in another form: a reader may take the other of two values.
        let text = String::from_utf8(victim.files[&path].clone()).unwrap();
        for (name, other) in [
            ("spaces", text.replacen('\n', " \n", 1)),
            (
                "repeated field",
                text.replacen('{', "{\n  \"index\": 7,\n  \"payload\": \"\",", 1),
            ),
            ("compact", value.to_string()),
        ] {
            let edits = vec![(path.clone(), Some(other.into_bytes()))];
            victim.attempt(&format!("{path}: {name}"), &edits, &[&path]);
        }
    }
    victim.done(400);
}

#[test]
fn every_field_of_the_manifest() {
    let world = busy_world(12);
    let mut victim = Victim::new(&world, &world.a);
    let manifest = victim.manifest();
    let value = serde_json::to_value(&manifest).unwrap();
    let mut all = Vec::new();
    pointers(&value, "", &mut all);
    let mut unseen = Vec::new();
    for (name, changed) in variants(&value, &all) {
        let typed: Option<Manifest> = serde_json::from_value(changed.clone()).ok();
        // In the exporter's own order if it still is one, so that the content alone is judged.
        let bytes = typed.map_or_else(|| pretty(&changed), |manifest| manifest.encode().unwrap());
        let edits = vec![(MANIFEST.to_owned(), Some(bytes))];
        // What nothing in an export can contradict.
        if name.ends_with("/recorded_beyond changed") {
            unseen.push(edits);
            continue;
        }
        let path = name
            .strip_prefix("/files/")
            .and_then(|rest| rest.split_once(' '));
        let path = path.map(|(path, _)| path.replace("~1", "/"));
        let log = |number: &str| name.starts_with(&format!("/logs/{number}/"));
        let mut places = vec![MANIFEST];
        places.extend(path.as_deref());
        // A size or an origin is contradicted by the files of the log.
        let files = [
            format!("{OWN}/checkpoint"),
            format!("{MIRROR}/checkpoint"),
            format!("{OWN}/proofs/0.tlog-proof"),
            format!("{OWN}/checkpoints/{}", manifest.logs[0].size + 1),
            format!("{MIRROR}/checkpoints/{}", manifest.logs[1].size + 1),
        ];
        if log("0") || log("1") || name.starts_with("/logs") || name.starts_with("/proofs") {
            places.extend(files.iter().map(String::as_str));
        }
        victim.attempt_once(&format!("manifest {name}"), &edits, &places);
    }
    assert_eq!(unseen.len(), 2);

    let text = String::from_utf8(victim.files[MANIFEST].clone()).unwrap();
    for (name, other) in [
        ("spaces", text.replacen('\n', " \n", 1)),
        ("no final newline", text.trim_end().to_owned()),
        ("compact", value.to_string()),
        (
            "repeated",
            text.replacen("\"version\": 1,", "\"version\": 1,\n  \"version\": 1,", 1),
        ),
        (
            "later version",
            text.replacen("\"version\": 1,", "\"version\": 2,", 1),
        ),
        ("empty", String::new()),
        ("not JSON", "MANIFEST".into()),
        ("deep", "[".repeat(100_000)),
        (
            "other time",
            text.replace(&manifest.exported_at, "2026-12-01T00:00:00+07:00"),
        ),
        (
            "peer as node",
            text.replacen(&manifest.node, world.b.node.as_str(), 1),
        ),
        (
            "stranger as node",
            text.replacen(&manifest.node, "a.example", 1),
        ),
    ] {
        let edits = vec![(MANIFEST.to_owned(), Some(other.into_bytes()))];
        victim.attempt_once(&format!("manifest {name}"), &edits, &[MANIFEST]);
    }
    // An earlier time is odd, and as unsigned as a later one.
    let earlier = text.replace(&manifest.exported_at, "2026-01-01T00:00:00Z");
    victim.put(MANIFEST, Some(earlier.as_bytes()));
    let verdict = victim.verify();
    assert!(
        verdict
            .findings
            .iter()
            .any(|f| f.code == Code::Date && f.place == MANIFEST)
    );
    victim.put(MANIFEST, Some(text.as_bytes()));

    let edits = vec![(MANIFEST.to_owned(), None)];
    victim.attempt_once("manifest deleted", &edits, &[MANIFEST]);
    victim.done(200);
}

#[test]
fn keys_exchanged_in_the_manifest() {
    let world = busy_world(12);
    let mut victim = Victim::new(&world, &world.a);
    let mallory = Side::new("laocai.bg.vn.example", 60);
    let forged = mallory.keys(&world.b.node);
    for (number, key) in forged.iter().enumerate() {
        let mut manifest = victim.manifest();
        manifest.keys[number].vkey = key.to_string();
        let edits = vec![(MANIFEST.to_owned(), Some(manifest.encode().unwrap()))];
        let places = [
            format!("{OWN}/tile/entries/000.p/12"),
            format!("{OWN}/checkpoint"),
            format!("{OWN}/checkpoints/12"),
        ];
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        victim.attempt_once(&format!("key {number} exchanged"), &edits, &places);

        let mut manifest = victim.manifest();
        manifest.keys[number].valid_until = Some("2020-01-01T00:00:00Z".into());
        let edits = vec![(MANIFEST.to_owned(), Some(manifest.encode().unwrap()))];
        victim.attempt_once(&format!("key {number} expired"), &edits, &places);

        let mut manifest = victim.manifest();
        let twice = manifest.keys[number].clone();
        manifest.keys.push(twice);
        let edits = vec![(MANIFEST.to_owned(), Some(manifest.encode().unwrap()))];
        victim.attempt_once(&format!("key {number} twice"), &edits, &[MANIFEST]);
    }

    // A further key has signed nothing. That is worth a note, and to whoever pins keys an error.
    let mut manifest = victim.manifest();
    let mut further = manifest.keys[0].clone();
    further.vkey = forged[0].to_string();
    manifest.keys.push(further);
    victim.put(MANIFEST, Some(&manifest.encode().unwrap()));
    let verdict = victim.verify();
    assert!(verdict.clean);
    assert!(
        verdict
            .findings
            .iter()
            .any(|f| f.code == Code::KeyUnused && f.place == MANIFEST)
    );
    let verdict = verify_export(&victim.dir, Some(&world.keys()), &mut |_| ());
    assert!(
        verdict
            .findings
            .iter()
            .any(|f| f.code == Code::KeyNotPinned && f.place == MANIFEST)
    );
    let pristine = victim.files[MANIFEST].clone();
    victim.put(MANIFEST, Some(&pristine));
    victim.done(9);
}

#[test]
fn every_signature_line_of_every_note() {
    let world = busy_world(14);
    let mut victim = Victim::new(&world, &world.a);
    let notes: Vec<String> = victim
        .paths()
        .into_iter()
        .filter(|path| path.contains("/checkpoint") || path.contains("/proofs/10"))
        .collect();
    let stranger = LogKey::from_seed(&[99; 32]);
    for path in notes {
        let text = String::from_utf8(victim.files[&path].clone()).unwrap();
        let (head, lines) = text.rsplit_once("\n\n").unwrap();
        let lines: Vec<String> = lines.lines().map(ToOwned::to_owned).collect();
        assert_eq!(lines.len(), 3, "log, author, mirror");
        let mut edits: Vec<(String, Vec<String>)> = Vec::new();
        for at in 0..lines.len() {
            let mut other = lines.clone();
            other.remove(at);
            edits.push((format!("line {at} left out"), other));
            let mut other = lines.clone();
            other.insert(at, lines[at].clone());
            edits.push((format!("line {at} doubled"), other));
            let mut other = lines.clone();
            other.swap(at, (at + 1) % 3);
            edits.push((format!("line {at} swapped with the next"), other));
            for place in [4, 12, 40, 60] {
                let mut other = lines.clone();
                let from_end = other[at].len() - place;
                let letter = if other[at].as_bytes()[from_end] == b'A' {
                    "B"
                } else {
                    "A"
                };
                other[at].replace_range(from_end..=from_end, letter);
                edits.push((format!("line {at}: letter {place} from its end"), other));
            }
            let mut other = lines.clone();
            other[at] = other[at].replacen("example ", "exemple ", 1);
            edits.push((format!("line {at} renamed"), other));
            let mut other = lines.clone();
            other[at] = lines[(at + 1) % 3].clone();
            edits.push((format!("line {at} replaced by another"), other));
        }
        let mut other = lines.clone();
        let name = liaison::model::NodeName::parse("witness.example").unwrap();
        let key = stranger.cosigner_verifier(&name).key_id().to_be_bytes();
        let blob = [&key[..], &[7; 72]].concat();
        let blob = base64::engine::general_purpose::STANDARD.encode(blob);
        other.push(format!("— {name} {blob}"));
        edits.push(("a line added".into(), other));
        for (name, lines) in edits {
            let bytes = format!("{head}\n\n{}\n", lines.join("\n")).into_bytes();
            victim.attempt(
                &format!("{path}: {name}"),
                &vec![(path.clone(), Some(bytes))],
                &[&path],
            );
        }
        for (name, from, to) in [
            ("size", "\n1", "\n2"),
            ("origin", "laocai", "laocay"),
            ("extension", "=\n\n", "=\nmore\n\n"),
        ] {
            let changed = text.replacen(from, to, 1).into_bytes();
            let edits = vec![(path.clone(), Some(changed))];
            victim.attempt(&format!("{path}: {name}"), &edits, &[&path]);
        }
    }
    // The latest checkpoint under both of its names at once.
    for log in [OWN, MIRROR] {
        let size = victim
            .manifest()
            .logs
            .iter()
            .find(|l| l.folder == log)
            .unwrap()
            .size;
        let latest = format!("{log}/checkpoint");
        let of_size = format!("{log}/checkpoints/{size}");
        let mut text = String::from_utf8(victim.files[&latest].clone()).unwrap();
        text.truncate(text.trim_end().rfind('\n').unwrap() + 1);
        let bytes = Some(text.into_bytes());
        let edits = vec![(latest, bytes.clone()), (of_size.clone(), bytes)];
        victim.attempt(
            &format!("{log}: receipt stripped of the mirror"),
            &edits,
            &[&of_size],
        );
    }
    victim.done(200);
}

#[test]
fn contents_swapped_between_files() {
    let world = busy_world(14);
    let mut victim = Victim::new(&world, &world.a);
    let kinds = [
        "bodies/",
        "notifications/",
        "dsse/",
        "proofs/",
        "checkpoints/",
        "tile/0/",
        "tile/entries/",
    ];
    for kind in kinds {
        let paths: Vec<String> = victim
            .paths()
            .into_iter()
            .filter(|path| path.contains(&format!("/{kind}")))
            .collect();
        for pair in paths.windows(2) {
            let [one, other] = pair else { unreachable!() };
            let edits = vec![
                (one.clone(), Some(victim.files[other].clone())),
                (other.clone(), Some(victim.files[one].clone())),
            ];
            // Both are named; one of them is asked for.
            let asked = if victim.cases.is_multiple_of(4) {
                one
            } else {
                other
            };
            victim.attempt(&format!("{one} ⇄ {other}"), &edits, &[asked]);
        }
    }
    victim.done(100);
}

#[test]
fn bundles_and_tiles_across_a_tile_boundary() {
    let world = busy_world(260);
    let mut victim = Victim::new(&world, &world.a);
    let of_tile = |path: &str| path.contains("/tile/");
    let tiles: Vec<String> = victim
        .paths()
        .into_iter()
        .filter(|path| of_tile(path))
        .collect();
    assert!(
        tiles.iter().any(|path| path.ends_with("/tile/1/000.p/1")),
        "{tiles:?}"
    );
    for path in &tiles {
        let bytes = victim.files[path].clone();
        if path.contains("/entries/") {
            let entries = bundle::decode(&bytes).unwrap();
            let last = entries.len() - 1;
            let mut cases: Vec<(&str, Vec<Vec<u8>>)> = Vec::new();
            let list: Vec<Vec<u8>> = entries.iter().map(|entry| entry.to_vec()).collect();
            for (name, edit) in [
                (
                    "first dropped",
                    (|l: &mut Vec<Vec<u8>>| drop(l.remove(0))) as fn(&mut Vec<Vec<u8>>),
                ),
                ("last dropped", |l| drop(l.pop())),
                ("last doubled", |l| l.push(l[l.len() - 1].clone())),
                ("two swapped", |l| l.swap(1, 2)),
                ("one emptied", |l| l[2].clear()),
                ("unknown field added", |l| {
                    l[2].extend_from_slice(&[0x7a, 0x01, 0x00]);
                }),
                ("one replaced", |l| l[1] = l[2].clone()),
            ] {
                let mut other = list.clone();
                edit(&mut other);
                if other.len() <= 256 {
                    cases.push((name, other));
                }
            }
            let mut signature = list.clone();
            let at = signature[last].len() - 70;
            signature[last][at] ^= 1;
            cases.push(("signature of the last", signature));
            for (name, entries) in cases {
                let edits = vec![(path.clone(), Some(bundle::encode(&entries).unwrap()))];
                let leaves = path.replace("entries", "0");
                victim.attempt(&format!("{path}: {name}"), &edits, &[path, &leaves]);
            }
        } else {
            let count = bytes.len() / 32;
            for hash in [0, count / 2, count - 1] {
                let edits = vec![(path.clone(), Some(flipped(&bytes, hash * 32 + 9, 3)))];
                victim.attempt(&format!("{path}: hash {hash}"), &edits, &[path]);
            }
            let mut rotated = bytes.clone();
            rotated.rotate_left(32);
            let edits = vec![(path.clone(), Some(rotated))];
            victim.attempt(&format!("{path}: rotated"), &edits, &[path]);
        }
        victim.attempt(
            &format!("{path}: deleted"),
            &vec![(path.clone(), None)],
            &[path],
        );
    }
    victim.done(60);
}

#[test]
fn files_that_do_not_belong() {
    let world = busy_world(14);
    let mut victim = Victim::new(&world, &world.a);
    let index = victim.manifest().logs[0].size;
    for path in [
        "README".to_owned(),
        "manifest.json".into(),
        format!("{OWN}/extra"),
        format!("{OWN}/bodies/{index}.bin"),
        format!("{OWN}/bodies/00.bin"),
        format!("{OWN}/bodies/1.bin"),
        format!("{OWN}/bodies/9.bin"),
        format!("{OWN}/dsse/9.json"),
        format!("{OWN}/notifications/{index}.json"),
        format!("{OWN}/proofs/{index}.tlog-proof"),
        format!("{OWN}/checkpoints/{}", index + 1),
        format!("{OWN}/checkpoints/2"),
        format!("{OWN}/tile/0/000"),
        format!("{OWN}/tile/0/000.p/1"),
        format!("{OWN}/tile/1/000.p/1"),
        format!("{OWN}/tile/entries/001.p/1"),
        "mongcai.bg.vn.example_dongxing.gx.cn.example/checkpoint".into(),
        format!("{OWN}/a/b/c/d/e/f/g/h/i/j/k/l/m/n"),
    ] {
        let edits = vec![(path.clone(), Some(b"something".to_vec()))];
        let deep = format!("{OWN}/a/b/c/d/e/f/g/h/i/j/k/l");
        victim.attempt(&format!("{path} added"), &edits, &[&path, &deep]);
    }
    // Nothing is left of the deep folder.
    fs::remove_dir_all(victim.dir.join(OWN).join("a")).unwrap();
    victim.done(36);
}

#[test]
fn paths_that_lead_out_are_refused_and_links_not_followed() {
    let world = busy_world(14);
    let mut victim = Victim::new(&world, &world.a);
    let secret = victim.dir.parent().unwrap().join("secret");
    fs::write(&secret, "outside").unwrap();
    let digest = hex::encode(Sha256::digest("outside"));
    for path in [
        "../secret".to_owned(),
        secret.to_str().unwrap().to_owned(),
        format!("{OWN}/../../secret"),
        format!("{OWN}/bodies/../../../secret"),
        "./README".into(),
        format!("{OWN}//checkpoint"),
        "\u{202e}txt.exe".into(),
        "a\0b".into(),
        String::new(),
    ] {
        let mut manifest = victim.manifest();
        manifest.files.insert(path.clone(), digest.clone());
        let edits = vec![(MANIFEST.to_owned(), Some(manifest.encode().unwrap()))];
        let shown = liaison::model::text::escape(&path).into_owned();
        victim.attempt_once(&format!("{path:?} listed"), &edits, &[&shown]);
    }
    for (folder, what) in [("../outside", "parent"), ("/etc", "absolute"), ("", "none")] {
        let mut manifest = victim.manifest();
        manifest.logs[0].folder = folder.into();
        let edits = vec![(MANIFEST.to_owned(), Some(manifest.encode().unwrap()))];
        victim.attempt_once(what, &edits, &[MANIFEST]);
    }

    // The very same content behind a link, in a file's place and in a folder's.
    let path = format!("{OWN}/bodies/0.bin");
    let real = victim.dir.parent().unwrap().join("0.bin");
    fs::rename(victim.dir.join(&path), &real).unwrap();
    symlink(&real, victim.dir.join(&path)).unwrap();
    assert!(names(&victim.verify(), &path));
    fs::remove_file(victim.dir.join(&path)).unwrap();
    fs::rename(&real, victim.dir.join(&path)).unwrap();

    let folder = format!("{OWN}/bodies");
    let real = victim.dir.parent().unwrap().join("bodies");
    fs::rename(victim.dir.join(&folder), &real).unwrap();
    symlink(&real, victim.dir.join(&folder)).unwrap();
    assert!(names(&victim.verify(), &folder));
    fs::remove_file(victim.dir.join(&folder)).unwrap();
    fs::rename(&real, victim.dir.join(&folder)).unwrap();

    // A pipe would block whoever opens it.
    let pipe = victim.dir.join(OWN).join("checkpoints/1");
    let kept = fs::read(&pipe).unwrap();
    fs::remove_file(&pipe).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    assert!(names(&victim.verify(), &format!("{OWN}/checkpoints/1")));
    fs::remove_file(&pipe).unwrap();
    fs::write(&pipe, kept).unwrap();
    victim.done(12);
}

#[test]
fn files_of_any_size_cost_no_memory() {
    let world = busy_world(14);
    let mut victim = Victim::new(&world, &world.a);
    // Sparse: 16 GiB that take no room here, and none in memory there.
    for path in victim
        .paths()
        .into_iter()
        .filter(|path| path.contains("/0") || path.ends_with('t'))
    {
        victim.cases += 1;
        let file = fs::OpenOptions::new()
            .write(true)
            .open(victim.dir.join(&path))
            .unwrap();
        file.set_len(1 << 34).unwrap();
        let verdict = victim.verify();
        let too_large = |f: &Finding| f.code == Code::TooLarge && f.place == path;
        assert!(verdict.findings.iter().any(too_large), "{path}");
        let pristine = victim.files[&path].clone();
        victim.put(&path, Some(&pristine));
    }
    // A size that no file bears out ends no later than the files do.
    for size in [u64::MAX, 1 << 62, 1_000_000_000] {
        let mut manifest = victim.manifest();
        manifest.logs[0].size = size;
        manifest.logs[0].recorded_beyond = u64::MAX;
        let edits = vec![(MANIFEST.to_owned(), Some(manifest.encode().unwrap()))];
        victim.attempt_once("size", &edits, &[&format!("{OWN}/checkpoint")]);
    }
    victim.done(10);
}
