//! What may lie in the store in the clear: a written list for each region, with the reason why it tells of
//! no person. Whoever adds a region, or a field to what lies in one, comes by here.
//!
//! The lists of docs/storage.md are these, region by region. What the header may hold is kept beside the
//! test of the markers (`tests/it/markers/header.rs`).

use std::collections::BTreeMap;

use super::erase::{Erasure, Row};
use super::hold::{Hold, Incident};
use super::holding::{PastHold, Release};
use super::layout::{FileRef, HeadRecord, Record, Region};
use super::remind::Reached;
use super::restore::{Claim, OwedRefusal, Restoring};
use super::retention::LegalHold;

const ID: &str = "an id: drawn at random, with the time it was drawn";
const PLACE: &str = "where something lies in a log";
const HASH: &str = "a salted digest, or a hash over such";
const TIME: &str = "a time of the node's or an author's clock";
const NUMBER: &str = "a number of a kind, a level or a reason";
const COUNT: &str = "how many or how large";
const SIGNED: &str = "a signed note or header: header.rs lists its fields";
const PROGRAM: &str = "words of the program about logs, keys and digests; they quote no body";
const STAFF: &str = "who of the own side did it, as certificates and configuration name them";
const TYPED: &str = "a line that an administrator types about a link, as its prompt says";
const ERASURE: &str = "two lines that an administrator types for the record, as the command says";
const PEER: &str = "the name of a node";
const SEALED: &str = "sealed, and where its key is";
const FILE: &str = "SHA-256 and size of a file: who has the file can tell that it was sent";

/// What the keys and values of a region hold, and why that may lie open. Exhaustive.
fn allowed(region: Region) -> &'static [(&'static str, &'static str)] {
    match region {
        Region::Answers => &[("id", ID), ("place", PLACE), ("kind", NUMBER)],
        Region::Author => &[("place", PLACE), ("author", STAFF)],
        Region::Checkpoint | Region::Dated => &[("size", PLACE), ("note", SIGNED)],
        Region::Derived => &[
            ("ids", ID),
            ("places and sizes", PLACE),
            ("instants", TIME),
            ("what is owed, by whom, in which class", NUMBER),
        ],
        Region::Entry | Region::Expressed => &[
            ("place", PLACE),
            ("recorded_at_ms", TIME),
            ("entry", SIGNED),
            ("body", SEALED),
            ("refused", NUMBER),
            ("expressed", NUMBER),
        ],
        Region::Erased => &[
            ("place", PLACE),
            ("at_ms", TIME),
            ("by", STAFF),
            ("reason, authority", ERASURE),
            ("id, case", ID),
            ("keys", "where destroyed keys were"),
            ("body_file, files, kept_files", FILE),
            ("step", NUMBER),
        ],
        Region::LegalHold => &[
            ("case", ID),
            ("at_ms", TIME),
            ("by", STAFF),
            ("reason", TYPED),
        ],
        Region::Erasing => &[("place", PLACE)],
        Region::Naming => &[("sha256", FILE), ("place", PLACE)],
        Region::Facts => &[("case", ID), ("place", PLACE), ("facts", SEALED)],
        Region::Fault | Region::PeerHold => &HOLD,
        Region::PastHold => &[
            ("hold", "as of a hold"),
            ("release.at_ms", TIME),
            ("release.by", STAFF),
            ("release.reason", TYPED),
        ],
        Region::BundlesTaken => &[("ids", ID)],
        Region::Head => &[("sizes", PLACE), ("roots", HASH)],
        Region::Id => &[("id", ID), ("place", PLACE)],
        Region::Link => &[("peer", PEER)],
        Region::Meta => &[("version", NUMBER)],
        Region::Incident => &[
            ("at_ms", TIME),
            ("peer", PEER),
            ("what", PROGRAM),
            ("evidence", SIGNED),
        ],
        Region::Outgoing | Region::Pending => &[("place", PLACE), ("sha256", FILE), ("size", FILE)],
        Region::StageOf => &[("message", ID), ("what is owed and by whom", NUMBER)],
        Region::Refused | Region::Urgent | Region::KeyChange | Region::Breach => {
            &[("place", PLACE), ("why it goes ahead", NUMBER)]
        }
        Region::Stage => &[
            ("stage", NUMBER),
            ("message", ID),
            ("is_own_message", NUMBER),
            ("index", PLACE),
            ("owed", NUMBER),
            ("owed_by_own", NUMBER),
            ("extended_by", COUNT),
            ("status", NUMBER),
            ("due_ms", TIME),
            ("at_ms", TIME),
        ],
        Region::Tile => &[("place", PLACE), ("hashes", HASH)],
        Region::Wanted => &[("sha256", FILE), ("size", FILE)],
        Region::Quota => &[("who", STAFF), ("day", TIME), ("taken of it", COUNT)],
        Region::Restore => &[
            ("record", "as of an entry"),
            ("author", STAFF),
            ("leaf", HASH),
            ("reason", NUMBER),
            ("detail", PROGRAM),
            ("id", ID),
            ("at_ms", TIME),
            ("why", PROGRAM),
            ("own, mirror", SIGNED),
            (
                "own_from, mirror_from, own_proven, own_claimed, mirror_claimed",
                PLACE,
            ),
            ("own_mark, mirror_mark", HASH),
            ("bodies_absent", COUNT),
            ("hold", "as of a hold"),
        ],
    }
}

const HOLD: [(&str, &str); 7] = [
    ("code", NUMBER),
    ("origin", PEER),
    ("index", PLACE),
    ("text", PROGRAM),
    ("evidence", SIGNED),
    ("equivocation", SIGNED),
    ("at_ms", TIME),
];

#[test]
fn every_region_says_what_it_holds_and_why_that_tells_of_no_person() {
    let mut listed = BTreeMap::new();
    for region in Region::ALL {
        let fields = allowed(region);
        assert!(!fields.is_empty(), "{region:?}");
        for (field, reason) in fields {
            assert!(reason.len() > 10, "{region:?} {field}");
            assert!(listed.insert((region as u8, *field), reason).is_none());
        }
    }
}

/// None of these compiles when a field is added: then it belongs into the list above, with its reason.
#[test]
fn a_field_that_is_added_is_added_to_the_list() {
    let name = |names: &'static [(&'static str, &'static str)]| -> Vec<&str> {
        names.iter().map(|(name, _)| *name).collect()
    };
    let hold = Hold {
        code: 1,
        origin: String::new(),
        index: 0,
        text: String::new(),
        evidence: Vec::new(),
        equivocation: Some(String::new()),
        at_ms: 0,
    };
    assert_eq!(keys(&hold), sorted(name(&HOLD)));
    let incident = Incident {
        at_ms: 0,
        peer: String::new(),
        what: String::new(),
        evidence: vec![String::new()],
    };
    assert_eq!(keys(&incident), sorted(name(allowed(Region::Incident))));
    let reached = |reached: Reached| {
        let Reached {
            stage: _,
            message: _,
            is_own_message: _,
            index: _,
            owed: _,
            owed_by_own: _,
            extended_by: _,
            status: _,
            due_ms: _,
            at_ms: _,
        } = reached;
    };
    let past = |past: PastHold| {
        let PastHold { hold: _, release } = past;
        let Release {
            at_ms: _,
            by: _,
            reason: _,
        } = release;
    };
    let record = |record: Record| {
        let Record {
            recorded_at_ms: _,
            entry: _,
            body: _,
            refused: _,
            expressed: _,
        } = record;
    };
    let head = |head: HeadRecord| {
        let HeadRecord {
            own_size: _,
            own_root: _,
            mirror_size: _,
            mirror_root: _,
            delivered_size: _,
        } = head;
    };
    let file = |FileRef { sha256: _, size: _ }: FileRef| ();
    let restoring = |restoring: Restoring| {
        let Restoring {
            at_ms: _,
            why: _,
            own: _,
            mirror: _,
            own_from: _,
            mirror_from: _,
            own_proven: _,
            own_claimed: _,
            mirror_claimed: _,
            own_mark,
            mirror_mark: _,
            bodies_absent: _,
        } = restoring;
        own_mark.map(|Claim { size: _, root: _ }| ())
    };
    let owed = |owed: OwedRefusal| {
        let OwedRefusal {
            leaf: _,
            reason: _,
            detail: _,
            id: _,
        } = owed;
    };
    let erased = |row: Row| {
        let Row {
            erasure,
            id: _,
            case: _,
            keys: _,
            body_file: _,
            files: _,
            kept_files: _,
            gone_at_ms: _,
            step: _,
        } = row;
        let Erasure {
            at_ms: _,
            by: _,
            reason: _,
            authority: _,
        } = erasure;
    };
    let legal = |hold: LegalHold| {
        let LegalHold {
            at_ms: _,
            by: _,
            reason: _,
        } = hold;
    };
    let _ = (
        legal, erased, reached, past, record, head, file, restoring, owed,
    );
}

fn keys(value: &impl serde::Serialize) -> Vec<String> {
    let value = serde_json::to_value(value).unwrap_or_default();
    let keys = value
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys());
    let mut keys: Vec<String> = keys.cloned().collect();
    keys.sort();
    keys
}

fn sorted(names: Vec<&str>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort();
    names
}
