//! Whole worlds of people, calendars, clocks and misfortunes, lived through by the product's own planner, store and executor against
//! the emulator's core in the same process.
//!
//! ```text
//!   tape ──► people, faults, kills, second instances, lost and old databases
//!              │
//!              ▼                 each call and each commit waits at a gate until the tape lets it pass
//!   tick ── gate ──► google (the witness judges every write) ──► emulator core
//!     └──── gate ──► store over SQLite in memory
//!              │
//!              ▼  then quiet: everything comes to rest, and stands as an oracle says that is not the planner
//! ```
//!
//! Invariant: a run is a function of its tape. Nothing in it waits for a real clock, and no two things happen at once.

pub mod crash;
pub mod faults;
mod gate;
mod google;
mod judge;
mod people;
pub mod shown;
pub mod tape;
mod truth;
mod witness;
mod world;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{model::clock::Clock, store::Store, vault::Vault};
use tape::Tape;
use world::World;

/// What one world came to.
#[derive(Debug, Default)]
pub struct Life {
    /// What went wrong, first first; empty when all is well.
    pub violations: Vec<String>,
    /// All choices.
    pub tape: Vec<u32>,
    /// Of every request and answer.
    pub hash: u64,
    /// The last of what happened.
    pub log: Vec<String>,
    /// What was written where nothing may be learnt.
    pub told: Vec<String>,
    pub ticks: u64,
    pub calls: u64,
    pub faults: u64,
    pub writes: u64,
    /// How often each fault struck each kind of call.
    pub hits: BTreeMap<(usize, usize), u64>,
}

/// The mirror is monotone (S16), whichever statement writes it.
const NEVER_BACK: &str = "CREATE TRIGGER never_back BEFORE UPDATE ON mirror_events WHEN new.updated < old.updated
    BEGIN SELECT raise(ABORT, 'S16 an event goes back to an older version'); END";

/// What worlds are made from.
pub struct Nursery {
    template: PathBuf,
    _dir: TempDir,
}

impl Nursery {
    /// Prepares a database of this version's schema, which every world copies.
    ///
    /// # Errors
    /// A sentence, when there is no place for it.
    pub fn new() -> Result<Nursery, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let template = dir.path().join("template.db");
        let runtime = runtime()?;
        let made: Result<(), String> = runtime.block_on(async {
            let vault = Arc::new(Vault::from_keys([7; 32], [8; 32]));
            let store = Store::open(&template, vault, Clock::system()).await.map_err(|error| error.to_string())?;
            store.close().await;
            let options = SqliteConnectOptions::new().filename(&template);
            let mut connection = options.connect().await.map_err(|error| error.to_string())?;
            sqlx::query(NEVER_BACK).execute(&mut connection).await.map_err(|error| error.to_string())?;
            connection.close().await.map_err(|error| error.to_string())
        });
        made?;
        Ok(Nursery { template, _dir: dir })
    }

    /// One world from its tape. `salt` stands in all texts and ids of people, and makes no other difference.
    pub fn life(&self, tape: Tape, ticks: u32, salt: &str) -> Life {
        self.lived(tape, ticks, salt, true)
    }

    fn lived(&self, tape: Tape, ticks: u32, salt: &str, remembers: bool) -> Life {
        let done = runtime().map(|runtime| runtime.block_on(lived(tape, ticks, salt, &self.template, remembers)));
        done.unwrap_or_else(|error| Life { violations: vec![error], ..Life::default() })
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    // No sockets: without them a runtime is woken by less.
    tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| error.to_string())
}

async fn lived(tape: Tape, ticks: u32, salt: &str, template: &Path, remembers: bool) -> Life {
    let mut world = match World::new(tape, salt, template).await {
        Ok(world) => world,
        Err(error) => return Life { violations: vec![error], ..Life::default() },
    };
    world.scene.truth().remembers = remembers;
    let ended = world.live(ticks, template).await;
    let scene = world.scene.clone();
    let n_ticks = world.ticks;
    world.end().await;
    let mut truth = scene.truth();
    if let Err(error) = ended {
        truth.violation(format!("the world could not go on: {error}"));
    }
    Life {
        violations: std::mem::take(&mut truth.violations),
        tape: std::mem::take(&mut scene.tape().drawn),
        hash: truth.hash,
        log: std::mem::take(&mut truth.log).into(),
        told: std::mem::take(&mut truth.told),
        ticks: n_ticks,
        calls: truth.calls,
        faults: truth.faults,
        writes: truth.writes,
        hits: std::mem::take(&mut truth.hits),
    }
}

/// Keeps this thread, and those that it starts, on one core: a world hands its work to and fro between its own thread and its
/// database's, which is much quicker where neither has to be woken on another core.
fn stay_on_one_core(n: usize) {
    #[cfg(target_os = "linux")]
    if let Ok(all) = rustix::thread::sched_getaffinity(None) {
        let cores: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
        if let Some(core) = cores.get(n % cores.len().max(1)) {
            let mut one = rustix::thread::CpuSet::new();
            one.set(*core);
            // Without it the same is done, only slower.
            let _ = rustix::thread::sched_setaffinity(None, &one);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = n;
}

/// What many worlds came to.
#[derive(Debug, Default)]
pub struct Harvest {
    pub worlds: u64,
    pub ticks: u64,
    pub calls: u64,
    pub faults: u64,
    pub writes: u64,
    pub hits: BTreeMap<(usize, usize), u64>,
    /// Seeds that failed, with what was wrong first.
    pub failed: Vec<(u64, String)>,
}

/// Lives through the worlds of `seeds`, on as many threads as there are cores; `told` hears how many are done. After the tenth
/// failure no other begins.
pub fn many(nursery: &Nursery, seeds: std::ops::Range<u64>, ticks: u32, told: &(dyn Fn(u64) + Sync)) -> Harvest {
    let next = AtomicU64::new(seeds.start);
    let harvest = Mutex::new(Harvest::default());
    let end = seeds.end;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let (next, harvest) = (&next, &harvest);
        for n in 0..threads {
            scope.spawn(move || {
                stay_on_one_core(n);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let life = nursery.lived(Tape::seeded(seed), ticks, "aa", false);
                    let mut harvest = harvest.lock().unwrap_or_else(PoisonError::into_inner);
                    harvest.worlds += 1;
                    harvest.ticks += life.ticks;
                    harvest.calls += life.calls;
                    harvest.faults += life.faults;
                    harvest.writes += life.writes;
                    for (cell, n) in life.hits {
                        *harvest.hits.entry(cell).or_default() += n;
                    }
                    if let Some(first) = life.violations.into_iter().next() {
                        harvest.failed.push((seed, first));
                        if harvest.failed.len() >= 10 {
                            next.store(end, Ordering::Relaxed);
                        }
                    }
                    told(harvest.worlds);
                }
            });
        }
    });
    let mut harvest = harvest.into_inner().unwrap_or_else(PoisonError::into_inner);
    harvest.failed.sort();
    harvest
}
