//! Power loss and death of the process in the middle of every single disk call of a small life, recovery included:
//! what was acknowledged is there, whole and once; the rest is whole or absent; the log goes on.

mod common;

use std::collections::BTreeMap;

use agenttracer_model::Position;
use agenttracer_storage::{Log, SegmentedLog};
use common::{Sim, payload, submit};

/// What a crash may not take away, and what it may.
#[derive(Default)]
struct Promises {
    acknowledged: BTreeMap<Position, u64>,
    submitted: Vec<u64>,
}

impl Promises {
    /// Submits some groups of batches; acknowledged ones are noted.
    fn work(&mut self, sim: &Sim, log: &SegmentedLog, groups: u64) {
        for group in 0..groups {
            let mut answers = Vec::new();
            for _ in 0..=group % 3 {
                let seed = self.submitted.len() as u64;
                if !matches!(log.health(), agenttracer_storage::Health::Writable) {
                    return;
                }
                self.submitted.push(seed);
                answers.push((seed, submit(log, &bytes_of(seed), records_of(seed))));
            }
            while log.step() {}
            for (seed, answer) in answers {
                if let Ok(Ok(position)) = answer.try_recv() {
                    self.acknowledged.insert(position, seed);
                }
            }
            if sim.disk.has_crashed() {
                return;
            }
        }
    }

    fn check(&self, log: &SegmentedLog, context: &str) {
        let mut next = Position::ZERO;
        let mut seen = BTreeMap::new();
        for batch in log.scan(Position::ZERO..log.tail()) {
            let batch = batch.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(batch.position, next, "{context}: a gap");
            next = batch.end();
            let seed = self.submitted.iter().find(|seed| bytes_of(**seed)[..] == batch.payload[..]);
            let seed = *seed.unwrap_or_else(|| panic!("{context}: nobody wrote what stands at {}", batch.position));
            assert_eq!(batch.records, records_of(seed));
            assert!(seen.insert(seed, batch.position).is_none(), "{context}: batch {seed} is there twice");
            let read = log.read(batch.position).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(read.payload[..], batch.payload[..]);
        }
        assert_eq!(next, log.tail(), "{context}");
        for (position, seed) in &self.acknowledged {
            assert_eq!(seen.get(seed), Some(position), "{context}: acknowledged batch {seed}");
        }
    }
}

fn bytes_of(seed: u64) -> Vec<u8> {
    payload(seed, 200 + (seed as usize * 331) % 2500)
}

fn records_of(seed: u64) -> u32 {
    1 + (seed % 4) as u32
}

/// A life that crashes in its `first`th disk call, then in the `second`th call of the next one, and then goes well.
/// Returns whether the crashes happened.
fn live(seed: u64, first: u64, second: Option<u64>, power: bool) -> (bool, bool) {
    let context = format!("seed {seed}, calls {first} and {second:?}, power loss {power}");
    let mut sim = Sim::new(seed, 16 << 10);
    let mut promises = Promises::default();
    let mut crashed = [false; 2];
    for (life, call) in [Some(first), second].into_iter().enumerate() {
        let Some(call) = call else { continue };
        sim.disk.crash_at_change(call);
        match sim.open() {
            Ok((log, _)) => {
                if life > 0 {
                    promises.check_if_alive(&sim, &log, &context);
                }
                promises.work(&sim, &log, 9);
                if !sim.disk.has_crashed() {
                    let _ = log.close();
                }
            }
            Err(error) => assert!(sim.disk.has_crashed(), "{context}: {error}"),
        }
        crashed[life] = sim.disk.has_crashed();
        sim.disk = if power { sim.disk.restart() } else { sim.disk.restart_process() };
    }
    let (log, _) = sim.open().unwrap_or_else(|error| panic!("{context}: {error}"));
    promises.check(&log, &context);
    promises.work(&sim, &log, 4);
    promises.check(&log, &context);
    log.close().unwrap();
    drop(log);
    let report = sim.verify();
    assert!(report.is_sound() && report.torn_tail.is_none(), "{context}: {report:?}");
    let (log, recovery) = sim.open().unwrap();
    assert!(recovery.clean, "{context}: {recovery}");
    promises.check(&log, &context);
    (crashed[0], crashed[1])
}

impl Promises {
    /// Reads fail after the crash, so there is nothing to check then.
    fn check_if_alive(&self, sim: &Sim, log: &SegmentedLog, context: &str) {
        if !sim.disk.has_crashed() {
            self.check(log, context);
        }
    }
}

#[test]
fn a_crash_in_any_disk_call_loses_nothing_acknowledged() {
    for power in [true, false] {
        for seed in 0..8 {
            let mut call = 0;
            while live(seed * 1000 + call, call, None, power).0 {
                call += 1;
            }
            assert!(call > 60, "the life was too short to mean something: {call} calls");
        }
    }
}

#[test]
fn a_crash_in_any_disk_call_of_the_recovery_loses_nothing_either() {
    for power in [true, false] {
        for (seed, first) in (0_u64..).zip((0..150).step_by(7)) {
            let mut second = 0;
            while second < 40 && live(seed * 1000 + second, first, Some(second), power).1 {
                second += 1;
            }
        }
    }
}
