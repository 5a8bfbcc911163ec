use agenttracer_model::Position;
use uuid::Uuid;

use super::{FEATURE_REWRITTEN, FORMAT, Version, align_block, array_at, put, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"ATRMANI1";
const FIXED_BYTES: usize = 80;
const ENTRY_BYTES: usize = 48;
const CLEAN: u32 = 1;
/// No number of a log comes near this: a slot with a larger one was not written by this program, and adding to it could overflow.
const MOST: u64 = 1 << 62;

/// One slot of the manifest: `manifest.a` or `manifest.b`. The file is zero padded to a multiple of 4096.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | magic `ATRMANI1` |
/// | 8 | 4 | CRC of bytes 12..80 + 48 n |
/// | 12 | 4 | format |
/// | 16 | 8 | feature bits |
/// | 24 | 16 | log id |
/// | 40 | 8 | transaction; the valid slot with the higher one counts |
/// | 48 | 8 | writer epoch: +1 at each start |
/// | 56 | 8 | durable floor: everything below it was synced |
/// | 64 | 4 | flags: bit 0 the log was closed cleanly, its tail is the floor |
/// | 68 | 4 | number of sealed segments, n |
/// | 72 | 8 | start: the log's first position; retention dropped everything below it |
/// | 80 | 48 n | segments |
///
/// A segment:
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | segment id |
/// | 8 | 8 | first position |
/// | 16 | 8 | position after the last record |
/// | 24 | 8 | length of the file |
/// | 32 | 4 | generation |
/// | 36 | 4 | chain: the CRC field of the last frame |
/// | 40 | 8 | zeros |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Names the log; random.
    pub log_id: Uuid,
    /// The valid slot with the higher one counts.
    pub txn: u64,
    /// The last writer's epoch.
    pub epoch: u64,
    /// Everything below it was synced.
    pub floor: Position,
    /// Whether the log was closed cleanly with `floor` as its tail.
    pub clean: bool,
    /// The log's first position: retention dropped everything below it.
    pub start: Position,
    /// The sealed segments, in order and without a gap, from `start` on.
    pub segments: Vec<Entry>,
}

/// A sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A running number, from 1.
    pub id: u64,
    /// The position of its first record.
    pub first: Position,
    /// The position after its last record.
    pub end: Position,
    /// The length of the file.
    pub file_bytes: u64,
    /// 1 as it was written, more after it was rewritten; with `first` it gives the file's name.
    pub generation: u32,
    /// The CRC field of the last frame.
    pub chain: u32,
}

/// Why bytes are not a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadSlot {
    /// Torn or damaged.
    Damaged(&'static str),
    /// Whole, but this is more than the program reads.
    Newer(Version),
}

impl Slot {
    /// The position after the last sealed record; `start` when nothing is sealed.
    pub fn sealed_end(&self) -> Position {
        self.segments.last().map_or(self.start, |segment| segment.end)
    }

    /// What a program must know to read a log of this manifest.
    fn features(&self) -> u64 {
        let rewritten = self.start > Position::ZERO || self.segments.iter().any(|segment| segment.generation > 1);
        if rewritten { FEATURE_REWRITTEN } else { 0 }
    }

    /// The file.
    pub fn encode(&self) -> Vec<u8> {
        let used = FIXED_BYTES + self.segments.len() * ENTRY_BYTES;
        let mut bytes = vec![0; align_block(used as u64) as usize];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 12, &FORMAT.to_le_bytes());
        put(&mut bytes, 16, &self.features().to_le_bytes());
        put(&mut bytes, 24, self.log_id.as_bytes());
        put(&mut bytes, 40, &self.txn.to_le_bytes());
        put(&mut bytes, 48, &self.epoch.to_le_bytes());
        put(&mut bytes, 56, &self.floor.get().to_le_bytes());
        put(&mut bytes, 64, &(if self.clean { CLEAN } else { 0 }).to_le_bytes());
        put(&mut bytes, 68, &(self.segments.len() as u32).to_le_bytes());
        put(&mut bytes, 72, &self.start.get().to_le_bytes());
        for (segment, at) in self.segments.iter().zip((FIXED_BYTES..).step_by(ENTRY_BYTES)) {
            put(&mut bytes, at, &segment.id.to_le_bytes());
            put(&mut bytes, at + 8, &segment.first.get().to_le_bytes());
            put(&mut bytes, at + 16, &segment.end.get().to_le_bytes());
            put(&mut bytes, at + 24, &segment.file_bytes.to_le_bytes());
            put(&mut bytes, at + 32, &segment.generation.to_le_bytes());
            put(&mut bytes, at + 36, &segment.chain.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[12..used]);
        put(&mut bytes, 8, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadSlot> {
        if bytes.len() < FIXED_BYTES {
            return Err(BadSlot::Damaged("it is cut off"));
        }
        if bytes[..8] != MAGIC {
            return Err(BadSlot::Damaged("it does not begin with its magic"));
        }
        let count = u32_at(bytes, 68) as usize;
        let used = count
            .checked_mul(ENTRY_BYTES)
            .and_then(|entries| entries.checked_add(FIXED_BYTES))
            .filter(|used| *used <= bytes.len())
            .ok_or(BadSlot::Damaged("it is shorter than its list of segments"))?;
        if u32_at(bytes, 8) != crc32fast::hash(&bytes[12..used]) {
            return Err(BadSlot::Damaged("its CRC does not hold"));
        }
        let version = Version::of(bytes);
        if !version.is_supported() {
            return Err(BadSlot::Newer(version));
        }
        let segments = bytes[FIXED_BYTES..used]
            .as_chunks::<ENTRY_BYTES>()
            .0
            .iter()
            .map(|entry| Entry {
                id: u64_at(entry, 0),
                first: Position::new(u64_at(entry, 8)),
                end: Position::new(u64_at(entry, 16)),
                file_bytes: u64_at(entry, 24),
                generation: u32_at(entry, 32),
                chain: u32_at(entry, 36),
            })
            .collect::<Vec<_>>();
        let slot = Self {
            log_id: Uuid::from_bytes(array_at(bytes, 24)),
            txn: u64_at(bytes, 40),
            epoch: u64_at(bytes, 48),
            floor: Position::new(u64_at(bytes, 56)),
            clean: u32_at(bytes, 64) & CLEAN != 0,
            start: Position::new(u64_at(bytes, 72)),
            segments,
        };
        let in_segments =
            |entry: &Entry| [entry.id, entry.end.get(), entry.file_bytes, u64::from(entry.generation) << 32];
        let mut numbers = [slot.txn, slot.epoch, slot.floor.get(), slot.start.get()]
            .into_iter()
            .chain(slot.segments.iter().flat_map(in_segments));
        if numbers.any(|number| number > MOST) {
            return Err(BadSlot::Damaged("a number in it is larger than any of a log"));
        }
        let mut next = slot.start;
        for segment in &slot.segments {
            if segment.first != next || segment.end <= segment.first {
                return Err(BadSlot::Damaged("its segments do not follow one another"));
            }
            next = segment.end;
        }
        Ok(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_could_overflow_is_damage() {
        let changes: [fn(&mut Slot); 5] = [
            |slot| slot.txn = u64::MAX,
            |slot| slot.epoch = MOST + 1,
            |slot| slot.floor = Position::new(u64::MAX),
            |slot| slot.segments[1].file_bytes = u64::MAX,
            |slot| slot.segments[1].generation = u32::MAX,
        ];
        for change in changes {
            let mut slot = slot();
            change(&mut slot);
            assert!(matches!(Slot::decode(&slot.encode()), Err(BadSlot::Damaged(what)) if what.contains("larger")));
        }
    }

    fn slot() -> Slot {
        Slot {
            log_id: Uuid::from_u128(3),
            txn: 12,
            epoch: 4,
            floor: Position::new(30),
            clean: true,
            start: Position::ZERO,
            segments: vec![
                Entry {
                    id: 1,
                    first: Position::ZERO,
                    end: Position::new(10),
                    file_bytes: 9000,
                    generation: 1,
                    chain: 5,
                },
                Entry {
                    id: 2,
                    first: Position::new(10),
                    end: Position::new(30),
                    file_bytes: 8000,
                    generation: 1,
                    chain: 6,
                },
            ],
        }
    }

    #[test]
    fn reads_back_what_was_written() {
        let bytes = slot().encode();
        assert_eq!(bytes.len(), 4096);
        assert_eq!(Slot::decode(&bytes), Ok(slot()));
        assert_eq!(slot().sealed_end(), Position::new(30));
    }

    #[test]
    fn every_flipped_bit_that_counts_is_found() {
        let mut bytes = slot().encode();
        for bit in 0..(FIXED_BYTES + 2 * ENTRY_BYTES) * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Slot::decode(&bytes), Err(BadSlot::Damaged(_))), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for len in [0, 79, 100] {
            assert!(matches!(Slot::decode(&bytes[..len]), Err(BadSlot::Damaged(_))));
        }
    }

    #[test]
    fn segments_with_a_gap_are_refused() {
        let mut gap = slot();
        gap.segments[1].first = Position::new(11);
        assert!(matches!(Slot::decode(&gap.encode()), Err(BadSlot::Damaged(_))));
        let mut gap = slot();
        gap.start = Position::new(1);
        assert!(matches!(Slot::decode(&gap.encode()), Err(BadSlot::Damaged(_))));
    }

    #[test]
    fn only_what_an_older_program_cannot_read_sets_a_feature_bit() {
        let features = |slot: &Slot| {
            assert_eq!(Slot::decode(&slot.encode()).as_ref(), Ok(slot));
            u64_at(&slot.encode(), 16)
        };
        assert_eq!(features(&slot()), 0);
        let mut rewritten = slot();
        rewritten.segments[1].generation = 2;
        assert_eq!(features(&rewritten), FEATURE_REWRITTEN);
        let mut dropped = slot();
        dropped.segments.remove(0);
        dropped.start = Position::new(10);
        assert_eq!(features(&dropped), FEATURE_REWRITTEN);
        let nothing_left = Slot { start: Position::new(30), segments: Vec::new(), ..slot() };
        assert_eq!((features(&nothing_left), nothing_left.sealed_end()), (FEATURE_REWRITTEN, Position::new(30)));
    }
}
