//! Every disk call and clock reading of the engine goes through the traits of this file, so that a simulated disk
//! can stand in for the real one.

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use agenttracer_model::Timestamp;

mod counting;
mod real;
pub mod sim;

pub use counting::{CountingDisk, Counts};
pub use real::{RealDisk, SystemClock};
pub use sim::{SimClock, SimDisk};

/// A file system.
///
/// Names are data too: after [`create`](Disk::create), [`rename`](Disk::rename), [`link`](Disk::link) and
/// [`remove`](Disk::remove) a crash
/// can undo the change until [`sync_dir`](Disk::sync_dir) of the directory returned.
pub trait Disk: Send + Sync + 'static {
    /// Creates a directory and its parents, durably; nothing happens when it is there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names and lengths of the files in a directory, sorted by name; directories in it are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;
    /// Whether a file or directory is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Opens a file to read and write; `NotFound` when it is not there.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to read; `NotFound` when it is not there.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates an empty file; `AlreadyExists` when it is there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file, replacing `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; `AlreadyExists` when `to` is there. Some file systems cannot, and none across itself.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Open handles and mappings of it stay valid.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names of a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Maps a file that nobody will change or shorten any more. An empty file maps to no bytes.
    fn map(&self, path: &Path) -> io::Result<Mapping>;
    /// Takes the lock file for the life of the guard; `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`; after an error any part may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Shortens the file, or lengthens it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The file's length.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Makes the bytes and the length durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;

    /// Fills `buf` from `offset`; `UnexpectedEof` when the file is too short.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
}

/// The bytes of a mapped file, or a copy of them. Clones share them, and they stay at one place in memory.
#[derive(Clone)]
pub struct Mapping(Bytes);

#[derive(Clone)]
enum Bytes {
    Memory(Arc<[u8]>),
    Mapped(Arc<memmap2::Mmap>),
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Memory(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }
}

impl From<Vec<u8>> for Mapping {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::Memory(bytes.into()))
    }
}

impl From<memmap2::Mmap> for Mapping {
    fn from(map: memmap2::Mmap) -> Self {
        Self(Bytes::Mapped(Arc::new(map)))
    }
}

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock; it may jump.
    fn now(&self) -> Timestamp;
    /// Milliseconds of a clock that never goes back; the zero is arbitrary.
    fn monotonic_ms(&self) -> u64;
}
