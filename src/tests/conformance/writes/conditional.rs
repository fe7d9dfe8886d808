//! Section E: conditional writes, PUT and PATCH.

use serde_json::{Value, json};

use super::{ADA, BOB, meeting_with};
use crate::tests::conformance::{Google, meeting};

#[tokio::test]
async fn e01_a_stale_etag_stops_every_write() {
    let google = Google::start().await;
    let stale = google.insert(meeting("abcde", "Review")).await["etag"].as_str().unwrap().to_owned();
    let fresh = google.patch("abcde", json!({"summary": "Other"})).await["etag"].as_str().unwrap().to_owned();
    let before = google.everything();
    let path = "calendars/primary/events/abcde";
    for method in ["PUT", "PATCH", "DELETE"] {
        let headers = [("if-match", stale.as_str())];
        let answer = google.call_with(ADA, method, path, meeting("abcde", "Mine"), &headers).await;
        assert_eq!((answer.status, answer.reason()), (412, "conditionNotMet"), "{method}");
        let error = &answer.json["error"]["errors"][0];
        assert_eq!((&error["locationType"], &error["location"]), (&json!("header"), &json!("If-Match")));
        assert_eq!(google.everything(), before, "{method}");
    }
    let headers = [("if-match", fresh.as_str())];
    assert_eq!(google.call_with(ADA, "DELETE", path, Value::Null, &headers).await.status, 204);
}

#[tokio::test]
async fn e02_a_star_matches_any_etag() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    let path = "calendars/primary/events/abcde";
    let answer = google.call_with(ADA, "PATCH", path, json!({"summary": "Other"}), &[("if-match", "*")]).await;
    assert_eq!((answer.status, &answer.json["summary"]), (200, &json!("Other")));
}

#[tokio::test]
async fn e05_a_write_moves_etag_and_updated_but_reminders_leave_updated() {
    let google = Google::start().await;
    let first = google.insert(meeting("abcde", "Review")).await;
    google.clock.advance(chrono::TimeDelta::seconds(10));
    let reminders = json!({"useDefault": false, "overrides": [{"method": "popup", "minutes": 10}]});
    let second = google.patch("abcde", json!({"reminders": reminders})).await;
    assert_eq!(first["updated"], second["updated"]);
    assert_ne!(first["etag"], second["etag"]);
    assert_eq!(second["reminders"], reminders);
    let third = google.patch("abcde", json!({"location": "Room"})).await;
    assert_ne!(second["updated"], third["updated"]);
    assert_ne!(second["etag"], third["etag"]);
}

#[tokio::test]
async fn e06_e07_a_put_replaces_everything() {
    let google = Google::start().await;
    let fields = json!({
        "description": "long", "location": "Room", "colorId": "3", "transparency": "transparent", "visibility": "private",
        "extendedProperties": {"private": {"a": "1"}, "shared": {"b": "2"}},
        "reminders": {"useDefault": false}, "guestsCanModify": true, "source": {"url": "https://a.example", "title": "A"},
        "attendees": [{"email": "eve@else.example"}],
    });
    let old = google.insert(meeting_with("abcde", fields.clone())).await;
    let put = google.ada("PUT", "/abcde", meeting("abcde", "Review")).await;
    assert_eq!(put.status, 200);
    for name in fields.as_object().unwrap().keys().filter(|name| *name != "reminders") {
        assert_eq!(put.json.get(name), None, "{name}");
    }
    assert_eq!(put.json["reminders"], json!({"useDefault": true}));
    for name in ["id", "iCalUID", "created", "creator", "organizer", "eventType"] {
        assert_eq!(put.json[name], old[name], "{name}");
    }
}

#[tokio::test]
async fn e08_e09_a_patch_changes_what_it_names_and_null_deletes() {
    let google = Google::start().await;
    let old = google.insert(meeting_with("abcde", json!({"description": "long", "location": "Room"}))).await;
    let new = google.patch("abcde", json!({"summary": "Other"})).await;
    for (name, value) in old.as_object().unwrap() {
        if !["etag", "updated", "summary"].contains(&name.as_str()) {
            assert_eq!(&new[name], value, "{name}");
        }
    }
    let new = google.patch("abcde", json!({"description": null})).await;
    assert_eq!((new.get("description"), &new["location"]), (None, &json!("Room")));
}

#[tokio::test]
async fn e10_a_patch_replaces_lists() {
    let google = Google::start().await;
    google
        .insert(meeting_with("abcde", json!({"attendees": [{"email": "a@x.example"}, {"email": "b@x.example"}]})))
        .await;
    let new = google.patch("abcde", json!({"attendees": [{"email": "c@x.example"}]})).await;
    assert_eq!(new["attendees"], json!([{"email": "c@x.example", "responseStatus": "needsAction"}]));
}

#[tokio::test]
async fn e11_a_patch_deletes_one_property_by_null() {
    let google = Google::start().await;
    let properties = json!({"private": {"a": "1", "b": "2"}, "shared": {"c": "3"}});
    google.insert(meeting_with("abcde", json!({"extendedProperties": properties}))).await;
    let new = google.patch("abcde", json!({"extendedProperties": {"private": {"a": null, "d": "4"}}})).await;
    assert_eq!(new["extendedProperties"], json!({"private": {"b": "2", "d": "4"}, "shared": {"c": "3"}}));
}

#[tokio::test]
async fn e12_to_become_all_day_the_time_must_be_nulled() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    let days = json!({"start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}});
    assert_eq!(google.ada("PATCH", "/abcde", days).await.status, 400);
    let new = google
        .patch(
            "abcde",
            json!({
                "start": {"date": "2026-03-02", "dateTime": null, "timeZone": null},
                "end": {"date": "2026-03-03", "dateTime": null, "timeZone": null},
            }),
        )
        .await;
    assert_eq!((&new["start"], &new["end"]), (&json!({"date": "2026-03-02"}), &json!({"date": "2026-03-03"})));
}

#[tokio::test]
async fn e13_what_only_the_server_sets_is_ignored() {
    let google = Google::start().await;
    let forged = json!({
        "created": "2000-01-01T00:00:00Z", "updated": "2000-01-01T00:00:00Z", "htmlLink": "https://forged.example",
        "creator": {"email": "forged@else.example"}, "organizer": {"email": "forged@else.example"}, "etag": "\"1\"",
        "kind": "forged", "hangoutLink": "https://forged.example", "locked": true, "neverHeardOf": {"a": [1]},
        "recurringEventId": "forged", "iCalUID": "forged@else.example",
    });
    let mut event = meeting_with("abcde", forged.clone());
    event.as_object_mut().unwrap().remove("iCalUID");
    let made = google.insert(event).await;
    let patched = google.patch("abcde", forged.clone()).await;
    let put = google.ada("PUT", "/abcde", meeting_with("zzzzz", forged)).await.json;
    for event in [made, patched, put] {
        assert!(!event.to_string().contains("forged"), "{event}");
        assert_eq!(event["created"], "2026-03-01T08:00:00.000Z");
        assert_eq!((&event["id"], event.get("locked")), (&json!("abcde"), None));
    }
}

fn asked(request: &str) -> Value {
    json!({"conferenceData": {"createRequest": {
        "requestId": request, "conferenceSolutionKey": {"type": "hangoutsMeet"},
    }}})
}

#[tokio::test]
async fn e14_a_put_that_knows_nothing_of_conferences_leaves_them() {
    let google = Google::start().await;
    google.ada("POST", "?conferenceDataVersion=1", meeting_with("abcde", asked("r1"))).await;
    let before = google.read("abcde").await;
    assert!(before["hangoutLink"].is_string());
    let put = google.ada("PUT", "/abcde", meeting("abcde", "Other")).await.json;
    assert_eq!((&put["conferenceData"], &put["hangoutLink"]), (&before["conferenceData"], &before["hangoutLink"]));
    assert_eq!(
        google.patch("abcde", json!({"conferenceData": null})).await["conferenceData"],
        before["conferenceData"]
    );
    let put = google.ada("PUT", "/abcde?conferenceDataVersion=1", meeting("abcde", "Other")).await.json;
    assert_eq!((put.get("conferenceData"), put.get("hangoutLink")), (None, None));
    // And without the version none is made.
    assert_eq!(google.insert(meeting_with("fghij", asked("r1"))).await.get("conferenceData"), None);
}

#[tokio::test]
async fn e15_a_conference_is_pending_first_and_made_later() {
    let google = Google::start().await;
    let answer = google.ada("POST", "?conferenceDataVersion=1", meeting_with("abcde", asked("r1"))).await.json;
    assert_eq!(answer["conferenceData"]["createRequest"]["status"]["statusCode"], "pending");
    assert_eq!(answer["conferenceData"].get("entryPoints"), None);
    let made = google.read("abcde").await["conferenceData"].clone();
    assert_eq!(made["createRequest"]["status"]["statusCode"], "success");
    assert!(made["entryPoints"][0]["uri"].as_str().unwrap().starts_with("https://meet.google.com/"));
    google.ada("PATCH", "/abcde?conferenceDataVersion=1", asked("r1")).await;
    assert_eq!(google.read("abcde").await["conferenceData"], made, "the same request is ignored");
    google.ada("PATCH", "/abcde?conferenceDataVersion=1", asked("r2")).await;
    assert_ne!(google.read("abcde").await["conferenceData"]["conferenceId"], made["conferenceId"]);
}

#[tokio::test]
async fn e16_colours_and_labels_by_version() {
    let google = Google::start().await;
    let both = json!({"colorId": "5", "eventLabelId": "label-1"});
    let plain = google.insert(meeting_with("abcde", both.clone())).await;
    assert_eq!((&plain["colorId"], plain.get("eventLabelId")), (&json!("5"), None));
    let labelled =
        google.ada("PATCH", "/abcde?eventLabelVersion=1", json!({"colorId": "6", "eventLabelId": "label-1"}));
    let labelled = labelled.await.json;
    assert_eq!((&labelled["colorId"], &labelled["eventLabelId"]), (&json!("5"), &json!("label-1")));
    let cleared = google.ada("PATCH", "/abcde?eventLabelVersion=1", json!({"eventLabelId": ""})).await.json;
    assert_eq!((&cleared["colorId"], cleared.get("eventLabelId")), (&json!("5"), None));
}

#[tokio::test]
async fn e17_reminders_have_limits() {
    let google = Google::start().await;
    let popup = |minutes: i64| json!({"method": "popup", "minutes": minutes});
    for (reminders, status) in [
        (json!({"useDefault": false, "overrides": vec![popup(1); 5]}), 200),
        (json!({"useDefault": false, "overrides": vec![popup(1); 6]}), 400),
        (json!({"useDefault": false, "overrides": [popup(40_320)]}), 200),
        (json!({"useDefault": false, "overrides": [popup(40_321)]}), 400),
        (json!({"useDefault": false, "overrides": [popup(-1)]}), 400),
        (json!({"useDefault": false, "overrides": [{"method": "pigeon", "minutes": 1}]}), 400),
        (json!({"useDefault": false, "overrides": [{"minutes": 1}]}), 400),
        (json!({"useDefault": true, "overrides": [popup(1)]}), 400),
    ] {
        let mut event = meeting_with("", json!({"reminders": reminders}));
        event.as_object_mut().unwrap().remove("id");
        assert_eq!(google.ada("POST", "", event).await.status, status, "{reminders}");
    }
}

#[tokio::test]
async fn e18_the_sequence_counts_changes_of_time() {
    let google = Google::start().await;
    assert_eq!(google.insert(meeting("abcde", "Review")).await["sequence"], 0);
    assert_eq!(google.patch("abcde", json!({"summary": "Other"})).await["sequence"], 0);
    assert_eq!(google.patch("abcde", json!({"end": {"dateTime": "2026-03-02T11:00:00+01:00"}})).await["sequence"], 1);
    // The same instant in other words is no change.
    assert_eq!(google.patch("abcde", json!({"end": {"dateTime": "2026-03-02T10:00:00Z"}})).await["sequence"], 1);
    assert_eq!(google.patch("abcde", json!({"sequence": 7})).await["sequence"], 7);
}

#[tokio::test]
async fn e19_a_refused_write_changes_nothing() {
    let google = Google::start().await;
    google.secondary("second@group.calendar.google.com");
    google.insert(super::invitation("abcde")).await;
    google.insert(meeting("fghij", "Gone")).await;
    google.ada("DELETE", "/fghij", Value::Null).await;
    let before = google.everything();
    let many: Value = (0..301).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    for (method, path, body) in [
        ("PATCH", "/abcde", json!({"start": null})),
        ("PATCH", "/abcde", json!({"summary": "X", "end": {"dateTime": "2026-03-02T08:00:00+01:00"}})),
        ("PATCH", "/abcde", json!({"summary": "X", "status": "perhaps"})),
        ("PATCH", "/abcde", json!({"summary": "X", "attendees": [{"displayName": "No address"}]})),
        ("PATCH", "/abcde", json!({"summary": "X", "attendees": [], "sequence": -1})),
        ("PATCH", "/abcde", json!({"attendees": [], "extendedProperties": {"private": many}})),
        ("PATCH", "/abcde", json!({"attendees": [], "recurrence": ["DTSTART:20260302T090000Z"]})),
        ("PATCH", "/abcde?conferenceDataVersion=1", json!({"attendees": [], "conferenceData": {"createRequest": {}}})),
        ("PATCH", "/abcde?sendUpdates=some", json!({"summary": "X"})),
        ("PUT", "/abcde", json!({"summary": "X"})),
        ("PUT", "/fghij", meeting("fghij", "Back")),
        ("POST", "", meeting("abcde", "Twice")),
        ("POST", "", meeting_with("klmno", json!({"eventType": "fromGmail"}))),
        ("POST", "/import", meeting("klmno", "With an id")),
        ("DELETE", "/fghij", Value::Null),
        ("POST", "/abcde/move?destination=nobody%40else.example", Value::Null),
    ] {
        let answer = google.ada(method, path, body.clone()).await;
        assert!((400..500).contains(&answer.status), "{method} {path} {body}: {}", answer.text);
        assert_eq!(google.everything(), before, "{method} {path} {body}");
    }
    let answer = google.bob("PATCH", "/abcde", json!({"summary": "X", "guestsCanModify": true})).await;
    assert_eq!((answer.status, google.everything()), (403, before));
}

#[tokio::test]
async fn e20_a_post_may_override_its_method() {
    let google = Google::start().await;
    google.insert(meeting_with("abcde", json!({"location": "Room"}))).await;
    let path = "calendars/primary/events/abcde";
    let headers = [("x-http-method-override", "PATCH")];
    let answer = google.call_with(ADA, "POST", path, json!({"summary": "Other"}), &headers).await;
    assert_eq!(
        (answer.status, &answer.json["summary"], &answer.json["location"]),
        (200, &json!("Other"), &json!("Room"))
    );
}

#[tokio::test]
async fn e22_parameters_are_checked_and_send_no_mail() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    for query in
        ["sendUpdates=all", "sendUpdates=externalOnly", "sendUpdates=none", "sendNotifications=true", "maxAttendees=1"]
    {
        assert_eq!(google.ada("PATCH", &format!("/abcde?{query}"), json!({"summary": query})).await.status, 200);
    }
    for (query, location) in [
        ("sendUpdates=some", "sendUpdates"),
        ("sendNotifications=1", "sendNotifications"),
        ("conferenceDataVersion=2", "conferenceDataVersion"),
        ("eventLabelVersion=one", "eventLabelVersion"),
        ("maxAttendees=0", "maxAttendees"),
        ("supportsAttachments=yes", "supportsAttachments"),
    ] {
        let answer = google.ada("PATCH", &format!("/abcde?{query}"), json!({"summary": "X"})).await;
        assert_eq!((answer.status, answer.reason()), (400, "invalidParameter"), "{query}");
        assert_eq!(answer.json["error"]["errors"][0]["location"], location);
    }
}

#[tokio::test]
async fn e23_m09_only_iana_zones_are_known() {
    let google = Google::start().await;
    for zone in ["W. Europe Standard Time", "Europe/Atlantis", ""] {
        let start = json!({"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": zone});
        let answer = google.ada("POST", "", meeting_with("abcde", json!({"start": start}))).await;
        assert_eq!((answer.status, answer.reason()), (400, "invalid"), "{zone}");
        assert_eq!(answer.json["error"]["message"], "Invalid time zone definition for start time.");
    }
}

#[tokio::test]
async fn a_write_shows_the_participant_alone_beyond_max_attendees() {
    let google = Google::start().await;
    google.insert(super::invitation("abcde")).await;
    let answer = google.ada("PATCH", "/abcde?maxAttendees=1", json!({"summary": "Other"})).await.json;
    assert_eq!(answer["attendees"].as_array().unwrap().len(), 1);
    assert_eq!((&answer["attendees"][0]["email"], &answer["attendeesOmitted"]), (&json!(ADA), &json!(true)));
    assert_eq!(super::answer_of(&google.read("abcde").await, BOB), "needsAction");
}
