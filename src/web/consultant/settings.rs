//! A consultant's settings, and what was done lately.

use salvo::{Depot, Request, Response, handler};

use super::{
    super::{
        ctx::{self, Ctx},
        error::Refusal,
        forms, see_other, session,
    },
    calendars, dashboard,
};
use crate::{
    controller::{
        explain, intent,
        queue::Scope,
        tick::Mode,
        undo::{self, TakenBack},
    },
    model::{alert::AlertKind, calendar::Role, plan::Outcome},
    pages::{
        consultant::{ColourLine, ColourName, DisconnectAll, PreferenceLine, RunLine, RunPage, Settings},
        plan::PlanView,
    },
    planner::render::Lens,
    store::people::User,
};

/// Runs that are listed.
const LISTED: usize = 20;

/// Google's palette of events (API reference, `colors.get`), in the words of its own pages.
const PALETTE: [(&str, &str); 11] = [
    ("1", "Lavender"),
    ("2", "Sage"),
    ("3", "Grape"),
    ("4", "Flamingo"),
    ("5", "Banana"),
    ("6", "Tangerine"),
    ("7", "Peacock"),
    ("8", "Graphite"),
    ("9", "Blueberry"),
    ("10", "Basil"),
    ("11", "Tomato"),
];

/// What an alert is about, for who chooses.
pub fn words(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::TokenRevoked => "an account has to be connected again",
        AlertKind::CalendarInaccessible => "a calendar is out of reach",
        AlertKind::SyncFailures => "a calendar cannot be read five times in a row",
        AlertKind::WebhookRegistrationFailed => "Google does not announce changes (admins)",
        AlertKind::SystemError => "the service met an error of its own (admins)",
    }
}

/// The kinds that concern a user.
pub fn kinds(user: &User) -> impl Iterator<Item = AlertKind> {
    let admin = user.admin;
    AlertKind::ALL.into_iter().filter(move |kind| admin || !kind.is_for_admins())
}

/// Shows them.
#[handler]
pub async fn show_settings(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let (app, user) = (&ctx.front.app, ctx.user());
    let rows = ctx.rows().await?;
    let zone = ctx::zone(&rows);
    let unwanted = app.store.unwanted_alerts().await?;
    let colours = explain::colours(app, user).await?;
    let page = Settings {
        main: rows.iter().find(|row| row.role == Role::Main).map(|row| format!("{} · {}", row.name, row.account)),
        preferences: kinds(user)
            .map(|kind| PreferenceLine {
                word: kind.word(),
                text: words(kind),
                wanted: !unwanted.contains(&(user.id, kind)),
            })
            .collect(),
        colours: rows
            .iter()
            .filter(|row| row.role == Role::Client)
            .map(|row| ColourLine {
                number: row.number,
                name: row.name.clone(),
                colour: colours.get(&row.id).cloned().unwrap_or_default(),
            })
            .collect(),
        palette: PALETTE.map(|(id, name)| ColourName { id, name }).into(),
        tell_guests: user.tell_guests,
        dismissed: intent::dismissed(app, user.id).await?.len(),
        runs: app
            .store
            .runs(user.id, LISTED)
            .await?
            .into_iter()
            .map(|run| RunLine {
                number: run.number,
                at: ctx.when(run.at, zone),
                changes: run.done,
                undoes: run.undoes,
                person: None,
            })
            .collect(),
    };
    ctx.show(res, "Settings", &page);
    Ok(())
}

/// Settles which mails are wanted.
#[handler]
pub async fn save_alerts(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let form = session::form(depot);
    forms::only(&form, &AlertKind::ALL.map(AlertKind::word))?;
    for kind in kinds(ctx.user()) {
        ctx.front.app.store.prefer_alert(ctx.id(), kind, form.ticked(kind.word())).await?;
    }
    see_other(res, "/app/settings?said=saved#alerts");
    Ok(())
}

/// Settles whether guests are told.
#[handler]
pub async fn save_guests(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let form = session::form(depot);
    forms::only(&form, &["tell_guests"])?;
    ctx.front.app.store.set_tell_guests(ctx.id(), form.ticked("tell_guests")).await?;
    see_other(res, "/app/settings?said=saved");
    Ok(())
}

/// Settles the colours of clients' meetings on the main calendar.
#[handler]
pub async fn save_colours(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let form = session::form(depot);
    let rows = ctx.rows().await?;
    let main = rows.iter().find(|row| row.role == Role::Main);
    let main = main.ok_or_else(|| Refusal::conflict("no_main_calendar", "Choose your main calendar first."))?;
    for row in rows.iter().filter(|row| row.role == Role::Client) {
        let name = format!("colour-{}", row.number);
        if !form.has(&name) {
            continue;
        }
        let colour = form.text(&name);
        if !colour.is_empty() && !PALETTE.iter().any(|(id, _)| *id == colour) {
            return Err(Refusal::unfit("unknown_colour", "Choose a colour of the list."));
        }
        let colour = Some(colour.to_owned()).filter(|colour| !colour.is_empty());
        intent::colour(&ctx.front.app, ctx.id(), &row.id, &main.id, colour).await?;
    }
    ctx.ring(Scope::all());
    see_other(res, "/app/settings?said=saved");
    Ok(())
}

/// Lets copies come back that were removed by hand.
#[handler]
pub async fn bring_all_back(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let keys = intent::dismissed(&ctx.front.app, ctx.id()).await?;
    intent::bring_back(&ctx.front.app, ctx.id(), &keys).await?;
    ctx.ring(Scope::all());
    see_other(res, "/app?said=brought-back");
    Ok(())
}

/// Asks whether all calendars are to be left.
#[handler]
pub async fn ask_to_leave_all(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let rows = ctx.rows().await?;
    let mut sentences = Vec::new();
    for row in rows.iter().filter(|row| row.role != Role::Main) {
        let told = calendars::consequence(&ctx, row).await?;
        sentences.push(format!("{}: {}", row.name, told.join(" ")));
    }
    if sentences.is_empty() {
        sentences.push("No client's or personal calendar is connected.".into());
    }
    sentences.push("Your main calendar stays, without anything we made.".into());
    ctx.show(res, "Disconnect all", &DisconnectAll { sentences });
    Ok(())
}

/// Leaves all calendars but the main one.
#[handler]
pub async fn leave_all(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    if session::form(depot).text("sure") != "yes" {
        return Err(Refusal::unfit("confirmation_required", "Tick the box if you want that.")
            .with_way("/app/disconnect-all", "Back"));
    }
    for row in ctx.rows().await?.iter().filter(|row| row.role != Role::Main) {
        ctx.front.app.store.leave_calendar(ctx.id(), row.number).await?;
    }
    ctx.ring(Scope::all());
    see_other(res, "/app?said=leaving-all");
    Ok(())
}

/// A run of this person's.
async fn run_of(ctx: &Ctx, req: &Request) -> Result<crate::model::run::Run, Refusal> {
    let number = ctx::number(req, "run")?;
    let run = ctx.front.app.store.run(number).await?;
    run.filter(|run| run.user == ctx.id()).ok_or_else(Refusal::missing)
}

/// What a run did, and what taking it back would do.
#[handler]
pub async fn show_run(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let run = run_of(&ctx, req).await?;
    let rows = ctx.rows().await?;
    let back = undo::undo(&ctx.front.app, run.number, Mode::DryRun).await?;
    let (left_alone, plan) = (back.left_alone(), back.plan);
    let past = ctx.front.app.store.past_plan(run.number).await?.ok_or_else(Refusal::missing)?;
    let page = RunPage {
        number: run.number,
        at: ctx.when(run.at, ctx::zone(&rows)),
        undoes: run.undoes,
        plan: PlanView::of_past(&past, Lens::Owner, dashboard::PRINTED),
        undo: PlanView::new(&plan, Lens::Owner, dashboard::PRINTED),
        left_alone,
        trouble: (!plan.unreadable.is_empty())
            .then(|| "Some calendars cannot be read now, so not everything can be taken back.".to_owned()),
    };
    ctx.show(res, format!("Run {}", run.number), &page);
    Ok(())
}

/// Takes a run back.
#[handler]
pub async fn take_back(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let run = run_of(&ctx, req).await?;
    let TakenBack { outcomes, .. } = undo::undo(&ctx.front.app, run.number, Mode::Apply).await?;
    let failed = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }));
    see_other(res, if failed { "/app/settings?said=undo-partly" } else { "/app/settings?said=taken-back" });
    Ok(())
}
