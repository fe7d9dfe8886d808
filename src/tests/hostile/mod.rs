//! Hostile data: whatever comes from outside is read or refused, and never ends the process, costs more than itself, or is believed
//! without proof. `HOSTILE_CASES` chooses how often each property is tried (3,000 by default), `HOSTILE_SEED` other cases.

mod catalogue;
mod events;
mod inputs;
mod outside;
mod secrets;

use std::fmt::Debug;

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner},
};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Tries a property on as many cases as are asked for; a case that fails is made smaller and shown.
fn holds<S: Strategy>(of: S, property: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: Debug,
{
    let cases = u32::try_from(number("HOSTILE_CASES", 3_000)).unwrap();
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("HOSTILE_SEED", 1).to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let begun = std::time::Instant::now();
    if let Err(error) = runner.run(&of, property) {
        panic!("{error}");
    }
    println!("{cases} cases in {:.1} s", begun.elapsed().as_secs_f64());
}
