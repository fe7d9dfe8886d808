//! What must hold whatever a scenario did: judged after each by what stands at Google and by what was asked of it, without the
//! planner's own reasoning.
//!
//! * nothing of ours has a guest but the account itself, a reminder, a conference or an attachment;
//! * on a client's calendar, and of a personal calendar anywhere, nothing of ours says more than a fixed text: no word that a person
//!   wrote elsewhere is found in it;
//! * for each item at most one event stands at Google;
//! * a personal calendar was never asked to be changed, and nothing of ours stands there;
//! * no more of people's own events were deleted than people removed copies at home;
//! * no write of ours left an event as it was;
//! * no write was made that tells guests, unless the person wants that; each change and deletion named the version it meant;
//! * why something is there or not, as people are told, agrees with what stands there;
//! * when all faults are over, everything comes to rest: a plan with nothing to do, and a tick that writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::world::World;
use crate::{
    cli::reconcile::settle_down,
    controller::tick::{Mode, tick},
    emulator::{self, http::Request},
    model::{
        calendar::Role,
        event::OriginKey,
        id::{CalendarId, EventId},
        item::{ItemKey, ObservedState},
    },
    planner::{
        self,
        render::{self, Length, Lens},
        why::{self, Absence},
    },
    vault::marker::ReadMarker,
};

/// Ticks that a scenario may need to come to rest, once nothing is in the way.
const ROUNDS: usize = 8;

/// Says what is wrong; empty when all is well. `written` are the sentences that people wrote into events.
pub async fn broken(world: &mut World) -> Vec<String> {
    let mut broken = requests(world);
    let _ = world.command("DELETE", "faults", Value::Null).await;
    broken.extend(rest(world).await);
    broken.extend(standing(world));
    broken.extend(reasons(world).await);
    broken.extend(requests(world));
    broken.sort();
    broken.dedup();
    broken
}

/// Requests of ours that should never have been made.
fn requests(world: &World) -> Vec<String> {
    let writes = emulator::with(&world.core, |core| core.writes.clone());
    let is_by_us = |r: &Request| r.header("user-agent").is_some_and(|agent| agent.starts_with("busybridge"));
    let mains: BTreeSet<&str> = world
        .people
        .values()
        .flat_map(|person| person.calendars.values())
        .filter(|place| place.role == Role::Main)
        .map(|place| place.id.as_str())
        .collect();
    let deletions = writes.iter().filter(|r| r.method == "DELETE");
    let (by_us, by_people): (Vec<&Request>, Vec<&Request>) = deletions.partition(|r| is_by_us(r));
    // Tried again under the same path is one deletion.
    let of_people: BTreeSet<&str> = by_us
        .iter()
        .map(|r| r.path.as_str())
        .filter(|path| !is_our_id(path.rsplit('/').next().unwrap_or_default()))
        .collect();
    let of_people = of_people.len();
    let at_home = by_people.iter().filter(|r| mains.iter().any(|id| percent_encoding(&r.path).contains(id))).count();
    let ours: Vec<Request> = writes.iter().filter(|r| is_by_us(r)).cloned().collect();
    let mut broken = Vec::new();
    let idle = emulator::with(&world.core, |core| core.idle_writes.clone());
    for request in idle.iter().filter(|request| is_by_us(request)) {
        broken.push(format!("a write that changed nothing: {} {}", request.method, percent_encoding(&request.path)));
    }
    if of_people > at_home {
        broken.push(format!("{of_people} events of people were deleted, and {at_home} copies removed by them"));
    }
    let personal: BTreeSet<String> = world
        .people
        .values()
        .flat_map(|person| person.calendars.values())
        .filter(|place| place.role == Role::Personal)
        .map(|place| place.id.clone())
        .collect();
    for request in ours {
        let path = percent_encoding(&request.path);
        if personal.iter().any(|id| path.contains(id.as_str())) {
            broken.push(format!("a personal calendar was written: {} {path}", request.method));
        }
        let silent = request.param("sendUpdates") == Some("none");
        if !silent && !world.tells_guests {
            broken.push(format!("guests may have been told: {} {path}", request.method));
        }
        if request.method != "POST" && request.header("if-match").is_none_or(|etag| etag.is_empty() || etag == "*") {
            broken.push(format!("a write without a version: {} {path}", request.method));
        }
    }
    broken
}

/// Whether an id has the form of those that we give: 40 characters of a hash, and the incarnation. Scripts give names.
fn is_our_id(id: &str) -> bool {
    let series = id.split('_').next().unwrap_or_default();
    (41..=50).contains(&series.len())
        && !series.starts_with("name")
        && series.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn percent_encoding(path: &str) -> String {
    path.replace("%40", "@")
}

/// What stands at Google.
fn standing(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    let calendars: Vec<(String, Vec<Value>)> = emulator::with(&world.core, |core| {
        core.world
            .calendars
            .values()
            .map(|calendar| {
                let live = calendar.events.iter().filter(|(_, stored)| !stored.cancelled());
                let events = live.map(|(id, stored)| {
                    let mut event = Value::Object(stored.fields.clone());
                    event["id"] = json!(id);
                    event
                });
                (calendar.id.clone(), events.collect())
            })
            .collect()
    });
    // Words that people wrote, by the calendar on which they stand.
    let mut words: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (id, events) in &calendars {
        for event in events.iter().filter(|event| event["extendedProperties"]["private"]["busybridge"].is_null()) {
            let texts = ["summary", "description", "location"].map(|name| event[name].as_str().unwrap_or_default());
            let said = texts.iter().filter(|text| text.chars().count() > 3 && !text.contains("Busy"));
            words.entry(id).or_default().extend(said.map(|text| (*text).to_owned()));
        }
    }
    for person in world.people.values() {
        let vault = &world.installation(person.installation).vault;
        let subject = format!("subject of {}", person.email);
        let role_of: BTreeMap<&str, Role> = person.calendars.values().map(|p| (p.id.as_str(), p.role)).collect();
        for place in person.calendars.values() {
            let Some((id, events)) = calendars.iter().find(|(id, _)| *id == place.id) else { continue };
            let calendar = CalendarId::from(id.as_str());
            let mut items = BTreeSet::new();
            for event in events {
                let Some(marker) = event["extendedProperties"]["private"]["busybridge"].as_str() else { continue };
                let own = EventId::from(event["id"].as_str().unwrap_or_default());
                let of = event["recurringEventId"].as_str().map_or(own.clone(), EventId::from);
                let ReadMarker::Ours { key, .. } = vault.read_marker(&subject, &calendar, &of, marker) else {
                    continue;
                };
                let what = format!("{id}: {}", event["summary"].as_str().unwrap_or("(untitled)"));
                if place.role == Role::Personal {
                    broken.push(format!("something of ours stands on a personal calendar: {what}"));
                }
                if own == of && !items.insert(key.clone()) {
                    broken.push(format!("two events for one item: {what}"));
                }
                let strangers = event["attendees"].as_array().into_iter().flatten();
                if strangers.into_iter().any(|guest| guest["email"] != json!(place.account)) {
                    broken.push(format!("a guest on something of ours: {what}"));
                }
                for name in ["conferenceData", "attachments", "hangoutLink"] {
                    if !event[name].is_null() {
                        broken.push(format!("{name} on something of ours: {what}"));
                    }
                }
                let from = role_of.get(key.origin.calendar.as_str()).copied();
                let full = place.role == Role::Main && from != Some(Role::Personal);
                if full {
                    continue;
                }
                let told = event.to_string();
                for (calendar, said) in &words {
                    for text in said.iter().filter(|text| *calendar != id && told.contains(text.as_str())) {
                        if !world.own_words.iter().any(|own| own.contains(text.as_str())) {
                            broken.push(format!("words of {calendar} stand on {what}: {text}"));
                        }
                    }
                }
                for name in ["description", "location", "attendees"] {
                    if !event[name].is_null() {
                        broken.push(format!("a block says more than its time ({name}): {what}"));
                    }
                }
            }
        }
    }
    broken
}

/// Whether the reasons that are given agree with what stands there and with what would be done.
async fn reasons(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, person) in &world.people {
        if world.app(name).store.user(person.user).await.unwrap().is_none() {
            continue;
        }
        let snapshot = world.known(name).await;
        let plan = planner::plan(&snapshot);
        for (calendar, families) in &snapshot.origins {
            let origins = families.iter().flat_map(|(event, family)| {
                let key = |instance| OriginKey { calendar: calendar.clone(), event: event.clone(), instance };
                let head = family.head.iter().map(move |_| key(None));
                head.chain(family.exceptions.keys().map(move |slot| key(Some(*slot))))
            });
            for (origin, target) in
                origins.flat_map(|origin| snapshot.calendars.keys().map(move |id| (origin.clone(), id)))
            {
                let key = ItemKey { target: target.clone(), origin };
                let absence = why::why_not(&snapshot, &key.origin, target);
                let observed = snapshot.observed.get(&key).into_iter().flatten();
                let live = observed.filter(|one| matches!(one.state, ObservedState::Live { .. })).count();
                let due = plan.steps.iter().any(|step| step.key == key && step.action.writes());
                let held = plan.held.iter().any(|held| held.step.key == key);
                let agrees = match &absence {
                    Absence::There(_) => live > 0,
                    Absence::Held(_) | Absence::Refused { .. } => held,
                    Absence::Due => due,
                    _ => live == 0 && !due && !held,
                };
                if !agrees {
                    broken.push(format!("{name}: {absence:?}, but {live} live, due {due}, held {held}: {key:?}"));
                }
            }
        }
    }
    broken
}

/// Whether everything comes to rest.
async fn rest(world: &mut World) -> Vec<String> {
    let mut broken = Vec::new();
    let names: Vec<String> = world.people.keys().cloned().collect();
    for _ in 0..ROUNDS {
        let mut calm = true;
        for name in &names {
            let (app, user) = (world.app(name), world.people[name].user);
            if let Some(user) = app.store.user(user).await.unwrap() {
                calm &= settle_down(app, &user).await.unwrap().last.steps.is_empty();
            }
        }
        if calm {
            break;
        }
        // What waits for another time: a throttled account, a refused step.
        world.clock.advance(chrono::TimeDelta::minutes(1));
    }
    for name in &names {
        let (app, user) = (world.app(name).clone(), world.people[name].user);
        if app.store.user(user).await.unwrap().is_none() {
            continue;
        }
        let before = emulator::with(&world.core, |core| core.writes.len());
        match tick(&app, user, Mode::Apply).await {
            Ok(last) if last.plan.steps.is_empty() => {}
            Ok(last) => broken
                .push(format!("{name} does not come to rest:\n{}", render::body(&last.plan, Lens::Owner, Length::All))),
            Err(error) => broken.push(format!("{name}: {error}")),
        }
        let after = emulator::with(&world.core, |core| core.writes.len());
        if after != before {
            broken.push(format!("{name}: {} writes without a change", after - before));
        }
    }
    broken
}
