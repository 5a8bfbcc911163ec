//! A live run that goes on is shown in its newest version only, whether the one before is hot, cold or on its way.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agenttracer_index::{Index, Options};
use agenttracer_model::taxonomy::RunStatus;
use agenttracer_model::{Event, RunEnded, TimedEvent, sample};
use agenttracer_storage::disk::{Disk, RealDisk};
use agenttracer_storage::{Log, record};
use support::{NOW, TestLog, all, live_events, open, options};
use uuid::Uuid;

struct Shown {
    steps: u32,
    hot: usize,
    masked: usize,
}

/// How the run is shown, after checking that it is shown once, and the same by id as in the list.
fn shown(index: &Index, id: Uuid) -> Shown {
    let snapshot = index.snapshot();
    let listed = all(&snapshot);
    let found = snapshot.find(id).unwrap().expect("the run is found");
    assert_eq!(listed[&id], *found);
    let segments = snapshot.searcher().segment_readers().iter().zip(0..);
    let masked =
        segments.map(|(segment, ord)| segment.doc_ids_alive().filter(|&doc| snapshot.masked(ord, doc)).count());
    Shown {
        steps: found.step_count(),
        hot: snapshot.hot().filter(|run| run.run_id == id).count(),
        masked: masked.sum(),
    }
}

#[test]
fn a_later_event_replaces_the_run_wherever_it_is() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let options = Options { commit_every: Duration::from_secs(3600), ..options() };
    let mut index = open(&disk, dir.path(), &log, options.clone()).unwrap();
    let run = sample::run(5);
    let (id, steps) = (run.run_id, run.steps.len());
    let mut events = live_events(run);
    let ended = RunEnded { status: RunStatus::Success, ended_at: Some(NOW), removed_count: 0, digest: None };
    events.push(TimedEvent::new(Some(NOW), Event::RunEnded(ended)));
    let append = |n: usize| log.append(record::encode_events(id, &events[n..=n], NOW)).unwrap();

    append(0);
    log.append_samples(100..110);
    let old = index.snapshot();
    // The one before is hot.
    append(1);
    let now = shown(&index, id);
    assert_eq!((now.steps, now.hot, now.masked), (1, 1, 0));
    // The one before is cold: its document is masked until the next commit deletes it.
    index.commit_now().unwrap();
    let now = shown(&index, id);
    assert_eq!((now.steps, now.hot, now.masked), (1, 0, 0));
    append(2);
    let now = shown(&index, id);
    assert_eq!((now.steps, now.hot, now.masked), (2, 1, 1));
    // Both: a hot one before it, and a cold one before that.
    append(3);
    let now = shown(&index, id);
    assert_eq!((now.steps, now.hot, now.masked), (3, 1, 1));
    index.commit_now().unwrap();
    let now = shown(&index, id);
    assert_eq!((now.steps, now.hot, now.masked), (3, 0, 0));
    // A snapshot that was taken at the beginning still shows the beginning.
    assert_eq!(old.find(id).unwrap().unwrap().step_count(), 0);
    assert_eq!(all(&old).len(), 11);

    for n in 4..events.len() {
        append(n);
        if n % 3 == 0 {
            // A sudden end: the cold version has some of the batches, the log has the rest.
            drop(index);
            index = open(&disk, dir.path(), &log, options.clone()).unwrap();
        }
    }
    let found = index.snapshot().find(id).unwrap().unwrap();
    assert_eq!((found.status, found.step_count() as usize), (RunStatus::Success, steps));
    assert_eq!(found.batches.len(), events.len());
    assert_eq!(found.batches[0], found.position());
    // The same again changes nothing.
    append(2);
    let again = index.snapshot().find(id).unwrap().unwrap();
    assert_eq!((again.step_count(), again.batches.len()), (found.step_count(), events.len() + 1));
    index.commit_now().unwrap();
    assert_eq!(index.status().cold_docs, 11);
    index.close().unwrap();
}

#[test]
fn events_before_the_start_are_found_when_it_comes_and_a_whole_run_wins_over_events() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk, dir.path(), &log, options()).unwrap();
    let run = sample::run(8);
    let id = run.run_id;
    let events = live_events(run.clone());
    log.append(record::encode_events(id, &events[1..2], NOW)).unwrap();
    assert_eq!(index.snapshot().find(id).unwrap(), None);
    assert_eq!((index.status().ignored_batches, index.live_runs()), (0, 0));

    log.append(record::encode_events(id, &events[..1], NOW)).unwrap();
    let running = index.snapshot().find(id).unwrap().unwrap();
    assert_eq!((running.status, running.step_count(), running.batches.len()), (RunStatus::Running, 1, 2));
    assert_eq!(index.live_runs(), 1);
    let position = log.append_run(&run);
    let whole = index.snapshot().find(id).unwrap().unwrap();
    assert_eq!((whole.whole, whole.status, whole.position()), (true, run.status, position));
    log.append(record::encode_events(id, &events[2..3], NOW)).unwrap();
    assert_eq!(index.snapshot().find(id).unwrap().unwrap(), whole);
    index.close().unwrap();
}

#[test]
fn an_event_that_cannot_be_applied_now_is_applied_by_the_next_start() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    // No live run stays at hand: each event reads the earlier ones.
    let index = open(&disk, dir.path(), &log, Options { live_bytes: 0, ..options() }).unwrap();
    let run = sample::run(5);
    let id = run.run_id;
    let events = live_events(run);
    log.append(record::encode_events(id, &events[..1], NOW)).unwrap();
    log.append_samples(10..30);
    let held_at = log.tail();
    log.read_fails.store(true, Ordering::SeqCst);
    assert!(log.append(record::encode_events(id, &events[1..2], NOW)).is_err(), "nobody is told that it is visible");
    log.append_samples(30..50);
    let before = index.snapshot().find(id).unwrap().unwrap();
    assert_eq!(before.step_count(), 0);
    index.close().unwrap();
    assert_eq!((index.status().checkpoint, index.status().cold_docs), (held_at, 41));
    drop(index);

    log.read_fails.store(false, Ordering::SeqCst);
    let index = open(&disk, dir.path(), &log, options()).unwrap();
    assert_eq!(index.snapshot().find(id).unwrap().unwrap().step_count(), 1);
    assert_eq!(all(&index.snapshot()).len(), 41);
    index.close().unwrap();
    assert_eq!(index.status().checkpoint, log.tail());
}
