//! What keeps an installation well over the years: daily copies of the database, forgetting what is old, looking whether the file is
//! sound.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use tracing::{info, warn};

use super::App;
use crate::store::{StoreError, retention::Forgotten};

/// Copies kept: of the last days, weeks and months.
const DAILY: usize = 7;
const WEEKLY: usize = 2;
const MONTHLY: usize = 6;
/// How far wall clock and uptime may drift apart before nothing is forgotten by the clock.
const DRIFT: TimeDelta = TimeDelta::hours(1);

/// The name under which runs of retention are noted.
pub const RETENTION: &str = "retention";

/// Makes the day's copy in the directory `backups` beside the database, and removes copies that are not to be kept. A copy that is
/// there already is the day's. Files of other names are left alone.
///
/// # Errors
/// When the copy cannot be made.
pub async fn back_up(app: &App) -> Result<PathBuf, StoreError> {
    let directory = app.store.path().with_file_name("backups");
    let cannot = |error: io::Error| StoreError::File(directory.clone(), error);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&directory).map_err(cannot)?;
    let today = app.clock.now().date_naive();
    let file = directory.join(name_of(today));
    if !file.exists() {
        app.store.back_up(&file).await?;
        info!("the day's copy of the database is made");
    }
    let found: BTreeSet<NaiveDate> =
        fs::read_dir(&directory).map_err(cannot)?.filter_map(|entry| day_of(&entry.ok()?.path())).collect();
    for day in found.difference(&kept(&found)) {
        if let Err(error) = fs::remove_file(directory.join(name_of(*day))) {
            warn!("an old copy of the database could not be removed: {error}");
        }
    }
    Ok(file)
}

fn name_of(day: NaiveDate) -> String {
    format!("calendar-sync-{day}.db")
}

/// The day of a copy; none for a file that we did not name.
fn day_of(file: &Path) -> Option<NaiveDate> {
    let day = file.file_name()?.to_str()?.strip_prefix("calendar-sync-")?.strip_suffix(".db")?;
    day.parse().ok().filter(|day: &NaiveDate| name_of(*day) == file.file_name().unwrap_or_default().to_string_lossy())
}

/// Which copies stay: the newest ones; of what is older the newest of each of some weeks; of what is older still the newest of each of
/// some months.
fn kept(days: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
    let mut kept: BTreeSet<NaiveDate> = days.iter().rev().take(DAILY).copied().collect();
    for (of, n) in [(week as fn(&NaiveDate) -> (i32, u32), WEEKLY), (month, MONTHLY)] {
        let older = kept.first().copied();
        let mut seen = BTreeSet::new();
        let reps =
            days.iter().rev().filter(|day| older.is_some_and(|older| **day < older)).filter(|day| seen.insert(of(day)));
        let reps: Vec<NaiveDate> = reps.take(n).copied().collect();
        kept.extend(reps);
    }
    kept
}

fn week(day: &NaiveDate) -> (i32, u32) {
    (day.iso_week().year(), day.iso_week().week())
}

fn month(day: &NaiveDate) -> (i32, u32) {
    (day.year(), day.month())
}

/// Forgets what is old, if the clock is to be believed: it went as far as time did since the service began (`began` is what it showed
/// then, `uptime` what has passed by a clock that only goes forward), is not behind the last run, and Google's clock agrees.
///
/// # Errors
/// When our own database fails; [`StoreError::ClockDoubtful`] when the clock is not to be believed. Nothing is forgotten then.
pub async fn forget(app: &App, began: DateTime<Utc>, uptime: Duration) -> Result<Forgotten, StoreError> {
    let last = app.store.job_done(RETENTION).await?;
    if !is_believable(app.clock.now(), began, uptime, last, app.google.ahead()) {
        return Err(StoreError::ClockDoubtful);
    }
    let forgotten = app.store.forget_old().await?;
    info!(
        tombstones = forgotten.tombstones,
        log = forgotten.log,
        runs = forgotten.runs,
        calendars = forgotten.calendars,
        others = forgotten.others,
        "forgot what is old"
    );
    Ok(forgotten)
}

fn is_believable(
    now: DateTime<Utc>,
    began: DateTime<Utc>,
    uptime: Duration,
    last: Option<DateTime<Utc>>,
    ahead_of_google: Option<TimeDelta>,
) -> bool {
    let uptime = TimeDelta::from_std(uptime).unwrap_or(TimeDelta::MAX);
    let close = |drift: TimeDelta| drift <= DRIFT && drift >= -DRIFT;
    close((now - began) - uptime) && last.is_none_or(|last| last <= now) && ahead_of_google.is_some_and(close)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clock_that_jumped_makes_nothing_forgotten() {
        let began: DateTime<Utc> = "2026-03-01T00:00:00Z".parse().unwrap();
        let hours = TimeDelta::hours;
        for (now, uptime, last, google, believable) in [
            (1, 1, None, Some(0), true),
            (24, 24, Some(0), Some(0), true),
            (1, 1, Some(-168), Some(0), true),
            // The clock went ten years ahead, or back, while the service ran.
            (24 + 87_600, 24, Some(0), Some(87_600), false),
            (24 - 87_600, 24, Some(0), Some(-87_600), false),
            (22, 24, Some(0), Some(-2), false),
            // It was wrong from the beginning, or nobody can say.
            (24, 24, Some(0), Some(87_600), false),
            (24, 24, Some(0), None, false),
            // It is earlier than the last run.
            (1, 1, Some(5), Some(0), false),
        ] {
            let uptime = Duration::from_secs(uptime * 3600);
            let (last, ahead) = (last.map(|last| began + hours(last)), google.map(hours));
            let found = is_believable(began + hours(now), began, uptime, last, ahead);
            assert_eq!(found, believable, "{now} {uptime:?} {last:?} {google:?}");
        }
    }

    #[test]
    fn only_our_own_copies_are_known() {
        assert_eq!(day_of(Path::new("/x/calendar-sync-2026-03-02.db")), NaiveDate::from_ymd_opt(2026, 3, 2));
        for other in
            ["calendar-sync-2026-3-2.db", "calendar-sync-2026-03-02.db.partial", "mine.db", "calendar-sync-.db"]
        {
            assert_eq!(day_of(Path::new(other)), None, "{other}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Day by day, with days on which the service was off: the last seven copies are there, one of the last week but one, and one
        /// of each of six months, as far as there were any; and never more than fifteen.
        #[test]
        fn copies_thin_out_and_reach_back_half_a_year(off in prop::collection::btree_set(0u64..400, 0..200)) {
            let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
            let mut copies = BTreeSet::new();
            let mut made = Vec::new();
            for day in (0..400).filter(|day| !off.contains(day)) {
                let date = first + chrono::Days::new(day);
                copies.insert(date);
                made.push(date);
                copies = kept(&copies);
                prop_assert!(copies.len() <= DAILY + WEEKLY + MONTHLY);
                prop_assert!(made.iter().rev().take(DAILY).all(|recent| copies.contains(recent)));
                let months: BTreeSet<_> = made.iter().map(|d| (d.year(), d.month())).collect();
                for month in months.iter().rev().take(MONTHLY) {
                    prop_assert!(copies.iter().any(|d| (d.year(), d.month()) == *month), "no copy of {month:?}");
                }
            }
        }
    }
}
