//! What agents decided, and what was observed: how often, and in how many runs.

use std::collections::BTreeMap;

use agenttracer_model::taxonomy::{DecisionType, ReasonCode, SignalCode, SignalType};
use tantivy::DocId;

use crate::columns::{Columns, Number, Text};
use crate::gather::{Aggregate, Values, dictionary};
use crate::{Filter, IndexError, RunSummary, Snapshot, Tenth};

/// The most different things selected.
const MAX_SELECTED: usize = 50_000;

/// How often something occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occurrences {
    /// So many times.
    pub count: u64,
    /// In so many runs.
    pub runs: u64,
}

/// The decisions of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionCounts {
    /// All of them.
    pub all: Occurrences,
    /// By what was selected and why.
    pub by_choice: BTreeMap<(String, &'static str), Occurrences>,
    /// By the tenth of their confidence.
    pub confidence: [u64; Tenth::COUNT],
}

/// The signals of one code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalCounts {
    /// With the value true.
    pub observed: Occurrences,
    /// With the value false.
    pub not_observed: Occurrences,
    /// In how many runs, whatever the value.
    pub runs: u64,
}

/// The decisions of the runs that match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    /// How many runs match.
    pub runs: u64,
    /// By type.
    pub by_type: BTreeMap<DecisionType, DecisionCounts>,
}

/// The signals of the runs that match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// How many runs match.
    pub runs: u64,
    /// In how many runs there is a signal of each type.
    pub runs_by_type: BTreeMap<SignalType, u64>,
    /// By type and code, in the order of the taxonomy.
    pub by_code: BTreeMap<(SignalType, u16), SignalCounts>,
}

impl Snapshot {
    /// The decisions of the runs that match.
    ///
    /// Takes about 30 ns a decision.
    ///
    /// # Errors
    /// `TooMany` when more than 50,000 different things were selected.
    pub fn decisions(&self, filter: &Filter) -> Result<Decisions, IndexError> {
        let mut gathered = DecisionSums::default();
        gathered.decisions.runs = self.gather(filter, &mut gathered)?;
        Ok(gathered.decisions)
    }

    /// The signals of the runs that match.
    ///
    /// Takes about 20 ns a signal.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn signals(&self, filter: &Filter) -> Result<Signals, IndexError> {
        let mut sums = SignalSums(Signals::default());
        let runs = self.gather(filter, &mut sums)?;
        Ok(Signals { runs, ..sums.0 })
    }
}

#[derive(Default)]
struct DecisionSums {
    decisions: Decisions,
    choices: usize,
}

impl DecisionSums {
    fn add_choice(&mut self, reason: ReasonCode, selected: &str, added: Occurrences) -> Result<(), IndexError> {
        let counts = self.decisions.by_type.entry(reason.decision_type()).or_default();
        counts.all.count += added.count;
        let choices = counts.by_choice.len();
        let choice = counts.by_choice.entry((selected.to_owned(), reason.as_str())).or_default();
        choice.count += added.count;
        choice.runs += added.runs;
        self.choices += counts.by_choice.len() - choices;
        if self.choices > MAX_SELECTED {
            return Err(IndexError::TooMany { what: "things selected in decisions" });
        }
        Ok(())
    }
}

struct SegmentDecisions<'a> {
    columns: &'a Columns,
    /// Reason and what was selected, of each value of the column.
    choices: Vec<(ReasonCode, String)>,
    counts: Vec<Occurrences>,
    /// The last document that was counted for each value, and for each type, plus one.
    counted: Vec<DocId>,
    type_counted: [DocId; 5],
    type_runs: [u64; 5],
    confidence: [[u64; Tenth::COUNT]; 5],
    buffers: Values,
    tenths: Vec<u64>,
}

impl Aggregate for DecisionSums {
    type Segment<'a> = SegmentDecisions<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        // Equal decisions stand together but for their confidence.
        for decisions in run.decisions.chunk_by(|a, b| (a.reason, &a.selected) == (b.reason, &b.selected)) {
            let count = decisions.iter().map(|decision| u64::from(decision.count)).sum();
            self.add_choice(decisions[0].reason, &decisions[0].selected, Occurrences { count, runs: 1 })?;
        }
        for decision in &run.decisions {
            let counts = self.decisions.by_type.entry(decision.reason.decision_type()).or_default();
            counts.confidence[decision.confidence.index()] += u64::from(decision.count);
        }
        for decision_type in DecisionType::ALL {
            if run.decisions.iter().any(|decision| decision.reason.decision_type() == *decision_type) {
                self.decisions.by_type.entry(*decision_type).or_default().all.runs += 1;
            }
        }
        Ok(())
    }

    fn open<'a>(&mut self, _ord: u32, columns: &'a Columns) -> Result<SegmentDecisions<'a>, IndexError> {
        let column = columns.text(Text::Decision)?;
        let mut choices = Vec::with_capacity(column.num_terms());
        dictionary(column, |_, text| {
            let mut parts = text.splitn(3, '/');
            let reason = parts
                .next()
                .and_then(DecisionType::parse)
                .zip(parts.next())
                .and_then(|(decision_type, code)| ReasonCode::parse(decision_type, code));
            choices.extend(reason.zip(parts.next().map(str::to_owned)));
            Ok(())
        })?;
        if choices.len() != column.num_terms() {
            return Err(IndexError::Document("a decision of no known type".to_owned()));
        }
        Ok(SegmentDecisions {
            columns,
            counts: vec![Occurrences::default(); choices.len()],
            counted: vec![0; choices.len()],
            choices,
            type_counted: [0; 5],
            type_runs: [0; 5],
            confidence: [[0; Tenth::COUNT]; 5],
            buffers: Values::default(),
            tenths: Vec::new(),
        })
    }

    fn add_docs(&mut self, segment: &mut SegmentDecisions<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        let SegmentDecisions { columns, choices, counts, counted, buffers, tenths, .. } = segment;
        for (doc, ord) in buffers.all(columns.text(Text::Decision)?.ords(), docs) {
            let ord = ord as usize;
            counts[ord].count += 1;
            if counted[ord] != doc + 1 {
                counted[ord] = doc + 1;
                counts[ord].runs += 1;
            }
            let decision_type = choices[ord].0.decision_type() as usize;
            if segment.type_counted[decision_type] != doc + 1 {
                segment.type_counted[decision_type] = doc + 1;
                segment.type_runs[decision_type] += 1;
            }
        }
        buffers.beside(columns.number(Number::Confidence)?, tenths);
        for ((_, ord), tenth) in buffers.last().zip(tenths.iter()) {
            if let Some(tenth) = Tenth::from_index(*tenth) {
                segment.confidence[choices[ord as usize].0.decision_type() as usize][tenth.index()] += 1;
            }
        }
        Ok(())
    }

    fn close(&mut self, segment: SegmentDecisions<'_>) -> Result<(), IndexError> {
        for ((reason, selected), counts) in segment.choices.iter().zip(segment.counts) {
            if counts.count > 0 {
                self.add_choice(*reason, selected, counts)?;
            }
        }
        for decision_type in DecisionType::ALL {
            let index = *decision_type as usize;
            if segment.type_runs[index] > 0 {
                let counts = self.decisions.by_type.entry(*decision_type).or_default();
                counts.all.runs += segment.type_runs[index];
                counts.confidence.iter_mut().zip(segment.confidence[index]).for_each(|(sum, count)| *sum += count);
            }
        }
        Ok(())
    }
}

struct SegmentSignals<'a> {
    columns: &'a Columns,
    /// Of each value of the column.
    signals: Vec<(SignalCode, bool)>,
    counts: Vec<Occurrences>,
    counted: Vec<DocId>,
    /// By the code's tag.
    code_counted: Vec<DocId>,
    code_runs: Vec<u64>,
    type_counted: [DocId; 7],
    type_runs: [u64; 7],
    buffers: Values,
}

/// Tags of signal codes lie below.
const CODES: usize = agenttracer_model::taxonomy::SIGNAL_CODE_COUNT + 1;

struct SignalSums(Signals);

impl SignalSums {
    fn of_code(&mut self, code: SignalCode) -> &mut SignalCounts {
        self.0.by_code.entry((code.signal_type(), code.tag())).or_default()
    }
}

impl SignalCounts {
    fn of_value(&mut self, value: bool) -> &mut Occurrences {
        if value { &mut self.observed } else { &mut self.not_observed }
    }
}

impl Aggregate for SignalSums {
    type Segment<'a> = SegmentSignals<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        for signals in run.signals.chunk_by(|a, b| a.code == b.code) {
            let counts = self.of_code(signals[0].code);
            counts.runs += 1;
            for signal in signals {
                let value = counts.of_value(signal.value);
                value.count += u64::from(signal.count);
                value.runs += 1;
            }
        }
        for signal_type in SignalType::ALL {
            if run.signals.iter().any(|signal| signal.code.signal_type() == *signal_type) {
                *self.0.runs_by_type.entry(*signal_type).or_default() += 1;
            }
        }
        Ok(())
    }

    fn open<'a>(&mut self, _ord: u32, columns: &'a Columns) -> Result<SegmentSignals<'a>, IndexError> {
        let column = columns.text(Text::Signal)?;
        let mut signals = Vec::with_capacity(column.num_terms());
        dictionary(column, |_, text| {
            let parts: Vec<_> = text.split('/').collect();
            if let [signal_type, code, value] = parts[..] {
                let code = SignalType::parse(signal_type).and_then(|signal_type| SignalCode::parse(signal_type, code));
                signals.extend(code.zip(value.parse().ok()));
            }
            Ok(())
        })?;
        if signals.len() != column.num_terms() {
            return Err(IndexError::Document("a signal of no known type".to_owned()));
        }
        Ok(SegmentSignals {
            columns,
            counts: vec![Occurrences::default(); signals.len()],
            counted: vec![0; signals.len()],
            signals,
            code_counted: vec![0; CODES],
            code_runs: vec![0; CODES],
            type_counted: [0; 7],
            type_runs: [0; 7],
            buffers: Values::default(),
        })
    }

    fn add_docs(&mut self, segment: &mut SegmentSignals<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        for (doc, ord) in segment.buffers.all(segment.columns.text(Text::Signal)?.ords(), docs) {
            let ord = ord as usize;
            segment.counts[ord].count += 1;
            let (code, _) = segment.signals[ord];
            for (counted, runs) in [
                (&mut segment.counted[ord], &mut segment.counts[ord].runs),
                (&mut segment.code_counted[usize::from(code.tag())], &mut segment.code_runs[usize::from(code.tag())]),
                (
                    &mut segment.type_counted[code.signal_type() as usize],
                    &mut segment.type_runs[code.signal_type() as usize],
                ),
            ] {
                if *counted != doc + 1 {
                    *counted = doc + 1;
                    *runs += 1;
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, segment: SegmentSignals<'_>) -> Result<(), IndexError> {
        for ((code, value), counts) in segment.signals.iter().zip(segment.counts).filter(|(_, counts)| counts.count > 0)
        {
            let sums = self.of_code(*code).of_value(*value);
            sums.count += counts.count;
            sums.runs += counts.runs;
        }
        for (tag, runs) in segment.code_runs.into_iter().enumerate().filter(|(_, runs)| *runs > 0) {
            if let Some(code) = SignalCode::from_tag(tag as u16) {
                self.of_code(code).runs += runs;
            }
        }
        for (signal_type, runs) in SignalType::ALL.iter().zip(segment.type_runs).filter(|(_, runs)| *runs > 0) {
            *self.0.runs_by_type.entry(*signal_type).or_default() += runs;
        }
        Ok(())
    }
}
