//! The files of an export that are derived from an entry and its body, and nothing else.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::crypto::dsse;
use crate::limits::SALT_BYTES;
use crate::model::body::{self, Decoded};
use crate::model::{Header, json as canonical};
use crate::proto::v1;

/// Why a body is not in an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// Erased for ever: end of retention, court order.
    Erased,
    /// Kept, and left out of this export.
    Withheld,
    /// Never kept: the entry was mirrored but not admitted.
    Refused,
}

impl Absence {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Erased, Self::Withheld, Self::Refused];

    /// The word that files use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Withheld => "withheld",
            Self::Refused => "refused",
        }
    }
}

/// The header that an entry carries, verified or not.
pub(super) fn header(entry: &[u8]) -> Option<Header> {
    let entry = <v1::Entry as prost::Message>::decode(entry).ok()?;
    Header::parse(&entry.payload).ok()
}

/// Word for a body of a kind that the exporter's version does not know.
pub(super) const NEWER: &str = "newer";

/// `notifications/<index>.json`; `body` is salt ‖ body, or the word for why there is none.
pub(super) fn notification(index: u64, entry: &[u8], body: Result<&[u8], &'static str>) -> Vec<u8> {
    let mut file = Map::new();
    file.insert("index".into(), json!(index));
    let Some(header) = header(entry) else {
        // A refused leaf can be anything; the raw bytes are in the entry bundle.
        for (name, value) in [
            ("id", Value::Null),
            ("header", Value::Null),
            ("header_absent", json!("malformed")),
            ("schema", Value::Null),
            ("body", Value::Null),
            ("body_absent", json!(body.err().unwrap_or("unreadable"))),
        ] {
            file.insert(name.into(), value);
        }
        return pretty(&Value::Object(file));
    };
    file.insert("id".into(), json!(header.id.to_string()));
    file.insert("header".into(), canonical::to_json(&header.wire));
    file.insert("schema".into(), json!(header.schema));
    let (body, absent) = match body.map(|salted| body_json(&header, salted)) {
        Ok(Ok(body)) => (body, None),
        Ok(Err(reason)) => (Value::Null, Some(reason)),
        Err(word) => (Value::Null, Some(word)),
    };
    file.insert("body".into(), body);
    if let Some(reason) = absent {
        file.insert("body_absent".into(), json!(reason));
    }
    pretty(&Value::Object(file))
}

/// `dsse/<index>.json`; nothing when the leaf is no envelope.
pub(super) fn dsse(entry: &[u8]) -> Option<Vec<u8>> {
    dsse::to_json(entry).ok().map(|envelope| pretty(&envelope))
}

/// Body in canonical JSON, or the word for why it cannot be read.
fn body_json(header: &Header, salted: &[u8]) -> Result<Value, &'static str> {
    let bytes = salted.get(SALT_BYTES..).ok_or("malformed")?;
    match body::decode(header.kind, &header.schema, bytes) {
        Ok(Decoded::Known(_)) => {
            canonical::to_json_of(&header.schema, bytes).map_err(|_| "malformed")
        }
        Ok(Decoded::Newer) => Err(NEWER),
        Err(_) => Err("malformed"),
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    // The alternate form of a JSON value is its indented text, and cannot fail.
    format!("{value:#}\n").into_bytes()
}
