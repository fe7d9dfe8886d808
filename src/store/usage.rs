//! How many requests to Google a day has seen, so that a restart does not forget them.

use chrono::NaiveDate;

use super::{Attempt, Store, StoreError};

impl Store {
    /// Adds to a day's requests.
    pub async fn add_usage(&self, day: NaiveDate, requests: u64, backfill: u64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO api_usage (day, requests, backfill) VALUES (?, ?, ?)
             ON CONFLICT (day) DO UPDATE SET requests = requests + excluded.requests,
                 backfill = backfill + excluded.backfill",
        )
        .bind(day.to_string())
        .bind(i64::try_from(requests).unwrap_or(i64::MAX))
        .bind(i64::try_from(backfill).unwrap_or(i64::MAX))
        .execute(&self.writer)
        .await
        .when("noting the day's requests")?;
        Ok(())
    }

    /// A day's requests, and how many of them were backfill.
    pub async fn usage(&self, day: NaiveDate) -> Result<(u64, u64), StoreError> {
        let row: Option<(i64, i64)> = sqlx::query_as("SELECT requests, backfill FROM api_usage WHERE day = ?")
            .bind(day.to_string())
            .fetch_optional(&self.reader)
            .await
            .when("looking for the day's requests")?;
        let (requests, backfill) = row.unwrap_or_default();
        Ok((requests.unsigned_abs(), backfill.unsigned_abs()))
    }
}
