//! A run: what one carried-out plan did, as the journal remembers it.

use chrono::{DateTime, Utc};

use std::collections::BTreeMap;

use super::{
    body::{Field, When},
    id::{CalendarId, EventId, UserId},
    item::{Face, ItemKey},
    plan::{ActionKind, Effect, HeldReason, Reason},
};

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Changed something of ours: made, changed or removed it, as the effect says.
    Ours,
    /// Changed these fields of an origin, for the person who had changed its copy.
    WroteBack(Vec<Field>),
    /// Answered an invitation for the person.
    Responded,
    /// Removed an origin for the person.
    Withdrew,
    /// Brought a removed origin back.
    Restored,
}

/// One step that changed something at Google.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    pub key: ItemKey,
    pub face: Face,
    pub deed: Deed,
    pub event: EventId,
    pub incarnation: u32,
    pub beside: bool,
    pub effect: Effect,
    /// It removed a twin: there is nothing to take back.
    pub twin: bool,
}

/// What one carried-out plan did.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub number: i64,
    pub user: UserId,
    /// When it was planned.
    pub at: DateTime<Utc>,
    /// The run that it took back.
    pub undoes: Option<i64>,
    /// In the order in which they were planned.
    pub done: Vec<Done>,
}

/// One line of a list of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLine {
    pub number: i64,
    /// When it was planned.
    pub at: DateTime<Utc>,
    pub undoes: Option<i64>,
    /// Steps that changed something at Google.
    pub done: u32,
}

/// One write of an item, or the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub run: i64,
    /// When it was noted.
    pub at: Option<DateTime<Utc>>,
    /// Words of the journal.
    pub action: String,
    pub reason: String,
    /// `done`, `skipped`, `failed`; none: the process ended before it was noted.
    pub outcome: Option<String>,
}

/// A plan of the past as it was decided, step by step, with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastPlan {
    pub number: i64,
    pub user: UserId,
    /// When it was planned.
    pub at: DateTime<Utc>,
    /// The run that it took back.
    pub undoes: Option<i64>,
    /// IANA name of the zone in which its times are told.
    pub zone: String,
    /// What the user called the calendars then.
    pub names: BTreeMap<CalendarId, String>,
    /// Names of calendars that could not be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// What waited, and on which calendar.
    pub held: Vec<(HeldReason, CalendarId)>,
    pub steps: Vec<PastStep>,
}

impl PastPlan {
    /// What the user called a calendar.
    pub fn name(&self, calendar: &CalendarId) -> &str {
        self.names.get(calendar).map_or("a calendar that is no longer connected", String::as_str)
    }
}

/// A step of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastStep {
    pub kind: ActionKind,
    pub face: Face,
    /// Where the copy or block stands.
    pub target: CalendarId,
    /// Whose event it is of.
    pub origin: CalendarId,
    pub when: Option<When>,
    /// The title at the origin; for its owner's eyes.
    pub title: Option<String>,
    pub repeats: bool,
    /// Fields that were to change.
    pub changed: Vec<Field>,
    pub reason: Reason,
    /// None: the process ended before it was noted.
    pub outcome: Option<PastOutcome>,
}

impl PastStep {
    /// The calendar that was written.
    pub fn calendar(&self) -> &CalendarId {
        if self.kind.is_at_origin() { &self.origin } else { &self.target }
    }
}

/// How a step of the past went; reasons in words that name nothing of anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastOutcome {
    Done,
    Skipped(String),
    /// With what Google said, for the owner's eyes.
    Failed {
        class: String,
        message: Option<String>,
    },
}
