//! How it is with the installation, and what can be done about it at once.

use chrono::TimeDelta;
use salvo::{Depot, Request, Response, handler, http::HeaderValue};

use super::super::{
    ctx::{self, Ctx},
    error::Refusal,
    see_other,
};
use crate::{
    controller::{queue::Scope, upkeep},
    model::alert::Severity,
    pages::{
        admin::{AlertLine, Figure, Status},
        consultant::State,
    },
    store::{StoreError, admin::Figures},
};

/// A sign-in this young is good for what cannot be taken back, or takes everything away.
///
/// # Errors
/// A refusal that leads to signing in again.
pub fn fresh(ctx: &Ctx, back: &str) -> Result<(), Refusal> {
    let age = ctx.now() - ctx.visitor.began;
    if age > crate::controller::sign_in::FRESH { Err(Refusal::stale_sign_in(back)) } else { Ok(()) }
}

/// What waits for approval, by user.
pub async fn waiting(ctx: &Ctx) -> Result<Vec<(i64, String, usize)>, Refusal> {
    let users = ctx.front.app.store.users().await?;
    let waiting = users.into_iter().filter_map(|user| {
        let n: usize = ctx.front.desk.board.doing(user.id).waiting.iter().map(|one| one.n).sum();
        (n > 0).then_some((user.id.0, user.email, n))
    });
    Ok(waiting.collect())
}

/// Shows it.
#[handler]
pub async fn show_status(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let (front, store) = (&ctx.front, &ctx.front.app.store);
    let Figures { users, calendars, ours, channels, failing, lines, failures, mails } = store.figures().await?;
    let paused = store.is_paused().await?;
    let zone = ctx::zone(&ctx.rows().await?);
    let trouble = front.desk.health.trouble(front.desk.moment());
    let rate = if lines == 0 { 0.0 } else { f64::from(failures) * 100.0 / f64::from(lines) };
    let spend: std::collections::BTreeMap<&str, u64> = front.app.google.spend_figures().into_iter().collect();
    let of = |name: &str| spend.get(name).copied().unwrap_or(0);
    let queue = front.desk.metrics.queue_depth.get();
    let figure = |name, value: String, bad| Figure { name, value, bad };
    let rows = store.alerts(ctx.now() - TimeDelta::days(7)).await?;
    let everybody = store.users().await?;
    let mut alerts = Vec::new();
    for alert in &rows {
        let calendar = match alert.calendar {
            Some(number) => store.calendar(number).await?.map(|row| row.name),
            None => None,
        };
        let tone = match (alert.resolved, alert.kind.severity()) {
            (Some(_), _) => "ok",
            (None, Severity::Warning) => "late",
            (None, _) => "attention",
        };
        alerts.push(AlertLine {
            state: State::new(tone, alert.kind.sentence()),
            person: everybody.iter().find(|user| Some(user.id) == alert.user).map(|user| user.email.clone()),
            calendar,
            message: alert.message.clone(),
            advice: alert.kind.advice(),
            raised: ctx.when(alert.raised, zone),
            resolved: alert.resolved.map(|at| ctx.when(at, zone)),
        });
    }
    let open = rows.iter().filter(|alert| alert.resolved.is_none()).count();
    let state = match (trouble, paused, open) {
        (Some(trouble), _, _) => {
            State::new("failed", format!("The service is not well: {}.", trouble.code().replace('_', " ")))
        }
        (None, true, _) => State::new("paused", "Everything is paused."),
        (None, false, 0) => State::new("ok", "All is well."),
        (None, false, 1) => State::new("attention", "One alert is open."),
        (None, false, n) => State::new("attention", format!("{n} alerts are open.")),
    };
    let page = Status {
        figures: vec![
            figure("users", users.to_string(), false),
            figure("calendars", calendars.to_string(), false),
            figure("copies and blocks", ours.to_string(), false),
            figure("calendars out of sight", failing.to_string(), failing > 0),
            figure("checks that failed today", format!("{rate:.1} %"), rate >= 5.0),
            figure("users due now", queue.to_string(), false),
            figure("open webhook channels", format!("{channels} of {calendars}"), false),
            figure("requests to Google today", of("used").to_string(), of("used") * 10 > of("limit") * 9),
            figure("forecast for today", of("forecast").to_string(), of("forecast") > of("limit")),
            figure("mails that wait", mails.to_string(), mails > 100),
        ],
        paused,
        alerts,
        waiting: waiting(&ctx).await?,
        left_behind: store
            .left_behind()
            .await?
            .into_iter()
            .map(|left| {
                format!(
                    "{} events of ours stay behind on a calendar of {}: {}.",
                    left.events.len(),
                    left.user,
                    left.why
                )
            })
            .collect(),
        state,
    };
    let mut shell = ctx.shell("Status");
    if matches!(page.state.tone, "attention" | "failed") {
        shell.mark = Some(format!("{} {}", page.state.sign, page.state.text.trim_end_matches('.')));
    }
    shell.wide = true;
    res.render(salvo::writing::Text::Html(crate::pages::html(&shell, &page)));
    Ok(())
}

/// Silence for everybody.
#[handler]
pub async fn pause_all(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    ctx.front.app.store.pause_all(true).await?;
    ctx.front.app.store.log(ctx.id(), None, "everything paused", "success", &[]).await?;
    see_other(res, "/admin?said=paused");
    Ok(())
}

/// The end of that silence.
#[handler]
pub async fn resume_all(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    ctx.front.app.store.pause_all(false).await?;
    ctx.front.app.store.log(ctx.id(), None, "everything resumed", "success", &[]).await?;
    for user in ctx.front.app.store.users().await? {
        ctx::ring(&ctx.front, user.id, Scope::all());
    }
    see_other(res, "/admin?said=resumed");
    Ok(())
}

/// Forgets what is old, now.
#[handler]
pub async fn clean_up(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    forget(&ctx).await?;
    see_other(res, "/admin?said=cleaned");
    Ok(())
}

/// Forgets what is old, if the clock is to be believed.
///
/// # Errors
/// A refusal when it is not.
pub async fn forget(ctx: &Ctx) -> Result<crate::store::retention::Forgotten, Refusal> {
    let (began, uptime) = ctx.front.began();
    match upkeep::forget(&ctx.front.app, began, uptime).await {
        Ok(forgotten) => Ok(forgotten),
        Err(error @ StoreError::ClockDoubtful) => {
            Err(Refusal::conflict("clock_jump", super::super::error::sentence(&error)))
        }
        Err(error) => Err(error.into()),
    }
}

/// A copy of the database to take away.
#[handler]
pub async fn export(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    fresh(&ctx, "/admin")?;
    copy(&ctx, res).await
}

/// Writes a copy of the database as the answer.
///
/// # Errors
/// When it cannot be made.
pub async fn copy(ctx: &Ctx, res: &mut Response) -> Result<(), Refusal> {
    let store = &ctx.front.app.store;
    // Beside the database, where only its owner may read.
    let directory =
        store.path().parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let place = tempfile::Builder::new().prefix(".export").tempdir_in(directory).map_err(|error| {
        tracing::error!("a copy of the database cannot be made: {error}");
        Refusal::new(salvo::http::StatusCode::INTERNAL_SERVER_ERROR, "internal", "The copy could not be made.")
    })?;
    let file = place.path().join("export.db");
    store.export(&file).await?;
    let bytes = tokio::fs::read(&file).await.map_err(|error| {
        tracing::error!("a copy of the database cannot be read: {error}");
        Refusal::new(salvo::http::StatusCode::INTERNAL_SERVER_ERROR, "internal", "The copy could not be made.")
    })?;
    store.log(ctx.id(), None, "database exported", "success", &[]).await?;
    let name = format!("attachment; filename=\"busybridge-{}.db\"", ctx.now().format("%Y-%m-%d"));
    let headers = res.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/vnd.sqlite3"));
    if let Ok(value) = HeaderValue::from_str(&name) {
        headers.insert("content-disposition", value);
    }
    let _ = res.write_body(bytes);
    Ok(())
}
