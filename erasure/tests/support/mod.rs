//! A data directory on a real disk, with everything that erases runs.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agenttracer_erasure::{Eraser, Options, Proof, Purger, Wanted, appending_to, prove};
use agenttracer_index::{Erasure, Index, commit_channel, known_durable};
use agenttracer_model::{Run, Timestamp, sample};
use agenttracer_storage::disk::{Clock, Disk, RealDisk, SystemClock};
use agenttracer_storage::log_record::{self, LogRecord};
use agenttracer_storage::{Batch, Log, Rewriting, SegmentedLog, StoredBatch, record};
use tempfile::TempDir;
use uuid::Uuid;

/// When the server took everything in.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

pub(crate) struct World {
    pub(crate) dir: Arc<TempDir>,
    pub(crate) log: Arc<SegmentedLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) eraser: Arc<Eraser>,
    pub(crate) purger: Purger,
}

pub(crate) fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

impl World {
    pub(crate) fn new() -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), 64 << 10)
    }

    pub(crate) fn open(dir: Arc<TempDir>, segment_bytes: u64) -> Self {
        let (disk, clock): (_, Arc<dyn Clock>) = (disk(), Arc::new(SystemClock::new()));
        let index_dir = dir.path().join("index");
        let known_durable = known_durable(&disk, &index_dir).unwrap();
        let (follower, commits) = commit_channel(64);
        let options =
            agenttracer_storage::Options { segment_bytes, known_durable, ..agenttracer_storage::Options::default() };
        let (log, _) =
            SegmentedLog::open(disk.clone(), clock.clone(), dir.path(), options, Box::new(follower)).unwrap();
        let options = agenttracer_index::Options {
            commit_every: Duration::from_secs(3600),
            ..agenttracer_index::Options::default()
        };
        let index =
            Index::open(disk.clone(), clock.clone(), &index_dir, log.clone(), commits, options, &mut |_| {}).unwrap();
        let index = Arc::new(index);
        let append = appending_to(log.clone());
        let eraser = Eraser::new(log.clone(), index.clone(), clock, append, Options::default(), Box::new(|| {}));
        let eraser = Arc::new(eraser);
        let purger = Purger::new(eraser.clone(), log.clone(), disk, dir.path());
        Self { dir, log, index, eraser, purger }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn append(&self, batch: Batch) {
        appending_to(self.log.clone())(batch).unwrap();
    }

    /// Stores runs, many in one sync.
    pub(crate) fn store(&self, runs: impl IntoIterator<Item = Run>) {
        let (done, outcomes) = std::sync::mpsc::channel();
        let mut sent = 0;
        for run in runs {
            let batch = record::encode_run(&run, NOW);
            loop {
                let done = done.clone();
                match self.log.submit(batch.clone(), Box::new(move |outcome| drop(done.send(outcome)))) {
                    Ok(()) => break,
                    Err(agenttracer_storage::SubmitError::Busy) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
            sent += 1;
            while !self.index.has_room() {
                self.index.commit_now().unwrap();
            }
        }
        for _ in 0..sent {
            outcomes.recv().unwrap().unwrap();
        }
    }

    pub(crate) fn erase(&self, seeds: impl IntoIterator<Item = u64>) -> Erasure {
        let run_ids: Vec<Uuid> = seeds.into_iter().map(|seed| sample::run(seed).run_id).collect();
        self.eraser.erase(&Wanted { run_ids, ..Wanted::default() }).unwrap()
    }

    /// Appends a receipt for what is still there: a lie that the proof must see through.
    pub(crate) fn claim_purged(&self, erasure: &Erasure) {
        let receipt = LogRecord::ErasurePurged { erasure: erasure.id, digest: erasure.digest.unwrap() };
        self.append(log_record::encode(&[receipt], NOW));
    }

    /// Compresses all that is there, and leaves nothing out.
    pub(crate) fn compress(&self) {
        self.log.seal_active().unwrap();
        for segment in self.log.sealed() {
            self.log.rewrite(segment.entry.first..segment.entry.end, &mut All).unwrap();
        }
    }

    pub(crate) fn purge(&self) {
        while self.purger.has_work() {
            let purged = self.purger.step(&mut |_| true).unwrap();
            assert_eq!(purged.waits, None);
        }
    }

    pub(crate) fn close(self) -> Arc<TempDir> {
        self.index.close().unwrap();
        self.log.close().unwrap();
        self.dir
    }
}

struct All;

impl Rewriting for All {
    fn keep(&mut self, _: &StoredBatch) -> bool {
        true
    }
}

pub(crate) fn proof(dir: &Path) -> Proof {
    prove(&disk(), dir).unwrap()
}

/// What was found, each once.
pub(crate) fn whats(proof: &Proof) -> BTreeSet<&str> {
    proof.named.iter().map(|finding| finding.what.as_str()).collect()
}
