//! The walk over a calendar that a listing is: which items it has, in which order, and where a page ends.
//!
//! Every item has a [`Key`]; a page token names the last key given, so that a page costs one pass over the calendar at most
//! and nothing is remembered between requests.
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
use xxhash_rust::xxh3::xxh3_64;

use super::{
    listing::{Page, View},
    recurrence, render,
    selection::{Order, Selection, Window},
    state::{Calendar, Object, Role, Stored, World},
    sync::Key,
    time,
};

/// Instances of one series in one listing; nobody pages further.
const INSTANCES_MAX: usize = 10_000;

/// How many days ahead a series without end is expanded when nothing else bounds it: observers saw instances some 14 years
/// ahead (B15).
const EXPANSION_DAYS: i64 = 14 * 365;

/// How many days of a deleted series are shown as cancelled instances (B16).
const DELETED_DAYS: i64 = 183;

/// One item of a listing.
pub(super) enum Item<'a> {
    Stored(&'a Stored),
    Computed(Object, &'a Stored),
}

impl<'a> Item<'a> {
    pub fn stored(stored: &'a Stored) -> Self {
        Item::Stored(stored)
    }

    pub fn computed(fields: Object, master: &'a Stored) -> Self {
        Item::Computed(fields, master)
    }

    pub fn fields(&self) -> &Object {
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

    pub fn id(&self) -> &str {
        self.fields().get("id").and_then(Value::as_str).unwrap_or_default()
    }

    fn cancelled(&self) -> bool {
        self.fields().get("status").and_then(Value::as_str) == Some("cancelled")
    }

    /// As `events.get` would show it.
    pub fn render(&self, world: &World, calendar: &Calendar, role: Role, view: &View) -> Value {
        let mut event = match self {
            Item::Stored(stored) => render::event(world, calendar, role, stored, &view.zone),
            Item::Computed(fields, master) => render::computed(world, calendar, role, fields, master, &view.zone),
        };
        render::limit_attendees(&mut event, view.max_attendees);
        event
    }
}

/// A listing of one calendar for one caller.
pub(super) struct Walk<'a> {
    pub world: &'a World,
    pub calendar: &'a Calendar,
    pub role: Role,
    pub selection: &'a Selection,
    /// Invitations to be listed though the calendar does not hold them.
    pub hidden: &'a [Stored],
    /// Of a delta: the last change that the caller has seen.
    pub since: Option<u64>,
}

impl<'a> Walk<'a> {
    /// The newest change that can be seen: with late visibility (B21) the one before the first that cannot yet.
    pub fn newest(&self) -> u64 {
        let hidden =
            self.calendar.events.values().filter(|stored| self.is_late(stored.etag_us)).map(|s| s.change).min();
        hidden.map_or(self.world.last_change(), |change| change - 1)
    }

    fn is_late(&self, us: i64) -> bool {
        let late = self.world.settings.late_visibility_seconds;
        late > 0 && us > (self.world.now() - TimeDelta::seconds(late)).timestamp_micros()
    }

    /// The items of a page, and the last key when more follow.
    pub fn items(&self, page: &Page) -> (Vec<Item<'a>>, Option<Key>) {
        let mut taken: Vec<(Key, Item<'a>)> = Vec::new();
        if self.since.is_none() && self.selection.order == Order::StartTime {
            // Only the expansion tells what starts when.
            let zone = &self.calendar.time_zone;
            let mut all = Vec::new();
            for stored in self.events().filter(|stored| self.is_candidate(stored, page.at)) {
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
                let mut candidates: Vec<(i64, &str, &'a Stored)> = self
                    .events()
                    .map(|stored| (self.rank(stored), stored.text("id").unwrap_or_default(), stored))
                    .filter(|(rank, id, _)| {
                        page.after.as_ref().is_none_or(|after| (*rank, *id) >= (after.rank, after.event.as_str()))
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

    fn events(&self) -> impl Iterator<Item = &'a Stored> {
        self.calendar.events.values().chain(self.hidden)
    }

    fn is_by_id(&self) -> bool {
        let settings = &self.world.settings;
        self.since.is_none()
            && self.hidden.is_empty()
            && self.selection.order == Order::Unspecified
            && !settings.exceptions_first
            && !settings.listings_shuffled
            && !settings.duplicate_across_pages
    }

    /// What a listing in stored order is ordered by. By change, an event that changes during the walk comes once more (A11).
    fn rank(&self, stored: &Stored) -> i64 {
        let change = i64::try_from(stored.change).unwrap_or(i64::MAX);
        let settings = &self.world.settings;
        match (self.since, self.selection.order) {
            // An order of its own, which stays the same from page to page.
            (_, Order::Unspecified) if settings.listings_shuffled && !settings.duplicate_across_pages => {
                let id = stored.text("id").unwrap_or_default();
                let master = settings.exceptions_first && stored.text("recurringEventId").is_none();
                i64::from(master) << 62 | i64::try_from(xxh3_64(id.as_bytes()) >> 2).unwrap_or_default()
            }
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
                // Also where the series has become a single event (C35).
                Some(master) if master.cancelled() || !recurrence::is_master(&master.fields) => Master::Cancelled,
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
    pub fn render(&self, view: &View, item: &Item) -> Value {
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
pub(super) fn computed(world: &World, calendar: &Calendar, master: &Stored, window: &Window) -> Vec<Object> {
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

/// Invitations that a calendar's owner has not answered and whose senders it does not know: its setting keeps them out
/// (G02), and only `showHiddenInvitations` lists them. They are shown as the copies that an answer would bring.
pub(super) fn hidden_invitations(world: &World, calendar: &Calendar) -> Vec<Stored> {
    if !world.settings.known_senders_only.contains(&calendar.id) {
        return Vec::new();
    }
    let organizers = world.calendars.values().filter(|other| other.id != calendar.id);
    let invitations = organizers.flat_map(|organizer| {
        organizer.events.values().filter(|stored| {
            let fields = &stored.fields;
            let attendees = fields.get("attendees").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            !stored.cancelled()
                && fields.get("organizer").is_some_and(|person| person["email"] == organizer.id.as_str())
                && attendees.iter().any(|attendee| attendee["email"] == calendar.id.as_str())
                && !calendar.events.contains_key(stored.text("id").unwrap_or_default())
        })
    });
    invitations
        .map(|stored| {
            let mut copy = stored.clone();
            for private in ["reminders", "colorId", "eventLabelId", "transparency"] {
                copy.fields.remove(private);
            }
            if let Some(Value::Object(kinds)) = copy.fields.get_mut("extendedProperties") {
                kinds.remove("private");
            }
            copy
        })
        .collect()
}
