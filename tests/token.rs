//! The message key in a PKCS#11 token: real nodes with `SoftHSM2`, behind a library that makes the
//! token vanish or lie on demand.
//!
//! A target of its own, since it is the only one that needs the feature:
//! `cargo test --features pkcs11 --test token`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "it/nodes.rs"]
#[expect(dead_code, reason = "shared with the other tests, which use the rest")]
mod nodes;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use liaison::proto::v1;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use nodes::{LEFT, Node, RIGHT, letter, liaison};

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "12345678";

/// A token with keys, and the library that misbehaves as `fault` says.
struct Token {
    dir: PathBuf,
    shim: PathBuf,
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

impl Token {
    fn make(parent: &Path) -> Self {
        let dir = parent.join("token");
        std::fs::create_dir_all(dir.join("tokens")).unwrap();
        let conf = format!("directories.tokendir = {}\n", dir.join("tokens").display());
        std::fs::write(dir.join("conf"), conf).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/token_shim.c");
        let shim = dir.join("shim.so");
        let text = |name: &str, path: &Path| format!("-D{name}=\"{}\"", path.display());
        run(Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror"])
            .arg(text("CONF", &dir.join("conf")))
            .arg(text("FAULT", &dir.join("fault")))
            .arg(text("MODULE", Path::new(SOFTHSM)))
            .arg("-o")
            .arg(&shim)
            .arg(source)
            .arg("-ldl"));
        let token = Self { dir, shim };
        token.softhsm(&[
            "--init-token",
            "--free",
            "--label",
            "liaison",
            "--so-pin",
            "87654321",
        ]);
        token
    }

    fn softhsm(&self, args: &[&str]) {
        run(Command::new("softhsm2-util")
            .env("SOFTHSM2_CONF", self.dir.join("conf"))
            .args(args)
            .args(["--pin", PIN]));
    }

    /// Puts a new key into the token.
    fn add_key(&self, label: &str, id: &str) {
        let file = self.dir.join(format!("{id}.pem"));
        run(Command::new("openssl")
            .args(["genpkey", "-algorithm", "ed25519", "-out"])
            .arg(&file));
        let file = file.to_str().unwrap();
        self.softhsm(&[
            "--import", file, "--token", "liaison", "--label", label, "--id", id,
        ]);
    }

    fn uri(&self, rest: &str) -> String {
        let module = self.shim.display();
        format!("pkcs11:token=liaison;{rest}?module-path={module}")
    }

    fn fault(&self, how: &str) {
        std::fs::write(self.dir.join("fault"), how).unwrap();
    }
}

/// Replaces a line of the configuration.
fn configure(node: &Node, from: &str, to: &str) {
    let text = std::fs::read_to_string(node.config()).unwrap();
    assert!(text.contains(from), "{from}\n{text}");
    std::fs::write(node.config(), text.replacen(from, to, 1)).unwrap();
}

/// A node whose message key lies in a token; the file with its former key is gone.
fn node_with_token(parent: &Path, token: &Token) -> Node {
    let node = Node::init(parent, LEFT);
    let pin = node.dir.join("pin");
    std::fs::write(&pin, format!("{PIN}\n")).unwrap();
    run(Command::new("chmod").arg("600").arg(&pin));
    let uri = token.uri("object=message");
    configure(
        &node,
        "message = \"keys/message.pem\"",
        &format!("message = \"{uri}\"\npin = \"file:pin\""),
    );
    std::fs::remove_file(node.dir.join("keys/message.pem")).unwrap();
    node
}

fn start_fails(node: &Node) -> (i32, String) {
    let output: Output = liaison(&["--config", &node.config(), "node", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

/// Writes into the configuration which key it must be, as the refusal to start says.
fn name_key(node: &Node) -> String {
    let (code, said) = start_fails(node);
    assert_eq!(code, 64, "{said}");
    let vkey = said
        .lines()
        .find_map(|line| line.split_once("message_vkey = "));
    let Some((_, vkey)) = vkey else {
        panic!("{said}");
    };
    let line = format!("message_vkey = {vkey}");
    configure(
        node,
        "pin = \"file:pin\"",
        &format!("pin = \"file:pin\"\n{line}"),
    );
    line
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_signs_with_a_token_that_vanishes_lies_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let token = Token::make(dir.path());
    token.add_key("message", "01");
    token.add_key("another", "02");
    let mut left = node_with_token(dir.path(), &token);
    let line = name_key(&left);
    let mut right = Node::init(dir.path(), RIGHT);
    // The card has the token's key.
    let card = std::fs::read_to_string(left.card()).unwrap();
    let vkey = line.split('"').nth(1).unwrap();
    assert!(card.contains(vkey), "{vkey}\n{card}");
    left.add_peer(&right.card());
    right.add_peer(&left.card());
    left.start();
    right.start();
    let mut desk = left.desk().await;
    let submit = |draft: &v1::Draft| v1::SubmitRequest {
        draft: Some(draft.clone()),
    };
    desk.submit(submit(&letter(RIGHT, 1))).await.unwrap();
    left.until(RIGHT, "delivered", |link| link.delivered_size == 1)
        .await;

    // Gone: refused, nothing recorded, and the node is still there.
    let second = letter(RIGHT, 2);
    token.fault("gone");
    for _ in 0..3 {
        let status = desk.submit(submit(&second)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert_eq!(reason(&status), "TOKEN_AWAY");
        assert!(status.message().contains("put it back"), "{status}");
    }
    let link = left.until(RIGHT, "up", |_| true).await;
    assert_eq!(link.own_size, 1);
    // A lie: no signature that does not hold is recorded.
    token.fault("bend");
    let status = desk.submit(submit(&second)).await.unwrap_err();
    assert!(status.message().contains("does not hold"), "{status}");
    let link = left.until(RIGHT, "up", |_| true).await;
    assert_eq!(link.own_size, 1);
    // Back: the same draft goes through, once.
    token.fault("");
    desk.submit(submit(&second)).await.unwrap();
    desk.submit(submit(&second)).await.unwrap();
    let link = left
        .until(RIGHT, "delivered", |link| link.delivered_size == 2)
        .await;
    assert_eq!(link.own_size, 2);
    // The peer admitted both: they verify under the key of the card.
    let mut peer = right.desk().await;
    let status = peer
        .status(v1::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(status.incidents.is_empty(), "{:?}", status.incidents);
    assert_eq!(status.links[0].own_size, 0, "a REFUSAL");
    let log = left.log();
    assert!(!log.contains(PIN), "the PIN is in the log");
    left.stop();
    right.stop();
}

#[test]
fn a_node_does_not_start_with_a_token_that_is_not_the_one() {
    let dir = tempfile::tempdir().unwrap();
    let token = Token::make(dir.path());
    let node = node_with_token(dir.path(), &token);
    let (code, said) = start_fails(&node);
    assert_eq!(code, 69, "{said}");
    assert!(
        said.contains("the private key is not on the token"),
        "{said}"
    );

    token.add_key("message", "01");
    name_key(&node);
    // Twice under one label: told apart by the id.
    token.add_key("message", "02");
    let (code, said) = start_fails(&node);
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("more than once"), "{said}");
    configure(&node, "object=message", "object=message;id=%02");
    let (code, said) = start_fails(&node);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("peers would refuse"), "{said}");

    // A PIN that is not taken is not tried again and again by whoever restarts the node.
    std::fs::write(node.dir.join("pin"), "00000000\n").unwrap();
    let (code, said) = start_fails(&node);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("does not take the PIN"), "{said}");
    assert!(!said.contains("00000000"), "{said}");
    configure(&node, "pin = \"file:pin\"\n", "");
    let (code, said) = start_fails(&node);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("keys.pin"), "{said}");

    // No such token, no such library.
    configure(&node, "token=liaison", "token=elsewhere");
    configure(&node, "message_vkey", "pin = \"file:pin\"\nmessage_vkey");
    let (code, said) = start_fails(&node);
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("the token is not there"), "{said}");
    configure(&node, "shim.so", "none.so");
    let (code, said) = start_fails(&node);
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("none.so"), "{said}");
}

/// The storage key wrapped by an AES key of the token: gone over to from a file, and nothing opens
/// without the token, with another one, or for another node.
#[tokio::test(flavor = "multi_thread")]
async fn the_storage_key_lies_wrapped_by_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let token = Token::make(dir.path());
    let keygen = |label: &str| {
        run(Command::new("pkcs11-tool")
            .env("SOFTHSM2_CONF", token.dir.join("conf"))
            .args([
                "--module",
                SOFTHSM,
                "--token-label",
                "liaison",
                "--login",
                "--pin",
                PIN,
            ])
            .args([
                "--keygen",
                "--key-type",
                "AES:32",
                "--sensitive",
                "--label",
                label,
            ]));
    };
    keygen("storage");
    keygen("another");
    let mut left = Node::init(dir.path(), LEFT);
    let right = Node::init(dir.path(), RIGHT);
    left.add_peer(&right.card());
    left.start();
    let draft = letter(RIGHT, 1);
    let id = draft.id.clone();
    let submit = v1::SubmitRequest { draft: Some(draft) };
    left.desk().await.submit(submit).await.unwrap();
    left.stop();

    let pin = left.dir.join("pin");
    std::fs::write(&pin, format!("{PIN}\n")).unwrap();
    run(Command::new("chmod").arg("600").arg(&pin));
    let log = "log = \"keys/log.pem\"";
    let uri = token.uri("object=storage");
    let line = format!("storage = \"{uri}\"\nstorage_pin = \"file:pin\"");
    configure(&left, log, &format!("{log}\n{line}"));
    // The file is not silently left behind, and no new key is made.
    let (code, said) = start_fails(&left);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("the storage key is missing"), "{said}");
    let change = ["--config", &left.config(), "keys", "change-storage"];
    let old = left.dir.join("keys/storage.pem");
    let from = [&change[..], &["--from", "keys/storage.pem"]].concat();
    let changed = liaison(&from);
    let said = String::from_utf8_lossy(&changed.stderr).into_owned();
    assert!(changed.status.success(), "{said}");
    assert!(!old.exists());
    let reads = async |left: &mut Node| {
        left.start();
        let request = v1::GetRequest {
            id: id.clone(),
            ..v1::GetRequest::default()
        };
        let message = left.desk().await.get(request).await.unwrap().into_inner();
        assert!(message.message.unwrap().body.is_some());
        left.stop();
    };
    reads(&mut left).await;
    // Anew, under the same AES key.
    let wrapped = left.dir.join("keys/storage.wrapped");
    let former = std::fs::read(&wrapped).unwrap();
    assert!(liaison(&change).status.success());
    assert_ne!(std::fs::read(&wrapped).unwrap(), former);
    reads(&mut left).await;

    // Gone, another key, changed: nothing starts, and each says what to do.
    token.fault("gone");
    let (code, said) = start_fails(&left);
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("the storage key"), "{said}");
    token.fault("");
    configure(&left, "object=storage", "object=another");
    let (code, said) = start_fails(&left);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("wrapped by another key"), "{said}");
    configure(&left, "object=another", "object=nothing");
    let (code, said) = start_fails(&left);
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("AES key"), "{said}");
    configure(&left, "object=nothing", "object=storage");
    std::fs::write(&pin, "00000000\n").unwrap();
    let (code, said) = start_fails(&left);
    assert_eq!(code, 64, "{said}");
    assert!(
        said.contains("does not take the PIN") && !said.contains("00000000"),
        "{said}"
    );
    std::fs::write(&pin, format!("{PIN}\n")).unwrap();
    let other = dir.path().join(RIGHT);
    std::fs::copy(&wrapped, other.join("keys/storage.wrapped")).unwrap();
    std::fs::copy(&pin, other.join("pin")).unwrap();
    configure(&right, log, &format!("{log}\n{line}"));
    let (code, said) = start_fails(&right);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("for another node"), "{said}");
    reads(&mut left).await;
}
