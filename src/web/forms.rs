//! What forms hold, understood.

use super::{error::Refusal, session::Form};
use crate::{
    model::{
        secret::Secret,
        smtp::{Security, Smtp},
    },
    pages::setup::{SmtpFields, nothing_wrong},
};

/// The fields of a mail server's form.
pub const SMTP: &[&str] = &[
    "smtp_host",
    "smtp_port",
    "smtp_security",
    "smtp_username",
    "smtp_password",
    "smtp_from_address",
    "alert_emails",
    "do",
];
/// Recipients at most.
const RECIPIENTS_MAX: usize = 50;

/// Refuses a form with fields that nobody asked for.
///
/// # Errors
/// A refusal that names no field.
pub fn only(form: &Form, names: &[&str]) -> Result<(), Refusal> {
    if form.names().all(|name| names.contains(&name)) {
        return Ok(());
    }
    Err(Refusal::malformed("unknown_field", "The form holds a field that does not belong there. Reload the page."))
}

/// A mail server's form: what it says, and the server if all is well with it.
pub struct SmtpForm {
    pub fields: SmtpFields,
    pub smtp: Option<Smtp>,
    pub recipients: Vec<String>,
}

impl SmtpForm {
    /// Reads the form; an empty password means the one that is kept.
    pub fn read(form: &Form, kept: Option<Secret<String>>) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        let mut wrong = nothing_wrong();
        let mut say = |name: &'static str, what: &str| {
            wrong.insert(name, Some(what.to_owned()));
        };
        let host = text("smtp_host");
        if !is_mail_host(&host) {
            say("smtp_host", "This is no name of a server. Write for example smtp.example.com.");
        }
        let port = text("smtp_port").parse::<u16>().ok().filter(|port| *port > 0);
        if port.is_none() {
            say("smtp_port", "A port is a number from 1 to 65535, usually 587 or 465.");
        }
        let security = Security::from_word(&text("smtp_security")).unwrap_or(Security::StartTls);
        let user = Some(text("smtp_username")).filter(|user| !user.is_empty());
        let typed = Some(text("smtp_password")).filter(|password| !password.is_empty());
        let has_kept = kept.is_some();
        let password = typed.map(Secret::new).or(kept).filter(|_| user.is_some());
        if password.is_some() && security == Security::None {
            say("smtp_password", "A password would go over an unencrypted connection. Choose STARTTLS or TLS.");
        }
        let from = text("smtp_from_address");
        if !is_address(&from) {
            say("smtp_from_address", "This is no mail address.");
        }
        let recipients: Vec<String> = text("alert_emails")
            .split([',', ';', '\n'])
            .map(|one| one.trim().to_owned())
            .filter(|one| !one.is_empty())
            .collect();
        if recipients.len() > RECIPIENTS_MAX || !recipients.iter().all(|one| is_address(one)) {
            say("alert_emails", "Write at most fifty mail addresses, separated by commas.");
        }
        let well = wrong.values().all(Option::is_none);
        let smtp = port.filter(|_| well).map(|port| Smtp {
            host: host.clone(),
            port,
            security,
            user: user.clone(),
            password,
            from: from.clone(),
        });
        let fields = SmtpFields {
            host,
            port: text("smtp_port"),
            security: security.word().into(),
            username: user.unwrap_or_default(),
            password_hint: if has_kept { "A password is kept. Leave this empty to keep it." } else { "" },
            from,
            recipients: text("alert_emails"),
            wrong,
        };
        SmtpForm { fields, smtp, recipients }
    }
}

/// Whether this may be the name of a mail server. One on the same machine or in the same network is usual; what only tells machines
/// about themselves is none.
pub fn is_mail_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if text.is_empty() || text.len() > 253 || !text.chars().all(plain) {
        return false;
    }
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    // As systems read it: four numbers, or one, in whatever base.
    match url::Host::parse(&name) {
        Ok(url::Host::Ipv4(ip)) => {
            let odd = ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast();
            !odd && ip.to_string() == name
        }
        Ok(_) => name != "metadata.google.internal",
        Err(_) => false,
    }
}

/// Whether this is one mail address, as far as a form can tell; the mail server has the last word.
pub fn is_address(text: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "<>,;:\"()[]\\".contains(c);
    let parts = text.split_once('@');
    text.len() <= 254
        && !text.chars().any(odd)
        && parts.is_some_and(|(local, domain)| {
            let inner = !domain.starts_with('.') && !domain.ends_with('.');
            !local.is_empty() && inner && domain.contains('.') && !domain.contains('@')
        })
}
