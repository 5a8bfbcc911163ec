use std::cell::RefCell;
use std::io;

use agenttracer_model::{Position, Timestamp};

use super::varint::{put_varint, take_varint, unzigzag, zigzag};
use super::{FrameHeader, MAX_FRAME_BYTES, columns};
use crate::BatchKind;

/// The level of compression: a better one takes twice the time for a few percent.
const LEVEL: i32 = 3;

/// The payload of kind 2: several batches, in position order, compressed together with zstd or in columns.
///
/// | batch | |
/// |---|---|
/// | varint | positions that are gone between the batch before, in the first one the frame's position, and this one |
/// | varint | number of records, at least 1 |
/// | varint, zigzag | its time: the distance to the frame's, µs |
/// | 1 byte | kind, as in a frame of its own |
/// | varint | length of the payload |
/// | | payload, as in a frame of its own |
///
/// Positions of the frame behind the last batch are gone too. A payload has at most 16 MiB before compression.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    raw: &'a [u8],
    first: Position,
    end: Position,
    time: Timestamp,
}

/// A batch in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEntry {
    /// The position of its first record.
    pub position: Position,
    /// How many records it has; at least 1.
    pub records: u32,
    /// When the server took it in.
    pub time: Timestamp,
    /// What its records are about.
    pub kind: BatchKind,
    /// Where its payload stands in the decompressed block.
    pub payload: std::ops::Range<usize>,
}

impl<'a> Block<'a> {
    /// The block of the frame `header`, whose decompressed payload is `raw`; `None` when these are not whole batches that lie
    /// within the frame's positions.
    pub fn new(header: &FrameHeader, raw: &'a [u8]) -> Option<Self> {
        let block = Self { raw, first: header.first, end: header.end(), time: header.time };
        let mut entries = block.entries();
        let count = entries.by_ref().count();
        (count > 0 && entries.is_whole()).then_some(block)
    }

    /// The batches, in order.
    pub fn entries(self) -> BlockEntries<'a> {
        BlockEntries { block: self, at: 0, next: self.first }
    }
}

/// The batches of a [`Block`].
#[derive(Clone, Debug)]
pub struct BlockEntries<'a> {
    block: Block<'a>,
    at: usize,
    next: Position,
}

impl BlockEntries<'_> {
    fn is_whole(&self) -> bool {
        self.at == self.block.raw.len()
    }

    fn entry(&self) -> Option<(BlockEntry, usize)> {
        let mut rest = self.block.raw.get(self.at..)?;
        let gone = take_varint(&mut rest)?;
        let records = u32::try_from(take_varint(&mut rest)?).ok().filter(|records| *records > 0)?;
        let distance = take_varint(&mut rest)?;
        let (kind, after) = rest.split_first()?;
        let kind = BatchKind::of_byte(*kind)?;
        rest = after;
        let len = usize::try_from(take_varint(&mut rest)?).ok().filter(|len| *len <= rest.len())?;
        let from = self.block.raw.len() - rest.len();
        let position = self.next.get().checked_add(gone)?;
        let end = position.checked_add(u64::from(records)).filter(|end| *end <= self.block.end.get())?;
        debug_assert!(end > position);
        let time = Timestamp::from_micros(self.block.time.as_micros().wrapping_add(unzigzag(distance)));
        let position = Position::new(position);
        Some((BlockEntry { position, records, time, kind, payload: from..from + len }, from + len))
    }
}

impl Iterator for BlockEntries<'_> {
    type Item = BlockEntry;

    fn next(&mut self) -> Option<BlockEntry> {
        let (entry, at) = self.entry()?;
        self.at = at;
        self.next = entry.position.advance(u64::from(entry.records));
        Some(entry)
    }
}

/// Gathers batches into a block.
#[derive(Default)]
pub struct BlockBuilder {
    raw: Vec<u8>,
    next: Position,
    time: Timestamp,
}

impl BlockBuilder {
    /// Begins anew with positions from `first` on; `time` is that of the first batch.
    pub fn begin(&mut self, first: Position, time: Timestamp) {
        self.raw.clear();
        self.next = first;
        self.time = time;
    }

    /// Adds a batch, which must not lie before the end of the one before it.
    pub fn add(&mut self, position: Position, records: u32, time: Timestamp, kind: BatchKind, payload: &[u8]) {
        put_varint(&mut self.raw, position.get() - self.next.get());
        put_varint(&mut self.raw, u64::from(records));
        put_varint(&mut self.raw, zigzag(time.as_micros().wrapping_sub(self.time.as_micros())));
        self.raw.push(kind.byte());
        put_varint(&mut self.raw, payload.len() as u64);
        self.raw.extend_from_slice(payload);
        self.next = position.advance(u64::from(records));
    }

    /// The block before compression.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The block as it is stored: in columns, or compressed when it holds anything that has none.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn store(&self) -> io::Result<StoredBlock> {
        match columns::encode(&self.raw, self.time.as_micros()) {
            Some(bytes) => Ok(StoredBlock { bytes, encoding: FrameHeader::COLUMNS_ENCODING }),
            None => Ok(StoredBlock { bytes: self.compress()?, encoding: FrameHeader::BLOCK_ENCODING }),
        }
    }

    /// The block compressed, whatever it holds.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn compress(&self) -> io::Result<Vec<u8>> {
        thread_local! {
            static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
        }
        COMPRESSOR.with_borrow_mut(|compressor| {
            let compressor = match compressor {
                Some(compressor) => compressor,
                none => {
                    let mut new = zstd::bulk::Compressor::new(LEVEL)?;
                    // The frame header has the length and a CRC of its own.
                    new.include_checksum(false)?;
                    new.include_contentsize(false)?;
                    none.insert(new)
                }
            };
            compressor.compress(&self.raw)
        })
    }

    /// The position after the last batch.
    pub fn end(&self) -> Position {
        self.next
    }

    /// The time to which those of the batches are told.
    pub fn time(&self) -> Timestamp {
        self.time
    }
}

/// A block as it is stored.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// The payload of its frame.
    pub bytes: Vec<u8>,
    /// What the header of its frame calls it.
    pub encoding: [u8; 4],
}

/// The raw bytes of a block, whose frame has this header; `None` when `stored` is not what the header says.
pub(crate) fn unpack(header: &FrameHeader, stored: &[u8]) -> Option<Vec<u8>> {
    if header.raw_bytes as usize > MAX_FRAME_BYTES {
        return None;
    }
    match header.encoding {
        FrameHeader::COLUMNS_ENCODING => columns::decode(stored, header.raw_bytes as usize, header.time.as_micros()),
        _ => decompress(stored, header.raw_bytes),
    }
}

/// The raw bytes of a block; `None` when `stored` is not the compression of exactly `raw_bytes`.
fn decompress(stored: &[u8], raw_bytes: u32) -> Option<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        let mut raw = vec![0; raw_bytes as usize];
        (decompressor.decompress_to_buffer(stored, &mut raw[..]).ok()? == raw.len()).then_some(raw)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (u64, u32, i64, BatchKind, Vec<u8>);

    fn batches() -> Vec<Told> {
        vec![
            (10, 1, 1_000, BatchKind::Run, b"one".to_vec()),
            (11, 300, 999, BatchKind::Log, Vec::new()),
            (70_000, 2, i64::MIN, BatchKind::Run, vec![7; 70_000]),
            (70_002, 1, i64::MAX, BatchKind::Run, vec![8; 251]),
        ]
    }

    fn built(batches: &[Told]) -> BlockBuilder {
        let mut builder = BlockBuilder::default();
        builder.begin(Position::new(5), Timestamp::from_micros(1_000));
        for (position, records, time, kind, payload) in batches {
            builder.add(Position::new(*position), *records, Timestamp::from_micros(*time), *kind, payload);
        }
        builder
    }

    fn header(end: u64) -> FrameHeader {
        FrameHeader {
            frame_bytes: 100,
            payload_crc: 0,
            first: Position::new(5),
            time: Timestamp::from_micros(1_000),
            group_first: Position::ZERO,
            durable: Position::ZERO,
            epoch: 1,
            records: (end - 5) as u32,
            raw_bytes: 0,
            chain: 0,
            encoding: FrameHeader::BLOCK_ENCODING,
        }
    }

    #[test]
    fn reads_back_what_was_written() {
        let built = built(&batches());
        let (raw, stored) = (built.raw(), built.compress().unwrap());
        assert!(stored.len() < 1000);
        let back = decompress(&stored, raw.len() as u32).unwrap();
        assert_eq!(back, raw);
        let header = header(70_010);
        let block = Block::new(&header, &back).unwrap();
        let told: Vec<_> = block
            .entries()
            .map(|entry| {
                let payload = back[entry.payload].to_vec();
                (entry.position.get(), entry.records, entry.time.as_micros(), entry.kind, payload)
            })
            .collect();
        assert_eq!(told, batches());
    }

    #[test]
    fn only_whole_batches_within_the_positions_of_the_frame_are_a_block() {
        let raw = built(&batches()).raw().to_vec();
        assert!(Block::new(&header(70_003), &raw).is_some());
        assert!(Block::new(&header(70_002), &raw).is_none(), "the last batch ends behind the frame");
        for len in [0, 1, 5, raw.len() - 1] {
            assert!(Block::new(&header(70_003), &raw[..len]).is_none(), "{len} bytes");
        }
        let mut longer = raw.clone();
        longer.push(0);
        assert!(Block::new(&header(70_003), &longer).is_none());
        assert!(Block::new(&header(70_003), &[0, 0, 0, 1, 0]).is_none(), "a batch without records");
        assert!(Block::new(&header(70_003), &[0, 1, 0, 2, 0]).is_none(), "a block in a block");
    }

    #[test]
    fn a_length_that_the_header_does_not_name_is_refused() {
        let built = built(&batches());
        let (raw, stored) = (built.raw(), built.compress().unwrap());
        for len in [0, raw.len() as u32 - 1, raw.len() as u32 + 1] {
            assert_eq!(decompress(&stored, len), None, "{len}");
        }
        assert_eq!(decompress(&stored[..stored.len() - 1], raw.len() as u32), None);
        assert_eq!(decompress(b"no frame of zstd", 10), None);
    }
}
