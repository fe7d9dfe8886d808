//! Access to the accounts behind the calendars: tokens fresh enough to be used.

use chrono::TimeDelta;

use super::App;
use crate::{
    google::error::GoogleError,
    model::{plan::ErrorClass, secret::Secret, tokens::Tokens},
    store::{StoreError, tokens::TokenId},
};

/// Tokens are renewed this long before they end, so that none ends within a call.
const AHEAD: TimeDelta = TimeDelta::seconds(90);

/// Why no access token could be had.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Google(#[from] GoogleError),
    #[error("this account is no longer connected; connect it again")]
    Unknown,
    #[error("Google's client id and secret are not set; finish the set-up first")]
    NotSetUp,
}

impl AccessError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            AccessError::Google(error) => error.class(),
            AccessError::Unknown => ErrorClass::Revoked,
            AccessError::Store(_) | AccessError::NotSetUp => ErrorClass::Transient,
        }
    }
}

/// An access token that is good for at least a minute.
///
/// # Errors
/// When Google refuses to renew it, or cannot be reached.
pub async fn access(app: &App, token: TokenId) -> Result<Secret<String>, AccessError> {
    let tokens = app.store.token(token).await?.ok_or(AccessError::Unknown)?;
    if tokens.expires - AHEAD > app.clock.now() {
        return Ok(tokens.access);
    }
    renew(app, token, &tokens).await
}

/// A new access token, after Google did not accept the old one.
///
/// # Errors
/// As [`access`].
pub async fn renewed(app: &App, token: TokenId) -> Result<Secret<String>, AccessError> {
    let tokens = app.store.token(token).await?.ok_or(AccessError::Unknown)?;
    renew(app, token, &tokens).await
}

async fn renew(app: &App, token: TokenId, tokens: &Tokens) -> Result<Secret<String>, AccessError> {
    let organization = app.store.organization().await?.ok_or(AccessError::NotSetUp)?;
    let fresh = app.oauth.refresh(&organization.client_id, &organization.client_secret, tokens).await?;
    // Stored before it is used: a refresh token that Google replaced must not be lost in a crash.
    app.store.update_tokens(token, &fresh).await?;
    Ok(fresh.access)
}
