//! New certificates, keys and revocation lists without a restart.
//!
//! Everything is loaded and checked before anything is swapped. What cannot be loaded changes
//! nothing: the old material stays in use, and the log names the file and the reason.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::files::{Files, MaterialError, Stamp};

/// How often files are looked at.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// One loaded state. Numbers start at 1 and only grow.
#[derive(Debug)]
pub struct Generation<T> {
    /// Which loading this is.
    pub number: u64,
    /// What was loaded.
    pub value: T,
}

/// What a request to reload came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// Every file has the bytes it had; nothing was swapped, no connection will end.
    Unchanged,
    /// New connections use this generation; older ones are told to end.
    Swapped {
        /// Its number.
        generation: u64,
    },
}

type Load<T> = Box<dyn Fn(&mut Files) -> Result<T, MaterialError> + Send + Sync>;

/// Holds the material in use and how to load it again. One for the exchange, one for the desk.
pub struct Reloader<T> {
    name: &'static str,
    load: Load<T>,
    current: watch::Sender<Arc<Generation<T>>>,
    seen: Mutex<Seen>,
}

/// What the last attempt read, whether or not it was of use.
struct Seen {
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    /// Of the material in use.
    digest: [u8; 32],
}

impl<T: Send + Sync + 'static> Reloader<T> {
    /// Loads for the first time. `load` must read every file through the [`Files`] it is given:
    /// those are the ones that are watched. `name` is for the log.
    ///
    /// # Errors
    ///
    /// What `load` says; at start there is nothing older to fall back on.
    pub fn new(
        name: &'static str,
        load: impl Fn(&mut Files) -> Result<T, MaterialError> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, MaterialError> {
        let mut files = Files::new();
        let value = load(&mut files)?;
        let (stamps, digest) = files.finish();
        let (current, _) = watch::channel(Arc::new(Generation { number: 1, value }));
        Ok(Arc::new(Self {
            name,
            load: Box::new(load),
            current,
            seen: Mutex::new(Seen { stamps, digest }),
        }))
    }

    /// What new connections use.
    #[must_use]
    pub fn current(&self) -> Arc<Generation<T>> {
        self.current.borrow().clone()
    }

    /// Wakes at every swap.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Generation<T>>> {
        self.current.subscribe()
    }

    /// Reads the files again, now; what SIGHUP asks for. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// What the loader says. It is logged, and the old material stays in use.
    pub fn reload(&self) -> Result<Reloaded, MaterialError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before: Vec<_> = seen
            .stamps
            .iter()
            .map(|(path, _)| (path.clone(), Stamp::of(path)))
            .collect();
        let mut files = Files::new();
        let loaded = (self.load)(&mut files);
        let (stamps, digest) = files.finish();
        let value = match loaded {
            Ok(value) => value,
            Err(error) => {
                // Remember what was tried, also of files that the attempt did not reach: the same
                // fault is then not reported every two seconds, and any change is noticed.
                seen.stamps = before;
                seen.note(stamps);
                tracing::warn!(
                    material = self.name,
                    "the TLS material was not reloaded, the old stays in use: {error}"
                );
                return Err(error);
            }
        };
        seen.stamps = stamps;
        if seen.digest == digest {
            return Ok(Reloaded::Unchanged);
        }
        seen.digest = digest;
        let generation = self.current.borrow().number + 1;
        self.current.send_replace(Arc::new(Generation {
            number: generation,
            value,
        }));
        tracing::info!(
            material = self.name,
            generation,
            "the TLS material was reloaded"
        );
        Ok(Reloaded::Swapped { generation })
    }

    /// Whether a file looks other than at the last attempt.
    #[must_use]
    pub fn files_changed(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.stamps
            .iter()
            .any(|(path, stamp)| Stamp::of(path) != *stamp)
    }

    /// Looks at the files every `interval` and reloads when one has changed. Never returns; drop
    /// the future to stop.
    pub async fn watch_files(self: Arc<Self>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let this = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                if this.files_changed() {
                    // The outcome is logged where it is known.
                    let _ = this.reload();
                }
            });
            if looked.await.is_err() {
                tracing::error!(material = self.name, "looking at the TLS files failed");
            }
        }
    }
}

impl Seen {
    fn note(&mut self, tried: Vec<(PathBuf, Option<Stamp>)>) {
        for (path, stamp) in tried {
            if !self.stamps.iter().any(|(known, _)| *known == path) {
                self.stamps.push((path, stamp));
            }
        }
    }
}

impl<T> fmt::Debug for Reloader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("name", &self.name)
            .field("generation", &self.current.borrow().number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reloader(path: &std::path::Path) -> Arc<Reloader<String>> {
        let path = path.to_owned();
        Reloader::new("test", move |files| {
            let text = files.read(&path)?;
            String::from_utf8(text).map_err(|source| MaterialError::Content {
                file: path.clone(),
                source: Box::new(source),
            })
        })
        .unwrap()
    }

    #[test]
    fn a_change_is_swapped_and_a_fault_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let reloader = reloader(&path);
        assert!(!reloader.files_changed());
        assert_eq!(reloader.reload().unwrap(), Reloaded::Unchanged);

        std::fs::write(&path, b"\xff\xff").unwrap();
        assert!(reloader.files_changed());
        assert!(reloader.reload().is_err());
        assert!(!reloader.files_changed(), "the same fault is tried once");
        assert_eq!(reloader.current().value, "one");

        std::fs::write(&path, "three").unwrap();
        assert!(reloader.files_changed());
        assert_eq!(
            reloader.reload().unwrap(),
            Reloaded::Swapped { generation: 2 }
        );
        assert_eq!(reloader.current().value, "three");

        std::fs::remove_file(&path).unwrap();
        assert!(reloader.files_changed());
        assert!(reloader.reload().is_err());
        assert_eq!(reloader.current().value, "three");
    }

    #[test]
    fn a_fault_in_the_first_of_two_changed_files_is_tried_once() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("certificate"), dir.path().join("key")];
        let write = |texts: [&[u8]; 2]| {
            for (path, text) in paths.iter().zip(texts) {
                std::fs::write(path, text).unwrap();
            }
        };
        write([b"one", b"one"]);
        let of_loader = paths.clone();
        let reloader = Reloader::new("test", move |files| {
            for path in &of_loader {
                String::from_utf8(files.read(path)?).map_err(|source| MaterialError::Content {
                    file: path.clone(),
                    source: Box::new(source),
                })?;
            }
            Ok(())
        })
        .unwrap();
        write([b"\xff", b"two"]);
        assert!(reloader.reload().is_err());
        assert!(
            !reloader.files_changed(),
            "the key was not reached, and has not changed since"
        );
        write([b"two", b"two"]);
        assert!(reloader.files_changed());
        assert_eq!(
            reloader.reload().unwrap(),
            Reloaded::Swapped { generation: 2 }
        );
    }

    #[tokio::test]
    async fn a_change_is_noticed_without_being_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let reloader = reloader(&path);
        let mut swaps = reloader.subscribe();
        let watching = tokio::spawn(reloader.clone().watch_files(Duration::from_millis(10)));
        std::fs::write(&path, "longer").unwrap();
        swaps.changed().await.unwrap();
        assert_eq!(swaps.borrow().value, "longer");
        watching.abort();
    }
}
