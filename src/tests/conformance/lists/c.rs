//! The reading statements of section C: recurrence. The others are with writing.

use serde_json::{Value, json};

use super::{ADA, Google, at, cancel, days, edit, get, ids, instances, on, put, refused, series, starts, stored, with};
use crate::emulator::recurrence::{self, Slot};

/// An event in another zone than the calendar's.
fn in_berlin(id: &str, start: &str, end: &str) -> Value {
    json!({
        "id": id, "status": "confirmed",
        "start": {"dateTime": start, "timeZone": "Europe/Berlin"},
        "end": {"dateTime": end, "timeZone": "Europe/Berlin"},
    })
}

#[tokio::test]
async fn c03_and_c04_an_instance_is_named_after_its_slot() {
    let google = Google::start().await;
    put(
        &google,
        series(
            in_berlin("timed", "2026-03-02T09:00:00+01:00", "2026-03-02T10:00:00+01:00"),
            &["RRULE:FREQ=WEEKLY;COUNT=2"],
        ),
    );
    put(&google, series(days("daily", 2, 4), &["RRULE:FREQ=WEEKLY;COUNT=2"]));
    let timed = instances(&google, "timed", "").await;
    assert_eq!(timed.ids(), ["timed_20260302T080000Z", "timed_20260309T080000Z"]);
    let item = &timed.json["items"][1];
    assert_eq!(item["recurringEventId"], "timed");
    assert_eq!(item["originalStartTime"], item["start"]);
    assert_eq!(item["end"]["dateTime"], "2026-03-09T10:00:00+01:00");
    assert_eq!(item["iCalUID"], "timed@google.com");
    let daily = instances(&google, "daily", "").await;
    assert_eq!(daily.ids(), ["daily_20260302", "daily_20260309"]);
    let item = &daily.json["items"][1];
    assert_eq!((&item["start"], &item["end"]), (&json!({"date": "2026-03-09"}), &json!({"date": "2026-03-11"})));
    assert_eq!(item["originalStartTime"], json!({"date": "2026-03-09"}));
}

#[tokio::test]
async fn c05_a_moved_instance_keeps_its_id_and_slot() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    let moved = on("x", 11, 15);
    edit(&google, "weekly_20260309T080000Z", json!({"start": moved["start"], "end": moved["end"]}));
    let event = get(&google, "weekly_20260309T080000Z").await.json;
    assert_eq!(event["id"], "weekly_20260309T080000Z");
    assert_eq!(event["originalStartTime"]["dateTime"], "2026-03-09T09:00:00+01:00");
    assert_eq!(event["start"]["dateTime"], "2026-03-11T15:00:00+01:00");
    assert_eq!(starts(&google, "weekly", 3).await, ["03-02T09:00", "03-11T15:00", "03-16T09:00"]);
}

#[tokio::test]
async fn c12_a_slot_that_the_rule_does_not_have_is_unknown() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY;COUNT=3"]));
    put(&google, at("single", 9));
    assert_eq!(get(&google, "weekly_20260309T080000Z").await.status, 200);
    for id in [
        "weekly_20260310T080000Z",
        "weekly_20260309T080001Z",
        "weekly_20260323T080000Z",
        "weekly_20260223T080000Z",
        "weekly_20260309",
        "weekly_nonsense",
        "single_20260302T080000Z",
        "nobody_20260302T080000Z",
    ] {
        refused(&get(&google, id).await, 404, "notFound");
    }
    cancel(&google, "weekly");
    refused(&get(&google, "weekly_20260309T080000Z").await, 404, "notFound");
}

#[tokio::test]
async fn c15_an_exception_outlives_a_shortened_rule() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    edit(&google, "weekly_20260323T080000Z", json!({"summary": "Exception"}));
    edit(&google, "weekly", json!({"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260310T000000Z"]}));
    assert_eq!(get(&google, "weekly_20260323T080000Z").await.json["summary"], "Exception");
    assert_eq!(ids(&google, "").await, ["weekly", "weekly_20260323T080000Z"]);
    assert_eq!(starts(&google, "weekly", 9).await, ["03-02T09:00", "03-09T09:00", "03-23T09:00"]);
}

#[tokio::test]
async fn c21_an_invitation_to_one_occurrence_has_no_master() {
    let google = Google::start().await;
    let slot = at("x", 9)["start"].clone();
    let link = json!({"recurringEventId": "theirs", "originalStartTime": slot});
    put(&google, with(at("theirs_20260302T080000Z", 9), link));
    assert_eq!(ids(&google, "").await, ["theirs_20260302T080000Z"]);
    assert_eq!(ids(&google, "singleEvents=true").await, ["theirs_20260302T080000Z"]);
    let event = get(&google, "theirs_20260302T080000Z").await.json;
    assert_eq!(event["recurringEventId"], "theirs");
    refused(&get(&google, "theirs").await, 404, "notFound");
}

#[tokio::test]
async fn c22_an_exdate_takes_a_slot_away_in_every_form() {
    for line in [
        "EXDATE:20260309T080000Z",
        "EXDATE;TZID=Europe/Vienna:20260309T090000",
        "EXDATE;TZID=America/New_York:20260309T040000",
        "EXDATE:20260309T090000",
        "EXDATE;VALUE=DATE:20260309",
        "EXDATE;VALUE=DATE-TIME:20260401T080000Z,20260309T080000Z",
    ] {
        let google = Google::start().await;
        put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY;COUNT=3", line]));
        for query in ["", "showDeleted=true"] {
            let found = instances(&google, "weekly", query).await;
            assert_eq!(found.ids(), ["weekly_20260302T080000Z", "weekly_20260316T080000Z"], "{line}");
        }
        assert_eq!(get(&google, "weekly_20260309T080000Z").await.status, 404, "{line}");
    }
    let google = Google::start().await;
    put(&google, series(days("daily", 2, 3), &["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;VALUE=DATE:20260303"]));
    assert_eq!(instances(&google, "daily", "").await.ids(), ["daily_20260302", "daily_20260304"]);
}

#[tokio::test]
async fn c23_an_rdate_adds_an_instance() {
    let google = Google::start().await;
    let lines = ["RRULE:FREQ=WEEKLY;COUNT=2", "RDATE;TZID=Europe/Vienna:20260304T090000,20260302T090000"];
    put(&google, series(at("weekly", 9), &lines));
    assert_eq!(starts(&google, "weekly", 9).await, ["03-02T09:00", "03-04T09:00", "03-09T09:00"]);
    // A series of dates alone begins with its start.
    put(&google, series(at("dates", 9), &["RDATE:20260305T140000Z", "RDATE;VALUE=PERIOD:20260304T140000Z/PT1H"]));
    assert_eq!(starts(&google, "dates", 9).await, ["03-02T09:00", "03-04T15:00", "03-05T15:00"]);
    put(&google, series(days("daily", 2, 3), &["RDATE;VALUE=DATE:20260305"]));
    assert_eq!(starts(&google, "daily", 9).await, ["03-02", "03-05"]);
}

#[tokio::test]
async fn c24_until_is_inclusive() {
    let google = Google::start().await;
    put(&google, series(at("on", 9), &["RRULE:FREQ=WEEKLY;UNTIL=20260316T080000Z"]));
    assert_eq!(starts(&google, "on", 9).await, ["03-02T09:00", "03-09T09:00", "03-16T09:00"]);
    put(&google, series(at("before", 9), &["RRULE:FREQ=WEEKLY;UNTIL=20260316T075959Z"]));
    assert_eq!(starts(&google, "before", 9).await, ["03-02T09:00", "03-09T09:00"]);
    put(&google, series(days("days", 2, 3), &["RRULE:FREQ=WEEKLY;UNTIL=20260309"]));
    assert_eq!(starts(&google, "days", 9).await, ["03-02", "03-09"]);
    put(&google, series(at("never", 9), &["RRULE:FREQ=WEEKLY;UNTIL=20260301T080000Z"]));
    assert_eq!(starts(&google, "never", 9).await, Vec::<String>::new());
}

#[tokio::test]
async fn c26_a_series_keeps_its_local_time_over_changes_of_the_clock() {
    let google = Google::start().await;
    put(
        &google,
        series(
            in_berlin("weekly", "2026-03-23T09:00:00+01:00", "2026-03-23T10:00:00+01:00"),
            &["RRULE:FREQ=WEEKLY;COUNT=2"],
        ),
    );
    let found = instances(&google, "weekly", "").await;
    assert_eq!(found.ids(), ["weekly_20260323T080000Z", "weekly_20260330T070000Z"]);
    assert_eq!(found.json["items"][1]["start"]["dateTime"], "2026-03-30T09:00:00+02:00");
    assert_eq!(found.json["items"][1]["end"]["dateTime"], "2026-03-30T10:00:00+02:00");
}

#[tokio::test]
async fn c27_a_slot_in_the_spring_gap_moves_forward() {
    let google = Google::start().await;
    put(
        &google,
        series(
            in_berlin("night", "2026-03-28T02:30:00+01:00", "2026-03-28T03:00:00+01:00"),
            &["RRULE:FREQ=DAILY;COUNT=3"],
        ),
    );
    let found = instances(&google, "night", "").await;
    assert_eq!(found.ids(), ["night_20260328T013000Z", "night_20260329T013000Z", "night_20260330T003000Z"]);
    assert_eq!(found.json["items"][1]["start"]["dateTime"], "2026-03-29T03:30:00+02:00");
    assert_eq!(found.json["items"][1]["end"]["dateTime"], "2026-03-29T04:00:00+02:00");
    assert_eq!(get(&google, "night_20260329T013000Z").await.status, 200);
    // Where the gap is at midnight, too: Beirut, 29 March 2026.
    put(
        &google,
        series(
            json!({
                "id": "beirut", "start": {"dateTime": "2026-03-28T00:30:00+02:00", "timeZone": "Asia/Beirut"},
                "end": {"dateTime": "2026-03-28T01:00:00+02:00", "timeZone": "Asia/Beirut"},
            }),
            &["RRULE:FREQ=DAILY;COUNT=3"],
        ),
    );
    let found = instances(&google, "beirut", "timeZone=Asia/Beirut").await;
    assert_eq!(found.json["items"][1]["start"]["dateTime"], "2026-03-29T01:30:00+03:00");
    // In autumn the first of two equal times is meant.
    put(
        &google,
        series(
            in_berlin("autumn", "2026-10-24T02:30:00+02:00", "2026-10-24T03:00:00+02:00"),
            &["RRULE:FREQ=DAILY;COUNT=2"],
        ),
    );
    assert_eq!(instances(&google, "autumn", "").await.ids()[1], "autumn_20261025T003000Z");
}

#[tokio::test]
async fn c28_short_months_are_skipped() {
    let google = Google::start().await;
    put(&google, series(on("monthly", 31, 9), &["RRULE:FREQ=MONTHLY;BYMONTHDAY=31"]));
    assert_eq!(starts(&google, "monthly", 4).await, ["03-31T09:00", "05-31T09:00", "07-31T09:00", "08-31T09:00"]);
}

#[tokio::test]
async fn c29_one_instance_is_found_by_its_original_start() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    let moved = on("x", 11, 15);
    edit(&google, "weekly_20260309T080000Z", json!({"start": moved["start"], "end": moved["end"]}));
    for (start, expected) in [
        ("2026-03-09T08:00:00Z", vec!["weekly_20260309T080000Z"]),
        ("2026-03-16T09:00:00%2B01:00", vec!["weekly_20260316T080000Z"]),
        ("2026-03-11T14:00:00Z", vec![]),
    ] {
        assert_eq!(instances(&google, "weekly", &format!("originalStart={start}")).await.ids(), expected, "{start}");
    }
    put(&google, series(days("daily", 2, 3), &["RRULE:FREQ=DAILY"]));
    assert_eq!(instances(&google, "daily", "originalStart=2026-03-05").await.ids(), ["daily_20260305"]);
    assert_eq!(instances(&google, "daily", "originalStart=2025-03-05").await.ids(), Vec::<&str>::new());
}

#[tokio::test]
async fn c30_instances_that_end_at_time_min_are_in() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY;COUNT=3"]));
    for (query, expected) in [
        ("timeMin=2026-03-02T09:00:00Z", 3),
        ("timeMin=2026-03-02T09:00:01Z", 2),
        ("timeMax=2026-03-16T08:00:00Z", 2),
        ("timeMax=2026-03-16T08:00:01Z", 3),
    ] {
        assert_eq!(instances(&google, "weekly", query).await.ids().len(), expected, "{query}");
    }
}

#[tokio::test]
async fn c31_instances_know_no_sync_token() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    let path = "calendars/primary/events/weekly/instances?syncToken=x";
    assert_eq!(google.call(ADA, "GET", path, Value::Null).await.status, 400);
}

#[tokio::test]
async fn c08_cancelled_instances_are_shown_only_when_asked_for() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY;COUNT=2"]));
    cancel(&google, "weekly_20260302T080000Z");
    assert_eq!(instances(&google, "weekly", "").await.ids(), ["weekly_20260309T080000Z"]);
    let all = instances(&google, "weekly", "showDeleted=true").await;
    assert_eq!(all.ids(), ["weekly_20260302T080000Z", "weekly_20260309T080000Z"]);
    assert_eq!(all.json["items"][0]["status"], "cancelled");
}

#[tokio::test]
async fn instances_come_in_pages() {
    let google = Google::start().await;
    put(&google, series(at("daily", 9), &["RRULE:FREQ=DAILY;COUNT=7"]));
    let (mut found, mut query) = (Vec::new(), "maxResults=3".to_owned());
    loop {
        let page = instances(&google, "daily", &query).await;
        found.extend(page.ids().into_iter().map(str::to_owned));
        match page.json["nextPageToken"].as_str() {
            Some(token) => query = format!("maxResults=3&pageToken={token}"),
            None => break,
        }
    }
    assert_eq!(found.len(), 7);
    assert!(found.is_sorted());
    // A token of a listing is none of this method, and one of another series neither.
    put(&google, series(at("other", 9), &["RRULE:FREQ=DAILY;COUNT=7"]));
    let page = instances(&google, "daily", "maxResults=3").await;
    let token = page.json["nextPageToken"].as_str().unwrap();
    let path = format!("calendars/primary/events/other/instances?maxResults=3&pageToken={token}");
    refused(&google.call(ADA, "GET", &path, Value::Null).await, 400, "invalid");
    refused(&google.list(&format!("maxResults=3&pageToken={token}")).await, 400, "invalid");
}

#[tokio::test]
async fn a_start_that_the_rule_would_not_make_is_the_first_instance() {
    let google = Google::start().await;
    // 2 March is a Monday.
    put(&google, series(at("tuesdays", 9), &["RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=3"]));
    assert_eq!(starts(&google, "tuesdays", 9).await, ["03-02T09:00", "03-03T09:00", "03-10T09:00"]);
    put(&google, series(at("without", 9), &["RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=3", "EXDATE:20260302T080000Z"]));
    assert_eq!(starts(&google, "without", 9).await, ["03-03T09:00", "03-10T09:00"]);
}

#[tokio::test]
async fn an_exrule_takes_its_dates_away() {
    let google = Google::start().await;
    put(&google, series(at("daily", 9), &["RRULE:FREQ=DAILY;COUNT=5", "EXRULE:FREQ=DAILY;INTERVAL=2"]));
    assert_eq!(starts(&google, "daily", 9).await, ["03-03T09:00", "03-05T09:00"]);
}

#[test]
fn c01_c02_and_c25_bad_recurrences_are_refused() {
    let start = json!({"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Vienna"});
    let check = |lines: &[&str]| {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        recurrence::check(&lines, &start).map_err(|refusal| (refusal.status, refusal.reason))
    };
    for line in [
        "DTSTART:20260302T080000Z",
        "DTEND;TZID=Europe/Vienna:20260302T100000",
        "RRULE:FREQ=DAILY;COUNT=3;UNTIL=20260310T080000Z",
        "RRULE:FREQ=SOMETIMES",
        "RRULE:INTERVAL=2",
        "RRULE:FREQ=DAILY;COUNT=0",
        "RRULE:FREQ=DAILY;INTERVAL=0",
        "RRULE:FREQ=DAILY;UNTIL=tomorrow",
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=DAILY",
        "EXDATE;TZID=Nowhere:20260302T090000",
        "RDATE:soon",
        "",
    ] {
        assert_eq!(check(&[line]), Err((400, "invalid")), "{line}");
    }
    for line in [
        "RRULE:FREQ=WEEKLY;BYDAY=MO,WE;WKST=SU",
        "rrule:freq=daily;count=3",
        "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1",
        "RRULE:FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20270101",
        "EXDATE;TZID=Europe/Vienna:20260309T090000",
        "RDATE;VALUE=DATE:20260309",
    ] {
        assert_eq!(check(&["RRULE:FREQ=DAILY", line]), Ok(()), "{line}");
    }
    let without_zone = json!({"dateTime": "2026-03-02T09:00:00+01:00"});
    let refusal = recurrence::check(&["RRULE:FREQ=DAILY".into()], &without_zone).unwrap_err();
    assert_eq!((refusal.status, refusal.message.as_str()), (400, "Missing time zone definition for start time."));
    assert_eq!(recurrence::check(&["RRULE:FREQ=DAILY".into()], &json!({"date": "2026-03-02"})), Ok(()));
    assert_eq!(recurrence::check(&[], &without_zone), Ok(()));
}

#[tokio::test]
async fn slots_are_bounded_by_instants_and_a_limit() {
    let google = Google::start().await;
    put(&google, series(at("daily", 9), &["RRULE:FREQ=DAILY"]));
    let master = stored(&google, "daily");
    let instant = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let (from, to) = (instant("2026-03-04T08:00:00Z"), instant("2026-03-06T08:00:00Z"));
    let found = recurrence::slots(&master, "Europe/Vienna", from, to, 99);
    assert_eq!(found.iter().map(recurrence::stamp).collect::<Vec<_>>(), ["20260304T080000Z", "20260305T080000Z"]);
    assert_eq!(recurrence::slots(&master, "Europe/Vienna", None, None, 5).len(), 5);
    assert_eq!(found[0], Slot { start: from, day: None });
}

#[tokio::test]
async fn a_rule_for_every_second_comes_to_an_end() {
    let google = Google::start().await;
    put(&google, series(at("secondly", 9), &["RRULE:FREQ=SECONDLY"]));
    let page = instances(&google, "secondly", "timeMin=2030-01-01T00:00:00Z").await;
    assert!(page.ids().is_empty());
}
