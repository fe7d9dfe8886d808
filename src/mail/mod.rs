//! Sends mails by SMTP. A password goes over an encrypted connection or not at all.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use crate::{
    model::smtp::{Security, Smtp},
    pages::mail::Mail,
};

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("a password would go over an unencrypted connection; choose starttls or tls")]
    PasswordInTheClear,
    #[error("{0} is no mail address")]
    Address(&'static str),
    #[error("the mail could not be put together")]
    Form,
    #[error("the mail server's certificate or name cannot be used")]
    Tls,
    #[error("the mail server refused: {0}")]
    Refused(&'static str),
    #[error("the mail server cannot be reached, or is busy; it will be tried again")]
    Passing,
}

impl MailError {
    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, MailError::Passing)
    }
}

/// How long a mail server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a mail.
///
/// # Errors
/// [`MailError::Passing`] when it should be tried again.
pub async fn send(smtp: &Smtp, to: &str, mail: &Mail) -> Result<(), MailError> {
    if smtp.password.is_some() && smtp.security == Security::None {
        return Err(MailError::PasswordInTheClear);
    }
    let address = |text: &str, what| text.parse::<Mailbox>().map_err(|_| MailError::Address(what));
    let message = Message::builder()
        .from(address(&smtp.from, "the sender")?)
        .to(address(to, "the recipient")?)
        .subject(mail.subject.clone())
        .message_id(None)
        .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
        .map_err(|_| MailError::Form)?;
    let parameters = || TlsParameters::new(smtp.host.clone()).map_err(|_| MailError::Tls);
    let tls = match smtp.security {
        Security::StartTls => Tls::Required(parameters()?),
        Security::Tls => Tls::Wrapper(parameters()?),
        Security::None => Tls::None,
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .tls(tls)
        .timeout(Some(PATIENCE));
    if let (Some(user), Some(password)) = (&smtp.user, &smtp.password) {
        transport = transport.credentials(Credentials::new(user.clone(), password.reveal().clone()));
    }
    match transport.build().send(message).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_permanent() => Err(MailError::Refused("it will not take this mail, or this sign-in")),
        // No STARTTLS where it is required, or a certificate that does not hold: more tries change nothing soon, but an operator may.
        Err(error) if error.is_client() || error.is_tls() => {
            Err(MailError::Refused("it does not offer encryption that holds"))
        }
        Err(_) => Err(MailError::Passing),
    }
}
