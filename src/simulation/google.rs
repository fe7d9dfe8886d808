//! Google in the same process, and the witness at its door: which faults a request meets, and whether it should ever have been made.
//! What is true is known from the emulator and from what the simulated people did, never from the product's own tables.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::tape::Tape;
use crate::{
    emulator::{
        Answer, Shared,
        faults::{Fault, Kind},
        http::{Request, Response},
        state::{Object, Stored},
        with,
    },
    google::transport::{Message, Near, Reply},
    model::{
        calendar::Role,
        id::{CalendarId, EventId},
        item::ItemKey,
    },
    vault::{Vault, marker::ReadMarker},
};

/// Where a tick stops and waits to be told to go on: before each call and each commit.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<Door>>);

#[derive(Default)]
struct Door {
    shut: bool,
    waiting: bool,
    /// The number of the step that waits.
    step: usize,
    let_one: bool,
    /// Wakes who waits, also where others stand between: some of them ask only those again that were woken.
    waker: Option<Waker>,
}

impl Gate {
    fn door(&self) -> MutexGuard<'_, Door> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it may pass to a step.
    pub fn pass(&self, step: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let gate = self.clone();
        Box::pin(poll_fn(move |cx| {
            let mut door = gate.door();
            if !door.shut || door.let_one {
                (door.let_one, door.waiting) = (false, false);
                return Poll::Ready(());
            }
            (door.waiting, door.step) = (true, step);
            door.waker = Some(cx.waker().clone());
            Poll::Pending
        }))
    }

    /// Everybody passes, or each step waits.
    pub fn shut(&self, shut: bool) {
        *self.door() = Door { shut, ..Door::default() };
    }

    /// Before which step somebody waits.
    pub fn step(&self) -> usize {
        self.door().step
    }

    /// Goes on with a piece of work up to the next step; its end, if it came to it.
    pub async fn advance<T>(&self, work: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Option<T> {
        {
            let mut door = self.door();
            door.let_one = door.waiting;
            if let Some(waker) = door.waker.take() {
                waker.wake();
            }
        }
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(end) => Poll::Ready(Some(end)),
            Poll::Pending => {
                let door = self.door();
                if door.waiting && !door.let_one { Poll::Ready(None) } else { Poll::Pending }
            }
        })
        .await
    }
}

/// What can go wrong, with its number in the fault model; those before [`BY_CHANCE`] strike steps by chance.
pub const FAULTS: [&str; 27] = [
    "F1 lost before",
    "F2 answer lost",
    "F3 5xx before",
    "F3 5xx after",
    "F4 rate limit",
    "F5 use limit",
    "F6 forbidden",
    "F7 cursor lost",
    "F10 calendar 404",
    "F11 401",
    "F12 endless pages",
    "F14 stale",
    "F15 false empty",
    "F16 nonsense",
    "F13 told twice",
    "F17 bad notification",
    "F18 no channel",
    "F22 disk full",
    "F28 another engine",
    // What comes of itself, or is an event of its own.
    "F8 412",
    "F9 409",
    "F19 killed before it",
    "F20 two at once",
    "F21 database",
    "F24 clock",
    "F25 people",
    "F26 wishes",
];
/// Faults that strike by chance.
pub const BY_CHANCE: usize = 19;
pub const STALE: usize = 11;
pub const EMPTY: usize = 12;
pub const NOTIFICATION: usize = 15;
pub const NO_CHANNEL: usize = 16;
pub const DISK_FULL: usize = 17;
pub const ENGINE: usize = 18;
const CHANGED_MEANWHILE: usize = 19;
const ID_TAKEN: usize = 20;
pub const KILLED: usize = 21;
pub const TWO: usize = 22;
pub const DATABASE: usize = 23;
pub const CLOCK: usize = 24;
pub const PEOPLE: usize = 25;
pub const WISHES: usize = 26;

/// What the program does step by step: calls by their kinds, a notification that it hears, a commit; and the time between two ticks.
pub const STEPS: [&str; 11] =
    ["list", "delta", "get", "insert", "patch", "delete", "token", "watch", "ring", "commit", "between"];
const DELETE: usize = 5;
const TOKEN: usize = 6;
const WATCH: usize = 7;
pub const RING: usize = 8;
pub const COMMIT: usize = 9;
pub const BETWEEN: usize = 10;

/// Whether a fault can strike a step at all.
pub fn fits(fault: usize, step: usize) -> bool {
    let (write, listing, call) = ((3..6).contains(&step), step < 2, step <= WATCH);
    match fault {
        1 | 3 => write || step == WATCH,
        5 => write,
        4 | 9 => call && step != TOKEN,
        6 => write || listing || step == WATCH,
        7 => step == 1,
        8 | 10 | STALE | 14 => listing,
        EMPTY => step == 0,
        13 => call && step != DELETE,
        NOTIFICATION => step == RING,
        NO_CHANNEL => step == WATCH,
        DISK_FULL => step == COMMIT,
        CHANGED_MEANWHILE => step == 4 || step == DELETE,
        ID_TAKEN => step == 3,
        // Channels are brought in order between ticks, where nobody is killed.
        KILLED => step < WATCH || step == COMMIT,
        TWO => step < WATCH || step == COMMIT,
        PEOPLE => step < WATCH || step == COMMIT || step == BETWEEN,
        ENGINE | DATABASE | CLOCK | WISHES => step == BETWEEN,
        _ => call,
    }
}

/// Writes to one event within an hour (reliability S11).
const MOST_WRITES: usize = 6;
/// Lines of history that are kept; a world of ordinary length stays below it.
const LONGEST_LOG: usize = 50_000;

/// Somebody with calendars.
#[derive(Clone, Debug)]
pub struct Person {
    pub email: String,
    pub subject: String,
    pub places: Vec<Place>,
    pub paused: bool,
}

/// One calendar of somebody.
#[derive(Clone, Debug)]
pub struct Place {
    pub id: String,
    pub account: String,
    pub role: Role,
    /// Whether its person wants it, or wants to leave it.
    pub wanted: bool,
}

/// What has happened, as people know it.
#[derive(Default)]
pub struct Truth {
    pub people: Vec<Person>,
    /// Origins of which it was once true that they need not be shown (deleted, free, declined, another rule).
    pub unwanted: BTreeSet<(String, String)>,
    /// What a person switched off: nothing flows from the first calendar to the second.
    pub off: BTreeSet<(usize, String, String)>,
    /// What was ever switched off.
    pub was_off: BTreeSet<(usize, String, String)>,
    /// Origins whose copies somebody laid hands on; true: removed or declined one.
    pub touched: BTreeMap<(String, String), bool>,
    /// Every event that any installation made, with what it is, whoever took its marker off since. None is ever a reason for anything.
    pub made: BTreeMap<(String, String), (usize, ItemKey)>,
    /// Meetings whose copies people said they do not want back, by person and iCalUID; of a series perhaps one slot alone, in seconds
    /// since 1970.
    pub away: BTreeSet<(usize, String, Option<i64>)>,
    /// What another engine copied from one calendar to another.
    pub copied: BTreeSet<(String, String, String)>,
    /// When each event of ours was written in the last hour.
    pace: BTreeMap<(String, String), Vec<DateTime<Utc>>>,
    /// Events of ours whose tombstone somebody undid.
    pub revived: BTreeSet<(String, String)>,
    /// Two installations with one set of keys and a database each serve the same people: what one changes on a copy is somebody's edit
    /// for the other, which nobody but a person could tell apart.
    pub apart: bool,
    /// Faults strike.
    pub stormy: bool,
    /// The answer to the next call is lost.
    pub lose: bool,
    /// How often each fault strikes, in a thousand; 0: never in this world.
    pub rates: [u32; BY_CHANCE],
    pub hits: BTreeMap<(usize, usize), u64>,
    pub calls: u64,
    pub faults: u64,
    pub writes: u64,
    /// What went wrong, first first.
    pub violations: Vec<String>,
    /// Of everything that was asked and answered.
    pub hash: u64,
    pub log: VecDeque<String>,
    /// Whether the log is kept.
    pub remembers: bool,
    /// What was written to calendars that must learn nothing, without ids and markers (two runs are compared by it).
    pub told: Vec<String>,
    /// Calendars as they were, for stale answers.
    past: BTreeMap<String, VecDeque<BTreeMap<String, Stored>>>,
}

impl Truth {
    /// Counts a fault, or what comes of one.
    pub fn hit(&mut self, fault: usize, step: usize) {
        self.faults += u64::from(fault < BY_CHANCE);
        *self.hits.entry((fault, step)).or_default() += 1;
    }

    /// Notes what must never be.
    pub fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    fn note(&mut self, text: &str) {
        self.hash = xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), self.hash);
        if !self.remembers {
            return;
        }
        if self.log.len() > LONGEST_LOG {
            self.log.pop_front();
        }
        self.log.push_back(text.to_owned());
    }
}

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

    /// Judges a write before it is carried out; gives what stood there.
    fn judge_before(&self, truth: &mut Truth, request: &Request, call: usize) -> Option<Object> {
        if !(3..6).contains(&call) {
            return None;
        }
        truth.writes += 1;
        let (calendar, event) = path_of(request);
        let what = format!("{} {calendar}/{event}", request.method);
        if request.param("sendUpdates") != Some("none") {
            truth.violation(format!("S7 somebody may be told: {what}"));
        }
        let account = with(&self.core, |core| core.oauth.account_of(request)).unwrap_or_default();
        // A permission that was taken back a moment ago: Google refuses, and nothing happens.
        if account.is_empty() {
            return None;
        }
        let of_account: Vec<usize> = (0..truth.people.len())
            .filter(|n| truth.people[*n].places.iter().any(|p| p.id == calendar && p.account == account))
            .collect();
        if of_account.is_empty() {
            truth.violation(format!("S6 {account} is nobody's who has this calendar: {what}"));
        }
        let role = |n: &usize| truth.people[*n].places.iter().find(|p| p.id == calendar).map(|p| p.role);
        if !of_account.is_empty() && of_account.iter().all(|n| role(n) == Some(Role::Personal)) {
            truth.violation(format!("S4 a personal calendar is written: {what}"));
            return None;
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if call == 3 {
            let id = body["id"].as_str().unwrap_or_default().to_owned();
            let owner = body.as_object().and_then(|fields| self.owner(truth, &calendar, &id, fields));
            match owner {
                None => truth.violation(format!("S3 an event is made that does not say whose it is: {what} {id}")),
                Some((n, key)) => {
                    if !of_account.contains(&n) {
                        truth.violation(format!("S6 made for somebody else: {what} {id}"));
                    }
                    self.judge_words(truth, n, &key, &calendar, &body);
                }
            }
            return None;
        }
        if request.header("if-match").is_none_or(|etag| etag.is_empty() || etag == "*") {
            truth.violation(format!("S9 a write without a version: {what}"));
        }
        let stored = with(&self.core, |core| {
            let events = &core.world.calendars.get(&calendar)?.events;
            let series = EventId::from(event.as_str()).as_instance().map(|(series, _)| series);
            let found = events.get(&event).or_else(|| events.get(series?.as_str()))?;
            Some(found.fields.clone())
        })?;
        let series = EventId::from(event.as_str()).as_instance().map_or(event.clone(), |(s, _)| s.as_str().into());
        let made = truth.made.get(&(calendar.clone(), series.clone())).cloned();
        match self.owner(truth, &calendar, &event, &stored).or(made) {
            Some((n, key)) => {
                if !of_account.contains(&n) {
                    truth.violation(format!("S6 somebody else's is changed: {what}"));
                }
                if call == 4 {
                    let marked = body["extendedProperties"]["private"]["busybridge"].is_string();
                    // What somebody took the marker off passes for an event where no database knows it, and its copy for that of one.
                    let passes = || {
                        let bare = self.owner(truth, &calendar, &event, &stored).is_none();
                        bare && truth.touched.contains_key(&(calendar.clone(), series.clone()))
                    };
                    if !marked && !passes() {
                        truth.violation(format!("S9 the marker is not written again: {what}"));
                    }
                    if marked {
                        self.judge_words(truth, n, &key, &calendar, &body);
                    }
                } else {
                    self.judge_deletion(truth, n, &key, &calendar, &event);
                }
            }
            // Somebody's own: only to carry there what was done to its copy.
            None => {
                let mut touched = truth.touched.get(&(calendar.clone(), event.clone())).copied();
                if touched.is_none() {
                    touched = truth.touched.get(&(calendar.clone(), series)).copied();
                }
                match touched {
                    None => truth.violation(format!("S1 an event of somebody's is changed: {what}")),
                    Some(false) if call == 5 => {
                        truth.violation(format!("S1 an event of somebody's is deleted: {what}"));
                    }
                    Some(_) => {}
                }
            }
        }
        Some(stored)
    }

    /// What is written for `key`: does it tell what it must not?
    fn judge_words(&self, truth: &mut Truth, n: usize, key: &ItemKey, calendar: &str, body: &Value) {
        let role_of = |id: &str| truth.people[n].places.iter().find(|place| place.id == id).map(|place| place.role);
        let (to, from) = (role_of(calendar), role_of(key.origin.calendar.as_str()));
        let account = truth.people[n].places.iter().find(|place| place.id == calendar).map(|p| p.account.clone());
        let guests = body["attendees"].as_array().into_iter().flatten();
        let strangers = guests.filter(|guest| guest["email"].as_str() != account.as_deref()).count();
        if strangers > 0 {
            truth.violation(format!("S7 guests on something of ours at {calendar}: {body}"));
        }
        let open = to == Some(Role::Main) && from == Some(Role::Client);
        if open {
            return;
        }
        // Sealed words and ids say nothing, whatever letters they are made of.
        let mut said = body.clone();
        let marker = said["extendedProperties"]["private"]["busybridge"].as_str().map_or(0, str::len);
        said["extendedProperties"]["private"]["busybridge"] = json!(marker);
        said["id"] = json!(said["id"].as_str().map_or(0, str::len));
        let text = said.to_string();
        if text.contains(CANARY) {
            truth.violation(format!("S2 {calendar} is told what was written elsewhere: {text}"));
        }
        for name in ["description", "location", "attendees", "source", "attachments", "conferenceData"] {
            let empty = body[name].is_null() || body[name] == "";
            if !empty {
                truth.violation(format!("S2b {calendar} is told more than a time ({name}): {text}"));
            }
        }
        truth.told.push(format!("{calendar} {text}"));
    }

    /// Whether there may be a reason to delete this.
    fn judge_deletion(&self, truth: &mut Truth, n: usize, key: &ItemKey, calendar: &str, event: &str) {
        let origin = (key.origin.calendar.as_str().to_owned(), key.origin.event.as_str().to_owned());
        let wanted = |id: &str| truth.people[n].places.iter().any(|place| place.id == id && place.wanted);
        if truth.unwanted.contains(&origin) || truth.touched.contains_key(&origin) {
            return;
        }
        // Something of ours without its marker passed for an event while no database knew it.
        let series = key.origin.event.as_instance().map_or(origin.1.clone(), |(series, _)| series.as_str().into());
        if truth.made.contains_key(&(origin.0.clone(), series)) {
            return;
        }
        if !wanted(calendar) || !wanted(&origin.0) {
            return;
        }
        if truth.was_off.contains(&(n, origin.0.clone(), calendar.to_owned())) {
            return;
        }
        // An exception of whose series a stale listing did not tell stood for itself.
        if key.origin.instance.is_some() && truth.rates[STALE] > 0 {
            return;
        }
        // Whoever is invited by several addresses has the meeting where they need not be shown it.
        if self.stands_twice(truth, n, &origin) {
            return;
        }
        let instance = EventId::from(event).as_instance().is_some();
        let twins = self.standing(truth, calendar, n, key);
        if twins > 1 || instance && truth.revived.contains(&(calendar.to_owned(), event.to_owned())) {
            return;
        }
        truth.violation(format!("S5 deleted without a reason: {calendar}/{event} of {origin:?}"));
    }

    /// Whether a person has a meeting on several of their calendars.
    fn stands_twice(&self, truth: &Truth, n: usize, (calendar, event): &(String, String)) -> bool {
        let series = EventId::from(event.as_str()).as_instance().map(|(series, _)| series.as_str().to_owned());
        with(&self.core, |core| {
            let of = |calendar: &str, event: &str| {
                Some(core.world.calendars.get(calendar)?.events.get(event)?.text("iCalUID")?.to_owned())
            };
            let Some(uid) = of(calendar, event).or_else(|| of(calendar, &series?)) else { return false };
            let others = truth.people[n].places.iter().filter(|place| place.id != *calendar);
            let mut calendars = others.filter_map(|place| core.world.calendars.get(&place.id));
            calendars.any(|calendar| calendar.events.values().any(|stored| stored.text("iCalUID") == Some(&uid)))
        })
    }

    /// How many live events stand for an item.
    fn standing(&self, truth: &Truth, calendar: &str, n: usize, key: &ItemKey) -> usize {
        with(&self.core, |core| {
            let Some(place) = core.world.calendars.get(calendar) else { return 0 };
            let live = place.events.iter().filter(|(_, stored)| !stored.cancelled());
            let own = live.filter(|(_, stored)| stored.text("recurringEventId").is_none());
            own.filter(|(id, stored)| {
                self.owner(truth, calendar, id, &stored.fields).is_some_and(|owner| owner == (n, key.clone()))
            })
            .count()
        })
    }

    /// Two engines, or an engine and itself, that undo each other's work write without end.
    fn judge_pace(&self, truth: &mut Truth, call: usize, (calendar, event): (&str, &str), response: &Response) {
        let made = || {
            let now: Value = serde_json::from_slice(&response.body).ok()?;
            Some(now["id"].as_str()?.to_owned())
        };
        let id = if call == 3 { made().unwrap_or_default() } else { event.to_owned() };
        let now = with(&self.core, |core| core.world.now());
        let times = truth.pace.entry((calendar.to_owned(), id.clone())).or_default();
        times.retain(|at| now - *at < TimeDelta::hours(1) && *at <= now);
        times.push(now);
        let n = times.len();
        // Two installations with databases of their own hear of changes at different times.
        if n > MOST_WRITES && !truth.apart {
            truth.violation(format!("S11 {n} writes within an hour: {calendar}/{id}"));
        }
    }

    fn judge_after(
        &self,
        truth: &mut Truth,
        request: &Request,
        call: usize,
        response: &Response,
        before: Option<Object>,
    ) {
        let (calendar, event) = path_of(request);
        match (call, response.status) {
            (3, 409) => truth.hit(ID_TAKEN, call),
            (4 | 5, 412) => truth.hit(CHANGED_MEANWHILE, call),
            _ => {}
        }
        if response.status < 300 {
            self.judge_pace(truth, call, (&calendar, &event), response);
        }
        if truth.apart
            && call == 5
            && response.status == 204
            && let Some((n, key)) = before.as_ref().and_then(|fields| self.owner(truth, &calendar, &event, fields))
            && truth.people[n].places.iter().any(|place| place.id == calendar && place.role == Role::Main)
        {
            // The other installation takes it for the person's removal, if it did not hear that the origin was gone meanwhile.
            let origin = (key.origin.calendar.as_str().to_owned(), key.origin.event.as_str().to_owned());
            truth.touched.insert(origin, true);
        }
        if response.status != 200 {
            return;
        }
        let now: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let id = now["id"].as_str().unwrap_or_default().to_owned();
        if call == 3
            && let Some((n, key)) = now.as_object().and_then(|fields| self.owner(truth, &calendar, &id, fields))
        {
            truth.made.insert((calendar.clone(), id.clone()), (n, key.clone()));
            let count = self.standing(truth, &calendar, n, &key);
            let revived = truth.revived.iter().any(|(at, _)| *at == calendar);
            if count > 1 && !revived {
                truth.violation(format!("S3 {count} events for one item at {calendar}: {key:?}"));
            }
        }
        if call == 4 {
            if truth.apart
                && let Some((n, key)) = now.as_object().and_then(|fields| self.owner(truth, &calendar, &id, fields))
                && truth.people[n].places.iter().any(|place| place.id == calendar && place.role == Role::Main)
            {
                let origin = (key.origin.calendar.as_str().to_owned(), key.origin.event.as_str().to_owned());
                truth.touched.entry(origin).or_insert(false);
            }
            let after =
                with(&self.core, |core| Some(core.world.calendars.get(&calendar)?.events.get(&event)?.fields.clone()));
            if let (Some(mut before), Some(mut after)) = (before, after) {
                for name in ["sequence", "updated", "etag"] {
                    before.remove(name);
                    after.remove(name);
                }
                if before == after {
                    truth.violation(format!("S8 a write that changes nothing: {calendar}/{event}"));
                }
            }
        }
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
