//! Exports judged from outside: clean ones pass, and whatever is done to one is found and named.

use std::path::Path;

use liaison::audit::format::Manifest;
use liaison::audit::proof::verify_proof;
use liaison::audit::reconcile::reconcile;
use liaison::audit::verify::verify_export;
use liaison::audit::{Code, Severity, Verdict};
use liaison::crypto::keys::MessageKey;
use liaison::proto::v1;
use liaison::tlog::proof::TlogProof;
use sha2::{Digest as _, Sha256};

use crate::evidence::{Way, World, busy_world, letter, read_all};

fn verify(dir: &Path) -> Verdict {
    verify_export(dir, None, &mut |_| ())
}

fn errors(verdict: &Verdict, code: Code) -> usize {
    let findings = verdict.findings.iter();
    findings
        .filter(|f| f.code == code && f.severity == Severity::Error)
        .count()
}

#[test]
fn honest_exports_are_clean() {
    let world = busy_world(600);
    let dir = tempfile::tempdir().unwrap();
    let (dir_a, dir_b) = (dir.path().join("a"), dir.path().join("b"));
    world.export(&world.a, &dir_a);
    world.export(&world.b, &dir_b);
    let keys = world.keys();
    for dir in [&dir_a, &dir_b] {
        for trusted in [None, Some(&*keys)] {
            let mut done = 0;
            let verdict =
                verify_export(dir, trusted, &mut |progress| done = done.max(progress.done));
            assert!(verdict.clean, "{:#?}", verdict.findings);
            assert_eq!(done, 600);
            // Only the three refused entries are worth a word.
            assert_eq!(verdict.findings.len(), 3);
            assert!(
                verdict
                    .findings
                    .iter()
                    .all(|f| f.code == Code::RefusedEntry)
            );
            let counts = verdict.counts;
            assert_eq!(
                (counts.entries, counts.signatures, counts.refused),
                (616, 614, 3)
            );
            assert_eq!((counts.proofs, counts.tiles), (616, 5));
            let held = if dir == &dir_a { 614 } else { 612 };
            assert_eq!((counts.bodies, counts.bodies_absent), (held, 616 - held));
            assert_eq!(verdict.rests_on.len(), 6);
            assert!(
                verdict
                    .rests_on
                    .iter()
                    .all(|key| key.pinned == trusted.is_some())
            );
        }
    }
    let verdict = reconcile(&dir_a, &dir_b, &mut |_| ());
    assert!(verdict.clean, "{:#?}", verdict.findings);
    assert_eq!(verdict.findings, []);
    assert_eq!((verdict.counts.entries, verdict.counts.bodies), (616, 612));
    // Every verdict is for programs, too.
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["clean"], true);
}

#[test]
fn logs_without_entries_or_receipts_are_clean() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    world.export(&world.a, &dir.path().join("0"));
    world.settle(Way::AToB);
    world.letter(Way::BToA, "not receipted");
    world.export(&world.a, &dir.path().join("1"));
    for name in ["0", "1"] {
        let verdict = verify(&dir.path().join(name));
        assert!(verdict.clean, "{:#?}", verdict.findings);
        assert_eq!(verdict.counts.entries, 0);
    }
}

#[test]
fn exports_of_versions_that_knew_fewer_kinds_stay_clean() {
    let mut world = World::new();
    world.letter(Way::AToB, "one");
    world.settle(Way::AToB);
    let dir = tempfile::tempdir().unwrap();
    world.export(&world.a, dir.path());
    let path = "laocai.bg.vn.example_hekou.ni.cn.example/notifications/0.json";
    let file = dir.path().join(path);
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    json["body"] = serde_json::Value::Null;
    json["body_absent"] = "newer".into();
    let bytes = format!("{json:#}\n");
    std::fs::write(&file, &bytes).unwrap();
    let manifest = dir.path().join("MANIFEST.json");
    let mut listed: Manifest = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    listed
        .files
        .insert(path.into(), hex::encode(Sha256::digest(&bytes)));
    std::fs::write(&manifest, listed.encode().unwrap()).unwrap();
    let verdict = verify(dir.path());
    assert!(verdict.clean, "{:#?}", verdict.findings);
    assert!(
        verdict
            .findings
            .iter()
            .any(|f| f.place == path && f.index == Some(0))
    );
}

#[test]
fn lines_that_no_key_answers_for_are_not_exported() {
    let mut world = World::new();
    world.letter(Way::AToB, "one");
    let size = world.settle(Way::AToB);
    let note = world.ab.receipts[&size].clone();
    let (text, lines) = note.rsplit_once("\n\n").unwrap();
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.rotate_left(1);
    lines.insert(1, "— witness.example AAAAAHNvbWV0aGluZw==");
    world
        .ab
        .receipts
        .insert(size, format!("{text}\n\n{}\n", lines.join("\n")));
    let dir = tempfile::tempdir().unwrap();
    world.export(&world.a, dir.path());
    assert!(verify(dir.path()).clean);
    let exported = dir
        .path()
        .join("laocai.bg.vn.example_hekou.ni.cn.example/checkpoint");
    assert_eq!(std::fs::read_to_string(exported).unwrap(), note);
}

#[test]
fn the_golden_export_is_written_and_read_as_ever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/export");
    let world = busy_world(10);
    let dir = tempfile::tempdir().unwrap();
    world.export(&world.a, dir.path());
    if std::env::var_os("LIAISON_WRITE_VECTORS").is_some() && !golden.exists() {
        world.export(&world.a, &golden);
    }
    let (written, kept) = (read_all(dir.path()), read_all(&golden));
    assert!(written.len() > 60, "{}", written.len());
    for (path, bytes) in &written {
        let (new, old) = (String::from_utf8_lossy(bytes), kept.get(path));
        let old = old.map(|bytes| String::from_utf8_lossy(bytes));
        assert_eq!(Some(new), old, "{path}");
    }
    assert_eq!(written.len(), kept.len());
    let verdict = verify_export(&golden, Some(&world.keys()), &mut |_| ());
    assert!(verdict.clean, "{:#?}", verdict.findings);
}

#[test]
fn trust_rests_on_the_keys_that_were_named() {
    let mut world = busy_world(12);
    let dir = tempfile::tempdir().unwrap();
    world.export(&world.a, dir.path());
    let honest = world.keys();
    // Another peer with the same names: everything it "signed" is no evidence.
    world.b = crate::evidence::Side::new("hekou.ni.cn.example", 40);
    let verdict = verify_export(dir.path(), Some(&world.keys()), &mut |_| ());
    assert!(!verdict.clean);
    assert_eq!(errors(&verdict, Code::KeyNotPinned), 3);
    assert!(errors(&verdict, Code::Signature) > 0);
    assert!(errors(&verdict, Code::Checkpoint) > 0);
    // One key too few.
    let verdict = verify_export(dir.path(), Some(&honest[..5]), &mut |_| ());
    assert_eq!(errors(&verdict, Code::KeyNotPinned), 1);
    assert!(errors(&verdict, Code::Key) > 0);
}

#[test]
fn a_refusal_excuses_only_what_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let stranger = MessageKey::from_seed(&[99; 32]);
    let forged = |world: &mut World| {
        let parts = world.parts(&letter("forged"));
        let index = world.send_parts(Way::AToB, &parts, Some(&stranger));
        world.letter(Way::AToB, "honest");
        index
    };
    let judge = |world: &mut World, name: &str| {
        world.settle(Way::AToB);
        world.settle(Way::BToA);
        world.export(&world.a, &dir.path().join(name));
        verify(&dir.path().join(name))
    };

    // Nobody refused it: the export holds a forgery.
    let mut world = World::new();
    forged(&mut world);
    let verdict = judge(&mut world, "none");
    assert_eq!((errors(&verdict, Code::Signature), verdict.errors), (1, 1));
    assert_eq!(verdict.findings[0].index, Some(0));

    // It was refused.
    let mut world = World::new();
    let index = forged(&mut world);
    world.refuse(Way::AToB, index, v1::RefusalReason::BadSignature);
    let verdict = judge(&mut world, "refused");
    assert!(verdict.clean, "{:#?}", verdict.findings);
    assert_eq!(verdict.counts.refused, 1);

    // Another one was refused.
    let mut world = World::new();
    let index = forged(&mut world);
    world.refuse(Way::AToB, index + 1, v1::RefusalReason::OverLimit);
    let verdict = judge(&mut world, "other");
    assert_eq!((errors(&verdict, Code::Signature), verdict.errors), (1, 1));

    // The refusal is not receipted, so it is not in the export.
    let mut world = World::new();
    let index = forged(&mut world);
    world.settle(Way::BToA);
    world.refuse(Way::AToB, index, v1::RefusalReason::BadSignature);
    world.settle(Way::AToB);
    world.export(&world.a, &dir.path().join("late"));
    let verdict = verify(&dir.path().join("late"));
    assert_eq!((errors(&verdict, Code::Signature), verdict.errors), (1, 1));

    // The refusal has another digest than the entry that is there: the entry was exchanged.
    let mut world = World::new();
    let index = forged(&mut world);
    world.refuse(Way::AToB, index, v1::RefusalReason::BadSignature);
    let mut other = World::new();
    let parts = other.parts(&letter("exchanged"));
    other.send_parts(Way::AToB, &parts, Some(&stranger));
    other.letter(Way::AToB, "honest");
    other.ba = world.ba;
    let verdict = judge(&mut other, "exchanged");
    assert_eq!(
        (
            errors(&verdict, Code::Signature),
            errors(&verdict, Code::Refusal)
        ),
        (1, 1)
    );
}

#[test]
fn entries_of_another_log_and_doubled_ids_are_found() {
    let mut world = World::new();
    let mut parts = world.parts(&letter("elsewhere"));
    parts.names = Some((world.a.node.to_string(), "mongcai.bg.vn.example".into()));
    world.send_parts(Way::AToB, &parts, None);
    let mut parts = world.parts(&letter("one"));
    world.send_parts(Way::AToB, &parts, None);
    parts.body = liaison::model::body::encode(&letter("two"));
    world.send_parts(Way::AToB, &parts, None);
    world.settle(Way::AToB);
    // The same entry again is no message either: the node refuses it, and so does the audit.
    let (entry, body) = (world.ab.entries[1].clone(), world.ab.bodies[1].clone());
    world.ab.append(entry, body);
    world.settle(Way::AToB);
    let dir = tempfile::tempdir().unwrap();
    world.export(&world.a, dir.path());
    let verdict = verify(dir.path());
    assert_eq!(verdict.errors, 3, "{:#?}", verdict.findings);
    let indices = |code| -> Vec<_> {
        let of_code = verdict.findings.iter().filter(|f| f.code == code);
        of_code.filter_map(|f| f.index).collect()
    };
    assert_eq!(indices(Code::Names), [0]);
    assert_eq!(indices(Code::DuplicateId), [2, 3]);
    // With the node's REFUSAL the entry's author stands corrected, and that is a note.
    for index in [0, 2, 3] {
        let reason = v1::RefusalReason::DuplicateId;
        world.refuse(Way::AToB, index, reason);
    }
    world.settle(Way::BToA);
    world.export(&world.a, dir.path().join("refused").as_path());
    let verdict = verify(&dir.path().join("refused"));
    assert_eq!(verdict.errors, 0, "{:#?}", verdict.findings);
}

#[test]
fn an_insider_with_the_store_but_not_the_keys_is_contradicted() {
    // All derived files are made anew by our own exporter; only the signatures are old.
    let dir = tempfile::tempdir().unwrap();
    let honest = busy_world(300);
    let edited = |edit: &mut dyn FnMut(&mut World)| {
        let mut world = busy_world(300);
        edit(&mut world);
        let (entries, bodies) = (world.ab.entries.clone(), world.ab.bodies.clone());
        let (receipts, refused) = (world.ab.receipts.clone(), world.ab.refused.clone());
        let (origin, mut log) = (world.ab.origin.clone(), World::new().ab);
        assert_eq!(origin, log.origin);
        for (entry, body) in entries.into_iter().zip(bodies) {
            log.append(entry, body);
        }
        (log.receipts, log.refused) = (receipts, refused);
        world.ab = log;
        world
    };
    let mut swapped = edited(&mut |world| {
        world.ab.entries.swap(200, 201);
        world.ab.bodies.swap(200, 201);
    });
    let mut dropped = edited(&mut |world| {
        world.ab.entries.remove(200);
        world.ab.bodies.remove(200);
    });
    let mut rewritten = edited(&mut |world| {
        let mut other = World::new();
        for _ in 0..200 {
            other.tick();
        }
        let parts = other.parts(&letter("never said"));
        other.send_parts(Way::AToB, &parts, Some(&MessageKey::from_seed(&[7; 32])));
        world.ab.entries[200] = other.ab.entries[0].clone();
        world.ab.bodies[200] = other.ab.bodies[0].clone();
    });
    let b = dir.path().join("b");
    honest.export(&honest.b, &b);
    for (name, world) in [
        ("swapped", &mut swapped),
        ("dropped", &mut dropped),
        ("rewritten", &mut rewritten),
    ] {
        let a = dir.path().join(name);
        world.export(&world.a, &a);
        let verdict = verify(&a);
        assert!(
            errors(&verdict, Code::Root) > 0,
            "{name}: {:#?}",
            verdict.findings
        );
        assert!(
            verdict
                .findings
                .iter()
                .any(|f| f.place.ends_with("/checkpoints/256")),
            "{name}: the first checkpoint behind the edit is named"
        );
        let verdict = reconcile(&a, &b, &mut |_| ());
        let first = verdict
            .findings
            .iter()
            .find(|f| f.code == Code::EntryDiffers)
            .unwrap();
        assert_eq!(first.index, Some(200), "{name}");
        assert!(first.id.is_some());
        assert!(errors(&verdict, Code::Equivocation) > 0);
    }
}

#[test]
fn a_sender_that_tells_two_stories_is_found_by_reconciling() {
    // A shows an auditor another log than B mirrored, and both are well signed.
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (World::new(), World::new());
    for world in [&mut one, &mut other] {
        world.letter(Way::AToB, "the same");
        world.settle(Way::AToB);
    }
    let index = one.letter(Way::AToB, "as B got it");
    other.letter(Way::AToB, "as A shows it");
    for world in [&mut one, &mut other] {
        world.letter(Way::AToB, "the same again");
        world.settle(Way::AToB);
    }
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    other.export(&other.a, &a);
    one.export(&one.b, &b);
    assert!(verify(&a).clean && verify(&b).clean);
    let verdict = reconcile(&a, &b, &mut |_| ());
    assert!(!verdict.clean);
    assert_eq!(errors(&verdict, Code::EntryDiffers), 1);
    assert!(
        verdict
            .findings
            .iter()
            .any(|f| f.index == Some(index) && f.id.is_some())
    );
    assert!(
        errors(&verdict, Code::Equivocation) >= 2,
        "both signed checkpoints are named"
    );
}

#[test]
fn differences_between_the_sides_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let export = |name: &str, make: &dyn Fn(&mut World)| {
        let mut world = busy_world(20);
        make(&mut world);
        let dir = dir.path().join(name);
        world.export(
            if name.starts_with('b') {
                &world.b
            } else {
                &world.a
            },
            &dir,
        );
        dir
    };
    let a = export("a", &|_| ());

    // One side lags behind: nothing is wrong.
    let more = export("b-more", &|world| {
        world.settle(Way::AToB);
    });
    let verdict = reconcile(&a, &more, &mut |_| ());
    assert!(verdict.clean, "{:#?}", verdict.findings);
    assert_eq!(verdict.findings[0].code, Code::Size);

    // Another body under the same entry.
    let body = export("b-body", &|world| world.ab.bodies.swap(10, 11));
    let verdict = reconcile(&a, &body, &mut |_| ());
    assert_eq!(errors(&verdict, Code::BodyDiffers), 2);
    assert!(
        verdict
            .findings
            .iter()
            .any(|f| f.index == Some(10) && f.id.is_some())
    );
    assert!(
        verdict
            .findings
            .iter()
            .any(|f| f.place.ends_with("/bodies/11.bin"))
    );

    // Another key.
    let keys = export("b-keys", &|world| {
        world.a.message = MessageKey::from_seed(&[77; 32]);
    });
    assert_eq!(errors(&reconcile(&a, &keys, &mut |_| ()), Code::Key), 2);

    // The same side twice, and no export at all.
    assert_eq!(errors(&reconcile(&a, &a, &mut |_| ()), Code::Manifest), 1);
    let verdict = reconcile(&a, &dir.path().join("nothing"), &mut |_| ());
    assert_eq!(errors(&verdict, Code::Unreadable), 1);
}

#[test]
fn one_receipt_is_judged_by_itself() {
    let world = busy_world(30);
    let dir = tempfile::tempdir().unwrap();
    world.export(&world.a, dir.path());
    let keys = world.keys();
    let folder = dir.path().join("laocai.bg.vn.example_hekou.ni.cn.example");
    let text = |index: u64| {
        std::fs::read_to_string(folder.join(format!("proofs/{index}.tlog-proof"))).unwrap()
    };
    let entry = |index: u64| world.ab.entries[usize::try_from(index).unwrap()].clone();

    for index in [0, 1, 12, 29] {
        let verdict = verify_proof(&text(index), &entry(index), &keys);
        assert!(verdict.verdict.clean, "{verdict:#?}");
        let proven = verdict.proven.unwrap();
        assert_eq!(
            (proven.index, proven.origin),
            (index, world.ab.origin.to_string())
        );
        assert!(proven.id.is_some() && proven.cosigned_at > proven.authored_at);
    }
    // Mirrored but forged: the place in the log is proven, the author is not.
    let verdict = verify_proof(&text(5), &entry(5), &keys);
    assert!(!verdict.verdict.clean && verdict.proven.is_some());
    assert_eq!(errors(&verdict.verdict, Code::Signature), 1);
    // Another entry, another index, missing keys.
    assert!(verify_proof(&text(4), &entry(6), &keys).proven.is_none());
    let mut proof = TlogProof::parse(&text(4)).unwrap();
    proof.index += 1;
    assert!(
        verify_proof(&proof.encode(), &entry(4), &keys)
            .proven
            .is_none()
    );
    for missing in [1, 2, 5] {
        let mut keys = keys.clone();
        keys.remove(missing);
        assert!(
            verify_proof(&text(4), &entry(4), &keys).proven.is_none(),
            "{missing}"
        );
    }
    // Every byte counts.
    let good = text(12);
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(bad) = String::from_utf8(bytes) {
            assert!(
                verify_proof(&bad, &entry(12), &keys).proven.is_none(),
                "byte {at}"
            );
        }
    }
}
