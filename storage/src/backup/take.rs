use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use agenttracer_model::{Position, hex};
use uuid::Uuid;

use super::record::remember;
use super::{BACKUP_FORMAT, Backup, BackupError, BackupFile, LIST, Meter, Progress, at, hash, name_of, write_file};
use crate::disk::{Clock, Disk, DiskFile};
use crate::format::{Entry, Footer, SEGMENT_HEADER_BYTES, Slot, align_block, align8};
use crate::manifest::Manifest;
use crate::recovery::read_header;
use crate::segment::{SegmentFile, Source, Span, Walker, read_footer};
use crate::{Damage, KnownDurable, OpenError, repair, verify};

/// How often a manifest is read that a server writes at that moment.
const READS: usize = 10;
/// How often segments may be gone because others took their place.
const ROUNDS: usize = 1000;

/// How a backup is taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Copies also what could be a hard link. A link costs no space, but the bytes are then there only once. Default: no.
    pub copy: bool,
    /// What the index has committed: so much the log must hold. Default: nothing.
    pub known_durable: Option<KnownDurable>,
}

/// A backup that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What is in it.
    pub backup: Backup,
    /// Segments that share their bytes with the data directory.
    pub linked: u64,
    /// Segments that were copied.
    pub copied: u64,
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Segments that were in the directory already.
    pub reused: u64,
    /// Damage in the segments that are new in this backup: their bytes were taken as they are.
    pub damage: Vec<Damage>,
}

/// Takes a backup of the log in `dir` into `target`, as of a position: every batch that was acknowledged before the call is in
/// it, and whole ones only.
///
/// Nobody needs to stop for it, and nobody is asked. Sealed segments never change; when one was replaced before it could be
/// copied, the manifest names the one that took its place. Of the active segment the batches are taken whose checksums hold.
///
/// # Errors
/// See [`BackupError`]. A backup that was in `target` before is then still there as it was.
pub fn take(
    disk: &dyn Disk,
    clock: &dyn Clock,
    dir: &Path,
    target: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Taken, BackupError> {
    super::refuse_unfinished(disk, dir)?;
    repair::refuse_unfinished(disk, dir)?;
    let slot = read_manifest(disk, dir)?;
    let previous = prepare(disk, target, slot.log_id)?;
    let lock_file = target.join("LOCK");
    let _lock = disk.lock(&lock_file).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => BackupError::Busy(target.to_owned()),
        _ => BackupError::Io { file: lock_file.clone(), source },
    })?;
    let told =
        options.known_durable.filter(|known| known.log == slot.log_id).map_or(Position::ZERO, |known| known.below);
    let known = told.max(slot.floor);
    let held = previous.iter().flat_map(Backup::files).map(|file| (file.name.clone(), file.clone())).collect();
    let total = slot.segments.iter().map(|entry| entry.file_bytes).sum();
    let mut taking = Taking {
        disk,
        dir,
        log_dir: dir.join("log"),
        target,
        copy: options.copy,
        held,
        meter: Meter::new(progress, total),
        counts: Counts::default(),
        damage: Vec::new(),
    };
    let (slot, segments) = taking.consistent(slot, known)?;
    let Taking { counts, damage, .. } = taking;

    disk.sync_dir(&target.join("log")).map_err(at(target))?;
    let manifest = write_slot(disk, target, &slot)?;
    let backup = Backup {
        format: BACKUP_FORMAT,
        log_id: slot.log_id,
        position: slot.sealed_end().get(),
        taken_at: clock.now().to_string(),
        manifest,
        segments,
    };
    let publish = || -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(&backup)?;
        bytes.push(b'\n');
        // The files that it lists before the list.
        disk.sync_dir(target)?;
        write_file(disk, &target.join(LIST), |file| file.write_all_at(&bytes, 0))?;
        disk.sync_dir(target)
    };
    publish().map_err(at(&target.join(LIST)))?;
    remember(disk, dir, target, &backup, counts.linked)?;
    remove_unlisted(disk, target, &backup)?;
    let Counts { linked, copied, copied_bytes, reused } = counts;
    Ok(Taken { backup, linked, copied, copied_bytes, reused, damage })
}

#[derive(Clone, Copy, Default)]
struct Counts {
    linked: u64,
    copied: u64,
    copied_bytes: u64,
    reused: u64,
}

struct Taking<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    log_dir: PathBuf,
    target: &'a Path,
    copy: bool,
    /// What is in the target, by name.
    held: HashMap<String, BackupFile>,
    meter: Meter<'a>,
    counts: Counts,
    damage: Vec<Damage>,
}

/// Why a round came to no end.
enum Stop {
    /// A file is not there.
    Gone(PathBuf),
    Failed(BackupError),
}

impl From<BackupError> for Stop {
    fn from(error: BackupError) -> Self {
        Self::Failed(error)
    }
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Failed(error.into())
    }
}

impl Taking<'_> {
    /// Brings every segment of one slot of the manifest into the target, and what stands behind them. When a segment is gone,
    /// because a running server put another one in its place, the manifest says so, and the round begins again with that.
    fn consistent(&mut self, mut slot: Slot, known: Position) -> Result<(Slot, Vec<BackupFile>), BackupError> {
        for _ in 0..ROUNDS {
            let gone = match self.round(&slot, known) {
                Ok(taken) => return Ok(taken),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Gone(path)) => path,
            };
            let now = read_manifest(self.disk, self.dir)?;
            if now.txn == slot.txn {
                let positions = slot.floor..slot.floor;
                let what = "the manifest lists this segment, but the file is missing".to_owned();
                let damage = Damage { file: gone, offsets: 0..0, positions, what };
                return Err(OpenError::Damaged(Box::new(damage)).into());
            }
            slot = now;
        }
        Err(BackupError::Restless(self.dir.to_owned()))
    }

    fn round(&mut self, slot: &Slot, known: Position) -> Result<(Slot, Vec<BackupFile>), Stop> {
        let mut entries = slot.segments.clone();
        let mut files = Vec::with_capacity(entries.len() + 1);
        for entry in &entries {
            let file = SegmentFile::new(&self.log_dir, slot.log_id, entry.first, entry.generation);
            files.push(self.sealed(slot.log_id, &file, entry)?);
        }
        // Behind the listed ones: perhaps some that were sealed since, and the active one.
        let mut end = slot.sealed_end();
        loop {
            let file = SegmentFile::new(&self.log_dir, slot.log_id, end, 1);
            let handle = match self.disk.open_read(&file.path) {
                Ok(handle) => handle,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&file.path)(error).into()),
                // There is none while the disk is full. But it may also have been sealed and merged with others meanwhile.
                Err(_) if read_manifest(self.disk, self.dir)?.txn == slot.txn => break,
                Err(_) => return Err(Stop::Gone(file.path)),
            };
            let id = entries.last().map_or(1, |entry| entry.id + 1);
            let failed = at(&file.path);
            let file_bytes = handle.len().map_err(&failed)?;
            let sealed = read_footer(&*handle, &file, file_bytes).map_err(&failed)?;
            let entry = |footer: &Footer, file_bytes| Entry {
                id,
                first: end,
                end: footer.end,
                file_bytes,
                generation: 1,
                chain: footer.chain,
            };
            match sealed {
                Ok((footer, _)) if footer.first == end && footer.end > end => {
                    let entry = entry(&footer, file_bytes);
                    files.push(self.sealed(slot.log_id, &file, &entry)?);
                    end = entry.end;
                    entries.push(entry);
                }
                _ => {
                    if let Err(what) = read_header(&*handle, &file, slot.log_id)? {
                        let (offsets, what) = (0..SEGMENT_HEADER_BYTES, what.to_owned());
                        let damage = Damage { file: file.path, offsets, positions: end..known.max(end), what };
                        return Err(OpenError::Damaged(Box::new(damage)).into());
                    }
                    let (footer, cut) = whole_batches(handle.clone(), &file, file_bytes, known)?;
                    if footer.batches > 0 {
                        let sealed = footer.encode(file.seed, align_block(cut));
                        let entry = entry(&footer, align_block(cut) + sealed.len() as u64);
                        files.push(self.part(&*handle, &entry, cut, &sealed)?);
                        end = entry.end;
                        entries.push(entry);
                    }
                    break;
                }
            }
        }
        if end < known {
            let what = "acknowledged batches are missing".to_owned();
            let file = self.log_dir.clone();
            return Err(
                OpenError::Damaged(Box::new(Damage { file, offsets: 0..0, positions: end..known, what })).into()
            );
        }
        Ok((Slot { floor: end, clean: true, segments: entries, ..slot.clone() }, files))
    }

    /// Brings a sealed segment into the target, unless it is there.
    fn sealed(&mut self, log_id: Uuid, file: &SegmentFile, entry: &Entry) -> Result<BackupFile, Stop> {
        let name = name_of(entry);
        let target = self.target.join(&name);
        if let Some(held) = self.reuse(&name, entry.file_bytes)? {
            return Ok(held);
        }
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Stop::Gone(file.path.clone()),
            _ => at(&file.path)(error).into(),
        };
        let original = self.disk.open_read(&file.path).map_err(gone)?;
        let len = original.len().map_err(gone)?;
        if len < entry.file_bytes {
            let what = "the file is shorter than the manifest says".to_owned();
            let damage = Damage {
                file: file.path.clone(),
                offsets: len..entry.file_bytes,
                positions: entry.first..entry.end,
                what,
            };
            return Err(OpenError::Damaged(Box::new(damage)).into());
        }
        let sha256 = if !self.copy && len == entry.file_bytes && self.link(&file.path, &target).map_err(gone)? {
            self.counts.linked += 1;
            // Of the link: should the file have been replaced since it was opened, this is what the backup has.
            let linked = self.disk.open_read(&target).map_err(at(&target))?;
            linked.sync_data().map_err(at(&target))?;
            hash(&*linked, entry.file_bytes, None, &mut self.meter).map_err(at(&target))?
        } else {
            self.counts.copied += 1;
            self.counts.copied_bytes += entry.file_bytes;
            let mut sha256 = String::new();
            let meter = &mut self.meter;
            let copy = |to: &dyn DiskFile| {
                sha256 = hash(&*original, entry.file_bytes, Some(to), meter)?;
                Ok(())
            };
            write_file(self.disk, &target, copy).map_err(at(&target))?;
            sha256
        };
        self.damage.extend(verify::damage_of_segment(self.disk, &target, log_id, entry)?);
        let taken = BackupFile { name: name.clone(), bytes: entry.file_bytes, sha256 };
        self.held.insert(name, taken.clone());
        Ok(taken)
    }

    /// Writes the whole batches of the active segment, which end before offset `cut`, as a sealed one.
    fn part(&mut self, active: &dyn DiskFile, entry: &Entry, cut: u64, sealed: &[u8]) -> Result<BackupFile, Stop> {
        let name = name_of(entry);
        if let Some(held) = self.reuse(&name, entry.file_bytes)? {
            return Ok(held);
        }
        let target = self.target.join(&name);
        let mut sha256 = String::new();
        let (disk, meter) = (self.disk, &mut self.meter);
        let write = |to: &dyn DiskFile| {
            hash(active, cut, Some(to), &mut *meter)?;
            // What stands behind the cut in its block may be half of the next group.
            let mut rest = vec![0; (align_block(cut) - cut) as usize];
            rest.extend_from_slice(sealed);
            to.write_all_at(&rest, cut)?;
            sha256 = hash(to, entry.file_bytes, None, &mut *meter)?;
            Ok(())
        };
        write_file(disk, &target, write).map_err(at(&target))?;
        self.counts.copied += 1;
        self.counts.copied_bytes += entry.file_bytes;
        let taken = BackupFile { name: name.clone(), bytes: entry.file_bytes, sha256 };
        self.held.insert(name, taken.clone());
        Ok(taken)
    }

    /// What the target has under this name, if a list says so and the file is as long as it should be.
    fn reuse(&mut self, name: &str, bytes: u64) -> Result<Option<BackupFile>, BackupError> {
        let Some(held) = self.held.get(name).filter(|held| held.bytes == bytes) else { return Ok(None) };
        let path = self.target.join(name);
        match self.disk.open_read(&path).and_then(|file| file.len()) {
            Ok(len) if len == bytes => {
                self.counts.reused += 1;
                self.meter.add(bytes);
                Ok(Some(held.clone()))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Whether the file got another name; when the file system has no such thing, it did not.
    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        if self.disk.exists(to)? {
            // Left by a backup that was interrupted, so nobody lists it.
            self.disk.remove(to)?;
        }
        match self.disk.link(from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            Err(error) => {
                tracing::debug!(%error, "no hard link: the segment is copied");
                Ok(false)
            }
        }
    }
}

/// The newest valid slot of the manifest, which a server may be writing.
fn read_manifest(disk: &dyn Disk, dir: &Path) -> Result<Slot, BackupError> {
    let mut bad = None;
    for _ in 0..READS {
        let found = Manifest::read(disk, dir)?;
        if let Some(manifest) = found.manifest {
            return Ok(manifest.slot);
        }
        bad = found.bad.into_iter().next();
    }
    Err(OpenError::Damaged(Box::new(bad.unwrap_or_else(|| Damage {
        file: dir.join("manifest.a"),
        offsets: 0..0,
        positions: Position::ZERO..Position::ZERO,
        what: "the manifest is missing".to_owned(),
    })))
    .into())
}

/// Makes sure that `target` is a directory for backups of this log; returns the list of the one that is there.
fn prepare(disk: &dyn Disk, target: &Path, log_id: Uuid) -> Result<Option<Backup>, BackupError> {
    disk.create_dir_all(&target.join("log")).map_err(at(target))?;
    let previous = match Backup::read(disk, target) {
        // Of a list that cannot be read nothing is reused, and nothing is lost with it.
        Err(BackupError::Bad { file, what }) => {
            tracing::warn!(file = %file.display(), what, "the backup before this one cannot be used");
            return Ok(None);
        }
        previous => previous?,
    };
    match &previous {
        Some(previous) if previous.log_id != log_id => {
            let found = previous.log_id;
            Err(BackupError::OtherLog { dir: target.to_owned(), found, wanted: log_id })
        }
        Some(_) => Ok(previous),
        None => {
            let is_ours = |name: &str| name == "LOCK" || name == "backup.json.new" || name.starts_with("manifest-");
            let files = disk.list(target).map_err(at(target))?;
            match files.into_iter().find(|(name, _)| !is_ours(name)) {
                Some((name, _)) => Err(BackupError::NotEmpty { dir: target.to_owned(), name }),
                None => Ok(None),
            }
        }
    }
}

fn write_slot(disk: &dyn Disk, target: &Path, slot: &Slot) -> Result<BackupFile, BackupError> {
    use sha2::{Digest, Sha256};
    let bytes = slot.encode();
    let sha256 = hex(&Sha256::digest(&bytes));
    // Named by its content: the slot of the backup before must stay until this one is listed.
    let name = format!("manifest-{}", &sha256[..16]);
    let path = target.join(&name);
    write_file(disk, &path, |file| file.write_all_at(&bytes, 0)).map_err(at(&path))?;
    Ok(BackupFile { name, bytes: bytes.len() as u64, sha256 })
}

/// Removes what only earlier backups listed, and what interrupted ones left.
fn remove_unlisted(disk: &dyn Disk, target: &Path, backup: &Backup) -> Result<(), BackupError> {
    let listed: HashSet<_> = backup.files().map(|file| target.join(&file.name)).collect();
    let log_dir = target.join("log");
    let in_log = disk.list(&log_dir).map_err(at(&log_dir))?.into_iter().map(|(name, _)| log_dir.join(name));
    let slots = disk.list(target).map_err(at(target))?.into_iter().map(|(name, _)| name);
    let slots = slots.filter(|name| name.starts_with("manifest-")).map(|name| target.join(name));
    for path in in_log.chain(slots).filter(|path| !listed.contains(path)) {
        disk.remove(&path).map_err(at(&path))?;
    }
    disk.sync_dir(&log_dir).and_then(|()| disk.sync_dir(target)).map_err(at(target))
}

/// The batches of a segment without a footer, summed up, and where they end. A server may be writing it: what is half written
/// behind them is not yet there. Damage is when a later group is whole.
fn whole_batches(
    handle: std::sync::Arc<dyn DiskFile>,
    file: &SegmentFile,
    file_bytes: u64,
    known: Position,
) -> Result<(Footer, u64), BackupError> {
    let failed = at(&file.path);
    let mut footer = Footer::empty(file.first, file.seed);
    let mut cut = SEGMENT_HEADER_BYTES;
    let walker = |footer: &Footer, cut| {
        let span = Span { offset: cut, limit: file_bytes, first: footer.end, end: None, chain: Some(footer.chain) };
        Walker::new(file.clone(), Source::file(handle.clone(), super::PIECE_BYTES), span)
    };
    let walk = |footer: &mut Footer, cut: &mut u64| -> io::Result<()> {
        let mut walker = walker(footer, *cut);
        while let Some(frame) = walker.strict()? {
            footer.add(&frame.header, frame.header_crc, frame.offset);
            *cut = align8(frame.bytes().end);
        }
        Ok(())
    };
    walk(&mut footer, &mut cut).map_err(&failed)?;
    let (end, looked_at) = (footer.end, cut);
    let later = walker(&footer, cut).search(cut, |header| header.group_first > end || header.durable > end);
    if let Some(later) = later.map_err(&failed)? {
        // Groups are written one after the other: when this one is whole, those before it are. So they came since, or never will.
        walk(&mut footer, &mut cut).map_err(&failed)?;
        if cut == looked_at {
            let positions = end..later.header.first.max(known);
            let what = "a valid batch of a later sync group stands behind bytes that are none".to_owned();
            let damage = Damage { file: file.path.clone(), offsets: cut..later.offset, positions, what };
            return Err(OpenError::Damaged(Box::new(damage)).into());
        }
    }
    Ok((footer, cut))
}
