//! How long does a group of 64 realistic runs take into the log, synced and not, and how fast is the log scanned?

use std::sync::Arc;
use std::time::Duration;

use agenttracer_model::{Position, Timestamp, sample};
use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::{Batch, Log, Options, ResolveOnCommit, SegmentedLog, SyncMode, record};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::bounded;

const GROUP: u64 = 64;

fn batches() -> Vec<Batch> {
    (0..GROUP).map(|seed| record::encode_run(&sample::run(seed), Timestamp::from_micros(1))).collect()
}

fn open(dir: &tempfile::TempDir, sync: SyncMode) -> Arc<SegmentedLog> {
    let options = Options { sync, ..Options::default() };
    let clock = Arc::new(SystemClock::new());
    let opened = SegmentedLog::open(Arc::new(RealDisk), clock, dir.path(), options, Box::new(ResolveOnCommit));
    opened.expect("a new directory opens").0
}

/// Appends all and waits for the last ticket.
fn append(log: &SegmentedLog, batches: &[Batch]) {
    let (done, outcome) = bounded(batches.len());
    for batch in batches {
        let done = done.clone();
        let ticket = Box::new(move |position: Result<Position, _>| {
            let _ = done.send(position.is_ok());
        });
        log.submit(batch.clone(), ticket).expect("the queue has room");
    }
    assert!(batches.iter().all(|_| outcome.recv() == Ok(true)), "every append succeeds");
}

fn appending(criterion: &mut Criterion) {
    let batches = batches();
    let mut group = criterion.benchmark_group("append 64 runs");
    group.throughput(Throughput::Elements(GROUP));
    for (name, sync) in
        [("sync always", SyncMode::Always), ("sync each 50 ms", SyncMode::Interval(Duration::from_millis(50)))]
    {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = open(&dir, sync);
        group.bench_function(name, |bencher| bencher.iter(|| append(&log, &batches)));
        log.close().expect("the log closes");
    }
    group.finish();
}

fn scanning(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = open(&dir, SyncMode::Interval(Duration::from_millis(50)));
    let batches = batches();
    for _ in 0..1000 {
        append(&log, &batches);
    }
    let mut group = criterion.benchmark_group("scan 64,000 runs");
    group.sample_size(20).throughput(Throughput::Elements(1000 * GROUP));
    group.bench_function("warm, every CRC checked", |bencher| {
        bencher.iter(|| {
            let scanned = log.scan(Position::ZERO..log.tail()).map(|batch| batch.expect("undamaged").payload.len());
            scanned.sum::<usize>()
        });
    });
    group.finish();
    log.close().expect("the log closes");
}

criterion_group!(benches, appending, scanning);
criterion_main!(benches);
