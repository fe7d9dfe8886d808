//! Answers to invitations: the organizer's own, a guest's, to an event and to one occurrence of a series (statements G04,
//! G09–G12).

use serde_json::{Value, json};

use super::{ADA, BOB, answer_of, meeting_with, with_fields};
use crate::{
    emulator::settings::Settings,
    tests::conformance::{Google, weekly},
};

const CLEO: &str = "ada@home.example";
const EVE: &str = "ada@gmail.example";

/// The second and third occurrence of [`weekly`] `abcde`.
const SECOND: &str = "abcde_20260309T080000Z";
const THIRD: &str = "abcde_20260316T080000Z";

/// An organizer's own answer, as her list of guests.
fn own(answer: &str) -> Value {
    json!({"attendees": [{"email": ADA, "responseStatus": answer}]})
}

/// An invitation of bob@acme.example and ada@home.example by ada@acme.example, who comes herself.
fn round(event: Value) -> Value {
    let guests = json!([{"email": ADA, "responseStatus": "accepted"}, {"email": BOB}, {"email": CLEO}]);
    with_fields(event, json!({"attendees": guests}))
}

/// The list of guests in `event` with another answer of `email`.
fn answered(event: &Value, email: &str, answer: &str) -> Value {
    let mut attendees = event["attendees"].clone();
    let entry = attendees.as_array_mut().unwrap().iter_mut().find(|a| a["email"] == email);
    entry.unwrap()["responseStatus"] = answer.into();
    json!({"attendees": attendees})
}

impl Google {
    /// The ids that a plain listing of this account's calendar holds, and its sync token.
    async fn listed(&self, who: &str) -> (Vec<String>, String) {
        let answer = self.call(who, "GET", "calendars/primary/events", Value::Null).await;
        let token = answer.json["nextSyncToken"].as_str().unwrap().to_owned();
        (answer.ids().into_iter().map(str::to_owned).collect(), token)
    }

    /// What has changed on this account's calendar since a token.
    async fn since(&self, who: &str, token: &str) -> Vec<Value> {
        let path = format!("calendars/primary/events?syncToken={token}");
        self.call(who, "GET", &path, Value::Null).await.json["items"].as_array().unwrap().clone()
    }

    /// The newest change of every calendar but ada@acme.example's.
    fn elsewhere(&self) -> Vec<Option<u64>> {
        self.core(|core| {
            let others = core.world.calendars.values().filter(|c| c.id != ADA);
            others.map(|c| c.events.values().map(|e| e.change).max()).collect()
        })
    }
}

#[tokio::test]
async fn g11_an_organizer_who_is_a_guest_is_self_as_both() {
    let google = Google::start().await;
    let made = google.insert(meeting_with("abcde", own("accepted"))).await;
    for event in [made, google.read("abcde").await, google.list("").await.json["items"][0].clone()] {
        assert_eq!(event["organizer"], json!({"email": ADA, "self": true}));
        assert_eq!(event["creator"], json!({"email": ADA, "self": true}));
        let entry = json!({"email": ADA, "organizer": true, "self": true, "responseStatus": "accepted"});
        assert_eq!(event["attendees"], json!([entry]));
    }
    // On a secondary calendar she is a guest of that calendar, and so has a copy of her own.
    google.secondary("second@group.calendar.google.com");
    let path = "calendars/second%40group.calendar.google.com/events";
    let made = google.call(ADA, "POST", path, meeting_with("fghij", own("needsAction"))).await.json;
    assert_eq!((&made["organizer"]["self"], made["attendees"][0].get("self")), (&json!(true), None));
    let copy = google.read("fghij").await;
    assert_eq!((copy["organizer"].get("self"), &copy["attendees"][0]["self"]), (None, &json!(true)));
}

#[tokio::test]
async fn g04_an_organizers_own_answer_stays_at_home_and_so_does_the_event() {
    let google = Google::start().await;
    let old = google.insert(meeting_with("abcde", own("accepted"))).await;
    let (_, token) = google.listed(ADA).await;
    let elsewhere = google.elsewhere();
    for answer in ["declined", "tentative", "accepted", "declined"] {
        let new = google.patch("abcde", own(answer)).await;
        assert_eq!((&new["status"], answer_of(&new, ADA)), (&json!("confirmed"), answer));
        for (name, value) in old.as_object().unwrap() {
            if !["etag", "updated", "attendees"].contains(&name.as_str()) {
                assert_eq!(&new[name], value, "{name}");
            }
        }
    }
    assert_eq!(google.elsewhere(), elsewhere, "nobody else has heard of it");
    assert_eq!(google.listed(ADA).await.0, ["abcde"]);
    let delta = google.since(ADA, &token).await;
    assert_eq!((delta.len(), &delta[0]["status"], answer_of(&delta[0], ADA)), (1, &json!("confirmed"), "declined"));
    // I11: she is free then.
    let day = json!({"timeMin": "2026-03-02T00:00:00Z", "timeMax": "2026-03-03T00:00:00Z", "items": [{"id": ADA}]});
    let busy = google.call(ADA, "POST", "freeBusy", day).await.json["calendars"][ADA]["busy"].clone();
    assert_eq!(busy, json!([]));
}

#[tokio::test]
async fn g04_an_organizers_answer_to_one_occurrence_is_an_exception() {
    let google = Google::start().await;
    google.insert(with_fields(weekly("abcde", "Review"), own("accepted"))).await;
    google.patch(SECOND, own("declined")).await;
    assert_eq!(google.listed(ADA).await.0, ["abcde", SECOND]);
    let answers = [("abcde", "accepted"), (SECOND, "declined"), (THIRD, "accepted")];
    for (id, answer) in answers {
        let event = google.read(id).await;
        assert_eq!((&event["status"], answer_of(&event, ADA)), (&json!("confirmed"), answer), "{id}");
    }
}

#[tokio::test]
async fn g04_an_organizers_answer_among_guests_leaves_theirs_and_their_copies() {
    let google = Google::start().await;
    google.insert(round(meeting_with("abcde", json!({})))).await;
    let accepted = answered(&google.bobs("abcde").await, BOB, "accepted");
    google.bob("PATCH", "/abcde", accepted).await;
    google.bob("PATCH", "/abcde", json!({"summary": "Bob's name for it"})).await;
    google.patch("abcde", answered(&google.read("abcde").await, ADA, "declined")).await;
    for event in [google.read("abcde").await, google.bobs("abcde").await] {
        let answers = [ADA, BOB, CLEO].map(|email| answer_of(&event, email));
        assert_eq!(answers, ["declined", "accepted", "needsAction"]);
        assert_eq!(event["status"], "confirmed");
    }
    assert_eq!(google.bobs("abcde").await["summary"], "Bob's name for it");
}

#[tokio::test]
async fn g17_an_organizer_is_no_stranger_to_herself() {
    let settings = Settings { known_senders_only: [EVE.to_owned()].into(), ..Settings::default() };
    let google = Google::with_settings(settings).await;
    let event = meeting_with("abcde", json!({"attendees": [{"email": EVE, "responseStatus": "accepted"}]}));
    let made = google.call(EVE, "POST", "calendars/primary/events", event).await.json;
    assert_eq!(answer_of(&made, EVE), "accepted");
}

#[tokio::test]
async fn g04_a_guest_answers_for_nobody_else() {
    for answer in ["accepted", "needsAction"] {
        let google = Google::start().await;
        google.insert(round(meeting_with("abcde", json!({})))).await;
        let forged = json!({"attendees": [
            {"email": ADA, "responseStatus": "declined", "comment": "forged"},
            {"email": BOB, "responseStatus": answer},
            {"email": CLEO, "responseStatus": "accepted", "additionalGuests": 3},
        ]});
        let patched = google.bob("PATCH", "/abcde", forged).await.json;
        for event in [patched, google.bobs("abcde").await, google.read("abcde").await] {
            let answers = [ADA, BOB, CLEO].map(|email| answer_of(&event, email));
            assert_eq!(answers, ["accepted", answer, "needsAction"]);
            assert!(!event.to_string().contains("forged") && !event.to_string().contains("additionalGuests"));
        }
    }
}

#[tokio::test]
async fn g04_an_answer_to_one_occurrence_makes_one_exception_on_every_copy() {
    let google = Google::start().await;
    google.insert(round(weekly("abcde", "Review"))).await;
    let (_, organizers) = google.listed(ADA).await;
    let (_, cleos) = google.listed(CLEO).await;
    let declined = answered(&google.bobs(SECOND).await, BOB, "declined");
    assert_eq!(google.bob("PATCH", &format!("/{SECOND}"), declined).await.status, 200);
    for (who, token) in [(ADA, organizers), (CLEO, cleos)] {
        assert_eq!(google.listed(who).await.0, ["abcde", SECOND], "{who}");
        let delta = google.since(who, &token).await;
        assert_eq!(delta.len(), 1, "{who}: {delta:?}");
        let told = (&delta[0]["id"], &delta[0]["recurringEventId"], answer_of(&delta[0], BOB));
        assert_eq!(told, (&json!(SECOND), &json!("abcde"), "declined"), "{who}");
        assert_eq!(delta[0]["originalStartTime"]["dateTime"], "2026-03-09T09:00:00+01:00");
    }
    assert_eq!(google.listed(BOB).await.0, ["abcde", SECOND]);
    for id in ["abcde", THIRD] {
        assert_eq!(answer_of(&google.bobs(id).await, BOB), "needsAction", "{id}");
    }
}

#[tokio::test]
async fn g12_the_own_answer_alone_suffices_for_a_guest_an_organizer_and_one_occurrence() {
    let google = Google::start().await;
    google.insert(round(weekly("abcde", "Review"))).await;
    let alone = |email: &str, answer: &str| json!({"attendeesOmitted": true, "attendees": [{"email": email, "responseStatus": answer}]});
    assert_eq!(google.bob("PATCH", &format!("/{SECOND}"), alone(BOB, "declined")).await.status, 200);
    google.patch("abcde", alone(ADA, "tentative")).await;
    let mut put = google.bobs("abcde").await;
    put = with_fields(put, alone(BOB, "accepted"));
    assert_eq!(google.bob("PUT", "/abcde", put).await.status, 200);
    for (id, expected) in
        [("abcde", ["tentative", "accepted", "needsAction"]), (SECOND, ["accepted", "declined", "needsAction"])]
    {
        for event in [google.read(id).await, google.bobs(id).await] {
            assert_eq!([ADA, BOB, CLEO].map(|email| answer_of(&event, email)), expected, "{id}");
            assert_eq!(event.get("attendeesOmitted"), None, "it is no state of the event");
        }
    }
    // Whoever is not on the list has no answer to give, and takes nobody off it.
    google.insert(meeting_with("fghij", json!({"attendees": [{"email": BOB}]}))).await;
    let event = google.patch("fghij", alone(ADA, "accepted")).await;
    assert_eq!(event["attendees"].as_array().unwrap().len(), 1);
    assert_eq!(answer_of(&event, BOB), "needsAction");
}

#[tokio::test]
async fn g09_a_guests_deletion_is_a_tombstone_at_home_and_a_declined_answer_elsewhere() {
    let google = Google::start().await;
    google.insert(round(meeting_with("abcde", json!({})))).await;
    let (_, organizers) = google.listed(ADA).await;
    let (_, bobs) = google.listed(BOB).await;
    let (_, cleos) = google.listed(CLEO).await;
    assert_eq!(google.bob("DELETE", "/abcde", Value::Null).await.status, 204);
    assert_eq!(google.listed(BOB).await.0, Vec::<String>::new());
    let gone = google.since(BOB, &bobs).await;
    assert_eq!((gone.len(), &gone[0]["id"], &gone[0]["status"]), (1, &json!("abcde"), &json!("cancelled")));
    for (who, token) in [(ADA, organizers), (CLEO, cleos)] {
        let delta = google.since(who, &token).await;
        assert_eq!((delta.len(), &delta[0]["status"]), (1, &json!("confirmed")), "{who}");
        assert_eq!(answer_of(&delta[0], BOB), "declined", "{who}");
    }
    let again = google.bob("DELETE", "/abcde", Value::Null).await;
    assert_eq!((again.status, again.reason()), (410, "deleted"));
}

#[tokio::test]
async fn g09_a_guests_deletion_of_one_occurrence_leaves_the_series() {
    let google = Google::start().await;
    google.insert(round(weekly("abcde", "Review"))).await;
    let (_, bobs) = google.listed(BOB).await;
    assert_eq!(google.bob("DELETE", &format!("/{SECOND}"), Value::Null).await.status, 204);
    let gone = google.since(BOB, &bobs).await;
    assert_eq!((gone.len(), &gone[0]["id"], &gone[0]["status"]), (1, &json!(SECOND), &json!("cancelled")));
    assert_eq!(google.bobs("abcde").await["status"], "confirmed");
    for (id, answer) in [("abcde", "needsAction"), (SECOND, "declined"), (THIRD, "needsAction")] {
        let event = google.read(id).await;
        assert_eq!((&event["status"], answer_of(&event, BOB)), (&json!("confirmed"), answer), "{id}");
    }
}

#[tokio::test]
async fn g10_the_organizers_deletion_is_a_tombstone_on_every_calendar() {
    for (deleted, left) in [("abcde", vec![]), (SECOND, vec!["abcde", SECOND])] {
        let google = Google::start().await;
        google.insert(round(weekly("abcde", "Review"))).await;
        let mut tokens = Vec::new();
        for who in [ADA, BOB, CLEO] {
            tokens.push((who, google.listed(who).await.1));
        }
        assert_eq!(google.ada("DELETE", &format!("/{deleted}"), Value::Null).await.status, 204);
        for (who, token) in tokens {
            let delta = google.since(who, &token).await;
            let told: Vec<_> = delta.iter().map(|item| (&item["id"], &item["status"])).collect();
            assert_eq!(told, [(&json!(deleted), &json!("cancelled"))], "{who}");
            // A cancelled occurrence of a live series stays listed (A15).
            assert_eq!(google.listed(who).await.0, left, "{who}");
        }
    }
}
