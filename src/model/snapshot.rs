//! Everything the planner may know, at one instant.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    calendar::Calendar,
    event::{Event, Slot},
    flow::CustomFlow,
    id::{CalendarId, EventId, UserId},
    item::{ItemIds, ItemKey, Observed, ObservedState},
    mapping::{Mapping, Refusal},
};

/// Whether an origin is there.
#[derive(Clone, Debug)]
pub enum Origin {
    Live(Box<Event>),
    /// Proven gone: a tombstone, or for an exception a cancelled instance.
    Gone,
}

/// A single event, or a series with its exceptions.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// The single event or the series; none when only an exception is known (an invitation to one occurrence, checklist C21).
    pub head: Option<Origin>,
    pub exceptions: BTreeMap<Slot, Origin>,
}

/// What the installation and the user have settled.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Put before the title of blocks.
    pub prefix: String,
    /// How long ago an origin may have ended to be kept up to date.
    pub horizon: TimeDelta,
    /// Events of one calendar, as far as they did not end before the horizon, that are kept in sync. A calendar with more of them
    /// is left as it is: half a calendar in sync would look like a whole one.
    pub events: usize,
    /// Deletions on one calendar in one tick that need no approval.
    pub brake_count: usize,
    /// The same in hundredths of what we keep there; both must be exceeded to hold.
    pub brake_percent: usize,
    /// Single events that begin later than this from now are left for another time; none: nothing is.
    pub days_forward: Option<TimeDelta>,
    /// Where people reach the service; no slash at the end.
    pub public_url: String,
    /// Guests are told by mail when a person moves, removes or answers a meeting by way of its copy.
    pub tell_guests: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            prefix: "[BusyBridge]".into(),
            horizon: TimeDelta::days(30),
            events: 25_000,
            brake_count: 10,
            brake_percent: 20,
            days_forward: None,
            public_url: "http://localhost:3000".into(),
            tell_guests: false,
        }
    }
}

/// Everything the planner may know.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub user: UserId,
    /// The user's address, for the head of a printed plan.
    pub email: String,
    pub now: DateTime<Utc>,
    pub calendars: BTreeMap<CalendarId, Calendar>,
    pub origins: BTreeMap<CalendarId, BTreeMap<EventId, Family>>,
    pub observed: BTreeMap<ItemKey, Vec<Observed>>,
    pub mappings: BTreeMap<ItemKey, Mapping>,
    /// Events that bear the mark of somebody else's installation, or of another of its users, where something of ours takes them
    /// for its origin.
    pub foreign: BTreeSet<(CalendarId, EventId)>,
    /// What Google would not take, by item.
    pub refusals: BTreeMap<ItemKey, Refusal>,
    /// Rules that the person declared.
    pub flows: Vec<CustomFlow>,
    /// Removals that a person agreed to: the event, on the calendar from which it goes.
    pub approved: BTreeSet<(CalendarId, EventId)>,
    /// Changes whenever somebody changes what is wanted; a plan holds for one generation.
    pub generation: i64,
    pub policy: Policy,
    pub ids: ItemIds,
}

impl Snapshot {
    /// Whether a person agreed to the removal of this event.
    pub fn is_approved(&self, calendar: &CalendarId, event: Option<&EventId>) -> bool {
        event.is_some_and(|event| self.approved.contains(&(calendar.clone(), event.clone())))
    }

    /// Whether an event is nobody's origin: it bears a mark for this very place, or is known to have been ours and is gone.
    pub fn is_nobodys(&self, calendar: &CalendarId, event: &EventId) -> bool {
        let made = |one: &Observed| {
            one.event == *event
                && matches!(one.state, ObservedState::Live { marked: true, .. } | ObservedState::Gone { .. })
        };
        // Ids of ours are longer than any that Google gives; most questions end here.
        event.as_str().len() >= EventId::OURS
            && (self.foreign.contains(&(calendar.clone(), event.clone()))
                || self.observed.iter().any(|(item, seen)| item.target == *calendar && seen.iter().any(made)))
    }
}
