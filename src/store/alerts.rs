//! Alerts, and the queue of mails about them.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Attempt, Store, StoreError, instant, stamp};
use crate::{
    model::{
        alert::{AlertKind, Condition},
        id::UserId,
    },
    vault::Place,
};

const TABLE: &str = "alerts";
const QUEUE: &str = "alert_queue";
/// Mails that wait at most; beyond, the oldest of the least severe make room.
const QUEUE_MAX: i64 = 1_000;

/// An alert as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    pub number: i64,
    pub kind: AlertKind,
    pub user: Option<UserId>,
    pub calendar: Option<i64>,
    pub message: String,
    pub raised: DateTime<Utc>,
    pub told: DateTime<Utc>,
    pub resolved: Option<DateTime<Utc>>,
}

/// A mail in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMail {
    pub number: i64,
    pub recipient: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Failed tries.
    pub attempts: u32,
}

/// A mail that is to be queued.
#[derive(Clone, Debug)]
pub struct NewMail {
    pub recipient: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

#[derive(Serialize, Deserialize)]
struct StoredMail {
    text: String,
    html: String,
}

type Row = (i64, String, Option<i64>, Option<i64>, String, String, String, Option<String>);

fn alert((number, kind, user, calendar, message, raised, told, resolved): Row) -> Result<AlertRow, StoreError> {
    Ok(AlertRow {
        number,
        kind: AlertKind::from_word(&kind).ok_or(StoreError::Format { table: TABLE })?,
        user: user.map(UserId),
        calendar,
        message,
        raised: instant(TABLE, &raised)?,
        told: instant(TABLE, &told)?,
        resolved: resolved.map(|text| instant(TABLE, &text)).transpose()?,
    })
}

impl Store {
    /// Alerts that are open or were told since `since`, newest first.
    pub async fn alerts(&self, since: DateTime<Utc>) -> Result<Vec<AlertRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, alert_type, user_id, calendar_id, message, raised_at, told_at, resolved_at FROM alerts
             WHERE resolved_at IS NULL OR told_at > ? ORDER BY id DESC",
        )
        .bind(stamp(since))
        .fetch_all(&self.reader)
        .await
        .when("listing alerts")?;
        rows.into_iter().map(alert).collect()
    }

    /// Opens an alert with the mails about it, in one transaction. Without mails it counts as told when the last one of its kind was.
    pub async fn raise_alert(&self, condition: &Condition, mails: &[NewMail]) -> Result<(), StoreError> {
        let Condition { kind, user, calendar, detail } = condition;
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO alerts (alert_type, user_id, calendar_id, message, raised_at, told_at) VALUES (?, ?, ?, ?, ?5, ?5)
             ON CONFLICT DO NOTHING",
        )
        .bind(kind.word())
        .bind(user.map(|user| user.0))
        .bind(calendar)
        .bind(detail)
        .bind(self.now())
        .execute(&mut *transaction)
        .await
        .when("raising an alert")?;
        self.queue(&mut transaction, *kind, mails).await?;
        transaction.commit().await.when("raising an alert")
    }

    /// Queues mails about an alert that lasts.
    pub async fn remind_of_alert(&self, number: i64, kind: AlertKind, mails: &[NewMail]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE alerts SET told_at = ? WHERE id = ?")
            .bind(self.now())
            .bind(number)
            .execute(&mut *transaction)
            .await
            .when("reminding of an alert")?;
        self.queue(&mut transaction, kind, mails).await?;
        transaction.commit().await.when("reminding of an alert")
    }

    /// Closes an alert.
    pub async fn resolve_alert(&self, number: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE alerts SET resolved_at = ? WHERE id = ? AND resolved_at IS NULL")
            .bind(self.now())
            .bind(number)
            .execute(&self.writer)
            .await
            .when("resolving an alert")?;
        Ok(())
    }

    async fn queue(
        &self,
        transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
        kind: AlertKind,
        mails: &[NewMail],
    ) -> Result<(), StoreError> {
        for NewMail { recipient, subject, text, html } in mails {
            let row: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) + 1 FROM alert_queue")
                .fetch_one(&mut **transaction)
                .await
                .when("queueing a mail")?;
            let name = row.to_string();
            let place = |column| Place { table: QUEUE, column, row: &name };
            let body = serde_json::to_vec(&StoredMail { text: text.clone(), html: html.clone() })
                .map_err(|_| StoreError::Format { table: QUEUE })?;
            sqlx::query(
                "INSERT INTO alert_queue (id, alert_type, recipient_email_encrypted, subject_encrypted, body_encrypted,
                     next_attempt, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
            )
            .bind(row)
            .bind(kind.word())
            .bind(self.data_key.seal(&place("recipient_email_encrypted"), recipient.as_bytes()))
            .bind(self.data_key.seal(&place("subject_encrypted"), subject.as_bytes()))
            .bind(self.data_key.seal(&place("body_encrypted"), &body))
            .bind(self.now())
            .execute(&mut **transaction)
            .await
            .when("queueing a mail")?;
        }
        // A storm of warnings never drives out what only a person can mend.
        sqlx::query(
            "UPDATE alert_queue SET next_attempt = NULL WHERE id IN (
                 SELECT id FROM alert_queue WHERE next_attempt IS NOT NULL AND alert_type <> 'token_revoked'
                 ORDER BY CASE alert_type WHEN 'webhook_registration_failed' THEN 0 WHEN 'sync_failures' THEN 1
                     WHEN 'system_error' THEN 2 ELSE 3 END, id
                 LIMIT max(0, (SELECT count(*) FROM alert_queue WHERE next_attempt IS NOT NULL) - ?))",
        )
        .bind(QUEUE_MAX)
        .execute(&mut **transaction)
        .await
        .when("bounding the queue of mails")?;
        Ok(())
    }

    /// Mails that are due, oldest first.
    pub async fn mails_due(&self, limit: usize) -> Result<Vec<QueuedMail>, StoreError> {
        let rows: Vec<(i64, Vec<u8>, Vec<u8>, Vec<u8>, u32)> = sqlx::query_as(
            "SELECT id, recipient_email_encrypted, subject_encrypted, body_encrypted, attempts FROM alert_queue
             WHERE next_attempt <= ? ORDER BY id LIMIT ?",
        )
        .bind(self.now())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await
        .when("listing mails to send")?;
        rows.into_iter()
            .map(|(number, recipient, subject, body, attempts)| {
                let name = number.to_string();
                let open = |column, sealed: &[u8]| {
                    self.open_text(&Place { table: QUEUE, column, row: &name }, sealed)
                        .map(|text| text.reveal().clone())
                };
                let body = open("body_encrypted", &body)?;
                let body: StoredMail = serde_json::from_str(&body).map_err(|_| StoreError::Format { table: QUEUE })?;
                Ok(QueuedMail {
                    number,
                    recipient: open("recipient_email_encrypted", &recipient)?,
                    subject: open("subject_encrypted", &subject)?,
                    text: body.text,
                    html: body.html,
                    attempts,
                })
            })
            .collect()
    }

    /// Notes that a mail was sent.
    pub async fn mail_sent(&self, number: i64) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE alert_queue SET sent_at = ?2, last_attempt = ?2, next_attempt = NULL, attempts = attempts + 1 WHERE id = ?1",
        )
        .bind(number)
        .bind(self.now())
        .execute(&self.writer)
        .await
        .when("noting a mail")?;
        Ok(())
    }

    /// Notes that a mail was not sent; without a wait it is given up.
    pub async fn mail_failed(&self, number: i64, wait: Option<TimeDelta>) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE alert_queue SET last_attempt = ?2, next_attempt = ?3, attempts = attempts + 1 WHERE id = ?1",
        )
        .bind(number)
        .bind(self.now())
        .bind(wait.map(|wait| stamp(self.clock.now() + wait)))
        .execute(&self.writer)
        .await
        .when("noting a mail")?;
        Ok(())
    }

    /// Removes mails that were sent or given up more than seven days ago, and alerts that were resolved then; gives their number.
    pub async fn forget_alerts(&self) -> Result<u64, StoreError> {
        let before = stamp(self.clock.now() - TimeDelta::days(7));
        let mails = sqlx::query("DELETE FROM alert_queue WHERE next_attempt IS NULL AND created_at < ?")
            .bind(&before)
            .execute(&self.writer)
            .await
            .when("forgetting mails")?;
        let alerts = sqlx::query("DELETE FROM alerts WHERE resolved_at < ?")
            .bind(&before)
            .execute(&self.writer)
            .await
            .when("forgetting alerts")?;
        Ok(mails.rows_affected() + alerts.rows_affected())
    }

    /// Who does not want which alerts.
    pub async fn unwanted_alerts(&self) -> Result<BTreeSet<(UserId, AlertKind)>, StoreError> {
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT user_id, alert_type FROM alert_preferences WHERE NOT wanted")
                .fetch_all(&self.reader)
                .await
                .when("listing who wants which alerts")?;
        Ok(rows.into_iter().filter_map(|(user, kind)| Some((UserId(user), AlertKind::from_word(&kind)?))).collect())
    }

    /// Settles whether a person wants alerts of a kind.
    pub async fn prefer_alert(&self, user: UserId, kind: AlertKind, wanted: bool) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO alert_preferences (user_id, alert_type, wanted) VALUES (?, ?, ?)
             ON CONFLICT (user_id, alert_type) DO UPDATE SET wanted = excluded.wanted",
        )
        .bind(user.0)
        .bind(kind.word())
        .bind(wanted)
        .execute(&self.writer)
        .await
        .when("settling who wants which alerts")?;
        Ok(())
    }
}
