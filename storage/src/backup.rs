//! Backups: a copy of the log as of one position, made while a server writes or not, and checked before it is used.
//!
//! *Format*: a directory of its own. `backup.json` lists all other files that belong to it, with lengths and SHA-256:
//! segments, every one of them sealed, in `log/`, and one slot of the manifest. A segment's name there holds the CRC of
//! its last frame, so two lives of one log, or an unfinished segment and the same one when it was finished, never share a name.
//! *Durability*: whatever a new `backup.json` lists is synced before that file takes the place of the one before by a rename;
//! what only the old one listed goes last. So an interrupted backup leaves the previous one as it was.
//! *Recovery*: nothing to recover: the next backup to the same directory goes on with what is there.

mod record;
mod restore;
mod take;

use std::io;
use std::path::{Path, PathBuf};

use agenttracer_model::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::OpenError;
use crate::disk::{Disk, DiskFile};
use crate::format::{BadSlot, Entry, Slot};

pub use record::{Listed, list};
pub(crate) use restore::refuse_unfinished;
pub use restore::{is_unfinished, restore};
pub use take::{Options, Taken, take};

/// The version of `backup.json` that this program writes, and the newest that it reads.
pub const BACKUP_FORMAT: u32 = 1;

const LIST: &str = "backup.json";
/// How much is read, hashed and written in one go.
const PIECE_BYTES: usize = 1 << 20;
/// The longest list or note: of 300,000 segments, 20 TB of log.
const SMALL_BYTES: u64 = 64 << 20;

/// What `backup.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The version of this list.
    pub format: u32,
    /// The log it is a backup of.
    pub log_id: Uuid,
    /// Everything below this position is in it.
    pub position: u64,
    /// When it was taken, UTC.
    pub taken_at: String,
    /// The slot of the manifest.
    pub manifest: BackupFile,
    /// The segments, in position order.
    pub segments: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its path below the backup's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Of all its bytes, in hex.
    pub sha256: String,
}

/// How far a backup, a check or a restore is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done.
    pub done: u64,
    /// Bytes that there are, as far as known.
    pub total: u64,
}

/// Why a backup was not taken, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file of the backup is not what was written.
    #[error("{file}: {what}; this backup cannot be used")]
    Bad {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The backup was written by a newer program.
    #[error("{file} has format {found}, this program reads up to {supported}: use a newer agenttracer")]
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest one known here.
        supported: u32,
    },
    /// The directory is not empty, and nothing may be mixed with what is in it.
    #[error("{dir} holds `{name}`: choose an empty directory")]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
        /// One thing that is in it.
        name: String,
    },
    /// The directory has a backup of another log.
    #[error("{dir} holds a backup of log {found}, this is log {wanted}: choose another directory")]
    OtherLog {
        /// The directory.
        dir: PathBuf,
        /// The log that it is a backup of.
        found: Uuid,
        /// The log that was to be backed up.
        wanted: Uuid,
    },
    /// Another backup is being written there.
    #[error("another backup to {0} is going on")]
    Busy(PathBuf),
    /// The manifest moved each time that its segments were looked for.
    #[error("the segments of {0} are replaced faster than they can be copied: try again")]
    Restless(PathBuf),
    /// The log cannot be backed up as it is.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl BackupError {
    /// Whether data is damaged or missing, in the log or in the backup.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Bad { .. } | Self::Log(OpenError::Damaged(_)))
    }
}

impl Backup {
    /// Reads the list of the backup in `dir`; `None` when there is none.
    ///
    /// # Errors
    /// `Bad` when it cannot be read as one, `Newer`, `Io`.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, BackupError> {
        /// What every version of the list has.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let path = dir.join(LIST);
        let Some(bytes) = read_small(disk, &path).map_err(at(&path))? else { return Ok(None) };
        let bad = |error: serde_json::Error| BackupError::Bad { file: path.clone(), what: error.to_string() };
        let Version { format: found } = serde_json::from_slice(&bytes).map_err(bad)?;
        if found > BACKUP_FORMAT {
            return Err(BackupError::Newer { file: path, found, supported: BACKUP_FORMAT });
        }
        serde_json::from_slice(&bytes).map_err(bad).map(Some)
    }

    /// All files, the manifest last.
    pub fn files(&self) -> impl Iterator<Item = &BackupFile> {
        self.segments.iter().chain([&self.manifest])
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        // A list that nobody has checked yet may say anything.
        self.files().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Reads every byte of the backup in `dir` and holds it to `backup.json`, and that to the manifest.
    ///
    /// # Errors
    /// `Bad` names the first file that is missing or not what was written.
    pub fn check(disk: &dyn Disk, dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(Self, Slot), BackupError> {
        let list = dir.join(LIST);
        let bad = |what: &str| BackupError::Bad { file: list.clone(), what: what.to_owned() };
        let backup = Self::read(disk, dir)?.ok_or_else(|| bad("there is none: no backup was finished here"))?;
        let mut progress = Meter::new(progress, backup.bytes());
        // A path that leads out of the directory is nothing that was ever written.
        let is_ours =
            |name: &str| !name.starts_with('/') && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        for file in backup.files() {
            if !is_ours(&file.name) {
                return Err(bad("it names a file outside of the backup"));
            }
            check_file(disk, &dir.join(&file.name), file, &mut progress)?;
        }
        let path = dir.join(&backup.manifest.name);
        let bytes = read_small(disk, &path).map_err(at(&path))?.unwrap_or_default();
        let slot = Slot::decode(&bytes).map_err(|error| match error {
            BadSlot::Damaged(what) => BackupError::Bad { file: path.clone(), what: what.to_owned() },
            BadSlot::Newer(found) => BackupError::Log(OpenError::NewerFormat { file: path.clone(), found }),
        })?;
        let listed = backup.segments.iter().map(|file| (file.name.clone(), file.bytes));
        let agrees = listed.eq(slot.segments.iter().map(|entry| (name_of(entry), entry.file_bytes)))
            && (slot.log_id, slot.sealed_end().get()) == (backup.log_id, backup.position);
        if !agrees {
            return Err(bad("it does not describe the manifest beside it"));
        }
        Ok((backup, slot))
    }
}

/// The name of a segment in a backup: unique by its content.
fn name_of(entry: &Entry) -> String {
    format!("log/{:020}.g{}-{:020}-{:08x}", entry.first.get(), entry.generation, entry.end.get(), entry.chain)
}

/// Counts bytes for whoever watches.
struct Meter<'a> {
    tell: &'a mut dyn FnMut(Progress),
    now: Progress,
}

impl<'a> Meter<'a> {
    fn new(tell: &'a mut dyn FnMut(Progress), total: u64) -> Self {
        Self { tell, now: Progress { done: 0, total } }
    }

    fn add(&mut self, bytes: u64) {
        self.now.done += bytes;
        self.now.total = self.now.total.max(self.now.done);
        (self.tell)(self.now);
    }
}

fn check_file(disk: &dyn Disk, path: &Path, listed: &BackupFile, meter: &mut Meter<'_>) -> Result<(), BackupError> {
    let bad = |what: String| BackupError::Bad { file: path.to_owned(), what };
    let handle = match disk.open_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(bad("the file is missing".to_owned())),
        opened => opened.map_err(at(path))?,
    };
    let found = handle.len().map_err(at(path))?;
    if found != listed.bytes {
        return Err(bad(format!("it has {found} bytes, `{LIST}` says {}", listed.bytes)));
    }
    let sha256 = hash(&*handle, found, None, meter).map_err(at(path))?;
    if sha256 != listed.sha256 {
        return Err(bad(format!("its SHA-256 is not the one in `{LIST}`")));
    }
    Ok(())
}

/// The SHA-256 of the first `bytes` of `from`, in hex, while they are written to `to`.
fn hash(from: &dyn DiskFile, bytes: u64, to: Option<&dyn DiskFile>, meter: &mut Meter<'_>) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES.min(bytes as usize)];
    let mut done = 0;
    while done < bytes {
        let len = piece.len().min((bytes - done) as usize);
        from.read_exact_at(&mut piece[..len], done)?;
        sha256.update(&piece[..len]);
        if let Some(to) = to {
            to.write_all_at(&piece[..len], done)?;
        }
        done += len as u64;
        meter.add(len as u64);
    }
    Ok(hex(&sha256.finalize()))
}

/// Writes a file under another name, syncs it, and gives it its name, which is durable once the directory is synced.
fn write_file(disk: &dyn Disk, path: &Path, write: impl FnOnce(&dyn DiskFile) -> io::Result<()>) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    if disk.exists(&unfinished)? {
        disk.remove(&unfinished)?;
    }
    let file = disk.create(&unfinished)?;
    write(&*file)?;
    file.sync_data()?;
    disk.rename(&unfinished, path)
}

/// All bytes of a small file; `None` when it is not there. One of more than [`SMALL_BYTES`] is not read.
fn read_small(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len > SMALL_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{len} bytes are too many for such a file")));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Names the file in an I/O error.
fn at(file: &Path) -> impl Fn(io::Error) -> BackupError + use<> {
    let file = file.to_owned();
    move |source| BackupError::Io { file: file.clone(), source }
}
