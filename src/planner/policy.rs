//! What is left for another time, and the brake: more deletions at once than a person makes in a few minutes are held, whatever
//! justifies each of them, until a person agrees to exactly these.

use std::collections::BTreeMap;

use crate::model::{
    body::Answer,
    id::{CalendarId, EventId},
    item::ObservedState,
    plan::{Action, Held, HeldReason, Reason, Step},
    snapshot::Snapshot,
};

/// Takes out the deletions on every calendar where there are both more than `brake_count` of them and more than
/// `brake_percent` of what we keep there (for what would go or be declined at an origin: of the copies that we keep of it).
pub fn brake(snapshot: &Snapshot, steps: Vec<Step>) -> (Vec<Step>, Vec<Held>) {
    let mut removals = BTreeMap::new();
    for step in steps.iter().filter(|step| is_braked(snapshot, step)) {
        *removals.entry(step.calendar().clone()).or_insert(0_usize) += 1;
    }
    if removals.is_empty() {
        return (steps, Vec::new());
    }
    let kept = kept(snapshot);
    let policy = &snapshot.policy;
    removals.retain(|calendar, n| {
        let kept = kept.get(calendar).copied().unwrap_or(0).max(*n);
        *n > policy.brake_count && *n * 100 > kept * policy.brake_percent
    });
    let (held, steps): (Vec<Step>, Vec<Step>) =
        steps.into_iter().partition(|step| is_braked(snapshot, step) && removals.contains_key(step.calendar()));
    (steps, held.into_iter().map(|step| Held { step, reason: HeldReason::Brake }).collect())
}

/// How much we keep on each calendar, and of each origin's calendar.
fn kept(snapshot: &Snapshot) -> BTreeMap<&CalendarId, usize> {
    let mut kept = BTreeMap::new();
    for (key, observed) in &snapshot.observed {
        let live = observed.iter().filter(|o| matches!(o.state, ObservedState::Live { .. })).count();
        *kept.entry(&key.target).or_insert(0_usize) += live;
        *kept.entry(&key.origin.calendar).or_insert(0_usize) += live;
    }
    kept
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
    removes && !is_approved(snapshot, step.calendar(), step.action.event())
}

fn is_approved(snapshot: &Snapshot, calendar: &CalendarId, event: Option<&EventId>) -> bool {
    event.is_some_and(|event| snapshot.approved.contains(&(calendar.clone(), event.clone())))
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
