//! What simulated people do at their own calendars and to what stands there of ours; each deed is noted for the witness.

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::google::{CANARY, Scene};
use crate::{
    emulator::{Caller, api, http::Request, state::Object, with, write},
    model::{calendar::Role, id::EventId},
};

/// One call of the Calendar API as the calendar's own account, past all faults.
pub fn call(scene: &Scene, calendar: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let calendar_in_path: String = url::form_urlencoded::byte_serialize(calendar.as_bytes()).collect();
    let path = format!("calendars/{calendar_in_path}{path}");
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request =
        Request { method: method.into(), path: format!("/calendar/v3/{path}"), query, headers: Vec::new(), body };
    with(&scene.core, |core| {
        let email = core.world.calendars.get(calendar).map_or(calendar.to_owned(), |c| c.owner.clone());
        let scopes = vec!["https://www.googleapis.com/auth/calendar".to_owned()];
        let caller = Caller { email, scopes, client: None };
        match api::handle(&mut core.world, &caller, &path, &request) {
            Ok(response) => (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null)),
            Err(refusal) => (refusal.status, json!(refusal.message)),
        }
    })
}

/// Living events on a calendar with their fields: series, single events and exceptions; in the order in which they were last changed,
/// which depends on nobody's id.
fn living(scene: &Scene, calendar: &str) -> Vec<(String, Object)> {
    with(&scene.core, |core| {
        let Some(calendar) = core.world.calendars.get(calendar) else { return Vec::new() };
        let live = calendar.events.iter().filter(|(_, stored)| !stored.cancelled());
        let mut living: Vec<_> = live.collect();
        living.sort_by_key(|(_, stored)| stored.etag_us);
        living.into_iter().map(|(id, stored)| (id.clone(), stored.fields.clone())).collect()
    })
}

/// Lets somebody do something; the salt makes texts and ids of two runs differ without changing their order.
pub fn act(scene: &Scene, number: u32, salt: &str) {
    let places: Vec<(usize, String, Role)> = {
        let truth = scene.truth();
        let all = truth.people.iter().enumerate();
        all.flat_map(|(n, person)| person.places.iter().map(move |p| (n, p.id.clone(), p.role))).collect()
    };
    let (choice, place) = {
        let mut tape = scene.tape();
        (tape.pick(12), tape.pick(u32::try_from(places.len()).unwrap_or(1)) as usize)
    };
    let (_, calendar, role) = places[place].clone();
    if choice == 0 {
        return;
    }
    let events = living(scene, &calendar);
    let (ours, theirs): (Vec<_>, Vec<_>) = {
        let truth = scene.truth();
        events.into_iter().partition(|(id, fields)| {
            scene.owner(&truth, &calendar, id, fields).is_some()
                || truth.made.contains_key(&(calendar.clone(), series_of(id)))
        })
    };
    match choice {
        1..=5 => make(scene, &calendar, number, salt),
        6..=8 if !theirs.is_empty() => change(scene, &calendar, &theirs, number, salt),
        9..=11 if !ours.is_empty() && role != Role::Personal => meddle(scene, &calendar, role, &ours, number, salt),
        _ => make(scene, &calendar, number, salt),
    }
}

/// Another calendar of a person who has this one.
fn another(scene: &Scene, calendar: &str) -> Option<String> {
    let others: Vec<String> = {
        let truth = scene.truth();
        let person = truth.people.iter().find(|person| person.places.iter().any(|place| place.id == calendar))?;
        person.places.iter().map(|place| place.id.clone()).filter(|id| id != calendar).collect()
    };
    let at = scene.tape().pick(u32::try_from(others.len()).unwrap_or(1)) as usize;
    others.get(at).cloned()
}

/// Another engine on the same calendars copies the last of what it sees on one to the next, whoever made it, with or without what
/// other programs keep at it.
pub fn copy_all(scene: &Scene, number: u32, salt: &str) {
    let places: Vec<String> = {
        let truth = scene.truth();
        truth.people.iter().flat_map(|person| person.places.iter().map(|place| place.id.clone())).collect()
    };
    let from = places[scene.tape().pick(u32::try_from(places.len()).unwrap_or(1)) as usize].clone();
    let Some(to) = another(scene, &from) else { return };
    let private = scene.tape().pick(2) == 1;
    let whole: Vec<Object> = living(scene, &from)
        .into_iter()
        .filter(|(id, fields)| {
            !fields.contains_key("recurringEventId")
                && !scene.truth().copied.contains(&(from.clone(), id.clone(), to.clone()))
        })
        .map(|(_, fields)| fields)
        .collect();
    for (n, fields) in whole.iter().rev().take(3).enumerate() {
        let id = fields.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut event = json!({"id": format!("copy{number:05}{n}{salt}")});
        for name in ["summary", "description", "start", "end", "recurrence", "transparency", "visibility"] {
            if let Some(value) = fields.get(name) {
                event[name] = value.clone();
            }
        }
        if private && let Some(properties) = fields.get("extendedProperties") {
            event["extendedProperties"] = properties.clone();
        }
        let (status, _) = call(scene, &to, "POST", "/events", &event);
        scene.truth().copied.insert((from.clone(), id.clone(), to.clone()));
        scene.note(&format!("another engine copies {from}/{id} to {to} {event} {status}"));
    }
}

fn text(calendar: &str, number: u32, salt: &str) -> String {
    format!("{CANARY}{salt} {number} {}", calendar.len())
}

fn day(n: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 2).unwrap_or_default() + TimeDelta::days(i64::from(n))
}

fn make(scene: &Scene, calendar: &str, number: u32, salt: &str) {
    let mut tape = scene.tape();
    let first = day(tape.pick(30));
    let mut event = json!({
        "id": format!("event{number:05}{salt}"),
        "summary": text(calendar, number, salt),
        "description": text(calendar, number, salt),
        "location": text(calendar, number, salt),
    });
    let days = tape.pick(4) == 3;
    let zone = tape.of_these(&["Europe/Vienna", "America/New_York"]);
    if days {
        let length = TimeDelta::days(1 + i64::from(tape.pick(2)));
        event["start"] = json!({"date": first.to_string()});
        event["end"] = json!({"date": (first + length).to_string()});
    } else {
        let hour = 7 + tape.pick(10);
        event["start"] = json!({"dateTime": format!("{first}T{hour:02}:00:00"), "timeZone": zone});
        event["end"] = json!({"dateTime": format!("{first}T{hour:02}:45:00"), "timeZone": zone});
    }
    let until = if days { "20260405" } else { "20260405T120000Z" };
    match tape.pick(9) {
        6 => event["recurrence"] = json!(["RRULE:FREQ=WEEKLY"]),
        7 => event["recurrence"] = json!([format!("RRULE:FREQ=DAILY;INTERVAL=2;UNTIL={until}")]),
        8 => event["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=4"]),
        _ => {}
    }
    if tape.pick(5) == 4 {
        event["transparency"] = json!("transparent");
    }
    let invited = tape.pick(6) == 5;
    let answer = tape.of_these(&["accepted", "declined", "needsAction"]);
    drop(tape);
    if invited {
        // Somebody with several calendars is invited by several of their addresses to the same meeting.
        let several = scene.tape().pick(3) == 2;
        let also = several.then(|| another(scene, calendar)).flatten();
        event["organizer"] = json!({"email": format!("boss{salt}@elsewhere.example")});
        event["attendees"] =
            json!([{"email": calendar, "responseStatus": answer}, {"email": format!("boss{salt}@elsewhere.example")}]);
        for calendar in [Some(calendar.to_owned()), also].into_iter().flatten() {
            event["attendees"][0]["email"] = json!(calendar);
            if let Some(fields) = event.as_object() {
                let done = with(&scene.core, |core| write::seed(&mut core.world, &calendar, fields.clone()));
                scene.note(&format!("person invited at {calendar} {event} {}", done.is_ok()));
            }
        }
        return;
    }
    let (status, _) = call(scene, calendar, "POST", "/events", &event);
    scene.note(&format!("person makes at {calendar} {event} {status}"));
}

/// The series or single event that an id belongs to.
fn series_of(id: &str) -> String {
    EventId::from(id).as_instance().map_or(id.to_owned(), |(series, _)| series.as_str().to_owned())
}

/// Sometimes an occurrence of a series instead of the whole.
fn occurrence(scene: &Scene, calendar: &str, id: &str, fields: &Object) -> String {
    if !fields.contains_key("recurrence") || scene.tape().pick(3) == 0 {
        return id.to_owned();
    }
    let (_, answer) = call(scene, calendar, "GET", &format!("/events/{id}/instances?maxResults=4"), &Value::Null);
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    let at = scene.tape().pick(4) as usize;
    items.get(at).and_then(|item| item["id"].as_str()).unwrap_or(id).to_owned()
}

fn one<'a>(scene: &Scene, events: &'a [(String, Object)]) -> &'a (String, Object) {
    &events[scene.tape().pick(u32::try_from(events.len()).unwrap_or(1)) as usize]
}

fn timed(scene: &Scene) -> Value {
    let mut tape = scene.tape();
    let (day, hour) = (day(tape.pick(25)), 7 + tape.pick(10));
    let time = |minute: u32| json!({"dateTime": format!("{day}T{hour:02}:{minute:02}:00"), "timeZone": "Europe/Vienna", "date": null});
    json!({"start": time(0), "end": time(30)})
}

fn change(scene: &Scene, calendar: &str, events: &[(String, Object)], number: u32, salt: &str) {
    let (id, fields) = one(scene, events);
    let target = occurrence(scene, calendar, id, fields);
    let single = !target.contains('_') && !fields.contains_key("recurrence");
    let alone = !fields.contains_key("attendees");
    let what = scene.tape().pick(10);
    let mut unwanted = true;
    let (method, body) = match what {
        0 | 1 => {
            unwanted = false;
            ("PATCH", json!({"summary": text(calendar, number, salt)}))
        }
        2 => ("DELETE", Value::Null),
        3 => ("PATCH", json!({"transparency": scene.tape().of_these(&["opaque", "transparent"])})),
        4 if single && alone => {
            // Timed and all-day are turned into each other.
            unwanted = false;
            match fields.get("start").is_some_and(|start| start["date"].is_string()) {
                true => ("PATCH", timed(scene)),
                false => {
                    let first = day(scene.tape().pick(25));
                    let of = |day: NaiveDate| json!({"date": day.to_string(), "dateTime": null, "timeZone": null});
                    ("PATCH", json!({"start": of(first), "end": of(first + TimeDelta::days(1))}))
                }
            }
        }
        5 if fields.contains_key("recurrence") && target.contains('_') && alone => {
            let stamp = target.rsplit_once('_').map_or("", |(_, stamp)| stamp);
            let done = with(&scene.core, |core| crate::emulator::split::ui_split(&mut core.world, calendar, id, stamp));
            scene.truth().unwanted.insert((calendar.to_owned(), id.clone()));
            scene.note(&format!("person splits {calendar}/{target} {}", done.is_ok()));
            return;
        }
        6 if !alone => {
            let answer = scene.tape().of_these(&["accepted", "declined", "tentative"]);
            let mut guests = fields.get("attendees").cloned().unwrap_or_default();
            for guest in guests.as_array_mut().into_iter().flatten() {
                if guest["email"] == calendar {
                    guest["responseStatus"] = json!(answer);
                }
            }
            ("PATCH", json!({"attendees": guests}))
        }
        7 => {
            // What was deleted comes back.
            let deleted: Vec<String> = with(&scene.core, |core| {
                let events = core.world.calendars.get(calendar).map(|c| &c.events).into_iter().flatten();
                let gone =
                    events.filter(|(id, stored)| stored.cancelled() && id.starts_with("event") && !id.contains('_'));
                gone.map(|(id, _)| id.clone()).collect()
            });
            if deleted.is_empty() {
                return;
            }
            let id = &deleted[scene.tape().pick(u32::try_from(deleted.len()).unwrap_or(1)) as usize];
            let body = json!({"status": "confirmed"});
            let (status, _) = call(scene, calendar, "PATCH", &format!("/events/{id}"), &body);
            scene.note(&format!("person brings back {calendar}/{id} {status}"));
            return;
        }
        _ if !fields.contains_key("recurrence") || target.contains('_') => {
            if fields.get("start").is_some_and(|start| start["date"].is_string()) {
                return;
            }
            unwanted = target.contains('_');
            ("PATCH", timed(scene))
        }
        _ => {
            unwanted = false;
            ("PATCH", json!({"location": text(calendar, number, salt)}))
        }
    };
    let (status, _) = call(scene, calendar, method, &format!("/events/{target}"), &body);
    if unwanted && status < 300 {
        scene.truth().unwanted.insert((calendar.to_owned(), series_of(id)));
    }
    scene.note(&format!("person {method} {calendar}/{target} {body} {status}"));
}

/// Somebody lays hands on something of ours.
fn meddle(scene: &Scene, calendar: &str, role: Role, events: &[(String, Object)], number: u32, salt: &str) {
    let (id, fields) = one(scene, events);
    let owner = {
        let truth = scene.truth();
        let made = truth.made.get(&(calendar.to_owned(), series_of(id))).cloned();
        scene.owner(&truth, calendar, id, fields).or(made)
    };
    let Some((_, key)) = owner else { return };
    let target = occurrence(scene, calendar, id, fields);
    let all_day = fields.get("start").is_some_and(|start| start["date"].is_string());
    let what = scene.tape().pick(8);
    let mut removes = false;
    let (method, body) = match what {
        0 | 1 => {
            removes = true;
            ("DELETE", Value::Null)
        }
        2 if role == Role::Main => ("PATCH", json!({"summary": text(calendar, number, salt)})),
        3 if fields.contains_key("attendees") => {
            removes = true;
            let answer = scene.tape().of_these(&["accepted", "declined", "tentative"]);
            ("PATCH", json!({"attendees": [{"email": calendar, "responseStatus": answer}]}))
        }
        // A copy of ours is the person's own.
        4 if !fields.contains_key("attendees") => {
            let done = with(&scene.core, |core| crate::emulator::split::ui_duplicate(&mut core.world, calendar, id));
            scene.note(&format!("person duplicates {calendar}/{id} {done:?}"));
            return;
        }
        5 if !target.contains('_') => {
            let body = json!({"extendedProperties": {"private": {"busybridge": null, "calendarSyncEngine": null}}});
            let (status, _) = call(scene, calendar, "PATCH", &format!("/events/{id}"), &body);
            scene.note(&format!("person bares {calendar}/{id} {status}"));
            return;
        }
        _ if !all_day && (target.contains('_') || !fields.contains_key("recurrence")) => ("PATCH", timed(scene)),
        _ => ("PATCH", json!({"colorId": "5"})),
    };
    let (status, _) = call(scene, calendar, method, &format!("/events/{target}"), &body);
    scene.note(&format!("person {method} ours {calendar}/{target} {body} {status}"));
    if status < 300 {
        let mut truth = scene.truth();
        let origin = (key.origin.calendar.as_str().to_owned(), key.origin.event.as_str().to_owned());
        if removes {
            truth.unwanted.insert(origin.clone());
        }
        // What is done to a copy at home may come to its origin, whole or at one slot.
        if role == Role::Main {
            let before = truth.touched.get(&origin).copied().unwrap_or(false);
            truth.touched.insert(origin, before || removes);
        }
        if target.contains('_') {
            truth.revived.insert((calendar.to_owned(), target));
        }
    }
}

/// Removes what an installation left behind where its person wants nothing any more, if somebody took its marker off: whether
/// that is an event as any other depends on who remembers it.
pub fn tidy(scene: &Scene) {
    let left: Vec<(String, String)> = {
        let truth = scene.truth();
        let wanted = |n: usize, id: &str| truth.people[n].places.iter().any(|place| place.id == id && place.wanted);
        truth.made.iter().filter(|((calendar, _), (n, _))| !wanted(*n, calendar)).map(|(at, _)| at.clone()).collect()
    };
    for (calendar, id) in left {
        let (status, found) = call(scene, &calendar, "GET", &format!("/events/{id}"), &Value::Null);
        let marked = found["extendedProperties"]["private"]["busybridge"].is_string();
        if status < 300 && found["status"] != "cancelled" && !marked {
            call(scene, &calendar, "DELETE", &format!("/events/{id}"), &Value::Null);
            scene.note(&format!("person removes what was left at {calendar}/{id}"));
            scene.truth().unwanted.insert((calendar, id));
        }
    }
}
