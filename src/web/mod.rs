//! What is reached over HTTP: the table of contents of the product.
//!
//! | path | who | does |
//! |---|---|---|
//! | `/` | anybody | leads to `/app` or `/setup` |
//! | `/setup…` | who read the setup token in the log | the set-up; closed afterwards |
//! | `/app/login`, `/auth/…` | anybody | ways to Google and back |
//! | `/app…` | consultants | their pages |
//! | `/admin…` | admins | theirs |
//! | `/api…`, `/api/admin…` | programs of people who signed in, and of admins | the same as the pages, as JSON |
//! | `/api/openapi.json`, `/api/docs` | anybody | what the API offers |
//! | `POST /api/webhooks/google-calendar` | Google | marks a calendar; answers before any work |
//! | `/assets/…` | anybody | the stylesheet, the script, the icons |
//! | `GET /health` | anybody | `ok`, or 503 and one word |
//! | `GET /ready` | anybody | the same, once the service works |
//! | `GET /metrics` | Prometheus | figures without names |
//!
//! Invariants: an answer says nothing of what it is about to anybody who has not proved who they are; a body that nobody needs is
//! not read; each request has an id of ours, which its log lines carry; nothing is changed by GET, but for ways to Google that begin.

mod admin;
mod api;
mod arrival;
mod consultant;
mod ctx;
mod error;
mod forms;
mod limits;
mod operator;
mod session;
mod setup;
mod sign_in;
mod webhook;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use salvo::{
    Depot, FlowCtrl, Handler, Listener, Request, Response, Router, Server, Service, affix_state,
    catch_panic::CatchPanic,
    catcher::Catcher,
    conn::{Acceptor, TcpListener},
    fuse::FuseConfig,
    handler,
    http::{HeaderValue, StatusCode},
    request_id::{RequestId, RequestIdDepotExt},
    server::ServerHandle,
};
use tracing::{debug, warn};

use admin::{plans, settings as admin_settings, status, users};
use consultant::{calendars, dashboard, log, settings};

pub use limits::Limits;
pub use setup::Gate;

use crate::{
    controller::{App, service::Desk},
    model::secret::Secret,
    pages::ASSETS,
};

/// Connections at once. Fewer than the files that a process may have open by default, so that the database has its own.
const CONNECTIONS_MAX: usize = 800;
/// The head of a request is at most this long, in bytes.
const HEADER_MAX: usize = 16 << 10;
/// Its headers are at most so many.
const HEADERS_MAX: usize = 100;
/// Who neither sends nor takes anything for so long is left.
const STALLED: Duration = Duration::from_secs(30);

/// What handlers need. Clones are one.
#[derive(Clone)]
pub struct Front {
    pub app: App,
    pub desk: Desk,
    /// Asked before figures are told, to bring them up to date.
    pub refresh: Arc<dyn Fn(&Desk) + Send + Sync>,
    pub limits: Limits,
    pub gate: Gate,
    pub key_file: PathBuf,
    /// A client id and secret from the environment, to begin the set-up with.
    pub prefill: Option<(String, Secret<String>)>,
    configured: Arc<AtomicBool>,
    /// When it began, by the wall clock and by the service's own.
    began: (DateTime<Utc>, Duration),
}

impl Front {
    /// The front of an installation; `configured`: it is set up.
    pub fn new(
        app: App,
        desk: Desk,
        refresh: Arc<dyn Fn(&Desk) + Send + Sync>,
        limits: Limits,
        key_file: PathBuf,
        prefill: Option<(String, Secret<String>)>,
        configured: bool,
    ) -> Self {
        let gate = Gate::new(app.clock.now());
        let configured = Arc::new(AtomicBool::new(configured));
        let began = (app.clock.now(), desk.moment());
        Front { app, desk, refresh, limits, gate, key_file, prefill, configured, began }
    }

    /// The front of this request.
    fn of(depot: &Depot) -> Self {
        depot.get_typed::<Front>().cloned().expect("the front is put into every request")
    }

    /// Whether the installation is set up.
    pub fn is_configured(&self) -> bool {
        self.configured.load(Ordering::SeqCst)
    }

    /// What the clock showed when it began, and what has passed since by a clock that only goes forward.
    fn began(&self) -> (DateTime<Utc>, Duration) {
        let (wall, moment) = self.began;
        (wall, self.desk.moment().saturating_sub(moment))
    }

    /// The set-up begins again, with a new token.
    fn begin_again(&self) {
        self.gate.renew(self.app.clock.now());
        self.configured(false);
        self.tell_token();
    }

    /// Tells the setup token to who reads the log, if the installation is not set up.
    pub fn tell_token(&self) {
        let Some(token) = self.gate.token().filter(|_| !self.is_configured()) else { return };
        let url = &self.app.policy.public_url;
        // What follows # reaches no server and no log of one.
        let link = format!("{url}/setup/unlock#{}", token.reveal());
        warn!("this installation is not set up. Open {link} within an hour; the setup token is {}", token.reveal());
    }

    fn configured(&self, configured: bool) {
        if configured {
            self.gate.close();
        }
        self.configured.store(configured, Ordering::SeqCst);
    }
}

/// A running web server. Dropping it stops the server at once.
pub struct Running {
    pub address: SocketAddr,
    handle: ServerHandle,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Takes no more requests and lets those at work end, for so long.
    pub async fn stop(&mut self, patience: Duration) {
        self.handle.stop_graceful(patience);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves at `listen` (port 0: any free one).
///
/// # Errors
/// When it cannot be bound.
pub async fn serve(front: Front, listen: SocketAddr) -> io::Result<Running> {
    listening(service(front), listen).await
}

async fn listening(service: Service, listen: SocketAddr) -> io::Result<Running> {
    let acceptor = TcpListener::new(listen)
        .try_bind()
        .await
        .map_err(|e| io::Error::other(format!("cannot listen on {listen} (LISTEN): {e}")))?;
    let address =
        acceptor.holdings()[0].local_addr.clone().into_std().ok_or_else(|| io::Error::other("no TCP address"))?;
    let mut server = Server::new(acceptor)
        .max_connections(CONNECTIONS_MAX)
        .fuse_config(FuseConfig::default().with_request_body_timeout(STALLED).with_write_stall_timeout(STALLED));
    server.http1_mut().max_header_size(HEADER_MAX).max_headers(HEADERS_MAX);
    let handle = server.handle();
    let task = tokio::spawn(server.serve(service));
    Ok(Running { address, handle, task })
}

/// All routes, as the service. What every answer carries goes with those that no route gives, too.
fn service(front: Front) -> Service {
    Service::new(routes())
        .hoop(RequestId::new())
        .hoop(tell)
        .hoop(CatchPanic::new())
        .hoop(affix_state::inject(front))
        .hoop(add_headers)
        .hoop(arrival::check)
        .hoop(setup::gate)
        .catcher(Catcher::new(Bare))
}

/// All routes.
fn routes() -> Router {
    let pages = Router::new()
        .hoop(limits::all)
        .hoop(session::look)
        .hoop(session::forms)
        .push(Router::with_path("setup/unlock").hoop(setup::open).get(setup::ask_token).post(setup::take_token))
        .push(
            Router::with_path("setup")
                .hoop(setup::open)
                .hoop(setup::unlocked)
                .get(setup::show)
                .push(Router::with_path("sign-in").get(setup::begin_sign_in))
                .push(Router::with_path("step/{step}").post(setup::submit)),
        )
        .push(Router::with_path("app/login").get(sign_in::login))
        .push(
            Router::with_path("auth")
                .hoop(limits::sign_ins)
                .push(Router::with_path("login").get(sign_in::begin))
                .push(Router::with_path("callback").get(sign_in::home))
                .push(Router::with_path("logout").post(sign_in::logout))
                .push(
                    Router::new()
                        .hoop(session::signed_in)
                        .push(Router::with_path("connect-client").get(sign_in::connect_client))
                        .push(Router::with_path("connect-client/callback").get(sign_in::client))
                        .push(Router::with_path("connect-personal").get(sign_in::connect_personal))
                        .push(Router::with_path("connect-personal/callback").get(sign_in::personal)),
                ),
        )
        .push(
            Router::with_path("app")
                .hoop(session::signed_in)
                .get(dashboard::show_dashboard)
                .push(Router::with_path("welcome").get(setup::welcome))
                .push(Router::with_path("sync").post(dashboard::check_now))
                .push(Router::with_path("sync/full").post(dashboard::check_fully))
                .push(Router::with_path("plan").get(dashboard::show_plan))
                .push(Router::with_path("answer").post(dashboard::take_answer))
                .push(Router::with_path("main").get(calendars::show_main_choice).post(calendars::choose_main))
                .push(Router::with_path("connect/{token}").get(calendars::show_choice).post(calendars::choose_one))
                .push(Router::with_path("why").get(calendars::show_why))
                .push(Router::with_path("where").get(calendars::show_where))
                .push(
                    Router::with_path("calendars/{id}")
                        .get(calendars::show_one)
                        .push(Router::with_path("preview").get(calendars::show_preview))
                        .push(Router::with_path("begin").post(calendars::begin_syncing))
                        .push(Router::with_path("pause").post(calendars::pause_one))
                        .push(Router::with_path("resume").post(calendars::resume_one))
                        .push(Router::with_path("sync").post(calendars::check_one))
                        .push(Router::with_path("disconnect").get(calendars::ask_to_leave).post(calendars::leave_one)),
                )
                .push(Router::with_path("settings").get(settings::show_settings))
                .push(Router::with_path("settings/alerts").post(settings::save_alerts))
                .push(Router::with_path("settings/guests").post(settings::save_guests))
                .push(Router::with_path("settings/colours").post(settings::save_colours))
                .push(Router::with_path("settings/bring-back").post(settings::bring_all_back))
                .push(Router::with_path("disconnect-all").get(settings::ask_to_leave_all).post(settings::leave_all))
                .push(Router::with_path("runs/{run}").get(settings::show_run))
                .push(Router::with_path("runs/{run}/undo").post(settings::take_back))
                .push(Router::with_path("logs").get(log::show_log)),
        )
        .push(
            Router::with_path("admin")
                .hoop(session::signed_in)
                .hoop(session::admins)
                .get(status::show_status)
                .push(Router::with_path("pause").post(status::pause_all))
                .push(Router::with_path("resume").post(status::resume_all))
                .push(Router::with_path("cleanup").post(status::clean_up))
                .push(Router::with_path("export").post(status::export))
                .push(Router::with_path("users").get(users::show_users))
                .push(
                    Router::with_path("users/{id}")
                        .get(users::show_user)
                        .push(Router::with_path("plan").get(users::show_user_plan))
                        .push(Router::with_path("approve").post(users::approve))
                        .push(Router::with_path("sync").post(users::sync_user))
                        .push(Router::with_path("pause").post(users::pause_user))
                        .push(Router::with_path("resume").post(users::resume_user))
                        .push(Router::with_path("force-reauth").post(users::reauth_user))
                        .push(Router::with_path("promote").post(users::promote))
                        .push(Router::with_path("demote").post(users::demote))
                        .push(Router::with_path("remove").get(users::ask_to_remove).post(users::remove))
                        .push(Router::with_path("calendars/{calendar}/disconnect").post(users::disconnect)),
                )
                .push(Router::with_path("plans").get(plans::show_plans))
                .push(Router::with_path("plans/{run}").get(plans::show_any_run))
                .push(Router::with_path("logs").get(plans::show_all_logs))
                .push(Router::with_path("settings").get(admin_settings::show_admin_settings))
                .push(Router::with_path("settings/credentials").post(admin_settings::save_credentials))
                .push(Router::with_path("settings/mail").post(admin_settings::save_mail))
                .push(Router::with_path("reset").get(admin_settings::ask_to_reset).post(admin_settings::reset)),
        );
    Router::new()
        .push(Router::new().get(root))
        .push(Router::with_path("assets/{hash}/{name}").get(give_asset))
        .push(Router::with_path("api/webhooks/google-calendar").post(webhook::notify))
        .push(Router::with_path("api/openapi.json").get(api::openapi))
        .push(Router::with_path("api/docs").hoop(limits::all).hoop(session::look).get(api::docs))
        .push(
            Router::new()
                .hoop(limits::all)
                .hoop(session::look)
                .hoop(session::signed_in)
                .hoop(session::programs)
                .push(api::routes())
                .push(Router::new().hoop(session::admins).push(api::admin_routes())),
        )
        .push(Router::with_path("health").get(operator::health))
        .push(Router::with_path("ready").get(operator::ready))
        .push(Router::with_path("metrics").get(operator::metrics))
        .push(pages)
}

/// Leads to another address, which is then asked for by GET, and never with what was sent.
fn see_other(res: &mut Response, to: &str) {
    res.status_code(StatusCode::SEE_OTHER);
    match HeaderValue::from_str(to) {
        Ok(value) => {
            res.headers_mut().insert("location", value);
        }
        Err(_) => {
            res.status_code(StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}

/// The beginning. Where the set-up is not done, the gate has led there already.
#[handler]
async fn root(res: &mut Response) {
    see_other(res, "/app");
}

/// A file that pages refer to. Its address changes with its content, so that it may be kept for ever.
#[handler]
async fn give_asset(req: &mut Request, res: &mut Response) -> Result<(), StatusCode> {
    let path = req.uri().path();
    let asset = ASSETS.iter().find(|asset| asset.path() == path).ok_or(StatusCode::NOT_FOUND)?;
    let headers = res.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(asset.kind));
    headers.insert("cache-control", HeaderValue::from_static("public, max-age=31536000, immutable"));
    let _ = res.write_body(asset.content);
    Ok(())
}

/// One line a request, by its id; paths and headers may be anything, and are left out.
#[handler]
async fn tell(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    let id = depot.request_id().unwrap_or_default().to_owned();
    let method = req.method().clone();
    ctrl.call_next(req, depot, res).await;
    let status = res.status_code.map_or(200, |status| status.as_u16());
    debug!(request.id = id, method = %method, status, "answered a request");
}

/// What every answer carries (reliability B2, B4).
#[handler]
async fn add_headers(req: &mut Request, depot: &mut Depot, res: &mut Response) {
    let front = Front::of(depot);
    let path = req.uri().path();
    // Addresses to which Google answers are told to nobody, not even to ourselves (reliability A13). Elsewhere our own pages may know
    // from where one comes: without that, a browser does not say either whose form it sends.
    let secretive = path.starts_with("/auth/") && path.ends_with("callback");
    let referrer = if secretive { "no-referrer" } else { "same-origin" };
    let issuer = front.app.oauth.issuer();
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         form-action 'self' {issuer}; frame-ancestors 'none'; base-uri 'none'"
    );
    let https = front.app.policy.public_url.starts_with("https://");
    let strict = https.then_some(("strict-transport-security", "max-age=63072000; includeSubDomains"));
    let all = [
        ("cache-control", "no-store"),
        ("content-security-policy", policy.as_str()),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        ("referrer-policy", referrer),
        ("x-content-type-options", "nosniff"),
    ];
    let headers = res.headers_mut();
    for (name, value) in all.into_iter().chain(strict) {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
}

/// Errors that nobody has put into words: what is not there, what may not be done there, what went wrong inside.
struct Bare;

#[salvo::async_trait]
impl Handler for Bare {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        let status = res.status_code.unwrap_or(StatusCode::NOT_FOUND);
        error::Refusal::of_status(status).answer(req, depot, res);
        ctrl.skip_rest();
    }
}

/// Serves pages that are given below `/samples`, with all that goes with the product's own.
///
/// # Errors
/// When `listen` cannot be bound.
#[cfg(test)]
pub async fn show(
    front: Front,
    pages: std::collections::BTreeMap<String, String>,
    listen: SocketAddr,
) -> io::Result<Running> {
    #[handler]
    async fn give_sample(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), StatusCode> {
        let name = req.param::<String>("name").unwrap_or_default();
        let pages = depot.get_typed::<std::collections::BTreeMap<String, String>>().ok();
        let html = pages.and_then(|pages| pages.get(&name)).ok_or(StatusCode::NOT_FOUND)?;
        res.render(salvo::writing::Text::Html(html.clone()));
        Ok(())
    }
    let router = Router::new()
        .hoop(affix_state::inject(front).inject(pages))
        .hoop(add_headers)
        .push(Router::with_path("assets/{hash}/{name}").get(give_asset))
        .push(Router::with_path("samples/{name}").get(give_sample));
    listening(Service::new(router), listen).await
}

/// Methods and paths of everything that is served.
#[cfg(test)]
pub fn listed() -> Vec<(String, String)> {
    fn walk(router: &Router, prefix: &str, found: &mut Vec<(String, String)>) {
        let mut path = prefix.to_owned();
        let mut method = String::new();
        for filter in &router.filters {
            match filter.info() {
                salvo::routing::FilterInfo::Path(part) => path = format!("{path}/{part}"),
                salvo::routing::FilterInfo::Method(of) => method = of.to_string(),
                _ => {}
            }
        }
        if !method.is_empty() {
            found.push((method, if path.is_empty() { "/".into() } else { path.clone() }));
        }
        for router in router.routers() {
            walk(router, &path, found);
        }
    }
    let mut found = Vec::new();
    walk(&routes(), "", &mut found);
    found
}
