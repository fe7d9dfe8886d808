//! What the installation has settled for itself, by name: so far, which keys it was made with.

use sqlx::SqliteConnection;

use super::{Attempt, StoreError};
use crate::vault::KeyCheck;

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
