//! Judging from outside: exports, verdicts. No store, no network.
