//! Reading events: `events.list`, `events.get`, `events.instances`.
//!
//! A listing is a walk over what is stored, in an order in which every item has a key; a page token names the last key
//! given. So a page costs one pass over the calendar at most, and nothing is remembered between requests.
//!
//! | listing                     | order                                                          |
//! |-----------------------------|----------------------------------------------------------------|
//! | full                        | by id; exceptions first or by change where a switch says so    |
//! | full, `orderBy`             | by start or by `updated`                                       |
//! | delta (`syncToken`)         | by change                                                      |
//!
//! With `singleEvents` a master stands for its instances, and its exceptions are items of their own. Deliberately absent: in
//! an expanded delta, instances that a changed rule no longer has are not announced as cancelled, since the old rule is gone.

use std::ops::Bound;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Caller,
    http::{ApiError, Request, Response},
    recurrence, render,
    selection::{Order, Selection, Window, flag, instant, positive, wrong},
    state::{Calendar, Object, Role, Stored, World},
    sync::{Key, PageToken, SyncToken, full_sync_required, invalid_sync_token, request_digest},
    time::{self, Point},
};

/// Instances of one series in one listing; nobody pages further.
const INSTANCES_MAX: usize = 10_000;

/// How many days ahead a series without end is expanded when nothing else bounds it: observers saw instances some 14 years
/// ahead (B15).
const EXPANSION_DAYS: i64 = 14 * 365;

/// How many days of a deleted series are shown as cancelled instances (B16).
const DELETED_DAYS: i64 = 183;

/// The calendar that a caller means by an id or `primary`, and what it may do there.
///
/// # Errors
/// 404 `notFound` for a calendar that does not exist or that the caller cannot see (I02).
pub fn calendar_for(world: &World, caller: &Caller, id: &str) -> Result<(String, Role), ApiError> {
    let id = if id == "primary" { &caller.email } else { id };
    let calendar = world.calendars.get(id).ok_or_else(ApiError::not_found)?;
    let role = calendar.acl.get(&caller.email).ok_or_else(ApiError::not_found)?;
    Ok((calendar.id.clone(), *role))
}

/// `events.list`: a full listing, or with `syncToken` what has changed.
///
/// # Errors
/// 404 for the calendar; 400 for parameters (A04, A08, A09, A20–A22, B03, B04, B07, B10, B12); 410 (B08, B09, B22).
pub fn list(world: &mut World, caller: &Caller, calendar: &str, request: &Request) -> Result<Response, ApiError> {
    let (id, role) = calendar_for(world, caller, calendar)?;
    let calendar = &world.calendars[&id];
    let view = View::read(calendar, request)?;
    let selection = Selection::read(world, request, role)?;
    let sync = match request.param("syncToken") {
        Some(text) => Some(sync_token(world, calendar, &selection, request, text)?),
        None => None,
    };
    let walk = Walk { world, calendar, role, selection: &selection, since: sync.as_ref().map(|token| token.since) };
    let page = Page::read(world, calendar, &format!("list {id}"), request, || walk.newest())?;
    let (items, last) = if page.is_blank(world) { (Vec::new(), page.after.clone()) } else { walk.items(&page) };
    let rendered: Vec<Value> = items.iter().map(|item| walk.render(&view, item)).collect();
    let mut body = envelope(world, caller, calendar, role, rendered);
    match last {
        None if page.is_blank(world) => page.continue_with(&mut body, None),
        Some(after) => page.continue_with(&mut body, Some(after)),
        None if selection.can_sync() => {
            let token = SyncToken {
                calendar: id.clone(),
                epoch: page.epoch,
                since: page.at,
                issued: world.now().timestamp(),
                digest: selection.sync_digest(request),
            };
            body.insert("nextSyncToken".into(), token.encode().into());
        }
        None => {}
    }
    Ok(Response::json(200, &body.into()))
}

/// `events.get`: also a deleted event (D05), and an instance that is only computed (C07).
///
/// # Errors
/// 404 for the calendar and for an event that it never had, or a slot that is not in the series (C12).
pub fn get(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event: &str,
    request: &Request,
) -> Result<Response, ApiError> {
    let (id, role) = calendar_for(world, caller, calendar)?;
    let calendar = &world.calendars[&id];
    let view = View::read(calendar, request)?;
    let (mut body, etag) = match calendar.events.get(event) {
        Some(stored) => (render::event(world, calendar, role, stored, &view.zone), stored.etag()),
        None => {
            let instance = recurrence::instance(calendar, event).ok_or_else(ApiError::not_found)?;
            let master = instance.get("recurringEventId").and_then(Value::as_str).unwrap_or_default();
            let master = &calendar.events[master];
            (render::computed(world, calendar, role, &instance, master, &view.zone), master.etag())
        }
    };
    // E03.
    let known = request.header("if-none-match").unwrap_or_default();
    if known == "*" || known.split(',').any(|given| given.trim() == etag) {
        return Ok(Response::empty(304).with_header("etag", &etag));
    }
    render::limit_attendees(&mut body, view.max_attendees);
    Ok(Response::json(200, &body).with_header("etag", &etag))
}

/// `events.instances`: the slots of one series with its exceptions in their places, ordered by slot. A single event has
/// none.
///
/// # Errors
/// 404 for the calendar and the event; 400 for parameters, among them `syncToken`, which this method does not have (C31).
pub fn instances(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event: &str,
    request: &Request,
) -> Result<Response, ApiError> {
    let (id, role) = calendar_for(world, caller, calendar)?;
    let calendar = &world.calendars[&id];
    let view = View::read(calendar, request)?;
    if let Some(token) = request.param("syncToken") {
        return Err(wrong("syncToken", token));
    }
    let show_deleted = flag(request, "showDeleted")?.unwrap_or(false);
    let window = Window::read(request, true)?;
    let original = match request.param("originalStart") {
        Some(text) if text.len() == 10 && text.parse::<chrono::NaiveDate>().is_ok() => {
            Some(time::midnight(text.parse().unwrap_or_default(), time::zone(&calendar.time_zone)))
        }
        _ => instant(request, "originalStart")?,
    };
    let master = calendar.events.get(event).ok_or_else(ApiError::not_found)?;
    let page = Page::read(world, calendar, &format!("instances {id} {event}"), request, || world.last_change())?;
    let zone = &calendar.time_zone;
    let slot_of = |fields: &Object| Point::read(fields.get("originalStartTime"), zone).map(|slot| slot.instant(zone));

    let mut found: Vec<(Key, Item)> = Vec::new();
    if !master.cancelled() && recurrence::is_master(&master.fields) {
        let computed =
            computed(world, calendar, master, &window).into_iter().map(|fields| Item::computed(fields, master));
        // Ids of exceptions begin with their master's, those of guests' single occurrences included.
        let exceptions = calendar.events.values().filter(|stored| stored.text("recurringEventId") == Some(event));
        let stored = exceptions
            .filter(|stored| show_deleted || !stored.cancelled())
            .filter(|stored| window.admits_event(&stored.fields, zone))
            .map(Item::stored);
        for item in computed.chain(stored) {
            let slot = slot_of(item.fields());
            if original.is_none_or(|original| slot == Some(original)) {
                let rank = slot.map_or(0, |slot| slot.timestamp());
                found.push((Key { rank, event: item.id().to_owned(), instance: String::new() }, item));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let start = page.after.as_ref().map_or(0, |after| found.partition_point(|(key, _)| key <= after));
    let given: &[(Key, Item)] =
        if page.is_blank(world) { &[] } else { &found[start..found.len().min(start + page.size)] };
    let items = given.iter().map(|(_, item)| item.render(world, calendar, role, &view)).collect();
    let mut body = envelope(world, caller, calendar, role, items);
    if start + given.len() < found.len() || page.is_blank(world) {
        page.continue_with(&mut body, given.last().map(|(key, _)| key.clone()).or(page.after.clone()));
    }
    Ok(Response::json(200, &body.into()))
}

/// How a caller wants events written.
struct View {
    zone: String,
    max_attendees: Option<usize>,
}

impl View {
    fn read(calendar: &Calendar, request: &Request) -> Result<Self, ApiError> {
        let zone = match request.param("timeZone") {
            Some(name) if name.parse::<chrono_tz::Tz>().is_err() => return Err(wrong("timeZone", name)),
            Some(name) => name.to_owned(),
            None => calendar.time_zone.clone(),
        };
        flag(request, "alwaysIncludeEmail")?;
        Ok(View { zone, max_attendees: positive(request, "maxAttendees")? })
    }
}

/// The page that is asked for.
struct Page {
    size: usize,
    digest: u64,
    epoch: u32,
    at: u64,
    number: u32,
    after: Option<Key>,
}

impl Page {
    /// Reads `maxResults` and `pageToken`; on a first page `newest` is where a later delta begins.
    fn read(
        world: &World,
        calendar: &Calendar,
        what: &str,
        request: &Request,
        newest: impl FnOnce() -> u64,
    ) -> Result<Self, ApiError> {
        let size = positive(request, "maxResults")?.unwrap_or(250).min(2500);
        let digest = request_digest(what, request);
        let Some(text) = request.param("pageToken") else {
            return Ok(Page { size, digest, epoch: calendar.epoch, at: newest(), number: 0, after: None });
        };
        let PageToken { digest: expected, epoch, at, page: number, after } = PageToken::decode(text)?;
        if expected != digest && world.settings.strict_tokens {
            let message = "A page token belongs to the request it came from.";
            return Err(ApiError::new(400, "invalid", message).at("parameter", "pageToken"));
        }
        Ok(Page { size, digest: expected, epoch, at, number, after })
    }

    /// Whether this page is to be empty though more follow (A05): every other one, beginning with the first.
    fn is_blank(&self, world: &World) -> bool {
        world.settings.empty_pages && self.number.is_multiple_of(2)
    }

    fn continue_with(&self, body: &mut Object, after: Option<Key>) {
        let Page { digest, epoch, at, number, .. } = *self;
        let token = PageToken { digest, epoch, at, page: number + 1, after };
        body.insert("nextPageToken".into(), token.encode().into());
    }
}

/// One item of a listing.
enum Item<'a> {
    Stored(&'a Stored),
    Computed(Object, &'a Stored),
}

impl<'a> Item<'a> {
    fn stored(stored: &'a Stored) -> Self {
        Item::Stored(stored)
    }

    fn computed(fields: Object, master: &'a Stored) -> Self {
        Item::Computed(fields, master)
    }

    fn fields(&self) -> &Object {
        match self {
            Item::Stored(stored) => &stored.fields,
            Item::Computed(fields, _) => fields,
        }
    }

    fn change(&self) -> &'a Stored {
        match self {
            Item::Stored(stored) | Item::Computed(_, stored) => stored,
        }
    }

    fn id(&self) -> &str {
        self.fields().get("id").and_then(Value::as_str).unwrap_or_default()
    }

    fn cancelled(&self) -> bool {
        self.fields().get("status").and_then(Value::as_str) == Some("cancelled")
    }

    /// As `events.get` would show it.
    fn render(&self, world: &World, calendar: &Calendar, role: Role, view: &View) -> Value {
        let mut event = match self {
            Item::Stored(stored) => render::event(world, calendar, role, stored, &view.zone),
            Item::Computed(fields, master) => render::computed(world, calendar, role, fields, master, &view.zone),
        };
        render::limit_attendees(&mut event, view.max_attendees);
        event
    }
}

/// A listing of one calendar for one caller.
struct Walk<'a> {
    world: &'a World,
    calendar: &'a Calendar,
    role: Role,
    selection: &'a Selection,
    /// Of a delta: the last change that the caller has seen.
    since: Option<u64>,
}

impl<'a> Walk<'a> {
    /// The newest change that can be seen: with late visibility (B21) the one before the first that cannot yet.
    fn newest(&self) -> u64 {
        let hidden =
            self.calendar.events.values().filter(|stored| self.is_late(stored.etag_us)).map(|s| s.change).min();
        hidden.map_or(self.world.last_change(), |change| change - 1)
    }

    fn is_late(&self, us: i64) -> bool {
        let late = self.world.settings.late_visibility_seconds;
        late > 0 && us > (self.world.now() - TimeDelta::seconds(late)).timestamp_micros()
    }

    /// The items of a page, and the last key when more follow.
    fn items(&self, page: &Page) -> (Vec<Item<'a>>, Option<Key>) {
        let mut taken: Vec<(Key, Item<'a>)> = Vec::new();
        if self.since.is_none() && self.selection.order == Order::StartTime {
            // Only the expansion tells what starts when.
            let zone = &self.calendar.time_zone;
            let mut all = Vec::new();
            for stored in self.calendar.events.values().filter(|stored| self.is_candidate(stored, page.at)) {
                self.expand(stored, 0, &mut |mut key, item| {
                    key.rank = time::start_instant(item.fields(), zone).map_or(0, |start| start.timestamp());
                    all.push((key, item));
                    true
                });
            }
            all.sort_by(|(one, _), (other, _)| one.cmp(other));
            let start = page.after.as_ref().map_or(0, |after| all.partition_point(|(key, _)| key <= after));
            taken = all.into_iter().skip(start).take(page.size + 1).collect();
        } else {
            let mut take = |rank: i64, stored: &'a Stored| {
                self.expand(stored, rank, &mut |key, item| {
                    if page.after.as_ref().is_none_or(|after| key > *after) {
                        taken.push((key, item));
                    }
                    taken.len() <= page.size
                })
            };
            if self.is_by_id() {
                let from = page.after.as_ref().map_or(Bound::Unbounded, |after| Bound::Included(after.event.as_str()));
                let candidates =
                    self.calendar.events.range::<str, _>((from, Bound::Unbounded)).map(|(_, stored)| stored);
                for stored in candidates.filter(|stored| self.is_candidate(stored, page.at)) {
                    if !take(0, stored) {
                        break;
                    }
                }
            } else {
                let mut candidates: Vec<(i64, &String, &'a Stored)> = self
                    .calendar
                    .events
                    .iter()
                    .map(|(id, stored)| (self.rank(stored), id, stored))
                    .filter(|(rank, id, _)| {
                        page.after.as_ref().is_none_or(|after| (*rank, id.as_str()) >= (after.rank, &after.event))
                    })
                    .filter(|(_, _, stored)| self.is_candidate(stored, page.at))
                    .collect();
                candidates.sort_unstable_by_key(|(rank, id, _)| (*rank, *id));
                for (rank, _, stored) in candidates {
                    if !take(rank, stored) {
                        break;
                    }
                }
            }
        }
        let more = taken.len() > page.size;
        taken.truncate(page.size);
        let last = taken.last().map(|(key, _)| key.clone()).filter(|_| more);
        (taken.into_iter().map(|(_, item)| item).collect(), last)
    }

    fn is_by_id(&self) -> bool {
        let settings = &self.world.settings;
        self.since.is_none()
            && self.selection.order == Order::Unspecified
            && !settings.exceptions_first
            && !settings.duplicate_across_pages
    }

    /// What a listing in stored order is ordered by. By change, an event that changes during the walk comes once more (A11).
    fn rank(&self, stored: &Stored) -> i64 {
        let change = i64::try_from(stored.change).unwrap_or(i64::MAX);
        match (self.since, self.selection.order) {
            (Some(_), _) => change,
            (None, Order::Updated) => stored.updated_us,
            (None, _) if self.world.settings.duplicate_across_pages => change,
            (None, _) => i64::from(self.world.settings.exceptions_first && stored.text("recurringEventId").is_none()),
        }
    }

    /// Whether something of a stored event may be an item; `at` is the newest change of this walk.
    fn is_candidate(&self, stored: &Stored, at: u64) -> bool {
        let settings = &self.world.settings;
        match self.since {
            Some(since) => {
                let bounded = stored.change <= at || settings.duplicate_across_pages && !self.is_late(stored.etag_us);
                // B20: the master's tombstone speaks for its exceptions.
                let spoken_for =
                    !settings.master_delete_lists_exceptions && self.master_of(stored) == Master::Cancelled;
                stored.change > since && bounded && !spoken_for && self.selection.admits(stored, self.role)
            }
            None => self.is_visible(stored) && !self.is_unborn(stored) && self.selection.admits(stored, self.role),
        }
    }

    /// Whether an event is so new that nobody sees it yet (B21).
    fn is_unborn(&self, stored: &Stored) -> bool {
        self.world.settings.late_visibility_seconds > 0
            && stored
                .text("created")
                .and_then(|text| text.parse::<DateTime<Utc>>().ok())
                .is_some_and(|created| self.is_late(created.timestamp_micros()))
    }

    /// Whether a full listing shows this as far as deletion goes (A15–A17, B23).
    fn is_visible(&self, stored: &Stored) -> bool {
        let settings = &self.world.settings;
        let always = self.selection.deleted() || self.selection.updated_min.is_some();
        match (stored.cancelled(), self.master_of(stored)) {
            (_, Master::Cancelled) => always,
            (true, Master::Live) => always || !self.selection.single_events,
            (true, Master::None) => {
                always || settings.cancelled_masters_listed && stored.fields.contains_key("recurrence")
            }
            (true, Master::Absent) => always,
            (false, _) => true,
        }
    }

    fn master_of(&self, stored: &Stored) -> Master {
        match stored.text("recurringEventId") {
            None => Master::None,
            Some(id) => match self.calendar.events.get(id) {
                None => Master::Absent,
                Some(master) if master.cancelled() => Master::Cancelled,
                Some(_) => Master::Live,
            },
        }
    }

    /// Hands what a stored event contributes to `take`, until that says no. Returns whether to go on.
    fn expand(&self, stored: &'a Stored, rank: i64, take: &mut dyn FnMut(Key, Item<'a>) -> bool) -> bool {
        let id = stored.text("id").unwrap_or_default();
        let window = if self.since.is_some() { Window::default() } else { self.selection.window };
        if self.selection.single_events && recurrence::is_master(&stored.fields) {
            let instances = match stored.cancelled() {
                false => computed(self.world, self.calendar, stored, &window),
                true => deleted_instances(self.world, self.calendar, stored, &window),
            };
            return instances.into_iter().all(|fields| {
                let instance = fields.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                take(Key { rank, event: id.to_owned(), instance }, Item::Computed(fields, stored))
            });
        }
        let admitted = match recurrence::is_master(&stored.fields) && !stored.cancelled() {
            true => self.admits_series(stored, &window),
            false => window.admits_event(&stored.fields, &self.calendar.time_zone),
        };
        !admitted || take(Key { rank, event: id.to_owned(), instance: String::new() }, Item::Stored(stored))
    }

    /// Whether a series has to do with the window. One that ended before it is listed all the same (A23).
    fn admits_series(&self, master: &Stored, window: &Window) -> bool {
        let zone = &self.calendar.time_zone;
        let began =
            time::start_instant(&master.fields, zone).is_none_or(|start| window.max.is_none_or(|max| start < max));
        if window.min.is_none() || self.world.settings.ended_series_listed {
            return began;
        }
        began && !computed_slots(self.world, self.calendar, master, window, 1).is_empty()
    }

    /// An item as this listing shows it: deleted ones without details, unless `showDeleted` asks for them (B05, B06).
    fn render(&self, view: &View, item: &Item) -> Value {
        if !item.cancelled() {
            return item.render(self.world, self.calendar, self.role, view);
        }
        let is_instance = item.fields().contains_key("recurringEventId");
        if self.since.is_some() && is_instance && self.world.settings.sparse_instance_tombstones {
            return json!({"id": item.id(), "status": "cancelled"});
        }
        if self.selection.deleted() {
            let mut event = item.render(self.world, self.calendar, self.role, view);
            // B19.
            event.as_object_mut().map(|event| event.remove("recurrence"));
            return event;
        }
        render::tombstone(self.world, self.calendar, item.fields(), item.change(), &view.zone)
    }
}

/// What is known of the master of an event.
#[derive(PartialEq)]
enum Master {
    /// The event is no instance.
    None,
    /// Invited to a single occurrence (C21).
    Absent,
    Cancelled,
    Live,
}

/// The computed instances of a live master in a window, ascending: its slots without those that have an exception.
fn computed(world: &World, calendar: &Calendar, master: &Stored, window: &Window) -> Vec<Object> {
    let slots = computed_slots(world, calendar, master, window, INSTANCES_MAX);
    let instances = slots.iter().map(|slot| recurrence::at_slot(&master.fields, &calendar.time_zone, slot));
    instances
        .filter(|fields| window.admits_event(fields, &calendar.time_zone))
        .filter(|fields| !fields["id"].as_str().is_some_and(|id| calendar.events.contains_key(id)))
        .collect()
}

fn computed_slots(
    world: &World,
    calendar: &Calendar,
    master: &Stored,
    window: &Window,
    limit: usize,
) -> Vec<recurrence::Slot> {
    let zone = &calendar.time_zone;
    let length = match (time::start_instant(&master.fields, zone), time::end_instant(&master.fields, zone)) {
        (Some(start), Some(end)) => end - start,
        _ => TimeDelta::zero(),
    };
    // An all-day slot may be an hour longer or shorter than the first.
    let (from, to) = window.starts(length + TimeDelta::hours(2));
    let horizon = world.now() + TimeDelta::days(EXPANSION_DAYS);
    recurrence::slots(&master.fields, zone, from, to.unwrap_or(horizon), limit)
}

/// What an expanded listing shows of a deleted series: its next months, cancelled (B16).
fn deleted_instances(world: &World, calendar: &Calendar, master: &Stored, window: &Window) -> Vec<Object> {
    let now = world.now();
    let span = Window { min: Some(now), max: Some(now + TimeDelta::days(DELETED_DAYS)), min_inclusive: false };
    let mut instances = computed(world, calendar, master, &span);
    instances.retain(|fields| window.admits_event(fields, &calendar.time_zone));
    for fields in &mut instances {
        fields.insert("status".into(), "cancelled".into());
    }
    instances
}

/// Reads and judges a sync token.
fn sync_token(
    world: &World,
    calendar: &Calendar,
    selection: &Selection,
    request: &Request,
    text: &str,
) -> Result<SyncToken, ApiError> {
    let forbidden = [
        "iCalUID",
        "orderBy",
        "privateExtendedProperty",
        "q",
        "sharedExtendedProperty",
        "timeMin",
        "timeMax",
        "updatedMin",
    ];
    if forbidden.iter().any(|name| request.param(name).is_some()) || selection.show_deleted == Some(false) {
        let message = "Sync token cannot be used with other request restrictions";
        return Err(ApiError::new(400, "invalid", message).at("parameter", "syncToken"));
    }
    let token = SyncToken::decode(text)?;
    let fits = token.digest == selection.sync_digest(request) || !world.settings.strict_tokens;
    if token.calendar != calendar.id || !fits {
        return Err(invalid_sync_token());
    }
    let age_seconds = world.now().timestamp() - token.issued;
    if token.epoch != calendar.epoch || age_seconds >= world.settings.token_lifetime_seconds {
        return Err(full_sync_required());
    }
    Ok(token)
}

/// The answer around the items (A33).
fn envelope(world: &World, caller: &Caller, calendar: &Calendar, role: Role, items: Vec<Value>) -> Object {
    let updated_us = calendar.events.values().map(|stored| stored.updated_us).max();
    let newest = calendar.events.values().map(|stored| stored.change).max().unwrap_or(0);
    let reminders = match calendar.primary && calendar.owner == caller.email {
        true => json!([{"method": "popup", "minutes": 10}]),
        false => json!([]),
    };
    let mut body = Object::from_iter([
        ("kind".into(), "calendar#events".into()),
        ("etag".into(), format!("\"p33{newest:x}e{:x}\"", calendar.epoch).into()),
        ("summary".into(), calendar.summary.as_str().into()),
        ("updated".into(), render::timestamp(updated_us.unwrap_or(0)).into()),
        ("timeZone".into(), calendar.time_zone.as_str().into()),
        ("accessRole".into(), render::role_name(role).into()),
        ("defaultReminders".into(), reminders),
    ]);
    // A31.
    if !items.is_empty() || !world.settings.empty_items_omitted {
        body.insert("items".into(), items.into());
    }
    body
}
