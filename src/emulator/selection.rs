//! Which events a listing is to show: the query parameters of `events.list` and `events.instances` that filter.
//!
//! Everything is checked before anything is listed. Bounds in time are instants to the second: `timeMin` excludes what ends
//! at it in `list` (A18) and includes it in `instances` (C30); `timeMax` excludes what starts at it (A19).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    http::{ApiError, Request},
    render,
    state::{Object, Role, Stored, World},
    sync::digest,
    time,
};

/// The values of `eventType` (discovery document).
pub const EVENT_TYPES: &[&str] = &["birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"];

/// How far back `updatedMin` may lie (B22; roughly what observers saw).
const UPDATED_MIN_DAYS_MAX: i64 = 30;

/// A window in time; both ends may be open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    pub min: Option<DateTime<Utc>>,
    pub max: Option<DateTime<Utc>>,
    /// Whether an event that ends at `min` is in.
    pub min_inclusive: bool,
}

impl Window {
    /// Reads `timeMin` and `timeMax`.
    ///
    /// # Errors
    /// 400 for a bound without an offset (A21), 400 `timeRangeEmpty` for an empty window (A20).
    pub fn read(request: &Request, min_inclusive: bool) -> Result<Self, ApiError> {
        let (min, max) = (instant(request, "timeMin")?, instant(request, "timeMax")?);
        if let (Some(min), Some(max)) = (min, max)
            && max <= min
        {
            let message = "The specified time range is empty.";
            let refusal = ApiError::new(400, "timeRangeEmpty", message).domain("calendar");
            return Err(refusal.at("parameter", "timeMax"));
        }
        Ok(Window { min, max, min_inclusive })
    }

    /// Whether what takes this time (end exclusive) is in the window.
    pub fn admits(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        let late_enough = self.min.is_none_or(|min| end > min || (self.min_inclusive && end == min));
        late_enough && self.max.is_none_or(|max| start < max)
    }

    /// Whether an event is in the window; a tombstone without any time is in every window.
    pub fn admits_event(&self, event: &Object, zone: &str) -> bool {
        if self.min.is_none() && self.max.is_none() {
            return true;
        }
        match (time::start_instant(event, zone), time::end_instant(event, zone)) {
            (Some(start), Some(end)) => self.admits(start, end),
            _ => true,
        }
    }

    /// Bounds of the starts of things that last this long and may be in the window: at or after, before.
    pub fn starts(&self, length: TimeDelta) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        (self.min.map(|min| min - length), self.max)
    }
}

/// What `events.list` is asked to show.
#[derive(Clone, Debug)]
pub struct Selection {
    pub single_events: bool,
    /// None when the request does not say.
    pub show_deleted: Option<bool>,
    pub show_hidden_invitations: bool,
    pub window: Window,
    pub updated_min: Option<DateTime<Utc>>,
    pub order: Order,
    q: Option<String>,
    ical_uid: Option<String>,
    event_types: Vec<String>,
    private: Vec<(String, String)>,
    shared: Vec<(String, String)>,
    /// Two private properties mean OR (F07).
    private_or: bool,
}

/// `orderBy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Unspecified,
    StartTime,
    Updated,
}

impl Selection {
    /// Reads the parameters of `events.list`. For a caller who sees free/busy alone, series are always expanded (A30).
    ///
    /// # Errors
    /// 400 for a value that the parameter does not have and for an order that does not fit (A22), 410
    /// `updatedMinTooLongAgo` (B22).
    pub fn read(world: &World, request: &Request, role: Role) -> Result<Self, ApiError> {
        let asked = flag(request, "singleEvents")?.unwrap_or(false);
        let single_events = asked || role == Role::FreeBusyReader;
        let order = match request.param("orderBy") {
            None => Order::Unspecified,
            Some("updated") => Order::Updated,
            Some("startTime") if single_events => Order::StartTime,
            Some("startTime") => {
                let message = "The requested ordering is not available for the particular query.";
                return Err(ApiError::new(400, "badRequest", message));
            }
            Some(other) => return Err(wrong("orderBy", other)),
        };
        let updated_min = instant(request, "updatedMin")?;
        if updated_min.is_some_and(|min| min < world.now() - TimeDelta::days(UPDATED_MIN_DAYS_MAX)) {
            let message = "The requested minimum modification time lies too far in the past.";
            let refusal = ApiError::new(410, "updatedMinTooLongAgo", message).domain("calendar");
            return Err(refusal.at("parameter", "updatedMin"));
        }
        let mut event_types: Vec<String> = request.params("eventTypes").map(str::to_owned).collect();
        event_types.sort_unstable();
        event_types.dedup();
        if let Some(unknown) = event_types.iter().find(|given| !EVENT_TYPES.contains(&given.as_str())) {
            return Err(wrong("eventTypes", unknown));
        }
        flag(request, "alwaysIncludeEmail")?;
        Ok(Selection {
            single_events,
            show_deleted: flag(request, "showDeleted")?,
            show_hidden_invitations: flag(request, "showHiddenInvitations")?.unwrap_or(false),
            window: Window::read(request, false)?,
            updated_min,
            order,
            q: request.param("q").map(str::to_lowercase),
            ical_uid: request.param("iCalUID").map(str::to_owned),
            event_types,
            private: properties(request, "privateExtendedProperty")?,
            shared: properties(request, "sharedExtendedProperty")?,
            private_or: world.settings.private_filter_or,
        })
    }

    /// What must be the same in every request of one chain of sync tokens (B12, H15). The size of pages and the choice of
    /// fields may differ.
    pub fn sync_digest(&self, request: &Request) -> u64 {
        let flags = format!("{} {} {}", self.single_events, self.deleted(), self.show_hidden_invitations);
        let rest = ["timeZone", "maxAttendees"].map(|name| request.param(name).unwrap_or_default());
        digest([flags.as_str()].into_iter().chain(rest).chain(self.event_types.iter().map(String::as_str)))
    }

    /// `showDeleted`, false when the request does not say.
    pub fn deleted(&self) -> bool {
        self.show_deleted == Some(true)
    }

    /// Whether the listing of this can be followed up by a delta (B26).
    pub fn can_sync(&self) -> bool {
        let searched = self.q.is_some() || self.ical_uid.is_some() || self.updated_min.is_some();
        !searched && self.order == Order::Unspecified && self.private.is_empty() && self.shared.is_empty()
    }

    /// Whether an event is among those asked for, its time left aside. What is hidden from the caller is not searched.
    pub fn admits(&self, stored: &Stored, role: Role) -> bool {
        let event = &stored.fields;
        if !self.event_types.is_empty() {
            let kind = stored.text("eventType").unwrap_or("default");
            if !self.event_types.iter().any(|wanted| wanted == kind) {
                return false;
            }
        }
        if self.updated_min.is_some_and(|min| stored.updated_us < min.timestamp_micros()) {
            return false;
        }
        if self.ical_uid.as_ref().is_some_and(|uid| *uid != render::ical_uid(event)) {
            return false;
        }
        let searched = self.q.is_some() || !self.private.is_empty() || !self.shared.is_empty();
        if searched && render::is_hidden(event, role) {
            return false;
        }
        let has = |kind: &str, (key, value): &(String, String)| {
            let found = event.get("extendedProperties").and_then(|kinds| kinds.get(kind)?.get(key)?.as_str());
            found == Some(value)
        };
        let mut private = self.private.iter();
        let private_fits = match self.private_or {
            true => self.private.is_empty() || private.any(|property| has("private", property)),
            false => private.all(|property| has("private", property)),
        };
        private_fits
            && self.shared.iter().all(|property| has("shared", property))
            && self.q.as_ref().is_none_or(|q| matches(event, q))
    }
}

/// Full text: every word of the query (lower case) in one of the fields that the discovery document names.
fn matches(event: &Object, q: &str) -> bool {
    let mut text = String::new();
    let mut add = |value: Option<&Value>| {
        if let Some(found) = value.and_then(Value::as_str) {
            text.push_str(&found.to_lowercase());
            text.push('\n');
        }
    };
    for name in ["summary", "description", "location"] {
        add(event.get(name));
    }
    let attendees = event.get("attendees").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for person in attendees.iter().chain(event.get("organizer")) {
        add(person.get("displayName"));
        add(person.get("email"));
    }
    if let Some(place) = event.get("workingLocationProperties") {
        add(place.pointer("/customLocation/label"));
        for name in ["buildingId", "deskId", "label"] {
            add(place.get("officeLocation").and_then(|office| office.get(name)));
        }
    }
    // Titles that Google shows for its own kinds of events, in English; the translations are not reproduced.
    text.push_str(match event.get("eventType").and_then(Value::as_str) {
        Some("outOfOffice") => "out of office",
        Some("focusTime") => "focus time",
        Some("workingLocation") => "working location office home",
        _ => "",
    });
    q.split_whitespace().all(|word| text.contains(word))
}

fn properties(request: &Request, name: &'static str) -> Result<Vec<(String, String)>, ApiError> {
    let split = |given: &str| given.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    request.params(name).map(|given| split(given).ok_or_else(|| wrong(name, given))).collect()
}

/// A parameter that is `true` or `false`; none when absent.
///
/// # Errors
/// 400 for anything else.
pub fn flag(request: &Request, name: &'static str) -> Result<Option<bool>, ApiError> {
    match request.param(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(wrong(name, other)),
    }
}

/// A parameter that is a positive integer; none when absent.
///
/// # Errors
/// 400 for anything else (A04).
pub fn positive(request: &Request, name: &'static str) -> Result<Option<usize>, ApiError> {
    let Some(given) = request.param(name) else { return Ok(None) };
    match given.parse::<i32>().ok().and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0) {
        Some(number) => Ok(Some(number)),
        None => Err(wrong(name, given)),
    }
}

/// A parameter that is an RFC 3339 instant with an offset; fractions of seconds are dropped.
///
/// # Errors
/// 400 `badRequest` for anything else (A21).
pub fn instant(request: &Request, name: &'static str) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(given) = request.param(name) else { return Ok(None) };
    let read = DateTime::parse_from_rfc3339(given).ok().and_then(|read| DateTime::from_timestamp(read.timestamp(), 0));
    match read {
        Some(instant) => Ok(Some(instant)),
        None => Err(ApiError::new(400, "badRequest", "Bad Request").at("parameter", name)),
    }
}

/// A value that a parameter does not have: 400 `invalidParameter`.
pub fn wrong(name: &'static str, value: &str) -> ApiError {
    let message = format!("Invalid value '{value}' for parameter {name}.");
    ApiError::new(400, "invalidParameter", message).at("parameter", name)
}
