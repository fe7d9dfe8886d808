//! Access to the accounts behind the calendars: tokens fresh enough to be used.
//!
//! Invariants: an account is refreshed by one at a time, and who waited takes what that one got; what Google gave is on the disk
//! before it is used; an account whose permission ended is not asked again until it is connected anew, and nothing else of it changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use tracing::{info, warn};

use super::App;
use crate::{
    google::error::GoogleError,
    model::{
        calendar::{Role, Why},
        plan::ErrorClass,
        secret::Secret,
        tokens::Tokens,
    },
    store::{
        StoreError,
        tokens::{Account, TokenId},
    },
};

/// Tokens are renewed this long before they end, so that none ends within a call.
const AHEAD: TimeDelta = TimeDelta::seconds(90);
/// The half-hourly job renews what ends before its next run. The specification says an hour, which is all the life that Google gives
/// an access token: each run would renew every one.
const SOON: TimeDelta = TimeDelta::minutes(35);
/// Accounts that the job renews at once.
const AT_ONCE: usize = 4;

/// Why no access token could be had.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Google(#[from] GoogleError),
    #[error("this account is no longer connected; connect it again")]
    Unknown,
    #[error("{}; connect the account again", .0.sentence())]
    Ended(Why),
    #[error("Google's client id and secret are not set; finish the set-up first")]
    NotSetUp,
}

impl From<StoreError> for AccessError {
    /// That an account was disconnected meanwhile is no trouble of the database.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchAccount => AccessError::Unknown,
            error => AccessError::Store(error),
        }
    }
}

impl AccessError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            AccessError::Google(error) => error.class(),
            AccessError::Unknown | AccessError::Ended(_) => ErrorClass::Revoked,
            AccessError::Store(_) | AccessError::NotSetUp => ErrorClass::Transient,
        }
    }
}

/// One gate for each account, through which one refresh goes at a time. Clones are the same gates.
#[derive(Clone, Debug, Default)]
pub struct Gates(Arc<Mutex<BTreeMap<TokenId, Arc<tokio::sync::Mutex<()>>>>>);

impl Gates {
    fn of(&self, token: TokenId) -> Arc<tokio::sync::Mutex<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(token).or_default().clone()
    }
}

/// An access token that is good for at least a minute.
///
/// # Errors
/// When Google refuses to renew it, or cannot be reached.
pub async fn access(app: &App, token: TokenId) -> Result<Secret<String>, AccessError> {
    let account = app.store.account(token).await?;
    access_of(app, token, account).await
}

/// [`access`] of an account that was just read.
///
/// # Errors
/// As [`access`].
pub async fn access_of(app: &App, token: TokenId, account: Option<Account>) -> Result<Secret<String>, AccessError> {
    let account = alive(account)?;
    let access = match lasts(&account.tokens, app.clock.now() + AHEAD) {
        true => account.tokens.access,
        false => renew(app, token, &account.tokens.access, AHEAD).await?,
    };
    app.google.name(&access, token.0);
    Ok(access)
}

/// A new access token, after Google did not accept the old one.
///
/// # Errors
/// As [`access`].
pub async fn renewed(app: &App, token: TokenId) -> Result<Secret<String>, AccessError> {
    let refused = alive(app.store.account(token).await?)?.tokens.access;
    let access = renew(app, token, &refused, AHEAD).await?;
    app.google.name(&access, token.0);
    Ok(access)
}

/// Renews the access tokens that end soon; gives their number.
///
/// # Errors
/// When our own database fails; what Google refuses is noted with the account.
pub async fn refresh_ahead(app: &App) -> Result<usize, StoreError> {
    let due = app.store.tokens_ending(app.clock.now() + SOON).await?;
    let renewals = stream::iter(due).map(|token| async move {
        if app.stop.is_asked() {
            return Ok(0);
        }
        let Some(account) = app.store.account(token).await? else { return Ok(0) };
        match renew(app, token, &account.tokens.access, SOON).await {
            Ok(_) => Ok(1),
            Err(AccessError::Store(error)) => Err(error),
            Err(error) => {
                warn!(account = token.0, "an access token was not renewed ahead of time: {error}");
                Ok(0)
            }
        }
    });
    let renewed: Vec<Result<usize, StoreError>> =
        renewals.buffer_unordered(AT_ONCE.min(app.google.at_once())).collect().await;
    renewed.into_iter().sum()
}

/// Whether the scopes that a person gave leave out what a calendar in this role needs. None known: Google will tell.
pub fn lacks_scope(scopes: &str, role: Role) -> bool {
    const PREFIX: &str = "https://www.googleapis.com/auth/";
    let given = |name: &str| scopes.split_whitespace().any(|scope| scope.strip_prefix(PREFIX) == Some(name));
    let writes = given("calendar") || given("calendar.events");
    !(scopes.trim().is_empty() || writes || role == Role::Personal && given("calendar.events.readonly"))
}

fn alive(account: Option<Account>) -> Result<Account, AccessError> {
    let account = account.ok_or(AccessError::Unknown)?;
    match account.ended {
        Some(why) => Err(AccessError::Ended(why)),
        None => Ok(account),
    }
}

fn lasts(tokens: &Tokens, until: DateTime<Utc>) -> bool {
    tokens.expires > until
}

/// Takes another access token than `stale`, which lasts for `ahead`: that of somebody who was quicker, or a new one from Google.
async fn renew(
    app: &App,
    token: TokenId,
    stale: &Secret<String>,
    ahead: TimeDelta,
) -> Result<Secret<String>, AccessError> {
    let gate = app.gates.of(token);
    let _turn = gate.lock().await;
    let account = alive(app.store.account(token).await?)?;
    if account.tokens.access.reveal() != stale.reveal() && lasts(&account.tokens, app.clock.now() + ahead) {
        return Ok(account.tokens.access);
    }
    let organization = app.store.organization().await?.ok_or(AccessError::NotSetUp)?;
    let fresh = app.oauth.refresh(&organization.client_id, &organization.client_secret, &account.tokens).await;
    match fresh {
        // Stored before it is used: a refresh token that Google replaced must not be lost in a crash.
        Ok(fresh) => Ok(app.store.update_tokens(token, &account.tokens, &fresh).await?.access),
        Err(GoogleError::Revoked) => {
            let why = ended_why(app.clock.now() - account.consented);
            info!(account = token.0, "Google accepts the account's consent no more: {}", why.sentence());
            app.store.account_ended(token, &account.tokens, why).await?;
            Err(AccessError::Ended(why))
        }
        Err(error) => Err(error.into()),
    }
}

/// Consents to an application in testing end after seven days (checklist L07); at any other age a person took theirs back.
fn ended_why(age: TimeDelta) -> Why {
    let (from, to) = (TimeDelta::minutes(7 * 1440 - 288), TimeDelta::minutes(7 * 1440 + 288));
    if (from..=to).contains(&age) { Why::Lapsed } else { Why::Revoked }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_that_ends_after_seven_days_has_lapsed() {
        for (hours, why) in [
            (1, Why::Revoked),
            (162, Why::Revoked),
            (164, Why::Lapsed),
            (168, Why::Lapsed),
            (172, Why::Lapsed),
            (174, Why::Revoked),
        ] {
            assert_eq!(ended_why(TimeDelta::hours(hours)), why, "{hours}");
        }
    }

    #[test]
    fn what_a_person_left_out_is_seen_before_google_says_so() {
        let all = "openid https://www.googleapis.com/auth/calendar.events";
        let read = "openid https://www.googleapis.com/auth/calendar.events.readonly";
        for (scopes, role, lacks) in [
            (all, Role::Client, false),
            (all, Role::Personal, false),
            (read, Role::Personal, false),
            (read, Role::Main, true),
            ("openid email", Role::Personal, true),
            ("https://www.googleapis.com/auth/calendar", Role::Main, false),
            ("", Role::Main, false),
        ] {
            assert_eq!(lacks_scope(scopes, role), lacks, "{scopes} {role:?}");
        }
    }
}
