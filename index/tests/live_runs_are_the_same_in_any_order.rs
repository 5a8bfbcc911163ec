//! A live run's events, in any order, repeated, in pieces of any size, with commits and sudden ends in between, give the
//! same run: only what the server makes (times and positions) differs.

mod support;

use std::sync::Arc;
use std::time::Duration;

use agenttracer_index::{Index, Options, RunSummary};
use agenttracer_model::taxonomy::RunStatus;
use agenttracer_model::{Event, Position, RunEnded, RunView, TimedEvent, Timestamp, sample};
use agenttracer_storage::disk::{Disk, RealDisk};
use agenttracer_storage::{Log, record};
use support::{NOW, TestLog, live_events, open, options};
use uuid::Uuid;

/// A small generator, so that a seed tells all (xorshift64*, Vigna).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// The events of a run, each with its own time: all that happened, its end included.
fn events_of(seed: u64) -> (Uuid, Vec<TimedEvent>) {
    let run = sample::run(seed);
    let id = run.run_id;
    let parts = run.clone();
    let ended = RunEnded { status: run.status, ended_at: run.ended_at, removed_count: 0, digest: None };
    let mut events = live_events(run);
    events.extend(parts.steps.into_iter().map(|step| TimedEvent::new(None, Event::StepStarted(step))));
    events.extend(parts.failures.into_iter().map(|failure| TimedEvent::new(None, Event::FailureRecorded(failure))));
    events.extend(parts.decisions.into_iter().map(|part| TimedEvent::new(None, Event::DecisionRecorded(part))));
    events.extend(parts.quality_signals.into_iter().map(|part| TimedEvent::new(None, Event::SignalRecorded(part))));
    events.push(TimedEvent::new(None, Event::RunEnded(ended)));
    for (n, event) in events.iter_mut().enumerate() {
        (event.time, event.removed) = (Some(Timestamp::from_micros(NOW.as_micros() + n as i64)), n as u32 % 3);
    }
    (id, events)
}

/// The run as a reader gets it: its batches, read where its summary says they are.
fn view(index: &Index, log: &TestLog, id: Uuid) -> (RunSummary, RunView) {
    let run = index.snapshot().find(id).unwrap().expect("the run is there");
    let batches = run.batches.iter().map(|&position| record::decode(&log.read(position).unwrap()).unwrap());
    let mut view = RunView::fold(batches).unwrap();
    assert_eq!((run.status, run.step_count() as usize), (view.status, view.steps.len()));
    assert_eq!(run.retry_count as usize, view.steps.iter().filter(|step| step.attempt > 1).count());
    (view.position, view.created_at) = (Position::ZERO, NOW);
    let mut summary = RunSummary::clone(&run);
    (summary.batches, summary.created_at) = (vec![Position::ZERO], NOW);
    (summary, view)
}

#[test]
fn live_runs_are_the_same_in_any_order() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let seeds = std::env::var("AGENTTRACER_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    for seed in 1..=seeds {
        let (id, events) = events_of(seed);
        let mut dice = Dice(seed);
        let mut expected = None;
        for way in 0..3 {
            let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
            let options = Options {
                commit_every: Duration::from_secs(3600),
                // Sometimes at hand, and sometimes read from the log for each event.
                live_bytes: if way == 1 { 0 } else { Options::default().live_bytes },
                ..options()
            };
            let mut index = open(&disk, dir.path(), &log, options.clone()).unwrap();
            let mut todo = events.clone();
            if way > 0 {
                for at in (1..todo.len()).rev() {
                    todo.swap(at, dice.below(at + 1));
                }
                for _ in 0..dice.below(6) {
                    todo.push(events[dice.below(events.len())].clone());
                }
            }
            let mut rest = todo.as_slice();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(1 + dice.below(rest.len().min(4)));
                log.append(record::encode_events(id, piece, NOW)).unwrap();
                rest = behind;
                match dice.below(12) {
                    0 => drop(index.commit_now().unwrap()),
                    1 => {
                        // A sudden end: what was not committed is read from the log again.
                        drop(index);
                        index = open(&disk, dir.path(), &log, options.clone()).unwrap();
                    }
                    _ => {}
                }
            }
            let now = view(&index, &log, id);
            assert_eq!(&now, expected.get_or_insert_with(|| now.clone()), "seed {seed}, way {way}");
            index.close().unwrap();
            // Without an index: made anew from the log.
            drop(index);
            let again = tempfile::tempdir().unwrap();
            let index = open(&disk, again.path(), &log, options).unwrap();
            assert_eq!(view(&index, &log, id), now, "seed {seed}, way {way}, rebuilt");
            index.close().unwrap();
        }
        let (summary, view) = expected.unwrap();
        assert_eq!(summary.removed_count, view.removed_count);
        assert!(view.steps.iter().zip(0..).all(|(step, seq)| step.seq == seq));
    }
}

#[test]
fn a_run_of_many_events_reads_none_of_them_again() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk, dir.path(), &log, options()).unwrap();
    let (id, events) = events_of(3);
    log.append(record::encode_events(id, &events[..1], NOW)).unwrap();
    // From here on every read of the log fails: what is applied, is applied from memory.
    log.read_fails.store(true, std::sync::atomic::Ordering::SeqCst);
    for n in 0..1000 {
        let mut event = events[1 + n % 2].clone();
        event.time = Some(Timestamp::from_micros(NOW.as_micros() + n as i64));
        log.append(record::encode_events(id, &[event], NOW)).unwrap();
    }
    let run = index.snapshot().find(id).unwrap().unwrap();
    assert_eq!((run.status, run.batches.len()), (RunStatus::Running, 1001));
    index.close().unwrap();
}
