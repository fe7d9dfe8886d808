//! The person whose session it is.

use salvo::{Depot, Request, Response, oapi::endpoint, writing::Json};

use super::{
    super::{consultant::settings::kinds, ctx::Ctx, error::Refusal, session},
    body,
    types::{Account, Offered, Preference, Preferences, Profile, WhichCalendar},
};
use crate::{
    controller::{connect, queue::Scope},
    model::{alert::AlertKind, calendar::Role},
};

async fn profile(ctx: &Ctx) -> Result<Profile, Refusal> {
    let rows = ctx.rows().await?;
    let user = ctx.user();
    Ok(Profile {
        id: user.id.0,
        email: user.email.clone(),
        name: user.name.clone(),
        is_admin: user.admin,
        main_calendar: rows.iter().find(|row| row.role == Role::Main).map(|row| row.number),
        csrf_token: session::csrf(&ctx.front, &ctx.visitor.session),
    })
}

/// Who is signed in
#[endpoint(tags("me"))]
pub async fn get_profile(req: &mut Request, depot: &mut Depot) -> Result<Json<Profile>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    Ok(Json(profile(&ctx).await?))
}

/// Makes a calendar of the home account the main one
#[endpoint(tags("me"), request_body = WhichCalendar)]
pub async fn set_main_calendar(req: &mut Request, depot: &mut Depot) -> Result<Json<Profile>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let WhichCalendar { calendar_id } = body::read(req, ctx.front.limits.patience).await?;
    let app = &ctx.front.app;
    let token = app.store.home_account(ctx.id()).await?;
    let token = token.ok_or_else(|| Refusal::conflict("needs_reauth", "Sign in again first."))?;
    connect::choose(app, ctx.id(), token, &calendar_id, Role::Main).await?;
    ctx.ring(Scope::all());
    Ok(Json(profile(&ctx).await?))
}

/// The calendars of the home account, to choose the main one from
///
/// With `token_id`, those of another account of the person.
#[endpoint(tags("me"), parameters(("token_id" = Option<i64>, Query, description = "The account")))]
pub async fn list_offered(req: &mut Request, depot: &mut Depot) -> Result<Json<Vec<Offered>>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let app = &ctx.front.app;
    let token = match req.queries().get("token_id") {
        Some(text) => crate::store::tokens::TokenId(text.parse().map_err(|_| Refusal::missing())?),
        None => app
            .store
            .home_account(ctx.id())
            .await?
            .ok_or_else(|| Refusal::conflict("needs_reauth", "Sign in again first."))?,
    };
    let offered = connect::offered(app, ctx.id(), token).await?;
    let list = offered.into_iter().map(|one| Offered {
        id: one.id.as_str().to_owned(),
        name: one.name,
        time_zone: one.zone,
        primary: one.primary,
        writable: one.writable,
        used_as: one.used.map(|role| role.word().to_owned()),
    });
    Ok(Json(list.collect()))
}

/// The Google accounts of the person
#[endpoint(tags("me"))]
pub async fn list_accounts(req: &mut Request, depot: &mut Depot) -> Result<Json<Vec<Account>>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let store = &ctx.front.app.store;
    let mut accounts = Vec::new();
    for token in store.tokens_of(ctx.id()).await? {
        let Some((kind, email)) = store.account_of(ctx.id(), token).await? else { continue };
        let ended = store.account(token).await?.is_some_and(|account| account.ended.is_some());
        accounts.push(Account { id: token.0, email, kind: kind.word().into(), needs_reauth: ended });
    }
    Ok(Json(accounts))
}

/// Which mails are wanted
#[endpoint(tags("me"))]
pub async fn get_preferences(req: &mut Request, depot: &mut Depot) -> Result<Json<Preferences>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    of(&ctx).await
}

async fn of(ctx: &Ctx) -> Result<Json<Preferences>, Refusal> {
    let unwanted = ctx.front.app.store.unwanted_alerts().await?;
    let preferences = kinds(ctx.user())
        .map(|kind| Preference { alert_type: kind.word().into(), enabled: !unwanted.contains(&(ctx.id(), kind)) });
    Ok(Json(Preferences { preferences: preferences.collect() }))
}

/// Settles which mails are wanted; types that are left out stay as they are
#[endpoint(tags("me"), request_body = Preferences)]
pub async fn change_preferences(
    req: &mut Request,
    depot: &mut Depot,
    res: &mut Response,
) -> Result<Json<Preferences>, Refusal> {
    let _ = res;
    let ctx = Ctx::of(req, depot)?;
    let Preferences { preferences } = body::read(req, ctx.front.limits.patience).await?;
    let unknown =
        || Refusal::unfit("unknown_alert_type", "There is no such type of alert for you.").of_field("preferences");
    if preferences.len() > AlertKind::ALL.len() {
        return Err(Refusal::unfit("too_many", "There are not so many types of alerts.").of_field("preferences"));
    }
    let mut wanted = Vec::new();
    for Preference { alert_type, enabled } in preferences {
        let kind = kinds(ctx.user()).find(|kind| kind.word() == alert_type).ok_or_else(unknown)?;
        wanted.push((kind, enabled));
    }
    for (kind, enabled) in wanted {
        ctx.front.app.store.prefer_alert(ctx.id(), kind, enabled).await?;
    }
    of(&ctx).await
}
