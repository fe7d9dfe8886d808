//! Series whose guests have calendars here: what flows between the copies of a series, its exceptions and their ends
//! (statements of C and G together), and what a person's split divides.

use serde_json::{Value, json};

use super::{ADA, BOB, answer_of, with_fields};
use crate::{
    emulator::{settings::Settings, split::ui_split},
    tests::conformance::{Google, weekly},
};

/// The second and third occurrence of [`weekly`] `abcde`.
const SECOND: &str = "abcde_20260309T080000Z";
const THIRD: &str = "abcde_20260316T080000Z";

/// A weekly series of ada@acme.example with bob@acme.example.
async fn invited(google: &Google) {
    google.insert(with_fields(weekly("abcde", "Review"), json!({"attendees": [{"email": BOB}]}))).await;
}

/// How many events lie on bob@acme.example's calendar, cancelled ones too.
fn stored_with_bob(google: &Google) -> Vec<String> {
    google.core(|core| core.world.calendars[BOB].events.keys().cloned().collect())
}

#[tokio::test]
async fn g03_a_moved_occurrence_moves_for_its_guests() {
    let google = Google::start().await;
    invited(&google).await;
    assert_eq!(stored_with_bob(&google), ["abcde"]);
    let later = |hour: u8| json!({"dateTime": format!("2026-03-09T{hour}:00:00+01:00")});
    let moved = google.patch(SECOND, json!({"start": later(11), "end": later(12)})).await;
    let copy = google.bobs(SECOND).await;
    assert_eq!(stored_with_bob(&google), ["abcde", SECOND]);
    for name in ["start", "end", "originalStartTime", "recurringEventId", "iCalUID", "sequence"] {
        assert_eq!(copy[name], moved[name], "{name}");
    }
    google.ada("DELETE", &format!("/{THIRD}"), Value::Null).await;
    assert_eq!(google.bobs(THIRD).await["status"], "cancelled");
    assert_eq!(google.bobs("abcde").await["status"], "confirmed");
}

#[tokio::test]
async fn g04_an_answer_to_one_occurrence_is_no_answer_to_the_series() {
    let google = Google::start().await;
    invited(&google).await;
    let body = json!({"attendees": [{"email": BOB, "responseStatus": "declined"}]});
    assert_eq!(google.bob("PATCH", &format!("/{SECOND}"), body).await.status, 200);
    assert_eq!(answer_of(&google.read(SECOND).await, BOB), "declined");
    assert_eq!(answer_of(&google.read("abcde").await, BOB), "needsAction");
    assert_eq!(answer_of(&google.read(THIRD).await, BOB), "needsAction");
}

#[tokio::test]
async fn g09_a_guest_who_deletes_one_occurrence_declines_that_one() {
    let google = Google::start().await;
    invited(&google).await;
    assert_eq!(google.bob("DELETE", &format!("/{SECOND}"), Value::Null).await.status, 204);
    assert_eq!(google.bobs(SECOND).await["status"], "cancelled");
    let organizers = google.read(SECOND).await;
    assert_eq!((&organizers["status"], answer_of(&organizers, BOB)), (&json!("confirmed"), "declined"));
    assert_eq!(answer_of(&google.read("abcde").await, BOB), "needsAction");
}

#[tokio::test]
async fn g09_a_guest_who_left_a_series_gets_none_of_its_exceptions() {
    let google = Google::start().await;
    invited(&google).await;
    google.bob("DELETE", "/abcde", Value::Null).await;
    assert_eq!(answer_of(&google.read("abcde").await, BOB), "declined");
    google.patch(SECOND, json!({"summary": "Other"})).await;
    assert_eq!(stored_with_bob(&google), ["abcde"]);
}

#[tokio::test]
async fn g10_a_series_goes_and_returns_with_its_exceptions_on_every_copy() {
    for listed in [false, true] {
        let settings = Settings { master_delete_lists_exceptions: listed, ..Settings::default() };
        let google = Google::with_settings(settings).await;
        invited(&google).await;
        google.patch(SECOND, json!({"summary": "Other"})).await;
        google.ada("DELETE", &format!("/{THIRD}"), Value::Null).await;
        google.ada("DELETE", "/abcde", Value::Null).await;
        for id in ["abcde", SECOND, THIRD] {
            let both = (google.read(id).await["status"].clone(), google.bobs(id).await["status"].clone());
            assert_eq!(both, (json!("cancelled"), json!("cancelled")), "{id}");
        }
        // A change of the tombstone is no revival, and does not lose count of what fell with it.
        google.patch("abcde", json!({"location": "Room"})).await;
        google.patch("abcde", json!({"status": "confirmed"})).await;
        for (id, status) in [("abcde", "confirmed"), (SECOND, "confirmed"), (THIRD, "cancelled")] {
            assert_eq!(google.read(id).await["status"], status, "{id}, listed: {listed}");
            assert_eq!(google.bobs(id).await["status"], status, "bob's {id}, listed: {listed}");
        }
        assert_eq!(google.read(SECOND).await["summary"], "Other");
    }
}

#[tokio::test]
async fn c21_a_guest_of_one_occurrence_gets_that_one_alone() {
    let google = Google::start().await;
    google.insert(weekly("abcde", "Review")).await;
    google.patch(SECOND, json!({"attendees": [{"email": BOB}]})).await;
    assert_eq!(stored_with_bob(&google), [SECOND]);
    assert_eq!(google.bobs(SECOND).await["recurringEventId"], "abcde");
    assert_eq!(google.bob("GET", "/abcde", Value::Null).await.status, 404);
    google.patch(SECOND, json!({"attendees": []})).await;
    assert_eq!(google.bobs(SECOND).await["status"], "cancelled");
}

#[tokio::test]
async fn c13_by_setting_an_exception_follows_where_it_said_nothing_of_its_own() {
    for exceptions_follow_master in [false, true] {
        let google = Google::with_settings(Settings { exceptions_follow_master, ..Settings::default() }).await;
        google.insert(weekly("abcde", "Review")).await;
        google.patch(SECOND, json!({"location": "Room 1"})).await;
        google.patch("abcde", json!({"summary": "Other", "location": "Room 2"})).await;
        let exception = google.read(SECOND).await;
        let summary = if exceptions_follow_master { "Other" } else { "Review" };
        assert_eq!((&exception["summary"], &exception["location"]), (&json!(summary), &json!("Room 1")));
    }
}

#[tokio::test]
async fn c16_a_split_reaches_the_guests_and_divides_counts_and_dates() {
    let google = Google::start().await;
    let lines = json!([
        "RRULE:FREQ=WEEKLY;COUNT=6",
        "EXDATE:20260309T090000,20260323T090000",
        "EXDATE;VALUE=DATE:20260316,20260330",
        "RDATE;TZID=Asia/Tokyo:20260304T170000,20260325T170000",
    ]);
    // Nine o'clock in Tokyo is one in the morning in Vienna: the zone of a date without one is the series'.
    let tokyo = |hour: &str| json!({"dateTime": format!("2026-03-02T{hour}:00:00"), "timeZone": "Asia/Tokyo"});
    let fields = json!({
        "recurrence": lines, "start": tokyo("09"), "end": tokyo("10"), "attendees": [{"email": BOB}],
    });
    google.insert(with_fields(weekly("abcde", "Review"), fields)).await;
    let shown = |answer: Value| -> Vec<String> {
        let items = answer["items"].as_array().unwrap().iter();
        items.map(|item| item["start"]["dateTime"].as_str().unwrap().to_owned()).collect()
    };
    let all = shown(google.list("singleEvents=true&orderBy=startTime").await.json);
    // Of six Mondays four are taken out; two Wednesdays come on top.
    assert_eq!(all.len(), 4, "{all:?}");
    let id = google.core(|core| ui_split(&mut core.world, ADA, "abcde", "20260325T080000Z")).unwrap();
    assert_eq!(id, "abcde_R20260325T080000");
    let recurrence = |event: &Value| event["recurrence"].clone();
    assert_eq!(
        recurrence(&google.read("abcde").await),
        json!([
            "RRULE:FREQ=WEEKLY;UNTIL=20260324T145959Z",
            "EXDATE:20260309T090000,20260323T090000",
            "EXDATE;VALUE=DATE:20260316",
            "RDATE;TZID=Asia/Tokyo:20260304T170000",
        ])
    );
    let second = recurrence(&google.read(&id).await);
    assert_eq!(second[0], "RRULE:FREQ=WEEKLY;COUNT=2");
    assert_eq!(second[1], "EXDATE;VALUE=DATE:20260330");
    for id in ["abcde", id.as_str()] {
        assert_eq!(recurrence(&google.bobs(id).await), recurrence(&google.read(id).await), "{id}");
    }
    assert_eq!(google.bobs(&id).await["iCalUID"], format!("{id}@google.com"));
}

#[tokio::test]
async fn c32_the_stricter_visibility_reaches_exceptions_too() {
    let google = Google::start().await;
    google.insert(weekly("abcde", "Review")).await;
    google.patch(THIRD, json!({"summary": "Other"})).await;
    google.patch(SECOND, json!({"visibility": "private"})).await;
    for id in ["abcde", SECOND, THIRD, "abcde_20260323T080000Z"] {
        assert_eq!(google.read(id).await["visibility"], "private", "{id}");
    }
}

#[tokio::test]
async fn d27_a_series_moves_with_its_exceptions() {
    let google = Google::start().await;
    google.secondary("second@group.calendar.google.com");
    google.insert(weekly("abcde", "Review")).await;
    google.patch(SECOND, json!({"summary": "Other"})).await;
    google.ada("POST", "/abcde/move?destination=second%40group.calendar.google.com", Value::Null).await;
    let path = format!("calendars/second%40group.calendar.google.com/events/{SECOND}");
    let moved = google.call(ADA, "GET", &path, Value::Null).await.json;
    assert_eq!((&moved["summary"], &moved["status"]), (&json!("Other"), &json!("confirmed")));
    assert_eq!(moved["organizer"]["email"], "second@group.calendar.google.com");
    assert_eq!(google.read(SECOND).await["status"], "cancelled");
}

#[tokio::test]
async fn an_import_with_an_original_start_writes_that_exception() {
    let google = Google::start().await;
    let event = json!({
        "iCalUID": "series@else.example", "summary": "Review", "recurrence": ["RRULE:FREQ=WEEKLY"],
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Vienna"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Vienna"},
    });
    let id = google.ada("POST", "/import", event).await.json["id"].as_str().unwrap().to_owned();
    let exception = json!({
        "iCalUID": "series@else.example", "summary": "Moved",
        "originalStartTime": {"dateTime": "2026-03-09T08:00:00Z"},
        "start": {"dateTime": "2026-03-10T09:00:00+01:00"}, "end": {"dateTime": "2026-03-10T10:00:00+01:00"},
    });
    let answer = google.ada("POST", "/import", exception).await;
    assert_eq!(answer.json["id"], format!("{id}_20260309T080000Z"), "{}", answer.text);
    assert_eq!(answer.json["recurringEventId"], id);
    assert_eq!(google.read(&id).await["summary"], "Review", "the series itself stays");
}
