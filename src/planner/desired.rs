//! What should stand on each calendar: the rules of the specification and nothing else.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{face, flows::Flow, horizon};
use crate::model::{
    body::{Body, When},
    event::{Answer, Event, Kind, OriginKey, Slot},
    id::EventId,
    item::{Face, ItemKey},
    snapshot::{Family, Origin, Snapshot},
};

/// One thing that should be there.
#[derive(Clone, Debug)]
pub struct Desired {
    pub body: Body,
    /// The origin's title, for people.
    pub title: Option<String>,
}

/// What should stand for one exception within the copied series.
#[derive(Clone, Debug)]
pub enum Shape {
    Present(Desired),
    /// Cancelled at the origin, or not to be shown.
    Absent,
}

/// What should stand on one target for one single event or series.
#[derive(Clone, Debug)]
pub struct Wish {
    pub face: Face,
    /// Whether any of it is recent enough to be kept up to date.
    pub in_scope: bool,
    /// The single event or the series.
    pub head: Option<Desired>,
    /// Exceptions of the series, when it is shown.
    pub exceptions: BTreeMap<Slot, Shape>,
    /// Exceptions shown as events of their own, because their series is not.
    pub alone: BTreeMap<Slot, Desired>,
}

/// Whether an event has this face at all: declined ones, working locations and birthdays have none; free ones do not block
/// (design, "not blocking", "free events").
pub fn shows(face: Face, event: &Event) -> bool {
    let counts =
        !matches!(event.kind, Kind::WorkingLocation | Kind::Birthday) && event.answer != Some(Answer::Declined);
    counts && (face == Face::Copy || !event.body.free)
}

/// What `flow` wants for one family of its source.
pub fn wish(snapshot: &Snapshot, flow: &Flow, event: &EventId, family: &Family) -> Wish {
    let key = ItemKey {
        target: flow.target.clone(),
        origin: OriginKey { calendar: flow.source.clone(), event: event.clone(), instance: None },
    };
    let edge = snapshot.now - snapshot.policy.horizon;
    let mut wish = Wish {
        face: flow.face,
        in_scope: horizon::family_in_scope(family, edge),
        head: None,
        exceptions: BTreeMap::new(),
        alone: BTreeMap::new(),
    };
    match &family.head {
        // With the series go its exceptions.
        Some(Origin::Gone) => return wish,
        Some(Origin::Live(head)) if shows(flow.face, head) => {
            wish.head = Some(dress(snapshot, flow.face, &key, head));
        }
        Some(Origin::Live(_)) | None => {}
    }
    for (slot, exception) in &family.exceptions {
        let shown = match exception {
            Origin::Live(event) if shows(flow.face, event) => Some(event),
            Origin::Live(_) | Origin::Gone => None,
        };
        let desired = shown.map(|event| dress(snapshot, flow.face, &key.at(*slot), event));
        if wish.head.is_some() {
            wish.exceptions.insert(*slot, desired.map_or(Shape::Absent, Shape::Present));
        } else if let Some(desired) = desired {
            wish.alone.insert(*slot, desired);
        }
    }
    wish
}

fn dress(snapshot: &Snapshot, face: Face, key: &ItemKey, event: &Event) -> Desired {
    let body = match face {
        Face::Copy => {
            let name = snapshot.calendars.get(&key.origin.calendar).map_or("", |calendar| &calendar.name);
            let why = format!("{}/app/why/{}", snapshot.policy.public_url, snapshot.ids.item_id(key));
            face::copy(event, name, &why)
        }
        Face::Busy | Face::PersonalBusy => {
            face::block(face, &snapshot.policy.prefix, &event.body.when, &event.body.recurrence)
        }
    };
    Desired { body, title: event.body.title.clone() }
}

/// What an instance of a series looks like that has no shape of its own; none when the slot is not of the series' sort (a
/// day for a timed series).
pub fn implied(series: &Body, slot: &Slot) -> Option<Body> {
    let when = match (&series.when, slot) {
        (When::Days { first, end }, Slot::Day(day)) => When::Days { first: *day, end: *day + (*end - *first) },
        (When::Times { start, end, start_zone, end_zone }, Slot::At(at)) => When::Times {
            start: *at,
            end: *at + (*end - *start),
            start_zone: start_zone.clone(),
            end_zone: end_zone.clone(),
        },
        _ => return None,
    };
    Some(Body { when, recurrence: Vec::new(), ..series.clone() })
}

/// How long an instance of a series lasts.
pub fn length(series: &Body) -> TimeDelta {
    series.when.end() - series.when.start()
}
