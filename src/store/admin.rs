//! The installation as a whole: figures, a copy to take away, and the end of everything.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use super::{Attempt, Store, StoreError, instant, keys, stamp};
use crate::model::id::UserId;

/// The installation in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub users: u32,
    pub calendars: u32,
    /// Events of ours that stand somewhere.
    pub ours: u32,
    pub channels: u32,
    /// Calendars whose last reading failed.
    pub failing: u32,
    /// Lines of the log of the last day, and those of them that tell of failures.
    pub lines: u32,
    pub failures: u32,
    /// Mails that wait.
    pub mails: u32,
}

/// One run of anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyRun {
    pub number: i64,
    pub user: UserId,
    pub at: DateTime<Utc>,
    pub undoes: Option<i64>,
    pub held: u32,
    pub done: u32,
    pub skipped: u32,
    pub failed: u32,
}

impl Store {
    /// The installation in figures.
    pub async fn figures(&self) -> Result<Figures, StoreError> {
        let day = stamp(self.clock.now() - TimeDelta::days(1));
        let row: (u32, u32, u32, u32, u32, u32, u32, u32) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM users),
                 (SELECT count(*) FROM client_calendars WHERE standing <> 'left'),
                 (SELECT count(*) FROM mirror_events WHERE owner = 'ours' AND state <> 'tombstone'),
                 (SELECT count(*) FROM webhook_channels WHERE expiration > ?2),
                 (SELECT count(*) FROM calendar_sync_state JOIN client_calendars ON id = client_calendar_id
                     WHERE standing <> 'left' AND consecutive_failures > 0),
                 (SELECT count(*) FROM sync_log WHERE created_at > ?1),
                 (SELECT count(*) FROM sync_log WHERE created_at > ?1 AND status = 'failure'),
                 (SELECT count(*) FROM alert_queue WHERE next_attempt IS NOT NULL)",
        )
        .bind(day)
        .bind(self.now())
        .fetch_one(&self.reader)
        .await
        .when("counting")?;
        let (users, calendars, ours, channels, failing, lines, failures, mails) = row;
        Ok(Figures { users, calendars, ours, channels, failing, lines, failures, mails })
    }

    /// The newest runs of anybody, newest first, older than `before`.
    pub async fn any_runs(&self, before: Option<i64>, limit: usize) -> Result<Vec<AnyRun>, StoreError> {
        let rows: Vec<(i64, i64, String, Option<i64>, u32, u32, u32, u32)> = sqlx::query_as(
            "SELECT id, user_id, planned_at, undoes, held,
                 (SELECT count(*) FROM plan_steps WHERE plan_id = plans.id AND outcome = 'done'),
                 (SELECT count(*) FROM plan_steps WHERE plan_id = plans.id AND outcome = 'skipped'),
                 (SELECT count(*) FROM plan_steps WHERE plan_id = plans.id AND outcome = 'failed')
             FROM plans WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
        )
        .bind(before)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await
        .when("listing runs")?;
        rows.into_iter()
            .map(|(number, user, at, undoes, held, done, skipped, failed)| {
                let at = instant("plans", &at)?;
                Ok(AnyRun { number, user: UserId(user), at, undoes, held, done, skipped, failed })
            })
            .collect()
    }

    /// Writes a copy to take away: as [`Store::back_up`], without sessions, sign-ins, and the secrets of channels.
    pub async fn export(&self, to: &Path) -> Result<(), StoreError> {
        self.back_up(to).await?;
        let options = SqliteConnectOptions::new().filename(to).foreign_keys(false);
        let mut copy = options.connect().await.when("opening the copy")?;
        for statement in ["DELETE FROM sessions", "DELETE FROM sign_ins", "DELETE FROM webhook_channels", "VACUUM"] {
            sqlx::query(statement).execute(&mut copy).await.when("cleaning the copy")?;
        }
        copy.close().await.when("closing the copy")
    }

    /// Forgets everything but which keys the database belongs to: the installation is as on its first day.
    pub async fn wipe(&self) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *transaction).await.when("forgetting everything")?;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                 AND name NOT IN ('_sqlx_migrations', 'settings')",
        )
        .fetch_all(&mut *transaction)
        .await
        .when("forgetting everything")?;
        for table in tables {
            // The names are those of our own schema.
            let statement = sqlx::AssertSqlSafe(format!("DELETE FROM \"{table}\""));
            sqlx::query(statement).execute(&mut *transaction).await.when("forgetting everything")?;
        }
        sqlx::query("DELETE FROM settings WHERE key NOT LIKE ? || '%'")
            .bind(keys::KEPT)
            .execute(&mut *transaction)
            .await
            .when("forgetting everything")?;
        transaction.commit().await.when("forgetting everything")
    }
}
