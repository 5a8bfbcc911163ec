use std::io;
use std::path::{Path, PathBuf};

use agenttracer_model::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Backup, BackupError, at, read_small, write_file};
use crate::disk::Disk;

/// Below the data directory: one file for each directory that a backup was written to.
const DIR: &str = "backups";

/// A backup that was taken of a data directory: what an operator must know of when something was erased, for a backup keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The directory, as it was named from this machine.
    pub target: PathBuf,
    /// Everything below this position is in it.
    pub position: u64,
    /// When it was taken, UTC.
    pub taken_at: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Segments that share their bytes with the data directory, as hard links do.
    pub linked: u64,
}

/// The backups that were taken of the data directory `dir`, sorted by target; those that are gone by now are in the list too.
///
/// # Errors
/// When the disk fails. A record that cannot be read is left out.
pub fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Listed>, BackupError> {
    let dir = dir.join(DIR);
    if !disk.exists(&dir).map_err(at(&dir))? {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (name, _) in disk.list(&dir).map_err(at(&dir))? {
        if !name.ends_with(".json") {
            continue;
        }
        let path = dir.join(name);
        let bytes = read_small(disk, &path).map_err(at(&path))?.unwrap_or_default();
        match serde_json::from_slice(&bytes) {
            Ok(listed) => found.push(listed),
            Err(error) => tracing::warn!(file = %path.display(), %error, "not a record of a backup"),
        }
    }
    found.sort_by(|a: &Listed, b| a.target.cmp(&b.target));
    Ok(found)
}

/// Writes down, in the data directory `dir`, that there is a backup.
pub(super) fn remember(
    disk: &dyn Disk,
    dir: &Path,
    target: &Path,
    backup: &Backup,
    linked: u64,
) -> Result<(), BackupError> {
    let dir = dir.join(DIR);
    let listed = Listed {
        target: target.to_owned(),
        position: backup.position,
        taken_at: backup.taken_at.clone(),
        bytes: backup.bytes(),
        linked,
    };
    // One file for each target, so that two backups at a time need not wait for each other.
    let name = hex(&Sha256::digest(target.as_os_str().as_encoded_bytes())[..8]);
    let path = dir.join(format!("{name}.json"));
    let write = || -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(&listed)?;
        disk.create_dir_all(&dir)?;
        write_file(disk, &path, |file| file.write_all_at(&bytes, 0))?;
        disk.sync_dir(&dir)
    };
    write().map_err(at(&path))
}
