//! Which JSON types an event's fields have: the schemas `Event…` of the discovery document as a table.
//!
//! A wrong type is refused with 400, an unknown field is dropped, and what only the server sets is dropped unread.
//! `null` stays where it stands: a PATCH means deletion by it.

use serde_json::Value;

use super::{http::ApiError, state::Object};

/// The JSON type of one field.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Bool,
    Int,
    /// Keys of the client's choice with text values.
    Texts,
    /// Anything: the discovery document says `any`.
    Any,
    List(&'static Shape),
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Any, Bool, Fields, Int, List, Text, Texts};

const DATE_TIME: Shape = Fields(&[("date", Text), ("dateTime", Text), ("timeZone", Text)]);
const PERSON: Shape = Fields(&[("email", Text), ("displayName", Text), ("id", Text)]);
const ATTENDEE: Shape = Fields(&[
    ("additionalGuests", Int),
    ("comment", Text),
    ("displayName", Text),
    ("email", Text),
    ("optional", Bool),
    ("resource", Bool),
    ("responseStatus", Text),
]);
const ATTACHMENT: Shape =
    Fields(&[("fileId", Text), ("fileUrl", Text), ("iconLink", Text), ("mimeType", Text), ("title", Text)]);
const ENTRY_POINT: Shape = Fields(&[
    ("accessCode", Text),
    ("entryPointFeatures", List(&Text)),
    ("entryPointType", Text),
    ("label", Text),
    ("meetingCode", Text),
    ("passcode", Text),
    ("password", Text),
    ("pin", Text),
    ("regionCode", Text),
    ("uri", Text),
]);
const SOLUTION_KEY: Shape = Fields(&[("type", Text)]);
const CONFERENCE: Shape = Fields(&[
    ("conferenceId", Text),
    ("conferenceSolution", Fields(&[("iconUri", Text), ("key", SOLUTION_KEY), ("name", Text)])),
    (
        "createRequest",
        Fields(&[
            ("conferenceSolutionKey", SOLUTION_KEY),
            ("requestId", Text),
            ("status", Fields(&[("statusCode", Text)])),
        ]),
    ),
    ("entryPoints", List(&ENTRY_POINT)),
    ("notes", Text),
    ("parameters", Fields(&[("addOnParameters", Fields(&[("parameters", Texts)]))])),
    ("signature", Text),
]);
const AUTO_DECLINE: [(&str, Shape); 3] = [("autoDeclineMode", Text), ("declineMessage", Text), ("chatStatus", Text)];

/// What a client may send.
const WRITABLE: &[(&str, Shape)] = &[
    ("anyoneCanAddSelf", Bool),
    ("attachments", List(&ATTACHMENT)),
    ("attendees", List(&ATTENDEE)),
    ("attendeesOmitted", Bool),
    ("birthdayProperties", Fields(&[("contact", Text), ("customTypeName", Text), ("type", Text)])),
    ("colorId", Text),
    ("conferenceData", CONFERENCE),
    ("description", Text),
    ("end", DATE_TIME),
    ("eventLabelId", Text),
    ("eventType", Text),
    ("extendedProperties", Fields(&[("private", Texts), ("shared", Texts)])),
    ("focusTimeProperties", Fields(&AUTO_DECLINE)),
    ("guestsCanInviteOthers", Bool),
    ("guestsCanModify", Bool),
    ("guestsCanSeeOtherGuests", Bool),
    ("iCalUID", Text),
    ("id", Text),
    ("location", Text),
    ("organizer", PERSON),
    ("originalStartTime", DATE_TIME),
    ("outOfOfficeProperties", Fields(&AUTO_DECLINE)),
    ("privateCopy", Bool),
    ("recurrence", List(&Text)),
    ("recurringEventId", Text),
    ("reminders", Fields(&[("overrides", List(&Fields(&[("method", Text), ("minutes", Int)]))), ("useDefault", Bool)])),
    ("sequence", Int),
    ("source", Fields(&[("title", Text), ("url", Text)])),
    ("start", DATE_TIME),
    ("status", Text),
    ("summary", Text),
    ("transparency", Text),
    ("visibility", Text),
    (
        "workingLocationProperties",
        Fields(&[
            ("customLocation", Fields(&[("label", Text)])),
            ("homeOffice", Any),
            (
                "officeLocation",
                Fields(&[
                    ("buildingId", Text),
                    ("deskId", Text),
                    ("floorId", Text),
                    ("floorSectionId", Text),
                    ("label", Text),
                ]),
            ),
            ("type", Text),
        ]),
    ),
];

/// What only the server sets, and a seed may set in its place.
const SERVER_SET: &[(&str, Shape)] =
    &[("created", Text), ("creator", PERSON), ("endTimeUnspecified", Bool), ("hangoutLink", Text), ("locked", Bool)];

/// The known fields of a request's body.
///
/// # Errors
/// 400 `invalid` naming the first field of a wrong type.
pub fn writable(body: &Object) -> Result<Object, ApiError> {
    fields("", body, WRITABLE)
}

/// The known fields of an event in a seed: also those that only the server sets.
///
/// # Errors
/// As [`writable`].
pub fn seeded(body: &Object) -> Result<Object, ApiError> {
    let mut event = fields("", body, WRITABLE)?;
    event.append(&mut fields("", body, SERVER_SET)?);
    Ok(event)
}

fn fields(path: &str, given: &Object, known: &[(&str, Shape)]) -> Result<Object, ApiError> {
    let mut taken = Object::new();
    for (name, shape) in known {
        if let Some(value) = given.get(*name) {
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
            taken.insert((*name).into(), typed(&path, value, shape, true)?);
        }
    }
    Ok(taken)
}

fn typed(path: &str, value: &Value, shape: &Shape, nullable: bool) -> Result<Value, ApiError> {
    let wrong = || ApiError::new(400, "invalid", format!("Invalid value for: {path}"));
    match (shape, value) {
        (_, Value::Null) if nullable => Ok(Value::Null),
        (Any, value) => Ok(value.clone()),
        (Text, Value::String(_)) | (Bool, Value::Bool(_)) => Ok(value.clone()),
        (Int, Value::Number(number)) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(value.clone()),
        (Texts, Value::Object(map)) if map.values().all(|v| v.is_string() || v.is_null()) => Ok(value.clone()),
        (List(item), Value::Array(items)) => {
            items.iter().map(|v| typed(path, v, item, false)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        (Fields(known), Value::Object(map)) => fields(path, map, known).map(Value::Object),
        _ => Err(wrong()),
    }
}
