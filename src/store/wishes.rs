//! What people settled about single items, and what Google would not take: approvals and refusals.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{
    Attempt, Store, StoreError, instant,
    mappings::{Names, key_of, names, row_name},
    open_sealed, stamp,
};
use crate::{
    model::{
        body::Digest,
        id::{CalendarId, EventId, UserId},
        item::ItemKey,
        mapping::Refusal,
    },
    vault::{DataKey, Place},
};

const TABLE: &str = "refusals";
/// How long an approval holds.
const APPROVAL: TimeDelta = TimeDelta::days(1);

impl Store {
    /// Notes that a person agreed to the removal of exactly these events.
    pub async fn approve(&self, user: UserId, events: &[(CalendarId, EventId)]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for (calendar, event) in events {
            sqlx::query(
                "INSERT INTO approvals (user_id, google_calendar_id, event_id, approved_at) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET approved_at = excluded.approved_at",
            )
            .bind(user.0)
            .bind(calendar.as_str())
            .bind(event.as_str())
            .bind(self.now())
            .execute(&mut *transaction)
            .await
            .when("noting an approval")?;
        }
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("noting an approval")
    }

    /// Notes that Google would not take what was asked for an item. `message` repeats nothing of the event.
    pub async fn refuse(&self, user: UserId, key: &ItemKey, asked: Digest, message: &str) -> Result<(), StoreError> {
        let Names { target, calendar, event, slot } = names(key);
        let row = row_name(user, key);
        let place = Place { table: TABLE, column: "asked_encrypted", row: &row };
        let mut transaction = self.write().await?;
        let before: Option<(Vec<u8>, u32)> = sqlx::query_as(
            "SELECT asked_encrypted, tries FROM refusals WHERE user_id = ? AND target_google_calendar_id = ?
                 AND origin_google_calendar_id = ? AND origin_event_id = ? AND slot = ?",
        )
        .bind(user.0)
        .bind(target)
        .bind(calendar)
        .bind(event)
        .bind(&slot)
        .fetch_optional(&mut *transaction)
        .await
        .when("looking for a refusal")?;
        let sealed = self.data_key.seal(&place, &asked.to_bytes());
        let tries = match before {
            // Another question begins to count anew.
            Some((old, tries)) if open_sealed(&self.data_key, &place, &old)? == asked.to_bytes() => tries + 1,
            _ => 1,
        };
        let now = self.clock.now();
        sqlx::query(
            "INSERT INTO refusals (user_id, target_google_calendar_id, origin_google_calendar_id, origin_event_id, slot,
                 asked_encrypted, tries, message, first_at, last_at, again_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)
             ON CONFLICT DO UPDATE SET asked_encrypted = excluded.asked_encrypted, tries = excluded.tries,
                 message = excluded.message, last_at = excluded.last_at, again_at = excluded.again_at,
                 first_at = CASE WHEN excluded.tries = 1 THEN excluded.first_at ELSE first_at END",
        )
        .bind(user.0)
        .bind(target)
        .bind(calendar)
        .bind(event)
        .bind(&slot)
        .bind(sealed)
        .bind(tries)
        .bind(message)
        .bind(stamp(now))
        .bind(stamp(Refusal::again(now, tries)))
        .execute(&mut *transaction)
        .await
        .when("noting a refusal")?;
        transaction.commit().await.when("noting a refusal")
    }
}

/// Forgets that Google refused an item's steps, in a transaction of the caller's.
pub(super) async fn accepted(
    transaction: &mut Transaction<'_, Sqlite>,
    user: UserId,
    key: &ItemKey,
) -> Result<(), StoreError> {
    let Names { target, calendar, event, slot } = names(key);
    sqlx::query(
        "DELETE FROM refusals WHERE user_id = ? AND target_google_calendar_id = ? AND origin_google_calendar_id = ?
             AND origin_event_id = ? AND slot = ?",
    )
    .bind(user.0)
    .bind(target)
    .bind(calendar)
    .bind(event)
    .bind(slot)
    .execute(&mut **transaction)
    .await
    .when("forgetting a refusal")?;
    Ok(())
}

/// Approvals of a user that still hold, in a transaction of the caller's. `since`: as stored.
pub(super) async fn approved(
    connection: &mut SqliteConnection,
    user: UserId,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<BTreeSet<(CalendarId, EventId)>, StoreError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT google_calendar_id, event_id FROM approvals WHERE user_id = ? AND approved_at > ?")
            .bind(user.0)
            .bind(stamp(now - APPROVAL))
            .fetch_all(connection)
            .await
            .when("reading approvals")?;
    Ok(rows.into_iter().map(|(calendar, event)| (calendar.into(), event.into())).collect())
}

/// What Google would not take for a user, in a transaction of the caller's.
pub(super) async fn refusals(
    connection: &mut SqliteConnection,
    data_key: &DataKey,
    user: UserId,
) -> Result<BTreeMap<ItemKey, Refusal>, StoreError> {
    type Row = (String, String, String, String, Vec<u8>, u32, String);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT target_google_calendar_id, origin_google_calendar_id, origin_event_id, slot, asked_encrypted, tries,
             again_at
         FROM refusals WHERE user_id = ?",
    )
    .bind(user.0)
    .fetch_all(connection)
    .await
    .when("reading refusals")?;
    rows.into_iter()
        .map(|(target, calendar, event, slot, sealed, tries, again)| {
            let format = || StoreError::Format { table: TABLE };
            let key = key_of(target, calendar, event, &slot).ok_or_else(format)?;
            let row = row_name(user, &key);
            let place = Place { table: TABLE, column: "asked_encrypted", row: &row };
            let asked = Digest::from_bytes(&open_sealed(data_key, &place, &sealed)?).ok_or_else(format)?;
            Ok((key, Refusal { asked, tries, until: instant(TABLE, &again)? }))
        })
        .collect()
}
