//! A journal as files: whatever is changed in it is found, by whom it is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use liaison::journal::folder::{Keys, Verdict, Verifier};
use liaison::journal::{Journal, JournalError, Mode};
use liaison::tlog::bundle;

use super::witnessed::{key_of, vkey};
use super::{Disk, read};

type Files = Vec<(String, Vec<u8>)>;

fn keys(a: &Disk, b: &Disk) -> Keys {
    Keys {
        own: vec![vkey(a, 1)],
        witnesses: vec![vkey(b, 2)],
        ended: Vec::new(),
    }
}

fn export(journal: &Journal, keys: Keys) -> Files {
    let mut files = Files::new();
    let signed = journal.sign(&key_of(1));
    let mut give = |path: &str, content: Vec<u8>| {
        files.push((path.to_owned(), content));
        Ok::<_, JournalError>(())
    };
    journal.export(&signed, keys, &mut give).unwrap();
    files
}

fn judge(files: &Files, given: Option<Keys>, against: Vec<String>) -> Verdict {
    let mut verifier = Verifier::new(given, against);
    for (path, content) in files {
        verifier.file(path, content);
    }
    verifier.finish()
}

struct World {
    a: Disk,
    b: Disk,
    journal: Journal,
    /// The witness's last note.
    note: String,
}

/// 600 deeds, of which 400 are witnessed.
async fn world() -> World {
    let (a, b) = (Disk::new("a.example"), Disk::new("b.example"));
    let journal = a.open(Mode::Inline).unwrap();
    let witness = b.open(Mode::Inline).unwrap();
    for number in 0..400 {
        journal.note(read(number)).await.unwrap();
    }
    let offer = journal.offer(&key_of(1), 0).unwrap();
    let own = [vkey(&a, 1)];
    let note = witness.witness(&a.node, &offer, &own, &key_of(2)).await;
    let note = note.unwrap();
    let by = [vkey(&b, 2)];
    let kept = journal.keep_cosigned(&b.node, &note, &own, &by).await;
    kept.unwrap();
    for number in 400..600 {
        journal.note(read(number)).await.unwrap();
    }
    World {
        a,
        b,
        journal,
        note,
    }
}

fn first(verdict: &Verdict) -> &str {
    verdict.findings.first().map_or("", String::as_str)
}

#[tokio::test]
async fn a_whole_journal_is_good_with_and_without_keys_given() {
    let world = world().await;
    let keys = keys(&world.a, &world.b);
    let files = export(&world.journal, keys.clone());
    for given in [None, Some(keys)] {
        let verdict = judge(&files, given.clone(), vec![world.note.clone()]);
        assert_eq!(verdict.findings, Vec::<String>::new());
        assert_eq!((verdict.size, verdict.unwitnessed()), (600, 200));
        assert_eq!(verdict.root, Some(world.journal.root()));
        assert_eq!(verdict.keys_were_given, given.is_some());
    }
    let empty = Disk::new("a.example").open(Mode::Inline).unwrap();
    let verdict = judge(&export(&empty, Keys::default()), None, vec![]);
    assert!(!verdict.findings.is_empty(), "no key is named");
}

/// Changes the entries of a bundle.
fn change(files: &mut Files, path: &str, with: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let (_, content) = files.iter_mut().find(|(at, _)| at == path).unwrap();
    let entries = bundle::decode(content).unwrap();
    let mut entries: Vec<Vec<u8>> = entries.into_iter().map(<[u8]>::to_vec).collect();
    with(&mut entries);
    *content = bundle::encode(&entries).unwrap();
}

#[tokio::test]
async fn an_entry_altered_dropped_or_swapped_is_found() {
    let world = world().await;
    let whole = export(&world.journal, keys(&world.a, &world.b));
    let paths: Vec<_> = whole
        .iter()
        .map(|(path, _)| path.clone())
        .filter(|path| path.starts_with("tile/"))
        .collect();
    assert_eq!(paths.len(), 3);
    for path in &paths {
        let mut files = whole.clone();
        // The last byte is of the salt: still a message, another leaf.
        change(&mut files, path, |entries| {
            *entries[7].last_mut().unwrap() ^= 1;
        });
        assert!(
            first(&judge(&files, None, vec![])).contains("altered"),
            "{path}"
        );
        let mut files = whole.clone();
        change(&mut files, path, |entries| entries.swap(3, 4));
        assert!(!judge(&files, None, vec![]).findings.is_empty());
        let mut files = whole.clone();
        change(&mut files, path, |entries| drop(entries.remove(5)));
        assert!(!judge(&files, None, vec![]).findings.is_empty());
        let mut files = whole.clone();
        change(&mut files, path, |entries| entries[9] = vec![0xff; 9]);
        assert!(!judge(&files, None, vec![]).findings.is_empty());
    }
    // Any file taken away, but for what the journal does not promise to have.
    for (path, _) in &whole {
        let files: Files = whole.iter().filter(|(p, _)| p != path).cloned().collect();
        let good = judge(&files, None, vec![]).findings.is_empty();
        assert_eq!(good, path.starts_with("cosigned/"), "{path}");
    }
    // Any byte of any note or of the head: found, or the note says the same.
    for (number, (path, content)) in whole.iter().enumerate() {
        if path.starts_with("tile/") {
            continue;
        }
        for at in 0..content.len() {
            let mut files = whole.clone();
            files[number].1[at] ^= 1;
            let verdict = judge(&files, Some(keys(&world.a, &world.b)), vec![]);
            let is_a_named_key = path == "journal.txt" && verdict.size == 600;
            assert!(
                is_a_named_key || !verdict.findings.is_empty(),
                "{path} {at}"
            );
        }
    }
}

/// The journal as somebody writes it who has the disk: one deed left out, everything after it added again.
async fn rewritten(world: &World, without: u64, more: u64) -> (Disk, Journal) {
    let disk = Disk::new("a.example");
    let journal = disk.open(Mode::Inline).unwrap();
    for number in (0..600 + more).filter(|number| *number != without) {
        journal.note(read(number)).await.unwrap();
    }
    assert_ne!(journal.root(), world.journal.root());
    (disk, journal)
}

#[tokio::test]
async fn who_appends_and_computes_all_hashes_anew_without_the_log_key_is_found() {
    let world = world().await;
    let (_, longer) = rewritten(&world, u64::MAX, 3).await;
    let forged = export(&longer, keys(&world.a, &world.b));
    let genuine = export(&world.journal, keys(&world.a, &world.b));
    // The head and the entries are the forger's, the notes those that there are.
    let notes: BTreeMap<_, _> = genuine.into_iter().collect();
    let mut files = forged;
    for (path, content) in &mut files {
        if path == "checkpoint" {
            content.clone_from(&notes[path.as_str()]);
        }
    }
    assert!(!judge(&files, None, vec![]).findings.is_empty());
    // A checkpoint by another key.
    let signed = longer.sign(&key_of(9)).note.clone();
    for (path, content) in &mut files {
        if path == "checkpoint" {
            *content = signed.clone().into_bytes();
        }
    }
    let verdict = judge(&files, Some(keys(&world.a, &world.b)), vec![]);
    assert!(first(&verdict).contains("does not hold"), "{verdict:?}");
}

#[tokio::test]
async fn who_holds_the_log_key_and_not_the_witness_is_found() {
    let world = world().await;
    let (_disk, forged) = rewritten(&world, 17, 1).await;
    assert_eq!(forged.size(), world.journal.size());
    let mut files = export(&forged, keys(&world.a, &world.b));
    // Signed by the right key, and whole in itself.
    assert_eq!(judge(&files, None, vec![]).findings, Vec::<String>::new());
    // What the witness has cosigned contradicts it, be it kept in the journal or at the witness.
    let verdict = judge(&files, None, vec![world.note.clone()]);
    assert!(first(&verdict).contains("altered"), "{verdict:?}");
    // Nobody has cosigned what is there.
    assert_eq!((verdict.witnessed.len(), verdict.unwitnessed()), (0, 600));
    let at = files.iter().position(|(path, _)| path.starts_with("tile/"));
    let cosigned = ("cosigned/b.example/400".to_owned(), world.note.into_bytes());
    files.insert(at.unwrap(), cosigned);
    let verdict = judge(&files, None, vec![]);
    assert!(first(&verdict).contains("altered"), "{verdict:?}");
    // Cut back to before what was witnessed.
    let (_, short) = (0, Disk::new("a.example").open(Mode::Inline).unwrap());
    for number in 0..300 {
        short.note(read(number)).await.unwrap();
    }
    let files = export(&short, keys(&world.a, &world.b));
    let note = String::from_utf8(
        export(&world.journal, keys(&world.a, &world.b))
            .into_iter()
            .find(|(path, _)| path.starts_with("cosigned/"))
            .unwrap()
            .1,
    );
    let verdict = judge(&files, None, vec![note.unwrap()]);
    assert!(first(&verdict).contains("set back"), "{verdict:?}");
}

#[tokio::test]
async fn keys_that_have_ended_neither_sign_nor_witness_anything_anew() {
    let world = world().await;
    let named = keys(&world.a, &world.b);
    // The own key has ended, and another is in use.
    let own = Keys {
        own: vec![vkey(&world.a, 1), vkey(&world.a, 3)],
        ended: vec![vkey(&world.a, 1)],
        ..named.clone()
    };
    for (by_journal, given) in [
        (own.clone(), None),
        (own.clone(), Some(named.clone())),
        (named.clone(), Some(own)),
    ] {
        let verdict = judge(&export(&world.journal, by_journal), given, vec![]);
        assert!(first(&verdict).contains("has ended"), "{verdict:?}");
    }
    // The witness's.
    let by = Keys {
        ended: vec![vkey(&world.b, 2)],
        ..named.clone()
    };
    let verdict = judge(&export(&world.journal, by), Some(named), vec![]);
    assert_eq!(verdict.findings, Vec::<String>::new());
    assert_eq!(verdict.unwitnessed(), 600);
    assert!(verdict.notes[0].contains("not counted"), "{verdict:?}");
}

#[tokio::test]
async fn dates_that_contradict_each_other_are_told() {
    let (a, b) = (Disk::new("a.example"), Disk::new("b.example"));
    let clock = Arc::new(AtomicU64::new(1_795_000_000_000));
    let mut ground = a.ground();
    let shown = Arc::clone(&clock);
    ground.unix_ms = Arc::new(move || shown.load(Ordering::Relaxed));
    let journal = Journal::open(ground, Mode::Inline).unwrap();
    let witness = b.open(Mode::Inline).unwrap();
    journal.note(read(0)).await.unwrap();
    // Within what clocks differ by.
    clock.fetch_add(300_000, Ordering::Relaxed);
    journal.note(read(1)).await.unwrap();
    let (own, by) = ([vkey(&a, 1)], [vkey(&b, 2)]);
    let told = async || {
        let offer = journal.offer(&key_of(1), 0).unwrap();
        witness.accept_anew(&a.node).await.unwrap();
        let note = witness.witness(&a.node, &offer, &own, &key_of(2)).await;
        let note = note.unwrap();
        let kept = journal.keep_cosigned(&b.node, &note, &own, &by).await;
        kept.unwrap();
        let verdict = judge(&export(&journal, keys(&a, &b)), None, vec![]);
        assert_eq!(verdict.findings, Vec::<String>::new());
        verdict.notes
    };
    assert_eq!(told().await, Vec::<String>::new());
    clock.fetch_add(1_000, Ordering::Relaxed);
    journal.note(read(2)).await.unwrap();
    let notes = told().await;
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("dated before entry 2"), "{notes:?}");
    clock.fetch_sub(2_000, Ordering::Relaxed);
    journal.note(read(3)).await.unwrap();
    let notes = told().await;
    assert!(
        notes[1].contains("1 entries are dated before one that they follow"),
        "{notes:?}"
    );
    assert!(notes[1].contains("entry 3"));
}

#[tokio::test]
async fn what_is_edited_in_the_store_itself_is_found() {
    let world = world().await;
    let rows = world.a.store.records();
    let mut found = 0;
    for (key, value) in &rows {
        if !b"EPT".contains(&key[0]) {
            continue;
        }
        let mut edited = value.clone();
        *edited.last_mut().unwrap() ^= 1;
        let mut batch = liaison::store::Batch::new();
        batch.put(key.clone(), edited);
        liaison::store::Store::commit(&world.a.store, batch).unwrap();
        // Either the journal does not open, or its export is judged bad.
        let seen = match world.a.open(Mode::Inline) {
            Err(JournalError::Damaged { .. } | JournalError::SetBack { .. }) => true,
            Err(other) => panic!("{other:?}"),
            Ok(journal) => {
                let files = export(&journal, keys(&world.a, &world.b));
                !judge(&files, None, vec![]).findings.is_empty()
            }
        };
        // A leaf's hash in a full tile is not read for a verdict, which makes it from the entries; the root
        // of the tile is, and does not open.
        assert!(seen, "{key:?}");
        found += 1;
        let mut batch = liaison::store::Batch::new();
        batch.put(key.clone(), value.clone());
        liaison::store::Store::commit(&world.a.store, batch).unwrap();
    }
    assert!(found > 90, "{found}");
}
