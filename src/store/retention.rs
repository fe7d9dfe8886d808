//! What is forgotten with time (specification, "Retention Policy").
//!
//! | record | is forgotten |
//! |---|---|
//! | mapping of a single event | by planning, once it ended before the horizon: see [`crate::planner`] |
//! | mapping of a series and its instances | with the series |
//! | tombstone in the mirror | 30 days after the event was last heard of, unless something of ours still refers to it |
//! | log | after 90 days |
//! | runs | after 90 days, with what undoing them needs |
//! | calendar that was left | 30 days after |
//! | approval | after two days; it was good for one |
//! | refusal | 30 days after it was last repeated |
//! | day's requests | after 90 days |
//! | session | when it is good no more |
//!
//! Invariant: what is forgotten never changes a plan. A mapping may stand for an event that still lives at Google, so that none is
//! forgotten here; a tombstone is proof that an event is gone, and stays while a mapping or an event of ours names it.

use chrono::TimeDelta;

use super::{Attempt, Store, StoreError, stamp};

/// Rows that one transaction forgets at most, so that ticks do not wait.
const LOT: i64 = 500;

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub tombstones: u64,
    pub log: u64,
    pub runs: u64,
    pub calendars: u64,
    pub others: u64,
}

impl Store {
    /// Forgets what its time has come for.
    pub async fn forget_old(&self) -> Result<Forgotten, StoreError> {
        let before = |days: i64| stamp(self.clock.now() - TimeDelta::days(days));
        Ok(Forgotten {
            tombstones: self.in_lots(TOMBSTONES, &before(30)).await?,
            log: self.in_lots(LOG, &before(90)).await?,
            runs: self.in_lots(RUNS, &before(90)).await?,
            calendars: self.in_lots(CALENDARS, &before(30)).await?,
            others: self.forget_sessions().await?
                + self.in_lots(APPROVALS, &before(2)).await?
                + self.in_lots(REFUSALS, &before(30)).await?
                + self.in_lots(USAGE, &before(90)).await?,
        })
    }

    async fn in_lots(&self, statement: &'static str, before: &str) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let done = sqlx::query(statement).bind(before).bind(LOT).execute(&self.writer).await;
            let rows = done.when("forgetting what is old")?.rows_affected();
            total += rows;
            if rows < LOT.unsigned_abs() {
                return Ok(total);
            }
        }
    }
}

const TOMBSTONES: &str = "DELETE FROM mirror_events WHERE rowid IN (
    SELECT old.rowid FROM mirror_events AS old
    JOIN client_calendars AS calendar ON calendar.id = old.client_calendar_id
    WHERE old.state = 'tombstone' AND old.gone_at < ?1
        -- An instance stays as long as its series stands.
        AND (old.series_event_id IS NULL OR NOT EXISTS (SELECT 1 FROM mirror_events AS series
            WHERE series.client_calendar_id = old.client_calendar_id AND series.event_id = old.series_event_id
                AND series.state <> 'tombstone'))
        -- Instances that are still there name it.
        AND NOT EXISTS (SELECT 1 FROM mirror_events AS instance
            WHERE instance.client_calendar_id = old.client_calendar_id AND instance.series_event_id = old.event_id
                AND instance.slot IS NOT NULL AND instance.state <> 'tombstone')
        -- We remember something of it, as origin or as ours.
        AND NOT EXISTS (SELECT 1 FROM event_mappings AS mapping WHERE mapping.user_id = calendar.user_id
            AND (mapping.origin_google_calendar_id = calendar.google_calendar_id AND mapping.origin_event_id IN (old.event_id, old.series_event_id)
                OR mapping.target_google_calendar_id = calendar.google_calendar_id AND mapping.event_id = old.event_id))
        -- Something of ours stands that names it as its origin.
        AND NOT EXISTS (SELECT 1 FROM mirror_events AS ours
            WHERE ours.item_origin_calendar_id = calendar.google_calendar_id AND ours.state <> 'tombstone'
                AND ours.item_origin_event_id IN (old.event_id, old.series_event_id))
        -- Of ours, a later incarnation would be made under its name again.
        AND (old.owner <> 'ours' OR NOT EXISTS (SELECT 1 FROM mirror_events AS origin
            JOIN client_calendars AS there ON there.id = origin.client_calendar_id
            WHERE there.user_id = calendar.user_id AND there.google_calendar_id = old.item_origin_calendar_id
                AND origin.event_id = old.item_origin_event_id AND origin.state <> 'tombstone'))
    LIMIT ?2)";
const LOG: &str =
    "DELETE FROM sync_log WHERE id IN (SELECT id FROM sync_log WHERE created_at < ?1 ORDER BY id LIMIT ?2)";
const RUNS: &str = "DELETE FROM plans WHERE id IN (SELECT id FROM plans WHERE planned_at < ?1 ORDER BY id LIMIT ?2)";
const CALENDARS: &str = "DELETE FROM client_calendars WHERE id IN (
    SELECT id FROM client_calendars WHERE standing = 'left' AND left_at < ?1 LIMIT ?2)";
const APPROVALS: &str = "DELETE FROM approvals WHERE rowid IN (
    SELECT rowid FROM approvals WHERE approved_at < ?1 LIMIT ?2)";
const REFUSALS: &str = "DELETE FROM refusals WHERE rowid IN (SELECT rowid FROM refusals WHERE last_at < ?1 LIMIT ?2)";
const USAGE: &str =
    "DELETE FROM api_usage WHERE day IN (SELECT day FROM api_usage WHERE day < substr(?1, 1, 10) LIMIT ?2)";
