//! What the installation has settled for itself, by name: how mails are sent, and to whom.

use sqlx::SqliteConnection;

use serde::{Deserialize, Serialize};

use super::{Attempt, Store, StoreError};
use crate::{
    model::{
        secret::Secret,
        smtp::{Security, Smtp},
    },
    vault::Place,
};

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
        .bind(self.data_key.seal(&PLACE, text.as_bytes()))
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
        .bind(self.data_key.seal(&RECIPIENTS_PLACE, text.as_bytes()))
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
