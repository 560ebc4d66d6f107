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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::link::files::parse_certificates;
    use crate::link::identity::Role;
    use crate::link::pki::{Authority, Leaf, Validity};
    use crate::link::tls::{provider, reason};

    const NOW: u64 = 1_790_000_000;

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).unwrap()
    }

    fn authority(common_name: &str) -> Authority {
        Authority::new("Border Office", common_name, Validity::days(NOW, 30)).unwrap()
    }

    fn trust(authority: &Authority, crl: Option<&str>) -> Arc<Trust> {
        use rustls::pki_types::pem::PemObject as _;
        let roots = parse_certificates(authority.certificate_pem().as_bytes()).unwrap();
        let crls: Vec<_> = crl
            .map(|pem| CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap())
            .into_iter()
            .collect();
        Arc::new(Trust::new(&roots, &crls, &provider()).unwrap())
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// What a judge says to a certificate, in the words of the log.
    fn verdict(judge: &dyn Judge, pem: &str, seconds: u64) -> Result<Identity, String> {
        let chain = parse_certificates(pem.as_bytes()).unwrap();
        judge
            .judge(&chain[0], &chain[1..], at(seconds))
            .map_err(|error| reason(&error))
    }

    #[test]
    fn a_peers_certificate_is_refused_for_the_right_reason() {
        let (hekou, mohan) = (name("hekou.ni.cn.example"), name("mohan.ni.cn.example"));
        let (mut of_hekou, mut of_mohan) = (authority("one"), authority("two"));
        let validity = Validity::days(NOW, 10);
        let node = Leaf::node(&hekou);
        let good = of_hekou.issue(&node, validity).unwrap();
        let lost = of_hekou.issue(&node, validity).unwrap();
        let crl = of_hekou.revoke(&[&lost], validity).unwrap();
        let judge = PeerJudge::new(BTreeMap::from([
            (hekou.clone(), trust(&of_hekou, Some(&crl))),
            (mohan.clone(), trust(&of_mohan, None)),
        ]));

        let known = Identity::Peer(PeerIdentity {
            node: hekou.clone(),
        });
        assert_eq!(verdict(&judge, &good.certificate_pem, NOW), Ok(known));
        let mut refused = |leaf: &Leaf, by: &mut Authority, seconds| {
            let issued = by.issue(leaf, validity).unwrap();
            verdict(&judge, &issued.certificate_pem, seconds).unwrap_err()
        };

        let text = verdict(&judge, &lost.certificate_pem, NOW).unwrap_err();
        assert!(text.contains("Revoked"), "{text}");
        let text = refused(&node, &mut of_mohan, NOW);
        assert!(text.contains("UnknownIssuer"), "{text}");
        let text = refused(&node, &mut of_hekou, NOW + 11 * 86_400);
        assert!(text.contains("expired"), "{text}");
        let text = refused(&node, &mut of_hekou, NOW - 86_400);
        assert!(
            text.contains("no authority pinned for it is valid now"),
            "{text}"
        );
        let text = refused(
            &Leaf {
                client_auth: false,
                ..node.clone()
            },
            &mut of_hekou,
            NOW,
        );
        assert!(
            text.contains("extended key usage lacks clientAuth"),
            "{text}"
        );
        let both = vec![hekou.to_string(), mohan.to_string()];
        let text = refused(
            &Leaf {
                dns_names: both,
                ..node.clone()
            },
            &mut of_hekou,
            NOW,
        );
        assert!(text.contains("names 2 known peers"), "{text}");
        let text = refused(
            &Leaf::node(&name("other.ni.cn.example")),
            &mut of_hekou,
            NOW,
        );
        assert!(
            text.contains("no known peer (dNSName other.ni.cn.example)"),
            "{text}"
        );
        let hostile = vec!["hekou.ni.cn.example\u{a}FAKE LOG LINE".to_owned()];
        let text = refused(
            &Leaf {
                dns_names: hostile,
                ..node.clone()
            },
            &mut of_hekou,
            NOW,
        );
        assert!(text.contains("(dNSName none)"), "{text}");
        // The same name twice is one name.
        let twice = vec![hekou.to_string(), hekou.to_string()];
        let issued = of_hekou
            .issue(
                &Leaf {
                    dns_names: twice,
                    ..node
                },
                validity,
            )
            .unwrap();
        verdict(&judge, &issued.certificate_pem, NOW).unwrap();
    }

    #[test]
    fn two_authorities_overlap_while_one_succeeds_the_other() {
        let hekou = name("hekou.ni.cn.example");
        let (mut old, mut new) = (authority("one"), authority("two"));
        let both = format!("{}{}", old.certificate_pem(), new.certificate_pem());
        let roots = parse_certificates(both.as_bytes()).unwrap();
        let trust = Arc::new(Trust::new(&roots, &[], &provider()).unwrap());
        let judge = PinnedJudge::new(hekou.clone(), trust).unwrap();
        for issuer in [&mut old, &mut new] {
            let issued = issuer
                .issue(&Leaf::node(&hekou), Validity::days(NOW, 1))
                .unwrap();
            verdict(&judge, &issued.certificate_pem, NOW).unwrap();
            // Neither hides what the other has to say.
            let text = verdict(&judge, &issued.certificate_pem, NOW + 2 * 86_400).unwrap_err();
            assert!(text.contains("expired"), "{text}");
        }
        let text = verdict(&judge, &old.certificate_pem(), NOW).unwrap_err();
        assert!(text.contains("does not name hekou.ni.cn.example"), "{text}");
    }

    #[test]
    fn the_desk_wants_one_uri() {
        let node = name("laocai.bg.vn.example");
        let mut own = authority("own");
        let judge = DeskJudge::new(node.clone(), trust(&own, None));
        let duty = DeskIdentity::new(Role::Operator, "duty-1").unwrap();
        let good = Leaf::desk_client(&node, &duty);
        let mut says = |leaf: &Leaf| {
            let issued = own.issue(leaf, Validity::days(NOW, 1)).unwrap();
            verdict(&judge, &issued.certificate_pem, NOW)
        };
        assert_eq!(says(&good), Ok(Identity::Desk(duty)));
        let text = says(&Leaf::node(&node)).unwrap_err();
        assert!(text.contains("has 0 URI alternative names"), "{text}");
        let text = says(&Leaf {
            client_auth: false,
            ..good.clone()
        })
        .unwrap_err();
        assert!(text.contains("lacks clientAuth"), "{text}");
        let other = DeskIdentity::new(Role::Admin, "someone").unwrap();
        let text = says(&Leaf::desk_client(&name("hekou.ni.cn.example"), &other)).unwrap_err();
        assert!(
            text.contains("trust domain") && !text.contains("someone"),
            "{text}"
        );
    }
}
