//! Webhook channels: which are open, which calendars want one, and what Google said last.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Attempt, Store, StoreError, instant, stamp};
use crate::model::{
    channel::{Channel, Wanting},
    id::UserId,
};

const TABLE: &str = "webhook_channels";

/// A channel as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRow {
    /// The number of the row.
    pub number: i64,
    pub user: UserId,
    /// The number of the calendar.
    pub calendar: i64,
    /// Our name for it at Google.
    pub id: String,
    /// SHA-256 of the token that its notifications repeat.
    pub token_hash: [u8; 32],
    /// Google's name for what it watches.
    pub resource: String,
    pub opened: DateTime<Utc>,
    pub ends: DateTime<Utc>,
    /// Its last notification that was noted.
    pub rang: Option<DateTime<Utc>>,
}

impl ChannelRow {
    /// What planning needs of it.
    pub fn planned(&self) -> Channel {
        Channel { number: self.number, calendar: self.calendar, opened: self.opened, ends: self.ends }
    }
}

/// A channel that Google has just opened.
#[derive(Clone, Debug)]
pub struct NewChannel<'a> {
    pub calendar: i64,
    pub id: &'a str,
    pub token_hash: [u8; 32],
    pub resource: &'a str,
    pub ends: DateTime<Utc>,
}

impl Store {
    /// All channels that were opened and neither closed nor dropped.
    pub async fn channels(&self) -> Result<Vec<ChannelRow>, StoreError> {
        let rows: Vec<(i64, i64, i64, String, Vec<u8>, String, String, String, Option<String>)> = sqlx::query_as(
            "SELECT channel.id, calendar.user_id, calendar.id, channel_id, token_hash, resource_id, channel.created_at,
                 expiration, notified_at
             FROM webhook_channels AS channel JOIN client_calendars AS calendar ON calendar.id = client_calendar_id
             ORDER BY channel.id",
        )
        .fetch_all(&self.reader)
        .await
        .when("listing webhook channels")?;
        rows.into_iter()
            .map(|(number, user, calendar, id, hash, resource, opened, ends, rang)| {
                Ok(ChannelRow {
                    number,
                    user: UserId(user),
                    calendar,
                    id,
                    token_hash: hash.try_into().map_err(|_| StoreError::Format { table: TABLE })?,
                    resource,
                    opened: instant(TABLE, &opened)?,
                    ends: instant(TABLE, &ends)?,
                    rang: rang.map(|text| instant(TABLE, &text)).transpose()?,
                })
            })
            .collect()
    }

    /// The calendars that want a channel: connected ones, unless somebody wants silence there. `doubted` is for the caller to add.
    pub async fn wanting_channels(&self) -> Result<Vec<Wanting>, StoreError> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
            "SELECT calendar.id, again_at FROM client_calendars AS calendar
             JOIN users ON users.id = calendar.user_id
             LEFT JOIN webhook_trouble AS trouble ON trouble.client_calendar_id = calendar.id
             WHERE standing = 'connected' AND calendar.paused_at IS NULL AND users.paused_at IS NULL AND NOT removing
             ORDER BY calendar.id",
        )
        .fetch_all(&self.reader)
        .await
        .when("listing calendars that want a channel")?;
        rows.into_iter()
            .map(|(calendar, again_at)| {
                let again_at = again_at.map(|text| instant("webhook_trouble", &text)).transpose()?;
                Ok(Wanting { calendar, again_at, doubted: None })
            })
            .collect()
    }

    /// Notes a channel that was opened; earlier trouble is over.
    pub async fn channel_opened(&self, new: &NewChannel<'_>) -> Result<(), StoreError> {
        let NewChannel { calendar, id, token_hash, resource, ends } = new;
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO webhook_channels (client_calendar_id, channel_id, token_hash, resource_id, expiration, created_at)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(calendar)
        .bind(id)
        .bind(token_hash.as_slice())
        .bind(resource)
        .bind(stamp(*ends))
        .bind(self.now())
        .execute(&mut *transaction)
        .await
        .when("noting a webhook channel")?;
        sqlx::query("DELETE FROM webhook_trouble WHERE client_calendar_id = ?")
            .bind(calendar)
            .execute(&mut *transaction)
            .await
            .when("noting a webhook channel")?;
        transaction.commit().await.when("noting a webhook channel")
    }

    /// Notes that no channel could be opened, and when to ask again; gives the number of tries in a row.
    pub async fn channel_refused(&self, calendar: i64, message: &str, wait: TimeDelta) -> Result<u32, StoreError> {
        sqlx::query_scalar(
            "INSERT INTO webhook_trouble (client_calendar_id, tries, message, again_at) VALUES (?1, 1, ?2, ?3)
             ON CONFLICT (client_calendar_id) DO UPDATE SET tries = tries + 1, message = excluded.message,
                 again_at = excluded.again_at
             RETURNING tries",
        )
        .bind(calendar)
        .bind(message)
        .bind(stamp(self.clock.now() + wait))
        .fetch_one(&self.writer)
        .await
        .when("noting trouble with a webhook channel")
    }

    /// How often in a row no channel could be opened for a calendar.
    pub async fn channel_trouble(&self, calendar: i64) -> Result<u32, StoreError> {
        let tries: Option<u32> = sqlx::query_scalar("SELECT tries FROM webhook_trouble WHERE client_calendar_id = ?")
            .bind(calendar)
            .fetch_optional(&self.reader)
            .await
            .when("looking for trouble with a webhook channel")?;
        Ok(tries.unwrap_or(0))
    }

    /// Forgets a channel that was closed or has ended.
    pub async fn drop_channel(&self, number: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM webhook_channels WHERE id = ?")
            .bind(number)
            .execute(&self.writer)
            .await
            .when("forgetting a webhook channel")?;
        Ok(())
    }

    /// Notes when channels rang last.
    pub async fn channels_rang(&self, rang: &[(i64, DateTime<Utc>)]) -> Result<(), StoreError> {
        let rows: Vec<_> = rang.iter().map(|(number, at)| serde_json::json!([number, stamp(*at)])).collect();
        sqlx::query(
            "UPDATE webhook_channels SET notified_at = value ->> 1 FROM json_each(?)
             WHERE webhook_channels.id = value ->> 0",
        )
        .bind(serde_json::Value::from(rows).to_string())
        .execute(&self.writer)
        .await
        .when("noting notifications")?;
        Ok(())
    }
}
