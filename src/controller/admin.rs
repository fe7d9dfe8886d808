//! What admins may want of the installation as a whole.

use super::{App, purge};
use crate::{
    model::id::UserId,
    store::{StoreError, people::User},
};

/// Makes a user connect everything anew: sessions end, and Google is not asked for their accounts until then. What stands stays.
///
/// # Errors
/// When our own database fails.
pub async fn force_reauth(app: &App, user: UserId) -> Result<(), StoreError> {
    app.store.end_accounts_of(user).await?;
    app.store.end_sessions_of(user).await
}

/// What stays at Google when everything is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Events that were removed.
    pub removed: usize,
    /// Whose calendar, what it is called, and why it could not be swept whole.
    pub stuck: Vec<(String, String, String)>,
}

/// Removes everything that this installation wrote at Google.
///
/// # Errors
/// When our own database fails; what Google refuses is in the answer.
pub async fn sweep_all(app: &App) -> Result<Remains, StoreError> {
    let mut remains = Remains::default();
    for user in app.store.users().await? {
        let User { email, .. } = &user;
        for purged in purge::user(app, &user, false).await? {
            match purged.swept {
                Ok(swept) => {
                    remains.removed += swept.removed.len();
                    if !swept.behind.is_empty() {
                        let why = swept.why.unwrap_or_else(|| "Google refuses".into());
                        remains.stuck.push((email.clone(), purged.calendar, why));
                    }
                }
                Err(error) => remains.stuck.push((email.clone(), purged.calendar, error.to_string())),
            }
        }
    }
    Ok(remains)
}

/// Gives every permission back to Google, as far as it can be reached: the last thing before everybody is forgotten. Earlier, what
/// could not be swept could never be.
///
/// # Errors
/// When our own database fails.
pub async fn give_all_back(app: &App) -> Result<(), StoreError> {
    for user in app.store.users().await? {
        for token in app.store.tokens_of(user.id).await? {
            if let Ok(Some(tokens)) = app.store.token(token).await {
                let _ = app.oauth.revoke(&tokens).await;
            }
        }
    }
    Ok(())
}
