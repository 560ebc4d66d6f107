//! Exports judged by software that is not ours: Go's checksum database packages for checkpoints,
//! tiles and proofs, Python's securesystemslib for the DSSE envelopes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::evidence::busy_world;

const GO_PACKAGES: &str = "/usr/share/gocode";
const OWN: &str = "laocai.bg.vn.example_hekou.ni.cn.example";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn go(dir: &Path) -> Output {
    let packages = Path::new(GO_PACKAGES).join("src/golang.org/x/mod/sumdb/tlog");
    assert!(
        packages.is_dir(),
        "{} is missing: apt-get install golang-go golang-golang-x-mod-dev, or run scripts/test",
        packages.display()
    );
    Command::new("go")
        .args(["run", "verify.go"])
        .arg(dir)
        .current_dir(repository().join("tests/foreign"))
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOPATH", GO_PACKAGES)
        .env("GOCACHE", repository().join("target/go-cache"))
        .output()
        .expect("go cannot be run: apt-get install golang-go, or run scripts/test")
}

fn python(dir: &Path) -> Output {
    let python = repository().join("target/venv/bin/python");
    let has = Command::new(&python)
        .args(["-c", "import securesystemslib.dsse, cryptography"])
        .output();
    assert!(
        has.is_ok_and(|output| output.status.success()),
        "{} does not have securesystemslib: run scripts/test, or python3 -m venv target/venv && \
         target/venv/bin/pip install 'securesystemslib[crypto]'",
        python.display()
    );
    let script = repository().join("tests/foreign/dsse.py");
    Command::new(python).arg(script).arg(dir).output().unwrap()
}

fn report(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn flip(path: &PathBuf, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn go_verifies_checkpoints_tiles_and_proofs() {
    let world = busy_world(600);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("export");
    world.export(&world.a, &dir);
    let verified = report(&go(&dir));
    assert_eq!(verified["Logs"], 2);
    assert_eq!(verified["Inclusions"], 616);
    assert_eq!(verified["Proofs"], 616);
    // 600 entries: three tiles of leaves, one above; 16 entries: one tile.
    assert_eq!(verified["Tiles"], 5);
    let kept = world.ab.receipts.len() + world.ba.receipts.len();
    assert_eq!(
        verified["Consistencies"],
        kept - 1,
        "all but the empty tree"
    );
    assert_eq!(verified["Checkpoints"], 2 + kept + 616);
    assert_eq!(verified["Cosignatures"], 2 * (2 + kept + 616));

    // The judge has teeth.
    for (path, at) in [
        ("checkpoint", 50),
        ("checkpoints/257", 150),
        ("tile/0/001", 5000),
        ("tile/1/000.p/2", 40),
        ("tile/entries/002.p/88", 3000),
        ("proofs/17.tlog-proof", 60),
    ] {
        let path = dir.join(OWN).join(path);
        flip(&path, at);
        assert!(!go(&dir).status.success(), "{} was changed", path.display());
        flip(&path, at);
    }
    report(&go(&dir));
}

#[test]
fn securesystemslib_verifies_the_envelopes() {
    let world = busy_world(600);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("export");
    world.export(&world.b, &dir);
    let verified = report(&python(&dir));
    // Index 5 is forged and 9 is no envelope; both were refused.
    let own = &verified[world.ab.origin.to_string()];
    assert_eq!(own["verified"], 598);
    assert_eq!(own["failed"], serde_json::json!([5, 9]));
    let mirror = &verified[world.ba.origin.to_string()];
    assert_eq!(
        (&mirror["verified"], &mirror["failed"]),
        (&16.into(), &serde_json::json!([]))
    );

    // The judge has teeth: another payload under the same signature.
    let path = dir.join(OWN).join("dsse/20.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut envelope: Value = serde_json::from_str(&text).unwrap();
    let other = std::fs::read_to_string(dir.join(OWN).join("dsse/21.json")).unwrap();
    let other: Value = serde_json::from_str(&other).unwrap();
    envelope["payload"] = other["payload"].clone();
    std::fs::write(&path, envelope.to_string()).unwrap();
    let verified = report(&python(&dir));
    let own = &verified[world.ab.origin.to_string()];
    assert_eq!(own["failed"], serde_json::json!([5, 9, 20]));
}
