//! Google in the same process: which faults a request meets, and what comes of it.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use super::{
    faults::{DELETE, EMPTY, FAULTS, NO_CHANNEL, STALE, TOKEN, WATCH, fits},
    gate::Gate,
    tape::Tape,
    truth::Truth,
};
use crate::{
    emulator::{
        Answer, Shared,
        faults::{Fault, Kind},
        http::{Request, Response},
        state::Object,
        with,
    },
    google::transport::{Message, Near, Reply},
    model::{
        id::{CalendarId, EventId},
        item::ItemKey,
    },
    vault::{Vault, marker::ReadMarker},
};

/// Everything that a simulated Google and its witness share.
#[derive(Clone)]
pub struct Scene {
    pub core: Shared,
    pub tape: Arc<Mutex<Tape>>,
    pub truth: Arc<Mutex<Truth>>,
    pub vault: Arc<Vault>,
    /// What markers came to when they were read first: opening them takes longer than all else that a world does.
    pub read: Arc<Mutex<HashMap<u64, Option<(usize, ItemKey)>>>>,
}

/// Stands in every text that a person writes, before the calendar's number.
pub const CANARY: &str = "qzq";

impl Scene {
    pub fn tape(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to this Google for one installation.
    pub fn near(&self, gate: &Gate) -> Near {
        let (scene, gate) = (self.clone(), gate.clone());
        Arc::new(move |message: Message| {
            let (scene, gate) = (scene.clone(), gate.clone());
            let answer = async move {
                let request = request_of(message);
                gate.pass(kind_of(&request.0)).await;
                scene.answer(request)
            };
            Box::pin(answer) as Pin<Box<dyn Future<Output = Option<Reply>> + Send>>
        })
    }

    /// Adds a line to the history.
    pub fn note(&self, text: &str) {
        self.truth().note(text);
    }

    fn answer(&self, (request, query): (Request, String)) -> Option<Reply> {
        let call = kind_of(&request);
        let fault = self.fault(call, &request);
        let mut truth = self.truth();
        truth.calls += 1;
        if let Some(fault) = fault {
            truth.hit(fault, call);
        }
        // What makes a channel is chosen by real chance.
        let body = if call == WATCH { "".into() } else { String::from_utf8_lossy(&request.body) };
        let etag = request.header("if-match").unwrap_or("");
        let asked = format!("{} {} {query} {etag} {body}", request.method, request.path);
        truth.note(&format!("{asked}{}", fault.map_or(String::new(), |fault| format!("  ← {}", FAULTS[fault]))));
        let response = self.carry_out(&mut truth, &request, call, fault);
        let told = match &response {
            Some(response) if call == WATCH => format!("  {}", response.status),
            Some(response) => format!("  {} {}", response.status, String::from_utf8_lossy(&response.body)),
            None => "  no answer".into(),
        };
        truth.note(&told);
        response.map(|Response { status, headers, body }| Reply { status, headers, body })
    }

    /// What goes wrong with this call.
    fn fault(&self, call: usize, request: &Request) -> Option<usize> {
        let (stormy, rates) = {
            let mut truth = self.truth();
            if std::mem::take(&mut truth.lose) {
                return Some(1);
            }
            (truth.stormy, truth.rates)
        };
        if !stormy || request.path.starts_with("/.well-known") {
            return None;
        }
        for (fault, rate) in rates.iter().enumerate() {
            if fits(fault, call) && self.tape().chance(*rate) {
                return Some(fault);
            }
        }
        None
    }

    fn carry_out(&self, truth: &mut Truth, request: &Request, call: usize, fault: Option<usize>) -> Option<Response> {
        let refuse = |status: u16, reason: &str| {
            let item = json!({"reason": reason, "message": reason});
            Some(Response::json(status, &json!({"error": {"errors": [item], "code": status, "message": reason}})))
        };
        match fault {
            Some(0) => return None,
            Some(2) => return refuse(503, "backendError"),
            Some(4) => return refuse(403, "rateLimitExceeded"),
            Some(5) => return refuse(403, "quotaExceeded"),
            Some(6) => return refuse(403, "forbidden"),
            Some(NO_CHANNEL) if truth.calls.is_multiple_of(2) => {
                return refuse(401, "push.webhookUrlUnauthorized");
            }
            Some(7) => return refuse(410, "fullSyncRequired"),
            Some(8) => return refuse(404, "notFound"),
            Some(9) => return refuse(401, "authError"),
            Some(13) => {
                let body = b"<html>a proxy</html>".to_vec();
                return Some(Response { status: 200, headers: Vec::new(), body });
            }
            _ => {}
        }
        let before = self.judge_before(truth, request, call);
        let shorter = (fault == Some(NO_CHANNEL)).then(|| short_lived(request)).flatten();
        let request = shorter.as_ref().unwrap_or(request);
        let answer = with(&self.core, |core| {
            if fault == Some(EMPTY) {
                let keep = usize::from(truth.calls.is_multiple_of(2));
                let fault = json!({"kind": if keep == 0 { "empty_listing" } else { "truncated_listing" }, "keep": keep, "times": 1});
                if let Ok(fault) = serde_json::from_value::<Fault>(fault) {
                    debug_assert!(matches!(fault.kind, Kind::EmptyListing | Kind::TruncatedListing));
                    let _ = core.faults.add(fault);
                }
            }
            let answer = core.handle("http://127.0.0.1:1", request);
            core.faults.clear();
            answer
        });
        let Answer::Reply(_, mut response) = answer else { return None };
        if (3..6).contains(&call) {
            self.judge_after(truth, request, call, &response, before);
        }
        match fault {
            Some(1) => None,
            Some(3) => refuse(502, "backendError"),
            Some(10) => {
                let mut page: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                page["nextPageToken"] = json!("again");
                response.body = page.to_string().into_bytes();
                Some(response)
            }
            Some(STALE) => Some(self.stale(truth, request, response)),
            Some(14) => {
                // What changed while pages were read may stand on two of them; of the same version here.
                let mut page: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                if let Some(items) = page["items"].as_array_mut() {
                    items.extend(items.first().cloned());
                }
                response.body = page.to_string().into_bytes();
                Some(response)
            }
            _ => Some(response),
        }
    }

    /// Keeps calendars as they are now, so that a later listing may be answered from then.
    pub fn keep_past(&self) {
        let mut truth = self.truth();
        if truth.rates[STALE] == 0 {
            return;
        }
        with(&self.core, |core| {
            for (id, calendar) in &core.world.calendars {
                let past = truth.past.entry(id.clone()).or_default();
                past.push_back(calendar.events.clone());
                if past.len() > 2 {
                    past.pop_front();
                }
            }
        });
    }

    /// The items of an earlier moment under the token of now.
    fn stale(&self, truth: &Truth, request: &Request, fresh: Response) -> Response {
        let (calendar, _) = path_of(request);
        let Some(past) = truth.past.get(&calendar).and_then(|past| past.front()) else { return fresh };
        let old = with(&self.core, |core| {
            let place = core.world.calendars.get_mut(&calendar)?;
            let now = std::mem::replace(&mut place.events, past.clone());
            let answer = core.handle("http://127.0.0.1:1", request);
            if let Some(place) = core.world.calendars.get_mut(&calendar) {
                place.events = now;
            }
            Some(answer)
        });
        let Some(Answer::Reply(_, old)) = old else { return fresh };
        let (Ok(mut page), Ok(new)) =
            (serde_json::from_slice::<Value>(&old.body), serde_json::from_slice::<Value>(&fresh.body))
        else {
            return fresh;
        };
        if page["nextSyncToken"].is_null() || new["nextSyncToken"].is_null() {
            return fresh;
        }
        page["nextSyncToken"] = new["nextSyncToken"].clone();
        Response { body: page.to_string().into_bytes(), ..old }
    }

    /// Whose an event is, by its marker.
    pub fn owner(&self, truth: &Truth, calendar: &str, id: &str, fields: &Object) -> Option<(usize, ItemKey)> {
        let marker = fields.get("extendedProperties")?.get("private")?.get("busybridge")?.as_str()?;
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let name = xxhash_rust::xxh3::xxh3_64(format!("{calendar} {id} {marker}").as_bytes());
        known.entry(name).or_insert_with(|| self.opened(truth, calendar, id, marker)).clone()
    }

    fn opened(&self, truth: &Truth, calendar: &str, id: &str, marker: &str) -> Option<(usize, ItemKey)> {
        let target = CalendarId::from(calendar);
        let own = EventId::from(id);
        let series = own.as_instance().map(|(series, _)| series);
        for event in [Some(own.clone()), series].into_iter().flatten() {
            for (n, person) in truth.people.iter().enumerate() {
                if let ReadMarker::Ours { key, .. } = self.vault.read_marker(&person.subject, &target, &event, marker) {
                    return Some((n, key));
                }
            }
        }
        None
    }
}

/// A request as the emulator takes it, and its query as it came.
fn request_of(message: Message) -> (Request, String) {
    let Message { method, url, headers, body } = message;
    let query = url.query_pairs().into_owned().collect();
    (Request { method, path: url.path().into(), query, headers, body }, url.query().unwrap_or_default().to_owned())
}

/// The same request for a channel that lives an hour.
fn short_lived(request: &Request) -> Option<Request> {
    let mut body: Value = serde_json::from_slice(&request.body).ok()?;
    body["params"]["ttl"].is_string().then(|| body["params"]["ttl"] = json!("3600"))?;
    Some(Request { body: body.to_string().into_bytes(), ..request.clone() })
}

/// The number of a call's kind.
fn kind_of(request: &Request) -> usize {
    let listing = request.path.ends_with("/events");
    match request.method.as_str() {
        "GET" if listing && request.param("syncToken").is_some() => 1,
        "GET" if listing => 0,
        "GET" => 2,
        "POST" if listing => 3,
        "PATCH" | "PUT" => 4,
        "DELETE" => DELETE,
        _ if request.path.starts_with("/calendar/") => WATCH,
        _ => TOKEN,
    }
}

/// Calendar and event that a path names.
pub fn path_of(request: &Request) -> (String, String) {
    let rest = request.path.strip_prefix("/calendar/v3/calendars/").unwrap_or_default();
    let mut parts = rest.split('/').map(crate::emulator::api::decode);
    (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default())
}
