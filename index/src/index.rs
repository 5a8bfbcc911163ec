use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use agenttracer_model::{EventMark, Position};
use agenttracer_storage::disk::{Clock, Disk};
use agenttracer_storage::record::Records;
use agenttracer_storage::{BucketCounts, Damage, KnownDurable, Log, ReadError, log_record};
use crossbeam_channel::Sender;
use tantivy::Searcher;
use uuid::Uuid;

use crate::applier::{Applier, Commits};
use crate::cold::Fields;
use crate::erased::Erased;
use crate::indexer::Indexer;
use crate::live::{LiveRun, LiveSize};
use crate::notes::{Note, Notes};
use crate::projection::{Committed, Projection, Rolling};
use crate::run_ids::RunIdFilter;
use crate::store::Store;
use crate::{IndexError, Options, Outcomes, Snapshot};

/// Up to this many runs, the filter of run ids is filled before [`Index::open`] returns; above it, beside the first
/// requests, which until then look unknown ids up on disk.
const FILL_AT_ONCE: u64 = 1_000_000;

/// The position up to which the index holds acknowledged, durable data, and of which log, without opening all of it: what
/// that log must have. `None` when there is no index, or none that can be read: it is derived data and proves nothing then.
///
/// # Errors
/// When the disk fails.
pub fn known_durable(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Option<KnownDurable>, IndexError> {
    let checkpoint = Store::new(Arc::clone(disk), dir).checkpoint()?;
    Ok(checkpoint.map(|checkpoint| KnownDurable { log: checkpoint.log, below: checkpoint.next }))
}

/// The files of the index in `dir` whose checksum does not hold; reads all of them. Delete `index/` to have it rebuilt.
///
/// # Errors
/// When the disk fails.
pub fn damaged_files(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Vec<PathBuf>, IndexError> {
    Store::new(Arc::clone(disk), dir).damaged_files()
}

/// Removes the index in `dir`, durably: the next start makes it anew.
///
/// # Errors
/// When the disk fails.
pub fn forget(disk: &Arc<dyn Disk>, dir: &Path) -> Result<(), IndexError> {
    Store::new(Arc::clone(disk), dir).forget()
}

/// How far the replay of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything below was applied.
    pub position: Position,
    /// Where the replay ends.
    pub tail: Position,
    /// How many runs there are by now.
    pub runs: u64,
}

/// The projections at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexStatus {
    /// Everything below was applied and is visible.
    pub applied: Position,
    /// Everything below would survive a crash in the index; the rest would be read from the log again.
    pub checkpoint: Position,
    /// Runs in memory that are not in tantivy yet.
    pub hot_runs: u64,
    /// Their memory, about.
    pub hot_bytes: u64,
    /// Runs in tantivy.
    pub cold_docs: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Commits that failed since the start; each was tried again.
    pub failed_commits: u64,
    /// Since how long there is something that is applied and would not survive a crash in the index, in ms; 0 when nothing is.
    pub behind_ms: u64,
    /// Merges of tantivy's segments that were begun since the start.
    pub merges: u64,
    /// Segments of tantivy.
    pub segments: u64,
    /// The first places of the log that had to be passed over since the start.
    pub damage: Vec<Damage>,
    /// How many there were.
    pub damage_count: u64,
    /// Batches that added nothing: repetitions, and events of a run that arrived whole.
    pub ignored_batches: u64,
    /// Live runs that go on.
    pub live_runs: u64,
    /// Memory of the live runs at hand, about.
    pub live_bytes: u64,
    /// The last failure, also when it was overcome.
    pub last_error: Option<String>,
    /// Set when a thread has died of a fault of this program; nothing becomes visible any more.
    pub stopped: Option<String>,
}

/// The projections of a log: an applier thread that makes commits visible, and an indexer thread that moves them into
/// tantivy. Dropping it ends both without a last commit; what is missing is read from the log at the next start.
pub struct Index {
    projection: Arc<Projection>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    threads: Mutex<Threads>,
    /// What the threads would have, in an index without threads.
    stepped: Mutex<Option<Stepped>>,
}

/// The working parts of an index that is driven step by step.
struct Stepped {
    applier: Applier,
    indexer: Indexer,
    commits: Commits,
}

#[derive(Default)]
struct Threads {
    /// Dropped to stop the applier.
    stop_applier: Option<Sender<()>>,
    applier: Option<JoinHandle<()>>,
    indexer: Option<JoinHandle<()>>,
}

impl Index {
    /// Opens the index in `dir` (`DATA_DIR/index`) and brings it up to the log's tail, from the checkpoint, or from the
    /// beginning when there is no index, a damaged one, one of another version or of another log. Then follows `commits`.
    ///
    /// Commits that arrive meanwhile wait in the channel. Damage that the log names is passed over, counted and
    /// reported by [`status`](Self::status).
    ///
    /// # Errors
    /// When the disk or the log cannot be read or written, or when the index is ahead of the log.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        log: Arc<dyn Log>,
        commits: Commits,
        options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, IndexError> {
        let (projection, indexer) = open_parts(disk, Arc::clone(&clock), dir, &log, options, true)?;
        let next = projection.lock().position;
        // From here on dropping `index` stops what was started.
        let index = Self::new(Arc::clone(&projection), Arc::clone(&log), Arc::clone(&clock));
        index.threads().indexer = Some(spawn("index-writer", &projection, move || indexer.run())?);
        let mut applier = Applier::new(Arc::clone(&projection), log, clock);
        applier.replay(next, progress, &mut || projection.wait_for_room())?;
        projection.replayed();
        index.grant_leases()?;
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let follow = move || applier.follow(&commits.0, &stopped);
        let applier = spawn("index-applier", &projection, follow)?;
        {
            let mut threads = index.threads();
            threads.stop_applier = Some(stop);
            threads.applier = Some(applier);
        }
        Ok(index)
    }

    /// Like [`open`](Self::open), but without threads: nothing happens except in [`apply_step`](Self::apply_step),
    /// [`commit_step`](Self::commit_step) and [`merge_step`](Self::merge_step). For simulations, in which the same calls
    /// must lead to the same disk calls. tantivy still has threads of its own, of which one works at a time.
    ///
    /// # Errors
    /// As for `open`.
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        log: Arc<dyn Log>,
        commits: Commits,
        options: Options,
    ) -> Result<Self, IndexError> {
        let (projection, mut indexer) = open_parts(disk, Arc::clone(&clock), dir, &log, options, false)?;
        let next = projection.lock().position;
        let mut applier = Applier::new(Arc::clone(&projection), Arc::clone(&log), Arc::clone(&clock));
        let mut make_room = || {
            while !projection.has_room() {
                projection.lock().check_for_room()?;
                indexer.step();
            }
            Ok(())
        };
        applier.replay(next, &mut |_| {}, &mut make_room)?;
        projection.replayed();
        let index = Self::new(projection, log, clock);
        index.grant_leases()?;
        *index.stepped() = Some(Stepped { applier, indexer, commits });
        Ok(index)
    }

    fn new(projection: Arc<Projection>, log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Self {
        Self { projection, log, clock, threads: Mutex::default(), stepped: Mutex::new(None) }
    }

    /// Applies one group that the log has committed and resolves its tickets; whether there was one. Only in a stepped
    /// index, as the next two.
    pub fn apply_step(&self) -> bool {
        self.stepped().as_mut().is_some_and(|Stepped { applier, commits, .. }| applier.step(commits))
    }

    /// Commits what was applied, if anything was, or tries again what failed. [`status`](Self::status) says how it went.
    pub fn commit_step(&self) {
        if let Some(stepped) = &mut *self.stepped() {
            stepped.indexer.step();
        }
    }

    /// Merges the segments of the last commit into one, as tantivy's merge threads would some day.
    ///
    /// # Errors
    /// When the disk fails; the segments stay as they are.
    pub fn merge_step(&self) -> Result<(), IndexError> {
        self.stepped().as_mut().map_or(Ok(()), |stepped| stepped.indexer.merge())
    }

    /// Everything that was acknowledged before the call, and perhaps a little more.
    pub fn snapshot(&self) -> Snapshot {
        self.projection.snapshot()
    }

    /// Whether the hot runs may grow. When not, refuse new runs until the indexer has caught up.
    pub fn has_room(&self) -> bool {
        self.projection.has_room()
    }

    /// Whether a thread of the index has died, and only opening it anew helps. Takes no lock.
    pub fn is_dead(&self) -> bool {
        self.projection.is_dead()
    }

    /// What a live run holds, and which of `events` it holds already; `None` when there is no such live run. A run that
    /// is not at hand is read from the log, so this can take as long as reading the run.
    ///
    /// Nothing else may append events of this run meanwhile. Repeated events renew the lease, though they are stored once.
    /// Of a run that the server gave up none counts as held: each is a sign of life.
    ///
    /// # Errors
    /// When the index or the log cannot be read.
    pub fn live(&self, run_id: Uuid, events: &[EventMark]) -> Result<Option<(LiveSize, Vec<bool>)>, IndexError> {
        let held = |run: &LiveRun| (run.size(), events.iter().map(|mark| run.holds(mark)).collect::<Vec<_>>());
        let at_hand = self.projection.live().get(run_id).map(held);
        let answer = match at_hand {
            Some(answer) => answer,
            None => {
                let Some(known) = self.snapshot().known(run_id)? else { return Ok(None) };
                if known.whole {
                    return Ok(None);
                }
                held(&LiveRun::read(&*self.log, run_id, &known.batches)?)
            }
        };
        if answer.1.contains(&true) {
            self.projection.live().leases.renew(run_id, self.clock.monotonic_ms());
        }
        Ok(Some(answer))
    }

    /// Up to `most` live runs from which no event came for the time of a lease, the longest silent first. Whoever gives
    /// one up appends that it did so.
    pub fn expired(&self, most: usize) -> Vec<Uuid> {
        self.projection.live().leases.expired(self.clock.monotonic_ms(), most)
    }

    /// Whether the run is live and its lease has ended.
    pub fn is_expired(&self, run_id: Uuid) -> bool {
        self.projection.live().leases.is_expired(run_id, self.clock.monotonic_ms())
    }

    /// How many live runs go on.
    pub fn live_runs(&self) -> u64 {
        self.projection.live().leases.len()
    }

    /// Grants every live run a whole lease.
    fn grant_leases(&self) -> Result<(), IndexError> {
        let running = self.snapshot().running()?;
        let (mut live, now_ms) = (self.projection.live(), self.clock.monotonic_ms());
        running.into_iter().for_each(|run_id| live.leases.grant(run_id, now_ms));
        Ok(())
    }

    /// How runs ended since the start, by agent.
    pub fn outcomes(&self) -> &Outcomes {
        &self.projection.outcomes
    }

    /// How long each commit took since the start, in ms.
    pub fn commit_ms(&self) -> BucketCounts {
        self.projection.commit_ms.read()
    }

    /// The numbers of this moment.
    pub fn status(&self) -> IndexStatus {
        let (live_runs, live_bytes) = {
            let live = self.projection.live();
            (live.leases.len(), live.bytes())
        };
        let inner = self.projection.lock();
        let numbers = inner.numbers();
        IndexStatus {
            applied: inner.position,
            checkpoint: inner.held_at.map_or(inner.committed, |held| held.min(inner.committed)),
            hot_runs: numbers.hot_runs,
            hot_bytes: self.projection.hot_bytes(),
            cold_docs: numbers.cold_docs,
            commits: inner.commits,
            failed_commits: inner.failures,
            behind_ms: inner
                .behind_since
                .map_or(0, |since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)),
            merges: self.projection.merges.load(Ordering::Relaxed),
            segments: numbers.segments,
            damage: inner.damage.clone(),
            damage_count: inner.damage_count,
            ignored_batches: inner.ignored_batches,
            live_runs,
            live_bytes,
            last_error: inner.last_error.clone(),
            stopped: inner.dead.clone(),
        }
    }

    /// Returns when everything that was applied before the call is in tantivy, with the position up to which it is.
    ///
    /// # Errors
    /// When a commit fails; it is tried again all the same.
    pub fn commit_now(&self) -> Result<Position, IndexError> {
        let mut inner = self.projection.lock();
        let target = inner.position;
        let failures = inner.failures;
        inner.wanted = inner.wanted.max(target);
        self.projection.work.notify_one();
        while inner.committed < target || inner.rolling == Rolling::Due {
            if let Some(dead) = &inner.dead {
                return Err(IndexError::Stopped(dead.clone()));
            }
            if inner.stop {
                return Err(IndexError::Stopped("it was closed".to_owned()));
            }
            if inner.failures > failures {
                return Err(IndexError::Commit(inner.last_error.clone().unwrap_or_default()));
            }
            inner = if let Some(stepped) = &mut *self.stepped() {
                drop(inner);
                stepped.indexer.step();
                self.projection.lock()
            } else {
                self.projection.done.wait(inner).unwrap_or_else(PoisonError::into_inner)
            };
        }
        Ok(inner.committed)
    }

    /// Lets the runs go that begin below `position`, whole, though a part of them may stand above it. When this returns, no
    /// query that begins shows them, and a crash does not bring them back; so the log can drop what is below.
    ///
    /// # Errors
    /// When a commit fails; it is tried again all the same, so call this again later.
    pub fn forget_before(&self, position: Position) -> Result<(), IndexError> {
        let mut inner = self.projection.lock();
        let failures = inner.failures;
        inner.expiring = inner.expiring.max(position);
        self.projection.work.notify_one();
        while inner.expired < position {
            if let Some(dead) = &inner.dead {
                return Err(IndexError::Stopped(dead.clone()));
            }
            if inner.stop {
                return Err(IndexError::Stopped("it was closed".to_owned()));
            }
            if inner.failures > failures {
                return Err(IndexError::Commit(inner.last_error.clone().unwrap_or_default()));
            }
            inner = self.projection.done.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Rewrites the parts of the index that hold deleted documents, those of erased runs among them, and removes the files
    /// they were in. False when an answer that is still being read keeps some: ask again later. Takes seconds for a million
    /// runs.
    ///
    /// # Errors
    /// When the disk fails; nothing is lost.
    pub fn drop_deleted(&self) -> Result<bool, IndexError> {
        if let Some(stepped) = self.stepped().as_mut() {
            loop {
                if let Some(is_clean) = stepped.indexer.drop_deleted()? {
                    return Ok(is_clean);
                }
            }
        }
        let mut inner = self.projection.lock();
        inner.dropping.wanted += 1;
        let failures = inner.failures;
        let mine = inner.dropping.wanted;
        self.projection.work.notify_one();
        while inner.dropping.done < mine {
            if let Some(dead) = &inner.dead {
                return Err(IndexError::Stopped(dead.clone()));
            }
            if inner.stop {
                return Err(IndexError::Stopped("it was closed".to_owned()));
            }
            if inner.failures > failures {
                return Err(IndexError::Commit(inner.last_error.clone().unwrap_or_default()));
            }
            inner = self.projection.done.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.dropping.outcome.clone().map_err(IndexError::Commit)
    }

    /// What was erased.
    pub fn erased(&self) -> Arc<Erased> {
        Arc::clone(&self.projection.lock().erased)
    }

    /// Applies the groups that wait in the channel, commits everything, and ends both threads. Idempotent.
    ///
    /// # Errors
    /// When the last commit fails; the next start reads from the log what is missing.
    pub fn close(&self) -> Result<(), IndexError> {
        self.stop_applier();
        if self.projection.lock().stop {
            return Ok(());
        }
        self.projection.lock().closing = true;
        let committed = self.commit_now();
        self.stop_indexer();
        committed.map(|_| ())
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stepped(&self) -> std::sync::MutexGuard<'_, Option<Stepped>> {
        self.stepped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop_applier(&self) {
        while self.apply_step() {}
        let mut threads = self.threads();
        threads.stop_applier.take();
        if let Some(applier) = threads.applier.take() {
            // It catches its own panics.
            let _ = applier.join();
        }
    }

    fn stop_indexer(&self) {
        self.projection.lock().stop = true;
        self.projection.work.notify_all();
        self.projection.done.notify_all();
        if let Some(indexer) = self.threads().indexer.take() {
            let _ = indexer.join();
        }
        self.stepped().take();
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.stop_applier();
        self.stop_indexer();
    }
}

/// The index in `dir` as its last commit left it, or an empty one, and who writes it.
fn open_parts(
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    dir: &Path,
    log: &Arc<dyn Log>,
    options: Options,
    merges: bool,
) -> Result<(Arc<Projection>, Indexer), IndexError> {
    let store = Store::new(disk, dir);
    let opened = match store.open(log.id(), &options)? {
        Ok(opened) => read_notes(&**log, &opened.notes)?.map(|erased| (opened, erased)),
        Err(reason) => Err(reason),
    };
    let (opened, (erased, unread)) = match opened {
        Ok(opened) => opened,
        Err(reason) => {
            tracing::info!(dir = %dir.display(), reason, "the index is rebuilt from the log");
            (store.create(&options)?, Default::default())
        }
    };
    let (next, tail) = (opened.next, log.tail());
    if next > tail {
        return Err(IndexError::AheadOfLog { checkpoint: next, tail });
    }
    let searcher = opened.reader.searcher();
    let ids = searcher.segment_readers().iter().map(|segment| u64::from(segment.max_doc())).sum();
    let mut opened = opened;
    let (keys, rollup) = (opened.keys.clone(), opened.rollup.take());
    let committed = Committed { next, base_ids: ids, keys, erased, rollup };
    let projection = Arc::new(Projection::new(searcher.clone(), opened.fields, committed, options)?);
    for damage in unread {
        projection.lock().add_damage(damage);
    }
    fill_run_ids(projection.lock().run_ids(), searcher, opened.fields, ids).map_err(|error| store.error(&error))?;
    let indexer = Indexer::new(Arc::clone(&projection), store, Arc::clone(log), clock, opened, merges);
    Ok((projection, indexer))
}

/// A thread whose panic is told to all who wait.
fn spawn(
    name: &str,
    projection: &Arc<Projection>,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, IndexError> {
    let projection = Arc::clone(projection);
    let named = name.to_owned();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            if catch_unwind(AssertUnwindSafe(body)).is_err() {
                tracing::error!(thread = named, "a thread of the index panicked");
                projection.died(format!("the thread {named} panicked"));
            }
        })
        .map_err(|error| IndexError::Stopped(format!("no thread can be started: {error}")))
}

/// What was erased below the checkpoint, from the batches that the notes name, and which of these cannot be read. `Err`
/// with the reason when the notes are in doubt.
fn read_notes(log: &dyn Log, notes: &Notes) -> Result<Result<(Erased, Vec<Damage>), String>, IndexError> {
    let notes = match notes.read().map_err(|error| notes.error(&error))? {
        Ok(notes) => notes,
        Err(reason) => return Ok(Err(reason)),
    };
    let (erased, mut unread) = (Erased::default(), Vec::new());
    for note in notes {
        match note {
            Note::Log(position) => match log.read(position) {
                Ok(batch) => match log_record::decode(&batch) {
                    Ok(records) => erased.fold(&batch, &records),
                    Err(error) => return Ok(Err(error.to_string())),
                },
                Err(ReadError::Damaged(damage)) => unread.push(*damage),
                // Retention dropped it; what must stay of it was appended again before.
                Err(ReadError::Gone { .. }) => {}
                Err(ReadError::NotFound(position)) => {
                    return Ok(Err(format!("the log tells of no erasure at position {position}")));
                }
                Err(error) => return Err(error.into()),
            },
            // When it is not there any more, it was compacted away.
            Note::Unseen(position) => match log.read(position) {
                Ok(batch) => {
                    if let Ok(records) = Records::of(&batch) {
                        erased.add_unseen(records.run_id, position);
                    }
                }
                Err(ReadError::NotFound(_) | ReadError::Gone { .. }) => {}
                Err(ReadError::Damaged(damage)) => unread.push(*damage),
                Err(error) => return Err(error.into()),
            },
        }
    }
    Ok(Ok((erased, unread)))
}

/// Puts the ids of an opened index into the filter.
fn fill_run_ids(run_ids: &Arc<RunIdFilter>, searcher: Searcher, fields: Fields, ids: u64) -> std::io::Result<()> {
    let run_ids = Arc::clone(run_ids);
    let fill = move || -> std::io::Result<()> {
        for segment in searcher.segment_readers() {
            let inverted = segment.inverted_index(fields.run_id).map_err(std::io::Error::other)?;
            let mut terms = inverted.terms().stream()?;
            while terms.advance() {
                if let Ok(run_id) = Uuid::from_slice(terms.key()) {
                    run_ids.insert_base(run_ids.hash(run_id));
                }
            }
        }
        run_ids.base_is_ready();
        Ok(())
    };
    if ids <= FILL_AT_ONCE {
        return fill();
    }
    let fill = move || {
        if let Err(error) = fill() {
            tracing::warn!(%error, "the filter of run ids could not be filled: unknown ids are looked up on disk");
        }
    };
    match std::thread::Builder::new().name("index-run-ids".to_owned()).spawn(fill) {
        Ok(_) => Ok(()),
        Err(error) => Err(std::io::Error::other(format!("no thread can be started: {error}"))),
    }
}
