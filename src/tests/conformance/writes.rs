//! Writing: sections C (its writing statements) to H of the checklist, and I03.

mod answers;
mod bodies;
mod carried;
mod conditional;
mod copies;
mod ids;
mod kinds;
mod properties;
mod refusals;
mod remaining;
mod rules;
mod seeded;
mod series;

use serde_json::{Value, json};

use super::{Answer, Google, meeting};

const ADA: &str = "ada@acme.example";
const BOB: &str = "bob@acme.example";

impl Google {
    /// A call on ada@acme.example's primary calendar; `path` follows `events`.
    async fn ada(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call(ADA, method, &format!("calendars/primary/events{path}"), body).await
    }

    /// A call on bob@acme.example's primary calendar.
    async fn bob(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call(BOB, method, &format!("calendars/primary/events{path}"), body).await
    }

    /// An event as ada@acme.example reads it.
    async fn read(&self, id: &str) -> Value {
        let answer = self.ada("GET", &format!("/{id}"), Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    /// An event as bob@acme.example reads it.
    async fn bobs(&self, id: &str) -> Value {
        let answer = self.bob("GET", &format!("/{id}"), Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    /// PATCHes as ada@acme.example and insists on success.
    async fn patch(&self, id: &str, body: Value) -> Value {
        let answer = self.ada("PATCH", &format!("/{id}"), body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    /// Everything that is stored, as text: what a refused write must leave alone.
    fn everything(&self) -> String {
        self.core(|core| {
            let events = core.world.calendars.values().flat_map(|c| c.events.values().map(|e| (&c.id, e)));
            events.map(|(calendar, event)| format!("{calendar} {event:?}\n")).collect()
        })
    }

    /// A secondary calendar of ada@acme.example.
    fn secondary(&self, id: &str) {
        self.core(|core| {
            let calendar = crate::emulator::state::Calendar {
                id: id.into(),
                summary: "Second".into(),
                time_zone: "Europe/Vienna".into(),
                owner: ADA.into(),
                primary: false,
                acl: [(ADA.into(), crate::emulator::state::Role::Owner)].into(),
                events: Default::default(),
                epoch: 0,
                about: Default::default(),
                change: 0,
            };
            core.world.calendars.insert(id.into(), calendar);
        });
    }
}

/// [`meeting`] with other fields laid over it.
fn meeting_with(id: &str, fields: Value) -> Value {
    with_fields(meeting(id, "Review"), fields)
}

fn with_fields(mut event: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// An invitation of bob@acme.example by ada@acme.example.
fn invitation(id: &str) -> Value {
    meeting_with(id, json!({"attendees": [{"email": BOB}, {"email": ADA, "responseStatus": "accepted"}]}))
}

/// The answer that `email` has in this copy's list.
fn answer_of<'a>(event: &'a Value, email: &str) -> &'a str {
    let entry = event["attendees"].as_array().unwrap().iter().find(|a| a["email"] == email);
    entry.unwrap_or_else(|| panic!("{email} in {event}"))["responseStatus"].as_str().unwrap()
}
