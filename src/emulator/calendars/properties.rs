//! `calendars.*`: a calendar itself, apart from how somebody shows it (checklist I07, I13).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{body, enlist, find, find_as, invalid, list::strike};
use crate::emulator::{
    Caller,
    http::{ApiError, Request},
    state::{Calendar, Object, Role, Stored, World},
    write,
};

/// `calendars.get`.
pub(super) fn get(world: &World, caller: &Caller, id: &str) -> Result<Value, ApiError> {
    Ok(render(find(world, caller, id)?.0))
}

/// `calendars.insert`: a secondary calendar, owned by the caller and on the caller's list.
pub(super) fn insert(world: &mut World, caller: &Caller, request: &Request) -> Result<Value, ApiError> {
    let fields = body(request)?;
    let zone = world.calendars.get(&caller.email).map_or("UTC", |c| c.time_zone.as_str()).to_owned();
    let id = format!("c_{}@group.calendar.google.com", world.new_event_id());
    let mut calendar = Calendar {
        id: id.clone(),
        summary: String::new(),
        time_zone: zone,
        owner: caller.email.clone(),
        primary: false,
        acl: BTreeMap::from([(caller.email.clone(), Role::Owner)]),
        events: BTreeMap::new(),
        epoch: 0,
        about: Object::new(),
        change: world.next_change(),
    };
    set(&mut calendar, false, &fields)?;
    let answer = render(&calendar);
    world.calendars.insert(id.clone(), calendar);
    enlist(world, &caller.email, &id);
    Ok(answer)
}

/// `calendars.update` and `.patch`.
pub(super) fn change(
    world: &mut World,
    caller: &Caller,
    id: &str,
    patch: bool,
    request: &Request,
) -> Result<Value, ApiError> {
    let id = find_as(world, caller, id, Role::Owner)?.id.clone();
    let fields = body(request)?;
    let change = world.next_change();
    let calendar = world.calendars.get_mut(&id).ok_or_else(ApiError::not_found)?;
    set(calendar, patch, &fields)?;
    calendar.change = change;
    Ok(render(calendar))
}

/// `calendars.delete`: secondary calendars, by their data owner alone (I07).
pub(super) fn delete(world: &mut World, caller: &Caller, id: &str) -> Result<(), ApiError> {
    let calendar = find_as(world, caller, id, Role::Owner)?;
    if calendar.primary {
        let message = "A primary calendar cannot be deleted; it can be cleared.";
        return Err(ApiError::new(400, "cannotDeletePrimaryCalendar", message).domain("calendar"));
    }
    if calendar.owner != caller.email {
        return Err(ApiError::new(403, "forbidden", "Only its data owner can delete a calendar."));
    }
    let id = calendar.id.clone();
    world.calendars.remove(&id);
    let accounts: Vec<String> = world.lists.keys().filter(|(_, c)| *c == id).map(|(a, _)| a.clone()).collect();
    for account in accounts {
        strike(world, &account, &id);
    }
    Ok(())
}

fn set(calendar: &mut Calendar, patch: bool, fields: &Object) -> Result<(), ApiError> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    match text("summary") {
        Some(summary) => calendar.summary = summary.into(),
        None if patch && !fields.contains_key("summary") => {}
        None => return Err(ApiError::new(400, "required", "Missing title.")),
    }
    if let Some(zone) = text("timeZone") {
        zone.parse::<chrono_tz::Tz>().map_err(|_| invalid(format!("Invalid time zone: {zone}")))?;
        calendar.time_zone = zone.into();
    }
    for name in ["description", "location"] {
        match text(name) {
            Some(value) => {
                calendar.about.insert(name.into(), value.into());
            }
            None if patch && !fields.contains_key(name) => {}
            None => {
                calendar.about.remove(name);
            }
        }
    }
    Ok(())
}

fn render(calendar: &Calendar) -> Value {
    let mut value = json!({
        "kind": "calendar#calendar",
        "etag": format!("\"{}\"", calendar.change),
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    });
    value.as_object_mut().expect("a calendar is an object").extend(calendar.about.clone());
    if !calendar.primary {
        value["dataOwner"] = calendar.owner.clone().into();
    }
    value
}

/// `calendars.clear`: deletes all events of a primary calendar (I13).
pub(super) fn clear(world: &mut World, caller: &Caller, id: &str) -> Result<(), ApiError> {
    let calendar = find_as(world, caller, id, Role::Owner)?;
    if !calendar.primary {
        return Err(invalid("Only a primary calendar can be cleared."));
    }
    let id = calendar.id.clone();
    // An exception without its series on this calendar stands for itself.
    let alone =
        |stored: &Stored| stored.text("recurringEventId").is_none_or(|master| !calendar.events.contains_key(master));
    let live = |stored: &Stored| !stored.cancelled() && alone(stored);
    let events: Vec<String> = calendar.events.iter().filter(|(_, s)| live(s)).map(|(event, _)| event.clone()).collect();
    for event in events {
        // As if each were deleted by hand: exceptions go with their series, and guests learn of it.
        write::delete(world, caller, &id, &event, &Request::default())?;
    }
    Ok(())
}
