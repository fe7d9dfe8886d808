//! Everybody at a glance: what the service has to keep an eye on. One query, so that a change made by another process (a command
//! of the operator) is noticed soon.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Attempt, Store, StoreError, instant};
use crate::model::id::UserId;

/// One user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Grows whenever what is wanted changes.
    pub generation: i64,
    /// Nothing is read or written for this user.
    pub paused: bool,
    /// The calendars by their numbers.
    pub calendars: BTreeMap<i64, Seat>,
}

/// One calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Neither read nor written.
    pub paused: bool,
    /// Readings that failed since the last that did not.
    pub failures: u32,
    /// When it was last read from the beginning; none: never to the end.
    pub full: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    user_id: i64,
    generation: i64,
    user_paused: bool,
    calendar_id: Option<i64>,
    paused: bool,
    failures: u32,
    last_full_sync: Option<String>,
}

impl Store {
    /// All users with their calendars, those that are left excepted.
    pub async fn roster(&self) -> Result<BTreeMap<UserId, Entry>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT users.id AS user_id, generation, users.paused_at IS NOT NULL AS user_paused, calendar.id AS calendar_id,
                 calendar.paused_at IS NOT NULL AS paused, coalesce(consecutive_failures, 0) AS failures, last_full_sync
             FROM users
             LEFT JOIN client_calendars AS calendar ON calendar.user_id = users.id AND standing NOT IN ('offered', 'left')
             LEFT JOIN calendar_sync_state ON client_calendar_id = calendar.id
             ORDER BY users.id, calendar.id",
        )
        .fetch_all(&self.reader)
        .await
        .when("listing everybody")?;
        let mut roster: BTreeMap<UserId, Entry> = BTreeMap::new();
        for Row { user_id, generation, user_paused, calendar_id, paused, failures, last_full_sync } in rows {
            let entry = roster.entry(UserId(user_id)).or_default();
            entry.generation = generation;
            entry.paused = user_paused;
            let Some(number) = calendar_id else { continue };
            let full = last_full_sync.map(|text| instant("calendar_sync_state", &text)).transpose()?;
            entry.calendars.insert(number, Seat { paused, failures, full });
        }
        Ok(roster)
    }
}
