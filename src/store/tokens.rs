//! What consents gave us, sealed.
//!
//! A token is bound to its user and account, not to the number of its row: a row given to another user does not open.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{Attempt, Store, StoreError, instant, stamp};
use crate::{
    model::{calendar::Why, id::UserId, tokens::Tokens},
    vault::Place,
};

/// The tokens of one account of one user, by the number of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub i64);

/// An account and how it stands.
#[derive(Clone, Debug)]
pub struct Account {
    pub tokens: Tokens,
    /// When the person gave their consent last.
    pub consented: DateTime<Utc>,
    /// Why Google accepts the refresh token no more; none: it does, as far as we know.
    pub ended: Option<Why>,
}

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

/// What is read of accounts that have something in this column.
macro_rules! accounts_by {
    ($column:literal) => {
        concat!(
            "SELECT id, user_id, google_account_email, access_token_encrypted, refresh_token_encrypted, token_expiry, scopes,
                 consented_at, ended_why
             FROM oauth_tokens WHERE ",
            $column,
            " = ?"
        )
    };
}

#[derive(sqlx::FromRow)]
struct AccountRow {
    id: i64,
    user_id: i64,
    google_account_email: String,
    access_token_encrypted: Vec<u8>,
    refresh_token_encrypted: Vec<u8>,
    token_expiry: String,
    scopes: String,
    consented_at: String,
    ended_why: Option<String>,
}

fn row_name(user: UserId, account_email: &str) -> String {
    format!("{user}/{}", account_email.to_ascii_lowercase())
}

fn access(row: &str) -> Place<'_> {
    Place { table: TABLE, column: "access_token_encrypted", row }
}

fn refresh(row: &str) -> Place<'_> {
    Place { table: TABLE, column: "refresh_token_encrypted", row }
}

fn kind_of(word: &str) -> Result<AccountKind, StoreError> {
    [AccountKind::Home, AccountKind::Client, AccountKind::Personal]
        .into_iter()
        .find(|kind| kind.word() == word)
        .ok_or(StoreError::Format { table: TABLE })
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
        let mut connection = self.writer.acquire().await.when("storing tokens")?;
        self.token_in(&mut connection, user, kind, account_email, tokens).await
    }

    /// [`Store::put_token`], in a transaction of the caller's.
    pub(super) async fn token_in(
        &self,
        connection: &mut SqliteConnection,
        user: UserId,
        kind: AccountKind,
        account_email: &str,
        tokens: &Tokens,
    ) -> Result<TokenId, StoreError> {
        let Tokens { access: access_token, refresh: refresh_token, expires, scopes } = tokens;
        let row = row_name(user, account_email);
        sqlx::query_scalar(
            "INSERT INTO oauth_tokens (user_id, account_type, google_account_email, access_token_encrypted,
                 refresh_token_encrypted, token_expiry, scopes, consented_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8)
             ON CONFLICT (user_id, google_account_email) DO UPDATE SET account_type = excluded.account_type,
                 access_token_encrypted = excluded.access_token_encrypted,
                 refresh_token_encrypted = excluded.refresh_token_encrypted,
                 token_expiry = excluded.token_expiry, scopes = excluded.scopes, consented_at = excluded.consented_at,
                 ended_at = NULL, ended_why = NULL, updated_at = excluded.updated_at
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
        .fetch_one(connection)
        .await
        .map(TokenId)
        .when("storing tokens")
    }

    /// What an account is to a user, and its address; none if it is not this user's.
    pub async fn account_of(&self, user: UserId, token: TokenId) -> Result<Option<(AccountKind, String)>, StoreError> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT account_type, google_account_email FROM oauth_tokens WHERE id = ? AND user_id = ?")
                .bind(token.0)
                .bind(user.0)
                .fetch_optional(&self.reader)
                .await
                .when("looking for an account")?;
        row.map(|(word, email)| Ok((kind_of(&word)?, email))).transpose()
    }

    /// What the account of this address is to a user; none if it is not connected.
    pub async fn account_kind(&self, user: UserId, email: &str) -> Result<Option<AccountKind>, StoreError> {
        let word: Option<String> =
            sqlx::query_scalar("SELECT account_type FROM oauth_tokens WHERE user_id = ? AND google_account_email = ?")
                .bind(user.0)
                .bind(email)
                .fetch_optional(&self.reader)
                .await
                .when("looking for an account")?;
        word.map(|word| kind_of(&word)).transpose()
    }

    /// Whether anybody connected the account of this address.
    pub async fn knows_account(&self, email: &str) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM oauth_tokens WHERE google_account_email = ?)")
            .bind(email)
            .fetch_one(&self.reader)
            .await
            .when("looking for an account")
    }

    /// Notes that a user's accounts are to be connected anew: Google is not asked for them any more until then.
    pub async fn end_accounts_of(&self, user: UserId) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE oauth_tokens SET ended_at = ?, ended_why = 'revoked' WHERE user_id = ? AND ended_at IS NULL",
        )
        .bind(self.now())
        .bind(user.0)
        .execute(&self.writer)
        .await
        .when("ending a user's accounts")?;
        Ok(())
    }

    /// The tokens of an account, dead or alive.
    pub async fn token(&self, token: TokenId) -> Result<Option<Tokens>, StoreError> {
        Ok(self.account(token).await?.map(|account| account.tokens))
    }

    /// An account.
    pub async fn account(&self, token: TokenId) -> Result<Option<Account>, StoreError> {
        let mut connection = self.reader.acquire().await.when("reading tokens")?;
        Ok(self.account_in(&mut connection, token).await?.map(|(account, _)| account))
    }

    /// The accounts of a user.
    ///
    /// # Errors
    /// If a token does not open, or the database does not answer.
    pub async fn accounts_of(&self, user: UserId) -> Result<BTreeMap<TokenId, Account>, StoreError> {
        let rows: Vec<AccountRow> = sqlx::query_as(accounts_by!("user_id"))
            .bind(user.0)
            .fetch_all(&self.reader)
            .await
            .when("reading tokens")?;
        rows.into_iter().map(|row| Ok((TokenId(row.id), self.opened(row)?.0))).collect()
    }

    fn opened(&self, row: AccountRow) -> Result<(Account, String), StoreError> {
        let name = row_name(UserId(row.user_id), &row.google_account_email);
        let tokens = Tokens {
            access: self.open_text(&access(&name), &row.access_token_encrypted)?,
            refresh: self.open_text(&refresh(&name), &row.refresh_token_encrypted)?,
            expires: instant(TABLE, &row.token_expiry)?,
            scopes: row.scopes,
        };
        let ended = match row.ended_why.as_deref() {
            None => None,
            Some("lapsed") => Some(Why::Lapsed),
            Some(_) => Some(Why::Revoked),
        };
        Ok((Account { tokens, consented: instant(TABLE, &row.consented_at)?, ended }, name))
    }

    /// An account, and what its tokens are bound to.
    async fn account_in(
        &self,
        connection: &mut SqliteConnection,
        token: TokenId,
    ) -> Result<Option<(Account, String)>, StoreError> {
        let row: Option<AccountRow> =
            sqlx::query_as(accounts_by!("id")).bind(token.0).fetch_optional(connection).await.when("reading tokens")?;
        row.map(|row| self.opened(row)).transpose()
    }

    /// Keeps refreshed tokens in the place of `old`, and gives those that then stand: if somebody put others there meanwhile, theirs
    /// stay, because a refresh token that Google replaced is worth nothing. When this returns they are on the disk.
    ///
    /// # Errors
    /// [`StoreError::NoSuchAccount`] if the account was disconnected meanwhile.
    pub async fn update_tokens(&self, token: TokenId, old: &Tokens, new: &Tokens) -> Result<Tokens, StoreError> {
        let Tokens { access: access_token, refresh: refresh_token, expires, scopes } = new;
        let mut transaction = self.write().await?;
        let stored = self.account_in(&mut transaction, token).await?;
        let (stored, row) = stored.ok_or(StoreError::NoSuchAccount)?;
        if stored.tokens.refresh.reveal() != old.refresh.reveal() {
            return Ok(stored.tokens);
        }
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
        transaction.commit().await.when("storing tokens")?;
        Ok(new.clone())
    }

    /// Notes that Google accepts the refresh token `old` no more. One that somebody put there meanwhile is another matter.
    pub async fn account_ended(&self, token: TokenId, old: &Tokens, why: Why) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let stored = self.account_in(&mut transaction, token).await?;
        if stored.is_none_or(|(stored, _)| stored.tokens.refresh.reveal() != old.refresh.reveal()) {
            return Ok(());
        }
        sqlx::query("UPDATE oauth_tokens SET ended_at = ?, ended_why = ? WHERE id = ? AND ended_at IS NULL")
            .bind(self.now())
            .bind(if why == Why::Lapsed { "lapsed" } else { "revoked" })
            .bind(token.0)
            .execute(&mut *transaction)
            .await
            .when("noting the end of an account")?;
        transaction.commit().await.when("noting the end of an account")
    }

    /// Accounts in use whose access tokens end before `at`, soonest first.
    pub async fn tokens_ending(&self, at: DateTime<Utc>) -> Result<Vec<TokenId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM oauth_tokens WHERE token_expiry < ? AND ended_at IS NULL
                 AND EXISTS (SELECT 1 FROM client_calendars WHERE oauth_token_id = oauth_tokens.id
                     AND standing NOT IN ('offered', 'left')
                     AND paused_at IS NULL)
             ORDER BY token_expiry",
        )
        .bind(stamp(at))
        .fetch_all(&self.reader)
        .await
        .when("listing tokens that end soon")?;
        Ok(ids.into_iter().map(TokenId).collect())
    }
}
