//! Found by the simulation (seeds 3056 and 4165): a bit that flipped in the padding in front of the last group made the
//! group look like a torn tail, and recovery cut it off, though it was whole and acknowledged.

use std::path::Path;
use std::sync::Arc;

use agenttracer_model::Timestamp;
use agenttracer_storage::disk::{SimClock, SimDisk};
use agenttracer_storage::{Batch, BatchKind, Log, OpenError, Options, ResolveOnCommit, SegmentedLog};

const SEGMENT: &str = "/data/log/00000000000000000000.seg";

fn open(disk: &SimDisk) -> Result<Arc<SegmentedLog>, OpenError> {
    let options = Options { segment_bytes: 32 << 10, ..Options::default() };
    let clock = Arc::new(SimClock::new(Timestamp::default()));
    let follower = Box::new(ResolveOnCommit);
    Ok(SegmentedLog::open_stepped(Arc::new(disk.clone()), clock, Path::new("/data"), options, follower)?.0)
}

/// A log with two groups of one batch each, after a loss of power.
fn two_groups() -> SimDisk {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    for byte in [1, 2] {
        let batch = Batch { kind: BatchKind::Run, payload: vec![byte; 100], records: 1, time: Timestamp::default() };
        log.submit(batch, Box::new(|outcome| assert!(outcome.is_ok()))).unwrap();
        log.step();
    }
    assert_eq!(log.tail().get(), 2);
    disk.restart()
}

#[test]
fn the_log_does_not_open_and_names_the_bytes() {
    // The first group: a header of 72 bytes at 4096, the payload, then zeros up to 8192.
    for byte in [4096 + 172 + 4, 5000, 8191] {
        let disk = two_groups();
        disk.flip_bit(Path::new(SEGMENT), byte, 3);
        match open(&disk) {
            Err(OpenError::Damaged(damage)) => {
                assert_eq!(damage.file, Path::new(SEGMENT));
                assert!(damage.offsets.contains(&(byte as u64)), "{damage}");
            }
            Err(error) => panic!("byte {byte}: {error}"),
            Ok(log) => panic!("byte {byte}: opened with its tail at {}", log.tail()),
        }
    }
}

#[test]
fn without_damage_it_opens_with_both() {
    assert_eq!(open(&two_groups()).unwrap().tail().get(), 2);
}
