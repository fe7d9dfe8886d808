//! Commands over HTTP, below `/_emulator/`: what no API call can do, for tests and demos.
//!
//! | command | body | does |
//! |---|---|---|
//! | `POST faults` | a [`Fault`] | arms it: `{id}` |
//! | `GET faults`, `DELETE faults[/id]` | | lists them with their hits, disarms |
//! | `GET stats`, `DELETE stats` | | requests by account, method and status; starts counting afresh |
//! | `POST revoke` | `{account}` | all its tokens die: 400 `invalid_grant`, 401; a new sign-in heals |
//! | `POST expire-access` | `{account}` | its issued access tokens expire (a `dev:` token has no end) |
//! | `POST change-password` | `{account}` | refresh tokens with Gmail scopes die, others live (L09) |
//! | `POST admin-block` | `{domain, blocked}` | the Workspace admin forbids or allows applications (L11) |
//! | `POST rotate-keys` | `{retire?}` | id tokens get a new signing key; `retire` drops older ones (L13) |
//! | `POST forge` | a [`Forgery`] | the next answer to a code is wrong: id token, its header or signature, other members |
//! | `POST clients` | `{client_id, client_secret, redirect_uris?}` | registers or replaces a client |
//! | `POST expire-sync-tokens` | `{calendar}` | its sync tokens answer 410 |
//! | `POST set-access` | `{calendar, account, role}` | gives access and puts the calendar on the account's list |
//! | `POST remove-access` | `{calendar, account}` | takes access away |
//! | `POST keep` | | remembers everything as it is, but for faults and stats |
//! | `POST back` | | puts what was kept in its place again, as often as asked |
//! | `… calendars/…` | | what people do on Google's own pages: [`write::control`] |
//!
//! Unknown fields and commands are refused, so that a mistyped fault does not pass as a quiet day.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Fault, Stats};
use crate::emulator::{
    Core, calendars,
    http::{ApiError, Request, Response},
    oauth::{Client, Forgery},
    state::Role,
    write,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    account: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calendar {
    calendar: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Access {
    calendar: String,
    account: String,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    domain: String,
    blocked: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotate {
    retire: bool,
}

/// Carries out one command.
pub fn control(core: &mut Core, request: &Request) -> Response {
    let path = request.path.trim_start_matches("/_emulator/");
    let segments: Vec<String> = path.split('/').map(crate::emulator::api::decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    command(core, &segments, request).unwrap_or_else(|refusal| refusal.response())
}

fn command(core: &mut Core, segments: &[&str], request: &Request) -> Result<Response, ApiError> {
    let done = || Ok(Response::json(200, &json!({})));
    match (request.method.as_str(), segments) {
        ("POST", ["faults"]) => {
            let id = core.faults.add(body::<Fault>(request)?).map_err(refused)?;
            Ok(Response::json(200, &json!({"id": id})))
        }
        ("GET", ["faults"]) => Ok(Response::json(200, &core.faults.describe())),
        ("DELETE", ["faults"]) => {
            core.faults.clear();
            done()
        }
        ("DELETE", ["faults", id]) => {
            let found = id.parse().is_ok_and(|id| core.faults.remove(id));
            if found { done() } else { Err(ApiError::not_found()) }
        }
        ("GET", ["stats"]) => Ok(Response::json(200, &core.faults.stats.describe())),
        ("DELETE", ["stats"]) => {
            core.faults.stats = Stats::default();
            done()
        }
        ("POST", ["revoke"]) => {
            let account = account(core, request)?;
            core.oauth.revoke_account(&account);
            done()
        }
        ("POST", ["expire-access"]) => {
            let account = account(core, request)?;
            core.oauth.expire_access(&account, core.world.now());
            done()
        }
        ("POST", ["change-password"]) => {
            let account = account(core, request)?;
            core.oauth.change_password(&account);
            done()
        }
        ("POST", ["admin-block"]) => {
            let Block { domain, blocked } = body(request)?;
            core.oauth.block_domain(&domain, blocked);
            done()
        }
        ("POST", ["rotate-keys"]) => {
            let Rotate { retire } = if request.body.is_empty() { Rotate::default() } else { body(request)? };
            core.oauth.rotate_keys(retire);
            done()
        }
        ("POST", ["forge"]) => {
            core.oauth.forge(body::<Forgery>(request)?);
            done()
        }
        ("POST", ["clients"]) => {
            core.oauth.register(body::<Client>(request)?);
            done()
        }
        ("POST", ["expire-sync-tokens"]) => {
            let Calendar { calendar } = body(request)?;
            core.world.calendars.get_mut(&calendar).ok_or_else(ApiError::not_found)?.epoch += 1;
            done()
        }
        ("POST", ["set-access"]) => {
            let Access { calendar, account, role } = body(request)?;
            let role = role.ok_or_else(|| refused("\"role\" is missing.".into()))?;
            let role = Role::parse(&role).ok_or_else(|| refused(format!("There is no role \"{role}\".")))?;
            known(core, &account)?;
            calendars::set_access(&mut core.world, &calendar, &account, Some(role))?;
            calendars::enlist(&mut core.world, &account, &calendar);
            done()
        }
        ("POST", ["remove-access"]) => {
            let Access { calendar, account, role: None } = body(request)? else {
                return Err(refused("Taking access away needs no role.".into()));
            };
            calendars::set_access(&mut core.world, &calendar, &account, None)?;
            done()
        }
        ("POST", ["keep"]) => {
            core.kept = Some((core.world.clone(), core.oauth.clone()));
            done()
        }
        ("POST", ["back"]) => {
            (core.world, core.oauth) = core.kept.clone().ok_or_else(|| refused("Nothing was kept.".into()))?;
            done()
        }
        _ => write::control(core, segments, request).ok_or_else(ApiError::not_found),
    }
}

fn account(core: &Core, request: &Request) -> Result<String, ApiError> {
    let Account { account } = body(request)?;
    known(core, &account)?;
    Ok(account)
}

fn known(core: &Core, account: &str) -> Result<(), ApiError> {
    if core.world.accounts.contains_key(account) {
        return Ok(());
    }
    Err(refused(format!("There is no account \"{account}\".")))
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, ApiError> {
    // By way of a value, so that a field given twice or a scalar body is refused alike.
    let value: Value = serde_json::from_slice(&request.body).map_err(|e| refused(e.to_string()))?;
    serde_json::from_value(value).map_err(|e| refused(e.to_string()))
}

fn refused(message: String) -> ApiError {
    ApiError::new(400, "badRequest", message)
}
