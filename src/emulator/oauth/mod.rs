//! OAuth 2.0 and OpenID Connect as Google does it: sign-in with consent, tokens, keys, revocation (checklist L).
//!
//! ```text
//!   /.well-known/openid-configuration   every other address, issuer = this origin
//!   /o/oauth2/v2/auth                   consent ──► code            consent.rs
//!   /token                              code or refresh token ──► access token, id token     tokens.rs
//!   /revoke, /userinfo, /certs          tokens.rs, here, keys.rs
//! ```
//!
//! Invariant: a token names one account, one client and the scopes of its consent; what ends a grant ends its tokens.
//! Beside issued tokens, `Bearer dev:EMAIL` is an access token of that account with every calendar scope.

mod consent;
mod forge;
mod keys;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Caller,
    http::{ApiError, Request, Response},
    state::World,
};
pub use forge::Forgery;
use keys::Keys;
use tokens::{Access, Code, Refresh};

/// The client that is registered from the start.
pub const DEMO_CLIENT: &str = "busybridge-demo.apps.googleusercontent.com";
/// Its secret.
pub const DEMO_SECRET: &str = "demo-secret";

const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
const PROFILE: &str = "https://www.googleapis.com/auth/userinfo.profile";
const CALENDAR: &str = "https://www.googleapis.com/auth/calendar";

/// A registered application.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    pub client_id: String,
    pub client_secret: String,
    /// The addresses to which codes go, compared to the letter (L15). None: any `http` address on loopback.
    #[serde(default)]
    pub redirect_uris: Option<BTreeSet<String>>,
}

impl Client {
    /// Whether codes may go to this address.
    fn admits(&self, redirect_uri: &str) -> bool {
        if let Some(registered) = &self.redirect_uris {
            return registered.contains(redirect_uri);
        }
        let Ok(address) = url::Url::parse(redirect_uri) else { return false };
        let loopback = match address.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        address.scheme() == "http" && loopback && address.fragment().is_none()
    }
}

/// What an account has allowed a client.
#[derive(Clone, Debug, Default)]
struct Grant {
    scopes: BTreeSet<String>,
    /// Whether a refresh token has been given.
    offline: bool,
}

/// An account and a client id.
type Pair = (String, String);

/// Clients, grants, tokens and keys.
#[derive(Clone)]
pub struct OAuth {
    clients: BTreeMap<String, Client>,
    grants: BTreeMap<Pair, Grant>,
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Access>,
    refresh: BTreeMap<String, Refresh>,
    /// Accounts whose `dev:` token is dead until they sign in again.
    dev_revoked: BTreeSet<String>,
    /// Workspace domains whose admin forbids applications (L11).
    blocked: BTreeSet<String>,
    keys: Keys,
    /// What is wrong with the next answer to a code.
    forgery: Option<Forgery>,
    serial: u64,
}

impl Default for OAuth {
    fn default() -> Self {
        Self::new()
    }
}

impl OAuth {
    /// With the demo client, and nobody signed in.
    pub fn new() -> Self {
        let mut oauth = OAuth {
            clients: BTreeMap::new(),
            grants: BTreeMap::new(),
            codes: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            dev_revoked: BTreeSet::new(),
            blocked: BTreeSet::new(),
            keys: Keys::default(),
            forgery: None,
            serial: 0,
        };
        oauth.register(Client {
            client_id: DEMO_CLIENT.into(),
            client_secret: DEMO_SECRET.into(),
            redirect_uris: None,
        });
        oauth
    }

    /// Registers a client, or replaces the one of the same id.
    pub fn register(&mut self, client: Client) {
        self.clients.insert(client.client_id.clone(), client);
    }

    /// The caller of an API request: `Bearer dev:EMAIL`, or an access token issued here.
    ///
    /// # Errors
    /// 401 `authError` (checklist K01) for a missing, unknown, expired or revoked token.
    pub fn caller(&self, world: &World, request: &Request) -> Result<Caller, ApiError> {
        let refusal = || ApiError::new(401, "authError", "Invalid Credentials").at("header", "Authorization");
        let token = bearer(request).ok_or_else(refusal)?;
        if let Some(email) = token.strip_prefix("dev:") {
            if !world.accounts.contains_key(email) || self.dev_revoked.contains(email) {
                return Err(refusal());
            }
            let scopes = ["openid", EMAIL, PROFILE, CALENDAR].map(String::from).to_vec();
            return Ok(Caller { email: email.into(), scopes, client: None });
        }
        let access = self.live_access(token, world.now()).ok_or_else(refusal)?;
        let scopes = access.scopes.iter().cloned().collect();
        Ok(Caller { email: access.account.clone(), scopes, client: Some(access.client.clone()) })
    }

    /// The account behind a request to any endpoint, by its tokens, dead or alive.
    pub fn account_of(&self, request: &Request) -> Option<String> {
        if let Some(token) = bearer(request) {
            let issued = || self.access.get(token).map(|a| a.account.clone());
            return token.strip_prefix("dev:").map(String::from).or_else(issued);
        }
        let form = form(request);
        let field = |name: &str| form.get(name).map(String::as_str);
        let refresh = field("refresh_token").or(field("token")).and_then(|t| self.refresh.get(t));
        let code = field("code").and_then(|c| self.codes.get(c));
        refresh.map(|r| r.account.clone()).or(code.map(|c| c.account.clone()))
    }

    /// Answers a request to a sign-in endpoint; none when the path is no such endpoint.
    pub fn handle(&mut self, world: &mut World, origin: &str, request: &Request) -> Option<Response> {
        Some(match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/.well-known/openid-configuration") => discovery(origin),
            ("GET" | "POST", "/o/oauth2/v2/auth") => self.authorize(world, request),
            ("POST", "/token") => self.token(world, origin, request),
            ("POST" | "GET", "/revoke") => self.revoke(world, request),
            ("GET", "/certs") => self.keys.published(),
            ("GET" | "POST", "/userinfo") => self.userinfo(world, request),
            _ => return None,
        })
    }

    /// All tokens of an account die, `dev:` included, until it signs in again.
    pub fn revoke_account(&mut self, account: &str) {
        self.grants.retain(|(a, _), _| a != account);
        self.refresh.retain(|_, r| r.account != account);
        self.access.retain(|_, a| a.account != account);
        self.codes.retain(|_, c| c.account != account);
        self.dev_revoked.insert(account.into());
    }

    /// Accounts that took everything back and have not signed in since.
    pub fn revoked(&self) -> impl Iterator<Item = &String> {
        self.dev_revoked.iter()
    }

    /// The account signs in again, without a browser: a test's `dev:` token works as before.
    pub fn signs_in(&mut self, account: &str) {
        self.dev_revoked.remove(account);
    }

    /// The issued access tokens of an account expire; refresh tokens live on.
    pub fn expire_access(&mut self, account: &str, now: DateTime<Utc>) {
        for access in self.access.values_mut().filter(|a| a.account == account) {
            access.expires = access.expires.min(now);
        }
    }

    /// A new password ends refresh tokens with Gmail scopes, and no others (L09).
    pub fn change_password(&mut self, account: &str) {
        let gmail = |s: &String| s.starts_with("https://mail.google.com/") || s.contains("/auth/gmail.");
        self.refresh.retain(|_, r| r.account != account || !r.scopes.iter().any(gmail));
    }

    /// The admin of a Workspace domain forbids applications, or allows them again (L11).
    pub fn block_domain(&mut self, domain: &str, blocked: bool) {
        if blocked {
            self.blocked.insert(domain.into());
        } else {
            self.blocked.remove(domain);
        }
    }

    /// Id tokens get a new signing key. The old one stays published, unless it is to retire at once (L13).
    pub fn rotate_keys(&mut self, retire: bool) {
        self.keys.rotate(retire);
    }

    /// The next answer to a code is wrong in this way, and only that one.
    pub fn forge(&mut self, forgery: Forgery) {
        self.forgery = Some(forgery);
    }

    fn admin_forbids(&self, world: &World, account: &str) -> bool {
        let domain = world.accounts.get(account).and_then(|a| a.hosted_domain.as_ref());
        domain.is_some_and(|d| self.blocked.contains(d))
    }

    /// OpenID's userinfo.
    fn userinfo(&self, world: &World, request: &Request) -> Response {
        let caller = self.caller(world, request).ok().filter(|c| c.scopes.iter().any(|s| s == "openid" || s == EMAIL));
        let Some((caller, account)) = caller.and_then(|c| world.accounts.get(&c.email).map(|a| (c, a))) else {
            let body = json!({"error": "invalid_request", "error_description": "Invalid Credentials"});
            return Response::json(401, &body);
        };
        let has = |scope: &str| caller.scopes.iter().any(|s| s == scope);
        let mut claims = json!({"sub": account.sub});
        if has(PROFILE) {
            claims["name"] = account.name.clone().into();
        }
        if has(EMAIL) {
            claims["email"] = account.email.clone().into();
            claims["email_verified"] = true.into();
        }
        if let Some(domain) = &account.hosted_domain {
            claims["hd"] = domain.clone().into();
        }
        Response::json(200, &claims)
    }

    /// A new secret: unguessable it need not be, but never repeated, not even after a restart.
    fn secret(&mut self, kind: &str, now: DateTime<Utc>) -> String {
        self.serial += 1;
        let digest = Sha256::digest(format!("{kind} {} {}", self.serial, now.timestamp_micros()));
        URL_SAFE_NO_PAD.encode(digest)
    }
}

fn discovery(origin: &str) -> Response {
    let body = json!({
        "issuer": origin,
        "authorization_endpoint": format!("{origin}/o/oauth2/v2/auth"),
        "token_endpoint": format!("{origin}/token"),
        "userinfo_endpoint": format!("{origin}/userinfo"),
        "revocation_endpoint": format!("{origin}/revoke"),
        "jwks_uri": format!("{origin}/certs"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported":
            ["aud", "email", "email_verified", "exp", "hd", "iat", "iss", "name", "nonce", "sub", "at_hash", "azp"],
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
    });
    Response::json(200, &body).with_header("cache-control", "public, max-age=3600")
}

/// The token of an `Authorization` header; the scheme's case does not matter.
fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The fields of a form, and those of the query beneath them. Of a repeated field the first counts.
fn form(request: &Request) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in pairs(request) {
        fields.entry(name).or_insert(value);
    }
    fields
}

fn pairs(request: &Request) -> Vec<(String, String)> {
    let is_form = request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    let mut pairs: Vec<(String, String)> =
        if is_form { url::form_urlencoded::parse(&request.body).into_owned().collect() } else { Vec::new() };
    pairs.extend(request.query.iter().cloned());
    pairs
}

/// Scopes as Google returns them: the short names of OpenID are written out.
fn scopes(text: &str) -> BTreeSet<String> {
    text.split_whitespace()
        .map(|s| match s {
            "email" => EMAIL.into(),
            "profile" => PROFILE.into(),
            other => other.to_owned(),
        })
        .collect()
}

fn joined(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// An error of the token and revoke endpoints (RFC 6749 §5.2).
fn oauth_error(status: u16, error: &str, description: &str) -> Response {
    let body: Value = json!({"error": error, "error_description": description});
    Response::json(status, &body).with_header("cache-control", "no-store")
}
