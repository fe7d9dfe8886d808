//! Scheduled jobs: one process runs a job at a time, and when it ran last is known after a restart.
//!
//! A holder that died is followed by another when its time is up. Should a jump of the clock let two run one job, nothing breaks:
//! every job can be repeated.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Attempt, Store, StoreError, instant, stamp};

impl Store {
    /// Takes a job for `holder`, for so long at most; false while somebody else has it.
    pub async fn take_job(&self, job: &str, holder: &str, lease: TimeDelta) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let taken = sqlx::query(
            "INSERT INTO job_locks (job_name, locked_at, locked_by, locked_until, started_at) VALUES (?1, ?2, ?3, ?4, ?2)
             ON CONFLICT (job_name) DO UPDATE SET locked_at = ?2, locked_by = ?3, locked_until = ?4, started_at = ?2
             WHERE locked_by IS NULL OR locked_by = ?3 OR locked_until <= ?2 OR locked_at > ?2",
        )
        .bind(job)
        .bind(stamp(now))
        .bind(holder)
        .bind(stamp(now + lease))
        .execute(&self.writer)
        .await
        .when("taking a job")?;
        Ok(taken.rows_affected() > 0)
    }

    /// Gives a job back, if it is still this holder's.
    pub async fn finish_job(&self, job: &str, holder: &str, well: bool) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE job_locks SET locked_at = NULL, locked_by = NULL, locked_until = NULL, ended_at = ?3, outcome = ?4
             WHERE job_name = ?1 AND locked_by = ?2",
        )
        .bind(job)
        .bind(holder)
        .bind(self.now())
        .bind(if well { "done" } else { "failed" })
        .execute(&self.writer)
        .await
        .when("giving a job back")?;
        Ok(())
    }

    /// When a job last ended well; none: never.
    pub async fn job_done(&self, job: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let at: Option<Option<String>> =
            sqlx::query_scalar("SELECT ended_at FROM job_locks WHERE job_name = ? AND outcome = 'done'")
                .bind(job)
                .fetch_optional(&self.reader)
                .await
                .when("looking for a job's last run")?;
        at.flatten().map(|text| instant("job_locks", &text)).transpose()
    }
}
