//! How often Google is asked, and asked again. The only file that names `governor` and `backoff`, so that either can be left.
//!
//! | limit at Google (guide "Manage quotas") | ours |
//! |---|---|
//! | 600 requests a minute and account | at most 480 in any minute: 7 a second and 60 at once |
//! | 10,000 requests a minute and project | at most 8,000: 130 a second and 200 at once |
//! | "writing to a single calendar in quick succession" | writes of an account begin at 4 a second, grow to 6, and halve when Google minds |
//! | 1,000,000 requests a day and project | [`super::budget`] |
//!
//! Reads keep their share: writes take at most 6 of an account's 7 requests a second. A refusal by its reason stops one account, its
//! writes alone, or everybody; who is stopped for long is told so at once instead of waiting.
//!
//! Trying a write again is safe: a new event has an id of ours (a second insert answers 409), a change or deletion carries an
//! etag (a second one answers 412 or 410). What such an answer means is for the caller to find out.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use backoff::backoff::Backoff;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::error::{About, GoogleError};
use crate::model::plan::ErrorClass;

/// How patient we are, and how hasty.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Attempts at one call, the first included.
    pub tries: u32,
    /// The wait before the second attempt, on average; it doubles from there.
    pub first_delay: Duration,
    /// Whether Google's limits are kept.
    pub limited: bool,
}

impl Pace {
    /// For Google.
    pub fn google() -> Self {
        Pace { tries: 3, first_delay: Duration::from_millis(500), limited: true }
    }

    /// For an emulator, which has no quota unless told.
    pub fn emulator() -> Self {
        Pace { limited: false, ..Pace::google() }
    }

    /// For tests and simulations: as many tries, and no waiting.
    pub fn impatient() -> Self {
        Pace { tries: 3, first_delay: Duration::ZERO, limited: false }
    }
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// A connected account, by the number of its row.
    Known(i64),
    /// A token that nobody has named, by its digest.
    Token([u8; 16]),
}

/// Keeps the pace of all accounts.
pub(super) struct Throttle {
    pace: Pace,
    begun: Instant,
    project: DefaultDirectRateLimiter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<Account, Lane>,
    /// Nobody asks before.
    closed: Option<Duration>,
}

/// The longest wait within one call; what takes longer is for a later tick.
const LONGEST: Duration = Duration::from_secs(8);
/// Accounts remembered; beyond, all start afresh.
const ACCOUNTS: usize = 10_000;

fn quota(a_second: u32, at_once: u32) -> Quota {
    let positive = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(positive(a_second)).allow_burst(positive(at_once))
}

/// Of one account.
fn account_quota() -> Quota {
    quota(7, 60)
}

/// Of everybody together.
fn project_quota() -> Quota {
    quota(130, 200)
}

impl Throttle {
    pub(super) fn new(pace: Pace) -> Self {
        let project = RateLimiter::direct(project_quota());
        Throttle { pace, begun: Instant::now(), project, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until this account may ask.
    ///
    /// # Errors
    /// Of class `Throttled` when that takes longer than a call should.
    pub(super) async fn turn(&self, account: Account, writes: bool) -> Result<(), GoogleError> {
        loop {
            let now = self.begun.elapsed();
            let (stop, lane) = {
                let mut state = self.lock();
                if state.accounts.len() > ACCOUNTS {
                    state.accounts.clear();
                }
                let closed = state.closed;
                let lane = state.accounts.entry(account).or_default();
                (lane.stop(now, writes).max(closed.unwrap_or_default().saturating_sub(now)), lane.limiter.clone())
            };
            if stop > LONGEST {
                return Err(GoogleError::Paused { wait: stop });
            }
            if !stop.is_zero() {
                tokio::time::sleep(stop).await;
                continue;
            }
            if self.pace.limited {
                lane.until_ready().await;
                self.project.until_ready().await;
                let wait =
                    if writes { self.lock().accounts.entry(account).or_default().space(now) } else { Duration::ZERO };
                tokio::time::sleep(wait).await;
            }
            return Ok(());
        }
    }

    /// Learns from how a call went.
    pub(super) fn learn<T>(&self, account: Account, writes: bool, answer: &Result<T, GoogleError>) {
        if !self.pace.limited {
            return;
        }
        let now = self.begun.elapsed();
        let mut state = self.lock();
        let lane = state.accounts.entry(account).or_default();
        match answer {
            Ok(_) if writes => lane.went_well(),
            Err(GoogleError::Refused { reason, about, retry_after, .. })
                if *about != About::Account && answer.as_ref().is_err_and(|e| e.class() == ErrorClass::Throttled) =>
            {
                match Refusal::of(reason) {
                    Refusal::Haste => lane.too_fast(now, *retry_after),
                    Refusal::Spent => lane.spent(now),
                    Refusal::Project => {
                        state.closed = Some(now + retry_after.unwrap_or(Duration::from_secs(900)));
                    }
                }
            }
            _ => {}
        }
    }

    /// Accounts that wait, with the time that is left, longest first.
    pub(super) fn waiting(&self) -> Vec<(Account, Duration)> {
        let now = self.begun.elapsed();
        let state = self.lock();
        let waits = state.accounts.iter().map(|(account, lane)| (*account, lane.stop(now, true)));
        let mut waiting: Vec<_> = waits.filter(|(_, wait)| !wait.is_zero()).collect();
        waiting.sort_by_key(|(account, wait)| (std::cmp::Reverse(*wait), *account));
        waiting
    }

    /// Calls until it works, is refused, or was tried often enough. Only passing failures are tried again.
    ///
    /// `backoff` gives the delays alone: its own loop goes on for ever when every answer carries `Retry-After`.
    pub(super) async fn retry<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, GoogleError>
    where
        F: Future<Output = Result<T, GoogleError>>,
    {
        let mut delays = backoff::ExponentialBackoff {
            initial_interval: self.pace.first_delay,
            current_interval: self.pace.first_delay,
            randomization_factor: 1.0,
            max_interval: LONGEST,
            max_elapsed_time: None,
            ..backoff::ExponentialBackoff::default()
        };
        for attempt in 1.. {
            match call().await {
                Err(error)
                    if error.class() == ErrorClass::Transient
                        && !error.is_unauthorized()
                        && attempt < self.pace.tries =>
                {
                    let delay = delays.next_backoff().unwrap_or_default();
                    if !self.pace.first_delay.is_zero() {
                        tokio::time::sleep(error.retry_after().unwrap_or(delay).min(LONGEST)).await;
                    }
                }
                answer => return answer,
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// What a refusal for too much use is about (semantics §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Too many requests in a short time.
    Haste,
    /// The account has made too much; it may read.
    Spent,
    /// Everybody has.
    Project,
}

impl Refusal {
    fn of(reason: &str) -> Self {
        match reason {
            "quotaExceeded" | "calendarUsageLimitsExceeded" => Refusal::Spent,
            "dailyLimitExceeded" | "variableTermLimitExceeded" => Refusal::Project,
            _ => Refusal::Haste,
        }
    }
}

/// One account. Moments are time since the throttle was made.
struct Lane {
    limiter: Arc<DefaultDirectRateLimiter>,
    /// Writes a second.
    rate: f64,
    next_write: Duration,
    /// Nothing is asked before.
    paused: Duration,
    /// Nothing is written before.
    spent: Duration,
    /// Refusals in a row.
    refusals: u32,
}

const RATE_FIRST: f64 = 4.0;
const RATE_MAX: f64 = 6.0;
const RATE_MIN: f64 = 0.2;

impl Default for Lane {
    fn default() -> Self {
        let limiter = Arc::new(RateLimiter::direct(account_quota()));
        Lane {
            limiter,
            rate: RATE_FIRST,
            next_write: Duration::ZERO,
            paused: Duration::ZERO,
            spent: Duration::ZERO,
            refusals: 0,
        }
    }
}

impl Lane {
    /// How long nothing may be asked, or written.
    fn stop(&self, now: Duration, writes: bool) -> Duration {
        let until = if writes { self.paused.max(self.spent) } else { self.paused };
        until.saturating_sub(now)
    }

    /// Takes the next place among the writes; gives the wait for it.
    fn space(&mut self, now: Duration) -> Duration {
        let at = self.next_write.max(now);
        self.next_write = at + Duration::from_secs_f64(1.0 / self.rate);
        at - now
    }

    fn went_well(&mut self) {
        self.refusals = 0;
        self.rate = (self.rate + 0.02).min(RATE_MAX);
    }

    fn too_fast(&mut self, now: Duration, retry_after: Option<Duration>) {
        self.refusals = self.refusals.saturating_add(1);
        self.rate = (self.rate / 2.0).max(RATE_MIN);
        let wait = retry_after.unwrap_or(Duration::from_secs(1 << self.refusals.min(9)));
        self.paused = self.paused.max(now + wait);
    }

    fn spent(&mut self, now: Duration) {
        self.refusals = self.refusals.saturating_add(1);
        // Google gives back over hours: 1, 2, 4, 8 and then 12 hours.
        let hours = (1u64 << (self.refusals - 1).min(4)).min(12);
        self.spent = self.spent.max(now + Duration::from_secs(hours * 3600));
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    /// The most requests that a limiter lets through in any minute, asked for as fast as one can for a quarter of an hour.
    fn most_in_a_minute(quota: Quota) -> usize {
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        let mut passed = Vec::new();
        for ms in (0..900_000u64).step_by(5) {
            while limiter.check().is_ok() {
                passed.push(ms);
            }
            clock.advance(Duration::from_millis(5));
        }
        passed.iter().map(|from| passed.iter().filter(|ms| (*from..from + 60_000).contains(*ms)).count()).max().unwrap()
    }

    #[test]
    fn in_no_minute_are_more_than_four_fifths_of_googles_limits_used() {
        let account = most_in_a_minute(account_quota());
        assert!((400..=480).contains(&account), "{account}");
        // The same shape, a tenth as large, for the sake of time.
        let project = most_in_a_minute(quota(13, 20)) * 10;
        assert!((7_000..=8_010).contains(&project), "{project}");
    }

    #[test]
    fn writes_begin_gently_grow_with_success_and_halve_when_google_minds() {
        let mut lane = Lane::default();
        let mut now = Duration::ZERO;
        let waits: Vec<Duration> = (0..5).map(|_| lane.space(now)).collect();
        assert_eq!(waits, [0, 250, 500, 750, 1000].map(Duration::from_millis));
        for _ in 0..1000 {
            lane.went_well();
        }
        assert_eq!(lane.rate, RATE_MAX);
        lane.too_fast(now, None);
        assert_eq!((lane.rate, lane.stop(now, false)), (3.0, Duration::from_secs(2)));
        now += Duration::from_secs(2);
        assert_eq!(lane.stop(now, true), Duration::ZERO);
        lane.too_fast(now, Some(Duration::from_secs(60)));
        assert_eq!((lane.rate, lane.stop(now, false)), (1.5, Duration::from_secs(60)));
        for _ in 0..20 {
            lane.too_fast(now, None);
        }
        assert_eq!(lane.rate, RATE_MIN);
        assert!(lane.stop(now, false) <= Duration::from_secs(900));
    }

    #[test]
    fn who_has_made_too_much_still_reads() {
        let mut lane = Lane::default();
        lane.spent(Duration::ZERO);
        assert_eq!(
            (lane.stop(Duration::ZERO, false), lane.stop(Duration::ZERO, true).as_secs()),
            (Duration::ZERO, 3600)
        );
        for hours in [2, 4, 8, 12, 12] {
            lane.spent(Duration::ZERO);
            assert_eq!(lane.stop(Duration::ZERO, true).as_secs(), hours * 3600);
        }
    }

    #[test]
    fn a_refusal_is_about_haste_the_account_or_everybody() {
        for (reason, refusal) in [
            ("rateLimitExceeded", Refusal::Haste),
            ("userRateLimitExceeded", Refusal::Haste),
            ("quotaExceeded", Refusal::Spent),
            ("calendarUsageLimitsExceeded", Refusal::Spent),
            ("dailyLimitExceeded", Refusal::Project),
        ] {
            assert_eq!(Refusal::of(reason), refusal);
        }
    }
}
