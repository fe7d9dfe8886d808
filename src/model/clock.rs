//! Time as a value that is handed in: the only door to the wall clock.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// A wall clock in UTC. Clones show the same time, and a shift through one is seen by all.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// The machine's clock plus a fixed distance in microseconds.
    System(i64),
    /// Stands still until moved; microseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock(Source::System(0))
    }

    /// A clock that shows `now` at this moment and runs on from there.
    pub fn starting_at(now: DateTime<Utc>) -> Self {
        Clock(Source::System(now.timestamp_micros() - machine().timestamp_micros()))
    }

    /// A clock that stands still until [`Clock::advance`].
    pub fn manual(now: DateTime<Utc>) -> Self {
        Clock(Source::Manual(Arc::new(AtomicI64::new(now.timestamp_micros()))))
    }

    /// The present instant.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System(shift) => machine() + TimeDelta::microseconds(*shift),
            Source::Manual(us) => {
                DateTime::from_timestamp_micros(us.load(Ordering::SeqCst)).unwrap_or(DateTime::UNIX_EPOCH)
            }
        }
    }

    /// Moves a manual clock; a running clock runs by itself and ignores it.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual(us) = &self.0 {
            us.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn machine() -> DateTime<Utc> {
    Utc::now()
}
