//! Section B: incremental sync. B24 belongs to moving, B30 to calendar lists.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::with;
use super::{ADA, BOB, Google, at, cancel, delta, edit, get, ids, items, list, on, pages, put, refused, series, token};
use crate::emulator::settings::Settings;

#[tokio::test]
async fn b01_nothing_changed_is_an_empty_delta_with_a_token() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    let sync = token(&google, "").await;
    let answer = list(&google, &format!("syncToken={sync}")).await;
    assert!(answer.ids().is_empty());
    assert!(answer.json["nextSyncToken"].is_string());
}

#[tokio::test]
async fn b02_a_delta_has_what_was_made_changed_and_deleted() {
    let google = Google::start().await;
    for id in ["changed", "deleted", "same"] {
        put(&google, at(id, 9));
    }
    let sync = token(&google, "").await;
    put(&google, at("made", 9));
    edit(&google, "changed", json!({"summary": "New"}));
    cancel(&google, "deleted");
    let changes = delta(&google, &sync).await;
    let status = |id: &str| changes.iter().find(|item| item["id"] == id).map(|item| item["status"].clone());
    assert_eq!(changes.len(), 3);
    assert_eq!(status("made"), Some(json!("confirmed")));
    assert_eq!(status("changed"), Some(json!("confirmed")));
    assert_eq!(status("deleted"), Some(json!("cancelled")));
}

#[tokio::test]
async fn b03_a_sync_token_allows_no_restrictions() {
    let google = Google::start().await;
    let sync = token(&google, "").await;
    for restriction in [
        "iCalUID=x",
        "orderBy=updated",
        "privateExtendedProperty=a%3Db",
        "q=x",
        "sharedExtendedProperty=a%3Db",
        "timeMin=2026-03-01T00:00:00Z",
        "timeMax=2026-03-01T00:00:00Z",
        "updatedMin=2026-03-01T00:00:00Z",
    ] {
        assert_eq!(google.list(&format!("syncToken={sync}&{restriction}")).await.status, 400, "{restriction}");
    }
}

#[tokio::test]
async fn b04_a_delta_cannot_do_without_deleted_events() {
    let google = Google::start().await;
    let sync = token(&google, "").await;
    assert_eq!(google.list(&format!("syncToken={sync}&showDeleted=false")).await.status, 400);
    assert_eq!(google.list(&format!("syncToken={sync}")).await.status, 200);
}

#[tokio::test]
async fn b05_and_b06_a_tombstone_has_details_only_with_show_deleted() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    let (bare, full) = (token(&google, "").await, token(&google, "showDeleted=true").await);
    cancel(&google, "single");
    let tombstone = &delta(&google, &bare).await[0];
    assert_eq!((&tombstone["id"], &tombstone["status"]), (&json!("single"), &json!("cancelled")));
    assert!(tombstone.get("summary").is_none() && tombstone.get("start").is_none());
    let tombstone = &items(&google, &format!("showDeleted=true&syncToken={full}")).await[0];
    assert_eq!(tombstone["status"], "cancelled");
    assert_eq!(tombstone["summary"], "Title of single");
    assert_eq!(tombstone["start"]["dateTime"], "2026-03-02T09:00:00+01:00");
}

#[tokio::test]
async fn b07_a_garbage_token_is_invalid_and_not_expired() {
    let google = Google::start().await;
    let answer = google.list("syncToken=garbage").await;
    refused(&answer, 400, "invalid");
    assert_eq!(answer.json["error"]["message"], "Invalid sync token value.");
}

#[tokio::test]
async fn b08_an_expired_token_asks_for_a_full_sync() {
    let google = Google::with_settings(Settings { token_lifetime_seconds: 3600, ..Settings::default() }).await;
    for id in ["one", "two"] {
        put(&google, at(id, 9));
    }
    let sync = token(&google, "").await;
    edit(&google, "one", json!({"summary": "New"}));
    edit(&google, "two", json!({"summary": "New"}));
    google.clock.advance(TimeDelta::seconds(3599));
    let page = list(&google, &format!("maxResults=1&syncToken={sync}")).await;
    google.clock.advance(TimeDelta::seconds(1));
    let check = |answer: super::Answer| {
        refused(&answer, 410, "fullSyncRequired");
        let error = &answer.json["error"]["errors"][0];
        assert_eq!((&error["domain"], &error["location"]), (&json!("calendar"), &json!("syncToken")));
    };
    check(google.list(&format!("syncToken={sync}")).await);
    // Also in the middle of a walk through pages.
    let page_token = page.json["nextPageToken"].as_str().unwrap();
    check(google.list(&format!("maxResults=1&syncToken={sync}&pageToken={page_token}")).await);
}

#[tokio::test]
async fn b09_a_change_of_access_ends_older_tokens() {
    let google = Google::start().await;
    put(&google, at("one", 9));
    put(&google, at("two", 9));
    let sync = token(&google, "").await;
    let walking = list(&google, "maxResults=1").await;
    google.core(|core| core.world.calendars.get_mut(ADA).unwrap().epoch += 1);
    refused(&google.list(&format!("syncToken={sync}")).await, 410, "fullSyncRequired");
    // A walk that began before the change ends with a token from before the change.
    let page = walking.json["nextPageToken"].as_str().unwrap();
    let last = list(&google, &format!("maxResults=1&pageToken={page}")).await;
    let old = last.json["nextSyncToken"].as_str().unwrap();
    refused(&google.list(&format!("syncToken={old}")).await, 410, "fullSyncRequired");
    let fresh = token(&google, "").await;
    assert!(delta(&google, &fresh).await.is_empty());
}

#[tokio::test]
async fn b10_a_token_is_good_for_its_own_calendar_only() {
    let google = Google::start().await;
    let sync = token(&google, "").await;
    let answer = google.call(BOB, "GET", &format!("calendars/primary/events?syncToken={sync}"), Value::Null).await;
    refused(&answer, 400, "invalid");
}

#[tokio::test]
async fn b11_a_delta_of_many_pages_keeps_its_token_to_the_last() {
    let google = Google::start().await;
    let sync = token(&google, "").await;
    for n in 0..5 {
        put(&google, at(&format!("event{n}"), 9));
    }
    let query = format!("maxResults=2&syncToken={sync}");
    let pages = pages(&google, &query).await;
    assert_eq!(pages.iter().map(|page| page.ids().len()).collect::<Vec<_>>(), [2, 2, 1]);
    for page in &pages[..2] {
        assert!(page.json["nextSyncToken"].is_null());
    }
    let next = pages[2].json["nextSyncToken"].as_str().unwrap();
    assert!(delta(&google, next).await.is_empty());
    let page = pages[0].json["nextPageToken"].as_str().unwrap();
    assert_eq!(google.list(&format!("maxResults=2&pageToken={page}")).await.status, 400, "without the sync token");
}

#[tokio::test]
async fn b11_what_changes_during_a_delta_is_in_the_next_one() {
    let google = Google::start().await;
    let sync = token(&google, "").await;
    for n in 0..3 {
        put(&google, at(&format!("event{n}"), 9));
    }
    let first = list(&google, &format!("maxResults=1&syncToken={sync}")).await;
    edit(&google, "event1", json!({"summary": "again"}));
    edit(&google, "event0", json!({"summary": "again"}));
    let page = first.json["nextPageToken"].as_str().unwrap();
    let rest = list(&google, &format!("maxResults=1&syncToken={sync}&pageToken={page}")).await;
    assert_eq!((first.ids(), rest.ids()), (vec!["event0"], vec!["event2"]));
    let next = delta(&google, rest.json["nextSyncToken"].as_str().unwrap()).await;
    assert_eq!(next.iter().map(|item| item["id"].clone()).collect::<Vec<_>>(), [json!("event1"), json!("event0")]);
}

#[tokio::test]
async fn b12_and_h15_a_token_keeps_the_parameters_of_its_listing() {
    let google = Google::start().await;
    for (first, then) in [
        ("singleEvents=true", "singleEvents=false"),
        ("", "singleEvents=true"),
        ("eventTypes=default", ""),
        ("eventTypes=default", "eventTypes=focusTime"),
        ("", "showDeleted=true"),
        ("", "maxAttendees=1"),
        ("", "timeZone=UTC"),
    ] {
        let sync = token(&google, first).await;
        refused(&google.list(&format!("{then}&syncToken={sync}")).await, 400, "invalid");
        assert_eq!(google.list(&format!("{first}&syncToken={sync}")).await.status, 200, "{first}");
    }
    let types = token(&google, "eventTypes=default&eventTypes=focusTime").await;
    assert_eq!(google.list(&format!("eventTypes=focusTime&eventTypes=default&syncToken={types}")).await.status, 200);
    // Pages may be of another size, and `showDeleted=false` is what absence means.
    let sync = token(&google, "maxResults=1&showDeleted=false").await;
    assert_eq!(google.list(&format!("maxResults=9&syncToken={sync}")).await.status, 200);

    let lax = Google::with_settings(Settings { strict_tokens: false, ..Settings::default() }).await;
    let sync = token(&lax, "singleEvents=true").await;
    assert_eq!(lax.list(&format!("syncToken={sync}")).await.status, 200);
}

#[tokio::test]
async fn h15_a_filtered_delta_has_only_those_types() {
    let google = Google::start().await;
    let sync = token(&google, "eventTypes=default").await;
    put(&google, with(at("focus", 9), json!({"eventType": "focusTime"})));
    put(&google, at("plain", 9));
    assert_eq!(ids(&google, &format!("eventTypes=default&syncToken={sync}")).await, ["plain"]);
}

#[tokio::test]
async fn b13_a_token_does_not_remember_the_window() {
    let google = Google::start().await;
    put(&google, on("far", 30, 9));
    let query = "timeMin=2026-03-01T00:00:00Z&timeMax=2026-03-08T00:00:00Z";
    assert!(ids(&google, query).await.is_empty());
    let sync = token(&google, query).await;
    edit(&google, "far", json!({"summary": "New"}));
    assert_eq!(delta(&google, &sync).await[0]["id"], "far");
}

#[tokio::test]
async fn b14_what_drifts_into_the_window_is_no_change() {
    let google = Google::with_settings(Settings { token_lifetime_seconds: i64::MAX, ..Settings::default() }).await;
    put(
        &google,
        with(
            at("far", 9),
            json!({
                "start": {"dateTime": "2027-04-01T09:00:00Z"}, "end": {"dateTime": "2027-04-01T10:00:00Z"},
            }),
        ),
    );
    let sync = token(&google, "timeMax=2027-03-01T00:00:00Z").await;
    google.clock.advance(TimeDelta::days(60));
    assert!(delta(&google, &sync).await.is_empty());
}

#[tokio::test]
async fn b15_a_changed_endless_series_floods_an_expanded_delta() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    edit(&google, "weekly_20260309T080000Z", json!({"summary": "Exception"}));
    let sync = token(&google, "singleEvents=true").await;
    edit(&google, "weekly", json!({"summary": "New"}));
    let changes = items(&google, &format!("singleEvents=true&syncToken={sync}")).await;
    assert!((500..1000).contains(&changes.len()), "{}", changes.len());
    assert!(changes.iter().all(|item| item["summary"] == "New"), "the exception has not changed");
    let last = changes.iter().map(|item| item["start"]["dateTime"].as_str().unwrap()).max().unwrap();
    assert!(last > "2036", "{last}");
}

#[tokio::test]
async fn b16_a_deleted_endless_series_shows_half_a_year_of_cancelled_instances() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    let sync = token(&google, "singleEvents=true").await;
    cancel(&google, "weekly");
    let changes = items(&google, &format!("singleEvents=true&syncToken={sync}")).await;
    assert!((20..30).contains(&changes.len()), "{}", changes.len());
    for item in changes {
        assert_eq!((&item["status"], &item["recurringEventId"]), (&json!("cancelled"), &json!("weekly")));
    }
}

#[tokio::test]
async fn b17_a_deleted_instance_names_its_series_and_slot() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    let sync = token(&google, "").await;
    cancel(&google, "weekly_20260309T080000Z");
    let changes = delta(&google, &sync).await;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["id"], "weekly_20260309T080000Z");
    assert_eq!(changes[0]["status"], "cancelled");
    assert_eq!(changes[0]["recurringEventId"], "weekly");
    assert_eq!(changes[0]["originalStartTime"]["dateTime"], "2026-03-09T09:00:00+01:00");
}

#[tokio::test]
async fn b18_a_deleted_instance_may_be_an_id_alone() {
    let google = Google::with_settings(Settings { sparse_instance_tombstones: true, ..Settings::default() }).await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    let sync = token(&google, "").await;
    cancel(&google, "weekly_20260309T080000Z");
    let expected = json!({"id": "weekly_20260309T080000Z", "status": "cancelled"});
    assert_eq!(delta(&google, &sync).await, [expected]);
}

#[tokio::test]
async fn b19_a_deleted_master_has_no_recurrence() {
    let google = Google::start().await;
    put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
    for show_deleted in ["", "showDeleted=true"] {
        edit(&google, "weekly", json!({"status": "confirmed"}));
        let sync = token(&google, show_deleted).await;
        cancel(&google, "weekly");
        let changes = items(&google, &format!("{show_deleted}&syncToken={sync}")).await;
        assert_eq!((&changes[0]["id"], &changes[0]["status"]), (&json!("weekly"), &json!("cancelled")));
        assert!(changes[0].get("recurrence").is_none());
    }
}

#[tokio::test]
async fn b20_a_deleted_master_speaks_for_its_exceptions() {
    for (listed, expected) in [(false, 1), (true, 4)] {
        let google =
            Google::with_settings(Settings { master_delete_lists_exceptions: listed, ..Settings::default() }).await;
        put(&google, series(at("weekly", 9), &["RRULE:FREQ=WEEKLY"]));
        let slots = ["weekly_20260309T080000Z", "weekly_20260316T080000Z", "weekly_20260323T080000Z"];
        for slot in slots {
            edit(&google, slot, json!({"summary": "Exception"}));
        }
        let sync = token(&google, "").await;
        for slot in slots {
            cancel(&google, slot);
        }
        cancel(&google, "weekly");
        assert_eq!(delta(&google, &sync).await.len(), expected);
    }
}

#[tokio::test]
async fn b21_a_fresh_change_may_be_missing_and_comes_later() {
    let google = Google::with_settings(Settings { late_visibility_seconds: 5, ..Settings::default() }).await;
    put(&google, at("old", 9));
    google.clock.advance(TimeDelta::seconds(10));
    let sync = token(&google, "").await;
    edit(&google, "old", json!({"summary": "New"}));
    put(&google, with(at("made", 9), json!({"created": "2026-03-01T08:00:10.000Z"})));
    assert_eq!(ids(&google, "").await, ["old"]);
    let (early, from_full) = (list(&google, &format!("syncToken={sync}")).await, token(&google, "").await);
    assert!(early.ids().is_empty());
    google.clock.advance(TimeDelta::seconds(6));
    for later in [early.json["nextSyncToken"].as_str().unwrap(), &from_full] {
        let changes = delta(&google, later).await;
        assert_eq!(changes.iter().map(|c| c["id"].as_str().unwrap()).collect::<Vec<_>>(), ["old", "made"]);
    }
}

#[tokio::test]
async fn b22_and_b23_updated_min_reaches_back_some_weeks_and_includes_deletions() {
    let google = Google::start().await;
    put(&google, at("old", 9));
    google.clock.advance(TimeDelta::days(2));
    put(&google, at("deleted", 9));
    put(&google, at("changed", 9));
    cancel(&google, "deleted");
    let items = items(&google, "showDeleted=false&updatedMin=2026-03-02T08:00:00Z").await;
    let found: Vec<_> = items.iter().map(|i| (i["id"].as_str().unwrap(), i["status"].as_str().unwrap())).collect();
    assert_eq!(found, [("changed", "confirmed"), ("deleted", "cancelled")]);
    let answer = google.list("updatedMin=2025-12-01T00:00:00Z").await;
    refused(&answer, 410, "updatedMinTooLongAgo");
    assert_eq!(answer.json["error"]["errors"][0]["location"], "updatedMin");
}

#[tokio::test]
async fn b25_after_a_410_absence_is_the_only_sign_of_deletion() {
    let google = Google::start().await;
    put(&google, at("kept", 9));
    put(&google, at("deleted", 9));
    let sync = token(&google, "").await;
    cancel(&google, "deleted");
    google.core(|core| core.world.calendars.get_mut(ADA).unwrap().epoch += 1);
    assert_eq!(google.list(&format!("syncToken={sync}")).await.status, 410);
    assert_eq!(ids(&google, "").await, ["kept"]);
    // To ask for it by id is possible (D05).
    assert_eq!(get(&google, "deleted").await.json["status"], "cancelled");
}

#[tokio::test]
async fn b26_and_b27_only_a_listing_without_search_can_be_followed_up() {
    let google = Google::start().await;
    for (query, expected) in [
        ("orderBy=updated", false),
        ("orderBy=startTime&singleEvents=true", false),
        ("q=x", false),
        ("iCalUID=x", false),
        ("privateExtendedProperty=a%3Db", false),
        ("sharedExtendedProperty=a%3Db", false),
        ("updatedMin=2026-03-01T00:00:00Z", false),
        ("singleEvents=true", true),
        ("showDeleted=true&timeMin=2026-03-01T00:00:00Z&timeMax=2026-04-01T00:00:00Z", true),
        ("eventTypes=default", true),
    ] {
        assert_eq!(list(&google, query).await.json["nextSyncToken"].is_string(), expected, "{query}");
    }
}

#[tokio::test]
async fn b28_a_change_of_reminders_alone_is_in_the_delta_with_the_old_updated() {
    let google = Google::start().await;
    put(&google, at("single", 9));
    let before = get(&google, "single").await.json;
    let sync = token(&google, "").await;
    google.clock.advance(TimeDelta::seconds(60));
    let mut event = super::stored(&google, "single");
    event.insert("reminders".into(), json!({"useDefault": false}));
    google.core(|core| core.world.record(ADA, event, false));
    let changes = delta(&google, &sync).await;
    assert_eq!(changes[0]["updated"], before["updated"]);
    assert_ne!(changes[0]["etag"], before["etag"]);
}

#[tokio::test]
async fn a_change_is_seen_by_every_token_from_before_it_and_by_none_from_after_it() {
    let google = Google::start().await;
    let mut tokens = vec![token(&google, "").await];
    for n in 0..4 {
        put(&google, at(&format!("event{n}"), 9));
        tokens.push(token(&google, "").await);
    }
    for (n, sync) in tokens.iter().enumerate() {
        assert_eq!(delta(&google, sync).await.len(), 4 - n);
    }
}
