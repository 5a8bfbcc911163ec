//! Group commit: takes all batches that wait, writes them at once, syncs once, hands them on.
//!
//! *Format*: a group begins at a multiple of 4096 and is zero padded to one, so that a sector with acknowledged data is never
//! written again.
//! *Durability*: in [`SyncMode::Always`] a group is handed on after fdatasync returned 0, in [`SyncMode::Interval`] after it
//! was written; then the sync follows within the interval.
//! *Recovery*: a failed write or sync poisons the log: the kernel may have dropped what it could not write, so nothing
//! is tried again. All waiters fail, and the log is reopened through [`recover`], as after a crash.
//!
//! The committer is a struct of synchronous steps; the thread around it is only a loop.

use std::collections::VecDeque;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agenttracer_model::{Position, Timestamp};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use crate::format::Slot;
use crate::manifest::Manifest;
use crate::recovery::{begin_segment, no_segment, recover, write_manifest};
use crate::rewrite::RewriteError;
use crate::segment::{NewFrame, Sealed, SegmentFile, Table, Writer};
use crate::view::{View, is_full, lock};
use crate::{
    AppendError, BatchKind, Committed, Follower, Groups, KnownDurable, Payload, StoredBatch, SyncMode, Ticket,
};

/// How long the log waits before it reopens after a failure, at first and at most.
const REOPEN_MS: std::ops::RangeInclusive<u64> = 50..=5000;
/// How much is handed to the follower in one go after a reopening.
const CATCH_UP_BYTES: usize = 1 << 20;

/// What goes through the queue.
pub(crate) enum Message {
    Batch(Submission),
    /// Somebody wants a sync.
    Wake,
}

/// A batch that waits.
pub(crate) struct Submission {
    pub(crate) kind: BatchKind,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) payload_crc: u32,
    pub(crate) records: u32,
    pub(crate) time: Timestamp,
    pub(crate) ticket: Ticket,
}

/// The writing side of a log.
pub(crate) struct Committer {
    view: Arc<View>,
    queue: Receiver<Message>,
    follower: Option<Box<dyn Follower>>,
    manifest: Manifest,
    /// `None` when there was no space for another segment.
    writer: Option<Writer>,
    /// Taken from the queue, not yet in a group.
    held: VecDeque<Submission>,
    group: Vec<Submission>,
    /// When the oldest batch that is not synced must be, by the monotonic clock.
    sync_due_ms: Option<u64>,
    poison: Option<Poison>,
    /// Of the directory; the preparing thread has it too.
    lock: Option<Arc<dyn Send + Sync>>,
}

struct Poison {
    reason: String,
    retry_at_ms: u64,
    backoff_ms: u64,
}

/// Why a group could not be made.
enum Stop {
    Full,
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Committer {
    pub(crate) fn new(
        view: Arc<View>,
        queue: Receiver<Message>,
        follower: Box<dyn Follower>,
        manifest: Manifest,
        writer: Option<Writer>,
        lock: Arc<dyn Send + Sync>,
    ) -> Self {
        Self {
            view,
            queue,
            follower: Some(follower),
            manifest,
            writer,
            held: VecDeque::new(),
            group: Vec::new(),
            sync_due_ms: None,
            poison: None,
            lock: Some(lock),
        }
    }

    /// Does what there is to do: commits one group of what waits, syncs when it is due, reopens when it is time to.
    pub(crate) fn step(&mut self, first: Option<Message>) {
        if let Some(Message::Batch(submission)) = first {
            self.hold(submission);
        }
        if let Some(poison) = &self.poison {
            let error = AppendError::Failed(poison.reason.clone());
            let retry = self.now_ms() >= poison.retry_at_ms;
            self.fail_waiting(&error);
            if retry {
                self.reopen();
            }
            return;
        }
        let outcome = self.gather().and_then(|()| Ok(self.commit()?)).and_then(|()| Ok(self.sync_when_due()?));
        match outcome {
            Ok(()) => {}
            Err(Stop::Full) => {
                tracing::warn!("no space for another segment: the log takes no batches");
                self.view.set_disk_full();
                self.fail_waiting(&AppendError::DiskFull);
            }
            Err(Stop::Failed(error)) => self.poison(&error.to_string(), *REOPEN_MS.start()),
        }
    }

    /// When [`step`](Self::step) must be called though nothing arrives, by the monotonic clock.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        match &self.poison {
            Some(poison) => Some(poison.retry_at_ms),
            None if !self.held.is_empty() => Some(0),
            None => self.sync_due_ms,
        }
    }

    /// Whether batches wait.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.held.is_empty() || !self.queue.is_empty()
    }

    /// Ends the log after its queue was closed: commits what waits, syncs, and marks it closed cleanly when `clean`. The
    /// follower is dropped and the directory unlocked.
    pub(crate) fn finish(&mut self, clean: bool) -> Result<(), AppendError> {
        while self.poison.is_none() && self.has_waiting() {
            self.step(None);
        }
        self.fail_waiting(&AppendError::Closed);
        let finished = self.settle(clean);
        self.abandon();
        finished
    }

    /// Drops the follower and unlocks the directory.
    pub(crate) fn abandon(&mut self) {
        self.follower = None;
        self.writer = None;
        self.lock = None;
    }

    /// After a panic nothing of this can be trusted: it writes nothing more, and fails everything that waits.
    pub(crate) fn die(&mut self) {
        let error = dead();
        self.poison = Some(Poison { reason: error.to_string(), retry_at_ms: u64::MAX, backoff_ms: 0 });
        self.writer = None;
        self.fail_waiting(&error);
    }

    fn settle(&mut self, clean: bool) -> Result<(), AppendError> {
        if let Some(poison) = &self.poison {
            return Err(AppendError::Failed(poison.reason.clone()));
        }
        let closed = self.sync().and_then(|()| {
            if clean {
                let floor = self.view.tail();
                let slot = Slot { floor, clean: true, ..self.manifest.slot.clone() };
                write_manifest(&self.view.env, &mut self.manifest, slot)?;
            }
            Ok(())
        });
        closed.map_err(|error| AppendError::Failed(error.to_string()))
    }

    /// Makes everything committed durable.
    pub(crate) fn sync_now(&mut self) -> Result<Position, AppendError> {
        if let Some(poison) = &self.poison {
            return Err(AppendError::Failed(poison.reason.clone()));
        }
        if let Err(error) = self.sync() {
            self.poison(&error.to_string(), *REOPEN_MS.start());
            return Err(AppendError::Failed(error.to_string()));
        }
        Ok(self.view.durable())
    }

    fn hold(&mut self, submission: Submission) {
        self.view.queued_bytes.fetch_sub(submission.payload.len(), Ordering::Relaxed);
        self.held.push_back(submission);
    }

    fn next(&mut self) -> Option<Submission> {
        if self.held.is_empty() {
            loop {
                match self.queue.try_recv() {
                    Ok(Message::Batch(submission)) => break self.hold(submission),
                    Ok(Message::Wake) => {}
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
        }
        self.held.pop_front()
    }

    /// Takes what waits, as much as one group and the segment hold; begins another segment when not even one batch fits.
    fn gather(&mut self) -> Result<(), Stop> {
        let max_bytes = self.view.env.options.max_group_bytes as u64;
        let mut bytes = 0;
        while let Some(next) = self.next() {
            let more = Writer::frame_bytes(next.payload.len());
            if bytes > 0 && bytes + more > max_bytes {
                self.held.push_front(next);
                break;
            }
            if self.writer.as_ref().is_none_or(|writer| writer.room() < bytes + more) {
                self.held.push_front(next);
                if bytes > 0 {
                    break;
                }
                self.rotate()?;
                continue;
            }
            bytes += more;
            self.group.push(next);
        }
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.group.is_empty()) else { return Ok(()) };
        let sync_mode = self.view.env.options.sync;
        let (mut position, durable) = (writer.end(), self.view.durable());
        writer.begin();
        for batch in &self.group {
            writer.add(&NewFrame {
                kind: batch.kind,
                payload: &batch.payload,
                payload_crc: batch.payload_crc,
                records: batch.records,
                time: batch.time,
                durable,
                epoch: self.manifest.slot.epoch,
            });
        }
        writer.write()?;
        if sync_mode == SyncMode::Always {
            timed_sync(&self.view.groups, writer)?;
        }
        self.view.groups.batches.observe(self.group.len() as u64);
        self.view.groups.bytes.observe(self.group.iter().map(|batch| batch.payload.len() as u64).sum());
        writer.publish();
        let tail = writer.end();
        self.view.set_tail(tail);
        match sync_mode {
            SyncMode::Always => self.view.set_durable(tail),
            SyncMode::Interval(interval) => {
                let due = self.now_ms() + interval.as_millis() as u64;
                self.sync_due_ms.get_or_insert(due);
            }
        }
        let mut committed = Vec::with_capacity(self.group.len());
        for Submission { kind, payload, records, time, ticket, .. } in self.group.drain(..) {
            let batch = StoredBatch { kind, position, records, time, payload: Payload::Memory(payload) };
            position = batch.end();
            committed.push(Committed { batch, ticket });
        }
        if let Some(follower) = &mut self.follower {
            follower.committed(committed);
        }
        Ok(())
    }

    fn sync_when_due(&mut self) -> io::Result<()> {
        let wanted = self.view.sync_wanted.swap(false, Ordering::AcqRel);
        if wanted || self.sync_due_ms.is_some_and(|due| due <= self.now_ms()) {
            self.sync()?;
            self.view.wake();
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(writer) = self.writer.as_ref().filter(|_| self.view.durable() < self.view.tail()) {
            timed_sync(&self.view.groups, writer)?;
            self.view.set_durable(self.view.tail());
        }
        self.sync_due_ms = None;
        Ok(())
    }

    /// Seals the active segment and begins the next one, if there is space for that; otherwise nothing changes.
    fn rotate(&mut self) -> Result<(), Stop> {
        let view = self.view.clone();
        let env = &view.env;
        env.prepared.ensure_spare(&|| false).map_err(full_or_failed)?;
        if self.writer.is_some() {
            // A footer is evidence that all frames before it are durable.
            self.sync()?;
        }
        if let Some(writer) = self.writer.take() {
            let entry = writer.seal()?;
            let mut slot = self.manifest.slot.clone();
            slot.segments.push(entry);
            slot.floor = entry.end;
            write_manifest(env, &mut self.manifest, slot)?;
            let mut table = Table::clone(&view.table());
            table.sealed.push(Arc::new(Sealed { file: writer.active.file.clone(), entry }));
            table.active = no_segment(env, &self.manifest.slot, entry.end);
            view.set_table(table);
        }
        let writer = begin_segment(env, &self.manifest.slot, view.tail())?;
        let mut table = Table::clone(&view.table());
        table.active = writer.active.clone();
        view.set_table(table);
        self.writer = Some(writer);
        // When it is full already, somebody is on it.
        let _ = view.nudge.try_send(());
        Ok(())
    }

    /// What holds the directory, to be kept while files in it are changed.
    ///
    /// # Errors
    /// `Closed` when the log is, `Failed` while it is poisoned.
    pub(crate) fn hold_directory(&self) -> Result<Arc<dyn Send + Sync>, RewriteError> {
        if let Some(poison) = &self.poison {
            return Err(RewriteError::Failed(poison.reason.clone()));
        }
        self.lock.clone().ok_or(RewriteError::Closed)
    }

    /// Seals the active segment and begins the next one; whether there was a batch in it.
    pub(crate) fn seal_active(&mut self) -> Result<bool, RewriteError> {
        self.hold_directory()?;
        if self.writer.as_ref().is_none_or(|writer| writer.end() == writer.active.file.first) {
            return Ok(false);
        }
        match self.rotate() {
            Ok(()) => Ok(true),
            Err(Stop::Full) => Err(RewriteError::DiskFull),
            Err(Stop::Failed(error)) => Err(self.fail(&error)),
        }
    }

    /// Changes the list of sealed segments, durably, and what readers see. Only one slot of the manifest says so yet:
    /// call [`confirm`](Self::confirm) before a file is removed.
    pub(crate) fn relist(
        &mut self,
        change: impl FnOnce(&mut Slot) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        self.hold_directory()?;
        let mut slot = self.manifest.slot.clone();
        change(&mut slot)?;
        let view = self.view.clone();
        if let Err(error) = write_manifest(&view.env, &mut self.manifest, slot) {
            return Err(self.fail(&error));
        }
        let before = view.table();
        let sealed = self.manifest.slot.segments.iter().map(|entry| {
            let known = before.sealed_at(entry.first).filter(|known| known.entry == *entry);
            known.cloned().unwrap_or_else(|| {
                let log_id = self.manifest.slot.log_id;
                let file = SegmentFile::new(&view.env.log_dir, log_id, entry.first, entry.generation);
                Arc::new(Sealed { file, entry: *entry })
            })
        });
        view.set_table(Table { sealed: sealed.collect(), active: before.active.clone() });
        Ok(())
    }

    /// Writes the manifest as it is into the other slot: then both name the same files.
    pub(crate) fn confirm(&mut self) -> Result<(), RewriteError> {
        self.hold_directory()?;
        let slot = self.manifest.slot.clone();
        write_manifest(&self.view.env, &mut self.manifest, slot).map_err(|error| self.fail(&error))
    }

    /// What the log is and how often it was started.
    pub(crate) fn identity(&self) -> (uuid::Uuid, u64) {
        (self.manifest.slot.log_id, self.manifest.slot.epoch)
    }

    fn fail(&mut self, error: &io::Error) -> RewriteError {
        self.poison(&error.to_string(), *REOPEN_MS.start());
        RewriteError::Failed(error.to_string())
    }

    fn poison(&mut self, reason: &str, backoff_ms: u64) {
        tracing::error!(reason, backoff_ms, "writing the log failed: it is reopened");
        self.view.set_poisoned(reason);
        self.writer = None;
        self.sync_due_ms = None;
        let retry_at_ms = self.now_ms() + backoff_ms;
        self.poison = Some(Poison { reason: reason.to_owned(), retry_at_ms, backoff_ms });
        self.fail_waiting(&AppendError::Failed(reason.to_owned()));
    }

    /// Opens the log again, as after a crash, and hands on what the follower was not given yet.
    fn reopen(&mut self) {
        let seen = self.view.tail();
        let backoff_ms = self.poison.as_ref().map_or(0, |poison| poison.backoff_ms * 2).min(*REOPEN_MS.end());
        let durable = KnownDurable { log: self.manifest.slot.log_id, below: self.view.durable() };
        let opened = match recover(&self.view.env, Some(durable)) {
            Ok(opened) => opened,
            Err(error) => return self.poison(&error.to_string(), backoff_ms),
        };
        self.manifest = opened.manifest;
        let tail = opened.recovery.tail;
        if tail < seen {
            // Only in interval mode: batches that were handed on, but never synced, are lost. Their positions must not
            // be given away again under the follower; after a restart it begins from its checkpoint.
            let reason = format!(
                "batches {tail}..{seen} were never synced and are lost with a failed sync: restart to go on without them"
            );
            return self.poison(&reason, *REOPEN_MS.end());
        }
        tracing::info!(recovery = %opened.recovery, "the log was reopened");
        for damage in &opened.recovery.damage {
            self.view.report(damage);
        }
        self.view.set_table(opened.table);
        self.view.set_tail(tail);
        self.view.set_durable(tail);
        self.view.close_replaced();
        lock(&self.view.upkeep).doom(opened.strays);
        self.view.sweep();
        self.catch_up(seen, tail);
        self.poison = None;
        self.view.set_reopened(opened.writer.is_none());
        self.writer = opened.writer;
        let _ = self.view.nudge.try_send(());
    }

    fn catch_up(&mut self, from: Position, to: Position) {
        let Some(follower) = &mut self.follower else { return };
        let (mut group, mut bytes) = (Vec::new(), 0);
        for batch in self.view.scan(from..to) {
            // Recovery has just checked these frames and written them once more. If one cannot be read now, the follower
            // learns of it as any reader does: by the damage that is reported.
            let Ok(batch) = batch else { continue };
            bytes += batch.payload.len();
            group.push(Committed { batch, ticket: Box::new(|_| {}) });
            if bytes >= CATCH_UP_BYTES {
                follower.committed(std::mem::take(&mut group));
                bytes = 0;
            }
        }
        if !group.is_empty() {
            follower.committed(group);
        }
    }

    /// Fails the group that was being made and everything that waits.
    fn fail_waiting(&mut self, error: &AppendError) {
        for submission in std::mem::take(&mut self.group) {
            (submission.ticket)(Err(error.clone()));
        }
        while let Some(submission) = self.next() {
            (submission.ticket)(Err(error.clone()));
        }
    }

    fn now_ms(&self) -> u64 {
        self.view.env.clock.monotonic_ms()
    }
}

/// A sync, and how long it took: by the real clock, because nothing depends on it.
fn timed_sync(groups: &Groups, writer: &Writer) -> io::Result<()> {
    let began = Instant::now();
    writer.sync()?;
    groups.sync_micros.observe(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    Ok(())
}

fn full_or_failed(error: io::Error) -> Stop {
    if is_full(&error) { Stop::Full } else { Stop::Failed(error) }
}

/// What everybody is told after the commit thread has panicked.
pub(crate) fn dead() -> AppendError {
    AppendError::Failed("the thread that commits has panicked: restart".to_owned())
}

/// The commit thread: ends when the queue is closed and empty. Should a step panic, it refuses what comes until then.
pub(crate) fn run(committer: &Mutex<Committer>, view: &View, queue: &Receiver<Message>) {
    let finished = std::panic::catch_unwind(AssertUnwindSafe(|| commit_all(committer, view, queue)));
    view.set_finished(finished.unwrap_or_else(|_| {
        tracing::error!("the thread that commits has panicked: the log takes no batches until a restart");
        view.set_dead();
        lock(committer).die();
        while let Ok(message) = queue.recv() {
            if let Message::Batch(submission) = message {
                (submission.ticket)(Err(dead()));
            }
        }
        lock(committer).abandon();
        Err(dead())
    }));
}

fn commit_all(committer: &Mutex<Committer>, view: &View, queue: &Receiver<Message>) -> Result<(), AppendError> {
    let mut due = None;
    loop {
        let first = match due {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due_ms) => {
                let wait = u64::saturating_sub(due_ms, view.env.clock.monotonic_ms());
                queue.recv_timeout(Duration::from_millis(wait))
            }
        };
        let first = match first {
            Ok(first) => Some(first),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut committer = lock(committer);
        committer.step(first);
        due = committer.due_ms();
    }
    lock(committer).finish(view.is_clean_close())
}

/// One step of keeping a spare and the reserve ready; whether it is to be tried again in a moment.
pub(crate) fn prepare_step(view: &View) -> bool {
    // Shutting down does not wait for a whole segment of zeros.
    let closed = || view.health() == crate::Health::Closed;
    let spare = view.env.prepared.ensure_spare(&closed);
    if spare.is_ok() {
        view.set_space();
    }
    match spare.and_then(|()| view.env.prepared.ensure_reserve(&closed)) {
        Ok(()) => false,
        Err(error) => {
            tracing::debug!(%error, "no spare segment yet");
            true
        }
    }
}

/// The thread that prepares segments: ends when the log was dropped.
pub(crate) fn run_preparer(view: &View, nudges: &Receiver<()>) {
    const RETRY: Duration = Duration::from_secs(1);
    loop {
        let nudge = match prepare_step(view) {
            true => nudges.recv_timeout(RETRY),
            false => nudges.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if nudge == Err(RecvTimeoutError::Disconnected) || view.health() == crate::Health::Closed {
            return;
        }
    }
}
