//! Everything that reads bytes from outside, on bytes that nobody wrote: whatever they are, there is an answer, no panic, and
//! no more memory than the bytes can justify.
//!
//! The seeds are small files in `corpus/` and the golden files of the log, changed here and there. Where a checksum stands
//! in front of a reader, it is often made to hold again, or nothing behind it would ever be reached.
//! `AGENTTRACER_FUZZ_CASES` says how many cases each test tries.

mod bodies;
mod corpus;
mod index;
mod log;
mod memory;
mod mutate;
mod queries;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proptest::test_runner::Config;

/// Cases of each test when nobody says how many.
const CASES: u32 = 250;
/// What a case may take before it counts as hanging. Far beyond what any takes, also on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(120);

fn config() -> Config {
    let cases = std::env::var("AGENTTRACER_FUZZ_CASES")
        .map(|text| text.parse().unwrap_or_else(|_| panic!("AGENTTRACER_FUZZ_CASES={text} is no number")));
    Config { cases: cases.unwrap_or(CASES), failure_persistence: None, max_shrink_iters: 2000, ..Config::default() }
}

/// Runs a case: alone, because memory is counted for the process, and to its end.
///
/// # Panics
/// When it takes more than `bytes` of memory at any moment, or does not end.
fn bounded<T: Send>(bytes: usize, case: impl FnOnce() -> T + Send) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone: MutexGuard<'_, ()> = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (outcome, peak) = std::thread::scope(|scope| {
        let (done, waits) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            if waits.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // A thread cannot be stopped: the process has to be.
                eprint_and_abort();
            }
        });
        let before = memory::begin();
        let outcome = case();
        let peak = memory::peak().saturating_sub(before);
        drop(done);
        (outcome, peak)
    });
    drop(alone);
    assert!(peak <= bytes, "{peak} bytes of memory were taken, of {bytes} that would be enough");
    outcome
}

#[expect(clippy::print_stderr, reason = "nobody else can say it")]
fn eprint_and_abort() {
    eprintln!("a case hangs: proptest prints its input when the same test runs under a debugger");
    std::process::abort();
}
