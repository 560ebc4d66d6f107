//! Drafts to learn from.
