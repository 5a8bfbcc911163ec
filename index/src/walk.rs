//! Newest-first pages.
//!
//! The order is `started_at` descending, and among equal times the run id ascending; it is the same for hot and cold
//! runs. Each segment gives its matching documents newest first, the hot runs are sorted once, and the streams are
//! merged by time, because the times of segments overlap. A page stops as soon as it is full; all runs of one instant
//! are gathered before they are put in order. Only the summaries of the page itself are read from the store.

use std::cmp::Reverse;
use std::sync::Arc;

use agenttracer_model::Timestamp;
use tantivy::{DocAddress, DocId};
use uuid::Uuid;

use crate::columns::{Columns, Number};
use crate::matching::{Matching, Plan, Segment};
use crate::{Count, Filter, IndexError, RunSummary, Snapshot};

/// Which part of the newest-first list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Begin behind the place of this time and run.
    pub after: Option<(Timestamp, Uuid)>,
    /// Leave out so many runs before the page; at most [`MAX_OFFSET`](Self::MAX_OFFSET) where so many match.
    pub offset: u64,
    /// At most so many runs.
    pub limit: usize,
    /// Count the matches exactly up to this number.
    pub count_up_to: u64,
}

impl PageRequest {
    /// How deep a page can lie: leaving out this many runs takes up to about a second where the times of segments
    /// interleave. A cursor goes to any depth at the price of a first page.
    pub const MAX_OFFSET: u64 = 10_000_000;
}

/// A part of the newest-first list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Newest first, ties by run id.
    pub runs: Vec<Arc<RunSummary>>,
    /// Whether further runs come behind these.
    pub more: bool,
    /// How many runs match the filter, wherever the page begins.
    pub total: Count,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The page lies deeper than pages can, and so many runs match: a cursor leads there.
    #[error("the page lies deeper than {most} runs")]
    TooDeep {
        /// How many runs can be left out.
        most: u64,
    },
    /// The index could not be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Snapshot {
    /// One page of the runs that match `filter`, and how many match.
    ///
    /// A page past the end is empty; where the count is exact, nothing is walked for it.
    ///
    /// # Errors
    /// See [`ListError`].
    pub fn list(&self, filter: &Filter, request: &PageRequest) -> Result<Page, ListError> {
        let nothing = |total| Page { runs: Vec::new(), more: false, total };
        if filter.is_hopeless() {
            return Ok(nothing(Count::Exactly(0)));
        }
        let hot = self.matching_hot(filter)?;
        let plan = Plan::new(self, filter)?;
        let total = match self.rolled_count(filter, hot.len() as u64, request.count_up_to)? {
            Some(count) => count,
            None => plan.count(hot.len() as u64, request.count_up_to)?,
        };
        if matches!(total, Count::Exactly(count) if request.offset >= count) || request.limit == 0 {
            return Ok(nothing(total));
        }
        if request.offset > PageRequest::MAX_OFFSET {
            return Err(ListError::TooDeep { most: PageRequest::MAX_OFFSET });
        }

        // The runs at the cursor's own time may lie on either side of it.
        let from = Filter {
            end_time: match (filter.end_time, request.after) {
                (Some(end), Some((after, _))) => Some(end.min(after)),
                (end, after) => end.or(after.map(|(time, _)| time)),
            },
            ..filter.clone()
        };
        if from.is_hopeless() {
            return Ok(nothing(total));
        }
        let plan = if from == *filter { plan } else { Plan::new(self, &from)? };
        let offset = usize::try_from(request.offset).unwrap_or(usize::MAX);
        let mut walk = Walk::new(self, &plan, hot, request.after, offset.saturating_add(request.limit + 1));
        let mut picked = walk.collect(offset, request.limit + 1)?;
        let more = picked.len() > request.limit;
        picked.truncate(request.limit);
        let runs = picked.into_iter().map(|entry| walk.summary(entry)).collect::<Result<_, _>>()?;
        Ok(Page { runs, more, total })
    }
}

/// The merge of all streams.
struct Walk<'a> {
    snapshot: &'a Snapshot,
    after: Option<(i64, Uuid)>,
    hot: Vec<&'a Arc<RunSummary>>,
    streams: Vec<Stream<'a>>,
}

/// A run of a stream.
#[derive(Clone, Copy)]
struct Entry {
    stream: usize,
    /// An index into the hot runs, or a document.
    item: u32,
}

/// One sequence of runs, newest first, of which one block is at hand.
struct Stream<'a> {
    source: Source<'a>,
    items: Vec<u32>,
    /// Of the items, descending.
    times: Vec<i64>,
    /// The next item.
    at: usize,
    /// How many documents to fetch next.
    stride: usize,
}

enum Source<'a> {
    /// All of it is at hand.
    Hot,
    /// A segment that was not looked into yet: nothing in it is newer than `newest`.
    Unopened { segment: Segment<'a>, newest: i64 },
    /// A segment with more to fetch.
    Cold { ord: u32, columns: &'a Columns, matching: Option<Matching<'a>> },
}

impl<'a> Walk<'a> {
    /// Merges the segments of `plan` with `hot`. The caller will look at no more than `depth` runs.
    fn new(
        snapshot: &'a Snapshot,
        plan: &'a Plan<'a>,
        mut hot: Vec<&'a Arc<RunSummary>>,
        after: Option<(Timestamp, Uuid)>,
        depth: usize,
    ) -> Self {
        if let Some(after) = after {
            hot.retain(|run| order(run) > (Reverse(after.0), after.1));
        }
        if hot.len() > depth {
            hot.select_nth_unstable_by_key(depth, |run| order(run));
            hot.truncate(depth);
        }
        hot.sort_unstable_by_key(|run| order(run));
        let stride = depth.clamp(32, 4096);
        let hot_stream = Stream {
            source: Source::Hot,
            items: (0..).take(hot.len()).collect(),
            times: hot.iter().map(|run| run.started_at.as_micros()).collect(),
            at: 0,
            stride,
        };
        let cold = plan.segments().map(|segment| Stream {
            source: Source::Unopened { newest: segment.newest(), segment },
            items: Vec::new(),
            times: Vec::new(),
            at: 0,
            stride,
        });
        let streams = std::iter::once(hot_stream).chain(cold).collect();
        let after = after.map(|(time, run_id)| (time.as_micros(), run_id));
        Self { snapshot, after, hot, streams }
    }

    /// The runs behind the first `skip`, at most `want` of them.
    fn collect(&mut self, mut skip: usize, want: usize) -> Result<Vec<Entry>, IndexError> {
        let mut picked = Vec::with_capacity(want);
        let mut instant = Vec::new();
        while picked.len() < want {
            // A far page can go over millions of runs between two blocks of a segment.
            self.snapshot.go_on()?;
            let Some((newest, time, others)) = self.newest()? else { break };
            // What of its block is newer than all else, and is not the block's last instant, needs no merging: that
            // one may go on in the next block.
            let stream = &mut self.streams[newest];
            let block = &stream.times[stream.at..];
            if skip > 0 {
                let alone = others.map_or(block.len(), |others| newer_than(block, others));
                let last = alone.min(skip).min(block.len() - 1);
                let part_of_last = block[..last].iter().rev().take_while(|time| **time == block[last]).count();
                let whole_instants = last - part_of_last;
                if whole_instants > 0 && self.after.is_none_or(|(after, _)| time < after) {
                    stream.at += whole_instants;
                    skip -= whole_instants;
                    continue;
                }
            } else if others.is_none_or(|others| time > others)
                && block.get(1).is_some_and(|next| *next < time)
                && self.after.is_none_or(|(after, _)| time < after)
            {
                picked.push(stream.take(newest));
                continue;
            }
            self.take_instant(time, &mut instant)?;
            self.put_in_order(time, &mut instant)?;
            let skipped = skip.min(instant.len());
            skip -= skipped;
            picked.extend(instant.drain(skipped..).take(want - picked.len()));
            instant.clear();
        }
        Ok(picked)
    }

    /// The stream with the newest run, its time, and a time that nothing in the other streams is newer than.
    fn newest(&mut self) -> Result<Option<(usize, i64, Option<i64>)>, IndexError> {
        loop {
            let mut best: Option<(usize, i64)> = None;
            let mut others: Option<i64> = None;
            for index in 0..self.streams.len() {
                let Some(time) = self.streams[index].bound()? else { continue };
                if best.is_none_or(|(_, best)| time > best) {
                    others = others.max(best.map(|(_, time)| time));
                    best = Some((index, time));
                } else {
                    others = others.max(Some(time));
                }
            }
            let Some((index, time)) = best else { return Ok(None) };
            if !self.streams[index].open()? {
                return Ok(Some((index, time, others)));
            }
        }
    }

    /// Takes all runs of this instant, which is the newest there is.
    fn take_instant(&mut self, time: i64, instant: &mut Vec<Entry>) -> Result<(), IndexError> {
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            while stream.bound()? == Some(time) {
                if !stream.open()? {
                    instant.push(stream.take(index));
                }
            }
        }
        Ok(())
    }

    /// Sorts the runs of one instant by run id, and drops those that do not come behind the cursor.
    fn put_in_order(&self, time: i64, instant: &mut Vec<Entry>) -> Result<(), IndexError> {
        let after = self.after.filter(|(after, _)| *after == time).map(|(_, run_id)| run_id);
        if instant.len() < 2 && after.is_none() {
            return Ok(());
        }
        let mut keyed = Vec::with_capacity(instant.len());
        for entry in instant.drain(..) {
            keyed.push((self.run_key(entry)?, entry));
        }
        if let Some(after) = after {
            let after_key = run_key(after);
            let mut behind = Vec::with_capacity(keyed.len());
            for (key, entry) in keyed {
                if key > after_key || key == after_key && self.run_id(entry)? > after {
                    behind.push((key, entry));
                }
            }
            keyed = behind;
        }
        keyed.sort_unstable_by_key(|(key, _)| *key);
        // Ids with the same first half are rare: only they are read whole.
        for group in keyed.chunk_by(|a, b| a.0 == b.0) {
            if let [(_, entry)] = group {
                instant.push(*entry);
                continue;
            }
            let mut whole = Vec::with_capacity(group.len());
            for (_, entry) in group {
                whole.push((self.run_id(*entry)?, *entry));
            }
            whole.sort_unstable_by_key(|(run_id, _)| *run_id);
            instant.extend(whole.into_iter().map(|(_, entry)| entry));
        }
        Ok(())
    }

    fn run_key(&self, entry: Entry) -> Result<u64, IndexError> {
        match &self.streams[entry.stream].source {
            Source::Cold { columns, .. } => Ok(columns.number(Number::RunKey)?.values.get_val(entry.item)),
            _ => Ok(run_key(self.hot[entry.item as usize].run_id)),
        }
    }

    fn run_id(&self, entry: Entry) -> Result<Uuid, IndexError> {
        Ok(self.summary(entry)?.run_id)
    }

    fn summary(&self, entry: Entry) -> Result<Arc<RunSummary>, IndexError> {
        match &self.streams[entry.stream].source {
            Source::Cold { ord, .. } => {
                Ok(Arc::new(self.snapshot.summary(DocAddress::new(*ord, entry.item as DocId))?))
            }
            _ => Ok(Arc::clone(self.hot[entry.item as usize])),
        }
    }
}

impl Stream<'_> {
    /// A time that nothing left in the stream is newer than: that of the next run once the stream is open. `None` at
    /// its end.
    fn bound(&mut self) -> Result<Option<i64>, IndexError> {
        if let Source::Unopened { newest, .. } = &self.source {
            return Ok(Some(*newest));
        }
        if self.at == self.times.len() {
            self.fetch()?;
        }
        Ok(self.times.get(self.at).copied())
    }

    /// Opens a segment that was not looked into yet; whether there was something to do.
    fn open(&mut self) -> Result<bool, IndexError> {
        let Source::Unopened { segment, .. } = &self.source else { return Ok(false) };
        let matching = segment.matching()?;
        self.source = Source::Cold { ord: segment.ord, columns: segment.columns, matching };
        Ok(true)
    }

    /// Puts the next block at hand, an empty one at the end.
    fn fetch(&mut self) -> Result<(), IndexError> {
        self.at = 0;
        self.items.clear();
        self.times.clear();
        let Source::Cold { columns, matching: source, .. } = &mut self.source else { return Ok(()) };
        let Some(matching) = source else { return Ok(()) };
        if matching.next_block(self.stride, &mut self.items)? {
            self.times.resize(self.items.len(), 0);
            columns.started_at().get_vals(&self.items, &mut self.times);
            self.stride = (self.stride * 2).min(4096);
        } else {
            *source = None;
        }
        Ok(())
    }

    fn take(&mut self, stream: usize) -> Entry {
        let item = self.items[self.at];
        self.at += 1;
        Entry { stream, item }
    }
}

/// How many of the descending `times` are newer than `bound`.
fn newer_than(times: &[i64], bound: i64) -> usize {
    // Segments often interleave run by run, so the first few are looked at before a search is begun.
    const FIRST: usize = 8;
    let first = times.iter().take(FIRST).take_while(|time| **time > bound).count();
    if first < FIRST { first } else { times.partition_point(|time| *time > bound) }
}

/// The order of the list.
fn order(run: &RunSummary) -> (Reverse<Timestamp>, Uuid) {
    (Reverse(run.started_at), run.run_id)
}

/// The first half of a run id, which orders ids as the whole does wherever it differs.
pub(crate) fn run_key(run_id: Uuid) -> u64 {
    run_id.as_u64_pair().0
}
