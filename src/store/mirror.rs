//! The mirror: events as Google last told them, and whose they are.
//!
//! Invariants: rows and cursor of a listing are stored in one transaction, and only if the stored cursor is still the one that
//! the listing began from. A row never goes back to an older version. A row that a full listing does not name becomes suspect
//! and stays. An idle listing writes nothing.

#[cfg(test)]
use crate::model::mutant::{Mutant, planted};
use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};

use super::{Attempt, Store, StoreError, instant, stored};
use crate::{
    model::{
        event::{Change, Event, OriginKey, Owner, Slot},
        id::{CalendarId, Cursor, EventId, UserId},
        item::{ItemKey, Provenance},
    },
    vault::Place,
};

/// A cursor that nothing happened to is stored anew only after this long: the older one is as good.
const CURSOR_REST: TimeDelta = TimeDelta::hours(6);
/// Rows written by one statement.
const LOT: usize = 500;
/// Bytes of JSON beyond which a statement takes no more rows.
const LOT_BYTES: usize = 1 << 20;

/// One complete listing.
pub struct Listing {
    /// The cursor from which it began; none for a full one.
    pub from: Option<Cursor>,
    /// Whether it names everything that is there.
    pub full: bool,
    pub next: Cursor,
    pub changes: Vec<(Change, Owner)>,
}

/// What a listing changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Committed {
    /// Rows that are other than before.
    pub changed: usize,
    /// Rows that became suspect.
    pub suspects: u64,
}

/// How Google told of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// A listing, which may be older than what was told before.
    ByListing,
    /// An answer about this event, as it is now.
    Alone,
}

/// What a row is compared by.
#[derive(sqlx::FromRow)]
struct Known {
    event_id: String,
    state: String,
    owner: String,
    updated: Option<String>,
    etag: Option<String>,
}

/// A JSON array of so many of these JSON texts as one statement takes.
fn lot(rows: impl Iterator<Item = String>) -> String {
    let mut lot = String::from("[");
    for (n, row) in (1..).zip(rows) {
        lot.push_str(&row);
        if n == LOT || lot.len() > LOT_BYTES {
            break;
        }
        lot.push(',');
    }
    if lot.ends_with(',') {
        lot.pop();
    }
    lot.push(']');
    lot
}

#[derive(sqlx::FromRow)]
struct OwnerRow {
    event_id: String,
    owner: String,
    item_origin_calendar_id: Option<String>,
    item_origin_event_id: Option<String>,
    item_slot: Option<String>,
    item_incarnation: Option<u32>,
    item_in_series: Option<bool>,
}

const TABLE: &str = "mirror_events";

impl Store {
    /// Stores a complete listing with its cursor.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] if another listing was stored since this one began; nothing is then changed.
    pub async fn commit_listing(&self, number: i64, listing: Listing) -> Result<Committed, StoreError> {
        let Listing { from, full, next, changes } = listing;
        if changes.is_empty() && !full && !self.cursor_is_due(number, &next).await? {
            return Ok(Committed { changed: 0, suspects: 0 });
        }
        #[cfg(test)]
        let from = if planted(Mutant::TokenBeforeRows) {
            let mut early = self.write().await?;
            sqlx::query("UPDATE calendar_sync_state SET sync_token = ? WHERE client_calendar_id = ?")
                .bind(next.as_str())
                .bind(number)
                .execute(&mut *early)
                .await
                .when("storing a cursor")?;
            early.commit().await.when("storing a cursor")?;
            Some(next.clone())
        } else {
            from
        };
        let mut transaction = self.write().await?;
        let stored: Option<String> =
            sqlx::query_scalar("SELECT sync_token FROM calendar_sync_state WHERE client_calendar_id = ?")
                .bind(number)
                .fetch_optional(&mut *transaction)
                .await
                .when("reading a cursor")?
                .ok_or(StoreError::NoSuchCalendar)?;
        if stored.as_deref() != from.as_ref().map(Cursor::as_str) {
            return Err(StoreError::Superseded);
        }
        let changed = self.upsert(&mut transaction, number, &changes, Told::ByListing).await?;
        let mut suspects = 0;
        if full {
            let named: Vec<&str> = changes.iter().map(|(change, _)| change.id().as_str()).collect();
            suspects = sqlx::query(
                "UPDATE mirror_events SET state = 'suspect'
                 WHERE client_calendar_id = ?1 AND state = 'live' AND event_id NOT IN (SELECT value FROM json_each(?2))",
            )
            .bind(number)
            .bind(json!(named).to_string())
            .execute(&mut *transaction)
            .await
            .when("marking what a listing does not name")?
            .rows_affected();
        }
        sqlx::query(
            "UPDATE calendar_sync_state SET sync_token = ?2, listed_at = ?3,
                 last_full_sync = CASE WHEN ?4 THEN ?3 ELSE last_full_sync END
             WHERE client_calendar_id = ?1",
        )
        .bind(number)
        .bind(next.as_str())
        .bind(self.now())
        .bind(full)
        .execute(&mut *transaction)
        .await
        .when("storing a cursor")?;
        transaction.commit().await.when("storing a listing")?;
        Ok(Committed { changed, suspects })
    }

    /// Whether an idle listing's cursor is worth a write.
    async fn cursor_is_due(&self, number: i64, next: &Cursor) -> Result<bool, StoreError> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("SELECT sync_token, listed_at FROM calendar_sync_state WHERE client_calendar_id = ?")
                .bind(number)
                .fetch_optional(&self.reader)
                .await
                .when("reading a cursor")?;
        let (cursor, listed_at) = row.ok_or(StoreError::NoSuchCalendar)?;
        let listed_at = listed_at.map(|text| instant("calendar_sync_state", &text)).transpose()?;
        Ok(cursor.as_deref() != Some(next.as_str()) && listed_at.is_none_or(|at| self.clock.now() - at >= CURSOR_REST))
    }

    /// Stores what Google said of one event.
    pub async fn put(&self, number: i64, change: &Change, owner: &Owner) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        self.upsert(&mut transaction, number, &[(change.clone(), owner.clone())], Told::Alone).await?;
        transaction.commit().await.when("storing an event")
    }

    /// Writes what is newer than the rows; gives the number of rows written.
    pub(super) async fn upsert(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        number: i64,
        changes: &[(Change, Owner)],
        told: Told,
    ) -> Result<usize, StoreError> {
        let ids: Vec<&str> = changes.iter().map(|(change, _)| change.id().as_str()).collect();
        let known: Vec<Known> = sqlx::query_as(
            "SELECT event_id, state, owner, updated, etag FROM mirror_events
             WHERE client_calendar_id = ? AND event_id IN (SELECT value FROM json_each(?))",
        )
        .bind(number)
        .bind(json!(ids).to_string())
        .fetch_all(&mut **transaction)
        .await
        .when("looking events up")?;
        let known: BTreeMap<&str, &Known> = known.iter().map(|row| (row.event_id.as_str(), row)).collect();
        let (mut living, mut gone) = (Vec::new(), Vec::new());
        // What is no series any more has no instances, and Google need not say so of each (checklist C35): they are asked about.
        let mut single = Vec::new();
        // An exception is whose its series is; those of a series that had lost its marker passed for somebody's.
        let mut known_again = Vec::new();
        for (change, owner) in changes {
            let old = known.get(change.id().as_str()).copied();
            match change {
                Change::Live(event) if is_news(old, (event.updated.as_str(), event.etag.as_str()), owner, told) => {
                    if old.is_some() && event.series.is_none() && event.body.recurrence.is_empty() {
                        single.push(event.id.as_str());
                    }
                    if old.is_some_and(|old| old.owner == "person") && *owner != Owner::Person && event.series.is_none()
                    {
                        known_again.push(event.id.as_str());
                    }
                    living.push((event.as_ref(), owner));
                }
                Change::Gone { id, series, etag: _, told } if is_learnt(old, owner) => {
                    let series = series.clone().or_else(|| id.as_instance());
                    let mut json = row_of(id.as_str(), series.as_ref(), owner);
                    json["told"] = json!(i32::from(*told));
                    json["gone_at"] = json!(self.now());
                    gone.push(json);
                }
                Change::Live(_) | Change::Gone { .. } => {}
            }
        }
        let mut rest = living.iter().peekable();
        while rest.peek().is_some() {
            let rows = rest.by_ref().map(|(event, owner)| self.living_row(number, event, owner).to_string());
            sqlx::query(UPSERT_LIVE)
                .bind(number)
                .bind(lot(rows))
                .execute(&mut **transaction)
                .await
                .when("storing events")?;
        }
        for lot in gone.chunks(LOT) {
            sqlx::query(UPSERT_GONE)
                .bind(number)
                .bind(json!(lot).to_string())
                .execute(&mut **transaction)
                .await
                .when("storing tombstones")?;
        }
        if !single.is_empty() {
            sqlx::query(
                "UPDATE mirror_events SET state = 'suspect'
                 WHERE client_calendar_id = ? AND state = 'live' AND slot IS NOT NULL
                     AND series_event_id IN (SELECT value FROM json_each(?))",
            )
            .bind(number)
            .bind(json!(single).to_string())
            .execute(&mut **transaction)
            .await
            .when("doubting the instances of former series")?;
        }
        if !known_again.is_empty() {
            sqlx::query(EXCEPTIONS_FOLLOW)
                .bind(number)
                .bind(json!(known_again).to_string())
                .execute(&mut **transaction)
                .await
                .when("giving exceptions to whom their series belongs")?;
        }
        Ok(living.len() + gone.len())
    }

    /// What [`UPSERT_LIVE`] stores of an event.
    fn living_row(&self, number: i64, event: &Event, owner: &Owner) -> Value {
        let row = format!("{number}/{}", event.id.as_str());
        let place = Place { table: TABLE, column: "event_encrypted", row: &row };
        let mut json = row_of(event.id.as_str(), event.series.as_ref(), owner);
        json["updated"] = json!(event.updated);
        json["etag"] = json!(event.etag.as_str());
        json["event"] = json!(hex(&self.data_key.seal(&place, &stored::to_bytes(event))));
        json
    }

    /// The events of a calendar of which anything is known, be it that they are gone.
    pub async fn known(&self, number: i64) -> Result<BTreeSet<EventId>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar("SELECT event_id FROM mirror_events WHERE client_calendar_id = ?")
            .bind(number)
            .fetch_all(&self.reader)
            .await
            .when("listing known events")?;
        Ok(ids.into_iter().map(EventId::from).collect())
    }

    /// The versions of a calendar's living events as Google last told them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn versions(&self, number: i64) -> Result<BTreeMap<EventId, String>, StoreError> {
        let rows: Vec<(String, Option<String>)> = sqlx::query_as(
            "SELECT event_id, etag FROM mirror_events WHERE client_calendar_id = ? AND state <> 'tombstone'",
        )
        .bind(number)
        .fetch_all(&self.reader)
        .await
        .when("listing versions")?;
        Ok(rows.into_iter().map(|(id, etag)| (id.into(), etag.unwrap_or_default())).collect())
    }

    /// Events that a full listing did not name and that nothing has been heard of since.
    pub async fn suspects(&self, number: i64, limit: usize) -> Result<Vec<EventId>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT event_id FROM mirror_events WHERE client_calendar_id = ? AND state = 'suspect' LIMIT ?",
        )
        .bind(number)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await
        .when("listing suspects")?;
        Ok(ids.into_iter().map(EventId::from).collect())
    }

    /// Whose those of these events of a calendar, `target` at Google, are that no person made.
    pub async fn owners(
        &self,
        number: i64,
        target: &CalendarId,
        events: &BTreeSet<EventId>,
    ) -> Result<BTreeMap<EventId, Owner>, StoreError> {
        let rows: Vec<OwnerRow> = sqlx::query_as(
            "SELECT event_id, owner, item_origin_calendar_id, item_origin_event_id, item_slot, item_incarnation,
                 item_in_series
             FROM mirror_events WHERE client_calendar_id = ? AND owner <> 'person'
                 AND event_id IN (SELECT value FROM json_each(?))",
        )
        .bind(number)
        .bind(json!(events.iter().map(EventId::as_str).collect::<Vec<_>>()).to_string())
        .fetch_all(&self.reader)
        .await
        .when("listing whose events are whose")?;
        rows.into_iter()
            .map(|row| {
                let OwnerRow {
                    event_id,
                    owner,
                    item_origin_calendar_id,
                    item_origin_event_id,
                    item_slot,
                    item_incarnation,
                    item_in_series,
                } = row;
                let owner = match owner.as_str() {
                    "foreign" => Owner::Foreign,
                    _ => Owner::Ours(
                        provenance(
                            target,
                            item_origin_calendar_id,
                            item_origin_event_id,
                            item_slot,
                            item_incarnation,
                            item_in_series,
                        )
                        .ok_or(StoreError::Format { table: TABLE })?,
                    ),
                };
                Ok((event_id.into(), owner))
            })
            .collect()
    }

    /// Origins that events of ours name and that their calendar's mirror has never heard of, as after the loss of a database:
    /// the number of the origin's calendar, and the event (for an exception that stands alone, the instance). Only of calendars
    /// whose last reading was complete: of the others nothing can be asked now, and they must not crowd out those that answer.
    pub async fn unproven_origins(&self, user: UserId, limit: usize) -> Result<Vec<(i64, EventId)>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT DISTINCT origin.id,
                 CASE WHEN ours.item_slot IS NULL THEN ours.item_origin_event_id
                      ELSE ours.item_origin_event_id || '_' || ours.item_slot END AS event
             FROM client_calendars AS target
             JOIN mirror_events AS ours ON ours.client_calendar_id = target.id
             JOIN client_calendars AS origin
                 ON origin.user_id = target.user_id AND origin.google_calendar_id = ours.item_origin_calendar_id
             JOIN calendar_sync_state AS reading ON reading.client_calendar_id = origin.id
                 AND reading.sync_token IS NOT NULL AND reading.consecutive_failures = 0
             WHERE target.user_id = ?1 AND ours.owner = 'ours' AND ours.state <> 'tombstone' AND ours.item_in_series = 0
                 AND NOT EXISTS (SELECT 1 FROM mirror_events AS seen WHERE seen.client_calendar_id = origin.id
                     AND seen.event_id = ours.item_origin_event_id)
                 AND NOT EXISTS (SELECT 1 FROM mirror_events AS seen WHERE seen.client_calendar_id = origin.id
                     AND seen.series_event_id = ours.item_origin_event_id AND seen.slot = ours.item_slot)
             LIMIT ?2",
        )
        .bind(user.0)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await
        .when("looking for origins without proof")?;
        Ok(rows.into_iter().map(|(number, event)| (number, event.into())).collect())
    }
}

const UPSERT_LIVE: &str =
    "INSERT INTO mirror_events (client_calendar_id, event_id, state, owner, series_event_id, slot,
        item_origin_calendar_id, item_origin_event_id, item_slot, item_incarnation, item_in_series, updated, etag,
        event_encrypted)
    SELECT ?1, value ->> 'id', 'live', value ->> 'owner', value ->> 'series', value ->> 'slot', value ->> 'calendar',
        value ->> 'origin', value ->> 'item_slot', value ->> 'incarnation', value ->> 'in_series', value ->> 'updated',
        value ->> 'etag', unhex(value ->> 'event')
    FROM json_each(?2) WHERE true
    ON CONFLICT (client_calendar_id, event_id) DO UPDATE SET state = 'live', owner = excluded.owner,
        series_event_id = excluded.series_event_id, slot = excluded.slot,
        item_origin_calendar_id = excluded.item_origin_calendar_id,
        item_origin_event_id = excluded.item_origin_event_id, item_slot = excluded.item_slot,
        item_incarnation = excluded.item_incarnation, item_in_series = excluded.item_in_series,
        updated = excluded.updated, etag = excluded.etag, told = NULL, gone_at = NULL,
        event_encrypted = excluded.event_encrypted";

/// Exceptions as they would be stored were they told of now.
const EXCEPTIONS_FOLLOW: &str = "UPDATE mirror_events SET owner = head.owner, item_origin_calendar_id = head.item_origin_calendar_id,
        item_origin_event_id = head.item_origin_event_id, item_incarnation = head.item_incarnation,
        item_slot = iif(head.owner = 'ours', mirror_events.slot, NULL), item_in_series = iif(head.owner = 'ours', 1, NULL)
    FROM mirror_events AS head
    WHERE mirror_events.client_calendar_id = ?1 AND mirror_events.owner = 'person' AND mirror_events.slot IS NOT NULL
        AND mirror_events.series_event_id IN (SELECT value FROM json_each(?2))
        AND head.client_calendar_id = ?1 AND head.event_id = mirror_events.series_event_id";

// What the row knows of its owner and version stays: a tombstone says little. Only one of which nothing was known learns whose it was.
const UPSERT_GONE: &str =
    "INSERT INTO mirror_events (client_calendar_id, event_id, state, owner, series_event_id, slot,
        item_origin_calendar_id, item_origin_event_id, item_slot, item_incarnation, item_in_series, told, gone_at)
    SELECT ?1, value ->> 'id', 'tombstone', value ->> 'owner', value ->> 'series', value ->> 'slot',
        value ->> 'calendar', value ->> 'origin', value ->> 'item_slot', value ->> 'incarnation', value ->> 'in_series',
        value ->> 'told', value ->> 'gone_at'
    FROM json_each(?2) WHERE true
    ON CONFLICT (client_calendar_id, event_id) DO UPDATE SET state = 'tombstone',
        told = max(excluded.told, coalesce(mirror_events.told, 0)),
        gone_at = coalesce(mirror_events.gone_at, excluded.gone_at), event_encrypted = NULL,
        item_origin_calendar_id = CASE mirror_events.owner WHEN 'person' THEN excluded.item_origin_calendar_id
            ELSE mirror_events.item_origin_calendar_id END,
        item_origin_event_id = CASE mirror_events.owner WHEN 'person' THEN excluded.item_origin_event_id
            ELSE mirror_events.item_origin_event_id END,
        item_slot = CASE mirror_events.owner WHEN 'person' THEN excluded.item_slot ELSE mirror_events.item_slot END,
        item_incarnation = CASE mirror_events.owner WHEN 'person' THEN excluded.item_incarnation
            ELSE mirror_events.item_incarnation END,
        item_in_series = CASE mirror_events.owner WHEN 'person' THEN excluded.item_in_series
            ELSE mirror_events.item_in_series END,
        owner = CASE mirror_events.owner WHEN 'person' THEN excluded.owner ELSE mirror_events.owner END";

/// Whether a tombstone says something that the row does not: that the event is gone, or whose it was.
fn is_learnt(old: Option<&Known>, owner: &Owner) -> bool {
    let Some(old) = old else { return true };
    old.state != "tombstone" || old.owner == "person" && matches!(owner, Owner::Ours(_))
}

/// Whether a living version is to be stored: it is another one than the row's, and not older.
fn is_news(old: Option<&Known>, (updated, etag): (&str, &str), owner: &Owner, told: Told) -> bool {
    let Some(Known { event_id: _, state, owner: old_owner, updated: old_updated, etag: old_etag }) = old else {
        return true;
    };
    let same = old_etag.as_deref() == Some(etag);
    if state == "tombstone" {
        // A listing may lag behind a deletion; the version that died does not rise again. Nor did it die where a listing lagged behind
        // its revival: an answer about the event alone tells.
        return (!same || told == Told::Alone) && old_updated.as_deref().is_none_or(|old| old <= updated);
    }
    if same {
        return state == "suspect" || old_owner != owner_word(owner);
    }
    old_updated.as_deref().is_none_or(|old| old <= updated)
}

fn owner_word(owner: &Owner) -> &'static str {
    match owner {
        Owner::Person => "person",
        Owner::Ours(_) => "ours",
        Owner::Foreign => "foreign",
    }
}

/// The plain columns of a row.
fn row_of(id: &str, series: Option<&(EventId, Slot)>, owner: &Owner) -> serde_json::Value {
    let mut row = json!({"id": id, "owner": owner_word(owner)});
    if let Some((series, slot)) = series {
        row["series"] = json!(series.as_str());
        row["slot"] = json!(slot.stamp());
    }
    if let Owner::Ours(Provenance { key, incarnation, in_series }) = owner {
        let ItemKey { target: _, origin: OriginKey { calendar, event, instance } } = key;
        row["calendar"] = json!(calendar.as_str());
        row["origin"] = json!(event.as_str());
        row["item_slot"] = json!(instance.map(|slot| slot.stamp()));
        row["incarnation"] = json!(incarnation);
        row["in_series"] = json!(i32::from(*in_series));
    }
    row
}

/// The item which the columns of one of our rows name.
pub(super) fn provenance(
    target: &CalendarId,
    calendar: Option<String>,
    event: Option<String>,
    slot: Option<String>,
    incarnation: Option<u32>,
    in_series: Option<bool>,
) -> Option<Provenance> {
    let instance = match slot {
        Some(stamp) => Some(Slot::from_stamp(&stamp)?),
        None => None,
    };
    let origin = OriginKey { calendar: calendar?.into(), event: event?.into(), instance };
    let key = ItemKey { target: target.clone(), origin };
    Some(Provenance { key, incarnation: incarnation?, in_series: in_series? })
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
