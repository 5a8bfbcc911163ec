//! Statistics over all runs that match: exact sums, whatever their number.

use std::collections::BTreeMap;

use agenttracer_model::taxonomy::{FailureType, RunStatus};
use tantivy::DocId;
use tantivy::columnar::{Cardinality, Column};

use crate::columns::{Columns, Number, Text};
use crate::matching::{Matching, Plan};
use crate::{Filter, IndexError, RunSummary, Snapshot};

/// Sums over the runs that match a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many runs.
    pub runs: u64,
    /// How many of them have status failure.
    pub failed_runs: u64,
    /// How many steps they have, by type in the order of `StepType::ALL`.
    pub steps_by_type: [u64; 5],
    /// The sum of the steps' `latency_ms`.
    pub step_latency_ms: u128,
    /// How many failures they have, by type and code.
    pub failures: BTreeMap<(FailureType, String), u64>,
}

impl Snapshot {
    /// The sums over all runs that match `filter` and have ended.
    ///
    /// Takes about 25 ns a matching run.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn stats(&self, filter: &Filter) -> Result<Stats, IndexError> {
        let mut stats = Stats::default();
        let filter = &filter.ended();
        if filter.is_hopeless() {
            return Ok(stats);
        }
        for run in self.hot().filter(|run| filter.matches(run)) {
            stats.add(run);
        }
        let plan = Plan::new(self, filter)?;
        for segment in plan.segments() {
            if let Some(matching) = segment.matching()? {
                SegmentSums::new(segment.columns)?.collect(matching, &mut stats)?;
            }
        }
        Ok(stats)
    }
}

impl Stats {
    /// Adds one run.
    pub fn add(&mut self, run: &RunSummary) {
        self.runs += 1;
        self.failed_runs += u64::from(run.status == RunStatus::Failure);
        for (sum, count) in self.steps_by_type.iter_mut().zip(run.steps_by_type()) {
            *sum += u64::from(count);
        }
        self.step_latency_ms += u128::from(run.step_latency_ms());
        for failure in &run.failures {
            self.add_failures(failure.failure_type, &failure.failure_code, 1);
        }
    }

    fn add_failures(&mut self, failure_type: FailureType, code: &str, count: u64) {
        *self.failures.entry((failure_type, code.to_owned())).or_default() += count;
    }
}

/// How many documents are looked at together.
const BLOCK: usize = 1024;

/// What is read of a segment, with the buffers for it.
struct SegmentSums<'a> {
    columns: &'a Columns,
    status: &'a Column<u64>,
    /// What the status column holds for failure, when a run of the segment failed.
    failed: Option<u64>,
    /// How often each value of the failure column occurs.
    failures: Vec<u64>,
    values: Vec<u64>,
    rows: (Vec<DocId>, Vec<u32>),
}

impl<'a> SegmentSums<'a> {
    fn new(columns: &'a Columns) -> Result<Self, IndexError> {
        let status = columns.text(Text::Status)?;
        let failed = status.dictionary().term_ord(RunStatus::Failure.as_str()).map_err(unreadable)?;
        Ok(Self {
            columns,
            status: status.ords(),
            failed,
            failures: vec![0; columns.text(Text::Failure)?.num_terms()],
            values: Vec::with_capacity(BLOCK),
            rows: (Vec::new(), Vec::new()),
        })
    }

    fn collect(mut self, mut matching: Matching<'_>, stats: &mut Stats) -> Result<(), IndexError> {
        let steps = self.number_columns(&Number::STEPS_BY_TYPE)?;
        let latency = self.columns.number(Number::StepLatencyMs)?;
        let mut docs = Vec::new();
        while matching.next_block(BLOCK, &mut docs)? {
            stats.runs += docs.len() as u64;
            if let Some(failed) = self.failed {
                stats.failed_runs += self.load(self.status, &docs).iter().filter(|ord| **ord == failed).count() as u64;
            }
            for (sum, column) in stats.steps_by_type.iter_mut().zip(&steps) {
                *sum += self.load(column, &docs).iter().sum::<u64>();
            }
            // A run's latencies saturate at 2^64, so their sum needs more.
            stats.step_latency_ms += self.load(latency, &docs).iter().map(|ms| u128::from(*ms)).sum::<u128>();
            self.count_failures(&docs)?;
        }
        self.name_failures(stats)
    }

    fn number_columns(&self, numbers: &[Number]) -> Result<Vec<&'a Column<u64>>, IndexError> {
        numbers.iter().map(|number| self.columns.number(*number)).collect()
    }

    /// The values of a column that has one for each document.
    fn load(&mut self, column: &Column<u64>, docs: &[DocId]) -> &[u64] {
        self.values.clear();
        self.values.resize(docs.len(), 0);
        if column.get_cardinality() == Cardinality::Full {
            column.values.get_vals(docs, &mut self.values);
        } else {
            // Not what the writer writes; better slow than wrong.
            for (value, doc) in self.values.iter_mut().zip(docs) {
                *value = column.first(*doc).unwrap_or(0);
            }
        }
        &self.values
    }

    fn count_failures(&mut self, docs: &[DocId]) -> Result<(), IndexError> {
        if self.failures.is_empty() {
            return Ok(());
        }
        let failure = self.columns.text(Text::Failure)?.ords();
        let (owners, rows) = &mut self.rows;
        owners.clear();
        rows.clear();
        failure.row_ids_for_docs(docs, owners, rows);
        self.values.clear();
        self.values.resize(rows.len(), 0);
        failure.values.get_vals(rows, &mut self.values);
        for ord in &self.values {
            if let Some(count) = self.failures.get_mut(*ord as usize) {
                *count += 1;
            }
        }
        Ok(())
    }

    /// Gives the counted failures their names.
    fn name_failures(&self, stats: &mut Stats) -> Result<(), IndexError> {
        let column = self.columns.text(Text::Failure)?;
        let mut text = String::new();
        for (ord, count) in (0..).zip(&self.failures).filter(|(_, count)| **count > 0) {
            column.ord_to_str(ord, &mut text).map_err(unreadable)?;
            let named = text.split_once('/').and_then(|(kind, code)| Some((FailureType::parse(kind)?, code)));
            let Some((kind, code)) = named else {
                return Err(IndexError::Document(format!("a failure without a known type, at {ord}")));
            };
            stats.add_failures(kind, code, *count);
        }
        Ok(())
    }
}

fn unreadable(error: std::io::Error) -> IndexError {
    crate::columns::unreadable(error.into())
}
