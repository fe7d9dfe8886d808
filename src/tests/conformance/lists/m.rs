//! Section M: time.

use serde_json::json;

use super::{Google, at, days, get, items, put, series, starts, with};
use crate::emulator::settings::Settings;

#[tokio::test]
async fn m01_a_time_without_offset_and_zone_is_the_calendars() {
    let google = Google::start().await;
    put(
        &google,
        with(
            at("local", 9),
            json!({
                "start": {"dateTime": "2026-07-01T09:00:00"}, "end": {"dateTime": "2026-07-01T10:00:00"},
            }),
        ),
    );
    let event = get(&google, "local").await.json;
    let expected = json!({"dateTime": "2026-07-01T09:00:00+02:00", "timeZone": "Europe/Vienna"});
    assert_eq!(event["start"], expected);
}

#[tokio::test]
async fn m02_the_offset_makes_the_instant_and_the_zone_is_attached() {
    let google = Google::start().await;
    put(
        &google,
        with(
            at("both", 9),
            json!({
                "start": {"dateTime": "2026-03-02T09:00:00-05:00", "timeZone": "Asia/Tokyo"},
                "end": {"dateTime": "2026-03-02T10:00:00-05:00", "timeZone": "Asia/Tokyo"},
            }),
        ),
    );
    let event = get(&google, "both").await.json;
    assert_eq!(event["start"], json!({"dateTime": "2026-03-02T15:00:00+01:00", "timeZone": "Asia/Tokyo"}));
}

#[tokio::test]
async fn m03_offsets_are_the_calendars_and_the_zone_is_the_events() {
    let google = Google::start().await;
    put(
        &google,
        with(
            at("tokyo", 9),
            json!({
                "start": {"dateTime": "2026-03-02T09:00:00+09:00", "timeZone": "Asia/Tokyo"},
                "end": {"dateTime": "2026-03-02T10:00:00+09:00", "timeZone": "Asia/Tokyo"},
            }),
        ),
    );
    let event = get(&google, "tokyo").await.json;
    assert_eq!(event["start"], json!({"dateTime": "2026-03-02T01:00:00+01:00", "timeZone": "Asia/Tokyo"}));
    assert_eq!(items(&google, "timeZone=UTC").await[0]["start"]["dateTime"], "2026-03-02T00:00:00Z");
}

#[tokio::test]
async fn m04_the_end_of_a_day_is_the_next_one() {
    let google = Google::start().await;
    put(&google, days("day", 2, 3));
    let event = get(&google, "day").await.json;
    assert_eq!((&event["start"], &event["end"]), (&json!({"date": "2026-03-02"}), &json!({"date": "2026-03-03"})));
    let (in_it, after) = ("timeMin=2026-03-02T22:59:59Z", "timeMin=2026-03-02T23:00:00Z");
    assert_eq!(items(&google, in_it).await.len(), 1);
    assert_eq!(items(&google, after).await.len(), 0);
}

#[tokio::test]
async fn m06_fractions_of_seconds_are_not_shown() {
    let google = Google::start().await;
    put(&google, with(at("fraction", 9), json!({"start": {"dateTime": "2026-03-02T09:00:00.750+01:00"}})));
    assert_eq!(get(&google, "fraction").await.json["start"]["dateTime"], "2026-03-02T09:00:00+01:00");
}

#[tokio::test]
async fn m07_a_day_as_until_of_a_timed_series_lasts_to_its_end() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY;UNTIL=20260316"]));
    assert_eq!(starts(&google, "weekly", 9).await, ["03-02T09:00", "03-09T09:00", "03-16T09:00"]);
    assert_eq!(get(&google, "weekly").await.json["recurrence"], json!(["RRULE:FREQ=WEEKLY;UNTIL=20260316"]));
}

#[tokio::test]
async fn m08_a_resource_may_show_days_as_times() {
    for (as_times, expected) in [
        (true, json!({"dateTime": "2026-03-02T00:00:00+01:00", "timeZone": "Europe/Vienna"})),
        (false, json!({"date": "2026-03-02"})),
    ] {
        let google = Google::with_settings(Settings { resource_days_as_times: as_times, ..Settings::default() }).await;
        put(&google, days("day", 2, 3));
        google.core(|core| {
            let mut room = core.world.calendars[super::ADA].clone();
            room.id = "room@resource.calendar.google.com".into();
            core.world.calendars.insert(room.id.clone(), room);
        });
        let path = "calendars/room%40resource.calendar.google.com/events/day";
        let event = google.call(super::ADA, "GET", path, serde_json::Value::Null).await.json;
        assert_eq!(event["start"], expected);
        assert_eq!(get(&google, "day").await.json["start"], json!({"date": "2026-03-02"}));
    }
}
