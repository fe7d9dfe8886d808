//! Coming back from Google: with nothing, with too much, with what Google never said, and with forged proofs of who one is
//! (reliability A5–A13; bad inputs 42–54).

use serde_json::{Value, json};

use super::{
    Browser, Site,
    doors::way,
    inputs::{Case, Facts, Who, at_rest, case, changed, fingerprint},
};
use crate::emulator::{oauth::DEMO_CLIENT, with};

const DOORS: [&str; 3] = ["/auth/callback", "/auth/connect-client/callback", "/auth/connect-personal/callback"];

/// Rows 42 and 47.
pub fn cases(_facts: &Facts) -> Vec<Case> {
    let mut all = Vec::new();
    for door in DOORS {
        let mut add = |row, query: &str, code| {
            let who = if door == DOORS[0] { Who::Nobody } else { Who::Bob };
            all.push(case(row, query).by(who).send("GET", format!("{door}{query}")).is(400, code));
        };
        for query in ["", "?code=x", "?state=y", "?error=access_denied", "?error="] {
            add(42, query, "oauth_bad_request");
        }
        add(43, "?code=x&state=unknown", "state_invalid");
        add(46, "?error=%3Cscript%3E&state=unknown", "state_invalid");
        for query in [
            "?code=a&code=b&state=x",
            "?code=a&state=x&state=y",
            "?code=a&state[]=x",
            "?code[0]=a&state=x",
            "?error=a&error=b&state=x",
            "?code=a&state=x&iss=https://a&iss=https://b",
        ] {
            add(47, query, "oauth_bad_request");
        }
        add(47, &format!("?code=a&state={}", "x".repeat(5_000)), "oauth_bad_request");
    }
    all
}

/// Tells the emulator what is wrong with its next answer.
async fn forge(site: &Site, forgery: Value) {
    assert_eq!(site.world.command("POST", "forge", forgery).await.0, 200);
}

/// What is wrong with an id token, and the answer's status.
fn forgeries(now: i64) -> Vec<(&'static str, Value, u16)> {
    let claim = |name: &str, value: Value| json!({"claims": {name: value}});
    vec![
        ("no algorithm", json!({"header": {"alg": "none"}, "signed_by": "nobody"}), 400),
        ("no signature", json!({"signed_by": "nobody"}), 400),
        ("HMAC with the public key", json!({"header": {"alg": "HS256"}, "signed_by": "public_key"}), 400),
        ("HMAC with the public key, called RS256", json!({"signed_by": "public_key"}), 400),
        ("a key that nobody knows", json!({"header": {"kid": "another"}}), 400),
        ("no key's name", json!({"header": {"kid": null}}), 400),
        ("a path as the key's name", json!({"header": {"kid": "../../secrets/encryption.key"}}), 400),
        (
            "keys elsewhere",
            json!({"header": {"kid": "x", "jku": "https://evil.example/keys"}, "signed_by": "other"}),
            400,
        ),
        ("the signature of another key", json!({"signed_by": "other"}), 400),
        ("another issuer", claim("iss", json!("https://evil.example")), 400),
        ("no issuer", claim("iss", Value::Null), 400),
        ("another audience", claim("aud", json!("another.apps.googleusercontent.com")), 400),
        ("two audiences", claim("aud", json!([DEMO_CLIENT, "another.apps.googleusercontent.com"])), 400),
        ("no audience", claim("aud", Value::Null), 400),
        ("made for another program", claim("azp", json!("another.apps.googleusercontent.com")), 400),
        ("ended", claim("exp", json!(now - 120)), 400),
        ("of the future", claim("iat", json!(now + 120)), 400),
        ("no subject", claim("sub", Value::Null), 400),
        ("an end in words", claim("exp", json!("9999999999")), 400),
        ("no end", claim("exp", Value::Null), 400),
        (
            "changed after signing",
            json!({"tampered": {"email": "bob@home.example", "sub": "subject of bob@home.example"}}),
            400,
        ),
        ("another sign-in's", claim("nonce", json!("another")), 400),
        ("no sign-in's", claim("nonce", Value::Null), 400),
        ("no token", json!({"answer": {"id_token": null}}), 400),
        ("no JWT", json!({"answer": {"id_token": "x.y"}}), 400),
        ("a list of domains", claim("hd", json!(["home.example"])), 400),
        ("a word for yes", claim("email_verified", json!("true")), 400),
        ("no domain", claim("hd", Value::Null), 303),
        ("another domain", claim("hd", json!("evil.example")), 303),
        ("a domain that begins alike", claim("hd", json!("home.exam")), 303),
        ("a domain with more", claim("hd", json!("home.example.evil.example")), 303),
        ("a domain that looks alike", claim("hd", json!("h\u{43e}me.example")), 303),
        ("an address that nobody checked", claim("email_verified", json!(false)), 303),
        ("nothing said of the address", claim("email_verified", Value::Null), 303),
        ("an address elsewhere", claim("email", json!("cyd@home.example.evil.example")), 303),
        ("an address with two", claim("email", json!("cyd@evil.example,x@home.example\u{0}")), 303),
        ("an address that looks alike", claim("email", json!("cyd@h\u{43e}me.example")), 303),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_identity_gets_in() {
    let (site, _ada) = Site::ready().await;
    let before = at_rest(&site).await;
    let now = site.app.clock.now().timestamp();
    let all = forgeries(now);
    assert!(all.len() >= 20);
    for (what, forgery, status) in all {
        let mut cyd = site.browser();
        let back = way(&mut cyd, "/auth/login", "cyd@home.example").await;
        forge(&site, forgery).await;
        let page = cyd.ask("GET", &back, None).await;
        assert_eq!(page.status, status, "{what}: {}", page.text);
        match status {
            400 => assert!(page.text.contains("id_token_invalid"), "{what}: {}", page.text),
            _ => assert_eq!(page.headers["location"], "/app/login?error=domain", "{what}"),
        }
        assert!(!cyd.jar.contains_key("__Host-session"), "{what}");
        assert_eq!(cyd.ask("GET", "/api/me", None).await.status, 401, "{what}");
        assert_eq!(site.app.store.users().await.unwrap().len(), 1, "{what}");
    }
    let after = fingerprint(&site).await;
    assert!(changed(&before, &after).is_empty(), "{:?}", changed(&before, &after));
    // And without a forgery.
    let mut cyd = site.browser();
    assert_eq!(cyd.sign_in("cyd@home.example").await.path, "/app");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_identity_sets_up() {
    let site = Site::fresh().await;
    let mut eve = site.browser();
    let token = eve.token.clone();
    eve.go("/").await;
    eve.send("/setup/unlock", &[("token", &token)]).await;
    eve.send("/setup/step/1", &[]).await;
    let form = [("client_id", DEMO_CLIENT), ("client_secret", crate::emulator::oauth::DEMO_SECRET)];
    eve.send("/setup/step/2", &form).await;
    for (what, account, forgery, code) in [
        ("a private account", "ada@gmail.example", json!({}), "not_a_workspace_account"),
        ("unchecked", "ada@home.example", json!({"claims": {"email_verified": false}}), "not_a_workspace_account"),
        ("elsewhere", "ada@home.example", json!({"claims": {"email": "a@evil.example"}}), "not_a_workspace_account"),
        ("another key", "ada@home.example", json!({"signed_by": "other"}), "id_token_invalid"),
    ] {
        let back = way(&mut eve, "/setup/sign-in", account).await;
        forge(&site, forgery).await;
        let page = eve.ask("GET", &back, None).await;
        assert!(page.status == 400 && page.text.contains(code), "{what}: {} {}", page.status, page.text);
        let draft = site.app.store.setup_draft().await.unwrap();
        assert!(draft.admin.is_none(), "{what}");
    }
    assert!(site.app.store.users().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_breaks_leaves_nothing() {
    let (site, mut ada) = Site::ready().await;
    let before = at_rest(&site).await;
    let fault = |kind: &str, more: Value| {
        let mut fault = json!({"kind": kind, "path": "/token", "times": 1});
        fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fault
    };
    let large = "x".repeat(1 << 20);
    for (what, fault, at) in [
        ("refused", fault("status", json!({"status": 400, "reason": "invalid_grant"})), "400"),
        ("broken", fault("status", json!({"status": 500})), "error=google_unavailable"),
        ("away", fault("drop_before", json!({})), "error=google_unavailable"),
        ("away afterwards", fault("drop_after", json!({})), "error=google_unavailable"),
        (
            "a page",
            fault("body", json!({"status": 200, "body": "<html>Sign in to this network"})),
            "error=google_unavailable",
        ),
        (
            "elsewhere",
            fault("body", json!({"status": 302, "body": "http://169.254.169.254/"})),
            "error=google_unavailable",
        ),
        ("nothing", fault("body", json!({"status": 200, "body": ""})), "error=google_unavailable"),
        ("too much", fault("body", json!({"status": 200, "body": large, "repeat": 50})), "error=google_unavailable"),
        // Half a minute is how long we wait.
        ("nothing in time", fault("delay", json!({"delay_ms": 40_000})), "error=google_unavailable"),
    ] {
        let back = way(&mut ada, "/auth/connect-client", "ada@acme.example").await;
        assert_eq!(site.world.command("POST", "faults", fault).await.0, 200, "{what}");
        let page = ada.ask("GET", &back, None).await;
        match at {
            "400" => assert!(page.status == 400 && page.text.contains("state_invalid"), "{what}: {}", page.text),
            at => assert_eq!(
                (page.status, page.headers["location"].as_str()),
                (303, format!("/app?{at}").as_str()),
                "{what}"
            ),
        }
        site.world.command("DELETE", "faults", json!(null)).await;
    }
    // What came and may not be kept is given back.
    for (what, forgery, code) in [
        ("nothing lasting", json!({"answer": {"refresh_token": null}}), "no_refresh_token"),
        (
            "no permission",
            json!({"answer": {"scope": "openid https://www.googleapis.com/auth/userinfo.email"}}),
            "missing_scope",
        ),
        (
            "half a permission",
            json!({"answer": {"scope": "openid https://www.googleapis.com/auth/calendar.events"}}),
            "missing_scope",
        ),
    ] {
        let back = way(&mut ada, "/auth/connect-client", "ada@acme.example").await;
        site.world.command("DELETE", "stats", json!(null)).await;
        forge(&site, forgery).await;
        let page = ada.ask("GET", &back, None).await;
        assert_eq!(page.headers["location"], format!("/app?error={code}"), "{what}");
        let stats = site.world.command("GET", "stats", json!(null)).await.1.to_string();
        assert!(stats.contains("revoke"), "{what}: {stats}");
    }
    let after = fingerprint(&site).await;
    assert!(changed(&before, &after).is_empty(), "{:?}", changed(&before, &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_google_says_is_never_repeated() {
    let (site, mut ada) = Site::ready().await;
    let mut bob = site.browser();
    for (error, description) in [
        ("access_denied", "you said no".to_owned()),
        ("<script>alert(1)</script>", "<img src=x>".to_owned()),
        ("server_error\r\nSet-Cookie: x=1", "x".repeat(10 << 10)),
    ] {
        for (begin, to) in [("/auth/login", "/app/login"), ("/auth/connect-client", "/app")] {
            let browser: &mut Browser = if begin == "/auth/login" { &mut bob } else { &mut ada };
            let begun = browser.ask("GET", begin, None).await;
            let google = url::Url::parse(&begun.headers["location"]).unwrap();
            let state = google.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
            let door = if begin == "/auth/login" { "/auth/callback" } else { "/auth/connect-client/callback" };
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("error", error), ("error_description", &description), ("state", &state)])
                .finish();
            let page = browser.ask("GET", &format!("{door}?{query}"), None).await;
            assert_eq!(
                (page.status, page.headers["location"].as_str()),
                (303, format!("{to}?error=access_denied").as_str())
            );
            assert!(!page.headers.contains_key("set-cookie") && page.text.is_empty(), "{page:?}");
        }
    }
    // A reason that is none of ours is not told either.
    let page = ada.ask("GET", "/app?error=%3Cscript%3E&said=%3Cb%3E", None).await;
    assert!(page.status == 200 && !page.text.contains("<b>") && !page.text.contains("script&gt;"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_signing_in_one_is_on_our_own_pages() {
    let (site, _ada) = Site::ready().await;
    let long = format!("/app/{}", "x".repeat(8 << 10));
    for (next, to) in [
        ("//evil", "/app"),
        ("/\\evil", "/app"),
        ("https://evil", "/app"),
        ("%2F%2Fevil", "/app"),
        ("/%5cevil", "/app"),
        ("javascript:alert(1)", "/app"),
        ("/app%0d%0aSet-Cookie:x=1", "/app"),
        ("/app\r\nSet-Cookie: x=1", "/app"),
        ("/app/../../evil", "/app"),
        (long.as_str(), "/app"),
        ("/api/admin/export", "/app"),
        ("/app/logs?status=failure", "/app/logs?status=failure"),
    ] {
        let mut bob = site.browser();
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let back = way(&mut bob, &format!("/auth/login?next={query}"), "bob@home.example").await;
        // The address that Google is given is ours, and the proof is hidden (A6, A7, A10).
        assert!(back.starts_with(&format!("{}/auth/callback?", site.url)), "{back}");
        let page = bob.ask("GET", &back, None).await;
        assert_eq!((page.status, page.headers["location"].as_str()), (303, to), "{next}");
        // No code goes on from here, and nobody is told where from (A13).
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
        assert!(!page.headers["set-cookie"].contains("x=1"), "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_google_is_proven_new_and_asks_for_the_least() {
    let (site, mut ada) = Site::ready().await;
    let mut seen = std::collections::BTreeSet::new();
    for (begin, door) in
        [("/auth/login", DOORS[0]), ("/auth/connect-client", DOORS[1]), ("/auth/connect-personal", DOORS[2])]
    {
        for _ in 0..2 {
            let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
            let cookies: Vec<String> = ada.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = http.get(format!("{}{begin}", site.url)).header("cookie", cookies.join("; "));
            let answer = request.header("x-forwarded-host", "evil.example").send().await.unwrap();
            let url = url::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
            let pairs: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
            assert_eq!(pairs["redirect_uri"], format!("{}{door}", site.url));
            assert_eq!((pairs["response_type"].as_str(), pairs["code_challenge_method"].as_str()), ("code", "S256"));
            for name in ["state", "nonce", "code_challenge"] {
                assert!(pairs[name].len() == 43 && seen.insert(pairs[name].clone()), "{name} {}", pairs[name]);
            }
            let reads = pairs["scope"].contains("calendar.events.readonly");
            assert_eq!(reads, begin.ends_with("personal"), "{}", pairs["scope"]);
        }
    }
    let _ = &mut ada;
    // A personal account's permission writes nothing, whoever holds it.
    ada.connect("personal", "ada@gmail.example").await;
    let rows = site.app.store.calendars_of(crate::model::id::UserId(1)).await.unwrap();
    let token = rows.iter().find(|row| row.account == "ada@gmail.example").unwrap().token;
    let tokens = site.app.store.token(token).await.unwrap().unwrap();
    let url = format!("{}/calendar/v3/calendars/primary/events", site.world.origin());
    let body = json!({"start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}}).to_string();
    let request = reqwest::Client::builder().build().unwrap().post(url).bearer_auth(tokens.access.reveal());
    let status = request.header("content-type", "application/json").body(body).send().await.unwrap().status();
    assert_eq!(status, 403);
    assert!(with(&site.world.core, |core| core.world.calendars["ada@gmail.example"].events.is_empty()));
}
