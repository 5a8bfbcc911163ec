//! The engine against a simulated disk: log, applier and indexer, driven step by step from one seed. Whatever the disk
//! does, what was acknowledged is answered, nothing is half, the index is the fold of the log, and damage is named.
//!
//! One seed is one story: several lives of a data directory, each with runs that arrive, rotations, commits and merges of
//! the index, reads, failing calls, a full disk, a clock that jumps, and an end that is clean, a kill, or a loss of
//! power in the middle of any disk call; at last some damage. Beside it runs a plain model of what must hold.
//! `storage/tests/simulation` is about the log alone: it reaches more states of it in less time, with batches of any
//! bytes, and measures to the byte what damage may cost.
//!
//! `AGENTTRACER_SIM_SEED=7` tells one story again, with what happened in it. `AGENTTRACER_SIM_SEEDS=20000` (or
//! `5000..6000`) tells many, `AGENTTRACER_SIM_MINUTES=60` as many as there is time for, other ones each night.

mod bugs;
mod damage;
mod engine;
mod model;
mod randomness;
mod story;
mod tally;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use story::{Diary, Story};
use tally::Tally;

/// The stories that every test run tells.
const SEEDS: Range<u64> = 0..480;
/// After as many failures no further story is begun.
const FAILURES_ENOUGH: usize = 1;
/// The stories are dealt out to so many tests, which run side by side.
const SHARDS: u64 = 4;

/// One story is told at a time: randomness is one for the whole process. With nextest each test has its own.
static TELLING: Mutex<()> = Mutex::new(());

/// How a story ended.
struct Told {
    trace: u64,
    tally: Tally,
}

/// Tells the story of a seed; on failure what happened, and how to see it again.
fn tell(seed: u64) -> Result<Told, String> {
    let _alone = TELLING.lock().unwrap_or_else(PoisonError::into_inner);
    randomness::follows_from(seed);
    let diary = Diary::default();
    let written = diary.clone();
    // A thread of its own: it has not yet drawn the keys of its hash maps.
    let story = std::thread::Builder::new().name("story".to_owned()).spawn(move || {
        let told = catch_unwind(AssertUnwindSafe(|| Story::new(seed, written).tell()));
        told.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
        })
    });
    let told = story.expect("a thread").join().expect("it catches its panics");
    told.map(|(tally, trace)| Told { trace, tally }).map_err(|what| {
        format!(
            "simulation failed: seed={seed} steps={}: {what}\n{}to repeat:\n    AGENTTRACER_SIM_SEED={seed} cargo nextest \
             run -p agenttracer-server --test simulation stories --no-capture\n",
            diary.steps(),
            diary.last_words(),
        )
    })
}

/// Which stories are told.
enum Stories {
    One(u64),
    Range(Range<u64>),
    For(Duration),
}

impl Stories {
    fn wanted() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        if let Some(text) = variable("AGENTTRACER_SIM_SEED") {
            return Self::One(text.parse().unwrap_or_else(|_| panic!("AGENTTRACER_SIM_SEED={text} is no number")));
        }
        if let Some(text) = variable("AGENTTRACER_SIM_MINUTES") {
            let minutes: u64 = text.parse().unwrap_or_else(|_| panic!("AGENTTRACER_SIM_MINUTES={text} is no number"));
            return Self::For(Duration::from_secs(minutes * 60));
        }
        let Some(text) = variable("AGENTTRACER_SIM_SEEDS") else { return Self::Range(SEEDS) };
        let (from, to) = text.split_once("..").unwrap_or(("0", &text));
        match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => Self::Range(from..to),
            _ => panic!("AGENTTRACER_SIM_SEEDS={text} is neither of the form 0..300 nor of the form 300"),
        }
    }
}

/// Tells the stories of one shard.
fn tell_shard(shard: u64) {
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    let mut told = 0;
    let mut hear = |seed: u64| {
        match tell(seed) {
            Ok(Told { tally: more, .. }) => tally.add(&more),
            Err(what) => failed.push(what),
        }
        told += 1;
        failed.len() < FAILURES_ENOUGH
    };
    let mut is_rich = false;
    match Stories::wanted() {
        Stories::One(seed) if seed % SHARDS == shard => {
            hear(seed);
        }
        Stories::One(_) => {}
        Stories::Range(seeds) => {
            is_rich = seeds.end - seeds.start >= SEEDS.end;
            let _ = seeds.filter(|seed| seed % SHARDS == shard).all(&mut hear);
        }
        Stories::For(time) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
            let first = now.as_secs() << 20;
            let until = Instant::now() + time;
            let _ = (first..).filter(|seed| seed % SHARDS == shard).all(|seed| Instant::now() < until && hear(seed));
        }
    }
    assert!(failed.is_empty(), "of {told} stories {} failed\n\n{}", failed.len(), failed.join("\n"));
    // A simulation in which nothing happens proves nothing.
    if is_rich {
        tally.assert_rich();
    }
}

#[test]
fn stories_of_the_first_quarter_hold() {
    tell_shard(0);
}

#[test]
fn stories_of_the_second_quarter_hold() {
    tell_shard(1);
}

#[test]
fn stories_of_the_third_quarter_hold() {
    tell_shard(2);
}

#[test]
fn stories_of_the_last_quarter_hold() {
    tell_shard(3);
}

/// Without this no failure could be repeated.
#[test]
#[cfg(target_os = "linux")]
fn the_same_seed_gives_the_same_disk_calls() {
    let trace = |seed| tell(seed).unwrap_or_else(|what| panic!("{what}")).trace;
    for seed in 0..12 {
        assert_eq!(trace(seed), trace(seed), "seed {seed} told two stories");
    }
    assert_ne!(trace(0), trace(1));
}
