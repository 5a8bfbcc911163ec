//! The one state that is published: the applier appends to it, the indexer moves runs out of it into tantivy, readers
//! take it as it is. Both writers hold one lock; readers never do.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use agenttracer_model::Position;
use agenttracer_storage::{Buckets, Damage};
use arc_swap::ArcSwap;
use tantivy::Searcher;
use uuid::Uuid;

use crate::cold::{self, Fields};
use crate::columns::Columns;
use crate::erased::Erased;
use crate::hot::{self, Chunk};
use crate::live_runs::LiveRuns;
use crate::mask::Mask;
use crate::metadata_keys::{KeyCounter, MetadataKeys};
use crate::notes::Note;
use crate::rollup::Rollup;
use crate::run_ids::RunIdFilter;
use crate::snapshot::{Found, State};
use crate::{IndexError, Options, Outcomes, RunSummary, Snapshot};

/// How much known damage is kept by name; all of it is counted.
const NAMED_DAMAGE: usize = 100;
/// Commits that may fail one after the other before a replay that waits for room gives up.
const GIVE_UP_AFTER: u64 = 3;

/// The buckets in which the times of commits are counted, in ms.
const COMMIT_MS: &[u64] = &[5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// What the applier, the indexer and the readers share.
pub(crate) struct Projection {
    state: ArcSwap<State>,
    inner: Mutex<Inner>,
    /// Never locked by one who waits for `inner`.
    live: Mutex<LiveRuns>,
    /// Wakes the indexer.
    pub(crate) work: Condvar,
    /// Wakes who waits for a commit.
    pub(crate) done: Condvar,
    hot_bytes: AtomicU64,
    is_dead: AtomicBool,
    pub(crate) outcomes: Outcomes,
    /// How long each commit took, in ms.
    pub(crate) commit_ms: Buckets,
    /// Merges of tantivy's segments that were begun.
    pub(crate) merges: Arc<AtomicU64>,
    pub(crate) options: Options,
}

/// The master copy of the state, and what else both threads must agree on.
pub(crate) struct Inner {
    /// The chunks that the indexer has taken and not yet committed.
    frozen: Option<Frozen>,
    /// The chunks the applier appends to.
    current: Vec<Arc<Chunk>>,
    current_runs: u64,
    current_bytes: u64,
    /// `frozen` and `current`, as readers get them.
    hot: Arc<[Arc<Chunk>]>,
    next_seq: u64,
    /// What was erased since the last freeze.
    erasing: Erasing,
    pub(crate) erased: Arc<Erased>,
    searcher: Searcher,
    columns: Arc<[Arc<Columns>]>,
    fields: Fields,
    mask: Option<Arc<Mask>>,
    run_ids: Arc<RunIdFilter>,
    keys: KeyCounter,
    rollup: Option<Arc<Rollup>>,
    pub(crate) rolling: Rolling,
    /// Everything below was applied.
    pub(crate) position: Position,
    /// Everything below is in tantivy.
    pub(crate) committed: Position,
    /// A batch that could not be applied for now: the checkpoint does not pass it, so that a restart tries again.
    pub(crate) held_at: Option<Position>,
    /// Runs that begin below are to go: retention drops them from the log next.
    pub(crate) expiring: Position,
    /// They have gone up to here.
    pub(crate) expired: Position,
    /// Somebody waits until everything below is in tantivy.
    pub(crate) wanted: Position,
    /// What the indexer, while it waits, is woken for.
    pub(crate) wake: Wake,
    pub(crate) dropping: Dropping,
    /// The last commit comes: no merges any more.
    pub(crate) closing: bool,
    pub(crate) stop: bool,
    /// Why a thread has died.
    pub(crate) dead: Option<String>,
    pub(crate) commits: u64,
    /// Since when there is something that is applied and not committed.
    pub(crate) behind_since: Option<Instant>,
    /// Commits that failed since the last good one.
    pub(crate) failures_in_a_row: u64,
    /// Commits that failed since the start.
    pub(crate) failures: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) damage_count: u64,
    pub(crate) ignored_batches: u64,
}

/// When rollups are kept up. While a log is replayed into an empty index nobody asks, and adding each run to all of its cells
/// costs as much as indexing it: they are made at the end, from the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rolling {
    /// With each commit.
    Kept,
    /// The replay goes on.
    Deferred,
    /// The replay is over, and the next commit makes them.
    Due,
}

/// Rounds of dropping deleted documents.
pub(crate) struct Dropping {
    /// How many were asked for.
    pub(crate) wanted: u64,
    /// Up to which one all are done.
    pub(crate) done: u64,
    /// Whether the last one left none.
    pub(crate) outcome: Result<bool, String>,
}

impl Dropping {
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted > self.done
    }
}

/// What wakes the indexer: at most one notice each time it waits, however many groups are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Nothing but its own clock.
    Never,
    /// A commit that should not wait for its time.
    Urgent,
    /// Anything to commit.
    Any,
}

/// What erasures ask of the next commit.
#[derive(Clone, Default)]
pub(crate) struct Erasing {
    /// Runs to be deleted from tantivy.
    pub(crate) runs: Vec<Uuid>,
    /// Where the log tells of it.
    pub(crate) notes: Vec<Note>,
}

/// Hot runs on their way into tantivy.
#[derive(Clone)]
pub(crate) struct Frozen {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    /// The visible number at the freeze.
    pub(crate) visible: u64,
    /// Everything below is in these chunks or in tantivy.
    pub(crate) position: Position,
    /// When that was.
    at: Instant,
    pub(crate) erasing: Arc<Erasing>,
    /// What readers saw at the freeze: the commit deletes the documents that it masks.
    pub(crate) before: Snapshot,
    /// What the index adds up to with the commit.
    rollup: Option<Arc<Rollup>>,
    /// Whether that is so, and not put off.
    is_rolled_up: bool,
    runs: u64,
    bytes: u64,
}

/// A moment's numbers.
pub(crate) struct Numbers {
    pub(crate) hot_runs: u64,
    pub(crate) cold_docs: u64,
    pub(crate) segments: u64,
}

/// What a commit holds beside its documents.
pub(crate) struct Committed {
    /// The first position of the log that it does not cover.
    pub(crate) next: Position,
    /// How many ids the filter of run ids has to expect.
    pub(crate) base_ids: u64,
    pub(crate) keys: MetadataKeys,
    pub(crate) erased: Erased,
    pub(crate) rollup: Option<Rollup>,
}

impl Projection {
    /// The projection of a log as far as `committed` covers it, all of it cold.
    pub(crate) fn new(
        searcher: Searcher,
        fields: Fields,
        committed: Committed,
        options: Options,
    ) -> Result<Self, IndexError> {
        let Committed { next, base_ids, keys, erased, rollup } = committed;
        let keys = KeyCounter::new(keys, &searcher, &fields)?;
        let run_ids = Arc::new(RunIdFilter::new(base_ids));
        let inner = Inner {
            frozen: None,
            current: Vec::new(),
            current_runs: 0,
            current_bytes: 0,
            hot: Arc::new([]),
            next_seq: 0,
            erasing: Erasing::default(),
            erased: Arc::new(erased),
            columns: Columns::of(&searcher, &[])?,
            searcher,
            fields,
            mask: None,
            run_ids,
            keys,
            rollup: rollup.map(Arc::new),
            rolling: if next == Position::ZERO { Rolling::Deferred } else { Rolling::Kept },
            position: next,
            committed: next,
            held_at: None,
            expiring: Position::ZERO,
            expired: Position::ZERO,
            wanted: Position::ZERO,
            wake: Wake::Never,
            dropping: Dropping { wanted: 0, done: 0, outcome: Ok(true) },
            closing: false,
            stop: false,
            dead: None,
            commits: 0,
            behind_since: None,
            failures_in_a_row: 0,
            failures: 0,
            last_error: None,
            damage: Vec::new(),
            damage_count: 0,
            ignored_batches: 0,
        };
        Ok(Self {
            state: ArcSwap::from_pointee(inner.state()),
            inner: Mutex::new(inner),
            live: Mutex::new(LiveRuns::new(
                u64::try_from(options.lease.as_millis()).unwrap_or(u64::MAX),
                options.live_bytes,
            )),
            work: Condvar::new(),
            done: Condvar::new(),
            hot_bytes: AtomicU64::new(0),
            is_dead: AtomicBool::new(false),
            outcomes: Outcomes::default(),
            commit_ms: Buckets::new(COMMIT_MS),
            merges: Arc::default(),
            options,
        })
    }

    /// The state of this moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.state.load_full())
    }

    /// Memory of all hot runs.
    pub(crate) fn hot_bytes(&self) -> u64 {
        self.hot_bytes.load(Ordering::Relaxed)
    }

    /// Whether another run fits and will become visible. Asked for each request, so it takes no lock.
    pub(crate) fn has_room(&self) -> bool {
        self.hot_bytes() < self.options.hot_bytes && !self.is_dead()
    }

    /// Whether a thread has died. It takes no lock.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Tells all who wait that a thread has died.
    pub(crate) fn died(&self, why: String) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.lock().dead = Some(why);
        self.done.notify_all();
    }

    /// The master copy. A thread that panicked says so in `dead`; what it left is whole, because a state becomes
    /// visible only by [`publish`](Self::publish).
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live runs. What a thread that panicked left is whole: a run that it had taken is read from the log again.
    pub(crate) fn live(&self) -> MutexGuard<'_, LiveRuns> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets readers see what was pushed, up to `position`, and wakes the indexer when it waits for that.
    pub(crate) fn publish(&self, inner: &mut Inner, position: Position) {
        inner.position = position;
        if inner.committed < position {
            inner.behind_since.get_or_insert_with(Instant::now);
        }
        self.state.store(Arc::new(inner.state()));
        self.hot_bytes.store(inner.hot_bytes(), Ordering::Relaxed);
        let wakes = match inner.wake {
            Wake::Never => false,
            Wake::Urgent => self.is_urgent(inner),
            Wake::Any => inner.committed < inner.position,
        };
        if wakes {
            inner.wake = Wake::Never;
            self.work.notify_one();
        }
    }

    /// Whether a commit should not wait for its time.
    pub(crate) fn is_urgent(&self, inner: &Inner) -> bool {
        inner.current_runs >= self.options.commit_runs
            || inner.hot_bytes() >= self.options.hot_bytes / 2
            || inner.wanted > inner.committed
            || inner.expiring > inner.expired
    }

    /// Takes everything that was applied so far for a commit; when the last one failed, the same again.
    pub(crate) fn freeze(&self) -> Frozen {
        let mut inner = self.lock();
        let inner = &mut *inner;
        if inner.frozen.is_none() {
            inner.frozen = Some(Frozen {
                chunks: std::mem::take(&mut inner.current),
                visible: inner.next_seq,
                position: inner.position,
                at: Instant::now(),
                erasing: Arc::new(std::mem::take(&mut inner.erasing)),
                before: self.snapshot(),
                rollup: None,
                is_rolled_up: false,
                runs: std::mem::take(&mut inner.current_runs),
                bytes: std::mem::take(&mut inner.current_bytes),
            });
        }
        inner.frozen.clone().expect("it was set above")
    }

    /// The replay of the log is over.
    pub(crate) fn replayed(&self) {
        let mut inner = self.lock();
        if inner.rolling == Rolling::Deferred {
            let has_committed = inner.committed > Position::ZERO;
            inner.rolling = if has_committed { Rolling::Due } else { Rolling::Kept };
            self.work.notify_one();
        }
    }

    /// What the index will add up to when the frozen runs are committed; `None` when there are too many cells, or when that
    /// is put off.
    pub(crate) fn rolls_up(&self, rollup: Option<Arc<Rollup>>, is_rolled_up: bool) {
        if let Some(frozen) = &mut self.lock().frozen {
            (frozen.rollup, frozen.is_rolled_up) = (rollup, is_rolled_up);
        }
    }

    /// Shows a newer searcher; when `committed`, the frozen runs leave in the same instant, because it holds them.
    pub(crate) fn install(&self, searcher: Searcher, committed: bool) -> Result<(), IndexError> {
        // Most of the mask is made without the lock; what was applied meanwhile is added under it.
        let (hot, erasing, seen) = {
            let inner = self.lock();
            (inner.staying(committed), inner.staying_erasures(committed), inner.next_seq)
        };
        let (fields, columns) = {
            let state = self.state.load();
            (state.fields, Columns::of(&searcher, &state.columns)?)
        };
        let mut mask = None;
        for entry in hot.iter().flat_map(|chunk| chunk.visible(seen)).filter(|entry| entry.late) {
            add_to_mask(&mut mask, &searcher, &fields, entry.run.run_id)?;
        }
        for run_id in &erasing {
            add_to_mask(&mut mask, &searcher, &fields, *run_id)?;
        }
        // Dropped after the lock: closing the segments that merges replaced takes longer than acknowledgements may wait.
        let _before = self.state.load_full();
        let mut inner = self.lock();
        for entry in inner.staying(committed).iter().flat_map(|chunk| chunk.visible(inner.next_seq)) {
            if entry.late && entry.seq() >= seen {
                add_to_mask(&mut mask, &searcher, &fields, entry.run.run_id)?;
            }
        }
        for run_id in &inner.staying_erasures(committed)[erasing.len()..] {
            add_to_mask(&mut mask, &searcher, &fields, *run_id)?;
        }
        if committed && let Some(frozen) = inner.frozen.take() {
            inner.rollup = frozen.rollup;
            if inner.rolling == Rolling::Due && frozen.is_rolled_up {
                inner.rolling = Rolling::Kept;
            }
            inner.committed = frozen.position;
            inner.behind_since = (inner.committed < inner.position).then_some(frozen.at);
            inner.commits += 1;
            inner.failures_in_a_row = 0;
        }
        inner.searcher = searcher;
        inner.columns = columns;
        inner.mask = mask.map(Arc::new);
        inner.hot = inner.staying(false).into();
        let position = inner.position;
        self.publish(&mut inner, position);
        self.done.notify_all();
        Ok(())
    }

    /// Waits until the indexer has made room in memory.
    pub(crate) fn wait_for_room(&self) -> Result<(), IndexError> {
        let mut inner = self.lock();
        while !self.has_room() {
            inner.check_for_room()?;
            inner = self.done.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Tells who waits what came of dropping deleted documents.
    pub(crate) fn dropped_deleted(&self, outcome: Result<bool, IndexError>) {
        let mut inner = self.lock();
        let dropping = &mut inner.dropping;
        dropping.done = dropping.wanted;
        dropping.outcome = outcome.map_err(|error| error.to_string());
        self.done.notify_all();
    }

    /// Notes that a commit failed.
    pub(crate) fn failed(&self, error: &IndexError) {
        let mut inner = self.lock();
        inner.failures += 1;
        inner.failures_in_a_row += 1;
        inner.last_error = Some(error.to_string());
        self.done.notify_all();
    }
}

fn add_to_mask(mask: &mut Option<Mask>, searcher: &Searcher, fields: &Fields, run_id: Uuid) -> Result<(), IndexError> {
    let address = cold::address(searcher, fields, run_id).map_err(|error| IndexError::Document(error.to_string()))?;
    if let Some(address) = address {
        mask.get_or_insert_default().insert(address);
    }
    Ok(())
}

impl Inner {
    /// The newest version of a run, published or not.
    pub(crate) fn find(&self, run_id: Uuid) -> Result<Option<Found>, IndexError> {
        self.state().find(run_id)
    }

    /// The newest versions of the runs that begin at these positions, published or not. Looks at every run.
    pub(crate) fn find_at(&self, positions: &HashSet<Position>) -> Result<Vec<Found>, IndexError> {
        self.state().find_at(positions)
    }

    /// Appends a run that was never seen before. It becomes visible with the next publication.
    pub(crate) fn push_new(&mut self, run: RunSummary) {
        let hash = self.run_ids.hash(run.run_id);
        self.run_ids.insert(hash);
        self.push(run, hash, false);
    }

    /// Appends a newer version of a run that was found with [`find`](Self::find).
    pub(crate) fn push_newer(&mut self, run: RunSummary, found: &Found) {
        let hash = self.run_ids.hash(run.run_id);
        match found.cold {
            Some(address) => Arc::make_mut(self.mask.get_or_insert_default()).insert(address),
            None => {
                let older = self.hot.iter().rev().find_map(|chunk| chunk.find(run.run_id, hash, self.next_seq));
                older.expect("it was found hot").supersede(self.next_seq);
            }
        }
        self.push(run, hash, true);
    }

    /// Takes away a run that was found with [`find`](Self::find), as of the next publication.
    pub(crate) fn erase(&mut self, found: &Found) {
        let run_id = found.run.run_id;
        match found.cold {
            Some(address) => Arc::make_mut(self.mask.get_or_insert_default()).insert(address),
            None => {
                let hash = self.run_ids.hash(run_id);
                let entry = self.hot.iter().rev().find_map(|chunk| chunk.find(run_id, hash, self.next_seq));
                entry.expect("it was found hot").supersede(self.next_seq);
            }
        }
        self.erasing.runs.push(run_id);
        self.current_bytes += size_of::<Uuid>() as u64;
        // A number of its own, as a newer version has: readers of the state before still see the run.
        self.next_seq += 1;
    }

    /// Notes a batch that nobody sees, though the log has it: it must be found again when its run is erased, or was.
    pub(crate) fn ignore(&mut self, run_id: Uuid, position: Position) {
        self.erased.add_unseen(run_id, position);
        self.note(Note::Unseen(position));
        self.ignored_batches += 1;
    }

    /// Notes where the log tells of an erasure.
    pub(crate) fn note(&mut self, note: Note) {
        self.erasing.notes.push(note);
    }

    /// The runs that a later commit deletes; those of the frozen part come first.
    fn staying_erasures(&self, frozen_goes: bool) -> Vec<Uuid> {
        let frozen = self.frozen.as_ref().filter(|_| !frozen_goes).map_or(&[][..], |frozen| &frozen.erasing.runs);
        frozen.iter().chain(&self.erasing.runs).copied().collect()
    }

    fn push(&mut self, run: RunSummary, hash: u64, late: bool) {
        if !self.current.last().is_some_and(|chunk| chunk.takes(self.next_seq)) {
            self.current.push(Arc::new(Chunk::new(self.next_seq)));
            self.hot = self.staying(false).into();
        }
        self.keys.add(&run);
        self.current_runs += 1;
        self.current_bytes += hot::memory_bytes(&run);
        let chunk = self.current.last().expect("it was pushed above");
        chunk.push(self.next_seq, Arc::new(run), hash, late);
        self.next_seq += 1;
    }

    /// Whether it is worth waiting until the indexer has made room.
    pub(crate) fn check_for_room(&self) -> Result<(), IndexError> {
        if let Some(dead) = &self.dead {
            return Err(IndexError::Stopped(dead.clone()));
        }
        if self.failures_in_a_row >= GIVE_UP_AFTER {
            return Err(IndexError::Commit(self.last_error.clone().unwrap_or_default()));
        }
        Ok(())
    }

    /// Counts damage that was passed over, and keeps the first of it by name.
    pub(crate) fn add_damage(&mut self, damage: Damage) {
        self.damage_count += 1;
        if self.damage.len() < NAMED_DAMAGE {
            self.damage.push(damage);
        }
    }

    /// The ids of all runs.
    pub(crate) fn run_ids(&self) -> &Arc<RunIdFilter> {
        &self.run_ids
    }

    /// Which metadata keys are indexed.
    pub(crate) fn metadata_keys(&self) -> &Arc<MetadataKeys> {
        self.keys.keys()
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers {
            hot_runs: self.current_runs + self.frozen.as_ref().map_or(0, |frozen| frozen.runs),
            cold_docs: self.searcher.num_docs(),
            segments: self.searcher.segment_readers().len() as u64,
        }
    }

    fn hot_bytes(&self) -> u64 {
        self.current_bytes + self.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }

    /// The hot chunks, oldest first; without the frozen ones when they go.
    fn staying(&self, frozen_goes: bool) -> Vec<Arc<Chunk>> {
        let frozen = self.frozen.as_ref().filter(|_| !frozen_goes).map_or(&[][..], |frozen| &frozen.chunks);
        frozen.iter().chain(&self.current).cloned().collect()
    }

    fn state(&self) -> State {
        State {
            position: self.position,
            visible: self.next_seq,
            hot: Arc::clone(&self.hot),
            searcher: self.searcher.clone(),
            columns: Arc::clone(&self.columns),
            fields: self.fields,
            mask: self.mask.clone(),
            run_ids: Arc::clone(&self.run_ids),
            metadata_keys: Arc::clone(self.keys.keys()),
            erased: Arc::clone(&self.erased),
            rollup: self.rollup.clone(),
        }
    }
}
