//! Key files: PKCS#8 in PEM, mode 0600.
//!
//! Written as PKCS#8 version 1: OpenSSL reads no other. Encrypted files are `ENCRYPTED PRIVATE KEY`:
//! PBES2 with scrypt and AES-256-CBC, so that `openssl pkey -in FILE` reads them. Neither form notices
//! that a bit of the key has flipped, CBC included: every 32 bytes are a key. So a block
//! `PUBLIC KEY` follows, as `openssl pkey -pubout` makes it, and a private key that is not of it is
//! refused. A file without that block is read too; then only the history can show the damage.
//!
//! Sources: RFC 5958, RFC 7468 §10, §11 and §13, RFC 8410 §4 and §7, RFC 8018 §6.2, RFC 7914 §7.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::{SigningKey, VerifyingKey};
use pkcs8::der::{Document, SecretDocument};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf, Salt, ScryptParams};
use pkcs8::{
    DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, EncryptedPrivateKeyInfoRef,
    LineEnding, PrivateKeyInfoRef,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use zeroize::{Zeroize as _, Zeroizing};

use super::keys::{KeyError, Loaded, Protection};
use crate::limits::{KEY_FILE_BYTES_MAX, SCRYPT_N_MAX, SCRYPT_N_MIN, SCRYPT_P_MAX, SCRYPT_R};

const PLAIN_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
const PUBLIC_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";

/// Follows the name of a key file that is being made; then come random digits.
const MAKING: &str = ".making-";

/// scrypt N = 2^14, r = 8, p = 5: OWASP's choice of 2024 within OpenSSL's 32 MiB, of which it
/// takes 16.
const WRITTEN_N: u64 = 1 << 14;
const WRITTEN_P: u16 = 5;

/// Writes a new key file and makes it and its name durable.
///
/// Under another name first: a file that bears the name is whole, wherever the power fails. What such a
/// failure leaves behind is `NAME.making-…`, which nothing reads and the next key of that name clears away.
pub(super) fn write(
    path: &Path,
    key: &SigningKey,
    protection: &Protection,
) -> Result<(), KeyError> {
    write_new(path, encode(key, protection)?.as_bytes())
}

/// Writes a new file that only its owner reads, whole and durable under its name.
pub(super) fn write_new(path: &Path, content: &[u8]) -> Result<(), KeyError> {
    let fault = |action| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists {
                path: path.to_owned(),
            },
            _ => KeyError::Io {
                action,
                path: path.to_owned(),
                source,
            },
        }
    };
    if path.symlink_metadata().is_ok() {
        return Err(KeyError::Exists {
            path: path.to_owned(),
        });
    }
    clear_unfinished(path);
    let mut drawn = [0; 8];
    getrandom::fill(&mut drawn).map_err(KeyError::Randomness)?;
    let making = making(path, &hex::encode(drawn));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&making)
        .map_err(fault("create"))?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(fault("write"))
        .and_then(|()| name_new(&making, path).map_err(fault("name")));
    if written.is_err() {
        // Half a key is of no use to anybody; the error that matters is the first one.
        let _ = std::fs::remove_file(&making);
        return written;
    }
    sync_directory_of(path).map_err(fault("sync the directory of"))
}

/// The name under which a key file is made: beside its own, so that it need only be renamed.
fn making(path: &Path, drawn: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(MAKING);
    name.push(drawn);
    PathBuf::from(name)
}

/// Removes what a process that fell while it made this file has left: nobody has used that key. Whoever
/// makes the same file at this moment gets an error, and no half of a key.
fn clear_unfinished(path: &Path) {
    let begins = making(path, "");
    let Some(begins) = begins.file_name() else {
        return;
    };
    let Ok(entries) = std::fs::read_dir(directory_of(path)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.as_bytes().starts_with(begins.as_bytes()) {
            // It stands in nobody's way.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Renames a file to a name that no file bears.
fn name_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Such as NFS. FAT, which has no links, knows the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        Err(error) => Err(error.into()),
    }
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

fn encode(key: &SigningKey, protection: &Protection) -> Result<Zeroizing<String>, KeyError> {
    let mut pair = KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    };
    let document = pair.to_pkcs8_der();
    pair.secret_key.zeroize();
    let document = document.map_err(KeyError::Encoding)?;
    let private = match protection {
        Protection::Unencrypted => document.to_pem(PLAIN_LABEL, LineEnding::LF),
        Protection::Passphrase(passphrase) if passphrase.is_empty() => {
            return Err(KeyError::EmptyPassphrase);
        }
        Protection::Passphrase(passphrase) => {
            let parameters = new_parameters()?;
            PrivateKeyInfoRef::try_from(document.as_bytes())
                .and_then(|info| info.encrypt_with_params(parameters, passphrase.as_bytes()))
                .map_err(KeyError::Encoding)?
                .to_pem(ENCRYPTED_LABEL, LineEnding::LF)
        }
    }
    .map_err(|error| KeyError::Encoding(error.into()))?;
    let public = key.verifying_key().to_public_key_der();
    let public = public.and_then(|document| Ok(document.to_pem(PUBLIC_LABEL, LineEnding::LF)?));
    let public = public.map_err(|error| KeyError::Encoding(error.into()))?;
    // The room is taken at once: a buffer that grows leaves copies of the key behind.
    let mut both = Zeroizing::new(String::with_capacity(private.len() + public.len()));
    both.push_str(&private);
    both.push_str(&public);
    Ok(both)
}

fn new_parameters() -> Result<pbes2::Parameters, KeyError> {
    let mut salt = [0; 16];
    let mut iv = [0; 16];
    getrandom::fill(&mut salt).map_err(KeyError::Randomness)?;
    getrandom::fill(&mut iv).map_err(KeyError::Randomness)?;
    Ok(pbes2::Parameters {
        kdf: Kdf::Scrypt(ScryptParams {
            salt: Salt::new(salt).map_err(|error| KeyError::Encoding(error.into()))?,
            cost_parameter: WRITTEN_N,
            block_size: SCRYPT_R,
            parallelization: WRITTEN_P,
            key_length: None,
        }),
        encryption: pbes2::EncryptionScheme::Aes256Cbc { iv },
    })
}

/// Loads a key file after checking who else may read it.
pub(super) fn load(
    path: &Path,
    passphrase: Option<&Zeroizing<String>>,
) -> Result<Loaded<SigningKey>, KeyError> {
    let pem = read(path)?;
    let (private, public) = match pem.find(PUBLIC_BEGIN) {
        Some(at) => pem.split_at(at),
        None => (pem.as_str(), ""),
    };
    let loaded = load_private(path, private, passphrase)?;
    // Whatever stands behind the private key is its public half or nothing.
    if !public.is_empty() && decode_public(path, public)? != loaded.key.verifying_key() {
        return Err(KeyError::Damaged {
            path: path.to_owned(),
        });
    }
    Ok(loaded)
}

fn decode_public(path: &Path, pem: &str) -> Result<VerifyingKey, KeyError> {
    let malformed = || KeyError::Malformed {
        path: path.to_owned(),
        reason: "the public key at its end cannot be read",
    };
    let (_, document) = Document::from_pem(pem).map_err(|_| malformed())?;
    VerifyingKey::from_public_key_der(document.as_bytes()).map_err(|_| malformed())
}

fn load_private(
    path: &Path,
    pem: &str,
    passphrase: Option<&Zeroizing<String>>,
) -> Result<Loaded<SigningKey>, KeyError> {
    let malformed = |reason| KeyError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let (label, document) =
        SecretDocument::from_pem(pem).map_err(|_| malformed("not one block of strict PEM"))?;
    match label {
        PLAIN_LABEL => Ok(Loaded {
            key: decode(path, document.as_bytes())?,
            encrypted: false,
        }),
        ENCRYPTED_LABEL => {
            let passphrase = passphrase
                .filter(|passphrase| !passphrase.is_empty())
                .ok_or_else(|| KeyError::PassphraseNeeded {
                    path: path.to_owned(),
                })?;
            let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
                // A cipher or a derivation that the decoder does not know lands here too.
                .map_err(|_| KeyError::Encryption {
                    path: path.to_owned(),
                })?;
            if !is_usual(&info.encryption_algorithm) {
                return Err(KeyError::Encryption {
                    path: path.to_owned(),
                });
            }
            // CBC has no tag. A wrong passphrase shows as wrong padding, or, once in 256, as a
            // plaintext that is not a key.
            let wrong = || KeyError::WrongPassphrase {
                path: path.to_owned(),
            };
            let plain = info.decrypt(passphrase.as_bytes()).map_err(|_| wrong())?;
            let key = decode(path, plain.as_bytes()).map_err(|error| match error {
                KeyError::Malformed { .. } => wrong(),
                other => other,
            })?;
            Ok(Loaded {
                key,
                encrypted: true,
            })
        }
        _ => Err(malformed("neither PRIVATE KEY nor ENCRYPTED PRIVATE KEY")),
    }
}

/// The text of a file that must be its owner's alone.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let io_error = |source| KeyError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    // Opening a named pipe would wait for a writer; a regular file does not mind the flag.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(io_error)?;

    // Of the open file, not of its name: the name may change in between.
    let metadata = file.metadata().map_err(io_error)?;
    if !metadata.is_file() {
        return Err(KeyError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mode = metadata.mode() & 0o7777;
    if !matches!(mode, 0o600 | 0o400) {
        return Err(KeyError::Mode {
            path: path.to_owned(),
            mode,
        });
    }

    // The room is taken at once: a buffer that grows leaves copies of the key behind.
    let mut pem = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX + 1));
    let limit = u64::try_from(KEY_FILE_BYTES_MAX + 1).unwrap_or(u64::MAX);
    file.take(limit)
        .read_to_string(&mut pem)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => KeyError::Malformed {
                path: path.to_owned(),
                reason: "not text",
            },
            _ => io_error(error),
        })?;
    if pem.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(pem)
}

/// scrypt of a cost that protects and that the machine can bear, with AES-256-CBC.
fn is_usual(scheme: &EncryptionScheme) -> bool {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return false;
    };
    let (Kdf::Scrypt(scrypt), pbes2::EncryptionScheme::Aes256Cbc { .. }) =
        (&parameters.kdf, parameters.encryption)
    else {
        return false;
    };
    scrypt.cost_parameter.is_power_of_two()
        && (SCRYPT_N_MIN..=SCRYPT_N_MAX).contains(&scrypt.cost_parameter)
        && scrypt.block_size == SCRYPT_R
        && (1..=SCRYPT_P_MAX).contains(&scrypt.parallelization)
        && scrypt.salt.as_bytes().len() >= 8
}

fn decode(path: &Path, der: &[u8]) -> Result<SigningKey, KeyError> {
    let malformed = |reason| KeyError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| malformed("not a PKCS#8 structure"))?;
    if info.algorithm.oid != ed25519_dalek::pkcs8::ALGORITHM_OID {
        return Err(KeyError::NotEd25519 {
            path: path.to_owned(),
        });
    }
    let mut pair =
        KeypairBytes::try_from(info).map_err(|_| malformed("not 32 bytes of Ed25519 key"))?;
    // Where the file carries a public key (PKCS#8 version 2), it must belong to the private one.
    let key = SigningKey::try_from(&pair);
    pair.secret_key.zeroize();
    key.map_err(|_| KeyError::Damaged {
        path: path.to_owned(),
    })
}
