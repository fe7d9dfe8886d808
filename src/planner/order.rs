//! In which order steps are carried out.

use crate::model::{
    item::ItemKey,
    plan::{Action, Step},
};

/// Series and single events first, then instances inside series (which need their series), then deletions (so that no time
/// stands unblocked in between), then what only we remember. Within a wave by target, then by time.
pub fn order(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by(|a, b| rank(a).cmp(&rank(b)));
    steps
}

fn rank(step: &Step) -> (u8, &crate::model::id::CalendarId, Option<chrono::DateTime<chrono::Utc>>, &ItemKey) {
    let inside = is_inside_series(step);
    let wave = match &step.action {
        Action::WriteBack { .. } | Action::Respond { .. } | Action::Withdraw { .. } | Action::Restore { .. } => 0,
        Action::Create { .. } | Action::Update { .. } | Action::Amend { .. } if !inside => 0,
        Action::Create { .. } | Action::Update { .. } | Action::Amend { .. } | Action::Cancel { .. } => 1,
        Action::Delete { .. } if inside => 1,
        Action::Delete { .. } => 2,
        Action::Doubt { .. } | Action::Adopt { .. } | Action::Dismiss { .. } | Action::Forget => 3,
    };
    (wave, step.calendar(), step.when.as_ref().map(|when| when.start()), &step.key)
}

/// Whether the step writes an instance of a series of ours rather than an event of its own.
pub fn is_inside_series(step: &Step) -> bool {
    match &step.action {
        Action::Amend { .. } | Action::Cancel { .. } => true,
        Action::Create { .. } | Action::Forget => false,
        // These write an event of a person's.
        Action::WriteBack { .. } | Action::Respond { .. } | Action::Withdraw { .. } | Action::Restore { .. } => false,
        Action::Doubt { .. } => true,
        Action::Update { event, .. }
        | Action::Delete { event, .. }
        | Action::Adopt { event, .. }
        | Action::Dismiss { event, .. } => step.key.origin.instance.is_some() && event.as_instance().is_some(),
    }
}
