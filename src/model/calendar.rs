//! A connected calendar: what it is to its user, what the user wants of it, and how well we see it.

use super::id::CalendarId;

/// What a calendar is to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The one calendar that shows everything.
    Main,
    /// A calendar in another organization: full copies leave it, busy blocks enter it.
    Client,
    /// Read only: blocks leave it, nothing ever enters.
    Personal,
}

impl Role {
    /// The word for logs and the database.
    pub fn word(self) -> &'static str {
        match self {
            Role::Main => "main",
            Role::Client => "client",
            Role::Personal => "personal",
        }
    }

    /// The role of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Role::Main, Role::Client, Role::Personal].into_iter().find(|r| r.word() == word)
    }
}

/// What the person wants of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Chosen, and not begun: the person has not said yes to what would change. It takes part in nothing.
    Offered,
    Connected,
    /// To be left: everything of ours that stands there or derives from it goes away first.
    Leaving,
}

/// How far the mirror of a calendar may be trusted in this tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Read to the end just now (or, offline, at some time).
    Current,
    /// Could not be read now; the mirror is what Google told earlier.
    Stale(Why),
    /// Never read to the end.
    Unseen,
}

/// Why a calendar could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The account took its permission back, or its sign-in ended.
    Revoked,
    /// Google ended the sign-in seven days after it, as it does while the application's publishing status is "Testing".
    Lapsed,
    /// The person did not give a permission that is needed.
    Scope,
    /// Google refuses this account this calendar.
    Forbidden,
    /// The calendar is gone, or not to be seen by this account.
    Missing,
    /// Google asked us to slow down.
    Throttled,
    /// No answer, or one that made no sense. Usually brief.
    Unreachable,
    /// It has more events that count than are kept in sync ([`Policy::events`](super::snapshot::Policy::events)).
    TooMany,
    /// A person wants silence.
    Paused,
}

impl Why {
    /// The end of the sentence "… cannot be read: …".
    pub fn sentence(self) -> &'static str {
        match self {
            Why::Revoked => "access was revoked",
            Why::Lapsed => "Google ended the sign-in after seven days, as it does while the application is in testing",
            Why::Scope => "a permission was not given; connect it again and leave all boxes ticked",
            Why::Forbidden => "Google refuses access",
            Why::Missing => "Google does not find it",
            Why::Throttled => "Google asked to slow down",
            Why::Unreachable => "Google did not answer",
            Why::TooMany => "it has more events than are kept in sync (too_many_events)",
            Why::Paused => "it is paused",
        }
    }
}

/// One calendar of one user.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub id: CalendarId,
    /// The number of the row: what logs call it.
    pub number: i64,
    /// What its user calls it.
    pub name: String,
    pub role: Role,
    pub standing: Standing,
    pub freshness: Freshness,
    /// IANA name; days without a zone lie in it.
    pub zone: String,
    /// The account may write here. Unknown counts as yes until a listing says otherwise.
    pub writable: bool,
    /// The calendar is its account's own (primary) one, so that an event may have the account as its guest.
    pub own: bool,
}
