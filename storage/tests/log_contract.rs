//! What every [`Log`] must do: one suite, run for each implementation. See the top of `storage/src/log.rs`.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agenttracer_model::{Position, Timestamp};
use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::{
    AppendError, Batch, BatchKind, Committed, Follower, Health, Log, MemoryLog, Options, ReadError, SegmentedLog,
    StoredBatch, SubmitError, SyncMode, Ticket,
};

/// A fresh, empty log under test, and what must outlive it.
struct Subject {
    log: Arc<dyn Log>,
    _keep: Box<dyn Any>,
}

type Open = fn(Box<dyn Follower>) -> Subject;

/// `Follower` for the box that the suite hands to a constructor.
struct Boxed(Box<dyn Follower>);

impl Follower for Boxed {
    fn committed(&mut self, group: Vec<Committed>) {
        self.0.committed(group);
    }
}

fn memory(follower: Box<dyn Follower>) -> Subject {
    Subject { log: Arc::new(MemoryLog::new(Boxed(follower))), _keep: Box::new(()) }
}

/// Segments of 32 KiB, so that everything rotates, unless a test needs room for its largest batch.
fn segmented(follower: Box<dyn Follower>) -> Subject {
    segmented_in(SyncMode::Always, follower)
}

fn segmented_interval(follower: Box<dyn Follower>) -> Subject {
    segmented_in(SyncMode::Interval(Duration::from_millis(5)), follower)
}

fn segmented_in(sync: SyncMode, follower: Box<dyn Follower>) -> Subject {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { sync, segment_bytes: 32 << 10, ..Options::default() };
    let (log, recovery) =
        SegmentedLog::open(Arc::new(RealDisk), Arc::new(SystemClock::new()), dir.path(), options, follower).unwrap();
    assert!(recovery.created);
    Subject { log, _keep: Box::new(dir) }
}

/// Runs every test of the suite for one constructor.
macro_rules! contract {
    ($($implementation:ident: $($test:ident)+;)+) => {
        $(mod $implementation {
            $(#[test] fn $test() { super::$test(super::$implementation); })+
        })+
    };
}

contract! {
    memory:
        positions_are_contiguous_and_the_tail_follows_them
        the_follower_gets_every_batch_once_in_order
        the_follower_resolves_the_tickets
        a_batch_can_be_read_when_the_follower_is_given_it
        what_was_appended_is_read_byte_for_byte
        a_scan_covers_the_batches_that_begin_in_its_range
        batches_of_many_threads_are_each_stored_once
        everything_committed_is_durable_after_a_sync
        a_batch_larger_than_a_frame_is_refused
        every_ticket_is_called_once_when_the_log_goes;
    segmented:
        positions_are_contiguous_and_the_tail_follows_them
        the_follower_gets_every_batch_once_in_order
        the_follower_resolves_the_tickets
        a_batch_can_be_read_when_the_follower_is_given_it
        what_was_appended_is_read_byte_for_byte
        a_scan_covers_the_batches_that_begin_in_its_range
        batches_of_many_threads_are_each_stored_once
        everything_committed_is_durable_after_a_sync
        a_batch_larger_than_a_frame_is_refused
        every_ticket_is_called_once_when_the_log_goes;
    segmented_interval:
        positions_are_contiguous_and_the_tail_follows_them
        the_follower_gets_every_batch_once_in_order
        the_follower_resolves_the_tickets
        a_batch_can_be_read_when_the_follower_is_given_it
        what_was_appended_is_read_byte_for_byte
        a_scan_covers_the_batches_that_begin_in_its_range
        batches_of_many_threads_are_each_stored_once
        everything_committed_is_durable_after_a_sync
        a_batch_larger_than_a_frame_is_refused
        every_ticket_is_called_once_when_the_log_goes;
}

const PATIENCE: Duration = Duration::from_secs(30);

fn position(number: u64) -> Position {
    Position::new(number)
}

/// A batch of `records` records with bytes that no other has.
fn batch(seed: u32, records: u32) -> Batch {
    let len = 1 + seed as usize * 37 % 5000;
    let payload = (0..len).map(|at| (seed as usize * 31 + at * 7) as u8).collect();
    Batch {
        kind: BatchKind::Run,
        payload,
        records,
        time: Timestamp::from_micros(1_763_800_000_000_000 + i64::from(seed)),
    }
}

fn assert_same(read: &StoredBatch, sent: &Batch) {
    assert_eq!((read.records, read.time), (sent.records, sent.time));
    assert!(read.payload[..] == sent.payload[..], "the payload at {} came back changed", read.position);
}

/// Keeps what it is given and resolves the tickets.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Vec<StoredBatch>>>);

impl Follower for Keep {
    fn committed(&mut self, group: Vec<Committed>) {
        for Committed { batch, ticket } in group {
            let position = batch.position;
            self.0.lock().unwrap().push(batch);
            ticket(Ok(position));
        }
    }
}

/// A ticket whose outcome can be waited for.
fn ticket() -> (Ticket, impl FnOnce() -> Result<Position, AppendError>) {
    let (done, outcome) = crossbeam_channel::bounded(1);
    let ticket = Box::new(move |result| done.send(result).expect("a ticket is called once"));
    (ticket, move || outcome.recv_timeout(PATIENCE).expect("the ticket is called"))
}

fn append(log: &dyn Log, batch: Batch) -> Position {
    let (ticket, outcome) = ticket();
    log.submit(batch, ticket).unwrap();
    outcome().unwrap()
}

fn positions_are_contiguous_and_the_tail_follows_them(open: Open) {
    let Subject { log, .. } = &open(Box::<Keep>::default());
    assert_eq!((log.tail(), log.durable(), log.health()), (Position::ZERO, Position::ZERO, Health::Writable));
    let mut expected = 0;
    for (seed, records) in [1, 3, 2, 16, 1].into_iter().enumerate() {
        assert_eq!(append(&**log, batch(seed as u32, records)), position(expected));
        expected += u64::from(records);
        assert_eq!(log.tail(), position(expected));
    }
    assert_eq!(log.damage(), []);
}

fn the_follower_gets_every_batch_once_in_order(open: Open) {
    let kept = Keep::default();
    let Subject { log, .. } = &open(Box::new(kept.clone()));
    let sent: Vec<_> = (0..200).map(|seed| batch(seed, 1 + seed % 4)).collect();
    let outcomes: Vec<_> = sent
        .iter()
        .map(|batch| {
            let (ticket, outcome) = ticket();
            log.submit(batch.clone(), ticket).unwrap();
            outcome
        })
        .collect();
    let positions: Vec<_> = outcomes.into_iter().map(|outcome| outcome().unwrap()).collect();

    let got = kept.0.lock().unwrap();
    let mut next = Position::ZERO;
    for ((got, sent), resolved) in got.iter().zip(&sent).zip(&positions) {
        assert_eq!((got.position, *resolved), (next, next));
        assert_same(got, sent);
        next = got.end();
    }
    assert_eq!((got.len(), next), (sent.len(), log.tail()));
}

fn the_follower_resolves_the_tickets(open: Open) {
    struct Hand(crossbeam_channel::Sender<Committed>);
    impl Follower for Hand {
        fn committed(&mut self, group: Vec<Committed>) {
            for committed in group {
                self.0.send(committed).unwrap();
            }
        }
    }
    let (hand, handed) = crossbeam_channel::unbounded();
    let Subject { log, .. } = &open(Box::new(Hand(hand)));
    let (done, outcomes) = crossbeam_channel::unbounded();
    for seed in 0..2 {
        let done = done.clone();
        log.submit(batch(seed, 1), Box::new(move |outcome| done.send((seed, outcome)).unwrap())).unwrap();
    }
    let first = handed.recv_timeout(PATIENCE).unwrap();
    let second = handed.recv_timeout(PATIENCE).unwrap();
    assert!(outcomes.is_empty(), "only the follower resolves the ticket of a committed batch");
    (second.ticket)(Ok(second.batch.position));
    (first.ticket)(Ok(first.batch.position));
    assert_eq!(outcomes.try_iter().collect::<Vec<_>>(), [(1, Ok(position(1))), (0, Ok(position(0)))]);
}

fn a_batch_can_be_read_when_the_follower_is_given_it(open: Open) {
    let (hand, handed) = crossbeam_channel::unbounded();
    struct Hand(crossbeam_channel::Sender<Committed>);
    impl Follower for Hand {
        fn committed(&mut self, group: Vec<Committed>) {
            for committed in group {
                self.0.send(committed).unwrap();
            }
        }
    }
    let Subject { log, .. } = &open(Box::new(Hand(hand)));
    for seed in 0..20 {
        let sent = batch(seed, 2);
        log.submit(sent.clone(), Box::new(drop)).unwrap();
        let committed = handed.recv_timeout(PATIENCE).unwrap();
        assert_same(&log.read(committed.batch.position).unwrap(), &sent);
        assert!(log.tail() >= committed.batch.end());
        (committed.ticket)(Ok(committed.batch.position));
    }
}

fn what_was_appended_is_read_byte_for_byte(open: Open) {
    let Subject { log, .. } = &open(Box::<Keep>::default());
    let sent: BTreeMap<_, _> = (0..300)
        .map(|seed| {
            let batch = batch(seed, 1 + seed % 3);
            (append(&**log, batch.clone()), batch)
        })
        .collect();
    for (at, sent) in &sent {
        let read = log.read(*at).unwrap();
        assert_eq!(read.position, *at);
        assert_same(&read, sent);
    }
    for number in 0..log.tail().get() + 2 {
        if !sent.contains_key(&position(number)) {
            assert!(
                matches!(log.read(position(number)), Err(ReadError::NotFound(at)) if at == position(number)),
                "no batch begins at {number}"
            );
        }
    }
}

fn a_scan_covers_the_batches_that_begin_in_its_range(open: Open) {
    let Subject { log, .. } = &open(Box::<Keep>::default());
    let sent: Vec<_> = (0..120).map(|seed| batch(seed, 3)).collect();
    for batch in &sent {
        append(&**log, batch.clone());
    }
    for (from, to) in
        [(0, 360), (0, u64::MAX), (1, 360), (0, 1), (3, 9), (4, 8), (7, 7), (9, 3), (357, 400), (360, 361)]
    {
        let expected: Vec<_> = (0..120u64).filter(|n| (from..to).contains(&(n * 3))).collect();
        let read: Vec<_> = log.scan(position(from)..position(to)).map(Result::unwrap).collect();
        assert_eq!(read.iter().map(|batch| batch.position.get() / 3).collect::<Vec<_>>(), expected, "{from}..{to}");
        for (read, n) in read.iter().zip(expected) {
            assert_same(read, &sent[n as usize]);
        }
    }
}

fn batches_of_many_threads_are_each_stored_once(open: Open) {
    let kept = Keep::default();
    let Subject { log, .. } = &open(Box::new(kept.clone()));
    let stored: BTreeMap<Position, u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u32)
            .map(|thread| {
                scope.spawn(move || {
                    (0..50).map(|n| (append(&**log, batch(thread * 50 + n, 2)), thread * 50 + n)).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let positions: Vec<_> = stored.keys().map(|at| at.get()).collect();
    assert_eq!(positions, (0..400).map(|n| n * 2).collect::<Vec<_>>());
    for (at, seed) in stored {
        assert_same(&log.read(at).unwrap(), &batch(seed, 2));
    }
    assert!(kept.0.lock().unwrap().iter().map(|batch| batch.position.get()).eq(positions));
}

fn everything_committed_is_durable_after_a_sync(open: Open) {
    let Subject { log, .. } = &open(Box::<Keep>::default());
    for seed in 0..10 {
        append(&**log, batch(seed, 1));
        assert!(log.durable() <= log.tail());
        if log.sync_mode() == SyncMode::Always {
            assert_eq!(log.durable(), log.tail());
        }
    }
    assert_eq!(log.sync(), Ok(position(10)));
    assert_eq!(log.durable(), position(10));
}

fn a_batch_larger_than_a_frame_is_refused(open: Open) {
    let Subject { log, .. } = &open(Box::<Keep>::default());
    let huge = Batch { kind: BatchKind::Run, payload: vec![0; (16 << 20) + 1], records: 1, time: Timestamp::default() };
    assert_eq!(log.submit(huge, Box::new(|_| panic!("it was refused"))), Err(SubmitError::TooLarge));
    assert_eq!(append(&**log, batch(1, 1)), Position::ZERO);
}

fn every_ticket_is_called_once_when_the_log_goes(open: Open) {
    let Subject { log, _keep } = open(Box::<Keep>::default());
    let (done, outcomes) = crossbeam_channel::unbounded();
    for seed in 0..100 {
        let done = done.clone();
        log.submit(batch(seed, 1), Box::new(move |outcome| done.send((seed, outcome)).unwrap())).unwrap();
    }
    drop(done);
    drop(log);
    // The channel ends when the last ticket is gone.
    let mut outcomes: Vec<_> = std::iter::from_fn(|| match outcomes.recv_timeout(PATIENCE) {
        Ok(outcome) => Some(outcome),
        Err(crossbeam_channel::RecvTimeoutError::Disconnected) => None,
        Err(crossbeam_channel::RecvTimeoutError::Timeout) => panic!("a ticket is held for ever"),
    })
    .collect();
    outcomes.sort_by_key(|(seed, _)| *seed);
    assert_eq!(outcomes.len(), 100);
    for (seed, outcome) in outcomes {
        match outcome {
            Ok(at) => assert_eq!(at, position(u64::from(seed))),
            Err(error) => assert_eq!(error, AppendError::Closed),
        }
    }
}
