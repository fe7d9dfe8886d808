//! What a synchronizer's rules rest on, where a statement was proven in part only: costs (E21), series and their slots
//! (C03, C12, C15, C34, C35), properties of exceptions (F10), guests who return (D07, C11), what never blocks (H11).

use serde_json::{Value, json};

use super::{ADA, BOB, answer_of, kinds::working_location, meeting_with, with_fields};
use crate::{
    emulator::settings::Settings,
    tests::conformance::{Google, meeting, weekly},
};

/// The second, third and fourth occurrence of [`weekly`] `abcde`.
const SECOND: &str = "abcde_20260309T080000Z";
const THIRD: &str = "abcde_20260316T080000Z";
const FOURTH: &str = "abcde_20260323T080000Z";

#[tokio::test]
async fn e21_a_patch_costs_three_units_and_a_put_one() {
    let patch: &[(&str, &str)] = &[("x-http-method-override", "PATCH")];
    let calls =
        [("GET", &[][..], 1), ("PUT", &[][..], 1), ("PATCH", &[][..], 3), ("POST", patch, 3), ("DELETE", &[], 1)];
    for (method, headers, units) in calls {
        let google = Google::with_settings(Settings { user_quota: 10, ..Settings::default() }).await;
        let path = "calendars/primary/events/abcde";
        let mut n_calls = 0;
        // Not even there: what is refused is charged as well.
        while google.call_with(ADA, method, path, meeting("abcde", "Review"), headers).await.status == 404 {
            n_calls += 1;
        }
        assert_eq!(n_calls, 10 / units, "{method} {headers:?}");
    }
}

#[tokio::test]
async fn c03_a_series_shares_its_ical_uid_and_keeps_it() {
    let google = Google::start().await;
    let fields = json!({"attendees": [{"email": BOB}]});
    google.insert(with_fields(weekly("abcde", "Review"), fields)).await;
    let exception = google.patch(SECOND, json!({"summary": "Other", "iCalUID": "other@else.example"})).await;
    let mut put = exception.clone();
    put["iCalUID"] = "other@else.example".into();
    let put = google.ada("PUT", &format!("/{SECOND}"), put).await.json;
    let all = [exception, put, google.read("abcde").await, google.read(THIRD).await, google.bobs(SECOND).await];
    for event in all {
        assert_eq!(event["iCalUID"], "abcde@google.com");
    }
    // A25, after the writes.
    assert_eq!(google.list("iCalUID=abcde%40google.com").await.ids(), ["abcde", SECOND]);
}

#[tokio::test]
async fn c12_a_slot_that_the_rule_does_not_have_cannot_be_written() {
    let google = Google::start().await;
    google.insert(weekly("abcde", "Review")).await;
    google.insert(meeting("fghij", "Single")).await;
    let before = google.everything();
    for id in ["abcde_20260310T080000Z", "abcde_20260309", "abcde_20260223T080000Z", "fghij_20260302T080000Z"] {
        for method in ["PUT", "PATCH", "DELETE"] {
            let answer = google.ada(method, &format!("/{id}"), meeting("abcde", "Other")).await;
            assert_eq!((answer.status, answer.reason()), (404, "notFound"), "{method} {id}");
        }
    }
    assert_eq!(google.everything(), before);
}

#[tokio::test]
async fn c15_exceptions_outlive_an_until_and_an_exdate_set_by_a_client() {
    for lines in [
        json!(["RRULE:FREQ=WEEKLY;UNTIL=20260308T225959Z"]),
        json!(["RRULE:FREQ=WEEKLY", "EXDATE;TZID=Europe/Vienna:20260309T090000,20260316T090000"]),
    ] {
        let google = Google::start().await;
        google.insert(weekly("abcde", "Review")).await;
        google.patch(SECOND, json!({"summary": "Other"})).await;
        google.patch("abcde", json!({"recurrence": lines})).await;
        assert_eq!(google.list("").await.ids(), ["abcde", SECOND]);
        assert_eq!(google.read(SECOND).await["status"], "confirmed");
        assert_eq!(google.ada("GET", &format!("/{THIRD}"), Value::Null).await.status, 404, "no slot any more");
        assert_eq!(google.ada("DELETE", &format!("/{SECOND}"), Value::Null).await.status, 204, "{lines}");
        assert_eq!(google.read(SECOND).await["status"], "cancelled");
    }
}

#[tokio::test]
async fn c34_c35_a_patch_makes_a_series_and_a_single_event_too() {
    for none in [json!(null), json!([])] {
        let google = Google::start().await;
        let made = google.insert(meeting("abcde", "Review")).await;
        let series = google.patch("abcde", json!({"recurrence": ["RRULE:FREQ=WEEKLY"]})).await;
        assert_eq!((&series["id"], &series["iCalUID"]), (&made["id"], &made["iCalUID"]));
        google.patch(SECOND, json!({"summary": "Other"})).await;
        let single = google.patch("abcde", json!({"recurrence": none})).await;
        assert_eq!((single.get("recurrence"), &single["start"]), (None, &made["start"]));
        assert_eq!(google.list("").await.ids(), ["abcde"]);
        assert_eq!(google.read(SECOND).await["status"], "cancelled");
        assert_eq!(google.ada("GET", &format!("/{THIRD}"), Value::Null).await.status, 404);
        // As a series again, it does not bring back what had vanished.
        google.patch("abcde", json!({"recurrence": ["RRULE:FREQ=WEEKLY"]})).await;
        assert_eq!(google.read(SECOND).await["status"], "cancelled");
        assert_eq!(google.read(THIRD).await["status"], "confirmed");
    }
}

#[tokio::test]
async fn f10_an_exception_keeps_the_properties_that_it_took_along() {
    let google = Google::start().await;
    let tag = |tag: &str| json!({"extendedProperties": {"private": {"tag": tag}}});
    google.insert(with_fields(weekly("abcde", "Review"), tag("1"))).await;
    google.patch(SECOND, json!({"summary": "Other"})).await;
    google.patch("abcde", tag("2")).await;
    let tag_of = |event: Value| event["extendedProperties"]["private"]["tag"].clone();
    let tags =
        [tag_of(google.read("abcde").await), tag_of(google.read(SECOND).await), tag_of(google.read(THIRD).await)];
    assert_eq!(tags, ["2", "1", "2"]);
    assert_eq!(google.list("privateExtendedProperty=tag%3D1").await.ids(), [SECOND]);
    // E11 and E07 for one occurrence.
    google.patch(THIRD, json!({"extendedProperties": {"private": {"tag": null}}})).await;
    assert_eq!(google.read(THIRD).await.get("extendedProperties"), None);
    let mut put = google.read(FOURTH).await;
    put.as_object_mut().unwrap().remove("extendedProperties");
    assert_eq!(google.ada("PUT", &format!("/{FOURTH}"), put).await.json.get("extendedProperties"), None);
    assert_eq!(tag_of(google.read("abcde").await), "2");
}

#[tokio::test]
async fn f04_a_guests_exception_takes_the_guests_own_properties_along() {
    let google = Google::start().await;
    let tag = |tag: &str| json!({"extendedProperties": {"private": {"tag": tag}}});
    let series = with_fields(weekly("abcde", "Review"), json!({"attendees": [{"email": BOB}]}));
    google.insert(with_fields(series, tag("ada"))).await;
    google.bob("PATCH", "/abcde", with_fields(tag("bob"), json!({"colorId": "7"}))).await;
    google.patch(SECOND, json!({"location": "Room"})).await;
    let copy = google.bobs(SECOND).await;
    assert_eq!((&copy["location"], &copy["colorId"]), (&json!("Room"), &json!("7")));
    assert_eq!(copy["extendedProperties"], tag("bob")["extendedProperties"]);
}

#[tokio::test]
async fn d07_c11_a_guest_may_bring_back_the_own_copy_and_one_occurrence() {
    let google = Google::start().await;
    google.insert(with_fields(weekly("abcde", "Review"), json!({"attendees": [{"email": BOB}]}))).await;
    for id in [SECOND, "abcde"] {
        google.bob("DELETE", &format!("/{id}"), Value::Null).await;
        let body = json!({"status": "confirmed", "attendees": [{"email": BOB, "responseStatus": "accepted"}]});
        assert_eq!(google.bob("PATCH", &format!("/{id}"), body).await.status, 200, "{id}");
        assert_eq!(google.bobs(id).await["status"], "confirmed", "{id}");
        assert_eq!(answer_of(&google.read(id).await, BOB), "accepted", "{id}");
    }
    google.patch("abcde", json!({"location": "Room"})).await;
    assert_eq!(google.bobs("abcde").await["location"], "Room", "it hears of changes again");
}

#[tokio::test]
async fn g05_a_guests_rule_and_times_are_the_guests_until_the_organizer_changes_something() {
    let google = Google::start().await;
    let made = google.insert(with_fields(weekly("abcde", "Review"), json!({"attendees": [{"email": BOB}]}))).await;
    let time = |time: &str| json!({"dateTime": format!("2026-03-02T{time}:00+01:00"), "timeZone": "Europe/Vienna"});
    let own = json!({"recurrence": ["RRULE:FREQ=DAILY"], "start": time("14:00"), "end": time("15:00")});
    assert_eq!(google.bob("PATCH", "/abcde", own.clone()).await.status, 200);
    assert_eq!(google.bobs("abcde").await["recurrence"], own["recurrence"]);
    assert_eq!(google.read("abcde").await["recurrence"], made["recurrence"]);
    google.patch("abcde", json!({"summary": "Other"})).await;
    let copy = google.bobs("abcde").await;
    assert_eq!((&copy["recurrence"], &copy["start"]), (&made["recurrence"], &made["start"]));
}

#[tokio::test]
async fn h11_where_one_works_and_who_has_a_birthday_never_blocks() {
    let google = Google::start().await;
    google.insert(working_location("abcde")).await;
    let birthday = json!({
        "eventType": "birthday", "visibility": "private", "transparency": "transparent",
        "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}, "recurrence": ["RRULE:FREQ=YEARLY"],
    });
    google.insert(meeting_with("fghij", birthday)).await;
    let busy = || async {
        let day = json!({"timeMin": "2026-03-02T00:00:00Z", "timeMax": "2026-03-03T00:00:00Z", "items": [{"id": ADA}]});
        google.call(ADA, "POST", "freeBusy", day).await.json["calendars"][ADA]["busy"].as_array().unwrap().len()
    };
    assert_eq!(busy().await, 0);
    let focus = json!({"eventType": "focusTime", "focusTimeProperties": {"chatStatus": "doNotDisturb"}});
    google.insert(meeting_with("klmno", focus)).await;
    assert_eq!(busy().await, 1);
}
