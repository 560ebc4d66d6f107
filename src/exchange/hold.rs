//! What stops a link, and what a person should look at.

use serde::{Deserialize, Serialize};

use crate::proto::v1::FaultCode;

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
    /// Signed notes that prove it, as they came; contradicting ones together.
    pub evidence: Vec<String>,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
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
