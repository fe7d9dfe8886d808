//! Who may not write what: access to the calendar (I02, I03), locked events (G16), what only an organizer says (G05, G07),
//! and types of events that keep their form (H03–H09) also in one occurrence.

use serde_json::{Value, json};

use super::{ADA, BOB, invitation, meeting_with, with_fields};
use crate::{
    emulator::{settings::Settings, state::Role, write},
    tests::conformance::{Google, meeting, weekly},
};

/// The second occurrence of [`weekly`] `abcde`.
const SECOND: &str = "abcde_20260309T080000Z";

impl Google {
    /// Gives bob@acme.example a role on ada@acme.example's calendar.
    fn admit(&self, role: Option<Role>) {
        self.core(|core| {
            let acl = &mut core.world.calendars.get_mut(ADA).unwrap().acl;
            match role {
                Some(role) => acl.insert(BOB.into(), role),
                None => acl.remove(BOB),
            }
        });
    }

    /// bob@acme.example's call on ada@acme.example's calendar; `path` follows `events`.
    async fn at_adas(&self, method: &str, path: &str, body: Value) -> super::Answer {
        self.call(BOB, method, &format!("calendars/{ADA}/events{path}"), body).await
    }

    /// Puts an event on ada@acme.example's calendar that no client could write.
    fn hold(&self, event: Value) {
        self.core(|core| write::seed(&mut core.world, ADA, event.as_object().unwrap().clone())).unwrap();
    }

    /// Insists that ada@acme.example's PATCH is refused and leaves everything as it was.
    async fn refuses(&self, id: &str, change: Value, status: u16, reason: &str) {
        let before = self.everything();
        let answer = self.ada("PATCH", &format!("/{id}"), change.clone()).await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{id} {change}: {}", answer.text);
        assert_eq!(self.everything(), before, "{id} {change}");
    }
}

#[tokio::test]
async fn i03_writing_needs_writer_access() {
    for role in [Role::FreeBusyReader, Role::Reader] {
        let google = Google::start().await;
        google.insert(weekly("abcde", "Review")).await;
        google.admit(Some(role));
        assert_eq!(google.at_adas("GET", "", Value::Null).await.json["accessRole"], role.name());
        let before = google.everything();
        for (method, path) in [
            ("POST", ""),
            ("POST", "/import"),
            ("PUT", "/abcde"),
            ("PATCH", "/abcde"),
            ("PATCH", &format!("/{SECOND}")),
            ("DELETE", "/abcde"),
            ("DELETE", &format!("/{SECOND}")),
            ("POST", "/abcde/move?destination=primary"),
        ] {
            let answer = google.at_adas(method, path, meeting("fghij", "Mine")).await;
            assert_eq!((answer.status, answer.reason()), (403, "requiredAccessLevel"), "{method} {path}");
            assert_eq!(answer.json["error"]["errors"][0]["domain"], "calendar");
            assert_eq!(answer.json["error"]["message"], "You need to have writer access to this calendar.");
        }
        assert_eq!(google.everything(), before);
    }
}

#[tokio::test]
async fn i02_who_lost_a_calendar_finds_nothing_to_write() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    google.admit(Some(Role::Writer));
    assert_eq!(google.at_adas("PATCH", "/abcde", json!({"summary": "Other"})).await.status, 200);
    google.admit(None);
    for (method, path) in [("GET", ""), ("POST", ""), ("PUT", "/abcde"), ("PATCH", "/abcde"), ("DELETE", "/abcde")] {
        let answer = google.at_adas(method, path, meeting("fghij", "Mine")).await;
        assert_eq!((answer.status, answer.reason()), (404, "notFound"), "{method} {path}");
    }
}

#[tokio::test]
async fn h13_a_writer_without_private_access_neither_sees_nor_changes_private_events() {
    let google = Google::start().await;
    google.insert(meeting("abcde", "Review")).await;
    google.insert(meeting_with("fghij", json!({"visibility": "private", "description": "Details"}))).await;
    google.admit(Some(Role::WriterWithoutPrivateAccess));
    let listed = google.at_adas("GET", "", Value::Null).await.json;
    assert_eq!(listed["accessRole"], "writerWithoutPrivateAccess");
    let summaries: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item.get("summary")).collect();
    assert_eq!(summaries, [Some(&json!("Review")), None]);
    assert_eq!(google.at_adas("PATCH", "/abcde", json!({"summary": "Other"})).await.status, 200);
    assert_eq!(google.at_adas("POST", "", meeting("klmno", "Mine")).await.status, 200);
    let before = google.everything();
    for method in ["PUT", "PATCH", "DELETE"] {
        let answer = google.at_adas(method, "/fghij", meeting("fghij", "Mine")).await;
        assert_eq!((answer.status, answer.reason()), (403, "forbidden"), "{method}");
    }
    assert_eq!(google.everything(), before);
}

#[tokio::test]
async fn g16_a_locked_event_keeps_its_main_fields() {
    let google = Google::start().await;
    google.hold(meeting_with("fghij", json!({"locked": true})));
    google.hold(with_fields(weekly("abcde", "Series"), json!({"locked": true, "attendees": [{"email": ADA}]})));
    let time = |time: &str| json!({"dateTime": format!("2026-03-02T{time}:00+01:00")});
    for change in [
        json!({"summary": "X"}),
        json!({"description": "X"}),
        json!({"location": "X"}),
        json!({"start": time("08:00")}),
        json!({"end": time("11:00")}),
        json!({"recurrence": ["RRULE:FREQ=DAILY"]}),
    ] {
        google.refuses("fghij", change.clone(), 403, "forbidden").await;
        if change.get("start").is_none() && change.get("end").is_none() && change.get("recurrence").is_none() {
            google.refuses(SECOND, change, 403, "forbidden").await;
        }
    }
    google.refuses("abcde", json!({"recurrence": null}), 403, "forbidden").await;
    let put = google.ada("PUT", "/fghij", meeting("fghij", "Other")).await;
    assert_eq!((put.status, put.reason()), (403, "forbidden"));
    assert_eq!(google.ada("PUT", "/fghij", meeting("fghij", "Review")).await.status, 200, "nothing main has changed");
    // What is not main changes freely, and answers are given.
    let own = json!({"colorId": "3", "extendedProperties": {"private": {"a": "1"}}});
    assert_eq!(google.patch("fghij", own).await["locked"], true);
    let answer = json!({"attendees": [{"email": ADA, "responseStatus": "declined"}]});
    assert_eq!(super::answer_of(&google.patch(SECOND, answer).await, ADA), "declined");
    assert_eq!(google.ada("DELETE", "/fghij", Value::Null).await.status, 204);
}

#[tokio::test]
async fn g05_with_guests_can_modify_a_guest_moves_one_occurrence_for_everybody() {
    for guest_edits_flow in [true, false] {
        let google = Google::with_settings(Settings { guest_edits_flow, ..Settings::default() }).await;
        let fields = json!({"guestsCanModify": true, "attendees": [{"email": BOB}]});
        google.insert(with_fields(weekly("abcde", "Review"), fields)).await;
        let time = |time: &str| json!({"dateTime": format!("2026-03-10T{time}:00+01:00")});
        let moved = json!({"start": time("14:00"), "end": time("15:00"), "location": "Room"});
        assert_eq!(google.bob("PATCH", &format!("/{SECOND}"), moved).await.status, 200);
        let there = "2026-03-10T14:00:00+01:00";
        assert_eq!(google.bobs(SECOND).await["start"]["dateTime"], there);
        let organizers = google.read(SECOND).await;
        let expected = if guest_edits_flow { there } else { "2026-03-09T09:00:00+01:00" };
        assert_eq!(organizers["start"]["dateTime"], expected);
        assert_eq!(organizers.get("location").is_some(), guest_edits_flow);
        assert_eq!(google.read("abcde").await.get("location"), None, "the series stays as it is");
        // The guest's deletion is a declined answer all the same.
        assert_eq!(google.bob("DELETE", "/abcde", Value::Null).await.status, 204);
        assert_eq!(google.read("abcde").await["status"], "confirmed");
    }
}

#[tokio::test]
async fn g07_a_guest_of_one_occurrence_cannot_change_what_guests_may_do() {
    let google = Google::start().await;
    let fields = json!({"guestsCanModify": true, "attendees": [{"email": BOB}]});
    google.insert(with_fields(weekly("abcde", "Review"), fields)).await;
    for id in ["abcde", SECOND] {
        let answer = google.bob("PATCH", &format!("/{id}"), json!({"guestsCanModify": false})).await;
        assert_eq!((answer.status, answer.reason()), (403, "forbiddenForNonOrganizer"), "{id}");
    }
    google.insert(with_fields(invitation("fghij"), json!({"source": {"url": "https://a.example"}}))).await;
    let answer = google.bob("PATCH", "/fghij", json!({"source": {"url": "https://b.example"}})).await;
    assert_eq!((answer.status, answer.reason()), (403, "forbiddenForNonCreator"), "G15");
}

#[tokio::test]
async fn h03_to_h09_types_keep_their_form_in_every_occurrence() {
    let google = Google::start().await;
    let days = json!({
        "start": {"date": "2026-03-09", "dateTime": null, "timeZone": null},
        "end": {"date": "2026-03-10", "dateTime": null, "timeZone": null},
    });
    let marker = json!({"extendedProperties": {"private": {"marker": "1"}}});
    let title = json!({"summary": "Other"});
    let text = json!({"description": "Text"});
    let free = json!({"transparency": "transparent"});
    let busy = json!({"transparency": "opaque"});
    let guests = json!({"attendees": [{"email": BOB}]});
    let slot = |hour: &str| json!({"dateTime": format!("2026-03-09T{hour}:00:00+01:00")});
    let moved = json!({"start": slot("11"), "end": slot("12")});
    let all_day = json!({"start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}});

    let seeded = |kind: &str, fields: Value| {
        with_fields(weekly("abcde", "Held"), with_fields(json!({"eventType": kind}), fields))
    };
    let cases = [
        (
            seeded("outOfOffice", json!({})),
            SECOND,
            vec![&title, &moved, &marker],
            vec![&days, &text, &free, &guests],
            "malformedOutOfOfficeEvent",
        ),
        (
            seeded("focusTime", json!({})),
            SECOND,
            vec![&title, &moved, &marker, &text],
            vec![&days, &free, &guests],
            "malformedFocusTimeEvent",
        ),
        (
            seeded("workingLocation", json!({})),
            SECOND,
            vec![&title, &moved, &marker],
            vec![&busy],
            "malformedWorkingLocationEvent",
        ),
        (
            seeded("birthday", with_fields(all_day, json!({"recurrence": ["RRULE:FREQ=YEARLY"]}))),
            "abcde_20270302",
            vec![&title],
            vec![&text, &busy, &guests, &marker],
            "eventTypeRestriction",
        ),
        (
            seeded("fromGmail", json!({})),
            SECOND,
            vec![&free, &guests, &marker],
            vec![&title, &text, &moved, &days],
            "eventTypeRestriction",
        ),
    ];
    for (event, occurrence, taken, refused, reason) in cases {
        let kind = event["eventType"].clone();
        google.core(|core| core.world.calendars.get_mut(ADA).unwrap().events.clear());
        google.hold(event);
        for change in refused {
            google.refuses(occurrence, change.clone(), 400, reason).await;
        }
        for change in taken {
            assert_eq!(google.patch(occurrence, change.clone()).await["eventType"], kind, "{change}");
        }
        assert_eq!(google.ada("DELETE", &format!("/{occurrence}"), Value::Null).await.status, 204, "{kind}");
    }
}
