//! What the process has in memory stays there: no core dumps, no reading by other processes of the same
//! user, and no panic that quotes what was being worked on.
//!
//! Done first in every command: each of them may hold a passphrase, a key or a body. What of the memory is
//! overwritten when it is no longer needed, and what is not, stands in docs/threat-model.md.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::thread;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::print;
use crate::store::counters;

/// What ends the part of a panic's message that the program wrote, and begins what it quotes.
const QUOTES: [char; 5] = ['`', '"', '\'', ':', '\n'];

/// Turns off core dumps and reading of the memory, for this process and those it begins, and sees to it
/// that panics quote nothing.
///
/// # Errors
/// When the system refuses, as a filter of system calls may.
pub(super) fn protect() -> io::Result<()> {
    panic::set_hook(Box::new(|panic| print::fault(&told(panic))));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    counters::open_account();
    // Also where cores go to a program, which heeds no limit.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// A panic in words: where, in which thread, and what the program says of it. A message may quote what
/// was being worked on (a text that was cut within a letter, both sides of a comparison, an error): the
/// quoted part is left out.
fn told(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let message = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let message = message.unwrap_or_default();
    let at = panic.location().map_or_else(String::new, |at| {
        format!(" at {}:{}:{}", at.file(), at.line(), at.column())
    });
    let current = thread::current();
    let thread = current.name().unwrap_or("without a name");
    let own = own_words(message);
    let mut told = format!("liaison: a fault in the program{at}, thread {thread}: {own}");
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        let trace = trace.to_string();
        told.extend(["\n", &trace]);
    }
    told
}

/// A message up to what it quotes.
fn own_words(message: &str) -> &str {
    let end = message.find(QUOTES).unwrap_or(message.len());
    message[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const NAME: &str = "Nguyễn Văn Mẫu";
    type Fails = Box<dyn Fn()>;

    #[test]
    fn of_a_panic_that_quotes_only_the_programs_words_are_told() {
        let failures: [(Fails, &str); 5] = [
            (Box::new(|| drop(NAME[..5].to_owned())), "end byte index"),
            (Box::new(|| assert_eq!(NAME, "Nguyễn")), "assertion"),
            (Box::new(|| panic!("the entry: {NAME}")), "the entry"),
            (
                Box::new(|| assert_eq!(NAME.parse::<u32>().map_err(|_| NAME).unwrap(), 0)),
                "called",
            ),
            (Box::new(|| panic!("a lock is gone")), "a lock is gone"),
        ];
        for (fails, begins) in failures {
            let message = catch_unwind(AssertUnwindSafe(fails)).unwrap_err();
            let message = message
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| message.downcast_ref::<&str>().copied())
                .unwrap();
            let told = own_words(message);
            assert!(!told.contains("Nguy"), "{message} → {told}");
            assert!(
                begins.starts_with(told) || told.starts_with(begins),
                "{message} → {told}"
            );
        }
    }
}
