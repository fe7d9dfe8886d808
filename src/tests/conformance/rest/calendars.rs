//! Section I: calendar lists, calendars, sharing, colours, settings.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{command, get, put, share};
use crate::tests::conformance::{Google, meeting, weekly};

const ADA: &str = "ada@acme.example";
const BOB: &str = "bob@acme.example";

/// A secondary calendar of Ada's.
async fn team(google: &Google) -> String {
    let body = json!({"summary": "Team", "description": "Who is where", "timeZone": "Europe/London"});
    let answer = google.call(ADA, "POST", "calendars", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["id"].as_str().unwrap().to_owned()
}

fn entry(id: &str) -> String {
    format!("users/me/calendarList/{}", url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>())
}

async fn delta(google: &Google, who: &str, token: &Value) -> crate::tests::conformance::Answer {
    get(google, who, &format!("users/me/calendarList?syncToken={}", token.as_str().unwrap())).await
}

#[tokio::test]
async fn i01_primary_is_the_accounts_own_calendar() {
    let google = Google::start().await;
    for who in [ADA, BOB] {
        assert_eq!(get(&google, who, "calendars/primary").await.json["id"], who);
        let item = get(&google, who, "users/me/calendarList/primary").await.json;
        assert_eq!((&item["id"], &item["primary"], &item["accessRole"]), (&json!(who), &json!(true), &json!("owner")));
        assert_eq!(item["timeZone"], "Europe/Vienna");
    }
    // Somebody else's primary is not one's own.
    share(&google, ADA, BOB, "reader").await;
    assert!(get(&google, BOB, &entry(ADA)).await.json.get("primary").is_none());
}

#[tokio::test]
async fn i02_a_calendar_that_one_cannot_see_does_not_exist() {
    let google = Google::start().await;
    put(&google, meeting("aaaaa", "a"));
    for (method, path, body) in [
        ("GET", "calendars/ada%40acme.example/events", Value::Null),
        ("GET", "calendars/ada%40acme.example/events/aaaaa", Value::Null),
        ("POST", "calendars/ada%40acme.example/events", meeting("bbbbb", "b")),
        ("PATCH", "calendars/ada%40acme.example/events/aaaaa", json!({"summary": "x"})),
        ("PUT", "calendars/ada%40acme.example/events/aaaaa", meeting("aaaaa", "x")),
        ("DELETE", "calendars/ada%40acme.example/events/aaaaa", Value::Null),
        ("GET", "calendars/nowhere/events", Value::Null),
        ("GET", "calendars/ada%40acme.example", Value::Null),
        ("GET", "calendars/ada%40acme.example/acl", Value::Null),
    ] {
        let answer = google.call(BOB, method, path, body).await;
        assert_eq!((answer.status, answer.reason()), (404, "notFound"), "{method} {path}");
    }
}

#[tokio::test]
async fn i04_a_removed_entry_comes_as_deleted_in_the_lists_delta() {
    let google = Google::start().await;
    share(&google, ADA, BOB, "reader").await;
    let full = get(&google, BOB, "users/me/calendarList").await;
    assert_eq!(full.ids(), [ADA, BOB]);
    assert_eq!(google.call(BOB, "DELETE", &entry(ADA), Value::Null).await.status, 204);
    let answer = delta(&google, BOB, &full.json["nextSyncToken"]).await;
    assert_eq!((answer.ids(), &answer.json["items"][0]["deleted"]), (vec![ADA], &json!(true)));
    assert_eq!(delta(&google, BOB, &answer.json["nextSyncToken"]).await.ids().len(), 0);
    assert_eq!(get(&google, BOB, "users/me/calendarList").await.ids(), [BOB]);
    assert_eq!(get(&google, BOB, "users/me/calendarList?showDeleted=true").await.ids(), [ADA, BOB]);
    assert_eq!(get(&google, BOB, &entry(ADA)).await.status, 404);
    // Access is still there, so the entry can come back.
    assert_eq!(google.call(BOB, "POST", "users/me/calendarList", json!({"id": ADA})).await.status, 200);
    assert_eq!(delta(&google, BOB, &answer.json["nextSyncToken"]).await.ids(), [ADA]);
    // One's own calendar stays.
    let own = google.call(BOB, "DELETE", "users/me/calendarList/primary", Value::Null).await;
    assert_eq!((own.status, own.reason()), (403, "cannotChangeOwnPrimarySubscription"));
}

#[tokio::test]
async fn a_deleted_calendar_and_lost_access_end_the_entry() {
    let google = Google::start().await;
    let id = team(&google).await;
    share(&google, &id, BOB, "writer").await;
    share(&google, ADA, BOB, "reader").await;
    let token = get(&google, BOB, "users/me/calendarList").await.json["nextSyncToken"].clone();
    assert_eq!(google.call(ADA, "DELETE", &format!("calendars/{id}"), Value::Null).await.status, 204);
    command(&google, "POST", "remove-access", json!({"calendar": ADA, "account": BOB})).await;
    let answer = delta(&google, BOB, &token).await;
    let mut gone = answer.ids();
    gone.sort();
    assert_eq!(gone, [ADA, id.as_str()]);
    assert!(answer.json["items"].as_array().unwrap().iter().all(|item| item["deleted"] == true));
    assert_eq!(google.call(BOB, "POST", "users/me/calendarList", json!({"id": ADA})).await.status, 404);
}

#[tokio::test]
async fn i05_a_hidden_entry_is_absent_unless_asked_for_or_in_a_delta() {
    let google = Google::start().await;
    let id = team(&google).await;
    let before = get(&google, ADA, "users/me/calendarList").await;
    assert!(before.json["items"].as_array().unwrap().iter().all(|item| item.get("hidden").is_none()));
    assert_eq!(google.call(ADA, "PATCH", &entry(&id), json!({"hidden": true})).await.json["hidden"], true);
    assert_eq!(get(&google, ADA, "users/me/calendarList").await.ids(), [ADA]);
    assert_eq!(get(&google, ADA, "users/me/calendarList?showHidden=true").await.ids(), [ADA, id.as_str()]);
    let answer = delta(&google, ADA, &before.json["nextSyncToken"]).await;
    assert_eq!((answer.ids(), &answer.json["items"][0]["hidden"]), (vec![id.as_str()], &json!(true)));
}

#[tokio::test]
async fn i06_a_sync_token_of_the_list_tolerates_no_filter() {
    let google = Google::start().await;
    let token = get(&google, ADA, "users/me/calendarList").await.json["nextSyncToken"].as_str().unwrap().to_owned();
    for filter in ["minAccessRole=reader", "showDeleted=false", "showHidden=false"] {
        let answer = get(&google, ADA, &format!("users/me/calendarList?syncToken={token}&{filter}")).await;
        assert_eq!(answer.status, 400, "{filter}");
    }
    for bad in ["garbage", "eyJraW5kIjoiYWNsIn0"] {
        let answer = get(&google, ADA, &format!("users/me/calendarList?syncToken={bad}")).await;
        assert_eq!((answer.status, answer.reason()), (400, "invalid"));
    }
    // Another account's token is none.
    assert_eq!(get(&google, BOB, &format!("users/me/calendarList?syncToken={token}")).await.status, 400);
    google.clock.advance(TimeDelta::days(7));
    let answer = get(&google, ADA, &format!("users/me/calendarList?syncToken={token}")).await;
    assert_eq!((answer.status, answer.reason()), (410, "fullSyncRequired"));
}

#[tokio::test]
async fn b30_a_role_alone_is_not_announced_by_the_lists_delta() {
    let google = Google::start().await;
    share(&google, ADA, BOB, "writer").await;
    let token = get(&google, BOB, "users/me/calendarList").await.json["nextSyncToken"].clone();
    share(&google, ADA, BOB, "reader").await;
    let answer = delta(&google, BOB, &token).await;
    assert_eq!(answer.ids().len(), 0, "{}", answer.text);
    assert_eq!(get(&google, BOB, &entry(ADA)).await.json["accessRole"], "reader");
}

#[tokio::test]
async fn b09_a_change_of_access_ends_the_calendars_sync_tokens() {
    let google = Google::start().await;
    for (role, expect) in [("reader", 410), ("reader", 200), ("writer", 410), ("none", 410)] {
        let token = google.list("").await.json["nextSyncToken"].as_str().unwrap().to_owned();
        let rule = json!({"scope": {"type": "user", "value": BOB}, "role": role});
        assert_eq!(google.call(ADA, "POST", "calendars/primary/acl", rule).await.status, 200);
        // The same role once more is no change.
        let answer = google.list(&format!("syncToken={token}")).await;
        assert_eq!(answer.status, expect, "{role}: {}", answer.text);
        assert!(expect == 200 || answer.reason() == "fullSyncRequired");
    }
}

#[tokio::test]
async fn the_list_pages_and_filters_by_access() {
    let google = Google::start().await;
    let mut ids = vec![ADA.to_owned()];
    for _ in 0..4 {
        ids.push(team(&google).await);
    }
    ids.sort();
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = get(&google, ADA, &format!("users/me/calendarList?maxResults=2{token}")).await;
        assert!(page.ids().len() <= 2);
        seen.extend(page.ids().into_iter().map(String::from));
        match page.json["nextPageToken"].as_str() {
            Some(next) => {
                assert!(page.json.get("nextSyncToken").is_none());
                token = format!("&pageToken={next}");
            }
            None => {
                assert!(page.json["nextSyncToken"].is_string());
                break;
            }
        }
    }
    assert_eq!(seen, ids);
    share(&google, ADA, BOB, "reader").await;
    assert_eq!(get(&google, BOB, "users/me/calendarList?minAccessRole=writer").await.ids(), [BOB]);
    for bad in ["maxResults=0", "pageToken=x", "minAccessRole=king", "showHidden=perhaps"] {
        assert_eq!(get(&google, BOB, &format!("users/me/calendarList?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn an_entry_keeps_its_own_name_and_colour() {
    let google = Google::start().await;
    let id = team(&google).await;
    let item = get(&google, ADA, &entry(&id)).await.json;
    assert_eq!(
        (&item["summary"], &item["dataOwner"], &item["description"]),
        (&json!("Team"), &json!(ADA), &json!("Who is where"))
    );
    let patched = google.call(ADA, "PATCH", &entry(&id), json!({"summaryOverride": "Us", "colorId": "8"})).await.json;
    assert_eq!((&patched["summaryOverride"], &patched["backgroundColor"]), (&json!("Us"), &json!("#16a765")));
    assert_eq!(google.call(ADA, "PATCH", &entry(&id), json!({"colorId": "99"})).await.status, 400);
    let rgb = json!({"backgroundColor": "#123456"});
    assert_eq!(google.call(ADA, "PATCH", &entry(&id), rgb.clone()).await.json["backgroundColor"], "#16a765");
    let path = format!("{}?colorRgbFormat=true", entry(&id));
    assert_eq!(google.call(ADA, "PATCH", &path, rgb).await.json["backgroundColor"], "#123456");
    // A PUT replaces all of it, and the calendar itself stays.
    let put = google.call(ADA, "PUT", &entry(&id), json!({"selected": true})).await.json;
    assert!(put.get("summaryOverride").is_none() && put["selected"] == true, "{put}");
    assert_eq!(get(&google, ADA, &format!("calendars/{id}")).await.json["summary"], "Team");
}

#[tokio::test]
async fn i07_only_its_data_owner_deletes_a_calendar() {
    let google = Google::start().await;
    let id = team(&google).await;
    share(&google, &id, BOB, "owner").await;
    let path = format!("calendars/{id}");
    let answer = google.call(BOB, "DELETE", &path, Value::Null).await;
    assert_eq!((answer.status, answer.reason()), (403, "forbidden"));
    assert_eq!(google.call(ADA, "DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(get(&google, ADA, &path).await.status, 404);
    assert_eq!(get(&google, ADA, &format!("{path}/events")).await.status, 404);
    let primary = google.call(ADA, "DELETE", "calendars/primary", Value::Null).await;
    assert_eq!((primary.status, primary.reason()), (400, "cannotDeletePrimaryCalendar"));
}

#[tokio::test]
async fn a_calendar_is_changed_by_its_owners() {
    let google = Google::start().await;
    let id = team(&google).await;
    share(&google, &id, BOB, "writer").await;
    let path = format!("calendars/{id}");
    let answer = google.call(BOB, "PATCH", &path, json!({"summary": "Mine"})).await;
    assert_eq!((answer.status, answer.reason()), (403, "requiredAccessLevel"));
    let patched = google.call(ADA, "PATCH", &path, json!({"location": "Vienna"})).await.json;
    assert_eq!((&patched["summary"], &patched["location"]), (&json!("Team"), &json!("Vienna")));
    let put = google.call(ADA, "PUT", &path, json!({"summary": "Crew"})).await.json;
    assert!(put["summary"] == "Crew" && put.get("location").is_none() && put.get("description").is_none(), "{put}");
    assert_eq!(google.call(ADA, "PUT", &path, json!({})).await.reason(), "required");
    let zone = google.call(ADA, "PATCH", &path, json!({"timeZone": "W. Europe Standard Time"})).await;
    assert_eq!((zone.status, zone.reason()), (400, "invalid"));
    assert_eq!(google.call(ADA, "POST", "calendars", json!({"description": "x"})).await.status, 400);
    assert_eq!(google.call(ADA, "POST", "calendars", json!([1])).await.reason(), "parseError");
}

#[tokio::test]
async fn rules_of_access_are_listed_changed_and_removed_by_owners() {
    let google = Google::start().await;
    let id = team(&google).await;
    let acl = format!("calendars/{id}/acl");
    let rule = |role: &str| json!({"scope": {"type": "user", "value": BOB}, "role": role});
    assert_eq!(google.call(ADA, "POST", &acl, rule("reader")).await.json["id"], "user:bob@acme.example");
    // Since 2019 sharing does not put the calendar on the other's list.
    assert_eq!(get(&google, BOB, "users/me/calendarList").await.ids(), [BOB]);
    let listed = get(&google, ADA, &acl).await;
    assert_eq!(listed.ids(), ["user:ada@acme.example", "user:bob@acme.example"]);
    let token = listed.json["nextSyncToken"].as_str().unwrap();
    assert_eq!(get(&google, ADA, &format!("{acl}?syncToken={token}")).await.ids().len(), 0);
    let path = format!("{acl}/user%3Abob%40acme.example");
    assert_eq!(google.call(ADA, "PATCH", &path, json!({"role": "writer"})).await.json["role"], "writer");
    assert_eq!(get(&google, ADA, &path).await.json["role"], "writer");
    assert_eq!(get(&google, ADA, &format!("{acl}?syncToken={token}")).await.status, 410);
    assert_eq!(get(&google, BOB, &acl).await.reason(), "requiredAccessLevel");
    assert_eq!(google.call(ADA, "POST", &acl, rule("king")).await.status, 400);
    let own = google.call(ADA, "DELETE", &format!("{acl}/user%3Aada%40acme.example"), Value::Null).await;
    assert_eq!((own.status, own.reason()), (403, "cannotChangeOwnAcl"));
    assert_eq!(google.call(ADA, "DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(google.call(ADA, "DELETE", &path, Value::Null).await.status, 404);
    assert_eq!(get(&google, BOB, &format!("calendars/{id}")).await.status, 404);
}

#[tokio::test]
async fn i12_there_are_two_palettes() {
    let google = Google::start().await;
    let colors = get(&google, ADA, "colors").await.json;
    assert_eq!(colors["kind"], "calendar#colors");
    assert_eq!(colors["calendar"].as_object().unwrap().len(), 24);
    assert_eq!(colors["event"].as_object().unwrap().len(), 11);
    assert_eq!(colors["event"]["11"]["background"], "#dc2127");
}

#[tokio::test]
async fn i13_clearing_a_primary_calendar_deletes_all_its_events() {
    let google = Google::start().await;
    let mut single = meeting("single", "s");
    single["attendees"] = json!([{"email": BOB}]);
    google.insert(single).await;
    google.insert(weekly("series", "w")).await;
    let exception = "calendars/primary/events/series_20260309T080000Z";
    assert_eq!(google.call(ADA, "PATCH", exception, json!({"summary": "x"})).await.status, 200);
    // An invitation to one occurrence, whose series is elsewhere.
    let slot = json!({"dateTime": "2026-03-09T08:00:00Z"});
    put(
        &google,
        json!({"id": "other_20260309T080000Z", "recurringEventId": "other", "status": "confirmed",
        "originalStartTime": slot, "start": slot, "end": {"dateTime": "2026-03-09T09:00:00Z"}}),
    );
    let token = google.list("").await.json["nextSyncToken"].as_str().unwrap().to_owned();
    assert_eq!(google.call(ADA, "POST", "calendars/primary/clear", Value::Null).await.status, 204);
    assert_eq!(google.list("").await.ids().len(), 0);
    let delta = google.list(&format!("syncToken={token}")).await;
    for id in ["single", "series", "other_20260309T080000Z"] {
        assert!(delta.ids().contains(&id), "{}", delta.text);
    }
    assert!(delta.json["items"].as_array().unwrap().iter().all(|item| item["status"] == "cancelled"));
    // Guests learn of it as of any deletion.
    assert_eq!(get(&google, BOB, "calendars/primary/events").await.ids().len(), 0);
    let id = team(&google).await;
    assert_eq!(google.call(ADA, "POST", &format!("calendars/{id}/clear"), Value::Null).await.status, 400);
    share(&google, ADA, BOB, "writer").await;
    assert_eq!(google.call(BOB, "POST", "calendars/ada%40acme.example/clear", Value::Null).await.status, 403);
}

#[tokio::test]
async fn settings_name_the_zone_of_the_primary_calendar() {
    let google = Google::start().await;
    assert_eq!(get(&google, ADA, "users/me/settings/timezone").await.json["value"], "Europe/Vienna");
    assert!(get(&google, ADA, "users/me/settings").await.ids().contains(&"weekStart"));
    assert_eq!(get(&google, ADA, "users/me/settings/mood").await.status, 404);
}
