//! Many submitters and readers on the real disk, over rotations: each batch once, in order, readable as soon as answered.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use agenttracer_model::Position;
use agenttracer_storage::{Log, ReadError, SubmitError, SyncMode};
use common::{Dir, append, payload};

#[test]
fn what_many_threads_append_is_there_once_and_at_once() {
    for sync in [SyncMode::Always, SyncMode::Interval(std::time::Duration::from_millis(2))] {
        let mut dir = Dir::with_segments(64 << 10);
        dir.options.sync = sync;
        let log = dir.open();
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (log, done) = (&log, &done);
                scope.spawn(move || {
                    for i in 0..60 {
                        let bytes = payload(thread * 1000 + i, 300 + (i as usize * 97) % 1500);
                        let position = append(&**log, &bytes, 1 + (i % 3) as u32).unwrap();
                        assert_eq!(log.read(position).unwrap().payload[..], bytes[..]);
                    }
                    done.fetch_add(1, Ordering::Release);
                });
            }
            let (log, done) = (&log, &done);
            scope.spawn(move || {
                while done.load(Ordering::Acquire) < 8 {
                    let mut next = Position::ZERO;
                    for batch in log.scan(Position::ZERO..log.tail()) {
                        let batch = batch.unwrap();
                        assert_eq!(batch.position, next);
                        next = batch.end();
                    }
                    assert!(log.sync().unwrap() >= next);
                }
            });
        });
        let tail = log.tail();
        assert_eq!(tail, Position::new(8 * 60 * 2));
        assert_eq!(log.scan(Position::ZERO..tail).filter(Result::is_ok).count(), 8 * 60);
        assert!(matches!(log.read(tail), Err(ReadError::NotFound(_))));
        assert!(dir.segments().len() > 5, "segments rotate");
        log.close().unwrap();
        let refused = log.submit(
            agenttracer_storage::Batch {
                kind: agenttracer_storage::BatchKind::Run,
                payload: vec![1],
                records: 1,
                time: Default::default(),
            },
            Box::new(|_| {}),
        );
        assert_eq!(refused, Err(SubmitError::Closed));
        drop(log);
        let (log, recovery) = dir.try_open().unwrap();
        assert!(recovery.clean, "{recovery}");
        assert_eq!(log.scan(Position::ZERO..tail).filter(Result::is_ok).count(), 8 * 60);
    }
}

#[test]
fn a_batch_is_found_among_many_in_one_segment() {
    let dir = Dir::with_segments(2 << 20);
    let log = dir.open();
    let mut stored = Vec::new();
    for i in 0..700 {
        let bytes = payload(i, 100 + (i as usize * 7919) % 4000);
        stored.push((dir.append(&log, &bytes, 3), bytes));
    }
    let check = || {
        for (position, bytes) in &stored {
            assert_eq!(log.read(*position).unwrap().payload[..], bytes[..]);
            assert!(matches!(log.read(position.advance(1)), Err(ReadError::NotFound(_))));
        }
        for start in [0, 1, 299, 300, 301, 2099, 2100] {
            let range = Position::new(start)..Position::new(start + 30);
            let expected: Vec<_> = stored.iter().map(|(position, _)| *position).filter(|p| range.contains(p)).collect();
            let found: Vec<_> = log.scan(range).map(|batch| batch.unwrap().position).collect();
            assert_eq!(found, expected);
        }
    };
    assert!(dir.segments().len() > 1);
    check();
}
