//! A tombstone hides its run from the next query, whether the run is hot, on its way or cold; restarts, rebuilds and late
//! batches do not bring it back, and after dropping what is deleted no part of the index holds a trace of it.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agenttracer_index::{Checker, ErasureState, Filter, Index, Options, Trace, traces};
use agenttracer_model::{Digest, Position, sample};
use agenttracer_storage::disk::{Disk, RealDisk};
use agenttracer_storage::log_record::{self, LogRecord, Selection, Tombstone};
use agenttracer_storage::{AppendError, Log, record};
use support::{NOW, TestLog, all, live_events, open, options};
use uuid::Uuid;

fn never() -> Options {
    Options { commit_every: Duration::from_secs(3600), ..options() }
}

/// Appends an erasure of these runs, as they are.
fn erase(log: &TestLog, index: &Index, runs: &[Uuid]) -> Uuid {
    let erasure = Uuid::new_v4();
    let snapshot = index.snapshot();
    let tombstones: Vec<_> = runs
        .iter()
        .map(|run| Tombstone {
            run: Digest::of_run_id(*run).0,
            positions: snapshot.find(*run).unwrap().unwrap().batches.clone(),
        })
        .collect();
    let count = runs.len() as u64;
    let records = [
        LogRecord::ErasureBegun { erasure, selection: Selection::RUN, runs: count },
        LogRecord::RunsErased { erasure, runs: tombstones },
        LogRecord::ErasureHidden { erasure, runs: count, batches: count, digest: Digest::default() },
    ];
    log.append(log_record::encode(&records, NOW)).unwrap();
    erasure
}

/// The runs are nowhere, and all others are everywhere.
fn check(index: &Index, erased: &[Uuid], left: usize) {
    let snapshot = index.snapshot();
    let shown = all(&snapshot);
    assert_eq!(shown.len(), left);
    for run in erased {
        assert!(!shown.contains_key(run));
        assert_eq!(snapshot.find(*run).unwrap(), None);
        assert!(snapshot.erased().has(*run));
    }
    assert_eq!(snapshot.stats(&Filter::default()).unwrap().runs, left as u64);
    assert_eq!(snapshot.positions(&Filter::default(), 10_000).unwrap().unwrap().len(), left);
    assert!(shown.keys().all(|run| !snapshot.erased().has(*run)));
}

/// How often the index on disk tells of these runs.
fn found(dir: &Path, runs: &BTreeSet<Uuid>, positions: &BTreeSet<Position>) -> [usize; 3] {
    let mut found = [0; 3];
    let is_there = traces(Arc::new(RealDisk), dir, &mut |_, trace| match trace {
        Trace::Term(run) => found[0] += usize::from(runs.contains(&run)),
        Trace::Document(run, _) => found[1] += usize::from(runs.contains(&run)),
        Trace::Position(position) => found[2] += usize::from(positions.contains(&position)),
        Trace::Value { documents, dictionary, .. } => assert!(documents > 0, "{dictionary} has a value of nobody"),
    });
    assert!(is_there.unwrap());
    found
}

#[test]
fn hot_cold_and_on_its_way() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk, dir.path(), &log, never()).unwrap();
    let run = |seed| sample::run(seed).run_id;
    log.append_samples(0..40);
    index.commit_now().unwrap();
    log.append_samples(40..60);
    // A cold one, a hot one, and a live one that is cold and hot.
    let live = sample::run(99);
    let (live_id, events) = (live.run_id, live_events(live));
    log.append(record::encode_events(live_id, &events[..1], NOW)).unwrap();
    index.commit_now().unwrap();
    log.append(record::encode_events(live_id, &events[1..2], NOW)).unwrap();
    log.append_samples(60..70);
    assert_eq!(all(&index.snapshot()).len(), 71);

    let before = index.snapshot();
    let erased = [run(3), run(45), run(65), live_id];
    let positions = erased.iter().flat_map(|run| before.find(*run).unwrap().unwrap().batches.clone()).collect();
    let id = erase(&log, &index, &erased);
    assert_eq!(all(&before).len(), 71, "an older snapshot stays as it was");
    drop(before);
    check(&index, &erased, 67);
    assert_eq!(index.erased().erasure(id).unwrap().state(), ErasureState::Hidden);

    index.commit_now().unwrap();
    check(&index, &erased, 67);
    let named = erased.iter().copied().collect();
    let left = found(dir.path(), &named, &positions);
    assert!(left.iter().all(|count| *count >= 3), "a deleted document would not be found: {left:?}");
    assert!(index.drop_deleted().unwrap());
    assert_eq!(found(dir.path(), &named, &positions), [0; 3]);
    check(&index, &erased, 67);

    // Batches that were on their way are refused, and never shown.
    let late = log.append(record::encode_events(live_id, &events[2..3], NOW));
    assert_eq!(late, Err(AppendError::Erased));
    assert_eq!(log.append(record::encode_run(&sample::run(3), NOW)), Err(AppendError::Erased));
    check(&index, &erased, 67);
    assert_eq!((index.erased().late().len(), index.erased().unseen(live_id).len()), (2, 1));

    // A clean restart, one without the last commit, and a rebuild.
    index.close().unwrap();
    drop(index);
    let index = open(&disk, dir.path(), &log, never()).unwrap();
    check(&index, &erased, 67);
    assert_eq!((index.erased().late().len(), index.erased().runs()), (2, 4));
    let more = [run(10), run(66)];
    erase(&log, &index, &more);
    drop(index);
    let erased: Vec<_> = erased.into_iter().chain(more).collect();
    let index = open(&disk, dir.path(), &log, never()).unwrap();
    check(&index, &erased, 65);
    index.close().unwrap();
    drop(index);
    let mut checker = Checker::open(Arc::clone(&disk), dir.path(), log.id()).unwrap().unwrap();
    for batch in log.scan(Position::ZERO..log.tail()) {
        checker.batch(&batch.unwrap()).unwrap();
    }
    let checked = checker.finish();
    assert_eq!((checked.differences, checked.runs), (0, 65), "{:?}", checked.named);
    std::fs::remove_dir_all(dir.path()).unwrap();
    let index = open(&disk, dir.path(), &log, options()).unwrap();
    check(&index, &erased, 65);
    index.close().unwrap();
    assert_eq!(index.erased().erasure(id).unwrap().erased, 4);
}

/// Damage in the log does not keep a run that the index shows from being erased.
#[test]
fn a_run_with_damaged_batches_is_erased() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    for is_cold in [false, true] {
        let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
        let index = open(&disk, dir.path(), &log, never()).unwrap();
        log.append_samples(0..5);
        if is_cold {
            index.commit_now().unwrap();
        }
        let run = index.snapshot().find(sample::run(2).run_id).unwrap().unwrap();
        log.damaged.lock().unwrap().push(run.position());
        erase(&log, &index, &[run.run_id]);
        check(&index, &[run.run_id], 4);
    }
}

/// A second batch of a whole run is seen by nobody, and yet it goes with the run.
#[test]
fn a_batch_that_nobody_sees_is_known() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk, dir.path(), &log, never()).unwrap();
    log.append_samples(0..5);
    let run = sample::run(2).run_id;
    let again = log.append(record::encode_run(&sample::run(2), NOW)).unwrap();
    assert_eq!((index.erased().unseen(run), index.erased().late()), (vec![again], vec![]));
    index.close().unwrap();
    drop(index);
    let index = open(&disk, dir.path(), &log, never()).unwrap();
    assert_eq!(index.erased().unseen(run), [again]);
    erase(&log, &index, &[run]);
    check(&index, &[run], 4);
    assert_eq!(index.erased().late(), [again]);
}

/// A commit between the erasure and its commit must not let the run out again.
#[test]
fn while_everything_moves() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk, dir.path(), &log, options()).unwrap();
    let mut erased = Vec::new();
    for round in 0..30_u64 {
        log.append_samples(round * 20..round * 20 + 20);
        let runs = [sample::run(round * 20 + 7).run_id, sample::run(round * 10 + 1).run_id];
        let runs: Vec<_> = runs.into_iter().filter(|run| !erased.contains(run)).collect();
        erase(&log, &index, &runs);
        erased.extend(runs);
        check(&index, &erased, (round as usize + 1) * 20 - erased.len());
        if round % 10 == 9 {
            index.drop_deleted().unwrap();
        }
    }
    index.commit_now().unwrap();
    check(&index, &erased, 600 - erased.len());
}
