//! Alerts: what a person has to know because only they can mend it.

use super::id::UserId;

/// What went wrong (specification, "Alert Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    TokenRevoked,
    CalendarInaccessible,
    SyncFailures,
    WebhookRegistrationFailed,
    SystemError,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It costs time, nothing else.
    Warning,
    /// Something does not work until somebody acts.
    Error,
    /// Nothing works.
    Critical,
}

impl Severity {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

impl AlertKind {
    /// All kinds.
    pub const ALL: [AlertKind; 5] = [
        AlertKind::TokenRevoked,
        AlertKind::CalendarInaccessible,
        AlertKind::SyncFailures,
        AlertKind::WebhookRegistrationFailed,
        AlertKind::SystemError,
    ];

    /// The word for the database and the command line.
    pub fn word(self) -> &'static str {
        match self {
            AlertKind::TokenRevoked => "token_revoked",
            AlertKind::CalendarInaccessible => "calendar_inaccessible",
            AlertKind::SyncFailures => "sync_failures",
            AlertKind::WebhookRegistrationFailed => "webhook_registration_failed",
            AlertKind::SystemError => "system_error",
        }
    }

    /// The kind of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether admins alone are told.
    pub fn is_for_admins(self) -> bool {
        matches!(self, AlertKind::WebhookRegistrationFailed | AlertKind::SystemError)
    }

    pub fn severity(self) -> Severity {
        match self {
            AlertKind::WebhookRegistrationFailed => Severity::Warning,
            AlertKind::TokenRevoked | AlertKind::CalendarInaccessible | AlertKind::SyncFailures => Severity::Error,
            AlertKind::SystemError => Severity::Critical,
        }
    }

    /// What happened and whose side it is on, as a sentence about a calendar.
    pub fn sentence(self) -> &'static str {
        match self {
            AlertKind::TokenRevoked => "Google no longer lets BusyBridge into the account of this calendar.",
            AlertKind::CalendarInaccessible => "BusyBridge can no longer keep this calendar in sync.",
            AlertKind::SyncFailures => "This calendar could not be read five times in a row.",
            AlertKind::WebhookRegistrationFailed => {
                "Google does not announce changes of this calendar; it is looked at every few minutes instead."
            }
            AlertKind::SystemError => "BusyBridge met an error of its own.",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            AlertKind::TokenRevoked => "Connect the account again. Until then its events and blocks stay as they are.",
            AlertKind::CalendarInaccessible => {
                "Ask its owner for access again, remove events if there are too many, or disconnect it. Until then everything \
                 stays as it is."
            }
            AlertKind::SyncFailures => {
                "This usually passes by itself. If it lasts, connect the account again, or look at Google's status page."
            }
            AlertKind::WebhookRegistrationFailed => {
                "Check that PUBLIC_URL is reached from the internet over https with a valid certificate."
            }
            AlertKind::SystemError => "Look at the service’s log, and run busybridge doctor.",
        }
    }
}

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: AlertKind,
    pub user: Option<UserId>,
    /// The number of the calendar.
    pub calendar: Option<i64>,
    /// The last error, in words that name no event.
    pub detail: String,
}
