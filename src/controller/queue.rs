//! The work queue: which users are due, and never one twice at a time. Pure: moments are handed in, nothing waits here.
//!
//! ```text
//!  ring ──► waiting ──due──► running ──done──► idle
//!              ▲               │ ring
//!              └─── pending ◄──┘            a ring while running is kept, not lost
//! ```
//!
//! Invariants: one slot for each user, who runs at most once at a time; of several rings the earliest moment counts, and what each
//! asks to be read is read; never more run than there are places; backfill (what is left of a large first sync) takes at most its
//! part of the places, and none that a live user waits for.
//!
//! Deliberately absent: why somebody rang. No tick can depend on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::model::id::UserId;

/// A moment: time since the service started, by a clock that only goes forward.
pub type Moment = Duration;

/// How urgent a tick is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody changed something, or it is time to look.
    Live,
    /// The rest of a large piece of work.
    Backfill,
}

/// What a tick is to read: all calendars of the user, or some by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// What changed on all of them.
    every: bool,
    /// What changed on these.
    changed: BTreeSet<i64>,
    /// These from the beginning.
    full: BTreeSet<i64>,
}

impl Scope {
    /// All calendars.
    pub fn all() -> Self {
        Scope { every: true, ..Scope::default() }
    }

    /// What changed on one calendar.
    pub fn one(calendar: i64) -> Self {
        Scope { changed: BTreeSet::from([calendar]), ..Scope::default() }
    }

    /// Everything on one calendar.
    pub fn full(calendar: i64) -> Self {
        Scope { full: BTreeSet::from([calendar]), ..Scope::default() }
    }

    /// Nothing new: what is left to do is known already.
    pub fn nothing() -> Self {
        Scope::default()
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Scope) -> Scope {
        let Scope { every, changed, full } = other;
        self.every |= every;
        self.changed.extend(changed);
        self.full.extend(full);
        self
    }

    /// Whether this calendar is to be read.
    pub fn reads(&self, calendar: i64) -> bool {
        self.every || self.changed.contains(&calendar) || self.full.contains(&calendar)
    }

    /// Whether this calendar is to be read from the beginning.
    pub fn reads_all_of(&self, calendar: i64) -> bool {
        self.full.contains(&calendar)
    }
}

/// One request for a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Due {
    at: Moment,
    lane: Lane,
    scope: Scope,
}

impl Due {
    fn and(self, other: Due) -> Due {
        Due { at: self.at.min(other.at), lane: self.lane.min(other.lane), scope: self.scope.and(other.scope) }
    }
}

#[derive(Debug, Default)]
struct Slot {
    due: Option<Due>,
    running: Option<Lane>,
    /// When the user ran last; who waited longest goes first.
    ran: Moment,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    places: usize,
    slots: BTreeMap<UserId, Slot>,
}

impl Queue {
    /// For so many ticks at once, at least two, so that backfill never takes the last place.
    pub fn new(places: usize) -> Self {
        Queue { places: places.max(2), slots: BTreeMap::new() }
    }

    /// Asks for a tick of a user at `at` or earlier.
    pub fn ring(&mut self, user: UserId, at: Moment, lane: Lane, scope: Scope) {
        let slot = self.slots.entry(user).or_default();
        let due = Due { at, lane, scope };
        slot.due = Some(match slot.due.take() {
            Some(waiting) => waiting.and(due),
            None => due,
        });
    }

    /// Takes the next tick that is due and has a place. It runs until [`Queue::done`].
    pub fn take(&mut self, now: Moment) -> Option<(UserId, Lane, Scope)> {
        let best = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.running.is_none())
            .filter_map(|(user, slot)| slot.due.as_ref().map(|due| (due, slot.ran, *user)))
            .filter(|(due, ..)| due.at <= now && self.has_place(due.lane))
            .min_by_key(|(due, ran, user)| (due.lane, due.at, *ran, *user))?;
        let user = best.2;
        let slot = self.slots.get_mut(&user)?;
        let Due { at: _, lane, scope } = slot.due.take()?;
        slot.running = Some(lane);
        slot.ran = now;
        Some((user, lane, scope))
    }

    /// A tick has ended.
    pub fn done(&mut self, user: UserId) {
        if let Some(slot) = self.slots.get_mut(&user) {
            slot.running = None;
        }
    }

    /// Forgets a user who is gone. A tick that runs goes on.
    pub fn forget(&mut self, user: UserId) {
        match self.slots.get_mut(&user) {
            Some(slot) if slot.running.is_some() => slot.due = None,
            _ => {
                self.slots.remove(&user);
            }
        }
    }

    /// The moment at which something may be taken, if nothing ends or rings before; none: not before that.
    pub fn wake(&self) -> Option<Moment> {
        let waiting = self.slots.values().filter(|slot| slot.running.is_none()).filter_map(|slot| slot.due.as_ref());
        waiting.filter(|due| self.has_place(due.lane)).map(|due| due.at).min()
    }

    /// Ticks that run.
    pub fn running(&self) -> usize {
        self.slots.values().filter(|slot| slot.running.is_some()).count()
    }

    /// Users that are due and wait for a place.
    pub fn depth(&self, now: Moment) -> usize {
        let due = |slot: &&Slot| slot.due.as_ref().is_some_and(|due| due.at <= now);
        self.slots.values().filter(due).count()
    }

    fn has_place(&self, lane: Lane) -> bool {
        let running = self.running();
        let backfill = self.slots.values().filter(|slot| slot.running == Some(Lane::Backfill)).count();
        match lane {
            Lane::Live => running < self.places,
            Lane::Backfill => running < self.places && backfill < self.places / 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn of_several_rings_the_earliest_counts_and_all_that_is_asked_is_read() {
        let mut queue = Queue::new(2);
        queue.ring(UserId(1), at(30), Lane::Backfill, Scope::one(1));
        queue.ring(UserId(1), at(10), Lane::Live, Scope::one(2));
        queue.ring(UserId(1), at(20), Lane::Live, Scope::full(3));
        assert_eq!(queue.wake(), Some(at(10)));
        assert_eq!(queue.take(at(9)), None);
        let (user, lane, scope) = queue.take(at(10)).unwrap();
        assert_eq!((user, lane), (UserId(1), Lane::Live));
        assert!([1, 2, 3].into_iter().all(|n| scope.reads(n)) && !scope.reads(4));
        assert!(scope.reads_all_of(3) && !scope.reads_all_of(2));
        assert_eq!(queue.take(at(40)), None, "all three were one");
    }

    #[test]
    fn a_ring_while_the_user_runs_is_kept() {
        let mut queue = Queue::new(2);
        queue.ring(UserId(1), at(0), Lane::Live, Scope::one(1));
        queue.take(at(0)).unwrap();
        queue.ring(UserId(1), at(1), Lane::Live, Scope::one(2));
        assert_eq!(queue.take(at(2)), None, "never twice at a time");
        queue.done(UserId(1));
        assert_eq!(queue.take(at(2)), Some((UserId(1), Lane::Live, Scope::one(2))));
    }

    #[test]
    fn everything_and_something_from_the_beginning_are_both_read() {
        for scope in [Scope::all().and(Scope::full(3)), Scope::full(3).and(Scope::one(2)).and(Scope::all())] {
            assert!(scope.reads(7) && scope.reads_all_of(3) && !scope.reads_all_of(7));
        }
        assert!(!Scope::nothing().reads(1));
    }

    #[test]
    fn backfill_leaves_places_to_those_who_changed_something() {
        let mut queue = Queue::new(4);
        for user in 1..=6 {
            queue.ring(UserId(user), at(0), Lane::Backfill, Scope::nothing());
        }
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(at(1))).collect();
        assert_eq!(taken.len(), 2);
        queue.ring(UserId(9), at(1), Lane::Live, Scope::all());
        assert_eq!(queue.take(at(1)).map(|t| t.0), Some(UserId(9)));
        assert_eq!(queue.take(at(1)), None);
        queue.done(taken[0].0);
        assert_eq!(queue.take(at(2)).map(|t| t.1), Some(Lane::Backfill));
    }

    #[test]
    fn nobody_who_is_gone_is_ticked() {
        let mut queue = Queue::new(2);
        queue.ring(UserId(1), at(0), Lane::Live, Scope::all());
        queue.forget(UserId(1));
        assert_eq!((queue.take(at(1)), queue.wake()), (None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Over any history: no user twice at a time, never too many, nothing that was asked is lost, nobody waits for ever.
        #[test]
        fn nothing_is_lost_and_nobody_runs_twice(deeds in prop::collection::vec((0u8..4, 1i64..6, 0u64..20), 1..200)) {
            let mut queue = Queue::new(3);
            let mut running: BTreeSet<UserId> = BTreeSet::new();
            let mut asked: BTreeSet<UserId> = BTreeSet::new();
            let mut now = 0;
            let take = |queue: &mut Queue, running: &mut BTreeSet<UserId>, asked: &mut BTreeSet<UserId>, now| {
                while let Some((user, ..)) = queue.take(at(now)) {
                    assert!(running.insert(user), "{user} runs already");
                    assert!(asked.remove(&user), "{user} was not asked for");
                    assert!(running.len() <= 3);
                }
            };
            for (deed, user, n) in deeds {
                match deed {
                    0 | 1 => {
                        let lane = if deed == 0 { Lane::Live } else { Lane::Backfill };
                        queue.ring(UserId(user), at(now + n), lane, Scope::all());
                        asked.insert(UserId(user));
                    }
                    2 => now += n,
                    _ => {
                        if running.remove(&UserId(user)) {
                            queue.done(UserId(user));
                        }
                    }
                }
                take(&mut queue, &mut running, &mut asked, now);
            }
            for _ in 0..20 {
                now += 30;
                for user in std::mem::take(&mut running) {
                    queue.done(user);
                }
                take(&mut queue, &mut running, &mut asked, now);
            }
            prop_assert!(asked.is_empty(), "{asked:?} wait for ever");
        }
    }
}
