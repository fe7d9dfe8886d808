//! The log, as people look at it.

use chrono::{DateTime, Utc};

use super::{Attempt, Store, StoreError, instant, stamp};
use crate::model::id::UserId;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub number: i64,
    pub user: Option<UserId>,
    pub calendar: Option<i64>,
    /// What its user calls it, as long as it is known.
    pub calendar_name: Option<String>,
    pub action: String,
    /// `success`, `failure` or `warning`.
    pub status: String,
    /// JSON, without titles or addresses.
    pub details: String,
    pub at: DateTime<Utc>,
}

/// Which lines are wanted; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    pub user: Option<UserId>,
    pub calendar: Option<i64>,
    pub status: Option<String>,
    /// Part of the action's word.
    pub action: Option<String>,
    pub from: Option<DateTime<Utc>>,
    /// Exclusive.
    pub to: Option<DateTime<Utc>>,
    /// Older than the line of this number.
    pub before: Option<i64>,
}

impl Store {
    /// At most `limit` lines, newest first.
    pub async fn log_lines(&self, filter: &LogFilter, limit: usize) -> Result<Vec<Logged>, StoreError> {
        let LogFilter { user, calendar, status, action, from, to, before } = filter;
        let rows: Vec<(i64, Option<i64>, Option<i64>, Option<String>, String, String, String, String)> =
            sqlx::query_as(
                "SELECT line.id, line.user_id, line.calendar_id, display_name, action, status, details, line.created_at
             FROM sync_log AS line LEFT JOIN client_calendars AS calendar ON calendar.id = line.calendar_id
             WHERE (?1 IS NULL OR line.user_id = ?1) AND (?2 IS NULL OR line.calendar_id = ?2)
                 AND (?3 IS NULL OR status = ?3) AND (?4 IS NULL OR instr(lower(action), lower(?4)) > 0)
                 AND (?5 IS NULL OR line.created_at >= ?5) AND (?6 IS NULL OR line.created_at < ?6)
                 AND (?7 IS NULL OR line.id < ?7)
             ORDER BY line.id DESC LIMIT ?8",
            )
            .bind(user.map(|user| user.0))
            .bind(calendar)
            .bind(status)
            .bind(action)
            .bind(from.map(stamp))
            .bind(to.map(stamp))
            .bind(before)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.reader)
            .await
            .when("reading the log")?;
        rows.into_iter()
            .map(|(number, user, calendar, calendar_name, action, status, details, at)| {
                let user = user.map(UserId);
                let at = instant("sync_log", &at)?;
                Ok(Logged { number, user, calendar, calendar_name, action, status, details, at })
            })
            .collect()
    }
}
