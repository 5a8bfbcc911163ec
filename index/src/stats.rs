//! Statistics over all runs that match: exact sums, whatever their number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use agenttracer_model::taxonomy::{FailureType, RunStatus};
use tantivy::DocId;

use crate::columns::{Columns, Number, Text};
use crate::filter::Dimensions;
use crate::gather::{Aggregate, Values, dictionary};
use crate::rollup::Grain;
use crate::rollup::plan::{RolledCell, Rolling};
use crate::timeline::statuses;
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
    /// Takes about 25 ns a matching run; where `filter` asks for names and times only, it takes as long as there are
    /// agents, versions, environments and days.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn stats(&self, filter: &Filter) -> Result<Stats, IndexError> {
        let mut sums = StatsSums::default();
        self.roll(filter, &mut sums)?;
        let StatsSums { mut stats, failures, of_cells } = sums;
        let of_cells = of_cells.into_iter().map(|(text, count)| (text.to_string(), count));
        for (text, count) in failures.into_iter().chain(of_cells).filter(|(_, count)| *count > 0) {
            let named = text.split_once('/').and_then(|(kind, code)| Some((FailureType::parse(kind)?, code)));
            let Some((kind, code)) = named else {
                return Err(IndexError::Document("a failure without a known type".to_owned()));
            };
            *stats.failures.entry((kind, code.to_owned())).or_default() += count;
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
            let name = (failure.failure_type, failure.failure_code.to_string());
            *self.failures.entry(name).or_default() += 1;
        }
    }
}

/// Sums that go on; failures are kept by `type/code` until the end.
#[derive(Default)]
struct StatsSums {
    stats: Stats,
    failures: HashMap<String, u64>,
    of_cells: HashMap<Arc<str>, u64>,
}

impl Rolling for StatsSums {
    fn dimensions(&self) -> Dimensions {
        Dimensions::default()
    }

    fn grain(&self) -> Option<Grain> {
        Some(Grain::Any)
    }

    fn add_cell(&mut self, rolled: &RolledCell<'_>) -> Result<(), IndexError> {
        let (stats, cell) = (&mut self.stats, rolled.cell);
        rolled.put(&mut stats.runs, cell.runs());
        rolled.put(&mut stats.failed_runs, cell.by_status[RunStatus::Failure as usize]);
        rolled.put_all(&mut stats.steps_by_type, &cell.steps_by_type);
        rolled.put_large(&mut stats.step_latency_ms, cell.step_latency_ms);
        for (text, count) in cell.failures.iter() {
            let text = rolled.texts.text(text);
            match self.of_cells.get_mut(text) {
                Some(sum) => rolled.put(sum, count),
                None => rolled.put(self.of_cells.entry(Arc::clone(text)).or_default(), count),
            }
        }
        Ok(())
    }
}

/// What is read of a segment, with the buffers for it.
struct SegmentStats<'a> {
    columns: &'a Columns,
    /// What the status column holds for failure, when a run of the segment failed.
    failed: Option<u64>,
    /// How often each value of the failure column occurs.
    failures: Vec<u64>,
    buffers: Values,
}

impl Aggregate for StatsSums {
    type Segment<'a> = SegmentStats<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        self.stats.add(run);
        Ok(())
    }

    fn open<'a>(&mut self, _ord: u32, columns: &'a Columns) -> Result<SegmentStats<'a>, IndexError> {
        let statuses = statuses(columns)?;
        let failed = statuses.iter().position(|status| *status == RunStatus::Failure).map(|ord| ord as u64);
        let failures = vec![0; columns.text(Text::Failure)?.num_terms()];
        Ok(SegmentStats { columns, failed, failures, buffers: Values::default() })
    }

    fn add_docs(&mut self, segment: &mut SegmentStats<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        let SegmentStats { columns, failed, failures, buffers } = segment;
        let stats = &mut self.stats;
        stats.runs += docs.len() as u64;
        if let Some(failed) = failed {
            let statuses = buffers.one_each(columns.text(Text::Status)?.ords(), docs);
            stats.failed_runs += statuses.iter().filter(|ord| *ord == failed).count() as u64;
        }
        for (sum, number) in stats.steps_by_type.iter_mut().zip(Number::STEPS_BY_TYPE) {
            *sum += buffers.one_each(columns.number(number)?, docs).iter().sum::<u64>();
        }
        // A run's latencies saturate at 2^64, so their sum needs more.
        let latencies = buffers.one_each(columns.number(Number::StepLatencyMs)?, docs);
        stats.step_latency_ms += latencies.iter().map(|ms| u128::from(*ms)).sum::<u128>();
        if !failures.is_empty() {
            for (_, ord) in buffers.all(columns.text(Text::Failure)?.ords(), docs) {
                failures[ord as usize] += 1;
            }
        }
        Ok(())
    }

    fn close(&mut self, segment: SegmentStats<'_>) -> Result<(), IndexError> {
        dictionary(segment.columns.text(Text::Failure)?, |ord, text| {
            let count = segment.failures[ord as usize];
            if count > 0 {
                *self.failures.entry(text.to_owned()).or_default() += count;
            }
            Ok(())
        })
    }
}
