//! Whatever becomes of the index (a clean stop, a sudden end, a deleted or damaged directory, another version), the next
//! start shows what the log holds, each run once and byte for byte the same.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agenttracer_index::{Index, IndexError, Options, RunSummary, damaged_files, known_durable};
use agenttracer_model::{Position, sample};
use agenttracer_storage::disk::{Disk, RealDisk, SimDisk};
use agenttracer_storage::record;
use agenttracer_storage::{KnownDurable, Log};
use support::{NOW, TestLog, all, open, open_with, options, wait_until};
use tantivy::DocAddress;
use uuid::Uuid;

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Never by itself.
fn no_commits() -> Options {
    Options { commit_every: Duration::from_secs(3600), ..options() }
}

/// The answers of an index that was built from nothing.
fn model(log: &Arc<TestLog>) -> BTreeMap<Uuid, RunSummary> {
    let dir = tempfile::tempdir().unwrap();
    let index = open(&disk(), dir.path(), log, no_commits()).unwrap();
    all(&index.snapshot())
}

fn stored_bytes(index: &Index) -> BTreeMap<Uuid, Vec<u8>> {
    index.commit_now().unwrap();
    let snapshot = index.snapshot();
    let mut stored = BTreeMap::new();
    for (ord, segment) in snapshot.searcher().segment_readers().iter().enumerate() {
        let store = segment.get_store_reader(1).unwrap();
        for doc in segment.doc_ids_alive() {
            let run = snapshot.summary(DocAddress::new(ord as u32, doc)).unwrap();
            stored.insert(run.run_id, store.get_document_bytes(doc).unwrap().to_vec());
        }
    }
    stored
}

#[test]
fn after_a_clean_stop_nothing_is_replayed() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk(), dir.path(), &log, no_commits()).unwrap();
    log.append_samples(0..300);
    let before = all(&index.snapshot());
    assert_eq!(known_durable(&disk(), dir.path()).unwrap(), None);
    index.close().unwrap();
    index.close().unwrap();
    assert!(index.commit_now().is_ok(), "there is nothing left to commit");
    drop(index);

    let known = KnownDurable { log: log.id(), below: log.tail() };
    assert_eq!(known_durable(&disk(), dir.path()).unwrap(), Some(known));
    assert_eq!(damaged_files(&disk(), dir.path()).unwrap(), Vec::<std::path::PathBuf>::new());
    let index = open(&disk(), dir.path(), &log, no_commits()).unwrap();
    let status = index.status();
    assert_eq!((status.hot_runs, status.cold_docs, status.checkpoint), (0, 300, log.tail()));
    assert_eq!(all(&index.snapshot()), before);
}

#[test]
fn after_a_sudden_end_anywhere_the_log_says_the_rest() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    for round in 0..8 {
        let options = if round % 2 == 0 { options() } else { no_commits() };
        let index = open(&disk(), dir.path(), &log, options).unwrap();
        log.append_samples(round * 150..round * 150 + 150);
        if round % 3 == 0 {
            index.commit_now().unwrap();
            log.append_samples(10_000 + round * 5..10_000 + round * 5 + 5);
        }
        // Again, what is there already: a run that arrived whole keeps its first form.
        log.append_run(&sample::run(round));
        drop(index);
    }
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    assert_eq!(all(&index.snapshot()).len(), 8 * 150 + 3 * 5);
    assert_eq!(all(&index.snapshot()), model(&log));
}

#[test]
fn a_deleted_index_is_rebuilt_to_the_same_bytes() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let at = dir.path().join("index");
    let index = open(&disk(), &at, &log, options()).unwrap();
    log.append_samples(0..700);
    let before = stored_bytes(&index);
    index.close().unwrap();
    drop(index);
    std::fs::remove_dir_all(&at).unwrap();

    let mut seen = Vec::new();
    let index = open_with(&disk(), &at, &log, options(), &mut |progress| seen.push(progress)).unwrap();
    assert!(seen.len() > 1 && seen.is_sorted_by_key(|progress| progress.position));
    let last = seen.last().unwrap();
    assert_eq!((last.position, last.tail, last.runs), (log.tail(), log.tail(), 700));
    assert_eq!(before.len(), 700);
    assert_eq!(stored_bytes(&index), before);
}

#[test]
fn a_damaged_index_or_one_of_another_version_is_rebuilt() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    log.append_samples(0..100);
    let before = all(&index.snapshot());
    index.close().unwrap();
    drop(index);
    let meta = dir.path().join("meta.json");
    let largest = |ending: &str| {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.to_string_lossy().ends_with(ending)).max_by_key(|file| file.metadata().unwrap().len())
    };
    type Harm<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let harms: [Harm<'_>; 4] = [
        (
            "another version",
            Box::new(|| {
                let text = std::fs::read_to_string(&meta).unwrap();
                let another = text.replace("version=", "version=999");
                assert_ne!(text, another);
                std::fs::write(&meta, another).unwrap();
            }),
        ),
        ("cut metadata", Box::new(|| std::fs::write(&meta, "{\"segments\": [").unwrap())),
        ("a missing file", Box::new(|| std::fs::remove_file(largest(".fast").unwrap()).unwrap())),
        (
            "a cut file",
            Box::new(|| {
                let file = std::fs::OpenOptions::new().write(true).open(largest(".term").unwrap()).unwrap();
                file.set_len(10).unwrap();
            }),
        ),
    ];
    for (what, harm) in harms {
        harm();
        let known = known_durable(&disk(), dir.path()).unwrap();
        assert!(known.is_none_or(|known| known.log == log.id() && known.below == log.tail()), "{what}");
        let mut replayed = Position::ZERO;
        let index = open_with(&disk(), dir.path(), &log, options(), &mut |progress| replayed = progress.position)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(replayed, log.tail(), "{what}");
        assert_eq!(all(&index.snapshot()), before, "{what}");
        index.close().unwrap();
    }
    // A flipped bit in a file's body is told by its checksum.
    let store = largest(".store").unwrap();
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&store, bytes).unwrap();
    assert_eq!(damaged_files(&disk(), dir.path()).unwrap(), [store]);
}

#[test]
fn an_index_ahead_of_its_log_is_refused() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    log.append_samples(0..10);
    index.close().unwrap();
    drop(index);
    let error = open(&disk(), dir.path(), &log.emptied(), options()).err().unwrap();
    assert!(
        matches!(error, IndexError::AheadOfLog { checkpoint, tail: Position::ZERO } if checkpoint == log.tail()),
        "{error}"
    );
}

#[test]
fn an_index_of_another_log_is_thrown_away_and_made_anew() {
    let (dir, log, other) = (tempfile::tempdir().unwrap(), TestLog::new(), TestLog::new());
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    log.append_samples(0..30);
    index.close().unwrap();
    drop(index);

    // The other log is longer, so that only its id tells that the index covers nothing of it.
    other.append_samples(100..200);
    let index = open(&disk(), dir.path(), &other, options()).unwrap();
    assert_eq!(all(&index.snapshot()), model(&other));
    index.close().unwrap();
    let known = KnownDurable { log: other.id(), below: other.tail() };
    assert_eq!(known_durable(&disk(), dir.path()).unwrap(), Some(known));
    drop(index);

    // And shorter ones are not taken for logs that lost something.
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    assert_eq!(all(&index.snapshot()), model(&log));
    index.close().unwrap();
}

#[test]
fn named_damage_of_the_log_is_passed_over_and_counted() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let positions: Vec<_> = (0..600).map(|seed| log.append_run(&sample::run(seed))).collect();
    *log.damaged.lock().unwrap() = vec![positions[3], positions[299], positions[599]];
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    let status = index.status();
    assert_eq!((status.damage_count, status.damage.len()), (3, 3));
    assert_eq!(status.damage[1].positions.start, positions[299]);
    assert_eq!(status.applied, log.tail());
    let shown = all(&index.snapshot());
    assert_eq!(shown.len(), 597);
    assert!(!shown.contains_key(&sample::run(3).run_id) && shown.contains_key(&sample::run(4).run_id));
    index.close().unwrap();
}

#[test]
fn a_commit_never_covers_what_a_power_loss_could_take() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    log.lags.store(true, Ordering::SeqCst);
    log.sync_fails.store(true, Ordering::SeqCst);
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    log.append_samples(0..50);
    let error = index.commit_now().unwrap_err();
    assert!(matches!(error, IndexError::Commit(_)), "{error}");
    wait_until("a second failed commit", || index.status().failed_commits > 1);
    let status = index.status();
    assert_eq!((status.commits, status.cold_docs, status.hot_runs), (0, 0, 50));
    assert_eq!(known_durable(&disk(), dir.path()).unwrap(), None);
    assert_eq!(all(&index.snapshot()).len(), 50, "they are visible all the same");

    log.sync_fails.store(false, Ordering::SeqCst);
    wait_until("a commit", || index.status().cold_docs == 50);
    assert!(known_durable(&disk(), dir.path()).unwrap().unwrap().below <= log.durable());
    index.close().unwrap();
}

#[test]
fn a_power_loss_at_any_disk_call_leaves_an_index_that_opens_and_is_right() {
    let dir = Path::new("/data/index");
    for seed in 0..40_u64 {
        let log = TestLog::new();
        let sim = SimDisk::new(seed);
        // The first generation is whole; the power goes some time later.
        let index = open(&(Arc::new(sim.clone()) as _), dir, &log, options()).unwrap();
        log.append_samples(0..20);
        index.commit_now().unwrap();
        let safe = log.tail();
        sim.crash_at_change(seed * 7 % 120);
        for n in 1..6 {
            log.append_samples(n * 20..n * 20 + 20);
            let _ = index.commit_now();
        }
        drop(index);

        let after: Arc<dyn Disk> = Arc::new(sim.restart());
        let known = known_durable(&after, dir).unwrap().expect("the first commit returned").below;
        assert!(safe <= known && known <= log.tail(), "seed {seed}: {known}");
        let index = open(&after, dir, &log, options()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(all(&index.snapshot()), model(&log), "seed {seed}");
        index.commit_now().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(all(&index.snapshot()).len(), 120, "seed {seed}");
    }
}

#[test]
fn a_full_disk_stops_commits_and_nothing_else_until_there_is_space() {
    let dir = Path::new("/data/index");
    let log = TestLog::new();
    let sim = SimDisk::new(1);
    let small = Options { hot_bytes: 200_000, ..options() };
    let index = open(&(Arc::new(sim.clone()) as _), dir, &log, small).unwrap();
    log.append_samples(0..50);
    index.commit_now().unwrap();
    assert!(index.has_room());

    sim.set_capacity(Some(sim.used() + 1000));
    log.append_samples(50..600);
    wait_until("a failed commit", || index.status().failed_commits > 2);
    assert!(!index.has_room(), "{:?}", index.status());
    assert_eq!(all(&index.snapshot()).len(), 600);

    sim.set_capacity(None);
    wait_until("room", || index.has_room());
    index.commit_now().unwrap();
    assert_eq!(index.status().cold_docs, 600);
    assert_eq!(all(&index.snapshot()), model(&log));
    index.close().unwrap();
}

#[test]
fn a_batch_that_cannot_be_decoded_is_named_and_holds_nothing_up() {
    let (dir, log) = (tempfile::tempdir().unwrap(), TestLog::new());
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    let mut broken = record::encode_run(&sample::run(0), NOW);
    broken.payload.truncate(100);
    assert!(log.append(broken).is_err(), "nobody is told that it is visible");
    log.append_samples(1..3);
    let status = index.status();
    assert_eq!((status.damage_count, status.applied), (1, log.tail()));
    assert_eq!(all(&index.snapshot()).len(), 2);
    drop(index);
    let index = open(&disk(), dir.path(), &log, options()).unwrap();
    assert_eq!(all(&index.snapshot()).len(), 2);
}
