//! The Calendar API as our nouns: listings, single events, writes.

#[cfg(test)]
use crate::model::mutant::{Mutant, planted};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use reqwest::Method;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Endpoints,
    budget::{Budget, Class, Spend},
    error::{About, GoogleError},
    throttle::{Account, Pace, Throttle},
    transport::{Near, Request, Transport},
    wire::{self, Desk},
};
use crate::model::{
    body::{Answer, Body, Field},
    clock::Clock,
    event::{Change, Event},
    id::{CalendarId, Cursor, Etag, EventId},
    plan::ErrorClass,
    secret::Secret,
};

/// Pages of one listing at most; more is a listing that does not end.
const PAGES_MAX: usize = 400;
/// Events on one page. Long texts of thousands of events may be more than one answer can hold; then there are fewer on each.
const PAGE_SIZES: [usize; 3] = [2500, 250, 25];

/// What an event of a listing is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Given, and counted.
    Managed,
    /// Given.
    Known,
    /// Not given: nobody needs it.
    Nothing,
}

/// What is wanted of a listing.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub worth: &'a (dyn Fn(&Change) -> Worth + Sync),
    /// Events that count at most.
    pub most: usize,
}

/// A complete listing. There is no value for a part of one.
#[derive(Debug)]
pub struct Listing {
    /// Whether it is of everything that is there, rather than of what changed.
    pub full: bool,
    /// What was wanted of it.
    pub items: Vec<Change>,
    /// Events that make no sense; each costs only itself.
    pub unreadable: Vec<EventId>,
    pub next: Cursor,
    /// The calendar's zone, an IANA name; empty if Google did not say.
    pub zone: String,
    /// Whether the account may write to the calendar; none if Google did not say.
    pub writable: Option<bool>,
}

/// A calendar that an account sees.
#[derive(Clone, Debug)]
pub struct ListedCalendar {
    pub id: CalendarId,
    pub name: String,
    /// IANA name.
    pub zone: String,
    pub writable: bool,
    /// The account's own.
    pub primary: bool,
}

/// A webhook channel to be opened (guide "Push notifications").
#[derive(Debug)]
pub struct Watch {
    /// Our name for it, at most 64 characters, never used before.
    pub id: String,
    /// An https address.
    pub address: String,
    /// What each notification repeats; at most 256 characters.
    pub token: Secret<String>,
    /// How long it is to live; Google may give less.
    pub life: TimeDelta,
}

/// What was read of a listing so far.
#[derive(Default)]
struct Read {
    items: BTreeMap<EventId, Change>,
    managed: usize,
    unreadable: Vec<EventId>,
    zone: String,
    writable: Option<bool>,
}

impl Read {
    fn take(&mut self, page: &Page<'_>, wanted: Wanted<'_>) -> Result<(), GoogleError> {
        self.zone.clone_from(&page.time_zone);
        self.writable = page.access_role.as_deref().map(writes).or(self.writable);
        for item in &page.items {
            let change = match wire::change(item.get(), &self.zone) {
                Ok(change) => change,
                Err(id) => {
                    self.unreadable.push(id);
                    continue;
                }
            };
            match (wanted.worth)(&change) {
                // Where an event comes twice, the last version wins.
                Worth::Nothing => {
                    self.items.remove(change.id());
                    continue;
                }
                Worth::Managed => self.managed += 1,
                Worth::Known => {}
            }
            self.items.insert(change.id().clone(), change);
        }
        if self.managed > wanted.most { Err(GoogleError::TooMany { most: wanted.most }) } else { Ok(()) }
    }
}

/// The events on a page that are there.
fn living(page: &Page<'_>, zone: &str) -> impl Iterator<Item = Event> {
    page.items.iter().filter_map(move |item| match wire::change(item.get(), zone) {
        Ok(Change::Live(event)) => Some(*event),
        Ok(Change::Gone { .. }) | Err(_) => None,
    })
}

/// A webhook channel that is open.
#[derive(Debug)]
pub struct Watched {
    /// Google's name for what is watched.
    pub resource: String,
    pub ends: DateTime<Utc>,
}

/// Google's Calendar API. Clones share connections, counts and pace.
#[derive(Clone)]
pub struct Client {
    endpoints: Endpoints,
    transport: Transport,
    throttle: Arc<Throttle>,
    clock: Clock,
    class: Class,
    budget: Arc<Mutex<Budget>>,
    /// Whose access tokens are whose, by their digests, so that no token is kept here.
    named: Arc<Mutex<BTreeMap<[u8; 16], i64>>>,
}

/// Access tokens remembered; beyond, all are named anew.
const NAMED: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
    next_page_token: Option<String>,
    next_sync_token: Option<String>,
    #[serde(default)]
    time_zone: String,
    access_role: Option<String>,
}

/// Whether an access role permits writing.
fn writes(role: &str) -> bool {
    matches!(role, "owner" | "writer")
}

impl Client {
    /// A client that keeps Google's pace, or none with an emulator. The day's requests are counted by `clock`.
    ///
    /// # Errors
    /// When no connection can be prepared (no certificates).
    pub fn new(endpoints: Endpoints, clock: Clock) -> Result<Self, GoogleError> {
        let pace = if endpoints.is_emulator() { Pace::emulator() } else { Pace::google() };
        Ok(Client {
            endpoints,
            transport: Transport::new()?,
            throttle: Arc::new(Throttle::new(pace)),
            class: Class::Live,
            budget: Arc::new(Mutex::new(Budget::new(clock.now()))),
            named: Arc::default(),
            clock,
        })
    }

    /// A client of a Google in the same process, which has no limits of pace and where nobody waits: what follows is decided by the
    /// answers alone.
    pub fn near(endpoints: Endpoints, clock: Clock, near: Near) -> Self {
        Client {
            endpoints,
            transport: Transport::near(near),
            throttle: Arc::new(Throttle::new(Pace::impatient())),
            class: Class::Live,
            budget: Arc::new(Mutex::new(Budget::new(clock.now()))),
            named: Arc::default(),
            clock,
        }
    }

    /// How many calls of one tick may be under way at once. In process it is one, so that their order is always the same.
    pub fn at_once(&self) -> usize {
        if self.transport.is_near() { 1 } else { usize::MAX }
    }

    /// The same for requests of another class.
    pub fn of_class(&self, class: Class) -> Client {
        Client { class, ..self.clone() }
    }

    /// Says whose an access token is, so that an account's pace outlives its tokens.
    pub fn name(&self, access: &Secret<String>, account: i64) {
        let mut named = lock(&self.named);
        if named.len() > NAMED {
            named.clear();
        }
        named.insert(digest(access.reveal()), account);
    }

    /// How far our clock is ahead of Google's, by its last answer; none: it has not answered.
    pub fn ahead(&self) -> Option<TimeDelta> {
        self.transport.time().map(|time| self.clock.now() - time)
    }

    /// The day's requests so far.
    pub fn spend(&self) -> Spend {
        lock(&self.budget).spend(self.clock.now())
    }

    /// The same by name, for figures.
    pub fn spend_figures(&self) -> [(&'static str, u64); 4] {
        let Spend { day: _, today, backfill, budget, forecast } = self.spend();
        [("used", today), ("backfill", backfill), ("forecast", forecast), ("limit", budget)]
    }

    /// Adds what an earlier process spent on `day`.
    pub fn spent_before(&self, day: NaiveDate, requests: u64, backfill: u64) {
        lock(&self.budget).add(self.clock.now(), day, requests, backfill);
    }

    /// Accounts that have to wait before they may write, by the numbers of their rows, with the time that is left.
    pub fn waiting(&self) -> Vec<(i64, Duration)> {
        let known = |(account, wait)| match account {
            Account::Known(number) => Some((number, wait)),
            Account::Token(_) => None,
        };
        self.throttle.waiting().into_iter().filter_map(known).collect()
    }

    /// The same at another pace.
    #[cfg(test)]
    pub fn with_pace(self, pace: Pace) -> Self {
        Client { throttle: Arc::new(Throttle::new(pace)), ..self }
    }

    /// Calls so far, by Google's names of the methods.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        let mut calls = BTreeMap::new();
        for ((method, _), count) in self.transport.tally() {
            *calls.entry(method).or_default() += count;
        }
        calls
    }

    /// Calls so far by method and status, for figures; status 0 is no answer.
    pub fn tally(&self) -> BTreeMap<(&'static str, u16), u64> {
        self.transport.tally()
    }

    /// What changed since `cursor`, or everything. Without a window, and series as series: a window is ours to apply, and a
    /// delta of expanded series has no end (semantics §1.3).
    ///
    /// # Errors
    /// A listing that did not come to its end is an error, whatever came before.
    pub async fn changes(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        cursor: Option<&Cursor>,
        wanted: Wanted<'_>,
    ) -> Result<Listing, GoogleError> {
        let mut parameters = vec![("singleEvents", "false".to_owned())];
        // On every page: a page belongs to the very same request (semantics §1.1).
        parameters.extend(cursor.map(|cursor| ("syncToken", cursor.as_str().to_owned())));
        let about = if cursor.is_some() { About::Delta } else { About::Listing };
        let take = |read: &mut Read, page: Page<'_>| read.take(&page, wanted);
        let (read, next) = self.pages(access, calendar, about, &parameters, &take).await?;
        let next = Cursor::from(next.ok_or(GoogleError::Nonsense("a listing ended without a sync token"))?);
        let Read { items, managed: _, unreadable, zone, writable } = read;
        Ok(Listing { full: cursor.is_none(), items: items.into_values().collect(), unreadable, next, zone, writable })
    }

    /// Everything on a calendar that carries the plain tag of our kind, by whomever it was made (specification, "Loop
    /// Prevention"); series as series.
    ///
    /// # Errors
    /// As [`Client::changes`].
    pub async fn tagged(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        zone: &str,
    ) -> Result<Vec<Event>, GoogleError> {
        let parameters =
            [("singleEvents", "false".to_owned()), ("privateExtendedProperty", format!("{}=true", wire::TAG))];
        let take = |found: &mut BTreeMap<EventId, Event>, page: Page<'_>| {
            found.extend(living(&page, zone).map(|event| (event.id.clone(), event)));
            Ok(())
        };
        let (found, _) = self.pages(access, calendar, About::Listing, &parameters, &take).await?;
        Ok(found.into_values().collect())
    }

    /// What stands on a calendar between two instants, series taken apart, by start.
    ///
    /// # Errors
    /// As [`Client::changes`].
    pub async fn agenda(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        zone: &str,
    ) -> Result<Vec<Event>, GoogleError> {
        let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let parameters = [
            ("singleEvents", "true".to_owned()),
            ("orderBy", "startTime".to_owned()),
            ("timeMin", instant(from)),
            ("timeMax", instant(to)),
        ];
        let take = |found: &mut Vec<Event>, page: Page<'_>| {
            found.extend(living(&page, zone));
            Ok(())
        };
        let (found, _) = self.pages(access, calendar, About::Listing, &parameters, &take).await?;
        Ok(found)
    }

    /// What was taken of all pages of a listing, one after the other so that no more than one is in memory, and the sync token
    /// of the last.
    async fn pages<T: Default>(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        about: About,
        parameters: &[(&str, String)],
        take: &(impl Fn(&mut T, Page<'_>) -> Result<(), GoogleError> + Sync),
    ) -> Result<(T, Option<String>), GoogleError> {
        for size in PAGE_SIZES {
            match self.pages_of(access, calendar, about, parameters, size, take).await {
                Err(GoogleError::TooLarge) => {}
                answer => return answer,
            }
        }
        Err(GoogleError::TooLarge)
    }

    /// The same with so many events on a page.
    async fn pages_of<T: Default>(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        about: About,
        parameters: &[(&str, String)],
        size: usize,
        take: &(impl Fn(&mut T, Page<'_>) -> Result<(), GoogleError> + Sync),
    ) -> Result<(T, Option<String>), GoogleError> {
        let pages_max = PAGES_MAX * (PAGE_SIZES[0] / size);
        let (mut taken, mut pages) = (T::default(), 0);
        let mut token: Option<String> = None;
        loop {
            let mut url = self.url(&["calendars", calendar.as_str(), "events"])?;
            url.query_pairs_mut().extend_pairs(parameters).append_pair("maxResults", &size.to_string());
            if let Some(token) = &token {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let request = self.request("events.list", about, Method::GET, url, access);
            let body = self.send(request).await?;
            let mut page: Page<'_> = read(&body)?;
            let (next_page, next_sync) = (page.next_page_token.take(), page.next_sync_token.take());
            pages += 1;
            take(&mut taken, page)?;
            match (next_page, next_sync) {
                (Some(_), Some(_)) => return Err(GoogleError::Nonsense("a page is the last one and is not")),
                (None, sync) => return Ok((taken, sync)),
                (Some(next), None) if token.as_ref() == Some(&next) || pages >= pages_max => {
                    return Err(GoogleError::Nonsense("a listing does not end"));
                }
                (Some(next), None) => token = Some(next),
            }
        }
    }

    /// One event as it is now; a cancelled one is `Gone`.
    ///
    /// # Errors
    /// Of class `AlreadyGone` when Google has never heard of it, or has forgotten it.
    pub async fn get(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        event: &EventId,
        zone: &str,
    ) -> Result<Change, GoogleError> {
        let url = self.event_url(calendar, event)?;
        let request = self.request("events.get", About::Event, Method::GET, url, access);
        let body = self.send(request).await?;
        change(&body, zone)
    }

    /// Makes an event under an id of ours, marked, without reminders, and without guests but the account itself.
    ///
    /// # Errors
    /// Of class `Exists` when the id is taken, by a living event or a deleted one.
    pub async fn insert(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        event: &EventId,
        marker: &str,
        body: &Body,
        desk: Desk<'_>,
    ) -> Result<Event, GoogleError> {
        let mut url = self.url(&["calendars", calendar.as_str(), "events"])?;
        url.query_pairs_mut().append_pair("sendUpdates", "none");
        #[cfg(test)]
        if planted(Mutant::GuestsTold) {
            url.set_query(Some("sendUpdates=all"));
        }
        let mut request = self.request("events.insert", About::Insert, Method::POST, url, access);
        request.body = Some(content(&wire::new_event(event, marker, body, desk)));
        live(change(&self.send(request).await?, desk.zone)?)
    }

    /// Changes the fields in which `to` differs from `from` (all of them without a `from`), if the event is still the version
    /// `etag`; the marker is written again in any case. `revive` brings a cancelled instance back.
    ///
    /// # Errors
    /// Of class `Precondition` when somebody changed the event meanwhile.
    #[expect(clippy::too_many_arguments, reason = "one HTTP request, taken apart")]
    pub async fn patch(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        event: &EventId,
        etag: &Etag,
        marker: &str,
        from: Option<&Body>,
        to: &Body,
        revive: bool,
        desk: Desk<'_>,
    ) -> Result<Event, GoogleError> {
        let mut url = self.event_url(calendar, event)?;
        url.query_pairs_mut().append_pair("sendUpdates", "none");
        let mut request = self.request("events.patch", About::Event, Method::PATCH, url, access);
        request.if_match = Some(etag.as_str().to_owned());
        request.body = Some(content(&wire::patch(marker, from, to, revive, desk)));
        #[cfg(test)]
        if planted(Mutant::TagStripped) {
            let mut body = wire::patch(marker, from, to, revive, desk);
            body["extendedProperties"] = json!({"private": {"busybridge": null, "calendarSyncEngine": null}});
            request.body = Some(content(&body));
        }
        #[cfg(test)]
        if planted(Mutant::NoIfMatch) {
            request.if_match = None;
        }
        live(change(&self.send(request).await?, desk.zone)?)
    }

    /// Changes these fields of a person's event from what `from` shows to what `to` says, if it is still the version `etag`.
    /// With `tell`, Google tells its guests.
    ///
    /// # Errors
    /// As [`Client::patch`]; of class `Rejected` when the account may not change that.
    #[expect(clippy::too_many_arguments, reason = "one HTTP request, taken apart")]
    pub async fn edit(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        event: &EventId,
        etag: &Etag,
        fields: &[Field],
        from: &Body,
        to: &Body,
        tell: bool,
        desk: Desk<'_>,
    ) -> Result<Event, GoogleError> {
        let body = wire::edit(fields, from, to, desk);
        self.change(access, calendar, event, etag, &body, tell, desk.zone).await
    }

    /// Answers an invitation for the account, if it is still the version `etag` (whatever version without one). Gives the
    /// event before and after.
    ///
    /// # Errors
    /// Of class `Precondition` when somebody changed the event meanwhile, `AlreadyGone` when it is cancelled, `Rejected` when
    /// the account is no guest of it.
    #[expect(clippy::too_many_arguments, reason = "one HTTP request, taken apart")]
    pub async fn respond(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        event: &EventId,
        etag: Option<&Etag>,
        answer: Answer,
        tell: bool,
        zone: &str,
    ) -> Result<(Event, Event), GoogleError> {
        let url = self.event_url(calendar, event)?;
        let request = self.request("events.get", About::Event, Method::GET, url, access);
        let body = self.send(request).await?;
        let Change::Live(before) = change(&body, zone)? else { return Err(GoogleError::Cancelled) };
        if etag.is_some_and(|etag| *etag != before.etag) {
            return Err(GoogleError::Changed);
        }
        // Somebody was quicker.
        if before.body.answer == Some(answer) {
            return Ok((*before.clone(), *before));
        }
        let raw: Value = read(&body)?;
        let guests = wire::answered(&raw, answer).ok_or(GoogleError::NoGuest)?;
        let after = self.change(access, calendar, event, &before.etag, &guests, tell, zone).await?;
        Ok((*before, after))
    }

    /// Brings a deleted event back, as from the bin (checklist D07).
    ///
    /// # Errors
    /// Of class `Precondition` when it is there already, `AlreadyGone` when Google has forgotten it, `Rejected` when it may not.
    pub async fn restore(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        event: &EventId,
        zone: &str,
    ) -> Result<Event, GoogleError> {
        let url = self.event_url(calendar, event)?;
        let request = self.request("events.get", About::Event, Method::GET, url, access);
        let body = self.send(request).await?;
        let Change::Gone { etag: Some(etag), .. } = change(&body, zone)? else { return Err(GoogleError::Changed) };
        let alive = serde_json::json!({"status": "confirmed"});
        self.change(access, calendar, event, &etag, &alive, false, zone).await
    }

    #[expect(clippy::too_many_arguments, reason = "one HTTP request, taken apart")]
    async fn change(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        event: &EventId,
        etag: &Etag,
        body: &Value,
        tell: bool,
        zone: &str,
    ) -> Result<Event, GoogleError> {
        let mut url = self.event_url(calendar, event)?;
        url.query_pairs_mut().append_pair("sendUpdates", if tell { "all" } else { "none" });
        let mut request = self.request("events.patch", About::Event, Method::PATCH, url, access);
        request.if_match = Some(etag.as_str().to_owned());
        request.body = Some(content(body));
        live(change(&self.send(request).await?, zone)?)
    }

    /// Deletes an event, or cancels an instance, if it is still the version `etag`. With `tell`, Google tells its guests.
    ///
    /// # Errors
    /// Of class `AlreadyGone` when it is deleted already, `Precondition` when somebody changed it meanwhile.
    pub async fn delete(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        event: &EventId,
        etag: &Etag,
        tell: bool,
    ) -> Result<(), GoogleError> {
        let mut url = self.event_url(calendar, event)?;
        url.query_pairs_mut().append_pair("sendUpdates", if tell { "all" } else { "none" });
        let mut request = self.request("events.delete", About::Event, Method::DELETE, url, access);
        request.if_match = Some(etag.as_str().to_owned());
        self.send(request).await.map(|_| ())
    }

    /// Opens a webhook channel for a calendar's events.
    ///
    /// # Errors
    /// When Google opens none; [`GoogleError::is_push_unsupported`] when it never will for this calendar.
    pub async fn watch(
        &self,
        access: &Secret<String>,
        calendar: &CalendarId,
        watch: &Watch,
    ) -> Result<Watched, GoogleError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            resource_id: String,
            /// Milliseconds since 1970, as text.
            expiration: String,
        }
        let Watch { id, address, token, life } = watch;
        let url = self.url(&["calendars", calendar.as_str(), "events", "watch"])?;
        let mut request = self.request("events.watch", About::Listing, Method::POST, url, access);
        request.body = Some(content(&json!({
            "id": id, "type": "web_hook", "address": address, "token": token.reveal(),
            "params": {"ttl": life.num_seconds().to_string()},
        })));
        let Answer { resource_id, expiration } = read(&self.send(request).await?)?;
        let ends = expiration.parse().ok().and_then(DateTime::from_timestamp_millis);
        let ends = ends.ok_or(GoogleError::Nonsense("a channel does not say when it ends"))?;
        Ok(Watched { resource: resource_id, ends })
    }

    /// Closes a webhook channel. One that Google does not know is closed.
    ///
    /// # Errors
    /// When Google does not close it.
    pub async fn stop(&self, access: &Secret<String>, id: &str, resource: &str) -> Result<(), GoogleError> {
        let url = self.url(&["channels", "stop"])?;
        let mut request = self.request("channels.stop", About::Event, Method::POST, url, access);
        request.body = Some(content(&json!({"id": id, "resourceId": resource})));
        match self.send(request).await {
            Err(error) if error.class() == ErrorClass::AlreadyGone => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// The calendars which an account sees.
    ///
    /// # Errors
    /// When the list did not come to its end.
    pub async fn calendars(&self, access: &Secret<String>) -> Result<Vec<ListedCalendar>, GoogleError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            id: String,
            #[serde(default)]
            summary: String,
            summary_override: Option<String>,
            time_zone: Option<String>,
            #[serde(default)]
            access_role: String,
            #[serde(default)]
            primary: bool,
        }
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut url = self.url(&["users", "me", "calendarList"])?;
            url.query_pairs_mut().append_pair("maxResults", "250");
            if let Some(token) = &token {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let request = self.request("calendarList.list", About::Listing, Method::GET, url, access);
            let body = self.send(request).await?;
            let page: Page<'_> = read(&body)?;
            for item in &page.items {
                let Ok(entry) = serde_json::from_str::<Entry>(item.get()) else { continue };
                let Entry { id, summary, summary_override, time_zone, access_role, primary } = entry;
                found.push(ListedCalendar {
                    id: id.into(),
                    name: summary_override.unwrap_or(summary),
                    zone: time_zone.unwrap_or_else(|| "UTC".into()),
                    writable: writes(&access_role),
                    primary,
                });
            }
            match page.next_page_token {
                None => return Ok(found),
                next => token = next,
            }
        }
        Err(GoogleError::Nonsense("a list of calendars does not end"))
    }

    fn url(&self, path: &[&str]) -> Result<Url, GoogleError> {
        let mut url = self.endpoints.api.clone();
        url.path_segments_mut()
            .map_err(|()| GoogleError::Setup("the API's address cannot have a path".into()))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    fn event_url(&self, calendar: &CalendarId, event: &EventId) -> Result<Url, GoogleError> {
        self.url(&["calendars", calendar.as_str(), "events", event.as_str()])
    }

    fn request(&self, name: &'static str, about: About, method: Method, url: Url, access: &Secret<String>) -> Request {
        Request { name, about, method, url, access: Some(access.clone()), if_match: None, body: None }
    }

    async fn send(&self, request: Request) -> Result<Vec<u8>, GoogleError> {
        let may_be_empty = request.method == Method::DELETE || request.name == "channels.stop";
        let writes = request.method != Method::GET && !matches!(request.name, "channels.stop" | "events.watch");
        let account = request.access.as_ref().map(|access| self.account(access)).unwrap_or(Account::Token([0; 16]));
        self.throttle
            .retry(|| async {
                self.throttle.turn(account, writes).await?;
                if !lock(&self.budget).take(self.clock.now(), self.class, writes) {
                    return Err(GoogleError::BudgetSpent);
                }
                let answer = self.transport.send(request.clone()).await;
                self.throttle.learn(account, writes, &answer);
                let body = answer?;
                // A page of something in between, told apart while it can still be tried again.
                if !(may_be_empty && body.is_empty()) && serde_json::from_slice::<IgnoredAny>(&body).is_err() {
                    return Err(GoogleError::Nonsense("the answer is no JSON"));
                }
                Ok(body)
            })
            .await
    }

    fn account(&self, access: &Secret<String>) -> Account {
        let digest = digest(access.reveal());
        lock(&self.named).get(&digest).map_or(Account::Token(digest), |account| Account::Known(*account))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(text: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    short
}

fn content(value: &Value) -> (&'static str, Vec<u8>) {
    ("application/json", value.to_string().into_bytes())
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, GoogleError> {
    serde_json::from_slice(body).map_err(|_| GoogleError::Nonsense("the answer is not what the API promises"))
}

fn change(body: &[u8], zone: &str) -> Result<Change, GoogleError> {
    let text = std::str::from_utf8(body).map_err(|_| GoogleError::Nonsense("the answer is no text"))?;
    wire::change(text, zone).map_err(|_| GoogleError::Nonsense("the answer is no event"))
}

fn live(change: Change) -> Result<Event, GoogleError> {
    match change {
        Change::Live(event) => Ok(*event),
        Change::Gone { .. } => Err(GoogleError::Nonsense("an event is cancelled right after it was written")),
    }
}
