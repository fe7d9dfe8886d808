//! Writing events: insert, import, update, patch, delete, move.
//!
//! Each method reads, decides on a copy, and stores at the very end, so that a refusal leaves everything as it was (E19):
//!
//! ```text
//!   parameters ► access ► the stored event ► If-Match ► types ► merge ► values ► event type ► rights ► store ► spread
//!    400          404/403  404                412        400     —       400      400          403      —       guests
//! ```
//!
//! What a write of a master does to exceptions is in [`super::series`], what it does to guests in [`super::guests`].

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{
    Caller, conference, guests,
    http::{ApiError, Request, Response},
    kinds, listing, merge, render,
    series::{self, Target},
    shape,
    state::{Object, Role, World},
    validate::{self, Strictness, moment},
    write_params::WriteParams,
};

pub use super::{held::seed, split::control};

/// What a client cannot change once an event exists; bodies may carry it, and it is ignored (E13, H10).
const IMMUTABLE: &[&str] =
    &["id", "iCalUID", "eventType", "recurringEventId", "originalStartTime", "organizer", "privateCopy"];

/// What a PUT keeps besides, since only the server sets it.
const SERVER_SET: &[&str] = &["created", "creator", "endTimeUnspecified", "hangoutLink", "locked"];

/// `events.insert`.
///
/// # Errors
/// 404/403 for a calendar out of reach; 400 for what cannot be stored; 409 `duplicate` for an id or iCalUID that the
/// calendar knows, be it as a tombstone (D03, D04, D12).
pub fn insert(world: &mut World, caller: &Caller, calendar: &str, request: &Request) -> Result<Response, ApiError> {
    let params = WriteParams::read(request)?;
    let (calendar_id, role) = writable(world, caller, calendar)?;
    let mut event = merge::without_nulls(&shape::writable(&body(request)?)?);
    params.hear(&mut event);
    // The link to a series is not the client's to make.
    for name in ["recurringEventId", "originalStartTime", "organizer", "attendeesOmitted"] {
        event.remove(name);
    }
    let id = text(&event, "id").map(str::to_owned);
    if let Some(id) = &id {
        validate::event_id(id)?;
        if let Some(stored) = world.calendars[&calendar_id].events.get(id)
            && (stored.cancelled() || !undetected(world, &stored.fields))
        {
            return Err(duplicate());
        }
    }
    if let Some(uid) = text(&event, "iCalUID")
        && world.calendars[&calendar_id].events.values().any(|s| s.text("iCalUID") == Some(uid))
    {
        return Err(duplicate());
    }
    begin(world, caller, &calendar_id, &mut event);
    check(world, &calendar_id, &mut event, Strictness::Written)?;
    kinds::created(&mut event, world.calendars[&calendar_id].primary)?;
    if kinds::of(&event) == "outOfOffice" {
        event.insert("organizer".into(), json!({"email": kinds::NOBODY}));
    }
    guests::permit(&calendar_id, &caller.email, None, &mut event)?;
    guests::reset_answers(world, &mut event);
    conference::settle(&mut event, None)?;
    validate::property_limits(&event, guests::private_load(world, &calendar_id, &event))?;

    let id = id.unwrap_or_else(|| world.new_event_id());
    event.entry("iCalUID").or_insert_with(|| format!("{id}@google.com").into());
    event.insert("id".into(), id.as_str().into());
    commit(world, &calendar_id, None, event, true);
    answer(world, &calendar_id, role, &id, &params, None)
}

/// `events.import`: adds or replaces a private copy by its iCalUID (D13–D20). Nobody is told.
///
/// # Errors
/// As [`insert`]; 400 `participantIsNeitherOrganizerNorAttendee` for an event that is not this calendar's business.
pub fn import(world: &mut World, caller: &Caller, calendar: &str, request: &Request) -> Result<Response, ApiError> {
    let params = WriteParams::read(request)?;
    let (calendar_id, role) = writable(world, caller, calendar)?;
    let mut event = merge::without_nulls(&shape::writable(&body(request)?)?);
    params.hear(&mut event);
    if event.contains_key("id") {
        return Err(ApiError::new(400, "invalid", "Invalid resource id value."));
    }
    let Some(uid) = text(&event, "iCalUID").filter(|uid| !uid.is_empty()).map(str::to_owned) else {
        return Err(ApiError::new(400, "required", "Missing iCalUID."));
    };
    // Deprecated behaviour of Google: another type becomes `default`, without its properties.
    for name in ["recurringEventId", "attendeesOmitted", "privateCopy", "eventType"] {
        event.remove(name);
    }
    let events = &world.calendars[&calendar_id].events;
    let known = events.iter().find(|(_, s)| s.text("iCalUID") == Some(&uid) && s.text("recurringEventId").is_none());
    let known = known.map(|(id, stored)| (id.clone(), stored.fields.clone()));
    let occurrence = match (event.remove("originalStartTime"), &known) {
        (Some(original), Some((master, fields))) if fields.contains_key("recurrence") => {
            Some((master.clone(), moment(Some(&original), "original start", zone(world, &calendar_id))?))
        }
        _ => None,
    };
    let old = match &occurrence {
        Some((master, original)) => {
            let id = format!("{master}_{}", series::stamp(original));
            event.remove("recurrence");
            event.insert("recurringEventId".into(), master.as_str().into());
            event.insert("originalStartTime".into(), original.json());
            series::find(world, &calendar_id, &id).map(|t| (id.clone(), t.fields)).or(Some((id, Object::new())))
        }
        None => known,
    };
    if !world.settings.import_revives && old.as_ref().is_some_and(|(_, old)| is_cancelled(old)) {
        return Err(duplicate());
    }
    let organizer = guests::person(&event, "organizer").map(str::to_lowercase);
    begin(world, caller, &calendar_id, &mut event);
    if let Some(organizer) = organizer.filter(|organizer| *organizer != calendar_id) {
        event["organizer"]["email"] = organizer.into();
        event.insert("privateCopy".into(), true.into());
    }
    if let Some((_, old)) = &old {
        merge::keep(&mut event, old, &["created", "creator"]);
        event.entry("created").or_insert_with(|| created(world));
        event.entry("creator").or_insert_with(|| json!({"email": caller.email}));
        sequence(old, &mut event, true)?;
    }
    check(world, &calendar_id, &mut event, Strictness::Written)?;
    if event.contains_key("privateCopy") && guests::attendee(&event, &calendar_id).is_none() {
        let text =
            "The owner of the calendar must either be the organizer or an attendee of an event that is imported.";
        return Err(ApiError::new(400, "participantIsNeitherOrganizerNorAttendee", text).domain("calendar"));
    }
    kinds::created(&mut event, world.calendars[&calendar_id].primary)?;
    conference::settle(&mut event, old.as_ref().map(|(_, old)| old))?;
    validate::property_limits(&event, guests::private_load(world, &calendar_id, &event))?;

    let id = match &old {
        Some((id, _)) => id.clone(),
        None => validate::imported_id(&uid),
    };
    event.insert("id".into(), id.as_str().into());
    series::store(world, &calendar_id, event, true);
    answer(world, &calendar_id, role, &id, &params, old.as_ref().map(|(_, old)| old))
}

/// `events.update` (PUT): replaces the whole event (E06, E07).
///
/// # Errors
/// 404, 403, 412 and 400 as drawn above; 403 `forbidden` for a deleted event without a status in the body (D08).
pub fn update(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event: &str,
    request: &Request,
) -> Result<Response, ApiError> {
    amend(world, caller, calendar, event, request, |world, target, body, params| {
        let old = &target.fields;
        if is_cancelled(old) && body.get("status").is_none_or(Value::is_null) && !world.settings.put_revives {
            return Err(ApiError::new(403, "forbidden", "Forbidden"));
        }
        let mut new = merge::without_nulls(body);
        merge::keep(&mut new, old, IMMUTABLE);
        merge::keep(&mut new, old, SERVER_SET);
        merge::keep(&mut new, old, &params.unheard());
        if guests::person(old, "creator") != Some(&caller.email) && !new.contains_key("source") {
            // Only its creator sees it, so nobody else can send it back.
            merge::keep(&mut new, old, &["source"]);
        }
        if !new.contains_key("sequence") {
            merge::keep(&mut new, old, &["sequence"]);
        }
        Ok(new)
    })
}

/// `events.patch`: merges a body into the event (E08–E12).
///
/// # Errors
/// 404, 403, 412 and 400 as drawn above.
pub fn patch(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event: &str,
    request: &Request,
) -> Result<Response, ApiError> {
    amend(world, caller, calendar, event, request, |_, target, body, _| {
        let mut new = target.fields.clone();
        merge::patch(&mut new, body);
        Ok(new)
    })
}

/// What PUT and PATCH share. `merged` lays the body over the stored event.
fn amend(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event_id: &str,
    request: &Request,
    merged: impl FnOnce(&World, &Target, &Object, &WriteParams) -> Result<Object, ApiError>,
) -> Result<Response, ApiError> {
    let params = WriteParams::read(request)?;
    let (calendar_id, role) = writable(world, caller, calendar)?;
    let target = series::find(world, &calendar_id, event_id).ok_or_else(ApiError::not_found)?;
    within_reach(role, &target)?;
    if_match(request, &target)?;
    let mut body = shape::writable(&body(request)?)?;
    params.hear(&mut body);
    for name in IMMUTABLE {
        body.remove(*name);
    }
    if target.is_instance() {
        body.remove("recurrence");
    }
    let own_answer_only = body.remove("attendeesOmitted") == Some(Value::Bool(true));

    let old = &target.fields;
    let mut new = merged(world, &target, &body, &params)?;
    if own_answer_only {
        guests::only_own_answer(&mut new, old, &calendar_id);
    }
    check(world, &calendar_id, &mut new, Strictness::Written)?;
    kinds::changed(old, &mut new)?;
    guests::permit(&calendar_id, &caller.email, Some(old), &mut new)?;
    conference::settle(&mut new, Some(old))?;
    validate::property_limits(&new, guests::private_load(world, &calendar_id, &new))?;
    sequence(old, &mut new, body.contains_key("sequence"))?;
    if is_cancelled(&new) && !is_cancelled(old) {
        leave(&calendar_id, &mut new);
    }
    let whole_series = target.is_instance() && series::visibility(old, &mut new);

    let touch = !only_reminders_differ(old, &new);
    if whole_series {
        restrict_series(world, &calendar_id, &new);
    }
    commit(world, &calendar_id, Some(old), new, touch);
    answer(world, &calendar_id, role, event_id, &params, Some(old))
}

/// `events.delete`: cancels. A guest's deletion declines (G09), the organizer's reaches everybody (G10).
///
/// # Errors
/// 404, 403, 412; 410 `deleted` the second time (D10, C10).
pub fn delete(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event: &str,
    request: &Request,
) -> Result<Response, ApiError> {
    WriteParams::read(request)?;
    let (calendar_id, role) = writable(world, caller, calendar)?;
    let target = series::find(world, &calendar_id, event).ok_or_else(ApiError::not_found)?;
    within_reach(role, &target)?;
    if is_cancelled(&target.fields) {
        return Err(ApiError::new(410, "deleted", "Resource has been deleted"));
    }
    if_match(request, &target)?;
    let mut new = target.fields.clone();
    leave(&calendar_id, &mut new);
    commit(world, &calendar_id, Some(&target.fields), new, true);
    Ok(Response::empty(204))
}

/// `events.move`: another calendar becomes the organizer (D27).
///
/// # Errors
/// 400 `required` without `destination`, `cannotChangeOrganizerOfInstance` (C33), `cannotChangeOrganizer` for any type but
/// default or for a copy; 404/403 for either calendar; 409 when the destination holds a live event of this id.
pub fn move_to(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event: &str,
    request: &Request,
) -> Result<Response, ApiError> {
    let params = WriteParams::read(request)?;
    let (source_id, source_role) = writable(world, caller, calendar)?;
    let Some(destination) = request.param("destination").filter(|d| !d.is_empty()) else {
        return Err(ApiError::new(400, "required", "Required parameter: destination").at("parameter", "destination"));
    };
    let (destination_id, role) = writable(world, caller, destination)?;
    let target = series::find(world, &source_id, event).ok_or_else(ApiError::not_found)?;
    within_reach(source_role, &target)?;
    let refuse = |reason, text: &str| Err(ApiError::new(400, reason, text).domain("calendar"));
    if target.is_instance() {
        return refuse("cannotChangeOrganizerOfInstance", "Cannot change the organizer of an instance.");
    }
    let old = target.fields;
    if is_cancelled(&old) {
        return Err(ApiError::new(410, "deleted", "Resource has been deleted"));
    }
    if kinds::of(&old) != "default" || !guests::is_organizer(&source_id, &old) {
        return refuse("cannotChangeOrganizer", "The organizer of this event cannot be changed.");
    }
    if destination_id == source_id {
        return answer(world, &source_id, role, event, &params, Some(&old));
    }
    if world.calendars[&destination_id].events.get(event).is_some_and(|stored| !stored.cancelled()) {
        return Err(duplicate());
    }
    let organizer = organizer(world, &destination_id);
    let moved = |fields: &Object| {
        let mut fields = fields.clone();
        fields.insert("organizer".into(), organizer.clone());
        validate::mark_organizer(&mut fields);
        fields
    };
    let exceptions = series::exceptions(world, &source_id, event);
    // The tombstone says no more than its id.
    for gone in exceptions.iter().chain([&old]) {
        let names = ["id", "iCalUID", "recurringEventId", "originalStartTime", "created", "creator", "organizer"];
        let mut tombstone: Object = gone
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        tombstone.insert("status".into(), "cancelled".into());
        world.record(&source_id, tombstone, true);
    }
    for old in [&old].into_iter().chain(&exceptions) {
        // The calendar it leaves may be a guest from now on, and then it is newly invited.
        let mut before = old.clone();
        if let Some(Value::Array(list)) = before.get_mut("attendees") {
            list.retain(|a| a["email"] != source_id.as_str());
        }
        commit(world, &destination_id, Some(&before), moved(old), true);
    }
    answer(world, &destination_id, role, event, &params, Some(&old))
}

/// The calendar by id or `primary`, for a caller who may write to it.
fn writable(world: &World, caller: &Caller, calendar: &str) -> Result<(String, Role), ApiError> {
    let (id, role) = listing::calendar_for(world, caller, calendar)?;
    if role < Role::WriterWithoutPrivateAccess {
        let text = "You need to have writer access to this calendar.";
        return Err(ApiError::new(403, "requiredAccessLevel", text).domain("calendar"));
    }
    Ok((id, role))
}

/// What a caller may not see, it may not change either (assumed: 403 `forbidden`).
fn within_reach(role: Role, target: &Target) -> Result<(), ApiError> {
    if render::is_hidden(&target.fields, role) { Err(ApiError::new(403, "forbidden", "Forbidden")) } else { Ok(()) }
}

fn body(request: &Request) -> Result<Object, ApiError> {
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(body)) => Ok(body),
        _ if request.body.is_empty() => Ok(Object::new()),
        _ => Err(ApiError::new(400, "parseError", "Parse Error")),
    }
}

/// E01, E02: a stale etag stops the write.
fn if_match(request: &Request, target: &Target) -> Result<(), ApiError> {
    match request.header("if-match") {
        Some(given) if given != "*" && !given.split(',').any(|etag| etag.trim() == target.etag) => {
            Err(ApiError::new(412, "conditionNotMet", "Precondition Failed").at("header", "If-Match"))
        }
        _ => Ok(()),
    }
}

pub(super) fn text<'a>(event: &'a Object, name: &str) -> Option<&'a str> {
    event.get(name).and_then(Value::as_str)
}

fn zone<'a>(world: &'a World, calendar_id: &str) -> &'a str {
    &world.calendars[calendar_id].time_zone
}

pub(super) fn is_cancelled(event: &Object) -> bool {
    text(event, "status") == Some("cancelled")
}

fn duplicate() -> ApiError {
    ApiError::new(409, "duplicate", "The requested identifier already exists.")
}

/// D11: whether Google fails to see that this id was taken a moment ago.
fn undetected(world: &World, stored: &Object) -> bool {
    let made = text(stored, "created").and_then(|t| t.parse::<chrono::DateTime<chrono::Utc>>().ok());
    world.settings.id_collision_undetected && made.is_some_and(|made| (world.now() - made).num_seconds() < 5)
}

/// The present second, as `created` has it.
pub(super) fn created(world: &World) -> Value {
    let second = chrono::DateTime::from_timestamp(world.now().timestamp(), 0).unwrap_or_default();
    second.to_rfc3339_opts(SecondsFormat::Millis, true).into()
}

/// How a calendar appears as an organizer.
pub(super) fn organizer(world: &World, calendar_id: &str) -> Value {
    let calendar = &world.calendars[calendar_id];
    if calendar.primary {
        json!({"email": calendar_id})
    } else {
        json!({"email": calendar_id, "displayName": calendar.summary})
    }
}

/// What a new event gets from the server, apart from its id.
fn begin(world: &World, caller: &Caller, calendar_id: &str, event: &mut Object) {
    event.insert("organizer".into(), organizer(world, calendar_id));
    event.insert("creator".into(), json!({"email": caller.email}));
    event.insert("created".into(), created(world));
    event.entry("sequence").or_insert(json!(0));
}

pub(super) fn check(
    world: &World,
    calendar_id: &str,
    event: &mut Object,
    strictness: Strictness,
) -> Result<(), ApiError> {
    validate::event(event, zone(world, calendar_id), strictness)
}

/// E18, D21: a change of time counts up; a client may not count down.
fn sequence(old: &Object, new: &mut Object, given: bool) -> Result<(), ApiError> {
    let number = |event: &Object| event.get("sequence").and_then(Value::as_i64).unwrap_or(0);
    let (before, said) = (number(old), number(new));
    if given && said < before {
        let text = "Invalid sequence value. The specified sequence number is below the current sequence number of the \
                    resource. Re-fetch the resource and use its sequence number on the following request.";
        return Err(ApiError::new(400, "invalid", text));
    }
    let moved = ["start", "end", "recurrence"].iter().any(|name| old.get(*name) != new.get(*name));
    let after = if moved && said <= before { before + 1 } else { said.max(before) };
    new.insert("sequence".into(), after.into());
    Ok(())
}

/// Cancels a copy; whoever is only a guest there declines by it.
fn leave(calendar_id: &str, event: &mut Object) {
    event.insert("status".into(), "cancelled".into());
    if !guests::is_organizer(calendar_id, event) {
        guests::answer(event, calendar_id, "declined");
    }
}

fn only_reminders_differ(old: &Object, new: &Object) -> bool {
    let mut same = new.clone();
    merge::keep(&mut same, old, &["reminders"]);
    same == *old && new != old
}

/// C32: the stricter visibility of one occurrence goes to its master and all other exceptions.
fn restrict_series(world: &mut World, calendar_id: &str, occurrence: &Object) {
    let Some(master_id) = text(occurrence, "recurringEventId") else { return };
    let master = world.calendars[calendar_id].events.get(master_id).map(|s| s.fields.clone());
    for old in series::exceptions(world, calendar_id, master_id).into_iter().chain(master) {
        let mut new = old.clone();
        merge::keep(&mut new, occurrence, &["visibility"]);
        if new != old && old.get("id") != occurrence.get("id") {
            commit(world, calendar_id, Some(&old), new, true);
        }
    }
}

/// Stores a change and lets it reach the other copies.
pub(super) fn commit(world: &mut World, calendar_id: &str, old: Option<&Object>, new: Object, touch: bool) {
    series::store(world, calendar_id, new.clone(), touch);
    guests::spread(world, calendar_id, old, &new);
}

/// The written event as the caller reads it, with its etag as a header.
fn answer(
    world: &World,
    calendar_id: &str,
    role: Role,
    event_id: &str,
    params: &WriteParams,
    before: Option<&Object>,
) -> Result<Response, ApiError> {
    let calendar = &world.calendars[calendar_id];
    let stored = calendar.events.get(event_id).ok_or_else(ApiError::not_found)?;
    let mut event = render::event(world, calendar, role, stored, &calendar.time_zone);
    render::limit_attendees(&mut event, params.max_attendees);
    conference::pending(&mut event, before);
    Ok(Response::json(200, &event).with_header("etag", &stored.etag()))
}
