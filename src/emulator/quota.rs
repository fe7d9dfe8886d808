//! Limits of use: requests a minute of one user and of the project, bursts of writes to one calendar, events created in
//! a few hours (checklist K03–K06). Every limit is off by default and set in [`Settings`].

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Caller, http::ApiError, scopes::Method, settings::Settings};

/// Uses of the recent past.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    users: BTreeMap<String, Window>,
    project: Window,
    writes: BTreeMap<String, Window>,
    created: BTreeMap<String, Window>,
}

/// Units used, each with its instant, oldest first.
#[derive(Clone, Debug, Default)]
struct Window(VecDeque<(DateTime<Utc>, u32)>);

impl Window {
    fn used(&mut self, now: DateTime<Utc>, length: TimeDelta) -> u32 {
        while self.0.front().is_some_and(|(at, _)| *at <= now - length) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, units)| units).sum()
    }

    fn add(&mut self, now: DateTime<Utc>, units: u32) {
        self.0.push_back((now, units));
    }
}

impl Quota {
    /// Charges one call. `calendar` is the one it names, as written in the path. A refused call is charged too: failed and
    /// retried requests count (semantics §11).
    ///
    /// # Errors
    /// 403 or 429 in domain `usageLimits`.
    pub fn charge(
        &mut self,
        settings: &Settings,
        now: DateTime<Utc>,
        caller: &Caller,
        method: Method,
        calendar: Option<&str>,
    ) -> Result<(), ApiError> {
        let minute = TimeDelta::minutes(1);
        let over = |window: &mut Window, limit: u32, length: TimeDelta, units: u32| {
            if limit == 0 {
                return false;
            }
            let over = window.used(now, length) + units > limit;
            window.add(now, units);
            over
        };
        let user = self.users.entry(caller.email.clone()).or_default();
        let user_over = over(user, settings.user_quota, minute, method.units());
        let project_over = over(&mut self.project, settings.project_quota, minute, method.units());
        if user_over {
            return Err(limited(settings, "userRateLimitExceeded", "User Rate Limit Exceeded"));
        }
        if project_over {
            return Err(limited(settings, "rateLimitExceeded", "Rate Limit Exceeded"));
        }
        if !method.writes_events() {
            return Ok(());
        }
        let primary = calendar.filter(|c| *c != "primary").unwrap_or(&caller.email).to_owned();
        if over(self.writes.entry(primary).or_default(), settings.calendar_write_burst, TimeDelta::seconds(10), 1) {
            return Err(limited(settings, "rateLimitExceeded", "Rate Limit Exceeded"));
        }
        let created = self.created.entry(caller.email.clone()).or_default();
        let hours = TimeDelta::hours(6);
        if settings.creation_quota > 0 && created.used(now, hours) >= settings.creation_quota {
            // The account may read, but for hours write nothing (K06).
            return Err(ApiError::new(403, "quotaExceeded", "Calendar usage limits exceeded.").domain("usageLimits"));
        }
        if matches!(method.name, "events.insert" | "events.import") {
            over(created, settings.creation_quota, hours, 1);
        }
        Ok(())
    }
}

fn limited(settings: &Settings, reason: &'static str, message: &str) -> ApiError {
    // With status 429 Google documents only one reason.
    let (status, reason) = if settings.limits_as_429 { (429, "rateLimitExceeded") } else { (403, reason) };
    ApiError::new(status, reason, message).domain("usageLimits")
}
