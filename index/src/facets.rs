//! Facets: the values that the matching runs have, with the number of runs that have each.

use std::collections::BTreeSet;

use agenttracer_model::taxonomy::{FailureType, RunStatus, StepType};
use tantivy::DocId;
use tantivy::columnar::StrColumn;

use crate::columns::{Columns, Number, Text};
use crate::filter::Dimensions;
use crate::gather::{Aggregate, Numbered, Values, dictionary};
use crate::rollup::Grain;
use crate::rollup::plan::{RolledCell, Rolling};
use crate::{Fact, Filter, IndexError, RunSummary, Snapshot};

/// The most different values of a facet.
const MAX_VALUES: usize = 100_000;

/// What values are counted.
#[expect(missing_docs, reason = "they are the filters of the contract")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    AgentId,
    AgentVersion,
    Environment,
    Status,
    FailureType,
    FailureCode,
    StepType,
    StepName,
    DecisionType,
    ReasonCode,
    SignalType,
    SignalCode,
    HasRetries,
    /// The keys of metadata that runs have.
    MetadataKey,
    /// The values of this key of metadata.
    Metadata(String),
}

/// The values of a facet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FacetCounts {
    /// Each value with the number of runs that have it: the most frequent first, then by value.
    pub values: Vec<(String, u64)>,
}

impl Snapshot {
    /// How many runs match, and of each facet how many of them have each value.
    ///
    /// Takes 10 to 30 ns a matching run and facet; where `filter` asks for names and times only, the facets up to step type
    /// and retries take as long as there are agents, versions, environments and days.
    ///
    /// # Errors
    /// `TooMany` when a facet has more than 100,000 values; `NotIndexed` for a metadata key that is not indexed.
    pub fn facets(&self, filter: &Filter, facets: &[Facet]) -> Result<(u64, Vec<FacetCounts>), IndexError> {
        for facet in facets {
            if let Facet::Metadata(key) = facet {
                self.check(&Filter { metadata: vec![(key.clone(), Vec::new())], ..Filter::default() })?;
            }
        }
        let (rolled, others): (Vec<&Facet>, Vec<&Facet>) = facets.iter().partition(|facet| facet.is_rolled());
        let (mut runs, mut counts) = (None, Vec::with_capacity(facets.len()));
        for (facets, is_rolled) in [(rolled, true), (others, false)] {
            if facets.is_empty() && (is_rolled || runs.is_some()) {
                continue;
            }
            let mut counters =
                Counters { counters: facets.iter().copied().map(Counter::new).collect(), snapshot: self };
            runs = Some(match is_rolled {
                true => self.roll(filter, &mut counters)?,
                false => self.gather(filter, &mut counters)?,
            });
            counts.extend(facets.into_iter().zip(counters.counters.into_iter().map(Counter::into_counts)));
        }
        let in_order = facets.iter().map(|facet| {
            let found = counts.iter().find(|(counted, _)| *counted == facet);
            found.map(|(_, counts)| counts.clone()).unwrap_or_default()
        });
        Ok((runs.unwrap_or_default(), in_order.collect()))
    }
}

struct Counters<'f> {
    counters: Vec<Counter<'f>>,
    snapshot: &'f Snapshot,
}

struct Counter<'f> {
    facet: &'f Facet,
    values: Numbered,
    /// By the numbers of the values.
    runs: Vec<u64>,
}

impl<'f> Counter<'f> {
    fn new(facet: &'f Facet) -> Self {
        Self { facet, values: Numbered::default(), runs: Vec::new() }
    }

    fn sum(&mut self, value: &str) -> Result<&mut u64, IndexError> {
        let number = self.values.of(value, MAX_VALUES, "values of a facet")? as usize;
        if self.runs.len() <= number {
            self.runs.resize(number + 1, 0);
        }
        Ok(&mut self.runs[number])
    }

    fn add(&mut self, value: &str, runs: u64) -> Result<(), IndexError> {
        *self.sum(value)? += runs;
        Ok(())
    }

    fn into_counts(self) -> FacetCounts {
        let values = self.values.into_texts().into_iter().zip(self.runs);
        let mut values: Vec<_> = values.filter(|(_, runs)| *runs > 0).collect();
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        FacetCounts { values }
    }
}

impl Rolling for Counters<'_> {
    fn dimensions(&self) -> Dimensions {
        let asks = |facet: &Facet| self.counters.iter().any(|counter| counter.facet == facet);
        Dimensions {
            agent: asks(&Facet::AgentId),
            version: asks(&Facet::AgentVersion),
            environment: asks(&Facet::Environment),
        }
    }

    fn grain(&self) -> Option<Grain> {
        Some(Grain::Any)
    }

    fn add_cell(&mut self, rolled: &RolledCell<'_>) -> Result<(), IndexError> {
        let cell = rolled.cell;
        for counter in &mut self.counters {
            let facet = counter.facet;
            let mut put = |value: &str, runs: u64| -> Result<(), IndexError> {
                if runs > 0 {
                    rolled.put(counter.sum(value)?, runs);
                }
                Ok(())
            };
            match facet {
                Facet::AgentId => put(rolled.agent, cell.runs())?,
                Facet::AgentVersion => put(rolled.version, cell.runs())?,
                Facet::Environment => put(rolled.environment, cell.runs())?,
                Facet::Status => {
                    for (status, runs) in RunStatus::ALL.iter().zip(cell.by_status) {
                        put(status.as_str(), runs)?;
                    }
                }
                Facet::FailureType => {
                    for (failure_type, runs) in FailureType::ALL.iter().zip(cell.runs_by_failure_type) {
                        put(failure_type.as_str(), runs)?;
                    }
                }
                Facet::FailureCode => {
                    for (code, runs) in cell.runs_by_code.iter() {
                        put(rolled.texts.text(code), runs)?;
                    }
                }
                Facet::StepType => {
                    for (step_type, runs) in StepType::ALL.iter().zip(cell.runs_by_step_type) {
                        put(step_type.as_str(), runs)?;
                    }
                }
                Facet::HasRetries => {
                    put(truth(true), cell.runs_with_retries)?;
                    put(truth(false), cell.runs() - cell.runs_with_retries)?;
                }
                other => return Err(IndexError::Document(format!("no cell counts {other:?}"))),
            }
        }
        Ok(())
    }
}

impl Facet {
    /// Whether cells count it.
    fn is_rolled(&self) -> bool {
        match self {
            Self::AgentId
            | Self::AgentVersion
            | Self::Environment
            | Self::Status
            | Self::FailureType
            | Self::FailureCode
            | Self::StepType
            | Self::HasRetries => true,
            Self::StepName
            | Self::DecisionType
            | Self::ReasonCode
            | Self::SignalType
            | Self::SignalCode
            | Self::MetadataKey
            | Self::Metadata(_) => false,
        }
    }

    /// The different values that a run has.
    fn of<'r>(&self, run: &'r RunSummary, is_indexed: impl Fn(&str) -> bool) -> BTreeSet<std::borrow::Cow<'r, str>> {
        use std::borrow::Cow::Borrowed;
        match self {
            Self::AgentId => BTreeSet::from([Borrowed(&*run.agent_id)]),
            Self::AgentVersion => BTreeSet::from([Borrowed(&*run.agent_version)]),
            Self::Environment => BTreeSet::from([Borrowed(&*run.environment)]),
            Self::Status => BTreeSet::from([Borrowed(run.status.as_str())]),
            Self::FailureType => run.failures.iter().map(|failure| Borrowed(failure.failure_type.as_str())).collect(),
            Self::FailureCode => run.failures.iter().map(|failure| Borrowed(&*failure.failure_code)).collect(),
            Self::StepType => run.steps.iter().map(|step| Borrowed(step.step_type.as_str())).collect(),
            Self::StepName => run.step_names().map(|name| Borrowed(&**name)).collect(),
            Self::DecisionType => run.decisions.iter().map(|d| Borrowed(d.reason.decision_type().as_str())).collect(),
            Self::ReasonCode => run.decisions.iter().map(|decision| Borrowed(decision.reason.as_str())).collect(),
            Self::SignalType => run.signals.iter().map(|s| Borrowed(s.code.signal_type().as_str())).collect(),
            Self::SignalCode => run.signals.iter().map(|signal| Borrowed(signal.code.as_str())).collect(),
            Self::HasRetries => BTreeSet::from([Borrowed(truth(run.retry_count > 0))]),
            Self::MetadataKey => run.facts().filter(|(key, _)| is_indexed(key)).map(|(key, _)| Borrowed(key)).collect(),
            Self::Metadata(wanted) => run.facts().filter(|(key, _)| key == wanted).map(|(_, value)| value).collect(),
        }
    }

    /// The column with the values; `None` where they are counted otherwise.
    fn text(&self) -> Option<Text> {
        Some(match self {
            Self::AgentId => Text::AgentId,
            Self::AgentVersion => Text::AgentVersion,
            Self::Environment => Text::Environment,
            Self::Status => Text::Status,
            Self::FailureType | Self::FailureCode => Text::Failure,
            Self::StepName => Text::Step,
            Self::DecisionType | Self::ReasonCode => Text::Decision,
            Self::SignalType | Self::SignalCode => Text::Signal,
            Self::MetadataKey | Self::Metadata(_) => Text::Fact,
            Self::StepType | Self::HasRetries => return None,
        })
    }

    /// The value in a text of the column.
    fn value<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::AgentId | Self::AgentVersion | Self::Environment | Self::Status => Some(text),
            Self::FailureType | Self::DecisionType | Self::SignalType => text.split('/').next(),
            Self::FailureCode | Self::StepName => Some(text.split_once('/')?.1),
            Self::ReasonCode | Self::SignalCode => text.split('/').nth(1),
            Self::MetadataKey => Some(Fact::parts(text)?.0),
            Self::Metadata(key) => Fact::parts(text).filter(|(have, _)| have == key).map(|(_, value)| value),
            Self::StepType | Self::HasRetries => None,
        }
    }
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The facets of a segment.
struct SegmentCounters<'a> {
    columns: &'a Columns,
    counters: Vec<SegmentCounter<'a>>,
    buffers: Values,
}

enum SegmentCounter<'a> {
    Texts(TextCounter<'a>),
    /// By `StepType::ALL`.
    StepTypes([u64; 5]),
    /// Without and with.
    Retries([u64; 2]),
}

/// Counts each value once for a run, though several texts of it may stand for the value.
struct TextCounter<'a> {
    column: &'a StrColumn,
    /// Of each text, the number of its value in `values`.
    value_of: Vec<u32>,
    values: Vec<String>,
    runs: Vec<u64>,
    /// The last document that was counted for each value, plus one.
    counted: Vec<DocId>,
}

/// A text that has no value of this facet.
const NONE: u32 = u32::MAX;

impl<'a> TextCounter<'a> {
    fn new(facet: &Facet, column: &'a StrColumn, snapshot: &Snapshot) -> Result<Self, IndexError> {
        let mut numbers = Numbered::default();
        let mut value_of = vec![NONE; column.num_terms()];
        dictionary(column, |ord, text| {
            // Metadata can have more values than there are runs to count.
            if ord % 4096 == 0 {
                snapshot.go_on()?;
            }
            if let Some(value) = facet.value(text) {
                value_of[ord as usize] = numbers.of(value, MAX_VALUES, "values of a facet")?;
            }
            Ok(())
        })?;
        let values = numbers.into_texts();
        Ok(Self { column, value_of, runs: vec![0; values.len()], counted: vec![0; values.len()], values })
    }

    fn add_docs(&mut self, docs: &[DocId], buffers: &mut Values) {
        for (doc, ord) in buffers.all(self.column.ords(), docs) {
            let value = self.value_of[ord as usize] as usize;
            if value != NONE as usize && self.counted[value] != doc + 1 {
                self.counted[value] = doc + 1;
                self.runs[value] += 1;
            }
        }
    }
}

impl Aggregate for Counters<'_> {
    type Segment<'a> = SegmentCounters<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        for counter in &mut self.counters {
            for value in counter.facet.of(run, |key| self.snapshot.is_indexed(key)) {
                counter.add(&value, 1)?;
            }
        }
        Ok(())
    }

    fn open<'a>(&mut self, _ord: u32, columns: &'a Columns) -> Result<SegmentCounters<'a>, IndexError> {
        let counters = self.counters.iter().map(|counter| {
            Ok(match counter.facet {
                Facet::StepType => SegmentCounter::StepTypes([0; 5]),
                Facet::HasRetries => SegmentCounter::Retries([0; 2]),
                facet => match facet.text() {
                    Some(text) => SegmentCounter::Texts(TextCounter::new(facet, columns.text(text)?, self.snapshot)?),
                    None => return Err(IndexError::Document("a facet without a column".to_owned())),
                },
            })
        });
        let counters = counters.collect::<Result<_, IndexError>>()?;
        Ok(SegmentCounters { columns, counters, buffers: Values::default() })
    }

    fn add_docs(&mut self, segment: &mut SegmentCounters<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        let SegmentCounters { columns, counters, buffers } = segment;
        for counter in counters {
            match counter {
                SegmentCounter::Texts(texts) => texts.add_docs(docs, buffers),
                SegmentCounter::StepTypes(runs) => {
                    for (runs, number) in runs.iter_mut().zip(Number::STEPS_BY_TYPE) {
                        let steps = buffers.one_each(columns.number(number)?, docs);
                        *runs += steps.iter().filter(|steps| **steps > 0).count() as u64;
                    }
                }
                SegmentCounter::Retries(runs) => {
                    for retries in buffers.one_each(columns.number(Number::RetryCount)?, docs) {
                        runs[usize::from(*retries > 0)] += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, segment: SegmentCounters<'_>) -> Result<(), IndexError> {
        let snapshot = self.snapshot;
        for (counter, of_segment) in self.counters.iter_mut().zip(segment.counters) {
            match of_segment {
                SegmentCounter::Texts(texts) => {
                    for (value, runs) in texts.values.iter().zip(texts.runs).filter(|(_, runs)| *runs > 0) {
                        // The values of a key from before it had too many.
                        if *counter.facet != Facet::MetadataKey || snapshot.is_indexed(value) {
                            counter.add(value, runs)?;
                        }
                    }
                }
                SegmentCounter::StepTypes(runs) => {
                    for (step_type, runs) in StepType::ALL.iter().zip(runs).filter(|(_, runs)| *runs > 0) {
                        counter.add(step_type.as_str(), runs)?;
                    }
                }
                SegmentCounter::Retries(runs) => {
                    for (value, runs) in [false, true].into_iter().zip(runs).filter(|(_, runs)| *runs > 0) {
                        counter.add(truth(value), runs)?;
                    }
                }
            }
        }
        Ok(())
    }
}
