use std::collections::BTreeSet;

use agenttracer_model::{Position, Timestamp};

use super::{FrameHeader, FrameKind, INDEX_STRIDE_BYTES, align_block, align8, array_at, crc_from, put, u32_at, u64_at};

/// The length of the trailer, the last bytes of a sealed segment.
pub const TRAILER_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"ATRFOOT1";
const TRAILER_MAGIC: [u8; 8] = *b"ATRTAIL1";
const FIXED_BYTES: usize = 88;
const ENTRY_BYTES: usize = 16;
const DICTIONARY_COMPLETE: u32 = 1;
/// The dictionary's share of a segment: at most this, and at most a sixteenth of the segment.
const DICTIONARY_MAX_BYTES: u64 = 64 * 1024;

/// What stands behind the frames of a sealed segment, at a multiple of 4096.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | magic `ATRFOOT1` |
/// | 8 | 4 | CRC of bytes 12..end of the footer, begun from the segment's seed |
/// | 12 | 4 | chain: the CRC field of the last frame |
/// | 16 | 8 | first position |
/// | 24 | 8 | position after the last record |
/// | 32 | 8 | earliest batch time, µs since 1970 |
/// | 40 | 8 | latest batch time |
/// | 48 | 8 | batches |
/// | 56 | 8 | records: positions without those that are gone |
/// | 64 | 8 | payload bytes, before compression |
/// | 72 | 4 | index entries, n |
/// | 76 | 4 | dictionary flags: bit 0 all values are listed |
/// | 80 | 4 | dictionary bytes, d |
/// | 84 | 4 | zeros |
/// | 88 | 16 n | index: position u64, offset u64 |
/// | 88 + 16 n | d | four lists (agents, versions, environments, failure codes): count u32, then per value length u32 and UTF-8 |
/// | .. | 0..7 | zeros to a multiple of 8 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The position of the first record.
    pub first: Position,
    /// The position after the last one.
    pub end: Position,
    /// The earliest time of a batch.
    pub min_time: Timestamp,
    /// The latest time of a batch.
    pub max_time: Timestamp,
    /// How many batches there are.
    pub batches: u64,
    /// How many records there are: fewer than positions when some are gone.
    pub records: u64,
    /// Bytes of all batches' payloads, before compression.
    pub payload_bytes: u64,
    /// The CRC field of the last frame, the segment's seed when there is none.
    pub chain: u32,
    /// The batches that begin each stretch of [`INDEX_STRIDE_BYTES`], in order.
    pub index: Vec<IndexEntry>,
    /// The values that the batches name.
    pub dictionary: Dictionary,
}

/// Where a batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its first position.
    pub position: Position,
    /// Its frame's offset in the file.
    pub offset: u64,
}

/// The distinct values of four fields, so that a scan can skip a segment that does not name one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    /// Whether all values are listed. When not, a value that is missing here may still be in the segment.
    pub complete: bool,
    /// Agents, versions, environments, failure codes.
    pub lists: [BTreeSet<String>; 4],
}

impl Footer {
    /// The footer of a segment without a batch.
    pub fn empty(first: Position, seed: u32) -> Self {
        Self {
            first,
            end: first,
            min_time: Timestamp::from_micros(i64::MAX),
            max_time: Timestamp::from_micros(i64::MIN),
            batches: 0,
            records: 0,
            payload_bytes: 0,
            chain: seed,
            index: Vec::new(),
            dictionary: Dictionary::default(),
        }
    }

    /// Takes in the next frame. Returns its index entry when it gets one. The batches of a block are to be told one by one
    /// with [`count`](Self::count).
    pub fn add(&mut self, header: &FrameHeader, header_crc: u32, offset: u64) -> Option<IndexEntry> {
        self.end = header.end();
        self.chain = header_crc;
        if !matches!(header.kind(), Some(FrameKind::Block | FrameKind::Gap)) {
            self.count(header.time, header.records, header.payload_bytes());
        }
        if self.index.last().is_some_and(|last| offset - last.offset < INDEX_STRIDE_BYTES) {
            return None;
        }
        let entry = IndexEntry { position: header.first, offset };
        self.index.push(entry);
        Some(entry)
    }

    /// Takes in a batch of the block that was added last.
    pub fn count(&mut self, time: Timestamp, records: u32, payload_bytes: usize) {
        self.min_time = self.min_time.min(time);
        self.max_time = self.max_time.max(time);
        self.batches += 1;
        self.records += u64::from(records);
        self.payload_bytes += payload_bytes as u64;
    }

    /// How many positions it covers, gaps included.
    pub fn positions(&self) -> u64 {
        self.end.get() - self.first.get()
    }

    /// How many bytes of values a dictionary may have in a segment of `segment_bytes`.
    pub fn dictionary_max_bytes(segment_bytes: u64) -> u64 {
        DICTIONARY_MAX_BYTES.min(segment_bytes / 16)
    }

    /// Bytes to keep free for footer and trailer in a segment of `segment_bytes`.
    pub fn room_bytes(segment_bytes: u64) -> u64 {
        let index = (segment_bytes / INDEX_STRIDE_BYTES + 2) * ENTRY_BYTES as u64;
        align_block(
            FIXED_BYTES as u64 + index + Self::dictionary_max_bytes(segment_bytes) + 16 + 8 + TRAILER_BYTES as u64,
        )
    }

    /// Footer and trailer of a segment whose frames end before `offset`.
    pub fn encode(&self, seed: u32, offset: u64) -> Vec<u8> {
        let dictionary = self.dictionary.encode();
        let used = FIXED_BYTES + self.index.len() * ENTRY_BYTES + dictionary.len();
        let len = align8(used as u64) as usize;
        let mut bytes = vec![0; len + TRAILER_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 12, &self.chain.to_le_bytes());
        put(&mut bytes, 16, &self.first.get().to_le_bytes());
        put(&mut bytes, 24, &self.end.get().to_le_bytes());
        put(&mut bytes, 32, &self.min_time.as_micros().to_le_bytes());
        put(&mut bytes, 40, &self.max_time.as_micros().to_le_bytes());
        put(&mut bytes, 48, &self.batches.to_le_bytes());
        put(&mut bytes, 56, &self.records.to_le_bytes());
        put(&mut bytes, 64, &self.payload_bytes.to_le_bytes());
        put(&mut bytes, 72, &(self.index.len() as u32).to_le_bytes());
        put(&mut bytes, 76, &(if self.dictionary.complete { DICTIONARY_COMPLETE } else { 0 }).to_le_bytes());
        put(&mut bytes, 80, &(dictionary.len() as u32).to_le_bytes());
        let mut at = FIXED_BYTES;
        for entry in &self.index {
            put(&mut bytes, at, &entry.position.get().to_le_bytes());
            put(&mut bytes, at + 8, &entry.offset.to_le_bytes());
            at += ENTRY_BYTES;
        }
        put(&mut bytes, at, &dictionary);
        let crc = crc_from(seed, &bytes[12..len]);
        put(&mut bytes, 8, &crc.to_le_bytes());
        let trailer = Trailer { footer_bytes: len as u32, footer_offset: offset };
        put(&mut bytes, len, &trailer.encode(seed));
        bytes
    }

    /// The footer that `bytes`, without the trailer, are; `None` when they are not a valid one.
    pub fn decode(seed: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() < FIXED_BYTES || bytes[..8] != MAGIC || u32_at(bytes, 8) != crc_from(seed, &bytes[12..]) {
            return None;
        }
        let entries = u32_at(bytes, 72) as usize;
        let index_end = entries.checked_mul(ENTRY_BYTES)?.checked_add(FIXED_BYTES)?;
        let dictionary_end = index_end.checked_add(u32_at(bytes, 80) as usize)?;
        if align8(dictionary_end as u64) != bytes.len() as u64 {
            return None;
        }
        let index = bytes[FIXED_BYTES..index_end]
            .as_chunks::<ENTRY_BYTES>()
            .0
            .iter()
            .map(|entry| IndexEntry { position: Position::new(u64_at(entry, 0)), offset: u64_at(entry, 8) })
            .collect();
        let complete = u32_at(bytes, 76) & DICTIONARY_COMPLETE != 0;
        let footer = Self {
            first: Position::new(u64_at(bytes, 16)),
            end: Position::new(u64_at(bytes, 24)),
            min_time: Timestamp::from_micros(i64::from_le_bytes(array_at(bytes, 32))),
            max_time: Timestamp::from_micros(i64::from_le_bytes(array_at(bytes, 40))),
            batches: u64_at(bytes, 48),
            records: u64_at(bytes, 56),
            payload_bytes: u64_at(bytes, 64),
            chain: u32_at(bytes, 12),
            index,
            dictionary: Dictionary::decode(complete, &bytes[index_end..dictionary_end])?,
        };
        let counted = footer.end.get().checked_sub(footer.first.get()).is_some_and(|all| footer.records <= all);
        counted.then_some(footer)
    }
}

impl Dictionary {
    /// Whether a batch may name this value in a list: 0 agents, 1 versions, 2 environments, 3 failure codes.
    pub fn may_have(&self, list: usize, value: &str) -> bool {
        !self.complete || self.lists[list].contains(value)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for list in &self.lists {
            bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
            for value in list {
                bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
                bytes.extend_from_slice(value.as_bytes());
            }
        }
        bytes
    }

    fn decode(complete: bool, mut bytes: &[u8]) -> Option<Self> {
        let mut dictionary = Self { complete, lists: Default::default() };
        for list in &mut dictionary.lists {
            for _ in 0..take_u32(&mut bytes)? {
                let len = take_u32(&mut bytes)? as usize;
                let (value, rest) = bytes.split_at_checked(len)?;
                list.insert(String::from_utf8(value.to_vec()).ok()?);
                bytes = rest;
            }
        }
        bytes.is_empty().then_some(dictionary)
    }
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

/// The last bytes of a sealed segment: where its footer is.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | magic `ATRTAIL1` |
/// | 8 | 4 | CRC of bytes 12..32, begun from the segment's seed |
/// | 12 | 4 | length of the footer |
/// | 16 | 8 | offset of the footer: the frames end there |
/// | 24 | 8 | length of the file |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Bytes of the footer, without the trailer.
    pub footer_bytes: u32,
    /// Where the footer begins.
    pub footer_offset: u64,
}

impl Trailer {
    /// The length of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.footer_offset + u64::from(self.footer_bytes) + TRAILER_BYTES as u64
    }

    fn encode(&self, seed: u32) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        put(&mut bytes, 0, &TRAILER_MAGIC);
        put(&mut bytes, 12, &self.footer_bytes.to_le_bytes());
        put(&mut bytes, 16, &self.footer_offset.to_le_bytes());
        put(&mut bytes, 24, &self.file_bytes().to_le_bytes());
        let crc = crc_from(seed, &bytes[12..]);
        put(&mut bytes, 8, &crc.to_le_bytes());
        bytes
    }

    /// The trailer of a file of `file_bytes`; `None` when these bytes are not it.
    pub fn decode(seed: u32, bytes: &[u8], file_bytes: u64) -> Option<Self> {
        if bytes.len() != TRAILER_BYTES
            || bytes[..8] != TRAILER_MAGIC
            || u32_at(bytes, 8) != crc_from(seed, &bytes[12..])
        {
            return None;
        }
        let trailer = Self { footer_bytes: u32_at(bytes, 12), footer_offset: u64_at(bytes, 16) };
        let fits = trailer.footer_offset.checked_add(u64::from(trailer.footer_bytes) + TRAILER_BYTES as u64)
            == Some(file_bytes)
            && u64_at(bytes, 24) == file_bytes;
        fits.then_some(trailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        let mut footer = Footer::empty(Position::new(10), 5);
        let mut header = FrameHeader {
            frame_bytes: 80,
            payload_crc: 1,
            first: Position::new(10),
            time: Timestamp::from_micros(7),
            group_first: Position::new(10),
            durable: Position::new(10),
            epoch: 1,
            records: 2,
            raw_bytes: 8,
            chain: 5,
            encoding: FrameHeader::encoding_of(crate::BatchKind::Run),
        };
        footer.add(&header, 77, 4096);
        header.first = Position::new(12);
        header.time = Timestamp::from_micros(3);
        footer.add(&header, 78, 8192);
        header.first = Position::new(14);
        footer.add(&header, 79, 4096 + INDEX_STRIDE_BYTES);
        footer.dictionary.complete = true;
        footer.dictionary.lists[0].insert("support-agent".to_owned());
        footer.dictionary.lists[3].insert("timeout".to_owned());
        footer
    }

    #[test]
    fn reads_back_what_was_written() {
        let bytes = footer().encode(9, 81_920);
        let (body, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES);
        let trailer = Trailer::decode(9, trailer, 81_920 + bytes.len() as u64).unwrap();
        assert_eq!(trailer, Trailer { footer_bytes: body.len() as u32, footer_offset: 81_920 });
        assert_eq!(Footer::decode(9, body), Some(footer()));
        let mut dictionary = footer().dictionary;
        assert!(dictionary.may_have(0, "support-agent") && !dictionary.may_have(1, "support-agent"));
        dictionary.complete = false;
        assert!(dictionary.may_have(1, "support-agent"));
        let footer = footer();
        assert_eq!((footer.batches, footer.records, footer.payload_bytes, footer.chain), (3, 6, 24, 79));
        assert_eq!((footer.min_time.as_micros(), footer.max_time.as_micros()), (3, 7));
        assert_eq!(
            footer.index,
            [
                IndexEntry { position: Position::new(10), offset: 4096 },
                IndexEntry { position: Position::new(14), offset: 4096 + INDEX_STRIDE_BYTES }
            ]
        );
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let mut bytes = footer().encode(9, 4096);
        let (file_bytes, body) = (4096 + bytes.len() as u64, bytes.len() - TRAILER_BYTES);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let trailer = Trailer::decode(9, &bytes[body..], file_bytes);
            let footer = Footer::decode(9, &bytes[..body]);
            assert!(trailer.is_none() || footer.is_none(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(Trailer::decode(9, &bytes[body..], file_bytes + 1), None);
    }

    #[test]
    fn the_room_holds_the_largest_footer() {
        for segment_bytes in [16 * 1024, 1 << 20, 64 << 20] {
            let mut footer = Footer::empty(Position::ZERO, 0);
            for i in 0..=segment_bytes / INDEX_STRIDE_BYTES {
                footer.index.push(IndexEntry { position: Position::new(i), offset: i });
            }
            let value = "x".repeat(Footer::dictionary_max_bytes(segment_bytes) as usize - 4);
            footer.dictionary.lists[0].insert(value);
            assert!(footer.encode(1, 0).len() as u64 <= Footer::room_bytes(segment_bytes));
        }
    }
}
