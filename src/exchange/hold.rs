//! What stops a link, and what a person should look at.

use serde::{Deserialize, Serialize};

use super::layout;
use crate::crypto::dsse;
use crate::limits::EVIDENCE_BYTES_MAX;
use crate::model::text::cut;
use crate::proto::v1::FaultCode;
use crate::store::{Direction, Store, StoreError};
use crate::tlog::equivocation::Equivocation;

/// Why a link is held: kept until an operator releases it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Number of the [`FaultCode`].
    pub code: i32,
    /// Origin of the log concerned.
    pub origin: String,
    /// Index concerned.
    pub index: u64,
    /// What happened and what to do.
    pub text: String,
    /// What proves it: signed notes as they came, contradicting ones together, and signed entries
    /// as DSSE envelopes in JSON.
    pub evidence: Vec<String>,
    /// The file that proves to anybody that one key signed two logs, if that is why
    /// ([`crate::tlog::equivocation`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equivocation: Option<String>,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

/// What proves a breach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Signed notes as they came, and signed entries as DSSE envelopes in JSON.
    pub(crate) pieces: Vec<String>,
    /// The file that proves to anybody that one key signed two logs, if there is one.
    pub(crate) equivocation: Option<String>,
}

impl Evidence {
    /// Pieces, and the file that they make.
    pub(crate) fn proof(pieces: Vec<String>, file: &Equivocation) -> Self {
        Self {
            equivocation: Some(file.encode()),
            ..Self::from(pieces)
        }
    }
}

impl From<Vec<String>> for Evidence {
    fn from(pieces: Vec<String>) -> Self {
        Self {
            pieces: pieces.iter().map(|piece| evidence(piece)).collect(),
            equivocation: None,
        }
    }
}

impl Hold {
    /// The code, by name.
    #[must_use]
    pub fn code_name(&self) -> &'static str {
        FaultCode::try_from(self.code)
            .unwrap_or(FaultCode::Unspecified)
            .as_str_name()
    }
}

/// Something a person should look at. Carries no body and no name of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// The peer's node name.
    pub peer: String,
    /// What happened.
    pub what: String,
    /// Signed notes that prove it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

/// A piece of evidence: verbatim, cut where no note goes on, nor an entry in base64.
pub(crate) fn evidence(text: &str) -> String {
    cut(text, EVIDENCE_BYTES_MAX).to_owned()
}

/// An entry as evidence.
pub(crate) fn entry_evidence(entry: &[u8]) -> String {
    dsse::to_json(entry).map_or_else(|error| error.to_string(), |json| json.to_string())
}

/// The latest incidents, newest first.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn latest_incidents(
    store: &dyn Store,
    count: usize,
) -> Result<Vec<Incident>, StoreError> {
    /// Parts read at once.
    const ROWS: usize = 256;
    let (start, mut end) = layout::region(layout::Region::Incident);
    let mut incidents = Vec::new();
    let mut later_parts: Vec<Vec<u8>> = Vec::new();
    while incidents.len() < count {
        let rows = store.scan(&start, &end, ROWS, Direction::Backward)?;
        let Some((key, _)) = rows.last() else { break };
        end.clone_from(key);
        for (key, value) in rows {
            later_parts.push(value);
            if !layout::is_first_part_of_incident(&key) {
                continue;
            }
            later_parts.reverse();
            let whole = std::mem::take(&mut later_parts).concat();
            if incidents.len() < count
                && let Ok(incident) = serde_json::from_slice(&whole)
            {
                incidents.push(incident);
            }
        }
    }
    Ok(incidents)
}

/// Why a link is held, as recorded; `None` when it is not.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn recorded_hold(
    store: &dyn Store,
    number: layout::LinkNumber,
) -> Result<Option<Vec<u8>>, StoreError> {
    recorded_parts(store, &layout::fault(number))
}

/// Why the peer holds a link, as it said and as recorded; `None` when it does not.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn recorded_peer_hold(
    store: &dyn Store,
    number: layout::LinkNumber,
) -> Result<Option<Vec<u8>>, StoreError> {
    recorded_parts(store, &layout::peer_hold(number))
}

/// The holds of a link that are over, each as recorded with its sequence, the latest first.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn past_holds(
    store: &dyn Store,
    number: layout::LinkNumber,
    count: usize,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let mut holds = Vec::new();
    let (start, mut end) = layout::indexed_from(layout::Region::PastHold, number, 0);
    while holds.len() < count {
        let last = store.scan(&start, &end, 1, Direction::Backward)?;
        let Some((key, _)) = last.first() else { break };
        let Some(sequence) = layout::past_hold_sequence(key) else {
            break;
        };
        let key = layout::past_hold(number, sequence);
        if let Some(value) = recorded_parts(store, &key)? {
            holds.push((sequence, value));
        }
        end = key;
    }
    Ok(holds)
}

fn recorded_parts(store: &dyn Store, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let (start, end) = layout::parts_range(key);
    let rows = store.scan(&start, &end, usize::MAX, Direction::Forward)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let parts: Vec<Vec<u8>> = rows.into_iter().map(|(_, part)| part).collect();
    Ok(Some(parts.concat()))
}
