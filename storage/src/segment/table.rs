use std::sync::{Arc, PoisonError, RwLock};

use agenttracer_model::Position;

use super::SegmentFile;
use crate::disk::DiskFile;
use crate::format::{Entry, IndexEntry, SEGMENT_HEADER_BYTES};

/// All segments at one moment.
#[derive(Clone)]
pub(crate) struct Table {
    /// In order and without a gap.
    pub(crate) sealed: Vec<Arc<Sealed>>,
    pub(crate) active: Arc<Active>,
}

impl Table {
    /// The first position: retention dropped everything below it.
    pub(crate) fn start(&self) -> Position {
        self.sealed.first().map_or(self.active.file.first, |sealed| sealed.entry.first)
    }

    /// Whether this is the file of a sealed segment.
    pub(crate) fn names(&self, file: &SegmentFile) -> bool {
        self.sealed_at(file.first).is_some_and(|sealed| sealed.file.path == file.path)
    }

    /// The sealed segment that holds `position`.
    pub(crate) fn sealed_at(&self, position: Position) -> Option<&Arc<Sealed>> {
        let after = self.sealed.partition_point(|segment| segment.entry.first <= position);
        self.sealed[..after].last().filter(|segment| position < segment.entry.end)
    }
}

/// A sealed segment.
pub(crate) struct Sealed {
    pub(crate) file: SegmentFile,
    pub(crate) entry: Entry,
}

/// The segment that is written, as readers see it: never beyond what is committed.
pub(crate) struct Active {
    pub(crate) file: SegmentFile,
    pub(crate) handle: Arc<dyn DiskFile>,
    committed: RwLock<Committed>,
}

struct Committed {
    end: Position,
    limit: u64,
    index: Vec<IndexEntry>,
}

impl Active {
    pub(crate) fn new(file: SegmentFile, handle: Arc<dyn DiskFile>) -> Self {
        let committed = Committed { end: file.first, limit: SEGMENT_HEADER_BYTES, index: Vec::new() };
        Self { file, handle, committed: RwLock::new(committed) }
    }

    /// Lets readers see the frames up to offset `limit`, where position `end` will stand.
    pub(crate) fn commit(&self, end: Position, limit: u64, marks: &[IndexEntry]) {
        let mut committed = self.committed.write().unwrap_or_else(PoisonError::into_inner);
        committed.index.extend_from_slice(marks);
        committed.end = end;
        committed.limit = limit;
    }

    /// Where to begin a walk that must see the batch with `position`, and the end of what is committed.
    pub(crate) fn near(&self, position: Position) -> (IndexEntry, u64, Position) {
        let committed = self.committed.read().unwrap_or_else(PoisonError::into_inner);
        let after = committed.index.partition_point(|entry| entry.position <= position);
        let start = committed.index[..after]
            .last()
            .copied()
            .unwrap_or(IndexEntry { position: self.file.first, offset: SEGMENT_HEADER_BYTES });
        (start, committed.limit, committed.end)
    }
}
