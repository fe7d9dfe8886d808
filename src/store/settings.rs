//! What the installation has settled for itself, by name: which keys it was made with, and how mails are sent.

use sqlx::SqliteConnection;

use serde::{Deserialize, Serialize};

use super::{Attempt, Store, StoreError};
use crate::{
    model::{
        secret::Secret,
        smtp::{Security, Smtp},
    },
    vault::{KeyCheck, Place},
};

const ENCRYPTION_CHECK: &str = "key_check.encryption";
const INSTANCE_CHECK: &str = "key_check.instance";

/// Refuses a database that was last opened with other keys. One that has never been opened has none.
pub(super) async fn refuse_other_keys(connection: &mut SqliteConnection, keys: &KeyCheck) -> Result<(), StoreError> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'settings'")
        .fetch_one(&mut *connection)
        .await
        .when("looking for its keys")?;
    if tables == 0 {
        return Ok(());
    }
    let KeyCheck { encryption, instance } = keys;
    for (key, now, file) in
        [(ENCRYPTION_CHECK, encryption, "encryption.key"), (INSTANCE_CHECK, instance, "instance.key")]
    {
        let then: Option<String> = sqlx::query_scalar("SELECT value_plain FROM settings WHERE key = ?")
            .bind(key)
            .fetch_optional(&mut *connection)
            .await
            .when("looking for its keys")?;
        match then {
            Some(then) if then != *now => return Err(StoreError::WrongKey { file }),
            Some(_) => {}
            None => {
                let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
                    .fetch_one(&mut *connection)
                    .await
                    .when("looking for its keys")?;
                // Only a first start that was interrupted has no check, and it has nothing sealed either.
                if users > 0 {
                    return Err(StoreError::Damaged("it does not say which keys it belongs to".into()));
                }
            }
        }
    }
    Ok(())
}

/// Notes the keys in a database that has none yet.
pub(super) async fn remember_keys(
    connection: &mut SqliteConnection,
    keys: &KeyCheck,
    now: &str,
) -> Result<(), StoreError> {
    let KeyCheck { encryption, instance } = keys;
    for (key, value) in [(ENCRYPTION_CHECK, encryption), (INSTANCE_CHECK, instance)] {
        sqlx::query("INSERT INTO settings (key, value_plain, updated_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(key)
            .bind(value)
            .bind(now)
            .execute(&mut *connection)
            .await
            .when("noting its keys")?;
    }
    Ok(())
}

const SMTP: &str = "smtp";

/// A mail server as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredSmtp {
    host: String,
    port: u16,
    security: String,
    user: Option<String>,
    password: Option<String>,
    from: String,
}

impl From<&Smtp> for StoredSmtp {
    fn from(smtp: &Smtp) -> Self {
        let Smtp { host, port, security, user, password, from } = smtp.clone();
        let password = password.map(|password| password.reveal().clone());
        StoredSmtp { host, port, security: security.word().into(), user, password, from }
    }
}

impl TryFrom<StoredSmtp> for Smtp {
    type Error = StoreError;

    fn try_from(stored: StoredSmtp) -> Result<Self, StoreError> {
        let StoredSmtp { host, port, security, user, password, from } = stored;
        let security = Security::from_word(&security).ok_or(StoreError::Format { table: "settings" })?;
        Ok(Smtp { host, port, security, user, password: password.map(Secret::new), from })
    }
}

impl Store {
    /// The mail server; none: none is set.
    pub async fn smtp(&self) -> Result<Option<Smtp>, StoreError> {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT value_encrypted FROM settings WHERE key = ?")
            .bind(SMTP)
            .fetch_optional(&self.reader)
            .await
            .when("looking for the mail server")?;
        let Some(sealed) = sealed else { return Ok(None) };
        let text = self.open_text(&PLACE, &sealed)?;
        let stored: StoredSmtp =
            serde_json::from_str(text.reveal()).map_err(|_| StoreError::Format { table: "settings" })?;
        Smtp::try_from(stored).map(Some)
    }

    /// Settles the mail server, or that there is none.
    pub async fn set_smtp(&self, smtp: Option<&Smtp>) -> Result<(), StoreError> {
        let mut connection = self.writer.acquire().await.when("storing the mail server")?;
        self.smtp_in(&mut connection, smtp).await
    }

    /// [`Store::set_smtp`], in a transaction of the caller's.
    pub(super) async fn smtp_in(
        &self,
        connection: &mut SqliteConnection,
        smtp: Option<&Smtp>,
    ) -> Result<(), StoreError> {
        let Some(smtp) = smtp else {
            sqlx::query("DELETE FROM settings WHERE key = ?")
                .bind(SMTP)
                .execute(connection)
                .await
                .when("forgetting the mail server")?;
            return Ok(());
        };
        let text =
            serde_json::to_string(&StoredSmtp::from(smtp)).map_err(|_| StoreError::Format { table: "settings" })?;
        sqlx::query(
            "INSERT INTO settings (key, value_encrypted, updated_at) VALUES (?, ?, ?)
             ON CONFLICT (key) DO UPDATE SET value_encrypted = excluded.value_encrypted, updated_at = excluded.updated_at",
        )
        .bind(SMTP)
        .bind(self.vault.seal(&PLACE, text.as_bytes()))
        .bind(self.now())
        .execute(connection)
        .await
        .when("storing the mail server")?;
        Ok(())
    }

    /// Addresses that are told of what concerns admins, besides them.
    pub async fn alert_recipients(&self) -> Result<Vec<String>, StoreError> {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT value_encrypted FROM settings WHERE key = ?")
            .bind(RECIPIENTS)
            .fetch_optional(&self.reader)
            .await
            .when("looking for who is told")?;
        let Some(sealed) = sealed else { return Ok(Vec::new()) };
        let text = self.open_text(&RECIPIENTS_PLACE, &sealed)?;
        serde_json::from_str(text.reveal()).map_err(|_| StoreError::Format { table: "settings" })
    }

    /// Settles who is told of what concerns admins, besides them.
    pub async fn set_alert_recipients(&self, recipients: &[String]) -> Result<(), StoreError> {
        let mut connection = self.writer.acquire().await.when("storing who is told")?;
        self.alert_recipients_in(&mut connection, recipients).await
    }

    /// [`Store::set_alert_recipients`], in a transaction of the caller's.
    pub(super) async fn alert_recipients_in(
        &self,
        connection: &mut SqliteConnection,
        recipients: &[String],
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(recipients).map_err(|_| StoreError::Format { table: "settings" })?;
        sqlx::query(
            "INSERT INTO settings (key, value_encrypted, updated_at) VALUES (?, ?, ?)
             ON CONFLICT (key) DO UPDATE SET value_encrypted = excluded.value_encrypted, updated_at = excluded.updated_at",
        )
        .bind(RECIPIENTS)
        .bind(self.vault.seal(&RECIPIENTS_PLACE, text.as_bytes()))
        .bind(self.now())
        .execute(connection)
        .await
        .when("storing who is told")?;
        Ok(())
    }
}

const PLACE: Place = Place { table: "settings", column: "value_encrypted", row: SMTP };
const RECIPIENTS: &str = "alert_emails";
const RECIPIENTS_PLACE: Place = Place { table: "settings", column: "value_encrypted", row: RECIPIENTS };
