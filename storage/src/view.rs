//! What readers and submitters see of a log while its committer works: segments, tail, health, known damage.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use agenttracer_model::Position;
use crossbeam_channel::Sender;

use crate::recovery::Env;
use crate::segment::{OpenSealed, Sealed, Source, Span, Step, Table, Walker, find_in_active, find_in_sealed};
use crate::{AppendError, Damage, Health, ReadError, StoredBatch};

/// How many sealed segments are held open.
const OPEN_SEGMENTS: usize = 128;
/// How much known damage is remembered.
const DAMAGE_REMEMBERED: usize = 1000;
/// How far a scan of the active segment reads in one go.
const SCAN_AHEAD_BYTES: usize = 256 * 1024;

const WRITABLE: u8 = 0;
const DISK_FULL: u8 = 1;
const POISONED: u8 = 2;
const CLOSED: u8 = 3;

/// The shared side of a log.
pub(crate) struct View {
    pub(crate) env: Env,
    /// Wakes the thread that prepares segments.
    pub(crate) nudge: Sender<()>,
    /// Bytes of payloads that wait for the committer.
    pub(crate) queued_bytes: AtomicUsize,
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
    changed: (Mutex<()>, Condvar),
}

#[derive(Default)]
struct OpenFiles {
    files: HashMap<Position, (Arc<OpenSealed>, u64)>,
    uses: u64,
}

impl View {
    pub(crate) fn new(env: Env, nudge: Sender<()>, table: Table, tail: Position, damage: Vec<Damage>) -> Self {
        Self {
            env,
            nudge,
            queued_bytes: AtomicUsize::new(0),
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
            WRITABLE => Health::Writable,
            DISK_FULL => Health::DiskFull,
            POISONED => Health::Poisoned(lock(&self.reason).clone()),
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
        let table = self.table();
        let (path, found) = match table.sealed_at(position) {
            Some(sealed) => {
                let open = self.open(sealed)?;
                (&sealed.file.path, find_in_sealed(&open, position))
            }
            None if position >= table.active.file.first => {
                (&table.active.file.path, find_in_active(&table.active, position))
            }
            None => return Err(ReadError::NotFound(position)),
        };
        match found.map_err(|source| ReadError::Io { file: path.clone(), source })? {
            Some(Ok(batch)) => Ok(batch),
            Some(Err(damage)) => {
                self.report(&damage);
                Err(ReadError::Damaged(Box::new(damage)))
            }
            None => Err(ReadError::NotFound(position)),
        }
    }

    /// See [`crate::Log::scan`].
    pub(crate) fn scan(self: &Arc<Self>, range: Range<Position>) -> Scan {
        let end = range.end.min(self.tail());
        Scan { view: self.clone(), from: range.start, next: range.start, end, segment: None }
    }

    fn open(&self, sealed: &Sealed) -> Result<Arc<OpenSealed>, ReadError> {
        let first = sealed.entry.first;
        {
            let mut open = lock(&self.open);
            open.uses += 1;
            let now = open.uses;
            if let Some((file, used)) = open.files.get_mut(&first) {
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
            && let Some(oldest) = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(first, _)| *first)
        {
            open.files.remove(&oldest);
        }
        let now = open.uses;
        open.files.insert(first, (file.clone(), now));
        Ok(file)
    }
}

/// A scan of committed batches.
pub(crate) struct Scan {
    view: Arc<View>,
    from: Position,
    next: Position,
    end: Position,
    /// The walk over the segment that holds `next`, and where that segment ends.
    segment: Option<(Walker, Position)>,
}

impl Scan {
    /// Begins with the segment that holds `next`; `None` when the scan is at its end.
    fn enter(&mut self) -> Result<Option<(Walker, Position)>, ReadError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let table = self.view.table();
        if let Some(sealed) = table.sealed_at(self.next) {
            let open = self.view.open(sealed)?;
            let mapping = open
                .mapping(&*self.view.env.disk)
                .map_err(|source| ReadError::Io { file: sealed.file.path.clone(), source })?;
            let walker = Walker::new(sealed.file.clone(), Source::Mapped(mapping), open.from(self.next));
            return Ok(Some((walker, sealed.entry.end)));
        }
        if let Some(sealed) = table.sealed.first().filter(|sealed| self.next < sealed.entry.first) {
            // Retention dropped what was there.
            self.next = sealed.entry.first;
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
        lost.start < self.end && (lost.end > self.from || (lost.is_empty() && lost.start >= self.from))
    }

    fn stop(&mut self, error: ReadError) -> Option<Result<StoredBatch, ReadError>> {
        self.next = self.end;
        self.segment = None;
        Some(Err(error))
    }
}

impl Iterator for Scan {
    type Item = Result<StoredBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((walker, segment_end)) = &mut self.segment else {
                match self.enter() {
                    Ok(Some(segment)) => self.segment = Some(segment),
                    Ok(None) => return None,
                    Err(error) => return self.stop(error),
                }
                continue;
            };
            let path = |walker: &Walker| walker.file.path.clone();
            match walker.step() {
                Ok(Some(Step::Frame(frame))) => {
                    if frame.header.first >= self.end {
                        self.next = self.end;
                        self.segment = None;
                        return None;
                    }
                    self.next = self.next.max(frame.header.end());
                    if frame.header.first < self.from {
                        continue;
                    }
                    match walker.payload(&frame) {
                        Ok(Ok(batch)) => return Some(Ok(batch)),
                        Ok(Err(damage)) => return Some(Err(self.damaged(damage))),
                        Err(source) => {
                            let error = ReadError::Io { file: path(walker), source };
                            return self.stop(error);
                        }
                    }
                }
                Ok(Some(Step::Damage(damage))) => {
                    self.next = self.next.max(damage.positions.end);
                    if self.concerns(&damage.positions) {
                        return Some(Err(self.damaged(damage)));
                    }
                }
                Ok(None) => {
                    self.next = self.next.max(*segment_end);
                    self.segment = None;
                }
                Err(source) => {
                    let error = ReadError::Io { file: path(walker), source };
                    return self.stop(error);
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
