//! Who may come in. Each link has its own roots, and they speak for that link's name only.
//!
//! # Architecture invariant
//!
//! A certificate is judged by the roots pinned for the one name that it claims. A peer's
//! authority can therefore issue whatever it likes: it opens that peer's link and no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    RootCertStore, SignatureScheme,
};

use super::identity::{DeskIdentity, Identity, PeerIdentity};
use super::leaf::{Facts, Refusal};
use crate::model::NodeName;

/// The roots of one link or of the desk, with their revocation lists.
#[derive(Debug)]
pub struct Trust {
    anchors: Vec<Anchor>,
}

/// One root. webpki ignores the validity of what it is told to trust, so it is kept beside.
#[derive(Debug)]
struct Anchor {
    not_before_unix: i64,
    not_after_unix: i64,
    client: Arc<dyn ClientCertVerifier>,
    server: Arc<WebPkiServerVerifier>,
}

impl Trust {
    /// Trusts exactly these authorities. With any revocation list given, the status of every
    /// certificate of a chain must be known from one of them; a list past its next update still
    /// counts (its age is warned of instead, so that a late courier does not cut the line).
    ///
    /// # Errors
    ///
    /// What rustls says of an authority or list that it cannot use.
    pub fn new(
        authorities: &[CertificateDer<'static>],
        crls: &[CertificateRevocationListDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let mut anchors = Vec::with_capacity(authorities.len());
        for der in authorities {
            let facts = Facts::read(der)?;
            let mut roots = RootCertStore::empty();
            roots.add(der.clone())?;
            let roots = Arc::new(roots);
            let unusable = |error| Error::General(format!("{error}"));
            let client =
                WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
                    .with_crls(crls.iter().cloned())
                    .build()
                    .map_err(unusable)?;
            let server = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                .with_crls(crls.iter().cloned())
                .build()
                .map_err(unusable)?;
            anchors.push(Anchor {
                not_before_unix: facts.not_before_unix,
                not_after_unix: facts.not_after_unix,
                client,
                server,
            });
        }
        Ok(Self { anchors })
    }

    /// Tries every root that is valid now and keeps the most telling error.
    fn any(
        &self,
        now: UnixTime,
        try_one: impl Fn(&Anchor) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let mut worst = Error::from(Refusal::AuthorityExpired);
        for anchor in &self.anchors {
            if now < anchor.not_before_unix || now > anchor.not_after_unix {
                continue;
            }
            match try_one(anchor) {
                Ok(()) => return Ok(()),
                // Of two roots, the one that did not issue the chain has nothing to say.
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
                    if !is_expired_authority(&worst) => {}
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }

    fn verify_client(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.any(now, |anchor| {
            anchor
                .client
                .verify_client_cert(end_entity, intermediates, now)
                .map(|_| ())
        })
    }

    fn verify_server(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        self.any(now, |anchor| {
            anchor
                .server
                .verify_server_cert(end_entity, intermediates, name, &[], now)
                .map(|_| ())
        })
    }
}

fn is_expired_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    matches!(other.0.downcast_ref(), Some(Refusal::AuthorityExpired))
}

/// Judges a chain by what it may do here. Both listeners and the watch over open connections ask
/// the same question through it.
pub trait Judge: std::fmt::Debug + Send + Sync + 'static {
    /// Who the end-entity certificate claims to be, and whether that claim holds now.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] or webpki's error, as a rustls error.
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Identity, Error>;
}

/// The exchange listener's judge: the certificate's dNSName chooses the link.
#[derive(Debug)]
pub struct PeerJudge {
    links: BTreeMap<NodeName, Arc<Trust>>,
}

impl PeerJudge {
    /// One set of roots per peer name.
    #[must_use]
    pub fn new(links: BTreeMap<NodeName, Arc<Trust>>) -> Self {
        Self { links }
    }
}

impl Judge for PeerJudge {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Identity, Error> {
        // 1. Which link? Exactly one known name; wildcards are never matched.
        let facts = Facts::read(end_entity)?;
        let mut known: Vec<_> = facts
            .dns_names
            .iter()
            .filter_map(|name| NodeName::parse(name).ok())
            .filter_map(|name| self.links.get_key_value(&name))
            .collect();
        known.dedup_by_key(|(name, _)| name.as_str());
        let [(name, trust)] = known[..] else {
            return Err(if known.is_empty() {
                let shown = facts
                    .dns_names
                    .iter()
                    .find(|name| NodeName::parse(name).is_ok());
                Refusal::UnknownPeer {
                    shown: shown.map_or_else(|| "none".to_owned(), Clone::clone),
                }
            } else {
                Refusal::SeveralPeers { known: known.len() }
            }
            .into());
        };
        // 2. For this use?
        if !facts.client_auth {
            return Err(Refusal::Usage("clientAuth").into());
        }
        // 3. By that link's own roots?
        trust.verify_client(end_entity, intermediates, now)?;
        Ok(Identity::Peer(PeerIdentity { node: name.clone() }))
    }
}

/// The desk listener's judge: the own side's authority, and a SPIFFE URI for the role.
#[derive(Debug)]
pub struct DeskJudge {
    node: NodeName,
    trust: Arc<Trust>,
}

impl DeskJudge {
    /// The desk of `node`, which trusts the roots of its own side.
    #[must_use]
    pub fn new(node: NodeName, trust: Arc<Trust>) -> Self {
        Self { node, trust }
    }
}

impl Judge for DeskJudge {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Identity, Error> {
        let facts = Facts::read(end_entity)?;
        let [uri] = &facts.uris[..] else {
            return Err(Refusal::UriCount {
                uris: facts.uris.len(),
            }
            .into());
        };
        let identity = DeskIdentity::parse_uri(uri, &self.node).map_err(Refusal::Spiffe)?;
        if !facts.client_auth {
            return Err(Refusal::Usage("clientAuth").into());
        }
        self.trust.verify_client(end_entity, intermediates, now)?;
        Ok(Identity::Desk(identity))
    }
}

/// The dialling side's judge: this name, by these roots, whatever address was dialled.
#[derive(Debug)]
pub struct PinnedJudge {
    node: NodeName,
    server_name: ServerName<'static>,
    trust: Arc<Trust>,
}

impl PinnedJudge {
    /// Expects `node`.
    ///
    /// # Errors
    ///
    /// If rustls does not take the name for a DNS name.
    pub fn new(node: NodeName, trust: Arc<Trust>) -> Result<Self, Error> {
        let server_name = ServerName::try_from(node.as_str().to_owned())
            .map_err(|_| Error::General(format!("{node} is not a DNS name")))?;
        Ok(Self {
            node,
            server_name,
            trust,
        })
    }

    /// What is asked for in the handshake (SNI).
    #[must_use]
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }
}

impl Judge for PinnedJudge {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Identity, Error> {
        // webpki would let a wildcard stand for the name; a peer is named in full.
        let facts = Facts::read(end_entity)?;
        if !facts
            .dns_names
            .iter()
            .any(|name| name == self.node.as_str())
        {
            return Err(Refusal::WrongName {
                expected: self.node.to_string(),
            }
            .into());
        }
        if !facts.server_auth {
            return Err(Refusal::Usage("serverAuth").into());
        }
        self.trust
            .verify_server(end_entity, intermediates, &self.server_name, now)?;
        Ok(Identity::Peer(PeerIdentity {
            node: self.node.clone(),
        }))
    }
}

/// Hands rustls's questions to a [`Judge`].
#[derive(Debug)]
pub(super) struct Door<J> {
    judge: Arc<J>,
    provider: Arc<CryptoProvider>,
}

impl<J> Door<J> {
    pub(super) fn new(judge: Arc<J>, provider: Arc<CryptoProvider>) -> Self {
        Self { judge, provider }
    }

    fn handshake_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl<J: Judge> ClientCertVerifier for Door<J> {
    /// Empty: a stranger is not told whom this node knows.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge.judge(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.handshake_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ServerCertVerifier for Door<PinnedJudge> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // A configuration is made for one name; asked for another, it answers no.
        if server_name != self.judge.server_name() {
            return Err(CertificateError::NotValidForName.into());
        }
        self.judge.judge(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.handshake_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

#[cfg(test)]
mod tests;
