//! Alerts: what is wrong becomes mails, as [`crate::planner::alerts`] plans it.
//!
//! Invariants: nothing is written while nothing changes; trouble with mail is never a tick's trouble; a mail may come twice after a
//! crash, and is never lost.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use tracing::warn;

use super::{App, channels};
use crate::{
    mail,
    model::{
        alert::{AlertKind, Condition},
        calendar::{Freshness, Why},
        id::UserId,
    },
    pages::mail::AlertMail,
    planner::alerts::{self, AlertStep, Known, Place},
    store::{StoreError, alerts::NewMail, calendars::CalendarRow},
};

/// Failures in a row that are an alert (specification, "Alert Types").
const FAILURES: u32 = 5;
/// Tries in a row to open a webhook channel that are an alert.
const TRIES: u32 = 3;
/// Waits before the second and third try of a mail.
const WAITS: [TimeDelta; 2] = [TimeDelta::minutes(5), TimeDelta::minutes(30)];
/// Mails sent in one go.
const LOT: usize = 50;
/// Of a calendar, told by readings.
const OF_READINGS: [AlertKind; 3] = [AlertKind::TokenRevoked, AlertKind::CalendarInaccessible, AlertKind::SyncFailures];

/// What came of sending mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub sent: usize,
    pub again: usize,
    pub given_up: usize,
}

/// Raises and resolves what readings of a user's calendars tell.
///
/// # Errors
/// When our own database fails.
pub async fn after_reading(app: &App, user: UserId, freshness: &BTreeMap<i64, Freshness>) -> Result<(), StoreError> {
    let rows = app.store.calendars_of(user).await?;
    let conditions: Vec<Condition> = rows.iter().filter_map(|row| condition(user, row, freshness)).collect();
    let seen = freshness.iter().filter(|(_, freshness)| **freshness != Freshness::Stale(Why::Paused));
    let looked_at = seen.flat_map(|(number, _)| OF_READINGS.map(|kind| (kind, Some(user), Some(*number)))).collect();
    settle(app, &conditions, &looked_at).await
}

fn condition(user: UserId, row: &CalendarRow, freshness: &BTreeMap<i64, Freshness>) -> Option<Condition> {
    let Some(Freshness::Stale(why)) = freshness.get(&row.number) else { return None };
    let kind = match why {
        Why::Revoked | Why::Lapsed | Why::Scope => AlertKind::TokenRevoked,
        Why::Forbidden | Why::Missing | Why::TooMany => AlertKind::CalendarInaccessible,
        Why::Throttled | Why::Unreachable if row.failures >= FAILURES => AlertKind::SyncFailures,
        Why::Throttled | Why::Unreachable | Why::Paused => return None,
    };
    Some(Condition { kind, user: Some(user), calendar: Some(row.number), detail: why.sentence().into() })
}

/// Raises and resolves what the bringing in order of webhook channels tells.
///
/// # Errors
/// When our own database fails.
pub async fn after_channels(app: &App, done: &channels::Done) -> Result<(), StoreError> {
    let kind = AlertKind::WebhookRegistrationFailed;
    let mut conditions = Vec::new();
    let mut looked_at = BTreeSet::new();
    for (user, number) in &done.well {
        looked_at.insert((kind, Some(*user), Some(*number)));
    }
    for (number, tries) in &done.refused {
        let user = app.store.calendar(*number).await?.map(|row| row.user);
        looked_at.remove(&(kind, user, Some(*number)));
        if *tries >= TRIES {
            let detail = format!("no webhook channel could be opened in {tries} tries");
            conditions.push(Condition { kind, user, calendar: Some(*number), detail });
        }
    }
    settle(app, &conditions, &looked_at).await
}

/// Raises that something of our own is wrong, or resolves it when nothing is any more.
///
/// # Errors
/// When our own database fails.
pub async fn system(app: &App, user: Option<UserId>, detail: Option<&str>) -> Result<(), StoreError> {
    let kind = AlertKind::SystemError;
    let condition = detail.map(|detail| Condition { kind, user, calendar: None, detail: detail.into() });
    settle(app, condition.as_slice(), &BTreeSet::from([(kind, user, None)])).await
}

async fn settle(app: &App, conditions: &[Condition], looked_at: &BTreeSet<Place>) -> Result<(), StoreError> {
    let now = app.clock.now();
    let rows = app.store.alerts(now - TimeDelta::hours(1)).await?;
    if rows.is_empty() && conditions.is_empty() {
        return Ok(());
    }
    let known: Vec<Known> = rows
        .iter()
        .map(|row| Known {
            number: row.number,
            kind: row.kind,
            user: row.user,
            calendar: row.calendar,
            told: row.told,
            open: row.resolved.is_none(),
        })
        .collect();
    for step in alerts::plan(conditions, &known, looked_at, now) {
        match step {
            AlertStep::Raise { condition, tell } => {
                warn!(kind = condition.kind.word(), calendar = condition.calendar, "an alert is raised");
                let mails = if tell { mails(app, &condition).await? } else { Vec::new() };
                app.store.raise_alert(&condition, &mails).await?;
            }
            AlertStep::Remind { number, condition } => {
                let mails = mails(app, &condition).await?;
                app.store.remind_of_alert(number, condition.kind, &mails).await?;
            }
            AlertStep::Resolve(number) => app.store.resolve_alert(number).await?,
        }
    }
    Ok(())
}

/// The mails about an alert, one for each who is to be told.
async fn mails(app: &App, condition: &Condition) -> Result<Vec<NewMail>, StoreError> {
    let users = app.store.users().await?;
    let people: Vec<(UserId, bool)> = users.iter().map(|user| (user.id, user.admin)).collect();
    let unwanted = app.store.unwanted_alerts().await?;
    let calendar = match condition.calendar {
        Some(number) => app.store.calendar(number).await?.map(|row| row.name),
        None => None,
    };
    let affected = users.iter().find(|user| Some(user.id) == condition.user);
    // Others whom admins named are told what admins are.
    let elsewhere = app.store.alert_recipients().await?;
    let elsewhere = elsewhere.into_iter().filter(|to| !users.iter().any(|user| user.email.eq_ignore_ascii_case(to)));
    let now = app.clock.now();
    let page = |person: Option<&str>| {
        AlertMail::new(condition.kind, calendar.as_deref(), person, &condition.detail, now, &app.policy.public_url)
    };
    let of = affected.map(|user| user.email.as_str());
    let elsewhere = elsewhere.map(|recipient| {
        let mail = page(of).render();
        NewMail { recipient, subject: mail.subject, text: mail.text, html: mail.html }
    });
    let mails = alerts::recipients(condition, &people, &unwanted).into_iter().filter_map(|id| {
        let to = users.iter().find(|user| user.id == id)?;
        // To oneself one needs no introduction.
        let person = affected.filter(|user| user.id != id).map(|user| user.email.as_str());
        let mail = page(person).render();
        Some(NewMail { recipient: to.email.clone(), subject: mail.subject, text: mail.text, html: mail.html })
    });
    Ok(mails.chain(elsewhere).collect())
}

/// Sends the mails that are due. Where no mail server is set they wait, and are seen on pages.
///
/// # Errors
/// When our own database fails; what the mail server refuses is noted with the mail.
pub async fn deliver(app: &App) -> Result<Delivered, StoreError> {
    let mut delivered = Delivered::default();
    let due = app.store.mails_due(LOT).await?;
    if due.is_empty() {
        return Ok(delivered);
    }
    let Some(smtp) = app.store.smtp().await? else { return Ok(delivered) };
    for queued in due {
        if app.stop.is_asked() {
            break;
        }
        let mail = crate::pages::mail::Mail { subject: queued.subject, text: queued.text, html: queued.html };
        match mail::send(&smtp, &queued.recipient, &mail).await {
            Ok(()) => {
                app.store.mail_sent(queued.number).await?;
                delivered.sent += 1;
            }
            Err(error) => {
                let wait = WAITS.get(queued.attempts as usize).copied().filter(|_| error.is_passing());
                warn!(mail = queued.number, again = wait.is_some(), "a mail was not sent: {error}");
                app.store.mail_failed(queued.number, wait).await?;
                match wait {
                    Some(_) => delivered.again += 1,
                    None => delivered.given_up += 1,
                }
            }
        }
    }
    Ok(delivered)
}
