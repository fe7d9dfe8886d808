//! Rules of carrying out that a script cannot say: what somebody wants may change between the plan and its steps.

use std::collections::BTreeMap;

use serde_json::json;

use super::world::World;
use crate::{
    controller::{apply, observe},
    emulator,
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
        let freshness = observe::observe(app, &user, true).await.unwrap();
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
