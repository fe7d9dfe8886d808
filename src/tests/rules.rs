//! Rules of carrying out that one script cannot say: what somebody wants may change between the plan and its steps, and the process
//! may die, or an answer be lost, at every single one of them.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use serde_json::json;

use super::{scenario, world::World};
use crate::{
    controller::{apply, observe, queue::Scope},
    emulator::{self, settings::Settings},
    model::{
        calendar::Role,
        plan::{Outcome, Skip},
    },
    planner,
};

#[tokio::test]
async fn a_plan_made_before_somebody_wanted_something_else_is_not_carried_out() {
    for wish in ["leave", "pause", "flow"] {
        let mut world = World::new().await;
        let calendars = [("home", "ada@home.example", Role::Main), ("acme", "ada@acme.example", Role::Client)]
            .map(|(name, address, role)| (name.to_owned(), address.to_owned(), address.to_owned(), role));
        world.add("ada", 1, &calendars).await;
        let event = json!({
            "id": "kickoff",
            "summary": "Kick-off",
            "start": {"dateTime": "2026-03-02T09:00:00Z"},
            "end": {"dateTime": "2026-03-02T10:00:00Z"},
        });
        assert_eq!(world.as_person("acme", "POST", "/events", event).await.0, 200);
        let (app, id) = (world.app("ada"), world.people["ada"].user);
        let user = app.store.user(id).await.unwrap().unwrap();
        let freshness = observe::observe(app, &user, &Scope::all(), true).await.unwrap().freshness;
        let snapshot = app.store.snapshot(id, &freshness, app.policy.clone()).await.unwrap();
        let plan = planner::plan(&snapshot);
        assert_eq!(plan.steps.len(), 1);
        let journal = app.store.record_plan(&plan, None).await.unwrap();
        let rows = app.store.calendars_of(id).await.unwrap();
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        match wish {
            "leave" => app.store.leave_calendar(id, row("acme").number).await.unwrap(),
            "pause" => app.store.pause_all(true).await.unwrap(),
            _ => {
                app.store.drop_flow(id, &row("acme").id, &row("home").id).await.unwrap();
                app.store.approve(id, &[]).await.unwrap();
            }
        }
        let outcomes = apply::apply(app, &user, &snapshot, &plan, journal).await.unwrap();
        assert_eq!(outcomes, [Outcome::Skipped(Skip::Superseded)], "{wish}");
        let ours = emulator::with(&world.core, |core| {
            let calls =
                core.writes.iter().filter(|r| r.header("user-agent").is_some_and(|a| a.starts_with("busybridge")));
            calls.count()
        });
        assert_eq!(ours, 0, "{wish}: nothing was written");
        assert_eq!(app.store.mappings(id).await.unwrap(), BTreeMap::new(), "{wish}");
    }
}

/// What the design of answers rests on: an organizer who is the only guest of the own event may answer it, and nobody else
/// hears of it.
#[tokio::test]
async fn an_organizer_alone_with_the_own_answer_invites_nobody() {
    let mut world = World::new().await;
    let home = [("home".to_owned(), "ada@home.example".to_owned(), "ada@home.example".to_owned(), Role::Main)];
    world.add("ada", 1, &home).await;
    let event = json!({
        "id": "c0000000",
        "summary": "Copy",
        "start": {"dateTime": "2026-03-02T09:00:00Z"},
        "end": {"dateTime": "2026-03-02T10:00:00Z"},
        "attendees": [{"email": "ada@home.example", "responseStatus": "needsAction"}],
    });
    let (status, made) = world.as_person("home", "POST", "/events?sendUpdates=none", event).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!((&made["organizer"]["self"], &made["attendees"][0]["self"]), (&json!(true), &json!(true)));
    for answer in ["accepted", "declined", "tentative"] {
        let body = json!({"attendees": [{"email": "ada@home.example", "responseStatus": answer}]});
        let (status, seen) = world.as_person("home", "PATCH", "/events/c0000000?sendUpdates=none", body).await;
        assert_eq!(status, 200, "{seen}");
        assert_eq!(seen["attendees"][0]["responseStatus"], answer);
        assert_eq!(seen["status"], "confirmed", "it stays on the calendar whatever the answer");
    }
    let others = emulator::with(&world.core, |core| {
        let calendars = core.world.calendars.values().filter(|calendar| calendar.id != "ada@home.example");
        calendars.map(|calendar| calendar.events.len()).sum::<usize>()
    });
    assert_eq!(others, 0);
}

/// A busy world, in which everything is in sync.
const WORLD: &str = "\
world
main home ada@home.example
client acme ada@acme.example
client globex ada@globex.example
personal own ada@gmail.example
----

google acme insert kickoff
when 2026-03-02 09:00–10:00
title Kick-off
----

google acme insert standup
when 2026-03-02 11:00–11:30
title Standup
repeat RRULE:FREQ=WEEKLY;COUNT=3
----

google acme edit standup@2026-03-09
when 2026-03-09 14:00–14:30
----

google globex insert review
when 2026-03-03 09:00–10:00
title Review
invited-by boss@globex.example
guest boss@globex.example accepted
guest ada@globex.example needsAction
----

google home insert lunch
when 2026-03-02 12:00–13:00
title Lunch
----

google own insert dentist
when 2026-03-02 15:00–16:00
title Dentist
----

settle
----

";

/// What then happens, each with a name.
const DEEDS: [(&str, &str); 5] = [
    ("a calendar is left", "disconnect acme\n----\n\n"),
    ("another main calendar is chosen", "choose-main office ada@office.example\n----\n\n"),
    ("a user is removed", "remove-user\n----\n\n"),
    (
        "things change at every end",
        "google acme edit kickoff\nwhen 2026-03-02 10:00–11:00\n----\n\n\
         google acme delete standup@2026-03-16\n----\n\n\
         google own delete dentist\n----\n\n\
         google home insert walk\nwhen 2026-03-04 12:00–13:00\ntitle Walk\n----\n\n",
    ),
    (
        "a person lays hands on copies",
        "google home edit \"Kick-off\"\nwhen 2026-03-02 16:00–17:00\n----\n\n\
         google home edit \"Standup\"@2026-03-16\ntitle Retrospective\n----\n\n\
         google home decline \"🔒 Review\"\n----\n\n\
         google home delete \"Standup\"@2026-03-02\n----\n\n",
    ),
];

const END: &str =
    "settle\n----\n\ncalendar acme\n----\n\ncalendar globex\n----\n\ncalendar home\n----\n\ncalendar own\n----\n\n";

/// What all calendars show in the end.
async fn ending(deed: &str, trouble: &str) -> String {
    let script = format!("{WORLD}{deed}{trouble}{END}");
    let out = scenario::run(&script, &Settings::default()).await;
    out[out.find("calendar acme\n").expect("the end")..].to_owned()
}

/// Each trouble in a world of its own, some at a time: most of it is waiting. The standing invariants are judged after each, too.
async fn comes_to_the_same_end(deed: (&str, &str), troubles: Vec<(String, String)>) {
    let (name, deed) = deed;
    let expected = ending(deed, "").await;
    let ends = stream::iter(troubles).map(async |(told, trouble)| (told, ending(deed, &trouble).await));
    let ends: Vec<(String, String)> = ends.buffer_unordered(6).collect().await;
    for (told, end) in ends {
        assert_eq!(end, expected, "{name}, and {told}");
    }
}

#[tokio::test]
async fn a_process_that_dies_at_any_step_comes_to_the_same_end() {
    for deed in DEEDS {
        let dies = |step: usize| (format!("the process dies after step {step}"), format!("crash {step}\n----\n\n"));
        comes_to_the_same_end(deed, (1..=8).map(dies).collect()).await;
    }
}

#[tokio::test]
async fn an_answer_lost_at_any_write_comes_to_the_same_end() {
    for deed in DEEDS {
        let mut troubles = Vec::new();
        for kind in ["drop_after", "drop_before"] {
            for (method, nth) in ["POST", "PATCH", "DELETE"].into_iter().flat_map(|m| (1..=2).map(move |n| (m, n))) {
                let fault = json!({"kind": kind, "method": method, "path": "/calendars/", "nth": nth});
                let trouble = format!("fault {fault}\n----\n\ntick\n----\n\n");
                troubles.push((format!("{kind} strikes {method} number {nth}"), trouble));
            }
        }
        comes_to_the_same_end(deed, troubles).await;
    }
}
