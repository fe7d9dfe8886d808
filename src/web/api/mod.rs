//! The JSON API (specification, "API Design"): the same intents as the pages'. Its description is made from these handlers.
//!
//! A program acts for a person: it sends the person's session cookie, and with whatever changes something the token of `GET /api/me`
//! as `X-CSRF-Token`. Errors are `{"error": {"code", "message", "request_id", "field"?}}`.

mod admin;
mod body;
mod calendars;
mod me;
mod sync;
mod types;

use salvo::{
    Depot, Request, Response, Router, handler,
    http::{HeaderValue, StatusCode},
    oapi::{
        Components, EndpointOutRegister, Info, OpenApi, Operation, SecurityScheme, ToResponse, ToSchema,
        security::{ApiKey, ApiKeyValue},
    },
    writing::{Json, Scribe, Text},
};
use serde::Serialize;

use super::{error::Refusal, session};

/// All paths for people's programs.
pub fn routes() -> Router {
    let of_role = |path: &str, list: Router| Router::with_path(path).push(list);
    let clients = Router::new().get(calendars::list_clients).post(calendars::connect_client).push(
        Router::with_path("{id}")
            .delete(calendars::disconnect_client)
            .push(Router::with_path("sync").post(calendars::sync_client))
            .push(Router::with_path("begin").post(calendars::begin_client))
            .push(Router::with_path("status").get(calendars::client_status)),
    );
    let personal = Router::new().get(calendars::list_personal).post(calendars::connect_personal).push(
        Router::with_path("{id}")
            .delete(calendars::disconnect_personal)
            .push(Router::with_path("sync").post(calendars::sync_personal))
            .push(Router::with_path("begin").post(calendars::begin_personal))
            .push(Router::with_path("status").get(calendars::personal_status)),
    );
    Router::with_path("api")
        .push(
            Router::with_path("me")
                .get(me::get_profile)
                .push(Router::with_path("main-calendar").put(me::set_main_calendar))
                .push(Router::with_path("calendars").get(me::list_offered))
                .push(Router::with_path("alert-preferences").get(me::get_preferences).put(me::change_preferences)),
        )
        .push(Router::with_path("accounts").get(me::list_accounts))
        .push(of_role("client-calendars", clients))
        .push(of_role("personal-calendars", personal))
        .push(
            Router::with_path("sync")
                .push(Router::with_path("status").get(sync::get_status))
                .push(Router::with_path("log").get(sync::list_log))
                .push(Router::with_path("full").post(sync::sync_everything)),
        )
        .push(Router::with_path("plan").get(sync::get_plan).push(Router::with_path("answer").post(sync::say_word)))
        .push(Router::with_path("why").get(sync::get_why))
        .push(Router::with_path("runs").get(sync::list_runs).push(
            Router::with_path("{run}").get(sync::get_run).push(Router::with_path("undo").post(sync::take_run_back)),
        ))
}

/// All paths for admins' programs.
pub fn admin_routes() -> Router {
    Router::with_path("api/admin")
        .push(Router::with_path("health").get(admin::get_health))
        .push(
            Router::with_path("users").get(admin::list_users).push(
                Router::with_path("{id}")
                    .get(admin::get_user)
                    .delete(admin::remove_user)
                    .push(Router::with_path("sync").post(admin::sync_user))
                    .push(Router::with_path("force-reauth").post(admin::force_sign_in))
                    .push(Router::with_path("admin").put(admin::set_admin))
                    .push(Router::with_path("plan").get(admin::get_user_plan))
                    .push(Router::with_path("approve").post(admin::approve_removals))
                    .push(Router::with_path("calendars/{calendar}/disconnect").post(admin::disconnect_for_user)),
            ),
        )
        .push(Router::with_path("logs").get(admin::list_logs))
        .push(Router::with_path("plans").get(admin::list_plans))
        .push(Router::with_path("sync/pause").post(admin::pause_everything))
        .push(Router::with_path("sync/resume").post(admin::resume_everything))
        .push(Router::with_path("cleanup").post(admin::clean_up))
        .push(Router::with_path("settings").get(admin::get_settings).put(admin::change_settings))
        .push(Router::with_path("settings/test-email").post(admin::send_test_email))
        .push(Router::with_path("factory-reset").post(admin::reset_everything))
        .push(Router::with_path("export").get(admin::export_database))
}

/// The description of the API, made from its handlers.
pub fn description() -> OpenApi {
    let info = Info::new("BusyBridge", env!("CARGO_PKG_VERSION")).description(
        "Keeps consultants' calendars in sync. A program acts for a person who signed in: it sends the session's cookie, and with \
         whatever changes something the csrf_token of GET /api/me as X-CSRF-Token.",
    );
    let cookie =
        ApiKey::Cookie(ApiKeyValue::with_description("__Host-session", "The session of a person who signed in"));
    OpenApi::with_info(info)
        .add_security_scheme("session", SecurityScheme::from(cookie))
        .merge_router(&Router::new().push(routes()).push(admin_routes()))
}

/// The description as JSON.
#[handler]
pub async fn openapi(res: &mut Response) {
    match description().to_json() {
        Ok(text) => {
            res.headers_mut().insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
            let _ = res.write_body(text);
        }
        Err(_) => {
            res.status_code(StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}

/// The description as a page.
#[handler]
pub async fn docs(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let document = serde_json::to_value(description()).map_err(|_| Refusal::missing())?;
    let page = crate::pages::api::Docs::new(&document);
    let mut shell = crate::pages::Shell::new("API", req.uri().path());
    shell.person = session::looker(depot);
    shell.csrf = session::csrf_of(depot);
    shell.wide = true;
    res.render(Text::Html(crate::pages::html(&shell, &page)));
    Ok(())
}

/// Done soon (202), with how it stands.
pub(super) struct Accepted<T>(pub T);

/// Made (201), with what was made.
pub(super) struct Created<T>(pub T);

impl<T: Serialize + Send> Scribe for Accepted<T> {
    fn render(self, res: &mut Response) {
        res.status_code(StatusCode::ACCEPTED);
        Json(self.0).render(res);
    }
}

impl<T: Serialize + Send> Scribe for Created<T> {
    fn render(self, res: &mut Response) {
        res.status_code(StatusCode::CREATED);
        Json(self.0).render(res);
    }
}

impl<T: ToSchema> EndpointOutRegister for Accepted<T> {
    fn register(components: &mut Components, operation: &mut Operation) {
        operation.responses.insert("202", Json::<T>::to_response(components));
    }
}

impl<T: ToSchema> EndpointOutRegister for Created<T> {
    fn register(components: &mut Components, operation: &mut Operation) {
        operation.responses.insert("201", Json::<T>::to_response(components));
    }
}
