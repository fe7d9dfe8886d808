//! Flows: which calendar is shown on which, what of it, and how. The usual ones follow from the roles of the calendars; a person
//! may declare others.

use chrono::{NaiveTime, TimeDelta, Weekday};

use super::{
    body::{Answer, Visibility},
    event::Kind,
    id::CalendarId,
    item::Face,
};

/// One rule that a person declared, in the place of the usual one between these two calendars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomFlow {
    pub source: CalendarId,
    pub target: CalendarId,
    /// None: nothing flows.
    pub face: Option<Face>,
    pub filter: Filter,
    pub shape: Shape,
}

impl CustomFlow {
    /// What flows as usual between calendars of these, with this face.
    pub fn usual(source: &CalendarId, target: &CalendarId, face: Face) -> Self {
        CustomFlow {
            source: source.clone(),
            target: target.clone(),
            face: Some(face),
            filter: Filter::default(),
            shape: Shape::default(),
        }
    }
}

/// Which events of the source flow. What is not set lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// At least so many people besides the person.
    pub min_guests: Option<u32>,
    /// At most so many people besides the person.
    pub max_guests: Option<u32>,
    /// Only events with one of these states.
    pub states: Option<Vec<State>>,
    /// Only events of these types.
    pub kinds: Option<Vec<Kind>>,
    /// Only events whose title matches this regular expression; an untitled event has the empty title.
    pub title: Option<String>,
    /// No events whose title matches this regular expression.
    pub not_title: Option<String>,
    /// Only events that begin on one of these days (of the target's zone).
    pub weekdays: Option<Vec<Weekday>>,
    /// Only events that touch these hours of the day (of the target's zone), from and until; an event of whole days always does.
    pub hours: Option<(NaiveTime, NaiveTime)>,
}

impl Filter {
    /// Whether it looks at titles, which are kept of no personal calendar.
    pub fn reads_titles(&self) -> bool {
        self.title.is_some() || self.not_title.is_some()
    }
}

/// How far an event is settled for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted, or an event without an invitation that is confirmed.
    Firm,
    /// Answered maybe, or planned only.
    Tentative,
    /// An invitation without an answer.
    Unanswered,
}

impl State {
    /// The state of an event that its calendar's account answered so.
    pub fn of(answer: Option<Answer>, tentative: bool) -> Self {
        match answer {
            Some(Answer::None) => State::Unanswered,
            Some(Answer::Maybe) => State::Tentative,
            _ if tentative => State::Tentative,
            _ => State::Firm,
        }
    }
}

/// How what flows looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Of a block: these words instead of `Busy`. A person's own words, the same for every event.
    pub title: Option<String>,
    /// Put before the title, instead of the installation's prefix of a block; of a copy: put before its title.
    pub prefix: Option<String>,
    /// Google's `colorId` of the event palette.
    pub colour: Option<String>,
    /// Instead of private for a block, and of the origin's for a copy.
    pub visibility: Option<Visibility>,
    /// Minutes that a block begins before its event. Whole days stay whole days.
    pub before: u16,
    /// Minutes that a block ends after its event.
    pub after: u16,
    /// No block for a single event where the target is taken already by single events of its own.
    pub skip_if_covered: bool,
}

impl Shape {
    /// How long before its event a block begins.
    pub fn lead(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.before))
    }

    /// How long after its event a block ends.
    pub fn tail(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.after))
    }
}
