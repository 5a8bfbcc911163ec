//! Keeping a log small while it works: sealed segments are rewritten without what is not needed any more, or dropped.
//!
//! *Format*: the new generation of a range of segments is one file beside the old ones, see `docs/format.md`.
//! *Durability*: it is written and synced under another name, renamed, and the directory synced; then one slot of the
//! manifest names it, then the other; only then the old files are removed. So at any moment every file that a valid slot
//! names is there, whichever of the two is lost.
//! *Recovery*: whatever a crash left that the newest slot does not name is removed at the next start (`crate::recovery`).
//!
//! Readers that have an old file open go on with it. A full disk, a failed read or damage leaves everything as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_model::Position;
use uuid::Uuid;

use crate::format::{Entry, Footer, GapReason, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::recovery::remove_strays;
use crate::segment::{Content, Rewriter, SegmentFile, Source, Span, Step, Table, UNFINISHED, Walker};
use crate::view::{View, is_full, lock};
use crate::{Damage, Log as _, ReadError, SegmentedLog, StoredBatch};

/// How much of an old segment is read in one go.
const AHEAD_BYTES: usize = 1 << 20;

/// Why a log was not made smaller. Everything is as it was before the call.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// No space for the new file; what was written of it was removed.
    #[error("the disk is full")]
    DiskFull,
    /// The range is not made of whole sealed segments; they may have been rewritten since they were listed.
    #[error("positions {}..{} are not those of whole sealed segments", .0.start, .0.end)]
    NotSealed(Range<Position>),
    /// An old segment is damaged, and its damage is not to be declared as lost.
    #[error("damaged: {0}")]
    Damaged(Box<Damage>),
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
    /// The manifest could not be written, or the log is poisoned: it is being reopened. Try again.
    #[error("writing the log failed: {0}")]
    Failed(String),
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
    /// The disk failed; the log itself is well.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

/// Decides what a rewritten segment holds, and how fast it is written.
pub trait Rewriting {
    /// Whether the batch stays.
    fn keep(&mut self, batch: &StoredBatch) -> bool;

    /// Whether the positions of this damage are to be declared as lost, so that the rest can be rewritten. Otherwise the
    /// rewriting ends with [`RewriteError::Damaged`].
    fn declare_lost(&mut self, _damage: &Damage) -> bool {
        false
    }

    /// So many more bytes of the old segments were read. Waits as long as is wanted; `false` stops the rewriting.
    fn pace(&mut self, _bytes: u64) -> bool {
        true
    }
}

/// A sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// The file. It may be rewritten and removed at any time, unless it is [pinned](SegmentedLog::pin).
    pub file: PathBuf,
    /// What the manifest says about it.
    pub entry: Entry,
}

/// What a rewriting did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The new segment.
    pub segment: SealedSegment,
    /// How many segments it took the place of.
    pub segments: usize,
    /// Bytes of their files.
    pub bytes_before: u64,
    /// Batches that stayed.
    pub kept: u64,
    /// Batches that did not.
    pub dropped: u64,
    /// Positions that were declared as lost.
    pub lost: u64,
}

/// What was dropped from the beginning of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many segments.
    pub segments: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

/// The files of a log as they were at one moment: they stay on disk as long as this is held.
pub struct Pin {
    view: Arc<View>,
    number: u64,
    /// Names the log.
    pub log_id: Uuid,
    /// How often it was started.
    pub epoch: u64,
    /// The first position.
    pub start: Position,
    /// The sealed segments, in order and without a gap from `start` on.
    pub sealed: Vec<SealedSegment>,
    /// What is committed behind them.
    pub active: ActivePart,
}

/// The part of the active segment that is committed, and durable in `SyncMode::Always`; call `sync` before otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivePart {
    /// The file. It grows, and it may be sealed: what stands below `bytes` stays as it is all the same.
    pub file: PathBuf,
    /// The position of its first record.
    pub first: Position,
    /// The position after the last committed record.
    pub end: Position,
    /// Where the committed frames end in the file.
    pub bytes: u64,
}

/// What must not be removed yet, and what is to be removed.
#[derive(Default)]
pub(crate) struct Upkeep {
    /// New generations that are being written.
    writing: BTreeSet<PathBuf>,
    pins: BTreeMap<u64, BTreeSet<PathBuf>>,
    next_pin: u64,
    /// No slot of the manifest names these any more.
    doomed: BTreeSet<PathBuf>,
    /// New generations that the manifest may name or not: writing it failed, and the reopening tells.
    doubtful: BTreeMap<PathBuf, Position>,
}

impl Upkeep {
    /// These files are to be removed, but for those that are being written.
    pub(crate) fn doom(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let writing = &self.writing;
        self.doomed.extend(files.into_iter().filter(|file| !writing.contains(file)));
    }
}

impl View {
    /// Removes the files that are doomed and not pinned. What cannot be removed now is tried again the next time.
    pub(crate) fn sweep(&self) {
        let mut upkeep = lock(&self.upkeep);
        let Upkeep { pins, doomed, doubtful, .. } = &mut *upkeep;
        if !matches!(self.health(), crate::Health::Poisoned(_)) {
            let table = self.table();
            let named = |file: &Path, first| table.sealed_at(first).is_some_and(|sealed| sealed.file.path == *file);
            doomed.extend(
                std::mem::take(doubtful).into_iter().filter(|(file, first)| !named(file, *first)).map(|(file, _)| file),
            );
        }
        let free = doomed.iter().filter(|file| !pins.values().any(|pinned| pinned.contains(*file)));
        let free: Vec<_> = free.cloned().collect();
        if free.is_empty() {
            return;
        }
        match remove_strays(&self.env, &free) {
            Ok(()) => doomed.retain(|file| !free.contains(file)),
            Err(error) => tracing::warn!(%error, "old segments could not be removed; it is tried again"),
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        lock(&self.view.upkeep).pins.remove(&self.number);
        // After the log was closed the directory may be somebody else's; the next start removes what is left.
        if self.view.health() != crate::Health::Closed {
            self.view.sweep();
        }
    }
}

impl SegmentedLog {
    /// The sealed segments of this moment, in order.
    pub fn sealed(&self) -> Vec<SealedSegment> {
        sealed(&self.view.table())
    }

    /// What the footer of a sealed segment says: times, counts, the dictionary.
    ///
    /// # Errors
    /// `Gone` when the segment was rewritten since it was listed, `Io` when the disk fails.
    pub fn footer(&self, segment: &SealedSegment) -> Result<Footer, ReadError> {
        let table = self.view.table();
        let position = segment.entry.first;
        match table.sealed_at(position).filter(|sealed| sealed.entry == segment.entry) {
            Some(sealed) => Ok(self.view.open(sealed)?.footer.clone()),
            None => Err(ReadError::Gone { position, reason: GapReason::Dropped }),
        }
    }

    /// Bytes of the active segment's file that have batches, and the position after the last of them.
    pub fn active(&self) -> ActivePart {
        active(&self.view.table())
    }

    /// Keeps the files of this moment on disk until the pin is dropped. What compaction replaces meanwhile takes space in
    /// addition.
    ///
    /// # Errors
    /// `Closed`, or `Failed` while the log is poisoned.
    pub fn pin(&self) -> Result<Pin, RewriteError> {
        let committer = lock(&self.committer);
        committer.hold_directory()?;
        let (log_id, epoch) = committer.identity();
        let mut upkeep = lock(&self.view.upkeep);
        // Taken under the lock of what is doomed: either this table names a file, or the file is doomed after the pin is known.
        let table = self.view.table();
        let (sealed, active) = (sealed(&table), active(&table));
        let number = upkeep.next_pin;
        upkeep.next_pin += 1;
        let files = sealed.iter().map(|segment| segment.file.clone()).chain([active.file.clone()]).collect();
        upkeep.pins.insert(number, files);
        Ok(Pin { view: self.view.clone(), number, log_id, epoch, start: table.start(), sealed, active })
    }

    /// Seals the active segment now, so that its batches can be rewritten; whether there was a batch in it. Appends wait
    /// meanwhile, for some ms when a spare segment is ready.
    ///
    /// # Errors
    /// `DiskFull` when there is no space for another segment: then nothing has changed. `Failed`, `Closed`.
    pub fn seal_active(&self) -> Result<bool, RewriteError> {
        // Not under the committer's lock: filling a whole segment with zeros takes long.
        match self.view.env.prepared.ensure_spare(&|| self.view.health() == crate::Health::Closed) {
            Ok(()) => {}
            Err(error) if is_full(&error) => return Err(RewriteError::DiskFull),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(RewriteError::Closed),
            Err(source) => return Err(self.io(self.view.env.log_dir.join("spare"), source)),
        }
        let sealed = lock(&self.committer).seal_active();
        self.after(sealed)
    }

    /// Rewrites the sealed segments of the positions `range` into one, without the batches that `rewriting` does not keep.
    /// Positions stay; what is gone is declared. Calls for ranges that do not touch may run side by side.
    ///
    /// # Errors
    /// See [`RewriteError`]; nothing has changed then, as far as readers and the next start are concerned.
    pub fn rewrite(&self, range: Range<Position>, rewriting: &mut dyn Rewriting) -> Result<Rewritten, RewriteError> {
        // Held to the end: nobody else may have the directory before.
        let _directory = lock(&self.committer).hold_directory()?;
        self.view.sweep();
        let old = self.tiles(&range)?;
        let (Some(first), Some(last)) = (old.first(), old.last()) else { return Err(RewriteError::NotSealed(range)) };
        let (id, first) = (last.entry.id, first.entry.first);
        let generation = 1 + old.iter().map(|segment| segment.entry.generation).max().unwrap_or(1);
        let file = SegmentFile::new(&self.view.env.log_dir, self.id(), first, generation);
        let unfinished = file.path.with_extension(UNFINISHED.trim_start_matches('.'));
        {
            let mut upkeep = lock(&self.view.upkeep);
            if !upkeep.writing.insert(unfinished.clone()) {
                return Err(RewriteError::NotSealed(range));
            }
            upkeep.writing.insert(file.path.clone());
            // What an earlier attempt of this name left is written over.
            upkeep.doomed.remove(&unfinished);
            upkeep.doomed.remove(&file.path);
        }
        let mut work = Work { log: self, old: &old, rewriting, kept: 0, dropped: 0, lost: 0 };
        let mut written = work.write(&file, &unfinished, id, generation);
        if matches!(written, Err(RewriteError::DiskFull)) && self.view.env.prepared.release_reserve().unwrap_or(false) {
            // What the reserve is for: a log that is made smaller gives back more than it takes.
            work = Work { kept: 0, dropped: 0, lost: 0, ..work };
            written = work.write(&file, &unfinished, id, generation);
        }
        let replaced = written.and_then(|entry| {
            self.replace(&old, entry)?;
            Ok(entry)
        });
        let Work { kept, dropped, lost, .. } = work;
        {
            let mut upkeep = lock(&self.view.upkeep);
            upkeep.writing.remove(&unfinished);
            upkeep.writing.remove(&file.path);
            match &replaced {
                Ok(_) => upkeep.doom(old.iter().map(|segment| segment.file.clone())),
                Err(RewriteError::Failed(_)) => drop(upkeep.doubtful.insert(file.path.clone(), first)),
                Err(_) => upkeep.doom([unfinished, file.path.clone()]),
            }
        }
        self.view.sweep();
        let entry = replaced?;
        let segment = SealedSegment { file: file.path, entry };
        let bytes_before = old.iter().map(|segment| segment.entry.file_bytes).sum();
        Ok(Rewritten { segment, segments: old.len(), bytes_before, kept, dropped, lost })
    }

    /// Drops the sealed segments whose positions all lie below `position`. Whatever is derived from them must have let them
    /// go before.
    ///
    /// # Errors
    /// `Failed`, `Closed`; nothing has changed then, or after a reopening everything.
    pub fn drop_before(&self, position: Position) -> Result<Dropped, RewriteError> {
        let _directory = lock(&self.committer).hold_directory()?;
        let old: Vec<_> = self.sealed().into_iter().take_while(|segment| segment.entry.end <= position).collect();
        let Some(last) = old.last() else { return Ok(Dropped::default()) };
        let start = last.entry.end;
        let relisted = lock(&self.committer).relist(|slot| {
            // Rewritten meanwhile, they may reach further; then they stay until the next time.
            slot.start = slot
                .segments
                .iter()
                .map(|entry| entry.end)
                .take_while(|end| *end <= start)
                .last()
                .unwrap_or(slot.start);
            let start = slot.start;
            slot.segments.retain(|entry| entry.first >= start);
            Ok(())
        });
        self.after(relisted)?;
        let confirmed = lock(&self.committer).confirm();
        self.after(confirmed)?;
        self.view.close_replaced();
        let table = self.view.table();
        let gone: Vec<_> = old.into_iter().filter(|segment| segment.entry.end <= table.start()).collect();
        let dropped =
            Dropped { segments: gone.len(), bytes: gone.iter().map(|segment| segment.entry.file_bytes).sum() };
        lock(&self.view.upkeep).doom(gone.into_iter().map(|segment| segment.file));
        self.view.sweep();
        Ok(dropped)
    }

    /// The sealed segments that make up `range`.
    fn tiles(&self, range: &Range<Position>) -> Result<Vec<SealedSegment>, RewriteError> {
        let inside = |segment: &SealedSegment| segment.entry.first >= range.start && segment.entry.end <= range.end;
        let old: Vec<_> = self.sealed().into_iter().filter(inside).collect();
        let covers = old.first().map(|segment| segment.entry.first) == Some(range.start)
            && old.last().map(|segment| segment.entry.end) == Some(range.end);
        if covers { Ok(old) } else { Err(RewriteError::NotSealed(range.clone())) }
    }

    /// Lets the manifest and the readers know the new segment instead of the old ones.
    fn replace(&self, old: &[SealedSegment], entry: Entry) -> Result<(), RewriteError> {
        let relisted = lock(&self.committer).relist(|slot| {
            let at = slot.segments.iter().position(|listed| *listed == old[0].entry);
            let at = at
                .filter(|at| slot.segments[*at..].iter().take(old.len()).eq(old.iter().map(|segment| &segment.entry)));
            let Some(at) = at else { return Err(RewriteError::NotSealed(entry.first..entry.end)) };
            slot.segments.splice(at..at + old.len(), [entry]);
            Ok(())
        });
        self.after(relisted)?;
        // A group may be committed between the two.
        let confirmed = lock(&self.committer).confirm();
        self.after(confirmed)?;
        self.view.close_replaced();
        Ok(())
    }

    /// Sees to it that the commit thread reopens the log when it was poisoned here.
    fn after<T>(&self, outcome: Result<T, RewriteError>) -> Result<T, RewriteError> {
        if let Err(RewriteError::Failed(_)) = &outcome {
            self.wake();
        }
        outcome
    }

    fn io(&self, file: PathBuf, source: io::Error) -> RewriteError {
        if is_full(&source) { RewriteError::DiskFull } else { RewriteError::Io { file, source } }
    }
}

/// One rewriting.
struct Work<'a> {
    log: &'a SegmentedLog,
    old: &'a [SealedSegment],
    rewriting: &'a mut dyn Rewriting,
    kept: u64,
    dropped: u64,
    lost: u64,
}

impl Work<'_> {
    /// Writes the new file, durably with its name.
    fn write(
        &mut self,
        file: &SegmentFile,
        unfinished: &Path,
        id: u64,
        generation: u32,
    ) -> Result<Entry, RewriteError> {
        let env = &self.log.view.env;
        let failed = |source| self.log.io(unfinished.to_owned(), source);
        let handle = (|| {
            if env.disk.exists(unfinished)? {
                env.disk.remove(unfinished)?;
            }
            env.disk.create(unfinished)
        })()
        .map_err(failed)?;
        let epoch = lock(&self.log.committer).identity().1;
        let (log_id, first) = (self.log.id(), file.first);
        let header =
            SegmentHeader { log_id, id, first, epoch, created_at: env.clock.now(), generation, columns: false };
        let mut rewriter = Rewriter::new(file.clone(), handle, &header);
        for segment in self.old {
            self.copy(segment, &mut rewriter, unfinished)?;
        }
        let end = self.old.last().map_or(first, |segment| segment.entry.end);
        let failed = |source| self.log.io(unfinished.to_owned(), source);
        let entry = rewriter.finish(end).map_err(failed)?;
        env.disk.rename(unfinished, &file.path).and_then(|()| env.disk.sync_dir(&env.log_dir)).map_err(failed)?;
        Ok(entry)
    }

    /// Copies what stays of one old segment.
    fn copy(
        &mut self,
        segment: &SealedSegment,
        rewriter: &mut Rewriter,
        unfinished: &Path,
    ) -> Result<(), RewriteError> {
        let (entry, view) = (&segment.entry, &self.log.view);
        let table = view.table();
        let sealed = table.sealed_at(entry.first).filter(|sealed| sealed.entry == *entry);
        let sealed = sealed.ok_or(RewriteError::NotSealed(entry.first..entry.end))?;
        let open = view.open(sealed).map_err(|error| match error {
            ReadError::Io { file, source } => RewriteError::Io { file, source },
            _ => RewriteError::NotSealed(entry.first..entry.end),
        })?;
        let span = Span {
            offset: SEGMENT_HEADER_BYTES,
            limit: open.limit,
            first: entry.first,
            end: Some(entry.end),
            chain: None,
        };
        let mut walker = Walker::new(open.file.clone(), Source::file(open.handle.clone(), AHEAD_BYTES), span);
        let unread = |source| RewriteError::Io { file: open.file.path.clone(), source };
        let unwritten = |source| self.log.io(unfinished.to_owned(), source);
        let mut paid = SEGMENT_HEADER_BYTES;
        while let Some(step) = walker.step().map_err(unread)? {
            let damage = match step {
                Step::Damage(damage) => Some(damage),
                Step::Frame(frame) => {
                    let end = frame.bytes().end;
                    if !self.rewriting.pace(end.saturating_sub(paid)) {
                        return Err(RewriteError::Stopped);
                    }
                    paid = paid.max(end);
                    match walker.content(&frame).map_err(unread)? {
                        Ok(Content::Gap(GapReason::Lost)) => {
                            rewriter.declare(frame.header.first, GapReason::Dropped).map_err(unwritten)?;
                            rewriter.declare(frame.header.end(), GapReason::Lost).map_err(unwritten)?;
                            None
                        }
                        Ok(content) => {
                            for batch in content.batches() {
                                if self.rewriting.keep(&batch) {
                                    self.kept += 1;
                                    rewriter.keep(&batch).map_err(unwritten)?;
                                } else {
                                    self.dropped += 1;
                                }
                            }
                            None
                        }
                        Err(damage) => Some(damage),
                    }
                }
            };
            let Some(damage) = damage else { continue };
            view.report(&damage);
            if !self.rewriting.declare_lost(&damage) {
                return Err(RewriteError::Damaged(Box::new(damage)));
            }
            let Range { start, end } = damage.positions;
            if end > start {
                rewriter.declare(start.max(rewriter.next()), GapReason::Dropped).map_err(unwritten)?;
                self.lost += end.get().saturating_sub(rewriter.next().get());
                rewriter.declare(end, GapReason::Lost).map_err(unwritten)?;
            }
        }
        if !self.rewriting.pace(entry.file_bytes.saturating_sub(paid)) {
            return Err(RewriteError::Stopped);
        }
        Ok(())
    }
}

fn sealed(table: &Table) -> Vec<SealedSegment> {
    let segment =
        |sealed: &Arc<crate::segment::Sealed>| SealedSegment { file: sealed.file.path.clone(), entry: sealed.entry };
    table.sealed.iter().map(segment).collect()
}

fn active(table: &Table) -> ActivePart {
    let (_, bytes, end) = table.active.near(Position::new(u64::MAX));
    ActivePart { file: table.active.file.path.clone(), first: table.active.file.first, end, bytes }
}
