use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Disk, DiskFile, Mapping};

/// A disk that counts what is asked of another one: for benches, and for tests of what may not cost a sync.
pub struct CountingDisk {
    disk: Arc<dyn Disk>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    syncs: AtomicU64,
    dir_syncs: AtomicU64,
}

/// What was asked of a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `read_at`.
    pub reads: u64,
    /// Bytes that they returned.
    pub read_bytes: u64,
    /// Calls of `write_all_at`.
    pub writes: u64,
    /// Bytes that they wrote.
    pub written_bytes: u64,
    /// Calls of `sync_data`.
    pub syncs: u64,
    /// Calls of `sync_dir`.
    pub dir_syncs: u64,
}

impl CountingDisk {
    /// Counts the calls to `disk`.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, counters: Arc::default() }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            reads: read(&self.counters.reads),
            read_bytes: read(&self.counters.read_bytes),
            writes: read(&self.counters.writes),
            written_bytes: read(&self.counters.written_bytes),
            syncs: read(&self.counters.syncs),
            dir_syncs: read(&self.counters.dir_syncs),
        }
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CountingFile { file, counters: self.counters.clone() })
    }
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Disk for CountingDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open_read(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        count(&self.counters.dir_syncs, 1);
        self.disk.sync_dir(dir)
    }

    fn map(&self, path: &Path) -> io::Result<Mapping> {
        self.disk.map(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }
}

struct CountingFile {
    file: Arc<dyn DiskFile>,
    counters: Arc<Counters>,
}

impl DiskFile for CountingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buf, offset)?;
        count(&self.counters.reads, 1);
        count(&self.counters.read_bytes, read as u64);
        Ok(read)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        count(&self.counters.writes, 1);
        count(&self.counters.written_bytes, bytes.len() as u64);
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        count(&self.counters.syncs, 1);
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    #[test]
    fn calls_and_bytes_are_counted_whoever_opened_the_file() {
        let disk = CountingDisk::new(Arc::new(SimDisk::new(1)));
        let dir = Path::new("/data");
        disk.create_dir_all(dir).unwrap();
        let file = disk.create(&dir.join("file")).unwrap();
        file.write_all_at(b"12345", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(dir).unwrap();
        disk.open_read(&dir.join("file")).unwrap().read_at(&mut [0; 9], 2).unwrap();
        let counts = Counts { reads: 1, read_bytes: 3, writes: 1, written_bytes: 5, syncs: 1, dir_syncs: 1 };
        assert_eq!(disk.counts(), counts);
    }
}
