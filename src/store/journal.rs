//! The journal: what was decided and what came of it. Owns the stored format of plans, which `plan --json` prints.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};

use super::{
    Attempt, Store, StoreError, instant,
    mappings::key_of,
    open_sealed, people, stamp,
    stored::{StoredBody, StoredWhen},
};
use crate::{
    model::{
        body::Field,
        calendar::Why,
        id::UserId,
        item::Face,
        plan::{Action, Effect, ErrorClass, Held, Outcome, Plan, Skip, Step},
        run::{Deed, Done, Run, RunLine, Written},
    },
    vault::Place,
};

/// One line of the sync log.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub action: String,
    /// `success`, `failure` or `warning`.
    pub status: String,
    /// JSON, without titles or addresses.
    pub details: String,
    /// RFC 3339, UTC.
    pub at: String,
}

impl Store {
    /// Writes a plan down before it is carried out; gives its number. An empty plan is not worth a row: an idle tick writes
    /// nothing. `undoes` is the run that it takes back.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUser`] if the user was removed meanwhile.
    pub async fn record_plan(&self, plan: &Plan, undoes: Option<i64>) -> Result<i64, StoreError> {
        let mut transaction = self.write().await?;
        let person = people::one(&mut transaction, plan.user).await?.ok_or(StoreError::NoSuchUser)?;
        let ids = self.vault.item_ids(&person.subject);
        // The number comes first, because what is sealed is bound to it.
        let number: i64 = sqlx::query_scalar(
            "INSERT INTO plans (user_id, planned_at, steps, held, undoes, plan_encrypted) VALUES (?, ?, ?, ?, ?, x'')
             RETURNING id",
        )
        .bind(plan.user.0)
        .bind(stamp(plan.at))
        .bind(i64::try_from(plan.steps.len()).unwrap_or(i64::MAX))
        .bind(i64::try_from(plan.held.len()).unwrap_or(i64::MAX))
        .bind(undoes)
        .fetch_one(&mut *transaction)
        .await
        .when("writing a plan down")?;
        let row = number.to_string();
        let place = Place { table: "plans", column: "plan_encrypted", row: &row };
        let head = self.data_key.seal(&place, head_json(plan, true).to_string().as_bytes());
        sqlx::query("UPDATE plans SET plan_encrypted = ? WHERE id = ?")
            .bind(head)
            .bind(number)
            .execute(&mut *transaction)
            .await
            .when("writing a plan down")?;
        let steps: Vec<Value> = plan
            .steps
            .iter()
            .enumerate()
            .map(|(n, step)| {
                let row = format!("{number}/{n}");
                let place = Place { table: "plan_steps", column: "step_encrypted", row: &row };
                let sealed = self.data_key.seal(&place, step_json(step, true).to_string().as_bytes());
                json!({
                    "n": n,
                    "action": step.action.word(),
                    "item": ids.item_id(&step.key),
                    "step": data_encoding::HEXLOWER.encode(&sealed),
                })
            })
            .collect();
        for lot in steps.chunks(500) {
            sqlx::query(
                "INSERT INTO plan_steps (plan_id, number, action, item, step_encrypted)
                 SELECT ?1, value ->> 'n', value ->> 'action', value ->> 'item', unhex(value ->> 'step')
                 FROM json_each(?2)",
            )
            .bind(number)
            .bind(json!(lot).to_string())
            .execute(&mut *transaction)
            .await
            .when("writing a plan's steps down")?;
        }
        transaction.commit().await.when("writing a plan down")?;
        Ok(number)
    }

    /// Notes how steps of a plan went that changed nothing at Google, by their place in it.
    pub async fn record_outcomes(&self, plan: i64, outcomes: &[(usize, Outcome)]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let rows: Vec<Value> = outcomes
            .iter()
            .map(|(n, outcome)| {
                let (word, reason, message) = match outcome {
                    Outcome::Done => ("done", None, None),
                    Outcome::Skipped(skip) => ("skipped", Some(skip_word(*skip)), None),
                    Outcome::Failed { class, message } => ("failed", Some(class_word(*class)), Some(message)),
                };
                let row = format!("{plan}/{n}");
                let place = Place { table: "plan_steps", column: "message_encrypted", row: &row };
                let message =
                    message.map(|m| data_encoding::HEXLOWER.encode(&self.data_key.seal(&place, m.as_bytes())));
                json!({"n": n, "outcome": word, "reason": reason, "message": message})
            })
            .collect();
        let mut transaction = self.write().await?;
        sqlx::query(
            "UPDATE plan_steps SET outcome = told.value ->> 'outcome', outcome_reason = told.value ->> 'reason',
                 message_encrypted = unhex(told.value ->> 'message'), outcome_at = ?3
             FROM json_each(?2) AS told WHERE plan_id = ?1 AND number = told.value ->> 'n'",
        )
        .bind(plan)
        .bind(json!(rows).to_string())
        .bind(self.now())
        .execute(&mut *transaction)
        .await
        .when("noting how a plan went")?;
        transaction.commit().await.when("noting how a plan went")
    }

    /// Notes that a step was carried out and what it changed, in a transaction of the caller's.
    pub(super) async fn record_effect(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        plan: i64,
        step: usize,
        effect: &Effect,
    ) -> Result<(), StoreError> {
        let row = format!("{plan}/{step}");
        let place = Place { table: "plan_steps", column: "effect_encrypted", row: &row };
        let Effect { before, after } = effect;
        let body = |body: &Option<_>| body.as_ref().map(StoredBody::from);
        let json = json!({"before": body(before), "after": body(after)}).to_string();
        sqlx::query(
            "UPDATE plan_steps SET outcome = 'done', effect_encrypted = ?3, outcome_at = ?4
             WHERE plan_id = ?1 AND number = ?2",
        )
        .bind(plan)
        .bind(i64::try_from(step).unwrap_or(i64::MAX))
        .bind(self.data_key.seal(&place, json.as_bytes()))
        .bind(self.now())
        .execute(&mut **transaction)
        .await
        .when("noting what a step changed")?;
        Ok(())
    }

    /// A run of the past, with what each of its steps changed at Google; none if there is none of this number.
    pub async fn run(&self, number: i64) -> Result<Option<Run>, StoreError> {
        let mut transaction = self.read().await?;
        let head: Option<(i64, String, Option<i64>)> =
            sqlx::query_as("SELECT user_id, planned_at, undoes FROM plans WHERE id = ?")
                .bind(number)
                .fetch_optional(&mut *transaction)
                .await
                .when("reading a run")?;
        let Some((user, at, undoes)) = head else { return Ok(None) };
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT number, step_encrypted, effect_encrypted FROM plan_steps
             WHERE plan_id = ? AND outcome = 'done' AND effect_encrypted IS NOT NULL ORDER BY number",
        )
        .bind(number)
        .fetch_all(&mut *transaction)
        .await
        .when("reading a run")?;
        let done = rows
            .iter()
            .map(|(step, sealed, effect)| {
                let row = format!("{number}/{step}");
                let step = self.open_json("step_encrypted", &row, sealed)?;
                let effect = self.open_json("effect_encrypted", &row, effect)?;
                done(&step, &effect).ok_or(StoreError::Format { table: "plan_steps" })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Run { number, user: UserId(user), at: instant("plans", &at)?, undoes, done }))
    }

    /// The newest runs of a user that changed something at Google, newest first.
    pub async fn runs(&self, user: UserId, limit: usize) -> Result<Vec<RunLine>, StoreError> {
        let rows: Vec<(i64, String, Option<i64>, u32)> = sqlx::query_as(
            "SELECT id, planned_at, undoes, (SELECT count(*) FROM plan_steps WHERE plan_id = plans.id
                 AND outcome = 'done' AND effect_encrypted IS NOT NULL) AS done
             FROM plans WHERE user_id = ? AND done > 0 ORDER BY id DESC LIMIT ?",
        )
        .bind(user.0)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await
        .when("listing runs")?;
        rows.into_iter()
            .map(|(number, at, undoes, done)| Ok(RunLine { number, at: instant("plans", &at)?, undoes, done }))
            .collect()
    }

    /// What was done about an item, newest first: its keyed hash names it.
    pub async fn writes_of(&self, item: &str, limit: usize) -> Result<Vec<Written>, StoreError> {
        let rows: Vec<(i64, i64, String, Vec<u8>, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT plan_id, number, action, step_encrypted, outcome, outcome_at FROM plan_steps WHERE item = ?
             ORDER BY plan_id DESC, number DESC LIMIT ?",
        )
        .bind(item)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await
        .when("reading what was done about an item")?;
        rows.into_iter()
            .map(|(run, number, action, sealed, outcome, at)| {
                let step = self.open_json("step_encrypted", &format!("{run}/{number}"), &sealed)?;
                let reason = step["reason"].as_str().ok_or(StoreError::Format { table: "plan_steps" })?.to_owned();
                let at = at.map(|at| instant("plan_steps", &at)).transpose()?;
                Ok(Written { run, at, action, reason, outcome })
            })
            .collect()
    }

    fn open_json(&self, column: &'static str, row: &str, sealed: &[u8]) -> Result<Value, StoreError> {
        let place = Place { table: "plan_steps", column, row };
        let bytes = open_sealed(&self.data_key, &place, sealed)?;
        serde_json::from_slice(&bytes).map_err(|_| StoreError::Format { table: "plan_steps" })
    }

    /// The stored format of a plan. Titles only when asked for: whoever is not the owner does not see them.
    pub fn plan_json(&self, plan: &Plan, titles: bool) -> Value {
        let mut json = head_json(plan, titles);
        json["steps"] = plan.steps.iter().map(|step| step_json(step, titles)).collect();
        json
    }

    /// Adds a line to the sync log. `details` are numbers by name: no titles, addresses or tokens.
    pub async fn log(
        &self,
        user: UserId,
        calendar: Option<i64>,
        action: &str,
        status: &str,
        details: &[(&str, usize)],
    ) -> Result<(), StoreError> {
        self.pass().await;
        let details: BTreeMap<&str, usize> = details.iter().copied().collect();
        sqlx::query(
            "INSERT INTO sync_log (user_id, calendar_id, action, status, details, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(user.0)
        .bind(calendar)
        .bind(action)
        .bind(status)
        .bind(json!(details).to_string())
        .bind(self.now())
        .execute(&self.writer)
        .await
        .when("writing to the log")?;
        Ok(())
    }

    /// The newest lines of a user's log, newest first.
    #[cfg(test)]
    pub async fn recent_log(&self, user: UserId, limit: usize) -> Result<Vec<LogLine>, StoreError> {
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "SELECT action, status, details, created_at FROM sync_log WHERE user_id = ? ORDER BY id DESC LIMIT ?",
        )
        .bind(user.0)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await
        .when("reading the log")?;
        Ok(rows.into_iter().map(|(action, status, details, at)| LogLine { action, status, details, at }).collect())
    }
}

fn head_json(plan: &Plan, titles: bool) -> Value {
    let Plan { user, email, at, names, zone, unreadable, steps: _, held, in_sync } = plan;
    json!({
        "user": user.0,
        "email": email,
        "at": stamp(*at),
        "zone": zone,
        "calendars": names.iter().map(|(id, name)| (id.as_str(), name)).collect::<std::collections::BTreeMap<_, _>>(),
        "unreadable": unreadable
            .iter()
            .map(|u| json!({"calendar": u.calendar, "why": u.why.map_or("never read", Why::sentence)}))
            .collect::<Vec<_>>(),
        "held": held
            .iter()
            .map(|Held { step, reason }| json!({"reason": reason.word(), "step": step_json(step, titles)}))
            .collect::<Vec<_>>(),
        "in_sync": in_sync,
    })
}

fn step_json(step: &Step, titles: bool) -> Value {
    let Step { key, face, action, reason, beside, when, title, undone: _ } = step;
    let mut json = json!({
        "target": key.target.as_str(),
        "origin": {
            "calendar": key.origin.calendar.as_str(),
            "event": key.origin.event.as_str(),
            "slot": key.origin.instance.map(|slot| slot.stamp()),
        },
        "face": face.word(),
        "action": action.word(),
        "reason": reason.word(),
        "beside": beside,
        "when": when.as_ref().map(StoredWhen::from),
    });
    if titles {
        json["title"] = json!(title);
    }
    match action {
        Action::Create { event, incarnation, body } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
            if titles {
                json["to"] = json!(StoredBody::from(body));
            }
        }
        Action::Update { event, etag, incarnation, from, to } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
            json["etag"] = json!(etag.as_str());
            json["changed"] = json!(words(&to.changed(from)));
            if titles {
                json["from"] = json!(StoredBody::from(from));
                json["to"] = json!(StoredBody::from(to));
            }
        }
        Action::Amend { event, incarnation, to } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
            if titles {
                json["to"] = json!(StoredBody::from(to));
            }
        }
        Action::Delete { event, etag, incarnation, from } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
            json["etag"] = json!(etag.as_str());
            if titles {
                json["from"] = json!(StoredBody::from(&**from));
            }
        }
        Action::WriteBack { event, etag, incarnation, fields, from, to, seen: _ } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
            json["etag"] = json!(etag.as_ref().map(|etag| etag.as_str()));
            json["changed"] = json!(words(fields));
            if titles {
                json["from"] = json!(StoredBody::from(&**from));
                json["to"] = json!(StoredBody::from(&**to));
            }
        }
        Action::Respond { event, etag, incarnation, from, to, seen: _ } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
            json["etag"] = json!(etag.as_ref().map(|etag| etag.as_str()));
            json["from_answer"] = json!(from.map(|answer| answer.word()));
            json["to_answer"] = json!(to.word());
        }
        Action::Restore { event, incarnation, body } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
            if titles {
                json["to"] = json!(StoredBody::from(&**body));
            }
        }
        Action::Withdraw { event, etag, incarnation } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
            json["etag"] = json!(etag.as_ref().map(|etag| etag.as_str()));
        }
        Action::Cancel { event, incarnation }
        | Action::Doubt { event, incarnation }
        | Action::Adopt { event, incarnation, applied: _, shown: _ }
        | Action::Dismiss { event, incarnation } => {
            json["event"] = json!(event.as_str());
            json["incarnation"] = json!(incarnation);
        }
        Action::Forget => {}
    }
    json
}

/// A step of the past.
fn done(step: &Value, effect: &Value) -> Option<Done> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let origin = &step["origin"];
    let slot = origin["slot"].as_str().unwrap_or_default();
    let key = key_of(text(&step["target"])?, text(&origin["calendar"])?, text(&origin["event"])?, slot)?;
    let body = |value: &Value| match value {
        Value::Null => Some(None),
        value => serde_json::from_value::<StoredBody>(value.clone()).ok()?.into_model().map(Some),
    };
    let fields = || -> Option<Vec<Field>> {
        let words = step["changed"].as_array()?;
        words.iter().map(|word| Field::ALL.into_iter().find(|field| Some(field.word()) == word.as_str())).collect()
    };
    let deed = match step["action"].as_str()? {
        "create" | "update" | "amend" | "cancel" | "delete" => Deed::Ours,
        "write-back" => Deed::WroteBack(fields()?),
        "respond" => Deed::Responded,
        "withdraw" => Deed::Withdrew,
        "restore" => Deed::Restored,
        _ => return None,
    };
    Some(Done {
        key,
        face: Face::from_word(step["face"].as_str()?)?,
        deed,
        event: text(&step["event"])?.into(),
        incarnation: u32::try_from(step["incarnation"].as_u64()?).ok()?,
        beside: step["beside"].as_bool()?,
        effect: Effect { before: body(&effect["before"])?, after: body(&effect["after"])? },
        twin: step["reason"] == "duplicate",
    })
}

fn words(fields: &[Field]) -> Vec<&'static str> {
    fields.iter().map(|field| field.word()).collect()
}

fn skip_word(skip: Skip) -> &'static str {
    match skip {
        Skip::ChangedMeanwhile => "changed-meanwhile",
        Skip::ParentFailed => "parent-failed",
        Skip::AccountStopped => "account-stopped",
        Skip::Superseded => "superseded",
        Skip::Stopping => "stopping",
    }
}

fn class_word(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Transient => "transient",
        ErrorClass::Throttled => "throttled",
        ErrorClass::CursorLost => "cursor-lost",
        ErrorClass::AlreadyGone => "already-gone",
        ErrorClass::Precondition => "precondition",
        ErrorClass::Exists => "exists",
        ErrorClass::Revoked => "revoked",
        ErrorClass::Forbidden => "forbidden",
        ErrorClass::Missing => "missing",
        ErrorClass::Rejected => "rejected",
    }
}
