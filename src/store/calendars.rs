//! Connected calendars, how far each has been read, and how often reading failed in a row.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{Attempt, Store, StoreError, instant, tokens::TokenId};
use crate::model::{
    calendar::{Role, Standing, Why},
    id::{CalendarId, Cursor, UserId},
};

/// One connected calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarRow {
    /// What logs call it.
    pub number: i64,
    pub user: UserId,
    /// The account through which it is reached.
    pub token: TokenId,
    pub id: CalendarId,
    /// What its user calls it.
    pub name: String,
    pub role: Role,
    pub standing: Standing,
    /// Neither read nor written.
    pub paused: bool,
    /// The account may write here, by Google's last word.
    pub writable: bool,
    /// The address of the account.
    pub account: String,
    /// What the person allowed, as Google lists it; empty: not known.
    pub scopes: String,
    /// IANA name.
    pub zone: String,
    /// How far Google has told us; none: it has to be listed in full.
    pub cursor: Option<Cursor>,
    /// When the newest cursor was stored; none: never read to the end. An idle listing does not move it.
    pub listed_at: Option<DateTime<Utc>>,
    /// Whether a listing left out what the mirror holds, so that Google has to be asked about it.
    pub doubted: bool,
    /// Listings that failed since the last that did not.
    pub failures: u32,
    /// Why the last one failed; none if it did not.
    pub failed: Option<Why>,
}

const TABLE: &str = "client_calendars";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    user_id: i64,
    oauth_token_id: i64,
    google_calendar_id: String,
    display_name: String,
    calendar_type: String,
    zone: String,
    standing: String,
    paused: bool,
    writable: bool,
    account: String,
    scopes: String,
    sync_token: Option<String>,
    listed_at: Option<String>,
    doubted: bool,
    consecutive_failures: u32,
    last_error: Option<String>,
}

impl TryFrom<Row> for CalendarRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let Row {
            id,
            user_id,
            oauth_token_id,
            google_calendar_id,
            display_name,
            calendar_type,
            zone,
            standing,
            paused,
            writable,
            account,
            scopes,
            sync_token,
            listed_at,
            doubted,
            consecutive_failures,
            last_error,
        } = row;
        Ok(CalendarRow {
            number: id,
            user: UserId(user_id),
            token: TokenId(oauth_token_id),
            id: google_calendar_id.into(),
            name: display_name,
            role: Role::from_word(&calendar_type).ok_or(StoreError::Format { table: TABLE })?,
            zone,
            standing: match standing.as_str() {
                "offered" => Standing::Offered,
                "leaving" => Standing::Leaving,
                _ => Standing::Connected,
            },
            paused,
            writable,
            account,
            scopes,
            cursor: sync_token.map(Cursor::from),
            doubted,
            listed_at: listed_at.map(|text| instant("calendar_sync_state", &text)).transpose()?,
            failures: consecutive_failures,
            failed: last_error.map(|word| why_of(&word).ok_or(StoreError::Format { table: TABLE })).transpose()?,
        })
    }
}

const WHYS: [Why; 9] = [
    Why::Revoked,
    Why::Lapsed,
    Why::Scope,
    Why::Forbidden,
    Why::Missing,
    Why::Throttled,
    Why::Unreachable,
    Why::TooMany,
    Why::Paused,
];

fn why_of(word: &str) -> Option<Why> {
    WHYS.into_iter().find(|why| why_word(*why) == word)
}

/// The word for a failure.
fn why_word(why: Why) -> &'static str {
    match why {
        Why::Revoked => "revoked",
        Why::Lapsed => "lapsed",
        Why::Scope => "scope",
        Why::Forbidden => "forbidden",
        Why::Missing => "missing",
        Why::Throttled => "throttled",
        Why::Unreachable => "unreachable",
        Why::TooMany => "too_many_events",
        Why::Paused => "paused",
    }
}

impl Store {
    /// Connects a calendar, or connects it anew. Through another account or in another role it is read from the start again,
    /// since that account may see more or less of it, and of each role other details are kept. The number stays the same.
    ///
    /// # Errors
    /// If the account is not this user's, or a second main calendar is connected.
    pub async fn connect_calendar(
        &self,
        user: UserId,
        token: TokenId,
        calendar: &CalendarId,
        name: &str,
        role: Role,
        zone: &str,
    ) -> Result<i64, StoreError> {
        let number = self.connect(user, token, calendar, name, role, zone, false).await?;
        Ok(number.expect("only what is offered can be there already"))
    }

    /// [`Store::connect_calendar`], but that a calendar which comes anew takes part in nothing until [`Store::begin_calendar`], and
    /// that one which this account has in this role already stays as it is: none is given then.
    pub async fn offer_calendar(
        &self,
        user: UserId,
        token: TokenId,
        calendar: &CalendarId,
        name: &str,
        role: Role,
        zone: &str,
    ) -> Result<Option<i64>, StoreError> {
        self.connect(user, token, calendar, name, role, zone, true).await
    }

    #[expect(clippy::too_many_arguments, reason = "they are one row")]
    async fn connect(
        &self,
        user: UserId,
        token: TokenId,
        calendar: &CalendarId,
        name: &str,
        role: Role,
        zone: &str,
        silent: bool,
    ) -> Result<Option<i64>, StoreError> {
        let mut transaction = self.write().await?;
        let before: Option<(Option<i64>, String, String)> = sqlx::query_as(
            "SELECT oauth_token_id, calendar_type, standing FROM client_calendars
             WHERE user_id = ? AND google_calendar_id = ?",
        )
        .bind(user.0)
        .bind(calendar.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .when("looking for a calendar")?;
        let same = before.as_ref().is_some_and(|(of, kind, _)| *of == Some(token.0) && kind == role.word());
        if silent
            && same
            && before.is_some_and(|(_, _, standing)| ["offered", "connected"].contains(&standing.as_str()))
        {
            return Ok(None);
        }
        let number: i64 = sqlx::query_scalar(
            "INSERT INTO client_calendars (user_id, oauth_token_id, google_calendar_id, display_name, calendar_type,
                 zone, created_at, standing)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, CASE WHEN ?8 THEN 'offered' ELSE 'connected' END)
             ON CONFLICT (user_id, google_calendar_id) DO UPDATE SET oauth_token_id = excluded.oauth_token_id,
                 display_name = excluded.display_name, calendar_type = excluded.calendar_type, zone = excluded.zone,
                 -- What was in use goes on.
                 standing = CASE WHEN ?8 AND standing <> 'connected' THEN 'offered' ELSE 'connected' END,
                 left_at = NULL, paused_at = NULL, writable = 1
             RETURNING id",
        )
        .bind(user.0)
        .bind(token.0)
        .bind(calendar.as_str())
        .bind(name)
        .bind(role.word())
        .bind(zone)
        .bind(self.now())
        .bind(silent)
        .fetch_one(&mut *transaction)
        .await
        .when("connecting a calendar")?;
        sqlx::query(
            "INSERT INTO calendar_sync_state (client_calendar_id) VALUES (?1)
             ON CONFLICT (client_calendar_id) DO UPDATE SET consecutive_failures = 0, last_error = NULL,
                 last_error_at = NULL, sync_token = CASE WHEN ?2 THEN sync_token END",
        )
        .bind(number)
        .bind(same)
        .execute(&mut *transaction)
        .await
        .when("connecting a calendar")?;
        // What is listed again under the etag of a row counts as known. Without one each living row is written anew, with what
        // this account sees and this role keeps.
        sqlx::query(
            "UPDATE mirror_events SET etag = NULL WHERE client_calendar_id = ?1 AND state <> 'tombstone' AND NOT ?2",
        )
        .bind(number)
        .bind(same)
        .execute(&mut *transaction)
        .await
        .when("connecting a calendar")?;
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("connecting a calendar")?;
        Ok(Some(number))
    }

    /// Lets an offered calendar take part from now on; tells whether it was one.
    pub async fn begin_calendar(&self, user: UserId, number: i64) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE client_calendars SET standing = 'connected' WHERE id = ? AND user_id = ? AND standing = 'offered'",
        )
        .bind(number)
        .bind(user.0)
        .execute(&mut *transaction)
        .await
        .when("beginning with a calendar")?;
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("beginning with a calendar")?;
        Ok(done.rows_affected() > 0)
    }

    /// The calendars of a user, in the order in which they were connected.
    pub async fn calendars_of(&self, user: UserId) -> Result<Vec<CalendarRow>, StoreError> {
        let mut connection = self.reader.acquire().await.when("listing calendars")?;
        all(&mut connection, user).await
    }

    /// One calendar; none if it is left.
    pub async fn calendar(&self, number: i64) -> Result<Option<CalendarRow>, StoreError> {
        let user: Option<i64> = sqlx::query_scalar("SELECT user_id FROM client_calendars WHERE id = ?")
            .bind(number)
            .fetch_optional(&self.reader)
            .await
            .when("looking for a calendar")?;
        let Some(user) = user else { return Ok(None) };
        Ok(self.calendars_of(UserId(user)).await?.into_iter().find(|row| row.number == number))
    }

    /// The account through which a calendar is, or was, reached; none once that is forgotten.
    pub async fn token_of_calendar(&self, number: i64) -> Result<Option<TokenId>, StoreError> {
        let token: Option<Option<i64>> = sqlx::query_scalar("SELECT oauth_token_id FROM client_calendars WHERE id = ?")
            .bind(number)
            .fetch_optional(&self.reader)
            .await
            .when("looking for an account")?;
        Ok(token.flatten().map(TokenId))
    }

    /// How many events of ours stand on each calendar of a user; exceptions of a series are not counted.
    pub async fn blocks_of(&self, user: UserId) -> Result<BTreeMap<i64, u32>, StoreError> {
        let rows: Vec<(i64, u32)> = sqlx::query_as(
            "SELECT client_calendar_id, count(*) FROM mirror_events JOIN client_calendars AS calendar
                 ON calendar.id = client_calendar_id
             WHERE user_id = ? AND owner = 'ours' AND state <> 'tombstone' AND item_in_series = 0
             GROUP BY client_calendar_id",
        )
        .bind(user.0)
        .fetch_all(&self.reader)
        .await
        .when("counting what is ours")?;
        Ok(rows.into_iter().collect())
    }

    /// Notes the zone of a calendar; writes only if it is another than before.
    pub async fn set_zone(&self, number: i64, zone: &str) -> Result<(), StoreError> {
        self.pass().await;
        sqlx::query("UPDATE client_calendars SET zone = ?2 WHERE id = ?1 AND zone <> ?2")
            .bind(number)
            .bind(zone)
            .execute(&self.writer)
            .await
            .when("storing a zone")?;
        Ok(())
    }

    /// Notes whether the account may write; writes only if it is otherwise than before.
    pub async fn set_writable(&self, number: i64, writable: bool) -> Result<(), StoreError> {
        self.pass().await;
        sqlx::query("UPDATE client_calendars SET writable = ?2 WHERE id = ?1 AND writable <> ?2")
            .bind(number)
            .bind(writable)
            .execute(&self.writer)
            .await
            .when("storing what an account may")?;
        Ok(())
    }

    /// Counts a listing that failed.
    pub async fn note_failure(&self, number: i64, why: Why) -> Result<(), StoreError> {
        self.pass().await;
        sqlx::query(
            "UPDATE calendar_sync_state SET consecutive_failures = consecutive_failures + 1, last_error = ?2,
                 last_error_at = ?3 WHERE client_calendar_id = ?1",
        )
        .bind(number)
        .bind(why_word(why))
        .bind(self.now())
        .execute(&self.writer)
        .await
        .when("noting a failure")?;
        Ok(())
    }

    /// Ends a row of failures; writes only if there was one.
    pub async fn note_success(&self, number: i64) -> Result<(), StoreError> {
        self.pass().await;
        sqlx::query(
            "UPDATE calendar_sync_state SET consecutive_failures = 0, last_error = NULL, last_error_at = NULL
             WHERE client_calendar_id = ? AND consecutive_failures > 0",
        )
        .bind(number)
        .execute(&self.writer)
        .await
        .when("noting a success")?;
        Ok(())
    }

    /// Gives up a cursor that Google no longer takes, so that the next listing is a full one. If another listing has stored a
    /// newer cursor meanwhile, that one stays.
    pub async fn drop_cursor(&self, number: i64, expected: &Cursor) -> Result<(), StoreError> {
        self.pass().await;
        sqlx::query("UPDATE calendar_sync_state SET sync_token = NULL WHERE client_calendar_id = ? AND sync_token = ?")
            .bind(number)
            .bind(expected.as_str())
            .execute(&self.writer)
            .await
            .when("giving up a cursor")?;
        Ok(())
    }
}

/// The calendars of a user, in a transaction of the caller's.
pub(super) async fn all(connection: &mut SqliteConnection, user: UserId) -> Result<Vec<CalendarRow>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT calendar.id, calendar.user_id, oauth_token_id, google_calendar_id, display_name, calendar_type, zone,
             standing, paused_at IS NOT NULL AS paused, writable, google_account_email AS account, scopes, sync_token, listed_at,
             consecutive_failures, last_error, EXISTS (SELECT 1 FROM mirror_events AS event
                 WHERE event.client_calendar_id = calendar.id AND state = 'suspect') AS doubted
         FROM client_calendars AS calendar
         JOIN calendar_sync_state ON client_calendar_id = calendar.id
         JOIN oauth_tokens ON oauth_tokens.id = oauth_token_id
         WHERE calendar.user_id = ? AND standing <> 'left' ORDER BY calendar.id",
    )
    .bind(user.0)
    .fetch_all(connection)
    .await
    .when("listing calendars")?;
    rows.into_iter().map(CalendarRow::try_from).collect()
}
