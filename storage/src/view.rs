//! What readers and submitters see of a log while its committer works: segments, tail, health, known damage.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use agenttracer_model::Position;
use crossbeam_channel::Sender;

use crate::format::GapReason;
use crate::recovery::Env;
use crate::rewrite::Upkeep;
use crate::segment::{
    Batches, Lookup, OpenSealed, Sealed, Source, Span, Step, Table, Walker, find_in_active, find_in_sealed,
};
use crate::{AppendError, Damage, Groups, Health, ReadError, StoredBatch};

/// How many sealed segments are held open.
const OPEN_SEGMENTS: usize = 128;
/// How much known damage is remembered.
const DAMAGE_REMEMBERED: usize = 1000;
/// How far a scan of the active segment reads in one go.
const SCAN_AHEAD_BYTES: usize = 256 * 1024;

const WRITABLE: u8 = 0;
const DISK_FULL: u8 = 1;
const POISONED: u8 = 2;
const DEAD: u8 = 3;
const CLOSED: u8 = 4;

/// The shared side of a log.
pub(crate) struct View {
    pub(crate) env: Env,
    /// Wakes the thread that prepares segments.
    pub(crate) nudge: Sender<()>,
    /// What was committed, for whoever watches.
    pub(crate) groups: Groups,
    /// Bytes of payloads that wait for the committer.
    pub(crate) queued_bytes: AtomicUsize,
    /// No runs are taken.
    pub(crate) held_back: AtomicBool,
    /// Somebody waits for a sync.
    pub(crate) sync_wanted: AtomicBool,
    clean_close: AtomicBool,
    finished: Mutex<Option<Result<(), AppendError>>>,
    table: RwLock<Arc<Table>>,
    tail: AtomicU64,
    durable: AtomicU64,
    state: AtomicU8,
    reason: Mutex<String>,
    damage: Mutex<Vec<Damage>>,
    open: Mutex<OpenFiles>,
    /// What must not be removed yet, and what is to be.
    pub(crate) upkeep: Mutex<Upkeep>,
    changed: (Mutex<()>, Condvar),
}

#[derive(Default)]
struct OpenFiles {
    /// By first position and generation, with when each was used last.
    files: HashMap<(Position, u32), (Arc<OpenSealed>, u64)>,
    uses: u64,
}

impl View {
    pub(crate) fn new(env: Env, nudge: Sender<()>, table: Table, tail: Position, damage: Vec<Damage>) -> Self {
        Self {
            env,
            nudge,
            groups: Groups::default(),
            queued_bytes: AtomicUsize::new(0),
            held_back: AtomicBool::new(false),
            sync_wanted: AtomicBool::new(false),
            clean_close: AtomicBool::new(false),
            finished: Mutex::new(None),
            table: RwLock::new(Arc::new(table)),
            tail: AtomicU64::new(tail.get()),
            durable: AtomicU64::new(tail.get()),
            state: AtomicU8::new(WRITABLE),
            reason: Mutex::new(String::new()),
            damage: Mutex::new(damage),
            open: Mutex::new(OpenFiles::default()),
            upkeep: Mutex::default(),
            changed: (Mutex::new(()), Condvar::new()),
        }
    }

    pub(crate) fn tail(&self) -> Position {
        Position::new(self.tail.load(Ordering::Acquire))
    }

    pub(crate) fn durable(&self) -> Position {
        Position::new(self.durable.load(Ordering::Acquire))
    }

    /// Moves the tail; what it covers can be read already.
    pub(crate) fn set_tail(&self, tail: Position) {
        self.tail.store(tail.get(), Ordering::Release);
    }

    /// Moves the durable position and wakes those who wait for it.
    pub(crate) fn set_durable(&self, durable: Position) {
        self.durable.store(durable.get(), Ordering::Release);
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_table(&self, table: Table) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    pub(crate) fn health(&self) -> Health {
        match self.state.load(Ordering::Acquire) {
            WRITABLE if self.held_back.load(Ordering::Relaxed) => Health::OverLimit,
            WRITABLE => Health::Writable,
            DISK_FULL => Health::DiskFull,
            POISONED => Health::Poisoned(lock(&self.reason).clone()),
            DEAD => Health::Dead,
            _ => Health::Closed,
        }
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.state.load(Ordering::Acquire) == WRITABLE
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        self.state.load(Ordering::Acquire) == DISK_FULL
    }

    /// No batch is taken any more. The end of the log will be marked as clean, or not.
    pub(crate) fn close(&self, clean: bool) {
        self.clean_close.store(clean, Ordering::Release);
        self.state.store(CLOSED, Ordering::Release);
        self.wake();
    }

    pub(crate) fn is_clean_close(&self) -> bool {
        self.clean_close.load(Ordering::Acquire)
    }

    /// How the committer ended.
    pub(crate) fn set_finished(&self, finished: Result<(), AppendError>) {
        *lock(&self.finished) = Some(finished);
        self.wake();
    }

    pub(crate) fn finished(&self) -> Option<Result<(), AppendError>> {
        lock(&self.finished).clone()
    }

    pub(crate) fn set_poisoned(&self, reason: &str) {
        reason.clone_into(&mut lock(&self.reason));
        self.leave_for(POISONED, |_| true);
    }

    /// The thread that commits has panicked.
    pub(crate) fn set_dead(&self) {
        self.leave_for(DEAD, |_| true);
    }

    pub(crate) fn set_disk_full(&self) {
        self.leave_for(DISK_FULL, |state| state == WRITABLE);
    }

    /// There is space again.
    pub(crate) fn set_space(&self) {
        self.leave_for(WRITABLE, |state| state == DISK_FULL);
    }

    /// The log was reopened.
    pub(crate) fn set_reopened(&self, full: bool) {
        self.leave_for(if full { DISK_FULL } else { WRITABLE }, |_| true);
    }

    /// Changes the state when `from` allows; a closed log stays closed.
    fn leave_for(&self, state: u8, from: impl Fn(u8) -> bool) {
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| (old != CLOSED && from(old)).then_some(state));
        self.wake();
    }

    /// Wakes everybody in [`wait`](Self::wait).
    pub(crate) fn wake(&self) {
        drop(lock(&self.changed.0));
        self.changed.1.notify_all();
    }

    /// Waits until `done`, which is asked again whenever durable position or health changed.
    pub(crate) fn wait<T>(&self, done: impl Fn() -> Option<T>) -> T {
        let mut guard = lock(&self.changed.0);
        loop {
            if let Some(outcome) = done() {
                return outcome;
            }
            guard = self.changed.1.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn damage(&self) -> Vec<Damage> {
        lock(&self.damage).clone()
    }

    pub(crate) fn report(&self, damage: &Damage) {
        let mut known = lock(&self.damage);
        if known.len() < DAMAGE_REMEMBERED && !known.contains(damage) {
            tracing::error!(%damage, "the log is damaged");
            known.push(damage.clone());
        }
    }

    /// The committed batch that begins at `position`.
    pub(crate) fn read(&self, position: Position) -> Result<StoredBatch, ReadError> {
        if position >= self.tail() {
            return Err(ReadError::NotFound(position));
        }
        let (table, open) = self.open_at(position)?;
        let (path, found) = match &open {
            Some(open) => (&open.file.path, find_in_sealed(open, position)),
            None if position >= table.active.file.first => {
                (&table.active.file.path, find_in_active(&table.active, position))
            }
            // Retention dropped what was there.
            None => return Err(ReadError::Gone { position, reason: GapReason::Dropped }),
        };
        match found.map_err(|source| ReadError::Io { file: path.clone(), source })? {
            Lookup::Found(batch) => Ok(batch),
            Lookup::Damaged(damage) => {
                self.report(&damage);
                Err(ReadError::Damaged(Box::new(damage)))
            }
            Lookup::Gone(reason) => Err(ReadError::Gone { position, reason }),
            Lookup::Nothing => Err(ReadError::NotFound(position)),
        }
    }

    /// The table of this moment and, opened, its sealed segment that holds `position`.
    fn open_at(&self, position: Position) -> Result<(Arc<Table>, Option<Arc<OpenSealed>>), ReadError> {
        let mut table = self.table();
        loop {
            let Some(sealed) = table.sealed_at(position) else { return Ok((table, None)) };
            match self.open(sealed) {
                Ok(open) => return Ok((table, Some(open))),
                // It may have been rewritten and removed since the table was taken.
                Err(ReadError::Io { file, source }) if source.kind() == io::ErrorKind::NotFound => {
                    let newer = self.table();
                    if Arc::ptr_eq(&newer, &table) {
                        return Err(ReadError::Io { file, source });
                    }
                    table = newer;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// See [`crate::Log::scan`].
    pub(crate) fn scan(self: &Arc<Self>, range: Range<Position>) -> Scan {
        let end = range.end.min(self.tail());
        Scan { view: self.clone(), next: range.start, end, segment: None, batches: None }
    }

    pub(crate) fn open(&self, sealed: &Sealed) -> Result<Arc<OpenSealed>, ReadError> {
        let name = (sealed.entry.first, sealed.entry.generation);
        {
            let mut open = lock(&self.open);
            open.uses += 1;
            let now = open.uses;
            if let Some((file, used)) = open.files.get_mut(&name) {
                *used = now;
                return Ok(file.clone());
            }
        }
        // Opened without the lock: a slow disk must not stop readers of other segments.
        let (file, damage) = OpenSealed::open(&*self.env.disk, &sealed.file, &sealed.entry)
            .map_err(|source| ReadError::Io { file: sealed.file.path.clone(), source })?;
        if let Some(damage) = damage {
            self.report(&damage);
        }
        let file = Arc::new(file);
        let mut open = lock(&self.open);
        if open.files.len() >= OPEN_SEGMENTS
            && let Some(oldest) = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| *name)
        {
            open.files.remove(&oldest);
        }
        let now = open.uses;
        // A reader with an older table may open what was replaced: nobody would close it again.
        if self.table().names(&file.file) {
            open.files.insert(name, (file.clone(), now));
        }
        Ok(file)
    }

    /// Closes the files that the table does not name any more, as far as no reader has them.
    pub(crate) fn close_replaced(&self) {
        let table = self.table();
        lock(&self.open).files.retain(|_, (file, _)| table.names(&file.file));
    }
}

/// A scan of committed batches.
pub(crate) struct Scan {
    view: Arc<View>,
    /// Everything below was yielded or is not asked for. A segment that is entered again, because others were merged into
    /// it meanwhile, may begin below.
    next: Position,
    end: Position,
    /// The walk over the segment that holds `next`, and where that segment ends.
    segment: Option<(Walker, Position)>,
    /// What is left of the frame that was read last, and where the frame ends.
    batches: Option<(Batches, Position)>,
}

impl Scan {
    /// Begins with the segment that holds `next`; `None` when the scan is at its end.
    fn enter(&mut self) -> Result<Option<(Walker, Position)>, ReadError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let (table, open) = self.view.open_at(self.next)?;
        if let Some(open) = open {
            let source = match open.mapping(&*self.view.env.disk) {
                Ok(mapping) => Source::Mapped(mapping),
                // It was rewritten and removed just now; the handle still reads it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Source::file(open.handle.clone(), SCAN_AHEAD_BYTES)
                }
                Err(source) => return Err(ReadError::Io { file: open.file.path.clone(), source }),
            };
            let span = open.from(self.next);
            return Ok(Some((Walker::new(open.file.clone(), source, span), open.footer.end)));
        }
        let start = table.start();
        if self.next < start {
            // Retention dropped what was there.
            self.next = start;
            return self.enter();
        }
        let (start, limit, end) = table.active.near(self.next);
        if self.next >= end {
            return Ok(None);
        }
        let source = Source::file(table.active.handle.clone(), SCAN_AHEAD_BYTES);
        let span = Span { offset: start.offset, limit, first: start.position, end: Some(end), chain: None };
        Ok(Some((Walker::new(table.active.file.clone(), source, span), end)))
    }

    fn damaged(&self, damage: Damage) -> ReadError {
        self.view.report(&damage);
        ReadError::Damaged(Box::new(damage))
    }

    /// Whether positions that are lost belong to the range; damage without positions counts by where it stands.
    fn concerns(&self, lost: &Range<Position>) -> bool {
        lost.start < self.end && (lost.end > self.next || (lost.is_empty() && lost.start >= self.next))
    }

    /// The next batch of the frame that was read last.
    fn next_batch(&mut self) -> Option<StoredBatch> {
        let (batches, end) = self.batches.as_mut()?;
        let batch = batches.by_ref().find(|batch| batch.position >= self.next);
        match batch {
            Some(batch) if batch.position < self.end => {
                self.next = batch.end();
                Some(batch)
            }
            _ => {
                self.next = self.next.max(*end);
                self.batches = None;
                None
            }
        }
    }

    fn stop(&mut self, file: PathBuf, source: io::Error) -> ReadError {
        self.next = self.end;
        self.segment = None;
        ReadError::Io { file, source }
    }
}

impl Iterator for Scan {
    type Item = Result<StoredBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.next_batch() {
                return Some(Ok(batch));
            }
            let Some((walker, segment_end)) = &mut self.segment else {
                match self.enter() {
                    Ok(Some(segment)) => self.segment = Some(segment),
                    Ok(None) => return None,
                    Err(error) => {
                        self.next = self.end;
                        return Some(Err(error));
                    }
                }
                continue;
            };
            let step = walker.step().and_then(|step| {
                let Some(Step::Frame(frame)) = &step else { return Ok((step, None)) };
                // A batch that begins below is not asked for; of a block, the rest may be.
                let below =
                    if frame.is_block() { frame.header.end() <= self.next } else { frame.header.first < self.next };
                let content = if below || frame.header.first >= self.end { None } else { Some(walker.content(frame)?) };
                Ok((step, content))
            });
            match step {
                Ok((Some(Step::Frame(frame)), content)) => {
                    let end = frame.header.end();
                    match content {
                        Some(Ok(content)) => self.batches = Some((content.batches(), end)),
                        Some(Err(damage)) => {
                            self.next = self.next.max(end);
                            return Some(Err(self.damaged(damage)));
                        }
                        None if frame.header.first >= self.end => {
                            self.next = self.end;
                            self.segment = None;
                            return None;
                        }
                        None => self.next = self.next.max(end),
                    }
                }
                Ok((Some(Step::Damage(damage)), _)) => {
                    let concerns = self.concerns(&damage.positions);
                    self.next = self.next.max(damage.positions.end);
                    if concerns {
                        return Some(Err(self.damaged(damage)));
                    }
                }
                Ok((None, _)) => {
                    self.next = self.next.max(*segment_end);
                    self.segment = None;
                }
                Err(source) => {
                    let file = walker.file.path.clone();
                    return Some(Err(self.stop(file, source)));
                }
            }
        }
    }
}

/// A lock whose holder panicked is taken all the same: what it guards is never half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an I/O error says that the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
