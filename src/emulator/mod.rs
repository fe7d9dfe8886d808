//! A Google in a box: Calendar v3 and OAuth 2.0 / OpenID Connect on one origin, for demos and tests.
//!
//! It is a witness, not an accomplice: it works on plain JSON, follows Google's documents and imports nothing of ours but
//! the clock, so that the real client is what a test exercises.
//!
//! ```text
//!   socket ─► server ─► Core::handle ─┬─► faults ─┬─► oauth       sign-in, tokens, keys
//!                                      │           └─► api ─┬─► listing    events.list, get, instances, sync tokens
//!                                      │             scopes ├─► write      insert, update, patch, delete, import, move
//!                                      │             quota  └─► calendars  calendarList, calendars, acl, colors, freeBusy
//!                                      │                    └─► push       watch, stop; the server delivers
//!                                      ├─► faults::control    faults and more by command, `/_emulator/…`
//!                                      └─► page               for people: all calendars side by side, `/`
//!
//!   seed (TOML), ics (exports) ─► World
//! ```
//!
//! Not here yet: batch (K09–K15).

pub mod api;
pub mod calendars;
pub mod conference;
pub mod faults;
pub mod fields;
pub mod freebusy;
pub mod guests;
pub mod held;
pub mod http;
pub mod ics;
pub mod kinds;
pub mod listing;
pub mod merge;
pub mod oauth;
pub mod page;
pub mod push;
pub mod quota;
pub mod recurrence;
pub mod render;
pub mod scopes;
pub mod seed;
pub mod selection;
pub mod series;
pub mod server;
pub mod settings;
pub mod shape;
pub mod split;
pub mod state;
pub mod sync;
pub mod time;
pub mod validate;
pub mod walk;
pub mod write;
pub mod write_params;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{ApiError, Request, Response};
use state::World;

/// What the server does with a request.
#[derive(Debug)]
pub enum Answer {
    /// Wait, then answer.
    Reply(Duration, Response),
    /// Close the connection without an answer.
    Drop,
}

/// The account behind an access token, and what it may do.
#[derive(Clone, Debug)]
pub struct Caller {
    pub email: String,
    /// Full scope addresses (`https://www.googleapis.com/auth/calendar.events`); a `dev:` token has all of them.
    pub scopes: Vec<String>,
    /// The application that the token was given to; none for a `dev:` token.
    pub client: Option<String>,
}

/// Google without a socket: one request in, one answer out.
pub struct Core {
    pub world: World,
    pub oauth: oauth::OAuth,
    pub faults: faults::Faults,
    /// Everything but faults as it was when somebody asked to keep it.
    pub kept: Option<(World, oauth::OAuth)>,
    /// Everything that was asked to be changed, for tests to judge.
    #[cfg(test)]
    pub writes: Vec<Request>,
    /// Those of them that were carried out and changed nothing.
    #[cfg(test)]
    pub idle_writes: Vec<Request>,
}

impl Core {
    /// A Google that knows this world.
    pub fn new(world: World) -> Self {
        Core {
            world,
            oauth: oauth::OAuth::new(),
            faults: faults::Faults::default(),
            kept: None,
            #[cfg(test)]
            writes: Vec::new(),
            #[cfg(test)]
            idle_writes: Vec::new(),
        }
    }

    /// Answers one request. `origin` is the address at which this server is reached (`http://127.0.0.1:9000`), used in
    /// addresses that it hands out.
    pub fn handle(&mut self, origin: &str, request: &Request) -> Answer {
        if let Some(response) = page::handle(self, request) {
            return Answer::Reply(Duration::ZERO, response);
        }
        if request.path.starts_with("/_emulator/") {
            return Answer::Reply(Duration::ZERO, faults::control(self, request));
        }
        #[cfg(test)]
        if request.method != "GET" && request.path.starts_with("/calendar/v3/") {
            self.writes.push(request.clone());
        }
        let account = self.oauth.account_of(request);
        let effect = self.faults.decide(account.as_deref(), request);
        let answer = effect.before().unwrap_or_else(|| {
            let response = self.dispatch(origin, request);
            effect.after(response, request, |again| self.dispatch(origin, again))
        });
        self.faults.count(account.as_deref(), request, &answer);
        answer
    }

    fn dispatch(&mut self, origin: &str, request: &Request) -> Response {
        #[cfg(test)]
        let before = (request.method == "PATCH").then(|| self.stands_at(&request.path)).flatten();
        #[cfg(test)]
        if let Some(before) = before {
            let response = self.answer(origin, request);
            if response.status == 200 && self.stands_at(&request.path) == Some(before) {
                self.idle_writes.push(request.clone());
            }
            return response;
        }
        self.answer(origin, request)
    }

    /// What the event of a path says, but for when and how often it changed.
    #[cfg(test)]
    fn stands_at(&self, path: &str) -> Option<state::Object> {
        let (calendar, event) = path.strip_prefix("/calendar/v3/calendars/")?.split_once("/events/")?;
        let stored = self.world.calendars.get(&calendar.replace("%40", "@"))?.events.get(event)?;
        let mut fields = stored.fields.clone();
        fields.remove("sequence");
        Some(fields)
    }

    fn answer(&mut self, origin: &str, request: &Request) -> Response {
        if let Some(path) = request.path.strip_prefix("/calendar/v3/") {
            let answer = self.oauth.caller(&self.world, request).and_then(|caller| {
                fields::masked(request, path, || api::handle(&mut self.world, &caller, path, request))
            });
            return answer.unwrap_or_else(|refusal| refusal.response());
        }
        self.oauth.handle(&mut self.world, origin, request).unwrap_or_else(|| ApiError::not_found().response())
    }
}

/// A shared Google, as a server and its owner hold it.
pub type Shared = Arc<Mutex<Core>>;

/// Runs `f` on the shared Google; a panic of an earlier request does not poison it.
pub fn with<T>(shared: &Shared, f: impl FnOnce(&mut Core) -> T) -> T {
    f(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}
