//! The engine against a simulated Directus in virtual time: whatever is written and whatever breaks, a live list ends equal
//! to its REST read, and never shows what it must not show.
//!
//! `LEPTOS_DIRECTUS_MODEL_CASES=100000` runs so many scripts in place of the usual few, `LEPTOS_DIRECTUS_SEED=7` other ones.
//! A failure prints the smallest script that shows it, ready to become a test of its own in `model/stories.rs`.

// There is no proptest in a browser.
#![cfg(not(target_arch = "wasm32"))]

mod contract;
#[path = "model/mod.rs"]
mod model;

use std::{cell::RefCell, time::Instant};

use model::{
    run::{Tally, run},
    script::{Op, Script, script},
};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

fn setting(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => usual,
    }
}

#[test]
fn a_live_list_ends_equal_to_rest_and_never_shows_what_it_must_not() {
    let cases = setting("LEPTOS_DIRECTUS_MODEL_CASES", 2_500);
    let seed = setting("LEPTOS_DIRECTUS_SEED", 1);
    let config = Config {
        cases: u32::try_from(cases).unwrap_or(u32::MAX),
        // A failure prints its smallest script; a file beside the sources would be one more thing to keep.
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let all = RefCell::new(Tally::default());
    let started = Instant::now();
    let result = runner.run(&script(), |script: Script| {
        let tally = run(&script, false).map_err(TestCaseError::fail)?;
        let mut all = all.borrow_mut();
        all.steps += tally.steps;
        all.rows_written += tally.rows_written;
        all.comparisons += tally.comparisons;
        all.reads += tally.reads;
        all.key_reads += tally.key_reads;
        Ok(())
    });
    let Tally { steps, rows_written, comparisons, reads, key_reads } = *all.borrow();
    println!(
        "seed {seed}: {cases} scripts, {steps} steps, {rows_written} rows written, {reads} reads ({key_reads} of keys), \
         {comparisons} comparisons with REST, {:.1} s",
        started.elapsed().as_secs_f32()
    );
    match result {
        Ok(()) => assert!(steps >= 10 * cases, "{steps} steps are few for {cases} scripts"),
        Err(TestError::Fail(_, script)) => {
            let what = run(&script, true).err().unwrap_or_else(|| "it failed, and does not any more".to_owned());
            panic!("seed {seed}: {what}\n{script:?}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// Whoever reads what failed reads no more than what it took.
#[test]
fn a_script_that_fails_shrinks_to_what_it_took() {
    // Whatever the environment says: without any there is nothing to see here.
    let config = Config { failure_persistence: None, max_shrink_iters: 100_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let takes_two = |script: &Script| {
        let sleeps = script.ops.iter().position(|op| matches!(op, Op::Sleep { .. }));
        sleeps.is_some_and(|at| script.ops[at..].iter().any(|op| matches!(op, Op::Online)))
    };
    let result = runner.run(&script(), |script| match takes_two(&script) {
        true => Err(TestCaseError::fail("somebody slept, and was online after that")),
        false => Ok(()),
    });
    let Err(TestError::Fail(_, least)) = result else { panic!("no script has both: {result:?}") };
    assert!(takes_two(&least), "{least:?}");
    // No script has fewer than these, and something to look at.
    assert_eq!(least.ops.len(), 1 + 3, "{least:?}");
}
