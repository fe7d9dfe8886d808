//! Users: who they are, how their calendars stand, and what can be done for them.

use salvo::{Depot, Request, Response, handler};

use super::{
    super::{
        consultant::{dashboard, log},
        ctx::{self, Ctx},
        error::Refusal,
        see_other, session,
    },
    status::fresh,
};
use crate::{
    controller::{
        admin,
        board::waiting,
        intent::{self, Word},
        preview,
        queue::Scope,
        tick::{Mode, tick},
    },
    model::{calendar::Role, id::UserId},
    pages::{
        admin::{RemoveUser, UserLine, UserPage, Users},
        consultant::{PlanPage, State},
        plan::PlanView,
        shell::Way,
    },
    planner::render::Lens,
    store::{calendars::CalendarRow, log::LogFilter, people::User},
};

/// Lines of a user's log.
const LINES: usize = 20;

/// The user that the address names.
///
/// # Errors
/// When there is none.
pub async fn named(ctx: &Ctx, req: &Request) -> Result<User, Refusal> {
    let number = ctx::number(req, "id")?;
    ctx.front.app.store.user(UserId(number)).await?.ok_or_else(Refusal::missing)
}

/// How it is with a user, in one sentence.
fn state(ctx: &Ctx, user: &User, rows: &[CalendarRow], all_paused: bool) -> State {
    if user.removing {
        return State::new("working", "being removed");
    }
    let states = rows.iter().map(|row| {
        let seen = ctx.front.desk.board.seen(row.number);
        (row, dashboard::state_of(&ctx.front, user, row, &seen, all_paused).0)
    });
    let worst = states.max_by_key(|(_, state)| state.weight());
    match worst {
        None => State::new("new", "no calendar connected"),
        Some((_, state)) if state.tone == "ok" => State::new("ok", "in sync"),
        Some((row, state)) => State { text: format!("{}: {}", row.name, state.text), ..state },
    }
}

async fn line(ctx: &Ctx, user: &User, rows: &[CalendarRow], all_paused: bool) -> Result<UserLine, Refusal> {
    let signed_in = ctx.front.app.store.last_sign_ins().await?.get(&user.id).copied().flatten();
    Ok(UserLine {
        number: user.id.0,
        email: user.email.clone(),
        name: user.name.clone(),
        admin: user.admin,
        calendars: rows.len(),
        signed_in: signed_in.map(|at| ctx.when(at, ctx::zone(rows))),
        state: state(ctx, user, rows, all_paused),
    })
}

/// All users, or those that are searched for.
#[handler]
pub async fn show_users(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let store = &ctx.front.app.store;
    let search = req.queries().get("q").map(|text| text.trim().to_owned()).unwrap_or_default();
    let wanted = search.to_lowercase();
    let all = store.users().await?;
    let paused = store.is_paused().await?;
    let mut users = Vec::new();
    let found =
        |user: &&User| user.email.to_lowercase().contains(&wanted) || user.name.to_lowercase().contains(&wanted);
    for user in all.iter().filter(found) {
        let rows = store.calendars_of(user.id).await?;
        users.push(line(&ctx, user, &rows, paused).await?);
    }
    let mut shell = ctx.shell("Users");
    shell.wide = true;
    let page = Users { users, search, all: all.len() };
    res.render(salvo::writing::Text::Html(crate::pages::html(&shell, &page)));
    Ok(())
}

/// One user.
#[handler]
pub async fn show_user(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    let store = &ctx.front.app.store;
    let rows = store.calendars_of(user.id).await?;
    let (paused, blocks) = (store.is_paused().await?, store.blocks_of(user.id).await?);
    let zone = ctx::zone(&rows);
    let filter = LogFilter { user: Some(user.id), ..LogFilter::default() };
    let page = UserPage {
        line: line(&ctx, &user, &rows, paused).await?,
        paused: user.paused,
        removing: user.removing,
        own: user.id == ctx.id(),
        calendars: rows
            .iter()
            .map(|row| {
                let n = blocks.get(&row.number).copied().unwrap_or(0);
                dashboard::line(&ctx.front, &ctx, &user, row, n, paused, &rows)
            })
            .collect(),
        log: store.log_lines(&filter, LINES).await?.iter().map(|one| log::line(&ctx, one, zone, None)).collect(),
        zone: zone.name().to_owned(),
    };
    ctx.show(res, user.email.clone(), &page);
    Ok(())
}

/// What would change for a user now; without titles.
#[handler]
pub async fn show_user_plan(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    let plan = tick(&ctx.front.app, user.id, Mode::DryRun).await?.plan;
    let mut lines: Vec<_> = waiting(&plan).iter().map(dashboard::waiting_line).collect();
    // What becomes of a person's own meeting is theirs to say.
    lines.retain(|line| !line.can_keep);
    let page = PlanPage {
        heading: format!("What would change for {}", user.email),
        plan: PlanView::new(&plan, Lens::Redacted, dashboard::PRINTED),
        waiting: lines,
        action: format!("/admin/users/{}/approve", user.id),
        back: Way { href: format!("/admin/users/{}", user.id), text: "Back".into() },
    };
    ctx.show(res, "Plan", &page);
    Ok(())
}

/// Approves removals that the brake holds.
#[handler]
pub async fn approve(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    let form = session::form(depot);
    let plan = tick(&ctx.front.app, user.id, Mode::DryRun).await?.plan;
    let own = waiting(&plan)
        .iter()
        .any(|one| one.code == form.text("code") && one.reason == crate::model::plan::HeldReason::OthersInvited);
    if own {
        return Err(Refusal::conflict("not_yours", "What becomes of a person's own meeting is theirs to say."));
    }
    let n = intent::answer(&ctx.front.app, user.id, form.text("code"), Word::Approve).await?;
    let by = usize::try_from(ctx.id().0).unwrap_or(0);
    ctx.front.app.store.log(user.id, None, "removals approved", "success", &[("removals", n), ("by_user", by)]).await?;
    ctx::ring(&ctx.front, user.id, Scope::all());
    see_other(res, &format!("/admin/users/{}?said=approved", user.id));
    Ok(())
}

/// Notes what an admin did to a user.
async fn note(ctx: &Ctx, user: UserId, calendar: Option<i64>, action: &str) -> Result<(), Refusal> {
    let by = usize::try_from(ctx.id().0).unwrap_or(0);
    Ok(ctx.front.app.store.log(user, calendar, action, "success", &[("by_user", by)]).await?)
}

/// Looks at a user's calendars now.
#[handler]
pub async fn sync_user(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    ctx::ring(&ctx.front, user.id, Scope::all());
    see_other(res, &format!("/admin/users/{}?said=checking", user.id));
    Ok(())
}

/// Silence for a user.
#[handler]
pub async fn pause_user(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    ctx.front.app.store.pause_user(user.id, true).await?;
    note(&ctx, user.id, None, "user paused").await?;
    see_other(res, &format!("/admin/users/{}?said=paused", user.id));
    Ok(())
}

/// The end of that silence.
#[handler]
pub async fn resume_user(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    ctx.front.app.store.pause_user(user.id, false).await?;
    note(&ctx, user.id, None, "user resumed").await?;
    ctx::ring(&ctx.front, user.id, Scope::all());
    see_other(res, &format!("/admin/users/{}?said=resumed", user.id));
    Ok(())
}

/// Makes a user sign in and connect their accounts again.
#[handler]
pub async fn reauth_user(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    force_reauth(&ctx, &user).await?;
    see_other(res, &format!("/admin/users/{}?said=reauth", user.id));
    Ok(())
}

/// Makes a user sign in and connect their accounts again.
///
/// # Errors
/// When our database fails.
pub async fn force_reauth(ctx: &Ctx, user: &User) -> Result<(), Refusal> {
    admin::force_reauth(&ctx.front.app, user.id).await?;
    note(ctx, user.id, None, "sign-in forced").await
}

/// Makes a user an admin, or none.
///
/// # Errors
/// When this is the last admin.
pub async fn settle_admin(ctx: &Ctx, user: &User, admin: bool) -> Result<(), Refusal> {
    if user.admin == admin {
        return Ok(());
    }
    if !ctx.front.app.store.set_admin(user.id, admin).await? {
        return Err(Refusal::conflict("last_admin", "This is the last admin. Make somebody else one first."));
    }
    note(ctx, user.id, None, if admin { "made an admin" } else { "admin rights taken away" }).await
}

/// Makes a user an admin.
#[handler]
pub async fn promote(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    fresh(&ctx, &format!("/admin/users/{}", user.id))?;
    settle_admin(&ctx, &user, true).await?;
    see_other(res, &format!("/admin/users/{}?said=promoted", user.id));
    Ok(())
}

/// Takes the rights of an admin away.
#[handler]
pub async fn demote(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    settle_admin(&ctx, &user, false).await?;
    let to = if user.id == ctx.id() { "/app".to_owned() } else { format!("/admin/users/{}?said=demoted", user.id) };
    see_other(res, &to);
    Ok(())
}

/// Asks whether a user is to be removed.
#[handler]
pub async fn ask_to_remove(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    let mut sentences = Vec::new();
    for row in ctx.front.app.store.calendars_of(user.id).await? {
        let leaving = preview::of_leaving(&ctx.front.app, &user, &row).await?;
        if leaving.here > 0 && row.role != Role::Personal {
            sentences.push(format!("{} events of ours leave {}.", leaving.here, row.name));
        }
    }
    sentences
        .push("What people made stays everywhere. All calendars and permissions of the user are forgotten.".into());
    let page = RemoveUser { number: user.id.0, email: user.email.clone(), sentences };
    ctx.show(res, "Remove a user", &page);
    Ok(())
}

/// Removes a user, once everything we made for them is gone.
#[handler]
pub async fn remove(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    begin_removal(&ctx, &user).await?;
    see_other(res, "/admin/users?said=removing");
    Ok(())
}

/// Begins to remove a user.
///
/// # Errors
/// For oneself and for the last admin.
pub async fn begin_removal(ctx: &Ctx, user: &User) -> Result<(), Refusal> {
    if user.id == ctx.id() {
        return Err(Refusal::conflict("self", "You cannot remove yourself. Ask another admin."));
    }
    let store = &ctx.front.app.store;
    let admins = store.users().await?.iter().filter(|one| one.admin && !one.removing && one.id != user.id).count();
    if user.admin && admins == 0 {
        return Err(Refusal::conflict("last_admin", "This is the last admin. Make somebody else one first."));
    }
    note(ctx, user.id, None, "removal begun").await?;
    store.begin_removal(user.id).await?;
    store.end_sessions_of(user.id).await?;
    ctx::ring(&ctx.front, user.id, Scope::all());
    Ok(())
}

/// Leaves a calendar for a user.
///
/// # Errors
/// When it is not this user's.
pub async fn disconnect_for(ctx: &Ctx, user: &User, calendar: i64) -> Result<(), Refusal> {
    let store = &ctx.front.app.store;
    let rows = store.calendars_of(user.id).await?;
    let row = rows.iter().find(|row| row.number == calendar).ok_or_else(Refusal::missing)?;
    if row.role == Role::Main {
        return Err(Refusal::conflict(
            "main_calendar",
            "The main calendar is left by choosing another, or with its user.",
        ));
    }
    store.leave_calendar(user.id, row.number).await?;
    note(ctx, user.id, Some(row.number), "calendar disconnected").await?;
    ctx::ring(&ctx.front, user.id, Scope::all());
    Ok(())
}

/// Leaves a calendar for a user.
#[handler]
pub async fn disconnect(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let user = named(&ctx, req).await?;
    disconnect_for(&ctx, &user, ctx::number(req, "calendar")?).await?;
    see_other(res, &format!("/admin/users/{}?said=leaving", user.id));
    Ok(())
}
