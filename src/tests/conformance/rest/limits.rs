//! Section K: errors and quotas.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{App, EVENTS, LIST, arm, calendars_named, command, get, make_calendar};
use crate::{
    emulator::settings::Settings,
    tests::conformance::{Google, meeting},
};

const WHO: &str = "ada@acme.example";

#[tokio::test]
async fn k02_a_missing_scope_is_told_in_both_formats() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens =
        app.sign_in(&[("scope", &format!("{LIST} https://www.googleapis.com/auth/calendar.events.readonly"))]).await;
    assert_eq!(app.api(&tokens["access_token"], "users/me/calendarList").await.status, 200);
    let url = format!("{}/calendar/v3/calendars/primary/events", google.origin());
    let insert = app.client.post(url).bearer_auth(tokens["access_token"].as_str().unwrap());
    let answer = app.send(insert.body(meeting("abcde", "x").to_string())).await;
    assert_eq!((answer.status, answer.reason()), (403, "insufficientPermissions"));
    let error = &answer.json["error"];
    assert_eq!(error["status"], "PERMISSION_DENIED");
    assert_eq!(error["details"][0]["reason"], "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    assert!(google.core(|core| core.world.calendars[WHO].events.is_empty()));
}

#[tokio::test]
async fn k03_a_user_has_so_many_requests_in_a_sliding_minute() {
    let google = Google::with_settings(Settings { user_quota: 4, ..Settings::default() }).await;
    for _ in 0..2 {
        assert_eq!(get(&google, WHO, "colors").await.status, 200);
    }
    google.clock.advance(TimeDelta::seconds(30));
    for _ in 0..2 {
        assert_eq!(get(&google, WHO, "colors").await.status, 200);
    }
    let answer = get(&google, WHO, "colors").await;
    assert_eq!((answer.status, answer.reason()), (403, "userRateLimitExceeded"));
    assert_eq!(answer.json["error"]["errors"][0]["domain"], "usageLimits");
    assert_eq!(get(&google, "bob@acme.example", "colors").await.status, 200);
    // The first two have left the window; the refused one counts too.
    google.clock.advance(TimeDelta::seconds(31));
    assert_eq!(get(&google, WHO, "colors").await.status, 200);
    assert_eq!(get(&google, WHO, "colors").await.status, 403);
}

#[tokio::test]
async fn k03_limits_may_come_as_429_and_a_patch_costs_three() {
    let settings = Settings { user_quota: 5, limits_as_429: true, ..Settings::default() };
    let google = Google::with_settings(settings).await;
    let patch = || google.call(WHO, "PATCH", "users/me/calendarList/primary", json!({"colorId": "3"}));
    assert_eq!(patch().await.status, 200);
    let answer = patch().await;
    assert_eq!((answer.status, answer.reason()), (429, "rateLimitExceeded"));
}

#[tokio::test]
async fn k04_the_project_has_a_limit_for_everybody_together() {
    let google = Google::with_settings(Settings { project_quota: 3, ..Settings::default() }).await;
    for who in [WHO, "bob@acme.example", "ada@home.example"] {
        assert_eq!(get(&google, who, "colors").await.status, 200);
    }
    let answer = get(&google, "ada@gmail.example", "colors").await;
    assert_eq!((answer.status, answer.reason()), (403, "rateLimitExceeded"));
    google.clock.advance(TimeDelta::minutes(1));
    assert_eq!(get(&google, "ada@gmail.example", "colors").await.status, 200);
}

#[tokio::test]
async fn k05_a_burst_of_writes_to_one_calendar_is_slowed_below_the_quota() {
    let google = Google::with_settings(Settings { calendar_write_burst: 3, ..Settings::default() }).await;
    let write = |who: &'static str, calendar: &'static str| {
        let (google, path) = (&google, format!("calendars/{calendar}/clear"));
        async move { google.call(who, "POST", &path, Value::Null).await }
    };
    for _ in 0..3 {
        assert_eq!(write(WHO, "primary").await.status, 204);
    }
    let answer = write(WHO, "ada%40acme.example").await;
    assert_eq!((answer.status, answer.reason()), (403, "rateLimitExceeded"));
    // Reading goes on, and other calendars take writes.
    assert_eq!(get(&google, WHO, "calendars/primary").await.status, 200);
    assert_eq!(write("bob@acme.example", "primary").await.status, 204);
    google.clock.advance(TimeDelta::seconds(10));
    assert_eq!(write(WHO, "primary").await.status, 204);
}

#[tokio::test]
async fn k06_who_created_too_much_only_reads_for_hours() {
    let google = Google::with_settings(Settings { creation_quota: 2, ..Settings::default() }).await;
    let insert = |id: &'static str| google.call(WHO, "POST", "calendars/primary/events", meeting(id, id));
    for id in ["aaaaa", "bbbbb"] {
        assert_ne!(insert(id).await.reason(), "quotaExceeded");
    }
    let answer = insert("ccccc").await;
    assert_eq!((answer.status, answer.reason()), (403, "quotaExceeded"));
    assert_eq!(answer.json["error"]["message"], "Calendar usage limits exceeded.");
    google.clock.advance(TimeDelta::hours(5));
    let clear = || google.call(WHO, "POST", "calendars/primary/clear", Value::Null);
    assert_eq!(clear().await.reason(), "quotaExceeded");
    assert_eq!(get(&google, WHO, "calendars/primary").await.status, 200);
    google.clock.advance(TimeDelta::hours(1));
    assert_eq!(clear().await.status, 204);
}

#[tokio::test]
async fn k07_a_write_that_answers_503_may_have_been_applied_or_not() {
    let google = Google::start().await;
    for (name, after_effect, applied) in [("refused", false, 0), ("applied", true, 1)] {
        arm(&google, json!({"kind": "status", "method": "POST", "times": 1, "after_effect": after_effect})).await;
        let first = make_calendar(&google, name).await;
        assert_eq!((first.status, first.reason()), (503, "backendError"));
        assert_eq!(calendars_named(&google, name).await, applied);
        assert_eq!(make_calendar(&google, name).await.status, 200);
    }
}

#[tokio::test]
async fn k08_an_error_body_may_be_html_or_empty() {
    let google = Google::start().await;
    let html = "<!DOCTYPE html><title>Error 502 (Server Error)!!1</title>";
    arm(&google, json!({"kind": "body", "status": 502, "body": html, "times": 1})).await;
    let answer = get(&google, WHO, "colors").await;
    assert_eq!((answer.status, answer.text.as_str()), (502, html));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    arm(&google, json!({"kind": "body", "status": 500, "times": 1})).await;
    let answer = get(&google, WHO, "colors").await;
    assert_eq!((answer.status, answer.text.as_str()), (500, ""));
    assert_eq!(get(&google, WHO, "colors").await.status, 200);
}

#[tokio::test]
async fn k16_a_gone_event_and_a_gone_sync_token_are_two_things() {
    let google = Google::start().await;
    google.insert(meeting("aaaaa", "a")).await;
    let token = google.list("").await.json["nextSyncToken"].as_str().unwrap().to_owned();
    let delete = || google.call(WHO, "DELETE", "calendars/primary/events/aaaaa", Value::Null);
    assert_eq!(delete().await.status, 204);
    let answer = delete().await;
    assert_eq!((answer.status, answer.reason()), (410, "deleted"));
    assert_eq!(answer.json["error"]["errors"][0]["domain"], "global");
    // The token is still good.
    assert_eq!(google.list(&format!("syncToken={token}")).await.ids(), ["aaaaa"]);
    command(&google, "POST", "expire-sync-tokens", json!({"calendar": WHO})).await;
    let answer = google.list(&format!("syncToken={token}")).await;
    assert_eq!((answer.status, answer.reason()), (410, "fullSyncRequired"));
    assert_eq!(answer.json["error"]["errors"][0]["domain"], "calendar");
}

#[tokio::test]
async fn k17_an_answer_is_zipped_when_both_headers_ask_for_it() {
    let google = Google::start().await;
    // The test's client sets no `accept-encoding` of its own when one is given, and does not unzip then.
    for (accept, agent, zipped) in [
        ("gzip", "busybridge (gzip)", true),
        ("br, gzip;q=0.8", "x gzip", true),
        ("gzip", "busybridge", false),
        ("identity", "x gzip", false),
    ] {
        let url = format!("{}/calendar/v3/colors", google.origin());
        let client = reqwest::Client::builder().gzip(false).build().unwrap();
        let request = client.get(url).bearer_auth(format!("dev:{WHO}"));
        let response = request.header("accept-encoding", accept).header("user-agent", agent).send().await.unwrap();
        assert_eq!(response.headers().contains_key("content-encoding"), zipped, "{accept} {agent}");
        let bytes = response.bytes().await.unwrap();
        assert_eq!(bytes.starts_with(&[0x1f, 0x8b]), zipped);
    }
    let client = reqwest::Client::builder().user_agent("busybridge (gzip)").build().unwrap();
    let url = format!("{}/calendar/v3/colors", google.origin());
    let text = client.get(url).bearer_auth(format!("dev:{WHO}")).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["kind"], "calendar#colors");
}

#[tokio::test]
async fn k18_only_the_reason_tells_a_quota_from_a_permission() {
    let google = Google::with_settings(Settings { user_quota: 1, ..Settings::default() }).await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", EVENTS), ("login_hint", "ada@home.example")]).await;
    let permission = app.api(&tokens["access_token"], "colors").await;
    get(&google, WHO, "colors").await;
    let quota = get(&google, WHO, "colors").await;
    assert_eq!((permission.status, quota.status), (403, 403));
    assert_eq!((permission.reason(), quota.reason()), ("insufficientPermissions", "userRateLimitExceeded"));
}
