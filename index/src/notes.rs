//! `index/erasures`: where in the log the records of erasures stand, so that a start finds them without reading all of it.
//!
//! *Format*: positions, 8 bytes little-endian each, one behind the other. The highest bit marks a batch of a run that
//! nobody sees; the others are batches of the log itself.
//! *Durability*: notes are appended and synced before the commit that covers them; the checkpoint says how many there
//! are and their CRC, so what a crash left behind these is written over.
//! *Recovery*: fewer notes or another CRC than the checkpoint says is an index in doubt, which is made anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_model::Position;
use agenttracer_storage::disk::Disk;

use crate::IndexError;

/// The name of the file.
pub(crate) const NOTES: &str = "erasures";

const UNSEEN: u64 = 1 << 63;
const NOTE_BYTES: u64 = 8;

/// Where something of an erasure stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A batch of the log itself.
    Log(Position),
    /// A batch of a run that nobody sees: it came after the run was erased, or the run had arrived whole before.
    Unseen(Position),
}

/// How much of the file counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// How many notes.
    pub(crate) count: u64,
    /// Their CRC-32.
    pub(crate) crc: u32,
}

/// The file's writer.
pub(crate) struct Notes {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    noted: Noted,
}

impl Notes {
    /// Goes on behind what counts.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, noted: Noted) -> Self {
        Self { disk, dir: dir.to_owned(), noted }
    }

    /// Writes `notes` behind those that count, and syncs them; they count once the commit that says so is done.
    pub(crate) fn append(&self, notes: &[Note]) -> io::Result<Noted> {
        if notes.is_empty() {
            return Ok(self.noted);
        }
        let path = self.dir.join(NOTES);
        let (file, is_new) = match self.disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (self.disk.create(&path)?, true),
            opened => (opened?, false),
        };
        let mut bytes = Vec::with_capacity(notes.len() * NOTE_BYTES as usize);
        for note in notes {
            let word = match note {
                Note::Log(position) => position.get(),
                Note::Unseen(position) => position.get() | UNSEEN,
            };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        file.write_all_at(&bytes, self.noted.count * NOTE_BYTES)?;
        file.sync_data()?;
        if is_new {
            self.disk.sync_dir(&self.dir)?;
        }
        let mut crc = crc32fast::Hasher::new_with_initial(self.noted.crc);
        crc.update(&bytes);
        Ok(Noted { count: self.noted.count + notes.len() as u64, crc: crc.finalize() })
    }

    /// The commit that says so is done.
    pub(crate) fn committed(&mut self, noted: Noted) {
        self.noted = noted;
    }

    /// An error of the disk that names the directory.
    pub(crate) fn error(&self, error: &io::Error) -> IndexError {
        IndexError::Index { dir: self.dir.clone(), what: format!("{NOTES}: {error}") }
    }

    /// The notes that count; `Err` with the reason when they are not there.
    pub(crate) fn read(&self) -> io::Result<Result<Vec<Note>, String>> {
        if self.noted.count == 0 {
            return Ok(Ok(Vec::new()));
        }
        let doubt = |what: &str| Ok(Err(format!("{NOTES}: {what}")));
        let file = match self.disk.open_read(&self.dir.join(NOTES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return doubt("the file is missing"),
            opened => opened?,
        };
        if file.len()? / NOTE_BYTES < self.noted.count {
            return doubt("the file is too short");
        }
        let mut bytes = vec![0; (self.noted.count * NOTE_BYTES) as usize];
        file.read_exact_at(&mut bytes, 0)?;
        if crc32fast::hash(&bytes) != self.noted.crc {
            return doubt("its checksum does not hold");
        }
        let (words, _) = bytes.as_chunks::<8>();
        let note = |word: &[u8; 8]| match u64::from_le_bytes(*word) {
            word if word & UNSEEN != 0 => Note::Unseen(Position::new(word & !UNSEEN)),
            word => Note::Log(Position::new(word)),
        };
        Ok(Ok(words.iter().map(note).collect()))
    }
}

#[cfg(test)]
mod tests {
    use agenttracer_storage::disk::SimDisk;

    use super::*;

    #[test]
    fn what_was_committed_is_read_and_nothing_behind_it() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/index");
        disk.create_dir_all(dir).unwrap();
        let mut notes = Notes::new(Arc::new(disk.clone()), dir, Noted::default());
        assert_eq!(notes.read().unwrap(), Ok(Vec::new()));
        let first = [Note::Log(Position::new(7)), Note::Unseen(Position::new(9))];
        let noted = notes.append(&first).unwrap();
        notes.committed(noted);
        notes.append(&[Note::Log(Position::new(99))]).unwrap();
        // The commit of the second failed: a start sees the first, and writes over the rest.
        let notes = Notes::new(Arc::new(disk.restart()), dir, noted);
        assert_eq!(notes.read().unwrap(), Ok(first.to_vec()));
        let noted = notes.append(&[Note::Log(Position::new(11))]).unwrap();
        let notes = Notes::new(Arc::clone(&notes.disk), dir, noted);
        assert_eq!(notes.read().unwrap().unwrap()[2..], [Note::Log(Position::new(11))]);
    }

    #[test]
    fn less_or_other_than_was_committed_is_doubted() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/index");
        disk.create_dir_all(dir).unwrap();
        let read = |noted| Notes::new(Arc::new(disk.clone()), dir, noted).read().unwrap().unwrap_err();
        assert!(read(Noted { count: 1, crc: 0 }).contains("missing"));
        let notes = Notes::new(Arc::new(disk.clone()), dir, Noted::default());
        let noted = notes.append(&[Note::Log(Position::new(7))]).unwrap();
        assert!(read(Noted { count: 2, ..noted }).contains("too short"));
        assert!(read(Noted { crc: 1, ..noted }).contains("checksum"));
    }
}
