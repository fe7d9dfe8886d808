//! Section I: who is busy when.

use serde_json::{Value, json};

use super::{put, share};
use crate::tests::conformance::{Answer, Google, meeting, weekly};

const ADA: &str = "ada@acme.example";
const BOB: &str = "bob@acme.example";

async fn ask(google: &Google, from: &str, to: &str, calendars: &[&str]) -> Answer {
    let items: Vec<Value> = calendars.iter().map(|id| json!({"id": id})).collect();
    google.call(ADA, "POST", "freeBusy", json!({"timeMin": from, "timeMax": to, "items": items})).await
}

async fn busy(google: &Google, from: &str, to: &str) -> Vec<(String, String)> {
    let answer = ask(google, from, to, &[ADA]).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let spans = answer.json["calendars"][ADA]["busy"].as_array().unwrap_or_else(|| panic!("{}", answer.text)).clone();
    spans.iter().map(|span| (text(&span["start"]), text(&span["end"]))).collect()
}

fn spans(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(start, end)| ((*start).to_owned(), (*end).to_owned())).collect()
}

#[tokio::test]
async fn i08_an_unknown_calendar_is_an_error_within_a_200() {
    let google = Google::start().await;
    let answer = ask(&google, "2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z", &["primary", "nowhere", BOB]).await;
    assert_eq!(answer.status, 200);
    let calendars = &answer.json["calendars"];
    assert_eq!(calendars["primary"], json!({"busy": []}));
    for id in ["nowhere", BOB] {
        assert_eq!(calendars[id]["errors"][0], json!({"domain": "global", "reason": "notFound"}));
    }
    share(&google, BOB, ADA, "freeBusyReader").await;
    let answer = ask(&google, "2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z", &[BOB]).await;
    assert_eq!(answer.json["calendars"][BOB], json!({"busy": []}));
}

#[tokio::test]
async fn i09_fifty_one_calendars_are_too_many() {
    let google = Google::start().await;
    let ids: Vec<String> = (0..51).map(|n| format!("calendar{n}")).collect();
    for (n, reason) in [(50, "notFound"), (51, "tooManyCalendarsRequested")] {
        let ids: Vec<&str> = ids[..n].iter().map(String::as_str).collect();
        let answer = ask(&google, "2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z", &ids).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json["calendars"]["calendar7"]["errors"][0]["reason"], reason);
    }
}

#[tokio::test]
async fn i10_a_range_is_at_most_three_months_and_not_empty() {
    let google = Google::start().await;
    for (from, to, status, reason) in [
        ("2026-03-01T00:00:00Z", "2026-06-01T00:00:00Z", 200, ""),
        ("2026-03-01T00:00:00Z", "2026-06-01T00:00:01Z", 400, "timeRangeTooLong"),
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", 400, "timeRangeEmpty"),
        ("2026-03-01", "2026-03-02T00:00:00Z", 400, "badRequest"),
    ] {
        let answer = ask(&google, from, to, &[ADA]).await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{from} {to}");
    }
}

#[tokio::test]
async fn i11_free_declined_and_deleted_events_are_not_busy() {
    let google = Google::start().await;
    let mut free = meeting("freeone", "free");
    free["transparency"] = "transparent".into();
    put(&google, free);
    let mut declined = meeting("declined", "declined");
    declined["attendees"] = json!([{"email": ADA, "responseStatus": "declined"}]);
    put(&google, declined);
    let mut deleted = meeting("deleted", "deleted");
    deleted["status"] = "cancelled".into();
    put(&google, deleted);
    assert_eq!(busy(&google, "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z").await, spans(&[]));
    put(&google, meeting("reallie", "busy"));
    let expected = spans(&[("2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z")]);
    assert_eq!(busy(&google, "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z").await, expected);
}

#[tokio::test]
async fn busy_times_are_joined_and_cut_to_the_range() {
    let google = Google::start().await;
    for (id, start, end) in [
        ("aaaaa", "2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z"),
        ("bbbbb", "2026-03-02T08:30:00Z", "2026-03-02T10:00:00Z"),
        ("ccccc", "2026-03-02T10:00:00Z", "2026-03-02T10:30:00Z"),
        ("ddddd", "2026-03-02T22:00:00Z", "2026-03-03T02:00:00Z"),
    ] {
        let times = json!({"id": id, "start": {"dateTime": start}, "end": {"dateTime": end}});
        put(&google, times);
    }
    let expected = [("2026-03-02T08:15:00Z", "2026-03-02T10:30:00Z"), ("2026-03-02T22:00:00Z", "2026-03-03T00:00:00Z")];
    assert_eq!(busy(&google, "2026-03-02T08:15:00Z", "2026-03-03T00:00:00Z").await, spans(&expected));
}

#[tokio::test]
async fn a_series_is_busy_at_its_slots_except_where_an_exception_stands() {
    let google = Google::start().await;
    put(&google, weekly("series", "w"));
    let exception = |slot: &str, status: &str, start: &str, end: &str| {
        json!({"id": format!("series_{slot}"), "recurringEventId": "series", "status": status,
            "start": {"dateTime": start}, "end": {"dateTime": end}})
    };
    put(&google, exception("20260309T080000Z", "cancelled", "2026-03-09T08:00:00Z", "2026-03-09T09:00:00Z"));
    put(&google, exception("20260316T080000Z", "confirmed", "2026-03-17T12:00:00Z", "2026-03-17T13:00:00Z"));
    let expected = [
        ("2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z"),
        ("2026-03-17T12:00:00Z", "2026-03-17T13:00:00Z"),
        ("2026-03-23T08:00:00Z", "2026-03-23T09:00:00Z"),
        // Nine in Vienna is an hour earlier in summer.
        ("2026-03-30T07:00:00Z", "2026-03-30T08:00:00Z"),
    ];
    assert_eq!(busy(&google, "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z").await, spans(&expected));
}

#[tokio::test]
async fn an_all_day_event_is_busy_from_midnight_to_midnight_of_its_calendar() {
    let google = Google::start().await;
    put(&google, json!({"id": "freeda", "start": {"date": "2026-03-03"}, "end": {"date": "2026-03-05"}}));
    let expected = spans(&[("2026-03-02T23:00:00Z", "2026-03-04T23:00:00Z")]);
    assert_eq!(busy(&google, "2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z").await, expected);
}
