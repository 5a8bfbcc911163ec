//! A log in memory that outlives the index on it, and ways to look at everything a snapshot shows.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agenttracer_index::{CommitFollower, Index, IndexError, Options, Progress, RunSummary, Snapshot, commit_channel};
use agenttracer_model::{Event, Position, Run, RunStarted, TimedEvent, Timestamp, sample};
use agenttracer_storage::disk::{Disk, SystemClock};
use agenttracer_storage::{
    AppendError, Batch, Committed, Damage, Follower, Health, Log, MemoryLog, ReadError, StoredBatch, SubmitError,
    SyncMode, Ticket, record,
};
use tantivy::DocAddress;
use uuid::Uuid;

/// When the server took everything in.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// A log whose follower can be changed, whose durability can lag, and whose batches can be damaged.
pub(crate) struct TestLog {
    id: Uuid,
    inner: MemoryLog,
    follower: Arc<Mutex<Option<CommitFollower>>>,
    /// Durable is the tail when false.
    pub(crate) lags: AtomicBool,
    pub(crate) synced: AtomicU64,
    pub(crate) sync_fails: AtomicBool,
    pub(crate) damaged: Mutex<Vec<Position>>,
    pub(crate) read_fails: AtomicBool,
}

struct Relay(Arc<Mutex<Option<CommitFollower>>>);

impl Follower for Relay {
    fn committed(&mut self, group: Vec<Committed>) {
        match &mut *self.0.lock().unwrap() {
            Some(follower) => follower.committed(group),
            None => group.into_iter().for_each(|Committed { batch, ticket }| ticket(Ok(batch.position))),
        }
    }
}

impl TestLog {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_id(Uuid::new_v4())
    }

    /// What is left of this log when all of its batches are lost.
    pub(crate) fn emptied(&self) -> Arc<Self> {
        Self::with_id(self.id)
    }

    fn with_id(id: Uuid) -> Arc<Self> {
        let follower = Arc::new(Mutex::new(None));
        Arc::new(Self {
            id,
            inner: MemoryLog::new(Relay(Arc::clone(&follower))),
            follower,
            lags: AtomicBool::new(false),
            synced: AtomicU64::new(0),
            sync_fails: AtomicBool::new(false),
            damaged: Mutex::default(),
            read_fails: AtomicBool::new(false),
        })
    }

    /// Appends a batch and waits for its ticket.
    pub(crate) fn append(&self, batch: Batch) -> Result<Position, AppendError> {
        let (done, outcome) = crossbeam_channel::bounded(1);
        self.submit(batch, Box::new(move |result| done.send(result).unwrap())).unwrap();
        outcome.recv_timeout(Duration::from_secs(60)).expect("a ticket is resolved")
    }

    /// Appends a run that arrived whole.
    pub(crate) fn append_run(&self, run: &Run) -> Position {
        self.append(record::encode_run(run, NOW)).unwrap()
    }

    /// Appends the runs of these seeds without waiting in between, then waits for all.
    pub(crate) fn append_samples(&self, seeds: Range<u64>) {
        let (done, outcomes) = crossbeam_channel::unbounded();
        let mut waiting = 0;
        for seed in seeds {
            loop {
                let done = done.clone();
                let ticket: Ticket = Box::new(move |result| done.send(result).unwrap());
                match self.submit(record::encode_run(&sample::run(seed), NOW), ticket) {
                    Ok(()) => break,
                    Err(SubmitError::Busy) => {
                        outcomes.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
                        waiting -= 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            waiting += 1;
        }
        for _ in 0..waiting {
            outcomes.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
        }
    }

    fn damage_at(&self, position: Position) -> Option<Damage> {
        self.damaged.lock().unwrap().contains(&position).then(|| Damage {
            file: PathBuf::from("test.seg"),
            offsets: 0..1,
            positions: position..position.advance(1),
            what: "a test damaged it".to_owned(),
        })
    }
}

impl Log for TestLog {
    fn id(&self) -> Uuid {
        self.id
    }
    fn submit(&self, batch: Batch, ticket: Ticket) -> Result<(), SubmitError> {
        self.inner.submit(batch, ticket)
    }
    fn read(&self, position: Position) -> Result<StoredBatch, ReadError> {
        if self.read_fails.load(Ordering::SeqCst) {
            return Err(ReadError::Io { file: PathBuf::from("test.seg"), source: std::io::ErrorKind::Other.into() });
        }
        match self.damage_at(position) {
            Some(damage) => Err(ReadError::Damaged(Box::new(damage))),
            None => self.inner.read(position),
        }
    }
    fn scan(&self, range: Range<Position>) -> Box<dyn Iterator<Item = Result<StoredBatch, ReadError>> + Send> {
        let found: Vec<_> = self
            .inner
            .scan(range)
            .map(|batch| {
                let batch = batch?;
                match self.damage_at(batch.position) {
                    Some(damage) => Err(ReadError::Damaged(Box::new(damage))),
                    None => Ok(batch),
                }
            })
            .collect();
        Box::new(found.into_iter())
    }
    fn tail(&self) -> Position {
        self.inner.tail()
    }
    fn durable(&self) -> Position {
        match self.lags.load(Ordering::SeqCst) {
            true => Position::new(self.synced.load(Ordering::SeqCst)),
            false => self.inner.tail(),
        }
    }
    fn sync(&self) -> Result<Position, AppendError> {
        if self.sync_fails.load(Ordering::SeqCst) {
            return Err(AppendError::Failed("a test asked for it".to_owned()));
        }
        let tail = self.inner.tail();
        self.synced.store(tail.get(), Ordering::SeqCst);
        Ok(tail)
    }
    fn sync_mode(&self) -> SyncMode {
        SyncMode::Interval(Duration::from_millis(50))
    }
    fn health(&self) -> Health {
        self.inner.health()
    }
    fn damage(&self) -> Vec<Damage> {
        Vec::new()
    }
}

/// Options for tests: small and quick.
pub(crate) fn options() -> Options {
    Options {
        commit_every: Duration::from_millis(5),
        writer_heap_bytes: 15_000_000,
        retry_after: Duration::from_millis(5),
        ..Options::default()
    }
}

/// Opens the index of `log` in `dir` and lets it follow.
pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    log: &Arc<TestLog>,
    options: Options,
) -> Result<Index, IndexError> {
    open_with(disk, dir, log, options, &mut |_| {})
}

pub(crate) fn open_with(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    log: &Arc<TestLog>,
    options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Index, IndexError> {
    let (follower, commits) = commit_channel(4);
    *log.follower.lock().unwrap() = Some(follower);
    let index = Index::open(
        Arc::clone(disk),
        Arc::new(SystemClock::default()),
        dir,
        Arc::clone(log) as Arc<dyn Log>,
        commits,
        options,
        progress,
    );
    if index.is_err() {
        log.follower.lock().unwrap().take();
    }
    index
}

/// Everything a snapshot shows, by run.
///
/// # Panics
/// When a run is there twice.
pub(crate) fn all(snapshot: &Snapshot) -> BTreeMap<Uuid, RunSummary> {
    let mut runs = BTreeMap::new();
    for run in snapshot.hot() {
        assert!(runs.insert(run.run_id, RunSummary::clone(run)).is_none(), "{} is hot twice", run.run_id);
    }
    for (ord, segment) in snapshot.searcher().segment_readers().iter().enumerate() {
        let ord = ord as u32;
        for doc in segment.doc_ids_alive() {
            if snapshot.has_mask(ord) && snapshot.masked(ord, doc) {
                continue;
            }
            let run = snapshot.summary(DocAddress::new(ord, doc)).unwrap();
            let id = run.run_id;
            assert!(runs.insert(id, run).is_none(), "{id} is there twice");
        }
    }
    runs
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within a minute.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A live run's events, one batch each: its start, then its steps.
pub(crate) fn live_events(run: Run) -> Vec<TimedEvent> {
    let time = Some(run.started_at);
    let start = Event::RunStarted(RunStarted {
        agent_id: run.agent_id,
        agent_version: run.agent_version,
        environment: run.environment,
        started_at: run.started_at,
        parent_run_id: None,
        parent_step_id: None,
        session_id: None,
        trace_id: None,
        metadata: run.metadata,
    });
    std::iter::once(start)
        .chain(run.steps.into_iter().map(Event::StepEnded))
        .map(|event| TimedEvent::new(time, event))
        .collect()
}
