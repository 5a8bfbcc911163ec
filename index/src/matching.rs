//! Which documents of the cold index match a filter.
//!
//! A segment is sorted by `started_at` descending, so its document ids ascending are its runs newest first, and a range
//! of times is a range of ids, found by binary search. Conditions on names are posting lists; durations and positions
//! are checked on the fast fields of what is left. Deleted documents, and those of runs that are hot again, never come
//! out of here: lists, counts and statistics all stand on this one place.

use std::ops::{Range, RangeInclusive};

use agenttracer_model::taxonomy::RunStatus;
use tantivy::columnar::Column;
use tantivy::query::{BooleanQuery, EnableScoring, Query, Scorer, TermQuery, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, DocSet, SegmentReader, Term};

use crate::columns::{Columns, Number, docs_with_value, unreadable};
use crate::{Filter, IndexError, Snapshot, cold};

/// A filter made ready for the cold index of one snapshot.
pub(crate) struct Plan<'a> {
    snapshot: &'a Snapshot,
    filter: &'a Filter,
    /// Conditions on terms: of each, any term.
    conditions: Vec<Vec<Term>>,
    weight: Option<Box<dyn Weight>>,
    /// Statuses of runs that have to be left out: those without a start always, and live runs unless asked for.
    hidden: Vec<Term>,
}

/// One segment as a plan sees it.
#[derive(Clone)]
pub(crate) struct Segment<'a> {
    plan: &'a Plan<'a>,
    pub(crate) ord: u32,
    pub(crate) columns: &'a Columns,
    reader: &'a SegmentReader,
    /// The documents within the times asked for.
    range: Range<DocId>,
}

/// The matching documents of one segment, ascending.
pub(crate) struct Matching<'a> {
    segment: Segment<'a>,
    terms: Option<Box<dyn Scorer>>,
    next: DocId,
    end: DocId,
    durations: Option<(&'a Column<u64>, RangeInclusive<u64>)>,
    before_position: Option<(&'a Column<u64>, u64)>,
    hidden: Vec<Box<dyn Scorer>>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, filter: &'a Filter) -> Result<Self, IndexError> {
        let fields = snapshot.fields();
        let mut conditions = Vec::new();
        let mut any_of = |field: Field, values: &mut dyn Iterator<Item = &str>| {
            let terms: Vec<_> = values.map(|value| Term::from_field_text(field, value)).collect();
            if !terms.is_empty() {
                conditions.push(terms);
            }
        };
        any_of(fields.agent_id, &mut filter.agent_id.iter().map(String::as_str));
        any_of(fields.agent_version, &mut filter.agent_version.iter().map(String::as_str));
        any_of(fields.environment, &mut filter.environment.iter().map(String::as_str));
        let running = (filter.live && !filter.status.is_empty()).then_some(&RunStatus::Running);
        any_of(fields.status, &mut filter.status.iter().chain(running).map(|status| status.as_str()));
        any_of(fields.failure_type, &mut filter.failure_type.iter().map(|kind| kind.as_str()));
        any_of(fields.failure_code, &mut filter.failure_code.iter().map(String::as_str));
        any_of(fields.step_name, &mut filter.step_name.iter().map(String::as_str));
        if let Some(retries) = filter.has_retries {
            conditions.push(vec![Term::from_field_bool(fields.has_retries, retries)]);
        }
        let searcher = snapshot.searcher();
        let weight = match query(&conditions) {
            Some(query) => Some(query.weight(EnableScoring::disabled_from_searcher(searcher)).map_err(unreadable)?),
            None => None,
        };
        // Terms of statuses find none of them.
        let hidden = match (filter.status.is_empty(), filter.live) {
            (true, false) => &[cold::UNSTARTED, RunStatus::Running.as_str()][..],
            (true, true) => &[cold::UNSTARTED],
            (false, _) => &[],
        };
        let hidden = hidden.iter().map(|status| Term::from_field_text(fields.status, status)).collect();
        Ok(Self { snapshot, filter, conditions, weight, hidden })
    }

    /// The segments that hold runs within the times asked for.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let readers = self.snapshot.searcher().segment_readers();
        (0_u32..).zip(readers).zip(self.snapshot.columns()).filter_map(|((ord, reader), columns)| {
            let range = columns.range(self.filter.start_time, self.filter.end_time);
            (!range.is_empty()).then_some(Segment { plan: self, ord, reader, columns, range })
        })
    }
}

/// All conditions, each by any of its terms; `None` when there is no condition.
fn query(conditions: &[Vec<Term>]) -> Option<Box<dyn Query>> {
    let mut queries: Vec<Box<dyn Query>> = conditions
        .iter()
        .map(|terms| match terms.as_slice() {
            [term] => term_query(term),
            terms => Box::new(BooleanQuery::union(terms.iter().map(term_query).collect())),
        })
        .collect();
    match queries.len() {
        0 | 1 => queries.pop(),
        _ => Some(Box::new(BooleanQuery::intersection(queries))),
    }
}

fn term_query(term: &Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term.clone(), IndexRecordOption::Basic))
}

impl<'a> Segment<'a> {
    /// How many documents match, where that is known without looking at them.
    pub(crate) fn known_count(&self) -> Result<Option<u64>, IndexError> {
        let every_one_is_checked = self.reader.has_deletes()
            || self.plan.snapshot.has_mask(self.ord)
            || self.plan.filter.durations().is_some()
            || !matches!(self.position_check()?, PositionCheck::AllPass)
            || !self.hidden()?.is_empty();
        if every_one_is_checked {
            return Ok(None);
        }
        match self.plan.conditions.as_slice() {
            [] => Ok(Some(u64::from(self.range.end - self.range.start))),
            [terms] if self.range == (0..self.reader.max_doc()) && terms.len() == 1 => {
                Ok(Some(self.doc_freq(&terms[0])?))
            }
            _ => Ok(None),
        }
    }

    /// The time of the newest run that could match.
    pub(crate) fn newest(&self) -> i64 {
        self.columns.started_at().get_val(self.range.start)
    }

    /// The matching documents; `None` when it is plain that there are none.
    pub(crate) fn matching(&self) -> Result<Option<Matching<'a>>, IndexError> {
        let before_position = match self.position_check()? {
            PositionCheck::AllPass => None,
            PositionCheck::NonePasses => return Ok(None),
            PositionCheck::Below(before) => Some((self.columns.number(Number::Position)?, before)),
        };
        let durations = match self.plan.filter.durations() {
            Some(durations) => Some((self.columns.number(Number::DurationMs)?, durations)),
            None => None,
        };
        let mut terms = match &self.plan.weight {
            Some(weight) => Some(weight.scorer(self.reader, 1.0).map_err(unreadable)?),
            None => None,
        };
        let Range { start: mut next, end } = self.range;
        if let Some(terms) = &mut terms {
            if terms.doc() < next {
                terms.seek(next);
            }
            next = terms.doc();
        }
        let scorer = |term: &Term| {
            let scoring = EnableScoring::disabled_from_searcher(self.plan.snapshot.searcher());
            let weight = term_query(term).weight(scoring).map_err(unreadable)?;
            weight.scorer(self.reader, 1.0).map_err(unreadable)
        };
        let hidden = self.hidden()?.into_iter().map(scorer).collect::<Result<_, _>>()?;
        Ok(Some(Matching { segment: self.clone(), terms, next, end, durations, before_position, hidden }))
    }

    fn position_check(&self) -> Result<PositionCheck, IndexError> {
        let Some(before) = self.plan.filter.before_position else { return Ok(PositionCheck::AllPass) };
        let (before, positions) = (before.get(), self.columns.number(Number::Position)?);
        Ok(if positions.max_value() < before {
            PositionCheck::AllPass
        } else if positions.min_value() >= before {
            PositionCheck::NonePasses
        } else {
            PositionCheck::Below(before)
        })
    }

    /// The statuses of documents here that have to be left out.
    fn hidden(&self) -> Result<Vec<&'a Term>, IndexError> {
        let plan: &'a Plan<'a> = self.plan;
        let mut hidden = Vec::new();
        for term in &plan.hidden {
            if self.doc_freq(term)? > 0 {
                hidden.push(term);
            }
        }
        Ok(hidden)
    }

    fn doc_freq(&self, term: &Term) -> Result<u64, IndexError> {
        let index = self.reader.inverted_index(term.field()).map_err(unreadable)?;
        Ok(u64::from(index.doc_freq(term).map_err(|error| unreadable(error.into()))?))
    }
}

/// What `before_position` means for a segment.
enum PositionCheck {
    AllPass,
    NonePasses,
    /// Each document is checked against this position.
    Below(u64),
}

/// The most documents looked at together while nothing was found yet.
const MAX_STRIDE: usize = 1 << 16;

impl Matching<'_> {
    /// Puts the next matching documents into `block`: about `size` where all match, at least one. False, and an empty
    /// block, when there are no more.
    pub(crate) fn next_block(&mut self, size: usize, block: &mut Vec<DocId>) -> bool {
        let mut stride = size.max(1);
        loop {
            block.clear();
            if self.next >= self.end {
                return false;
            }
            self.candidates(stride, block);
            self.retain_visible(block);
            if !block.is_empty() {
                return true;
            }
            stride = (stride * 4).min(MAX_STRIDE.max(size));
        }
    }

    /// Appends documents that meet the conditions, deleted and masked ones included.
    fn candidates(&mut self, stride: usize, block: &mut Vec<DocId>) {
        let Some(terms) = &mut self.terms else {
            let until = self.end.min(self.next.saturating_add(u32::try_from(stride).unwrap_or(u32::MAX)));
            match &self.durations {
                Some((column, range)) => docs_with_value(column, range, self.next..until, block),
                None => block.extend(self.next..until),
            }
            self.next = until;
            return;
        };
        let mut buffer = [0; COLLECT_BLOCK_BUFFER_LEN];
        while block.len() < stride && self.next < self.end {
            let filled = terms.fill_buffer(&mut buffer);
            block.extend(buffer[..filled].iter().take_while(|doc| **doc < self.end));
            self.next = terms.doc();
        }
        if let Some((column, range)) = &self.durations {
            block.retain(|doc| column.first(*doc).is_some_and(|ms| range.contains(&ms)));
        }
    }

    /// Drops what is deleted, masked, too new or live.
    fn retain_visible(&mut self, block: &mut Vec<DocId>) {
        let Segment { plan, ord, reader, .. } = &self.segment;
        if let Some(alive) = reader.alive_bitset() {
            block.retain(|doc| alive.is_alive(*doc));
        }
        if plan.snapshot.has_mask(*ord) {
            block.retain(|doc| !plan.snapshot.masked(*ord, *doc));
        }
        if let Some((positions, before)) = self.before_position {
            block.retain(|doc| positions.values.get_val(*doc) < before);
        }
        for hidden in &mut self.hidden {
            block.retain(|doc| {
                if hidden.doc() < *doc {
                    hidden.seek(*doc);
                }
                hidden.doc() != *doc
            });
        }
    }
}
