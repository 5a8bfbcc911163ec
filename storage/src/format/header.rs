use agenttracer_model::{Position, Timestamp};
use uuid::Uuid;

use super::{BLOCK_BYTES, FEATURE_COLUMNS, FEATURE_REWRITTEN, FORMAT, Version, array_at, put, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"ATRSEGM1";

/// The first block of a segment.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | magic `ATRSEGM1` |
/// | 8 | 4 | CRC of bytes 12..4096 |
/// | 12 | 4 | format |
/// | 16 | 8 | feature bits |
/// | 24 | 16 | log id |
/// | 40 | 8 | segment id |
/// | 48 | 8 | first position |
/// | 56 | 8 | writer epoch in which it was begun |
/// | 64 | 8 | when it was begun, µs since 1970 |
/// | 72 | 4 | generation |
/// | 76 | 4020 | zeros |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The log it belongs to.
    pub log_id: Uuid,
    /// A running number, from 1.
    pub id: u64,
    /// The position of its first record; the file is named by it.
    pub first: Position,
    /// The writer epoch in which it was begun.
    pub epoch: u64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// 1 as it was written, more after it was rewritten: then it has blocks and gaps, and the feature bit that says so.
    pub generation: u32,
    /// Whether a block in it is in columns: then the feature bit that says so is set.
    pub columns: bool,
}

/// Why a block is not a segment header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// Not these bytes.
    Damaged(&'static str),
    /// Whole, but this is more than the program reads.
    Newer(Version),
}

impl SegmentHeader {
    /// The block.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES as usize];
        put(&mut block, 0, &MAGIC);
        put(&mut block, 12, &FORMAT.to_le_bytes());
        let rewritten = if self.generation > 1 { FEATURE_REWRITTEN } else { 0 };
        let features = rewritten | if self.columns { FEATURE_COLUMNS } else { 0 };
        put(&mut block, 16, &features.to_le_bytes());
        put(&mut block, 24, self.log_id.as_bytes());
        put(&mut block, 40, &self.id.to_le_bytes());
        put(&mut block, 48, &self.first.get().to_le_bytes());
        put(&mut block, 56, &self.epoch.to_le_bytes());
        put(&mut block, 64, &self.created_at.as_micros().to_le_bytes());
        put(&mut block, 72, &self.generation.to_le_bytes());
        let crc = crc32fast::hash(&block[12..]);
        put(&mut block, 8, &crc.to_le_bytes());
        block
    }

    pub(crate) fn decode(block: &[u8]) -> Result<Self, BadHeader> {
        if block.len() < BLOCK_BYTES as usize {
            return Err(BadHeader::Damaged("the segment header is cut off"));
        }
        let block = &block[..BLOCK_BYTES as usize];
        if block[..8] != MAGIC {
            return Err(BadHeader::Damaged("the segment header does not begin with its magic"));
        }
        if u32_at(block, 8) != crc32fast::hash(&block[12..]) {
            return Err(BadHeader::Damaged("the CRC of the segment header does not hold"));
        }
        let version = Version::of(block);
        if !version.is_supported() {
            return Err(BadHeader::Newer(version));
        }
        Ok(Self {
            log_id: Uuid::from_bytes(array_at(block, 24)),
            id: u64_at(block, 40),
            first: Position::new(u64_at(block, 48)),
            epoch: u64_at(block, 56),
            created_at: Timestamp::from_micros(i64::from_le_bytes(array_at(block, 64))),
            generation: u32_at(block, 72),
            columns: version.features & FEATURE_COLUMNS != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            log_id: Uuid::from_u128(7),
            id: 3,
            first: Position::new(99),
            epoch: 2,
            created_at: Timestamp::from_micros(-5),
            generation: 1,
            columns: false,
        }
    }

    #[test]
    fn reads_back_what_was_written() {
        for (generation, columns) in [(1, false), (2, false), (2, true)] {
            let header = SegmentHeader { generation, columns, ..header() };
            assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let mut block = header().encode();
        for bit in 0..block.len() * 8 {
            block[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(SegmentHeader::decode(&block), Err(BadHeader::Damaged(_))), "bit {bit}");
            block[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(matches!(SegmentHeader::decode(&block[..4095]), Err(BadHeader::Damaged(_))));
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut block = header().encode();
        put(&mut block, 12, &9_u32.to_le_bytes());
        let crc = crc32fast::hash(&block[12..]);
        put(&mut block, 8, &crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&block), Err(BadHeader::Newer(Version { format: 9, features: 0 })));
    }
}
