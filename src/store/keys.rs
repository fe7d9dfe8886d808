//! Which keys a database belongs to, and the data key that it keeps wrapped with them.
//!
//! All three rows are written in one transaction when a database is first opened, and the two that name the encryption key change
//! together when another one takes its place.

use sqlx::SqliteConnection;

use super::{Attempt, Store, StoreError};
use crate::vault::{DataKey, KeyCheck, Vault};

/// Begins the names of the rows that outlive everything else in the database.
pub(super) const KEPT: &str = "key.";
const ENCRYPTION_CHECK: &str = "key.check.encryption";
const INSTANCE_CHECK: &str = "key.check.instance";
const DATA_KEY: &str = "key.data";

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
    let mut whole = wrapped(connection).await?.is_some();
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
            then => whole &= then.is_some(),
        }
    }
    if whole {
        return Ok(());
    }
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(&mut *connection)
        .await
        .when("looking for its keys")?;
    // Only a first start that was interrupted has none, and it has nothing sealed either.
    if users > 0 {
        return Err(StoreError::Damaged("it does not say which keys it belongs to".into()));
    }
    Ok(())
}

/// Notes the keys in a database that has none yet, with a data key of its own, and unwraps the data key.
pub(super) async fn unlock(connection: &mut SqliteConnection, vault: &Vault, now: &str) -> Result<DataKey, StoreError> {
    let sealed = |source| StoreError::Sealed { table: "settings", source };
    let wrapped = match wrapped(connection).await? {
        Some(wrapped) => wrapped,
        None => {
            let KeyCheck { encryption, instance } = vault.key_check();
            let new = vault.new_data_key().map_err(sealed)?;
            // One statement: a database has all of them or none.
            sqlx::query(
                "INSERT INTO settings (key, value_plain, value_encrypted, updated_at)
                 VALUES (?1, ?2, NULL, ?7), (?3, ?4, NULL, ?7), (?5, NULL, ?6, ?7) ON CONFLICT DO NOTHING",
            )
            .bind(ENCRYPTION_CHECK)
            .bind(encryption)
            .bind(INSTANCE_CHECK)
            .bind(instance)
            .bind(DATA_KEY)
            .bind(new)
            .bind(now)
            .execute(&mut *connection)
            .await
            .when("noting its keys")?;
            // Another process may have been quicker.
            wrapped(connection).await?.ok_or(StoreError::Format { table: "settings" })?
        }
    };
    vault.data_key(&wrapped).map_err(sealed)
}

async fn wrapped(connection: &mut SqliteConnection) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar("SELECT value_encrypted FROM settings WHERE key = ?")
        .bind(DATA_KEY)
        .fetch_optional(connection)
        .await
        .when("looking for its data key")
}

impl Store {
    /// Lets the database belong to the keys of `to`: its data key is wrapped anew, in one transaction. This store stays of use to nobody
    /// but whoever closes it.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] if it belongs to others than this store's keys meanwhile; nothing is changed then.
    pub async fn belong_to(&self, to: &Vault) -> Result<(), StoreError> {
        let what = "wrapping the data key anew";
        let mut transaction = self.write().await?;
        refuse_other_keys(&mut transaction, &self.vault.key_check()).await?;
        let old = wrapped(&mut transaction).await?.ok_or(StoreError::Format { table: "settings" })?;
        let new = self.vault.rewrapped(&old, to).map_err(|source| StoreError::Sealed { table: "settings", source })?;
        sqlx::query(
            "UPDATE settings SET value_encrypted = iif(key = ?1, ?2, NULL), value_plain = iif(key = ?1, NULL, ?4), updated_at = ?5
             WHERE key IN (?1, ?3)",
        )
        .bind(DATA_KEY)
        .bind(new)
        .bind(ENCRYPTION_CHECK)
        .bind(to.key_check().encryption)
        .bind(self.now())
        .execute(&mut *transaction)
        .await
        .when(what)?;
        sqlx::query(
            "INSERT INTO sync_log (action, status, details, created_at) VALUES ('key_rotated', 'success', '{}', ?)",
        )
        .bind(self.now())
        .execute(&mut *transaction)
        .await
        .when(what)?;
        transaction.commit().await.when(what)
    }
}
