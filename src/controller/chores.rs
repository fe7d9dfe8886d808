//! What is done by the clock: the specification's table of scheduled jobs.
//!
//! | chore | when | does |
//! |---|---|---|
//! | channels | every 5 minutes, and when calendars come or go | opens, renews and closes webhook channels |
//! | tokens | every 30 minutes | renews access tokens that end before the next time |
//! | mail | every minute | sends the mails that wait |
//! | backup | daily at 02:10 | copies the database into `backups` beside it; keeps 7 daily, 2 weekly, 6 monthly copies |
//! | retention | daily at 03:00 | forgets what is old |
//! | check | daily at 03:30 | looks whether the database is sound |
//! | stale-alerts | daily at 04:00 | removes mails and alerts that are over since a week |
//!
//! Daily chores run at their time in the zone of the installation, once a day, however often the clocks change. A chore that fails
//! is tried again at its next time; none keeps a tick waiting. Each may run in two processes without harm.

use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::upkeep;

/// A chore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chore {
    Channels,
    Tokens,
    Mail,
    Backup,
    Retention,
    Check,
    StaleAlerts,
}

/// When a chore is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timetable {
    /// So long after it ended.
    Every(TimeDelta),
    /// At this time of the day.
    Daily(u32, u32),
}

impl Chore {
    /// All chores.
    pub const ALL: &[Chore] = &[
        Chore::Channels,
        Chore::Tokens,
        Chore::Mail,
        Chore::Backup,
        Chore::Retention,
        Chore::Check,
        Chore::StaleAlerts,
    ];

    /// The word for logs and locks.
    pub fn word(self) -> &'static str {
        match self {
            Chore::Channels => "channels",
            Chore::Tokens => "tokens",
            Chore::Mail => "mail",
            Chore::Backup => "backup",
            Chore::Retention => upkeep::RETENTION,
            Chore::Check => "check",
            Chore::StaleAlerts => "stale-alerts",
        }
    }

    /// How long another process waits for one that died at it; none: it needs no lock.
    pub fn lease(self) -> Option<TimeDelta> {
        match self {
            Chore::Channels | Chore::Tokens | Chore::Mail => None,
            Chore::Backup | Chore::Retention | Chore::Check | Chore::StaleAlerts => Some(TimeDelta::hours(2)),
        }
    }

    /// When it is done.
    pub fn timetable(self) -> Timetable {
        match self {
            Chore::Channels => Timetable::Every(TimeDelta::minutes(5)),
            Chore::Tokens => Timetable::Every(TimeDelta::minutes(30)),
            Chore::Mail => Timetable::Every(TimeDelta::minutes(1)),
            Chore::Backup => Timetable::Daily(2, 10),
            Chore::Retention => Timetable::Daily(3, 0),
            Chore::Check => Timetable::Daily(3, 30),
            Chore::StaleAlerts => Timetable::Daily(4, 0),
        }
    }
}

/// The next time of a chore after `last`, in the installation's zone. A time that a change of clocks leaves out comes an hour
/// later; one that comes twice counts once.
pub fn next(timetable: Timetable, last: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    match timetable {
        Timetable::Every(pause) => last + pause,
        Timetable::Daily(hour, minute) => {
            let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or(NaiveTime::MIN);
            let today = last.with_timezone(&zone).date_naive();
            let at = |day: chrono::NaiveDate| {
                let local = day.and_time(time);
                let found = zone.from_local_datetime(&local).earliest();
                found.or_else(|| zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest())
            };
            let days = today.iter_days().take(4).filter_map(at).map(|at| at.with_timezone(&Utc));
            days.into_iter().find(|at| *at > last).unwrap_or(last + TimeDelta::days(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daily_chore_keeps_its_time_through_changes_of_clocks() {
        let vienna = chrono_tz::Europe::Vienna;
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (last, expected) in [
            ("2026-03-27T12:00:00Z", "2026-03-28T02:00:00Z"),
            ("2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z"),
            ("2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"),
            ("2026-10-24T01:00:00Z", "2026-10-25T02:00:00Z"),
            ("2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z"),
        ] {
            assert_eq!(next(Timetable::Daily(3, 0), at(last), vienna), at(expected), "{last}");
        }
        // 02:30 does not exist on 29 March 2026, and exists twice on 25 October.
        let half_past_two = Timetable::Daily(2, 30);
        assert_eq!(next(half_past_two, at("2026-03-28T12:00:00Z"), vienna), at("2026-03-29T01:30:00Z"));
        assert_eq!(next(half_past_two, at("2026-10-24T12:00:00Z"), vienna), at("2026-10-25T00:30:00Z"));
        assert_eq!(next(half_past_two, at("2026-10-25T00:30:00Z"), vienna), at("2026-10-26T01:30:00Z"));
    }
}
