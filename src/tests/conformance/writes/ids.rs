//! Section D: ids, insert, import, delete, move.

use serde_json::{Value, json};

use super::{ADA, BOB, meeting_with, with_fields};
use crate::{
    emulator::settings::Settings,
    tests::conformance::{Google, meeting},
};

#[tokio::test]
async fn d01_a_client_may_choose_the_id() {
    let google = Google::start().await;
    assert_eq!(google.insert(meeting("abcde", "Review")).await["id"], "abcde");
}

#[tokio::test]
async fn d02_an_id_outside_base32hex_is_refused() {
    let google = Google::start().await;
    for id in ["abcdw", "ABCDE", "abc-de", "abc_de", "abcd", &"a".repeat(1025)] {
        let answer = google.ada("POST", "", meeting(id, "Review")).await;
        assert_eq!((answer.status, answer.reason()), (400, "invalid"), "{id}");
        assert_eq!(answer.json["error"]["message"], "Invalid resource id value.");
    }
    assert_eq!(google.insert(meeting(&"v".repeat(1024), "Review")).await["status"], "confirmed");
}

#[tokio::test]
async fn d03_d26_an_id_that_is_there_is_refused_and_the_event_exists_once() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    let before = google.everything();
    let again = google.ada("POST", "", meeting("abcde", "Another")).await;
    assert_eq!((again.status, again.reason()), (409, "duplicate"));
    assert_eq!(google.everything(), before);
}

#[tokio::test]
async fn d04_an_id_stays_taken_after_deletion() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    assert_eq!(google.ada("DELETE", "/abcde", Value::Null).await.status, 204);
    let again = google.ada("POST", "", meeting("abcde", "Review")).await;
    assert_eq!((again.status, again.reason()), (409, "duplicate"));
}

#[tokio::test]
async fn d05_a_deleted_event_can_still_be_read() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    google.ada("DELETE", "/abcde", Value::Null).await;
    assert_eq!(google.read("abcde").await["status"], "cancelled");
}

#[tokio::test]
async fn d06_an_id_never_used_is_not_found() {
    let google = Google::start().await;
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = google.ada(method, "/abcde", meeting("abcde", "Review")).await;
        assert_eq!((answer.status, answer.reason()), (404, "notFound"), "{method}");
    }
}

#[tokio::test]
async fn d07_a_patch_with_status_revives_a_deleted_event() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    google.ada("DELETE", "/abcde", Value::Null).await;
    let revived = google.patch("abcde", json!({"status": "confirmed", "summary": "Again"})).await;
    assert_eq!(
        (&revived["id"], &revived["status"], &revived["summary"]),
        (&json!("abcde"), &json!("confirmed"), &json!("Again"))
    );
    assert_eq!(google.read("abcde").await["start"], revived["start"]);
}

#[tokio::test]
async fn d08_a_put_without_status_does_not_revive() {
    for put_revives in [false, true] {
        let google = Google::with_settings(Settings { put_revives, ..Settings::default() }).await;
        google.insert(meeting("abcde", "Review")).await;
        google.ada("DELETE", "/abcde", Value::Null).await;
        let put = google.ada("PUT", "/abcde", meeting("abcde", "Review")).await;
        let now = google.read("abcde").await["status"].clone();
        if put_revives {
            assert_eq!((put.status, now), (200, json!("confirmed")));
        } else {
            assert_eq!((put.status, put.reason(), now), (403, "forbidden", json!("cancelled")));
            let put = google.ada("PUT", "/abcde", meeting_with("abcde", json!({"status": "confirmed"}))).await;
            assert_eq!((put.status, &put.json["status"]), (200, &json!("confirmed")));
        }
    }
}

#[tokio::test]
async fn d09_a_patch_without_status_leaves_a_deleted_event_deleted() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    google.ada("DELETE", "/abcde", Value::Null).await;
    assert_eq!(google.patch("abcde", json!({"summary": "Other"})).await["status"], "cancelled");
}

#[tokio::test]
async fn d10_deleting_twice_is_gone() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    google.ada("DELETE", "/abcde", Value::Null).await;
    let again = google.ada("DELETE", "/abcde", Value::Null).await;
    assert_eq!((again.status, again.reason()), (410, "deleted"));
    assert_eq!(again.json["error"]["errors"][0]["domain"], "global");
}

#[tokio::test]
async fn d11_by_setting_a_collision_of_ids_goes_unseen() {
    let google = Google::with_settings(Settings { id_collision_undetected: true, ..Settings::default() }).await;
    google.insert(meeting("abcde", "One")).await;
    assert_eq!(google.insert(meeting("abcde", "Two")).await["summary"], "Two");
    google.clock.advance(chrono::TimeDelta::seconds(6));
    assert_eq!(google.ada("POST", "", meeting("abcde", "Three")).await.status, 409);
}

#[tokio::test]
async fn d12_an_ical_uid_on_the_calendar_cannot_be_inserted_again() {
    let google = Google::start().await;
    let mut event = meeting("abcde", "Review");
    event.as_object_mut().unwrap().remove("id");
    event["iCalUID"] = "review@elsewhere.example".into();
    let id = google.insert(event.clone()).await["id"].as_str().unwrap().to_owned();
    assert_eq!(google.ada("POST", "", event.clone()).await.status, 409);
    google.ada("DELETE", &format!("/{id}"), Value::Null).await;
    let tombstoned = google.ada("POST", "", event).await;
    assert_eq!((tombstoned.status, tombstoned.reason()), (409, "duplicate"));
}

fn import(fields: Value) -> Value {
    let mut event =
        with_fields(meeting("", "Review"), json!({"iCalUID": "u1@elsewhere.example", "location": "Room 1"}));
    event.as_object_mut().unwrap().remove("id");
    with_fields(event, fields)
}

#[tokio::test]
async fn d13_d14_d19_an_import_writes_the_whole_event_of_its_ical_uid() {
    let google = Google::start().await;
    let first = google.ada("POST", "/import", import(json!({}))).await.json;
    // base32hex of "u1@elsewhere.example".
    let expected = data_encoding::BASE32HEX_NOPAD.encode(b"u1@elsewhere.example").to_lowercase();
    assert_eq!(first["id"], format!("_{expected}"));
    let mut second = import(json!({"summary": "Moved"}));
    second.as_object_mut().unwrap().remove("location");
    let second = google.ada("POST", "/import", second).await;
    assert_eq!((second.status, &second.json["id"], &second.json["summary"]), (200, &first["id"], &json!("Moved")));
    assert_eq!(second.json.get("location"), None);
    // One that was inserted is found by its iCalUID, too.
    let native = google.insert(meeting("abcde", "Native")).await;
    let again = google.ada("POST", "/import", import(json!({"iCalUID": native["iCalUID"]}))).await;
    assert_eq!(again.json["id"], "abcde");
}

#[tokio::test]
async fn d15_an_import_has_no_id() {
    let google = Google::start().await;
    let answer = google.ada("POST", "/import", import(json!({"id": "abcde"}))).await;
    assert_eq!((answer.status, answer.reason()), (400, "invalid"));
    assert_eq!(answer.json["error"]["message"], "Invalid resource id value.");
    let mut nameless = import(json!({}));
    nameless.as_object_mut().unwrap().remove("iCalUID");
    assert_eq!(google.ada("POST", "/import", nameless).await.status, 400);
}

#[tokio::test]
async fn d16_an_import_must_concern_the_calendars_owner() {
    let google = Google::start().await;
    let fields = json!({"organizer": {"email": "eve@else.example"}, "attendees": [{"email": BOB}]});
    let answer = google.ada("POST", "/import", import(fields)).await;
    assert_eq!((answer.status, answer.reason()), (400, "participantIsNeitherOrganizerNorAttendee"));
}

#[tokio::test]
async fn d17_a_foreign_import_is_a_private_copy() {
    let google = Google::start().await;
    let fields = json!({
        "organizer": {"email": "Eve@else.example", "displayName": "Eve"},
        "attendees": [{"email": ADA, "responseStatus": "accepted"}, {"email": BOB}],
    });
    let answer = google.ada("POST", "/import", import(fields)).await;
    assert_eq!((answer.status, &answer.json["privateCopy"]), (200, &json!(true)));
    assert_eq!(answer.json["organizer"]["email"], "eve@else.example");
    let id = answer.json["id"].as_str().unwrap();
    assert_eq!(google.bob("GET", &format!("/{id}"), Value::Null).await.status, 404, "nobody is told");
    // On such a copy only the own answer is one's to give.
    let attendees = json!([{"email": ADA, "responseStatus": "declined"}, {"email": BOB, "responseStatus": "accepted"}]);
    let patched = google.patch(id, json!({"attendees": attendees})).await;
    assert_eq!(super::answer_of(&patched, ADA), "declined");
    assert_eq!(super::answer_of(&patched, BOB), "needsAction");
}

#[tokio::test]
async fn d18_an_import_of_ones_own_event_is_no_private_copy() {
    let google = Google::start().await;
    let fields = json!({"organizer": {"email": ADA}, "attendees": [{"email": BOB}], "privateCopy": true});
    let answer = google.ada("POST", "/import", import(fields)).await;
    assert_eq!((answer.status, answer.json.get("privateCopy")), (200, None));
    let id = answer.json["id"].as_str().unwrap();
    assert_eq!(google.bob("GET", &format!("/{id}"), Value::Null).await.status, 404, "an import invites nobody");
    google.patch(id, json!({"summary": "Now with guests"})).await;
    assert_eq!(google.bobs(id).await["summary"], "Now with guests");
}

#[tokio::test]
async fn d20_an_imported_event_is_of_the_default_type() {
    let google = Google::start().await;
    let fields = json!({"eventType": "focusTime", "focusTimeProperties": {"chatStatus": "doNotDisturb"}});
    let answer = google.ada("POST", "/import", import(fields)).await;
    assert_eq!((answer.status, &answer.json["eventType"]), (200, &json!("default")));
    assert_eq!(answer.json.get("focusTimeProperties"), None);
}

#[tokio::test]
async fn an_import_over_a_tombstone_revives_it_unless_the_setting_says_otherwise() {
    for import_revives in [true, false] {
        let google = Google::with_settings(Settings { import_revives, ..Settings::default() }).await;
        let id = google.ada("POST", "/import", import(json!({}))).await.json["id"].as_str().unwrap().to_owned();
        google.ada("DELETE", &format!("/{id}"), Value::Null).await;
        let again = google.ada("POST", "/import", import(json!({}))).await;
        let (status, now) = if import_revives { (200, "confirmed") } else { (409, "cancelled") };
        assert_eq!((again.status, &google.read(&id).await["status"]), (status, &json!(now)));
    }
}

#[tokio::test]
async fn d21_a_sequence_does_not_go_back() {
    let google = Google::start().await;
    google.insert(meeting_with("abcde", json!({"sequence": 3}))).await;
    for (method, path, body) in [
        ("PUT", "/abcde", meeting_with("abcde", json!({"sequence": 2}))),
        ("PATCH", "/abcde", json!({"sequence": 2})),
        ("POST", "/import", import(json!({"iCalUID": "abcde@google.com", "sequence": 2}))),
    ] {
        let answer = google.ada(method, path, body).await;
        assert_eq!((answer.status, answer.reason()), (400, "invalid"), "{method}");
        assert!(answer.json["error"]["message"].as_str().unwrap().starts_with("Invalid sequence value. "), "{method}");
    }
    // A PUT without one is fine.
    assert_eq!(google.ada("PUT", "/abcde", meeting("abcde", "Review")).await.json["sequence"], 3);
}

#[tokio::test]
async fn d22_start_and_end_are_required() {
    let google = Google::start().await;
    for (name, message) in [("start", "Missing start time."), ("end", "Missing end time.")] {
        let mut event = meeting("abcde", "Review");
        event.as_object_mut().unwrap().remove(name);
        let answer = google.ada("POST", "", event).await;
        assert_eq!((answer.status, answer.reason()), (400, "required"));
        assert_eq!(answer.json["error"]["message"], message);
    }
}

#[tokio::test]
async fn d23_m05_an_empty_time_range_is_refused() {
    let google = Google::start().await;
    google.insert(meeting("fghij", "Review")).await;
    let start = json!({"dateTime": "2026-03-02T09:00:00+01:00"});
    for (start, end) in [
        (start.clone(), start.clone()),
        (start, json!({"dateTime": "2026-03-02T07:59:00Z"})),
        (json!({"date": "2026-03-02"}), json!({"date": "2026-03-02"})),
    ] {
        for (method, path) in [("POST", ""), ("PUT", "/fghij")] {
            let answer = google.ada(method, path, json!({"start": start, "end": end})).await;
            assert_eq!((answer.status, answer.reason()), (400, "timeRangeEmpty"));
            assert_eq!(answer.json["error"]["errors"][0]["domain"], "calendar");
        }
    }
}

#[tokio::test]
async fn d24_a_day_and_an_instant_do_not_go_together() {
    let google = Google::start().await;
    let answer = google.ada("POST", "", meeting_with("abcde", json!({"start": {"date": "2026-03-02"}}))).await;
    assert_eq!((answer.status, answer.reason()), (400, "invalid"));
}

#[tokio::test]
async fn d25_d30_without_an_id_each_insert_makes_an_event_with_an_id_of_26_characters() {
    let google = Google::start().await;
    let mut event = meeting("", "Review");
    event.as_object_mut().unwrap().remove("id");
    let (one, two) = (google.insert(event.clone()).await, google.insert(event).await);
    assert_ne!(one["id"], two["id"]);
    let id = one["id"].as_str().unwrap();
    assert_eq!(id.len(), 26);
    assert!(id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'v').contains(&b)), "{id}");
    assert_eq!(one["iCalUID"], format!("{id}@google.com"));
}

#[tokio::test]
async fn d27_a_move_keeps_the_id_changes_the_organizer_and_leaves_a_tombstone() {
    let google = Google::start().await;
    google.secondary("second@group.calendar.google.com");
    google.insert(super::invitation("abcde")).await;
    let target = "/abcde/move?destination=second%40group.calendar.google.com";
    let moved = google.ada("POST", target, Value::Null).await;
    assert_eq!((moved.status, &moved.json["id"]), (200, &json!("abcde")), "{}", moved.text);
    assert_eq!(moved.json["organizer"]["email"], "second@group.calendar.google.com");
    let bob = google.bobs("abcde").await;
    assert_eq!(bob["organizer"]["email"], "second@group.calendar.google.com");
    // Who had organized it is among its guests, and so keeps a copy.
    assert_eq!(google.read("abcde").await["status"], "confirmed");

    google.insert(meeting("fghij", "Alone")).await;
    google.ada("POST", "/fghij/move?destination=second%40group.calendar.google.com", Value::Null).await;
    let tombstone = google.read("fghij").await;
    assert_eq!((&tombstone["status"], tombstone.get("summary")), (&json!("cancelled"), None));
    assert_eq!(google.ada("POST", "/abcde/move", Value::Null).await.status, 400, "where to?");
}

#[tokio::test]
async fn d28_only_default_events_can_be_moved() {
    let google = Google::start().await;
    google.secondary("second@group.calendar.google.com");
    google.insert(super::kinds::working_location("abcde")).await;
    let before = google.everything();
    let target = "/abcde/move?destination=second%40group.calendar.google.com";
    let answer = google.ada("POST", target, Value::Null).await;
    assert_eq!((answer.status, answer.reason()), (400, "cannotChangeOrganizer"));
    assert_eq!(google.everything(), before);
}
