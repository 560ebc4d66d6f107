//! Names of nodes and logs.

use std::fmt;

/// Name of a node: a lower-case host name of at least two labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

/// Why a name is refused.
#[derive(Debug, thiserror::Error)]
#[error("not a node name")]
pub struct NameError;

impl NodeName {
    /// Reads a node name.
    ///
    /// # Errors
    ///
    /// [`NameError`] if it is not of at least two labels.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let label = |l: &str| {
            !l.is_empty()
                && l.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if text.contains('.') && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Origin of a log: sender and recipient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    sender: NodeName,
    recipient: NodeName,
}

impl Origin {
    /// Joins the two names.
    #[must_use]
    pub fn new(sender: NodeName, recipient: NodeName) -> Self {
        Self { sender, recipient }
    }

    /// Who writes the log.
    #[must_use]
    pub fn sender(&self) -> &NodeName {
        &self.sender
    }

    /// Who mirrors the log.
    #[must_use]
    pub fn recipient(&self) -> &NodeName {
        &self.recipient
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sender, self.recipient)
    }
}
