//! What admins' programs may: the installation's state, its users, its settings. Never a title.

use salvo::{Depot, Request, Response, oapi::endpoint, writing::Json};

use super::{
    super::{
        admin::{settings as pages, status as here, users as people},
        consultant::log as lines,
        ctx::{self, Ctx},
        error::{Refusal, sentence},
        forms::{is_address, is_mail_host},
    },
    Accepted, body,
    calendars::all,
    sync::{page, told},
    types::{
        AdminBody, AnyRun, Cleaned, CodeBody, Health, LogPage, NewSettings, PlanBody, ResetBody, Settings, User,
        UserBody, time,
    },
};
use crate::{
    controller::{
        self, board,
        intent::{self, Word},
        queue::Scope,
        tick::{Mode, tick},
    },
    model::{
        calendar::Role,
        plan::HeldReason,
        secret::Secret,
        smtp::{Security, Smtp},
    },
    store::{admin::Figures, people::User as Person},
};

/// A password that is kept and not told.
const KEPT: &str = "********";
/// Runs of an answer.
const RUNS: usize = 100;
/// Recipients at most.
const RECIPIENTS_MAX: usize = 50;

/// How it is with the installation
#[endpoint(tags("admin"))]
pub async fn get_health(req: &mut Request, depot: &mut Depot) -> Result<Json<Health>, Refusal> {
    Ok(Json(health(&Ctx::of(req, depot)?).await?))
}

async fn health(ctx: &Ctx) -> Result<Health, Refusal> {
    let (front, store) = (&ctx.front, &ctx.front.app.store);
    let Figures { users, calendars, ours, channels, failing, lines, failures, mails: _ } = store.figures().await?;
    let spend: std::collections::BTreeMap<&str, u64> = front.app.google.spend_figures().into_iter().collect();
    let of = |name: &str| spend.get(name).copied().unwrap_or(0);
    let trouble = front.desk.health.trouble(front.desk.moment());
    let alerts = store.alerts(ctx.now()).await?;
    Ok(Health {
        status: trouble.map_or("ok", |trouble| trouble.code()).to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
        users,
        calendars,
        events: ours,
        calendars_failing: failing,
        error_rate: if lines == 0 { 0.0 } else { f64::from(failures) / f64::from(lines) },
        queue: front.desk.metrics.queue_depth.get(),
        webhook_channels: channels,
        open_alerts: alerts.iter().filter(|alert| alert.resolved.is_none()).count(),
        paused: store.is_paused().await?,
        requests_today: of("used"),
        requests_limit: of("limit"),
        requests_forecast: of("forecast"),
    })
}

async fn user_told(ctx: &Ctx, user: &Person) -> Result<User, Refusal> {
    let store = &ctx.front.app.store;
    let signed_in = store.last_sign_ins().await?.get(&user.id).copied().flatten();
    Ok(User {
        id: user.id.0,
        email: user.email.clone(),
        name: user.name.clone(),
        is_admin: user.admin,
        paused: user.paused,
        removing: user.removing,
        calendars: store.calendars_of(user.id).await?.len(),
        last_sign_in: signed_in.map(time),
    })
}

/// All users
#[endpoint(tags("admin"))]
pub async fn list_users(req: &mut Request, depot: &mut Depot) -> Result<Json<Vec<User>>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let mut list = Vec::new();
    for one in ctx.front.app.store.users().await? {
        list.push(user_told(&ctx, &one).await?);
    }
    Ok(Json(list))
}

/// One user with calendars
#[endpoint(tags("admin"), parameters(("id" = i64, Path, description = "The user")))]
pub async fn get_user(req: &mut Request, depot: &mut Depot) -> Result<Json<UserBody>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let named = people::named(&ctx, req).await?;
    let calendars = all(&ctx, &named, &[Role::Main, Role::Client, Role::Personal]).await?;
    Ok(Json(UserBody { user: user_told(&ctx, &named).await?, calendars }))
}

/// Looks at a user's calendars now
#[endpoint(tags("admin"), parameters(("id" = i64, Path, description = "The user")))]
pub async fn sync_user(req: &mut Request, depot: &mut Depot) -> Result<Accepted<User>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let named = people::named(&ctx, req).await?;
    ctx::ring(&ctx.front, named.id, Scope::all());
    let body = user_told(&ctx, &named).await?;
    Ok(Accepted(body))
}

/// Makes a user sign in and connect all accounts again
#[endpoint(tags("admin"), parameters(("id" = i64, Path, description = "The user")))]
pub async fn force_sign_in(req: &mut Request, depot: &mut Depot) -> Result<Json<User>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let named = people::named(&ctx, req).await?;
    people::force_reauth(&ctx, &named).await?;
    Ok(Json(user_told(&ctx, &named).await?))
}

/// Removes a user; what we made for them is removed first
#[endpoint(tags("admin"), parameters(("id" = i64, Path, description = "The user")))]
pub async fn remove_user(req: &mut Request, depot: &mut Depot) -> Result<Accepted<User>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let named = people::named(&ctx, req).await?;
    people::begin_removal(&ctx, &named).await?;
    let body = user_told(&ctx, &Person { removing: true, ..named }).await?;
    Ok(Accepted(body))
}

/// Makes a user an admin, or none
#[endpoint(tags("admin"), request_body = AdminBody, parameters(("id" = i64, Path, description = "The user")))]
pub async fn set_admin(req: &mut Request, depot: &mut Depot) -> Result<Json<User>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let named = people::named(&ctx, req).await?;
    let AdminBody { is_admin } = body::read(req, ctx.front.limits.patience).await?;
    if is_admin {
        here::fresh(&ctx, "/admin")?;
    }
    people::settle_admin(&ctx, &named, is_admin).await?;
    let named = people::named(&ctx, req).await?;
    Ok(Json(user_told(&ctx, &named).await?))
}

/// What would change for a user now; without titles
#[endpoint(tags("admin"), parameters(("id" = i64, Path, description = "The user")))]
pub async fn get_user_plan(req: &mut Request, depot: &mut Depot) -> Result<Json<PlanBody>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let named = people::named(&ctx, req).await?;
    let tick = tick(&ctx.front.app, named.id, Mode::DryRun).await?;
    Ok(Json(told(&ctx, &tick.plan)))
}

/// Approves removals that the brake holds
#[endpoint(tags("admin"), request_body = CodeBody, parameters(("id" = i64, Path, description = "The user")))]
pub async fn approve_removals(req: &mut Request, depot: &mut Depot) -> Result<Accepted<User>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let named = people::named(&ctx, req).await?;
    let CodeBody { code } = body::read(req, ctx.front.limits.patience).await?;
    let dry = tick(&ctx.front.app, named.id, Mode::DryRun).await?.plan;
    if board::waiting(&dry).iter().any(|one| one.code == code && one.reason == HeldReason::OthersInvited) {
        return Err(Refusal::conflict("not_yours", "What becomes of a person's own meeting is theirs to say."));
    }
    intent::answer(&ctx.front.app, named.id, &code, Word::Approve).await?;
    ctx::ring(&ctx.front, named.id, Scope::all());
    let body = user_told(&ctx, &named).await?;
    Ok(Accepted(body))
}

/// Disconnects a calendar for a user
#[endpoint(tags("admin"), parameters(
    ("id" = i64, Path, description = "The user"),
    ("calendar" = i64, Path, description = "The calendar"),
))]
pub async fn disconnect_for_user(req: &mut Request, depot: &mut Depot) -> Result<Accepted<User>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let named = people::named(&ctx, req).await?;
    people::disconnect_for(&ctx, &named, ctx::number(req, "calendar")?).await?;
    let body = user_told(&ctx, &named).await?;
    Ok(Accepted(body))
}

/// The log of everybody
#[endpoint(tags("admin"), parameters(
    ("limit" = Option<usize>, Query, description = "Lines, at most 200"),
    ("user" = Option<i64>, Query, description = "Of this user"),
    ("status" = Option<String>, Query, description = "success, warning or failure"),
    ("action" = Option<String>, Query, description = "Part of the action's words"),
    ("calendar" = Option<i64>, Query, description = "Of this calendar"),
    ("from" = Option<String>, Query, description = "The first day"),
    ("to" = Option<String>, Query, description = "The last day"),
    ("before" = Option<i64>, Query, description = "Older than this line"),
))]
pub async fn list_logs(req: &mut Request, depot: &mut Depot) -> Result<Json<LogPage>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let zone = ctx::zone(&ctx.rows().await?);
    let filter = lines::asked(req, zone)?.filter;
    page(&ctx, req, filter).await
}

/// The last runs of everybody, in counts
#[endpoint(tags("admin"))]
pub async fn list_plans(req: &mut Request, depot: &mut Depot) -> Result<Json<Vec<AnyRun>>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let runs = ctx.front.app.store.any_runs(None, RUNS).await?.into_iter();
    let told = runs.map(|run| AnyRun {
        id: run.number,
        user_id: run.user.0,
        at: time(run.at),
        undoes: run.undoes,
        done: run.done,
        skipped: run.skipped,
        failed: run.failed,
        held: run.held,
    });
    Ok(Json(told.collect()))
}

/// Pauses everything: Google is neither asked nor written
#[endpoint(tags("admin"))]
pub async fn pause_everything(req: &mut Request, depot: &mut Depot) -> Result<Json<Health>, Refusal> {
    settle_pause(req, depot, true).await
}

/// Resumes everything
#[endpoint(tags("admin"))]
pub async fn resume_everything(req: &mut Request, depot: &mut Depot) -> Result<Json<Health>, Refusal> {
    settle_pause(req, depot, false).await
}

async fn settle_pause(req: &mut Request, depot: &mut Depot, paused: bool) -> Result<Json<Health>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let store = &ctx.front.app.store;
    if store.is_paused().await? != paused {
        store.pause_all(paused).await?;
        let what = if paused { "everything paused" } else { "everything resumed" };
        store.log(ctx.id(), None, what, "success", &[]).await?;
        for one in store.users().await? {
            ctx::ring(&ctx.front, one.id, Scope::all());
        }
    }
    Ok(Json(health(&ctx).await?))
}

/// Forgets what is old, by the table of retention
#[endpoint(tags("admin"))]
pub async fn clean_up(req: &mut Request, depot: &mut Depot) -> Result<Json<Cleaned>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let crate::store::retention::Forgotten { tombstones, log, runs, calendars, others } = here::forget(&ctx).await?;
    Ok(Json(Cleaned { tombstones, log, runs, calendars, others }))
}

async fn settings_told(ctx: &Ctx) -> Result<Json<Settings>, Refusal> {
    let store = &ctx.front.app.store;
    let organization = store.organization().await?.ok_or_else(Refusal::missing)?;
    let smtp = store.smtp().await?;
    Ok(Json(Settings {
        domain: organization.domain,
        google_client_id: organization.client_id,
        smtp_host: smtp.as_ref().map(|smtp| smtp.host.clone()),
        smtp_port: smtp.as_ref().map(|smtp| smtp.port),
        smtp_security: smtp.as_ref().map(|smtp| smtp.security.word().into()),
        smtp_username: smtp.as_ref().and_then(|smtp| smtp.user.clone()),
        smtp_password: smtp.as_ref().and_then(|smtp| smtp.password.as_ref()).map(|_| KEPT.into()),
        smtp_from_address: smtp.map(|smtp| smtp.from),
        alert_emails: store.alert_recipients().await?,
    }))
}

/// The installation's settings, without secrets
#[endpoint(tags("admin"))]
pub async fn get_settings(req: &mut Request, depot: &mut Depot) -> Result<Json<Settings>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    settings_told(&ctx).await
}

/// Changes settings; what is left out stays
#[endpoint(tags("admin"), request_body = NewSettings)]
pub async fn change_settings(req: &mut Request, depot: &mut Depot) -> Result<Json<Settings>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let new: NewSettings = body::read(req, ctx.front.limits.patience).await?;
    let store = &ctx.front.app.store;
    if let Some(all) = &new.alert_emails
        && (all.len() > RECIPIENTS_MAX || !all.iter().all(|one| is_address(one)))
    {
        return Err(Refusal::unfit("invalid_address", "Name at most fifty mail addresses.").of_field("alert_emails"));
    }
    let smtp = changed_smtp(store.smtp().await?, &new)?;
    if new.google_client_id.is_some() || new.google_client_secret.is_some() {
        here::fresh(&ctx, "/admin/settings")?;
        let kept = store.organization().await?.ok_or_else(Refusal::missing)?.client_id;
        let secret = new.google_client_secret.clone().map(Secret::new);
        let id = new.google_client_id.clone().unwrap_or(kept);
        pages::settle_client(&ctx, &id, secret).await.map_err(|(status, wrong)| {
            let (field, text) = match (wrong.client_id, wrong.client_secret) {
                (Some(text), _) => ("google_client_id", text),
                (None, Some(text)) => ("google_client_secret", text),
                (None, None) => ("google_client_id", "They could not be changed.".into()),
            };
            Refusal::new(status, "credentials_rejected", text).of_field(field)
        })?;
    }
    if let Some(smtp) = smtp {
        store.set_smtp(Some(&smtp)).await?;
        store.log(ctx.id(), None, "mail settings changed", "success", &[]).await?;
    }
    if let Some(all) = &new.alert_emails {
        store.set_alert_recipients(all).await?;
    }
    settings_told(&ctx).await
}

/// The mail server as it would be; none: nothing about it changes.
fn changed_smtp(kept: Option<Smtp>, new: &NewSettings) -> Result<Option<Smtp>, Refusal> {
    let NewSettings { smtp_host, smtp_port, smtp_security, smtp_username, smtp_password, smtp_from_address, .. } = new;
    let touched = smtp_host.is_some()
        || smtp_port.is_some()
        || smtp_security.is_some()
        || smtp_username.is_some()
        || smtp_password.is_some()
        || smtp_from_address.is_some();
    if !touched {
        return Ok(None);
    }
    let unfit = |field, text: &str| Refusal::unfit("invalid_smtp", text).of_field(field);
    let host = smtp_host.clone().or(kept.as_ref().map(|smtp| smtp.host.clone())).unwrap_or_default();
    if !is_mail_host(&host) {
        return Err(unfit("smtp_host", "This is no name of a server."));
    }
    let port = smtp_port.or(kept.as_ref().map(|smtp| smtp.port.into())).unwrap_or(587);
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| unfit("smtp_port", "A port is a number from 1 to 65535."))?;
    let security = match smtp_security {
        Some(word) => Security::from_word(word).ok_or_else(|| unfit("smtp_security", "Say starttls, tls or none."))?,
        None => kept.as_ref().map_or(Security::StartTls, |smtp| smtp.security),
    };
    let from = smtp_from_address.clone().or(kept.as_ref().map(|smtp| smtp.from.clone())).unwrap_or_default();
    if !is_address(&from) {
        return Err(unfit("smtp_from_address", "This is no mail address."));
    }
    let user = match smtp_username {
        Some(user) => Some(user.clone()).filter(|user| !user.is_empty()),
        None => kept.as_ref().and_then(|smtp| smtp.user.clone()),
    };
    let before = kept.and_then(|smtp| smtp.password);
    let password = match smtp_password.as_deref() {
        None | Some(KEPT) => before,
        Some("") => None,
        Some(new) => Some(Secret::new(new.to_owned())),
    };
    if password.is_some() && security == Security::None {
        return Err(unfit("smtp_security", "A password would go over an unencrypted connection."));
    }
    Ok(Some(Smtp { host, port, security, user, password, from }))
}

/// Sends a test message to the admin who asks
#[endpoint(tags("admin"))]
pub async fn send_test_email(req: &mut Request, depot: &mut Depot) -> Result<Json<Settings>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let smtp = ctx.front.app.store.smtp().await?;
    let smtp = smtp.ok_or_else(|| Refusal::conflict("no_mail_server", "No mail server is set."))?;
    ctx.front.limits.test_mail(ctx.id().0)?;
    controller::setup::test_mail(&ctx.front.app, &smtp, &ctx.user().email)
        .await
        .map_err(|error| Refusal::unfit("mail_refused", sentence(&error)))?;
    settings_told(&ctx).await
}

/// Removes everything we wrote at Google, forgets everybody, and begins with the set-up again
#[endpoint(tags("admin"), request_body = ResetBody)]
pub async fn reset_everything(req: &mut Request, depot: &mut Depot) -> Result<Json<Cleaned>, Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let ResetBody { confirmation, abandon_remote } = body::read(req, ctx.front.limits.patience).await?;
    if confirmation != "RESET" {
        return Err(Refusal::malformed("confirmation_required", "Send RESET as confirmation.").of_field("confirmation"));
    }
    here::fresh(&ctx, "/admin/reset")?;
    match pages::wipe(&ctx, abandon_remote).await? {
        Ok(()) => Ok(Json(Cleaned { tombstones: 0, log: 0, runs: 0, calendars: 0, others: 0 })),
        Err(stuck) => {
            let message = format!(
                "{} calendars could not be swept, so nothing is forgotten yet. Try again later, or send abandon_remote.",
                stuck.len()
            );
            Err(Refusal::conflict("remote_cleanup_incomplete", message))
        }
    }
}

/// A copy of the database, without sessions and secrets of channels
#[endpoint(tags("admin"), responses(
    (status_code = 200, description = "An SQLite database", content_type = "application/vnd.sqlite3"),
))]
pub async fn export_database(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    here::fresh(&ctx, "/admin")?;
    ctx.front.limits.export(ctx.id().0)?;
    here::copy(&ctx, res).await
}
