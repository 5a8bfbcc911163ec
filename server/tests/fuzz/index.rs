//! What the index says about itself: tantivy's `meta.json`, and in it the checkpoint.

use std::path::Path;
use std::sync::Arc;

use agenttracer_index::{Index, Options, commit_channel, known_durable};
use agenttracer_model::{Timestamp, sample};
use agenttracer_storage::disk::{Disk, SimClock, SimDisk};
use agenttracer_storage::{Log, MemoryLog, record};
use proptest::prelude::*;
use serde_json::Value;

use crate::corpus::{Files, lines};
use crate::mutate::{changed, changes};
use crate::{bounded, check};

const DIR: &str = "/data/index";
const META: &str = "/data/index/meta.json";
const RUNS: u64 = 3;
/// tantivy's writer takes 15 MB and more, and keeps what it reads.
const MEMORY: usize = 64 << 20;

fn open(disk: &SimDisk, log: Arc<dyn Log>, commits: agenttracer_index::Commits) -> Result<Index, String> {
    let options = Options { writer_heap_bytes: 15_000_000, ..Options::default() };
    let clock = Arc::new(SimClock::new(Timestamp::from_micros(0)));
    Index::open_stepped(Arc::new(disk.clone()), clock, Path::new(DIR), log, commits, options)
        .map_err(|error| error.to_string())
}

/// The files of a committed index of three runs, and the log of these.
fn committed() -> (Files, Arc<dyn Log>) {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let (follower, commits) = commit_channel(8);
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(follower));
    let index = open(&disk, log.clone(), commits).unwrap();
    for seed in 0..RUNS {
        log.submit(record::encode_run(&sample::run(seed), sample::FIRST_START), Box::new(|_| {})).unwrap();
        while !index.apply_step() {
            std::thread::yield_now();
        }
    }
    index.commit_now().unwrap();
    index.close().unwrap();
    (Files::of(&disk), log)
}

/// Asks what it covers, and opens it: as it is, or as a new one that is made from the log. The runs are the same.
fn read(disk: &SimDisk, log: &Arc<dyn Log>) -> Result<(), TestCaseError> {
    bounded(MEMORY, || {
        let any: Arc<dyn Disk> = Arc::new(disk.clone());
        known_durable(&any, Path::new(DIR)).map_err(|error| TestCaseError::fail(error.to_string()))?;
        match open(disk, log.clone(), commit_channel(8).1) {
            // A checkpoint that is ahead of the log is evidence that the log lost something.
            Err(error) => prop_assert!(error.contains("log"), "{error}"),
            Ok(index) => {
                let runs = index.status().hot_runs + index.status().cold_docs;
                prop_assert_eq!(runs, RUNS);
            }
        }
        Ok(())
    })?
}

#[test]
fn checkpoints() {
    let (files, log) = committed();
    let meta: Value = serde_json::from_slice(files.get(META)).unwrap();
    let mut seeds = lines("checkpoints.txt");
    seeds.push(meta["payload"].as_str().unwrap().to_owned());
    let words = changes(b"version=log next-0123456789abcdef%", 4);
    check((prop::sample::select(seeds), words), |(seed, changes)| {
        let mut meta = meta.clone();
        meta["payload"] = String::from_utf8_lossy(&changed(seed.into_bytes(), &changes)).into();
        read(&files.disk_with(META, serde_json::to_vec(&meta).unwrap()), &log)
    });
}

/// The file around it is tantivy's, and it may be anything, too.
#[test]
fn meta_files() {
    let (files, log) = committed();
    check(changes(b"{}[]\",:0123456789-abcdef", 4), |changes| {
        let meta = changed(files.get(META).to_vec(), &changes);
        read(&files.disk_with(META, meta), &log)
    });
}
