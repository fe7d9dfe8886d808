//! The prepared week, moved to the one in which the demo runs. Its seed says everything in the time of walls, so that a whole number
//! of weeks keeps every hour and day of the week.

use std::sync::LazyLock;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Europe::Vienna;
use regex::{Captures, Regex};

/// The Monday of the prepared week.
const PREPARED: NaiveDate = NaiveDate::from_ymd_opt(2026, 3, 2).expect("a valid day");

/// Days as `2026-03-02`, and as in rules and exceptions: `20260302T090000`.
static DAYS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(\d{4})-(\d{2})-(\d{2})\b|\b(\d{4})(\d{2})(\d{2})T").expect("a valid pattern"));

/// The Monday of the week that people think of: on weekends the one that comes.
pub fn monday(now: DateTime<Utc>) -> NaiveDate {
    let today = now.with_timezone(&Vienna).date_naive();
    let since = u64::from(today.weekday().num_days_from_monday());
    let ahead = if since >= 5 { 7 } else { 0 };
    today + Days::new(ahead) - Days::new(since)
}

/// A seed of the prepared week, in the week of `now`.
pub fn moved(seed: &str, now: DateTime<Utc>) -> String {
    let by: TimeDelta = monday(now) - PREPARED;
    let day = |found: &Captures| {
        let number = |n: usize| found.get(n).and_then(|part| part.as_str().parse::<u32>().ok());
        let (first, form) = if found.get(1).is_some() { (1, "%Y-%m-%d") } else { (4, "%Y%m%dT") };
        let year = number(first).and_then(|year| i32::try_from(year).ok())?;
        let day = NaiveDate::from_ymd_opt(year, number(first + 1)?, number(first + 2)?)?;
        Some((day + by).format(form).to_string())
    };
    DAYS.replace_all(seed, |found: &Captures| day(found).unwrap_or_else(|| found[0].to_owned())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_moves_by_whole_weeks_and_keeps_its_hours() {
        let seed = "when = \"2026-03-03 09:00–10:30\"\nEXDATE;TZID=America/New_York:20260318T090000 \
                    2026-03-03..2026-03-06 acme20260318 2026-99-99";
        // A Wednesday, a Sunday evening that counts as the week to come, and a day before the prepared week.
        for (now, moved_seed) in [
            (
                "2026-12-02T12:00:00Z",
                "when = \"2026-12-01 09:00–10:30\"\nEXDATE;TZID=America/New_York:20261216T090000 \
                 2026-12-01..2026-12-04 acme20260318 2026-99-99",
            ),
            (
                "2026-11-29T20:00:00Z",
                "when = \"2026-12-01 09:00–10:30\"\nEXDATE;TZID=America/New_York:20261216T090000 \
                 2026-12-01..2026-12-04 acme20260318 2026-99-99",
            ),
            (
                "2026-02-23T08:00:00Z",
                "when = \"2026-02-24 09:00–10:30\"\nEXDATE;TZID=America/New_York:20260311T090000 \
                 2026-02-24..2026-02-27 acme20260318 2026-99-99",
            ),
        ] {
            assert_eq!(moved(seed, now.parse().unwrap()), moved_seed, "{now}");
        }
        assert_eq!(moved(seed, "2026-03-04T08:00:00Z".parse().unwrap()), seed);
    }
}
