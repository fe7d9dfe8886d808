//! How the service is: one word for whoever asks from outside, a few for the operator. Clones share it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::store::StoreError;

/// So long without a turn of the loop, and something is stuck.
const STALLED: Duration = Duration::from_secs(90);

/// What keeps the service from its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Not everything is there yet.
    Starting,
    /// It is being stopped.
    Stopping,
    /// Nothing can be recorded, so nothing is done. Ends by itself once there is room.
    DiskFull,
    /// The database is damaged. Nothing is done until a backup is restored.
    Damaged,
    /// The loop does not turn.
    Stalled,
}

impl Trouble {
    /// The code that outsiders see.
    pub fn code(self) -> &'static str {
        match self {
            Trouble::Starting => "starting",
            Trouble::Stopping => "stopping",
            Trouble::DiskFull => "disk_full",
            Trouble::Damaged => "db_corrupt",
            Trouble::Stalled => "stalled",
        }
    }
}

/// The state of health.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<State>);

#[derive(Debug, Default)]
struct State {
    started: AtomicBool,
    stopping: AtomicBool,
    /// Milliseconds on the service's own clock.
    beat: AtomicU64,
    database: Mutex<Option<Trouble>>,
}

impl Health {
    /// The loop turns.
    pub fn beat(&self, moment: Duration) {
        self.0.beat.store(u64::try_from(moment.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.started.store(true, Ordering::Relaxed);
    }

    /// The loop ends.
    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// What our own database said last: an error, or that all is well. Damage does not heal by itself.
    pub fn database(&self, error: Option<&StoreError>) {
        let mut database = self.0.database.lock().unwrap_or_else(PoisonError::into_inner);
        if *database == Some(Trouble::Damaged) {
            return;
        }
        *database = match error {
            Some(StoreError::Damaged(_)) => Some(Trouble::Damaged),
            Some(StoreError::DiskFull(_) | StoreError::NoRoom) => Some(Trouble::DiskFull),
            Some(_) => *database,
            None => None,
        };
    }

    /// Whether nothing may be done any more.
    pub fn is_damaged(&self) -> bool {
        *self.0.database.lock().unwrap_or_else(PoisonError::into_inner) == Some(Trouble::Damaged)
    }

    /// The worst that there is; none: all is well.
    pub fn trouble(&self, moment: Duration) -> Option<Trouble> {
        let state = &self.0;
        let database = *state.database.lock().unwrap_or_else(PoisonError::into_inner);
        let beat = Duration::from_millis(state.beat.load(Ordering::Relaxed));
        match database {
            Some(trouble) => Some(trouble),
            None if state.stopping.load(Ordering::Relaxed) => Some(Trouble::Stopping),
            None if !state.started.load(Ordering::Relaxed) => Some(Trouble::Starting),
            None if moment.saturating_sub(beat) > STALLED => Some(Trouble::Stalled),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_told_and_damage_stays() {
        let health = Health::default();
        let at = Duration::from_secs;
        assert_eq!(health.trouble(at(0)), Some(Trouble::Starting));
        health.beat(at(1));
        assert_eq!(health.trouble(at(60)), None);
        assert_eq!(health.trouble(at(120)), Some(Trouble::Stalled));
        health.beat(at(120));
        health.database(Some(&StoreError::DiskFull(sqlx_full())));
        assert_eq!(health.trouble(at(121)), Some(Trouble::DiskFull));
        health.database(None);
        assert_eq!(health.trouble(at(121)), None);
        health.database(Some(&StoreError::Damaged("page 7".into())));
        health.database(None);
        assert!(health.is_damaged());
        health.stopping();
        assert_eq!(health.trouble(at(121)), Some(Trouble::Damaged));
    }

    fn sqlx_full() -> sqlx::Error {
        sqlx::Error::PoolTimedOut
    }
}
