//! Takes a run back: looks again, plans the opposite of what still stands as that run left it, and carries it out.

use super::{
    App, apply, observe,
    queue::Scope,
    tick::{Mode, TickError},
};
use crate::{
    model::{
        item::ItemKey,
        plan::{Outcome, Plan},
    },
    planner::{
        check,
        undo::{self, Since, Undo},
    },
    store::StoreError,
};

/// Why a run cannot be taken back.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tick(#[from] TickError),
    #[error("there is no run {0}; `busybridge runs` lists them")]
    NoRun(i64),
}

/// What taking a run back came to.
#[derive(Debug)]
pub struct TakenBack {
    pub plan: Plan,
    /// One for each step; empty unless carried out.
    pub outcomes: Vec<Outcome>,
    /// What is left alone, and why.
    pub skipped: Vec<(ItemKey, Since)>,
}

impl TakenBack {
    /// What is left alone: how many, and why.
    pub fn left_alone(&self) -> Vec<(usize, &'static str)> {
        let reasons = [Since::Changed, Since::Gone, Since::Back, Since::Left];
        let count = |why: Since| self.skipped.iter().filter(|(_, since)| *since == why).count();
        reasons.into_iter().map(|why| (count(why), why.sentence())).filter(|(n, _)| *n > 0).collect()
    }
}

/// Takes a run back; in a dry run only plans it.
///
/// # Errors
/// When there is no such run, or our database fails; Google's failures are in the outcomes.
pub async fn undo(app: &App, number: i64, mode: Mode) -> Result<TakenBack, UndoError> {
    let run = app.store.run(number).await?.ok_or(UndoError::NoRun(number))?;
    let user = app.store.user(run.user).await?.ok_or(TickError::NoUser)?;
    let freshness = match mode {
        Mode::Offline => observe::as_of_last_time(app, &user).await?,
        Mode::Apply | Mode::DryRun => observe::observe(app, &user, &Scope::all(), mode == Mode::Apply).await?.freshness,
    };
    let snapshot = app.store.snapshot(user.id, &freshness, app.policy.clone()).await?;
    let Undo { plan, skipped } = undo::undo(&snapshot, &run);
    let findings = check::check_undo(&snapshot, &plan, &run);
    if !findings.is_empty() {
        return Err(TickError::Unsound(findings).into());
    }
    if mode != Mode::Apply || plan.steps.is_empty() {
        return Ok(TakenBack { plan, outcomes: Vec::new(), skipped });
    }
    app.store.ensure_room().await?;
    let journal = app.store.record_plan(&plan, Some(number)).await?;
    let outcomes = apply::apply(app, &user, &snapshot, &plan, journal).await?;
    Ok(TakenBack { plan, outcomes, skipped })
}
