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

use crate::model::mutant;
use crate::simulation::{
    Nursery, crash,
    tape::{Tape, from_text, shrink, to_text},
};

#[test]
fn a_life_is_a_function_of_its_tape() {
    let nursery = Nursery::new().unwrap();
    for seed in 0..4 {
        let first = nursery.life(Tape::seeded(seed), 20, "aa");
        let again = nursery.life(Tape::of(first.tape.clone()), 20, "aa");
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

/// Worlds of 25 ticks in which each planted bug has to show itself.
const BUDGET: u64 = 200;

#[test]
fn every_bug_of_the_past_is_found() {
    let nursery = Nursery::new().unwrap();
    let next = AtomicUsize::new(0);
    let told = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(bug) = mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    mutant::plant(Some(*bug));
                    let found = (0..BUDGET).find_map(|seed| {
                        let life = nursery.life(Tape::seeded(seed), 25, "aa");
                        Some((seed, life.violations.into_iter().next()?))
                    });
                    mutant::plant(None);
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

#[test]
fn kept_tapes_stay_well() {
    let nursery = Nursery::new().unwrap();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/tapes");
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let (ticks, tape) = from_text(&fs::read_to_string(&path).unwrap()).expect("a tape");
        let life = nursery.life(Tape::of(tape), ticks, "aa");
        assert!(life.violations.is_empty(), "{}: {:?}", path.display(), life.violations);
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
