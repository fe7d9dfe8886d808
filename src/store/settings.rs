//! What the installation has settled for itself, by name; and the check that the keys are still the same.

use sqlx::SqliteConnection;

use super::{Attempt, Store, StoreError};
use crate::{
    model::secret::Secret,
    vault::{KeyCheck, Place},
};

const ENCRYPTION_CHECK: &str = "key_check.encryption";
const INSTANCE_CHECK: &str = "key_check.instance";

impl Store {
    /// A setting that may be read by anybody who may read the database.
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT value_plain FROM settings WHERE key = ? AND value_plain IS NOT NULL")
            .bind(key)
            .fetch_optional(&self.reader)
            .await
            .when("reading a setting")
    }

    /// Settles a plain setting.
    pub async fn set_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.put_setting(key, Some(value), None).await
    }

    /// A setting that is sealed.
    pub async fn secret_setting(&self, key: &str) -> Result<Option<Secret<String>>, StoreError> {
        let sealed: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT value_encrypted FROM settings WHERE key = ? AND value_encrypted IS NOT NULL")
                .bind(key)
                .fetch_optional(&self.reader)
                .await
                .when("reading a setting")?;
        sealed.map(|sealed| self.open_text(&place(key), &sealed)).transpose()
    }

    /// Settles a sealed setting.
    pub async fn set_secret_setting(&self, key: &str, value: &Secret<String>) -> Result<(), StoreError> {
        let sealed = self.seal(&place(key), value);
        self.put_setting(key, None, Some(sealed)).await
    }

    async fn put_setting(&self, key: &str, plain: Option<&str>, sealed: Option<Vec<u8>>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO settings (key, value_plain, value_encrypted, updated_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (key) DO UPDATE SET value_plain = excluded.value_plain,
                 value_encrypted = excluded.value_encrypted, updated_at = excluded.updated_at",
        )
        .bind(key)
        .bind(plain)
        .bind(sealed)
        .bind(self.now())
        .execute(&self.writer)
        .await
        .when("storing a setting")?;
        Ok(())
    }
}

fn place(key: &str) -> Place<'_> {
    Place { table: "settings", column: "value_encrypted", row: key }
}

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
