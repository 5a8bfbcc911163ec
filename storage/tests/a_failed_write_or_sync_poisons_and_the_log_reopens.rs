//! After a failed write or sync nobody is told that it worked, nothing is tried again, and the log reopens itself.

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agenttracer_model::Position;
use agenttracer_storage::disk::sim::Call;
use agenttracer_storage::{
    AppendError, Batch, BatchKind, Committed, Follower, Health, Log, SegmentedLog, SubmitError, SyncMode,
};
use common::{SIM_DIR, Sim, payload, submit};

/// Remembers what it was given.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Given>>);

type Given = Vec<(Position, Vec<u8>)>;

impl Follower for Recorder {
    fn committed(&mut self, group: Vec<Committed>) {
        for Committed { batch, ticket } in group {
            self.0.lock().unwrap().push((batch.position, batch.payload.to_vec()));
            ticket(Ok(batch.position));
        }
    }
}

impl Recorder {
    /// Whether the follower was given exactly what the log holds, in order.
    fn holds_all_of(&self, log: &SegmentedLog) {
        let stored: Vec<_> = log
            .scan(Position::ZERO..log.tail())
            .map(|batch| batch.map(|batch| (batch.position, batch.payload.to_vec())).unwrap())
            .collect();
        assert_eq!(*self.0.lock().unwrap(), stored);
    }
}

fn refused(log: &SegmentedLog) -> SubmitError {
    let batch = Batch { kind: BatchKind::Run, payload: vec![1], records: 1, time: Default::default() };
    log.submit(batch, Box::new(|_| panic!("a refused batch has no answer"))).unwrap_err()
}

/// Steps until the log takes batches again.
fn recover(sim: &Sim, log: &SegmentedLog) {
    for _ in 0..20 {
        sim.clock.advance(10_000);
        log.step();
        if log.health() == Health::Writable {
            return;
        }
    }
    panic!("the log stays {:?}", log.health());
}

#[test]
fn every_failing_call_fails_the_waiters_and_is_survived() {
    for call in [Call::Write, Call::Sync, Call::SyncDir, Call::Name] {
        let mut poisonings = 0;
        for nth in 0..60 {
            let sim = Sim::new(nth, 16 << 10);
            let recorder = Recorder::default();
            let (log, _) = sim.open_with(recorder.clone()).unwrap();
            sim.disk.fail(call, nth);
            let mut acknowledged = Vec::new();
            for i in 0..16_u64 {
                let bytes = payload(i, 1500);
                let answers = [submit(&*log, &bytes, 2), submit(&*log, &bytes, 1)];
                while log.step() {}
                for answer in answers {
                    match answer.try_recv().expect("an answer") {
                        Ok(position) => acknowledged.push((position, bytes.clone())),
                        Err(AppendError::Failed(_)) => {
                            assert!(matches!(log.health(), Health::Poisoned(_)));
                            assert_eq!(refused(&log), SubmitError::Poisoned);
                        }
                        Err(other) => panic!("{call:?} {nth}: {other}"),
                    }
                }
                if log.health() != Health::Writable {
                    poisonings += 1;
                    recover(&sim, &log);
                    recorder.holds_all_of(&log);
                }
            }
            for (position, bytes) in &acknowledged {
                assert_eq!(log.read(*position).unwrap().payload[..], bytes[..], "{call:?} {nth}");
            }
            recorder.holds_all_of(&log);
            // What was acknowledged after the failure is as durable as ever.
            drop(log);
            let after = Sim { disk: sim.disk.restart(), ..sim };
            let (log, _) = after.open().unwrap_or_else(|error| panic!("{call:?} {nth}: {error}"));
            for (position, bytes) in &acknowledged {
                assert_eq!(log.read(*position).unwrap().payload[..], bytes[..], "{call:?} {nth}");
            }
        }
        assert!(poisonings > 2, "{call:?} was never met");
    }
}

#[test]
fn a_full_disk_refuses_new_batches_answers_reads_and_resumes_by_itself() {
    let sim = Sim::new(1, 16 << 10);
    let (log, _) = sim.open().unwrap();
    let mut stored = vec![sim.append(&log, &payload(0, 900), 1).unwrap()];
    sim.disk.set_capacity(Some(sim.disk.used()));
    let error = loop {
        match sim.append(&log, &payload(0, 900), 1) {
            Ok(position) => stored.push(position),
            Err(error) => break error,
        }
        assert!(stored.len() < 100, "the disk is not full");
    };
    assert_eq!(error, AppendError::DiskFull);
    assert_eq!(log.health(), Health::DiskFull);
    assert_eq!(refused(&log), SubmitError::DiskFull);
    for position in &stored {
        assert_eq!(log.read(*position).unwrap().payload[..], payload(0, 900)[..]);
    }
    log.step();
    assert_eq!(log.health(), Health::DiskFull);

    sim.disk.set_capacity(None);
    log.step();
    assert_eq!(log.health(), Health::Writable);
    stored.push(sim.append(&log, &payload(0, 900), 1).unwrap());
    assert_eq!(*stored.last().unwrap(), Position::new(stored.len() as u64 - 1));
    log.close().unwrap();
    assert!(sim.verify().is_sound());
}

#[test]
fn a_log_opens_for_reading_though_there_is_no_space_for_a_segment() {
    let mut sim = Sim::new(1, 16 << 10);
    let (log, _) = sim.open().unwrap();
    let position = sim.append(&log, &payload(0, 900), 1).unwrap();
    drop(log);
    sim.disk = sim.disk.restart();
    let spare = Path::new(SIM_DIR).join("log/spare");
    assert_eq!(sim.disk.content(&spare), None);
    sim.disk.set_capacity(Some(sim.disk.used()));
    let (log, recovery) = sim.open().unwrap();
    assert_eq!((log.health(), recovery.clean), (Health::DiskFull, false));
    assert_eq!(log.read(position).unwrap().payload[..], payload(0, 900)[..]);
    assert_eq!(log.scan(Position::ZERO..log.tail()).count(), 1);
    assert_eq!(refused(&log), SubmitError::DiskFull);
    sim.disk.set_capacity(None);
    log.step();
    assert_eq!(sim.append(&log, &payload(1, 900), 1).unwrap(), position.advance(1));
}

#[test]
fn in_interval_mode_a_batch_is_answered_before_the_sync_and_durable_after_it() {
    let mut sim = Sim::new(1, 16 << 10);
    sim.options.sync = SyncMode::Interval(Duration::from_millis(50));
    let (log, _) = sim.open().unwrap();
    let first = sim.append(&log, &payload(0, 100), 1).unwrap();
    assert_eq!((log.tail(), log.durable()), (Position::new(1), Position::ZERO));
    sim.clock.advance(49);
    log.step();
    assert_eq!(log.durable(), Position::ZERO);
    sim.clock.advance(1);
    log.step();
    assert_eq!(log.durable(), Position::new(1));
    let second = sim.append(&log, &payload(1, 100), 1).unwrap();
    assert_eq!(log.sync().unwrap(), Position::new(2));
    // Never synced: a death of the process loses nothing of it.
    let third = sim.append(&log, &payload(2, 100), 1).unwrap();
    sim.disk = sim.disk.restart_process();
    let (log, _) = sim.open().unwrap();
    for (seed, position) in (0..).zip([first, second, third]) {
        assert_eq!(log.read(position).unwrap().payload[..], payload(seed, 100)[..]);
    }
}
