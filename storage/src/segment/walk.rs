use std::io;
use std::ops::Range;
use std::sync::Arc;

use agenttracer_model::Position;

use super::{SegmentFile, Source};
use crate::disk::Mapping;
use crate::format::{
    BLOCK_BYTES, Block, BlockEntry, FRAME_HEADER_BYTES, FrameHeader, FrameKind, GapReason, align_block, align8,
    is_zero, unpack,
};
use crate::{Damage, Payload, StoredBatch};

/// How many bytes a search for the next valid frame looks at in one go.
const SEARCH_BYTES: usize = 256 * 1024;

/// The part of a segment to walk: frames from `offset`, where position `first` is expected, up to `limit`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) limit: u64,
    pub(crate) first: Position,
    /// The position that the frame behind `limit` has; `None` when it is not known.
    pub(crate) end: Option<Position>,
    /// The chain that the first frame must carry; `None` when it is not known.
    pub(crate) chain: Option<u32>,
}

/// A walk over the frames of a segment, the one place where bytes of a file are taken for frames.
///
/// Headers are checked at each step, payloads by [`content`](Self::content). A valid header is trusted for its length; where
/// there is none, the walk looks on in steps of 8 bytes for a valid one with a plausible position, and says what was lost.
pub(crate) struct Walker {
    pub(crate) file: SegmentFile,
    source: Source,
    offset: u64,
    limit: u64,
    expected: Position,
    end: Option<Position>,
    chain: Option<u32>,
}

/// What a walk comes to.
pub(crate) enum Step {
    /// A frame with a valid header.
    Frame(Frame),
    /// Bytes that are no frame.
    Damage(Damage),
}

/// What a frame holds.
pub(crate) enum Content {
    /// One batch.
    Batch(StoredBatch),
    /// Several batches.
    Block(OpenBlock),
    /// No batch: positions that are gone.
    Gap(GapReason),
}

impl Content {
    /// The batches, in order.
    pub(crate) fn batches(self) -> Batches {
        match self {
            Self::Batch(batch) => Batches { one: Some(batch), block: None },
            Self::Block(block) => Batches { one: None, block: Some((block, 0)) },
            Self::Gap(_) => Batches { one: None, block: None },
        }
    }
}

/// The batches of a frame.
pub(crate) struct Batches {
    one: Option<StoredBatch>,
    block: Option<(OpenBlock, usize)>,
}

impl Iterator for Batches {
    type Item = StoredBatch;

    fn next(&mut self) -> Option<StoredBatch> {
        if let Some((block, at)) = &mut self.block {
            let entry = block.entries.get(*at)?;
            *at += 1;
            return Some(block.batch(entry));
        }
        self.one.take()
    }
}

/// A block that was decompressed. Clones share the bytes.
#[derive(Clone)]
pub(crate) struct OpenBlock {
    raw: Mapping,
    entries: Arc<[BlockEntry]>,
}

impl OpenBlock {
    /// Bytes of the batches.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.raw.len()
    }

    /// The batch that begins at `position`; `Err` says whether the position is gone, or stands within a batch.
    pub(crate) fn find(&self, position: Position) -> Result<StoredBatch, bool> {
        let after = self.entries.partition_point(|entry| entry.position <= position);
        match self.entries[..after].last() {
            Some(entry) if entry.position == position => Ok(self.batch(entry)),
            Some(entry) => Err(entry.position.advance(u64::from(entry.records)) <= position),
            None => Err(true),
        }
    }

    fn batch(&self, entry: &BlockEntry) -> StoredBatch {
        let payload = Payload::Mapped(self.raw.clone(), entry.payload.clone());
        StoredBatch { kind: entry.kind, position: entry.position, records: entry.records, time: entry.time, payload }
    }
}

/// A frame with a valid header; its payload is not checked yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    pub(crate) header_crc: u32,
    pub(crate) offset: u64,
    /// Whether it names the frame before it as its predecessor, where that is known.
    pub(crate) chain_holds: bool,
}

impl Frame {
    pub(crate) fn bytes(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.header.frame_bytes)
    }

    pub(crate) fn positions(&self) -> Range<Position> {
        self.header.first..self.header.end()
    }

    /// Whether it holds several batches.
    pub(crate) fn is_block(&self) -> bool {
        self.header.kind() == Some(FrameKind::Block)
    }
}

impl Walker {
    pub(crate) fn new(file: SegmentFile, source: Source, span: Span) -> Self {
        let Span { offset, limit, first, end, chain } = span;
        Self { file, source, offset, limit, expected: first, end, chain }
    }

    /// The position that comes next.
    pub(crate) fn expected(&self) -> Position {
        self.expected
    }

    /// The next frame or damage; `None` at the end.
    pub(crate) fn step(&mut self) -> io::Result<Option<Step>> {
        if let Some(frame) = self.frame()? {
            return Ok(Some(Step::Frame(frame)));
        }
        if self.offset >= self.limit {
            // The frames end before the positions do.
            let Some(end) = self.end.filter(|end| *end > self.expected) else { return Ok(None) };
            let positions = self.expected..end;
            self.expected = end;
            return Ok(Some(Step::Damage(self.damage(
                self.limit..self.limit,
                positions,
                "the segment's batches end too early",
            ))));
        }
        let from = self.offset;
        let (to, next, chain) = match self.search(from, |_| true)? {
            Some(found) => (found.offset, found.header.first, None),
            None => (self.limit, self.end.unwrap_or(self.expected), self.chain),
        };
        let positions = self.expected..next;
        (self.offset, self.expected, self.chain) = (to, next, chain);
        Ok(Some(Step::Damage(self.damage(from..to, positions, "neither a valid frame header nor padding"))))
    }

    /// The next frame; `None` at the first place where neither a valid frame nor padding stands, and at the end.
    ///
    /// A frame here also names its predecessor and has a valid payload: what recovery takes for written.
    pub(crate) fn strict(&mut self) -> io::Result<Option<Frame>> {
        let (offset, expected, chain) = (self.offset, self.expected, self.chain);
        if let Some(frame) = self.frame()?
            && frame.chain_holds
            && self.crc_holds(&frame)?
        {
            return Ok(Some(frame));
        }
        (self.offset, self.expected, self.chain) = (offset, expected, chain);
        Ok(None)
    }

    /// What the frame holds; damage when the payload's CRC does not hold, or its bytes are not what the header says.
    pub(crate) fn content(&mut self, frame: &Frame) -> io::Result<Result<Content, Damage>> {
        let damaged = |walker: &Self, what: &str| Ok(Err(walker.damage(frame.bytes(), frame.positions(), what)));
        if !self.crc_holds(frame)? {
            return damaged(self, "the CRC of the payload does not hold");
        }
        let header = &frame.header;
        let (offset, len) = (frame.offset + FRAME_HEADER_BYTES as u64, header.payload_bytes());
        match header.kind() {
            None => damaged(self, "the payload is encoded in a way that this program does not know"),
            Some(FrameKind::Batch(kind)) => {
                let payload: Payload = self.source.payload(offset, len, self.limit)?;
                let batch =
                    StoredBatch { kind, position: header.first, records: header.records, time: header.time, payload };
                Ok(Ok(Content::Batch(batch)))
            }
            Some(FrameKind::Block) => {
                let Some(raw) = unpack(header, self.source.at(offset, len, self.limit)?) else {
                    return damaged(self, "the block cannot be decompressed");
                };
                let Some(block) = Block::new(header, &raw) else {
                    return damaged(self, "the block does not hold whole batches");
                };
                let entries = block.entries().collect();
                Ok(Ok(Content::Block(OpenBlock { raw: Mapping::from(raw), entries })))
            }
            Some(FrameKind::Gap) => match GapReason::of_payload(self.source.at(offset, len, self.limit)?) {
                Some(reason) => Ok(Ok(Content::Gap(reason))),
                None => damaged(self, "the gap names no reason that this program knows"),
            },
        }
    }

    /// Whether the bytes between the frame's end and the next multiple of 8 are zero.
    pub(crate) fn is_padded(&mut self, frame: &Frame) -> io::Result<bool> {
        let end = frame.bytes().end;
        Ok(is_zero(self.source.at(end, (align8(end) - end) as usize, self.limit)?))
    }

    /// The first valid frame header from offset `from` on with a plausible position for which `wanted` holds.
    pub(crate) fn search(&mut self, from: u64, wanted: impl Fn(&FrameHeader) -> bool) -> io::Result<Option<Frame>> {
        let mut at = align8(from);
        while at + FRAME_HEADER_BYTES as u64 <= self.limit {
            let bytes = self.source.at(at, SEARCH_BYTES + FRAME_HEADER_BYTES - 8, self.limit)?;
            if bytes.len() < FRAME_HEADER_BYTES {
                return Ok(None);
            }
            let last = bytes.len() - FRAME_HEADER_BYTES;
            for step in (0..=last).step_by(8) {
                let Some((header, header_crc)) = FrameHeader::decode(self.file.seed, &bytes[step..]) else { continue };
                let offset = at + step as u64;
                let plausible = header.first >= self.expected
                    && self.end.is_none_or(|end| header.end() <= end)
                    && offset + u64::from(header.frame_bytes) <= self.limit;
                if plausible && wanted(&header) {
                    return Ok(Some(Frame { header, header_crc, offset, chain_holds: true }));
                }
            }
            at += (last / 8 + 1) as u64 * 8;
        }
        Ok(None)
    }

    /// Whether there are only zeros from `from` to the next block.
    pub(crate) fn is_zero_to_block(&mut self, from: u64) -> io::Result<bool> {
        let block = align_block(from).min(self.limit);
        Ok(is_zero(self.source.at(from, block.saturating_sub(from) as usize, self.limit)?))
    }

    /// The offset behind the last byte that is not zero, from `from` on; `from` when there is none.
    pub(crate) fn last_byte(&mut self, from: u64) -> io::Result<u64> {
        let (mut at, mut end) = (from, from);
        while at < self.limit {
            let bytes = self.source.at(at, SEARCH_BYTES, self.limit)?;
            if bytes.is_empty() {
                break;
            }
            if !is_zero(bytes) {
                let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                end = at + last as u64 + 1;
            }
            at += bytes.len() as u64;
        }
        Ok(end)
    }

    pub(crate) fn damage(&self, offsets: Range<u64>, positions: Range<Position>, what: &str) -> Damage {
        Damage { file: self.file.path.clone(), offsets, positions, what: what.to_owned() }
    }

    /// Takes the frame at the offset, or at the next block when zeros lead to it.
    fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some((header, header_crc)) = self.header_at(self.offset)? {
                let chain_holds = self.chain.is_none_or(|chain| chain == header.chain);
                let frame = Frame { header, header_crc, offset: self.offset, chain_holds };
                self.offset += header.stride();
                self.expected = header.end();
                self.chain = Some(header_crc);
                return Ok(Some(frame));
            }
            let block = align_block(self.offset).min(self.limit);
            if self.offset >= self.limit || self.offset.is_multiple_of(BLOCK_BYTES) {
                return Ok(None);
            }
            let wanted = (block - self.offset) as usize;
            let padding = self.source.at(self.offset, wanted, self.limit)?;
            if padding.len() < wanted || !is_zero(padding) {
                return Ok(None);
            }
            self.offset = block;
        }
    }

    fn header_at(&mut self, offset: u64) -> io::Result<Option<(FrameHeader, u32)>> {
        let bytes = self.source.at(offset, FRAME_HEADER_BYTES, self.limit)?;
        let Some((header, crc)) = FrameHeader::decode(self.file.seed, bytes) else { return Ok(None) };
        let fits = header.first == self.expected
            && self.end.is_none_or(|end| header.end() <= end)
            && offset + u64::from(header.frame_bytes) <= self.limit;
        Ok(fits.then_some((header, crc)))
    }

    fn crc_holds(&mut self, frame: &Frame) -> io::Result<bool> {
        let (offset, len) = (frame.offset + FRAME_HEADER_BYTES as u64, frame.header.payload_bytes());
        let payload = self.source.at(offset, len, self.limit)?;
        Ok(payload.len() == len && crc32fast::hash(payload) == frame.header.payload_crc)
    }
}
