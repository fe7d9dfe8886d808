//! The pages of the set-up (specification, "Wizard Flow").

use std::collections::BTreeMap;

use serde::Serialize;

use super::Page;
use crate::model::smtp::{Security, Smtp};

/// One step in the list above each page.
#[derive(Clone, Debug, Serialize)]
pub struct StepLine {
    number: u8,
    name: &'static str,
    here: bool,
    done: bool,
}

const NAMES: [&str; 6] = ["Welcome", "Google", "Admin", "Mail", "Key", "Done"];

/// The list of steps, of which `here` is shown and those below `next` are done.
pub fn steps(here: u8, next: u8) -> Vec<StepLine> {
    let line =
        |(number, name): (u8, &&'static str)| StepLine { number, name, here: number == here, done: number < next };
    (1..).zip(&NAMES).map(line).collect()
}

/// Asks for the setup token.
#[derive(Debug, Serialize)]
pub struct Unlock {
    pub wrong: Option<String>,
}

impl Page for Unlock {
    const FILE: &'static str = "setup/unlock.html";
}

#[derive(Debug, Serialize)]
pub struct Welcome {
    pub steps: Vec<StepLine>,
}

impl Page for Welcome {
    const FILE: &'static str = "setup/welcome.html";
}

#[derive(Debug, Serialize)]
pub struct Credentials {
    pub steps: Vec<StepLine>,
    pub addresses: Vec<String>,
    pub client_id: String,
    pub has_secret: bool,
    pub wrong: Fields,
}

impl Page for Credentials {
    const FILE: &'static str = "setup/credentials.html";
}

/// What is wrong with the credentials.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fields {
    pub client_id: Option<String>,
    pub client_secret: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Admin {
    pub steps: Vec<StepLine>,
    pub email: Option<String>,
    pub domain: Option<String>,
    pub wrong: Option<String>,
}

impl Page for Admin {
    const FILE: &'static str = "setup/admin.html";
}

#[derive(Debug, Serialize)]
pub struct Mail {
    pub steps: Vec<StepLine>,
    pub smtp: SmtpFields,
    pub sent: Option<String>,
    pub failed: Option<String>,
}

impl Page for Mail {
    const FILE: &'static str = "setup/mail.html";
}

/// The fields of a mail server.
#[derive(Clone, Debug, Serialize)]
pub struct SmtpFields {
    pub host: String,
    pub port: String,
    pub security: String,
    pub username: String,
    pub password_hint: &'static str,
    pub from: String,
    pub recipients: String,
    pub wrong: BTreeMap<&'static str, Option<String>>,
}

/// The names of those fields in forms.
pub const SMTP_FIELDS: [&str; 6] =
    ["smtp_host", "smtp_port", "smtp_username", "smtp_password", "smtp_from_address", "alert_emails"];

impl SmtpFields {
    /// As they are kept.
    pub fn kept(smtp: Option<&Smtp>, recipients: &[String]) -> Self {
        let nothing = Smtp {
            host: String::new(),
            port: 587,
            security: Security::StartTls,
            user: None,
            password: None,
            from: String::new(),
        };
        let Smtp { host, port, security, user, password, from } = smtp.unwrap_or(&nothing);
        SmtpFields {
            host: host.clone(),
            port: port.to_string(),
            security: security.word().into(),
            username: user.clone().unwrap_or_default(),
            password_hint: if password.is_some() { "A password is kept. Leave this empty to keep it." } else { "" },
            from: from.clone(),
            recipients: recipients.join(", "),
            wrong: nothing_wrong(),
        }
    }
}

/// No field is wrong.
pub fn nothing_wrong() -> BTreeMap<&'static str, Option<String>> {
    SMTP_FIELDS.into_iter().map(|name| (name, None)).collect()
}

#[derive(Debug, Serialize)]
pub struct Key {
    pub steps: Vec<StepLine>,
    /// None: it was shown before.
    pub key: Option<String>,
    pub wrong: Option<String>,
}

impl Page for Key {
    const FILE: &'static str = "setup/key.html";
}

#[derive(Debug, Serialize)]
pub struct Done {
    pub steps: Vec<StepLine>,
}

impl Page for Done {
    const FILE: &'static str = "setup/done.html";
}
