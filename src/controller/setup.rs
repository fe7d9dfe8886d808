//! What a set-up, or a change of its settings, has to try before it believes them.

use super::App;
use crate::{
    google::error::GoogleError,
    mail::{self, MailError},
    model::{alert::AlertKind, secret::Secret, smtp::Smtp},
    pages::mail::AlertMail,
};

/// Whether Google knows this client id and secret.
///
/// # Errors
/// When Google cannot be asked.
pub async fn knows_client(app: &App, id: &str, secret: &Secret<String>) -> Result<bool, GoogleError> {
    app.oauth.knows_client(id, secret).await
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
    mail::send(smtp, to, &mail).await
}
