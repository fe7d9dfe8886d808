//! A plan: everything one tick will do, decided.

use chrono::{DateTime, Utc};

use std::collections::BTreeMap;

use super::{
    body::{Body, Digest, When},
    calendar::Why,
    id::{CalendarId, Etag, EventId, UserId},
    item::{Face, ItemKey},
};

/// What to do about one item. Ids, bodies and etags are final: who carries it out decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Insert under a given id.
    Create { event: EventId, incarnation: u32, body: Body },
    /// Patch the fields in which the bodies differ, and the marker.
    Update { event: EventId, etag: Etag, incarnation: u32, from: Body, to: Body },
    /// Give an instance of our series its own shape. It has none yet, so its etag must be read first.
    Amend { event: EventId, incarnation: u32, to: Body },
    /// Cancel an instance of our series. It has no shape of its own yet, so its etag must be read first.
    Cancel { event: EventId, incarnation: u32 },
    /// Delete an event, or cancel an instance, of ours.
    Delete { event: EventId, etag: Etag, incarnation: u32 },
    /// It is as it should be; only our memory differs.
    Adopt { event: EventId, incarnation: u32, applied: Digest, shown: Digest },
    /// Remember that the person does not want it.
    Dismiss { event: EventId, incarnation: u32 },
    /// Remember nothing more of it.
    Forget,
}

impl Action {
    /// Whether Google will see it.
    pub fn writes(&self) -> bool {
        !matches!(self, Action::Adopt { .. } | Action::Dismiss { .. } | Action::Forget)
    }

    /// Whether something disappears from a calendar.
    pub fn deletes(&self) -> bool {
        matches!(self, Action::Delete { .. } | Action::Cancel { .. })
    }
}

/// Why. For people only: nothing is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    NewAtOrigin,
    ChangedAtOrigin,
    GoneAtOrigin,
    /// The origin is there, but declined, free, or of a kind that is not shown.
    NotWanted,
    /// Ours was changed by hand.
    Drifted,
    /// Ours was removed by hand.
    Removed,
    /// Ours is out of sight without a tombstone.
    Vanished,
    /// Ours was found without our remembering it.
    FoundOurs,
    /// There are two of ours for one item.
    Duplicate,
    /// It left the span of time that is kept up to date, or both ends are gone.
    NothingLeft,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub key: ItemKey,
    pub face: Face,
    pub action: Action,
    pub reason: Reason,
    /// An exception that is kept as an event of its own, because the target's series has no such slot.
    pub beside: bool,
    /// For people: when it takes place, and its title at the origin.
    pub when: Option<When>,
    pub title: Option<String>,
}

/// Why something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldReason {
    /// We do not see the calendar that would change.
    TargetNotCurrent,
    /// We do not see the calendar whose event would justify a deletion.
    OriginNotCurrent,
    /// Nothing proves that the origin is gone.
    OriginUnproven,
    /// Too many deletions at once.
    Brake,
}

impl HeldReason {
    /// The sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            HeldReason::TargetNotCurrent => "the calendar cannot be read; they stay as they are",
            HeldReason::OriginNotCurrent => "the origin's calendar cannot be read; nothing is deleted on hearsay",
            HeldReason::OriginUnproven => "nothing proves that the origin is gone; they stay",
            HeldReason::Brake => "too many deletions at once; they wait for approval",
        }
    }
}

/// One thing that would be done, and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub step: Step,
    pub reason: HeldReason,
}

/// Something people should know although nothing is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The name of the calendar.
    pub calendar: String,
    /// None: never read to the end.
    pub why: Option<Why>,
}

/// Everything one tick will do.
#[must_use = "a plan nobody reads or applies changes nothing"]
#[derive(Clone, Debug)]
pub struct Plan {
    pub user: UserId,
    pub email: String,
    /// The instant of the snapshot.
    pub at: DateTime<Utc>,
    /// What the user calls the calendars, for people.
    pub names: BTreeMap<CalendarId, String>,
    /// The zone in which times are printed: the main calendar's, an IANA name.
    pub zone: String,
    pub unreadable: Vec<Unreadable>,
    /// In the order in which they are to be carried out.
    pub steps: Vec<Step>,
    pub held: Vec<Held>,
    /// Items that are as they should be.
    pub in_sync: usize,
}

impl Plan {
    /// Whether nothing at all would be done, noted or held.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.held.is_empty()
    }

    /// Whether something would change at Google, or waits to.
    pub fn has_changes(&self) -> bool {
        !self.held.is_empty() || self.steps.iter().any(|step| step.action.writes())
    }
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Skipped(Skip),
    Failed { class: ErrorClass, message: String },
}

/// Why a step was not tried, or came to nothing without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Somebody changed the event since we looked: look again.
    ChangedMeanwhile,
    /// Its series could not be made.
    ParentFailed,
    /// The account was stopped by an earlier answer.
    AccountStopped,
}

/// What an error asks of us (design: errors become decisions in one table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Try again later.
    Transient,
    /// Google asked to slow down.
    Throttled,
    /// The cursor is worthless: list again.
    CursorLost,
    /// It is not there (any more).
    AlreadyGone,
    /// It changed since we looked.
    Precondition,
    /// The id is taken.
    Exists,
    /// The account's consent is gone.
    Revoked,
    /// This account may not.
    Forbidden,
    /// The calendar is not there.
    Missing,
    /// Google refuses this content.
    Rejected,
}
