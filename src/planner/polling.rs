//! When calendars are read without being rung for. Polling is the promise, push the hint: a calendar is read every five minutes
//! while its channel has not proved itself, less often while it does, and every five minutes again at any doubt.
//!
//! Invariants: a calendar is read at least every half hour, unless the day's budget at Google forbids it; what is due is spread over
//! its interval and keeps away from the full hour, when everybody asks; all calendars slow down evenly, none stops.

use chrono::{DateTime, TimeDelta, Timelike, Utc};

/// While nothing is proved, and the specification's "periodic sync".
pub const UNPROVED: TimeDelta = TimeDelta::minutes(5);
/// A channel that rang within the last day.
const PROVED: TimeDelta = TimeDelta::minutes(15);
/// One that has stood for days, and missed nothing.
const TRUSTED: TimeDelta = TimeDelta::minutes(30);
/// A proof is good for so long.
const PROOF: TimeDelta = TimeDelta::hours(24);
/// So long without a miss makes trust.
const TRUST: TimeDelta = TimeDelta::days(3);
/// The part of a day's requests, in percent, that polling may take; the rest is for changes.
const SHARE: i64 = 60;
/// Intervals are stretched so far at most, in percent: from five minutes to six hours. Slower than this is no polling.
pub const STRETCH_MAX: i64 = 7200;

/// How a calendar's channel has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The last notification.
    pub rang: Option<DateTime<Utc>>,
    /// When the channel that lives now was opened; none: there is none.
    pub opened: Option<DateTime<Utc>>,
    /// When a reading last found what no channel had told.
    pub missed: Option<DateTime<Utc>>,
}

/// How long the next reading may wait.
pub fn interval(record: &Record, now: DateTime<Utc>) -> TimeDelta {
    let Record { rang, opened, missed } = record;
    let (Some(rang), Some(opened)) = (rang, opened) else { return UNPROVED };
    // What it missed after it rang last is not made good.
    if now - *rang > PROOF || missed.is_some_and(|missed| missed >= *rang || now - missed < PROOF) {
        return UNPROVED;
    }
    let well_since = missed.map_or(*opened, |missed| missed.max(*opened));
    if now - well_since >= TRUST { TRUSTED } else { PROVED }
}

/// By how much every interval is stretched, in percent, so that polling all these calendars keeps within its part of `budget`
/// requests a day. 100: not at all.
pub fn stretch(intervals: impl IntoIterator<Item = TimeDelta>, budget: u64) -> i64 {
    let day = TimeDelta::days(1).num_seconds();
    // In thousandths, so that many slow calendars do not round to nothing.
    let asked: i64 = intervals.into_iter().map(|each| day * 1000 / each.num_seconds().max(1)).sum();
    let allowed = i64::try_from(budget).unwrap_or(i64::MAX / 1000).saturating_mul(SHARE) / 100;
    let percent = asked / 10 / allowed.max(1);
    percent.clamp(100, STRETCH_MAX)
}

/// When a calendar is read next: `interval` stretched, up to a tenth sooner or later by `salt`, and away from the full hour.
pub fn next(now: DateTime<Utc>, interval: TimeDelta, stretch: i64, salt: u64) -> DateTime<Utc> {
    let wait = interval.num_milliseconds().saturating_mul(stretch) / 100;
    let sway = wait / 10 * (i64::try_from(salt % 201).unwrap_or(100) - 100) / 100;
    away_from_the_hour(now + TimeDelta::milliseconds(wait + sway), salt)
}

/// The first reading after a start: anywhere within the interval, so that not all begin at once.
pub fn first(now: DateTime<Utc>, interval: TimeDelta, salt: u64) -> DateTime<Utc> {
    let wait = interval.num_milliseconds() / 1000 * i64::try_from(salt % 1000).unwrap_or(0);
    away_from_the_hour(now + TimeDelta::milliseconds(wait), salt)
}

/// What falls within half a minute of a full hour comes up to four minutes later.
fn away_from_the_hour(at: DateTime<Utc>, salt: u64) -> DateTime<Utc> {
    let into = i64::from(at.minute() * 60 + at.second());
    if (30..3570).contains(&into) {
        return at;
    }
    at + TimeDelta::seconds(60 + i64::try_from(salt % 180).unwrap_or(0))
}

/// The time at which a calendar is read from the beginning, once a day: the first such time after `last`, at a time of the day that
/// belongs to the calendar.
pub fn full_pass(last: DateTime<Utc>, salt: u64) -> DateTime<Utc> {
    let second = i64::try_from(salt % 86_400).unwrap_or(0);
    let day = last.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let first = away_from_the_hour(day + TimeDelta::seconds(second), salt);
    // What was read from the beginning a moment ago need not be again at once: half a day is between them at least.
    let times = (0..).map(|days| first + TimeDelta::days(days));
    times.take(3).find(|at| *at > last + TimeDelta::hours(12)).unwrap_or(first + TimeDelta::days(2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(n: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(n)
    }

    #[test]
    fn a_channel_earns_trust_and_loses_it_at_any_doubt() {
        let record = |rang: Option<i64>, missed: Option<i64>| Record {
            rang: rang.map(hours),
            opened: Some(hours(0)),
            missed: missed.map(hours),
        };
        for (now, record, minutes) in [
            (1, Record::default(), 5),
            (1, record(None, None), 5),
            (2, record(Some(1), None), 15),
            (26, record(Some(1), None), 5),
            (72, record(Some(71), None), 30),
            (72, record(Some(70), Some(71)), 5),
            (72, record(Some(71), Some(70)), 5),
            (96, record(Some(95), Some(70)), 15),
            (144, record(Some(143), Some(70)), 30),
            (72, Record { opened: None, ..record(Some(71), None) }, 5),
        ] {
            assert_eq!(interval(&record, hours(now)), TimeDelta::minutes(minutes), "{record:?} at {now}");
        }
    }

    #[test]
    fn polling_slows_evenly_where_the_budget_would_not_last() {
        let of = |n: usize, budget| stretch(std::iter::repeat_n(UNPROVED, n), budget);
        assert_eq!(of(1_000, 900_000), 100);
        // 3,472 calendars every five minutes are a million requests a day (reliability §6.1); polling may take 540,000.
        assert_eq!(of(3_472, 900_000), 185);
        assert!(of(10_000, 900_000) > 500);
        let spent = |n: usize, budget: u64| {
            let wait = 300 * of(n, budget) / 100;
            i64::try_from(n).unwrap() * 86_400 / wait
        };
        for n in [1_000, 3_472, 10_000, 20_000] {
            assert!(spent(n, 900_000) <= 550_000, "{n}: {}", spent(n, 900_000));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn readings_are_spread_and_keep_away_from_the_full_hour(start in 0i64..1_000_000, salt in any::<u64>(), minutes in 5i64..31) {
            let (now, interval) = (DateTime::UNIX_EPOCH + TimeDelta::seconds(start), TimeDelta::minutes(minutes));
            let later = next(now, interval, 100, salt);
            prop_assert!(later >= now + interval * 9 / 10 && later <= now + interval * 11 / 10 + TimeDelta::minutes(5));
            let soon = first(now, interval, salt);
            prop_assert!(soon >= now && soon <= now + interval + TimeDelta::minutes(5));
            for at in [later, soon] {
                prop_assert!((30..3570).contains(&(at.minute() * 60 + at.second())), "{at}");
            }
        }

        #[test]
        fn a_full_pass_comes_every_day_at_the_calendars_own_time(start in 0i64..10_000_000, salt in any::<u64>()) {
            let last = DateTime::UNIX_EPOCH + TimeDelta::seconds(start);
            let next = full_pass(last, salt);
            prop_assert!(next > last + TimeDelta::hours(11) && next <= last + TimeDelta::hours(37));
            let after = full_pass(next, salt);
            prop_assert_eq!(after - next, TimeDelta::days(1));
        }
    }
}
