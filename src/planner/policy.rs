//! What is left for another time, and the brake: more deletions at once than a person makes in a few minutes are held, whatever
//! justifies each of them, until a person agrees to exactly these.

use std::collections::BTreeMap;

#[cfg(test)]
use crate::model::mutant::{Mutant, planted};
use crate::model::{
    body::Answer,
    calendar::Role,
    id::CalendarId,
    item::{ItemKey, ObservedState},
    plan::{Action, Held, HeldReason, Reason, Step},
    snapshot::Snapshot,
};

/// Takes out the deletions on every calendar where there are both more than `brake_count` of them and more than
/// `brake_percent` of what we keep there. What people removed on main and would go or be declined at an origin counts by itself,
/// against the copies that we keep of that calendar.
pub fn brake(snapshot: &Snapshot, steps: Vec<Step>) -> (Vec<Step>, Vec<Held>) {
    #[cfg(test)]
    if planted(Mutant::NoBrake) {
        return (steps, Vec::new());
    }
    let mut removals = BTreeMap::new();
    for step in steps.iter().filter(|step| is_braked(snapshot, step)) {
        *removals.entry(place(step)).or_insert(0_usize) += 1;
    }
    let policy = &snapshot.policy;
    removals.retain(|place, n| {
        let kept = kept(snapshot, place).max(*n);
        *n > policy.brake_count && *n * 100 > kept * policy.brake_percent
    });
    if removals.is_empty() {
        return (steps, Vec::new());
    }
    let (held, steps): (Vec<Step>, Vec<Step>) =
        steps.into_iter().partition(|step| is_braked(snapshot, step) && removals.contains_key(&place(step)));
    (steps, held.into_iter().map(|step| Held { step, reason: HeldReason::Brake }).collect())
}

/// The calendar from which something goes, and whether it is a person's own event.
fn place(step: &Step) -> (CalendarId, bool) {
    (step.calendar().clone(), step.action.is_at_origin())
}

/// How much we keep on a calendar; or how many of its events we show on main, with those that were just removed there.
fn kept(snapshot: &Snapshot, (calendar, at_origin): &(CalendarId, bool)) -> usize {
    let is_main = |id: &CalendarId| snapshot.calendars.get(id).is_some_and(|calendar| calendar.role == Role::Main);
    let counts = |key: &ItemKey| match at_origin {
        true => key.origin.calendar == *calendar && is_main(&key.target) && snapshot.mappings.contains_key(key),
        false => key.target == *calendar,
    };
    let observed = snapshot.observed.iter().filter(|(key, _)| counts(key)).flat_map(|(_, observed)| observed);
    observed.filter(|one| *at_origin || matches!(one.state, ObservedState::Live { .. })).count()
}

/// Whether a step takes something away that nobody asked us to take away. The removal of a duplicate does not count, nor does
/// the cancelling of an instance that never had a shape of its own: a new series of which many instances were cancelled long ago
/// takes nothing away. A person's leaving of a calendar and taking back of a run were asked for.
fn is_braked(snapshot: &Snapshot, step: &Step) -> bool {
    let removes = match &step.action {
        Action::Delete { .. } => !matches!(step.reason, Reason::Duplicate | Reason::CalendarLeaving | Reason::Undone),
        Action::Withdraw { .. } => true,
        Action::Respond { to: Answer::Declined, .. } => step.reason == Reason::Removed,
        _ => false,
    };
    removes && !snapshot.is_approved(step.calendar(), step.action.event())
}

/// Leaves single events that begin too far ahead for another time, when the person asked for a range of days only.
pub fn within_range(snapshot: &Snapshot, mut steps: Vec<Step>) -> Vec<Step> {
    let Some(reach) = snapshot.policy.days_forward else { return steps };
    let last = snapshot.now + reach;
    let single = |step: &Step| !matches!(&step.action, Action::Create { body, .. } if !body.recurrence.is_empty());
    steps.retain(|step| {
        !(step.action.writes() && single(step) && step.when.as_ref().is_some_and(|when| when.start() > last))
    });
    steps
}
