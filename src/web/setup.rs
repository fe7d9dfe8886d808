//! The set-up (specification, "Out-of-Box Experience"): six steps, open only to who read the setup token in the log, closed for good
//! afterwards. What was settled is kept after each step, so that it goes on where it was after a crash.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::{DateTime, TimeDelta, Utc};
use salvo::{Depot, FlowCtrl, Request, Response, handler, http::StatusCode, writing::Text};

use super::{
    Front,
    error::{Refusal, sentence},
    forms::{self, SmtpForm},
    see_other, session,
};
use crate::{
    controller::{self, sign_in},
    model::secret::Secret,
    pages::{self, Page, Shell, setup as views, shell::Person},
    store::{
        sessions::Purpose,
        setup::{Draft, Mail},
    },
};

/// The token is good for so long.
const LIFE: TimeDelta = TimeDelta::hours(1);
/// The longest client id or secret, in bytes.
const CREDENTIAL_MAX: usize = 255;

/// Who may set up. Clones are one gate.
#[derive(Clone)]
pub struct Gate(Arc<Mutex<Inner>>);

struct Inner {
    /// None once it was used.
    token: Option<Secret<String>>,
    made: DateTime<Utc>,
    /// The browser that may, and since when.
    unlocked: Option<(String, DateTime<Utc>)>,
    /// What Google's answer led to, to be told once.
    told: Option<String>,
}

impl Gate {
    /// A gate with a new token, made at `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("a running system gives random bytes");
        let token = data_encoding::BASE32_NOPAD.encode(&bytes);
        Gate(Arc::new(Mutex::new(Inner { token: Some(Secret::new(token)), made: now, unlocked: None, told: None })))
    }

    /// Makes a new token, and lets nobody in without it.
    pub fn renew(&self, now: DateTime<Utc>) {
        let mut new = Gate::new(now).lock().token.take();
        let mut inner = self.lock();
        (inner.token, inner.made, inner.unlocked) = (new.take(), now, None);
    }

    /// Lets nobody in any more: the set-up is done.
    pub fn close(&self) {
        let mut inner = self.lock();
        (inner.token, inner.unlocked) = (None, None);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, to be printed once.
    pub fn token(&self) -> Option<Secret<String>> {
        self.lock().token.clone()
    }

    /// Lets this browser in, if it knows the token. The token is good once.
    fn unlock(&self, given: &str, browser: &str, now: DateTime<Utc>) -> bool {
        let mut inner = self.lock();
        let given: String = given.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        let in_time = now - inner.made <= LIFE;
        let token = inner.token.as_ref().filter(|_| in_time);
        let right = token.is_some_and(|token| {
            verify_slices_are_equal(token.reveal().as_bytes(), given.to_ascii_uppercase().as_bytes()).is_ok()
        });
        if right {
            inner.token = None;
            inner.unlocked = Some((browser.to_owned(), now));
        }
        right
    }

    /// Whether this browser was let in, and lately did something.
    fn admits(&self, browser: Option<&str>, now: DateTime<Utc>) -> bool {
        let mut inner = self.lock();
        let Some((known, since)) = &mut inner.unlocked else { return false };
        let well = browser == Some(known.as_str()) && now - *since <= LIFE;
        if well {
            *since = now;
        }
        well
    }
}

/// Keeps a sentence to be told at the step of the first admin.
pub fn told(front: &Front, sentence: String) {
    front.gate.lock().told = Some(sentence);
}

/// Before the set-up only the set-up is open; after it, it is closed.
#[handler]
pub async fn gate(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    let front = Front::of(depot);
    let path = req.uri().path();
    let of_setup = path == "/setup" || path.starts_with("/setup/");
    let always = ["/health", "/ready", "/metrics"].contains(&path) || path.starts_with("/assets/");
    match (front.is_configured(), of_setup) {
        _ if always => return,
        (true, false) => return,
        (true, true) if req.method() == "GET" => see_other(res, "/app"),
        (true, true) => Refusal::missing().answer(req, depot, res),
        (false, true) => return,
        // Google sends the first admin back there.
        (false, false) if path == "/auth/callback" => return,
        (false, false) if req.method() == "GET" && !path.starts_with("/api/") => see_other(res, "/setup"),
        (false, false) => {
            let message = "This installation is not set up yet. Its admin has to finish the set-up first.";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not_configured", message).answer(req, depot, res);
        }
    }
    ctrl.skip_rest();
}

/// Lets nobody go on once the set-up is done, however its address is spelled.
#[handler]
pub async fn open(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    if Front::of(depot).is_configured() {
        Refusal::missing().answer(req, depot, res);
        ctrl.skip_rest();
    }
}

/// Lets only the browser go on that knew the token.
#[handler]
pub async fn unlocked(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    let front = Front::of(depot);
    if front.gate.admits(session::known_browser(req), front.app.clock.now()) {
        return;
    }
    ctrl.skip_rest();
    if req.method() == "GET" {
        return see_other(res, "/setup/unlock");
    }
    let message = "Enter the setup token first; it stands in the log of this installation.";
    let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "setup_token_required", message);
    refusal.with_way("/setup/unlock", "Enter the token").answer(req, depot, res);
}

/// Asks for the token.
#[handler]
pub async fn ask_token(req: &mut Request, depot: &mut Depot, res: &mut Response) {
    let front = Front::of(depot);
    let browser = session::browser(req, res);
    show_unlock(&front, &browser, None, res);
}

fn show_unlock(front: &Front, browser: &str, wrong: Option<String>, res: &mut Response) {
    let mut shell = Shell::new("Set-up", "/setup");
    shell.csrf = session::csrf(front, browser);
    res.render(Text::Html(pages::html(&shell, &views::Unlock { wrong })));
}

/// Takes the token.
#[handler]
pub async fn take_token(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let front = Front::of(depot);
    front.limits.unlock(req)?;
    let form = session::form(depot);
    let browser = session::known_browser(req).unwrap_or_default().to_owned();
    if front.gate.unlock(form.text("token"), &browser, front.app.clock.now()) {
        see_other(res, "/setup");
        return Ok(());
    }
    res.status_code(StatusCode::UNAUTHORIZED);
    let wrong = "This is not the token, or it was used or is older than an hour. Restart the service for a new one.";
    show_unlock(&front, &browser, Some(wrong.into()), res);
    Ok(())
}

/// The step that is next, or an earlier one to look at again.
#[handler]
pub async fn show(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let front = Front::of(depot);
    let draft = front.app.store.setup_draft().await?;
    let next = draft.next();
    let step = req.query::<u8>("step").filter(|step| (1..=next).contains(step)).unwrap_or(next);
    match step {
        1 => render(depot, res, &views::Welcome { steps: views::steps(1, next) }),
        2 => credentials(&front, depot, res, &draft, None, views::Fields::default()),
        3 => {
            let wrong = front.gate.lock().told.take();
            let (email, domain) = draft.admin.as_ref().map(|admin| (admin.email.clone(), admin.domain.clone())).unzip();
            render(depot, res, &views::Admin { steps: views::steps(3, next), email, domain, wrong });
        }
        4 => mail(&front, depot, res, &draft, None, None, None),
        _ => key(&front, depot, res, draft, None).await?,
    }
    Ok(())
}

fn render(depot: &Depot, res: &mut Response, page: &impl Page) {
    let mut shell = Shell::new("Set-up", "/setup");
    shell.csrf = session::csrf_of(depot);
    res.render(Text::Html(pages::html(&shell, page)));
}

fn credentials(
    front: &Front,
    depot: &Depot,
    res: &mut Response,
    draft: &Draft,
    typed: Option<&str>,
    wrong: views::Fields,
) {
    let url = &front.app.policy.public_url;
    let doors = [sign_in::Door::Home, sign_in::Door::Client, sign_in::Door::Personal];
    let kept = draft.client.as_ref();
    let prefilled = front.prefill.as_ref().map(|(id, _)| id.as_str());
    let page = views::Credentials {
        steps: views::steps(2, draft.next()),
        addresses: doors.map(|door| format!("{url}{}", door.path())).into(),
        client_id: typed.or(kept.map(|(id, _)| id.as_str())).or(prefilled).unwrap_or_default().to_owned(),
        has_secret: kept.is_some() || front.prefill.is_some(),
        wrong,
    };
    render(depot, res, &page);
}

fn mail(
    front: &Front,
    depot: &Depot,
    res: &mut Response,
    draft: &Draft,
    form: Option<SmtpForm>,
    sent: Option<String>,
    failed: Option<String>,
) {
    let _ = front;
    let kept = draft.mail.as_ref();
    let smtp = match form {
        Some(form) => form.fields,
        None => views::SmtpFields::kept(
            kept.and_then(|mail| mail.smtp.as_ref()),
            kept.map(|mail| mail.recipients.as_slice()).unwrap_or_default(),
        ),
    };
    render(depot, res, &views::Mail { steps: views::steps(4, draft.next()), smtp, sent, failed });
}

async fn key(
    front: &Front,
    depot: &Depot,
    res: &mut Response,
    mut draft: Draft,
    wrong: Option<String>,
) -> Result<(), Refusal> {
    let mut shown = None;
    if !draft.key_shown {
        let text = controller::setup::key_text(&front.key_file)
            .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "key_unreadable", sentence(&error)))?;
        draft.key_shown = true;
        front.app.store.put_setup_draft(&draft).await?;
        shown = Some(text.reveal().clone());
    }
    render(depot, res, &views::Key { steps: views::steps(5, draft.next()), key: shown, wrong });
    Ok(())
}

/// Takes what was filled in at a step.
#[handler]
pub async fn submit(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let front = Front::of(depot);
    let step = req.param::<String>("step").unwrap_or_default();
    let step = match step.as_str() {
        "1" => 1,
        "2" => 2,
        "3" => 3,
        "4" => 4,
        "5" => 5,
        _ => return Err(Refusal::missing()),
    };
    let mut draft = front.app.store.setup_draft().await?;
    if step > draft.next() {
        return Err(Refusal::conflict("setup_out_of_order", "This step comes later. Finish the one before it first.")
            .with_way("/setup", "To the next step"));
    }
    let form = session::form(depot);
    forms::only(
        &form,
        match step {
            2 => &["client_id", "client_secret"],
            4 => forms::SMTP,
            5 => &["saved"],
            _ => &[],
        },
    )?;
    match step {
        1 => draft.begun = true,
        2 => {
            let (id, secret) = (form.text("client_id").to_owned(), form.text("client_secret").to_owned());
            let kept = draft.client.as_ref().map(|(_, secret)| secret.clone());
            let kept = kept.or(front.prefill.as_ref().map(|(_, secret)| secret.clone()));
            let secret = if secret.is_empty() { kept } else { Some(Secret::new(secret)) };
            let (id, secret) = match checked_credentials(&id, secret) {
                Ok(checked) => checked,
                Err(wrong) => {
                    res.status_code(StatusCode::UNPROCESSABLE_ENTITY);
                    credentials(&front, depot, res, &draft, Some(&id), wrong);
                    return Ok(());
                }
            };
            let wrong = match controller::setup::knows_client(&front.app, &id, &secret).await {
                Ok(true) => None,
                Ok(false) => Some((
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Google does not know this client id with this secret. Look at both in the Google Cloud console.",
                )),
                Err(_) => Some((
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Google did not answer, so they could not be tested. Try again in a minute.",
                )),
            };
            if let Some((status, text)) = wrong {
                res.status_code(status);
                let wrong = views::Fields { client_id: Some(text.into()), client_secret: None };
                credentials(&front, depot, res, &draft, Some(&id), wrong);
                return Ok(());
            }
            // Another client's consent is worth nothing.
            if draft.client.as_ref().is_some_and(|(before, _)| *before != id) {
                (draft.admin, draft.confirmed) = (None, false);
            }
            draft.client = Some((id, secret));
        }
        3 => {
            if draft.admin.is_none() {
                return Err(Refusal::conflict("setup_out_of_order", "Sign in with Google first.")
                    .with_way("/setup", "Back to the set-up"));
            }
            draft.confirmed = true;
        }
        4 => {
            let kept = draft.mail.as_ref().and_then(|mail| mail.smtp.as_ref()).and_then(|smtp| smtp.password.clone());
            match form.text("do") {
                "skip" => draft.mail = Some(Mail::default()),
                action => {
                    let filled = SmtpForm::read(&form, kept);
                    let Some(smtp) = filled.smtp.clone() else {
                        res.status_code(StatusCode::UNPROCESSABLE_ENTITY);
                        mail(&front, depot, res, &draft, Some(filled), None, None);
                        return Ok(());
                    };
                    if action == "test" {
                        let to = draft.admin.as_ref().map(|admin| admin.email.clone()).unwrap_or_default();
                        let tried = controller::setup::test_mail(&front.app, &smtp, &to).await;
                        let (sent, failed) = match tried {
                            Ok(()) => (Some(format!("The mail server took a test message for {to}.")), None),
                            Err(error) => (None, Some(sentence(&error))),
                        };
                        if failed.is_some() {
                            res.status_code(StatusCode::UNPROCESSABLE_ENTITY);
                        }
                        mail(&front, depot, res, &draft, Some(filled), sent, failed);
                        return Ok(());
                    }
                    draft.mail = Some(Mail { smtp: Some(smtp), recipients: filled.recipients });
                }
            }
        }
        _ => {
            if form.text("saved") != "yes" {
                res.status_code(StatusCode::UNPROCESSABLE_ENTITY);
                let wrong = "Tick this when the key is kept in a safe place.".to_owned();
                return key(&front, depot, res, draft, Some(wrong)).await;
            }
            return finish(&front, req, depot, res, &draft).await;
        }
    }
    front.app.store.put_setup_draft(&draft).await?;
    see_other(res, "/setup");
    Ok(())
}

/// A client id and secret that look like Google's.
///
/// # Errors
/// What is wrong with which.
pub fn checked_credentials(
    id: &str,
    secret: Option<Secret<String>>,
) -> Result<(String, Secret<String>), views::Fields> {
    let odd = |text: &str| text.len() > CREDENTIAL_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace());
    let mut wrong = views::Fields::default();
    if odd(id) || !id.ends_with(".apps.googleusercontent.com") {
        wrong.client_id =
            Some("A client id ends in .apps.googleusercontent.com. Copy it from the Google Cloud console.".into());
    }
    match secret {
        Some(secret) if !secret.reveal().is_empty() && !odd(secret.reveal()) => {
            if wrong.client_id.is_none() {
                return Ok((id.to_owned(), secret));
            }
        }
        _ => wrong.client_secret = Some("Copy the client secret from the Google Cloud console.".into()),
    }
    Err(wrong)
}

async fn finish(front: &Front, req: &Request, depot: &Depot, res: &mut Response, draft: &Draft) -> Result<(), Refusal> {
    let _ = depot;
    let Some(user) = front.app.store.finish_setup(draft).await? else {
        front.configured(true);
        return Err(Refusal::conflict("setup_done", "Somebody else finished the set-up a moment ago.")
            .with_way("/app", "Sign in"));
    };
    front.configured(true);
    tracing::info!(user.id = %user, "the set-up is finished");
    sign_in::main_by_default(&front.app, user).await;
    session::begin(front, req, res, user).await?;
    see_other(res, "/app/welcome");
    Ok(())
}

/// What comes after the set-up.
#[handler]
pub async fn welcome(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let visitor = session::who(depot).ok_or_else(Refusal::unauthenticated)?;
    let mut shell = Shell::new("Set-up", req.uri().path());
    shell.csrf = session::csrf_of(depot);
    shell.person = Some(Person { email: visitor.user.email, admin: visitor.user.admin });
    res.render(Text::Html(pages::html(&shell, &views::Done { steps: views::steps(6, 7) })));
    Ok(())
}

/// Leads to Google, to become the first admin.
#[handler]
pub async fn begin_sign_in(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let front = Front::of(depot);
    let browser = session::browser(req, res);
    match sign_in::begin(&front.app, Purpose::Setup, &browser, None, None).await {
        Ok(url) => see_other(res, url.as_str()),
        Err(error) => {
            told(&front, sentence(&error));
            see_other(res, "/setup");
        }
    }
    Ok(())
}
