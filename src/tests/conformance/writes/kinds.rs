//! Section H: descriptions and event types.

use serde_json::{Value, json};

use super::{ADA, BOB, meeting_with, with_fields};
use crate::tests::conformance::{Google, meeting};

const DELIMITER: &str =
    "-::~:~::~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~::~:~::-";

#[tokio::test]
async fn h01_google_removes_its_conference_block_from_descriptions() {
    let google = Google::start().await;
    let block = format!("{DELIMITER}\nJoin: https://meet.google.com/abc\n{DELIMITER}");
    let event = google.insert(meeting_with("abcde", json!({"description": format!("Agenda\n\n{block}")}))).await;
    assert_eq!(event["description"], "Agenda");
    let event = google.patch("abcde", json!({"description": format!("Before\n{block}\nAfter")})).await;
    assert_eq!(event["description"], "Before\n\nAfter");
    let event = google.patch("abcde", json!({"description": block})).await;
    assert_eq!(event.get("description"), None);
    for text in ["-::~:~::- half a delimiter", DELIMITER, "-::~:~::~ and more"] {
        assert_eq!(google.patch("abcde", json!({"description": text})).await["description"], text);
    }
    // Where there is a conference, the block is at home.
    let conference =
        json!({"conferenceId": "abc", "entryPoints": [{"entryPointType": "video", "uri": "https://a.example"}]});
    let body = meeting_with("fghij", json!({"description": block, "conferenceData": conference}));
    assert_eq!(google.ada("POST", "?conferenceDataVersion=1", body).await.json["description"], block);
}

#[tokio::test]
async fn h02_markup_is_stored_unchanged() {
    let google = Google::start().await;
    let html = "<p>Agenda &amp; <b>notes</b></p><script>x</script>\n";
    assert_eq!(google.insert(meeting_with("abcde", json!({"description": html}))).await["description"], html);
}

fn out_of_office(id: &str) -> Value {
    meeting_with(
        id,
        json!({
            "eventType": "outOfOffice",
            "outOfOfficeProperties": {"autoDeclineMode": "declineAllConflictingInvitations", "declineMessage": "Away"},
        }),
    )
}

fn focus_time(id: &str) -> Value {
    meeting_with(id, json!({"eventType": "focusTime", "focusTimeProperties": {"chatStatus": "doNotDisturb"}}))
}

/// A valid day at home.
pub fn working_location(id: &str) -> Value {
    meeting_with(
        id,
        json!({
            "eventType": "workingLocation", "visibility": "public", "transparency": "transparent",
            "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"},
            "workingLocationProperties": {"type": "homeOffice", "homeOffice": {}},
        }),
    )
}

fn birthday(id: &str) -> Value {
    meeting_with(
        id,
        json!({
            "eventType": "birthday", "visibility": "private", "transparency": "transparent",
            "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}, "recurrence": ["RRULE:FREQ=YEARLY"],
        }),
    )
}

/// Refuses each of `changes` laid over `event`, by POST, and by PATCH of the event once it is there.
async fn refused(event: Value, reason: &str, changes: &[Value]) {
    let google = Google::start().await;
    for change in changes {
        let answer = google.ada("POST", "", with_fields(event.clone(), change.clone())).await;
        assert_eq!((answer.status, answer.reason()), (400, reason), "POST {change}");
    }
    let id = google.insert(event).await["id"].as_str().unwrap().to_owned();
    for change in changes {
        let answer = google.ada("PATCH", &format!("/{id}"), change.clone()).await;
        assert_eq!((answer.status, answer.reason()), (400, reason), "PATCH {change}");
    }
}

fn all_day() -> Value {
    json!({
        "start": {"date": "2026-03-02", "dateTime": null, "timeZone": null},
        "end": {"date": "2026-03-03", "dateTime": null, "timeZone": null},
    })
}

#[tokio::test]
async fn h03_h04_an_absence_is_timed_opaque_and_without_guests_or_text() {
    refused(
        out_of_office("abcde"),
        "malformedOutOfOfficeEvent",
        &[
            all_day(),
            json!({"attendees": [{"email": BOB}]}),
            json!({"description": "On holiday"}),
            json!({"transparency": "transparent"}),
            json!({"outOfOfficeProperties": null}),
            json!({"outOfOfficeProperties": {"autoDeclineMode": "perhaps"}}),
        ],
    )
    .await;
    let google = Google::start().await;
    let event = google.insert(out_of_office("abcde")).await;
    assert_eq!(event["organizer"]["email"], "unknownorganizer@calendar.google.com");
    assert_eq!(google.patch("abcde", json!({"summary": "Away"})).await["eventType"], "outOfOffice");
}

#[tokio::test]
async fn h05_focus_time_is_opaque_and_timed() {
    refused(
        focus_time("abcde"),
        "malformedFocusTimeEvent",
        &[json!({"transparency": "transparent"}), all_day(), json!({"focusTimeProperties": {"chatStatus": "asleep"}})],
    )
    .await;
}

#[tokio::test]
async fn h06_a_working_location_is_public_transparent_and_one_day_long() {
    refused(
        working_location("abcde"),
        "malformedWorkingLocationEvent",
        &[
            json!({"visibility": "private"}),
            json!({"visibility": "default"}),
            json!({"transparency": "opaque"}),
            json!({"end": {"date": "2026-03-04"}}),
            json!({"workingLocationProperties": {"type": "elsewhere"}}),
        ],
    )
    .await;
}

#[tokio::test]
async fn h07_status_events_belong_on_primary_calendars() {
    let google = Google::start().await;
    google.secondary("second@group.calendar.google.com");
    let path = "calendars/second%40group.calendar.google.com/events";
    for event in [out_of_office("abcde"), focus_time("abcde"), working_location("abcde"), birthday("abcde")] {
        let answer = google.call(ADA, "POST", path, event.clone()).await;
        assert_eq!((answer.status, answer.reason()), (400, "eventTypeRestriction"), "{event}");
    }
    assert_eq!(google.call(ADA, "POST", path, meeting("abcde", "Review")).await.status, 200);
}

#[tokio::test]
async fn h08_a_birthday_recurs_every_year() {
    let google = Google::start().await;
    for change in [
        json!({"recurrence": ["RRULE:FREQ=MONTHLY"]}),
        json!({"recurrence": []}),
        json!({"recurrence": ["RRULE:FREQ=YEARLY;COUNT=3"]}),
        json!({"visibility": "public"}),
        json!({"transparency": "opaque"}),
        json!({"end": {"date": "2026-03-04"}}),
        json!({"location": "Home"}),
        json!({"birthdayProperties": {"type": "anniversary"}}),
    ] {
        let answer = google.ada("POST", "", with_fields(birthday("abcde"), change.clone())).await;
        assert_eq!((answer.status, answer.reason()), (400, "malformedBirthdayEvent"), "{change}");
    }
    assert_eq!(google.insert(birthday("abcde")).await["birthdayProperties"], json!({"type": "birthday"}));
    let leap = json!({
        "start": {"date": "2024-02-29"}, "end": {"date": "2024-03-01"},
        "recurrence": ["RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1"],
    });
    assert_eq!(google.ada("POST", "", with_fields(birthday("fghij"), leap)).await.status, 200);
    assert_eq!(google.patch("abcde", json!({"summary": "Bob", "colorId": "2"})).await["summary"], "Bob");
    let moved = json!({"start": {"date": "2026-03-05"}, "end": {"date": "2026-03-06"}});
    assert_eq!(google.patch("abcde", moved).await["start"]["date"], "2026-03-05");
    let answer = google.ada("PATCH", "/abcde", json!({"location": "Home"})).await;
    assert_eq!((answer.status, answer.reason()), (400, "eventTypeRestriction"));
}

#[tokio::test]
async fn h09_events_from_gmail_are_googles() {
    let google = Google::start().await;
    let event = meeting_with("abcde", json!({"eventType": "fromGmail"}));
    let answer = google.ada("POST", "", event.clone()).await;
    assert_eq!((answer.status, answer.reason()), (400, "eventTypeRestriction"));
    google.core(|core| {
        let event = event.as_object().unwrap().clone();
        crate::emulator::write::seed(&mut core.world, ADA, event).unwrap();
    });
    for change in [json!({"summary": "Flight"}), json!({"location": "Airport"}), all_day()] {
        let answer = google.ada("PATCH", "/abcde", change.clone()).await;
        assert_eq!((answer.status, answer.reason()), (400, "eventTypeRestriction"), "{change}");
    }
    let changes = json!({
        "colorId": "4", "visibility": "private", "transparency": "transparent", "reminders": {"useDefault": false},
        "extendedProperties": {"private": {"a": "1"}},
    });
    let patched = google.patch("abcde", changes.clone()).await;
    for (name, value) in changes.as_object().unwrap() {
        assert_eq!(&patched[name], value, "{name}");
    }
    assert_eq!(google.ada("DELETE", "/abcde", Value::Null).await.status, 204);
}

#[tokio::test]
async fn h10_the_event_type_never_changes() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    let patched = google.patch("abcde", json!({"eventType": "focusTime", "focusTimeProperties": {}})).await;
    assert_eq!((&patched["eventType"], patched.get("focusTimeProperties")), (&json!("default"), None));
    let put = google.ada("PUT", "/abcde", focus_time("abcde")).await.json;
    assert_eq!(put["eventType"], "default");
}

#[tokio::test]
async fn h12_a_type_nobody_knows_cannot_be_written_but_can_be_held() {
    let google = Google::start().await;
    let event = meeting_with("abcde", json!({"eventType": "siesta"}));
    let answer = google.ada("POST", "", event.clone()).await;
    assert_eq!((answer.status, answer.reason()), (400, "invalidEventType"));
    google.core(|core| {
        let event = event.as_object().unwrap().clone();
        crate::emulator::write::seed(&mut core.world, ADA, event).unwrap();
    });
    assert_eq!(google.read("abcde").await["eventType"], "siesta");
}
