//! What an account's consent gave us.

use chrono::{DateTime, Utc};

use super::secret::Secret;

/// The tokens of one Google account.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: Secret<String>,
    pub refresh: Secret<String>,
    /// When the access token ends.
    pub expires: DateTime<Utc>,
    /// What was consented to, separated by spaces, as Google says it.
    pub scopes: String,
}
