//! Damage to what lies on the disk: it is named, and costs only what it hit.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use agenttracer_model::Position;
use agenttracer_storage::disk::sim::SECTOR_LEN;
use agenttracer_storage::{Log, OpenError, ReadError};
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::history::Given;
use crate::story::Story;

/// The length of a frame's header, which stands in front of the payload (`docs/format.md`).
const FRAME_HEADER_BYTES: usize = 72;

impl Story {
    /// Damages one file, and opens the log. Everything settled below `proven` must be found or named: what stands from there on
    /// is whole or cut off, because a damaged last group cannot be told from one that a crash has torn.
    pub(crate) fn suffer_damage(&mut self, proven: Position) {
        self.tally.damaged += 1;
        let files: Vec<_> =
            self.disk.files().into_iter().filter(|path| !self.disk.content(path).unwrap().is_empty()).collect();
        let segments: Vec<_> = files.iter().filter(|path| path.to_string_lossy().ends_with(".seg")).cloned().collect();
        let path = match self.dice.random_bool(0.8) {
            true => segments.choose(&mut self.dice).unwrap().clone(),
            false => files.choose(&mut self.dice).unwrap().clone(),
        };
        let before = self.disk.content(&path).unwrap();
        let hit = self.damage(&path, before.len());
        if self.disk.content(&path).unwrap() == before {
            return;
        }
        let lost = self.frames_in(&path, &before, &hit);

        let given = Given::default();
        let log = match self.open(&given) {
            Ok((log, _)) => log,
            Err(OpenError::Damaged(damage)) => {
                // Only what was not sealed is refused, or a log whose manifest is gone; and the file is named.
                self.tally.damage_refused += 1;
                assert_eq!(damage.file, path, "{damage}");
                assert!(!lost.is_empty() || damage.offsets.start < hit.end as u64, "hit {hit:?}, said {damage}");
                return;
            }
            Err(error) => panic!("bytes {hit:?} of {} were damaged, and opening says {error}", path.display()),
        };
        let is_cut = log.tail() < self.history.settled_end();
        assert!(log.tail() >= proven, "the log ends at {}, though {proven} was acknowledged", log.tail());
        assert!(!is_cut || lost.iter().any(|lost| *lost >= proven), "the log was cut at {} for {hit:?}", log.tail());
        let mut next = Position::ZERO;
        let mut named: Vec<Range<Position>> = Vec::new();
        for batch in log.scan(Position::ZERO..log.tail()) {
            match batch {
                Ok(batch) => {
                    assert_eq!(batch.position, next, "a gap that no damage names");
                    let id = self.history.recognise(&batch);
                    assert_eq!(self.history.settled.get(&batch.position), Some(&id));
                    next = batch.end();
                }
                Err(ReadError::Damaged(damage)) => {
                    assert_eq!(damage.file, path, "{damage}");
                    assert!(damage.positions.is_empty() || damage.positions.start == next, "a gap before {damage}");
                    assert!(log.damage().contains(&damage), "{damage} is not remembered");
                    next = next.max(damage.positions.end);
                    named.push(damage.positions);
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(next, log.tail(), "the end is missing, and no damage names it");
        self.tally.damage_named += u64::from(!named.is_empty());
        for (position, id) in self.history.settled.range(..log.tail()) {
            let is_named = named.iter().any(|range| range.contains(position));
            assert_eq!(
                is_named,
                lost.contains(position),
                "batch {id} at {position}, hit: {hit:?} of {}",
                path.display()
            );
            match log.read(*position) {
                Ok(batch) => {
                    assert_eq!(self.history.recognise(&batch), *id);
                    assert!(!is_named, "a damaged batch was read at {position}");
                }
                Err(ReadError::Damaged(damage)) => {
                    assert!(is_named, "{damage}, but the batch at {position} is whole");
                    assert!(damage.positions.contains(position), "{damage}, when {position} was read");
                    assert_eq!(damage.file, path);
                }
                Err(error) => panic!("the batch at {position}: {error}"),
            }
        }
    }

    /// Flips a bit or zeroes a sector; returns the bytes that it may have changed.
    fn damage(&mut self, path: &Path, len: usize) -> Range<usize> {
        if self.dice.random_bool(0.6) {
            let byte = self.dice.random_range(0..len);
            self.disk.flip_bit(path, byte, self.dice.random_range(0..8));
            byte..byte + 1
        } else {
            let sector = self.dice.random_range(0..len.div_ceil(SECTOR_LEN));
            self.disk.zero_sector(path, sector);
            sector * SECTOR_LEN..len.min((sector + 1) * SECTOR_LEN)
        }
    }

    /// The positions of the batches whose frames lost a byte. Padding behind a payload belongs to nobody.
    fn frames_in(&self, path: &Path, before: &[u8], hit: &Range<usize>) -> BTreeSet<Position> {
        let after = self.disk.content(path).unwrap();
        let changed: Vec<_> = hit.clone().filter(|at| before[*at] != after[*at]).collect();
        let frame = |payload: &[u8], position: Position| {
            // The header begins with a magic and has the position 16 bytes in: with the payload this finds one place.
            let found = (FRAME_HEADER_BYTES..before.len().saturating_sub(payload.len() - 1)).find(|at| {
                before[*at - FRAME_HEADER_BYTES..].starts_with(b"ATF1")
                    && before[*at - 56..*at - 48] == position.get().to_le_bytes()
                    && before[*at..].starts_with(payload)
            })?;
            Some(found - FRAME_HEADER_BYTES..found + payload.len())
        };
        let hits = |position: Position, payload: &[u8]| {
            frame(payload, position).is_some_and(|frame| changed.iter().any(|at| frame.contains(at)))
        };
        let settled = self.history.settled.iter();
        settled.filter(|(position, id)| hits(**position, self.history.payload(**id))).map(|(at, _)| *at).collect()
    }
}
