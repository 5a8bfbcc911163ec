//! Passes of maintenance over a real log and index: what they rewrite and drop, and that nothing else changes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use agenttracer_index::{Index, Options as IndexOptions, commit_channel};
use agenttracer_model::{Position, Timestamp, sample};
use agenttracer_server::maintenance::{Maintenance, NothingUnwanted, Options, Unwanted};
use agenttracer_storage::compaction::Policy;
use agenttracer_storage::disk::{Clock, Disk, SimClock, SimDisk};
use agenttracer_storage::log_record::{self, LogRecord, Selection};
use agenttracer_storage::verify::verify;
use agenttracer_storage::{BatchKind, Health, Log, Options as LogOptions, SegmentedLog, SubmitError, record};
use uuid::Uuid;

const SEGMENT_BYTES: u64 = 64 << 10;
const DAY_MICROS: i64 = 86_400_000_000;

/// A log and its index on a simulated disk, with a clock that is set by hand.
struct World {
    disk: SimDisk,
    clock: SimClock,
    log: Arc<SegmentedLog>,
    index: Arc<Index>,
}

impl World {
    fn open() -> Self {
        Self::over(SimDisk::new(1))
    }

    fn over(disk: SimDisk) -> Self {
        let clock = SimClock::new(Timestamp::from_micros(1_790_000_000_000_000));
        let (shared, time): (Arc<dyn Disk>, Arc<dyn Clock>) = (Arc::new(disk.clone()), Arc::new(clock.clone()));
        let (follower, commits) = commit_channel(4);
        let options = LogOptions { segment_bytes: SEGMENT_BYTES, ..LogOptions::default() };
        let (log, _) =
            SegmentedLog::open(shared.clone(), time.clone(), Path::new("/data"), options, Box::new(follower)).unwrap();
        let options = IndexOptions { writer_heap_bytes: 15_000_000, ..IndexOptions::default() };
        let dir = Path::new("/data/index");
        let index = Index::open(shared, time, dir, log.clone(), commits, options, &mut |_| {}).unwrap();
        Self { disk, clock, log, index: Arc::new(index) }
    }

    fn maintenance(&self, options: Options, unwanted: Arc<dyn Unwanted>) -> Maintenance {
        let (disk, clock) = (Arc::new(self.disk.clone()), Arc::new(self.clock.clone()));
        Maintenance::new(self.log.clone(), self.index.clone(), disk, clock, "/data".into(), options, unwanted)
    }

    /// Stores the run of a seed, taken in now.
    fn store(&self, seed: u64) -> Result<Position, SubmitError> {
        let (done, outcome) = mpsc::channel();
        let batch = record::encode_run(&sample::run(seed), self.clock.now());
        self.log.submit(batch, Box::new(move |result| drop(done.send(result))))?;
        Ok(outcome.recv_timeout(Duration::from_secs(60)).unwrap().unwrap())
    }

    /// The seeds below `end` whose runs are shown, each read from the log as it was stored.
    fn shown(&self, end: u64) -> Vec<u64> {
        let snapshot = self.index.snapshot();
        let is_shown = |seed: &u64| {
            let run = sample::run(*seed);
            let Some(found) = snapshot.find(run.run_id).unwrap() else { return false };
            let batch = self.log.read(found.batches[0]).unwrap();
            assert_eq!(batch.payload[..], record::encode_run(&run, Timestamp::default()).payload[..]);
            true
        };
        (0..end).filter(is_shown).collect()
    }

    fn close(self) -> SimDisk {
        self.index.close().unwrap();
        self.log.close().unwrap();
        let report = verify(&self.disk, Path::new("/data"), &mut |_| {}).unwrap();
        assert!(report.is_sound() && report.strays.is_empty(), "{report:?}");
        self.disk
    }
}

fn options() -> Options {
    Options {
        compact: true,
        bytes_per_second: None,
        retain: None,
        max_disk_bytes: None,
        policy: Policy { target_bytes: SEGMENT_BYTES },
    }
}

#[test]
fn compaction_makes_the_log_small_and_every_run_is_read_as_before() {
    let world = World::open();
    for seed in 0..300 {
        world.store(seed).unwrap();
    }
    let maintenance = world.maintenance(options(), Arc::new(NothingUnwanted));
    world.log.seal_active().unwrap();
    let bytes = |world: &World| world.log.sealed().iter().map(|segment| segment.entry.file_bytes).sum::<u64>();
    let before = bytes(&world);
    maintenance.pass(&mut |_| true).unwrap();
    assert!(bytes(&world) < before / 2, "{before} became {}", bytes(&world));
    assert_eq!(world.shown(300), (0..300).collect::<Vec<_>>());
    let done = maintenance.done();
    assert_eq!(done.bytes_before.load(Ordering::Relaxed), before);
    let rewritings = done.rewritings.load(Ordering::Relaxed);
    // What was compacted is left alone.
    for _ in 0..3 {
        maintenance.pass(&mut |_| true).unwrap();
    }
    assert!(done.rewritings.load(Ordering::Relaxed) <= rewritings + 2, "it never comes to rest");
    // A dictionary says what a segment does not hold.
    let footer = world.log.footer(&world.log.sealed()[0]).unwrap();
    assert!(footer.dictionary.complete);
    assert!((0..300).any(|seed| footer.dictionary.lists[0].contains(&sample::run(seed).agent_id)));
    let world = World::over(world.close());
    assert_eq!(world.shown(300), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_pass_that_is_stopped_changes_nothing() {
    let world = World::open();
    for seed in 0..100 {
        world.store(seed).unwrap();
    }
    world.log.seal_active().unwrap();
    let sealed = world.log.sealed();
    world.maintenance(options(), Arc::new(NothingUnwanted)).pass(&mut |_| false).unwrap();
    assert_eq!(world.log.sealed(), sealed);
    world.close();
}

#[test]
fn what_is_older_than_it_may_become_is_dropped_from_log_and_index() {
    let world = World::open();
    let retain = Options { retain: Some(Duration::from_secs(30 * 86_400)), ..options() };
    let maintenance = world.maintenance(retain, Arc::new(NothingUnwanted));
    let begun = world.clock.now();
    for day in 0..50 {
        world.clock.set(Timestamp::from_micros(begun.as_micros() + day * DAY_MICROS));
        for run in 0..5 {
            world.store(day as u64 * 5 + run).unwrap();
        }
        maintenance.pass(&mut |_| true).unwrap();
    }
    let shown = world.shown(250);
    // Now it is day 49. Nothing younger than 30 days is gone, and nothing older than 33 days, or one merged segment, is there.
    let oldest = shown[0] / 5;
    assert!((10..=19).contains(&oldest), "the oldest run is of day {oldest}");
    assert_eq!(shown, (shown[0]..250).collect::<Vec<_>>());
    let first = world.log.sealed()[0].entry.first;
    assert!(first > Position::ZERO);
    assert!(world.log.read(Position::ZERO).is_err());
    let world = World::over(world.close());
    assert_eq!(world.shown(250), shown);
}

#[test]
fn the_oldest_runs_go_when_the_directory_is_full_and_then_no_more_are_taken() {
    let world = World::open();
    for seed in 0..400 {
        world.store(seed).unwrap();
    }
    world.index.commit_now().unwrap();
    let used = |world: &World| {
        let dirs = ["/data/log", "/data/index"];
        dirs.iter().flat_map(|dir| world.disk.list(Path::new(dir)).unwrap()).map(|(_, len)| len).sum::<u64>()
    };
    let bound = used(&world) - 2 * SEGMENT_BYTES;
    let bounded = |max| Options { compact: false, max_disk_bytes: Some(max), ..options() };
    world.maintenance(bounded(bound), Arc::new(NothingUnwanted)).pass(&mut |_| true).unwrap();
    let shown = world.shown(400);
    assert!((1..400).contains(&shown.len()) && shown.is_sorted() && shown.last() == Some(&399), "{shown:?}");
    assert_eq!(world.log.health(), Health::Writable);
    // Even an empty log takes more than this.
    world.maintenance(bounded(SEGMENT_BYTES), Arc::new(NothingUnwanted)).pass(&mut |_| true).unwrap();
    assert_eq!(world.log.health(), Health::OverLimit);
    assert_eq!(world.store(1000), Err(SubmitError::OverLimit));
    // What the log tells of itself is taken all the same.
    let begun = LogRecord::ErasureBegun { erasure: Uuid::from_u128(1), selection: Selection::RUN, runs: 0 };
    let note = log_record::encode(&[begun], world.clock.now());
    assert_eq!(note.kind, BatchKind::Log);
    let (done, outcome) = mpsc::channel();
    world.log.submit(note, Box::new(move |result| drop(done.send(result)))).unwrap();
    assert!(outcome.recv_timeout(Duration::from_secs(60)).is_ok());
    world.maintenance(bounded(u64::MAX), Arc::new(NothingUnwanted)).pass(&mut |_| true).unwrap();
    world.store(1000).unwrap();
    world.close();
}

#[test]
fn what_another_part_does_not_want_is_left_out() {
    struct Some(BTreeSet<Position>);
    impl Unwanted for Some {
        fn batches(&self, range: std::ops::Range<Position>) -> Result<BTreeSet<Position>, String> {
            Ok(self.0.range(range).copied().collect())
        }
        fn before_drop(&self, _: Position) -> Result<(), String> {
            Ok(())
        }
        fn after_pass(&self, _: &mut dyn FnMut(u64) -> bool) -> Result<(), String> {
            Ok(())
        }
    }
    let world = World::open();
    let positions: Vec<_> = (0..200).map(|seed| world.store(seed).unwrap()).collect();
    world.log.seal_active().unwrap();
    world.maintenance(options(), Arc::new(NothingUnwanted)).pass(&mut |_| true).unwrap();
    let gone = BTreeSet::from([positions[3], positions[150]]);
    let maintenance = world.maintenance(options(), Arc::new(Some(gone)));
    maintenance.pass(&mut |_| true).unwrap();
    assert_eq!(maintenance.done().dropped_batches.load(Ordering::Relaxed), 2);
    let id = |seed| sample::run(seed).run_id;
    for file in world.disk.files() {
        let bytes = world.disk.content(&file).unwrap();
        let has = |id: Uuid| bytes.windows(16).any(|window| window == id.as_bytes());
        assert!(!file.starts_with("/data/log") || !(has(id(3)) || has(id(150))), "{}", file.display());
    }
    for (seed, position) in positions.iter().enumerate() {
        assert_eq!(world.log.read(*position).is_ok(), ![3, 150].contains(&seed), "run {seed}");
    }
    world.close();
}
