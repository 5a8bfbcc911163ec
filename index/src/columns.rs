//! The fast fields that questions read, opened once for each segment.

use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, OnceLock};

use agenttracer_model::Timestamp;
use tantivy::columnar::{Column, ColumnValues, StrColumn};
use tantivy::fastfield::FastFieldReaders;
use tantivy::index::SegmentId;
use tantivy::{DocId, Searcher, SegmentReader, TantivyError};

use crate::IndexError;

/// The fast fields of one segment. `tantivy` looks a column up by name and parses its head each time it is asked for
/// it, which takes longer than a newest-first page; here each is opened when it is first needed, and kept.
pub(crate) struct Columns {
    segment: SegmentId,
    fast: FastFieldReaders,
    docs: DocId,
    started_at: Arc<dyn ColumnValues<i64>>,
    numbers: [OnceLock<Column<u64>>; Number::COUNT],
    texts: [OnceLock<StrColumn>; Text::COUNT],
}

/// A fast field of whole numbers.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Number {
    DurationMs,
    Position,
    RunKey,
    StepLatencyMs,
    StepsPlan,
    StepsRetrieve,
    StepsTool,
    StepsRespond,
    StepsOther,
    StepCount,
    RetryCount,
    IdleMs,
    OverlapMs,
    RetryWasteMs,
    CriticalPathMs,
    FailureCluster,
    /// Of each value of [`Text::Step`].
    StepMs,
    /// Of each value of [`Text::Step`].
    StepTimes,
    /// Of each value of [`Text::Decision`].
    Confidence,
    /// Of each value of [`Text::Usage`], as the next three.
    UsageSteps,
    UsageInputTokens,
    UsageOutputTokens,
    UsageCost,
}

/// A fast field of texts.
#[derive(Clone, Copy)]
pub(crate) enum Text {
    AgentId,
    AgentVersion,
    Environment,
    Status,
    /// `type/code`, for each failure.
    Failure,
    /// `type/name`, for each different step.
    Step,
    /// `type/code/selected`, for each decision.
    Decision,
    /// `type/code/value`, for each signal.
    Signal,
    /// `key NUL value`.
    Fact,
    /// `:model`, for each model that was used.
    Usage,
}

impl Text {
    const COUNT: usize = 10;

    const fn name(self) -> &'static str {
        match self {
            Self::AgentId => "agent_id",
            Self::AgentVersion => "agent_version",
            Self::Environment => "environment",
            Self::Status => "status",
            Self::Failure => "failure",
            Self::Step => "step",
            Self::Decision => "decision",
            Self::Signal => "signal",
            Self::Fact => "fact",
            Self::Usage => "usage",
        }
    }
}

impl Number {
    const COUNT: usize = 23;

    /// Steps by type, in the order of `StepType::ALL`.
    pub(crate) const STEPS_BY_TYPE: [Self; 5] =
        [Self::StepsPlan, Self::StepsRetrieve, Self::StepsTool, Self::StepsRespond, Self::StepsOther];

    const fn name(self) -> &'static str {
        match self {
            Self::DurationMs => "duration_ms",
            Self::Position => "position",
            Self::RunKey => "run_key",
            Self::StepLatencyMs => "step_latency_ms",
            Self::StepsPlan => "steps_plan",
            Self::StepsRetrieve => "steps_retrieve",
            Self::StepsTool => "steps_tool",
            Self::StepsRespond => "steps_respond",
            Self::StepsOther => "steps_other",
            Self::StepCount => "step_count",
            Self::RetryCount => "retry_count",
            Self::IdleMs => "idle_ms",
            Self::OverlapMs => "overlap_ms",
            Self::RetryWasteMs => "retry_waste_ms",
            Self::CriticalPathMs => "critical_path_ms",
            Self::FailureCluster => "failure_cluster",
            Self::StepMs => "step_ms",
            Self::StepTimes => "step_times",
            Self::Confidence => "confidence",
            Self::UsageSteps => "usage_steps",
            Self::UsageInputTokens => "usage_input_tokens",
            Self::UsageOutputTokens => "usage_output_tokens",
            Self::UsageCost => "usage_cost",
        }
    }
}

impl Columns {
    /// The columns of all segments of a searcher, in its order. A segment's columns never change, so what `before` has
    /// open is used again.
    ///
    /// # Errors
    /// When the fast fields cannot be read.
    pub(crate) fn of(searcher: &Searcher, before: &[Arc<Self>]) -> Result<Arc<[Arc<Self>]>, IndexError> {
        let open = |reader: &SegmentReader| match before.iter().find(|have| have.segment == reader.segment_id()) {
            Some(have) => Ok(Arc::clone(have)),
            None => Self::open(reader).map(Arc::new),
        };
        searcher.segment_readers().iter().map(open).collect()
    }

    fn open(reader: &SegmentReader) -> Result<Self, IndexError> {
        let fast = reader.fast_fields().clone();
        let docs = reader.max_doc();
        let started_at = fast.i64("started_at").map_err(unreadable)?;
        if started_at.values.num_vals() != docs {
            return Err(IndexError::Document("a document has no started_at".to_owned()));
        }
        Ok(Self {
            segment: reader.segment_id(),
            fast,
            docs,
            started_at: started_at.values,
            numbers: Default::default(),
            texts: Default::default(),
        })
    }

    /// When each run began, in µs, descending.
    pub(crate) fn started_at(&self) -> &dyn ColumnValues<i64> {
        &*self.started_at
    }

    /// A column of numbers; empty where no document of the segment has one.
    pub(crate) fn number(&self, number: Number) -> Result<&Column<u64>, IndexError> {
        opened(&self.numbers[number as usize], || {
            let column = self.fast.column_opt(number.name()).map_err(unreadable)?;
            Ok(column.unwrap_or_else(|| Column::build_empty_column(self.docs)))
        })
    }

    /// A column of texts; empty where no document of the segment has one.
    pub(crate) fn text(&self, text: Text) -> Result<&StrColumn, IndexError> {
        opened(&self.texts[text as usize], || {
            let column = self.fast.str(text.name()).map_err(unreadable)?;
            Ok(column.unwrap_or_else(|| StrColumn::wrap(tantivy::columnar::BytesColumn::empty(self.docs))))
        })
    }

    /// The documents of runs that began within `start..=end`.
    pub(crate) fn range(&self, start: Option<Timestamp>, end: Option<Timestamp>) -> Range<DocId> {
        let first = end.map_or(0, |end| self.first_where(|time| time <= end.as_micros()));
        let until = start.map_or(self.docs, |start| self.first_where(|time| time < start.as_micros()));
        first..until.max(first)
    }

    /// The first document whose time is `late` enough in the order of the segment; all behind it are too.
    fn first_where(&self, late: impl Fn(i64) -> bool) -> DocId {
        let (mut low, mut high) = (0, self.docs);
        while low < high {
            let middle = low + (high - low) / 2;
            if late(self.started_at.get_val(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }
}

/// Appends the documents of `docs` whose value lies in `values`, ascending. `found` must be empty.
pub(crate) fn docs_with_value(
    column: &Column<u64>,
    values: &RangeInclusive<u64>,
    docs: Range<DocId>,
    found: &mut Vec<DocId>,
) {
    // The column's own search takes a range that lies beside all values for one that holds the nearest of them.
    let values = *values.start().max(&column.min_value())..=*values.end().min(&column.max_value());
    if !values.is_empty() && column.values.num_vals() > 0 {
        column.get_docids_for_value_range(values, docs, found);
    }
}

/// What `tantivy` could not read.
pub(crate) fn unreadable(error: TantivyError) -> IndexError {
    IndexError::Document(error.to_string())
}

fn opened<T>(cell: &OnceLock<T>, open: impl FnOnce() -> Result<T, IndexError>) -> Result<&T, IndexError> {
    match cell.get() {
        Some(column) => Ok(column),
        None => {
            let column = open()?;
            Ok(cell.get_or_init(|| column))
        }
    }
}
