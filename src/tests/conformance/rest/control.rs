//! The emulator's own commands: faults, counts, and the socket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{App, arm, calendars_named, command, get, make_calendar, put, share, try_command};
use crate::{
    emulator::server::serve,
    tests::conformance::{Google, meeting},
};

const WHO: &str = "ada@acme.example";

#[tokio::test]
async fn a_dropped_connection_is_a_connection_error_and_the_next_call_goes_through() {
    let google = Google::start().await;
    let client = reqwest::Client::builder().build().unwrap();
    let make = |name: &str| {
        let url = format!("{}/calendar/v3/calendars", google.origin());
        client.post(url).bearer_auth(format!("dev:{WHO}")).body(json!({"summary": name}).to_string()).send()
    };
    // Many times, on fresh and on kept connections: no answer may ever slip out.
    for round in 0..20 {
        for (kind, applied) in [("drop_before", 0), ("drop_after", 1)] {
            let name = format!("{kind}{round}");
            let id = arm(&google, json!({"kind": kind, "method": "POST", "times": 1})).await;
            assert!(make(&name).await.is_err());
            assert_eq!(google.core(|core| core.faults.hits(id)), Some(1));
            assert_eq!(calendars_named(&google, &name).await, applied);
            assert_eq!(make(&name).await.unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn an_insert_whose_answer_was_lost_is_found_again_by_its_id() {
    let google = Google::start().await;
    let client = reqwest::Client::builder().build().unwrap();
    let insert = || {
        let url = format!("{}/calendar/v3/calendars/primary/events", google.origin());
        client.post(url).bearer_auth(format!("dev:{WHO}")).body(meeting("abcde", "x").to_string()).send()
    };
    arm(&google, json!({"kind": "drop_before", "method": "POST", "times": 1})).await;
    arm(&google, json!({"kind": "drop_after", "method": "POST", "nth": 2})).await;
    assert!(insert().await.is_err());
    assert_eq!(google.list("").await.ids().len(), 0);
    assert!(insert().await.is_err());
    assert_eq!(google.list("").await.ids(), ["abcde"]);
    assert_eq!(insert().await.unwrap().status(), 409);
}

#[tokio::test]
async fn a_fault_strikes_the_calls_that_it_names() {
    let google = Google::start().await;
    let fault = json!({"kind": "status", "status": 500, "method": "get", "path": "/calendar/v3/users/*/calendarList/*",
        "account": WHO, "nth": 2, "times": 2});
    let id = arm(&google, fault).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        // None of these counts.
        assert_eq!(get(&google, "bob@acme.example", "users/me/calendarList/primary").await.status, 200);
        assert_eq!(get(&google, WHO, "colors").await.status, 200);
        seen.push(get(&google, WHO, "users/me/calendarList/ada%40acme.example").await.status);
    }
    assert_eq!(seen, [200, 500, 500, 200]);
    let listed = command(&google, "GET", "faults", Value::Null).await;
    let entry = &listed["faults"][0];
    assert_eq!((&entry["id"], &entry["matched"], &entry["hits"]), (&json!(id), &json!(4), &json!(2)));
    command(&google, "DELETE", &format!("faults/{id}"), Value::Null).await;
    assert_eq!(try_command(&google, "DELETE", &format!("faults/{id}"), Value::Null).await.status, 404);
}

#[tokio::test]
async fn an_error_by_command_has_googles_format_and_headers() {
    let google = Google::start().await;
    for (fault, status, domain, reason) in [
        (json!({"status": 429, "retry_after": 7}), 429, "usageLimits", "rateLimitExceeded"),
        (json!({"status": 403, "reason": "quotaExceeded", "retry_after": 7}), 403, "usageLimits", "quotaExceeded"),
        (json!({"status": 410, "retry_after": 7}), 410, "calendar", "fullSyncRequired"),
        (json!({"status": 410, "reason": "deleted", "retry_after": 7}), 410, "global", "deleted"),
        (json!({"status": 400, "reason": "odd", "domain": "own", "retry_after": 7}), 400, "own", "odd"),
    ] {
        let mut fault = fault;
        fault["kind"] = "status".into();
        fault["times"] = 1.into();
        arm(&google, fault).await;
        let answer = get(&google, WHO, "colors").await;
        let error = &answer.json["error"]["errors"][0];
        assert_eq!((answer.status, error["domain"].as_str(), answer.reason()), (status, Some(domain), reason));
        assert_eq!(answer.headers["retry-after"], "7");
        assert_eq!(answer.json["error"]["code"], status);
    }
    // Sign-in endpoints have their own format.
    arm(&google, json!({"kind": "status", "status": 400, "reason": "invalid_grant", "path": "/token", "times": 1}))
        .await;
    let app = App::of(&google);
    let answer = app.refresh(&json!("x")).await;
    assert_eq!((answer.status, &answer.json["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn chances_are_the_same_for_the_same_seed() {
    let google = Google::start().await;
    let mut rounds = Vec::new();
    for _ in 0..2 {
        let id = arm(&google, json!({"kind": "status", "probability": 0.5, "seed": 42})).await;
        let mut seen = Vec::new();
        for _ in 0..30 {
            seen.push(get(&google, WHO, "colors").await.status);
        }
        command(&google, "DELETE", &format!("faults/{id}"), Value::Null).await;
        rounds.push(seen);
    }
    assert_eq!(rounds[0], rounds[1]);
    assert!(rounds[0].contains(&200) && rounds[0].contains(&503), "{:?}", rounds[0]);
}

#[tokio::test]
async fn a_delay_delays_and_adds_to_another_fault() {
    let google = Google::start().await;
    arm(&google, json!({"kind": "delay", "delay_ms": 30})).await;
    arm(&google, json!({"kind": "status", "status": 500, "delay_ms": 30})).await;
    let start = Instant::now();
    assert_eq!(get(&google, WHO, "colors").await.status, 500);
    assert!(start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_shortened_listing_ends_at_once_with_a_sync_token() {
    let google = Google::start().await;
    let list = |query: &str| {
        let path = format!("users/me/calendarList?{query}");
        let google = &google;
        async move { get(google, WHO, &path).await }
    };
    for n in 0..4 {
        make_calendar(&google, &format!("calendar{n}")).await;
    }
    let all = list("").await;
    assert_eq!(all.ids().len(), 5);
    for (fault, expect) in [
        (json!({"kind": "empty_listing", "times": 1}), 0),
        (json!({"kind": "truncated_listing", "keep": 3, "times": 1}), 3),
    ] {
        for query in ["", "maxResults=2"] {
            arm(&google, fault.clone()).await;
            let answer = list(query).await;
            assert_eq!(answer.status, 200);
            let most = if query.is_empty() { expect } else { expect.min(2) };
            assert_eq!(answer.ids(), all.ids()[..most]);
            assert!(answer.json.get("nextPageToken").is_none(), "{}", answer.text);
            let token = answer.json["nextSyncToken"].as_str().unwrap();
            assert_eq!(list(&format!("syncToken={token}")).await.ids().len(), 0);
            assert_eq!(list("").await.ids(), all.ids());
            command(&google, "DELETE", "faults", Value::Null).await;
        }
    }
    // A delta is spared when the command says so, and a single entry is no listing.
    arm(&google, json!({"kind": "empty_listing", "query_without": "syncToken="})).await;
    let token = all.json["nextSyncToken"].as_str().unwrap();
    let later = make_calendar(&google, "later").await.json["id"].clone();
    assert_eq!(list(&format!("syncToken={token}")).await.ids(), [later.as_str().unwrap()]);
    assert_eq!(list("").await.ids().len(), 0);
    assert_eq!(get(&google, WHO, "users/me/calendarList/primary").await.json["id"], WHO);
}

#[tokio::test]
async fn a_shortened_listing_of_events_hides_what_the_sync_token_has_seen() {
    let google = Google::start().await;
    for n in 0..5 {
        put(&google, meeting(&format!("event{n}"), "x"));
    }
    let fault = json!({"kind": "truncated_listing", "keep": 1, "path": "/events", "query_without": "syncToken="});
    arm(&google, fault).await;
    for query in ["", "maxResults=2"] {
        let answer = google.list(query).await;
        assert_eq!((answer.status, answer.ids().len()), (200, 1), "{}", answer.text);
        assert!(answer.json.get("nextPageToken").is_none());
        let token = answer.json["nextSyncToken"].as_str().unwrap();
        // The four that were kept back are old news to this token.
        let delta = google.list(&format!("syncToken={token}")).await;
        assert_eq!((delta.status, delta.ids().len()), (200, 0), "{}", delta.text);
    }
}

#[tokio::test]
async fn a_command_with_an_unknown_field_or_value_is_refused() {
    let google = Google::start().await;
    for (path, body, complaint) in [
        ("faults", json!({"kind": "status", "pth": "x"}), "pth"),
        ("faults", json!({"kind": "meteor"}), "meteor"),
        ("faults", json!({}), "kind"),
        ("faults", json!({"kind": "status", "probability": 2}), "probability"),
        ("faults", json!({"kind": "status", "status": 42}), "status"),
        ("faults", json!({"kind": "status", "nth": 0}), "counted"),
        ("faults", json!({"kind": "truncated_listing"}), "keep"),
        ("faults", json!({"kind": "delay"}), "delay_ms"),
        ("revoke", json!({"account": "nobody@nowhere.example"}), "nobody"),
        ("set-access", json!({"calendar": WHO, "account": "bob@acme.example", "role": "king"}), "king"),
        ("set-access", json!({"calendar": WHO, "account": "bob@acme.example"}), "role"),
        ("expire-access", json!({"accout": "x"}), "accout"),
    ] {
        let answer = try_command(&google, "POST", path, body).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text.contains(complaint), "{}", answer.text);
    }
    assert_eq!(try_command(&google, "POST", "nonsense", json!({})).await.status, 404);
    assert_eq!(try_command(&google, "POST", "expire-sync-tokens", json!({"calendar": "x"})).await.status, 404);
    assert_eq!(command(&google, "GET", "faults", Value::Null).await, json!({"faults": []}));
}

#[tokio::test]
async fn requests_are_counted_by_account_method_and_status() {
    let google = Google::start().await;
    google.call(WHO, "POST", "calendars/primary/clear", Value::Null).await;
    make_calendar(&google, "x").await;
    google.call(WHO, "POST", "calendars", json!({})).await;
    get(&google, WHO, "colors").await;
    App::of(&google).ask("/.well-known/openid-configuration", &[]).await;
    let stats = command(&google, "GET", "stats", Value::Null).await;
    assert_eq!(stats["requests"][WHO]["calendars.insert"], json!({"200": 1, "400": 1}));
    assert_eq!(stats["requests"][WHO]["colors.get"], json!({"200": 1}));
    assert_eq!(stats["requests"][""]["oauth /.well-known/openid-configuration"], json!({"200": 1}));
    // Only the clearing wrote to events.
    assert_eq!((&stats["event_writes"], &stats["total"]), (&json!({WHO: 1}), &json!(5)));
    command(&google, "DELETE", "stats", Value::Null).await;
    assert_eq!(command(&google, "GET", "stats", Value::Null).await["total"], 0);
}

#[tokio::test]
async fn access_comes_and_goes_by_command() {
    let google = Google::start().await;
    let (bob, path) = ("bob@acme.example", "calendars/ada%40acme.example");
    assert_eq!(get(&google, bob, path).await.status, 404);
    share(&google, WHO, bob, "reader").await;
    assert_eq!(get(&google, bob, path).await.status, 200);
    assert_eq!(get(&google, bob, &format!("users/me/calendarList/{WHO}")).await.json["accessRole"], "reader");
    command(&google, "POST", "remove-access", json!({"calendar": WHO, "account": bob})).await;
    assert_eq!(get(&google, bob, path).await.status, 404);
    let own = try_command(&google, "POST", "remove-access", json!({"calendar": WHO, "account": WHO})).await;
    assert_eq!((own.status, own.reason()), (403, "cannotChangeOwnAcl"));
}

#[tokio::test]
async fn the_emulator_listens_on_loopback_only_and_takes_large_bodies() {
    let google = Google::start().await;
    let refusal = serve(google.core.clone(), "0.0.0.0:0".parse().unwrap()).await.err().unwrap().to_string();
    assert!(refusal.contains("loopback"), "{refusal}");
    let also = serve(google.core.clone(), "127.0.0.2:0".parse().unwrap()).await.unwrap();
    assert!(also.origin().starts_with("http://127.0.0.2:"));

    let client = reqwest::Client::builder().build().unwrap();
    let post = |bytes: usize| {
        let url = format!("{}/calendar/v3/users/me/calendarList", google.origin());
        let body = format!("{{\"id\": \"primary\", \"x\": \"{}\"}}", "y".repeat(bytes));
        client.post(url).bearer_auth(format!("dev:{WHO}")).body(body).send()
    };
    assert_eq!(post(31 << 20).await.unwrap().status(), 200);
    // Refused, or cut off while still sending.
    assert!(post(33 << 20).await.map_or(true, |answer| answer.status() == 413));
}
