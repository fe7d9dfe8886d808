//! The client against a Google that reads from a script: pages, passing failures, what goes over the wire; and sign-in against
//! the emulator.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use url::Url;

use super::world::{World, beginning};
use crate::{
    controller::{
        accounts,
        tick::{Mode, Tick, tick},
    },
    google::{
        Desk, Endpoints,
        client::{Client, Listing, Wanted, Worth},
        error::GoogleError,
        oauth::{Grant, OAuth, Pending, SCOPES_WRITE},
        throttle::Pace,
    },
    model::{
        body::{Body, Visibility, When},
        calendar::{Role, Why},
        clock::Clock,
        id::{CalendarId, Cursor, Etag, EventId},
        plan::{ErrorClass, Outcome, Unreadable},
        secret::Secret,
    },
    store::tokens::AccountKind,
};

/// One request as it came in.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: String,
}

/// All of a listing.
const WHOLE: Wanted<'static> = Wanted { worth: &|_| Worth::Known, most: usize::MAX };

/// A server that gives prepared answers one after the other; the last one for ever.
struct Script {
    origin: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    async fn new(answers: Vec<String>) -> Self {
        Self::answering(move |n, _| answers[n.min(answers.len() - 1)].clone()).await
    }

    async fn answering(answer: impl Fn(usize, &Asked) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = asked.clone();
        tokio::spawn(async move {
            for n in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let request = read_request(&mut stream).await;
                let text = answer(n, &request);
                seen.lock().unwrap().push(request);
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Script { origin, asked }
    }

    fn client(&self) -> Client {
        let api = format!("{}/calendar/v3", self.origin);
        let endpoints = Endpoints::new(self.origin.parse().unwrap(), api.parse().unwrap()).unwrap();
        Client::new(endpoints, Clock::manual(beginning())).unwrap().with_pace(Pace::impatient())
    }

    async fn changes(&self, cursor: Option<&str>) -> Result<Listing, GoogleError> {
        self.client().changes(&access(), &acme(), cursor.map(Cursor::from).as_ref(), WHOLE).await
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> Asked {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await.unwrap();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap_or("/").to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Asked {
        method,
        path: path.into(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}

fn answer(status: u16, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn ok(body: Value) -> String {
    answer(200, "application/json", &body.to_string())
}

fn refused(status: u16, reason: &str) -> String {
    let body = json!({"error": {"code": status, "message": "…", "errors": [{"domain": "global", "reason": reason}]}});
    answer(status, "application/json", &body.to_string())
}

fn event(id: &str) -> Value {
    json!({
        "id": id, "etag": "\"1\"", "status": "confirmed", "summary": "Kick-off",
        "start": {"dateTime": "2026-03-02T09:00:00Z"}, "end": {"dateTime": "2026-03-02T10:00:00Z"},
    })
}

fn last_page() -> String {
    ok(json!({"timeZone": "Europe/Vienna", "items": [event("a")], "nextSyncToken": "s"}))
}

fn access() -> Secret<String> {
    Secret::new("an access token".into())
}

fn acme() -> CalendarId {
    CalendarId::from("ada@acme.example")
}

const UTC: Desk = Desk { zone: "UTC", account: "ada@acme.example" };

fn body() -> Body {
    Body {
        title: Some("Kick-off".into()),
        description: None,
        location: None,
        when: When::Times {
            start: "2026-03-02T09:00:00Z".parse().unwrap(),
            end: "2026-03-02T10:00:00Z".parse().unwrap(),
            start_zone: None,
            end_zone: None,
        },
        recurrence: Vec::new(),
        free: false,
        visibility: Visibility::Default,
        colour: None,
        answer: None,
    }
}

#[tokio::test]
async fn pages_are_asked_for_with_the_same_parameters_until_the_last() {
    let script = Script::new(vec![
        ok(json!({"timeZone": "Europe/Vienna", "items": [event("a"), event("b")], "nextPageToken": "p 2&/"})),
        ok(json!({"timeZone": "Europe/Vienna", "nextPageToken": "p3"})),
        ok(json!({"timeZone": "Europe/Vienna", "items": [{"id": "b", "status": "cancelled"}, {"id": "poison"}],
            "nextSyncToken": "s2="})),
    ])
    .await;
    let listing = script.changes(Some("s1=")).await.unwrap();
    assert!(!listing.full);
    assert_eq!(listing.next.as_str(), "s2=");
    assert_eq!(listing.zone, "Europe/Vienna");
    assert_eq!(listing.unreadable, [EventId::from("poison")]);
    let ids: Vec<&str> = listing.items.iter().map(|change| change.id().as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    let mut asked = script.asked();
    let tokens: Vec<Option<String>> = asked.iter_mut().map(|asked| asked.query.remove("pageToken")).collect();
    assert_eq!(tokens, [None, Some("p 2&/".into()), Some("p3".into())]);
    for page in &asked {
        assert_eq!(page.path, "/calendar/v3/calendars/ada@acme.example/events");
        assert_eq!(page.query, asked[0].query);
        assert_eq!(page.query["syncToken"], "s1=");
        assert_eq!(page.query["singleEvents"], "false");
        assert_eq!(page.headers["authorization"], "Bearer an access token");
        for window in ["timeMin", "timeMax", "orderBy", "q", "updatedMin"] {
            assert!(!page.query.contains_key(window), "{window}");
        }
    }
}

#[tokio::test]
async fn a_listing_that_does_not_come_to_its_end_is_an_error() {
    let page = |rest: Value| {
        let mut page = json!({"items": [event("a")]});
        page.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        ok(page)
    };
    for (pages, expected) in [
        (vec![page(json!({"nextPageToken": "p"}))], 2),
        (vec![page(json!({"nextPageToken": "p", "nextSyncToken": "s"}))], 1),
        (vec![page(json!({}))], 1),
    ] {
        let script = Script::new(pages).await;
        let error = script.changes(None).await.unwrap_err();
        assert!(matches!(error, GoogleError::Nonsense(_)), "{error:?}");
        assert_eq!(script.asked().len(), expected, "{error:?}");
    }
}

#[tokio::test]
async fn what_passes_is_tried_three_times_and_no_more() {
    let cut = answer(200, "application/json", "{}").replace("content-length: 2", "content-length: 2000");
    for (name, text) in [
        ("a proxy's page", answer(200, "text/html", "<html>Sign in to the Wi-Fi</html>")),
        ("an empty page", answer(200, "application/json", "")),
        ("a page cut off within its JSON", answer(200, "application/json", "{\"items\": [")),
        ("a body shorter than announced", cut),
        ("no answer", String::new()),
        ("an outage", refused(503, "backendError")),
        ("a proxy's outage", answer(502, "text/html", "<html>")),
    ] {
        let script = Script::new(vec![text]).await;
        let error = script.changes(None).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient, "{name}: {error:?}");
        assert_eq!(script.asked().len(), 3, "{name}");
    }
}

#[tokio::test]
async fn a_short_outage_is_not_noticed() {
    let script = Script::new(vec![refused(503, "backendError"), refused(503, "backendError"), last_page()]).await;
    let listing = script.changes(None).await.unwrap();
    assert_eq!((listing.full, listing.items.len(), script.asked().len()), (true, 1, 3));
}

#[tokio::test]
async fn what_is_refused_is_not_tried_again_and_says_what_to_do() {
    for (status, reason, expected) in [
        (412, "conditionNotMet", ErrorClass::Precondition),
        (409, "duplicate", ErrorClass::Exists),
        (410, "deleted", ErrorClass::AlreadyGone),
        (404, "notFound", ErrorClass::AlreadyGone),
        (403, "requiredAccessLevel", ErrorClass::Forbidden),
        (403, "rateLimitExceeded", ErrorClass::Throttled),
        (400, "invalid", ErrorClass::Rejected),
    ] {
        let script = Script::new(vec![refused(status, reason)]).await;
        let client = script.client();
        let (id, etag) = (EventId::from("a"), Etag::from("\"1\""));
        let error = client.delete(&access(), &acme(), &id, &etag, false).await.unwrap_err();
        assert_eq!(error.class(), expected, "{status} {reason}");
        let error = client.patch(&access(), &acme(), &id, &etag, "m", None, &body(), false, UTC).await.unwrap_err();
        assert_eq!(error.class(), expected, "{status} {reason}");
        assert_eq!(script.asked().len(), 2, "{status} {reason}");
    }
    let script = Script::new(vec![refused(409, "duplicate")]).await;
    let error = script.client().insert(&access(), &acme(), &"a".into(), "m", &body(), UTC).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists);
    let script = Script::new(vec![refused(410, "fullSyncRequired")]).await;
    assert_eq!(script.changes(Some("s")).await.unwrap_err().class(), ErrorClass::CursorLost);
}

#[tokio::test]
async fn every_write_is_silent_and_every_change_names_its_version() {
    let script = Script::answering(|_, asked| match asked.method.as_str() {
        "DELETE" => answer(204, "text/plain", ""),
        _ => ok(event("a")),
    })
    .await;
    let client = script.client();
    let (id, etag) = (EventId::from("a/b#c@d%e?f"), Etag::from("\"33\""));
    let odd = CalendarId::from("team/1#x@group.calendar.google.com%");
    client.insert(&access(), &odd, &id, "m", &body(), UTC).await.unwrap();
    client.patch(&access(), &odd, &id, &etag, "m", None, &body(), false, UTC).await.unwrap();
    client.delete(&access(), &odd, &id, &etag, false).await.unwrap();
    let asked = script.asked();
    let calendar = "/calendar/v3/calendars/team%2F1%23x@group.calendar.google.com%25/events";
    let one = format!("{calendar}/a%2Fb%23c@d%25e%3Ff");
    let seen: Vec<(&str, &str)> = asked.iter().map(|a| (a.method.as_str(), a.path.as_str())).collect();
    assert_eq!(seen, [("POST", calendar), ("PATCH", one.as_str()), ("DELETE", one.as_str())]);
    for write in &asked {
        assert_eq!(write.query, BTreeMap::from([("sendUpdates".into(), "none".into())]), "{write:?}");
    }
    let matched: Vec<Option<&String>> = asked.iter().map(|a| a.headers.get("if-match")).collect();
    let etag = etag.as_str().to_owned();
    assert_eq!(matched, [None, Some(&etag), Some(&etag)]);
    let inserted: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(inserted["id"], id.as_str());
    assert_eq!(asked[2].body, "");
}

#[tokio::test]
async fn calls_are_counted_attempt_by_attempt() {
    let script = Script::new(vec![refused(503, "backendError"), last_page()]).await;
    let client = script.client();
    client.changes(&access(), &acme(), None, WHOLE).await.unwrap();
    assert_eq!(client.calls(), BTreeMap::from([("events.list", 2)]));
}

const CLIENT: &str = "busybridge-demo.apps.googleusercontent.com";

fn secret() -> Secret<String> {
    Secret::new("demo-secret".into())
}

/// A world with a meeting at Acme that is shown at home and at Globex.
async fn consultant() -> World {
    let mut world = World::new().await;
    let calendar = |name: &str, email: &str, role| (name.to_owned(), email.to_owned(), email.to_owned(), role);
    let calendars = [
        calendar("home", "ada@home.example", Role::Main),
        calendar("acme", "ada@acme.example", Role::Client),
        calendar("globex", "ada@globex.example", Role::Client),
    ];
    world.add("ada", 0, &calendars).await;
    let kickoff = json!({
        "summary": "Kick-off", "start": {"dateTime": "2026-03-02T09:00:00Z"}, "end": {"dateTime": "2026-03-02T10:00:00Z"},
    });
    assert_eq!(world.as_person("acme", "POST", "/events", kickoff).await.0, 200);
    let Tick { outcomes, .. } = reconcile(&world).await;
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done]);
    world
}

async fn reconcile(world: &World) -> Tick {
    tick(world.app("ada"), world.people["ada"].user, Mode::Apply).await.unwrap()
}

/// Opens the consent page as `email` and comes back with a code.
async fn consent(world: &World, email: &str) -> (Pending, String) {
    let oauth = &world.app("ada").oauth;
    let redirect = "http://127.0.0.1:1/auth/callback";
    let pending = oauth.authorization(CLIENT, SCOPES_WRITE, Some(email), redirect).await.unwrap();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = browser.get(pending.url.clone()).send().await.unwrap();
    let back: Url = answer.headers()["location"].to_str().unwrap().parse().unwrap();
    let value = |name: &str| back.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
    assert_eq!(value("state"), pending.state);
    (pending, value("code"))
}

/// Puts real tokens in the place of the emulator's endless ones.
async fn sign_in(world: &World, email: &str, kind: AccountKind) {
    let app = world.app("ada");
    let (pending, code) = consent(world, email).await;
    let Grant { tokens, identity, lasting: _ } =
        app.oauth.exchange(CLIENT, &secret(), &pending.proof, &code).await.unwrap();
    assert_eq!(identity.email, email);
    app.store.put_token(world.people["ada"].user, kind, email, &tokens).await.unwrap();
}

/// How often tokens were asked for, by status.
async fn token_calls(world: &World) -> Value {
    world.command("GET", "stats", json!(null)).await.1["requests"]["ada@acme.example"]["oauth /token"].clone()
}

#[tokio::test]
async fn an_access_token_that_ended_is_renewed_exactly_once() {
    let world = consultant().await;
    sign_in(&world, "ada@acme.example", AccountKind::Client).await;
    world.command("DELETE", "stats", json!(null)).await;
    assert!(reconcile(&world).await.plan.unreadable.is_empty());
    assert_eq!(token_calls(&world).await, json!(null), "a token that is good is not renewed");

    world.clock.advance(TimeDelta::hours(2));
    for _ in 0..2 {
        let plan = reconcile(&world).await.plan;
        assert!(plan.unreadable.is_empty() && plan.is_empty(), "{plan:?}");
    }
    assert_eq!(token_calls(&world).await, json!({"200": 1}), "ended by the clock");

    world.command("POST", "expire-access", json!({"account": "ada@acme.example"})).await;
    for _ in 0..2 {
        assert!(reconcile(&world).await.plan.unreadable.is_empty());
    }
    assert_eq!(token_calls(&world).await, json!({"200": 2}), "ended at Google before its time");
}

#[tokio::test]
async fn a_revoked_permission_stops_reading_and_deletes_nothing() {
    let world = consultant().await;
    sign_in(&world, "ada@acme.example", AccountKind::Client).await;
    let shown = |items: &Value| -> Vec<String> {
        let items = items["items"].as_array().unwrap();
        items.iter().map(|item| item["summary"].as_str().unwrap().to_owned()).collect()
    };
    let home = world.as_person("home", "GET", "/events", json!(null)).await.1;
    let globex = world.as_person("globex", "GET", "/events", json!(null)).await.1;
    assert_eq!((shown(&home), shown(&globex)), (vec!["Kick-off".into()], vec!["[BusyBridge] Busy".into()]));

    assert_eq!(world.command("POST", "revoke", json!({"account": "ada@acme.example"})).await.0, 200);
    world.command("DELETE", "stats", json!(null)).await;
    for _ in 0..2 {
        let Tick { plan, outcomes, .. } = reconcile(&world).await;
        assert_eq!(plan.unreadable, [Unreadable { calendar: "acme".into(), why: Some(Why::Revoked) }]);
        assert_eq!(Why::Revoked.sentence(), "access was revoked");
        assert!(plan.is_empty() && outcomes.is_empty(), "{plan:?}");
    }
    assert_eq!(world.command("GET", "stats", json!(null)).await.1["event_writes"], json!({}));
    assert_eq!(world.as_person("home", "GET", "/events", json!(null)).await.1["items"], home["items"]);
    assert_eq!(world.as_person("globex", "GET", "/events", json!(null)).await.1["items"], globex["items"]);

    sign_in(&world, "ada@acme.example", AccountKind::Client).await;
    let plan = reconcile(&world).await.plan;
    assert!(plan.unreadable.is_empty() && plan.is_empty(), "signed in again: {plan:?}");
}

#[tokio::test]
async fn an_ended_consent_is_not_asked_for_again_until_the_account_is_connected_anew() {
    let world = consultant().await;
    sign_in(&world, "ada@acme.example", AccountKind::Client).await;
    world.command("POST", "revoke", json!({"account": "ada@acme.example"})).await;
    world.command("DELETE", "stats", json!(null)).await;
    for _ in 0..3 {
        assert_eq!(reconcile(&world).await.plan.unreadable[0].why, Some(Why::Revoked));
        world.clock.advance(TimeDelta::hours(2));
    }
    let stats = world.command("GET", "stats", json!(null)).await.1;
    let asked =
        stats["requests"].as_object().unwrap().values().filter_map(|calls| calls["oauth /token"]["400"].as_u64());
    assert_eq!(asked.sum::<u64>(), 1);
    sign_in(&world, "ada@acme.example", AccountKind::Client).await;
    assert!(reconcile(&world).await.plan.unreadable.is_empty());
}

#[tokio::test]
async fn a_consent_to_an_application_in_testing_ends_with_its_own_reason() {
    let world = consultant().await;
    crate::emulator::with(&world.core, |core| core.world.settings.testing_mode = true);
    sign_in(&world, "ada@acme.example", AccountKind::Client).await;
    world.clock.advance(TimeDelta::days(7) + TimeDelta::minutes(1));
    assert_eq!(reconcile(&world).await.plan.unreadable[0].why, Some(Why::Lapsed));
}

#[tokio::test]
async fn many_who_need_a_token_at_once_ask_for_one() {
    let world = consultant().await;
    sign_in(&world, "ada@acme.example", AccountKind::Client).await;
    let app = world.app("ada");
    let row = app.store.calendars_of(world.people["ada"].user).await.unwrap();
    let token = row.into_iter().find(|row| row.account == "ada@acme.example").unwrap().token;
    world.clock.advance(TimeDelta::hours(2));
    world.command("DELETE", "stats", json!(null)).await;
    let answers = futures::future::join_all((0..20).map(|_| accounts::access(app, token))).await;
    let first = answers[0].as_ref().unwrap().reveal().clone();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().reveal() == &first));
    assert_eq!(token_calls(&world).await, json!({"200": 1}));
    // The same from the half-hourly job: it renews ahead, and leaves alone what lasts.
    assert_eq!(accounts::refresh_ahead(app).await.unwrap(), 0);
    world.clock.advance(TimeDelta::minutes(30));
    assert_eq!(accounts::refresh_ahead(app).await.unwrap(), 1);
    assert_ne!(accounts::access(app, token).await.unwrap().reveal(), &first);
    assert_eq!(token_calls(&world).await, json!({"200": 2}));
}

#[tokio::test]
async fn a_person_who_left_out_a_permission_is_told_so_and_nothing_is_asked() {
    let world = consultant().await;
    sign_in(&world, "ada@acme.example", AccountKind::Client).await;
    let app = world.app("ada");
    let row = app.store.calendars_of(world.people["ada"].user).await.unwrap();
    let token = row.into_iter().find(|row| row.account == "ada@acme.example").unwrap().token;
    let all = app.store.token(token).await.unwrap().unwrap();
    let less = crate::model::tokens::Tokens { scopes: "openid email".into(), ..all.clone() };
    app.store.update_tokens(token, &all, &less).await.unwrap();
    assert_eq!(reconcile(&world).await.plan.unreadable[0].why, Some(Why::Scope));
}

#[tokio::test]
async fn an_account_that_google_asks_to_slow_down_is_left_alone_and_the_others_go_on() {
    let mut world = consultant().await;
    world.at_pace("ada", Pace { limited: true, ..Pace::impatient() });
    assert!(reconcile(&world).await.plan.unreadable.is_empty());
    let fault = json!({"account": "ada@acme.example", "kind": "status", "status": 429, "retry_after": 60, "times": 1});
    assert_eq!(world.command("POST", "faults", fault).await.0, 200);
    world.command("DELETE", "stats", json!(null)).await;
    for _ in 0..3 {
        let plan = reconcile(&world).await.plan;
        assert_eq!(plan.unreadable, [Unreadable { calendar: "acme".into(), why: Some(Why::Throttled) }]);
    }
    let stats = world.command("GET", "stats", json!(null)).await.1;
    assert_eq!(stats["requests"]["ada@acme.example"]["events.list"], json!({"429": 1}), "asked once in three ticks");
    assert_eq!(stats["requests"]["ada@globex.example"]["events.list"], json!({"200": 3}));
    let waiting = world.app("ada").google.waiting();
    assert!(waiting.len() == 1 && waiting[0].1 <= std::time::Duration::from_secs(60), "{waiting:?}");
}

/// The product's sign-in with its clock this far from the emulator's.
fn sign_in_at(world: &World, ahead: TimeDelta) -> OAuth {
    let endpoints =
        Endpoints::new(world.origin().parse().unwrap(), format!("{}/calendar/v3", world.origin()).parse().unwrap());
    OAuth::new(endpoints.unwrap(), Clock::manual(beginning() + ahead)).unwrap()
}

fn why(answer: Result<Grant, GoogleError>) -> &'static str {
    match answer {
        Err(GoogleError::Identity(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_identity_of_another_sign_in_or_another_time_is_refused() {
    let world = consultant().await;
    let (mut pending, code) = consent(&world, "ada@acme.example").await;
    pending.proof.nonce.push('x');
    let answer = world.app("ada").oauth.exchange(CLIENT, &secret(), &pending.proof, &code).await;
    assert_eq!(why(answer), "it belongs to another sign-in");
    for hours in [2, -2] {
        let (pending, code) = consent(&world, "ada@acme.example").await;
        let oauth = sign_in_at(&world, TimeDelta::hours(hours));
        assert_eq!(why(oauth.exchange(CLIENT, &secret(), &pending.proof, &code).await), "it is out of date", "{hours}");
    }
    let (mut pending, code) = consent(&world, "ada@acme.example").await;
    pending.proof.verifier = Secret::new("another verifier".into());
    let answer = world.app("ada").oauth.exchange(CLIENT, &secret(), &pending.proof, &code).await;
    assert_eq!(answer.unwrap_err().class(), ErrorClass::Revoked, "the code without its verifier is worth nothing");
}

/// An issuer whose keys are the emulator's and whose token endpoint always gives this id token.
async fn issuer_giving(world: &World, id_token: String) -> Script {
    let real = world.origin();
    Script::answering(move |_, asked| match asked.path.as_str() {
        "/token" => ok(json!({"access_token": "a", "refresh_token": "r", "expires_in": 3599, "id_token": id_token})),
        _ => ok(json!({
            "issuer": real, "authorization_endpoint": format!("{real}/o/oauth2/v2/auth"),
            "token_endpoint": format!("http://{}/token", asked.headers["host"]), "jwks_uri": format!("{real}/certs"),
            "revocation_endpoint": format!("{real}/revoke"),
        })),
    })
    .await
}

#[tokio::test]
async fn an_identity_for_another_program_or_with_a_broken_signature_is_refused() {
    let world = consultant().await;
    let (pending, code) = consent(&world, "ada@acme.example").await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("client_id", CLIENT),
        ("client_secret", "demo-secret"),
        ("redirect_uri", &pending.proof.redirect_uri),
        ("code_verifier", pending.proof.verifier.reveal()),
    ];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = reqwest::Client::builder().build().unwrap().post(format!("{}/token", world.origin()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    let token = answer["id_token"].as_str().unwrap().to_owned();

    let exchange = async |client: &str, token: String| {
        let issuer = issuer_giving(&world, token).await;
        let api = format!("{}/calendar/v3", issuer.origin);
        let endpoints = Endpoints::new(issuer.origin.parse().unwrap(), api.parse().unwrap()).unwrap();
        let oauth = OAuth::new(endpoints, Clock::manual(beginning())).unwrap();
        oauth.exchange(client, &secret(), &pending.proof, "any").await
    };
    assert_eq!(exchange(CLIENT, token.clone()).await.unwrap().identity.email, "ada@acme.example");
    let wrong = "its signature, audience or form is wrong";
    assert_eq!(why(exchange("another.apps.googleusercontent.com", token.clone()).await), wrong);

    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts[..] else { panic!("{token}") };
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    assert_eq!(why(exchange(CLIENT, format!("{head}.{claims}.{other}{}", &signature[1..])).await), wrong);
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    assert_eq!(why(exchange(CLIENT, format!("{unsigned}.{claims}.")).await), "it cannot be read");
    let symmetric = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT","kid":"x"}"#);
    assert_eq!(why(exchange(CLIENT, format!("{symmetric}.{claims}.{signature}")).await), "it is not signed by RS256");
}

#[tokio::test]
async fn a_listing_of_ever_new_pages_is_given_up() {
    let page = |n: usize, _: &Asked| ok(json!({"items": [event("a")], "nextPageToken": format!("page {n}")}));
    let script = Script::answering(page).await;
    let error = script.changes(None).await.unwrap_err();
    assert!(matches!(error, GoogleError::Nonsense("a listing does not end")), "{error:?}");
    assert_eq!(script.asked().len(), 400);
}

#[tokio::test]
async fn a_page_of_another_form_is_no_listing() {
    for page in [
        json!({"items": null, "nextSyncToken": "s"}),
        json!({"items": {"a": event("a")}, "nextSyncToken": "s"}),
        json!({"items": "none", "nextSyncToken": "s"}),
        json!({"items": [], "nextSyncToken": 7}),
        json!([event("a")]),
        json!(null),
    ] {
        let script = Script::new(vec![ok(page.clone())]).await;
        assert!(matches!(script.changes(None).await, Err(GoogleError::Nonsense(_))), "{page}");
    }
    let script = Script::new(vec![answer(204, "text/plain", "")]).await;
    assert!(matches!(script.changes(None).await, Err(GoogleError::Nonsense(_))));
    // Google leaves empty lists out; what is no event costs itself.
    let script = Script::new(vec![ok(json!({"nextSyncToken": "s"}))]).await;
    assert_eq!(script.changes(None).await.unwrap().items.len(), 0);
    let items = json!({"items": [null, 7, "event", [], {}, event("a")], "nextSyncToken": "s"});
    let script = Script::new(vec![ok(items)]).await;
    let listing = script.changes(None).await.unwrap();
    assert_eq!((listing.items.len(), listing.unreadable.len()), (1, 5));
}

#[tokio::test]
async fn a_page_too_large_to_hold_is_asked_for_in_smaller_ones() {
    // Thirteen kilobytes of each of 2,500 events, as an invitation with its footers has, are more than one answer holds.
    let script = Script::answering(|_, asked| {
        let size: usize = asked.query["maxResults"].parse().unwrap();
        let text = "x".repeat(13_500);
        let items: Vec<Value> = (0..size)
            .map(|n| {
                let mut item = event(&format!("event{n}"));
                item["description"] = json!(text);
                item
            })
            .collect();
        ok(json!({"items": items, "nextSyncToken": "s"}))
    })
    .await;
    let listing = script.changes(None).await.unwrap();
    let sizes: Vec<String> = script.asked().into_iter().map(|asked| asked.query["maxResults"].clone()).collect();
    assert_eq!((sizes, listing.items.len()), (vec!["2500".into(), "250".into()], 250));
}
