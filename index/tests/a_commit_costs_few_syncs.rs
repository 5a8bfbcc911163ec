//! The log's syncs and those of the index go to one disk: a commit of the index syncs each of its new files once, and little
//! beside them.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agenttracer_index::Options;
use agenttracer_storage::disk::{CountingDisk, Disk, RealDisk};
use support::{TestLog, open, options};

fn files(dir: &Path) -> Vec<String> {
    RealDisk.list(dir).unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_commit_costs_few_syncs() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let counting = Arc::new(CountingDisk::new(Arc::new(RealDisk)));
    let disk: Arc<dyn Disk> = counting.clone();
    let no_commits = Options { commit_every: Duration::from_secs(3600), ..options() };
    let index = open(&disk, dir.path(), &log, no_commits).unwrap();
    // The first commit makes the writer.
    log.append_samples(0..10);
    index.commit_now().unwrap();
    for commit in 1..4 {
        log.append_samples(commit * 10..commit * 10 + 10);
        let (before, old) = (counting.counts(), files(dir.path()));
        index.commit_now().unwrap();
        let after = counting.counts();
        let new = files(dir.path()).iter().filter(|file| !old.contains(file)).count() as u64;
        assert!(new >= 4, "a segment of {new} files");
        // The list of files and meta.json; and the names before and after meta.json.
        assert!(after.syncs - before.syncs <= new + 2, "{new} new files: {before:?}, {after:?}");
        assert!(after.dir_syncs - before.dir_syncs <= 2, "{before:?}, {after:?}");
    }
    index.close().unwrap();
}

#[test]
fn what_a_crash_left_behind_is_removed_by_the_next_commit() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let index = open(&disk, dir.path(), &log, options()).unwrap();
    log.append_samples(0..10);
    index.close().unwrap();
    drop(index);
    // A list older than the index, and files that no list names.
    std::fs::write(dir.path().join(".managed.json"), "[]").unwrap();
    for stray in ["meta.json.tmp", "0123456789abcdef0123456789abcdef.store", "0123456789abcdef.rollup"] {
        std::fs::write(dir.path().join(stray), "half").unwrap();
    }
    let mut expected = files(dir.path());
    expected.retain(|file| file != "meta.json.tmp" && !file.starts_with("0123456789abcdef"));
    // The next commit writes its few cells anew, into one file with its own.
    expected.retain(|file| !file.ends_with(".rollup"));

    let index = open(&disk, dir.path(), &log, options()).unwrap();
    log.append_samples(10..20);
    index.close().unwrap();
    let left = files(dir.path());
    assert!(expected.iter().all(|file| left.contains(file)), "{expected:?}, {left:?}");
    assert_eq!(left.iter().filter(|file| file.ends_with(".rollup")).count(), 1, "{left:?}");
    assert!(!left.iter().any(|file| file.ends_with(".tmp") || file.starts_with("0123456789abcdef")), "{left:?}");
    assert_eq!(index.status().cold_docs, 20);
}
