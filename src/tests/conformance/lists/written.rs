//! Reading what clients and people have written: statements of A, B, C and M that need the writing half.

use serde_json::{Value, json};

use super::{
    ADA, Answer, BOB, Google, at, days, delta, get, ids, instances, items, list, refused, series, starts, token, with,
};
use crate::emulator::{settings::Settings, split::ui_split};

async fn post(google: &Google, event: Value) -> Answer {
    google.call(ADA, "POST", "calendars/primary/events", event).await
}

async fn write(google: &Google, method: &str, id: &str, body: Value) -> Answer {
    let answer = google.call(ADA, method, &format!("calendars/primary/events/{id}"), body).await;
    assert!(answer.status < 300, "{}", answer.text);
    answer
}

fn split(google: &Google, id: &str, stamp: &str) -> String {
    google.core(|core| ui_split(&mut core.world, ADA, id, stamp)).unwrap()
}

#[tokio::test]
async fn a28_a_call_with_an_invalid_selector_does_nothing() {
    let google = Google::start().await;
    let refusal = google.call(ADA, "POST", "calendars/primary/events?fields=titel", at("event0", 9)).await;
    refused(&refusal, 400, "invalidParameter");
    assert!(ids(&google, "").await.is_empty());
    let made = google.call(ADA, "POST", "calendars/primary/events?fields=id,start(date)", days("event0", 2, 3)).await;
    assert_eq!(made.json, json!({"id": "event0", "start": {"date": "2026-03-02"}}));
}

#[tokio::test]
async fn b02_and_b29_own_writes_are_changes_like_any_other() {
    let google = Google::start().await;
    google.insert(at("event0", 9)).await;
    google.insert(at("event1", 9)).await;
    let sync = token(&google, "").await;
    let full = token(&google, "showDeleted=true").await;
    google.insert(at("event2", 9)).await;
    write(&google, "PATCH", "event0", json!({"summary": "New"})).await;
    write(&google, "DELETE", "event1", Value::Null).await;
    let changes = delta(&google, &sync).await;
    let found: Vec<_> = changes.iter().map(|c| (c["id"].as_str().unwrap(), c["status"].as_str().unwrap())).collect();
    assert_eq!(found, [("event2", "confirmed"), ("event0", "confirmed"), ("event1", "cancelled")]);
    let kept = &items(&google, &format!("showDeleted=true&syncToken={full}")).await[2];
    assert_eq!(kept["summary"], "Title of event1");
}

#[tokio::test]
async fn b17_and_c09_a_deleted_instance_is_a_tombstone_with_its_slot() {
    let google = Google::start().await;
    google.insert(series(at("event0", 9), &["RRULE:FREQ=WEEKLY;COUNT=3"])).await;
    let sync = token(&google, "").await;
    write(&google, "DELETE", "event0_20260309T080000Z", Value::Null).await;
    let changes = delta(&google, &sync).await;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["recurringEventId"], "event0");
    assert_eq!(changes[0]["originalStartTime"]["dateTime"], "2026-03-09T09:00:00+01:00");
    assert_eq!(instances(&google, "event0", "").await.ids().len(), 2);
}

#[tokio::test]
async fn b20_deleting_a_master_lists_its_exceptions_only_if_google_does() {
    for (listed, expected) in [(false, 1), (true, 3)] {
        let settings = Settings { master_delete_lists_exceptions: listed, ..Settings::default() };
        let google = Google::with_settings(settings).await;
        google.insert(series(at("event0", 9), &["RRULE:FREQ=WEEKLY"])).await;
        for slot in ["event0_20260309T080000Z", "event0_20260316T080000Z"] {
            write(&google, "PATCH", slot, json!({"summary": "Exception"})).await;
        }
        let sync = token(&google, "").await;
        write(&google, "DELETE", "event0", Value::Null).await;
        let changes = delta(&google, &sync).await;
        assert_eq!(changes.len(), expected);
        assert!(changes.iter().all(|change| change["status"] == "cancelled"));
        assert!(ids(&google, "").await.is_empty());
    }
}

#[tokio::test]
async fn b28_a_change_of_reminders_alone_may_be_no_change() {
    for (listed, expected) in [(true, 1), (false, 0)] {
        let google = Google::with_settings(Settings { reminders_in_delta: listed, ..Settings::default() }).await;
        let before = google.insert(at("event0", 9)).await;
        let sync = token(&google, "").await;
        let body = json!({"reminders": {"useDefault": false, "overrides": [{"method": "popup", "minutes": 5}]}});
        write(&google, "PATCH", "event0", body).await;
        assert_eq!(delta(&google, &sync).await.len(), expected);
        assert_eq!(get(&google, "event0").await.json["updated"], before["updated"]);
    }
}

#[tokio::test]
async fn c16_a_split_in_the_pages_ends_one_series_and_begins_another() {
    let google = Google::start().await;
    let tags = json!({"extendedProperties": {"private": {"tag": "mine"}}});
    google.insert(series(with(at("event0", 9), tags), &["RRULE:FREQ=WEEKLY;COUNT=5"])).await;
    let sync = token(&google, "").await;
    let id = split(&google, "event0", "20260316T080000Z");
    assert_eq!(id, "event0_R20260316T080000");
    let changes = delta(&google, &sync).await;
    assert_eq!(changes.iter().map(|c| c["id"].as_str().unwrap()).collect::<Vec<_>>(), ["event0", id.as_str()]);
    assert!(changes[0]["recurrence"][0].as_str().unwrap().contains("UNTIL="), "{}", changes[0]);
    assert_eq!(changes[1]["iCalUID"], format!("{id}@google.com"));
    assert_eq!(changes[1]["extendedProperties"]["private"]["tag"], "mine");
    assert_eq!(starts(&google, "event0", 9).await, ["03-02T09:00", "03-09T09:00"]);
    assert_eq!(starts(&google, &id, 9).await, ["03-16T09:00", "03-23T09:00", "03-30T09:00"]);
    let first = instances(&google, &id, "maxResults=1").await;
    assert_eq!(first.ids(), ["event0_R20260316T080000_20260316T080000Z"]);
    assert_eq!(get(&google, first.ids()[0]).await.json["recurringEventId"], id);
}

#[tokio::test]
async fn c16_a_split_series_of_days_is_named_after_the_day() {
    let google = Google::start().await;
    google.insert(series(days("event0", 2, 3), &["RRULE:FREQ=DAILY"])).await;
    let id = split(&google, "event0", "20260305");
    assert_eq!(id, "event0_R20260305");
    assert_eq!(starts(&google, "event0", 9).await, ["03-02", "03-03", "03-04"]);
    assert_eq!(instances(&google, &id, "maxResults=1").await.ids(), ["event0_R20260305_20260305"]);
}

#[tokio::test]
async fn c17_a_split_resets_later_exceptions() {
    let google = Google::start().await;
    google.insert(series(at("event0", 9), &["RRULE:FREQ=WEEKLY;COUNT=5"])).await;
    for slot in ["event0_20260309T080000Z", "event0_20260323T080000Z"] {
        write(&google, "PATCH", slot, json!({"summary": "Exception"})).await;
    }
    let sync = token(&google, "").await;
    let id = split(&google, "event0", "20260316T080000Z");
    let changes = delta(&google, &sync).await;
    let reset = changes.iter().find(|change| change["id"] == "event0_20260323T080000Z").unwrap();
    assert_eq!(reset["status"], "cancelled");
    assert_eq!(get(&google, "event0_20260309T080000Z").await.json["summary"], "Exception");
    let after = instances(&google, &id, "").await;
    assert!(after.json["items"].as_array().unwrap().iter().all(|item| item["summary"] == "Title of event0"));
}

#[tokio::test]
async fn c18_a_second_split_replaces_the_ending_of_the_first() {
    let google = Google::start().await;
    google.insert(series(at("event0", 9), &["RRULE:FREQ=WEEKLY"])).await;
    let first = split(&google, "event0", "20260316T080000Z");
    let second = split(&google, &first, "20260323T080000Z");
    assert_eq!(second, "event0_R20260323T080000");
    assert_eq!(starts(&google, &first, 9).await, ["03-16T09:00"]);
    assert_eq!(starts(&google, &second, 1).await, ["03-23T09:00"]);
}

#[tokio::test]
async fn c19_a_split_by_api_makes_an_unrelated_series() {
    let google = Google::start().await;
    let old = google.insert(series(at("event0", 9), &["RRULE:FREQ=WEEKLY"])).await;
    let sync = token(&google, "").await;
    let shorter = json!({"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260315T225959Z"]});
    write(&google, "PATCH", "event0", shorter).await;
    let mut later = series(super::on("x", 16, 9), &["RRULE:FREQ=WEEKLY"]);
    later.as_object_mut().unwrap().remove("id");
    let new = google.insert(later).await;
    assert!(!new["id"].as_str().unwrap().contains("event0"));
    assert_ne!(new["iCalUID"], old["iCalUID"]);
    assert_eq!(delta(&google, &sync).await.len(), 2);
    let query = "singleEvents=true&orderBy=startTime&timeMax=2026-03-24T00:00:00Z";
    let found = items(&google, query).await;
    assert_eq!(found.len(), 4);
    assert_eq!(found[2]["recurringEventId"], new["id"]);
}

#[tokio::test]
async fn c20_a_split_at_the_first_occurrence_makes_no_other_series() {
    let google = Google::start().await;
    google.insert(series(at("event0", 9), &["RRULE:FREQ=WEEKLY"])).await;
    assert_eq!(split(&google, "event0", "20260302T080000Z"), "event0");
    assert_eq!(ids(&google, "").await, ["event0"]);
}

#[tokio::test]
async fn c03_instances_of_a_guests_copy_are_named_like_the_organizers() {
    let google = Google::start().await;
    let event = with(at("event0", 9), json!({"attendees": [{"email": BOB}]}));
    google.insert(series(event, &["RRULE:FREQ=WEEKLY;COUNT=2"])).await;
    let path = "calendars/primary/events/event0/instances";
    let bobs = google.call(BOB, "GET", path, Value::Null).await;
    assert_eq!(bobs.ids(), instances(&google, "event0", "").await.ids());
}

#[tokio::test]
async fn m05_an_all_day_event_lasts_a_day_at_least() {
    let google = Google::start().await;
    for (first, end) in [(2, 2), (3, 2)] {
        refused(&post(&google, days("event0", first, end)).await, 400, "timeRangeEmpty");
    }
    assert_eq!(post(&google, days("event0", 2, 3)).await.status, 200);
}

#[tokio::test]
async fn m01_m02_m03_and_m06_a_written_time_is_read_back_in_the_calendars_zone() {
    let google = Google::start().await;
    for (n, start, end, expected) in [
        (
            0,
            json!({"dateTime": "2026-07-01T09:00:00"}),
            json!({"dateTime": "2026-07-01T10:00:00"}),
            json!({"dateTime": "2026-07-01T09:00:00+02:00", "timeZone": "Europe/Vienna"}),
        ),
        (
            1,
            json!({"dateTime": "2026-07-01T09:00:00.999-05:00", "timeZone": "Asia/Tokyo"}),
            json!({"dateTime": "2026-07-01T10:00:00-05:00", "timeZone": "Asia/Tokyo"}),
            json!({"dateTime": "2026-07-01T16:00:00+02:00", "timeZone": "Asia/Tokyo"}),
        ),
        (
            2,
            json!({"dateTime": "2026-07-01T09:00:00", "timeZone": "Asia/Tokyo"}),
            json!({"dateTime": "2026-07-01T10:00:00", "timeZone": "Asia/Tokyo"}),
            json!({"dateTime": "2026-07-01T02:00:00+02:00", "timeZone": "Asia/Tokyo"}),
        ),
    ] {
        let id = format!("event{n}");
        let made = google.insert(json!({"id": id, "start": start, "end": end})).await;
        assert_eq!(made["start"], expected);
        assert_eq!(get(&google, &id).await.json["start"], expected);
    }
}

#[tokio::test]
async fn m07_a_day_as_until_is_stored_as_written() {
    let google = Google::start().await;
    let made = google.insert(series(at("event0", 9), &["RRULE:FREQ=WEEKLY;UNTIL=20260316"])).await;
    assert_eq!(made["recurrence"], json!(["RRULE:FREQ=WEEKLY;UNTIL=20260316"]));
    assert_eq!(starts(&google, "event0", 9).await.len(), 3);
}

#[tokio::test]
async fn m09_a_zone_of_windows_is_none() {
    let google = Google::start().await;
    let zone = json!({"dateTime": "2026-03-02T09:00:00", "timeZone": "W. Europe Standard Time"});
    let refusal = post(&google, with(at("event0", 9), json!({"start": zone}))).await;
    refused(&refusal, 400, "invalid");
}

#[tokio::test]
async fn a_listing_shows_what_get_shows() {
    let google = Google::start().await;
    google.insert(with(at("event0", 9), json!({"attendees": [{"email": BOB}], "location": "Room"}))).await;
    google.insert(series(days("event1", 2, 3), &["RRULE:FREQ=DAILY;COUNT=2"])).await;
    for item in list(&google, "").await.json["items"].as_array().unwrap() {
        assert_eq!(*item, get(&google, item["id"].as_str().unwrap()).await.json);
    }
    for item in items(&google, "singleEvents=true").await {
        assert_eq!(item, get(&google, item["id"].as_str().unwrap()).await.json);
    }
}

#[tokio::test]
async fn g02_a_hidden_invitation_is_listed_only_when_asked_for() {
    let settings = Settings { known_senders_only: [ADA.to_owned()].into(), ..Settings::default() };
    let google = Google::with_settings(settings).await;
    let stranger = "ada@gmail.example";
    let private = json!({"extendedProperties": {"private": {"tag": "theirs"}}, "attendees": [{"email": ADA}]});
    for event in [with(at("event0", 9), private.clone()), series(with(at("event1", 9), private), &["RRULE:FREQ=DAILY"])]
    {
        let answer = google.call(stranger, "POST", "calendars/primary/events", event).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    google.insert(at("event2", 9)).await;
    assert_eq!(ids(&google, "").await, ["event2"]);
    for paging in ["", "&maxResults=1"] {
        let found = items(&google, &format!("showHiddenInvitations=true{paging}")).await;
        let found_ids: Vec<_> = found.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(found_ids, ["event0", "event1", "event2"]);
        assert_eq!(found[0]["organizer"]["email"], stranger);
        assert_eq!(found[0]["attendees"][0]["self"], true);
        assert!(found[0]["extendedProperties"].get("private").is_none());
    }
    google.core(|core| crate::emulator::guests::answer_mail(&mut core.world, ADA, "event0", "accepted")).unwrap();
    assert_eq!(ids(&google, "").await, ["event0", "event2"]);
    assert_eq!(ids(&google, "showHiddenInvitations=true").await, ["event0", "event1", "event2"]);
}
