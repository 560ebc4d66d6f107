//! Who is at the other end of a connection, as the handshake has shown it.

use std::fmt;
use std::str::FromStr;

use crate::model::NodeName;

/// What an identity of the desk may be used for. Default deny: a role has only what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A person on duty: sends, reads, acknowledges.
    Operator,
    /// A program: sends the kinds that the configuration names and sees its own messages.
    Integration,
    /// Reads and exports, never sends.
    Auditor,
    /// Runs the node and sees no bodies.
    Admin,
}

impl Role {
    /// Every role, in the order of the documentation.
    pub const ALL: [Self; 4] = [
        Self::Operator,
        Self::Integration,
        Self::Auditor,
        Self::Admin,
    ];

    /// The word in a SPIFFE URI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Integration => "integration",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A peer node: its certificate chains to the roots pinned for this very name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerIdentity {
    /// The peer's node name, from the certificate's dNSName.
    pub node: NodeName,
}

/// A person or program of the own side: `spiffe://<node>/role/<role>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeskIdentity {
    /// What it may do.
    pub role: Role,
    /// Which one it is: 1 to 64 of `a-z`, `0-9`, `-`, `_`, `.`, beginning with a letter or digit.
    pub name: String,
}

/// Bytes of a desk name.
const DESK_NAME_BYTES_MAX: usize = 64;

impl DeskIdentity {
    /// Reads the URI of a client certificate that must belong to `node`.
    ///
    /// Strict: no query, no port, no percent-encoding, no upper case, no empty or further part.
    ///
    /// # Errors
    ///
    /// [`SpiffeError`] names the part that is wrong.
    ///
    /// Source: SPIFFE-ID standard, section 2.
    pub fn parse_uri(uri: &str, node: &NodeName) -> Result<Self, SpiffeError> {
        let rest = uri.strip_prefix("spiffe://").ok_or(SpiffeError::Scheme)?;
        let (trust_domain, path) = rest.split_once('/').ok_or(SpiffeError::Path)?;
        if trust_domain != node.as_str() {
            return Err(SpiffeError::TrustDomain);
        }
        let (role, name) = path
            .strip_prefix("role/")
            .and_then(|path| path.split_once('/'))
            .ok_or(SpiffeError::Path)?;
        let role = Role::ALL
            .into_iter()
            .find(|known| known.as_str() == role)
            .ok_or(SpiffeError::Role)?;
        Self::new(role, name)
    }

    /// An identity with a checked name.
    ///
    /// # Errors
    ///
    /// [`SpiffeError::Name`] if the name is empty, too long or has other characters.
    pub fn new(role: Role, name: &str) -> Result<Self, SpiffeError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts_well = name.bytes().next().is_some_and(plain);
        let all_well = name
            .bytes()
            .all(|byte| plain(byte) || b"-_.".contains(&byte));
        if !starts_well || !all_well || name.len() > DESK_NAME_BYTES_MAX {
            return Err(SpiffeError::Name);
        }
        Ok(Self {
            role,
            name: name.to_owned(),
        })
    }

    /// The URI that a certificate of this identity carries.
    #[must_use]
    pub fn uri(&self, node: &NodeName) -> String {
        format!("spiffe://{node}/role/{}/{}", self.role, self.name)
    }
}

/// Why a URI is not an identity of this desk. Holds no part of it: names may be people's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// Another scheme.
    #[error("the URI does not begin with spiffe://")]
    Scheme,
    /// Another node's.
    #[error("the URI's trust domain is not this node's name")]
    TrustDomain,
    /// Another shape.
    #[error("the URI's path is not /role/<role>/<name>")]
    Path,
    /// No such role.
    #[error("the URI's role is not operator, integration, auditor or admin")]
    Role,
    /// Not a name.
    #[error("the URI's name is not 1 to 64 of a-z 0-9 - _ . beginning with a letter or digit")]
    Name,
}

/// A process on the own machine, known by its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixPeer {
    /// The user id that the kernel gave at connect.
    pub uid: u32,
}

/// Any of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// On the exchange listener, or the node that was dialled.
    Peer(PeerIdentity),
    /// On the desk's TCP listener.
    Desk(DeskIdentity),
    /// On the desk's Unix socket.
    Unix(UnixPeer),
}

impl Identity {
    /// For logs: the kind and, where it is no person, the name.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Peer(peer) => format!("peer {}", peer.node),
            Self::Desk(desk) if desk.role == Role::Integration => {
                format!("integration {}", desk.name)
            }
            Self::Desk(desk) => desk.role.to_string(),
            Self::Unix(unix) => format!("uid {}", unix.uid),
        }
    }
}

impl FromStr for Role {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(SpiffeError::Role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeName {
        NodeName::parse("laocai.bg.vn.example").unwrap()
    }

    #[test]
    fn a_uri_round_trips() {
        let uri = "spiffe://laocai.bg.vn.example/role/integration/radar-2";
        let identity = DeskIdentity::parse_uri(uri, &node()).unwrap();
        assert_eq!(identity.role, Role::Integration);
        assert_eq!(identity.name, "radar-2");
        assert_eq!(identity.uri(&node()), uri);
    }

    #[test]
    fn anything_else_is_refused() {
        for (uri, error) in [
            (
                "https://laocai.bg.vn.example/role/admin/a",
                SpiffeError::Scheme,
            ),
            (
                "SPIFFE://laocai.bg.vn.example/role/admin/a",
                SpiffeError::Scheme,
            ),
            (
                "spiffe://hekou.ni.cn.example/role/admin/a",
                SpiffeError::TrustDomain,
            ),
            (
                "spiffe://laocai.bg.vn.example:1/role/admin/a",
                SpiffeError::TrustDomain,
            ),
            ("spiffe://laocai.bg.vn.example", SpiffeError::Path),
            (
                "spiffe://laocai.bg.vn.example/roles/admin/a",
                SpiffeError::Path,
            ),
            (
                "spiffe://laocai.bg.vn.example/role/admin",
                SpiffeError::Path,
            ),
            (
                "spiffe://laocai.bg.vn.example/role/root/a",
                SpiffeError::Role,
            ),
            ("spiffe://laocai.bg.vn.example/role//a", SpiffeError::Role),
            (
                "spiffe://laocai.bg.vn.example/role/admin/",
                SpiffeError::Name,
            ),
            (
                "spiffe://laocai.bg.vn.example/role/admin/a/b",
                SpiffeError::Name,
            ),
            (
                "spiffe://laocai.bg.vn.example/role/admin/A",
                SpiffeError::Name,
            ),
            (
                "spiffe://laocai.bg.vn.example/role/admin/a%20b",
                SpiffeError::Name,
            ),
            (
                "spiffe://laocai.bg.vn.example/role/admin/..",
                SpiffeError::Name,
            ),
            (
                "spiffe://laocai.bg.vn.example/role/admin/a?x",
                SpiffeError::Name,
            ),
        ] {
            assert_eq!(DeskIdentity::parse_uri(uri, &node()), Err(error), "{uri}");
        }
    }
}
