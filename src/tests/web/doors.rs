//! Signing in, the set-up's door, sessions, forms: who gets in, and who does not (reliability A, B, C; bad inputs 27–54, 87–94).

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::{Browser, Page, Site};
use crate::{
    emulator::{
        oauth::{DEMO_CLIENT, DEMO_SECRET},
        with,
    },
    model::id::UserId,
    web::Limits,
};

/// Everything that a refused request must not change.
async fn state(site: &Site) -> String {
    let store = &site.app.store;
    let users: Vec<_> = store.users().await.unwrap().into_iter().map(|user| (user.email, user.admin)).collect();
    let calendars = store.calendars_of(UserId(1)).await.unwrap();
    let calendars: Vec<_> = calendars.into_iter().map(|row| (row.id, row.role, row.standing, row.paused)).collect();
    let writes = with(&site.world.core, |core| core.writes.len());
    format!("{users:?} {calendars:?} {writes} {:?}", store.figures().await.unwrap())
}

/// Goes to Google to sign in and comes back with this address, without following it.
pub async fn way(browser: &mut Browser, begin: &str, account: &str) -> String {
    let page = browser.ask("GET", begin, None).await;
    assert_eq!(page.status, 303, "{}", page.text);
    let google = super::account_chosen(&page.headers["location"], account);
    let page = browser.ask("GET", &google, None).await;
    assert_eq!(page.status, 302, "{}", page.text);
    page.headers["location"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_set_up_only_the_set_up_is_open() {
    let site = Site::fresh().await;
    let mut nobody = site.browser();
    for (method, path, status) in [
        ("GET", "/", 303),
        ("GET", "/app", 303),
        ("GET", "/admin", 303),
        ("GET", "/auth/login", 303),
        ("GET", "/health", 503),
        ("GET", "/metrics", 200),
        ("GET", "/api/me", 503),
        ("POST", "/api/webhooks/google-calendar", 503),
        ("GET", "/setup", 303),
    ] {
        let page = nobody.ask(method, path, None).await;
        // A service that has just begun is not ready for a moment.
        let well = page.status == status || path == "/health" && page.status == 200;
        assert!(well, "{method} {path}: {} {}", page.status, page.text);
        if path.starts_with("/api/") {
            assert!(page.text.contains("not_configured"), "{}", page.text);
        }
    }
    // Without the token nothing happens, whoever asks.
    let page = nobody.go("/").await.clone();
    assert_eq!(page.path, "/setup/unlock");
    let page = nobody.send("/setup/step/2", &[("client_id", "x"), ("client_secret", "y")]).await.clone();
    assert_eq!((page.status, page.text.contains("setup_token_required")), (401, true));
    for wrong in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        nobody.go("/setup/unlock").await;
        assert_eq!(nobody.send("/setup/unlock", &[("token", wrong)]).await.status, 401, "{wrong}");
    }
    // The right one, however it was typed, once.
    let token = nobody.token.to_lowercase();
    let typed = format!(" {} {}\n", &token[..8], &token[8..]);
    nobody.go("/setup/unlock").await;
    assert_eq!(nobody.send("/setup/unlock", &[("token", &typed)]).await.path, "/setup");
    let mut second = site.browser();
    second.go("/setup/unlock").await;
    assert_eq!(second.send("/setup/unlock", &[("token", &token)]).await.status, 401, "it was used");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_setup_token_is_slow() {
    let site = Site::with_limits(Limits::new(Vec::new())).await;
    let mut guesser = site.browser();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        guesser.go("/setup/unlock").await;
        statuses.push(guesser.send("/setup/unlock", &[("token", "AAAAAAAAAAAAAAAAAAAAAAAAAA")]).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    assert!(guesser.page.headers["retry-after"].parse::<u64>().unwrap() >= 1);
    // An address that a proxy would tell counts only where the proxy is trusted.
    let mut many = Vec::new();
    for n in 0..12 {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let request = http.get(format!("{}/auth/callback", site.url)).header("x-forwarded-for", format!("10.0.0.{n}"));
        many.push(request.send().await.unwrap().status().as_u16());
    }
    assert!(many.contains(&429), "{many:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wizard_refuses_what_makes_no_sense_and_goes_on_where_it_was() {
    let site = Site::fresh().await;
    let mut ada = site.browser();
    ada.account = "ada@gmail.example".into();
    let token = ada.token.clone();
    ada.go("/").await;
    ada.send("/setup/unlock", &[("token", &token)]).await;
    // Out of order, and what is no step.
    let welcome = ada.page.clone();
    for (step, status) in
        [("5", 409), ("3", 409), ("0", 404), ("7", 404), ("99", 404), ("abc", 404), ("-1", 404), ("6", 404)]
    {
        ada.page = welcome.clone();
        assert_eq!(ada.send(&format!("/setup/step/{step}"), &[]).await.status, status, "{step}");
    }
    ada.page = welcome.clone();
    ada.send("/setup/step/1", &[]).await;
    let form = ada.page.clone();
    for (id, secret) in [
        ("", DEMO_SECRET),
        (DEMO_CLIENT, ""),
        (DEMO_SECRET, DEMO_CLIENT),
        ("a b.apps.googleusercontent.com", "x"),
        (&format!("{}.apps.googleusercontent.com", "x".repeat(10_000)), "x"),
        (DEMO_CLIENT, "not the secret"),
        ("nobody.apps.googleusercontent.com", DEMO_SECRET),
    ] {
        ada.page = form.clone();
        let page = ada.send("/setup/step/2", &[("client_id", id), ("client_secret", secret)]).await;
        assert_eq!(page.status, 422, "{id} {secret}");
        assert!(page.text.contains("aria-invalid") && !page.text.contains("not the secret"), "{}", page.text);
    }
    ada.page = form.clone();
    let odd = [("client_id", DEMO_CLIENT), ("client_secret", DEMO_SECRET), ("is_admin", "true")];
    assert_eq!(ada.send("/setup/step/2", &odd).await.status, 400);
    ada.page = form;
    ada.send("/setup/step/2", &[("client_id", DEMO_CLIENT), ("client_secret", DEMO_SECRET)]).await;
    // Not a private account.
    let page = ada.go("/setup/sign-in").await.clone();
    assert_eq!((page.status, page.text.contains("not_a_workspace_account")), (400, true), "{}", page.text);
    assert_eq!(ada.go("/setup").await.text.matches("Workspace").count(), 1);
    ada.account = "ada@home.example".into();
    ada.go("/setup/sign-in").await;
    assert!(
        ada.page.text.contains("ada@home.example") && ada.page.text.contains("<strong>home.example"),
        "{}",
        ada.page.text
    );
    ada.send("/setup/step/3", &[]).await;
    let mail = ada.page.clone();
    for (host, port, from) in [
        ("", "587", "a@b.example"),
        ("mail.example", "0", "a@b.example"),
        ("mail.example", "65536", "a@b.example"),
        ("http://mail", "587", "a@b.example"),
        ("mail.example", "587", "nobody"),
    ] {
        ada.page = mail.clone();
        let form = [
            ("smtp_host", host),
            ("smtp_port", port),
            ("smtp_security", "starttls"),
            ("smtp_from_address", from),
            ("do", "save"),
        ];
        assert_eq!(ada.send("/setup/step/4", &form).await.status, 422, "{host} {port} {from}");
    }
    ada.page = mail;
    ada.send("/setup/step/4", &[("do", "skip")]).await;
    // The key is shown once; the box has to be ticked.
    let key = ada.page.clone();
    let text = std::fs::read_to_string(&site.front.key_file).unwrap();
    assert!(key.text.contains(text.trim()), "the key is shown");
    assert!(!ada.go("/setup").await.text.contains(text.trim()), "and not again");
    assert_eq!(ada.send("/setup/step/5", &[]).await.status, 422);
    assert_eq!(ada.send("/setup/step/5", &[("saved", "yes"), ("key", "mine")]).await.status, 400);
    ada.page = key;
    ada.send("/setup/step/5", &[("saved", "yes")]).await;
    assert_eq!(ada.page.path, "/app/welcome");
    // Closed for good, for admins as well.
    assert_eq!(ada.go("/setup").await.path, "/app");
    let csrf = ada.page.hidden("csrf");
    assert_eq!(ada.ask("POST", "/setup/step/2", Some(&[("csrf", csrf.as_str())])).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_accounts_of_the_organization_get_in() {
    let (site, _ada) = Site::ready().await;
    let before = site.app.store.users().await.unwrap().len();
    for account in ["eve@evil.example", "ada@gmail.example", "ada@acme.example"] {
        let mut eve = site.browser();
        eve.sign_in(account).await;
        assert_eq!(eve.page.path, "/app/login", "{account}");
        assert!(eve.page.text.contains("not of this organization"), "{}", eve.page.text);
        assert!(!eve.jar.contains_key("__Host-session"), "{account}");
    }
    assert_eq!(site.app.store.users().await.unwrap().len(), before);
    // The same address under another account at Google is somebody else.
    with(&site.world.core, |core| core.world.accounts.get_mut("ada@home.example").unwrap().sub = "another".into());
    let mut other = site.browser();
    other.sign_in("ada@home.example").await;
    assert!(other.page.text.contains("belonged to another account"), "{}", other.page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_to_google_is_good_once_in_one_browser_for_one_purpose() {
    let (site, mut ada) = Site::ready().await;
    let before = state(&site).await;
    let code = |page: &Page| {
        page.text.contains("state_invalid")
            || page.text.contains("state_mismatch")
            || page.text.contains("oauth_bad_request")
    };
    // Nothing, halves, doubles, other issuers.
    let mut bob = site.browser();
    for query in ["", "?code=x", "?state=y", "?code=a&code=b&state=x", "?state[]=x&code=a", "?code=x&state=unknown"] {
        for door in ["/auth/callback", "/auth/connect-client/callback"] {
            let browser = if door == "/auth/callback" { &mut bob } else { &mut ada };
            let page = browser.ask("GET", &format!("{door}{query}"), None).await;
            assert!(page.status == 400 && code(&page), "{door}{query}: {} {}", page.status, page.text);
        }
    }
    // In another browser, and not even in its own after that.
    let back = way(&mut bob, "/auth/login", "bob@home.example").await;
    let mut thief = site.browser();
    let page = thief.ask("GET", &back, None).await;
    assert!(page.status == 400 && page.text.contains("state_mismatch"), "{}", page.text);
    assert!(!thief.jar.contains_key("__Host-session"));
    assert_eq!(bob.ask("GET", &back, None).await.status, 400, "it was spent");
    // Twice.
    let back = way(&mut bob, "/auth/login", "bob@home.example").await;
    assert_eq!(bob.ask("GET", &back, None).await.status, 303);
    assert_eq!(bob.ask("GET", &back, None).await.status, 400);
    // A sign-in is no connection, and one person's connection none of another's.
    let back = way(&mut ada, "/auth/login", "ada@home.example").await;
    let page = ada.ask("GET", &back.replace("/auth/callback", "/auth/connect-client/callback"), None).await;
    assert!(page.status == 400 && page.text.contains("state_mismatch"), "{}", page.text);
    let back = way(&mut ada, "/auth/connect-client", "ada@acme.example").await;
    let session = bob.jar["__Host-session"].clone();
    let own = ada.jar.insert("__Host-session".into(), session).unwrap();
    let page = ada.ask("GET", &back, None).await;
    assert!(page.status == 400 && page.text.contains("state_mismatch"), "{}", page.text);
    ada.jar.insert("__Host-session".into(), own);
    // Of another issuer.
    let back = way(&mut ada, "/auth/connect-client", "ada@acme.example").await;
    let page = ada.ask("GET", &format!("{back}&iss=https://evil.example"), None).await;
    assert_eq!(page.status, 400, "{}", page.text);
    // Too late.
    let back = way(&mut ada, "/auth/connect-client", "ada@acme.example").await;
    site.app.clock.advance(TimeDelta::minutes(11));
    assert_eq!(ada.ask("GET", &back, None).await.status, 400);
    let after = state(&site).await;
    assert!(!before.contains("bob") && after.contains("bob"), "who signed in himself, and nobody else: {after}");
    assert!(site.app.store.tokens_of(UserId(1)).await.unwrap().len() == 1, "no account was connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_at_google_is_told_and_leaves_nothing() {
    let (site, mut ada) = Site::ready().await;
    // Refused by the person.
    let page = ada.ask("GET", "/auth/connect-client", None).await;
    let denied = format!("{}&deny=1", page.headers["location"]);
    let page = ada.ask("GET", &denied, None).await;
    let back = page.headers["location"].clone();
    assert_eq!(ada.go(&back.replace(&site.url, "")).await.path, "/app");
    assert!(ada.page.text.contains("You did not allow it"), "{}", ada.page.text);
    // A box left empty: the permission is given back.
    let page = ada.ask("GET", "/auth/connect-client", None).await;
    let partly = format!("{}&account=ada@acme.example&granular=1&grant=openid", page.headers["location"]);
    let page = ada.ask("GET", &partly, None).await;
    let back = page.headers["location"].clone();
    ada.go(&back.replace(&site.url, "")).await;
    assert!(ada.page.text.contains("leave all boxes ticked"), "{}", ada.page.text);
    assert_eq!(site.app.store.tokens_of(UserId(1)).await.unwrap().len(), 1);
    // An account that is connected for something else.
    ada.account = "ada@home.example".into();
    ada.go("/auth/connect-client").await;
    assert!(ada.page.text.contains("connected already"), "{} {}", ada.page.path, ada.page.text);
    // The permissions that are asked for are the least.
    let page = ada.ask("GET", "/auth/connect-personal", None).await;
    let scope = url::Url::parse(&page.headers["location"]).unwrap();
    let scope = scope.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
    assert!(
        scope.contains("calendar.events.readonly") && !scope.split(' ').any(|one| one.ends_with("calendar.events")),
        "{scope}"
    );
}

/// A session's token with something about it changed.
fn forged(site: &Site, header: &Header, claims: &serde_json::Value, key: &[u8]) -> String {
    let _ = site;
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(key)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_cannot_be_made_up_and_end_when_they_should() {
    let (site, ada) = Site::ready().await;
    let good = ada.jar["__Host-session"].clone();
    let sid = {
        let payload = good.split('.').nth(1).unwrap();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
    };
    let key = *site.app.vault.session_key().reveal();
    let mut typed = Header::new(Algorithm::HS256);
    typed.typ = Some("session+jwt".into());
    let with_claim = |name: &str, value: serde_json::Value| {
        let mut claims = sid.clone();
        claims[name] = value;
        forged(&site, &typed, &claims, &key)
    };
    let mut without_exp = sid.clone();
    without_exp.as_object_mut().unwrap().remove("exp");
    let other_alg = {
        let mut header = Header::new(Algorithm::HS384);
        header.typ = Some("session+jwt".into());
        forged(&site, &header, &sid, &key)
    };
    let none = {
        let part = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
        format!("{}.{}.", part(r#"{"alg":"none","typ":"session+jwt"}"#), good.split('.').nth(1).unwrap())
    };
    let now = site.app.clock.now().timestamp();
    let cases = [
        ("none", none),
        ("no key", forged(&site, &typed, &sid, b"")),
        ("a guess", forged(&site, &typed, &sid, b"secret")),
        ("the client id", forged(&site, &typed, &sid, DEMO_CLIENT.as_bytes())),
        ("another algorithm", other_alg),
        ("another type", forged(&site, &Header::new(Algorithm::HS256), &sid, &key)),
        ("without an end", forged(&site, &typed, &without_exp, &key)),
        ("an end in words", with_claim("exp", json!("9999999999"))),
        ("half an end", with_claim("exp", json!(9_999_999_999.5))),
        ("a negative end", with_claim("exp", json!(-1))),
        ("ended", with_claim("exp", json!(now - 31))),
        ("of the future", with_claim("iat", json!(now + 600))),
        ("another issuer", with_claim("iss", json!("https://evil.example"))),
        ("another audience", with_claim("aud", json!("others"))),
        ("another person", with_claim("sub", json!("2"))),
        ("another session", with_claim("sid", json!("x"))),
        ("cut", good[..good.len() - 2].to_owned()),
        ("nothing", String::new()),
    ];
    let ask = async |cookie: String| {
        let http = reqwest::Client::builder().build().unwrap();
        http.get(format!("{}/api/me", site.url)).header("cookie", cookie).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(format!("__Host-session={good}")).await, 200);
    for (what, token) in cases {
        assert_eq!(ask(format!("__Host-session={token}")).await, 401, "{what}");
    }
    assert_eq!(ask(format!("__Host-session=x; __Host-session={good}")).await, 401, "two of them");
    // A week without use is the end; use puts it off; a month is the end in any case.
    site.app.clock.advance(TimeDelta::hours(6 * 24 + 23));
    let http = reqwest::Client::builder().build().unwrap();
    let answer = http
        .get(format!("{}/api/me", site.url))
        .header("cookie", format!("__Host-session={good}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let renewed = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    site.app.clock.advance(TimeDelta::hours(6 * 24));
    assert_eq!(ask(renewed.clone()).await, 200);
    site.app.clock.advance(TimeDelta::days(7) + TimeDelta::hours(2));
    assert_eq!(ask(renewed).await, 401);
    // Signing out ends what a thief has copied.
    let mut ada = ada;
    ada.sign_in("ada@home.example").await;
    let copied = format!("__Host-session={}", ada.jar["__Host-session"]);
    assert_eq!(ask(copied.clone()).await, 200);
    ada.go("/app").await;
    ada.send("/auth/logout", &[]).await;
    assert_eq!(ask(copied).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_from_elsewhere() {
    let (site, mut ada) = Site::ready().await;
    let mut bob = site.browser();
    bob.sign_in("bob@home.example").await;
    let (own, others) = (ada.go("/app").await.hidden("csrf"), bob.go("/app").await.hidden("csrf"));
    let cookie = format!("__Host-session={}", ada.jar["__Host-session"]);
    let before = state(&site).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = |csrf: &str| format!("csrf={csrf}");
    let urlencoded = "application/x-www-form-urlencoded";
    for (what, headers, body, status) in [
        ("no proof", vec![("content-type", urlencoded)], String::new(), 403),
        ("another's proof", vec![("content-type", urlencoded)], form(&others), 403),
        ("from elsewhere", vec![("content-type", urlencoded), ("origin", "https://evil.example")], form(&own), 403),
        ("from nowhere", vec![("content-type", urlencoded), ("origin", "null")], form(&own), 403),
        ("cross-site", vec![("content-type", urlencoded), ("sec-fetch-site", "cross-site")], form(&own), 403),
        ("as text", vec![("content-type", "text/plain")], form(&own), 415),
        ("multipart", vec![("content-type", "multipart/form-data; boundary=x")], form(&own), 415),
        ("twice", vec![("content-type", urlencoded)], format!("csrf={own}&csrf={own}"), 400),
    ] {
        let mut request = http.post(format!("{}/admin/pause", site.url)).header("cookie", &cookie).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{what}");
    }
    for (what, headers, status) in [
        ("no proof", vec![], 403),
        ("another's proof", vec![("x-csrf-token", others.as_str())], 403),
        ("from elsewhere", vec![("x-csrf-token", own.as_str()), ("origin", "https://evil.example")], 403),
    ] {
        let mut request = http.post(format!("{}/api/admin/sync/pause", site.url)).header("cookie", &cookie);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{what}");
    }
    for path in ["/auth/logout", "/api/sync/full", "/api/client-calendars/1/sync", "/app/sync"] {
        assert_eq!(ada.ask("GET", path, None).await.status, 405, "{path}");
    }
    assert_eq!(state(&site).await, before);
    assert!(!site.app.store.is_paused().await.unwrap());
    let answer =
        http.get(format!("{}/api/me", site.url)).header("cookie", &cookie).header("origin", "https://evil.example");
    let answer = answer.send().await.unwrap();
    assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_needs_a_young_sign_in() {
    let (site, mut ada) = Site::ready().await;
    site.app.clock.advance(TimeDelta::minutes(11));
    ada.go("/admin/reset").await;
    assert_eq!(ada.send("/admin/reset", &[("confirmation", "RESET")]).await.status, 403);
    assert!(ada.page.text.contains("/auth/login?next="), "{}", ada.page.text);
    for action in ["/admin/export", "/admin/users/1/promote", "/admin/settings/credentials"] {
        ada.go("/admin").await;
        let page = ada.send(action, &[]).await;
        assert!(page.status == 403 && page.text.contains("reauth_required"), "{action} {}", page.text);
    }
    assert_eq!(site.app.store.users().await.unwrap().len(), 1);
    // And after signing in again one is back where one was.
    ada.account = "ada@home.example".into();
    assert_eq!(ada.go("/auth/login?next=/admin/reset").await.path, "/admin/reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_text_wherever_they_are_shown() {
    let (site, mut ada) = Site::ready().await;
    let evil = "\"><img src=x onerror=alert(1)>{{7*7}}</script>";
    with(&site.world.core, |core| {
        core.world.calendars.get_mut("ada@acme.example").unwrap().summary = evil.into();
    });
    super::journeys::meet(&site, "ada@acme.example", evil).await;
    ada.connect("client", "ada@acme.example").await;
    for path in [
        "/app",
        "/app/calendars/2",
        "/app/settings",
        "/app/logs",
        "/app/calendars/2/disconnect",
        "/admin",
        "/admin/users/1",
        "/admin/users/1/plan",
    ] {
        let page = ada.go(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text.contains("<img src=x") && !page.text.contains("49</script>"), "{path}: {}", page.text);
        assert!(!page.text.contains(" style=") && !page.text.contains(" onclick="), "{path}");
        let inline = page.text.split("<script").skip(1).any(|tag| !tag.trim_start().starts_with("src="));
        assert!(!inline, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_say_whose_form_they_send_and_may_hide_it_only_where_google_answers() {
    let (site, mut ada) = Site::ready().await;
    // Without a referrer within the site a browser sends its forms as “Origin: null”.
    let page = ada.go("/app").await.clone();
    assert_eq!(page.headers["referrer-policy"], "same-origin");
    let answer = ada.ask("GET", "/auth/callback?state=unknown&code=x", None).await;
    assert_eq!((answer.status, answer.headers["referrer-policy"].as_str()), (400, "no-referrer"));
    // The page of that refusal has a form, too: to sign out.
    let csrf = answer.hidden("csrf");
    let cookie = format!("__Host-session={}", ada.jar["__Host-session"]);
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (from, status) in [("cross-site", 403), ("same-site", 403), ("none", 403), ("same-origin", 303)] {
        let request = http.post(format!("{}/auth/logout", site.url)).header("cookie", &cookie);
        let request = request.header("origin", "null").header("sec-fetch-site", from);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(format!("csrf={csrf}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{from}");
    }
}
