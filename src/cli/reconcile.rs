//! `busybridge plan` and `busybridge sync`: what would change, and change it.

use std::io::Write;

use chrono::TimeDelta;
use clap::Args;
use serde_json::Value;

use super::{Ending, Failure, open, settings::Settings};
use crate::{
    controller::{
        App,
        queue::Scope,
        settle::{Next, settle},
        tick::{Extent, Mode, Tick, tick, tick_within},
    },
    model::{
        calendar::Why,
        clock::Clock,
        plan::{Outcome, Plan},
    },
    planner::render::{self, Length, Lens},
    store::people::User,
};

/// Ticks that one `sync` makes at most while each asks for another at once.
const ROUNDS: usize = 6;

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Who {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// All users
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub struct PlanArguments {
    #[command(flatten)]
    who: Who,
    /// Plan from what is known already; no network
    #[arg(long)]
    offline: bool,
    /// Print the plan as JSON, one document for each user
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct SyncArguments {
    #[command(flatten)]
    who: Who,
    /// Reach back this many days instead of 30
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=3650))]
    days_back: Option<u16>,
    /// Leave single events that begin later than in this many days for another time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=3650))]
    days_forward: Option<u16>,
}

/// Prints plans.
///
/// # Errors
/// A sentence for the operator.
pub async fn plan(arguments: &PlanArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let mode = if arguments.offline { Mode::Offline } else { Mode::DryRun };
    let mut changes = false;
    let mut unreadable = 0;
    for user in users(&app, &arguments.who).await? {
        let Tick { plan, .. } = tick(&app, user.id, mode).await.map_err(Failure::failed)?;
        changes |= plan.has_changes();
        unreadable += out_of_sight(&plan);
        let text = if arguments.json {
            let json: Value = app.store.plan_json(&plan, false);
            format!("{json:#}\n")
        } else {
            render::text(&plan, Lens::Redacted, Length::All)
        };
        out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    }
    out.flush().map_err(Failure::failed)?;
    app.store.close().await;
    could_read(unreadable)?;
    Ok(if changes { 2 } else { 0 })
}

/// Brings users in sync.
///
/// # Errors
/// A sentence for the operator.
pub async fn sync(arguments: &SyncArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let mut app = open(settings, Clock::system()).await?;
    if let Some(days) = arguments.days_back {
        app.policy.horizon = TimeDelta::days(i64::from(days));
    }
    app.policy.days_forward = arguments.days_forward.map(|days| TimeDelta::days(i64::from(days)));
    let (mut failed, mut unreadable) = (0, 0);
    for user in users(&app, &arguments.who).await? {
        if arguments.days_back.is_some() {
            // What ended earlier is not in the mirror.
            from_the_beginning(&app, &user).await?;
        }
        let done = settle_down(&app, &user).await?;
        failed += done.failed;
        unreadable += out_of_sight(&done.last);
        let held = done.last.held.len();
        let text = format!(
            "{}: {} changes made, {} failed, {held} held, {} in sync\n",
            user.email, done.changes, done.failed, done.last.in_sync
        );
        out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    }
    out.flush().map_err(Failure::failed)?;
    app.store.close().await;
    could_read(unreadable)?;
    if failed > 0 {
        return Err(Failure::failed(format!(
            "{failed} changes failed; the log says why, and the next sync tries again"
        )));
    }
    Ok(0)
}

/// Reads all calendars of a user from the beginning, and changes nothing at Google.
///
/// # Errors
/// A sentence for the operator.
pub async fn from_the_beginning(app: &App, user: &User) -> Result<(), Failure> {
    let calendars = app.store.calendars_of(user.id).await.map_err(Failure::failed)?;
    let scope = calendars.iter().fold(Scope::nothing(), |scope, row| scope.and(Scope::full(row.number)));
    let extent = Extent { scope, ..Extent::whole() };
    tick_within(app, user.id, Mode::DryRun, &extent).await.map(drop).map_err(Failure::failed)
}

/// What ticking until nothing is urgent came to.
pub struct Done {
    /// Changes made at Google.
    pub changes: usize,
    /// Steps of the last tick that failed.
    pub failed: usize,
    /// The last plan.
    pub last: Plan,
}

/// Ticks until nothing asks for another tick at once.
///
/// # Errors
/// A sentence for the operator.
pub async fn settle_down(app: &App, user: &User) -> Result<Done, Failure> {
    let mut changes = 0;
    for round in 1.. {
        let Tick { plan, outcomes, .. } = tick(app, user.id, Mode::Apply).await.map_err(Failure::failed)?;
        let done = plan.steps.iter().zip(&outcomes).filter(|(s, o)| s.action.writes() && **o == Outcome::Done);
        changes += done.count();
        let failed = outcomes.iter().filter(|o| **o != Outcome::Done).count();
        // A user who was to be removed may be gone by now.
        let gone = app.store.user(user.id).await.map_err(Failure::failed)?.is_none();
        if gone || settle(&plan.steps, &outcomes) != Next::AtOnce || round == ROUNDS {
            return Ok(Done { changes, failed, last: plan });
        }
    }
    unreachable!("the last round returns")
}

impl Who {
    /// One user.
    pub fn user(email: &str) -> Self {
        Who { user: Some(email.to_owned()), all: false }
    }
}

/// The users that are meant.
///
/// # Errors
/// A sentence for the operator, when there is no such user.
pub async fn users(app: &App, who: &Who) -> Result<Vec<User>, Failure> {
    match &who.user {
        Some(email) => match app.store.user_by_email(email).await.map_err(Failure::failed)? {
            Some(user) => Ok(vec![user]),
            None => Err(Failure::failed(format!(
                "there is no user {email}; people become users when they sign in for the first time"
            ))),
        },
        None => app.store.users().await.map_err(Failure::failed),
    }
}

/// Calendars that could not be read; those that a person wants silent are no failure.
fn out_of_sight(plan: &Plan) -> usize {
    plan.unreadable.iter().filter(|unreadable| unreadable.why != Some(Why::Paused)).count()
}

fn could_read(unreadable: usize) -> Result<(), Failure> {
    match unreadable {
        0 => Ok(()),
        1 => Err(Failure::failed("one calendar could not be read; what concerns it is left as it is")),
        n => Err(Failure::failed(format!("{n} calendars could not be read; what concerns them is left as it is"))),
    }
}
