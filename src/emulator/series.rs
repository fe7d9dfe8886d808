//! Writing what belongs together: a series and its exceptions.
//!
//! Every event is stored through [`store`], so that a change of a master reaches its exceptions on the same calendar,
//! whoever made the change — the API, a guest's answer or an organizer's propagation:
//!
//! | the master …            | its exceptions …                                                          |
//! |-------------------------|---------------------------------------------------------------------------|
//! | is deleted              | are cancelled with it, and share its tombstone's etag                     |
//! | is revived              | cancelled with it come back                                               |
//! | loses its recurrence    | are cancelled (C35)                                                       |
//! | starts at another time  | stay, go, or move with it: `Settings::exception_on_master_shift` (C14)    |
//! | changes otherwise       | keep their own changes (C13), or follow where they had none (a switch)    |

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    recurrence::{self, Slot},
    settings::ExceptionShift,
    state::{Object, World},
    time::{self, Point},
};

/// What a write is aimed at: a stored event, or an occurrence that its series implies.
#[derive(Clone, Debug)]
pub struct Target {
    pub fields: Object,
    /// Of an occurrence that is not stored: the etag of its master.
    pub etag: String,
}

impl Target {
    /// Whether this is an occurrence of a series, stored or not.
    pub fn is_instance(&self) -> bool {
        self.fields.contains_key("recurringEventId")
    }
}

/// Finds an event or a computed occurrence by id (C07); none for an id whose slot is not in the rule (C12).
pub fn find(world: &World, calendar_id: &str, event_id: &str) -> Option<Target> {
    let calendar = world.calendars.get(calendar_id)?;
    if let Some(stored) = calendar.events.get(event_id) {
        return Some(Target { fields: stored.fields.clone(), etag: stored.etag() });
    }
    let fields = recurrence::instance(calendar, event_id)?;
    let master = calendar.events.get(fields.get("recurringEventId")?.as_str()?)?;
    Some(Target { fields, etag: master.etag() })
}

fn text<'a>(event: &'a Object, name: &str) -> &'a str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_cancelled(event: &Object) -> bool {
    text(event, "status") == "cancelled"
}

fn is_master(event: &Object) -> bool {
    event.contains_key("recurrence") && !event.contains_key("recurringEventId")
}

/// Stores an event as the newest change of its calendar and lets it act on its exceptions. `touch` as in [`World::record`].
pub fn store(world: &mut World, calendar_id: &str, event: Object, touch: bool) {
    let id = text(&event, "id").to_owned();
    let calendar = &world.calendars[calendar_id];
    let before = calendar.events.get(&id).map(|s| (s.fields.clone(), s.etag_us, s.change));
    // What is derived from the old rule is read before the new one is there.
    let shifted = before.as_ref().filter(|(old, ..)| shifts(old, &event)).map(|(old, ..)| {
        let exceptions = exceptions(world, calendar_id, &id);
        let zone = &world.calendars[calendar_id].time_zone;
        exceptions.iter().filter_map(|e| Some((e.clone(), ordinal(old, e, zone)?))).collect::<Vec<_>>()
    });
    world.record(calendar_id, event.clone(), touch);
    let Some((old, old_etag_us, old_change)) = before else { return };
    if !touch && !world.settings.reminders_in_delta {
        let stored = world.calendars.get_mut(calendar_id).and_then(|c| c.events.get_mut(&id));
        stored.expect("the event was recorded a moment ago").change = old_change;
    }
    if !is_master(&old) {
        return;
    }
    match (is_cancelled(&old), is_cancelled(&event)) {
        (false, true) => cancel_with_master(world, calendar_id, &id),
        (true, true) => share_etag(world, calendar_id, &id, old_etag_us),
        (true, false) => restore_with_master(world, calendar_id, &id, old_etag_us),
        (false, false) if !is_master(&event) => {
            for exception in exceptions(world, calendar_id, &id) {
                cancel(world, calendar_id, exception);
            }
        }
        (false, false) => {
            for (exception, ordinal) in shifted.unwrap_or_default() {
                shift(world, calendar_id, &event, exception, ordinal);
            }
            if world.settings.exceptions_follow_master {
                follow(world, calendar_id, &old, &event);
            }
        }
    }
}

/// The stored exceptions of a series on this calendar, in the order of their ids.
pub fn exceptions(world: &World, calendar_id: &str, master_id: &str) -> Vec<Object> {
    let events = world.calendars[calendar_id].events.values();
    events.filter(|s| s.text("recurringEventId") == Some(master_id)).map(|s| s.fields.clone()).collect()
}

/// Records an event as cancelled, unless it is already.
pub fn cancel(world: &mut World, calendar_id: &str, mut event: Object) {
    if !is_cancelled(&event) {
        event.insert("status".into(), "cancelled".into());
        world.record(calendar_id, event, true);
    }
}

/// A deleted master takes its exceptions along. By default only the master is a change that a delta lists (B20).
fn cancel_with_master(world: &mut World, calendar_id: &str, master_id: &str) {
    let listed = world.settings.master_delete_lists_exceptions;
    for mut exception in exceptions(world, calendar_id, master_id).into_iter().filter(|e| !is_cancelled(e)) {
        let id = text(&exception, "id").to_owned();
        if listed {
            exception.insert("status".into(), "cancelled".into());
            world.record(calendar_id, exception, true);
        }
        let events = &mut world.calendars.get_mut(calendar_id).expect("the calendar of this series").events;
        let etag_us = events[master_id].etag_us;
        let stored = events.get_mut(&id).expect("an exception that was listed a moment ago");
        stored.fields.insert("status".into(), "cancelled".into());
        // How a revival tells them from exceptions that had been cancelled before.
        stored.etag_us = etag_us;
    }
}

fn share_etag(world: &mut World, calendar_id: &str, master_id: &str, old_etag_us: i64) {
    let events = &mut world.calendars.get_mut(calendar_id).expect("the calendar of this series").events;
    let etag_us = events[master_id].etag_us;
    for stored in events.values_mut().filter(|s| s.text("recurringEventId") == Some(master_id)) {
        if stored.cancelled() && stored.etag_us == old_etag_us {
            stored.etag_us = etag_us;
        }
    }
}

fn restore_with_master(world: &mut World, calendar_id: &str, master_id: &str, old_etag_us: i64) {
    let events = &world.calendars[calendar_id].events;
    let gone = events.values().filter(|s| s.text("recurringEventId") == Some(master_id) && s.etag_us == old_etag_us);
    for mut exception in gone.map(|s| s.fields.clone()).collect::<Vec<_>>() {
        exception.insert("status".into(), "confirmed".into());
        world.record(calendar_id, exception, true);
    }
}

/// Whether a series goes on, with its slots at other times.
fn shifts(old: &Object, new: &Object) -> bool {
    let live = is_master(old) && is_master(new) && !is_cancelled(old) && !is_cancelled(new);
    live && old.get("start") != new.get("start")
}

/// The number of the slot that an exception was made for, counted from 0.
fn ordinal(master: &Object, exception: &Object, calendar_zone: &str) -> Option<usize> {
    let original = instant(exception.get("originalStartTime"), calendar_zone)?;
    let until = original + TimeDelta::seconds(1);
    recurrence::slots(master, calendar_zone, None, Some(until), usize::MAX).iter().position(|s| s.start == original)
}

/// What becomes of an exception whose master now starts at another time (C14).
fn shift(world: &mut World, calendar_id: &str, master: &Object, mut exception: Object, ordinal: usize) {
    let zone = world.calendars[calendar_id].time_zone.clone();
    let Some(original) = instant(exception.get("originalStartTime"), &zone) else { return };
    let nearby = recurrence::slots(master, &zone, Some(original), Some(original + TimeDelta::seconds(1)), 1);
    if nearby.iter().any(|slot| slot.start == original) {
        return;
    }
    match world.settings.exception_on_master_shift {
        ExceptionShift::Orphan => {}
        ExceptionShift::Drop => cancel(world, calendar_id, exception),
        ExceptionShift::Reanchor => {
            let Some(slot) = recurrence::slots(master, &zone, None, None, ordinal + 1).into_iter().nth(ordinal) else {
                return;
            };
            cancel(world, calendar_id, exception.clone());
            let (start, end) = (instant(exception.get("start"), &zone), instant(exception.get("end"), &zone));
            if let (Some(start), Some(end)) = (start, end)
                && start == original
            {
                // Not moved by hand: it stays on its slot.
                place(&mut exception, master, &slot, end - start);
            }
            let master_id = text(master, "id");
            exception.insert("id".into(), format!("{master_id}_{}", recurrence::stamp(&slot)).into());
            exception.insert("originalStartTime".into(), slot_time(master, &slot));
            world.record(calendar_id, exception, true);
        }
    }
}

/// Sets the start and end of an event to a slot of its series.
pub fn place(event: &mut Object, master: &Object, slot: &Slot, length: TimeDelta) {
    let end = Slot { start: slot.start + length, day: slot.day.map(|day| day + TimeDelta::days(whole_days(length))) };
    event.insert("start".into(), slot_time(master, slot));
    event.insert("end".into(), slot_time(master, &end));
}

/// All-day events are measured in days, though a day of a change of clocks has 23 or 25 hours.
fn whole_days(length: TimeDelta) -> i64 {
    (length + TimeDelta::hours(12)).num_days()
}

/// A slot in the form in which `master` has its start.
fn slot_time(master: &Object, slot: &Slot) -> Value {
    match slot.day {
        Some(day) => Point::Day(day).json(),
        None => {
            let zone = master.get("start").and_then(|s| s.get("timeZone")).and_then(Value::as_str);
            Point::Instant(slot.start, time::zone(zone.unwrap_or("UTC"))).json()
        }
    }
}

/// Exceptions take over what changed on their master where they said the same as it before.
fn follow(world: &mut World, calendar_id: &str, old: &Object, new: &Object) {
    let fixed = ["start", "end", "recurrence", "sequence", "status", "attendees"];
    let names: Vec<&String> = old.keys().chain(new.keys()).filter(|n| !fixed.contains(&n.as_str())).collect();
    for exception in exceptions(world, calendar_id, text(new, "id")) {
        let mut next = exception.clone();
        for name in names.iter().map(|n| n.as_str()).filter(|name| exception.get(*name) == old.get(*name)) {
            super::merge::keep(&mut next, new, &[name]);
        }
        if next != exception {
            world.record(calendar_id, next, true);
        }
    }
}

/// Decides on the visibility of one occurrence (C32): a less restrictive one is put back. Whether the whole series is to
/// take it, because the write makes it stricter.
pub fn visibility(old: &Object, new: &mut Object) -> bool {
    let strictness = |event: &Object| match text(event, "visibility") {
        "public" => 0,
        "private" | "confidential" => 2,
        _ => 1,
    };
    let (before, after) = (strictness(old), strictness(new));
    if after < before {
        super::merge::keep(new, old, &["visibility"]);
    }
    after > before
}

/// The stamp by which an occurrence's id names its slot (C03, C04).
pub fn stamp(original: &Point) -> String {
    match original {
        Point::Day(day) => day.format("%Y%m%d").to_string(),
        Point::Instant(instant, _) => instant.format("%Y%m%dT%H%M%SZ").to_string(),
    }
}

/// The instant of a start; an all-day one begins at midnight in the calendar's zone.
pub fn instant(value: Option<&Value>, calendar_zone: &str) -> Option<DateTime<Utc>> {
    Point::read(value, calendar_zone).map(|point| point.instant(calendar_zone))
}
