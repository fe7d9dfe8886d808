//! An oracle that is not the planner: random worlds on the emulator, over HTTP, and then a look at what every calendar shows.
//! `ORACLE_SEED` and `ORACLE_WORLDS` choose others, and more.
//!
//! Series are listed unexpanded and expanded here by the `rrule` crate alone; neither the planner, which never expands, nor the
//! emulator's own expansion is asked.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::world::World;
use crate::{
    cli::reconcile::settle_down,
    controller::tick::{Extent, Mode, tick, tick_within},
    emulator::settings::{ExceptionShift, Settings},
    model::{calendar::Role, plan::Outcome},
    simulation::shown::{Shown, expand, union},
};

/// A generator of choices: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn of<T: Copy>(&mut self, things: &[T]) -> T {
        things[usize::try_from(self.roll(things.len() as u64)).unwrap()]
    }
}

const NAMES: [&str; 4] = ["home", "acme", "globex", "own"];
/// What people write on a calendar begins with its name, so that a leak can be found.
const WORD: &str = "secret-of-";

/// Everything on a calendar as Google lists it, unexpanded.
async fn listed(world: &World, calendar: &str) -> Vec<Value> {
    let (status, answer) = world.as_person(calendar, "GET", "/events?maxResults=2500", Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    answer["items"].as_array().cloned().unwrap_or_default()
}

fn is_ours(item: &Value) -> bool {
    item["extendedProperties"]["private"]["calendarSyncEngine"] == "true"
}

/// A random event of a person.
fn event(dice: &mut Dice, calendar: &str, number: u32) -> Value {
    let day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap() + TimeDelta::days(i64::try_from(dice.roll(30)).unwrap());
    let mut event = json!({
        "id": format!("event{number:05}"),
        "summary": format!("{WORD}{calendar} {number}"),
        "description": format!("{WORD}{calendar} text"),
        "location": format!("{WORD}{calendar} place"),
    });
    let days = dice.roll(4) == 0;
    let zone = dice.of(&["Europe/Vienna", "America/New_York"]);
    if days {
        let length = 1 + i64::try_from(dice.roll(2)).unwrap();
        event["start"] = json!({"date": day.to_string()});
        event["end"] = json!({"date": (day + TimeDelta::days(length)).to_string()});
    } else {
        let hour = 7 + dice.roll(10);
        event["start"] = json!({"dateTime": format!("{day}T{hour:02}:00:00"), "timeZone": zone});
        event["end"] = json!({"dateTime": format!("{day}T{hour:02}:45:00"), "timeZone": zone});
    }
    if dice.roll(3) == 0 {
        let until = if days { "20260405" } else { "20260405T120000Z" };
        let rules = [
            "RRULE:FREQ=WEEKLY".to_owned(),
            format!("RRULE:FREQ=DAILY;INTERVAL=2;UNTIL={until}"),
            "RRULE:FREQ=WEEKLY;COUNT=4".to_owned(),
        ];
        let rule = &rules[usize::try_from(dice.roll(3)).unwrap()];
        event["recurrence"] = json!([rule]);
    }
    if dice.roll(5) == 0 {
        event["transparency"] = json!("transparent");
    }
    event
}

/// Somebody does something on one of the calendars.
async fn act(world: &World, dice: &mut Dice, number: u32) -> String {
    let calendar = dice.of(&NAMES);
    let theirs: Vec<Value> = listed(world, calendar)
        .await
        .into_iter()
        .filter(|item| !is_ours(item) && item["status"] != "cancelled" && item["recurringEventId"].is_null())
        .collect();
    let choice = dice.roll(8);
    if theirs.is_empty() || choice < 4 {
        let mut body = event(dice, calendar, number);
        if dice.roll(7) == 0 {
            // One meeting to which the person is invited at two addresses.
            let mut told = format!("both {body}");
            for name in NAMES {
                if dice.roll(2) == 0 {
                    continue;
                }
                let place = world.place(name).id.clone();
                let answer = dice.of(&["declined", "accepted", "accepted"]);
                body["summary"] = json!("Summit");
                for field in ["description", "location", "transparency"] {
                    body.as_object_mut().unwrap().remove(field);
                }
                body["iCalUID"] = json!(format!("summit{number}@google.com"));
                body["organizer"] = json!({"email": "boss@elsewhere.example"});
                body["attendees"] =
                    json!([{"email": place, "responseStatus": answer}, {"email": "boss@elsewhere.example"}]);
                let fields = body.as_object().unwrap().clone();
                crate::emulator::with(&world.core, |core| {
                    crate::emulator::write::seed(&mut core.world, &place, fields)
                })
                .unwrap();
                told = format!("{told} {name}: {answer}");
            }
            return told;
        }
        if dice.roll(6) == 0 {
            // An invitation, declined or accepted.
            let place = world.place(calendar).id.clone();
            let answer = dice.of(&["declined", "accepted"]);
            body["organizer"] = json!({"email": "boss@elsewhere.example"});
            body["attendees"] =
                json!([{"email": place, "responseStatus": answer}, {"email": "boss@elsewhere.example"}]);
            let fields = body.as_object().unwrap().clone();
            crate::emulator::with(&world.core, |core| crate::emulator::write::seed(&mut core.world, &place, fields))
                .unwrap();
        } else {
            let (status, answer) = world.as_person(calendar, "POST", "/events", body.clone()).await;
            assert_eq!(status, 200, "{answer}");
        }
        return format!("{calendar} insert {body}");
    }
    let item = theirs[usize::try_from(dice.roll(theirs.len() as u64)).unwrap()].clone();
    let mut id = item["id"].as_str().unwrap().to_owned();
    if item["recurrence"].is_array() && choice < 7 {
        let path = format!("/events/{id}/instances?maxResults=4");
        let (_, answer) = world.as_person(calendar, "GET", &path, Value::Null).await;
        let instances = answer["items"].as_array().cloned().unwrap_or_default();
        if let Some(instance) = instances.get(usize::try_from(dice.roll(4)).unwrap()) {
            id = instance["id"].as_str().unwrap().to_owned();
        }
    }
    let path = format!("/events/{id}");
    let (method, body) = match dice.roll(4) {
        0 => ("DELETE", Value::Null),
        1 => ("PATCH", json!({"transparency": dice.of(&["transparent", "opaque"])})),
        2 => ("PATCH", json!({"summary": format!("{WORD}{calendar} again {number}")})),
        // A series becomes single, and a single event repeats. A guest's own calendar cannot do that to a meeting.
        _ if !id.contains('_') && item["attendees"].is_null() && dice.roll(3) == 0 => {
            let rule = item["recurrence"].is_null().then(|| json!(["RRULE:FREQ=WEEKLY;COUNT=6"]));
            ("PATCH", json!({"recurrence": rule}))
        }
        _ if item["start"]["date"].is_string() => ("PATCH", json!({"colorId": "3"})),
        _ if id.contains('_') || item["recurrence"].is_null() => {
            let hour = 7 + dice.roll(10);
            let time = |minute: u32| json!({"dateTime": format!("2026-03-20T{hour:02}:{minute:02}:00"), "timeZone": "Europe/Vienna"});
            ("PATCH", json!({"start": time(0), "end": time(30)}))
        }
        _ => ("PATCH", json!({"location": format!("{WORD}{calendar} elsewhere")})),
    };
    let (status, answer) = world.as_person(calendar, method, &path, body.clone()).await;
    assert!(status < 300, "{calendar} {method} {id}: {answer}");
    format!("{calendar} {method} {id} {body}")
}

/// Somebody lays hands on something of ours: on a copy at home, whose origin is then to follow, or on a block, which is put back.
async fn meddle(world: &World, dice: &mut Dice, number: u32) -> Option<String> {
    let calendar = dice.of(&["home", "home", "acme", "globex"]);
    let mine: Vec<Value> = listed(world, calendar)
        .await
        .into_iter()
        .filter(|item| is_ours(item) && item["status"] != "cancelled" && item["recurringEventId"].is_null())
        .collect();
    if mine.is_empty() {
        return None;
    }
    let item = mine[usize::try_from(dice.roll(mine.len() as u64)).unwrap()].clone();
    let mut id = item["id"].as_str().unwrap().to_owned();
    if item["recurrence"].is_array() && dice.roll(3) > 0 {
        let (_, answer) =
            world.as_person(calendar, "GET", &format!("/events/{id}/instances?maxResults=4"), Value::Null).await;
        let instances = answer["items"].as_array().cloned().unwrap_or_default();
        let instance = instances.get(usize::try_from(dice.roll(4)).unwrap())?;
        id = instance["id"].as_str().unwrap().to_owned();
    }
    let title = item["summary"].as_str().unwrap_or_default();
    let origin = ["acme", "globex"].into_iter().find(|name| title.contains(&format!("{WORD}{name}")));
    let (method, body) = match (dice.roll(5), origin) {
        (0, _) => ("DELETE", Value::Null),
        (1, Some(origin)) => ("PATCH", json!({"summary": format!("{WORD}{origin} by hand {number}")})),
        (2, Some(origin)) => ("PATCH", json!({"location": format!("{WORD}{origin} by hand {number}")})),
        (3, Some(_)) if item["attendees"].is_array() => {
            let answer = dice.of(&["accepted", "declined", "tentative"]);
            let own = world.place(calendar).id.clone();
            ("PATCH", json!({"attendees": [{"email": own, "responseStatus": answer}]}))
        }
        _ if item["start"]["date"].is_string() => {
            ("PATCH", json!({"transparency": dice.of(&["transparent", "opaque"])}))
        }
        _ if id.contains('_') || item["recurrence"].is_null() => {
            let (day, hour) = (3 + dice.roll(25), 7 + dice.roll(10));
            let time = |minute: u32| {
                let at = format!("2026-03-{day:02}T{hour:02}:{minute:02}:00");
                json!({"dateTime": at, "timeZone": "Europe/Vienna"})
            };
            ("PATCH", json!({"start": time(0), "end": time(40)}))
        }
        _ => ("PATCH", json!({"colorId": "5"})),
    };
    let path = format!("/events/{id}");
    let (status, answer) = world.as_person(calendar, method, &path, body.clone()).await;
    assert!(status < 300 || status == 410, "{calendar} {method} {id}: {answer}");
    Some(format!("{calendar} {method} {id} {body} (ours: {title})"))
}

/// What a personal calendar holds, version by version.
async fn versions(world: &World, calendar: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    listed(world, calendar).await.iter().map(|item| (text(&item["id"]), text(&item["etag"]))).collect()
}

async fn compare(world: &World, history: &str) {
    let mut people = BTreeMap::new();
    let mut ours = BTreeMap::new();
    for name in NAMES {
        let items = listed(world, name).await;
        let raw = json!(items).to_string();
        for other in NAMES.iter().filter(|other| **other != name && (name != "home" || **other == "own")) {
            assert!(!raw.contains(&format!("{WORD}{other}")), "{name} tells of {other}{history}");
        }
        // Of a cancelled instance Google tells little more than its series.
        let marked: Vec<Value> = items.iter().filter(|item| is_ours(item)).map(|item| item["id"].clone()).collect();
        let (made, natural): (Vec<Value>, Vec<Value>) =
            items.into_iter().partition(|item| is_ours(item) || marked.contains(&item["recurringEventId"]));
        people.insert(name, expand(&natural));
        ours.insert(name, expand(&made));
    }
    // Where the person is natively, and not free, nothing of ours stands beside.
    let native = |target: &str, shown: &Shown| people[target].iter().any(|other| other.is(shown) && !other.free);
    let blocking = |target: &str, names: &[&str]| {
        let all = names.iter().flat_map(|name| &people[name]);
        union(all.filter(|shown| !shown.free && !native(target, shown)))
    };
    assert_eq!(union(&ours["acme"]), blocking("acme", &["home", "globex", "own"]), "acme{history}");
    assert_eq!(union(&ours["globex"]), blocking("globex", &["home", "acme", "own"]), "globex{history}");
    assert!(ours["own"].is_empty(), "the personal calendar is never written{history}");
    let (blocks, copies): (Vec<Shown>, Vec<Shown>) =
        ours["home"].iter().cloned().partition(|shown| shown.title.starts_with("[BusyBridge]"));
    // What a client shows at home in full needs no block for the same meeting of a personal calendar.
    let copied = |shown: &&Shown| {
        people["acme"].iter().chain(&people["globex"]).any(|other| other.is(shown) && !other.free)
            || native("home", shown)
    };
    let own = union(people["own"].iter().filter(|shown| !shown.free).filter(|shown| !copied(shown)));
    assert_eq!(union(&blocks), own, "personal blocks at home{history}");
    // Acme was connected first, and speaks for a meeting that both have; home's own is not copied.
    let here = |shown: &&Shown| !people["home"].iter().any(|other| other.is(shown));
    let first = |shown: &&Shown| !people["acme"].iter().any(|other| other.is(shown));
    let mut expected: Vec<Shown> = people["acme"].iter().filter(here).cloned().collect();
    expected.extend(people["globex"].iter().filter(here).filter(first).cloned());
    let told = |shown: &[Shown]| {
        let mut told: Vec<_> = shown.iter().map(|s| (s.start, s.end, s.title.clone(), s.free)).collect();
        told.sort();
        told
    };
    assert_eq!(told(&copies), told(&expected), "copies at home{history}");
}

#[tokio::test]
async fn each_clients_busy_time_is_the_union_of_blocking_time_elsewhere() {
    let number_of =
        |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let first = number_of("ORACLE_SEED", 0);
    for seed in first..first + number_of("ORACLE_WORLDS", 20) {
        let mut dice = Dice(seed);
        // What becomes of exceptions when their series moves is Google's affair; each is survived.
        let shift = dice.of(&[ExceptionShift::Orphan, ExceptionShift::Drop, ExceptionShift::Reanchor]);
        let settings = Settings { exception_on_master_shift: shift, ..Settings::default() };
        let mut world = World::with_settings(settings).await;
        let calendars = [
            ("home", "ada@home.example", Role::Main),
            ("acme", "ada@acme.example", Role::Client),
            ("globex", "ada@globex.example", Role::Client),
            ("own", "ada@gmail.example", Role::Personal),
        ]
        .map(|(name, address, role)| (name.to_owned(), address.to_owned(), address.to_owned(), role));
        world.add("ada", 1, &calendars).await;
        world.policy("ada").brake_count = usize::MAX;
        let mut history = format!("\nseed {seed}, {shift:?}");
        let mut number = 0;
        let mut calm = None;
        for _ in 0..3 {
            for _ in 0..4 + dice.roll(6) {
                number += 1;
                let done = match dice.roll(3) {
                    0 => meddle(&world, &mut dice, number).await,
                    _ => Some(act(&world, &mut dice, number).await),
                };
                if let Some(done) = done {
                    history = format!("{history}\n{done}");
                }
            }
            if dice.roll(8) == 0 {
                world.lose_database("ada", None).await;
                history = format!("{history}\nthe database is lost");
            }
            let user = world.people["ada"].user;
            let before = versions(&world, "own").await;
            let app = world.app("ada");
            // As the service does it: what the last tick found spares the next one the thinking.
            for round in 0.. {
                assert!(round < 20, "it does not come to rest{history}");
                let tick = tick_within(app, user, Mode::Apply, &Extent { calm, ..Extent::whole() }).await.unwrap();
                assert!(!tick.outcomes.iter().any(|o| matches!(o, Outcome::Failed { .. })), "{history}");
                calm = tick.calm;
                if tick.idle {
                    break;
                }
            }
            let quiet = tick(app, user, Mode::DryRun).await.unwrap().plan;
            assert!(!quiet.has_changes(), "{:?}{history}", quiet.steps);
            assert_eq!(versions(&world, "own").await, before, "the personal calendar is as people left it{history}");
            compare(&world, &history).await;
            // Tomorrow blocks are put back as patiently as today.
            world.clock.advance(TimeDelta::hours(25));
        }
        age(&mut world, &mut dice, &history).await;
    }
}

/// Months pass; what is forgotten meanwhile changes no plan, neither before Google is asked again nor after (reliability S15).
async fn age(world: &mut World, dice: &mut Dice, history: &str) {
    let user = world.people["ada"].user;
    for _ in 0..3 {
        world.clock.advance(TimeDelta::days(10 + i64::try_from(dice.roll(50)).unwrap()));
        let app = world.app("ada");
        let before = tick(app, user, Mode::Offline).await.unwrap().plan;
        let fresh = tick(app, user, Mode::DryRun).await.unwrap().plan;
        let forgotten = app.store.forget_old().await.unwrap();
        let after = tick(app, user, Mode::Offline).await.unwrap().plan;
        assert_eq!((&after.steps, &after.held), (&before.steps, &before.held), "{forgotten:?}{history}");
        let told = tick(app, user, Mode::DryRun).await.unwrap().plan;
        assert_eq!((&told.steps, &told.held), (&fresh.steps, &fresh.held), "{forgotten:?}{history}");
        assert!(!told.steps.iter().any(|step| step.action.writes()), "age asks for nothing: {:?}{history}", told.steps);
        let person = app.store.user(user).await.unwrap().unwrap();
        assert_eq!(settle_down(app, &person).await.unwrap().failed, 0, "{history}");
    }
}
