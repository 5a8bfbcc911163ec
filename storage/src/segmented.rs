//! The embedded log: segments in one directory.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use agenttracer_model::Position;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use uuid::Uuid;

use crate::commit::{self, Committer, Message, Submission, dead};
use crate::disk::{Clock, Disk};
use crate::format::{BLOCK_BYTES, align_block};
use crate::prepare::Prepared;
use crate::recovery::{Env, Recovery, at, recover, remove_strays};
use crate::segment::Writer;
use crate::view::{View, lock};
use crate::{
    AppendError, Batch, BatchKind, Committed, Damage, Follower, Groups, Health, Log, OpenError, ReadError, StoredBatch,
    SubmitError, SyncMode, Ticket, backup, repair,
};

/// How a log works.
#[derive(Clone, Debug)]
pub struct Options {
    /// When tickets are resolved. Default: always.
    pub sync: SyncMode,
    /// How long a segment file is; at least 16 KiB, rounded up to 4 KiB. A batch must fit into one segment. Default: 64 MiB.
    pub segment_bytes: u64,
    /// How many bytes of frames are written and synced together, unless one batch alone is longer. Default: 1 MiB.
    pub max_group_bytes: usize,
    /// How many batches may wait. Default: 8192.
    pub queue_batches: usize,
    /// How many bytes of payloads may wait, unless one batch alone is longer. Default: 64 MiB.
    pub queue_bytes: usize,
    /// What the index has committed: so much the log must hold. Default: nothing.
    pub known_durable: Option<KnownDurable>,
    /// The id of the log, if there is none yet. Default: random.
    pub new_log_id: Uuid,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: SyncMode::Always,
            segment_bytes: 64 << 20,
            max_group_bytes: 1 << 20,
            queue_batches: 8192,
            queue_bytes: 64 << 20,
            known_durable: None,
            new_log_id: Uuid::new_v4(),
        }
    }
}

/// What a checkpoint beside the log says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDurable {
    /// The [id](Log::id) of the log. About another log it says nothing, and is not heeded.
    pub log: Uuid,
    /// Every batch below was durable.
    pub below: Position,
}

/// A log in segments on a [`Disk`].
///
/// Dropping it without [`close`](Self::close) is safe: batches that wait are still committed, but the next start is an
/// unclean one, which begins another segment.
pub struct SegmentedLog {
    id: Uuid,
    lost: u64,
    pub(crate) view: Arc<View>,
    max_payload_bytes: usize,
    sender: RwLock<Option<Sender<Message>>>,
    pub(crate) committer: Arc<Mutex<Committer>>,
    /// None in a log that is driven by [`step`](Self::step).
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The queue, the nudges of the preparing thread, and the lock of the directory.
type ForThreads = (Receiver<Message>, Receiver<()>, Arc<dyn Send + Sync>);

impl SegmentedLog {
    /// Opens the log in `dir`, or makes a new one, and starts its two threads: one commits, one prepares segments.
    ///
    /// `follower` is called by the commit thread; it must not wait for this log.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed on disk when it is `Locked`, `Damaged` or `NewerFormat`.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: Options,
        follower: Box<dyn Follower>,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        let (log, (queue, nudges, held_lock), recovery) = Self::open_parts(disk, clock, dir, options, follower)?;
        let (committer, view) = (log.committer.clone(), log.view.clone());
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(at(dir))
        };
        let committing = spawn("log-commit", Box::new(move || commit::run(&committer, &view, &queue)))?;
        lock(&log.threads).push(committing);
        let view = log.view.clone();
        // Until this thread has ended too, nobody else may open the directory.
        let prepare = move || {
            let _lock = held_lock;
            commit::run_preparer(&view, &nudges);
        };
        let preparing = spawn("log-prepare", Box::new(prepare))?;
        lock(&log.threads).push(preparing);
        Ok((Arc::new(log), recovery))
    }

    /// Like [`open`](Self::open), but without threads: nothing happens except in [`step`](Self::step). For simulations, in
    /// which the same calls must lead to the same disk calls.
    ///
    /// # Errors
    /// As for `open`.
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: Options,
        follower: Box<dyn Follower>,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        let (log, _, recovery) = Self::open_parts(disk, clock, dir, options, follower)?;
        Ok((Arc::new(log), recovery))
    }

    fn open_parts(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        mut options: Options,
        follower: Box<dyn Follower>,
    ) -> Result<(Self, ForThreads, Recovery), OpenError> {
        options.segment_bytes = align_block(options.segment_bytes.max(4 * BLOCK_BYTES));
        let log_dir = dir.join("log");
        disk.create_dir_all(&log_dir).map_err(at(&log_dir))?;
        let lock_file = dir.join("LOCK");
        let held_lock = disk.lock(&lock_file).map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock => OpenError::Locked(dir.to_owned()),
            _ => OpenError::Io { file: lock_file.clone(), source },
        })?;
        let held_lock: Arc<dyn Send + Sync> = Arc::from(held_lock);
        backup::refuse_unfinished(&*disk, dir)?;
        repair::refuse_unfinished(&*disk, dir)?;
        let lost = repair::known_loss(&*disk, dir)?.iter().map(|range| range.end.get() - range.start.get()).sum();
        // The name of `log/` is data too.
        disk.sync_dir(dir).map_err(at(dir))?;
        let (queue_batches, known_durable) = (options.queue_batches.max(1), options.known_durable);
        let max_payload_bytes = Writer::max_payload_bytes(options.segment_bytes);
        let prepared = Prepared::new(disk.clone(), log_dir.clone(), options.segment_bytes);
        let env = Env { disk, clock, dir: dir.to_owned(), log_dir, options, prepared };
        let opened = recover(&env, known_durable)?;
        remove_strays(&env, &opened.strays).map_err(at(&env.log_dir))?;
        let (id, recovery) = (opened.manifest.slot.log_id, opened.recovery);
        tracing::info!(%recovery, "the log is open");
        let (nudge, nudges) = bounded(1);
        let view = Arc::new(View::new(env, nudge, opened.table, recovery.tail, recovery.damage.clone()));
        if opened.writer.is_none() {
            view.set_disk_full();
        }
        let (sender, queue) = bounded(queue_batches);
        let committer =
            Committer::new(view.clone(), queue.clone(), follower, opened.manifest, opened.writer, held_lock.clone());
        let log = Self {
            id,
            lost,
            view,
            max_payload_bytes,
            sender: RwLock::new(Some(sender)),
            committer: Arc::new(Mutex::new(committer)),
            threads: Mutex::new(Vec::new()),
        };
        Ok((log, (queue, nudges, held_lock), recovery))
    }

    /// Refuses runs with [`SubmitError::OverLimit`] from now on, or takes them again; what the log tells of itself is always
    /// taken.
    pub fn hold_back(&self, hold: bool) {
        self.view.held_back.store(hold, Ordering::Relaxed);
    }

    /// Does what the threads would do now: prepares a segment when the disk was full, commits one group, syncs or reopens
    /// when it is time. Returns whether batches still wait.
    pub fn step(&self) -> bool {
        if self.view.is_disk_full() {
            commit::prepare_step(&self.view);
        }
        let mut committer = lock(&self.committer);
        committer.step(None);
        committer.has_waiting()
    }

    /// Shuts the log down: commits what waits, syncs, and marks the directory as closed cleanly. The follower is dropped and
    /// the directory unlocked. Reads go on working. A second call does nothing.
    ///
    /// # Errors
    /// `Failed` when the last writes failed: the next start recovers, as after a crash.
    pub fn close(&self) -> Result<(), AppendError> {
        self.shut(true)
    }

    fn shut(&self, clean: bool) -> Result<(), AppendError> {
        let sender = self.sender.write().unwrap_or_else(PoisonError::into_inner).take();
        if sender.is_none() {
            return Ok(());
        }
        // The state first: who waits for a sync must not go to sleep again.
        self.view.close(clean);
        drop(sender);
        let _ = self.view.nudge.try_send(());
        let threads = std::mem::take(&mut *lock(&self.threads));
        if threads.is_empty() {
            let finished = match self.committer.try_lock() {
                Ok(mut committer) => committer.finish(clean),
                // A ticket of the step that runs now held the last handle; the committer goes with this log.
                Err(_) => return Ok(()),
            };
            self.view.set_finished(finished);
        }
        for thread in threads {
            // A ticket may hold the last handle of the log: then this is the commit thread, which ends by itself.
            if thread.thread().id() == std::thread::current().id() {
                return Ok(());
            }
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
        self.view.finished().unwrap_or_else(|| Err(dead()))
    }

    /// Wakes the commit thread, if there is one.
    pub(crate) fn wake(&self) {
        if let Some(sender) = self.sender.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // When the queue is full, the thread is awake anyway.
            let _ = sender.try_send(Message::Wake);
        }
    }

    fn failure(&self) -> Option<AppendError> {
        match self.view.health() {
            Health::Poisoned(reason) => Some(AppendError::Failed(reason)),
            Health::Dead => Some(dead()),
            Health::Closed => Some(AppendError::Closed),
            Health::Writable | Health::OverLimit | Health::DiskFull => None,
        }
    }
}

impl Log for SegmentedLog {
    fn id(&self) -> Uuid {
        self.id
    }

    fn submit(&self, batch: Batch, ticket: Ticket) -> Result<(), SubmitError> {
        assert!(batch.records > 0, "a batch has at least one record");
        if !self.view.is_writable() {
            match self.view.health() {
                Health::Writable | Health::OverLimit => {}
                Health::DiskFull => return Err(SubmitError::DiskFull),
                Health::Poisoned(_) => return Err(SubmitError::Poisoned),
                Health::Dead => return Err(SubmitError::Dead),
                Health::Closed => return Err(SubmitError::Closed),
            }
        }
        // What the log tells of itself is short, and an erasure must not fail for want of space that it frees.
        if batch.kind == BatchKind::Run && self.view.held_back.load(Ordering::Relaxed) {
            return Err(SubmitError::OverLimit);
        }
        if batch.payload.len() > self.max_payload_bytes {
            return Err(SubmitError::TooLarge);
        }
        let bytes = batch.payload.len();
        let queued = &self.view.queued_bytes;
        let before = queued.fetch_add(bytes, Ordering::Relaxed);
        let refuse = |error| {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            Err(error)
        };
        if before > 0 && before + bytes > self.view.env.options.queue_bytes {
            return refuse(SubmitError::Busy);
        }
        // Here and not on the commit thread: submitters run side by side.
        let payload_crc = crc32fast::hash(&batch.payload);
        let Batch { kind, payload, records, time } = batch;
        let submission = Submission { kind, payload: payload.into(), payload_crc, records, time, ticket };
        // Held while sending: `close` takes the sender away, and then the queue really ends.
        let sender = self.sender.read().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return refuse(SubmitError::Closed) };
        match sender.try_send(Message::Batch(submission)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => refuse(SubmitError::Busy),
            Err(TrySendError::Disconnected(_)) => refuse(SubmitError::Closed),
        }
    }

    fn groups(&self) -> Option<&Groups> {
        Some(&self.view.groups)
    }

    fn read(&self, position: Position) -> Result<StoredBatch, ReadError> {
        self.view.read(position)
    }

    fn scan(&self, range: Range<Position>) -> Box<dyn Iterator<Item = Result<StoredBatch, ReadError>> + Send> {
        Box::new(self.view.scan(range))
    }

    fn tail(&self) -> Position {
        self.view.tail()
    }

    fn durable(&self) -> Position {
        self.view.durable()
    }

    fn sync(&self) -> Result<Position, AppendError> {
        let wanted = self.view.tail();
        if self.view.durable() >= wanted {
            return Ok(self.view.durable());
        }
        if lock(&self.threads).is_empty() {
            return lock(&self.committer).sync_now();
        }
        self.view.sync_wanted.store(true, Ordering::Release);
        self.wake();
        self.view.wait(|| {
            let durable = self.view.durable();
            if durable >= wanted { Some(Ok(durable)) } else { self.failure().map(Err) }
        })
    }

    fn sync_mode(&self) -> SyncMode {
        self.view.env.options.sync
    }

    fn health(&self) -> Health {
        self.view.health()
    }

    fn damage(&self) -> Vec<Damage> {
        self.view.damage()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

impl Drop for SegmentedLog {
    fn drop(&mut self) {
        if let Err(error) = self.shut(false) {
            tracing::error!(%error, "the log did not end well");
        }
    }
}

/// A follower that only resolves tickets: for tests, benches and offline tools.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResolveOnCommit;

impl Follower for ResolveOnCommit {
    fn committed(&mut self, group: Vec<Committed>) {
        for Committed { batch, ticket } in group {
            ticket(Ok(batch.position));
        }
    }
}
