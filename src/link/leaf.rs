//! What a certificate says, read strictly and only as far as the doors need it.
//!
//! Deliberately absent: chain building and signatures, which are webpki's.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

use super::identity::SpiffeError;

/// The organization in the distinguished name of everything that [`super::pki`] and the example
/// script make. A node refuses an authority that bears it unless it is told otherwise.
pub const EXAMPLE_ORGANIZATION: &str = "LIAISON EXAMPLE - NOT FOR USE";

/// Names in one certificate beyond which it is refused unread.
const NAMES_MAX: usize = 64;

/// The facts of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// dNSName alternative names, as written.
    pub dns_names: Vec<String>,
    /// URI alternative names, as written.
    pub uris: Vec<String>,
    /// The extended key usage is present and names clientAuth.
    pub client_auth: bool,
    /// The extended key usage is present and names serverAuth.
    pub server_auth: bool,
    /// Basic constraints say it is an authority.
    pub is_authority: bool,
    /// Subject or issuer bears [`EXAMPLE_ORGANIZATION`].
    pub is_example: bool,
    /// First second of validity, Unix time.
    pub not_before_unix: i64,
    /// Last second of validity, Unix time.
    pub not_after_unix: i64,
}

impl Facts {
    /// Reads one DER certificate.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unreadable`] if it is not exactly one well-formed X.509 certificate.
    pub fn read(der: &[u8]) -> Result<Self, Refusal> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| Refusal::Unreadable("not X.509"))?;
        if !rest.is_empty() {
            return Err(Refusal::Unreadable("bytes behind the certificate"));
        }

        let mut dns_names = Vec::new();
        let mut uris = Vec::new();
        let alternative = certificate
            .subject_alternative_name()
            .map_err(|_| Refusal::Unreadable("subject alternative name"))?;
        if let Some(alternative) = alternative {
            if alternative.value.general_names.len() > NAMES_MAX {
                return Err(Refusal::Unreadable("too many alternative names"));
            }
            for name in &alternative.value.general_names {
                match name {
                    GeneralName::DNSName(dns) => dns_names.push((*dns).to_owned()),
                    GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                    _ => {}
                }
            }
        }

        // webpki takes a certificate without the extension for one that may do everything.
        let usage = certificate
            .extended_key_usage()
            .map_err(|_| Refusal::Unreadable("extended key usage"))?;
        let constraints = certificate
            .basic_constraints()
            .map_err(|_| Refusal::Unreadable("basic constraints"))?;
        let is_example = [certificate.subject(), certificate.issuer()]
            .into_iter()
            .flat_map(x509_parser::prelude::X509Name::iter_organization)
            .any(|part| part.as_str().is_ok_and(|text| text == EXAMPLE_ORGANIZATION));

        Ok(Self {
            dns_names,
            uris,
            client_auth: usage.as_ref().is_some_and(|usage| usage.value.client_auth),
            server_auth: usage.as_ref().is_some_and(|usage| usage.value.server_auth),
            is_authority: constraints.is_some_and(|constraints| constraints.value.ca),
            is_example,
            not_before_unix: certificate.validity().not_before.timestamp(),
            not_after_unix: certificate.validity().not_after.timestamp(),
        })
    }
}

/// The time by which a revocation list is to be replaced, Unix time; `None` if it names none.
///
/// # Errors
///
/// [`Refusal::Unreadable`] if it is not a revocation list.
pub fn crl_next_update_unix(der: &[u8]) -> Result<Option<i64>, Refusal> {
    let (_, list) = CertificateRevocationList::from_der(der)
        .map_err(|_| Refusal::Unreadable("revocation list"))?;
    Ok(list.next_update().map(|time| time.timestamp()))
}

/// Why a certificate is not let in. Texts are for the own log: the peer sees only a TLS alert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No certificate was shown.
    #[error("no certificate was shown")]
    Missing,
    /// It cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(&'static str),
    /// Its names are of no link.
    #[error("the certificate names no known peer (dNSName {shown}); add a link or ask the peer")]
    UnknownPeer {
        /// The first name, if it can be a node name.
        shown: String,
    },
    /// Its names are of more than one link.
    #[error("the certificate names {known} known peers; it must name exactly one")]
    SeveralPeers {
        /// How many.
        known: usize,
    },
    /// The dialled node shows another name.
    #[error("the certificate does not name {expected}, the node that was dialled")]
    WrongName {
        /// The node name that was dialled.
        expected: String,
    },
    /// Its extended key usage lacks what it is used for.
    #[error("the certificate's extended key usage lacks {0}")]
    Usage(&'static str),
    /// Not exactly one URI.
    #[error("the certificate has {uris} URI alternative names; it must have exactly one")]
    UriCount {
        /// How many.
        uris: usize,
    },
    /// Its URI is no identity of this desk.
    #[error(transparent)]
    Spiffe(#[from] SpiffeError),
    /// Every pinned authority is outside its own validity.
    #[error("no authority pinned for it is valid now; ask for the successor's certificate")]
    AuthorityExpired,
}

impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        let other = rustls::OtherError(std::sync::Arc::new(refusal));
        Self::InvalidCertificate(rustls::CertificateError::Other(other))
    }
}
