//! What would happen, computed by the planner before anybody wants it: the first sync of a calendar, and the leaving of one.

use std::collections::BTreeMap;

use super::{App, observe, queue::Scope, tick::TickError};
use crate::{
    model::{
        calendar::{Freshness, Standing},
        plan::Plan,
    },
    planner,
    store::{calendars::CalendarRow, people::User},
};

/// The plan for the moment in which this offered calendar begins to take part. It is read now; nothing is written at Google.
///
/// # Errors
/// When our own database fails; that Google does not show the calendar is in the plan.
pub async fn of_beginning(app: &App, user: &User, row: &CalendarRow) -> Result<Plan, TickError> {
    let read = observe::observe_offered(app, user, row).await?;
    let mut freshness = observe::as_of_last_time(app, user).await?;
    freshness.insert(row.number, read);
    // The others as they were seen last: those that nobody has read yet are, too.
    let unseen: Vec<i64> =
        freshness.iter().filter(|(_, f)| **f == Freshness::Unseen).map(|(number, _)| *number).collect();
    if !unseen.is_empty() {
        let scope = unseen.iter().fold(Scope::nothing(), |scope, number| scope.and(Scope::one(*number)));
        freshness.extend(observe::observe(app, user, &scope, false).await?.freshness);
        freshness.insert(row.number, read);
    }
    let snapshot = app.store.snapshot(user.id, &freshness, app.policy.clone()).await?;
    Ok(planner::plan(&snapshot))
}

/// What leaving a calendar would remove: events by the calendar that loses them, in the user's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// From the calendar itself: our blocks, or on main our copies.
    pub here: usize,
    /// From the others: by name.
    pub elsewhere: BTreeMap<String, usize>,
    /// The calendar cannot be read or written, so that what stands there stays.
    pub stuck: bool,
}

/// What leaving this calendar would remove, as far as is known without asking Google.
///
/// # Errors
/// When our own database fails.
pub async fn of_leaving(app: &App, user: &User, row: &CalendarRow) -> Result<Leaving, TickError> {
    let freshness = observe::as_of_last_time(app, user).await?;
    let mut snapshot = app.store.snapshot(user.id, &freshness, app.policy.clone()).await?;
    let mut leaving = Leaving::default();
    if row.standing == Standing::Offered {
        return Ok(leaving);
    }
    if let Some(calendar) = snapshot.calendars.get_mut(&row.id) {
        calendar.standing = Standing::Leaving;
        leaving.stuck = !calendar.writable || calendar.freshness != Freshness::Current;
    }
    let plan = planner::plan(&snapshot);
    let removals = plan.steps.iter().chain(plan.held.iter().map(|held| &held.step));
    for step in removals.filter(|step| step.action.deletes() && !step.action.is_at_origin()) {
        match plan.names.get(step.calendar()) {
            _ if *step.calendar() == row.id => leaving.here += 1,
            Some(name) => *leaving.elsewhere.entry(name.clone()).or_default() += 1,
            None => {}
        }
    }
    Ok(leaving)
}
