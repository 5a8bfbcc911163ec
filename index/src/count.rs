//! How many runs match.

use crate::matching::Plan;
use crate::{Filter, IndexError, Snapshot};

/// How many runs match a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Exactly so many.
    Exactly(u64),
    /// More than one cared to count: at least so many.
    AtLeast(u64),
}

impl Snapshot {
    /// How many runs match `filter`: exactly when it is cheap to know or when there are no more than `limit`,
    /// otherwise at least `limit`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn count(&self, filter: &Filter, limit: u64) -> Result<Count, IndexError> {
        if filter.is_hopeless() {
            return Ok(Count::Exactly(0));
        }
        let hot = self.matching_hot(filter)?.len() as u64;
        match self.rolled_count(filter, hot, limit)? {
            Some(count) => Ok(count),
            None => Plan::new(self, filter)?.count(hot, limit),
        }
    }
}

impl Plan<'_> {
    /// As [`Snapshot::count`], when `hot` runs were counted already.
    pub(crate) fn count(&self, hot: u64, limit: u64) -> Result<Count, IndexError> {
        let mut known = hot;
        let mut to_scan = Vec::new();
        for segment in self.segments() {
            match segment.known_count()? {
                Some(count) => known += count,
                None => to_scan.push(segment),
            }
        }
        let mut block = Vec::new();
        for segment in to_scan {
            let Some(mut matching) = segment.matching()? else { continue };
            while matching.next_block(BLOCK, &mut block)? {
                known += block.len() as u64;
                if known > limit {
                    return Ok(Count::AtLeast(limit));
                }
            }
        }
        Ok(Count::Exactly(known))
    }
}

/// How many documents are looked at together: enough to pay for the calls, few enough to stay in the cache.
const BLOCK: usize = 2048;
