//! Folds what the log commits into the hot runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use agenttracer_model::taxonomy::RunStatus;
use agenttracer_model::{Digest, Position};
use agenttracer_storage::disk::Clock;
use agenttracer_storage::log_record::{self, LogRecord, Tombstone};
use agenttracer_storage::record::{self, DecodeError, Records};
use agenttracer_storage::{AppendError, BatchKind, Committed, Damage, Follower, Log, ReadError, StoredBatch};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use uuid::Uuid;

use crate::live::LiveRun;
use crate::names::Names;
use crate::notes::Note;
use crate::projection::{Inner, Projection};
use crate::snapshot::Found;
use crate::{IndexError, Progress, RunSummary, summarise};

/// Batches that are applied between two publications of a replay.
const REPLAY_GROUP: usize = 256;

/// A bounded channel of `groups` committed groups from a log to [`Index::open`](crate::Index::open).
///
/// When it is full, the log's commit thread waits: the queue in front of the log fills, and requests are refused there.
pub fn commit_channel(groups: usize) -> (CommitFollower, Commits) {
    let (sender, receiver) = bounded(groups);
    (CommitFollower(sender), Commits(receiver))
}

/// The log's end of a [`commit_channel`]. Dropping it tells the index that nothing more will come.
pub struct CommitFollower(Sender<Vec<Committed>>);

/// The index's end of a [`commit_channel`].
pub struct Commits(pub(crate) Receiver<Vec<Committed>>);

impl Follower for CommitFollower {
    fn committed(&mut self, group: Vec<Committed>) {
        if let Err(unsent) = self.0.send(group) {
            // The index has stopped: the batches are durable, but nobody can see them before a restart.
            for committed in unsent.into_inner() {
                (committed.ticket)(Err(AppendError::Closed));
            }
        }
    }
}

/// Why a batch was not applied.
enum Fault {
    /// Its bytes are not those of a batch: no later attempt can read them.
    Broken(DecodeError),
    /// The index or the log could not be read: a restart tries again.
    Later(IndexError),
    /// Its run was erased.
    Erased,
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Broken(error)
    }
}

impl From<IndexError> for Fault {
    fn from(error: IndexError) -> Self {
        Self::Later(error)
    }
}

/// The one that appends to the hot runs, in position order.
pub(crate) struct Applier {
    projection: Arc<Projection>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    names: Names,
    /// Live runs that have events which are not pushed yet, with what the snapshot has of them.
    changed: HashMap<Uuid, Option<Found>>,
    /// Whether there can be runs that the log does not hold any more: those of an index that was opened, and all once
    /// batches are applied as they come.
    holds_more: bool,
    /// Whether what is applied now was taken in by this process, and not read from the log.
    counts: bool,
}

impl Applier {
    pub(crate) fn new(projection: Arc<Projection>, log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Self {
        let holds_more = projection.lock().numbers().cold_docs > 0;
        Self { projection, log, clock, names: Names::new(), changed: HashMap::new(), holds_more, counts: false }
    }

    /// Applies what the log holds from `from` on. Damage that the log names is passed over and counted. `wait_for_room`
    /// is called when no further run fits into memory.
    pub(crate) fn replay(
        &mut self,
        from: Position,
        progress: &mut dyn FnMut(Progress),
        wait_for_room: &mut dyn FnMut() -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let tail = self.log.tail();
        let mut scan = self.log.scan(from..tail);
        let mut batches = Vec::with_capacity(REPLAY_GROUP);
        loop {
            batches.clear();
            batches.extend(scan.by_ref().take(REPLAY_GROUP));
            let ended = batches.len() < REPLAY_GROUP;
            let projection = Arc::clone(&self.projection);
            let mut inner = projection.lock();
            let mut position = inner.position;
            for batch in batches.drain(..) {
                match batch {
                    Ok(batch) => {
                        match self.apply(&mut inner, &batch) {
                            Ok(()) | Err(Fault::Erased) => {}
                            Err(Fault::Broken(error)) => inner.add_damage(broken(&batch, &error)),
                            Err(Fault::Later(error)) => return Err(error),
                        }
                        position = batch.end();
                    }
                    Err(ReadError::Damaged(damage)) => inner.add_damage(*damage),
                    Err(error) => return Err(error.into()),
                }
            }
            let position = if ended { tail.max(position) } else { position };
            self.push_changed(&mut inner);
            projection.publish(&mut inner, position);
            let runs = inner.numbers().hot_runs + inner.numbers().cold_docs;
            drop(inner);
            progress(Progress { position, tail, runs });
            if ended {
                return Ok(());
            }
            if !self.projection.has_room() {
                wait_for_room()?;
            }
        }
    }

    /// Applies groups until the log closes its end, or until `stop` is closed and no group is left.
    pub(crate) fn follow(&mut self, commits: &Receiver<Vec<Committed>>, stop: &Receiver<()>) {
        self.holds_more = true;
        loop {
            select! {
                recv(commits) -> group => match group {
                    Ok(group) => self.group(group),
                    Err(_) => return,
                },
                recv(stop) -> _ => {
                    while let Ok(group) = commits.try_recv() {
                        self.group(group);
                    }
                    return;
                }
            }
        }
    }

    /// Applies one group that waits, if there is one; whether there was.
    pub(crate) fn step(&mut self, commits: &Commits) -> bool {
        let group = commits.0.try_recv();
        group.map(|group| self.group(group)).is_ok()
    }

    /// Applies one group, publishes it in one step, then lets its acknowledgements go.
    fn group(&mut self, group: Vec<Committed>) {
        self.counts = true;
        let mut outcomes = Vec::with_capacity(group.len());
        let projection = Arc::clone(&self.projection);
        let mut inner = projection.lock();
        let mut position = inner.position;
        for Committed { batch, ticket } in group {
            // A replay may have applied it already.
            let outcome = if batch.position < position { Ok(()) } else { self.apply(&mut inner, &batch) };
            position = position.max(batch.end());
            let outcome = match outcome {
                Ok(()) => Ok(batch.position),
                Err(Fault::Broken(error)) => {
                    tracing::error!(%error, "a committed batch cannot be decoded");
                    inner.add_damage(broken(&batch, &error));
                    Err(AppendError::Failed("the batch cannot be read back".to_owned()))
                }
                Err(Fault::Erased) => Err(AppendError::Erased),
                Err(Fault::Later(error)) => {
                    tracing::error!(%error, position = %batch.position, "a batch waits for a restart to become visible");
                    inner.last_error = Some(error.to_string());
                    inner.held_at.get_or_insert(batch.position);
                    Err(AppendError::Failed("the batch is stored, but cannot be shown now".to_owned()))
                }
            };
            outcomes.push((ticket, outcome));
        }
        self.push_changed(&mut inner);
        projection.publish(&mut inner, position);
        drop(inner);
        for (ticket, outcome) in outcomes {
            ticket(outcome);
        }
    }

    /// Applies one batch: the same state whether it is applied once or again. What it changes of a live run is pushed
    /// by [`push_changed`](Self::push_changed), once for all the batches of a group.
    fn apply(&mut self, inner: &mut Inner, batch: &StoredBatch) -> Result<(), Fault> {
        if batch.kind == BatchKind::Log {
            return self.apply_to_log(inner, batch);
        }
        let records = Records::of(batch)?;
        if inner.erased.has(records.run_id) {
            // It was on its way when the run was erased.
            inner.ignore(records.run_id, batch.position);
            return Err(Fault::Erased);
        }
        if !records.whole {
            return self.apply_events(inner, batch, records.run_id);
        }
        if self.changed.contains_key(&records.run_id) {
            self.push_changed(inner);
        }
        let found = inner.find(records.run_id)?;
        let summary = match &found {
            // Of whole runs the one with the lowest position wins.
            Some(found) if found.run.whole => None,
            // Beside a run that arrived whole, its events are ignored, whichever came first.
            _ => match summarise::of_whole(batch, &mut self.names)? {
                None => summarise::of_batches(vec![record::decode(batch)?], &mut self.names),
                summary => summary,
            },
        };
        if let Some(run) = &summary {
            self.count(found.as_ref(), run);
        }
        match (summary, found) {
            (Some(run), None) => inner.push_new(run),
            (Some(run), Some(found)) => {
                let mut live = self.projection.live();
                live.take(run.run_id);
                live.leases.end(run.run_id);
                found.run.batches.iter().for_each(|position| inner.ignore(run.run_id, *position));
                inner.push_newer(run, &found);
            }
            (None, Some(found)) if !found.run.batches.contains(&batch.position) => {
                inner.ignore(records.run_id, batch.position);
            }
            (None, _) => inner.ignored_batches += 1,
        }
        Ok(())
    }

    fn count(&self, found: Option<&Found>, run: &RunSummary) {
        if self.counts {
            self.projection.outcomes.count(found.map(|found| &*found.run), run);
        }
    }

    /// Applies events of a live run, in time that depends on them alone while the run is at hand.
    fn apply_events(&mut self, inner: &mut Inner, batch: &StoredBatch, run_id: Uuid) -> Result<(), Fault> {
        let is_changed = self.changed.contains_key(&run_id);
        let found = if is_changed { None } else { inner.find(run_id)? };
        if let Some(found) = &found
            && (found.run.whole || found.run.batches.binary_search(&batch.position).is_ok())
        {
            match found.run.whole {
                true => inner.ignore(run_id, batch.position),
                false => inner.ignored_batches += 1,
            }
            return Ok(());
        }
        let events = record::decode(batch)?;
        let at_hand = self.projection.live().take(run_id);
        let mut run = match at_hand {
            Some(run) => run,
            None => self.load(inner, run_id, found.as_ref())?,
        };
        run.add(events, batch.payload.len(), &mut self.names);
        self.projection.live().put(run_id, run);
        if !is_changed {
            self.changed.insert(run_id, found);
        }
        Ok(())
    }

    /// Reads what the log has of a live run. Damage is passed over and counted.
    fn load(&mut self, inner: &mut Inner, run_id: Uuid, found: Option<&Found>) -> Result<LiveRun, Fault> {
        let mut run = LiveRun::new(run_id);
        for &position in found.iter().flat_map(|found| &found.run.batches) {
            match self.log.read(position) {
                Ok(earlier) => run.add(record::decode(&earlier)?, earlier.payload.len(), &mut self.names),
                Err(ReadError::Damaged(damage)) => inner.add_damage(*damage),
                Err(ReadError::Gone { .. }) => {}
                Err(error) => return Err(Fault::Later(error.into())),
            }
        }
        Ok(run)
    }

    /// Pushes the live runs that have changed, and renews their leases.
    fn push_changed(&mut self, inner: &mut Inner) {
        if self.changed.is_empty() {
            return;
        }
        let now_ms = self.clock.monotonic_ms();
        let mut live = self.projection.live();
        for (run_id, found) in self.changed.drain() {
            let Some(run) = live.get(run_id) else { continue };
            let run = run.summary(&mut self.names);
            match run.status {
                RunStatus::Running if run.started => live.leases.grant(run_id, now_ms),
                _ => live.leases.end(run_id),
            }
            if self.counts {
                self.projection.outcomes.count(found.as_ref().map(|found| &*found.run), &run);
            }
            match found {
                None => inner.push_new(run),
                Some(found) => inner.push_newer(run, &found),
            }
        }
        live.shrink();
    }
}

impl Applier {
    /// Applies what the log tells of itself.
    fn apply_to_log(&mut self, inner: &mut Inner, batch: &StoredBatch) -> Result<(), Fault> {
        let records = log_record::decode(batch)?;
        // Events of this group that came before belong to the runs that are erased.
        self.push_changed(inner);
        let erased = Arc::clone(&inner.erased);
        for record in &records {
            if let LogRecord::RunsErased { runs, .. } = record {
                // The set first: whoever finds the run gone must find out why.
                erased.add_runs(runs, batch.position);
                self.erase(inner, runs)?;
            }
        }
        erased.fold(batch, &records);
        inner.note(Note::Log(batch.position));
        Ok(())
    }

    /// Takes away the runs of these tombstones.
    fn erase(&self, inner: &mut Inner, runs: &[Tombstone]) -> Result<(), Fault> {
        let mut unread = Vec::new();
        for tombstone in runs {
            match self.run_of(inner, tombstone)? {
                Some(run_id) => {
                    let found = inner.find(run_id)?;
                    if let Some(found) = found {
                        self.take_away(inner, &found, tombstone);
                    }
                }
                None => unread.push(tombstone),
            }
        }
        if self.holds_more && !unread.is_empty() {
            // Damage, or an index that is older than a compaction of its log: the run is known by where it begins.
            let firsts = unread.iter().filter_map(|tombstone| tombstone.positions.first().copied()).collect();
            for found in inner.find_at(&firsts)? {
                let hash = Digest::of_run_id(found.run.run_id).0;
                if let Some(tombstone) = unread.iter().find(|tombstone| tombstone.run == hash) {
                    self.take_away(inner, &found, tombstone);
                }
            }
        }
        Ok(())
    }

    /// Hides a run, and notes those of its batches that the tombstone does not name.
    fn take_away(&self, inner: &mut Inner, found: &Found, tombstone: &Tombstone) {
        for &position in found.run.batches.iter().filter(|position| !tombstone.positions.contains(position)) {
            inner.ignore(found.run.run_id, position);
        }
        let mut live = self.projection.live();
        live.take(found.run.run_id);
        live.leases.end(found.run.run_id);
        drop(live);
        inner.erase(found);
    }

    /// The id of an erased run, from its batches; `None` when none of them can be read.
    fn run_of(&self, inner: &mut Inner, tombstone: &Tombstone) -> Result<Option<Uuid>, Fault> {
        for &position in &tombstone.positions {
            let batch = match self.log.read(position) {
                Ok(batch) => batch,
                Err(ReadError::NotFound(_) | ReadError::Gone { .. }) => continue,
                Err(ReadError::Damaged(damage)) => {
                    inner.add_damage(*damage);
                    continue;
                }
                Err(error) => return Err(Fault::Later(error.into())),
            };
            if let Ok(records) = Records::of(&batch)
                && Digest::of_run_id(records.run_id).0 == tombstone.run
            {
                return Ok(Some(records.run_id));
            }
        }
        Ok(None)
    }
}

fn broken(batch: &StoredBatch, error: &DecodeError) -> Damage {
    Damage {
        file: PathBuf::from("log"),
        offsets: 0..0,
        positions: batch.position..batch.end(),
        what: error.to_string(),
    }
}
