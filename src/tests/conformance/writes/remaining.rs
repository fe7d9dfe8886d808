//! Statements of several sections that edits, answers, deletions and listings of ours rest on.

use serde_json::{Value, json};

use super::meeting_with;
use crate::{
    emulator::settings::Settings,
    tests::conformance::{Google, meeting, weekly},
};

const ADA: &str = "ada@acme.example";
const EVENTS: &str = "calendars/primary/events";

async fn ada(google: &Google, method: &str, rest: &str, body: Value) -> crate::tests::conformance::Answer {
    google.call(ADA, method, &format!("{EVENTS}{rest}"), body).await
}

#[tokio::test]
async fn a07_b27_only_the_last_page_has_a_sync_token_and_no_page_token() {
    let google = Google::start().await;
    for id in ["aaaaa", "bbbbb", "ccccc"] {
        google.insert(meeting(id, id)).await;
    }
    for single in ["false", "true"] {
        let first = google.list(&format!("maxResults=2&singleEvents={single}")).await;
        let next = first.json["nextPageToken"].as_str().expect("there is more").to_owned();
        assert_eq!(first.json.get("nextSyncToken"), None);
        let last = google.list(&format!("maxResults=2&singleEvents={single}&pageToken={next}")).await;
        assert!(last.json["nextSyncToken"].is_string() && last.json.get("nextPageToken").is_none(), "{}", last.text);
    }
}

#[tokio::test]
async fn a12_listings_may_come_in_any_order_and_in_short_pages_and_hold_the_same() {
    let settings = Settings { listings_shuffled: true, exceptions_first: true, page_limit: 2, ..Settings::default() };
    let google = Google::with_settings(settings).await;
    for id in ["aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee"] {
        google.insert(meeting(id, id)).await;
    }
    google.insert(weekly("fffff", "Weekly")).await;
    let instance = "/fffff_20260309T080000Z";
    assert_eq!(ada(&google, "PATCH", instance, json!({"summary": "Other"})).await.status, 200);
    let (mut ids, mut page, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let answer = google.list(&format!("maxResults=250{page}")).await;
        assert!(answer.ids().len() <= 2);
        ids.extend(answer.ids().into_iter().map(str::to_owned));
        pages += 1;
        match answer.json["nextPageToken"].as_str() {
            Some(token) => page = format!("&pageToken={token}"),
            None => break,
        }
    }
    assert_eq!(pages, 4);
    let place = |id: &str| ids.iter().position(|found| found == id).expect(id);
    assert!(place("fffff_20260309T080000Z") < place("fffff"), "the exception comes first: {ids:?}");
    let in_order = ids.is_sorted();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 7);
    assert!(!in_order);
}

#[tokio::test]
async fn a17_b06_deleted_events_are_shown_when_asked_with_what_they_said() {
    let google = Google::start().await;
    google.insert(meeting("aaaaa", "Kick-off")).await;
    let token = google.list("showDeleted=true").await.json["nextSyncToken"].as_str().unwrap().to_owned();
    ada(&google, "DELETE", "/aaaaa", Value::Null).await;
    assert!(google.list("").await.ids().is_empty());
    let shown = google.list("showDeleted=true").await;
    assert_eq!(shown.json["items"][0]["status"], "cancelled");
    let delta = google.list(&format!("showDeleted=true&syncToken={token}")).await;
    assert_eq!(delta.json["items"][0]["summary"], "Kick-off", "{}", delta.text);
    assert!(delta.json["items"][0]["start"].is_object());
}

#[tokio::test]
async fn b23_what_was_deleted_since_is_in_a_listing_by_change() {
    let google = Google::start().await;
    google.insert(meeting("aaaaa", "Kick-off")).await;
    ada(&google, "DELETE", "/aaaaa", Value::Null).await;
    let since = google.list("showDeleted=false&updatedMin=2026-02-28T08:00:00Z").await;
    assert_eq!(since.json["items"][0]["status"], "cancelled", "{}", since.text);
}

#[tokio::test]
async fn c04_instances_of_a_series_of_days_are_named_by_their_day() {
    let google = Google::start().await;
    let days = json!({
        "id": "mmmmm", "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"},
        "recurrence": ["RRULE:FREQ=DAILY;COUNT=2"],
    });
    google.insert(days).await;
    let found = ada(&google, "GET", "/mmmmm/instances", Value::Null).await;
    assert_eq!(found.ids(), ["mmmmm_20260302", "mmmmm_20260303"]);
}

#[tokio::test]
async fn c09_c11_a_deleted_instance_is_a_cancelled_exception_and_may_come_back() {
    let google = Google::start().await;
    google.insert(weekly("mmmmm", "Weekly")).await;
    let instance = "/mmmmm_20260309T080000Z";
    let deleted = ada(&google, "DELETE", instance, Value::Null).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(ada(&google, "GET", instance, Value::Null).await.json["status"], "cancelled");
    let master = ada(&google, "GET", "/mmmmm", Value::Null).await.json;
    assert_eq!(master["recurrence"], json!(["RRULE:FREQ=WEEKLY"]));
    let back = ada(&google, "PATCH", instance, json!({"status": "confirmed"})).await;
    assert_eq!((back.status, &back.json["status"]), (200, &json!("confirmed")));
}

#[tokio::test]
async fn d26_an_insert_tried_again_under_its_id_is_one_event() {
    let google = Google::start().await;
    google.insert(meeting("aaaaa", "Kick-off")).await;
    let again = ada(&google, "POST", "", meeting("aaaaa", "Kick-off")).await;
    assert_eq!((again.status, again.reason()), (409, "duplicate"));
    assert_eq!(google.list("").await.ids(), ["aaaaa"]);
}

#[tokio::test]
async fn e04_an_etag_is_twice_the_microseconds_of_the_change() {
    let google = Google::start().await;
    let event = google.insert(meeting("aaaaa", "Kick-off")).await;
    let updated: chrono::DateTime<chrono::Utc> = event["updated"].as_str().unwrap().parse().unwrap();
    let number: i64 = event["etag"].as_str().unwrap().trim_matches('"').parse().unwrap();
    assert_eq!(number % 2, 0);
    assert_eq!(number / 2 / 1000, updated.timestamp_millis());
}

#[tokio::test]
async fn e09_null_clears_a_field() {
    let google = Google::start().await;
    google.insert(meeting_with("aaaaa", json!({"description": "Bring slides"}))).await;
    let patched = ada(&google, "PATCH", "/aaaaa", json!({"description": null})).await;
    assert_eq!(patched.json.get("description"), None, "{}", patched.text);
}

#[tokio::test]
async fn f07_f08_filters_by_property_are_all_to_be_met() {
    let google = Google::start().await;
    let properties =
        |private: Value, shared: Value| json!({"extendedProperties": {"private": private, "shared": shared}});
    google.insert(meeting_with("aaaaa", properties(json!({"a": "1", "b": "2"}), json!({"c": "3"})))).await;
    google.insert(meeting_with("bbbbb", properties(json!({"a": "1"}), json!({"c": "3"})))).await;
    google.insert(meeting_with("ccccc", properties(json!({"a": "1", "b": "2"}), json!({})))).await;
    let found = google.list("privateExtendedProperty=a%3D1&privateExtendedProperty=b%3D2").await;
    assert_eq!(found.ids(), ["aaaaa", "ccccc"]);
    let found = google.list("privateExtendedProperty=a%3D1&sharedExtendedProperty=c%3D3").await;
    assert_eq!(found.ids(), ["aaaaa", "bbbbb"]);
}

#[tokio::test]
async fn f09_instances_match_by_their_series_properties() {
    let google = Google::start().await;
    let mut series = weekly("mmmmm", "Weekly");
    series["extendedProperties"] = json!({"private": {"p": "1"}});
    google.insert(series).await;
    google.insert(weekly("nnnnn", "Other")).await;
    let found = google.list("singleEvents=true&privateExtendedProperty=p%3D1&timeMax=2026-03-12T00:00:00Z").await;
    assert_eq!(found.ids(), ["mmmmm_20260302T080000Z", "mmmmm_20260309T080000Z"]);
}

#[tokio::test]
async fn h04_an_absence_takes_no_guests_and_no_text() {
    let google = Google::start().await;
    for field in [json!({"attendees": [{"email": "bob@acme.example"}]}), json!({"description": "Gone fishing"})] {
        let mut absence = meeting_with("aaaaa", field);
        absence["eventType"] = json!("outOfOffice");
        absence["outOfOfficeProperties"] = json!({"autoDeclineMode": "declineNone"});
        let answer = ada(&google, "POST", "", absence).await;
        assert_eq!((answer.status, answer.reason()), (400, "malformedOutOfOfficeEvent"), "{}", answer.text);
    }
}

#[tokio::test]
async fn h14_confidential_is_private_to_readers() {
    let google = Google::start().await;
    google.insert(meeting_with("aaaaa", json!({"visibility": "confidential"}))).await;
    let rule = json!({"role": "reader", "scope": {"type": "user", "value": "bob@acme.example"}});
    assert_eq!(google.call(ADA, "POST", "calendars/primary/acl", rule).await.status, 200);
    let path = format!("calendars/{ADA}/events/aaaaa");
    let seen = google.call("bob@acme.example", "GET", &path, Value::Null).await.json;
    assert_eq!(seen.get("summary"), None, "{seen}");
}
