//! Which documents of the cold index match a filter.
//!
//! A segment is sorted by `started_at` descending, so its document ids ascending are its runs newest first, and a range
//! of times is a range of ids, found by binary search. Conditions on names are posting lists, those that must not hold
//! are stepped along beside them; numbers and positions are checked on the fast fields of what is left. Deleted
//! documents, and those of runs that are hot again, never come out of here: lists, counts and statistics all stand on
//! this one place.
//!
//! A condition on the beginning or a part of a name becomes the names that the segments' dictionaries hold; where these
//! are too many to step along, the documents of all of them are gathered in a bitset first.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use agenttracer_model::Timestamp;
use agenttracer_model::taxonomy::RunStatus;
use tantivy::columnar::Column;
use tantivy::query::{BooleanQuery, EnableScoring, Query, Scorer, TermQuery, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, DocSet, SegmentReader, TERMINATED, Term};

use crate::cold::{Fields, reason_text, signal_text};
use crate::columns::{Columns, Number, docs_with_value, unreadable};
use crate::filter::{Name, NameTest, NumberField, Test, holds_word};
use crate::{Fact, Filter, IndexError, Snapshot, cold};

/// As many names are stepped along at a time.
const MAX_TERMS: usize = 128;

/// A filter made ready for the cold index of one snapshot.
pub(crate) struct Plan<'a> {
    snapshot: &'a Snapshot,
    filter: &'a Filter,
    /// Conditions on terms: of each, any term. All must hold.
    conditions: Vec<Vec<Term>>,
    weight: Option<Box<dyn Weight>>,
    /// None of these may hold.
    excluded: Vec<Excluded>,
    /// Conditions on more terms than can be stepped along.
    wide: Vec<Wide>,
    numbers: Vec<NumberCheck>,
    /// Set when no document can match.
    hopeless: bool,
    /// Only masked documents, which otherwise never come out.
    of_masked: bool,
}

/// A condition that must not hold.
struct Excluded {
    terms: Vec<Term>,
    weight: Box<dyn Weight>,
}

/// A condition on many terms.
struct Wide {
    negated: bool,
    terms: Vec<Term>,
    scans: Vec<TermScan>,
}

/// A look through a dictionary.
struct TermScan {
    field: Field,
    how: Scan,
}

enum Scan {
    Begins(Vec<u8>),
    Holds(String),
}

struct NumberCheck {
    column: Number,
    range: RangeInclusive<u64>,
    negated: bool,
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
    numbers: Vec<(&'a Column<u64>, &'a NumberCheck)>,
    before_position: Option<(&'a Column<u64>, u64)>,
    excluded: Vec<Box<dyn Scorer>>,
    wide: Vec<(bool, Bits)>,
    /// What of these is left, where only masked documents are asked for.
    masked: Option<std::vec::IntoIter<DocId>>,
}

impl<'a> Plan<'a> {
    /// # Errors
    /// When a metadata key is asked for that is not indexed, or the index cannot be read.
    pub(crate) fn new(snapshot: &'a Snapshot, filter: &'a Filter) -> Result<Self, IndexError> {
        snapshot.check(filter)?;
        let mut plan = Self {
            snapshot,
            filter,
            conditions: Vec::new(),
            weight: None,
            excluded: Vec::new(),
            wide: Vec::new(),
            numbers: Vec::new(),
            hopeless: filter.is_hopeless(),
            of_masked: false,
        };
        plan.add_lists();
        if let Some(range) = filter.durations() {
            plan.numbers.push(NumberCheck { column: Number::DurationMs, range, negated: false });
        }
        for condition in &filter.conditions {
            match &condition.test {
                Test::Any(tests) => plan.add_tests(condition.negated, tests)?,
                Test::Number(field, range) => {
                    let column = match field {
                        NumberField::DurationMs => Number::DurationMs,
                        NumberField::StepCount => Number::StepCount,
                        NumberField::RetryCount => Number::RetryCount,
                    };
                    plan.numbers.push(NumberCheck { column, range: range.clone(), negated: condition.negated });
                }
            }
        }
        let hidden = if filter.hides_running() {
            &[cold::UNSTARTED, RunStatus::Running.as_str()][..]
        } else {
            &[cold::UNSTARTED]
        };
        let status = snapshot.fields().status;
        plan.exclude(hidden.iter().map(|hidden| Term::from_field_text(status, hidden)).collect())?;
        plan.weight = match query(&plan.conditions) {
            Some(query) => Some(plan.weight_of(&*query)?),
            None => None,
        };
        Ok(plan)
    }

    /// The same for the documents that the snapshot masks, and for no others: what rollups count of them is taken away.
    pub(crate) fn of_masked(self) -> Self {
        Self { of_masked: true, ..self }
    }

    /// The conditions that are lists of values.
    fn add_lists(&mut self) {
        let (fields, filter) = (self.snapshot.fields(), self.filter);
        let mut any_of = |terms: Vec<Term>| {
            if !terms.is_empty() {
                self.conditions.push(terms);
            }
        };
        let texts = |field: Field, values: &mut dyn Iterator<Item = &str>| -> Vec<Term> {
            values.map(|value| Term::from_field_text(field, value)).collect()
        };
        any_of(texts(fields.agent_id, &mut filter.agent_id.iter().map(String::as_str)));
        any_of(texts(fields.agent_version, &mut filter.agent_version.iter().map(String::as_str)));
        any_of(texts(fields.environment, &mut filter.environment.iter().map(String::as_str)));
        let running = (filter.live && !filter.status.is_empty()).then_some(&RunStatus::Running);
        any_of(texts(fields.status, &mut filter.status.iter().chain(running).map(|status| status.as_str())));
        any_of(texts(fields.failure_type, &mut filter.failure_type.iter().map(|kind| kind.as_str())));
        any_of(texts(fields.failure_code, &mut filter.failure_code.iter().map(String::as_str)));
        any_of(texts(fields.step_type, &mut filter.step_type.iter().map(|kind| kind.as_str())));
        any_of(texts(fields.step_name, &mut filter.step_name.iter().map(String::as_str)));
        any_of(texts(fields.session_id, &mut filter.session_id.iter().map(String::as_str)));
        any_of(filter.failure_cluster.iter().map(|cluster| cluster_term(fields, *cluster)).collect());
        any_of(
            filter.parent_run_id.iter().map(|id| Term::from_field_bytes(fields.parent_run_id, id.as_bytes())).collect(),
        );
        any_of(filter.reason.iter().map(|code| Term::from_field_text(fields.reason, &reason_text(*code))).collect());
        any_of(
            filter
                .signal
                .iter()
                .map(|(code, value)| Term::from_field_text(fields.signal, &signal_text(*code, *value)))
                .collect(),
        );
        for (key, values) in &filter.metadata {
            any_of(values.iter().map(|value| Term::from_field_text(fields.fact, &Fact::text(key, value))).collect());
        }
        if let Some(retries) = filter.has_retries {
            any_of(vec![Term::from_field_bool(fields.has_retries, retries)]);
        }
    }

    /// A condition that any of `tests` passes, or that none does.
    fn add_tests(&mut self, negated: bool, tests: &[NameTest]) -> Result<(), IndexError> {
        let (mut terms, mut scans) = (BTreeSet::new(), Vec::new());
        for test in tests {
            self.compile(test, &mut terms, &mut scans);
        }
        let exact = terms.clone();
        let mut budget = MAX_TERMS;
        for scan in &scans {
            for reader in self.snapshot.searcher().segment_readers() {
                self.snapshot.go_on()?;
                scan.terms(reader, &mut |text| {
                    if terms.insert(Term::from_field_bytes(scan.field, text)) {
                        budget = budget.saturating_sub(1);
                    }
                    budget > 0
                })?;
            }
        }
        if budget == 0 {
            self.wide.push(Wide { negated, terms: exact.into_iter().collect(), scans });
            return Ok(());
        }
        let terms: Vec<_> = terms.into_iter().collect();
        match (negated, terms.is_empty()) {
            (true, true) => {}
            (true, false) => self.exclude(terms)?,
            (false, true) => self.hopeless = true,
            (false, false) => self.conditions.push(terms),
        }
        Ok(())
    }

    fn compile(&self, test: &NameTest, terms: &mut BTreeSet<Term>, scans: &mut Vec<TermScan>) {
        let fields = self.snapshot.fields();
        match test {
            NameTest::Is(name, text) => {
                terms.insert(Term::from_field_text(name.field(fields), text));
            }
            NameTest::Begins(name, text) => {
                scans.push(TermScan { field: name.field(fields), how: Scan::Begins(text.clone().into_bytes()) });
            }
            NameTest::Word(word) => {
                let fields =
                    [fields.agent_id, fields.agent_version, fields.environment, fields.step_name, fields.failure_code];
                scans.extend(fields.map(|field| TermScan { field, how: Scan::Holds(word.clone()) }));
            }
            NameTest::Reason(reason) => {
                terms.insert(Term::from_field_text(fields.reason, &reason_text(*reason)));
            }
            NameTest::Signal(code, value) => {
                terms.insert(Term::from_field_text(fields.signal, &signal_text(*code, *value)));
            }
            NameTest::Parent(id) => {
                terms.insert(Term::from_field_bytes(fields.parent_run_id, id.as_bytes()));
            }
            NameTest::Cluster(cluster) => {
                terms.insert(cluster_term(fields, *cluster));
            }
            NameTest::Fact(key, value) => {
                terms.insert(Term::from_field_text(fields.fact, &Fact::text(key, value)));
            }
            NameTest::FactBegins(key, text) => {
                scans.push(TermScan { field: fields.fact, how: Scan::Begins(Fact::text(key, text).into_bytes()) });
            }
        }
    }

    fn exclude(&mut self, terms: Vec<Term>) -> Result<(), IndexError> {
        let weight = self.weight_of(&*any_term(&terms))?;
        self.excluded.push(Excluded { terms, weight });
        Ok(())
    }

    fn weight_of(&self, query: &dyn Query) -> Result<Box<dyn Weight>, IndexError> {
        query.weight(EnableScoring::disabled_from_searcher(self.snapshot.searcher())).map_err(unreadable)
    }

    /// The segments that hold runs within the times asked for.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let readers = self.snapshot.searcher().segment_readers();
        (0_u32..).zip(readers).zip(self.snapshot.columns()).filter_map(|((ord, reader), columns)| {
            let range = columns.range(self.filter.start_time, self.filter.end_time);
            (!range.is_empty() && !self.hopeless).then_some(Segment { plan: self, ord, reader, columns, range })
        })
    }
}

impl Name {
    fn field(self, fields: &Fields) -> Field {
        match self {
            Self::AgentId => fields.agent_id,
            Self::AgentVersion => fields.agent_version,
            Self::Environment => fields.environment,
            Self::Status => fields.status,
            Self::FailureType => fields.failure_type,
            Self::FailureCode => fields.failure_code,
            Self::StepType => fields.step_type,
            Self::StepName => fields.step_name,
            Self::SessionId => fields.session_id,
        }
    }
}

fn cluster_term(fields: &Fields, cluster: u64) -> Term {
    Term::from_field_u64(fields.failure_cluster, cluster)
}

/// All conditions, each by any of its terms; `None` when there is no condition.
fn query(conditions: &[Vec<Term>]) -> Option<Box<dyn Query>> {
    let mut queries: Vec<Box<dyn Query>> = conditions.iter().map(|terms| any_term(terms)).collect();
    match queries.len() {
        0 | 1 => queries.pop(),
        _ => Some(Box::new(BooleanQuery::intersection(queries))),
    }
}

fn any_term(terms: &[Term]) -> Box<dyn Query> {
    match terms {
        [term] => term_query(term),
        terms => Box::new(BooleanQuery::union(terms.iter().map(term_query).collect())),
    }
}

fn term_query(term: &Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term.clone(), IndexRecordOption::Basic))
}

impl TermScan {
    /// Hands the terms of a segment to `each`, ascending, until it wants no more.
    fn terms(&self, reader: &SegmentReader, each: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), IndexError> {
        let inverted = reader.inverted_index(self.field).map_err(unreadable)?;
        let dictionary = inverted.terms();
        let range = match &self.how {
            Scan::Begins(text) => dictionary.range().ge(text),
            Scan::Holds(_) => dictionary.range(),
        };
        let mut terms = range.into_stream().map_err(|error| unreadable(error.into()))?;
        while terms.advance() {
            let passes = match &self.how {
                Scan::Begins(text) if !terms.key().starts_with(text) => break,
                Scan::Begins(_) => true,
                Scan::Holds(word) => std::str::from_utf8(terms.key()).is_ok_and(|text| holds_word(text, word)),
            };
            if passes && !each(terms.key()) {
                break;
            }
        }
        Ok(())
    }
}

impl Wide {
    /// The documents of a segment that have any of the terms.
    fn docs(&self, plan: &Plan<'_>, reader: &SegmentReader) -> Result<Bits, IndexError> {
        let mut bits = Bits::new(reader.max_doc());
        let mut add = |term: &Term| -> Result<(), IndexError> {
            let inverted = reader.inverted_index(term.field()).map_err(unreadable)?;
            let postings = inverted.read_postings(term, IndexRecordOption::Basic);
            if let Some(mut postings) = postings.map_err(|error| unreadable(error.into()))? {
                let mut doc = postings.doc();
                while doc != TERMINATED {
                    bits.insert(doc);
                    doc = postings.advance();
                }
            }
            Ok(())
        };
        for term in &self.terms {
            add(term)?;
        }
        for scan in &self.scans {
            let mut outcome = Ok(());
            scan.terms(reader, &mut |text| {
                outcome = plan.snapshot.go_on().and_then(|()| add(&Term::from_field_bytes(scan.field, text)));
                outcome.is_ok()
            })?;
            outcome?;
        }
        Ok(bits)
    }
}

/// A set of documents of a segment.
struct Bits(Vec<u64>);

impl Bits {
    fn new(docs: DocId) -> Self {
        Self(vec![0; docs as usize / 64 + 1])
    }

    fn insert(&mut self, doc: DocId) {
        self.0[doc as usize / 64] |= 1 << (doc % 64);
    }

    fn contains(&self, doc: DocId) -> bool {
        self.0[doc as usize / 64] >> (doc % 64) & 1 == 1
    }
}

impl<'a> Segment<'a> {
    /// How many documents match, where that is known without looking at them.
    pub(crate) fn known_count(&self) -> Result<Option<u64>, IndexError> {
        let every_one_is_checked = self.reader.has_deletes()
            || self.plan.snapshot.has_mask(self.ord)
            || !self.plan.numbers.is_empty()
            || !self.plan.filter.not_started.is_empty()
            || !self.plan.wide.is_empty()
            || !matches!(self.position_check()?, PositionCheck::AllPass)
            || self.excludes_any()?;
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
        let numbers = self.plan.numbers.iter().map(|check| Ok((self.columns.number(check.column)?, check)));
        let numbers = numbers.collect::<Result<Vec<_>, IndexError>>()?;
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
        let mut excluded = Vec::new();
        for condition in &self.plan.excluded {
            if self.has_any(&condition.terms)? {
                excluded.push(condition.weight.scorer(self.reader, 1.0).map_err(unreadable)?);
            }
        }
        let wide = self.plan.wide.iter().map(|wide| Ok((wide.negated, wide.docs(self.plan, self.reader)?)));
        let wide = wide.collect::<Result<Vec<_>, IndexError>>()?;
        let masked = self.plan.of_masked.then(|| self.plan.snapshot.masked_docs(self.ord, next..end).into_iter());
        let segment = self.clone();
        Ok(Some(Matching { segment, terms, next, end, numbers, before_position, excluded, wide, masked }))
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

    /// Whether any document has to be left out for what it has.
    fn excludes_any(&self) -> Result<bool, IndexError> {
        for condition in &self.plan.excluded {
            if self.has_any(&condition.terms)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether any document has any of the terms.
    fn has_any(&self, terms: &[Term]) -> Result<bool, IndexError> {
        for term in terms {
            if self.doc_freq(term)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
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
    ///
    /// # Errors
    /// When the question was given up.
    pub(crate) fn next_block(&mut self, size: usize, block: &mut Vec<DocId>) -> Result<bool, IndexError> {
        let mut stride = size.max(1);
        loop {
            block.clear();
            if self.next >= self.end {
                return Ok(false);
            }
            self.segment.plan.snapshot.go_on()?;
            self.candidates(stride, block);
            self.retain_visible(block);
            if !block.is_empty() {
                return Ok(true);
            }
            stride = (stride * 4).min(MAX_STRIDE.max(size));
        }
    }

    /// Appends documents that meet the conditions, deleted and masked ones included.
    fn candidates(&mut self, stride: usize, block: &mut Vec<DocId>) {
        if let Some(masked) = &mut self.masked {
            block.extend(masked.by_ref().take(stride));
            self.next = masked.as_slice().first().copied().unwrap_or(self.end);
            if let Some(terms) = &mut self.terms {
                block.retain(|doc| is_at(&mut **terms, *doc));
            }
            self.check_numbers(block);
            return;
        }
        let Some(terms) = &mut self.terms else {
            let until = self.end.min(self.next.saturating_add(u32::try_from(stride).unwrap_or(u32::MAX)));
            match self.numbers.first() {
                Some((column, check)) if !check.negated => {
                    docs_with_value(column, &check.range, self.next..until, block);
                }
                _ => block.extend(self.next..until),
            }
            self.check_numbers(block);
            self.next = until;
            return;
        };
        let mut buffer = [0; COLLECT_BLOCK_BUFFER_LEN];
        while block.len() < stride && self.next < self.end {
            let filled = terms.fill_buffer(&mut buffer);
            block.extend(buffer[..filled].iter().take_while(|doc| **doc < self.end));
            self.next = terms.doc();
        }
        self.check_numbers(block);
    }

    fn check_numbers(&self, block: &mut Vec<DocId>) {
        for (column, NumberCheck { range, negated, .. }) in &self.numbers {
            block.retain(|doc| column.first(*doc).is_some_and(|number| range.contains(&number)) != *negated);
        }
    }

    /// Drops what is deleted, masked, too new or excluded.
    fn retain_visible(&mut self, block: &mut Vec<DocId>) {
        let Segment { plan, ord, reader, .. } = &self.segment;
        if let Some(alive) = reader.alive_bitset() {
            block.retain(|doc| alive.is_alive(*doc));
        }
        if plan.snapshot.has_mask(*ord) && !plan.of_masked {
            block.retain(|doc| !plan.snapshot.masked(*ord, *doc));
        }
        if !plan.filter.not_started.is_empty() {
            let started_at = self.segment.columns.started_at();
            block.retain(|doc| {
                let time = Timestamp::from_micros(started_at.get_val(*doc));
                !plan.filter.not_started.iter().any(|times| times.contains(&time))
            });
        }
        if let Some((positions, before)) = self.before_position {
            block.retain(|doc| positions.values.get_val(*doc) < before);
        }
        for (negated, docs) in &self.wide {
            block.retain(|doc| docs.contains(*doc) != *negated);
        }
        for excluded in &mut self.excluded {
            block.retain(|doc| !is_at(&mut **excluded, *doc));
        }
    }
}

/// Whether `docs` holds this document; those asked for must ascend.
fn is_at(docs: &mut dyn Scorer, doc: DocId) -> bool {
    if docs.doc() < doc {
        docs.seek(doc);
    }
    docs.doc() == doc
}
