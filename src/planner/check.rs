//! A second opinion on a finished plan, reached without the planner's own reasoning. What it finds is a bug of ours, and a
//! plan with findings is not carried out.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
use crate::model::mutant::{Mutant, planted};
use crate::model::{
    body::{Answer, Body, Visibility},
    calendar::{Freshness, Role, Standing},
    event::OriginKey,
    id::EventId,
    item::{Face, ItemKey, ObservedState},
    mapping::Memory,
    plan::{Action, Plan, Reason, Step},
    run::{Deed, Done, Run},
    snapshot::{Origin, Snapshot},
};

/// What is wrong with a plan; empty when it is sound. The sentences name calendars by number and no event, so that they may
/// be logged.
pub fn check(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    check_with(snapshot, plan, None)
}

/// The same for a plan that takes `run` back: what that run did justifies its opposite, and nothing else.
pub fn check_undo(snapshot: &Snapshot, plan: &Plan, run: &Run) -> Vec<String> {
    check_with(snapshot, plan, Some(run))
}

fn check_with(snapshot: &Snapshot, plan: &Plan, run: Option<&Run>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut touched: BTreeSet<(&str, &EventId)> = BTreeSet::new();
    for step in plan.steps.iter().filter(|step| step.action.writes()) {
        let mut note = |text: &str| {
            let number = snapshot.calendars.get(step.calendar()).map_or(0, |calendar| calendar.number);
            notes.push(format!("calendar {number}: {text}"));
        };
        match snapshot.calendars.get(step.calendar()) {
            None => note("a write to a calendar that is not connected"),
            Some(target) => {
                if target.role == Role::Personal {
                    note("a write to a personal calendar");
                }
                if target.freshness != Freshness::Current {
                    note("a write to a calendar that could not be read");
                }
                let adds = matches!(step.action, Action::Create { .. } | Action::Update { .. } | Action::Amend { .. });
                if adds && step.face == Face::Copy && target.role != Role::Main {
                    note("a copy on a calendar that is not main");
                }
                if adds && target.standing == Standing::Leaving {
                    note("something new on a calendar that is to be left");
                }
            }
        }
        if step.key.origin.calendar == step.key.target {
            note("an origin shown on its own calendar");
        }
        let Some(event) = step.action.event() else { continue };
        if !touched.insert((step.calendar().as_str(), event)) {
            note("two writes to one event");
        }
        if step.action.is_at_origin() {
            if !is_by_hand(snapshot, step, event) && !is_taken_back(run, step, event) {
                note("a write to an origin that no person's doing justifies");
            }
            let removes = matches!(step.action, Action::Withdraw { .. }) && step.reason != Reason::Undone;
            if removes && !is_alone(snapshot, step) && !is_agreed(snapshot, step, event) {
                note("the removal of a meeting that is others', too, without a word");
            }
            continue;
        }
        if !is_ours(snapshot, step, event) {
            note("a write to an event that is not provably ours");
        }
        if let Some(body) = body(step) {
            if step.face != Face::Copy && !is_bare(snapshot, step, body) {
                note("a block that says more than its time");
            }
            if body.answer.is_some() && !snapshot.calendars.get(&step.key.target).is_some_and(|target| target.own) {
                note("a guest on a calendar that is not the account's own");
            }
        }
        if matches!(step.action, Action::Create { .. }) && has_live(snapshot, &step.key) {
            note("a second event for one item");
        }
        if step.action.deletes() && !is_justified(snapshot, step) && !is_taken_back(run, step, event) {
            note("a deletion without proof");
        }
    }
    notes.extend(over_the_brake(snapshot, plan));
    notes
}

fn body(step: &Step) -> Option<&Body> {
    match &step.action {
        Action::Create { body, .. } => Some(body),
        Action::Update { to, .. } | Action::Amend { to, .. } => Some(to),
        _ => None,
    }
}

/// Whether the origin is the person's alone: organized on the account's own calendar, without other guests.
fn is_alone(snapshot: &Snapshot, step: &Step) -> bool {
    let OriginKey { calendar, event, instance } = &step.key.origin;
    let own = snapshot.calendars.get(calendar).is_some_and(|calendar| calendar.own);
    let family = snapshot.origins.get(calendar).and_then(|families| families.get(event));
    let exception = family.and_then(|family| instance.and_then(|slot| family.exceptions.get(&slot)));
    match exception.or(family.and_then(|family| family.head.as_ref())) {
        Some(Origin::Live(event)) => own && event.organizer && event.others == 0,
        _ => false,
    }
}

/// Whether the run that is taken back did something to this very event, for this very item.
fn is_taken_back(run: Option<&Run>, step: &Step, event: &EventId) -> bool {
    let done = |done: &Done| {
        let at_origin = !matches!(done.deed, Deed::Ours);
        done.key == step.key && done.event == *event && at_origin == step.action.is_at_origin()
    };
    step.reason == Reason::Undone && run.is_some_and(|run| run.done.iter().any(done))
}

/// An origin is written only where its copy was seen: changed by hand since we looked, or removed with a tombstone that Google
/// told, while we kept it (or its series).
fn is_by_hand(snapshot: &Snapshot, step: &Step, event: &EventId) -> bool {
    let OriginKey { calendar, event: origin, instance } = &step.key.origin;
    let family = snapshot.origins.get(calendar).and_then(|families| families.get(origin));
    let is_origin = family.is_some_and(|family| {
        let exception = instance.and_then(|slot| family.exceptions.get(&slot));
        match (exception.or(family.head.as_ref()), instance) {
            (Some(Origin::Live(live)), _) if live.id == *event => true,
            (Some(Origin::Live(series)), Some(slot)) => series.id.instance(slot) == *event,
            _ => false,
        }
    });
    let kept = |key: &ItemKey| snapshot.mappings.get(key).is_some_and(|mapping| mapping.memory == Memory::Kept);
    let mut observed = snapshot.observed.get(&step.key).into_iter().flatten();
    let seen = match &step.action {
        Action::WriteBack { seen, .. } | Action::Respond { seen: Some(seen), .. } => {
            observed.any(|o| matches!(&o.state, ObservedState::Live { digest, .. } if digest == seen))
        }
        _ => observed.any(|o| matches!(o.state, ObservedState::Gone { told: true })),
    };
    step.face == Face::Copy && is_origin && seen && (kept(&step.key) || kept(&step.key.series()))
}

/// The id is computed from the item's key (or is an instance of an id so computed), and what is changed or deleted was seen
/// under that id and etag among our events.
fn is_ours(snapshot: &Snapshot, step: &Step, event: &EventId) -> bool {
    let own = snapshot.ids.incarnation(&step.key, event).is_some();
    let instance = event.as_instance();
    let inside = instance.as_ref().is_some_and(|(series, _)| {
        step.key.origin.instance.is_some() && snapshot.ids.incarnation(&step.key.series(), series).is_some()
    });
    let seen = |wanted: &crate::model::id::Etag| {
        // An instance may stand at another slot than at the origin, by the minutes that its block begins earlier.
        let at = instance.as_ref().filter(|_| !own).map_or(step.key.clone(), |(_, slot)| step.key.at(*slot));
        snapshot.observed.get(&at).into_iter().flatten().any(|observed| {
            observed.event == *event && matches!(&observed.state, ObservedState::Live { etag, .. } if etag == wanted)
        })
    };
    match &step.action {
        Action::Create { .. } => own,
        Action::Amend { .. } | Action::Cancel { .. } => inside,
        Action::Update { etag, .. } | Action::Delete { etag, .. } => (own || inside) && seen(etag),
        _ => true,
    }
}

/// A block says when, how it repeats, and a title that is fixed or the person's own.
fn is_bare(snapshot: &Snapshot, step: &Step, body: &Body) -> bool {
    let Body { title, description, location, when: _, recurrence: _, free, visibility, colour, answer } = body;
    let declared = snapshot
        .flows
        .iter()
        .find(|flow| flow.source == step.key.origin.calendar && flow.target == step.key.target)
        .map(|flow| &flow.shape);
    let words = match step.face {
        Face::PersonalBusy => "Busy (Personal)",
        _ => "Busy",
    };
    let words = declared.and_then(|shape| shape.title.as_deref()).unwrap_or(words);
    let prefix = declared.and_then(|shape| shape.prefix.as_deref()).unwrap_or(&snapshot.policy.prefix);
    let expected = format!("{prefix} {words}");
    title.as_deref() == Some(expected.trim())
        && description.is_none()
        && location.is_none()
        && *colour == declared.and_then(|shape| shape.colour.clone())
        && !free
        && answer.is_none()
        && *visibility == declared.and_then(|shape| shape.visibility).unwrap_or(Visibility::Private)
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
    let leaves = |id| snapshot.calendars.get(id).is_some_and(|calendar| calendar.standing == Standing::Leaving);
    if leaves(calendar) || leaves(&step.key.target) {
        return true;
    }
    let current = snapshot.calendars.get(calendar).is_some_and(|c| c.freshness == Freshness::Current);
    let family = snapshot.origins.get(calendar).and_then(|families| families.get(event));
    let known = family.is_some_and(|family| match instance {
        Some(slot) => family.head.is_some() || family.exceptions.contains_key(slot),
        None => matches!(family.head, Some(Origin::Live(_) | Origin::Gone)),
    });
    let agreed = || snapshot.is_approved(step.calendar(), step.action.event());
    match snapshot.calendars.contains_key(calendar) {
        true => current && (known || snapshot.is_nobodys(calendar, event)),
        false => agreed(),
    }
}

fn over_the_brake(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    #[cfg(test)]
    if planted(Mutant::NoBrake) {
        return Vec::new();
    }
    let mut removals = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| takes_away(step)) {
        let agreed = step.action.event().is_some_and(|event| is_agreed(snapshot, step, event));
        if !agreed {
            *removals.entry((step.calendar(), step.action.is_at_origin())).or_insert(0_usize) += 1;
        }
    }
    let policy = &snapshot.policy;
    removals
        .into_iter()
        .filter(|((calendar, at_origin), n)| {
            let mut kept = 0;
            for (key, observed) in &snapshot.observed {
                let shown_on_main = snapshot.calendars.get(&key.target).is_some_and(|target| target.role == Role::Main);
                for one in observed {
                    let live = matches!(one.state, ObservedState::Live { .. });
                    let copied = snapshot.mappings.contains_key(key);
                    kept += usize::from(if *at_origin {
                        key.origin.calendar == **calendar && shown_on_main && copied
                    } else {
                        key.target == **calendar && live
                    });
                }
            }
            *n > policy.brake_count && *n * 100 > kept.max(*n) * policy.brake_percent
        })
        .map(|((calendar, _), n)| {
            let number = snapshot.calendars.get(calendar).map_or(0, |calendar| calendar.number);
            format!("calendar {number}: {n} deletions without approval")
        })
        .collect()
}

/// Whether a person agreed to the removal of this very event.
fn is_agreed(snapshot: &Snapshot, step: &Step, event: &EventId) -> bool {
    snapshot.approved.iter().any(|(calendar, approved)| calendar == step.calendar() && approved == event)
}

fn takes_away(step: &Step) -> bool {
    match &step.action {
        Action::Delete { .. } => !matches!(step.reason, Reason::Duplicate | Reason::CalendarLeaving | Reason::Undone),
        Action::Withdraw { .. } => step.reason != Reason::Undone,
        Action::Respond { to, .. } => *to == Answer::Declined && step.reason == Reason::Removed,
        _ => false,
    }
}
