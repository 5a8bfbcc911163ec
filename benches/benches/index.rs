//! How long does it take to rebuild the index from the log, to find a run, and to answer a page and the statistics?

use std::path::Path;
use std::sync::Arc;

use agenttracer_index::{Filter, Index, Options, PageRequest, commit_channel};
use agenttracer_model::taxonomy::RunStatus;
use agenttracer_model::{Run, Timestamp, sample};
use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::{Log, MemoryLog, ResolveOnCommit, record};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::bounded;
use uuid::Uuid;

const RUNS: u64 = 20_000;

/// A log in memory with all runs, so that the disk of the log is not what is measured.
fn log() -> (Arc<dyn Log>, Vec<Uuid>) {
    let log = MemoryLog::new(ResolveOnCommit);
    let mut ids = Vec::new();
    for seed in 0..RUNS {
        let run: Run = sample::run(seed);
        ids.push(run.run_id);
        let (done, outcome) = bounded(1);
        let ticket = Box::new(move |position: Result<_, _>| {
            let _ = done.send(position.is_ok());
        });
        log.submit(record::encode_run(&run, Timestamp::from_micros(1)), ticket).expect("the queue has room");
        assert_eq!(outcome.recv(), Ok(true));
    }
    (Arc::new(log), ids)
}

fn open(dir: &Path, log: Arc<dyn Log>) -> Index {
    let (_, commits) = commit_channel(1);
    let clock = Arc::new(SystemClock::new());
    let options = Options::default();
    let index = Index::open(Arc::new(RealDisk), clock, &dir.join("index"), log, commits, options, &mut |_| {});
    let index = index.expect("an index can be built");
    index.commit_now().expect("and committed");
    index
}

fn index(criterion: &mut Criterion) {
    let (log, ids) = log();
    let mut group = criterion.benchmark_group("index of 20,000 runs");
    group.throughput(Throughput::Elements(RUNS)).sample_size(10);
    group.bench_function("rebuild and commit", |bencher| {
        let dir = || tempfile::tempdir().expect("a temporary directory");
        bencher.iter_batched(dir, |dir| open(dir.path(), log.clone()).close(), BatchSize::PerIteration);
    });
    group.finish();

    let dir = tempfile::tempdir().expect("a temporary directory");
    let index = open(dir.path(), log);
    let snapshot = index.snapshot();
    let page = PageRequest { after: None, offset: 0, limit: 50, count_up_to: 100_000 };
    let mut group = criterion.benchmark_group("questions to 20,000 runs");
    let failures = Filter { status: vec![RunStatus::Failure], ..Filter::default() };
    let retried = Filter { has_retries: Some(true), status: vec![RunStatus::Success], ..Filter::default() };
    for (name, filter) in [("all", Filter::default()), ("failures", failures), ("retried successes", retried)] {
        group.bench_function(format!("newest 50 of {name}"), |bencher| {
            bencher.iter(|| snapshot.list(&filter, &page).expect("the index is readable").runs.len());
        });
        group.bench_function(format!("statistics of {name}"), |bencher| {
            bencher.iter(|| snapshot.stats(&filter).expect("the index is readable"));
        });
    }
    let mut next = ids.iter().cycle();
    group.bench_function("find a run", |bencher| {
        bencher.iter(|| {
            snapshot.find(*next.next().expect("a cycle never ends")).expect("the index is readable").is_some()
        });
    });
    group.bench_function("find an unknown run", |bencher| {
        bencher.iter(|| snapshot.find(Uuid::nil()).expect("the index is readable").is_none());
    });
    group.finish();
    drop(snapshot);
    index.close().expect("the index closes");
}

criterion_group!(benches, index);
criterion_main!(benches);
