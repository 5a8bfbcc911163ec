//! Repairing a damaged log, offline: every batch that can be read keeps its position, and what cannot is declared as lost.
//!
//! *Format*: damaged segments are rewritten into their next generation (`crate::segment::Rewriter`), with gaps of reason 2 where
//! batches are lost. Before that the damaged bytes are copied into `quarantine/`, with a note beside each.
//! *Durability*: first the quarantine, then the new files, then both slots of the manifest. No segment is changed, and none that
//! holds a batch is removed: the next start removes those that others took the place of, as after a compaction.
//! *Recovery*: each step can be repeated, and a repair that was cut off is told by a file and begins anew.

mod quarantine;
mod tolerant;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_model::Position;
use uuid::Uuid;

use crate::backup;
use crate::disk::{Clock, Disk};
use crate::format::{BadHeader, Entry, GapReason, SEGMENT_HEADER_BYTES, SegmentHeader, Slot};
use crate::manifest::Manifest;
use crate::recovery::{Listing, at, read_header, scan, tell_apart};
use crate::segment::{Content, Rewriter, SegmentFile, Source, Span, Step, Walker, load_footer, read_footer};
use crate::verify::damage_of_segment;
use crate::{Damage, KnownDurable, OpenError};

use quarantine::Quarantine;
pub use quarantine::{QuarantinedBytes, known_loss, quarantined, remove_quarantined};
use tolerant::TolerantDisk;

/// Stands in a data directory from before a repair changes anything until after the last change.
const UNFINISHED: &str = "REPAIRING";
/// How much is read in one go.
const AHEAD_BYTES: usize = 1 << 20;

/// A log that was looked at for repair. The directory is locked as long as this is held; nothing was changed yet.
pub struct Repair {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log_dir: PathBuf,
    _lock: Box<dyn Send + Sync>,
    /// The newest valid slot, unless there is none.
    manifest: Option<Manifest>,
    /// What the manifest says, or would say if it were there.
    slot: Slot,
    plan: Vec<Planned>,
    /// Damaged files without a batch, whose bytes go into the quarantine.
    empty: Vec<PathBuf>,
    interrupted: bool,
    /// What is damaged or missing.
    pub damage: Vec<Damage>,
    /// The positions that will be declared as lost.
    pub lost: Vec<Range<Position>>,
}

/// What becomes of a sealed segment.
enum Planned {
    /// It is whole.
    Keep(Entry),
    /// It is written anew from what can be read of `source`, a file and the length of its frames.
    Rewrite { id: u64, positions: Range<Position>, generation: u32, source: Option<(SegmentFile, u64)> },
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The segments that it wrote.
    pub segments: Vec<PathBuf>,
    /// What it put into quarantine: bytes, and a note for each damaged place.
    pub quarantined: Vec<PathBuf>,
}

/// Whether a repair of `dir` was begun and did not come to its end.
pub(crate) fn refuse_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    match disk.exists(&dir.join(UNFINISHED)).map_err(at(dir))? {
        true => Err(OpenError::Unfinished { dir: dir.to_owned(), what: "repair" }),
        false => Ok(()),
    }
}

impl Repair {
    /// Looks at every byte of the log in `dir` and finds out what a repair would do; changes nothing. `known_durable` is what
    /// the index has committed: so much the log had.
    ///
    /// # Errors
    /// `Locked` while a server has the directory, `NewerFormat`, `Unfinished` when a restore was cut off, `Damaged` when no file says
    /// which log this is, `Io` for what is not a bad sector.
    pub fn examine(disk: Arc<dyn Disk>, dir: &Path, known_durable: Option<KnownDurable>) -> Result<Self, OpenError> {
        let lock_file = dir.join("LOCK");
        let lock = disk.lock(&lock_file).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked(dir.to_owned()),
            _ => OpenError::Io { file: lock_file, source },
        })?;
        backup::refuse_unfinished(&*disk, dir)?;
        let interrupted = disk.exists(&dir.join(UNFINISHED)).map_err(at(dir))?;
        let disk: Arc<dyn Disk> = Arc::new(TolerantDisk::new(disk));
        let log_dir = dir.join("log");
        let found = Manifest::read(&*disk, dir)?;
        let Listing { mut files, .. } = match disk.exists(&log_dir).map_err(at(&log_dir))? {
            true => Listing::read(&*disk, &log_dir)?,
            false => Listing::default(),
        };
        let mut damage = Vec::new();
        let slot = match &found.manifest {
            Some(manifest) => manifest.slot.clone(),
            None => {
                let missing = Damage {
                    file: dir.join("manifest.a"),
                    offsets: 0..0,
                    positions: Position::ZERO..Position::ZERO,
                    what: "the manifest is missing".to_owned(),
                };
                damage.extend(found.bad.into_iter().filter(|slot| slot.offsets.end > 0));
                if files.is_empty() && known_durable.is_none_or(|known| known.below == Position::ZERO) {
                    // A log that is yet to be made.
                    damage.clear();
                } else if damage.is_empty() {
                    damage.push(missing);
                }
                slot_of_files(&*disk, &log_dir, &files, known_durable, damage.first())?
            }
        };
        let mut repair = Self {
            disk,
            dir: dir.to_owned(),
            log_dir,
            _lock: lock,
            manifest: found.manifest,
            slot,
            plan: Vec::new(),
            empty: Vec::new(),
            interrupted,
            damage,
            lost: Vec::new(),
        };
        for entry in repair.slot.segments.clone() {
            let bytes = files.remove(&(entry.first, entry.generation));
            repair.sealed(entry, bytes)?;
        }
        let told =
            known_durable.filter(|known| known.log == repair.slot.log_id).map_or(Position::ZERO, |known| known.below);
        let known = told.max(repair.slot.floor);
        let (unlisted, _) = tell_apart(files, repair.slot.sealed_end());
        repair.unlisted(&unlisted, known)?;
        Ok(repair)
    }

    /// The log.
    pub fn log_id(&self) -> Uuid {
        self.slot.log_id
    }

    /// Whether there is anything to be done.
    pub fn is_needed(&self) -> bool {
        self.interrupted || !self.damage.is_empty()
    }

    /// Whether the manifest is made anew from the segments.
    pub fn makes_manifest(&self) -> bool {
        self.manifest.is_none()
    }

    /// The segments that will be written.
    pub fn segments(&self) -> Vec<PathBuf> {
        let rewritten = self.plan.iter().filter_map(|planned| match planned {
            Planned::Keep(_) => None,
            Planned::Rewrite { positions, generation, .. } => Some(self.file(positions.start, *generation).path),
        });
        rewritten.collect()
    }

    /// Repairs. `forget_index` must remove what is derived from the log: it is called when batches were lost, once the log
    /// says so.
    ///
    /// # Errors
    /// When the disk fails or is full; call it again then, after another [`examine`](Self::examine).
    pub fn apply(
        mut self,
        clock: &dyn Clock,
        forget_index: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<Repaired, OpenError> {
        if !self.is_needed() {
            return Ok(Repaired::default());
        }
        let marker = self.dir.join(UNFINISHED);
        let mark = || -> io::Result<()> {
            if !self.disk.exists(&marker)? {
                self.disk.create(&marker)?.sync_data()?;
            }
            self.disk.sync_dir(&self.dir)
        };
        mark().map_err(at(&marker))?;
        let quarantine =
            Quarantine { disk: &*self.disk, dir: self.dir.join(quarantine::DIR), log_id: self.slot.log_id };
        let quarantined = quarantine.take(&self.damage, clock.now())?;

        let mut entries = Vec::with_capacity(self.plan.len());
        let mut segments = Vec::new();
        for planned in &self.plan {
            entries.push(match planned {
                Planned::Keep(entry) => *entry,
                Planned::Rewrite { id, positions, generation, source } => {
                    let (path, entry) = self.rewrite(*id, positions, *generation, source.as_ref(), clock)?;
                    segments.push(path);
                    entry
                }
            });
        }
        self.disk.sync_dir(&self.log_dir).map_err(at(&self.log_dir))?;
        let end = entries.last().map_or(self.slot.start, |entry| entry.end);
        let slot = Slot { floor: self.slot.floor.max(end), clean: false, segments: entries, ..self.slot.clone() };
        let manifest = self.manifest.take();
        let write = || -> io::Result<()> {
            let mut manifest = match manifest {
                Some(manifest) => {
                    manifest.confirm(&*self.disk, &self.dir)?;
                    manifest
                }
                None => Manifest::create(&*self.disk, &self.dir, slot.clone())?,
            };
            // Twice: no slot names a file any more that others took the place of.
            manifest.write(&*self.disk, slot.clone())?;
            manifest.write(&*self.disk, slot)?;
            for path in &self.empty {
                self.disk.remove(path)?;
            }
            self.disk.sync_dir(&self.log_dir)
        };
        write().map_err(at(&self.dir))?;
        if self.interrupted || !self.lost.is_empty() || !self.empty.is_empty() {
            forget_index().map_err(at(&self.dir))?;
        }
        self.disk.remove(&marker).and_then(|()| self.disk.sync_dir(&self.dir)).map_err(at(&marker))?;
        Ok(Repaired { segments, quarantined })
    }

    fn file(&self, first: Position, generation: u32) -> SegmentFile {
        SegmentFile::new(&self.log_dir, self.slot.log_id, first, generation)
    }

    /// Plans what becomes of a segment that is sealed.
    fn sealed(&mut self, entry: Entry, bytes: Option<u64>) -> Result<(), OpenError> {
        let file = self.file(entry.first, entry.generation);
        let positions = entry.first..entry.end;
        let (mut found, source) = match bytes {
            None => {
                let what = "the manifest lists this segment, but the file is missing".to_owned();
                (vec![Damage { file: file.path, offsets: 0..0, positions: positions.clone(), what }], None)
            }
            Some(bytes) => {
                let mut found = damage_of_segment(&*self.disk, &file.path, self.slot.log_id, &entry)?;
                if bytes != entry.file_bytes {
                    let offsets = bytes.min(entry.file_bytes)..bytes.max(entry.file_bytes);
                    let what = format!("the file has {bytes} bytes, the manifest says {}", entry.file_bytes);
                    found.push(Damage { file: file.path.clone(), offsets, positions: entry.end..entry.end, what });
                }
                let handle = self.disk.open_read(&file.path).map_err(at(&file.path))?;
                let footer = load_footer(&*handle, &file, &entry).map_err(at(&file.path))?;
                let limit = footer.map_or(bytes.min(entry.file_bytes), |(_, limit)| limit);
                (found, Some((file, limit)))
            }
        };
        if found.is_empty() {
            self.plan.push(Planned::Keep(entry));
            return Ok(());
        }
        self.damage.append(&mut found);
        self.plan_rewrite(entry.id, positions, entry.generation + 1, source)
    }

    /// Plans what becomes of the segments that the manifest does not list: sealed ones, and the active one.
    fn unlisted(&mut self, files: &BTreeMap<Position, u64>, known: Position) -> Result<(), OpenError> {
        let mut expected = self.slot.sealed_end();
        let mut has_active = false;
        for (index, (first, bytes)) in files.iter().enumerate() {
            if *first > expected {
                self.missing(expected..*first)?;
            }
            let next = files.keys().nth(index + 1).copied();
            let file = self.file(*first, 1);
            let handle = self.disk.open_read(&file.path).map_err(at(&file.path))?;
            if let Ok((footer, _)) = read_footer(&*handle, &file, *bytes).map_err(at(&file.path))?
                && footer.first == *first
                && footer.end > *first
                && next.is_none_or(|next| footer.end == next)
            {
                let (id, end, chain) = (self.next_id(), footer.end, footer.chain);
                let entry = Entry { id, first: *first, end, file_bytes: *bytes, generation: 1, chain };
                self.sealed(entry, Some(*bytes))?;
                expected = end;
                continue;
            }
            let header = read_header(&*handle, &file, self.slot.log_id)?;
            if next.is_none() && header.is_ok() {
                match scan(handle, &file, *bytes, known) {
                    Ok(_) => {
                        has_active = true;
                        break;
                    }
                    Err(OpenError::Damaged(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if let Err(what) = header {
                let (offsets, what) = (0..SEGMENT_HEADER_BYTES, what.to_owned());
                self.damage.push(Damage { file: file.path.clone(), offsets, positions: *first..*first, what });
            }
            let walked = self.walk(&file, *bytes)?;
            let end = next.unwrap_or_else(|| known.max(walked.end).max(walked.durable));
            if end == *first {
                self.empty.push(file.path);
                continue;
            }
            self.add_damage(&file, *bytes, *first..end)?;
            let id = self.next_id();
            self.plan_rewrite(id, *first..end, 2, Some((file, *bytes)))?;
            expected = end;
        }
        if !has_active && expected < known {
            self.missing(expected..known)?;
        }
        Ok(())
    }

    fn next_id(&self) -> u64 {
        1 + self.plan.last().map_or(0, |planned| match planned {
            Planned::Keep(entry) => entry.id,
            Planned::Rewrite { id, .. } => *id,
        })
    }

    fn missing(&mut self, positions: Range<Position>) -> Result<(), OpenError> {
        let file = self.file(positions.start, 1).path;
        let what = "acknowledged batches are missing".to_owned();
        self.damage.push(Damage { file, offsets: 0..0, positions: positions.clone(), what });
        let id = self.next_id();
        self.plan_rewrite(id, positions, 2, None)
    }

    fn plan_rewrite(
        &mut self,
        id: u64,
        positions: Range<Position>,
        generation: u32,
        source: Option<(SegmentFile, u64)>,
    ) -> Result<(), OpenError> {
        let lost = self.salvage(source.as_ref(), &positions, None)?;
        self.lost.extend(lost);
        self.plan.push(Planned::Rewrite { id, positions, generation, source });
        Ok(())
    }

    /// What is wrong between the frames of a segment that has no footer, and within them. What a server prepared and never wrote
    /// is not.
    fn add_damage(&mut self, file: &SegmentFile, limit: u64, positions: Range<Position>) -> Result<(), OpenError> {
        let failed = at(&file.path);
        let look = || -> io::Result<Vec<Damage>> {
            let mut found = Vec::new();
            let mut walker = self.walker(file, limit, positions.start, Some(positions.end))?;
            while let Some(step) = walker.step()? {
                match step {
                    Step::Frame(frame) => found.extend(walker.content(&frame)?.err()),
                    Step::Damage(mut damage) => {
                        let Range { start, end } = damage.offsets;
                        damage.offsets.end = self.walker(file, end, positions.start, None)?.last_byte(start)?;
                        if !damage.positions.is_empty() || !damage.offsets.is_empty() {
                            found.push(damage);
                        }
                    }
                }
            }
            Ok(found)
        };
        let found = look().map_err(failed)?;
        self.damage.extend(found);
        Ok(())
    }

    fn walker(&self, file: &SegmentFile, limit: u64, first: Position, end: Option<Position>) -> io::Result<Walker> {
        let handle = self.disk.open_read(&file.path)?;
        let span = Span { offset: SEGMENT_HEADER_BYTES, limit, first, end, chain: None };
        Ok(Walker::new(file.clone(), Source::file(handle, AHEAD_BYTES), span))
    }

    fn walk(&self, file: &SegmentFile, limit: u64) -> Result<Walked, OpenError> {
        walk(&*self.disk, file, limit).map_err(at(&file.path))
    }

    /// Goes over what can be read of `source`, which covers `positions`, and hands it to `out`. Returns the positions that are lost.
    fn salvage(
        &self,
        source: Option<&(SegmentFile, u64)>,
        positions: &Range<Position>,
        mut out: Option<&mut Rewriter>,
    ) -> Result<Vec<Range<Position>>, OpenError> {
        let mut lost = Vec::new();
        let mut covered = positions.start;
        let mut lose = |covered: Position, to: Position, out: &mut Option<&mut Rewriter>| -> io::Result<()> {
            if to > covered {
                lost.push(covered..to);
                if let Some(out) = out {
                    out.declare(covered, GapReason::Dropped)?;
                    out.declare(to, GapReason::Lost)?;
                }
            }
            Ok(())
        };
        if let Some((file, limit)) = source {
            let mut copy = || -> io::Result<()> {
                let mut walker = self.walker(file, *limit, positions.start, Some(positions.end))?;
                while let Some(step) = walker.step()? {
                    let Step::Frame(frame) = step else { continue };
                    let Ok(content) = walker.content(&frame)? else { continue };
                    lose(covered, frame.header.first, &mut out)?;
                    covered = frame.header.end();
                    let Some(out) = &mut out else { continue };
                    if let Content::Gap(reason) = content {
                        out.declare(frame.header.first, GapReason::Dropped)?;
                        out.declare(covered, reason)?;
                        continue;
                    }
                    for batch in content.batches() {
                        out.keep(&batch)?;
                    }
                }
                Ok(())
            };
            copy().map_err(at(&file.path))?;
        }
        lose(covered, positions.end, &mut out).map_err(at(&self.log_dir))?;
        Ok(lost)
    }

    /// Writes the next generation of a segment and reads it back.
    fn rewrite(
        &self,
        id: u64,
        positions: &Range<Position>,
        generation: u32,
        source: Option<&(SegmentFile, u64)>,
        clock: &dyn Clock,
    ) -> Result<(PathBuf, Entry), OpenError> {
        let file = self.file(positions.start, generation);
        let unfinished = file.path.with_extension("cseg.new");
        let failed = || at(&file.path);
        let begin = || {
            if self.disk.exists(&unfinished)? {
                self.disk.remove(&unfinished)?;
            }
            self.disk.create(&unfinished)
        };
        let handle = begin().map_err(failed())?;
        let (log_id, epoch) = (self.slot.log_id, self.slot.epoch);
        let header = SegmentHeader {
            log_id,
            id,
            first: positions.start,
            epoch,
            created_at: clock.now(),
            generation,
            columns: false,
        };
        let mut rewriter = Rewriter::new(file.clone(), handle, &header);
        self.salvage(source, positions, Some(&mut rewriter))?;
        let entry = rewriter.finish(positions.end).map_err(failed())?;
        self.disk.rename(&unfinished, &file.path).map_err(failed())?;
        match damage_of_segment(&*self.disk, &file.path, log_id, &entry)?.into_iter().next() {
            None => Ok((file.path, entry)),
            Some(damage) => Err(OpenError::Damaged(Box::new(damage))),
        }
    }
}

/// How far the frames of a segment go.
struct Walked {
    end: Position,
    /// What they say was durable when they were written.
    durable: Position,
    epoch: u64,
}

fn walk(disk: &dyn Disk, file: &SegmentFile, limit: u64) -> io::Result<Walked> {
    let handle = disk.open_read(&file.path)?;
    let span = Span { offset: SEGMENT_HEADER_BYTES, limit, first: file.first, end: None, chain: None };
    let mut walker = Walker::new(file.clone(), Source::file(handle, AHEAD_BYTES), span);
    let mut walked = Walked { end: file.first, durable: file.first, epoch: 0 };
    while let Some(step) = walker.step()? {
        let Step::Frame(frame) = step else { continue };
        walked.durable = walked.durable.max(frame.header.durable);
        walked.epoch = walked.epoch.max(frame.header.epoch);
        // Its header is valid: these positions were given away, also when the payload is lost.
        walked.end = frame.header.end();
    }
    Ok(walked)
}

/// What the manifest would say if there were one: the sealed segments that the files are.
fn slot_of_files(
    disk: &dyn Disk,
    log_dir: &Path,
    files: &BTreeMap<(Position, u32), u64>,
    known: Option<KnownDurable>,
    damage: Option<&Damage>,
) -> Result<Slot, OpenError> {
    let mut headers = BTreeMap::new();
    for (first, generation) in files.keys() {
        let path = SegmentFile::new(log_dir, Uuid::nil(), *first, *generation).path;
        let handle = disk.open_read(&path).map_err(at(&path))?;
        let mut block = [0; SEGMENT_HEADER_BYTES as usize];
        match handle.read_exact_at(&mut block, 0).map(|()| SegmentHeader::decode(&block)) {
            Ok(Ok(header)) => drop(headers.insert((*first, *generation), header)),
            Ok(Err(BadHeader::Newer(found))) => {
                return Err(OpenError::NewerFormat { file: path, found });
            }
            _ => {}
        }
    }
    let log_id = headers.values().map(|header| header.log_id).next().or(known.map(|known| known.log));
    let log_id = match (log_id, damage) {
        (Some(log_id), _) => log_id,
        (None, None) => Uuid::nil(),
        (None, Some(damage)) => {
            let what = format!("{}, and no file says which log this is", damage.what);
            return Err(OpenError::Damaged(Box::new(Damage { what, ..damage.clone() })));
        }
    };
    let start = files.keys().next().map_or(Position::ZERO, |(first, _)| *first);
    let mut epoch = headers.values().map(|header| header.epoch).max().unwrap_or(0);
    let mut segments: Vec<Entry> = Vec::new();
    let mut expected = start;
    while let Some(first) = files.range((expected, 0)..).next().map(|((first, _), _)| *first) {
        // Of several generations the last one counts: its file has its name only since it is whole.
        let ((_, generation), bytes) = files.range((first, 0)..=(first, u32::MAX)).next_back().expect("it was found");
        let (generation, bytes) = (*generation, *bytes);
        let file = SegmentFile::new(log_dir, log_id, first, generation);
        let next = files.range((first.advance(1), 0)..).next().map(|((first, _), _)| *first);
        let failed = || at(&file.path);
        let handle = disk.open_read(&file.path).map_err(failed())?;
        let footer = read_footer(&*handle, &file, bytes).map_err(failed())?;
        let walked = walk(disk, &file, bytes).map_err(failed())?;
        epoch = epoch.max(walked.epoch);
        let (end, chain) = match (footer, next) {
            (Ok((footer, _)), _) if footer.first == first && footer.end > first => (footer.end, footer.chain),
            // The active one, or what is left of the last sealed one.
            (_, None) if generation == 1 => break,
            (_, Some(next)) if generation == 1 => (next, 0),
            _ => (walked.end, 0),
        };
        // Of a segment in which nothing can be read any more nobody knows where it ended.
        let end = if end > first { end } else { next.unwrap_or(first.advance(1)) };
        if first > expected {
            let id = segments.len() as u64 + 1;
            segments.push(Entry { id, first: expected, end: first, file_bytes: 0, generation: 1, chain: 0 });
        }
        let id = segments.len() as u64 + 1;
        segments.push(Entry { id, first, end, file_bytes: bytes, generation, chain });
        expected = end;
    }
    let floor = segments.last().map_or(start, |entry| entry.end);
    Ok(Slot { log_id, txn: 0, epoch, floor, clean: false, start, segments })
}
