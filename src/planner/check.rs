//! A second opinion on a finished plan, reached without the planner's own reasoning. What it finds is a bug of ours, and a
//! plan with findings is not carried out.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    body::{Body, Visibility},
    calendar::{Freshness, Role},
    event::OriginKey,
    id::EventId,
    item::{Face, ItemKey, ObservedState},
    plan::{Action, Plan, Reason, Step},
    snapshot::{Origin, Snapshot},
};

/// What is wrong with a plan; empty when it is sound. The sentences name calendars by number and no event, so that they may
/// be logged.
pub fn check(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let mut notes = Vec::new();
    let mut touched: BTreeSet<(&str, &EventId)> = BTreeSet::new();
    for step in plan.steps.iter().filter(|step| step.action.writes()) {
        let mut note = |text: &str| {
            let number = snapshot.calendars.get(&step.key.target).map_or(0, |calendar| calendar.number);
            notes.push(format!("calendar {number}: {text}"));
        };
        match snapshot.calendars.get(&step.key.target) {
            None => note("a write to a calendar that is not connected"),
            Some(target) => {
                if target.role == Role::Personal {
                    note("a write to a personal calendar");
                }
                if target.freshness != Freshness::Current {
                    note("a write to a calendar that could not be read");
                }
                if step.face == Face::Copy && target.role != Role::Main {
                    note("a copy on a calendar that is not main");
                }
            }
        }
        if step.key.origin.calendar == step.key.target {
            note("an origin shown on its own calendar");
        }
        if !touched.insert((step.key.target.as_str(), event(step))) {
            note("two writes to one event");
        }
        if !is_ours(snapshot, step) {
            note("a write to an event that is not provably ours");
        }
        if let Some(body) = body(step)
            && step.face != Face::Copy
            && !is_bare(snapshot, step.face, body)
        {
            note("a block that says more than its time");
        }
        if matches!(step.action, Action::Create { .. }) && has_live(snapshot, &step.key) {
            note("a second event for one item");
        }
        if step.action.deletes() && !is_justified(snapshot, step) {
            note("a deletion without proof");
        }
    }
    notes.extend(over_the_brake(snapshot, plan));
    notes
}

fn event(step: &Step) -> &EventId {
    match &step.action {
        Action::Create { event, .. }
        | Action::Update { event, .. }
        | Action::Amend { event, .. }
        | Action::Cancel { event, .. }
        | Action::Delete { event, .. }
        | Action::Adopt { event, .. } => event,
        Action::Dismiss { .. } | Action::Forget => unreachable!("only writes are checked, and these write nothing"),
    }
}

fn body(step: &Step) -> Option<&Body> {
    match &step.action {
        Action::Create { body, .. } => Some(body),
        Action::Update { to, .. } | Action::Amend { to, .. } => Some(to),
        _ => None,
    }
}

/// The id is computed from the item's key (or is an instance of an id so computed), and what is changed or deleted was seen
/// under that id and etag among our events.
fn is_ours(snapshot: &Snapshot, step: &Step) -> bool {
    let event = event(step);
    let own = snapshot.ids.incarnation(&step.key, event).is_some();
    let inside = event.as_instance().is_some_and(|(series, slot)| {
        step.key.origin.instance == Some(slot) && snapshot.ids.incarnation(&step.key.series(), &series).is_some()
    });
    let seen = |wanted: &crate::model::id::Etag| {
        snapshot.observed.get(&step.key).into_iter().flatten().any(|observed| {
            observed.event == *event && matches!(&observed.state, ObservedState::Live { etag, .. } if etag == wanted)
        })
    };
    match &step.action {
        Action::Create { .. } => own,
        Action::Amend { .. } | Action::Cancel { .. } => inside,
        Action::Update { etag, .. } | Action::Delete { etag, .. } => (own || inside) && seen(etag),
        Action::Adopt { .. } | Action::Dismiss { .. } | Action::Forget => true,
    }
}

/// A block says when, how it repeats, and one of two fixed titles.
fn is_bare(snapshot: &Snapshot, face: Face, body: &Body) -> bool {
    let Body { title, description, location, when: _, recurrence: _, free, visibility, colour } = body;
    let words = if face == Face::PersonalBusy { "Busy (Personal)" } else { "Busy" };
    let expected = format!("{} {words}", snapshot.policy.prefix);
    title.as_deref() == Some(expected.trim())
        && description.is_none()
        && location.is_none()
        && colour.is_none()
        && !free
        && *visibility == Visibility::Private
}

fn has_live(snapshot: &Snapshot, key: &ItemKey) -> bool {
    let observed = snapshot.observed.get(key).into_iter().flatten();
    observed.into_iter().any(|o| !o.in_series && matches!(o.state, ObservedState::Live { .. }))
}

/// A deletion needs an origin that is seen now: either it is gone, or it is there. Only the removal of a twin needs none, but
/// then the other one must be there and stay.
fn is_justified(snapshot: &Snapshot, step: &Step) -> bool {
    if step.reason == Reason::Duplicate {
        let observed = snapshot.observed.get(&step.key).into_iter().flatten();
        return observed.filter(|o| !o.in_series && matches!(o.state, ObservedState::Live { .. })).count() > 1;
    }
    let OriginKey { calendar, event, instance } = &step.key.origin;
    let current = snapshot.calendars.get(calendar).is_some_and(|c| c.freshness == Freshness::Current);
    let family = snapshot.origins.get(calendar).and_then(|families| families.get(event));
    let known = family.is_some_and(|family| match instance {
        Some(slot) => family.head.is_some() || family.exceptions.contains_key(slot),
        None => matches!(family.head, Some(Origin::Live(_) | Origin::Gone)),
    });
    current && known
}

fn over_the_brake(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let mut deletions = BTreeMap::new();
    for step in plan.steps.iter().filter(|s| matches!(s.action, Action::Delete { .. }) && s.reason != Reason::Duplicate)
    {
        *deletions.entry(&step.key.target).or_insert(0_usize) += 1;
    }
    let policy = &snapshot.policy;
    deletions
        .into_iter()
        .filter(|(target, n)| {
            let ours = snapshot.observed.iter().filter(|(key, _)| key.target == **target);
            let live = ours.flat_map(|(_, o)| o).filter(|o| matches!(o.state, ObservedState::Live { .. })).count();
            *n > policy.brake_count && *n * 100 > live * policy.brake_percent
        })
        .map(|(target, n)| {
            let number = snapshot.calendars.get(target).map_or(0, |calendar| calendar.number);
            format!("calendar {number}: {n} deletions without approval")
        })
        .collect()
}
