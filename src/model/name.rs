//! Names of nodes and of logs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::text;

/// Longest host name in text form (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Longest label of a host name (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// The name of a node: a lower-case host name of at least two labels, at most 253 bytes.
///
/// It is the dNSName of the node's TLS certificate, sender or recipient in headers, and the name
/// of the node's cosigner key. Only one spelling of a name exists, so names compare byte by byte.
///
/// Source: RFC 1123 §2.1, RFC 1035 §2.3.4.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Reads a name.
    ///
    /// # Errors
    /// The first rule of the form that is broken.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { bytes: name.len() });
        }
        if let Some(found) = name.chars().find(|c| !is_name_char(*c)) {
            return Err(NameError::Character { found });
        }
        for label in name.split('.') {
            let ends_well = !label.starts_with('-') && !label.ends_with('-');
            if label.is_empty() || label.len() > LABEL_BYTES_MAX || !ends_well {
                return Err(NameError::Label {
                    label: label.to_owned(),
                });
            }
        }
        let Some((_, last)) = name.rsplit_once('.') else {
            return Err(NameError::OneLabel);
        };
        // An address such as 192.0.2.1 has the form of a name but names nobody.
        if last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NameError::Label {
                label: last.to_owned(),
            });
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.'
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::parse(name)
    }
}

/// The origin of a log: who sends in it, and to whom.
///
/// In text `<sender>/<recipient>`, the first line of every checkpoint of the log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    sender: NodeName,
    recipient: NodeName,
}

impl Origin {
    /// The origin of the log in which `sender` writes to `recipient`.
    #[must_use]
    pub fn new(sender: NodeName, recipient: NodeName) -> Self {
        Self { sender, recipient }
    }

    /// Reads `<sender>/<recipient>`.
    ///
    /// # Errors
    /// No slash, or a part that is no node name.
    pub fn parse(origin: &str) -> Result<Self, NameError> {
        let (sender, recipient) = origin.split_once('/').ok_or(NameError::NoSlash)?;
        Ok(Self::new(
            NodeName::parse(sender)?,
            NodeName::parse(recipient)?,
        ))
    }

    /// Who writes in this log.
    #[must_use]
    pub fn sender(&self) -> &NodeName {
        &self.sender
    }

    /// Who mirrors this log.
    #[must_use]
    pub fn recipient(&self) -> &NodeName {
        &self.recipient
    }

    /// The log of the other direction.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self::new(self.recipient.clone(), self.sender.clone())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sender, self.recipient)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Origin {
    type Err = NameError;

    fn from_str(origin: &str) -> Result<Self, NameError> {
        Self::parse(origin)
    }
}

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the name is empty; give a host name such as laocai.bg.vn.example")]
    Empty,
    /// Over 253 bytes.
    #[error("the name has {bytes} bytes; a host name has at most {NAME_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A character that host names do not have.
    #[error(
        "the name contains `{}`; use only a-z, 0-9, hyphen and dot, in lower case",
        text::escape(&found.to_string())
    )]
    Character {
        /// The first such character.
        found: char,
    },
    /// A part between dots that is empty, over 63 bytes, begins or ends with a hyphen, or is an
    /// all-digit last part.
    #[error(
        "the part `{label}` of the name is not possible; parts have 1 to {LABEL_BYTES_MAX} characters, \
         no hyphen at either end, and the last is not all digits"
    )]
    Label {
        /// The part.
        label: String,
    },
    /// No dot.
    #[error("the name has a single part; give a full host name such as laocai.bg.vn.example")]
    OneLabel,
    /// An origin without its slash.
    #[error("an origin is written sender/recipient, two node names with a slash between")]
    NoSlash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_inside_the_form() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(longest.len(), 253);
        for name in ["a.b", "laocai.bg.vn.example", "x-1.2.c3", &longest] {
            assert_eq!(NodeName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_outside_the_form() {
        let label = "a".repeat(63);
        let too_long = format!("{label}.{label}.{label}.{}", "b".repeat(62));
        assert_eq!(NodeName::parse(""), Err(NameError::Empty));
        assert_eq!(
            NodeName::parse(&too_long),
            Err(NameError::TooLong { bytes: 254 })
        );
        assert_eq!(NodeName::parse("localhost"), Err(NameError::OneLabel));
        for name in ["A.b", "a_b.c", "a b.c", "a.b/c", "ä.b", "a.b\n"] {
            let result = NodeName::parse(name);
            assert!(matches!(result, Err(NameError::Character { .. })), "{name}");
        }
        let label64 = format!("{}.b", "a".repeat(64));
        for name in [
            ".a.b",
            "a.b.",
            "a..b",
            "-a.b",
            "a-.b",
            "a.1",
            "192.0.2.1",
            &label64,
        ] {
            let result = NodeName::parse(name);
            assert!(matches!(result, Err(NameError::Label { .. })), "{name}");
        }
    }

    #[test]
    fn origin_reverses() {
        let origin = Origin::parse("a.b/c.d").unwrap();
        assert_eq!(origin.to_string(), "a.b/c.d");
        assert_eq!(origin.reversed().to_string(), "c.d/a.b");
        assert_eq!(origin.reversed().reversed(), origin);
        assert_eq!(Origin::parse("a.b"), Err(NameError::NoSlash));
        assert!(Origin::parse("a.b/c.d/e.f").is_err());
    }
}
