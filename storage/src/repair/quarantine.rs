use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use agenttracer_model::{Position, Timestamp, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::disk::{Disk, DiskFile};
use crate::recovery::at;
use crate::{Damage, OpenError};

/// Below the data directory.
pub(super) const DIR: &str = "quarantine";
/// How much is copied in one go.
const PIECE_BYTES: u64 = 1 << 20;

/// The note beside quarantined bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    format: u32,
    log_id: Uuid,
    /// The file that was damaged.
    file: String,
    /// Where in it, half open.
    offsets: [u64; 2],
    /// The positions that are lost with it, half open.
    positions: [u64; 2],
    what: String,
    /// The file beside this one that has the bytes; none when there were none.
    bytes: Option<String>,
    repaired_at: String,
}

/// The positions that repairs declared as lost, as the notes in the quarantine of `dir` say. Who has seen to it takes the notes away.
pub fn known_loss(disk: &dyn Disk, dir: &Path) -> Result<Vec<Range<Position>>, OpenError> {
    let dir = dir.join(DIR);
    if !disk.exists(&dir).map_err(at(&dir))? {
        return Ok(Vec::new());
    }
    let mut lost = Vec::new();
    for (name, len) in disk.list(&dir).map_err(at(&dir))? {
        if !name.ends_with(".json") {
            continue;
        }
        let path = dir.join(name);
        let mut bytes = vec![0; len.min(PIECE_BYTES) as usize];
        disk.open_read(&path).and_then(|file| file.read_exact_at(&mut bytes, 0)).map_err(at(&path))?;
        match serde_json::from_slice::<Note>(&bytes) {
            Ok(Note { positions: [from, to], .. }) if from < to => lost.push(from..to),
            Ok(_) => {}
            Err(error) => tracing::warn!(file = %path.display(), %error, "not a note of a repair"),
        }
    }
    lost.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in lost {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    Ok(merged.into_iter().map(|range| Position::new(range.start)..Position::new(range.end)).collect())
}

/// Bytes that a repair put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedBytes {
    /// The file that has them.
    pub path: PathBuf,
    /// The positions that are lost with them, as the note says; none when no note names the file.
    pub positions: Range<Position>,
    /// Whether they come from a rewritten segment: then batches in them are compressed, and cannot be looked at.
    pub compressed: bool,
}

/// The bytes in the quarantine of `dir`.
///
/// # Errors
/// When the disk fails.
pub fn quarantined(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<QuarantinedBytes>> {
    let dir = dir.join(DIR);
    if !disk.exists(&dir)? {
        return Ok(Vec::new());
    }
    let (mut notes, mut files) = (HashMap::new(), Vec::new());
    for (name, len) in disk.list(&dir)? {
        let path = dir.join(&name);
        if !name.ends_with(".json") {
            files.push((name, path));
            continue;
        }
        let mut text = vec![0; len.min(PIECE_BYTES) as usize];
        disk.open_read(&path)?.read_exact_at(&mut text, 0)?;
        if let Ok(Note { bytes: Some(bytes), positions: [from, to], .. }) = serde_json::from_slice(&text) {
            notes.insert(bytes, Position::new(from)..Position::new(to));
        }
    }
    let bytes = files.into_iter().map(|(name, path)| QuarantinedBytes {
        path,
        positions: notes.remove(&name).unwrap_or(Position::ZERO..Position::ZERO),
        compressed: name.contains(".cseg"),
    });
    Ok(bytes.collect())
}

/// Removes quarantined bytes for good; their notes stay.
///
/// # Errors
/// When the disk fails; some may be gone then.
pub fn remove_quarantined<'a>(
    disk: &dyn Disk,
    dir: &Path,
    bytes: impl IntoIterator<Item = &'a QuarantinedBytes>,
) -> io::Result<()> {
    let mut is_any = false;
    for bytes in bytes {
        disk.remove(&bytes.path)?;
        is_any = true;
    }
    if is_any { disk.sync_dir(&dir.join(DIR)) } else { Ok(()) }
}

pub(super) struct Quarantine<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: PathBuf,
    pub(super) log_id: Uuid,
}

impl Quarantine<'_> {
    /// Copies the bytes of each damaged place, durably, and writes a note beside them. Done again, it gives the same files.
    pub(super) fn take(&self, damage: &[Damage], now: Timestamp) -> Result<Vec<PathBuf>, OpenError> {
        self.disk.create_dir_all(&self.dir).map_err(at(&self.dir))?;
        let mut taken = Vec::new();
        for damage in damage {
            let bytes = self.bytes(damage).map_err(at(&damage.file))?;
            let note = self.note(damage, bytes.as_deref(), now).map_err(at(&self.dir))?;
            taken.extend(bytes.into_iter().chain([note]).map(|name| self.dir.join(name)));
        }
        self.disk.sync_dir(&self.dir).map_err(at(&self.dir))?;
        Ok(taken)
    }

    /// Copies the bytes; the name of the copy. None when there are no bytes, or only zeros.
    fn bytes(&self, damage: &Damage) -> io::Result<Option<String>> {
        let file = match self.disk.open_read(&damage.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let Range { start, end } = damage.offsets;
        let end = end.min(file.len()?);
        let mut sha256 = Sha256::new();
        let mut all_zero = true;
        pieces(&*file, start..end, |piece, _| {
            all_zero &= piece.iter().all(|byte| *byte == 0);
            sha256.update(piece);
            Ok(())
        })?;
        if all_zero {
            return Ok(None);
        }
        let name = format!("{}-{start}-{end}-{}.bin", name_of(damage), short(sha256));
        let path = self.dir.join(&name);
        write(self.disk, &path, |copy| {
            pieces(&*file, start..end, |piece, offset| copy.write_all_at(piece, offset - start))
        })?;
        Ok(Some(name))
    }

    fn note(&self, damage: &Damage, bytes: Option<&str>, now: Timestamp) -> io::Result<String> {
        let Damage { offsets, positions, what, .. } = damage;
        let note = Note {
            format: 1,
            log_id: self.log_id,
            file: name_of(damage),
            offsets: [offsets.start, offsets.end],
            positions: [positions.start.get(), positions.end.get()],
            what: what.clone(),
            bytes: bytes.map(str::to_owned),
            repaired_at: now.to_string(),
        };
        // The same damage gives the same name, whenever it is found.
        let mut sha256 = Sha256::new();
        sha256.update(damage.to_string());
        sha256.update(bytes.unwrap_or_default());
        let name = format!("{}-{}-{}-{}.json", note.file, offsets.start, offsets.end, short(sha256));
        let text = serde_json::to_vec_pretty(&note)?;
        write(self.disk, &self.dir.join(&name), |file| file.write_all_at(&text, 0))?;
        Ok(name)
    }
}

fn name_of(damage: &Damage) -> String {
    damage.file.file_name().unwrap_or(damage.file.as_os_str()).to_string_lossy().into_owned()
}

fn short(sha256: Sha256) -> String {
    hex(&sha256.finalize()[..6])
}

fn pieces(
    file: &dyn DiskFile,
    range: Range<u64>,
    mut each: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = range.start;
    let mut piece = vec![0; PIECE_BYTES.min(range.end.saturating_sub(range.start)) as usize];
    while at < range.end {
        let len = (piece.len() as u64).min(range.end - at) as usize;
        file.read_exact_at(&mut piece[..len], at)?;
        each(&piece[..len], at)?;
        at += len as u64;
    }
    Ok(())
}

fn write(disk: &dyn Disk, path: &Path, content: impl FnOnce(&dyn DiskFile) -> io::Result<()>) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    if disk.exists(&unfinished)? {
        disk.remove(&unfinished)?;
    }
    let file = disk.create(&unfinished)?;
    content(&*file)?;
    file.sync_data()?;
    disk.rename(&unfinished, path)
}
