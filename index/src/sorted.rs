//! Pages in another order than newest first.
//!
//! Nothing is stored in these orders, so every matching run is looked at once, and the best are kept: memory for the page
//! and what lies before it, time by the match. A cursor cuts off what lies before it, so that following pages need no
//! more memory than the first.

use std::sync::Arc;

use agenttracer_model::Timestamp;
use tantivy::{DocAddress, DocId};
use uuid::Uuid;

use crate::columns::{Columns, Number};
use crate::matching::Plan;
use crate::walk::{ListError, Page, run_key};
use crate::{Count, Filter, IndexError, RunSummary, Snapshot};

/// An order of runs; runs that are equal in it stand by run id, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// The least first.
    pub ascending: bool,
}

/// What runs are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// When they began.
    StartedAt,
    /// How long they took. Those without an end come last in both directions.
    DurationMs,
    /// How many steps they have.
    StepCount,
    /// How many of their steps are a second or later attempt.
    RetryCount,
}

/// The place of a run in an order: the lesser comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// It has nothing to be sorted by.
    pub is_last: bool,
    /// Otherwise this decides.
    pub number: u64,
}

/// Which part of a sorted list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedRequest {
    /// The order.
    pub sort: Sort,
    /// Begin behind this place.
    pub after: Option<(Rank, Uuid)>,
    /// Leave out so many runs before the page; at most [`MAX_OFFSET`](Self::MAX_OFFSET).
    pub offset: u64,
    /// At most so many runs.
    pub limit: usize,
}

impl SortedRequest {
    /// How deep a page can lie: all runs before it are kept in memory. A cursor goes to any depth.
    pub const MAX_OFFSET: u64 = 100_000;
}

impl Sort {
    /// The place of a run.
    pub fn rank(self, run: &RunSummary) -> Rank {
        self.rank_of(match self.by {
            SortBy::StartedAt => Some(of_time(run.started_at.as_micros())),
            SortBy::DurationMs => run.duration_ms,
            SortBy::StepCount => Some(run.step_count().into()),
            SortBy::RetryCount => Some(run.retry_count.into()),
        })
    }

    fn rank_of(self, number: Option<u64>) -> Rank {
        match number {
            None => Rank { is_last: true, number: 0 },
            Some(number) => Rank { is_last: false, number: if self.ascending { number } else { !number } },
        }
    }

    /// The time that a rank by `started_at` stands for.
    pub fn time(self, rank: Rank) -> Timestamp {
        let number = if self.ascending { rank.number } else { !rank.number };
        Timestamp::from_micros((number ^ (1 << 63)).cast_signed())
    }

    fn number(self) -> Option<Number> {
        match self.by {
            SortBy::StartedAt => None,
            SortBy::DurationMs => Some(Number::DurationMs),
            SortBy::StepCount => Some(Number::StepCount),
            SortBy::RetryCount => Some(Number::RetryCount),
        }
    }
}

/// A time as a number in the order of times.
fn of_time(micros: i64) -> u64 {
    micros.cast_unsigned() ^ (1 << 63)
}

/// Where a run is.
#[derive(Clone, Copy)]
enum Place<'a> {
    Hot(&'a Arc<RunSummary>),
    Cold(DocAddress),
}

/// A run that may be on the page.
struct Candidate<'a> {
    /// The rank and the first half of the run id.
    key: (Rank, u64),
    place: Place<'a>,
}

impl Snapshot {
    /// One page of the runs that match `filter` in the order of `request`, and how many match.
    ///
    /// Takes about 10 to 30 ns a matching run.
    ///
    /// # Errors
    /// See [`ListError`].
    pub fn list_sorted(&self, filter: &Filter, request: &SortedRequest) -> Result<Page, ListError> {
        if request.offset > SortedRequest::MAX_OFFSET {
            return Err(ListError::TooDeep { most: SortedRequest::MAX_OFFSET });
        }
        let (offset, limit) = (request.offset as usize, request.limit);
        let mut best = Best::new(self, request, offset + limit + 1);
        let mut total = 0;
        if !filter.is_hopeless() {
            for run in self.matching_hot(filter)? {
                total += 1;
                let key = (request.sort.rank(run), run_key(run.run_id));
                best.add(Candidate { key, place: Place::Hot(run) })?;
            }
            let plan = Plan::new(self, filter)?;
            for segment in plan.segments() {
                let Some(mut matching) = segment.matching()? else { continue };
                let mut docs = Vec::new();
                while matching.next_block(BLOCK, &mut docs)? {
                    total += docs.len() as u64;
                    best.add_docs(segment.ord, segment.columns, &docs)?;
                }
            }
        }
        let mut runs = best.in_order(offset)?;
        let more = runs.len() > limit;
        runs.truncate(limit);
        Ok(Page { runs, more, total: Count::Exactly(total) })
    }
}

/// How many documents are looked at together.
const BLOCK: usize = 1024;

/// The first runs of the list, so far.
struct Best<'a> {
    snapshot: &'a Snapshot,
    sort: Sort,
    after: Option<((Rank, u64), Uuid)>,
    want: usize,
    candidates: Vec<Candidate<'a>>,
    /// What lies behind this one is not among the first.
    worst: Option<(Rank, u64)>,
}

impl<'a> Best<'a> {
    fn new(snapshot: &'a Snapshot, request: &SortedRequest, want: usize) -> Self {
        let after = request.after.map(|(rank, run_id)| ((rank, run_key(run_id)), run_id));
        Self { snapshot, sort: request.sort, after, want, candidates: Vec::new(), worst: None }
    }

    fn add_docs(&mut self, ord: u32, columns: &Columns, docs: &[DocId]) -> Result<(), IndexError> {
        let keys = columns.number(Number::RunKey)?;
        let column = match self.sort.number() {
            Some(number) => Some(columns.number(number)?),
            None => None,
        };
        for doc in docs {
            let number = match column {
                Some(column) => column.first(*doc),
                None => Some(of_time(columns.started_at().get_val(*doc))),
            };
            let rank = self.sort.rank_of(number);
            // Most runs are told by their rank alone.
            if self.worst.is_some_and(|(worst, _)| rank > worst) {
                continue;
            }
            let key = (rank, keys.values.get_val(*doc));
            self.add(Candidate { key, place: Place::Cold(DocAddress::new(ord, *doc)) })?;
        }
        Ok(())
    }

    fn add(&mut self, candidate: Candidate<'a>) -> Result<(), IndexError> {
        if self.worst.is_some_and(|worst| candidate.key > worst) {
            return Ok(());
        }
        if let Some((after, run_id)) = self.after
            && (candidate.key < after || candidate.key == after && self.run(&candidate)?.run_id <= run_id)
        {
            return Ok(());
        }
        self.candidates.push(candidate);
        if self.candidates.len() >= 2 * self.want + BLOCK {
            let (_, last, _) = self.candidates.select_nth_unstable_by_key(self.want - 1, |candidate| candidate.key);
            let worst = last.key;
            // All that are equal to the last in what was compared stay: their ids will decide.
            self.candidates.retain(|candidate| candidate.key <= worst);
            self.worst = Some(worst);
        }
        Ok(())
    }

    /// The runs behind the first `skip`, at most as many as are wanted.
    fn in_order(mut self, skip: usize) -> Result<Vec<Arc<RunSummary>>, IndexError> {
        self.candidates.sort_unstable_by_key(|candidate| candidate.key);
        let mut runs = Vec::new();
        let mut begun = 0;
        for group in self.candidates.chunk_by(|a, b| a.key == b.key) {
            if begun >= self.want {
                break;
            }
            self.snapshot.go_on()?;
            if begun + group.len() > skip {
                let mut group = group.iter().map(|candidate| self.run(candidate)).collect::<Result<Vec<_>, _>>()?;
                group.sort_unstable_by_key(|run| run.run_id);
                let first = skip.saturating_sub(begun);
                runs.extend(group.drain(first..));
            }
            begun += group.len();
        }
        runs.truncate(self.want - skip);
        Ok(runs)
    }

    fn run(&self, candidate: &Candidate<'a>) -> Result<Arc<RunSummary>, IndexError> {
        match candidate.place {
            Place::Hot(run) => Ok(Arc::clone(run)),
            Place::Cold(address) => Ok(Arc::new(self.snapshot.summary(address)?)),
        }
    }
}
