//! Opening and closing sled: on threads of their own, because a damaged file can make it panic or
//! hang.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::layout::Layout;
use super::quiet::quietly;
use super::{OpenOptions, StoreError};

/// How often sled's own thread flushes and collects garbage; nothing waits for it.
const FLUSH_EVERY_MS: u64 = 500;
/// Time for the engine to close; a broken one may never do it.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);

/// Opens sled on a thread of its own, with a time limit; its panics become errors.
pub(super) fn open(layout: &Layout, options: &OpenOptions) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(layout.sled())
        .cache_capacity(options.cache_bytes)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    let deadline = Instant::now() + options.open_time_max;
    let (send, receive) = mpsc::channel();
    let open = move || {
        let _ = send.send(quietly(|| {
            loop {
                match config.open() {
                    // A store that was just closed in this process may hold sled's own lock a
                    // moment longer. Other processes are kept out by LOCK.
                    Err(error) if is_locked(&error) && Instant::now() < deadline => {
                        thread::sleep(Duration::from_millis(5));
                    }
                    result => return result,
                }
            }
        }));
    };
    thread::Builder::new()
        .name("liaison-store-open".to_owned())
        .spawn(open)
        .map_err(|e| StoreError::io("start a thread for", &layout.sled(), e))?;
    let corrupt = |what: String| Err(StoreError::corrupt(&layout.sled(), what));
    match receive.recv_timeout(options.open_time_max) {
        Ok(Ok(Ok(db))) => Ok(db),
        Ok(Ok(Err(sled::Error::Io(error)))) if !is_damage(&error) => {
            Err(StoreError::io("open", &layout.sled(), error))
        }
        Ok(Ok(Err(error))) => corrupt(describe(&error)),
        Ok(Err(panic)) => corrupt(panic),
        Err(_) => corrupt(format!("it did not open in {:?}", options.open_time_max)),
    }
}

/// What the engine says, without the empty backtrace it appends.
pub(super) fn describe(error: &sled::Error) -> String {
    match error {
        sled::Error::Corruption { at: Some(at), .. } => format!("corrupted data at {at}"),
        sled::Error::Corruption { at: None, .. } => "corrupted data".to_owned(),
        error => error.to_string(),
    }
}

fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(e) if e.to_string().contains("could not acquire lock"))
}

/// Whether an I/O error of the engine speaks of the content of a file, not of the disk.
fn is_damage(error: &std::io::Error) -> bool {
    error.raw_os_error().is_none()
}

/// Closes sled, or gives up on it: what was acknowledged is on disk already.
pub(super) fn close(db: sled::Db) {
    let (done, closed) = mpsc::channel();
    let close = move || {
        let _ = quietly(|| drop(db));
        let _ = done.send(());
    };
    let thread = thread::Builder::new().name("liaison-store-close".to_owned());
    if thread.spawn(close).is_ok() {
        let _ = closed.recv_timeout(CLOSE_TIME_MAX);
    }
}
