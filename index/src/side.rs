//! One side of a comparison: what its runs have in common, each run counted once. The steps, decisions and failures of one
//! run are not independent of each other, so each of them is first made one number, or one set of values, of its run.

use std::collections::{BTreeMap, HashMap};

use agenttracer_model::taxonomy::{DecisionType, FailureType, ReasonCode, RunStatus, SignalCode, SignalType, StepType};
use tantivy::DocId;
use tantivy::columnar::StrColumn;

use crate::columns::{Columns, Number, Text, unreadable};
use crate::gather::{Aggregate, Numbered, UsageValues, Values, dictionary};
use crate::{Amounts, Fact, Filter, Histogram, IndexError, RunSummary, Snapshot};

/// The most codes of failures, and signals, that are told apart.
const MAX_CODES: usize = 10_000;
/// Up to so many numbers are kept as they are.
const MAX_EXACT: usize = 100_000;
/// The most different sets that are told apart.
const MAX_SETS: usize = 10_000;
/// The most values of a set that is told apart, and of all sets together.
const MAX_SET: usize = 16;
const MAX_VALUES: usize = 100_000;

/// What the runs of one side have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// How many runs.
    pub runs: u64,
    /// How many of them have status failure.
    pub failed: u64,
    /// How many of them have a second or later attempt.
    pub with_retries: u64,
    /// How many of them have a failure of this type and code.
    pub failures: BTreeMap<(FailureType, String), u64>,
    /// How many of them have this signal, with this value; by the tag of the code.
    pub signals: BTreeMap<(u16, bool), u64>,
    /// Their durations, of those that have one.
    pub duration_ms: Numbers,
    /// The latencies of all attempts but the last, of all runs.
    pub retry_waste_ms: Numbers,
    /// The sum of the latencies of their steps of a type, of those that have any; in the order of `StepType::ALL`.
    pub step_latency_ms: [Numbers; 5],
    /// What they selected in decisions of a type; in the order of `DecisionType::ALL`.
    pub selected: [Sets; 5],
    /// Why, likewise.
    pub reasons: [Sets; 5],
    /// Which models they asked.
    pub models: Sets,
    /// What they used of all models together, of those that say more than none.
    pub usage: Amounts<Numbers>,
}

/// A number of each run: as they are up to 100,000 of them, beyond that in a [`Histogram`].
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    sum: u128,
    exact: Vec<u64>,
    /// Holds all of them as soon as there are too many.
    binned: Histogram,
}

impl Numbers {
    /// Adds the number of one run.
    pub fn add(&mut self, number: u64) {
        self.sum += u128::from(number);
        if !self.is_exact() {
            self.binned.add(number, 1);
        } else if self.exact.len() < MAX_EXACT {
            self.exact.push(number);
        } else {
            self.binned = self.histogram();
            self.binned.add(number, 1);
            self.exact = Vec::new();
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.exact.len() as u64 + self.binned.count().unsigned_abs()
    }

    /// Their sum.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// Whether they were kept as they are.
    pub fn is_exact(&self) -> bool {
        self.binned.count() == 0
    }

    /// The numbers, ascending, each with how often it occurs.
    ///
    /// Numbers that were not kept as they are, or with `binned`, are the middles of a histogram's buckets, off by at most
    /// 0.8 %: two sides are compared in one form.
    pub fn ascending(&self, binned: bool) -> Vec<(u64, u64)> {
        if self.is_exact() && !binned {
            let mut numbers = self.exact.clone();
            numbers.sort_unstable();
            return numbers.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect();
        }
        let histogram = if self.is_exact() { &self.histogram() } else { &self.binned };
        histogram.counts().map(|(number, count)| (number, count.unsigned_abs())).collect()
    }

    fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        self.exact.iter().for_each(|number| histogram.add(*number, 1));
        histogram
    }
}

impl PartialEq for Numbers {
    /// Whatever the order in which they came.
    fn eq(&self, other: &Self) -> bool {
        self.sum == other.sum && self.ascending(false) == other.ascending(false)
    }
}

/// Which values each run has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// How many runs have just these values, ascending. Runs that have none are left out.
    pub runs: BTreeMap<Vec<String>, u64>,
    /// How many runs have more than 16 different values.
    pub larger: u64,
    /// There were more than 10,000 different sets, or 100,000 different values: none of them is here.
    pub is_cut: bool,
}

impl Amounts<Numbers> {
    /// Adds what one run used. None is left out: a run that does not say how much cannot be told from one that used nothing.
    fn add(&mut self, run: Amounts<u64>) {
        let Self { input_tokens, output_tokens, cost_nano_usd } = self;
        for (numbers, number) in
            [(input_tokens, run.input_tokens), (output_tokens, run.output_tokens), (cost_nano_usd, run.cost_nano_usd)]
        {
            if number > 0 {
                numbers.add(number);
            }
        }
    }
}

impl Side {
    /// What these runs have in common. They must have ended, and each be there once.
    ///
    /// # Errors
    /// `TooMany` when they have more than 10,000 different codes of failures.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a RunSummary>) -> Result<Self, IndexError> {
        let mut gathering = Gathering::new(true);
        let mut count = 0;
        for run in runs {
            gathering.add(run)?;
            count += 1;
        }
        Ok(gathering.finish(count))
    }
}

impl Snapshot {
    /// What the runs that match have in common. Takes time in proportion to them.
    ///
    /// # Errors
    /// `TooMany` when they have more than 10,000 different codes of failures.
    pub fn side(&self, filter: &Filter) -> Result<Side, IndexError> {
        let mut gathering = Gathering::new(self.is_indexed(Fact::MODEL));
        let runs = self.gather(filter, &mut gathering)?;
        Ok(gathering.finish(runs))
    }
}

/// A side while its runs are gone over.
struct Gathering {
    side: Side,
    selected: [SetCounts; 5],
    reasons: [SetCounts; 5],
    models: SetCounts,
    /// The key may have too many values to be in the index.
    has_models: bool,
    set: Vec<u32>,
}

/// Counts sets of numbered values.
#[derive(Default)]
struct SetCounts {
    values: Numbered,
    /// Runs with one value, by its number: most of them.
    single: Vec<u64>,
    several: HashMap<Box<[u32]>, u64>,
    larger: u64,
    is_cut: bool,
}

/// The number of a value that no longer matters.
const NO_VALUE: u32 = u32::MAX;

impl SetCounts {
    /// The number of a value.
    fn number(&mut self, value: &str) -> u32 {
        if self.is_cut {
            return NO_VALUE;
        }
        self.values.of(value, MAX_VALUES, "values").unwrap_or_else(|_| {
            self.cut();
            NO_VALUE
        })
    }

    /// Counts the set of one run, which is emptied; an empty one is not counted.
    fn add(&mut self, set: &mut Vec<u32>) {
        if set.len() > 1 {
            set.sort_unstable();
            set.dedup();
        }
        match set.as_slice() {
            [] => {}
            _ if self.is_cut => {}
            [value] => {
                let at = *value as usize;
                if self.single.len() <= at {
                    self.single.resize(at + 1, 0);
                }
                self.single[at] += 1;
            }
            values if values.len() > MAX_SET => self.larger += 1,
            values => {
                if let Some(count) = self.several.get_mut(values) {
                    *count += 1;
                } else if self.several.len() == MAX_SETS {
                    self.cut();
                } else {
                    self.several.insert(values.into(), 1);
                }
            }
        }
        set.clear();
    }

    fn cut(&mut self) {
        *self = Self { is_cut: true, ..Self::default() };
    }

    fn finish(self) -> Sets {
        let texts = self.values.into_texts();
        let single = (0..).zip(self.single).filter(|(_, runs)| *runs > 0).map(|(value, runs)| (vec![value], runs));
        let several = self.several.into_iter().map(|(set, runs)| (set.into_vec(), runs));
        let named = |(set, runs): (Vec<u32>, u64)| {
            let mut values: Vec<_> = set.into_iter().map(|value| texts[value as usize].clone()).collect();
            values.sort_unstable();
            (values, runs)
        };
        let runs: BTreeMap<_, _> = single.chain(several).map(named).collect();
        if self.is_cut || runs.len() > MAX_SETS {
            return Sets { is_cut: true, ..Sets::default() };
        }
        Sets { runs, larger: self.larger, is_cut: false }
    }
}

impl Gathering {
    fn new(has_models: bool) -> Self {
        Self {
            side: Side::default(),
            selected: Default::default(),
            reasons: Default::default(),
            models: SetCounts::default(),
            has_models,
            set: Vec::new(),
        }
    }

    fn finish(self, runs: u64) -> Side {
        let models = match self.has_models {
            true => self.models.finish(),
            false => Sets { is_cut: true, ..Sets::default() },
        };
        Side {
            runs,
            selected: self.selected.map(SetCounts::finish),
            reasons: self.reasons.map(SetCounts::finish),
            models,
            ..self.side
        }
    }

    fn add_failure(&mut self, failure_type: FailureType, code: &str, runs: u64) -> Result<(), IndexError> {
        *self.side.failures.entry((failure_type, code.to_owned())).or_default() += runs;
        if self.side.failures.len() > MAX_CODES {
            return Err(IndexError::TooMany { what: "codes of failures" });
        }
        Ok(())
    }

    /// Adds the decisions of one run, numbered.
    fn add_decisions(&mut self, decisions: &[Choice]) {
        for (index, (selected, reasons)) in self.selected.iter_mut().zip(&mut self.reasons).enumerate() {
            let of_type = || decisions.iter().filter(|choice| choice.decision_type as usize == index);
            self.set.extend(of_type().map(|choice| choice.selected));
            selected.add(&mut self.set);
            self.set.extend(of_type().map(|choice| choice.reason));
            reasons.add(&mut self.set);
        }
    }

    fn choice(&mut self, reason: ReasonCode, selected: &str) -> Choice {
        let decision_type = reason.decision_type();
        Choice {
            decision_type,
            selected: self.selected[decision_type as usize].number(selected),
            reason: self.reasons[decision_type as usize].number(reason.as_str()),
        }
    }
}

/// A decision, what was selected and why by their numbers.
#[derive(Clone, Copy)]
struct Choice {
    decision_type: DecisionType,
    selected: u32,
    reason: u32,
}

/// The sums of one run's latencies by step type.
#[derive(Default)]
struct RunTypes([Option<u64>; 5]);

impl RunTypes {
    fn add(&mut self, step_type: StepType, latency_ms: u64) {
        let sum = &mut self.0[step_type as usize];
        *sum = Some(sum.unwrap_or(0).saturating_add(latency_ms));
    }

    fn end(self, side: &mut Side) {
        for (numbers, sum) in side.step_latency_ms.iter_mut().zip(self.0) {
            sum.into_iter().for_each(|sum| numbers.add(sum));
        }
    }
}

struct SegmentSide<'a> {
    columns: &'a Columns,
    failed: Option<u64>,
    /// Of each value of the step column.
    step_types: Vec<StepType>,
    /// Of each value of the decision column; numbered when it is met.
    decisions: Vec<(ReasonCode, String, Option<Choice>)>,
    failures: RunCounts,
    signals: RunCounts,
    /// The values of the fact column that name a model, with their numbers.
    models: HashMap<u64, u32>,
    buffers: Values,
    usage: UsageValues,
    ms: Vec<u64>,
    run: Vec<Choice>,
}

/// In how many documents each value of a column occurs.
struct RunCounts {
    runs: Vec<u64>,
    /// The last document that was counted for each value, plus one.
    counted: Vec<DocId>,
}

impl RunCounts {
    fn new(column: &StrColumn) -> Self {
        Self { runs: vec![0; column.num_terms()], counted: vec![0; column.num_terms()] }
    }

    fn add(&mut self, values: impl Iterator<Item = (DocId, u64)>) {
        for (doc, ord) in values {
            let ord = ord as usize;
            if self.counted[ord] != doc + 1 {
                self.counted[ord] = doc + 1;
                self.runs[ord] += 1;
            }
        }
    }

    /// Hands the text of each value that occurs to `each`.
    fn name(
        &self,
        column: &StrColumn,
        mut each: impl FnMut(&str, u64) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut text = String::new();
        for (ord, runs) in (0..).zip(&self.runs).filter(|(_, runs)| **runs > 0) {
            column.ord_to_str(ord, &mut text).map_err(|error| unreadable(error.into()))?;
            each(&text, *runs)?;
        }
        Ok(())
    }
}

fn no_known_type(what: &str) -> IndexError {
    IndexError::Document(format!("{what} of no known type"))
}

impl Aggregate for Gathering {
    type Segment<'a> = SegmentSide<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        self.side.failed += u64::from(run.status == RunStatus::Failure);
        self.side.with_retries += u64::from(run.retry_count > 0);
        let mut failures: Vec<_> = run.failures.iter().map(|f| (f.failure_type, &*f.failure_code)).collect();
        failures.sort_unstable();
        failures.dedup();
        for (failure_type, code) in failures {
            self.add_failure(failure_type, code, 1)?;
        }
        // Equal signals stand together in a summary.
        for signal in &run.signals {
            *self.side.signals.entry((signal.code.tag(), signal.value)).or_default() += 1;
        }
        run.duration_ms.into_iter().for_each(|ms| self.side.duration_ms.add(ms));
        self.side.retry_waste_ms.add(run.timing.retry_waste_ms);
        let mut types = RunTypes::default();
        run.steps.iter().for_each(|step| types.add(step.step_type, step.latency_ms));
        types.end(&mut self.side);
        self.side.usage.add(run.usage.iter().fold(Amounts::default(), |sum, used| sum.and(used.amounts)));
        let decisions: Vec<_> = run.decisions.iter().map(|made| self.choice(made.reason, &made.selected)).collect();
        self.add_decisions(&decisions);
        if self.has_models {
            let mut models: Vec<_> = run
                .facts()
                .filter(|(key, _)| *key == Fact::MODEL)
                .map(|(_, model)| self.models.number(&model))
                .collect();
            self.models.add(&mut models);
        }
        Ok(())
    }

    fn open<'a>(&mut self, _ord: u32, columns: &'a Columns) -> Result<SegmentSide<'a>, IndexError> {
        let failed = columns.text(Text::Status)?.dictionary().term_ord(RunStatus::Failure.as_str());
        let step = columns.text(Text::Step)?;
        let mut step_types = Vec::with_capacity(step.num_terms());
        dictionary(step, |_, text| {
            step_types.extend(text.split('/').next().and_then(StepType::parse));
            Ok(())
        })?;
        if step_types.len() != step.num_terms() {
            return Err(no_known_type("a step"));
        }
        let decision = columns.text(Text::Decision)?;
        let mut decisions = Vec::with_capacity(decision.num_terms());
        dictionary(decision, |_, text| {
            let mut parts = text.splitn(3, '/');
            let decision_type = parts.next().and_then(DecisionType::parse);
            let reason = decision_type.zip(parts.next()).and_then(|(kind, code)| ReasonCode::parse(kind, code));
            decisions.extend(reason.zip(parts.next()).map(|(reason, selected)| (reason, selected.to_owned(), None)));
            Ok(())
        })?;
        if decisions.len() != decision.num_terms() {
            return Err(no_known_type("a decision"));
        }
        Ok(SegmentSide {
            columns,
            failed: failed.map_err(|error| unreadable(error.into()))?,
            step_types,
            decisions,
            failures: RunCounts::new(columns.text(Text::Failure)?),
            signals: RunCounts::new(columns.text(Text::Signal)?),
            models: if self.has_models { models(columns, &mut self.models)? } else { HashMap::new() },
            buffers: Values::default(),
            usage: UsageValues::default(),
            ms: Vec::new(),
            run: Vec::new(),
        })
    }

    fn add_docs(&mut self, segment: &mut SegmentSide<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        let SegmentSide { columns, step_types, decisions, failures, signals, models, buffers, usage, ms, run, .. } =
            segment;
        if let Some(failed) = segment.failed {
            let statuses = buffers.one_each(columns.text(Text::Status)?.ords(), docs);
            self.side.failed += statuses.iter().filter(|ord| **ord == failed).count() as u64;
        }
        let retries = buffers.one_each(columns.number(Number::RetryCount)?, docs);
        self.side.with_retries += retries.iter().filter(|retries| **retries > 0).count() as u64;
        let wastes = buffers.one_each(columns.number(Number::RetryWasteMs)?, docs);
        wastes.iter().for_each(|ms| self.side.retry_waste_ms.add(*ms));
        let durations = columns.number(Number::DurationMs)?;
        buffers.all(durations, docs).for_each(|(_, ms)| self.side.duration_ms.add(ms));
        failures.add(buffers.all(columns.text(Text::Failure)?.ords(), docs));
        signals.add(buffers.all(columns.text(Text::Signal)?.ords(), docs));

        buffers.load(columns.text(Text::Step)?.ords(), docs);
        buffers.beside(columns.number(Number::StepMs)?, ms);
        let mut ms = ms.iter();
        for steps in buffers.by_doc() {
            let mut types = RunTypes::default();
            steps.iter().zip(&mut ms).for_each(|(ord, ms)| types.add(step_types[*ord as usize], *ms));
            types.end(&mut self.side);
        }

        // All that a document used stands together.
        let mut of_run = (DocId::MAX, Amounts::default());
        usage.each(columns, docs, |doc, _, _, amounts| {
            if doc != of_run.0 {
                self.side.usage.add(of_run.1);
                of_run = (doc, Amounts::default());
            }
            of_run.1 = of_run.1.and(amounts);
        })?;
        self.side.usage.add(of_run.1);

        buffers.load(columns.text(Text::Decision)?.ords(), docs);
        for ords in buffers.by_doc() {
            run.clear();
            for ord in ords {
                let (reason, selected, known) = &mut decisions[*ord as usize];
                run.push(*known.get_or_insert_with(|| self.choice(*reason, selected)));
            }
            self.add_decisions(run);
        }

        if !models.is_empty() {
            buffers.load(columns.text(Text::Fact)?.ords(), docs);
            for facts in buffers.by_doc() {
                self.set.extend(facts.iter().filter_map(|ord| models.get(ord)));
                self.models.add(&mut self.set);
            }
        }
        Ok(())
    }

    fn close(&mut self, segment: SegmentSide<'_>) -> Result<(), IndexError> {
        segment.failures.name(segment.columns.text(Text::Failure)?, |text, runs| {
            let named = text.split_once('/').and_then(|(kind, code)| Some((FailureType::parse(kind)?, code)));
            let (failure_type, code) = named.ok_or_else(|| no_known_type("a failure"))?;
            self.add_failure(failure_type, code, runs)
        })?;
        segment.signals.name(segment.columns.text(Text::Signal)?, |text, runs| {
            let (signal, value) = signal_of(text).ok_or_else(|| no_known_type("a signal"))?;
            *self.side.signals.entry((signal.tag(), value)).or_default() += runs;
            Ok(())
        })
    }
}

/// The signal and the value that the index writes so.
fn signal_of(text: &str) -> Option<(SignalCode, bool)> {
    let mut parts = text.splitn(3, '/');
    let signal_type = SignalType::parse(parts.next()?)?;
    Some((SignalCode::parse(signal_type, parts.next()?)?, parts.next()?.parse().ok()?))
}

/// The models that the facts of a segment name, by the number of the fact.
fn models(columns: &Columns, models: &mut SetCounts) -> Result<HashMap<u64, u32>, IndexError> {
    let column = columns.text(Text::Fact)?;
    let stream = column.dictionary().prefix_range(Fact::text(Fact::MODEL, "")).into_stream();
    let mut terms = stream.map_err(|error| unreadable(error.into()))?;
    let mut found = HashMap::new();
    while terms.advance() {
        let text = std::str::from_utf8(terms.key());
        let text = text.map_err(|_| IndexError::Document("a fact that is no text".to_owned()))?;
        if let Some((_, model)) = Fact::parts(text) {
            found.insert(terms.term_ord(), models.number(model));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::question_tests::{Place, a_filter, snapshot, some_runs};
    use crate::summary::tests::run;
    use crate::{DecisionSummary, FailureSummary, Tenth};

    /// The same by sets of each run, knowing nothing of columns.
    fn plain(runs: &[&RunSummary]) -> Side {
        fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, of_run: BTreeSet<K>) {
            of_run.into_iter().for_each(|key| *counts.entry(key).or_default() += 1);
        }
        fn count_set(sets: &mut Sets, of_run: BTreeSet<String>) {
            match of_run.len() {
                0 => {}
                1..=16 => *sets.runs.entry(of_run.into_iter().collect()).or_default() += 1,
                _ => sets.larger += 1,
            }
        }
        let mut side = Side::default();
        for run in runs {
            side.runs += 1;
            side.failed += u64::from(run.status == RunStatus::Failure);
            side.with_retries += u64::from(run.retry_count > 0);
            let failure = |failure: &FailureSummary| (failure.failure_type, failure.failure_code.to_string());
            count(&mut side.failures, run.failures.iter().map(failure).collect());
            count(&mut side.signals, run.signals.iter().map(|signal| (signal.code.tag(), signal.value)).collect());
            if let Some(ms) = run.duration_ms {
                side.duration_ms.add(ms);
            }
            side.retry_waste_ms.add(run.timing.retry_waste_ms);
            for (step_type, numbers) in StepType::ALL.iter().zip(&mut side.step_latency_ms) {
                let steps: Vec<_> = run.steps.iter().filter(|step| step.step_type == *step_type).collect();
                if !steps.is_empty() {
                    numbers.add(steps.iter().fold(0, |sum, step| sum.saturating_add(step.latency_ms)));
                }
            }
            for (index, decision_type) in DecisionType::ALL.iter().enumerate() {
                let of_type = || run.decisions.iter().filter(|made| made.reason.decision_type() == *decision_type);
                count_set(&mut side.selected[index], of_type().map(|made| made.selected.to_string()).collect());
                count_set(&mut side.reasons[index], of_type().map(|made| made.reason.as_str().to_owned()).collect());
            }
            let models = run.facts().filter(|(key, _)| *key == "model").map(|(_, model)| model.into_owned());
            count_set(&mut side.models, models.collect());
            let Amounts { input_tokens, output_tokens, cost_nano_usd } = &mut side.usage;
            for (numbers, amount) in [
                (input_tokens, (|used| used.input_tokens) as fn(&Amounts<u64>) -> u64),
                (output_tokens, |used| used.output_tokens),
                (cost_nano_usd, |used| used.cost_nano_usd),
            ] {
                let used = run.usage.iter().map(|used| u128::from(amount(&used.amounts))).sum::<u128>();
                if used > 0 {
                    numbers.add(u64::try_from(used).unwrap_or(u64::MAX));
                }
            }
        }
        side
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_side_is_what_its_runs_say(runs in some_runs(), merged in any::<bool>(), filters in vec(a_filter(), 12)) {
            let snapshot = snapshot(&runs, merged);
            for filter in filters.into_iter().chain([Filter::default()]) {
                let matching: Vec<_> = runs
                    .iter()
                    .map(|(run, _)| run)
                    .filter(|run| filter.matches(run) && run.status != RunStatus::Running)
                    .collect();
                let expected = plain(&matching);
                prop_assert_eq!(&snapshot.side(&filter).unwrap(), &expected);
                prop_assert_eq!(Side::of(matching).unwrap(), expected);
            }
        }
    }

    #[test]
    fn many_numbers_are_binned_and_sides_are_compared_in_one_form() {
        let mut numbers = Numbers::default();
        (0..MAX_EXACT as u64).for_each(|number| numbers.add(number * 7));
        assert!(numbers.is_exact());
        let (exact, binned) = (numbers.ascending(false), numbers.ascending(true));
        assert_eq!((exact.len(), exact[3]), (MAX_EXACT, (21, 1)));
        numbers.add(5);
        assert!(!numbers.is_exact());
        assert_eq!((numbers.count(), numbers.sum()), (MAX_EXACT as u64 + 1, 7 * 99_999 * 50_000 + 5));
        let mut with_five = binned.clone();
        with_five.insert(1, (5, 1));
        assert_eq!(numbers.ascending(false), with_five);
        assert_eq!(binned.iter().map(|(_, count)| count).sum::<u64>(), MAX_EXACT as u64);
        assert!(binned.len() < 1000);
    }

    fn selecting(n: u64, selected: impl IntoIterator<Item = String>) -> RunSummary {
        let reason = ReasonCode::from_tag(1).unwrap();
        let decision =
            |selected: String| DecisionSummary { reason, selected: selected.into(), confidence: Tenth::NONE, count: 1 };
        RunSummary { decisions: selected.into_iter().map(decision).collect(), ..run(n) }
    }

    #[test]
    fn large_sets_are_counted_and_many_sets_are_given_up() {
        let names = |count: usize| (0..count).map(|n| format!("{n:02}"));
        let runs: Vec<_> = [16, 17, 40].map(|count| selecting(count, names(count as usize))).into();
        let placed: Vec<_> = runs.iter().cloned().map(|run| (run, Place::Cold(0))).collect();
        let side = snapshot(&placed, false).side(&Filter::default()).unwrap();
        assert_eq!((side.selected[0].larger, side.selected[0].runs.len()), (2, 1));
        assert_eq!(side.selected[0].runs.keys().next().unwrap().len(), 16);

        let many: Vec<_> = (0..=MAX_SETS as u64).map(|n| selecting(n, [n.to_string()])).collect();
        let side = Side::of(&many[1..]).unwrap();
        assert_eq!((side.selected[0].runs.len(), side.selected[0].is_cut), (MAX_SETS, false));
        let side = Side::of(&many).unwrap();
        assert_eq!((side.selected[0].runs.len(), side.selected[0].is_cut), (0, true));
        assert!(!side.reasons[0].is_cut);
    }
}
