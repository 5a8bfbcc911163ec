use std::io;
use std::path::Path;

use super::{Backup, BackupError, Meter, Progress, at, hash};
use crate::OpenError;
use crate::disk::Disk;
use crate::manifest::Manifest;
use crate::recovery;
use crate::segment::SegmentFile;

/// Stands in a data directory from before the first file of a restore until after the last.
const UNFINISHED: &str = "RESTORING";

/// Makes the data directory `dir` from the backup in `source`, after every byte of that was checked. What it holds then is the
/// same log, closed cleanly at the backup's position: the next start makes the index from it.
///
/// # Errors
/// `Bad` when the backup is not whole: nothing was written then. `NotEmpty` when there is something in `dir`, unless that is what an
/// interrupted restore left: then it begins anew.
pub fn restore(
    disk: &dyn Disk,
    source: &Path,
    dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Backup, BackupError> {
    let marker = dir.join(UNFINISHED);
    let log_dir = dir.join("log");
    if !is_unfinished(disk, dir).map_err(at(&marker))? {
        refuse_files(disk, dir)?;
        refuse_files(disk, &log_dir)?;
    }
    let (backup, slot) = Backup::check(disk, source, progress)?;

    disk.create_dir_all(dir).map_err(at(dir))?;
    let lock_file = dir.join("LOCK");
    let _lock = disk.lock(&lock_file).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => BackupError::Log(OpenError::Locked(dir.to_owned())),
        _ => BackupError::Io { file: lock_file.clone(), source },
    })?;
    let mark = || -> io::Result<()> {
        if !disk.exists(&marker)? {
            disk.create(&marker)?.sync_data()?;
        }
        disk.sync_dir(dir)?;
        disk.create_dir_all(&log_dir)?;
        // Whatever an interrupted restore left, perhaps of another backup.
        for (name, _) in disk.list(&log_dir)? {
            disk.remove(&log_dir.join(name))?;
        }
        Ok(())
    };
    mark().map_err(at(&marker))?;
    let mut meter = Meter::new(progress, backup.bytes());
    for (listed, entry) in backup.segments.iter().zip(&slot.segments) {
        let from = source.join(&listed.name);
        let to = SegmentFile::new(&log_dir, slot.log_id, entry.first, entry.generation).path;
        let original = disk.open_read(&from).map_err(at(&from))?;
        let copy = disk.create(&to).map_err(at(&to))?;
        let sha256 = hash(&*original, listed.bytes, Some(&*copy), &mut meter).map_err(at(&to))?;
        if sha256 != listed.sha256 {
            return Err(BackupError::Bad { file: from, what: "it changed since it was checked".to_owned() });
        }
        copy.sync_data().map_err(at(&to))?;
    }
    let finish = || -> io::Result<()> {
        disk.sync_dir(&log_dir)?;
        Manifest::create(disk, dir, slot)?;
        disk.remove(&marker)?;
        disk.sync_dir(dir)
    };
    finish().map_err(at(dir))?;
    Ok(backup)
}

/// Whether a restore into `dir` was begun and did not come to its end.
///
/// # Errors
/// When the disk fails.
pub fn is_unfinished(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    disk.exists(&dir.join(UNFINISHED))
}

/// An error when a restore into `dir` did not come to its end: what stands there is a part of a log, and none of it may be taken
/// for the whole.
pub(crate) fn refuse_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    match is_unfinished(disk, dir).map_err(recovery::at(dir))? {
        true => Err(OpenError::Unfinished { dir: dir.to_owned(), what: "restore" }),
        false => Ok(()),
    }
}

fn refuse_files(disk: &dyn Disk, dir: &Path) -> Result<(), BackupError> {
    if !disk.exists(dir).map_err(at(dir))? {
        return Ok(());
    }
    // A lock alone is what somebody left who looked.
    match disk.list(dir).map_err(at(dir))?.into_iter().find(|(name, _)| name != "LOCK") {
        Some((name, _)) => Err(BackupError::NotEmpty { dir: dir.to_owned(), name }),
        None => Ok(()),
    }
}
