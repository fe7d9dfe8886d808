//! The page on which a person chooses an account and allows an application to act.
//!
//! With a `login_hint` that names an account (address or subject), it signs in at once and allows everything asked for.
//! Otherwise it shows the accounts, with one tick box for each scope. Every choice is a plain link or form back to the
//! same address: the parameters of the request, with `account`, `granular=1` and the `grant`ed scopes, or `deny=1`.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use url::Url;

use super::{OAuth, form, pairs, scopes, tokens::Code};
use crate::emulator::{
    http::{Request, Response},
    state::{Account, World},
};

impl OAuth {
    /// `GET /o/oauth2/v2/auth`.
    pub(super) fn authorize(&mut self, world: &World, request: &Request) -> Response {
        let form = form(request);
        let field = |name: &str| form.get(name).map(String::as_str).filter(|v| !v.is_empty());
        // What is wrong with client or address is shown to the person: the address cannot be trusted with it.
        let Some(client) = field("client_id").and_then(|id| self.clients.get(id)) else {
            return page_error(401, "invalid_client", "The OAuth client was not found.");
        };
        let redirect = field("redirect_uri").unwrap_or("");
        let (true, Ok(address)) = (client.admits(redirect), Url::parse(redirect)) else {
            return page_error(
                400,
                "redirect_uri_mismatch",
                &format!("The redirect address {redirect} is not registered for this application."),
            );
        };
        if field("response_type") != Some("code") {
            return page_error(400, "unsupported_response_type", "The response type must be \"code\".");
        }
        let asked = scopes(field("scope").unwrap_or(""));
        if asked.is_empty() {
            return page_error(400, "invalid_request", "Missing required parameter: scope");
        }
        if let Some(unknown) = asked.iter().find(|s| !known(s)) {
            return page_error(400, "invalid_scope", &format!("Some requested scopes were invalid: {unknown}"));
        }
        match (field("code_challenge"), field("code_challenge_method")) {
            (None, None) | (Some(_), Some("S256")) => {}
            _ => return page_error(400, "invalid_request", "The code challenge method must be S256."),
        }
        let back = |name: &str, value: &str| {
            let mut address = address.clone();
            address.query_pairs_mut().append_pair(name, value);
            if let Some(state) = field("state") {
                address.query_pairs_mut().append_pair("state", state);
            }
            Response::empty(302).with_header("location", address.as_str()).with_header("cache-control", "no-store")
        };
        if field("deny").is_some() {
            return back("error", "access_denied");
        }
        let chosen = field("account").or(field("login_hint"));
        let account = chosen.and_then(|hint| world.accounts.values().find(|a| a.email == hint || a.sub == hint));
        let prompts: BTreeSet<&str> = field("prompt").unwrap_or("").split_whitespace().collect();
        let Some(account) = account else {
            if prompts.contains("none") {
                return back("error", "interaction_required");
            }
            return chooser(world, request, client.client_id.as_str(), &asked, field("hd"));
        };
        if self.admin_forbids(world, &account.email) {
            return page_error(400, "admin_policy_enforced", "Your administrator does not allow this application.");
        }
        let pair = (account.email.clone(), client.client_id.clone());
        let before = self.grants.get(&pair).cloned().unwrap_or_default();
        if prompts.contains("none") && !asked.is_subset(&before.scopes) {
            return back("error", "consent_required");
        }
        // L10: what is not ticked is not granted. OpenID's own scopes have no box.
        let mut granted = asked.clone();
        if field("granular").is_some() {
            let ticked: BTreeSet<String> =
                pairs(request).into_iter().filter(|(name, _)| name == "grant").map(|(_, scope)| scope).collect();
            granted.retain(|s| identity(s) || ticked.contains(s));
        }
        let offline = field("access_type") == Some("offline");
        let anew = prompts.contains("consent") || !before.offline || !granted.is_subset(&before.scopes);
        let grant = self.grants.entry(pair).or_default();
        grant.scopes.extend(granted.iter().cloned());
        if field("include_granted_scopes") == Some("true") {
            granted = grant.scopes.clone();
        }
        let now = world.now();
        let code = Code {
            account: account.email.clone(),
            client: field("client_id").unwrap_or("").into(),
            scopes: granted,
            redirect_uri: redirect.into(),
            nonce: field("nonce").map(String::from),
            challenge: field("code_challenge").map(String::from),
            // L01: a refresh token comes with a consent, not with every sign-in.
            refresh: offline && anew,
            expires: now + TimeDelta::minutes(super::tokens::CODE_MINUTES),
        };
        // As Google's, with a slash that needs encoding.
        let secret = format!("4/0{}", self.secret("code", now));
        self.codes.insert(secret.clone(), code);
        back("code", &secret)
    }
}

/// Whether a scope is only about who somebody is.
fn identity(scope: &str) -> bool {
    matches!(scope, "openid" | super::EMAIL | super::PROFILE)
}

fn known(scope: &str) -> bool {
    scope == "openid" || scope.starts_with("https://www.googleapis.com/auth/") || scope == "https://mail.google.com/"
}

fn chooser(world: &World, request: &Request, client: &str, asked: &BTreeSet<String>, domain: Option<&str>) -> Response {
    let hidden: String = pairs(request)
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "account" | "grant" | "granular" | "deny"))
        .map(|(n, v)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(n), escape(v)))
        .collect();
    let shown = |a: &&Account| domain.is_none_or(|d| a.hosted_domain.as_deref().is_some_and(|h| d == "*" || d == h));
    let accounts: String = world
        .accounts
        .values()
        .filter(shown)
        .map(|a| {
            let (email, name) = (escape(&a.email), escape(&a.name));
            format!("<li><button name=\"account\" value=\"{email}\">{name} &lt;{email}&gt;</button></li>\n")
        })
        .collect();
    let boxes: String = asked
        .iter()
        .filter(|s| !identity(s))
        .map(|s| {
            let s = escape(s);
            format!("<li><label><input type=\"checkbox\" name=\"grant\" value=\"{s}\" checked> {s}</label></li>\n")
        })
        .collect();
    let body = format!(
        "<h1>Choose an account</h1>\n<p>to continue to {client}. This is an emulator: every account is open.</p>\n\
         <form method=\"get\" action=\"/o/oauth2/v2/auth\">\n{hidden}\
         <input type=\"hidden\" name=\"granular\" value=\"1\">\n\
         <p>It will be able to use:</p>\n<ul>\n{boxes}</ul>\n<p>Continue as:</p>\n<ul>\n{accounts}</ul>\n\
         <p><button name=\"deny\" value=\"1\">Cancel</button></p>\n</form>\n",
        client = escape(client),
    );
    page(200, "Sign in", &body)
}

fn page_error(status: u16, error: &str, message: &str) -> Response {
    let body = format!("<h1>Access blocked</h1>\n<p>{}</p>\n<p>Error {status}: {error}</p>\n", escape(message));
    page(status, &format!("Error {status}: {error}"), &body)
}

fn page(status: u16, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"stylesheet\" href=\"/_emulator/page.css\"><link rel=\"icon\" href=\"data:,\"></head>\n\
         <body class=\"emulator consent\"><main>\n{body}</main></body></html>\n",
        escape(title)
    );
    let headers = vec![
        ("content-type".into(), "text/html; charset=UTF-8".into()),
        ("cache-control".into(), "no-store".into()),
        ("x-frame-options".into(), "DENY".into()),
    ];
    Response { status, headers, body: html.into_bytes() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
