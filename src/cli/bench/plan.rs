//! How long planning takes here.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::super::{Ending, Failure};
use crate::{
    model::{
        body::{Body, Visibility, When},
        calendar::{Calendar, Freshness, Role, Standing},
        event::{Event, Kind, Rights},
        id::{CalendarId, EventId, UserId},
        item::{ItemIds, ItemKey, Observed, ObservedState},
        mapping::{Mapping, Memory},
        plan::Action,
        secret::Secret,
        snapshot::{Family, Origin, Policy, Snapshot},
    },
    planner,
};

#[derive(Args)]
pub struct Arguments {
    /// Origin events over all calendars
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// Repetitions, of which the median is told
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
}

/// Plans for a user with a main, three client and a personal calendar, first with nothing there, then with everything in sync.
///
/// # Errors
/// When the output cannot be written.
pub fn run(arguments: &Arguments, out: &mut (dyn Write + Send)) -> Ending {
    let fresh = snapshot(arguments.events);
    let settled = settled(&fresh);
    let first = median(arguments.runs, || planner::plan(&fresh).steps.len());
    let idle = median(arguments.runs, || planner::plan(&settled).in_sync);
    let text = format!(
        "{} events on {} calendars, median of {}:\n  first plan   {:>8.1} ms   {} steps\n  idle plan    {:>8.1} ms   {} \
         items in sync\n",
        arguments.events,
        fresh.calendars.len(),
        arguments.runs,
        first.0.as_secs_f64() * 1e3,
        first.1,
        idle.0.as_secs_f64() * 1e3,
        idle.1,
    );
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    Ok(0)
}

fn median(runs: u16, mut work: impl FnMut() -> usize) -> (Duration, usize) {
    let mut result = 0;
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let begun = Instant::now();
            result = work();
            begun.elapsed()
        })
        .collect();
    times.sort();
    (times[times.len() / 2], result)
}

fn snapshot(events: usize) -> Snapshot {
    let mut snapshot = of_one_consultant();
    let ids: Vec<CalendarId> = snapshot.calendars.keys().cloned().collect();
    for (calendar, n) in ids.iter().cycle().zip(0..events) {
        let id = EventId::from(format!("event{n}"));
        put(&mut snapshot, calendar, event(&id, n));
    }
    snapshot
}

/// The first look at these events on a client's calendar.
pub fn snapshot_of(events: Vec<Event>) -> Snapshot {
    let mut snapshot = of_one_consultant();
    let client = CalendarId::from("ada1@calendar.example");
    events.into_iter().for_each(|event| put(&mut snapshot, &client, event));
    snapshot
}

fn put(snapshot: &mut Snapshot, calendar: &CalendarId, event: Event) {
    let id = event.id.clone();
    let family = Family { head: Some(Origin::Live(Box::new(event))), exceptions: BTreeMap::new() };
    snapshot.origins.entry(calendar.clone()).or_default().insert(id, family);
}

/// When the consultant looks.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_438_400, 0).unwrap_or_default()
}

/// A main, three client and a personal calendar, all empty.
fn of_one_consultant() -> Snapshot {
    let roles = [Role::Main, Role::Client, Role::Client, Role::Client, Role::Personal];
    let calendars: BTreeMap<CalendarId, Calendar> = roles
        .into_iter()
        .zip(0_i64..)
        .map(|(role, number)| {
            let id = CalendarId::from(format!("ada{number}@calendar.example"));
            let (name, zone) = (format!("calendar {number}"), "Europe/Vienna".into());
            let calendar = Calendar {
                id: id.clone(),
                number,
                name,
                role,
                standing: Standing::Connected,
                freshness: Freshness::Current,
                zone,
                writable: true,
                own: true,
            };
            (id, calendar)
        })
        .collect();
    Snapshot {
        user: UserId(1),
        email: "ada@home.example".into(),
        now: now(),
        calendars,
        origins: BTreeMap::new(),
        observed: BTreeMap::new(),
        mappings: BTreeMap::new(),
        foreign: BTreeSet::new(),
        refusals: BTreeMap::new(),
        flows: Vec::new(),
        approved: BTreeSet::new(),
        generation: 0,
        policy: Policy::default(),
        ids: ItemIds::new(Secret::new([7; 32]), "1001"),
    }
}

/// A meeting like others; one in ten repeats.
pub fn event(id: &EventId, n: usize) -> Event {
    let start = now() + TimeDelta::minutes(i64::try_from(n).unwrap_or(0) * 30);
    let zone = Some("Europe/Vienna".to_owned());
    Event {
        id: id.clone(),
        etag: "\"1\"".into(),
        updated: String::new(),
        series: None,
        kind: Kind::Ordinary,
        body: Body {
            title: Some(format!("Meeting {n}")),
            description: Some("Agenda: names, money, any other business.".into()),
            location: Some("Room 4".into()),
            when: When::Times { start, end: start + TimeDelta::hours(1), start_zone: zone.clone(), end_zone: zone },
            recurrence: if n.is_multiple_of(10) { vec!["RRULE:FREQ=WEEKLY".into()] } else { Vec::new() },
            free: false,
            visibility: Visibility::Default,
            colour: None,
            answer: None,
        },
        tentative: false,
        uid: format!("{}@google.com", id.as_str()),
        organizer: true,
        others: 0,
        guests: Vec::new(),
        join_link: None,
        rights: Rights::Editable,
        marker: None,
        tagged: false,
    }
}

/// The same after its first plan was carried out.
pub fn settled(fresh: &Snapshot) -> Snapshot {
    let mut settled = fresh.clone();
    for step in planner::plan(fresh).steps {
        let Action::Create { event, incarnation, body } = step.action else { continue };
        let key: ItemKey = step.key;
        let digest = body.digest();
        let mapping = Mapping {
            event: event.clone(),
            incarnation,
            applied: digest,
            shown: digest,
            memory: Memory::Kept,
            alone: false,
            restored: Vec::new(),
            since: fresh.now,
        };
        let updated = String::new();
        let state = ObservedState::Live { etag: "\"1\"".into(), body, digest, marked: true, updated };
        settled.observed.insert(key.clone(), vec![Observed { event, incarnation, in_series: false, state }]);
        settled.mappings.insert(key, mapping);
    }
    settled
}
