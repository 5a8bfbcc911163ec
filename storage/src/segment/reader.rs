use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use agenttracer_model::Position;

use super::{Active, Content, OpenBlock, SegmentFile, Source, Span, Step, Walker};
use crate::disk::{Disk, DiskFile, Mapping};
use crate::format::{Entry, Footer, FrameKind, GapReason, SEGMENT_HEADER_BYTES, TRAILER_BYTES, Trailer};
use crate::{Damage, StoredBatch};

/// How far a point read reads in one go: the distance of two index entries.
const POINT_AHEAD_BYTES: usize = 64 * 1024;
/// A block that is larger is not kept for the next point read.
const KEPT_BLOCK_BYTES: usize = 256 * 1024;

/// The positions of a block's frame, and the block.
type InBlock = (Range<Position>, OpenBlock);

/// What a point read found.
pub(crate) enum Lookup {
    /// The batch.
    Found(StoredBatch),
    /// Damage in its place.
    Damaged(Damage),
    /// The position is gone.
    Gone(GapReason),
    /// No batch begins there.
    Nothing,
}

/// A sealed segment that is open: handle, footer, and the mapping once a scan asked for it.
pub(crate) struct OpenSealed {
    pub(crate) file: SegmentFile,
    pub(crate) handle: Arc<dyn DiskFile>,
    pub(crate) footer: Footer,
    /// Where the frames end.
    pub(crate) limit: u64,
    mapping: OnceLock<Mapping>,
    /// The block that was read last, with its positions: who reads a run reads its neighbours next.
    block: Mutex<Option<InBlock>>,
}

impl OpenSealed {
    /// Opens a sealed segment. A missing or bad footer is rebuilt from the frames, and reported.
    pub(crate) fn open(disk: &dyn Disk, file: &SegmentFile, entry: &Entry) -> io::Result<(Self, Option<Damage>)> {
        let handle = disk.open_read(&file.path)?;
        let (footer, limit, damage) = match load_footer(&*handle, file, entry)? {
            Ok((footer, limit)) => (footer, limit, None),
            Err(damage) => {
                let (footer, limit) = rebuild_footer(handle.clone(), file, entry)?;
                (footer, limit, Some(damage))
            }
        };
        Ok((
            Self { file: file.clone(), handle, footer, limit, mapping: OnceLock::new(), block: Mutex::default() },
            damage,
        ))
    }

    /// The mapped file.
    pub(crate) fn mapping(&self, disk: &dyn Disk) -> io::Result<Mapping> {
        if let Some(mapping) = self.mapping.get() {
            return Ok(mapping.clone());
        }
        let mapping = disk.map(&self.file.path)?;
        Ok(self.mapping.get_or_init(|| mapping).clone())
    }

    /// What the block that was read last says about `position`.
    fn in_last_block(&self, position: Position) -> Option<Lookup> {
        let last = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(positions, _)| positions.contains(&position)).map(|(_, block)| lookup(block, position))
    }

    /// The span that holds the batch with `position`: from the index entry before it up to the next one.
    pub(crate) fn near(&self, position: Position) -> Span {
        let index = &self.footer.index;
        let after = index.partition_point(|entry| entry.position <= position);
        let (offset, first) = index[..after]
            .last()
            .map_or((SEGMENT_HEADER_BYTES, self.footer.first), |entry| (entry.offset, entry.position));
        let (limit, end) =
            index.get(after).map_or((self.limit, self.footer.end), |entry| (entry.offset, entry.position));
        Span { offset, limit, first, end: Some(end), chain: None }
    }

    /// The span from the index entry before `position` to the end.
    pub(crate) fn from(&self, position: Position) -> Span {
        Span { limit: self.limit, end: Some(self.footer.end), ..self.near(position) }
    }
}

/// The footer that the manifest's `entry` describes, and where the frames end; or what is wrong with it.
pub(crate) fn load_footer(
    handle: &dyn DiskFile,
    file: &SegmentFile,
    entry: &Entry,
) -> io::Result<Result<(Footer, u64), Damage>> {
    let read = read_footer(handle, file, entry.file_bytes)?;
    Ok(read.map_err(|damage| Damage { positions: entry.end..entry.end, ..damage }).and_then(|(footer, offset)| {
        if (footer.first, footer.end, footer.chain) == (entry.first, entry.end, entry.chain) {
            return Ok((footer, offset));
        }
        Err(Damage {
            file: file.path.clone(),
            offsets: offset..entry.file_bytes,
            positions: entry.end..entry.end,
            what: "the footer is not the one that the manifest describes".to_owned(),
        })
    }))
}

/// The footer at the end of a file of `file_bytes`, and where the frames end; or what is wrong with it.
pub(crate) fn read_footer(
    handle: &dyn DiskFile,
    file: &SegmentFile,
    file_bytes: u64,
) -> io::Result<Result<(Footer, u64), Damage>> {
    let damage = |from: u64, what: &str| Damage {
        file: file.path.clone(),
        offsets: from..file_bytes,
        positions: file.first..file.first,
        what: what.to_owned(),
    };
    let trailer_at = file_bytes.saturating_sub(TRAILER_BYTES as u64);
    let mut bytes = [0; TRAILER_BYTES];
    if let Err(error) = handle.read_exact_at(&mut bytes, trailer_at) {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => Ok(Err(damage(trailer_at, "the trailer is cut off"))),
            _ => Err(error),
        };
    }
    let Some(trailer) = Trailer::decode(file.seed, &bytes, file_bytes) else {
        return Ok(Err(damage(trailer_at, "not a valid trailer")));
    };
    // The trailer's CRC holds and its lengths add up to that of the file: they can be trusted.
    let mut bytes = vec![0; trailer.footer_bytes as usize];
    handle.read_exact_at(&mut bytes, trailer.footer_offset)?;
    Ok(match Footer::decode(file.seed, &bytes) {
        Some(footer) => Ok((footer, trailer.footer_offset)),
        None => Err(damage(trailer.footer_offset, "not a valid footer")),
    })
}

/// Makes the footer of a sealed segment from its frames, and says where they end as far as that can be known.
pub(crate) fn rebuild_footer(
    handle: Arc<dyn DiskFile>,
    file: &SegmentFile,
    entry: &Entry,
) -> io::Result<(Footer, u64)> {
    let span = Span {
        offset: SEGMENT_HEADER_BYTES,
        limit: entry.file_bytes,
        first: entry.first,
        end: Some(entry.end),
        chain: None,
    };
    let mut walker = Walker::new(file.clone(), Source::file(handle, 1 << 20), span);
    let mut footer = Footer::empty(entry.first, file.seed);
    let mut limit = SEGMENT_HEADER_BYTES;
    while footer.end < entry.end {
        match walker.step()? {
            Some(Step::Frame(frame)) => {
                footer.add(&frame.header, frame.header_crc, frame.offset);
                if frame.is_block()
                    && let Ok(content) = walker.content(&frame)?
                {
                    for batch in content.batches() {
                        footer.count(batch.time, batch.records, batch.payload.len());
                    }
                }
                limit = crate::format::align_block(frame.bytes().end);
            }
            Some(Step::Damage(_)) => {}
            None => break,
        }
    }
    if footer.end < entry.end {
        // The last batches are damaged: what is left of them lies behind the last good one.
        limit = entry.file_bytes;
        footer.end = entry.end;
    }
    Ok((footer, limit.min(entry.file_bytes)))
}

/// Looks for the batch that begins at `position`.
pub(crate) fn find_in_sealed(segment: &OpenSealed, position: Position) -> io::Result<Lookup> {
    if let Some(found) = segment.in_last_block(position) {
        return Ok(found);
    }
    let source = Source::file(segment.handle.clone(), POINT_AHEAD_BYTES);
    let (found, block) = find(Walker::new(segment.file.clone(), source, segment.near(position)), position)?;
    if let Some((_, opened)) = &block
        && opened.raw_bytes() <= KEPT_BLOCK_BYTES
    {
        *segment.block.lock().unwrap_or_else(PoisonError::into_inner) = block;
    }
    Ok(found)
}

/// Looks for the committed batch that begins at `position`.
pub(crate) fn find_in_active(active: &Active, position: Position) -> io::Result<Lookup> {
    let (start, limit, end) = active.near(position);
    if position >= end {
        return Ok(Lookup::Nothing);
    }
    let span = Span { offset: start.offset, limit, first: start.position, end: Some(end), chain: None };
    let source = Source::file(active.handle.clone(), POINT_AHEAD_BYTES);
    Ok(find(Walker::new(active.file.clone(), source, span), position)?.0)
}

/// What stands at `position`, and the block in which it stands.
fn find(mut walker: Walker, position: Position) -> io::Result<(Lookup, Option<InBlock>)> {
    while walker.expected() <= position {
        match walker.step()? {
            Some(Step::Frame(frame)) if frame.positions().contains(&position) => {
                if matches!(frame.header.kind(), Some(FrameKind::Batch(_))) && frame.header.first != position {
                    return Ok((Lookup::Nothing, None));
                }
                return Ok(match walker.content(&frame)? {
                    Ok(Content::Batch(batch)) => (Lookup::Found(batch), None),
                    Ok(Content::Block(block)) => (lookup(&block, position), Some((frame.positions(), block))),
                    Ok(Content::Gap(reason)) => (Lookup::Gone(reason), None),
                    Err(damage) => (Lookup::Damaged(damage), None),
                });
            }
            Some(Step::Frame(_)) => {}
            Some(Step::Damage(damage)) if damage.positions.contains(&position) => {
                return Ok((Lookup::Damaged(damage), None));
            }
            Some(Step::Damage(_)) => {}
            None => break,
        }
    }
    Ok((Lookup::Nothing, None))
}

fn lookup(block: &OpenBlock, position: Position) -> Lookup {
    match block.find(position) {
        Ok(batch) => Lookup::Found(batch),
        Err(true) => Lookup::Gone(GapReason::Dropped),
        Err(false) => Lookup::Nothing,
    }
}
