//! Sessions of people's browsers, and their ways to Google and back.
//!
//! Invariants: what a browser holds is stored as a hash; a session ends seven days after its last use and thirty days after it began;
//! a way to Google is good once, for ten minutes, in the browser that began it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Attempt, Store, StoreError, instant, stamp};
use crate::{
    model::{id::UserId, secret::Secret},
    vault::Place,
};

/// A session ends so long after its last use (specification, "Session Security").
pub const IDLE: TimeDelta = TimeDelta::days(7);
/// A session ends so long after it began, however much it is used.
pub const LONGEST: TimeDelta = TimeDelta::days(30);
/// How exactly the last use is noted.
const NOTED: TimeDelta = TimeDelta::hours(1);
/// A way to Google and back may take so long.
const WAY: TimeDelta = TimeDelta::minutes(10);

/// A session that is good now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: UserId,
    /// When the person signed in at Google.
    pub began: DateTime<Utc>,
}

/// What a sign-in is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To become the first admin.
    Setup,
    /// To use the service.
    Home,
    /// To connect a client's account.
    Client(UserId),
    /// To connect a private account.
    Personal(UserId),
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Purpose::Setup => "setup",
            Purpose::Home => "home",
            Purpose::Client(_) => "client",
            Purpose::Personal(_) => "personal",
        }
    }

    fn user(self) -> Option<i64> {
        match self {
            Purpose::Setup | Purpose::Home => None,
            Purpose::Client(user) | Purpose::Personal(user) => Some(user.0),
        }
    }
}

/// What is remembered of a way to Google.
#[derive(Clone, Debug)]
pub struct Way {
    pub purpose: Purpose,
    /// What Google's answer has to fit.
    pub nonce: String,
    pub verifier: Secret<String>,
    pub redirect_uri: String,
    /// A path of ours at which it goes on.
    pub next: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredWay {
    nonce: String,
    verifier: String,
    redirect_uri: String,
    next: Option<String>,
}

/// What became of asking for a way.
#[derive(Debug)]
pub enum Found {
    Way(Way),
    /// Not one of ours, used already, or too old.
    Unknown,
    /// It began in another browser. It is not good any more.
    OtherBrowser,
}

fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

impl Store {
    /// Begins a session of a user, under an id that only the browser keeps, and notes that the person signed in.
    pub async fn begin_session(&self, id: &str, user: UserId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO sessions (id_hash, user_id, created_at, seen_at) VALUES (?, ?, ?3, ?3)")
            .bind(hash(id))
            .bind(user.0)
            .bind(self.now())
            .execute(&mut *transaction)
            .await
            .when("beginning a session")?;
        sqlx::query("UPDATE users SET signed_in_at = ? WHERE id = ?")
            .bind(self.now())
            .bind(user.0)
            .execute(&mut *transaction)
            .await
            .when("noting a sign-in")?;
        transaction.commit().await.when("beginning a session")
    }

    /// The session of this id, if it is good now. Its use is noted once an hour.
    pub async fn session(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let row: Option<(i64, String, String)> =
            sqlx::query_as("SELECT user_id, created_at, seen_at FROM sessions WHERE id_hash = ?")
                .bind(hash(id))
                .fetch_optional(&self.reader)
                .await
                .when("looking for a session")?;
        let Some((user, began, seen)) = row else { return Ok(None) };
        let (began, seen, now) = (instant("sessions", &began)?, instant("sessions", &seen)?, self.clock.now());
        if now - seen > IDLE || now - began > LONGEST {
            self.end_session(id).await?;
            return Ok(None);
        }
        if now - seen >= NOTED {
            sqlx::query("UPDATE sessions SET seen_at = ? WHERE id_hash = ?")
                .bind(stamp(now))
                .bind(hash(id))
                .execute(&self.writer)
                .await
                .when("noting the use of a session")?;
        }
        Ok(Some(Session { user: UserId(user), began }))
    }

    /// Ends a session.
    pub async fn end_session(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE id_hash = ?")
            .bind(hash(id))
            .execute(&self.writer)
            .await
            .when("ending a session")?;
        Ok(())
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions_of(&self, user: UserId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE user_id = ?")
            .bind(user.0)
            .execute(&self.writer)
            .await
            .when("ending a user's sessions")?;
        Ok(())
    }

    /// Remembers a way to Google that begins in this browser; those that took too long are forgotten.
    pub async fn begin_way(&self, state: &str, browser: &str, way: &Way) -> Result<(), StoreError> {
        let Way { purpose, nonce, verifier, redirect_uri, next } = way;
        let stored = StoredWay {
            nonce: nonce.clone(),
            verifier: verifier.reveal().clone(),
            redirect_uri: redirect_uri.clone(),
            next: next.clone(),
        };
        let text = serde_json::to_string(&stored).map_err(|_| StoreError::Format { table: "sign_ins" })?;
        let row = data_encoding::HEXLOWER.encode(&hash(state));
        let place = Place { table: "sign_ins", column: "pending_encrypted", row: &row };
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM sign_ins WHERE created_at < ?")
            .bind(stamp(self.clock.now() - WAY))
            .execute(&mut *transaction)
            .await
            .when("forgetting sign-ins that were not finished")?;
        sqlx::query(
            "INSERT INTO sign_ins (state_hash, browser_hash, purpose, user_id, pending_encrypted, created_at)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(hash(state))
        .bind(hash(browser))
        .bind(purpose.word())
        .bind(purpose.user())
        .bind(self.data_key.seal(&place, text.as_bytes()))
        .bind(self.now())
        .execute(&mut *transaction)
        .await
        .when("beginning a sign-in")?;
        transaction.commit().await.when("beginning a sign-in")
    }

    /// Takes a way to Google, which is then good no more.
    pub async fn take_way(&self, state: &str, browser: &str) -> Result<Found, StoreError> {
        let row: Option<(Vec<u8>, String, Option<i64>, Vec<u8>, String)> = sqlx::query_as(
            "DELETE FROM sign_ins WHERE state_hash = ?
             RETURNING browser_hash, purpose, user_id, pending_encrypted, created_at",
        )
        .bind(hash(state))
        .fetch_optional(&self.writer)
        .await
        .when("finishing a sign-in")?;
        let Some((from, purpose, user, sealed, created)) = row else { return Ok(Found::Unknown) };
        if instant("sign_ins", &created)? + WAY < self.clock.now() {
            return Ok(Found::Unknown);
        }
        if from != hash(browser) {
            return Ok(Found::OtherBrowser);
        }
        let name = data_encoding::HEXLOWER.encode(&hash(state));
        let place = Place { table: "sign_ins", column: "pending_encrypted", row: &name };
        let broken = || StoreError::Format { table: "sign_ins" };
        let text = self.open_text(&place, &sealed)?;
        let StoredWay { nonce, verifier, redirect_uri, next } =
            serde_json::from_str(text.reveal()).map_err(|_| broken())?;
        let purpose = match (purpose.as_str(), user) {
            ("setup", None) => Purpose::Setup,
            ("home", None) => Purpose::Home,
            ("client", Some(user)) => Purpose::Client(UserId(user)),
            ("personal", Some(user)) => Purpose::Personal(UserId(user)),
            _ => return Err(broken()),
        };
        Ok(Found::Way(Way { purpose, nonce, verifier: Secret::new(verifier), redirect_uri, next }))
    }

    /// Forgets sessions and ways that are good no more.
    pub async fn forget_sessions(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut forgotten = 0;
        for (statement, before) in [
            ("DELETE FROM sessions WHERE seen_at < ?", now - IDLE),
            ("DELETE FROM sessions WHERE created_at < ?", now - LONGEST),
            ("DELETE FROM sign_ins WHERE created_at < ?", now - WAY),
        ] {
            let done = sqlx::query(statement).bind(stamp(before)).execute(&self.writer).await;
            forgotten += done.when("forgetting sessions")?.rows_affected();
        }
        Ok(forgotten)
    }
}
