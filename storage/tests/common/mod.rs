//! A directory with a log, for the tests of this crate.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use agenttracer_model::{Position, Timestamp};
use agenttracer_storage::disk::{RealDisk, SimClock, SimDisk, SystemClock};
use agenttracer_storage::verify::{Report, verify};
use agenttracer_storage::{
    AppendError, Batch, BatchKind, Follower, Log, OpenError, Options, Recovery, ResolveOnCommit, SegmentedLog, SyncMode,
};
use uuid::Uuid;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary directory, and how its log is opened.
pub struct Dir {
    dir: tempfile::TempDir,
    pub options: Options,
}

impl Dir {
    pub fn with_segments(segment_bytes: u64) -> Self {
        let options = Options { sync: SyncMode::Always, segment_bytes, ..Options::default() };
        Self { dir: tempfile::tempdir().unwrap(), options }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn try_open(&self) -> Result<(Arc<SegmentedLog>, Recovery), OpenError> {
        let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock::new()));
        SegmentedLog::open(disk, clock, self.path(), self.options.clone(), Box::new(ResolveOnCommit))
    }

    pub fn open(&self) -> Arc<SegmentedLog> {
        self.try_open().unwrap().0
    }

    /// Appends one batch and waits for its position.
    pub fn append(&self, log: &SegmentedLog, payload: &[u8], records: u32) -> Position {
        append(log, payload, records).unwrap()
    }

    /// The segment files, in order.
    pub fn segments(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(self.path().join("log"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
            .collect();
        files.sort();
        files
    }
}

/// A log on a simulated disk, driven step by step.
pub struct Sim {
    pub disk: SimDisk,
    pub clock: SimClock,
    pub options: Options,
}

pub const SIM_DIR: &str = "/data";

impl Sim {
    pub fn new(seed: u64, segment_bytes: u64) -> Self {
        let options = Options { segment_bytes, new_log_id: Uuid::from_u128(7), ..Options::default() };
        Self { disk: SimDisk::new(seed), clock: SimClock::new(Timestamp::from_micros(1_700_000_000_000_000)), options }
    }

    pub fn open_with(&self, follower: impl Follower + 'static) -> Result<(Arc<SegmentedLog>, Recovery), OpenError> {
        let (disk, clock) = (Arc::new(self.disk.clone()), Arc::new(self.clock.clone()));
        SegmentedLog::open_stepped(disk, clock, Path::new(SIM_DIR), self.options.clone(), Box::new(follower))
    }

    pub fn open(&self) -> Result<(Arc<SegmentedLog>, Recovery), OpenError> {
        self.open_with(ResolveOnCommit)
    }

    /// Appends one batch and steps until it is answered.
    pub fn append(&self, log: &SegmentedLog, payload: &[u8], records: u32) -> Result<Position, AppendError> {
        let answer = submit(log, payload, records);
        for _ in 0..10 {
            if let Ok(outcome) = answer.try_recv() {
                return outcome;
            }
            log.step();
        }
        panic!("the batch was not answered");
    }

    /// The segment files, in order.
    pub fn segments(&self) -> Vec<PathBuf> {
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg");
        self.disk.files().into_iter().filter(is_segment).collect()
    }

    pub fn verify(&self) -> Report {
        verify(&self.disk, Path::new(SIM_DIR), &mut |_| {}).unwrap()
    }
}

/// Queues a batch, which must be taken.
pub fn submit(log: &dyn Log, payload: &[u8], records: u32) -> mpsc::Receiver<Result<Position, AppendError>> {
    let (answer, answered) = mpsc::channel();
    let batch = Batch { kind: BatchKind::Run, payload: payload.to_vec(), records, time: Timestamp::from_micros(1_000) };
    let ticket = Box::new(move |outcome| drop(answer.send(outcome)));
    log.submit(batch, ticket).unwrap();
    answered
}

/// Appends one batch and waits for its position.
pub fn append(log: &dyn Log, payload: &[u8], records: u32) -> Result<Position, AppendError> {
    submit(log, payload, records).recv_timeout(PATIENCE).expect("the ticket was called")
}

/// Bytes that depend on `seed`, none of them zero for long.
pub fn payload(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}
