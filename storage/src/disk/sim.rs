//! A disk in memory that does, from a seed, what real disks do at the worst moment.
//!
//! *Power loss*: of what was not synced, each 512-byte sector is lost or kept on its own, whatever the order of the
//! writes; lengths likewise; names that were created, changed or removed since the last sync of their directory are
//! kept or forgotten one by one. *Failing calls*: a read, write or sync can be made to fail; a write that fails may
//! have written a part; after a failed sync the pages count as clean, so that a later sync succeeds without writing
//! them, and may even read as what is on disk. *Full disk*: by a capacity. *Damage*: bits flipped, sectors zeroed.
//!
//! The same seed and the same calls give the same outcome.

mod clock;
mod content;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use content::{Change, Content};
use trace::Trace;

use super::{Disk, DiskFile, Mapping};

pub use clock::SimClock;

/// The size of what a disk writes at once: a crash never tears one.
pub const SECTOR_LEN: usize = 512;

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<World>>);

/// A kind of call that can be made to [fail](SimDisk::fail).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `read_at` and `map`.
    Read,
    /// `write_all_at` and `set_len`.
    Write,
    /// `sync_data`.
    Sync,
    /// `sync_dir`.
    SyncDir,
    /// `create`, `rename`, `link` and `remove`.
    Name,
}

struct World {
    dice: Dice,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    /// What is called what, for those who ask now.
    names: BTreeMap<PathBuf, u64>,
    /// What would be called what if nothing but synced names came through.
    durable_names: BTreeMap<PathBuf, u64>,
    /// Since the last sync of their directory, oldest first.
    renamings: Vec<Renaming>,
    directories: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    capacity: Option<u64>,
    /// How many calls of the kind succeed before one fails.
    failures: Vec<(Call, u64)>,
    /// How many calls that change something were made.
    changes: u64,
    crash_at: Option<u64>,
    crashed: bool,
    trace: Trace,
}

/// A change of names that reaches the disk whole or not.
struct Renaming {
    directory: PathBuf,
    /// The name, and the file that it names from then on.
    names: Vec<(PathBuf, Option<u64>)>,
}

impl SimDisk {
    /// An empty disk whose every misfortune follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World {
            dice: Dice(seed),
            files: BTreeMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamings: Vec::new(),
            directories: BTreeSet::new(),
            locks: BTreeSet::new(),
            capacity: None,
            failures: Vec::new(),
            changes: 0,
            crash_at: None,
            crashed: false,
            trace: Trace::default(),
        })))
    }

    /// Cuts the power, if that has not happened yet, and gives the disk as it is found afterwards. Every call through
    /// this one fails from then on. Failures that were ordered are forgotten, the capacity stays.
    pub fn restart(&self) -> Self {
        let mut world = self.world();
        world.crashed = true;
        let dice = Dice(world.dice.next());
        let mut after = Self::new(0).into_world();
        after.dice = dice;
        after.capacity = world.capacity;
        after.directories = world.directories.clone();
        after.names = world.names_after_power_loss();
        after.durable_names = after.names.clone();
        let World { files, dice, .. } = &mut *world;
        for id in after.names.values() {
            after.files.entry(*id).or_insert_with(|| files[id].after_power_loss(dice));
        }
        after.next_file = world.next_file;
        after.trace = world.trace;
        Self(Arc::new(Mutex::new(after)))
    }

    /// Kills the process, if that has not happened yet, and gives the disk as the next process finds it: all that was
    /// written is there, synced or not, and what was not synced is still to be lost. Every call through this one fails
    /// from then on. Failures that were ordered are forgotten, the capacity stays.
    pub fn restart_process(&self) -> Self {
        let mut world = self.world();
        world.crashed = true;
        let mut after = Self::new(0).into_world();
        after.dice = Dice(world.dice.next());
        after.capacity = world.capacity;
        after.directories = world.directories.clone();
        after.names = std::mem::take(&mut world.names);
        after.durable_names = std::mem::take(&mut world.durable_names);
        after.renamings = std::mem::take(&mut world.renamings);
        after.files = std::mem::take(&mut world.files);
        after.next_file = world.next_file;
        after.trace = world.trace;
        Self(Arc::new(Mutex::new(after)))
    }

    fn into_world(self) -> World {
        Arc::into_inner(self.0).expect("nobody else has it").into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls that change something (create, rename, remove, write, set length, sync) were made.
    pub fn changes(&self) -> u64 {
        self.world().changes
    }

    /// A number that tells two courses of disk calls apart: of all calls that were made since the disk was new, through
    /// restarts too, their order, arguments, bytes and outcomes.
    pub fn trace(&self) -> u64 {
        self.world().trace.get()
    }

    /// Crashes in the middle of a changing call: 0 is the next one. That call does nothing, a part or all of what it
    /// should, and it and every later call fail.
    pub fn crash_at_change(&self, nth: u64) {
        let mut world = self.world();
        world.crash_at = Some(world.changes + nth);
    }

    /// Whether the ordered crash has come.
    pub fn has_crashed(&self) -> bool {
        self.world().crashed
    }

    /// Lets one call of this kind fail with EIO: 0 is the next one. Can be ordered several times.
    pub fn fail(&self, call: Call, nth: u64) {
        self.world().failures.push((call, nth));
    }

    /// Forgets the failures that were ordered and have not come.
    pub fn fail_no_more(&self) {
        self.world().failures.clear();
    }

    /// How many bytes all files may have together; writes beyond it fail with ENOSPC. `None`: no bound.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.world().capacity = capacity;
    }

    /// How many bytes all files have together.
    pub fn used(&self) -> u64 {
        self.world().used()
    }

    /// The files that are there, sorted by path.
    pub fn files(&self) -> Vec<PathBuf> {
        self.world().names.keys().cloned().collect()
    }

    /// What a file holds; `None` when it is not there. No call of it is counted or fails.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world();
        Some(world.files[world.names.get(path)?].read().to_vec())
    }

    /// Changes what is on the disk behind everybody's back: `change` gets the file's bytes and may not change how many
    /// they are.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut [u8])) {
        let mut world = self.world();
        let id = world.names[path];
        world.files.get_mut(&id).expect("a name has a file").damage(change);
    }

    /// Flips one bit of what is on the disk.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn flip_bit(&self, path: &Path, byte: usize, bit: u32) {
        self.damage(path, |bytes| bytes[byte] ^= 1 << bit);
    }

    /// Zeroes one sector of what is on the disk.
    ///
    /// # Panics
    /// When there is no such file or sector.
    pub fn zero_sector(&self, path: &Path, sector: usize) {
        self.damage(path, |bytes| {
            let end = bytes.len().min((sector + 1) * SECTOR_LEN);
            bytes[sector * SECTOR_LEN..end].fill(0);
        });
    }

    /// A panic elsewhere must not hide behind a poisoned lock.
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(28)
}

fn crashed() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

/// What becomes of a changing call.
enum Luck {
    Fine,
    /// It fails; a part may be done.
    Fails(io::Error),
}

impl World {
    fn used(&self) -> u64 {
        let named: BTreeSet<_> = self.names.values().collect();
        named.into_iter().map(|id| self.files[id].len() as u64).sum()
    }

    /// To be asked before a call that only looks.
    fn look(&mut self, call: Option<Call>) -> io::Result<()> {
        if self.crashed {
            return Err(crashed());
        }
        let outcome = match call {
            Some(call) if self.is_to_fail(call) => Err(eio()),
            _ => Ok(()),
        };
        self.trace.add(&[1, call.map_or(0, |call| call as u64 + 1), u64::from(outcome.is_ok())]);
        outcome
    }

    /// To be asked before a call that changes something.
    fn change(&mut self, call: Call) -> io::Result<Luck> {
        if self.crashed {
            return Err(crashed());
        }
        let nth = self.changes;
        self.changes += 1;
        if self.crash_at.is_some_and(|at| nth >= at) {
            self.crashed = true;
            return Ok(Luck::Fails(crashed()));
        }
        let fails = self.is_to_fail(call);
        self.trace.add(&[2, call as u64, u64::from(fails)]);
        Ok(if fails { Luck::Fails(eio()) } else { Luck::Fine })
    }

    fn is_to_fail(&mut self, call: Call) -> bool {
        let mut fails = false;
        self.failures.retain_mut(|(kind, left)| {
            if *kind != call {
                return true;
            }
            fails |= *left == 0;
            let stays = *left > 0;
            *left = left.saturating_sub(1);
            stays
        });
        fails
    }

    /// Does `change` to the names, or with bad luck perhaps.
    fn rename(&mut self, names: Vec<(PathBuf, Option<u64>)>) -> io::Result<()> {
        let luck = self.change(Call::Name)?;
        for (name, file) in &names {
            self.trace.add_bytes(name.as_os_str().as_encoded_bytes());
            self.trace.add(&[file.map_or(0, |file| file + 1)]);
        }
        if matches!(luck, Luck::Fine) || self.crashed && self.dice.one_in(2) {
            let directory = names[0].0.parent().unwrap_or(Path::new("")).to_owned();
            set_names(&mut self.names, &names);
            self.renamings.push(Renaming { directory, names });
        }
        match luck {
            Luck::Fine => Ok(()),
            Luck::Fails(error) => Err(error),
        }
    }

    fn names_after_power_loss(&mut self) -> BTreeMap<PathBuf, u64> {
        let mut names = self.durable_names.clone();
        let fate = self.dice.below(4);
        let cut = self.dice.below(self.renamings.len() + 1);
        for (n, renaming) in self.renamings.iter().enumerate() {
            let kept = match fate {
                0 => false,
                1 => true,
                // A journal keeps a first part of them; without one any may be missing.
                2 => n < cut,
                _ => self.dice.one_in(2),
            };
            if kept {
                set_names(&mut names, &renaming.names);
            }
        }
        names
    }

    fn id(&mut self, path: &Path) -> io::Result<u64> {
        self.trace.add_bytes(path.as_os_str().as_encoded_bytes());
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

fn set_names(names: &mut BTreeMap<PathBuf, u64>, changes: &[(PathBuf, Option<u64>)]) {
    for (name, file) in changes {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
}

impl Disk for SimDisk {
    /// A directory is durable at once: nothing of what stands on the disk trait renames or removes one.
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.look(None)?;
        world.directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut world = self.world();
        world.look(None)?;
        if !world.directories.contains(dir) {
            return Err(ErrorKind::NotFound.into());
        }
        let files = world.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let mut files: Vec<_> = files.map(|(path, id)| (name(path), world.files[id].len() as u64)).collect();
        files.sort_unstable();
        Ok(files)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut world = self.world();
        world.look(None)?;
        Ok(world.names.contains_key(path) || world.directories.contains(path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.look(None)?;
        Ok(Arc::new(SimFile { disk: self.clone(), id: world.id(path)?, writable: true }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.look(None)?;
        Ok(Arc::new(SimFile { disk: self.clone(), id: world.id(path)?, writable: false }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.look(None)?;
        if !path.parent().is_some_and(|parent| world.directories.contains(parent)) {
            return Err(ErrorKind::NotFound.into());
        }
        if world.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let id = world.next_file;
        world.next_file += 1;
        world.files.insert(id, Content::default());
        world.rename(vec![(path.to_owned(), Some(id))])?;
        Ok(Arc::new(SimFile { disk: self.clone(), id, writable: true }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(from.parent(), to.parent(), "this disk renames within a directory only");
        let mut world = self.world();
        world.look(None)?;
        let id = world.id(from)?;
        world.rename(vec![(to.to_owned(), Some(id)), (from.to_owned(), None)])
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.look(None)?;
        let id = world.id(from)?;
        if world.names.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        world.rename(vec![(to.to_owned(), Some(id))])
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.look(None)?;
        world.id(path)?;
        world.rename(vec![(path.to_owned(), None)])
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        let luck = world.change(Call::SyncDir)?;
        if !world.directories.contains(dir) {
            return Err(ErrorKind::NotFound.into());
        }
        if matches!(luck, Luck::Fine) || world.crashed && world.dice.one_in(2) {
            let World { renamings, durable_names, .. } = &mut *world;
            renamings.retain(|renaming| {
                let stays = renaming.directory != dir;
                if !stays {
                    set_names(durable_names, &renaming.names);
                }
                stays
            });
        }
        match luck {
            Luck::Fine => Ok(()),
            Luck::Fails(error) => Err(error),
        }
    }

    fn map(&self, path: &Path) -> io::Result<Mapping> {
        let mut world = self.world();
        world.look(Some(Call::Read))?;
        let id = world.id(path)?;
        Ok(Mapping::from(world.files[&id].read().to_vec()))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let held = self.world().locks.contains(path);
        if held {
            return Err(ErrorKind::WouldBlock.into());
        }
        if !self.exists(path)? {
            self.create(path)?;
        }
        self.world().locks.insert(path.to_owned());
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned() }))
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.world().locks.remove(&self.path);
    }
}

struct SimFile {
    disk: SimDisk,
    id: u64,
    writable: bool,
}

impl SimFile {
    /// Makes one change of the file, as far as luck and space allow.
    fn write(&self, change: Change) -> io::Result<()> {
        if !self.writable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let mut world = self.disk.world();
        let mut luck = world.change(Call::Write)?;
        // Counting takes a while when there are many files.
        let used = if world.capacity.is_some() { world.used() } else { 0 };
        let World { files, dice, capacity, trace, .. } = &mut *world;
        trace.add(&[self.id, change.end() as u64, change.written() as u64]);
        if let Change::Write { bytes, .. } = &change {
            trace.add_bytes(bytes);
        }
        let file = files.get_mut(&self.id).expect("an open file is there");
        let grows = change.end().saturating_sub(file.len()) as u64;
        let mut part = change.written();
        if capacity.is_some_and(|capacity| grows > 0 && used + grows > capacity) {
            let beyond = used + grows - capacity.unwrap_or_default();
            part = part.saturating_sub(usize::try_from(beyond).unwrap_or(usize::MAX));
            luck = Luck::Fails(enospc());
        } else if matches!(luck, Luck::Fails(_)) {
            part = dice.below(part + 1);
        }
        match luck {
            Luck::Fine => {
                file.change(change);
                Ok(())
            }
            Luck::Fails(error) => {
                if let Some(part) = change.first(part) {
                    file.change(part);
                }
                Err(error)
            }
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.disk.world();
        world.look(Some(Call::Read))?;
        world.trace.add(&[self.id, offset, buf.len() as u64]);
        let bytes = world.files[&self.id].read();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = buf.len().min(bytes.len() - from);
        buf[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let offset = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        self.write(Change::Write { offset, bytes: bytes.to_vec() })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write(Change::SetLen(usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?))
    }

    fn len(&self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.look(None)?;
        Ok(world.files[&self.id].len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        let luck = world.change(Call::Sync)?;
        world.trace.add(&[self.id]);
        let World { files, dice, crashed, .. } = &mut *world;
        let file = files.get_mut(&self.id).expect("an open file is there");
        match luck {
            Luck::Fine => {
                file.sync();
                Ok(())
            }
            Luck::Fails(error) => {
                // The power may fail just before or just after the last sector.
                if *crashed && dice.one_in(2) {
                    file.sync();
                } else if !*crashed {
                    file.fail_to_sync(dice);
                }
                Err(error)
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators"): a seed means the same for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[cfg(test)]
mod tests;
