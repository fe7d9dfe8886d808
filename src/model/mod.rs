//! The nouns.
pub mod clock;
