//! Whatever is changed in a backup is found and placed, and nothing of it is restored.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use liaison::exchange::backup::manifest::Manifest;

use super::*;

/// A backup and every file of it.
struct Kept {
    world: World,
    dir: tempfile::TempDir,
    files: Vec<PathBuf>,
}

impl Kept {
    async fn new() -> Self {
        let world = World::furnished().await;
        let dir = tempfile::tempdir().unwrap();
        back_up(&world.left, dir.path()).await;
        let mut files = Vec::new();
        let mut open = vec![dir.path().to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if !path.ends_with("LOCK") {
                    files.push(path);
                }
            }
        }
        files.sort();
        Self { world, dir, files }
    }

    /// It is found by checking, and nothing is restored of it.
    fn assert_found(&self, what: &str) {
        match check_dir(self.dir.path()) {
            Ok(checked) => assert!(!checked.findings.is_empty(), "{what}: not found"),
            Err(error) => assert!(
                error.is_finding() || matches!(error, FolderError::Missing { .. }),
                "{what}: {error}"
            ),
        }
        // Configuration is for people: a store is made without it.
        if !what.contains("config-") {
            let made = restore_to(&self.world.a, self.dir.path(), self.world.terms());
            assert!(made.is_err(), "{what}: restored");
        }
    }
}

#[tokio::test]
async fn a_changed_byte_of_any_file_is_found() {
    let kept = Kept::new().await;
    assert!(kept.files.len() > 8);
    for path in &kept.files {
        let name = path.display().to_string();
        let bytes = fs::read(path).unwrap();
        // First, last, and some between: every file has a digest over all of it.
        let step = (bytes.len() / 7).max(1);
        for at in (0..bytes.len())
            .step_by(step)
            .chain(bytes.len().checked_sub(1))
        {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(path, &changed).unwrap();
            kept.assert_found(&format!("{name}, byte {at}"));
        }
        if let Some(length) = bytes.len().checked_sub(1) {
            fs::write(path, &bytes[..length]).unwrap();
            kept.assert_found(&format!("{name}, cut"));
        }
        fs::write(path, [&bytes[..], b"x"].concat()).unwrap();
        kept.assert_found(&format!("{name}, longer"));
        fs::remove_file(path).unwrap();
        kept.assert_found(&format!("{name}, gone"));
        // Not through a link either, be its content what it may.
        let elsewhere = kept.dir.path().with_extension("elsewhere");
        fs::write(&elsewhere, &bytes).unwrap();
        symlink(&elsewhere, path).unwrap();
        kept.assert_found(&format!("{name}, a link"));
        fs::remove_file(path).unwrap();
        fs::remove_file(&elsewhere).unwrap();
        fs::create_dir(path).unwrap();
        kept.assert_found(&format!("{name}, a directory"));
        fs::remove_dir(path).unwrap();
        fs::write(path, &bytes).unwrap();
    }
    assert_whole(kept.dir.path());
}

#[tokio::test]
async fn swapped_files_are_found_and_the_place_is_named() {
    let kept = Kept::new().await;
    for pair in kept.files.windows(2) {
        let (one, two) = (fs::read(&pair[0]).unwrap(), fs::read(&pair[1]).unwrap());
        fs::write(&pair[0], &two).unwrap();
        fs::write(&pair[1], &one).unwrap();
        kept.assert_found(&format!("{} for {}", pair[1].display(), pair[0].display()));
        fs::write(&pair[0], &one).unwrap();
        fs::write(&pair[1], &two).unwrap();
    }
    // A piece of a log is told as that.
    let manifest = Folder::new(kept.dir.path()).manifest().unwrap();
    let own = &manifest.links[0].own;
    let path = Folder::new(kept.dir.path()).path_of(&own.segments[0].sha256.0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let findings = check_dir(kept.dir.path()).unwrap().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    let place = format!("entries 0 to {} of {}", own.size - 1, own.origin);
    assert_eq!(findings[0].place, place);
    let what = "its content does not match its name";
    assert!(findings[0].what.ends_with(what), "{findings:?}");
}

#[tokio::test]
async fn what_does_not_belong_to_a_backup_is_named() {
    let kept = Kept::new().await;
    for name in ["notes.txt", "data/ab/notes", "data/notes"] {
        let path = kept.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"x").unwrap();
        let findings = check_dir(kept.dir.path()).unwrap().findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].place.ends_with(name), "{findings:?}");
        fs::remove_file(&path).unwrap();
    }
    // Content under its own digest is what an interrupted backup leaves: told, no finding.
    let folder = Folder::new(kept.dir.path());
    let path = folder.path_of(&sha(b"left over"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"left over").unwrap();
    assert_eq!(assert_whole(kept.dir.path()).unnamed, 1);
}

type Change = fn(&mut Manifest);

/// A backup by someone who can make every digest agree.
fn forge(dir: &Path, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Folder::new(dir).manifest().unwrap();
    change(&mut manifest);
    fs::write(dir.join("BACKUP.json"), manifest.encode().unwrap()).unwrap();
}

#[tokio::test]
async fn a_manifest_that_agrees_with_itself_leads_nowhere() {
    let kept = Kept::new().await;
    let original = fs::read(kept.dir.path().join("BACKUP.json")).unwrap();
    let changes: [(&str, Change); 12] = [
        ("a newer version", |m| m.version = 2),
        ("another format", |m| m.format = "tar".to_owned()),
        ("a node that is none", |m| m.node = "../../etc".to_owned()),
        ("a peer that is none", |m| {
            m.links[0].peer = "a/b".to_owned();
        }),
        ("logs turned round", |m| {
            let link = &mut m.links[0];
            std::mem::swap(&mut link.own, &mut link.mirror);
        }),
        ("a size beyond its pieces", |m| m.links[0].own.size += 5_000),
        ("a piece less", |m| {
            m.links[0].own.segments.pop();
        }),
        ("another root", |m| m.links[0].own.root.0[0] ^= 1),
        ("a link twice", |m| {
            let link = m.links[0].clone();
            m.links.push(link);
        }),
        ("a configuration elsewhere", |m| {
            m.config[0].name = "../../.ssh/authorized_keys".to_owned();
        }),
        ("more rows than there are", |m| m.rows.count += 1),
        ("a longer list of files", |m| m.files.bytes += 1),
    ];
    for (what, change) in changes {
        forge(kept.dir.path(), change);
        kept.assert_found(what);
        fs::write(kept.dir.path().join("BACKUP.json"), &original).unwrap();
    }
    assert_whole(kept.dir.path());
}

#[tokio::test]
async fn a_log_that_was_made_up_is_refused_by_the_keys() {
    // Someone with the folder, and without keys: he drops the last entry of the own log, which no
    // receipt covers, or the newest checkpoint of the peer's. Every digest agrees.
    let kept = Kept::new().await;
    let dir = kept.dir.path();
    let original = fs::read(dir.join("BACKUP.json")).unwrap();
    forge(dir, |manifest| {
        let mirror = &mut manifest.links[0].mirror;
        mirror.notes.clear();
        mirror.checkpoint.clear();
        mirror.checkpoint_size = 0;
    });
    let error = restore_to(&kept.world.a, dir, kept.world.terms()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no checkpoint of its author covers"),
        "{error}"
    );
    fs::write(dir.join("BACKUP.json"), &original).unwrap();
    forge(dir, |manifest| {
        let own = &mut manifest.links[0].own;
        own.checkpoint = own.checkpoint.replace("— ", "— x");
    });
    let error = restore_to(&kept.world.a, dir, kept.world.terms()).unwrap_err();
    assert!(error.to_string().contains("does not verify"), "{error}");
}
