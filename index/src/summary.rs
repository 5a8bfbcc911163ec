use std::borrow::Cow;
use std::sync::Arc;

use agenttracer_model::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepType, Tone};
use agenttracer_model::timing::Timing;
use agenttracer_model::{Metadata, Position, Timestamp};
use uuid::Uuid;

use crate::UsageSummary;

/// What a list page shows and a filter asks of a run: its view without children.
///
/// Names that repeat from run to run are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// The run.
    pub run_id: Uuid,
    /// Its agent.
    pub agent_id: Arc<str>,
    /// Its agent's version.
    pub agent_version: Arc<str>,
    /// Where it ran.
    pub environment: Arc<str>,
    /// How it stands.
    pub status: RunStatus,
    /// False for a live run of which events came, but not its start. Nobody is shown it: it keeps their positions
    /// until the start comes. Its status is `running`, its names are empty and `started_at` is when it was first heard of.
    pub started: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When the server first took it in.
    pub created_at: Timestamp,
    /// `ended_at - started_at`, in whole ms.
    pub duration_ms: Option<u64>,
    /// The run that started it.
    pub parent_run_id: Option<Uuid>,
    /// The step that started it.
    pub parent_step_id: Option<Uuid>,
    /// Its conversation.
    pub session_id: Option<Arc<str>>,
    /// Its trace.
    pub trace_id: Option<Arc<str>>,
    /// Facts of the run itself.
    pub metadata: Metadata,
    /// How many values the privacy rules removed.
    pub removed_count: u32,
    /// How many steps are a second or later attempt of their operation.
    pub retry_count: u32,
    /// Its steps by name and type, in that order.
    pub steps: Vec<StepSummary>,
    /// Where its time went.
    pub timing: Timing,
    /// Its failures, in the order of the view.
    pub failures: Vec<FailureSummary>,
    /// The signature of the way to its failure, when it has one: see `agenttracer_model::failure_path`.
    pub failure_cluster: Option<u64>,
    /// Its decisions, ascending; equal ones together.
    pub decisions: Vec<DecisionSummary>,
    /// Its quality signals, ascending; equal ones together.
    pub signals: Vec<SignalSummary>,
    /// What its steps say of the model and the provider they asked and of HTTP answers, ascending: see [`Fact`].
    pub step_facts: Vec<Arc<str>>,
    /// What it used of models, ascending by model.
    pub usage: Vec<UsageSummary>,
    /// Whether it arrived whole. Its content digest stands in the log, at `position`.
    pub whole: bool,
    /// The first positions of the batches that hold the run, ascending; the first is the run's `position`.
    pub batches: Vec<Position>,
}

/// The steps of one name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSummary {
    /// Their name.
    pub name: Arc<str>,
    /// Their type.
    pub step_type: StepType,
    /// How many there are.
    pub count: u32,
    /// The sum of their `latency_ms`; saturates.
    pub latency_ms: u64,
}

/// A failure, as filters and statistics see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FailureSummary {
    /// Its type.
    pub failure_type: FailureType,
    /// Its code.
    pub failure_code: Arc<str>,
}

/// Equal decisions of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionSummary {
    /// Type and reason.
    pub reason: ReasonCode,
    /// What was selected.
    pub selected: Arc<str>,
    /// In which tenth the confidence lies.
    pub confidence: Tenth,
    /// How many there are.
    pub count: u32,
}

/// Equal signals of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalSummary {
    /// Type and code.
    pub code: SignalCode,
    /// Whether it was observed.
    pub value: bool,
    /// How many there are.
    pub count: u32,
}

/// In which tenth of 0..=1 a confidence lies: 0 is below 0.1, 9 is from 0.9 on; 10 is no confidence at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenth(u8);

impl Tenth {
    /// How many there are, the one of no confidence included.
    pub const COUNT: usize = 11;
    /// No confidence was given.
    pub const NONE: Self = Self(10);

    /// The tenth of a confidence.
    pub fn of(confidence: Option<f64>) -> Self {
        // A confidence lies in 0..=1; whatever else there is counts to the nearest tenth.
        confidence.map_or(Self::NONE, |confidence| Self((confidence * 10.0).clamp(0.0, 9.0) as u8))
    }

    /// Its number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The one with this number.
    pub fn from_index(index: u64) -> Option<Self> {
        u8::try_from(index).ok().filter(|index| usize::from(*index) < Self::COUNT).map(Self)
    }
}

/// A key of metadata and its value in one text, as filters compare it.
pub struct Fact;

impl Fact {
    /// The keys of step metadata that are facts of the run, too.
    pub const OF_STEPS: [&str; 3] = ["http_status", Self::MODEL, "provider"];
    /// The key that names the model.
    pub(crate) const MODEL: &str = "model";
    /// How many different ones a run keeps of its steps.
    pub(crate) const MAX_OF_STEPS: usize = 32;
    /// Between key and value: no key holds it.
    pub(crate) const SEPARATOR: char = '\0';

    /// The text of a key and a value.
    pub fn text(key: &str, value: &str) -> String {
        format!("{key}{}{value}", Self::SEPARATOR)
    }

    /// The key and the value of a text.
    pub fn parts(text: &str) -> Option<(&str, &str)> {
        text.split_once(Self::SEPARATOR)
    }
}

impl RunSummary {
    /// The run's position: that of its first record.
    ///
    /// # Panics
    /// Never: a run has at least one batch.
    pub fn position(&self) -> Position {
        self.batches[0]
    }

    /// How many steps it has.
    pub fn step_count(&self) -> u32 {
        self.steps.iter().map(|step| step.count).sum()
    }

    /// How many steps it has, by type in the order of `StepType::ALL`.
    pub fn steps_by_type(&self) -> [u32; 5] {
        let mut counts = [0; 5];
        for step in &self.steps {
            counts[step.step_type as usize] += step.count;
        }
        counts
    }

    /// Sum of its steps' `latency_ms`; saturates.
    pub fn step_latency_ms(&self) -> u64 {
        self.steps.iter().fold(0, |sum, step| sum.saturating_add(step.latency_ms))
    }

    /// The distinct names of its steps, ascending.
    pub fn step_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.steps.chunk_by(|a, b| a.name == b.name).map(|steps| &steps[0].name)
    }

    /// How many decisions it has.
    pub fn decision_count(&self) -> u32 {
        self.decisions.iter().map(|decision| decision.count).sum()
    }

    /// How many quality signals it has.
    pub fn signal_count(&self) -> u32 {
        self.signals.iter().map(|signal| signal.count).sum()
    }

    /// How many of them ask for attention.
    pub fn attention_count(&self) -> u32 {
        let asks = |signal: &&SignalSummary| signal.code.tone(signal.value) == Tone::Attention;
        self.signals.iter().filter(asks).map(|signal| signal.count).sum()
    }

    /// What filters on metadata compare: the facts of the run itself and those of its steps.
    pub fn facts(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let own = self.metadata.0.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_fact()?)));
        own.chain(self.step_facts.iter().filter_map(|text| {
            let (key, value) = Fact::parts(text)?;
            Some((key, Cow::Borrowed(value)))
        }))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small successful run of two steps, different for each `n`: a later one started later.
    pub(crate) fn run(n: u64) -> RunSummary {
        RunSummary {
            run_id: Uuid::from_u128(0x1000 + u128::from(n)),
            agent_id: "support".into(),
            agent_version: "v1".into(),
            environment: "production".into(),
            status: RunStatus::Success,
            started: true,
            started_at: Timestamp::from_micros(1_700_000_000_000_000 + n as i64 * 1_000_000),
            ended_at: None,
            created_at: Timestamp::from_micros(1_700_000_000_500_000 + n as i64 * 1_000_000),
            duration_ms: None,
            parent_run_id: None,
            parent_step_id: None,
            session_id: None,
            trace_id: None,
            metadata: Metadata::default(),
            removed_count: 0,
            retry_count: 0,
            steps: vec![step("analyze", StepType::Plan, 10), step("billing_api", StepType::Tool, 20)],
            timing: Timing { idle_ms: 3, critical_path_ms: 30, ..Timing::default() },
            failures: Vec::new(),
            failure_cluster: None,
            decisions: Vec::new(),
            signals: Vec::new(),
            step_facts: Vec::new(),
            usage: Vec::new(),
            whole: false,
            batches: vec![Position::new(n * 4)],
        }
    }

    pub(crate) fn step(name: &str, step_type: StepType, latency_ms: u64) -> StepSummary {
        StepSummary { name: name.into(), step_type, count: 1, latency_ms }
    }

    #[test]
    fn a_confidence_lies_in_one_tenth() {
        let tenths = [None, Some(0.0), Some(0.099), Some(0.1), Some(0.85), Some(0.9), Some(1.0), Some(7.0)];
        assert_eq!(tenths.map(|confidence| Tenth::of(confidence).index()), [10, 0, 0, 1, 8, 9, 9, 9]);
        assert_eq!(Tenth::from_index(10), Some(Tenth::NONE));
        assert_eq!(Tenth::from_index(11), None);
    }
}
