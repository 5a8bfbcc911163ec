//! Questions on names and times are answered from rollups. Whatever happens to the runs (late events, commits, merges,
//! restarts, retention) and to the files (deleted, cut, the whole index gone), the answers are those that going over all runs
//! gives.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agenttracer_index::{Facet, Filter, GroupBy, Index, Options, Snapshot, Stats, damaged_files};
use agenttracer_model::taxonomy::{FailureType, RunStatus};
use agenttracer_model::{Event, Failure, Run, RunEnded, RunStarted, TimedEvent, Timestamp, sample};
use agenttracer_storage::disk::{Disk, RealDisk, SimDisk};
use agenttracer_storage::{Log, record};
use proptest::prelude::*;
use support::{NOW, TestLog, all, open, options};
use uuid::Uuid;

const HOUR: i64 = 3_600_000_000;
/// When the first of them begins.
const BEGIN: i64 = 1_780_000_000_000_000 / HOUR * HOUR;

/// A run of one of a few agents and versions, in one of a few hours, often at its edge.
fn a_run(seed: u64) -> Run {
    let mut run = sample::run(seed);
    run.agent_id = ["a", "b"][seed as usize % 2].to_owned();
    run.agent_version = ["v1", "v2", "v3"][seed as usize % 3].to_owned();
    let edge = [0, HOUR - 1, HOUR / 2][seed as usize % 3];
    run.started_at = Timestamp::from_micros(BEGIN + seed as i64 % 30 * HOUR + edge);
    run.ended_at =
        (!seed.is_multiple_of(7)).then(|| Timestamp::from_micros(run.started_at.as_micros() + seed as i64 * 10_000));
    run
}

fn append(log: &TestLog, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        log.append_run(&a_run(seed));
    }
}

fn live_id(n: u64) -> Uuid {
    Uuid::from_u128(0xabc0 + u128::from(n))
}

/// An event of a live run: its start, something in between, or its end. All of them may come again, and after the end.
fn live_event(run: u64, what: u8) -> TimedEvent {
    let of = a_run(900 + run);
    let event = match what {
        0 | 1 => Event::RunStarted(RunStarted {
            agent_id: of.agent_id,
            // A later start counts: the run is of another version then.
            agent_version: if what == 0 { of.agent_version } else { "v9".to_owned() },
            environment: of.environment,
            started_at: of.started_at,
            parent_run_id: None,
            parent_step_id: None,
            session_id: None,
            trace_id: None,
            metadata: of.metadata,
        }),
        2 | 3 => Event::StepEnded(of.steps[what as usize - 2].clone()),
        4 => Event::FailureRecorded(Failure {
            failure_id: Uuid::from_u128(77),
            step_id: None,
            failure_type: FailureType::Tool,
            failure_code: "late".to_owned(),
            message: "m".to_owned(),
        }),
        5 => Event::RunAbandoned,
        _ => Event::RunEnded(RunEnded {
            status: if what == 6 { RunStatus::Success } else { RunStatus::Failure },
            ended_at: Some(Timestamp::from_micros(of.started_at.as_micros() + i64::from(what) * 1_000_000)),
            removed_count: 0,
            digest: None,
        }),
    };
    TimedEvent::new(Some(Timestamp::from_micros(of.started_at.as_micros() + i64::from(what))), event)
}

#[derive(Clone, Debug)]
enum Op {
    Whole(u64),
    Live(u64, u8),
    Commit,
    /// Ends without a last commit.
    Restart,
    Close,
    /// Lets the runs go that began in the first so many of ten parts of the log.
    Expire(u64),
    /// Restarts without the newest rollup file; or with half of it.
    Lose,
    Cut,
    /// Restarts without an index.
    Forget,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..60_u64).prop_map(Op::Whole),
        14 => (0..4_u64, 0..8_u8).prop_map(|(run, what)| Op::Live(run, what)),
        6 => Just(Op::Commit),
        1 => Just(Op::Restart),
        1 => Just(Op::Close),
        1 => (1..6_u64).prop_map(Op::Expire),
        1 => Just(Op::Lose),
        1 => Just(Op::Cut),
        1 => Just(Op::Forget),
    ]
}

fn filters() -> Vec<Filter> {
    let at = |hours: i64, micros: i64| Some(Timestamp::from_micros(BEGIN + hours * HOUR + micros));
    let text = |text: &str| vec![text.to_owned()];
    let all = Filter::default();
    vec![
        all.clone(),
        Filter { agent_id: text("a"), ..all.clone() },
        Filter { agent_version: vec!["v1".to_owned(), "v9".to_owned()], ..all.clone() },
        Filter { environment: text("production"), ..all.clone() },
        Filter { agent_id: text("b"), agent_version: text("v2"), start_time: at(1, 0), ..all.clone() },
        Filter { start_time: at(1, 1), end_time: at(27, HOUR / 2), ..all.clone() },
        Filter { start_time: at(2, 0), end_time: at(3, -1), ..all.clone() },
        Filter { agent_id: text("a"), end_time: at(4, HOUR / 2), ..all },
    ]
}

/// What a snapshot answers, in every way that rollups have a part in.
fn answers(snapshot: &Snapshot, filter: &Filter) -> impl PartialEq + std::fmt::Debug + use<> {
    let facets = [Facet::AgentId, Facet::AgentVersion, Facet::Environment, Facet::Status, Facet::FailureCode];
    let facets = [&facets[..], &[Facet::StepType, Facet::FailureType, Facet::HasRetries]].concat();
    let edges: Vec<_> = (-2..40).map(|hour| Timestamp::from_micros(BEGIN + hour * HOUR)).collect();
    let midnight = BEGIN.div_euclid(24 * HOUR) * 24 * HOUR;
    let days: Vec<_> = (0..4).map(|day| Timestamp::from_micros(midnight + day * 24 * HOUR)).collect();
    (
        snapshot.stats(filter).unwrap(),
        snapshot.facets(filter, &facets).unwrap(),
        snapshot.time_range(filter).unwrap(),
        snapshot.timeline(filter, &edges, true).unwrap(),
        snapshot.timeline(filter, &days, true).unwrap(),
        snapshot.groups(filter, GroupBy::Agent).unwrap(),
        snapshot.groups(filter, GroupBy::Version).unwrap(),
        snapshot.count(filter, 1_000_000).unwrap(),
    )
}

fn check(snapshot: &Snapshot) {
    let runs = all(snapshot);
    for filter in filters() {
        let mut stats = Stats::default();
        let ended = runs.values().filter(|run| filter.matches(run) && run.status != RunStatus::Running);
        ended.for_each(|run| stats.add(run));
        assert_eq!(snapshot.stats(&filter).unwrap(), stats, "{filter:?}");
        // No run begins then: the same runs, but rollups cannot tell.
        let never = Timestamp::from_micros(1)..=Timestamp::from_micros(2);
        let gone_over = Filter { not_started: vec![never], ..filter.clone() };
        assert_eq!(answers(snapshot, &filter), answers(snapshot, &gone_over), "{filter:?}");
    }
}

fn rollup_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "rollup")).collect();
    files.sort();
    files
}

struct World {
    disk: Arc<dyn Disk>,
    dir: tempfile::TempDir,
    log: Arc<TestLog>,
    max_cells: usize,
    index: Option<Index>,
}

impl World {
    fn new() -> Self {
        Self::with(Options::default().max_rollup_cells)
    }

    fn with(max_cells: usize) -> Self {
        let (disk, dir, log) = (Arc::new(RealDisk), tempfile::tempdir().unwrap(), TestLog::new());
        let mut world = Self { disk, dir, log, max_cells, index: None };
        world.open();
        world
    }

    fn at(&self) -> std::path::PathBuf {
        self.dir.path().join("index")
    }

    fn open(&mut self) {
        let max_rollup_cells = self.max_cells;
        let options = Options { commit_every: Duration::from_secs(3600), max_rollup_cells, ..options() };
        self.index = Some(open(&self.disk, &self.at(), &self.log, options).unwrap());
    }

    fn index(&self) -> &Index {
        self.index.as_ref().unwrap()
    }

    fn restart(&mut self, clean: bool, meanwhile: impl FnOnce(&Path)) {
        if clean {
            self.index().close().unwrap();
        }
        self.index = None;
        meanwhile(&self.at());
        self.open();
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Whole(seed) => append(&self.log, *seed..*seed + 1),
            Op::Live(run, what) => {
                self.log.append(record::encode_events(live_id(*run), &[live_event(*run, *what)], NOW)).unwrap();
            }
            Op::Commit => {
                self.index().commit_now().unwrap();
            }
            Op::Restart => self.restart(false, |_| {}),
            Op::Close => self.restart(true, |_| {}),
            Op::Expire(tenths) => {
                let position = self.log.tail().get() * tenths / 10;
                self.index().forget_before(agenttracer_model::Position::new(position)).unwrap();
            }
            Op::Lose => self.restart(true, |dir| {
                if let Some(file) = rollup_files(dir).pop() {
                    std::fs::remove_file(file).unwrap();
                }
            }),
            Op::Cut => self.restart(true, |dir| {
                if let Some(file) = rollup_files(dir).pop() {
                    let len = file.metadata().unwrap().len();
                    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(len / 2).unwrap();
                }
            }),
            Op::Forget => self.restart(true, |dir| std::fs::remove_dir_all(dir).unwrap()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_answers_are_the_same(
        ops in prop::collection::vec(op(), 20..90),
        // Enough for hours; for days, after a while; and for neither.
        max_cells in prop::sample::select(vec![60_000_usize, 16, 16, 6]),
    ) {
        let mut world = World::with(max_cells);
        for op in &ops {
            world.apply(op);
            let snapshot = world.index().snapshot();
            check(&snapshot);
        }
        // With a commit to make, files that were lost or cut are written anew.
        append(&world.log, 100..101);
        world.index().commit_now().unwrap();
        check(&world.index().snapshot());
        let before: Vec<_> = filters().iter().map(|filter| format!("{:?}", answers(&world.index().snapshot(), filter))).collect();
        world.restart(true, |_| {});
        prop_assert_eq!(damaged_files(&world.disk, &world.at()).unwrap(), Vec::<std::path::PathBuf>::new());
        let after: Vec<_> = filters().iter().map(|filter| format!("{:?}", answers(&world.index().snapshot(), filter))).collect();
        prop_assert_eq!(before, after);
    }
}

#[test]
fn whichever_disk_call_a_commit_is_cut_off_in_the_answers_are_the_same() {
    let path = Path::new("/data/index");
    let open = |disk: &SimDisk, log: &Arc<TestLog>| {
        let options = Options { commit_every: Duration::from_secs(3600), ..options() };
        open(&(Arc::new(disk.clone()) as Arc<dyn Disk>), path, log, options).unwrap()
    };
    let live = |log: &TestLog, what: u8| {
        log.append(record::encode_events(live_id(1), &[live_event(1, what)], NOW)).unwrap();
    };
    // A commit that adds runs, and moves one from one version to another.
    let prepared = |seed: u64| {
        let (disk, log) = (SimDisk::new(seed), TestLog::new());
        let index = open(&disk, &log);
        append(&log, 0..20);
        [0, 2, 6].iter().for_each(|what| live(&log, *what));
        index.commit_now().unwrap();
        append(&log, 20..30);
        [1, 4].iter().for_each(|what| live(&log, *what));
        (disk, log, index)
    };
    let (disk, _log, index) = prepared(0);
    let before = disk.changes();
    index.commit_now().unwrap();
    let calls = disk.changes() - before;
    assert!(calls > 20, "a commit of {calls} calls");
    check(&index.snapshot());
    for call in 0..calls {
        let (disk, log, index) = prepared(call + 1);
        disk.crash_at_change(call);
        let _ = index.commit_now();
        // What readers see is not touched by it.
        check(&index.snapshot());
        drop(index);
        let index = open(&disk.restart(), &log);
        check(&index.snapshot());
        index.commit_now().unwrap();
        check(&index.snapshot());
        index.close().unwrap();
    }
}

#[test]
fn few_files_hold_the_rollups_of_many_commits() {
    let world = World::new();
    for commit in 0..60 {
        // Most commits touch one new hour, as they do in life.
        world.log.append_run(&a_run(commit));
        world.index().commit_now().unwrap();
        let files = rollup_files(&world.at()).len();
        assert!(files <= 8, "{files} files behind commit {commit}");
    }
    check(&world.index().snapshot());
    // A commit that adds no ended run leaves the files alone.
    let before = rollup_files(&world.at());
    world.log.append(record::encode_events(live_id(1), &[live_event(1, 0)], NOW)).unwrap();
    world.index().commit_now().unwrap();
    assert_eq!(rollup_files(&world.at()), before);
}

/// Each commit of the replay would write others.
#[test]
fn a_replay_into_an_empty_index_makes_them_once_at_its_end() {
    let mut world = World::new();
    append(&world.log, 0..600);
    world.index().close().unwrap();
    world.index = None;
    std::fs::remove_dir_all(world.at()).unwrap();
    let options = Options { hot_bytes: 100_000, ..options() };
    let index = open(&world.disk, &world.at(), &world.log, options).unwrap();
    index.commit_now().unwrap();
    assert!(index.status().commits >= 2, "{} commits", index.status().commits);
    assert_eq!(rollup_files(&world.at()), [world.at().join("0000000000000000.rollup")]);
    check(&index.snapshot());
    // From here on each commit adds to them.
    world.log.append_run(&a_run(700));
    index.commit_now().unwrap();
    assert_eq!(rollup_files(&world.at()).len(), 2);
    check(&index.snapshot());
}

#[test]
fn a_damaged_rollup_file_is_named() {
    let mut world = World::new();
    append(&world.log, 0..20);
    world.index().close().unwrap();
    world.index = None;
    let file = rollup_files(&world.at()).pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(damaged_files(&world.disk, &world.at()).unwrap(), [file]);
    world.open();
    check(&world.index().snapshot());
}

/// Found by the property above: a merge that ran when an index was opened again brought back the document that the first
/// deletion of the new writer took away.
#[test]
fn a_deletion_right_after_a_restart_outlives_a_merge() {
    use Op::{Close, Commit, Live, Whole};
    let ops = [
        [Whole(10), Live(2, 2), Live(0, 3), Live(3, 3), Live(3, 6), Commit].as_slice(),
        &[Whole(24), Live(3, 7), Live(1, 1), Whole(4), Commit],
        &[Whole(47), Live(3, 2), Live(3, 1), Commit],
        &[Live(2, 3), Close, Commit],
        &[Live(0, 0), Commit],
        &[Whole(1), Whole(35), Live(2, 4), Live(3, 4), Close],
    ];
    for _ in 0..5 {
        let mut world = World::new();
        for op in ops.iter().copied().flatten() {
            world.apply(op);
            check(&world.index().snapshot());
        }
    }
}
