//! How long does one realistic run take on its way: parsed and checked, digested, encoded, decoded, folded, written?
#![expect(clippy::print_stderr, reason = "a bench prints its figures")]

use agenttracer_model::{Position, RunView, Timestamp, sample};
use agenttracer_storage::record::{self, Records};
use agenttracer_storage::{Payload, StoredBatch};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const AT: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

fn codec(criterion: &mut Criterion) {
    let runs: Vec<_> = (0..64).map(sample::run).collect();
    let batches: Vec<StoredBatch> = runs
        .iter()
        .map(|run| {
            let batch = record::encode_run(run, AT);
            StoredBatch {
                kind: batch.kind,
                position: Position::ZERO,
                records: batch.records,
                time: AT,
                payload: Payload::Memory(batch.payload.into()),
            }
        })
        .collect();
    let records: u64 = batches.iter().map(|batch| u64::from(batch.records)).sum();
    let bytes: usize = batches.iter().map(|batch| batch.payload.len()).sum();
    eprintln!("{} records and {} bytes a run", records / 64, bytes / 64);

    let mut group = criterion.benchmark_group("64 runs");
    group.throughput(Throughput::Elements(records));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| runs.iter().map(|run| record::encode_run(run, AT).payload.len()).sum::<usize>());
    });
    group.bench_function("crc, the bare loop of reading", |bencher| {
        bencher.iter(|| batches.iter().map(|batch| u64::from(crc32fast::hash(&batch.payload))).sum::<u64>());
    });
    group.bench_function("decode borrowed", |bencher| {
        bencher.iter(|| {
            let records = batches.iter().map(|batch| Records::of(batch).expect("our own bytes"));
            records.flatten().filter(Result::is_ok).count()
        });
    });
    group.bench_function("decode owned and fold into a view", |bencher| {
        bencher.iter(|| {
            let views = batches.iter().map(|batch| RunView::fold([record::decode(batch).expect("our own bytes")]));
            views.flatten().map(|view| view.steps.len()).sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
