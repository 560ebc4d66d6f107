//! Reading certificate, key and revocation files, and remembering what was read.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

/// A certificate, key or card file. A chain of ten certificates is 20 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A revocation list: 16 MiB hold some 400,000 serial numbers.
const CRL_BYTES_MAX: u64 = 16 << 20;
/// Certificates of one file.
const CERTIFICATES_MAX: usize = 16;

/// What tells one state of a file from the next without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Also moves when only the mode does: `chmod 600` is a remedy to be noticed.
    changed: (i64, i64),
}

impl Stamp {
    /// `None` if the file cannot be looked at, which is a state as well.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: meta.ino(),
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// The files of one loading, each stamped before it is read: a change in between shows later.
#[derive(Default)]
pub struct Files {
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    digest: Sha256,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("stamps", &self.stamps)
            .finish_non_exhaustive()
    }
}

impl Files {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a whole file that is not secret and at most 1 MiB.
    ///
    /// # Errors
    ///
    /// [`MaterialError::Unreadable`] or [`MaterialError::TooLarge`].
    pub fn read(&mut self, path: &Path) -> Result<Vec<u8>, MaterialError> {
        self.read_up_to(path, FILE_BYTES_MAX)
    }

    /// The certificates of a PEM file, one at least, in order.
    ///
    /// # Errors
    ///
    /// [`MaterialError`] names the file and the fault.
    pub fn certificates(
        &mut self,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
        let text = self.read(path)?;
        parse_certificates(&text).map_err(|reason| MaterialError::NotPem {
            file: path.to_owned(),
            reason,
        })
    }

    /// The private key of a PEM file that nobody else may read.
    ///
    /// # Errors
    ///
    /// [`MaterialError`] names the file and the fault.
    pub fn private_key(&mut self, path: &Path) -> Result<PrivateKeyDer<'static>, MaterialError> {
        // Read first: that notes the file, so that the remedy for its mode is noticed.
        let text = zeroize::Zeroizing::new(self.read(path)?);
        let meta = std::fs::metadata(path).map_err(|source| MaterialError::Unreadable {
            file: path.to_owned(),
            source,
        })?;
        if meta.mode() & 0o077 != 0 {
            return Err(MaterialError::KeyMode {
                file: path.to_owned(),
                mode: meta.mode() & 0o7777,
            });
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| MaterialError::NotPem {
            file: path.to_owned(),
            reason: if text.windows(9).any(|part| part == b"ENCRYPTED") {
                "the TLS key is encrypted; store it unencrypted with mode 0600 (openssl pkey)"
            } else {
                "no private key in it (PKCS#8, SEC1 or PKCS#1 PEM); put back its copy"
            },
        })
    }

    /// The revocation lists of a PEM or DER file, one at least.
    ///
    /// # Errors
    ///
    /// [`MaterialError`] names the file and the fault.
    pub fn crls(
        &mut self,
        path: &Path,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, MaterialError> {
        let bytes = self.read_up_to(path, CRL_BYTES_MAX)?;
        let not_pem = |reason| MaterialError::NotPem {
            file: path.to_owned(),
            reason,
        };
        if bytes.first() == Some(&0x30) {
            // DER: a SEQUENCE. Authorities publish lists in this form.
            return Ok(vec![CertificateRevocationListDer::from(bytes)]);
        }
        let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| not_pem("a PEM section in it is broken"))?;
        if lists.is_empty() {
            return Err(not_pem("no X509 CRL in it"));
        }
        Ok(lists)
    }

    fn read_up_to(&mut self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, MaterialError> {
        let stamp = Stamp::of(path);
        self.stamps.push((path.to_owned(), stamp));
        if stamp.is_some_and(|stamp| stamp.bytes > bytes_max) {
            return Err(MaterialError::TooLarge {
                file: path.to_owned(),
                bytes_max,
            });
        }
        let bytes = std::fs::read(path).map_err(|source| MaterialError::Unreadable {
            file: path.to_owned(),
            source,
        })?;
        self.digest
            .update(Sha256::digest(path.as_os_str().as_encoded_bytes()));
        self.digest.update(Sha256::digest(&bytes));
        Ok(bytes)
    }

    pub(super) fn finish(self) -> (Vec<(PathBuf, Option<Stamp>)>, [u8; 32]) {
        (self.stamps, self.digest.finalize().into())
    }
}

/// The certificates of a PEM text, 1 to 16, in order.
///
/// # Errors
///
/// The reason, for a message that names where the text is from.
pub fn parse_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_| "a PEM section in it is broken")?;
    match certificates.len() {
        0 => Err("no CERTIFICATE in it (PEM)"),
        count if count > CERTIFICATES_MAX => Err("more than 16 certificates in it"),
        _ => Ok(certificates),
    }
}

/// Why TLS material cannot be used. Each names the file, the reason and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}; check the path in the configuration and the owner", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is longer than any such file should be.
    #[error("{}: longer than {bytes_max} bytes; is it the right file?", file.display())]
    TooLarge {
        /// Which.
        file: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// Others may read the key.
    #[error("{}: mode {mode:04o} lets others read the key; run: chmod 600 {}", file.display(), file.display())]
    KeyMode {
        /// Which.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The content is not what belongs there.
    #[error("{}: {reason}", file.display())]
    NotPem {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The certificate does not do what it is for.
    #[error("{}: {reason}; ask the authority for a new one (see certs-example/README.md)", file.display())]
    Certificate {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An authority of the example generator.
    #[error(
        "{what} was made by the example generator ({}), which is not for use; get a real authority, or for trials set allow_example_ca = true in the configuration (with --desk: --allow-example-ca)",
        super::leaf::EXAMPLE_ORGANIZATION
    )]
    ExampleAuthority {
        /// Which certificate.
        what: String,
    },
    /// What is trusted cannot be used.
    #[error("{what}: {reason}")]
    Trust {
        /// Whose authority or revocation list.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// rustls refuses the whole.
    #[error(
        "{} with {}: {source}; do key and certificate belong together? If neither was changed, one is \
         damaged: put back its copy, or get a new certificate for a new key",
        file.display(), key.display()
    )]
    Tls {
        /// The certificate.
        file: PathBuf,
        /// Its key.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// A file of a kind that this module does not know, such as a peer card.
    #[error("{}: {source}", file.display())]
    Content {
        /// Which.
        file: PathBuf,
        /// What its reader says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
