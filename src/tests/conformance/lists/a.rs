//! Section A: listing and paging.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{ADA, BOB, Google, at, cancel, days, edit, get, ids, items, list, on, pages, put, put_on, refused, series};
use super::{delta, token, with};
use crate::emulator::{settings::Settings, state::Role};

fn fill(google: &Google, n: usize) {
    for i in 0..n {
        put(google, at(&format!("event{i:05}"), 9));
    }
}

fn n_items(answer: &super::Answer) -> usize {
    answer.json["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a01_a_page_holds_250_items_unless_asked_otherwise() {
    let google = Google::start().await;
    fill(&google, 251);
    let pages = pages(&google, "").await;
    assert_eq!(pages.iter().map(n_items).collect::<Vec<_>>(), [250, 1]);
    assert!(pages[0].json["nextPageToken"].is_string());
}

#[tokio::test]
async fn a02_and_a03_no_page_holds_more_than_2500_items() {
    let google = Google::start().await;
    fill(&google, 3000);
    for query in ["maxResults=2500", "maxResults=9999"] {
        assert_eq!(pages(&google, query).await.iter().map(n_items).collect::<Vec<_>>(), [2500, 500], "{query}");
    }
}

#[tokio::test]
async fn a04_a_page_of_no_items_cannot_be_asked_for() {
    let google = Google::start().await;
    for query in ["maxResults=0", "maxResults=-1", "maxResults=many"] {
        assert_eq!(google.list(query).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a05_a_page_may_be_empty_and_not_the_last() {
    let google = Google::with_settings(Settings { empty_pages: true, ..Settings::default() }).await;
    fill(&google, 5);
    let all = pages(&google, "maxResults=2").await;
    assert_eq!(all.iter().map(n_items).collect::<Vec<_>>(), [0, 2, 0, 2, 0, 1]);
    assert_eq!(ids(&google, "maxResults=2").await.len(), 5);
    let token = all.last().unwrap().json["nextSyncToken"].as_str().unwrap();
    put(&google, at("event00009", 9));
    let changes = pages(&google, &format!("syncToken={token}")).await;
    assert_eq!(changes.iter().map(n_items).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn a06_and_a07_every_page_has_a_page_token_and_the_last_a_sync_token() {
    let google = Google::start().await;
    fill(&google, 5);
    for page in pages(&google, "maxResults=2").await.split_last().unwrap().1 {
        assert!(page.json["nextPageToken"].is_string() && page.json["nextSyncToken"].is_null());
    }
    let last = pages(&google, "maxResults=2").await.pop().unwrap();
    assert!(last.json["nextSyncToken"].is_string() && last.json["nextPageToken"].is_null());
}

#[tokio::test]
async fn a08_a_page_token_with_other_parameters_is_refused() {
    let google = Google::start().await;
    fill(&google, 3);
    let page = list(&google, "maxResults=1").await;
    let token = page.json["nextPageToken"].as_str().unwrap();
    refused(&google.list(&format!("maxResults=1&showDeleted=true&pageToken={token}")).await, 400, "invalid");
    refused(&google.list(&format!("pageToken={token}")).await, 400, "invalid");
    let bob = format!("calendars/{BOB}/events?maxResults=1&pageToken={token}");
    refused(&google.call(BOB, "GET", &bob, Value::Null).await, 400, "invalid");

    let lax = Google::with_settings(Settings { strict_tokens: false, ..Settings::default() }).await;
    fill(&lax, 3);
    let token = list(&lax, "maxResults=1").await.json["nextPageToken"].as_str().unwrap().to_owned();
    assert_eq!(list(&lax, &format!("maxResults=2&pageToken={token}")).await.ids(), ["event00001", "event00002"]);
}

#[tokio::test]
async fn a09_a_garbage_page_token_is_refused() {
    let google = Google::start().await;
    refused(&google.list("pageToken=garbage").await, 400, "invalid");
}

#[tokio::test]
async fn a10_an_event_added_while_paging_is_in_the_listing_or_in_the_next_delta() {
    // "early" sorts before the page that has been read, "late" after it.
    let google = Google::start().await;
    fill(&google, 4);
    let first = list(&google, "maxResults=2").await;
    put(&google, at("early", 9));
    put(&google, at("late", 9));
    edit(&google, "event00000", json!({"summary": "changed"}));
    let page_token = first.json["nextPageToken"].as_str().unwrap();
    let second = list(&google, &format!("maxResults=2&pageToken={page_token}")).await;
    let page_token = second.json["nextPageToken"].as_str().unwrap_or_default().to_owned();
    let third = list(&google, &format!("maxResults=2&pageToken={page_token}")).await;
    let sync = third.json["nextSyncToken"].as_str().unwrap();
    let mut seen: Vec<String> =
        [&first, &second, &third].iter().flat_map(|page| page.ids()).map(str::to_owned).collect();
    let changes = delta(&google, sync).await;
    assert!(changes.iter().any(|item| item["id"] == "event00000" && item["summary"] == "changed"));
    seen.extend(changes.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
    assert!(seen.iter().any(|id| id == "early") && seen.iter().any(|id| id == "late"), "{seen:?}");
}

#[tokio::test]
async fn a11_an_event_that_changes_while_paging_may_come_twice() {
    for (twice, expected) in [(true, 2), (false, 1)] {
        let google = Google::with_settings(Settings { duplicate_across_pages: twice, ..Settings::default() }).await;
        fill(&google, 3);
        let first = list(&google, "maxResults=2").await;
        assert_eq!(first.ids()[0], "event00000");
        google.clock.advance(TimeDelta::seconds(1));
        edit(&google, "event00000", json!({"summary": "changed"}));
        let token = first.json["nextPageToken"].as_str().unwrap();
        let second = list(&google, &format!("maxResults=2&pageToken={token}")).await;
        let both: Vec<&Value> = [&first, &second]
            .iter()
            .flat_map(|page| page.json["items"].as_array().unwrap())
            .filter(|item| item["id"] == "event00000")
            .collect();
        assert_eq!(both.len(), expected);
        assert!(!twice || both[0]["updated"].as_str() < both[1]["updated"].as_str());
    }
}

#[tokio::test]
async fn a12_an_exception_may_be_on_a_page_before_its_master() {
    let google = Google::with_settings(Settings { exceptions_first: true, ..Settings::default() }).await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    edit(&google, "weekly_20260309T080000Z", json!({"summary": "Exception"}));
    let pages = pages(&google, "maxResults=1").await;
    assert_eq!(pages[0].ids(), ["weekly_20260309T080000Z"]);
    assert_eq!(pages[1].ids(), ["weekly"]);
}

#[tokio::test]
async fn a13_a_series_is_listed_as_its_master_and_its_exceptions() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    edit(&google, "weekly_20260309T080000Z", json!({"start": on("x", 10, 9)["start"], "end": on("x", 10, 9)["end"]}));
    assert_eq!(ids(&google, "").await, ["weekly", "weekly_20260309T080000Z"]);
}

#[tokio::test]
async fn a14_single_events_are_all_instances_of_the_window_and_no_masters() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    edit(&google, "weekly_20260309T080000Z", json!({"start": on("x", 10, 9)["start"], "end": on("x", 10, 9)["end"]}));
    put(&google, on("single", 5, 9));
    let query = "singleEvents=true&timeMin=2026-03-01T00:00:00Z&timeMax=2026-03-31T00:00:00Z";
    let expected = [
        "weekly_20260302T080000Z",
        "single",
        "weekly_20260309T080000Z",
        "weekly_20260316T080000Z",
        "weekly_20260323T080000Z",
        "weekly_20260330T070000Z",
    ];
    assert_eq!(ids(&google, &format!("{query}&orderBy=startTime")).await, expected);
    assert_eq!(ids(&google, &format!("{query}&orderBy=startTime&maxResults=1")).await, expected);
    for paging in ["", "&maxResults=1", "&maxResults=4"] {
        let mut unordered = ids(&google, &format!("{query}{paging}")).await;
        unordered.sort_unstable();
        let mut sorted = expected.to_vec();
        sorted.sort_unstable();
        assert_eq!(unordered, sorted, "{paging}");
    }
    for item in items(&google, query).await {
        assert!(item.get("recurrence").is_none(), "{item}");
        assert_eq!(item["recurringEventId"].is_string(), item["id"] != "single");
    }
}

#[tokio::test]
async fn a15_a_cancelled_instance_of_a_live_series_is_listed() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    cancel(&google, "weekly_20260309T080000Z");
    let items = items(&google, "showDeleted=false").await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[1]["status"], "cancelled");
    assert_eq!(items[1]["recurringEventId"], "weekly");
    assert_eq!(items[1]["originalStartTime"]["dateTime"], "2026-03-09T09:00:00+01:00");
    // Expanded, it is simply not there.
    let query = "singleEvents=true&timeMax=2026-03-15T00:00:00Z";
    assert_eq!(ids(&google, query).await, ["weekly_20260302T080000Z"]);
    // Nor is it when its series is gone.
    cancel(&google, "weekly");
    assert_eq!(ids(&google, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn a16_and_a17_a_deleted_event_is_listed_only_when_asked_for() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    cancel(&google, "single");
    assert!(items(&google, "").await.is_empty());
    let items = items(&google, "showDeleted=true").await;
    assert_eq!((&items[0]["id"], &items[0]["status"]), (&json!("single"), &json!("cancelled")));
}

#[tokio::test]
async fn a16_deleted_masters_were_listed_once_by_mistake() {
    let google = Google::with_settings(Settings { cancelled_masters_listed: true, ..Settings::default() }).await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    put(&google, at("single", 9));
    cancel(&google, "weekly");
    cancel(&google, "single");
    assert_eq!(ids(&google, "").await, ["weekly"]);
}

#[tokio::test]
async fn a18_and_a19_bounds_are_exclusive() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    for (query, expected) in [
        ("timeMin=2026-03-02T09:00:00Z", 0),
        ("timeMin=2026-03-02T08:59:59Z", 1),
        ("timeMin=2026-03-02T09:00:00.900Z", 0),
        ("timeMax=2026-03-02T08:00:00Z", 0),
        ("timeMax=2026-03-02T08:00:01Z", 1),
        ("timeMin=2026-03-02T08:30:00Z&timeMax=2026-03-02T08:40:00Z", 1),
    ] {
        assert_eq!(items(&google, query).await.len(), expected, "{query}");
        let single = format!("singleEvents=true&{query}");
        assert_eq!(items(&google, &single).await.len(), expected, "{single}");
    }
}

#[tokio::test]
async fn a20_an_empty_range_is_refused() {
    let google = Google::start().await;
    for max in ["2026-03-02T09:00:00Z", "2026-03-01T00:00:00Z"] {
        let answer = google.list(&format!("timeMin=2026-03-02T09:00:00Z&timeMax={max}")).await;
        refused(&answer, 400, "timeRangeEmpty");
        let error = &answer.json["error"]["errors"][0];
        assert_eq!(error["domain"], "calendar");
        assert_eq!((&error["locationType"], &error["location"]), (&json!("parameter"), &json!("timeMax")));
    }
}

#[tokio::test]
async fn a21_a_bound_needs_an_offset() {
    let google = Google::start().await;
    for query in ["timeMin=2026-03-02T09:00:00", "timeMax=2026-03-02", "timeMin=2026-03-02T09:00:00+01:00"] {
        // The last has an offset whose plus sign is a space in a query.
        assert_eq!(google.list(query).await.status, 400, "{query}");
    }
    assert_eq!(google.list("timeMin=2026-03-02T09:00:00%2B01:00").await.status, 200);
}

#[tokio::test]
async fn a22_order_by_start_is_for_single_events() {
    let google = Google::start().await;
    let answer = google.list("orderBy=startTime").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json["error"]["message"], "The requested ordering is not available for the particular query.");
    put(&google, at("second", 10));
    put(&google, at("first", 9));
    assert_eq!(ids(&google, "orderBy=startTime&singleEvents=true").await, ["first", "second"]);
    assert_eq!(ids(&google, "orderBy=updated&maxResults=1").await, ["second", "first"]);
    assert_eq!(google.list("orderBy=title").await.status, 400);
}

#[tokio::test]
async fn a23_a_series_that_ended_before_the_window_may_be_listed() {
    for (listed, expected) in [(true, 2), (false, 1)] {
        let google = Google::with_settings(Settings { ended_series_listed: listed, ..Settings::default() }).await;
        put(&google, series(at("ended", 9), &["RRULE:FREQ=DAILY;UNTIL=20260310T080000Z"]));
        put(&google, series(at("lasting", 9), &["RRULE:FREQ=DAILY"]));
        put(&google, series(on("later", 30, 9), &["RRULE:FREQ=DAILY"]));
        let query = "timeMin=2026-03-20T00:00:00Z&timeMax=2026-03-21T00:00:00Z";
        assert_eq!(ids(&google, query).await.len(), expected);
        assert_eq!(ids(&google, &format!("{query}&singleEvents=true")).await, ["lasting_20260320T080000Z"]);
    }
}

#[tokio::test]
async fn a24_days_are_placed_by_the_calendars_zone() {
    let google = Google::start().await;
    google.core(|core| core.world.calendars.get_mut(ADA).unwrap().time_zone = "America/Los_Angeles".into());
    put(&google, days("day", 2, 3));
    put(&google, series(days("daily", 2, 3), &["RRULE:FREQ=DAILY;COUNT=1"]));
    // The day lasts from 08:00Z to 08:00Z of the next.
    for (query, expected) in [
        ("timeMax=2026-03-02T08:00:00Z", 0),
        ("timeMax=2026-03-02T08:00:01Z", 2),
        ("timeMin=2026-03-03T07:59:59Z", 2),
        ("timeMin=2026-03-03T08:00:00Z", 0),
    ] {
        assert_eq!(items(&google, &format!("{query}&singleEvents=true")).await.len(), expected, "{query}");
    }
}

#[tokio::test]
async fn a25_an_ical_uid_finds_the_whole_series() {
    let google = Google::start().await;
    put(&google, series(with(at("weekly", 9), json!({"iCalUID": "w@google.com"})), &["RRULE:FREQ=WEEKLY"]));
    edit(&google, "weekly_20260309T080000Z", json!({"summary": "One"}));
    edit(&google, "weekly_20260316T080000Z", json!({"summary": "Two"}));
    put(&google, at("other", 9));
    assert_eq!(
        ids(&google, "iCalUID=w%40google.com").await,
        ["weekly", "weekly_20260309T080000Z", "weekly_20260316T080000Z"]
    );
}

#[tokio::test]
async fn a26_event_types_select() {
    let google = Google::start().await;
    put(&google, at("plain", 9));
    put(&google, with(at("focus", 10), json!({"eventType": "focusTime"})));
    put(&google, with(at("absence", 11), json!({"eventType": "outOfOffice"})));
    assert_eq!(ids(&google, "eventTypes=default&eventTypes=focusTime").await, ["focus", "plain"]);
    assert_eq!(ids(&google, "").await.len(), 3);
    assert_eq!(google.list("eventTypes=party").await.status, 400);
}

#[tokio::test]
async fn a27_selected_fields_leave_the_tokens_out() {
    let google = Google::start().await;
    fill(&google, 3);
    for query in ["fields=items(id)", "maxResults=1&fields=items(id)"] {
        let answer = list(&google, query).await;
        assert_eq!(answer.json.as_object().unwrap().keys().collect::<Vec<_>>(), ["items"]);
        assert_eq!(answer.json["items"][0], json!({"id": "event00000"}));
    }
    let answer = list(&google, "fields=nextSyncToken,items(id,start/dateTime)").await;
    assert!(answer.json["nextSyncToken"].is_string());
    let start = json!({"dateTime": "2026-03-02T09:00:00+01:00"});
    assert_eq!(answer.json["items"][2], json!({"id": "event00002", "start": start}));
}

#[tokio::test]
async fn a28_an_invalid_selector_is_refused() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    for selector in ["items(id", "items(id))", "items(,)", "itmes", "items(id,nextPageToken)", "items/start/day", ""] {
        refused(&google.list(&format!("fields={selector}")).await, 400, "invalidParameter");
    }
    refused(&get(&google, "single?fields=titel").await, 400, "invalidParameter");
    assert_eq!(get(&google, "single?fields=summary").await.json, json!({"summary": "Title of single"}));
    // A refused call has done nothing.
    let path = "calendars/primary/events?fields=titel";
    refused(&google.call(ADA, "POST", path, at("second", 9)).await, 400, "invalidParameter");
    assert_eq!(ids(&google, "").await, ["single"]);
}

#[tokio::test]
async fn a29_more_attendees_than_asked_for_are_the_participant_alone() {
    let google = Google::start().await;
    let mut attendees: Vec<Value> = (0..4).map(|n| json!({"email": format!("guest{n}@x.example")})).collect();
    attendees.push(json!({"email": ADA, "responseStatus": "accepted"}));
    put(&google, with(at("party", 9), json!({"attendees": attendees})));
    let check = |event: &Value| {
        assert_eq!(event["attendees"], json!([{"email": ADA, "responseStatus": "accepted", "self": true}]));
        assert_eq!(event["attendeesOmitted"], true);
    };
    check(&get(&google, "party?maxAttendees=1").await.json);
    check(&items(&google, "maxAttendees=4").await[0]);
    let whole = get(&google, "party?maxAttendees=5").await.json;
    assert_eq!(whole["attendees"].as_array().unwrap().len(), 5);
    assert!(whole.get("attendeesOmitted").is_none());
    assert_eq!(google.list("maxAttendees=0").await.status, 400);
}

#[tokio::test]
async fn a30_free_busy_access_shows_instances_without_details() {
    let google = Google::start().await;
    put(&google, series(with(at("weekly", 9), json!({"location": "Room"})), &["RRULE:FREQ=WEEKLY;COUNT=2"]));
    google.core(|core| core.world.calendars.get_mut(ADA).unwrap().acl.insert(BOB.into(), Role::FreeBusyReader));
    let answer = google.call(BOB, "GET", &format!("calendars/{ADA}/events?singleEvents=false"), Value::Null).await;
    assert_eq!(answer.json["accessRole"], "freeBusyReader");
    assert_eq!(answer.ids(), ["weekly_20260302T080000Z", "weekly_20260309T080000Z"]);
    for item in answer.json["items"].as_array().unwrap() {
        assert!(item["start"]["dateTime"].is_string() && item["end"]["dateTime"].is_string());
        for hidden in ["summary", "location", "organizer", "htmlLink", "recurrence"] {
            assert!(item.get(hidden).is_none(), "{hidden}");
        }
    }
    // What is not shown cannot be searched for.
    let search = google.call(BOB, "GET", &format!("calendars/{ADA}/events?q=Room"), Value::Null).await;
    assert!(search.ids().is_empty());
    let single = google.call(BOB, "GET", &format!("calendars/{ADA}/events/weekly"), Value::Null).await;
    assert!(single.json.get("summary").is_none());
}

#[tokio::test]
async fn a31_an_empty_listing_may_have_no_items_at_all() {
    for (omitted, expected) in [(false, Some(0)), (true, None)] {
        let google = Google::with_settings(Settings { empty_items_omitted: omitted, ..Settings::default() }).await;
        assert_eq!(list(&google, "").await.json.get("items").map(|i| i.as_array().unwrap().len()), expected);
    }
}

#[tokio::test]
async fn a32_times_are_written_in_the_zone_asked_for() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    put(&google, days("day", 2, 3));
    let items = items(&google, "timeZone=America/New_York").await;
    assert_eq!(items[0]["start"], json!({"date": "2026-03-02"}));
    let expected = json!({"dateTime": "2026-03-02T03:00:00-05:00", "timeZone": "Europe/Vienna"});
    assert_eq!(items[1]["start"], expected);
    assert_eq!(google.list("timeZone=Vienna").await.status, 400);
}

#[tokio::test]
async fn a33_a_listing_names_its_calendar() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    let answer = list(&google, "").await;
    assert_eq!(answer.json["kind"], "calendar#events");
    assert_eq!(answer.json["accessRole"], "owner");
    assert_eq!(answer.json["timeZone"], "Europe/Vienna");
    assert_eq!(answer.json["updated"], "2026-03-01T08:00:00.000Z");
    assert!(answer.json["defaultReminders"].is_array());
    let etag = answer.json["etag"].as_str().unwrap().to_owned();
    assert_eq!(list(&google, "").await.json["etag"], *etag);
    put(&google, at("other", 9));
    assert_ne!(list(&google, "").await.json["etag"], *etag);
}

#[tokio::test]
async fn full_text_search_finds_every_word_in_the_fields_of_the_discovery_document() {
    let google = Google::start().await;
    put(&google, with(at("first", 9), json!({"summary": "Quarterly Review", "location": "Vienna"})));
    put(&google, with(at("second", 9), json!({"attendees": [{"email": "eve@x.example", "displayName": "Eve Moor"}]})));
    put(&google, with(at("third", 9), json!({"colorId": "Vienna"})));
    for (q, expected) in [("review", vec!["first"]), ("vienna%20QUARTERLY", vec!["first"]), ("moor", vec!["second"])] {
        assert_eq!(ids(&google, &format!("q={q}")).await, expected, "{q}");
    }
    assert!(ids(&google, "q=eve%20review").await.is_empty());
}

#[tokio::test]
async fn f06_f07_f08_and_f09_extended_properties_select() {
    let tagged = |id: &str, private: Value, shared: Value| {
        with(at(id, 9), json!({"extendedProperties": {"private": private, "shared": shared}}))
    };
    for (or, both) in [(false, vec!["ab"]), (true, vec!["a", "ab", "b"])] {
        let google = Google::with_settings(Settings { private_filter_or: or, ..Settings::default() }).await;
        put(&google, tagged("a", json!({"k": "v"}), json!({"s": "1"})));
        put(&google, tagged("b", json!({"l": "w"}), json!({})));
        put(&google, tagged("ab", json!({"k": "v", "l": "w"}), json!({})));
        assert_eq!(ids(&google, "privateExtendedProperty=k%3Dv").await, ["a", "ab"]);
        assert_eq!(ids(&google, "privateExtendedProperty=k%3Dv&privateExtendedProperty=l%3Dw").await, both);
        let query = "privateExtendedProperty=k%3Dv&sharedExtendedProperty=s%3D1";
        assert_eq!(ids(&google, query).await, ["a"]);
        assert_eq!(google.list("privateExtendedProperty=k").await.status, 400);
        put(&google, series(tagged("s", json!({"series": "yes"}), json!({})), &["RRULE:FREQ=DAILY;COUNT=2"]));
        let query = "singleEvents=true&privateExtendedProperty=series%3Dyes";
        assert_eq!(ids(&google, query).await, ["s_20260302T080000Z", "s_20260303T080000Z"]);
    }
}

#[tokio::test]
async fn e03_and_e04_an_event_that_has_not_changed_is_not_sent_again() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    let first = get(&google, "single").await;
    let etag = first.json["etag"].as_str().unwrap().to_owned();
    let us: i64 = etag.trim_matches('"').parse::<i64>().unwrap() / 2;
    assert_eq!(chrono::DateTime::from_timestamp_micros(us).unwrap().to_rfc3339(), "2026-03-01T08:00:00+00:00");
    let path = "calendars/primary/events/single";
    let again = google.call_with(ADA, "GET", path, Value::Null, &[("if-none-match", &etag)]).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    edit(&google, "single", json!({"summary": "changed"}));
    assert_eq!(google.call_with(ADA, "GET", path, Value::Null, &[("if-none-match", &etag)]).await.status, 200);
}

#[tokio::test]
async fn h13_and_h14_a_reader_does_not_see_private_details() {
    let google = Google::start().await;
    for (id, visibility) in [("open", "default"), ("closed", "private"), ("secret", "confidential")] {
        put(&google, with(at(id, 9), json!({"visibility": visibility, "description": "Details"})));
    }
    for (role, hidden) in [(Role::Reader, true), (Role::Writer, false)] {
        google.core(|core| core.world.calendars.get_mut(ADA).unwrap().acl.insert(BOB.into(), role));
        for (id, private) in [("open", false), ("closed", true), ("secret", true)] {
            let event = google.call(BOB, "GET", &format!("calendars/{ADA}/events/{id}"), Value::Null).await.json;
            assert_eq!(event.get("summary").is_none(), hidden && private, "{id} as {role:?}");
            assert_eq!(event.get("description").is_none(), hidden && private, "{id} as {role:?}");
            assert_eq!(event["start"]["dateTime"], "2026-03-02T09:00:00+01:00");
        }
    }
}

#[tokio::test]
async fn g11_self_is_the_calendar_and_not_the_caller() {
    let google = Google::start().await;
    let event =
        with(at("shared", 9), json!({"creator": {"email": BOB}, "attendees": [{"email": ADA}, {"email": BOB}]}));
    put(&google, event.clone());
    put_on(&google, BOB, event);
    google.core(|core| core.world.calendars.get_mut(ADA).unwrap().acl.insert(BOB.into(), Role::Writer));
    for calendar in [ADA, BOB] {
        let event = google.call(BOB, "GET", &format!("calendars/{calendar}/events/shared"), Value::Null).await.json;
        assert_eq!(event["organizer"]["self"] == true, calendar == ADA);
        assert_eq!(event["creator"]["self"] == true, calendar == BOB);
        let own: Vec<&Value> = event["attendees"].as_array().unwrap().iter().filter(|a| a["self"] == true).collect();
        assert_eq!(own.len(), 1);
        assert_eq!(own[0]["email"], calendar);
    }
}

#[tokio::test]
async fn d29_the_link_names_event_and_calendar() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let google = Google::start().await;
    put(&google, at("single", 9));
    let eid = |event: &Value| {
        let link = event["htmlLink"].as_str().unwrap().to_owned();
        String::from_utf8(URL_SAFE_NO_PAD.decode(link.split_once("eid=").unwrap().1).unwrap()).unwrap()
    };
    assert_eq!(eid(&get(&google, "single").await.json), "single ada@acme.example");
    google.core(|core| {
        let mut calendar = core.world.calendars[ADA].clone();
        calendar.id = "ada@gmail.com".into();
        core.world.calendars.insert("ada@gmail.com".into(), calendar);
    });
    let gmail = google.call(ADA, "GET", "calendars/ada%40gmail.com/events/single", Value::Null).await;
    assert_eq!(eid(&gmail.json), "single ada@m");
}

#[tokio::test]
async fn i01_and_i02_calendars_are_the_callers_own_or_shared() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    let by_id = google.call(ADA, "GET", &format!("calendars/{ADA}/events"), Value::Null).await;
    assert_eq!(by_id.ids(), ["single"]);
    for path in ["", "/single", "/single/instances"] {
        refused(&google.call(BOB, "GET", &format!("calendars/{ADA}/events{path}"), Value::Null).await, 404, "notFound");
    }
    refused(&google.call(ADA, "GET", "calendars/nobody/events", Value::Null).await, 404, "notFound");
}

#[tokio::test]
async fn ten_thousand_events_on_a_hundred_pages_are_listed_once_each() {
    let google = Google::start().await;
    fill(&google, 10_000);
    let mut found = ids(&google, "maxResults=100").await;
    assert_eq!(found.len(), 10_000);
    found.dedup();
    assert_eq!(found.len(), 10_000);
    let sync = token(&google, "maxResults=2500").await;
    edit(&google, "event05000", json!({"summary": "changed"}));
    assert_eq!(delta(&google, &sync).await.len(), 1);
}
