//! The home organization and its consultants.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{Attempt, Store, StoreError, instant};
use crate::{
    model::{id::UserId, secret::Secret},
    vault::Place,
};

/// The home organization, with what identifies this program to Google.
#[derive(Clone, Debug)]
pub struct Organization {
    pub domain: String,
    pub client_id: String,
    pub client_secret: Secret<String>,
}

/// A consultant about to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub email: String,
    /// The stable subject of the home account at Google.
    pub subject: String,
    pub name: String,
    pub admin: bool,
}

/// A consultant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: String,
    /// The stable subject of the home account at Google.
    pub subject: String,
    pub name: String,
    pub admin: bool,
    /// Nothing is read or written for this user.
    pub paused: bool,
    /// To be removed; all calendars are left first.
    pub removing: bool,
    /// Guests are told by mail of what the user does to a copy of their meeting.
    pub tell_guests: bool,
    /// Grows whenever what is wanted changes.
    pub generation: i64,
}

/// The columns of a [`UserRow`], with what follows.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, email, google_user_id, display_name, is_admin, paused_at IS NOT NULL, removing, tell_guests, \
             generation FROM users ",
            $rest
        )
    };
}

const CLIENT_ID: Place = Place { table: "organization", column: "google_client_id_encrypted", row: "1" };
const CLIENT_SECRET: Place = Place { table: "organization", column: "google_client_secret_encrypted", row: "1" };

impl Store {
    /// Settles the home organization, in the place of the one before.
    pub async fn set_organization(
        &self,
        domain: &str,
        client_id: &str,
        client_secret: &Secret<String>,
    ) -> Result<(), StoreError> {
        let mut connection = self.writer.acquire().await.when("storing the organization")?;
        self.organization_in(&mut connection, domain, client_id, client_secret).await
    }

    /// [`Store::set_organization`], in a transaction of the caller's.
    pub(super) async fn organization_in(
        &self,
        connection: &mut SqliteConnection,
        domain: &str,
        client_id: &str,
        client_secret: &Secret<String>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO organization (id, google_workspace_domain, google_client_id_encrypted,
                 google_client_secret_encrypted, created_at, updated_at)
             VALUES (1, ?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (id) DO UPDATE SET google_workspace_domain = excluded.google_workspace_domain,
                 google_client_id_encrypted = excluded.google_client_id_encrypted,
                 google_client_secret_encrypted = excluded.google_client_secret_encrypted,
                 updated_at = excluded.updated_at",
        )
        .bind(domain)
        .bind(self.data_key.seal(&CLIENT_ID, client_id.as_bytes()))
        .bind(self.seal(&CLIENT_SECRET, client_secret))
        .bind(self.now())
        .execute(connection)
        .await
        .when("storing the organization")?;
        Ok(())
    }

    /// The home organization; none before set-up.
    pub async fn organization(&self) -> Result<Option<Organization>, StoreError> {
        let row: Option<(String, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT google_workspace_domain, google_client_id_encrypted, google_client_secret_encrypted
             FROM organization",
        )
        .fetch_optional(&self.reader)
        .await
        .when("reading the organization")?;
        let Some((domain, client_id, client_secret)) = row else { return Ok(None) };
        Ok(Some(Organization {
            domain,
            client_id: self.open_text(&CLIENT_ID, &client_id)?.reveal().clone(),
            client_secret: self.open_text(&CLIENT_SECRET, &client_secret)?,
        }))
    }

    /// Adds a consultant.
    ///
    /// # Errors
    /// If the address or the subject is already that of another.
    pub async fn add_user(&self, user: NewUser) -> Result<UserId, StoreError> {
        let mut connection = self.writer.acquire().await.when("adding a user")?;
        self.user_in(&mut connection, user).await
    }

    /// [`Store::add_user`], in a transaction of the caller's.
    pub(super) async fn user_in(&self, connection: &mut SqliteConnection, user: NewUser) -> Result<UserId, StoreError> {
        let NewUser { email, subject, name, admin } = user;
        sqlx::query_scalar(
            "INSERT INTO users (email, google_user_id, display_name, is_admin, created_at)
             VALUES (?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(email)
        .bind(subject)
        .bind(name)
        .bind(admin)
        .bind(self.now())
        .fetch_one(connection)
        .await
        .map(UserId)
        .when("adding a user")
    }

    /// The consultant with this address; upper and lower case are alike.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = sqlx::query_as(select!("WHERE email = ?"))
            .bind(email)
            .fetch_optional(&self.reader)
            .await
            .when("looking for a user")?;
        Ok(row.map(User::from))
    }

    /// The consultant whose home account has this subject at Google.
    pub async fn user_by_subject(&self, subject: &str) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = sqlx::query_as(select!("WHERE google_user_id = ?"))
            .bind(subject)
            .fetch_optional(&self.reader)
            .await
            .when("looking for a user")?;
        Ok(row.map(User::from))
    }

    /// Makes a user an admin, or none; tells whether it was done. The last admin stays one.
    pub async fn set_admin(&self, user: UserId, admin: bool) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE users SET is_admin = ?2 WHERE id = ?1 AND (?2 OR EXISTS
                 (SELECT 1 FROM users AS other WHERE other.id <> ?1 AND other.is_admin AND NOT other.removing))",
        )
        .bind(user.0)
        .bind(admin)
        .execute(&self.writer)
        .await
        .when("settling who is an admin")?;
        Ok(done.rows_affected() > 0)
    }

    /// When each user signed in last; none: never.
    pub async fn last_sign_ins(&self) -> Result<BTreeMap<UserId, Option<DateTime<Utc>>>, StoreError> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as("SELECT id, signed_in_at FROM users")
            .fetch_all(&self.reader)
            .await
            .when("asking who signed in when")?;
        rows.into_iter().map(|(id, at)| Ok((UserId(id), at.map(|text| instant("users", &text)).transpose()?))).collect()
    }

    /// The consultant of this number.
    pub async fn user(&self, user: UserId) -> Result<Option<User>, StoreError> {
        let mut connection = self.reader.acquire().await.when("reading a user")?;
        one(&mut connection, user).await
    }

    /// All consultants, in the order in which they came.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows: Vec<UserRow> =
            sqlx::query_as(select!("ORDER BY id")).fetch_all(&self.reader).await.when("listing users")?;
        Ok(rows.into_iter().map(User::from).collect())
    }
}

/// One consultant, in a transaction of the caller's.
pub(super) async fn one(connection: &mut SqliteConnection, user: UserId) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> =
        sqlx::query_as(select!("WHERE id = ?")).bind(user.0).fetch_optional(connection).await.when("reading a user")?;
    Ok(row.map(User::from))
}

type UserRow = (i64, String, String, String, bool, bool, bool, bool, i64);

impl From<UserRow> for User {
    fn from((id, email, subject, name, admin, paused, removing, tell_guests, generation): UserRow) -> Self {
        User { id: UserId(id), email, subject, name, admin, paused, removing, tell_guests, generation }
    }
}
