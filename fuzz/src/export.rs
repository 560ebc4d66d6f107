//! An export in the hands of somebody who bends it.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use liaison::audit::format::MANIFEST;
use liaison::audit::verify::verify_export;
use liaison::crypto::vkey::VerifierKey;
use tempfile::TempDir;

/// A genuine export, laid out to be bent, and the keys to judge it by.
struct Genuine {
    dir: TempDir,
    files: Vec<PathBuf>,
    keys: Vec<VerifierKey>,
}

thread_local! {
    static GENUINE: RefCell<Option<Genuine>> = const { RefCell::new(None) };
}

/// The export of the golden vectors with some bytes of one file laid over: number of the file, place
/// (two bytes), what to lay there. Whatever is not the same to the byte is found; only what the
/// manifest says beside its digests (when it was made, say) rests on nobody's signature.
pub fn export(data: &[u8]) {
    let [file, high, low, laid @ ..] = data else {
        return;
    };
    GENUINE.with_borrow_mut(|genuine| {
        let genuine = genuine.get_or_insert_with(lay_out);
        let path = &genuine.files[usize::from(*file) % genuine.files.len()];
        let content = fs::read(path).expect("it was laid out");
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (content.len() + 1);
        let mut bent = content.clone();
        bent.splice(
            at..(at + laid.len()).min(content.len()),
            laid.iter().copied(),
        );
        fs::write(path, &bent).expect("it can be written");
        let verdict = verify_export(genuine.dir.path(), Some(&genuine.keys), &mut |_| {});
        fs::write(path, &content).expect("it can be written");
        let may_hold = bent == content || path.ends_with(MANIFEST);
        assert!(
            may_hold || !verdict.clean,
            "{} is bent at {at} and nothing is found",
            path.display()
        );
        assert!(bent != content || verdict.clean, "{:?}", verdict.findings);
    });
}

fn lay_out() -> Genuine {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = [
        own.join("tests/vectors/export"),
        own.join("../tests/vectors/export"),
    ];
    let from = vectors
        .iter()
        .find(|dir| dir.is_dir())
        .expect("the golden export");
    let in_memory = Path::new("/dev/shm");
    let dir = if in_memory.is_dir() {
        tempfile::tempdir_in(in_memory)
    } else {
        tempfile::tempdir()
    }
    .expect("a place for it");
    let mut files = Vec::new();
    copy(from, dir.path(), &mut files);
    files.sort();
    let manifest = fs::read_to_string(dir.path().join(MANIFEST)).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let keys = manifest["keys"].as_array().expect("keys").iter();
    let keys = keys.map(|key| VerifierKey::parse(key["vkey"].as_str().expect("a vkey")));
    Genuine {
        dir,
        files,
        keys: keys.collect::<Result<_, _>>().expect("its keys are keys"),
    }
}

fn copy(from: &Path, to: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            copy(&entry.path(), &target, files);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
            files.push(target);
        }
    }
}
