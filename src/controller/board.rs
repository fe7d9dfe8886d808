//! What the service is doing for each user, for who looks. Held in memory alone: a service at rest writes nothing, and after a start
//! it is known again within minutes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use super::tick::Tick;
use crate::{
    model::{
        calendar::Freshness,
        id::UserId,
        plan::{HeldReason, Outcome, Plan},
    },
    planner::approval,
};

/// Readings of one calendar that are remembered.
const PULSE: usize = 30;

/// How a calendar was read lately.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When it was last read to the end.
    pub read: Option<DateTime<Utc>>,
    /// When it is read next, if nothing rings before.
    pub next: Option<DateTime<Utc>>,
    /// How the last readings went, oldest first.
    pub pulse: VecDeque<bool>,
}

/// What is done for a user.
#[derive(Clone, Debug, Default)]
pub struct Doing {
    /// A tick is at work.
    pub running: bool,
    /// Of the plan in hand: writes that are done, and those of it and of what is left for later.
    pub progress: Option<(usize, usize)>,
    /// How the last tick ended.
    pub last: Option<Last>,
    /// What waits for a person's word.
    pub waiting: Vec<Waiting>,
    /// Steps that wait for something else, in words.
    pub held: Vec<(String, usize)>,
}

/// How a tick ended.
#[derive(Clone, Debug)]
pub struct Last {
    /// Writes that failed.
    pub failed: usize,
    /// The tick itself came to nothing.
    pub broken: bool,
}

/// Removals that wait for a person's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub code: String,
    /// What the user calls the calendar.
    pub calendar: String,
    pub reason: HeldReason,
    pub n: usize,
}

/// Clones are one board.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    calendars: BTreeMap<i64, Seen>,
    users: BTreeMap<UserId, Doing>,
    /// Writes that a large piece of work has left for later, and those it has done.
    backlog: BTreeMap<UserId, (usize, usize)>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a calendar was read lately.
    pub fn seen(&self, calendar: i64) -> Seen {
        self.lock().calendars.get(&calendar).cloned().unwrap_or_default()
    }

    /// What is done for a user.
    pub fn doing(&self, user: UserId) -> Doing {
        self.lock().users.get(&user).cloned().unwrap_or_default()
    }

    /// A tick begins.
    pub(super) fn begins(&self, user: UserId) {
        let mut inner = self.lock();
        inner.users.entry(user).or_default().running = true;
    }

    /// A tick has made so many of its writes.
    pub(super) fn wrote(&self, user: UserId, done: usize, of: usize) {
        let mut inner = self.lock();
        let (before, left) = inner.backlog.get(&user).copied().unwrap_or_default();
        let all = before + of.max(left);
        inner.users.entry(user).or_default().progress = Some((before + done, all));
    }

    /// A tick has ended; none: it came to nothing.
    pub(super) fn ended(&self, user: UserId, tick: Option<&Tick>) {
        let mut inner = self.lock();
        let Some(tick) = tick else {
            let doing = inner.users.entry(user).or_default();
            (doing.running, doing.progress) = (false, None);
            doing.last = Some(Last { failed: 0, broken: true });
            return;
        };
        let writes = tick.plan.steps.iter().zip(&tick.outcomes).filter(|(step, _)| step.action.writes());
        let (mut done, mut failed) = (0, 0);
        for (_, outcome) in writes {
            match outcome {
                Outcome::Done => done += 1,
                Outcome::Failed { .. } => failed += 1,
                Outcome::Skipped(_) => {}
            }
        }
        let before = inner.backlog.get(&user).map_or(0, |(before, _)| *before);
        match tick.left {
            0 => inner.backlog.remove(&user),
            left => inner.backlog.insert(user, (before + done, left)),
        };
        let doing = inner.users.entry(user).or_default();
        doing.running = tick.left > 0;
        doing.progress = (tick.left > 0).then_some((before + done, before + done + tick.left));
        let idle = tick.idle && doing.last.is_some();
        if !idle {
            doing.last = Some(Last { failed, broken: false });
            (doing.waiting, doing.held) = (waiting(&tick.plan), held(&tick.plan));
        }
    }

    /// A calendar was read, or could not be.
    pub(super) fn read(&self, calendar: i64, at: DateTime<Utc>, freshness: Freshness) {
        let mut inner = self.lock();
        let seen = inner.calendars.entry(calendar).or_default();
        let well = freshness == Freshness::Current;
        if well {
            seen.read = Some(at);
        }
        seen.pulse.push_back(well);
        if seen.pulse.len() > PULSE {
            seen.pulse.pop_front();
        }
    }

    /// A calendar is read again then.
    pub(super) fn next(&self, calendar: i64, at: DateTime<Utc>) {
        self.lock().calendars.entry(calendar).or_default().next = Some(at);
    }
}

/// What in a plan waits for a person's word.
pub fn waiting(plan: &Plan) -> Vec<Waiting> {
    approval::waiting(plan)
        .into_iter()
        .map(|one| Waiting {
            calendar: plan.names.get(&one.calendar).cloned().unwrap_or_default(),
            n: one.events.len(),
            code: one.code,
            reason: one.reason,
        })
        .collect()
}

/// What in a plan waits for something else.
fn held(plan: &Plan) -> Vec<(String, usize)> {
    let mut reasons: BTreeMap<HeldReason, usize> = BTreeMap::new();
    for held in &plan.held {
        if !held.reason.waits_for_a_word() {
            *reasons.entry(held.reason).or_default() += 1;
        }
    }
    reasons.into_iter().map(|(reason, n)| (reason.sentence().to_owned(), n)).collect()
}
