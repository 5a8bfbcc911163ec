//! Everything that reads bytes from outside, on bytes that nobody wrote: whatever they are, there is an answer, no panic, no
//! more memory than the bytes can justify, and an end.
//!
//! The seeds are small files in `corpus/`, the golden files of the log, and what the program itself writes, changed here and
//! there. Where a checksum stands in front of a reader, it is often made to hold again, or nothing behind it would ever be
//! reached. `AGENTTRACER_FUZZ_CASES` says how many cases each test tries. A failure is made smaller and printed.

mod backup;
mod bodies;
mod corpus;
mod index;
mod log;
mod memory;
mod mutate;
mod queries;
#[path = "../../../ingest/tests/contract/world.rs"]
#[expect(dead_code, reason = "the tests of ingest use all of it")]
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Cases of each test when nobody says how many.
const CASES: u32 = 200;
/// Calls of the allocator after which a case counts as one without an end: a thousand times what any of them takes.
const WORK: usize = 20_000_000;

/// Tries cases until one fails, and fails with the smallest that does. The same cases in each run, others when
/// `AGENTTRACER_FUZZ_CASES` asks for their number.
fn check<S: Strategy>(cases: S, case: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    // Memory is counted for the whole process.
    let _alone = alone();
    let asked = std::env::var("AGENTTRACER_FUZZ_CASES").ok();
    let number = |text: &String| text.parse().unwrap_or_else(|_| panic!("AGENTTRACER_FUZZ_CASES={text} is no number"));
    let config = Config {
        cases: asked.as_ref().map_or(CASES, number),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    if let Err(error) = runner.run(&cases, case) {
        panic!("{error}");
    }
}

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does `work`; fails when it takes more than `bytes` of memory at any moment. The process ends when it calls the
/// allocator more than [`WORK`] times: then it would never come to an end.
fn bounded<T>(bytes: usize, work: impl FnOnce() -> T) -> Result<T, TestCaseError> {
    let counted = memory::Counted::begin(WORK);
    let outcome = work();
    let peak = counted.peak();
    prop_assert!(peak <= bytes, "{peak} bytes of memory were taken, of {bytes} that would be enough");
    Ok(outcome)
}

#[test]
fn a_large_allocation_is_seen() {
    let _alone = alone();
    assert!(bounded(1 << 20, || vec![1_u8; 1 << 19].len()).is_ok());
    assert!(bounded(1 << 20, || vec![1_u8; 3 << 20].len()).is_err());
    assert!(bounded(1 << 20, || vec![0_u8; 3 << 20].len()).is_err(), "also one that nobody writes to");
    let grown = bounded(1 << 20, || {
        let mut bytes = Vec::new();
        (0..3_u32 << 20).for_each(|n| bytes.push(n as u8));
        bytes.len()
    });
    assert!(grown.is_err());
}
