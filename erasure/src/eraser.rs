//! Writing tombstones.
//!
//! *A few runs* are one batch: the erasure, its tombstones, and that it is done. *Many runs* are planned first: the
//! positions of their first batches, two bytes a run, in as many batches as that takes. When the last of these is
//! durable the erasure will happen as a whole: a start after a crash goes on where it ended. Before, nothing has happened.
//! So memory is bounded, ingest goes on between two batches, and a client sees all of it or nothing.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use agenttracer_index::{Erasure, ErasureState, Filter, Index, RunSummary, Snapshot};
use agenttracer_model::taxonomy::RunStatus;
use agenttracer_model::{Digest, Position, Timestamp};
use agenttracer_storage::disk::Clock;
use agenttracer_storage::log_record::{self, LogRecord, Selection, Tombstone};
use agenttracer_storage::record::Records;
use agenttracer_storage::{AppendError, Batch, Log, ReadError, SubmitError};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::EraseError;

/// How much is done at a time.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs whose tombstones go into one batch; an erasure of no more needs no plan. Default: 1,000.
    pub batch_runs: usize,
    /// Positions of their batches in one batch of tombstones, unless one run alone has more. Default: 200,000.
    pub batch_positions: usize,
    /// Runs of one batch of a plan. Default: 100,000.
    pub plan_runs: usize,
    /// Runs of one erasure, 8 bytes of memory each. Default: 4 million.
    pub max_runs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { batch_runs: 1_000, batch_positions: 200_000, plan_runs: 100_000, max_runs: 4_000_000 }
    }
}

/// Which runs are to be erased: those that meet every condition, each by any of its values. At least one is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Runs.
    pub run_ids: Vec<Uuid>,
    /// Sessions.
    pub session_ids: Vec<String>,
    /// Agents.
    pub agent_ids: Vec<String>,
    /// Not before, on `started_at`; inclusive.
    pub start_time: Option<Timestamp>,
    /// Not after, on `started_at`; inclusive.
    pub end_time: Option<Timestamp>,
}

impl Wanted {
    /// The kinds of its conditions.
    pub fn selection(&self) -> Selection {
        let part = |is_there: bool, part| if is_there { part } else { Selection::default() };
        part(!self.run_ids.is_empty(), Selection::RUN)
            .and(part(!self.session_ids.is_empty(), Selection::SESSION))
            .and(part(!self.agent_ids.is_empty(), Selection::AGENT))
            .and(part(self.start_time.is_some() || self.end_time.is_some(), Selection::TIME))
    }

    fn has(&self, run: &RunSummary) -> bool {
        let any = |values: &[String], own: Option<&str>| {
            values.is_empty() || own.is_some_and(|own| values.iter().any(|value| value == own))
        };
        any(&self.session_ids, run.session_id.as_deref())
            && any(&self.agent_ids, Some(&run.agent_id))
            && self.start_time.is_none_or(|start| run.started_at >= start)
            && self.end_time.is_none_or(|end| run.started_at <= end)
    }
}

/// Appends a batch and returns when it is durable and applied.
pub type Append = Box<dyn Fn(Batch) -> Result<Position, EraseError> + Send + Sync>;

/// Waits for each batch, as a thread of its own can.
pub fn appending_to(log: Arc<dyn Log>) -> Append {
    Box::new(move |batch| {
        let (answer, answered) = mpsc::channel();
        log.submit(batch, Box::new(move |outcome| drop(answer.send(outcome))))?;
        Ok(answered.recv().unwrap_or(Err(AppendError::Closed))?)
    })
}

/// Erases runs, one erasure at a time.
pub struct Eraser {
    log: Arc<dyn Log>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
    append: Append,
    options: Options,
    /// Forgets what is cached of runs.
    forget: Box<dyn Fn() + Send + Sync>,
    one: Mutex<()>,
    is_closed: AtomicBool,
}

impl Eraser {
    /// Erases from `log`, of which `index` is the projection. `forget` is called when runs were hidden, and when they were
    /// purged: nothing in memory may hold them then.
    pub fn new(
        log: Arc<dyn Log>,
        index: Arc<Index>,
        clock: Arc<dyn Clock>,
        append: Append,
        options: Options,
        forget: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self { log, index, clock, append, options, forget, one: Mutex::new(()), is_closed: AtomicBool::new(false) }
    }

    /// Erases one run; when this returns, no query shows it.
    ///
    /// # Errors
    /// `NotFound`, `Before`, or what failed; see [`EraseError`].
    pub fn erase_run(&self, run_id: Uuid) -> Result<Erasure, EraseError> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.index.snapshot();
        match snapshot.known(run_id)? {
            Some(run) => self.begin(&snapshot, Selection::RUN, vec![run.position()]),
            None => match snapshot.erased().tombstone(run_id) {
                Some(position) => Err(EraseError::Before(self.erasure_of(position).map(Box::new))),
                None => Err(EraseError::NotFound),
            },
        }
    }

    /// Erases the runs that are there now and match; when this returns, no query shows one of them.
    ///
    /// # Errors
    /// As for [`erase_run`](Self::erase_run), and `TooMany`.
    ///
    /// # Panics
    /// When there is no condition at all: nobody erases everything by forgetting to say what.
    pub fn erase(&self, wanted: &Wanted) -> Result<Erasure, EraseError> {
        assert!(wanted.selection() != Selection::default(), "an erasure has a condition");
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.index.snapshot();
        let positions = match wanted.run_ids.is_empty() {
            true => self.matching(&snapshot, wanted)?,
            false => {
                let mut positions = Vec::new();
                for run_id in &wanted.run_ids {
                    let run = snapshot.known(*run_id)?.filter(|run| wanted.has(run));
                    positions.extend(run.map(|run| run.position()));
                }
                positions.sort_unstable();
                positions.dedup();
                positions
            }
        };
        if positions.is_empty() {
            return Err(EraseError::NotFound);
        }
        self.begin(&snapshot, wanted.selection(), positions)
    }

    /// An erasure that has happened, or will.
    pub fn erasure(&self, id: Uuid) -> Option<Erasure> {
        self.index.erased().erasure(id).filter(Erasure::is_certain)
    }

    /// At most `limit` erasures that were accepted before `before`, the newest first.
    pub fn erasures(&self, before: Option<Position>, limit: usize) -> Vec<Erasure> {
        let erased = self.index.erased();
        let (mut found, mut end) = (Vec::new(), before.unwrap_or(Position::new(u64::MAX)));
        loop {
            let some = erased.erasures(Position::ZERO..end, limit);
            let Some(last) = some.last() else { return found };
            end = last.accepted.position;
            found.extend(some.into_iter().filter(Erasure::is_certain));
            if found.len() >= limit {
                found.truncate(limit);
                return found;
            }
        }
    }

    /// Completes the erasures that a crash or a full disk cut off; returns how many.
    ///
    /// # Errors
    /// When the log or the index fails; call it again.
    pub fn complete(&self) -> Result<usize, EraseError> {
        let mut completed = 0;
        for erasure in self.index.erased().in_state(ErasureState::Accepted) {
            let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(erasure) = self.index.erased().erasure(erasure.id) else { continue };
            if erasure.is_planned && erasure.state() == ErasureState::Accepted {
                self.go_on(&erasure)?;
                completed += 1;
            }
        }
        Ok(completed)
    }

    /// Appends the hashes of all runs again whose tombstones stand below `position`, because everything there is about to be
    /// dropped: a run that was erased is refused for good. Their erasures must be purged, and are forgotten with the drop.
    ///
    /// # Errors
    /// When the log fails; call it again.
    pub fn keep_tombstones(&self, position: Position) -> Result<(), EraseError> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        for at in self.index.erased().tombstones_below(position) {
            let mut kept = Vec::new();
            for record in log_record::decode(&self.log.read(at)?)? {
                if let LogRecord::RunsErased { runs, .. } = record {
                    kept.extend(runs.into_iter().map(|run| Tombstone { run: run.run, positions: Vec::new() }));
                }
            }
            self.write(&[LogRecord::RunsErased { erasure: Uuid::nil(), runs: kept }])?;
        }
        Ok(())
    }

    /// An erasure that goes on ends at its next batch, with `Closed`; the next start completes it. No other begins.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Appends records of the log itself.
    pub(crate) fn write(&self, records: &[LogRecord]) -> Result<Position, EraseError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(SubmitError::Closed.into());
        }
        (self.append)(log_record::encode(records, self.clock.now()))
    }

    /// Nothing in memory holds an erased run any more when this returns.
    pub(crate) fn forget(&self) {
        (self.forget)();
    }

    fn erasure_of(&self, tombstones: Position) -> Option<Erasure> {
        let records = log_record::decode(&self.log.read(tombstones).ok()?).ok()?;
        let id = records.iter().find_map(|record| match record {
            LogRecord::RunsErased { erasure, .. } => Some(*erasure),
            _ => None,
        })?;
        self.index.erased().erasure(id)
    }

    /// Where the runs begin that match, ascending.
    fn matching(&self, snapshot: &Snapshot, wanted: &Wanted) -> Result<Vec<Position>, EraseError> {
        let filter = Filter {
            agent_id: wanted.agent_ids.clone(),
            session_id: wanted.session_ids.clone(),
            status: RunStatus::ALL.to_vec(),
            start_time: wanted.start_time,
            end_time: wanted.end_time,
            ..Filter::default()
        };
        let most = self.options.max_runs;
        snapshot.positions(&filter, most)?.ok_or(EraseError::TooMany(most))
    }

    /// The run whose first batch is at `position`; `None` when it is not there any more.
    fn run_at(&self, snapshot: &Snapshot, position: Position) -> Result<Option<Arc<RunSummary>>, EraseError> {
        match self.log.read(position) {
            Ok(batch) => Ok(snapshot.known(Records::of(&batch)?.run_id)?),
            Err(ReadError::NotFound(_) | ReadError::Gone { .. }) => Ok(None),
            // A run is erased though its bytes are damaged.
            Err(ReadError::Damaged(_)) => Ok(snapshot.find_at(position)?),
            Err(error) => Err(error.into()),
        }
    }

    fn begin(
        &self,
        snapshot: &Snapshot,
        selection: Selection,
        positions: Vec<Position>,
    ) -> Result<Erasure, EraseError> {
        let erasure = Uuid::new_v4();
        let begun = LogRecord::ErasureBegun { erasure, selection, runs: positions.len() as u64 };
        if positions.len() <= self.options.batch_runs {
            let tombstones = self.tombstones(snapshot, &positions)?;
            let batches: usize = tombstones.iter().map(|tombstone| tombstone.positions.len()).sum();
            if batches <= self.options.batch_positions || tombstones.len() == 1 {
                if tombstones.is_empty() {
                    return Err(EraseError::NotFound);
                }
                let mut sum = Sum::default();
                sum.add(&tombstones);
                let hidden = sum.hidden(erasure);
                self.write(&[begun, LogRecord::RunsErased { erasure, runs: tombstones }, hidden])?;
                self.forget();
                return self.index.erased().erasure(erasure).ok_or(EraseError::NotFound);
            }
        }
        self.write(&[begun])?;
        let mut parts = positions.chunks(self.options.plan_runs).peekable();
        while let Some(part) = parts.next() {
            let more = parts.peek().is_some();
            self.write(&[LogRecord::ErasurePlanned { erasure, more, runs: part.to_vec() }])?;
        }
        drop(positions);
        let planned = self.index.erased().erasure(erasure).ok_or(EraseError::NotFound)?;
        self.go_on(&planned)
    }

    /// Writes the tombstones that a plan still lacks, and that it is done.
    fn go_on(&self, erasure: &Erasure) -> Result<Erasure, EraseError> {
        let id = erasure.id;
        let mut done = HashSet::new();
        for tombstones in tombstones_of(&*self.log, erasure) {
            done.extend(tombstones?.into_iter().flatten().map(|tombstone| tombstone.run));
        }
        for part in &erasure.plan {
            for record in log_record::decode(&self.log.read(*part)?)? {
                let LogRecord::ErasurePlanned { runs, .. } = record else { continue };
                for runs in runs.chunks(self.options.batch_runs) {
                    let mut tombstones = self.tombstones(&self.index.snapshot(), runs)?;
                    tombstones.retain(|tombstone| !done.contains(&tombstone.run));
                    for tombstones in self.batches(tombstones) {
                        self.write(&[LogRecord::RunsErased { erasure: id, runs: tombstones }])?;
                    }
                }
            }
        }
        // As the log has them, for one that could not be answered may be there all the same.
        let whole = self.index.erased().erasure(id).ok_or(EraseError::NotFound)?;
        let mut sum = Sum::default();
        for tombstones in tombstones_of(&*self.log, &whole) {
            tombstones?.iter().for_each(|tombstones| sum.add(tombstones));
        }
        self.write(&[sum.hidden(id)])?;
        self.forget();
        self.index.erased().erasure(id).ok_or(EraseError::NotFound)
    }

    /// Cuts tombstones into batches of a bounded number of positions.
    fn batches(&self, tombstones: Vec<Tombstone>) -> Vec<Vec<Tombstone>> {
        let (mut batches, mut positions) = (Vec::<Vec<_>>::new(), usize::MAX);
        for tombstone in tombstones {
            let more = tombstone.positions.len();
            if positions.saturating_add(more) > self.options.batch_positions {
                batches.push(Vec::new());
                positions = 0;
            }
            positions += more;
            batches.last_mut().expect("one was pushed above").push(tombstone);
        }
        batches
    }

    /// The tombstones of the runs that begin at these positions, as they are now; without those that are gone already.
    fn tombstones(&self, snapshot: &Snapshot, runs: &[Position]) -> Result<Vec<Tombstone>, EraseError> {
        let mut tombstones = Vec::with_capacity(runs.len());
        for position in runs {
            if let Some(run) = self.run_at(snapshot, *position)? {
                let mut positions = run.batches.clone();
                positions.extend(snapshot.erased().unseen(run.run_id));
                positions.sort_unstable();
                positions.dedup();
                tombstones.push(Tombstone { run: Digest::of_run_id(run.run_id).0, positions });
            }
        }
        Ok(tombstones)
    }
}

/// The tombstones of an erasure, by the batches that hold them.
pub(crate) fn tombstones_of<'a>(
    log: &'a dyn Log,
    erasure: &'a Erasure,
) -> impl Iterator<Item = Result<Vec<Vec<Tombstone>>, EraseError>> + 'a {
    erasure.tombstones.iter().map(move |position| {
        let records = log_record::decode(&log.read(*position)?)?;
        let runs = records.into_iter().filter_map(|record| match record {
            LogRecord::RunsErased { erasure: id, runs } if id == erasure.id => Some(runs),
            _ => None,
        });
        Ok(runs.collect())
    })
}

/// Counts tombstones and digests them.
#[derive(Default)]
pub(crate) struct Sum {
    pub(crate) runs: u64,
    pub(crate) batches: u64,
    hash: Sha256,
}

impl Sum {
    pub(crate) fn add(&mut self, tombstones: &[Tombstone]) {
        for tombstone in tombstones {
            self.runs += 1;
            self.batches += tombstone.positions.len() as u64;
            self.hash.update(tombstone.run);
            self.hash.update((tombstone.positions.len() as u64).to_le_bytes());
            for position in &tombstone.positions {
                self.hash.update(position.get().to_le_bytes());
            }
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }

    fn hidden(&self, erasure: Uuid) -> LogRecord {
        LogRecord::ErasureHidden { erasure, runs: self.runs, batches: self.batches, digest: self.digest() }
    }
}
