//! Keeping the data directory small: compaction, retention and the bound on the disk, pass by pass.
//!
//! A [pass](Maintenance::pass) knows no thread and reads no clock but the one it was given, so that a simulation can drive
//! it; [`Background`] is the thread around it, which `serve` has.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agenttracer_index::{Index, IndexError};
use agenttracer_model::{Position, Timestamp};
use agenttracer_storage::compaction::{self, Policy, SegmentFacts};
use agenttracer_storage::disk::{Clock, Disk};
use agenttracer_storage::{Damage, Log, ReadError, RewriteError, Rewriting, SegmentedLog, StoredBatch};

/// How often there is a look at what is to be done.
const EVERY: Duration = Duration::from_secs(5);
/// The active segment is sealed when its first batch is older than this part of the time that batches are kept, so that
/// retention, which drops whole segments, comes at most so much late.
const SEAL_AFTER_PART: u64 = 10;
/// So many records a second are a load that compaction gives way to: some thousand runs.
const BUSY_RECORDS_PER_S: f64 = 50_000.0;
/// What it keeps of its rate then.
const SHARE_WHEN_BUSY: f64 = 0.25;
/// How long the thread sleeps in one go to keep to the rate: stopping waits for it.
const NAP: Duration = Duration::from_millis(100);

/// What is to be kept small, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether segments are rewritten in the background.
    pub compact: bool,
    /// How many bytes of old segments a second are read while rewriting; `None` as fast as it goes.
    pub bytes_per_second: Option<u64>,
    /// How long batches are kept, by when the server took them in; `None` for ever.
    pub retain: Option<Duration>,
    /// How many bytes log and index may take; `None` as many as there are.
    pub max_disk_bytes: Option<u64>,
    /// Which segments are rewritten.
    pub policy: Policy,
}

/// What another part of the program wants to be gone from the log.
pub trait Unwanted: Send + Sync + 'static {
    /// The first positions of the batches in `range` that are not to be kept.
    ///
    /// # Errors
    /// A sentence; nothing is rewritten then.
    fn batches(&self, range: Range<Position>) -> Result<BTreeSet<Position>, String>;

    /// Everything below `position` is about to be dropped: what must outlive it is appended again now.
    ///
    /// # Errors
    /// A sentence; nothing is dropped then.
    fn before_drop(&self, position: Position) -> Result<(), String>;

    /// A pass has rewritten all that it wanted to. `pace` is that of the pass.
    ///
    /// # Errors
    /// A sentence; the next pass tries again.
    fn after_pass(&self, pace: &mut dyn FnMut(u64) -> bool) -> Result<(), String>;
}

/// Nothing is unwanted.
pub struct NothingUnwanted;

impl Unwanted for NothingUnwanted {
    fn batches(&self, _: Range<Position>) -> Result<BTreeSet<Position>, String> {
        Ok(BTreeSet::new())
    }

    fn before_drop(&self, _: Position) -> Result<(), String> {
        Ok(())
    }

    fn after_pass(&self, _: &mut dyn FnMut(u64) -> bool) -> Result<(), String> {
        Ok(())
    }
}

/// Why a pass ended early. The log is as it was but for what was done before; the next pass goes on.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// A rewriting failed.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The index could not let expired runs go.
    #[error("the index could not let expired runs go: {0}")]
    Index(#[from] IndexError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The sizes of the files could not be read.
    #[error("reading {dir}: {source}")]
    Disk {
        /// The directory.
        dir: PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
    /// Another part of the program failed.
    #[error("{0}")]
    Unwanted(String),
}

/// What passes have done since the start; read at any time.
#[derive(Debug, Default)]
pub struct Done {
    /// Rewritings.
    pub rewritings: AtomicU64,
    /// Bytes of the segments that were rewritten.
    pub bytes_before: AtomicU64,
    /// Bytes of the segments that took their place.
    pub bytes_after: AtomicU64,
    /// Batches that were not kept.
    pub dropped_batches: AtomicU64,
    /// Segments that were dropped as expired, or because of the bound on the disk.
    pub dropped_segments: AtomicU64,
    /// Their bytes.
    pub dropped_bytes: AtomicU64,
    /// Passes that ended early.
    pub failed_passes: AtomicU64,
    /// Segments that are damaged, and are not rewritten for that.
    pub damaged_segments: AtomicU64,
    /// Bytes that log and index took at the last pass.
    pub disk_bytes: AtomicU64,
    /// Of these, the bytes of segments that are prepared and not written to yet, and of what is kept for a full disk.
    pub prepared_bytes: AtomicU64,
    /// And those of the index.
    pub index_bytes: AtomicU64,
}

/// Decides what to rewrite and to drop, and does it.
pub struct Maintenance {
    log: Arc<SegmentedLog>,
    index: Arc<Index>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    options: Options,
    unwanted: Arc<dyn Unwanted>,
    done: Arc<Done>,
    /// Damaged ranges: tried again after a restart, when somebody may have repaired them.
    damaged: Mutex<BTreeSet<(Position, Position)>>,
}

impl Maintenance {
    /// The maintenance of the log and index in `dir`.
    pub fn new(
        log: Arc<SegmentedLog>,
        index: Arc<Index>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: PathBuf,
        options: Options,
        unwanted: Arc<dyn Unwanted>,
    ) -> Self {
        Self { log, index, disk, clock, dir, options, unwanted, done: Arc::default(), damaged: Mutex::default() }
    }

    /// What was done.
    pub fn done(&self) -> Arc<Done> {
        Arc::clone(&self.done)
    }

    /// Drops what has expired or does not fit on the disk any more, and rewrites what is worth it. `pace` is told of
    /// each piece that was read, may wait, and stops the pass by saying `false`.
    ///
    /// # Errors
    /// See [`MaintenanceError`]; the next pass tries again.
    pub fn pass(&self, pace: &mut dyn FnMut(u64) -> bool) -> Result<(), MaintenanceError> {
        let outcome = self.expire().and_then(|()| self.fit()).and_then(|()| self.compact(pace));
        if outcome.is_err() {
            self.done.failed_passes.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// The ranges that [`compact`](Self::compact) would rewrite, each with the bytes of its files.
    ///
    /// # Errors
    /// As for [`pass`](Self::pass).
    pub fn plan(&self) -> Result<Vec<(Range<Position>, u64)>, MaintenanceError> {
        let facts = self.facts(false)?;
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        let ranges = self.options.policy.plan(&facts).into_iter();
        let sound = ranges.filter(|range| !damaged.contains(&(range.start, range.end)));
        let bytes_of = |range: &Range<Position>| {
            let inside = facts.iter().filter(|segment| segment.first >= range.start && segment.end <= range.end);
            inside.map(|segment| segment.file_bytes).sum()
        };
        Ok(sound.map(|range| (range.clone(), bytes_of(&range))).collect())
    }

    /// Rewrites what is worth it.
    ///
    /// # Errors
    /// As for [`pass`](Self::pass).
    pub fn compact(&self, pace: &mut dyn FnMut(u64) -> bool) -> Result<(), MaintenanceError> {
        if self.options.compact {
            for (range, _) in self.plan()? {
                if !self.rewrite(range, pace)? {
                    return Ok(());
                }
            }
        }
        self.after_pass(pace)
    }

    /// Lets another part of the program remove what it wants to be gone.
    ///
    /// # Errors
    /// As for [`pass`](Self::pass).
    pub fn after_pass(&self, pace: &mut dyn FnMut(u64) -> bool) -> Result<(), MaintenanceError> {
        self.unwanted.after_pass(pace).map_err(MaintenanceError::Unwanted)
    }

    /// Rewrites one range of the [plan](Self::plan); whether to go on. Ranges of one plan may be rewritten side by side.
    ///
    /// # Errors
    /// As for [`pass`](Self::pass).
    pub fn rewrite(&self, range: Range<Position>, pace: &mut dyn FnMut(u64) -> bool) -> Result<bool, MaintenanceError> {
        let unwanted = self.unwanted.batches(range.clone()).map_err(MaintenanceError::Unwanted)?;
        let rewritten = match self.log.rewrite(range.clone(), &mut Without { unwanted: &unwanted, pace }) {
            Ok(rewritten) => rewritten,
            Err(RewriteError::Stopped | RewriteError::Closed) => return Ok(false),
            // It was rewritten by somebody else since it was listed.
            Err(RewriteError::NotSealed(_)) => return Ok(true),
            Err(RewriteError::Damaged(damage)) => {
                tracing::error!(%damage, "a damaged segment is not compacted");
                self.done.damaged_segments.fetch_add(1, Ordering::Relaxed);
                self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert((range.start, range.end));
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        let after = rewritten.segment.entry.file_bytes;
        let done = &self.done;
        done.rewritings.fetch_add(1, Ordering::Relaxed);
        done.bytes_before.fetch_add(rewritten.bytes_before, Ordering::Relaxed);
        done.bytes_after.fetch_add(after, Ordering::Relaxed);
        done.dropped_batches.fetch_add(rewritten.dropped, Ordering::Relaxed);
        let (before, segments, dropped) = (rewritten.bytes_before, rewritten.segments, rewritten.dropped);
        tracing::info!(segments, before, after, dropped, "segments were rewritten");
        Ok(true)
    }

    /// Drops what is older than it may become.
    ///
    /// # Errors
    /// As for [`pass`](Self::pass).
    pub fn expire(&self) -> Result<(), MaintenanceError> {
        let Some(retain) = self.options.retain else { return Ok(()) };
        let retain = u64::try_from(retain.as_micros()).unwrap_or(u64::MAX);
        let before = |micros: u64| {
            let now = self.clock.now().as_micros();
            Timestamp::from_micros(now.saturating_sub(i64::try_from(micros).unwrap_or(i64::MAX)))
        };
        let active = self.log.active();
        if active.end > active.first
            && let Some(Ok(first)) = self.log.scan(active.first..active.end).next()
            && first.time < before(retain / SEAL_AFTER_PART)
        {
            self.seal_active()?;
        }
        match compaction::expired(&self.facts(true)?, before(retain)) {
            Some(position) => self.drop_before(position, "expired"),
            None => Ok(()),
        }
    }

    /// Drops the oldest segments when log and index take more than they may, and holds runs back when that does not help.
    ///
    /// # Errors
    /// As for [`pass`](Self::pass).
    pub fn fit(&self) -> Result<(), MaintenanceError> {
        let used = self.disk_bytes()?;
        self.done.disk_bytes.store(used, Ordering::Relaxed);
        let Some(max) = self.options.max_disk_bytes else { return Ok(()) };
        if used > max {
            if self.log.sealed().is_empty() {
                self.seal_active()?;
            }
            if let Some(position) = compaction::oldest(&self.facts(false)?, used - max) {
                self.drop_before(position, "beyond the bound on the disk")?;
            }
        }
        let used = self.disk_bytes()?;
        self.done.disk_bytes.store(used, Ordering::Relaxed);
        if used > max {
            tracing::warn!(used, max, "nothing older can be dropped: no runs are taken");
        }
        self.log.hold_back(used > max);
        Ok(())
    }

    fn seal_active(&self) -> Result<(), MaintenanceError> {
        match self.log.seal_active() {
            // Without space for another segment, what is sealed already is dropped first.
            Ok(_) | Err(RewriteError::DiskFull) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn drop_before(&self, position: Position, why: &str) -> Result<(), MaintenanceError> {
        self.unwanted.before_drop(position).map_err(MaintenanceError::Unwanted)?;
        self.index.forget_before(position)?;
        let dropped = self.log.drop_before(position)?;
        self.done.dropped_segments.fetch_add(dropped.segments as u64, Ordering::Relaxed);
        self.done.dropped_bytes.fetch_add(dropped.bytes, Ordering::Relaxed);
        tracing::info!(position = position.get(), segments = dropped.segments, bytes = dropped.bytes, why, "dropped");
        Ok(())
    }

    /// What is known about the sealed segments; about their times only when these are asked for.
    fn facts(&self, with_times: bool) -> Result<Vec<SegmentFacts>, MaintenanceError> {
        let fact = |segment: agenttracer_storage::SealedSegment| {
            let entry = segment.entry;
            let latest = match with_times {
                true => {
                    let footer = self.log.footer(&segment)?;
                    (footer.batches > 0).then_some(footer.max_time)
                }
                false => None,
            };
            let unwanted = self.unwanted.batches(entry.first..entry.end).map_err(MaintenanceError::Unwanted)?.len();
            Ok(SegmentFacts {
                first: entry.first,
                end: entry.end,
                file_bytes: entry.file_bytes,
                generation: entry.generation,
                latest,
                unwanted: unwanted as u64,
            })
        };
        self.log.sealed().into_iter().map(fact).collect()
    }

    /// Bytes of all files of log and index.
    fn disk_bytes(&self) -> Result<u64, MaintenanceError> {
        let [log, index] = ["log", "index"].map(|name| {
            let dir = self.dir.join(name);
            self.disk.list(&dir).map_err(|source| MaintenanceError::Disk { dir, source })
        });
        let sum = |files: &[(String, u64)]| files.iter().map(|(_, len)| len).sum::<u64>();
        let (log, index) = (log?, sum(&index?));
        let (prepared, written): (Vec<_>, Vec<_>) =
            log.into_iter().partition(|(name, _)| !name.starts_with(|first: char| first.is_ascii_digit()));
        let prepared = sum(&prepared);
        self.done.prepared_bytes.store(prepared, Ordering::Relaxed);
        self.done.index_bytes.store(index, Ordering::Relaxed);
        Ok(prepared + index + sum(&written))
    }
}

/// A rewriting that leaves out what is unwanted.
struct Without<'a> {
    unwanted: &'a BTreeSet<Position>,
    pace: &'a mut dyn FnMut(u64) -> bool,
}

impl Rewriting for Without<'_> {
    fn keep(&mut self, batch: &StoredBatch) -> bool {
        !self.unwanted.contains(&batch.position)
    }

    fn declare_lost(&mut self, _: &Damage) -> bool {
        // Only a repair does that.
        false
    }

    fn pace(&mut self, bytes: u64) -> bool {
        (self.pace)(bytes)
    }
}

/// The thread that makes a pass every few seconds.
pub struct Background {
    /// Dropped to stop the thread.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(maintenance: Maintenance) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel::<()>(0);
        let rate = maintenance.options.bytes_per_second;
        let body = move || {
            let is_over = |wait: Duration| stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
            while !is_over(EVERY) {
                let (mut pacer, mut last) = (Pacer::new(rate), Instant::now());
                let mut load = LogLoad::new(maintenance.log.tail(), last);
                let outcome = maintenance.pass(&mut |bytes| {
                    let now = Instant::now();
                    let share = if load.is_high(maintenance.log.tail(), now) { SHARE_WHEN_BUSY } else { 1.0 };
                    let mut wait = pacer.spend(bytes, now - last, share);
                    last = now;
                    loop {
                        let nap = wait.min(NAP);
                        if is_over(nap) {
                            return false;
                        }
                        wait -= nap;
                        if wait.is_zero() {
                            return true;
                        }
                    }
                });
                if let Err(error) = outcome {
                    tracing::warn!(%error, "maintenance ended early; it is tried again");
                }
            }
        };
        let thread = std::thread::Builder::new().name("maintenance".to_owned()).spawn(body)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Stops the thread; within a second, unless the disk hangs.
    pub fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the maintenance thread panicked");
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.join();
    }
}

/// Says how long to wait so that no more than so many bytes a second are spent.
struct Pacer {
    bytes_per_second: Option<u64>,
    owed: f64,
}

impl Pacer {
    fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, owed: 0.0 }
    }

    /// Notes that `bytes` were spent, so long after the last ones; how long to wait now, to keep to this share of the rate.
    /// Short waits are put off until there is something to wait for.
    fn spend(&mut self, bytes: u64, passed: Duration, share: f64) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        self.owed = (self.owed - passed.as_secs_f64()).max(0.0) + bytes as f64 / (rate.max(1) as f64 * share);
        if self.owed < 0.005 { Duration::ZERO } else { Duration::from_secs_f64(self.owed) }
    }
}

/// Whether the log takes in so much at the moment that background work should give way.
struct LogLoad {
    tail: Position,
    since: Instant,
    high: bool,
}

impl LogLoad {
    /// Over how long it is measured at the least.
    const WINDOW: Duration = Duration::from_millis(250);

    fn new(tail: Position, now: Instant) -> Self {
        Self { tail, since: now, high: false }
    }

    /// Whether it was high when it was measured last, which is now when that is long enough ago.
    fn is_high(&mut self, tail: Position, now: Instant) -> bool {
        let passed = now - self.since;
        if passed >= Self::WINDOW {
            let records = tail.get().saturating_sub(self.tail.get());
            self.high = records as f64 > BUSY_RECORDS_PER_S * passed.as_secs_f64();
            (self.tail, self.since) = (tail, now);
        }
        self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_high_while_many_records_arrive() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut load = LogLoad::new(Position::new(0), begin);
        // Too soon to tell.
        assert!(!load.is_high(Position::new(1_000_000), at(249)));
        assert!(load.is_high(Position::new(1_000_000), at(1_000)));
        assert!(load.is_high(Position::new(1_000_000), at(1_100)));
        assert!(!load.is_high(Position::new(1_049_000), at(2_000)));
        assert!(load.is_high(Position::new(1_100_000), at(3_000)));
    }

    #[test]
    fn the_pacer_waits_for_what_was_spent_and_not_twice() {
        let ms = Duration::from_millis;
        let mut pacer = Pacer::new(Some(1_000_000));
        assert_eq!(pacer.spend(500_000, ms(0), 1.0), ms(500));
        // A part of it was waited, the rest is still owed.
        assert_eq!(pacer.spend(500_000, ms(250), 1.0), ms(750));
        // Idle time is not saved up.
        assert_eq!(pacer.spend(500_000, ms(60_000), 1.0), ms(500));
        assert_eq!(Pacer::new(Some(1_000_000)).spend(500_000, ms(0), 0.25), ms(2_000));
        assert_eq!(Pacer::new(None).spend(u64::MAX, ms(0), 1.0), ms(0));
        assert_eq!(Pacer::new(Some(1_000_000)).spend(1, ms(0), 1.0), ms(0));
    }
}
