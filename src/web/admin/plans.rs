//! Plans and logs of everybody.

use salvo::{Depot, Request, Response, handler};

use super::{
    super::{
        consultant::{dashboard::PRINTED, log},
        ctx::{self, Ctx},
        error::Refusal,
    },
    status::waiting,
};
use crate::{
    model::id::UserId,
    pages::{
        admin::{AnyRunLine, Plans, RunPage},
        consultant::Log,
        plan::PlanView,
    },
    planner::render::Lens,
};

/// Lines of a page.
const LINES: usize = 50;

/// What waits, what would change, what was done.
#[handler]
pub async fn show_plans(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let store = &ctx.front.app.store;
    let before = match req.queries().get("before").map(String::as_str) {
        None | Some("") => None,
        Some(text) => Some(
            text.parse::<i64>()
                .map_err(|_| Refusal::malformed("invalid_query", "The address makes no sense.").of_field("before"))?,
        ),
    };
    let users = store.users().await?;
    let zone = ctx::zone(&ctx.rows().await?);
    let name = |id: UserId| users.iter().find(|user| user.id == id).map_or(String::new(), |user| user.email.clone());
    let runs = store.any_runs(before, LINES).await?;
    let page = Plans {
        users: users.iter().map(|user| (user.id.0, user.email.clone())).collect(),
        waiting: waiting(&ctx).await?,
        older: runs.last().filter(|_| runs.len() == LINES).map(|run| format!("/admin/plans?before={}", run.number)),
        runs: runs
            .into_iter()
            .map(|run| AnyRunLine {
                number: run.number,
                at: ctx.when(run.at, zone),
                person: name(run.user),
                undoes: run.undoes,
                done: run.done,
                skipped: run.skipped,
                failed: run.failed,
                held: run.held,
            })
            .collect(),
        zone: zone.name().to_owned(),
    };
    let mut shell = ctx.shell("Plans");
    shell.wide = true;
    res.render(salvo::writing::Text::Html(crate::pages::html(&shell, &page)));
    Ok(())
}

/// One run, without a word of what it was about.
#[handler]
pub async fn show_any_run(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let number = ctx::number(req, "run")?;
    let store = &ctx.front.app.store;
    let past = store.past_plan(number).await?.ok_or_else(Refusal::missing)?;
    let person = store.user(past.user).await?.map(|user| user.email).unwrap_or_default();
    let page = RunPage {
        number,
        person,
        at: ctx.when(past.at, ctx::zone(&ctx.rows().await?)),
        undoes: past.undoes,
        plan: PlanView::of_past(&past, Lens::Redacted, PRINTED),
    };
    ctx.show(res, format!("Run {number}"), &page);
    Ok(())
}

/// The log of everybody.
#[handler]
pub async fn show_all_logs(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let store = &ctx.front.app.store;
    let zone = ctx::zone(&ctx.rows().await?);
    let asked = log::asked(req, zone)?;
    let users = store.users().await?;
    let lines = store.log_lines(&asked.filter, LINES).await?;
    let name = |id: Option<UserId>| users.iter().find(|user| Some(user.id) == id).map(|user| user.email.clone());
    let page = Log {
        heading: "Logs",
        path: "/admin/logs",
        zone: zone.name().to_owned(),
        older: log::older("/admin/logs", &asked, lines.last(), lines.len() == LINES),
        lines: lines.iter().map(|one| log::line(&ctx, one, zone, name(one.user))).collect(),
        filtered: req.uri().query().is_some(),
        calendars: match asked.filter.user {
            Some(user) => store.calendars_of(user).await?.into_iter().map(|row| (row.number, row.name)).collect(),
            None => Vec::new(),
        },
        people: Some(users.iter().map(|user| (user.id.0, user.email.clone())).collect()),
        person: asked.person,
        status: asked.status,
        calendar: asked.calendar,
        action: asked.action,
        from: asked.from,
        to: asked.to,
    };
    let mut shell = ctx.shell("Logs");
    shell.wide = true;
    res.render(salvo::writing::Text::Html(crate::pages::html(&shell, &page)));
    Ok(())
}
