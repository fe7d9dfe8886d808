//! What people want of their calendars: to be left, to be silent. Each change is one transaction and turns the user's generation,
//! so that a plan made before it is not carried out after it.

use serde_json::json;
use sqlx::{Sqlite, Transaction};

use super::{
    Attempt, Store, StoreError, mappings,
    mappings::{Names, names},
    open_sealed,
    tokens::TokenId,
};
use crate::{
    model::{
        calendar::Role,
        id::{CalendarId, EventId, UserId},
        item::ItemKey,
    },
    vault::Place,
};

/// The setting that stands while everything is paused.
const PAUSED: &str = "paused_at";

/// Events of ours that could not be removed from a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// The user's address.
    pub user: String,
    pub calendar: String,
    pub events: Vec<EventId>,
    pub why: String,
    /// RFC 3339, UTC.
    pub at: String,
}

impl Store {
    /// The generation of what a user wants; none if there is no such user any more.
    pub async fn generation(&self, user: UserId) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar("SELECT generation FROM users WHERE id = ?")
            .bind(user.0)
            .fetch_optional(&self.reader)
            .await
            .when("asking what is wanted")
    }

    pub(super) async fn turn_generation(
        transaction: &mut Transaction<'_, Sqlite>,
        user: UserId,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET generation = generation + 1 WHERE id = ?")
            .bind(user.0)
            .execute(&mut **transaction)
            .await
            .when("noting that something else is wanted")?;
        Ok(())
    }

    /// Notes that a calendar is to be left. What of ours stands there or derives from it goes away in the next ticks.
    ///
    /// # Errors
    /// [`StoreError::NoSuchCalendar`] if the user has no such connected calendar.
    pub async fn leave_calendar(&self, user: UserId, number: i64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let found = sqlx::query(
            "UPDATE client_calendars SET standing = 'leaving', paused_at = NULL
             WHERE id = ? AND user_id = ? AND standing <> 'left'",
        )
        .bind(number)
        .bind(user.0)
        .execute(&mut *transaction)
        .await
        .when("leaving a calendar")?
        .rows_affected();
        if found == 0 {
            return Err(StoreError::NoSuchCalendar);
        }
        mappings::leaves(&mut transaction, number).await?;
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("leaving a calendar")
    }

    /// Makes another calendar the main one: the one before is left, in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::NoSuchCalendar`] if the user has no main calendar that could be left.
    pub async fn leave_main(&self, user: UserId, unless: &CalendarId) -> Result<Option<i64>, StoreError> {
        let mut transaction = self.write().await?;
        let left: Option<i64> = sqlx::query_scalar(
            "UPDATE client_calendars SET standing = 'leaving', paused_at = NULL
             WHERE user_id = ? AND calendar_type = ? AND standing = 'connected' AND google_calendar_id <> ?
             RETURNING id",
        )
        .bind(user.0)
        .bind(Role::Main.word())
        .bind(unless.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .when("leaving the main calendar")?;
        if let Some(number) = left {
            mappings::leaves(&mut transaction, number).await?;
        }
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("leaving the main calendar")?;
        Ok(left)
    }

    /// Notes that nothing of ours stands on a leaving calendar any more, but for `behind`, which is listed with its reason in the
    /// same transaction; `email` is the user's. The calendar's rows stay for the record. Gives its account if no other calendar
    /// uses it and the user does not sign in by it.
    pub async fn calendar_is_left(
        &self,
        user: UserId,
        number: i64,
        email: &str,
        behind: &[EventId],
        why: &str,
    ) -> Result<Option<TokenId>, StoreError> {
        let mut transaction = self.write().await?;
        let row: Option<(Option<i64>, String)> = sqlx::query_as(
            "SELECT oauth_token_id, google_calendar_id FROM client_calendars
             WHERE id = ? AND user_id = ? AND standing = 'leaving'",
        )
        .bind(number)
        .bind(user.0)
        .fetch_optional(&mut *transaction)
        .await
        .when("finishing with a calendar")?;
        let Some((Some(token), calendar)) = row else { return Ok(None) };
        if !behind.is_empty() {
            self.list_left_behind(&mut transaction, email, &calendar.into(), behind, why).await?;
        }
        sqlx::query("UPDATE client_calendars SET standing = 'left', left_at = ?2, oauth_token_id = NULL WHERE id = ?1")
            .bind(number)
            .bind(self.now())
            .execute(&mut *transaction)
            .await
            .when("finishing with a calendar")?;
        sqlx::query("UPDATE calendar_sync_state SET sync_token = NULL WHERE client_calendar_id = ?")
            .bind(number)
            .execute(&mut *transaction)
            .await
            .when("finishing with a calendar")?;
        let used: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM client_calendars WHERE oauth_token_id = ?1)
                 OR (SELECT account_type FROM oauth_tokens WHERE id = ?1) = 'home'",
        )
        .bind(token)
        .fetch_one(&mut *transaction)
        .await
        .when("finishing with a calendar")?;
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("finishing with a calendar")?;
        Ok((!used).then_some(TokenId(token)))
    }

    /// Whether another user connected the same Google account.
    pub async fn shares_account(&self, token: TokenId) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "SELECT count(*) > 1 FROM oauth_tokens WHERE google_account_email =
                 (SELECT google_account_email FROM oauth_tokens WHERE id = ?)",
        )
        .bind(token.0)
        .fetch_one(&self.reader)
        .await
        .when("looking for an account")
    }

    /// Forgets an account. Only one that no calendar uses can be forgotten.
    pub async fn drop_token(&self, token: TokenId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM oauth_tokens WHERE id = ?")
            .bind(token.0)
            .execute(&self.writer)
            .await
            .when("forgetting an account")?;
        Ok(())
    }

    /// The account by which a user signs in.
    pub async fn home_account(&self, user: UserId) -> Result<Option<TokenId>, StoreError> {
        let id: Option<i64> =
            sqlx::query_scalar("SELECT id FROM oauth_tokens WHERE user_id = ? AND account_type = 'home' ORDER BY id")
                .bind(user.0)
                .fetch_optional(&self.reader)
                .await
                .when("looking for an account")?;
        Ok(id.map(TokenId))
    }

    /// The accounts of a user.
    pub async fn tokens_of(&self, user: UserId) -> Result<Vec<TokenId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM oauth_tokens WHERE user_id = ? ORDER BY id")
            .bind(user.0)
            .fetch_all(&self.reader)
            .await
            .when("listing accounts")?;
        Ok(ids.into_iter().map(TokenId).collect())
    }

    /// Forgets everything that is remembered of a user's items, and silences the user: what is then removed by marker is known
    /// as nobody's doing.
    pub async fn forget_items(&self, user: UserId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for statement in [
            "DELETE FROM event_mappings WHERE user_id = ?1",
            "DELETE FROM refusals WHERE user_id = ?1",
            "UPDATE users SET paused_at = coalesce(paused_at, ?2), generation = generation + 1 WHERE id = ?1",
        ] {
            sqlx::query(statement)
                .bind(user.0)
                .bind(self.now())
                .execute(&mut *transaction)
                .await
                .when("forgetting what is ours")?;
        }
        transaction.commit().await.when("forgetting what is ours")
    }

    /// Lets dismissed items come back; gives their number.
    pub async fn bring_back(&self, user: UserId, keys: &[ItemKey]) -> Result<usize, StoreError> {
        let mut transaction = self.write().await?;
        let mut found = 0;
        for key in keys {
            let Names { target, calendar, event, slot } = names(key);
            found += sqlx::query(
                "UPDATE event_mappings SET memory = 'leaving', updated_at = ? WHERE user_id = ?
                     AND target_google_calendar_id = ? AND origin_google_calendar_id = ? AND origin_event_id = ?
                     AND slot = ? AND memory = 'dismissed'",
            )
            .bind(self.now())
            .bind(user.0)
            .bind(target)
            .bind(calendar)
            .bind(event)
            .bind(slot)
            .execute(&mut *transaction)
            .await
            .when("bringing items back")?
            .rows_affected();
        }
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("bringing items back")?;
        Ok(usize::try_from(found).unwrap_or(usize::MAX))
    }

    /// Notes that a user is to be removed, with all calendars.
    pub async fn begin_removal(&self, user: UserId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE users SET removing = 1, paused_at = NULL WHERE id = ?")
            .bind(user.0)
            .execute(&mut *transaction)
            .await
            .when("beginning to remove a user")?;
        sqlx::query(
            "UPDATE client_calendars SET standing = 'leaving', paused_at = NULL
             WHERE user_id = ? AND standing IN ('offered', 'connected')",
        )
        .bind(user.0)
        .execute(&mut *transaction)
        .await
        .when("leaving a user's calendars")?;
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("beginning to remove a user")
    }

    /// Forgets a user with everything that is known of them. What stays behind at Google stays listed.
    pub async fn drop_user(&self, user: UserId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for statement in [
            "UPDATE client_calendars SET standing = 'left', left_at = coalesce(left_at, created_at), oauth_token_id = NULL
             WHERE user_id = ?",
            "DELETE FROM users WHERE id = ?",
        ] {
            sqlx::query(statement).bind(user.0).execute(&mut *transaction).await.when("removing a user")?;
        }
        transaction.commit().await.when("removing a user")
    }

    /// Silence for everybody, or its end.
    pub async fn pause_all(&self, paused: bool) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let statement = if paused {
            "INSERT INTO settings (key, value_plain, updated_at) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM settings WHERE key = ?1"
        };
        sqlx::query(statement)
            .bind(PAUSED)
            .bind(self.now())
            .execute(&mut *transaction)
            .await
            .when("pausing everything")?;
        sqlx::query("UPDATE users SET generation = generation + 1")
            .execute(&mut *transaction)
            .await
            .when("pausing everything")?;
        transaction.commit().await.when("pausing everything")
    }

    /// Whether everything is paused.
    pub async fn is_paused(&self) -> Result<bool, StoreError> {
        let paused: Option<String> = sqlx::query_scalar("SELECT value_plain FROM settings WHERE key = ?")
            .bind(PAUSED)
            .fetch_optional(&self.reader)
            .await
            .when("asking for pauses")?
            .flatten();
        Ok(paused.is_some())
    }

    /// Silence for one user, or its end.
    pub async fn pause_user(&self, user: UserId, paused: bool) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE users SET paused_at = CASE WHEN ?2 THEN coalesce(paused_at, ?3) END, generation = generation + 1
             WHERE id = ?1",
        )
        .bind(user.0)
        .bind(paused)
        .bind(self.now())
        .execute(&self.writer)
        .await
        .when("pausing a user")?;
        Ok(())
    }

    /// Silence for one calendar, or its end.
    ///
    /// # Errors
    /// [`StoreError::NoSuchCalendar`] if the user has no such connected calendar.
    pub async fn pause_calendar(&self, user: UserId, number: i64, paused: bool) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let found = sqlx::query(
            "UPDATE client_calendars SET paused_at = CASE WHEN ?3 THEN coalesce(paused_at, ?4) END
             WHERE id = ?1 AND user_id = ?2 AND standing = 'connected'",
        )
        .bind(number)
        .bind(user.0)
        .bind(paused)
        .bind(self.now())
        .execute(&mut *transaction)
        .await
        .when("pausing a calendar")?
        .rows_affected();
        if found == 0 {
            return Err(StoreError::NoSuchCalendar);
        }
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("pausing a calendar")
    }

    /// Whether guests are to be told of what the user does to a copy of their meeting.
    pub async fn set_tell_guests(&self, user: UserId, tell: bool) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET tell_guests = ?2, generation = generation + 1 WHERE id = ?1")
            .bind(user.0)
            .bind(tell)
            .execute(&self.writer)
            .await
            .when("storing whether guests are told")?;
        Ok(())
    }

    /// Living events of ours on a calendar, as far as its mirror knows. Instances go with their series, of which alone Google tells.
    pub async fn ours_on(&self, number: i64) -> Result<Vec<EventId>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT event_id FROM mirror_events WHERE client_calendar_id = ? AND owner = 'ours' AND state <> 'tombstone'
                 AND item_in_series = 0 ORDER BY event_id",
        )
        .bind(number)
        .fetch_all(&self.reader)
        .await
        .when("looking for what is ours")?;
        Ok(ids.into_iter().map(EventId::from).collect())
    }

    /// Living events of ours on other calendars of the user that derive from this one.
    pub async fn derived_from(&self, user: UserId, calendar: &CalendarId) -> Result<usize, StoreError> {
        let n: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM mirror_events JOIN client_calendars ON client_calendars.id = client_calendar_id
             WHERE user_id = ? AND standing <> 'left' AND owner = 'ours' AND state <> 'tombstone' AND item_in_series = 0
                 AND item_origin_calendar_id = ?",
        )
        .bind(user.0)
        .bind(calendar.as_str())
        .fetch_one(&self.reader)
        .await
        .when("looking for what derives from a calendar")?;
        Ok(usize::try_from(n).unwrap_or(0))
    }

    /// Lists events of ours that could not be removed.
    pub async fn note_left_behind(
        &self,
        user: &str,
        calendar: &CalendarId,
        events: &[EventId],
        why: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        self.list_left_behind(&mut transaction, user, calendar, events, why).await?;
        transaction.commit().await.when("listing what stays behind")
    }

    async fn list_left_behind(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        user: &str,
        calendar: &CalendarId,
        events: &[EventId],
        why: &str,
    ) -> Result<(), StoreError> {
        let what = json!({
            "user": user,
            "calendar": calendar.as_str(),
            "events": events.iter().map(EventId::as_str).collect::<Vec<_>>(),
        });
        // The number comes first, because what is sealed is bound to it.
        let number: i64 = sqlx::query_scalar(
            "INSERT INTO left_behind (what_encrypted, events, why, noted_at) VALUES (x'', ?, ?, ?) RETURNING id",
        )
        .bind(i64::try_from(events.len()).unwrap_or(i64::MAX))
        .bind(why)
        .bind(self.now())
        .fetch_one(&mut **transaction)
        .await
        .when("listing what stays behind")?;
        let row = number.to_string();
        let place = Place { table: "left_behind", column: "what_encrypted", row: &row };
        sqlx::query("UPDATE left_behind SET what_encrypted = ? WHERE id = ?")
            .bind(self.data_key.seal(&place, what.to_string().as_bytes()))
            .bind(number)
            .execute(&mut **transaction)
            .await
            .when("listing what stays behind")?;
        Ok(())
    }

    /// Everything that stays behind, oldest first.
    pub async fn left_behind(&self) -> Result<Vec<LeftBehind>, StoreError> {
        let rows: Vec<(i64, Vec<u8>, String, String)> =
            sqlx::query_as("SELECT id, what_encrypted, why, noted_at FROM left_behind ORDER BY id")
                .fetch_all(&self.reader)
                .await
                .when("listing what stays behind")?;
        rows.into_iter()
            .map(|(number, sealed, why, at)| {
                let row = number.to_string();
                let place = Place { table: "left_behind", column: "what_encrypted", row: &row };
                let format = || StoreError::Format { table: "left_behind" };
                let what: serde_json::Value =
                    serde_json::from_slice(&open_sealed(&self.data_key, &place, &sealed)?).map_err(|_| format())?;
                let text = |name: &str| what[name].as_str().map(str::to_owned).ok_or_else(format);
                let events = what["events"].as_array().ok_or_else(format)?;
                Ok(LeftBehind {
                    user: text("user")?,
                    calendar: text("calendar")?,
                    events: events.iter().filter_map(|id| id.as_str().map(EventId::from)).collect(),
                    why,
                    at,
                })
            })
            .collect()
    }
}
