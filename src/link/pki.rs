//! Keys, certificate requests, and throw-away authorities for trials, the demo and tests.
//!
//! A real side has its own PKI: it takes the requests made here ([`request`]) or makes its own by
//! `certs-example/README.md`. Everything else here bears [`EXAMPLE_ORGANIZATION`] unless told
//! otherwise, and nodes refuse that.
//!
//! Authority and end entity have different distinguished names: OpenSSL takes a certificate whose
//! issuer equals its subject for a self-signed one.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use zeroize::Zeroizing;

use super::identity::DeskIdentity;
pub use super::leaf::EXAMPLE_ORGANIZATION;
use crate::model::NodeName;

/// From when to when, Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before_unix: u64,
    /// Last second.
    pub not_after_unix: u64,
}

impl Validity {
    /// From an hour ago, because clocks differ, for so many days from now.
    #[must_use]
    pub fn days(now_unix: u64, days: u32) -> Self {
        Self {
            not_before_unix: now_unix.saturating_sub(3_600),
            not_after_unix: now_unix.saturating_add(u64::from(days) * 86_400),
        }
    }
}

/// What a certificate is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// For people who read it; nothing is decided by it.
    pub common_name: String,
    /// dNSName alternative names.
    pub dns_names: Vec<String>,
    /// URI alternative names.
    pub uris: Vec<String>,
    /// Extended key usage serverAuth.
    pub server_auth: bool,
    /// Extended key usage clientAuth.
    pub client_auth: bool,
}

impl Leaf {
    /// A node towards its peers: it dials and is dialled with one certificate.
    #[must_use]
    pub fn node(node: &NodeName) -> Self {
        Self {
            common_name: format!("node {node}"),
            dns_names: vec![node.to_string()],
            uris: Vec::new(),
            server_auth: true,
            client_auth: true,
        }
    }

    /// The desk's TCP listener.
    #[must_use]
    pub fn desk_server(node: &NodeName) -> Self {
        Self {
            common_name: format!("desk {node}"),
            client_auth: false,
            ..Self::node(node)
        }
    }

    /// A person or program at the desk.
    #[must_use]
    pub fn desk_client(node: &NodeName, identity: &DeskIdentity) -> Self {
        Self {
            common_name: format!("{} {}", identity.role, identity.name),
            dns_names: Vec::new(),
            uris: vec![identity.uri(node)],
            server_auth: false,
            client_auth: true,
        }
    }

    fn params(&self, organization: &str) -> Result<CertificateParams, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(organization, &self.common_name);
        for dns in &self.dns_names {
            let dns = dns.as_str().try_into().map_err(PkiError::Make)?;
            params.subject_alt_names.push(SanType::DnsName(dns));
        }
        for uri in &self.uris {
            let uri = uri.as_str().try_into().map_err(PkiError::Make)?;
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if self.server_auth {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if self.client_auth {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        Ok(params)
    }
}

fn name(organization: &str, common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organization);
    name.push(DnType::CommonName, common_name);
    name
}

/// A certificate with its key, both PEM.
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key, PKCS#8; secret.
    pub key_pem: Zeroizing<String>,
    serial: SerialNumber,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// A throw-away authority. Issues end entities only (path length 0).
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    organization: String,
    next_serial: u64,
}

impl Authority {
    /// A new authority of the example organization. `common_name` tells it from others.
    ///
    /// # Errors
    ///
    /// [`PkiError::Make`] if the machine has no randomness.
    pub fn example(common_name: &str, validity: Validity) -> Result<Self, PkiError> {
        Self::new(EXAMPLE_ORGANIZATION, common_name, validity)
    }

    /// A new authority of any organization; for tests of what a real one would do.
    ///
    /// # Errors
    ///
    /// [`PkiError::Make`] if the machine has no randomness.
    pub fn new(
        organization: &str,
        common_name: &str,
        validity: Validity,
    ) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Make)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name(organization, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, validity);
        let certificate = params.self_signed(&key).map_err(PkiError::Make)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            organization: organization.to_owned(),
            next_serial: 1,
        })
    }

    /// The certificate that others pin.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The key, PKCS#8 PEM; secret. A throw-away authority may simply forget it.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// A certificate with a new key.
    ///
    /// # Errors
    ///
    /// [`PkiError::Make`] if a name is none.
    pub fn issue(&mut self, leaf: &Leaf, validity: Validity) -> Result<Issued, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Make)?;
        let mut params = leaf.params(&self.organization)?;
        set_validity(&mut params, validity);
        params.use_authority_key_identifier_extension = true;
        let serial = self.serial();
        params.serial_number = Some(serial.clone());
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(PkiError::Make)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
            serial,
        })
    }

    /// A list that revokes these certificates, PEM.
    ///
    /// # Errors
    ///
    /// [`PkiError::Make`] if the validity is none.
    pub fn revoke(&mut self, revoked: &[&Issued], validity: Validity) -> Result<String, PkiError> {
        let this_update =
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(validity.not_before_unix);
        let list = CertificateRevocationListParams {
            this_update,
            next_update: rcgen::date_time_ymd(1970, 1, 1)
                + Duration::from_secs(validity.not_after_unix),
            crl_number: self.serial(),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|issued| RevokedCertParams {
                    serial_number: issued.serial.clone(),
                    revocation_time: this_update,
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).map_err(PkiError::Make)?;
        list.pem().map_err(PkiError::Make)
    }

    fn serial(&mut self) -> SerialNumber {
        let serial = SerialNumber::from(self.next_serial);
        self.next_serial += 1;
        serial
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("organization", &self.organization)
            .finish_non_exhaustive()
    }
}

/// A new key and a request (PKCS#10) for a real authority to sign, both PEM. What the authority
/// makes of the request is its own decision: check the answer's names and usages.
///
/// # Errors
///
/// [`PkiError::Make`] if a name is none.
pub fn request(organization: &str, leaf: &Leaf) -> Result<Request, PkiError> {
    let key = KeyPair::generate().map_err(PkiError::Make)?;
    let params = leaf.params(organization)?;
    let request = params.serialize_request(&key).map_err(PkiError::Make)?;
    Ok(Request {
        request_pem: request.pem().map_err(PkiError::Make)?,
        key_pem: Zeroizing::new(key.serialize_pem()),
    })
}

/// A request with its key, both PEM.
pub struct Request {
    /// For the authority.
    pub request_pem: String,
    /// Stays here; PKCS#8, secret.
    pub key_pem: Zeroizing<String>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

/// Writes a secret to a new file that only its owner can read.
///
/// # Errors
///
/// [`PkiError::Write`]; in particular a file that is there already is never replaced.
pub fn write_secret(path: &Path, text: &str) -> Result<(), PkiError> {
    write_new(path, text, 0o600)
}

/// Writes a certificate, request or revocation list to a new file.
///
/// # Errors
///
/// [`PkiError::Write`]; in particular a file that is there already is never replaced.
pub fn write_public(path: &Path, text: &str) -> Result<(), PkiError> {
    write_new(path, text, 0o644)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    let fault = |source| PkiError::Write {
        file: path.to_owned(),
        source,
    };
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    file.sync_all().map_err(fault)
}

fn set_validity(params: &mut CertificateParams, validity: Validity) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(validity.not_before_unix);
    params.not_after = epoch + Duration::from_secs(validity.not_after_unix);
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The content is impossible.
    #[error("the certificate cannot be made: {0}")]
    Make(rcgen::Error),
    /// The file cannot be written.
    #[error("{}: {source}", file.display())]
    Write {
        /// Which.
        file: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::files::parse_certificates;
    use crate::link::identity::Role;
    use crate::link::leaf::Facts;

    const NOW: u64 = 1_790_000_000;

    fn node() -> NodeName {
        NodeName::parse("laocai.bg.vn.example").unwrap()
    }

    fn facts(pem: &str) -> Facts {
        Facts::read(&parse_certificates(pem.as_bytes()).unwrap()[0]).unwrap()
    }

    #[test]
    fn certificates_say_what_they_are_for() {
        let validity = Validity::days(NOW, 30);
        let mut authority = Authority::example("example node CA", validity).unwrap();
        let of_authority = facts(&authority.certificate_pem());
        assert!(of_authority.is_authority && of_authority.is_example);

        let of_node = facts(
            &authority
                .issue(&Leaf::node(&node()), validity)
                .unwrap()
                .certificate_pem,
        );
        assert_eq!(of_node.dns_names, [node().as_str()]);
        assert!(of_node.client_auth && of_node.server_auth && !of_node.is_authority);
        assert_eq!(
            of_node.not_after_unix,
            i64::try_from(NOW + 30 * 86_400).unwrap()
        );

        let radar = DeskIdentity::new(Role::Integration, "radar").unwrap();
        let leaf = Leaf::desk_client(&node(), &radar);
        let of_radar = facts(&authority.issue(&leaf, validity).unwrap().certificate_pem);
        assert_eq!(
            of_radar.uris,
            ["spiffe://laocai.bg.vn.example/role/integration/radar"]
        );
        assert!(of_radar.client_auth && !of_radar.server_auth);
    }

    #[test]
    fn secrets_are_for_the_owner_and_never_replaced() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let made = request("Border Guard", &Leaf::node(&node())).unwrap();
        assert!(
            made.request_pem
                .starts_with("-----BEGIN CERTIFICATE REQUEST-----")
        );
        write_secret(&path, &made.key_pem).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(write_secret(&path, "other").is_err());
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }
}
