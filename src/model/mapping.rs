//! What we last did about an item: the base of the three-way merge.

use chrono::{DateTime, TimeDelta, Utc};

use super::{body::Digest, id::EventId};

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// We keep it.
    Kept,
    /// We have set out to delete it, or an old database was put back: that it is gone is known as, or may be, our own doing. Noted
    /// before the call, for the tombstone that is found after a crash.
    Leaving,
    /// The person removed it and does not want it back.
    Dismissed,
    /// A person took back what we did; it stays as it is while what is asked stays *applied*.
    Undone,
}

/// Our memory of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub event: EventId,
    pub incarnation: u32,
    /// What we asked for. Compared with what is desired now: did the origin move?
    pub applied: Digest,
    /// What Google answered. Compared with what is observed now: did the copy move? Google trims and rewrites what it is
    /// given, so comparing with what we *sent* would update for ever.
    pub shown: Digest,
    pub memory: Memory,
    /// The target's series has no such slot: the exception is kept as an event of its own, beside the series.
    pub alone: bool,
    /// When it was put back after somebody had changed or removed it, within the last day; oldest first.
    pub restored: Vec<DateTime<Utc>>,
    /// Since when we remember it.
    pub since: DateTime<Utc>,
}

/// How often one item is put back within a day (specification of restored blocks: people are not fought).
const RESTORES_A_DAY: usize = 3;

impl Mapping {
    /// Whether it was put back so often within the last day that it is left alone now.
    pub fn is_given_up(&self, now: DateTime<Utc>) -> bool {
        self.restored_lately(now).len() >= RESTORES_A_DAY
    }

    /// When it was put back within the day before `now`.
    pub fn restored_lately(&self, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        self.restored.iter().copied().filter(|at| now - *at < TimeDelta::days(1)).collect()
    }
}

/// A step that Google would not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked.
    pub asked: Digest,
    /// How often it was asked in vain.
    pub tries: u32,
    /// Not asked again before, unless something else is asked.
    pub until: DateTime<Utc>,
}

impl Refusal {
    /// When to ask again after so many tries: an hour, doubled each time, a day at most.
    pub fn again(now: DateTime<Utc>, tries: u32) -> DateTime<Utc> {
        now + TimeDelta::hours(1 << tries.saturating_sub(1).min(4)).min(TimeDelta::days(1))
    }
}
