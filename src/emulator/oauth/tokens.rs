//! Codes, access tokens and refresh tokens: how they are exchanged, how long they live, what ends them.

use std::collections::BTreeSet;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Months, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{EMAIL, OAuth, PROFILE, Pair, form, joined, oauth_error};
use crate::emulator::{
    http::{Request, Response},
    state::World,
};

/// Seconds that an access token lives.
const ACCESS_SECONDS: i64 = 3599;
/// Live refresh tokens of one account and client (L06).
const REFRESH_MAX: usize = 100;
/// Minutes within which a code must be redeemed.
pub(super) const CODE_MINUTES: i64 = 10;
/// Days that refresh tokens live while the application is being tested (L07).
const TESTING_DAYS: i64 = 7;
/// Months after which an unused refresh token is dead (L08).
const IDLE_MONTHS: u32 = 6;

/// An authorization code, until it is redeemed.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub account: String,
    pub client: String,
    pub scopes: BTreeSet<String>,
    pub redirect_uri: String,
    pub nonce: Option<String>,
    /// S256 of the verifier to come.
    pub challenge: Option<String>,
    /// Whether a refresh token comes with it.
    pub refresh: bool,
    pub expires: DateTime<Utc>,
}

/// An access token.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub account: String,
    pub client: String,
    pub scopes: BTreeSet<String>,
    /// The refresh token it came from or with.
    refresh: Option<String>,
    /// Not valid from then on.
    pub expires: DateTime<Utc>,
}

/// A refresh token.
#[derive(Clone, Debug)]
pub(super) struct Refresh {
    pub account: String,
    client: String,
    pub scopes: BTreeSet<String>,
    /// The order of issue.
    serial: u64,
    issued: DateTime<Utc>,
    used: DateTime<Utc>,
}

impl OAuth {
    /// The access token, if it is valid now.
    pub(super) fn live_access(&self, token: &str, now: DateTime<Utc>) -> Option<&Access> {
        self.access.get(token).filter(|a| now < a.expires)
    }

    /// `POST /token`.
    pub(super) fn token(&mut self, world: &World, origin: &str, request: &Request) -> Response {
        let form = form(request);
        let field = |name: &str| form.get(name).map(String::as_str);
        let basic = request.header("authorization").and_then(basic);
        let (client, secret) = match &basic {
            Some((id, secret)) => (id.as_str(), secret.as_str()),
            None => (field("client_id").unwrap_or(""), field("client_secret").unwrap_or("")),
        };
        match self.clients.get(client) {
            None => return oauth_error(401, "invalid_client", "The OAuth client was not found."),
            Some(known) if known.client_secret != secret => {
                return oauth_error(401, "invalid_client", "The provided client secret is invalid.");
            }
            Some(_) => {}
        }
        match field("grant_type") {
            Some("authorization_code") => {
                let given = (field("code"), field("redirect_uri"), field("code_verifier"));
                self.redeem(world, origin, client, given)
            }
            Some("refresh_token") => self.renew(world, origin, client, field("refresh_token")),
            Some(other) => oauth_error(400, "unsupported_grant_type", &format!("Invalid grant_type: {other}")),
            None => oauth_error(400, "invalid_request", "Required parameter is missing: grant_type"),
        }
    }

    /// A code for tokens. Whatever is wrong, the code is gone afterwards (L04).
    fn redeem(
        &mut self,
        world: &World,
        origin: &str,
        client: &str,
        (code, redirect_uri, verifier): (Option<&str>, Option<&str>, Option<&str>),
    ) -> Response {
        let Some(code) = code else {
            return oauth_error(400, "invalid_request", "Missing required parameter: code");
        };
        let Some(code) = self.codes.remove(code).filter(|c| c.client == client && world.now() < c.expires) else {
            return oauth_error(400, "invalid_grant", "Malformed auth code.");
        };
        if redirect_uri != Some(code.redirect_uri.as_str()) {
            return oauth_error(400, "redirect_uri_mismatch", "Bad Request");
        }
        match (&code.challenge, verifier) {
            (None, None) => {}
            (Some(challenge), Some(verifier)) => {
                if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != *challenge {
                    return oauth_error(400, "invalid_grant", "Invalid code verifier.");
                }
            }
            (Some(_), None) => return oauth_error(400, "invalid_grant", "Missing code verifier."),
            (None, Some(_)) => {
                return oauth_error(400, "invalid_grant", "code_verifier or verifier is not needed.");
            }
        }
        let now = world.now();
        let pair: Pair = (code.account.clone(), client.into());
        let refresh = code.refresh.then(|| {
            let token = format!("1//0{}", self.secret("refresh", now));
            let entry = Refresh {
                account: code.account.clone(),
                client: client.into(),
                scopes: code.scopes.clone(),
                serial: self.serial,
                issued: now,
                used: now,
            };
            self.refresh.insert(token.clone(), entry);
            self.grants.entry(pair.clone()).or_default().offline = true;
            self.forget_oldest(&pair);
            token
        });
        let Code { account, scopes, nonce, .. } = code;
        let mut answer = self.grant(world, origin, &pair, &scopes, refresh.as_deref(), nonce.as_deref());
        if let Some(token) = refresh {
            if world.settings.testing_mode {
                answer["refresh_token_expires_in"] = (TESTING_DAYS * 86_400 - 1).into();
            }
            answer["refresh_token"] = token.into();
        }
        self.dev_revoked.remove(&account);
        if let Some(forgery) = self.forgery.take() {
            forgery.apply(&mut answer, &mut self.keys);
        }
        Response::json(200, &answer).with_header("cache-control", "no-store")
    }

    /// What an account's consent to these scopes gives, without a browser: a refresh token and its first access token.
    pub fn consents(&mut self, world: &World, account: &str, client: &str, scopes: &[&str]) -> (String, String) {
        let now = world.now();
        let scopes: BTreeSet<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let pair: Pair = (account.into(), client.into());
        let token = format!("1//0{}", self.secret("refresh", now));
        let entry = Refresh {
            account: account.into(),
            client: client.into(),
            scopes: scopes.clone(),
            serial: self.serial,
            issued: now,
            used: now,
        };
        self.refresh.insert(token.clone(), entry);
        let granted = self.grants.entry(pair.clone()).or_default();
        granted.offline = true;
        granted.scopes.extend(scopes.iter().cloned());
        self.forget_oldest(&pair);
        self.dev_revoked.remove(account);
        let answer = self.grant(world, "", &pair, &scopes, Some(&token), None);
        (answer["access_token"].as_str().unwrap_or_default().to_owned(), token)
    }

    /// A refresh token for a new access token. No new refresh token comes with it (L02), and the old one stays valid
    /// (L18).
    fn renew(&mut self, world: &World, origin: &str, client: &str, token: Option<&str>) -> Response {
        let Some(token) = token else {
            return oauth_error(400, "invalid_request", "Missing required parameter: refresh_token");
        };
        let now = world.now();
        let live = self.refresh.get(token).is_some_and(|r| {
            let idle = r.used.checked_add_months(Months::new(IDLE_MONTHS)).is_none_or(|end| now >= end);
            let tested_out = world.settings.testing_mode && now >= r.issued + TimeDelta::days(TESTING_DAYS);
            r.client == client && !idle && !tested_out && !self.admin_forbids(world, &r.account)
        });
        let Some(entry) = self.refresh.get_mut(token).filter(|_| live) else {
            return oauth_error(400, "invalid_grant", "Token has been expired or revoked.");
        };
        entry.used = now;
        let (pair, scopes) = ((entry.account.clone(), client.to_owned()), entry.scopes.clone());
        let answer = self.grant(world, origin, &pair, &scopes, Some(token), None);
        Response::json(200, &answer).with_header("cache-control", "no-store")
    }

    /// A new access token, with an id token if OpenID was asked for.
    fn grant(
        &mut self,
        world: &World,
        origin: &str,
        (account, client): &Pair,
        scopes: &BTreeSet<String>,
        refresh: Option<&str>,
        nonce: Option<&str>,
    ) -> serde_json::Value {
        let now = world.now();
        // Expired tokens are of no more use, and a demo may run for long.
        self.access.retain(|_, a| a.expires + TimeDelta::days(1) > now);
        let token = format!("ya29.a0{}", self.secret("access", now));
        let mut answer = json!({
            "access_token": token,
            "expires_in": ACCESS_SECONDS,
            "scope": joined(scopes),
            "token_type": "Bearer",
        });
        if let Some(person) = world.accounts.get(account).filter(|_| scopes.contains("openid")) {
            let half = &Sha256::digest(&token)[..16];
            let mut claims = json!({
                "iss": origin,
                "azp": client,
                "aud": client,
                "sub": person.sub,
                "at_hash": URL_SAFE_NO_PAD.encode(half),
                "iat": now.timestamp(),
                "exp": now.timestamp() + 3600,
            });
            if scopes.contains(EMAIL) {
                claims["email"] = person.email.clone().into();
                claims["email_verified"] = true.into();
            }
            if scopes.contains(PROFILE) {
                claims["name"] = person.name.clone().into();
            }
            if let Some(domain) = &person.hosted_domain {
                claims["hd"] = domain.clone().into();
            }
            if let Some(nonce) = nonce {
                claims["nonce"] = nonce.into();
            }
            answer["id_token"] = self.keys.sign(&claims).into();
        }
        let access = Access {
            account: account.clone(),
            client: client.clone(),
            scopes: scopes.clone(),
            refresh: refresh.map(String::from),
            expires: now + TimeDelta::seconds(ACCESS_SECONDS),
        };
        self.access.insert(token, access);
        answer
    }

    /// Beyond the limit the oldest refresh token of an account and client stops working without notice (L06).
    fn forget_oldest(&mut self, (account, client): &Pair) {
        let mut tokens: Vec<(u64, String)> = self
            .refresh
            .iter()
            .filter(|(_, r)| r.account == *account && r.client == *client)
            .map(|(token, r)| (r.serial, token.clone()))
            .collect();
        tokens.sort();
        let excess = tokens.len().saturating_sub(REFRESH_MAX);
        for (_, token) in tokens.into_iter().take(excess) {
            self.refresh.remove(&token);
        }
    }

    /// `POST /revoke` with an access or a refresh token (L16).
    pub(super) fn revoke(&mut self, world: &World, request: &Request) -> Response {
        let token = form(request).remove("token").unwrap_or_default();
        let now = world.now();
        let access = self.live_access(&token, now).cloned();
        let (pair, refresh) = match (self.refresh.get(&token), access) {
            (Some(r), _) => ((r.account.clone(), r.client.clone()), Some(token)),
            (None, Some(a)) => ((a.account, a.client), a.refresh),
            (None, None) => return oauth_error(400, "invalid_token", "Token expired or revoked"),
        };
        let whole = world.settings.revoke_whole_grant;
        let same = |account: &str, client: &str| account == pair.0 && client == pair.1;
        self.refresh.retain(|t, r| !(refresh.as_ref() == Some(t) || whole && same(&r.account, &r.client)));
        if whole {
            self.grants.remove(&pair);
        }
        let last = now + TimeDelta::seconds(world.settings.revocation_delay_seconds);
        for a in self.access.values_mut() {
            if whole && same(&a.account, &a.client) || refresh.is_some() && a.refresh == refresh {
                a.expires = a.expires.min(last);
            }
        }
        Response::json(200, &json!({}))
    }
}

/// Client id and secret of HTTP Basic, form-decoded (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ")?).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |s: &str| url::form_urlencoded::parse(s.as_bytes()).map(|(n, _)| n.into_owned()).next();
    Some((decode(id)?, decode(secret).unwrap_or_default()))
}
