//! Everything of the Calendar API that is not an event: calendars, access to them, each account's calendar list, colours,
//! settings, and who is busy when.

mod acl;
mod list;
mod palette;
mod properties;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Map, Value, json};

pub use acl::set_access;
pub use list::{ListEntry, enlist};

use super::{
    Caller, freebusy,
    http::{ApiError, Request, Response},
    state::{Calendar, Object, Role, World},
};

/// Carries out one call. `path` holds the decoded segments below `calendar/v3/`.
///
/// # Errors
/// As Google refuses; 404 for what is not served here.
pub fn handle(
    world: &mut World,
    caller: &Caller,
    verb: &str,
    path: &[&str],
    request: &Request,
) -> Result<Response, ApiError> {
    let answer = match (verb, path) {
        ("GET", ["users", "me", "calendarList"]) => list::list(world, caller, request)?,
        ("POST", ["users", "me", "calendarList"]) => list::insert(world, caller, request)?,
        ("GET", ["users", "me", "calendarList", id]) => list::get(world, caller, id)?,
        ("PUT" | "PATCH", ["users", "me", "calendarList", id]) => {
            list::change(world, caller, id, verb == "PATCH", request)?
        }
        ("DELETE", ["users", "me", "calendarList", id]) => {
            list::delete(world, caller, id)?;
            return Ok(Response::empty(204));
        }
        ("POST", ["calendars"]) => properties::insert(world, caller, request)?,
        ("GET", ["calendars", id]) => properties::get(world, caller, id)?,
        ("PUT" | "PATCH", ["calendars", id]) => properties::change(world, caller, id, verb == "PATCH", request)?,
        ("DELETE", ["calendars", id]) => {
            properties::delete(world, caller, id)?;
            return Ok(Response::empty(204));
        }
        ("POST", ["calendars", id, "clear"]) => {
            properties::clear(world, caller, id)?;
            return Ok(Response::empty(204));
        }
        ("GET", ["calendars", id, "acl"]) => acl::list(world, caller, id, request)?,
        ("POST", ["calendars", id, "acl"]) => acl::insert(world, caller, id, request)?,
        ("GET", ["calendars", id, "acl", rule]) => acl::get(world, caller, id, rule)?,
        ("PUT" | "PATCH", ["calendars", id, "acl", rule]) => acl::change(world, caller, id, rule, request)?,
        ("DELETE", ["calendars", id, "acl", rule]) => {
            acl::delete(world, caller, id, rule)?;
            return Ok(Response::empty(204));
        }
        ("GET", ["colors"]) => palette::colors(),
        ("POST", ["freeBusy"]) => return freebusy::query(world, caller, request),
        ("GET", ["users", "me", "settings"]) => settings(world, caller),
        ("GET", ["users", "me", "settings", id]) => setting(world, caller, id)?,
        _ => return Err(ApiError::not_found()),
    };
    Ok(Response::json(200, &answer))
}

/// A calendar as this caller sees it, with its role there. `primary` is the caller's own (checklist I01).
///
/// # Errors
/// 404 when there is none, or none for this caller (I02).
fn find<'a>(world: &'a World, caller: &Caller, id: &str) -> Result<(&'a Calendar, Role), ApiError> {
    let id = if id == "primary" { &caller.email } else { id };
    let calendar = world.calendars.get(id).ok_or_else(ApiError::not_found)?;
    let role = calendar.acl.get(&caller.email).ok_or_else(ApiError::not_found)?;
    Ok((calendar, *role))
}

/// The same for a caller who needs a role.
///
/// # Errors
/// Also 403 `requiredAccessLevel`.
fn find_as<'a>(world: &'a World, caller: &Caller, id: &str, needed: Role) -> Result<&'a Calendar, ApiError> {
    let (calendar, role) = find(world, caller, id)?;
    if role < needed {
        let message = format!("You need to have {} access to this calendar.", needed.name());
        return Err(ApiError::new(403, "requiredAccessLevel", message).domain("calendar"));
    }
    Ok(calendar)
}

/// The body as a JSON object.
fn body(request: &Request) -> Result<Object, ApiError> {
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(ApiError::new(400, "parseError", "Parse Error")),
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "invalid", message)
}

fn invalid_parameter(name: &'static str) -> ApiError {
    invalid("Invalid Value").at("parameter", name)
}

/// A parameter that is `true` or `false`; none when absent.
fn flag(request: &Request, name: &'static str) -> Result<Option<bool>, ApiError> {
    match request.param(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(invalid_parameter(name)),
    }
}

/// `maxResults`: above the limit it is cut (A03), zero is refused (A04).
fn page_size(request: &Request, usual: usize, limit: usize) -> Result<usize, ApiError> {
    match request.param("maxResults").map(str::parse::<usize>) {
        None => Ok(usual),
        Some(Ok(n)) if n > 0 => Ok(n.min(limit)),
        Some(_) => Err(invalid_parameter("maxResults")),
    }
}

/// An opaque token that carries these values.
fn token(values: &Value) -> String {
    URL_SAFE_NO_PAD.encode(values.to_string())
}

fn read_token(text: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The values of a sync token of this `kind` made by [`sync_token`], if it is still good.
///
/// # Errors
/// 400 for what is no such token (B07), 410 for an expired one (B08).
fn read_sync_token(world: &World, kind: &str, text: &str) -> Result<Map<String, Value>, ApiError> {
    let values = read_token(text)
        .filter(|v| v.get("kind").and_then(Value::as_str) == Some(kind))
        .ok_or_else(|| invalid("Invalid sync token value.").at("parameter", "syncToken"))?;
    let issued = values.get("issued").and_then(Value::as_i64).unwrap_or(0);
    if world.now().timestamp() - issued >= TimeDelta::seconds(world.settings.token_lifetime_seconds).num_seconds() {
        return Err(gone());
    }
    Ok(values)
}

fn sync_token(world: &World, kind: &str, mut values: Value) -> String {
    values["kind"] = kind.into();
    values["issued"] = world.now().timestamp().into();
    token(&values)
}

fn gone() -> ApiError {
    let message = "Sync token is no longer valid, a full sync is required.";
    ApiError::new(410, "fullSyncRequired", message).domain("calendar").at("parameter", "syncToken")
}

/// What every setting says; the time zone is that of the primary calendar.
fn settings_of(world: &World, caller: &Caller) -> Vec<Value> {
    let zone = world.calendars.get(&caller.email).map_or("Etc/GMT", |c| c.time_zone.as_str());
    [
        ("autoAddHangouts", "true"),
        ("dateFieldOrder", "DMY"),
        ("defaultEventLength", "60"),
        ("format24HourTime", "true"),
        ("hideInvitations", "false"),
        ("hideWeekends", "false"),
        ("locale", "en"),
        ("remindOnRespondedEventsOnly", "false"),
        ("showDeclinedEvents", "true"),
        ("timezone", zone),
        ("useKeyboardShortcuts", "true"),
        ("weekStart", "1"),
    ]
    .into_iter()
    .map(|(id, value)| json!({"kind": "calendar#setting", "etag": "\"0\"", "id": id, "value": value}))
    .collect()
}

fn settings(world: &World, caller: &Caller) -> Value {
    json!({"kind": "calendar#settings", "etag": "\"p0\"", "items": settings_of(world, caller),
        "nextSyncToken": sync_token(world, "settings", json!({}))})
}

fn setting(world: &World, caller: &Caller, id: &str) -> Result<Value, ApiError> {
    settings_of(world, caller).into_iter().find(|s| s["id"] == id).ok_or_else(ApiError::not_found)
}
