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
struct StoredSmtp {
    host: String,
    port: u16,
    security: String,
    user: Option<String>,
    password: Option<String>,
    from: String,
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
        let broken = || StoreError::Format { table: "settings" };
        let StoredSmtp { host, port, security, user, password, from } =
            serde_json::from_str(text.reveal()).map_err(|_| broken())?;
        let security = Security::from_word(&security).ok_or_else(broken)?;
        Ok(Some(Smtp { host, port, security, user, password: password.map(Secret::new), from }))
    }

    /// Settles the mail server, or that there is none.
    pub async fn set_smtp(&self, smtp: Option<&Smtp>) -> Result<(), StoreError> {
        let Some(Smtp { host, port, security, user, password, from }) = smtp else {
            sqlx::query("DELETE FROM settings WHERE key = ?")
                .bind(SMTP)
                .execute(&self.writer)
                .await
                .when("forgetting the mail server")?;
            return Ok(());
        };
        let stored = StoredSmtp {
            host: host.clone(),
            port: *port,
            security: security.word().into(),
            user: user.clone(),
            password: password.as_ref().map(|password| password.reveal().clone()),
            from: from.clone(),
        };
        let text = serde_json::to_string(&stored).map_err(|_| StoreError::Format { table: "settings" })?;
        sqlx::query(
            "INSERT INTO settings (key, value_encrypted, updated_at) VALUES (?, ?, ?)
             ON CONFLICT (key) DO UPDATE SET value_encrypted = excluded.value_encrypted, updated_at = excluded.updated_at",
        )
        .bind(SMTP)
        .bind(self.vault.seal(&PLACE, text.as_bytes()))
        .bind(self.now())
        .execute(&self.writer)
        .await
        .when("storing the mail server")?;
        Ok(())
    }
}

const PLACE: Place = Place { table: "settings", column: "value_encrypted", row: SMTP };
