//! Which calendar is shown on which, which of its events, and with what face and shape. Nothing else in the planner knows the
//! roles of calendars.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveTime, TimeZone};
use chrono_tz::Tz;
use regex::Regex;

use crate::model::{
    body::{Answer, When},
    calendar::{Calendar, Role, Standing},
    event::{Event, Kind},
    flow::{CustomFlow, Filter, Shape, State},
    id::CalendarId,
    item::Face,
};

/// One rule: origins of `source` that pass appear on `target`.
#[derive(Clone, Debug)]
pub struct Flow {
    pub source: CalendarId,
    pub target: CalendarId,
    pub face: Face,
    pub shape: Shape,
    filter: Filter,
    title: Option<Regex>,
    not_title: Option<Regex>,
    /// The target's: days and hours lie in it.
    pub zone: Tz,
    /// Of flows onto one target the least comes first: main, then clients, then personal calendars, each as connected.
    pub rank: (Role, i64),
}

/// Why an event does not flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    Declined,
    Free,
    /// Working locations and birthdays are no appointments.
    Kind,
    /// The flow's filter: too few or too many guests, another state, another type, title, day or hour.
    Guests,
    State,
    Type,
    Title,
    Hours,
}

/// The flows of a user's calendars: the usual ones (specification, "Sync Rules": client → main in full; main → each client and
/// client → each *other* client as busy; personal → main and each client as personal), each replaced by what the person
/// declared between the same calendars. A personal calendar is never a target, and a calendar that is to be left is neither
/// source nor target.
pub fn flows(calendars: &BTreeMap<CalendarId, Calendar>, custom: &[CustomFlow]) -> Vec<Flow> {
    let mut flows = Vec::new();
    let connected = || calendars.values().filter(|calendar| calendar.standing == Standing::Connected);
    for source in connected() {
        for target in connected().filter(|target| target.id != source.id) {
            let usual = match (source.role, target.role) {
                (Role::Client, Role::Main) => Face::Copy,
                (Role::Main | Role::Client, Role::Client) => Face::Busy,
                (Role::Personal, Role::Main | Role::Client) => Face::PersonalBusy,
                (Role::Main, Role::Main) | (_, Role::Personal) => continue,
            };
            let declared = custom.iter().find(|flow| flow.source == source.id && flow.target == target.id);
            let declared = declared.filter(|flow| objection(flow, calendars).is_none());
            let (face, filter, shape) = match declared {
                Some(CustomFlow { face: None, .. }) => continue,
                Some(CustomFlow { face: Some(face), filter, shape, .. }) => (*face, filter.clone(), shape.clone()),
                None => (usual, Filter::default(), Shape::default()),
            };
            let regex = |text: &Option<String>| text.as_deref().and_then(|text| Regex::new(text).ok());
            flows.push(Flow {
                source: source.id.clone(),
                target: target.id.clone(),
                face,
                title: regex(&filter.title),
                not_title: regex(&filter.not_title),
                filter,
                shape,
                zone: target.zone.parse().unwrap_or(Tz::UTC),
                rank: (source.role, source.number),
            });
        }
    }
    flows
}

/// What speaks against a flow that a person declares: a sentence for that person.
pub fn objection(flow: &CustomFlow, calendars: &BTreeMap<CalendarId, Calendar>) -> Option<&'static str> {
    let (Some(source), Some(target)) = (calendars.get(&flow.source), calendars.get(&flow.target)) else {
        return Some("both calendars must be connected");
    };
    let personal = source.role == Role::Personal;
    let face = flow.face?;
    let patterns = [&flow.filter.title, &flow.filter.not_title];
    match face {
        _ if source.id == target.id => Some("a calendar cannot be shown on itself"),
        _ if target.role == Role::Personal => Some("nothing is ever written to a personal calendar"),
        Face::Copy if target.role != Role::Main => Some("what meetings say is shown on the main calendar only"),
        Face::Copy if source.role != Role::Client => Some("only a client's meetings can be shown in full"),
        Face::PersonalBusy if !personal => Some("only what comes from a personal calendar is called personal"),
        Face::Busy if personal => Some("what comes from a personal calendar is called personal"),
        _ if personal && flow.filter.reads_titles() => {
            Some("titles of personal calendars are not kept, so they cannot be looked at")
        }
        _ if patterns.into_iter().flatten().any(|text| Regex::new(text).is_err()) => {
            Some("the title pattern is no regular expression")
        }
        _ if flow.shape.title.as_deref().is_some_and(|title| title.trim().is_empty()) => {
            Some("a block needs a title; leave it out for the usual one")
        }
        _ => None,
    }
}

impl Flow {
    /// Whether an event flows, by itself: nothing is said of other calendars. A series is judged by its first instance, an
    /// exception by itself.
    ///
    /// # Errors
    /// What hinders it.
    pub fn admits(&self, event: &Event) -> Result<(), Hindrance> {
        self.shows(event)?;
        let Filter { min_guests, max_guests, states, kinds, title: _, not_title: _, weekdays, hours } = &self.filter;
        if min_guests.is_some_and(|n| event.others < n) || max_guests.is_some_and(|n| event.others > n) {
            return Err(Hindrance::Guests);
        }
        let state = State::of(event.body.answer, event.tentative);
        if states.as_ref().is_some_and(|states| !states.contains(&state)) {
            return Err(Hindrance::State);
        }
        if kinds.as_ref().is_some_and(|kinds| !kinds.contains(&event.kind)) {
            return Err(Hindrance::Type);
        }
        let title = event.body.title.as_deref().unwrap_or("");
        if self.title.as_ref().is_some_and(|pattern| !pattern.is_match(title))
            || self.not_title.as_ref().is_some_and(|pattern| pattern.is_match(title))
        {
            return Err(Hindrance::Title);
        }
        let day = match &event.body.when {
            When::Days { first, .. } => *first,
            When::Times { start, .. } => start.with_timezone(&self.zone).date_naive(),
        };
        if weekdays.as_ref().is_some_and(|days| !days.contains(&day.weekday()))
            || hours.is_some_and(|hours| !self.touches(&event.body.when, hours))
        {
            return Err(Hindrance::Hours);
        }
        Ok(())
    }

    /// Whether an event has this flow's face at all: declined ones, working locations and birthdays have none; free ones do
    /// not block (design, "not blocking", "free events").
    pub fn shows(&self, event: &Event) -> Result<(), Hindrance> {
        match event {
            _ if matches!(event.kind, Kind::WorkingLocation | Kind::Birthday) => Err(Hindrance::Kind),
            _ if event.body.answer == Some(Answer::Declined) => Err(Hindrance::Declined),
            _ if self.face != Face::Copy && event.body.free => Err(Hindrance::Free),
            _ => Ok(()),
        }
    }

    fn touches(&self, when: &When, (from, until): (NaiveTime, NaiveTime)) -> bool {
        let When::Times { start, end, .. } = when else { return true };
        let day = start.with_timezone(&self.zone).date_naive();
        let at = |time| self.zone.from_local_datetime(&day.and_time(time)).earliest();
        match (at(from), at(until)) {
            (Some(from), Some(until)) => *start < until && *end > from,
            // An hour that the clocks leave out.
            _ => true,
        }
    }
}
