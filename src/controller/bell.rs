//! The bell: what rings when a calendar may have changed. Google's notifications are checked here, against channels held in memory,
//! and leave a mark on a calendar; the service looks at the marks. Ten thousand notifications leave as many marks as there are
//! calendars.
//!
//! Invariants: a notification changes nothing but the mark of the calendar whose channel it proves to know; whatever is wrong with
//! it, the answer tells nobody what; nothing of it is trusted but that somebody knows the channel's secret. A mark that is set while
//! its calendar is being read stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::queue::Scope;
use crate::{model::id::UserId, store::channels::ChannelRow};

/// Google's notification, as its headers have it (guide "Push notifications").
#[derive(Clone, Copy, Debug)]
pub struct Notification<'a> {
    pub channel: &'a str,
    pub token: &'a str,
    pub resource: &'a str,
    pub state: &'a str,
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Heard {
    /// The calendar is marked.
    Marked,
    /// It was marked already.
    Again,
    /// The channel is open; nothing changed.
    Opened,
    /// Not a channel of ours, or one that has ended.
    Unknown,
    /// Somebody who does not know the channel's secret.
    Forged,
    /// A word that Google's guide does not know.
    Odd,
}

/// A calendar that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub user: UserId,
    pub scope: Scope,
    /// When the first of several rang, by the service's own clock.
    pub since: Duration,
    /// Somebody of the house wants it, and waits.
    pub asked: bool,
}

/// Ticks of one user to which notifications lead at once, after a time of silence.
const AT_ONCE: u32 = 20;

/// How soon a user's notifications lead to a tick. Some changes are carried on at once; where it rings all the time (a stranger
/// invites a thousand times a minute), ticks keep their distance (reliability Q6).
#[derive(Debug, Default)]
pub struct Pace {
    /// When the ticks so far are paid for, each with the distance.
    paid: Duration,
    rung: bool,
}

impl Pace {
    /// It rings at `now`: the earliest moment of the tick, when ticks are to be `apart`.
    pub fn rings(&mut self, now: Duration, apart: Duration) -> Duration {
        self.rung = true;
        now.max(self.paid.saturating_sub(apart * (AT_ONCE - 1)))
    }

    /// A tick begins.
    pub fn ticks(&mut self, now: Duration, apart: Duration) {
        if std::mem::take(&mut self.rung) {
            self.paid = self.paid.max(now) + apart;
        }
    }
}

/// Clones are one bell.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    inner: Arc<Mutex<Inner>>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    channels: BTreeMap<String, ChannelRow>,
    marks: BTreeMap<UserId, Mark>,
    marked: BTreeSet<i64>,
    /// When channels rang last, by the numbers of their rows; taken to be noted.
    rang: BTreeMap<i64, DateTime<Utc>>,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts these channels in the place of all that were known.
    pub fn know(&self, channels: Vec<ChannelRow>) {
        self.lock().channels = channels.into_iter().map(|row| (row.id.clone(), row)).collect();
    }

    /// Hears a notification at `now`, which is `moment` on the service's own clock.
    pub fn hear(&self, notification: &Notification<'_>, now: DateTime<Utc>, moment: Duration) -> Heard {
        let Notification { channel, token, resource, state } = *notification;
        let mut inner = self.lock();
        let known = inner.channels.get(channel).filter(|row| row.ends > now);
        // As much work for a channel that nobody knows.
        let hash = known.map_or([0; 32], |row| row.token_hash);
        let proven = verify_slices_are_equal(&Sha256::digest(token.as_bytes()), &hash).is_ok();
        let Some(row) = known.filter(|row| row.resource == resource).cloned() else { return Heard::Unknown };
        if !proven {
            return Heard::Forged;
        }
        match state {
            "sync" => return Heard::Opened,
            "exists" | "not_exists" => {}
            _ => return Heard::Odd,
        }
        inner.rang.insert(row.number, now);
        if !inner.marked.insert(row.calendar) {
            return Heard::Again;
        }
        inner.mark(row.user, Scope::one(row.calendar), moment, false);
        drop(inner);
        self.wake.notify_one();
        Heard::Marked
    }

    /// Marks what somebody of the house wants looked at.
    pub fn ring(&self, user: UserId, scope: Scope, moment: Duration) {
        self.lock().mark(user, scope, moment, true);
        self.wake.notify_one();
    }

    /// Waits until something is marked.
    pub async fn rung(&self) {
        self.wake.notified().await;
    }

    /// Takes all marks.
    pub fn take(&self) -> Vec<Mark> {
        let mut inner = self.lock();
        inner.marked.clear();
        std::mem::take(&mut inner.marks).into_values().collect()
    }

    /// Takes when channels rang since this was last asked.
    pub fn take_rang(&self) -> BTreeMap<i64, DateTime<Utc>> {
        std::mem::take(&mut self.lock().rang)
    }
}

impl Inner {
    fn mark(&mut self, user: UserId, scope: Scope, moment: Duration, asked: bool) {
        let new = Mark { user, scope: Scope::nothing(), since: moment, asked };
        let mark = self.marks.entry(user).or_insert(new);
        mark.scope = std::mem::take(&mut mark.scope).and(scope);
        mark.asked |= asked;
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn bell() -> Bell {
        let bell = Bell::default();
        bell.know(vec![ChannelRow {
            number: 1,
            user: UserId(7),
            calendar: 3,
            id: "channel".into(),
            token_hash: Sha256::digest(b"secret").into(),
            resource: "resource".into(),
            opened: DateTime::UNIX_EPOCH,
            ends: DateTime::UNIX_EPOCH + TimeDelta::days(7),
            rang: None,
        }]);
        bell
    }

    fn hear(bell: &Bell, channel: &str, token: &str, resource: &str, state: &str, day: i64) -> Heard {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(day);
        bell.hear(&Notification { channel, token, resource, state }, now, Duration::from_secs(5))
    }

    #[test]
    fn only_who_knows_the_channel_and_its_secret_rings() {
        let long = "x".repeat(1024);
        for (channel, token, resource, state, day, heard) in [
            ("channel", "secret", "resource", "sync", 1, Heard::Opened),
            ("another", "secret", "resource", "exists", 1, Heard::Unknown),
            ("channel", "secret", "another", "exists", 1, Heard::Unknown),
            ("channel", "secret", "resource", "exists", 7, Heard::Unknown),
            ("channel", "Secret", "resource", "exists", 1, Heard::Forged),
            ("channel", "", "resource", "exists", 1, Heard::Forged),
            ("channel", &long, "resource", "exists", 1, Heard::Forged),
            ("channel", "secret", "resource", "shouting", 1, Heard::Odd),
        ] {
            let bell = bell();
            assert_eq!(
                hear(&bell, channel, token, resource, state, day),
                heard,
                "{channel} {token} {resource} {state}"
            );
            assert_eq!(bell.take(), []);
            assert_eq!(bell.take_rang(), BTreeMap::new());
        }
    }

    #[test]
    fn a_flood_leaves_one_mark_and_another_ring_after_it_was_taken_leaves_another() {
        let bell = bell();
        assert_eq!(hear(&bell, "channel", "secret", "resource", "exists", 1), Heard::Marked);
        for _ in 0..10_000 {
            assert_eq!(hear(&bell, "channel", "secret", "resource", "exists", 1), Heard::Again);
        }
        let mark = Mark { user: UserId(7), scope: Scope::one(3), since: Duration::from_secs(5), asked: false };
        assert_eq!(bell.take(), std::slice::from_ref(&mark));
        assert_eq!(bell.take(), []);
        assert_eq!(hear(&bell, "channel", "secret", "resource", "not_exists", 1), Heard::Marked);
        assert_eq!(bell.take(), [mark]);
        assert_eq!(bell.take_rang().len(), 1);
    }

    #[test]
    fn who_rings_all_the_time_is_looked_at_every_ten_seconds() {
        const APART: Duration = Duration::from_secs(10);
        let (mut pace, mut ticks, mut due) = (Pace::default(), Vec::new(), None);
        // A thousand a minute for ten minutes.
        for n in 0..10_000_u64 {
            let now = Duration::from_millis(n * 60);
            if due.is_some_and(|due| due <= now) {
                pace.ticks(now, APART);
                ticks.push(now);
                due = None;
            }
            let at = pace.rings(now, APART);
            due = Some(due.map_or(at, |due: Duration| due.min(at)));
        }
        assert!(ticks[..20].iter().all(|tick| *tick < Duration::from_secs(2)), "{ticks:?}");
        let last = &ticks[21..];
        assert!(last.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(9_900)), "{ticks:?}");
        assert!((76..=82).contains(&ticks.len()), "{}", ticks.len());
        // After a silence the next ones are heard at once; ticks for which nobody rang do not count.
        let now = Duration::from_secs(1_000);
        for _ in 0..50 {
            pace.ticks(now, APART);
        }
        assert_eq!(pace.rings(now, APART), now);
    }
}
