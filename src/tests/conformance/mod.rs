//! The emulator against Google's documents: one test for each statement of the acceptance checklist that it implements,
//! named after the statement's number, talking HTTP. What is only assumed of Google is tested under its default setting.

mod lists;
mod push;
mod rest;
mod writes;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    emulator::{
        Core, Shared,
        server::{Running, serve},
        settings::Settings,
        state::{Account, World},
        with,
    },
    model::clock::Clock,
};

/// A Google with four accounts (`ada@home.example`, `ada@acme.example`, `bob@acme.example`, `ada@gmail.example`), all in
/// Europe/Vienna, at 2026-03-01T08:00:00Z on a clock that stands still.
pub struct Google {
    pub core: Shared,
    pub clock: Clock,
    running: Running,
    client: reqwest::Client,
}

/// One answer; `json` is null when the body is not JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub json: Value,
    pub text: String,
}

impl Answer {
    /// `error.errors[0].reason`.
    pub fn reason(&self) -> &str {
        self.json["error"]["errors"][0]["reason"].as_str().unwrap_or("")
    }

    /// The ids of `items`, in order.
    pub fn ids(&self) -> Vec<&str> {
        self.json["items"].as_array().into_iter().flatten().filter_map(|i| i["id"].as_str()).collect()
    }
}

impl Google {
    pub async fn start() -> Self {
        Self::with_settings(Settings::default()).await
    }

    pub async fn with_settings(settings: Settings) -> Self {
        let now: DateTime<Utc> = "2026-03-01T08:00:00Z".parse().unwrap();
        let clock = Clock::manual(now);
        let mut world = World::new(settings, clock.clone());
        for (n, email) in
            ["ada@home.example", "ada@acme.example", "bob@acme.example", "ada@gmail.example"].iter().enumerate()
        {
            let domain = email.split('@').nth(1).unwrap();
            let account = Account {
                email: (*email).into(),
                name: "Ada Byron".into(),
                sub: format!("{}", 100 + n),
                hosted_domain: (domain != "gmail.example").then(|| domain.into()),
            };
            world.add_account(account, "Europe/Vienna");
        }
        let core: Shared = std::sync::Arc::new(std::sync::Mutex::new(Core::new(world)));
        let running = serve(core.clone(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = reqwest::Client::builder().build().unwrap();
        Google { core, clock, running, client }
    }

    pub fn origin(&self) -> String {
        self.running.origin()
    }

    /// A look behind the curtain, to set up what no API call can.
    pub fn core<T>(&self, f: impl FnOnce(&mut Core) -> T) -> T {
        with(&self.core, f)
    }

    /// One call as `who`. `path` follows `/calendar/v3/` and may carry a query; a null `body` is no body.
    pub async fn call(&self, who: &str, method: &str, path: &str, body: Value) -> Answer {
        self.call_with(who, method, path, body, &[]).await
    }

    /// The same with more headers.
    pub async fn call_with(
        &self,
        who: &str,
        method: &str,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let url = format!("{}/calendar/v3/{path}", self.origin());
        let mut request =
            self.client.request(method.parse().unwrap(), url).header("authorization", format!("Bearer dev:{who}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, json, text }
    }

    /// GET as ada@acme.example on her primary calendar: `events?…`.
    pub async fn list(&self, query: &str) -> Answer {
        self.call("ada@acme.example", "GET", &format!("calendars/primary/events?{query}"), Value::Null).await
    }

    /// Inserts on ada@acme.example's primary calendar and insists on success.
    pub async fn insert(&self, event: Value) -> Value {
        let answer = self.call("ada@acme.example", "POST", "calendars/primary/events", event).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }
}

/// A timed event on 2 March 2026, 09:00–10:00 in Vienna, with this id and title.
pub fn meeting(id: &str, summary: &str) -> Value {
    json!({
        "id": id, "summary": summary,
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Vienna"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Vienna"},
    })
}

/// The same every week.
pub fn weekly(id: &str, summary: &str) -> Value {
    let mut event = meeting(id, summary);
    event["recurrence"] = json!(["RRULE:FREQ=WEEKLY"]);
    event
}
