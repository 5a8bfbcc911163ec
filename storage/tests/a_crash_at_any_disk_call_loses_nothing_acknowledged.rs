//! One fixed course of appends with rotations, cut off by a loss of power in each of its disk calls in turn, each time
//! with several fates of what was not synced.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agenttracer_model::{Position, Timestamp};
use agenttracer_storage::disk::{SimClock, SimDisk};
use agenttracer_storage::{
    Batch, BatchKind, Log, OpenError, Options, ResolveOnCommit, RewriteError, Rewriting, SegmentedLog, StoredBatch,
    SyncMode,
};

const BATCHES: u8 = 24;
const FATES: u64 = 12;

fn open(disk: &SimDisk, sync: SyncMode) -> Result<Arc<SegmentedLog>, OpenError> {
    let options = Options { sync, segment_bytes: 16 << 10, ..Options::default() };
    let clock = Arc::new(SimClock::new(Timestamp::default()));
    let follower = Box::new(ResolveOnCommit);
    Ok(SegmentedLog::open_stepped(Arc::new(disk.clone()), clock, Path::new("/data"), options, follower)?.0)
}

fn batch(number: u8) -> Batch {
    Batch {
        kind: BatchKind::Run,
        payload: vec![number; 100 + usize::from(number) * 50],
        records: 1,
        time: Timestamp::default(),
    }
}

/// Appends as long as the disk works. Returns how many batches were acknowledged and are durable as far as the log
/// says.
fn append(disk: &SimDisk, sync: SyncMode) -> u64 {
    let Ok(log) = open(disk, sync) else { return 0 };
    let acknowledged = Arc::new(Mutex::new(0));
    for number in 0..BATCHES {
        let acknowledged = acknowledged.clone();
        let ticket =
            Box::new(move |outcome: Result<Position, _>| *acknowledged.lock().unwrap() += u64::from(outcome.is_ok()));
        if log.submit(batch(number), ticket).is_err() {
            break;
        }
        if number % 3 == 0 {
            log.step();
        }
    }
    while log.step() {}
    let acknowledged = *acknowledged.lock().unwrap();
    acknowledged.min(log.durable().get())
}

fn crash_everywhere(sync: SyncMode) {
    let whole = SimDisk::new(0);
    append(&whole, sync);
    let calls = whole.changes();
    let segments = whole.files().iter().filter(|path| path.to_string_lossy().ends_with(".seg")).count();
    assert!(calls > 30 && segments >= 3, "the course is too short: {calls} calls, {segments} segments");
    for call in 0..calls {
        for fate in 0..FATES {
            let disk = SimDisk::new(call * FATES + fate);
            disk.crash_at_change(call);
            let acknowledged = append(&disk, sync);
            assert!(disk.has_crashed());
            let after = disk.restart();
            let log = open(&after, sync).unwrap_or_else(|error| panic!("call {call}, fate {fate}: {error}"));
            let found: Vec<_> = log.scan(Position::ZERO..log.tail()).map(Result::unwrap).collect();
            assert!(found.len() as u64 >= acknowledged, "call {call}, fate {fate}: {} of {acknowledged}", found.len());
            for (number, found) in (0..).zip(&found) {
                assert_eq!(found.position.get(), u64::from(number));
                assert!(found.payload[..] == batch(number).payload[..], "call {call}, fate {fate}: batch {number}");
            }
        }
    }
}

/// Which batches of the course below are not kept.
fn goes(position: u64) -> bool {
    position % 4 == 1
}

struct Quarter;

impl Rewriting for Quarter {
    fn keep(&mut self, batch: &StoredBatch) -> bool {
        !goes(batch.position.get())
    }
}

/// What is certain about the log after [`maintain`].
#[derive(Default)]
struct Certain {
    acknowledged: u64,
    /// Below this, the batches that go are gone.
    rewritten: u64,
    /// Below this, everything is gone; between it and `dropping`, a batch may be there or not.
    dropped: u64,
    dropping: u64,
}

/// Appends, rewrites twice, drops, appends again, as long as the disk works.
fn maintain(disk: &SimDisk) -> Certain {
    let mut certain = Certain { acknowledged: append(disk, SyncMode::Always), ..Certain::default() };
    let Ok(log) = open(disk, SyncMode::Always) else { return certain };
    let course = |certain: &mut Certain| {
        log.seal_active()?;
        let sealed = log.sealed();
        let half = sealed[sealed.len() / 2].entry.first;
        let end = sealed.last().unwrap().entry.end;
        log.rewrite(Position::ZERO..half, &mut Quarter)?;
        certain.rewritten = half.get();
        log.rewrite(half..end, &mut Quarter)?;
        certain.rewritten = end.get();
        certain.dropping = half.get();
        log.drop_before(half)?;
        certain.dropped = half.get();
        log.rewrite(half..end, &mut Quarter)
    };
    let _: Result<_, RewriteError> = course(&mut certain);
    certain
}

#[test]
fn when_segments_are_rewritten_and_dropped() {
    let whole = SimDisk::new(0);
    let certain = maintain(&whole);
    assert!(certain.dropped > 0 && certain.rewritten > certain.dropped);
    let before = SimDisk::new(0);
    append(&before, SyncMode::Always);
    let (from, calls) = (before.changes(), whole.changes());
    assert!(calls - from > 40, "the course is too short: {from}..{calls}");
    for call in from..calls {
        for fate in 0..FATES {
            let disk = SimDisk::new(call * FATES + fate);
            disk.crash_at_change(call);
            let certain = maintain(&disk);
            assert!(disk.has_crashed());
            let after = disk.restart();
            let log =
                open(&after, SyncMode::Always).unwrap_or_else(|error| panic!("call {call}, fate {fate}: {error}"));
            let found: Vec<_> = log.scan(Position::ZERO..log.tail()).map(Result::unwrap).collect();
            for stored in &found {
                let position = stored.position.get();
                assert!(
                    stored.payload[..] == batch(position as u8).payload[..],
                    "call {call}, fate {fate}: batch {position}"
                );
                assert!(position >= certain.dropped, "call {call}, fate {fate}: {position} was dropped");
                assert!(
                    !goes(position) || position >= certain.rewritten,
                    "call {call}, fate {fate}: {position} came back"
                );
            }
            for position in certain.dropping..certain.acknowledged {
                let is_there = found.iter().any(|stored| stored.position.get() == position);
                assert!(is_there || goes(position), "call {call}, fate {fate}: {position} is lost");
            }
            // Nothing lies about that nobody needs.
            let files = after.files().into_iter().filter(|file| file.to_string_lossy().contains("seg")).count();
            assert_eq!(files, log.sealed().len() + 1, "call {call}, fate {fate}: {:?}", after.files());
            assert!(log.damage().is_empty());
        }
    }
}

#[test]
fn when_each_group_is_synced() {
    crash_everywhere(SyncMode::Always);
}

#[test]
fn when_syncs_come_at_intervals() {
    crash_everywhere(SyncMode::Interval(Duration::from_secs(3600)));
}
