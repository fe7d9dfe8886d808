//! Plans of the past as they were decided, with what came of each step: the journal read back for people.

use serde_json::Value;

use super::{Attempt, Store, StoreError, instant, open_sealed, stored::StoredWhen};
use crate::{
    model::{
        body::Field,
        id::UserId,
        item::Face,
        plan::{ActionKind, HeldReason, Reason},
        run::{PastOutcome, PastPlan, PastStep},
    },
    vault::Place,
};

/// A row of `plan_steps`: number, step, outcome, its reason, what Google said.
type Row = (i64, Vec<u8>, Option<String>, Option<String>, Option<Vec<u8>>);

impl Store {
    /// A plan of the past; none if there is none of this number, or it was forgotten.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if it was sealed with other keys.
    pub async fn past_plan(&self, number: i64) -> Result<Option<PastPlan>, StoreError> {
        let mut transaction = self.read().await?;
        let head: Option<(i64, String, Option<i64>, Vec<u8>)> =
            sqlx::query_as("SELECT user_id, planned_at, undoes, plan_encrypted FROM plans WHERE id = ?")
                .bind(number)
                .fetch_optional(&mut *transaction)
                .await
                .when("reading a plan of the past")?;
        let Some((user, at, undoes, sealed)) = head else { return Ok(None) };
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT number, step_encrypted, outcome, outcome_reason, message_encrypted FROM plan_steps
             WHERE plan_id = ? ORDER BY number",
        )
        .bind(number)
        .fetch_all(&mut *transaction)
        .await
        .when("reading the steps of a plan of the past")?;
        let row = number.to_string();
        let head =
            open_sealed(&self.data_key, &Place { table: "plans", column: "plan_encrypted", row: &row }, &sealed)?;
        let format = || StoreError::Format { table: "plans" };
        let head: Value = serde_json::from_slice(&head).map_err(|_| format())?;
        let steps = rows.into_iter().map(|row| self.past_step(number, row)).collect::<Result<_, _>>()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |name: &str| head[name].as_array().cloned().unwrap_or_default();
        let held = list("held").into_iter().map(|held| {
            let reason = HeldReason::from_word(held["reason"].as_str()?)?;
            let kind = ActionKind::from_word(held["step"]["action"].as_str()?)?;
            let at = if kind.is_at_origin() { &held["step"]["origin"]["calendar"] } else { &held["step"]["target"] };
            Some((reason, text(at).into()))
        });
        Ok(Some(PastPlan {
            number,
            user: UserId(user),
            at: instant("plans", &at)?,
            undoes,
            zone: text(&head["zone"]),
            names: head["calendars"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(id, n)| (id.clone().into(), text(n)))
                .collect(),
            unreadable: list("unreadable").iter().map(|one| (text(&one["calendar"]), text(&one["why"]))).collect(),
            held: held.collect::<Option<_>>().ok_or_else(format)?,
            steps,
        }))
    }

    fn past_step(&self, plan: i64, row: Row) -> Result<PastStep, StoreError> {
        let (number, sealed, outcome, why, message) = row;
        let row = format!("{plan}/{number}");
        let open = |column, sealed: &[u8]| {
            open_sealed(&self.data_key, &Place { table: "plan_steps", column, row: &row }, sealed)
        };
        let format = || StoreError::Format { table: "plan_steps" };
        let json: Value = serde_json::from_slice(&open("step_encrypted", &sealed)?).map_err(|_| format())?;
        let message = message.map(|sealed| open("message_encrypted", &sealed)).transpose()?;
        let why = why.unwrap_or_default().replace('-', " ");
        let outcome = match outcome.as_deref() {
            None => None,
            Some("done") => Some(PastOutcome::Done),
            Some("skipped") => Some(PastOutcome::Skipped(why)),
            Some("failed") => Some(PastOutcome::Failed {
                class: why,
                message: message.and_then(|bytes| String::from_utf8(bytes).ok()),
            }),
            Some(_) => return Err(format()),
        };
        past(&json, outcome).ok_or_else(format)
    }
}

fn past(step: &Value, outcome: Option<PastOutcome>) -> Option<PastStep> {
    let when = match &step["when"] {
        Value::Null => None,
        when => Some(serde_json::from_value::<StoredWhen>(when.clone()).ok()?.into()),
    };
    let field = |word: &Value| Field::ALL.into_iter().find(|field| Some(field.word()) == word.as_str());
    Some(PastStep {
        kind: ActionKind::from_word(step["action"].as_str()?)?,
        face: Face::from_word(step["face"].as_str()?)?,
        target: step["target"].as_str()?.to_owned().into(),
        origin: step["origin"]["calendar"].as_str()?.to_owned().into(),
        when,
        title: step["title"].as_str().map(str::to_owned),
        repeats: step["to"]["recurrence"].as_array().is_some_and(|lines| !lines.is_empty()),
        changed: step["changed"].as_array().into_iter().flatten().map(field).collect::<Option<_>>()?,
        reason: Reason::from_word(step["reason"].as_str()?)?,
        outcome,
    })
}
