//! Who looks: cookies, sessions, and the proof that a request comes from our own pages.
//!
//! | cookie | holds | lives |
//! |---|---|---|
//! | `__Host-session` | a JWT that names a session, whose row is asked at every request | 7 days after its last renewal |
//! | `__Host-browser` | a random id, to which a way to Google and the set-up are bound | an hour |
//!
//! Invariants: a token says only which session it is; what the person may do is asked of the database at each request, so that an end
//! of a session, a demotion or a removal counts at once; nothing is changed by a request that does not prove to come from our pages.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use salvo::{Depot, FlowCtrl, Request, Response, handler, http::HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Front, error::Refusal};
use crate::{
    model::secret::Secret,
    pages::shell::Person,
    store::{StoreError, people::User, sessions::IDLE},
};

const SESSION: &str = "__Host-session";
const BROWSER: &str = "__Host-browser";
/// What a session's token is, so that no other token of ours passes for one.
const KIND: &str = "session+jwt";
const AUDIENCE: &str = "busybridge";
/// How far clocks may differ.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);
/// A token is renewed when it is this old.
const RENEWED: TimeDelta = TimeDelta::days(1);
/// Forms are at most this long, in bytes.
const FORM_MAX: usize = 64 << 10;

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub user: User,
    /// The id of the session.
    pub session: String,
    /// When they signed in at Google.
    pub began: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    iat: i64,
    exp: i64,
}

/// 256 bits that nobody can guess, as text.
pub fn random() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("a running system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The value of a cookie; none if it is missing or stands there twice.
fn cookie<'a>(req: &'a Request, name: &str) -> Option<&'a str> {
    let pairs = req.headers().get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let mut found = pairs.flat_map(|text| text.split(';')).filter_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn set_cookie(res: &mut Response, name: &str, value: &str, seconds: i64) {
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        res.headers_mut().append("set-cookie", value);
    }
}

/// The id of this browser; made and given to it if it has none.
pub fn browser(req: &Request, res: &mut Response) -> String {
    if let Some(known) = known_browser(req) {
        return known.to_owned();
    }
    let made = random();
    set_cookie(res, BROWSER, &made, 3600);
    made
}

/// The id of this browser, if it has one of ours.
pub fn known_browser(req: &Request) -> Option<&str> {
    cookie(req, BROWSER).filter(|text| text.len() == 43)
}

/// Begins a session of `user` in this browser, in the place of any other.
///
/// # Errors
/// When our database fails.
pub async fn begin(
    front: &Front,
    req: &Request,
    res: &mut Response,
    user: crate::model::id::UserId,
) -> Result<(), StoreError> {
    if let Some(old) = cookie(req, SESSION).and_then(|token| read(front, token)) {
        front.app.store.end_session(&old.sid).await?;
    }
    let session = random();
    front.app.store.begin_session(&session, user).await?;
    give(front, res, &session, user.0);
    Ok(())
}

/// Ends the session of this browser.
///
/// # Errors
/// When our database fails.
pub async fn end(front: &Front, visitor: &Visitor, res: &mut Response) -> Result<(), StoreError> {
    front.app.store.end_session(&visitor.session).await?;
    set_cookie(res, SESSION, "", 0);
    if let Ok(value) = HeaderValue::from_str("\"cache\", \"cookies\", \"storage\"") {
        res.headers_mut().insert("clear-site-data", value);
    }
    Ok(())
}

fn give(front: &Front, res: &mut Response, session: &str, user: i64) {
    let now = front.app.clock.now();
    let claims = Claims {
        iss: front.app.policy.public_url.clone(),
        aud: AUDIENCE.into(),
        sub: user.to_string(),
        sid: session.to_owned(),
        iat: now.timestamp(),
        exp: (now + IDLE).timestamp(),
    };
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(KIND.into());
    let key = EncodingKey::from_secret(front.app.vault.session_key().reveal());
    if let Ok(token) = jsonwebtoken::encode(&header, &claims, &key) {
        set_cookie(res, SESSION, &token, IDLE.num_seconds());
    }
}

/// What a token says, if it is one of ours, of this kind, and in time.
fn read(front: &Front, token: &str) -> Option<Claims> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    if header.alg != Algorithm::HS256 || header.typ.as_deref() != Some(KIND) {
        return None;
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[&front.app.policy.public_url]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // Times are compared with our own clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(front.app.vault.session_key().reveal());
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
    let (now, leeway) = (front.app.clock.now().timestamp(), LEEWAY.num_seconds());
    (claims.exp + leeway >= now && claims.iat <= now + leeway).then_some(claims)
}

/// Who looks; none: nobody that is signed in. A token that has grown old is renewed.
///
/// # Errors
/// When our database fails.
async fn visitor(front: &Front, req: &Request, res: &mut Response) -> Result<Option<Visitor>, StoreError> {
    let Some(claims) = cookie(req, SESSION).and_then(|token| read(front, token)) else { return Ok(None) };
    let Some(session) = front.app.store.session(&claims.sid).await? else { return Ok(None) };
    if claims.sub != session.user.0.to_string() {
        return Ok(None);
    }
    let Some(user) = front.app.store.user(session.user).await?.filter(|user| !user.removing) else { return Ok(None) };
    if front.app.clock.now().timestamp() - claims.iat > RENEWED.num_seconds() {
        give(front, res, &claims.sid, session.user.0);
    }
    Ok(Some(Visitor { user, session: claims.sid, began: session.began }))
}

/// Looks who it is, for all that follows.
#[handler]
pub async fn look(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    let front = Front::of(depot);
    match visitor(&front, req, res).await {
        Ok(Some(visitor)) => {
            let csrf = csrf(&front, &visitor.session);
            depot.insert("csrf", csrf);
            depot.insert("visitor", visitor);
        }
        Ok(None) => {
            if let Some(browser) = known_browser(req) {
                depot.insert("csrf", csrf(&front, browser));
            }
        }
        Err(error) => {
            Refusal::from(error).answer(req, depot, res);
            ctrl.skip_rest();
        }
    }
}

/// Who looks, if they are signed in.
pub fn who(depot: &Depot) -> Option<Visitor> {
    depot.get::<Visitor>("visitor").ok().cloned()
}

/// The same, for the top of a page.
pub fn looker(depot: &Depot) -> Option<Person> {
    who(depot).map(|visitor| Person { email: visitor.user.email, admin: visitor.user.admin })
}

/// The proof that forms of this visitor carry; empty for somebody whom we do not know.
pub fn csrf_of(depot: &Depot) -> String {
    depot.get::<String>("csrf").cloned().unwrap_or_default()
}

/// The proof that forms of this session or browser carry.
pub fn csrf(front: &Front, of: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(front.app.vault.session_key().reveal()).expect("HMAC takes keys of any length");
    mac.update(b"csrf/v1/");
    mac.update(of.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Whether a proof is the right one.
fn proves(given: Option<&str>, expected: &str) -> bool {
    let given = given.unwrap_or_default();
    !expected.is_empty() && verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).is_ok()
}

/// Lets those go on who are signed in; people are led to sign in.
#[handler]
pub async fn signed_in(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    if who(depot).is_some() {
        return;
    }
    ctrl.skip_rest();
    if req.uri().path().starts_with("/api/") {
        return Refusal::unauthenticated().answer(req, depot, res);
    }
    let next = super::error::urlencode(req.uri().path());
    super::see_other(res, &format!("/app/login?next={next}"));
}

/// Lets admins go on. Others learn of pages only that there is nothing for them.
#[handler]
pub async fn admins(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    match who(depot) {
        Some(visitor) if visitor.user.admin => {}
        Some(visitor) => {
            tracing::warn!(user.id = %visitor.user.id, "somebody who is no admin asked for what is theirs");
            let refusal = if req.uri().path().starts_with("/api/") { Refusal::forbidden() } else { Refusal::missing() };
            refusal.answer(req, depot, res);
            ctrl.skip_rest();
        }
        None => ctrl.skip_rest(),
    }
}

/// A form that was filled in: each name once.
#[derive(Clone, Default)]
pub struct Form(BTreeMap<String, Secret<String>>);

impl Form {
    /// The text of a field, without blanks around it; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.reveal().trim())
    }

    /// Whether a box is ticked.
    pub fn ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// Whether a field is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The form of this request.
pub fn form(depot: &Depot) -> Form {
    depot.get::<Form>("form").ok().cloned().unwrap_or_default()
}

/// Whether a request that may change something says that it comes from elsewhere (Fetch Metadata, Origin).
fn is_foreign(front: &Front, req: &Request) -> bool {
    let header = |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok());
    let site = header("sec-fetch-site");
    let elsewhere = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    // A page that sends no referrer hides its origin, too; that it is ours the other header says, which no page can write.
    let hidden = |origin: &str| origin == "null" && site == Some("same-origin");
    elsewhere || header("origin").is_some_and(|origin| origin != front.app.policy.public_url && !hidden(origin))
}

/// Takes the forms of pages, if they prove to be ours.
#[handler]
pub async fn forms(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    if matches!(req.method().as_str(), "GET" | "HEAD" | "OPTIONS") {
        return;
    }
    match read_form(req, depot).await {
        Ok(form) => {
            depot.insert("form", form);
        }
        Err(refusal) => {
            refusal.answer(req, depot, res);
            ctrl.skip_rest();
        }
    }
}

async fn read_form(req: &mut Request, depot: &Depot) -> Result<Form, Refusal> {
    let front = Front::of(depot);
    if is_foreign(&front, req) {
        return Err(Refusal::csrf());
    }
    let kind = req.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
    {
        let message = "Only forms of these pages are taken here.";
        return Err(Refusal::new(salvo::http::StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let bytes = body(req, FORM_MAX, front.limits.patience).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::malformed("invalid_form", "The form is not text."))?;
    let mut fields = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        if value.contains('\0') {
            return Err(Refusal::unfit("invalid_text", "A field holds what is no text."));
        }
        if fields.insert(name.into_owned(), Secret::new(value.into_owned())).is_some() {
            return Err(Refusal::malformed("invalid_form", "A field stands there twice."));
        }
    }
    let given = fields.remove("csrf");
    if !proves(given.as_ref().map(|value| value.reveal().as_str()), &csrf_of(depot)) {
        return Err(Refusal::csrf());
    }
    Ok(Form(fields))
}

/// The body of a request, if it is not too long.
///
/// # Errors
/// A refusal for what is too long, takes too long or does not come whole.
pub async fn body(req: &mut Request, max: usize, patience: Duration) -> Result<Vec<u8>, Refusal> {
    let too_long = || {
        let message = format!("At most {} KB are taken here.", max >> 10);
        Refusal::new(salvo::http::StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    let length = req.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) {
        return Err(too_long());
    }
    if req.headers().contains_key("content-encoding") {
        let message = "What is sent must not be compressed.";
        return Err(Refusal::new(salvo::http::StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let too_slow = || {
        let message = "The request took too long to come. Try again.";
        Refusal::new(salvo::http::StatusCode::REQUEST_TIMEOUT, "too_slow", message)
    };
    match tokio::time::timeout(patience, req.payload_with_max_size(max)).await {
        Err(_) => Err(too_slow()),
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(salvo::http::ParseError::PayloadTooLarge)) => Err(too_long()),
        Ok(Err(_)) => Err(Refusal::malformed("incomplete_body", "The request did not come whole.")),
    }
}

/// Takes what programs send, if it proves to come from one that the person uses here.
#[handler]
pub async fn programs(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    if matches!(req.method().as_str(), "GET" | "HEAD" | "OPTIONS") {
        return;
    }
    let front = Front::of(depot);
    let given = req.headers().get("x-csrf-token").and_then(|value| value.to_str().ok());
    let refusal = if is_foreign(&front, req) || !proves(given, &csrf_of(depot)) {
        Refusal::csrf()
    } else {
        return;
    };
    refusal.answer(req, depot, res);
    ctrl.skip_rest();
}
