//! A mail server and how to use it.

use super::secret::Secret;

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Begins in the clear and must go on encrypted.
    StartTls,
    /// Encrypted from the beginning.
    Tls,
    /// Not at all: without a password only.
    None,
}

impl Security {
    /// The word for the database and the command line.
    pub fn word(self) -> &'static str {
        match self {
            Security::StartTls => "starttls",
            Security::Tls => "tls",
            Security::None => "none",
        }
    }

    /// The security of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Security::StartTls, Security::Tls, Security::None].into_iter().find(|security| security.word() == word)
    }
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub user: Option<String>,
    pub password: Option<Secret<String>>,
    /// The sender's address.
    pub from: String,
}
