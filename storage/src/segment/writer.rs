use std::io;
use std::sync::Arc;

use agenttracer_model::{Position, Timestamp};

use super::{Active, SegmentFile};
use crate::BatchKind;
use crate::disk::DiskFile;
use crate::format::{
    Entry, FRAME_HEADER_BYTES, Footer, FrameHeader, IndexEntry, MAX_FRAME_BYTES, SEGMENT_HEADER_BYTES, align_block,
    align8,
};

/// Appends to the active segment. One group at a time: [`begin`](Self::begin), [`add`](Self::add) for each batch,
/// [`write`](Self::write), and after the sync [`publish`](Self::publish).
///
/// After a failed write it does not know what stands on disk and must be dropped.
pub(crate) struct Writer {
    pub(crate) active: Arc<Active>,
    pub(crate) id: u64,
    footer: Footer,
    /// Where the next group begins, a multiple of 4096.
    offset: u64,
    /// Where frames must end, so that the footer fits behind them.
    limit: u64,
    marks: Vec<IndexEntry>,
    group: Vec<u8>,
}

/// What a frame is made of.
pub(crate) struct NewFrame<'a> {
    pub(crate) kind: BatchKind,
    pub(crate) payload: &'a [u8],
    pub(crate) payload_crc: u32,
    pub(crate) records: u32,
    pub(crate) time: Timestamp,
    pub(crate) durable: Position,
    pub(crate) epoch: u64,
}

impl Writer {
    /// Goes on behind the frames that `footer` sums up, which end before offset `end`, in a file of `file_bytes`.
    pub(crate) fn new(active: Arc<Active>, id: u64, footer: Footer, end: u64, file_bytes: u64) -> Self {
        let limit = file_bytes.saturating_sub(Footer::room_bytes(file_bytes));
        Self { active, id, footer, offset: align_block(end), limit, marks: Vec::new(), group: Vec::new() }
    }

    /// Begins an empty segment.
    pub(crate) fn empty(file: SegmentFile, handle: Arc<dyn DiskFile>, id: u64, file_bytes: u64) -> Self {
        let footer = Footer::empty(file.first, file.seed);
        Self::new(Arc::new(Active::new(file, handle)), id, footer, SEGMENT_HEADER_BYTES, file_bytes)
    }

    /// The largest payload: a frame is at most [`MAX_FRAME_BYTES`] and must fit into an empty segment of `segment_bytes`.
    pub(crate) fn max_payload_bytes(segment_bytes: u64) -> usize {
        let room = segment_bytes.saturating_sub(Footer::room_bytes(segment_bytes) + SEGMENT_HEADER_BYTES);
        (room.min(MAX_FRAME_BYTES as u64) as usize).saturating_sub(FRAME_HEADER_BYTES)
    }

    /// Bytes of the frame of a payload, with its padding.
    pub(crate) fn frame_bytes(payload_bytes: usize) -> u64 {
        align8((FRAME_HEADER_BYTES + payload_bytes) as u64)
    }

    /// How many bytes of frames still fit.
    pub(crate) fn room(&self) -> u64 {
        self.limit.saturating_sub(self.offset)
    }

    /// The next position.
    pub(crate) fn end(&self) -> Position {
        self.footer.end
    }

    /// Begins a group.
    pub(crate) fn begin(&mut self) {
        self.group.clear();
        self.marks.clear();
    }

    /// Adds a batch to the group; returns its position.
    pub(crate) fn add(&mut self, frame: &NewFrame<'_>) -> Position {
        let start = self.group.len();
        let header = FrameHeader {
            frame_bytes: (FRAME_HEADER_BYTES + frame.payload.len()) as u32,
            payload_crc: frame.payload_crc,
            first: self.footer.end,
            time: frame.time,
            group_first: frame.durable,
            durable: frame.durable,
            epoch: frame.epoch,
            records: frame.records,
            raw_bytes: frame.payload.len() as u32,
            chain: self.footer.chain,
            encoding: FrameHeader::encoding_of(frame.kind),
        };
        self.group.resize(start + FRAME_HEADER_BYTES, 0);
        let crc = header.encode(self.active.file.seed, &mut self.group[start..]);
        self.group.extend_from_slice(frame.payload);
        self.group.resize(align8(self.group.len() as u64) as usize, 0);
        if let Some(mark) = self.footer.add(&header, crc, self.offset + start as u64) {
            self.marks.push(mark);
        }
        header.first
    }

    /// Writes the group, zero padded to a multiple of 4096, in one call.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        self.group.resize(align_block(self.group.len() as u64) as usize, 0);
        self.active.handle.write_all_at(&self.group, self.offset)?;
        self.offset += self.group.len() as u64;
        Ok(())
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.active.handle.sync_data()
    }

    /// Lets readers see the group.
    pub(crate) fn publish(&mut self) {
        self.active.commit(self.footer.end, self.offset, &self.marks);
        // A group of one large batch must not keep its memory for ever.
        self.group.shrink_to(2 << 20);
    }

    /// Seals the segment: after this its file never changes. Everything written must be durable.
    pub(crate) fn seal(&self) -> io::Result<Entry> {
        seal(&*self.active.handle, &self.active.file, self.id, &self.footer, self.offset)
    }
}

/// Writes `footer` behind the frames, which end before `offset`, and gives the unused space back. Can be repeated.
///
/// The frames must be durable before: a valid footer is evidence that they are.
pub(crate) fn seal(
    handle: &dyn DiskFile,
    file: &SegmentFile,
    id: u64,
    footer: &Footer,
    offset: u64,
) -> io::Result<Entry> {
    let bytes = footer.encode(file.seed, offset);
    handle.write_all_at(&bytes, offset)?;
    handle.sync_data()?;
    let file_bytes = offset + bytes.len() as u64;
    handle.set_len(file_bytes)?;
    handle.sync_data()?;
    Ok(Entry { id, first: footer.first, end: footer.end, file_bytes, generation: 1, chain: footer.chain })
}
