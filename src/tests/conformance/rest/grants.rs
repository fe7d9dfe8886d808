//! Section L: how long tokens live, and what ends them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{App, EVENTS, LIST, arm, command};
use crate::{
    emulator::settings::Settings,
    tests::conformance::{Answer, Google},
};

fn refused(answer: &Answer) {
    assert_eq!((answer.status, &answer.json["error"]), (400, &json!("invalid_grant")), "{}", answer.text);
}

#[tokio::test]
async fn l01_a_refresh_token_comes_with_the_first_offline_consent() {
    let google = Google::start().await;
    let app = App::of(&google);
    let scope = [("scope", EVENTS)];
    assert!(app.sign_in(&[("scope", EVENTS), ("access_type", "online")]).await.get("refresh_token").is_none());
    assert!(app.sign_in(&scope).await["refresh_token"].is_string());
    assert!(app.sign_in(&scope).await.get("refresh_token").is_none());
    assert!(app.sign_in(&[("scope", EVENTS), ("prompt", "consent")]).await["refresh_token"].is_string());
    // A scope that is new has to be consented to.
    assert!(app.sign_in(&[("scope", LIST)]).await["refresh_token"].is_string());
    // Another account consents for itself.
    assert!(app.sign_in(&[("scope", EVENTS), ("login_hint", "ada@gmail.example")]).await["refresh_token"].is_string());
}

#[tokio::test]
async fn l02_a_refresh_gives_a_new_access_token_and_no_refresh_token() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", EVENTS)]).await;
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(3599)));
    let answer = app.refresh(&tokens["refresh_token"]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_ne!(answer.json["access_token"], tokens["access_token"]);
    assert_eq!(answer.json["scope"], EVENTS);
    assert!(answer.json.get("refresh_token").is_none());
    refused(&app.refresh(&json!("1//nonsense")).await);
}

#[tokio::test]
async fn k01_an_access_token_expires_and_says_so() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", LIST)]).await;
    google.clock.advance(TimeDelta::seconds(3598));
    assert_eq!(app.api(&tokens["access_token"], "users/me/calendarList").await.status, 200);
    google.clock.advance(TimeDelta::seconds(1));
    for token in [&tokens["access_token"], &json!("nonsense"), &json!("dev:nobody@nowhere.example")] {
        let answer = app.api(token, "users/me/calendarList").await;
        assert_eq!((answer.status, answer.reason()), (401, "authError"));
        let error = &answer.json["error"]["errors"][0];
        assert_eq!((&error["locationType"], &error["location"]), (&json!("header"), &json!("Authorization")));
        assert_eq!(answer.json["error"]["message"], "Invalid Credentials");
    }
    assert_eq!(app.refresh(&tokens["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn access_tokens_expire_by_command_and_refresh_heals() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", LIST)]).await;
    let other = app.sign_in(&[("scope", LIST), ("login_hint", "ada@home.example")]).await;
    command(&google, "POST", "expire-access", json!({"account": "ada@acme.example"})).await;
    assert_eq!(app.api(&tokens["access_token"], "users/me/calendarList").await.status, 401);
    assert_eq!(app.api(&other["access_token"], "users/me/calendarList").await.status, 200);
    let fresh = app.refresh(&tokens["refresh_token"]).await.json;
    assert_eq!(app.api(&fresh["access_token"], "users/me/calendarList").await.status, 200);
}

#[tokio::test]
async fn l03_a_revoked_account_gets_invalid_grant_until_it_signs_in_again() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", LIST)]).await;
    let pending = app.code(&[("scope", LIST)]).await;
    command(&google, "POST", "revoke", json!({"account": "ada@acme.example"})).await;
    refused(&app.refresh(&tokens["refresh_token"]).await);
    refused(&app.redeem(&pending, &[]).await);
    assert_eq!(app.api(&tokens["access_token"], "users/me/calendarList").await.status, 401);
    let dev = json!("dev:ada@acme.example");
    assert_eq!(app.api(&dev, "users/me/calendarList").await.status, 401);
    assert_eq!(app.api(&json!("dev:bob@acme.example"), "users/me/calendarList").await.status, 200);
    // The grant is gone, so that the next consent counts as the first.
    assert!(app.sign_in(&[("scope", LIST)]).await["refresh_token"].is_string());
    assert_eq!(app.api(&dev, "users/me/calendarList").await.status, 200);
}

#[tokio::test]
async fn l06_the_hundred_and_first_refresh_token_ends_the_oldest() {
    let google = Google::start().await;
    let app = App::of(&google);
    let ask = [("scope", EVENTS), ("prompt", "consent")];
    let mut tokens = Vec::new();
    for _ in 0..100 {
        tokens.push(app.sign_in(&ask).await["refresh_token"].clone());
    }
    let distinct: BTreeSet<&str> = tokens.iter().filter_map(Value::as_str).collect();
    assert_eq!(distinct.len(), 100);
    assert_eq!(app.refresh(&tokens[0]).await.status, 200);
    // Other accounts have a hundred of their own.
    app.sign_in(&[("scope", EVENTS), ("login_hint", "ada@home.example")]).await;
    assert_eq!(app.refresh(&tokens[0]).await.status, 200);
    let last = app.sign_in(&ask).await["refresh_token"].clone();
    refused(&app.refresh(&tokens[0]).await);
    for alive in [&tokens[1], &last] {
        assert_eq!(app.refresh(alive).await.status, 200);
    }
}

#[tokio::test]
async fn l07_outside_testing_a_refresh_token_outlives_seven_days() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", EVENTS)]).await;
    assert!(tokens.get("refresh_token_expires_in").is_none());
    google.clock.advance(TimeDelta::days(8));
    assert_eq!(app.refresh(&tokens["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn l08_a_refresh_token_unused_for_six_months_is_dead() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", EVENTS)]).await;
    // It is the last use that counts, not the issue.
    for _ in 0..2 {
        google.clock.advance(TimeDelta::days(180));
        assert_eq!(app.refresh(&tokens["refresh_token"]).await.status, 200);
    }
    google.clock.advance(TimeDelta::days(185));
    refused(&app.refresh(&tokens["refresh_token"]).await);
}

#[tokio::test]
async fn l09_a_new_password_ends_only_tokens_with_mail_scopes() {
    let google = Google::start().await;
    let app = App::of(&google);
    let calendar = app.sign_in(&[("scope", EVENTS)]).await;
    let mail = app.sign_in(&[("scope", "https://mail.google.com/")]).await;
    command(&google, "POST", "change-password", json!({"account": "ada@acme.example"})).await;
    assert_eq!(app.refresh(&calendar["refresh_token"]).await.status, 200);
    refused(&app.refresh(&mail["refresh_token"]).await);
}

#[tokio::test]
async fn l16_revoking_a_token_ends_the_grant_and_its_access_tokens() {
    let google = Google::start().await;
    let app = App::of(&google);
    for revoked in ["refresh_token", "access_token"] {
        let ask = [("scope", LIST), ("prompt", "consent")];
        let tokens = app.sign_in(&ask).await;
        let sibling = app.sign_in(&ask).await;
        let other = app.sign_in(&[("scope", LIST), ("prompt", "consent"), ("login_hint", "ada@home.example")]).await;
        assert_eq!(app.ask("/revoke", &[("token", tokens[revoked].as_str().unwrap())]).await.status, 200);
        refused(&app.refresh(&tokens["refresh_token"]).await);
        refused(&app.refresh(&sibling["refresh_token"]).await);
        assert_eq!(app.api(&tokens["access_token"], "users/me/calendarList").await.status, 401);
        assert_eq!(app.api(&other["access_token"], "users/me/calendarList").await.status, 200);
        let again = app.ask("/revoke", &[("token", tokens[revoked].as_str().unwrap())]).await;
        assert_eq!((again.status, &again.json["error"]), (400, &json!("invalid_token")));
    }
}

#[tokio::test]
async fn l16_revocation_may_take_a_moment_and_may_spare_other_tokens() {
    let settings = Settings { revocation_delay_seconds: 5, revoke_whole_grant: false, ..Settings::default() };
    let google = Google::with_settings(settings).await;
    let app = App::of(&google);
    let ask = [("scope", LIST), ("prompt", "consent")];
    let (tokens, sibling) = (app.sign_in(&ask).await, app.sign_in(&ask).await);
    app.ask("/revoke", &[("token", tokens["refresh_token"].as_str().unwrap())]).await;
    refused(&app.refresh(&tokens["refresh_token"]).await);
    google.clock.advance(TimeDelta::seconds(4));
    assert_eq!(app.api(&tokens["access_token"], "users/me/calendarList").await.status, 200);
    google.clock.advance(TimeDelta::seconds(1));
    assert_eq!(app.api(&tokens["access_token"], "users/me/calendarList").await.status, 401);
    assert_eq!(app.api(&sibling["access_token"], "users/me/calendarList").await.status, 200);
    assert_eq!(app.refresh(&sibling["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn l18_two_refreshes_at_once_both_succeed() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", LIST)]).await;
    let (a, b) = tokio::join!(app.refresh(&tokens["refresh_token"]), app.refresh(&tokens["refresh_token"]));
    assert_ne!(a.json["access_token"], b.json["access_token"]);
    for answer in [&a, &b] {
        assert_eq!(app.api(&answer.json["access_token"], "users/me/calendarList").await.status, 200);
    }
}

#[tokio::test]
async fn l19_a_passing_401_on_a_fresh_token_is_healed_by_one_retry() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", LIST)]).await;
    arm(&google, json!({"kind": "status", "status": 401, "path": "calendarList", "times": 1})).await;
    let first = app.api(&tokens["access_token"], "users/me/calendarList").await;
    assert_eq!((first.status, first.reason()), (401, "authError"));
    assert_eq!(app.api(&tokens["access_token"], "users/me/calendarList").await.status, 200);
}
