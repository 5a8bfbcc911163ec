use std::io;
use std::sync::Arc;

use agenttracer_model::{Position, Timestamp};

use super::SegmentFile;
use crate::disk::DiskFile;
use crate::format::{
    BlockBuilder, Dictionary, Entry, FRAME_HEADER_BYTES, Footer, FrameHeader, GapReason, MAX_FRAME_BYTES,
    SegmentHeader, StoredBlock, align_block, align8,
};
use crate::record::{RecordRef, Records};
use crate::{BatchKind, StoredBatch};

/// How long a block is before compression, unless one batch alone is longer.
const BLOCK_RAW_BYTES: usize = 128 * 1024;
/// How much is written in one go.
const PIECE_BYTES: usize = 1 << 20;
/// How many pieces are synced together: a group commit beside it must not wait behind a whole segment.
const PIECES_A_SYNC: u32 = 4;

/// Writes a rewritten segment: batches in blocks, gaps for the positions between them, a footer with a complete dictionary.
///
/// Nothing is durable before [`finish`](Self::finish) has returned.
pub(crate) struct Rewriter {
    file: SegmentFile,
    handle: Arc<dyn DiskFile>,
    header: SegmentHeader,
    footer: Footer,
    dictionary: Gathered,
    block: BlockBuilder,
    /// Where the block that is gathered begins: everything below is in frames.
    block_first: Position,
    /// The batches in it: kind, position, records, time, length of the payload.
    in_block: Vec<(BatchKind, Position, u32, Timestamp, usize)>,
    /// Frames that are not written yet, and where they will stand.
    buffer: Vec<u8>,
    offset: u64,
    pieces: u32,
}

impl Rewriter {
    /// Begins the segment that `header` describes in the empty file `handle`, for frames that are read by `file`.
    pub(crate) fn new(file: SegmentFile, handle: Arc<dyn DiskFile>, header: &SegmentHeader) -> Self {
        Self {
            footer: Footer::empty(file.first, file.seed),
            block_first: file.first,
            file,
            handle,
            header: header.clone(),
            dictionary: Gathered::default(),
            block: BlockBuilder::default(),
            in_block: Vec::new(),
            buffer: header.encode(),
            offset: 0,
            pieces: 0,
        }
    }

    /// Adds a batch. Positions between it and the one before are gone.
    pub(crate) fn keep(&mut self, batch: &StoredBatch) -> io::Result<()> {
        let span = batch.end().get() - self.block_first.get();
        let raw = self.block.raw().len() + batch.payload.len();
        if !self.in_block.is_empty() && (raw > BLOCK_RAW_BYTES || u32::try_from(span).is_err()) {
            self.flush_block(self.block.end())?;
        }
        if self.in_block.is_empty() {
            if u32::try_from(batch.end().get() - self.block_first.get()).is_err() {
                self.gap(batch.position, GapReason::Dropped)?;
            }
            self.block.begin(self.block_first, batch.time);
        }
        self.block.add(batch.position, batch.records, batch.time, batch.kind, &batch.payload);
        self.in_block.push((batch.kind, batch.position, batch.records, batch.time, batch.payload.len()));
        self.dictionary.add(batch);
        Ok(())
    }

    /// Declares positions up to `end` as gone for `reason`. What lies between the last batch and them must be told before.
    pub(crate) fn declare(&mut self, end: Position, reason: GapReason) -> io::Result<()> {
        if !self.in_block.is_empty() {
            self.flush_block(self.block.end())?;
        }
        self.gap(end, reason)
    }

    /// The position up to which everything was told.
    pub(crate) fn next(&self) -> Position {
        if self.in_block.is_empty() { self.block_first } else { self.block.end() }
    }

    /// Bytes of the file so far, about.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    /// Ends the segment at position `end`, durably. What was not told up to there is gone.
    pub(crate) fn finish(mut self, end: Position) -> io::Result<Entry> {
        let fits = u32::try_from(end.get() - self.block_first.get()).is_ok();
        if !self.in_block.is_empty() {
            self.flush_block(if fits { end } else { self.block.end() })?;
        }
        self.gap(end, GapReason::Dropped)?;
        self.buffer.resize((align_block(self.file_bytes()) - self.offset) as usize, 0);
        let frames_end = self.file_bytes();
        self.footer.dictionary = self.dictionary.dictionary.clone();
        let footer = self.footer.encode(self.file.seed, frames_end);
        self.buffer.extend_from_slice(&footer);
        self.write()?;
        if self.header.columns {
            // Known only now: an older program is to refuse the segment.
            self.handle.write_all_at(&self.header.encode(), 0)?;
        }
        self.handle.sync_data()?;
        Ok(Entry {
            id: self.header.id,
            first: self.footer.first,
            end: self.footer.end,
            file_bytes: self.offset,
            generation: self.header.generation,
            chain: self.footer.chain,
        })
    }

    /// Makes frames of the gathered batches, which cover the positions up to `end`.
    fn flush_block(&mut self, end: Position) -> io::Result<()> {
        let first = self.block_first;
        let StoredBlock { bytes, encoding } = self.block.store()?;
        let raw_bytes = self.block.raw().len();
        if let [(kind, position, records, time, len)] = self.in_block[..]
            && (bytes.len() >= len || raw_bytes > MAX_FRAME_BYTES)
        {
            // It does not get shorter: a frame of its own.
            self.in_block.clear();
            self.gap(position, GapReason::Dropped)?;
            let payload = self.block.raw()[raw_bytes - len..].to_vec();
            let encoding = FrameHeader::encoding_of(kind);
            self.frame(position.advance(u64::from(records)), time, &payload, len, encoding)?;
            return self.gap(end, GapReason::Dropped);
        }
        debug_assert!(end > first);
        self.header.columns |= encoding == FrameHeader::COLUMNS_ENCODING;
        self.frame(end, self.block.time(), &bytes, raw_bytes, encoding)?;
        for (_, _, records, time, len) in self.in_block.drain(..) {
            self.footer.count(time, records, len);
        }
        Ok(())
    }

    /// Makes frames for the positions up to `end`, which are gone.
    fn gap(&mut self, end: Position, reason: GapReason) -> io::Result<()> {
        while self.block_first < end {
            let left = end.get() - self.block_first.get();
            let piece = self.block_first.advance(left.min(u64::from(u32::MAX)));
            self.frame(piece, self.header.created_at, &[reason.byte()], 1, FrameHeader::GAP_ENCODING)?;
        }
        Ok(())
    }

    fn frame(
        &mut self,
        end: Position,
        time: Timestamp,
        payload: &[u8],
        raw_bytes: usize,
        encoding: [u8; 4],
    ) -> io::Result<()> {
        let first = self.block_first;
        let header = FrameHeader {
            frame_bytes: (FRAME_HEADER_BYTES + payload.len()) as u32,
            payload_crc: crc32fast::hash(payload),
            first,
            time,
            group_first: first,
            durable: first,
            epoch: self.header.epoch,
            records: (end.get() - first.get()) as u32,
            raw_bytes: raw_bytes as u32,
            chain: self.footer.chain,
            encoding,
        };
        let (start, offset) = (self.buffer.len(), self.file_bytes());
        self.buffer.resize(start + FRAME_HEADER_BYTES, 0);
        let crc = header.encode(self.file.seed, &mut self.buffer[start..]);
        self.buffer.extend_from_slice(payload);
        self.buffer.resize(align8(self.buffer.len() as u64) as usize, 0);
        self.footer.add(&header, crc, offset);
        self.block_first = end;
        if self.buffer.len() >= PIECE_BYTES {
            self.write()?;
            self.pieces += 1;
            if self.pieces.is_multiple_of(PIECES_A_SYNC) {
                self.handle.sync_data()?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.handle.write_all_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// The values that batches name, as long as they fit and each batch names all of its run's.
struct Gathered {
    dictionary: Dictionary,
    bytes: u64,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { dictionary: Dictionary { complete: true, lists: Default::default() }, bytes: 0 }
    }
}

impl Gathered {
    fn add(&mut self, batch: &StoredBatch) {
        if batch.kind != BatchKind::Run || !self.dictionary.complete {
            return;
        }
        // A later part of a live run does not name its agent: a scan for one must not pass it over.
        let Some(records) = Records::of(batch).ok().filter(|records| records.whole) else { return self.give_up() };
        for record in records {
            match record {
                Ok(RecordRef::RunStarted { agent_id, agent_version, environment, .. }) => {
                    for (list, value) in [agent_id, agent_version, environment].into_iter().enumerate() {
                        self.insert(list, value);
                    }
                }
                Ok(RecordRef::FailureRecorded { failure_code, .. }) => self.insert(3, failure_code),
                Ok(_) => {}
                Err(_) => return self.give_up(),
            }
        }
    }

    fn insert(&mut self, list: usize, value: &str) {
        if self.dictionary.complete && !self.dictionary.lists[list].contains(value) {
            self.bytes += 4 + value.len() as u64;
            self.dictionary.lists[list].insert(value.to_owned());
            if self.bytes > Footer::dictionary_max_bytes(u64::MAX) {
                self.give_up();
            }
        }
    }

    /// What is not all of it says nothing.
    fn give_up(&mut self) {
        self.dictionary = Dictionary::default();
    }
}
