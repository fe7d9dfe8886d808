//! What is true in a world, as its people know it, and what went wrong there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};

use super::faults::BY_CHANCE;
use crate::{
    emulator::state::Stored,
    model::{calendar::Role, item::ItemKey},
};

/// Lines of history that are kept; a world of ordinary length stays below it.
const LONGEST_LOG: usize = 50_000;

/// Somebody with calendars.
#[derive(Clone, Debug)]
pub struct Person {
    pub email: String,
    pub subject: String,
    pub places: Vec<Place>,
    pub paused: bool,
}

/// One calendar of somebody.
#[derive(Clone, Debug)]
pub struct Place {
    pub id: String,
    pub account: String,
    pub role: Role,
    /// Whether its person wants it, or wants to leave it.
    pub wanted: bool,
    /// Nothing is read from it or written to it for a while.
    pub paused: bool,
}

impl Place {
    /// Its person leaves it or wants it again; who leaves a calendar that rests wants it tidied now.
    pub fn turn(&mut self) {
        (self.wanted, self.paused) = (!self.wanted, false);
    }
}

/// What the witness holds the brake to; in words of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brake {
    /// So many removals at once are always let through.
    pub count: usize,
    /// Hundredths of what is kept that are.
    pub percent: usize,
}

/// Removals of one round from one calendar.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removals {
    pub n: usize,
    /// How much stood there before the first.
    pub kept: usize,
}

/// What has happened, as people know it.
#[derive(Default)]
pub struct Truth {
    pub people: Vec<Person>,
    /// An administrator lets everything rest.
    pub paused: bool,
    /// Origins of which it was once true that they need not be shown (deleted, free, declined, another rule).
    pub unwanted: BTreeSet<(String, String)>,
    /// What a person switched off: nothing flows from the first calendar to the second.
    pub off: BTreeSet<(usize, String, String)>,
    /// What was ever switched off.
    pub was_off: BTreeSet<(usize, String, String)>,
    /// Origins whose copies somebody laid hands on; true: removed or declined one.
    pub touched: BTreeMap<(String, String), bool>,
    /// Every event that any installation made, with what it is, whoever took its marker off since. None is ever a reason for anything.
    pub made: BTreeMap<(String, String), (usize, ItemKey)>,
    /// Meetings whose copies people said they do not want back, by person and iCalUID; of a series perhaps one slot alone, in seconds
    /// since 1970.
    pub away: BTreeSet<(usize, String, Option<i64>)>,
    /// What another engine copied from one calendar to another.
    pub copied: BTreeSet<(String, String, String)>,
    /// When each event of ours was written in the last hour.
    pub pace: BTreeMap<(String, String), Vec<DateTime<Utc>>>,
    /// When the brake has to hold removals.
    pub brake: Brake,
    /// Removals that a person agreed to, by calendar and event.
    pub agreed: BTreeSet<(String, String)>,
    /// Ticks that run at the same time.
    pub lanes: usize,
    /// What these ticks removed, by calendar and whether it was somebody's own.
    pub removals: BTreeMap<(String, bool), Removals>,
    /// Events of ours whose tombstone somebody undid.
    pub revived: BTreeSet<(String, String)>,
    /// Two installations with one set of keys and a database each serve the same people: what one changes on a copy is somebody's edit
    /// for the other, which nobody but a person could tell apart.
    pub apart: bool,
    /// Faults strike.
    pub stormy: bool,
    /// The answer to the next call is lost.
    pub lose: bool,
    /// How often each fault strikes, in a thousand; 0: never in this world.
    pub rates: [u32; BY_CHANCE],
    pub hits: BTreeMap<(usize, usize), u64>,
    pub calls: u64,
    pub faults: u64,
    pub writes: u64,
    /// What went wrong, first first.
    pub violations: Vec<String>,
    /// Of everything that was asked and answered.
    pub hash: u64,
    pub log: VecDeque<String>,
    /// Whether the log is kept.
    pub remembers: bool,
    /// What was written to calendars that must learn nothing, without ids and markers (two runs are compared by it).
    pub told: Vec<String>,
    /// Calendars as they were, for stale answers.
    pub past: BTreeMap<String, VecDeque<BTreeMap<String, Stored>>>,
}

impl Truth {
    /// Counts a fault, or what comes of one.
    pub fn hit(&mut self, fault: usize, step: usize) {
        self.faults += u64::from(fault < BY_CHANCE);
        *self.hits.entry((fault, step)).or_default() += 1;
    }

    /// Notes what must never be.
    pub fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    /// Adds a line to the history.
    pub fn note(&mut self, text: &str) {
        self.hash = xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), self.hash);
        if !self.remembers {
            return;
        }
        if self.log.len() > LONGEST_LOG {
            self.log.pop_front();
        }
        self.log.push_back(text.to_owned());
    }
}
