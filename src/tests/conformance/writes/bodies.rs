//! What a body may carry: JSON types, values, times.

use serde_json::{Value, json};

use super::meeting_with;
use crate::tests::conformance::{Google, meeting};

#[tokio::test]
async fn wrong_json_types_are_refused_and_unknown_fields_ignored() {
    let google = Google::start().await;
    for fields in [
        json!({"summary": 1}),
        json!({"description": ["text"]}),
        json!({"start": "2026-03-02"}),
        json!({"start": {"dateTime": 5}}),
        json!({"end": []}),
        json!({"attendees": {"email": "a@x.example"}}),
        json!({"attendees": ["a@x.example"]}),
        json!({"attendees": [null]}),
        json!({"attendees": [{"email": "a@x.example", "optional": "yes"}]}),
        json!({"attendees": [{"email": "a@x.example", "additionalGuests": 1.5}]}),
        json!({"recurrence": "RRULE:FREQ=DAILY"}),
        json!({"recurrence": [1]}),
        json!({"reminders": {"useDefault": "true"}}),
        json!({"reminders": {"useDefault": false, "overrides": [{"method": "popup", "minutes": "10"}]}}),
        json!({"sequence": "1"}),
        json!({"sequence": 4_294_967_296_i64}),
        json!({"guestsCanModify": 1}),
        json!({"extendedProperties": {"private": {"a": 1}}}),
        json!({"extendedProperties": {"private": [["a", "1"]]}}),
        json!({"colorId": 5}),
        json!({"source": "https://a.example"}),
        json!({"privateCopy": "no"}),
    ] {
        let answer = google.ada("POST", "", meeting_with("abcde", fields.clone())).await;
        assert_eq!((answer.status, answer.reason()), (400, "invalid"), "{fields}");
    }
    assert_eq!(
        google.insert(meeting_with("abcde", json!({"futureField": [1, {"a": null}]}))).await.get("futureField"),
        None
    );
    for body in ["{", "[]", "\"text\""] {
        let request = crate::emulator::http::Request {
            method: "POST".into(),
            path: "/calendar/v3/calendars/primary/events".into(),
            headers: vec![("authorization".into(), "Bearer dev:ada@acme.example".into())],
            body: body.into(),
            ..Default::default()
        };
        let answer = google.core(|core| core.handle("http://here", &request));
        let crate::emulator::Answer::Reply(_, response) = answer else { panic!("an answer") };
        assert_eq!(response.status, 400, "{body}");
        assert!(String::from_utf8_lossy(&response.body).contains("parseError"));
    }
}

#[tokio::test]
async fn values_outside_googles_lists_are_refused() {
    let google = Google::start().await;
    for fields in [
        json!({"status": "deleted"}),
        json!({"transparency": "half"}),
        json!({"visibility": "secret"}),
        json!({"colorId": "12"}),
        json!({"colorId": "0"}),
        json!({"attendees": [{"email": "a@x.example", "responseStatus": "yes"}]}),
        json!({"attendees": [{"displayName": "A"}]}),
        json!({"attendees": [{"email": "no address"}]}),
        json!({"source": {"url": "ftp://a.example"}}),
        json!({"start": {"dateTime": "2026-03-02"}}),
        json!({"start": {"dateTime": "tomorrow"}}),
        json!({"start": {"date": "2026-02-30"}, "end": {"date": "2026-03-03"}}),
    ] {
        assert_eq!(google.ada("POST", "", meeting_with("abcde", fields.clone())).await.status, 400, "{fields}");
    }
    let files = |n: usize| json!({"attachments": vec![json!({"fileUrl": "https://drive.example/1"}); n]});
    let path = "?supportsAttachments=true";
    assert_eq!(google.ada("POST", path, meeting_with("abcde", files(26))).await.status, 400);
    let nameless = json!({"attachments": [{"title": "No address"}]});
    assert_eq!(google.ada("POST", path, meeting_with("abcde", nameless)).await.status, 400);
    assert_eq!(google.ada("POST", path, meeting_with("abcde", files(25))).await.status, 200);
    // Who does not support attachments neither sets nor clears them.
    let put = google.ada("PUT", "/abcde", meeting_with("abcde", files(1))).await.json;
    assert_eq!(put["attachments"].as_array().unwrap().len(), 25);
    let put = google.ada("PUT", &format!("/abcde{path}"), meeting("abcde", "Without")).await.json;
    assert_eq!(put.get("attachments"), None);
}

#[tokio::test]
async fn defaults_and_empty_values_read_as_absent() {
    let google = Google::start().await;
    let fields = json!({
        "summary": "", "description": "", "transparency": "opaque", "visibility": "default", "attendees": [],
        "guestsCanModify": false, "guestsCanInviteOthers": true, "guestsCanSeeOtherGuests": true, "recurrence": [],
        "anyoneCanAddSelf": false, "extendedProperties": {"private": {}},
    });
    let event = google.insert(meeting_with("abcde", fields.clone())).await;
    for name in fields.as_object().unwrap().keys() {
        assert_eq!(event.get(name), None, "{name}");
    }
    assert_eq!((&event["status"], &event["eventType"]), (&json!("confirmed"), &json!("default")));
    let said = json!({"guestsCanModify": true, "guestsCanInviteOthers": false, "guestsCanSeeOtherGuests": false});
    let event = google.patch("abcde", said.clone()).await;
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(&event[name], value, "{name}");
    }
}

fn stored(google: &Google, id: &str, name: &str) -> Value {
    google.core(|core| core.world.calendars[super::ADA].events[id].fields[name].clone())
}

#[tokio::test]
async fn m01_m02_m06_times_are_instants_with_a_zone() {
    let google = Google::start().await;
    let end = json!({"dateTime": "2026-07-03T10:00:00Z"});
    for (id, start, expected) in [
        ("plain", json!({"dateTime": "2026-07-02T09:00:00"}), ("2026-07-02T09:00:00+02:00", "Europe/Vienna")),
        (
            "local",
            json!({"dateTime": "2026-07-02T09:00:00", "timeZone": "Asia/Tokyo"}),
            ("2026-07-02T09:00:00+09:00", "Asia/Tokyo"),
        ),
        (
            "afar0",
            json!({"dateTime": "2026-07-02T09:00:00.987+02:00", "timeZone": "Asia/Tokyo"}),
            ("2026-07-02T16:00:00+09:00", "Asia/Tokyo"),
        ),
        (
            "gap00",
            json!({"dateTime": "2026-03-29T02:30:00", "timeZone": "Europe/Vienna"}),
            ("2026-03-29T03:30:00+02:00", "Europe/Vienna"),
        ),
    ] {
        google.insert(json!({"id": id, "start": start, "end": end})).await;
        assert_eq!(stored(&google, id, "start"), json!({"dateTime": expected.0, "timeZone": expected.1}), "{id}");
    }
}
