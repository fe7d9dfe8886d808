//! One tick for one user.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{error, info};

use super::{
    App, alerts, apply,
    observe::{self, Reading},
    queue::Scope,
    standing,
};
use crate::{
    model::{
        calendar::{Freshness, Why},
        id::UserId,
        plan::{Outcome, Plan, Reason, Step},
    },
    planner::{self, render},
    store::{StoreError, people::User},
};

/// How far a tick goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Observe, plan, carry out.
    Apply,
    /// Observe and plan.
    DryRun,
    /// Plan from the mirror alone; no network.
    Offline,
}

/// What a tick did.
#[derive(Debug)]
pub struct Tick {
    pub plan: Plan,
    /// One for each step of the plan, in its order; empty unless applied.
    pub outcomes: Vec<Outcome>,
    /// Steps that writes at Google are left for later, because there were more than asked for.
    pub left: usize,
    /// Calendars, by their numbers, of which Google told something new.
    pub news: BTreeSet<i64>,
    /// How far each calendar could be seen.
    pub freshness: BTreeMap<i64, Freshness>,
}

/// How much a tick does.
#[derive(Clone, Debug)]
pub struct Extent {
    /// What it reads.
    pub scope: Scope,
    /// Steps that write at Google, at most.
    pub writes: usize,
}

impl Extent {
    /// Everything.
    pub fn whole() -> Self {
        Extent { scope: Scope::all(), writes: usize::MAX }
    }
}

/// Why there was no tick.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no such user")]
    NoUser,
    #[error("the plan failed its own check and was not carried out; this is a defect of BusyBridge: {}", .0.join("; "))]
    Unsound(Vec<String>),
}

/// Observes, plans, applies; everything of this user.
///
/// # Errors
/// When our database fails, or the plan is unsound; Google's failures are in the plan and the outcomes.
pub async fn tick(app: &App, user: UserId, mode: Mode) -> Result<Tick, TickError> {
    tick_within(app, user, mode, &Extent::whole()).await
}

/// Observes, plans, applies, not more than `extent` allows. What is not read counts as it was last seen: a change needs the etag
/// that was seen then, and a deletion the proof that its origin is gone. Of a plan that is cut short the first steps are taken,
/// which never need a later one.
///
/// # Errors
/// As [`tick`].
pub async fn tick_within(app: &App, user: UserId, mode: Mode, extent: &Extent) -> Result<Tick, TickError> {
    let user = app.store.user(user).await?.ok_or(TickError::NoUser)?;
    let Reading { freshness, news } = match mode {
        Mode::Apply | Mode::DryRun => observe::observe(app, &user, &extent.scope, mode == Mode::Apply).await?,
        Mode::Offline => Reading { freshness: observe::as_of_last_time(app, &user).await?, news: BTreeSet::new() },
    };
    if mode == Mode::Apply {
        alerts::after_reading(app, user.id, &freshness).await?;
    }
    let snapshot = app.store.snapshot(user.id, &freshness, app.policy.clone()).await?;
    let mut plan = planner::plan(&snapshot);
    let findings = planner::check::check(&snapshot, &plan);
    if !findings.is_empty() {
        error!(user.id = %user.id, findings = findings.join("; "), "unsound plan");
        return Err(TickError::Unsound(findings));
    }
    let left = cut(&mut plan, extent.writes);
    let done = |plan, outcomes, freshness| Tick { plan, outcomes, left, news, freshness };
    let silent = freshness.values().all(|freshness| *freshness == Freshness::Stale(Why::Paused));
    if mode != Mode::Apply || silent && !freshness.is_empty() {
        return Ok(done(plan, Vec::new(), freshness));
    }
    if plan.steps.is_empty() {
        standing::finish(app, &user, &freshness).await?;
        return Ok(done(plan, Vec::new(), freshness));
    }
    info!(user.id = %user.id, plan.steps = plan.steps.len(), "plan: {}", render::summary(&plan));
    if plan.steps.iter().any(|step| step.action.writes()) {
        app.store.ensure_room().await?;
    }
    let journal = app.store.record_plan(&plan, None).await?;
    let outcomes = apply::apply(app, &user, &snapshot, &plan, journal).await?;
    log(app, &user, journal, &plan, &outcomes).await?;
    standing::finish(app, &user, &freshness).await?;
    Ok(done(plan, outcomes, freshness))
}

/// Keeps the beginning of a plan with so many writes at most; gives the number of those that are left out.
fn cut(plan: &mut Plan, writes: usize) -> usize {
    let mut kept = 0;
    let end = plan.steps.iter().position(|step| {
        kept += usize::from(step.action.writes());
        kept > writes
    });
    let rest = end.map(|end| plan.steps.split_off(end)).unwrap_or_default();
    rest.iter().filter(|step| step.action.writes()).count()
}

/// One line for a tick that did something: how many steps, and how they went. What each was, the journal says.
async fn log(app: &App, user: &User, journal: i64, plan: &Plan, outcomes: &[Outcome]) -> Result<(), StoreError> {
    let count = |test: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| test(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let status = if failed == 0 { "success" } else { "failure" };
    let mut details = vec![
        ("plan", usize::try_from(journal).unwrap_or(0)),
        ("steps", outcomes.len()),
        ("failed", failed),
        ("skipped", count(|outcome| matches!(outcome, Outcome::Skipped(_)))),
        ("held", plan.held.len()),
    ];
    // What people did to ours, and what came of it.
    for (name, reasons) in [
        ("put_back", &[Reason::Drifted, Reason::Removed][..]),
        ("conflicts", &[Reason::Conflict]),
        ("written_back", &[Reason::EditedByHand]),
        ("answered", &[Reason::Answered]),
    ] {
        let ours = |step: &Step| reasons.contains(&step.reason) && step.action.writes() && !step.action.deletes();
        let n = plan.steps.iter().zip(outcomes).filter(|(step, o)| **o == Outcome::Done && ours(step)).count();
        details.extend((n > 0).then_some((name, n)));
    }
    app.store.log(user.id, None, "sync", status, &details).await
}
