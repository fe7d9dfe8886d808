//! What consents gave us, sealed.
//!
//! A token is bound to its user and account, not to the number of its row: a row given to another user does not open.

use super::{Attempt, Store, StoreError, instant, stamp};
use crate::{
    model::{id::UserId, tokens::Tokens},
    vault::Place,
};

/// The tokens of one account of one user, by the number of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub i64);

/// What an account is to its user; it decides which scopes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// The account in the home organization.
    Home,
    /// An account in a client's organization.
    Client,
    /// A private account, read only.
    Personal,
}

impl AccountKind {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            AccountKind::Home => "home",
            AccountKind::Client => "client",
            AccountKind::Personal => "personal",
        }
    }
}

const TABLE: &str = "oauth_tokens";

fn row_name(user: UserId, account_email: &str) -> String {
    format!("{user}/{}", account_email.to_ascii_lowercase())
}

fn access(row: &str) -> Place<'_> {
    Place { table: TABLE, column: "access_token_encrypted", row }
}

fn refresh(row: &str) -> Place<'_> {
    Place { table: TABLE, column: "refresh_token_encrypted", row }
}

impl Store {
    /// Keeps the tokens of an account, in the place of those before. The address is compared without regard to case.
    pub async fn put_token(
        &self,
        user: UserId,
        kind: AccountKind,
        account_email: &str,
        tokens: &Tokens,
    ) -> Result<TokenId, StoreError> {
        let Tokens { access: access_token, refresh: refresh_token, expires, scopes } = tokens;
        let row = row_name(user, account_email);
        sqlx::query_scalar(
            "INSERT INTO oauth_tokens (user_id, account_type, google_account_email, access_token_encrypted,
                 refresh_token_encrypted, token_expiry, scopes, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
             ON CONFLICT (user_id, google_account_email) DO UPDATE SET account_type = excluded.account_type,
                 access_token_encrypted = excluded.access_token_encrypted,
                 refresh_token_encrypted = excluded.refresh_token_encrypted,
                 token_expiry = excluded.token_expiry, scopes = excluded.scopes, updated_at = excluded.updated_at
             RETURNING id",
        )
        .bind(user.0)
        .bind(kind.word())
        .bind(account_email)
        .bind(self.seal(&access(&row), access_token))
        .bind(self.seal(&refresh(&row), refresh_token))
        .bind(stamp(*expires))
        .bind(scopes)
        .bind(self.now())
        .fetch_one(&self.writer)
        .await
        .map(TokenId)
        .when("storing tokens")
    }

    /// The tokens of an account.
    pub async fn token(&self, token: TokenId) -> Result<Option<Tokens>, StoreError> {
        let row: Option<(i64, String, Vec<u8>, Vec<u8>, String, String)> = sqlx::query_as(
            "SELECT user_id, google_account_email, access_token_encrypted, refresh_token_encrypted, token_expiry, scopes
             FROM oauth_tokens WHERE id = ?",
        )
        .bind(token.0)
        .fetch_optional(&self.reader)
        .await
        .when("reading tokens")?;
        let Some((user, email, access_token, refresh_token, expires, scopes)) = row else { return Ok(None) };
        let row = row_name(UserId(user), &email);
        Ok(Some(Tokens {
            access: self.open_text(&access(&row), &access_token)?,
            refresh: self.open_text(&refresh(&row), &refresh_token)?,
            expires: instant(TABLE, &expires)?,
            scopes,
        }))
    }

    /// Keeps refreshed tokens. When this returns they are on the disk: a rotated refresh token is nowhere else.
    ///
    /// # Errors
    /// [`StoreError::NoSuchAccount`] if the account was disconnected meanwhile.
    pub async fn update_tokens(&self, token: TokenId, tokens: &Tokens) -> Result<(), StoreError> {
        let Tokens { access: access_token, refresh: refresh_token, expires, scopes } = tokens;
        let mut transaction = self.write().await?;
        let row: Option<(i64, String)> =
            sqlx::query_as("SELECT user_id, google_account_email FROM oauth_tokens WHERE id = ?")
                .bind(token.0)
                .fetch_optional(&mut *transaction)
                .await
                .when("reading an account")?;
        let (user, email) = row.ok_or(StoreError::NoSuchAccount)?;
        let row = row_name(UserId(user), &email);
        sqlx::query(
            "UPDATE oauth_tokens SET access_token_encrypted = ?, refresh_token_encrypted = ?, token_expiry = ?,
                 scopes = ?, updated_at = ? WHERE id = ?",
        )
        .bind(self.seal(&access(&row), access_token))
        .bind(self.seal(&refresh(&row), refresh_token))
        .bind(stamp(*expires))
        .bind(scopes)
        .bind(self.now())
        .bind(token.0)
        .execute(&mut *transaction)
        .await
        .when("storing tokens")?;
        transaction.commit().await.when("storing tokens")
    }
}
