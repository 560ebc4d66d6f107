//! Single bits flipped in what says who a node is: its keys, their public halves, the peer's card. Each
//! is refused with a text that names the file, or lies where it means nothing and the key is the same:
//! nothing is ever signed, and nobody believed, by another key.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use liaison::crypto::history::StartKeys;
use liaison::crypto::keys::{LogKey, MessageKey, OfficerKey, Protection, RecoveryKey};
use liaison::link::files::Files;
use liaison::link::tls::{ExchangeTls, OwnFiles, TlsOptions};
use liaison::model::NodeName;
use liaison::node::peer_card::PeerCard;
use liaison::node::public_keys;
use liaison::node::template::paths;
use liaison::proto::v1::{LinkState, SubmitRequest};
use zeroize::Zeroizing;

use crate::nodes::{LEFT, Node, RIGHT, letter, liaison, pair};
use crate::sides::temp_dir;
use crate::traffic::number_from;

/// What a file says, or why it is refused.
type Said = Result<String, String>;

fn flip(path: &Path, bit: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], bit / 8)
        .unwrap();
}

/// How many flips were refused, and how many meant nothing.
#[derive(Debug, Default)]
struct Count {
    refused: u64,
    same: u64,
}

/// Flips every `step`-th bit of a file, one at a time.
fn flip_all(count: &mut Count, path: &Path, step: u64, read: &dyn Fn(&Path) -> Said) {
    let before = read(path).unwrap();
    let bits = fs::metadata(path).unwrap().len() * 8;
    for bit in (0..bits).step_by(usize::try_from(step).unwrap()) {
        flip(path, bit);
        let place = || format!("{} byte {} bit {}", path.display(), bit / 8, bit % 8);
        match read(path) {
            Ok(said) => {
                assert_eq!(said, before, "{}: says another thing", place());
                count.same += 1;
            }
            Err(told) => {
                let named = told.contains(path.to_str().unwrap());
                assert!(named, "{}: does not name the file: {told}", place());
                count.refused += 1;
            }
        }
        flip(path, bit);
    }
    assert_eq!(read(path).unwrap(), before);
}

fn message(path: &Path, passphrase: Option<&str>) -> Said {
    let passphrase = passphrase.map(|text| Zeroizing::new(text.to_owned()));
    let loaded = MessageKey::load_file(path, passphrase.as_ref());
    let key = loaded.map_err(|error| error.to_string())?.key;
    Ok(format!("{:?}", key.public()))
}

/// What the certificate's key is, if rustls takes it.
fn tls(key: &Path, node: &NodeName) -> Said {
    let own = OwnFiles {
        certificate: key.with_file_name("node.pem"),
        key: key.to_owned(),
    };
    let options = TlsOptions::new(true);
    ExchangeTls::load(&mut Files::new(), node, &own, &[], &options)
        .map_err(|error| error.to_string())?;
    // Which key it is; how the file writes the public half (X9.62 has several forms) says nothing.
    let der = Files::new().private_key(key).unwrap();
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).unwrap();
    let public = rustls::sign::SigningKey::public_key(&*signer).unwrap();
    Ok(hex::encode(public))
}

#[test]
fn every_flipped_bit_of_a_key_is_refused_or_means_nothing() {
    let dir = temp_dir();
    let node = Node::init(dir.path(), LEFT);
    let name = NodeName::parse(LEFT).unwrap();
    let file = |name: &str| node.dir.join("keys").join(name);
    let mut count = Count::default();

    let (officer, recovery) = (
        OfficerKey::generate().unwrap(),
        RecoveryKey::generate().unwrap(),
    );
    let open = Protection::Unencrypted;
    officer.write_file(&file("linh.pem"), &open).unwrap();
    recovery.write_file(&file("recovery.pem"), &open).unwrap();
    flip_all(&mut count, &node.dir.join(paths::MESSAGE_KEY), 1, &|path| {
        message(path, None)
    });
    flip_all(&mut count, &node.dir.join(paths::LOG_KEY), 1, &|path| {
        let loaded = LogKey::load_file(path, None).map_err(|error| error.to_string())?;
        Ok(format!("{:?}", loaded.key.public()))
    });
    flip_all(&mut count, &file("linh.pem"), 1, &|path| {
        let loaded = OfficerKey::load_file(path, None).map_err(|error| error.to_string())?;
        Ok(format!("{:?}", loaded.key.public()))
    });
    flip_all(&mut count, &file("recovery.pem"), 1, &|path| {
        let loaded = RecoveryKey::load_file(path, None).map_err(|error| error.to_string())?;
        Ok(format!("{:?}", loaded.key.public()))
    });

    // Each try costs a scrypt: some are taken, others in each file.
    let words = "mật khẩu mẫu 密码";
    let locked = Protection::Passphrase(Zeroizing::new(words.to_owned()));
    MessageKey::generate()
        .unwrap()
        .write_file(&file("locked.pem"), &locked)
        .unwrap();
    let bits = fs::metadata(file("locked.pem")).unwrap().len() * 8;
    let wanted = number_from("LIAISON_BIT_FLIPS", 1_000) / 25;
    // Odd, so that every bit of a byte has its turn.
    let step = (bits / wanted.max(1)) | 1;
    flip_all(&mut count, &file("locked.pem"), step, &|path| {
        message(path, Some(words))
    });

    let start = StartKeys {
        message: vec![(MessageKey::generate().unwrap().verifier(&name), 0, None)],
        log: vec![LogKey::generate().unwrap().cosigner_verifier(&name)],
        officers: vec![officer.verifier(&name, "linh").unwrap()],
        recovery: Some(recovery.verifier(&name)),
    };
    for file in [file("public.toml"), node.dir.join("links/peer.start.toml")] {
        public_keys::save(&file, "# Public keys.\n# Never change it.", &start).unwrap();
        flip_all(&mut count, &file, 1, &|path| {
            let keys = public_keys::load(path, &name).map_err(|fault| fault.to_string())?;
            Ok(format!("{keys:?}"))
        });
    }
    let card = node.card();
    flip_all(&mut count, &card, 1, &|path| {
        let card = PeerCard::load(path).map_err(|fault| fault.to_string())?;
        Ok(format!("{card:?}"))
    });
    flip_all(&mut count, &node.dir.join(paths::NODE_KEY), 1, &|path| {
        tls(path, &name)
    });
    let Count { refused, same } = count;
    assert!(refused > 10_000, "{refused}");
    println!(
        "bits of keys: {} flipped, {refused} refused, {same} mean nothing, 0 another key",
        refused + same
    );
}

/// The damage of which only the history could tell: a file that has no public half.
#[test]
fn a_key_file_without_its_public_half_gets_one_from_openssl() {
    let dir = temp_dir();
    let path = dir.path().join("old.pem");
    let key = MessageKey::generate().unwrap();
    key.write_file(&path, &Protection::Unencrypted).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let old = whole.split_inclusive("-----END PRIVATE KEY-----\n").next();
    fs::write(&path, old.unwrap()).unwrap();
    assert_eq!(message(&path, None).unwrap(), format!("{:?}", key.public()));
    let public = std::process::Command::new("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(&path)
        .output()
        .unwrap();
    let completed = [old.unwrap().as_bytes(), &public.stdout].concat();
    assert_eq!(String::from_utf8(completed).unwrap(), whole);
}

/// The middle of the longest line: the key itself.
fn bit_of_the_key(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let said = text.lines().filter(|line| !line.starts_with('#'));
    let longest = said.max_by_key(|line| line.len()).unwrap();
    let at = text.find(longest).unwrap() + longest.len() * 3 / 4;
    at as u64 * 8
}

#[tokio::test]
async fn a_node_does_not_start_with_a_damaged_key_and_goes_on_with_the_one_put_back() {
    let parent = temp_dir();
    let (mut left, mut right) = pair(parent.path());
    left.start();
    right.start();
    let mut desk = left.desk().await;
    let draft = Some(letter(RIGHT, 1));
    desk.submit(SubmitRequest { draft }).await.unwrap();
    let is_delivered = |link: &liaison::proto::v1::LinkStatus| {
        link.state() == LinkState::Up && link.own_size == link.delivered_size
    };
    let before = left.until(RIGHT, "delivered", is_delivered).await;
    left.stop();
    let config = left.config();
    let files: [(PathBuf, &str); 5] = [
        (left.dir.join(paths::MESSAGE_KEY), "put back"),
        (left.dir.join(paths::LOG_KEY), "put back"),
        (left.dir.join(paths::NODE_KEY), "put back"),
        (
            left.dir.join(format!("links/{RIGHT}.start.toml")),
            "put the file back",
        ),
        (
            left.dir.join(format!("links/{RIGHT}.card.toml")),
            "liaison peer card",
        ),
    ];
    for (file, remedy) in files {
        let bit = bit_of_the_key(&file);
        flip(&file, bit);
        let refused = liaison(&["--config", &config, "node", "run"]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{}", file.display());
        let stem = file.file_stem().unwrap().to_str().unwrap();
        assert!(told.contains(stem), "{told}");
        assert!(told.to_lowercase().contains(remedy), "{told}");
        flip(&file, bit);
    }
    left.start();
    let after = left.until(RIGHT, "up again", is_delivered).await;
    assert_eq!(after.own_size, before.own_size);
    left.stop();
    right.stop();
}
