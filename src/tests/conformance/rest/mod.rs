//! Sections I, K and L of the checklist: calendars, errors and limits, sign-in. And the emulator's own commands.

mod busy;
mod calendars;
mod control;
mod exports;
mod grants;
mod limits;
mod seeds;
mod sign_in;

use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::{Answer, Google};
use crate::emulator::oauth::{DEMO_CLIENT, DEMO_SECRET};

/// Where codes go in these tests. Nobody listens there: the tests read the redirect instead of following it.
const REDIRECT: &str = "http://localhost:9/oauth/callback";
const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events";
const LIST: &str = "https://www.googleapis.com/auth/calendar.calendarlist.readonly";

/// A browser and an application that signs people in.
struct App<'a> {
    google: &'a Google,
    client: reqwest::Client,
}

impl<'a> App<'a> {
    fn of(google: &'a Google) -> Self {
        App { google, client: reqwest::Client::builder().redirect(Policy::none()).build().unwrap() }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, json, text }
    }

    /// A POST of a form, or a GET when there is none.
    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let url = format!("{}{path}", self.google.origin());
        self.send(if form.is_empty() { self.client.get(url) } else { self.client.post(url).form(form) }).await
    }

    /// The consent page with the usual parameters, and these over them.
    async fn consent(&self, over: &[(&str, &str)]) -> Answer {
        let scope = format!("openid email {EVENTS} {LIST}");
        let usual = [
            ("client_id", DEMO_CLIENT),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", scope.as_str()),
            ("access_type", "offline"),
            ("state", "a state"),
            ("login_hint", "ada@acme.example"),
        ];
        let mut query: Vec<(&str, &str)> =
            usual.into_iter().filter(|(name, _)| !over.iter().any(|(o, _)| o == name)).collect();
        query.extend(over.iter().filter(|(_, value)| !value.is_empty()));
        let url = format!("{}/o/oauth2/v2/auth", self.google.origin());
        self.send(self.client.get(url).query(&query)).await
    }

    /// The code of a consent that goes through.
    async fn code(&self, over: &[(&str, &str)]) -> String {
        let answer = self.consent(over).await;
        assert_eq!(answer.status, 302, "{}", answer.text);
        redirected(&answer, "code").unwrap()
    }

    async fn redeem(&self, code: &str, over: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", DEMO_CLIENT),
            ("client_secret", DEMO_SECRET),
            ("redirect_uri", REDIRECT),
        ];
        form.retain(|(name, _)| !over.iter().any(|(o, _)| o == name));
        form.extend(over);
        self.ask("/token", &form).await
    }

    /// Consent and redemption in one, insisting on success.
    async fn sign_in(&self, over: &[(&str, &str)]) -> Value {
        let code = self.code(over).await;
        let answer = self.redeem(&code, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    async fn refresh(&self, token: &Value) -> Answer {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap_or("")),
            ("client_id", DEMO_CLIENT),
            ("client_secret", DEMO_SECRET),
        ];
        self.ask("/token", &form).await
    }

    /// A GET of the API with an access token.
    async fn api(&self, token: &Value, path: &str) -> Answer {
        let url = format!("{}/calendar/v3/{path}", self.google.origin());
        self.send(self.client.get(url).bearer_auth(token.as_str().unwrap_or(""))).await
    }
}

/// A parameter of the address to which an answer sends the browser.
fn redirected(answer: &Answer, name: &str) -> Option<String> {
    let location = url::Url::parse(answer.headers.get("location")?.to_str().ok()?).unwrap();
    location.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

/// A command to the emulator, insisting on success.
async fn command(google: &Google, method: &str, path: &str, body: Value) -> Value {
    let answer = try_command(google, method, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

async fn try_command(google: &Google, method: &str, path: &str, body: Value) -> Answer {
    let app = App::of(google);
    let url = format!("{}/_emulator/{path}", google.origin());
    let request = app.client.request(method.parse().unwrap(), url);
    app.send(if body.is_null() { request } else { request.body(body.to_string()) }).await
}

/// Arms a fault and gives its number.
async fn arm(google: &Google, fault: Value) -> u64 {
    command(google, "POST", "faults", fault).await["id"].as_u64().unwrap()
}

/// Puts an event on Ada's calendar at acme as it is, without the rules of writing: what these sections are about must not
/// depend on them.
fn put(google: &Google, event: Value) {
    let Value::Object(fields) = event else { panic!("an event is an object") };
    google.core(|core| core.world.record("ada@acme.example", fields, true));
}

/// Makes a calendar of Ada's at acme: a write whose effect the calendar list shows.
async fn make_calendar(google: &Google, name: &str) -> Answer {
    google.call("ada@acme.example", "POST", "calendars", json!({"summary": name})).await
}

/// How many calendars of this name Ada has at acme.
async fn calendars_named(google: &Google, name: &str) -> usize {
    let list = get(google, "ada@acme.example", "users/me/calendarList").await.json;
    list["items"].as_array().unwrap().iter().filter(|item| item["summary"] == name).count()
}

/// GET as `who`.
async fn get(google: &Google, who: &str, path: &str) -> Answer {
    google.call(who, "GET", path, Value::Null).await
}

/// Shares a calendar by a command: access, and a place on the account's list.
async fn share(google: &Google, calendar: &str, account: &str, role: &str) {
    command(google, "POST", "set-access", json!({"calendar": calendar, "account": account, "role": role})).await;
}
