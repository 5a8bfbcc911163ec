//! Runs are appended, live runs grow, and the index commits and merges all the time; at every moment a reader sees each
//! acknowledged run exactly once, in its newest version or a newer one.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agenttracer_index::Options;
use agenttracer_model::{TimedEvent, sample};
use agenttracer_storage::disk::RealDisk;
use agenttracer_storage::record;
use support::{NOW, TestLog, all, live_events, open, options, wait_until};
use uuid::Uuid;

const WRITERS: u64 = 3;
const RUNS: u64 = 1_500;

#[test]
fn no_run_is_missing_or_doubled_while_it_moves() {
    let dir = tempfile::tempdir().unwrap();
    let log = TestLog::new();
    let options = Options { commit_every: Duration::ZERO, ..options() };
    let index = open(&(Arc::new(RealDisk) as _), dir.path(), &log, options).unwrap();
    // Each acknowledged run with the steps of it that were acknowledged.
    let acknowledged: Mutex<HashMap<Uuid, u32>> = Mutex::default();
    let (writing, checks) = (AtomicU64::new(WRITERS), AtomicU64::new(0));
    let failed = AtomicBool::new(false);

    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (index, log, acknowledged, writing, failed) = (&index, &log, &acknowledged, &writing, &failed);
            scope.spawn(move || {
                let mut open: Vec<(Uuid, Vec<TimedEvent>, usize)> = Vec::new();
                for n in 0..RUNS {
                    if failed.load(Ordering::Relaxed) {
                        break;
                    }
                    let run = sample::run(n * WRITERS + writer);
                    let id = run.run_id;
                    if n % 8 == 0 {
                        let events = live_events(run);
                        log.append(record::encode_events(id, &events[..1], NOW)).unwrap();
                        acknowledged.lock().unwrap().insert(id, 0);
                        open.push((id, events, 1));
                    } else {
                        let steps = run.steps.len() as u32;
                        log.append_run(&run);
                        acknowledged.lock().unwrap().insert(id, steps);
                    }
                    if n % 100 == 99 {
                        // However slow the machine, there are many commits to look through.
                        wait_until("the next commit", || index.status().commits > n / 100);
                    }
                    // One of the live runs goes on, which may be long cold by now.
                    if !open.is_empty() {
                        let at = (n * 7) as usize % open.len();
                        let (id, events, next) = &mut open[at];
                        log.append(record::encode_events(*id, &events[*next..=*next], NOW)).unwrap();
                        acknowledged.lock().unwrap().insert(*id, *next as u32);
                        *next += 1;
                        if *next == events.len() {
                            open.swap_remove(at);
                        }
                    }
                }
                writing.fetch_sub(1, Ordering::Release);
            });
        }
        scope.spawn(|| {
            let check = || {
                let expected = acknowledged.lock().unwrap().clone();
                let snapshot = index.snapshot();
                let shown = all(&snapshot);
                for (id, steps) in &expected {
                    let run = shown.get(id).unwrap_or_else(|| panic!("{id} is missing"));
                    assert!(run.step_count() >= *steps, "{id} has {} of {steps} steps", run.step_count());
                }
                for id in expected.keys().take(20) {
                    let found = snapshot.find(*id).unwrap().expect("an acknowledged run is found");
                    assert_eq!(*found, shown[id]);
                }
                assert_eq!(snapshot.find(Uuid::from_u128(1)).unwrap(), None);
            };
            while writing.load(Ordering::Acquire) > 0 {
                let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
                if let Err(panic) = checked {
                    failed.store(true, Ordering::Relaxed);
                    std::panic::resume_unwind(panic);
                }
                checks.fetch_add(1, Ordering::Relaxed);
            }
            check();
        });
    });

    let status = index.status();
    assert!(checks.load(Ordering::Relaxed) > 3, "the reader came to look");
    assert!(status.commits > 10, "{status:?}");
    assert_eq!((status.last_error, status.damage_count), (None, 0));
    assert_eq!(all(&index.snapshot()).len() as u64, WRITERS * RUNS);

    // All of it cold, it is the same, and nothing is masked any more.
    let before = all(&index.snapshot());
    index.commit_now().unwrap();
    let snapshot = index.snapshot();
    assert_eq!(snapshot.hot().count(), 0);
    assert!((0..snapshot.searcher().segment_readers().len()).all(|ord| !snapshot.has_mask(ord as u32)));
    assert_eq!(all(&snapshot), before);
    index.close().unwrap();
}
