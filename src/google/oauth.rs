//! Sign-in with Google: authorization with PKCE, exchange of the code, identity, renewal (OAuth 2.0 for web servers; OpenID
//! Connect). All addresses come from the issuer's discovery document.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, JwkSet},
};
use reqwest::Method;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Endpoints,
    error::{About, GoogleError},
    throttle::{Pace, Throttle},
    transport::{Near, Request, Transport},
};
use crate::model::{clock::Clock, secret::Secret, tokens::Tokens};

/// What a calendar that is written needs.
pub const SCOPES_WRITE: &[&str] = &[
    "openid",
    "email",
    "https://www.googleapis.com/auth/calendar.events",
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
];
/// What a calendar that is only read needs.
pub const SCOPES_READ: &[&str] = &[
    "openid",
    "email",
    "https://www.googleapis.com/auth/calendar.events.readonly",
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
];

/// How far clocks may differ.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// A sign-in that has begun: kept with the person's browser until they come back.
#[derive(Debug)]
pub struct Pending {
    /// Where the person goes.
    pub url: Url,
    pub state: String,
    pub proof: Proof,
}

/// What proves at the end of a sign-in that it is the one that began.
#[derive(Clone, Debug)]
pub struct Proof {
    pub nonce: String,
    pub verifier: Secret<String>,
    pub redirect_uri: String,
}

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Google's stable name for the account; an address may change hands.
    pub subject: String,
    pub email: String,
    pub email_verified: bool,
    /// The Workspace domain; none for a consumer account.
    pub hosted_domain: Option<String>,
    pub name: String,
}

/// What a sign-in gave.
#[derive(Debug)]
pub struct Grant {
    /// Without a lasting permission the access token stands in the refresh token's place, so that it can be given back.
    pub tokens: Tokens,
    pub identity: Identity,
    /// Whether a refresh token came.
    pub lasting: bool,
}

/// Google's side of a sign-in. Clones share what was fetched.
#[derive(Clone)]
pub struct OAuth {
    endpoints: Endpoints,
    transport: Transport,
    throttle: Arc<Throttle>,
    clock: Clock,
    discovery: Arc<Mutex<Option<Discovery>>>,
    keys: Arc<Mutex<Option<JwkSet>>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Discovery {
    issuer: String,
    #[serde(deserialize_with = "address")]
    authorization_endpoint: Url,
    #[serde(deserialize_with = "address")]
    token_endpoint: Url,
    #[serde(deserialize_with = "address")]
    jwks_uri: Url,
    #[serde(deserialize_with = "address")]
    revocation_endpoint: Url,
}

fn address<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    let text = String::deserialize(from)?;
    Url::parse(&text).map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: i64,
    #[serde(default)]
    scope: String,
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: serde_json::Value,
    azp: Option<String>,
    sub: String,
    exp: i64,
    iat: i64,
    nonce: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
    hd: Option<String>,
    name: Option<String>,
}

impl OAuth {
    /// Nothing is asked until it is needed.
    ///
    /// # Errors
    /// When no connection can be prepared.
    pub fn new(endpoints: Endpoints, clock: Clock) -> Result<Self, GoogleError> {
        let pace = if endpoints.is_emulator() { Pace::impatient() } else { Pace::google() };
        Ok(OAuth {
            endpoints,
            transport: Transport::new()?,
            throttle: Arc::new(Throttle::new(pace)),
            clock,
            discovery: Arc::default(),
            keys: Arc::default(),
        })
    }

    /// Sign-in at a Google in the same process.
    pub fn near(endpoints: Endpoints, clock: Clock, near: Near) -> Self {
        OAuth {
            endpoints,
            transport: Transport::near(near),
            throttle: Arc::new(Throttle::new(Pace::impatient())),
            clock,
            discovery: Arc::default(),
            keys: Arc::default(),
        }
    }

    /// Who issues identities here, without a slash at the end.
    pub fn issuer(&self) -> &str {
        self.endpoints.issuer.as_str().trim_end_matches('/')
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// When the issuer cannot be reached.
    pub async fn authorization(
        &self,
        client_id: &str,
        scopes: &[&str],
        login_hint: Option<&str>,
        redirect_uri: &str,
    ) -> Result<Pending, GoogleError> {
        let mut url = self.discovery().await?.authorization_endpoint;
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("response_type", "code")
            .append_pair("scope", &scopes.join(" "))
            .append_pair("access_type", "offline")
            .append_pair("prompt", "consent")
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(login_hint.map(|hint| ("login_hint", hint)));
        let proof = Proof { nonce, verifier: Secret::new(verifier), redirect_uri: redirect_uri.into() };
        Ok(Pending { url, state, proof })
    }

    /// Ends a sign-in: the code for tokens, and who it was.
    ///
    /// # Errors
    /// When the code is refused, or the identity is not proven.
    pub async fn exchange(
        &self,
        client_id: &str,
        client_secret: &Secret<String>,
        proof: &Proof,
        code: &str,
    ) -> Result<Grant, GoogleError> {
        let discovery = self.discovery().await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", client_id),
            ("client_secret", client_secret.reveal()),
            ("redirect_uri", &proof.redirect_uri),
            ("code_verifier", proof.verifier.reveal()),
        ];
        // A code is good once: a second attempt could only be refused.
        let answer = self.transport.send(post("oauth.token", discovery.token_endpoint.clone(), &form)).await?;
        let TokenAnswer { access_token, refresh_token, expires_in, scope, id_token } = read(&answer)?;
        let lasting = refresh_token.is_some();
        let refresh = refresh_token.unwrap_or_else(|| access_token.clone());
        let id_token = id_token.ok_or(GoogleError::Identity("there is none"))?;
        let identity = self.identity(&discovery, client_id, &proof.nonce, &id_token).await?;
        let tokens = Tokens {
            access: Secret::new(access_token),
            refresh: Secret::new(refresh),
            expires: self.clock.now() + TimeDelta::seconds(expires_in),
            scopes: scope,
        };
        Ok(Grant { tokens, identity, lasting })
    }

    /// A new access token. The refresh token stays, unless Google gives another.
    ///
    /// # Errors
    /// Of class `Revoked` when the permission was taken back.
    pub async fn refresh(
        &self,
        client_id: &str,
        client_secret: &Secret<String>,
        old: &Tokens,
    ) -> Result<Tokens, GoogleError> {
        let url = self.discovery().await?.token_endpoint;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", old.refresh.reveal().as_str()),
            ("client_id", client_id),
            ("client_secret", client_secret.reveal()),
        ];
        let request = post("oauth.refresh", url, &form);
        let answer = self.throttle.retry(|| self.transport.send(request.clone())).await?;
        let TokenAnswer { access_token, refresh_token, expires_in, scope, id_token: _ } = read(&answer)?;
        Ok(Tokens {
            access: Secret::new(access_token),
            refresh: refresh_token.map_or_else(|| old.refresh.clone(), Secret::new),
            expires: self.clock.now() + TimeDelta::seconds(expires_in),
            scopes: if scope.is_empty() { old.scopes.clone() } else { scope },
        })
    }

    /// Whether Google knows this client id and secret: a refresh token that never was is refused for itself, and a client for
    /// itself, before.
    ///
    /// # Errors
    /// When Google cannot be reached, or answers neither.
    pub async fn knows_client(&self, client_id: &str, client_secret: &Secret<String>) -> Result<bool, GoogleError> {
        let url = self.discovery().await?.token_endpoint;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", "none"),
            ("client_id", client_id),
            ("client_secret", client_secret.reveal()),
        ];
        let request = post("oauth.client", url, &form);
        match self.throttle.retry(|| self.transport.send(request.clone())).await {
            Err(GoogleError::Revoked) => Ok(true),
            Err(GoogleError::Refused { status: 400 | 401 | 403, .. }) => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Err(GoogleError::Nonsense("a refresh token that never was is accepted")),
        }
    }

    /// Gives a permission back (RFC 7009). What Google does not know any more is given back already.
    ///
    /// # Errors
    /// When Google cannot be reached.
    pub async fn revoke(&self, tokens: &Tokens) -> Result<(), GoogleError> {
        let url = self.discovery().await?.revocation_endpoint;
        let request = post("oauth.revoke", url, &[("token", tokens.refresh.reveal().as_str())]);
        match self.throttle.retry(|| self.transport.send(request.clone())).await {
            Err(GoogleError::Refused { status: 400, .. }) => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// Checks an id token (OpenID Connect Core §3.1.3.7): RS256 by a key of the issuer, for us, in time, for this sign-in.
    async fn identity(
        &self,
        discovery: &Discovery,
        client_id: &str,
        nonce: &str,
        token: &str,
    ) -> Result<Identity, GoogleError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| GoogleError::Identity("it cannot be read"))?;
        if header.alg != Algorithm::RS256 {
            return Err(GoogleError::Identity("it is not signed by RS256"));
        }
        let kid = header.kid.ok_or(GoogleError::Identity("it does not name its key"))?;
        let key = self.key(discovery, &kid).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| GoogleError::Identity("the issuer's key cannot be used"))?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[client_id]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // Times are compared with our own clock below.
        validation.validate_exp = false;
        let data = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|_| GoogleError::Identity("its signature, audience or form is wrong"))?;
        let Claims { iss, aud, azp, sub, exp, iat, nonce: answered, email, email_verified, hd, name } = data.claims;
        let now = self.clock.now().timestamp();
        if iss != discovery.issuer && format!("https://{iss}") != discovery.issuer {
            return Err(GoogleError::Identity("another issuer made it"));
        }
        // Nobody else is meant as well: who shares our tokens could pass for the person.
        let alone = aud == client_id || aud.as_array().is_some_and(|all| all.len() == 1 && all[0] == client_id);
        if !alone || azp.is_some_and(|azp| azp != client_id) {
            return Err(GoogleError::Identity("it was made for another program"));
        }
        if exp + LEEWAY.num_seconds() < now || iat - LEEWAY.num_seconds() > now {
            return Err(GoogleError::Identity("it is out of date"));
        }
        if answered.as_deref() != Some(nonce) {
            return Err(GoogleError::Identity("it belongs to another sign-in"));
        }
        let email = email.ok_or(GoogleError::Identity("it names no address"))?;
        let name = name.unwrap_or_else(|| email.clone());
        Ok(Identity { subject: sub, email, email_verified, hosted_domain: hd, name })
    }

    /// The issuer's key of this name; an unknown name is asked for once.
    async fn key(&self, discovery: &Discovery, kid: &str) -> Result<Jwk, GoogleError> {
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|set| find(set, kid));
        if let Some(key) = known {
            return Ok(key);
        }
        let request = get("oauth.certs", discovery.jwks_uri.clone());
        let set: JwkSet = read(&self.throttle.retry(|| self.transport.send(request.clone())).await?)?;
        let found = find(&set, kid);
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(set);
        found.ok_or(GoogleError::Identity("the issuer does not know its key"))
    }

    async fn discovery(&self) -> Result<Discovery, GoogleError> {
        if let Some(known) = self.discovery.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(known);
        }
        let mut url = self.endpoints.issuer.clone();
        url.set_path("/.well-known/openid-configuration");
        let request = get("oauth.discovery", url);
        let found: Discovery = read(&self.throttle.retry(|| self.transport.send(request.clone())).await?)?;
        *self.discovery.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        Ok(found)
    }
}

fn find(set: &JwkSet, kid: &str) -> Option<Jwk> {
    set.find(kid).cloned()
}

fn get(name: &'static str, url: Url) -> Request {
    Request { name, about: About::Account, method: Method::GET, url, access: None, if_match: None, body: None }
}

fn post(name: &'static str, url: Url, form: &[(&str, &str)]) -> Request {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    Request {
        name,
        about: About::Account,
        method: Method::POST,
        url,
        access: None,
        if_match: None,
        body: Some(("application/x-www-form-urlencoded", body.into_bytes())),
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, GoogleError> {
    serde_json::from_slice(body).map_err(|_| GoogleError::Nonsense("the answer is not what OAuth promises"))
}

/// 256 bits that nobody can guess, as text.
fn random() -> Result<String, GoogleError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| GoogleError::Setup("this machine gives no random numbers".into()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
