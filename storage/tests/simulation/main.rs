//! The log against a simulated disk: whatever the disk does, what was acknowledged is there, nothing is half, and
//! damage is named.
//!
//! One seed is one story: several lives of a log, each with appends, rotations, reads, failing calls, a full disk, and
//! an end that is clean, a kill, or a power loss in the middle of any disk call; at last some damage. Beside it runs a
//! plain model of what must hold. `AGENTTRACER_SIM_SEEDS=7..8` tells the story of seed 7 again, `0..10000` many.

mod damage;
mod history;
mod story;

use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use story::{Story, Tally};

/// The stories that every test run tells.
const SEEDS: Range<u64> = 0..300;
/// After as many failures no further story is begun.
const FAILURES_ENOUGH: usize = 10;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("AGENTTRACER_SIM_SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").unwrap_or(("0", &text));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) => from..to,
        _ => panic!("AGENTTRACER_SIM_SEEDS={text} is neither of the form 0..300 nor of the form 300"),
    }
}

#[test]
fn what_was_acknowledged_is_there_whatever_the_disk_does() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let told = Mutex::new((Tally::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || told.lock().unwrap().1.len() >= FAILURES_ENOUGH {
                        break;
                    }
                    // What went wrong was printed by the panic.
                    match catch_unwind(|| Story::new(seed).tell()) {
                        Ok(tally) => told.lock().unwrap().0.add(&tally),
                        Err(_) => told.lock().unwrap().1.push(seed),
                    }
                }
            });
        }
    });
    let (tally, failed) = told.into_inner().unwrap();
    let repeat = |seed: &u64| {
        format!(
            "\n    AGENTTRACER_SIM_SEEDS={seed}..{} cargo nextest run -p agenttracer-storage --test simulation --no-capture",
            seed + 1
        )
    };
    assert!(failed.is_empty(), "failed; to repeat:{}", failed.iter().map(repeat).collect::<String>());
    // A simulation in which nothing happens proves nothing.
    if seeds.end - seeds.start >= SEEDS.end {
        tally.assert_rich();
    }
}
