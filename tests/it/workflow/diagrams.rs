//! The pictures of `docs/workflows` show every state that the code knows, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use liaison::model::workflow::states_of;
use liaison::proto::v1::Kind;

/// `KIND_HANDOVER_REQUEST` as the name of a file.
fn file_of(kind: Kind) -> String {
    let name = kind.as_str_name().trim_start_matches("KIND_");
    format!("{}.mmd", name.to_ascii_lowercase().replace('_', "-"))
}

/// The states of a picture: `id: word`, and the ids that have no other word.
fn states_in(picture: &str) -> BTreeSet<String> {
    let mut words = BTreeMap::new();
    for line in picture.lines().skip(1).map(str::trim) {
        if line.starts_with("note ") {
            continue;
        }
        let (what, text) = line.split_once(": ").unwrap_or((line, ""));
        let Some((from, into)) = what.split_once(" --> ") else {
            words.insert(what.to_owned(), text.to_owned());
            continue;
        };
        for id in [from, into] {
            if id != "[*]" {
                words.entry(id.to_owned()).or_insert_with(|| id.to_owned());
            }
        }
    }
    words.into_values().collect()
}

#[test]
fn every_state_stands_in_its_picture() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/workflows");
    let mut files: BTreeSet<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for number in 1..64 {
        let Ok(kind) = Kind::try_from(number) else {
            continue;
        };
        let states = states_of(kind);
        // Minutes and reports go on in the picture of what was proposed.
        if states.is_empty() || matches!(kind, Kind::MeetingMinutes | Kind::PatrolReport) {
            continue;
        }
        let file = file_of(kind);
        let picture = fs::read_to_string(dir.join(&file)).unwrap_or_else(|_| panic!("no {file}"));
        assert!(picture.starts_with("stateDiagram-v2\n"), "{file}");
        let known: BTreeSet<String> = states.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(states_in(&picture), known, "{file}");
        files.remove(&file);
    }
    assert!(files.is_empty(), "pictures of nothing: {files:?}");
}
