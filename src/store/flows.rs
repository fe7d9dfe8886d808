//! Flows that a person declared.

use chrono::{NaiveTime, Weekday};
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use super::{
    Attempt, Store, StoreError, open_sealed,
    stored::{kind, kind_word, visibility, visibility_word},
};
use crate::{
    model::{
        flow::{CustomFlow, Filter, Shape, State},
        id::{CalendarId, UserId},
        item::Face,
    },
    vault::{DataKey, Place},
};

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_guests: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_guests: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    states: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kinds: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weekdays: Option<Vec<Weekday>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hours: Option<(NaiveTime, NaiveTime)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    colour: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    visibility: Option<String>,
    #[serde(default)]
    before: u16,
    #[serde(default)]
    after: u16,
    #[serde(default)]
    skip_if_covered: bool,
}

const TABLE: &str = "flows";

impl Store {
    /// Declares a flow, in the place of the one before between the same calendars.
    pub async fn set_flow(&self, user: UserId, flow: &CustomFlow) -> Result<(), StoreError> {
        let CustomFlow { source, target, face, filter, shape } = flow;
        let row = row_name(user, source, target);
        let place = Place { table: TABLE, column: "rules_encrypted", row: &row };
        let json = serde_json::to_vec(&stored(filter, shape)).expect("a struct of text and numbers is JSON");
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO flows (user_id, source_google_calendar_id, target_google_calendar_id, face, rules_encrypted,
                 created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT DO UPDATE SET face = excluded.face, rules_encrypted = excluded.rules_encrypted,
                 updated_at = excluded.updated_at",
        )
        .bind(user.0)
        .bind(source.as_str())
        .bind(target.as_str())
        .bind(face.map(Face::word))
        .bind(self.data_key.seal(&place, &json))
        .bind(self.now())
        .execute(&mut *transaction)
        .await
        .when("declaring a flow")?;
        Store::turn_generation(&mut transaction, user).await?;
        transaction.commit().await.when("declaring a flow")
    }

    /// Takes a declared flow back: the usual one counts again. Says whether there was one.
    pub async fn drop_flow(&self, user: UserId, source: &CalendarId, target: &CalendarId) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let dropped = sqlx::query(
            "DELETE FROM flows WHERE user_id = ? AND source_google_calendar_id = ? AND target_google_calendar_id = ?",
        )
        .bind(user.0)
        .bind(source.as_str())
        .bind(target.as_str())
        .execute(&mut *transaction)
        .await
        .when("taking a flow back")?
        .rows_affected();
        if dropped > 0 {
            Store::turn_generation(&mut transaction, user).await?;
        }
        transaction.commit().await.when("taking a flow back")?;
        Ok(dropped > 0)
    }
}

/// The declared flows of a user, in a transaction of the caller's.
pub(super) async fn all(
    connection: &mut SqliteConnection,
    data_key: &DataKey,
    user: UserId,
) -> Result<Vec<CustomFlow>, StoreError> {
    let rows: Vec<(String, String, Option<String>, Vec<u8>)> = sqlx::query_as(
        "SELECT source_google_calendar_id, target_google_calendar_id, face, rules_encrypted FROM flows
         WHERE user_id = ? ORDER BY source_google_calendar_id, target_google_calendar_id",
    )
    .bind(user.0)
    .fetch_all(connection)
    .await
    .when("reading flows")?;
    rows.into_iter()
        .map(|(source, target, face, sealed)| {
            let (source, target) = (CalendarId::from(source), CalendarId::from(target));
            let row = row_name(user, &source, &target);
            let place = Place { table: TABLE, column: "rules_encrypted", row: &row };
            let format = || StoreError::Format { table: TABLE };
            let stored: Stored =
                serde_json::from_slice(&open_sealed(data_key, &place, &sealed)?).map_err(|_| format())?;
            let (filter, shape) = rules(stored).ok_or_else(format)?;
            let face = match face {
                Some(word) => Some(Face::from_word(&word).ok_or_else(format)?),
                None => None,
            };
            Ok(CustomFlow { source, target, face, filter, shape })
        })
        .collect()
}

fn row_name(user: UserId, source: &CalendarId, target: &CalendarId) -> String {
    format!("{user}/{}:{}/{}", source.as_str().len(), source.as_str(), target.as_str())
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Firm => "firm",
        State::Tentative => "tentative",
        State::Unanswered => "unanswered",
    }
}

fn state(word: &str) -> Option<State> {
    [State::Firm, State::Tentative, State::Unanswered].into_iter().find(|state| state_word(*state) == word)
}

fn stored(filter: &Filter, shape: &Shape) -> Stored {
    let Filter { min_guests, max_guests, states, kinds, title, not_title, weekdays, hours } = filter.clone();
    let Shape { title: words, prefix, colour, visibility, before, after, skip_if_covered } = shape.clone();
    Stored {
        min_guests,
        max_guests,
        states: states.map(|states| states.into_iter().map(|s| state_word(s).to_owned()).collect()),
        kinds: kinds.map(|kinds| kinds.into_iter().map(|k| kind_word(k).to_owned()).collect()),
        title,
        not_title,
        weekdays,
        hours,
        words,
        prefix,
        colour,
        visibility: visibility.map(|v| visibility_word(v).to_owned()),
        before,
        after,
        skip_if_covered,
    }
}

fn rules(stored: Stored) -> Option<(Filter, Shape)> {
    let Stored {
        min_guests,
        max_guests,
        states,
        kinds,
        title,
        not_title,
        weekdays,
        hours,
        words,
        prefix,
        colour,
        visibility: sight,
        before,
        after,
        skip_if_covered,
    } = stored;
    let states = match states {
        Some(words) => Some(words.iter().map(|word| state(word)).collect::<Option<Vec<_>>>()?),
        None => None,
    };
    let kinds = match kinds {
        Some(words) => Some(words.iter().map(|word| kind(word)).collect::<Option<Vec<_>>>()?),
        None => None,
    };
    let visibility = match sight {
        Some(word) => Some(visibility(&word)?),
        None => None,
    };
    Some((
        Filter { min_guests, max_guests, states, kinds, title, not_title, weekdays, hours },
        Shape { title: words, prefix, colour, visibility, before, after, skip_if_covered },
    ))
}
