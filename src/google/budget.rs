//! The day's requests. Google bills a project that makes more than 1,000,000 a day (guide "Manage quotas"), counted here from midnight
//! in California, where its other daily quotas turn (assumed). We allow ourselves 900,000; a quarter of them for backfill; and when
//! they are gone, a hundredth more for reading, so that what people do is still seen.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::America::Los_Angeles;

/// Requests a day.
const DAY: u64 = 900_000;
/// Of these, what backfill may take.
const BACKFILL: u64 = DAY / 4;
/// Beyond these, what reading may take.
const RESERVE: u64 = DAY / 100;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Somebody changed something, or it is time to look.
    Live,
    /// The rest of a large piece of work.
    Backfill,
}

/// A day so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The day in California.
    pub day: NaiveDate,
    pub today: u64,
    /// Of these, for backfill.
    pub backfill: u64,
    pub budget: u64,
    /// What the day will come to if it goes on like this.
    pub forecast: u64,
}

/// Counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    day: NaiveDate,
    today: u64,
    backfill: u64,
}

/// The day that an instant belongs to.
fn day_of(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&Los_Angeles).date_naive()
}

impl Budget {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Budget { day: day_of(now), today: 0, backfill: 0 }
    }

    /// Begins another day when it is one. A clock that steps back does not give a day anew.
    fn turn(&mut self, now: DateTime<Utc>) {
        if day_of(now) > self.day {
            *self = Budget::new(now);
        }
    }

    /// Counts a request, unless the day has none left for it.
    pub(super) fn take(&mut self, now: DateTime<Utc>, class: Class, writes: bool) -> bool {
        self.turn(now);
        let left = match (class, writes) {
            (Class::Backfill, _) => self.today < DAY && self.backfill < BACKFILL,
            (Class::Live, true) => self.today < DAY,
            (Class::Live, false) => self.today < DAY + RESERVE,
        };
        if left {
            self.today += 1;
            self.backfill += u64::from(class == Class::Backfill);
        }
        left
    }

    /// Adds what an earlier process counted on the same day.
    pub(super) fn add(&mut self, now: DateTime<Utc>, day: NaiveDate, today: u64, backfill: u64) {
        self.turn(now);
        if day == self.day {
            self.today += today;
            self.backfill += backfill;
        }
    }

    pub(super) fn spend(&mut self, now: DateTime<Utc>) -> Spend {
        self.turn(now);
        let midnight = now.with_timezone(&Los_Angeles).time().signed_duration_since(chrono::NaiveTime::MIN);
        // The first hour tells little of the rest: it counts as an hour.
        let passed = midnight.num_seconds().clamp(3600, 86_400).unsigned_abs();
        let Budget { day, today, backfill } = *self;
        Spend { day, today, backfill, budget: DAY, forecast: today.saturating_mul(86_400) / passed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_day_turns_at_midnight_in_california_and_never_back() {
        let mut budget = Budget::new(at("2026-03-02T07:59:00Z"));
        budget.take(at("2026-03-02T07:59:59Z"), Class::Live, false);
        assert_eq!(budget.spend(at("2026-03-02T07:59:59Z")).today, 1);
        budget.take(at("2026-03-02T08:00:00Z"), Class::Live, false);
        assert_eq!(budget.spend(at("2026-03-02T08:00:00Z")).today, 1);
        assert_eq!(budget.spend(at("2026-03-01T08:00:00Z")).today, 1, "a clock that stepped back");
        budget.add(at("2026-03-02T09:00:00Z"), NaiveDate::from_ymd_opt(2026, 3, 2).unwrap(), 10, 5);
        budget.add(at("2026-03-02T09:00:00Z"), NaiveDate::from_ymd_opt(2026, 3, 1).unwrap(), 100, 50);
        let spend = budget.spend(at("2026-03-02T14:00:00Z"));
        assert_eq!((spend.today, spend.backfill, spend.forecast), (11, 5, 44));
    }

    #[test]
    fn backfill_takes_a_quarter_and_reading_goes_on_a_little_when_all_is_gone() {
        let now = at("2026-03-02T20:00:00Z");
        let mut budget = Budget::new(now);
        let mut take = |class, writes| (0..2_000_000).take_while(|_| budget.take(now, class, writes)).count() as u64;
        assert_eq!(take(Class::Backfill, true), 225_000);
        assert_eq!(take(Class::Live, true), 675_000);
        assert_eq!(take(Class::Backfill, false), 0);
        assert_eq!(take(Class::Live, false), 9_000);
        assert!(Budget::new(now).take(now, Class::Backfill, true), "and the next day all is well");
    }
}
