//! When to look again, from how the steps went. Pure: the one table in which errors become decisions.
//!
//! ```text
//!  outcome                                   next
//!  ────────────────────────────────────────  ──────────────
//!  changed meanwhile, series failed          at once
//!  something done at an origin, or asked     at once: copies and blocks follow
//!  transient failure                         soon
//!  throttled                                 when allowed
//!  refused, forbidden, revoked, missing      within the hour
//!  all done                                  on a change
//! ```

use chrono::TimeDelta;

use crate::model::plan::{Action, ErrorClass, Outcome, Skip, Step};

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Next {
    AtOnce,
    After(TimeDelta),
    OnChange,
}

/// The earliest that any step's outcome asks for.
pub fn settle(steps: &[Step], outcomes: &[Outcome]) -> Next {
    let follows = |step: &Step| step.action.is_at_origin() || matches!(step.action, Action::Doubt { .. });
    let followed = steps.iter().zip(outcomes).any(|(step, outcome)| *outcome == Outcome::Done && follows(step));
    let next = outcomes.iter().map(next).min().unwrap_or(Next::OnChange);
    if followed { Next::AtOnce } else { next }
}

fn next(outcome: &Outcome) -> Next {
    match outcome {
        Outcome::Done => Next::OnChange,
        Outcome::Skipped(Skip::ChangedMeanwhile | Skip::ParentFailed | Skip::Superseded | Skip::Stopping) => {
            Next::AtOnce
        }
        Outcome::Skipped(Skip::AccountStopped) => Next::After(TimeDelta::minutes(1)),
        Outcome::Failed { class, message: _ } => match class {
            ErrorClass::CursorLost | ErrorClass::AlreadyGone | ErrorClass::Precondition | ErrorClass::Exists => {
                Next::AtOnce
            }
            ErrorClass::Transient | ErrorClass::Throttled => Next::After(TimeDelta::minutes(1)),
            ErrorClass::Revoked | ErrorClass::Forbidden | ErrorClass::Missing | ErrorClass::Rejected => {
                Next::After(TimeDelta::hours(1))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_outcome_decides() {
        let failed = |class| Outcome::Failed { class, message: String::new() };
        assert_eq!(settle(&[], &[]), Next::OnChange);
        assert_eq!(settle(&[], &[Outcome::Done, Outcome::Done]), Next::OnChange);
        assert_eq!(settle(&[], &[Outcome::Done, failed(ErrorClass::Rejected)]), Next::After(TimeDelta::hours(1)));
        assert_eq!(
            settle(&[], &[failed(ErrorClass::Rejected), failed(ErrorClass::Transient)]),
            Next::After(TimeDelta::minutes(1))
        );
        assert_eq!(
            settle(&[], &[failed(ErrorClass::Transient), Outcome::Skipped(Skip::ChangedMeanwhile)]),
            Next::AtOnce
        );
    }
}
