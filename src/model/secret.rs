//! A value that must not be seen: no `Display`, no way to serialize it, and a `Debug` that says nothing.

use std::fmt;

use zeroize::Zeroize;

/// Keeps a secret; [`Secret::reveal`] is the one way out, and can be searched for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a secret in.
    pub fn new(value: T) -> Self {
        Secret(value)
    }

    /// Shows the secret, to hand it to whom it is for.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹secret›")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
