//! The real disk and the real clock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use agenttracer_model::Timestamp;

use super::{Clock, Disk, DiskFile, Mapping};

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        // What is new must be named durably all the way up, or a crash can lose everything below it.
        let mut missing = Vec::new();
        let mut at = path;
        while !at.as_os_str().is_empty() && !at.try_exists()? {
            missing.push(at);
            match at.parent() {
                Some(parent) => at = parent,
                None => break,
            }
        }
        std::fs::create_dir_all(path)?;
        for new in missing {
            self.sync_dir(parent_of(new))?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed since the directory was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // A name that is not UTF-8 is none of ours.
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(File::open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).create_new(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn map(&self, path: &Path) -> io::Result<Mapping> {
        crate::mmap::map(&File::open(path)?)
    }

    /// The file holds this process's id as text, for people; what counts is the lock on it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        // Not truncated on opening: until the lock is ours, the text belongs to whoever has it.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Box::new(file))
    }
}

/// The directory that holds the name of `path`.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, offset) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic zero is now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Timestamp::from_micros(micros)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_created_written_renamed_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        RealDisk.create_dir_all(&deep).unwrap();
        RealDisk.create_dir_all(&deep).unwrap();

        let file = RealDisk.create(&deep.join("one")).unwrap();
        assert_eq!(RealDisk.create(&deep.join("one")).err().unwrap().kind(), ErrorKind::AlreadyExists);
        file.write_all_at(b"hello", 3).unwrap();
        file.set_len(10).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 10);

        RealDisk.rename(&deep.join("one"), &deep.join("two")).unwrap();
        RealDisk.sync_dir(&deep).unwrap();
        assert!(!RealDisk.exists(&deep.join("one")).unwrap());
        assert_eq!(RealDisk.list(&deep).unwrap(), [("two".to_owned(), 10)]);
        assert_eq!(RealDisk.list(dir.path()).unwrap(), [], "directories are left out");

        assert_eq!(&RealDisk.map(&deep.join("two")).unwrap()[..], b"\0\0\0hello\0\0");
        let mut word = [0; 5];
        RealDisk.open_read(&deep.join("two")).unwrap().read_exact_at(&mut word, 3).unwrap();
        assert_eq!(&word, b"hello");
        let short = RealDisk.open(&deep.join("two")).unwrap().read_exact_at(&mut word, 6);
        assert_eq!(short.unwrap_err().kind(), ErrorKind::UnexpectedEof);

        RealDisk.remove(&deep.join("two")).unwrap();
        for missing in [RealDisk.open(&deep.join("two")), RealDisk.open_read(&deep.join("two"))] {
            assert_eq!(missing.err().unwrap().kind(), ErrorKind::NotFound);
        }
    }

    #[test]
    fn an_empty_file_maps_to_no_bytes() {
        let dir = tempfile::tempdir().unwrap();
        RealDisk.create(&dir.path().join("empty")).unwrap();
        assert!(RealDisk.map(&dir.path().join("empty")).unwrap().is_empty());
    }

    #[test]
    fn a_lock_is_held_for_the_life_of_its_guard_and_names_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        std::fs::write(&path, "4294967295 left behind").unwrap();
        let guard = RealDisk.lock(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(RealDisk.lock(&path).err().unwrap().kind(), ErrorKind::WouldBlock);
        drop(guard);
        RealDisk.lock(&path).unwrap();
    }

    #[test]
    fn the_clock_is_of_this_century_and_its_monotonic_side_never_goes_back() {
        let clock = SystemClock::new();
        assert!(clock.now() > Timestamp::MIN_SENT && clock.now() < Timestamp::END_SENT);
        let first = clock.monotonic_ms();
        assert!(clock.monotonic_ms() >= first);
    }
}
