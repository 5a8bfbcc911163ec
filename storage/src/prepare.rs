//! Prepared segments: a spare file, zero-filled and synced, that becomes the next segment by a rename.
//!
//! *Format*: `log/spare` is as long as a segment, all zeros; `log/reserve` is as long and never becomes anything: it is
//! given back when the manifest finds no space.
//! *Durability*: the spare is filled and synced under another name, then renamed; so a file named `spare` is whole. Syncing
//! into blocks that were written before takes half the time of growing a file, and a full disk strikes here first,
//! while the active segment still has its blocks.
//! *Recovery*: a spare of the right length is used, anything else is removed and made again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::format::align_block;

/// Zeros are written and synced in pieces, so that a group commit never waits behind a whole segment of them.
const PIECE_BYTES: u64 = 1 << 20;

/// Keeps one spare segment and the reserve.
pub(crate) struct Prepared {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    segment_bytes: u64,
    ready: Mutex<bool>,
    /// Held while the reserve is made or given back. Not the lock of the spare: a commit that begins a segment must not wait
    /// for a reserve.
    reserve: Mutex<()>,
}

impl Prepared {
    pub(crate) fn new(disk: Arc<dyn Disk>, log_dir: PathBuf, segment_bytes: u64) -> Self {
        Self {
            disk,
            log_dir,
            segment_bytes: align_block(segment_bytes),
            ready: Mutex::new(false),
            reserve: Mutex::new(()),
        }
    }

    /// Makes sure that a spare is there. `StorageFull` when there is no space for it, `Interrupted` when `give_up` said so.
    pub(crate) fn ensure_spare(&self, give_up: &dyn Fn() -> bool) -> io::Result<()> {
        let mut ready = self.lock();
        if !*ready {
            self.prepare("spare", give_up)?;
            *ready = true;
        }
        Ok(())
    }

    /// Makes sure that the reserve is there. Errors as for [`ensure_spare`](Self::ensure_spare).
    pub(crate) fn ensure_reserve(&self, give_up: &dyn Fn() -> bool) -> io::Result<()> {
        let _guard = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        self.prepare("reserve", give_up)
    }

    /// Gives the reserve back to the file system; whether there was one.
    pub(crate) fn release_reserve(&self) -> io::Result<bool> {
        let _guard = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.log_dir.join("reserve");
        if !self.disk.exists(&path)? {
            return Ok(false);
        }
        self.disk.remove(&path)?;
        self.disk.sync_dir(&self.log_dir)?;
        Ok(true)
    }

    /// Turns the spare into the file at `path` that begins with `header`, durably; returns it with its length.
    pub(crate) fn take(&self, path: &Path, header: &[u8]) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let mut ready = self.lock();
        if !*ready {
            self.prepare("spare", &|| false)?;
        }
        *ready = false;
        let spare = self.log_dir.join("spare");
        let file = self.disk.open(&spare)?;
        // The header first: a crash before the rename leaves a spare whose first block will be written again.
        file.write_all_at(header, 0)?;
        file.sync_data()?;
        self.disk.rename(&spare, path)?;
        self.disk.sync_dir(&self.log_dir)?;
        Ok((file, self.segment_bytes))
    }

    /// Forgets what was ready: after a failed sync nobody knows.
    pub(crate) fn forget(&self) {
        *self.lock() = false;
    }

    fn prepare(&self, name: &str, give_up: &dyn Fn() -> bool) -> io::Result<()> {
        let path = self.log_dir.join(name);
        match self.disk.open_read(&path) {
            Ok(file) if file.len()? == self.segment_bytes => return Ok(()),
            Ok(_) => self.disk.remove(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let unfinished = self.log_dir.join(format!("{name}.new"));
        if self.disk.exists(&unfinished)? {
            self.disk.remove(&unfinished)?;
        }
        let filled = self.fill(&unfinished, give_up).and_then(|()| {
            self.disk.rename(&unfinished, &path)?;
            self.disk.sync_dir(&self.log_dir)
        });
        if let Err(error) = filled {
            // Half a spare must not hold the last space of a full disk.
            for leftover in [&unfinished, &path] {
                if self.disk.exists(leftover).unwrap_or(false) {
                    let _ = self.disk.remove(leftover);
                }
            }
            return Err(error);
        }
        Ok(())
    }

    fn fill(&self, path: &Path, give_up: &dyn Fn() -> bool) -> io::Result<()> {
        let file = self.disk.create(path)?;
        let zeros = vec![0; PIECE_BYTES.min(self.segment_bytes) as usize];
        let mut at = 0;
        while at < self.segment_bytes {
            if give_up() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let piece = PIECE_BYTES.min(self.segment_bytes - at);
            file.write_all_at(&zeros[..piece as usize], at)?;
            at += piece;
            if at.is_multiple_of(4 * PIECE_BYTES) || at == self.segment_bytes {
                file.sync_data()?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    #[test]
    fn a_segment_is_begun_while_the_reserve_is_still_being_made() {
        let disk = Arc::new(SimDisk::new(1));
        let dir = Path::new("/log");
        disk.create_dir_all(dir).unwrap();
        let prepared = Prepared::new(disk.clone(), dir.to_owned(), 16 << 10);
        prepared.ensure_spare(&|| false).unwrap();
        let (taken, took) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let prepared = &prepared;
            // Asked once, in the middle of making it.
            let in_between = || {
                let taken = taken.clone();
                scope.spawn(move || taken.send(prepared.take(&dir.join("1.seg"), &[7; 4096]).map(|(_, len)| len)));
                assert_eq!(took.recv_timeout(std::time::Duration::from_secs(30)).unwrap().unwrap(), 16 << 10);
                false
            };
            prepared.ensure_reserve(&in_between).unwrap();
        });
        let files: Vec<_> = disk.list(dir).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(files, ["1.seg", "reserve"]);
        assert!(prepared.release_reserve().unwrap() && !prepared.release_reserve().unwrap());
    }
}
