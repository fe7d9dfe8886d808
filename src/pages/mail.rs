//! Mails.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::render;
use crate::model::alert::AlertKind;

/// A mail as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// A mail about an alert.
#[derive(Clone, Debug, Serialize)]
pub struct AlertMail {
    subject: String,
    sentence: &'static str,
    advice: &'static str,
    calendar: Option<String>,
    person: Option<String>,
    when: String,
    detail: String,
    dashboard: String,
    manage: String,
}

/// The longest line that a subject takes from elsewhere, in characters.
const LINE: usize = 120;

impl AlertMail {
    /// About an alert of this kind at `at`; `calendar` is what its user calls it, `person` whose it is (for admins).
    pub fn new(
        kind: AlertKind,
        calendar: Option<&str>,
        person: Option<&str>,
        detail: &str,
        at: DateTime<Utc>,
        public_url: &str,
    ) -> Self {
        let calendar = calendar.map(line);
        let what = match kind {
            AlertKind::TokenRevoked => "access has ended",
            AlertKind::CalendarInaccessible => "the calendar is out of reach",
            AlertKind::SyncFailures => "it cannot be read",
            AlertKind::WebhookRegistrationFailed => "changes are not announced",
            AlertKind::SystemError => "an error of the service",
        };
        let subject = match &calendar {
            Some(calendar) => format!("[BusyBridge] {calendar}: {what}"),
            None => format!("[BusyBridge] {what}"),
        };
        AlertMail {
            subject,
            sentence: kind.sentence(),
            advice: kind.advice(),
            calendar,
            person: person.map(line),
            when: at.format("%A, %-d %B %Y, %H:%M UTC").to_string(),
            detail: line(detail),
            dashboard: format!("{public_url}/app"),
            manage: format!("{public_url}/app/settings#alerts"),
        }
    }

    /// The mail.
    pub fn render(&self) -> Mail {
        Mail {
            subject: self.subject.clone(),
            text: render("mail/alert.txt", self),
            html: render("mail/alert.html", self),
        }
    }
}

/// One line without control characters, cut where it is too long.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn mails_look_as_kept() {
        let at = "2026-03-02T08:05:00Z".parse().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mail");
        let mut wrong = Vec::new();
        for kind in AlertKind::ALL {
            let (calendar, person) = match kind {
                AlertKind::SystemError => (None, None),
                _ => (Some("Acme & <Sons>\r\nBcc: evil@example.com"), Some("ada@home.example")),
            };
            let mail =
                AlertMail::new(kind, calendar, person, "access was revoked", at, "https://bridge.example").render();
            assert!(!mail.subject.contains(['\r', '\n']), "{}", mail.subject);
            assert!(!mail.html.contains("<Sons>"), "{}", mail.html);
            for (ending, text) in [("txt", format!("Subject: {}\n\n{}", mail.subject, mail.text)), ("html", mail.html)]
            {
                let file = folder.join(format!("{}.{ending}", kind.word()));
                if std::env::var_os("UPDATE_EXPECT").is_some() {
                    fs::create_dir_all(&folder).unwrap();
                    fs::write(&file, &text).unwrap();
                } else if fs::read_to_string(&file).ok().as_deref() != Some(&text) {
                    wrong.push(file);
                }
            }
        }
        assert!(wrong.is_empty(), "UPDATE_EXPECT=1 writes what came out: {wrong:?}");
    }
}
