//! One tick for one user.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tracing::{debug, error, info};

use super::{
    App, alerts, apply,
    observe::{self, Cursors, Reading},
    queue::Scope,
    standing,
};
use crate::{
    model::{
        calendar::{Freshness, Why},
        id::UserId,
        plan::{Action, Outcome, Plan, Reason, Step},
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
    /// Nothing new was heard since the last tick, which had found nothing to do: there was no need to plan.
    pub idle: bool,
    /// That nothing was to be done, if so: until something is heard the next tick need not think.
    pub calm: Option<Calm>,
}

/// A plan was empty: nothing to do, nothing held, and every calendar seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calm {
    generation: i64,
    at: DateTime<Utc>,
    freshness: BTreeMap<i64, Freshness>,
    /// Where another process would have gone on from.
    cursors: Cursors,
}

impl Calm {
    /// Plans depend on time a little (what ends leaves the horizon), so that none holds for longer.
    const LASTS: TimeDelta = TimeDelta::hours(1);

    /// What is known after an empty plan; none where anything may come of waiting.
    fn of(plan: &Plan, generation: i64, freshness: &BTreeMap<i64, Freshness>, cursors: &Cursors) -> Option<Self> {
        let seen = freshness.values().all(|freshness| *freshness == Freshness::Current);
        let calm = || Calm { generation, at: plan.at, freshness: freshness.clone(), cursors: cursors.clone() };
        (plan.is_empty() && seen).then(calm)
    }

    /// What is known after a plan of single events was carried out whole: what stands is then what was desired, and what Google showed
    /// is remembered with it. Series and what was done at origins are looked at once more.
    fn after(
        plan: &Plan,
        outcomes: &[Outcome],
        generation: i64,
        freshness: &BTreeMap<i64, Freshness>,
        cursors: &Cursors,
    ) -> Option<Self> {
        let plain = |step: &Step| {
            let single = step.key.origin.instance.is_none() && !step.beside;
            single
                && match &step.action {
                    Action::Create { body, .. } | Action::Update { to: body, .. } => body.recurrence.is_empty(),
                    Action::Delete { from, .. } => from.recurrence.is_empty(),
                    _ => false,
                }
        };
        let whole = plan.held.is_empty() && outcomes.iter().all(|outcome| *outcome == Outcome::Done);
        let seen = freshness.values().all(|freshness| *freshness == Freshness::Current);
        let calm = || Calm { generation, at: plan.at, freshness: freshness.clone(), cursors: cursors.clone() };
        (whole && seen && plan.steps.iter().all(plain)).then(calm)
    }

    /// Whether the plan would be the same now, after readings that told nothing new.
    fn holds(
        &self,
        generation: i64,
        now: DateTime<Utc>,
        freshness: &BTreeMap<i64, Freshness>,
        before: &Cursors,
    ) -> bool {
        let Calm { generation: then, at, freshness: seen, cursors } = self;
        let in_time = (*at..*at + Self::LASTS).contains(&now);
        *then == generation && in_time && seen == freshness && cursors == before
    }
}

/// How much a tick does.
#[derive(Clone, Debug)]
pub struct Extent {
    /// What it reads.
    pub scope: Scope,
    /// Steps that write at Google, at most.
    pub writes: usize,
    /// What the last tick of this user found, if that was nothing.
    pub calm: Option<Calm>,
}

impl Extent {
    /// Everything.
    pub fn whole() -> Self {
        Extent { scope: Scope::all(), writes: usize::MAX, calm: None }
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
    let begun = Instant::now();
    let user = app.store.user(user).await?.ok_or(TickError::NoUser)?;
    let Reading { freshness, news, before, after } = match mode {
        Mode::Apply | Mode::DryRun => observe::observe(app, &user, &extent.scope, mode == Mode::Apply).await?,
        Mode::Offline => Reading {
            freshness: observe::as_of_last_time(app, &user).await?,
            news: BTreeSet::new(),
            before: Cursors::new(),
            after: Cursors::new(),
        },
    };
    if mode == Mode::Apply {
        alerts::after_reading(app, user.id, &freshness).await?;
    }
    let calm = extent.calm.as_ref().filter(|_| mode == Mode::Apply && news.is_empty());
    if let Some(calm) = calm.filter(|calm| calm.holds(user.generation, app.clock.now(), &freshness, &before)) {
        standing::finish(app, &user, &freshness).await?;
        let plan = Plan::nothing(user.id, user.email, app.clock.now());
        // A listing that told only what we wrote moves the cursor.
        let calm = Some(Calm { cursors: after, ..calm.clone() });
        return Ok(Tick { plan, outcomes: Vec::new(), left: 0, news, freshness, idle: true, calm });
    }
    if mode != Mode::Offline {
        observe::prove_origins(app, &user, &extent.scope, &freshness).await?;
    }
    let observed = begun.elapsed();
    let snapshot = app.store.snapshot(user.id, &freshness, app.policy.clone()).await?;
    let gathered = begun.elapsed();
    let mut plan = planner::plan(&snapshot);
    let findings = planner::check::check(&snapshot, &plan);
    let took = |from: Duration, to: Duration| u64::try_from((to - from).as_micros()).unwrap_or(u64::MAX);
    debug!(
        user.id = %user.id,
        observe_us = took(Duration::ZERO, observed),
        snapshot_us = took(observed, gathered),
        plan_us = took(gathered, begun.elapsed()),
        "planned"
    );
    if !findings.is_empty() {
        error!(user.id = %user.id, findings = findings.join("; "), "unsound plan");
        return Err(TickError::Unsound(findings));
    }
    let left = cut(&mut plan, extent.writes);
    let calm = Calm::of(&plan, user.generation, &freshness, &after);
    let done = |plan, outcomes, freshness| Tick { plan, outcomes, left, news, freshness, idle: false, calm };
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
    let calm = match left {
        0 => Calm::after(&plan, &outcomes, user.generation, &freshness, &after),
        _ => None,
    };
    Ok(Tick { calm, ..done(plan, outcomes, freshness) })
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
