//! The desk's Unix socket: whoever owns the node's files is an operator.

use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::accept::{AcceptLimits, Incoming, READY_MAX, pause_after};
use super::connection::{ConnectInfo, Connection, Ending, Remote};
use super::hall::Hall;
use super::identity::{Identity, UnixPeer};

/// A connection of [`accept_local`].
pub type LocalConnection = Connection<UnixStream>;

/// A path that the kernel takes for a socket, with the zero byte behind it (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A bound socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct LocalListener {
    listener: UnixListener,
    file: SocketFile,
}

impl LocalListener {
    /// Binds `path` with mode 0600 in a directory of mode 0700, which is made if it is missing. A
    /// socket file that nobody answers on is a dead node's and is replaced.
    ///
    /// # Errors
    ///
    /// [`LocalError`] names the path, the reason and what to do.
    pub fn bind(path: &Path) -> Result<Self, LocalError> {
        let bytes = path.as_os_str().len();
        if bytes > SOCKET_PATH_BYTES_MAX {
            return Err(LocalError::PathTooLong {
                path: path.to_owned(),
                bytes,
            });
        }
        let io = |source| LocalError::Io {
            path: path.to_owned(),
            source,
        };
        own_directory(path)?;

        match std::fs::symlink_metadata(path) {
            Ok(meta) if !meta.file_type().is_socket() => {
                return Err(LocalError::NotASocket {
                    path: path.to_owned(),
                });
            }
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => {
                    return Err(LocalError::InUse {
                        path: path.to_owned(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(io)?;
                }
                Err(error) => return Err(io(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }

        let listener = UnixListener::bind(path).map_err(io)?;
        let meta = std::fs::symlink_metadata(path).map_err(io)?;
        let file = SocketFile {
            path: path.to_owned(),
            inode: meta.ino(),
        };
        // The directory keeps others out until this has happened.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
        Ok(Self { listener, file })
    }
}

/// Makes or checks the directory that keeps others out.
fn own_directory(path: &Path) -> Result<(), LocalError> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let io = |source| LocalError::Io {
        path: directory.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(io)?;
    let meta = std::fs::metadata(directory).map_err(io)?;
    let uid = rustix::process::geteuid().as_raw();
    if meta.mode() & 0o077 != 0 || (meta.uid() != uid && meta.uid() != 0) {
        return Err(LocalError::OpenDirectory {
            path: directory.to_owned(),
            mode: meta.mode() & 0o7777,
        });
    }
    Ok(())
}

/// Removes the socket file, unless another node has put its own there since.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode);
        if ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Accepts processes of the node's own user and of root. Must run in a tokio runtime.
#[must_use]
pub fn accept_local(listener: LocalListener, limits: AcceptLimits) -> Incoming<LocalConnection> {
    let (sender, ready) = mpsc::channel(READY_MAX);
    let hall = Arc::new(Hall::new(limits));
    let accepting = tokio::spawn(accept_loop(listener, Arc::clone(&hall), sender));
    Incoming::new(ready, None, accepting.abort_handle(), hall)
}

async fn accept_loop(
    listener: LocalListener,
    hall: Arc<Hall>,
    ready: mpsc::Sender<LocalConnection>,
) {
    let LocalListener {
        listener,
        file: _file,
    } = listener;
    let own_uid = rustix::process::geteuid().as_raw();
    loop {
        let io = match listener.accept().await {
            Ok((io, _)) => io,
            Err(error) => {
                pause_after(&error, &hall).await;
                continue;
            }
        };
        let uid = match io.peer_cred() {
            Ok(credentials) => credentials.uid(),
            Err(error) => {
                hall.log(|| tracing::warn!("a local connection was refused: {error}"));
                continue;
            }
        };
        if uid != own_uid && uid != 0 {
            hall.log(|| tracing::warn!(uid, "a local connection of another user was refused"));
            continue;
        }
        let info = ConnectInfo {
            identity: Identity::Unix(UnixPeer { uid }),
            remote: Remote::Unix,
            generation: 0,
            ending: Ending::new(),
        };
        let Some(place) = hall.seat_directly(&info) else {
            hall.log(|| tracing::warn!(uid, "a local connection was refused: too many are open"));
            continue;
        };
        let limits = hall.limits();
        let connection = Connection::accepted(
            io,
            info,
            limits.flood,
            limits.opening_time_max,
            Box::new(place),
        );
        if ready.send(connection).await.is_err() {
            return; // the server is gone
        }
    }
}

/// Why the socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// Someone answers.
    #[error("{}: another node answers on this socket; stop it first, or set desk.socket to another path", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{}: there is a file that is not a socket; move it away, or set desk.socket to another path", path.display())]
    NotASocket {
        /// Which.
        path: PathBuf,
    },
    /// Others could reach the socket.
    #[error("{}: mode {mode:04o} lets others reach the socket, or it is another user's; run: chmod 700 {}", path.display(), path.display())]
    OpenDirectory {
        /// Which directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The kernel takes no such path.
    #[error("{}: {bytes} bytes, a socket's path has at most 107; set desk.socket to a shorter one", path.display())]
    PathTooLong {
        /// Which.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// The system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(path: &Path) -> Result<LocalListener, LocalError> {
        LocalListener::bind(path)
    }

    #[tokio::test]
    async fn modes_are_set_and_a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/desk.sock");
        let first = listen(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert!(matches!(listen(&path), Err(LocalError::InUse { .. })));
        assert!(path.exists());

        // As after SIGKILL: the file stays, nobody answers.
        let LocalListener { listener, file } = first;
        drop(listener);
        std::mem::forget(file);
        let second = listen(&path).unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn other_files_and_open_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |mode| {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o700);
        let path = dir.path().join("desk.sock");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(listen(&path), Err(LocalError::NotASocket { .. })));
        mode(0o755);
        let other = dir.path().join("other.sock");
        assert!(matches!(
            listen(&other),
            Err(LocalError::OpenDirectory { mode: 0o755, .. })
        ));
        let long = dir.path().join("x".repeat(120));
        assert!(matches!(listen(&long), Err(LocalError::PathTooLong { .. })));
    }
}
