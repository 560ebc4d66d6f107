//! The crypto room: golden vectors byte for byte, and what must be refused.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "crypto/checkpoint.rs"]
mod checkpoint;
#[path = "crypto/dsse.rs"]
mod dsse;
#[path = "crypto/history.rs"]
mod history;
#[path = "crypto/keyfile.rs"]
mod keyfile;
#[path = "crypto/note.rs"]
mod note;
#[path = "crypto/properties.rs"]
mod properties;
#[path = "crypto/vkey.rs"]
mod vkey;

use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::crypto::vkey::VerifierKey;
use liaison::model::{NodeName, Origin};
use serde::de::DeserializeOwned;

const SENDER: &str = "laocai.bg.vn.example";
const RECIPIENT: &str = "hekou.ni.cn.example";

fn vectors<T: DeserializeOwned>(file: &str) -> T {
    let path = format!("{}/tests/vectors/crypto/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn seed(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

fn counting(from: u8) -> [u8; 32] {
    std::array::from_fn(|i| from + u8::try_from(i).unwrap())
}

fn message_key() -> MessageKey {
    MessageKey::from_seed(&counting(0))
}

fn log_key() -> LogKey {
    LogKey::from_seed(&counting(32))
}

fn mirror_key() -> LogKey {
    LogKey::from_seed(&counting(64))
}

fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

fn origin() -> Origin {
    Origin::new(name(SENDER), name(RECIPIENT))
}

fn vkey(text: &str) -> VerifierKey {
    VerifierKey::parse(text).unwrap()
}
