//! Brings departures to their end: a calendar that is to be left is left once nothing of ours stands there or derives from it,
//! and a user to be removed is removed once all calendars are left. What cannot be removed is listed first.
//!
//! Each end is one transaction, so that a crash before it repeats it and a crash after it finds it done.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::App;
use crate::{
    model::{
        calendar::{Freshness, Standing, Why},
        id::EventId,
    },
    store::{StoreError, calendars::CalendarRow, people::User, tokens::TokenId},
};

/// Ends what can be ended, after a tick that saw the calendars as `freshness` says. Writes nothing where nobody leaves.
///
/// # Errors
/// When our own database fails.
pub async fn finish(app: &App, user: &User, freshness: &BTreeMap<i64, Freshness>) -> Result<(), StoreError> {
    let mut rows = app.store.calendars_of(user.id).await?;
    // Those that cannot be written any more go first: what stands there is nobody's to wait for.
    rows.sort_by_key(|row| (hopeless(row, freshness).is_none(), row.number));
    for row in rows.iter().filter(|row| row.standing == Standing::Leaving) {
        let seen = freshness.get(&row.number) == Some(&Freshness::Current);
        let stuck = hopeless(row, freshness);
        if (!seen && stuck.is_none()) || app.store.derived_from(user.id, &row.id).await? > 0 {
            continue;
        }
        let behind = app.store.ours_on(row.number).await?;
        match stuck {
            Some(why) => leave(app, user, row, &behind, why).await?,
            None if behind.is_empty() => leave(app, user, row, &[], "").await?,
            // Still to be removed.
            None => {}
        }
    }
    if user.removing && app.store.calendars_of(user.id).await?.is_empty() {
        for token in app.store.tokens_of(user.id).await? {
            give_back(app, token).await;
        }
        app.store.drop_user(user.id).await?;
        info!(user.id = %user.id, "a user is removed");
    }
    Ok(())
}

/// Why nothing can be removed from a calendar any more; none while it can be, or may be soon.
fn hopeless(row: &CalendarRow, freshness: &BTreeMap<i64, Freshness>) -> Option<&'static str> {
    match freshness.get(&row.number) {
        Some(Freshness::Stale(why @ (Why::Revoked | Why::Lapsed | Why::Scope | Why::Forbidden | Why::Missing))) => {
            Some(why.sentence())
        }
        Some(Freshness::Current) if !row.writable => Some("the account may no longer write there"),
        _ => None,
    }
}

async fn leave(app: &App, user: &User, row: &CalendarRow, behind: &[EventId], why: &str) -> Result<(), StoreError> {
    let token = app.store.calendar_is_left(user.id, row.number, &user.email, behind, why).await?;
    match behind.len() {
        0 => info!(calendar = row.number, "a calendar is left"),
        n => warn!(calendar = row.number, events = n, "a calendar is left, and events of ours stay behind: {why}"),
    }
    if let Some(token) = token {
        give_back(app, token).await;
        app.store.drop_token(token).await?;
    }
    Ok(())
}

/// Gives an account's permission back to Google, if Google can be reached: it ends by itself when nobody uses it.
async fn give_back(app: &App, token: TokenId) {
    // Google ends the whole consent of the account, which another user may have given, too.
    if app.store.shares_account(token).await.unwrap_or(true) {
        return;
    }
    let Ok(Some(tokens)) = app.store.token(token).await else { return };
    if let Err(error) = app.oauth.revoke(&tokens).await {
        warn!("a permission could not be given back to Google: {error}");
    }
}
