//! A run: what one carried-out plan did, as the journal remembers it.

use chrono::{DateTime, Utc};

use super::{
    body::Field,
    id::{EventId, UserId},
    item::{Face, ItemKey},
    plan::Effect,
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
