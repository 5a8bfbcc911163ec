//! Opening a log: what a crash left is told from what a bad disk left, by evidence.
//!
//! *Evidence*: D is the highest position known durable: what the manifest says, what the caller's checkpoint says, and what
//! valid frames say was durable when they were written. The frames are valid up to position s. When s < D, or a valid frame of
//! a later sync group stands behind s, acknowledged data is damaged: the log does not open and nothing is changed.
//! Otherwise the rest is a torn tail: it is zeroed, the segment is sealed there, and a new one begins.
//! *Durability*: a process that died after a failed sync may leave bytes that are only in the page cache, and marked as
//! written. So whatever is not known durable is written once more before it is synced and trusted.
//! *Recovery of the recovery*: first everything is examined, then changed; each change can be repeated, and none removes
//! what the one before it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_model::Position;

use crate::disk::{Clock, Disk, DiskFile};
use crate::format::{
    BLOCK_BYTES, BadHeader, Entry, Footer, FrameHeader, SEGMENT_HEADER_BYTES, SegmentHeader, Slot, align_block, align8,
};
use crate::manifest::Manifest;
use crate::prepare::Prepared;
use crate::segment::{
    self, Active, Sealed, SegmentFile, Source, Span, Table, UNFINISHED, Walker, Writer, load_footer, read_footer, seal,
};
use crate::segmented::{KnownDurable, Options};
use crate::{Damage, OpenError};

/// How much is read, written or zeroed in one go.
const PIECE_BYTES: u64 = 1 << 20;

/// What a log works with.
pub(crate) struct Env {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dir: PathBuf,
    pub(crate) log_dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) prepared: Prepared,
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether there was no log before.
    pub created: bool,
    /// Whether it had been closed cleanly.
    pub clean: bool,
    /// The writer epoch that begins now.
    pub epoch: u64,
    /// Sealed segments.
    pub segments: usize,
    /// The first position after all batches.
    pub tail: Position,
    /// The torn tail that was cut off, if there was one.
    pub cut: Option<Cut>,
    /// A manifest slot that was not valid, as a power loss while it is written leaves it. The other one sufficed, and it
    /// was written anew: nothing is damaged any more.
    pub rewritten: Option<Damage>,
    /// Damage that does not stop the log: in sealed segments and of footers.
    pub damage: Vec<Damage>,
}

/// A torn tail: bytes of a group that was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: PathBuf,
    /// Where the last whole batch ends.
    pub offset: u64,
    /// How many bytes behind it were zeroed.
    pub bytes: u64,
}

impl std::fmt::Display for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = match (self.created, self.clean) {
            (true, _) => "a new log",
            (_, true) => "closed cleanly",
            _ => "not closed cleanly",
        };
        write!(f, "{how}: {} sealed segments, tail at position {}, epoch {}", self.segments, self.tail, self.epoch)?;
        if let Some(cut) = &self.cut {
            write!(f, "; cut a torn tail of {} bytes at offset {} of {}", cut.bytes, cut.offset, cut.file.display())?;
        }
        if let Some(rewritten) = &self.rewritten {
            write!(f, "; wrote {} anew: {}", rewritten.file.display(), rewritten.what)?;
        }
        for damage in &self.damage {
            write!(f, "; damage: {damage}")?;
        }
        Ok(())
    }
}

/// A log that was opened.
pub(crate) struct Opened {
    pub(crate) manifest: Manifest,
    pub(crate) table: Table,
    /// `None` when there is no space for another segment.
    pub(crate) writer: Option<Writer>,
    pub(crate) recovery: Recovery,
    /// What a compaction that was cut off left behind: both slots name other files for these positions. To be removed.
    pub(crate) strays: Vec<PathBuf>,
}

/// What is to be done with the last segment.
enum Last {
    /// It has its footer, but is not in the manifest.
    Sealed { footer: Footer, limit: u64 },
    /// It has none.
    Open(Scan),
}

/// The frames of a segment that was not sealed.
pub(crate) struct Scan {
    pub(crate) footer: Footer,
    /// Where the last valid frame ends.
    pub(crate) cut: u64,
    /// Behind the last byte that is not zero; `cut` when all are.
    pub(crate) dirty_end: u64,
    /// Where the first frame stands that is not known durable; `cut` when all are.
    pub(crate) unproven: u64,
    pub(crate) file_bytes: u64,
}

/// Opens the log in `env.dir`, or makes a new one.
pub(crate) fn recover(env: &Env, known_durable: Option<KnownDurable>) -> Result<Opened, OpenError> {
    let disk = &*env.disk;
    env.prepared.forget();
    let found = Manifest::read(disk, &env.dir)?;
    let Listing { mut files, unfinished } = Listing::read(disk, &env.log_dir)?;
    let Some(mut manifest) = found.manifest else {
        // Whichever log a checkpoint here speaks of, it is gone.
        let gone = known_durable.map_or(Position::ZERO, |known| known.below);
        if files.is_empty() && gone == Position::ZERO {
            return create(env);
        }
        let damage = found.bad.into_iter().next().unwrap_or_else(|| Damage {
            file: env.dir.join("manifest.a"),
            offsets: 0..0,
            positions: Position::ZERO..gone,
            what: "the manifest is missing".to_owned(),
        });
        return Err(OpenError::Damaged(Box::new(damage)));
    };
    let slot = manifest.slot.clone();
    // An empty one is that of a log which was never started again, and not worth a word.
    let rewritten = found.bad.into_iter().find(|bad| bad.offsets.end > 0);
    let mut damage = Vec::new();
    for entry in &slot.segments {
        damage.extend(check_listed(env, slot.log_id, entry, files.remove(&(entry.first, entry.generation)))?);
    }
    let mut segments = slot.segments.clone();
    let told = known_durable.filter(|known| known.log == slot.log_id).map_or(Position::ZERO, |known| known.below);
    let known = told.max(slot.floor).max(slot.sealed_end());
    let (unlisted, strays) = tell_apart(files, slot.sealed_end());
    // All that is listed was found: what others cover, or retention dropped, is not needed any more.
    let strays = strays.into_iter().map(|(first, generation)| segment::file_name(first, generation));
    let strays = strays.chain(unfinished).map(|name| env.log_dir.join(name)).collect();
    let last = examine_unlisted(env, &slot, &unlisted, known, &mut segments)?;
    let sealed_end = segments.last().map_or(slot.sealed_end(), |entry| entry.end);
    if last.is_none() && sealed_end < known {
        return Err(missing(env, sealed_end, known));
    }

    // Everything was examined; from here on the disk is changed.
    manifest.confirm(disk, &env.dir).map_err(at(&env.dir))?;
    disk.sync_dir(&env.log_dir).map_err(at(&env.log_dir))?;
    let mut cut = None;
    let mut resumed = None;
    let mut tail = sealed_end;
    if let Some((file, last)) = last {
        let id = segments.last().map_or(1, |entry| entry.id + 1);
        let failed = at(&file.path);
        let handle = disk.open(&file.path).map_err(at(&file.path))?;
        match last {
            Last::Sealed { footer, limit } => {
                tail = footer.end;
                segments.push(seal(&*handle, &file, id, &footer, limit).map_err(failed)?);
            }
            Last::Open(scan) => {
                tail = scan.footer.end;
                if scan.dirty_end > scan.cut {
                    let bytes = scan.dirty_end - scan.cut;
                    cut = Some(Cut { file: file.path.clone(), offset: scan.cut, bytes });
                }
                let clean = slot.clean && cut.is_none() && tail == slot.floor;
                if !clean {
                    settle(&*handle, &scan).map_err(at(&file.path))?;
                }
                if clean || tail == file.first {
                    resumed = Some(resume(env, file, handle, id, scan).map_err(failed)?);
                } else {
                    segments.push(seal(&*handle, &file, id, &scan.footer, align_block(scan.cut)).map_err(failed)?);
                }
            }
        }
    }
    let clean = slot.clean && cut.is_none() && tail == slot.floor;
    let next = Slot { epoch: slot.epoch + 1, floor: tail, clean: false, segments, ..slot };
    write_manifest(env, &mut manifest, next).map_err(at(&env.dir))?;
    let (writer, table) = begin(env, &manifest.slot, tail, resumed)?;
    let recovery = Recovery {
        created: false,
        clean,
        epoch: manifest.slot.epoch,
        segments: table.sealed.len(),
        tail,
        cut,
        rewritten,
        damage,
    };
    Ok(Opened { manifest, table, writer, recovery, strays })
}

/// Removes what a compaction that was cut off left behind. Both slots of the manifest name the files that took its place:
/// [`recover`] writes both.
pub(crate) fn remove_strays(env: &Env, strays: &[PathBuf]) -> io::Result<()> {
    for path in strays {
        tracing::info!(file = %path.display(), "removing a segment that others took the place of");
        if env.disk.exists(path)? {
            env.disk.remove(path)?;
        }
    }
    if strays.is_empty() { Ok(()) } else { env.disk.sync_dir(&env.log_dir) }
}

fn create(env: &Env) -> Result<Opened, OpenError> {
    let slot = Slot {
        log_id: env.options.new_log_id,
        txn: 0,
        epoch: 1,
        floor: Position::ZERO,
        clean: false,
        start: Position::ZERO,
        segments: Vec::new(),
    };
    let manifest = Manifest::create(&*env.disk, &env.dir, slot).map_err(at(&env.dir))?;
    let (writer, table) = begin(env, &manifest.slot, Position::ZERO, None)?;
    let recovery = Recovery {
        created: true,
        clean: true,
        epoch: 1,
        segments: 0,
        tail: Position::ZERO,
        cut: None,
        rewritten: None,
        damage: Vec::new(),
    };
    Ok(Opened { manifest, table, writer, recovery, strays: Vec::new() })
}

/// The table of an open log, with `resumed` or a new segment as the active one.
fn begin(
    env: &Env,
    slot: &Slot,
    tail: Position,
    resumed: Option<Writer>,
) -> Result<(Option<Writer>, Table), OpenError> {
    let writer = match resumed {
        Some(writer) => Some(writer),
        None => match begin_segment(env, slot, tail) {
            Ok(writer) => Some(writer),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => None,
            Err(error) => return Err(at(&env.log_dir)(error)),
        },
    };
    let sealed = slot
        .segments
        .iter()
        .map(|entry| {
            let file = SegmentFile::new(&env.log_dir, slot.log_id, entry.first, entry.generation);
            Arc::new(Sealed { file, entry: *entry })
        })
        .collect();
    let active = writer.as_ref().map_or_else(|| no_segment(env, slot, tail), |writer| writer.active.clone());
    Ok((writer, Table { sealed, active }))
}

/// Makes the spare the segment that begins at `first`.
pub(crate) fn begin_segment(env: &Env, slot: &Slot, first: Position) -> io::Result<Writer> {
    let id = slot.segments.last().map_or(1, |entry| entry.id + 1);
    let header = SegmentHeader {
        log_id: slot.log_id,
        id,
        first,
        epoch: slot.epoch,
        created_at: env.clock.now(),
        generation: 1,
        columns: false,
    };
    let file = SegmentFile::new(&env.log_dir, slot.log_id, first, 1);
    let (handle, file_bytes) = env.prepared.take(&file.path, &header.encode())?;
    Ok(Writer::empty(file, handle, id, file_bytes))
}

/// What readers see as the active segment while there is no space for one.
pub(crate) fn no_segment(env: &Env, slot: &Slot, first: Position) -> Arc<Active> {
    struct NoFile;
    impl DiskFile for NoFile {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
    }
    Arc::new(Active::new(SegmentFile::new(&env.log_dir, slot.log_id, first, 1), Arc::new(NoFile)))
}

/// Writes the manifest; when there is no space for it, the reserve is given back first.
pub(crate) fn write_manifest(env: &Env, manifest: &mut Manifest, slot: Slot) -> io::Result<()> {
    match manifest.write(&*env.disk, slot.clone()) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull && env.prepared.release_reserve()? => {
            manifest.write(&*env.disk, slot)
        }
        other => other,
    }
}

/// The segments in a directory.
#[derive(Default)]
pub(crate) struct Listing {
    /// By first position and generation, with their lengths.
    pub(crate) files: BTreeMap<(Position, u32), u64>,
    /// The names of those that a compaction began to write.
    pub(crate) unfinished: Vec<String>,
}

impl Listing {
    pub(crate) fn read(disk: &dyn Disk, log_dir: &Path) -> Result<Self, OpenError> {
        let mut listing = Self::default();
        for (name, bytes) in disk.list(log_dir).map_err(at(log_dir))? {
            if let Some(segment) = segment::parse_name(&name) {
                listing.files.insert(segment, bytes);
            } else if name.ends_with(UNFINISHED) {
                listing.unfinished.push(name);
            }
        }
        Ok(listing)
    }
}

/// Of the files that the manifest does not list: those that are log all the same, as they were written and at or above
/// `sealed_end`, and the others.
pub(crate) fn tell_apart(
    files: BTreeMap<(Position, u32), u64>,
    sealed_end: Position,
) -> (BTreeMap<Position, u64>, BTreeSet<(Position, u32)>) {
    let (mut log, mut strays) = (BTreeMap::new(), BTreeSet::new());
    for ((first, generation), bytes) in files {
        if first >= sealed_end && generation == 1 {
            log.insert(first, bytes);
        } else {
            strays.insert((first, generation));
        }
    }
    (log, strays)
}

/// Checks a sealed segment's file, header and footer. What is wrong with header or footer does not stop the log.
fn check_listed(
    env: &Env,
    log_id: uuid::Uuid,
    entry: &Entry,
    file_bytes: Option<u64>,
) -> Result<Vec<Damage>, OpenError> {
    let file = SegmentFile::new(&env.log_dir, log_id, entry.first, entry.generation);
    let refuse = |what: &str, from: u64| {
        OpenError::Damaged(Box::new(Damage {
            file: file.path.clone(),
            offsets: from..entry.file_bytes,
            positions: entry.first..entry.end,
            what: what.to_owned(),
        }))
    };
    let file_bytes = file_bytes.ok_or_else(|| refuse("the manifest lists this segment, but the file is missing", 0))?;
    if file_bytes < entry.file_bytes {
        return Err(refuse("the file is shorter than the manifest says", file_bytes));
    }
    let handle = env.disk.open_read(&file.path).map_err(at(&file.path))?;
    let mut damage = Vec::new();
    if let Err(what) = read_header(&*handle, &file, log_id)? {
        damage.push(Damage {
            file: file.path.clone(),
            offsets: 0..SEGMENT_HEADER_BYTES,
            positions: entry.first..entry.first,
            what: what.to_owned(),
        });
    }
    damage.extend(load_footer(&*handle, &file, entry).map_err(at(&file.path))?.err());
    Ok(damage)
}

/// The segment's header, or what is wrong with it.
pub(crate) fn read_header(
    handle: &dyn DiskFile,
    file: &SegmentFile,
    log_id: uuid::Uuid,
) -> Result<Result<SegmentHeader, &'static str>, OpenError> {
    let mut block = [0; BLOCK_BYTES as usize];
    match handle.read_exact_at(&mut block, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err("the segment header is cut off")),
        Err(error) => return Err(at(&file.path)(error)),
    }
    match SegmentHeader::decode(&block) {
        Ok(header) if header.log_id == log_id && header.first == file.first => Ok(Ok(header)),
        Ok(_) => Ok(Err("the segment header is that of another segment")),
        Err(BadHeader::Damaged(what)) => Ok(Err(what)),
        Err(BadHeader::Newer(found)) => Err(OpenError::NewerFormat { file: file.path.clone(), found }),
    }
}

/// Looks at the segments behind the listed ones: all but the last must be sealed and follow one another.
fn examine_unlisted(
    env: &Env,
    slot: &Slot,
    unlisted: &BTreeMap<Position, u64>,
    known: Position,
    segments: &mut Vec<Entry>,
) -> Result<Option<(SegmentFile, Last)>, OpenError> {
    let mut expected = slot.sealed_end();
    for (index, (first, file_bytes)) in unlisted.iter().enumerate() {
        if *first != expected {
            return Err(missing(env, expected, *first));
        }
        let file = SegmentFile::new(&env.log_dir, slot.log_id, *first, 1);
        let refuse = |damage: Damage| OpenError::Damaged(Box::new(damage));
        let handle = env.disk.open_read(&file.path).map_err(at(&file.path))?;
        read_header(&*handle, &file, slot.log_id)?.map_err(|what| {
            refuse(Damage {
                file: file.path.clone(),
                offsets: 0..SEGMENT_HEADER_BYTES,
                positions: *first..known.max(*first),
                what: what.to_owned(),
            })
        })?;
        let footer = read_footer(&*handle, &file, *file_bytes).map_err(at(&file.path))?;
        let next = unlisted.keys().nth(index + 1);
        match (footer, next) {
            (Ok((footer, _)), Some(next)) if footer.end == *next && footer.first == *first => {
                segments.push(Entry {
                    id: segments.last().map_or(1, |entry| entry.id + 1),
                    first: *first,
                    end: footer.end,
                    file_bytes: *file_bytes,
                    generation: 1,
                    chain: footer.chain,
                });
                expected = footer.end;
            }
            (Ok(_), Some(next)) => return Err(missing(env, expected, *next)),
            (Err(damage), Some(next)) => return Err(refuse(Damage { positions: *first..*next, ..damage })),
            (Ok((footer, limit)), None) => {
                if footer.end < known {
                    return Err(missing(env, footer.end, known));
                }
                return Ok(Some((file, Last::Sealed { footer, limit })));
            }
            (Err(_), None) => {
                let scan = scan(handle, &file, *file_bytes, known)?;
                return Ok(Some((file, Last::Open(scan))));
            }
        }
    }
    Ok(None)
}

/// Reads a segment without a footer, of which everything below `known` is known to be durable; changes nothing.
pub(crate) fn scan(
    handle: Arc<dyn DiskFile>,
    file: &SegmentFile,
    file_bytes: u64,
    known: Position,
) -> Result<Scan, OpenError> {
    let span =
        Span { offset: SEGMENT_HEADER_BYTES, limit: file_bytes, first: file.first, end: None, chain: Some(file.seed) };
    let mut walker = Walker::new(file.clone(), Source::file(handle, PIECE_BYTES as usize), span);
    let failed = at(&file.path);
    let mut footer = Footer::empty(file.first, file.seed);
    let (mut cut, mut known) = (SEGMENT_HEADER_BYTES, known);
    let mut groups = Vec::new();
    while let Some(frame) = walker.strict().map_err(at(&file.path))? {
        if frame.offset.is_multiple_of(BLOCK_BYTES) {
            groups.push((frame.header.first, frame.offset));
        }
        known = known.max(frame.header.durable);
        footer.add(&frame.header, frame.header_crc, frame.offset);
        cut = align8(frame.bytes().end);
    }
    let end = footer.end;
    let dirty_end = walker.last_byte(cut).map_err(at(&file.path))?;
    if dirty_end > cut {
        // The padding in front of the group that begins at `end` was synced before that group was written. Without this, a
        // flipped bit in it would cost an acknowledged group.
        let padded = walker.is_zero_to_block(cut).map_err(at(&file.path))?;
        let is_later = |header: &FrameHeader| {
            let is_next = header.first == end && header.group_first == end;
            header.group_first > end || header.durable > end || (is_next && !padded)
        };
        let later = walker.search(cut, is_later).map_err(failed)?;
        if let Some(later) = later {
            let what = "a valid batch of a later sync group stands behind bytes that are none";
            let damage = walker.damage(cut..later.offset, end..later.header.first, what);
            return Err(OpenError::Damaged(Box::new(damage)));
        }
    }
    if end < known {
        let damage = walker.damage(cut..file_bytes, end..known, "acknowledged batches are missing or damaged");
        return Err(OpenError::Damaged(Box::new(damage)));
    }
    let proven = groups.partition_point(|(first, _)| *first <= known);
    let unproven = match known < end {
        true => groups[..proven].last().map_or(SEGMENT_HEADER_BYTES, |(_, offset)| *offset),
        false => cut,
    };
    Ok(Scan { footer, cut, dirty_end, unproven, file_bytes })
}

/// Makes the valid frames durable and the rest zero.
fn settle(handle: &dyn DiskFile, scan: &Scan) -> io::Result<()> {
    let mut at = scan.unproven;
    while at < scan.cut {
        let mut piece = vec![0; PIECE_BYTES.min(scan.cut - at) as usize];
        handle.read_exact_at(&mut piece, at)?;
        handle.write_all_at(&piece, at)?;
        at += piece.len() as u64;
    }
    // The rest of the last frame's block too: it may be only in the page cache.
    zero(handle, scan.cut, align_block(scan.dirty_end.max(scan.cut)).min(scan.file_bytes))?;
    handle.sync_data()
}

fn zero(handle: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; PIECE_BYTES.min(to.saturating_sub(from)) as usize];
    while from < to {
        let piece = PIECE_BYTES.min(to - from);
        handle.write_all_at(&zeros[..piece as usize], from)?;
        from += piece;
    }
    Ok(())
}

/// Goes on writing into the last segment.
fn resume(env: &Env, file: SegmentFile, handle: Arc<dyn DiskFile>, id: u64, scan: Scan) -> io::Result<Writer> {
    let mut file_bytes = scan.file_bytes;
    if scan.footer.batches == 0 && file_bytes < env.options.segment_bytes {
        // An empty segment of a time when segments were shorter: it must hold the largest batch of today.
        zero(&*handle, file_bytes, env.options.segment_bytes)?;
        handle.sync_data()?;
        file_bytes = env.options.segment_bytes;
    }
    let active = Arc::new(Active::new(file, handle));
    active.commit(scan.footer.end, align_block(scan.cut), &scan.footer.index);
    Ok(Writer::new(active, id, scan.footer, scan.cut, file_bytes))
}

fn missing(env: &Env, from: Position, to: Position) -> OpenError {
    OpenError::Damaged(Box::new(Damage {
        file: env.log_dir.join(segment::file_name(from, 1)),
        offsets: 0..0,
        positions: from..to,
        what: "acknowledged batches are missing".to_owned(),
    }))
}

/// Names the file in an I/O error.
pub(crate) fn at(file: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let file = file.to_owned();
    move |source| OpenError::Io { file, source }
}
