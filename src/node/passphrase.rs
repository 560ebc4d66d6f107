//! Where the passphrase of the key files comes from.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Where the passphrase of the key files comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A person types it at start.
    Prompt,
    /// The first line of a file of mode 0600.
    File(PathBuf),
    /// A systemd credential: a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The key files are not encrypted.
    None,
}

impl PassphraseSource {
    /// Gets the passphrase; `None` if key files are not encrypted. `prompt` asks a person and
    /// `credentials_directory` is the environment's, both given so that no test needs them.
    ///
    /// # Errors
    ///
    /// [`PassphraseError`] says what to do.
    pub fn get(
        &self,
        credentials_directory: Option<&Path>,
        prompt: impl FnOnce() -> std::io::Result<Zeroizing<String>>,
    ) -> Result<Option<Zeroizing<String>>, PassphraseError> {
        match self {
            Self::None => Ok(None),
            Self::Prompt => prompt().map(Some).map_err(PassphraseError::Prompt),
            Self::File(path) => {
                use std::os::unix::fs::MetadataExt as _;
                let fault = |source| PassphraseError::File {
                    file: path.clone(),
                    source,
                };
                let mode = std::fs::metadata(path).map_err(fault)?.mode();
                if mode & 0o077 != 0 {
                    return Err(PassphraseError::Mode {
                        file: path.clone(),
                        mode: mode & 0o7777,
                    });
                }
                first_line(path).map(Some)
            }
            Self::Credential(name) => {
                let directory = credentials_directory
                    .ok_or_else(|| PassphraseError::NoCredentials { name: name.clone() })?;
                first_line(&directory.join(name)).map(Some)
            }
        }
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| PassphraseError::File {
            file: path.to_owned(),
            source,
        })?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(PassphraseError::Empty {
            file: path.to_owned(),
        });
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nobody could be asked.
    #[error(
        "the passphrase could not be asked for: {0}; without a terminal use keys.passphrase = \"file:PATH\" or \"credential:NAME\""
    )]
    Prompt(std::io::Error),
    /// The file cannot be read.
    #[error("{}: {source}; check keys.passphrase", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("{}: mode {mode:04o} lets others read the passphrase; run: chmod 600 {}", file.display(), file.display())]
    Mode {
        /// Which.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Nothing in it.
    #[error("{}: the first line is empty; write the passphrase there", file.display())]
    Empty {
        /// Which.
        file: PathBuf,
    },
    /// Not started by systemd.
    #[error(
        "credential {name}: CREDENTIALS_DIRECTORY is not set; start the node by systemd with LoadCredential={name}:PATH"
    )]
    NoCredentials {
        /// Which.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn nobody() -> std::io::Result<Zeroizing<String>> {
        Err(std::io::ErrorKind::NotConnected.into())
    }

    #[test]
    fn a_file_must_be_private_and_not_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        std::fs::write(&path, "correct horse\nbattery").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        mode(0o644).unwrap();
        let source = PassphraseSource::File(path.clone());
        let error = source.get(None, nobody).unwrap_err();
        assert!(matches!(error, PassphraseError::Mode { mode: 0o644, .. }));
        mode(0o600).unwrap();
        let passphrase = source.get(None, nobody).unwrap().unwrap();
        assert_eq!(*passphrase, "correct horse");
        std::fs::write(&path, "\n").unwrap();
        let error = source.get(None, nobody).unwrap_err();
        assert!(matches!(error, PassphraseError::Empty { .. }));
    }

    #[test]
    fn a_credential_is_systemds() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys"), "secret").unwrap();
        let source = PassphraseSource::Credential("keys".to_owned());
        assert_eq!(
            *source.get(Some(dir.path()), nobody).unwrap().unwrap(),
            "secret"
        );
        assert_eq!(
            source.get(None, nobody).unwrap_err().to_string(),
            "credential keys: CREDENTIALS_DIRECTORY is not set; start the node by systemd with \
             LoadCredential=keys:PATH"
        );
    }

    #[test]
    fn nobody_at_the_terminal_is_told_what_to_do() {
        let error = PassphraseSource::Prompt.get(None, nobody).unwrap_err();
        assert!(error.to_string().contains("file:PATH"), "{error}");
        assert!(PassphraseSource::None.get(None, nobody).unwrap().is_none());
    }
}
