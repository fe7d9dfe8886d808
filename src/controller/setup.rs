//! What a set-up, or a change of its settings, has to try before it believes them.

use std::{path::Path, time::Duration};

use super::App;
use crate::{
    google::error::GoogleError,
    mail::{self, MailError},
    model::{alert::AlertKind, secret::Secret, smtp::Smtp},
    pages::mail::AlertMail,
    vault::{Vault, VaultError},
};

/// A test message may take so long.
const TEST: Duration = Duration::from_secs(12);

/// Whether Google knows this client id and secret.
///
/// # Errors
/// When Google cannot be asked.
pub async fn knows_client(app: &App, id: &str, secret: &Secret<String>) -> Result<bool, GoogleError> {
    app.oauth.knows_client(id, secret).await
}

/// The encryption key, for its person to keep.
///
/// # Errors
/// When the key file cannot be read.
pub fn key_text(file: &Path) -> Result<Secret<String>, VaultError> {
    Vault::text_of(file)
}

/// Sends a test message.
///
/// # Errors
/// As [`mail::send`].
pub async fn test_mail(app: &App, smtp: &Smtp, to: &str) -> Result<(), MailError> {
    let now = app.clock.now();
    let page = AlertMail::new(AlertKind::SystemError, None, None, "this is a test", now, &app.policy.public_url);
    let mut mail = page.render();
    mail.subject = "[BusyBridge] a test message".into();
    // Somebody waits for this; a server that hangs is told like one that is not there.
    tokio::time::timeout(TEST, mail::send(smtp, to, &mail)).await.unwrap_or(Err(MailError::Passing))
}
