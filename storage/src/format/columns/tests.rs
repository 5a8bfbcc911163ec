use agenttracer_model::{Event, Run, TimedEvent, Timestamp, sample};
use proptest::prelude::*;

use super::*;
use crate::format::BlockBuilder;
use crate::{Batch, BatchKind, record};

const TIME: i64 = 1_767_225_600_000_000;

/// The block of these batches, in front of each of which `gone` positions are gone.
fn block(batches: &[Batch], gone: u64) -> Vec<u8> {
    let mut builder = BlockBuilder::default();
    builder.begin(agenttracer_model::Position::ZERO, Timestamp::from_micros(TIME));
    for batch in batches {
        let position = builder.end().advance(gone);
        builder.add(position, batch.records, batch.time, batch.kind, &batch.payload);
    }
    builder.raw().to_vec()
}

fn whole(run: &Run) -> Batch {
    record::encode_run(run, run.ended_at.unwrap_or(run.started_at))
}

fn samples(count: u64) -> Vec<Batch> {
    (0..count).map(|seed| whole(&sample::run(seed))).collect()
}

/// Takes a block apart and puts it together again; how long it is in columns.
fn there_and_back(raw: &[u8]) -> usize {
    let stored = encode(raw, TIME).expect("it is of the writer's making");
    assert!(decode(&stored, raw.len(), TIME).unwrap() == raw);
    for other in [raw.len() - 1, raw.len() + 1] {
        assert!(decode(&stored, other, TIME).is_none(), "a length that the block does not have");
    }
    stored.len()
}

#[test]
fn runs_come_back_and_take_little_more_than_their_random_bytes() {
    let raw = block(&samples(50), 0);
    let bytes = there_and_back(&raw);
    assert!(bytes * 3 < raw.len(), "{bytes} of {}", raw.len());
    there_and_back(&block(&samples(3), 70_000));
}

/// A run in events, as they come of one that is watched: each with its time, and some that had values removed.
fn live(seed: u64, a_batch: usize) -> Vec<Batch> {
    let run = sample::run(seed);
    let id = run.run_id;
    let events: Vec<_> = run
        .into_events()
        .into_iter()
        .map(|timed| timed.event)
        .chain([Event::Heartbeat, Event::RunAbandoned])
        .zip(0_i64..)
        .map(|(event, n)| {
            let time = (n % 3 > 0).then(|| Timestamp::from_micros(TIME + seed as i64 * 1_000_000 + n * n * 1000));
            TimedEvent { time, removed: u32::from(n % 4 == 3) * 300, event }
        })
        .collect();
    let received = |n: usize| Timestamp::from_micros(TIME + seed as i64 * 1_000_000 + n as i64);
    events.chunks(a_batch).enumerate().map(|(n, events)| record::encode_events(id, events, received(n))).collect()
}

#[test]
fn events_of_live_runs_come_back() {
    for a_batch in [1, 5, 100] {
        there_and_back(&block(&(0..8).flat_map(|seed| live(seed, a_batch)).collect::<Vec<_>>(), 0));
    }
}

#[test]
fn records_of_the_log_itself_stand_between_runs() {
    let mut batches = samples(4);
    let log = |payload: Vec<u8>| Batch { kind: BatchKind::Log, payload, records: 1, time: Timestamp::from_micros(-1) };
    batches.insert(0, log(vec![1, 0, 0xff, 0xff]));
    batches.insert(3, log(Vec::new()));
    there_and_back(&block(&batches, 5));
}

#[test]
fn what_the_writer_does_not_write_has_no_columns() {
    let run = |payload: &[u8]| {
        let batch =
            Batch { kind: BatchKind::Run, payload: payload.to_vec(), records: 1, time: Timestamp::from_micros(0) };
        encode(&block(&[batch], 0), TIME)
    };
    let good = whole(&sample::run(1)).payload;
    assert!(run(&good).is_some());
    assert!(run(&good[..25]).is_none(), "not even a head");
    assert!(run(&good[..good.len() - 1]).is_none(), "cut off");
    assert!(run(&[&good[..], &[0]].concat()).is_none(), "a record of no bytes");
    assert!(run(&[&good[..], &[2, 99, 1]].concat()).is_none(), "an unknown kind");
    assert!(run(&[&good[..], &[251, 2, 0, 7, 1]].concat()).is_none(), "a length that is longer than it must be");
    assert!(run(&[&good[..], &[2, 7, 9]].concat()).is_some(), "a version has no say in what a record looks like");
    assert!(run(&[&[9], &good[1..]].concat()).is_none(), "another codec");
    assert!(encode(b"\x00\x01\x00\x09\x00", TIME).is_none(), "an unknown kind of batch");
}

fn any_payload() -> impl Strategy<Value = Batch> {
    let strange = prop_oneof![any::<Vec<u8>>(), Just(vec![0xff; 300]), "[0-9a-f]{0,20}".prop_map(String::into_bytes)];
    let log = (strange, any::<i64>(), 1..u32::MAX).prop_map(|(payload, time, records)| Batch {
        kind: BatchKind::Log,
        payload,
        records,
        time: Timestamp::from_micros(time),
    });
    prop_oneof![4 => record::tests::any_batch(), 1 => log]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_the_writer_writes_comes_back(batches in prop::collection::vec(any_payload(), 1..12), gone in 0..3_u64) {
        there_and_back(&block(&batches, gone));
    }

    #[test]
    fn what_was_changed_is_a_block_of_that_length_or_none(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let raw = block(&samples(6), 1);
        let stored = encode(&raw, TIME).unwrap();
        prop_assert!(decode(&stored[..cut.index(stored.len())], raw.len(), TIME).is_none());
        let mut changed = stored.clone();
        changed[at.index(stored.len())] = byte;
        if let Some(other) = decode(&changed, raw.len(), TIME) {
            prop_assert_eq!(other.len(), raw.len());
        }
    }
}

#[test]
fn more_shapes_than_there_may_be_are_no_columns() {
    let mut run = sample::run(1);
    let step = run.steps[0].clone();
    run.steps = (0..5000_u32)
        .map(|n| {
            let mut step = step.clone();
            step.metadata.0.push((format!("key_{n}"), agenttracer_model::Value::Null));
            step
        })
        .collect();
    assert!(encode(&block(&[whole(&run)], 0), TIME).is_none());
    run.steps.truncate(2000);
    there_and_back(&block(&[whole(&run)], 0));
}

#[test]
fn a_small_frame_does_not_become_a_large_block() {
    // Texts that name each other again and again stand for far more bytes than they take.
    let mut run = sample::run(1);
    run.metadata.0.push(("long".to_owned(), agenttracer_model::Value::String("x".repeat(60_000))));
    let runs: Vec<_> = (0..100).map(|_| whole(&run)).collect();
    let raw = block(&runs, 0);
    let stored = encode(&raw, TIME).unwrap();
    assert!(stored.len() < 8_000, "{}", stored.len());
    assert!(decode(&stored, 100_000, TIME).is_none());
}

#[test]
fn more_columns_than_there_may_be_are_refused_before_they_take_memory() {
    let mut stored = vec![1];
    crate::format::varint::put_varint(&mut stored, 8 << 20);
    stored.resize(16 << 20, 0);
    assert!(decode(&stored, 1 << 20, TIME).is_none());
}
