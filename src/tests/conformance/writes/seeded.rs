//! What a seed may put on a calendar beyond what clients can write.

use serde_json::{Value, json};

use super::{ADA, BOB, answer_of, meeting_with, with_fields};
use crate::{
    emulator::{http::ApiError, write},
    tests::conformance::{Google, meeting, weekly},
};

fn seed(google: &Google, event: Value) -> Result<String, ApiError> {
    google.core(|core| write::seed(&mut core.world, ADA, event.as_object().unwrap().clone()))
}

#[tokio::test]
async fn a_seed_knows_ids_and_histories_that_no_client_can_write() {
    let google = Google::start().await;
    let event = meeting_with(
        "base_R20260302T080000",
        json!({
            "iCalUID": "else@where.example", "organizer": {"email": "Eve@Else.example"}, "sequence": 4,
            "attendees": [{"email": ADA, "responseStatus": "tentative"}, {"email": BOB}],
            "created": "2020-01-01T00:00:00.000Z", "creator": {"email": "eve@else.example"},
        }),
    );
    assert_eq!(seed(&google, event).unwrap(), "base_R20260302T080000");
    let event = google.read("base_R20260302T080000").await;
    assert_eq!(event["iCalUID"], "else@where.example");
    assert_eq!((&event["organizer"]["email"], &event["sequence"]), (&json!("eve@else.example"), &json!(4)));
    assert_eq!((&event["created"], answer_of(&event, ADA)), (&json!("2020-01-01T00:00:00.000Z"), "tentative"));
    assert_eq!(google.bob("GET", "/base_R20260302T080000", Value::Null).await.status, 404, "Eve's to propagate");
}

#[tokio::test]
async fn a_seed_of_ones_own_invites_guests_and_fills_what_is_missing() {
    let google = Google::start().await;
    let mut event = super::invitation("");
    event.as_object_mut().unwrap().remove("id");
    let id = seed(&google, event).unwrap();
    let event = google.read(&id).await;
    assert_eq!((id.len(), &event["iCalUID"]), (26, &json!(format!("{id}@google.com"))));
    assert_eq!((&event["organizer"]["email"], &event["creator"]["email"]), (&json!(ADA), &json!(ADA)));
    assert_eq!((&event["sequence"], &event["created"]), (&json!(0), &json!("2026-03-01T08:00:00.000Z")));
    assert_eq!(google.bobs(&id).await["organizer"]["email"], ADA);
}

#[tokio::test]
async fn a_seed_gives_exceptions_by_their_slot() {
    let google = Google::start().await;
    seed(&google, weekly("abcde", "Review")).unwrap();
    let slot = |day: &str| json!({"dateTime": format!("2026-03-{day}T08:00:00Z")});
    let moved =
        meeting_with("", json!({"recurringEventId": "abcde", "originalStartTime": slot("09"), "summary": "Moved"}));
    let mut moved = moved;
    moved.as_object_mut().unwrap().remove("id");
    assert_eq!(seed(&google, moved).unwrap(), "abcde_20260309T080000Z");
    let gone = json!({"recurringEventId": "abcde", "originalStartTime": slot("16"), "status": "cancelled"});
    assert_eq!(seed(&google, gone).unwrap(), "abcde_20260316T080000Z");
    let instances = google.ada("GET", "/abcde/instances?maxResults=3", Value::Null).await;
    assert_eq!(instances.ids(), ["abcde_20260302T080000Z", "abcde_20260309T080000Z", "abcde_20260323T080000Z"]);
    assert_eq!(google.read("abcde_20260309T080000Z").await["iCalUID"], "abcde@google.com");
    assert_eq!(google.patch("abcde_20260316T080000Z", json!({"status": "confirmed"})).await["summary"], "Review");
    // Without its master, too.
    let alone =
        meeting_with("other_20260309T080000Z", json!({"recurringEventId": "other", "originalStartTime": slot("09")}));
    assert_eq!(seed(&google, alone).unwrap(), "other_20260309T080000Z");
}

#[tokio::test]
async fn a_seed_may_hold_deleted_events_and_shapes_that_google_only_shows() {
    let google = Google::start().await;
    seed(&google, json!({"id": "gone0", "status": "cancelled"})).unwrap();
    assert_eq!(google.read("gone0").await["status"], "cancelled");
    let end = json!({"end": {"dateTime": "2026-03-02T09:00:00+01:00"}});
    seed(&google, with_fields(meeting("empty", "Nothing"), end)).unwrap();
    for (id, kind, of_type) in [
        ("away0", "outOfOffice", json!({})),
        ("focus", "focusTime", json!({})),
        ("place", "workingLocation", json!({})),
        ("gmail", "fromGmail", json!({"endTimeUnspecified": true})),
        (
            "birth",
            "birthday",
            json!({
                "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}, "recurrence": ["RRULE:FREQ=YEARLY"],
                "birthdayProperties": {"type": "anniversary", "contact": "people/c1"},
            }),
        ),
    ] {
        seed(&google, with_fields(meeting_with(id, json!({"eventType": kind})), of_type)).unwrap();
        assert_eq!(google.read(id).await["eventType"], kind);
    }
    assert_eq!(google.read("away0").await["organizer"]["email"], "unknownorganizer@calendar.google.com");
    assert_eq!(google.read("place").await["transparency"], "transparent");
}

#[tokio::test]
async fn a_seed_that_cannot_be_is_refused_and_changes_nothing() {
    let google = Google::start().await;
    seed(&google, meeting("abcde", "Review")).unwrap();
    let before = google.everything();
    for (status, event) in [
        (409, meeting("abcde", "Again")),
        (400, meeting("has space", "Review")),
        (400, json!({"id": "fghij", "summary": "When?"})),
        (400, json!({"recurringEventId": "abcde", "status": "cancelled"})),
        (400, meeting_with("fghij", json!({"summary": 5}))),
        (400, meeting_with("fghij", json!({"recurrence": ["DTSTART:20260302T080000Z"]}))),
        (400, meeting_with("fghij", json!({"eventType": "outOfOffice", "description": "Away"}))),
    ] {
        assert_eq!(seed(&google, event.clone()).unwrap_err().status, status, "{event}");
    }
    assert_eq!(google.everything(), before);
    let unknown = google.core(|core| write::seed(&mut core.world, "nobody@else.example", Default::default()));
    assert_eq!(unknown.unwrap_err().status, 404);
}
