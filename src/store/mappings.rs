//! Mappings: what we last did about each item.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{Attempt, Store, StoreError, instant, mirror::Told, open_sealed, stamp, wishes};
use crate::{
    model::{
        body::Digest,
        event::{Change, OriginKey, Owner, Slot},
        id::UserId,
        item::{Face, ItemKey},
        mapping::{Mapping, Memory},
        plan::Effect,
    },
    vault::{DataKey, Place},
};

/// An item and what is to be remembered of it; none: nothing more.
pub type Note = (ItemKey, Face, Option<Mapping>);

/// What came of one step.
pub struct Carried<'a> {
    /// The number of the calendar that was written.
    pub calendar: i64,
    /// What it shows now; none if nothing is known.
    pub change: Option<(&'a Change, &'a Owner)>,
    /// None: what is remembered stays.
    pub note: Option<&'a Note>,
    /// The journal's number of the plan, and the step's place in it.
    pub plan: i64,
    pub step: usize,
    pub effect: &'a Effect,
}

#[derive(sqlx::FromRow)]
struct Row {
    target_google_calendar_id: String,
    origin_google_calendar_id: String,
    origin_event_id: String,
    slot: String,
    event_id: String,
    incarnation: u32,
    digests_encrypted: Vec<u8>,
    memory: String,
    alone: bool,
    restored_at: String,
    created_at: String,
}

const TABLE: &str = "event_mappings";

impl Store {
    /// Remembers, and forgets, all at once.
    pub async fn remember(&self, user: UserId, notes: &[Note]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for (key, face, mapping) in notes {
            self.note(&mut transaction, user, key, *face, mapping.as_ref()).await?;
        }
        transaction.commit().await.when("remembering items")
    }

    /// Stores what came of one step: what Google shows now, what is to be remembered of its item, and the journal's entry; all
    /// or nothing. An earlier refusal of the item's steps is forgotten.
    pub async fn carried_out(&self, user: UserId, key: &ItemKey, carried: Carried<'_>) -> Result<(), StoreError> {
        let Carried { calendar, change, note, plan, step, effect } = carried;
        let mut transaction = self.write().await?;
        if let Some((change, owner)) = change {
            self.upsert(&mut transaction, calendar, &[(change.clone(), owner.clone())], Told::Alone).await?;
        }
        if let Some((key, face, mapping)) = note {
            self.note(&mut transaction, user, key, *face, mapping.as_ref()).await?;
        }
        wishes::accepted(&mut transaction, user, key).await?;
        self.record_effect(&mut transaction, plan, step, effect).await?;
        transaction.commit().await.when("storing what came of a step")
    }

    /// What is missing now may be missing by our own doing that this database never heard of, as when an old copy of it was put
    /// back: nobody's meeting goes because its copy is gone. What is found to be there is remembered as before.
    pub async fn expect_absences(&self) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE event_mappings SET memory = 'leaving' WHERE memory = 'kept'")
            .execute(&mut *transaction)
            .await
            .when("noting that items may be missing")?;
        transaction.commit().await.when("noting that items may be missing")
    }

    /// All that is remembered for a user.
    #[cfg(test)]
    pub async fn mappings(&self, user: UserId) -> Result<BTreeMap<ItemKey, Mapping>, StoreError> {
        let mut connection = self.reader.acquire().await.when("reading what is remembered")?;
        all(&mut connection, &self.data_key, user).await
    }

    async fn note(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        user: UserId,
        key: &ItemKey,
        face: Face,
        mapping: Option<&Mapping>,
    ) -> Result<(), StoreError> {
        let Names { target, calendar, event: origin, slot } = names(key);
        let Some(Mapping { event, incarnation, applied, shown, memory, alone, restored, since: _ }) = mapping else {
            sqlx::query(
                "DELETE FROM event_mappings WHERE user_id = ? AND target_google_calendar_id = ?
                     AND origin_google_calendar_id = ? AND origin_event_id = ? AND slot = ?",
            )
            .bind(user.0)
            .bind(target)
            .bind(calendar)
            .bind(origin)
            .bind(slot)
            .execute(&mut **transaction)
            .await
            .when("forgetting an item")?;
            return Ok(());
        };
        let row = row_name(user, key);
        let place = Place { table: TABLE, column: "digests_encrypted", row: &row };
        let digests = self.data_key.seal(&place, &[applied.to_bytes(), shown.to_bytes()].concat());
        let restored: Vec<String> = restored.iter().map(|at| stamp(*at)).collect();
        sqlx::query(
            "INSERT INTO event_mappings (user_id, target_google_calendar_id, origin_google_calendar_id, origin_event_id,
                 slot, face, event_id, incarnation, digests_encrypted, memory, alone, restored_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)
             ON CONFLICT DO UPDATE SET face = excluded.face, event_id = excluded.event_id,
                 incarnation = excluded.incarnation, digests_encrypted = excluded.digests_encrypted,
                 memory = excluded.memory, alone = excluded.alone, restored_at = excluded.restored_at,
                 updated_at = excluded.updated_at",
        )
        .bind(user.0)
        .bind(target)
        .bind(calendar)
        .bind(origin)
        .bind(slot)
        .bind(face.word())
        .bind(event.as_str())
        .bind(incarnation)
        .bind(digests)
        .bind(memory_word(*memory))
        .bind(alone)
        .bind(json!(restored).to_string())
        .bind(self.now())
        .execute(&mut **transaction)
        .await
        .when("remembering an item")?;
        Ok(())
    }
}

/// All that is remembered for a user, in a transaction of the caller's.
pub(super) async fn all(
    connection: &mut SqliteConnection,
    data_key: &DataKey,
    user: UserId,
) -> Result<BTreeMap<ItemKey, Mapping>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT target_google_calendar_id, origin_google_calendar_id, origin_event_id, slot, event_id, incarnation,
             digests_encrypted, memory, alone, restored_at, created_at
         FROM event_mappings WHERE user_id = ?",
    )
    .bind(user.0)
    .fetch_all(connection)
    .await
    .when("reading what is remembered")?;
    rows.into_iter()
        .map(|row| {
            let Row {
                target_google_calendar_id,
                origin_google_calendar_id,
                origin_event_id,
                slot,
                event_id,
                incarnation,
                digests_encrypted,
                memory,
                alone,
                restored_at,
                created_at,
            } = row;
            let format = || StoreError::Format { table: TABLE };
            let key = key_of(target_google_calendar_id, origin_google_calendar_id, origin_event_id, &slot)
                .ok_or_else(format)?;
            let name = row_name(user, &key);
            let place = Place { table: TABLE, column: "digests_encrypted", row: &name };
            let digests = open_sealed(data_key, &place, &digests_encrypted)?;
            let (applied, shown) = digests.split_at_checked(Digest::LENGTH).ok_or_else(format)?;
            let digest = |bytes: &[u8]| Digest::from_bytes(bytes).ok_or_else(format);
            let restored: Vec<String> = serde_json::from_str(&restored_at).map_err(|_| format())?;
            let mapping = Mapping {
                event: event_id.into(),
                incarnation,
                applied: digest(applied)?,
                shown: digest(shown)?,
                memory: memory_of(&memory).ok_or_else(format)?,
                alone,
                restored: restored.iter().map(|at| instant(TABLE, at)).collect::<Result<_, _>>()?,
                since: instant(TABLE, &created_at)?,
            };
            Ok((key, mapping))
        })
        .collect()
}

/// A key as the columns hold it.
pub(super) struct Names<'a> {
    pub target: &'a str,
    pub calendar: &'a str,
    pub event: &'a str,
    /// Empty for a single event or a series.
    pub slot: String,
}

/// The key of columns; none if the slot makes no sense.
pub(super) fn key_of(target: String, calendar: String, event: String, slot: &str) -> Option<ItemKey> {
    let instance = if slot.is_empty() { None } else { Some(Slot::from_stamp(slot)?) };
    let origin = OriginKey { calendar: calendar.into(), event: event.into(), instance };
    Some(ItemKey { target: target.into(), origin })
}

pub(super) fn names(key: &ItemKey) -> Names<'_> {
    let ItemKey { target, origin: OriginKey { calendar, event, instance } } = key;
    Names {
        target: target.as_str(),
        calendar: calendar.as_str(),
        event: event.as_str(),
        slot: instance.map(|slot| slot.stamp()).unwrap_or_default(),
    }
}

/// What a sealed value of the row is bound to. Lengths stand before the ids, so that no two rows share a name.
pub(super) fn row_name(user: UserId, key: &ItemKey) -> String {
    let Names { target, calendar, event, slot } = names(key);
    format!("{user}/{}:{target}/{}:{calendar}/{}:{event}/{slot}", target.len(), calendar.len(), event.len())
}

fn memory_word(memory: Memory) -> &'static str {
    match memory {
        Memory::Kept => "kept",
        Memory::Leaving => "leaving",
        Memory::Dismissed => "dismissed",
        Memory::Undone => "undone",
    }
}

/// Of a calendar that is to be left: what goes from it and from others is our own doing, also when the person changes their mind
/// before it is noted.
pub(super) async fn leaves(transaction: &mut Transaction<'_, Sqlite>, number: i64) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE event_mappings SET memory = 'leaving'
         FROM client_calendars AS left
         WHERE left.id = ? AND event_mappings.user_id = left.user_id AND memory = 'kept'
             AND left.google_calendar_id IN (target_google_calendar_id, origin_google_calendar_id)",
    )
    .bind(number)
    .execute(&mut **transaction)
    .await
    .when("noting what is to go")?;
    Ok(())
}

fn memory_of(word: &str) -> Option<Memory> {
    [Memory::Kept, Memory::Leaving, Memory::Dismissed, Memory::Undone]
        .into_iter()
        .find(|memory| memory_word(*memory) == word)
}
