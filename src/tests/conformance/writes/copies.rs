//! Section G: guests and their copies.

use serde_json::{Value, json};

use super::{ADA, BOB, answer_of, invitation, meeting_with, with_fields};
use crate::{
    emulator::{settings::Settings, split, state::Account},
    tests::conformance::Google,
};

const CLEO: &str = "ada@home.example";

/// An invitation of bob@acme.example and ada@home.example by ada@acme.example.
fn round(id: &str) -> Value {
    meeting_with(id, json!({"attendees": [{"email": BOB}, {"email": CLEO}]}))
}

/// How many changes bob@acme.example's calendar has seen.
fn bobs_change(google: &Google, id: &str) -> u64 {
    google.core(|core| core.world.calendars[BOB].events[id].change)
}

#[tokio::test]
async fn g01_a_guest_gets_a_copy_with_the_same_ids() {
    let google = Google::start().await;
    let event = google.insert(invitation("abcde")).await;
    let copy = google.bobs("abcde").await;
    for name in ["id", "iCalUID", "summary", "start", "end", "status", "sequence"] {
        assert_eq!(copy[name], event[name], "{name}");
    }
    assert_eq!(copy["organizer"]["email"], ADA);
    assert_eq!(copy["creator"]["email"], ADA);
}

#[tokio::test]
async fn g01_an_id_that_the_guest_uses_already_is_not_overwritten() {
    let google = Google::start().await;
    google.bob("POST", "", super::meeting("abcde", "Mine")).await;
    google.insert(invitation("abcde")).await;
    assert_eq!(google.bobs("abcde").await["summary"], "Mine");
    let uids = google.core(|core| {
        let events = core.world.calendars[BOB].events.values();
        events.filter(|e| e.text("iCalUID") == Some("abcde@google.com")).count()
    });
    assert_eq!(uids, 2, "his own, and the invitation under another id");
}

fn known_senders_only() -> Settings {
    Settings { known_senders_only: [CLEO.to_owned()].into(), ..Settings::default() }
}

#[tokio::test]
async fn g02_an_unknown_senders_invitation_appears_when_it_is_answered() {
    let google = Google::with_settings(known_senders_only()).await;
    google.insert(round("abcde")).await;
    let path = "calendars/primary/events/abcde";
    assert_eq!(google.call(CLEO, "GET", path, Value::Null).await.status, 404);
    google.patch("abcde", json!({"summary": "Other"})).await;
    assert_eq!(google.call(CLEO, "GET", path, Value::Null).await.status, 404);
    let request = crate::emulator::http::Request {
        method: "POST".into(),
        query: vec![("status".into(), "tentative".into())],
        ..Default::default()
    };
    let segments = ["calendars", CLEO, "events", "abcde", "answer"];
    assert_eq!(google.core(|core| split::control(core, &segments, &request)).unwrap().status, 200);
    assert_eq!(answer_of(&google.call(CLEO, "GET", path, Value::Null).await.json, CLEO), "tentative");
    assert_eq!(answer_of(&google.read("abcde").await, CLEO), "tentative");
}

#[tokio::test]
async fn g03_the_organizers_changes_reach_the_copy() {
    let google = Google::start().await;
    google.insert(invitation("abcde")).await;
    let before = bobs_change(&google, "abcde");
    let new =
        google.patch("abcde", json!({"end": {"dateTime": "2026-03-02T11:00:00+01:00"}, "location": "Room"})).await;
    let copy = google.bobs("abcde").await;
    assert_eq!((&copy["end"], &copy["location"], &copy["sequence"]), (&new["end"], &json!("Room"), &json!(1)));
    assert!(bobs_change(&google, "abcde") > before, "his delta shows it");
    // What is the organizer's alone does not even touch the copy.
    let before = bobs_change(&google, "abcde");
    google.patch("abcde", json!({"colorId": "3", "reminders": {"useDefault": false}})).await;
    google.patch("abcde", json!({"transparency": "transparent", "extendedProperties": {"private": {"a": "1"}}})).await;
    assert_eq!(bobs_change(&google, "abcde"), before);
}

#[tokio::test]
async fn g03_guests_come_and_go_with_the_list() {
    let google = Google::start().await;
    google.insert(invitation("abcde")).await;
    google.patch("abcde", json!({"attendees": [{"email": CLEO}]})).await;
    assert_eq!(google.bobs("abcde").await["status"], "cancelled");
    let path = "calendars/primary/events/abcde";
    assert_eq!(google.call(CLEO, "GET", path, Value::Null).await.json["status"], "confirmed");
    google.patch("abcde", json!({"attendees": [{"email": BOB}, {"email": CLEO}]})).await;
    assert_eq!(google.bobs("abcde").await["status"], "confirmed");
}

#[tokio::test]
async fn g04_an_answer_reaches_the_organizer_and_the_other_guests() {
    let google = Google::start().await;
    google.insert(round("abcde")).await;
    let mut attendees = google.bobs("abcde").await["attendees"].clone();
    attendees[0]["responseStatus"] = "accepted".into();
    attendees[0]["comment"] = "With pleasure".into();
    assert_eq!(google.bob("PATCH", "/abcde", json!({"attendees": attendees})).await.status, 200);
    let organizers = google.read("abcde").await;
    assert_eq!(answer_of(&organizers, BOB), "accepted");
    assert_eq!(organizers["attendees"][0]["comment"], "With pleasure");
    let cleos = google.call(CLEO, "GET", "calendars/primary/events/abcde", Value::Null).await.json;
    assert_eq!(answer_of(&cleos, BOB), "accepted");
    assert_eq!(answer_of(&cleos, CLEO), "needsAction");
}

#[tokio::test]
async fn g05_a_guests_edit_stays_on_the_guests_copy_until_the_organizer_overwrites_it() {
    let google = Google::start().await;
    google.insert(round("abcde")).await;
    google.bob("PATCH", "/abcde", json!({"summary": "Bob's name for it"})).await;
    assert_eq!(google.read("abcde").await["summary"], "Review");
    // Another guest's answer is no reason to undo it.
    let attendees = json!([{"email": BOB}, {"email": CLEO, "responseStatus": "accepted"}]);
    google.call(CLEO, "PATCH", "calendars/primary/events/abcde", json!({"attendees": attendees})).await;
    let copy = google.bobs("abcde").await;
    assert_eq!((&copy["summary"], answer_of(&copy, CLEO)), (&json!("Bob's name for it"), "accepted"));
    google.patch("abcde", json!({"summary": "Ada's new name"})).await;
    assert_eq!(google.bobs("abcde").await["summary"], "Ada's new name");
}

#[tokio::test]
async fn g05_with_guests_can_modify_a_guests_edit_reaches_everybody() {
    for guest_edits_flow in [true, false] {
        let google = Google::with_settings(Settings { guest_edits_flow, ..Settings::default() }).await;
        google.insert(with_fields(round("abcde"), json!({"guestsCanModify": true}))).await;
        google.bob("PATCH", "/abcde", json!({"summary": "Better", "colorId": "3"})).await;
        let expected = if guest_edits_flow { "Better" } else { "Review" };
        let organizers = google.read("abcde").await;
        assert_eq!((&organizers["summary"], organizers.get("colorId")), (&json!(expected), None));
        let cleos = google.call(CLEO, "GET", "calendars/primary/events/abcde", Value::Null).await.json;
        assert_eq!((&cleos["summary"], cleos.get("colorId")), (&json!(expected), None));
    }
}

#[tokio::test]
async fn g06_what_belongs_to_a_copy_stays_there() {
    let google = Google::start().await;
    google.insert(invitation("abcde")).await;
    let before = google.read("abcde").await;
    let own = json!({
        "reminders": {"useDefault": false}, "colorId": "7", "transparency": "transparent",
        "extendedProperties": {"private": {"mine": "1"}},
    });
    google.bob("PATCH", "/abcde", own.clone()).await;
    assert_eq!(google.read("abcde").await, before, "not even the etag");
    google.patch("abcde", json!({"summary": "Other"})).await;
    let copy = google.bobs("abcde").await;
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&copy[name], value, "{name}");
    }
}

#[tokio::test]
async fn g07_a_guest_cannot_change_what_guests_may_do() {
    let google = Google::start().await;
    google.insert(invitation("abcde")).await;
    let before = google.everything();
    for change in [
        json!({"guestsCanModify": true}),
        json!({"guestsCanInviteOthers": false}),
        json!({"guestsCanSeeOtherGuests": false}),
    ] {
        let answer = google.bob("PATCH", "/abcde", change).await;
        assert_eq!((answer.status, answer.reason()), (403, "forbiddenForNonOrganizer"));
        assert_eq!(answer.json["error"]["errors"][0]["domain"], "calendar");
    }
    assert_eq!(google.everything(), before);
}

#[tokio::test]
async fn g08_a_put_that_leaves_them_out_asks_for_the_defaults() {
    let google = Google::start().await;
    google.insert(with_fields(invitation("abcde"), json!({"guestsCanInviteOthers": false}))).await;
    let answer = google.bob("PUT", "/abcde", invitation("abcde")).await;
    assert_eq!((answer.status, answer.reason()), (403, "forbiddenForNonOrganizer"));
    let whole = with_fields(invitation("abcde"), json!({"guestsCanInviteOthers": false}));
    assert_eq!(google.bob("PUT", "/abcde", whole).await.status, 200);
}

#[tokio::test]
async fn g09_a_guest_who_deletes_declines() {
    let google = Google::start().await;
    google.insert(round("abcde")).await;
    assert_eq!(google.bob("DELETE", "/abcde", Value::Null).await.status, 204);
    let copy = google.bobs("abcde").await;
    assert_eq!((&copy["status"], answer_of(&copy, BOB)), (&json!("cancelled"), "declined"));
    let organizers = google.read("abcde").await;
    assert_eq!((&organizers["status"], answer_of(&organizers, BOB)), (&json!("confirmed"), "declined"));
    // It does not come back with the next change.
    google.patch("abcde", json!({"summary": "Other"})).await;
    assert_eq!(google.bobs("abcde").await["status"], "cancelled");
}

#[tokio::test]
async fn g10_the_organizers_deletion_reaches_every_copy_and_so_does_a_revival() {
    let google = Google::start().await;
    google.insert(round("abcde")).await;
    google.ada("DELETE", "/abcde", Value::Null).await;
    let cleos = || async { google.call(CLEO, "GET", "calendars/primary/events/abcde", Value::Null).await.json };
    assert_eq!(
        (&google.bobs("abcde").await["status"], &cleos().await["status"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    google.patch("abcde", json!({"status": "confirmed"})).await;
    assert_eq!(
        (&google.bobs("abcde").await["status"], &cleos().await["status"]),
        (&json!("confirmed"), &json!("confirmed"))
    );
}

#[tokio::test]
async fn g11_self_means_the_calendar_of_the_copy() {
    let google = Google::start().await;
    google.insert(invitation("abcde")).await;
    google.core(|core| {
        let acl = &mut core.world.calendars.get_mut(BOB).unwrap().acl;
        acl.insert(ADA.into(), crate::emulator::state::Role::Writer);
    });
    let seen = google.call(ADA, "PATCH", &format!("calendars/{BOB}/events/abcde"), json!({"colorId": "2"})).await.json;
    let selves: Vec<&str> = seen["attendees"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["self"] == true)
        .map(|a| a["email"].as_str().unwrap())
        .collect();
    assert_eq!(selves, [BOB]);
    assert_eq!(seen["organizer"].get("self"), None);
    assert_eq!(google.read("abcde").await["organizer"]["self"], true);
}

#[tokio::test]
async fn g12_with_attendees_omitted_only_the_participants_answer_counts() {
    let google = Google::start().await;
    google.insert(round("abcde")).await;
    let body = json!({"attendeesOmitted": true, "attendees": [{"email": BOB, "responseStatus": "tentative"}]});
    let patched = google.bob("PATCH", "/abcde", body).await.json;
    assert_eq!(patched["attendees"].as_array().unwrap().len(), 2);
    assert_eq!((answer_of(&patched, BOB), answer_of(&patched, CLEO)), ("tentative", "needsAction"));
    assert_eq!(answer_of(&google.read("abcde").await, BOB), "tentative");
}

#[tokio::test]
async fn g13_a_service_account_cannot_invite() {
    let google = Google::start().await;
    let robot = "robot@project.iam.gserviceaccount.com";
    google.core(|core| {
        let account = Account { email: robot.into(), name: "Robot".into(), sub: "900".into(), hosted_domain: None };
        core.world.add_account(account, "UTC");
    });
    let path = "calendars/primary/events";
    let answer = google.call(robot, "POST", path, invitation("abcde")).await;
    assert_eq!((answer.status, answer.reason()), (403, "forbiddenForServiceAccounts"));
    assert_eq!(google.call(robot, "POST", path, super::meeting("abcde", "Alone")).await.status, 200);
}

#[tokio::test]
async fn g14_nothing_flows_from_or_to_a_private_copy() {
    let google = Google::start().await;
    google.insert(with_fields(invitation("abcde"), json!({"privateCopy": true}))).await;
    assert_eq!(google.bob("GET", "/abcde", Value::Null).await.status, 404);
    google.patch("abcde", json!({"summary": "Other", "privateCopy": false})).await;
    assert_eq!(google.read("abcde").await["privateCopy"], true, "it is immutable");
    assert_eq!(google.bob("GET", "/abcde", Value::Null).await.status, 404);
    // A guest's imported copy does not answer the organizer.
    google.insert(invitation("fghij")).await;
    let import = json!({
        "iCalUID": "else@ada.example", "organizer": {"email": ADA}, "attendees": [{"email": BOB, "responseStatus": "accepted"}],
        "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"},
    });
    let id = google.bob("POST", "/import", import).await.json["id"].as_str().unwrap().to_owned();
    let before = google.core(|core| format!("{:?}", core.world.calendars[ADA].events));
    assert_eq!(google.bob("DELETE", &format!("/{id}"), Value::Null).await.status, 204);
    assert_eq!(google.core(|core| format!("{:?}", core.world.calendars[ADA].events)), before);
}

#[tokio::test]
async fn g15_the_source_is_its_creators() {
    let google = Google::start().await;
    let source = json!({"source": {"url": "https://ada.example", "title": "Ada"}});
    google.insert(super::meeting_with("abcde", source.clone())).await;
    google.core(|core| {
        let acl = &mut core.world.calendars.get_mut(ADA).unwrap().acl;
        acl.insert(BOB.into(), crate::emulator::state::Role::Writer);
    });
    let path = format!("calendars/{ADA}/events/abcde");
    let answer = google.call(BOB, "PATCH", &path, json!({"source": {"title": "Bob"}})).await;
    assert_eq!((answer.status, answer.reason()), (403, "forbiddenForNonCreator"));
    // A PUT by somebody who cannot see it does not remove it.
    assert_eq!(google.call(BOB, "PUT", &path, super::meeting("abcde", "Review")).await.status, 200);
    assert_eq!(google.read("abcde").await["source"], source["source"]);
    assert_eq!(google.patch("abcde", json!({"source": {"title": "New"}})).await["source"]["title"], "New");
}

#[tokio::test]
async fn g17_an_answer_given_for_a_cautious_guest_is_reset() {
    let google = Google::with_settings(known_senders_only()).await;
    let attendees =
        json!([{"email": BOB, "responseStatus": "accepted"}, {"email": CLEO, "responseStatus": "accepted"}]);
    let event = google.insert(meeting_with("abcde", json!({"attendees": attendees}))).await;
    assert_eq!((answer_of(&event, BOB), answer_of(&event, CLEO)), ("accepted", "needsAction"));
}

#[tokio::test]
async fn g18_guests_who_may_not_see_others_see_themselves_and_the_organizer() {
    let google = Google::start().await;
    let attendees = json!([{"email": BOB}, {"email": CLEO}, {"email": ADA, "responseStatus": "accepted"}]);
    google.insert(meeting_with("abcde", json!({"attendees": attendees, "guestsCanSeeOtherGuests": false}))).await;
    let emails = |event: &Value| {
        let list = event["attendees"].as_array().unwrap().iter();
        list.map(|a| a["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(emails(&google.bobs("abcde").await), [BOB, ADA]);
    google.bob("PATCH", "/abcde", json!({"attendees": [{"email": BOB, "responseStatus": "accepted"}]})).await;
    let organizers = google.read("abcde").await;
    assert_eq!(emails(&organizers), [BOB, CLEO, ADA], "and they take nobody off the list");
    assert_eq!(answer_of(&organizers, BOB), "accepted");
    assert_eq!(emails(&google.bobs("abcde").await), [BOB, ADA]);
}
