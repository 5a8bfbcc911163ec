//! The manifest: two slots, written in turn, so that one whole slot is there at any moment.
//!
//! *Format*: [`Slot`].
//! *Durability*: a slot is written in place and synced; the other one stays as it was.
//! *Recovery*: the valid slot with the higher transaction counts. It may be valid in the page cache only, after a failed
//! sync; so it is written and synced once more before the other slot is touched.

use std::io;
use std::path::{Path, PathBuf};

use agenttracer_model::Position;

use crate::disk::Disk;
use crate::format::{BadSlot, Slot};
use crate::{Damage, OpenError};

const NAMES: [&str; 2] = ["manifest.a", "manifest.b"];

/// The manifest of an open log.
pub(crate) struct Manifest {
    paths: [PathBuf; 2],
    /// Which slot is the newest one.
    newest: usize,
    pub(crate) slot: Slot,
}

/// What the slots held.
pub(crate) struct Found {
    /// The newest valid slot.
    pub(crate) manifest: Option<Manifest>,
    /// Slots that are there and not valid: torn by a crash, or damaged.
    pub(crate) bad: Vec<Damage>,
}

impl Manifest {
    /// Reads both slots; changes nothing.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Found, OpenError> {
        let paths = NAMES.map(|name| dir.join(name));
        let mut found = Found { manifest: None, bad: Vec::new() };
        for (which, path) in paths.iter().enumerate() {
            let failed = |source| OpenError::Io { file: path.clone(), source };
            let Some(bytes) = read_whole(disk, path).map_err(failed)? else { continue };
            match Slot::decode(&bytes) {
                Ok(slot) if found.manifest.as_ref().is_none_or(|other| slot.txn > other.slot.txn) => {
                    found.manifest = Some(Self { paths: paths.clone(), newest: which, slot });
                }
                Ok(_) => {}
                Err(BadSlot::Newer(found)) => {
                    return Err(OpenError::NewerFormat { file: path.clone(), found });
                }
                Err(BadSlot::Damaged(what)) => found.bad.push(Damage {
                    file: path.clone(),
                    offsets: 0..bytes.len() as u64,
                    positions: Position::ZERO..Position::ZERO,
                    what: format!("not a valid manifest slot: {what}"),
                }),
            }
        }
        Ok(found)
    }

    /// Writes the first slot of a new log. Files that an interrupted creation left are used again.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, slot: Slot) -> io::Result<Self> {
        let paths = NAMES.map(|name| dir.join(name));
        for path in &paths {
            if !disk.exists(path)? {
                disk.create(path)?;
            }
        }
        disk.sync_dir(dir)?;
        let mut manifest = Self { paths, newest: 1, slot: slot.clone() };
        manifest.write(disk, slot)?;
        Ok(manifest)
    }

    /// Writes the newest slot once more as it is, so that it is durable for certain, and makes sure of the other's name.
    pub(crate) fn confirm(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        write_slot(disk, &self.paths[self.newest], &self.slot)?;
        let other = &self.paths[1 - self.newest];
        if !disk.exists(other)? {
            disk.create(other)?;
        }
        disk.sync_dir(dir)
    }

    /// Makes `slot` the newest one, under the next transaction number. After an error it is not known which one is.
    pub(crate) fn write(&mut self, disk: &dyn Disk, mut slot: Slot) -> io::Result<()> {
        slot.txn = self.slot.txn + 1;
        let which = 1 - self.newest;
        write_slot(disk, &self.paths[which], &slot)?;
        self.newest = which;
        self.slot = slot;
        Ok(())
    }
}

fn write_slot(disk: &dyn Disk, path: &Path, slot: &Slot) -> io::Result<()> {
    let file = disk.open(path)?;
    let mut bytes = slot.encode();
    // What an earlier, longer slot left behind is overwritten with zeros.
    let len = file.len()?.max(bytes.len() as u64);
    bytes.resize(len as usize, 0);
    file.write_all_at(&bytes, 0)?;
    file.sync_data()
}

/// All bytes of a small file; `None` when it is not there.
fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}
