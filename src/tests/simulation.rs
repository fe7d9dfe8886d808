//! Simulated worlds, a few; `busybridge simulate` lives through many more.

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

#[test]
fn no_step_of_any_story_must_not_be_the_last() {
    let nursery = Nursery::new().unwrap();
    let (runs, wrong) = crash::all(&nursery);
    assert!(wrong.is_empty(), "{} of {runs}: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(runs > 100, "only {runs} runs");
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
