use std::ops::Range;
use std::sync::Arc;

use tantivy::{DocAddress, DocId};

/// Documents of one chunk of a mask.
const CHUNK_BITS: u32 = 15;
const CHUNK_WORDS: usize = 1 << (CHUNK_BITS - 6);

type Chunk = [u64; CHUNK_WORDS];

/// Cold documents that a snapshot must not show, because a newer version of their run is hot.
///
/// Immutable once published; a clone shares all chunks that do not change. A search asks per document, so the answer
/// is two loads; most snapshots have no mask at all.
#[derive(Clone, Default)]
pub(crate) struct Mask {
    segments: Vec<Option<Arc<SegmentMask>>>,
}

#[derive(Clone, Default)]
struct SegmentMask {
    chunks: Vec<Option<Arc<Chunk>>>,
}

impl Mask {
    /// Whether a document of this segment is masked.
    pub(crate) fn has(&self, segment_ord: u32) -> bool {
        self.segments.get(segment_ord as usize).is_some_and(Option::is_some)
    }

    /// Whether this document is masked.
    pub(crate) fn contains(&self, segment_ord: u32, doc: u32) -> bool {
        let Some(Some(segment)) = self.segments.get(segment_ord as usize) else { return false };
        let Some(Some(chunk)) = segment.chunks.get((doc >> CHUNK_BITS) as usize) else { return false };
        let bit = doc as usize % (CHUNK_WORDS * 64);
        chunk[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// The masked documents of this segment that lie in `docs`, ascending.
    pub(crate) fn docs(&self, segment_ord: u32, docs: Range<DocId>) -> Vec<DocId> {
        let Some(Some(segment)) = self.segments.get(segment_ord as usize) else { return Vec::new() };
        let chunks = (0_u32..).zip(&segment.chunks).filter_map(|(at, chunk)| Some((at << CHUNK_BITS, chunk.as_ref()?)));
        let words =
            chunks.flat_map(|(first, chunk)| (0_u32..).zip(&**chunk).map(move |(at, word)| (first + 64 * at, *word)));
        let masked = words
            .filter(|(_, word)| *word != 0)
            .flat_map(|(first, word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit));
        masked.filter(|doc| docs.contains(doc)).collect()
    }

    /// Masks a document.
    pub(crate) fn insert(&mut self, address: DocAddress) {
        let ord = address.segment_ord as usize;
        if self.segments.len() <= ord {
            self.segments.resize(ord + 1, None);
        }
        let segment = Arc::make_mut(self.segments[ord].get_or_insert_default());
        let at = (address.doc_id >> CHUNK_BITS) as usize;
        if segment.chunks.len() <= at {
            segment.chunks.resize(at + 1, None);
        }
        let chunk = Arc::make_mut(segment.chunks[at].get_or_insert_with(|| Arc::new([0; CHUNK_WORDS])));
        let bit = address.doc_id as usize % (CHUNK_WORDS * 64);
        chunk[bit / 64] |= 1 << (bit % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_what_was_inserted_and_leaves_older_clones_alone() {
        let mut mask = Mask::default();
        mask.insert(DocAddress::new(2, 70_000));
        let older = mask.clone();
        mask.insert(DocAddress::new(2, 70_001));
        mask.insert(DocAddress::new(0, 0));
        assert!(mask.contains(2, 70_000) && mask.contains(2, 70_001) && mask.contains(0, 0));
        assert!(!mask.contains(2, 69_999) && !mask.contains(1, 70_000) && !mask.contains(9, 0));
        assert_eq!(mask.docs(2, 0..DocId::MAX), [70_000, 70_001]);
        assert_eq!(
            (mask.docs(2, 70_001..70_002), mask.docs(1, 0..9), mask.docs(0, 0..1)),
            (vec![70_001], vec![], vec![0])
        );
        assert!(mask.has(0) && !mask.has(1) && mask.has(2) && !mask.has(3));
        assert!(older.contains(2, 70_000) && !older.contains(2, 70_001) && !older.has(0));
    }
}
