//! What is left for another time, and the brake: more deletions at once than a person makes in a few minutes are held, whatever justifies each of them.

use std::collections::BTreeMap;

use crate::model::{
    item::ObservedState,
    plan::{Action, Held, HeldReason, Reason, Step},
    snapshot::Snapshot,
};

/// Takes out the deletions on every calendar where there are both more than `brake_count` of them and more than
/// `brake_percent` of what we keep there. The removal of a duplicate does not count, nor does the cancelling of an instance
/// that never had a shape of its own: a new series of which many instances were cancelled long ago takes nothing away.
pub fn brake(snapshot: &Snapshot, steps: Vec<Step>) -> (Vec<Step>, Vec<Held>) {
    let mut deletions = BTreeMap::new();
    for step in steps.iter().filter(|step| counts(step)) {
        *deletions.entry(step.key.target.clone()).or_insert(0_usize) += 1;
    }
    let mut kept = BTreeMap::new();
    for (key, observed) in &snapshot.observed {
        let live = observed.iter().filter(|o| matches!(o.state, ObservedState::Live { .. })).count();
        *kept.entry(key.target.clone()).or_insert(0_usize) += live;
    }
    let policy = &snapshot.policy;
    deletions.retain(|target, n| {
        *n > policy.brake_count && *n * 100 > kept.get(target).copied().unwrap_or(0) * policy.brake_percent
    });
    let (held, steps): (Vec<Step>, Vec<Step>) =
        steps.into_iter().partition(|step| counts(step) && deletions.contains_key(&step.key.target));
    (steps, held.into_iter().map(|step| Held { step, reason: HeldReason::Brake }).collect())
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

fn counts(step: &Step) -> bool {
    matches!(step.action, Action::Delete { .. }) && step.reason != Reason::Duplicate
}
