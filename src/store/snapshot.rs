//! Assembles everything the planner may know, from one state of the database.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use serde_json::json;
use sqlx::{Sqlite, Transaction};

use super::{
    Attempt, Store, StoreError, calendars, flows, mappings, mirror::provenance, open_sealed, people, stored, wishes,
};
use crate::{
    model::{
        calendar::{Calendar, Freshness, Standing},
        event::{Event, OriginKey, Slot},
        id::{CalendarId, EventId, UserId},
        item::{ItemKey, Observed, ObservedState},
        snapshot::{Family, Origin, Policy, Snapshot},
    },
    vault::Place,
};

#[derive(sqlx::FromRow)]
struct Row {
    client_calendar_id: i64,
    event_id: String,
    owner: String,
    series_event_id: Option<String>,
    slot: Option<String>,
    item_origin_calendar_id: Option<String>,
    item_origin_event_id: Option<String>,
    item_slot: Option<String>,
    item_incarnation: Option<u32>,
    item_in_series: Option<bool>,
    told: Option<bool>,
    event_encrypted: Option<Vec<u8>>,
}

const TABLE: &str = "mirror_events";

impl Store {
    /// The snapshot of a user at this instant. A calendar that `freshness` does not name counts as never read; an offered one that it
    /// does not name is left out, and one that it names is seen as it would be once it takes part.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUser`], or when something sealed does not open: an unreadable row is never taken for an absent one.
    pub async fn snapshot(
        &self,
        user: UserId,
        freshness: &BTreeMap<i64, Freshness>,
        policy: Policy,
    ) -> Result<Snapshot, StoreError> {
        let mut transaction = self.read().await?;
        let person = people::one(&mut transaction, user).await?.ok_or(StoreError::NoSuchUser)?;
        let calendars: BTreeMap<i64, Calendar> = calendars::all(&mut transaction, user)
            .await?
            .into_iter()
            .filter(|row| row.standing != Standing::Offered || freshness.contains_key(&row.number))
            .map(|row| {
                let calendar = Calendar {
                    id: row.id.clone(),
                    number: row.number,
                    name: row.name,
                    role: row.role,
                    standing: if row.standing == Standing::Offered { Standing::Connected } else { row.standing },
                    writable: row.writable,
                    own: row.id.as_str().eq_ignore_ascii_case(&row.account),
                    freshness: freshness.get(&row.number).copied().unwrap_or(Freshness::Unseen),
                    zone: row.zone,
                };
                (row.number, calendar)
            })
            .collect();
        let mut origins: BTreeMap<CalendarId, BTreeMap<EventId, Family>> = BTreeMap::new();
        let mut observed: BTreeMap<ItemKey, Vec<Observed>> = BTreeMap::new();
        // One by one, so that events are opened while SQLite's thread looks for the next.
        let mut rows = sqlx::query_as::<_, Row>(
            "SELECT client_calendar_id, event_id, owner, series_event_id, slot, item_origin_calendar_id,
                 item_origin_event_id, item_slot, item_incarnation, item_in_series, told, event_encrypted
             FROM mirror_events JOIN client_calendars ON client_calendars.id = client_calendar_id
             WHERE user_id = ? AND owner <> 'foreign' AND standing <> 'left'",
        )
        .bind(user.0)
        .fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await.when("reading the mirror")? {
            // Of an offered calendar something may be known already.
            let Some(calendar) = calendars.get(&row.client_calendar_id) else { continue };
            let event = self.event_of(&row)?;
            if row.owner == "ours" {
                let (key, ours) = ours(&calendar.id, row, event).ok_or(StoreError::Format { table: TABLE })?;
                observed.entry(key).or_default().push(ours);
            } else {
                let families = origins.entry(calendar.id.clone()).or_default();
                let origin = event.map_or(Origin::Gone, |event| Origin::Live(Box::new(event)));
                match (row.series_event_id, row.slot) {
                    (Some(series), Some(stamp)) => {
                        let slot = Slot::from_stamp(&stamp).ok_or(StoreError::Format { table: TABLE })?;
                        families.entry(series.into()).or_default().exceptions.insert(slot, origin);
                    }
                    _ => families.entry(row.event_id.into()).or_default().head = Some(origin),
                }
            }
        }
        drop(rows);
        let foreign = foreign_origins(&mut transaction, user, &observed, &origins).await?;
        let mappings = mappings::all(&mut transaction, &self.data_key, user).await?;
        let refusals = wishes::refusals(&mut transaction, &self.data_key, user).await?;
        let now = self.clock.now();
        let approved = wishes::approved(&mut transaction, user, now).await?;
        let flows = flows::all(&mut transaction, &self.data_key, user).await?;
        transaction.commit().await.when("reading the mirror")?;
        Ok(Snapshot {
            user,
            email: person.email,
            now,
            calendars: calendars.into_values().map(|calendar| (calendar.id.clone(), calendar)).collect(),
            origins,
            observed,
            mappings,
            foreign,
            refusals,
            flows,
            approved,
            generation: person.generation,
            policy: Policy { tell_guests: person.tell_guests, ..policy },
            ids: self.vault.item_ids(&person.subject),
        })
    }

    /// The event of a row; none for a tombstone.
    fn event_of(&self, row: &Row) -> Result<Option<Event>, StoreError> {
        let Some(sealed) = &row.event_encrypted else { return Ok(None) };
        let name = format!("{}/{}", row.client_calendar_id, row.event_id);
        let place = Place { table: TABLE, column: "event_encrypted", row: &name };
        let bytes = open_sealed(&self.data_key, &place, sealed)?;
        stored::from_bytes(&bytes).map(Some).ok_or(StoreError::Format { table: TABLE })
    }
}

/// Events with marks of others that something of ours names as its origin: it took them for a person's while they had none.
async fn foreign_origins(
    transaction: &mut Transaction<'_, Sqlite>,
    user: UserId,
    observed: &BTreeMap<ItemKey, Vec<Observed>>,
    origins: &BTreeMap<CalendarId, BTreeMap<EventId, Family>>,
) -> Result<BTreeSet<(CalendarId, EventId)>, StoreError> {
    let unknown = |key: &&ItemKey| {
        let OriginKey { calendar, event, instance: _ } = &key.origin;
        event.as_str().len() >= EventId::OURS
            && !origins.get(calendar).is_some_and(|families| families.contains_key(event))
    };
    let named: Vec<&str> = observed.keys().filter(unknown).map(|key| key.origin.event.as_str()).collect();
    if named.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT google_calendar_id, event_id
         FROM mirror_events JOIN client_calendars ON client_calendars.id = client_calendar_id
         WHERE user_id = ? AND owner = 'foreign' AND standing <> 'left'
             AND event_id IN (SELECT value FROM json_each(?))",
    )
    .bind(user.0)
    .bind(json!(named).to_string())
    .fetch_all(&mut **transaction)
    .await
    .when("looking for marks of others")?;
    Ok(rows.into_iter().map(|(calendar, event)| (calendar.into(), event.into())).collect())
}

fn ours(target: &CalendarId, row: Row, event: Option<Event>) -> Option<(ItemKey, Observed)> {
    let found = provenance(
        target,
        row.item_origin_calendar_id,
        row.item_origin_event_id,
        row.item_slot,
        row.item_incarnation,
        row.item_in_series,
    )?;
    let state = match event {
        Some(event) => ObservedState::Live {
            digest: event.body.digest(),
            marked: event.marker.is_some() && event.tagged,
            etag: event.etag,
            body: event.body,
            updated: event.updated,
        },
        None => ObservedState::Gone { told: row.told == Some(true) },
    };
    let observed =
        Observed { event: row.event_id.into(), incarnation: found.incarnation, in_series: found.in_series, state };
    Some((found.key, observed))
}
