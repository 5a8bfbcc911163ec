use agenttracer_model::{Position, Timestamp};

use super::{align8, array_at, crc_from, put, u32_at, u64_at};
use crate::BatchKind;

/// The length of a frame header.
pub const FRAME_HEADER_BYTES: usize = 72;
/// The longest frame, header included.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

const MAGIC: u32 = u32::from_le_bytes(*b"ATF1");
const KIND_RUN_RECORDS: u8 = 1;
const KIND_BLOCK: u8 = 2;
const KIND_GAP: u8 = 3;
const KIND_LOG_RECORDS: u8 = 4;
const CODEC_NONE: u8 = 0;
const CODEC_BINCODE_2: u8 = 1;
const COMPRESSION_NONE: u8 = 0;
const COMPRESSION_ZSTD: u8 = 1;
const COMPRESSION_COLUMNS: u8 = 2;

/// What stands before each batch, block or gap, at a multiple of 8 bytes. The payload follows, then zeros up to the next
/// multiple of 8.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | magic `ATF1` |
/// | 4 | 4 | CRC of bytes 8..72, begun from the segment's seed |
/// | 8 | 4 | length of the frame: header and payload, without the zeros behind it |
/// | 12 | 4 | CRC of the payload as stored |
/// | 16 | 8 | position of the first record |
/// | 24 | 8 | when the server took the batch in, µs since 1970; of a block's first batch; when a gap was declared |
/// | 32 | 8 | first position of the sync group: everything below it was synced when this was written |
/// | 40 | 8 | durable position when this was written |
/// | 48 | 8 | writer epoch |
/// | 56 | 4 | number of positions: of a batch its records, in blocks and gaps also those that are gone |
/// | 60 | 4 | length of the payload before compression |
/// | 64 | 4 | chain: the CRC field of the frame before it, the seed in the first one |
/// | 68 | 1 | kind: 1 records of a run, 2 block, 3 gap, 4 records of the log itself |
/// | 69 | 1 | codec: 1 bincode 2, see `docs/format.md`; 0 in a gap |
/// | 70 | 1 | compression: 0 none, 1 zstd (blocks), 2 columns (blocks) |
/// | 71 | 1 | flags: 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of header and payload.
    pub frame_bytes: u32,
    /// Of the payload as stored.
    pub payload_crc: u32,
    /// The position of the first record.
    pub first: Position,
    /// When the server took the batch in; of a block's first batch; when a gap was declared.
    pub time: Timestamp,
    /// Everything below it was synced before this frame was written.
    pub group_first: Position,
    /// The durable position when this frame was written.
    pub durable: Position,
    /// The writer epoch.
    pub epoch: u64,
    /// How many positions it covers: at least 1. Of a batch its records; in blocks and gaps also those that are gone.
    pub records: u32,
    /// Bytes of the payload before compression.
    pub raw_bytes: u32,
    /// The CRC of the header before it.
    pub chain: u32,
    /// What the payload is, how it is encoded and compressed, and flags.
    pub encoding: [u8; 4],
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// One batch.
    Batch(BatchKind),
    /// Several batches, compressed together: see [`Block`](super::Block).
    Block,
    /// No batch: positions that are gone.
    Gap,
}

/// Why positions are gone. The payload of a gap is this one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// 1: erased or expired; compaction left them out.
    Dropped,
    /// 2: lost to damage; repair declared it and put what was left of the bytes into quarantine.
    Lost,
}

impl GapReason {
    /// The payload.
    pub fn byte(self) -> u8 {
        match self {
            Self::Dropped => 1,
            Self::Lost => 2,
        }
    }

    /// The reason that a payload names; `None` when it is not one.
    pub fn of_payload(payload: &[u8]) -> Option<Self> {
        match payload {
            [1] => Some(Self::Dropped),
            [2] => Some(Self::Lost),
            _ => None,
        }
    }
}

impl BatchKind {
    /// The kind of a frame that holds one batch of this kind; a block names each batch's so too.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Run => KIND_RUN_RECORDS,
            Self::Log => KIND_LOG_RECORDS,
        }
    }

    /// The kind of batch that a byte names; `None` when it names none.
    pub const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            KIND_RUN_RECORDS => Some(Self::Run),
            KIND_LOG_RECORDS => Some(Self::Log),
            _ => None,
        }
    }
}

impl FrameHeader {
    /// A block: batches in bincode, compressed together.
    pub const BLOCK_ENCODING: [u8; 4] = [KIND_BLOCK, CODEC_BINCODE_2, COMPRESSION_ZSTD, 0];
    /// A block: batches in bincode, in columns.
    pub const COLUMNS_ENCODING: [u8; 4] = [KIND_BLOCK, CODEC_BINCODE_2, COMPRESSION_COLUMNS, 0];
    /// A gap: one byte.
    pub const GAP_ENCODING: [u8; 4] = [KIND_GAP, CODEC_NONE, COMPRESSION_NONE, 0];

    /// What a frame of one batch has: its kind, bincode, not compressed, no flags.
    pub const fn encoding_of(kind: BatchKind) -> [u8; 4] {
        [kind.byte(), CODEC_BINCODE_2, COMPRESSION_NONE, 0]
    }

    /// The position after the last record.
    pub fn end(&self) -> Position {
        self.first.advance(u64::from(self.records))
    }

    /// Bytes of the payload as stored.
    pub fn payload_bytes(&self) -> usize {
        self.frame_bytes as usize - FRAME_HEADER_BYTES
    }

    /// Bytes up to where the next frame may begin.
    pub fn stride(&self) -> u64 {
        align8(u64::from(self.frame_bytes))
    }

    /// Writes the header into the first bytes of `frame`; returns its CRC, which is the next frame's chain.
    pub fn encode(&self, seed: u32, frame: &mut [u8]) -> u32 {
        let head = &mut frame[..FRAME_HEADER_BYTES];
        put(head, 0, &MAGIC.to_le_bytes());
        put(head, 8, &self.frame_bytes.to_le_bytes());
        put(head, 12, &self.payload_crc.to_le_bytes());
        put(head, 16, &self.first.get().to_le_bytes());
        put(head, 24, &self.time.as_micros().to_le_bytes());
        put(head, 32, &self.group_first.get().to_le_bytes());
        put(head, 40, &self.durable.get().to_le_bytes());
        put(head, 48, &self.epoch.to_le_bytes());
        put(head, 56, &self.records.to_le_bytes());
        put(head, 60, &self.raw_bytes.to_le_bytes());
        put(head, 64, &self.chain.to_le_bytes());
        put(head, 68, &self.encoding);
        let crc = crc_from(seed, &head[8..]);
        put(head, 4, &crc.to_le_bytes());
        crc
    }

    /// The header that `bytes` begin with, and its CRC; `None` when they are not a whole and valid header.
    pub fn decode(seed: u32, bytes: &[u8]) -> Option<(Self, u32)> {
        if bytes.len() < FRAME_HEADER_BYTES || u32_at(bytes, 0) != MAGIC {
            return None;
        }
        let head = &bytes[..FRAME_HEADER_BYTES];
        let crc = crc_from(seed, &head[8..]);
        if u32_at(head, 4) != crc {
            return None;
        }
        let header = Self {
            frame_bytes: u32_at(head, 8),
            payload_crc: u32_at(head, 12),
            first: Position::new(u64_at(head, 16)),
            time: Timestamp::from_micros(i64::from_le_bytes(array_at(head, 24))),
            group_first: Position::new(u64_at(head, 32)),
            durable: Position::new(u64_at(head, 40)),
            epoch: u64_at(head, 48),
            records: u32_at(head, 56),
            raw_bytes: u32_at(head, 60),
            chain: u32_at(head, 64),
            encoding: array_at(head, 68),
        };
        let sized = (FRAME_HEADER_BYTES..=MAX_FRAME_BYTES).contains(&(header.frame_bytes as usize));
        let counted = header.records > 0 && header.first.get().checked_add(u64::from(header.records)).is_some();
        (sized && counted).then_some((header, crc))
    }

    /// What the frame holds; `None` when this program cannot read it.
    pub fn kind(&self) -> Option<FrameKind> {
        let is_plain = self.raw_bytes as usize == self.payload_bytes();
        match self.encoding {
            [kind, CODEC_BINCODE_2, COMPRESSION_NONE, 0] if is_plain => BatchKind::of_byte(kind).map(FrameKind::Batch),
            Self::BLOCK_ENCODING | Self::COLUMNS_ENCODING if self.raw_bytes as usize <= MAX_FRAME_BYTES => {
                Some(FrameKind::Block)
            }
            Self::GAP_ENCODING if is_plain => Some(FrameKind::Gap),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            frame_bytes: 100,
            payload_crc: 0xabcd,
            first: Position::new(5),
            time: Timestamp::from_micros(1_700_000_000_000_000),
            group_first: Position::new(4),
            durable: Position::new(3),
            epoch: 2,
            records: 7,
            raw_bytes: 28,
            chain: 0xfeed,
            encoding: FrameHeader::encoding_of(BatchKind::Run),
        }
    }

    #[test]
    fn reads_back_what_was_written() {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        let crc = header().encode(11, &mut bytes);
        assert_eq!(FrameHeader::decode(11, &bytes), Some((header(), crc)));
        assert_eq!(header().end(), Position::new(12));
        assert_eq!(header().stride(), 104);
    }

    #[test]
    fn the_kind_of_a_batch_is_read_back_and_no_other_encoding_is_taken_for_one() {
        for kind in [BatchKind::Run, BatchKind::Log] {
            let header = FrameHeader { encoding: FrameHeader::encoding_of(kind), ..header() };
            assert_eq!(header.kind(), Some(FrameKind::Batch(kind)));
            assert_eq!(FrameHeader { raw_bytes: 29, ..header }.kind(), None);
        }
        for encoding in [FrameHeader::BLOCK_ENCODING, FrameHeader::COLUMNS_ENCODING] {
            let block = FrameHeader { encoding, raw_bytes: 1 << 20, ..header() };
            assert_eq!(block.kind(), Some(FrameKind::Block));
            assert_eq!(FrameHeader { raw_bytes: MAX_FRAME_BYTES as u32 + 1, ..block }.kind(), None);
        }
        let gap = FrameHeader { encoding: FrameHeader::GAP_ENCODING, ..header() };
        assert_eq!(gap.kind(), Some(FrameKind::Gap));
        let others = [
            [0, 1, 0, 0],
            [5, 1, 0, 0],
            [1, 2, 0, 0],
            [1, 1, 9, 0],
            [4, 1, 0, 1],
            [2, 1, 0, 0],
            [2, 1, 3, 0],
            [3, 1, 0, 0],
        ];
        for encoding in others {
            assert_eq!(FrameHeader { encoding, ..header() }.kind(), None, "{encoding:?}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_seed_is_found() {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        header().encode(11, &mut bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(11, &bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(FrameHeader::decode(12, &bytes), None);
        assert_eq!(FrameHeader::decode(11, &bytes[..71]), None);
    }

    #[test]
    fn impossible_lengths_and_counts_are_refused_though_the_crc_holds() {
        for bad in [
            FrameHeader { frame_bytes: 71, ..header() },
            FrameHeader { frame_bytes: MAX_FRAME_BYTES as u32 + 1, ..header() },
            FrameHeader { records: 0, ..header() },
            FrameHeader { first: Position::new(u64::MAX), ..header() },
        ] {
            let mut bytes = [0; FRAME_HEADER_BYTES];
            bad.encode(11, &mut bytes);
            assert_eq!(FrameHeader::decode(11, &bytes), None, "{bad:?}");
        }
    }
}
