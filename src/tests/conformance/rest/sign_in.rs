//! Section L: the consent page, codes, id tokens and keys.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, jwk::JwkSet};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{App, EVENTS, LIST, REDIRECT, command, redirected};
use crate::{
    emulator::{oauth::DEMO_CLIENT, settings::Settings},
    tests::conformance::Google,
};

fn verified(id_token: &Value, keys: &JwkSet) -> Result<TokenData<Value>, String> {
    let token = id_token.as_str().unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&kid).ok_or("unknown kid")?).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[DEMO_CLIENT]);
    // The test's clock stands in 2026.
    validation.validate_exp = false;
    jsonwebtoken::decode(token, &key, &validation).map_err(|e| e.to_string())
}

async fn keys(app: &App<'_>) -> JwkSet {
    serde_json::from_value(app.ask("/certs", &[]).await.json).unwrap()
}

#[tokio::test]
async fn the_discovery_document_names_every_endpoint_on_this_origin() {
    let google = Google::start().await;
    let app = App::of(&google);
    let document = app.ask("/.well-known/openid-configuration", &[]).await.json;
    assert_eq!(document["issuer"], google.origin());
    for name in ["authorization", "token", "userinfo", "revocation"] {
        let address = document[format!("{name}_endpoint")].as_str().unwrap();
        let path = address.strip_prefix(&google.origin()).unwrap();
        assert_ne!(app.ask(path, &[("x", "y")]).await.status, 404, "{address}");
    }
    assert!(document["jwks_uri"].as_str().unwrap().starts_with(&google.origin()));
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
}

#[tokio::test]
async fn a_login_hint_signs_in_at_once_and_state_comes_back() {
    let google = Google::start().await;
    let app = App::of(&google);
    let sub = google.core(|core| core.world.accounts["ada@acme.example"].sub.clone());
    for hint in ["ada@acme.example", &sub] {
        let answer = app.consent(&[("login_hint", hint)]).await;
        assert_eq!(answer.status, 302, "{}", answer.text);
        assert_eq!(redirected(&answer, "state").as_deref(), Some("a state"));
        let tokens = app.redeem(&redirected(&answer, "code").unwrap(), &[]).await.json;
        let person = app
            .send(
                app.client
                    .get(format!("{}/userinfo", google.origin()))
                    .bearer_auth(tokens["access_token"].as_str().unwrap()),
            )
            .await
            .json;
        assert_eq!(person["email"], "ada@acme.example");
    }
}

#[tokio::test]
async fn without_a_hint_the_page_lets_one_choose_and_refuse() {
    let google = Google::start().await;
    let app = App::of(&google);
    let page = app.consent(&[("login_hint", ""), ("state", "<&\"'>")]).await;
    assert_eq!(page.status, 200);
    for account in ["ada@home.example", "ada@acme.example", "bob@acme.example", "ada@gmail.example"] {
        assert!(page.text.contains(&format!("value=\"{account}\"")), "{}", page.text);
    }
    assert!(page.text.contains("&lt;&amp;&quot;&#39;&gt;") && !page.text.contains("<&\"'>"), "{}", page.text);
    let only = app.consent(&[("login_hint", "nobody@nowhere.example"), ("hd", "acme.example")]).await.text;
    assert!(only.contains("bob@acme.example") && !only.contains("ada@gmail.example"), "{only}");

    let chosen = app.consent(&[("login_hint", ""), ("account", "bob@acme.example")]).await;
    assert!(redirected(&chosen, "code").is_some());
    let refused = app.consent(&[("login_hint", ""), ("deny", "1")]).await;
    assert_eq!(redirected(&refused, "error").as_deref(), Some("access_denied"));
    let silent = app.consent(&[("login_hint", ""), ("prompt", "none")]).await;
    assert_eq!(redirected(&silent, "error").as_deref(), Some("interaction_required"));
    let unasked = app.consent(&[("login_hint", "ada@home.example"), ("prompt", "none")]).await;
    assert_eq!(redirected(&unasked, "error").as_deref(), Some("consent_required"));
}

#[tokio::test]
async fn a_request_that_names_no_client_scope_or_response_type_is_shown_as_an_error() {
    let google = Google::start().await;
    let app = App::of(&google);
    for (name, value, status, error) in [
        ("client_id", "nobody", 401, "invalid_client"),
        ("response_type", "token", 400, "unsupported_response_type"),
        ("scope", " ", 400, "invalid_request"),
        ("scope", "openid calendar", 400, "invalid_scope"),
    ] {
        let page = app.consent(&[(name, value)]).await;
        assert_eq!(page.status, status, "{}", page.text);
        assert!(page.text.contains(error), "{}", page.text);
        assert!(page.headers.get("location").is_none());
    }
}

#[tokio::test]
async fn l04_a_code_is_good_once_and_for_ten_minutes() {
    let google = Google::start().await;
    let app = App::of(&google);
    let code = app.code(&[]).await;
    assert_eq!(app.redeem(&code, &[]).await.status, 200);
    let again = app.redeem(&code, &[]).await;
    assert_eq!((again.status, &again.json["error"]), (400, &json!("invalid_grant")));

    let late = app.code(&[]).await;
    google.clock.advance(TimeDelta::minutes(10));
    let answer = app.redeem(&late, &[]).await;
    assert_eq!((answer.status, &answer.json["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn l05_a_wrong_client_secret_is_refused_and_a_basic_header_will_do() {
    let google = Google::start().await;
    let app = App::of(&google);
    for over in [("client_secret", "guess"), ("client_id", "nobody")] {
        let answer = app.redeem(&app.code(&[]).await, &[over]).await;
        assert_eq!((answer.status, &answer.json["error"]), (401, &json!("invalid_client")));
    }
    let code = app.code(&[]).await;
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", REDIRECT)];
    let request = app.client.post(format!("{}/token", google.origin())).form(&form);
    assert_eq!(app.send(request.basic_auth(DEMO_CLIENT, Some("demo-secret"))).await.status, 200);
    let other = app
        .ask("/token", &[("grant_type", "password"), ("client_id", DEMO_CLIENT), ("client_secret", "demo-secret")])
        .await;
    assert_eq!((other.status, &other.json["error"]), (400, &json!("unsupported_grant_type")));
}

#[tokio::test]
async fn l10_an_unticked_scope_is_missing_from_the_answer_and_at_the_api() {
    let google = Google::start().await;
    let app = App::of(&google);
    let page = app.consent(&[("login_hint", "")]).await.text;
    assert!(page.contains(&format!("name=\"grant\" value=\"{EVENTS}\" checked")), "{page}");
    assert!(!page.contains("value=\"openid\""), "OpenID's own scopes have no box: {page}");

    let ticked = [("login_hint", ""), ("account", "ada@acme.example"), ("granular", "1"), ("grant", EVENTS)];
    let tokens = app.sign_in(&ticked).await;
    let scope = tokens["scope"].as_str().unwrap();
    assert!(scope.contains(EVENTS) && scope.contains("openid") && !scope.contains(LIST), "{scope}");
    let answer = app.api(&tokens["access_token"], "users/me/calendarList").await;
    assert_eq!((answer.status, answer.reason()), (403, "insufficientPermissions"));
}

#[tokio::test]
async fn scopes_granted_before_come_along_when_asked_to() {
    let google = Google::start().await;
    let app = App::of(&google);
    app.sign_in(&[("scope", &format!("openid {EVENTS}"))]).await;
    let alone = app.sign_in(&[("scope", &format!("openid {LIST}"))]).await;
    assert!(!alone["scope"].as_str().unwrap().contains(EVENTS));
    let both = app.sign_in(&[("scope", LIST), ("include_granted_scopes", "true")]).await;
    assert!(both["scope"].as_str().unwrap().contains(EVENTS), "{both}");
}

#[tokio::test]
async fn l11_an_admin_who_forbids_applications_stops_consent_and_refresh() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[]).await;
    let block = |blocked: bool| json!({"domain": "acme.example", "blocked": blocked});
    command(&google, "POST", "admin-block", block(true)).await;
    let page = app.consent(&[]).await;
    assert_eq!(page.status, 400);
    assert!(page.text.contains("admin_policy_enforced"), "{}", page.text);
    let refresh = app.refresh(&tokens["refresh_token"]).await;
    assert_eq!((refresh.status, &refresh.json["error"]), (400, &json!("invalid_grant")));
    // Other organizations and consumers are not concerned.
    assert_eq!(app.consent(&[("login_hint", "ada@gmail.example")]).await.status, 302);
    command(&google, "POST", "admin-block", block(false)).await;
    assert_eq!(app.refresh(&tokens["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn l12_an_id_token_is_signed_and_says_who_for_whom_and_until_when() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("nonce", "n-1"), ("scope", "openid email profile")]).await;
    let claims = verified(&tokens["id_token"], &keys(&app).await).unwrap().claims;
    let account = google.core(|core| core.world.accounts["ada@acme.example"].clone());
    let now = google.clock.now().timestamp();
    let access = tokens["access_token"].as_str().unwrap();
    let expected = json!({
        "iss": google.origin(), "aud": DEMO_CLIENT, "azp": DEMO_CLIENT, "sub": account.sub,
        "email": "ada@acme.example", "email_verified": true, "name": account.name, "hd": "acme.example",
        "nonce": "n-1", "iat": now, "exp": now + 3600,
        "at_hash": URL_SAFE_NO_PAD.encode(&Sha256::digest(access)[..16]),
    });
    assert_eq!(claims, expected);

    let consumer = app.sign_in(&[("login_hint", "ada@gmail.example"), ("scope", "openid")]).await;
    let claims = verified(&consumer["id_token"], &keys(&app).await).unwrap().claims;
    for absent in ["hd", "email", "nonce", "name"] {
        assert!(claims.get(absent).is_none(), "{claims}");
    }
    let forged = tokens["id_token"].as_str().unwrap().replacen('.', ".e", 1);
    assert!(verified(&json!(forged), &keys(&app).await).is_err());
    assert!(app.sign_in(&[("scope", EVENTS)]).await.get("id_token").is_none());
}

#[tokio::test]
async fn l13_keys_rotate_and_the_old_one_stays_until_it_retires() {
    let google = Google::start().await;
    let app = App::of(&google);
    let first = app.sign_in(&[]).await;
    let before = keys(&app).await;
    command(&google, "POST", "rotate-keys", Value::Null).await;
    let second = app.sign_in(&[]).await;
    assert_eq!(verified(&second["id_token"], &before).unwrap_err(), "unknown kid");
    let published = app.ask("/certs", &[]).await;
    assert!(published.headers["cache-control"].to_str().unwrap().contains("max-age"));
    let both = keys(&app).await;
    assert!(verified(&second["id_token"], &both).is_ok() && verified(&first["id_token"], &both).is_ok());
    command(&google, "POST", "rotate-keys", json!({"retire": true})).await;
    assert_eq!(verified(&second["id_token"], &keys(&app).await).unwrap_err(), "unknown kid");
}

#[tokio::test]
async fn l14_a_code_with_a_challenge_needs_its_verifier() {
    let google = Google::start().await;
    let app = App::of(&google);
    let verifier = "a-verifier-of-at-least-forty-three-characters-x";
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let pkce = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    for (over, status) in
        [(vec![("code_verifier", verifier)], 200), (vec![("code_verifier", "another")], 400), (vec![], 400)]
    {
        let answer = app.redeem(&app.code(&pkce).await, &over).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status == 400 {
            assert_eq!(answer.json["error"], "invalid_grant");
        }
    }
    for over in [
        vec![("code_challenge", verifier), ("code_challenge_method", "plain")],
        vec![("code_challenge", challenge.as_str())],
    ] {
        let page = app.consent(&over).await;
        assert_eq!(page.status, 400, "{}", page.text);
    }
    let unasked = app.redeem(&app.code(&[]).await, &[("code_verifier", verifier)]).await;
    assert_eq!((unasked.status, &unasked.json["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn l15_a_redirect_address_counts_to_the_letter() {
    let google = Google::start().await;
    let app = App::of(&google);
    // The demo client takes any loopback address, and no other.
    for (address, status) in [
        ("http://127.0.0.1:3000/x", 302),
        ("http://[::1]:3000/x", 302),
        ("https://localhost/x", 400),
        ("http://example.com/x", 400),
        ("http://localhost.example.com/x", 400),
        ("nonsense", 400),
    ] {
        let answer = app.consent(&[("redirect_uri", address)]).await;
        assert_eq!(answer.status, status, "{address}: {}", answer.text);
        assert!(status == 302 || answer.text.contains("redirect_uri_mismatch"), "{}", answer.text);
    }
    // At the token endpoint it must be the same once more.
    let answer = app.redeem(&app.code(&[]).await, &[("redirect_uri", "http://localhost:9/oauth/callback/")]).await;
    assert_eq!((answer.status, &answer.json["error"]), (400, &json!("redirect_uri_mismatch")));

    let client = json!({"client_id": "strict", "client_secret": "s", "redirect_uris": ["https://b.example/cb"]});
    command(&google, "POST", "clients", client).await;
    for (address, status) in [("https://b.example/cb", 302), ("https://b.example/cb/", 400), (REDIRECT, 400)] {
        let answer = app.consent(&[("client_id", "strict"), ("redirect_uri", address)]).await;
        assert_eq!(answer.status, status, "{address}");
    }
}

#[tokio::test]
async fn l17_the_events_scope_alone_does_not_open_the_calendar_list() {
    let google = Google::start().await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[("scope", EVENTS)]).await;
    let answer = app.api(&tokens["access_token"], "users/me/calendarList").await;
    assert_eq!((answer.status, answer.reason()), (403, "insufficientPermissions"));
    let answer = app.api(&tokens["access_token"], "colors").await;
    assert_eq!((answer.status, answer.reason()), (403, "insufficientPermissions"));
    let with_list = app.sign_in(&[("scope", LIST)]).await;
    assert_eq!(app.api(&with_list["access_token"], "users/me/calendarList").await.status, 200);
}

#[tokio::test]
async fn l07_in_testing_the_answer_says_when_the_refresh_token_dies() {
    let google = Google::with_settings(Settings { testing_mode: true, ..Settings::default() }).await;
    let app = App::of(&google);
    let tokens = app.sign_in(&[]).await;
    assert_eq!(tokens["refresh_token_expires_in"], 604_799);
    google.clock.advance(TimeDelta::days(7) - TimeDelta::seconds(1));
    assert_eq!(app.refresh(&tokens["refresh_token"]).await.status, 200);
    google.clock.advance(TimeDelta::seconds(1));
    let answer = app.refresh(&tokens["refresh_token"]).await;
    assert_eq!((answer.status, &answer.json["error"]), (400, &json!("invalid_grant")));
}
