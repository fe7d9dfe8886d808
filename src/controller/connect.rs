//! Which calendars an account offers, and the choice of one. A chosen client's or personal calendar takes part in nothing
//! until its person has seen what would happen and said so.

use super::{App, accounts, intent};
use crate::{
    model::{
        calendar::Role,
        id::{CalendarId, UserId},
    },
    store::{
        StoreError,
        tokens::{AccountKind, TokenId},
    },
};

/// Why a calendar cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Access(#[from] accounts::AccessError),
    #[error("Google could not be asked for the account's calendars. Try again in a minute")]
    Google(#[source] crate::google::error::GoogleError),
    #[error("there is no such account")]
    NoAccount,
    #[error("that account was connected for something else")]
    WrongKind,
    #[error("the account does not show this calendar")]
    NotOffered,
    #[error("the account may only read this calendar; ask its owner for the right to make changes, or choose another")]
    NotWritable,
    #[error("this calendar is connected already")]
    Connected,
    #[error("this calendar is used for something else already; disconnect it there first")]
    InUse,
}

/// A calendar that an account shows.
#[derive(Clone, Debug)]
pub struct Offered {
    pub id: CalendarId,
    pub name: String,
    pub zone: String,
    pub writable: bool,
    pub primary: bool,
    /// What it is used for already.
    pub used: Option<Role>,
}

/// The calendars that an account of this user shows, its own first.
///
/// # Errors
/// When it is not the user's, or Google does not answer.
pub async fn offered(app: &App, user: UserId, token: TokenId) -> Result<Vec<Offered>, ChoiceError> {
    if app.store.account_of(user, token).await?.is_none() {
        return Err(ChoiceError::NoAccount);
    }
    let access = accounts::access(app, token).await?;
    let listed = match app.google.calendars(&access).await {
        Err(error) if error.is_unauthorized() => {
            let access = accounts::renewed(app, token).await?;
            app.google.calendars(&access).await
        }
        listed => listed,
    };
    let rows = app.store.calendars_of(user).await?;
    let mut offered: Vec<Offered> = listed
        .map_err(ChoiceError::Google)?
        .into_iter()
        .map(|calendar| Offered {
            used: rows.iter().find(|row| row.id == calendar.id).map(|row| row.role),
            id: calendar.id,
            name: calendar.name,
            zone: calendar.zone,
            writable: calendar.writable,
            primary: calendar.primary,
        })
        .collect();
    offered.sort_by(|a, b| (!a.primary, !a.writable, &a.name).cmp(&(!b.primary, !b.writable, &b.name)));
    Ok(offered)
}

/// Connects a calendar of an account, which takes part in nothing at first; gives its number.
///
/// # Errors
/// When the account does not offer it for this role, or it is in use.
pub async fn choose(app: &App, user: UserId, token: TokenId, calendar: &str, role: Role) -> Result<i64, ChoiceError> {
    let kind = match role {
        Role::Main => AccountKind::Home,
        Role::Client => AccountKind::Client,
        Role::Personal => AccountKind::Personal,
    };
    match app.store.account_of(user, token).await? {
        None => return Err(ChoiceError::NoAccount),
        Some((of, _)) if of != kind => return Err(ChoiceError::WrongKind),
        Some(_) => {}
    }
    let offered = offered(app, user, token).await?;
    let found = offered.into_iter().find(|offered| offered.id.as_str() == calendar).ok_or(ChoiceError::NotOffered)?;
    match found.used {
        // Anew, by an account whose permission had ended.
        Some(used) if used == role && role != Role::Main => {
            let rows = app.store.calendars_of(user).await?;
            let row = rows.iter().find(|row| row.id == found.id);
            if row.is_some_and(|row| row.token == token) {
                return Err(ChoiceError::Connected);
            }
        }
        Some(used) if used != role => return Err(ChoiceError::InUse),
        _ => {}
    }
    if role != Role::Personal && !found.writable {
        return Err(ChoiceError::NotWritable);
    }
    let (id, name, zone) = (&found.id, &found.name, &found.zone);
    if role == Role::Main {
        if found.used == Some(Role::Main) {
            let rows = app.store.calendars_of(user).await?;
            return rows.iter().find(|row| row.id == found.id).map(|row| row.number).ok_or(ChoiceError::NotOffered);
        }
        intent::choose_main(app, user, token, id, name, zone).await.map_err(|error| match error {
            intent::IntentError::Store(error) => ChoiceError::Store(error),
            _ => ChoiceError::InUse,
        })?;
        let rows = app.store.calendars_of(user).await?;
        return rows.iter().find(|row| row.id == found.id).map(|row| row.number).ok_or(ChoiceError::NotOffered);
    }
    // Of many who ask at once one was first.
    app.store.offer_calendar(user, token, id, name, role, zone).await?.ok_or(ChoiceError::Connected)
}
