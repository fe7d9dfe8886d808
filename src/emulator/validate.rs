//! What Google refuses to store, and how it tidies what it takes.
//!
//! [`event`] takes a whole event — a body laid over what was stored — and leaves it in the one form in which events are kept:
//! instants with the offset of the event's own zone and that zone attached, no defaults spelt out, no empty texts or lists,
//! extended properties within their limits. Nothing here looks at the world, so a refusal has changed nothing.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::{
    http::ApiError,
    recurrence,
    state::Object,
    time::{Point, instant_of},
};

/// How strictly an event is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// As the API does.
    Written,
    /// As Google itself may hold it: a seed may show what no client can write (empty time ranges, unknown event types).
    Held,
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "invalid", message)
}

/// Reads a `start`, `end` or `originalStartTime`. `name` ("start", "end") goes into messages; `calendar_zone` is used when
/// the text has neither an offset nor a zone (M01).
///
/// # Errors
/// 400 `required` when there is no time at all; 400 `invalid` for both a date and a time, an unreadable one, or a zone that
/// is no IANA name (E23, M09).
pub fn moment(value: Option<&Value>, name: &str, calendar_zone: &str) -> Result<Point, ApiError> {
    let text = |field| value.and_then(|v| v.get(field)).and_then(Value::as_str);
    let zone = match text("timeZone") {
        Some(zone) => {
            Some(zone.parse::<Tz>().map_err(|_| invalid(format!("Invalid time zone definition for {name} time.")))?)
        }
        None => None,
    };
    match (text("date"), text("dateTime")) {
        (None, None) => Err(ApiError::new(400, "required", format!("Missing {name} time."))),
        (Some(_), Some(_)) => Err(invalid(format!("Invalid {name} time."))),
        (Some(date), None) => NaiveDate::parse_from_str(date, "%Y-%m-%d")
            .map(Point::Day)
            .map_err(|_| invalid(format!("Invalid value for: {name}.date"))),
        (None, Some(time)) => {
            let attached = zone.unwrap_or_else(|| calendar_zone.parse().unwrap_or(Tz::UTC));
            let instant = match DateTime::parse_from_rfc3339(time) {
                Ok(instant) => instant.with_timezone(&Utc),
                Err(_) => NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S%.f")
                    .map(|local| instant_of(local, attached))
                    .map_err(|_| invalid(format!("Invalid value for: {name}.dateTime")))?,
            };
            let whole = instant - TimeDelta::nanoseconds(i64::from(instant.timestamp_subsec_nanos()));
            Ok(Point::Instant(whole, attached))
        }
    }
}

/// Checks a whole event and tidies it (see above). `calendar_zone` is an IANA name.
///
/// # Errors
/// 400 with Google's reason: `required`, `invalid`, `timeRangeEmpty`, `cannotUseDefaultRemindersAndSpecifyOverride`.
pub fn event(event: &mut Object, calendar_zone: &str, strictness: Strictness) -> Result<(), ApiError> {
    times(event, calendar_zone, strictness)?;
    one_of(event, "status", &["confirmed", "tentative", "cancelled"], "")?;
    one_of(event, "transparency", &["opaque", "transparent"], "opaque")?;
    one_of(event, "visibility", &["default", "public", "private", "confidential"], "default")?;
    if !event.contains_key("status") {
        event.insert("status".into(), "confirmed".into());
    }
    colour(event)?;
    attendees(event)?;
    reminders(event)?;
    attachments(event)?;
    source(event)?;
    conference(event)?;
    extended_properties(event)?;
    description(event);
    tidy(event);
    Ok(())
}

fn times(event: &mut Object, calendar_zone: &str, strictness: Strictness) -> Result<(), ApiError> {
    let start = moment(event.get("start"), "start", calendar_zone)?;
    let mut end = moment(event.get("end"), "end", calendar_zone)?;
    let empty = match (&start, &end) {
        (Point::Day(start), Point::Day(end)) => end <= start,
        (Point::Instant(start, _), Point::Instant(end, _)) => end <= start,
        _ => return Err(invalid("The start and end times must either both be date or both be dateTime.")),
    };
    if empty && strictness == Strictness::Written {
        return Err(ApiError::new(400, "timeRangeEmpty", "The specified time range is empty.").domain("calendar"));
    }
    if let Some(lines) = event.get("recurrence").and_then(Value::as_array).filter(|lines| !lines.is_empty()) {
        // Before the calendar's zone is attached: a series must name its own (C01).
        let given = event.get("start").expect("a readable start is there");
        let zoneless = given.get("dateTime").is_some() && given.get("timeZone").is_none();
        if zoneless && strictness == Strictness::Written {
            return Err(ApiError::new(400, "required", "Missing time zone definition for start time."));
        }
        let lines: Vec<String> = lines.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        recurrence::check(&lines, &start.json())?;
        // A series has one zone.
        if let (Point::Instant(_, zone), Point::Instant(_, end_zone)) = (&start, &mut end) {
            *end_zone = *zone;
        }
    }
    event.insert("start".into(), start.json());
    event.insert("end".into(), end.json());
    Ok(())
}

/// Refuses a text that is none of `known` and drops the one that absence means.
fn one_of(event: &mut Object, name: &str, known: &[&str], default: &str) -> Result<(), ApiError> {
    match event.get(name).and_then(Value::as_str) {
        Some(value) if !known.contains(&value) => Err(invalid(format!("Invalid value for: {name}"))),
        Some(value) if value == default => {
            event.remove(name);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn colour(event: &Object) -> Result<(), ApiError> {
    match event.get("colorId").and_then(Value::as_str) {
        None | Some("") => Ok(()),
        Some(id) if id.parse::<u8>().is_ok_and(|n| (1..=11).contains(&n)) && !id.starts_with(['0', '+']) => Ok(()),
        Some(_) => Err(invalid("Invalid value for: colorId")),
    }
}

fn attendees(event: &mut Object) -> Result<(), ApiError> {
    let Some(Value::Array(given)) = event.get("attendees") else { return Ok(()) };
    let mut kept: Vec<Value> = Vec::new();
    for one in given {
        let mut one = one.as_object().cloned().unwrap_or_default();
        let Some(email) = one.get("email").and_then(Value::as_str).filter(|e| !e.is_empty()) else {
            return Err(ApiError::new(400, "required", "Missing attendee email."));
        };
        if !is_address(email) {
            return Err(invalid("Invalid attendee email."));
        }
        let email = email.to_lowercase();
        let answer = one.get("responseStatus").and_then(Value::as_str).unwrap_or("needsAction");
        if !["needsAction", "declined", "tentative", "accepted"].contains(&answer) {
            return Err(invalid("Invalid value for: attendees.responseStatus"));
        }
        let answer = answer.to_owned();
        one.insert("responseStatus".into(), answer.into());
        one.retain(|name, value| match value {
            Value::Bool(false) => false,
            Value::Number(n) => name != "additionalGuests" || n.as_i64() != Some(0),
            Value::String(text) => !text.is_empty(),
            _ => true,
        });
        one.insert("email".into(), email.as_str().into());
        if !kept.iter().any(|other| other["email"] == email.as_str()) {
            kept.push(one.into());
        }
    }
    event.insert("attendees".into(), kept.into());
    mark_organizer(event);
    Ok(())
}

/// Flags the attendee who is the organizer, and nobody else.
pub fn mark_organizer(event: &mut Object) {
    let organizer = event.get("organizer").and_then(|o| o.get("email")).cloned();
    for entry in event.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        let flagged = organizer.is_some() && entry.get("email") == organizer.as_ref();
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("organizer");
            if flagged {
                entry.insert("organizer".into(), true.into());
            }
        }
    }
}

/// Whether this may be an address as of RFC 5322, without the comments and quotes nobody uses.
fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>(),;:\"".contains(c))
    })
}

fn reminders(event: &mut Object) -> Result<(), ApiError> {
    let Some(Value::Object(reminders)) = event.get("reminders") else {
        event.insert("reminders".into(), json!({"useDefault": true}));
        return Ok(());
    };
    let use_default = reminders.get("useDefault").and_then(Value::as_bool).unwrap_or(false);
    let overrides = reminders.get("overrides").and_then(Value::as_array).cloned().unwrap_or_default();
    if use_default && !overrides.is_empty() {
        let text = "Cannot specify both default reminders and overrides at the same time.";
        return Err(ApiError::new(400, "cannotUseDefaultRemindersAndSpecifyOverride", text).domain("calendar"));
    }
    if overrides.len() > 5 {
        return Err(invalid("Too many reminder overrides."));
    }
    for reminder in &overrides {
        match reminder.get("method").and_then(Value::as_str) {
            Some("email" | "popup") => {}
            Some(_) => return Err(invalid("Invalid value for: reminders.overrides.method")),
            None => return Err(ApiError::new(400, "required", "Missing reminder method.")),
        }
        match reminder.get("minutes").and_then(Value::as_i64) {
            Some(0..=40_320) => {}
            Some(_) => return Err(invalid("Invalid value for: reminders.overrides.minutes")),
            None => return Err(ApiError::new(400, "required", "Missing reminder minutes.")),
        }
    }
    let mut kept = json!({"useDefault": use_default});
    if !overrides.is_empty() {
        kept["overrides"] = overrides.into();
    }
    event.insert("reminders".into(), kept);
    Ok(())
}

fn attachments(event: &Object) -> Result<(), ApiError> {
    let attachments = event.get("attachments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if attachments.len() > 25 {
        return Err(invalid("Too many attachments."));
    }
    if attachments.iter().any(|a| a.get("fileUrl").and_then(Value::as_str).is_none_or(str::is_empty)) {
        return Err(ApiError::new(400, "required", "Missing attachment fileUrl."));
    }
    Ok(())
}

fn source(event: &Object) -> Result<(), ApiError> {
    match event.get("source").and_then(|s| s.get("url")).and_then(Value::as_str) {
        Some(url) if !(url.starts_with("http://") || url.starts_with("https://")) => {
            Err(invalid("Invalid value for: source.url"))
        }
        _ => Ok(()),
    }
}

fn conference(event: &Object) -> Result<(), ApiError> {
    let Some(conference) = event.get("conferenceData") else { return Ok(()) };
    if conference.get("notes").and_then(Value::as_str).is_some_and(|n| n.chars().count() > 2048) {
        return Err(invalid("Invalid value for: conferenceData.notes"));
    }
    let entries = conference.get("entryPoints").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if entries.iter().any(|e| e.get("uri").and_then(Value::as_str).is_some_and(|u| u.chars().count() > 1300)) {
        return Err(invalid("Invalid value for: conferenceData.entryPoints.uri"));
    }
    Ok(())
}

/// Properties of one event, and how many characters they take.
pub fn property_load(event: &Object, kinds: &[&str]) -> (usize, usize) {
    let maps = kinds.iter().filter_map(|kind| event.get("extendedProperties")?.get(*kind)?.as_object());
    maps.flatten().fold((0, 0), |(count, bytes), (key, value)| {
        (count + 1, bytes + key.len() + value.as_str().map_or(0, str::len))
    })
}

/// Refuses more properties than an event may have with all its copies (F03). `elsewhere` is what other copies hold.
///
/// # Errors
/// 400 `invalid`.
pub fn property_limits(event: &Object, elsewhere: (usize, usize)) -> Result<(), ApiError> {
    let (count, bytes) = property_load(event, &["private", "shared"]);
    if count + elsewhere.0 > 300 || bytes + elsewhere.1 > 32 * 1024 {
        return Err(invalid("Extended properties exceed the limits of an event."));
    }
    Ok(())
}

/// Long keys vanish without a word (F01), long values are cut (F02).
fn extended_properties(event: &mut Object) -> Result<(), ApiError> {
    if let Some(Value::Object(kinds)) = event.get_mut("extendedProperties") {
        for map in kinds.values_mut().filter_map(Value::as_object_mut) {
            map.retain(|key, _| !key.is_empty() && key.chars().count() <= 44);
            for value in map.values_mut() {
                if let Some((cut, _)) = value.as_str().and_then(|text| text.char_indices().nth(1024)) {
                    *value = value.as_str().expect("it was a text")[..cut].into();
                }
            }
        }
        kinds.retain(|_, map| map.as_object().is_some_and(|m| !m.is_empty()));
    }
    property_limits(event, (0, 0))
}

/// Google owns what stands between its conference delimiters, and deletes it where there is no conference (H01).
fn description(event: &mut Object) {
    if event.contains_key("conferenceData") {
        return;
    }
    let Some(text) = event.get("description").and_then(Value::as_str) else { return };
    let (mut rest, mut kept) = (text, String::new());
    while let Some((before, after)) = delimiter(rest) {
        let Some((_, tail)) = delimiter(after) else { break };
        kept.push_str(before);
        rest = tail;
    }
    if rest.len() < text.len() {
        kept.push_str(rest);
        let kept = kept.trim_end().to_owned();
        event.insert("description".into(), kept.into());
    }
}

/// Splits at the first line of Google's conference block: `-::~:~::~: … :~::~:~::-`.
fn delimiter(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("-::~:~::~") {
        let start = from + at;
        let length = 1 + text[start + 1..].find(|c| c != ':' && c != '~').unwrap_or(text.len() - start - 1);
        let line = &text[start..start + length];
        if line.ends_with("~::~:~::") && text[start + length..].starts_with('-') {
            return Some((&text[..start], &text[start + length + 1..]));
        }
        from = start + length;
    }
    None
}

/// What is as good as absent is absent, as in Google's answers.
fn tidy(event: &mut Object) {
    event.retain(|name, value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(flag) => *flag != matches!(name.as_str(), "guestsCanInviteOthers" | "guestsCanSeeOtherGuests"),
        Value::Null => false,
        Value::Number(_) => true,
    });
}

/// Checks an id that a client chose (D01, D02).
///
/// # Errors
/// 400 `invalid` "Invalid resource id value.".
pub fn event_id(id: &str) -> Result<(), ApiError> {
    let fits = (5..=1024).contains(&id.len()) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'));
    if fits { Ok(()) } else { Err(invalid("Invalid resource id value.")) }
}

/// The id of an imported event (D19): `_` and the iCalUID in base32hex.
pub fn imported_id(ical_uid: &str) -> String {
    format!("_{}", data_encoding::BASE32HEX_NOPAD.encode(ical_uid.as_bytes()).to_lowercase())
}
