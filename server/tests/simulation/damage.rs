//! Damage to what lies on the disk of a directory that was closed cleanly: it is named, and costs only what it hit.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_index::damaged_files;
use agenttracer_model::Position;
use agenttracer_storage::disk::Disk;
use agenttracer_storage::disk::sim::SECTOR_LEN;
use agenttracer_storage::{Log, ReadError};
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::engine::{DIR, Engine, INDEX, Refusal};
use crate::model::{Expected, Id};
use crate::story::{Story, is_segment, note};

/// The kinds of files of which tantivy keeps a checksum.
const CHECKED: [&str; 5] = ["store", "idx", "term", "fast", "fieldnorm"];
/// tantivy's footer behind the bytes of a file: what version wrote it, and the checksum.
const FOOTER_LEN: usize = 256;
/// The front of a file says what it is. It is damaged more often than chance would: that is what opening can be refused for.
const FRONT_LEN: usize = 128;

impl Story {
    /// Damages one file, and opens the directory.
    pub(crate) fn suffer_damage(&mut self) {
        let files = self.disk.files().into_iter().filter(|path| !self.disk.content(path).unwrap().is_empty());
        let of_index = |path: &PathBuf| path.starts_with(INDEX);
        let (index, log): (Vec<_>, Vec<_>) = files.partition(of_index);
        if self.dice.random_bool(0.2) {
            let has_checksum = |path: &&PathBuf| {
                let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
                CHECKED.contains(&extension)
            };
            if let Some(path) = index.iter().filter(has_checksum).collect::<Vec<_>>().choose(&mut self.dice) {
                self.damage_index(path);
            }
            return;
        }
        let segments: Vec<_> = log.iter().filter(|path| is_segment(path)).collect();
        let path = match self.dice.random_bool(0.8) {
            true => (*segments.choose(&mut self.dice).unwrap()).clone(),
            false => log.choose(&mut self.dice).unwrap().clone(),
        };
        let before = self.disk.content(&path).unwrap();
        let hit = self.damage(&path, before.len());
        if self.disk.content(&path).unwrap() == before {
            return;
        }
        self.tally.damaged += 1;
        note!(self, "bytes {hit:?} of {} are damaged", path.display());

        // First with the index that is there, then with one that is made from what is left.
        let Some(lost) = self.check_damaged(&path, &hit, None) else { return };
        self.tally.damage_named += u64::from(!lost.is_empty());
        for file in index {
            if self.disk.exists(&file).unwrap() {
                self.disk.remove(&file).unwrap();
            }
        }
        note!(self, "the index is deleted");
        self.check_damaged(&path, &hit, Some(&lost));
    }

    /// Opens the directory and checks what is left of it; returns the positions that the log names as lost, or `None` when it
    /// refuses to open and names the file. `rebuilt`: what was lost, when the index has to be made from the rest.
    fn check_damaged(
        &mut self,
        path: &Path,
        hit: &Range<usize>,
        rebuilt: Option<&[Range<Position>]>,
    ) -> Option<Vec<Range<Position>>> {
        let engine = match self.open_engine() {
            Ok(engine) => engine,
            Err(Refusal::Damaged(damage)) => {
                self.tally.damage_refused += 1;
                assert_eq!(damage.file, path, "{damage}");
                return None;
            }
            Err(refusal) => panic!("bytes {hit:?} of {} were damaged, and opening says {refusal}", path.display()),
        };
        // The index knows up to where the log was durable, when there is one.
        let tail = engine.log.tail();
        if rebuilt.is_none() {
            assert_eq!(tail, self.model.settled_end(), "acknowledged batches are gone, and nothing says so");
        }
        let lost = self.read_around(&engine, path);
        let readable: Vec<(Position, Id)> = self
            .model
            .settled
            .range(..tail)
            .map(|(at, id)| (*at, *id))
            .filter(|(at, _)| !lost.iter().any(|range| range.contains(at)))
            .collect();
        if let Some(before) = rebuilt {
            assert_eq!(lost, before, "it is another damage the second time");
            let status = engine.index.status();
            // Damaged padding is told too, though nothing is lost with it.
            assert!(status.damage_count as usize >= lost.len(), "the rebuild passed over {lost:?}: {status:?}");
            self.check_index(&engine.index.snapshot(), &self.model.fold(readable));
        } else {
            // It was made when all was whole.
            let all: Expected = self.model.fold(self.model.settled.iter().map(|(at, id)| (*at, *id)));
            self.check_index(&engine.index.snapshot(), &all);
        }
        engine.index.close().unwrap();
        engine.log.close().unwrap();
        Some(lost)
    }

    /// Reads every batch: it is whole, or a damage that is named covers it. Returns the positions that are lost.
    fn read_around(&self, engine: &Engine, path: &Path) -> Vec<Range<Position>> {
        let log = &engine.log;
        let mut next = Position::ZERO;
        let mut lost: Vec<Range<Position>> = Vec::new();
        for batch in log.scan(Position::ZERO..log.tail()) {
            match batch {
                Ok(batch) => {
                    assert_eq!(batch.position, next, "a gap that no damage names");
                    let id = self.model.recognise(&batch);
                    assert_eq!(self.model.settled.get(&batch.position), Some(&id));
                    next = batch.end();
                }
                Err(ReadError::Damaged(damage)) => {
                    assert_eq!(damage.file, path, "{damage}");
                    assert!(damage.positions.is_empty() || damage.positions.start == next, "a gap before {damage}");
                    next = next.max(damage.positions.end);
                    if !damage.positions.is_empty() {
                        lost.push(damage.positions);
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(next, log.tail(), "the end is missing, and no damage names it");
        for (position, id) in self.model.settled.range(..log.tail()) {
            let is_lost = lost.iter().any(|range| range.contains(position));
            match log.read(*position) {
                Ok(batch) => {
                    assert_eq!(self.model.recognise(&batch), *id);
                    assert!(!is_lost, "a damaged batch was read at {position}");
                }
                Err(ReadError::Damaged(damage)) => {
                    assert!(is_lost && damage.positions.contains(position), "{damage}, when {position} was read");
                }
                Err(error) => panic!("the batch at {position}: {error}"),
            }
        }
        lost
    }

    /// A checksum finds it; the index can be thrown away.
    fn damage_index(&mut self, path: &Path) {
        let len = self.disk.content(path).unwrap().len();
        if len <= FOOTER_LEN {
            return;
        }
        let byte = self.dice.random_range(0..len - FOOTER_LEN);
        self.disk.flip_bit(path, byte, self.dice.random_range(0..8));
        self.tally.damaged_indexes += 1;
        note!(self, "a bit of byte {byte} of {} is flipped", path.display());
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let found = damaged_files(&disk, Path::new(INDEX)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found, [path], "the damaged file of the index is named");
        for file in self.disk.files().into_iter().filter(|file| file.starts_with(INDEX)) {
            self.disk.remove(&file).unwrap();
        }
        let engine = self.open_engine().unwrap_or_else(|refusal| panic!("{DIR} is whole: {refusal}"));
        let all = self.model.fold(self.model.settled.iter().map(|(at, id)| (*at, *id)));
        self.check_index(&engine.index.snapshot(), &all);
    }

    /// Flips a bit or zeroes a sector; returns the bytes that it may have changed.
    fn damage(&mut self, path: &Path, len: usize) -> Range<usize> {
        let len = if self.dice.random_bool(0.3) { len.min(FRONT_LEN) } else { len };
        if self.dice.random_bool(0.6) {
            let byte = self.dice.random_range(0..len);
            self.disk.flip_bit(path, byte, self.dice.random_range(0..8));
            byte..byte + 1
        } else {
            let sector = self.dice.random_range(0..len.div_ceil(SECTOR_LEN));
            self.disk.zero_sector(path, sector);
            sector * SECTOR_LEN..(sector + 1) * SECTOR_LEN
        }
    }
}
