//! What Google refuses to store.
