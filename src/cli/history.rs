//! `busybridge runs`, `undo` and `why`: what was done, taking it back, and the reasons.

use std::io::Write;

use chrono::SecondsFormat;
use clap::Args;

use super::{
    Ending, Failure, open,
    settings::Settings,
    standing::{calendar, say, user},
};
use crate::{
    controller::{
        observe,
        tick::Mode,
        undo::{self, TakenBack},
    },
    model::{
        clock::Clock,
        event::{OriginKey, Slot},
        id::EventId,
        item::ItemKey,
        plan::Outcome,
        run::RunLine,
    },
    planner::{
        render::{self, Length, Lens},
        undo::Since,
        why,
    },
};

/// Runs that are listed, and writes of one item that are told.
const LISTED: usize = 20;

#[derive(Args)]
pub struct RunsArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: String,
}

#[derive(Args)]
pub struct UndoArguments {
    /// The run's number, as `busybridge runs` lists it
    run: i64,
    /// Only plan it
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub struct WhyArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: String,
    /// The calendar on which something is, or is not, by its name or Google's id
    #[arg(long, value_name = "CALENDAR")]
    calendar: String,
    /// Why there is nothing of an event of this calendar
    #[arg(long, value_name = "CALENDAR")]
    origin: Option<String>,
    /// With --origin: of the occurrence whose start the rule gives as 20260302 or 20260302T080000Z
    #[arg(long, value_name = "START", requires = "origin")]
    slot: Option<String>,
    /// Google's id of the event
    event: String,
}

/// Lists the last runs of a user.
///
/// # Errors
/// A sentence for the operator.
pub async fn runs(arguments: &RunsArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    for RunLine { number, at, undoes, done } in app.store.runs(user.id, LISTED).await.map_err(Failure::failed)? {
        let undoes = undoes.map_or(String::new(), |run| format!(", took run {run} back"));
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        say(out, &format!("run {number}  {at}  {done} changes{undoes}\n"))?;
    }
    app.store.close().await;
    Ok(0)
}

/// Takes a run back.
///
/// # Errors
/// A sentence for the operator.
pub async fn undo(arguments: &UndoArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let mode = if arguments.dry_run { Mode::DryRun } else { Mode::Apply };
    let done = undo::undo(&app, arguments.run, mode).await.map_err(Failure::failed)?;
    say(out, &told(&done, Lens::Redacted))?;
    app.store.close().await;
    let failed = done.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Failed { .. })).count();
    if failed > 0 {
        return Err(Failure::failed(format!("{failed} changes failed; take the run back again to finish")));
    }
    Ok(if arguments.dry_run && done.plan.has_changes() { 2 } else { 0 })
}

/// What is, or was, taken back, and what is left alone.
pub fn told(done: &TakenBack, lens: Lens) -> String {
    let TakenBack { plan, outcomes: _, skipped } = done;
    let mut text = render::body(plan, lens, Length::All);
    let mut reasons: Vec<Since> = skipped.iter().map(|(_, why)| *why).collect();
    reasons.sort();
    for why in [Since::Changed, Since::Gone, Since::Back, Since::Left] {
        let n = reasons.iter().filter(|reason| **reason == why).count();
        if n > 0 {
            text.push_str(&format!("· left alone {n}      {}\n", why.sentence()));
        }
    }
    text
}

/// Tells why something is on a calendar, or why not.
///
/// # Errors
/// A sentence for the operator.
pub async fn why(arguments: &WhyArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    let target = calendar(&app, &user, &arguments.calendar).await?;
    let freshness = observe::as_of_last_time(&app, &user).await.map_err(Failure::failed)?;
    let snapshot = app.store.snapshot(user.id, &freshness, app.policy.clone()).await.map_err(Failure::failed)?;
    let event = EventId::from(arguments.event.as_str());
    let item = |key: &ItemKey| snapshot.ids.item_id(key);
    let text = match &arguments.origin {
        None => match why::why(&snapshot, &target.id, &event) {
            Some(because) => {
                let written = app.store.writes_of(&item(&because.key), LISTED).await.map_err(Failure::failed)?;
                why::because(&snapshot, &because, &written, Lens::Redacted)
            }
            None => {
                format!("{} on {} is none of ours: a person made it, or it is gone.\n", event.as_str(), target.name)
            }
        },
        Some(name) => {
            let source = calendar(&app, &user, name).await?;
            let instance = match &arguments.slot {
                Some(stamp) => Some(Slot::from_stamp(stamp).ok_or_else(|| {
                    Failure::usage(format!(
                        "{stamp} is no start of an occurrence: it should be 20260302 or 20260302T080000Z"
                    ))
                })?),
                None => None,
            };
            let origin = OriginKey { calendar: source.id, event, instance };
            let absence = why::why_not(&snapshot, &origin, &target.id);
            let key = ItemKey { target: target.id, origin };
            let written = app.store.writes_of(&item(&key), LISTED).await.map_err(Failure::failed)?;
            let history = why::history(&written, target.zone.parse().unwrap_or(chrono_tz::Tz::UTC), snapshot.now);
            format!("{}\n{history}", why::absence(&snapshot, &absence))
        }
    };
    say(out, &text)?;
    app.store.close().await;
    Ok(0)
}
