//! The bytes of the log: pure functions, little-endian by hand, no I/O.
//!
//! *Format*: the tables stand above the constants here and, equal to them, in `docs/format.md`.
//! *Durability*: nothing here; see `crate::commit`.
//! *Recovery*: every structure carries its own CRC, so that a length or an offset is believed only after it was checked.
//!
//! The CRCs inside a segment begin from the segment's [`seed`]: bytes of another log or another segment, or bytes that a
//! client sent inside of a payload, are never taken for a frame of this segment.

mod block;
mod columns;
mod footer;
mod frame;
mod header;
mod slot;
mod varint;
mod version;

pub(crate) use block::unpack;
pub use block::{Block, BlockBuilder, BlockEntries, BlockEntry, StoredBlock};
pub use footer::{Dictionary, Footer, IndexEntry, TRAILER_BYTES, Trailer};
pub use frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, GapReason, MAX_FRAME_BYTES};
pub(crate) use header::BadHeader;
pub use header::SegmentHeader;
pub(crate) use slot::BadSlot;
pub use slot::{Entry, Slot};
pub use version::Version;

use agenttracer_model::Position;
use uuid::Uuid;

/// The version of the format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// The feature bits that this program knows; a file with another bit set is of a newer format.
pub const FEATURES: u64 = FEATURE_REWRITTEN | FEATURE_COLUMNS;
/// Feature bit 0: blocks and gaps, and in the manifest rewritten segments or a first position that is not 0.
pub const FEATURE_REWRITTEN: u64 = 1;
/// Feature bit 1: blocks in columns.
pub const FEATURE_COLUMNS: u64 = 2;
/// Groups, the footer and the segment header begin at multiples of this.
pub const BLOCK_BYTES: u64 = 4096;
/// The length of a segment header.
pub const SEGMENT_HEADER_BYTES: u64 = BLOCK_BYTES;
/// The footer's index has one entry for each stretch of at least this many bytes.
pub const INDEX_STRIDE_BYTES: u64 = 64 * 1024;

/// What the CRCs inside one segment begin from.
pub fn seed(log_id: Uuid, first: Position, generation: u32) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(log_id.as_bytes());
    crc.update(&first.get().to_le_bytes());
    crc.update(&generation.to_le_bytes());
    crc.finalize()
}

/// The CRC-32 of `bytes`, begun from `seed`.
pub(crate) fn crc_from(seed: u32, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(seed);
    crc.update(bytes);
    crc.finalize()
}

/// The next multiple of 8.
pub const fn align8(len: u64) -> u64 {
    len.next_multiple_of(8)
}

/// The next multiple of [`BLOCK_BYTES`].
pub const fn align_block(len: u64) -> u64 {
    len.next_multiple_of(BLOCK_BYTES)
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Whole words at once: recovery and verification look at every prepared byte.
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_le_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_zero_looks_at_every_byte() {
        for len in 0..100 {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes));
            for at in 0..len {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{at} of {len}");
                bytes[at] = 0;
            }
        }
    }

    #[test]
    fn each_segment_has_its_own_seed() {
        let seeds = [
            seed(Uuid::from_u128(1), Position::ZERO, 1),
            seed(Uuid::from_u128(2), Position::ZERO, 1),
            seed(Uuid::from_u128(1), Position::new(1), 1),
            seed(Uuid::from_u128(1), Position::ZERO, 2),
        ];
        for (i, one) in seeds.iter().enumerate() {
            assert!(!seeds[i + 1..].contains(one));
        }
    }
}
