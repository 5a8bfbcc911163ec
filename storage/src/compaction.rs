//! Which segments are worth rewriting, and which have expired: pure functions of what is known about them.

use std::ops::Range;

use agenttracer_model::{Position, Timestamp};

/// What is known about a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The position of its first record.
    pub first: Position,
    /// The position after its last one.
    pub end: Position,
    /// The length of its file.
    pub file_bytes: u64,
    /// 1 as it was written; then it is not compressed.
    pub generation: u32,
    /// The latest time of a batch; `None` when it has none.
    pub latest: Option<Timestamp>,
    /// How many of its batches are not to be kept, as having been erased.
    pub unwanted: u64,
}

/// When segments are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a rewritten segment is to be, in bytes; small neighbours are merged up to it.
    pub target_bytes: u64,
}

impl Default for Policy {
    /// 64 MiB, as long as a segment of the default length as it is written.
    fn default() -> Self {
        Self { target_bytes: 64 << 20 }
    }
}

/// Compression makes a segment about so many times shorter: what is merged is to be as long as the target afterwards.
const SHORTER: u64 = 3;
/// So many small neighbours are merged, fewer are left alone: merging each with the next one would write the same bytes again
/// and again.
const MERGED: usize = 4;

impl Policy {
    /// The ranges of neighbouring segments to be rewritten into one each, in order: what holds unwanted batches or was never
    /// compressed, and small segments that stand together.
    pub fn plan(&self, segments: &[SegmentFacts]) -> Vec<Range<Position>> {
        let mut plan = Vec::new();
        let mut at = 0;
        while at < segments.len() {
            let group = self.group(&segments[at..]);
            if group == 0 {
                at += 1;
                continue;
            }
            plan.push(segments[at].first..segments[at + group - 1].end);
            at += group;
        }
        plan
    }

    /// How many of the first segments are to be rewritten together; 0 when the first one is not.
    fn group(&self, segments: &[SegmentFacts]) -> usize {
        let together = |wanted: &dyn Fn(&SegmentFacts) -> bool| {
            let mut bytes = 0;
            segments
                .iter()
                .take_while(|segment| {
                    bytes += self.expected_bytes(segment);
                    wanted(segment) && bytes <= self.target_bytes
                })
                .count()
        };
        let Some(first) = segments.first() else { return 0 };
        if needs_rewriting(first) {
            // At least itself, however long it is.
            return together(&needs_rewriting).max(1);
        }
        let small = together(&|segment| !needs_rewriting(segment) && segment.file_bytes < self.target_bytes / 4);
        if small >= MERGED { small } else { 0 }
    }

    fn expected_bytes(&self, segment: &SegmentFacts) -> u64 {
        if segment.generation > 1 { segment.file_bytes } else { segment.file_bytes / SHORTER }
    }
}

fn needs_rewriting(segment: &SegmentFacts) -> bool {
    segment.unwanted > 0 || segment.generation <= 1
}

/// The position below which everything was appended before `cut`, by whole segments from the first one on; `None` when
/// nothing was. A segment without a batch goes with those before it.
pub fn expired(segments: &[SegmentFacts], cut: Timestamp) -> Option<Position> {
    let old = segments.iter().take_while(|segment| segment.latest.is_none_or(|latest| latest < cut));
    old.last().map(|segment| segment.end)
}

/// The position up to which the oldest segments must go so that at least `excess` bytes are freed, or as many as there are;
/// `None` when there is none.
pub fn oldest(segments: &[SegmentFacts], excess: u64) -> Option<Position> {
    let mut freed = 0;
    let enough = segments.iter().find(|segment| {
        freed += segment.file_bytes;
        freed >= excess
    });
    enough.or(segments.last()).map(|segment| segment.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of 10 positions each, from (MiB, generation, unwanted batches).
    fn segments(of: &[(u64, u32, u64)]) -> Vec<SegmentFacts> {
        let segment = |(at, (mib, generation, unwanted)): (u64, &(u64, u32, u64))| SegmentFacts {
            first: Position::new(at * 10),
            end: Position::new(at * 10 + 10),
            file_bytes: mib << 20,
            generation: *generation,
            latest: Some(Timestamp::from_micros(at as i64)),
            unwanted: *unwanted,
        };
        (0..).zip(of).map(segment).collect()
    }

    fn plan(of: &[(u64, u32, u64)]) -> Vec<(u64, u64)> {
        let plan = Policy::default().plan(&segments(of));
        plan.into_iter().map(|range| (range.start.get() / 10, range.end.get() / 10)).collect()
    }

    #[test]
    fn what_was_never_compressed_is_merged_up_to_the_target() {
        assert_eq!(plan(&[]), []);
        assert_eq!(plan(&[(64, 1, 0)]), [(0, 1)]);
        assert_eq!(plan(&[(64, 1, 0); 7]), [(0, 3), (3, 6), (6, 7)]);
        assert_eq!(plan(&[(300, 1, 0), (64, 1, 0)]), [(0, 1), (1, 2)], "longer than the target, it goes alone");
    }

    #[test]
    fn what_is_compressed_and_wanted_is_left_alone() {
        assert_eq!(plan(&[(60, 2, 0), (20, 2, 0), (60, 3, 0)]), []);
        assert_eq!(plan(&[(1, 2, 0); 3]), [], "three small ones wait for a fourth");
    }

    #[test]
    fn only_the_segments_with_unwanted_batches_are_rewritten() {
        assert_eq!(plan(&[(60, 2, 0), (60, 2, 1), (60, 2, 0), (20, 2, 5), (20, 3, 1), (60, 2, 0)]), [(1, 2), (3, 5)]);
    }

    #[test]
    fn small_ones_that_stand_together_are_merged() {
        assert_eq!(plan(&[(60, 2, 0), (1, 2, 0), (2, 3, 0), (1, 2, 0), (5, 2, 0), (60, 2, 0)]), [(1, 5)]);
        assert_eq!(plan(&[(15, 2, 0); 10]), [(0, 4), (4, 8)]);
    }

    #[test]
    fn a_plan_that_was_carried_out_is_empty_the_next_time() {
        let mut segments = segments(&[(64, 1, 0), (1, 1, 0), (3, 1, 2), (20, 2, 0), (64, 1, 0), (2, 2, 0), (7, 1, 0)]);
        for _ in 0..10 {
            let plan = Policy::default().plan(&segments);
            let Some(range) = plan.first() else { return };
            let inside = |segment: &&SegmentFacts| segment.first >= range.start && segment.end <= range.end;
            let bytes = segments.iter().filter(inside).map(|segment| Policy::default().expected_bytes(segment)).sum();
            let at = segments.iter().position(|segment| segment.first == range.start).unwrap();
            segments.retain(|segment| !inside(&segment));
            let (first, end) = (range.start, range.end);
            let new = SegmentFacts { first, end, file_bytes: bytes, generation: 2, latest: None, unwanted: 0 };
            segments.insert(at, new);
        }
        panic!("it never ends: {segments:?}");
    }

    #[test]
    fn whole_segments_expire_from_the_oldest_on() {
        let mut segments = segments(&[(1, 1, 0); 4]);
        let cut = |segments: &[SegmentFacts], at| expired(segments, Timestamp::from_micros(at)).map(Position::get);
        assert_eq!(cut(&segments, 0), None);
        assert_eq!(cut(&segments, 1), Some(10));
        assert_eq!(cut(&segments, 3), Some(30));
        assert_eq!(cut(&segments, 99), Some(40));
        // One that is still needed keeps those behind it.
        segments[1].latest = Some(Timestamp::from_micros(50));
        assert_eq!(cut(&segments, 40), Some(10));
        segments[1].latest = None;
        assert_eq!(cut(&segments, 2), Some(20));
    }

    #[test]
    fn the_oldest_go_until_enough_is_free() {
        let segments = segments(&[(10, 1, 0), (5, 2, 0), (20, 1, 0)]);
        let cut = |excess_mib: u64| oldest(&segments, excess_mib << 20).map(Position::get);
        assert_eq!((cut(1), cut(10), cut(11), cut(16), cut(99)), (Some(10), Some(10), Some(20), Some(30), Some(30)));
        assert_eq!(oldest(&[], 1), None);
    }
}
