//! tantivy's files on our [`Disk`], so that the simulated disk stands under the index too.
//!
//! *Durability*: a file that was terminated has its bytes on disk, and its name after [`Directory::sync_directory`],
//! which tantivy calls before it writes `meta.json`. [`Directory::atomic_write`] of `meta.json` returns when the new
//! content *and* its name are durable: tantivy syncs nothing after it, so a commit that returned is there after a crash.
//! The list of its files, `.managed.json`, tantivy writes anew before each file that it makes, eight times a commit. Nobody
//! else reads it, so it is kept in memory until the next of those two calls: each sync of ours makes the log's wait.
//! *Recovery*: what a crash leaves behind that the list does not name, the next writer removes.
//!
//! *Locks* are held in this process only: the lock of the data directory keeps other processes away.
//!
//! *The end*: tantivy's threads that merge outlive its writer. After [`DiskDirectory::close`] they change nothing more.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use agenttracer_storage::disk::{Disk, DiskFile};
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, DirectoryLock, FileHandle, Lock, OwnedBytes, TerminatingWrite, WatchCallback, WatchCallbackList,
    WatchHandle, WritePtr,
};
use tantivy::{Directory, TantivyError};

/// The file that makes a directory a tantivy index.
pub(crate) const META: &str = "meta.json";
/// tantivy's list of the files that it has made.
pub(crate) const MANAGED: &str = ".managed.json";
/// How much a file gathers before it is written.
const BUFFER_LEN: usize = 128 << 10;
/// What the name of a file ends with that [`Directory::atomic_write`] has not put in its place yet.
const TEMPORARY: &str = ".tmp";
/// What the name of a file ends with that no commit ever names: documents that tantivy sorts into their last place.
const PASSING: &str = ".store.temp";
/// How long a blocking lock is waited for; tantivy's own directories give up after as long.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// A directory of a [`Disk`] that holds one tantivy index. Clones share its locks: open it once.
#[derive(Clone)]
pub struct DiskDirectory(Arc<Shared>);

struct Shared {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    watchers: WatchCallbackList,
    held: Mutex<HashSet<PathBuf>>,
    freed: Condvar,
    /// New contents of files that are to be replaced with the next sync. Held while files are replaced, because
    /// replacements share a temporary name.
    replacements: Mutex<HashMap<PathBuf, Vec<u8>>>,
    /// Whether a file got its name since the directory was last synced.
    has_new_names: AtomicBool,
    /// Mappings of files that are there. Each reload of a reader opens all files again; mapped anew, each would fault
    /// all its pages in again.
    mapped: Mutex<HashMap<PathBuf, OwnedBytes>>,
    /// Held for reading while anything is changed.
    is_closed: RwLock<bool>,
}

impl Shared {
    /// Leave to change something, for as long as it is held. It is taken once on the way to the disk: a second one would
    /// wait for a close that waits for the first.
    fn open(&self) -> io::Result<RwLockReadGuard<'_, bool>> {
        let is_closed = self.is_closed.read().unwrap_or_else(PoisonError::into_inner);
        if *is_closed {
            return Err(io::Error::new(ErrorKind::BrokenPipe, "the index was closed"));
        }
        Ok(is_closed)
    }
}

impl DiskDirectory {
    /// Opens `root`, which is created when it is missing. Nothing else is changed: it may belong to a running server.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        disk.create_dir_all(root)?;
        Ok(Self(Arc::new(Shared {
            disk,
            root: root.to_owned(),
            watchers: WatchCallbackList::default(),
            held: Mutex::default(),
            freed: Condvar::new(),
            replacements: Mutex::default(),
            has_new_names: AtomicBool::new(true),
            mapped: Mutex::default(),
            is_closed: RwLock::default(),
        })))
    }

    /// Ends all changes: waits for those that are being made, and refuses those that come later. What is there can still
    /// be read. Idempotent.
    pub fn close(&self) {
        *self.0.is_closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn path(&self, file: &Path) -> PathBuf {
        self.0.root.join(file)
    }

    /// Puts what waits in its place; what cannot be put there goes on waiting.
    fn replace_all(&self, replacements: &mut HashMap<PathBuf, Vec<u8>>) -> io::Result<()> {
        while let Some((file, data)) = replacements.iter().next() {
            self.replace(&self.path(file), data)?;
            let file = file.clone();
            replacements.remove(&file);
        }
        Ok(())
    }

    /// Replaces a file; its name is durable after [`sync_names`](Self::sync_names).
    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let disk = &self.0.disk;
        let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
        name.push(TEMPORARY);
        let temporary = path.with_file_name(name);
        let file = match disk.create(&temporary) {
            // Left behind by a replacement that failed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                disk.remove(&temporary)?;
                disk.create(&temporary)?
            }
            outcome => outcome?,
        };
        file.write_all_at(data, 0)?;
        file.sync_data()?;
        disk.rename(&temporary, path)?;
        self.0.has_new_names.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Writes a new file that is none of tantivy's. Its bytes are durable when this returns, and its name with the next
    /// file that tantivy commits.
    ///
    /// # Errors
    /// What the disk says; a part of the file may be there then.
    pub(crate) fn write_new(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let _open = self.0.open()?;
        let opened = self.0.disk.create(&self.path(file))?;
        self.0.has_new_names.store(true, Ordering::SeqCst);
        opened.write_all_at(bytes, 0)?;
        opened.sync_data()
    }

    /// Removes such a file.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn remove(&self, file: &Path) -> io::Result<()> {
        let _open = self.0.open()?;
        self.0.disk.remove(&self.path(file))
    }

    /// Makes new names durable. Those that were removed need not be: a file that is back after a crash is a stray.
    fn sync_names(&self) -> io::Result<()> {
        let new = &self.0.has_new_names;
        if new.swap(false, Ordering::SeqCst) {
            self.0.disk.sync_dir(&self.0.root).inspect_err(|_| new.store(true, Ordering::SeqCst))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for DiskDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DiskDirectory").field(&self.0.root).finish()
    }
}

/// A panic while a lock was held left nothing half: each of these critical sections is one insert or remove.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Directory for DiskDirectory {
    fn get_file_handle(&self, file: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let path = self.path(file);
        let mut mapped = lock(&self.0.mapped);
        if let Some(bytes) = mapped.get(&path) {
            return Ok(Arc::new(bytes.clone()));
        }
        let bytes = OwnedBytes::new(self.0.disk.map(&path).map_err(|error| open_read_error(error, file))?);
        mapped.insert(path, bytes.clone());
        Ok(Arc::new(bytes))
    }

    fn delete(&self, file: &Path) -> Result<(), DeleteError> {
        let path = self.path(file);
        let remove = || {
            let _open = self.0.open()?;
            lock(&self.0.replacements).remove(file);
            self.0.disk.remove(&path)
        };
        remove().map_err(|error| match error.kind() {
            ErrorKind::NotFound => DeleteError::FileDoesNotExist(file.to_owned()),
            _ => DeleteError::IoError { io_error: Arc::new(error), filepath: file.to_owned() },
        })?;
        lock(&self.0.mapped).remove(&path);
        Ok(())
    }

    fn exists(&self, file: &Path) -> Result<bool, OpenReadError> {
        if lock(&self.0.replacements).contains_key(file) {
            return Ok(true);
        }
        self.0.disk.exists(&self.path(file)).map_err(|error| open_read_error(error, file))
    }

    fn open_write(&self, file: &Path) -> Result<WritePtr, OpenWriteError> {
        let path = self.path(file);
        let create = || {
            let _open = self.0.open()?;
            self.0.disk.create(&path)
        };
        let opened = create().map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => OpenWriteError::FileAlreadyExists(file.to_owned()),
            _ => OpenWriteError::wrap_io_error(error, file.to_owned()),
        })?;
        self.0.has_new_names.store(true, Ordering::SeqCst);
        let writer = FileWriter { directory: self.0.clone(), path, file: opened, offset: 0, buffer: Vec::new() };
        // tantivy unwraps this buffer and puts its own, small one around; ours is in the writer.
        Ok(BufWriter::new(Box::new(writer)))
    }

    fn atomic_read(&self, file: &Path) -> Result<Vec<u8>, OpenReadError> {
        if let Some(data) = lock(&self.0.replacements).get(file) {
            return Ok(data.clone());
        }
        let read = || {
            let opened = self.0.disk.open_read(&self.path(file))?;
            let len = usize::try_from(opened.len()?).map_err(|_| ErrorKind::FileTooLarge)?;
            let mut bytes = vec![0; len];
            opened.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        read().map_err(|error| open_read_error(error, file))
    }

    fn atomic_write(&self, file: &Path, data: &[u8]) -> io::Result<()> {
        let open = self.0.open()?;
        let mut replacements = lock(&self.0.replacements);
        if file != Path::new(META) {
            replacements.insert(file.to_owned(), data.to_vec());
            return Ok(());
        }
        // It may name files that only the list says are ours.
        self.replace_all(&mut replacements)?;
        self.replace(&self.path(file), data)?;
        self.sync_names()?;
        drop(replacements);
        drop(open);
        drop(self.0.watchers.broadcast());
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let _open = self.0.open()?;
        self.replace_all(&mut lock(&self.0.replacements))?;
        self.sync_names()
    }

    fn acquire_lock(&self, wanted: &Lock) -> Result<DirectoryLock, LockError> {
        let taken = |held: &mut HashSet<PathBuf>| held.contains(&wanted.filepath);
        let patience = if wanted.is_blocking { LOCK_PATIENCE } else { Duration::ZERO };
        let (mut held, _) = self
            .0
            .freed
            .wait_timeout_while(lock(&self.0.held), patience, taken)
            .unwrap_or_else(PoisonError::into_inner);
        if !held.insert(wanted.filepath.clone()) {
            return Err(LockError::LockBusy);
        }
        Ok(DirectoryLock::from(Box::new(Held { directory: self.0.clone(), name: wanted.filepath.clone() })))
    }

    fn watch(&self, callback: WatchCallback) -> Result<WatchHandle, TantivyError> {
        Ok(self.0.watchers.subscribe(callback))
    }
}

fn open_read_error(error: io::Error, file: &Path) -> OpenReadError {
    match error.kind() {
        ErrorKind::NotFound => OpenReadError::FileDoesNotExist(file.to_owned()),
        _ => OpenReadError::wrap_io_error(error, file.to_owned()),
    }
}

/// A lock that is held until this is dropped.
struct Held {
    directory: Arc<Shared>,
    name: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.directory.held).remove(&self.name);
        self.directory.freed.notify_all();
    }
}

/// Writes a new file from its front.
struct FileWriter {
    directory: Arc<Shared>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Where the buffer belongs.
    offset: u64,
    buffer: Vec<u8>,
}

impl FileWriter {
    fn write_out(&mut self) -> io::Result<()> {
        let _open = self.directory.open()?;
        self.file.write_all_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Before taking anything: a call that fails has taken nothing, and can be repeated.
        if self.buffer.len() >= BUFFER_LEN {
            self.write_out()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Readers see the file only when it was terminated, so there is nothing to hurry for.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for FileWriter {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        self.write_out()?;
        if !self.path.to_string_lossy().ends_with(PASSING) {
            let _open = self.directory.open()?;
            self.file.sync_data()?;
        }
        lock(&self.directory.mapped).remove(&self.path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use agenttracer_storage::disk::{RealDisk, SimDisk};

    use super::*;

    /// What tantivy expects of its own directories (`directory/tests.rs` there).
    fn directory() -> (tempfile::TempDir, DiskDirectory) {
        let dir = tempfile::tempdir().unwrap();
        let directory = DiskDirectory::open(Arc::new(RealDisk), &dir.path().join("index")).unwrap();
        (dir, directory)
    }

    const FILE: &str = "some_path";

    fn write(directory: &DiskDirectory, bytes: &[u8]) {
        let mut writer = directory.open_write(Path::new(FILE)).unwrap();
        writer.write_all(bytes).unwrap();
        writer.terminate().unwrap();
    }

    fn read(directory: &DiskDirectory) -> OwnedBytes {
        directory.open_read(Path::new(FILE)).unwrap().read_bytes().unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let (_dir, directory) = directory();
        assert!(matches!(directory.open_read(Path::new(FILE)), Err(OpenReadError::FileDoesNotExist(_))));
        let bytes: Vec<u8> = (0..BUFFER_LEN * 2 + 77).map(|at| (at * 7) as u8).collect();
        let mut writer = directory.open_write(Path::new(FILE)).unwrap();
        for piece in bytes.chunks(1000) {
            writer.write_all(piece).unwrap();
        }
        assert!(directory.exists(Path::new(FILE)).unwrap(), "a file is there from when it is opened");
        writer.terminate().unwrap();
        assert!(read(&directory).as_slice() == bytes);
    }

    #[test]
    fn an_empty_file_is_read_as_no_bytes() {
        let (_dir, directory) = directory();
        write(&directory, b"");
        assert_eq!(read(&directory).as_slice(), b"");
    }

    #[test]
    fn a_file_is_written_once() {
        let (_dir, directory) = directory();
        let writer = directory.open_write(Path::new(FILE)).unwrap();
        assert!(matches!(directory.open_write(Path::new(FILE)), Err(OpenWriteError::FileAlreadyExists(_))));
        writer.terminate().unwrap();
        assert!(matches!(directory.open_write(Path::new(FILE)), Err(OpenWriteError::FileAlreadyExists(_))));
    }

    #[test]
    fn a_deleted_file_is_gone_but_for_those_who_read_it() {
        let (_dir, directory) = directory();
        write(&directory, b"old");
        let old = read(&directory);
        directory.delete(Path::new(FILE)).unwrap();
        assert!(!directory.exists(Path::new(FILE)).unwrap());
        assert!(matches!(directory.open_read(Path::new(FILE)), Err(OpenReadError::FileDoesNotExist(_))));
        assert!(matches!(directory.delete(Path::new(FILE)), Err(DeleteError::FileDoesNotExist(_))));
        write(&directory, b"new");
        assert_eq!((old.as_slice(), read(&directory).as_slice()), (&b"old"[..], &b"new"[..]));
    }

    #[test]
    fn a_closed_directory_is_read_and_never_changed() {
        let (dir, directory) = directory();
        write(&directory, b"old");
        directory.atomic_write(Path::new(META), b"{}").unwrap();
        directory.atomic_write(Path::new(MANAGED), b"[]").unwrap();
        let mut begun = directory.open_write(Path::new("begun")).unwrap();
        begun.write_all(b"half").unwrap();
        directory.close();
        let files = || RealDisk.list(&dir.path().join("index")).unwrap();
        let before = files();
        assert_eq!(begun.terminate().unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert!(directory.open_write(Path::new("new")).is_err());
        assert!(directory.write_new(Path::new("new"), b"new").is_err());
        assert!(directory.delete(Path::new(FILE)).is_err());
        assert!(directory.remove(Path::new(FILE)).is_err());
        assert!(directory.atomic_write(Path::new(META), b"{ }").is_err());
        assert!(directory.sync_directory().is_err());
        assert_eq!(files(), before);
        assert_eq!(
            (read(&directory).as_slice(), &*directory.atomic_read(Path::new(META)).unwrap()),
            (&b"old"[..], &b"{}"[..])
        );
    }

    #[test]
    fn a_replaced_file_has_its_new_content_and_leaves_nothing_beside_it() {
        let (dir, directory) = directory();
        std::fs::write(dir.path().join("index/meta.json.tmp"), "half").unwrap();
        for content in [&b"one"[..], b"another"] {
            directory.atomic_write(Path::new("meta.json"), content).unwrap();
            assert_eq!(directory.atomic_read(Path::new("meta.json")).unwrap(), content);
        }
        let files = RealDisk.list(&dir.path().join("index")).unwrap();
        assert_eq!(files, [("meta.json".to_owned(), 7)]);
        assert!(matches!(directory.atomic_read(Path::new("none")), Err(OpenReadError::FileDoesNotExist(_))));
    }

    #[test]
    fn opening_leaves_alone_what_a_running_server_may_be_writing() {
        let (dir, _running) = directory();
        std::fs::write(dir.path().join("index/meta.json.tmp"), "half").unwrap();
        DiskDirectory::open(Arc::new(RealDisk), &dir.path().join("index")).unwrap();
        assert_eq!(RealDisk.list(&dir.path().join("index")).unwrap(), [("meta.json.tmp".to_owned(), 4)]);
    }

    #[test]
    fn the_list_of_files_is_written_with_the_next_sync_and_read_before() {
        let (dir, directory) = directory();
        let list = Path::new(MANAGED);
        let on_disk = || std::fs::read(dir.path().join("index").join(list)).unwrap_or_default();
        for content in [&b"[]"[..], b"[1]"] {
            directory.atomic_write(list, content).unwrap();
            assert_eq!(on_disk(), b"");
            assert_eq!(directory.clone().atomic_read(list).unwrap(), content);
            assert!(directory.exists(list).unwrap());
        }
        directory.sync_directory().unwrap();
        assert_eq!(on_disk(), b"[1]");
        directory.atomic_write(list, b"[1, 2]").unwrap();
        directory.atomic_write(Path::new(META), b"{}").unwrap();
        assert_eq!(on_disk(), b"[1, 2]", "what is committed never stands beside an older list");
        assert_eq!(directory.atomic_read(list).unwrap(), b"[1, 2]");
    }

    #[test]
    fn the_list_of_files_waits_on_when_it_cannot_be_written() {
        let disk = SimDisk::new(1);
        let directory = DiskDirectory::open(Arc::new(disk.clone()), Path::new("/index")).unwrap();
        directory.atomic_write(Path::new(MANAGED), b"[1]").unwrap();
        disk.set_capacity(Some(0));
        assert_eq!(directory.sync_directory().unwrap_err().kind(), ErrorKind::StorageFull);
        disk.set_capacity(None);
        directory.sync_directory().unwrap();
        assert_eq!(disk.restart().content(&Path::new("/index").join(MANAGED)).unwrap(), b"[1]");
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let (_dir, directory) = directory();
        let named = |name: &str, is_blocking| Lock { filepath: name.into(), is_blocking };
        let first = directory.acquire_lock(&named("a.lock", false)).unwrap();
        let _other = directory.acquire_lock(&named("b.lock", false)).unwrap();
        assert!(matches!(directory.clone().acquire_lock(&named("a.lock", false)), Err(LockError::LockBusy)));

        let (ready, waits) = mpsc::channel();
        let waiter = std::thread::spawn({
            let directory = directory.clone();
            move || {
                ready.send(()).unwrap();
                directory.acquire_lock(&named("a.lock", true)).map(drop)
            }
        });
        waits.recv().unwrap();
        drop(first);
        waiter.join().unwrap().unwrap();
        directory.acquire_lock(&named("a.lock", false)).unwrap();
    }

    #[test]
    fn who_watches_is_told_of_a_new_meta_file_and_only_while_he_watches() {
        let (_dir, directory) = directory();
        let (told, hears) = mpsc::channel();
        let told = Mutex::new(told);
        let handle = directory.watch(WatchCallback::new(move || lock(&told).send(()).unwrap())).unwrap();
        for _ in 0..2 {
            directory.atomic_write(Path::new("meta.json"), b"{}").unwrap();
            hears.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        drop(handle);
        directory.atomic_write(Path::new("meta.json"), b"{}").unwrap();
        // The callback went with its handle, and its end of the channel with it.
        assert_eq!(hears.recv_timeout(Duration::from_secs(30)), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
