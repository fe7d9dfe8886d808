//! Simulated worlds, a few; `busybridge simulate` lives through many more.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::model::mutant::{self, Mutant};
use crate::simulation::{
    Life, Nursery, crash,
    tape::{Tape, from_text, shrink, to_text},
};

#[test]
fn a_life_is_a_function_of_its_tape() {
    let nursery = Nursery::new().unwrap();
    // In the last two an old channel stands beside a new one of the same calendar.
    for (seed, ticks) in (0..12).map(|seed| (seed, 20)).chain([(199, 60), (204, 60)]) {
        let first = nursery.life(Tape::seeded(seed), ticks, "aa");
        let again = nursery.life(Tape::of(first.tape.clone()), ticks, "aa");
        assert_eq!((first.hash, first.calls, first.ticks), (again.hash, again.calls, again.ticks), "seed {seed}");
        assert!(first.calls > 20, "something happens: {} calls", first.calls);
    }
}

/// `SIMULATION_FROM` and `SIMULATION_SEEDS` choose others, and more.
#[tokio::test]
async fn nothing_goes_wrong_in_some_worlds() {
    let of = |name: &str, usual: &str| std::env::var(name).unwrap_or(usual.into());
    let (from, seeds) = (of("SIMULATION_FROM", "0"), of("SIMULATION_SEEDS", "12"));
    let line = ["busybridge", "simulate", "--from", &from, "--seeds", &seeds, "--ticks", "25", "--shrink", "40"];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = crate::cli::run(line.map(Into::into), &BTreeMap::new(), &mut out, &mut err).await;
    let told = format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    println!("{told}");
    assert_eq!(code, 0, "{told}");
}

/// Two lives that differ in nothing but what people write look the same to every client (reliability S2).
#[test]
fn what_clients_are_told_does_not_depend_on_what_people_write() {
    let nursery = Nursery::new().unwrap();
    for seed in 100..106 {
        let one = nursery.life(Tape::seeded(seed), 20, "aa");
        let other = nursery.life(Tape::of(one.tape.clone()), 20, "bb");
        let plain =
            |told: &[String]| told.iter().map(|line| line.replace("bb.example", "aa.example")).collect::<Vec<_>>();
        let (one, other) = (plain(&one.told), plain(&other.told));
        let at = one.iter().zip(&other).position(|(one, other)| one != other);
        assert!(at.is_none() && one.len() == other.len(), "seed {seed}: {:?}", at.map(|at| (&one[at], &other[at])));
        assert!(!one.is_empty(), "seed {seed}: nothing was told");
    }
}

#[test]
fn no_step_of_any_story_must_not_be_the_last() {
    let nursery = Nursery::new().unwrap();
    let (runs, wrong) = crash::all(&nursery);
    assert!(wrong.is_empty(), "{} of {runs}: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(runs > 100, "only {runs} runs");
}

/// Worlds in which each planted bug has to show itself.
const BUDGET: u64 = 200;
/// Their ticks.
const TICKS: u32 = 25;
/// Smaller tapes that are tried before one is kept.
const TRIES: usize = 40;

fn tapes() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/tapes")
}

fn kept(bug: Mutant) -> PathBuf {
    tapes().join(format!("{bug:?}.txt"))
}

/// The first world in which a planted bug shows itself, and how.
fn caught(nursery: &Nursery, bug: Mutant) -> Option<(u64, Life)> {
    mutant::plant(Some(bug));
    let lives = (0..BUDGET).map(|seed| (seed, nursery.life(Tape::seeded(seed), TICKS, "aa")));
    let found = lives.into_iter().find(|(_, life)| !life.violations.is_empty());
    mutant::plant(None);
    found
}

/// Keeps the smallest tape on which the bug still shows itself in the same way.
fn keep(nursery: &Nursery, bug: Mutant, seed: u64, life: &Life) {
    let kind = |life: &Life| life.violations.first().and_then(|text| text.split_whitespace().next().map(str::to_owned));
    mutant::plant(Some(bug));
    let small =
        shrink(&life.tape, TRIES, |tape| kind(&nursery.life(Tape::of(tape.to_vec()), TICKS, "aa")) == kind(life));
    let how = nursery.life(Tape::of(small.clone()), TICKS, "aa").violations.remove(0);
    mutant::plant(None);
    let remark = format!("{bug:?}, from seed {seed}: {}", how.chars().take(120).collect::<String>());
    fs::create_dir_all(tapes()).unwrap();
    fs::write(kept(bug), to_text(&remark, TICKS, &small)).unwrap();
}

/// `TAPES=write` looks only for those that have no tape in `testdata/tapes`, and keeps the smallest of each.
#[test]
fn every_bug_of_the_past_is_found() {
    let write = std::env::var("TAPES").is_ok_and(|word| word == "write");
    let nursery = Nursery::new().unwrap();
    let next = AtomicUsize::new(0);
    let told = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(bug) = mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if write && kept(*bug).exists() {
                        continue;
                    }
                    let found = caught(&nursery, *bug);
                    if let Some((seed, life)) = found.as_ref().filter(|_| write) {
                        keep(&nursery, *bug, *seed, life);
                    }
                    let found = found.map(|(seed, mut life)| (seed, life.violations.remove(0)));
                    told.lock().unwrap().push((*bug, found));
                }
            });
        }
    });
    let told = told.into_inner().unwrap();
    for (bug, found) in &told {
        let how = found.as_ref().map(|(seed, how)| (seed + 1, how.chars().take(90).collect::<String>()));
        println!("{bug:?}: {how:?}");
    }
    let survivors: Vec<_> = told.iter().filter(|(_, found)| found.is_none()).map(|(bug, _)| bug).collect();
    assert!(survivors.is_empty(), "{survivors:?}");
}

/// A kept tape is the smallest story that shows a bug of the past, and nothing goes wrong in it without that bug. What worlds do
/// changes what a tape means; then they are written anew, as [`every_bug_of_the_past_is_found`] says.
#[test]
fn kept_tapes_tell_of_their_bugs_and_stay_well_without_them() {
    let nursery = Nursery::new().unwrap();
    for bug in mutant::ALL {
        let text = fs::read_to_string(kept(bug)).unwrap_or_else(|_| panic!("{bug:?} has no kept tape"));
        let (ticks, tape) = from_text(&text).expect("a tape");
        let well = nursery.life(Tape::of(tape.clone()), ticks, "aa");
        assert!(well.violations.is_empty(), "{bug:?}: {:?}", well.violations);
        mutant::plant(Some(bug));
        let ill = nursery.life(Tape::of(tape), ticks, "aa");
        mutant::plant(None);
        assert!(!ill.violations.is_empty(), "{bug:?} does not show itself on its tape; TAPES=write keeps another");
    }
}

#[test]
fn a_tape_shrinks_to_what_matters_and_is_kept_as_text() {
    let tape: Vec<u32> = (0..200).map(|n| n % 7).collect();
    let fails = |tape: &[u32]| tape.iter().filter(|value| **value == 6).count() >= 3;
    let small = shrink(&tape, 2000, fails);
    assert_eq!(small, [6, 6, 6]);
    let text = to_text("why\nthis", 12, &[0, 0, 0, 0, 5, 6, 6]);
    assert_eq!(text, "# why\n# this\nticks 12\n0*4 5 6 6\n");
    assert_eq!(from_text(&text), Some((12, vec![0, 0, 0, 0, 5, 6, 6])));
}
