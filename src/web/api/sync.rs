//! How it is with a person's calendars: status, log, plan, runs, reasons.

use salvo::{Depot, Request, oapi::endpoint, writing::Json};

use super::{
    super::{
        consultant::log as lines,
        ctx::{self, Ctx},
        error::Refusal,
    },
    Accepted, body,
    calendars::all,
    types::{
        AnswerBody, LogLine, LogPage, PlanBody, RunBody, RunLine, SyncStatus, Undone, WaitingRemovals, WhyBody, time,
    },
};
use crate::{
    controller::{
        board::{self, Waiting},
        explain,
        intent::{self, Word},
        queue::Scope,
        tick::{Mode, tick},
        undo::{self, TakenBack},
    },
    model::{
        calendar::Role,
        id::EventId,
        plan::{Outcome, Plan},
    },
    planner::render,
    store::log::{LogFilter, Logged},
};

/// Lines and runs of an answer, at most.
const LINES_MAX: usize = 200;

/// Removals that wait, as the API tells them.
pub fn waiting(list: &[Waiting]) -> Vec<WaitingRemovals> {
    let told = list.iter().map(|one| WaitingRemovals {
        code: one.code.clone(),
        calendar: one.calendar.clone(),
        removals: one.n,
        why: one.reason.sentence().into(),
    });
    told.collect()
}

/// A plan as the API tells it; without titles.
pub fn told(ctx: &Ctx, plan: &Plan) -> PlanBody {
    PlanBody {
        summary: render::summary(plan),
        changes: plan.steps.iter().filter(|step| step.action.writes()).count(),
        waiting: waiting(&board::waiting(plan)),
        plan: ctx.front.app.store.plan_json(plan, false),
    }
}

/// How it is with all calendars of the person
#[endpoint(tags("sync"))]
pub async fn get_status(req: &mut Request, depot: &mut Depot) -> Result<Json<SyncStatus>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let doing = ctx.front.desk.board.doing(ctx.id());
    let paused = ctx.user().paused || ctx.front.app.store.is_paused().await?;
    let (done, of) = doing.progress.unzip();
    Ok(Json(SyncStatus {
        running: doing.running,
        done,
        all: of,
        paused,
        calendars: all(&ctx, ctx.user(), &[Role::Main, Role::Client, Role::Personal]).await?,
        waiting: waiting(&doing.waiting),
    }))
}

/// A part of the log.
pub async fn page(ctx: &Ctx, req: &Request, filter: LogFilter) -> Result<Json<LogPage>, Refusal> {
    let bad = |field| Refusal::malformed("invalid_query", "A filter makes no sense.").of_field(field);
    let limit = match req.queries().get("limit").map(String::as_str) {
        None => 50,
        Some(text) => text.parse::<usize>().ok().filter(|n| (1..=LINES_MAX).contains(n)).ok_or_else(|| bad("limit"))?,
    };
    for known in req.queries().keys() {
        if !["limit", "status", "action", "calendar", "user", "from", "to", "before"].contains(&known.as_str()) {
            return Err(bad("query"));
        }
    }
    let found = ctx.front.app.store.log_lines(&filter, limit).await?;
    let older = found.last().filter(|_| found.len() == limit).map(|line| line.number);
    let line = |Logged { number, user, calendar, calendar_name: _, action, status, details, at }: Logged| LogLine {
        id: number,
        at: time(at),
        user_id: user.map(|user| user.0),
        calendar_id: calendar,
        action,
        status,
        details: serde_json::from_str(&details).unwrap_or_default(),
    };
    Ok(Json(LogPage { lines: found.into_iter().map(line).collect(), older }))
}

/// What was done lately
#[endpoint(tags("sync"), parameters(
    ("limit" = Option<usize>, Query, description = "Lines, at most 200"),
    ("status" = Option<String>, Query, description = "success, warning or failure"),
    ("action" = Option<String>, Query, description = "Part of the action's words"),
    ("calendar" = Option<i64>, Query, description = "Of this calendar"),
    ("from" = Option<String>, Query, description = "The first day, in the zone of the main calendar"),
    ("to" = Option<String>, Query, description = "The last day"),
    ("before" = Option<i64>, Query, description = "Older than this line"),
))]
pub async fn list_log(req: &mut Request, depot: &mut Depot) -> Result<Json<LogPage>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let zone = ctx::zone(&ctx.rows().await?);
    let mut filter = lines::asked(req, zone)?.filter;
    filter.user = Some(ctx.id());
    page(&ctx, req, filter).await
}

/// Reads everything again from the beginning; only what differs is changed
#[endpoint(tags("sync"))]
pub async fn sync_everything(req: &mut Request, depot: &mut Depot) -> Result<Accepted<SyncStatus>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    ctx.front.limits.sync(-ctx.id().0)?;
    let rows = ctx.rows().await?;
    ctx.ring(rows.iter().fold(Scope::nothing(), |scope, row| scope.and(Scope::full(row.number))));
    let doing = ctx.front.desk.board.doing(ctx.id());
    Ok(Accepted(SyncStatus {
        running: true,
        done: None,
        all: None,
        paused: ctx.user().paused || ctx.front.app.store.is_paused().await?,
        calendars: all(&ctx, ctx.user(), &[Role::Main, Role::Client, Role::Personal]).await?,
        waiting: waiting(&doing.waiting),
    }))
}

/// What would change now; nothing is changed
#[endpoint(tags("plans"))]
pub async fn get_plan(req: &mut Request, depot: &mut Depot) -> Result<Json<PlanBody>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let tick = tick(&ctx.front.app, ctx.id(), Mode::DryRun).await?;
    Ok(Json(told(&ctx, &tick.plan)))
}

/// Says a word about removals that wait
#[endpoint(tags("plans"), request_body = AnswerBody)]
pub async fn say_word(req: &mut Request, depot: &mut Depot) -> Result<Accepted<PlanBody>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let AnswerBody { code, word } = body::read(req, ctx.front.limits.patience).await?;
    let word = match word.as_str() {
        "approve" => Word::Approve,
        "keep-away" => Word::KeepAway,
        "bring-back" => Word::BringBack,
        _ => return Err(Refusal::unfit("unknown_word", "Say approve, bring-back or keep-away.").of_field("word")),
    };
    intent::answer(&ctx.front.app, ctx.id(), &code, word).await?;
    ctx.ring(Scope::all());
    let plan = tick(&ctx.front.app, ctx.id(), Mode::Offline).await?.plan;
    Ok(Accepted(told(&ctx, &plan)))
}

/// Why an event of ours is on a calendar
#[endpoint(tags("plans"), parameters(
    ("calendar" = i64, Query, description = "The calendar"),
    ("event" = String, Query, description = "Google's id of the event"),
))]
pub async fn get_why(req: &mut Request, depot: &mut Depot) -> Result<Json<WhyBody>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let word = |name: &str| req.queries().get(name).cloned().unwrap_or_default();
    let number: i64 = word("calendar").parse().map_err(|_| Refusal::missing())?;
    let row = ctx.rows().await?.into_iter().find(|row| row.number == number).ok_or_else(Refusal::missing)?;
    let event = word("event");
    if event.is_empty() || event.len() > 1024 {
        return Err(Refusal::unfit("invalid_event", "Name the event by Google's id.").of_field("event"));
    }
    let text = explain::why(&ctx.front.app, ctx.user(), &row, &EventId::from(event.as_str())).await?;
    let lines = text.iter().flat_map(|text| text.lines()).map(|line| line.trim().to_owned()).collect();
    Ok(Json(WhyBody { ours: text.is_some(), lines }))
}

/// The last runs that changed something
#[endpoint(tags("runs"))]
pub async fn list_runs(req: &mut Request, depot: &mut Depot) -> Result<Json<Vec<RunLine>>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let runs = ctx.front.app.store.runs(ctx.id(), LINES_MAX).await?.into_iter();
    Ok(Json(
        runs.map(|run| RunLine { id: run.number, at: time(run.at), changes: run.done, undoes: run.undoes }).collect(),
    ))
}

async fn run_of(ctx: &Ctx, req: &Request) -> Result<crate::model::run::Run, Refusal> {
    let run = ctx.front.app.store.run(ctx::number(req, "run")?).await?;
    run.filter(|run| run.user == ctx.id()).ok_or_else(Refusal::missing)
}

/// A run, and what taking it back would do
#[endpoint(tags("runs"), parameters(("run" = i64, Path, description = "The run")))]
pub async fn get_run(req: &mut Request, depot: &mut Depot) -> Result<Json<RunBody>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let found = run_of(&ctx, req).await?;
    let TakenBack { plan: back, .. } = undo::undo(&ctx.front.app, found.number, Mode::DryRun).await?;
    Ok(Json(RunBody { id: found.number, at: time(found.at), changes: found.done.len(), undo: told(&ctx, &back) }))
}

/// Takes a run back, as far as what it did still stands
#[endpoint(tags("runs"), parameters(("run" = i64, Path, description = "The run")))]
pub async fn take_run_back(req: &mut Request, depot: &mut Depot) -> Result<Json<Undone>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let found = run_of(&ctx, req).await?;
    let TakenBack { outcomes, skipped, .. } = undo::undo(&ctx.front.app, found.number, Mode::Apply).await?;
    Ok(Json(Undone {
        done: outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count(),
        failed: outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Failed { .. })).count(),
        left_alone: skipped.len(),
    }))
}
