//! Mappings: what we last did about each item.

use std::collections::BTreeMap;

use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{Attempt, Store, StoreError, open_sealed};
use crate::{
    model::{
        body::Digest,
        event::{Change, OriginKey, Owner, Slot},
        id::UserId,
        item::{Face, ItemKey},
        mapping::{Mapping, Memory},
    },
    vault::{Place, Vault},
};

/// An item and what is to be remembered of it; none: nothing more.
pub type Note = (ItemKey, Face, Option<Mapping>);

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

    /// Stores what Google shows of an event of ours and what is to be remembered of its item, both or neither.
    pub async fn put_with_mapping(
        &self,
        number: i64,
        change: &Change,
        owner: &Owner,
        user: UserId,
        note: &Note,
    ) -> Result<(), StoreError> {
        let (key, face, mapping) = note;
        let mut transaction = self.write().await?;
        self.upsert(&mut transaction, number, &[(change.clone(), owner.clone())]).await?;
        self.note(&mut transaction, user, key, *face, mapping.as_ref()).await?;
        transaction.commit().await.when("storing an event of ours")
    }

    /// Notes that we have set out to delete these items' events.
    pub async fn mark_leaving(&self, user: UserId, keys: &[ItemKey]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for key in keys {
            let Names { target, calendar, event, slot } = names(key);
            sqlx::query(
                "UPDATE event_mappings SET memory = 'leaving', updated_at = ?6
                 WHERE user_id = ?1 AND target_google_calendar_id = ?2 AND origin_google_calendar_id = ?3
                     AND origin_event_id = ?4 AND slot = ?5",
            )
            .bind(user.0)
            .bind(target)
            .bind(calendar)
            .bind(event)
            .bind(slot)
            .bind(self.now())
            .execute(&mut *transaction)
            .await
            .when("noting a deletion to come")?;
        }
        transaction.commit().await.when("noting deletions to come")
    }

    /// All that is remembered for a user.
    #[cfg(test)]
    pub async fn mappings(&self, user: UserId) -> Result<BTreeMap<ItemKey, Mapping>, StoreError> {
        let mut connection = self.reader.acquire().await.when("reading what is remembered")?;
        all(&mut connection, &self.vault, user).await
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
        let Some(Mapping { event, incarnation, applied, shown, memory, alone }) = mapping else {
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
        let digests = self.vault.seal(&place, &[applied.0, shown.0].concat());
        sqlx::query(
            "INSERT INTO event_mappings (user_id, target_google_calendar_id, origin_google_calendar_id, origin_event_id,
                 slot, face, event_id, incarnation, digests_encrypted, memory, alone, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)
             ON CONFLICT DO UPDATE SET face = excluded.face, event_id = excluded.event_id,
                 incarnation = excluded.incarnation, digests_encrypted = excluded.digests_encrypted,
                 memory = excluded.memory, alone = excluded.alone, updated_at = excluded.updated_at",
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
    vault: &Vault,
    user: UserId,
) -> Result<BTreeMap<ItemKey, Mapping>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT target_google_calendar_id, origin_google_calendar_id, origin_event_id, slot, event_id, incarnation,
             digests_encrypted, memory, alone
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
            } = row;
            let format = || StoreError::Format { table: TABLE };
            let instance = match slot.as_str() {
                "" => None,
                stamp => Some(Slot::from_stamp(stamp).ok_or_else(format)?),
            };
            let origin =
                OriginKey { calendar: origin_google_calendar_id.into(), event: origin_event_id.into(), instance };
            let key = ItemKey { target: target_google_calendar_id.into(), origin };
            let name = row_name(user, &key);
            let place = Place { table: TABLE, column: "digests_encrypted", row: &name };
            let digests = open_sealed(vault, &place, &digests_encrypted)?;
            let (applied, shown) = digests.split_at_checked(16).ok_or_else(format)?;
            let digest = |bytes: &[u8]| bytes.try_into().map(Digest).map_err(|_| format());
            let mapping = Mapping {
                event: event_id.into(),
                incarnation,
                applied: digest(applied)?,
                shown: digest(shown)?,
                memory: memory_of(&memory).ok_or_else(format)?,
                alone,
            };
            Ok((key, mapping))
        })
        .collect()
}

/// A key as the columns hold it.
struct Names<'a> {
    target: &'a str,
    calendar: &'a str,
    event: &'a str,
    slot: String,
}

fn names(key: &ItemKey) -> Names<'_> {
    let ItemKey { target, origin: OriginKey { calendar, event, instance } } = key;
    Names {
        target: target.as_str(),
        calendar: calendar.as_str(),
        event: event.as_str(),
        slot: instance.map(|slot| slot.stamp()).unwrap_or_default(),
    }
}

/// What a sealed value of the row is bound to. Lengths stand before the ids, so that no two rows share a name.
fn row_name(user: UserId, key: &ItemKey) -> String {
    let Names { target, calendar, event, slot } = names(key);
    format!("{user}/{}:{target}/{}:{calendar}/{}:{event}/{slot}", target.len(), calendar.len(), event.len())
}

fn memory_word(memory: Memory) -> &'static str {
    match memory {
        Memory::Kept => "kept",
        Memory::Leaving => "leaving",
        Memory::Dismissed => "dismissed",
    }
}

fn memory_of(word: &str) -> Option<Memory> {
    [Memory::Kept, Memory::Leaving, Memory::Dismissed].into_iter().find(|memory| memory_word(*memory) == word)
}
