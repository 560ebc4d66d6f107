//! Panics of the engine become errors, and none is printed.
//!
//! sled panics on damaged files, on the caller's thread and on threads of its own. A panic hook
//! is the only place where the message can be kept off the user's screen; it is set once, acts
//! only while a thread is inside [`quietly`] or is one of sled's own threads, and hands every
//! other panic to the hook that was there before.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics on the engine's own threads, in this process. No store can be told apart there, so all
/// of them stop writing.
static BACKGROUND_PANICS: AtomicU64 = AtomicU64::new(0);

/// How often a thread of the engine has panicked since the process began.
pub(super) fn background_panics() -> u64 {
    BACKGROUND_PANICS.load(Ordering::SeqCst)
}

/// Runs `work`; a panic in it becomes the error, with message and place, and is not printed.
///
/// The caller must treat what `work` touched as broken: no unwind safety is promised.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install();
    let before = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    result.map_err(|payload| {
        let place = PLACE.take();
        format!(
            "the storage engine stopped: {}{place}",
            text(payload.as_ref())
        )
    })
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or_else(String::new, place);
            if QUIET.get() {
                PLACE.set(place);
            } else if is_engine_thread() {
                BACKGROUND_PANICS.fetch_add(1, Ordering::SeqCst);
                let message = text(info.payload());
                tracing::error!(%message, %place, "a thread of the storage engine stopped");
            } else {
                previous(info);
            }
        }));
    });
}

/// File name and line; the path before it is of the machine that built this.
fn place(at: &Location<'_>) -> String {
    let file = at.file().rsplit('/').next().unwrap_or_default();
    format!(" (at {file}:{})", at.line())
}

/// Whether this is a thread that sled 0.34 started: its pool and its flusher, by their names.
fn is_engine_thread() -> bool {
    let thread = thread::current();
    thread
        .name()
        .is_some_and(|name| name.starts_with("sled-io-") || name == "log flusher")
}

/// The message of a panic, shortened: damaged files can make it quote whole pages.
fn text(payload: &dyn Any) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_message_and_place() {
        let error = quietly(|| panic!("page {} is odd", 7)).unwrap_err();
        assert!(error.contains("page 7 is odd"), "{error}");
        assert!(error.contains("quiet.rs"), "{error}");
        assert_eq!(quietly(|| 3), Ok(3));
    }

    #[test]
    fn a_panic_of_an_engine_thread_is_counted() {
        let program = std::env::current_exe().unwrap();
        let test = "store::quiet::tests::a_panic_of_an_engine_thread";
        let output = std::process::Command::new(program)
            .args(["--exact", test, "--ignored"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
    }

    /// The count is the process's: every store of it would stop writing.
    #[test]
    #[ignore = "run by the test above, in a process of its own"]
    fn a_panic_of_an_engine_thread() {
        install();
        let before = background_panics();
        let thread = thread::Builder::new().name("sled-io-99".to_owned());
        assert!(thread.spawn(|| panic!("lost")).unwrap().join().is_err());
        assert!(background_panics() > before);
    }
}
