//! Looking at a log without opening it: every byte of every file is read and accounted for.
//!
//! *Format*: whatever is no header, frame, padding or footer, and whatever a CRC, the chain, the footer's counts or the
//! manifest contradict, is damage and named by file, offsets and positions.
//! *Durability*, *Recovery*: nothing is changed; the directory is locked while it lasts. Everything is read by pread, so
//! that a bad sector is an error and not a signal.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_model::{Position, Timestamp};
use uuid::Uuid;

use crate::disk::{Disk, DiskFile};
use crate::format::{Dictionary, Entry, Footer, GapReason, SEGMENT_HEADER_BYTES, SegmentHeader, Slot};
use crate::manifest::Manifest;
use crate::recovery::{Cut, Listing, at, read_header, scan, tell_apart};
use crate::segment::{
    Content, Frame, SegmentFile, Source, Span, Step, Walker, file_name, load_footer, read_footer, rebuild_footer,
};
use crate::{Damage, OpenError, StoredBatch, backup, repair};

/// How much is read in one go.
const AHEAD_BYTES: usize = 1 << 20;

/// What a directory holds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Names the log; `None` when there is no manifest.
    pub log_id: Option<Uuid>,
    /// How often the log was started.
    pub epoch: u64,
    /// Whether it was closed cleanly.
    pub clean: bool,
    /// In position order.
    pub segments: Vec<SegmentReport>,
    /// The first position: retention dropped everything below it.
    pub start: Position,
    /// Positions that were lost to damage and declared as lost by a repair. Not damage any more.
    pub lost: Vec<Range<Position>>,
    /// Files that a compaction left when it was cut off: the next start removes them. Not damage.
    pub strays: Vec<PathBuf>,
    /// A slot of the manifest that is not valid while the other one is: the next start writes it anew. Not damage.
    pub torn_slot: Option<Damage>,
    /// What the next start will cut off: bytes of a group that was never acknowledged. Not damage.
    pub torn_tail: Option<Cut>,
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub file: PathBuf,
    /// A running number, from 1.
    pub id: u64,
    /// 1 as it was written, more after compaction.
    pub generation: u32,
    /// Whether it never changes any more.
    pub sealed: bool,
    /// The position of its first record.
    pub first: Position,
    /// The position after its last record.
    pub end: Position,
    /// The length of the file.
    pub file_bytes: u64,
    /// Batches that are there.
    pub batches: u64,
    /// Records that are there; the other positions are gone.
    pub records: u64,
    /// Bytes of the batches' payloads, before compression.
    pub payload_bytes: u64,
    /// The earliest and the latest time of a batch; `None` when there is none.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The values that its batches name, so that a scan can pass it over; complete in most rewritten segments.
    pub dictionary: Dictionary,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }

    /// The first position after all batches.
    pub fn tail(&self) -> Position {
        self.segments.last().map_or(self.start, |segment| segment.end)
    }

    /// How many batches there are.
    pub fn batches(&self) -> u64 {
        self.segments.iter().map(|segment| segment.batches).sum()
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }

    /// Bytes of the segment files.
    pub fn file_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.file_bytes).sum()
    }
}

/// Reads every byte of the log in `dir`. `progress` is called after each segment.
///
/// # Errors
/// `Locked` while a server has the directory, `NewerFormat`, or an I/O error of a directory. Whatever is wrong with the
/// log's files, reading errors included, is in the report.
pub fn verify(disk: &dyn Disk, dir: &Path, progress: &mut dyn FnMut(&SegmentReport)) -> Result<Report, OpenError> {
    visit(disk, dir, &mut Progress(progress))
}

/// Is told what [`visit`] comes across.
pub trait Visitor {
    /// Whether the batches of this segment are to be read; asked before its first batch.
    fn wants(&mut self, _segment: &SegmentReport) -> bool {
        true
    }

    /// A batch whose checksums hold, in position order.
    fn batch(&mut self, batch: &StoredBatch);

    /// Positions that are gone, as a gap of their own declares them; those that are gone within a block are not told.
    fn gap(&mut self, _positions: Range<Position>, _reason: GapReason) {}

    /// The segment was read to its end.
    fn segment(&mut self, _segment: &SegmentReport) {}

    /// Whether anything more is to be read; asked after each batch.
    fn goes_on(&self) -> bool {
        true
    }
}

/// Reads every byte of the log in `dir`, as [`verify`] does, and shows each batch that is whole to `visitor`: what an
/// offline tool needs that may not change anything.
///
/// # Errors
/// As for [`verify`]. When the visitor wants to see less than all, the report is about what was read.
pub fn visit(disk: &dyn Disk, dir: &Path, visitor: &mut dyn Visitor) -> Result<Report, OpenError> {
    let look = Look { disk, log_dir: dir.join("log"), visitor: Some(visitor), report: Report::default() };
    look.look(dir)
}

struct Progress<'a>(&'a mut dyn FnMut(&SegmentReport));

impl Visitor for Progress<'_> {
    fn batch(&mut self, _: &StoredBatch) {}

    fn segment(&mut self, segment: &SegmentReport) {
        (self.0)(segment);
    }
}

/// Reads the manifest, the headers and footers of sealed segments, and the active segment: what there is, without reading
/// every payload.
///
/// # Errors
/// As for [`verify`].
pub fn inspect(disk: &dyn Disk, dir: &Path) -> Result<Report, OpenError> {
    Look { disk, log_dir: dir.join("log"), visitor: None, report: Report::default() }.look(dir)
}

/// What is wrong with one sealed segment of the log `log_id` that stands at `path`.
pub(crate) fn damage_of_segment(
    disk: &dyn Disk,
    path: &Path,
    log_id: Uuid,
    entry: &Entry,
) -> Result<Vec<Damage>, OpenError> {
    let named = SegmentFile::new(Path::new(""), log_id, entry.first, entry.generation);
    let mut no_progress = |_: &SegmentReport| {};
    let mut nobody = Progress(&mut no_progress);
    let mut look = Look { disk, log_dir: PathBuf::new(), visitor: Some(&mut nobody), report: Report::default() };
    look.sealed(&SegmentFile { path: path.to_owned(), ..named }, entry, log_id)?;
    Ok(look.report.damage)
}

struct Look<'a> {
    disk: &'a dyn Disk,
    log_dir: PathBuf,
    /// `None` when payloads are not to be read.
    visitor: Option<&'a mut dyn Visitor>,
    report: Report,
}

impl Look<'_> {
    fn look(mut self, dir: &Path) -> Result<Report, OpenError> {
        let lock_file = dir.join("LOCK");
        let _lock = self.disk.lock(&lock_file).map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock => OpenError::Locked(dir.to_owned()),
            _ => OpenError::Io { file: lock_file, source },
        })?;
        backup::refuse_unfinished(self.disk, dir)?;
        repair::refuse_unfinished(self.disk, dir)?;
        let found = Manifest::read(self.disk, dir)?;
        let mut bad = found.bad.into_iter().filter(|slot| slot.offsets.end > 0);
        match found.manifest {
            // A power loss while it was written leaves it so, and the next start writes it anew.
            Some(_) => self.report.torn_slot = bad.next_back(),
            None => self.report.damage.extend(bad),
        }
        let Listing { mut files, unfinished } = match self.disk.exists(&self.log_dir).map_err(at(&self.log_dir))? {
            true => Listing::read(self.disk, &self.log_dir)?,
            false => Listing::default(),
        };
        self.report.strays.extend(unfinished.into_iter().map(|name| self.log_dir.join(name)));
        let Some(slot) = found.manifest.map(|manifest| manifest.slot).or_else(|| self.guess_slot(dir, &files)) else {
            return Ok(self.report);
        };
        self.report.start = slot.start;
        self.report.log_id = Some(slot.log_id);
        self.report.epoch = slot.epoch;
        self.report.clean = slot.clean;
        for entry in &slot.segments {
            let file = SegmentFile::new(&self.log_dir, slot.log_id, entry.first, entry.generation);
            match files.remove(&(entry.first, entry.generation)) {
                None => self.add(file.path, 0..entry.file_bytes, entry.first..entry.end, "the file is missing"),
                Some(file_bytes) if file_bytes != entry.file_bytes => {
                    let offsets = file_bytes.min(entry.file_bytes)..file_bytes.max(entry.file_bytes);
                    let what = format!("the file has {file_bytes} bytes, the manifest says {}", entry.file_bytes);
                    self.add(file.path.clone(), offsets, entry.end..entry.end, &what);
                    self.sealed(&file, entry, slot.log_id)?;
                }
                Some(_) => self.sealed(&file, entry, slot.log_id)?,
            }
            self.tell_segment();
        }
        let mut expected = slot.sealed_end();
        let (unlisted, strays) = tell_apart(files, expected);
        let strays = strays.into_iter().map(|(first, generation)| self.log_dir.join(file_name(first, generation)));
        self.report.strays.extend(strays);
        for (first, file_bytes) in unlisted {
            let file = SegmentFile::new(&self.log_dir, slot.log_id, first, 1);
            if first > expected {
                self.add(self.log_dir.join(file_name(expected, 1)), 0..0, expected..first, "batches are missing");
            }
            self.unlisted(&file, file_bytes, &slot)?;
            self.tell_segment();
            expected = self.report.tail();
        }
        if expected < slot.floor {
            let what = "acknowledged batches are missing";
            self.add(self.log_dir.join(file_name(expected, 1)), 0..0, expected..slot.floor, what);
        }
        Ok(self.report)
    }

    fn add(&mut self, file: PathBuf, offsets: std::ops::Range<u64>, positions: std::ops::Range<Position>, what: &str) {
        self.report.damage.push(Damage { file, offsets, positions, what: what.to_owned() });
    }

    /// Without a valid manifest: a slot that lists nothing, with the log id that the first readable segment names.
    fn guess_slot(&mut self, dir: &Path, files: &BTreeMap<(Position, u32), u64>) -> Option<Slot> {
        let (first, _) = files.keys().next()?;
        if self.report.damage.is_empty() {
            self.add(dir.join("manifest.a"), 0..0, *first..*first, "the manifest is missing");
        }
        let log_id = files.keys().find_map(|(first, generation)| {
            let handle = self.disk.open_read(&self.log_dir.join(file_name(*first, *generation))).ok()?;
            let mut block = [0; SEGMENT_HEADER_BYTES as usize];
            handle.read_exact_at(&mut block, 0).ok()?;
            SegmentHeader::decode(&block).ok().map(|header| header.log_id)
        })?;
        let (floor, start) = (Position::ZERO, Position::ZERO);
        Some(Slot { log_id, txn: 0, epoch: 0, floor, clean: false, start, segments: Vec::new() })
    }

    /// Looks at a segment that the manifest does not list: a sealed one, or the active one.
    fn unlisted(&mut self, file: &SegmentFile, file_bytes: u64, slot: &Slot) -> Result<(), OpenError> {
        let id = self.report.segments.last().map_or(1, |segment| segment.id + 1);
        let entry = |footer: &Footer| Entry {
            id,
            first: file.first,
            end: footer.end,
            file_bytes,
            generation: 1,
            chain: footer.chain,
        };
        let handle = self.disk.open_read(&file.path).map_err(at(&file.path))?;
        if let Ok(Ok((footer, _))) = read_footer(&*handle, file, file_bytes) {
            return self.sealed(file, &entry(&footer), slot.log_id);
        }
        self.header(&*handle, file, slot.log_id)?;
        match scan(handle.clone(), file, file_bytes, slot.floor) {
            Ok(found) => {
                if found.dirty_end > found.cut {
                    let bytes = found.dirty_end - found.cut;
                    self.report.torn_tail = Some(Cut { file: file.path.clone(), offset: found.cut, bytes });
                }
                self.segment(file, &entry(&found.footer), &found.footer, false);
                if self.is_wanted() {
                    let span = Span {
                        offset: SEGMENT_HEADER_BYTES,
                        limit: found.cut,
                        first: file.first,
                        end: Some(found.footer.end),
                        chain: Some(file.seed),
                    };
                    self.frames(handle, file, span, &mut Footer::empty(file.first, file.seed));
                }
            }
            Err(OpenError::Damaged(damage)) => {
                // Past the damage as well: what is left, and what else is wrong.
                let span = Span {
                    offset: SEGMENT_HEADER_BYTES,
                    limit: file_bytes,
                    first: file.first,
                    end: None,
                    chain: Some(file.seed),
                };
                let mut footer = Footer::empty(file.first, file.seed);
                self.report.damage.push(*damage);
                self.frames(handle, file, span, &mut footer);
                self.segment(file, &entry(&footer), &footer, false);
            }
            Err(OpenError::Io { source, .. }) => self.unreadable(file, file.first, &source),
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn sealed(&mut self, file: &SegmentFile, entry: &Entry, log_id: Uuid) -> Result<(), OpenError> {
        let handle = self.disk.open_read(&file.path).map_err(at(&file.path))?;
        self.header(&*handle, file, log_id)?;
        let loaded = match load_footer(&*handle, file, entry) {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(damage)) => {
                self.report.damage.push(damage);
                rebuild_footer(handle.clone(), file, entry)
            }
            Err(error) => Err(error),
        };
        let (footer, limit) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                self.unreadable(file, entry.end, &error);
                return Ok(());
            }
        };
        self.segment(file, entry, &footer, true);
        if self.is_wanted() {
            let before = self.report.damage.len();
            let span = Span {
                offset: SEGMENT_HEADER_BYTES,
                limit,
                first: entry.first,
                end: Some(entry.end),
                chain: Some(file.seed),
            };
            let mut rebuilt = Footer::empty(entry.first, file.seed);
            self.frames(handle, file, span, &mut rebuilt);
            rebuilt.dictionary = footer.dictionary.clone();
            if self.goes_on() && self.report.damage.len() == before && rebuilt != footer {
                let what = "the footer does not describe the frames";
                self.add(file.path.clone(), limit..entry.file_bytes, entry.end..entry.end, what);
            }
        }
        Ok(())
    }

    fn segment(&mut self, file: &SegmentFile, entry: &Entry, footer: &Footer, sealed: bool) {
        self.report.segments.push(SegmentReport {
            file: file.path.clone(),
            id: entry.id,
            generation: entry.generation,
            sealed,
            first: entry.first,
            end: entry.end,
            file_bytes: entry.file_bytes,
            batches: footer.batches,
            records: footer.records,
            payload_bytes: footer.payload_bytes,
            times: (footer.batches > 0).then_some((footer.min_time, footer.max_time)),
            dictionary: footer.dictionary.clone(),
        });
    }

    /// Whether the batches of the segment that was reported last are to be read.
    fn is_wanted(&mut self) -> bool {
        match (&mut self.visitor, self.report.segments.last()) {
            (Some(visitor), Some(segment)) => visitor.goes_on() && visitor.wants(segment),
            _ => false,
        }
    }

    fn goes_on(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.goes_on())
    }

    fn tell_segment(&mut self) {
        if let (Some(visitor), Some(segment)) = (&mut self.visitor, self.report.segments.last()) {
            visitor.segment(segment);
        }
    }

    fn header(&mut self, handle: &dyn DiskFile, file: &SegmentFile, log_id: Uuid) -> Result<(), OpenError> {
        match read_header(handle, file, log_id) {
            Ok(Ok(_)) => {}
            Ok(Err(what)) => self.add(file.path.clone(), 0..SEGMENT_HEADER_BYTES, file.first..file.first, what),
            Err(OpenError::Io { source, .. }) => self.unreadable(file, file.first, &source),
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Walks over frames and their padding, and sums up into `footer` those that are whole.
    fn frames(&mut self, handle: Arc<dyn DiskFile>, file: &SegmentFile, span: Span, footer: &mut Footer) {
        let mut walker = Walker::new(file.clone(), Source::file(handle, AHEAD_BYTES), span);
        loop {
            let walked = walker.step().and_then(|step| {
                Ok(match step {
                    None => None,
                    Some(Step::Damage(damage)) => Some(vec![damage]),
                    Some(Step::Frame(frame)) => {
                        let mut damage = Vec::new();
                        footer.add(&frame.header, frame.header_crc, frame.offset);
                        if !frame.chain_holds {
                            let what = "the frame does not name the one before it as its predecessor";
                            damage.push(walker.damage(frame.bytes(), frame.positions(), what));
                        }
                        match walker.content(&frame)? {
                            Ok(content) => self.content(content, &frame, footer),
                            Err(bad) => damage.push(bad),
                        }
                        if !walker.is_padded(&frame)? {
                            let what = "the padding behind the frame is not zero";
                            let end = frame.bytes().end;
                            let positions = frame.header.end()..frame.header.end();
                            damage.push(walker.damage(end..end.next_multiple_of(8), positions, what));
                        }
                        Some(damage)
                    }
                })
            });
            match walked {
                Ok(None) => return,
                Ok(Some(damage)) => {
                    self.report.damage.extend(damage);
                    if !self.goes_on() {
                        return;
                    }
                }
                Err(error) => return self.unreadable(file, walker.expected(), &error),
            }
        }
    }

    /// Shows what a frame holds, and sums it up into `footer`.
    fn content(&mut self, content: Content, frame: &Frame, footer: &mut Footer) {
        if let Content::Gap(reason) = content {
            if reason == GapReason::Lost {
                self.report.lost.push(frame.positions());
            }
            if let Some(visitor) = &mut self.visitor {
                visitor.gap(frame.positions(), reason);
            }
        }
        for batch in content.batches() {
            if frame.is_block() {
                footer.count(batch.time, batch.records, batch.payload.len());
            }
            if let Some(visitor) = self.visitor.as_mut().filter(|visitor| visitor.goes_on()) {
                visitor.batch(&batch);
            }
        }
    }

    fn unreadable(&mut self, file: &SegmentFile, position: Position, error: &std::io::Error) {
        self.add(file.path.clone(), 0..0, position..position, &format!("cannot be read: {error}"));
    }
}
