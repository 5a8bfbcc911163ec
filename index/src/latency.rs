//! Where the time of many runs went: by step type, by step, and beside the steps.

use std::collections::BTreeMap;

use agenttracer_model::taxonomy::StepType;
use tantivy::DocId;
use tantivy::columnar::Column;

use crate::columns::{Columns, Number, Text};
use crate::gather::{Aggregate, Numbered, Values, dictionary};
use crate::{Filter, Histogram, IndexError, RunSummary, Snapshot};

/// The most different steps that are told apart.
const MAX_STEPS: usize = 5_000;

/// A number that each run has, over many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The sum.
    pub sum: u128,
    /// What each run has.
    pub runs: Histogram,
}

impl Spread {
    fn add(&mut self, number: u64) {
        self.sum += u128::from(number);
        self.runs.add(number, 1);
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.runs.merge(&other.runs);
    }
}

/// Steps of one name or type over many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepLatency {
    /// How many steps.
    pub steps: u64,
    /// The sum of their latencies in each run that has any, in ms.
    pub latency_ms: Spread,
}

/// Where the time of the runs that match went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many runs match.
    pub runs: u64,
    /// Their durations, of those that have one.
    pub duration_ms: Spread,
    /// Idle between steps.
    pub idle_ms: Spread,
    /// How much steps overlap.
    pub overlap_ms: Spread,
    /// The latencies of all attempts but the last.
    pub retry_waste_ms: Spread,
    /// The length of the critical path.
    pub critical_path_ms: Spread,
    /// By type, in the order of `StepType::ALL`.
    pub by_type: [StepLatency; 5],
    /// By type and name.
    pub by_step: BTreeMap<(StepType, String), StepLatency>,
}

impl Snapshot {
    /// Where the time of the runs that match went.
    ///
    /// Takes about 200 ns a matching run of eight steps.
    ///
    /// # Errors
    /// `TooMany` when they have more than 5,000 different steps.
    pub fn latency(&self, filter: &Filter) -> Result<Latency, IndexError> {
        let mut sums = LatencySums::default();
        sums.latency.runs = self.gather(filter, &mut sums)?;
        let LatencySums { mut latency, names, steps } = sums;
        for (text, step) in names.into_texts().into_iter().zip(steps) {
            let named = text.split_once('/').and_then(|(kind, name)| Some((StepType::parse(kind)?, name.to_owned())));
            let Some(named) = named else {
                return Err(IndexError::Document("a step of no known type".to_owned()));
            };
            latency.by_step.insert(named, step);
        }
        Ok(latency)
    }
}

#[derive(Default)]
struct LatencySums {
    latency: Latency,
    names: Numbered,
    /// By the numbers of the names.
    steps: Vec<StepLatency>,
}

impl LatencySums {
    fn number(&mut self, name: &str) -> Result<usize, IndexError> {
        let number = self.names.of(name, MAX_STEPS, "steps")? as usize;
        if self.steps.len() <= number {
            self.steps.resize_with(number + 1, StepLatency::default);
        }
        Ok(number)
    }
}

struct SegmentLatency<'a> {
    columns: &'a Columns,
    duration_ms: &'a Column<u64>,
    /// Of each value of the step column.
    steps: Vec<(StepType, String)>,
    sums: Vec<StepLatency>,
    buffers: Values,
    ms: Vec<u64>,
    times: Vec<u64>,
}

/// The sums of one run by step type.
#[derive(Default)]
struct RunTypes {
    steps: [u64; 5],
    latency_ms: [u64; 5],
}

impl RunTypes {
    fn add(&mut self, step_type: StepType, steps: u64, latency_ms: u64) {
        self.steps[step_type as usize] += steps;
        let sum = &mut self.latency_ms[step_type as usize];
        *sum = sum.saturating_add(latency_ms);
    }

    fn end(&mut self, by_type: &mut [StepLatency; 5]) {
        for (index, sums) in by_type.iter_mut().enumerate() {
            if self.steps[index] > 0 {
                sums.steps += self.steps[index];
                sums.latency_ms.add(self.latency_ms[index]);
            }
        }
        *self = Self::default();
    }
}

impl Aggregate for LatencySums {
    type Segment<'a> = SegmentLatency<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        let mut types = RunTypes::default();
        for step in &run.steps {
            let number = self.number(&format!("{}/{}", step.step_type.as_str(), step.name))?;
            self.steps[number].steps += u64::from(step.count);
            self.steps[number].latency_ms.add(step.latency_ms);
            types.add(step.step_type, step.count.into(), step.latency_ms);
        }
        types.end(&mut self.latency.by_type);
        let latency = &mut self.latency;
        if let Some(ms) = run.duration_ms {
            latency.duration_ms.add(ms);
        }
        latency.idle_ms.add(run.timing.idle_ms);
        latency.overlap_ms.add(run.timing.overlap_ms);
        latency.retry_waste_ms.add(run.timing.retry_waste_ms);
        latency.critical_path_ms.add(run.timing.critical_path_ms);
        Ok(())
    }

    fn open<'a>(&mut self, _ord: u32, columns: &'a Columns) -> Result<SegmentLatency<'a>, IndexError> {
        let column = columns.text(Text::Step)?;
        let mut steps = Vec::with_capacity(column.num_terms());
        dictionary(column, |_, text| {
            let step = text.split_once('/').and_then(|(kind, _)| Some((StepType::parse(kind)?, text.to_owned())));
            steps.extend(step);
            Ok(())
        })?;
        if steps.len() != column.num_terms() {
            return Err(IndexError::Document("a step of no known type".to_owned()));
        }
        Ok(SegmentLatency {
            columns,
            duration_ms: columns.number(Number::DurationMs)?,
            sums: vec![StepLatency::default(); steps.len()],
            steps,
            buffers: Values::default(),
            ms: Vec::new(),
            times: Vec::new(),
        })
    }

    fn add_docs(&mut self, segment: &mut SegmentLatency<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        let SegmentLatency { columns, duration_ms, steps, sums, buffers, ms, times } = segment;
        let latency = &mut self.latency;
        for doc in docs {
            if let Some(ms) = duration_ms.first(*doc) {
                latency.duration_ms.add(ms);
            }
        }
        for (number, spread) in [
            (Number::IdleMs, &mut latency.idle_ms),
            (Number::OverlapMs, &mut latency.overlap_ms),
            (Number::RetryWasteMs, &mut latency.retry_waste_ms),
            (Number::CriticalPathMs, &mut latency.critical_path_ms),
        ] {
            buffers.one_each(columns.number(number)?, docs).iter().for_each(|ms| spread.add(*ms));
        }
        // The documents and their steps come in order: a run ends where the next one begins.
        buffers.load(columns.text(Text::Step)?.ords(), docs);
        buffers.beside(columns.number(Number::StepMs)?, ms);
        buffers.beside(columns.number(Number::StepTimes)?, times);
        let (mut types, mut run) = (RunTypes::default(), None);
        for (((doc, ord), ms), times) in buffers.last().zip(ms.iter()).zip(times.iter()) {
            if run.replace(doc).is_some_and(|before| before != doc) {
                types.end(&mut latency.by_type);
            }
            let sum = &mut sums[ord as usize];
            sum.steps += times;
            sum.latency_ms.add(*ms);
            types.add(steps[ord as usize].0, *times, *ms);
        }
        types.end(&mut latency.by_type);
        Ok(())
    }

    fn close(&mut self, segment: SegmentLatency<'_>) -> Result<(), IndexError> {
        for ((_, name), sums) in segment.steps.iter().zip(&segment.sums).filter(|(_, sums)| sums.steps > 0) {
            let number = self.number(name)?;
            self.steps[number].steps += sums.steps;
            self.steps[number].latency_ms.merge(&sums.latency_ms);
        }
        Ok(())
    }
}
