//! What a reader sees of a stored event.
//!
//! Storage holds neither `etag`, `updated`, `kind` and `htmlLink` nor anything that depends on the reader; it is added here:
//! offsets of the zone asked for (M03), `self` flags relative to the calendar on which the copy lies (G11), and what a role
//! may not see is taken away (A30, H13).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::{
    state::{Calendar, Object, Role, Stored, World},
    time::{self, Point},
};

/// What is left of an event whose details the caller may not see (semantics §7): its time, its place in a series, and
/// whether it blocks.
const BARE: &[&str] = &[
    "id",
    "status",
    "start",
    "end",
    "visibility",
    "transparency",
    "recurrence",
    "recurringEventId",
    "originalStartTime",
    "eventType",
    "iCalUID",
];

/// A stored event as `events.get` returns it. `zone` (IANA) is the one whose offsets times are written with: the request's
/// `timeZone`, or the calendar's.
pub fn event(world: &World, calendar: &Calendar, role: Role, stored: &Stored, zone: &str) -> Value {
    fields(world, calendar, role, &stored.fields, stored, zone)
}

/// A computed instance; `etag` and `updated` are its master's.
pub fn computed(
    world: &World,
    calendar: &Calendar,
    role: Role,
    instance: &Object,
    master: &Stored,
    zone: &str,
) -> Value {
    fields(world, calendar, role, instance, master, zone)
}

fn fields(world: &World, calendar: &Calendar, role: Role, source: &Object, change: &Stored, zone: &str) -> Value {
    let mut event = if is_hidden(source, role) {
        BARE.iter().filter_map(|name| Some(((*name).to_owned(), source.get(*name)?.clone()))).collect()
    } else {
        let mut event = source.clone();
        people(&mut event, calendar);
        link(&mut event, calendar);
        event
    };
    times(&mut event, world, calendar, zone);
    let uid = ical_uid(&event);
    event.insert("kind".into(), "calendar#event".into());
    event.insert("etag".into(), change.etag().into());
    event.insert("updated".into(), timestamp(change.updated_us).into());
    event.entry("status").or_insert("confirmed".into());
    event.entry("eventType").or_insert("default".into());
    event.entry("iCalUID").or_insert(uid.into());
    event.into()
}

/// A tombstone as a delta shows it: `id` and `status`, of an instance also its slot (B05, B17).
pub fn tombstone(world: &World, calendar: &Calendar, source: &Object, change: &Stored, zone: &str) -> Value {
    let mut event: Object = ["id", "recurringEventId", "originalStartTime"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), source.get(*name)?.clone())))
        .collect();
    times(&mut event, world, calendar, zone);
    event.insert("kind".into(), "calendar#event".into());
    event.insert("etag".into(), change.etag().into());
    event.insert("status".into(), "cancelled".into());
    event.into()
}

/// Whether this caller sees no more of an event than when it is: free/busy access, or a private event without full write
/// access.
pub fn is_hidden(event: &Object, role: Role) -> bool {
    let private = matches!(event.get("visibility").and_then(Value::as_str), Some("private" | "confidential"));
    role == Role::FreeBusyReader || (role < Role::Writer && private)
}

/// With more attendees than `most`, leaves only the participant: the calendar's own entry (A29).
pub fn limit_attendees(event: &mut Value, most: Option<usize>) {
    let (Some(most), Some(event)) = (most, event.as_object_mut()) else { return };
    let Some(Value::Array(attendees)) = event.get_mut("attendees") else { return };
    if attendees.len() > most {
        attendees.retain(|attendee| attendee["self"] == true);
        event.insert("attendeesOmitted".into(), true.into());
    }
}

/// The iCalUID, which a whole series shares; that of an event without one is made of its series' id (D30).
pub fn ical_uid(event: &Object) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    match text("iCalUID") {
        Some(uid) => uid.to_owned(),
        None => format!("{}@google.com", text("recurringEventId").or(text("id")).unwrap_or_default()),
    }
}

/// Microseconds since 1970 as `2026-03-01T08:00:00.000Z`.
pub fn timestamp(us: i64) -> String {
    let instant = DateTime::from_timestamp_micros(us).unwrap_or_default();
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn people(event: &mut Object, calendar: &Calendar) {
    let mark = |person: &mut Value| {
        let Some(entry) = person.as_object_mut() else { return };
        entry.remove("self");
        if entry.get("email").and_then(Value::as_str) == Some(&calendar.id) {
            entry.insert("self".into(), true.into());
        }
    };
    for name in ["organizer", "creator"] {
        if let Some(person) = event.get_mut(name) {
            mark(person);
        }
    }
    if let Some(Value::Array(attendees)) = event.get_mut("attendees") {
        attendees.iter_mut().for_each(mark);
    }
}

/// D29: the link names the event and the calendar, with well-known domains cut short.
fn link(event: &mut Object, calendar: &Calendar) {
    let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
    let email = match calendar.id.rsplit_once('@') {
        Some((local, "gmail.com")) => format!("{local}@m"),
        Some((local, "group.calendar.google.com")) => format!("{local}@g"),
        _ => calendar.id.clone(),
    };
    let eid = URL_SAFE_NO_PAD.encode(format!("{id} {email}"));
    event.insert("htmlLink".into(), format!("https://www.google.com/calendar/event?eid={eid}").into());
}

/// Writes times with the offset of `zone`; the zone attached to a time stays (M03).
fn times(event: &mut Object, world: &World, calendar: &Calendar, zone: &str) {
    // Resource calendars show days as times from midnight to midnight (M08).
    let is_resource = world.settings.resource_days_as_times && calendar.id.ends_with("@resource.calendar.google.com");
    for name in ["start", "end", "originalStartTime"] {
        let Some(value) = event.get_mut(name) else { continue };
        match Point::read(Some(value), &calendar.time_zone) {
            Some(Point::Instant(instant, attached)) => {
                *value = json!({"dateTime": time::rfc3339(instant, time::zone(zone)), "timeZone": attached.name()});
            }
            Some(day @ Point::Day(_)) if is_resource => {
                let instant = day.instant(&calendar.time_zone);
                let shown = time::rfc3339(instant, time::zone(zone));
                *value = json!({"dateTime": shown, "timeZone": calendar.time_zone});
            }
            _ => {}
        }
    }
}
