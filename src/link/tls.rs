//! From files to rustls configurations: TLS 1.3 only, post-quantum key exchange first, ALPN `h2`.
//!
//! Deliberately absent: early data, tickets and resumption (every connection shows its certificate
//! again, so revocation holds at once), process-wide defaults of rustls.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::door::{DeskJudge, Door, Judge, PeerJudge, PinnedJudge, Trust};
use super::expiry::{Expires, Use};
use super::files::{Files, MaterialError};
use super::leaf::{Facts, crl_next_update_unix};
use crate::model::NodeName;

/// The only application protocol spoken.
pub const ALPN: &[u8] = b"h2";

/// aws-lc-rs, narrowed to TLS 1.3, X25519MLKEM768 preferred.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP384R1,
            kx_group::SECP256R1,
        ],
        ..aws_lc_rs::default_provider()
    })
}

/// What holds for all material of a node.
#[derive(Clone)]
pub struct TlsOptions {
    /// Take authorities that the example generator made. For trials and the demo only.
    pub allow_example_ca: bool,
    /// The clock by which certificates are judged.
    pub time: Arc<dyn TimeProvider>,
}

impl TlsOptions {
    /// The machine's clock.
    #[must_use]
    pub fn new(allow_example_ca: bool) -> Self {
        Self {
            allow_example_ca,
            time: Arc::new(DefaultTimeProvider),
        }
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("allow_example_ca", &self.allow_example_ca)
            .finish_non_exhaustive()
    }
}

/// Where an own certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFiles {
    /// PEM, the end-entity certificate first, then intermediates.
    pub certificate: PathBuf,
    /// PEM, unencrypted, mode 0600.
    pub key: PathBuf,
}

/// What a link pins: the authorities of the peer's card, and revocation lists.
#[derive(Debug, Clone)]
pub struct PeerTrust {
    /// The name that these roots may speak for.
    pub peer: NodeName,
    /// From the peer's card.
    pub authorities: Vec<CertificateDer<'static>>,
    /// PEM or DER files.
    pub crls: Vec<PathBuf>,
}

/// What a listener needs of its material.
pub trait ServerTls: fmt::Debug + Send + Sync + 'static {
    /// For new connections.
    fn server_config(&self) -> Arc<ServerConfig>;
    /// For identifying and re-judging connections.
    fn judge(&self) -> Arc<dyn Judge>;
    /// The clock by which they are judged.
    fn time(&self) -> Arc<dyn TimeProvider>;
}

/// Node to node: the own certificate for both directions, and each link's roots.
#[derive(Debug)]
pub struct ExchangeTls {
    server: Arc<ServerConfig>,
    judge: Arc<PeerJudge>,
    clients: BTreeMap<NodeName, ClientTls>,
    expires: Vec<Expires>,
    options: TlsOptions,
}

impl ExchangeTls {
    /// Reads and checks everything; run it inside [`super::reload::Reloader::new`].
    ///
    /// # Errors
    ///
    /// The first [`MaterialError`]; nothing is half-used.
    pub fn load(
        files: &mut Files,
        node: &NodeName,
        own: &OwnFiles,
        peers: &[PeerTrust],
        options: &TlsOptions,
    ) -> Result<Self, MaterialError> {
        let provider = provider();
        let mut expires = Vec::new();
        let own = Own::load(files, node, own, Purpose::Node, options, &mut expires)?;

        let mut links = BTreeMap::new();
        let mut clients = BTreeMap::new();
        for peer in peers {
            let trust = TrustSource {
                what: format!("link {}", peer.peer),
                authorities: &peer.authorities,
                crls: &peer.crls,
            };
            let trust = Arc::new(trust.load(files, &provider, options, &mut expires)?);
            links.insert(peer.peer.clone(), trust.clone());
            let client = ClientTls::new(&own, peer.peer.clone(), trust, &provider, options)?;
            clients.insert(peer.peer.clone(), client);
        }

        let judge = Arc::new(PeerJudge::new(links));
        Ok(Self {
            server: own.server(judge.clone(), &provider, options)?,
            judge,
            clients,
            expires,
            options: options.clone(),
        })
    }

    /// For dialling `peer`; `None` if there is no such link.
    #[must_use]
    pub fn client(&self, peer: &NodeName) -> Option<&ClientTls> {
        self.clients.get(peer)
    }

    /// Every certificate and revocation list with its end, for [`super::expiry`].
    #[must_use]
    pub fn expires(&self) -> &[Expires] {
        &self.expires
    }
}

impl ServerTls for ExchangeTls {
    fn server_config(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    fn judge(&self) -> Arc<dyn Judge> {
        self.judge.clone()
    }

    fn time(&self) -> Arc<dyn TimeProvider> {
        self.options.time.clone()
    }
}

/// Where the desk's TCP listener has its material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskFiles {
    /// The listener's own certificate; its dNSName is the node name.
    pub own: OwnFiles,
    /// PEM, the own side's authorities for clients.
    pub client_ca: PathBuf,
    /// PEM or DER.
    pub crls: Vec<PathBuf>,
}

/// Own people and programs to their node over TCP.
#[derive(Debug)]
pub struct DeskTls {
    server: Arc<ServerConfig>,
    judge: Arc<DeskJudge>,
    expires: Vec<Expires>,
    options: TlsOptions,
}

impl DeskTls {
    /// Reads and checks everything; run it inside [`super::reload::Reloader::new`].
    ///
    /// # Errors
    ///
    /// The first [`MaterialError`]; nothing is half-used.
    pub fn load(
        files: &mut Files,
        node: &NodeName,
        desk: &DeskFiles,
        options: &TlsOptions,
    ) -> Result<Self, MaterialError> {
        let provider = provider();
        let mut expires = Vec::new();
        let own = Own::load(
            files,
            node,
            &desk.own,
            Purpose::DeskServer,
            options,
            &mut expires,
        )?;
        let authorities = files.certificates(&desk.client_ca)?;
        let trust = TrustSource {
            what: "desk".to_owned(),
            authorities: &authorities,
            crls: &desk.crls,
        };
        let trust = Arc::new(trust.load(files, &provider, options, &mut expires)?);
        let judge = Arc::new(DeskJudge::new(node.clone(), trust));
        Ok(Self {
            server: own.server(judge.clone(), &provider, options)?,
            judge,
            expires,
            options: options.clone(),
        })
    }

    /// Every certificate and revocation list with its end, for [`super::expiry`].
    #[must_use]
    pub fn expires(&self) -> &[Expires] {
        &self.expires
    }
}

impl ServerTls for DeskTls {
    fn server_config(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    fn judge(&self) -> Arc<dyn Judge> {
        self.judge.clone()
    }

    fn time(&self) -> Arc<dyn TimeProvider> {
        self.options.time.clone()
    }
}

/// For dialling one node by its name.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    judge: Arc<PinnedJudge>,
    time: TlsOptions,
}

impl ClientTls {
    /// A program's or person's material for the desk of `node` over TCP.
    ///
    /// # Errors
    ///
    /// The first [`MaterialError`].
    pub fn desk(
        node: &NodeName,
        own: &OwnFiles,
        server_ca: &std::path::Path,
        options: &TlsOptions,
    ) -> Result<Self, MaterialError> {
        let provider = provider();
        let files = &mut Files::new();
        let mut expires = Vec::new();
        let own = Own::load(files, node, own, Purpose::DeskClient, options, &mut expires)?;
        let authorities = files.certificates(server_ca)?;
        let trust = TrustSource {
            what: "desk".to_owned(),
            authorities: &authorities,
            crls: &[],
        };
        let trust = Arc::new(trust.load(files, &provider, options, &mut expires)?);
        Self::new(&own, node.clone(), trust, &provider, options)
    }

    fn new(
        own: &Own,
        node: NodeName,
        trust: Arc<Trust>,
        provider: &Arc<CryptoProvider>,
        options: &TlsOptions,
    ) -> Result<Self, MaterialError> {
        let fault = |source| MaterialError::Tls {
            file: own.file.clone(),
            key: own.key_file.clone(),
            source,
        };
        let judge = Arc::new(PinnedJudge::new(node, trust).map_err(fault)?);
        let door = Door::new(judge.clone(), provider.clone());
        let mut config = ClientConfig::builder_with_details(provider.clone(), options.time.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(fault)?
            .dangerous() // rustls's word for any verifier of one's own: this one asks webpki, and more
            .with_custom_certificate_verifier(Arc::new(door))
            .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
            .map_err(fault)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(Self {
            config: Arc::new(config),
            judge,
            time: options.clone(),
        })
    }

    /// For tokio-rustls.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Who is expected, and by whose word.
    #[must_use]
    pub fn judge(&self) -> &Arc<PinnedJudge> {
        &self.judge
    }

    /// The clock by which the other side is judged.
    #[must_use]
    pub fn time(&self) -> &Arc<dyn TimeProvider> {
        &self.time.time
    }
}

/// What an own certificate is for, so that a wrong one is found at start and not by the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Node,
    DeskServer,
    DeskClient,
}

/// An own certificate, read and checked.
struct Own {
    file: PathBuf,
    key_file: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Own {
    fn load(
        files: &mut Files,
        node: &NodeName,
        own: &OwnFiles,
        purpose: Purpose,
        options: &TlsOptions,
        expires: &mut Vec<Expires>,
    ) -> Result<Self, MaterialError> {
        let chain = files.certificates(&own.certificate)?;
        let fault = |reason: String| MaterialError::Certificate {
            file: own.certificate.clone(),
            reason,
        };
        let facts = Facts::read(&chain[0]).map_err(|refusal| fault(refusal.to_string()))?;
        let needs_name = purpose != Purpose::DeskClient;
        if needs_name && !facts.dns_names.iter().any(|name| name == node.as_str()) {
            return Err(fault(format!("it lacks the dNSName {node}")));
        }
        if purpose == Purpose::DeskClient && facts.uris.len() != 1 {
            return Err(fault(
                "it lacks the one SPIFFE URI that gives the role".to_owned(),
            ));
        }
        if purpose != Purpose::DeskServer && !facts.client_auth {
            return Err(fault("its extended key usage lacks clientAuth".to_owned()));
        }
        if purpose != Purpose::DeskClient && !facts.server_auth {
            return Err(fault("its extended key usage lacks serverAuth".to_owned()));
        }
        if facts.is_example && !options.allow_example_ca {
            return Err(MaterialError::ExampleAuthority {
                what: own.certificate.display().to_string(),
            });
        }
        expires.push(Expires {
            of: match purpose {
                Purpose::Node => Use::Node,
                Purpose::DeskServer => Use::DeskServer,
                Purpose::DeskClient => Use::DeskClient,
            },
            not_after_unix: facts.not_after_unix,
        });
        Ok(Self {
            file: own.certificate.clone(),
            key_file: own.key.clone(),
            chain,
            key: files.private_key(&own.key)?,
        })
    }

    fn server<J: Judge>(
        &self,
        judge: Arc<J>,
        provider: &Arc<CryptoProvider>,
        options: &TlsOptions,
    ) -> Result<Arc<ServerConfig>, MaterialError> {
        let fault = |source| MaterialError::Tls {
            file: self.file.clone(),
            key: self.key_file.clone(),
            source,
        };
        let door = Arc::new(Door::new(judge, provider.clone()));
        let mut config = ServerConfig::builder_with_details(provider.clone(), options.time.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(fault)?
            .with_client_cert_verifier(door)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(fault)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }
}

/// Authorities and revocation lists of one link or of the desk.
struct TrustSource<'a> {
    what: String,
    authorities: &'a [CertificateDer<'static>],
    crls: &'a [PathBuf],
}

impl TrustSource<'_> {
    fn load(
        &self,
        files: &mut Files,
        provider: &Arc<CryptoProvider>,
        options: &TlsOptions,
        expires: &mut Vec<Expires>,
    ) -> Result<Trust, MaterialError> {
        let fault = |reason: String| MaterialError::Trust {
            what: format!("authority of {}", self.what),
            reason,
        };
        for der in self.authorities {
            let facts = Facts::read(der).map_err(|refusal| fault(refusal.to_string()))?;
            if !facts.is_authority {
                return Err(fault(
                    "this is not an authority's certificate (basic constraints); give the CA, not \
                     what it issued"
                        .to_owned(),
                ));
            }
            if facts.is_example && !options.allow_example_ca {
                return Err(MaterialError::ExampleAuthority {
                    what: format!("the authority of {}", self.what),
                });
            }
            expires.push(Expires {
                of: Use::Authority(self.what.clone()),
                not_after_unix: facts.not_after_unix,
            });
        }
        if self.authorities.is_empty() {
            return Err(fault("none is given".to_owned()));
        }

        let mut lists: Vec<CertificateRevocationListDer<'static>> = Vec::new();
        for path in self.crls {
            for list in files.crls(path)? {
                let next_update =
                    crl_next_update_unix(&list).map_err(|_| MaterialError::NotPem {
                        file: path.clone(),
                        reason: "not a revocation list",
                    })?;
                if let Some(not_after_unix) = next_update {
                    expires.push(Expires {
                        of: Use::RevocationList(path.display().to_string()),
                        not_after_unix,
                    });
                }
                lists.push(list);
            }
        }
        Trust::new(self.authorities, &lists, provider).map_err(|error| fault(error.to_string()))
    }
}

/// A rustls error in words for the own log, with the door's own reason where it has one.
#[must_use]
pub fn reason(error: &rustls::Error) -> String {
    if let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = error {
        return other.0.to_string();
    }
    error.to_string()
}
