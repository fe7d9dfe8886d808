//! Refusals: for programs as JSON, for people as a page, by what they asked for. A refusal says what happened, whose side it is on and
//! what to do; what went wrong inside stays in the log, under the request's id.

use salvo::{
    Depot, Request, Response,
    http::{HeaderValue, StatusCode},
    request_id::RequestIdDepotExt,
    writing::{Json, Text},
};
use serde_json::json;
use tracing::error;

use crate::{
    controller::{accounts::AccessError, intent::IntentError, sign_in::SignInError, tick::TickError, undo::UndoError},
    pages::{
        self, Shell,
        shell::{Message, Way},
    },
    store::StoreError,
};

/// Why a request is not answered as asked.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<&'static str>,
    /// Seconds after which trying again makes sense.
    retry_after: Option<u64>,
    /// A way on, for people: address and words.
    way: Option<(String, &'static str)>,
}

impl Refusal {
    /// A refusal in one plain sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Refusal { status, code, message: message.into(), field: None, retry_after: None, way: None }
    }

    /// What cannot be understood.
    pub fn malformed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// What is understood and cannot be.
    pub fn unfit(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// What does not fit how things stand.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// What is not there, or is somebody else's.
    pub fn missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here that you may see.")
    }

    /// Who has not signed in.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in first.")
    }

    /// What only admins may.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Only an admin may do this.")
    }

    /// What nobody has put into words.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::missing(),
            405 => Self::new(status, "method_not_allowed", "This cannot be done there."),
            413 => Self::new(status, "body_too_large", "That was too much."),
            400..500 => Self::new(status, "bad_request", "That could not be understood."),
            _ => Refusal { status, ..inside() },
        }
    }

    /// A form or request that is not proven to come from our own pages.
    pub fn csrf() -> Self {
        let message = "This form is too old, or was not sent from this site. Go back, reload the page and try again.";
        Self::new(StatusCode::FORBIDDEN, "csrf", message)
    }

    /// What needs a sign-in that is a few minutes old.
    pub fn stale_sign_in(path: &str) -> Self {
        let message = "This cannot be taken back. Sign in once more, and try again within ten minutes.";
        let href = format!("/auth/login?next={}", urlencode(path));
        Self::new(StatusCode::FORBIDDEN, "reauth_required", message).with_way(href, "Sign in again")
    }

    /// Somebody asks too often.
    pub fn too_often(seconds: u64) -> Self {
        let message = format!("That was too often. Try again in {seconds} seconds.");
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        Refusal { retry_after: Some(seconds), ..refusal }
    }

    /// With the field that is wrong.
    #[must_use]
    pub fn of_field(self, field: &'static str) -> Self {
        Refusal { field: Some(field), ..self }
    }

    /// With a way on.
    #[must_use]
    pub fn with_way(self, href: impl Into<String>, text: &'static str) -> Self {
        Refusal { way: Some((href.into(), text)), ..self }
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Writes it.
    pub fn answer(self, req: &Request, depot: &Depot, res: &mut Response) {
        let Refusal { status, code, message, field, retry_after, way } = self;
        let request = depot.request_id().unwrap_or_default().to_owned();
        res.status_code(status);
        if let Some(seconds) = retry_after {
            res.headers_mut().insert("retry-after", HeaderValue::from(seconds));
        }
        let path = req.uri().path();
        if path.starts_with("/api/") {
            let mut error = json!({"code": code, "message": message, "request_id": request});
            if let Some(field) = field {
                error["field"] = field.into();
            }
            res.render(Json(json!({"error": error})));
            return;
        }
        let heading = match status.as_u16() {
            401 => "Sign in first",
            403 => "Not allowed",
            404 | 405 => "Nothing here",
            429 => "Too often",
            500.. => "Something went wrong",
            _ => "That did not work",
        };
        let way = way.unwrap_or_else(|| ("/".into(), "Go on"));
        let page = Message {
            heading: heading.into(),
            text: message,
            link: Some(Way { href: way.0, text: way.1.into() }),
            code: Some(code),
            request: Some(request),
        };
        let mut shell = Shell::new(heading, path);
        shell.person = super::session::looker(depot);
        shell.csrf = super::session::csrf_of(depot);
        res.render(Text::Html(pages::html(&shell, &page)));
    }
}

#[salvo::async_trait]
impl salvo::Writer for Refusal {
    async fn write(self, req: &mut Request, depot: &mut Depot, res: &mut Response) {
        self.answer(req, depot, res);
    }
}

/// A path within a query.
pub fn urlencode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchUser | StoreError::NoSuchCalendar | StoreError::NoSuchAccount => Refusal::missing(),
            StoreError::DiskFull(_) | StoreError::NoRoom => Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "disk_full",
                "The service has no room left to record anything. An admin has to free some space.",
            ),
            error => {
                error!("a request could not be answered: {error}");
                inside()
            }
        }
    }
}

/// Something of ours that is nobody's business outside.
fn inside() -> Refusal {
    let message = "The service met an error of its own. Try again in a minute; if it lasts, tell an admin.";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

impl From<TickError> for Refusal {
    fn from(error: TickError) -> Self {
        match error {
            TickError::Store(error) => error.into(),
            TickError::NoUser => Refusal::missing(),
            TickError::Unsound(_) => inside(),
        }
    }
}

impl From<IntentError> for Refusal {
    fn from(error: IntentError) -> Self {
        match error {
            IntentError::Store(error) => error.into(),
            IntentError::Tick(error) => error.into(),
            IntentError::NothingWaits => Refusal::conflict("nothing_waits", sentence(&error)),
            IntentError::Flow(_) => Refusal::unfit("flow_not_possible", sentence(&error)),
        }
    }
}

impl From<UndoError> for Refusal {
    fn from(error: UndoError) -> Self {
        match error {
            UndoError::Store(error) => error.into(),
            UndoError::Tick(error) => error.into(),
            UndoError::NoRun(_) => Refusal::missing(),
        }
    }
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => error.into(),
            AccessError::Unknown => Refusal::missing(),
            AccessError::Ended(_) => Refusal::conflict("needs_reauth", sentence(&error)),
            AccessError::Google(_) | AccessError::NotSetUp => google(),
        }
    }
}

/// Google does not answer as it should.
pub fn google() -> Refusal {
    let message =
        "Google could not be asked. This is usually brief and not a problem with your account: try again in a minute.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "google_unavailable", message)
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        let text = sentence(&error);
        match error {
            SignInError::Store(error) => error.into(),
            SignInError::Google(_) => google(),
            SignInError::NotSetUp => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not_configured", text),
            SignInError::BadRequest => Refusal::malformed("oauth_bad_request", text),
            SignInError::Unknown => Refusal::malformed("state_invalid", text),
            SignInError::Mismatch => Refusal::malformed("state_mismatch", text),
            SignInError::Identity(_) => Refusal::malformed("id_token_invalid", text),
            SignInError::Denied => Refusal::unfit("access_denied", text),
            SignInError::Domain(_) => Refusal::new(StatusCode::FORBIDDEN, "domain", text),
            SignInError::NotWorkspace => Refusal::malformed("not_a_workspace_account", text),
            SignInError::AddressTaken => Refusal::new(StatusCode::FORBIDDEN, "address_taken", text),
            SignInError::Removing => Refusal::new(StatusCode::FORBIDDEN, "removing", text),
            SignInError::NoRefreshToken => Refusal::unfit("no_refresh_token", text),
            SignInError::MissingScope => Refusal::unfit("missing_scope", text),
            SignInError::Connected(_) => Refusal::conflict("account_already_connected", text),
        }
    }
}

/// An error as a sentence with its capital and full stop.
pub fn sentence(error: &impl ToString) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let rest = chars.as_str();
    let end = if rest.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{rest}{end}")
}
