//! Key files.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use liaison::crypto::keys::{KeyError, LogKey, MessageKey, Protection};
use serde::Deserialize;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{counting, log_key, message_key, seed, vectors};

#[derive(Deserialize)]
struct Vectors {
    read: Vec<Read>,
    written: Vec<Written>,
    refused_encryption: Vec<Refused>,
    other_keys: Vec<Refused>,
}

#[derive(Deserialize)]
struct Read {
    source: String,
    seed: String,
    passphrase: Option<String>,
    pem: String,
}

#[derive(Deserialize)]
struct Written {
    seed: String,
    /// The private key, as `openssl genpkey` writes it.
    pem: String,
    /// The public half behind it, as `openssl pkey -pubout` writes it.
    public: String,
}

#[derive(Deserialize)]
struct Refused {
    what: String,
    pem: String,
}

const PASSPHRASE: &str = "Mật khẩu 密码";

fn pass(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn file(dir: &TempDir, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    let path = dir.path().join("key.pem");
    let _ = fs::remove_file(&path);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn load_error(path: &Path, passphrase: Option<&str>) -> KeyError {
    LogKey::load_file(path, passphrase.map(pass).as_ref()).unwrap_err()
}

fn plain_pem() -> String {
    vectors::<Vectors>("pkcs8.json").written[1].pem.clone()
}

/// Runs openssl, which the tests need.
fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("/usr/bin/openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tests need /usr/bin/openssl: apt-get install openssl");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn vectors_hold() {
    let vectors: Vectors = vectors("pkcs8.json");
    let dir = tempfile::tempdir().unwrap();
    for case in vectors.read {
        let path = file(&dir, &case.pem, 0o600);
        let loaded = LogKey::load_file(&path, case.passphrase.as_deref().map(pass).as_ref())
            .expect(&case.source);
        assert_eq!(
            loaded.key.public(),
            LogKey::from_seed(&seed(&case.seed)).public(),
            "{}",
            case.source
        );
        assert_eq!(
            loaded.encrypted,
            case.passphrase.is_some(),
            "{}",
            case.source
        );
    }
    for (i, case) in vectors.written.iter().enumerate() {
        let path = dir.path().join(i.to_string());
        let key = MessageKey::from_seed(&seed(&case.seed));
        key.write_file(&path, &Protection::Unencrypted).unwrap();
        let both = format!("{}{}", case.pem, case.public);
        assert_eq!(fs::read_to_string(path).unwrap(), both);
    }
}

#[test]
fn a_key_comes_back_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    for (protection, passphrase) in [
        (Protection::Unencrypted, None),
        (
            Protection::Passphrase(pass(PASSPHRASE)),
            Some(pass(PASSPHRASE)),
        ),
    ] {
        let path = dir.path().join(format!("{protection:?}"));
        let key = MessageKey::generate().unwrap();
        key.write_file(&path, &protection).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        let loaded = MessageKey::load_file(&path, passphrase.as_ref()).unwrap();
        assert_eq!(loaded.key.public(), key.public());
        assert_eq!(loaded.encrypted, passphrase.is_some());
        assert!(!format!("{protection:?}").contains(PASSPHRASE));
    }
    assert_ne!(
        MessageKey::generate().unwrap().public(),
        MessageKey::generate().unwrap().public()
    );
}

#[test]
fn openssl_reads_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let key = log_key();
    let expected = hex::encode(key.public().as_bytes());
    for (protection, input) in [
        (Protection::Unencrypted, "unused\n"),
        (Protection::Passphrase(pass(PASSPHRASE)), "Mật khẩu 密码\n"),
    ] {
        let path = dir.path().join(format!("{protection:?}"));
        key.write_file(&path, &protection).unwrap();
        let path = path.to_str().unwrap();
        let text = openssl(
            &[
                "pkey",
                "-in",
                path,
                "-passin",
                "stdin",
                "-noout",
                "-text_pub",
            ],
            input,
        );
        let hex: String = text
            .lines()
            .filter(|line| line.starts_with(' '))
            .flat_map(str::chars)
            .filter(char::is_ascii_hexdigit)
            .collect();
        assert_eq!(hex, expected, "{text}");
        let plain = openssl(
            &[
                "pkcs8", "-topk8", "-nocrypt", "-in", path, "-passin", "stdin",
            ],
            input,
        );
        assert_eq!(plain, plain_pem());
    }
}

#[test]
fn what_openssl_writes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let pem = openssl(&["genpkey", "-algorithm", "ED25519"], "");
    let public = LogKey::load_file(&file(&dir, &pem, 0o400), None)
        .unwrap()
        .key
        .public();
    let plain = file(&dir, &pem, 0o600);
    let encrypted = dir.path().join("encrypted.pem");
    let out = encrypted.to_str().unwrap();
    openssl(
        &[
            "pkcs8",
            "-topk8",
            "-scrypt",
            "-in",
            plain.to_str().unwrap(),
            "-out",
            out,
            "-passout",
            "stdin",
        ],
        "secret\n",
    );
    fs::set_permissions(&encrypted, fs::Permissions::from_mode(0o600)).unwrap();
    let loaded = LogKey::load_file(&encrypted, Some(&pass("secret"))).unwrap();
    assert!(loaded.encrypted);
    assert_eq!(loaded.key.public(), public);
}

#[test]
fn only_the_owner_may_read_a_key_file() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o400] {
        assert!(
            LogKey::load_file(&file(&dir, plain_pem(), mode), None).is_ok(),
            "{mode:o}"
        );
    }
    for mode in [
        0o644, 0o640, 0o604, 0o660, 0o700, 0o500, 0o200, 0o000, 0o777, 0o4600, 0o1600,
    ] {
        let path = file(&dir, plain_pem(), mode);
        match LogKey::load_file(&path, None) {
            Err(error @ KeyError::Mode { .. }) => {
                let text = error.to_string();
                assert!(
                    text.contains(&format!("{mode:04o}")) && text.contains("chmod 600"),
                    "{text}"
                );
            }
            // Without root's rights, a file that its owner may not read cannot be opened.
            Err(KeyError::Io { .. }) => assert_eq!(mode & 0o400, 0),
            other => panic!("{mode:o}: {other:?}"),
        }
    }
    // A symbolic link is followed; the mode is that of the file.
    let link = dir.path().join("link");
    symlink(file(&dir, plain_pem(), 0o644), &link).unwrap();
    assert!(matches!(
        load_error(&link, None),
        KeyError::Mode { mode: 0o644, .. }
    ));
    file(&dir, plain_pem(), 0o600);
    assert!(LogKey::load_file(&link, None).is_ok());
}

#[test]
fn a_passphrase_is_asked_for_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    log_key()
        .write_file(&path, &Protection::Passphrase(pass(PASSPHRASE)))
        .unwrap();
    assert!(matches!(
        load_error(&path, None),
        KeyError::PassphraseNeeded { .. }
    ));
    assert!(matches!(
        load_error(&path, Some("")),
        KeyError::PassphraseNeeded { .. }
    ));
    for wrong in ["mật khẩu 密码", "Mật khẩu 密码 ", "Mật khẩu 密码\n", "x"] {
        assert!(
            matches!(
                load_error(&path, Some(wrong)),
                KeyError::WrongPassphrase { .. }
            ),
            "{wrong:?}"
        );
    }
    // One for an unencrypted file is not used, and the caller is told.
    let loaded = LogKey::load_file(&file(&dir, plain_pem(), 0o600), Some(&pass("x"))).unwrap();
    assert!(!loaded.encrypted);
}

#[test]
fn a_key_is_never_overwritten_and_never_protected_by_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "precious", 0o644);
    let error = message_key()
        .write_file(&path, &Protection::Unencrypted)
        .unwrap_err();
    assert!(matches!(error, KeyError::Exists { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let path = dir.path().join("empty");
    let error = message_key()
        .write_file(&path, &Protection::Passphrase(pass("")))
        .unwrap_err();
    assert!(matches!(error, KeyError::EmptyPassphrase));
    assert!(!path.exists());

    let error = message_key()
        .write_file(&dir.path().join("no/such/dir"), &Protection::Unencrypted)
        .unwrap_err();
    assert!(matches!(
        error,
        KeyError::Io {
            action: "create",
            ..
        }
    ));
}

#[test]
fn other_encryption_and_other_keys_are_refused() {
    let vectors: Vectors = vectors("pkcs8.json");
    let dir = tempfile::tempdir().unwrap();
    for case in vectors.refused_encryption {
        let error = load_error(&file(&dir, &case.pem, 0o600), Some(PASSPHRASE));
        assert!(
            matches!(error, KeyError::Encryption { .. }),
            "{}: {error}",
            case.what
        );
    }
    for case in vectors.other_keys {
        let error = load_error(&file(&dir, &case.pem, 0o600), None);
        assert!(
            matches!(error, KeyError::NotEd25519 { .. }),
            "{}: {error}",
            case.what
        );
    }
}

#[test]
fn malformed_key_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let plain = plain_pem();
    let v2 = vectors::<Vectors>("pkcs8.json").read[1].pem.clone();
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        b"\xff\xfe".to_vec(),
        b"hello".to_vec(),
        counting(0).to_vec(),
        plain.replace("PRIVATE", "PUBLIC").into(),
        plain.replace("PRIVATE KEY", "EC PRIVATE KEY").into(),
        plain
            .replacen("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE", 1)
            .into(),
        plain.replace("MC4C", "MC8C").into(),
        plain.replace("MC4C", "MC4D").into(),
        plain.replace("PT4/", "").into(),
        plain.replace("-----END PRIVATE KEY-----\n", "").into(),
        plain.replace("BCIE", "BCIF").into(),
        plain.repeat(2).into(),
        format!("{plain}x").into(),
    ];
    for content in cases {
        let path = file(&dir, &content, 0o600);
        let shown = String::from_utf8_lossy(&content);
        let error = LogKey::load_file(&path, None).expect_err(&shown);
        assert!(
            matches!(error, KeyError::Malformed { .. }),
            "{error}: {shown}"
        );
        assert!(error.to_string().contains("key.pem"));
    }
    // With a public key that is not of the private one: version 2, and in a block of its own.
    let written = vectors::<Vectors>("pkcs8.json").written;
    for content in [
        v2.replace("gSEAGb9", "gSEAGb8"),
        format!("{plain}{}", written[0].public),
    ] {
        let error = load_error(&file(&dir, &content, 0o600), None);
        assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("key.pem is damaged"), "{error}");
    }
    for content in [
        format!("{}{plain}", written[1].public),
        format!("{plain}{}x", written[1].public),
        format!("{plain}{}{plain}", written[1].public),
        format!("{plain}{}", written[1].public.repeat(2)),
    ] {
        let error = load_error(&file(&dir, &content, 0o600), None);
        assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
    }
    let damaged = plain.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert!(matches!(
        load_error(&file(&dir, damaged, 0o600), Some("x")),
        KeyError::Encryption { .. }
    ));
    let large = file(&dir, format!("{}{plain}", "x".repeat(16 << 10)), 0o600);
    assert!(matches!(
        load_error(&large, None),
        KeyError::TooLarge { .. }
    ));
    assert!(matches!(
        load_error(dir.path(), None),
        KeyError::NotAFile { .. }
    ));
    assert!(matches!(
        load_error(&dir.path().join("none"), None),
        KeyError::Io { action: "read", .. }
    ));

    // A named pipe would make the caller wait.
    let pipe = dir.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg("-m600")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(load_error(&pipe, None), KeyError::NotAFile { .. }));
}
