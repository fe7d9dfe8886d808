//! Client's and personal calendars. A number of the one kind is none of the other.

use salvo::{Depot, Request, oapi::endpoint, writing::Json};

use super::{
    super::{consultant::dashboard, ctx::Ctx, error::Refusal},
    Accepted, Created, body,
    types::{Calendar, NewCalendar, time},
};
use crate::{
    controller::{connect, queue::Scope},
    model::calendar::{Role, Standing, Why},
    store::{calendars::CalendarRow, people::User, tokens::TokenId},
};

/// A calendar as the API tells it.
pub fn told(ctx: &Ctx, user: &User, row: &CalendarRow, events: u32, all_paused: bool) -> Calendar {
    let seen = ctx.front.desk.board.seen(row.number);
    let (state, _) = dashboard::state_of(&ctx.front, user, row, &seen, all_paused);
    Calendar {
        id: row.number,
        name: row.name.clone(),
        account: row.account.clone(),
        role: row.role.word().into(),
        standing: match row.standing {
            Standing::Offered => "offered",
            Standing::Connected => "connected",
            Standing::Leaving => "leaving",
        }
        .into(),
        state: state.tone.into(),
        sentence: state.text,
        events,
        last_checked: seen.read.map(time),
        next_check: seen.next.map(time),
        readings: seen.pulse.into(),
    }
}

/// All calendars of a user in these roles.
pub async fn all(ctx: &Ctx, user: &User, roles: &[Role]) -> Result<Vec<Calendar>, Refusal> {
    let store = &ctx.front.app.store;
    let (rows, blocks) = (store.calendars_of(user.id).await?, store.blocks_of(user.id).await?);
    let paused = store.is_paused().await?;
    let rows = rows.iter().filter(|row| roles.contains(&row.role));
    Ok(rows.map(|row| told(ctx, user, row, blocks.get(&row.number).copied().unwrap_or(0), paused)).collect())
}

async fn find(ctx: &Ctx, req: &Request, role: Role) -> Result<CalendarRow, Refusal> {
    let row = ctx.row(req).await?;
    if row.role == role { Ok(row) } else { Err(Refusal::missing()) }
}

async fn one(ctx: &Ctx, number: i64, role: Role) -> Result<Calendar, Refusal> {
    let found = all(ctx, ctx.user(), &[role]).await?.into_iter().find(|calendar| calendar.id == number);
    found.ok_or_else(Refusal::missing)
}

async fn choose(req: &mut Request, depot: &mut Depot, role: Role) -> Result<Created<Calendar>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let NewCalendar { token_id, calendar_id } = body::read(req, ctx.front.limits.patience).await?;
    let number = connect::choose(&ctx.front.app, ctx.id(), TokenId(token_id), &calendar_id, role).await?;
    let calendar = one(&ctx, number, role).await?;
    Ok(Created(calendar))
}

async fn disconnect(req: &mut Request, depot: &mut Depot, role: Role) -> Result<Accepted<Calendar>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = find(&ctx, req, role).await?;
    ctx.front.app.store.leave_calendar(ctx.id(), row.number).await?;
    ctx.ring(Scope::all());
    let calendar = one(&ctx, row.number, role).await?;
    Ok(Accepted(calendar))
}

async fn check(req: &mut Request, depot: &mut Depot, role: Role) -> Result<Accepted<Calendar>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = find(&ctx, req, role).await?;
    let refused = match (row.standing, row.failed) {
        (Standing::Leaving, _) => Some(("disconnecting", "The calendar is being disconnected.")),
        (Standing::Offered, _) => Some(("not_begun", "Look at what would change, and begin first.")),
        (_, Some(Why::Revoked | Why::Lapsed | Why::Scope)) => {
            Some(("needs_reauth", "Connect the account again first."))
        }
        _ if row.paused || ctx.user().paused || ctx.front.app.store.is_paused().await? => {
            Some(("paused", "It is paused."))
        }
        _ => None,
    };
    if let Some((code, message)) = refused {
        return Err(Refusal::conflict(code, message));
    }
    ctx.front.limits.sync(row.number)?;
    ctx.ring(Scope::one(row.number));
    let calendar = one(&ctx, row.number, role).await?;
    Ok(Accepted(calendar))
}

async fn begin(req: &mut Request, depot: &mut Depot, role: Role) -> Result<Accepted<Calendar>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = find(&ctx, req, role).await?;
    ctx.front.app.store.begin_calendar(ctx.id(), row.number).await?;
    ctx.ring(Scope::all());
    let calendar = one(&ctx, row.number, role).await?;
    Ok(Accepted(calendar))
}

async fn look(req: &mut Request, depot: &mut Depot, role: Role) -> Result<Json<Calendar>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = find(&ctx, req, role).await?;
    Ok(Json(one(&ctx, row.number, role).await?))
}

/// The clients' calendars of the person
#[endpoint(tags("client calendars"))]
pub async fn list_clients(req: &mut Request, depot: &mut Depot) -> Result<Json<Vec<Calendar>>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    Ok(Json(all(&ctx, ctx.user(), &[Role::Client]).await?))
}

/// Connects a calendar of a client's account; it takes part in nothing until it is begun
#[endpoint(tags("client calendars"), request_body = NewCalendar)]
pub async fn connect_client(req: &mut Request, depot: &mut Depot) -> Result<Created<Calendar>, Refusal> {
    choose(req, depot, Role::Client).await
}

/// Disconnects a client's calendar; what we made is removed first
#[endpoint(tags("client calendars"), parameters(("id" = i64, Path, description = "The calendar")))]
pub async fn disconnect_client(req: &mut Request, depot: &mut Depot) -> Result<Accepted<Calendar>, Refusal> {
    disconnect(req, depot, Role::Client).await
}

/// Looks at a client's calendar now
#[endpoint(tags("client calendars"), parameters(("id" = i64, Path, description = "The calendar")))]
pub async fn sync_client(req: &mut Request, depot: &mut Depot) -> Result<Accepted<Calendar>, Refusal> {
    check(req, depot, Role::Client).await
}

/// Lets a client's calendar take part from now on
#[endpoint(tags("client calendars"), parameters(("id" = i64, Path, description = "The calendar")))]
pub async fn begin_client(req: &mut Request, depot: &mut Depot) -> Result<Accepted<Calendar>, Refusal> {
    begin(req, depot, Role::Client).await
}

/// How it is with a client's calendar
#[endpoint(tags("client calendars"), parameters(("id" = i64, Path, description = "The calendar")))]
pub async fn client_status(req: &mut Request, depot: &mut Depot) -> Result<Json<Calendar>, Refusal> {
    look(req, depot, Role::Client).await
}

/// The personal calendars of the person
#[endpoint(tags("personal calendars"))]
pub async fn list_personal(req: &mut Request, depot: &mut Depot) -> Result<Json<Vec<Calendar>>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    Ok(Json(all(&ctx, ctx.user(), &[Role::Personal]).await?))
}

/// Connects a personal calendar; it takes part in nothing until it is begun
#[endpoint(tags("personal calendars"), request_body = NewCalendar)]
pub async fn connect_personal(req: &mut Request, depot: &mut Depot) -> Result<Created<Calendar>, Refusal> {
    choose(req, depot, Role::Personal).await
}

/// Disconnects a personal calendar; what we made of it elsewhere is removed first
#[endpoint(tags("personal calendars"), parameters(("id" = i64, Path, description = "The calendar")))]
pub async fn disconnect_personal(req: &mut Request, depot: &mut Depot) -> Result<Accepted<Calendar>, Refusal> {
    disconnect(req, depot, Role::Personal).await
}

/// Looks at a personal calendar now
#[endpoint(tags("personal calendars"), parameters(("id" = i64, Path, description = "The calendar")))]
pub async fn sync_personal(req: &mut Request, depot: &mut Depot) -> Result<Accepted<Calendar>, Refusal> {
    check(req, depot, Role::Personal).await
}

/// Lets a personal calendar take part from now on
#[endpoint(tags("personal calendars"), parameters(("id" = i64, Path, description = "The calendar")))]
pub async fn begin_personal(req: &mut Request, depot: &mut Depot) -> Result<Accepted<Calendar>, Refusal> {
    begin(req, depot, Role::Personal).await
}

/// How it is with a personal calendar
#[endpoint(tags("personal calendars"), parameters(("id" = i64, Path, description = "The calendar")))]
pub async fn personal_status(req: &mut Request, depot: &mut Depot) -> Result<Json<Calendar>, Refusal> {
    look(req, depot, Role::Personal).await
}
