//! Event types and what each of them may be: guides "Manage focus time, out of office, and working location events" and
//! "Event types"; checklist H03–H12.
//!
//! | type            | where   | when            | must be                       | a client may change             |
//! |-----------------|---------|-----------------|-------------------------------|---------------------------------|
//! | default         | any     | any             |                               | anything                        |
//! | outOfOffice     | primary | timed           | opaque, no guests, no text    | anything that keeps the rule    |
//! | focusTime       | primary | timed           | opaque                        | the same                        |
//! | workingLocation | primary | timed, or 1 day | public, transparent           | the same                        |
//! | birthday        | primary | 1 day           | private, transparent, yearly  | colour, title, reminders, times |
//! | fromGmail       |         |                 | made by Google                | see `FROM_GMAIL`                |

use chrono::{Datelike, NaiveDate};
use serde_json::{Value, json};

use super::{http::ApiError, state::Object};

/// The organizer of an out-of-office event (release notes of 2021).
pub const NOBODY: &str = "unknownorganizer@calendar.google.com";

/// The fields of a fromGmail event that may be changed (H09).
const FROM_GMAIL: &[&str] = &[
    "colorId",
    "eventLabelId",
    "reminders",
    "visibility",
    "transparency",
    "status",
    "attendees",
    "extendedProperties",
];

/// The fields of a birthday that may be changed.
const BIRTHDAY: &[&str] = &["colorId", "eventLabelId", "summary", "reminders", "start", "end", "status"];

/// Fields that each belong to one event type.
const PROPERTIES: &[(&str, &str)] = &[
    ("outOfOffice", "outOfOfficeProperties"),
    ("focusTime", "focusTimeProperties"),
    ("workingLocation", "workingLocationProperties"),
    ("birthday", "birthdayProperties"),
];

/// The type of an event; absence means `default`.
pub fn of(event: &Object) -> &str {
    event.get("eventType").and_then(Value::as_str).unwrap_or("default")
}

/// Checks a whole, valid event that a client creates, and drops the properties of other types.
///
/// # Errors
/// 400 `invalidEventType` for an unknown type, `eventTypeRestriction` for a type that cannot be made here, `malformed…Event`
/// for a shape that the type does not allow.
pub fn created(event: &mut Object, primary: bool) -> Result<(), ApiError> {
    let kind = of(event).to_owned();
    event.insert("eventType".into(), kind.as_str().into());
    match kind.as_str() {
        "default" => {}
        "fromGmail" => return Err(restricted("Events of type fromGmail cannot be created.")),
        "birthday" | "focusTime" | "outOfOffice" | "workingLocation" if !primary => {
            return Err(restricted("Events of this type can only be created on primary calendars."));
        }
        "birthday" => {
            if event.get("birthdayProperties").and_then(|p| p.get("type")).is_some_and(|t| t != "birthday") {
                return Err(malformed("Birthday", "only type birthday can be created"));
            }
            event.insert("birthdayProperties".into(), json!({"type": "birthday"}));
        }
        "focusTime" | "outOfOffice" | "workingLocation" => {}
        _ => return Err(ApiError::new(400, "invalidEventType", "Invalid event type.").domain("calendar")),
    }
    shape(event)
}

/// Completes and checks an event that Google is said to hold: any type, made by whomever, in its documented shape. A type
/// that is not known yet is taken as it is (H12).
///
/// # Errors
/// 400 `malformed…Event` as [`created`].
pub fn held(event: &mut Object) -> Result<(), ApiError> {
    let kind = of(event).to_owned();
    let mut usual = |name: &str, value: Value| {
        event.entry(name).or_insert(value);
    };
    match kind.as_str() {
        "outOfOffice" => usual("outOfOfficeProperties", json!({"autoDeclineMode": "declineNone"})),
        "focusTime" => usual("focusTimeProperties", json!({"autoDeclineMode": "declineNone"})),
        "workingLocation" => {
            usual("visibility", "public".into());
            usual("transparency", "transparent".into());
            usual("workingLocationProperties", json!({"type": "homeOffice", "homeOffice": {}}));
        }
        "birthday" => {
            usual("visibility", "private".into());
            usual("transparency", "transparent".into());
            usual("birthdayProperties", json!({"type": "birthday"}));
        }
        "default" | "fromGmail" => {}
        _ => return Ok(()),
    }
    shape(event)
}

/// Checks a whole, valid event that a client changes. The type itself never changes (H10).
///
/// # Errors
/// 400 `eventTypeRestriction` when `new` differs where its type forbids it, `malformed…Event` as [`created`].
pub fn changed(old: &Object, new: &mut Object) -> Result<(), ApiError> {
    match old.get("eventType") {
        Some(kind) => new.insert("eventType".into(), kind.clone()),
        None => new.insert("eventType".into(), "default".into()),
    };
    let allowed = match of(new) {
        "fromGmail" => FROM_GMAIL,
        "birthday" => BIRTHDAY,
        _ => return shape(new),
    };
    let kept = ["sequence", "updated", "etag"];
    let names = old.keys().chain(new.keys());
    for name in names.map(String::as_str).filter(|name| !allowed.contains(name) && !kept.contains(name)) {
        if old.get(name) != new.get(name) {
            return Err(restricted(&format!("{name} cannot be changed on events of this type.")));
        }
    }
    if of(new) == "birthday" {
        let linked = old.get("birthdayProperties").is_some_and(|p| p.get("contact").is_some() || p["type"] == "self");
        if linked && (old.get("start") != new.get("start") || old.get("end") != new.get("end")) {
            return Err(restricted("The date of this birthday belongs to a contact."));
        }
        return shape(new);
    }
    Ok(())
}

/// What an event of its type must look like.
fn shape(event: &mut Object) -> Result<(), ApiError> {
    let kind = of(event).to_owned();
    for (owner, field) in PROPERTIES {
        if *owner != kind {
            event.remove(*field);
        }
    }
    let days = days(event);
    let is = |name: &str, value: &str| event.get(name).and_then(Value::as_str) == Some(value);
    match kind.as_str() {
        "outOfOffice" | "focusTime" => {
            let (name, properties) = match kind.as_str() {
                "outOfOffice" => ("OutOfOffice", "outOfOfficeProperties"),
                _ => ("FocusTime", "focusTimeProperties"),
            };
            if days.is_some() {
                return Err(malformed(name, "it cannot be an all-day event"));
            }
            if event.contains_key("transparency") {
                return Err(malformed(name, "it must be opaque"));
            }
            let Some(properties) = event.get(properties) else {
                return Err(malformed(name, "its properties are missing"));
            };
            known(properties, "autoDeclineMode", AUTO_DECLINE, name)?;
            known(properties, "chatStatus", &["available", "doNotDisturb"], name)?;
            if event.contains_key("attendees") {
                return Err(malformed(name, "it cannot have attendees"));
            }
            if name == "OutOfOffice" && event.contains_key("description") {
                return Err(malformed(name, "it cannot have a description"));
            }
        }
        "workingLocation" => {
            if !is("visibility", "public") || !is("transparency", "transparent") {
                return Err(malformed("WorkingLocation", "it must be public and transparent"));
            }
            if days.is_some_and(|days| days != 1) {
                return Err(malformed("WorkingLocation", "an all-day working location lasts one day"));
            }
            let Some(kind) = event.get("workingLocationProperties").and_then(|p| p.get("type")?.as_str()) else {
                return Err(malformed("WorkingLocation", "its type is missing"));
            };
            if !["homeOffice", "officeLocation", "customLocation"].contains(&kind) {
                return Err(malformed("WorkingLocation", "its type is unknown"));
            }
        }
        "birthday" => {
            if days != Some(1) {
                return Err(malformed("Birthday", "it lasts one day"));
            }
            if !is("visibility", "private") || !is("transparency", "transparent") {
                return Err(malformed("Birthday", "it must be private and transparent"));
            }
            if !yearly(event) {
                return Err(malformed("Birthday", "it must recur every year"));
            }
            let foreign = ["attendees", "description", "location", "conferenceData", "attachments", "source"];
            if let Some(name) = foreign.iter().find(|name| event.contains_key(**name)) {
                return Err(malformed("Birthday", &format!("it cannot have {name}")));
            }
        }
        _ => {}
    }
    Ok(())
}

const AUTO_DECLINE: &[&str] =
    &["declineNone", "declineAllConflictingInvitations", "declineOnlyNewConflictingInvitations"];

fn known(properties: &Value, name: &str, values: &[&str], kind: &'static str) -> Result<(), ApiError> {
    match properties.get(name).and_then(Value::as_str) {
        Some(value) if !values.contains(&value) => Err(malformed(kind, &format!("{name} is unknown"))),
        _ => Ok(()),
    }
}

fn day(event: &Object, name: &str) -> Option<NaiveDate> {
    event.get(name)?.get("date")?.as_str()?.parse().ok()
}

/// The length of an all-day event; none for a timed one.
fn days(event: &Object) -> Option<i64> {
    Some((day(event, "end")? - day(event, "start")?).num_days())
}

/// H08: `RRULE:FREQ=YEARLY`, with `BYMONTH=2;BYMONTHDAY=-1` for 29 February.
fn yearly(event: &Object) -> bool {
    // An occurrence of a birthday has no rule of its own.
    if event.contains_key("recurringEventId") {
        return true;
    }
    let lines = event.get("recurrence").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let [line] = lines else { return false };
    let Some(rule) = line.as_str().and_then(|l| l.strip_prefix("RRULE:")) else { return false };
    let mut parts: Vec<&str> = rule.split(';').collect();
    parts.sort_unstable();
    let leap = day(event, "start").is_some_and(|d| (d.month(), d.day()) == (2, 29));
    parts == ["FREQ=YEARLY"] || leap && parts == ["BYMONTH=2", "BYMONTHDAY=-1", "FREQ=YEARLY"]
}

fn restricted(message: &str) -> ApiError {
    ApiError::new(400, "eventTypeRestriction", message).domain("calendar")
}

fn malformed(kind: &'static str, why: &str) -> ApiError {
    let reason = match kind {
        "OutOfOffice" => "malformedOutOfOfficeEvent",
        "FocusTime" => "malformedFocusTimeEvent",
        "WorkingLocation" => "malformedWorkingLocationEvent",
        _ => "malformedBirthdayEvent",
    };
    ApiError::new(400, reason, format!("Malformed event: {why}.")).domain("calendar")
}
