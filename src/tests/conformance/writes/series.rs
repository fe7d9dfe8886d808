//! Section C of the checklist as far as it is about writing, and what of D to H concerns series and people's copies.

use serde_json::{Value, json};

use super::{ADA, meeting_with};
use crate::{
    emulator::settings::{ExceptionShift, Settings},
    tests::conformance::{Google, meeting, weekly},
};

/// The second occurrence of [`weekly`] `abcde`: 9 March, 09:00 in Vienna.
const SECOND: &str = "abcde_20260309T080000Z";

/// A series `abcde`.
async fn series(google: &Google) -> Value {
    google.insert(weekly("abcde", "Review")).await
}

/// Starts and statuses of the first occurrences, cancelled ones included.
async fn occurrences(google: &Google, query: &str) -> Vec<(String, String)> {
    let answer = google.ada("GET", &format!("/abcde/instances?maxResults=4{query}"), Value::Null).await;
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let items = answer.json["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| (text(&item["start"], "dateTime"), text(item, "status"))).collect()
}

#[tokio::test]
async fn c06_a_put_on_an_untouched_instance_makes_it_an_exception() {
    let google = Google::start().await;
    series(&google).await;
    let mut changed = google.read(SECOND).await;
    changed["summary"] = json!("Other");
    assert_eq!(google.ada("PUT", &format!("/{SECOND}"), changed).await.status, 200);
    let seen = google.read(SECOND).await;
    assert_eq!((&seen["summary"], &seen["recurringEventId"]), (&json!("Other"), &json!("abcde")));
    assert!(google.list("").await.ids().contains(&SECOND));
}

#[tokio::test]
async fn c07_a_computed_id_can_be_patched_without_a_listing() {
    let google = Google::start().await;
    series(&google).await;
    assert!(!google.list("").await.ids().contains(&SECOND));
    assert_eq!(google.patch(SECOND, json!({"summary": "Other"})).await["summary"], "Other");
}

#[tokio::test]
async fn c08_c10_c11_a_cancelled_instance_is_gone_once_and_can_come_back() {
    let google = Google::start().await;
    series(&google).await;
    let rule = google.read("abcde").await["recurrence"].clone();
    assert_eq!(google.ada("DELETE", &format!("/{SECOND}"), Value::Null).await.status, 204);
    assert_eq!(google.read("abcde").await["recurrence"], rule, "C09: no EXDATE");
    let shown = |list: &[(String, String)]| list.iter().any(|(start, _)| start.starts_with("2026-03-09"));
    assert!(!shown(&occurrences(&google, "").await));
    let again = google.ada("DELETE", &format!("/{SECOND}"), Value::Null).await;
    assert_eq!((again.status, again.reason()), (410, "deleted"));
    google.patch(SECOND, json!({"status": "confirmed"})).await;
    assert!(shown(&occurrences(&google, "").await));
    let mut cancelled = google.read(SECOND).await;
    cancelled["status"] = json!("cancelled");
    assert_eq!(google.ada("PUT", &format!("/{SECOND}"), cancelled).await.status, 200);
    assert!(!shown(&occurrences(&google, "").await), "C08");
}

#[tokio::test]
async fn c13_an_exception_keeps_its_changes_when_the_series_changes() {
    let google = Google::start().await;
    series(&google).await;
    google.patch(SECOND, json!({"summary": "Other"})).await;
    google.patch("abcde", json!({"location": "Room 4"})).await;
    assert_eq!(google.read(SECOND).await["summary"], "Other");
}

#[tokio::test]
async fn c14_exceptions_of_a_series_that_moves_do_as_the_setting_says() {
    for (shift, moved, cancelled) in [
        (ExceptionShift::Orphan, "2026-03-10T14:00:00+01:00", false),
        (ExceptionShift::Drop, "", true),
        (ExceptionShift::Reanchor, "2026-03-10T14:00:00+01:00", true),
    ] {
        let google = Google::with_settings(Settings { exception_on_master_shift: shift, ..Settings::default() }).await;
        series(&google).await;
        let time =
            |hour: &str| json!({"dateTime": format!("2026-03-10T{hour}:00:00+01:00"), "timeZone": "Europe/Vienna"});
        google.patch(SECOND, json!({"start": time("14"), "end": time("15")})).await;
        let start =
            |hour: &str| json!({"dateTime": format!("2026-03-02T{hour}:00:00+01:00"), "timeZone": "Europe/Vienna"});
        google.patch("abcde", json!({"start": start("10"), "end": start("11")})).await;
        let old = google.read(SECOND).await;
        assert_eq!(old["status"] == "cancelled", cancelled, "{shift:?}");
        let starts: Vec<String> = occurrences(&google, "").await.into_iter().map(|(start, _)| start).collect();
        assert_eq!(starts.iter().any(|s| s == moved), !moved.is_empty(), "{shift:?}: {starts:?}");
    }
}

#[tokio::test]
async fn c20_a_split_at_the_first_occurrence_makes_no_second_series() {
    let google = Google::start().await;
    series(&google).await;
    let url = format!("{}/_emulator/calendars/{ADA}/events/abcde/split?at=20260302T080000Z", google.origin());
    let answer = reqwest::Client::builder().build().unwrap().post(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(google.list("").await.ids(), ["abcde"]);
}

#[tokio::test]
async fn c01_c02_c25_a_rule_needs_a_zone_and_says_one_end_and_no_start() {
    let google = Google::start().await;
    let with_rule = |rule: &str| meeting_with("abcde", json!({"recurrence": [rule]}));
    for event in [
        with_rule("DTSTART:20260302T080000Z"),
        with_rule("RRULE:FREQ=WEEKLY;COUNT=3;UNTIL=20260401T000000Z"),
        with_rule("RRULE:FREQ=SOMETIMES"),
        json!({"id": "abcde", "recurrence": ["RRULE:FREQ=WEEKLY"],
            "start": {"dateTime": "2026-03-02T09:00:00+01:00"}, "end": {"dateTime": "2026-03-02T10:00:00+01:00"}}),
    ] {
        let answer = google.ada("POST", "", event.clone()).await;
        assert_eq!(answer.status, 400, "{event}");
    }
    assert!(google.list("").await.ids().is_empty());
}

#[tokio::test]
async fn c32_the_stricter_visibility_of_one_instance_is_that_of_all() {
    let google = Google::start().await;
    google.insert(super::with_fields(weekly("abcde", "Review"), json!({"visibility": "public"}))).await;
    google.patch(SECOND, json!({"visibility": "private"})).await;
    assert_eq!(google.read("abcde").await["visibility"], "private");
    google.patch(SECOND, json!({"visibility": "public"})).await;
    assert_eq!(google.read("abcde").await["visibility"], "private");
}

#[tokio::test]
async fn c33_an_instance_cannot_be_moved_to_another_calendar() {
    let google = Google::start().await;
    google.secondary("second@group.calendar.google.com");
    series(&google).await;
    let path = format!("/{SECOND}/move?destination=second@group.calendar.google.com");
    let answer = google.ada("POST", &path, Value::Null).await;
    assert_eq!((answer.status, answer.reason()), (400, "cannotChangeOrganizerOfInstance"));
}

#[tokio::test]
async fn c34_a_single_event_becomes_a_series_under_its_id() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    let mut event = google.read("abcde").await;
    event["recurrence"] = json!(["RRULE:FREQ=WEEKLY"]);
    assert_eq!(google.ada("PUT", "/abcde", event).await.status, 200);
    assert_eq!(occurrences(&google, "").await.len(), 4);
}

#[tokio::test]
async fn c35_a_series_without_its_rule_is_a_single_event_and_its_exceptions_vanish() {
    let google = Google::start().await;
    series(&google).await;
    google.patch(SECOND, json!({"summary": "Other"})).await;
    let mut event = google.read("abcde").await;
    event.as_object_mut().unwrap().remove("recurrence");
    assert_eq!(google.ada("PUT", "/abcde", event).await.status, 200);
    assert_eq!(google.list("").await.ids(), ["abcde"]);
    assert!(google.read("abcde").await["recurrence"].is_null());
}

#[tokio::test]
async fn c36_a_series_and_its_exceptions_have_versions_of_their_own() {
    let google = Google::start().await;
    let etag = series(&google).await["etag"].as_str().unwrap().to_owned();
    google.patch(SECOND, json!({"summary": "Other"})).await;
    let path = "calendars/primary/events/abcde";
    let answer = google.call_with(ADA, "PATCH", path, json!({"location": "Room"}), &[("if-match", &etag)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn b24_an_event_that_moves_to_another_calendar_is_a_tombstone_where_it_was() {
    let google = Google::start().await;
    google.secondary("second@group.calendar.google.com");
    google.insert(meeting("abcde", "Review")).await;
    let token = google.list("").await.json["nextSyncToken"].as_str().unwrap().to_owned();
    let path = "/abcde/move?destination=second@group.calendar.google.com";
    assert_eq!(google.ada("POST", path, Value::Null).await.status, 200);
    let delta = google.list(&format!("syncToken={token}")).await;
    assert_eq!(delta.ids(), ["abcde"]);
    assert_eq!(delta.json["items"][0]["status"], "cancelled");
}

#[tokio::test]
async fn b29_ones_own_write_comes_back_like_any_other() {
    let google = Google::start().await;
    let token = google.list("").await.json["nextSyncToken"].as_str().unwrap().to_owned();
    google.insert(meeting("abcde", "Review")).await;
    assert_eq!(google.list(&format!("syncToken={token}")).await.ids(), ["abcde"]);
}

#[tokio::test]
async fn f10_f11_f12_exceptions_duplicates_and_split_off_series_carry_the_private_properties() {
    let google = Google::start().await;
    let tagged = json!({"extendedProperties": {"private": {"tag": "1"}}});
    google.insert(super::with_fields(weekly("abcde", "Review"), tagged)).await;
    let tag = |event: &Value| event["extendedProperties"]["private"]["tag"].clone();
    assert_eq!(tag(&google.patch(SECOND, json!({"summary": "Other"})).await), "1", "F10");
    let (copy, second_half) = google.core(|core| {
        let copy = crate::emulator::split::ui_duplicate(&mut core.world, ADA, "abcde").unwrap();
        (copy, crate::emulator::split::ui_split(&mut core.world, ADA, "abcde", "20260316T080000Z").unwrap())
    });
    assert_ne!(copy, "abcde");
    assert_eq!(tag(&google.read(&copy).await), "1", "F11");
    assert_eq!(second_half, "abcde_R20260316T080000");
    assert_eq!(tag(&google.read(&second_half).await), "1", "F12");
}

#[tokio::test]
async fn h11_without_a_word_on_it_an_event_blocks() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    google
        .insert(meeting_with(
            "fghij",
            json!({"transparency": "transparent", "start": {"dateTime": "2026-03-02T12:00:00+01:00"},
        "end": {"dateTime": "2026-03-02T13:00:00+01:00"}}),
        ))
        .await;
    let query = json!({"timeMin": "2026-03-02T00:00:00Z", "timeMax": "2026-03-03T00:00:00Z", "items": [{"id": ADA}]});
    let answer = google.call(ADA, "POST", "freeBusy", query).await;
    let busy = answer.json["calendars"][ADA]["busy"].as_array().unwrap();
    assert_eq!(busy.len(), 1, "{}", answer.text);
}
