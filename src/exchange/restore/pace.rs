//! How much a session to restore records may take: neither side can keep the other busy for ever.
//!
//! Whoever gives back goes through each log from where it is asked on, and begins anew a few times at
//! most: so it reads at most [`PASSES_MAX`] times what it has. Whoever gets back takes two answers in a
//! row that make less than one full one together as a refusal to give: an answer ends short only
//! because the next item would not have fitted. So the number of answers is bounded by what there is.

use super::super::LogSide;
use super::super::session::item_bytes;
use crate::limits::{PUSH_BYTES_MAX, PUSH_ENTRIES_MAX};
use crate::proto::v1;

/// Times that one log may be asked for from another place than where the last answer ended: to read its
/// keys, to fetch it, and again after it was cut back.
const PASSES_MAX: u32 = 8;
/// Frames that ask for nothing and give nothing, in one session.
const IDLE_FRAMES_MAX: u32 = 64;

/// What the other side has asked for in one session.
#[derive(Debug, Default)]
pub(super) struct Asking {
    next: [Option<u64>; 2],
    passes: [u32; 2],
    idle: u32,
    done: bool,
}

impl Asking {
    /// Whether a chunk of a log may be asked for from there.
    pub(super) fn may_ask(&mut self, side: LogSide, start_index: u64) -> bool {
        if self.done {
            return false;
        }
        let at = place(side);
        if self.next[at] != Some(start_index) {
            self.passes[at] += 1;
        }
        self.passes[at] <= PASSES_MAX
    }

    /// Notes where a chunk that was given ends.
    pub(super) fn given(&mut self, side: LogSide, end: u64) {
        self.next[place(side)] = Some(end);
    }

    /// It says that it has all it wants; whether it may, which is once.
    pub(super) fn may_end(&mut self) -> bool {
        !std::mem::replace(&mut self.done, true)
    }

    /// Another frame that says nothing of records; whether it may come.
    pub(super) fn may_idle(&mut self) -> bool {
        self.idle += 1;
        self.idle <= IDLE_FRAMES_MAX
    }
}

/// What the other side has answered in a row, of one log.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Entries and bytes of the last answer; `None` at the beginning of a pass.
    last: Option<(usize, usize)>,
}

impl Answers {
    /// A pass begins: what came before was of another one.
    pub(super) fn begin(&mut self) {
        self.last = None;
    }

    /// Whether an answer is as full as it must be, after the one before. The last of a log may be
    /// short; nothing comes behind it.
    pub(super) fn is_full_enough(&mut self, given: &v1::Fetched) -> bool {
        let (entries, bytes) = (given.items.len(), bytes_of(given));
        let last = self.last.replace((entries, bytes));
        last.is_none_or(|(entries_before, bytes_before)| {
            entries_before >= PUSH_ENTRIES_MAX || bytes_before + bytes > PUSH_BYTES_MAX
        })
    }
}

/// Bytes of an answer: what its items and receipts hold.
pub(super) fn bytes_of(given: &v1::Fetched) -> usize {
    let items = given.items.iter().map(item_bytes);
    let receipts = given.receipts.iter().map(String::len);
    items.chain(receipts).sum()
}

fn place(side: LogSide) -> usize {
    match side {
        LogSide::Own => 0,
        LogSide::Mirror => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(entries: usize, bytes_each: usize) -> v1::Fetched {
        let item = v1::Item {
            body: vec![0; bytes_each].into(),
            ..v1::Item::default()
        };
        v1::Fetched {
            items: vec![item; entries],
            ..v1::Fetched::default()
        }
    }

    #[test]
    fn a_log_is_gone_through_a_few_times_and_no_more() {
        let mut asking = Asking::default();
        for pass in 1..=PASSES_MAX {
            for chunk in 0..100 {
                assert!(asking.may_ask(LogSide::Own, chunk), "pass {pass}");
                asking.given(LogSide::Own, chunk + 1);
            }
        }
        assert!(!asking.may_ask(LogSide::Own, 0), "one more");
        assert!(asking.may_ask(LogSide::Mirror, 0), "the other log");
        assert!(asking.may_end());
        assert!(!asking.may_ask(LogSide::Mirror, 0), "all was there");
        assert!(!asking.may_end(), "said before");
    }

    #[test]
    fn frames_that_say_nothing_end() {
        let mut asking = Asking::default();
        assert!((0..IDLE_FRAMES_MAX).all(|_| asking.may_idle()));
        assert!(!asking.may_idle());
    }

    #[test]
    fn two_answers_in_a_row_make_a_full_one() {
        let mut answers = Answers::default();
        assert!(answers.is_full_enough(&answer(PUSH_ENTRIES_MAX, 1)));
        assert!(answers.is_full_enough(&answer(1, 1)));
        // Short because the next one is large.
        assert!(answers.is_full_enough(&answer(1, PUSH_BYTES_MAX)));
        assert!(!Answers::default_after(&answer(1, 1)).is_full_enough(&answer(1, 1)));
        let exactly = answer(1, PUSH_BYTES_MAX / 2);
        assert!(!Answers::default_after(&exactly).is_full_enough(&exactly));
        let one_more = answer(1, PUSH_BYTES_MAX / 2 + 1);
        assert!(Answers::default_after(&exactly).is_full_enough(&one_more));
    }

    impl Answers {
        fn default_after(given: &v1::Fetched) -> Self {
            let mut answers = Self::default();
            answers.is_full_enough(given);
            answers
        }
    }
}
