//! Reading: sections A (listing and paging), B (incremental sync), M (time) and the reading statements of C (recurrence).
//!
//! What is read is put behind the curtain with [`put`], so that these statements stand without those about writing.

mod a;
mod b;
mod c;
mod m;
mod written;

use serde_json::{Value, json};

use super::{Answer, Google};
use crate::emulator::{recurrence, state::Object};

const ADA: &str = "ada@acme.example";
const BOB: &str = "bob@acme.example";

/// An event on 2 March 2026 in Vienna, one hour from `hour` (local).
fn at(id: &str, hour: u32) -> Value {
    on(id, 2, hour)
}

/// The same on another day of March 2026.
fn on(id: &str, day: u32, hour: u32) -> Value {
    // Clocks change on 29 March.
    let offset = if day < 29 { "+01:00" } else { "+02:00" };
    let time = |hour: u32| json!({"dateTime": format!("2026-03-{day:02}T{hour:02}:00:00{offset}"), "timeZone": "Europe/Vienna"});
    json!({
        "id": id, "summary": format!("Title of {id}"), "status": "confirmed", "organizer": {"email": ADA},
        "start": time(hour), "end": time(hour + 1),
    })
}

/// An all-day event from one day to another (exclusive) in March 2026.
fn days(id: &str, first: u32, end: u32) -> Value {
    json!({
        "id": id, "summary": format!("Title of {id}"), "status": "confirmed", "organizer": {"email": ADA},
        "start": {"date": format!("2026-03-{first:02}")}, "end": {"date": format!("2026-03-{end:02}")},
    })
}

/// A series: an event with recurrence lines.
fn series(mut event: Value, lines: &[&str]) -> Value {
    event["recurrence"] = json!(lines);
    event
}

/// `event` with more fields.
fn with(mut event: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// Stores an event on ada@acme.example's calendar.
fn put(google: &Google, event: Value) {
    put_on(google, ADA, event);
}

fn put_on(google: &Google, calendar: &str, event: Value) {
    google.core(|core| core.world.record(calendar, event.as_object().unwrap().clone(), true));
}

fn stored(google: &Google, id: &str) -> Object {
    google.core(|core| {
        let calendar = &core.world.calendars[ADA];
        let fields = calendar.events.get(id).map(|stored| stored.fields.clone());
        fields.or_else(|| recurrence::instance(calendar, id)).unwrap()
    })
}

/// Changes fields of an event; of a computed instance it makes an exception.
fn edit(google: &Google, id: &str, more: Value) {
    put(google, with(stored(google, id).into(), more));
}

/// Deletes an event or one instance.
fn cancel(google: &Google, id: &str) {
    edit(google, id, json!({"status": "cancelled"}));
}

/// All pages of a listing of ada@acme.example's calendar.
async fn pages(google: &Google, query: &str) -> Vec<Answer> {
    let mut pages = Vec::new();
    let mut page = list(google, query).await;
    for _ in 0..1000 {
        let token = page.json["nextPageToken"].as_str().map(str::to_owned);
        pages.push(page);
        let Some(token) = token else { return pages };
        page = list(google, &format!("{query}&pageToken={token}")).await;
    }
    panic!("the pages have no end");
}

/// The items of all pages.
async fn items(google: &Google, query: &str) -> Vec<Value> {
    let pages = pages(google, query).await;
    pages.iter().flat_map(|page| page.json["items"].as_array().cloned().unwrap_or_default()).collect()
}

/// The ids of all pages, in order.
async fn ids(google: &Google, query: &str) -> Vec<String> {
    items(google, query).await.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// One page, insisting on success.
async fn list(google: &Google, query: &str) -> Answer {
    let answer = google.list(query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer
}

/// The sync token at the end of a listing.
async fn token(google: &Google, query: &str) -> String {
    let pages = pages(google, query).await;
    pages.last().unwrap().json["nextSyncToken"].as_str().unwrap().to_owned()
}

/// What has changed since a token of a plain listing.
async fn delta(google: &Google, token: &str) -> Vec<Value> {
    items(google, &format!("syncToken={token}")).await
}

/// An event by id, as ada@acme.example reads it.
async fn get(google: &Google, id: &str) -> Answer {
    google.call(ADA, "GET", &format!("calendars/primary/events/{id}"), Value::Null).await
}

/// The instances of a series.
async fn instances(google: &Google, id: &str, query: &str) -> Answer {
    let path = format!("calendars/primary/events/{id}/instances?{query}");
    let answer = google.call(ADA, "GET", &path, Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// The local starts of the first `n` instances of a series, without year and zone: `03-02T09:00`.
async fn starts(google: &Google, id: &str, n: usize) -> Vec<String> {
    let answer = instances(google, id, &format!("maxResults={n}")).await;
    let items = answer.json["items"].as_array().unwrap();
    let start = |item: &Value| {
        let start = &item["start"];
        start["dateTime"].as_str().or(start["date"].as_str()).unwrap().chars().skip(5).take(11).collect()
    };
    items.iter().map(start).collect()
}

/// Asserts a refusal by status and reason.
#[track_caller]
fn refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.reason()), (status, reason), "{}", answer.text);
}
