//! The installation's settings, and its end.

use salvo::{Depot, Request, Response, handler, http::StatusCode};

use super::{
    super::{
        ctx::Ctx,
        error::{Refusal, sentence},
        forms::{self, SmtpForm},
        see_other, session, setup,
    },
    status::fresh,
};
use crate::{
    controller::{self, admin},
    model::secret::Secret,
    pages::{
        admin::{Reset, Settings},
        setup::{Fields, SmtpFields},
    },
};

/// What a form about them led to.
#[derive(Default)]
struct Told {
    client_id: Option<String>,
    client_wrong: Fields,
    smtp: Option<SmtpFields>,
    sent: Option<String>,
    failed: Option<String>,
}

async fn render(ctx: &Ctx, res: &mut Response, told: Told) -> Result<(), Refusal> {
    let store = &ctx.front.app.store;
    let organization = store.organization().await?.ok_or_else(Refusal::missing)?;
    let kept = store.smtp().await?;
    let recipients = store.alert_recipients().await?;
    let page = Settings {
        domain: organization.domain,
        client_id: told.client_id.unwrap_or(organization.client_id),
        client_wrong: told.client_wrong,
        has_smtp: kept.is_some(),
        smtp: told.smtp.unwrap_or_else(|| SmtpFields::kept(kept.as_ref(), &recipients)),
        sent: told.sent,
        failed: told.failed,
        paused: store.is_paused().await?,
    };
    ctx.show(res, "Administration", &page);
    Ok(())
}

/// Shows them.
#[handler]
pub async fn show_admin_settings(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    render(&ctx, res, Told::default()).await
}

/// Settles client id and secret, if Google knows them.
///
/// # Errors
/// A refusal by field.
pub async fn settle_client(ctx: &Ctx, id: &str, secret: Option<Secret<String>>) -> Result<(), (StatusCode, Fields)> {
    let store = &ctx.front.app.store;
    let inside = |_| (StatusCode::INTERNAL_SERVER_ERROR, Fields::default());
    let organization = store.organization().await.map_err(inside)?;
    let organization = organization.ok_or((StatusCode::SERVICE_UNAVAILABLE, Fields::default()))?;
    let secret = secret.or(Some(organization.client_secret));
    let (id, secret) =
        setup::checked_credentials(id, secret).map_err(|wrong| (StatusCode::UNPROCESSABLE_ENTITY, wrong))?;
    let wrong = |status, text: &str| (status, Fields { client_id: Some(text.into()), client_secret: None });
    match controller::setup::knows_client(&ctx.front.app, &id, &secret).await {
        Ok(true) => {}
        Ok(false) => {
            let text = "Google does not know this client id with this secret. The old ones stay in force.";
            return Err(wrong(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        Err(_) => {
            let text = "Google did not answer, so they could not be tested. The old ones stay in force.";
            return Err(wrong(StatusCode::SERVICE_UNAVAILABLE, text));
        }
    }
    store.set_organization(&organization.domain, &id, &secret).await.map_err(inside)?;
    store.log(ctx.id(), None, "credentials changed", "success", &[]).await.map_err(inside)
}

/// Takes client id and secret.
#[handler]
pub async fn save_credentials(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    fresh(&ctx, "/admin/settings")?;
    let form = session::form(depot);
    forms::only(&form, &["client_id", "client_secret"])?;
    let secret =
        Some(form.text("client_secret")).filter(|text| !text.is_empty()).map(|text| Secret::new(text.to_owned()));
    match settle_client(&ctx, form.text("client_id"), secret).await {
        Ok(()) => {
            see_other(res, "/admin/settings?said=saved");
            Ok(())
        }
        Err((status, wrong)) => {
            res.status_code(status);
            let client_id = Some(form.text("client_id").to_owned());
            render(&ctx, res, Told { client_id, client_wrong: wrong, ..Told::default() }).await
        }
    }
}

/// Takes the mail server, or tries it.
#[handler]
pub async fn save_mail(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let form = session::form(depot);
    forms::only(&form, forms::SMTP)?;
    let store = &ctx.front.app.store;
    if form.text("do") == "off" {
        store.set_smtp(None).await?;
        see_other(res, "/admin/settings?said=saved#mail");
        return Ok(());
    }
    let kept = store.smtp().await?.and_then(|smtp| smtp.password);
    let filled = SmtpForm::read(&form, kept);
    let Some(smtp) = filled.smtp else {
        res.status_code(StatusCode::UNPROCESSABLE_ENTITY);
        return render(&ctx, res, Told { smtp: Some(filled.fields), ..Told::default() }).await;
    };
    if form.text("do") == "test" {
        ctx.front.limits.test_mail(ctx.id().0)?;
        let to = &ctx.user().email;
        let mut told = Told { smtp: Some(filled.fields), ..Told::default() };
        match controller::setup::test_mail(&ctx.front.app, &smtp, to).await {
            Ok(()) => told.sent = Some(format!("The mail server took a test message for {to}. It is not saved yet.")),
            Err(error) => {
                res.status_code(StatusCode::UNPROCESSABLE_ENTITY);
                told.failed = Some(sentence(&error));
            }
        }
        return render(&ctx, res, told).await;
    }
    store.set_smtp(Some(&smtp)).await?;
    store.set_alert_recipients(&filled.recipients).await?;
    store.log(ctx.id(), None, "mail settings changed", "success", &[]).await?;
    see_other(res, "/admin/settings?said=saved#mail");
    Ok(())
}

/// Asks whether everything is to end.
#[handler]
pub async fn ask_to_reset(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    render_reset(&ctx, res, None, Vec::new()).await
}

async fn render_reset(
    ctx: &Ctx,
    res: &mut Response,
    wrong: Option<String>,
    stuck: Vec<(String, String, String)>,
) -> Result<(), Refusal> {
    let figures = ctx.front.app.store.figures().await?;
    ctx.show(res, "Factory reset", &Reset { wrong, stuck, users: figures.users, ours: figures.ours });
    Ok(())
}

/// Removes what we wrote, forgets everybody, and begins anew.
#[handler]
pub async fn reset(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    fresh(&ctx, "/admin/reset")?;
    let form = session::form(depot);
    forms::only(&form, &["confirmation", "abandon"])?;
    if form.text("confirmation") != "RESET" {
        res.status_code(StatusCode::BAD_REQUEST);
        return render_reset(&ctx, res, Some("Type RESET, in capitals, if you want that.".into()), Vec::new()).await;
    }
    match wipe(&ctx, form.ticked("abandon")).await? {
        Ok(()) => see_other(res, "/setup"),
        Err(stuck) => {
            res.status_code(StatusCode::CONFLICT);
            let wrong = "Some of what we wrote could not be removed. Nothing is forgotten yet: try again later, or leave it behind.";
            render_reset(&ctx, res, Some(wrong.into()), stuck).await?;
        }
    }
    Ok(())
}

/// Removes what we wrote and forgets everything; gives back what could not be removed, and then nothing is forgotten.
///
/// # Errors
/// When our database fails.
pub async fn wipe(ctx: &Ctx, abandon: bool) -> Result<Result<(), Vec<(String, String, String)>>, Refusal> {
    let front = &ctx.front;
    // Nobody writes meanwhile.
    front.app.store.pause_all(true).await?;
    let remains = admin::sweep_all(&front.app).await?;
    if !remains.stuck.is_empty() && !abandon {
        return Ok(Err(remains.stuck));
    }
    admin::give_all_back(&front.app).await?;
    front.app.store.wipe().await?;
    tracing::warn!(removed = remains.removed, left = remains.stuck.len(), "a factory reset: everything is forgotten");
    front.begin_again();
    Ok(Ok(()))
}
