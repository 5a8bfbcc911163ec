//! The log and the index on one simulated disk: the power goes at some disk call of either. After the restart every run
//! that was acknowledged is there once, and every other one is whole or absent.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agenttracer_index::{Index, commit_channel, known_durable};
use agenttracer_model::sample;
use agenttracer_storage::disk::{Disk, SimDisk, SystemClock};
use agenttracer_storage::{Log, Options as LogOptions, Recovery, SegmentedLog, SubmitError, record};
use support::{NOW, all, options};
use uuid::Uuid;

const RUNS: u64 = 60;

fn open(disk: &Arc<dyn Disk>, seed: u64) -> (Arc<SegmentedLog>, Index, Recovery) {
    let index_dir = Path::new("/data/index");
    let (follower, commits) = commit_channel(4);
    let clock = Arc::new(SystemClock::default());
    let log_options = LogOptions {
        segment_bytes: 64 << 10,
        known_durable: known_durable(disk, index_dir).unwrap(),
        new_log_id: Uuid::from_u128(u128::from(seed)),
        ..LogOptions::default()
    };
    let (log, recovery) =
        SegmentedLog::open(Arc::clone(disk), clock.clone(), Path::new("/data"), log_options, Box::new(follower))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let index = Index::open(Arc::clone(disk), clock, index_dir, Arc::clone(&log) as _, commits, options(), &mut |_| {})
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    (log, index, recovery)
}

/// Appends runs until the disk dies or all are in; returns the ids that were acknowledged.
fn append(log: &SegmentedLog, first: u64) -> BTreeSet<Uuid> {
    let (done, outcomes) = crossbeam_channel::unbounded();
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let done = done.clone();
            scope.spawn(|| {
                let done = done;
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + RUNS {
                        return;
                    }
                    let run = sample::run(seed);
                    let (id, batch) = (run.run_id, record::encode_run(&run, NOW));
                    let (told, outcome) = crossbeam_channel::bounded(1);
                    let ticket = Box::new(move |result| {
                        let _ = told.send(result);
                    });
                    match log.submit(batch, ticket) {
                        Ok(()) => {}
                        Err(SubmitError::TooLarge) => panic!("a sample fits"),
                        Err(_) => return,
                    }
                    match outcome.recv_timeout(Duration::from_secs(60)).expect("a ticket is resolved") {
                        Ok(_) => done.send(id).unwrap(),
                        Err(_) => return,
                    }
                }
            });
        }
    });
    outcomes.try_iter().collect()
}

#[test]
fn acknowledged_runs_survive_a_power_loss() {
    let (mut died, mut acknowledged_in_all) = (0, 0);
    for seed in 0..32 {
        let mut sim = SimDisk::new(seed);
        let mut acknowledged = BTreeSet::new();
        for generation in 0..3 {
            let disk: Arc<dyn Disk> = Arc::new(sim.clone());
            let (log, index, _) = open(&disk, seed);
            let shown = all(&index.snapshot());
            for id in &acknowledged {
                assert!(shown.contains_key(id), "seed {seed}, generation {generation}: {id} is missing");
            }
            let whole: BTreeMap<Uuid, _> =
                (0..3 * RUNS).map(sample::run).map(|run| (run.run_id, (run.started_at, run.steps.len()))).collect();
            for (id, run) in &shown {
                let (started_at, steps) = whole[id];
                assert_eq!((run.whole, run.started_at, run.step_count() as usize), (true, started_at, steps));
            }
            sim.crash_at_change((seed * 31 + generation * 17) % 300);
            acknowledged.extend(append(&log, generation * RUNS));
            let _ = index.commit_now();
            died += u32::from(sim.has_crashed());
            drop(index);
            drop(log);
            sim = sim.restart();
        }
        acknowledged_in_all += acknowledged.len();
    }
    assert!(died > 30 && acknowledged_in_all > 500, "{died} died, {acknowledged_in_all} runs were acknowledged");
}
