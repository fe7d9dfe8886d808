//! An account's calendar list: which calendars it shows, under which name and colour (checklist I04–I06, B30).
//!
//! An entry changes when its account changes it, and when it comes or goes. Changes of the calendar itself or of access
//! are not announced by the list's sync token.

use serde_json::{Value, json};

use super::{
    body, find, flag, invalid, invalid_parameter, page_size, palette, read_sync_token, read_token, sync_token, token,
};
use crate::emulator::{
    Caller,
    http::{ApiError, Request},
    state::{Object, Role, World},
};

/// What an account may set on an entry.
const WRITABLE: [&str; 8] = [
    "backgroundColor",
    "colorId",
    "defaultReminders",
    "foregroundColor",
    "hidden",
    "notificationSettings",
    "selected",
    "summaryOverride",
];

/// One calendar on one account's list.
#[derive(Clone, Debug, Default)]
pub struct ListEntry {
    /// The account's own settings, by Google's names.
    pub fields: Object,
    /// Off the list, or the calendar is gone.
    pub deleted: bool,
    /// When it last changed, in the world's order of changes.
    pub change: u64,
}

/// Puts a calendar on an account's list; one that is there stays as it is.
pub fn enlist(world: &mut World, account: &str, calendar: &str) {
    let change = world.next_change();
    let entry = world.lists.entry((account.into(), calendar.into())).or_insert(ListEntry {
        fields: Object::new(),
        deleted: true,
        change: 0,
    });
    if entry.deleted {
        *entry = ListEntry { fields: Object::new(), deleted: false, change };
    }
}

/// Takes a calendar off an account's list.
pub(super) fn strike(world: &mut World, account: &str, calendar: &str) {
    let change = world.next_change();
    if let Some(entry) = world.lists.get_mut(&(account.into(), calendar.into())).filter(|e| !e.deleted) {
        *entry = ListEntry { fields: Object::new(), deleted: true, change };
    }
}

/// `calendarList.list`.
pub(super) fn list(world: &World, caller: &Caller, request: &Request) -> Result<Value, ApiError> {
    let size = page_size(request, 100, 250)?;
    let (show_deleted, show_hidden) = (flag(request, "showDeleted")?, flag(request, "showHidden")?);
    let least = match request.param("minAccessRole") {
        None => None,
        Some(name) => Some(Role::parse(name).ok_or_else(|| invalid_parameter("minAccessRole"))?),
    };
    let since = match request.param("syncToken") {
        None => None,
        Some(text) => {
            // I06, and the discovery document: the token already decides all of these.
            if least.is_some() || show_deleted == Some(false) || show_hidden == Some(false) {
                return Err(ApiError::new(400, "badRequest", "The sync token cannot be used with these parameters.")
                    .at("parameter", "syncToken"));
            }
            let values = read_sync_token(world, "calendarList", text)?;
            if values.get("account").and_then(Value::as_str) != Some(&caller.email) {
                return Err(invalid("Invalid sync token value.").at("parameter", "syncToken"));
            }
            values.get("change").and_then(Value::as_u64)
        }
    };
    // A page token remembers where the last page ended, and up to which change the listing reaches.
    let (after, reach) = match request.param("pageToken") {
        None => (String::new(), world.last_change()),
        Some(text) => {
            let page = read_token(text).filter(|p| p.contains_key("after"));
            let page = page.ok_or_else(|| invalid_parameter("pageToken"))?;
            let after = page.get("after").and_then(Value::as_str).unwrap_or("").to_owned();
            (after, page.get("reach").and_then(Value::as_u64).unwrap_or(0))
        }
    };
    let wanted = |id: &str, entry: &ListEntry| match since {
        Some(change) => entry.change > change,
        None => {
            let role = world.calendars.get(id).and_then(|c| c.acl.get(&caller.email));
            let hidden = entry.fields.get("hidden") == Some(&Value::Bool(true));
            (!entry.deleted || show_deleted == Some(true))
                && (!hidden || show_hidden == Some(true))
                && least.is_none_or(|least| role.is_some_and(|role| *role >= least))
        }
    };
    let mut found = world
        .lists
        .iter()
        .filter(|((account, id), entry)| *account == caller.email && *id > after && wanted(id, entry))
        .map(|((_, id), _)| id);
    let ids: Vec<&String> = found.by_ref().take(size).collect();
    let items: Vec<Value> = ids.iter().filter_map(|id| render(world, caller, id)).collect();
    let mut page = json!({"kind": "calendar#calendarList", "etag": format!("\"p{reach}\""), "items": items});
    if found.next().is_some() {
        page["nextPageToken"] = token(&json!({"after": ids.last(), "reach": reach})).into();
    } else {
        let values = json!({"account": caller.email, "change": reach});
        page["nextSyncToken"] = sync_token(world, "calendarList", values).into();
    }
    Ok(page)
}

/// `calendarList.get`.
pub(super) fn get(world: &World, caller: &Caller, id: &str) -> Result<Value, ApiError> {
    let id = entry_id(world, caller, id)?;
    render(world, caller, &id).ok_or_else(ApiError::not_found)
}

/// `calendarList.insert`: a calendar that the caller may see, by its id.
pub(super) fn insert(world: &mut World, caller: &Caller, request: &Request) -> Result<Value, ApiError> {
    let fields = body(request)?;
    let id = fields.get("id").and_then(Value::as_str).ok_or_else(|| ApiError::new(400, "required", "Required"))?;
    let id = find(world, caller, id)?.0.id.clone();
    enlist(world, &caller.email, &id);
    write(world, caller, &id, true, fields, request)
}

/// `calendarList.update` and `.patch`.
pub(super) fn change(
    world: &mut World,
    caller: &Caller,
    id: &str,
    patch: bool,
    request: &Request,
) -> Result<Value, ApiError> {
    let id = entry_id(world, caller, id)?;
    let fields = body(request)?;
    write(world, caller, &id, patch, fields, request)
}

/// `calendarList.delete`.
pub(super) fn delete(world: &mut World, caller: &Caller, id: &str) -> Result<(), ApiError> {
    let id = entry_id(world, caller, id)?;
    if world.calendars.get(&id).is_some_and(|c| c.owner == caller.email) {
        // The data owner keeps the calendar on the own list (semantics §8); the reason is that of primaries.
        let message = "The owner of a calendar cannot remove it from the own list.";
        return Err(ApiError::new(403, "cannotChangeOwnPrimarySubscription", message).domain("calendar"));
    }
    strike(world, &caller.email, &id);
    Ok(())
}

fn entry_id(world: &World, caller: &Caller, id: &str) -> Result<String, ApiError> {
    let id = find(world, caller, id)?.0.id.clone();
    let entry = world.lists.get(&(caller.email.clone(), id.clone()));
    if entry.is_none_or(|e| e.deleted) { Err(ApiError::not_found()) } else { Ok(id) }
}

fn write(
    world: &mut World,
    caller: &Caller,
    id: &str,
    patch: bool,
    mut given: Object,
    request: &Request,
) -> Result<Value, ApiError> {
    given.retain(|name, _| WRITABLE.contains(&name.as_str()));
    let rgb = flag(request, "colorRgbFormat")? == Some(true);
    if !rgb {
        // Without the parameter only the palette counts.
        given.retain(|name, _| !matches!(name.as_str(), "backgroundColor" | "foregroundColor"));
    }
    if let Some(color) = given.get("colorId").filter(|c| !c.is_null()) {
        color.as_str().and_then(palette::calendar).ok_or_else(|| invalid("Invalid color id."))?;
    }
    let change = world.next_change();
    let entry = world.lists.get_mut(&(caller.email.clone(), id.into())).ok_or_else(ApiError::not_found)?;
    if !patch {
        entry.fields.clear();
    }
    entry.fields.extend(given);
    entry.fields.retain(|_, value| !value.is_null());
    entry.change = change;
    render(world, caller, id).ok_or_else(ApiError::not_found)
}

/// An entry as Google shows it; none when it was never on the list.
fn render(world: &World, caller: &Caller, id: &str) -> Option<Value> {
    let entry = world.lists.get(&(caller.email.clone(), id.into()))?;
    let etag = format!("\"{}\"", entry.change);
    let seen = world.calendars.get(id).and_then(|c| c.acl.get(&caller.email).map(|role| (c, role)));
    let (Some((calendar, role)), false) = (seen, entry.deleted) else {
        return Some(json!({"kind": "calendar#calendarListEntry", "etag": etag, "id": id, "deleted": true}));
    };
    let own = calendar.primary && calendar.owner == caller.email;
    let color = entry.fields.get("colorId").and_then(Value::as_str).unwrap_or("14");
    let background = palette::calendar(color).unwrap_or("#9fe1e7");
    let mut item = json!({
        "kind": "calendar#calendarListEntry",
        "etag": etag,
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "colorId": color,
        "backgroundColor": background,
        "foregroundColor": "#000000",
        "accessRole": role.name(),
        "defaultReminders": if own { json!([{"method": "popup", "minutes": 10}]) } else { json!([]) },
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    });
    let fields = item.as_object_mut().expect("an entry is an object");
    fields.extend(calendar.about.clone());
    if own {
        fields.insert("primary".into(), true.into());
        fields.insert("selected".into(), true.into());
    }
    if !calendar.primary {
        fields.insert("dataOwner".into(), calendar.owner.clone().into());
    }
    // `hidden`, `selected` and `primary` are given only when true.
    let plain = |value: &&Value| **value != Value::Bool(false);
    for (name, value) in &entry.fields {
        match Some(value).filter(plain) {
            Some(value) => fields.insert(name.clone(), value.clone()),
            None => fields.remove(name),
        };
    }
    Some(item)
}
