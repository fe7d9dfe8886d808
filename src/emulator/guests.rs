//! Copies of invitations: what flows between an organizer's event and its guests' calendars (guide "Inviting attendees",
//! section "Event propagation"; checklist G).
//!
//! ```text
//!   organizer's event ──everything shared──► copy on each guest's primary calendar (same id, same iCalUID)
//!          ▲                                        │
//!          └───────────── the guest's answer ───────┘   and from there to the other copies
//! ```
//!
//! Reminders, colour, label, transparency and private properties stay on the copy that they were set on; visibility flows
//! when the organizer changes it. A guest's other edits stay on the guest's copy until the organizer changes something
//! shared. An imported foreign event (`privateCopy`) neither sends nor receives.

use serde_json::Value;

use super::{
    http::ApiError,
    kinds, recurrence, series,
    state::{Calendar, Object, World},
    validate,
};

/// What an answer consists of; all that a guest may tell the organizer.
const ANSWER: &[&str] = &["responseStatus", "comment", "additionalGuests"];

/// What belongs to one copy alone, besides `extendedProperties.private`.
const OWN: &[&str] = &["reminders", "colorId", "eventLabelId", "transparency"];

/// What only the organizer may say.
const ORGANIZERS: &[(&str, bool)] =
    &[("guestsCanInviteOthers", true), ("guestsCanModify", false), ("guestsCanSeeOtherGuests", true)];

/// A field of a nested person: `person(event, "organizer")` is the organizer's address.
pub fn person<'a>(event: &'a Object, role: &str) -> Option<&'a str> {
    event.get(role)?.get("email")?.as_str()
}

/// Whether the copy on this calendar is the organizer's.
pub fn is_organizer(calendar_id: &str, event: &Object) -> bool {
    person(event, "organizer").is_none_or(|email| email == calendar_id || email == kinds::NOBODY)
}

/// Whether nothing is to flow from or to this copy.
fn is_private_copy(event: &Object) -> bool {
    event.get("privateCopy") == Some(&Value::Bool(true))
}

fn is_cancelled(event: &Object) -> bool {
    event.get("status").and_then(Value::as_str) == Some("cancelled")
}

fn attendees(event: &Object) -> &[Value] {
    event.get("attendees").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The entry of this address in the list of attendees.
pub fn attendee<'a>(event: &'a Object, email: &str) -> Option<&'a Object> {
    attendees(event).iter().find(|a| a["email"] == email)?.as_object()
}

fn attendee_mut<'a>(event: &'a mut Object, email: &str) -> Option<&'a mut Object> {
    event.get_mut("attendees")?.as_array_mut()?.iter_mut().find(|a| a["email"] == email)?.as_object_mut()
}

/// Sets one attendee's answer.
pub fn answer(event: &mut Object, email: &str, status: &str) {
    if let Some(entry) = attendee_mut(event, email) {
        entry.insert("responseStatus".into(), status.into());
    }
}

/// Gives `event` the answer that `email` has in `from`, and reports whether that changed anything.
fn take_answer(event: &mut Object, from: &Object, email: &str) -> bool {
    let (Some(entry), Some(given)) = (attendee_mut(event, email), attendee(from, email)) else { return false };
    let before = entry.clone();
    super::merge::keep(entry, given, ANSWER);
    *entry != before
}

/// Reads `attendeesOmitted: true` in a body (G12): the list names the participant alone, and says only its answer.
pub fn only_own_answer(event: &mut Object, stored: &Object, calendar_id: &str) {
    let said = event.clone();
    super::merge::keep(event, stored, &["attendees"]);
    take_answer(event, &said, calendar_id);
}

/// Whether `actor` may turn `old` (none: an insert) into `new` on this calendar; what is to be ignored is put back.
///
/// # Errors
/// 403 `forbiddenForNonOrganizer` (G07, G08), `forbiddenForNonCreator` (G15), `forbidden` for a locked event (G16),
/// `forbiddenForServiceAccounts` (G13).
pub fn permit(calendar_id: &str, actor: &str, old: Option<&Object>, new: &mut Object) -> Result<(), ApiError> {
    if actor.ends_with(".gserviceaccount.com") && old.map_or(&[][..], attendees) != attendees(new) {
        let text = "Service accounts cannot invite attendees without Domain-Wide Delegation of Authority.";
        return Err(ApiError::new(403, "forbiddenForServiceAccounts", text).domain("calendar"));
    }
    let Some(old) = old else { return Ok(()) };
    if !is_organizer(calendar_id, old) {
        for (name, default) in ORGANIZERS {
            let said = |event: &Object| event.get(*name).and_then(Value::as_bool).unwrap_or(*default);
            if said(old) != said(new) {
                let text = "Shared properties can only be changed by the organizer of the event.";
                return Err(ApiError::new(403, "forbiddenForNonOrganizer", text).domain("calendar"));
            }
        }
        // What the others answered is theirs to tell: the organizer's copy brings it, or a new import.
        let others = attendees(old).iter().filter_map(|a| a["email"].as_str()).filter(|email| *email != calendar_id);
        for email in others.map(str::to_owned).collect::<Vec<_>>() {
            take_answer(new, old, &email);
        }
    }
    if old.get("source") != new.get("source") && person(old, "creator") != Some(actor) {
        let text = "The source can only be changed by the creator of the event.";
        return Err(ApiError::new(403, "forbiddenForNonCreator", text).domain("calendar"));
    }
    if old.get("locked") == Some(&Value::Bool(true)) {
        let main = ["summary", "description", "location", "start", "end", "recurrence"];
        if main.iter().any(|name| old.get(*name) != new.get(*name)) {
            return Err(ApiError::new(403, "forbidden", "The event is locked."));
        }
    }
    // Whether somebody is a room is settled when it is invited.
    for entry in new.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        let email = entry["email"].as_str().unwrap_or_default().to_owned();
        if let (Some(known), Some(entry)) = (attendee(old, &email), entry.as_object_mut()) {
            super::merge::keep(entry, known, &["resource"]);
        }
    }
    Ok(())
}

/// Extended properties count over all copies (F03): what the copies on other calendars hold privately.
pub fn private_load(world: &World, calendar_id: &str, event: &Object) -> (usize, usize) {
    let (Some(uid), series) = (event.get("iCalUID"), event.get("originalStartTime")) else { return (0, 0) };
    let places = uid.as_str().and_then(|uid| world.uids.get(uid));
    let others = places.into_iter().flatten().filter(|(calendar, _)| calendar != calendar_id);
    others
        .filter_map(|(calendar, id)| world.calendars.get(calendar)?.events.get(id))
        .filter(|s| s.fields.get("iCalUID") == Some(uid) && s.fields.get("originalStartTime") == series)
        .map(|s| validate::property_load(&s.fields, &["private"]))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Resets answers that an organizer put into the mouth of somebody who sees invitations only from known senders (G17).
pub fn reset_answers(world: &World, new: &mut Object) {
    let sender = person(new, "organizer").unwrap_or_default().to_owned();
    for entry in new.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        if entry["email"].as_str().is_some_and(|guest| guest != sender && hides(world, guest, &sender)) {
            entry["responseStatus"] = "needsAction".into();
        }
    }
}

/// Whether this guest's calendar keeps an invitation of this sender out until it is answered (G02). A sender is known
/// when both belong to one Workspace domain.
fn hides(world: &World, guest: &str, sender: &str) -> bool {
    let domain = |email: &str| world.accounts.get(email).and_then(|a| a.hosted_domain.clone());
    world.settings.known_senders_only.contains(guest) && (domain(guest).is_none() || domain(guest) != domain(sender))
}

/// Lets a stored change of `old` (none: it is new) to `new` on `calendar_id` reach the other copies.
pub fn spread(world: &mut World, calendar_id: &str, old: Option<&Object>, new: &Object) {
    if is_private_copy(new) {
        return;
    }
    if is_organizer(calendar_id, new) {
        to_guests(world, calendar_id, old, new);
    } else {
        to_organizer(world, calendar_id, old, new);
    }
}

/// What all copies have in common.
fn shared(event: &Object) -> Object {
    let mut shared = event.clone();
    shared.retain(|name, _| !OWN.contains(&name.as_str()) && name != "source");
    set_private(&mut shared, None);
    shared
}

fn to_guests(world: &mut World, calendar_id: &str, old: Option<&Object>, new: &Object) {
    if old.is_some_and(|old| shared(old) == shared(new)) {
        return;
    }
    let mut guests: Vec<String> = Vec::new();
    for entry in old.map_or(&[][..], attendees).iter().chain(attendees(new)) {
        let email = entry["email"].as_str().unwrap_or_default();
        let has_account = world.calendars.get(email).is_some_and(|c| c.primary);
        if has_account && email != calendar_id && !guests.iter().any(|g| g == email) {
            guests.push(email.into());
        }
    }
    for guest in guests {
        let invited = !is_cancelled(new) && attendee(new, &guest).is_some();
        let was_invited = old.is_some_and(|old| !is_cancelled(old) && attendee(old, &guest).is_some());
        let calendar = &world.calendars[&guest];
        let id = copy_id(calendar, new);
        let held = calendar.events.get(&id).map(|s| s.fields.clone());
        let copy = held.clone().or_else(|| recurrence::instance(calendar, &id));
        if copy.as_ref().is_some_and(is_private_copy) {
            continue;
        }
        let next = match copy {
            // The guest threw the copy away; only a new invitation brings it back.
            Some(copy) if is_cancelled(&copy) && (was_invited || !invited) => continue,
            Some(mut copy) if !invited => {
                copy.insert("status".into(), "cancelled".into());
                copy
            }
            None if !invited || was_invited && has_left(calendar, &id) => continue,
            None if hides(world, &guest, calendar_id) && !answered(new, &guest) => continue,
            copy => overlay(copy.as_ref(), old, new, &guest, &id),
        };
        if held.as_ref() != Some(&next) {
            series::store(world, &guest, next, true);
        }
    }
}

/// Whether the series of this occurrence was thrown away on this calendar.
fn has_left(calendar: &Calendar, id: &str) -> bool {
    let series = id.rsplit_once('_').and_then(|(series, _)| calendar.events.get(series));
    series.is_some_and(super::state::Stored::cancelled)
}

fn answered(event: &Object, guest: &str) -> bool {
    attendee(event, guest).is_some_and(|entry| entry.get("responseStatus").is_some_and(|s| s != "needsAction"))
}

/// The id of a copy: the organizer's, unless that is taken on the guest's calendar by something else.
fn copy_id(calendar: &Calendar, event: &Object) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, uid, series) = (text("id"), text("iCalUID"), text("recurringEventId"));
    let (base, stamp) =
        if series.is_empty() { (id, "") } else { (series, id.strip_prefix(series).unwrap_or_default()) };
    // What somebody else made is something else, even under the same id and so the same iCalUID.
    let creator = |fields: &Object| fields.get("creator").and_then(|c| c.get("email")).cloned();
    let same = |fields: &Object| {
        fields.get("iCalUID").and_then(Value::as_str) == Some(uid) && creator(fields) == creator(event)
    };
    if calendar.events.get(base).is_none_or(|stored| same(&stored.fields)) {
        let taken = calendar.events.iter().find(|(_, s)| same(&s.fields) && !s.fields.contains_key("recurringEventId"));
        return format!("{}{stamp}", taken.map_or(base, |(id, _)| id));
    }
    format!("{}{stamp}", validate::imported_id(uid))
}

/// A guest's copy after the organizer's event became `new`: what is shared from there, what is the copy's own from `copy`.
fn overlay(copy: Option<&Object>, old: Option<&Object>, new: &Object, guest: &str, id: &str) -> Object {
    if let (Some(copy), Some(old)) = (copy.filter(|copy| !is_cancelled(copy)), old) {
        let mut said = old.clone();
        super::merge::keep(&mut said, new, &["attendees"]);
        if shared(&said) == shared(new) {
            // Somebody answered or was invited: no reason to undo what the guest did to this copy.
            let mut next = copy.clone();
            super::merge::keep(&mut next, new, &["attendees"]);
            hide_guests(&mut next, guest);
            return next;
        }
    }
    let mut next = new.clone();
    if let Some(copy) = copy {
        super::merge::keep(&mut next, copy, OWN);
        if old.is_some_and(|old| old.get("visibility") == new.get("visibility")) {
            super::merge::keep(&mut next, copy, &["visibility"]);
        }
        if new.get("status") == old.and_then(|o| o.get("status")) && !is_cancelled(copy) {
            super::merge::keep(&mut next, copy, &["status"]);
        }
    } else {
        next.insert("reminders".into(), serde_json::json!({"useDefault": true}));
        next.remove("colorId");
        next.remove("eventLabelId");
    }
    next.remove("source");
    let own = copy.and_then(|copy| copy.get("extendedProperties")?.get("private").cloned());
    set_private(&mut next, own);
    next.insert("id".into(), id.into());
    if let (Some(series), Some(stamp)) = (new.get("recurringEventId").and_then(Value::as_str), id.rfind('_')) {
        let base = if id.starts_with(series) { series } else { &id[..stamp] };
        next.insert("recurringEventId".into(), base.into());
    }
    hide_guests(&mut next, guest);
    next
}

/// With `guestsCanSeeOtherGuests` false a guest sees itself and the organizer (G18).
fn hide_guests(copy: &mut Object, guest: &str) {
    if copy.get("guestsCanSeeOtherGuests") == Some(&Value::Bool(false)) {
        let organizer = person(copy, "organizer").map(str::to_owned);
        if let Some(Value::Array(list)) = copy.get_mut("attendees") {
            list.retain(|a| a["email"] == guest || a["email"].as_str() == organizer.as_deref());
        }
    }
}

fn set_private(event: &mut Object, private: Option<Value>) {
    let mut kinds = event.remove("extendedProperties").and_then(|v| v.as_object().cloned()).unwrap_or_default();
    match private {
        Some(private) => kinds.insert("private".into(), private),
        None => kinds.remove("private"),
    };
    if !kinds.is_empty() {
        event.insert("extendedProperties".into(), kinds.into());
    }
}

/// Takes a guest's answer — and, where `guestsCanModify` allows it, the guest's edits — to the organizer.
fn to_organizer(world: &mut World, guest: &str, old: Option<&Object>, new: &Object) {
    let Some(organizer) = person(new, "organizer").map(str::to_owned) else { return };
    let Some(calendar) = world.calendars.get(&organizer) else { return };
    let id = copy_id(calendar, new);
    let held = calendar.events.get(&id).map(|s| s.fields.clone());
    let Some(before) = held.or_else(|| recurrence::instance(calendar, &id)) else { return };
    if is_cancelled(&before) || is_private_copy(&before) {
        return;
    }
    let mut after = before.clone();
    take_answer(&mut after, new, guest);
    let may_modify = before.get("guestsCanModify") == Some(&Value::Bool(true)) && world.settings.guest_edits_flow;
    if let Some(old) = old.filter(|_| may_modify && !is_cancelled(new)) {
        let names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
        let private = |name: &str| OWN.contains(&name) || ["attendees", "extendedProperties", "status"].contains(&name);
        for name in names.iter().map(String::as_str).filter(|name| !private(name)) {
            if old.get(name) != new.get(name) {
                super::merge::keep(&mut after, new, &[name]);
            }
        }
    }
    // Shared properties belong to every copy, whoever writes them.
    let properties = |event: &Object| event.get("extendedProperties").and_then(|k| k.get("shared").cloned());
    if old.is_some_and(|old| properties(old) != properties(new)) {
        let own = after.get("extendedProperties").and_then(|k| k.get("private").cloned());
        super::merge::keep(&mut after, new, &["extendedProperties"]);
        set_private(&mut after, own);
    }
    if after != before {
        series::store(world, &organizer, after.clone(), true);
        to_guests(world, &organizer, Some(&before), &after);
    }
}

/// Answers an invitation as from its mail: also one that is hidden from the guest's calendar, which brings it there (G02).
///
/// # Errors
/// 404 when no organizer in this world has invited this guest to such an event.
pub fn answer_mail(world: &mut World, guest: &str, event_id: &str, status: &str) -> Result<(), ApiError> {
    let invitation = world.calendars.values().find_map(|calendar| {
        let event = &calendar.events.get(event_id)?.fields;
        let invites = calendar.id != guest && is_organizer(&calendar.id, event) && attendee(event, guest).is_some();
        (invites && !is_cancelled(event)).then(|| (calendar.id.clone(), event.clone()))
    });
    let (organizer, before) = invitation.ok_or_else(ApiError::not_found)?;
    let mut after = before.clone();
    answer(&mut after, guest, status);
    series::store(world, &organizer, after.clone(), true);
    to_guests(world, &organizer, Some(&before), &after);
    Ok(())
}
