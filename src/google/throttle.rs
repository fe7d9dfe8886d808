//! How often Google is asked, and asked again. The only file that names `governor` and `backoff`, so that either can be left.
//!
//! Trying a write again is safe: a new event has an id of ours (a second insert answers 409), a change or deletion carries an
//! etag (a second one answers 412 or 410). What such an answer means is for the caller to find out.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backoff::backoff::Backoff;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::error::GoogleError;
use crate::model::plan::ErrorClass;

/// How patient we are, and how hasty.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Attempts at one call, the first included.
    pub tries: u32,
    /// The wait before the second attempt, on average; it doubles from there.
    pub first_delay: Duration,
    /// Calls a second for one account; none: as many as one likes.
    pub rate: Option<NonZeroU32>,
}

impl Pace {
    /// For Google: it allows 600 calls a minute and account (guide "Manage quotas"); we stay below.
    pub fn google() -> Self {
        Pace { tries: 3, first_delay: Duration::from_millis(500), rate: NonZeroU32::new(8) }
    }

    /// For an emulator, which has no quota unless told.
    pub fn emulator() -> Self {
        Pace { rate: None, ..Pace::google() }
    }

    /// For tests: as many tries, and no waiting.
    pub fn impatient() -> Self {
        Pace { tries: 3, first_delay: Duration::ZERO, rate: None }
    }
}

/// Keeps the pace of all accounts.
pub(super) struct Throttle {
    pace: Pace,
    /// By a digest of the access token, so that no token is kept here.
    accounts: Mutex<BTreeMap<[u8; 16], Arc<DefaultDirectRateLimiter>>>,
}

/// The longest wait within one call; what takes longer is for a later tick.
const LONGEST: Duration = Duration::from_secs(8);
/// Accounts remembered; beyond, all start afresh.
const ACCOUNTS: usize = 10_000;

impl Throttle {
    pub(super) fn new(pace: Pace) -> Self {
        Throttle { pace, accounts: Mutex::new(BTreeMap::new()) }
    }

    /// Waits until this account may ask.
    pub(super) async fn turn(&self, account: [u8; 16]) {
        let Some(rate) = self.pace.rate else { return };
        let limiter = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            if accounts.len() > ACCOUNTS {
                accounts.clear();
            }
            accounts.entry(account).or_insert_with(|| Arc::new(RateLimiter::direct(Quota::per_second(rate)))).clone()
        };
        limiter.until_ready().await;
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
