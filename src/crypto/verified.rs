//! The mark of a verified value.

use std::ops::Deref;

/// A value whose signature has been verified, or that this node has just signed itself.
///
/// Only this room can make one, so a function that takes a `Verified<T>` cannot be handed
/// unchecked input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Marks a value. To be called at the end of a verification or of a signing, nowhere else.
    pub(in crate::crypto) fn mark(value: T) -> Self {
        Self(value)
    }

    /// The value without its mark.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
